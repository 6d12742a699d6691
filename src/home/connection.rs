//! One connection: who it is, what it may, its signs of life, its rate, what waits to be sent.

use std::rc::Rc;

use crate::error::Rejected;
use crate::grant::Grant;
use crate::id::{ConnId, Seq};
use crate::link::{Asker, Present};
use crate::message::{Author, Json};
use crate::time::{Millis, Timestamp};
use crate::wire::Protocol;

use super::attachment::Attachment;

/// A connection of this home.
#[derive(Debug, Clone)]
pub struct Connection {
    pub conn: ConnId,
    pub grant: Grant,
    pub protocol: Protocol,
    pub connected_at: Timestamp,
    pub joined: Option<Joined>,
    /// Past its TTL; the room counts it as gone.
    pub silent: bool,
    pub signs: Signs,
    pub bucket: Bucket,
    pub expiring_told: bool,
    pub cursor: Option<Seq>,
    pub cursor_row: CursorRow,
    /// Frames of the running tick.
    pub out: Vec<Rc<str>>,
    /// What is written after the flush.
    pub dirty: bool,
}

/// In the home's own room.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    pub meta: Option<Json>,
    /// Number of the last item said before it joined: it gets later ones only. 0 after a rebuild.
    pub cut: u64,
}

/// Whether the cursor is a row, and when it last became one in this life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorRow {
    pub unwritten: bool,
    pub written_at: Timestamp,
}

/// When a peer was last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    pub last_frame: Timestamp,
    /// What the attachment holds of it.
    pub frame_on_socket: Timestamp,
    /// The runtime's answer to the last bare ping.
    pub pinged_at: Option<Timestamp>,
    /// It has pinged: from now on silence means something.
    pub armed: bool,
    pub heartbeat: Option<Millis>,
}

/// A token bucket as one number: the virtual time until which the rate is spent (GCRA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    spent_until_us: u64,
    /// Refusals in a row.
    pub strikes: u32,
}

impl Connection {
    pub fn new(now: Timestamp, conn: ConnId, grant: Grant, protocol: Protocol) -> Self {
        Self {
            conn,
            grant,
            protocol,
            connected_at: now,
            joined: None,
            silent: false,
            signs: Signs {
                last_frame: now,
                frame_on_socket: now,
                pinged_at: None,
                armed: false,
                heartbeat: None,
            },
            bucket: Bucket::default(),
            expiring_told: false,
            cursor: None,
            cursor_row: CursorRow {
                unwritten: false,
                written_at: Timestamp(0),
            },
            out: Vec::new(),
            dirty: true,
        }
    }

    /// Takes over what lives on the socket.
    pub fn attach(&mut self, attachment: &Attachment, pinged_at: Option<Timestamp>) {
        self.protocol = attachment.protocol;
        self.grant.scopes = attachment.scopes;
        self.grant.expires_at = attachment.expires_at;
        self.expiring_told = attachment.expiring_told;
        self.signs = Signs {
            last_frame: attachment.last_frame,
            frame_on_socket: attachment.last_frame,
            pinged_at,
            armed: attachment.armed || pinged_at.is_some(),
            heartbeat: attachment.heartbeat,
        };
        self.cursor = attachment.cursor;
        self.cursor_row.unwritten = attachment.cursor_unwritten;
        self.dirty = false;
    }

    pub fn attachment(&self) -> Attachment {
        Attachment {
            conn: self.conn,
            protocol: self.protocol,
            scopes: self.grant.scopes,
            expires_at: self.grant.expires_at,
            expiring_told: self.expiring_told,
            armed: self.signs.armed && self.signs.pinged_at.is_none(),
            last_frame: self.signs.last_frame,
            heartbeat: self.signs.heartbeat,
            cursor: self.cursor,
            cursor_unwritten: self.cursor_row.unwritten,
            positions: Vec::new(),
        }
    }

    pub fn asker(&self) -> Asker {
        Asker {
            author: Author {
                user: self.grant.user.clone(),
                name: self.grant.name.clone(),
                conn: Some(self.conn),
                guest: self.grant.guest,
            },
            role: self.grant.roles.first().cloned(),
        }
    }

    pub fn present(&self) -> Present {
        Present {
            user: self.grant.user.clone(),
            name: self.grant.name.clone(),
            role: self.grant.roles.first().cloned(),
            connections: 1,
        }
    }

    /// A refusal about one message: a reply where it can be named, else an event.
    pub fn refuse(&mut self, id: Option<&str>, rejected: &Rejected, now: Timestamp) {
        let frame = match id {
            Some(id) => self.protocol.encode_reply(id, &Err(rejected.clone())),
            None => self.protocol.encode_error(rejected, now),
        };
        self.out.push(frame);
    }
}

impl Signs {
    pub fn last(&self) -> Timestamp {
        self.pinged_at
            .map_or(self.last_frame, |at| at.max(self.last_frame))
    }

    /// How long it may be silent before it counts as gone.
    pub fn ttl(&self, configured: Millis) -> Millis {
        self.heartbeat
            .map_or(configured, |every| Millis(every.0.saturating_mul(5) / 2))
    }
}

impl Bucket {
    /// Takes one message at `per_s` a second with a burst of twice that; 0 is no limit. False when
    /// the rate is spent.
    pub fn take(&mut self, now: Timestamp, per_s: u32) -> bool {
        if per_s == 0 {
            return true;
        }
        let now_us = now.0.saturating_mul(1000);
        let cost_us = 1_000_000 / u64::from(per_s);
        let from = self.spent_until_us.max(now_us);
        if from - now_us > cost_us * (2 * u64::from(per_s) - 1) {
            self.strikes += 1;
            return false;
        }
        self.spent_until_us = from + cost_us;
        self.strikes = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_burst_and_refills_at_its_rate() {
        let mut bucket = Bucket::default();
        let now = Timestamp(1_000_000);
        let burst = (0..200).filter(|_| bucket.take(now, 50)).count();
        assert_eq!(burst, 100);
        assert_eq!(bucket.strikes, 100);
        let later = (0..200)
            .filter(|_| bucket.take(now.plus(Millis::SECOND), 50))
            .count();
        assert_eq!(later, 50);
        assert!((0..1000).all(|_| bucket.take(now, 0)));
    }
}
