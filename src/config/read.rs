//! Reading one variable: text in, a value of the right type and within its bounds out. Knows the
//! forms variables come in (numbers, words, lists, PEM, JSON), not what each is for.
//! Invariant: a refusal names the variable and what is allowed, never what was written there.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use super::{Algorithm, Origins, WrongVariable};
use crate::grant::Scope;
use crate::id::RoomName;
use crate::limits::{HEARTBEAT_MAX, KEYS_MAX, NAME_MAX_CHARS, ROOMS_MAX, SECRET_MIN_BYTES};
use crate::time::Millis;

pub(super) type Name = &'static str;
pub(super) type Read<T> = Result<T, WrongVariable>;

/// Text by a variable's name; absent and blank are the same.
pub(super) struct Variables<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.0)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// `least` and `most` bind what is written, not `default`.
    pub(super) fn number<T>(&self, name: Name, default: T, least: T, most: T) -> Read<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<T>() {
            Ok(number) if digits && number >= least && number <= most => Ok(number),
            _ => wrong(name, format!("a whole number from {least} to {most}")),
        }
    }

    pub(super) fn millis(&self, name: Name, default: u64, least: u64, most: u64) -> Read<Millis> {
        self.number(name, default, least, most).map(Millis)
    }

    pub(super) fn seconds(&self, name: Name, default: u64, least: u64, most: u64) -> Read<Millis> {
        self.number(name, default, least, most)
            .map(|seconds| Millis::SECOND.times(seconds))
    }

    /// One of a few words, without regard to case.
    pub(super) fn word<T: Copy>(&self, name: Name, default: T, words: &[(&str, T)]) -> Read<T> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        match words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&text))
        {
            Some((_, meant)) => Ok(*meant),
            None => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                wrong(name, format!("one of {}", words.join(", ")))
            }
        }
    }

    /// Follows the TTL where nobody chose it: whoever pings slower than that flaps for ever.
    pub(super) fn heartbeat(&self, name: Name, ttl: Millis) -> Read<Millis> {
        let most = HEARTBEAT_MAX.0.min(ttl.0 - 1);
        self.millis(name, 4_000.min(ttl.0 * 2 / 5), 100, most)
    }

    /// Lines as they are, spaces included: they are bytes of a key.
    pub(super) fn secrets(&self, name: Name) -> Read<Vec<String>> {
        let value = (self.0)(name).unwrap_or_default();
        let lines = value.lines().filter(|line| !line.trim().is_empty());
        let secrets: Vec<String> = lines.map(str::to_owned).collect();
        // Its first line would be a secret that everybody knows.
        if secrets.iter().any(|secret| secret.contains("-----BEGIN")) {
            return wrong(name, "a PEM key is no secret; put it in JWT_PUBLIC_KEY");
        }
        let long = |secret: &String| secret.len() >= SECRET_MIN_BYTES;
        if secrets.len() > KEYS_MAX || !secrets.iter().all(long) {
            let detail = format!(
                "at most {KEYS_MAX} secrets, one a line, each of at least {SECRET_MIN_BYTES} \
                 bytes (better 32: `openssl rand -base64 32`)"
            );
            return wrong(name, detail);
        }
        Ok(secrets)
    }

    /// Text around the blocks is passed over (RFC 7468 §2).
    pub(super) fn pem_blocks(&self, name: Name) -> Read<Vec<String>> {
        let Some(text) = self.text(name) else {
            return Ok(Vec::new());
        };
        // Secrets kept on one line write the line breaks of a PEM as `\n`.
        let text = text.replace("\\r", "").replace("\\n", "\n");
        let mut blocks: Vec<String> = Vec::new();
        let mut open = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("-----BEGIN ") && !open {
                blocks.push(String::new());
                open = true;
            }
            if let Some(block) = blocks.last_mut().filter(|_| open) {
                block.push_str(line);
                block.push('\n');
            }
            open &= !line.starts_with("-----END ");
        }
        if open || blocks.is_empty() || blocks.len() > KEYS_MAX {
            let detail = format!(
                "at most {KEYS_MAX} public keys in PEM, from -----BEGIN PUBLIC KEY----- to \
                 -----END PUBLIC KEY-----, with their line breaks (or `\\n`)"
            );
            return wrong(name, detail);
        }
        Ok(blocks)
    }

    pub(super) fn algorithms(&self, name: Name) -> Read<Vec<Algorithm>> {
        let text = self.text(name).unwrap_or_default();
        let known = |word: &str| {
            Algorithm::ALL
                .into_iter()
                .find(|known| known.word().eq_ignore_ascii_case(word))
        };
        match text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(known)
            .collect()
        {
            Some(algorithms) => Ok(algorithms),
            None => wrong(name, "a comma-separated list of HS256, RS256, ES256, EdDSA"),
        }
    }

    pub(super) fn scope(&self, name: Name) -> Read<String> {
        let scope = self.text(name).unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
        let known = |word: &str| Scope::ALL.into_iter().any(|scope| scope.word() == word);
        if !scope.split_ascii_whitespace().all(known) {
            let words = Scope::ALL.map(Scope::word).join(" ");
            return wrong(name, format!("words out of: {words}"));
        }
        Ok(scope)
    }

    pub(super) fn origins(&self, name: Name) -> Read<Origins> {
        match self.text(name).as_deref() {
            None => Ok(Origins::Same),
            Some("*") => Ok(Origins::Any),
            Some(list) => {
                let between = |c: char| c == ',' || c.is_whitespace();
                let words = list.split(between).filter(|word| !word.is_empty());
                match words.map(origin).collect() {
                    Some(origins) => Ok(Origins::List(origins)),
                    None => wrong(
                        name,
                        "`*`, or origins such as https://app.example.com, by comma",
                    ),
                }
            }
        }
    }

    pub(super) fn role_rooms(&self, name: Name) -> Read<Vec<(String, RoomName)>> {
        let text = self
            .text(name)
            .unwrap_or_else(|| DEFAULT_ROLE_ROOMS.to_owned());
        match role_rooms(&text) {
            Some(rooms) => Ok(rooms),
            None => wrong(
                name,
                format!(
                    "a JSON object from role to room, as {DEFAULT_ROLE_ROOMS}; at most \
                     {ROOMS_MAX}, and no room that begins with user_"
                ),
            ),
        }
    }
}

pub(super) fn wrong<T>(name: Name, detail: impl Into<String>) -> Read<T> {
    Err(WrongVariable {
        name,
        detail: detail.into(),
    })
}

fn role_rooms(text: &str) -> Option<Vec<(String, RoomName)>> {
    let rooms: BTreeMap<String, RoomName> = serde_json::from_str(text).ok()?;
    let by_role: BTreeMap<String, RoomName> = rooms
        .into_iter()
        .map(|(role, room)| (role.trim().to_lowercase(), room))
        .collect();
    // A room that begins with `user_` belongs to its user.
    let sound = by_role.iter().all(|(role, room)| {
        (1..=NAME_MAX_CHARS).contains(&role.len()) && !room.starts_with("user_")
    });
    (sound && by_role.len() <= ROOMS_MAX).then(|| by_role.into_iter().collect())
}

/// An origin as browsers write it: lower case, no default port, no path (RFC 6454 §6.2).
fn origin(word: &str) -> Option<String> {
    let word = word.strip_suffix('/').unwrap_or(word).to_ascii_lowercase();
    let (scheme, host) = word.split_once("://")?;
    let scheme_like = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let host_like = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let sound = !scheme.is_empty()
        && !host.is_empty()
        && scheme.bytes().all(scheme_like)
        && host.bytes().all(host_like);
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    sound.then(|| word.strip_suffix(default_port).unwrap_or(&word).to_owned())
}

pub(super) fn is_base_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let plain = |b: u8| b.is_ascii_graphic() && !b"?#@\\".contains(&b);
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && text.bytes().all(plain)
}

const DEFAULT_SCOPE: &str = "rooms:join rooms:publish rooms:history users:send jobs:read \
                             jobs:write presence:read files:write";
const DEFAULT_ROLE_ROOMS: &str = concat!(
    r#"{"admin":"admin","analyst":"admin","support":"admin","#,
    r#""advisor":"advisor","client":"client"}"#
);
