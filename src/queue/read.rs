//! What is asked of the jobs without changing them.

use crate::error::Broken;
use crate::id::JobId;
use crate::limits::{JOBS_SHOWN, PAGE_MAX_BYTES};
use crate::link::ReplyTo;
use crate::message::{JobState, Reply, Writing};
use crate::sql::Sql;

use super::job::Job;
use super::{Effect, Queue, store, unknown};

impl Queue {
    /// Answers being generated, with their text so far.
    pub fn writing(&self) -> Vec<Writing> {
        let running = self
            .turn
            .iter()
            .filter(|turn| turn.job.state == JobState::Running);
        let writing = running.map(|turn| Writing {
            message_id: turn.job.id.answer(),
            job: turn.job.id,
            attempt: turn.job.attempt,
            text: turn.said.text().to_owned(),
        });
        writing.collect()
    }

    pub(super) fn read(&self, to: ReplyTo, id: JobId, sql: &dyn Sql) -> Result<Effect, Broken> {
        let Some(job) = self.find(id, sql)? else {
            return Ok(unknown(to, id));
        };
        let text = match job.state {
            JobState::Done => Some(store::text(sql, id.no)?),
            _ => None,
        };
        let view = job.view(&self.room, text.as_deref());
        Ok(Effect::Answer {
            to,
            answer: Ok(Reply::Job(Box::new(view))),
        })
    }

    pub(super) fn list(
        &self,
        to: ReplyTo,
        state: Option<JobState>,
        sql: &dyn Sql,
    ) -> Result<Effect, Broken> {
        let found = if self.schema {
            store::list(sql, state, JOBS_SHOWN)?
        } else {
            Vec::new()
        };
        let mut bytes = 0;
        let within = found.iter().take_while(|job| {
            bytes += job.input.text().len();
            bytes <= PAGE_MAX_BYTES
        });
        let jobs = within.map(|job| job.view(&self.room, None)).collect();
        Ok(Effect::Answer {
            to,
            answer: Ok(Reply::Jobs { jobs }),
        })
    }

    /// The answer to whoever asked for the job: under its name on a socket, itself over HTTP.
    pub(super) fn created(&self, to: ReplyTo, job: &Job, sql: &dyn Sql) -> Result<Effect, Broken> {
        let text = match job.state {
            JobState::Done => Some(store::text(sql, job.id.no)?),
            _ => None,
        };
        let job = Box::new(job.view(&self.room, text.as_deref()));
        let reply = match to {
            ReplyTo::Link(_) => Reply::JobCreated { job },
            ReplyTo::Waiter(_) => Reply::Job(job),
        };
        Ok(Effect::Answer {
            to,
            answer: Ok(reply),
        })
    }

    pub(super) fn find(&self, id: JobId, sql: &dyn Sql) -> Result<Option<Job>, Broken> {
        match &self.turn {
            Some(turn) if turn.job.id == id => Ok(Some(turn.job.clone())),
            _ if self.schema => store::get(sql, id),
            _ => Ok(None),
        }
    }
}
