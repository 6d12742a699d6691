//! Random runs: hibernation is invisible, and what must hold, holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::JobNo;

use super::world::*;
use super::*;

/// One world and the consumers around it. What a consumer said stays with it.
struct Run {
    world: World,
    jobs: Vec<JobId>,
    /// The attempt its consumer works at, and all it has to say by now.
    working: Option<(JobId, Token, String)>,
    inflight: Vec<OutboxNo>,
    /// The queue confirms within the step, in this way; or when a step says so.
    at_once: Option<bool>,
    /// Everything but sends and deltas, which may be repeated.
    heard: Vec<Effect>,
    /// By job, what a client shows that applies every delta.
    shown: BTreeMap<JobId, (u32, Vec<u16>)>,
    tokens: BTreeSet<Token>,
    finals: BTreeSet<JobId>,
}

#[derive(Debug, Clone)]
enum Step {
    Ask {
        priority: i8,
        delay: Millis,
        key: Option<String>,
    },
    Cancel(usize),
    Claim(usize),
    Complete,
    Confirm(bool),
    Fail {
        retryable: bool,
    },
    /// The consumer is gone, and never says so.
    Lose,
    Pass(Millis),
    Redrive(usize),
    Renew,
    Say(&'static str),
    /// Writes of an attempt that is over.
    Stale(u64),
}

fn step(random: &mut fastrand::Rng) -> Step {
    match random.u8(..24) {
        0..=3 => Step::Ask {
            priority: random.i8(-1..=1),
            delay: Millis(*random.choice(&[0, 0, 0, 2_500, 40_000]).unwrap()),
            key: random.bool().then(|| random.u8(..6).to_string()),
        },
        4 => Step::Cancel(random.usize(..8)),
        5..=8 => Step::Claim(random.usize(..8)),
        9 => Step::Complete,
        10 | 11 => Step::Confirm(true),
        12 => Step::Confirm(false),
        13 => Step::Fail {
            retryable: random.u8(..4) > 0,
        },
        14 => Step::Lose,
        15..=17 => Step::Pass(Millis(
            *random
                .choice(&[1, 300, 1_100, 7_000, 31_000, 400_000])
                .unwrap(),
        )),
        18 => Step::Redrive(random.usize(..8)),
        19 => Step::Renew,
        20..=22 => Step::Say(random.choice(&["Hola ", "ñandú 😀", "x", ""]).unwrap()),
        _ => Step::Stale(random.u64(..1 << 20)),
    }
}

impl Run {
    fn new(settings: Settings, seed: u64) -> Self {
        Self {
            world: World::with(settings, seed),
            jobs: Vec::new(),
            working: None,
            inflight: Vec::new(),
            at_once: None,
            heard: Vec::new(),
            shown: BTreeMap::new(),
            tokens: BTreeSet::new(),
            finals: BTreeSet::new(),
        }
    }

    fn nth(&self, n: usize) -> Option<JobId> {
        self.jobs.iter().rev().nth(n).copied()
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Confirm(ok) if self.at_once.is_some() => self.at_once = Some(*ok),
            Step::Confirm(ok) => self.confirm(*ok),
            Step::Lose => self.working = None,
            Step::Pass(length) => self.pass(*length),
            Step::Say(text) => self.say(text),
            Step::Stale(token) => {
                let Some(id) = self.nth(0) else { return };
                let effects = self.world.complete(id, Token(*token), "of somebody else");
                assert_eq!(
                    effects,
                    [Effect::Worker {
                        to: WORKER,
                        verdict: Verdict::Stale
                    }]
                );
            }
            step => {
                if let Some(input) = self.input(step) {
                    self.act(input);
                }
            }
        }
    }

    fn input(&mut self, step: &Step) -> Option<Input> {
        let (to, ana) = (HTTP, asker("ana"));
        Some(match step {
            Step::Ask {
                priority,
                delay,
                key,
            } => {
                let (priority, delay, key) = (*priority, *delay, key.clone());
                let new = NewJob {
                    priority,
                    delay,
                    key,
                    ..ask("why?")
                };
                Input::Enqueue {
                    to,
                    asker: ana,
                    new,
                }
            }
            Step::Cancel(n) => Input::Cancel {
                to,
                id: self.nth(*n)?,
            },
            Step::Claim(n) => Input::Claim {
                to: WORKER,
                id: self.nth(*n)?,
            },
            Step::Complete => {
                let (id, token, text) = self.working.take()?;
                Input::Complete {
                    to: WORKER,
                    id,
                    token,
                    text,
                    model: "m".into(),
                }
            }
            Step::Fail { retryable } => {
                let (id, token, _) = self.working.take()?;
                let (error, retryable, retry_after) = ("no".into(), *retryable, None);
                Input::Fail {
                    to: WORKER,
                    id,
                    token,
                    error,
                    retryable,
                    retry_after,
                }
            }
            Step::Redrive(n) => Input::Retry {
                to,
                asker: ana,
                id: self.nth(*n)?,
            },
            Step::Renew => {
                let (id, token, _) = self.working.clone()?;
                Input::Renew {
                    to: WORKER,
                    id,
                    token,
                }
            }
            _ => return None,
        })
    }

    fn confirm(&mut self, ok: bool) {
        for row in std::mem::take(&mut self.inflight) {
            self.act(Input::Sent { row, ok });
        }
    }

    /// The consumer says a piece, and again what the room has not.
    fn say(&mut self, piece: &str) {
        let Some((id, token, said)) = &mut self.working else {
            return;
        };
        let (id, token, from) = (*id, *token, said.encode_utf16().count());
        said.push_str(piece);
        let units: Vec<u16> = said.encode_utf16().collect();
        let mut from = from;
        for _ in 0..3 {
            let text = String::from_utf16(&units[from..]).unwrap();
            let effects = self.world.delta(id, token, from as u64, &text);
            let verdict = verdict(&effects);
            self.take(effects);
            match verdict {
                Verdict::Go { have } if have as usize == units.len() => return,
                Verdict::Go { have } => from = have as usize,
                _ => {
                    self.working = None;
                    return;
                }
            }
        }
        panic!("the room never has it all");
    }

    fn act(&mut self, input: Input) {
        let effects = self.world.act(input);
        self.take(effects);
    }

    /// Alarms at their times; the two worlds of a pair may have them at different ones.
    fn pass(&mut self, length: Millis) {
        let end = self.world.now.plus(length);
        let mut alarms = 0;
        while let Some(at) = self.world.deadline().filter(|at| *at <= end) {
            self.world.now = self.world.now.max(at);
            self.due();
            alarms += 1;
            assert!(alarms < 10_000, "an alarm that changes nothing");
        }
        self.world.now = end;
    }

    fn due(&mut self) {
        let effects = self.world.due();
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match &effect {
                Effect::Answer {
                    answer: Ok(reply), ..
                } => {
                    self.note(reply);
                }
                Effect::Say(News::Delta {
                    job,
                    attempt,
                    index,
                    text,
                    ..
                }) => {
                    let shown = self.shown.entry(*job).or_default();
                    if shown.0 != *attempt {
                        *shown = (*attempt, Vec::new());
                    }
                    assert!(shown.1.len() >= *index as usize, "a hole in what is shown");
                    shown.1.truncate(*index as usize);
                    shown.1.extend(text.encode_utf16());
                    continue;
                }
                Effect::Say(News::Final { job, .. }) => {
                    assert!(self.finals.insert(*job), "two final answers of {job}");
                }
                Effect::Send { row, .. } => {
                    if !self.inflight.contains(row) {
                        self.inflight.push(*row);
                    }
                    continue;
                }
                Effect::Worker {
                    verdict: Verdict::Claimed(claim),
                    ..
                } => {
                    assert!(self.tokens.insert(claim.token), "a token given twice");
                    self.working = Some((claim.id, claim.token, String::new()));
                }
                Effect::Worker {
                    verdict: Verdict::Go { .. },
                    ..
                } => continue,
                _ => {}
            }
            self.heard.push(effect);
        }
        if let Some(ok) = self.at_once {
            self.confirm(ok);
        }
    }

    fn note(&mut self, reply: &Reply) {
        let Reply::Job(job) = reply else { return };
        if !self.jobs.contains(&job.id) {
            self.jobs.push(job.id);
        }
    }

    fn check(&mut self) {
        if !self.world.queue.schema {
            return;
        }
        let sql = &self.world.sql;
        if self.world.queue.turn.is_none() {
            assert_eq!(
                store::next_ready(sql).unwrap(),
                None,
                "a free slot and a ready job"
            );
        }
        let rows = sql
            .run("SELECT no, state, attempt, max_attempts FROM job", &[])
            .unwrap();
        let mut running = 0;
        for row in rows {
            let id = JobId {
                epoch: EPOCH,
                no: JobNo(row.uint(0).unwrap()),
            };
            let state = JobState::from_word(row.text(1).unwrap()).unwrap();
            assert_eq!(
                state.is_end(),
                self.finals.contains(&id),
                "{id} is {state:?}"
            );
            assert!(row.uint(2).unwrap() <= row.uint(3).unwrap());
            running += u32::from(state == JobState::Running);
        }
        assert!(running <= 1, "two jobs run");
    }

    /// The world settles: consumers that work, a queue that takes everything.
    fn settle(&mut self) {
        self.working = None;
        self.at_once = Some(true);
        for _ in 0..400 {
            self.confirm(true);
            for id in self.jobs.clone() {
                self.act(Input::Claim { to: WORKER, id });
                self.play(&Step::Say("the end"));
                self.play(&Step::Complete);
            }
            self.due();
            let Some(at) = self.world.deadline() else {
                break;
            };
            if at > self.world.now.plus(Millis(10 * 60_000)) {
                break;
            }
            self.pass(at.since(self.world.now));
        }
        for id in self.jobs.clone() {
            assert!(self.finals.contains(&id), "{id} never ended");
        }
        self.pass(crate::limits::JOB_KEPT.times(2));
        assert!(self.world.queue.is_idle(&self.world.sql).unwrap());
        assert_eq!(self.world.deadline(), None);
    }
}

/// The first effect that differs. A dead or cancelled answer of the rebuilt world may lack the
/// last words, which had no row yet.
fn difference(kept: &Run, rebuilt: &Run) -> Option<String> {
    let same = |(kept, rebuilt): (&Effect, &Effect)| match (kept, rebuilt) {
        (
            Effect::Say(News::Final {
                job, status, text, ..
            }),
            Effect::Say(News::Final {
                job: job2,
                status: status2,
                text: text2,
                ..
            }),
        ) if *status != JobState::Done => {
            (job, status) == (job2, status2) && text.starts_with(text2.as_str())
        }
        _ => kept == rebuilt,
    };
    let (a, b) = (&kept.heard, &rebuilt.heard);
    let at = a
        .iter()
        .zip(b)
        .position(|pair| !same(pair))
        .unwrap_or(a.len().min(b.len()));
    if at == a.len() && at == b.len() {
        return None;
    }
    let shown = |heard: &[Effect]| format!("{:?}", &heard[at.min(heard.len())..]);
    Some(format!("kept {}\nrebuilt {}", shown(a), shown(b)))
}

fn settings_of(seed: u64) -> Settings {
    Settings {
        queue: !seed.is_multiple_of(5),
        ..settings()
    }
}

#[test]
fn hibernation_is_invisible() {
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut kept = Run::new(settings_of(seed), seed);
        let mut rebuilt = Run::new(settings_of(seed), seed);
        // What is in flight at a crash may be sent again: compared are runs without that.
        kept.at_once = Some(true);
        rebuilt.at_once = Some(true);
        let mut steps = Vec::new();
        for _ in 0..60 {
            let step = step(&mut random);
            steps.push(step.clone());
            if random.bool() {
                rebuilt.world.hibernate();
            }
            for run in [&mut kept, &mut rebuilt] {
                run.due();
                run.play(&step);
                run.check();
            }
            if let Some(difference) = difference(&kept, &rebuilt) {
                panic!("seed {seed} after {steps:?}\n{difference}");
            }
        }
        kept.settle();
        rebuilt.settle();
    }
}

#[test]
fn every_answer_ends_once_whatever_is_lost() {
    for seed in 1_000..1_300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut run = Run::new(settings_of(seed), seed);
        for _ in 0..60 {
            if random.u8(..4) == 0 {
                run.world.hibernate();
            }
            if random.u8(..8) == 0 {
                run.inflight.clear();
            }
            run.due();
            run.play(&step(&mut random));
            run.check();
        }
        run.settle();
    }
}
