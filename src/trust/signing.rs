//! Signatures over messages that are too long to be held: read piece by piece, and in most schemes
//! once.
//!
//! Schemes: docs/keys.md, "ours". Ed25519 as it is (RFC 8032 section 5.1.6) hashes the message
//! twice, the second time after what the first gave; so the message is read twice, and once more for
//! the checker.

use super::algorithm::Prehashed;
use super::message::{Hasher, Message, Needs};
use super::private_key::{Pair, PrivateKey};
use crate::class::{Class, Failure};
use crate::name::{Digest, FileDigest};
use aws_lc_rs::digest::{self, Context};
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign_byupdate, raw_sign_prehashed};
use ed25519_dalek::{SignatureError, VerifyingKey};
use sha2::{Digest as _, Sha512};
use std::cell::RefCell;
use zeroize::Zeroizing;

/// Reads a message from its beginning to its end, piece by piece, each time that it is called.
pub type Reading<'a> = dyn Fn(&mut dyn FnMut(&[u8])) -> Result<(), Failure> + 'a;

/// Where a signature goes, which decides how an Ed25519 key signs: a log has no message, so what it
/// checks is over a hash of it. This is what cosign 2.6 and 3 do with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To go beside the file: Ed25519 as it is, which the most verifiers read.
    Beside,
    /// Into a log: Ed25519ph.
    Log,
}

/// A signature, with what is known of the message that it is over.
#[derive(Debug)]
pub struct SignedMessage {
    /// The raw signature.
    pub signature: Vec<u8>,
    /// The hash that was signed; the SHA-256 where the message was signed as it is.
    pub digest: FileDigest,
    /// What a checker has to know of the message.
    pub message: Message,
}

impl PrivateKey {
    /// Whether signing reads the message more than once.
    #[must_use]
    pub fn reads_again(&self, purpose: Purpose) -> bool {
        matches!((&self.pair, purpose), (Pair::Ed25519(_), Purpose::Beside))
    }

    /// Signs a message that is read piece by piece.
    ///
    /// # Errors
    /// Those of `read`. `state`: the message was another one when it was read again. `internal`: no
    /// randomness.
    pub fn sign_read(
        &self,
        purpose: Purpose,
        read: &Reading<'_>,
    ) -> Result<SignedMessage, Failure> {
        let (signature, digest, message) = match (&self.pair, self.hash()) {
            (Pair::Ed25519(pair), _) if purpose == Purpose::Beside => {
                return self.sign_as_it_is(pair, read);
            }
            (Pair::Ed25519(pair), _) => {
                let message = hashed(Needs { sha512: true, ..Needs::default() }, read)?;
                let sha512 = message.digests().sha512.ok_or_else(could_not)?;
                let (secret, public) = expanded(pair).ok_or_else(could_not)?;
                let signature =
                    raw_sign_prehashed::<Sha512, _>(&secret, Prehashed(sha512), &public, None);
                let signature = signature.map_err(|_| could_not())?.to_bytes().to_vec();
                (signature, FileDigest::Sha512(sha512), message)
            }
            (_, needs) => {
                let message = hashed(needs.unwrap_or_default(), read)?;
                let digests = message.digests();
                (self.sign_hashed(digests)?, self.hashed(digests)?, message)
            }
        };
        Ok(SignedMessage { signature, digest, message })
    }

    /// Signs by Ed25519 as it is. Were the message another one the second time, the signature would
    /// be over neither, and beside a good one it would give the private key away: it never leaves
    /// this function.
    fn sign_as_it_is(
        &self,
        pair: &Ed25519KeyPair,
        read: &Reading<'_>,
    ) -> Result<SignedMessage, Failure> {
        let (secret, public) = expanded(pair).ok_or_else(could_not)?;
        let seen = RefCell::new(Vec::<Vec<u8>>::new());
        let failed = RefCell::new(None);
        let update = |hasher: &mut Sha512| {
            let mut own = Context::new(&digest::SHA256);
            let result = read(&mut |piece| {
                hasher.update(piece);
                own.update(piece);
            });
            seen.borrow_mut().push(own.finish().as_ref().to_vec());
            result.map_err(|failure| {
                failed.replace(Some(failure));
                SignatureError::new()
            })
        };
        let signature = raw_sign_byupdate::<Sha512, _>(&secret, update, &public);
        if let Some(failure) = failed.take() {
            return Err(failure);
        }
        let signature = signature.map_err(|_| could_not())?.to_bytes().to_vec();
        let message = hashed(self.public().needs(&signature), read)?;
        let known = message.digests().sha256.as_ref().map(Digest::bytes);
        let seen = seen.take();
        let same = |seen: &Vec<u8>| known.is_some_and(|known| known.as_slice() == seen);
        if seen.len() != 2 || !seen.iter().all(same) {
            return Err(Failure::new(Class::State, "the file changed while it was signed")
                .hint("sign it when nothing writes to it any more"));
        }
        Ok(SignedMessage { signature, digest: *message.digest(), message })
    }
}

fn hashed(needs: Needs, read: &Reading<'_>) -> Result<Message, Failure> {
    let mut hasher = Hasher::new(needs);
    read(&mut |piece| hasher.update(piece))?;
    Ok(hasher.finish())
}

/// Returns the key for the library that signs in pieces.
fn expanded(pair: &Ed25519KeyPair) -> Option<(ExpandedSecretKey, VerifyingKey)> {
    let seed = pair.seed().ok()?.as_be_bytes().ok()?;
    let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_ref()).ok()?);
    let public = <[u8; 32]>::try_from(pair.public_key().as_ref()).ok()?;
    Some((ExpandedSecretKey::from(&*seed), VerifyingKey::from_bytes(&public).ok()?))
}

fn could_not() -> Failure {
    Failure::new(Class::Internal, "could not sign")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn key(pem: &str) -> PrivateKey {
        PrivateKey::open(pem.as_bytes(), b"pw").unwrap()
    }

    fn ed25519() -> PrivateKey {
        let pair = Ed25519KeyPair::generate().unwrap();
        PrivateKey::from_pkcs8(pair.to_pkcs8v1().unwrap().as_ref()).unwrap()
    }

    fn in_pieces(take: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        [&b"mess"[..], b"", b"age"].into_iter().for_each(take);
        Ok(())
    }

    #[test]
    fn what_is_read_in_pieces_is_signed_as_if_it_were_whole() {
        let p256 = key(&PrivateKey::generate(b"pw").unwrap().private_pem);
        for key in [p256, ed25519()] {
            for purpose in [Purpose::Beside, Purpose::Log] {
                let signed = key.sign_read(purpose, &in_pieces).unwrap();
                key.public().verify(b"message", &signed.signature).unwrap();
                key.public().verify_hashed(&signed.message, &signed.signature).unwrap();
                assert!(key.public().verify(b"massage", &signed.signature).is_err());
            }
        }
    }

    /// Ed25519 as it is gives the same signature every time, in every program.
    #[test]
    fn ed25519_in_pieces_is_ed25519() {
        let key = ed25519();
        let signed = key.sign_read(Purpose::Beside, &in_pieces).unwrap();
        assert_eq!(signed.signature, key.sign(b"message").unwrap());
        assert!(key.reads_again(Purpose::Beside) && !key.reads_again(Purpose::Log));
    }

    /// Two signatures with one nonce over two messages are the private key.
    #[test]
    fn a_message_that_changes_between_two_readings_has_no_signature() {
        let key = ed25519();
        for changed in 0..3 {
            let reading = Cell::new(0);
            let read = |take: &mut dyn FnMut(&[u8])| {
                take(if reading.get() == changed { b"another" } else { b"message" });
                reading.set(reading.get() + 1);
                Ok(())
            };
            let failure = key.sign_read(Purpose::Beside, &read).unwrap_err();
            assert_eq!(failure.class(), Class::State, "changed at reading {changed}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_signed() {
        let key = ed25519();
        for purpose in [Purpose::Beside, Purpose::Log] {
            let read = |take: &mut dyn FnMut(&[u8])| {
                take(b"half");
                Err(Failure::new(Class::NotFound, "gone"))
            };
            let failure = key.sign_read(purpose, &read).unwrap_err();
            assert_eq!((failure.class(), failure.message()), (Class::NotFound, "gone".into()));
        }
    }
}
