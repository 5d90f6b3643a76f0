//! What a certificate of a certificate authority for signing (Fulcio) says: who signed, and where
//! that was built.
//!
//! Read only here, and only from certificates that were verified, or to name a stranger. Sources:
//! fulcio `docs/oid-info.md`, `docs/certificate-specification.md`; RFC 5280 section 4.2.1.6. The
//! crate reads the first name only and no `otherName`; a
//! certificate with two names would let one of them be checked and the other be shown.

use super::signer_id::{SignerId, SourceRepository};
use crate::class::{Class, Failure};
use std::collections::BTreeMap;
use std::fmt;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{GeneralName, OtherName};

/// Under it lie Fulcio's extensions.
const FULCIO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");
/// The `otherName` for user names.
const USERNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

/// Fulcio's extensions that are asked for, by their last number.
pub(super) mod claim {
    pub(crate) const ISSUER: u32 = 1;
    pub(crate) const GITHUB_TRIGGER: u32 = 2;
    pub(crate) const GITHUB_SHA: u32 = 3;
    pub(crate) const GITHUB_NAME: u32 = 4;
    pub(crate) const GITHUB_REPOSITORY: u32 = 5;
    pub(crate) const GITHUB_REF: u32 = 6;
    pub(crate) const ISSUER_V2: u32 = 8;
    pub(crate) const SOURCE_URI: u32 = 12;
    pub(crate) const SOURCE_REF: u32 = 14;
    pub(crate) const SOURCE_ID: u32 = 15;
    pub(crate) const SOURCE_OWNER_URI: u32 = 16;
    pub(crate) const SOURCE_OWNER_ID: u32 = 17;
    pub(crate) const TOKEN_SUBJECT: u32 = 24;
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectName {
    /// An e-mail address.
    Email(String),
    /// A URI: a workload.
    Uri(String),
    /// A user name.
    Username(String),
}

impl SubjectName {
    /// Returns the name, of whatever kind.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(name) | Self::Uri(name) | Self::Username(name) => name,
        }
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a certificate says of its owner. By itself it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    subject: SubjectName,
    issuer: String,
    claims: BTreeMap<u32, String>,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// `malformed`: no certificate, or an extension of Fulcio's that is broken or there twice.
    /// `identity`: it has no name, several, no issuer, or two that are not the same: it does not
    /// say who signed.
    pub fn parse(der: &[u8]) -> Result<Self, Failure> {
        let certificate = x509_cert::Certificate::from_der(der)
            .map_err(|error| malformed(format!("no certificate: {error}")))?;
        let tbs = &certificate.tbs_certificate;
        let mut claims = BTreeMap::new();
        for extension in tbs.extensions.iter().flatten() {
            let Some(number) = fulcio_number(&extension.extn_id) else { continue };
            let Some(text) = read_claim(number, extension.extn_value.as_bytes())? else { continue };
            if claims.insert(number, text).is_some() {
                return Err(malformed(format!(
                    "a certificate with the extension {} twice",
                    extension.extn_id
                )));
            }
        }
        Ok(Self { subject: subject(tbs)?, issuer: issuer(&claims)?, claims })
    }

    /// Returns what a certificate is going to say that was not issued yet, as the token for it
    /// says: for [`super::Prospect`]. `claims` are Fulcio's extensions, by their last numbers.
    #[must_use]
    pub fn expected(
        subject: SubjectName,
        issuer: String,
        claims: impl IntoIterator<Item = (u32, String)>,
    ) -> Self {
        Self { subject, issuer, claims: claims.into_iter().collect() }
    }

    /// Returns who signed.
    #[must_use]
    pub fn subject(&self) -> &SubjectName {
        &self.subject
    }

    /// Returns who vouched for the subject: the URL of an OpenID Connect issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns an extension of Fulcio's, `1.3.6.1.4.1.57264.1.NUMBER`.
    #[must_use]
    pub fn claim(&self, number: u32) -> Option<&str> {
        self.claims.get(&number).map(String::as_str)
    }

    /// Returns every extension of Fulcio's that is there, by its number.
    pub fn claims(&self) -> impl Iterator<Item = (u32, &str)> {
        self.claims.iter().map(|(number, text)| (*number, text.as_str()))
    }

    /// Returns the signer's name without what changes from one run of a workflow to the next: a
    /// workflow's URI without `@ref`. What is behind another `@` is part of a name:
    /// `https://social.example/@alice`.
    #[must_use]
    pub fn lasting_name(&self) -> &str {
        match &self.subject {
            SubjectName::Uri(uri) => split_ref(uri).map_or(uri, |(workflow, _)| workflow),
            SubjectName::Email(name) | SubjectName::Username(name) => name,
        }
    }

    /// Returns the repository that a workflow ran for, as far as it is said.
    #[must_use]
    pub fn source(&self) -> SourceRepository {
        let said =
            |number| self.claim(number).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let github = || {
            said(claim::GITHUB_REPOSITORY)
                .map(|repository| format!("https://github.com/{repository}"))
        };
        SourceRepository {
            uri: said(claim::SOURCE_URI).or_else(github),
            repository: said(claim::SOURCE_ID),
            owner: said(claim::SOURCE_OWNER_ID),
        }
    }

    /// Returns what stands for the signer where signers are counted and remembered.
    #[must_use]
    pub fn signer_id(&self) -> SignerId {
        SignerId::of_certificate(&self.issuer, self.lasting_name(), self.source())
    }

    /// Returns who signed, for people: what does not change from one run to the next.
    #[must_use]
    pub fn lasting_description(&self) -> String {
        let (name, issuer) = (self.lasting_name(), &self.issuer);
        // A reusable workflow has one name for everybody who calls it.
        match self.source().uri {
            Some(uri) if !name.starts_with(&format!("{uri}/")) => {
                format!("{name} (issuer {issuer}, run for {uri})")
            }
            _ => format!("{name} (issuer {issuer})"),
        }
    }
}

/// Splits the URI of a workflow at the `@` in front of the ref or the commit that it ran from. The
/// first `@refs/` it is: a branch may have that in its name, a file in a directory of GitHub's cannot.
pub(super) fn split_ref(uri: &str) -> Option<(&str, &str)> {
    let commit = |text: &str| {
        matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let at = uri.find("@refs/");
    let (workflow, reference) = uri.split_at(at.or_else(|| uri.rfind('@'))?);
    let reference = reference.strip_prefix('@')?;
    (at.is_some() || commit(reference)).then_some((workflow, reference))
}

fn malformed(why: impl fmt::Display) -> Failure {
    Failure::new(Class::Malformed, why)
}

fn identity(why: impl fmt::Display) -> Failure {
    Failure::new(Class::Identity, format!("a certificate {why}, so it does not say who signed"))
}

/// Returns the last number of one of Fulcio's extensions.
fn fulcio_number(oid: &ObjectIdentifier) -> Option<u32> {
    if oid.parent()? == FULCIO { oid.arcs().last() } else { None }
}

/// Reads the value of one of Fulcio's extensions: up to 6 the bare text, from 8 on a DER
/// `UTF8String`. Others are not known.
fn read_claim(number: u32, value: &[u8]) -> Result<Option<String>, Failure> {
    let broken = |why: &dyn fmt::Display| {
        malformed(format!("a certificate whose extension {FULCIO}.{number} is {why}"))
    };
    match number {
        1..=6 => {
            let text = std::str::from_utf8(value).map_err(|_| broken(&"not UTF-8"))?;
            Ok(Some(text.to_owned()))
        }
        8..=24 => {
            let text = Utf8StringRef::from_der(value).map_err(|error| broken(&error))?;
            Ok(Some(text.as_str().to_owned()))
        }
        _ => Ok(None),
    }
}

/// Returns the one name. Fulcio gives one; with several it would be open which of them was checked.
fn subject(tbs: &x509_cert::TbsCertificate) -> Result<SubjectName, Failure> {
    let names = tbs
        .get::<SubjectAltName>()
        .map_err(|error| malformed(format!("a certificate with broken names: {error}")))?;
    let mut found = Vec::new();
    for name in names.map(|(_, names)| names.0).unwrap_or_default() {
        match name {
            GeneralName::Rfc822Name(email) => found.push(SubjectName::Email(email.to_string())),
            GeneralName::UniformResourceIdentifier(uri) => {
                found.push(SubjectName::Uri(uri.to_string()))
            }
            GeneralName::OtherName(OtherName { type_id: USERNAME, value }) => {
                let text = value.decode_as::<Utf8StringRef<'_>>();
                let text = text.map_err(|error| {
                    malformed(format!("a certificate with a broken user name: {error}"))
                })?;
                found.push(SubjectName::Username(text.as_str().to_owned()));
            }
            _ => return Err(identity("names its owner in a way that is not known")),
        }
    }
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(identity("has no name")),
        (Some(name), _)
            if name.as_str().is_empty() || name.as_str().chars().any(char::is_control) =>
        {
            Err(identity("has an invalid name"))
        }
        (Some(name), true) => Ok(name),
        (Some(_), false) => Err(identity("has several names")),
    }
}

fn issuer(claims: &BTreeMap<u32, String>) -> Result<String, Failure> {
    match (claims.get(&claim::ISSUER), claims.get(&claim::ISSUER_V2)) {
        (Some(old), Some(new)) if old != new => {
            Err(identity(format!("has the issuers `{old}` and `{new}`")))
        }
        (_, Some(issuer)) | (Some(issuer), None) if !issuer.is_empty() => Ok(issuer.clone()),
        _ => Err(identity("has no issuer")),
    }
}
