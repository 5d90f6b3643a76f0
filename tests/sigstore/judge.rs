//! `sigstore-verify` as the judge of all forms. What it does not read itself is converted: a legacy
//! signature is a bundle v0.1 in another spelling.

use super::IMAGE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore::trust_root::TrustedRoot;
use sigstore::types::{Bundle, DerPublicKey, Sha256Hash};
use sigstore::{
    Policy, PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult, Verifier,
};
use std::collections::BTreeMap;
use testkit::sigstore::{Content, Signature, Version};

/// What the crate says about a signature by a certificate, of whomever: a legacy one as its payload
/// and annotations, any other as a bundle.
pub(super) fn signed(verifier: &Verifier, form: Form, signature: &Signature) -> Result<(), String> {
    let bundle = match form {
        Form::Legacy => converted(signature.payload(), &signature.annotations()),
        Form::Bundle => signature.bundle(),
    };
    verify(verifier, artifact(&signature.content), &bundle, &VerificationPolicy::any_identity())
        .map(|_| ())
}

/// How a signature is written down.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Legacy,
    Bundle,
}

/// What it says about a bundle.
pub(super) fn bundle(
    root: &Value,
    digest: Sha256Hash,
    bundle: &Value,
    policy: &dyn Policy,
) -> Result<VerificationResult, String> {
    verify(&verifier(root)?, digest, bundle, policy)
}

fn verify(
    verifier: &Verifier,
    digest: Sha256Hash,
    bundle: &Value,
    policy: &dyn Policy,
) -> Result<VerificationResult, String> {
    let bundle = Bundle::from_json(&bundle.to_string()).map_err(|error| error.to_string())?;
    verifier.verify(digest, &bundle, policy).map_err(|error| error.to_string())
}

/// A verifier with this trusted root.
pub(super) fn verifier(root: &Value) -> Result<Verifier, String> {
    let root = TrustedRoot::from_json(&root.to_string()).map_err(|error| error.to_string())?;
    Verifier::new(&root).map_err(|error| error.to_string())
}

/// The same about a signature by a certificate, of whomever, in the newest form that can hold it.
pub(super) fn keyless(root: &Value, signature: &Signature) -> Result<VerificationResult, String> {
    bundle(
        root,
        artifact(&signature.content),
        &signature.bundle(),
        &VerificationPolicy::any_identity(),
    )
}

/// The same about a signature by this key.
pub(super) fn keyed(
    root: &Value,
    signature: &Signature,
    spki: &[u8],
) -> Result<VerificationResult, String> {
    bundle(
        root,
        artifact(&signature.content),
        &signature.bundle(),
        &PublicKeyVerificationPolicy::new(DerPublicKey::new(spki.to_vec())),
    )
}

/// The digest that a bundle is asked about: of the message, or of the image that the statement is
/// about.
pub(super) fn artifact(content: &Content) -> Sha256Hash {
    match content {
        Content::Message(bytes) => Sha256Hash::new(testkit::sigstore::sha256(bytes)),
        Content::Envelope { .. } => {
            Sha256Hash::from_hex(IMAGE.trim_start_matches("sha256:")).unwrap()
        }
    }
}

/// What it says about a legacy signature: its payload and its annotations, read as cosign's own
/// verifier reads them.
pub(super) fn legacy(
    root: &Value,
    payload: &[u8],
    annotations: &BTreeMap<String, String>,
) -> Result<VerificationResult, String> {
    let content = Content::Message(payload.to_vec());
    bundle(
        root,
        artifact(&content),
        &converted(payload, annotations),
        &VerificationPolicy::any_identity(),
    )
}

fn converted(payload: &[u8], annotations: &BTreeMap<String, String>) -> Value {
    let certificate = pem::parse(&annotations["dev.sigstore.cosign/certificate"]).unwrap();
    let mut material = json!({"x509CertificateChain": {"certificates": [{"rawBytes": STANDARD.encode(certificate.contents())}]}});
    if let Some(entry) = annotations.get("dev.sigstore.cosign/bundle") {
        material["tlogEntries"] = json!([entry_of(&serde_json::from_str(entry).unwrap())]);
    }
    if let Some(timestamp) = annotations.get("dev.sigstore.cosign/rfc3161timestamp") {
        let timestamp: Value = serde_json::from_str(timestamp).unwrap();
        material["timestampVerificationData"] = json!({"rfc3161Timestamps": [{"signedTimestamp": timestamp["SignedRFC3161Timestamp"]}]});
    }
    json!({
        "mediaType": Version::V01.media_type(),
        "verificationMaterial": material,
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(testkit::sigstore::sha256(payload))},
            "signature": annotations["dev.cosignproject.cosign/signature"],
        },
    })
}

/// A log entry from cosign's `RekorBundle`.
fn entry_of(bundle: &Value) -> Value {
    let payload = &bundle["Payload"];
    let body: Value =
        serde_json::from_slice(&STANDARD.decode(payload["body"].as_str().unwrap()).unwrap())
            .unwrap();
    let log = payload["logID"].as_str().unwrap();
    let log: Vec<u8> = (0..log.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&log[at..at + 2], 16).unwrap())
        .collect();
    json!({
        "logIndex": payload["logIndex"].to_string(),
        "logId": {"keyId": STANDARD.encode(log)},
        "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
        "integratedTime": payload["integratedTime"].to_string(),
        "inclusionPromise": {"signedEntryTimestamp": bundle["SignedEntryTimestamp"]},
        "canonicalizedBody": payload["body"],
    })
}
