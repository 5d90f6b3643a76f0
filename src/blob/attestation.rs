//! Attestations about a file: which of those in a file of them hold, by whom, and what they say.
//! (`verify-blob-attestation`)
//!
//! The order is that of [`super::verify`]; nobody but the registry of the trusted root is asked,
//! for an attestation without its log entry proves no time.

use super::content::{FileSubject, ReadProgress};
use super::sources;
use super::{ExpectedSigner, certify, unasked};
use crate::class::{Class, Failure};
use crate::limits;
use crate::session::Connections;
use crate::trust::{Attestation, AttestedFile, Certificate, Message, Needs, PredicateType};
use crate::wire::{self, Content, FileSignature};

/// What is asked of attestations.
#[derive(Debug)]
pub struct AttestationRequest {
    /// Where they lie: a path, `https://...` or `env://VAR`.
    pub bundle: String,
    /// Whose count.
    pub wanted: ExpectedSigner,
    /// Which count, by what they say.
    pub predicate_type: PredicateType,
}

/// What became of the attestations of a file, of which at least one holds.
#[derive(Debug)]
pub struct Attested {
    /// Those that count: at least one.
    pub files: Vec<AttestedFile>,
    /// Why others do not.
    pub others: Vec<Failure>,
}

/// What became of attestations that hold.
#[derive(Debug)]
pub enum AttestationAnswer {
    /// Who was asked for attests it.
    Verified(Attested),
    /// Nobody was asked for. The owner of this certificate attests it, which is not a success.
    Unasked(Box<Certificate>),
}

impl AttestationAnswer {
    /// Takes success for an answer, and nothing else.
    ///
    /// # Errors
    /// `identity`: nobody was asked for.
    pub fn verified(self) -> Result<Attested, Failure> {
        match self {
            Self::Verified(attested) => Ok(attested),
            Self::Unasked(certificate) => Err(unasked(&certificate)),
        }
    }
}

/// Whether a bundle holds an attestation, rather than a signature. What cannot be read does not.
pub async fn holds_attestation(connections: &Connections, bundle: &str) -> bool {
    let Ok(bytes) = sources::fetch(connections, bundle, limits::BUNDLE_BYTES).await else {
        return false;
    };
    let Ok(FileSignature::Bundle(bundle)) = wire::read_bundle(&bytes) else { return false };
    let Content::Envelope(envelope) = &bundle.content else { return false };
    wire::predicate(&envelope.payload).as_deref() != Some(wire::SIGN_PREDICATE)
}

/// What an attestation that holds amounts to.
enum HeldAttestation {
    Attested(Box<AttestedFile>),
    Unasked(Box<Certificate>),
}

/// Checks the attestations of a file.
///
/// # Errors
/// Where none holds, what is wrong with the one of which the most can be said: `signature`,
/// `identity`, `binding`, `time`, `tlog`, `malformed`, `unsupported`. `limit`: there are more than
/// are read. `not-found`, `net`, `state`: something could not be read.
pub async fn verify_attestation(
    connections: &Connections,
    subject: &FileSubject,
    request: &AttestationRequest,
    progress: &ReadProgress<'_>,
) -> Result<AttestationAnswer, Failure> {
    // (1) What comes with the file; it says what of the file has to be known.
    let place = &request.bundle;
    let bytes = sources::fetch(connections, place, limits::ATTESTATIONS_BYTES).await?;
    let found =
        wire::read_attestations(&bytes).map_err(|failure| failure.within(sources::shown(place)))?;
    drop(bytes);
    let candidates: Vec<Result<Attestation, Failure>> =
        found.bundles.into_iter().map(|bundle| bundle.and_then(Attestation::new)).collect();
    let needs =
        candidates.iter().flatten().map(Attestation::needs).fold(Needs::default(), |all, needs| {
            Needs {
                sha256: all.sha256 || needs.sha256,
                sha384: all.sha384 || needs.sha384,
                sha512: all.sha512 || needs.sha512,
                ed25519: None,
            }
        });
    // (2) The file, once. It takes as long as it takes.
    let message = {
        let _pause = connections.client().pause();
        subject.read(needs, progress, connections.environment().deadline()?)?
    };
    // (3) Each for itself: a broken one says nothing about the next.
    let (mut files, mut stranger, mut others) = (Vec::new(), None, Vec::new());
    for candidate in candidates {
        let held = match &candidate {
            Ok(attestation) => check(connections, attestation, &message, request).await,
            Err(failure) => Err(failure.clone()),
        };
        match held {
            Ok(HeldAttestation::Attested(file)) => files.push(*file),
            Ok(HeldAttestation::Unasked(certificate)) => stranger = stranger.or(Some(certificate)),
            Err(failure) => others.push(failure),
        }
    }
    // (4) One that holds is enough; without any, what was not looked at may have been it.
    match stranger {
        _ if !files.is_empty() => Ok(AttestationAnswer::Verified(Attested { files, others })),
        Some(certificate) => Ok(AttestationAnswer::Unasked(certificate)),
        None if found.more => Err(too_many(others)),
        None => Err(worst(others)),
    }
}

async fn check(
    connections: &Connections,
    attestation: &Attestation,
    message: &Message,
    request: &AttestationRequest,
) -> Result<HeldAttestation, Failure> {
    let wanted = &request.predicate_type;
    if let ExpectedSigner::Key(key) = &request.wanted {
        let attested = attestation.check_key(key, message, wanted)?;
        return Ok(HeldAttestation::Attested(Box::new(attested)));
    }
    attestation.check_made(message, wanted)?;
    let signed = certify(connections, |root, sct| {
        root.certify_attestation(attestation, message, wanted, sct)
    })
    .await?;
    match &request.wanted {
        ExpectedSigner::Identity(identity) => {
            signed.by(identity).map(|file| HeldAttestation::Attested(Box::new(file)))
        }
        ExpectedSigner::Key(_) | ExpectedSigner::Anyone | ExpectedSigner::Nobody => {
            Ok(HeldAttestation::Unasked(Box::new(signed.certificate().clone())))
        }
    }
}

/// Returns the failure of which the most can be said, with the others below it.
fn worst(others: Vec<Failure>) -> Failure {
    let rank = |failure: &Failure| failure.class().rank();
    let Some(first) = others.iter().max_by_key(|failure| rank(failure)).cloned() else {
        return Failure::new(Class::Malformed, "an empty list, where attestations are expected");
    };
    if others.len() == 1 {
        return first;
    }
    let first = first.within(format!("none of {} attestations holds", others.len()));
    others.iter().fold(first, |first, other| first.detail(other.full_line()))
}

fn too_many(others: Vec<Failure>) -> Failure {
    let failure = Failure::new(
        Class::Limit,
        format!("more than {} attestations, and none of those holds", limits::ATTESTATIONS),
    )
    .hint("put the right one into a file of its own");
    others.iter().fold(failure, |failure, other| failure.detail(other.full_line()))
}
