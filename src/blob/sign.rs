//! Signing a file: it is read in flat memory and signed, what will lie beside it is written as bytes,
//! and those bytes are read back and verified by our own checker. Only then is there anything to hand
//! out.

use super::content::{Progress, Subject};
use crate::class::{Class, Failure};
use crate::trust::{PrivateKey, Purpose, SignedMessage, VerifiedFile};
use crate::wire::{self, Detached, FileSignature};
use std::time::Duration;

/// In which form a bundle is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleForm {
    /// A Sigstore bundle, v0.3.
    Sigstore,
    /// The bundle of cosign 1 and 2.
    Old,
}

/// A file that was signed, and whose signature was verified in every form in which it is handed out.
#[derive(Debug)]
pub struct SignedBlob {
    /// Proof that it holds.
    pub verified: VerifiedFile,
    /// The raw signature.
    pub signature: Vec<u8>,
    /// The bundle, where one was asked for.
    pub bundle: Option<Vec<u8>>,
}

/// Signs a file with a key.
///
/// # Errors
/// `not-found`: there is no such file. `state`: it cannot be read, or changed meanwhile. `limit`: a
/// pipe that is too long to be read twice. `usage`: only a digest is at hand. `internal`: our own
/// checker does not take what was made.
pub fn sign(
    subject: &Subject,
    key: &PrivateKey,
    bundle: Option<BundleForm>,
    progress: &Progress<'_>,
    patience: Duration,
) -> Result<SignedBlob, Failure> {
    let purpose = Purpose::Beside;
    // (1) The file, as often as the key has to read it.
    let subject = if key.reads_again(purpose) {
        subject.rewindable(patience)?
    } else {
        std::borrow::Cow::Borrowed(subject)
    };
    let signed = key.sign_read(purpose, &|take| subject.each(take, progress, patience))?;
    // (2) What lies beside it, as bytes.
    let fingerprint = key.public().fingerprint();
    let bundle = bundle.map(|form| match form {
        BundleForm::Sigstore => {
            wire::write_file_bundle(&signed.digest, &signed.signature, fingerprint.bytes())
        }
        BundleForm::Old => wire::write_old_bundle(&signed.signature),
    });
    // (3) Our own checker reads those bytes, and has the last word.
    let detached = Detached { signature: signed.signature.clone(), ..Detached::default() };
    let verified = check(key, &FileSignature::Detached(detached), &signed)?;
    if let Some(bytes) = &bundle {
        check(key, &wire::read_bundle(bytes)?, &signed)?;
    }
    Ok(SignedBlob { verified, signature: signed.signature, bundle })
}

fn check(
    key: &PrivateKey,
    signature: &FileSignature,
    signed: &SignedMessage,
) -> Result<VerifiedFile, Failure> {
    key.public().check_file(signature, &signed.message).map_err(|failure| {
        failure
            .as_class(Class::Internal)
            .within("our own checker does not take what was signed, so nothing was written")
    })
}
