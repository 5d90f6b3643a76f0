//! Whose a timestamp is (RFC 3161), as far as it says so itself.
//!
//! A timestamp of an authority that the trusted root knows must hold. One of an authority that it
//! does not know can be checked by nobody here, so it counts as nothing: no time is taken from it,
//! and it speaks against nothing. Who signed is in a part of the token that is not signed
//! (RFC 5652 5.3, `sid`), so anyone can call a known authority's bad timestamp a stranger's. That
//! gains what taking the timestamp away gains, which anyone can do as well: nothing, for what is
//! left must prove the time by itself.

use crate::class::printable;
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier};
use x509_cert::Certificate;
use x509_cert::der::asn1::{Any, OctetString, Uint};
use x509_cert::der::{Decode as _, Encode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::SubjectKeyIdentifier;

/// The certificates by which the timestamp authorities of a trusted root sign.
#[derive(Debug, Default)]
pub(super) struct Stampers(Vec<Certificate>);

impl Stampers {
    /// Takes the certificates, in DER.
    ///
    /// # Errors
    /// Why one cannot be read.
    pub(super) fn new<'a>(leaves: impl Iterator<Item = &'a [u8]>) -> Result<Self, String> {
        let read = |der| Certificate::from_der(der).map_err(|error| error.to_string());
        leaves.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the name that the authority of a timestamp gives itself, where it is none of these;
    /// `None` where it is one of these, or where the timestamp cannot be read and so is not
    /// anyone's.
    pub(super) fn stranger(&self, timestamp: &[u8]) -> Option<String> {
        let signed = read(timestamp)?;
        let signers = signed.signer_infos.0.as_slice();
        let known = |id: &SignerIdentifier| self.0.iter().any(|leaf| is_of(id, leaf));
        // One that names several, and one that is known among them, has to hold.
        match signers.first() {
            Some(first) if !signers.iter().any(|signer| known(&signer.sid)) => {
                Some(printable(&name(&first.sid, &signed)))
            }
            _ => None,
        }
    }
}

/// Whether a timestamp repeats this nonce, so that it is no older answer (RFC 3161 section 2.4.2).
pub(super) fn repeats(timestamp: &[u8], nonce: &[u8]) -> bool {
    let found = || {
        let content = read(timestamp)?.encap_content_info.econtent?;
        let info = content.decode_as::<OctetString>().ok()?;
        let parts = Vec::<Any>::from_der(info.as_bytes()).ok()?;
        // What is behind the time, and is a number, is the nonce.
        parts.into_iter().skip(5).find(|part| part.tag() == Tag::Integer)?.decode_as::<Uint>().ok()
    };
    let expected = Uint::new(nonce).ok();
    expected.is_some() && found() == expected
}

/// Returns how many signed a timestamp, where it can be read.
pub(super) fn signers(timestamp: &[u8]) -> Option<usize> {
    read(timestamp).map(|signed| signed.signer_infos.0.len())
}

/// Reads a `TimeStampResp`, or the token in it alone: what the checker of timestamps reads.
fn read(timestamp: &[u8]) -> Option<SignedData> {
    let parts = Vec::<Any>::from_der(timestamp).ok()?;
    let token = match parts.as_slice() {
        [status, token] if status.tag() == Tag::Sequence => token.to_der().ok()?,
        _ => timestamp.to_vec(),
    };
    ContentInfo::from_der(&token).ok()?.content.decode_as().ok()
}

fn is_of(id: &SignerIdentifier, certificate: &Certificate) -> bool {
    let body = &certificate.tbs_certificate;
    match id {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            id.issuer == body.issuer && id.serial_number == body.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => {
            matches!(body.get::<SubjectKeyIdentifier>(), Ok(Some((_, own))) if own == *id)
        }
    }
}

/// The subject of the certificate that the token brings along, else what the token has to say.
fn name(id: &SignerIdentifier, signed: &SignedData) -> String {
    let brought = signed.certificates.iter().flat_map(|set| set.0.iter());
    let mut own = brought.filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) if is_of(id, certificate) => {
            Some(certificate.tbs_certificate.subject.to_string())
        }
        _ => None,
    });
    own.next().unwrap_or_else(|| match id {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            format!("certificate {} of {}", id.serial_number, id.issuer)
        }
        SignerIdentifier::SubjectKeyIdentifier(_) => "a key without a name".to_owned(),
    })
}
