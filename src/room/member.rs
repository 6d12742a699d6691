//! One person in a room and the whole list of them, in memory as in the rows. Decides who is
//! there, who is within the grace time and who must still be told about; says nothing itself.
//! Source: `architecture.md` rule 8, `decisions.md` "Presence in a room".

use std::collections::BTreeMap;

use crate::id::UserId;
use crate::limits::{COUNTED_ABOVE, COUNTED_BELOW, LOST_GRACE, MEMBERS_SHOWN};
use crate::link::Leaving;
use crate::message::{Json, Member, MembersPage};
use crate::time::{Millis, Timestamp};

/// A person: one, whatever the number of connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// Those that show a sign of life.
    pub connections: u64,
    pub name: Option<String>,
    pub role: Option<String>,
    pub meta: Option<Json>,
    pub status: String,
    pub status_text: Option<String>,
    pub joined_at: Timestamp,
    /// Since when nobody holds the place, and how it came: the grace time runs.
    pub gone: Option<(Timestamp, Leaving)>,
    pub told: Told,
}

/// Whether the others know, in a room that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Told {
    NotYet = 0,
    Yes = 1,
    /// Not in the room any more; kept until the next `members` event has said so.
    LeftNotYet = 2,
}

/// Everybody in the room.
#[derive(Debug, Clone, Default)]
pub struct People(BTreeMap<UserId, Person>);

impl Person {
    pub fn new(now: Timestamp, name: Option<String>, role: Option<String>) -> Self {
        Self {
            connections: 1,
            name,
            role,
            meta: None,
            status: "online".to_owned(),
            status_text: None,
            joined_at: now,
            gone: None,
            told: Told::Yes,
        }
    }

    pub fn is_in(&self) -> bool {
        self.told != Told::LeftNotYet
    }

    pub fn view(&self, user: &UserId) -> Member {
        Member {
            user: user.clone(),
            name: self.name.clone(),
            role: self.role.clone(),
            status: self.status.clone(),
            text: self.status_text.clone(),
            meta: self.meta.clone(),
            connections: self.connections,
            joined_at: self.joined_at,
        }
    }

    /// When the others are told that this person left, unless they return before.
    pub fn leaves_at(&self, grace: Millis) -> Option<Timestamp> {
        let (at, leaving) = self.gone?;
        Some(at.plus(leaving.grace(grace)))
    }
}

impl Leaving {
    /// How long others are not told.
    pub const fn grace(self, grace: Millis) -> Millis {
        match self {
            Leaving::Closed | Leaving::Expired | Leaving::Left | Leaving::Removed => Millis(0),
            Leaving::Dropped | Leaving::Silent => grace,
            Leaving::Lost => {
                if grace.0 > LOST_GRACE.0 {
                    grace
                } else {
                    LOST_GRACE
                }
            }
        }
    }
}

impl People {
    pub fn get(&self, user: &UserId) -> Option<&Person> {
        self.0.get(user)
    }

    pub fn get_mut(&mut self, user: &UserId) -> Option<&mut Person> {
        self.0.get_mut(user)
    }

    pub fn insert(&mut self, user: UserId, person: Person) {
        self.0.insert(user, person);
    }

    pub fn remove(&mut self, user: &UserId) {
        self.0.remove(user);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&UserId, &Person)> {
        self.0.iter()
    }

    /// People in the room, those within the grace time included.
    pub fn count(&self) -> u64 {
        self.0.values().filter(|person| person.is_in()).count() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a room of so many counts, given whether it did.
    pub fn counts(&self, counted: bool) -> bool {
        self.count()
            > if counted {
                COUNTED_BELOW - 1
            } else {
                COUNTED_ABOVE
            }
    }

    pub fn first(&self) -> Vec<Member> {
        let there = self.0.iter().filter(|(_, person)| person.is_in());
        there
            .take(MEMBERS_SHOWN)
            .map(|(user, person)| person.view(user))
            .collect()
    }

    /// A page in order of user id.
    pub fn page(&self, after: Option<&UserId>, limit: usize) -> MembersPage {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = (from, std::ops::Bound::Unbounded);
        let mut there = self
            .0
            .range::<UserId, _>(range)
            .filter(|(_, person)| person.is_in())
            .peekable();
        let mut members = Vec::new();
        while let Some((user, person)) = there.next_if(|_| members.len() < limit) {
            members.push(person.view(user));
        }
        let more = limit > 0 && there.peek().is_some();
        let next = more
            .then(|| members.last().map(|member| member.user.clone()))
            .flatten();
        MembersPage {
            count: self.count(),
            members,
            next,
        }
    }

    /// Those whose grace time is over.
    pub fn overdue(&self, now: Timestamp, grace: Millis) -> Vec<UserId> {
        let over = |person: &Person| person.leaves_at(grace).is_some_and(|at| at <= now);
        self.0
            .iter()
            .filter(|(_, person)| over(person))
            .map(|(user, _)| user.clone())
            .collect()
    }

    pub fn next_leaving(&self, grace: Millis) -> Option<Timestamp> {
        self.0
            .values()
            .filter_map(|person| person.leaves_at(grace))
            .min()
    }

    /// Whether somebody's coming or going is still to be told in a counted room.
    pub fn has_untold(&self) -> bool {
        self.0.values().any(|person| person.told != Told::Yes)
    }
}

impl FromIterator<(UserId, Person)> for People {
    fn from_iter<I: IntoIterator<Item = (UserId, Person)>>(people: I) -> Self {
        Self(people.into_iter().collect())
    }
}
