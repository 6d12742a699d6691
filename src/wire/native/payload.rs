//! The fields of a payload, each read by its own rule and refused by its own name. Every field
//! of every message is in one struct: they share their names and mostly their rules, and a field
//! that a message does not use is passed over as an unknown one would be.
//!
//! `null` in an optional field is as good as its absence (many clients write it so); in `body`
//! and in the payload of a ping it is a value like any other.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{Code, Rejected};
use crate::id::{Epoch, JobId, MessageId, NUMBER_MAX, RoomName, Seq};
use crate::limits::META_MAX_BYTES;
use crate::message::{Json, Since};

/// A payload, taken apart but not read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload<'a> {
    #[serde(borrow)]
    pub after: Field<'a>,
    pub before: Field<'a>,
    pub body: Field<'a>,
    pub confirm_ms: Field<'a>,
    pub corr: Field<'a>,
    pub delay_ms: Field<'a>,
    pub echo: Field<'a>,
    pub ephemeral: Field<'a>,
    pub epoch: Field<'a>,
    pub every_ms: Field<'a>,
    pub input: Field<'a>,
    pub job: Field<'a>,
    pub key: Field<'a>,
    pub kind: Field<'a>,
    pub last: Field<'a>,
    pub limit: Field<'a>,
    pub max_attempts: Field<'a>,
    pub message_id: Field<'a>,
    pub meta: Field<'a>,
    pub priority: Field<'a>,
    pub room: Field<'a>,
    pub seq: Field<'a>,
    pub since: Field<'a>,
    pub status: Field<'a>,
    pub text: Field<'a>,
    pub token: Field<'a>,
    #[serde(rename = "type")]
    pub kind_of_event: Field<'a>,
}

/// The text of one value, or nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Field<'a>(Option<&'a RawValue>);

impl<'a> Payload<'a> {
    /// # Errors
    /// `invalid_payload` for what is no object, or has a field twice.
    pub(super) fn parse(payload: Option<&'a RawValue>) -> Result<Self, Rejected> {
        Self::named(payload, "payload")
    }

    fn named(object: Option<&'a RawValue>, name: &str) -> Result<Self, Rejected> {
        let Some(raw) = object.filter(|raw| raw.get().starts_with('{')) else {
            return Err(invalid(format!("`{name}` must be an object")));
        };
        // It is valid JSON already, so what fails here is a field given twice.
        serde_json::from_str(raw.get()).map_err(|error| invalid(format!("`{name}`: {error}")))
    }

    /// # Errors
    /// `invalid_payload` without one, `invalid_name` for what is none.
    pub(super) fn room(&self) -> Result<RoomName, Rejected> {
        RoomName::parse(&required("room", self.room.text("room")?)?)
    }

    pub(super) fn since(&self) -> Result<Option<Since>, Rejected> {
        let Some(raw) = self.since.given() else {
            return Ok(None);
        };
        let since = Payload::named(Some(raw), "since")?;
        let epoch = required("since.epoch", since.epoch.text("since.epoch")?)?;
        let epoch = Epoch::parse(&epoch)
            .ok_or_else(|| invalid("`since.epoch` must be 12 hexadecimal digits".to_owned()))?;
        let seq = required("since.seq", since.seq.seq("since.seq")?)?;
        Ok(Some(Since { epoch, seq }))
    }

    pub(super) fn meta(&self) -> Result<Option<Json>, Rejected> {
        let Some(raw) = self.meta.given() else {
            return Ok(None);
        };
        if raw.get().len() > META_MAX_BYTES {
            return Err(invalid(format!(
                "`meta` must have at most {META_MAX_BYTES} bytes"
            )));
        }
        Ok(Some(Json::raw(raw)))
    }

    pub(super) fn job_id(&self) -> Result<JobId, Rejected> {
        let text = required("job", self.job.text("job")?)?;
        opaque("job", &text, JobId::parse)
    }

    pub(super) fn message_id(&self) -> Result<Option<MessageId>, Rejected> {
        let Some(text) = self.message_id.text("message_id")? else {
            return Ok(None);
        };
        opaque("message_id", &text, MessageId::parse).map(Some)
    }
}

impl<'a> Field<'a> {
    /// The value, `null` included.
    pub(super) const fn value(self) -> Option<&'a RawValue> {
        self.0
    }

    /// The value, unless it is `null`.
    pub(super) fn given(self) -> Option<&'a RawValue> {
        self.0.filter(|raw| raw.get() != "null")
    }

    pub(super) fn text(self, name: &str) -> Result<Option<Cow<'a, str>>, Rejected> {
        let Some(raw) = self.given() else {
            return Ok(None);
        };
        let text = text_of(raw).ok_or_else(|| invalid(format!("`{name}` must be a string")))?;
        Ok(Some(text))
    }

    /// A text that is not empty and has at most `max_bytes`.
    pub(super) fn short_text(
        self,
        name: &str,
        max_bytes: usize,
    ) -> Result<Option<String>, Rejected> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        if text.is_empty() || text.len() > max_bytes {
            return Err(invalid(format!(
                "`{name}` must have 1 to {max_bytes} bytes"
            )));
        }
        Ok(Some(text.into_owned()))
    }

    pub(super) fn number<N: TryFrom<i64>>(
        self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<N>, Rejected> {
        let Some(raw) = self.given() else {
            return Ok(None);
        };
        let number = raw
            .get()
            .parse()
            .ok()
            .filter(|number| range.contains(number));
        match number.and_then(|number| N::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => {
                let (from, to) = range.into_inner();
                Err(invalid(format!(
                    "`{name}` must be a whole number from {from} to {to}"
                )))
            }
        }
    }

    pub(super) fn seq(self, name: &str) -> Result<Option<Seq>, Rejected> {
        Ok(self.number(name, 0..=NUMBER_MAX as i64)?.map(Seq))
    }

    pub(super) fn flag(self, name: &str) -> Result<Option<bool>, Rejected> {
        match self.given().map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(format!("`{name}` must be true or false"))),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw)))
    }
}

pub(super) fn required<T>(name: &str, value: Option<T>) -> Result<T, Rejected> {
    value.ok_or_else(|| invalid(format!("`{name}` is missing")))
}

pub(super) fn invalid(detail: String) -> Rejected {
    Rejected::new(Code::InvalidPayload, detail)
}

/// A JSON string's text, borrowed where nothing in it is escaped; nothing for any other value,
/// and for escapes that make no text (half a surrogate pair).
pub(super) fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Ids are opaque to clients: one in their alphabet that was never ours is only not found.
fn opaque<T>(name: &str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, Rejected> {
    if RoomName::parse(text).is_err() {
        let detail =
            format!("`{name}` is no id: 1 to 128 characters of A-Z a-z 0-9 _ - . : @ | + =");
        return Err(Rejected::new(Code::InvalidName, detail));
    }
    parse(text).ok_or_else(|| Rejected::new(Code::NotFound, format!("`{name}`: no such id")))
}
