//! What a tick leaves to do, carried out after its commit, in this order and in one synchronous
//! turn: accepts, sends, attachments, closes, the alarm, then calls; the waiters come last.
//! Source: `decisions.md`, "The tick".

use std::collections::HashMap;
use std::rc::Rc;

use wasm_bindgen::JsValue;

use crate::config::LogLevel;
use crate::home::{Flush, Log};
use crate::link::WaiterNo;
use crate::queue::OutboxNo;
use crate::time::Timestamp;

use super::consumer;
use super::inbox::{Cell, Inbox, Outcome};
use super::js::{self, Js};
use super::log::{self, Line};
use super::object::{Effects, Input};
use super::queue;

/// Returns what the waiters are to be told.
pub(super) fn carry_out(
    inbox: &Rc<Inbox>,
    cell: &mut Cell,
    now: Timestamp,
    effects: Effects,
) -> Vec<(WaiterNo, Outcome)> {
    let mut waiting = Vec::new();
    for (waiter, conn) in effects.accepts {
        let Some(socket) = cell.upgrades.remove(&waiter) else {
            continue;
        };
        if report("accept", inbox.state.accept(&socket, &Inbox::tags(conn))) {
            cell.sockets.get_or_insert_default().insert(conn, socket);
            waiting.push((waiter, Outcome::Accepted));
        }
    }
    flush(cell, effects.flush);
    if let Some(at) = cell.alarm.arm(now, effects.deadline) {
        Line::new(LogLevel::Debug, "alarm_set")
            .with("room", inbox.setting.room.to_string())
            .with("in_ms", at.since(now).0)
            .write(inbox.setting.config.log_level);
        match inbox.storage.set_alarm(at.0 as f64) {
            Ok(promise) => drop(promise.catch(&inbox.failed)),
            Err(error) => log::broken("set_alarm", &js::text(&error)),
        }
    }
    if effects.forget {
        match inbox.storage.delete_all() {
            Ok(promise) => drop(promise.catch(&inbox.failed)),
            Err(error) => log::broken("delete_all", &js::text(&error)),
        }
        cell.forget();
    }
    for (row, body) in effects.sends {
        send(inbox, row, body);
    }
    for job in effects.runs {
        consumer::start_inside(inbox, job);
    }
    for line in effects.log {
        write(inbox, line);
    }
    waiting.extend(
        effects
            .answers
            .into_iter()
            .map(|(to, answer)| (to, Outcome::Answer(answer))),
    );
    waiting.extend(
        effects
            .verdicts
            .into_iter()
            .map(|(to, reply)| (to, Outcome::Verdict(reply))),
    );
    waiting
}

/// Socket by socket. One JavaScript string serves everybody it is for.
fn flush(cell: &mut Cell, flush: Flush) {
    let sockets = cell.sockets.get_or_insert_default();
    let mut strings: HashMap<*const u8, JsValue> = HashMap::new();
    for (conn, frame) in &flush.sends {
        let Some(socket) = sockets.get(conn) else {
            continue;
        };
        let string = strings
            .entry(frame.as_ptr())
            .or_insert_with(|| JsValue::from_str(frame));
        report("send", socket.send(string));
    }
    for (conn, bytes) in &flush.attachments {
        if let Some(socket) = sockets.get(conn) {
            report("attach", js::set_attachment(socket, bytes));
        }
    }
    for close in &flush.closes {
        if let Some(socket) = sockets.remove(&close.conn) {
            report("close", js::close(&socket, close.code, &close.reason));
        }
    }
}

/// A message for the queue of jobs; whether it was taken is an input.
fn send(inbox: &Rc<Inbox>, row: OutboxNo, body: String) {
    let this = inbox.clone();
    js::spawn(async move {
        let sent = queue::send(&this.env, &body).await;
        if let Err(error) = &sent {
            log::broken("queue_send", &js::text(error));
        }
        this.push(Input::Sent {
            row,
            ok: sent.is_ok(),
        });
    });
}

fn write(inbox: &Inbox, line: Log) {
    let room = inbox.setting.room.to_string();
    let least = inbox.setting.config.log_level;
    match line {
        Log::Connected {
            conn,
            user,
            connections,
        } => Line::new(LogLevel::Info, "connected")
            .with("room", room)
            .with("conn", conn.to_string())
            .with("user", user)
            .with("connections", connections),
        Log::Disconnected {
            conn,
            user,
            reason,
            lasted_ms,
        } => Line::new(LogLevel::Info, "disconnected")
            .with("room", room)
            .with("conn", conn.to_string())
            .with("user", user)
            .with("reason", reason)
            .with("lasted_ms", lasted_ms),
    }
    .write(least);
}

/// A socket that is gone may throw; that is known by its close, not by this.
fn report(what: &str, result: Js<()>) -> bool {
    if let Err(error) = &result {
        let detail = format!("{what}: {}", js::text(error));
        Line::new(LogLevel::Debug, "socket")
            .with("detail", detail)
            .write(LogLevel::Info);
    }
    result.is_ok()
}
