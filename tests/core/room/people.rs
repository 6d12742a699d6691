//! Who is there, and how the others learn it.

use serde_json::json;
use tertulia::message::Join;
use tertulia::time::Millis;

use super::{NOTHING, Story};
use crate::support::world::grant;

#[test]
fn a_person_comes_and_goes_once_however_many_devices() {
    let mut story = Story::new();
    let ana = story.enter("ana");
    let phone = story.enter("bo");
    assert_eq!(story.heard(ana), ["user_joined bo"]);
    let laptop = story.enter("bo");
    assert_eq!(story.heard(ana), NOTHING);
    assert_eq!(story.heard(phone), NOTHING);
    story.world.close(phone, 1000);
    assert_eq!(story.heard(ana), NOTHING);
    story.world.close(laptop, 1000);
    assert_eq!(story.heard(ana), ["user_left bo closed"]);
    assert_eq!(story.members(), ["ana"]);
}

#[test]
fn leaving_is_told_at_once_and_coming_again_too() {
    let mut story = Story::new();
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    let replies = story.ask(bo, "leave", json!({"room": "plaza"}));
    assert_eq!(replies[0]["body"], json!({"room": "plaza"}));
    assert_eq!(story.heard(ana), ["user_left bo left"]);
    story.say(ana, "alone");
    assert_eq!(story.heard(bo), NOTHING);
    story.ask(bo, "join", json!({"room": "plaza", "meta": 7}));
    assert_eq!(story.heard(ana), ["user_joined bo"]);
    story.ask(bo, "join", json!({"room": "plaza", "meta": 8}));
    assert_eq!(story.heard(ana), ["user_updated bo"]);
    story.ask(bo, "join", json!({"room": "plaza"}));
    assert_eq!(story.heard(ana), NOTHING);
}

#[test]
fn an_abnormal_end_is_given_the_grace_time() {
    let mut story = Story::new();
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    story.world.close(bo, 1006);
    story.pass(4_000);
    assert_eq!(story.heard(ana), NOTHING);
    let bo = story.enter("bo");
    story.pass(20_000);
    assert_eq!(
        story.heard(ana),
        NOTHING,
        "a return within the time is silent"
    );
    story.world.close(bo, 1001);
    story.pass(6_000);
    assert_eq!(story.heard(ana), ["user_left bo dropped"]);
}

#[test]
fn a_socket_that_is_gone_without_a_word_is_found_out() {
    let mut story = Story::new();
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    story.world.vanish(bo);
    story.pass(35_000);
    assert_eq!(story.members(), ["ana", "bo"]);
    story.pass(60_000);
    assert_eq!(story.heard(ana), ["user_left bo lost"]);
}

#[test]
fn who_falls_silent_leaves_and_its_next_sign_brings_it_back() {
    for forgetful in [false, true] {
        falls_silent_and_comes_back(forgetful);
    }
}

fn falls_silent_and_comes_back(forgetful: bool) {
    let mut story = Story::new();
    story.world.forgetful = forgetful;
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    story.world.ping(bo);
    story.pass(17_000);
    assert_eq!(story.heard(ana), ["user_left bo silent"]);
    story.say(ana, "are you there?");
    assert_eq!(
        story.heard(bo),
        ["#1 \"are you there?\""],
        "the socket keeps receiving"
    );
    story.world.ping(bo);
    story.pass(10_000);
    assert_eq!(story.heard(ana), ["user_joined bo"]);
    story.pass(30_000);
    assert_eq!(story.heard(ana), ["user_left bo silent"]);
    // A frame is a sign as well.
    let answer = story.ask(bo, "presence", json!({"status": "away"}));
    assert_eq!(answer.len(), 1);
    assert_eq!(story.heard(ana), ["user_joined bo", "user_updated bo"]);
    story.pass(101_000);
    assert_eq!(story.closed(bo), (4408, "no sign of life".to_owned()));
    assert_eq!(story.heard(ana), ["user_left bo silent"]);
    assert!(
        story.world.is_open(ana),
        "who never pings is not held to it"
    );
    story.pass(3_600_000);
    assert_eq!(story.closed(ana), (4408, "idle".to_owned()));
}

/// Found by `hibernation.rs`: each rebuild put the next look off.
#[test]
fn a_return_is_seen_in_time_however_often_the_object_sleeps() {
    let mut story = Story::new();
    story.world.forgetful = true;
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.world.ping(bo);
    story.pass(17_000);
    assert_eq!(story.heard(ana), ["user_joined bo", "user_left bo silent"]);
    story.world.ping(bo);
    for n in 0..4 {
        story.pass(3_000);
        story.publish(&format!("q{n}"), "a").unwrap();
    }
    assert!(story.heard(ana).contains(&"user_joined bo".to_owned()));
}

#[test]
fn a_promise_of_fewer_heartbeats_is_kept_to() {
    let mut story = Story::new();
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.ask(bo, "heartbeat", json!({"every_ms": 40_000}));
    story.world.ping(bo);
    story.heard(ana);
    story.pass(95_000);
    assert_eq!(story.heard(ana), NOTHING);
    story.pass(12_000);
    assert_eq!(story.closed(bo).0, 4408);
}

#[test]
fn a_room_of_many_counts_instead_of_naming_each() {
    let mut story = Story::new();
    let ana = story.enter("ana");
    let others: Vec<_> = (0..199).map(|n| story.enter(&format!("u{n}"))).collect();
    assert_eq!(story.heard(ana).len(), 199);
    let last = story.enter("x");
    let told = story.hear(ana);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0]["type"], "user_joined");
    let reset = &told[1]["body"];
    assert_eq!(
        (&reset["reset"], &reset["count"]),
        (&json!(true), &json!(201))
    );
    assert_eq!(reset["members"].as_array().unwrap().len(), 100);
    let (next, joined) = story.enter_with("y", Join::default());
    assert_eq!(joined["presence"], "counted");
    story.world.close(last, 1000);
    assert_eq!(story.heard(ana), NOTHING, "at most once a second");
    story.pass(2_000);
    let told = story.hear(ana);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0]["body"],
        json!({"count": 201, "joined": [{"user": "y"}], "left": [{"user": "x"}]})
    );
    story.world.close(next, 1000);
    others[..51]
        .iter()
        .for_each(|conn| story.world.close(*conn, 1000));
    story.pass(2_000);
    let told = story.hear(ana);
    let last = &told.last().unwrap()["body"];
    assert_eq!(
        (&last["reset"], &last["count"]),
        (&json!(true), &json!(149))
    );
    story.world.close(others[60], 1000);
    assert_eq!(story.heard(ana), ["user_left u60 closed"]);
}

#[test]
fn a_token_that_ends_is_announced_and_closes() {
    let mut story = Story::new();
    let ana = story.enter("ana");
    let now = story.world.now;
    let mut bo = grant("bo");
    // The leeway of 30 s is on top of the token's own end.
    bo.expires_at = Some(now.plus(Millis(130_000)));
    let bo = story
        .world
        .connect_as(bo, Join::default())
        .unwrap()
        .unwrap();
    story.heard(ana);
    story.heard(bo);
    story.pass(39_000);
    assert_eq!(story.heard(bo), NOTHING);
    story.pass(2_000);
    let told = story.hear(bo);
    assert_eq!(told[0]["type"], "expiring");
    assert!(
        (58_000..=60_000).contains(&told[0]["body"]["in_ms"].as_u64().unwrap()),
        "{told:?}"
    );
    story.world.hibernate();
    story.pass(80_000);
    assert_eq!(story.heard(bo), NOTHING, "told once");
    story.pass(11_000);
    assert_eq!(story.closed(bo).0, 4401);
    assert_eq!(story.heard(ana), ["user_left bo expired"]);
}

#[test]
fn a_room_and_a_person_have_so_many_connections() {
    let mut story = Story::with(&[
        ("MAX_CONNECTIONS_PER_ROOM", "3"),
        ("MAX_CONNECTIONS_PER_USER", "2"),
    ]);
    story.enter("ana");
    story.enter("ana");
    let third = story
        .world
        .connect("ana", Join::default())
        .unwrap()
        .unwrap_err();
    assert_eq!(third.code.row().word, "rate_limited");
    story.enter("bo");
    let fourth = story
        .world
        .connect("cy", Join::default())
        .unwrap()
        .unwrap_err();
    assert_eq!(
        (fourth.code.row().word, fourth.code.row().close),
        ("full", 4503)
    );
    assert_eq!(story.members(), ["ana", "bo"]);
}
