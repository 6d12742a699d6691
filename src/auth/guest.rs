//! Callers without a token, where the operator lets them in: a grant for one room. Whether guests
//! are allowed at all, and whether the room is one they may name, is asked elsewhere
//! (`AuthConfig::allow_guests`, [`Grant::enter`]). Source: `interface.md`, "Guests".

use sha2::{Digest as _, Sha256};

use super::claims::GUEST_PREFIX;
use super::shown_name;
use crate::error::{Code, Rejected};
use crate::grant::{Grant, Pattern, Scope, Scopes};
use crate::id::{RoomName, UserId};
use crate::limits::{GUEST_KEY_MAX_CHARS, GUEST_KEY_MIN_CHARS};

/// A guest of `room`. `guest` is the text the client keeps: with it, the same person comes back;
/// without it, `random` (64 bits, drawn anew for each call) is somebody new.
///
/// # Errors
/// `invalid_payload` for a `guest` of another length than 16 to 64 characters, or a `name` of more
/// than 64.
pub fn guest(
    room: &RoomName,
    guest: Option<&str>,
    name: Option<&str>,
    random: u64,
) -> Result<Grant, Rejected> {
    let id = match guest {
        Some(key)
            if !(GUEST_KEY_MIN_CHARS..=GUEST_KEY_MAX_CHARS).contains(&key.chars().count()) =>
        {
            let detail =
                format!("`guest` has {GUEST_KEY_MIN_CHARS} to {GUEST_KEY_MAX_CHARS} characters");
            return Err(Rejected::new(Code::InvalidPayload, detail));
        }
        Some(key) => digest(room, key),
        None => random,
    };
    let user = UserId::parse(&format!("{GUEST_PREFIX}{id:016x}"))?;
    let name = shown_name(name.unwrap_or_default(), Code::InvalidPayload)?;
    Ok(Grant {
        user,
        name,
        roles: Vec::new(),
        guest: true,
        scopes: SCOPES.into_iter().collect::<Scopes>(),
        // No star can stand in a room's name, so the pattern is that room and no other.
        rooms: Some(vec![Pattern(room.to_string())]),
        expires_at: None,
    })
}

/// The first eight bytes of SHA-256 over room, U+000A and key. No room's name has a U+000A, so no
/// two pairs are the same text.
fn digest(room: &RoomName, key: &str) -> u64 {
    let hash = Sha256::new()
        .chain_update(&**room)
        .chain_update("\n")
        .chain_update(key)
        .finalize();
    hash.iter()
        .take(8)
        .fold(0, |id, byte| id << 8 | u64::from(*byte))
}

const SCOPES: [Scope; 5] = [
    Scope::JobsRead,
    Scope::JobsWrite,
    Scope::RoomsHistory,
    Scope::RoomsJoin,
    Scope::RoomsPublish,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sala() -> RoomName {
        RoomName::parse("sala").unwrap()
    }

    #[test]
    fn the_same_key_is_the_same_guest_of_that_room_only() {
        let key = Some("0123456789abcdef");
        let first = guest(&sala(), key, Some(" Eva "), 1).unwrap();
        // printf 'sala\n0123456789abcdef' | sha256sum
        assert_eq!(&*first.user, "guest:4db8dd734c9cd0f9");
        assert_eq!(first, guest(&sala(), key, Some("Eva"), 2).unwrap());
        let elsewhere = guest(&RoomName::parse("salon").unwrap(), key, None, 1).unwrap();
        assert_ne!(first.user, elsewhere.user);
        assert_eq!(first.name.as_deref(), Some("Eva"));
        assert!(first.guest && first.roles.is_empty() && first.expires_at.is_none());
    }

    #[test]
    fn a_guest_may_talk_and_ask_in_that_room_and_no_more() {
        let grant = guest(&sala(), None, Some("  "), 0xbeef).unwrap();
        assert_eq!(&*grant.user, "guest:000000000000beef");
        assert_eq!(grant.name, None);
        let held: Vec<_> = Scope::ALL
            .into_iter()
            .filter(|scope| grant.scopes.has(*scope))
            .collect();
        assert_eq!(held, SCOPES);
        assert!(grant.enter(&sala(), &[]).is_ok());
        assert!(
            grant
                .enter(&RoomName::parse("salas").unwrap(), &[])
                .is_err()
        );
    }

    #[test]
    fn lengths_are_kept() {
        let of = |key: &str, name: &str| guest(&sala(), Some(key), Some(name), 0);
        assert!(of(&"ñ".repeat(16), &"ñ".repeat(64)).is_ok());
        assert!(of(&"x".repeat(64), "").is_ok());
        for (key, name) in [(15, 0), (65, 0), (0, 0), (16, 65)] {
            let refusal = of(&"x".repeat(key), &"x".repeat(name)).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidPayload, "{key} {name}");
        }
    }
}
