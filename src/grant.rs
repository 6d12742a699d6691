//! What a caller is allowed: the result of authentication, carried with a connection and with a
//! call. Knows neither tokens nor keys (`auth/` makes a [`Grant`] of them) nor who asks.
//! Source: `interface.md`, "Tokens".

use serde::{Deserialize, Serialize};

use crate::error::{Code, Rejected};
use crate::id::{RoomName, UserId};
use crate::time::Timestamp;

/// A caller and its rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub user: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[serde(default)]
    pub guest: bool,
    pub scopes: Scopes,
    /// Patterns of the rooms it may enter; absent: any that is not reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<Pattern>>,
    /// When the right ends, the leeway included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// One thing a token may be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Scope {
    Admin = 1 << 0,
    EventsWrite = 1 << 1,
    FilesWrite = 1 << 2,
    JobsRead = 1 << 3,
    JobsWrite = 1 << 4,
    Metrics = 1 << 5,
    PresenceRead = 1 << 6,
    PresenceWrite = 1 << 7,
    RoomsHistory = 1 << 8,
    RoomsJoin = 1 << 9,
    RoomsModerate = 1 << 10,
    RoomsPublish = 1 << 11,
    UsersSend = 1 << 12,
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(pub u16);

/// A room's name in which `*` stands for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(pub String);

impl Grant {
    /// # Errors
    /// `forbidden`, naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Rejected> {
        if self.scopes.has(scope) {
            return Ok(());
        }
        let detail = format!("this needs the scope {}", scope.word());
        Err(Rejected::new(Code::Forbidden, detail))
    }

    /// Whether the caller may name this room at all.
    ///
    /// # Errors
    /// `forbidden` for reserved rooms and for those no pattern of the token matches.
    pub fn enter(
        &self,
        room: &RoomName,
        role_rooms: &[(String, RoomName)],
    ) -> Result<(), Rejected> {
        let refuse = |detail: &str| {
            Err(Rejected::new(
                Code::Forbidden,
                format!("room {room}: {detail}"),
            ))
        };
        if room.starts_with("user_") {
            return refuse("rooms of a user are entered by that user alone, by themselves");
        }
        if role_rooms.iter().any(|(_, reserved)| reserved == room) {
            return refuse("rooms of a role are entered by the role alone, by themselves");
        }
        match &self.rooms {
            Some(patterns) if !patterns.iter().any(|pattern| pattern.matches(room)) => {
                refuse("the token does not name it")
            }
            _ => Ok(()),
        }
    }
}

impl Scope {
    pub const ALL: [Scope; 13] = [
        Scope::Admin,
        Scope::EventsWrite,
        Scope::FilesWrite,
        Scope::JobsRead,
        Scope::JobsWrite,
        Scope::Metrics,
        Scope::PresenceRead,
        Scope::PresenceWrite,
        Scope::RoomsHistory,
        Scope::RoomsJoin,
        Scope::RoomsModerate,
        Scope::RoomsPublish,
        Scope::UsersSend,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Scope::Admin => "admin",
            Scope::EventsWrite => "events:write",
            Scope::FilesWrite => "files:write",
            Scope::JobsRead => "jobs:read",
            Scope::JobsWrite => "jobs:write",
            Scope::Metrics => "metrics",
            Scope::PresenceRead => "presence:read",
            Scope::PresenceWrite => "presence:write",
            Scope::RoomsHistory => "rooms:history",
            Scope::RoomsJoin => "rooms:join",
            Scope::RoomsModerate => "rooms:moderate",
            Scope::RoomsPublish => "rooms:publish",
            Scope::UsersSend => "users:send",
        }
    }
}

impl Scopes {
    /// Reads a `scope` claim. Words of other services are not ours and are passed over.
    pub fn parse(words: &str) -> Self {
        let known = |word: &str| Scope::ALL.into_iter().find(|scope| scope.word() == word);
        words.split_ascii_whitespace().filter_map(known).collect()
    }

    /// `admin` is all of them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (scope as u16 | Scope::Admin as u16) != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope as u16))
    }
}

impl Pattern {
    /// Linear in the name for each star: the last star takes back what it gave, no other does.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while let Some(&wanted) = name.get(n) {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p + 1, n));
                    p += 1;
                }
                Some(&found) if found == wanted => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((after, from)) = star else {
                        return false;
                    };
                    star = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
            }
        }
        pattern.iter().skip(p).all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, name, fits) in [
            ("orders:*", "orders:", true),
            ("orders:*", "orders:42", true),
            ("orders:*", "order:42", false),
            ("*", "anything", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("", "a", false),
        ] {
            assert_eq!(
                Pattern(pattern.into()).matches(name),
                fits,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn scopes_read_what_they_know_and_admin_is_all() {
        let scopes = Scopes::parse("rooms:join  openid rooms:publish");
        assert!(scopes.has(Scope::RoomsJoin) && scopes.has(Scope::RoomsPublish));
        assert!(!scopes.has(Scope::RoomsHistory));
        assert!(
            Scope::ALL
                .into_iter()
                .all(|scope| Scopes::parse("admin").has(scope))
        );
    }

    #[test]
    fn reserved_rooms_are_closed_to_every_token() {
        let grant = Grant {
            user: UserId::parse("ana").unwrap(),
            name: None,
            roles: vec!["admin".into()],
            guest: false,
            scopes: Scopes::parse("admin"),
            rooms: Some(vec![Pattern("*".into())]),
            expires_at: None,
        };
        let roles = [("admin".to_owned(), RoomName::parse("admin").unwrap())];
        for (room, open) in [("user_ana", false), ("admin", false), ("orders", true)] {
            let entered = grant.enter(&RoomName::parse(room).unwrap(), &roles);
            assert_eq!(entered.is_ok(), open, "{room}");
        }
    }
}
