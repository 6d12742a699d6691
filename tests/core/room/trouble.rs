//! Requests that are refused, frames that come in heaps, and what goes wrong on our side.

use jwt_compact::AlgorithmExt as _;
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{Claims, Header};
use serde_json::{Value, json};
use tertulia::grant::Scopes;
use tertulia::http::Op;
use tertulia::message::{Join, Reply};

use super::{NOTHING, Story, publication, short};
use crate::support::sqlite::Fault;
use crate::support::world::grant;

fn refusal(told: &[Value]) -> &str {
    told[0]["error"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{told:?}"))
}

#[test]
fn what_one_may_not_is_refused_by_its_word() {
    let mut story = Story::new();
    let mut reader = grant("ana");
    reader.scopes = Scopes::parse("rooms:join");
    let ana = story
        .world
        .connect_as(reader, Join::default())
        .unwrap()
        .unwrap();
    story.heard(ana);
    let bo = story.enter("bo");
    story.heard(ana);
    let plaza = |body: Value| json!({"room": "plaza", "body": body});
    assert_eq!(
        refusal(&story.ask(ana, "broadcast", plaza(json!(1)))),
        "forbidden"
    );
    assert_eq!(
        refusal(&story.ask(ana, "history", json!({"room": "plaza"}))),
        "forbidden"
    );
    let job = json!({"room": "plaza", "kind": "ai.chat", "input": {"prompt": "?"}});
    assert_eq!(refusal(&story.ask(ana, "job", job)), "forbidden");
    let elsewhere = json!({"room": "elsewhere", "body": 1});
    assert_eq!(refusal(&story.ask(bo, "broadcast", elsewhere)), "not_here");
    assert_eq!(
        refusal(&story.ask(bo, "join", json!({"room": "user_bo"}))),
        "forbidden"
    );
    assert_eq!(
        refusal(&story.ask(bo, "join", json!({"room": "admin"}))),
        "forbidden"
    );
    assert_eq!(
        refusal(&story.ask(bo, "ack", json!({"room": "plaza", "seq": 9}))),
        "invalid_payload"
    );
    story.ask(bo, "leave", json!({"room": "plaza"}));
    assert_eq!(
        refusal(&story.ask(bo, "broadcast", plaza(json!(1)))),
        "not_joined"
    );
    assert_eq!(
        refusal(&story.ask(bo, "presence", json!({"status": "away"}))),
        "not_joined"
    );
    assert_eq!(refusal(&story.ask(bo, "dance", json!({}))), "unknown_type");
    assert!(story.world.is_open(bo));
}

fn token(claims: Value) -> String {
    let key = Hs256Key::new(b"0123456789abcdef0123456789abcdef");
    Hs256
        .token(&Header::empty(), &Claims::new(claims), &key)
        .unwrap()
}

#[test]
fn a_new_token_keeps_the_connection() {
    let mut story = Story::new();
    let now = story.world.now;
    let mut bo = grant("bo");
    bo.expires_at = Some(now.plus(tertulia::time::Millis(40_000)));
    let bo = story
        .world
        .connect_as(bo, Join::default())
        .unwrap()
        .unwrap();
    story.heard(bo);
    let exp = now.0 / 1000 + 600;
    let wrong = story.ask(
        bo,
        "token",
        json!({"token": token(json!({"sub": "eve", "exp": exp}))}),
    );
    assert_eq!(refusal(&wrong), "forbidden");
    let bad = story.ask(bo, "token", json!({"token": "x"}));
    assert_eq!(refusal(&bad), "token_malformed");
    let fresh = json!({"sub": "bo", "exp": exp, "scope": "rooms:join"});
    let told = story.ask(bo, "token", json!({"token": token(fresh)}));
    assert_eq!(told[0]["body"], json!({"expires_at": exp * 1000}));
    let told = story.ask(bo, "broadcast", json!({"room": "plaza", "body": 1}));
    assert_eq!(refusal(&told), "forbidden", "the new token's rights");
    story.world.hibernate();
    story.pass(500_000);
    assert!(story.world.is_open(bo));
    story.pass(135_000);
    assert_eq!(story.closed(bo).0, 4401);
}

#[test]
fn who_says_too_much_is_refused_and_in_the_end_put_out() {
    let mut story = Story::with(&[("RATE_MESSAGES_PER_S", "5")]);
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    let ping = json!({"type": "ping", "id": "p"});
    let heap = Value::from(vec![ping; 100]).to_string();
    story.world.frame(bo, &heap);
    let told = story.hear(bo);
    let refused = told
        .iter()
        .filter(|one| one["error"]["code"] == "rate_limited")
        .count();
    assert_eq!((told.len(), refused), (100, 90));
    story.pass(1_000);
    story.world.frame(bo, &heap);
    assert_eq!(
        story
            .hear(bo)
            .iter()
            .filter(|one| one["error"].is_null())
            .count(),
        5
    );
    (0..12).for_each(|_| {
        story.world.frame(bo, &heap);
    });
    assert_eq!(story.closed(bo).0, 4429);
    assert_eq!(story.heard(ana), ["user_left bo removed"]);
    let big = "x".repeat(600_000);
    story.world.frame(ana, &big);
    assert_eq!(story.closed(ana).0, 1009);
}

/// Found by `simulation.rs`: messages of one frame were answered as it suited, and a connection
/// that joined twice in one frame counted as two.
#[test]
fn messages_of_one_frame_are_done_in_order() {
    let mut story = Story::new();
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    let one = |id: &str, kind: &str, body: Value| {
        let mut payload = json!({"room": "plaza"});
        payload
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        json!({"type": kind, "id": id, "payload": payload})
    };
    let frame = json!([
        one("1", "broadcast", json!({"body": "a"})),
        one("2", "ack", json!({"seq": 1})),
        one("3", "history", json!({"limit": 1})),
        one("4", "leave", json!({})),
        one(
            "5",
            "join",
            json!({"since": {"epoch": "000000000001", "seq": 1}})
        ),
        one("6", "join", json!({})),
        one("7", "broadcast", json!({"body": "b"})),
        one("8", "leave", json!({})),
        one("9", "broadcast", json!({"body": "c"})),
    ]);
    story.world.frame(bo, &frame.to_string());
    let expected = [
        "reply \"1\"",
        "#1 \"a\"",
        "reply \"2\"",
        "reply \"3\"",
        "reply \"4\"",
        "reply \"5\"",
        "gap null to 1",
        "reply \"6\"",
        "reply \"7\"",
        "#2 \"b\"",
        "reply \"8\"",
        "reply \"9\" \"not_joined\"",
    ];
    assert_eq!(story.heard(bo), expected);
    let seen = [
        "#1 \"a\"",
        "user_left bo left",
        "user_joined bo",
        "#2 \"b\"",
        "user_left bo left",
    ];
    assert_eq!(story.heard(ana), seen);
    assert_eq!(story.members(), ["ana"]);
}

/// Found by `simulation.rs`: the news of a delayed job overtook the job itself, and everything
/// came twice.
#[test]
fn a_delayed_job_is_told_in_order_and_once() {
    let mut story = Story::new();
    let ana = story.enter("ana");
    let job =
        json!({"room": "plaza", "kind": "ai.chat", "input": {"prompt": "?"}, "delay_ms": 5_000});
    let told = story.ask(ana, "job", job);
    let told: Vec<String> = told.iter().map(short).collect();
    let question = "#1 {\"text\":\"?\"}";
    assert_eq!(
        told,
        [
            "reply \"1\"",
            question,
            "#2 message_queued",
            "#3 job delayed"
        ]
    );
    story.say(ana, "next");
    assert_eq!(story.heard(ana), NOTHING);
}

#[test]
fn a_failure_of_one_is_no_failure_of_the_others() {
    for fault in [Fault::Fails, Fault::Panics] {
        let mut story = Story::new();
        story.world.may_fail = true;
        let (ana, bo, cy) = (story.enter("ana"), story.enter("bo"), story.enter("cy"));
        for conn in [ana, bo, cy] {
            story.heard(conn);
        }
        story.world.sql.poison.set(Some(("poison", fault)));
        let frame = |body: &str| {
            let payload = json!({"room": "plaza", "body": body});
            json!({"type": "broadcast", "id": body, "payload": payload}).to_string()
        };
        let heap = [(ana, frame("a")), (bo, frame("poison")), (cy, frame("c"))];
        assert!(story.world.frames(&heap));
        assert_eq!(story.world.failures.len(), 2, "once together, once alone");
        assert_eq!(story.heard(ana), ["reply \"a\"", "#1 \"a\"", "#2 \"c\""]);
        assert_eq!(
            story.heard(bo),
            ["#1 \"a\"", "reply \"poison\" \"internal\"", "#2 \"c\""]
        );
        assert_eq!(story.heard(cy), ["#1 \"a\"", "reply \"c\"", "#2 \"c\""]);
        // One that is alone.
        let refused = story.publish("q", "poison").unwrap_err();
        assert_eq!(refused.code.row().word, "internal");
        story.world.sql.poison.set(None);
        story.say(ana, "on");
        assert_eq!(story.heard(bo), ["#3 \"on\""]);
    }
}

/// A statement that fails once: everything is done at the second try, and nobody notices.
#[test]
fn a_failure_that_passes_is_not_seen() {
    let story = |fault: Option<(u64, Fault)>| {
        let mut story = Story::new();
        story.world.may_fail = true;
        let (ana, bo) = (story.enter("ana"), story.enter("bo"));
        story.world.sql.fault.set(fault);
        let mut told = Vec::new();
        let keyed = json!({"room": "plaza", "body": "a", "key": "k"});
        told.extend(story.ask(ana, "broadcast", keyed));
        told.extend(story.ask(bo, "join", json!({"room": "plaza", "meta": 1})));
        let job = json!({"room": "plaza", "kind": "ai.chat", "input": {"prompt": "?"}});
        told.extend(story.ask(bo, "job", job));
        told.extend(story.ask(bo, "leave", json!({"room": "plaza"})));
        let heap = json!([{"type": "ping", "id": "x"}, {"type": "ping", "id": "y"}]).to_string();
        story.world.frames(&[(ana, heap.clone()), (ana, heap)]);
        told.extend(story.hear(ana));
        let failed = story.world.failures.len();
        (told.iter().map(short).collect::<Vec<_>>(), failed)
    };
    let (good, _) = story(None);
    let mut failures = 0;
    for n in 0..40 {
        for fault in [Fault::Fails, Fault::Panics] {
            let (told, failed) = story(Some((n, fault)));
            assert_eq!(told, good, "{n} {fault:?}");
            failures += failed;
        }
    }
    assert!(failures > 40, "{failures}");
}

/// Found by the story above: the socket of somebody who came in such a turn was taken for lost.
#[test]
fn who_comes_in_a_turn_that_fails_for_another_is_there() {
    let mut story = Story::new();
    story.world.may_fail = true;
    let ana = story.enter("ana");
    story.world.sql.poison.set(Some(("poison", Fault::Fails)));
    let bo = story.world.connect_with("bo", &["poison", "two"]);
    story.world.sql.poison.set(None);
    assert_eq!(story.heard(ana), ["user_joined bo", "#1 \"two\""]);
    assert_eq!(story.heard(bo), ["connected", "#1 \"two\""]);
    story.say(bo, "here");
    assert_eq!(story.heard(ana), ["#2 \"here\""]);
    story.pass(120_000);
    assert_eq!(story.members(), ["ana", "bo"]);
}

/// Found by reading: the refusal of the last input put off what the ones before had to do.
#[test]
fn a_refused_input_puts_nothing_off() {
    let mut story = Story::new();
    story.world.may_fail = true;
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    story.world.sql.poison.set(Some(("poison", Fault::Fails)));
    // bo's end and the failing call come in one turn.
    story
        .world
        .close_with(bo, 1006, "q", publication("poison", &[]));
    story.world.sql.poison.set(None);
    story.pass(7_000);
    assert_eq!(story.heard(ana), ["user_left bo dropped"]);
}

#[test]
fn a_read_of_a_room_that_never_was_leaves_nothing_behind() {
    let mut story = Story::new();
    let op: Op = serde_json::from_str(r#"{"history":{"limit":5}}"#).unwrap();
    let Some(Ok(Reply::History(page))) = story.world.ask("ana", op) else {
        panic!()
    };
    assert_eq!(
        (page.epoch, page.messages.len(), page.next),
        (None, 0, None)
    );
    assert_eq!(story.members(), NOTHING);
    let tables = tertulia::sql::Sql::run(&story.world.sql, "SELECT name FROM sqlite_master", &[]);
    assert_eq!(tables.unwrap(), []);
    assert_eq!(story.world.alarm, None);
}
