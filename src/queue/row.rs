//! The rows of the jobs' tables as values, both ways. Knows no statement but the order of its
//! columns, and decides nothing.

use serde::Serialize;

use crate::error::Broken;
use crate::id::{Epoch, JobId, JobNo, Seq};
use crate::link::Asker;
use crate::message::{Author, JobState, Json};
use crate::sql::{Row, Value};
use crate::time::Timestamp;

use super::input::OutboxNo;
use super::job::{Failure, Job, Kind, Token};

/// A message that waits for its confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    pub row: OutboxNo,
    pub created_at: Timestamp,
    /// Sends that failed.
    pub tries: u32,
    pub next_at: Timestamp,
}

/// What [`job`] reads. Not the text: it may be large, and few need it.
pub const COLUMNS: &str = "no, epoch, kind, input, prompt_seq, asker, role, key, corr, priority, \
    max_attempts, retried_from, created_at, state, attempt, run_at, wakes_at, slot, offers, \
    unclaimed_at, token, lease_until, model, errors, redriven, finished_at";

pub fn job(row: &Row) -> Result<Job, Broken> {
    let kind = row.text(2)?;
    let state = row.text(13)?;
    let author: Author = read(row, 5)?;
    let errors: Vec<Failure> = read(row, 23)?;
    let retried_from = row.opt_text(11)?;
    Ok(Job {
        id: JobId {
            epoch: wanted(Epoch::parse, row.text(1)?)?,
            no: JobNo(row.uint(0)?),
        },
        kind: wanted(Kind::from_word, kind)?,
        input: Json::stored(row.text(3)?)?,
        prompt_seq: Seq(row.uint(4)?),
        asker: Asker {
            author,
            role: owned(row, 6)?,
        },
        key: owned(row, 7)?,
        corr: owned(row, 8)?,
        priority: small(row.int(9)?)?,
        max_attempts: small(row.int(10)?)?,
        retried_from: retried_from
            .map(|text| wanted(JobId::parse, text))
            .transpose()?,
        created_at: Timestamp(row.uint(12)?),
        state: wanted(JobState::from_word, state)?,
        attempt: small(row.int(14)?)?,
        run_at: Timestamp(row.uint(15)?),
        wakes_at: row.opt_uint(16)?.map(Timestamp),
        slot: row.opt_uint(17)?.is_some(),
        offers: small(row.int(18)?)?,
        unclaimed_at: row.opt_uint(19)?.map(Timestamp),
        token: row.opt_uint(20)?.map(Token),
        lease_until: row.opt_uint(21)?.map(Timestamp),
        model: owned(row, 22)?,
        errors,
        redriven: row.flag(24)?,
        finished_at: row.opt_uint(25)?.map(Timestamp),
    })
}

/// What changes in a job's life but its text, in the order of [`COLUMNS`] from `state` on.
pub fn changing(job: &Job) -> Result<Vec<Value>, Broken> {
    Ok(vec![
        job.state.word().into(),
        u64::from(job.attempt).into(),
        job.run_at.0.into(),
        job.wakes_at.map(|at| at.0).into(),
        job.slot.then_some(1_u64).into(),
        u64::from(job.offers).into(),
        job.unclaimed_at.map(|at| at.0).into(),
        job.token.map(|token| token.0).into(),
        job.lease_until.map(|at| at.0).into(),
        job.model.clone().into(),
        json(&job.errors)?.into(),
        job.redriven.into(),
        job.finished_at.map(|at| at.0).into(),
    ])
}

pub fn outgoing(row: &Row) -> Result<Outgoing, Broken> {
    Ok(Outgoing {
        row: OutboxNo {
            job: JobNo(row.uint(0)?),
            attempt: small(row.int(1)?)?,
            offer: small(row.int(2)?)?,
        },
        created_at: Timestamp(row.uint(3)?),
        tries: small(row.int(4)?)?,
        next_at: Timestamp(row.uint(5)?),
    })
}

pub fn json(value: &impl Serialize) -> Result<String, Broken> {
    serde_json::to_string(value).map_err(|error| Broken(error.to_string()))
}

fn read<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> Result<T, Broken> {
    let text = row.text(column)?;
    serde_json::from_str(text).map_err(|error| Broken(format!("column {column}: {error}")))
}

fn owned(row: &Row, column: usize) -> Result<Option<String>, Broken> {
    Ok(row.opt_text(column)?.map(str::to_owned))
}

fn wanted<T>(parse: impl Fn(&str) -> Option<T>, text: &str) -> Result<T, Broken> {
    parse(text).ok_or_else(|| Broken(format!("a row of a job holds `{text}`")))
}

fn small<T: TryFrom<i64>>(n: i64) -> Result<T, Broken> {
    T::try_from(n).map_err(|_| Broken(format!("a row of a job holds {n}")))
}
