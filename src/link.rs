//! The seam between a home and a room, local or remote: what a home asks ([`Up`]) and what a room
//! says ([`Down`]). A room says each thing once per link and knows no connection behind it.
//! Source: `architecture.md`, "A room talks to homes".
//!
//! Invariants: items of one sender's boot are numbered from 1 without a hole, logged or not; a
//! receiver skips numbers it has and resumes when one is missing and its position differs.

use std::rc::Rc;

use crate::id::{Boot, ConnId, Epoch, JobId, Seq, UserId};
use crate::message::{
    Answer, Author, Envelope, Join, NewJob, PageQuery, Publication, Since, Status,
};

/// Names a request of a home until it is answered; numbered by the home, within its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNo(pub u64);

/// Names a request or a call that waits for the end of its tick; numbered by the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterNo(pub u64);

/// Where an answer goes: back over the link, or to who waits at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyTo {
    Link(CallNo),
    Waiter(WaiterNo),
}

/// Up to where a home has told its connections about a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub epoch: Epoch,
    pub seq: Seq,
    pub rev: Rev,
}

/// Counts the ticks that changed a room's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rev(pub u64);

/// A person as one home has it in a room.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    pub user: UserId,
    pub name: Option<String>,
    pub role: Option<String>,
    /// Connections that show a sign of life.
    pub connections: u64,
}

/// Why somebody left, and whether the others are told at once or after the grace time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Closed with 1000: at once.
    Closed,
    /// An abnormal end: after the grace time.
    Dropped,
    /// The token ended: at once.
    Expired,
    /// The `leave` message: at once.
    Left,
    /// The home found the socket gone: after a longer grace.
    Lost,
    /// Put out: at once.
    Removed,
    /// No sign of life, the socket still open: after the grace time.
    Silent,
}

/// Home to room.
#[derive(Debug, Clone, PartialEq)]
pub enum Up {
    /// Answered with [`Down::Answered`], in order.
    Ask {
        call: CallNo,
        from: Asker,
        ask: RoomAsk,
    },
    /// What this person acknowledged.
    Cursor { user: UserId, seq: Seq },
    /// A connection less, or one that fell silent.
    Leave { user: UserId, leaving: Leaving },
    /// This home's whole list for the room, after a rebuild: the room diffs. `position` is where
    /// its connections stand, absent when none of them knows.
    Open {
        position: Option<Position>,
        people: Vec<Present>,
    },
    /// A silent connection showed a sign of life.
    Return { present: Present },
}

/// Who asks, as the home knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Asker {
    pub author: Author,
    pub role: Option<String>,
}

/// What a home asks a room for one of its connections. The home has checked scope, name and
/// membership.
#[derive(Debug, Clone, PartialEq)]
pub enum RoomAsk {
    Cancel {
        job: JobId,
    },
    History(PageQuery),
    Job(NewJob),
    /// `again`: the connection is in already, this replaces its `meta`.
    Join {
        join: Join,
        again: bool,
    },
    Members {
        after: Option<UserId>,
        limit: usize,
    },
    Presence(Status),
    Publish(Publication),
}

/// Room to home.
#[derive(Debug, Clone, PartialEq)]
pub enum Down {
    /// `cut` is the number of the last item said before this was decided: a connection that joins
    /// by it gets later items only.
    Answered {
        call: CallNo,
        cut: u64,
        answer: Answer,
    },
    Items(Batch),
    /// What a home missed, answer to [`Up::Open`]: what is logged after its position, a `gap` or
    /// a whole list of members. For all its connections in the room.
    Resumed {
        position: Position,
        items: Vec<Item>,
    },
}

/// Items of one sender on one link.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub boot: Boot,
    /// Number of the first item.
    pub first_n: u64,
    /// The sender's position before the batch …
    pub prev: Position,
    /// … and after it.
    pub position: Position,
    pub items: Vec<Item>,
}

/// One thing a room says to all of a home's connections there, but for whom it excludes.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub envelope: Rc<Envelope>,
    pub exclude: Exclude,
}

/// Who does not get an item. Of a logged one they get a `skip` in its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exclude {
    pub users: Vec<UserId>,
    pub conn: Option<ConnId>,
}

/// Version of the calls between objects; a receiver takes it and the one before.
pub const VERSION: u32 = 1;

impl Leaving {
    /// The `reason` in `user_left`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Dropped => "dropped",
            Self::Expired => "expired",
            Self::Left => "left",
            Self::Lost => "lost",
            Self::Removed => "removed",
            Self::Silent => "silent",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        use Leaving::{Closed, Dropped, Expired, Left, Lost, Removed, Silent};
        [Closed, Dropped, Expired, Left, Lost, Removed, Silent]
            .into_iter()
            .find(|leaving| leaving.word() == word)
    }
}

impl Item {
    pub fn to_all(envelope: Envelope) -> Self {
        Self {
            envelope: Rc::new(envelope),
            exclude: Exclude::default(),
        }
    }

    pub fn to_others(envelope: Envelope, user: &UserId) -> Self {
        let exclude = Exclude {
            users: vec![user.clone()],
            conn: None,
        };
        Self {
            envelope: Rc::new(envelope),
            exclude,
        }
    }
}

impl Position {
    /// Where a client stands that was told everything up to here.
    pub const fn since(self) -> Since {
        Since {
            epoch: self.epoch,
            seq: self.seq,
        }
    }
}
