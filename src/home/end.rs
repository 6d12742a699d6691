//! How a connection ends: by its peer, by us, or found lost. Its row goes, and the room is told
//! what follows from the way it went.

use crate::error::{Broken, Rejected};
use crate::id::ConnId;
use crate::link::{Leaving, Up};
use crate::sql::Sql;
use crate::time::Timestamp;

use super::connection::Connection;
use super::{Close, Effect, Home, Log, store};

impl Home {
    /// The peer ended it. Abnormal ends are given the grace time.
    pub(super) fn closed(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        code: u16,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let Some(connection) = self.connections.remove(&conn) else {
            return Ok(());
        };
        let leaving = if code == 1000 {
            Leaving::Closed
        } else {
            Leaving::Dropped
        };
        self.forget(now, connection, (leaving, &format!("close {code}")), sql)
    }

    /// We end it: the reason goes out behind what was said before.
    pub(super) fn close(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        rejected: &Rejected,
        leaving: Leaving,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let Some(mut connection) = self.connections.remove(&conn) else {
            return Ok(());
        };
        self.parting
            .extend(connection.out.drain(..).map(|frame| (conn, frame)));
        self.closes.push(Close::refusal(conn, rejected));
        self.forget(now, connection, (leaving, &rejected.close_reason()), sql)
    }

    pub(super) fn forget(
        &mut self,
        now: Timestamp,
        connection: Connection,
        (leaving, reason): (Leaving, &str),
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        self.changed();
        store::delete(sql, connection.conn)?;
        let user = connection.grant.user.clone();
        if let (true, Some(seq)) = (connection.cursor_row.unwritten, connection.cursor) {
            self.effects.push(Effect::Up(Up::Cursor {
                user: user.clone(),
                seq,
            }));
        }
        self.effects.push(Effect::Log(Log::Disconnected {
            conn: connection.conn,
            user: user.to_string(),
            reason: reason.to_owned(),
            lasted_ms: now.since(connection.connected_at).0,
        }));
        if connection.joined.is_some() && !connection.silent {
            self.effects.push(Effect::Up(Up::Leave { user, leaving }));
        }
        Ok(())
    }
}

impl Close {
    pub(super) fn refusal(conn: ConnId, rejected: &Rejected) -> Self {
        let code = rejected.code.row().close;
        Self {
            conn,
            code,
            reason: rejected.close_reason(),
        }
    }
}
