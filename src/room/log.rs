//! The one log of a room: messages, answers and job states, each with the next seq. Appends,
//! reads pages, and forgets what is too old or too much. Knows who may not see an entry, not who
//! is there. Source: `architecture.md` rule 4, `decisions.md` "Log, ids, doubles", "History".

use crate::error::Broken;
use crate::id::{Epoch, EventType, MessageId, RoomName, Seq, UserId};
use crate::limits::{DOUBLES_WINDOW, PAGE_MAX_BYTES, SWEEP_ROWS};
use crate::link::{Exclude, Item};
use crate::message::{Author, Envelope, HistoryPage, Json, PageQuery};
use crate::sql::{Row, Sql, Value};
use crate::time::{Millis, Timestamp};

use super::store;

/// An entry on its way into the log.
#[derive(Debug, Clone)]
pub struct Entry {
    pub kind: EventType,
    /// Absent where it follows from epoch and seq.
    pub id: Option<MessageId>,
    pub author: Option<Author>,
    pub body: Option<Json>,
    pub meta: Option<Json>,
    pub corr: Option<String>,
    pub exclude: Vec<UserId>,
    pub origin: Option<String>,
}

/// The log's bounds, kept in memory beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// The oldest entry kept; one past the head when none is.
    pub first: Seq,
    pub first_ts: Timestamp,
    pub last_ts: Timestamp,
}

/// Whose log it is: what every envelope read from it carries.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    pub room: &'a RoomName,
    pub epoch: Epoch,
}

impl Entry {
    pub fn event(word: &str, body: Json) -> Self {
        Self {
            kind: EventType::known(word),
            id: None,
            author: None,
            body: Some(body),
            meta: None,
            corr: None,
            exclude: Vec::new(),
            origin: None,
        }
    }

    pub fn into_envelope(self, of: Of<'_>, seq: Seq, ts: Timestamp) -> Envelope {
        let derived = MessageId::Logged {
            epoch: of.epoch,
            seq,
        };
        Envelope {
            kind: self.kind,
            id: Some(self.id.unwrap_or(derived)),
            room: Some(of.room.clone()),
            from: self.author,
            ts,
            seq: Some(seq),
            epoch: Some(of.epoch),
            body: self.body,
            meta: self.meta,
            corr: self.corr,
            retry: None,
        }
    }
}

pub fn append(sql: &dyn Sql, seq: Seq, ts: Timestamp, entry: &Entry) -> Result<(), Broken> {
    sql.run(
        "INSERT INTO log (seq, ts, kind, id, author, body, meta, corr, exclude, origin)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            seq.0.into(),
            ts.0.into(),
            (&*entry.kind).into(),
            entry.id.map(|id| id.to_string()).into(),
            entry
                .author
                .as_ref()
                .map(|author| Json::of(author).text().to_owned())
                .into(),
            entry.body.as_ref().map(Json::text).into(),
            entry.meta.as_ref().map(Json::text).into(),
            entry.corr.clone().into(),
            (!entry.exclude.is_empty())
                .then(|| Json::of(&entry.exclude).text().to_owned())
                .into(),
            entry.origin.clone().into(),
        ],
    )?;
    Ok(())
}

/// Reads a page for `reader`: what excludes them is a `skip` in its place, unless only some types
/// were asked for.
pub fn page(
    sql: &dyn Sql,
    of: Of<'_>,
    query: &PageQuery,
    reader: &UserId,
) -> Result<HistoryPage, Broken> {
    let ascending = query.after.is_some();
    let rows = sql.run(&page_statement(query), &page_params(query))?;
    let more = rows.len() > query.limit;
    let mut messages = Vec::new();
    let mut bytes = 0;
    let mut cut = false;
    for row in rows.iter().take(query.limit) {
        bytes += size(row)?;
        if bytes > PAGE_MAX_BYTES && !messages.is_empty() {
            cut = true;
            break;
        }
        let skips = query.types.is_empty();
        if let Some(envelope) = read(row, of, reader, skips)? {
            messages.push((row.uint(0)?, envelope));
        } else {
            // Excluded and filtered by type: nothing stands for it.
            bytes -= size(row)?;
        }
    }
    let last = rows
        .iter()
        .take(query.limit)
        .next_back()
        .map(|row| row.uint(0))
        .transpose()?;
    let reached = if cut {
        messages.last().map(|(seq, _)| *seq)
    } else {
        last
    };
    let next = (more || cut).then_some(reached).flatten().map(Seq);
    let mut messages: Vec<Envelope> = messages.into_iter().map(|(_, envelope)| envelope).collect();
    if !ascending {
        messages.reverse();
    }
    Ok(HistoryPage {
        epoch: Some(of.epoch),
        messages,
        next,
    })
}

/// The entries after `seq` as they went over the link; `None` when they are more than `limit` or
/// a mebibyte.
pub fn after(
    sql: &dyn Sql,
    of: Of<'_>,
    seq: Seq,
    limit: usize,
) -> Result<Option<Vec<Item>>, Broken> {
    let query = PageQuery {
        after: Some(seq),
        before: None,
        limit,
        types: Vec::new(),
    };
    let rows = sql.run(&page_statement(&query), &page_params(&query))?;
    let mut bytes = 0;
    for row in &rows {
        bytes += size(row)?;
    }
    if rows.len() > limit || bytes > PAGE_MAX_BYTES {
        return Ok(None);
    }
    let item = |row: &Row| {
        Ok(Item {
            envelope: envelope(row, of)?.into(),
            exclude: Exclude {
                users: excluded(row)?,
                conn: None,
            },
        })
    };
    rows.iter().map(item).collect::<Result<_, _>>().map(Some)
}

pub fn extent(sql: &dyn Sql, head: Seq) -> Result<Extent, Broken> {
    let rows = sql.run(
        "SELECT seq, ts, (SELECT ts FROM log ORDER BY seq DESC LIMIT 1) FROM log
         ORDER BY seq LIMIT 1",
        &[],
    )?;
    let Some(row) = rows.first() else {
        return Ok(Extent {
            first: head.next(),
            ..Extent::default()
        });
    };
    Ok(Extent {
        first: Seq(row.uint(0)?),
        first_ts: Timestamp(row.uint(1)?),
        last_ts: Timestamp(row.uint(2)?),
    })
}

/// Takes what is too old, and what is too much once it is a tenth too much: rarely and in one
/// statement. True when anything went.
pub fn retain(
    sql: &dyn Sql,
    now: Timestamp,
    head: Seq,
    extent: &Extent,
    (max, ttl): (u64, Millis),
) -> Result<bool, Broken> {
    let kept = (head.0 + 1).saturating_sub(extent.first.0);
    let over = kept > max + max / 10;
    let old = kept > 0 && now.since(extent.first_ts) > ttl;
    if !over && !old {
        return Ok(false);
    }
    store::write_head_seq(sql, head)?;
    if over {
        sql.run("DELETE FROM log WHERE seq <= ?", &[(head.0 - max).into()])?;
    }
    if old {
        sql.run(
            "DELETE FROM log WHERE ts < ? AND seq < ?",
            &[
                now.minus(ttl).0.into(),
                (extent.first.0 + SWEEP_ROWS).into(),
            ],
        )?;
    }
    Ok(true)
}

/// Finds the entry that a call brought before, among the last entries.
pub fn by_origin(
    sql: &dyn Sql,
    head: Seq,
    origin: &str,
) -> Result<Option<(Seq, Timestamp)>, Broken> {
    let rows = sql.run(
        "SELECT seq, ts FROM log WHERE seq > ? AND origin = ?",
        &[head.0.saturating_sub(DOUBLES_WINDOW).into(), origin.into()],
    )?;
    rows.first()
        .map(|row| Ok((Seq(row.uint(0)?), Timestamp(row.uint(1)?))))
        .transpose()
}

fn page_statement(query: &PageQuery) -> String {
    let mut statement = format!("SELECT {COLUMNS} FROM log WHERE seq > ? AND seq < ?");
    if !query.types.is_empty() {
        let marks = vec!["?"; query.types.len()].join(", ");
        statement += &format!(" AND kind IN ({marks})");
    }
    statement += if query.after.is_some() {
        " ORDER BY seq"
    } else {
        " ORDER BY seq DESC"
    };
    statement + " LIMIT ?"
}

fn page_params(query: &PageQuery) -> Vec<Value> {
    let after = query.after.map_or(0, |seq| seq.0);
    let before = query.before.map_or(crate::id::NUMBER_MAX, |seq| seq.0);
    let mut params: Vec<Value> = vec![after.into(), before.into()];
    params.extend(query.types.iter().map(|kind| Value::from(&**kind)));
    // One more than asked for tells whether there is more.
    params.push((query.limit as u64 + 1).into());
    params
}

fn size(row: &Row) -> Result<usize, Broken> {
    let text = |column| Ok(row.opt_text(column)?.map_or(0, str::len));
    Ok(ENVELOPE_BYTES + text(5)? + text(6)?)
}

fn read(row: &Row, of: Of<'_>, reader: &UserId, skips: bool) -> Result<Option<Envelope>, Broken> {
    if !excluded(row)?.contains(reader) {
        return envelope(row, of).map(Some);
    }
    let seq = Seq(row.uint(0)?);
    Ok(skips.then_some(Envelope::skip(
        of.room,
        seq,
        of.epoch,
        Timestamp(row.uint(1)?),
    )))
}

fn excluded(row: &Row) -> Result<Vec<UserId>, Broken> {
    row.opt_text(8)?.map_or(Ok(Vec::new()), stored)
}

fn envelope(row: &Row, of: Of<'_>) -> Result<Envelope, Broken> {
    let seq = Seq(row.uint(0)?);
    let id = row
        .opt_text(3)?
        .map(|id| MessageId::parse(id).ok_or_else(|| Broken(format!("not a message id: {id}"))));
    let entry = Entry {
        kind: EventType::known(row.text(2)?),
        id: id.transpose()?,
        author: row.opt_text(4)?.map(stored).transpose()?,
        body: row.opt_text(5)?.map(Json::stored).transpose()?,
        meta: row.opt_text(6)?.map(Json::stored).transpose()?,
        corr: row.opt_text(7)?.map(str::to_owned),
        exclude: Vec::new(),
        origin: None,
    };
    Ok(entry.into_envelope(of, seq, Timestamp(row.uint(1)?)))
}

fn stored<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Broken> {
    serde_json::from_str(text).map_err(|error| Broken(format!("a stored value: {error}")))
}

const COLUMNS: &str = "seq, ts, kind, id, author, body, meta, corr, exclude";
/// What an envelope weighs beside its body and meta, when pages are measured.
const ENVELOPE_BYTES: usize = 256;
