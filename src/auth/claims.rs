//! The claims of a token whose signature is good, made into a grant: times, issuer, audience,
//! then who and what. Knows no key and no signature. Source: `interface.md`, the table of claims.

use serde_json::{Map, Value};

use super::shown_name;
use crate::config::AuthConfig;
use crate::error::{Code, Rejected};
use crate::grant::{Grant, Pattern, Scopes};
use crate::id::UserId;
use crate::limits::{CONNECTION_ROW_MAX_BYTES, NAME_MAX_CHARS, PATTERNS_MAX, ROLES_MAX};
use crate::time::Timestamp;

/// `expires_at` of the grant is `exp` and the leeway.
///
/// # Errors
/// `token_expired`, `token_not_yet`, and `token_claims` for a claim of the wrong type, out of its
/// bounds, or of another issuer or audience.
pub(super) fn grant(
    claims: &Map<String, Value>,
    config: &AuthConfig,
    now: Timestamp,
) -> Result<Grant, Rejected> {
    let expires_at = time(claims, "exp")?.map(|exp| exp.plus(config.leeway));
    if expires_at.is_some_and(|end| now >= end) {
        return Err(Rejected::new(
            Code::TokenExpired,
            "the token has expired; get a new one",
        ));
    }
    if time(claims, "nbf")?.is_some_and(|nbf| now.plus(config.leeway) < nbf) {
        return Err(Rejected::new(
            Code::TokenNotYet,
            "the token is not valid yet (`nbf`)",
        ));
    }
    issued_for_us(claims, config)?;
    let user = user(claims)?;
    let name = match claims.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => shown_name(name, Code::TokenClaims)?,
        Some(_) => return wrong("`name` is a string"),
    };
    let scopes = match words(claims, "scope")? {
        Some(words) => Scopes::parse(&words.join(" ")),
        None => Scopes::parse(&config.default_scope),
    };
    let rooms = rooms(claims)?;
    let patterns = rooms
        .iter()
        .flatten()
        .map(|pattern| pattern.0.len())
        .sum::<usize>();
    if patterns + name.as_ref().map_or(0, String::len) > CONNECTION_ROW_MAX_BYTES {
        return wrong(&format!(
            "`rooms` and `name` have more than {CONNECTION_ROW_MAX_BYTES} bytes together"
        ));
    }
    Ok(Grant {
        user,
        name,
        roles: roles(claims)?,
        guest: false,
        scopes,
        rooms,
        expires_at,
    })
}

fn user(claims: &Map<String, Value>) -> Result<UserId, Rejected> {
    let Some(sub) = claims.get("sub").and_then(Value::as_str) else {
        return wrong("`sub` is missing or no string: it says who is calling");
    };
    if sub == &*UserId::ai() || sub.starts_with(GUEST_PREFIX) {
        return wrong("`sub` is a name of the service's own (`ai`, `guest:…`)");
    }
    UserId::parse(sub).or_else(|refusal| wrong(&format!("`sub`: {}", refusal.detail)))
}

/// Checked where they are configured; `jti` is what a single token is revoked by, so it has to be
/// one.
fn issued_for_us(claims: &Map<String, Value>, config: &AuthConfig) -> Result<(), Rejected> {
    if let Some(issuer) = &config.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return wrong("`iss` is not the issuer this service trusts (JWT_ISSUER)");
    }
    if let Some(audience) = &config.audience
        && !words(claims, "aud")?.is_some_and(|named| named.contains(&audience.as_str()))
    {
        return wrong("`aud` does not name this service (JWT_AUDIENCE)");
    }
    if claims.get("jti").is_some_and(|jti| !jti.is_string()) {
        return wrong("`jti` is a string");
    }
    Ok(())
}

/// Of `role` and `roles` together, in lower case, each once, in the order they stand.
fn roles(claims: &Map<String, Value>) -> Result<Vec<String>, Rejected> {
    let mut roles: Vec<String> = Vec::new();
    for claim in ["role", "roles"] {
        // Issuers write null for a person without one.
        if claims.get(claim).is_some_and(Value::is_null) {
            continue;
        }
        for word in words(claims, claim)?.unwrap_or_default() {
            let role = word.trim().to_lowercase();
            if role.chars().count() > NAME_MAX_CHARS {
                return wrong(&format!("a role has at most {NAME_MAX_CHARS} characters"));
            }
            if !role.is_empty() && !roles.contains(&role) {
                roles.push(role);
            }
            if roles.len() > ROLES_MAX {
                return wrong(&format!("a token has at most {ROLES_MAX} roles"));
            }
        }
    }
    Ok(roles)
}

/// Null is refused here: an issuer that forgot the list must not open every room.
fn rooms(claims: &Map<String, Value>) -> Result<Option<Vec<Pattern>>, Rejected> {
    let Some(patterns) = words(claims, "rooms")? else {
        return Ok(None);
    };
    if patterns.len() > PATTERNS_MAX
        || patterns
            .iter()
            .any(|pattern| pattern.chars().count() > NAME_MAX_CHARS)
    {
        return wrong(&format!(
            "`rooms` has at most {PATTERNS_MAX} patterns of {NAME_MAX_CHARS} characters"
        ));
    }
    Ok(Some(
        patterns
            .into_iter()
            .map(|pattern| Pattern(pattern.to_owned()))
            .collect(),
    ))
}

/// A string, or an array of strings.
fn words<'a>(
    claims: &'a Map<String, Value>,
    claim: &str,
) -> Result<Option<Vec<&'a str>>, Rejected> {
    let words = match claims.get(claim) {
        None => return Ok(None),
        Some(Value::String(word)) => Some(vec![word.as_str()]),
        Some(Value::Array(words)) => words.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    words.map_or_else(
        || wrong(&format!("`{claim}` is a string or an array of strings")),
        |words| Ok(Some(words)),
    )
}

/// A NumericDate (RFC 7519 §2): seconds since 1970, perhaps with a fraction.
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<Timestamp>, Rejected> {
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    match value.as_f64() {
        Some(seconds) if seconds <= SECONDS_MAX => {
            // A float beyond either end of u64 becomes that end.
            Ok(Some(Timestamp((seconds * 1000.0) as u64)))
        }
        _ => wrong(&format!(
            "`{claim}` is a number of seconds since 1970, before the year 10000"
        )),
    }
}

fn wrong<T>(detail: &str) -> Result<T, Rejected> {
    Err(Rejected::new(Code::TokenClaims, detail))
}

/// Who carries it came without a token (`guest.rs`).
pub(super) const GUEST_PREFIX: &str = "guest:";
/// The last second of the year 9999. What lies beyond was meant in milliseconds.
const SECONDS_MAX: f64 = 253_402_300_799.0;
