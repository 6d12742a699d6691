#![expect(clippy::too_many_lines, reason = "tables: one line a case")]

use std::rc::Rc;

use crate::error::{Code, Rejected};
use crate::id::{ConnId, Epoch, EventType, JobId, JobNo, MessageId, RoomName, Seq, UserId};
use crate::limits::FRAME_BATCH_MAX;
use crate::message::{
    AckOf, Ask, Author, Envelope, HistoryPage, JobState, JobView, Join, Joined, Json, Member,
    MembersPage, NewJob, PageQuery, Presence, Publication, Published, Reply, Request, Since,
    Status, Writing,
};
use crate::time::{Millis, Timestamp};
use crate::wire::{Frame, Incoming, Protocol};

const EPOCH: Epoch = Epoch(0x0000_0000_00ab);
const TS: Timestamp = Timestamp(1_700_000_000_000);

fn decode(text: &str) -> Vec<Incoming> {
    let mut out = Vec::new();
    Protocol::Native.decode(Frame::Text(text), &mut out);
    out
}

fn one(text: &str) -> Incoming {
    let mut out = decode(text);
    assert_eq!(out.len(), 1, "{text}");
    out.remove(0)
}

fn room() -> RoomName {
    RoomName::parse("r").unwrap()
}

fn json(text: &str) -> Json {
    Json::stored(text).unwrap()
}

fn publication(body: &str) -> Publication {
    Publication {
        kind: EventType::message(),
        body: Some(json(body)),
        meta: None,
        corr: None,
        ephemeral: false,
        echo: true,
        exclude: Vec::new(),
        key: None,
    }
}

fn page(after: Option<u64>, before: Option<u64>, limit: usize) -> PageQuery {
    PageQuery {
        after: after.map(Seq),
        before: before.map(Seq),
        limit,
        types: Vec::new(),
    }
}

/// Every type with its least and its fullest payload, and what it must become.
fn valid() -> Vec<(&'static str, Ask)> {
    let job = |input: &str| NewJob {
        kind: "ai.chat".into(),
        input: json(input),
        key: None,
        corr: None,
        delay: Millis(0),
        priority: 0,
        max_attempts: None,
    };
    let user = |id: &str| UserId::parse(id).unwrap();
    let status = |status: &str| Status {
        status: status.into(),
        text: None,
        meta: None,
    };
    vec![
        (r#""ack","payload":{"room":"r","seq":9007199254740991}"#, {
            Ask::Ack(AckOf::UpTo {
                room: room(),
                seq: Seq((1 << 53) - 1),
            })
        }),
        (
            r#""ack","payload":{"message_id":"0000000000ab-7","room":"r"}"#,
            {
                Ask::Ack(AckOf::Message(MessageId::Logged {
                    epoch: EPOCH,
                    seq: Seq(7),
                }))
            },
        ),
        (r#""broadcast","payload":{"room":"r","body":null}"#, {
            Ask::Broadcast {
                room: room(),
                publication: publication("null"),
            }
        }),
        (
            concat!(
                r#""broadcast","payload":{"room":"r","type":"order","body":{"a": [1, 2]},"#,
                r#""meta":{"m":1},"corr":"c","key":"k","ephemeral":true,"echo":false,"exclude":["x"]}"#
            ),
            Ask::Broadcast {
                room: room(),
                publication: Publication {
                    kind: EventType::known("order"),
                    meta: Some(json(r#"{"m":1}"#)),
                    corr: Some("c".into()),
                    key: Some("k".into()),
                    ephemeral: true,
                    echo: false,
                    ..publication(r#"{"a": [1, 2]}"#)
                },
            },
        ),
        (
            concat!(
                r#""broadcast","payload":{"\u0072oom":"\u0072","body":"\ud800","type":null,"#,
                r#""meta":null,"corr":null,"key":null,"ephemeral":null,"echo":null,"confirm_ms":null}"#
            ),
            Ask::Broadcast {
                room: room(),
                publication: publication(r#""\ud800""#),
            },
        ),
        (
            r#""cancel","payload":{"room":"r","job":"0000000000ab-j3"}"#,
            {
                Ask::Cancel {
                    room: room(),
                    job: JobId {
                        epoch: EPOCH,
                        no: JobNo(3),
                    },
                }
            },
        ),
        (
            r#""heartbeat","payload":{"every_ms":90000}"#,
            Ask::Heartbeat {
                every: Millis(90_000),
            },
        ),
        (r#""history","payload":{"room":"r"}"#, {
            Ask::History {
                room: room(),
                page: page(None, None, 50),
            }
        }),
        (
            r#""history","payload":{"room":"r","before":9,"limit":500}"#,
            {
                Ask::History {
                    room: room(),
                    page: page(None, Some(9), 500),
                }
            },
        ),
        (r#""history","payload":{"room":"r","after":0,"limit":1}"#, {
            Ask::History {
                room: room(),
                page: page(Some(0), None, 1),
            }
        }),
        (
            r#""job","payload":{"room":"r","kind":"ai.chat","input":{"prompt":"hi"}}"#,
            {
                Ask::Job {
                    room: room(),
                    job: job(r#"{"prompt":"hi"}"#),
                }
            },
        ),
        (
            concat!(
                r#""job","payload":{"room":"r","kind":"ai.chat","input":{},"key":"k","corr":"c","#,
                r#""delay_ms":5,"priority":-100,"max_attempts":25}"#
            ),
            Ask::Job {
                room: room(),
                job: NewJob {
                    key: Some("k".into()),
                    corr: Some("c".into()),
                    delay: Millis(5),
                    priority: -100,
                    max_attempts: Some(25),
                    ..job("{}")
                },
            },
        ),
        (
            r#""join","payload":{"room":"r"}"#,
            Ask::Join {
                room: room(),
                join: Join::default(),
            },
        ),
        (
            concat!(
                r#""join","payload":{"room":"r","meta":{"c":"red"},"last":100,"#,
                r#""since":{"epoch":"0000000000ab","seq":0}}"#
            ),
            Ask::Join {
                room: room(),
                join: Join {
                    meta: Some(json(r#"{"c":"red"}"#)),
                    since: Some(Since {
                        epoch: EPOCH,
                        seq: Seq(0),
                    }),
                    last: Some(100),
                },
            },
        ),
        (
            r#""leave","payload":{"room":"r","other":{"x":[]}}"#,
            Ask::Leave { room: room() },
        ),
        (r#""members","payload":{"room":"r"}"#, {
            Ask::Members {
                room: room(),
                after: None,
                limit: 100,
            }
        }),
        (
            r#""members","payload":{"room":"r","after":"ana","limit":0}"#,
            {
                Ask::Members {
                    room: room(),
                    after: Some(user("ana")),
                    limit: 0,
                }
            },
        ),
        (r#""ping""#, Ask::Ping { payload: None }),
        (
            r#""ping","payload":null"#,
            Ask::Ping {
                payload: Some(Json::null()),
            },
        ),
        (
            r#""ping","payload":[1,{"a":2}]"#,
            Ask::Ping {
                payload: Some(json(r#"[1,{"a":2}]"#)),
            },
        ),
        (
            r#""presence","payload":{"status":"away"}"#,
            Ask::Presence(status("away")),
        ),
        (
            r#""presence","payload":{"status":"busy","text":"lunch","meta":1}"#,
            {
                Ask::Presence(Status {
                    text: Some("lunch".into()),
                    meta: Some(json("1")),
                    ..status("busy")
                })
            },
        ),
        (
            r#""token","payload":{"token":"a.b.c"}"#,
            Ask::Token {
                token: "a.b.c".into(),
            },
        ),
    ]
}

#[test]
fn every_request_reads_with_and_without_an_id() {
    for (rest, ask) in valid() {
        let plain = one(&format!(r#"{{"type":{rest}}}"#));
        assert_eq!(
            plain,
            Incoming::Request(Request {
                id: None,
                ask: ask.clone()
            }),
            "{rest}"
        );
        let named = one(&format!(" {{\"id\": \"\\u0031\",\n\"type\":{rest}}} "));
        assert_eq!(
            named,
            Incoming::Request(Request {
                id: Some("1".into()),
                ask
            }),
            "{rest}"
        );
    }
}

#[test]
fn text_that_is_no_json_is_an_echo() {
    let broken_later = r#"{"type":"a","type":"b", oops"#;
    for text in [
        "",
        "hello",
        "{",
        "[",
        "[1,",
        "{'a':1}",
        "ping ",
        "NaN",
        "\u{feff}{}",
        broken_later,
        "[1]x",
    ] {
        assert_eq!(one(text), Incoming::Echo(text.into()), "{text}");
    }
    let long = format!("{}x", "[1,".repeat(1000));
    assert_eq!(one(&long), Incoming::Echo(long.clone()));
}

#[test]
fn the_bare_sign_of_life_and_a_binary_frame() {
    assert_eq!(one("ping"), Incoming::Ping);
    let mut out = Vec::new();
    Protocol::Native.decode(Frame::Binary, &mut out);
    let [Incoming::Refused { id: None, rejected }] = out.as_slice() else {
        panic!("{out:?}")
    };
    assert_eq!(rejected.code, Code::Unsupported);
}

/// A refusal's code and its detail.
fn refusal(incoming: Incoming) -> (Option<String>, Rejected) {
    match incoming {
        Incoming::Refused { id, rejected } => (id, rejected),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_is_no_message_is_refused_as_such() {
    let long_id = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(129));
    for text in [
        "5",
        "null",
        "true",
        "\"ping\"",
        " \"x\"",
        "{}",
        "[]",
        r#"{"type":5}"#,
        r#"{"type":null}"#,
        r#"{"type":"\ud800"}"#,
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"ping","id":5}"#,
        r#"{"type":"ping","id":null}"#,
        r#"[["ping"]]"#,
        r#"[["ping","1",{}]]"#,
        "[5]",
        &long_id,
    ] {
        let (id, rejected) = refusal(one(text));
        assert_eq!((id, rejected.code), (None, Code::BadMessage), "{text}");
    }
    let (id, rejected) = refusal(one(r#"{"id":"7"}"#));
    assert_eq!(
        (id.as_deref(), rejected.code),
        (Some("7"), Code::BadMessage)
    );
}

#[test]
fn an_unknown_type_is_named() {
    for (kind, says) in [
        ("nack", "is not built yet"),
        ("direct", "is not built yet"),
        ("watch", "is not built yet"),
        ("unwatch", "is not built yet"),
        ("status", "is not built yet"),
        ("Join", "is no type of message"),
        ("", "is no type of message"),
    ] {
        let (id, rejected) = refusal(one(&format!(r#"{{"id":"a","type":"{kind}"}}"#)));
        assert_eq!(
            (id.as_deref(), rejected.code),
            (Some("a"), Code::UnknownType),
            "{kind}"
        );
        assert_eq!(rejected.detail, format!("`{kind}` {says}"));
    }
    let long = refusal(one(&format!(r#"{{"type":"{}"}}"#, "ñ".repeat(9999)))).1;
    assert!(long.detail.len() < 300);
}

#[test]
fn every_payload_is_refused_by_the_name_of_its_field() {
    use Code::{InvalidName, InvalidPayload, NotFound};
    let meta = format!(r#"{{"room":"r","meta":"{}"}}"#, "x".repeat(2047));
    let key = format!(r#"{{"room":"r","body":1,"key":"{}"}}"#, "x".repeat(256));
    let corr = format!(r#"{{"room":"r","body":1,"corr":"{}"}}"#, "x".repeat(129));
    let status = format!(r#"{{"status":"{}"}}"#, "x".repeat(33));
    let text = format!(r#"{{"status":"a","text":"{}"}}"#, "x".repeat(257));
    let name = format!(r#"{{"room":"{}"}}"#, "x".repeat(129));
    let table: &[(&str, &str, Code, &str)] = &[
        ("ack", "{}", InvalidPayload, "either"),
        ("ack", r#"{"seq":1}"#, InvalidPayload, "`room`"),
        ("ack", r#"{"room":"r","seq":-1}"#, InvalidPayload, "`seq`"),
        (
            "ack",
            r#"{"room":"r","seq":1,"message_id":"0000000000ab-7"}"#,
            InvalidPayload,
            "either",
        ),
        ("ack", r#"{"message_id":"x"}"#, NotFound, "`message_id`"),
        (
            "ack",
            r#"{"message_id":"x y"}"#,
            InvalidName,
            "`message_id`",
        ),
        ("broadcast", r#"{"body":1}"#, InvalidPayload, "`room`"),
        (
            "broadcast",
            r#"{"room":5,"body":1}"#,
            InvalidPayload,
            "`room`",
        ),
        (
            "broadcast",
            r#"{"room":null,"body":1}"#,
            InvalidPayload,
            "`room`",
        ),
        (
            "broadcast",
            r#"{"room":"a b","body":1}"#,
            InvalidName,
            "room",
        ),
        ("broadcast", r#"{"room":"","body":1}"#, InvalidName, "room"),
        (
            "broadcast",
            r#"{"room":"~lobby-1","body":1}"#,
            InvalidName,
            "room",
        ),
        ("broadcast", r#"{"room":"r"}"#, InvalidPayload, "`body`"),
        (
            "broadcast",
            r#"{"room":"r","room":"r","body":1}"#,
            InvalidPayload,
            "`room`",
        ),
        (
            "broadcast",
            r#"{"room":"r","body":1,"type":"pong"}"#,
            InvalidName,
            "pong",
        ),
        (
            "broadcast",
            r#"{"room":"r","body":1,"type":"a b"}"#,
            InvalidName,
            "type",
        ),
        (
            "broadcast",
            r#"{"room":"r","body":1,"type":5}"#,
            InvalidPayload,
            "`type`",
        ),
        (
            "broadcast",
            r#"{"room":"r","body":1,"echo":"false"}"#,
            InvalidPayload,
            "`echo`",
        ),
        (
            "broadcast",
            r#"{"room":"r","body":1,"ephemeral":1}"#,
            InvalidPayload,
            "`ephemeral`",
        ),
        (
            "broadcast",
            r#"{"room":"r","body":1,"confirm_ms":9}"#,
            InvalidPayload,
            "not built yet",
        ),
        (
            "broadcast",
            r#"{"room":"r","body":1,"key":""}"#,
            InvalidPayload,
            "`key`",
        ),
        ("broadcast", &key, InvalidPayload, "`key`"),
        ("broadcast", &corr, InvalidPayload, "`corr`"),
        ("cancel", r#"{"room":"r"}"#, InvalidPayload, "`job`"),
        ("cancel", r#"{"room":"r","job":5}"#, InvalidPayload, "`job`"),
        ("cancel", r#"{"room":"r","job":"nope"}"#, NotFound, "`job`"),
        ("cancel", r#"{"room":"r","job":""}"#, InvalidName, "`job`"),
        ("heartbeat", "{}", InvalidPayload, "`every_ms`"),
        (
            "heartbeat",
            r#"{"every_ms":999}"#,
            InvalidPayload,
            "`every_ms`",
        ),
        (
            "heartbeat",
            r#"{"every_ms":90001}"#,
            InvalidPayload,
            "`every_ms`",
        ),
        (
            "heartbeat",
            r#"{"every_ms":"4000"}"#,
            InvalidPayload,
            "`every_ms`",
        ),
        (
            "heartbeat",
            r#"{"every_ms":4000.5}"#,
            InvalidPayload,
            "`every_ms`",
        ),
        (
            "history",
            r#"{"room":"r","after":1,"before":9}"#,
            InvalidPayload,
            "`after`",
        ),
        (
            "history",
            r#"{"room":"r","after":9007199254740992}"#,
            InvalidPayload,
            "`after`",
        ),
        (
            "history",
            r#"{"room":"r","before":1e3}"#,
            InvalidPayload,
            "`before`",
        ),
        (
            "history",
            r#"{"room":"r","limit":0}"#,
            InvalidPayload,
            "`limit`",
        ),
        (
            "history",
            r#"{"room":"r","limit":501}"#,
            InvalidPayload,
            "500",
        ),
        (
            "job",
            r#"{"room":"r","input":{}}"#,
            InvalidPayload,
            "`kind`",
        ),
        (
            "job",
            r#"{"room":"r","kind":"","input":{}}"#,
            InvalidPayload,
            "`kind`",
        ),
        (
            "job",
            r#"{"room":"r","kind":"ai.chat"}"#,
            InvalidPayload,
            "`input`",
        ),
        (
            "job",
            r#"{"room":"r","kind":"ai.chat","input":"hi"}"#,
            InvalidPayload,
            "`input`",
        ),
        (
            "job",
            r#"{"room":"r","kind":"k","input":{},"delay_ms":-1}"#,
            InvalidPayload,
            "`delay_ms`",
        ),
        (
            "job",
            r#"{"room":"r","kind":"k","input":{},"priority":101}"#,
            InvalidPayload,
            "`prio",
        ),
        (
            "job",
            r#"{"room":"r","kind":"k","input":{},"max_attempts":0}"#,
            InvalidPayload,
            "`max",
        ),
        (
            "job",
            r#"{"room":"r","kind":"k","input":{},"max_attempts":26}"#,
            InvalidPayload,
            "`max",
        ),
        ("join", "{}", InvalidPayload, "`room`"),
        ("join", &name, InvalidName, "room"),
        ("join", &meta, InvalidPayload, "`meta`"),
        (
            "join",
            r#"{"room":"r","last":101}"#,
            InvalidPayload,
            "`last`",
        ),
        (
            "join",
            r#"{"room":"r","since":5}"#,
            InvalidPayload,
            "`since`",
        ),
        (
            "join",
            r#"{"room":"r","since":{"seq":1}}"#,
            InvalidPayload,
            "`since.epoch`",
        ),
        (
            "join",
            r#"{"room":"r","since":{"epoch":"AB","seq":1}}"#,
            InvalidPayload,
            "`since.epoch`",
        ),
        (
            "join",
            r#"{"room":"r","since":{"epoch":"0000000000ab"}}"#,
            InvalidPayload,
            "`since.seq`",
        ),
        (
            "join",
            r#"{"room":"r","since":{"epoch":"0000000000ab","seq":"1"}}"#,
            InvalidPayload,
            "`since.seq`",
        ),
        ("leave", "[]", InvalidPayload, "`payload`"),
        ("leave", "\"r\"", InvalidPayload, "`payload`"),
        ("leave", "null", InvalidPayload, "`payload`"),
        (
            "members",
            r#"{"room":"r","limit":-1}"#,
            InvalidPayload,
            "`limit`",
        ),
        (
            "members",
            r#"{"room":"r","limit":501}"#,
            InvalidPayload,
            "`limit`",
        ),
        (
            "members",
            r#"{"room":"r","after":5}"#,
            InvalidPayload,
            "`after`",
        ),
        (
            "members",
            r#"{"room":"r","after":"a b"}"#,
            InvalidName,
            "user",
        ),
        ("presence", "{}", InvalidPayload, "`status`"),
        ("presence", r#"{"status":""}"#, InvalidPayload, "`status`"),
        ("presence", &status, InvalidPayload, "`status`"),
        ("presence", &text, InvalidPayload, "`text`"),
        ("token", "{}", InvalidPayload, "`token`"),
        ("token", r#"{"token":5}"#, InvalidPayload, "`token`"),
    ];
    for (kind, payload, code, says) in table {
        let frame = format!(r#"{{"type":"{kind}","id":"i","payload":{payload}}}"#);
        let (id, rejected) = refusal(one(&frame));
        assert_eq!(
            (id.as_deref(), rejected.code),
            (Some("i"), *code),
            "{frame}: {rejected}"
        );
        assert!(rejected.detail.contains(says), "{frame}: {rejected}");
    }
    for kind in [
        "ack",
        "broadcast",
        "cancel",
        "heartbeat",
        "history",
        "job",
        "join",
        "leave",
    ] {
        let (_, rejected) = refusal(one(&format!(r#"{{"type":"{kind}"}}"#)));
        assert_eq!(rejected.code, InvalidPayload, "{kind} without a payload");
        assert!(rejected.detail.contains("`payload`"), "{rejected}");
    }
}

#[test]
fn depth_is_refused_wherever_it_is_and_costs_no_stack() {
    for levels in [63, 10_000, 200_000] {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        for frame in [
            format!(r#"{{"type":"broadcast","payload":{{"room":"r","body":{deep}}},"id":"i"}}"#),
            format!(r#"{{"type":"ping","payload":{{"p":{objects}}},"id":"i"}}"#),
            format!(r#"{{"x":{{"y":{deep}}},"type":"leave","payload":{{"room":"r"}},"id":"i"}}"#),
        ] {
            let (id, rejected) = refusal(one(&frame));
            assert_eq!(
                (id.as_deref(), rejected.code),
                (Some("i"), Code::InvalidPayload)
            );
            assert!(rejected.detail.contains("64"));
        }
        let (_, rejected) = refusal(one(&format!(r#"{{"type":{deep}}}"#)));
        assert_eq!(rejected.code, Code::BadMessage);
        let (_, rejected) = refusal(one(&objects));
        assert_eq!(rejected.code, Code::BadMessage);
        let batch = decode(&format!(r#"[{objects},{{"type":"ping"}}]"#));
        assert!(matches!(
            batch.as_slice(),
            [Incoming::Refused { .. }, Incoming::Request(_)]
        ));
        assert!(matches!(one(&"[".repeat(levels)), Incoming::Echo(_)));
    }
    let fits = format!("{}{}", "[".repeat(62), "]".repeat(62));
    let frame = format!(r#"{{"type":"broadcast","payload":{{"room":"r","body":{fits}}}}}"#);
    assert!(matches!(one(&frame), Incoming::Request(_)));
    let brackets = format!(r#"{{"type":"ping","payload":"\\\"{}"}}"#, "[".repeat(100));
    assert!(
        matches!(one(&brackets), Incoming::Request(_)),
        "brackets in a string nest nothing"
    );
}

#[test]
fn a_batch_is_judged_message_by_message_in_order() {
    let out = decode(r#"[{"type":"ping","id":"1"},{"type":"x","id":"2"},5,{"type":"ping"}]"#);
    let [
        Incoming::Request(Request {
            id: Some(first), ..
        }),
        Incoming::Refused {
            id: Some(second),
            rejected: unknown,
        },
        Incoming::Refused {
            id: None,
            rejected: number,
        },
        Incoming::Request(Request { id: None, .. }),
    ] = out.as_slice()
    else {
        panic!("{out:?}")
    };
    assert_eq!((first.as_str(), second.as_str()), ("1", "2"));
    assert_eq!(
        (unknown.code, number.code),
        (Code::UnknownType, Code::BadMessage)
    );
}

#[test]
fn a_batch_has_a_bound() {
    let batch = |n: usize| format!("[{}]", vec![r#"{"type":"ping"}"#; n].join(","));
    assert_eq!(decode(&batch(FRAME_BATCH_MAX)).len(), FRAME_BATCH_MAX);
    let (id, rejected) = refusal(one(&batch(FRAME_BATCH_MAX + 1)));
    assert_eq!((id, rejected.code), (None, Code::InvalidPayload));
    let unended = format!("{},oops]", batch(300).trim_end_matches(']'));
    assert_eq!(
        one(&unended),
        Incoming::Echo(unended.clone()),
        "no JSON after all"
    );
}

#[test]
fn no_mutation_of_a_frame_panics_or_is_passed_over() {
    let mut seeds: Vec<String> = valid()
        .iter()
        .map(|(rest, _)| format!(r#"{{"id":"7","type":{rest}}}"#))
        .collect();
    seeds.push(format!("[{}]", seeds.join(",")));
    let scraps = [
        "{", "}", "[", "]", "\"", "\\", ",", ":", "null", "\\u", "ñ", "-", "1e9", "\u{0}", " ",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let mut frame: Vec<char> = seeds[random.usize(..seeds.len())].chars().collect();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..=frame.len());
            match random.u8(..4) {
                0 => frame.truncate(at),
                1 if at < frame.len() => {
                    frame.remove(at);
                }
                2 => {
                    let to = random.usize(at..=frame.len());
                    let copy: Vec<char> = frame[at..to].to_vec();
                    frame.splice(at..at, copy);
                }
                _ => {
                    let scrap = scraps[random.usize(..scraps.len())];
                    frame.splice(at..at, scrap.chars());
                }
            }
        }
        let frame: String = frame.into_iter().collect();
        let out = decode(&frame);
        assert!(!out.is_empty() && out.len() <= FRAME_BATCH_MAX, "{frame}");
        let json = serde_json::from_str::<serde::de::IgnoredAny>(&frame).is_ok();
        let echoed = out.contains(&Incoming::Echo(frame.clone()));
        assert_eq!(echoed, !json && frame != "ping", "{frame}");
    }
}

fn author() -> Author {
    Author {
        user: UserId::parse("ana").unwrap(),
        name: Some("Ana \"A\"".into()),
        conn: Some(ConnId(0x1f)),
        guest: false,
    }
}

fn message() -> Envelope {
    Envelope {
        id: Some(MessageId::Logged {
            epoch: EPOCH,
            seq: Seq(5),
        }),
        from: Some(author()),
        seq: Some(Seq(5)),
        epoch: Some(EPOCH),
        ..Envelope::event("message", TS, json(r#"{"text": "hola"}"#)).in_room(&room())
    }
}

#[test]
fn envelopes_have_the_order_and_the_fields_of_the_table() {
    let guest = Author {
        name: None,
        conn: None,
        guest: true,
        ..author()
    };
    let job = JobId {
        epoch: EPOCH,
        no: JobNo(4),
    };
    let table = [
        (
            message(),
            concat!(
                r#"{"type":"message","id":"0000000000ab-5","room":"r","#,
                r#""from":{"user":"ana","name":"Ana \"A\"","conn":"000000000000001f"},"#,
                r#""ts":1700000000000,"seq":5,"epoch":"0000000000ab","body":{"text": "hola"}}"#
            ),
        ),
        (
            Envelope {
                from: Some(guest),
                meta: Some(json(r#"{"m":1}"#)),
                corr: Some("c".into()),
                retry: Some(2),
                ..message()
            },
            concat!(
                r#"{"type":"message","id":"0000000000ab-5","room":"r","#,
                r#""from":{"user":"ana","guest":true},"ts":1700000000000,"seq":5,"#,
                r#""epoch":"0000000000ab","body":{"text": "hola"},"meta":{"m":1},"corr":"c","retry":2}"#
            ),
        ),
        (
            Envelope::skip(&room(), Seq(6), EPOCH, TS),
            r#"{"type":"skip","room":"r","ts":1700000000000,"seq":6,"epoch":"0000000000ab"}"#,
        ),
        (
            Envelope::event("gap", TS, json(r#"{"from":null,"to":9}"#)).in_room(&room()),
            r#"{"type":"gap","room":"r","ts":1700000000000,"body":{"from":null,"to":9}}"#,
        ),
        (
            Envelope {
                id: Some(job.answer()),
                ..Envelope::event("message", TS, Json::null())
            },
            r#"{"type":"message","id":"0000000000ab-j4-a","ts":1700000000000,"body":null}"#,
        ),
    ];
    for (envelope, text) in table {
        assert_eq!(&*Protocol::Native.encode_envelope(&envelope), text);
    }
}

fn job_view(job: JobId) -> JobView {
    JobView {
        id: job,
        room: room(),
        kind: "ai.chat".into(),
        input: json(r#"{"prompt":"hi"}"#),
        state: JobState::Queued,
        attempt: 0,
        max_attempts: 5,
        message_id: job.answer(),
        result: None,
        error: None,
        retried_from: None,
        created_at: TS,
        run_at: TS,
        finished_at: None,
    }
}

#[test]
fn replies_carry_the_body_of_their_request() {
    let job = JobId {
        epoch: EPOCH,
        no: JobNo(4),
    };
    let member = Member {
        user: UserId::parse("ana").unwrap(),
        name: None,
        role: None,
        status: "online".into(),
        text: None,
        meta: None,
        connections: 1,
        joined_at: TS,
    };
    let shown =
        r#"{"user":"ana","status":"online","meta":null,"connections":1,"joined_at":1700000000000}"#;
    let status = Status {
        status: "busy".into(),
        text: Some("x".into()),
        meta: None,
    };
    let published = Published {
        id: MessageId::Ephemeral { boot: 0xb0, n: 1 },
        room: room(),
        seq: None,
        epoch: None,
        ts: TS,
    };
    let viewed = concat!(
        r#"{"id":"0000000000ab-j4","room":"r","kind":"ai.chat","input":{"prompt":"hi"},"#,
        r#""state":"queued","attempt":0,"max_attempts":5,"message_id":"0000000000ab-j4-a","#,
        r#""created_at":1700000000000,"run_at":1700000000000}"#
    );
    let joined = Joined {
        room: room(),
        epoch: EPOCH,
        seq: Seq(5),
        count: 1,
        members: vec![member.clone()],
        recovered: None,
        gap: None,
        rev: crate::link::Rev(3),
        missed: vec![Envelope::skip(&room(), Seq(5), EPOCH, TS)],
        answers: vec![Writing {
            message_id: job.answer(),
            job,
            attempt: 1,
            text: "so far".into(),
        }],
        presence: Presence::Each,
    };
    let members = MembersPage {
        count: 1,
        members: vec![member],
        next: None,
    };
    let history = HistoryPage {
        epoch: None,
        messages: vec![],
        next: Some(Seq(9)),
    };
    let table = [
        (
            Reply::Acknowledged { seq: Seq(3) },
            r#"{"seq":3}"#.to_owned(),
        ),
        (
            Reply::Cancelled {
                state: JobState::Cancelled,
            },
            r#"{"state":"cancelled"}"#.into(),
        ),
        (
            Reply::Heartbeat {
                every_ms: Millis(4000),
            },
            r#"{"every_ms":4000}"#.into(),
        ),
        (
            Reply::History(history),
            r#"{"epoch":null,"messages":[],"next":9}"#.into(),
        ),
        (Reply::Job(Box::new(job_view(job))), viewed.into()),
        (
            Reply::JobCreated {
                job: Box::new(job_view(job)),
            },
            format!(r#"{{"job":{viewed}}}"#),
        ),
        (
            Reply::Joined(Box::new(joined)),
            format!(
                concat!(
                    r#"{{"room":"r","epoch":"0000000000ab","seq":5,"count":1,"members":[{}],"#,
                    r#""recovered":null,"missed":[{{"type":"skip","room":"r","ts":1700000000000,"#,
                    r#""seq":5,"epoch":"0000000000ab"}}],"answers":[{{"message_id":"#,
                    r#""0000000000ab-j4-a","job":"0000000000ab-j4","attempt":1,"text":"so far"}}],"#,
                    r#""presence":"each"}}"#
                ),
                shown
            ),
        ),
        (Reply::Left { room: room() }, r#"{"room":"r"}"#.into()),
        (
            Reply::Members(members),
            format!(r#"{{"count":1,"members":[{shown}],"next":null}}"#),
        ),
        (
            Reply::Presence(status),
            r#"{"status":"busy","text":"x"}"#.into(),
        ),
        (
            Reply::Published(published),
            r#"{"id":"e-b0-1","room":"r","ts":1700000000000}"#.into(),
        ),
        (
            Reply::TokenRenewed {
                expires_at: Some(TS),
            },
            r#"{"expires_at":1700000000000}"#.into(),
        ),
    ];
    for (reply, body) in table {
        let text = Protocol::Native.encode_reply("q\n1", &Ok(reply));
        assert_eq!(
            &*text,
            format!(r#"{{"type":"reply","id":"q\n1","body":{body}}}"#)
        );
    }
}

#[test]
fn refusals_echoes_and_pongs() {
    let native = Protocol::Native;
    let rejected = Rejected::new(Code::Full, "no \"room\"");
    let failure = r#"{"code":"full","message":"no \"room\"","retryable":true}"#;
    let payload = json("[1, 2]");
    let table: [(Rc<str>, String); 7] = [
        (
            native.encode_reply("1", &Err(rejected.clone())),
            format!(r#"{{"type":"reply","id":"1","error":{failure}}}"#),
        ),
        (
            native.encode_error(&rejected, TS),
            format!(r#"{{"type":"error","ts":1700000000000,"body":{failure}}}"#),
        ),
        (
            native.encode_pong(None, None, TS),
            r#"{"type":"pong","ts":1700000000000}"#.into(),
        ),
        (
            native.encode_pong(None, Some(&payload), TS),
            r#"{"type":"pong","ts":1700000000000,"body":[1, 2]}"#.into(),
        ),
        (
            native.encode_pong(Some("1"), Some(&payload), TS),
            r#"{"type":"reply","id":"1","body":[1, 2]}"#.into(),
        ),
        (
            native.encode_pong(Some("1"), None, TS),
            r#"{"type":"reply","id":"1","body":null}"#.into(),
        ),
        (
            native.encode_echo("no \"json\"\u{1}", TS),
            r#"{"type":"echo","ts":1700000000000,"body":"no \"json\"\u0001"}"#.into(),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(&*text, expected);
    }
}
