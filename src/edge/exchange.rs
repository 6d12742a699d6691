//! Where the machines of an object meet: an effect of one becomes an input of another, looped to
//! the end within the turn. Nothing is decided here.

use crate::auth;
use crate::error::Broken;
use crate::home;
use crate::link::{Asker, CallNo, Down, ReplyTo, RoomAsk, Up};
use crate::message::{Answer, Reply};
use crate::queue::{self, Draft, News};
use crate::room;
use crate::sql::Sql;
use crate::time::Timestamp;

use super::object::{Object, Setting};

impl Object {
    pub(super) fn home_takes(
        &mut self,
        now: Timestamp,
        input: &home::Input,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let effects = self.home.handle(now, input, sql)?;
        self.home_did(now, effects, sql)
    }

    pub(super) fn room_takes(
        &mut self,
        now: Timestamp,
        input: &room::Input,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let effects = self.room.handle(now, input, sql)?;
        self.room_did(now, effects, sql)
    }

    pub(super) fn queue_takes(
        &mut self,
        now: Timestamp,
        input: &queue::Input,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let effects = self.queue.handle(now, input, sql)?;
        self.queue_did(now, effects, sql)
    }

    pub(super) fn home_did(
        &mut self,
        now: Timestamp,
        effects: Vec<home::Effect>,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        for effect in effects {
            match effect {
                home::Effect::Accept { waiter, conn } => self.effects.accepts.push((waiter, conn)),
                home::Effect::Log(line) => self.effects.log.push(line),
                home::Effect::Refuse { waiter, rejected } => {
                    self.effects.answers.push((waiter, Err(rejected)));
                }
                home::Effect::Up(Up::Ask { call, from, ask }) => {
                    self.ask(now, ReplyTo::Link(call), from, ask, sql)?;
                }
                home::Effect::Up(up) => self.room_takes(now, &room::Input::Up(up), sql)?,
                home::Effect::Verify { conn, id, token } => {
                    let Setting { config, keys, .. } = &self.setting;
                    let verdict = auth::authenticate(&token, keys, &config.auth, now);
                    let verdict = verdict.map(Box::new);
                    self.home_takes(now, &home::Input::Verified { conn, id, verdict }, sql)?;
                }
            }
        }
        Ok(())
    }

    /// What a connection asks goes to the room, but for jobs, which are the queue's.
    fn ask(
        &mut self,
        now: Timestamp,
        to: ReplyTo,
        from: Asker,
        ask: RoomAsk,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        match (ask, to) {
            (RoomAsk::Cancel { job }, to) => {
                self.queue_takes(now, &queue::Input::Cancel { to, id: job }, sql)
            }
            (RoomAsk::Job(new), to) => self.queue_takes(
                now,
                &queue::Input::Enqueue {
                    to,
                    asker: from,
                    new,
                },
                sql,
            ),
            (ask, ReplyTo::Link(call)) => {
                self.room_takes(now, &room::Input::Up(Up::Ask { call, from, ask }), sql)
            }
            (_, ReplyTo::Waiter(_)) => Err(Broken("a waiter asks by a call".to_owned())),
        }
    }

    pub(super) fn room_did(
        &mut self,
        now: Timestamp,
        effects: Vec<room::Effect>,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        for effect in effects {
            match effect {
                room::Effect::Answer { to, answer } => self.answer(now, to, answer, sql)?,
                room::Effect::Down(mut down) => {
                    if let Down::Answered {
                        answer: Ok(Reply::Joined(joined)),
                        ..
                    } = &mut down
                    {
                        joined.answers = self.queue.writing();
                    }
                    self.home_takes(now, &home::Input::Down(down), sql)?;
                }
                room::Effect::JobNamed { .. } => {
                    return Err(Broken("a job was named that nobody gave".to_owned()));
                }
            }
        }
        Ok(())
    }

    pub(super) fn queue_did(
        &mut self,
        now: Timestamp,
        effects: Vec<queue::Effect>,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        for effect in effects {
            match effect {
                queue::Effect::Accept { to, draft } => self.accept(now, to, draft, sql)?,
                queue::Effect::Answer { to, answer } => self.answer(now, to, answer, sql)?,
                queue::Effect::Run { id } => self.effects.runs.push(id),
                queue::Effect::Say(news) => self.room_takes(now, &said(news), sql)?,
                queue::Effect::Send { row, body } => self.effects.sends.push((row, body)),
                queue::Effect::Worker { to, verdict } => {
                    let reply = self.verdict(verdict, sql)?;
                    self.effects.verdicts.push((to, reply));
                }
            }
        }
        Ok(())
    }

    /// The room logs question and `message_queued`; the job gets its number and its row; who asked
    /// is answered, and then all are told.
    fn accept(
        &mut self,
        now: Timestamp,
        to: ReplyTo,
        draft: Draft,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let asked = draft
            .retried_from
            .zip(draft.asked)
            .map(|(job, seq)| (job.epoch, seq));
        let input = room::Input::JobAccepted {
            author: draft.asker.author.clone(),
            kind: draft.kind.word().to_owned(),
            prompt: draft.prompt.clone(),
            corr: draft.corr.clone(),
            asked,
        };
        let mut effects = self.room.handle(now, &input, sql)?;
        let Some(room::Effect::JobNamed {
            job: id,
            prompt_seq,
        }) = effects.pop()
        else {
            return Err(Broken("a job got no number".to_owned()));
        };
        let input = queue::Input::Insert {
            to,
            id,
            prompt_seq,
            draft,
        };
        let queued = self.queue.handle(now, &input, sql)?;
        let is_answer = |effect: &queue::Effect| matches!(effect, queue::Effect::Answer { .. });
        let (answers, others): (Vec<_>, Vec<_>) = queued.into_iter().partition(is_answer);
        self.queue_did(now, answers, sql)?;
        self.room_did(now, effects, sql)?;
        self.queue_did(now, others, sql)
    }

    fn answer(
        &mut self,
        now: Timestamp,
        to: ReplyTo,
        answer: Answer,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        match to {
            ReplyTo::Link(call) => self.answer_home(now, call, answer, sql),
            ReplyTo::Waiter(waiter) => {
                self.effects.answers.push((waiter, answer));
                Ok(())
            }
        }
    }

    fn answer_home(
        &mut self,
        now: Timestamp,
        call: CallNo,
        answer: Answer,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        // Only joins are cut, and those the room answers.
        let down = Down::Answered {
            call,
            cut: 0,
            answer,
        };
        self.home_takes(now, &home::Input::Down(down), sql)
    }
}

fn said(news: News) -> room::Input {
    match news {
        News::Changed {
            job,
            state,
            attempt,
            max_attempts,
            error,
        } => room::Input::JobChanged {
            job,
            state,
            attempt,
            max_attempts,
            error,
        },
        News::Delta {
            job,
            attempt,
            index,
            text,
            ..
        } => room::Input::JobDelta {
            job,
            attempt,
            index,
            text,
        },
        News::Final {
            job,
            kind,
            model,
            status,
            text,
        } => {
            let kind = kind.word().to_owned();
            room::Input::JobFinal {
                job,
                kind,
                model,
                status,
                text,
            }
        }
    }
}
