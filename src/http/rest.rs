//! Bodies and queries of the REST routes into an [`Op`]. Source: `interface.md`, "Paths";
//! `decisions.md`, "History".

use super::body::Fields;
use super::{Action, Op, Query, Request};
use crate::error::{Code, Rejected};
use crate::field::{invalid, required};
use crate::id::{EventType, RoomName, UserId};
use crate::limits::{
    ATTEMPTS_MAX, CLIENT_ID_MAX_BYTES, EXCLUDE_MAX, HTTP_ENVELOPE_BYTES, JOB_DELAY_MAX,
    KEY_MAX_BYTES, MEMBERS_SHOWN, NAME_MAX_CHARS, PAGE_DEFAULT, PAGE_MAX, TYPES_MAX,
};
use crate::message::{JobState, Json, NewJob, PageQuery, Publication};
use crate::time::Millis;

/// Bytes of a body that are read at all: a message, and the fields around it.
pub const fn body_max_bytes(max_message_bytes: usize) -> usize {
    max_message_bytes.saturating_add(HTTP_ENVELOPE_BYTES)
}

/// What to check of a POST before its body is read: the type and the length it claims.
///
/// # Errors
/// `unsupported_media_type`, `too_big`.
pub fn check_head(request: &Request<'_>, max_message_bytes: usize) -> Result<(), Rejected> {
    let length = request
        .header("content-length")
        .and_then(|length| length.trim().parse().ok());
    check_length(length.unwrap_or(0), max_message_bytes)?;
    match request.header("content-type") {
        Some(kind) if !is_json(&kind) => Err(not_json(&kind)),
        _ => Ok(()),
    }
}

/// The text of a body.
///
/// # Errors
/// Those of [`check_head`]; `unsupported_media_type` for a body without a type, `bad_message` for
/// one that is not UTF-8.
pub fn text<'a>(
    request: &Request<'_>,
    body: &'a [u8],
    max_message_bytes: usize,
) -> Result<&'a str, Rejected> {
    check_head(request, max_message_bytes)?;
    check_length(body.len(), max_message_bytes)?;
    if !body.is_empty() && request.header("content-type").is_none() {
        return Err(not_json("nothing"));
    }
    std::str::from_utf8(body).map_err(|_| Rejected::new(Code::BadMessage, "the body is not UTF-8"))
}

/// What the request asks of its room. `body` is not looked at where none is expected.
///
/// # Errors
/// `bad_message` for a body that is no JSON object, `invalid_payload` naming field, parameter or
/// header, `invalid_name`.
pub fn op(
    action: Action,
    request: &Request<'_>,
    query: &Query<'_>,
    body: &str,
) -> Result<Op, Rejected> {
    match action {
        Action::History => history(query).map(Op::History),
        Action::JobCancel(job) => Ok(Op::JobCancel { job }),
        Action::JobCreate => new_job(request, &Fields::parse(body)?).map(Op::JobCreate),
        Action::JobList => job_list(query),
        Action::JobRead(job) => Ok(Op::JobRead { job }),
        Action::JobRetry(job) => Ok(Op::JobRetry { job }),
        Action::Members => members(query),
        #[cfg(feature = "panic-route")]
        Action::Panic => Ok(Op::Panic),
        Action::Publish => publication(request, &Fields::parse(body)?).map(Op::Publish),
    }
}

fn publication(request: &Request<'_>, fields: &Fields<'_>) -> Result<Publication, Rejected> {
    let kind = match fields.kind_of_event.text("type")? {
        Some(kind) => EventType::parse(&kind)?,
        None => EventType::message(),
    };
    let exclude = fields.exclude.texts("exclude", EXCLUDE_MAX)?;
    let exclude: Result<_, _> = exclude.iter().map(|user| UserId::parse(user)).collect();
    Ok(Publication {
        kind,
        body: Some(Json::raw(required("body", fields.body.value())?)),
        meta: fields.meta.meta("meta")?,
        corr: fields.corr.short_text("corr", CLIENT_ID_MAX_BYTES)?,
        ephemeral: fields.ephemeral.flag("ephemeral")?.unwrap_or(false),
        echo: true,
        exclude: exclude?,
        key: idempotency_key(request)?,
    })
}

/// `key` in the body is the older way to say `Idempotency-Key`, and the nearer one.
fn new_job(request: &Request<'_>, fields: &Fields<'_>) -> Result<NewJob, Rejected> {
    let kind = required("kind", fields.kind.short_text("kind", NAME_MAX_CHARS)?)?;
    let input = required("input", fields.input.given())?;
    if !input.get().starts_with('{') {
        return Err(invalid("`input` must be an object"));
    }
    let key = fields.key.short_text("key", KEY_MAX_BYTES)?;
    let header = idempotency_key(request)?;
    let delay = fields
        .delay_ms
        .number("delay_ms", 0..=JOB_DELAY_MAX.0 as i64)?
        .unwrap_or_default();
    Ok(NewJob {
        kind,
        input: Json::raw(input),
        key: key.or(header),
        corr: fields.corr.short_text("corr", CLIENT_ID_MAX_BYTES)?,
        delay: Millis(delay),
        priority: fields
            .priority
            .number("priority", -100..=100)?
            .unwrap_or_default(),
        max_attempts: fields
            .max_attempts
            .number("max_attempts", 1..=i64::from(ATTEMPTS_MAX))?,
    })
}

fn idempotency_key(request: &Request<'_>) -> Result<Option<String>, Rejected> {
    let Some(key) = request.header("idempotency-key") else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > KEY_MAX_BYTES {
        return Err(invalid(format!(
            "`Idempotency-Key` must have 1 to {KEY_MAX_BYTES} bytes"
        )));
    }
    Ok(Some(key))
}

fn history(query: &Query<'_>) -> Result<PageQuery, Rejected> {
    let (after, before) = (query.seq("after")?, query.seq("before")?);
    if after.is_some() && before.is_some() {
        return Err(invalid("`after` and `before` exclude each other"));
    }
    let limit = query.number("limit", 1..=PAGE_MAX as u64)?;
    let limit = limit.map_or(PAGE_DEFAULT, |limit| limit as usize);
    let mut types = Vec::new();
    // An empty list is none: all types.
    for word in query
        .get("types")?
        .unwrap_or_default()
        .split(',')
        .filter(|word| !word.is_empty())
    {
        if types.len() == TYPES_MAX {
            return Err(invalid(format!("`types` takes at most {TYPES_MAX}")));
        }
        types.push(logged_type(word)?);
    }
    Ok(PageQuery {
        after,
        before,
        limit,
        types,
    })
}

/// The service's own types are in the log too, so any name is one.
fn logged_type(word: &str) -> Result<EventType, Rejected> {
    if RoomName::parse(word).is_err() {
        let detail = "a type in `types` has 1 to 128 characters of A-Z a-z 0-9 _ - . : @ | + =";
        return Err(Rejected::new(Code::InvalidName, detail));
    }
    Ok(EventType::known(word))
}

fn members(query: &Query<'_>) -> Result<Op, Rejected> {
    let after = query.get("after")?.map(UserId::parse).transpose()?;
    let limit = query.number("limit", 0..=PAGE_MAX as u64)?;
    Ok(Op::Members {
        after,
        limit: limit.map_or(MEMBERS_SHOWN, |limit| limit as usize),
    })
}

fn job_list(query: &Query<'_>) -> Result<Op, Rejected> {
    let state = match query.get("state")? {
        None => None,
        Some(word) => Some(JobState::from_word(word).ok_or_else(|| {
            invalid("`state` is one of queued delayed running retrying done dead cancelled")
        })?),
    };
    Ok(Op::JobList { state })
}

fn check_length(bytes: usize, max_message_bytes: usize) -> Result<(), Rejected> {
    let max = body_max_bytes(max_message_bytes);
    if bytes > max {
        return Err(Rejected::new(
            Code::TooBig,
            format!("a body has at most {max} bytes"),
        ));
    }
    Ok(())
}

/// `application/json`, or another type whose suffix says that it is JSON.
fn is_json(content_type: &str) -> bool {
    let media = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

fn not_json(content_type: &str) -> Rejected {
    let shown: String = content_type.chars().take(NAME_MAX_CHARS).collect();
    let detail = format!("the content type must be application/json, it is {shown}");
    Rejected::new(Code::UnsupportedMediaType, detail)
}
