//! Calls from the Worker and from consumers, as the machines understand them, and their verdicts as
//! a consumer reads them. Nothing is decided here.

use crate::ai;
use crate::error::Broken;
use crate::http::Op;
use crate::id::UserId;
use crate::link::{Asker, ReplyTo, RoomAsk, WaiterNo};
use crate::message::Author;
use crate::queue::{self, Verdict};
use crate::room;
use crate::sql::Sql;
use crate::time::Timestamp;

use super::object::Object;
use super::stub::{self, Claimed, WorkerOp, WorkerReply};

impl Object {
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
        let from = Asker {
            author,
            role: grant.roles.first().cloned(),
        };
        let ask = match &call.op {
            Op::History(query) => RoomAsk::History(query.clone()),
            Op::Members { after, limit } => RoomAsk::Members {
                after: after.clone(),
                limit: *limit,
            },
            Op::Publish(publication) => RoomAsk::Publish(publication.clone()),
            #[cfg(feature = "panic-route")]
            Op::Panic => panic!("asked to, by the test-only route"),
            job => return self.queue_takes(now, &job_input(to, from, job)?, sql),
        };
        let origin = call.request.clone();
        self.room_takes(
            now,
            &room::Input::Call {
                to,
                from,
                origin,
                ask,
            },
            sql,
        )
    }

    pub(super) fn verdict(&self, verdict: Verdict, sql: &dyn Sql) -> Result<WorkerReply, Broken> {
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
        Op::JobCreate(new) => queue::Input::Enqueue {
            to,
            asker,
            new: new.clone(),
        },
        Op::JobList { state } => queue::Input::List { to, state: *state },
        Op::JobRead { job } => queue::Input::Read { to, id: *job },
        Op::JobRetry { job } => queue::Input::Retry {
            to,
            asker,
            id: *job,
        },
        _ => return Err(Broken("not an operation on jobs".to_owned())),
    })
}

pub(super) fn worker_input(to: WaiterNo, op: &WorkerOp) -> queue::Input {
    match op {
        WorkerOp::Claim { job } => queue::Input::Claim { to, id: *job },
        WorkerOp::Complete {
            job,
            token,
            text,
            model,
        } => queue::Input::Complete {
            to,
            id: *job,
            token: *token,
            text: text.clone(),
            model: model.clone(),
        },
        WorkerOp::Delta {
            job,
            token,
            index,
            text,
        } => queue::Input::Delta {
            to,
            id: *job,
            token: *token,
            index: *index,
            text: text.clone(),
        },
        WorkerOp::Fail {
            job,
            token,
            error,
            retryable,
            retry_after_ms,
        } => queue::Input::Fail {
            to,
            id: *job,
            token: *token,
            error: error.clone(),
            retryable: *retryable,
            retry_after: *retry_after_ms,
        },
        WorkerOp::Renew { job, token } => queue::Input::Renew {
            to,
            id: *job,
            token: *token,
        },
    }
}
