//! Everything a room's jobs can ask for.

use crate::id::{JobId, MessageId, Seq, UserId};
use crate::link::{ReplyTo, WaiterNo};
use crate::message::{Answer, JobState};
use crate::time::Millis;

use super::input::{Draft, OutboxNo};
use super::job::{Kind, Token};

/// One thing to do, after the commit and in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The room logs the question (unless `draft.asked` says where it stands) and
    /// `message_queued`, and says [`super::Input::Insert`] in the same tick.
    Accept {
        to: ReplyTo,
        draft: Draft,
    },
    Answer {
        to: ReplyTo,
        answer: Answer,
    },
    /// The edge starts the consumer itself.
    Run {
        id: JobId,
    },
    Say(News),
    /// A message for the queue, JSON text; confirmed with [`super::Input::Sent`].
    Send {
        row: OutboxNo,
        body: String,
    },
    Worker {
        to: WaiterNo,
        verdict: Verdict,
    },
}

/// What the room is told.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Logged as `job`; not said of `queued`, which is `message_queued`.
    Changed {
        job: JobId,
        state: JobState,
        attempt: u32,
        max_attempts: u32,
        error: Option<String>,
    },
    /// Not logged; `index` in UTF-16 code units.
    Delta {
        message_id: MessageId,
        job: JobId,
        attempt: u32,
        index: u64,
        text: String,
    },
    /// Logged as the `message` with the id of the answer; said once for each job.
    Final {
        job: JobId,
        kind: Kind,
        model: Option<String>,
        status: JobState,
        text: String,
    },
}

/// The answer to a consumer.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The job was cancelled: stop the provider.
    Cancelled,
    Claimed(Box<Claim>),
    /// The attempt is over, by this write or an earlier one.
    Ended,
    /// Go on after this many UTF-16 code units.
    Go {
        have: u64,
    },
    /// Not to be claimed: acknowledge the message and forget it.
    Refused,
    /// Somebody else has the job, or nobody: stop.
    Stale,
}

/// Work for a consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub id: JobId,
    pub token: Token,
    /// From 1.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Any write within this time keeps the job. A renewal may count up to a quarter of it, or a
    /// second, short: rows are not written more often.
    pub lease: Millis,
    pub asker: UserId,
    pub prompt: String,
    pub model: Option<String>,
    pub max_tokens: Option<u32>,
    pub prompt_seq: Seq,
}
