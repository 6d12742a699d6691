//! Works one job: claims it, calls the provider, streams what it says into the room, and ends it.
//! The same code behind a queue message and, without a queue, inside the object. It holds the
//! provider's response and never a room; every word to the room shows the token of the claim, and
//! every answer says whether to go on. Source: `architecture.md` rule 5.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

use crate::ai::{self, Failure, HttpRequest, OpenAi, Provider, Question, Run, Start};
use crate::config::{AiConfig, AiProvider};
use crate::error::Broken;
use crate::id::JobId;
use crate::limits::ERROR_BODY_MAX_BYTES;
use crate::queue::Token;
use crate::time::{Millis, Timestamp};

use super::inbox::Inbox;
use super::js;
use super::outbound::Outbound;
use super::port::Port;
use super::setup::Setup;
use super::stub::{Claimed, WorkerOp, WorkerReply};
use super::{clock, log};

/// A job in our hands.
struct Work {
    port: Port,
    job: JobId,
    token: Token,
    /// The room hears of us at least so often while the provider is silent.
    renew_every: Millis,
    /// Text said so far, and how much of it the room has, in UTF-16 code units.
    text: String,
    told: u64,
}

/// Why work stops before its end.
enum Stop {
    /// The room says so: cancelled, or somebody else has it.
    Told,
    Failed(Failure),
    /// The room can't be reached: its lease will end.
    Unreachable(Broken),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Stop::Unreachable(broken)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

/// Starts it inside the object, under `waitUntil`: the alarm that asked for it returns at once.
pub fn start_inside(inbox: &Rc<Inbox>, job: JobId) {
    let this = inbox.clone();
    let setup = Setup {
        config: this.setting.config.clone(),
        keys: this.setting.keys.clone(),
    };
    let promise = future_to_promise(AssertUnwindSafe(async move {
        if let Err(broken) = run(Port::Inside(this), &setup, job).await {
            log::broken("job", &broken.0);
        }
        Ok(JsValue::UNDEFINED)
    }));
    if let Err(error) = inbox.state.wait_until(&promise) {
        log::broken("wait_until", &js::text(&error));
    }
}

/// # Errors
/// The room could not be reached to claim the job: nothing has happened yet.
pub async fn run(port: Port, setup: &Setup, job: JobId) -> Result<(), Broken> {
    let claimed = match port.say(WorkerOp::Claim { job }).await? {
        WorkerReply::Claimed(claimed) => *claimed,
        _ => return Ok(()),
    };
    let token = claimed.token;
    let renew_every = RENEW_EVERY.min(Millis(claimed.lease_ms.0 / 3));
    let mut work = Work {
        port,
        job,
        token,
        renew_every,
        text: String::new(),
        told: 0,
    };
    let detailed = setup.config.detailed_errors;
    match work.answer(&setup.config.ai, claimed).await {
        Ok(()) | Err(Stop::Told) => {}
        Err(Stop::Unreachable(broken)) => log::broken("job", &broken.0),
        Err(Stop::Failed(failure)) => work.fail(failure, detailed).await,
    }
    Ok(())
}

impl Work {
    async fn answer(&mut self, config: &AiConfig, claimed: Claimed) -> Result<(), Stop> {
        let question = Question {
            prompt: claimed.prompt,
            model: claimed.model,
            max_tokens: claimed.max_tokens,
            asker: claimed.asker.to_string(),
            context: claimed.context,
        };
        let mut run = Run::new(&provider(config), &question);
        match run.start() {
            Start::Answered(answer) => {
                for piece in ai::pieces(&answer.text) {
                    self.tell(piece).await?;
                }
                self.complete(answer.text, answer.model).await
            }
            Start::Fetch(request) => {
                let until = clock::now().plus(config.timeout);
                self.stream(&mut run, &request, until).await?;
                let answer = run.finish()?;
                self.complete(answer.text, answer.model).await
            }
        }
    }

    /// Reads the provider's response and tells it piece by piece. Dropping the response closes the
    /// provider's connection, whichever way this ends.
    async fn stream(
        &mut self,
        run: &mut Run,
        request: &HttpRequest,
        until: Timestamp,
    ) -> Result<(), Stop> {
        let mut response = self.open(request, until).await?;
        let retry_after = response.header("retry-after");
        let kind = response.header("content-type");
        let head = run.head(response.status, retry_after.as_deref(), kind.as_deref());
        if let ai::Head::ReadError = head {
            let mut body = Vec::new();
            while let Some(chunk) = self.next(&mut response, until).await? {
                body.extend(chunk);
                if body.len() >= ERROR_BODY_MAX_BYTES {
                    break;
                }
            }
            let body = String::from_utf8_lossy(&body);
            let failure = run.fail_body(response.status, retry_after.as_deref(), &body);
            return Err(failure.into());
        }
        while !run.is_complete() {
            let Some(chunk) = self.next(&mut response, until).await? else {
                break;
            };
            let deltas = run.eat(&chunk)?;
            self.tell(&deltas.concat()).await?;
        }
        Ok(())
    }

    async fn open(&mut self, request: &HttpRequest, until: Timestamp) -> Result<Outbound, Stop> {
        let mut opening = Outbound::start(request)?;
        loop {
            let wait = self.patience(until)?;
            if let Some(response) = opening.response(wait).await? {
                return Ok(response);
            }
            self.renew().await?;
        }
    }

    /// The next piece of the response, with signs of life to the room while it takes its time.
    async fn next(
        &mut self,
        response: &mut Outbound,
        until: Timestamp,
    ) -> Result<Option<Vec<u8>>, Stop> {
        loop {
            let wait = self.patience(until)?;
            match response.next(wait).await? {
                Some(chunk) => return Ok(chunk),
                None => self.renew().await?,
            }
        }
    }

    /// How long to wait before the next sign to the room.
    fn patience(&self, until: Timestamp) -> Result<Millis, Stop> {
        let left = until.since(clock::now());
        if left == Millis(0) {
            return Err(Failure::timed_out("the provider took too long").into());
        }
        Ok(left.min(self.renew_every))
    }

    async fn renew(&mut self) -> Result<(), Stop> {
        let reply = self
            .port
            .say(WorkerOp::Renew {
                job: self.job,
                token: self.token,
            })
            .await?;
        self.obey(reply)
    }

    /// Says a piece; what the room turns out not to have is said again with it.
    async fn tell(&mut self, piece: &str) -> Result<(), Stop> {
        self.text.push_str(piece);
        for _ in 0..TELL_TRIES {
            let rest = after_utf16(&self.text, self.told);
            if rest.is_empty() {
                return Ok(());
            }
            let delta = WorkerOp::Delta {
                job: self.job,
                token: self.token,
                index: self.told,
                text: rest.to_owned(),
            };
            let reply = self.port.say(delta).await?;
            self.obey(reply)?;
        }
        Ok(())
    }

    fn obey(&mut self, reply: WorkerReply) -> Result<(), Stop> {
        match reply {
            WorkerReply::Go { have } => {
                self.told = have;
                Ok(())
            }
            _ => Err(Stop::Told),
        }
    }

    async fn complete(&mut self, text: String, model: String) -> Result<(), Stop> {
        let Self { job, token, .. } = *self;
        self.port
            .say(WorkerOp::Complete {
                job,
                token,
                text,
                model,
            })
            .await?;
        Ok(())
    }

    async fn fail(&self, failure: Failure, detailed: bool) {
        log::broken(
            "provider",
            &format!("{}: {}", failure.summary, failure.detail),
        );
        let error = if detailed && !failure.detail.is_empty() {
            format!("{}: {}", failure.summary, failure.detail)
        } else {
            failure.summary
        };
        let said = self.port.say(WorkerOp::Fail {
            job: self.job,
            token: self.token,
            error,
            retryable: failure.retryable,
            retry_after_ms: failure.retry_after_ms.map(Millis),
        });
        if let Err(broken) = said.await {
            log::broken("job", &broken.0);
        }
    }
}

fn provider(config: &AiConfig) -> Provider {
    match config.provider {
        AiProvider::Extractive => Provider::Extractive,
        AiProvider::OpenAi => Provider::OpenAi(OpenAi {
            base_url: config.base_url.clone(),
            api_key: config.api_key.clone(),
            model: config.model.clone(),
            system_prompt: config.system_prompt.clone(),
            max_tokens: config.max_tokens,
        }),
    }
}

/// What follows after so many UTF-16 code units.
fn after_utf16(text: &str, units: u64) -> &str {
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        if seen >= units {
            return text.get(at..).unwrap_or_default();
        }
        seen += c.len_utf16() as u64;
    }
    ""
}

/// Cancelling reaches the provider within this, however long it is silent.
const RENEW_EVERY: Millis = Millis(500);
/// The room says what it has; saying it again twice is enough.
const TELL_TRIES: u32 = 3;
