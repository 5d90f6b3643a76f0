//! A signature that was just made, with everything that belongs beside it, and the forms in which that
//! is written: annotations of a legacy signature, and the material of a bundle.
//!
//! Sources: cosign `specs/SIGNATURE_SPEC.md`, `pkg/oci/static`; sigstore protobuf-specs
//! `sigstore_bundle.proto`. What is written here is read by `signatures` and `bundle`.

use super::json;
use super::rekor::{LogAnswer, LoggedEntry};
use super::signatures::{BUNDLE, CERTIFICATE, CHAIN, SIGNATURE, TIMESTAMP};
use crate::name::Digest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};

/// A signature with what proves whose it is and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The raw signature.
    pub signature: Vec<u8>,
    /// By whom.
    pub by: SignedBy,
    /// What a log says that it has.
    pub entry: Option<SignedEntry>,
    /// A timestamp over the raw signature: a `TimeStampResp`, DER.
    pub timestamp: Option<Vec<u8>>,
}

/// What names the signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The SHA-256 of the key's SPKI DER, which proves nothing.
    Key([u8; 32]),
    /// A certificate.
    Certificate {
        /// The signer's, DER.
        leaf: Vec<u8>,
        /// Those of the authorities above it, the root last, DER.
        above: Vec<Vec<u8>>,
    },
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedEntry {
    /// Of Rekor v1: with its promise, which says when.
    V1(LogAnswer),
    /// Of Rekor v2: the `TransparencyLogEntry` that it answered with, as it is in a bundle.
    V2(Value),
}

impl Signed {
    /// Returns a signature by a key, without anything beside it.
    #[must_use]
    pub fn by_key(signature: Vec<u8>, fingerprint: &[u8; 32]) -> Self {
        Self { signature, by: SignedBy::Key(*fingerprint), entry: None, timestamp: None }
    }

    /// Returns where a log has it.
    #[must_use]
    pub fn log_index(&self) -> Option<u64> {
        match self.entry.as_ref()? {
            SignedEntry::V1(answer) => Some(answer.logged.entry.log_index),
            SignedEntry::V2(entry) => entry.get("logIndex")?.as_str()?.parse().ok(),
        }
    }

    /// Returns the annotations of a legacy signature, as cosign 2 writes them: with the chain, which
    /// containers/image reads. An entry of Rekor v2 has no place there.
    #[must_use]
    pub fn annotations(&self) -> Map<String, Value> {
        let mut all = Map::new();
        all.insert(SIGNATURE.to_owned(), json!(BASE64_STANDARD.encode(&self.signature)));
        if let Some(SignedEntry::V1(LogAnswer { logged: LoggedEntry { entry, .. }, .. })) =
            &self.entry
        {
            let bundle = json!({
                "SignedEntryTimestamp": BASE64_STANDARD.encode(&entry.promise),
                "Payload": {
                    "body": BASE64_STANDARD.encode(&entry.body),
                    "integratedTime": entry.integrated_time,
                    "logIndex": entry.log_index,
                    "logID": Digest::from_bytes(entry.log_id).hex(),
                },
            });
            all.insert(BUNDLE.to_owned(), json!(bundle.to_string()));
        }
        if let SignedBy::Certificate { leaf, above } = &self.by {
            all.insert(CERTIFICATE.to_owned(), json!(certificate_pem(leaf)));
            let chain: String = above.iter().map(|der| certificate_pem(der)).collect();
            all.insert(CHAIN.to_owned(), json!(chain));
        }
        if let Some(timestamp) = &self.timestamp {
            let text = json!({"SignedRFC3161Timestamp": BASE64_STANDARD.encode(timestamp)});
            all.insert(TIMESTAMP.to_owned(), json!(text.to_string()));
        }
        all
    }

    /// Returns the `verificationMaterial` of a bundle, in the order in which cosign writes it.
    pub(super) fn material(&self) -> Value {
        let mut material = Map::new();
        let mut put = |key: &str, value| material.insert(key.to_owned(), value);
        match &self.by {
            SignedBy::Key(key) => put("publicKey", json!({"hint": BASE64_STANDARD.encode(key)})),
            SignedBy::Certificate { leaf, .. } => {
                put("certificate", json!({"rawBytes": BASE64_STANDARD.encode(leaf)}))
            }
        };
        match &self.entry {
            Some(SignedEntry::V1(answer)) => {
                put("tlogEntries", json!([bundle_entry(&answer.logged)]))
            }
            Some(SignedEntry::V2(entry)) => put("tlogEntries", json!([entry])),
            None => None,
        };
        if let Some(timestamp) = &self.timestamp {
            let stamp = json!({"signedTimestamp": BASE64_STANDARD.encode(timestamp)});
            put("timestampVerificationData", json!({"rfc3161Timestamps": [stamp]}));
        }
        Value::Object(material)
    }
}

/// Returns a certificate in PEM, with line ends as Go writes them.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> String {
    pem_of("CERTIFICATE", der)
}

/// Returns a document in PEM, with line ends as Go writes them.
pub(super) fn pem_of(tag: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), config)
}

/// Returns an entry of Rekor v1 as a bundle has it (`TransparencyLogEntry`, in protobuf's JSON).
fn bundle_entry(logged: &LoggedEntry) -> Value {
    let LoggedEntry { entry, proof } = logged;
    let body = json::parse(&entry.body).unwrap_or_default();
    let proof = proof.as_ref().map(|proof| {
        let hashes: Vec<String> =
            proof.hashes.iter().map(|hash| BASE64_STANDARD.encode(hash)).collect();
        json!({
            "logIndex": proof.index.to_string(),
            "rootHash": BASE64_STANDARD.encode(proof.root),
            "treeSize": proof.size.to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": proof.checkpoint},
        })
    });
    json!({
        "logIndex": entry.log_index.to_string(),
        "logId": {"keyId": BASE64_STANDARD.encode(entry.log_id)},
        "kindVersion": {"kind": body.get("kind"), "version": body.get("apiVersion")},
        "integratedTime": entry.integrated_time.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": BASE64_STANDARD.encode(&entry.promise)},
        "inclusionProof": proof,
        "canonicalizedBody": BASE64_STANDARD.encode(&entry.body),
    })
}
