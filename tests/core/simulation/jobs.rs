//! What a queue and its consumers do, and what must become of every job.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tertulia::edge::stub::{Claimed, WorkerOp, WorkerReply};
use tertulia::http::Op;
use tertulia::id::JobId;
use tertulia::message::{JobState, JobView, Reply};
use tertulia::queue::Token;
use tertulia::time::{Millis, Timestamp};

use super::Simulation;
use crate::support::world::Death;

#[derive(Default)]
pub struct Jobs {
    consumers: Vec<Consumer>,
    /// The one attempt that may write, as far as is known: until then, at least.
    lease: Option<(JobId, Token, Timestamp)>,
    /// The last token of each job.
    tokens: BTreeMap<JobId, Token>,
    known: Vec<JobId>,
}

#[derive(Debug, Clone)]
struct Consumer {
    claimed: Claimed,
    /// Everything it is going to say.
    text: Vec<u16>,
    have: u64,
}

/// What an attempt says: of its own, so that it is known again.
fn answer(job: JobId, attempt: u32) -> String {
    format!("señal 😀 {job} {attempt}: {}", "ábc 🙂 ".repeat(8))
}

impl Simulation {
    pub fn work(&mut self) {
        if self.jobs.consumers.is_empty() || self.random.u8(..3) == 0 {
            self.deliver();
            return;
        }
        let n = self.random.usize(..self.jobs.consumers.len());
        let consumer = self.jobs.consumers.swap_remove(n);
        match self.random.u8(..20) {
            0..10 => self.speak(consumer),
            10 => self.write(consumer.renew(), consumer),
            11..16 => self.write(consumer.complete(), consumer),
            16..18 => {
                let fail = consumer.fail(self.random.u8(..4) > 0);
                self.write(fail, consumer);
            }
            18 => {}
            _ => self.jobs.consumers.push(consumer),
        }
    }

    /// The queue gives a message to a consumer, perhaps twice, or loses it.
    fn deliver(&mut self) {
        if let Some(job) = self.world.runs.pop_front() {
            self.claim(job);
            return;
        }
        let waiting = self.world.messages.len();
        if waiting == 0 {
            return;
        }
        let body = self
            .world
            .messages
            .remove(self.random.usize(..waiting))
            .expect("one of them");
        let job = job_of(&body);
        match self.random.u8(..10) {
            0 => return,
            1 => self.world.messages.push_back(body),
            _ => {}
        }
        self.claim(job);
    }

    fn claim(&mut self, job: JobId) {
        self.look_at_lease();
        let now = self.world.now;
        let Some(reply) = self.world.work(WorkerOp::Claim { job }) else {
            return;
        };
        let claimed = match reply {
            WorkerReply::Claimed(claimed) => *claimed,
            WorkerReply::Refused => return,
            other => panic!("{other:?}"),
        };
        if let Some((holder, _, until)) = self.jobs.lease {
            assert!(until <= now, "{job} is claimed while {holder} runs");
        }
        let (token, attempt) = (claimed.token, claimed.attempt);
        let before = self.jobs.tokens.insert(job, token);
        assert!(before.is_none_or(|before| before < token), "an older token");
        self.jobs.lease = Some((job, token, now.plus(claimed.lease_ms)));
        self.jobs.known.push(job);
        let text = answer(job, attempt).encode_utf16().collect();
        self.jobs.consumers.push(Consumer {
            claimed,
            text,
            have: 0,
        });
    }

    fn speak(&mut self, consumer: Consumer) {
        let mut from = consumer.have as usize;
        if self.random.u8(..5) == 0 {
            from = consumer.whole(self.random.usize(..=from));
        }
        let to = consumer.whole((from + self.random.usize(1..20)).min(consumer.text.len()));
        let text = String::from_utf16(&consumer.text[from..to]).expect("whole characters");
        let delta = WorkerOp::Delta {
            job: consumer.claimed.job,
            token: consumer.claimed.token,
            index: from as u64,
            text,
        };
        self.write(delta, consumer);
    }

    /// One word of a consumer to the room; the consumer goes on unless it is told not to.
    fn write(&mut self, op: WorkerOp, mut consumer: Consumer) {
        let now = self.world.now;
        let (job, token) = (consumer.claimed.job, consumer.claimed.token);
        let ends = matches!(op, WorkerOp::Complete { .. } | WorkerOp::Fail { .. });
        let Some(reply) = self.world.work(op) else {
            // Whether it was heard is not known.
            self.jobs.lease = None;
            self.jobs.consumers.push(consumer);
            return;
        };
        let is_latest = self.jobs.tokens.get(&job) == Some(&token);
        let holds = self
            .jobs
            .lease
            .is_some_and(|(_, held, until)| held == token && until > now);
        match reply {
            WorkerReply::Go { have } => {
                assert!(is_latest && !ends, "a stale token wrote");
                assert!(have <= consumer.text.len() as u64);
                consumer.have = have;
                let until = now.plus(Millis(consumer.claimed.lease_ms.0 - 1_000));
                match &mut self.jobs.lease {
                    Some((_, held, at)) if *held == token => *at = until.max(*at),
                    _ => self.jobs.lease = Some((job, token, until)),
                }
                self.jobs.consumers.push(consumer);
            }
            WorkerReply::Ended => {
                assert!(ends || !holds, "it ended under its holder's hands");
                self.ended(token);
            }
            WorkerReply::Cancelled => self.ended(token),
            WorkerReply::Stale => assert!(!holds, "its holder is refused"),
            other => panic!("{other:?}"),
        }
    }

    fn ended(&mut self, token: Token) {
        self.jobs.lease.take_if(|(_, held, _)| *held == token);
    }

    /// Jobs asked for, cancelled and done again over HTTP.
    pub fn manage_jobs(&mut self) {
        let job = self.some_job();
        let op = match self.random.u8(..8) {
            0..4 => {
                let mut new = json!({"kind": "ai.chat", "input": {"prompt": self.body()},
                    "delay_ms": 0, "priority": self.random.i8(-2..3)});
                if self.random.u8(..4) == 0 {
                    new["delay_ms"] = self.random.u32(..20_000).into();
                }
                if self.random.u8(..4) == 0 {
                    new["key"] = self.random.u8(..3).to_string().into();
                }
                if self.random.u8(..4) == 0 {
                    new["max_attempts"] = self.random.u8(1..4).into();
                }
                json!({"job_create": new})
            }
            4..6 => json!({"job_cancel": {"job": job}}),
            6 => json!({"job_retry": {"job": job}}),
            _ => json!({"job_read": {"job": job}}),
        };
        let cancels = op.get("job_cancel").is_some();
        let op: Op = serde_json::from_str(&op.to_string()).unwrap();
        match self.world.ask("u0", op) {
            Some(Ok(Reply::Job(view))) => self.jobs.known.push(view.id),
            Some(Ok(Reply::Cancelled { state })) => assert!(cancels && state.is_end()),
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => {}
        }
    }

    pub fn some_job(&mut self) -> String {
        let job = self.random.choice(&self.jobs.known);
        job.map_or("000000000001-j1".to_owned(), ToString::to_string)
    }

    /// A job that was cancelled by somebody holds nothing.
    fn look_at_lease(&mut self) {
        let Some((job, _, _)) = self.jobs.lease else {
            return;
        };
        let death = std::mem::replace(&mut self.world.death, Death::None);
        if self
            .views()
            .iter()
            .all(|view| view.id != job || view.state != JobState::Running)
        {
            self.jobs.lease = None;
        }
        self.world.death = death;
    }

    fn views(&mut self) -> Vec<JobView> {
        let Some(Ok(Reply::Jobs { jobs })) = self.world.ask("u0", Op::JobList { state: None })
        else {
            panic!("no list of jobs");
        };
        assert!(jobs.len() < 100, "more jobs than a list shows");
        jobs
    }

    pub fn jobs_have_ended(&mut self) -> bool {
        self.views().iter().all(|view| view.state.is_end())
    }

    /// Every consumer answers at once.
    pub fn work_honestly(&mut self) {
        loop {
            while let Some(job) = self.world.runs.pop_front() {
                self.claim(job);
            }
            while let Some(body) = self.world.messages.pop_front() {
                self.claim(job_of(&body));
            }
            if self.jobs.consumers.is_empty() {
                return;
            }
            for consumer in std::mem::take(&mut self.jobs.consumers) {
                self.write(consumer.complete(), consumer);
            }
        }
    }

    /// The log against the rows: each job is queued once, goes through states that may follow one
    /// another, and has one answer.
    pub fn check_jobs(&mut self, log: &[Value]) {
        let views = self.views();
        let whole = log.first().is_none_or(|first| first["seq"] == 1);
        let mut states: BTreeMap<String, (JobState, u64)> = BTreeMap::new();
        let mut answers: BTreeMap<String, &Value> = BTreeMap::new();
        for entry in log {
            let body = &entry["body"];
            let job = body["job"].as_str().unwrap_or_default().to_owned();
            if entry["type"] == "message_queued" {
                let before = states.insert(job, (JobState::Queued, 0));
                assert_eq!(before, None, "queued twice: {entry}");
            } else if entry["type"] == "job" {
                let next = JobState::from_word(body["state"].as_str().unwrap()).unwrap();
                let attempt = body["attempt"].as_u64().unwrap();
                let Some((state, last)) = states.get_mut(&job) else {
                    assert!(!whole, "a job that was never queued: {entry}");
                    states.insert(job, (next, attempt));
                    continue;
                };
                assert!(may_be_told_after(*state, next), "after {state:?}: {entry}");
                assert!(attempt >= *last, "{entry}");
                (*state, *last) = (next, attempt);
            } else if let Some(job) = entry["meta"]["job"].as_str() {
                let before = answers.insert(job.to_owned(), entry);
                assert_eq!(before, None, "two answers: {entry}");
            }
        }
        let of_views: BTreeSet<String> = views.iter().map(|view| view.id.to_string()).collect();
        for job in states.keys() {
            assert!(of_views.contains(job), "{job} is told but is not there");
        }
        for view in views {
            let id = view.id.to_string();
            let Some(answer) = answers.get(&id) else {
                assert!(!whole, "{view:?} has no answer");
                continue;
            };
            assert_eq!(
                states.get(&id).map(|(state, _)| *state),
                Some(view.state),
                "{view:?}"
            );
            assert_eq!(answer["meta"]["status"], view.state.word());
            let text = answer["body"]["text"].as_str().unwrap();
            let said = |attempt| self::answer(view.id, attempt);
            if view.state == JobState::Done {
                assert_eq!(text, said(view.attempt), "{view:?}");
            } else {
                let some = (0..=view.attempt).any(|attempt| said(attempt).starts_with(text));
                assert!(some, "nobody said {text}");
            }
        }
    }
}

impl Consumer {
    fn renew(&self) -> WorkerOp {
        WorkerOp::Renew {
            job: self.claimed.job,
            token: self.claimed.token,
        }
    }

    fn complete(&self) -> WorkerOp {
        let Claimed { job, token, .. } = self.claimed;
        let text = String::from_utf16(&self.text).expect("whole characters");
        WorkerOp::Complete {
            job,
            token,
            text,
            model: "m".to_owned(),
        }
    }

    fn fail(&self, retryable: bool) -> WorkerOp {
        let Claimed { job, token, .. } = self.claimed;
        let error = "it was too hard".to_owned();
        WorkerOp::Fail {
            job,
            token,
            error,
            retryable,
            retry_after_ms: None,
        }
    }

    /// The next place at or after `index` that splits no character.
    fn whole(&self, index: usize) -> usize {
        let low = |unit: &u16| (0xdc00..0xe000).contains(unit);
        if self.text.get(index).is_some_and(low) {
            index + 1
        } else {
            index
        }
    }
}

/// As the room tells it: a delayed job's turn is not told by itself.
fn may_be_told_after(before: JobState, next: JobState) -> bool {
    use JobState::{Delayed, Queued, Running};
    match (before, next) {
        (Queued, Delayed) | (Delayed, Running) => true,
        _ => tertulia::queue::may_follow(before, next),
    }
}

fn job_of(body: &str) -> JobId {
    let body: Value = serde_json::from_str(body).expect("JSON");
    JobId::parse(body["job"].as_str().expect("a job")).expect("its id")
}
