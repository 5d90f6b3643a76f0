//! Whether a certificate is one of an authority's: its chain at a time (RFC 5280), and the promise
//! of a log of certificates that it is public (RFC 6962 section 3).
//!
//! The same checks as in sigstore-verify, of which nobody can call these alone: for certificates of
//! keys that it does not know or whose log entries it cannot read (`evidence`).

use super::keyless::{self, Rejected, judge};
use super::root::malformed;
use crate::class::Failure;
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sigstore::crypto::{Keyring, SigningScheme, WEBPKI_VERIFICATION_ALGS, sha256};
use sigstore::types::{Sha256Hash, SignatureBytes, TimeRange};
use sigstore::{CertificateError, Error};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::der::asn1::Any;
use x509_cert::der::oid::db::{rfc5280::ID_KP_CODE_SIGNING, rfc6962::CT_PRECERT_SCTS};
use x509_cert::der::{Encode as _, Tag};
use x509_cert::ext::pkix::SignedCertificateTimestampList;
use x509_cert::ext::pkix::sct::{HashAlgorithm, SignatureAlgorithm};

/// The certificate of a signer, and those that came with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain<'a> {
    /// The signer's, DER.
    pub(super) leaf: &'a [u8],
    /// Of authorities above it, DER. Nobody trusts them by themselves.
    pub(super) above: &'a [&'a [u8]],
}

/// Checks that the certificate was one for signing code at each of these times, of an authority
/// that counted then. Returns the key of who issued it: an SPKI, DER.
///
/// # Errors
/// `identity`: no authority that is known issued it for that. `time`: it, or its authority, did not
/// count at one of the times.
pub(super) fn check_issued(
    root: &sigstore::trust_root::TrustedRoot,
    chain: Chain<'_>,
    times: &[Timestamp],
) -> Result<Vec<u8>, Rejected> {
    let above: Vec<CertificateDer<'_>> =
        chain.above.iter().map(|der| CertificateDer::from(*der)).collect();
    let leaf = CertificateDer::from(chain.leaf);
    let end_entity = EndEntityCert::try_from(&leaf)
        .map_err(|error| malformed(format!("a certificate that cannot be read: {error}")))?;
    let mut issuer = None;
    for &time in times {
        // Only who counted then ends a chain.
        let anchors = anchors(root, time)?;
        if anchors.is_empty() {
            return Err(judge(CertificateError::NoValidAuthority { time }.into()));
        }
        let seconds = u64::try_from(time.as_second())
            .map_err(|_| malformed("a time before there were certificates"))?;
        let path = end_entity
            .verify_for_usage(
                WEBPKI_VERIFICATION_ALGS,
                &anchors,
                &above,
                UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                KeyUsage::required(ID_KP_CODE_SIGNING.as_bytes()),
                None,
                None,
            )
            .map_err(|error| judge(CertificateError::ChainInvalid(error.to_string()).into()))?;
        let own = match path.intermediate_certificates().next() {
            Some(above) => above.subject_public_key_info().as_ref().to_vec(),
            // Of an anchor only what stands inside of the sequence is kept.
            None => Any::new(Tag::Sequence, path.anchor().subject_public_key_info.as_ref())
                .and_then(|spki| spki.to_der())
                .map_err(malformed)?,
        };
        check_window(chain.leaf, time)?;
        issuer = Some(own);
    }
    // Without a time nothing was checked.
    issuer.ok_or_else(|| judge(untimed()))
}

/// The failure for a signature of which nothing says when it was made.
pub(super) fn untimed() -> Error {
    sigstore::TimestampError::NoVerifiedTimestamp(
        "neither a log nor a timestamp authority says when the signature was made".to_owned(),
    )
    .into()
}

fn anchors(
    root: &sigstore::trust_root::TrustedRoot,
    time: Timestamp,
) -> Result<Vec<TrustAnchor<'static>>, Failure> {
    let counted = |window: &Option<TimeRange>| window.is_none_or(|window| window.contains(time));
    let certificates = root
        .certificate_authorities
        .iter()
        .filter(|authority| counted(&authority.valid_for))
        .flat_map(|authority| &authority.cert_chain.certificates);
    let anchor = |der: &[u8]| {
        webpki::anchor_from_trusted_cert(&CertificateDer::from(der))
            .map(|anchor| anchor.to_owned())
            .map_err(malformed)
    };
    certificates.map(|certificate| anchor(certificate.raw_bytes.as_bytes())).collect()
}

/// Checks that a certificate is good at a time, both ends included.
pub(super) fn check_window(certificate: &[u8], time: Timestamp) -> Result<(), Rejected> {
    let validity = keyless::x509(certificate)?.tbs_certificate.validity;
    let at =
        |time: x509_cert::time::Time| Timestamp::try_from(time.to_system_time()).map_err(malformed);
    let (not_before, not_after) = (at(validity.not_before)?, at(validity.not_after)?);
    if time < not_before {
        return Err(judge(CertificateError::NotYetValid { time, not_before }.into()));
    }
    if time > not_after {
        return Err(judge(CertificateError::Expired { time, not_after }.into()));
    }
    Ok(())
}

/// Checks that a log of certificates that is known promised, while its key counted, to have the
/// certificate that `issuer` (an SPKI) made.
///
/// # Errors
/// `tlog`: it did not.
pub(super) fn check_logged(
    root: &sigstore::trust_root::TrustedRoot,
    leaf: &[u8],
    issuer: &[u8],
) -> Result<(), Rejected> {
    let wrong = |why: &dyn std::fmt::Display| judge(CertificateError::Sct(why.to_string()).into());
    let certificate = keyless::x509(leaf)?;
    // (1) One promise, in the certificate itself.
    let Ok(Some((_, list))) = certificate.tbs_certificate.get::<SignedCertificateTimestampList>()
    else {
        return Err(wrong(&"certificate is missing SCT extension"));
    };
    let promises = list.parse_timestamps().map_err(|error| wrong(&format!("{error:?}")))?;
    let [promise] = promises.as_slice() else {
        return Err(wrong(&format!("{} SCTs in the certificate; expected one", promises.len())));
    };
    let promise = promise.parse_timestamp().map_err(|error| wrong(&format!("{error:?}")))?;
    // (2) By a scheme that such logs have.
    let algorithm = &promise.signature.algorithm;
    let scheme = match (&algorithm.hash, &algorithm.signature) {
        (HashAlgorithm::Sha256, SignatureAlgorithm::Ecdsa) => SigningScheme::EcdsaP256Sha256,
        (HashAlgorithm::Sha384, SignatureAlgorithm::Ecdsa) => SigningScheme::EcdsaP384Sha384,
        (HashAlgorithm::Sha256, SignatureAlgorithm::Rsa) => SigningScheme::RsaPkcs1Sha256,
        (HashAlgorithm::Sha384, SignatureAlgorithm::Rsa) => SigningScheme::RsaPkcs1Sha384,
        (HashAlgorithm::Sha512, SignatureAlgorithm::Rsa) => SigningScheme::RsaPkcs1Sha512,
        _ => return Err(wrong(&"an SCT by an algorithm that is not known")),
    };
    let keys: Keyring = root.ctfe_keys(scheme).map_err(|error| judge(error.into()))?;
    // (3) What was promised: the certificate without the promise, and who issued it.
    let mut body = certificate.tbs_certificate;
    body.extensions = body.extensions.map(|extensions| {
        extensions.into_iter().filter(|extension| extension.extn_id != CT_PRECERT_SCTS).collect()
    });
    let body = body.to_der().map_err(|error| wrong(&error))?;
    let extensions = promise.extensions.as_slice();
    let signed = [
        // v1, certificate_timestamp
        &[0, 0][..],
        &promise.timestamp.to_be_bytes(),
        // precert_entry
        &[0, 1],
        sha256(issuer).as_bytes(),
        &length::<3>(&body).ok_or_else(|| wrong(&"a certificate that is too long"))?,
        &body,
        &length::<2>(extensions).ok_or_else(|| wrong(&"an SCT that is too long"))?,
        extensions,
    ]
    .concat();
    // (4) By a log whose key counted at the time that it says.
    let at = i64::try_from(promise.timestamp)
        .ok()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .ok_or_else(|| wrong(&"an SCT with a time that cannot be"))?;
    let signature = SignatureBytes::new(promise.signature.signature.as_slice().to_vec());
    let log = Sha256Hash::from(promise.log_id.key_id);
    keys.verify_with_key_id_at(&log, at, &signed, &signature).map_err(|error| wrong(&error))
}

/// Returns a length as TLS writes it (RFC 8446 section 3.4), in so many bytes.
fn length<const BYTES: usize>(bytes: &[u8]) -> Option<[u8; BYTES]> {
    let all = u64::try_from(bytes.len()).ok()?.to_be_bytes();
    let (high, low) = all.split_last_chunk::<BYTES>()?;
    high.iter().all(|byte| *byte == 0).then_some(*low)
}
