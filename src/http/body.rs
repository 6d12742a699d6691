//! The body of a request, taken apart: what the bodies of all routes hold is in one struct.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Code, Rejected};
use crate::field::{Field, check_depth, invalid};

/// A body, taken apart but not read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields<'a> {
    #[serde(borrow)]
    pub body: Field<'a>,
    pub corr: Field<'a>,
    pub delay_ms: Field<'a>,
    pub ephemeral: Field<'a>,
    pub exclude: Field<'a>,
    pub input: Field<'a>,
    pub key: Field<'a>,
    pub kind: Field<'a>,
    pub max_attempts: Field<'a>,
    pub meta: Field<'a>,
    pub priority: Field<'a>,
    #[serde(rename = "type")]
    pub kind_of_event: Field<'a>,
}

impl<'a> Fields<'a> {
    /// # Errors
    /// `bad_message` for what is no JSON or no object, `invalid_payload` for a field given twice
    /// and for nesting that is too deep.
    pub(super) fn parse(body: &'a str) -> Result<Self, Rejected> {
        let bad = |detail| Err(Rejected::new(Code::BadMessage, detail));
        // Skipping a value costs no stack, so this measures nothing yet.
        let Ok(raw) = serde_json::from_str::<&RawValue>(body) else {
            return bad(if body.is_empty() {
                "the body is empty"
            } else {
                "the body is not JSON"
            });
        };
        if !raw.get().starts_with('{') {
            return bad("the body must be a JSON object");
        }
        check_depth(raw.get())?;
        serde_json::from_str(raw.get()).map_err(|error| invalid(error.to_string()))
    }
}
