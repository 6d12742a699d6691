//! What the room says, on its way to the connections: numbers checked, positions kept, encoded
//! once per protocol. Source: `architecture.md`, "How a link delivers".

use std::rc::Rc;

use serde::Serialize;

use crate::error::Broken;
use crate::id::{ConnId, RoomName, UserId};
use crate::limits::ATTACHMENT_MAX_BYTES;
use crate::link::{Batch, CallNo, Down, Item, Position, Up};
use crate::message::{Answer, Envelope, Joined as JoinReply, Json, Reply};
use crate::sql::Sql;
use crate::time::{Millis, Timestamp};
use crate::wire::Protocol;

use super::connection::{Connection, Joined};
use super::{Effect, Home, Log, Pending, Waiting, store};

/// The body of `connected`.
#[derive(Serialize)]
struct Connected<'a> {
    conn: ConnId,
    user: &'a UserId,
    protocol: &'static str,
    limits: Limits,
    heartbeat_ms: Millis,
    ts: Timestamp,
    joined: &'a JoinReply,
    /// Rooms entered by themselves.
    rooms: [RoomName; 0],
}

#[derive(Serialize)]
struct Limits {
    max_message_bytes: usize,
    messages_per_s: u32,
}

/// One envelope as each protocol says it, made when first needed.
struct Encoded<'a> {
    envelope: &'a Envelope,
    frames: Vec<(Protocol, Rc<str>)>,
}

impl<'a> Encoded<'a> {
    fn new(envelope: &'a Envelope) -> Self {
        Self {
            envelope,
            frames: Vec::new(),
        }
    }

    fn for_protocol(&mut self, protocol: Protocol) -> Rc<str> {
        if let Some((_, frame)) = self.frames.iter().find(|(made, _)| *made == protocol) {
            return frame.clone();
        }
        let frame = protocol.encode_envelope(self.envelope);
        self.frames.push((protocol, frame.clone()));
        frame
    }
}

impl Home {
    pub(super) fn receive(
        &mut self,
        now: Timestamp,
        down: &Down,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        match down {
            Down::Answered { call, cut, answer } => self.answered(now, *call, *cut, answer, sql),
            Down::Items(batch) => {
                self.items(batch);
                Ok(())
            }
            Down::Resumed { position, items } => {
                for item in items {
                    self.deliver(item, 0);
                }
                self.link.position = Some(*position);
                Ok(())
            }
        }
    }

    /// Takes the items it does not have. A hole, or a new boot of the room, is no loss when the
    /// positions agree; else it asks for what it missed.
    fn items(&mut self, batch: &Batch) {
        let known = self.link.boot == Some(batch.boot);
        let follows = known && batch.first_n <= self.link.received + 1;
        let stands = self
            .link
            .position
            .is_none_or(|position| position == batch.prev);
        if !follows && !stands {
            let (position, people) = (self.link.position, self.people());
            self.effects.push(Effect::Up(Up::Open { position, people }));
            return;
        }
        let had = if known { self.link.received } else { 0 };
        for (n, item) in (batch.first_n..).zip(&batch.items) {
            if n > had || !known {
                self.deliver(item, n);
            }
        }
        self.link.boot = Some(batch.boot);
        self.link.received = (batch.first_n + batch.items.len() as u64)
            .saturating_sub(1)
            .max(had);
        self.link.position = Some(batch.position);
    }

    /// To every connection in the room that joined before item `n`; 0 is for all.
    fn deliver(&mut self, item: &Item, n: u64) {
        let envelope = &*item.envelope;
        let mut whole = Encoded::new(envelope);
        let skip = skip_of(envelope);
        let mut skips = skip.as_ref().map(Encoded::new);
        for connection in self.connections.values_mut() {
            let Some(joined) = &connection.joined else {
                continue;
            };
            if n > 0 && n <= joined.cut {
                continue;
            }
            let excluded = item.exclude.conn == Some(connection.conn)
                || item.exclude.users.contains(&connection.grant.user);
            let encoded = if excluded {
                skips.as_mut()
            } else {
                Some(&mut whole)
            };
            if let Some(encoded) = encoded {
                let frame = encoded.for_protocol(connection.protocol);
                connection.out.push(frame);
            }
        }
    }

    fn answered(
        &mut self,
        now: Timestamp,
        call: CallNo,
        cut: u64,
        answer: &Answer,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let Some(Pending { conn, id, what }) = self.pending.remove(&call) else {
            return Ok(());
        };
        match (what, answer) {
            (Waiting::Connect(waiter), Err(rejected)) => {
                self.connections.remove(&conn);
                self.deadline = None;
                let rejected = rejected.clone();
                self.effects.push(Effect::Refuse { waiter, rejected });
                return Ok(());
            }
            (Waiting::Connect(waiter), Ok(Reply::Joined(joined))) => {
                self.enter(conn, cut, None, joined, sql)?;
                self.greet(now, conn, joined);
                self.effects.push(Effect::Accept { waiter, conn });
                return Ok(());
            }
            (Waiting::Join { meta }, Ok(Reply::Joined(joined))) => {
                self.enter(conn, cut, meta, joined, sql)?;
                self.reply(now, conn, id.as_deref(), answer);
                self.tell_gap(now, conn, joined);
            }
            _ => self.reply(now, conn, id.as_deref(), answer),
        }
        Ok(())
    }

    /// A connection is in the room from item `cut` on.
    fn enter(
        &mut self,
        conn: ConnId,
        cut: u64,
        meta: Option<Json>,
        joined: &JoinReply,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        if !self.has_schema {
            store::create(sql)?;
            self.has_schema = true;
        }
        self.changed();
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        let meta = meta.or_else(|| connection.joined.take().and_then(|before| before.meta));
        connection.joined = Some(Joined { meta, cut });
        store::write(sql, connection)?;
        if self.link.position.is_none() {
            // The first here: it stands where the reply says, with the members as it lists them.
            let (epoch, seq) = (joined.epoch, joined.seq);
            self.link.position = Some(Position {
                epoch,
                seq,
                rev: joined.rev,
            });
        }
        Ok(())
    }

    fn greet(&mut self, now: Timestamp, conn: ConnId, joined: &JoinReply) {
        let limits = Limits {
            max_message_bytes: self.config.max_message_bytes,
            messages_per_s: self.config.rate_messages_per_s,
        };
        let heartbeat_ms = self.config.heartbeat;
        let total = self.connections.len();
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let body = Connected {
            conn,
            user: &connection.grant.user,
            protocol: connection.protocol.name(),
            limits,
            heartbeat_ms,
            ts: now,
            joined,
            rooms: [],
        };
        let event = Envelope::event("connected", now, Json::of(&body));
        connection
            .out
            .insert(0, connection.protocol.encode_envelope(&event));
        let user = connection.grant.user.to_string();
        self.effects.push(Effect::Log(Log::Connected {
            conn,
            user,
            connections: total,
        }));
        self.tell_gap(now, conn, joined);
    }

    fn tell_gap(&mut self, now: Timestamp, conn: ConnId, joined: &JoinReply) {
        let (Some(gap), Some(connection)) = (&joined.gap, self.connections.get_mut(&conn)) else {
            return;
        };
        let event = Envelope::event("gap", now, Json::of(gap)).in_room(&gap.room);
        connection
            .out
            .push(connection.protocol.encode_envelope(&event));
    }

    /// Exactly one reply to a message with an id; without one, only a refusal is told.
    pub(super) fn reply(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        id: Option<&str>,
        answer: &Answer,
    ) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        match (id, answer) {
            (Some(id), answer) => {
                connection
                    .out
                    .push(connection.protocol.encode_reply(id, answer));
            }
            (None, Err(rejected)) => connection.refuse(None, rejected, now),
            (None, Ok(_)) => {}
        }
    }

    /// The two oldest connections in the room carry the home's position.
    pub(super) fn oldest(&self) -> Vec<ConnId> {
        let joined = self
            .connections
            .values()
            .filter(|connection| connection.joined.is_some());
        let mut oldest: Vec<(Timestamp, ConnId)> = joined
            .map(|connection| (connection.connected_at, connection.conn))
            .collect();
        if oldest.len() > CARRIERS {
            oldest.select_nth_unstable(CARRIERS);
            oldest.truncate(CARRIERS);
        }
        oldest.sort_unstable();
        oldest.into_iter().map(|(_, conn)| conn).collect()
    }

    pub(super) fn attachment_of(connection: &Connection, position: Option<Position>) -> Vec<u8> {
        let mut attachment = connection.attachment();
        attachment
            .positions
            .extend(position.map(|position| (super::OWN_ROOM, position)));
        let bytes = attachment.encode();
        debug_assert!(
            bytes.len() <= ATTACHMENT_MAX_BYTES,
            "limits.rs has the arithmetic"
        );
        bytes
    }
}

/// What stands for a logged entry before those it excludes.
fn skip_of(envelope: &Envelope) -> Option<Envelope> {
    let (room, seq, epoch) = (envelope.room.as_ref()?, envelope.seq?, envelope.epoch?);
    Some(Envelope::skip(room, seq, epoch, envelope.ts))
}

/// How many connections carry the position: if one is lost at the wrong moment, the other has it.
const CARRIERS: usize = 2;
