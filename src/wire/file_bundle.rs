//! Writing what lies beside a file that was signed: a Sigstore bundle v0.3 with the signature of a
//! message, and the bundle of cosign 1 and 2.
//!
//! Both in the order in which cosign writes them; read by [`super::read_bundle`].

use super::bundle::BUNDLE_TYPE;
use super::json;
use crate::name::FileDigest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

/// Returns a bundle v0.3 for a file that a key signed. `key` is the SHA-256 of the key's SPKI DER;
/// `digest` is the hash that was signed, or for a signature over the file as it is any.
#[must_use]
pub fn write_file_bundle(digest: &FileDigest, signature: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let algorithm = digest.algorithm().replace("sha", "SHA2_");
    json::to_go_bytes(&json!({
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": BASE64_STANDARD.encode(key)}},
        "messageSignature": {
            "messageDigest": {
                "algorithm": algorithm,
                "digest": BASE64_STANDARD.encode(digest.bytes()),
            },
            "signature": BASE64_STANDARD.encode(signature),
        },
    }))
}

/// Returns the bundle of cosign 1 and 2 for a file that a key signed.
#[must_use]
pub fn write_old_bundle(signature: &[u8]) -> Vec<u8> {
    json::to_go_bytes(&json!({"base64Signature": BASE64_STANDARD.encode(signature)}))
}

/// Returns a signature as the file `.sig` has it: base64 without an end of line, or bare.
#[must_use]
pub fn write_signature(signature: &[u8], base64: bool) -> Vec<u8> {
    if base64 { BASE64_STANDARD.encode(signature).into_bytes() } else { signature.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::super::{Content, FileSignature, Material, read_bundle, read_signature};
    use super::*;
    use crate::name::Digest;
    use serde_json::Value;

    #[test]
    fn what_is_written_is_read() {
        let digest = FileDigest::from(Digest::of(b"file"));
        let bundle = write_file_bundle(&digest, b"signature", &[7; 32]);
        let FileSignature::Bundle(read) = read_bundle(&bundle).unwrap() else { panic!("a bundle") };
        assert_eq!(read.material, Material::PublicKey);
        assert_eq!(read.content, Content::Message { signature: b"signature".to_vec() });
        let document: Value = serde_json::from_slice(&bundle).unwrap();
        let named = &document["messageSignature"]["messageDigest"];
        assert_eq!(named["algorithm"], "SHA2_256");
        assert_eq!(named["digest"], BASE64_STANDARD.encode(Digest::of(b"file").bytes()));
        let FileSignature::Detached(read) = read_bundle(&write_old_bundle(b"signature")).unwrap()
        else {
            panic!("of cosign 1 and 2")
        };
        assert_eq!(read.signature, b"signature");
        for base64 in [true, false] {
            let written = write_signature(&[1, 2, 200], base64);
            assert_eq!(read_signature(&written).unwrap(), [1, 2, 200]);
        }
    }
}
