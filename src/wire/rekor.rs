//! What Rekor v1 answers and is asked: entries under their names, with the log's promise and proof.
//!
//! Sources: rekor `openapi.yaml` (`LogEntry`),
//! `pkg/types/hashedrekord/v0.0.1`. A log may say more than is known here, so keys that are not
//! known are passed over: what counts is signed by it.

use super::checkpoint::check_proof;
use super::evidence::LogEntry;
use super::json;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, FileDigest};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::{Value, json};

/// An entry of a log with what the log says to prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEntry {
    /// The entry, and the promise to have it.
    pub entry: LogEntry,
    /// That it is in the log's tree.
    pub proof: Option<LogProof>,
}

/// That an entry is in a tree (RFC 6962), whose head the log signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// The place in the tree.
    pub index: u64,
    /// How many entries the tree has.
    pub size: u64,
    /// The tree's hash.
    pub root: [u8; 32],
    /// The hashes beside the way from the entry to the top.
    pub hashes: Vec<[u8; 32]>,
    /// The tree's head, signed.
    pub checkpoint: String,
}

/// An entry as the log's API gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogAnswer {
    /// Its name: the hash of the leaf, mostly with 16 digits for the tree in front.
    pub uuid: String,
    /// The entry.
    pub logged: LoggedEntry,
    /// What the log keeps beside it. Not signed by the log.
    pub attestation: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerWire {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
    verification: VerificationWire,
    #[serde(default)]
    attestation: Option<AttestationWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationWire {
    signed_entry_timestamp: String,
    #[serde(default)]
    inclusion_proof: Option<ProofWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofWire {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

#[derive(Deserialize)]
struct AttestationWire {
    #[serde(default)]
    data: String,
}

impl LogAnswer {
    /// Parses an object of entries by their names, or a list of such: at most
    /// [`limits::BUNDLE_EVIDENCE`].
    ///
    /// # Errors
    /// `tlog`: another shape, or a name that is none. `limit`: more entries.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, Failure> {
        let value =
            json::parse(bytes).map_err(|failure| failure.within(WHAT).as_class(Class::Tlog))?;
        let objects = match value {
            Value::Array(list) => list,
            other => vec![other],
        };
        let mut found = Vec::new();
        for object in objects {
            let Value::Object(entries) = object else { return Err(broken("no object of entries")) };
            for (uuid, entry) in entries {
                if found.len() == limits::BUNDLE_EVIDENCE {
                    let most = limits::BUNDLE_EVIDENCE;
                    return Err(Failure::new(
                        Class::Limit,
                        format!("{WHAT} has more than {most} entries"),
                    ));
                }
                found.push(Self::read(uuid, entry)?);
            }
        }
        Ok(found)
    }

    /// Returns it as the log would answer, to be kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let LoggedEntry { entry, proof } = &self.logged;
        let proof = proof.as_ref().map(|proof| {
            json!({
                "checkpoint": proof.checkpoint,
                "hashes": proof.hashes.iter().copied().map(hex).collect::<Vec<_>>(),
                "logIndex": proof.index,
                "rootHash": hex(proof.root),
                "treeSize": proof.size,
            })
        });
        let answer = json!({
            "body": BASE64_STANDARD.encode(&entry.body),
            "integratedTime": entry.integrated_time,
            "logID": hex(entry.log_id),
            "logIndex": entry.log_index,
            "verification": {"inclusionProof": proof, "signedEntryTimestamp": BASE64_STANDARD.encode(&entry.promise)},
        });
        json!({self.uuid.as_str(): answer}).to_string().into_bytes()
    }

    fn read(uuid: String, entry: Value) -> Result<Self, Failure> {
        if !matches!(uuid.len(), 64 | 80)
            || !uuid.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(broken(format!(
                "an entry called `{uuid}`; expected 64 or 80 hexadecimal digits"
            )));
        }
        let wire: AnswerWire = serde_json::from_value(entry).map_err(broken)?;
        let proof = wire.verification.inclusion_proof.map(|proof| {
            check_proof(proof.hashes.len(), &proof.checkpoint)?;
            let hashes =
                proof.hashes.iter().map(|hash| hash_of(hash)).collect::<Result<Vec<_>, _>>()?;
            let root = hash_of(&proof.root_hash)?;
            Ok::<_, Failure>(LogProof {
                index: proof.log_index,
                size: proof.tree_size,
                root,
                hashes,
                checkpoint: proof.checkpoint,
            })
        });
        let entry = LogEntry {
            body: decode(&wire.body)?,
            integrated_time: wire.integrated_time,
            log_index: wire.log_index,
            log_id: hash_of(&wire.log_id)?,
            promise: decode(&wire.verification.signed_entry_timestamp)?,
        };
        let attestation = match wire.attestation {
            Some(attestation) if !attestation.data.is_empty() => Some(decode(&attestation.data)?),
            _ => None,
        };
        Ok(Self { uuid, logged: LoggedEntry { entry, proof: proof.transpose()? }, attestation })
    }
}

const WHAT: &str = "the log's answer";

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Tlog, format!("{WHAT} cannot be read: {why}"))
}

fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    BASE64_STANDARD.decode(text).map_err(|error| broken(format!("not base64: {error}")))
}

fn hex(hash: [u8; 32]) -> String {
    Digest::from_bytes(hash).hex()
}

fn hash_of(hex: &str) -> Result<[u8; 32], Failure> {
    format!("sha256:{hex}")
        .parse::<Digest>()
        .map(|digest| *digest.bytes())
        .map_err(|_| broken(format!("`{hex}` is not a hash")))
}

/// Returns the leaf hash of an entry (RFC 6962 section 2.1): the second half of its name.
#[must_use]
pub fn leaf_hash(body: &[u8]) -> Digest {
    Digest::of(&[b"\0", body].concat())
}

/// Returns the body of the entry that cosign made for the signature of a file by a certificate: a
/// `hashedrekord` 0.0.1 in the form of RFC 8785, as the log stores it.
#[must_use]
pub fn hashedrekord(file: &FileDigest, signature: &[u8], certificate: &[u8]) -> Vec<u8> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let pem = pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate), config);
    // RFC 8785 by hand: keys in order, and no character that is escaped.
    let body = json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": file.algorithm(), "value": file.hex()}},
            "signature": {"content": BASE64_STANDARD.encode(signature), "publicKey": {"content": BASE64_STANDARD.encode(pem)}},
        },
    });
    body.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        json!({"ab".repeat(32): {
            "body": "e30=", "integratedTime": 7, "logIndex": 9, "logID": "0a".repeat(32), "more": 1,
            "verification": {
                "signedEntryTimestamp": "AQI=",
                "inclusionProof": {"checkpoint": "c", "hashes": ["0b".repeat(32)], "logIndex": 1, "rootHash": "0c".repeat(32), "treeSize": 2},
            },
        }})
    }

    #[test]
    fn an_answer_is_an_object_or_a_list_of_them() {
        let one = LogAnswer::parse_all(answer().to_string().as_bytes()).unwrap();
        let proof = LogProof {
            index: 1,
            size: 2,
            root: [12; 32],
            hashes: vec![[11; 32]],
            checkpoint: "c".to_owned(),
        };
        let entry = LogEntry {
            body: b"{}".to_vec(),
            integrated_time: 7,
            log_index: 9,
            log_id: [10; 32],
            promise: vec![1, 2],
        };
        let logged = LoggedEntry { entry, proof: Some(proof) };
        assert_eq!(one, [LogAnswer { uuid: "ab".repeat(32), logged, attestation: None }]);
        assert_eq!(LogAnswer::parse_all(&one[0].to_bytes()).unwrap(), one, "what is kept is read");
        let list = json!([answer(), answer()]).to_string();
        assert_eq!(LogAnswer::parse_all(list.as_bytes()).unwrap().len(), 2);
        assert_eq!(LogAnswer::parse_all(b"[]").unwrap(), []);
    }

    #[test]
    fn an_attestation_without_data_is_none() {
        for (data, expected) in [("AQI=", Some(vec![1, 2])), ("", None)] {
            let mut answer = answer();
            answer["ab".repeat(32)]["attestation"] = json!({"data": data});
            assert_eq!(
                LogAnswer::parse_all(answer.to_string().as_bytes()).unwrap()[0].attestation,
                expected
            );
        }
    }

    #[test]
    fn an_answer_of_another_shape_says_nothing() {
        for text in [
            "x".to_owned(),
            "[1]".to_owned(),
            answer().to_string().replace(&"ab".repeat(32), "ab"),
            answer().to_string().replace(&"0a".repeat(32), "0a"),
            answer().to_string().replace("AQI=", "AQI"),
            answer().to_string().replace("\"signedEntryTimestamp\"", "\"other\""),
        ] {
            assert_eq!(
                LogAnswer::parse_all(text.as_bytes()).map_err(|failure| failure.class()),
                Err(Class::Tlog),
                "{text}"
            );
        }
        let many = Value::Array(vec![answer(); limits::BUNDLE_EVIDENCE + 1]).to_string();
        assert_eq!(
            LogAnswer::parse_all(many.as_bytes()).map_err(|failure| failure.class()),
            Err(Class::Limit)
        );
    }
}
