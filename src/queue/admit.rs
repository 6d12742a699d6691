//! Which jobs a room takes: what is asked for is read once, bounded, and handed to the room, which
//! logs it and gives it its id. Runs none. Source: `interface.md`, rows of jobs.

use crate::error::{Broken, Code, Rejected};
use crate::id::{JobId, Seq};
use crate::limits::{
    ATTEMPTS_MAX, GUESTS_TOGETHER, JOB_DELAY_MAX, JOBS_WAITING_MAX, NAME_MAX_CHARS,
    PROMPT_MAX_BYTES,
};
use crate::link::{Asker, ReplyTo};
use crate::message::{JobState, Json, NewJob};
use crate::sql::Sql;
use crate::time::{Millis, Timestamp};

use super::job::{Chat, Job, Kind};
use super::said::Said;
use super::turn::Turn;
use super::{Draft, Effect, News, Queue, refuse, store, unknown};

impl Queue {
    /// Refuses, answers with the job of the same key, or hands the draft to the room.
    pub(super) fn enqueue(
        &self,
        now: Timestamp,
        to: ReplyTo,
        asker: &Asker,
        new: &NewJob,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        let draft = match self.draft(now, asker, new) {
            Ok(draft) => draft,
            Err(rejected) => {
                out.push(Effect::Answer {
                    to,
                    answer: Err(rejected),
                });
                return Ok(());
            }
        };
        let effect = match self.same_key(&draft, sql)? {
            Some(job) if job.kind == draft.kind && job.input == draft.input => {
                self.created(to, &job, sql)?
            }
            Some(_) => Effect::Answer {
                to,
                answer: Err(Rejected::new(
                    Code::Conflict,
                    "this key came before with another job",
                )),
            },
            None => match self.over_limits(now, asker, sql)? {
                Some(rejected) => Effect::Answer {
                    to,
                    answer: Err(rejected),
                },
                None => Effect::Accept { to, draft },
            },
        };
        out.push(effect);
        Ok(())
    }

    /// Makes a new job of a dead one. The dead one is marked at once, so that a second try in the
    /// same tick is refused too.
    pub(super) fn redrive(
        &mut self,
        now: Timestamp,
        to: ReplyTo,
        asker: &Asker,
        id: JobId,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        let Some(mut job) = self.find(id, sql)? else {
            out.push(unknown(to, id));
            return Ok(());
        };
        if job.state != JobState::Dead {
            let state = job.state.word();
            let detail = format!("only a dead job is retried; this one is {state}");
            out.push(refuse(to, Code::Conflict, detail));
            return Ok(());
        }
        if job.redriven {
            out.push(refuse(
                to,
                Code::Conflict,
                "this job was retried already, as a new job",
            ));
            return Ok(());
        }
        if let Some(rejected) = self.over_limits(now, asker, sql)? {
            out.push(Effect::Answer {
                to,
                answer: Err(rejected),
            });
            return Ok(());
        }
        job.redriven = true;
        store::update(sql, &job)?;
        let draft = Draft {
            asker: asker.clone(),
            kind: job.kind,
            prompt: job.chat()?.prompt,
            input: job.input,
            corr: job.corr,
            key: None,
            run_at: now,
            priority: job.priority,
            max_attempts: job.max_attempts,
            retried_from: Some(id),
            asked: Some(job.prompt_seq),
        };
        out.push(Effect::Accept { to, draft });
        Ok(())
    }

    /// Writes the row of a job the room has logged, and offers it if nothing is before it.
    pub(super) fn insert(
        &mut self,
        now: Timestamp,
        to: ReplyTo,
        (id, prompt_seq): (JobId, Seq),
        draft: &Draft,
        sql: &dyn Sql,
        out: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        if !self.schema {
            store::create(sql)?;
            self.schema = true;
        }
        // Two of the same key, accepted before either was here: the first is the job.
        if let Some(job) = self.same_key(draft, sql)? {
            out.push(self.created(to, &job, sql)?);
            return Ok(());
        }
        self.touch();
        self.advance(now, sql, out)?;
        let mut job = new_job(now, id, prompt_seq, draft);
        out.push(self.created(to, &job, sql)?);
        if job.state == JobState::Delayed {
            out.push(Effect::Say(News::changed(&job)));
        }
        let turn = self.turn.is_none() && job.wakes_at.is_none();
        if turn {
            self.offer(now, &mut job, sql, out)?;
        }
        store::insert(sql, &job)?;
        if turn {
            self.turn = Some(Turn::new(job, Said::default()));
        }
        self.pump(now, sql, out)
    }

    fn draft(&self, now: Timestamp, asker: &Asker, new: &NewJob) -> Result<Draft, Rejected> {
        let invalid = |detail: String| Rejected::new(Code::InvalidPayload, detail);
        let Some(kind) = Kind::from_word(&new.kind) else {
            let shown: String = new.kind.chars().take(NAME_MAX_CHARS).collect();
            return Err(invalid(format!(
                "`{shown}` is no kind of job; there is `ai.chat`"
            )));
        };
        let chat = chat(&new.input).map_err(invalid)?;
        if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&new.priority) {
            return Err(invalid(format!(
                "`priority` is -{PRIORITY_MAX} to {PRIORITY_MAX}"
            )));
        }
        if new.delay > JOB_DELAY_MAX {
            return Err(invalid(format!(
                "`delay_ms` is at most {}",
                JOB_DELAY_MAX.0
            )));
        }
        let max_attempts = new.max_attempts.unwrap_or(self.settings.jobs.max_attempts);
        if !(1..=ATTEMPTS_MAX).contains(&max_attempts) {
            return Err(invalid(format!("`max_attempts` is 1 to {ATTEMPTS_MAX}")));
        }
        Ok(Draft {
            asker: asker.clone(),
            kind,
            input: Json::of(&chat),
            prompt: chat.prompt,
            corr: new.corr.clone(),
            key: new.key.clone(),
            run_at: now.plus(new.delay),
            priority: new.priority,
            max_attempts,
            retried_from: None,
            asked: None,
        })
    }

    fn same_key(&self, draft: &Draft, sql: &dyn Sql) -> Result<Option<Job>, Broken> {
        match &draft.key {
            Some(key) if self.schema => store::by_key(sql, &draft.asker.author.user, key),
            _ => Ok(None),
        }
    }

    fn over_limits(
        &self,
        now: Timestamp,
        asker: &Asker,
        sql: &dyn Sql,
    ) -> Result<Option<Rejected>, Broken> {
        let author = &asker.author;
        if author.guest {
            let since = now.minus(Millis::MINUTE);
            let (own, all) = match self.schema {
                true => store::guests_since(sql, &author.user, since)?,
                false => (0, 0),
            };
            let each = self.settings.guest_jobs_per_min;
            if own >= each || all >= each.saturating_mul(GUESTS_TOGETHER) {
                let detail = format!("guests may ask {each} times a minute");
                return Ok(Some(Rejected::new(Code::RateLimited, detail)));
            }
        }
        if self.schema && store::open_count(sql)? >= JOBS_WAITING_MAX {
            let detail = format!("{JOBS_WAITING_MAX} jobs wait in this room; try again later");
            return Ok(Some(Rejected::new(Code::QueueFull, detail)));
        }
        Ok(None)
    }
}

/// Reads the input of an answer; says what is wrong with it.
fn chat(input: &Json) -> Result<Chat, String> {
    let chat: Chat = input
        .read()
        .map_err(|error| format!("`input` is {{prompt, model?, max_tokens?}}: {error}"))?;
    if chat.prompt.trim().is_empty() {
        return Err("`input.prompt` is empty".into());
    }
    if chat.prompt.len() > PROMPT_MAX_BYTES {
        return Err(format!(
            "`input.prompt` has at most {PROMPT_MAX_BYTES} bytes"
        ));
    }
    let model_fits = |model: &String| (1..=NAME_MAX_CHARS).contains(&model.len());
    if !chat.model.as_ref().is_none_or(model_fits) {
        return Err(format!("`input.model` has 1 to {NAME_MAX_CHARS} bytes"));
    }
    if chat.max_tokens == Some(0) {
        return Err("`input.max_tokens` is at least 1".into());
    }
    Ok(chat)
}

fn new_job(now: Timestamp, id: JobId, prompt_seq: Seq, draft: &Draft) -> Job {
    let delayed = draft.run_at > now;
    Job {
        id,
        kind: draft.kind,
        input: draft.input.clone(),
        prompt_seq,
        asker: draft.asker.clone(),
        key: draft.key.clone(),
        corr: draft.corr.clone(),
        priority: draft.priority,
        max_attempts: draft.max_attempts,
        retried_from: draft.retried_from,
        created_at: now,
        state: if delayed {
            JobState::Delayed
        } else {
            JobState::Queued
        },
        attempt: 0,
        run_at: draft.run_at,
        wakes_at: delayed.then_some(draft.run_at),
        slot: false,
        offers: 0,
        unclaimed_at: None,
        token: None,
        lease_until: None,
        model: None,
        errors: Vec::new(),
        redriven: false,
        finished_at: None,
    }
}

const PRIORITY_MAX: i8 = 100;
