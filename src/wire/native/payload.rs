//! The payload of a message, taken apart. Every field of every message is in one struct: they share
//! their names and mostly their rules, and a field that a message does not use is passed over as an
//! unknown one would be.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Code, Rejected};
use crate::field::{Field, invalid, required};
use crate::id::{Epoch, JobId, MessageId, RoomName};
use crate::message::Since;

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

/// Ids are opaque to clients: one in their alphabet that was never ours is only not found.
fn opaque<T>(name: &str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, Rejected> {
    if RoomName::parse(text).is_err() {
        let detail =
            format!("`{name}` is no id: 1 to 128 characters of A-Z a-z 0-9 _ - . : @ | + =");
        return Err(Rejected::new(Code::InvalidName, detail));
    }
    parse(text).ok_or_else(|| Rejected::new(Code::NotFound, format!("`{name}`: no such id")))
}
