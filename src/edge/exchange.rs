//! Where the machines of an object meet: an effect of one becomes an input of another, looped to
//! the end within the turn. Nothing is decided here.

use crate::ai;
use crate::auth;
use crate::error::Broken;
use crate::home;
use crate::http::Op;
use crate::id::UserId;
use crate::link::{Asker, CallNo, Down, ReplyTo, RoomAsk, Up, WaiterNo};
use crate::message::{Answer, Author, Reply};
use crate::queue::{self, Draft, News, Verdict};
use crate::room;
use crate::sql::Sql;
use crate::time::Timestamp;

use super::object::{Object, Setting};
use super::stub::{self, Claimed, WorkerOp, WorkerReply};

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
            (RoomAsk::Job(new), to) => {
                self.queue_takes(now, &queue::Input::Enqueue { to, asker: from, new }, sql)
            }
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
                    if let Down::Answered { answer: Ok(Reply::Joined(joined)), .. } = &mut down {
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
        let asked = draft.retried_from.zip(draft.asked).map(|(job, seq)| (job.epoch, seq));
        let input = room::Input::JobAccepted {
            author: draft.asker.author.clone(),
            kind: draft.kind.word().to_owned(),
            prompt: draft.prompt.clone(),
            corr: draft.corr.clone(),
            asked,
        };
        let mut effects = self.room.handle(now, &input, sql)?;
        let Some(room::Effect::JobNamed { job: id, prompt_seq }) = effects.pop() else {
            return Err(Broken("a job got no number".to_owned()));
        };
        let input = queue::Input::Insert { to, id, prompt_seq, draft };
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
        let down = Down::Answered { call, cut: 0, answer };
        self.home_takes(now, &home::Input::Down(down), sql)
    }

    pub(super) fn call(
        &mut self,
        now: Timestamp,
        waiter: WaiterNo,
        call: &stub::Call,
        sql: &dyn Sql,
    ) -> Result<(), Broken> {
        let to = ReplyTo::Waiter(waiter);
        let grant = &call.grant;
        let author = Author {
            user: grant.user.clone(),
            name: grant.name.clone(),
            conn: None,
            guest: grant.guest,
        };
        let from = Asker { author, role: grant.roles.first().cloned() };
        let ask = match &call.op {
            Op::History(query) => RoomAsk::History(query.clone()),
            Op::Members { after, limit } => {
                RoomAsk::Members { after: after.clone(), limit: *limit }
            }
            Op::Publish(publication) => RoomAsk::Publish(publication.clone()),
            #[cfg(feature = "panic-route")]
            Op::Panic => panic!("asked to, by the test-only route"),
            job => return self.queue_takes(now, &job_input(to, from, job)?, sql),
        };
        let origin = call.request.clone();
        self.room_takes(now, &room::Input::Call { to, from, origin, ask }, sql)
    }

    fn verdict(&self, verdict: Verdict, sql: &dyn Sql) -> Result<WorkerReply, Broken> {
        Ok(match verdict {
            Verdict::Cancelled => WorkerReply::Cancelled,
            Verdict::Claimed(claim) => {
                let said = self.room.context(&claim.asker, claim.prompt_seq, sql)?;
                let context = said.into_iter().map(|said| ai::Turn {
                    ai: said.author.user == UserId::ai(),
                    user: said.author.user.to_string(),
                    name: said.author.name,
                    text: said.text,
                });
                WorkerReply::Claimed(Box::new(Claimed {
                    job: claim.id,
                    token: claim.token,
                    attempt: claim.attempt,
                    max_attempts: claim.max_attempts,
                    lease_ms: claim.lease,
                    asker: claim.asker,
                    prompt: claim.prompt,
                    model: claim.model,
                    max_tokens: claim.max_tokens,
                    context: context.collect(),
                }))
            }
            Verdict::Ended => WorkerReply::Ended,
            Verdict::Go { have } => WorkerReply::Go { have },
            Verdict::Refused => WorkerReply::Refused,
            Verdict::Stale => WorkerReply::Stale,
        })
    }
}

fn job_input(to: ReplyTo, asker: Asker, op: &Op) -> Result<queue::Input, Broken> {
    Ok(match op {
        Op::JobCancel { job } => queue::Input::Cancel { to, id: *job },
        Op::JobCreate(new) => queue::Input::Enqueue { to, asker, new: new.clone() },
        Op::JobList { state } => queue::Input::List { to, state: *state },
        Op::JobRead { job } => queue::Input::Read { to, id: *job },
        Op::JobRetry { job } => queue::Input::Retry { to, asker, id: *job },
        _ => return Err(Broken("not an operation on jobs".to_owned())),
    })
}

pub(super) fn worker_input(to: WaiterNo, op: &WorkerOp) -> queue::Input {
    match op {
        WorkerOp::Claim { job } => queue::Input::Claim { to, id: *job },
        WorkerOp::Complete { job, token, text, model } => queue::Input::Complete {
            to,
            id: *job,
            token: *token,
            text: text.clone(),
            model: model.clone(),
        },
        WorkerOp::Delta { job, token, index, text } => queue::Input::Delta {
            to,
            id: *job,
            token: *token,
            index: *index,
            text: text.clone(),
        },
        WorkerOp::Fail { job, token, error, retryable, retry_after_ms } => queue::Input::Fail {
            to,
            id: *job,
            token: *token,
            error: error.clone(),
            retryable: *retryable,
            retry_after: *retry_after_ms,
        },
        WorkerOp::Renew { job, token } => queue::Input::Renew { to, id: *job, token: *token },
    }
}

fn said(news: News) -> room::Input {
    match news {
        News::Changed { job, state, attempt, max_attempts, error } => {
            room::Input::JobChanged { job, state, attempt, max_attempts, error }
        }
        News::Delta { job, attempt, index, text, .. } => {
            room::Input::JobDelta { job, attempt, index, text }
        }
        News::Final { job, kind, model, status, text } => {
            let kind = kind.word().to_owned();
            room::Input::JobFinal { job, kind, model, status, text }
        }
    }
}
