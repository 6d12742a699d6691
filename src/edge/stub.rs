//! The calls between a Worker and a room's object: names, paths and bodies, defined once and used
//! by both ends. Compiled on the host, so that what one deploy writes is held to what the last
//! one wrote. Knows no socket, no fetch and no machine. Source: `architecture.md`, "Objects".
//!
//! Invariants: every call carries `v`; a receiver takes [`VERSION`] and the one before, because
//! deploys are gradual, so variants and fields are added and never renamed. The object's name is
//! the room's. An answer to [`Call`] is the client's HTTP response, made by the object.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ai::Turn;
use crate::error::Broken;
use crate::grant::Grant;
use crate::id::{ConnId, JobId, RoomName, UserId};
use crate::link::VERSION;
use crate::message::Join;
use crate::queue::Token;
use crate::time::Millis;
use crate::wire::Protocol;

pub use crate::http::Op;

/// `POST`, body [`Call`], answer an HTTP response for the client.
pub const CALL_PATH: &str = "/call";
/// `GET` with an upgrade and [`Enter`] in [`ENTER_HEADER`].
pub const ENTER_PATH: &str = "/enter";
/// `POST`, body [`WorkerCall`], answer [`WorkerReply`].
pub const WORKER_PATH: &str = "/worker";
/// A header's value is ASCII without controls: see [`Enter::to_header`].
pub const ENTER_HEADER: &str = "x-tertulia-enter";
/// The object never looks at the host; a URL must have one.
pub const ORIGIN: &str = "https://room";

/// A client's HTTP request, let in by the Worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub v: u32,
    pub room: RoomName,
    pub grant: Grant,
    /// Names the request: the origin by which a repeated call gets the first result.
    pub request: String,
    pub op: Op,
}

/// A client's upgrade, let in by the Worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enter {
    pub v: u32,
    pub room: RoomName,
    pub conn: ConnId,
    pub grant: Grant,
    #[serde(default)]
    pub join: Join,
    /// Its stored byte.
    pub protocol: Protocol,
    /// The client offered the protocol's name, so the 101 must carry it.
    #[serde(default)]
    pub subprotocol: bool,
    /// The client's address as the platform gives it.
    pub address: String,
}

/// A consumer's word about one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerCall {
    pub v: u32,
    pub room: RoomName,
    pub op: WorkerOp,
}

/// Every write shows the token of its claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerOp {
    Claim {
        job: JobId,
    },
    Complete {
        job: JobId,
        token: Token,
        text: String,
        model: String,
    },
    /// `index` is the length of the text before, in UTF-16 code units.
    Delta {
        job: JobId,
        token: Token,
        index: u64,
        text: String,
    },
    Fail {
        job: JobId,
        token: Token,
        error: String,
        retryable: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
    Renew {
        job: JobId,
        token: Token,
    },
}

/// What the room says to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerReply {
    /// Stop: somebody cancelled it.
    Cancelled,
    Claimed(Box<Claimed>),
    /// It is over, by this call or before it.
    Ended,
    /// Go on; `have` is how much of the text the room has, in UTF-16 code units.
    Go {
        have: u64,
    },
    /// Not to be claimed now: acknowledge the queue message and forget it.
    Refused,
    /// Another holds it: stop.
    Stale,
}

/// Everything a consumer needs: it never asks the room for more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    pub job: JobId,
    pub token: Token,
    /// From 1.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Renew well before it is over.
    pub lease_ms: Millis,
    pub asker: UserId,
    pub prompt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The room's messages before the question, oldest first.
    #[serde(default)]
    pub context: Vec<Turn>,
}

impl Enter {
    /// JSON in printable ASCII: what is beyond stands only inside strings, where it is escaped;
    /// a control character stands only between tokens, where it is a space.
    pub fn to_header(&self) -> String {
        let mut header = String::new();
        for c in write(self).chars() {
            match c {
                ' '..='~' => header.push(c),
                '\0'..' ' => header.push(' '),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        header.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
        }
        header
    }
}

/// The body of a call or of its reply.
pub fn write(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own types write as JSON")
}

/// Reads a call of this version or the one before.
///
/// # Errors
/// What another version, or nobody of ours, has written.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Broken> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    let broken = |error| Broken(format!("a call that does not read: {error}"));
    let Versioned { v } = serde_json::from_str(text).map_err(broken)?;
    if v != VERSION && v.checked_add(1) != Some(VERSION) {
        return Err(Broken(format!("a call of version {v}; this is {VERSION}")));
    }
    serde_json::from_str(text).map_err(broken)
}

/// Reads the answer to a [`WorkerCall`], which speaks the version of its call.
///
/// # Errors
/// What is no answer, as that of a platform's error page.
pub fn read_reply(text: &str) -> Result<WorkerReply, Broken> {
    serde_json::from_str(text).map_err(|error| Broken(format!("a room's answer: {error}")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::too_many_lines, reason = "tables: one line a case")]

    use super::*;
    use crate::grant::Scopes;
    use crate::id::{Epoch, EventType, JobNo, Seq};
    use crate::message::{JobState, Json, NewJob, PageQuery, Publication, Since};

    const JOB: JobId = JobId {
        epoch: Epoch(0xab),
        no: JobNo(4),
    };

    fn grant() -> Grant {
        Grant {
            user: UserId::parse("ana").unwrap(),
            name: Some("Añá 🙂".into()),
            roles: vec![],
            guest: false,
            scopes: Scopes::parse("rooms:join"),
            rooms: None,
            expires_at: None,
        }
    }

    fn room() -> RoomName {
        RoomName::parse("r").unwrap()
    }

    fn publication(body: Json) -> Publication {
        Publication {
            kind: EventType::message(),
            body: Some(body),
            meta: None,
            corr: None,
            ephemeral: false,
            echo: true,
            exclude: vec![],
            key: None,
        }
    }

    fn new_job() -> NewJob {
        NewJob {
            kind: "ai.chat".into(),
            input: Json::stored(r#"{"prompt":"hi"}"#).unwrap(),
            key: None,
            corr: None,
            delay: Millis(0),
            priority: -1,
            max_attempts: None,
        }
    }

    #[test]
    fn operations_keep_their_written_form() {
        let full = Publication {
            meta: Some(Json::null()),
            corr: Some("c".into()),
            exclude: vec![UserId::parse("bo").unwrap()],
            key: Some("k".into()),
            ..publication(Json::stored(r#"{"a": 1}"#).unwrap())
        };
        let page = PageQuery {
            after: Some(Seq(1)),
            before: None,
            limit: 5,
            types: vec![EventType::message()],
        };
        let after = UserId::parse("bo").ok();
        let table = [
            (
                Op::Publish(publication(Json::null())),
                r#"{"publish":{"type":"message","body":null,"ephemeral":false,"echo":true}}"#,
            ),
            (
                Op::Publish(full),
                concat!(
                    r#"{"publish":{"type":"message","body":{"a": 1},"meta":null,"corr":"c","#,
                    r#""ephemeral":false,"echo":true,"exclude":["bo"],"key":"k"}}"#
                ),
            ),
            (
                Op::History(page),
                r#"{"history":{"after":1,"limit":5,"types":["message"]}}"#,
            ),
            (
                Op::Members { after, limit: 0 },
                r#"{"members":{"after":"bo","limit":0}}"#,
            ),
            (
                Op::JobCreate(new_job()),
                concat!(
                    r#"{"job_create":{"kind":"ai.chat","input":{"prompt":"hi"},"#,
                    r#""delay_ms":0,"priority":-1}}"#
                ),
            ),
            (
                Op::JobRead { job: JOB },
                r#"{"job_read":{"job":"0000000000ab-j4"}}"#,
            ),
            (Op::JobList { state: None }, r#"{"job_list":{}}"#),
            (
                Op::JobList {
                    state: Some(JobState::Dead),
                },
                r#"{"job_list":{"state":"dead"}}"#,
            ),
            (
                Op::JobCancel { job: JOB },
                r#"{"job_cancel":{"job":"0000000000ab-j4"}}"#,
            ),
            (
                Op::JobRetry { job: JOB },
                r#"{"job_retry":{"job":"0000000000ab-j4"}}"#,
            ),
        ];
        for (op, text) in table {
            assert_eq!(write(&op), text);
            let call = Call {
                v: VERSION,
                room: room(),
                grant: grant(),
                request: "q1".into(),
                op,
            };
            let written = write(&call);
            assert_eq!(
                written,
                format!(
                    concat!(
                        r#"{{"v":1,"room":"r","grant":{{"user":"ana","name":"Añá 🙂","guest":false,"#,
                        r#""scopes":512}},"request":"q1","op":{}}}"#
                    ),
                    text
                )
            );
            assert_eq!(read::<Call>(&written).unwrap(), call);
        }
    }

    #[test]
    fn an_upgrade_fits_into_a_header() {
        let meta = Json::stored("{\n\t\"ñ\": \"a\\nb\"}").unwrap();
        let since = Since {
            epoch: Epoch(0xab),
            seq: Seq(7),
        };
        let enter = Enter {
            v: VERSION,
            room: room(),
            conn: ConnId(0x1f),
            grant: grant(),
            join: Join {
                meta: Some(meta),
                since: Some(since),
                last: None,
            },
            protocol: Protocol::Native,
            subprotocol: true,
            address: "2001:db8::1".into(),
        };
        let header = enter.to_header();
        assert!(
            header.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{header}"
        );
        assert_eq!(
            header,
            concat!(
                r#"{"v":1,"room":"r","conn":"000000000000001f","grant":{"user":"ana","#,
                r#""name":"A\u00f1\u00e1 \ud83d\ude42","guest":false,"scopes":512},"#,
                r#""join":{"meta":{  "\u00f1": "a\nb"},"since":{"epoch":"0000000000ab","seq":7}},"#,
                r#""protocol":1,"subprotocol":true,"address":"2001:db8::1"}"#
            )
        );
        let mut back: Enter = read(&header).unwrap();
        assert_eq!(
            back.join.meta.take().unwrap().text(),
            "{  \"\\u00f1\": \"a\\nb\"}"
        );
        let join = Join {
            meta: None,
            ..enter.join.clone()
        };
        assert_eq!(back, Enter { join, ..enter });
    }

    #[test]
    fn the_consumers_calls_and_the_rooms_replies_keep_their_written_form() {
        let token = Token(9);
        let table = [
            (
                WorkerOp::Claim { job: JOB },
                r#"{"claim":{"job":"0000000000ab-j4"}}"#,
            ),
            (
                WorkerOp::Renew { job: JOB, token },
                r#"{"renew":{"job":"0000000000ab-j4","token":9}}"#,
            ),
            (
                WorkerOp::Delta {
                    job: JOB,
                    token,
                    index: 3,
                    text: "ñ".into(),
                },
                r#"{"delta":{"job":"0000000000ab-j4","token":9,"index":3,"text":"ñ"}}"#,
            ),
            (
                WorkerOp::Complete {
                    job: JOB,
                    token,
                    text: "t".into(),
                    model: "m".into(),
                },
                r#"{"complete":{"job":"0000000000ab-j4","token":9,"text":"t","model":"m"}}"#,
            ),
            (
                WorkerOp::Fail {
                    job: JOB,
                    token,
                    error: "e".into(),
                    retryable: true,
                    retry_after_ms: Some(Millis(5)),
                },
                concat!(
                    r#"{"fail":{"job":"0000000000ab-j4","token":9,"error":"e","#,
                    r#""retryable":true,"retry_after_ms":5}}"#
                ),
            ),
        ];
        for (op, text) in table {
            let call = WorkerCall {
                v: VERSION,
                room: room(),
                op,
            };
            let written = write(&call);
            assert_eq!(written, format!(r#"{{"v":1,"room":"r","op":{text}}}"#));
            assert_eq!(read::<WorkerCall>(&written).unwrap(), call);
        }
        let turn = Turn {
            user: "bo".into(),
            name: None,
            text: "x".into(),
            ai: false,
        };
        let claimed = Claimed {
            job: JOB,
            token,
            attempt: 1,
            max_attempts: 5,
            lease_ms: Millis(30_000),
            asker: UserId::parse("ana").unwrap(),
            prompt: "hi".into(),
            model: None,
            max_tokens: Some(7),
            context: vec![turn],
        };
        let table = [
            (
                WorkerReply::Claimed(Box::new(claimed)),
                concat!(
                    r#"{"claimed":{"job":"0000000000ab-j4","token":9,"attempt":1,"max_attempts":5,"#,
                    r#""lease_ms":30000,"asker":"ana","prompt":"hi","max_tokens":7,"#,
                    r#""context":[{"user":"bo","name":null,"text":"x","ai":false}]}}"#
                ),
            ),
            (WorkerReply::Go { have: 12 }, r#"{"go":{"have":12}}"#),
            (WorkerReply::Refused, r#""refused""#),
            (WorkerReply::Cancelled, r#""cancelled""#),
            (WorkerReply::Stale, r#""stale""#),
            (WorkerReply::Ended, r#""ended""#),
        ];
        for (reply, text) in table {
            assert_eq!(write(&reply), text);
            assert_eq!(read_reply(text).unwrap(), reply);
        }
        assert!(read_reply("<html>").is_err());
    }

    #[test]
    fn both_folders_call_the_native_protocol_by_one_name() {
        assert_eq!(Protocol::Native.name(), crate::http::token::SUBPROTOCOL);
    }

    #[test]
    fn versions_other_than_this_and_the_last_are_not_read() {
        let call =
            |v| format!(r#"{{"v":{v},"room":"r","op":{{"claim":{{"job":"0000000000ab-j4"}}}}}}"#);
        assert!(read::<WorkerCall>(&call(VERSION)).is_ok());
        assert!(read::<WorkerCall>(&call(VERSION - 1)).is_ok());
        for text in [
            call(VERSION + 1),
            call(u32::MAX),
            "{}".into(),
            "null".into(),
            String::new(),
        ] {
            assert!(read::<WorkerCall>(&text).is_err(), "{text}");
        }
    }
}
