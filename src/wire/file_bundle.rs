//! Writing what comes with a file that was signed: the bundle of cosign 1 and 2, signature and
//! certificate by themselves. (A Sigstore bundle: [`super::write_message_bundle`].)
//!
//! In the order in which cosign writes them; read by `detached`.

use super::json;
use super::signatures::BUNDLE;
use super::signed::{Signed, SignedBy, SignedEntry, certificate_pem};
use crate::class::{Class, Failure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};

/// Returns the bundle of cosign 1 and 2.
///
/// # Errors
/// `usage`: what Rekor v2 says has no place there.
pub fn write_old_bundle(signed: &Signed) -> Result<Vec<u8>, Failure> {
    let mut bundle = Map::new();
    let mut put = |key: &str, value: Value| bundle.insert(key.to_owned(), value);
    put("base64Signature", json!(BASE64_STANDARD.encode(&signed.signature)));
    if let SignedBy::Certificate { leaf, .. } = &signed.by {
        put("cert", json!(BASE64_STANDARD.encode(certificate_pem(leaf))));
    }
    match &signed.entry {
        None => {}
        Some(SignedEntry::V1(_)) => {
            let annotations = signed.annotations();
            let entry = annotations.get(BUNDLE).and_then(Value::as_str).unwrap_or_default();
            put("rekorBundle", json::parse(entry.as_bytes())?);
        }
        Some(SignedEntry::V2(_)) => {
            return Err(Failure::new(
                Class::Usage,
                "the bundle of cosign 1 and 2 cannot carry what a log of Rekor v2 says",
            )
            .hint("leave --new-bundle-format=false out, or use a log of Rekor v1: --rekor-url"));
        }
    }
    Ok(json::to_go_bytes(&Value::Object(bundle)))
}

/// Returns a signature as the file `.sig` has it: base64 without an end of line, or bare.
#[must_use]
pub fn write_signature(signature: &[u8], base64: bool) -> Vec<u8> {
    if base64 { BASE64_STANDARD.encode(signature).into_bytes() } else { signature.to_vec() }
}

/// Returns the signer's certificate as the file `.pem` has it: base64 of PEM, as cosign writes it, or
/// PEM; `None` where a key signed.
#[must_use]
pub fn write_certificate(signed: &Signed, base64: bool) -> Option<Vec<u8>> {
    let SignedBy::Certificate { leaf, .. } = &signed.by else { return None };
    let pem = certificate_pem(leaf);
    Some(if base64 { BASE64_STANDARD.encode(pem).into_bytes() } else { pem.into_bytes() })
}

#[cfg(test)]
mod tests {
    use super::super::{FileSignature, read_bundle, read_certificate_file, read_signature};
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut signed = Signed::by_key(vec![1, 2, 200], &[7; 32]);
        assert_eq!(write_certificate(&signed, true), None);
        for certified in [false, true] {
            if certified {
                signed.by = SignedBy::Certificate { leaf: vec![0x30, 0], above: Vec::new() };
            }
            let bundle = write_old_bundle(&signed).unwrap();
            let FileSignature::Detached(read) = read_bundle(&bundle).unwrap() else {
                panic!("of cosign 1 and 2")
            };
            assert_eq!(read.signature, signed.signature);
            assert_eq!(read.certificates.is_empty(), !certified);
        }
        for base64 in [true, false] {
            let written = write_signature(&signed.signature, base64);
            assert_eq!(read_signature(&written).unwrap(), signed.signature);
            let written = write_certificate(&signed, base64).unwrap();
            assert_eq!(read_certificate_file(&written).unwrap(), [vec![0x30, 0]]);
        }
        signed.entry = Some(SignedEntry::V2(json!({})));
        assert_eq!(write_old_bundle(&signed).unwrap_err().class(), Class::Usage);
    }
}
