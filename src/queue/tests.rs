//! The jobs of a room through `handle` and `due` only, in virtual time.

mod simulation;
mod world;

use self::world::*;
use super::*;
use crate::limits::{ANSWER_MAX_BYTES, JOBS_WAITING_MAX, PROMPT_MAX_BYTES};
use crate::message::{JobState, Json, NewJob, Reply};

#[test]
fn a_job_is_asked_claimed_spoken_and_done() {
    let mut world = World::new();
    let (job, effects) = world.enqueue(ask("why?"));
    assert_eq!(
        (job.state, job.attempt, job.max_attempts),
        (JobState::Queued, 0, 3)
    );
    assert_eq!(job.message_id.to_string(), format!("{}-a", job.id));
    assert_eq!(
        said(&effects),
        Vec::<String>::new(),
        "queued is message_queued, the room's"
    );
    let [Effect::Send { row, body }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(body, r#"{"v":1,"room":"orders","job":"000000000abc-j2"}"#);
    assert_eq!(
        world.act(Input::Sent {
            row: *row,
            ok: true
        }),
        []
    );

    let effects = world.act(Input::Claim {
        to: WORKER,
        id: job.id,
    });
    assert_eq!(said(&effects), ["running 1"]);
    let Verdict::Claimed(claim) = verdict(&effects) else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (claim.prompt.as_str(), claim.attempt, claim.lease),
        ("why?", 1, LEASE)
    );
    assert_eq!((claim.prompt_seq.0, &*claim.asker), (1, "ana"));

    let effects = world.delta(job.id, claim.token, 0, "Because ");
    assert_eq!(said(&effects), ["delta 0 Because "]);
    assert_eq!(verdict(&effects), Verdict::Go { have: 8 });
    let effects = world.delta(job.id, claim.token, 4, "use 😀.");
    assert_eq!(said(&effects), ["delta 8 😀."]);
    let writing = world.queue.writing();
    assert_eq!(
        (writing.len(), writing[0].text.as_str()),
        (1, "Because 😀.")
    );

    let effects = world.complete(job.id, claim.token, "Because 😀. Yes.");
    assert_eq!(said(&effects), ["final done Because 😀. Yes.", "done 1"]);
    assert_eq!(verdict(&effects), Verdict::Ended);
    let done = world.read(job.id);
    let result = r#"{"text":"Because 😀. Yes.","model":"extractive"}"#;
    assert_eq!(done.result.unwrap().text(), result);
    assert_eq!(
        (done.state, done.finished_at),
        (JobState::Done, Some(world.now))
    );
    assert!(world.queue.writing().is_empty());
    assert_eq!(
        verdict(&world.complete(job.id, claim.token, "again")),
        Verdict::Ended
    );
}

#[test]
fn a_room_without_jobs_has_no_tables_and_answers_empty() {
    let mut world = World::new();
    let id = JobId::parse("000000000abc-j2").unwrap();
    assert_eq!(
        refusal(&mut world.act(Input::Read { to: HTTP, id })),
        Code::NotFound
    );
    assert_eq!(refusal(&mut world.cancel(id)), Code::NotFound);
    let retry = Input::Retry {
        to: HTTP,
        asker: asker("ana"),
        id,
    };
    assert_eq!(refusal(&mut world.act(retry)), Code::NotFound);
    assert_eq!(world.claim(id), None);
    assert_eq!(verdict(&world.complete(id, Token(1), "")), Verdict::Stale);
    let jobs = answer(&mut world.act(Input::List {
        to: HTTP,
        state: None,
    }))
    .unwrap();
    assert_eq!(jobs, Reply::Jobs { jobs: vec![] });
    let unwanted = NewJob {
        kind: "ai.paint".into(),
        ..ask("?")
    };
    world.act(Input::Enqueue {
        to: HTTP,
        asker: asker("ana"),
        new: unwanted,
    });
    let row = OutboxNo {
        job: id.no,
        attempt: 0,
        offer: 1,
    };
    assert_eq!(world.act(Input::Sent { row, ok: false }).len(), 0);
    assert_eq!((world.deadline(), world.due()), (None, vec![]));
    assert!(world.queue.is_idle(&world.sql).unwrap());
    assert!(!store::exists(&world.sql).unwrap());
}

#[test]
fn nonsense_is_refused_by_name() {
    let mut world = World::new();
    let input = |text: &str| NewJob {
        input: Json::stored(text).unwrap(),
        ..ask("?")
    };
    let long = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(PROMPT_MAX_BYTES + 1));
    for (new, names) in [
        (
            NewJob {
                kind: "ai.paint".into(),
                ..ask("?")
            },
            "ai.paint",
        ),
        (input("{}"), "prompt"),
        (input("[]"), "prompt"),
        (input("null"), "prompt"),
        (input(r#"{"prompt":7}"#), "input"),
        (input(r#"{"prompt":" "}"#), "prompt"),
        (input(&long), "prompt"),
        (input(r#"{"prompt":"?","model":""}"#), "model"),
        (input(r#"{"prompt":"?","model":7}"#), "input"),
        (input(r#"{"prompt":"?","max_tokens":0}"#), "max_tokens"),
        (input(r#"{"prompt":"?","max_tokens":-1}"#), "input"),
        (
            NewJob {
                priority: 101,
                ..ask("?")
            },
            "priority",
        ),
        (
            NewJob {
                priority: -101,
                ..ask("?")
            },
            "priority",
        ),
        (
            NewJob {
                delay: Millis(1 << 53),
                ..ask("?")
            },
            "delay_ms",
        ),
        (
            NewJob {
                max_attempts: Some(0),
                ..ask("?")
            },
            "max_attempts",
        ),
        (
            NewJob {
                max_attempts: Some(26),
                ..ask("?")
            },
            "max_attempts",
        ),
    ] {
        let mut effects = world.act(Input::Enqueue {
            to: HTTP,
            asker: asker("ana"),
            new,
        });
        let rejected = answer(&mut effects).unwrap_err();
        assert_eq!(rejected.code, Code::InvalidPayload, "{rejected}");
        assert!(rejected.detail.contains(names), "{rejected} names {names}");
        assert_eq!(effects, []);
    }
}

#[test]
fn an_input_is_kept_as_what_was_understood() {
    let mut world = World::new();
    let rest = r#"{"prompt":"?","model":null,"max_tokens":9,"more":1}"#;
    let (job, _) = world.enqueue(NewJob {
        input: Json::stored(rest).unwrap(),
        ..ask("?")
    });
    assert_eq!(job.input.text(), r#"{"prompt":"?","max_tokens":9}"#);
}

#[test]
fn a_socket_gets_the_job_under_its_name() {
    let mut world = World::new();
    let input = Input::Enqueue {
        to: SOCKET,
        asker: asker("ana"),
        new: ask("?"),
    };
    let reply = answer(&mut world.act(input)).unwrap();
    assert!(matches!(reply, Reply::JobCreated { .. }), "{reply:?}");
}

#[test]
fn the_same_key_is_the_same_job_of_the_same_person() {
    let mut world = World::new();
    let keyed = || NewJob {
        key: Some("k".into()),
        ..ask("?")
    };
    let (first, _) = world.enqueue(keyed());
    let (second, effects) = world.enqueue(keyed());
    assert_eq!((first.id, effects), (second.id, vec![]));
    let mut other = world.act(Input::Enqueue {
        to: HTTP,
        asker: asker("bea"),
        new: keyed(),
    });
    assert_ne!(job_of(&answer(&mut other).unwrap()).id, first.id);
    world.cancel(first.id);
    assert_eq!(world.enqueue(keyed()).0.state, JobState::Cancelled);

    // Both accepted before either has its row.
    let twin = Input::Enqueue {
        to: HTTP,
        asker: asker("ana"),
        new: NewJob {
            key: Some("twin".into()),
            ..ask("?")
        },
    };
    let accepts = [(); 2].map(|()| {
        match world
            .queue
            .handle(world.now, &twin, &world.sql)
            .unwrap()
            .remove(0)
        {
            Effect::Accept { to, draft } => (to, draft),
            other => panic!("{other:?}"),
        }
    });
    let ids = [100, 102].map(|no| JobId {
        epoch: EPOCH,
        no: crate::id::JobNo(no),
    });
    for ((to, draft), id) in accepts.into_iter().zip(ids) {
        let mut effects = world.act(Input::Insert {
            to,
            id,
            prompt_seq: crate::id::Seq(99),
            draft,
        });
        assert_eq!(job_of(&answer(&mut effects).unwrap()).id, ids[0]);
    }
}

#[test]
fn a_room_holds_so_many_jobs_and_no_more() {
    let mut world = World::new();
    for _ in 0..JOBS_WAITING_MAX - 2 {
        world.enqueue(ask("?"));
    }
    let (delayed, _) = world.enqueue(NewJob {
        delay: Millis::MINUTE,
        ..ask("?")
    });
    let (last, _) = world.enqueue(ask("?"));
    let full = Input::Enqueue {
        to: HTTP,
        asker: asker("ana"),
        new: ask("?"),
    };
    assert_eq!(refusal(&mut world.act(full.clone())), Code::QueueFull);
    world.cancel(delayed.id);
    world.cancel(last.id);
    assert!(answer(&mut world.act(full)).is_ok());
    let jobs = answer(&mut world.act(Input::List {
        to: HTTP,
        state: None,
    }))
    .unwrap();
    let Reply::Jobs { jobs } = jobs else {
        panic!("{jobs:?}")
    };
    assert_eq!(jobs.len(), 100);
    assert!(jobs.is_sorted_by(|a, b| a.id > b.id));
    let cancelled = Input::List {
        to: HTTP,
        state: Some(JobState::Cancelled),
    };
    let Reply::Jobs { jobs } = answer(&mut world.act(cancelled)).unwrap() else {
        panic!()
    };
    assert_eq!(
        jobs.iter().map(|job| job.id).collect::<Vec<_>>(),
        [last.id, delayed.id]
    );
}

#[test]
fn guests_ask_so_often_and_together_ten_times_that() {
    let mut world = World::new();
    let ask_as = |world: &mut World, user: &str| {
        let input = Input::Enqueue {
            to: HTTP,
            asker: asker(user),
            new: ask("?"),
        };
        answer(&mut world.act(input)).map_err(|rejected| rejected.code)
    };
    for _ in 0..3 {
        assert!(ask_as(&mut world, "guest:0").is_ok());
    }
    assert_eq!(ask_as(&mut world, "guest:0"), Err(Code::RateLimited));
    for n in 3..30 {
        assert!(
            ask_as(&mut world, &format!("guest:{}", n / 3)).is_ok(),
            "{n}"
        );
    }
    assert_eq!(ask_as(&mut world, "guest:new"), Err(Code::RateLimited));
    assert!(ask_as(&mut world, "ana").is_ok());
    world.now = world.now.plus(Millis(59_999));
    assert_eq!(ask_as(&mut world, "guest:0"), Err(Code::RateLimited));
    world.now = world.now.plus(Millis(1));
    assert!(ask_as(&mut world, "guest:0").is_ok());
}

#[test]
fn one_job_at_a_time_by_priority_and_age() {
    let mut world = World::new();
    let with = |priority| NewJob {
        priority,
        ..ask("?")
    };
    let (first, effects) = world.enqueue(with(-5));
    let others = [0, 7, 0, 7].map(|priority| {
        let (job, effects) = world.enqueue(with(priority));
        assert_eq!(effects, [], "its turn has not come");
        job.id
    });
    assert_eq!(world.claim(others[1]), None);
    let order = world.order(effects);
    assert_eq!(
        order,
        [first.id, others[1], others[3], others[0], others[2]]
    );
}

#[test]
fn the_next_job_is_offered_in_the_call_that_ends_the_one_before() {
    for end in ["complete", "fail", "cancel", "retry"] {
        let mut world = World::new();
        let (id, token) = world.running(ask("1"));
        let (next, _) = world.enqueue(ask("2"));
        let effects = match end {
            "complete" => world.complete(id, token, ""),
            "fail" => world.fail(id, token, false),
            "cancel" => world.cancel(id),
            _ => world.fail(id, token, true),
        };
        let rows = sends(&effects);
        assert_eq!(
            rows.iter().map(|row| row.job).collect::<Vec<_>>(),
            [next.id.no],
            "{end}"
        );
        assert!(world.claim(next.id).is_some(), "{end}");
    }
}

#[test]
fn only_the_present_token_writes() {
    let mut world = World::new();
    let (id, token) = world.running(ask("?"));
    assert_eq!(world.claim(id), None, "claimed already");
    let wrong = Token(token.0 ^ 1);
    for effects in [
        world.delta(id, wrong, 0, "no"),
        world.complete(id, wrong, "no"),
        world.fail(id, wrong, false),
        world.act(Input::Renew {
            to: WORKER,
            id,
            token: wrong,
        }),
    ] {
        assert_eq!(
            effects,
            [Effect::Worker {
                to: WORKER,
                verdict: Verdict::Stale
            }]
        );
    }
    let effects = world.pass(LEASE);
    assert_eq!(said(&effects), ["retrying 1"]);
    assert_eq!(verdict(&world.delta(id, token, 0, "late")), Verdict::Stale);
    let effects = world.pass(Millis(1_000));
    world.act(Input::Sent {
        row: sends(&effects)[0],
        ok: true,
    });
    let second = world.claim(id).unwrap();
    assert!(second.token > token && second.attempt == 2);
    assert!(second.token.0 < 1 << 53);
    assert_eq!(verdict(&world.complete(id, token, "late")), Verdict::Stale);
    assert_eq!(
        said(&world.complete(id, second.token, "ok")),
        ["final done ok", "done 2"]
    );
}

#[test]
fn a_lease_ends_to_the_millisecond_and_writes_renew_it() {
    let mut world = World::new();
    let (id, token) = world.running(ask("?"));
    assert_eq!(world.deadline(), Some(world.now.plus(LEASE)));
    assert_eq!(said(&world.pass(Millis(LEASE.0 - 1))), Vec::<String>::new());
    let renew = Input::Renew {
        to: WORKER,
        id,
        token,
    };
    assert_eq!(verdict(&world.act(renew)), Verdict::Go { have: 0 });
    assert_eq!(said(&world.pass(Millis(LEASE.0 - 1))), Vec::<String>::new());
    world.delta(id, token, 0, "half an ans");
    assert_eq!(said(&world.pass(Millis(LEASE.0 - 1))), Vec::<String>::new());
    let effects = world.pass(Millis(1));
    assert_eq!(said(&effects), ["retrying 1"]);
    let news = News::Changed {
        job: id,
        state: JobState::Retrying,
        attempt: 1,
        max_attempts: 3,
        error: Some("lease expired".into()),
    };
    assert!(effects.contains(&Effect::Say(news)));
    assert_eq!(world.read(id).error.as_deref(), Some("lease expired"));
}

#[test]
fn a_job_is_tried_again_with_back_off_until_it_is_dead() {
    let mut world = World::new();
    let (id, mut token) = world.running(ask("?"));
    for attempt in 1..3 {
        world.delta(id, token, 0, &format!("try {attempt}"));
        let effects = world.fail(id, token, true);
        assert_eq!(said(&effects), [format!("retrying {attempt}")]);
        assert_eq!(verdict(&effects), Verdict::Ended);
        let run_at = world.read(id).run_at;
        let wait = run_at.since(world.now).0;
        let step = 1_000 << (attempt - 1);
        assert!((step / 2..=step).contains(&wait), "{wait}");
        assert_eq!(world.deadline(), Some(run_at), "exact");
        assert_eq!(world.claim(id), None, "not before its time");
        let effects = world.pass(Millis(wait));
        world.act(Input::Sent {
            row: sends(&effects)[0],
            ok: true,
        });
        assert_eq!(world.state(id), JobState::Retrying);
        token = world.claim(id).unwrap().token;
        assert_eq!(
            world.queue.writing()[0].text,
            "",
            "a new attempt begins empty"
        );
    }
    world.delta(id, token, 0, "last words");
    let effects = world.fail(id, token, true);
    assert_eq!(said(&effects), ["final dead last words", "dead 3"]);
    let dead = world.read(id);
    assert_eq!(dead.error.as_deref(), Some("the provider said 500"));
    assert_eq!((dead.result, dead.state), (None, JobState::Dead));
    let rows = world
        .sql
        .run("SELECT json_array_length(errors) FROM job", &[])
        .unwrap();
    assert_eq!(rows[0].uint(0).unwrap(), 3);
}

#[test]
fn what_is_not_worth_a_retry_is_dead_at_once_and_a_provider_is_waited_for() {
    let mut world = World::new();
    let (id, token) = world.running(ask("?"));
    assert_eq!(
        said(&world.fail(id, token, false)),
        ["final dead ", "dead 1"]
    );

    let (id, token) = world.running(ask("?"));
    world.fail_after(id, token, true, Some(Millis(90_000)));
    assert_eq!(world.read(id).run_at, world.now.plus(Millis(90_000)));
    world.pass(Millis(90_000));
    let token = world.claim(id).unwrap().token;
    world.fail_after(id, token, true, Some(Millis(u64::MAX)));
    assert_eq!(world.read(id).run_at, world.now.plus(Millis(3_600_000)));
    let long = "ñ".repeat(5_000);
    world.pass(Millis(3_600_000));
    let token = world.claim(id).unwrap().token;
    let (retryable, retry_after) = (true, None);
    world.act(Input::Fail {
        to: WORKER,
        id,
        token,
        error: long,
        retryable,
        retry_after,
    });
    assert_eq!(world.read(id).error.unwrap().len(), 1024);
}

#[test]
fn a_job_is_cancelled_in_every_state() {
    // Delayed.
    let mut world = World::new();
    let (job, effects) = world.enqueue(NewJob {
        delay: Millis(5_000),
        ..ask("?")
    });
    assert_eq!(job.state, JobState::Delayed);
    assert_eq!(said(&effects), ["delayed 0"]);
    assert_eq!(
        said(&world.cancel(job.id)),
        ["final cancelled ", "cancelled 0"]
    );
    // Queued and offered, its message on the way.
    let (job, effects) = world.enqueue(ask("?"));
    let (behind, _) = world.enqueue(ask("?"));
    assert_eq!(
        said(&world.cancel(behind.id)),
        ["final cancelled ", "cancelled 0"]
    );
    assert_eq!(
        said(&world.cancel(job.id)),
        ["final cancelled ", "cancelled 0"]
    );
    assert_eq!(
        world.act(Input::Sent {
            row: sends(&effects)[0],
            ok: true
        }),
        []
    );
    assert_eq!(world.claim(job.id), None);
    // Running: what was said stays, the consumer learns it with its next write.
    let (id, token) = world.running(ask("?"));
    world.delta(id, token, 0, "so far");
    let mut effects = world.cancel(id);
    assert_eq!(said(&effects), ["final cancelled so far", "cancelled 1"]);
    let state = JobState::Cancelled;
    assert_eq!(answer(&mut effects), Ok(Reply::Cancelled { state }));
    for effects in [
        world.delta(id, token, 6, " more"),
        world.act(Input::Renew {
            to: WORKER,
            id,
            token,
        }),
        world.complete(id, token, "all"),
        world.fail(id, token, true),
    ] {
        assert_eq!(
            effects,
            [Effect::Worker {
                to: WORKER,
                verdict: Verdict::Cancelled
            }]
        );
    }
    // Retrying: what the failed attempt said stays.
    let (id, token) = world.running(ask("?"));
    world.delta(id, token, 0, "half");
    world.fail(id, token, true);
    assert_eq!(
        said(&world.cancel(id)),
        ["final cancelled half", "cancelled 1"]
    );
}

#[test]
fn a_cancel_of_what_ended_answers_its_state_and_says_nothing() {
    let mut world = World::new();
    let (id, _) = world.running(ask("?"));
    world.cancel(id);
    let state = JobState::Cancelled;
    let mut again = world.cancel(id);
    assert_eq!(answer(&mut again), Ok(Reply::Cancelled { state }));
    assert_eq!(again, []);
    let (id, token) = world.running(ask("?"));
    world.complete(id, token, "");
    let mut late = world.cancel(id);
    assert_eq!(
        answer(&mut late),
        Ok(Reply::Cancelled {
            state: JobState::Done
        })
    );
    assert_eq!(world.pass(Millis(600_000)), []);
}

#[test]
fn a_dead_job_is_redriven_once_as_a_new_one() {
    let mut world = World::new();
    let new = NewJob {
        priority: 3,
        max_attempts: Some(2),
        ..ask("?")
    };
    let (id, token) = world.running(new);
    let retry = Input::Retry {
        to: HTTP,
        asker: asker("bea"),
        id,
    };
    assert_eq!(refusal(&mut world.act(retry.clone())), Code::Conflict);
    world.fail(id, token, false);
    let mut effects = world.act(retry.clone());
    let again = job_of(&answer(&mut effects).unwrap());
    assert_eq!(
        (again.retried_from, again.state),
        (Some(id), JobState::Queued)
    );
    assert_eq!((again.max_attempts, again.attempt), (2, 0));
    assert_ne!(again.message_id, id.answer());
    assert_eq!(refusal(&mut world.act(retry)), Code::Conflict);
    assert_eq!(world.state(id), JobState::Dead);
    let claim = world.claim(again.id).unwrap();
    assert_eq!(
        (claim.prompt.as_str(), claim.prompt_seq.0, &*claim.asker),
        ("?", 1, "bea")
    );
}

#[test]
fn a_delayed_job_runs_at_its_time_and_holds_nobody_up() {
    let mut world = World::new();
    let (late, _) = world.enqueue(NewJob {
        delay: Millis(1_234),
        priority: 9,
        ..ask("late")
    });
    assert_eq!(world.deadline(), Some(START.plus(Millis(1_234))));
    let (id, token) = world.running(ask("now"));
    assert_eq!(
        world.pass(Millis(1_234)),
        [],
        "its time has come, its turn has not"
    );
    assert_eq!(world.state(late.id), JobState::Queued);
    let effects = world.complete(id, token, "");
    assert_eq!(sends(&effects)[0].job, late.id.no);
    let (alone, _) = world.enqueue(NewJob {
        delay: Millis(50),
        ..ask("?")
    });
    world.cancel(late.id);
    world.act(Input::Sent {
        row: sends(&effects)[0],
        ok: true,
    });
    let effects = world.pass(Millis(50));
    assert_eq!(sends(&effects)[0].job, alone.id.no);
}

#[test]
fn an_offer_nobody_takes_is_repeated_at_doubling_distances() {
    let mut world = World::new();
    let id = world.sent(ask("?"));
    let mut waits = Vec::new();
    for _ in 0..6 {
        let from = world.now;
        let at = world.deadline().unwrap();
        let effects = world.pass(at.since(from));
        let row = sends(&effects)[0];
        assert_eq!(row.job, id.no);
        waits.push(world.now.since(from).0);
        world.act(Input::Sent { row, ok: true });
    }
    // On the grid of a second; the first began half a second off it.
    assert_eq!(waits, [30_500, 60_000, 120_000, 240_000, 300_000, 300_000]);
    assert!(world.claim(id).is_some());
    assert_eq!(world.claim(id), None, "the surplus message is refused");
}

#[test]
fn a_send_that_fails_is_repeated_and_then_done_without() {
    let mut world = World::new();
    let (job, effects) = world.enqueue(ask("?"));
    let row = sends(&effects)[0];
    let mut sent = vec![Millis(0)];
    let mut effects = world.act(Input::Sent { row, ok: false });
    while runs(&effects).is_empty() {
        assert!(sent.len() < 20);
        if sends(&effects) == [row] {
            sent.push(world.now.since(START));
            effects = world.act(Input::Sent { row, ok: false });
        } else {
            assert_eq!(effects, []);
            let at = world.deadline().unwrap();
            effects = world.pass(at.since(world.now));
        }
    }
    assert!(sent.len() >= 3, "{sent:?}");
    assert_eq!(runs(&effects), [job.id]);
    let late = world.now.since(START);
    assert!(late >= Millis(5_000) && late < Millis(6_000), "{late:?}");
    // A run that gets lost is repeated by the same rule, by the queue again if it is back.
    let effects = world.pass(Millis(31_000));
    assert_eq!(sends(&effects).len(), 1);
    assert!(world.claim(job.id).is_some());
}

#[test]
fn a_claim_overtakes_the_confirmation_of_its_message() {
    let mut world = World::new();
    let (job, effects) = world.enqueue(ask("?"));
    let (next, _) = world.enqueue(ask("?"));
    let token = world.claim(job.id).unwrap().token;
    let late = sends(&effects)[0];
    let effects = world.complete(job.id, token, "");
    assert_eq!(sends(&effects), [], "one send in flight");
    let effects = world.act(Input::Sent {
        row: late,
        ok: false,
    });
    assert_eq!(sends(&effects)[0].job, next.id.no);
}

#[test]
fn a_confirmation_that_never_comes_is_not_waited_for() {
    let mut world = World::new();
    let (_, effects) = world.enqueue(ask("?"));
    let again = world.pass(Millis(31_000));
    assert_eq!(sends(&again), sends(&effects));
    // A crash with a send in flight: the alarm stands, and the first `due` sends again.
    assert!(world.deadline().is_some());
    world.hibernate();
    assert_eq!(world.deadline().map(|at| at <= world.now), Some(true));
    assert_eq!(sends(&world.due()), sends(&effects));
}

#[test]
fn without_a_queue_the_edge_runs_jobs_itself() {
    let mut world = World::with(
        Settings {
            queue: false,
            ..settings()
        },
        1,
    );
    let (job, effects) = world.enqueue(ask("?"));
    assert_eq!(effects, [Effect::Run { id: job.id }]);
    assert_eq!(
        runs(&world.pass(Millis(31_000))),
        [job.id],
        "a run that was lost"
    );
    let (next, _) = world.enqueue(ask("?"));
    let token = world.claim(job.id).unwrap().token;
    assert_eq!(runs(&world.complete(job.id, token, "")), [next.id]);

    // A queue that is bound no more: its rows are run.
    let mut world = World::new();
    let (job, _) = world.enqueue(ask("?"));
    world.queue.settings.queue = false;
    world.hibernate();
    assert_eq!(runs(&world.due()), [job.id]);
}

#[test]
fn a_hole_is_told_and_nothing_is_taken() {
    let mut world = World::new();
    let (id, token) = world.running(ask("?"));
    world.delta(id, token, 0, "a😀");
    for (index, text) in [(4, "b"), (2, "😀b"), (u64::MAX, "b")] {
        let effects = world.delta(id, token, index, text);
        assert_eq!(
            effects,
            [Effect::Worker {
                to: WORKER,
                verdict: Verdict::Go { have: 3 }
            }]
        );
    }
    assert_eq!(said(&world.delta(id, token, 1, "😀b")), ["delta 3 b"]);
}

#[test]
fn text_is_a_row_once_a_second_and_soon_after_a_silence() {
    let mut world = World::new();
    let (id, token) = world.running(ask("?"));
    let stored = |world: &World| store::text(&world.sql, id.no).unwrap();
    world.now = world.now.plus(Millis(500));
    let before = world.sql.statements.get();
    for n in 0..100 {
        world.delta(id, token, n, "x");
        assert_eq!(world.due(), []);
    }
    let ran = world.sql.statements.get() - before;
    assert!(
        ran <= 1,
        "a delta within the second runs no statement: {ran}"
    );
    assert_eq!(stored(&world), "");
    world.now = world.now.plus(Millis(500));
    world.delta(id, token, 100, "y");
    assert_eq!(stored(&world).len(), 101);
    world.now = world.now.plus(Millis(200));
    world.delta(id, token, 101, "z");
    assert_eq!(stored(&world).len(), 101);
    // What is in memory only is said again by the consumer after a crash.
    world.hibernate();
    assert_eq!(
        verdict(&world.delta(id, token, 102, "!")),
        Verdict::Go { have: 101 }
    );
    assert_eq!(said(&world.delta(id, token, 101, "z!")), ["delta 101 z!"]);
    assert_eq!(world.pass(Millis(9_000)), []);
    assert_eq!(
        stored(&world).len(),
        103,
        "silence is written down before the object sleeps"
    );
    world.hibernate();
    assert_eq!(world.queue.writing()[0].text.len(), 103);
    let cancelled = said(&world.cancel(id));
    assert!(cancelled[0].ends_with("yz!"));
}

#[test]
fn an_answer_is_cut_at_its_bound() {
    let mut world = World::new();
    let (id, token) = world.running(ask("?"));
    let text = "ñ".repeat(ANSWER_MAX_BYTES);
    let effects = world.delta(id, token, 0, &text);
    let units = ANSWER_MAX_BYTES as u64;
    assert_eq!(
        verdict(&effects),
        Verdict::Go { have: units },
        "asked for no more"
    );
    assert_eq!(
        said(&world.delta(id, token, units, "more")),
        Vec::<String>::new()
    );
    let effects = world.complete(id, token, &text);
    let Some(Effect::Say(News::Final { text, .. })) = effects.first() else {
        panic!()
    };
    assert!(text.len() <= ANSWER_MAX_BYTES && text.len() > ANSWER_MAX_BYTES - 4);
}

#[test]
fn ended_jobs_are_kept_a_day_and_then_the_room_is_idle() {
    let mut world = World::new();
    let (id, token) = world.running(ask("?"));
    world.complete(id, token, "");
    assert!(!world.queue.is_idle(&world.sql).unwrap());
    assert_eq!(world.pass(Millis(JOB_KEPT.0 - 1)), []);
    assert_eq!(world.state(id), JobState::Done);
    world.pass(Millis(1_000));
    assert_eq!(
        refusal(&mut world.act(Input::Read { to: HTTP, id })),
        Code::NotFound
    );
    assert!(world.queue.is_idle(&world.sql).unwrap());
    assert_eq!(world.deadline(), None);
}

#[test]
fn an_id_of_another_epoch_is_another_job() {
    let mut world = World::new();
    let id = world.sent(ask("?"));
    let other = JobId {
        epoch: crate::id::Epoch(1),
        no: id.no,
    };
    assert_eq!(
        refusal(&mut world.act(Input::Read {
            to: HTTP,
            id: other
        })),
        Code::NotFound
    );
    assert_eq!(refusal(&mut world.cancel(other)), Code::NotFound);
    assert_eq!(world.claim(other), None);
}

#[test]
fn nothing_follows_an_end() {
    use JobState::{Cancelled, Dead, Delayed, Done, Queued, Retrying, Running};
    let all = [Queued, Delayed, Running, Retrying, Done, Dead, Cancelled];
    for from in all {
        for to in all {
            let legal = may_follow(from, to);
            assert!(!legal || !from.is_end() && from != to, "{from:?} {to:?}");
        }
        assert_eq!(may_follow(from, Cancelled), !from.is_end());
        assert_eq!(may_follow(from, Done), from == Running);
    }
}

#[test]
fn what_is_hot_is_answered_by_an_index() {
    let mut world = World::new();
    world.sent(ask("?"));
    for (statement, index) in [
        ("SELECT no FROM job WHERE slot IS NOT NULL", "job_slot"),
        (
            "SELECT no FROM job WHERE finished_at IS NULL AND wakes_at IS NULL AND slot IS NULL
             ORDER BY priority DESC, no LIMIT 1",
            "job_ready",
        ),
        (
            "SELECT min(wakes_at) FROM job WHERE wakes_at IS NOT NULL",
            "job_wakes",
        ),
        (
            "UPDATE job SET state = 'x' WHERE wakes_at <= 5",
            "job_wakes",
        ),
        (
            "SELECT min(finished_at) FROM job WHERE finished_at IS NOT NULL",
            "job_ended",
        ),
        (
            "SELECT no FROM job WHERE finished_at <= 1 ORDER BY finished_at LIMIT 5",
            "job_ended",
        ),
        (
            "SELECT sub FROM job WHERE guest = 1 AND created_at > 5",
            "job_guest",
        ),
        (
            "SELECT no FROM job WHERE sub = 'a' AND key = 'b'",
            "job_key",
        ),
    ] {
        let plan = world
            .sql
            .run(&format!("EXPLAIN QUERY PLAN {statement}"), &[])
            .unwrap();
        let plan = plan[0].text(3).unwrap();
        assert!(plan.contains(index), "{statement}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{statement}: {plan}");
    }
}
