//! The digest of a file, by one of the algorithms that signatures and statements are made over.
//!
//! Images have SHA-256 alone ([`Digest`]); what is beside files names others too. SHA-1 and its
//! like are known by name only, so that they are refused for what they are.

use super::Digest;
use super::digest::{hex, unhex};
use crate::class::{Class, Failure};
use std::fmt;
use std::str::FromStr;

/// Algorithms that others write and nobody should rely on: git's commits are SHA-1.
const REFUSED: &[&str] =
    &["dirHash", "gitBlob", "gitCommit", "gitTag", "gitTree", "md5", "sha1", "sha224"];

/// The digest of a file. Prints as `ALGORITHM:HEX`, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileDigest {
    /// SHA-256.
    Sha256(Digest),
    /// SHA-384.
    Sha384([u8; 48]),
    /// SHA-512.
    Sha512([u8; 64]),
}

impl FileDigest {
    /// Parses what is behind the name of an algorithm. `None`: an algorithm that is not read.
    ///
    /// # Errors
    /// `malformed`: another length or case than the algorithm has.
    pub fn parse(algorithm: &str, digits: &str) -> Result<Option<Self>, Failure> {
        let parsed = match algorithm {
            "sha256" => unhex(digits).map(|bytes| Self::Sha256(Digest::from_bytes(bytes))),
            "sha384" => unhex(digits).map(Self::Sha384),
            "sha512" => unhex(digits).map(Self::Sha512),
            _ => return Ok(None),
        };
        parsed.map(Some).ok_or_else(|| {
            Failure::new(
                Class::Malformed,
                format!("`{digits}` is not a digest by {algorithm}, in lower case"),
            )
            .hint("copy the whole digest, all of its digits")
        })
    }

    /// Whether a text begins like a digest, by whatever algorithm, rather than like a name.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.split_once(':').is_some_and(|(algorithm, _)| {
            matches!(algorithm, "sha256" | "sha384" | "sha512") || REFUSED.contains(&algorithm)
        })
    }

    /// Returns the algorithm, as it is written before the digits.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha384(_) => "sha384",
            Self::Sha512(_) => "sha512",
        }
    }

    /// Returns the digits.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(digest) => digest.bytes(),
            Self::Sha384(digest) => digest,
            Self::Sha512(digest) => digest,
        }
    }

    /// Returns the digits.
    #[must_use]
    pub fn hex(&self) -> String {
        match self {
            Self::Sha256(digest) => digest.hex(),
            Self::Sha384(bytes) => hex(bytes),
            Self::Sha512(bytes) => hex(bytes),
        }
    }
}

impl FromStr for FileDigest {
    type Err = Failure;

    /// Parses `ALGORITHM:HEX`.
    ///
    /// # Errors
    /// `malformed`: not the digits of the algorithm. `unsupported`: another algorithm.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let (algorithm, digits) = text.split_once(':').unwrap_or((text, ""));
        Self::parse(algorithm, digits)?.ok_or_else(|| {
            Failure::new(
                Class::Unsupported,
                format!("a digest by `{algorithm}`; expected sha256, sha384 or sha512"),
            )
            .hint("name the file itself, or its digest by one of those")
        })
    }
}

impl From<Digest> for FileDigest {
    fn from(digest: Digest) -> Self {
        Self::Sha256(digest)
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_each_algorithm_reads_back_as_written_and_only_whole() {
        for (algorithm, digits) in [("sha256", 64), ("sha384", 96), ("sha512", 128)] {
            let text = format!("{algorithm}:{}", "0a".repeat(digits / 2));
            assert_eq!(text.parse::<FileDigest>().unwrap().to_string(), text);
            for broken in [
                text[..text.len() - 1].to_owned(),
                text[..text.len() - 2].to_owned(),
                format!("{text}0a"),
                text.replacen("0a", "0A", 1),
                text.replacen("0a", "0g", 1),
                format!("{algorithm}:"),
            ] {
                let class = broken.parse::<FileDigest>().map_err(|failure| failure.class());
                assert_eq!(class, Err(Class::Malformed), "{broken}");
                assert!(FileDigest::is_meant(&broken));
            }
        }
    }

    #[test]
    fn weak_algorithms_are_refused_by_name() {
        for text in ["sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "gitCommit:x", "md5:"] {
            let failure = text.parse::<FileDigest>().unwrap_err();
            assert_eq!(failure.class(), Class::Unsupported, "{text}");
            assert!(FileDigest::is_meant(text), "{text}");
        }
        for name in ["f", "C:f", "SHA256:x", "-", "https://x"] {
            assert!(!FileDigest::is_meant(name), "{name}");
        }
    }
}
