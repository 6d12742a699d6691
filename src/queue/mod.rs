//! The durable jobs of one room: who may run, for how long, how often, and how each ends. Knows no
//! socket, no log, no provider and no clock; the room gives a job its id and logs what it is told,
//! the edge carries messages to the queue and consumers' words back.
//! Source: `architecture.md` rules 2, 3, 5, 6 and 7; `decisions.md`, "Jobs".
//!
//! Invariants:
//! - One job of a room holds the slot: offered to the consumers, or running. Whenever the slot is
//!   free, no job is ready: the next is offered in the same call, by priority and age. A job keeps
//!   the turn it was given; one that waits for its time (a delay, a retry) holds no slot.
//! - Whoever writes about an attempt shows its token. A token that is not the present one changes
//!   nothing.
//! - A job ends once, and its one [`News::Final`] is said in the call that ends it.
//! - In memory only: what the running attempt said since its last row (at most
//!   `ANSWER_ROW_EVERY` while it speaks, 5 s when it falls silent), the send in flight,
//!   the random source. Everything else is a copy of rows.

mod admit;
mod attempt;
mod effect;
mod input;
mod job;
mod outbox;
mod read;
mod retry;
mod row;
mod said;
mod store;
mod turn;

#[cfg(test)]
mod tests;

use std::cell::Cell;

pub use self::effect::{Claim, Effect, News, Verdict};
pub use self::input::{Draft, Input, OutboxNo};
pub use self::job::{Kind, Token, may_follow};

use crate::config::JobsConfig;
use crate::error::{Broken, Code, Rejected};
use crate::id::{JobId, RoomName};
use crate::limits::{GRID, JOB_KEPT};
use crate::link::ReplyTo;
use crate::random::Random;
use crate::sql::Sql;
use crate::time::{Millis, Timestamp, sooner};

use self::attempt::Failing;
use self::said::Said;
use self::turn::{Holder, Turn};

/// What an operator decided about jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub jobs: JobsConfig,
    /// A queue is bound.
    pub queue: bool,
    /// A queue that fails for so long is done without.
    pub fallback: Millis,
    /// Of each guest; all guests of the room together may ask ten times as much. 0: none.
    pub guest_jobs_per_min: u64,
}

/// The jobs of one room.
#[derive(Debug)]
pub struct Queue {
    room: RoomName,
    settings: Settings,
    random: Random,
    /// The tables are there: asked once a life.
    schema: bool,
    /// Who holds the slot; a copy of its row, but for text not yet written.
    turn: Option<Turn>,
    /// The one send in flight, and since when.
    sending: Option<(OutboxNo, Timestamp)>,
    next: Cell<Next>,
}

/// What is waited for, as last worked out.
#[derive(Debug, Clone, Copy)]
enum Next {
    Known(Waits),
    Stale,
}

/// The earliest of the waits that are exact, and of those an alarm may be a little late for.
#[derive(Debug, Clone, Copy, Default)]
struct Waits {
    exact: Option<Timestamp>,
    loose: Option<Timestamp>,
}

impl Queue {
    /// The jobs of a room nobody has looked at: [`Queue::rebuild`] comes first.
    pub fn new(room: RoomName, settings: Settings, random: Random) -> Self {
        let next = Cell::new(Next::Stale);
        Self {
            room,
            settings,
            random,
            schema: false,
            turn: None,
            sending: None,
            next,
        }
    }

    /// Reads what rows hold; creates no schema. What was in flight counts as not sent.
    ///
    /// # Errors
    /// A row does not read, or storage failed.
    pub fn rebuild(&mut self, sql: &dyn Sql) -> Result<(), Broken> {
        self.schema = store::exists(sql)?;
        self.sending = None;
        self.next.set(Next::Stale);
        let holder = if self.schema {
            store::holder(sql)?
        } else {
            None
        };
        self.turn = match holder {
            Some(job) => {
                let said = Said::of(&store::text(sql, job.id.no)?);
                Some(Turn::new(job, said))
            }
            None => None,
        };
        Ok(())
    }

    /// Decides and writes what an input means.
    ///
    /// # Errors
    /// Storage failed: the tick is rolled back and this machine dropped.
    pub fn handle(
        &mut self,
        now: Timestamp,
        input: &Input,
        sql: &dyn Sql,
    ) -> Result<Vec<Effect>, Broken> {
        let mut effects = Vec::new();
        let out = &mut effects;
        match input {
            Input::Cancel { to, id } => self.cancel(now, *to, *id, sql, out)?,
            Input::Claim { to, id } => self.claim(now, *to, *id, sql, out)?,
            Input::Complete {
                to,
                id,
                token,
                text,
                model,
            } => {
                let holder = Holder::of(to, id, token);
                self.complete(now, holder, text, model, sql, out)?;
            }
            Input::Delta {
                to,
                id,
                token,
                index,
                text,
            } => {
                let holder = Holder::of(to, id, token);
                self.delta(now, holder, *index, text, sql, out)?;
            }
            Input::Enqueue { to, asker, new } => self.enqueue(now, *to, asker, new, sql, out)?,
            Input::Fail {
                to,
                id,
                token,
                error,
                retryable,
                retry_after,
            } => {
                let holder = Holder::of(to, id, token);
                let failing = Failing::of(error, *retryable, *retry_after);
                self.fail(now, holder, &failing, sql, out)?;
            }
            Input::Insert {
                to,
                id,
                prompt_seq,
                draft,
            } => {
                self.insert(now, *to, (*id, *prompt_seq), draft, sql, out)?;
            }
            Input::List { to, state } => out.push(self.list(*to, *state, sql)?),
            Input::Read { to, id } => out.push(self.read(*to, *id, sql)?),
            Input::Renew { to, id, token } => {
                self.renew(now, Holder::of(to, id, token), sql, out)?;
            }
            Input::Retry { to, asker, id } => self.redrive(now, *to, asker, *id, sql, out)?,
            Input::Sent { row, ok } => self.sent(now, *row, *ok, sql, out)?,
        }
        Ok(effects)
    }

    /// Everything whose time has come. Costs nothing when nothing's has.
    ///
    /// # Errors
    /// As [`Queue::handle`].
    pub fn due(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<Vec<Effect>, Broken> {
        let mut out = Vec::new();
        let waits = self.waits(sql)?;
        if sooner(waits.exact, waits.loose).is_none_or(|at| at > now) {
            return Ok(out);
        }
        self.touch();
        store::forget(sql, now.minus(JOB_KEPT))?;
        self.end_lease(now, sql, &mut out)?;
        self.flush(now, sql)?;
        self.offer_again(now, sql, &mut out)?;
        self.advance(now, sql, &mut out)?;
        Ok(out)
    }

    /// When [`Queue::due`] has something to do next; none when nothing waits for time. Leases,
    /// delays and retries are exact, the rest is on the grid.
    ///
    /// # Errors
    /// As [`Queue::handle`].
    pub fn deadline(&self, sql: &dyn Sql) -> Result<Option<Timestamp>, Broken> {
        let waits = self.waits(sql)?;
        Ok(sooner(waits.exact, waits.loose.map(|at| at.on_grid(GRID))))
    }

    /// No job and no message is left: the room may be forgotten.
    ///
    /// # Errors
    /// As [`Queue::handle`].
    pub fn is_idle(&self, sql: &dyn Sql) -> Result<bool, Broken> {
        Ok(!self.schema || store::is_empty(sql)?)
    }

    /// Rows are about to change: the deadline is worked out anew.
    fn touch(&self) {
        self.next.set(Next::Stale);
    }

    fn waits(&self, sql: &dyn Sql) -> Result<Waits, Broken> {
        if let Next::Known(waits) = self.next.get() {
            return Ok(waits);
        }
        let waits = if self.schema {
            self.nearest(sql)?
        } else {
            Waits::default()
        };
        self.next.set(Next::Known(waits));
        Ok(waits)
    }

    fn nearest(&self, sql: &dyn Sql) -> Result<Waits, Broken> {
        let rows = store::nearest(sql)?;
        let send = match self.sending {
            // Should its confirmation never come, the alarm finds the row.
            Some((_, since)) => Some(since.plus(outbox::SEND_PATIENCE)),
            None => rows.next_send_at,
        };
        let forget = rows.ended_at.map(|at| at.plus(JOB_KEPT));
        let turn = self.turn.as_ref();
        let unclaimed = turn.and_then(|turn| turn.job.unclaimed_at);
        let flush = turn
            .filter(|turn| turn.unwritten)
            .map(|turn| self.written_at(turn).plus(turn::FLUSH_AFTER));
        let loose = [send, forget, unclaimed, flush]
            .into_iter()
            .fold(None, sooner);
        let exact = sooner(rows.wakes_at, turn.and_then(|turn| turn.job.lease_until));
        Ok(Waits { exact, loose })
    }
}

fn refuse(to: ReplyTo, code: Code, detail: impl Into<String>) -> Effect {
    Effect::Answer {
        to,
        answer: Err(Rejected::new(code, detail)),
    }
}

fn unknown(to: ReplyTo, id: JobId) -> Effect {
    refuse(
        to,
        Code::NotFound,
        format!("there is no job {id} in this room, or no longer"),
    )
}
