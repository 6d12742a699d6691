//! A signed token (RFC 7519, compact form of RFC 7515 §3.1) in, a grant out. Checks form,
//! algorithm and signature, in this order, each refusal with its word; what the claims say is for
//! `claims.rs`. `kid`, `typ` and the keys a header brings along are passed over.

use serde_json::{Map, Value};

use super::base64::{Alphabet, decode};
use super::claims;
use super::key::Keys;
use crate::config::AuthConfig;
use crate::error::{Code, Rejected};
use crate::grant::Grant;
use crate::limits::{JSON_MAX_DEPTH, TOKEN_MAX_BYTES};
use crate::time::Timestamp;

/// Who this token says is calling, if it is to be believed now.
///
/// # Errors
/// `token_missing` (blank), `key_missing` (no key is configured), `token_malformed`,
/// `token_algorithm` (there is no key of the header's `alg`), `token_signature` (no key of it made
/// this one), then `token_expired`, `token_not_yet` and `token_claims`.
pub fn authenticate(
    token: &str,
    keys: &Keys,
    config: &AuthConfig,
    now: Timestamp,
) -> Result<Grant, Rejected> {
    if token.trim().is_empty() {
        return refuse(Code::TokenMissing, "this needs a token");
    }
    if keys.is_empty() {
        let detail = "no key to check tokens with is configured: set JWT_SECRET or JWT_PUBLIC_KEY";
        return refuse(Code::KeyMissing, detail);
    }
    let parts = Parts::read(token).map_err(|detail| Rejected::new(Code::TokenMalformed, detail))?;
    let mut candidates = keys.named(&parts.algorithm).peekable();
    if candidates.peek().is_none() {
        let words = keys.words();
        let detail =
            format!("the token's header must name the configured key's algorithm: {words}");
        return refuse(Code::TokenAlgorithm, detail);
    }
    if !candidates.any(|key| key.verifies(parts.signed.as_bytes(), &parts.signature)) {
        let detail = "no configured key made this token's signature";
        return refuse(Code::TokenSignature, detail);
    }
    claims::grant(&parts.claims, config, now)
}

/// A token taken apart; nothing of it is to be believed yet.
struct Parts<'a> {
    algorithm: String,
    claims: Map<String, Value>,
    signature: Vec<u8>,
    /// What the signature is over.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn read(token: &'a str) -> Result<Self, String> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(format!("the token has more than {TOKEN_MAX_BYTES} bytes"));
        }
        let three = || "the token is not three parts with a dot between them".to_owned();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(three)?;
        let (header, claims) = signed.split_once('.').ok_or_else(three)?;
        if claims.contains('.') {
            return Err(three());
        }
        let header = object(header, "header")?;
        let Some(algorithm) = header.get("alg").and_then(Value::as_str) else {
            return Err("the token's header has no `alg`".to_owned());
        };
        // RFC 7515 §4.1.11: who does not know an extension named here has to refuse.
        if header.contains_key("crit") {
            return Err(
                "the token's header asks for extensions (`crit`), none is known".to_owned(),
            );
        }
        let signature = decode(signature, Alphabet::Url)
            .ok_or("the token's signature is not Base64 of the URL alphabet")?;
        let claims = object(claims, "payload")?;
        Ok(Self {
            algorithm: algorithm.to_owned(),
            claims,
            signature,
            signed,
        })
    }
}

/// A name that stands twice has its last value (RFC 7519 §4).
fn object(part: &str, what: &str) -> Result<Map<String, Value>, String> {
    let bytes = decode(part, Alphabet::Url)
        .ok_or_else(|| format!("the token's {what} is not Base64 of the URL alphabet"))?;
    if depth(&bytes) > JSON_MAX_DEPTH {
        return Err(format!(
            "the token's {what} is nested deeper than {JSON_MAX_DEPTH}"
        ));
    }
    // Without the parser's own words: they may repeat what the token says.
    serde_json::from_slice(&bytes).map_err(|_| format!("the token's {what} is no JSON object"))
}

/// How deep brackets stand in brackets, outside of strings.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

fn refuse(code: Code, detail: impl Into<String>) -> Result<Grant, Rejected> {
    Err(Rejected::new(code, detail))
}
