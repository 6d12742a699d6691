//! The vocabulary of clients: what they may say, what they are told, and what they are answered.
//! Protocols under `wire/` turn bytes into these and back; home and room speak nothing else.
//! Knows no protocol, no socket and no storage. Source: `interface.md`, "Native protocol".

use std::rc::Rc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::Rejected;
use crate::id::{ConnId, Epoch, EventType, JobId, MessageId, RoomName, Seq, UserId};
use crate::time::{Millis, Timestamp};

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

/// The body of a reply, the same on a socket and over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    Acknowledged {
        seq: Seq,
    },
    Cancelled {
        state: JobState,
    },
    Heartbeat {
        every_ms: Millis,
    },
    History(HistoryPage),
    Job(Box<JobView>),
    Jobs {
        jobs: Vec<JobView>,
    },
    /// `job`'s answer on a socket: the whole job under its name.
    JobCreated {
        job: Box<JobView>,
    },
    Joined(Box<Joined>),
    Left {
        room: RoomName,
    },
    Members(MembersPage),
    Presence(Status),
    Published(Published),
    TokenRenewed {
        expires_at: Option<Timestamp>,
    },
}

/// An answer to a request: the reply's body, or the refusal.
pub type Answer = Result<Reply, Rejected>;

/// What a joining connection is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Joined {
    pub room: RoomName,
    pub epoch: Epoch,
    /// The head of the log: live messages follow it without a gap.
    pub seq: Seq,
    /// People in the room.
    pub count: u64,
    /// The first [`crate::limits::MEMBERS_SHOWN`] of them.
    pub members: Vec<Member>,
    /// The verdict on `since`; null when it was not given.
    pub recovered: Option<bool>,
    pub missed: Vec<Envelope>,
    /// Answers being generated, with their text so far.
    pub answers: Vec<Writing>,
    pub presence: Presence,
    /// Where the list of members stands.
    #[serde(skip)]
    pub rev: crate::link::Rev,
    /// Told right after, as an event: what `since` asked for and `missed` does not hold.
    #[serde(skip)]
    pub gap: Option<Gap>,
}

/// Entries that are not coming: gone, or to be read from history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    pub room: RoomName,
    /// The one that counts now.
    pub epoch: Epoch,
    /// Null when the old log is gone.
    pub from: Option<Seq>,
    pub to: Seq,
}

/// Whether each arrival is told, or counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    Counted,
    Each,
}

/// One person in a room.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    pub user: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub meta: Option<Json>,
    pub connections: u64,
    pub joined_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MembersPage {
    pub count: u64,
    pub members: Vec<Member>,
    /// The user to go on after; null at the end.
    pub next: Option<UserId>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryPage {
    /// Null for a room that never was.
    pub epoch: Option<Epoch>,
    /// In order of seq, whichever way was asked.
    pub messages: Vec<Envelope>,
    /// The seq to ask on from in the same direction; null at the end.
    pub next: Option<Seq>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    pub id: MessageId,
    pub room: RoomName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    pub ts: Timestamp,
}

/// An answer being generated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Writing {
    pub message_id: MessageId,
    pub job: JobId,
    pub attempt: u32,
    pub text: String,
}

/// Where a job stands. The last three are ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Queued,
    Delayed,
    Running,
    Retrying,
    Done,
    Dead,
    Cancelled,
}

/// A job as clients and backends see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobView {
    pub id: JobId,
    pub room: RoomName,
    pub kind: String,
    pub input: Json,
    pub state: JobState,
    /// From 1; 0 before the first claim.
    pub attempt: u32,
    pub max_attempts: u32,
    pub message_id: MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried_from: Option<JobId>,
    pub created_at: Timestamp,
    pub run_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
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
    pub fn stored(text: &str) -> Result<Self, crate::error::Broken> {
        let raw = RawValue::from_string(text.to_owned());
        raw.map(|raw| Self(Rc::from(raw)))
            .map_err(|error| crate::error::Broken(format!("a stored body is not JSON: {error}")))
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

impl JobState {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delayed => "delayed",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        use JobState::{Cancelled, Dead, Delayed, Done, Queued, Retrying, Running};
        [Queued, Delayed, Running, Retrying, Done, Dead, Cancelled]
            .into_iter()
            .find(|state| state.word() == word)
    }

    pub const fn is_end(self) -> bool {
        matches!(self, Self::Cancelled | Self::Dead | Self::Done)
    }
}

/// A field that is there is a value, `null` too; serde alone would read `null` as absent.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
