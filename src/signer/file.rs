//! Signing a file: read as often as the signer needs, and never held.

use super::{Signer, ToSign, Way};
use crate::class::{Class, Failure};
use crate::name::FileDigest;
use crate::session::Connections;
use crate::trust::{Hasher, Message, PublicKey, Purpose, Reading};
use crate::wire::Signed;

/// A file that was signed: what belongs beside it, and what a checker has to know of the file.
#[derive(Debug)]
pub struct MadeSignature {
    /// The signature with everything beside it.
    pub signed: Signed,
    /// The hash that was signed; the SHA-256 where the file was signed as it is.
    pub digest: FileDigest,
    /// What a checker has to know.
    pub message: Message,
}

impl Signer {
    /// Returns the key, where a key signs.
    ///
    /// # Errors
    /// `secret`: it does not open.
    pub fn key(&self) -> Result<Option<&PublicKey>, Failure> {
        match &self.way {
            Way::Key(key) => key.key().map(|key| Some(key.public())),
            Way::Keyless(_) => Ok(None),
        }
    }

    /// Whether signing a file reads it more than once.
    ///
    /// # Errors
    /// As [`Self::key`].
    pub fn reads_again(&self) -> Result<bool, Failure> {
        match &self.way {
            Way::Key(key) => key.key().map(|key| key.reads_again(Purpose::Beside)),
            Way::Keyless(_) => Ok(false),
        }
    }

    /// Signs a file. A log takes a digest, so an Ed25519 key, which signs the file as it is, signs for
    /// no log.
    ///
    /// # Errors
    /// Those of `read` and of [`Self::sign`]. `unsupported`: an Ed25519 key, and a log. `state`: the
    /// file changed while it was signed.
    pub async fn sign_file(
        &self,
        connections: &Connections,
        read: &Reading<'_>,
    ) -> Result<MadeSignature, Failure> {
        let key = match &self.way {
            Way::Key(key) => Some(key.key()?),
            Way::Keyless(_) => None,
        };
        let needs = match key.filter(|key| key.reads_again(Purpose::Beside)) {
            None => self.needs().unwrap_or_default(),
            Some(_) if self.logs.is_some() => {
                return Err(Failure::new(
                    Class::Unsupported,
                    "a log takes the digest of a file, and an Ed25519 key signs none",
                )
                .hint("leave --tlog-upload out, or sign with another type of key"));
            }
            Some(key) => {
                let made = key.sign_read(Purpose::Beside, read)?;
                let signed = Signed::by_key(made.signature, key.public().fingerprint().bytes());
                return Ok(MadeSignature { signed, digest: made.digest, message: made.message });
            }
        };
        let mut hasher = Hasher::new(needs);
        read(&mut |piece| hasher.update(piece))?;
        let message = hasher.finish();
        let signed = self.sign(connections, ToSign::File(message.digests())).await?;
        let digest = match key {
            Some(key) => key.hashed(message.digests())?,
            None => *message.digest(),
        };
        Ok(MadeSignature { signed, digest, message })
    }
}
