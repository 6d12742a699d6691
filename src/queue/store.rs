//! All SQL of the jobs. Rows in, rows out; decides nothing.

use crate::error::Broken;
use crate::id::{JobId, JobNo, UserId};
use crate::limits::SWEEP_ROWS;
use crate::message::JobState;
use crate::sql::{self, Sql, Value};
use crate::time::Timestamp;

use super::input::OutboxNo;
use super::job::Job;
use super::row::{self, Outgoing};

/// The earliest of each kind of wait that rows hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest {
    pub wakes_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub next_send_at: Option<Timestamp>,
}

pub fn exists(sql: &dyn Sql) -> Result<bool, Broken> {
    sql::has_table(sql, "job")
}

pub fn create(sql: &dyn Sql) -> Result<(), Broken> {
    sql::create(sql, include_str!("schema.sql"))
}

pub fn insert(sql: &dyn Sql, job: &Job) -> Result<(), Broken> {
    let mut params: Vec<Value> = vec![
        job.id.no.0.into(),
        job.id.epoch.to_string().into(),
        job.kind.word().into(),
        job.input.text().into(),
        job.prompt_seq.0.into(),
        (&*job.asker.author.user).into(),
        job.asker.author.guest.into(),
        row::json(&job.asker.author)?.into(),
        job.asker.role.clone().into(),
        job.key.clone().into(),
        job.corr.clone().into(),
        Value::Int(job.priority.into()),
        u64::from(job.max_attempts).into(),
        job.retried_from.map(|id| id.to_string()).into(),
        job.created_at.0.into(),
    ];
    params.extend(row::changing(job)?);
    sql.run(
        "INSERT INTO job (no, epoch, kind, input, prompt_seq, sub, guest, asker, role, key, corr,
            priority, max_attempts, retried_from, created_at, state, attempt, run_at, wakes_at,
            slot, offers, unclaimed_at, token, lease_until, model, errors, redriven, finished_at,
            text)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
            '')",
        &params,
    )?;
    Ok(())
}

/// Writes what changes in a job's life, but its text.
pub fn update(sql: &dyn Sql, job: &Job) -> Result<(), Broken> {
    let mut params = row::changing(job)?;
    params.push(job.id.no.0.into());
    sql.run(
        "UPDATE job SET state = ?, attempt = ?, run_at = ?, wakes_at = ?, slot = ?, offers = ?,
            unclaimed_at = ?, token = ?, lease_until = ?, model = ?, errors = ?, redriven = ?,
            finished_at = ?
         WHERE no = ?",
        &params,
    )?;
    Ok(())
}

pub fn update_with_text(sql: &dyn Sql, job: &Job, text: &str) -> Result<(), Broken> {
    let mut params = row::changing(job)?;
    params.extend([text.into(), job.id.no.0.into()]);
    sql.run(
        "UPDATE job SET state = ?, attempt = ?, run_at = ?, wakes_at = ?, slot = ?, offers = ?,
            unclaimed_at = ?, token = ?, lease_until = ?, model = ?, errors = ?, redriven = ?,
            finished_at = ?, text = ?
         WHERE no = ?",
        &params,
    )?;
    Ok(())
}

/// The hot one, once a second while an answer is written: touches no index.
pub fn renew(
    sql: &dyn Sql,
    no: JobNo,
    lease_until: Option<Timestamp>,
    text: Option<&str>,
) -> Result<(), Broken> {
    let lease_until: Value = lease_until.map(|at| at.0).into();
    let no = no.0.into();
    match text {
        Some(text) => {
            let params = [lease_until, text.into(), no];
            sql.run(
                "UPDATE job SET lease_until = ?, text = ? WHERE no = ?",
                &params,
            )?
        }
        None => sql.run(
            "UPDATE job SET lease_until = ? WHERE no = ?",
            &[lease_until, no],
        )?,
    };
    Ok(())
}

pub fn get(sql: &dyn Sql, id: JobId) -> Result<Option<Job>, Broken> {
    let params = [id.no.0.into(), id.epoch.to_string().into()];
    one(sql, "WHERE no = ? AND epoch = ?", &params)
}

pub fn text(sql: &dyn Sql, no: JobNo) -> Result<String, Broken> {
    let rows = sql.run("SELECT text FROM job WHERE no = ?", &[no.0.into()])?;
    Ok(rows
        .first()
        .map(|row| row.text(0))
        .transpose()?
        .unwrap_or_default()
        .to_owned())
}

pub fn by_key(sql: &dyn Sql, sub: &UserId, key: &str) -> Result<Option<Job>, Broken> {
    let params = [(&**sub).into(), key.into()];
    one(sql, "WHERE sub = ? AND key = ?", &params)
}

/// Who holds the slot.
pub fn holder(sql: &dyn Sql) -> Result<Option<Job>, Broken> {
    one(sql, "WHERE slot IS NOT NULL", &[])
}

/// Whose turn it is when the slot is free.
pub fn next_ready(sql: &dyn Sql) -> Result<Option<Job>, Broken> {
    one(
        sql,
        "WHERE finished_at IS NULL AND wakes_at IS NULL AND slot IS NULL
         ORDER BY priority DESC, no LIMIT 1",
        &[],
    )
}

/// The newest first.
pub fn list(sql: &dyn Sql, state: Option<JobState>, limit: usize) -> Result<Vec<Job>, Broken> {
    let limit = Value::from(limit as u64);
    match state {
        None => some(sql, "ORDER BY no DESC LIMIT ?", &[limit]),
        Some(state) => {
            let params = [state.word().into(), limit];
            some(sql, "WHERE state = ? ORDER BY no DESC LIMIT ?", &params)
        }
    }
}

/// Jobs that have not ended. Three conditions, so that each is answered by its own small index.
pub fn open_count(sql: &dyn Sql) -> Result<u64, Broken> {
    let rows = sql.run(
        "SELECT (SELECT count(*) FROM job
                 WHERE finished_at IS NULL AND wakes_at IS NULL AND slot IS NULL)
            + (SELECT count(*) FROM job WHERE wakes_at IS NOT NULL)
            + (SELECT count(*) FROM job WHERE slot IS NOT NULL)",
        &[],
    )?;
    rows.first().map_or(Ok(0), |row| row.uint(0))
}

/// Jobs made by guests after `since`: by this one, and by all.
pub fn guests_since(sql: &dyn Sql, sub: &UserId, since: Timestamp) -> Result<(u64, u64), Broken> {
    let rows = sql.run(
        "SELECT coalesce(sum(sub = ?), 0), count(*) FROM job WHERE guest = 1 AND created_at > ?",
        &[(&**sub).into(), since.0.into()],
    )?;
    rows.first()
        .map_or(Ok((0, 0)), |row| Ok((row.uint(0)?, row.uint(1)?)))
}

/// Those whose time has come are ready.
pub fn wake(sql: &dyn Sql, now: Timestamp) -> Result<(), Broken> {
    sql.run(
        "UPDATE job SET wakes_at = NULL,
            state = CASE state WHEN 'delayed' THEN 'queued' ELSE state END
         WHERE wakes_at <= ?",
        &[now.0.into()],
    )?;
    Ok(())
}

/// Deletes jobs that ended by then, a bounded number.
pub fn forget(sql: &dyn Sql, ended_by: Timestamp) -> Result<(), Broken> {
    sql.run(
        "DELETE FROM job WHERE no IN
            (SELECT no FROM job WHERE finished_at <= ? ORDER BY finished_at LIMIT ?)",
        &[ended_by.0.into(), SWEEP_ROWS.into()],
    )?;
    Ok(())
}

pub fn nearest(sql: &dyn Sql) -> Result<Nearest, Broken> {
    let rows = sql.run(
        "SELECT (SELECT min(wakes_at) FROM job WHERE wakes_at IS NOT NULL),
            (SELECT min(finished_at) FROM job WHERE finished_at IS NOT NULL),
            (SELECT min(next_at) FROM outbox)",
        &[],
    )?;
    let Some(row) = rows.first() else {
        return Err(Broken("no row of an aggregate".into()));
    };
    Ok(Nearest {
        wakes_at: row.opt_uint(0)?.map(Timestamp),
        ended_at: row.opt_uint(1)?.map(Timestamp),
        next_send_at: row.opt_uint(2)?.map(Timestamp),
    })
}

pub fn is_empty(sql: &dyn Sql) -> Result<bool, Broken> {
    let rows = sql.run(
        "SELECT 1 FROM job UNION ALL SELECT 1 FROM outbox LIMIT 1",
        &[],
    )?;
    Ok(rows.is_empty())
}

pub fn add_outgoing(sql: &dyn Sql, row: OutboxNo, now: Timestamp) -> Result<(), Broken> {
    let [job, attempt, offer] = key(row);
    let now = Value::from(now.0);
    sql.run(
        "INSERT INTO outbox (job, attempt, offer, created_at, tries, next_at)
         VALUES (?, ?, ?, ?, 0, ?)",
        &[job, attempt, offer, now.clone(), now],
    )?;
    Ok(())
}

pub fn find_outgoing(sql: &dyn Sql, row: OutboxNo) -> Result<Option<Outgoing>, Broken> {
    let rows = sql.run(
        "SELECT job, attempt, offer, created_at, tries, next_at FROM outbox
         WHERE job = ? AND attempt = ? AND offer = ?",
        &key(row),
    )?;
    rows.first().map(row::outgoing).transpose()
}

/// The row whose turn it is: jobs in order, and of a job its messages.
pub fn first_outgoing(sql: &dyn Sql) -> Result<Option<Outgoing>, Broken> {
    let rows = sql.run(
        "SELECT job, attempt, offer, created_at, tries, next_at FROM outbox
         ORDER BY job, attempt, offer LIMIT 1",
        &[],
    )?;
    rows.first().map(row::outgoing).transpose()
}

pub fn postpone(sql: &dyn Sql, outgoing: &Outgoing) -> Result<(), Broken> {
    let [job, attempt, offer] = key(outgoing.row);
    let tries = u64::from(outgoing.tries).into();
    sql.run(
        "UPDATE outbox SET tries = ?, next_at = ? WHERE job = ? AND attempt = ? AND offer = ?",
        &[tries, outgoing.next_at.0.into(), job, attempt, offer],
    )?;
    Ok(())
}

/// Whatever waits to be sent about this job.
pub fn drop_outgoing(sql: &dyn Sql, no: JobNo) -> Result<(), Broken> {
    sql.run("DELETE FROM outbox WHERE job = ?", &[no.0.into()])?;
    Ok(())
}

fn key(row: OutboxNo) -> [Value; 3] {
    [
        row.job.0.into(),
        u64::from(row.attempt).into(),
        u64::from(row.offer).into(),
    ]
}

fn one(sql: &dyn Sql, rest: &str, params: &[Value]) -> Result<Option<Job>, Broken> {
    Ok(some(sql, rest, params)?.pop())
}

fn some(sql: &dyn Sql, rest: &str, params: &[Value]) -> Result<Vec<Job>, Broken> {
    let rows = sql.run(&format!("SELECT {} FROM job {rest}", row::COLUMNS), params)?;
    rows.iter().map(row::job).collect()
}
