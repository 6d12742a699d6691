//! Tables that clients rely on, as they stand in the interface: a change here is a change there.

use std::collections::BTreeSet;

use tertulia::error::Code;
use tertulia::id::EventType;
use tertulia::queue::may_follow;

/// Code, HTTP status, close code; 0 where a connection is never refused so.
const REFUSALS: [(&str, u16, u16); 30] = [
    ("bad_message", 400, 4400),
    ("budget_exceeded", 429, 4429),
    ("conflict", 409, 4400),
    ("forbidden", 403, 4403),
    ("full", 503, 4503),
    ("internal", 500, 4500),
    ("invalid_name", 400, 4400),
    ("invalid_payload", 400, 4400),
    ("key_missing", 503, 4503),
    ("method_not_allowed", 405, 0),
    ("not_found", 404, 4400),
    ("not_here", 409, 4400),
    ("not_joined", 409, 4400),
    ("provider_unavailable", 503, 4503),
    ("queue_full", 503, 4503),
    ("rate_limited", 429, 4429),
    ("token_algorithm", 401, 4401),
    ("token_claims", 401, 4401),
    ("token_expired", 401, 4401),
    ("token_malformed", 401, 4401),
    ("token_missing", 401, 4401),
    ("token_not_yet", 401, 4401),
    ("token_revoked", 401, 4401),
    ("token_signature", 401, 4401),
    ("too_big", 413, 1009),
    ("too_slow", 0, 4413),
    ("unavailable", 503, 4503),
    ("unknown_type", 400, 4400),
    ("unsupported", 400, 4400),
    ("unsupported_media_type", 415, 0),
];

#[test]
fn every_refusal_has_its_word_its_status_and_its_close_code() {
    let known: BTreeSet<&str> = Code::ALL.iter().map(|code| code.row().word).collect();
    let expected: BTreeSet<&str> = REFUSALS.iter().map(|(word, _, _)| *word).collect();
    assert_eq!(known, expected);
    for (word, http, close) in REFUSALS {
        let code = Code::ALL
            .into_iter()
            .find(|code| code.row().word == word)
            .unwrap();
        let row = code.row();
        assert_eq!(row.close, close, "{word}");
        // One that never answers a request has the status of its kind all the same.
        assert!(http == 0 || row.http == http, "{word}: {}", row.http);
        assert!((400..600).contains(&row.http), "{word}");
        assert!(!row.connect.is_empty(), "{word}");
    }
}

#[test]
fn what_may_help_when_tried_again_is_what_is_not_the_callers_doing() {
    let again: BTreeSet<&str> = Code::ALL
        .iter()
        .filter(|code| code.row().retryable)
        .map(|code| code.row().word)
        .collect();
    for word in [
        "bad_message",
        "forbidden",
        "not_found",
        "conflict",
        "too_big",
        "token_signature",
    ] {
        assert!(!again.contains(word), "{word}");
    }
    for word in [
        "rate_limited",
        "full",
        "queue_full",
        "unavailable",
        "provider_unavailable",
    ] {
        assert!(again.contains(word), "{word}");
    }
}

/// The service's own types, and the words that protocols use for themselves.
const RESERVED: [&str; 27] = [
    "connected",
    "user_joined",
    "user_updated",
    "user_left",
    "members",
    "skip",
    "presence_status_changed",
    "message_queued",
    "job",
    "answer_delta",
    "task_progress",
    "file",
    "receipt",
    "removed",
    "gap",
    "expiring",
    "closing",
    "error",
    "reply",
    "pong",
    "echo",
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

#[test]
fn a_publisher_may_not_speak_for_the_service() {
    for word in RESERVED {
        assert!(EventType::parse(word).is_err(), "{word}");
    }
    for word in ["message", "typing", "orders.new", "Reply", "x"] {
        assert!(EventType::parse(word).is_ok(), "{word}");
    }
}

#[test]
fn a_job_goes_from_state_to_state_by_the_table() {
    use tertulia::message::JobState::{Cancelled, Dead, Delayed, Done, Queued, Retrying, Running};
    let all = [Queued, Delayed, Running, Retrying, Done, Dead, Cancelled];
    let legal = [
        (Delayed, Queued),
        (Delayed, Cancelled),
        (Queued, Running),
        (Queued, Cancelled),
        (Retrying, Running),
        (Retrying, Cancelled),
        (Running, Done),
        (Running, Retrying),
        (Running, Dead),
        (Running, Cancelled),
    ];
    for from in all {
        for to in all {
            assert_eq!(
                may_follow(from, to),
                legal.contains(&(from, to)),
                "{from:?} {to:?}"
            );
        }
        assert_eq!(from.is_end(), all.iter().all(|to| !may_follow(from, *to)));
    }
}
