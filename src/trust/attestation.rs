//! Attestations about files: from a bundle to an [`AttestedFile`], which nothing else can make.
//!
//! An attestation says something about a file: how it was built, what is in it. It does not sign
//! the file, so nothing here can become a `VerifiedFile` or a `VerifiedSignature`, or the reverse
//! (cosign CVE-2022-35929: a valid attestation passed for another one that was required). The order
//! is that of signatures of files: the signature first, then what it is about, then what it says,
//! then certificate, log and name.

use super::authority::Proven;
use super::certificate::Certificate;
use super::entry::MessageDigests;
use super::file::{self, LoggedAt};
use super::identity::Identity;
use super::key::PublicKey;
use super::keyless::{self, CertificateLog, Certified, Rejected};
use super::message::{Message, Needs};
use super::proof;
use super::root::TrustedRoot;
use crate::class::{Class, Failure};
use crate::name::FileDigest;
use crate::wire::{self, Bundle, Content, DsseEnvelope, Material, Statement};
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// Names of predicate types: cosign's table (`options/predicate.go`).
const NAMES: &[(&str, &str)] = &[
    ("custom", "https://cosign.sigstore.dev/attestation/v1"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("link", "https://in-toto.io/Link/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
];

/// Which attestations count, by what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PredicateType {
    /// Whatever they say: the caller shows it.
    Any,
    /// Those with this URI, compared exactly.
    Uri(String),
}

impl PredicateType {
    /// Returns the names that [`Self::from_str`] takes, beside URIs.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name).chain(["any"])
    }

    fn check(&self, found: &str) -> Result<(), Failure> {
        match self {
            Self::Uri(uri) if uri != found => Err(Failure::new(
                Class::Binding,
                format!("an attestation of type `{found}`; expected `{uri}`"),
            )
            .hint(format!(
                "take the attestation of the type that you need; if it is this one, ask for it \
                 with --type {}",
                typed(found)
            ))),
            Self::Any | Self::Uri(_) => Ok(()),
        }
    }
}

impl FromStr for PredicateType {
    type Err = Failure;

    /// Takes cosign's names, a URI, or `any`.
    ///
    /// # Errors
    /// `usage`: none of them, or the type of a signature.
    fn from_str(text: &str) -> Result<Self, Failure> {
        if text == "any" {
            return Ok(Self::Any);
        }
        if let Some((_, uri)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Uri((*uri).to_owned()));
        }
        if text == wire::SIGN_PREDICATE {
            return Err(Failure::new(Class::Usage, format!("`{text}` is the type of a signature"))
                .hint("for the signature of a file: luet-cosign verify-blob"));
        }
        // RFC 3986 section 3.1: a scheme is letters, digits, `+`, `-` and `.`.
        let scheme = text.split_once(':').map(|(scheme, rest)| (scheme.as_bytes(), rest));
        let is_uri = scheme.is_some_and(|(scheme, rest)| {
            scheme.first().is_some_and(u8::is_ascii_alphabetic)
                && scheme.iter().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(c))
                && !rest.is_empty()
        });
        if is_uri && text.bytes().all(|c| c.is_ascii_graphic()) {
            return Ok(Self::Uri(text.to_owned()));
        }
        let names: Vec<&str> = Self::names().collect();
        Err(Failure::new(Class::Usage, format!("`{text}` is not a type of attestations"))
            .hint(format!("expected a URI, or one of: {}", names.join(", "))))
    }
}

impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Uri(uri) => f.write_str(uri),
        }
    }
}

/// Returns a type as it is written behind `--type`. The signer chose the text, and what we advise
/// is pasted into a shell: other than plain words are not repeated.
fn typed(uri: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-#".contains(c);
    match NAMES.iter().rev().find(|(_, known)| *known == uri) {
        Some((name, _)) => name,
        None if uri.chars().all(plain) && uri.parse::<PredicateType>().is_ok() => uri,
        None => "URI",
    }
}

/// Returns what to do with an attestation where a signature is expected.
pub(super) fn hint(predicate: &str) -> String {
    format!(
        "verify what it says with `luet-cosign verify-blob-attestation --type {}`, or take the \
         bundle with the file's signature",
        typed(predicate)
    )
}

/// An attestation in its envelope. Nothing of it is trusted yet.
#[derive(Clone, Debug)]
pub struct Attestation {
    bundle: Bundle,
    envelope: DsseEnvelope,
    /// What cannot be read is refused for that once the signature was checked.
    statement: Result<Statement, Failure>,
}

impl Attestation {
    /// Takes the bundle of an attestation.
    ///
    /// # Errors
    /// `malformed`: it holds the signature of a message.
    pub fn new(bundle: Bundle) -> Result<Self, Failure> {
        let Content::Envelope(envelope) = &bundle.content else {
            return Err(Failure::new(
                Class::Malformed,
                "a bundle with the signature of a file; expected an attestation",
            )
            .hint("for the signature of a file: luet-cosign verify-blob"));
        };
        let (envelope, statement) =
            (envelope.clone(), Statement::parse_attestation(&envelope.payload));
        Ok(Self { bundle, envelope, statement })
    }

    /// Returns what of the file has to be known to find it among the subjects.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let named = |algorithm| {
            self.statement.as_ref().is_ok_and(|statement| statement.names_by(algorithm))
        };
        Needs {
            sha256: named("sha256"),
            sha384: named("sha384"),
            sha512: named("sha512"),
            ed25519: None,
        }
    }

    /// Checks that the key of the certificate signed a statement of this type about the file.
    /// Proves nothing yet: anyone can write a certificate.
    ///
    /// # Errors
    /// `signature`: it did not sign it. `identity`: there is no certificate. `binding`: it is about
    /// another file, or of another type. `malformed`, `unsupported`: no such statement or key.
    pub fn check_made(&self, message: &Message, wanted: &PredicateType) -> Result<(), Failure> {
        self.stated(&self.leaf_key()?, message, wanted).map(|_| ())
    }

    /// Checks that this key signed a statement of this type about the file. Log entries and
    /// timestamps are not looked at: a key needs none.
    ///
    /// # Errors
    /// As [`Self::check_made`]; `identity`: it is signed by a certificate.
    pub fn check_key(
        &self,
        key: &PublicKey,
        message: &Message,
        wanted: &PredicateType,
    ) -> Result<AttestedFile, Failure> {
        if self.bundle.material == Material::Certificate {
            return Err(file::keyless_where_a_key_is_trusted());
        }
        let stated = self.stated(key, message, wanted)?;
        let by = Proven::Key(*key.fingerprint());
        Ok(AttestedFile { stated, by, times: Vec::new(), logged: None })
    }

    fn leaf_key(&self) -> Result<PublicKey, Failure> {
        match self.bundle.material {
            Material::Certificate => file::key_of(&keyless::read_leaf(&self.bundle)?),
            Material::PublicKey => Err(file::unnamed_key()),
        }
    }

    /// Checks what is signed: by this key, about this file, of this type.
    fn stated(
        &self,
        key: &PublicKey,
        message: &Message,
        wanted: &PredicateType,
    ) -> Result<Stated, Failure> {
        check_enveloped(&self.envelope, &self.bundle.material, key)?;
        let statement = self.statement.as_ref().map_err(Failure::clone)?;
        let about = statement.about(&message.digests().known())?;
        wanted.check(statement.predicate_type())?;
        Ok(Stated {
            digest: about.digest,
            names: about.subjects.iter().filter_map(|subject| subject.name.clone()).collect(),
            predicate_type: statement.predicate_type().to_owned(),
            predicate: statement.predicate().clone(),
        })
    }
}

/// Checks that a key signed an envelope with a statement.
///
/// # Errors
/// `signature`: it did not. `malformed`: the envelope holds something else.
pub(super) fn check_enveloped(
    envelope: &DsseEnvelope,
    material: &Material,
    key: &PublicKey,
) -> Result<(), Failure> {
    key.verify(&envelope.signed_bytes(), &envelope.signature).map_err(|failure| {
        let failure =
            Failure::new(Class::Signature, "invalid signature: it is not of this statement")
                .detail(failure.message());
        match material {
            // Statement, signature and certificate came in one piece.
            Material::Certificate => failure.hint(proof::SIGNATURE),
            Material::PublicKey => failure.hint("check that it was this key that signed it"),
        }
    })?;
    if envelope.payload_type == wire::STATEMENT_TYPE {
        return Ok(());
    }
    let (found, expected) = (&envelope.payload_type, wire::STATEMENT_TYPE);
    Err(Failure::new(
        Class::Malformed,
        format!("the signed payload is of type `{found}`; expected `{expected}`"),
    ))
}

impl TrustedRoot {
    /// Checks an attestation by a certificate, regardless of its subject.
    ///
    /// # Errors
    /// As [`Attestation::check_made`], and every class of a signature that does not hold.
    pub fn certify_attestation(
        &self,
        attestation: &Attestation,
        message: &Message,
        wanted: &PredicateType,
        sct: CertificateLog,
    ) -> Result<SignedAttestation, Rejected> {
        let stated = attestation.stated(&attestation.leaf_key()?, message, wanted)?;
        let subject = MessageDigests::from(stated.digest);
        let certified =
            self.certify_bundle(&attestation.bundle, &subject, sct).map_err(file::about_entry)?;
        let logged = file::logged_at(&certified, keyless::promised_body(&attestation.bundle));
        Ok(SignedAttestation { stated, certified, logged })
    }
}

/// What was said of a file.
#[derive(Clone, Debug, PartialEq)]
struct Stated {
    digest: FileDigest,
    names: Vec<String>,
    predicate_type: String,
    predicate: Value,
}

/// An attestation by a certificate which holds. Whether that is anyone who was asked for,
/// [`Self::by`] says.
#[derive(Clone, Debug)]
pub struct SignedAttestation {
    stated: Stated,
    certified: Certified,
    logged: Option<LoggedAt>,
}

impl SignedAttestation {
    /// Returns the signer's certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certified.certificate
    }

    /// Checks that it is of this identity.
    ///
    /// # Errors
    /// `identity`: it is someone else's.
    pub fn by(self, identity: &Identity) -> Result<AttestedFile, Failure> {
        file::check_identity(&self.certified.certificate, identity)?;
        let Certified { certificate, times, .. } = self.certified;
        let by = Proven::Certificate(Box::new(certificate), vec![None]);
        Ok(AttestedFile { stated: self.stated, by, times, logged: self.logged })
    }
}

/// Proof: someone who was asked for attests something of a file with this digest. That is no
/// signature of the file. Only the checker makes one.
///
/// There is no way to write one down: `tests/forged/attested_file.rs` compiles beside this type,
/// and a doctest holds that the same text does not compile outside.
///
/// ```
/// fn itself(attested: luet_cosign::trust::AttestedFile) -> luet_cosign::trust::AttestedFile {
///     attested.into()
/// }
/// ```
///
/// ```compile_fail
/// // Nor to take it for a signature:
/// fn taken(attested: luet_cosign::trust::AttestedFile) -> luet_cosign::trust::VerifiedFile {
///     attested.into()
/// }
/// ```
#[cfg_attr(
    doctest,
    doc = concat!("```compile_fail\n", include_str!("../../tests/forged/attested_file.rs"), "```")
)]
#[derive(Clone, Debug)]
pub struct AttestedFile {
    stated: Stated,
    by: Proven,
    times: Vec<Timestamp>,
    logged: Option<LoggedAt>,
}

impl AttestedFile {
    /// Returns the digest by which the file is a subject.
    #[must_use]
    pub fn digest(&self) -> &FileDigest {
        &self.stated.digest
    }

    /// Returns what the signer calls the file: none, or several names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.stated.names
    }

    /// Returns the URI of what kind of thing is said.
    #[must_use]
    pub fn predicate_type(&self) -> &str {
        &self.stated.predicate_type
    }

    /// Returns what is said.
    #[must_use]
    pub fn predicate(&self) -> &Value {
        &self.stated.predicate
    }

    /// Returns the certificate, of a keyless attestation.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.by.certificate()
    }

    /// Returns the fingerprint of the key, where one signed.
    #[must_use]
    pub fn key(&self) -> Option<&crate::name::Digest> {
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
    include!("../../tests/forged/attested_file.rs");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_a_name_of_cosign_s_a_uri_or_any() {
        let parse = |text: &str| text.parse::<PredicateType>().map_err(|failure| failure.class());
        let uri = |text: &str| Ok(PredicateType::Uri(text.to_owned()));
        assert_eq!(parse("any"), Ok(PredicateType::Any));
        assert_eq!(parse("slsaprovenance"), uri("https://slsa.dev/provenance/v0.2"));
        assert_eq!(parse("slsaprovenance1"), uri("https://slsa.dev/provenance/v1"));
        assert_eq!(parse("spdx"), parse("spdxjson"));
        assert_eq!(parse("https://example.com/x?y#z"), uri("https://example.com/x?y#z"));
        assert_eq!(parse("urn:x"), uri("urn:x"));
        for text in ["", "Any", "provenance", "/x", "https:", ":x", "https://x y", "1:x"] {
            assert_eq!(parse(text), Err(Class::Usage), "{text}");
        }
        assert_eq!(parse(wire::SIGN_PREDICATE), Err(Class::Usage), "the type of a signature");
        for name in PredicateType::names() {
            assert!(parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn advice_repeats_only_what_a_shell_takes_for_a_word() {
        assert_eq!(typed("https://slsa.dev/provenance/v0.2"), "slsaprovenance02");
        assert_eq!(typed("https://spdx.dev/Document"), "spdxjson");
        assert_eq!(
            typed("https://docs.pypi.org/attestations/publish/v1"),
            "https://docs.pypi.org/attestations/publish/v1"
        );
        for uri in ["https://x/$(reboot)", "https://x;reboot", "", "any thing", "-x"] {
            assert_eq!(typed(uri), "URI", "{uri}");
        }
    }
}
