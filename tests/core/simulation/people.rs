//! What people do, and what they must see of each other.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tertulia::http::Op;
use tertulia::id::{ConnId, Epoch, Seq};
use tertulia::message::{Join, Json, Reply, Since};

use super::Simulation;
use crate::support::client::Client;
use crate::support::world::Got;

/// Somebody at a device, with or without a socket.
pub struct Peer {
    pub client: Client,
    pub conn: Option<ConnId>,
    /// Shows signs of life.
    pub pings: bool,
    /// Told its key, and what was said under it.
    keyed: Option<(String, String)>,
}

impl Peer {
    pub fn new(user: &str) -> Self {
        Self {
            client: Client::new(user),
            conn: None,
            pings: false,
            keyed: None,
        }
    }

    fn gone(&mut self) {
        self.conn = None;
        self.pings = false;
        self.client.disconnected();
    }
}

impl Simulation {
    pub fn connect(&mut self) {
        let away: Vec<usize> = (0..self.peers.len())
            .filter(|n| self.peers[*n].conn.is_none())
            .collect();
        let Some(n) = self.random.choice(away) else {
            return;
        };
        let since = self.peers[n]
            .client
            .place
            .as_ref()
            .filter(|_| self.random.u8(..5) > 0);
        let join = Join {
            meta: (self.random.u8(..3) == 0)
                .then(|| Json::stored(&self.random.u8(..3).to_string()).unwrap()),
            since: since.map(|(epoch, seq)| Since {
                epoch: Epoch::parse(epoch).unwrap(),
                seq: Seq(*seq),
            }),
            last: (self.random.bool()).then(|| self.random.usize(..6)),
        };
        let user = self.peers[n].client.user.clone();
        match self.world.connect(&user, join) {
            Some(Ok(conn)) => self.peers[n].conn = Some(conn),
            Some(Err(rejected)) => panic!("{rejected}"),
            None => {}
        }
    }

    pub fn disconnect(&mut self) {
        let Some(n) = self.somebody() else { return };
        let Some(conn) = self.peers[n].conn else {
            return;
        };
        if self.random.bool() {
            self.read_of(n);
        }
        if self.peers[n].conn.is_some() {
            match self.random.u8(..3) {
                0 => self.world.close(conn, 1000),
                1 => self.world.close(conn, 1006),
                _ => self.world.vanish(conn),
            }
        }
        self.peers[n].gone();
    }

    pub fn ping(&mut self) {
        if let Some(n) = self.somebody() {
            self.peers[n].pings = self.random.u8(..4) > 0;
            if let Some(conn) = self.peers[n].conn {
                self.world.ping(conn);
            }
        }
    }

    /// Frames of some, in one tick, each with a message or a few.
    pub fn talk(&mut self) {
        let mut frames = Vec::new();
        let mut who = Vec::new();
        for _ in 0..self.random.u8(1..4) {
            let Some(n) = self.somebody() else { return };
            // Who has not read everything does not know where it stands.
            self.read_of(n);
            let Some(conn) = self.peers[n].conn else {
                continue;
            };
            let mut messages: Vec<Value> = Vec::new();
            for _ in 0..[1, 1, 1, 2, 3][self.random.usize(..5)] {
                messages.push(self.message(n));
            }
            let frame = match messages.as_slice() {
                [one] => one.to_string(),
                more => Value::from(more).to_string(),
            };
            frames.push((conn, frame));
            who.push(n);
        }
        if self.random.u8(..20) == 0
            && let Some((conn, _)) = frames.first()
        {
            frames.push((*conn, "ping".to_owned()));
        }
        if !self.world.frames(&frames) {
            who.into_iter().for_each(|n| self.unanswered(n));
        }
    }

    /// A client whose request is never answered gives up; one that does not know whether it is in
    /// the room comes again.
    fn unanswered(&mut self, n: usize) {
        let Peer { client, conn, .. } = &mut self.peers[n];
        let lost = client
            .pending
            .values()
            .any(|kind| kind == "join" || kind == "leave");
        client.pending.clear();
        if let (true, Some(conn)) = (lost, *conn) {
            self.world.vanish(conn);
            self.peers[n].gone();
        }
    }

    fn message(&mut self, n: usize) -> Value {
        let body = self.body();
        let job = self.some_job();
        let Self { random, peers, .. } = self;
        let Peer { client, keyed, .. } = &mut peers[n];
        let seq = client.place.as_ref().map_or(0, |(_, seq)| *seq);
        let (kind, payload) = match random.u8(..30) {
            0..9 => ("broadcast", json!({"room": ROOM, "body": body})),
            9..11 => (
                "broadcast",
                json!({"room": ROOM, "body": body, "ephemeral": true}),
            ),
            11..13 => (
                "broadcast",
                json!({"room": ROOM, "body": body, "echo": false}),
            ),
            13..16 => {
                let again = random.bool();
                let new = || (format!("k{body}"), body.clone());
                let (key, body) = keyed.take().filter(|_| again).unwrap_or_else(new);
                *keyed = Some((key.clone(), body.clone()));
                ("broadcast", json!({"room": ROOM, "body": body, "key": key}))
            }
            16 => ("leave", json!({"room": ROOM})),
            17..20 => {
                let mut join = json!({"room": ROOM});
                if random.bool() {
                    join["meta"] = random.u8(..3).into();
                }
                if !client.joined
                    && let Some(since) = client.since()
                {
                    join["since"] = since;
                }
                ("join", join)
            }
            20 => (
                "presence",
                json!({"status": if random.bool() { "online" } else { "away" }}),
            ),
            21 => (
                "history",
                json!({"room": ROOM, "after": random.u64(..=seq), "limit": 5}),
            ),
            22 => ("history", json!({"room": ROOM, "limit": random.u8(1..20)})),
            23..25 => ("ack", json!({"room": ROOM, "seq": random.u64(..=seq)})),
            25 => ("members", json!({"room": ROOM})),
            26 => ("heartbeat", json!({"every_ms": random.u64(5_000..20_000)})),
            27 => ("cancel", json!({"room": ROOM, "job": job})),
            28 => ("ping", json!({"n": 1})),
            _ => {
                let input = json!({"prompt": body});
                (
                    "job",
                    json!({"room": ROOM, "kind": "ai.chat", "input": input}),
                )
            }
        };
        client.ask(kind, &payload)
    }

    pub fn read(&mut self, all: bool) {
        for n in 0..self.peers.len() {
            if all || self.random.u8(..4) > 0 {
                self.read_of(n);
                let Peer { client, .. } = &self.peers[n];
                assert!(
                    client.pending.is_empty(),
                    "{}: {:?}",
                    client.user,
                    client.pending
                );
            }
        }
    }

    fn read_of(&mut self, n: usize) {
        let Some(conn) = self.peers[n].conn else {
            return;
        };
        let Peer { client, .. } = &mut self.peers[n];
        for text in self.world.frames_of(conn) {
            if &*text == "pong" {
                continue;
            }
            let frame = client.take(&text);
            if frame.get("seq").is_some() && frame["type"] != "skip" {
                let epoch = frame["epoch"].as_str().expect("an epoch").to_owned();
                let place = (epoch, frame["seq"].as_u64().expect("a seq"));
                let told = self.truth.entry(place).or_insert_with(|| frame.clone());
                assert_eq!(*told, frame, "told otherwise before");
            }
        }
        if let Some((code, reason)) = self.world.closed(conn) {
            assert_eq!(code, 4408, "{reason}");
            self.peers[n].gone();
        }
    }

    fn somebody(&mut self) -> Option<usize> {
        let here = (0..self.peers.len()).filter(|n| self.peers[*n].conn.is_some());
        self.random.choice(here.collect::<Vec<_>>())
    }

    /// The room's list, everybody's own list, and who is truly there are the same.
    pub fn check_people(&mut self) {
        let op = Op::Members {
            after: None,
            limit: 500,
        };
        let page: Got<_> = self.world.ask("u9", op);
        let Some(Ok(Reply::Members(page))) = page else {
            panic!("no members: {page:?}")
        };
        let page: Vec<Value> = page
            .members
            .iter()
            .map(|one| serde_json::to_value(one).unwrap())
            .collect();
        let user = |one: &Value| one["user"].as_str().unwrap().to_owned();
        let listed: BTreeMap<String, u64> = page
            .iter()
            .map(|one| (user(one), one["connections"].as_u64().unwrap()))
            .collect();
        let mut there: BTreeMap<String, u64> = BTreeMap::new();
        for peer in self
            .peers
            .iter()
            .filter(|peer| peer.conn.is_some() && peer.client.joined)
        {
            *there.entry(peer.client.user.clone()).or_default() += 1;
        }
        assert_eq!(listed, there, "the room's members and who is there");
        let metas: BTreeMap<String, Value> = page
            .iter()
            .map(|one| (user(one), one["meta"].clone()))
            .collect();
        for peer in self
            .peers
            .iter()
            .filter(|peer| peer.conn.is_some() && peer.client.joined)
        {
            let own = &peer.client.user;
            let others = |mut all: BTreeMap<String, Value>| {
                all.remove(own);
                all
            };
            assert_eq!(
                others(peer.client.people.clone()),
                others(metas.clone()),
                "as {own} sees it"
            );
        }
    }
}

const ROOM: &str = "plaza";
