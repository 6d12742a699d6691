//! Names and numbers that identify things, each its own type, each parsed once at the boundary.
//! Source: `interface.md` (lead paragraph, envelope), `architecture.md` rule 4.
//!
//! A number here stays below 2^53: it passes through JSON and through JavaScript.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use name::{EventType, RESERVED_TYPES, RoomName, UserId};

mod name;

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

/// Text on the wire, read by the type's own rule.
fn read_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| serde::de::Error::custom("not a valid name or id"))
}

impl Serialize for ConnId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConnId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, ConnId::parse)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, Epoch::parse)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, JobId::parse)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, MessageId::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
