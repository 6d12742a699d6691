//! What a client may say.

use serde::{Deserialize, Serialize};

use super::Json;
use crate::id::{Epoch, EventType, JobId, MessageId, RoomName, Seq, UserId};
use crate::time::Millis;

/// A client's message, as its protocol read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The client's correlation id: exactly one reply carries it.
    pub id: Option<String>,
    pub ask: Ask,
}

/// What a client may ask of its home.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    Ack(AckOf),
    Broadcast {
        room: RoomName,
        publication: Publication,
    },
    Cancel {
        room: RoomName,
        job: JobId,
    },
    Heartbeat {
        every: Millis,
    },
    History {
        room: RoomName,
        page: PageQuery,
    },
    Job {
        room: RoomName,
        job: NewJob,
    },
    Join {
        room: RoomName,
        join: Join,
    },
    Leave {
        room: RoomName,
    },
    Members {
        room: RoomName,
        after: Option<UserId>,
        limit: usize,
    },
    /// Answered `pong` with the same payload.
    Ping {
        payload: Option<Json>,
    },
    /// Sets the status of this user.
    Presence(Status),
    Token {
        token: String,
    },
}

/// What is acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub enum AckOf {
    Message(MessageId),
    UpTo { room: RoomName, seq: Seq },
}

/// How a connection enters a room.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Join {
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub meta: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// Fills `missed` for a newcomer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
}

/// Up to where a returning client has seen a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub epoch: Epoch,
    pub seq: Seq,
}

/// A message on its way into a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Publication {
    #[serde(rename = "type")]
    pub kind: EventType,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub body: Option<Json>,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub meta: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corr: Option<String>,
    /// Not logged: no seq, gone when it was sent.
    pub ephemeral: bool,
    /// The sending connection gets its own copy.
    pub echo: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<UserId>,
    /// The same key twice is one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A job as it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewJob {
    pub kind: String,
    pub input: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corr: Option<String>,
    #[serde(rename = "delay_ms")]
    pub delay: Millis,
    /// -100 to 100, higher first.
    pub priority: i8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
}

/// The status a person shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// `online` `away` `busy` `offline` or a custom word.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Json>,
}

/// A page of history: `after` and `before` are exclusive and never both given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seq>,
    /// 1 to [`crate::limits::PAGE_MAX`].
    pub limit: usize,
    /// Only these types, and then no `skip`. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<EventType>,
}

/// A field that is there is a value, `null` too; serde alone would read `null` as absent.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}
