//! The vocabulary of clients: what they may say, what they are told, and what they are answered.
//! Protocols under `wire/` turn bytes into these and back; home and room speak nothing else.
//! Knows no protocol, no socket and no storage. Source: `interface.md`, "Native protocol".

use std::rc::Rc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::Broken;
use crate::id::{ConnId, Epoch, EventType, MessageId, RoomName, Seq, UserId};
use crate::time::Timestamp;

pub use ask::{AckOf, Ask, Join, NewJob, PageQuery, Publication, Request, Since, Status};
pub use reply::{
    Answer, Gap, HistoryPage, JobState, JobView, Joined, Member, MembersPage, Presence, Published,
    Reply, Writing,
};

mod ask;
mod reply;

/// JSON kept as the text it came in: a body goes from the sender's frame to the receivers'
/// without being parsed. Valid JSON, at most [`crate::limits::JSON_MAX_DEPTH`] deep.
#[derive(Debug, Clone)]
pub struct Json(Rc<RawValue>);

/// One thing that everybody in a room, or one connection, is told.
/// Field order is that of the wire; absent fields are not written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Envelope {
    #[serde(rename = "type")]
    pub kind: EventType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Author>,
    pub ts: Timestamp,
    /// Only on what is logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corr: Option<String>,
    /// How often this was sent before, on a redelivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<u32>,
}

/// Who said it. `conn` is absent for what came over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    pub user: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conn: Option<ConnId>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub guest: bool,
}

impl Envelope {
    /// An event of the service's own, with nothing but its body.
    pub fn event(word: &str, ts: Timestamp, body: Json) -> Self {
        Self {
            kind: EventType::known(word),
            id: None,
            room: None,
            from: None,
            ts,
            seq: None,
            epoch: None,
            body: Some(body),
            meta: None,
            corr: None,
            retry: None,
        }
    }

    #[must_use]
    pub fn in_room(mut self, room: &RoomName) -> Self {
        self.room = Some(room.clone());
        self
    }

    /// What stands in the place of a logged message for whoever is excluded from it.
    pub fn skip(room: &RoomName, seq: Seq, epoch: Epoch, ts: Timestamp) -> Self {
        Self {
            seq: Some(seq),
            epoch: Some(epoch),
            body: None,
            ..Self::event("skip", ts, Json::null()).in_room(room)
        }
    }
}

impl Json {
    pub fn null() -> Self {
        Self(Rc::from(RawValue::NULL.to_owned()))
    }

    /// The text of a value of ours.
    pub fn of(value: &impl Serialize) -> Self {
        let raw = serde_json::value::to_raw_value(value).expect("our own types write as JSON");
        Self(Rc::from(raw))
    }

    pub fn raw(value: &RawValue) -> Self {
        Self(Rc::from(value.to_owned()))
    }

    /// Text that is JSON already, from a row of ours.
    pub fn stored(text: &str) -> Result<Self, Broken> {
        let raw = RawValue::from_string(text.to_owned());
        raw.map(|raw| Self(Rc::from(raw)))
            .map_err(|error| Broken(format!("a stored body is not JSON: {error}")))
    }

    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Reads it as `T`; unknown fields are ignored.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(Rc::from(raw)))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
