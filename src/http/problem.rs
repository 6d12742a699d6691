//! A refusal as HTTP says it: `application/problem+json` (RFC 9457) with the code of a socket, and
//! the headers its status asks for. Source: `interface.md`, "Errors over HTTP".

use serde::{Deserialize, Serialize};

use super::{Refusal, Response};
use crate::error::{Code, Rejected};

/// `{type, title, status, detail, code, retryable}`.
pub fn response(refusal: &Refusal) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        /// No page of its own: the code says it all (RFC 9457, §4.2.1).
        #[serde(rename = "type")]
        kind: &'static str,
        title: &'static str,
        status: u16,
        detail: &'a str,
        code: &'static str,
        retryable: bool,
    }
    let code = refusal.rejected.code;
    let row = code.row();
    let problem = Problem {
        kind: "about:blank",
        title: phrase(row.http),
        status: row.http,
        detail: &refusal.rejected.detail,
        code: row.word,
        retryable: row.retryable,
    };
    let mut response = Response::typed(row.http, "application/problem+json", &problem);
    if row.http == 401 {
        response = response.with("www-authenticate", challenge(code));
    }
    if let Some(seconds) = retry_after_s(code) {
        response = response.with("retry-after", seconds.to_string());
    }
    if let Some(allow) = &refusal.allow {
        response = response.with("allow", allow.as_str());
    }
    response
}

/// Reads a problem of ours back: what an object refused, for a protocol that says it otherwise.
pub fn read(body: &str) -> Option<Rejected> {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
        detail: String,
    }
    let Problem { code, detail } = serde_json::from_str(body).ok()?;
    Some(Rejected::new(Code::from_word(&code)?, detail))
}

/// RFC 6750 §3: of its three words only this one means a token; which of ours it was stands in
/// the description.
fn challenge(code: Code) -> String {
    format!(
        r#"Bearer error="invalid_token", error_description="{}""#,
        code.word()
    )
}

/// How long a client should wait where waiting helps: rates are counted by the second or the
/// minute, a room or a provider takes longer to recover.
const fn retry_after_s(code: Code) -> Option<u32> {
    let row = code.row();
    match code {
        Code::BudgetExceeded => Some(60),
        Code::ProviderUnavailable => Some(10),
        _ if row.http == 429 => Some(1),
        _ if row.http == 503 && row.retryable => Some(2),
        _ => None,
    }
}

const fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
