//! SHA-256 digests, the only kind that this program trusts.

use crate::class::{Class, Failure};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest. Prints as `sha256:` and 64 lowercase hex characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes a digest that a hasher made.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the 64 lowercase hex characters.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Returns the first 12 hex characters, to be shown where the whole would be too long. Never to
    /// be compared.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

/// Returns `bytes` as lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the bytes of exactly as many lowercase hex characters as they take.
pub(super) fn unhex<const LENGTH: usize>(digits: &str) -> Option<[u8; LENGTH]> {
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let digits = digits.as_bytes();
    if digits.len() != 2 * LENGTH {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

impl FromStr for Digest {
    type Err = Failure;

    /// Parses `sha256:` and exactly 64 lowercase hex characters.
    ///
    /// # Errors
    /// `malformed`: another algorithm, length or case.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let malformed = || {
            Failure::new(
                Class::Malformed,
                format!(
                    "`{text}` is not a digest: expected `sha256:` and 64 lowercase hex characters"
                ),
            )
        };
        text.strip_prefix("sha256:").and_then(unhex).map(Self).ok_or_else(malformed)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|failure: Failure| serde::de::Error::custom(failure.message()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_written() {
        let digest = Digest::of(b"");
        assert_eq!(
            digest.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
    }

    #[test]
    fn anything_but_lowercase_sha256_is_refused() {
        let hex = Digest::of(b"").hex();
        let upper = format!("sha256:{}", hex.to_uppercase());
        let sha512 = format!("sha512:{hex}{hex}");
        let long = format!("sha256:{hex}0");
        for text in [
            "",
            "sha256:",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "sha256:../x",
            &hex,
            &upper,
            &sha512,
            &long,
            "sha256:é",
        ] {
            assert_eq!(
                text.parse::<Digest>().map_err(|failure| failure.class()),
                Err(Class::Malformed),
                "{text}"
            );
        }
    }
}
