//! Everything that can happen to a home and everything it asks for.

use std::rc::Rc;

use crate::error::Rejected;
use crate::grant::Grant;
use crate::id::ConnId;
use crate::link::{Down, Up, WaiterNo};
use crate::message::Join;
use crate::time::Timestamp;
use crate::wire::Protocol;

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The peer's close frame, or its absence: `code` as the runtime gives it.
    Closed {
        conn: ConnId,
        code: u16,
    },
    /// An upgrade that waits at the edge for its 101.
    Connect {
        waiter: WaiterNo,
        entering: Box<Entering>,
    },
    /// The room's side of the link.
    Down(Down),
    Frame {
        conn: ConnId,
        frame: Frame,
    },
    /// Every socket the runtime lists: signs of life, and who is not there any more.
    Sockets(Vec<Listed>),
    /// The verdict on a token that a connection sent to renew itself.
    Verified {
        conn: ConnId,
        id: Option<String>,
        verdict: Result<Box<Grant>, Rejected>,
    },
}

/// A connection on its way in. The Worker has checked the token, the origin and the room's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Entering {
    pub conn: ConnId,
    pub grant: Grant,
    pub protocol: Protocol,
    pub join: Join,
}

/// One frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Binary,
    Text(String),
}

/// A socket as the runtime lists it. One without an attachment, or not open, is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// From its tag.
    pub conn: ConnId,
    pub attachment: Option<Vec<u8>>,
    pub open: bool,
    /// When the runtime last answered a bare `ping` of it.
    pub pinged_at: Option<Timestamp>,
}

/// What a home asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Answer the upgrade with 101 and take the socket.
    Accept {
        waiter: WaiterNo,
        conn: ConnId,
    },
    Log(Log),
    /// Answer the upgrade with a refusal.
    Refuse {
        waiter: WaiterNo,
        rejected: Rejected,
    },
    Up(Up),
    /// Check this token and say what it is worth.
    Verify {
        conn: ConnId,
        id: Option<String>,
        token: String,
    },
}

/// What the end of a tick hands to the sockets, in this order.
#[derive(Debug, Default, PartialEq)]
pub struct Flush {
    pub sends: Vec<(ConnId, Rc<str>)>,
    pub attachments: Vec<(ConnId, Vec<u8>)>,
    pub closes: Vec<Close>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    pub conn: ConnId,
    pub code: u16,
    /// At most 123 bytes.
    pub reason: String,
}

/// A line of the structured log: connections come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    Connected {
        conn: ConnId,
        user: String,
        connections: usize,
    },
    Disconnected {
        conn: ConnId,
        user: String,
        reason: String,
        lasted_ms: u64,
    },
}
