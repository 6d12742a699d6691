//! Requests of the runtime: taken apart, their bodies read, and handed on to the assets and to the
//! objects.

use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request as JsRequest, RequestInit, Response as JsResponse};

use crate::error::{Code, Rejected};
use crate::http::Request;
use crate::id::RoomName;

use super::js::{self, Js};
use super::stub;

/// The URL of a request, taken apart once.
pub struct Parts {
    pub method: String,
    scheme: String,
    pub path: String,
    query: String,
}

impl Parts {
    pub fn of(request: &JsRequest) -> Self {
        let url = request.url();
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", ""));
        let start = rest.find(['/', '?']).unwrap_or(rest.len());
        let target = rest.get(start..).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: request.method(),
            scheme: scheme.to_owned(),
            path: path.to_owned(),
            query: query.split('#').next().unwrap_or_default().to_owned(),
        }
    }

    pub fn request<'a>(&'a self, header: &'a dyn Fn(&str) -> Option<String>) -> Request<'a> {
        let Self {
            method,
            scheme,
            path,
            query,
        } = self;
        Request {
            method,
            scheme,
            path,
            query,
            header,
        }
    }
}

pub async fn assets(env: &JsValue, request: &JsRequest) -> Js<JsResponse> {
    let assets: js::Fetcher = js::binding(env, "ASSETS")?;
    Ok(JsFuture::from(assets.fetch(request)?).await?.into())
}

pub async fn object(env: &JsValue, room: &RoomName, request: &JsRequest) -> Js<JsResponse> {
    let rooms: js::Namespace = js::binding(env, ROOM)?;
    Ok(JsFuture::from(rooms.by_name(room)?.fetch(request)?)
        .await?
        .into())
}

pub async fn post(env: &JsValue, room: &RoomName, path: &str, body: &str) -> Js<JsResponse> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&JsValue::from_str(body));
    let request = JsRequest::new_with_str_and_init(&format!("{}{path}", stub::ORIGIN), &init)?;
    object(env, room, &request).await
}

/// At most `most` bytes; a body that is longer than it said is not read to its end.
pub async fn read_body(request: &JsRequest, most: usize) -> Result<Vec<u8>, Rejected> {
    let unread = |error: JsValue| Rejected::new(Code::BadMessage, js::text(&error));
    let buffer = JsFuture::from(request.array_buffer().map_err(unread)?)
        .await
        .map_err(unread)?;
    let bytes = Uint8Array::new(&buffer);
    if bytes.length() as usize > most {
        let detail = format!("a body has at most {most} bytes");
        return Err(Rejected::new(Code::TooBig, detail));
    }
    Ok(bytes.to_vec())
}

/// The binding of the objects.
pub const ROOM: &str = "ROOM";
