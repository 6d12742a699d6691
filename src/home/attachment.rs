//! What lives on the socket itself and costs no row: a versioned binary record of at most 4 KiB.
//! It is written after a flush and read at a rebuild; nothing else knows its bytes.
//! Source: `architecture.md` rule 6, `decisions.md` "Rows and attachments".
//!
//! Layout, version 1: version, flags, protocol, conn (8 bytes), then varints: scopes, expiry,
//! last frame, heartbeat, cursor, number of positions, and for each the number of the room, its
//! epoch, seq and rev. A varint is LEB128; an absent time is 0.

use crate::grant::Scopes;
use crate::id::{ConnId, Epoch, Seq};
use crate::limits::POSITION_MAX_BYTES;
use crate::link::{Position, Rev};
use crate::time::{Millis, Timestamp};
use crate::wire::Protocol;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub conn: ConnId,
    pub protocol: Protocol,
    pub scopes: Scopes,
    pub expires_at: Option<Timestamp>,
    /// `expiring` has been told.
    pub expiring_told: bool,
    /// Armed by a bare ping that came as a frame, not through the runtime's answer.
    pub armed: bool,
    pub last_frame: Timestamp,
    /// What the client promised with `heartbeat`; absent: the configured TTL counts.
    pub heartbeat: Option<Millis>,
    pub cursor: Option<Seq>,
    /// The cursor has no row yet.
    pub cursor_unwritten: bool,
    /// Where the home stands, per room number; only on the two oldest connections of a room.
    pub positions: Vec<(u64, Position)>,
}

impl Attachment {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.positions.len() * POSITION_MAX_BYTES);
        let flags = u8::from(self.expiring_told)
            | u8::from(self.armed) << 1
            | u8::from(self.cursor_unwritten) << 2;
        bytes.extend([VERSION, flags, self.protocol.to_byte()]);
        bytes.extend(self.conn.0.to_be_bytes());
        put(&mut bytes, u64::from(self.scopes.0));
        put(&mut bytes, self.expires_at.map_or(0, |at| at.0));
        put(&mut bytes, self.last_frame.0);
        put(&mut bytes, self.heartbeat.map_or(0, |every| every.0));
        put(&mut bytes, self.cursor.map_or(0, |seq| seq.0));
        put(&mut bytes, self.positions.len() as u64);
        for (room, position) in &self.positions {
            put(&mut bytes, *room);
            put(&mut bytes, position.epoch.0);
            put(&mut bytes, position.seq.0);
            put(&mut bytes, position.rev.0);
        }
        bytes
    }

    /// `None` for a record of another version or of no version: the socket is no connection.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(11)?;
        let [VERSION, flags, protocol, conn @ ..] = head else {
            return None;
        };
        let conn = ConnId(u64::from_be_bytes(conn.try_into().ok()?));
        let rest = &mut rest;
        let mut attachment = Self {
            conn,
            protocol: Protocol::from_byte(*protocol)?,
            expiring_told: flags & 1 != 0,
            armed: flags & 2 != 0,
            cursor_unwritten: flags & 4 != 0,
            scopes: Scopes(u16::try_from(take(rest)?).ok()?),
            expires_at: some(take(rest)?).map(Timestamp),
            last_frame: Timestamp(take(rest)?),
            heartbeat: some(take(rest)?).map(Millis),
            cursor: some(take(rest)?).map(Seq),
            positions: Vec::new(),
        };
        for _ in 0..take(rest)? {
            let room = take(rest)?;
            let (epoch, seq, rev) = (Epoch(take(rest)?), Seq(take(rest)?), Rev(take(rest)?));
            attachment
                .positions
                .push((room, Position { epoch, seq, rev }));
        }
        Some(attachment)
    }
}

fn some(n: u64) -> Option<u64> {
    (n != 0).then_some(n)
}

fn put(bytes: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 48;
// A position: a room number below 2^14, 48 bits of epoch, and two numbers below 2^53 that in
// truth stay below 2^42.
const _: () = assert!(2 + 7 + 8 + 7 <= POSITION_MAX_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Attachment {
        Attachment {
            conn: ConnId(0x0123_4567_89ab_cdef),
            protocol: Protocol::Native,
            scopes: Scopes(0x0a21),
            expires_at: Some(Timestamp(1_790_000_000_000)),
            expiring_told: true,
            armed: false,
            last_frame: Timestamp(1_780_000_000_000),
            heartbeat: Some(Millis(60_000)),
            cursor: Some(Seq(77)),
            cursor_unwritten: true,
            positions: vec![(
                0,
                Position {
                    epoch: Epoch(0xffff_ffff_ffff),
                    seq: Seq(300),
                    rev: Rev(9),
                },
            )],
        }
    }

    #[test]
    fn reads_back_what_it_writes() {
        let attachment = sample();
        assert_eq!(Attachment::decode(&attachment.encode()), Some(attachment));
    }

    /// Sockets outlive a deploy: the bytes of version 1 never change.
    #[test]
    fn version_1_keeps_its_bytes() {
        let hex: String = sample()
            .encode()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "0105010123456789abcdefa11480d8c1a28c3480909282e733e0d4034d0100ffffffffffff3fac0209"
        );
    }

    #[test]
    fn a_torn_record_is_none() {
        let bytes = sample().encode();
        for end in 0..bytes.len() {
            assert_eq!(Attachment::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Attachment::decode(&[9; 60]), None);
    }
}
