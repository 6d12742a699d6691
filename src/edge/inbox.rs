//! An object's inbox and its tick: the only place where the machines run. Handlers push an input
//! and return; one `setTimeout(0)` later the inbox is drained in one `transactionSync`, and the
//! effects are carried out after it, in the order of `decisions.md`, "The tick".
//!
//! Invariants: one cell, never borrowed across an await nor while the machines run; nothing is
//! awaited in a tick; a waiter that is dropped is answered `internal`.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

use futures::channel::oneshot;
use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;

use crate::config::LogLevel;
use crate::error::{Broken, Code, Rejected};
use crate::home::{self, Listed};
use crate::id::{ConnId, RoomName};
use crate::limits::INBOX_MAX;
use crate::link::WaiterNo;
use crate::message::Answer;
use crate::random::Random;
use crate::time::Timestamp;

use super::alarm::Alarm;
use super::effects;
use super::js::{self, Socket, State, Storage};
use super::log::Line;
use super::object::{Input, Object, Setting};
use super::setup::Setup;
use super::sql::ObjectSql;
use super::stub::WorkerReply;
use super::turn::{self, Surroundings};
use super::{clock, log};

/// What a waiter gets.
#[derive(Debug)]
pub enum Outcome {
    /// The upgrade was taken: answer 101.
    Accepted,
    Answer(Answer),
    Verdict(WorkerReply),
}

/// One object's runtime side.
pub struct Inbox {
    pub(super) state: State,
    pub(super) storage: Storage,
    pub(super) env: JsValue,
    pub(super) setting: Setting,
    sql: ObjectSql,
    cell: RefCell<Cell>,
    /// Made once: the callback of every tick's timer.
    timer: Closure<dyn Fn()>,
    /// Made once: a promise that is let go reports here.
    pub(super) failed: Closure<dyn FnMut(JsValue)>,
}

/// Everything that changes.
#[derive(Default)]
pub(super) struct Cell {
    inputs: Vec<Input>,
    waiters: BTreeMap<WaiterNo, oneshot::Sender<Outcome>>,
    /// Sockets that wait for their 101.
    pub(super) upgrades: BTreeMap<WaiterNo, Socket>,
    /// Sockets by connection; `None` until the first tick has listed them.
    pub(super) sockets: Option<HashMap<ConnId, Socket>>,
    object: Option<Object>,
    pub(super) alarm: Alarm,
    random: Option<Random>,
    waiter: u64,
    /// A timer is set and has not fired.
    pending: bool,
    /// The alarm has been asked for since the wake.
    asked_alarm: bool,
}

impl Inbox {
    /// Reads nothing, schedules nothing: this runs at every wake.
    pub fn new(state: State, env: JsValue, setup: &Setup, room: RoomName) -> Rc<Self> {
        let storage = state.storage();
        let queue = !js::field(&env, super::queue::BINDING).is_undefined();
        let Setup { config, keys } = setup.clone();
        let setting = Setting {
            room,
            config,
            keys,
            queue,
        };
        Rc::new_cyclic(|this: &Weak<Self>| {
            let this = this.clone();
            let timer = Closure::<dyn Fn()>::own_assert_unwind_safe(move || {
                let Some(inbox) = this.upgrade() else { return };
                // Nothing may leave through JavaScript: whoever still waits is dropped, and so
                // answered `internal`.
                if catch_unwind(AssertUnwindSafe(|| inbox.tick())).is_err() {
                    log::broken("panic", "outside of a transaction");
                    inbox.cell.borrow_mut().object = None;
                }
            });
            let failed = Closure::own(|error: JsValue| log::broken("promise", &js::text(&error)));
            let sql = ObjectSql::new(storage.sql());
            Self {
                state,
                storage,
                env,
                setting,
                sql,
                cell: RefCell::default(),
                timer,
                failed,
            }
        })
    }

    /// For what nobody waits for. False when the inbox is full.
    pub fn push(&self, input: Input) -> bool {
        let mut cell = self.cell.borrow_mut();
        if cell.inputs.len() >= INBOX_MAX {
            return false;
        }
        cell.inputs.push(input);
        let schedule = !std::mem::replace(&mut cell.pending, true);
        drop(cell);
        if schedule {
            self.schedule();
        }
        true
    }

    /// For a request: what its tick says, after the commit.
    pub async fn ask(&self, input: impl FnOnce(WaiterNo) -> Input) -> Outcome {
        self.ask_with(None, input).await
    }

    /// For an upgrade: `server` is accepted in the tick, before the 101.
    pub async fn ask_with(
        &self,
        server: Option<Socket>,
        input: impl FnOnce(WaiterNo) -> Input,
    ) -> Outcome {
        let (sender, receiver) = oneshot::channel();
        let waiter = {
            let mut cell = self.cell.borrow_mut();
            cell.waiter += 1;
            let waiter = WaiterNo(cell.waiter);
            cell.waiters.insert(waiter, sender);
            cell.upgrades.extend(server.map(|server| (waiter, server)));
            waiter
        };
        if !self.push(input(waiter)) {
            let mut cell = self.cell.borrow_mut();
            cell.waiters.remove(&waiter);
            cell.upgrades.remove(&waiter);
            let full = Rejected::new(Code::Unavailable, "the room has too much to do; try again");
            return Outcome::Answer(Err(full));
        }
        receiver.await.unwrap_or_else(|_| {
            let lost = Rejected::new(Code::Internal, "this failed on our side");
            Outcome::Answer(Err(lost))
        })
    }

    /// The alarm rings: it is not set any more, and every socket is looked at.
    pub async fn ring(&self) {
        Line::new(LogLevel::Debug, "alarm_rings")
            .with("room", self.setting.room.to_string())
            .with("now", clock::now().0)
            .write(self.setting.config.log_level);
        self.cell.borrow_mut().alarm = Alarm::Off;
        let sockets = self.listed();
        // Nobody answers it: it is over when its tick is.
        let _ = self.ask(|waiter| Input::Alarm { waiter, sockets }).await;
    }

    /// Every socket of the runtime. One without a tag of ours is none.
    pub fn listed(&self) -> Vec<Listed> {
        let sockets = self.state.sockets().unwrap_or_default();
        let listed = sockets.iter().filter_map(|socket| {
            Some(Listed {
                conn: self.conn_of(socket)?,
                attachment: js::attachment(socket),
                open: socket.ready_state() == js::OPEN,
                pinged_at: self.pinged_at(socket),
            })
        });
        listed.collect()
    }

    /// Whose socket it is, by its tag: the attachment may be gone when it closes.
    pub fn conn_of(&self, socket: &Socket) -> Option<ConnId> {
        let tags = self.state.tags(socket).ok()?;
        tags.iter()
            .find_map(|tag| ConnId::parse(tag.strip_prefix(TAG)?))
    }

    fn pinged_at(&self, socket: &Socket) -> Option<Timestamp> {
        let date = self.state.auto_response_at(socket).ok()??;
        Some(Timestamp(date.get_time() as u64))
    }

    fn schedule(&self) {
        let callback: &Function = self.timer.as_ref().unchecked_ref();
        if let Err(error) = js::set_timeout(callback, 0.0) {
            self.cell.borrow_mut().pending = false;
            log::broken("set_timeout", &js::text(&error));
        }
    }

    fn tick(self: &Rc<Self>) {
        let now = clock::now();
        let (inputs, mut object, mut random) = {
            let mut cell = self.cell.borrow_mut();
            cell.pending = false;
            let random = cell.random.take().unwrap_or_else(clock::random);
            (std::mem::take(&mut cell.inputs), cell.object.take(), random)
        };
        let storage = &self.storage;
        let mut around = Surroundings {
            setting: &self.setting,
            sql: &self.sql,
            random: &mut random,
            sockets: &|| self.listed(),
            transaction: &mut |run| transaction(storage, run),
        };
        let (effects, failures) = turn::run(&mut object, now, &inputs, &mut around);
        for Broken(detail) in &failures {
            log::broken("rolled_back", detail);
        }
        let mut cell = self.cell.borrow_mut();
        cell.object = object;
        cell.random = Some(random);
        if cell.sockets.is_none() {
            cell.sockets = Some(self.handles());
        }
        let waiting = effects::carry_out(self, &mut cell, now, effects);
        for (waiter, outcome) in waiting {
            if let Some(sender) = cell.waiters.remove(&waiter) {
                let _ = sender.send(outcome);
            }
        }
        for input in &inputs {
            cell.settle(input);
        }
        let ask = !std::mem::replace(&mut cell.asked_alarm, true);
        drop(cell);
        if ask {
            self.ask_alarm();
        }
    }

    fn handles(&self) -> HashMap<ConnId, Socket> {
        let sockets = self.state.sockets().unwrap_or_default();
        sockets
            .into_iter()
            .filter_map(|socket| Some((self.conn_of(&socket)?, socket)))
            .collect()
    }

    /// The runtime is asked once a life whether an alarm is set; not awaited in a tick.
    fn ask_alarm(self: &Rc<Self>) {
        let Ok(promise) = self.storage.get_alarm() else {
            return;
        };
        let this = self.clone();
        js::spawn(async move {
            match wasm_bindgen_futures::JsFuture::from(promise).await {
                Ok(at) => {
                    let armed = at.as_f64().map(|at| Timestamp(at as u64));
                    this.cell.borrow_mut().alarm.learn(armed);
                    // If none is set, the next deadline is armed by a turn of no inputs.
                    this.wake();
                }
                Err(error) => log::broken("get_alarm", &js::text(&error)),
            }
        });
    }

    /// A turn without inputs.
    pub(super) fn wake(&self) {
        if !std::mem::replace(&mut self.cell.borrow_mut().pending, true) {
            self.schedule();
        }
    }

    /// Tags of a connection's socket.
    pub(super) fn tags(conn: ConnId) -> Array {
        Array::of1(&JsValue::from_str(&format!("{TAG}{conn}")))
    }
}

impl Cell {
    /// After a tick: who still waits for this input waits in vain, and who closed is sent nothing.
    fn settle(&mut self, input: &Input) {
        if let Some(waiter) = input.waiter() {
            self.waiters.remove(&waiter);
            self.upgrades.remove(&waiter);
        }
        match input {
            Input::Home(home::Input::Closed { conn, .. }) => {
                if let Some(sockets) = &mut self.sockets {
                    sockets.remove(conn);
                }
            }
            // Every socket was looked at: the handles are listed anew when they are needed.
            Input::Alarm { .. } => self.sockets = None,
            _ => {}
        }
    }

    /// Nothing of the room is kept.
    pub(super) fn forget(&mut self) {
        self.object = None;
        self.alarm = Alarm::Off;
    }
}

fn transaction(
    storage: &Storage,
    run: &mut dyn FnMut() -> Result<(), Broken>,
) -> Result<(), Broken> {
    let mut broken = None;
    let mut body = || match run() {
        Ok(()) => Ok(JsValue::UNDEFINED),
        Err(error) => {
            let thrown = JsValue::from_str(&error.0);
            broken = Some(error);
            Err(thrown)
        }
    };
    let result = js::transaction(storage, &mut body);
    match (result, broken) {
        (_, Some(broken)) => Err(broken),
        (Err(error), None) => Err(Broken(js::text(&error))),
        (Ok(_), None) => Ok(()),
    }
}

const TAG: &str = "c:";
