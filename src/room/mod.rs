//! A room: people and messages. Members, presence, log, recovery. It knows its link to a home,
//! and no socket and no protocol; it says each thing once per link.
//!
//! Invariants: what is said is in the log or the member rows first (the tick commits before
//! anything leaves); seq rises by one per logged entry; everybody sees every seq, or a `skip` in
//! its place; a room rebuilt from its rows goes on as the one kept in memory.

use std::rc::Rc;

use crate::config::Config;
use crate::error::Broken;
use crate::id::{Boot, Epoch, RoomName};
use crate::limits::{COUNTED_EVERY, GRID};
use crate::link::{Asker, Batch, CallNo, Down, Item, Position, ReplyTo, Rev, RoomAsk, Up};
use crate::message::{Answer, Envelope, HistoryPage, Reply};
use crate::random::Random;
use crate::sql::Sql;
use crate::time::{Timestamp, sooner};

pub use io::{Effect, Input};
use log::{Entry, Extent, Of};
use member::People;
use store::Head;

mod answer;
mod io;
mod log;
mod member;
mod notice;
mod presence;
mod publication;
mod recovery;
mod store;
#[cfg(test)]
mod tests;

/// The machine of one room.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    config: Rc<Config>,
    random: Random,
    boot: Boot,
    /// `None`: this room never was, and a read answers empty.
    head: Option<Head>,
    extent: Extent,
    /// When the last key of a publish is forgotten.
    keys_until: Timestamp,
    people: People,
    /// Items said in this boot.
    said: u64,
    /// Where the link stood after the last batch.
    told: Position,
    /// Of the running tick.
    turn: Turn,
    ephemerals: u64,
}

/// What one tick gathers.
#[derive(Debug, Default)]
struct Turn {
    items: Vec<Item>,
    effects: Vec<Effect>,
    members_changed: bool,
    head_changed: bool,
    logged: bool,
}

impl Room {
    /// A room as its rows have it.
    pub fn open(
        name: RoomName,
        config: Rc<Config>,
        mut random: Random,
        sql: &dyn Sql,
    ) -> Result<Self, Broken> {
        let head = if store::exists(sql)? {
            store::head(sql)?
        } else {
            None
        };
        let (extent, keys_until, people) = match &head {
            Some(head) => (
                log::extent(sql, head.seq)?,
                store::keys_until(sql)?,
                store::members(sql)?.into_iter().collect(),
            ),
            None => Default::default(),
        };
        let boot = Boot(random.bits(48));
        let mut room = Self {
            name,
            config,
            random,
            boot,
            head,
            extent,
            keys_until,
            people,
            said: 0,
            told: Position {
                epoch: Epoch(0),
                seq: crate::id::Seq(0),
                rev: Rev(0),
            },
            turn: Turn::default(),
            ephemerals: 0,
        };
        room.told = room.position();
        Ok(room)
    }

    /// Decides one input. Its rows are written when this returns; the effects wait for the
    /// commit.
    pub fn handle(
        &mut self,
        now: Timestamp,
        input: &Input,
        sql: &dyn Sql,
    ) -> Result<Vec<Effect>, Broken> {
        match input {
            Input::Call {
                to,
                from,
                origin,
                ask,
            } => {
                self.ask(now, (*to, from, Some(origin)), ask, sql)?;
            }
            Input::Up(up) => self.up(now, up, sql)?,
            job => self.job(now, job, sql)?,
        }
        Ok(self.take())
    }

    /// Does what its time has come for.
    pub fn due(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<Vec<Effect>, Broken> {
        self.let_go(now, sql)?;
        self.tell_counts(now, sql)?;
        Ok(self.take())
    }

    /// Ends the tick: the rows that one tick writes once.
    pub fn finish(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<(), Broken> {
        let turn = std::mem::take(&mut self.turn);
        let Some(head) = &mut self.head else {
            return Ok(());
        };
        if turn.members_changed || turn.head_changed {
            store::write_head(sql, head)?;
        }
        let keep = (self.config.history_max, self.config.history_ttl);
        if turn.logged && log::retain(sql, now, head.seq, &self.extent, keep)? {
            self.extent = log::extent(sql, head.seq)?;
        }
        Ok(())
    }

    /// When something is due by itself. An empty room has one deadline, at the end of its
    /// history.
    pub fn deadline(&self) -> Option<Timestamp> {
        let head = self.head.as_ref()?;
        if self.people.is_empty() {
            return Some(self.forgotten_at());
        }
        let leaving = self.people.next_leaving(self.config.presence_grace);
        let counts =
            (head.counted && self.people.has_untold()).then(|| head.counted_at.plus(COUNTED_EVERY));
        sooner(leaving, counts).map(|at| at.on_grid(GRID))
    }

    /// Whether nobody is here and the last entry has had its time: nothing of it need be kept.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.head.is_some() && self.people.is_empty() && self.forgotten_at() <= now
    }

    /// When the last entry and the last key have had their time; long ago where there are none.
    fn forgotten_at(&self) -> Timestamp {
        let log = match self.extent.last_ts {
            Timestamp(0) => Timestamp(0),
            last => last.plus(self.config.history_ttl),
        };
        log.max(self.keys_until).on_grid(GRID)
    }

    fn up(&mut self, now: Timestamp, up: &Up, sql: &dyn Sql) -> Result<(), Broken> {
        match up {
            Up::Ask { call, from, ask } => {
                self.ask(now, (ReplyTo::Link(*call), from, None), ask, sql)
            }
            Up::Cursor { user, seq } => match self.head {
                Some(head) => store::write_cursor(sql, user, (*seq).min(head.seq)),
                None => Ok(()),
            },
            Up::Leave { user, leaving } => self.leave(now, user, *leaving, sql),
            Up::Open { position, people } => self.open_link(now, *position, people, sql),
            Up::Return { present } => self.come_back(now, present, sql),
        }
    }

    fn ask(
        &mut self,
        now: Timestamp,
        (to, from, origin): (ReplyTo, &Asker, Option<&String>),
        ask: &RoomAsk,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let user = &from.author.user;
        match ask {
            RoomAsk::History(query) => {
                let page = match self.of() {
                    Some(of) => log::page(sql, of, query, user)?,
                    None => HistoryPage {
                        epoch: None,
                        messages: Vec::new(),
                        next: None,
                    },
                };
                self.answer(to, Ok(Reply::History(page)));
                Ok(())
            }
            RoomAsk::Join { join, again } => self.join(now, (to, from), (join, *again), sql),
            RoomAsk::Members { after, limit } => {
                let page = self.people.page(after.as_ref(), *limit);
                self.answer(to, Ok(Reply::Members(page)));
                Ok(())
            }
            RoomAsk::Presence(status) => self.set_status(now, (to, user), status, sql),
            RoomAsk::Publish(publication) => {
                self.publish(now, (to, from, origin), publication, sql)
            }
            RoomAsk::Cancel { .. } | RoomAsk::Job(_) => {
                Err(Broken("jobs are asked of the queue".to_owned()))
            }
        }
    }

    /// Makes the room be: its tables and its epoch.
    fn ensure(&mut self, sql: &dyn Sql) -> Result<Head, Broken> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        store::create(sql)?;
        let head = Head {
            epoch: Epoch(self.random.bits(48)),
            seq: crate::id::Seq(0),
            rev: Rev(0),
            counted: false,
            counted_at: Timestamp(0),
        };
        store::write_head(sql, &head)?;
        self.head = Some(head);
        self.extent = Extent {
            first: head.seq.next(),
            ..Extent::default()
        };
        self.told = self.position();
        Ok(head)
    }

    /// Logs an entry and returns it as it is told.
    fn append(&mut self, now: Timestamp, entry: Entry, sql: &dyn Sql) -> Result<Envelope, Broken> {
        let head = self.ensure(sql)?;
        let seq = head.seq.next();
        log::append(sql, seq, now, &entry)?;
        self.head = Some(Head { seq, ..head });
        if self.extent.first == seq {
            self.extent.first_ts = now;
        }
        self.extent.last_ts = now;
        self.turn.logged = true;
        Ok(entry.into_envelope(
            Of {
                room: &self.name,
                epoch: head.epoch,
            },
            seq,
            now,
        ))
    }

    fn of(&self) -> Option<Of<'_>> {
        self.head.map(|head| Of {
            room: &self.name,
            epoch: head.epoch,
        })
    }

    fn position(&self) -> Position {
        match self.head {
            Some(head) => Position {
                epoch: head.epoch,
                seq: head.seq,
                rev: head.rev,
            },
            None => Position {
                epoch: Epoch(0),
                seq: crate::id::Seq(0),
                rev: Rev(0),
            },
        }
    }

    /// Says one thing on the link.
    fn say(&mut self, item: Item) {
        self.turn.items.push(item);
    }

    /// An answer stands behind what was said before it and ahead of what is said after.
    fn answer(&mut self, to: ReplyTo, answer: Answer) {
        self.close_batch();
        self.turn.effects.push(match to {
            ReplyTo::Link(call) => self.answered(call, answer),
            ReplyTo::Waiter(_) => Effect::Answer { to, answer },
        });
    }

    fn answered(&self, call: CallNo, answer: Answer) -> Effect {
        Effect::Down(Down::Answered {
            call,
            cut: self.said,
            answer,
        })
    }

    fn close_batch(&mut self) {
        if self.turn.items.is_empty() {
            return;
        }
        let items = std::mem::take(&mut self.turn.items);
        let (first_n, prev) = (self.said + 1, self.told);
        self.said += items.len() as u64;
        self.told = self.position();
        let batch = Batch {
            boot: self.boot,
            first_n,
            prev,
            position: self.told,
            items,
        };
        self.turn.effects.push(Effect::Down(Down::Items(batch)));
    }

    fn take(&mut self) -> Vec<Effect> {
        self.close_batch();
        std::mem::take(&mut self.turn.effects)
    }
}
