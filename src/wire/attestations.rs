//! A file of attestations, in whatever form they are published: each becomes a Sigstore bundle, so
//! that one checker reads all of them.
//!
//! Sources: cosign 2 `cmd/cosign/cli/attest/attest_blob.go` (an envelope in the bundle of cosign 1
//! and 2); PEP 740 "Attestation objects" and "Provenance objects"; npm's and GitHub's APIs, which
//! list bundles under `attestations`; JSON lines, as `gh attestation download` writes them. What
//! is around an attestation is not signed and says nothing; the attestation itself is read as
//! strictly as a bundle.

use super::bundle::{BUNDLE_TYPE, Bundle, BundleSource, OLD_BUNDLE_TYPE, STATEMENT_TYPE};
use super::detached::{Detached, is_old_bundle};
use super::{FileKind, json};
use crate::class::{Class, Failure};
use crate::limits;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};

/// What a file of attestations holds.
#[derive(Debug)]
pub struct Attestations {
    /// One for each that is in it, or why it cannot be read. At least one.
    pub bundles: Vec<Result<Bundle, Failure>>,
    /// Whether there are more than [`limits::ATTESTATIONS`].
    pub more: bool,
}

impl Attestations {
    fn take(&mut self, bundle: Result<Bundle, Failure>) {
        if self.bundles.len() < limits::ATTESTATIONS {
            self.bundles.push(bundle);
        } else {
            self.more = true;
        }
    }
}

/// Reads a file of attestations: one document, or one on each line.
///
/// # Errors
/// `malformed`: not JSON, or a list of none. `limit`: longer than [`limits::ATTESTATIONS_BYTES`].
pub fn read_attestations(bytes: &[u8]) -> Result<Attestations, Failure> {
    if u64::try_from(bytes.len()).map_or(true, |length| length > limits::ATTESTATIONS_BYTES) {
        return Err(Failure::new(
            Class::Limit,
            format!(
                "attestations of {} bytes; at most {} are read",
                bytes.len(),
                limits::ATTESTATIONS_BYTES
            ),
        ));
    }
    let mut found = Attestations { bundles: Vec::new(), more: false };
    match json::parse(bytes) {
        Ok(document) => read_document(&document, bytes, &mut found),
        Err(failure) => {
            let lines: Vec<&[u8]> = bytes
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::trim_ascii)
                .filter(|line| !line.is_empty())
                .collect();
            // One broken document has no line that is a document by itself.
            let is_lines = lines.len() > 1 && lines.iter().any(|line| json::parse(line).is_ok());
            if !is_lines {
                let failure = failure.within("attestations");
                return Err(FileKind::instead(bytes, "an attestation", failure));
            }
            for line in lines {
                if found.more {
                    break;
                }
                match json::parse(line) {
                    Ok(document) => read_document(&document, line, &mut found),
                    Err(failure) => found.take(Err(failure.within("one line"))),
                }
            }
        }
    }
    if found.bundles.is_empty() {
        return Err(Failure::new(
            Class::Malformed,
            "an empty list, where attestations are expected",
        ));
    }
    Ok(found)
}

/// Reads one document: an attestation, or a list of them.
fn read_document(document: &Value, bytes: &[u8], found: &mut Attestations) {
    let list = |key: &str| document.get(key).and_then(Value::as_array);
    if document.get("mediaType").is_some() {
        found.take(within_limit(bytes).and_then(|()| Bundle::parse(bytes, BundleSource::File)));
    } else if is_old_bundle(document) {
        found.take(within_limit(bytes).and_then(|()| {
            let detached = Detached::parse(bytes)?;
            detached.attestation().ok_or_else(|| {
                Failure::new(
                    Class::Malformed,
                    "a bundle with the signature of a file; expected an attestation",
                )
                .hint("for the signature of a file: luet-cosign verify-blob")
            })?
        }));
    } else if let Some(bundles) = list("attestation_bundles") {
        // PEP 740, "Provenance objects".
        let lists = bundles.iter().filter_map(|bundle| bundle.get("attestations")?.as_array());
        lists.flatten().for_each(|attestation| found.take(read_pep740(attestation)));
    } else if let Some(attestations) = list("attestations") {
        for attestation in attestations {
            let bundle = attestation.get("bundle").unwrap_or(&Value::Null);
            found.take(Bundle::parse(bundle.to_string().as_bytes(), BundleSource::File));
        }
    } else if document.get("verification_material").is_some() {
        found.take(read_pep740(document));
    } else {
        found.take(read_envelope(document));
    }
}

fn within_limit(bytes: &[u8]) -> Result<(), Failure> {
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limits::BUNDLE_BYTES => Ok(()),
        _ => Err(Failure::new(
            Class::Limit,
            format!("a bundle of {} bytes; at most {} are read", bytes.len(), limits::BUNDLE_BYTES),
        )),
    }
}

/// Reads an attestation object of PEP 740, which is a bundle of version 0.3 in other words.
fn read_pep740(value: &Value) -> Result<Bundle, Failure> {
    let attestation = object(value, "it", &["version", "verification_material", "envelope"])?;
    if attestation.get("version") != Some(&json!(1)) {
        let version = attestation.get("version").unwrap_or(&Value::Null);
        return Err(Failure::new(
            Class::Unsupported,
            format!("a PyPI attestation of version {version}; expected 1"),
        ));
    }
    let part = |name: &str, keys: &[&str]| {
        object(attestation.get(name).unwrap_or(&Value::Null), &format!("`{name}`"), keys)
    };
    let material = part("verification_material", &["certificate", "transparency_entries"])?;
    let envelope = part("envelope", &["statement", "signature"])?;
    let of = |object: &Map<String, Value>, key: &str| object.get(key).cloned().unwrap_or_default();
    parse(&json!({
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {
            "certificate": {"rawBytes": of(material, "certificate")},
            "tlogEntries": of(material, "transparency_entries"),
        },
        "dsseEnvelope": {
            "payload": of(envelope, "statement"),
            "payloadType": STATEMENT_TYPE,
            "signatures": [{"sig": of(envelope, "signature")}],
        },
    }))
}

/// Reads a bare envelope, as `attest-blob --output-signature` writes it. Only a key proves it.
fn read_envelope(value: &Value) -> Result<Bundle, Failure> {
    if value.get("payloadType").is_none() {
        return Err(Failure::new(
            Class::Malformed,
            "not an attestation; expected a Sigstore bundle, a bundle of cosign 2, or an \
             attestation of PyPI",
        ));
    }
    parse(&json!({
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {}},
        "dsseEnvelope": value,
    }))
}

impl Detached {
    /// Returns the attestation that cosign 2 keeps where a signature would be: an envelope with
    /// whose it is beside it. `None`: it is a signature.
    #[must_use]
    pub fn attestation(&self) -> Option<Result<Bundle, Failure>> {
        let envelope = json::parse(&self.signature).ok()?;
        envelope.get("payloadType")?;
        let certificates: Vec<Value> = self
            .certificates
            .iter()
            .map(|der| json!({"rawBytes": BASE64_STANDARD.encode(der)}))
            .collect();
        let mut material = Map::new();
        if certificates.is_empty() {
            material.insert("publicKey".to_owned(), json!({}));
        } else {
            let chain = json!({"certificates": certificates});
            material.insert("x509CertificateChain".to_owned(), chain);
        }
        if let Some(logged) = &self.entry {
            let entry = &logged.entry;
            // Only the body says which kind it is.
            let body = json::parse(&entry.body).unwrap_or_default();
            let text = |key: &str| body.get(key).cloned().unwrap_or_default();
            material.insert(
                "tlogEntries".to_owned(),
                json!([{
                    "logIndex": entry.log_index.to_string(),
                    "logId": {"keyId": BASE64_STANDARD.encode(entry.log_id)},
                    "kindVersion": {"kind": text("kind"), "version": text("apiVersion")},
                    "integratedTime": entry.integrated_time.to_string(),
                    "inclusionPromise": {
                        "signedEntryTimestamp": BASE64_STANDARD.encode(&entry.promise),
                    },
                    "canonicalizedBody": BASE64_STANDARD.encode(&entry.body),
                }]),
            );
        }
        if let Some(timestamp) = &self.timestamp {
            let timestamp = json!({"signedTimestamp": BASE64_STANDARD.encode(timestamp)});
            let data = json!({"rfc3161Timestamps": [timestamp]});
            material.insert("timestampVerificationData".to_owned(), data);
        }
        // Version 0.1 is the one in which a log's promise is enough.
        Some(parse(&json!({
            "mediaType": OLD_BUNDLE_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": envelope,
        })))
    }
}

fn parse(bundle: &Value) -> Result<Bundle, Failure> {
    Bundle::parse(bundle.to_string().as_bytes(), BundleSource::File)
}

fn object<'a>(
    value: &'a Value,
    what: &str,
    keys: &[&str],
) -> Result<&'a Map<String, Value>, Failure> {
    let malformed = |why: String| {
        Failure::new(Class::Malformed, format!("a PyPI attestation is broken: {what} {why}"))
    };
    let object = value.as_object().ok_or_else(|| malformed("is not an object".to_owned()))?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(malformed(format!("has `{key}`, which its version does not know"))),
        None => Ok(object),
    }
}
