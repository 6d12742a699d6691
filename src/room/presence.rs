//! Coming and going: joins, leaves, the grace time, statuses, and how the others are told of
//! them, each by itself or as counts. Source: `architecture.md` rule 8, `decisions.md` "Presence
//! in a room", `interface.md` events `user_*` and `members`.

use crate::error::{Broken, Code, Rejected};
use crate::id::UserId;
use crate::limits::{COUNTED_EVERY, COUNTED_SHOWN};
use crate::link::{Asker, Item, Leaving, Present, ReplyTo, Rev};
use crate::message::{Join, Json, Reply, Status};
use crate::sql::Sql;
use crate::time::{Millis, Timestamp};

use super::member::{Person, Told};
use super::notice::{Counts, Shown};
use super::{Room, store};

impl Room {
    pub(super) fn join(
        &mut self,
        now: Timestamp,
        (to, from): (ReplyTo, &Asker),
        (join, again): (&Join, bool),
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        self.ensure(sql)?;
        let user = &from.author.user;
        let present = Present {
            user: user.clone(),
            name: from.author.name.clone(),
            role: from.role.clone(),
            connections: 1,
        };
        if !again {
            self.arrive(now, &present, join.meta.as_ref(), sql)?;
        }
        self.replace_meta(now, user, join.meta.as_ref(), sql)?;
        let joined = self.joined(user, join, sql)?;
        self.answer(to, Ok(Reply::Joined(Box::new(joined))));
        Ok(())
    }

    /// One connection more shows a sign of life.
    fn arrive(
        &mut self,
        now: Timestamp,
        present: &Present,
        meta: Option<&Json>,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let user = &present.user;
        if let Some(person) = self.people.get_mut(user) {
            let returns = !person.is_in();
            person.connections += 1;
            person.gone = None;
            person.told = if returns { Told::Yes } else { person.told };
            store::write_member(sql, user, person)?;
            self.mark_changed_if(returns);
            return Ok(());
        }
        let counted = self.head.is_some_and(|head| head.counted);
        let mut person = Person::new(now, present.name.clone(), present.role.clone());
        person.meta = meta.cloned();
        person.told = if counted { Told::NotYet } else { Told::Yes };
        store::write_member(sql, user, &person)?;
        let envelope = self.change("user_joined", now, user, &person, None);
        self.people.insert(user.clone(), person);
        self.mark_changed_if(true);
        if !counted {
            self.say(Item::to_others(envelope, user));
        }
        self.switch_counting(now, sql)?;
        self.tell_counts(now, sql)
    }

    /// A connection that had fallen silent shows a sign of life.
    pub(super) fn come_back(
        &mut self,
        now: Timestamp,
        present: &Present,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        self.ensure(sql)?;
        self.arrive(now, present, None, sql)
    }

    fn replace_meta(
        &mut self,
        now: Timestamp,
        user: &UserId,
        meta: Option<&Json>,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let (Some(meta), Some(person)) = (meta, self.people.get_mut(user)) else {
            return Ok(());
        };
        if person.meta.as_ref() == Some(meta) {
            return Ok(());
        }
        person.meta = Some(meta.clone());
        self.updated(now, user, sql)
    }

    /// A connection less, or one that fell silent.
    pub(super) fn leave(
        &mut self,
        now: Timestamp,
        user: &UserId,
        leaving: Leaving,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let Some(person) = self
            .people
            .get_mut(user)
            .filter(|person| person.connections > 0)
        else {
            return Ok(());
        };
        person.connections -= 1;
        if person.connections == 0 {
            person.gone = Some((now, leaving));
        }
        if person.connections == 0 && leaving.grace(self.config.presence_grace) == Millis(0) {
            return self.part(now, user, sql);
        }
        store::write_member(sql, user, person)
    }

    /// Lets those go whose grace time is over.
    pub(super) fn let_go(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<(), Broken> {
        for user in self.people.overdue(now, self.config.presence_grace) {
            self.part(now, &user, sql)?;
        }
        Ok(())
    }

    /// A person is not in the room any more, and the others are told.
    fn part(&mut self, now: Timestamp, user: &UserId, sql: &dyn Sql) -> Result<(), Broken> {
        let Some(person) = self.people.get_mut(user) else {
            return Ok(());
        };
        let leaving = person.gone.take().map(|(_, leaving)| leaving);
        let counted = self.head.is_some_and(|head| head.counted);
        let known = person.told == Told::Yes;
        let person = person.clone();
        if counted && known {
            let person = Person {
                told: Told::LeftNotYet,
                ..person
            };
            store::write_member(sql, user, &person)?;
            self.people.insert(user.clone(), person);
        } else {
            store::delete_member(sql, user)?;
            self.people.remove(user);
            if !counted {
                let envelope = self.change("user_left", now, user, &person, leaving);
                self.say(Item::to_others(envelope, user));
            }
        }
        self.mark_changed_if(true);
        self.switch_counting(now, sql)?;
        self.tell_counts(now, sql)
    }

    pub(super) fn set_status(
        &mut self,
        now: Timestamp,
        (to, user): (ReplyTo, &UserId),
        status: &Status,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let Some(person) = self.people.get_mut(user) else {
            let refused = Rejected::new(Code::NotJoined, "a status is shown in a room: join first");
            self.answer(to, Err(refused));
            return Ok(());
        };
        let meta = status.meta.clone().or_else(|| person.meta.clone());
        let same = person.status == status.status
            && person.status_text == status.text
            && person.meta == meta;
        person.status.clone_from(&status.status);
        person.status_text.clone_from(&status.text);
        person.meta = meta;
        self.answer(to, Ok(Reply::Presence(status.clone())));
        if same {
            Ok(())
        } else {
            self.updated(now, user, sql)
        }
    }

    fn updated(&mut self, now: Timestamp, user: &UserId, sql: &dyn Sql) -> Result<(), Broken> {
        let Some(person) = self.people.get(user).cloned() else {
            return Ok(());
        };
        store::write_member(sql, user, &person)?;
        self.mark_changed_if(true);
        if !self.head.is_some_and(|head| head.counted) {
            let envelope = self.change("user_updated", now, user, &person, None);
            self.say(Item::to_others(envelope, user));
        }
        Ok(())
    }

    /// `rev` grows by one per tick that changed members or meta.
    pub(super) fn mark_changed_if(&mut self, changed: bool) {
        if let (true, false, Some(head)) = (changed, self.turn.members_changed, &mut self.head) {
            head.rev = Rev(head.rev.0 + 1);
            self.turn.members_changed = true;
        }
    }

    /// Crossing one of the bounds: a whole new list, and the other way of telling from here on.
    fn switch_counting(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<(), Broken> {
        let Some(head) = &mut self.head else {
            return Ok(());
        };
        let counted = self.people.counts(head.counted);
        if counted == head.counted {
            return Ok(());
        }
        head.counted = counted;
        head.counted_at = now;
        self.turn.head_changed = true;
        self.settle_untold(sql)?;
        let reset = self.reset(now);
        self.say(reset);
        Ok(())
    }

    /// In a counted room: says who came and went, if a second has passed since it last did.
    pub(super) fn tell_counts(&mut self, now: Timestamp, sql: &dyn Sql) -> Result<(), Broken> {
        let Some(head) = &mut self.head else {
            return Ok(());
        };
        let waits = now < head.counted_at.plus(COUNTED_EVERY);
        if !head.counted || waits || !self.people.has_untold() {
            return Ok(());
        }
        head.counted_at = now;
        self.turn.head_changed = true;
        let named = |told: Told| {
            let people = self
                .people
                .iter()
                .filter(move |(_, person)| person.told == told);
            let shown = people.map(|(user, person)| Shown {
                user,
                name: person.name.as_deref(),
            });
            Some(shown.take(COUNTED_SHOWN).collect::<Vec<_>>())
        };
        let counts = Counts {
            count: self.people.count(),
            joined: named(Told::NotYet),
            left: named(Told::LeftNotYet),
            reset: None,
            members: None,
        };
        let item = self.presence_item("members", now, &counts);
        self.settle_untold(sql)?;
        self.say(item);
        Ok(())
    }

    /// Everybody has been told: nothing is left over.
    fn settle_untold(&mut self, sql: &dyn Sql) -> Result<(), Broken> {
        let untold: Vec<UserId> = self
            .people
            .iter()
            .filter(|(_, person)| person.told != Told::Yes)
            .map(|(user, _)| user.clone())
            .collect();
        for user in untold {
            let Some(person) = self.people.get_mut(&user) else {
                continue;
            };
            if person.is_in() {
                person.told = Told::Yes;
                store::write_member(sql, &user, person)?;
            } else {
                store::delete_member(sql, &user)?;
                self.people.remove(&user);
            }
        }
        Ok(())
    }
}
