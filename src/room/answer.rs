//! What the room says of jobs: the question and its being queued, every change of state, the
//! pieces of an answer and the answer itself. The queue decides; the room gives each its place in
//! the one log. Source: `architecture.md` rules 4 and 5, X3 of `features.md`.

use serde::Serialize;

use crate::error::Broken;
use crate::id::{Epoch, EventType, JobId, JobNo, MessageId, Seq, UserId};
use crate::limits::{CONTEXT_MAX_BYTES, CONTEXT_MESSAGES};
use crate::link::Item;
use crate::message::{Author, Envelope, JobState, Json, PageQuery};
use crate::sql::Sql;
use crate::time::Timestamp;

use super::log::{self, Entry};
use super::{Effect, Input, Room};

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Queued<'a> {
    job: JobId,
    kind: &'a str,
    message_id: MessageId,
    prompt_id: MessageId,
}

#[derive(Serialize)]
struct Changed<'a> {
    job: JobId,
    state: JobState,
    attempt: u32,
    max_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Delta<'a> {
    message_id: MessageId,
    job: JobId,
    attempt: u32,
    index: u64,
    text: &'a str,
}

#[derive(Serialize)]
struct AnswerMeta<'a> {
    job: JobId,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    status: JobState,
}

/// A job being taken.
struct NewJob<'a> {
    author: &'a Author,
    kind: &'a str,
    corr: Option<&'a String>,
}

/// What it is about: said now, or standing in the log already.
enum Question<'a> {
    Asked((Epoch, Seq)),
    New(&'a str),
}

impl<'a> Question<'a> {
    fn of(prompt: &'a str, asked: Option<(Epoch, Seq)>) -> Self {
        asked.map_or(Self::New(prompt), Self::Asked)
    }
}

impl NewJob<'_> {
    fn entry(&self, word: &str, body: Json) -> Entry {
        Entry {
            author: Some(self.author.clone()),
            corr: self.corr.cloned(),
            ..Entry::event(word, body)
        }
    }
}

/// A message of the room, as a provider is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub author: Author,
    pub text: String,
}

impl Room {
    pub(super) fn job(
        &mut self,
        now: Timestamp,
        input: &Input,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        match input {
            Input::JobAccepted {
                author,
                kind,
                prompt,
                corr,
                asked,
            } => {
                let job = NewJob {
                    author,
                    kind,
                    corr: corr.as_ref(),
                };
                self.accept_job(now, &job, Question::of(prompt, *asked), sql)
            }
            Input::JobChanged {
                job,
                state,
                attempt,
                max_attempts,
                error,
            } => {
                let body = Changed {
                    job: *job,
                    state: *state,
                    attempt: *attempt,
                    max_attempts: *max_attempts,
                    error: error.as_deref(),
                };
                self.log_and_say(now, Entry::event("job", Json::of(&body)), sql)
            }
            Input::JobDelta {
                job,
                attempt,
                index,
                text,
            } => {
                let body = Delta {
                    message_id: job.answer(),
                    job: *job,
                    attempt: *attempt,
                    index: *index,
                    text,
                };
                let event = Envelope::event("answer_delta", now, Json::of(&body));
                self.say(Item::to_all(event.in_room(&self.name)));
                Ok(())
            }
            Input::JobFinal {
                job,
                kind,
                model,
                status,
                text,
            } => {
                let meta = AnswerMeta {
                    job: *job,
                    kind,
                    model: model.as_deref(),
                    status: *status,
                };
                self.log_and_say(now, answer(&meta, text), sql)
            }
            Input::Call { .. } | Input::Up(_) => Ok(()),
        }
    }

    /// The question and its being queued are two entries of one turn; the second one's seq is the
    /// job's number.
    fn accept_job(
        &mut self,
        now: Timestamp,
        job: &NewJob<'_>,
        question: Question<'_>,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let head = self.ensure(sql)?;
        let (epoch, prompt_seq) = match question {
            Question::Asked(place) => place,
            Question::New(prompt) => {
                let entry = job.entry("message", Json::of(&Text { text: prompt }));
                self.log_and_say(now, entry, sql)?;
                (head.epoch, head.seq.next())
            }
        };
        let no = JobNo(self.position().seq.next().0);
        let id = JobId {
            epoch: head.epoch,
            no,
        };
        let prompt_id = MessageId::Logged {
            epoch,
            seq: prompt_seq,
        };
        let body = Queued {
            job: id,
            kind: job.kind,
            message_id: id.answer(),
            prompt_id,
        };
        self.log_and_say(now, job.entry("message_queued", Json::of(&body)), sql)?;
        self.close_batch();
        self.turn.effects.push(Effect::JobNamed {
            job: id,
            prompt_seq,
        });
        Ok(())
    }

    fn log_and_say(&mut self, now: Timestamp, entry: Entry, sql: &dyn Sql) -> Result<(), Broken> {
        let envelope = self.append(now, entry, sql)?;
        self.say(Item::to_all(envelope));
        Ok(())
    }

    /// The last messages before a question that have a text, oldest first: what a provider may
    /// know of the room. What excludes the asker stays out.
    pub fn context(&self, asker: &UserId, before: Seq, sql: &dyn Sql) -> Result<Vec<Said>, Broken> {
        let Some(of) = self.of() else {
            return Ok(Vec::new());
        };
        let types = vec![EventType::message()];
        let query = PageQuery {
            after: None,
            before: Some(before),
            limit: CONTEXT_MESSAGES,
            types,
        };
        let page = log::page(sql, of, &query, asker)?;
        let mut bytes = 0;
        let mut said = Vec::new();
        for envelope in page.messages.into_iter().rev() {
            let (Some(author), Some(text)) = (envelope.from, envelope.body.and_then(|b| plain(&b)))
            else {
                continue;
            };
            bytes += text.len();
            if bytes > CONTEXT_MAX_BYTES {
                break;
            }
            said.push(Said { author, text });
        }
        said.reverse();
        Ok(said)
    }
}

fn answer(meta: &AnswerMeta<'_>, text: &str) -> Entry {
    let author = Author {
        user: UserId::ai(),
        name: None,
        conn: None,
        guest: false,
    };
    Entry {
        kind: EventType::message(),
        id: Some(meta.job.answer()),
        author: Some(author),
        meta: Some(Json::of(meta)),
        ..Entry::event("message", Json::of(&Text { text }))
    }
}

/// The text of a body: `{text}`, or a string.
fn plain(body: &Json) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Body {
        Bare(String),
        Text { text: String },
    }
    match body.read().ok()? {
        Body::Bare(text) | Body::Text { text } => Some(text),
    }
}
