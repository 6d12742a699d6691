//! Signs of life and the ends they decide: silence, idleness, the end of a token. A sweep reads
//! what the runtime knows of every socket; no heartbeat costs a row.
//! Source: `architecture.md` rule 8, `interface.md` "Configuration", `decisions.md` "Presence in
//! a room".

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Broken, Code, Rejected};
use crate::grant::Grant;
use crate::id::ConnId;
use crate::limits::{EXPIRING_BEFORE, GRID, SWEEP_EVERY};
use crate::link::{Leaving, Up};
use crate::message::{Envelope, Json, Reply};
use crate::sql::Sql;
use crate::time::{Millis, Timestamp, sooner};

use super::connection::Connection;
use super::{Effect, Home, Listed, store};

#[derive(Serialize)]
struct Expiring {
    in_ms: Millis,
}

impl Home {
    /// Looks at every socket: who is gone, who is silent, who is back.
    pub(super) fn sweep(
        &mut self,
        now: Timestamp,
        sockets: &[Listed],
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        self.swept_at = now;
        self.deadline = None;
        let open: BTreeMap<ConnId, &Listed> = sockets
            .iter()
            .filter(|socket| socket.open)
            .map(|socket| (socket.conn, socket))
            .collect();
        let all: Vec<ConnId> = self.connections.keys().copied().collect();
        for conn in all {
            let Some(connection) = self.connections.get_mut(&conn) else {
                continue;
            };
            let Some(socket) = open.get(&conn) else {
                // One that came in this very tick was not there to be listed.
                if connection.connected_at < now {
                    self.lose(now, conn, sql)?;
                }
                continue;
            };
            if let Some(at) = socket.pinged_at {
                connection.signs.pinged_at = Some(at);
                connection.signs.armed = true;
            }
            self.judge(now, conn, sql)?;
        }
        self.write_cursors(now);
        Ok(())
    }

    fn lose(&mut self, now: Timestamp, conn: ConnId, sql: &dyn Sql) -> Result<(), Broken> {
        match self.connections.remove(&conn) {
            Some(connection) => self.forget(now, connection, (Leaving::Lost, "lost"), sql),
            None => Ok(()),
        }
    }

    fn judge(&mut self, now: Timestamp, conn: ConnId, sql: &dyn Sql) -> Result<(), Broken> {
        let config = &self.config;
        let (ttl, most, idle) = (
            config.presence_ttl,
            config.client_timeout,
            config.idle_timeout,
        );
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        let quiet = now.since(connection.signs.last());
        let own_ttl = connection.signs.ttl(ttl);
        if connection.signs.armed && quiet >= most.max(own_ttl) {
            return self.end_silent(now, conn, "no sign of life", sql);
        }
        if !connection.signs.armed && quiet >= idle {
            return self.end_silent(now, conn, "idle", sql);
        }
        let silent = connection.signs.armed && quiet >= own_ttl;
        if silent == connection.silent {
            return Ok(());
        }
        if !silent {
            return self.returned(conn, sql);
        }
        connection.silent = true;
        store::write(sql, connection)?;
        if connection.joined.is_some() {
            let user = connection.grant.user.clone();
            self.effects.push(Effect::Up(Up::Leave {
                user,
                leaving: Leaving::Silent,
            }));
        }
        Ok(())
    }

    /// A silent connection was heard again.
    pub(super) fn returned(&mut self, conn: ConnId, sql: &dyn Sql) -> Result<(), Broken> {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        connection.silent = false;
        store::write(sql, connection)?;
        if connection.joined.is_some() {
            self.effects.push(Effect::Up(Up::Return {
                present: connection.present(),
            }));
        }
        Ok(())
    }

    fn end_silent(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        detail: &str,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        // 4408 is no refusal of the table's: nothing was asked.
        let end = Rejected::new(Code::Unavailable, detail);
        self.close(now, conn, &end, Leaving::Silent, sql)?;
        if let Some(close) = self.closes.last_mut().filter(|close| close.conn == conn) {
            close.code = NO_SIGN_OF_LIFE;
            close.reason = detail.to_owned();
        }
        Ok(())
    }

    /// Tokens that end soon are told so, those that ended are closed.
    pub fn due(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<Vec<Effect>, Broken> {
        let due = self.deadline().is_some_and(|at| at <= now);
        if !due {
            return Ok(Vec::new());
        }
        self.deadline = None;
        let leeway = self.config.auth.leeway;
        let mut ended = Vec::new();
        for connection in self.connections.values_mut() {
            let Some(until) = connection.grant.expires_at else {
                continue;
            };
            if until <= now {
                ended.push(connection.conn);
            } else if !connection.expiring_told && tell_expiring_at(until, leeway) <= now {
                connection.expiring_told = true;
                connection.dirty = true;
                let in_ms = until.minus(leeway).since(now);
                let event = Envelope::event("expiring", now, Json::of(&Expiring { in_ms }));
                connection
                    .out
                    .push(connection.protocol.encode_envelope(&event));
            }
        }
        let end = Rejected::new(
            Code::TokenExpired,
            "the token ended; connect with a new one",
        );
        for conn in ended {
            self.close(now, conn, &end, Leaving::Expired, sql)?;
        }
        Ok(std::mem::take(&mut self.effects))
    }

    /// The next time this home has to look, on the grid.
    pub fn deadline(&mut self) -> Option<Timestamp> {
        if self.deadline.is_none() {
            self.deadline = Some(self.next_look());
        }
        self.deadline.flatten()
    }

    fn next_look(&self) -> Option<Timestamp> {
        if self.connections.is_empty() {
            return None;
        }
        let mut at = Some(self.swept_at.plus(SWEEP_EVERY));
        let watched = self.is_watched();
        for connection in self.connections.values() {
            if watched {
                at = sooner(at, self.next_silence(connection));
            }
            if let Some(until) = connection.grant.expires_at {
                let tell = tell_expiring_at(until, self.config.auth.leeway);
                at = sooner(
                    at,
                    Some(if connection.expiring_told {
                        until
                    } else {
                        tell
                    }),
                );
            }
        }
        at.map(|at| at.on_grid(GRID))
    }

    /// Whether anybody could see the difference between present and gone.
    fn is_watched(&self) -> bool {
        let mut joined = self
            .connections
            .values()
            .filter(|other| other.joined.is_some());
        let Some(first) = joined.next() else {
            return false;
        };
        joined.any(|other| other.grant.user != first.grant.user)
    }

    fn next_silence(&self, connection: &Connection) -> Option<Timestamp> {
        let signs = &connection.signs;
        let ttl = signs.ttl(self.config.presence_ttl);
        if connection.joined.is_none() {
            None
        } else if connection.silent {
            // Counted from its own beginning: a rebuild does not put it off.
            let looks = self.swept_at.since(connection.connected_at).0 / ttl.0.max(1) + 1;
            Some(connection.connected_at.plus(ttl.times(looks)))
        } else if signs.armed {
            Some(signs.last().plus(ttl))
        } else {
            // Whether it pings at all is learnt at the first look after a TTL.
            (connection.connected_at.plus(ttl) > self.swept_at)
                .then(|| connection.connected_at.plus(ttl))
        }
    }

    /// A new token for a connection: the same person, perhaps with other rights.
    pub(super) fn renew(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        (id, verdict): (Option<&str>, &Result<Box<Grant>, Rejected>),
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        let grant = match verdict {
            Ok(grant) if grant.user == connection.grant.user => grant,
            Ok(_) => {
                let other = Rejected::new(Code::Forbidden, "the token is of another user");
                connection.refuse(id, &other, now);
                return Ok(());
            }
            Err(rejected) => {
                connection.refuse(id, rejected, now);
                return Ok(());
            }
        };
        connection.grant = (**grant).clone();
        connection.expiring_told = false;
        connection.dirty = true;
        store::write(sql, connection)?;
        if let Some(id) = id {
            let leeway = self.config.auth.leeway;
            let expires_at = connection.grant.expires_at.map(|until| until.minus(leeway));
            let reply = Ok(Reply::TokenRenewed { expires_at });
            connection
                .out
                .push(connection.protocol.encode_reply(id, &reply));
        }
        self.deadline = None;
        Ok(())
    }
}

/// 60 s before the token's own end, which is the leeway before ours.
fn tell_expiring_at(until: Timestamp, leeway: Millis) -> Timestamp {
    until.minus(leeway).minus(EXPIRING_BEFORE)
}

/// Close code for silence and idleness: come back, with back-off.
const NO_SIGN_OF_LIFE: u16 = 4408;
