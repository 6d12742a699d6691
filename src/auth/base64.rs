//! Base64 (RFC 4648), decoding only. Knows nothing of what it decodes. Strict: no white space, and
//! no bits set beyond the last byte, so that one sequence of bytes has one text.

#[derive(Debug, Clone, Copy)]
pub(super) enum Alphabet {
    /// With `+` and `/`, padded: PEM.
    Standard,
    /// With `-` and `_`, never padded: tokens (RFC 7515 §2).
    Url,
}

/// `None` for what is not of this alphabet.
pub(super) fn decode(text: &str, alphabet: Alphabet) -> Option<Vec<u8>> {
    let symbols = match alphabet {
        Alphabet::Standard if !text.len().is_multiple_of(4) => return None,
        Alphabet::Standard => text
            .strip_suffix("==")
            .or(text.strip_suffix('='))
            .unwrap_or(text),
        Alphabet::Url => text,
    };
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3 + 2);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for symbol in symbols.bytes() {
        held = held << 6 | u32::from(value(symbol, alphabet)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    // Six bits left over are a lone symbol, which is less than a byte.
    (bits < 6 && held == 0).then_some(bytes)
}

fn value(symbol: u8, alphabet: Alphabet) -> Option<u8> {
    match (symbol, alphabet) {
        (b'A'..=b'Z', _) => Some(symbol - b'A'),
        (b'a'..=b'z', _) => Some(symbol - b'a' + 26),
        (b'0'..=b'9', _) => Some(symbol - b'0' + 52),
        (b'+', Alphabet::Standard) | (b'-', Alphabet::Url) => Some(62),
        (b'/', Alphabet::Standard) | (b'_', Alphabet::Url) => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_section_10() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(decode(text, Alphabet::Standard).unwrap(), bytes.as_bytes());
            let unpadded = text.trim_end_matches('=');
            assert_eq!(decode(unpadded, Alphabet::Url).unwrap(), bytes.as_bytes());
        }
        assert_eq!(
            decode("--__", Alphabet::Url),
            decode("++//", Alphabet::Standard)
        );
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for bad in [
            "A", "AAAAA", "Zh", "Zm9", "Zg==", "Zm9v\n", "Zm9v ", "Zm+v", "Zm/v", "ñ",
        ] {
            assert_eq!(decode(bad, Alphabet::Url), None, "{bad:?}");
        }
        for bad in ["Zg", "Zg=", "Zg===", "=", "====", "Zm-v", "Z=g="] {
            assert_eq!(decode(bad, Alphabet::Standard), None, "{bad:?}");
        }
    }
}
