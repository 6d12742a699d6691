//! A frame into requests. Each message is judged by itself: what is wrong with one of a batch is
//! said of that one, and the others are heard.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::ask;
use crate::error::{Code, Rejected};
use crate::field::{Field, check_depth, invalid, text_of};
use crate::limits::{CLIENT_ID_MAX_BYTES, FRAME_BATCH_MAX, NAME_MAX_CHARS};
use crate::message::{Ask, Request};
use crate::wire::{Frame, Incoming};

pub(in crate::wire) fn decode(frame: Frame<'_>, out: &mut Vec<Incoming>) {
    let Frame::Text(text) = frame else {
        let detail = "this protocol has text frames only";
        return out.push(refused(None, Rejected::new(Code::Unsupported, detail)));
    };
    if text == "ping" {
        return out.push(Incoming::Ping);
    }
    if text.trim_ascii_start().starts_with('[') {
        return decode_batch(text, out);
    }
    // A field given twice is an error of `Head` in text that is JSON all the same; only then, and
    // for values that are no object, is it worth looking at the text a second time.
    out.push(match serde_json::from_str::<Head>(text) {
        Ok(head) => message(&head, text),
        Err(_) if is_json(text) => refused(None, no_message()),
        Err(_) => Incoming::Echo(text.to_owned()),
    });
}

fn decode_batch(text: &str, out: &mut Vec<Incoming>) {
    let Ok(batch) = serde_json::from_str::<Batch>(text) else {
        return out.push(Incoming::Echo(text.to_owned()));
    };
    if batch.more {
        let detail = format!("an array holds at most {FRAME_BATCH_MAX} messages; none was taken");
        return out.push(refused(None, invalid(detail)));
    }
    if batch.messages.is_empty() {
        let detail = "an array of no messages";
        return out.push(refused(None, Rejected::new(Code::BadMessage, detail)));
    }
    out.extend(batch.messages.into_iter().map(|raw| {
        // An array would read as a `Head` too, field by field.
        match serde_json::from_str::<Head>(raw.get()) {
            Ok(head) if raw.get().starts_with('{') => message(&head, raw.get()),
            _ => refused(None, no_message()),
        }
    }));
}

/// `text` is the whole message, which is measured before any of it is read.
fn message(head: &Head<'_>, text: &str) -> Incoming {
    let id = match head.id() {
        Ok(id) => id,
        Err(rejected) => return refused(None, rejected),
    };
    match ask(head, text) {
        Ok(ask) => Incoming::Request(Request { id, ask }),
        Err(rejected) => refused(id, rejected),
    }
}

fn ask(head: &Head<'_>, text: &str) -> Result<Ask, Rejected> {
    let kind = head.kind()?;
    if !KNOWN.contains(&&*kind) {
        let why = if LATER.contains(&&*kind) {
            "is not built yet"
        } else {
            "is no type of message"
        };
        let kind: String = kind.chars().take(NAME_MAX_CHARS).collect();
        return Err(Rejected::new(Code::UnknownType, format!("`{kind}` {why}")));
    }
    check_depth(text)?;
    ask::read(&kind, head.payload)
}

const fn refused(id: Option<String>, rejected: Rejected) -> Incoming {
    Incoming::Refused { id, rejected }
}

fn no_message() -> Rejected {
    let detail = "a message is an object with a string `type`, and each field once";
    Rejected::new(Code::BadMessage, detail)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// What every message has, unread.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Field<'a>,
    id: Field<'a>,
    payload: Field<'a>,
}

impl<'a> Head<'a> {
    fn kind(&self) -> Result<Cow<'a, str>, Rejected> {
        self.kind.value().and_then(text_of).ok_or_else(no_message)
    }

    fn id(&self) -> Result<Option<String>, Rejected> {
        let Some(raw) = self.id.value() else {
            return Ok(None);
        };
        match text_of(raw).filter(|id| id.len() <= CLIENT_ID_MAX_BYTES) {
            Some(id) => Ok(Some(id.into_owned())),
            None => {
                let detail =
                    format!("`id` must be a string of at most {CLIENT_ID_MAX_BYTES} bytes");
                Err(Rejected::new(Code::BadMessage, detail))
            }
        }
    }
}

/// An array, read up to the bound; the rest is only looked at for being JSON.
struct Batch<'a> {
    messages: Vec<&'a RawValue>,
    more: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BatchVisitor)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Batch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Batch<'de>, A::Error> {
        let mut batch = Batch {
            messages: Vec::new(),
            more: false,
        };
        while batch.messages.len() < FRAME_BATCH_MAX {
            let Some(message) = seq.next_element()? else {
                return Ok(batch);
            };
            batch.messages.push(message);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            batch.more = true;
        }
        Ok(batch)
    }
}

/// Types this issue has.
const KNOWN: [&str; 12] = [
    "ack",
    "broadcast",
    "cancel",
    "heartbeat",
    "history",
    "job",
    "join",
    "leave",
    "members",
    "ping",
    "presence",
    "token",
];

/// Types of `interface.md` that are still to come.
const LATER: [&str; 5] = ["direct", "nack", "status", "unwatch", "watch"];
