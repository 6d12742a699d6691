//! Protocols: the bytes of a client's frame into the vocabulary of `message.rs`, and back.
//! Knows no SQL, no room, no socket and no clock. What a protocol remembers of a connection is in
//! the home's hands; the native one remembers nothing.
//!
//! Invariants: `decode` never panics, whatever the frame, and pushes at least one entry, in the
//! order of the messages; what is encoded is encoded once per protocol and shared.

mod native;

use std::fmt;
use std::rc::Rc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Rejected;
use crate::message::{Answer, Envelope, Json, Request};
use crate::time::Timestamp;

/// What a connection speaks. Closed: one more is a folder here and a line in each `match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `tertulia.v1`, JSON text frames. Source: `interface.md`, "Native protocol".
    Native,
}

/// One frame as it came. The bytes of a binary one do not matter: no protocol so far reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    Binary,
    Text(&'a str),
}

/// One thing a frame held.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Text that is no message of the protocol and is answered with itself.
    Echo(String),
    /// The bare sign of life that reached us, as a rule answered by the runtime.
    Ping,
    /// Answered with the refusal: as the reply to `id` if there is one, else as an `error`.
    Refused {
        id: Option<String>,
        rejected: Rejected,
    },
    Request(Request),
}

impl Protocol {
    /// Reads one frame. A batch gives an entry per message, each judged by itself.
    pub fn decode(self, frame: Frame<'_>, out: &mut Vec<Incoming>) {
        match self {
            Self::Native => native::decode(frame, out),
        }
    }

    /// An event for everybody who is to have it.
    pub fn encode_envelope(self, envelope: &Envelope) -> Rc<str> {
        match self {
            Self::Native => native::encode_envelope(envelope),
        }
    }

    /// The one reply to the request with this `id`.
    pub fn encode_reply(self, id: &str, answer: &Answer) -> Rc<str> {
        match self {
            Self::Native => native::encode_reply(id, answer),
        }
    }

    /// A refusal of no request in particular, or of one without an id.
    pub fn encode_error(self, rejected: &Rejected, ts: Timestamp) -> Rc<str> {
        match self {
            Self::Native => native::encode_error(rejected, ts),
        }
    }

    /// The answer to a `ping` message: its reply if it has an id, else the event `pong`.
    pub fn encode_pong(self, id: Option<&str>, payload: Option<&Json>, ts: Timestamp) -> Rc<str> {
        match self {
            Self::Native => native::encode_pong(id, payload, ts),
        }
    }

    /// Text that was no message, sent back.
    pub fn encode_echo(self, text: &str, ts: Timestamp) -> Rc<str> {
        match self {
            Self::Native => native::encode_echo(text, ts),
        }
    }

    /// The bare frame that answers [`Incoming::Ping`].
    pub const fn bare_pong(self) -> &'static str {
        match self {
            Self::Native => "pong",
        }
    }

    /// As stored in an attachment. Zero stays free for "none".
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Native => 1,
        }
    }

    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Native),
            _ => None,
        }
    }

    /// The name in `connected`, and of the sub-protocol where it has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "tertulia.v1",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.to_byte())
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let byte = u8::deserialize(deserializer)?;
        Self::from_byte(byte).ok_or_else(|| D::Error::custom("an unknown protocol"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_byte_names_its_protocol_and_no_other() {
        let protocol = Protocol::Native;
        assert_eq!(protocol.to_byte(), 1, "stored: it may never change");
        assert_eq!(Protocol::from_byte(1), Some(protocol));
        assert_eq!(serde_json::to_string(&protocol).unwrap(), "1");
        assert_eq!(serde_json::from_str::<Protocol>("1").unwrap(), protocol);
        assert_eq!(Protocol::from_byte(0), None);
        assert!(serde_json::from_str::<Protocol>("2").is_err());
    }
}
