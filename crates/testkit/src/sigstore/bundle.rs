//! The forms that a signature is written in: bundles of all versions, cosign's annotations, and
//! cosign's old files.

use super::keys::pem;
use super::sign::{Content, Signature, Signer};
use super::{b64, sha256};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A version of the bundle format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A chain of certificates and a signed entry timestamp, no proof.
    V01,
    /// A chain of certificates and a proof.
    V02,
    /// One certificate and a proof.
    V03,
}

impl Version {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::V01 => "application/vnd.dev.sigstore.bundle+json;version=0.1",
            Self::V02 => "application/vnd.dev.sigstore.bundle+json;version=0.2",
            Self::V03 => "application/vnd.dev.sigstore.bundle.v0.3+json",
        }
    }
}

impl Signature {
    /// The signed bytes: the layer of a legacy signature, the payload of an envelope, or the file.
    pub fn payload(&self) -> &[u8] {
        self.content.payload()
    }

    /// A bundle as cosign 3 writes it.
    pub fn bundle(&self) -> Value {
        self.bundle_of(Version::V03)
    }

    /// A bundle of any version.
    pub fn bundle_of(&self, version: Version) -> Value {
        let mut material = match &self.signer {
            Signer::Key { spki } => json!({"publicKey": {"hint": b64(&sha256(spki))}}),
            Signer::Certificate { leaf, .. } if version == Version::V03 => {
                json!({"certificate": {"rawBytes": b64(leaf)}})
            }
            Signer::Certificate { leaf, chain } => {
                // The root is the verifier's, so it is left out.
                let above = chain.split_last().map_or(&[][..], |(_, above)| above);
                let list: Vec<_> = std::iter::once(leaf)
                    .chain(above)
                    .map(|der| json!({"rawBytes": b64(der)}))
                    .collect();
                json!({"x509CertificateChain": {"certificates": list}})
            }
        };
        if let Some(entry) = &self.entry {
            let mut entry = entry.bundle_entry();
            if version == Version::V01 {
                entry.as_object_mut().unwrap().shift_remove("inclusionProof");
            }
            material["tlogEntries"] = json!([entry]);
        }
        if let Some(token) = &self.timestamp {
            material["timestampVerificationData"] =
                json!({"rfc3161Timestamps": [{"signedTimestamp": b64(token)}]});
        }
        let mut bundle =
            json!({"mediaType": version.media_type(), "verificationMaterial": material});
        match &self.content {
            Content::Message(_) => {
                let digest = json!({"algorithm": self.algorithm, "digest": b64(&self.digest)});
                bundle["messageSignature"] =
                    json!({"messageDigest": digest, "signature": b64(&self.signature)});
            }
            Content::Envelope { .. } => {
                bundle["dsseEnvelope"] = self.content.envelope(&self.signature)
            }
        }
        bundle
    }

    /// The annotations of the layer of a legacy signature.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::from([(
            "dev.cosignproject.cosign/signature".to_owned(),
            b64(&self.signature),
        )]);
        if let Signer::Certificate { .. } = self.signer {
            annotations.insert("dev.sigstore.cosign/certificate".to_owned(), self.signer.pem());
            annotations.insert("dev.sigstore.cosign/chain".to_owned(), self.chain_pem());
        }
        if let Some(entry) = &self.entry {
            annotations
                .insert("dev.sigstore.cosign/bundle".to_owned(), entry.rekor_bundle().to_string());
        }
        if let Some(timestamp) = self.rfc3161() {
            annotations
                .insert("dev.sigstore.cosign/rfc3161timestamp".to_owned(), timestamp.to_string());
        }
        annotations
    }

    /// The value of the annotation `dev.sigstore.cosign/rfc3161timestamp`.
    pub fn rfc3161(&self) -> Option<Value> {
        self.timestamp.as_ref().map(|token| json!({"SignedRFC3161Timestamp": b64(token)}))
    }

    /// The authorities above the certificate in PEM, the root last.
    pub fn chain_pem(&self) -> String {
        match &self.signer {
            Signer::Certificate { chain, .. } => {
                chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
            }
            Signer::Key { .. } => String::new(),
        }
    }

    /// The file of `sign-blob --bundle` in cosign 1 and 2.
    pub fn blob_bundle(&self) -> Value {
        let mut bundle = json!({"base64Signature": b64(&self.signature), "cert": b64(self.signer.pem().as_bytes())});
        if let Some(entry) = &self.entry {
            bundle["rekorBundle"] = entry.rekor_bundle();
        }
        bundle
    }

    /// The two files of `sign-blob --output-signature --output-certificate`, which have no evidence
    /// from a log: the signature in base64, and the certificate in PEM, in base64 once more as
    /// cosign writes it by default.
    pub fn detached(&self) -> (String, String) {
        (b64(&self.signature), b64(self.signer.pem().as_bytes()))
    }
}
