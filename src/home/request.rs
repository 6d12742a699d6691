//! A connection's frames: decoded, held to its rate and its rights, and turned into what the room
//! is asked. The table of scopes of the native operations is here, in [`scope_of`].
//! Source: `interface.md`, "Native protocol" and "Tokens".

use crate::error::{Broken, Code, Rejected};
use crate::grant::Scope;
use crate::id::{ConnId, MessageId, RoomName, Seq};
use crate::limits::{CURSOR_EVERY, RATE_STRIKES_MAX};
use crate::link::{Leaving, RoomAsk, Up};
use crate::message::{AckOf, Ask, Json, Reply, Request};
use crate::sql::Sql;
use crate::time::{Millis, Timestamp};
use crate::wire::{self, Incoming};

use super::{Effect, Frame, Home, Waiting, store};

impl Home {
    pub(super) fn frame(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        frame: &Frame,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let most = self.config.max_message_bytes;
        let every = Millis(self.config.presence_ttl.0 / 4);
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        connection.signs.last_frame = now;
        connection.dirty |= now.since(connection.signs.frame_on_socket) > every;
        if connection.silent {
            self.returned(conn, sql)?;
        }
        let frame = match frame {
            Frame::Text(text) if text.len() > most => {
                let rejected =
                    Rejected::new(Code::TooBig, format!("a frame has at most {most} bytes"));
                return self.close(now, conn, &rejected, Leaving::Closed, sql);
            }
            Frame::Text(text) => wire::Frame::Text(text),
            Frame::Binary => wire::Frame::Binary,
        };
        let mut incoming = Vec::new();
        let Some(connection) = self.connections.get(&conn) else {
            return Ok(());
        };
        connection.protocol.decode(frame, &mut incoming);
        self.incoming
            .extend(incoming.into_iter().map(|one| (conn, one)));
        Ok(())
    }

    pub(super) fn incoming(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        incoming: Incoming,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let per_s = self.config.rate_messages_per_s;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        if !connection.bucket.take(now, per_s) {
            let rejected = Rejected::new(
                Code::RateLimited,
                format!("at most {per_s} messages a second, with a burst of twice that"),
            );
            if connection.bucket.strikes > RATE_STRIKES_MAX {
                return self.close(now, conn, &rejected, Leaving::Removed, sql);
            }
            connection.refuse(id_of(&incoming), &rejected, now);
            return Ok(());
        }
        match incoming {
            Incoming::Echo(text) => {
                connection
                    .out
                    .push(connection.protocol.encode_echo(&text, now));
            }
            Incoming::Ping => {
                connection.signs.armed = true;
                connection.dirty = true;
                connection.out.push(connection.protocol.bare_pong().into());
                self.deadline = None;
            }
            Incoming::Refused { id, rejected } => connection.refuse(id.as_deref(), &rejected, now),
            Incoming::Request(request) => self.request(now, conn, request, sql)?,
        }
        Ok(())
    }

    fn request(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        request: Request,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let Request { id, ask } = request;
        if let Err(rejected) = self.may(conn, &ask) {
            self.reply(now, conn, id.as_deref(), &Err(rejected));
            return Ok(());
        }
        match ask {
            Ask::Ack(of) => {
                let answer = self.acknowledge(now, conn, &of);
                self.reply(now, conn, id.as_deref(), &answer);
            }
            Ask::Broadcast { publication, .. } => self.up(conn, id, RoomAsk::Publish(publication)),
            Ask::Cancel { job, .. } => self.up(conn, id, RoomAsk::Cancel { job }),
            Ask::Heartbeat { every } => self.set_heartbeat(now, conn, id.as_deref(), every),
            Ask::History { page, .. } => self.up(conn, id, RoomAsk::History(page)),
            Ask::Job { job, .. } => self.up(conn, id, RoomAsk::Job(job)),
            Ask::Join { join, .. } => self.join_again(conn, id, join),
            Ask::Leave { room } => self.leave_room(now, conn, id.as_deref(), room, sql)?,
            Ask::Members { after, limit, .. } => {
                self.up(conn, id, RoomAsk::Members { after, limit });
            }
            Ask::Ping { payload } => self.pong(now, conn, id.as_deref(), payload.as_ref()),
            Ask::Presence(status) => self.up(conn, id, RoomAsk::Presence(status)),
            Ask::Token { token } => self.effects.push(Effect::Verify { conn, id, token }),
        }
        Ok(())
    }

    /// Scope, room and membership, in this order: what a caller may not do at all is told first.
    fn may(&self, conn: ConnId, ask: &Ask) -> Result<(), Rejected> {
        let gone = || Rejected::new(Code::NotJoined, "the connection is closed");
        let connection = self.connections.get(&conn).ok_or_else(gone)?;
        if let Some(scope) = scope_of(ask) {
            connection.grant.require(scope)?;
        }
        if connection.grant.guest && matches!(ask, Ask::Presence(_)) {
            return Err(Rejected::new(
                Code::Forbidden,
                "guests have no status of their own",
            ));
        }
        if let Some(room) = room_of(ask) {
            connection.grant.enter(room, &self.config.role_rooms)?;
            if *room != self.room {
                let detail = format!(
                    "this connection is in the room {}; open another with /ws?room={room}",
                    self.room
                );
                return Err(Rejected::new(Code::NotHere, detail));
            }
        }
        if needs_membership(ask) && connection.joined.is_none() {
            return Err(Rejected::new(Code::NotJoined, "join the room first"));
        }
        Ok(())
    }

    fn up(&mut self, conn: ConnId, id: Option<String>, ask: RoomAsk) {
        self.up_waiting(conn, id, ask, Waiting::Other);
    }

    fn up_waiting(&mut self, conn: ConnId, id: Option<String>, ask: RoomAsk, what: Waiting) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let from = connection.asker();
        let call = self.call(conn, id, what);
        self.effects.push(Effect::Up(Up::Ask { call, from, ask }));
    }

    /// Joining again replaces `meta`; after a `leave` it enters anew.
    fn join_again(&mut self, conn: ConnId, id: Option<String>, join: crate::message::Join) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let again = connection.joined.is_some() && !connection.silent;
        let what = Waiting::Join {
            meta: join.meta.clone(),
        };
        self.up_waiting(conn, id, RoomAsk::Join { join, again }, what);
    }

    fn leave_room(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        id: Option<&str>,
        room: RoomName,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        self.reply(now, conn, id, &Ok(Reply::Left { room }));
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        connection.joined = None;
        connection.dirty = true;
        let unwritten = std::mem::take(&mut connection.cursor_row.unwritten);
        store::write(sql, connection)?;
        let user = connection.grant.user.clone();
        if let (true, Some(seq)) = (unwritten, connection.cursor) {
            self.effects.push(Effect::Up(Up::Cursor {
                user: user.clone(),
                seq,
            }));
        }
        self.effects.push(Effect::Up(Up::Leave {
            user,
            leaving: Leaving::Left,
        }));
        self.changed();
        Ok(())
    }

    fn acknowledge(&mut self, now: Timestamp, conn: ConnId, of: &AckOf) -> Result<Reply, Rejected> {
        let head = self.link.position;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Err(Rejected::new(Code::NotJoined, "the connection is closed"));
        };
        let told = head.map_or(Seq(0), |position| position.seq);
        let seq = match of {
            AckOf::UpTo { seq, .. } => *seq,
            AckOf::Message(MessageId::Logged { epoch, seq })
                if head.is_some_and(|position| position.epoch == *epoch) =>
            {
                // One message acknowledged moves the cursor only when it is the next.
                let cursor = connection.cursor.unwrap_or_default();
                if *seq == cursor.next() { *seq } else { cursor }
            }
            AckOf::Message(id) => {
                let detail = format!("{id} is no logged message of this room");
                return Err(Rejected::new(Code::NotFound, detail));
            }
        };
        if seq > told {
            let detail = format!("payload.seq: the room stands at {}", told.0);
            return Err(Rejected::new(Code::InvalidPayload, detail));
        }
        let cursor = connection.cursor.unwrap_or_default().max(seq);
        if connection.cursor != Some(cursor) {
            connection.cursor = Some(cursor);
            connection.cursor_row.unwritten = true;
            connection.dirty = true;
        }
        if now.since(connection.cursor_row.written_at) >= CURSOR_EVERY {
            self.write_cursor(now, conn);
        }
        Ok(Reply::Acknowledged { seq: cursor })
    }

    fn write_cursor(&mut self, now: Timestamp, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let (true, Some(seq)) = (connection.cursor_row.unwritten, connection.cursor) else {
            return;
        };
        connection.cursor_row.unwritten = false;
        connection.cursor_row.written_at = now;
        connection.dirty = true;
        let user = connection.grant.user.clone();
        self.effects.push(Effect::Up(Up::Cursor { user, seq }));
    }

    pub(super) fn write_cursors(&mut self, now: Timestamp) {
        let all: Vec<ConnId> = self.connections.keys().copied().collect();
        for conn in all {
            self.write_cursor(now, conn);
        }
    }

    fn set_heartbeat(&mut self, now: Timestamp, conn: ConnId, id: Option<&str>, every: Millis) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.signs.heartbeat = Some(every);
            connection.dirty = true;
            self.deadline = None;
        }
        self.reply(now, conn, id, &Ok(Reply::Heartbeat { every_ms: every }));
    }

    fn pong(&mut self, now: Timestamp, conn: ConnId, id: Option<&str>, payload: Option<&Json>) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection
                .out
                .push(connection.protocol.encode_pong(id, payload, now));
        }
    }
}

fn id_of(incoming: &Incoming) -> Option<&str> {
    match incoming {
        Incoming::Refused { id, .. } | Incoming::Request(Request { id, .. }) => id.as_deref(),
        Incoming::Echo(_) | Incoming::Ping => None,
    }
}

/// Which scope an operation needs; none for what concerns the connection alone.
const fn scope_of(ask: &Ask) -> Option<Scope> {
    match ask {
        Ask::Ack(_) | Ask::Join { .. } | Ask::Leave { .. } | Ask::Members { .. } => {
            Some(Scope::RoomsJoin)
        }
        Ask::Broadcast { .. } => Some(Scope::RoomsPublish),
        Ask::Cancel { .. } | Ask::Job { .. } => Some(Scope::JobsWrite),
        Ask::History { .. } => Some(Scope::RoomsHistory),
        Ask::Heartbeat { .. } | Ask::Ping { .. } | Ask::Presence(_) | Ask::Token { .. } => None,
    }
}

const fn room_of(ask: &Ask) -> Option<&RoomName> {
    match ask {
        Ask::Ack(AckOf::UpTo { room, .. })
        | Ask::Broadcast { room, .. }
        | Ask::Cancel { room, .. }
        | Ask::History { room, .. }
        | Ask::Job { room, .. }
        | Ask::Join { room, .. }
        | Ask::Leave { room }
        | Ask::Members { room, .. } => Some(room),
        Ask::Ack(AckOf::Message(_))
        | Ask::Heartbeat { .. }
        | Ask::Ping { .. }
        | Ask::Presence(_)
        | Ask::Token { .. } => None,
    }
}

const fn needs_membership(ask: &Ask) -> bool {
    matches!(
        ask,
        Ask::Ack(_)
            | Ask::Broadcast { .. }
            | Ask::Cancel { .. }
            | Ask::Job { .. }
            | Ask::Leave { .. }
            | Ask::Presence(_)
    )
}
