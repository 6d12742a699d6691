//! From "it is this job's turn" to "a consumer has it": the offer, its message on the way to the
//! queue, and what is done when the queue, or whoever reads it, does not answer.
//! Source: `architecture.md` rules 3 and 5; `decisions.md`, "Jobs".
//!
//! Invariants: one send in flight, in row order; an offer is either a row of the outbox or has a
//! time at which it is repeated, so none is lost.

use serde::Serialize;

use crate::error::Broken;
use crate::id::{JobId, RoomName};
use crate::link::VERSION;
use crate::message::JobState;
use crate::sql::Sql;
use crate::time::{Millis, Timestamp};

use super::job::Job;
use super::row::{self, Outgoing};
use super::said::Said;
use super::turn::Turn;
use super::{Effect, OutboxNo, Queue, retry, store};

impl Queue {
    /// Whoever's time has come is ready, the first of the ready gets a free slot, and the queue
    /// its message.
    pub(super) fn advance(
        &mut self,
        now: Timestamp,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        if !self.schema {
            return Ok(());
        }
        self.touch();
        store::wake(sql, now)?;
        let next = match self.turn {
            Some(_) => None,
            None => store::next_ready(sql)?,
        };
        if let Some(mut job) = next {
            self.offer(now, &mut job, sql, out)?;
            store::update(sql, &job)?;
            let said = Said::of(&store::text(sql, job.id.no)?);
            self.turn = Some(Turn::new(job, said));
        }
        self.pump(now, sql, out)
    }

    /// Gives the job the slot and tells the consumers; its row is the caller's to write.
    pub(super) fn offer(
        &self,
        now: Timestamp,
        job: &mut Job,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        job.slot = true;
        job.offers += 1;
        if self.settings.queue {
            job.unclaimed_at = None;
            return store::add_outgoing(sql, OutboxNo::of(job), now);
        }
        job.unclaimed_at = Some(self.patience(now, job));
        out.push(Effect::Run { id: job.id });
        Ok(())
    }

    /// An offer nobody has taken is repeated: messages get lost, consumers fall over.
    pub(super) fn offer_again(
        &mut self,
        now: Timestamp,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        let unclaimed = |turn: &mut Turn| turn.job.unclaimed_at.is_some_and(|at| at <= now);
        let Some(mut turn) = self.turn.take_if(unclaimed) else {
            return Ok(());
        };
        self.offer(now, &mut turn.job, sql, out)?;
        store::update(sql, &turn.job)?;
        self.turn = Some(turn);
        Ok(())
    }

    /// The queue has taken a message, or has not.
    pub(super) fn sent(
        &mut self,
        now: Timestamp,
        row: OutboxNo,
        ok: bool,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        self.sending.take_if(|(sending, _)| *sending == row);
        self.touch();
        if !self.schema {
            return Ok(());
        }
        // A job that was claimed or cancelled meanwhile has no row any more.
        if let Some(mut outgoing) = store::find_outgoing(sql, row)? {
            if ok {
                self.settle(now, &outgoing, sql)?;
            } else {
                outgoing.tries += 1;
                let wait = retry::backoff(SEND_BACKOFF, outgoing.tries, &mut self.random);
                let give_up = outgoing.created_at.plus(self.settings.fallback);
                outgoing.next_at = now.plus(wait).min(give_up.max(now));
                store::postpone(sql, &outgoing)?;
            }
        }
        self.pump(now, sql, out)
    }

    /// Starts the next send if none is in flight. Past the time a queue is given, or without one,
    /// the edge runs the job itself.
    pub(super) fn pump(
        &mut self,
        now: Timestamp,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        self.sending
            .take_if(|(_, since)| now.since(*since) >= SEND_PATIENCE);
        while self.sending.is_none() {
            let first = store::first_outgoing(sql)?.filter(|outgoing| outgoing.next_at <= now);
            let Some(outgoing) = first else { return Ok(()) };
            let Some(id) = self.offered(&outgoing) else {
                store::drop_outgoing(sql, outgoing.row.job)?;
                continue;
            };
            let failed_for = now.since(outgoing.created_at);
            let given_up = outgoing.tries > 0 && failed_for >= self.settings.fallback;
            self.touch();
            if given_up || !self.settings.queue {
                self.settle(now, &outgoing, sql)?;
                out.push(Effect::Run { id });
            } else {
                self.sending = Some((outgoing.row, now));
                out.push(Effect::Send {
                    row: outgoing.row,
                    body: body(&self.room, id)?,
                });
            }
        }
        Ok(())
    }

    /// The offer is out: its row goes, and the time of its repetition is set.
    fn settle(&mut self, now: Timestamp, outgoing: &Outgoing, sql: &dyn Sql) -> Result<(), Broken> {
        store::drop_outgoing(sql, outgoing.row.job)?;
        if self.offered(outgoing).is_none() {
            return Ok(());
        }
        let Some(mut turn) = self.turn.take() else {
            return Ok(());
        };
        turn.job.unclaimed_at = Some(self.patience(now, &turn.job));
        store::update(sql, &turn.job)?;
        self.turn = Some(turn);
        Ok(())
    }

    /// The job of a row, if it is offered still.
    fn offered(&self, outgoing: &Outgoing) -> Option<JobId> {
        let job = &self.turn.as_ref()?.job;
        let waits = job.state != JobState::Running && OutboxNo::of(job) == outgoing.row;
        waits.then_some(job.id)
    }

    /// How long an offer is let be: a lease, then twice that, at most five minutes.
    fn patience(&self, now: Timestamp, job: &Job) -> Timestamp {
        now.plus(retry::doubled(self.settings.jobs.lease, job.offers))
    }
}

impl OutboxNo {
    /// Of the job's present offer.
    pub(super) const fn of(job: &Job) -> Self {
        Self {
            job: job.id.no,
            attempt: job.attempt,
            offer: job.offers,
        }
    }
}

/// What a message says; everything else the consumer learns with its claim.
#[derive(Debug, Serialize)]
struct Body<'a> {
    v: u32,
    room: &'a RoomName,
    job: JobId,
}

fn body(room: &RoomName, job: JobId) -> Result<String, Broken> {
    row::json(&Body {
        v: VERSION,
        room,
        job,
    })
}

/// A send whose confirmation has not come after this is made again.
pub(super) const SEND_PATIENCE: Millis = Millis(30_000);
const SEND_BACKOFF: Millis = Millis::SECOND;
