//! Sleep is invisible: the same script in a world that is kept in memory and in one that forgets
//! everything after every tick gives the same frames, the same answers and the same rows.
//! Left out, because they are volatile by decision: rates, ids of ephemeral messages, the jitter
//! of a back-off, text younger than its row. So are signs of life and the loss of a socket that
//! nobody reports: a rebuild sees them at once, a home in memory at its next sweep.

use fastrand::Rng;
use serde_json::{Value, json};
use tertulia::edge::stub::{WorkerOp, WorkerReply};
use tertulia::http::Op;
use tertulia::id::{ConnId, Epoch, JobId, Seq};
use tertulia::message::{Join, Json, Since};
use tertulia::queue::Token;
use tertulia::sql::Sql;
use tertulia::time::Millis;

use super::support::world::World;

/// One world, and what its clients and callers got.
struct Run {
    world: World,
    random: Rng,
    conns: Vec<ConnId>,
    /// Job, token and how much was said.
    holder: Option<(JobId, Token, u64)>,
    known: Vec<JobId>,
    requests: u64,
    got: Vec<String>,
}

impl Run {
    fn new(seed: u64, forgetful: bool, queue: bool) -> Self {
        let variables = [
            ("RATE_MESSAGES_PER_S", "0"),
            (
                "HISTORY_MAX",
                if seed.is_multiple_of(3) { "5" } else { "1000" },
            ),
            // No second attempt, so no back-off.
            ("JOBS_MAX_ATTEMPTS", "1"),
            ("JOBS_LEASE_MS", "10000"),
        ];
        let mut world = World::with(seed, &variables);
        if !queue {
            world = world.without_queue();
        }
        world.constant = true;
        world.forgetful = forgetful;
        Self {
            world,
            random: Rng::with_seed(seed),
            conns: Vec::new(),
            holder: None,
            known: Vec::new(),
            requests: 0,
            got: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.random.u8(..20) {
            0..3 => self.connect(),
            3 => {
                if let Some(conn) = self.some_conn() {
                    self.world
                        .close(conn, if self.random.bool() { 1000 } else { 1006 });
                }
            }
            4..12 => self.talk(),
            12..14 => self.call(),
            14..17 => self.work(),
            17..19 => self.world.advance(Millis(self.random.u64(1_100..3_000))),
            _ => self.world.advance(Millis(self.random.u64(..100_000))),
        }
        self.hear();
    }

    fn connect(&mut self) {
        let user = format!("u{}", self.random.u8(..4));
        let epoch = self.world.sql.run("SELECT epoch FROM head", &[]).ok();
        let epoch = epoch.and_then(|rows| Epoch::parse(rows.first()?.text(0).ok()?));
        let since = epoch.filter(|_| self.random.bool());
        let join = Join {
            meta: self
                .random
                .bool()
                .then(|| Json::stored(&self.random.u8(..3).to_string()).unwrap()),
            since: since.map(|epoch| Since {
                epoch,
                seq: Seq(self.random.u64(..12)),
            }),
            last: self.random.bool().then_some(3),
        };
        let conn = self
            .world
            .connect(&user, join)
            .expect("nobody dies")
            .expect("let in");
        self.conns.push(conn);
    }

    fn some_conn(&mut self) -> Option<ConnId> {
        let open = self
            .conns
            .iter()
            .copied()
            .filter(|conn| self.world.is_open(*conn));
        self.random.choice(open.collect::<Vec<_>>())
    }

    fn talk(&mut self) {
        let mut frames = Vec::new();
        for _ in 0..self.random.u8(1..4) {
            if let Some(conn) = self.some_conn() {
                let many = self.random.u8(1..4);
                let messages: Vec<Value> = (0..many).map(|_| self.message()).collect();
                frames.push((conn, Value::from(messages).to_string()));
            }
        }
        self.world.frames(&frames);
    }

    fn message(&mut self) -> Value {
        self.requests += 1;
        let id = self.requests.to_string();
        let random = &mut self.random;
        let mut payload = json!({"room": "plaza"});
        let job = random
            .choice(&self.known)
            .map_or("00000000000a-j1".to_owned(), ToString::to_string);
        let kind = match random.u8(..16) {
            0..5 => {
                payload["body"] = id.as_str().into();
                payload["echo"] = random.bool().into();
                payload["ephemeral"] = (random.u8(..4) == 0).into();
                if random.u8(..4) == 0 {
                    payload["key"] = random.u8(..3).to_string().into();
                    payload["body"] = "keyed".into();
                }
                "broadcast"
            }
            5 => "leave",
            6..8 => {
                payload["meta"] = random.u8(..3).into();
                "join"
            }
            8 => {
                let status = ["online", "away", "busy"][random.usize(..3)];
                payload = json!({"status": status, "text": id});
                "presence"
            }
            9 => {
                payload["after"] = random.u8(..9).into();
                "history"
            }
            10..12 => {
                payload["seq"] = random.u8(..9).into();
                "ack"
            }
            12 => "members",
            13 => {
                payload = json!({"every_ms": random.u64(1_000..20_000)});
                "heartbeat"
            }
            14 => {
                payload["job"] = job.into();
                "cancel"
            }
            _ => {
                payload["kind"] = "ai.chat".into();
                payload["input"] = json!({"prompt": id});
                "job"
            }
        };
        json!({"type": kind, "id": id, "payload": payload})
    }

    fn call(&mut self) {
        self.requests += 1;
        let op = match self.random.u8(..4) {
            0 => json!({"publish": {"type": "message", "body": 1, "ephemeral": false, "echo": true,
                "exclude": ["u1"]}}),
            1 => json!({"job_create": {"kind": "ai.chat", "input": {"prompt": "why"},
                "delay_ms": self.random.u32(..5_000), "priority": self.random.i8(-3..3)}}),
            2 => json!({"job_list": {}}),
            _ => json!({"members": {"limit": 10}}),
        };
        let op: Op = serde_json::from_str(&op.to_string()).unwrap();
        let request = format!("q{}", self.random.u64(..=self.requests));
        let answer = self.world.call("u0", &request, op).expect("nobody dies");
        let answer = answer.map(|reply| serde_json::to_string(&reply).unwrap());
        self.got.push(format!("{answer:?}"));
    }

    fn work(&mut self) {
        if let Some((job, token, have)) = self.holder.take() {
            // Far enough from the last row for this one to be written.
            self.world.advance(Millis(1_100));
            let op = match self.random.u8(..6) {
                0..3 => WorkerOp::Delta {
                    job,
                    token,
                    index: have,
                    text: "ñ😀 ".to_owned(),
                },
                3 => WorkerOp::Renew { job, token },
                4 => WorkerOp::Complete {
                    job,
                    token,
                    text: "ñ".to_owned(),
                    model: "m".to_owned(),
                },
                _ => {
                    let error = "no".to_owned();
                    WorkerOp::Fail {
                        job,
                        token,
                        error,
                        retryable: false,
                        retry_after_ms: None,
                    }
                }
            };
            let reply = self.world.work(op).expect("nobody dies");
            if let WorkerReply::Go { have } = reply {
                self.holder = Some((job, token, have));
            }
            self.got.push(format!("{reply:?}"));
            return;
        }
        let body = self.world.messages.pop_front();
        let job = body.map(|body| {
            let body: Value = serde_json::from_str(&body).unwrap();
            JobId::parse(body["job"].as_str().unwrap()).unwrap()
        });
        let Some(job) = job.or_else(|| self.world.runs.pop_front()) else {
            return;
        };
        self.known.push(job);
        match self
            .world
            .work(WorkerOp::Claim { job })
            .expect("nobody dies")
        {
            WorkerReply::Claimed(claimed) => {
                self.holder = Some((job, claimed.token, 0));
                self.got.push(format!(
                    "{:?}",
                    (claimed.prompt, claimed.context, claimed.attempt)
                ));
            }
            other => self.got.push(format!("{other:?}")),
        }
    }

    fn hear(&mut self) {
        for conn in self.conns.clone() {
            for mut frame in self.world.received(conn) {
                for place in ["/id", "/body/id"] {
                    if let Some(id) = frame.pointer_mut(place)
                        && id.as_str().is_some_and(|id| id.starts_with("e-"))
                    {
                        *id = "ephemeral".into();
                    }
                }
                self.got.push(format!("{conn}: {frame}"));
            }
            if let Some(closed) = self.world.closed(conn) {
                self.world.vanish(conn);
                self.got.push(format!("{conn}: {closed:?}"));
            }
        }
    }

    /// All rows, but those of what only looks different: tokens are drawn.
    fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in ["head", "log", "member", "idempotency", "connection"] {
            let all = self
                .world
                .sql
                .run(&format!("SELECT * FROM {table} ORDER BY 1, 2"), &[]);
            let all = all.unwrap_or_default();
            rows.extend(all.into_iter().map(|row| format!("{table}: {row:?}")));
        }
        // The answer kept for an ephemeral message holds its id.
        rows.into_iter()
            .filter(|row| !row.contains(":\\\"e-"))
            .collect()
    }
}

fn compare(seed: u64, queue: bool) {
    let mut kept = Run::new(seed, false, queue);
    let mut forgetful = Run::new(seed, true, queue);
    for step in 0..40 {
        kept.step();
        forgetful.step();
        for (kept, forgetful) in kept.got.iter().zip(&forgetful.got) {
            assert_eq!(kept, forgetful, "seed {seed}, step {step}");
        }
        let most = kept.got.len().max(forgetful.got.len());
        let last = [&kept.got, &forgetful.got].map(|got| got.get(most.saturating_sub(1)));
        assert_eq!(
            kept.got.len(),
            forgetful.got.len(),
            "seed {seed}, step {step}: {last:?}"
        );
        kept.got.clear();
        forgetful.got.clear();
    }
    for (kept, forgetful) in kept.rows().into_iter().zip(forgetful.rows()) {
        assert_eq!(kept, forgetful, "seed {seed}");
    }
}

#[test]
fn a_world_that_forgets_after_every_tick_is_no_different() {
    let one = std::env::var("TERTULIA_SEED")
        .ok()
        .map(|seed| seed.parse().expect("a number"));
    let seeds = one.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    seeds.for_each(|seed| compare(seed, !seed.is_multiple_of(4)));
}

const SEEDS: u64 = 300;
