//! Fulcio, which makes a certificate for a key and an identity token: `POST /api/v2/signingCert`.
//! What it answers is checked by nobody here: `trust` does that.
//!
//! The token goes into one header of this one host, and nowhere else. Sources: fulcio
//! `fulcio.proto`; what sigstore-python sends.

use super::refused;
use crate::class::{Class, Failure};
use crate::limits;
use crate::registry::{Client, SecretCall};
use crate::wire::{json, read_certificates};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// Where certificates are made.
const PATH: &str = "api/v2/signingCert";

/// What Fulcio answered.
#[derive(Clone, Debug)]
pub enum Issued {
    /// A certificate, unchecked.
    Certificate {
        /// The signer's, DER.
        leaf: Vec<u8>,
        /// Those of the authorities above it, the root last, DER.
        above: Vec<Vec<u8>>,
        /// Whether the proof that a log has it is not in it: nothing that is written carries that.
        detached: bool,
    },
    /// It refused the token, and gives one message for every reason.
    Refused {
        /// The message.
        message: String,
        /// What time it is there.
        date: Option<Timestamp>,
    },
}

/// Asks for a certificate: `request` is a certificate request, PEM.
///
/// # Errors
/// `net`: no answer, or another than a certificate. `malformed`, `limit`: an answer that cannot be
/// read.
pub async fn issue(
    client: &Client,
    url: &str,
    token: &str,
    request: &str,
) -> Result<Issued, Failure> {
    let what = format!("Fulcio (`{url}`)");
    let document = json!({"certificateSigningRequest": BASE64_STANDARD.encode(request)});
    let document = document.to_string();
    let call = SecretCall {
        url: &format!("{}/{PATH}", url.trim_end_matches('/')),
        query: &[],
        authorization: Zeroizing::new(format!("Bearer {token}")),
        document: Some(document.as_bytes()),
        cap: limits::SERVICE_BYTES,
    };
    let answer = client.secretly(&call).await.map_err(|failure| failure.within(&what))?;
    match answer.status {
        200 | 201 => read(&answer.body).map_err(|failure| failure.within(what)),
        400 | 401 | 403 => Ok(Issued::Refused {
            message: super::said(answer.status, &answer.body),
            date: answer.date.as_deref().and_then(date),
        }),
        status => Err(refused(&what, status, &answer.body)
            .hint("check --fulcio-url, COSIGN_FULCIO_URL or the signing configuration")),
    }
}

/// Reads the `Date` of an answer (RFC 9110 section 5.6.7).
fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

fn read(bytes: &[u8]) -> Result<Issued, Failure> {
    let malformed = |why: &str| Failure::new(Class::Malformed, format!("an answer {why}"));
    let answer = json::parse(bytes).map_err(|failure| failure.as_class(Class::Malformed))?;
    let (detached, issued) = match (
        answer.get("signedCertificateEmbeddedSct"),
        answer.get("signedCertificateDetachedSct"),
    ) {
        (Some(issued), None) => (false, issued),
        (None, Some(issued)) => (true, issued),
        _ => return Err(malformed("without a certificate")),
    };
    let chain = issued
        .pointer("/chain/certificates")
        .and_then(Value::as_array)
        .ok_or_else(|| malformed("without a certificate"))?;
    let mut certificates = Vec::new();
    for pem in chain {
        let pem = pem.as_str().ok_or_else(|| malformed("with a certificate that is not text"))?;
        certificates.extend(read_certificates(pem)?);
    }
    if certificates.len() > limits::CHAIN {
        return Err(malformed("with too many certificates").as_class(Class::Limit));
    }
    let mut certificates = certificates.into_iter();
    let leaf = certificates.next().ok_or_else(|| malformed("without a certificate"))?;
    Ok(Issued::Certificate { leaf, above: certificates.collect(), detached })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read() {
        let at = date("Mon, 30 Nov 2026 17:27:00 GMT").unwrap();
        assert_eq!(at.to_string(), "2026-11-30T17:27:00Z");
        assert_eq!(date("yesterday"), None);
    }

    #[test]
    fn a_certificate_is_taken_and_where_its_proof_is_is_told() {
        let class = |answer: Value| match read(answer.to_string().as_bytes()) {
            Ok(Issued::Certificate { detached, .. }) => Ok(detached),
            Ok(refused) => panic!("{refused:?}"),
            Err(failure) => Err(failure.class()),
        };
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", vec![1]));
        let chain = json!({"chain": {"certificates": [pem, pem]}});
        assert_eq!(class(json!({"signedCertificateEmbeddedSct": chain})), Ok(false));
        assert_eq!(class(json!({"signedCertificateDetachedSct": chain})), Ok(true));
        for wrong in [
            json!({}),
            json!([]),
            json!({"signedCertificateEmbeddedSct": chain, "signedCertificateDetachedSct": chain}),
            json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": []}}}),
            json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": [1]}}}),
            json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": ["x"]}}}),
        ] {
            assert_eq!(class(wrong.clone()), Err(Class::Malformed), "{wrong}");
        }
        let many = vec![pem; limits::CHAIN + 1];
        let many = json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": many}}});
        assert_eq!(class(many), Err(Class::Limit));
    }
}
