//! A payload into what is asked, by the type of its message. Source: `interface.md`, the table of
//! client-to-service types.

use std::borrow::Cow;

use super::payload::Payload;
use crate::error::Rejected;
use crate::field::{Field, invalid, required};
use crate::id::{EventType, UserId};
use crate::limits::{
    ATTEMPTS_MAX, CLIENT_ID_MAX_BYTES, HEARTBEAT_MAX, HEARTBEAT_MIN, JOB_DELAY_MAX, KEY_MAX_BYTES,
    LAST_MAX, MEMBERS_SHOWN, NAME_MAX_CHARS, PAGE_DEFAULT, PAGE_MAX, STATUS_MAX_BYTES,
    STATUS_TEXT_MAX_BYTES,
};
use crate::message::{AckOf, Ask, Join, Json, NewJob, PageQuery, Publication, Status};
use crate::time::Millis;

/// Reads the payload of a message of a known type.
///
/// # Errors
/// `invalid_payload` naming the field, `invalid_name`, and `not_found` for an id never given.
pub(super) fn read(kind: &str, payload: Field<'_>) -> Result<Ask, Rejected> {
    if kind == "ping" {
        return Ok(Ask::Ping {
            payload: payload.value().map(Json::raw),
        });
    }
    let payload = Payload::parse(payload.value())?;
    match kind {
        "ack" => ack(&payload),
        "broadcast" => broadcast(&payload),
        "cancel" => Ok(Ask::Cancel {
            room: payload.room()?,
            job: payload.job_id()?,
        }),
        "heartbeat" => heartbeat(&payload),
        "history" => history(&payload),
        "job" => job(&payload),
        "join" => join(&payload),
        "leave" => Ok(Ask::Leave {
            room: payload.room()?,
        }),
        "members" => members(&payload),
        "presence" => presence(&payload),
        _ => token(&payload),
    }
}

fn ack(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let message = payload.message_id()?;
    let seq = payload.seq.seq("seq")?;
    match (message, seq) {
        (Some(message), None) => Ok(Ask::Ack(AckOf::Message(message))),
        (None, Some(seq)) => Ok(Ask::Ack(AckOf::UpTo {
            room: payload.room()?,
            seq,
        })),
        _ => Err(invalid(
            "`ack` takes either `room` and `seq`, or `message_id`".to_owned(),
        )),
    }
}

fn broadcast(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let room = payload.room()?;
    let kind = match payload.kind_of_event.text("type")? {
        Some(kind) => EventType::parse(&kind)?,
        None => EventType::message(),
    };
    if payload.confirm_ms.given().is_some() {
        return Err(invalid("`confirm_ms` is not built yet".to_owned()));
    }
    let publication = Publication {
        kind,
        body: Some(Json::raw(required("body", payload.body.value())?)),
        meta: payload.meta.meta("meta")?,
        corr: payload.corr.short_text("corr", CLIENT_ID_MAX_BYTES)?,
        ephemeral: payload.ephemeral.flag("ephemeral")?.unwrap_or(false),
        echo: payload.echo.flag("echo")?.unwrap_or(true),
        exclude: Vec::new(),
        key: payload.key.short_text("key", KEY_MAX_BYTES)?,
    };
    Ok(Ask::Broadcast { room, publication })
}

fn heartbeat(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let every = payload
        .every_ms
        .number("every_ms", HEARTBEAT_MIN.0 as i64..=HEARTBEAT_MAX.0 as i64)?;
    Ok(Ask::Heartbeat {
        every: Millis(required("every_ms", every)?),
    })
}

fn history(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let room = payload.room()?;
    let after = payload.after.seq("after")?;
    let before = payload.before.seq("before")?;
    if after.is_some() && before.is_some() {
        return Err(invalid(
            "`after` and `before` exclude each other".to_owned(),
        ));
    }
    let limit = payload
        .limit
        .number("limit", 1..=PAGE_MAX as i64)?
        .unwrap_or(PAGE_DEFAULT);
    Ok(Ask::History {
        room,
        page: PageQuery {
            after,
            before,
            limit,
            types: Vec::new(),
        },
    })
}

fn job(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let room = payload.room()?;
    let kind = required("kind", payload.kind.short_text("kind", NAME_MAX_CHARS)?)?;
    let input = required("input", payload.input.given())?;
    if !input.get().starts_with('{') {
        return Err(invalid("`input` must be an object".to_owned()));
    }
    let delay = payload
        .delay_ms
        .number("delay_ms", 0..=JOB_DELAY_MAX.0 as i64)?
        .unwrap_or_default();
    let job = NewJob {
        kind,
        input: Json::raw(input),
        key: payload.key.short_text("key", KEY_MAX_BYTES)?,
        corr: payload.corr.short_text("corr", CLIENT_ID_MAX_BYTES)?,
        delay: Millis(delay),
        priority: payload
            .priority
            .number("priority", -100..=100)?
            .unwrap_or_default(),
        max_attempts: payload
            .max_attempts
            .number("max_attempts", 1..=i64::from(ATTEMPTS_MAX))?,
    };
    Ok(Ask::Job { room, job })
}

fn join(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let room = payload.room()?;
    let last = payload.last.number("last", 0..=LAST_MAX as i64)?;
    Ok(Ask::Join {
        room,
        join: Join {
            meta: payload.meta.meta("meta")?,
            since: payload.since()?,
            last,
        },
    })
}

fn members(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let room = payload.room()?;
    let after = match payload.after.text("after")? {
        Some(after) => Some(UserId::parse(&after)?),
        None => None,
    };
    let limit = payload
        .limit
        .number("limit", 0..=PAGE_MAX as i64)?
        .unwrap_or(MEMBERS_SHOWN);
    Ok(Ask::Members { room, after, limit })
}

fn presence(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let status = required(
        "status",
        payload.status.short_text("status", STATUS_MAX_BYTES)?,
    )?;
    let text = payload.text.text("text")?.filter(|text| !text.is_empty());
    if text
        .as_ref()
        .is_some_and(|text| text.len() > STATUS_TEXT_MAX_BYTES)
    {
        return Err(invalid(format!(
            "`text` must have at most {STATUS_TEXT_MAX_BYTES} bytes"
        )));
    }
    let text = text.map(Cow::into_owned);
    Ok(Ask::Presence(Status {
        status,
        text,
        meta: payload.meta.meta("meta")?,
    }))
}

fn token(payload: &Payload<'_>) -> Result<Ask, Rejected> {
    let token = required("token", payload.token.text("token")?)?;
    Ok(Ask::Token {
        token: token.into_owned(),
    })
}
