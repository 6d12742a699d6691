//! What anybody may know of the service: `GET /` and `GET /health`. The demo page itself is an
//! asset; here is only the question who gets it.

use serde::{Serialize, Serializer};

use super::{Request, Response};
use crate::time::Timestamp;

/// How something is. In order of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Healthy,
    Degraded,
    Unhealthy,
}

/// Whether this is a browser that wants the page: `text/html` is named in `Accept`, and not liked
/// less than JSON.
pub fn wants_page(request: &Request<'_>) -> bool {
    let accept = request.header("accept").unwrap_or_default();
    let html = quality(&accept, "text/html");
    html > 0.0 && html >= quality(&accept, "application/json")
}

/// `{name, version, protocols, ts}`.
pub fn service(ts: Timestamp) -> Response {
    #[derive(Serialize)]
    struct Service {
        name: &'static str,
        version: &'static str,
        protocols: [&'static str; 1],
        ts: Timestamp,
    }
    let protocols = [super::token::SUBPROTOCOL];
    Response::json(
        200,
        &Service {
            name: "tertulia",
            version: env!("CARGO_PKG_VERSION"),
            protocols,
            ts,
        },
    )
}

/// `{status, checks}`: as healthy as the worst of the checks.
pub fn health(checks: &[(&str, Health)]) -> Response {
    #[derive(Serialize)]
    struct Report<'a> {
        status: Health,
        #[serde(serialize_with = "as_object")]
        checks: &'a [(&'a str, Health)],
    }
    let status = checks
        .iter()
        .map(|(_, health)| *health)
        .max()
        .unwrap_or(Health::Healthy);
    let http = if status == Health::Unhealthy {
        503
    } else {
        200
    };
    Response::json(http, &Report { status, checks })
}

fn as_object<S: Serializer>(checks: &&[(&str, Health)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(checks.iter().copied())
}

/// The `q` of a media type that is named, 1 if it has none, 0 for one that is not named.
fn quality(accept: &str, media: &str) -> f32 {
    let mut quality = 0.0;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        if !parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(media))
        {
            continue;
        }
        let q = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        quality = q.map_or(1.0, |q| q.parse().unwrap_or(1.0));
    }
    quality
}
