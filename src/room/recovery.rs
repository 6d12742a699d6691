//! Coming back: a client with `since`, and a home after a break. Either gets every entry it
//! missed, in order, or is told that there is a gap; never a silent hole.
//! Source: `architecture.md` "Position", `decisions.md`, "Rows and attachments", X2 of
//! `features.md`.

use std::rc::Rc;

use crate::error::Broken;
use crate::id::{Epoch, Seq, UserId};
use crate::limits::PAGE_MAX;
use crate::link::{Down, Item, Leaving, Position, Present};
use crate::message::{Envelope, Gap, Join, Joined, Json, PageQuery, Presence, Since};
use crate::sql::Sql;
use crate::time::Timestamp;

use super::store::Head;
use super::{Effect, Room, log, store};

/// What a position is worth against the log.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Entries that are gone, too many, or of another log.
    Gap { from: Option<Seq> },
    /// Nothing is missing that the log does not have.
    Whole,
}

impl Room {
    /// What a joining connection of `user` is told.
    pub(super) fn joined(
        &self,
        user: &UserId,
        join: &Join,
        sql: &dyn Sql,
    ) -> Result<Joined, Broken> {
        let (Some(head), Some(of)) = (self.head, self.of()) else {
            return Err(Broken("joined a room that is not".to_owned()));
        };
        let mut joined = Joined {
            room: self.name.clone(),
            epoch: head.epoch,
            seq: head.seq,
            count: self.people.count(),
            members: self.people.first(),
            recovered: None,
            missed: Vec::new(),
            answers: Vec::new(),
            presence: if head.counted {
                Presence::Counted
            } else {
                Presence::Each
            },
            rev: head.rev,
            gap: None,
        };
        if let Some(since) = join.since {
            match self.verdict(&head, since) {
                Verdict::Gap { from } => joined.gap = Some(self.gap(&head, from)),
                Verdict::Whole => match log::after(sql, of, since.seq, PAGE_MAX)? {
                    Some(missed) => {
                        joined.missed =
                            missed.into_iter().map(|item| seen_by(user, item)).collect();
                    }
                    None => joined.gap = Some(self.gap(&head, Some(since.seq.next()))),
                },
            }
            joined.recovered = Some(joined.gap.is_none());
        } else if let Some(last) = join.last.filter(|last| *last > 0) {
            let query = PageQuery {
                after: None,
                before: None,
                limit: last,
                types: Vec::new(),
            };
            joined.missed = log::page(sql, of, &query, user)?.messages;
        }
        Ok(joined)
    }

    /// A home says where it stands and whom it has: the room diffs and resumes.
    pub(super) fn open_link(
        &mut self,
        now: Timestamp,
        position: Option<Position>,
        people: &[Present],
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        if self.head.is_none() && people.is_empty() {
            return Ok(());
        }
        self.ensure(sql)?;
        if position.is_some_and(|position| self.is_ahead(position)) {
            self.draw_epoch(sql)?;
        }
        self.match_people(now, people, sql)?;
        self.close_batch();
        let items = self.missed_by_home(now, position, people, sql)?;
        self.told = self.position();
        let position = self.told;
        self.turn
            .effects
            .push(Effect::Down(Down::Resumed { position, items }));
        Ok(())
    }

    /// A position above the head: the storage was rolled back under the room, what the log says
    /// now is another history.
    fn is_ahead(&self, position: Position) -> bool {
        let here = self.position();
        position.epoch == here.epoch && position.seq > here.seq
    }

    fn draw_epoch(&mut self, sql: &dyn Sql) -> Result<(), Broken> {
        let epoch = Epoch(self.random.bits(48));
        let Some(head) = &mut self.head else {
            return Ok(());
        };
        head.epoch = epoch;
        store::write_head(sql, head)
    }

    fn missed_by_home(
        &self,
        now: Timestamp,
        position: Option<Position>,
        people: &[Present],
        sql: &dyn Sql,
    ) -> Result<Vec<Item>, Broken> {
        let (Some(head), Some(of)) = (self.head, self.of()) else {
            return Ok(Vec::new());
        };
        let mut items = Vec::new();
        if people.is_empty() {
            return Ok(items);
        }
        let Some(position) = position else {
            return Ok(vec![self.gap_item(now, &head, None), self.reset(now)]);
        };
        let missed = match self.verdict(&head, position.since()) {
            Verdict::Gap { from } => Err(from),
            Verdict::Whole => {
                log::after(sql, of, position.seq, PAGE_MAX)?.ok_or(Some(position.seq.next()))
            }
        };
        match missed {
            Ok(missed) => items.extend(missed),
            Err(from) => items.push(self.gap_item(now, &head, from)),
        }
        if position.rev != head.rev || position.epoch != head.epoch {
            items.push(self.reset(now));
        }
        Ok(items)
    }

    /// The home's list against the rows: who is missing was lost, who is new came.
    fn match_people(
        &mut self,
        now: Timestamp,
        people: &[Present],
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let missing: Vec<UserId> = self
            .people
            .iter()
            .filter(|(user, person)| {
                person.connections > 0 && !people.iter().any(|present| present.user == **user)
            })
            .map(|(user, _)| user.clone())
            .collect();
        for user in missing {
            self.set_connections(&user, 1);
            self.leave(now, &user, Leaving::Lost, sql)?;
        }
        for present in people {
            let known = self
                .people
                .get(&present.user)
                .map(|person| person.connections);
            if known == Some(present.connections) {
                continue;
            }
            if known.is_none_or(|connections| connections == 0) {
                self.come_back(now, present, sql)?;
            }
            self.set_connections(&present.user, present.connections);
            if let Some(person) = self.people.get(&present.user) {
                store::write_member(sql, &present.user, person)?;
            }
        }
        Ok(())
    }

    fn set_connections(&mut self, user: &UserId, connections: u64) {
        if let Some(person) = self.people.get_mut(user) {
            person.connections = connections;
        }
    }

    fn verdict(&self, head: &Head, since: Since) -> Verdict {
        if since.epoch != head.epoch || since.seq > head.seq {
            return Verdict::Gap { from: None };
        }
        let kept = since.seq.next() >= self.extent.first;
        let few = head.seq.0 - since.seq.0 <= PAGE_MAX as u64;
        if kept && few {
            Verdict::Whole
        } else {
            Verdict::Gap {
                from: Some(since.seq.next()),
            }
        }
    }

    fn gap(&self, head: &Head, from: Option<Seq>) -> Gap {
        Gap {
            room: self.name.clone(),
            epoch: head.epoch,
            from,
            to: head.seq,
        }
    }

    fn gap_item(&self, now: Timestamp, head: &Head, from: Option<Seq>) -> Item {
        let body = Json::of(&self.gap(head, from));
        Item::to_all(Envelope::event("gap", now, body).in_room(&self.name))
    }
}

/// An entry as one person may see it.
fn seen_by(user: &UserId, item: Item) -> Envelope {
    let envelope = Rc::unwrap_or_clone(item.envelope);
    if !item.exclude.users.contains(user) {
        return envelope;
    }
    match (&envelope.room, envelope.seq, envelope.epoch) {
        (Some(room), Some(seq), Some(epoch)) => Envelope::skip(room, seq, epoch, envelope.ts),
        _ => envelope,
    }
}
