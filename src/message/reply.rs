//! What a client is answered: the same on a socket and over HTTP.

use serde::{Deserialize, Serialize};

use super::{Envelope, Json, Status};
use crate::error::Rejected;
use crate::id::{Epoch, JobId, MessageId, RoomName, Seq, UserId};
use crate::time::{Millis, Timestamp};

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
