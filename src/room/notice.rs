//! How coming and going is worded: the bodies of `user_*` and `members`. Decides nothing.
//! Source: `interface.md`, events `user_*` and `members`.

use serde::Serialize;

use crate::id::UserId;
use crate::link::{Item, Leaving};
use crate::message::{Envelope, Json, Member};
use crate::time::Timestamp;

use super::Room;
use super::member::Person;

/// The body of `user_joined`, `user_updated` and `user_left`.
#[derive(Serialize)]
struct Change<'a> {
    user: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The body of `members`.
#[derive(Serialize)]
pub(super) struct Counts<'a> {
    pub count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<Vec<Shown<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Vec<Shown<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
}

#[derive(Serialize)]
pub(super) struct Shown<'a> {
    pub user: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

impl Room {
    /// A whole new list for everybody on the link.
    pub(super) fn reset(&self, now: Timestamp) -> Item {
        let counts = Counts {
            count: self.people.count(),
            joined: None,
            left: None,
            reset: Some(true),
            members: Some(self.people.first()),
        };
        self.presence_item("members", now, &counts)
    }

    pub(super) fn presence_item(&self, word: &str, now: Timestamp, body: &impl Serialize) -> Item {
        Item::to_all(Envelope::event(word, now, Json::of(body)).in_room(&self.name))
    }

    pub(super) fn change(
        &self,
        word: &str,
        now: Timestamp,
        user: &UserId,
        person: &Person,
        leaving: Option<Leaving>,
    ) -> Envelope {
        let shows_status = word == "user_updated";
        let change = Change {
            user,
            name: person.name.as_deref(),
            meta: person.meta.as_ref(),
            status: shows_status.then_some(person.status.as_str()),
            text: person.status_text.as_deref().filter(|_| shows_status),
            reason: leaving.map(Leaving::word),
        };
        Envelope::event(word, now, Json::of(&change)).in_room(&self.name)
    }
}
