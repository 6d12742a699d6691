//! One turn of an object: the inbox is drained in one transaction, and if that fails, input by
//! input, so that the one at fault is answered `internal` and no other suffers. Pure; the edge
//! and the simulation bring their own transaction. Source: `architecture.md`, "The tick".
//!
//! Invariant: nothing leaves before its transaction has returned, and a machine that met a
//! failure is dropped, never used again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::error::{Broken, Code, Rejected};
use crate::home::{self, Frame, Listed};
use crate::id::ConnId;
use crate::limits::SWEEP_EVERY;
use crate::message::Request;
use crate::random::Random;
use crate::sql::Sql;
use crate::time::Timestamp;
use crate::wire::{self, Incoming, Protocol};

use super::object::{Effects, Input, Object, Reason, Setting};

/// Runs its closure in one transaction: committed when it returns `Ok`, rolled back else.
pub type Transaction<'a> =
    &'a mut dyn FnMut(&mut dyn FnMut() -> Result<(), Broken>) -> Result<(), Broken>;

/// What a turn needs of its surroundings.
pub struct Surroundings<'a> {
    pub setting: &'a Setting,
    pub sql: &'a dyn Sql,
    pub random: &'a mut Random,
    /// Every socket the runtime lists, for a rebuild.
    pub sockets: &'a dyn Fn() -> Vec<Listed>,
    pub transaction: Transaction<'a>,
}

/// Runs a turn. `object` is empty after a wake and after a failure.
pub fn run(
    object: &mut Option<Object>,
    now: Timestamp,
    inputs: &[Input],
    around: &mut Surroundings<'_>,
) -> (Effects, Vec<Broken>) {
    match attempt(object, now, inputs, &Reason::ALL, around) {
        Ok(effects) => (effects, Vec::new()),
        Err(broken) => one_by_one(object, now, inputs, around, broken),
    }
}

/// Each input by itself, then each reason by itself: what fails again is passed over.
fn one_by_one(
    object: &mut Option<Object>,
    now: Timestamp,
    inputs: &[Input],
    around: &mut Surroundings<'_>,
    first: Broken,
) -> (Effects, Vec<Broken>) {
    let mut failures = vec![first];
    let mut all = Effects::default();
    for input in inputs {
        let one = std::slice::from_ref(input);
        match attempt_after(&all, object, now, (one, &[]), around) {
            Ok(effects) => all.append(effects),
            Err(broken) => {
                failures.push(broken);
                all.append(refused(input, now));
            }
        }
    }
    let mut passed_over = false;
    for reason in Reason::ALL {
        match attempt_after(&all, object, now, (&[], &[reason]), around) {
            Ok(effects) => all.append(effects),
            Err(broken) => {
                failures.push(broken);
                passed_over = true;
            }
        }
    }
    if passed_over || all.deadline.is_none() {
        // Somebody must look again, and not at once: it would fail again.
        all.deadline = Some(now.plus(SWEEP_EVERY));
    }
    (all, failures)
}

/// An attempt in the middle of a turn: a rebuild finds the sockets as they will be when the
/// effects so far are carried out.
fn attempt_after(
    all: &Effects,
    object: &mut Option<Object>,
    now: Timestamp,
    (inputs, reasons): (&[Input], &[Reason]),
    around: &mut Surroundings<'_>,
) -> Result<Effects, Broken> {
    let sockets = around.sockets;
    let mut foreseen = Surroundings {
        setting: around.setting,
        sql: around.sql,
        random: &mut *around.random,
        sockets: &|| foresee(sockets(), all),
        transaction: &mut *around.transaction,
    };
    attempt(object, now, inputs, reasons, &mut foreseen)
}

/// Those about to be accepted are there, each has been told what it is about to be told, and
/// those about to be closed are not open.
fn foresee(mut listed: Vec<Listed>, effects: &Effects) -> Vec<Listed> {
    listed.extend(effects.accepts.iter().map(|(_, conn)| Listed {
        conn: *conn,
        attachment: None,
        open: true,
        pinged_at: None,
    }));
    for socket in &mut listed {
        let written = &effects.flush.attachments;
        if let Some((_, bytes)) = written.iter().rfind(|(conn, _)| *conn == socket.conn) {
            socket.attachment = Some(bytes.clone());
        }
        let closes = &effects.flush.closes;
        socket.open &= closes.iter().all(|close| close.conn != socket.conn);
    }
    listed
}

fn attempt(
    slot: &mut Option<Object>,
    now: Timestamp,
    inputs: &[Input],
    reasons: &[Reason],
    around: &mut Surroundings<'_>,
) -> Result<Effects, Broken> {
    let Surroundings {
        setting,
        sql,
        random,
        sockets,
        transaction,
    } = around;
    let mut object = slot.take();
    let mut effects = None;
    transaction(&mut || {
        let turned = catch_unwind(AssertUnwindSafe(|| {
            let mut machines = match object.take() {
                Some(machines) => machines,
                None => Object::wake(now, setting, random, &sockets(), *sql)?,
            };
            for input in inputs {
                machines.handle(now, input, *sql)?;
            }
            effects = Some(machines.finish(now, reasons, *sql)?);
            object = Some(machines);
            Ok(())
        }));
        turned.unwrap_or_else(|panic| Err(Broken(format!("a panic: {}", panic_text(&panic)))))
    })?;
    *slot = object;
    effects.ok_or_else(|| Broken("a transaction that did not run".to_owned()))
}

/// Who waits for this input is told that it went wrong on our side.
fn refused(input: &Input, now: Timestamp) -> Effects {
    let mut effects = Effects::default();
    let internal = Rejected::new(
        Code::Internal,
        "this failed on our side; it was rolled back",
    );
    match input {
        Input::Call { waiter, .. }
        | Input::Home(home::Input::Connect { waiter, .. })
        | Input::Worker { waiter, .. } => effects.answers.push((*waiter, Err(internal))),
        Input::Home(home::Input::Frame {
            conn,
            frame: Frame::Text(text),
        }) => {
            effects.flush.sends = refuse_frame(*conn, text, &internal, now);
        }
        Input::Alarm { .. } | Input::Home(_) | Input::Sent { .. } => {}
    }
    effects
}

/// The frame is read again for its ids: each gets its one reply.
fn refuse_frame(
    conn: ConnId,
    text: &str,
    rejected: &Rejected,
    now: Timestamp,
) -> Vec<(ConnId, Rc<str>)> {
    let protocol = Protocol::Native;
    let mut incoming = Vec::new();
    protocol.decode(wire::Frame::Text(text), &mut incoming);
    let reply = |one: Incoming| match one {
        Incoming::Request(Request { id: Some(id), .. })
        | Incoming::Refused { id: Some(id), .. } => {
            protocol.encode_reply(&id, &Err(rejected.clone()))
        }
        _ => protocol.encode_error(rejected, now),
    };
    incoming.into_iter().map(|one| (conn, reply(one))).collect()
}

fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

impl Effects {
    fn append(&mut self, mut other: Effects) {
        self.accepts.append(&mut other.accepts);
        self.flush.sends.append(&mut other.flush.sends);
        self.flush.attachments.append(&mut other.flush.attachments);
        self.flush.closes.append(&mut other.flush.closes);
        self.answers.append(&mut other.answers);
        self.verdicts.append(&mut other.verdicts);
        self.sends.append(&mut other.sends);
        self.runs.append(&mut other.runs);
        self.log.append(&mut other.log);
        // Each speaks for the object as it was after it: the last one counts.
        self.deadline = other.deadline.or(self.deadline);
        self.forget = other.forget;
    }
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("setting", self.setting)
            .finish_non_exhaustive()
    }
}
