//! The fields of a JSON object that a peer sent, each read by its own rule and refused by its own
//! name: the same rules on a socket and over HTTP. Knows no message and no route.
//!
//! `null` in an optional field is as good as its absence (many clients write it so); where it is a
//! value like any other, [`Field::value`] gives it.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{Code, Rejected};
use crate::id::{NUMBER_MAX, Seq};
use crate::limits::{JSON_MAX_DEPTH, META_MAX_BYTES};
use crate::message::Json;

/// The text of one value, or nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Field<'a>(Option<&'a RawValue>);

impl<'a> Field<'a> {
    /// The value, `null` included.
    pub const fn value(self) -> Option<&'a RawValue> {
        self.0
    }

    /// The value, unless it is `null`.
    pub fn given(self) -> Option<&'a RawValue> {
        self.0.filter(|raw| raw.get() != "null")
    }

    pub fn text(self, name: &str) -> Result<Option<Cow<'a, str>>, Rejected> {
        let Some(raw) = self.given() else {
            return Ok(None);
        };
        let text = text_of(raw).ok_or_else(|| invalid(format!("`{name}` must be a string")))?;
        Ok(Some(text))
    }

    pub fn texts(self, name: &str, max: usize) -> Result<Vec<String>, Rejected> {
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
    pub fn short_text(self, name: &str, max_bytes: usize) -> Result<Option<String>, Rejected> {
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

    pub fn number<N: TryFrom<i64>>(
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

    pub fn seq(self, name: &str) -> Result<Option<Seq>, Rejected> {
        Ok(self.number(name, 0..=NUMBER_MAX as i64)?.map(Seq))
    }

    pub fn flag(self, name: &str) -> Result<Option<bool>, Rejected> {
        match self.given().map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(format!("`{name}` must be true or false"))),
        }
    }

    pub fn meta(self, name: &str) -> Result<Option<Json>, Rejected> {
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

pub fn required<T>(name: &str, value: Option<T>) -> Result<T, Rejected> {
    value.ok_or_else(|| invalid(format!("`{name}` is missing")))
}

pub fn invalid(detail: impl Into<String>) -> Rejected {
    Rejected::new(Code::InvalidPayload, detail)
}

/// A JSON string's text, borrowed where nothing in it is escaped; nothing for any other value,
/// and for escapes that make no text (half a surrogate pair).
pub fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Measures valid JSON by counting brackets outside of strings, before any of it is read.
///
/// # Errors
/// `invalid_payload` for nesting deeper than [`JSON_MAX_DEPTH`].
pub fn check_depth(json: &str) -> Result<(), Rejected> {
    if is_deeper_than(JSON_MAX_DEPTH, json) {
        return Err(invalid(format!("nested deeper than {JSON_MAX_DEPTH}")));
    }
    Ok(())
}

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
