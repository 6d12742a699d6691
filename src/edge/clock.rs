//! The only clock reading and the only draw of real randomness.

use crate::random::Random;
use crate::time::Timestamp;

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp(js_sys::Date::now() as u64)
}

/// A generator seeded by the runtime; never at start-up, where the runtime refuses.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn random() -> Random {
    let mut seed = [0; 8];
    // Without the runtime's generator the clock must do: ids need be distinct, not secret.
    if getrandom::fill(&mut seed).is_err() {
        seed = now().0.to_le_bytes();
    }
    Random::seeded(u64::from_le_bytes(seed))
}
