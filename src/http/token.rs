//! Where a token may stand: the `Authorization` header, `?access_token=`, `?token=`, or the
//! sub-protocol `bearer.<token>` beside `tertulia.v1`. Finds it and does not judge it: that is
//! `auth/`. Source: `interface.md`, "Tokens"; `decisions.md`, "Refusals".

use super::{Query, Request};
use crate::error::{Code, Rejected};

/// The sub-protocol of the native protocol; the 101 names it and nothing else.
pub const SUBPROTOCOL: &str = "tertulia.v1";

/// What `Sec-WebSocket-Protocol` offered.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// `tertulia.v1` is among it: the 101 says so, and a refusal is a close instead of a status.
    pub native: bool,
    bearer: Option<String>,
}

impl Offer {
    /// # Errors
    /// `unsupported` when something was offered and `tertulia.v1` was not: a browser drops a
    /// connection whose server picks none.
    pub fn parse(request: &Request<'_>) -> Result<Self, Rejected> {
        let header = request.header("sec-websocket-protocol").unwrap_or_default();
        let mut offer = Self::default();
        let mut any = false;
        for protocol in header
            .split(',')
            .map(str::trim)
            .filter(|protocol| !protocol.is_empty())
        {
            any = true;
            offer.native |= protocol == SUBPROTOCOL;
            if let Some(token) = protocol.strip_prefix("bearer.") {
                offer.bearer.get_or_insert_with(|| token.to_owned());
            }
        }
        if any && !offer.native {
            let detail =
                format!("offer the sub-protocol {SUBPROTOCOL}, beside bearer.<token> if any");
            return Err(Rejected::new(Code::Unsupported, detail));
        }
        Ok(offer)
    }
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer")
            .field("native", &self.native)
            .finish_non_exhaustive()
    }
}

/// The request's token, from the first place that has one, in the order above. An empty one is a
/// token all the same, and refused as such.
///
/// # Errors
/// `token_malformed` for an `Authorization` of another scheme, `invalid_payload` for a parameter
/// given twice.
pub fn find(
    request: &Request<'_>,
    query: &Query<'_>,
    offer: &Offer,
) -> Result<Option<String>, Rejected> {
    if let Some(header) = request.header("authorization") {
        let header = header.trim();
        let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            let detail = "the Authorization header must be Bearer and a token";
            return Err(Rejected::new(Code::TokenMalformed, detail));
        }
        return Ok(Some(token.trim().to_owned()));
    }
    for name in ["access_token", "token"] {
        if let Some(token) = query.get(name)? {
            return Ok(Some(token.to_owned()));
        }
    }
    Ok(offer.bearer.clone())
}
