//! What the service says, as text. Fields stand in the order of `interface.md`; what is absent is
//! not written.

use std::rc::Rc;

use serde::Serialize;

use crate::error::Rejected;
use crate::message::{Answer, Envelope, Json};
use crate::time::Timestamp;

pub(in crate::wire) fn encode_envelope(envelope: &Envelope) -> Rc<str> {
    written(envelope)
}

/// `{"type":"reply","id","body"}`, or `"error"` in the body's place.
pub(in crate::wire) fn encode_reply(id: &str, answer: &Answer) -> Rc<str> {
    match answer {
        Ok(body) => reply(id, body),
        Err(rejected) => written(&Failed {
            kind: "reply",
            id,
            error: Failure::of(rejected),
        }),
    }
}

/// `{"type":"error","ts","body":{"code","message","retryable"}}`.
pub(in crate::wire) fn encode_error(rejected: &Rejected, ts: Timestamp) -> Rc<str> {
    written(&Event {
        kind: "error",
        ts,
        body: Some(Failure::of(rejected)),
    })
}

/// A message with an id gets exactly one reply, so a ping with one gets that and no `pong`.
pub(in crate::wire) fn encode_pong(
    id: Option<&str>,
    payload: Option<&Json>,
    ts: Timestamp,
) -> Rc<str> {
    match id {
        Some(id) => reply(id, &payload),
        None => written(&Event {
            kind: "pong",
            ts,
            body: payload,
        }),
    }
}

/// `{"type":"echo","ts","body":text}`.
pub(in crate::wire) fn encode_echo(text: &str, ts: Timestamp) -> Rc<str> {
    written(&Event {
        kind: "echo",
        ts,
        body: Some(text),
    })
}

fn reply(id: &str, body: &impl Serialize) -> Rc<str> {
    written(&Replied {
        kind: "reply",
        id,
        body,
    })
}

fn written(frame: &impl Serialize) -> Rc<str> {
    Rc::from(serde_json::to_string(frame).expect("our own types write as JSON"))
}

#[derive(Serialize)]
struct Replied<'a, B: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    body: B,
}

#[derive(Serialize)]
struct Failed<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    error: Failure<'a>,
}

#[derive(Serialize)]
struct Event<B: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    ts: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<B>,
}

#[derive(Serialize)]
struct Failure<'a> {
    code: &'static str,
    message: &'a str,
    retryable: bool,
}

impl<'a> Failure<'a> {
    const fn of(rejected: &'a Rejected) -> Self {
        let row = rejected.code.row();
        Self {
            code: row.word,
            message: rejected.detail.as_str(),
            retryable: row.retryable,
        }
    }
}
