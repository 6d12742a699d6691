//! One job: its row, its states, and which state may follow which. Knows no storage, no queue and
//! nobody who waits. Source: `interface.md`, rows of jobs; `decisions.md`, "Jobs".
//!
//! Invariants: an end is final; `attempt` only grows; a token is never given twice; a job holds
//! the slot, or waits for its time, or is ready, or has ended, and only one of these.

use serde::{Deserialize, Serialize};

use crate::error::Broken;
use crate::id::{JobId, RoomName, Seq};
use crate::limits::{ATTEMPTS_MAX, JOB_ERROR_MAX_BYTES};
use crate::link::Asker;
use crate::message::{JobState, JobView, Json};
use crate::random::Random;
use crate::time::{Millis, Timestamp};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An answer to a question, written into the room.
    AiChat,
}

/// The input of [`Kind::AiChat`]; kept in the row as this and nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    pub prompt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
}

/// What the holder of an attempt shows with every write. Higher with each attempt, and its low
/// bits cannot be guessed; below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u64);

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub attempt: u32,
    pub at: Timestamp,
    pub error: String,
}

/// A job's row, all but its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub kind: Kind,
    pub input: Json,
    /// Where the question stands in the log.
    pub prompt_seq: Seq,
    pub asker: Asker,
    pub key: Option<String>,
    pub corr: Option<String>,
    pub priority: i8,
    pub max_attempts: u32,
    pub retried_from: Option<JobId>,
    pub created_at: Timestamp,
    pub state: JobState,
    /// Claims so far.
    pub attempt: u32,
    /// When it may run, or might have.
    pub run_at: Timestamp,
    /// Set while it waits for that time.
    pub wakes_at: Option<Timestamp>,
    /// It holds the room's one place: offered or running.
    pub slot: bool,
    /// How often it was offered since it got its turn.
    pub offers: u32,
    /// When the offer is repeated, if nobody claims it.
    pub unclaimed_at: Option<Timestamp>,
    /// Of the present attempt; kept at an end, so that its holder can be told which.
    pub token: Option<Token>,
    pub lease_until: Option<Timestamp>,
    /// Who answered.
    pub model: Option<String>,
    pub errors: Vec<Failure>,
    /// A new job was made of this dead one.
    pub redriven: bool,
    pub finished_at: Option<Timestamp>,
}

impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::AiChat => "ai.chat",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        (word == Self::AiChat.word()).then_some(Self::AiChat)
    }
}

impl Job {
    /// A claim: the next attempt, under a token of its own.
    pub fn claim(
        &mut self,
        now: Timestamp,
        lease: Millis,
        random: &mut Random,
    ) -> Result<Token, Broken> {
        self.become_state(JobState::Running)?;
        self.attempt += 1;
        let token =
            Token(u64::from(self.attempt) << TOKEN_RANDOM_BITS | random.bits(TOKEN_RANDOM_BITS));
        self.token = Some(token);
        self.lease_until = Some(now.plus(lease));
        self.unclaimed_at = None;
        Ok(token)
    }

    /// A failure that leaves an attempt: out of the slot until `at`. The token dies here.
    pub fn retry(&mut self, at: Timestamp) -> Result<(), Broken> {
        self.become_state(JobState::Retrying)?;
        self.run_at = at;
        self.wakes_at = Some(at);
        self.slot = false;
        self.offers = 0;
        self.token = None;
        self.lease_until = None;
        Ok(())
    }

    /// One of the three ends.
    pub fn end(&mut self, now: Timestamp, state: JobState) -> Result<(), Broken> {
        self.become_state(state)?;
        self.wakes_at = None;
        self.slot = false;
        self.unclaimed_at = None;
        self.lease_until = None;
        self.finished_at = Some(now);
        Ok(())
    }

    /// Keeps why the present attempt failed, cut to `JOB_ERROR_MAX_BYTES`.
    pub fn failed(&mut self, now: Timestamp, error: &str) {
        let end = error.floor_char_boundary(JOB_ERROR_MAX_BYTES);
        let error = error.get(..end).unwrap_or_default().to_owned();
        self.errors.push(Failure {
            attempt: self.attempt,
            at: now,
            error,
        });
    }

    /// Why it is where it is; none for a job that did not fail, or is being tried again.
    pub fn error(&self) -> Option<&str> {
        let failed = matches!(self.state, JobState::Dead | JobState::Retrying);
        self.errors
            .last()
            .filter(|_| failed)
            .map(|failure| failure.error.as_str())
    }

    pub fn chat(&self) -> Result<Chat, Broken> {
        self.input
            .read()
            .map_err(|error| Broken(format!("input of job {}: {error}", self.id)))
    }

    /// The job as it is shown. `text`, the answer, is shown for a job that is done.
    pub fn view(&self, room: &RoomName, text: Option<&str>) -> JobView {
        let done = text.filter(|_| self.state == JobState::Done);
        let result = done.map(|text| {
            Json::of(&Outcome {
                text,
                model: self.model.as_deref(),
            })
        });
        JobView {
            id: self.id,
            room: room.clone(),
            kind: self.kind.word().to_owned(),
            input: self.input.clone(),
            state: self.state,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            message_id: self.id.answer(),
            result,
            error: self.error().map(str::to_owned),
            retried_from: self.retried_from,
            created_at: self.created_at,
            run_at: self.run_at,
            finished_at: self.finished_at,
        }
    }

    fn become_state(&mut self, next: JobState) -> Result<(), Broken> {
        if !may_follow(self.state, next) {
            let (from, to) = (self.state.word(), next.word());
            return Err(Broken(format!(
                "job {} may not go from {from} to {to}",
                self.id
            )));
        }
        self.state = next;
        Ok(())
    }
}

/// The result of an answer, in `JobView`.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
}

/// Every legal step. A delayed job becomes queued, and a retrying one ready, by their time alone.
pub const fn may_follow(from: JobState, to: JobState) -> bool {
    use JobState::{Cancelled, Dead, Delayed, Done, Queued, Retrying, Running};
    match from {
        Delayed => matches!(to, Queued | Cancelled),
        Queued | Retrying => matches!(to, Running | Cancelled),
        Running => matches!(to, Done | Retrying | Dead | Cancelled),
        Done | Dead | Cancelled => false,
    }
}

const TOKEN_RANDOM_BITS: u32 = 48;

// A token passes through JavaScript's numbers.
const _: () = assert!((ATTEMPTS_MAX as u64) < 1 << (53 - TOKEN_RANDOM_BITS));
