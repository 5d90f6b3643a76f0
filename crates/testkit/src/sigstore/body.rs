//! Bodies of log entries, of every kind that cosign ever had made for signatures of images and
//! blobs.

use super::keys::{Key, pem};
use super::sign::{Content, Signer};
use super::{b64, hex, sha256};
use serde_json::{Value, json};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `rekord` 0.0.1: cosign up to 1.3.
    Rekord,
    /// `hashedrekord` 0.0.1: a signature over bytes, Rekor v1.
    HashedRekord,
    /// `hashedrekord` 0.0.2: the same, and the only kind of Rekor v2.
    HashedRekord2,
    /// `dsse` 0.0.1: an envelope.
    Dsse,
    /// `intoto` 0.0.2: an envelope, before there was `dsse`.
    Intoto,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rekord => "rekord",
            Self::HashedRekord | Self::HashedRekord2 => "hashedrekord",
            Self::Dsse => "dsse",
            Self::Intoto => "intoto",
        }
    }

    pub fn version(self) -> &'static str {
        match self {
            Self::Rekord | Self::HashedRekord | Self::Dsse => "0.0.1",
            Self::HashedRekord2 | Self::Intoto => "0.0.2",
        }
    }

    /// The body of an entry about a signature that this key made.
    pub fn body(self, content: &Content, signature: &[u8], signer: &Signer, key: &Key) -> Value {
        let (name, protobuf_name, digest) = key.digest(&content.message());
        let verifier = b64(signer.pem().as_bytes());
        let spec = match self {
            Self::Rekord => json!({
                "data": {"hash": {"algorithm": name, "value": hex(&digest)}},
                "signature": {"content": b64(signature), "format": "x509", "publicKey": {"content": verifier}},
            }),
            Self::HashedRekord => json!({
                "data": {"hash": {"algorithm": name, "value": hex(&digest)}},
                "signature": {"content": b64(signature), "publicKey": {"content": verifier}},
            }),
            Self::HashedRekord2 => {
                let mut verifier = json!({"keyDetails": key.details()});
                match signer {
                    Signer::Certificate { leaf, .. } => {
                        verifier["x509Certificate"] = json!({"rawBytes": b64(leaf)})
                    }
                    Signer::Key { spki } => verifier["publicKey"] = json!({"rawBytes": b64(spki)}),
                }
                json!({"hashedRekordV002": {
                    "data": {"algorithm": protobuf_name, "digest": b64(&digest)},
                    "signature": {"content": b64(signature), "verifier": verifier},
                }})
            }
            Self::Dsse => json!({
                "envelopeHash": {"algorithm": "sha256", "value": hex(&sha256(content.envelope(signature).to_string().as_bytes()))},
                "payloadHash": {"algorithm": "sha256", "value": hex(&sha256(content.payload()))},
                "signatures": [{"signature": b64(signature), "verifier": verifier}],
            }),
            // The signature in it is encoded twice: the type keeps the envelope's text as bytes.
            Self::Intoto => json!({"content": {
                "envelope": {
                    "payloadType": content.payload_type(),
                    "signatures": [{"publicKey": verifier, "sig": b64(b64(signature).as_bytes())}],
                },
                "hash": {"algorithm": "sha256", "value": hex(&sha256(content.envelope(signature).to_string().as_bytes()))},
                "payloadHash": {"algorithm": "sha256", "value": hex(&sha256(content.payload()))},
            }}),
        };
        json!({"apiVersion": self.version(), "kind": self.name(), "spec": spec})
    }
}

/// RFC 8785, for what occurs here: whole numbers, and text without control characters.
pub fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut pairs: Vec<_> = map.iter().collect();
                pairs.sort_by_key(|(name, _)| name.as_str());
                pairs.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
            }
            Value::Array(list) => list.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

/// A signer as a log's `publicKey` and an annotation of cosign have it.
impl Signer {
    pub fn pem(&self) -> String {
        match self {
            Self::Certificate { leaf, .. } => pem("CERTIFICATE", leaf),
            Self::Key { spki } => pem("PUBLIC KEY", spki),
        }
    }
}
