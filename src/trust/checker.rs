//! The checker: from a candidate, which anyone may claim, to a [`VerifiedSignature`], which
//! nothing else can make.
//!
//! One authority must have signed exactly the payload, by its key or by a certificate of its
//! identity, and the payload must name exactly this image. A legacy signature is checked first,
//! against the payload's digest in the signature manifest, so that a stranger's payload is never
//! even fetched; where a trusted key signs by another hash than SHA-256, payloads of that key's
//! shape of signature are fetched first.

use super::authority::{Authority, AuthorityKind, Proven, TrustedRoots};
use super::budget::Budget;
use super::certificate::Certificate;
use super::entry::{Claim, SignedContent, digests_of};
use super::evidence;
use super::key::PublicKey;
use super::keyless::{self, CertificateLog, Certified, LegacyCertified, Rejected};
use super::proof;
use super::root::TrustedRoot;
use super::signer_id::SignerId;
use crate::class::{Class, Failure, yaml};
use crate::name::Digest;
use crate::wire::{
    self, Bundle, Content, DsseEnvelope, LegacyCandidate, LogEntry, Material, Payload,
    SignerClaims, Statement,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// In which form a signature is at the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A Sigstore bundle in a referrer.
    Bundle,
    /// A layer of a `.sig` tag, or of a referrer that is made like one.
    Legacy,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundle => "bundle",
            Self::Legacy => "legacy",
        })
    }
}

/// What is asked of a signature beside that it holds: annotations that the signed payload must
/// carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Key and value, both compared exactly.
    pub annotations: BTreeMap<String, String>,
}

impl Requirements {
    fn check(&self, annotations: &BTreeMap<String, String>) -> Result<(), Failure> {
        for (key, expected) in &self.annotations {
            let found = annotations.get(key);
            if found != Some(expected) {
                let found = found.map_or("nothing".to_owned(), |found| format!("`{found}`"));
                let what = format!("the annotation `{key}` is {found}; expected `{expected}`");
                return Err(Failure::new(Class::Binding, what).hint(
                    "annotations are what the signer gave to `sign -a`: check what you ask for with -a, or have it signed with that",
                ));
            }
        }
        Ok(())
    }
}

/// What signatures are checked against.
#[derive(Clone, Debug)]
pub struct Checker<'a> {
    /// Whose signatures count.
    pub authorities: &'a [Authority],
    /// What is asked of them.
    pub requirements: &'a Requirements,
    /// The trusted roots that the authorities name.
    pub roots: TrustedRoots,
    /// Whether certificates must have been logged.
    pub certificate_log: CertificateLog,
    /// What may still be done for this image.
    pub budget: Arc<Budget>,
}

impl<'a> Checker<'a> {
    /// Makes a checker without trusted roots, which is all that keys need whose signatures need not
    /// have been logged.
    #[must_use]
    pub fn new(authorities: &'a [Authority], requirements: &'a Requirements) -> Self {
        Self {
            authorities,
            requirements,
            roots: TrustedRoots::default(),
            certificate_log: CertificateLog::default(),
            budget: Arc::default(),
        }
    }
}

/// A legacy signature that is worth fetching its payload for: a known authority made it, or only
/// the payload can show who did.
#[derive(Debug)]
pub struct Held<'a> {
    candidate: &'a LegacyCandidate,
    signers: Signers<'a>,
}

#[derive(Debug)]
enum Signers<'a> {
    /// This one made it: the digest of the payload shows it.
    Proven(&'a Authority, Box<Made>),
    /// One of these may have made it, over another hash than SHA-256: by a key, or by a certificate
    /// of which all else holds.
    Possible(Vec<&'a Authority>, Option<Unread<'a>>),
}

/// A signature by a certificate, over a payload that has to be read.
#[derive(Debug)]
struct Unread<'a> {
    authority: &'a Authority,
    made: Box<Made>,
    signature: Box<evidence::Unread>,
}

/// Who made a signature, and what is known of when.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    by: Proven,
    /// By every clock that vouched for it; none where nobody did.
    times: Vec<Timestamp>,
    log_index: Option<u64>,
}

impl Made {
    fn by_key(key: &PublicKey, logged: Option<(Timestamp, u64)>) -> Self {
        Self {
            by: Proven::Key(*key.fingerprint()),
            times: logged.iter().map(|(time, _)| *time).collect(),
            log_index: logged.map(|(_, index)| index),
        }
    }
}

impl<'a> Held<'a> {
    /// Checks a legacy signature: against the keys of the authorities, one after another, and where
    /// a certificate is beside it against their identities.
    ///
    /// # Errors
    /// `identity`: no key opens it, and no identity fits; a legacy key signature names no key, so
    /// "damaged" and "by a stranger" look the same. `limit`: the budget is used up. Every class of
    /// a keyless signature that does not hold, and of a log entry that has to.
    pub fn check(candidate: &'a LegacyCandidate, checker: &Checker<'a>) -> Result<Self, Rejected> {
        let authorities = checker.authorities;
        let evidence = &candidate.evidence;
        let checks = keys(authorities).count() + evidence.checks();
        checker.budget.spend(checks, evidence.bytes())?;
        let theirs = keys(authorities).filter(|(_, key, _)| {
            key.verify_digest(&candidate.payload, &candidate.signature).is_ok()
        });
        if let Some(made) = first_good(theirs, |authority, key| {
            logged_legacy(candidate, authority, key, checker).map(Some)
        }) {
            let (authority, made) = made?;
            return Ok(Self { candidate, signers: Signers::Proven(authority, Box::new(made)) });
        }
        let possible: Vec<&Authority> = keys(authorities)
            .filter(|(_, key, _)| key.may_need_message(&candidate.signature))
            .map(|(authority, ..)| authority)
            .collect();
        if candidate.evidence.certificate.is_some() {
            let certify =
                |root: &TrustedRoot| root.certify_legacy(candidate, checker.certificate_log);
            match by_certificate(checker, certify) {
                Ok((authority, made, certified)) => {
                    let made = Box::new(made);
                    let signers = match certified {
                        LegacyCertified::Certified(_) => Signers::Proven(authority, made),
                        LegacyCertified::Unread(signature) => {
                            Signers::Possible(possible, Some(Unread { authority, made, signature }))
                        }
                    };
                    return Ok(Self { candidate, signers });
                }
                Err(rejected) if possible.is_empty() => {
                    return Err(rejected
                        .map(|failure| named(failure, candidate.evidence.certificate.as_deref())));
                }
                // Whatever someone put beside a key's signature, it may be the key's.
                Err(_) => {}
            }
        }
        if possible.is_empty() {
            return Err(stranger(keys(authorities).count()).into());
        }
        Ok(Self { candidate, signers: Signers::Possible(possible, None) })
    }

    /// Whether the signature holds already; where not, only [`Self::check_claims`] shows that
    /// someone trusted made it.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self.signers, Signers::Proven(..))
    }

    /// Returns the digest and the size of the payload to fetch.
    #[must_use]
    pub fn payload(&self) -> (&Digest, u64) {
        (&self.candidate.payload, self.candidate.payload_bytes)
    }

    /// Reads the payload and holds it against the image.
    ///
    /// # Errors
    /// `digest`: not the payload that was signed. `identity`: none of those who might have signed
    /// it did. `malformed`: no payload of an image signature. `binding`: it names another image, or
    /// lacks an annotation that is required.
    pub fn check_claims(
        self,
        payload: &[u8],
        image: &Digest,
        checker: &Checker<'_>,
    ) -> Result<VerifiedSignature, Failure> {
        // (1) The bytes are those whose digest was signed.
        let found = Digest::of(payload);
        if found != self.candidate.payload {
            return Err(Failure::new(
                Class::Digest,
                format!("the signed payload is `{found}`; expected `{}`", self.candidate.payload),
            ));
        }
        // (2) An authority signed them, where their digest did not show it.
        let (authority, made) = match self.signers {
            Signers::Proven(authority, made) => (authority, *made),
            Signers::Possible(authorities, unread) => {
                let count = authorities.len();
                let made_it =
                    authorities.into_iter().filter_map(|authority| match &authority.signer {
                        AuthorityKind::Key { key, logged } => Some((authority, key, *logged)),
                        AuthorityKind::Certificate(_) => None,
                    });
                let made_it = made_it
                    .filter(|(_, key, _)| key.verify(payload, &self.candidate.signature).is_ok());
                let by_key = first_good(made_it, |authority, key| {
                    logged_legacy(self.candidate, authority, key, checker).map(Some)
                });
                match (by_key, unread) {
                    (Some(Ok(made)), _) => made,
                    (_, Some(Unread { authority, made, signature })) => {
                        signature.read(SignedContent::Message(&digests_of(payload)))?;
                        (authority, *made)
                    }
                    (Some(Err(rejected)), None) => return Err(rejected.into()),
                    (None, None) => return Err(stranger(count)),
                }
            }
        };
        // (3) They are the payload of an image signature, of this image.
        let payload = Payload::parse(payload)?;
        if payload.manifest_digest != *image {
            return Err(Failure::new(
                Class::Binding,
                format!("`{}` signed `{}`, not `{image}`", authority.name, payload.manifest_digest),
            )
            .hint(proof::ANOTHER_IMAGE));
        }
        // (4) They carry what was asked for.
        checker.requirements.check(&payload.annotations)?;
        VerifiedSignature::new(authority, made, *image, payload, Format::Legacy)
    }
}

fn keys(authorities: &[Authority]) -> impl Iterator<Item = (&Authority, &PublicKey, bool)> {
    authorities.iter().filter_map(|authority| match &authority.signer {
        AuthorityKind::Key { key, logged } => Some((authority, key, *logged)),
        AuthorityKind::Certificate(_) => None,
    })
}

/// Returns the first of those whose key made a signature to whom it counts: one key can be several
/// authorities', of which some demand that it was logged. Else the first refusal; `None` where
/// there are none.
fn first_good<'a>(
    theirs: impl Iterator<Item = (&'a Authority, &'a PublicKey, bool)>,
    entry: impl Fn(&'a Authority, &'a PublicKey) -> Result<Option<(Timestamp, u64)>, Rejected>,
) -> Option<Result<(&'a Authority, Made), Rejected>> {
    let mut refused = None;
    for (authority, key, logged) in theirs {
        match if logged { entry(authority, key) } else { Ok(None) } {
            Ok(logged) => return Some(Ok((authority, Made::by_key(key, logged)))),
            Err(rejected) => refused = refused.or(Some(rejected)),
        }
    }
    refused.map(Err)
}

/// Checks the log entry beside a legacy signature by a key that must have logged it.
fn logged_legacy(
    candidate: &LegacyCandidate,
    authority: &Authority,
    key: &PublicKey,
    checker: &Checker<'_>,
) -> Result<(Timestamp, u64), Rejected> {
    let text = candidate.evidence.bundle.as_deref().ok_or_else(|| unlogged(authority))?;
    let digests = candidate.payload.into();
    let claim = Claim {
        signed: SignedContent::Message(&digests),
        signature: &candidate.signature,
        verifier: key.spki(),
        hash: None,
    };
    checker.roots.get(authority.root.as_ref())?.check_promise(&LogEntry::parse(text)?, &claim)
}

fn unlogged(authority: &Authority) -> Failure {
    Failure::new(Class::Tlog, format!("signed by `{}`, without the log entry that its policy demands", authority.name))
        .hint("have it signed with the log (`cosign sign --tlog-upload`), or drop `tlog: required` from the signer")
}

/// Checks a keyless signature by each trusted root that an identity is under, and finds the
/// identity that its certificate is of.
fn by_certificate<'a, T: AsRef<Certified> + Clone>(
    checker: &Checker<'a>,
    certify: impl Fn(&TrustedRoot) -> Result<T, Rejected>,
) -> Result<(&'a Authority, Made, T), Rejected> {
    let authorities = checker.authorities;
    let mut checked: BTreeMap<Option<&String>, Result<T, Rejected>> = BTreeMap::new();
    let mut identities =
        authorities.iter().filter(|authority| authority.identity().is_some()).peekable();
    if identities.peek().is_none() {
        return Err(Failure::new(
            Class::Identity,
            "a keyless signature, where only keys are trusted",
        )
        .into());
    }
    // All of them, for one signature can be by several authorities.
    for root in identities.clone().map(|authority| authority.root.as_ref()) {
        checked
            .entry(root)
            .or_insert_with(|| checker.roots.get(root).map_err(Rejected::from).and_then(&certify));
    }
    for authority in identities {
        if let (Some(Ok(outcome)), Some(identity)) =
            (checked.get(&authority.root.as_ref()), authority.identity())
            && identity.fits(&outcome.as_ref().certificate)
        {
            let certified = outcome.as_ref();
            let held = checked
                .iter()
                .filter(|(_, outcome)| outcome.is_ok())
                .map(|(root, _)| root.cloned());
            let made = Made {
                by: Proven::Certificate(Box::new(certified.certificate.clone()), held.collect()),
                times: certified.times.clone(),
                log_index: certified.log_index,
            };
            return Ok((authority, made, outcome.clone()));
        }
    }
    // Of several roots the one under which it held says most: who signed.
    let mut outcomes: Vec<Result<T, Rejected>> = checked.into_values().collect();
    match outcomes.iter().position(Result::is_ok) {
        Some(at) => match outcomes.swap_remove(at) {
            Ok(outcome) => Err(another(&outcome.as_ref().certificate, authorities).into()),
            Err(rejected) => Err(rejected),
        },
        None => Err(outcomes
            .into_iter()
            .find_map(Result::err)
            .unwrap_or_else(|| stranger(keys(authorities).count()).into())),
    }
}

/// The failure for a keyless signature that holds, by someone else: who, and what would have to be
/// written to trust them.
fn another(certificate: &Certificate, authorities: &[Authority]) -> Failure {
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    let expected: Vec<String> =
        authorities.iter().filter_map(Authority::identity).map(ToString::to_string).collect();
    let message = format!(
        "a keyless signature by `{subject}` (issuer `{issuer}`); expected {}",
        expected.join(", or ")
    );
    // The name of a workflow that others call would trust all of them.
    if let Some((workflow, source)) = certificate.reused_workflow() {
        let (repository, file) = (workflow.repository, workflow.file);
        return Failure::new(Class::Identity, message)
            .detail(format!("`{source}` called that workflow, which anyone can call"))
            .hint(format!(
                "to trust that signer, write a policy with `github: {{repo: {}, workflow_repo: {}, \
                 workflow: {}}}`",
                yaml(&source),
                yaml(repository),
                yaml(file)
            ));
    }
    let mut misses = authorities
        .iter()
        .filter_map(Authority::identity)
        .filter_map(|identity| identity.near_miss(certificate));
    if let Some(miss) = misses.next() {
        return Failure::new(Class::Identity, message).detail(miss.why).hint(miss.instead);
    }
    Failure::new(Class::Identity, message).hint(format!(
        "to trust that signer: COSIGN_CERTIFICATE_IDENTITY={} COSIGN_CERTIFICATE_OIDC_ISSUER={}, \
         or in a policy `keyless: {{issuer: {}, subject: {}}}`",
        for_shell(subject.as_str()),
        for_shell(issuer),
        yaml(issuer),
        yaml(subject.as_str())
    ))
}

/// Returns a word that a shell reads as this text, and runs nothing of: the stranger chose it, a
/// branch can be called `x;reboot`.
fn for_shell(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if text.chars().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

/// Adds whom a certificate names that nobody vouches for, where it can be read.
fn named(failure: Failure, certificate: Option<&str>) -> Failure {
    let certificate =
        certificate.and_then(|pem| wire::read_certificates(pem).ok()?.into_iter().next());
    claimed(failure, certificate.as_deref())
}

fn claimed(failure: Failure, certificate: Option<&[u8]>) -> Failure {
    match certificate.and_then(|der| Certificate::parse(der).ok()) {
        Some(certificate)
            if failure.class() != Class::Identity
                || !failure.message().contains(certificate.subject().as_str()) =>
        {
            failure.detail(format!(
                "it claims to be by `{}` (issuer `{}`)",
                certificate.subject(),
                certificate.issuer()
            ))
        }
        _ => failure,
    }
}

/// Checks a bundle that was found at an image: a statement by one of the authorities that this
/// image is signed. `None`: it is an attestation, true or not, and so no signature. Log entries and
/// timestamps beside a key are looked at only where the key's policy demands an entry.
///
/// # Errors
/// `identity`: none of the authorities signed it. `unsupported`: the signature of a message.
/// `malformed`: an authority signed something that is not a statement. `binding`: it is about another
/// image, or lacks an annotation that is required. `limit`: the budget is used up. Every class of a
/// keyless signature that does not hold.
pub fn check_bundle(
    bundle: &Bundle,
    image: &Digest,
    checker: &Checker<'_>,
) -> Result<Option<VerifiedSignature>, Rejected> {
    let authorities = checker.authorities;
    checker.budget.spend(keys(authorities).count() + bundle.checks(), bundle.bytes())?;
    let Content::Envelope(envelope) = &bundle.content else {
        return Err(Failure::new(
            Class::Unsupported,
            "a bundle with the signature of a message, which no image has",
        )
        .into());
    };
    // (1) What calls itself something else than a signature is not judged at all.
    if wire::predicate(&envelope.payload).is_some_and(|predicate| predicate != wire::SIGN_PREDICATE)
    {
        return Ok(None);
    }
    // (2) An authority signed these bytes, as what they are.
    let (authority, made) = match bundle.material {
        Material::Certificate => {
            let digests = (*image).into();
            let (authority, made, _) = by_certificate(checker, |root| {
                root.certify_bundle(bundle, &digests, checker.certificate_log)
            })
            .map_err(|rejected| {
                rejected.map(|failure| claimed(failure, keyless::leaf(bundle).as_deref()))
            })?;
            (authority, made)
        }
        // The hint names a key and proves nothing: every key is tried.
        Material::PublicKey => {
            let signed = envelope.signed_bytes();
            let made_it = keys(authorities)
                .filter(|(_, key, _)| key.verify(&signed, &envelope.signature).is_ok());
            first_good(made_it, |authority, key| {
                checker.roots.get(authority.root.as_ref())?.check_entries(
                    bundle,
                    envelope,
                    image,
                    key.spki(),
                )
            })
            .ok_or_else(|| stranger(keys(authorities).count()))??
        }
    };
    // (3) They are a statement, about this image, with what was asked for.
    let annotations = annotations(envelope, image).map_err(|failure| match failure.class() {
        Class::Binding => failure.hint(proof::ANOTHER_IMAGE),
        _ => failure,
    })?;
    checker.requirements.check(&annotations)?;
    let repository = SignerClaims::read(&annotations)?.repository;
    let payload = Payload {
        docker_reference: repository.map(|repository| repository.cosign_name()).unwrap_or_default(),
        manifest_digest: *image,
        annotations,
    };
    Ok(VerifiedSignature::new(authority, made, *image, payload, Format::Bundle).map(Some)?)
}

fn annotations(
    envelope: &DsseEnvelope,
    image: &Digest,
) -> Result<BTreeMap<String, String>, Failure> {
    if envelope.payload_type != wire::STATEMENT_TYPE {
        let found = &envelope.payload_type;
        return Err(Failure::new(
            Class::Malformed,
            format!("the signed payload is of type `{found}`; expected `{}`", wire::STATEMENT_TYPE),
        ));
    }
    Statement::parse(&envelope.payload)?.annotations(image).cloned()
}

/// Checks a bundle with the signature of a message by a key, which is what blobs have.
///
/// # Errors
/// `identity`: none of the authorities signed it, or it is keyless. `malformed`: it holds a
/// statement.
pub fn check_message<'a>(
    bundle: &Bundle,
    authorities: &'a [Authority],
    message: &[u8],
) -> Result<&'a Authority, Failure> {
    let Content::Message { signature } = &bundle.content else {
        return Err(Failure::new(
            Class::Malformed,
            "a bundle with a statement; expected the signature of a message",
        ));
    };
    if bundle.material == Material::Certificate {
        return Err(Failure::new(
            Class::Identity,
            "a keyless signature, where only keys are trusted",
        ));
    }
    let mut made_it =
        keys(authorities).filter(|(_, key, _)| key.verify(message, signature).is_ok());
    made_it
        .next()
        .map(|(authority, ..)| authority)
        .ok_or_else(|| stranger(keys(authorities).count()))
}

/// The failure for a signature by a key, where so many are trusted.
fn stranger(keys: usize) -> Failure {
    let message = match keys {
        0 => "a signature by a key, where only keyless signers are trusted".to_owned(),
        1 => "a signature that the trusted key did not make".to_owned(),
        _ => format!("a signature that none of the {keys} trusted keys made"),
    };
    Failure::new(Class::Identity, message)
}

/// Proof: this authority signed this image. Only the checker makes one.
///
/// There is no way to write one down: `tests/forged/verified_signature.rs` compiles beside this type,
/// and a doctest holds that the same text does not compile outside.
#[cfg_attr(
    doctest,
    doc = concat!("```compile_fail\n", include_str!("../../tests/forged/verified_signature.rs"), "```")
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    authority: String,
    made: Made,
    signer: SignerId,
    fingerprint: Digest,
    image: Digest,
    payload: Payload,
    claims: SignerClaims,
    format: Format,
}

impl VerifiedSignature {
    fn new(
        authority: &Authority,
        made: Made,
        image: Digest,
        payload: Payload,
        format: Format,
    ) -> Result<Self, Failure> {
        let claims = SignerClaims::read(&payload.annotations)?;
        let signer = made.by.signer_id();
        Ok(Self {
            authority: authority.name.clone(),
            made,
            fingerprint: signer.fingerprint(),
            signer,
            image,
            payload,
            claims,
            format,
        })
    }

    /// Returns the name that the policy gives to who signed.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is by this authority: its key, or a certificate of its identity. One signature
    /// can be by several.
    #[must_use]
    pub fn is_by(&self, authority: &Authority) -> bool {
        self.made.by.is(authority)
    }

    /// Returns the certificate, of a keyless signature.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        match &self.made.by {
            Proven::Key(_) => None,
            Proven::Certificate(certificate, _) => Some(certificate),
        }
    }

    /// Returns when it was made, by every clock that vouched for it. None of a key that was not
    /// logged.
    #[must_use]
    pub fn times(&self) -> &[Timestamp] {
        &self.made.times
    }

    /// Returns its position in a log, where that log signed it.
    #[must_use]
    pub fn log_index(&self) -> Option<u64> {
        self.made.log_index
    }

    /// Returns who made it, where signers are counted and remembered.
    #[must_use]
    pub fn signer(&self) -> &SignerId {
        &self.signer
    }

    /// Returns the fingerprint of the key, or of who owns the certificate.
    #[must_use]
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// Returns the image's digest: an index, or a manifest.
    #[must_use]
    pub fn image(&self) -> &Digest {
        &self.image
    }

    /// Returns what was signed. A bundle has no `docker-reference`: it is the repository of our
    /// claims there, or empty.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Returns what `cosign verify` prints of a signature. `asked` is the name that was verified,
    /// which cosign shows for a bundle.
    #[must_use]
    pub fn document(&self, asked: &str) -> Value {
        let mut document = self.payload_document(asked);
        if let (Some(certificate), Some(document)) = (self.certificate(), document.as_object_mut())
        {
            let optional = document.entry("optional").or_insert(Value::Null);
            if optional.is_null() {
                *optional = json!({});
            }
            optional["Issuer"] = json!(certificate.issuer());
            optional["Subject"] = json!(certificate.subject().as_str());
        }
        document
    }

    fn payload_document(&self, asked: &str) -> Value {
        match self.format {
            Format::Legacy => serde_json::from_slice(&self.payload.to_bytes()).unwrap_or_default(),
            Format::Bundle => json!({
                "critical": {
                    "identity": {"docker-reference": asked},
                    "image": {"docker-manifest-digest": self.image.to_string()},
                    "type": wire::SIGN_PREDICATE,
                },
                "optional": self.payload.annotations,
            }),
        }
    }

    /// Returns the claims of our own signer.
    #[must_use]
    pub fn claims(&self) -> &SignerClaims {
        &self.claims
    }

    /// Returns the form of the signature.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }
}

/// What has to compile here, for what a doctest holds elsewhere to prove anything.
#[cfg(test)]
mod forged {
    include!("../../tests/forged/verified_signature.rs");
}
