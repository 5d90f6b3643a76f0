//! What a log is asked to take: entries about a signature, in the forms of Rekor v1 and v2; and the
//! entry that v2 answers with.
//!
//! Sources: rekor `pkg/types/hashedrekord/v0.0.1`, `pkg/types/dsse/v0.0.1`; rekor-tiles
//! `hashedrekord.proto`; protobuf-specs `sigstore_rekor.proto`.

use super::bundle::{check_entry, envelope};
use super::json;
use super::signed::{SignedBy, pem_of};
use crate::class::{Class, Failure};
use crate::name::FileDigest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

/// By what a log checks a signature.
#[derive(Clone, Copy, Debug)]
pub enum Verifier<'a> {
    /// A certificate, DER.
    Certificate(&'a [u8]),
    /// A key: its SPKI, DER.
    Key(&'a [u8]),
}

impl<'a> Verifier<'a> {
    /// Returns what a signature is checked by, of a signer who has this SPKI.
    #[must_use]
    pub fn of(by: &'a SignedBy, spki: &'a [u8]) -> Self {
        match by {
            SignedBy::Certificate { leaf, .. } => Self::Certificate(leaf),
            SignedBy::Key(_) => Self::Key(spki),
        }
    }

    /// The PEM, in base64 once more, as v1 has it.
    fn pem(self) -> String {
        let pem = match self {
            Self::Certificate(der) => pem_of("CERTIFICATE", der),
            Self::Key(der) => pem_of("PUBLIC KEY", der),
        };
        BASE64_STANDARD.encode(pem)
    }
}

/// Returns a `hashedrekord` 0.0.1: a signature over a message, by its digest. It is in the form of
/// RFC 8785, as the log stores it.
#[must_use]
pub fn propose_hashedrekord(
    digest: &FileDigest,
    signature: &[u8],
    verifier: Verifier<'_>,
) -> Vec<u8> {
    // By hand: keys in order, and no character that is escaped.
    json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": digest.algorithm(), "value": digest.hex()}},
            "signature": {
                "content": BASE64_STANDARD.encode(signature),
                "publicKey": {"content": verifier.pem()},
            },
        },
    })
    .to_string()
    .into_bytes()
}

/// Returns a `dsse` 0.0.1: an envelope with a statement. The log sees the statement, and keeps hashes.
#[must_use]
pub fn propose_dsse(statement: &[u8], signature: &[u8], verifier: Verifier<'_>) -> Vec<u8> {
    json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {"proposedContent": {
            "envelope": envelope(statement, signature).to_string(),
            "verifiers": [verifier.pem()],
        }},
    })
    .to_string()
    .into_bytes()
}

/// Returns a request for v2: a signature over a message, or over the encoding of an envelope, by its
/// digest. `details` is what protobuf calls the kind of key and hash.
#[must_use]
pub fn propose_v2(
    digest: &FileDigest,
    signature: &[u8],
    verifier: Verifier<'_>,
    details: &str,
) -> Vec<u8> {
    let verifier = match verifier {
        Verifier::Certificate(der) => {
            json!({"keyDetails": details, "x509Certificate": {"rawBytes": BASE64_STANDARD.encode(der)}})
        }
        Verifier::Key(der) => {
            json!({"keyDetails": details, "publicKey": {"rawBytes": BASE64_STANDARD.encode(der)}})
        }
    };
    json!({"hashedRekordRequestV002": {
        "digest": BASE64_STANDARD.encode(digest.bytes()),
        "signature": {"content": BASE64_STANDARD.encode(signature), "verifier": verifier},
    }})
    .to_string()
    .into_bytes()
}

/// Reads what v2 answers with: an entry as it is in a bundle. What has its default value is left
/// away, as protobuf writes it.
///
/// # Errors
/// `tlog`: another shape, or a key in it that readers of bundles do not know. `limit`: more in it than
/// real ones have.
pub fn read_tlog_entry(bytes: &[u8]) -> Result<Value, Failure> {
    const WHAT: &str = "the log's answer";
    let mut entry =
        json::parse(bytes).map_err(|failure| failure.within(WHAT).as_class(Class::Tlog))?;
    if let Some(object) = entry.as_object_mut() {
        object.retain(|key, value| {
            let default = value.is_null() || key == "integratedTime" && *value == "0";
            !default
        });
    }
    check_entry(&entry).map_err(|failure| match failure.class() {
        Class::Limit => failure.within(WHAT),
        _ => failure.within(WHAT).as_class(Class::Tlog),
    })?;
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Digest;

    fn parsed(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn a_proposal_is_what_each_log_takes() {
        let digest = FileDigest::Sha256(Digest::of(b"x"));
        let pem = |tag, der: &[u8]| BASE64_STANDARD.encode(pem_of(tag, der));
        let proposal = parsed(&propose_hashedrekord(&digest, b"s", Verifier::Certificate(b"c")));
        assert_eq!(
            proposal["spec"],
            json!({
                "data": {"hash": {"algorithm": "sha256", "value": Digest::of(b"x").hex()}},
                "signature": {"content": "cw==", "publicKey": {"content": pem("CERTIFICATE", b"c")}},
            })
        );
        let proposal = parsed(&propose_dsse(b"{}", b"s", Verifier::Key(b"k")));
        let content = &proposal["spec"]["proposedContent"];
        assert_eq!(content["verifiers"], json!([pem("PUBLIC KEY", b"k")]));
        let envelope = parsed(content["envelope"].as_str().unwrap().as_bytes());
        assert_eq!(envelope["payload"], "e30=");
        let proposal = parsed(&propose_v2(&digest, b"s", Verifier::Certificate(b"c"), "KIND"));
        assert_eq!(
            proposal["hashedRekordRequestV002"]["signature"],
            json!({"content": "cw==", "verifier": {"keyDetails": "KIND", "x509Certificate": {"rawBytes": "Yw=="}}})
        );
    }

    #[test]
    fn an_entry_of_v2_has_nothing_that_readers_do_not_know() {
        let good = json!({"logIndex": "7", "integratedTime": "0", "inclusionPromise": null});
        assert_eq!(read_tlog_entry(good.to_string().as_bytes()).unwrap(), json!({"logIndex": "7"}));
        // The first entry of a log has the index 0, and a time that is said is kept.
        let first = json!({"logIndex": "0", "integratedTime": "5"});
        assert_eq!(read_tlog_entry(first.to_string().as_bytes()).unwrap(), first);
        for wrong in ["{\"x\":1}", "[]", "x", "{\"logId\":{\"x\":1}}"] {
            let class = read_tlog_entry(wrong.as_bytes()).map_err(|failure| failure.class());
            assert_eq!(class, Err(Class::Tlog), "{wrong}");
        }
    }
}
