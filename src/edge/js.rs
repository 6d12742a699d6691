//! Externs over the runtime: exactly what the edge needs, and everything that can throw declared
//! `catch`. Knows nothing of the service.
//!
//! A JavaScript exception out of an import without `catch` unwinds through Rust frames and leaves
//! borrows taken; so `catch` is the rule even where the runtime is documented not to throw.

use js_sys::{Array, Function, JsString, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

pub type Js<T> = Result<T, JsValue>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = Object)]
    #[derive(Clone)]
    pub type State;
    #[wasm_bindgen(method, getter)]
    pub fn storage(this: &State) -> Storage;
    #[wasm_bindgen(method, getter)]
    pub fn id(this: &State) -> ObjectId;
    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub fn wait_until(this: &State, promise: &Promise) -> Js<()>;
    #[wasm_bindgen(method, catch, js_name = acceptWebSocket)]
    pub fn accept(this: &State, socket: &Socket, tags: &Array) -> Js<()>;
    #[wasm_bindgen(method, catch, js_name = getWebSockets)]
    pub fn sockets(this: &State) -> Js<Vec<Socket>>;
    #[wasm_bindgen(method, catch, js_name = getTags)]
    pub fn tags(this: &State, socket: &Socket) -> Js<Vec<String>>;
    #[wasm_bindgen(method, catch, js_name = setWebSocketAutoResponse)]
    pub fn set_auto_response(this: &State, pair: &AutoResponse) -> Js<()>;
    /// A `Date`, or null before the first automatic answer.
    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    pub fn auto_response_at(this: &State, socket: &Socket) -> Js<Option<js_sys::Date>>;

    pub type ObjectId;
    #[wasm_bindgen(method, getter)]
    pub fn name(this: &ObjectId) -> Option<String>;

    #[wasm_bindgen(js_name = WebSocketRequestResponsePair)]
    pub type AutoResponse;
    #[wasm_bindgen(constructor, catch, js_class = WebSocketRequestResponsePair)]
    pub fn new(request: &str, response: &str) -> Js<AutoResponse>;

    #[derive(Clone)]
    pub type Storage;
    #[wasm_bindgen(method, getter)]
    pub fn sql(this: &Storage) -> SqlStorage;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(this: &Storage, body: &mut dyn FnMut() -> Js<JsValue>) -> Js<JsValue>;
    #[wasm_bindgen(method, catch, js_name = getAlarm)]
    pub fn get_alarm(this: &Storage) -> Js<Promise>;
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    pub fn set_alarm(this: &Storage, at_ms: f64) -> Js<Promise>;
    #[wasm_bindgen(method, catch, js_name = deleteAll)]
    pub fn delete_all(this: &Storage) -> Js<Promise>;

    #[derive(Clone)]
    pub type SqlStorage;
    #[wasm_bindgen(method, catch, variadic)]
    pub fn exec(this: &SqlStorage, query: &JsString, bindings: &Array) -> Js<Cursor>;
    pub type Cursor;
    #[wasm_bindgen(method, catch)]
    pub fn raw(this: &Cursor) -> Js<RawCursor>;
    pub type RawCursor;
    #[wasm_bindgen(method, catch, js_name = toArray)]
    pub fn to_array(this: &RawCursor) -> Js<Array>;

    #[wasm_bindgen(extends = Object)]
    #[derive(Clone)]
    pub type Socket;
    #[wasm_bindgen(method, getter, js_name = readyState)]
    pub fn ready_state(this: &Socket) -> u32;
    /// One string or buffer for any number of sockets.
    #[wasm_bindgen(method, catch)]
    pub fn send(this: &Socket, data: &JsValue) -> Js<()>;
    #[wasm_bindgen(method, catch)]
    pub fn close(this: &Socket, code: u16, reason: &str) -> Js<()>;
    /// Of a socket that does not hibernate: one we accept only to refuse it.
    #[wasm_bindgen(method, catch, js_name = accept)]
    pub fn accept_here(this: &Socket) -> Js<()>;
    #[wasm_bindgen(method, catch, js_name = serializeAttachment)]
    pub fn serialize_attachment(this: &Socket, value: &JsValue) -> Js<()>;
    #[wasm_bindgen(method, catch, js_name = deserializeAttachment)]
    pub fn deserialize_attachment(this: &Socket) -> Js<JsValue>;

    #[wasm_bindgen(js_name = WebSocketPair)]
    pub type Pair;
    #[wasm_bindgen(constructor, catch, js_class = WebSocketPair)]
    pub fn new() -> Js<Pair>;
    #[wasm_bindgen(method, indexing_getter)]
    pub fn at(this: &Pair, index: u32) -> Socket;

    pub type Namespace;
    #[wasm_bindgen(method, catch, js_name = getByName)]
    pub fn by_name(this: &Namespace, name: &str) -> Js<Fetcher>;
    /// A Durable Object stub, a service, or the static assets.
    pub type Fetcher;
    #[wasm_bindgen(method, catch)]
    pub fn fetch(this: &Fetcher, request: &web_sys::Request) -> Js<Promise>;
    pub type Queue;
    #[wasm_bindgen(method, catch)]
    pub fn send(this: &Queue, body: &JsValue, options: &JsValue) -> Js<Promise>;

    /// `ExecutionContext` of the Worker.
    pub type Context;
    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub fn wait_until(this: &Context, promise: &Promise) -> Js<()>;

    // Always by namespace: a bare `fetch` in the glue would be our own export of that name.
    #[wasm_bindgen(js_namespace = globalThis, js_name = setTimeout, catch)]
    pub fn set_timeout(callback: &Function, ms: f64) -> Js<JsValue>;
    #[wasm_bindgen(js_namespace = globalThis, js_name = clearTimeout, catch)]
    pub fn clear_timeout(timer: &JsValue) -> Js<()>;
    #[wasm_bindgen(js_namespace = globalThis, js_name = fetch, catch)]
    pub fn global_fetch(url: &str, init: &JsValue) -> Js<Promise>;
    #[wasm_bindgen(js_namespace = console, js_name = log)]
    pub fn log(text: &str);
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn log_error(text: &str);
}

/// Commits when `body` returns `Ok`; rolls back when it returns `Err` or panics. wasm-bindgen's shim
/// for `&mut dyn FnMut` catches a panic inside and throws it as a `PanicError`, so it is an `Err` here.
///
/// Under `panic = "unwind"` the extern wants a closure that is `UnwindSafe`, which no `&mut` is. The
/// caller vouches for what it lends: after an `Err` it drops everything `body` could have changed.
pub fn transaction(storage: &Storage, body: &mut dyn FnMut() -> Js<JsValue>) -> Js<JsValue> {
    let mut body = std::panic::AssertUnwindSafe(body);
    storage.transaction_sync(&mut move || (*body)())
}

pub const OPEN: u32 = 1;

/// Attachments travel as a `Uint8Array`; anything else is nobody's.
pub fn attachment(socket: &Socket) -> Option<Vec<u8>> {
    let value = socket.deserialize_attachment().ok()?;
    Some(value.dyn_ref::<Uint8Array>()?.to_vec())
}

pub fn set_attachment(socket: &Socket, bytes: &[u8]) -> Js<()> {
    socket.serialize_attachment(&Uint8Array::from(bytes))
}

/// Closes with what the runtime accepts: some codes throw, and so does a reason over 123 bytes.
pub fn close(socket: &Socket, code: u16, reason: &str) -> Js<()> {
    let code = if matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        code
    } else {
        1000
    };
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    socket.close(code, reason.get(..end).unwrap_or_default())
}

/// A binding of `env`, or an error that names it.
pub fn binding<T: JsCast>(env: &JsValue, name: &str) -> Js<T> {
    let value = Reflect::get(env, &JsValue::from_str(name))?;
    if value.is_undefined() {
        return Err(JsValue::from_str(&format!("no binding {name}")));
    }
    Ok(value.unchecked_into())
}

pub fn field(of: &JsValue, name: &str) -> JsValue {
    Reflect::get(of, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

/// `{name: value, …}`.
pub fn object(fields: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in fields {
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object
}

/// The text of anything thrown.
pub fn text(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => error.as_string().unwrap_or_else(|| format!("{error:?}")),
    }
}

/// The only way to spawn: a panic that leaves a bare `spawn_local` future stops wasm-bindgen's run
/// queue in the middle, and every task behind it (of any object) waits until something else is scheduled.
/// `future_to_promise` needs no such care: it catches, and rejects with a `PanicError`.
pub fn spawn(future: impl std::future::Future<Output = ()> + 'static) {
    use futures::FutureExt;
    let caught = std::panic::AssertUnwindSafe(future).catch_unwind();
    wasm_bindgen_futures::spawn_local(async move { drop(caught.await) }); // the hook has logged it
}
