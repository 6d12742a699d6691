//! Percent-encoding, of paths and of queries. Every parameter is read once, by its name; one that
//! is given twice is refused, because two readers would take two different ones.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::error::{Code, Rejected};
use crate::id::{NUMBER_MAX, Seq, parse_number};
use crate::limits::PARAMETERS_MAX;

/// The parameters of a URL, decoded as forms are: a plus is a space.
#[derive(Clone)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// # Errors
    /// `bad_message` for what is no percent-encoded UTF-8, or has more parameters than any of
    /// ours.
    pub fn parse(query: &'a str) -> Result<Self, Rejected> {
        let bad = |detail| Rejected::new(Code::BadMessage, detail);
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (form_decoded(name), form_decoded(value)) else {
                return Err(bad("the query is not percent-encoded UTF-8"));
            };
            parameters.push((name, value));
            if parameters.len() > PARAMETERS_MAX {
                return Err(bad("the query has too many parameters"));
            }
        }
        Ok(Self(parameters))
    }

    /// # Errors
    /// `invalid_payload` for a parameter given twice.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Rejected> {
        let mut values = self
            .0
            .iter()
            .filter(|(given, _)| given == name)
            .map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(invalid(format!("`{name}` is given twice")));
        }
        Ok(value.map(AsRef::as_ref))
    }

    /// # Errors
    /// `invalid_payload` for what is not a number in the range.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Rejected> {
        let Some(text) = self.get(name)? else {
            return Ok(None);
        };
        match parse_number(text).filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (from, to) = range.into_inner();
                Err(invalid(format!(
                    "`{name}` must be a whole number from {from} to {to}"
                )))
            }
        }
    }

    /// # Errors
    /// `invalid_payload` for what is none.
    pub fn seq(&self, name: &str) -> Result<Option<Seq>, Rejected> {
        Ok(self.number(name, 0..=NUMBER_MAX)?.map(Seq))
    }
}

impl std::fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A value may be a token.
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Nothing for a percent sign without two hexadecimal digits, and for what is not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// A name as it stands in a path: everything but letters, digits and `- . _ ~` is encoded.
pub(super) fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn form_decoded(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        return percent_decoded(&text.replace('+', " ")).map(|text| Cow::Owned(text.into_owned()));
    }
    percent_decoded(text)
}

fn invalid(detail: String) -> Rejected {
    Rejected::new(Code::InvalidPayload, detail)
}
