//! What was said: in order, once, kept for a while, and found again.

use serde_json::{Value, json};
use tertulia::id::{Epoch, Seq};
use tertulia::message::{Join, Reply, Since};
use tertulia::sql::Sql;

use super::{NOTHING, Story, publication, short};
use crate::support::world::Death;

fn since(epoch: &Value, seq: u64) -> Join {
    let epoch = Epoch::parse(epoch.as_str().unwrap()).unwrap();
    Join {
        since: Some(Since {
            epoch,
            seq: Seq(seq),
        }),
        ..Join::default()
    }
}

fn shorts(missed: &Value) -> Vec<String> {
    missed.as_array().unwrap().iter().map(short).collect()
}

#[test]
fn who_says_where_it_was_is_told_the_rest() {
    let mut story = Story::new();
    let (ana, joined) = story.enter_with("ana", Join::default());
    let epoch = &joined["epoch"];
    for body in ["a", "b", "c"] {
        story.say(ana, body);
    }
    let (_, back) = story.enter_with("bo", since(epoch, 1));
    assert_eq!(back["recovered"], true);
    assert_eq!(shorts(&back["missed"]), ["#2 \"b\"", "#3 \"c\""]);
    let (_, back) = story.enter_with("bo", since(epoch, 3));
    assert_eq!(
        (&back["recovered"], &back["missed"]),
        (&json!(true), &json!([]))
    );
    let (_, new) = story.enter_with(
        "bo",
        Join {
            last: Some(2),
            ..Join::default()
        },
    );
    assert_eq!(new["recovered"], Value::Null);
    assert_eq!(shorts(&new["missed"]), ["#2 \"b\"", "#3 \"c\""]);
}

#[test]
fn what_cannot_be_told_is_a_gap() {
    let mut story = Story::with(&[("HISTORY_MAX", "600"), ("RATE_MESSAGES_PER_S", "0")]);
    let (ana, joined) = story.enter_with("ana", Join::default());
    let epoch = joined["epoch"].clone();
    for n in 0..501 {
        story.say(ana, &n.to_string());
    }
    let mut verdict = |join: Join| {
        let conn = story.world.connect("bo", join).unwrap().unwrap();
        let told = story.hear(conn);
        let joined = &told[0]["body"]["joined"];
        let gap = told.get(1).map(short);
        (
            joined["recovered"].as_bool(),
            joined["missed"].as_array().unwrap().len(),
            gap,
        )
    };
    assert_eq!(verdict(since(&epoch, 1)), (Some(true), 500, None));
    let gap = |text: &str| (Some(false), 0, Some(text.to_owned()));
    assert_eq!(
        verdict(since(&epoch, 0)),
        gap("gap 1 to 501"),
        "more than 500"
    );
    assert_eq!(
        verdict(since(&json!("0123456789ab"), 500)),
        gap("gap null to 501")
    );
    assert_eq!(
        verdict(since(&epoch, 502)),
        gap("gap null to 501"),
        "above the head"
    );
    for n in 501..1000 {
        story.say(ana, &n.to_string());
    }
    let told = story.enter_with("cy", since(&epoch, 350)).1;
    assert_eq!(told["recovered"], false, "beyond what is kept");
}

#[test]
fn the_log_keeps_its_most_and_at_most_a_tenth_more() {
    let mut story = Story::with(&[("HISTORY_MAX", "20"), ("RATE_MESSAGES_PER_S", "0")]);
    let ana = story.enter("ana");
    for n in 0..100_u64 {
        story.say(ana, &n.to_string());
        let kept = story
            .world
            .sql
            .run("SELECT count(*) FROM log", &[])
            .unwrap()[0]
            .uint(0)
            .unwrap();
        assert!((20.min(n + 1)..=22).contains(&kept), "{kept} after {n}");
    }
    story.world.hibernate();
    story.say(ana, "last");
    assert_eq!(story.heard(ana), NOTHING);
}

#[test]
fn what_a_dead_object_did_not_say_is_said_by_the_next() {
    let mut story = Story::new();
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    story.say(ana, "one");
    story.heard(bo);
    story.world.death = Death::AfterCommit;
    assert_eq!(
        story.world.call("http", "q1", publication("two", &["bo"])),
        None
    );
    assert_eq!(story.heard(ana), NOTHING);
    story.publish("q2", "three").unwrap();
    assert_eq!(story.heard(ana), ["#2 \"two\"", "#3 \"three\""]);
    assert_eq!(story.heard(bo), ["#2 skip", "#3 \"three\""]);
    let Ok(Reply::Published(first)) = story.publish("q1", "two") else {
        panic!()
    };
    assert_eq!(
        first.seq,
        Some(Seq(2)),
        "the repeated call gets the first result"
    );
    assert_eq!(story.heard(ana), NOTHING);
}

#[test]
fn who_came_while_nobody_could_say_so_is_in_a_new_list() {
    let mut story = Story::new();
    let ana = story.enter("ana");
    story.world.death = Death::AfterCommit;
    assert_eq!(story.world.connect("bo", Join::default()), None);
    story.publish("q", "hi").unwrap();
    let told = story.hear(ana);
    assert_eq!(told[0]["body"]["reset"], true);
    assert_eq!(
        told[0]["body"]["count"], 2,
        "bo is given the grace of the lost"
    );
    assert_eq!(short(&told[1]), "#1 \"hi\"");
    story.pass(32_000);
    assert_eq!(story.heard(ana), ["user_left bo lost"]);
}

#[test]
fn storage_rolled_back_is_another_history() {
    let mut story = Story::new();
    let (ana, joined) = story.enter_with("ana", Join::default());
    for body in ["a", "b", "c"] {
        story.say(ana, body);
    }
    story
        .world
        .sql
        .run("DELETE FROM log WHERE seq > 1", &[])
        .unwrap();
    story.world.hibernate();
    story.publish("q", "d").unwrap();
    let told = story.hear(ana);
    let shorts: Vec<String> = told.iter().map(short).collect();
    assert_eq!(shorts, ["gap null to 1", "members", "#2 \"d\""]);
    assert_ne!(told[0]["body"]["epoch"], joined["epoch"]);
    assert_eq!(told[0]["body"]["epoch"], told[2]["epoch"]);
    let (_, back) = story.enter_with("bo", since(&joined["epoch"], 1));
    assert_eq!(back["recovered"], false);
}

#[test]
fn a_key_is_one_message() {
    let mut story = Story::new();
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    let frame = |body: &str| json!({"room": "plaza", "body": body, "key": "k"});
    let first = story.ask(ana, "broadcast", frame("once"));
    story.pass(1_000);
    let again = story.ask(ana, "broadcast", frame("once"));
    assert_eq!(first[0]["body"], again[0]["body"]);
    assert_eq!(again.len(), 1, "nothing is sent again");
    let other = story.ask(ana, "broadcast", frame("twice"));
    assert_eq!(other[0]["error"]["code"], "conflict");
    let of_bo = story.ask(bo, "broadcast", frame("mine"));
    assert_eq!(of_bo[0]["type"], "#1".replace("#1", "message"), "{of_bo:?}");
}

#[test]
fn who_is_excluded_sees_that_there_was_something() {
    let mut story = Story::new();
    let (ana, bo) = (story.enter("ana"), story.enter("bo"));
    story.heard(ana);
    story
        .world
        .call("http", "q", publication("psst", &["bo"]))
        .unwrap()
        .unwrap();
    assert_eq!(story.heard(ana), ["#1 \"psst\""]);
    assert_eq!(story.heard(bo), ["#1 skip"]);
    let page = story.ask(bo, "history", json!({"room": "plaza"}));
    assert_eq!(shorts(&page[0]["body"]["messages"]), ["#1 skip"]);
    let own = story.ask(
        ana,
        "broadcast",
        json!({"room": "plaza", "body": 1, "echo": false}),
    );
    let own: Vec<String> = own.iter().map(short).collect();
    assert_eq!(own, ["reply \"2\"", "#2 skip"]);
    assert_eq!(story.heard(bo), ["#2 1"]);
    let page = story.ask(ana, "history", json!({"room": "plaza", "after": 1}));
    assert_eq!(shorts(&page[0]["body"]["messages"]), ["#2 1"]);
}

#[test]
fn an_empty_room_is_forgotten_when_its_last_word_is_old() {
    let mut story = Story::with(&[("HISTORY_TTL_S", "1000")]);
    let (ana, joined) = story.enter_with("ana", Join::default());
    story.say(ana, "a");
    story.pass(2_000_000);
    story.world.close(ana, 1000);
    assert_eq!(
        story.world.forgotten, 1,
        "its last word is older than that already"
    );
    let (ana, again) = story.enter_with("ana", Join::default());
    assert_ne!(again["epoch"], joined["epoch"]);
    story.say(ana, "b");
    story.world.close(ana, 1000);
    story.pass(999_000);
    assert_eq!(story.world.forgotten, 1);
    story.pass(3_000);
    assert_eq!(story.world.forgotten, 2);
    assert_eq!(story.world.alarm, None);
}

/// Found by `hibernation.rs`: a room without entries was over at once when rebuilt, and after its
/// TTL when kept in memory; and a key was forgotten with its room.
#[test]
fn a_room_is_kept_as_long_as_a_key_and_no_longer_than_it_has_anything() {
    let mut story = Story::with(&[("HISTORY_TTL_S", "1000")]);
    let ana = story.enter("ana");
    story.world.close(ana, 1000);
    assert_eq!(story.world.forgotten, 1, "nothing was said");
    let ana = story.enter("ana");
    let keyed = json!({"room": "plaza", "body": "a", "key": "k", "ephemeral": true});
    let first = story.ask(ana, "broadcast", keyed.clone());
    story.world.close(ana, 1000);
    story.world.hibernate();
    story.pass(23 * 3_600_000);
    let ana = story.enter("ana");
    let again = story.ask(ana, "broadcast", keyed);
    assert_eq!(first[0]["body"], again[0]["body"]);
    story.world.close(ana, 1000);
    story.pass(2 * 3_600_000);
    assert_eq!(story.world.forgotten, 2);
}
