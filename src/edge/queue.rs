//! The queue of jobs: what is sent and what is consumed. An export of our own, because the crate's
//! macro turns an error into a panic and hides `attempts`. Bodies are JSON text; each message is
//! settled by itself and none fails the batch. Source: `platform.md` 2.

use std::panic::AssertUnwindSafe;

use futures::future::join_all;
use js_sys::{Array, Promise};
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use crate::config::LogLevel;
use crate::id::{JobId, RoomName};

use super::consumer;
use super::js::{self, Js};
use super::log::{self, Line};
use super::port::Port;
use super::setup::setup;

#[wasm_bindgen]
extern "C" {
    /// A batch of messages.
    pub type Batch;
    #[wasm_bindgen(method, getter)]
    fn messages(this: &Batch) -> Array;

    /// One message.
    pub type Letter;
    #[wasm_bindgen(method, getter)]
    fn body(this: &Letter) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn attempts(this: &Letter) -> u32;
    #[wasm_bindgen(method, catch)]
    fn ack(this: &Letter) -> Js<()>;
    #[wasm_bindgen(method, catch)]
    fn retry(this: &Letter) -> Js<()>;
}

/// What a message says: which job of which room. `v` is of the row that sent it.
#[derive(Deserialize)]
struct Body {
    room: RoomName,
    job: JobId,
}

/// The Worker's consumer.
#[wasm_bindgen]
pub fn queue(batch: Batch, env: JsValue, _ctx: js::Context) -> Promise {
    future_to_promise(AssertUnwindSafe(async move {
        let letters = batch.messages();
        join_all(
            letters
                .iter()
                .map(|letter| one(letter.unchecked_into(), &env)),
        )
        .await;
        Ok(JsValue::UNDEFINED)
    }))
}

/// Text, always: other types of content go through a conversion that loses maps.
pub async fn send(env: &JsValue, body: &str) -> Js<()> {
    let queue: js::Queue = js::binding(env, BINDING)?;
    let options = js::object(&[("contentType", "text".into())]);
    JsFuture::from(queue.send(&body.into(), &options)?).await?;
    Ok(())
}

/// A message that can't be read, or whose job is gone or taken, is acknowledged: coming again
/// would change nothing. Only a room that can't be reached is worth another try.
async fn one(letter: Letter, env: &JsValue) {
    let text = letter.body().as_string().unwrap_or_default();
    let settled = match (serde_json::from_str::<Body>(&text), setup(env)) {
        (Ok(Body { room, job }), Ok(setup)) => {
            let port = Port::stub(env.clone(), room.clone());
            match consumer::run(port, &setup, job).await {
                Ok(()) => letter.ack(),
                Err(broken) => {
                    Line::new(LogLevel::Warn, "job_unreachable")
                        .with("room", room.to_string())
                        .with("job", job.to_string())
                        .with("attempts", letter.attempts())
                        .with("detail", broken.0)
                        .write(setup.config.log_level);
                    letter.retry()
                }
            }
        }
        (Err(error), _) => {
            log::broken("queue_message", &error.to_string());
            letter.ack()
        }
        (_, Err(_)) => letter.retry(),
    };
    if let Err(error) = settled {
        log::broken("queue_settle", &js::text(&error));
    }
}

pub const BINDING: &str = "JOBS";
