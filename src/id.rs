//! Names and numbers that identify things, each its own type, each parsed once at the boundary.
//! Source: `interface.md` (lead paragraph, envelope), `architecture.md` rule 4.
//!
//! A number here stays below 2^53: it passes through JSON and through JavaScript.

use std::borrow::Borrow;
use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Code, Rejected};
use crate::limits::{NAME_MAX_CHARS, USER_MAX_CHARS};

/// A name of 1 to 128 characters of `A-Z a-z 0-9 _ - . : @ | + =`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Rc<str>);

/// As a room's name, up to 255 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Rc<str>);

/// The `type` of an envelope that a publisher chose: a name, and none of the service's own words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Rc<str>);

/// One connection, for as long as its socket lives. 64 random bits, 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One life of a log: drawn when the log is created. 48 random bits, 12 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// One life of an object in memory; numbers on a link count from 1 in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Boot(pub u64);

/// The place of an entry in its room's log, from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// The number of a job in its room: the seq of its `message_queued`, so it is never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobNo(pub u64);

/// `{epoch}-j{n}` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    pub epoch: Epoch,
    pub no: JobNo,
}

/// What a message is called on the wire, opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageId {
    /// The answer to come of a job: `{job}-a`.
    Answer(JobId),
    /// Never logged: `e-{boot}-{n}`.
    Ephemeral { boot: u64, n: u64 },
    /// `{epoch}-{seq}`.
    Logged { epoch: Epoch, seq: Seq },
}

impl RoomName {
    pub fn parse(name: &str) -> Result<Self, Rejected> {
        parse_name(name, NAME_MAX_CHARS, "a room's name").map(Self)
    }
}

impl UserId {
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

impl JobId {
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, no) = text.split_once("-j")?;
        Some(Self {
            epoch: Epoch::parse(epoch)?,
            no: JobNo(parse_number(no)?),
        })
    }

    pub fn answer(self) -> MessageId {
        MessageId::Answer(self)
    }
}

impl MessageId {
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("e-") {
            let (boot, n) = rest.split_once('-')?;
            let boot = u64::from_str_radix(boot, 16).ok()?;
            return Some(Self::Ephemeral {
                boot,
                n: parse_number(n)?,
            });
        }
        if let Some(job) = text.strip_suffix("-a") {
            return JobId::parse(job).map(Self::Answer);
        }
        let (epoch, seq) = text.split_once('-')?;
        Some(Self::Logged {
            epoch: Epoch::parse(epoch)?,
            seq: Seq(parse_number(seq)?),
        })
    }
}

impl Epoch {
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text, 12).map(Self)
    }
}

impl ConnId {
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text, 16).map(Self)
    }
}

impl Seq {
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-j{}", self.epoch, self.no.0)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(job) => write!(f, "{job}-a"),
            Self::Ephemeral { boot, n } => write!(f, "e-{boot:x}-{n}"),
            Self::Logged { epoch, seq } => write!(f, "{epoch}-{}", seq.0),
        }
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

fn parse_hex(text: &str, digits: usize) -> Option<u64> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (text.len() == digits && text.bytes().all(lower)).then(|| u64::from_str_radix(text, 16).ok())?
}

/// Digits only, below 2^53: `parse` alone would take a sign.
pub fn parse_number(text: &str) -> Option<u64> {
    let number = text
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())??;
    (number <= NUMBER_MAX).then_some(number)
}

/// The largest whole number JavaScript holds exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

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

/// Text in, text out: the serde form of everything here that is not a plain number.
macro_rules! as_text {
    ($type:ty, $parse:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$type> = $parse;
                parse(&text).ok_or_else(|| {
                    serde::de::Error::custom(concat!("not a valid ", stringify!($type)))
                })
            }
        }
    };
}

/// A name reads as the text it is.
macro_rules! as_name {
    ($type:ty) => {
        impl std::ops::Deref for $type {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

as_name!(EventType);
as_name!(RoomName);
as_name!(UserId);
as_text!(ConnId, ConnId::parse);
as_text!(Epoch, Epoch::parse);
as_text!(EventType, |text| Some(EventType::known(text)));
as_text!(JobId, JobId::parse);
as_text!(MessageId, MessageId::parse);
as_text!(RoomName, |text| RoomName::parse(text).ok());
as_text!(UserId, |text| UserId::parse(text).ok());

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

    #[test]
    fn ids_read_back_what_they_write() {
        let epoch = Epoch(0x0012_3456_789a);
        let job = JobId {
            epoch,
            no: JobNo(7),
        };
        for id in [
            MessageId::Logged {
                epoch,
                seq: Seq(42),
            },
            MessageId::Answer(job),
            MessageId::Ephemeral { boot: 0xbeef, n: 3 },
        ] {
            assert_eq!(MessageId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(JobId::parse("00123456789a-j7"), Some(job));
        for bad in [
            "",
            "-",
            "00123456789a-",
            "00123456789a-+1",
            "123-4",
            "00123456789A-1",
        ] {
            assert_eq!(MessageId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_stay_exact_in_javascript() {
        assert_eq!(parse_number("9007199254740991"), Some(NUMBER_MAX));
        assert_eq!(parse_number("9007199254740992"), None);
        assert_eq!(parse_number(""), None);
        assert_eq!(parse_number("-1"), None);
    }
}
