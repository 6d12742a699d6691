//! A message on its way into the room: doubles and idempotent keys are told apart from new ones,
//! then it is logged (or not, when ephemeral) and said. Source: `decisions.md` "Log, ids,
//! doubles", `architecture.md` "Doubles".

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::error::{Broken, Code, Rejected};
use crate::id::MessageId;
use crate::limits::IDEMPOTENCY_TTL;
use crate::link::{Asker, Exclude, Item, ReplyTo};
use crate::message::{Envelope, Json, Publication, Published, Reply};
use crate::sql::Sql;
use crate::time::Timestamp;

use super::Room;
use super::log::{self, Entry};
use super::store::{self, Kept};

impl Room {
    /// Answers first and says it then: a sender learns the id before its own copy comes.
    pub(super) fn publish(
        &mut self,
        now: Timestamp,
        (to, from, origin): (ReplyTo, &Asker, Option<&String>),
        publication: &Publication,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let hash = publication.key.as_ref().map(|_| fingerprint(publication));
        if let Some(first) =
            self.first_answer(now, from, origin, publication, hash.as_deref(), sql)?
        {
            self.answer(to, first);
            return Ok(());
        }
        self.ensure(sql)?;
        let exclude = Exclude {
            users: publication.exclude.clone(),
            conn: if publication.echo {
                None
            } else {
                from.author.conn
            },
        };
        let envelope = self.envelope(now, from, origin, publication, sql)?;
        let published = Published {
            id: envelope.id.unwrap_or(MessageId::Ephemeral {
                boot: self.boot.0,
                n: 0,
            }),
            room: self.name.clone(),
            seq: envelope.seq,
            epoch: envelope.epoch,
            ts: now,
        };
        if let (Some(key), Some(hash)) = (&publication.key, hash) {
            let answer = Json::of(&published).text().to_owned();
            let expires_at = now.plus(IDEMPOTENCY_TTL);
            store::keep(
                sql,
                (&from.author.user, key),
                &Kept { hash, answer },
                now,
                expires_at,
            )?;
            self.keys_until = expires_at;
        }
        // Answered before it is said, so the batch that carries the entry stands behind.
        let item = Item {
            envelope: envelope.into(),
            exclude,
        };
        self.answer(to, Ok(Reply::Published(published)));
        self.say(item);
        Ok(())
    }

    /// The answer to the same key or the same call before, if there was one.
    fn first_answer(
        &self,
        now: Timestamp,
        from: &Asker,
        origin: Option<&String>,
        publication: &Publication,
        hash: Option<&str>,
        sql: &dyn Sql,
    ) -> Result<Option<Result<Reply, Rejected>>, Broken> {
        let Some(head) = self.head else {
            return Ok(None);
        };
        if let (Some(key), Some(hash)) = (&publication.key, hash)
            && let Some(kept) = store::kept(sql, &from.author.user, key, now)?
        {
            if kept.hash != hash {
                let detail = "this key came before with another message";
                return Ok(Some(Err(Rejected::new(Code::Conflict, detail))));
            }
            let published = serde_json::from_str(&kept.answer);
            let published = published.map_err(|error| Broken(format!("a kept answer: {error}")))?;
            return Ok(Some(Ok(Reply::Published(published))));
        }
        let Some(origin) = origin.filter(|_| !publication.ephemeral) else {
            return Ok(None);
        };
        let found = log::by_origin(sql, head.seq, origin)?;
        Ok(found.map(|(seq, ts)| {
            Ok(Reply::Published(Published {
                id: MessageId::Logged {
                    epoch: head.epoch,
                    seq,
                },
                room: self.name.clone(),
                seq: Some(seq),
                epoch: Some(head.epoch),
                ts,
            }))
        }))
    }

    fn envelope(
        &mut self,
        now: Timestamp,
        from: &Asker,
        origin: Option<&String>,
        publication: &Publication,
        sql: &dyn Sql,
    ) -> Result<Envelope, Broken> {
        if publication.ephemeral {
            self.ephemerals += 1;
            return Ok(Envelope {
                kind: publication.kind.clone(),
                id: Some(MessageId::Ephemeral {
                    boot: self.boot.0,
                    n: self.ephemerals,
                }),
                from: Some(from.author.clone()),
                body: publication.body.clone(),
                meta: publication.meta.clone(),
                corr: publication.corr.clone(),
                ..Envelope::event("message", now, Json::null()).in_room(&self.name)
            });
        }
        let entry = Entry {
            kind: publication.kind.clone(),
            id: None,
            author: Some(from.author.clone()),
            body: publication.body.clone(),
            meta: publication.meta.clone(),
            corr: publication.corr.clone(),
            exclude: publication.exclude.clone(),
            origin: origin.cloned(),
        };
        self.append(now, entry, sql)
    }
}

/// What two messages under one key are compared by.
fn fingerprint(publication: &Publication) -> String {
    let text = |json: &Option<Json>| json.as_ref().map(|json| json.text().to_owned());
    let parts = (
        &publication.kind,
        text(&publication.body),
        text(&publication.meta),
        &publication.corr,
        publication.ephemeral,
        &publication.exclude,
    );
    let digest = Sha256::digest(Json::of(&parts).text());
    digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
