//! A client that remembers what it was told of its room and holds every frame against it: no seq
//! is jumped over unseen, none comes twice with another content, deltas join up, a request gets
//! one reply, in order. Panics at the first thing that does not fit.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What one client knows. It outlives its sockets.
#[derive(Debug, Clone, Default)]
pub struct Client {
    pub user: String,
    /// Epoch and seq up to which it was told everything, or was told what it was not.
    pub place: Option<(String, u64)>,
    /// What stands at each seq of that epoch.
    pub log: BTreeMap<u64, Value>,
    /// Everybody in the room, and their meta.
    pub people: BTreeMap<String, Value>,
    pub joined: bool,
    /// Requests without a reply: id and type.
    pub pending: BTreeMap<u64, String>,
    pub replies: BTreeMap<u64, Value>,
    pub gaps: Vec<Value>,
    /// Answers being generated.
    pub answers: BTreeMap<String, Written>,
    /// The object was rebuilt: pieces of answers may come again, or be lost until the whole.
    pub lenient: bool,
    asked: u64,
    replied: u64,
    /// A reply that recovered nothing is followed by its `gap`.
    gap_due: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    pub attempt: u64,
    pub text: Vec<u16>,
    /// A piece is missing.
    pub torn: bool,
}

impl Client {
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            ..Self::default()
        }
    }

    /// A request with the next id.
    pub fn ask(&mut self, kind: &str, payload: &Value) -> Value {
        self.asked += 1;
        self.pending.insert(self.asked, kind.to_owned());
        json!({"type": kind, "id": self.asked.to_string(), "payload": payload})
    }

    pub fn since(&self) -> Option<Value> {
        self.place
            .as_ref()
            .map(|(epoch, seq)| json!({"epoch": epoch, "seq": seq}))
    }

    /// The socket is gone; what it knows of the log stays.
    pub fn disconnected(&mut self) {
        self.joined = false;
        self.gap_due = false;
        self.pending.clear();
        self.people.clear();
        self.answers.clear();
    }

    /// Takes one frame.
    pub fn take(&mut self, text: &str) -> Value {
        let frame: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
        let kind = frame["type"].as_str().expect("a type").to_owned();
        assert!(!self.gap_due || kind == "gap", "a gap was to come: {frame}");
        let body = &frame["body"];
        match kind.as_str() {
            "connected" => {
                assert!(!self.joined, "connected twice: {frame}");
                assert_eq!(body["user"], self.user.as_str());
                self.enter(&body["joined"]);
            }
            "reply" => self.reply(&frame),
            "gap" => self.gap(body),
            "user_joined" => {
                let known = self.people.insert(user_of(body), body["meta"].clone());
                assert_eq!(known, None, "{}: came twice: {frame}", self.user);
            }
            "user_updated" => {
                let known = self.people.insert(user_of(body), body["meta"].clone());
                assert!(
                    known.is_some(),
                    "{}: updated a stranger: {frame}",
                    self.user
                );
            }
            "user_left" => {
                let known = self.people.remove(&user_of(body));
                assert!(known.is_some(), "{}: a stranger left: {frame}", self.user);
            }
            "members" if body["reset"] == true => self.list(&body["members"]),
            "answer_delta" => self.delta(body),
            _ => {}
        }
        if frame.get("seq").is_some() {
            assert!(
                self.joined,
                "{}: a message outside of the room: {frame}",
                self.user
            );
            self.follow(&frame);
        }
        frame
    }

    fn reply(&mut self, frame: &Value) {
        let id: u64 = frame["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("one of ours");
        let kind = self
            .pending
            .remove(&id)
            .unwrap_or_else(|| panic!("not asked: {frame}"));
        assert!(
            id > self.replied,
            "{}: replies out of order: {frame}",
            self.user
        );
        self.replied = id;
        let (body, error) = (frame.get("body"), frame.get("error"));
        assert!(body.is_some() != error.is_some(), "{frame}");
        match (kind.as_str(), body) {
            ("join", Some(body)) => self.enter(body),
            ("leave", Some(_)) => {
                self.joined = false;
                self.people.clear();
                self.answers.clear();
            }
            ("history", Some(body)) => {
                let mut last = 0;
                for message in body["messages"].as_array().expect("a list") {
                    let seq = message["seq"].as_u64().expect("a seq");
                    assert!(seq > last, "history out of order: {frame}");
                    last = seq;
                    self.same_as_before(message);
                }
            }
            _ => {}
        }
        self.replies.insert(id, frame.clone());
    }

    fn enter(&mut self, joined: &Value) {
        let epoch = joined["epoch"].as_str().expect("an epoch").to_owned();
        let head = joined["seq"].as_u64().expect("a seq");
        let missed = joined["missed"].as_array().expect("a list");
        let recovered = joined["recovered"].as_bool();
        if self.joined && recovered.is_none() {
            let told = Some((epoch.clone(), head));
            assert_eq!(
                self.place, told,
                "{}: a reply ahead of the room: {joined}",
                self.user
            );
        }
        self.joined = true;
        self.list(&joined["members"]);
        self.answers.clear();
        for answer in joined["answers"].as_array().expect("a list") {
            let text = answer["text"]
                .as_str()
                .expect("a text")
                .encode_utf16()
                .collect();
            let attempt = answer["attempt"].as_u64().expect("an attempt");
            let id = answer["message_id"].as_str().expect("an id").to_owned();
            self.answers.insert(
                id,
                Written {
                    attempt,
                    text,
                    torn: false,
                },
            );
        }
        match recovered {
            // The `gap` that follows says what is lost.
            Some(false) => {
                self.gap_due = true;
                assert!(missed.is_empty(), "{joined}");
                return;
            }
            // Whoever said where it was is told everything since then.
            Some(true) => assert_eq!(self.place.as_ref().map(|(epoch, _)| epoch), Some(&epoch)),
            None => {
                let first = missed
                    .first()
                    .map_or(head + 1, |first| first["seq"].as_u64().unwrap());
                self.start(&epoch, first - 1);
            }
        }
        for message in missed {
            self.follow(message);
        }
        assert_eq!(self.place, Some((epoch, head)), "{}: {joined}", self.user);
    }

    fn gap(&mut self, body: &Value) {
        self.gap_due = false;
        let epoch = body["epoch"].as_str().expect("an epoch").to_owned();
        let to = body["to"].as_u64().expect("a seq");
        if let (Some((known, seq)), Some(from)) = (&self.place, body["from"].as_u64()) {
            assert_eq!(*known, epoch, "{body}");
            assert!(
                from <= seq + 1,
                "{}: a gap that begins too late: {body}",
                self.user
            );
        }
        self.start(&epoch, to);
        self.gaps.push(body.clone());
    }

    /// From here on nothing may be missing.
    fn start(&mut self, epoch: &str, seq: u64) {
        if self.place.as_ref().is_none_or(|(known, _)| known != epoch) {
            self.log.clear();
        }
        self.place = Some((epoch.to_owned(), seq));
    }

    fn list(&mut self, members: &Value) {
        let members = members.as_array().expect("a list of members");
        let one = |member: &Value| (user_of(member), member["meta"].clone());
        self.people = members.iter().map(one).collect();
    }

    fn follow(&mut self, frame: &Value) {
        let (epoch, seq) = (
            frame["epoch"].as_str().expect("an epoch"),
            frame["seq"].as_u64(),
        );
        let (known, last) = self.place.as_mut().expect("joined before");
        let seq = seq.expect("a seq");
        assert_eq!(known, epoch, "{frame}");
        assert!(
            seq <= *last + 1,
            "{}: jumped from {last}: {frame}",
            self.user
        );
        *last = seq.max(*last);
        if frame["meta"].get("job").is_some() {
            self.answers.remove(frame["id"].as_str().expect("an id"));
        }
        self.same_as_before(frame);
    }

    fn same_as_before(&mut self, frame: &Value) {
        let epoch = frame["epoch"].as_str();
        if self.place.as_ref().map(|(epoch, _)| epoch.as_str()) != epoch {
            return;
        }
        let seq = frame["seq"].as_u64().expect("a seq");
        let Some(before) = self.log.insert(seq, frame.clone()) else {
            return;
        };
        // What a sender does not want back live is a `skip` then, and itself in history.
        let own = |frame: &Value| frame["from"]["user"] == self.user.as_str();
        let hidden =
            before["type"] == "skip" && own(frame) || frame["type"] == "skip" && own(&before);
        assert!(
            hidden || before == *frame,
            "{}: {before} became {frame}",
            self.user
        );
        if frame["type"] == "skip" {
            self.log.insert(seq, before);
        }
    }

    fn delta(&mut self, body: &Value) {
        let id = body["message_id"].as_str().expect("an id");
        let attempt = body["attempt"].as_u64().expect("an attempt");
        let index = body["index"].as_u64().expect("an index") as usize;
        let text: Vec<u16> = body["text"]
            .as_str()
            .expect("a text")
            .encode_utf16()
            .collect();
        let written = self.answers.entry(id.to_owned()).or_default();
        if written.attempt != attempt {
            assert!(attempt > written.attempt, "an attempt before: {body}");
            *written = Written {
                attempt,
                ..Written::default()
            };
        }
        if written.torn {
            return;
        }
        let had = written.text.len();
        if index > had && self.lenient {
            written.torn = true;
            return;
        }
        assert!(
            index == had || index < had && self.lenient,
            "{}: {had}: {body}",
            self.user
        );
        let overlap = (had - index).min(text.len());
        assert_eq!(
            written.text[index..index + overlap],
            text[..overlap],
            "{body}"
        );
        written.text.extend(&text[overlap..]);
    }
}

fn user_of(body: &Value) -> String {
    body["user"].as_str().expect("a user").to_owned()
}
