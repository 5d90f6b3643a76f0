//! Keyless signatures: from the evidence beside a signature to a [`Certified`], the proof that the
//! owner of a certificate made it while the certificate was valid.
//!
//! A legacy signature becomes a bundle of version 0.1, so that one checker reads all forms. Every
//! entry is then held against the signature by [`Claim`] once more, which is the same for all
//! forms. No request is made.

use super::certificate::Certificate;
use super::entry::{Claim, MessageDigests, SignedContent};
use super::evidence::{self, Unread};
use super::key::PublicKey;
use super::proof;
use super::root::{TrustedRoot, malformed, tlog};
use super::timestamp;
use crate::class::{Class, Failure};
use crate::name::{Digest, FileDigest};
use crate::wire::{
    Bundle, Content, DsseEnvelope, LegacyCandidate, LogEntry, LoggedEntry, json, read_certificates,
    read_timestamp,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use sigstore::types::bundle::{
    CheckpointData, InclusionPromise, InclusionProof, MessageSignature, Rfc3161Timestamp,
    TimestampVerificationData, TransparencyLogEntry, VerificationMaterial,
    VerificationMaterialContent, X509Certificate,
};
use sigstore::types::{
    Artifact, ArtifactDigest, Bundle as SigstoreBundle, CanonicalizedBody, DerCertificate,
    DerPublicKey, HashAlgorithm, KindVersion, LogId, LogIndex, LogKeyId, MediaType, Sha256Hash,
    SignatureBytes, SignatureContent, SignedTimestamp, TimestampToken,
};
use sigstore::{
    CertificateError, Error, PublicKeyVerificationPolicy, TimestampError, TransparencyLogError,
    VerificationPolicy,
};

/// A keyless signature that holds: its certificate, and what is known of when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The certificate.
    pub certificate: Certificate,
    /// When the signature was made, by every clock that vouched for it. Never empty.
    pub times: Vec<Timestamp>,
    /// The position in a log, where the log signed it (Rekor v1).
    pub log_index: Option<u64>,
}

impl AsRef<Self> for Certified {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What is known of a legacy keyless signature without its payload.
#[derive(Clone, Debug)]
pub enum LegacyCertified {
    /// It holds: the digest of the payload shows that.
    Certified(Certified),
    /// It is over another hash of the payload, which has to be read.
    Unread(Box<Unread>),
}

impl AsRef<Certified> for LegacyCertified {
    fn as_ref(&self) -> &Certified {
        match self {
            Self::Certified(certified) => certified,
            Self::Unread(unread) => (**unread).as_ref(),
        }
    }
}

/// Why a signature does not count.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The reason.
    pub failure: Failure,
    /// Whether a newer trusted root could know the authority or log that this one does not.
    pub unknown: bool,
}

impl Rejected {
    pub(super) fn map(self, change: impl FnOnce(Failure) -> Failure) -> Self {
        Self { failure: change(self.failure), ..self }
    }
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        rejected.failure
    }
}

impl From<Failure> for Rejected {
    fn from(failure: Failure) -> Self {
        Self { failure, unknown: false }
    }
}

/// Whether a certificate must carry the proof that it was logged itself (a signed certificate
/// timestamp).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateLog {
    /// It must.
    #[default]
    Required,
    /// It need not: `--insecure-ignore-sct`, for certificate authorities of one's own.
    Ignored,
}

impl TrustedRoot {
    /// Checks a legacy keyless signature, by the digest of what it signed.
    ///
    /// # Errors
    /// Every class of a signature that does not hold.
    pub fn certify_legacy(
        &self,
        candidate: &LegacyCandidate,
        sct: CertificateLog,
    ) -> Result<LegacyCertified, Rejected> {
        let mut bundle = legacy_bundle(candidate)?;
        let digests = MessageDigests::from(candidate.payload);
        let signed = SignedContent::Message(&digests);
        if bundle.signing_certificate().is_some_and(|leaf| evidence::is_ours(leaf.as_bytes())) {
            let strangers = self.drop_strangers(&mut bundle)?;
            let unread =
                self.check_evidence(&bundle, sct, |error| self.undated(&strangers, error))?;
            // Old clients sign by SHA-256 whatever the curve is.
            return Ok(match unread.clone().read(signed) {
                Ok(certified) => LegacyCertified::Certified(certified),
                Err(_) => LegacyCertified::Unread(Box::new(unread)),
            });
        }
        let artifact = Artifact::from_digest(Sha256Hash::from(*candidate.payload.bytes()));
        self.certify(bundle, artifact, signed, sct).map(LegacyCertified::Certified)
    }

    /// Checks a bundle by a certificate. Of an envelope the caller checks the statement itself:
    /// here it is only held that `subject` is one of its subjects.
    ///
    /// # Errors
    /// Every class of a signature that does not hold.
    pub fn certify_bundle(
        &self,
        bundle: &Bundle,
        subject: &MessageDigests,
        sct: CertificateLog,
    ) -> Result<Certified, Rejected> {
        let theirs = read(bundle)?;
        refuse_root_in_chain(&theirs)?;
        let artifact = artifact(&theirs, subject)?;
        match &bundle.content {
            Content::Envelope(envelope) => {
                self.certify(theirs, artifact, SignedContent::Envelope(envelope), sct)
            }
            Content::Message { .. } => {
                self.certify(theirs, artifact, SignedContent::Message(subject), sct)
            }
        }
    }

    pub(super) fn certify(
        &self,
        mut bundle: SigstoreBundle,
        artifact: Artifact<'_>,
        signed: SignedContent<'_>,
        sct: CertificateLog,
    ) -> Result<Certified, Rejected> {
        if bundle.verification_material.tlog_entries.is_empty() {
            return Err(tlog("there is no log entry beside the signature").into());
        }
        let strangers = self.drop_strangers(&mut bundle)?;
        let certificate =
            bundle.signing_certificate().ok_or_else(|| malformed("no certificate"))?;
        if evidence::is_ours(certificate.as_bytes()) {
            check_named(&bundle, &artifact)?;
            let unread =
                self.check_evidence(&bundle, sct, |error| self.undated(&strangers, error))?;
            return Ok(unread.read(signed)?);
        }
        let policy = VerificationPolicy::any_identity();
        let policy = if sct == CertificateLog::Ignored { policy.skip_sct() } else { policy };
        let result =
            self.verifier.verify(artifact, &bundle, &policy).map_err(|error| match error {
                Error::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => {
                    self.undated(&strangers, error)
                }
                _ => judge(error),
            })?;
        let times = result.verified_timestamps().to_vec();
        if times.is_empty() || !result.certificate_verified() || !result.tlog_verified() {
            return Err(Failure::new(
                Class::Internal,
                "a signature that was verified without a time, a chain or a log",
            )
            .into());
        }
        let signature = signature_of(&bundle.content)?;
        let claim =
            Claim { signed, signature: &signature, verifier: certificate.as_bytes(), hash: None };
        for entry in &bundle.verification_material.tlog_entries {
            claim.is_named_in(entry.canonicalized_body.as_bytes())?;
        }
        self.check_logs(&bundle, certificate.as_bytes(), times)
    }

    /// Checks of each log entry what the crate leaves open, and puts together what is known.
    pub(super) fn check_logs(
        &self,
        bundle: &SigstoreBundle,
        certificate: &[u8],
        times: Vec<Timestamp>,
    ) -> Result<Certified, Rejected> {
        let entries = &bundle.verification_material.tlog_entries;
        let mut seen = Vec::new();
        for entry in entries {
            self.check_log(entry, &times)?;
            // Two logs can have the same.
            let entry = (entry.log_id.key_id.as_bytes(), entry.canonicalized_body.as_bytes());
            if seen.contains(&entry) {
                return Err(malformed("one log entry twice").into());
            }
            seen.push(entry);
        }
        let promised = entries.iter().find(|entry| entry.inclusion_promise.is_some());
        Ok(Certified {
            certificate: Certificate::parse(certificate)?,
            times,
            log_index: promised.map(|entry| entry.log_index.get()),
        })
    }

    /// Takes away the timestamps of authorities that this root does not know. Returns whose they
    /// call themselves.
    ///
    /// # Errors
    /// `time`: one that is left has several signers.
    fn drop_strangers(&self, bundle: &mut SigstoreBundle) -> Result<Vec<String>, Failure> {
        let mut strangers = Vec::new();
        let stamps = &mut bundle.verification_material.timestamp_verification_data;
        stamps.rfc3161_timestamps.retain(|stamp| {
            let stranger = self.stampers.stranger(stamp.signed_timestamp.as_bytes());
            let known = stranger.is_none();
            strangers.extend(stranger);
            known
        });
        // Which of them a reader checks is its own choice, so another one says something else.
        if stamps.rfc3161_timestamps.iter().any(|stamp| {
            timestamp::signers(stamp.signed_timestamp.as_bytes())
                .is_some_and(|signers| signers != 1)
        }) {
            let why = "a timestamp with several signers; expected one (RFC 3161 2.4.2)";
            return Err(Failure::new(Class::Time, why));
        }
        Ok(strangers)
    }

    /// Returns the failure for a signature of which nothing, or only strangers, say when it was
    /// made.
    fn undated(&self, strangers: &[String], error: Error) -> Rejected {
        let Some(first) = strangers.first() else { return judge(error) };
        let why = format!(
            "nothing that can be checked says when the signature was made: its timestamp is by `{first}`, \
             an authority that the trusted root {} does not know",
            self.name()
        );
        let hint = format!(
            "`{first}` is accepted if a trusted root names it: get that root from its operator, not from where the \
             signature came from"
        );
        Rejected { failure: Failure::new(Class::Time, why).hint(hint), unknown: true }
    }

    /// Checks the log entries of a bundle with a statement about `subject` by a key. Returns when
    /// it was logged and at which position, where a log signed those.
    ///
    /// # Errors
    /// `tlog`: there is none, or one does not hold. `unsupported`: a key that logs take no bundles
    /// of.
    pub(super) fn check_entries(
        &self,
        bundle: &Bundle,
        envelope: &DsseEnvelope,
        subject: &Digest,
        spki: &[u8],
    ) -> Result<Option<(Timestamp, u64)>, Rejected> {
        let claim = Claim {
            signed: SignedContent::Envelope(envelope),
            signature: &envelope.signature,
            verifier: spki,
            hash: None,
        };
        self.entries_of_key(read(bundle)?, Sha256Hash::from(*subject.bytes()), &claim)
    }

    /// Checks the log entries of a bundle with the signature of a message by a key.
    ///
    /// # Errors
    /// `tlog`: there is no entry, or one does not hold. `malformed`: a bundle without a signature of
    /// a message, or a message without its SHA-256.
    pub fn check_message_entries(
        &self,
        bundle: &Bundle,
        digests: &MessageDigests,
        key: &PublicKey,
    ) -> Result<(), Rejected> {
        let Content::Message { signature } = &bundle.content else {
            return Err(malformed("a bundle without the signature of a message").into());
        };
        let sha256 = digests.sha256.ok_or_else(|| malformed("a message without a SHA-256"))?;
        let claim = Claim {
            signed: SignedContent::Message(digests),
            signature,
            verifier: key.spki(),
            hash: None,
        };
        self.entries_of_key(read(bundle)?, Sha256Hash::from(*sha256.bytes()), &claim).map(|_| ())
    }

    fn entries_of_key(
        &self,
        mut theirs: SigstoreBundle,
        artifact: Sha256Hash,
        claim: &Claim<'_>,
    ) -> Result<Option<(Timestamp, u64)>, Rejected> {
        self.drop_strangers(&mut theirs)?;
        let entries = &theirs.verification_material.tlog_entries;
        if entries.is_empty() {
            return Err(tlog("there is no log entry beside the signature").into());
        }
        let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(claim.verifier.to_vec()));
        let artifact = Artifact::from_digest(artifact);
        let result = self.verifier.verify(artifact, &theirs, &policy).map_err(judge)?;
        for entry in entries {
            claim.is_named_in(entry.canonicalized_body.as_bytes())?;
            self.check_log(entry, result.verified_timestamps())?;
        }
        let promised = entries.iter().find(|entry| entry.inclusion_promise.is_some());
        Ok(result.integrated_time().zip(promised.map(|entry| entry.log_index.get())))
    }
}

/// A root in the chain of a bundle would be one more authority, were it believed. (In legacy
/// annotations cosign writes it, and it is passed over there.)
fn refuse_root_in_chain(bundle: &SigstoreBundle) -> Result<(), Failure> {
    let VerificationMaterialContent::X509CertificateChain { certificates } =
        &bundle.verification_material.content
    else {
        return Ok(());
    };
    for certificate in certificates.iter().skip(1) {
        let certificate = x509(certificate.raw_bytes.as_bytes())?;
        if certificate.tbs_certificate.issuer == certificate.tbs_certificate.subject {
            return Err(malformed("a Sigstore bundle with the certificate of a root"));
        }
    }
    Ok(())
}

/// Returns the signer's certificate, unchecked.
pub(super) fn leaf(bundle: &Bundle) -> Option<Vec<u8>> {
    read_leaf(bundle).ok()
}

/// # Errors
/// `malformed`: there is none, or what comes with it cannot be read.
pub(super) fn read_leaf(bundle: &Bundle) -> Result<Vec<u8>, Failure> {
    let certificate =
        read(bundle)?.signing_certificate().map(|certificate| certificate.as_bytes().to_vec());
    certificate.ok_or_else(|| malformed("a Sigstore bundle without a certificate"))
}

fn read(bundle: &Bundle) -> Result<SigstoreBundle, Failure> {
    SigstoreBundle::from_json(bundle.evidence()?)
        .map_err(|error| malformed(format!("a Sigstore bundle: {error}")))
}

/// Returns the body of the entry that the log promised, unchecked.
pub(super) fn promised_body(bundle: &Bundle) -> Option<Vec<u8>> {
    let entries = read(bundle).ok()?.verification_material.tlog_entries;
    entries
        .iter()
        .find(|entry| entry.inclusion_promise.is_some())
        .map(|entry| entry.canonicalized_body.as_bytes().to_vec())
}

/// Returns the digest that a bundle names for what it signs, unchecked.
pub(super) fn named_digest(bundle: &Bundle) -> Option<FileDigest> {
    let theirs = read(bundle).ok()?;
    let SignatureContent::MessageSignature(message) = &theirs.content else { return None };
    let named = message.message_digest.as_ref()?;
    let bytes = named.digest.as_bytes();
    match named.algorithm {
        HashAlgorithm::Sha2256 => {
            bytes.try_into().ok().map(Digest::from_bytes).map(FileDigest::Sha256)
        }
        HashAlgorithm::Sha2384 => bytes.try_into().ok().map(FileDigest::Sha384),
        HashAlgorithm::Sha2512 => bytes.try_into().ok().map(FileDigest::Sha512),
        _ => None,
    }
}

pub(super) fn x509(der: &[u8]) -> Result<x509_cert::Certificate, Failure> {
    use x509_cert::der::Decode as _;
    x509_cert::Certificate::from_der(der)
        .map_err(|error| malformed(format!("a certificate that cannot be read: {error}")))
}

/// Returns the digest that the signature of the bundle is over: the one that it names, where that
/// is at hand. Of an envelope it is the one by which a subject was found to be this one.
pub(super) fn artifact(
    bundle: &SigstoreBundle,
    digests: &MessageDigests,
) -> Result<Artifact<'static>, Failure> {
    let algorithm = match &bundle.content {
        SignatureContent::MessageSignature(MessageSignature {
            message_digest: Some(digest),
            ..
        }) => digest.algorithm,
        _ if digests.sha256.is_none() => {
            if digests.sha512.is_some() {
                HashAlgorithm::Sha2512
            } else {
                HashAlgorithm::Sha2384
            }
        }
        _ => HashAlgorithm::Sha2256,
    };
    let unread = || {
        Failure::new(
            Class::Unsupported,
            format!("a signature over the {algorithm} of a message, which is not known here"),
        )
        .hint("name the file itself, or its digest by that algorithm")
    };
    let digest = match algorithm {
        HashAlgorithm::Sha2256 => digests.sha256.ok_or_else(unread)?.bytes().to_vec(),
        HashAlgorithm::Sha2384 => digests.sha384.as_ref().ok_or_else(unread)?.to_vec(),
        HashAlgorithm::Sha2512 => digests.sha512.as_ref().ok_or_else(unread)?.to_vec(),
        _ => return Err(unread()),
    };
    ArtifactDigest::new(algorithm, digest).map(Artifact::from_digest).map_err(malformed)
}

/// Checks that a bundle names the digest of the message, where it names one.
fn check_named(bundle: &SigstoreBundle, artifact: &Artifact<'_>) -> Result<(), Rejected> {
    match (&bundle.content, artifact) {
        (
            SignatureContent::MessageSignature(MessageSignature {
                message_digest: Some(named),
                ..
            }),
            Artifact::Digest(digest),
        ) if named.digest != digest.as_bytes() => Err(judge(Error::ArtifactMismatch(
            "message digest in bundle does not match artifact hash".to_owned(),
        ))),
        _ => Ok(()),
    }
}

/// Turns what comes with a legacy signature into a bundle. Version 0.1 is the one in which a log's
/// promise is enough.
fn legacy_bundle(candidate: &LegacyCandidate) -> Result<SigstoreBundle, Failure> {
    let evidence = &candidate.evidence;
    let leaf = evidence
        .certificate
        .as_deref()
        .ok_or_else(|| malformed("a keyless signature without a certificate"))?;
    let mut certificates = read_certificates(leaf)?;
    if certificates.len() != 1 {
        return Err(malformed(format!(
            "{} certificates of one signer; expected one",
            certificates.len()
        )));
    }
    if let Some(chain) = &evidence.chain {
        certificates.extend(read_certificates(chain)?);
    }
    let entry = evidence.bundle.as_deref().ok_or_else(|| {
        tlog("there is no log entry beside the signature")
            .hint("signatures without one, or looked up online, prove no time: it has to be signed with a cosign that attaches the entry")
    })?;
    let entry = log_entry(&LogEntry::parse(entry)?)?;
    let timestamps = match &evidence.timestamp {
        Some(text) => vec![Rfc3161Timestamp::new(TimestampToken::new(read_timestamp(text)?))],
        None => Vec::new(),
    };
    Ok(message_bundle(certificates, &candidate.signature, vec![entry], timestamps))
}

/// Makes a bundle of the signature of a message and what proves it.
pub(super) fn message_bundle(
    certificates: Vec<Vec<u8>>,
    signature: &[u8],
    entries: Vec<TransparencyLogEntry>,
    timestamps: Vec<Rfc3161Timestamp>,
) -> SigstoreBundle {
    let certificates = certificates
        .into_iter()
        .map(|der| X509Certificate::new(DerCertificate::new(der)))
        .collect();
    let material = VerificationMaterial::new(VerificationMaterialContent::X509CertificateChain {
        certificates,
    })
    .with_tlog_entries(entries)
    .with_timestamp_verification_data(TimestampVerificationData::new(timestamps));
    let content = SignatureContent::MessageSignature(MessageSignature::new(SignatureBytes::new(
        signature.to_vec(),
    )));
    SigstoreBundle::new(MediaType::Bundle0_1, material, content)
}

/// # Errors
/// `unsupported`: an entry of a kind that carries no keyless signature here, such as those of 2021.
pub(super) fn log_entry(entry: &LogEntry) -> Result<TransparencyLogEntry, Failure> {
    let body = json::parse(&entry.body)
        .map_err(|failure| failure.within("a log entry").as_class(Class::Tlog))?;
    let (kind, version) =
        (body.get("kind").and_then(Value::as_str), body.get("apiVersion").and_then(Value::as_str));
    let kind: KindVersion = serde_json::from_value(json!({"kind": kind, "version": version}))
        .map_err(|_| {
            let found = format!(
                "a keyless signature with a log entry of the kind `{}` {}",
                kind.unwrap_or_default(),
                version.unwrap_or_default()
            );
            Failure::new(Class::Unsupported, found).hint(
                "cosign before 1.4 (2021) made such: sign it with a newer one, or trust a key",
            )
        })?;
    let bad = |error: &dyn std::fmt::Display| tlog(format!("a log entry that cannot be: {error}"));
    Ok(TransparencyLogEntry::new(
        LogIndex::new(entry.log_index).map_err(|error| bad(&error))?,
        LogId::new(LogKeyId::new(entry.log_id.to_vec())),
        kind,
        CanonicalizedBody::new(entry.body.clone()),
    )
    .with_integrated_time(
        Timestamp::from_second(entry.integrated_time).map_err(|error| bad(&error))?,
    )
    .with_inclusion_promise(InclusionPromise::new(SignedTimestamp::new(entry.promise.clone()))))
}

/// Returns an entry as the log's API gave it: with its proof, where there is one.
pub(super) fn logged_entry(logged: &LoggedEntry) -> Result<TransparencyLogEntry, Failure> {
    let entry = log_entry(&logged.entry)?;
    let Some(proof) = &logged.proof else { return Ok(entry) };
    let bad = |error: &dyn std::fmt::Display| tlog(format!("a proof that cannot be: {error}"));
    Ok(entry.with_inclusion_proof(InclusionProof::new(
        LogIndex::new(proof.index).map_err(|error| bad(&error))?,
        Sha256Hash::from(proof.root),
        proof.size,
        proof.hashes.iter().copied().map(Sha256Hash::from).collect(),
        CheckpointData::new(proof.checkpoint.clone()).map_err(|error| bad(&error))?,
    )))
}

pub(super) fn signature_of(content: &SignatureContent) -> Result<Vec<u8>, Failure> {
    match content {
        SignatureContent::MessageSignature(message) => Ok(message.signature.as_bytes().to_vec()),
        SignatureContent::DsseEnvelope(envelope) => Ok(envelope.signature.sig.as_bytes().to_vec()),
        _ => Err(Failure::new(
            Class::Unsupported,
            "a Sigstore bundle with a content that is not known",
        )),
    }
}

/// What to do about a timestamp that is there and does not hold. This machine's clock has no part
/// in that.
const STAMP: &str = "the timestamp beside the signature does not hold: have it signed again";

/// Says in which class a refusal of the crate falls.
pub(super) fn judge(error: Error) -> Rejected {
    let class = |class| Failure::new(class, &error);
    let sure = |failure| Rejected { failure, unknown: false };
    let unknown = |failure| Rejected { failure, unknown: true };
    match &error {
        Error::SignatureInvalid(_) => sure(class(Class::Signature).hint(proof::SIGNATURE)),
        Error::Crypto(_) => sure(class(Class::Signature)),
        Error::ArtifactMismatch(_) => sure(class(Class::Binding)),
        Error::Certificate(CertificateError::ChainInvalid(why)) if expired(why) => {
            sure(class(Class::Time).hint("an authority of the signer's certificate was not valid when the certificate was made"))
        }
        // No authority that the trusted root knows issued it: anyone can write such a certificate.
        Error::Certificate(CertificateError::ChainInvalid(_)) => unknown(class(Class::Identity)),
        Error::Certificate(CertificateError::NoValidAuthority { .. }) => unknown(class(Class::Time)),
        Error::Certificate(CertificateError::NotYetValid { .. } | CertificateError::Expired { .. }) => sure(class(Class::Time)),
        Error::Certificate(CertificateError::Sct(_)) => unknown(class(Class::Tlog).hint(
            "the certificate was not logged by a log that the trusted root knows; with an authority of your own: --insecure-ignore-sct",
        )),
        Error::TransparencyLog(TransparencyLogError::IntegratedTime(why)) if why.contains("future") => {
            sure(class(Class::Time).hint("the clock of this machine is behind: set it"))
        }
        Error::TransparencyLog(TransparencyLogError::IntegratedTime(_)) => sure(class(Class::Time)),
        Error::TransparencyLog(TransparencyLogError::UnknownLog { .. } | TransparencyLogError::Checkpoint(_)) => {
            unknown(class(Class::Tlog))
        }
        Error::TransparencyLog(TransparencyLogError::InclusionPromise(why)) if why.contains("No log key valid") => {
            unknown(class(Class::Tlog))
        }
        Error::TransparencyLog(
            TransparencyLogError::InclusionPromise(_) | TransparencyLogError::InclusionProof(_),
        ) => sure(class(Class::Tlog).hint(proof::LOG)),
        Error::TransparencyLog(_) => sure(class(Class::Tlog)),
        Error::Timestamp(TimestampError::Invalid(_)) => unknown(class(Class::Time).hint(STAMP)),
        Error::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => sure(class(Class::Time).hint(
            "the signer has to add a timestamp, or use a log that records the time",
        )),
        Error::Timestamp(_) => sure(class(Class::Time).hint(STAMP)),
        Error::UnsupportedBundle(_) | Error::UnsupportedArtifact(_) => sure(class(Class::Unsupported)),
        Error::InvalidTrustRoot(_) | Error::TrustRoot(_) | Error::TrustedCertificate(_) => sure(class(Class::Trustroot)),
        Error::Bundle(_) => sure(class(Class::Tlog)),
        _ => sure(class(Class::Malformed)),
    }
}

/// The crate gives the words of rustls-webpki and no more.
fn expired(why: &str) -> bool {
    why.contains("CertExpired")
        || why.contains("CertNotValidYet")
        || why.contains("expired")
        || why.contains("not valid yet")
}

#[cfg(test)]
mod tests {
    use super::super::entry::digests_of;
    use super::*;
    use sigstore::types::bundle::MessageDigest;
    use sigstore::{crypto, trust_root};

    #[test]
    fn the_digest_is_the_one_that_the_bundle_names_where_it_is_at_hand() {
        let all = digests_of(b"message");
        let (sha384, sha512) = (all.sha384.unwrap().to_vec(), all.sha512.unwrap().to_vec());
        let sha256 = all.sha256.unwrap();
        let few = MessageDigests::from(sha256);
        for (algorithm, digest, needed) in [
            (HashAlgorithm::Sha2256, sha256.bytes().to_vec(), false),
            (HashAlgorithm::Sha2384, sha384, true),
            (HashAlgorithm::Sha2512, sha512, true),
        ] {
            let mut bundle = message_bundle(Vec::new(), b"signature", Vec::new(), Vec::new());
            let named = MessageDigest::new(algorithm, digest.clone().into());
            bundle.content = SignatureContent::MessageSignature(
                MessageSignature::new(SignatureBytes::new(vec![1])).with_message_digest(named),
            );
            let expected = ArtifactDigest::new(algorithm, digest).unwrap();
            assert!(
                matches!(artifact(&bundle, &all).unwrap(), Artifact::Digest(found) if found == expected),
                "{algorithm}"
            );
            let unread = artifact(&bundle, &few).map(|_| ()).map_err(|failure| failure.class());
            assert_eq!(
                unread,
                if needed { Err(Class::Unsupported) } else { Ok(()) },
                "{algorithm}"
            );
        }
    }

    /// The class of a refusal, and whether a newer trusted root could know better: each arm of
    /// [`judge`].
    #[test]
    fn every_refusal_of_the_crate_has_its_class() {
        let why = || "why".to_owned();
        let (time, not_before, not_after) =
            (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let tls = |why: &str| Error::from(CertificateError::ChainInvalid(why.to_owned()));
        let log = Error::TransparencyLog;
        let promise = |why: &str| log(TransparencyLogError::InclusionPromise(why.to_owned()));
        for (error, class, unknown) in [
            (Error::SignatureInvalid(why()), Class::Signature, false),
            (crypto::Error::Verification(why()).into(), Class::Signature, false),
            (Error::ArtifactMismatch(why()), Class::Binding, false),
            (tls("CertExpired"), Class::Time, false),
            (tls("CertNotValidYet"), Class::Time, false),
            (tls("it has expired"), Class::Time, false),
            (tls("it is not valid yet"), Class::Time, false),
            (tls("UnknownIssuer"), Class::Identity, true),
            (CertificateError::NoValidAuthority { time }.into(), Class::Time, true),
            (CertificateError::NotYetValid { time, not_before }.into(), Class::Time, false),
            (CertificateError::Expired { time, not_after }.into(), Class::Time, false),
            (CertificateError::Sct(why()).into(), Class::Tlog, true),
            (CertificateError::Malformed(why()).into(), Class::Malformed, false),
            (
                log(TransparencyLogError::IntegratedTime("in the future".to_owned())),
                Class::Time,
                false,
            ),
            (log(TransparencyLogError::IntegratedTime(why())), Class::Time, false),
            (log(TransparencyLogError::UnknownLog { log_id: why() }), Class::Tlog, true),
            (log(TransparencyLogError::Checkpoint(why())), Class::Tlog, true),
            (promise("No log key valid at"), Class::Tlog, true),
            (promise("another"), Class::Tlog, false),
            (log(TransparencyLogError::InclusionProof(why())), Class::Tlog, false),
            (TimestampError::Invalid(why()).into(), Class::Time, true),
            (TimestampError::OutsideAuthorityValidity { time }.into(), Class::Time, false),
            (Error::UnsupportedBundle(why()), Class::Unsupported, false),
            (Error::UnsupportedArtifact(why()), Class::Unsupported, false),
            (Error::InvalidTrustRoot(why()), Class::Trustroot, false),
            (trust_root::Error::InvalidKey(why()).into(), Class::Trustroot, false),
            (Error::TrustedCertificate(why().into()), Class::Trustroot, false),
            (sigstore::bundle::Error::MissingCheckpoint.into(), Class::Tlog, false),
            (Error::InvalidBundle(why()), Class::Malformed, false),
        ] {
            let text = error.to_string();
            let rejected = judge(error);
            assert_eq!((rejected.failure.class(), rejected.unknown), (class, unknown), "{text}");
        }
        let hint = |why: &str| {
            judge(log(TransparencyLogError::IntegratedTime(why.to_owned()))).failure.own_hint()
        };
        assert!(hint("in the future").is_some_and(|hint| hint.contains("clock")));
        assert_eq!(hint("before the certificate"), None);
    }
}
