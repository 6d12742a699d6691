//! A room's jobs with everything around them played: storage in memory, virtual time, a room that
//! gives ids, and consumers that are the test itself.

use std::cell::Cell;

use rusqlite::Connection;
use rusqlite::types::Value as Lite;

use super::*;
use crate::id::{Epoch, JobNo, Seq, UserId};
use crate::link::{Asker, CallNo, WaiterNo};
use crate::message::{Answer, Author, JobView};
use crate::sql::{Row, Value};

pub struct Memory {
    connection: Connection,
    pub statements: Cell<u64>,
}

pub struct World {
    pub sql: Memory,
    pub queue: Queue,
    pub now: Timestamp,
    seq: u64,
}

pub const EPOCH: Epoch = Epoch(0xabc);
pub const START: Timestamp = Timestamp(1_700_000_000_500);
pub const LEASE: Millis = Millis(30_000);
pub const HTTP: ReplyTo = ReplyTo::Waiter(WaiterNo(7));
pub const SOCKET: ReplyTo = ReplyTo::Link(CallNo(8));
pub const WORKER: WaiterNo = WaiterNo(9);

impl Memory {
    fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.set_prepared_statement_cache_capacity(64);
        Self {
            connection,
            statements: Cell::new(0),
        }
    }
}

impl Sql for Memory {
    fn run(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, Broken> {
        self.statements.set(self.statements.get() + 1);
        let broken = |error: rusqlite::Error| Broken(format!("{error}: {statement}"));
        let mut prepared = self.connection.prepare_cached(statement).map_err(broken)?;
        let columns = prepared.column_count();
        let params = params.iter().map(|value| match value {
            Value::Blob(bytes) => Lite::Blob(bytes.clone()),
            Value::Int(n) => {
                assert!(
                    n.unsigned_abs() <= 1 << 53,
                    "{n} is no number of JavaScript's"
                );
                Lite::Integer(*n)
            }
            Value::Null => Lite::Null,
            Value::Real(n) => Lite::Real(*n),
            Value::Text(text) => Lite::Text(text.clone()),
        });
        let rows = prepared.query_map(rusqlite::params_from_iter(params), |row| {
            let value = |column| {
                Ok::<_, rusqlite::Error>(match row.get::<_, Lite>(column)? {
                    Lite::Blob(bytes) => Value::Blob(bytes),
                    Lite::Integer(n) => Value::Int(n),
                    Lite::Null => Value::Null,
                    Lite::Real(n) => Value::Real(n),
                    Lite::Text(text) => Value::Text(text),
                })
            };
            Ok(Row((0..columns).map(value).collect::<Result<_, _>>()?))
        });
        rows.map_err(broken)?
            .collect::<Result<_, _>>()
            .map_err(broken)
    }
}

pub fn settings() -> Settings {
    let jobs = JobsConfig {
        max_attempts: 3,
        lease: LEASE,
        backoff: Millis(1_000),
    };
    Settings {
        jobs,
        queue: true,
        fallback: Millis(5_000),
        guest_jobs_per_min: 3,
    }
}

pub fn ask(prompt: &str) -> NewJob {
    NewJob {
        kind: "ai.chat".into(),
        input: Json::of(&serde_json::json!({ "prompt": prompt })),
        key: None,
        corr: None,
        delay: Millis(0),
        priority: 0,
        max_attempts: None,
    }
}

pub fn asker(user: &str) -> Asker {
    let guest = user.starts_with("guest:");
    let user = UserId::parse(user).unwrap();
    Asker {
        author: Author {
            user,
            name: None,
            conn: None,
            guest,
        },
        role: None,
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(settings(), 1)
    }

    pub fn with(settings: Settings, seed: u64) -> Self {
        let room = RoomName::parse("orders").unwrap();
        let queue = Queue::new(room, settings, Random::seeded(seed));
        let mut world = Self {
            sql: Memory::new(),
            queue,
            now: START,
            seq: 0,
        };
        world.queue.rebuild(&world.sql).unwrap();
        world
    }

    /// Memory is gone, rows are left. The random source goes on, so that runs compare.
    pub fn hibernate(&mut self) {
        let old = &self.queue;
        let queue = Queue::new(old.room.clone(), old.settings.clone(), old.random.clone());
        self.queue = queue;
        self.queue.rebuild(&self.sql).unwrap();
    }

    /// Plays the room: what is accepted is logged and inserted in the same tick.
    pub fn act(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.queue.handle(self.now, &input, &self.sql).unwrap();
        let mut out = Vec::new();
        for effect in effects {
            match effect {
                Effect::Accept { to, draft } => {
                    let prompt_seq = draft.asked.unwrap_or(Seq(self.seq + 1));
                    self.seq += 2;
                    let id = JobId {
                        epoch: EPOCH,
                        no: JobNo(self.seq),
                    };
                    out.extend(self.act(Input::Insert {
                        to,
                        id,
                        prompt_seq,
                        draft,
                    }));
                }
                effect => out.push(effect),
            }
        }
        out
    }

    pub fn due(&mut self) -> Vec<Effect> {
        self.queue.due(self.now, &self.sql).unwrap()
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        self.queue.deadline(&self.sql).unwrap()
    }

    /// Time goes by, with an alarm at every deadline.
    pub fn pass(&mut self, length: Millis) -> Vec<Effect> {
        let end = self.now.plus(length);
        let mut out = Vec::new();
        let mut alarms = 0;
        while let Some(at) = self.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            out.extend(self.due());
            alarms += 1;
            assert!(alarms < 10_000, "an alarm that changes nothing");
        }
        self.now = end;
        out
    }

    pub fn enqueue(&mut self, new: NewJob) -> (JobView, Vec<Effect>) {
        let mut effects = self.act(Input::Enqueue {
            to: HTTP,
            asker: asker("ana"),
            new,
        });
        let view = job_of(&answer(&mut effects).unwrap());
        (view, effects)
    }

    /// A job, its message taken by the queue.
    pub fn sent(&mut self, new: NewJob) -> JobId {
        let (job, effects) = self.enqueue(new);
        for row in sends(&effects) {
            self.act(Input::Sent { row, ok: true });
        }
        job.id
    }

    pub fn claim(&mut self, id: JobId) -> Option<Claim> {
        let effects = self.act(Input::Claim { to: WORKER, id });
        effects.into_iter().find_map(|effect| match effect {
            Effect::Worker {
                verdict: Verdict::Claimed(claim),
                ..
            } => Some(*claim),
            _ => None,
        })
    }

    /// A job that runs.
    pub fn running(&mut self, new: NewJob) -> (JobId, Token) {
        let id = self.sent(new);
        (id, self.claim(id).unwrap().token)
    }

    pub fn delta(&mut self, id: JobId, token: Token, index: u64, text: &str) -> Vec<Effect> {
        self.act(Input::Delta {
            to: WORKER,
            id,
            token,
            index,
            text: text.into(),
        })
    }

    pub fn complete(&mut self, id: JobId, token: Token, text: &str) -> Vec<Effect> {
        let (text, model) = (text.into(), "extractive".into());
        self.act(Input::Complete {
            to: WORKER,
            id,
            token,
            text,
            model,
        })
    }

    pub fn fail(&mut self, id: JobId, token: Token, retryable: bool) -> Vec<Effect> {
        self.fail_after(id, token, retryable, None)
    }

    pub fn fail_after(
        &mut self,
        id: JobId,
        token: Token,
        retryable: bool,
        retry_after: Option<Millis>,
    ) -> Vec<Effect> {
        let error = "the provider said 500".into();
        self.act(Input::Fail {
            to: WORKER,
            id,
            token,
            error,
            retryable,
            retry_after,
        })
    }

    pub fn cancel(&mut self, id: JobId) -> Vec<Effect> {
        self.act(Input::Cancel { to: HTTP, id })
    }

    pub fn read(&mut self, id: JobId) -> JobView {
        job_of(&answer(&mut self.act(Input::Read { to: HTTP, id })).unwrap())
    }

    pub fn state(&mut self, id: JobId) -> JobState {
        self.read(id).state
    }

    /// Ends whatever runs or may run, without a word, in the order it is offered.
    pub fn order(&mut self, mut effects: Vec<Effect>) -> Vec<JobId> {
        let mut order = Vec::new();
        while let Some(row) = sends(&effects).pop() {
            effects = self.act(Input::Sent { row, ok: true });
            let id = JobId {
                epoch: EPOCH,
                no: row.job,
            };
            order.push(id);
            let token = self.claim(id).unwrap().token;
            effects.extend(self.complete(id, token, ""));
        }
        order
    }
}

pub fn answer(effects: &mut Vec<Effect>) -> Answer {
    let at = effects
        .iter()
        .position(|effect| matches!(effect, Effect::Answer { .. }))
        .unwrap();
    match effects.remove(at) {
        Effect::Answer { answer, .. } => answer,
        _ => unreachable!(),
    }
}

pub fn refusal(effects: &mut Vec<Effect>) -> Code {
    let code = answer(effects).unwrap_err().code;
    assert_eq!(effects, &[], "a refusal does nothing else");
    code
}

pub fn job_of(reply: &Reply) -> JobView {
    match reply {
        Reply::Job(job) | Reply::JobCreated { job } => (**job).clone(),
        other => panic!("no job: {other:?}"),
    }
}

pub fn sends(effects: &[Effect]) -> Vec<OutboxNo> {
    let rows = effects.iter().filter_map(|effect| match effect {
        Effect::Send { row, .. } => Some(*row),
        _ => None,
    });
    rows.collect()
}

pub fn runs(effects: &[Effect]) -> Vec<JobId> {
    let ids = effects.iter().filter_map(|effect| match effect {
        Effect::Run { id } => Some(*id),
        _ => None,
    });
    ids.collect()
}

pub fn verdict(effects: &[Effect]) -> Verdict {
    let mut verdicts = effects.iter().filter_map(|effect| match effect {
        Effect::Worker { to, verdict } => {
            assert_eq!(*to, WORKER);
            Some(verdict.clone())
        }
        _ => None,
    });
    let verdict = verdicts.next().unwrap();
    assert!(verdicts.next().is_none(), "a consumer is answered once");
    verdict
}

/// What the room is told, a word each: `running 1`, `delta 0 text`, `final done text`.
pub fn said(effects: &[Effect]) -> Vec<String> {
    let words = effects.iter().filter_map(|effect| match effect {
        Effect::Say(News::Changed { state, attempt, .. }) => {
            Some(format!("{} {attempt}", state.word()))
        }
        Effect::Say(News::Delta { index, text, .. }) => Some(format!("delta {index} {text}")),
        Effect::Say(News::Final { status, text, .. }) => {
            Some(format!("final {} {text}", status.word()))
        }
        _ => None,
    });
    words.collect()
}
