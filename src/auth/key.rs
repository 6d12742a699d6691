//! The keys that tokens are checked with, made once of the configuration. A key knows its
//! algorithm; nothing outside chooses one for it. Source: `interface.md`, `JWT_SECRET`,
//! `JWT_PUBLIC_KEY`, `JWT_ALGORITHM`.

use std::borrow::Cow;

use jwt_compact::alg::{Ed25519, Es256, Hs256, Hs256Key, Rsa, RsaPublicKey, VerifyingKey};
use jwt_compact::jwk::JsonWebKey;
use jwt_compact::{Algorithm as Signed, AlgorithmSignature as _};

use super::pem::{self, PublicKey};
use crate::config::{Algorithm, AuthConfig, WrongVariable};

/// Every key that may have signed a token. To be built once and kept: an RSA key costs its
/// parsing.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

/// One key. Its variant is the only place an algorithm comes from. `Debug` shows no secret:
/// `Hs256Key` writes itself as `_`.
#[derive(Debug)]
pub(super) enum Key {
    EdDsa(<Ed25519 as Signed>::VerifyingKey),
    Es256(<Es256 as Signed>::VerifyingKey),
    Hs256(Hs256Key),
    Rs256(RsaPublicKey),
}

impl Keys {
    /// The configured keys, without those that `JWT_ALGORITHM` leaves out. None at all is no
    /// error here: then every token is refused with `key_missing`.
    ///
    /// # Errors
    /// `JWT_PUBLIC_KEY`, naming the block that is no key of ours; `JWT_ALGORITHM`, when it leaves
    /// out every key there is.
    pub fn from(config: &AuthConfig) -> Result<Self, WrongVariable> {
        let mut keys: Vec<Key> = config
            .secrets
            .iter()
            .map(|s| Key::secret(s.as_bytes()))
            .collect();
        for (at, block) in config.public_keys.iter().enumerate() {
            let key = pem::read(block)
                .and_then(Key::public)
                .map_err(|problem| WrongVariable {
                    name: "JWT_PUBLIC_KEY",
                    detail: format!("key {}: {problem}", at + 1),
                })?;
            keys.push(key);
        }
        let configured = !keys.is_empty();
        let chosen = &config.algorithms;
        keys.retain(|key| chosen.is_empty() || chosen.contains(&key.algorithm()));
        if configured && keys.is_empty() {
            let detail = "none of the keys in JWT_SECRET and JWT_PUBLIC_KEY is of it: a secret \
                          is HS256, RSA RS256, P-256 ES256, Ed25519 EdDSA";
            return Err(WrongVariable {
                name: "JWT_ALGORITHM",
                detail: detail.to_owned(),
            });
        }
        Ok(Self(keys))
    }

    /// Without a key nothing with a token is let in.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of the algorithm that a header calls `word`.
    pub(super) fn named(&self, word: &str) -> impl Iterator<Item = &Key> {
        self.0
            .iter()
            .filter(move |key| key.algorithm().word() == word)
    }

    /// The algorithms there are keys of, for the detail of a refusal.
    pub(super) fn words(&self) -> String {
        let has = |algorithm: &Algorithm| self.0.iter().any(|key| key.algorithm() == *algorithm);
        let words: Vec<_> = Algorithm::ALL
            .into_iter()
            .filter(has)
            .map(Algorithm::word)
            .collect();
        words.join(", ")
    }
}

impl Key {
    pub(super) fn secret(bytes: &[u8]) -> Self {
        Self::Hs256(Hs256Key::new(bytes))
    }

    /// # Errors
    /// What is wrong with the key, for the operator.
    pub(super) fn public(key: PublicKey) -> Result<Self, &'static str> {
        match key {
            PublicKey::Ed25519(bytes) => VerifyingKey::<Ed25519>::from_slice(&bytes)
                .map(Self::EdDsa)
                .map_err(|_| "not an Ed25519 key"),
            PublicKey::P256(point) => VerifyingKey::<Es256>::from_slice(&point)
                .map(Self::Es256)
                .map_err(|_| "not a point of P-256"),
            PublicKey::Rsa { modulus, .. } if modulus.len() < RSA_MIN_BYTES => {
                Err("an RSA key of less than 2048 bits")
            }
            PublicKey::Rsa { modulus, exponent } => RsaPublicKey::try_from(&JsonWebKey::Rsa {
                modulus: Cow::Owned(modulus),
                public_exponent: Cow::Owned(exponent),
                private_parts: None,
            })
            .map(Self::Rs256)
            .map_err(|_| "not an RSA key of 2048 to 4096 bits"),
        }
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es256(_) => Algorithm::Es256,
            Self::Hs256(_) => Algorithm::Hs256,
            Self::Rs256(_) => Algorithm::Rs256,
        }
    }

    /// Whether this key made `signature` over `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::EdDsa(key) => verifies(&Ed25519, key, message, signature),
            Self::Es256(key) => verifies(&Es256, key, message, signature),
            Self::Hs256(key) => verifies(&Hs256, key, message, signature),
            Self::Rs256(key) => verifies(&Rsa::rs256(), key, message, signature),
        }
    }
}

fn verifies<A: Signed>(
    algorithm: &A,
    key: &A::VerifyingKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    // `try_from_slice` panics on another length where the algorithm has one.
    if A::Signature::LENGTH.is_some_and(|length| length.get() != signature.len()) {
        return false;
    }
    A::Signature::try_from_slice(signature)
        .is_ok_and(|signature| algorithm.verify_signature(&signature, key, message))
}

/// RFC 7518 §3.3.
const RSA_MIN_BYTES: usize = 2048 / 8;
