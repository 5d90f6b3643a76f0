//! Signing a file: it is read in flat memory and signed, what will be beside it is written as bytes,
//! and those bytes are read back and verified by our own checker. Only then is there anything to hand
//! out.

use super::certify;
use super::content::{FileSubject, ReadProgress};
use crate::class::{Class, Failure};
use crate::session::Connections;
use crate::signer::{MadeSignature, Signer};
use crate::sigstore::LogVersion;
use crate::trust::{PublicKey, VerifiedFile};
use crate::wire::{self, Detached, FileSignature, Signed, SignedBy, SignedEntry};
use std::borrow::Cow;
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
    /// The signature with everything beside it.
    pub signed: Signed,
    /// The bundle, where one was asked for.
    pub bundle: Option<Vec<u8>>,
}

/// Who signs which file, and how.
#[derive(Debug)]
pub struct SignRequest<'a> {
    /// The file.
    pub subject: &'a FileSubject,
    /// Who signs.
    pub signer: &'a Signer,
    /// In which form a bundle is wanted; where none is, signature and certificate lie by themselves.
    pub bundle: Option<BundleForm>,
}

/// Signs a file.
///
/// # Errors
/// `not-found`: there is no such file. `state`: it cannot be read, or changed meanwhile. `limit`: a
/// pipe that is too long to be read twice. `usage`: only a digest is at hand, or a form that cannot
/// carry what the log says. Those of signing. `internal`: our own checker does not take what was made.
pub async fn sign(
    connections: &Connections,
    request: &SignRequest<'_>,
    progress: &ReadProgress<'_>,
    patience: Duration,
) -> Result<SignedBlob, Failure> {
    let SignRequest { subject, signer, bundle } = *request;
    check_form(signer, bundle)?;
    let (key, again) = (signer.key()?, signer.reads_again()?);
    // (1) The file, as often as the signer has to read it. It takes as long as it takes.
    let subject = if again { subject.rewindable(patience)? } else { Cow::Borrowed(subject) };
    let made = {
        let pause = std::cell::RefCell::new(Some(connections.client().pause()));
        let read = |take: &mut dyn FnMut(&[u8])| {
            let result = subject.each(take, progress, patience);
            // What follows are questions to services, which have a deadline.
            if !again {
                drop(pause.borrow_mut().take());
            }
            result
        };
        signer.sign_file(connections, &read).await?
    };
    // (2) What comes with it, as bytes.
    let bundle = match bundle {
        None => None,
        Some(BundleForm::Sigstore) => Some(wire::write_message_bundle(&made.digest, &made.signed)),
        Some(BundleForm::Old) => Some(wire::write_old_bundle(&made.signed)?),
    };
    // (3) Our own checker reads those bytes, and has the last word.
    let verified = match &bundle {
        Some(bytes) => check(connections, key, &wire::read_bundle(bytes)?, &made).await?,
        None => check(connections, key, &FileSignature::Detached(by_itself(&made)?), &made).await?,
    };
    Ok(SignedBlob { verified, signed: made.signed, bundle })
}

/// Refuses a form in which nobody could verify what a log says, before anything is public.
fn check_form(signer: &Signer, bundle: Option<BundleForm>) -> Result<(), Failure> {
    let new = signer.log().is_some_and(|log| log.version == LogVersion::V2);
    if !new || bundle == Some(BundleForm::Sigstore) {
        return Ok(());
    }
    Err(Failure::new(
        Class::Usage,
        "a Rekor v2 log entry needs a Sigstore bundle, and none was requested",
    )
    .hint("add --bundle FILE, or use a log of Rekor v1: --rekor-url"))
}

/// Returns signature and certificate as a verifier has them, after it asked the log.
fn by_itself(made: &MadeSignature) -> Result<Detached, Failure> {
    let Signed { signature, by, entry, .. } = &made.signed;
    // What is written is what is read.
    let signature = wire::read_signature(&wire::write_signature(signature, true))?;
    let certificates = match by {
        SignedBy::Key(_) => Vec::new(),
        SignedBy::Certificate { .. } => {
            let written = wire::write_certificate(&made.signed, true).unwrap_or_default();
            wire::read_certificate_file(&written)?
        }
    };
    let entry = match entry {
        Some(SignedEntry::V1(answer)) => Some(answer.logged.clone()),
        _ => None,
    };
    Ok(Detached { signature, certificates, entry, timestamp: None })
}

async fn check(
    connections: &Connections,
    key: Option<&PublicKey>,
    signature: &FileSignature,
    made: &MadeSignature,
) -> Result<VerifiedFile, Failure> {
    let verified = match key {
        Some(key) => key.check_file(signature, &made.message),
        // Whose certificate it has to be, the signer held its services to.
        None => certify(connections, |root, sct| root.certify_file(signature, &made.message, sct))
            .await
            .map(crate::trust::SignedFile::by_anyone),
    };
    verified.map_err(|failure| {
        failure.within("our own checker does not take what was signed, so nothing was written")
    })
}
