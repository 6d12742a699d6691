//! The Durable Object class `Room`: what the runtime calls, turned into inputs. Methods are plain
//! and synchronous where they can be; no borrow is held over an await.
//!
//! Invariant: `alarm` never fails, because after six failures nothing would ring again.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{Request, Response};

use crate::error::{Broken, Code, Rejected};
use crate::home::{self, Entering, Frame};
use crate::http::problem;
use crate::id::RoomName;

use super::inbox::{Inbox, Outcome};
use super::js::{self, Socket, State};
use super::log;
use super::object::Input;
use super::response;
use super::setup::setup;
use super::stub::{self, Call, Enter, WorkerCall};

/// One room. `None` when the configuration makes no sense, which the Worker has said already.
#[wasm_bindgen]
pub struct Room(AssertUnwindSafe<Option<Rc<Inbox>>>);

#[wasm_bindgen]
impl Room {
    #[wasm_bindgen(constructor)]
    pub fn new(state: State, env: JsValue) -> Room {
        // The one thing the runtime must know before the first frame: pings never wake us.
        if let Err(error) =
            js::AutoResponse::new("ping", "pong").and_then(|pair| state.set_auto_response(&pair))
        {
            log::broken("auto_response", &js::text(&error));
        }
        let room = state
            .id()
            .name()
            .and_then(|name| RoomName::parse(&name).ok());
        let inbox = room.zip(setup(&env).ok());
        Room(AssertUnwindSafe(
            inbox.map(|(room, setup)| Inbox::new(state, env, &setup, room)),
        ))
    }

    pub fn fetch(&self, request: Request) -> Promise {
        let inbox = self.0.clone();
        future_to_promise(AssertUnwindSafe(async move {
            let response = match inbox {
                Some(inbox) => answer(&inbox, request).await?,
                None => refuse(&unconfigured())?,
            };
            Ok(response.into())
        }))
    }

    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn message(&self, socket: Socket, data: JsValue) {
        let Some(inbox) = &*self.0 else { return };
        let Some(conn) = inbox.conn_of(&socket) else {
            return;
        };
        let frame = data.as_string().map_or(Frame::Binary, Frame::Text);
        if !inbox.push(Input::Home(home::Input::Frame { conn, frame })) {
            let full = Rejected::new(Code::RateLimited, "the room has too much to do");
            let _ = js::close(&socket, full.code.row().close, &full.close_reason());
        }
    }

    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn closed(&self, socket: Socket, code: u16, _reason: String, _clean: bool) {
        // The runtime does not answer the close of a socket that hibernates.
        let _ = js::close(&socket, code, "");
        self.gone(&socket, code);
    }

    #[wasm_bindgen(js_name = webSocketError)]
    pub fn failed(&self, socket: Socket, _error: JsValue) {
        self.gone(&socket, ABNORMAL);
    }

    pub fn alarm(&self, _info: JsValue) -> Promise {
        let inbox = self.0.clone();
        future_to_promise(AssertUnwindSafe(async move {
            if let Some(inbox) = inbox {
                inbox.ring().await;
            }
            Ok(JsValue::UNDEFINED)
        }))
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}

impl Room {
    fn gone(&self, socket: &Socket, code: u16) {
        let Some(inbox) = &*self.0 else { return };
        if let Some(conn) = inbox.conn_of(socket) {
            // If the inbox is full, the next look at the sockets finds it gone.
            inbox.push(Input::Home(home::Input::Closed { conn, code }));
        }
    }
}

async fn answer(inbox: &Inbox, request: Request) -> Result<Response, JsValue> {
    if let Some(enter) = request.headers().get(stub::ENTER_HEADER)? {
        return match stub::read::<Enter>(&enter) {
            Ok(enter) => upgrade(inbox, enter).await,
            Err(broken) => refuse(&internal(&broken)),
        };
    }
    let is_worker = request.url().ends_with(stub::WORKER_PATH);
    let body = JsFuture::from(request.text()?)
        .await?
        .as_string()
        .unwrap_or_default();
    if is_worker {
        return match stub::read::<WorkerCall>(&body) {
            Ok(call) => worker(inbox, call).await,
            Err(broken) => refuse(&internal(&broken)),
        };
    }
    match stub::read::<Call>(&body) {
        Ok(call) => rest(inbox, call).await,
        Err(broken) => refuse(&internal(&broken)),
    }
}

async fn rest(inbox: &Inbox, call: Call) -> Result<Response, JsValue> {
    let op = call.op.clone();
    let outcome = inbox
        .ask(|waiter| Input::Call {
            waiter,
            call: Box::new(call),
        })
        .await;
    match outcome {
        Outcome::Answer(answer) => response::of(&op.respond(&answer)),
        Outcome::Accepted | Outcome::Verdict(_) => refuse(&mismatched()),
    }
}

async fn worker(inbox: &Inbox, call: WorkerCall) -> Result<Response, JsValue> {
    match inbox
        .ask(|waiter| Input::Worker {
            waiter,
            call: Box::new(call),
        })
        .await
    {
        Outcome::Verdict(reply) => response::json(&stub::write(&reply)),
        Outcome::Answer(Err(rejected)) => refuse(&rejected),
        Outcome::Accepted | Outcome::Answer(Ok(_)) => refuse(&mismatched()),
    }
}

/// The pair is made here; the tick accepts our end and speaks first; then the 101 goes out.
async fn upgrade(inbox: &Inbox, enter: Enter) -> Result<Response, JsValue> {
    let pair = js::Pair::new()?;
    let Enter {
        conn,
        grant,
        join,
        protocol,
        subprotocol,
        ..
    } = enter;
    let entering = Box::new(Entering {
        conn,
        grant,
        protocol,
        join,
    });
    let input = |waiter| Input::Home(home::Input::Connect { waiter, entering });
    match inbox.ask_with(Some(pair.at(1)), input).await {
        Outcome::Accepted => response::upgraded(&pair.at(0), subprotocol),
        Outcome::Answer(Err(rejected)) => refuse(&rejected),
        Outcome::Answer(Ok(_)) | Outcome::Verdict(_) => refuse(&mismatched()),
    }
}

fn refuse(rejected: &Rejected) -> Result<Response, JsValue> {
    response::of(&problem::response(&rejected.clone().into()))
}

fn internal(broken: &Broken) -> Rejected {
    log::broken("call", &broken.0);
    Rejected::new(Code::Internal, "this failed on our side")
}

fn mismatched() -> Rejected {
    internal(&Broken("an answer of another kind".to_owned()))
}

fn unconfigured() -> Rejected {
    Rejected::new(Code::Unavailable, "the service is not configured")
}

/// RFC 6455 §7.1.5: the connection ended without a close frame.
const ABNORMAL: u16 = 1006;
