//! Seeded runs of everything that may happen to a room's object, in any order: people who come,
//! go, talk and fall silent, consumers honest and not, a queue that loses and repeats, sleep and
//! death. What must hold is checked along the way by the clients' own memory
//! (`support/client.rs`) and at the end, when all has come to rest.
//!
//! `TERTULIA_SEED=n` replays one seed, `TERTULIA_SEEDS=n` runs so many instead of the usual.

mod jobs;
mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;
use serde_json::Value;
use tertulia::http::Op;
use tertulia::message::Reply;
use tertulia::sql::Sql;
use tertulia::time::Millis;

use super::support::world::{Death, World};
use jobs::Jobs;
use people::Peer;

pub struct Simulation {
    world: World,
    random: Rng,
    peers: Vec<Peer>,
    jobs: Jobs,
    /// The last request over HTTP: what it said, and its answer if it got one.
    request: Option<(String, Op, Option<Value>)>,
    said: u64,
    /// The log keeps few entries.
    short: bool,
    /// What everybody must agree upon: the entry at each seq of each epoch.
    truth: BTreeMap<(String, u64), Value>,
}

impl Simulation {
    fn new(seed: u64, queue: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let short = random.u8(..4) == 0;
        let history = if short { "8" } else { "10000" };
        let variables = [
            ("HISTORY_MAX", history),
            ("RATE_MESSAGES_PER_S", "0"),
            ("JOBS_MAX_ATTEMPTS", "3"),
        ];
        let mut world = World::with(seed, &variables);
        if !queue {
            world = world.without_queue();
        }
        world.forgetful = random.u8(..8) == 0;
        let mut peers: Vec<Peer> = (0..PEERS)
            .map(|n| Peer::new(&format!("u{}", n % PERSONS)))
            .collect();
        for peer in &mut peers {
            peer.client.lenient = world.forgetful;
        }
        Self {
            world,
            random,
            peers,
            jobs: Jobs::default(),
            request: None,
            said: 0,
            short,
            truth: BTreeMap::new(),
        }
    }

    fn run(mut self) {
        for _ in 0..self.random.u32(10..60) {
            match self.random.u8(..32) {
                0 => self.sleep(),
                1 => self.die(),
                _ => {}
            }
            self.step();
            self.read(false);
        }
        self.world.death = Death::None;
        self.rest();
        self.check_people();
        self.check_log();
        self.end();
    }

    fn step(&mut self) {
        match self.random.u8(..100) {
            0..12 => self.connect(),
            12..17 => self.disconnect(),
            17..45 => self.talk(),
            45..51 => self.publish(),
            51..55 => self.ping(),
            55..75 => self.work(),
            75..78 => self.manage_jobs(),
            78..96 => self.wait(2_500),
            96..99 => self.wait(20_000),
            _ => self.wait(200_000),
        }
    }

    fn sleep(&mut self) {
        self.world.hibernate();
        self.rebuilt();
    }

    /// The next tick is the last of this life.
    fn die(&mut self) {
        let deaths = [Death::AfterCommit, Death::BeforeCommit];
        self.world.death = deaths[self.random.usize(..2)];
        self.rebuilt();
    }

    fn rebuilt(&mut self) {
        self.peers
            .iter_mut()
            .for_each(|peer| peer.client.lenient = true);
    }

    fn wait(&mut self, most: u64) {
        let length = self.random.u64(..most);
        self.pass(Millis(length));
    }

    /// Whoever pings does so while the time passes.
    fn pass(&mut self, length: Millis) {
        let mut left = length.0;
        while left > 0 {
            let step = left.min(4_000);
            self.world.advance(Millis(step));
            for peer in self.peers.iter().filter(|peer| peer.pings) {
                peer.conn.into_iter().for_each(|conn| self.world.ping(conn));
            }
            left -= step;
        }
    }

    /// Something asked over HTTP; a request that got no answer, and some that did, are repeated.
    fn publish(&mut self) {
        let again = self.random.u8(..3) == 0;
        let (id, op, before) = match self.request.take() {
            Some((id, op, answer)) if again || answer.is_none() => (id, op, answer),
            _ => {
                let exclude = if self.random.bool() {
                    vec!["u1"]
                } else {
                    vec![]
                };
                let body = self.body();
                let op = publication(&body, &exclude);
                (format!("h{}", self.said), op, None)
            }
        };
        let got = self.world.call("u0", &id, op.clone());
        let answer = got.map(|answer| match answer {
            Ok(Reply::Published(published)) => serde_json::to_value(published).unwrap(),
            other => panic!("{other:?}"),
        });
        if let (Some(before), Some(answer)) = (&before, &answer) {
            // A room that was forgotten, or a log that is short, knows it no more.
            let forgotten = self.short || before["epoch"] != answer["epoch"];
            assert!(before == answer || forgotten, "{before} {answer}");
        }
        self.request = Some((id, op, answer.or(before)));
    }

    fn body(&mut self) -> String {
        self.said += 1;
        format!("b{}", self.said)
    }

    /// Everything calms down: consumers do their work, those who ping go on, time passes.
    fn rest(&mut self) {
        for round in 0.. {
            self.pass(Millis(30_000));
            self.work_honestly();
            self.read(true);
            if round >= 6 && self.jobs_have_ended() {
                break;
            }
            assert!(round < 60, "a job does not end");
        }
    }

    /// What stands in the log, against what everybody was told.
    fn check_log(&mut self) {
        let log = self.log();
        let mut bodies = BTreeSet::new();
        let mut last: Option<u64> = None;
        for entry in &log {
            let seq = entry["seq"].as_u64().expect("a seq");
            assert!(
                last.is_none_or(|last| seq == last + 1),
                "a hole in the log: {entry}"
            );
            last = Some(seq);
            let epoch = entry["epoch"].as_str().expect("an epoch").to_owned();
            if let Some(told) = self.truth.get(&(epoch, seq)) {
                assert_eq!(told, entry);
            }
            if let Some(body) = entry["body"].as_str() {
                assert!(bodies.insert(body), "twice in the log: {entry}");
            }
        }
        self.check_jobs(&log);
        let place = log.last().map(|entry| entry["seq"].as_u64());
        for peer in self
            .peers
            .iter()
            .filter(|peer| peer.client.joined && peer.conn.is_some())
        {
            if let (Some(place), Some((_, seq))) = (place, &peer.client.place) {
                assert_eq!(
                    place,
                    Some(*seq),
                    "{} was told the log to its end",
                    peer.client.user
                );
            }
        }
    }

    /// As somebody sees it whom nothing excludes.
    fn log(&mut self) -> Vec<Value> {
        let mut log: Vec<Value> = Vec::new();
        let mut after = 0;
        loop {
            let Some(Ok(Reply::History(page))) = self.world.ask("u9", history(after)) else {
                panic!("no history");
            };
            log.extend(
                page.messages
                    .iter()
                    .map(|one| serde_json::to_value(one).unwrap()),
            );
            let Some(next) = page.next else { return log };
            after = next.0;
        }
    }

    /// Everybody goes; in the end nothing is left of the room.
    fn end(&mut self) {
        for peer in &mut self.peers {
            if let Some(conn) = peer.conn.take() {
                self.world.close(conn, 1000);
            }
        }
        self.world.advance(Millis(60_000));
        for table in ["connection", "member"] {
            let exists = format!("SELECT 1 FROM sqlite_master WHERE name = '{table}'");
            if self.world.sql.run(&exists, &[]).unwrap().is_empty() {
                continue;
            }
            let rows = self
                .world
                .sql
                .run(&format!("SELECT * FROM {table}"), &[])
                .unwrap();
            assert!(rows.is_empty(), "left over in {table}: {rows:?}");
        }
        self.world.advance(Millis(9 * 24 * 60 * 60 * 1000));
        let tables = self
            .world
            .sql
            .run("SELECT name FROM sqlite_master", &[])
            .unwrap();
        assert!(tables.is_empty(), "not forgotten: {tables:?}");
        assert_eq!(self.world.alarm, None);
    }
}

fn publication(body: &str, exclude: &[&str]) -> Op {
    let exclude = Value::from(exclude.to_vec());
    let publish = serde_json::json!({"publish": {"type": "message", "body": body,
        "ephemeral": false, "echo": true, "exclude": exclude}});
    serde_json::from_str(&publish.to_string()).unwrap()
}

fn history(after: u64) -> Op {
    let query = serde_json::json!({"history": {"after": after, "limit": 500}});
    serde_json::from_value(query).unwrap()
}

fn simulate(seed: u64, queue: bool) {
    let run = catch_unwind(AssertUnwindSafe(|| Simulation::new(seed, queue).run()));
    if let Err(panic) = run {
        eprintln!("seed {seed} failed: TERTULIA_SEED={seed} cargo test --test core simulation");
        resume_unwind(panic);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|n| n.parse().expect("a number"))
}

/// A share of the seeds; shares run beside each other.
fn share(first: u64, queue: bool) {
    if let Some(seed) = number("TERTULIA_SEED") {
        if seed % SHARES == first {
            simulate(seed, queue);
        }
        return;
    }
    let seeds = number("TERTULIA_SEEDS").unwrap_or(SEEDS);
    (first..seeds)
        .step_by(SHARES as usize)
        .for_each(|seed| simulate(seed, queue));
}

#[test]
fn seeds_of_the_first_share() {
    share(0, true);
}

#[test]
fn seeds_of_the_second_share() {
    share(1, true);
}

#[test]
fn seeds_of_the_third_share() {
    share(2, true);
}

#[test]
fn seeds_without_a_queue() {
    share(3, false);
}

const PERSONS: usize = 5;
const PEERS: usize = 8;
const SEEDS: u64 = 10_000;
const SHARES: u64 = 4;
