//! The fields of a JSON body, each read by its own rule and refused by its own name; what the
//! bodies of all routes hold is in one struct. `null` in an optional field is as good as its
//! absence; in `body` it is a value like any other.
//!
//! The rules are those of the native protocol (`wire/native/payload.rs`), which this folder may
//! not import; the tables of both tests hold them to the same bounds.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{Code, Rejected};
use crate::limits::{JSON_MAX_DEPTH, META_MAX_BYTES};
use crate::message::Json;

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

/// The text of one value, or nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Field<'a>(Option<&'a RawValue>);

impl<'a> Fields<'a> {
    /// # Errors
    /// `bad_message` for what is no JSON or no object, `invalid_payload` for a field given twice
    /// and for nesting deeper than [`JSON_MAX_DEPTH`].
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
        if is_deeper_than(JSON_MAX_DEPTH, raw.get()) {
            return Err(invalid(format!("nested deeper than {JSON_MAX_DEPTH}")));
        }
        serde_json::from_str(raw.get()).map_err(|error| invalid(error.to_string()))
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

    pub(super) fn texts(self, name: &str, max: usize) -> Result<Vec<String>, Rejected> {
        let Some(raw) = self.given() else {
            return Ok(Vec::new());
        };
        match serde_json::from_str::<Vec<String>>(raw.get()) {
            Ok(texts) if texts.len() <= max => Ok(texts),
            _ => Err(invalid(format!(
                "`{name}` must be an array of at most {max} strings"
            ))),
        }
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

    pub(super) fn flag(self, name: &str) -> Result<Option<bool>, Rejected> {
        match self.given().map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(format!("`{name}` must be true or false"))),
        }
    }

    pub(super) fn meta(self, name: &str) -> Result<Option<Json>, Rejected> {
        let Some(raw) = self.given() else {
            return Ok(None);
        };
        if raw.get().len() > META_MAX_BYTES {
            return Err(invalid(format!(
                "`{name}` must have at most {META_MAX_BYTES} bytes"
            )));
        }
        Ok(Some(Json::raw(raw)))
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

pub(super) fn invalid(detail: impl Into<String>) -> Rejected {
    Rejected::new(Code::InvalidPayload, detail)
}

/// A JSON string's text, borrowed where nothing in it is escaped.
fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Whether valid JSON nests deeper than `max`, by counting brackets outside of strings.
fn is_deeper_than(max: usize, json: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return true;
        }
    }
    false
}
