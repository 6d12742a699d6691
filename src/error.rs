//! What can go wrong, as one table: the word, the HTTP status, the close code, the Connect code
//! and whether trying again can help. Every protocol reads its column here; none has a list of
//! its own. Source: `interface.md` "Codes", `decisions.md` "Refusals".
//!
//! Two kinds of failure, never mixed: [`Rejected`] is the caller's doing and safe to show,
//! [`Broken`] is ours: it is logged whole and shown as `internal` without its text.

use std::fmt;

/// The caller's doing, told to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub code: Code,
    /// One sentence for a developer: what was wrong and, where it helps, what to do.
    pub detail: String,
}

impl Rejected {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// The reason of a close frame: `code: detail`, cut to the 123 bytes RFC 6455 leaves for it.
    pub fn close_reason(&self) -> String {
        let mut reason = format!("{}: {}", self.code.word(), self.detail);
        while reason.len() > CLOSE_REASON_MAX_BYTES {
            reason.pop();
        }
        reason
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.word(), self.detail)
    }
}

impl std::error::Error for Rejected {}

/// Our own failure: a statement that does not run, a row that does not read. The tick that meets
/// one is rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Every refusal the service knows. Alphabetical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    BadMessage,
    BudgetExceeded,
    Conflict,
    Forbidden,
    Full,
    Internal,
    InvalidName,
    InvalidPayload,
    KeyMissing,
    MethodNotAllowed,
    NotFound,
    NotHere,
    NotJoined,
    ProviderUnavailable,
    QueueFull,
    RateLimited,
    TokenAlgorithm,
    TokenClaims,
    TokenExpired,
    TokenMalformed,
    TokenMissing,
    TokenNotYet,
    TokenRevoked,
    TokenSignature,
    TooBig,
    TooSlow,
    Unavailable,
    UnknownType,
    Unsupported,
    UnsupportedMediaType,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The word on the wire.
    pub word: &'static str,
    /// HTTP status; a code that never answers a request has the status of its kind all the same.
    pub http: u16,
    /// WebSocket close code when the connection itself is refused; 0 where it never is.
    pub close: u16,
    /// Code of the Connect protocol.
    pub connect: &'static str,
    /// The same request may succeed later.
    pub retryable: bool,
}

impl Code {
    pub const ALL: [Code; 30] = [
        Code::BadMessage,
        Code::BudgetExceeded,
        Code::Conflict,
        Code::Forbidden,
        Code::Full,
        Code::Internal,
        Code::InvalidName,
        Code::InvalidPayload,
        Code::KeyMissing,
        Code::MethodNotAllowed,
        Code::NotFound,
        Code::NotHere,
        Code::NotJoined,
        Code::ProviderUnavailable,
        Code::QueueFull,
        Code::RateLimited,
        Code::TokenAlgorithm,
        Code::TokenClaims,
        Code::TokenExpired,
        Code::TokenMalformed,
        Code::TokenMissing,
        Code::TokenNotYet,
        Code::TokenRevoked,
        Code::TokenSignature,
        Code::TooBig,
        Code::TooSlow,
        Code::Unavailable,
        Code::UnknownType,
        Code::Unsupported,
        Code::UnsupportedMediaType,
    ];

    pub const fn row(self) -> Row {
        const fn row(word: &'static str, http: u16, close: u16, connect: &'static str) -> Row {
            Row {
                word,
                http,
                close,
                connect,
                retryable: false,
            }
        }
        const fn again(word: &'static str, http: u16, close: u16, connect: &'static str) -> Row {
            Row {
                word,
                http,
                close,
                connect,
                retryable: true,
            }
        }
        match self {
            Code::BadMessage => row("bad_message", 400, 4400, "invalid_argument"),
            Code::BudgetExceeded => row("budget_exceeded", 429, 4429, "resource_exhausted"),
            Code::Conflict => row("conflict", 409, 4400, "aborted"),
            Code::Forbidden => row("forbidden", 403, 4403, "permission_denied"),
            Code::Full => again("full", 503, 4503, "resource_exhausted"),
            Code::Internal => again("internal", 500, 4500, "internal"),
            Code::InvalidName => row("invalid_name", 400, 4400, "invalid_argument"),
            Code::InvalidPayload => row("invalid_payload", 400, 4400, "invalid_argument"),
            Code::KeyMissing => row("key_missing", 503, 4503, "failed_precondition"),
            Code::MethodNotAllowed => row("method_not_allowed", 405, 0, "unimplemented"),
            Code::NotFound => row("not_found", 404, 4400, "not_found"),
            Code::NotHere => row("not_here", 409, 4400, "failed_precondition"),
            Code::NotJoined => row("not_joined", 409, 4400, "failed_precondition"),
            Code::ProviderUnavailable => again("provider_unavailable", 503, 4503, "unavailable"),
            Code::QueueFull => again("queue_full", 503, 4503, "resource_exhausted"),
            Code::RateLimited => again("rate_limited", 429, 4429, "resource_exhausted"),
            Code::TokenAlgorithm => row("token_algorithm", 401, 4401, "unauthenticated"),
            Code::TokenClaims => row("token_claims", 401, 4401, "unauthenticated"),
            Code::TokenExpired => row("token_expired", 401, 4401, "unauthenticated"),
            Code::TokenMalformed => row("token_malformed", 401, 4401, "unauthenticated"),
            Code::TokenMissing => row("token_missing", 401, 4401, "unauthenticated"),
            Code::TokenNotYet => again("token_not_yet", 401, 4401, "unauthenticated"),
            Code::TokenRevoked => row("token_revoked", 401, 4401, "unauthenticated"),
            Code::TokenSignature => row("token_signature", 401, 4401, "unauthenticated"),
            Code::TooBig => row("too_big", 413, 1009, "resource_exhausted"),
            Code::TooSlow => again("too_slow", 503, 4413, "resource_exhausted"),
            Code::Unavailable => again("unavailable", 503, 4503, "unavailable"),
            Code::UnknownType => row("unknown_type", 400, 4400, "unimplemented"),
            Code::Unsupported => row("unsupported", 400, 4400, "unimplemented"),
            Code::UnsupportedMediaType => row("unsupported_media_type", 415, 0, "invalid_argument"),
        }
    }

    pub const fn word(self) -> &'static str {
        self.row().word
    }

    pub fn from_word(word: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.word() == word)
    }
}

/// RFC 6455 §5.5: a control frame holds 125 bytes, two of them the code.
const CLOSE_REASON_MAX_BYTES: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_code_and_no_other() {
        for code in Code::ALL {
            assert_eq!(Code::from_word(code.word()), Some(code));
        }
    }

    #[test]
    fn statuses_and_close_codes_are_ones_a_peer_may_see() {
        for code in Code::ALL {
            let row = code.row();
            assert!((400..600).contains(&row.http), "{code:?}");
            assert!(matches!(row.close, 0 | 1009 | 4400..=4599), "{code:?}");
        }
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let reason = Rejected::new(Code::Forbidden, "ñ".repeat(200)).close_reason();
        assert!(reason.len() <= 123 && reason.len() > 120);
        assert!(reason.starts_with("forbidden: ñ"));
    }
}
