//! Who calls: a token, or a guest's parameters, in; a [`Grant`](crate::grant::Grant) or the word
//! of a refusal out. Refuses to know where a token stood in the request, which origin it came
//! from, what a grant opens, and the clock. Source: `interface.md`, "Tokens".
//!
//! Invariants: the algorithm is the configured key's, never the token's choice; nothing a token
//! claims is believed before its signature is; no detail of a refusal repeats the token.

mod base64;
mod claims;
mod guest;
mod jwt;
mod key;
mod pem;
#[cfg(test)]
mod tests;

pub use guest::guest;
pub use jwt::authenticate;
pub use key::Keys;

use crate::error::{Code, Rejected};
use crate::limits::SHOWN_NAME_MAX_CHARS;

/// A name for show without the blanks around it; a blank one is none.
///
/// # Errors
/// `code`, for a name of more than [`SHOWN_NAME_MAX_CHARS`] characters.
fn shown_name(name: &str, code: Code) -> Result<Option<String>, Rejected> {
    let name = name.trim();
    if name.chars().count() > SHOWN_NAME_MAX_CHARS {
        let detail = format!("`name` has at most {SHOWN_NAME_MAX_CHARS} characters");
        return Err(Rejected::new(code, detail));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}
