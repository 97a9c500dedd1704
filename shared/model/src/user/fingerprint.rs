//! Card fingerprints: HMAC-SHA256 of a card number under a key of this installation.
//!
//! Guarantees: a changed card is found without its number. Card numbers are few, so a plain hash
//! would be as good as the number. The key is never in the store, so a copy of the tables is not
//! enough to try numbers. Workers on several hosts need the same key; otherwise each worker sees a
//! card that another one stored as changed.
//! Does not: read or create the key's file (see `upstream/card_key.rs`).

use ring::hmac;

/// The key of this installation. Cheap to clone; its debug text hides it.
#[derive(Clone)]
pub struct FingerprintKey(hmac::Key);

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey(***)")
    }
}

impl FingerprintKey {
    pub fn from_secret(secret: &str) -> Self {
        Self::from_bytes(secret.as_bytes())
    }

    pub fn from_bytes(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Equal for equal digits; the digits cannot be found without the key.
    pub fn fingerprint(&self, digits: &str) -> String {
        use std::fmt::Write;
        let tag = hmac::sign(&self.0, digits.as_bytes());
        tag.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string never fails");
            text
        })
    }
}
