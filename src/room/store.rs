//! All SQL of the room but the log's. Rows in, rows out; decides nothing.

use crate::error::Broken;
use crate::id::{Epoch, Seq, UserId};
use crate::link::{Leaving, Rev};
use crate::message::Json;
use crate::sql::{self, Row, Sql, Value};
use crate::time::Timestamp;

use super::member::{Person, Told};

/// The row that outlives the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub epoch: Epoch,
    /// Of the log's last entry, or of the last one retention took.
    pub seq: Seq,
    pub rev: Rev,
    /// The room counts instead of naming each, since the last `members` event at `counted_at`.
    pub counted: bool,
    pub counted_at: Timestamp,
}

/// A first answer kept for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub hash: String,
    /// JSON of `Published`.
    pub answer: String,
}

pub fn exists(sql: &dyn Sql) -> Result<bool, Broken> {
    sql::has_table(sql, "head")
}

pub fn create(sql: &dyn Sql) -> Result<(), Broken> {
    sql::create(sql, include_str!("schema.sql"))
}

pub fn head(sql: &dyn Sql) -> Result<Option<Head>, Broken> {
    let rows = sql.run(
        "SELECT epoch, rev, max(seq, coalesce((SELECT max(seq) FROM log), 0)), counted, counted_at
         FROM head",
        &[],
    )?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Head {
        epoch: epoch(row, 0)?,
        rev: Rev(row.uint(1)?),
        seq: Seq(row.uint(2)?),
        counted: row.flag(3)?,
        counted_at: Timestamp(row.uint(4)?),
    }))
}

/// Writes everything but `seq`, which is retention's.
pub fn write_head(sql: &dyn Sql, head: &Head) -> Result<(), Broken> {
    sql.run(
        "INSERT INTO head (one, epoch, rev, seq, counted, counted_at) VALUES (1, ?, ?, 0, ?, ?)
         ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, rev = excluded.rev,
            counted = excluded.counted, counted_at = excluded.counted_at",
        &[
            head.epoch.to_string().into(),
            head.rev.0.into(),
            head.counted.into(),
            head.counted_at.0.into(),
        ],
    )?;
    Ok(())
}

pub fn write_head_seq(sql: &dyn Sql, seq: Seq) -> Result<(), Broken> {
    sql.run("UPDATE head SET seq = ?", &[seq.0.into()])?;
    Ok(())
}

pub fn members(sql: &dyn Sql) -> Result<Vec<(UserId, Person)>, Broken> {
    let rows = sql.run(
        "SELECT user, n, name, role, meta, status, status_text, joined_at, gone_at, leaving, told
         FROM member WHERE link = ''",
        &[],
    )?;
    rows.iter().map(person).collect()
}

pub fn write_member(sql: &dyn Sql, user: &UserId, person: &Person) -> Result<(), Broken> {
    sql.run(
        "INSERT OR REPLACE INTO member (user, link, n, name, role, meta, status, status_text,
            joined_at, gone_at, leaving, told) VALUES (?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            (&**user).into(),
            person.connections.into(),
            person.name.clone().into(),
            person.role.clone().into(),
            person.meta.as_ref().map(Json::text).into(),
            person.status.clone().into(),
            person.status_text.clone().into(),
            person.joined_at.0.into(),
            person.gone.map(|(at, _)| at.0).into(),
            person.gone.map(|(_, leaving)| leaving.word()).into(),
            Value::Int(person.told as i64),
        ],
    )?;
    Ok(())
}

pub fn delete_member(sql: &dyn Sql, user: &UserId) -> Result<(), Broken> {
    sql.run(
        "DELETE FROM member WHERE user = ? AND link = ''",
        &[(&**user).into()],
    )?;
    Ok(())
}

pub fn write_cursor(sql: &dyn Sql, user: &UserId, seq: Seq) -> Result<(), Broken> {
    sql.run(
        "INSERT INTO cursor (user, seq) VALUES (?, ?)
         ON CONFLICT (user) DO UPDATE SET seq = max(seq, excluded.seq)",
        &[(&**user).into(), seq.0.into()],
    )?;
    Ok(())
}

pub fn kept(
    sql: &dyn Sql,
    sub: &UserId,
    key: &str,
    now: Timestamp,
) -> Result<Option<Kept>, Broken> {
    let rows = sql.run(
        "SELECT hash, answer FROM idempotency WHERE sub = ? AND key = ? AND expires_at > ?",
        &[(&**sub).into(), key.into(), now.0.into()],
    )?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Kept {
        hash: row.text(0)?.to_owned(),
        answer: row.text(1)?.to_owned(),
    }))
}

/// Keeps an answer, and drops the expired ones of the same person: lazily, with a write that
/// happens anyway.
pub fn keep(
    sql: &dyn Sql,
    (sub, key): (&UserId, &str),
    kept: &Kept,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Broken> {
    sql.run(
        "DELETE FROM idempotency WHERE sub = ? AND expires_at <= ?",
        &[(&**sub).into(), now.0.into()],
    )?;
    sql.run(
        "INSERT OR REPLACE INTO idempotency (sub, key, hash, answer, expires_at)
         VALUES (?, ?, ?, ?, ?)",
        &[
            (&**sub).into(),
            key.into(),
            kept.hash.clone().into(),
            kept.answer.clone().into(),
            expires_at.0.into(),
        ],
    )?;
    Ok(())
}

/// When the last of the kept answers may be dropped.
pub fn keys_until(sql: &dyn Sql) -> Result<Timestamp, Broken> {
    let rows = sql.run("SELECT coalesce(max(expires_at), 0) FROM idempotency", &[])?;
    rows.first()
        .map_or(Ok(Timestamp(0)), |row| row.uint(0).map(Timestamp))
}

pub fn epoch(row: &Row, column: usize) -> Result<Epoch, Broken> {
    let text = row.text(column)?;
    Epoch::parse(text).ok_or_else(|| Broken(format!("not an epoch: {text}")))
}

fn person(row: &Row) -> Result<(UserId, Person), Broken> {
    let user = row.text(0)?;
    let user = UserId::parse(user).map_err(|_| Broken(format!("not a user: {user}")))?;
    let gone = match (row.opt_uint(8)?, row.opt_text(9)?) {
        (Some(at), Some(word)) => {
            let leaving = Leaving::from_word(word);
            Some((
                Timestamp(at),
                leaving.ok_or_else(|| Broken(format!("not a reason: {word}")))?,
            ))
        }
        _ => None,
    };
    let person = Person {
        connections: row.uint(1)?,
        name: row.opt_text(2)?.map(str::to_owned),
        role: row.opt_text(3)?.map(str::to_owned),
        meta: row.opt_text(4)?.map(Json::stored).transpose()?,
        status: row.text(5)?.to_owned(),
        status_text: row.opt_text(6)?.map(str::to_owned),
        joined_at: Timestamp(row.uint(7)?),
        gone,
        told: match row.int(10)? {
            0 => Told::NotYet,
            1 => Told::Yes,
            _ => Told::LeftNotYet,
        },
    };
    Ok((user, person))
}
