//! Public keys as operators paste them: PEM (RFC 7468) around SubjectPublicKeyInfo (RFC 5280
//! §4.1.2.7) or, for RSA, PKCS#1 (RFC 8017 §A.1.1). Reads the parts of a key; whether they make
//! one is for `key.rs`. Knows the little of DER that public keys need.

use super::base64::{Alphabet, decode};

/// The numbers of a public key, big-endian, not yet checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    Ed25519(Vec<u8>),
    /// A point in the form of SEC 1.
    P256(Vec<u8>),
    /// Without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// Reads one block.
///
/// # Errors
/// What is wrong with it, for the operator.
pub(super) fn read(block: &str) -> Result<PublicKey, &'static str> {
    let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
    let label = lines.next().and_then(|line| label(line, "-----BEGIN "));
    let end = lines.next_back().and_then(|line| label_of_end(line, label));
    let (Some(label), Some(())) = (label, end) else {
        return Err("the BEGIN and END lines do not match");
    };
    let body: String = lines.collect();
    let der = decode(&body, Alphabet::Standard).ok_or("the text between the lines is no Base64")?;
    let malformed = "not the DER of a public key";
    match label {
        "PUBLIC KEY" => subject_public_key_info(&der)
            .ok_or(malformed)?
            .ok_or("neither RSA, nor P-256, nor Ed25519"),
        "RSA PUBLIC KEY" => rsa(&der).ok_or(malformed),
        "CERTIFICATE" => Err("a certificate; take the key out: openssl x509 -pubkey -noout"),
        _ if label.ends_with("PRIVATE KEY") => {
            Err("a private key: it does not belong here and is no secret any more")
        }
        _ => Err("neither PUBLIC KEY nor RSA PUBLIC KEY"),
    }
}

fn label<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

fn label_of_end(line: &str, begun: Option<&str>) -> Option<()> {
    (label(line, "-----END ")? == begun?).then_some(())
}

/// `Some(None)`: well formed, and of a type that is not ours.
fn subject_public_key_info(der: &[u8]) -> Option<Option<PublicKey>> {
    let mut info = Der(whole(der, SEQUENCE)?);
    let mut algorithm = Der(info.take(SEQUENCE)?);
    // The first byte of a bit string counts the bits to leave out of its last one.
    let key = info.take(BIT_STRING)?.strip_prefix(&[0])?;
    info.at_end()?;
    match algorithm.take(OBJECT_ID)? {
        RSA => rsa(key).map(Some),
        EC if algorithm.take(OBJECT_ID)? == P256 => Some(Some(PublicKey::P256(key.to_vec()))),
        ED25519 => Some(Some(PublicKey::Ed25519(key.to_vec()))),
        _ => Some(None),
    }
}

fn rsa(der: &[u8]) -> Option<PublicKey> {
    let mut numbers = Der(whole(der, SEQUENCE)?);
    let (modulus, exponent) = (numbers.take_unsigned()?, numbers.take_unsigned()?);
    numbers.at_end()?;
    Some(PublicKey::Rsa { modulus, exponent })
}

/// What is left to read of a value's content.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next value, if it has this tag. Lengths up to 65,535: no key is longer.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (length, rest) = match self.0.strip_prefix(&[tag])? {
            [0x82, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
            [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [length @ ..=0x7f, rest @ ..] => (usize::from(*length), rest),
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    fn take_unsigned(&mut self) -> Option<Vec<u8>> {
        let number = self.take(INTEGER)?;
        let negative = number.first().is_none_or(|first| first & 0x80 != 0);
        let digits = number.iter().copied().skip_while(|byte| *byte == 0);
        (!negative).then(|| digits.collect())
    }

    fn at_end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// The content of the one value that `der` is.
fn whole(der: &[u8], tag: u8) -> Option<&[u8]> {
    let mut outer = Der(der);
    let content = outer.take(tag)?;
    outer.at_end().map(|()| content)
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// 1.2.840.113549.1.1.1 (RFC 8017 §A.1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1 (RFC 5480 §2.1.1), and the curve 1.2.840.10045.3.1.7 (§2.1.1.1).
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.101.112 (RFC 8410 §3).
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
