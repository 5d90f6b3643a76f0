//! Files: is this what someone released, and who was it? (`verify-blob`) And the other side: `sign-blob`
//! ([`sign`]).
//!
//! Read from top to bottom: what comes with the file is fetched, the file is read once, its
//! signature is checked; only then, and only where nothing beside it says when it was made, the log
//! is asked for its entry. Policies are about images and say nothing here. The files that lie
//! beside another: docs/files.md.

mod attestation;
mod content;
mod log;
mod sign;
mod sources;
mod sums;

pub use attestation::{
    AttestationAnswer, AttestationRequest, Attested, holds_attestation, verify_attestation,
};
pub use content::{FileSubject, ReadProgress};
pub use log::{EntryName, print_entry};
pub use sign::{BundleForm, SignRequest, SignedBlob, sign};
pub use sources::Sources;
pub use sums::{ListedFile, check_sums};

use crate::class::{Class, Failure};
use crate::session::Connections;
use crate::trust::{
    self, Certificate, CertificateLog, Identity, PublicKey, Rejected, TrustedRoot, VerifiedFile,
    check_claimed, check_made,
};
use crate::wire::FileSignature;
use log::Log;

/// What is asked of the signature of a file.
#[derive(Debug)]
pub struct FileRequest {
    /// The expected signer.
    pub wanted: ExpectedSigner,
    /// The log that is asked for missing entries; the public one where none is given.
    pub log: Option<String>,
}

/// The expected signer.
#[derive(Clone, Debug)]
pub enum ExpectedSigner {
    /// A key's.
    Key(PublicKey),
    /// Someone's, by a certificate.
    Identity(Identity),
    /// Anyone's who has a certificate: cosign 1, with `COSIGN_EXPERIMENTAL=1`.
    Anyone,
    /// Nobody said whose: it is found out who signed, and refused.
    Nobody,
}

/// What became of a file whose signature holds.
#[derive(Debug)]
pub enum FileOutcome {
    /// Who was asked for signed it.
    Verified(VerifiedFile),
    /// Nobody was asked for. It is signed by the owner of this certificate, which is not a success.
    Unasked(Certificate),
}

impl FileOutcome {
    /// Takes success for an answer, and nothing else.
    ///
    /// # Errors
    /// `identity`: nobody was asked for.
    pub fn verified(self) -> Result<VerifiedFile, Failure> {
        match self {
            Self::Verified(verified) => Ok(verified),
            Self::Unasked(certificate) => Err(unasked(&certificate)),
        }
    }
}

/// Checks the signature of a file.
///
/// # Errors
/// `signature`: the file is not what was signed. `identity`: someone else signed it. `time`,
/// `tlog`, `malformed`, `binding`, `unsupported`: the signature does not hold. `not-found`: there
/// is no such file. `net`: the log, or what is behind a URL, could not be had. `secret`,
/// `trustroot`, `limit`, `usage`.
pub async fn verify(
    connections: &Connections,
    subject: &FileSubject,
    sources: &Sources,
    request: &FileRequest,
    progress: &ReadProgress<'_>,
) -> Result<FileOutcome, Failure> {
    connections.client().watch();
    // (1) What comes with the file; it says what of the file has to be known.
    let signature = sources.load(connections).await?;
    let needs = match &request.wanted {
        ExpectedSigner::Key(key) => trust::needs(&signature, Some(key)),
        _ => trust::needs(&signature, None),
    };
    // (2) The file, once. It takes as long as it takes.
    let message = {
        let _pause = connections.client().pause();
        subject.read(needs, progress, connections.environment().deadline()?)?
    };
    // (3) By a key that is all there is to check.
    if let ExpectedSigner::Key(key) = &request.wanted {
        return key.check_file(&signature, &message).map(FileOutcome::Verified);
    }
    // (4) By a certificate: the signature first. Nobody learns what is here before it holds.
    check_made(&signature, &message)?;
    let signed = match &signature {
        FileSignature::Detached(detached) if detached.entry.is_none() => {
            if let ExpectedSigner::Identity(identity) = &request.wanted {
                check_claimed(&signature, identity)?;
            }
            Log::new(connections, request).certify(detached, &message).await?
        }
        _ => certify(connections, |root, sct| root.certify_file(&signature, &message, sct)).await?,
    };
    // (5) Who it was, now that it is proven.
    match &request.wanted {
        ExpectedSigner::Identity(identity) => signed.by(identity).map(FileOutcome::Verified),
        ExpectedSigner::Anyone => Ok(FileOutcome::Verified(signed.by_anyone())),
        ExpectedSigner::Key(_) | ExpectedSigner::Nobody => {
            Ok(FileOutcome::Unasked(signed.certificate().clone()))
        }
    }
}

/// Checks a signature by the trusted root, and where that does not know an authority or log, once
/// more by a newer one.
async fn certify<T>(
    connections: &Connections,
    judge: impl Fn(&TrustedRoot, CertificateLog) -> Result<T, Rejected>,
) -> Result<T, Failure> {
    let check = async || {
        let roots = connections.roots().load([None]).await;
        judge(roots.get(None).map_err(Rejected::from)?, connections.certificate_log())
    };
    connections.roots().judge(check).await
}

/// Returns the failure where it was not said whose signature counts. The front adds the command
/// that says it.
#[must_use]
pub fn unasked(certificate: &Certificate) -> Failure {
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    Failure::new(
        Class::Identity,
        format!("signed by `{subject}` (issuer `{issuer}`), but no expected signer was given"),
    )
}
