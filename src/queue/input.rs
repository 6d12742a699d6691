//! Everything that can happen to a room's jobs.

use crate::id::{JobId, JobNo, Seq};
use crate::link::{Asker, ReplyTo, WaiterNo};
use crate::message::{JobState, Json, NewJob};
use crate::time::{Millis, Timestamp};

use super::job::{Kind, Token};

/// One thing that happened. Who asks has been let in: scopes and rooms are checked before.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Answers `{state}`: of the job it ended, or of one that had ended already.
    Cancel {
        to: ReplyTo,
        id: JobId,
    },
    /// A consumer wants to work. Answered `Claimed` or `Refused`.
    Claim {
        to: WaiterNo,
        id: JobId,
    },
    /// The answer, whole. `Ended`, or why it counts no more.
    Complete {
        to: WaiterNo,
        id: JobId,
        token: Token,
        text: String,
        model: String,
    },
    /// A piece of the answer; `index` is what lies before it, in UTF-16 code units.
    Delta {
        to: WaiterNo,
        id: JobId,
        token: Token,
        index: u64,
        text: String,
    },
    /// Somebody asks for a job: refused, answered with the one of the same key, or `Accept`.
    Enqueue {
        to: ReplyTo,
        asker: Asker,
        new: NewJob,
    },
    /// The attempt failed. `retry_after` is what the provider asked for.
    Fail {
        to: WaiterNo,
        id: JobId,
        token: Token,
        error: String,
        retryable: bool,
        retry_after: Option<Millis>,
    },
    /// The room has logged question and `message_queued`, and gives the job its id.
    Insert {
        to: ReplyTo,
        id: JobId,
        prompt_seq: Seq,
        draft: Draft,
    },
    /// Newest first, at most 100 and 1 MiB, without results.
    List {
        to: ReplyTo,
        state: Option<JobState>,
    },
    Read {
        to: ReplyTo,
        id: JobId,
    },
    /// The consumer is at it still.
    Renew {
        to: WaiterNo,
        id: JobId,
        token: Token,
    },
    /// Makes a new job of a dead one.
    Retry {
        to: ReplyTo,
        asker: Asker,
        id: JobId,
    },
    /// The queue took a message, or did not.
    Sent {
        row: OutboxNo,
        ok: bool,
    },
}

/// A job that is welcome and has no id yet. Its input has been read once and is sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub asker: Asker,
    pub kind: Kind,
    pub prompt: String,
    pub input: Json,
    pub corr: Option<String>,
    pub key: Option<String>,
    pub run_at: Timestamp,
    pub priority: i8,
    pub max_attempts: u32,
    /// The dead job this one repeats …
    pub retried_from: Option<JobId>,
    /// … and where its question stands, in the log of that job's epoch.
    pub asked: Option<Seq>,
}

/// Names a row of the outbox; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxNo {
    pub job: JobNo,
    /// Attempts before it.
    pub attempt: u32,
    /// Messages of this turn, from 1.
    pub offer: u32,
}
