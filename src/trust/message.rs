//! A message that is signed and too long to be held: read once, in pieces, keeping what signatures
//! of a key can be over.

use super::entry::MessageDigests;
use crate::limits;
use crate::name::{Digest, FileDigest};
use aws_lc_rs::digest::{self, Context};
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
    /// The message itself, where it is not too long.
    pub whole: bool,
}

/// Takes a message piece by piece.
pub struct Hasher {
    sha256: Context,
    sha384: Option<Context>,
    sha512: Option<Context>,
    whole: Option<Vec<u8>>,
}

impl Hasher {
    /// Begins a message.
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        Self {
            sha256: Context::new(&digest::SHA256),
            sha384: needs.sha384.then(|| Context::new(&digest::SHA384)),
            sha512: needs.sha512.then(|| Context::new(&digest::SHA512)),
            whole: needs.whole.then(Vec::new),
        }
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        for context in [&mut self.sha384, &mut self.sha512].into_iter().flatten() {
            context.update(piece);
        }
        let most = usize::try_from(limits::MESSAGE_BYTES).unwrap_or(usize::MAX);
        match &mut self.whole {
            Some(whole) if whole.len() + piece.len() <= most => whole.extend_from_slice(piece),
            // Too long: what was kept is of no use.
            kept => *kept = None,
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
        Message { digest: sha256.into(), digests, whole: self.whole }
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
    whole: Option<Vec<u8>>,
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

    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.whole.as_deref()
    }
}

impl From<FileDigest> for Message {
    /// Takes a message of which only one digest is known.
    fn from(digest: FileDigest) -> Self {
        Self { digest, digests: digest.into(), whole: None }
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

    /// What is kept would be a file's own choice of how much memory is taken.
    #[test]
    fn a_message_is_kept_whole_up_to_a_limit() {
        let whole = |pieces: &[&[u8]]| {
            let mut hasher = Hasher::new(Needs { whole: true, ..Needs::default() });
            pieces.iter().for_each(|piece| hasher.update(piece));
            hasher.finish().whole().map(<[u8]>::to_vec)
        };
        assert_eq!(whole(&[b"a", b"bc"]).as_deref(), Some(&b"abc"[..]));
        let long = vec![0; usize::try_from(limits::MESSAGE_BYTES).unwrap() + 1];
        assert!(whole(&[&long]).is_none());
    }
}
