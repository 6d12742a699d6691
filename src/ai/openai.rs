//! The chat completions of OpenAI, as the many servers that imitate them answer: a stream or,
//! from those that ignore `stream`, one JSON document.
//!
//! Refuses to know who asks again and when. Takes from a response what it needs and ignores what
//! it does not know.
//!
//! Invariants: without `[DONE]` or a `finish_reason` there is no answer; the text is at most
//! `ANSWER_MAX_BYTES`, what comes beyond is cut; no failure carries the key.

use super::completion::Chunk;
use super::request::{key, request};
use super::sse::{Event, Parser};
use super::{Answer, Failure, Head, HttpRequest, OpenAi, Question};
use crate::limits::{ANSWER_MAX_BYTES, SSE_EVENT_MAX_BYTES};

/// One request and its response.
#[derive(Debug)]
pub struct Exchange {
    request: HttpRequest,
    config: OpenAi,
    body: Body,
    model: String,
    text: String,
    /// `finish_reason`, once there was one.
    reason: Option<String>,
    /// `[DONE]`, or nothing that comes could change the answer.
    done: bool,
    failed: Option<Failure>,
}

/// Content types lie more often than first bytes do, so the body itself tells what it is.
#[derive(Debug)]
enum Body {
    Unknown,
    Events(Parser),
    Whole(Vec<u8>),
}

impl Exchange {
    pub fn new(config: &OpenAi, question: &Question) -> Exchange {
        let request = request(config, question);
        Exchange {
            request,
            config: config.clone(),
            body: Body::Unknown,
            model: question.model.as_ref().unwrap_or(&config.model).clone(),
            text: String::new(),
            reason: None,
            done: false,
            failed: None,
        }
    }

    pub fn request(&self) -> &HttpRequest {
        &self.request
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    pub fn is_complete(&self) -> bool {
        self.done || self.failed.is_some()
    }

    pub fn refused(&self, status: u16, retry_after: Option<&str>, body: &str) -> Failure {
        let said = serde_json::from_str::<Chunk>(body)
            .ok()
            .and_then(Chunk::into_problem);
        // The one 429 that waiting does not cure.
        let hopeless = said
            .as_ref()
            .is_some_and(|problem| problem.code == "insufficient_quota");
        let detail = said.map_or_else(|| body.to_owned(), |problem| problem.shown());
        let summary = match status {
            200..300 => "the AI provider answered with something that is no completion".to_owned(),
            429 => "the AI provider is asked too often (429)".to_owned(),
            500.. => format!("the AI provider failed ({status})"),
            _ => format!("the AI provider refused the request ({status})"),
        };
        Failure {
            retryable: retryable(status) && !hopeless,
            retry_after_ms: retry_after.and_then(seconds).filter(|_| retryable(status)),
            ..Failure::last(&summary, self.safe(&detail))
        }
    }

    pub fn eat(&mut self, chunk: &[u8]) -> Result<Vec<String>, Failure> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        if self.done {
            return Ok(Vec::new());
        }
        let mut events = Vec::new();
        let eaten = match self.body_for(chunk) {
            (Body::Events(parser), chunk) => parser.eat(chunk, &mut events).is_ok(),
            (Body::Whole(bytes), chunk) if bytes.len() + chunk.len() <= SSE_EVENT_MAX_BYTES => {
                bytes.extend_from_slice(chunk);
                true
            }
            (Body::Whole(_), _) => false,
            (Body::Unknown, _) => true,
        };
        let mut deltas = Vec::new();
        let mut result = self.take(events, &mut deltas);
        if result.is_ok() && !eaten && !self.done {
            result = Err(Failure::last(GARBLED, "an event or body larger than 1 MiB"));
        }
        self.failed = result.err();
        match &self.failed {
            Some(failure) if deltas.is_empty() => Err(failure.clone()),
            _ => Ok(deltas),
        }
    }

    pub fn finish(&mut self) -> Result<Answer, Failure> {
        self.end()
            .inspect_err(|failure| self.failed = Some(failure.clone()))?;
        if !self.text.trim().is_empty() {
            return Ok(Answer {
                text: self.text.clone(),
                model: self.model.clone(),
            });
        }
        let reason = self.reason.as_deref().unwrap_or("none");
        let failure = match reason {
            "content_filter" => Failure::last("the AI provider withheld its answer", reason),
            "length" => Failure::last(
                "the AI provider spent its tokens before it answered",
                reason,
            ),
            _ => Failure::again("the AI provider gave an empty answer", self.safe(reason)),
        };
        Err(self.failed.insert(failure).clone())
    }

    /// Takes what is left in the buffers; an error if the answer is not whole.
    fn end(&mut self) -> Result<(), Failure> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        let mut left = None;
        match std::mem::replace(&mut self.body, Body::Unknown) {
            _ if self.done => {}
            Body::Unknown => {}
            Body::Whole(bytes) => {
                self.chunk(&String::from_utf8_lossy(&bytes), false, &mut Vec::new())?;
                // A server that does not stream may leave out the reason; its text is whole.
                self.done = !self.text.is_empty();
            }
            Body::Events(mut parser) => {
                let mut events = Vec::new();
                // What would be too long was refused when it was eaten.
                let _ = parser.finish(&mut events);
                // An event that was cut does not read; that is the same as no event.
                left = self
                    .take(events, &mut Vec::new())
                    .err()
                    .filter(|it| it.summary != GARBLED);
            }
        }
        if self.reason.as_deref() == Some("error") {
            return Err(left.unwrap_or_else(|| Failure::again(FAILED, "finish_reason: error")));
        }
        if self.done || self.reason.is_some() {
            self.done = true;
            return Ok(());
        }
        let detail = format!("the response ended after {} bytes of text", self.text.len());
        Err(left.unwrap_or_else(|| Failure::again("the AI provider's answer broke off", detail)))
    }

    /// The body as it is known after the first byte that is no white space, and what to feed it.
    fn body_for<'a>(&mut self, chunk: &'a [u8]) -> (&mut Body, &'a [u8]) {
        let mut chunk = chunk;
        if matches!(self.body, Body::Unknown) {
            chunk = chunk.trim_ascii_start();
            match chunk.first() {
                None => {}
                Some(b'{' | b'[') => self.body = Body::Whole(Vec::new()),
                Some(_) => self.body = Body::Events(Parser::default()),
            }
        }
        (&mut self.body, chunk)
    }

    fn take(&mut self, events: Vec<Event>, deltas: &mut Vec<String>) -> Result<(), Failure> {
        for event in events {
            if self.done {
                break;
            }
            match event.data.trim() {
                "[DONE]" => self.done = true,
                "" => {}
                data => self.chunk(data, event.kind == "error", deltas)?,
            }
        }
        Ok(())
    }

    fn chunk(&mut self, json: &str, error: bool, deltas: &mut Vec<String>) -> Result<(), Failure> {
        let chunk: Chunk = serde_json::from_str(json)
            .map_err(|problem| Failure::again(GARBLED, self.safe(&format!("{problem}: {json}"))))?;
        if let Some(model) = chunk
            .model
            .as_ref()
            .filter(|name| NAMES.contains(&name.len()))
        {
            self.model.clone_from(model);
        }
        let choices = chunk.choices.as_deref().unwrap_or_default();
        // Only one was asked for; a server that sends more is not answering us with the others.
        for choice in choices
            .iter()
            .filter(|choice| choice.index.unwrap_or(0) == 0)
        {
            if let Some(said) = choice.delta.as_ref().or(choice.message.as_ref()) {
                self.say(&said.text(), deltas);
            }
            // Some send an empty one with every chunk.
            if let Some(reason) = choice.finish_reason.as_ref().filter(|it| !it.is_empty()) {
                self.reason = Some(reason.clone());
            }
        }
        match chunk.into_problem() {
            Some(problem) => Err(Failure {
                retryable: problem.status().map_or(!problem.is_ours(), retryable),
                ..Failure::last(FAILED, self.safe(&problem.shown()))
            }),
            None if error => Err(Failure::again(FAILED, self.safe(json))),
            None => Ok(()),
        }
    }

    fn say(&mut self, text: &str, deltas: &mut Vec<String>) {
        let room = ANSWER_MAX_BYTES.saturating_sub(self.text.len());
        let said = text
            .get(..text.floor_char_boundary(room))
            .unwrap_or_default();
        self.done |= said.len() < text.len();
        if !said.is_empty() {
            self.text.push_str(said);
            deltas.push(said.to_owned());
        }
    }

    /// The provider's text for a log: short, and without the key, which some repeat.
    fn safe(&self, text: &str) -> String {
        let text = match key(&self.config) {
            Some(key) => text.replace(key, "[redacted]"),
            None => text.to_owned(),
        };
        let text = text.trim();
        text.get(..text.floor_char_boundary(DETAIL_MAX_BYTES))
            .unwrap_or_default()
            .to_owned()
    }
}

/// A page that says 200 is a proxy's or a base URL without its `/v1`, not an answer.
pub fn head(status: u16, content_type: Option<&str>) -> Head {
    let page = content_type.is_some_and(|kind| kind.trim_start().starts_with("text/html"));
    if (200..300).contains(&status) && !page {
        Head::Stream
    } else {
        Head::ReadError
    }
}

fn retryable(status: u16) -> bool {
    // 501 and 505 will not change their mind; 520 to 530 are a proxy's, 529 is "overloaded".
    matches!(status, 408 | 429 | 500 | 502..=504 | 520..=530)
}

/// `Retry-After` in seconds. A date would need a clock; without one the usual back-off applies.
fn seconds(value: &str) -> Option<u64> {
    let seconds: f64 = value.trim().parse().ok()?;
    (0.0..=86_400.0)
        .contains(&seconds)
        .then_some((seconds * 1000.0) as u64)
}

const FAILED: &str = "the AI provider failed while answering";
const GARBLED: &str = "the AI provider's answer can't be read";
/// Of the provider's own text, this much goes into a failure.
const DETAIL_MAX_BYTES: usize = 1000;
/// Lengths of a model's name that are believed.
const NAMES: std::ops::RangeInclusive<usize> = 1..=128;

#[cfg(test)]
mod tests {
    use super::super::{Provider, Run};
    use super::*;

    fn config() -> OpenAi {
        OpenAi {
            base_url: "http://ai.test/v1".to_owned(),
            api_key: Some("sk-1".to_owned()),
            model: "small".to_owned(),
            system_prompt: None,
            max_tokens: None,
        }
    }

    fn question() -> Question {
        let (prompt, asker) = ("Why?".to_owned(), "ana".to_owned());
        Question {
            prompt,
            model: None,
            max_tokens: None,
            asker,
            context: Vec::new(),
        }
    }

    fn begun() -> Run {
        let mut run = Run::new(&Provider::OpenAi(config()), &question());
        assert_eq!(
            run.head(200, None, Some("text/event-stream; charset=utf-8")),
            Head::Stream
        );
        run
    }

    fn content(text: &str) -> String {
        let text = serde_json::to_string(text).unwrap();
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n")
    }

    const STREAM: &str = concat!(
        ": hello\n\n",
        "data: {\"model\":\"small-2\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}]}\r\n\r\n",
        "data: {\"model\":\"\",\"choices\":[{\"delta\":{\"content\":\"Así \"}}]}\n\n",
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"es 👍\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n",
        "data: [DONE]\n\n",
    );

    #[test]
    fn streams_cut_anywhere() {
        for size in 1..=STREAM.len() {
            let mut run = begun();
            let mut deltas = Vec::new();
            for chunk in STREAM.as_bytes().chunks(size) {
                deltas.extend(run.eat(chunk).unwrap());
            }
            assert_eq!(deltas, ["Así ", "es 👍"], "pieces of {size}");
            assert!(run.is_complete());
            let answer = Answer {
                text: "Así es 👍".to_owned(),
                model: "small-2".to_owned(),
            };
            assert_eq!(run.finish(), Ok(answer.clone()));
            assert_eq!(run.finish(), Ok(answer));
        }
    }

    #[test]
    fn broken_off_anywhere_is_no_answer() {
        // Whole from the finish_reason on; the reason alone is enough.
        let reason = STREAM.find("\"stop\"}]}").unwrap() + "\"stop\"}]}".len();
        for at in 0..STREAM.len() {
            let mut run = begun();
            let _ = run.eat(&STREAM.as_bytes()[..at]).unwrap();
            match run.finish() {
                Ok(answer) => assert!(at >= reason && answer.text == "Así es 👍", "cut at {at}"),
                Err(failure) => assert!(at < reason && failure.retryable, "cut at {at}"),
            }
        }
        let mut run = begun();
        let _ = run.eat(content("half").as_bytes()).unwrap();
        let failure = run.finish().unwrap_err();
        assert_eq!(failure.summary, "the AI provider's answer broke off");
        assert_eq!(run.text(), "half");
        assert_eq!(run.finish(), Err(failure));
    }

    #[test]
    fn done_alone_ends_it() {
        let mut run = begun();
        assert_eq!(run.eat(content("a").as_bytes()), Ok(vec!["a".to_owned()]));
        assert_eq!(run.eat(b"data: [DONE]\n\ndata: junk\n\n"), Ok(vec![]));
        assert_eq!(run.eat(content("b").as_bytes()), Ok(vec![]));
        assert_eq!(run.finish().unwrap().text, "a");
        // The blank line after it is forgotten by some.
        let mut run = begun();
        let _ = run.eat(content("a").as_bytes()).unwrap();
        let _ = run.eat(b"data: [DONE]").unwrap();
        assert_eq!(run.finish().unwrap().text, "a");
    }

    #[test]
    fn servers_that_do_not_stream() {
        let body = r#" {"object":"chat.completion","model":"m2","error":null,
            "choices":[{"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]}"#;
        for kind in [Some("application/json"), Some("text/event-stream"), None] {
            let mut run = Run::new(&Provider::OpenAi(config()), &question());
            assert_eq!(run.head(200, None, kind), Head::Stream);
            for chunk in body.as_bytes().chunks(7) {
                assert_eq!(run.eat(chunk), Ok(vec![]));
            }
            let answer = run.finish().unwrap();
            assert_eq!(
                (answer.text.as_str(), answer.model.as_str()),
                ("whole", "m2")
            );
        }
        let mut run = begun();
        let _ = run.eat(body.split_at(60).0.as_bytes()).unwrap();
        assert!(run.finish().unwrap_err().retryable);
    }

    #[test]
    fn parts_of_content() {
        let mut run = begun();
        let parts = r#"data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"a"}]}}]}"#;
        assert_eq!(
            run.eat(format!("{parts}\n\n").as_bytes()),
            Ok(vec!["a".to_owned()])
        );
    }

    #[test]
    fn errors_in_the_stream() {
        let table = [
            (
                r#"{"error":{"message":"overloaded","type":"server_error"}}"#,
                true,
            ),
            (r#"{"error":{"message":"slow down","code":429}}"#, true),
            (r#"{"error":{"message":"no","code":"400"}}"#, false),
            (
                r#"{"error":{"message":"too long","type":"invalid_request_error"}}"#,
                false,
            ),
            (
                r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
                false,
            ),
            (r#"{"error":"boom"}"#, true),
            (r#"{"object":"error","message":"bad","code":400}"#, false),
            (
                r#"{"error":{"message":"x"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
                true,
            ),
            ("{not json", true),
        ];
        for (error, retryable) in table {
            let mut run = begun();
            let bytes = format!("{}data: {error}\n\n{}", content("said"), content("never"));
            assert_eq!(
                run.eat(bytes.as_bytes()),
                Ok(vec!["said".to_owned()]),
                "{error}"
            );
            assert!(run.is_complete());
            let failure = run.finish().unwrap_err();
            assert_eq!(failure.retryable, retryable, "{error}");
            assert!(!failure.detail.is_empty() && !failure.summary.contains("boom"));
            assert_eq!(run.eat(b"data: [DONE]\n\n"), Err(failure));
            assert_eq!(run.text(), "said");
        }
        let mut run = begun();
        assert!(run.eat(b"event: error\ndata: {}\n\n").is_err());
        let mut run = begun();
        let _ = run
            .eat(b"data: {\"error\":{\"message\":\"late\"}}")
            .unwrap();
        assert_eq!(run.finish().unwrap_err().detail, "late");
    }

    #[test]
    fn refusals() {
        let run = begun();
        for status in [408, 429, 500, 502, 503, 504, 524, 529] {
            let failure = run.fail_body(status, Some("7"), "");
            assert!(failure.retryable, "{status}");
            assert_eq!(failure.retry_after_ms, Some(7000), "{status}");
        }
        for status in [200, 302, 400, 401, 403, 404, 422, 501] {
            let failure = run.fail_body(status, Some("7"), "");
            assert!(
                !failure.retryable && failure.retry_after_ms.is_none(),
                "{status}"
            );
        }
        let body = r#"{"error":{"message":"Bad key sk-1!","type":"x","code":"invalid_api_key"}}"#;
        let failure = run.fail_body(401, None, body);
        assert_eq!(failure.summary, "the AI provider refused the request (401)");
        assert_eq!(failure.detail, "Bad key [redacted]! (invalid_api_key)");
        let spent = r#"{"error":{"message":"spent","code":"insufficient_quota"}}"#;
        assert!(!run.fail_body(429, None, spent).retryable);
        assert!(run.fail_body(500, None, &"é".repeat(10_000)).detail.len() <= DETAIL_MAX_BYTES);
    }

    #[test]
    fn heads() {
        let table = [
            (200, None, Head::Stream),
            (200, Some("application/json"), Head::Stream),
            (200, Some("text/html; charset=utf-8"), Head::ReadError),
            (302, None, Head::ReadError),
            (500, Some("text/event-stream"), Head::ReadError),
        ];
        for (status, kind, expected) in table {
            assert_eq!(head(status, kind), expected, "{status} {kind:?}");
        }
    }

    #[test]
    fn waits_are_read() {
        let table = [
            ("7", Some(7000)),
            (" 0 ", Some(0)),
            ("1.5", Some(1500)),
            ("-1", None),
            ("1e300", None),
            ("NaN", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
            ("", None),
        ];
        for (value, expected) in table {
            assert_eq!(seconds(value), expected, "{value:?}");
        }
    }

    #[test]
    fn reasons() {
        for (reason, whole) in [
            ("stop", true),
            ("length", true),
            ("", false),
            ("error", false),
        ] {
            let mut run = begun();
            let _ = run.eat(content("said").as_bytes()).unwrap();
            let last = format!(
                "data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
            );
            let _ = run.eat(last.as_bytes()).unwrap();
            assert_eq!(run.finish().is_ok(), whole, "{reason}");
        }
    }

    #[test]
    fn empty_answers_fail() {
        let empty = |reason: &str| {
            let mut run = begun();
            let last = format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\" \
                    \"}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
            );
            let _ = run.eat(last.as_bytes()).unwrap();
            run.finish().unwrap_err().retryable
        };
        assert_eq!(
            ["stop", "length", "content_filter"].map(empty),
            [true, false, false]
        );
    }

    #[test]
    fn long_answers_are_cut() {
        let mut run = begun();
        let piece = content(&"é".repeat(1000));
        while !run.is_complete() {
            let _ = run.eat(piece.as_bytes()).unwrap();
        }
        let _ = run.eat(piece.as_bytes()).unwrap();
        let answer = run.finish().unwrap();
        assert!(answer.text.len() <= ANSWER_MAX_BYTES && answer.text.len() > ANSWER_MAX_BYTES - 4);
    }

    #[test]
    fn a_peer_can_not_grow_memory() {
        for opening in ["data: ", "{"] {
            let mut run = begun();
            let _ = run.eat(opening.as_bytes()).unwrap();
            let part = vec![b'x'; 1 << 16];
            let failure = (0..100).find_map(|_| run.eat(&part).err()).unwrap();
            assert!(!failure.retryable);
            assert_eq!(run.finish(), Err(failure));
        }
    }
}
