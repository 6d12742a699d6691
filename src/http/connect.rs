//! The parameters of a WebSocket's URL: which room, from where in its log, and as which guest.
//! Neither the token nor the right to enter is looked at here. Source: `interface.md`, `GET /ws`
//! and "Guests"; `decisions.md`, "Refusals".

use super::{Query, Request};
use crate::error::{Code, Rejected};
use crate::id::{Epoch, NUMBER_MAX, RoomName, Seq};
use crate::limits::LAST_MAX;
use crate::message::{Join, Since};

/// How a connection wants to enter.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Of the path, of `?room=`, or of `?conversationId=`, in this order.
    pub room: Option<RoomName>,
    pub join: Join,
    /// Given with `?conversationId=`: who to be when there is no token.
    pub guest: Option<Guest>,
}

/// What a guest says of itself, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// `?conversationId=`, the only room it may enter.
    pub room: RoomName,
    /// What makes it the same person at each return.
    pub secret: Option<String>,
    pub name: Option<String>,
}

impl Entry {
    /// `in_path` is the room of the path, if it names one.
    ///
    /// # Errors
    /// `unsupported` for a request that is no upgrade, `invalid_name`, and `invalid_payload`
    /// naming the parameter.
    pub fn parse(
        request: &Request<'_>,
        query: &Query<'_>,
        in_path: Option<&RoomName>,
    ) -> Result<Self, Rejected> {
        if !request.is_upgrade() {
            let detail = "this path takes WebSockets: GET with `Upgrade: websocket`";
            return Err(Rejected::new(Code::Unsupported, detail));
        }
        let named = |name| query.get(name)?.map(RoomName::parse).transpose();
        let conversation: Option<RoomName> = named("conversationId")?;
        let room = in_path.cloned().or(named("room")?).or(conversation.clone());
        let guest = match conversation {
            Some(room) => Some(Guest {
                room,
                secret: query.get("guest")?.map(str::to_owned),
                name: query.get("name")?.map(str::to_owned),
            }),
            None => None,
        };
        Ok(Self {
            room,
            join: join(query)?,
            guest,
        })
    }

    /// # Errors
    /// `not_here` without one: there is no lobby yet.
    pub fn room(&self) -> Result<&RoomName, Rejected> {
        self.room.as_ref().ok_or_else(|| {
            let detail =
                "name a room: /rooms/R/ws, /ws?room=R or, for guests, /ws?conversationId=R";
            Rejected::new(Code::NotHere, detail)
        })
    }
}

fn join(query: &Query<'_>) -> Result<Join, Rejected> {
    let invalid = |detail| Err(Rejected::new(Code::InvalidPayload, detail));
    let since = match (query.get("epoch")?, query.number("seq", 0..=NUMBER_MAX)?) {
        (None, None) => None,
        (Some(epoch), Some(seq)) => match Epoch::parse(epoch) {
            Some(epoch) => Some(Since {
                epoch,
                seq: Seq(seq),
            }),
            None => return invalid("`epoch` must be 12 hexadecimal digits"),
        },
        _ => return invalid("`epoch` and `seq` come together"),
    };
    let last = query
        .number("last", 0..=LAST_MAX as u64)?
        .map(|last| last as usize);
    Ok(Join {
        meta: None,
        since,
        last,
    })
}
