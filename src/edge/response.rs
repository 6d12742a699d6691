//! Plain responses into those of the runtime.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use web_sys::{Headers, Response as JsResponse, ResponseInit};

use crate::error::{Code, Rejected};
use crate::http::Response;
use crate::http::token::SUBPROTOCOL;

use super::js::{self, Js, Socket};

pub fn of(response: &Response) -> Js<JsResponse> {
    let headers = Headers::new()?;
    for (name, value) in &response.headers {
        headers.append(name, value)?;
    }
    let init = ResponseInit::new();
    init.set_status(response.status);
    init.set_headers(&headers);
    let body = (!response.body.is_empty()).then_some(response.body.as_str());
    JsResponse::new_with_opt_str_and_init(body, &init)
}

pub fn json(body: &str) -> Js<JsResponse> {
    JsResponse::new_with_opt_str(Some(body))
}

/// 101; it names the sub-protocol if the client offered it, and nothing else.
pub fn upgraded(client: &Socket, subprotocol: bool) -> Js<JsResponse> {
    let init = ResponseInit::new();
    init.set_status(101);
    Reflect::set(&init, &JsValue::from_str("webSocket"), client)?;
    if subprotocol {
        let headers = Headers::new()?;
        headers.set("sec-websocket-protocol", SUBPROTOCOL)?;
        init.set_headers(&headers);
    }
    JsResponse::new_with_opt_str_and_init(None, &init)
}

/// Accepted and closed at once, with the code and the reason of a refusal.
pub fn refused_socket(rejected: &Rejected) -> Js<JsResponse> {
    let pair = js::Pair::new()?;
    let server = pair.at(1);
    server.accept_here()?;
    // A refusal that only HTTP has is a misuse of the protocol here.
    let code = match rejected.code.row().close {
        0 => Code::BadMessage.row().close,
        close => close,
    };
    js::close(&server, code, &rejected.close_reason())?;
    upgraded(&pair.at(0), true)
}
