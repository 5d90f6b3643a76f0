//! A certificate that Fulcio just made, held against what was asked for, before anything is signed by
//! it: for our key, of an authority that the trusted root knows, logged, and for whom the token names.
//!
//! What is signed by it later is checked again, with the time that a log or timestamp authority says;
//! the certificate's own beginning stands in for that here, for the clock of this machine counts
//! nothing.

use super::certificate::{Certificate, SubjectName, claim};
use super::chain::{self, Chain};
use super::file::key_of;
use super::key::PublicKey;
use super::keyless::{CertificateLog, Rejected, x509};
use super::root::{TrustedRoot, malformed};
use crate::class::{Class, Failure};
use jiff::Timestamp;
use std::time::Duration;

/// Whom a certificate has to be for.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedCertificate<'a> {
    /// The key.
    pub key: &'a PublicKey,
    /// The name, where it follows from the token.
    pub name: Option<&'a str>,
    /// Other names that it may have where it does not.
    pub names: &'a [&'a str],
    /// Who vouches for it.
    pub issuer: &'a str,
    /// The token's subject, which newer certificates repeat.
    pub subject: &'a str,
}

/// A certificate that was held against what was asked for.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    /// What it says.
    pub certificate: Certificate,
    /// For how long it counts.
    pub lifetime: Duration,
}

impl TrustedRoot {
    /// Checks a certificate that was just made: `above` came with it.
    ///
    /// # Errors
    /// `identity`: for another key or someone else, or by an authority that is not known. `tlog`: no
    /// log that is known promised to make it public. `time`: its authority does not count.
    /// `malformed`: it cannot be read.
    pub fn check_issued(
        &self,
        leaf: &[u8],
        above: &[Vec<u8>],
        asked: &ExpectedCertificate<'_>,
        log: CertificateLog,
    ) -> Result<IssuedCertificate, Rejected> {
        // (1) For our key: or the holder of the other one could sign as us.
        if key_of(leaf)?.fingerprint() != asked.key.fingerprint() {
            return Err(identity("it is for another key than the one that was asked for").into());
        }
        // (2) For whom the token names. Before anything else, for what it says is what is told.
        let certificate = Certificate::parse(leaf)?;
        check_names(&certificate, asked)?;
        // (3) By an authority that is known, while that counts, and made public.
        let validity = x509(leaf)?.tbs_certificate.validity;
        let at = |time: x509_cert::time::Time| {
            Timestamp::try_from(time.to_system_time()).map_err(malformed)
        };
        let (begin, end) = (at(validity.not_before)?, at(validity.not_after)?);
        let above: Vec<&[u8]> = above.iter().map(Vec::as_slice).collect();
        let issuer = chain::check_issued(self.document(), Chain { leaf, above: &above }, &[begin])?;
        if log == CertificateLog::Required {
            chain::check_logged(self.document(), leaf, &issuer)?;
        }
        let lifetime = Duration::try_from(end.duration_since(begin)).unwrap_or_default();
        Ok(IssuedCertificate { certificate, lifetime })
    }
}

fn check_names(certificate: &Certificate, asked: &ExpectedCertificate<'_>) -> Result<(), Failure> {
    let (found, issuer) = (certificate.subject(), certificate.issuer());
    if issuer != asked.issuer {
        return Err(identity(format!(
            "its issuer is `{issuer}`; expected `{}`, which made the token",
            asked.issuer
        )));
    }
    let subject = certificate.claim(claim::TOKEN_SUBJECT);
    if let Some(subject) = subject.filter(|subject| *subject != asked.subject) {
        return Err(identity(format!(
            "it is for the subject `{subject}`; expected `{}`, which is the token's",
            asked.subject
        )));
    }
    let fits = match asked.name {
        Some(name) => found.as_str() == name,
        // How this authority names people is its own affair: what it repeats of the token says whose
        // it is, and where it repeats nothing the name has to be one that the token has.
        None => {
            subject.is_some()
                || asked.names.contains(&found.as_str())
                || matches!(found, SubjectName::Username(name) if is_user(name, asked.subject))
        }
    };
    if fits {
        return Ok(());
    }
    let expected = asked.name.map_or_else(|| asked.names.join("`, or `"), ToOwned::to_owned);
    Err(identity(format!("it is for `{found}`; expected `{expected}`, which the token names")))
}

/// Fulcio's names of users: `USER!DOMAIN`.
fn is_user(name: &str, subject: &str) -> bool {
    name.split_once('!').is_some_and(|(user, _)| user == subject)
}

fn identity(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Identity, format!("the certificate that was made is not ours: {why}"))
}
