//! One object in a world of its own: virtual time, sockets that outlive it, an alarm, a queue and
//! consumers. Deaths are scheduled by the test: before the commit, or after it and before the
//! effects.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use tertulia::auth::Keys;
use tertulia::config::Config;
use tertulia::edge::alarm::Alarm;
use tertulia::edge::object::{Effects, Input, Object, Setting};
use tertulia::edge::stub::{Call, WorkerCall, WorkerOp, WorkerReply};
use tertulia::edge::turn::{self, Surroundings};
use tertulia::error::{Broken, Rejected};
use tertulia::grant::{Grant, Scopes};
use tertulia::home::{self, Entering, Frame, Listed};
use tertulia::http::Op;
use tertulia::id::{ConnId, JobId, RoomName, UserId};
use tertulia::link::{VERSION, WaiterNo};
use tertulia::message::{Answer, Join, Reply};
use tertulia::random::Random;
use tertulia::time::{Millis, Timestamp};
use tertulia::wire::Protocol;

use super::sqlite::Sqlite;

/// How the next tick ends. What a turn writes, the alarm included, the platform makes durable
/// together; frames, attachments and messages are what gets lost after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    AfterCommit,
    BeforeCommit,
    None,
}

/// A socket of the runtime: it outlives the object.
#[derive(Debug, Default)]
pub struct Socket {
    pub attachment: Option<Vec<u8>>,
    pub open: bool,
    pub pinged_at: Option<Timestamp>,
    /// Frames sent to the client and not yet read by the test.
    pub sent: VecDeque<Rc<str>>,
    /// We closed it.
    pub closed: Option<(u16, String)>,
}

pub struct World {
    pub now: Timestamp,
    pub sql: Sqlite,
    pub sockets: BTreeMap<ConnId, Socket>,
    pub alarm: Option<Timestamp>,
    /// Messages in the queue of jobs.
    pub messages: VecDeque<String>,
    /// Jobs the object runs itself.
    pub runs: VecDeque<JobId>,
    pub death: Death,
    /// The queue refuses what it is sent.
    pub queue_down: bool,
    /// The object forgets everything after every tick.
    pub forgetful: bool,
    /// Every life draws the same numbers, so that two worlds can be compared.
    pub constant: bool,
    pub forgotten: u32,
    /// What went wrong on our side: nothing, unless the test makes it so.
    pub failures: Vec<Broken>,
    pub may_fail: bool,
    /// Alarms that were set, and ticks.
    pub alarms_set: u64,
    pub ticks: u64,
    setting: Setting,
    object: Option<Object>,
    armed: Alarm,
    random: Random,
    seed: u64,
    waiters: u64,
    conns: u64,
}

/// What a waiting request got; nothing when the object died.
pub type Got<T> = Option<T>;

impl World {
    pub fn with(seed: u64, variables: &[(&str, &str)]) -> Self {
        let config = config(variables);
        let setting = Setting {
            room: RoomName::parse("plaza").unwrap(),
            keys: Rc::new(Keys::from(&config.auth).unwrap()),
            config: Rc::new(config),
            queue: true,
        };
        Self {
            now: Timestamp(1_790_000_000_000),
            sql: Sqlite::new(),
            sockets: BTreeMap::new(),
            alarm: None,
            messages: VecDeque::new(),
            runs: VecDeque::new(),
            death: Death::None,
            queue_down: false,
            forgetful: false,
            constant: false,
            forgotten: 0,
            failures: Vec::new(),
            may_fail: false,
            alarms_set: 0,
            ticks: 0,
            setting,
            object: None,
            armed: Alarm::Off,
            random: Random::seeded(seed),
            seed,
            waiters: 0,
            conns: 0,
        }
    }

    #[allow(dead_code, reason = "the benchmarks use it")]
    pub fn room(&self) -> &RoomName {
        &self.setting.room
    }

    pub fn without_queue(mut self) -> Self {
        self.setting.queue = false;
        self
    }

    /// Memory goes, sockets and rows stay.
    pub fn hibernate(&mut self) {
        self.object = None;
        self.armed = Alarm::Unknown;
        if self.constant {
            self.random = Random::seeded(self.seed);
        }
    }

    pub fn connect(&mut self, user: &str, join: Join) -> Got<Result<ConnId, Rejected>> {
        self.connect_as(grant(user), join)
    }

    /// An upgrade and, in the same turn, messages over HTTP that nobody waits for.
    pub fn connect_with(&mut self, user: &str, bodies: &[&str]) -> ConnId {
        self.conns += 1;
        let (conn, waiter) = (ConnId(self.conns), self.waiter());
        let join = Join::default();
        let entering = Entering {
            conn,
            grant: grant(user),
            protocol: Protocol::Native,
            join,
        };
        let entering = Box::new(entering);
        let mut inputs = vec![Input::Home(home::Input::Connect { waiter, entering })];
        for body in bodies {
            let op = format!(
                r#"{{"publish":{{"type":"message","body":"{body}","ephemeral":false,"echo":true}}}}"#
            );
            let op = serde_json::from_str(&op).unwrap();
            let (waiter, call) = (self.waiter(), Box::new(self.calling("http", body, op)));
            inputs.push(Input::Call { waiter, call });
        }
        self.tick(inputs);
        conn
    }

    pub fn connect_as(&mut self, grant: Grant, join: Join) -> Got<Result<ConnId, Rejected>> {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let entering = Box::new(Entering {
            conn,
            grant,
            protocol: Protocol::Native,
            join,
        });
        let waiter = self.waiter();
        let effects = self.tick(vec![Input::Home(home::Input::Connect { waiter, entering })])?;
        if effects.accepts.contains(&(waiter, conn)) {
            return Some(Ok(conn));
        }
        answer(effects, waiter).map(|answer| Err(answer.expect_err("no 101 and no refusal")))
    }

    pub fn frame(&mut self, conn: ConnId, text: &str) -> bool {
        self.frames(&[(conn, text.to_owned())])
    }

    /// Several frames in one tick. False when the object died in it.
    pub fn frames(&mut self, frames: &[(ConnId, String)]) -> bool {
        let frames = frames.iter().filter(|(conn, _)| self.is_open(*conn));
        let inputs = frames.map(|(conn, text)| {
            let frame = Frame::Text(text.clone());
            Input::Home(home::Input::Frame { conn: *conn, frame })
        });
        let inputs: Vec<Input> = inputs.collect();
        self.tick(inputs).is_some()
    }

    /// The runtime answers a bare ping by itself.
    pub fn ping(&mut self, conn: ConnId) {
        let now = self.now;
        if let Some(socket) = self.sockets.get_mut(&conn).filter(|socket| socket.open) {
            socket.pinged_at = Some(now);
        }
    }

    /// The client goes. In the handler the socket is still listed, without being open.
    pub fn close(&mut self, conn: ConnId, code: u16) {
        let Some(socket) = self.sockets.get_mut(&conn).filter(|socket| socket.open) else {
            return;
        };
        socket.open = false;
        socket.attachment = None;
        self.tick(vec![Input::Home(home::Input::Closed { conn, code })]);
        self.sockets.remove(&conn);
    }

    /// The same, and in the same turn a call that nobody waits for.
    pub fn close_with(&mut self, conn: ConnId, code: u16, request: &str, op: Op) {
        let waiter = self.waiter();
        let call = Box::new(self.calling("http", request, op));
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.open = false;
        }
        let closed = Input::Home(home::Input::Closed { conn, code });
        self.tick(vec![closed, Input::Call { waiter, call }]);
        self.sockets.remove(&conn);
    }

    /// The socket is gone and nobody was told.
    pub fn vanish(&mut self, conn: ConnId) {
        self.sockets.remove(&conn);
    }

    pub fn call(&mut self, user: &str, request: &str, op: Op) -> Got<Answer> {
        let waiter = self.waiter();
        let call = Box::new(self.calling(user, request, op));
        let effects = self.tick(vec![Input::Call { waiter, call }])?;
        answer(effects, waiter)
    }

    fn calling(&self, user: &str, request: &str, op: Op) -> Call {
        Call {
            v: VERSION,
            room: self.setting.room.clone(),
            grant: grant(user),
            request: request.to_owned(),
            op,
        }
    }

    pub fn ask(&mut self, user: &str, op: Op) -> Got<Result<Reply, Rejected>> {
        let request = format!("r{}", self.waiters);
        self.call(user, &request, op)
    }

    pub fn work(&mut self, op: WorkerOp) -> Got<WorkerReply> {
        let waiter = self.waiter();
        let call = Box::new(WorkerCall {
            v: VERSION,
            room: self.setting.room.clone(),
            op,
        });
        let effects = self.tick(vec![Input::Worker { waiter, call }])?;
        effects
            .verdicts
            .into_iter()
            .find(|(to, _)| *to == waiter)
            .map(|(_, reply)| reply)
    }

    /// Time passes up to `at`, and the alarm rings whenever it is due.
    pub fn advance(&mut self, length: Millis) {
        let until = self.now.plus(length);
        let mut rings = 0;
        while let Some(at) = self.alarm.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.alarm = None;
            self.armed = Alarm::Off;
            let sockets = listed(&self.sockets);
            let waiter = self.waiter();
            if self.tick(vec![Input::Alarm { waiter, sockets }]).is_none() {
                // An alarm whose run died is repeated by the runtime.
                self.now = self.now.plus(Millis(2000));
                self.alarm = Some(self.now);
            }
            rings += 1;
            // A grid of a second, and a few things that are exact.
            assert!(
                rings < 50 + 2 * length.0 / 1000,
                "the alarm rings without end"
            );
        }
        self.now = self.now.max(until);
    }

    pub fn is_open(&self, conn: ConnId) -> bool {
        self.sockets.get(&conn).is_some_and(|socket| socket.open)
    }

    /// What was sent to a client since the last look.
    pub fn received(&mut self, conn: ConnId) -> Vec<serde_json::Value> {
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return Vec::new();
        };
        let frames = socket.sent.drain(..);
        frames
            .map(|text| serde_json::from_str(&text).unwrap_or_else(|_| (&*text).into()))
            .collect()
    }

    /// The same, as it was sent.
    pub fn frames_of(&mut self, conn: ConnId) -> Vec<Rc<str>> {
        self.sockets
            .get_mut(&conn)
            .map(|socket| socket.sent.drain(..).collect())
            .unwrap_or_default()
    }

    /// Whether we closed it, and how.
    pub fn closed(&self, conn: ConnId) -> Option<(u16, String)> {
        self.sockets.get(&conn)?.closed.clone()
    }

    /// One turn by itself: what it leaves to be done is not.
    #[allow(dead_code, reason = "the benchmarks use it")]
    pub fn turn(&mut self, inputs: &[Input]) -> Effects {
        let (effects, failures) = self.run(inputs, Death::None);
        assert_eq!(failures, []);
        effects
    }

    fn run(&mut self, inputs: &[Input], death: Death) -> (Effects, Vec<Broken>) {
        let Self {
            sql,
            setting,
            random,
            object,
            now,
            sockets,
            ..
        } = self;
        turn::run(
            object,
            *now,
            inputs,
            &mut Surroundings {
                setting,
                sql,
                random,
                sockets: &|| listed(sockets),
                transaction: &mut |run| sql.transaction(death == Death::BeforeCommit, run),
            },
        )
    }

    /// One turn. `None` when the object died in it.
    pub fn tick(&mut self, inputs: Vec<Input>) -> Got<Effects> {
        self.ticks += 1;
        let death = std::mem::replace(&mut self.death, Death::None);
        let (effects, failures) = self.run(&inputs, death);
        assert!(self.may_fail || failures.is_empty(), "{failures:?}");
        self.failures.extend(failures);
        if death != Death::None {
            if death == Death::AfterCommit {
                self.arm(&effects);
            }
            self.hibernate();
            return None;
        }
        self.carry_out(&effects);
        if self.forgetful {
            self.hibernate();
        }
        Some(effects)
    }

    fn carry_out(&mut self, effects: &Effects) {
        for (_, conn) in &effects.accepts {
            self.sockets.insert(
                *conn,
                Socket {
                    open: true,
                    ..Socket::default()
                },
            );
        }
        for (conn, frame) in &effects.flush.sends {
            if let Some(socket) = self.sockets.get_mut(conn).filter(|socket| socket.open) {
                socket.sent.push_back(frame.clone());
            }
        }
        for (conn, bytes) in &effects.flush.attachments {
            if let Some(socket) = self.sockets.get_mut(conn).filter(|socket| socket.open) {
                socket.attachment = Some(bytes.clone());
            }
        }
        for close in &effects.flush.closes {
            if let Some(socket) = self.sockets.get_mut(&close.conn) {
                socket.open = false;
                socket.closed = Some((close.code, close.reason.clone()));
            }
        }
        self.arm(effects);
        if effects.forget {
            self.sql.clear();
            self.hibernate();
            self.alarm = None;
            self.armed = Alarm::Off;
            self.forgotten += 1;
        }
        self.runs.extend(&effects.runs);
        for (row, body) in &effects.sends {
            let ok = !self.queue_down;
            if ok {
                self.messages.push_back(body.clone());
            }
            self.tick(vec![Input::Sent { row: *row, ok }]);
        }
    }

    fn arm(&mut self, effects: &Effects) {
        let woke = self.armed == Alarm::Unknown;
        if let Some(at) = self.armed.arm(self.now, effects.deadline) {
            self.alarm = Some(at);
            self.alarms_set += 1;
        }
        if woke {
            // The runtime's answer comes in a tick of its own, which arms again.
            self.armed.learn(self.alarm);
            if let Some(at) = self.armed.arm(self.now, effects.deadline) {
                self.alarm = Some(at);
                self.alarms_set += 1;
            }
        }
    }

    fn waiter(&mut self) -> WaiterNo {
        self.waiters += 1;
        WaiterNo(self.waiters)
    }
}

fn listed(sockets: &BTreeMap<ConnId, Socket>) -> Vec<Listed> {
    let listed = sockets.iter().map(|(conn, socket)| Listed {
        conn: *conn,
        attachment: socket.attachment.clone(),
        open: socket.open,
        pinged_at: socket.pinged_at,
    });
    listed.collect()
}

fn answer(effects: Effects, waiter: WaiterNo) -> Got<Answer> {
    effects
        .answers
        .into_iter()
        .find(|(to, _)| *to == waiter)
        .map(|(_, answer)| answer)
}

pub fn grant(user: &str) -> Grant {
    Grant {
        user: UserId::parse(user).unwrap(),
        name: None,
        roles: Vec::new(),
        guest: false,
        scopes: Scopes::parse("rooms:join rooms:publish rooms:history jobs:read jobs:write"),
        rooms: None,
        expires_at: None,
    }
}

pub fn config(variables: &[(&str, &str)]) -> Config {
    let secret = [("JWT_SECRET", "0123456789abcdef0123456789abcdef")];
    let all: BTreeMap<&str, &str> = secret
        .into_iter()
        .chain(variables.iter().copied())
        .collect();
    Config::read(&|name| all.get(name).map(|value| (*value).to_owned())).unwrap()
}
