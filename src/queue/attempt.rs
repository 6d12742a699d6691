//! The life of an attempt: claimed, renewed, spoken, completed, failed, lost or cancelled. Knows
//! consumers by their tokens alone. Source: `architecture.md` rule 5; `features.md` X4, X5.

use crate::error::Broken;
use crate::id::JobId;
use crate::limits::{ANSWER_MAX_BYTES, MODEL_MAX_CHARS, RETRY_AFTER_MAX};
use crate::link::{ReplyTo, WaiterNo};
use crate::message::{JobState, Reply};
use crate::sql::Sql;
use crate::time::{Millis, Timestamp};

use super::job::Job;
use super::said::{Heard, Said};
use super::turn::{Holder, Turn};
use super::{Claim, Effect, News, Next, Queue, Verdict, retry, store, unknown};

/// Why an attempt failed.
#[derive(Debug)]
pub(super) struct Failing<'a> {
    pub(super) error: &'a str,
    pub(super) retryable: bool,
    /// Not before this has passed.
    pub(super) retry_after: Millis,
}

impl<'a> Failing<'a> {
    pub(super) fn of(error: &'a str, retryable: bool, retry_after: Option<Millis>) -> Self {
        // A provider that asks for more is tried again all the same.
        let retry_after = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        Self {
            error,
            retryable,
            retry_after,
        }
    }
}

impl Queue {
    /// Only the job whose turn it is, and only once.
    pub(super) fn claim(
        &mut self,
        now: Timestamp,
        to: WaiterNo,
        id: JobId,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        let offered = |turn: &&mut Turn| turn.job.id == id && turn.job.state != JobState::Running;
        let Some(turn) = self.turn.as_mut().filter(offered) else {
            out.push(Effect::Worker {
                to,
                verdict: Verdict::Refused,
            });
            return Ok(());
        };
        let lease = self.settings.jobs.lease;
        let token = turn.job.claim(now, lease, &mut self.random)?;
        turn.said = Said::default();
        turn.unwritten = false;
        store::update_with_text(sql, &turn.job, "")?;
        store::drop_outgoing(sql, id.no)?;
        let chat = turn.job.chat()?;
        let claim = Claim {
            id,
            token,
            attempt: turn.job.attempt,
            max_attempts: turn.job.max_attempts,
            lease,
            asker: turn.job.asker.author.user.clone(),
            prompt: chat.prompt,
            model: chat.model,
            max_tokens: chat.max_tokens,
            prompt_seq: turn.job.prompt_seq,
        };
        out.push(Effect::Say(News::changed(&turn.job)));
        out.push(Effect::Worker {
            to,
            verdict: Verdict::Claimed(Box::new(claim)),
        });
        self.touch();
        Ok(())
    }

    pub(super) fn renew(
        &mut self,
        now: Timestamp,
        holder: Holder,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        if !self.holds(holder, sql, out)? {
            return Ok(());
        }
        self.write_row(now, sql)?;
        let have = self.turn.as_ref().map_or(0, |turn| turn.said.units());
        out.push(Effect::Worker {
            to: holder.to,
            verdict: Verdict::Go { have },
        });
        Ok(())
    }

    /// The hot one: no statement runs unless a second has passed since the last row.
    pub(super) fn delta(
        &mut self,
        now: Timestamp,
        holder: Holder,
        index: u64,
        text: &str,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        if !self.holds(holder, sql, out)? {
            return Ok(());
        }
        let Some(turn) = &mut self.turn else {
            return Ok(());
        };
        let heard = turn.said.hear(index, text);
        let have = turn.said.have(index, text);
        if let Heard::New { index, text } = heard {
            if !turn.unwritten {
                turn.unwritten = true;
                self.next.set(Next::Stale);
            }
            out.push(Effect::Say(News::Delta {
                message_id: turn.job.id.answer(),
                job: turn.job.id,
                attempt: turn.job.attempt,
                index,
                text,
            }));
        }
        self.write_row(now, sql)?;
        out.push(Effect::Worker {
            to: holder.to,
            verdict: Verdict::Go { have },
        });
        Ok(())
    }

    pub(super) fn complete(
        &mut self,
        now: Timestamp,
        holder: Holder,
        text: &str,
        model: &str,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        if !self.holds(holder, sql, out)? {
            return Ok(());
        }
        let Some(mut turn) = self.turn.take() else {
            return Ok(());
        };
        turn.said = Said::of(text);
        let model = model.chars().take(MODEL_MAX_CHARS).collect();
        turn.job.model = Some(model);
        self.finish(now, turn.job, turn.said, JobState::Done, sql, out)?;
        out.push(Effect::Worker {
            to: holder.to,
            verdict: Verdict::Ended,
        });
        self.advance(now, sql, out)
    }

    pub(super) fn fail(
        &mut self,
        now: Timestamp,
        holder: Holder,
        failing: &Failing<'_>,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        if !self.holds(holder, sql, out)? {
            return Ok(());
        }
        self.lose(now, failing, sql, out)?;
        out.push(Effect::Worker {
            to: holder.to,
            verdict: Verdict::Ended,
        });
        self.advance(now, sql, out)
    }

    /// A consumer that fell silent has lost its attempt.
    pub(super) fn end_lease(
        &mut self,
        now: Timestamp,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        let lease_until = self.turn.as_ref().and_then(|turn| turn.job.lease_until);
        if lease_until.is_none_or(|at| at > now) {
            return Ok(());
        }
        let failing = Failing::of("lease expired", true, None);
        self.lose(now, &failing, sql, out)
    }

    /// Ends a job from outside, in whatever state: at once, the consumer learns it with its next
    /// write.
    pub(super) fn cancel(
        &mut self,
        now: Timestamp,
        to: ReplyTo,
        id: JobId,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        let Some(job) = self.find(id, sql)? else {
            out.push(unknown(to, id));
            return Ok(());
        };
        if job.state.is_end() {
            let answer = Ok(Reply::Cancelled { state: job.state });
            out.push(Effect::Answer { to, answer });
            return Ok(());
        }
        let said = match self.turn.take_if(|turn| turn.job.id == id) {
            Some(turn) => turn.said,
            None => Said::of(&store::text(sql, id.no)?),
        };
        store::drop_outgoing(sql, id.no)?;
        let state = JobState::Cancelled;
        self.finish(now, job, said, state, sql, out)?;
        out.push(Effect::Answer {
            to,
            answer: Ok(Reply::Cancelled { state }),
        });
        self.advance(now, sql, out)
    }

    /// The running attempt failed: later again, or dead.
    fn lose(
        &mut self,
        now: Timestamp,
        failing: &Failing<'_>,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        let Some(Turn { mut job, said, .. }) = self.turn.take() else {
            return Ok(());
        };
        job.failed(now, failing.error);
        if !failing.retryable || job.attempt >= job.max_attempts {
            return self.finish(now, job, said, JobState::Dead, sql, out);
        }
        self.touch();
        let wait = retry::backoff(self.settings.jobs.backoff, job.attempt, &mut self.random);
        job.retry(now.plus(wait.max(failing.retry_after)))?;
        store::update_with_text(sql, &job, said.text())?;
        out.push(Effect::Say(News::changed(&job)));
        Ok(())
    }

    /// Writes an end and says it: the answer first, then the state.
    fn finish(
        &mut self,
        now: Timestamp,
        mut job: Job,
        said: Said,
        state: JobState,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        self.touch();
        job.end(now, state)?;
        store::update_with_text(sql, &job, said.text())?;
        let changed = News::changed(&job);
        out.push(Effect::Say(News::Final {
            job: job.id,
            kind: job.kind,
            model: job.model,
            status: state,
            text: said.into_text(),
        }));
        out.push(Effect::Say(changed));
        Ok(())
    }
}

impl News {
    pub(super) fn changed(job: &Job) -> Self {
        Self::Changed {
            job: job.id,
            state: job.state,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            error: job.error().map(str::to_owned),
        }
    }
}

const _: () = assert!(MODEL_MAX_CHARS * 4 < ANSWER_MAX_BYTES);
