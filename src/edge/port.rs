//! How a consumer speaks to its room: through a stub, or inside the object through its inbox; never
//! through a stub of itself. Source: `decisions.md`, "Jobs".

use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, RequestInit, Response};

use crate::error::Broken;
use crate::id::RoomName;
use crate::link::VERSION;

use super::inbox::{Inbox, Outcome};
use super::js;
use super::object::Input;
use super::stub::{self, WorkerCall, WorkerOp, WorkerReply};

/// How a consumer speaks to its room.
pub enum Port {
    Inside(Rc<Inbox>),
    Stub { env: JsValue, room: RoomName },
}

impl Port {
    pub fn stub(env: JsValue, room: RoomName) -> Self {
        Self::Stub { env, room }
    }

    pub async fn say(&self, op: WorkerOp) -> Result<WorkerReply, Broken> {
        match self {
            Self::Inside(inbox) => {
                let call = WorkerCall {
                    v: VERSION,
                    room: inbox.setting.room.clone(),
                    op,
                };
                let call = Box::new(call);
                match inbox.ask(|waiter| Input::Worker { waiter, call }).await {
                    Outcome::Verdict(reply) => Ok(reply),
                    Outcome::Answer(Err(rejected)) => Err(Broken(rejected.to_string())),
                    Outcome::Accepted | Outcome::Answer(Ok(_)) => {
                        Err(Broken("an answer of another kind".to_owned()))
                    }
                }
            }
            Self::Stub { env, room } => {
                let call = WorkerCall {
                    v: VERSION,
                    room: room.clone(),
                    op,
                };
                let text = fetch(env, room, &call)
                    .await
                    .map_err(|e| Broken(js::text(&e)))?;
                stub::read_reply(&text)
            }
        }
    }
}

async fn fetch(env: &JsValue, room: &RoomName, call: &WorkerCall) -> js::Js<String> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&JsValue::from_str(&stub::write(call)));
    let url = format!("{}{}", stub::ORIGIN, stub::WORKER_PATH);
    let request = Request::new_with_str_and_init(&url, &init)?;
    let rooms: js::Namespace = js::binding(env, super::request::ROOM)?;
    let response = JsFuture::from(rooms.by_name(room)?.fetch(&request)?).await?;
    let response: Response = response.into();
    let text = JsFuture::from(response.text()?)
        .await?
        .as_string()
        .unwrap_or_default();
    if response.ok() {
        Ok(text)
    } else {
        Err(JsValue::from_str(&text))
    }
}
