//! A home: connections. Their sessions, signs of life, rates, frames to send, and who is in the
//! room. It knows nothing of the log or of the people behind other homes: what a room says comes
//! over the link and goes on to its connections, encoded once per protocol.
//!
//! Invariants: a connection is a row and an open socket with an attachment, or it is none; frames
//! of one connection are answered in order; a close never overtakes a frame; what was flushed is
//! on the attachments of the two oldest connections in the room.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::config::Config;
use crate::error::{Broken, Code, Rejected};
use crate::id::{Boot, ConnId, RoomName};
use crate::link::{CallNo, Leaving, Position, Present, RoomAsk, Up, WaiterNo};
use crate::sql::Sql;
use crate::time::Timestamp;
use crate::wire::Incoming;

use attachment::Attachment;
use connection::Connection;
pub use io::{Close, Effect, Entering, Flush, Frame, Input, Listed, Log};

mod attachment;
mod connection;
mod end;
mod flush;
mod io;
mod life;
mod receive;
mod request;
mod store;
#[cfg(test)]
mod tests;

/// The machine of one home.
#[derive(Debug)]
pub struct Home {
    room: RoomName,
    config: Rc<Config>,
    connections: BTreeMap<ConnId, Connection>,
    pending: BTreeMap<CallNo, Pending>,
    calls: u64,
    /// Messages of a frame, each taken when the one before has been done to its end.
    incoming: VecDeque<(ConnId, Incoming)>,
    link: Link,
    /// Of the running tick: what we end, and the frames that go out ahead of it.
    closes: Vec<Close>,
    parting: Vec<(ConnId, Rc<str>)>,
    effects: Vec<Effect>,
    has_schema: bool,
    swept_at: Timestamp,
    /// Recomputed when connections come, go or change their clocks.
    deadline: Option<Option<Timestamp>>,
}

/// A request of a connection that the room has not answered.
#[derive(Debug)]
struct Pending {
    conn: ConnId,
    id: Option<String>,
    what: Waiting,
}

#[derive(Debug)]
enum Waiting {
    /// The join of an upgrade: the 101 waits for it.
    Connect(WaiterNo),
    Join {
        meta: Option<crate::message::Json>,
    },
    Other,
}

/// The home's end of the link to its room.
#[derive(Debug, Default)]
struct Link {
    boot: Option<Boot>,
    /// Number of the last item received in that boot.
    received: u64,
    position: Option<Position>,
    /// What the attachments of the carriers say.
    on_sockets: Option<Position>,
    carriers: Vec<ConnId>,
    /// Somebody entered or left since the carriers were chosen.
    carriers_stale: bool,
}

impl Home {
    /// A home as its rows and the runtime's sockets have it. The returned effects tell the room
    /// who is here, if anybody is or was.
    pub fn open(
        now: Timestamp,
        room: RoomName,
        config: Rc<Config>,
        sockets: &[Listed],
        sql: &dyn Sql,
    ) -> Result<(Self, Vec<Effect>), Broken> {
        let has_schema = store::exists(sql)?;
        let mut home = Self {
            room,
            config,
            connections: BTreeMap::new(),
            pending: BTreeMap::new(),
            calls: 0,
            incoming: VecDeque::new(),
            link: Link::default(),
            closes: Vec::new(),
            parting: Vec::new(),
            effects: Vec::new(),
            has_schema,
            swept_at: now,
            deadline: None,
        };
        if has_schema {
            home.restore(now, sockets, sql)?;
        }
        home.close_strangers(sockets);
        let effects = std::mem::take(&mut home.effects);
        Ok((home, effects))
    }

    /// Decides one input; the messages of a frame wait for [`Home::next`], what is to be sent for
    /// [`Home::flush`].
    pub fn handle(
        &mut self,
        now: Timestamp,
        input: &Input,
        sql: &dyn Sql,
    ) -> Result<Vec<Effect>, Broken> {
        match input {
            Input::Closed { conn, code } => self.closed(now, *conn, *code, sql)?,
            Input::Connect { waiter, entering } => self.connect(now, *waiter, entering),
            Input::Down(down) => self.receive(now, down, sql)?,
            Input::Frame { conn, frame } => self.frame(now, *conn, frame, sql)?,
            Input::Sockets(sockets) => self.sweep(now, sockets, sql)?,
            Input::Verified { conn, id, verdict } => {
                self.renew(now, *conn, (id.as_deref(), verdict), sql)?;
            }
        }
        Ok(std::mem::take(&mut self.effects))
    }

    /// Takes the next message of a frame, once the effects of the one before are done: so replies
    /// come in the order of the requests. `None` when there is no more.
    pub fn next(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<Option<Vec<Effect>>, Broken> {
        let Some((conn, incoming)) = self.incoming.pop_front() else {
            return Ok(None);
        };
        self.incoming(now, conn, incoming, sql)?;
        Ok(Some(std::mem::take(&mut self.effects)))
    }

    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    fn restore(&mut self, now: Timestamp, sockets: &[Listed], sql: &dyn Sql) -> Result<(), Broken> {
        let listed: BTreeMap<ConnId, &Listed> =
            sockets.iter().map(|socket| (socket.conn, socket)).collect();
        let rows = store::connections(sql)?;
        if rows.is_empty() {
            return Ok(());
        }
        for mut connection in rows {
            let Some(socket) = listed.get(&connection.conn) else {
                self.forget(now, connection, (Leaving::Lost, "lost"), sql)?;
                continue;
            };
            let attachment = socket.attachment.as_deref().and_then(Attachment::decode);
            if let Some(attachment) = &attachment {
                connection.attach(attachment, socket.pinged_at);
                self.stand_at(attachment);
            }
            self.connections.insert(connection.conn, connection);
        }
        // Leaves of the lost are in the whole list that follows.
        self.effects
            .retain(|effect| !matches!(effect, Effect::Up(Up::Leave { .. })));
        self.link.carriers = self.oldest();
        self.link.on_sockets = self.link.position;
        let people = self.people();
        self.effects.push(Effect::Up(Up::Open {
            position: self.link.position,
            people,
        }));
        Ok(())
    }

    /// The furthest of the positions that the sockets carry.
    fn stand_at(&mut self, attachment: &Attachment) {
        let carried = attachment
            .positions
            .iter()
            .find(|(room, _)| *room == OWN_ROOM);
        let Some((_, carried)) = carried else { return };
        if self
            .link
            .position
            .is_none_or(|position| position.seq < carried.seq)
        {
            self.link.position = Some(*carried);
        }
    }

    /// An open socket without a row is no connection.
    fn close_strangers(&mut self, sockets: &[Listed]) {
        for socket in sockets {
            let known = self.connections.contains_key(&socket.conn);
            if socket.open && (!known || socket.attachment.is_none()) {
                let rejected = Rejected::new(Code::Internal, "this connection is not known here");
                self.closes.push(Close::refusal(socket.conn, &rejected));
            }
        }
    }

    /// Everybody of this home in its room, each once.
    fn people(&self) -> Vec<Present> {
        let mut people: BTreeMap<_, Present> = BTreeMap::new();
        for connection in self.connections.values() {
            if connection.joined.is_none() || connection.silent {
                continue;
            }
            people
                .entry(connection.grant.user.clone())
                .and_modify(|present| present.connections += 1)
                .or_insert_with(|| connection.present());
        }
        people.into_values().collect()
    }

    fn connect(&mut self, now: Timestamp, waiter: WaiterNo, entering: &Entering) {
        if let Err(rejected) = self.has_place_for(entering) {
            self.effects.push(Effect::Refuse { waiter, rejected });
            return;
        }
        let Entering {
            conn,
            grant,
            protocol,
            join,
        } = entering;
        let connection = Connection::new(now, *conn, grant.clone(), *protocol);
        let from = connection.asker();
        self.connections.insert(*conn, connection);
        let ask = RoomAsk::Join {
            join: join.clone(),
            again: false,
        };
        let call = self.call(*conn, None, Waiting::Connect(waiter));
        self.effects.push(Effect::Up(Up::Ask { call, from, ask }));
        self.deadline = None;
    }

    fn has_place_for(&self, entering: &Entering) -> Result<(), Rejected> {
        if self.connections.len() >= self.config.max_connections_per_room {
            let most = self.config.max_connections_per_room;
            return Err(Rejected::new(
                Code::Full,
                format!("the room has its {most} connections"),
            ));
        }
        let user = &entering.grant.user;
        let own = self
            .connections
            .values()
            .filter(|other| other.grant.user == *user)
            .count();
        if own >= self.config.max_connections_per_user {
            let most = self.config.max_connections_per_user;
            let detail = format!("one person has at most {most} connections here");
            return Err(Rejected::new(Code::RateLimited, detail));
        }
        Ok(())
    }

    /// Who is in the room changed: the clocks and the carriers are looked at again.
    fn changed(&mut self) {
        self.deadline = None;
        self.link.carriers_stale = true;
    }

    fn call(&mut self, conn: ConnId, id: Option<String>, what: Waiting) -> CallNo {
        self.calls += 1;
        let call = CallNo(self.calls);
        self.pending.insert(call, Pending { conn, id, what });
        call
    }
}

/// The number of the home's own room in an attachment.
const OWN_ROOM: u64 = 0;
