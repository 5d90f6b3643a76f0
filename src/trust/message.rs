//! A message that is signed and too long to be held: read once, in pieces, keeping what signatures
//! of a key can be over.

use super::entry::MessageDigests;
use crate::name::{Digest, FileDigest};
use aws_lc_rs::digest::{self, Context};
use ed25519_dalek::{Signature, StreamVerifier, VerifyingKey};
use std::fmt;

/// What of a message is needed. Each costs time, so only what a key can use is computed; the
/// SHA-256 in any case, for that is what the message is called by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The SHA-256.
    pub sha256: bool,
    /// The SHA-384.
    pub sha384: bool,
    /// The SHA-512.
    pub sha512: bool,
    /// Whether this key made this signature over the message as it is.
    pub ed25519: Option<Ed25519>,
}

/// A key and a signature of Ed25519: the message is hashed after both, so they have to be known
/// before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ed25519 {
    key: [u8; 32],
    signature: [u8; 64],
}

impl Ed25519 {
    /// Returns `None` where one of the two has another length.
    pub(super) fn new(key: &[u8], signature: &[u8]) -> Option<Self> {
        Some(Self { key: key.try_into().ok()?, signature: signature.try_into().ok()? })
    }

    /// Begins to check; `None` where they can be no key and no signature of it.
    fn begin(&self) -> Option<StreamVerifier> {
        let key = VerifyingKey::from_bytes(&self.key).ok()?;
        // Under a key of small order one signature holds for every message
        // (docs/threats.md S22).
        let key = Some(key).filter(|key| !key.is_weak())?;
        key.verify_stream(&Signature::from_bytes(&self.signature)).ok()
    }
}

/// Takes a message piece by piece.
pub struct Hasher {
    sha256: Context,
    sha384: Option<Context>,
    sha512: Option<Context>,
    ed25519: Option<(Ed25519, Option<StreamVerifier>)>,
}

impl Hasher {
    /// Begins a message.
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        Self {
            sha256: Context::new(&digest::SHA256),
            sha384: needs.sha384.then(|| Context::new(&digest::SHA384)),
            sha512: needs.sha512.then(|| Context::new(&digest::SHA512)),
            ed25519: needs.ed25519.map(|asked| (asked, asked.begin())),
        }
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        for context in [&mut self.sha384, &mut self.sha512].into_iter().flatten() {
            context.update(piece);
        }
        if let Some((_, Some(verifier))) = &mut self.ed25519 {
            verifier.update(piece);
        }
    }

    /// Ends the message.
    #[must_use]
    pub fn finish(self) -> Message {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.sha256.finish().as_ref());
        let sha256 = Digest::from_bytes(sha256);
        let digests = MessageDigests {
            sha256: Some(sha256),
            sha384: self.sha384.and_then(|context| context.finish().as_ref().try_into().ok()),
            sha512: self.sha512.and_then(|context| context.finish().as_ref().try_into().ok()),
        };
        let ed25519 = self.ed25519.map(|(asked, verifier)| {
            (asked, verifier.is_some_and(|verifier| verifier.finalize_and_verify().is_ok()))
        });
        Message { digest: sha256.into(), digests, ed25519 }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// What is known of a message.
#[derive(Clone)]
pub struct Message {
    digest: FileDigest,
    digests: MessageDigests,
    /// What was asked, and whether it holds.
    ed25519: Option<(Ed25519, bool)>,
}

impl Message {
    /// Returns the digest that stands for the message: the SHA-256, or the one that was given.
    #[must_use]
    pub fn digest(&self) -> &FileDigest {
        &self.digest
    }

    /// Returns the digests.
    #[must_use]
    pub fn digests(&self) -> &MessageDigests {
        &self.digests
    }

    /// Returns whether a key made a signature over the message as it is; `None` where that was not
    /// asked when it was read.
    pub(super) fn is_signed_as_it_is(&self, asked: &Ed25519) -> Option<bool> {
        self.ed25519.and_then(|(known, holds)| (known == *asked).then_some(holds))
    }
}

impl From<FileDigest> for Message {
    /// Takes a message of which only one digest is known.
    fn from(digest: FileDigest) -> Self {
        Self { digest, digests: digest.into(), ed25519: None }
    }
}

impl From<Digest> for Message {
    /// Takes a message of which only the SHA-256 is known.
    fn from(sha256: Digest) -> Self {
        FileDigest::from(sha256).into()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({})", self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    fn holds(pieces: &[&[u8]], read_for: Option<Ed25519>, asked: Option<Ed25519>) -> Option<bool> {
        let mut hasher = Hasher::new(Needs { ed25519: read_for, ..Needs::default() });
        pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish().is_signed_as_it_is(&asked.unwrap())
    }

    #[test]
    fn a_signature_over_a_message_as_it_is_is_checked_while_the_message_is_read() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = pair.public_key().as_ref();
        let good = Ed25519::new(key, pair.sign(b"message").as_ref());
        let other = Ed25519::new(key, pair.sign(b"another").as_ref());
        assert_eq!(holds(&[b"mess", b"", b"age"], good, good), Some(true));
        // What was not asked is not known, and least of all true.
        assert_eq!(holds(&[b"message"], other, good), None);
        assert_eq!(holds(&[b"message"], None, good), None);
        for pieces in [&[b"messag".as_slice()][..], &[b"message", b"."], &[]] {
            assert_eq!(holds(pieces, good, good), Some(false));
        }
        assert_eq!(Ed25519::new(key, &[0; 63]), None);
    }

    /// The point of order 1: with it and S = 0 everything would be signed.
    #[test]
    fn a_key_of_small_order_signs_nothing() {
        let (mut neutral, mut signature) = ([0; 32], [0; 64]);
        (neutral[0], signature[0]) = (1, 1);
        let asked = Ed25519::new(&neutral, &signature);
        assert_eq!(holds(&[b"message"], asked, asked), Some(false));
    }
}
