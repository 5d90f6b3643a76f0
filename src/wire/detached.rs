//! The signature of a file, as it is beside the file: `.sig` and `.pem` or `.cert`, or the bundle
//! of cosign 1 and 2.
//!
//! Sources: cosign `cmd/cosign/cli/verify/verify_blob.go`,
//! `pkg/cosign/fetch.go` (`LocalSignedPayload`). Of each there are several spellings, for cosign
//! wrote several: what one of its versions wrote is read, and nothing else.

use super::attestations::read_attestations;
use super::evidence::{LogEntry, read_certificates};
use super::rekor::LoggedEntry;
use super::{Bundle, BundleSource, Content, FileKind, json};
use crate::class::{Class, Failure};
use crate::limits;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::Value;

/// The signature of a file with what comes with it. Nothing of it is trusted yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    /// The raw signature.
    pub signature: Vec<u8>,
    /// Certificates, DER: the signer's, then authorities above it. None where a key signed.
    pub certificates: Vec<Vec<u8>>,
    /// The entry of a log.
    pub entry: Option<LoggedEntry>,
    /// A `TimeStampResp`, DER.
    pub timestamp: Option<Vec<u8>>,
}

/// What can be beside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSignature {
    /// Signature and certificate by themselves, or the bundle of cosign 1 and 2.
    Detached(Detached),
    /// A Sigstore bundle.
    Bundle(Bundle),
}

impl FileSignature {
    /// Returns the raw signature over the file itself; `None` for an envelope, whose signature is
    /// over a statement.
    #[must_use]
    pub fn raw(&self) -> Option<&[u8]> {
        match self {
            Self::Detached(detached) => Some(&detached.signature),
            Self::Bundle(bundle) => match &bundle.content {
                Content::Message { signature } => Some(signature),
                Content::Envelope(_) => None,
            },
        }
    }
}

/// Reads a document that the user named as a bundle.
///
/// # Errors
/// As [`Detached::parse`] and [`Bundle::parse`].
pub fn read_bundle(bytes: &[u8]) -> Result<FileSignature, Failure> {
    if u64::try_from(bytes.len()).map_or(true, |length| length > limits::BUNDLE_BYTES) {
        return Err(Failure::new(
            Class::Limit,
            format!("a bundle of {} bytes; at most {} are read", bytes.len(), limits::BUNDLE_BYTES),
        ));
    }
    if json::parse(bytes).is_ok_and(|document| is_old_bundle(&document)) {
        let detached = Detached::parse(bytes)?;
        return match detached.attestation() {
            Some(bundle) => bundle.map(FileSignature::Bundle),
            None => Ok(FileSignature::Detached(detached)),
        };
    }
    Bundle::parse(bytes, BundleSource::File).map(FileSignature::Bundle).map_err(|failure| {
        if holds_attestations(bytes) {
            attested()
        } else {
            FileKind::instead(bytes, &FileKind::Bundle.to_string(), failure)
        }
    })
}

/// Whether a document that is not a bundle is a list of attestations, or one in another form.
fn holds_attestations(bytes: &[u8]) -> bool {
    read_attestations(bytes).is_ok_and(|found| found.bundles.iter().any(Result::is_ok))
}

fn attested() -> Failure {
    Failure::new(Class::Identity, "attestations, which sign nothing").hint(
        "verify what they say with `luet-cosign verify-blob-attestation`, or take the bundle with \
         the file's signature",
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OldBundle {
    base64_signature: String,
    #[serde(default)]
    cert: Option<String>,
    #[serde(default)]
    rekor_bundle: Option<Value>,
}

impl Detached {
    /// Parses the file of `sign-blob --bundle` in cosign 1 and 2. A public key in the place of the
    /// certificate is passed over: it is the signer's word.
    ///
    /// # Errors
    /// `malformed`: another shape. `limit`: longer than [`limits::BUNDLE_BYTES`], or too many
    /// certificates.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let what = "the bundle of cosign 1 and 2";
        let bundle: OldBundle = json::parse_as(bytes).map_err(|failure| failure.within(what))?;
        let signature = BASE64_STANDARD
            .decode(&bundle.base64_signature)
            .ok()
            .filter(|signature| !signature.is_empty());
        let signature = signature.ok_or_else(|| {
            malformed(format!("{what} has a `base64Signature` that is not base64"))
        })?;
        let certificates = match bundle.cert.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => read_verifier(text.as_bytes())?,
            None => Vec::new(),
        };
        let entry = match bundle.rekor_bundle {
            None | Some(Value::Null) => None,
            Some(entry) => {
                Some(LoggedEntry { entry: LogEntry::parse(&entry.to_string())?, proof: None })
            }
        };
        Ok(Self { signature, certificates, entry, timestamp: None })
    }
}

/// Whether a document is the bundle of cosign 1 and 2, not one of Sigstore's: those have a media
/// type.
pub(super) fn is_old_bundle(document: &Value) -> bool {
    document.get("base64Signature").is_some() && document.get("mediaType").is_none()
}

/// Returns the raw signature in a file or an argument: base64, with lines or an end of line as
/// tools add them, or the bytes themselves.
///
/// # Errors
/// `malformed`: nothing.
pub fn read_signature(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let signature = decode(bytes).unwrap_or_else(|| bytes.to_vec());
    if signature.is_empty() { Err(malformed("an empty signature")) } else { Ok(signature) }
}

/// Returns the certificates in a file: PEM, or base64 of PEM as cosign writes it by default. The
/// first is the signer's.
///
/// # Errors
/// `malformed`: neither. `limit`: more than [`limits::CHAIN`].
pub fn read_certificate_file(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    let certificates = read_verifier(bytes)
        .map_err(|failure| FileKind::instead(bytes, &FileKind::Certificate.to_string(), failure))?;
    if certificates.is_empty() {
        Err(malformed("a public key where a certificate is expected").hint("use --key for it"))
    } else {
        Ok(certificates)
    }
}

/// Reads what cosign calls `cert`: PEM, base64 of it, or base64 of DER. Empty for a public key.
fn read_verifier(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    let plain = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).ok().filter(|text| text.contains("-----BEGIN "))
    };
    let text = match (plain(bytes), decode(bytes)) {
        (Some(text), _) => text,
        (None, Some(inner)) => match plain(&inner) {
            Some(text) => text,
            // `sign --bundle` of cosign 2 leaves out the PEM.
            None if inner.first() == Some(&0x30) && !is_signature(&inner) => {
                return Ok(vec![inner]);
            }
            None => return Err(malformed("a certificate that is neither PEM nor base64 of it")),
        },
        (None, None) => {
            return Err(malformed("a certificate that is neither PEM nor base64 of it"));
        }
    };
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        return Ok(Vec::new());
    }
    read_certificates(&text)
}

/// Whether DER is a signature of ECDSA, a sequence that begins with a number (RFC 3279 section
/// 2.2.3): a certificate begins with another sequence.
fn is_signature(der: &[u8]) -> bool {
    match der {
        [0x30, 0x81, _, 2, ..] => true,
        [0x30, length, 2, ..] => *length < 0x80,
        _ => false,
    }
}

/// Standard base64 with padding; ends of lines do not count, and nothing else is passed over.
fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let bare: Vec<u8> =
        bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    BASE64_STANDARD.decode(bare).ok()
}

fn malformed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Malformed, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pem_of(tag: &str) -> String {
        pem::encode(&pem::Pem::new(tag, vec![0x30, 0]))
    }

    #[test]
    fn a_signature_is_base64_or_the_bytes_themselves() {
        for (text, expected) in [
            ("AQID", &b"\x01\x02\x03"[..]),
            ("AQID\n", b"\x01\x02\x03"),
            ("AQ\r\nID\r\n", b"\x01\x02\x03"),
            ("AQI", b"AQI"),
            ("AQID ", b"AQID "),
            ("_-8=", b"_-8="),
        ] {
            assert_eq!(read_signature(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
        assert!(read_signature(b"\n").is_err());
    }

    #[test]
    fn a_certificate_is_pem_or_base64_of_it() {
        let pem = pem_of("CERTIFICATE");
        let encoded = BASE64_STANDARD.encode(&pem);
        for text in [
            pem.clone(),
            encoded.clone(),
            format!("{encoded}\n"),
            BASE64_STANDARD.encode([0x30, 0]),
        ] {
            assert_eq!(read_certificate_file(text.as_bytes()).unwrap(), [vec![0x30, 0]], "{text}");
        }
        for text in
            [pem_of("PUBLIC KEY"), "x".to_owned(), BASE64_STANDARD.encode("x"), String::new()]
        {
            assert_eq!(
                read_certificate_file(text.as_bytes()).map_err(|failure| failure.class()),
                Err(Class::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn a_bundle_is_read_up_to_its_limit_and_as_what_it_says_that_it_is() {
        let class = |value: &Value, blanks: u64| {
            let mut text = value.to_string().into_bytes();
            text.resize(usize::try_from(limits::BUNDLE_BYTES + blanks).unwrap() - 1, b' ');
            read_bundle(&text).map(|_| ()).map_err(|failure| failure.class())
        };
        let old = json!({"base64Signature": "AQID"});
        assert_eq!(
            [0, 1, 2, 3].map(|blanks| class(&old, blanks)),
            [Ok(()), Ok(()), Err(Class::Limit), Err(Class::Limit)]
        );
        let new = json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.4+json"});
        let both = json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.4+json", "base64Signature": "AQID"});
        let message =
            |value: &Value| read_bundle(value.to_string().as_bytes()).unwrap_err().message();
        assert!(
            message(&new).contains("v0.4") && message(&both).contains("`base64Signature`"),
            "{} {}",
            message(&new),
            message(&both)
        );
        assert!(message(&json!({})).contains("media type"), "{}", message(&json!({})));
    }

    #[test]
    fn an_old_bundle_is_read_to_the_letter() {
        let good = json!({"base64Signature": "AQID", "cert": BASE64_STANDARD.encode(pem_of("CERTIFICATE"))});
        let read = |value: &Value| {
            Detached::parse(value.to_string().as_bytes()).map_err(|failure| failure.class())
        };
        let expected = Detached {
            signature: vec![1, 2, 3],
            certificates: vec![vec![0x30, 0]],
            ..Detached::default()
        };
        assert_eq!(read(&good), Ok(expected.clone()));
        let keyed = json!({"base64Signature": "AQID", "cert": BASE64_STANDARD.encode(pem_of("PUBLIC KEY"))});
        assert_eq!(read(&keyed), Ok(Detached { certificates: Vec::new(), ..expected }));
        for (key, value) in [
            ("base64Signature", json!("AQI")),
            ("cert", json!("AQI")),
            ("rekorBundle", json!({})),
            ("x", json!(1)),
        ] {
            let mut changed = good.clone();
            changed[key] = value;
            assert_eq!(read(&changed), Err(Class::Malformed), "{changed}");
        }
    }
}
