//! The three machines of a room's object, side by side: home, room and queue. They never name
//! each other; they meet in `exchange.rs`. Pure: compiled on the host, where the simulation runs it.

use std::rc::Rc;

use crate::auth::Keys;
use crate::config::Config;
use crate::error::Broken;
use crate::home::{self, Flush, Home, Listed};
use crate::id::{ConnId, JobId, RoomName};
use crate::link::WaiterNo;
use crate::message::Answer;
use crate::queue::{self, OutboxNo, Queue};
use crate::random::Random;
use crate::room::Room;
use crate::sql::Sql;
use crate::time::{Timestamp, sooner};

use super::calls::worker_input;
use super::stub::{self, WorkerReply};

/// One thing that happened to an object.
#[derive(Debug)]
pub enum Input {
    /// The alarm rang; all sockets as they are. It rings no more until its handler has ended, which
    /// waits for the tick.
    Alarm {
        waiter: WaiterNo,
        sockets: Vec<Listed>,
    },
    /// A client's HTTP request.
    Call {
        waiter: WaiterNo,
        call: Box<stub::Call>,
    },
    /// What a socket did.
    Home(home::Input),
    /// A queue took a message, or did not.
    Sent { row: OutboxNo, ok: bool },
    /// A consumer's word.
    Worker {
        waiter: WaiterNo,
        call: Box<stub::WorkerCall>,
    },
}

impl Input {
    /// Who waits for its tick.
    pub const fn waiter(&self) -> Option<WaiterNo> {
        match self {
            Self::Alarm { waiter, .. }
            | Self::Call { waiter, .. }
            | Self::Home(home::Input::Connect { waiter, .. })
            | Self::Worker { waiter, .. } => Some(*waiter),
            Self::Home(_) | Self::Sent { .. } => None,
        }
    }
}

/// Why the clock matters to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Home,
    Queue,
    Room,
}

impl Reason {
    pub const ALL: [Reason; 3] = [Reason::Home, Reason::Queue, Reason::Room];
}

/// What a tick leaves to be done once its transaction has returned.
#[derive(Debug, Default)]
pub struct Effects {
    /// Upgrades that are answered 101, before anything is sent.
    pub accepts: Vec<(WaiterNo, ConnId)>,
    pub flush: Flush,
    /// When to ring at the latest.
    pub deadline: Option<Timestamp>,
    pub answers: Vec<(WaiterNo, Answer)>,
    pub verdicts: Vec<(WaiterNo, WorkerReply)>,
    /// Messages for the queue of jobs.
    pub sends: Vec<(OutboxNo, String)>,
    /// Jobs to be run here, without a queue.
    pub runs: Vec<JobId>,
    pub log: Vec<home::Log>,
    /// Nothing of the room need be kept: delete all.
    pub forget: bool,
}

/// What an object knows beside its rows.
#[derive(Debug, Clone)]
pub struct Setting {
    pub room: RoomName,
    pub config: Rc<Config>,
    pub keys: Rc<Keys>,
    /// A queue of jobs is bound.
    pub queue: bool,
}

/// The machines, rebuilt from rows and sockets whenever the object wakes.
#[derive(Debug)]
pub struct Object {
    pub(super) setting: Setting,
    pub(super) home: Home,
    pub(super) room: Room,
    pub(super) queue: Queue,
    /// What the running tick has gathered.
    pub(super) effects: Effects,
}

impl Object {
    pub fn wake(
        now: Timestamp,
        setting: &Setting,
        random: &mut Random,
        sockets: &[Listed],
        sql: &dyn Sql,
    ) -> Result<Self, Broken> {
        let Setting {
            room: name, config, ..
        } = setting;
        let mut fork = || Random::seeded(random.bits(64));
        let room = Room::open(name.clone(), config.clone(), fork(), sql)?;
        let settings = queue::Settings {
            jobs: config.jobs.clone(),
            queue: setting.queue,
            fallback: config.queue_fallback,
            guest_jobs_per_min: config.guest_jobs_per_min,
        };
        let mut queue = Queue::new(name.clone(), settings, fork());
        queue.rebuild(sql)?;
        let (home, first) = Home::open(now, name.clone(), config.clone(), sockets, sql)?;
        let effects = Effects::default();
        let mut object = Self {
            setting: setting.clone(),
            home,
            room,
            queue,
            effects,
        };
        object.home_did(now, first, sql)?;
        Ok(object)
    }

    pub fn handle(&mut self, now: Timestamp, input: &Input, sql: &dyn Sql) -> Result<(), Broken> {
        match input {
            Input::Alarm { sockets, .. } => {
                self.home_takes(now, &home::Input::Sockets(sockets.clone()), sql)
            }
            Input::Call { waiter, call } => self.call(now, *waiter, call, sql),
            Input::Home(input) => {
                self.home_takes(now, input, sql)?;
                while let Some(effects) = self.home.next(now, sql)? {
                    self.home_did(now, effects, sql)?;
                }
                Ok(())
            }
            Input::Sent { row, ok } => {
                self.queue_takes(now, &queue::Input::Sent { row: *row, ok: *ok }, sql)
            }
            Input::Worker { waiter, call } => {
                self.queue_takes(now, &worker_input(*waiter, &call.op), sql)
            }
        }
    }

    /// Ends the tick: what is due, for each of these reasons, what is written once, and what is
    /// left to do.
    pub fn finish(
        &mut self,
        now: Timestamp,
        reasons: &[Reason],
        sql: &dyn Sql,
    ) -> Result<Effects, Broken> {
        for reason in reasons {
            match reason {
                Reason::Home => {
                    let effects = self.home.due(now, sql)?;
                    self.home_did(now, effects, sql)?;
                }
                Reason::Queue => {
                    let effects = self.queue.due(now, sql)?;
                    self.queue_did(now, effects, sql)?;
                }
                Reason::Room => {
                    let effects = self.room.due(now, sql)?;
                    self.room_did(now, effects, sql)?;
                }
            }
        }
        self.room.finish(now, sql)?;
        let mut effects = std::mem::take(&mut self.effects);
        effects.flush = self.home.flush();
        effects.forget =
            self.home.is_empty() && self.room.is_over(now) && self.queue.is_idle(sql)?;
        // An empty room past its history waits for its jobs, not for itself.
        let room = self.room.deadline().filter(|at| *at > now);
        let deadline = sooner(
            sooner(self.home.deadline(), room),
            self.queue.deadline(sql)?,
        );
        effects.deadline = deadline.filter(|_| !effects.forget);
        Ok(effects)
    }
}
