//! Everything that can happen to a room and everything it can ask for.

use crate::id::{Epoch, JobId, Seq};
use crate::link::{Asker, Down, ReplyTo, RoomAsk, Up};
use crate::message::{Answer, Author, JobState};

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A call from outside, of somebody who need not be in the room. `origin` names the call, so
    /// that a repeated one is known.
    Call {
        to: ReplyTo,
        from: Asker,
        origin: String,
        ask: RoomAsk,
    },
    /// The queue takes a job: its question and its being queued are logged, and it gets its
    /// number. `asked` is where the question stands already, for a job done again.
    JobAccepted {
        author: Author,
        kind: String,
        prompt: String,
        corr: Option<String>,
        asked: Option<(Epoch, Seq)>,
    },
    /// A job changed its state or its attempt.
    JobChanged {
        job: JobId,
        state: JobState,
        attempt: u32,
        max_attempts: u32,
        error: Option<String>,
    },
    /// A piece of an answer being generated; `index` is the length of the attempt's text before
    /// it, in UTF-16 code units.
    JobDelta {
        job: JobId,
        attempt: u32,
        index: u64,
        text: String,
    },
    /// The answer, whole. `status` is `done`, `cancelled` or `dead`.
    JobFinal {
        job: JobId,
        kind: String,
        model: Option<String>,
        status: JobState,
        text: String,
    },
    /// The home's side of the link.
    Up(Up),
}

/// What a room asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// To somebody who waits at the edge.
    Answer {
        to: ReplyTo,
        answer: Answer,
    },
    Down(Down),
    /// The number of an accepted job, and where its prompt stands.
    JobNamed {
        job: JobId,
        prompt_seq: Seq,
    },
}
