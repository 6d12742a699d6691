//! The holder of the room's one slot, as it is kept in memory: its row, what its attempt said, and
//! when that is written. Decides nothing about who holds it.
//!
//! Invariants: an attempt's row is written at most once in `ANSWER_ROW_EVERY`, and whenever its
//! holder has it written its lease is renewed; so the lease tells when the row was last written.

use crate::error::Broken;
use crate::id::JobId;
use crate::limits::ANSWER_ROW_EVERY;
use crate::link::WaiterNo;
use crate::message::JobState;
use crate::sql::Sql;
use crate::time::{Millis, Timestamp};

use super::job::{Job, Token};
use super::said::Said;
use super::{Effect, Queue, Verdict, store};

/// The holder of the slot.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) job: Job,
    /// By the present attempt; before the claim, by the one before.
    pub(super) said: Said,
    /// Some of it is not in the row.
    pub(super) unwritten: bool,
}

/// Who writes about which attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) to: WaiterNo,
    pub(super) id: JobId,
    pub(super) token: Token,
}

impl Holder {
    pub(super) const fn of(to: &WaiterNo, id: &JobId, token: &Token) -> Self {
        Self {
            to: *to,
            id: *id,
            token: *token,
        }
    }
}

impl Turn {
    pub(super) const fn new(job: Job, said: Said) -> Self {
        Self {
            job,
            said,
            unwritten: false,
        }
    }

    fn is_held_by(&self, holder: Holder) -> bool {
        let job = &self.job;
        job.id == holder.id && job.token == Some(holder.token) && job.state == JobState::Running
    }
}

impl Queue {
    /// Whether this is the present attempt; says why not.
    pub(super) fn holds(
        &self,
        holder: Holder,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<bool, Broken> {
        if self
            .turn
            .as_ref()
            .is_some_and(|turn| turn.is_held_by(holder))
        {
            return Ok(true);
        }
        let job = self
            .find(holder.id, sql)?
            .filter(|job| job.token == Some(holder.token));
        let verdict = match job.map(|job| job.state) {
            Some(JobState::Cancelled) => Verdict::Cancelled,
            Some(_) => Verdict::Ended,
            None => Verdict::Stale,
        };
        out.push(Effect::Worker {
            to: holder.to,
            verdict,
        });
        Ok(false)
    }

    /// The running attempt's text and lease, at most once in [`Queue::row_every`].
    pub(super) fn write_row(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<(), Broken> {
        let every = self.row_every();
        let Some(turn) = &self.turn else {
            return Ok(());
        };
        if now.since(self.written_at(turn)) < every {
            return Ok(());
        }
        self.touch();
        let lease_until = Some(now.plus(self.settings.jobs.lease));
        let Some(turn) = &mut self.turn else {
            return Ok(());
        };
        turn.job.lease_until = lease_until;
        let text = turn.unwritten.then(|| turn.said.text());
        store::renew(sql, turn.job.id.no, lease_until, text)?;
        turn.unwritten = false;
        Ok(())
    }

    /// Writes what the running attempt said, once it has been silent for a while.
    pub(super) fn flush(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<(), Broken> {
        let Some(turn) = &self.turn else {
            return Ok(());
        };
        if !turn.unwritten || now < self.written_at(turn).plus(FLUSH_AFTER) {
            return Ok(());
        }
        // Its consumer did not write now, so its lease is not renewed.
        store::renew(
            sql,
            turn.job.id.no,
            turn.job.lease_until,
            Some(turn.said.text()),
        )?;
        if let Some(turn) = &mut self.turn {
            turn.unwritten = false;
        }
        Ok(())
    }

    /// When the running attempt's row was last written: whoever writes it renews the lease.
    pub(super) fn written_at(&self, turn: &Turn) -> Timestamp {
        turn.job
            .lease_until
            .unwrap_or_default()
            .minus(self.settings.jobs.lease)
    }

    /// Least distance between two rows of an attempt.
    fn row_every(&self) -> Millis {
        ANSWER_ROW_EVERY.min(Millis(self.settings.jobs.lease.0 / 4))
    }
}

/// An attempt that fell silent has its last words written after this, which is before an object
/// without events goes to sleep (10 s, `platform.md`).
pub(super) const FLUSH_AFTER: Millis = Millis(5_000);
