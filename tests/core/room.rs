//! Stories of one room, each with everything that must be said and nothing else.

mod log;
mod people;
mod trouble;

use serde_json::{Value, json};
use tertulia::id::ConnId;
use tertulia::message::{Answer, Join, Reply};
use tertulia::time::Millis;

use super::support::world::World;

/// A world, and what one says in it.
struct Story {
    world: World,
    asked: u64,
}

impl Story {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        Self {
            world: World::with(1, variables),
            asked: 0,
        }
    }

    /// Comes in and hears the greeting.
    fn enter(&mut self, user: &str) -> ConnId {
        let (conn, _) = self.enter_with(user, Join::default());
        conn
    }

    fn enter_with(&mut self, user: &str, join: Join) -> (ConnId, Value) {
        let conn = self
            .world
            .connect(user, join)
            .expect("nobody dies")
            .expect("let in");
        let first = self.hear(conn).remove(0);
        assert_eq!(first["type"], "connected");
        (conn, first["body"]["joined"].clone())
    }

    fn hear(&mut self, conn: ConnId) -> Vec<Value> {
        self.world.received(conn)
    }

    /// What was said since, in short: type, and what tells it apart.
    fn heard(&mut self, conn: ConnId) -> Vec<String> {
        self.hear(conn).iter().map(short).collect()
    }

    /// One request, and everything the asker hears of it.
    fn ask(&mut self, conn: ConnId, kind: &str, payload: Value) -> Vec<Value> {
        self.asked += 1;
        let frame = json!({"type": kind, "id": self.asked.to_string(), "payload": payload});
        self.world.frame(conn, &frame.to_string());
        self.hear(conn)
    }

    fn say(&mut self, conn: ConnId, body: &str) {
        let replies = self.ask(conn, "broadcast", json!({"room": "plaza", "body": body}));
        let reply = replies
            .iter()
            .find(|frame| frame["type"] == "reply")
            .expect("a reply");
        assert!(reply["body"]["id"].is_string(), "{reply}");
    }

    fn pass(&mut self, millis: u64) {
        self.world.advance(Millis(millis));
    }

    fn publish(&mut self, request: &str, body: &str) -> Answer {
        self.world
            .call("http", request, publication(body, &[]))
            .expect("nobody dies")
    }

    fn members(&mut self) -> Vec<String> {
        let op = serde_json::from_value(json!({"members": {"limit": 500}})).unwrap();
        let Some(Ok(Reply::Members(page))) = self.world.ask("http", op) else {
            panic!()
        };
        page.members
            .iter()
            .map(|member| member.user.to_string())
            .collect()
    }

    fn closed(&mut self, conn: ConnId) -> (u16, String) {
        self.world.closed(conn).expect("closed")
    }
}

fn publication(body: &str, exclude: &[&str]) -> tertulia::http::Op {
    let op = json!({"publish": {"type": "message", "body": body, "ephemeral": false,
        "echo": true, "exclude": exclude}});
    serde_json::from_str(&op.to_string()).unwrap()
}

fn short(frame: &Value) -> String {
    let kind = frame["type"].as_str().unwrap_or("?");
    let body = &frame["body"];
    let seq = frame["seq"]
        .as_u64()
        .map_or(String::new(), |seq| format!("#{seq} "));
    match kind {
        "reply" => match frame.get("error") {
            Some(error) => format!("reply {} {}", frame["id"], error["code"]),
            None => format!("reply {}", frame["id"]),
        },
        "message" => format!("{seq}{body}"),
        "user_joined" | "user_updated" => format!("{kind} {}", body["user"].as_str().unwrap()),
        "user_left" => {
            format!(
                "{kind} {} {}",
                body["user"].as_str().unwrap(),
                body["reason"].as_str().unwrap()
            )
        }
        "gap" => format!("gap {} to {}", body["from"], body["to"]),
        "error" => format!("error {}", body["code"]),
        "job" => format!("{seq}job {}", body["state"].as_str().unwrap()),
        _ => format!("{seq}{kind}"),
    }
}

const NOTHING: [&str; 0] = [];
