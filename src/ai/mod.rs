//! Who answers: providers, sans-IO. A [`Run`] is one attempt at one question: it builds the
//! request, eats the bytes of the response and yields the text as it comes.
//!
//! Refuses to know: how bytes are fetched, what time it is, what a job, a room or a lease is, and
//! how often one tries. The edge fetches and counts; a [`Failure`] only says whether trying again
//! can help.
//!
//! Invariants: a run ends exactly once, with an [`Answer`] or a [`Failure`]; the deltas together
//! are the beginning of the answer's text, and all of it where it was streamed; a stream that
//! broke off is never taken for an answer; nothing a peer sends is kept without a bound, panics,
//! or puts the key into a log.

mod completion;
pub mod extractive;
pub mod openai;
mod request;
mod sentence;
pub mod sse;
mod word;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use extractive::pieces;

/// One message of the room as context for a provider, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub user: String,
    pub name: Option<String>,
    pub text: String,
    /// Written by the service (an earlier answer).
    #[serde(default)]
    pub ai: bool,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub prompt: String,
    pub model: Option<String>,
    pub max_tokens: Option<u32>,
    /// The id of the user who asks.
    pub asker: String,
    /// May contain the prompt itself: it was logged as a message when it was asked.
    pub context: Vec<Turn>,
}

/// How a provider is reached; from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    Extractive,
    OpenAi(OpenAi),
}

/// Any server that speaks OpenAI's chat completions.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenAi {
    pub base_url: String,
    pub api_key: Option<String>,
    pub model: String,
    pub system_prompt: Option<String>,
    /// The most a question may ask for, and what is asked for when it says nothing.
    pub max_tokens: Option<u32>,
}

/// What the edge has to fetch.
#[derive(Clone)]
pub struct HttpRequest {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

#[derive(Debug)]
pub enum Start {
    /// No network: the whole answer is here. [`pieces`] cuts it for streaming.
    Answered(Answer),
    Fetch(HttpRequest),
}

/// What to do with the body, told from status and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Read at most [`crate::limits::ERROR_BODY_MAX_BYTES`] of the body and give it to [`Run::fail_body`].
    ReadError,
    /// Give the body to [`Run::eat`], piece by piece.
    Stream,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub text: String,
    pub model: String,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Safe for everyone.
    pub summary: String,
    /// May contain the provider's own text, never our key; shown only with `DETAILED_ERRORS`.
    pub detail: String,
    /// Another attempt, or dead.
    pub retryable: bool,
    /// How long the provider asked us to wait.
    pub retry_after_ms: Option<u64>,
}

/// One attempt at one question. Another attempt is another run.
#[derive(Debug)]
pub struct Run(State);

#[derive(Debug)]
enum State {
    Extractive(Answer),
    OpenAi(Box<openai::Exchange>),
}

impl Run {
    #[must_use]
    pub fn new(provider: &Provider, question: &Question) -> Run {
        Run(match provider {
            Provider::Extractive => State::Extractive(extractive::answer(question)),
            Provider::OpenAi(config) => {
                State::OpenAi(Box::new(openai::Exchange::new(config, question)))
            }
        })
    }

    /// The answer of a provider that needs no network, else the request to send.
    #[must_use]
    pub fn start(&mut self) -> Start {
        match &self.0 {
            State::Extractive(answer) => Start::Answered(answer.clone()),
            State::OpenAi(exchange) => Start::Fetch(exchange.request().clone()),
        }
    }

    /// The response's status and headers have come. `_retry_after` is here so that the edge hands
    /// over a head in one way; it counts in [`Run::fail_body`].
    pub fn head(
        &mut self,
        status: u16,
        _retry_after: Option<&str>,
        content_type: Option<&str>,
    ) -> Head {
        match &self.0 {
            State::Extractive(_) => Head::Stream,
            State::OpenAi(_) => openai::head(status, content_type),
        }
    }

    /// What a response that is no answer means.
    #[must_use]
    pub fn fail_body(&self, status: u16, retry_after: Option<&str>, body: &str) -> Failure {
        match &self.0 {
            State::Extractive(_) => Failure::unreachable("the local answer has no response"),
            State::OpenAi(exchange) => exchange.refused(status, retry_after, body),
        }
    }

    /// The deltas in a piece of the body, in order; none is fine. A failure that comes behind
    /// deltas in the same piece is kept until the next call, so that no text is lost.
    pub fn eat(&mut self, chunk: &[u8]) -> Result<Vec<String>, Failure> {
        match &mut self.0 {
            State::Extractive(_) => Ok(Vec::new()),
            State::OpenAi(exchange) => exchange.eat(chunk),
        }
    }

    /// The body has ended, or [`Run::is_complete`] said that it may be left. The answer's text is
    /// that of the deltas, and more only where the server did not stream.
    pub fn finish(&mut self) -> Result<Answer, Failure> {
        match &mut self.0 {
            State::Extractive(answer) => Ok(answer.clone()),
            State::OpenAi(exchange) => exchange.finish(),
        }
    }

    /// The answer so far.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.0 {
            State::Extractive(answer) => &answer.text,
            State::OpenAi(exchange) => exchange.text(),
        }
    }

    /// The edge may stop reading and call [`Run::finish`]: the end was seen, the answer is as long
    /// as it may be, or a failure waits. Where only `[DONE]` is missing and nothing more comes,
    /// [`Run::finish`] gives the answer all the same.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            State::Extractive(_) => true,
            State::OpenAi(exchange) => exchange.is_complete(),
        }
    }

    /// Who answers: as the response names it, until then as it was asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        match &self.0 {
            State::Extractive(answer) => &answer.model,
            State::OpenAi(exchange) => exchange.model(),
        }
    }
}

impl Failure {
    /// The fetch itself failed, or the connection while its body was read.
    pub fn unreachable(detail: impl Into<String>) -> Failure {
        Failure::again("the AI provider could not be reached", detail)
    }

    /// Nothing came for as long as the edge was willing to wait.
    pub fn timed_out(detail: impl Into<String>) -> Failure {
        Failure::again("the AI provider did not answer in time", detail)
    }

    /// A failure that another attempt may not meet.
    fn again(summary: &str, detail: impl Into<String>) -> Failure {
        Failure {
            retryable: true,
            ..Failure::last(summary, detail)
        }
    }

    /// A failure that would come again.
    fn last(summary: &str, detail: impl Into<String>) -> Failure {
        let summary = summary.to_owned();
        Failure {
            summary,
            detail: detail.into(),
            retryable: false,
            retry_after_ms: None,
        }
    }
}

impl Turn {
    /// The name as others see it, on one line: it is put in front of texts.
    fn author(&self) -> String {
        let shown = self.name.as_deref().filter(|name| !name.trim().is_empty());
        one_line(shown.unwrap_or(&self.user))
    }
}

impl Question {
    /// The context without blank messages and without the message that is this question.
    fn others(&self) -> impl Iterator<Item = &Turn> {
        let prompt = self.prompt.trim();
        let itself = self
            .context
            .iter()
            .rposition(|turn| !turn.ai && turn.user == self.asker && turn.text.trim() == prompt);
        let turns = self.context.iter().enumerate();
        turns
            .filter(move |(at, turn)| Some(*at) != itself && !turn.text.trim().is_empty())
            .map(|(_, turn)| turn)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("base_url", &self.base_url)
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("model", &self.model)
            .field("system_prompt", &self.system_prompt)
            .field("max_tokens", &self.max_tokens)
            .finish()
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of headers hold the key, the body what people said: neither belongs in a log.
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(user: &str, text: &str) -> Turn {
        Turn {
            user: user.to_owned(),
            name: None,
            text: text.to_owned(),
            ai: false,
        }
    }

    fn question(prompt: &str, context: Vec<Turn>) -> Question {
        let (prompt, asker) = (prompt.to_owned(), "ana".to_owned());
        Question {
            prompt,
            model: None,
            max_tokens: None,
            asker,
            context,
        }
    }

    #[test]
    fn the_local_provider_needs_no_network() {
        let context = vec![turn("ben", "The server listens on port 8787.")];
        let mut run = Run::new(&Provider::Extractive, &question("Which port?", context));
        let Start::Answered(answer) = run.start() else {
            panic!("no network is needed")
        };
        assert_eq!(answer.text, "ben: “The server listens on port 8787.”");
        assert_eq!(
            (run.model(), run.text()),
            ("extractive", answer.text.as_str())
        );
        assert!(run.is_complete());
        assert_eq!(run.finish(), Ok(answer));
    }

    #[test]
    fn the_question_is_not_its_own_context() {
        let turns = ["why?", "because", "why?", " ", "so"].map(|text| turn("ana", text));
        let asked = question("why? ", turns.to_vec());
        let texts: Vec<&str> = asked.others().map(|turn| turn.text.as_str()).collect();
        assert_eq!(texts, ["why?", "because", "so"]);
    }

    #[test]
    fn debug_tells_no_secret() {
        let config = OpenAi {
            base_url: "http://x/v1".to_owned(),
            api_key: Some("sk-secret".to_owned()),
            model: "m".to_owned(),
            system_prompt: None,
            max_tokens: None,
        };
        let mut run = Run::new(
            &Provider::OpenAi(config.clone()),
            &question("private?", vec![]),
        );
        let shown = format!("{config:?} {run:?} {:?}", run.start());
        assert!(
            !shown.contains("sk-secret") && !shown.contains("private"),
            "{shown}"
        );
        assert!(shown.contains("[redacted]") && shown.contains("http://x/v1"));
    }

    #[test]
    fn turns_read_without_the_ai_flag() {
        let read: Turn = serde_json::from_str(r#"{"user":"u","name":null,"text":"t"}"#).unwrap();
        assert_eq!(read, turn("u", "t"));
    }
}
