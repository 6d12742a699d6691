//! Streaming calls to the outside: a body in pieces, a bound on every wait, and an abort that
//! closes the connection. Knows no provider beyond the request it is given.

use std::pin::pin;

use futures::channel::oneshot;
use futures::future::{Either, select};
use js_sys::{Function, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::ai::{Failure, HttpRequest};
use crate::time::Millis;

use super::js::{self, Js};

#[wasm_bindgen]
extern "C" {
    type AbortController;
    #[wasm_bindgen(constructor, catch)]
    fn new() -> Js<AbortController>;
    #[wasm_bindgen(method, getter)]
    fn signal(this: &AbortController) -> JsValue;
    #[wasm_bindgen(method, catch)]
    fn abort(this: &AbortController) -> Js<()>;

    type Reader;
    #[wasm_bindgen(method, catch)]
    fn read(this: &Reader) -> Js<Promise>;
    type Body;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn get_reader(this: &Body) -> Js<Reader>;
}

/// A response whose body is read in pieces. Dropping it closes the connection.
pub struct Outbound {
    _abort: Abort,
    headers: JsValue,
    reader: Option<Reader>,
    /// A read that has not returned yet.
    reading: Option<JsFuture>,
    pub status: u16,
}

/// A request on its way. Dropping it closes the connection.
pub struct Opening {
    abort: Option<Abort>,
    response: JsFuture,
}

struct Abort(AbortController);

impl Drop for Abort {
    fn drop(&mut self) {
        // After the end of the body it does nothing.
        let _ = self.0.abort();
    }
}

impl Outbound {
    /// # Errors
    /// The URL is none, or the runtime refuses the request.
    pub fn start(request: &HttpRequest) -> Result<Opening, Failure> {
        let start = || -> Js<Opening> {
            let abort = Abort(AbortController::new()?);
            let headers = request.headers.iter();
            let headers: Vec<_> = headers
                .map(|(name, value)| (*name, JsValue::from_str(value)))
                .collect();
            let init = js::object(&[
                ("method", request.method.into()),
                ("headers", js::object(&headers).into()),
                ("body", request.body.as_str().into()),
                ("redirect", "manual".into()),
                ("signal", abort.0.signal()),
            ]);
            let response = JsFuture::from(js::global_fetch(&request.url, &init)?);
            Ok(Opening {
                abort: Some(abort),
                response,
            })
        };
        start().map_err(|error| failure(&error))
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let get = js::field(&self.headers, "get");
        let value = get
            .dyn_ref::<Function>()?
            .call1(&self.headers, &name.into())
            .ok()?;
        value.as_string()
    }

    /// The next piece, `Some(None)` at the end, `None` when nothing came within `wait`: the read
    /// goes on and the next call takes it up.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self, wait: Millis) -> Result<Option<Option<Vec<u8>>>, Failure> {
        let Some(reader) = &self.reader else {
            return Ok(Some(None));
        };
        let reading = match self.reading.take() {
            Some(reading) => reading,
            None => JsFuture::from(reader.read().map_err(|error| failure(&error))?),
        };
        match within(reading, wait).await {
            Err(reading) => {
                self.reading = Some(reading);
                Ok(None)
            }
            Ok(result) => {
                let result = result.map_err(|error| failure(&error))?;
                if js::field(&result, "done").is_truthy() {
                    self.reader = None;
                    return Ok(Some(None));
                }
                Ok(Some(Some(
                    Uint8Array::new(&js::field(&result, "value")).to_vec(),
                )))
            }
        }
    }
}

impl Opening {
    /// The response, or `None` when it did not begin within `wait`.
    ///
    /// # Errors
    /// The provider could not be reached.
    pub async fn response(&mut self, wait: Millis) -> Result<Option<Outbound>, Failure> {
        let response = match within(&mut self.response, wait).await {
            Err(_) => return Ok(None),
            Ok(response) => response.map_err(|error| failure(&error))?,
        };
        let Some(abort) = self.abort.take() else {
            return Ok(None);
        };
        let body = js::field(&response, "body");
        let reader = if body.is_null() || body.is_undefined() {
            None
        } else {
            Some(
                body.unchecked_into::<Body>()
                    .get_reader()
                    .map_err(|error| failure(&error))?,
            )
        };
        Ok(Some(Outbound {
            _abort: abort,
            headers: js::field(&response, "headers"),
            reader,
            reading: None,
            status: js::field(&response, "status").as_f64().unwrap_or(0.0) as u16,
        }))
    }
}

/// A future, but no longer than `wait`; else it is given back.
async fn within<F: Future + Unpin>(future: F, wait: Millis) -> Result<F::Output, F> {
    match select(future, pin!(sleep(wait))).await {
        Either::Left((result, _)) => Ok(result),
        Either::Right((_, future)) => Err(future),
    }
}

/// Clears its timer when dropped: a pending one would keep the object awake.
struct Timer {
    id: JsValue,
    _callback: Closure<dyn FnMut()>,
}

impl Drop for Timer {
    fn drop(&mut self) {
        let _ = js::clear_timeout(&self.id);
    }
}

async fn sleep(wait: Millis) {
    let (done, waits) = oneshot::channel::<()>();
    let mut done = Some(done);
    let callback = Closure::<dyn FnMut()>::own_assert_unwind_safe(move || {
        if let Some(done) = done.take() {
            let _ = done.send(());
        }
    });
    let function: &Function = callback.as_ref().unchecked_ref();
    let Ok(id) = js::set_timeout(function, wait.0 as f64) else {
        return;
    };
    let _timer = Timer {
        id,
        _callback: callback,
    };
    let _ = waits.await;
}

fn failure(error: &JsValue) -> Failure {
    Failure::unreachable(js::text(error))
}
