//! Which pages may call: `ALLOWED_ORIGINS` against the `Origin` header, and the headers that tell
//! a browser so. A request without an `Origin` is no browser's and passes; the service's own
//! origin always does. Source: `interface.md`, "Public" and "Configuration".

use super::{Request, Response, Route};
use crate::config::Origins;
use crate::error::{Code, Rejected};

/// A browser's request from another origin that is welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// The value of `access-control-allow-origin`.
    allow_origin: String,
}

/// Who a request comes from. Nothing to add to the response for nobody's page or our own.
///
/// # Errors
/// `forbidden` for a page of an origin that is not in the list.
pub fn check(request: &Request<'_>, origins: &Origins) -> Result<Option<Cors>, Rejected> {
    let Some(origin) = request.header("origin") else {
        return Ok(None);
    };
    let host = request.header("host").unwrap_or_default();
    if normal(&origin) == normal(&format!("{}://{host}", request.scheme)) {
        return Ok(None);
    }
    match origins {
        Origins::Any => Ok(Some(Cors {
            allow_origin: "*".into(),
        })),
        Origins::List(list) if list.iter().any(|known| normal(known) == normal(&origin)) => {
            Ok(Some(Cors {
                allow_origin: origin,
            }))
        }
        Origins::List(_) | Origins::Same => {
            let detail = "pages of this origin may not call here (ALLOWED_ORIGINS)";
            Err(Rejected::new(Code::Forbidden, detail))
        }
    }
}

/// The answer to OPTIONS: the preflight of a browser, or what the path takes. Nothing for another
/// method and for an unknown path.
pub fn options(request: &Request<'_>, cors: Option<&Cors>) -> Option<Response> {
    if request.method != "OPTIONS" {
        return None;
    }
    let allow = Route::allow(request.path)?;
    let response = Response::empty(204).with("allow", allow.as_str());
    if cors.is_none() || request.header("access-control-request-method").is_none() {
        return Some(response);
    }
    Some(
        response
            .with("access-control-allow-methods", allow)
            .with(
                "access-control-allow-headers",
                "authorization, content-type, idempotency-key",
            )
            .with("access-control-max-age", MAX_AGE_S.to_string()),
    )
}

impl Cors {
    /// Adds what lets the page read the response. No credentials: tokens are not cookies.
    #[must_use]
    pub fn on(&self, response: Response) -> Response {
        response
            .with("access-control-allow-origin", self.allow_origin.as_str())
            .with(
                "access-control-expose-headers",
                "allow, retry-after, www-authenticate",
            )
            .with("vary", "origin")
    }
}

/// Scheme, host and port, the last without the default of the first.
fn normal(origin: &str) -> String {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    let default = if origin.starts_with("https:") {
        ":443"
    } else {
        ":80"
    };
    origin
        .strip_suffix(default)
        .map(str::to_owned)
        .unwrap_or(origin)
}

/// Chromium keeps a preflight no longer.
const MAX_AGE_S: u32 = 7200;
