//! Names of rooms, users and events: text that has been looked at once.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::read_text;
use crate::error::{Code, Rejected};
use crate::limits::{NAME_MAX_CHARS, USER_MAX_CHARS};

/// A name of 1 to 128 characters of `A-Z a-z 0-9 _ - . : @ | + =`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Rc<str>);

/// As a room's name, up to 255 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Rc<str>);

/// The `type` of an envelope: a publisher's own name, or a word of the service's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Rc<str>);

impl RoomName {
    /// # Errors
    /// `invalid_name`.
    pub fn parse(name: &str) -> Result<Self, Rejected> {
        parse_name(name, NAME_MAX_CHARS, "a room's name").map(Self)
    }
}

impl UserId {
    /// # Errors
    /// `invalid_name`.
    pub fn parse(name: &str) -> Result<Self, Rejected> {
        parse_name(name, USER_MAX_CHARS, "a user's id").map(Self)
    }

    /// The author of answers. No token may claim it.
    pub fn ai() -> Self {
        Self(Rc::from("ai"))
    }
}

impl EventType {
    /// A type of a publisher's own.
    ///
    /// # Errors
    /// `invalid_name` for what is no name or is a word of the service's (`message` is allowed:
    /// it is what a broadcast without a type has).
    pub fn parse(name: &str) -> Result<Self, Rejected> {
        if name != MESSAGE && RESERVED_TYPES.contains(&name) {
            let detail = format!("`{name}` is a word of the service; choose another type");
            return Err(Rejected::new(Code::InvalidName, detail));
        }
        parse_name(name, NAME_MAX_CHARS, "an event's type").map(Self)
    }

    /// One of the service's own words, or one read back from the log.
    pub fn known(word: &str) -> Self {
        Self(Rc::from(word))
    }

    pub fn message() -> Self {
        Self::known(MESSAGE)
    }
}

impl Deref for EventType {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, |text| Some(EventType::known(text)))
    }
}

impl Deref for RoomName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Serialize for RoomName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for RoomName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, |text| RoomName::parse(text).ok())
    }
}

impl Deref for UserId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, |text| UserId::parse(text).ok())
    }
}

fn parse_name(name: &str, max_chars: usize, what: &str) -> Result<Rc<str>, Rejected> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.:@|+=".contains(&b);
    if name.is_empty() || name.len() > max_chars || !name.bytes().all(allowed) {
        let detail = format!(
            "{what} has 1 to {max_chars} characters of A-Z a-z 0-9 _ - . : @ | + = (percent-encoded in paths)"
        );
        return Err(Rejected::new(Code::InvalidName, detail));
    }
    Ok(Rc::from(name))
}

const MESSAGE: &str = "message";

/// Types of the service's own, which no publisher may use. Source: `interface.md`, the table of
/// service-to-client types and the sentence above it.
pub const RESERVED_TYPES: [&str; 29] = [
    "answer_delta",
    "closing",
    "connect",
    "connect_error",
    "connected",
    "disconnect",
    "disconnecting",
    "echo",
    "error",
    "expiring",
    "file",
    "gap",
    "job",
    "members",
    "message",
    "message_queued",
    "newListener",
    "pong",
    "presence_status_changed",
    "receipt",
    "removeListener",
    "removed",
    "reply",
    "skip",
    "task_progress",
    "user_joined",
    "user_left",
    "user_updated",
    "ping",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet_and_length() {
        for good in [
            "a",
            "orders:42",
            "user_ana@example.com",
            "A.b-c|d+e=f",
            &"x".repeat(128),
        ] {
            assert_eq!(&*RoomName::parse(good).unwrap(), good);
        }
        for bad in [
            "",
            " ",
            "a b",
            "~lobby",
            "a/b",
            "ñ",
            "a\n",
            &"x".repeat(129),
        ] {
            assert_eq!(
                RoomName::parse(bad).unwrap_err().code,
                Code::InvalidName,
                "{bad:?}"
            );
        }
        assert!(UserId::parse(&"x".repeat(255)).is_ok());
        assert!(UserId::parse(&"x".repeat(256)).is_err());
    }

    #[test]
    fn a_publisher_may_not_borrow_a_word_of_the_service() {
        assert!(EventType::parse("message").is_ok());
        assert!(EventType::parse("order_placed").is_ok());
        for word in RESERVED_TYPES.into_iter().filter(|word| *word != "message") {
            assert_eq!(
                EventType::parse(word).unwrap_err().code,
                Code::InvalidName,
                "{word}"
            );
        }
    }
}
