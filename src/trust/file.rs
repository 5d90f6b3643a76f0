//! Signatures of files: from what comes with a file to a [`VerifiedFile`], which nothing else can
//! make.
//!
//! The order is fixed: the signature first, for a file that was tampered with is to be called that;
//! then certificate, proof that it was logged, and the log's entry. Whose signature counts is asked
//! last, of what is proven by then.

use super::attestation;
use super::authority::Proven;
use super::certificate::Certificate;
use super::entry::{MessageDigests, SignedContent};
use super::identity::Identity;
use super::key::PublicKey;
use super::keyless::{self, CertificateLog, Certified, Rejected};
use super::message::{Message, Needs};
use super::proof;
use super::root::TrustedRoot;
use crate::class::{Class, Failure};
use crate::name::{Digest, FileDigest};
use crate::wire::{
    self, Bundle, Content, Detached, DsseEnvelope, FileSignature, Material, Statement,
};
use jiff::Timestamp;
use sigstore::types::TimestampToken;
use sigstore::types::bundle::Rfc3161Timestamp;
use spki::der::Encode as _;

/// Returns what of the file has to be known to check a signature: by `key`, else by the certificate
/// that is beside it.
#[must_use]
pub fn needs(signature: &FileSignature, key: Option<&PublicKey>) -> Needs {
    let certified = || key_of(&leaf(signature).ok()??).ok();
    let raw = signature.raw().unwrap_or_default();
    key.cloned().or_else(certified).map(|key| key.needs(raw)).unwrap_or_default()
}

/// Checks that the key of the certificate made the signature, and returns by which digests of the
/// file. Proves nothing yet: anyone can write a certificate.
///
/// # Errors
/// `signature`: it did not. `identity`: there is no certificate. `binding`: an envelope about
/// another file. `malformed`, `unsupported`: no such envelope or key.
pub fn check_made(signature: &FileSignature, message: &Message) -> Result<MessageDigests, Failure> {
    let leaf = leaf(signature)?.ok_or_else(unnamed_key)?;
    check_signature(signature, message, &key_of(&leaf)?)
}

/// Returns the digest of the file that a signature by a certificate is over.
///
/// # Errors
/// As [`check_made`].
pub fn signed_digest(detached: &Detached, message: &Message) -> Result<FileDigest, Failure> {
    let leaf = detached.certificates.first().ok_or_else(unnamed_key)?;
    let hash = key_of(leaf)?.hash_of(message.digests(), &detached.signature);
    let known = message.digests().known();
    known.into_iter().find(|digest| Some(digest.algorithm()) == hash).ok_or_else(|| {
        Failure::new(Class::Unsupported, "a signature over no digest that a log writes down")
    })
}

impl PublicKey {
    /// Checks that this key signed a file. Log entries and timestamps are not looked at: a key
    /// needs none.
    ///
    /// # Errors
    /// As [`check_made`]; `identity`: it is signed by a certificate.
    pub fn check_file(
        &self,
        signature: &FileSignature,
        message: &Message,
    ) -> Result<VerifiedFile, Failure> {
        if let FileSignature::Bundle(Bundle { material: Material::Certificate, .. }) = signature {
            return Err(keyless_where_a_key_is_trusted());
        }
        check_signature(signature, message, self)?;
        let by = Proven::Key(*self.fingerprint());
        Ok(VerifiedFile { digest: *message.digest(), by, times: Vec::new(), logged: None })
    }
}

impl TrustedRoot {
    /// Checks a signature of a file by a certificate, regardless of its subject.
    ///
    /// # Errors
    /// Every class of a signature that does not hold; `time` where nothing is beside it that says
    /// when it was made.
    pub fn certify_file(
        &self,
        signature: &FileSignature,
        message: &Message,
        sct: CertificateLog,
    ) -> Result<SignedFile, Rejected> {
        let signed = check_made(signature, message)?;
        let digest = *message.digest();
        let (certified, body) = match signature {
            FileSignature::Bundle(bundle) => (
                self.certify_bundle(bundle, &signed, sct).map_err(about_entry)?,
                keyless::promised_body(bundle),
            ),
            FileSignature::Detached(detached) => (
                self.certify_detached(detached, message, sct)?,
                detached.entry.as_ref().map(|logged| logged.entry.body.clone()),
            ),
        };
        let logged = logged_at(&certified, body);
        Ok(SignedFile { digest, certified, logged })
    }

    fn certify_detached(
        &self,
        detached: &Detached,
        message: &Message,
        sct: CertificateLog,
    ) -> Result<Certified, Rejected> {
        let Some(logged) = &detached.entry else { return Err(untimed(detached).into()) };
        let entry = keyless::logged_entry(logged)?;
        let timestamps = detached
            .timestamp
            .iter()
            .map(|token| Rfc3161Timestamp::new(TimestampToken::new(token.clone())))
            .collect();
        let bundle = keyless::message_bundle(
            detached.certificates.clone(),
            &detached.signature,
            vec![entry],
            timestamps,
        );
        let artifact = keyless::artifact(&bundle, message.digests())?;
        self.certify(bundle, artifact, SignedContent::Message(message.digests()), sct)
            .map_err(about_entry)
    }
}

/// The crate calls it one thing whether the bundle or the log's entry is about something else. The
/// signature held by then, so of an entry it is the log's evidence that does not hold.
pub(super) fn about_entry(rejected: Rejected) -> Rejected {
    let entry = rejected.failure.class() == Class::Binding
        && rejected.failure.message().contains("hashedrekord entry");
    if entry { rejected.map(|failure| failure.as_class(Class::Tlog)) } else { rejected }
}

fn untimed(detached: &Detached) -> Failure {
    if detached.timestamp.is_some() {
        return Failure::new(
            Class::Tlog,
            "there is a timestamp beside the signature, and no log entry",
        );
    }
    Failure::new(Class::Time, "nothing beside the signature says when it was made, and its certificate was good for minutes")
        .hint("the log knows: query it (without LUET_COSIGN_OFFLINE and --offline), or use the publisher's bundle with --bundle")
}

/// Checks the signature over the file, or over an envelope about the file. Returns the digests by
/// which it is about this file.
fn check_signature(
    signature: &FileSignature,
    message: &Message,
    key: &PublicKey,
) -> Result<MessageDigests, Failure> {
    let digest = message.digest();
    let raw = match signature {
        FileSignature::Detached(detached) => &detached.signature,
        FileSignature::Bundle(bundle) => match &bundle.content {
            Content::Message { signature } => signature,
            Content::Envelope(envelope) => {
                return check_envelope(envelope, &bundle.material, message.digests(), key);
            }
        },
    };
    key.verify_hashed(message, raw).map(|()| message.digests().clone()).map_err(|failure| {
        if failure.class() != Class::Signature {
            return failure;
        }
        let what = format!("invalid signature: it is not of this file (`{digest}`)");
        let hint = if is_named_in(signature, message) { proof::SIGNATURE } else { TOGETHER };
        Failure::new(Class::Signature, what).detail(failure.message()).hint(hint)
    })
}

/// What to do about a signature that does not fit: more often than not it is another file's.
const TOGETHER: &str = "check that file, signature and certificate or key belong together: download them again, from one place and of one version";

/// Whether a bundle brings the key and names this very file, so that nothing was mixed up.
fn is_named_in(signature: &FileSignature, message: &Message) -> bool {
    match signature {
        FileSignature::Bundle(bundle) if bundle.material == Material::Certificate => {
            let named = keyless::named_digest(bundle);
            named.is_some_and(|named| message.digests().known().contains(&named))
        }
        FileSignature::Bundle(_) | FileSignature::Detached(_) => false,
    }
}

fn check_envelope(
    envelope: &DsseEnvelope,
    material: &Material,
    file: &MessageDigests,
    key: &PublicKey,
) -> Result<MessageDigests, Failure> {
    attestation::check_enveloped(envelope, material, key)?;
    if let Some(predicate) = wire::predicate(&envelope.payload)
        && predicate != wire::SIGN_PREDICATE
    {
        return Err(Failure::new(
            Class::Identity,
            format!("an attestation (`{predicate}`), which signs nothing"),
        )
        .hint(attestation::hint(&predicate)));
    }
    let statement = Statement::parse(&envelope.payload)?;
    Ok(statement.about(&file.known())?.digest.into())
}

fn leaf(signature: &FileSignature) -> Result<Option<Vec<u8>>, Failure> {
    match signature {
        FileSignature::Detached(detached) => Ok(detached.certificates.first().cloned()),
        FileSignature::Bundle(Bundle { material: Material::PublicKey, .. }) => Ok(None),
        FileSignature::Bundle(bundle) => keyless::read_leaf(bundle).map(Some),
    }
}

/// Returns who the certificate beside a signature says that signed. Nothing is proven by it.
fn claimed(signature: &FileSignature) -> Option<Certificate> {
    Certificate::parse(&leaf(signature).ok()??).ok()
}

/// The failure for a signature by a key, where no key was named.
pub(super) fn unnamed_key() -> Failure {
    Failure::new(Class::Identity, "a signature by a key, which does not name a signer")
        .hint("say which key made it: --key FILE")
}

pub(super) fn keyless_where_a_key_is_trusted() -> Failure {
    Failure::new(Class::Identity, "a keyless signature, where a key is trusted").hint(
        "leave out --key, and name the expected signer: --certificate-identity, \
         --certificate-oidc-issuer",
    )
}

pub(super) fn key_of(certificate: &[u8]) -> Result<PublicKey, Failure> {
    let certificate = keyless::x509(certificate)?;
    let spki = certificate.tbs_certificate.subject_public_key_info.to_der();
    let spki = spki.map_err(|error| {
        Failure::new(Class::Malformed, format!("a certificate whose key cannot be read: {error}"))
    })?;
    PublicKey::from_spki(&spki).map_err(|failure| match failure.class() {
        Class::Unsupported => failure,
        _ => failure.as_class(Class::Malformed).within("the certificate"),
    })
}

/// What to do about a file that is someone else's. The name in a certificate is no reason to trust
/// it.
const ANOTHER: &str = "compare that name with the one that the project publishes; only where it is the project's, ask for it with --certificate-identity and --certificate-oidc-issuer";

/// Checks that the certificate beside a signature at least calls itself this identity's: where not,
/// nothing more has to be asked.
///
/// # Errors
/// `identity`: it calls itself someone else's.
pub fn check_claimed(signature: &FileSignature, identity: &Identity) -> Result<(), Failure> {
    match claimed(signature) {
        Some(certificate) if !identity.fits(&certificate) => {
            Err(another("the certificate says", &certificate, identity))
        }
        _ => Ok(()),
    }
}

/// The failure for a file that is someone else's, `how` it is known.
fn another(how: &str, certificate: &Certificate, identity: &Identity) -> Failure {
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    let message = format!("{how} `{subject}` (issuer `{issuer}`); expected {identity}");
    let failure = Failure::new(Class::Identity, message);
    match identity.near_miss(certificate) {
        Some(miss) => failure.detail(miss.why).hint(miss.instead),
        None => failure.hint(ANOTHER),
    }
}

/// Where a log has an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedAt {
    /// The hash of the leaf: what cosign prints as uuid.
    pub leaf: Digest,
    /// The position.
    pub index: u64,
}

/// Returns where a log has the entry with this body, where the log signed that.
pub(super) fn logged_at(certified: &Certified, body: Option<Vec<u8>>) -> Option<LoggedAt> {
    let (index, body) = certified.log_index.zip(body)?;
    Some(LoggedAt { leaf: wire::leaf_hash(&body), index })
}

/// Checks that a certificate that holds is of this identity.
pub(super) fn check_identity(
    certificate: &Certificate,
    identity: &Identity,
) -> Result<(), Failure> {
    if identity.fits(certificate) {
        return Ok(());
    }
    Err(another("signed by", certificate, identity))
}

/// A file that is signed by a certificate which holds. Whether that is anyone who was asked for,
/// [`Self::by`] says.
#[derive(Clone, Debug)]
pub struct SignedFile {
    digest: FileDigest,
    certified: Certified,
    logged: Option<LoggedAt>,
}

impl SignedFile {
    /// Returns the signer's certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certified.certificate
    }

    /// Checks that it is of this identity.
    ///
    /// # Errors
    /// `identity`: it is someone else's.
    pub fn by(self, identity: &Identity) -> Result<VerifiedFile, Failure> {
        check_identity(&self.certified.certificate, identity)?;
        Ok(self.by_anyone())
    }

    /// Takes it regardless of the signer: what cosign 1 did. Proves that the file was signed by someone,
    /// which says little.
    #[must_use]
    pub fn by_anyone(self) -> VerifiedFile {
        let Certified { certificate, times, .. } = self.certified;
        VerifiedFile {
            digest: self.digest,
            by: Proven::Certificate(Box::new(certificate), vec![None]),
            times,
            logged: self.logged,
        }
    }
}

/// Proof: a file with this digest was signed, by whom. Only the checker makes one.
///
/// There is no way to write one down: `tests/forged/verified_file.rs` compiles beside this type,
/// and a doctest holds that the same text does not compile outside.
#[cfg_attr(
    doctest,
    doc = concat!("```compile_fail\n", include_str!("../../tests/forged/verified_file.rs"), "```")
)]
#[derive(Clone, Debug)]
pub struct VerifiedFile {
    digest: FileDigest,
    by: Proven,
    times: Vec<Timestamp>,
    logged: Option<LoggedAt>,
}

impl VerifiedFile {
    /// Returns the digest of the file: the SHA-256, or the one that was given.
    #[must_use]
    pub fn digest(&self) -> &FileDigest {
        &self.digest
    }

    /// Returns the certificate, of a keyless signature.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.by.certificate()
    }

    /// Returns the fingerprint of the key, where one signed.
    #[must_use]
    pub fn key(&self) -> Option<&Digest> {
        self.by.key()
    }

    /// Returns when it was signed, by every clock that vouched for it. None of a key.
    #[must_use]
    pub fn times(&self) -> &[Timestamp] {
        &self.times
    }

    /// Returns where the log has it, where the log signed that.
    #[must_use]
    pub fn logged(&self) -> Option<&LoggedAt> {
        self.logged.as_ref()
    }
}

/// What has to compile here, for what a doctest holds elsewhere to prove anything.
#[cfg(test)]
mod forged {
    include!("../../tests/forged/verified_file.rs");
}
