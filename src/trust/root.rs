//! The trusted root: whose certificates, logs and timestamps count, and when they did.
//!
//! Sources: sigstore protobuf-specs `sigstore_trustroot.proto`; docs/threats.md, rows S and T. The
//! checks of certificates, timestamps, promises and proofs are sigstore-rust's; what it leaves open
//! is closed here.

use super::entry::Claim;
use super::keyless::Rejected;
use super::timestamp::Stampers;
use crate::class::{Class, Failure};
use crate::limits;
use crate::wire::{self, LogEntry};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sigstore::Verifier;
use sigstore::crypto::{Checkpoint, Keyring, SigningScheme, VerificationKey};
use sigstore::types::bundle::TransparencyLogEntry;
use sigstore::types::{DerCertificate, DerPublicKey, Sha256Hash, SignatureBytes, TimeRange};
use std::collections::BTreeSet;
use std::fmt;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::ExtendedKeyUsage;

/// How the media types of trusted roots start.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";

/// `id-kp-codeSigning`, and `anyExtendedKeyUsage`: RFC 5280 section 4.2.1.12.
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Certificate authorities, logs and timestamp authorities, each with when it counted.
pub struct TrustedRoot {
    name: String,
    pub(super) verifier: Verifier,
    /// As it was read, with narrower windows; for what the verifier cannot check.
    document: sigstore::trust_root::TrustedRoot,
    /// What time it is.
    now: Option<Timestamp>,
    logs: Vec<Log>,
    keys: Keyring,
    pub(super) stampers: Stampers,
}

struct Log {
    id: Vec<u8>,
    key: VerificationKey,
    window: Option<TimeRange>,
}

impl Log {
    fn signed(&self, checkpoint: &Checkpoint) -> bool {
        let mut signatures = checkpoint.signatures().iter();
        signatures.any(|found| self.key.verify(checkpoint.signed_data(), &found.signature).is_ok())
    }
}

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedRoot({})", self.name)
    }
}

impl TrustedRoot {
    /// Reads a trusted root. Keys of types that are not known are left out, for they are of logs
    /// that nobody here can check.
    ///
    /// # Errors
    /// `trustroot`: another document, a key without the time from which it counts, or a certificate
    /// that is none.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, Failure> {
        let error = |why: &dyn fmt::Display| {
            Failure::new(Class::Trustroot, format!("the trusted root {name}: {why}"))
        };
        if u64::try_from(bytes.len()).map_or(true, |length| length > limits::ROOT_BYTES) {
            return Err(error(&format!(
                "{} bytes; at most {} are read",
                bytes.len(),
                limits::ROOT_BYTES
            )));
        }
        let instead = |failure: Failure| {
            let expected = wire::FileKind::TrustedRoot.to_string();
            wire::FileKind::instead(bytes, &expected, failure)
        };
        let named = |failure: Failure| failure.within(format!("the trusted root {name}"));
        let value = wire::json::parse(bytes)
            .map_err(|failure| named(instead(failure.as_class(Class::Trustroot))))?;
        let media_type = value.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        if !media_type.starts_with(MEDIA_TYPE) {
            let why =
                format!("the media type `{media_type}`; expected `{MEDIA_TYPE}+json;version=0.1`");
            return Err(named(instead(Failure::new(Class::Trustroot, why))));
        }
        let mut root: sigstore::trust_root::TrustedRoot =
            serde_json::from_value(value).map_err(|problem| error(&problem))?;
        let mut seen = BTreeSet::new();
        root.tlogs.retain(|log| {
            VerificationKey::from_spki(&log.public_key.raw_bytes).is_ok()
                && seen.insert((false, log.log_id.key_id.as_bytes().to_vec()))
        });
        root.ctlogs.retain(|log| {
            is_known(&log.public_key.raw_bytes)
                && seen.insert((true, log.log_id.key_id.as_bytes().to_vec()))
        });
        // Without an end a key counts for ever; without a start nobody said that it ever does.
        let logs = root.tlogs.iter().map(|log| &log.public_key);
        if logs
            .chain(root.ctlogs.iter().map(|log| &log.public_key))
            .any(|key| key.valid_for.is_none())
        {
            return Err(error(&"a log key without `validFor`, its validity period"));
        }
        for authority in &mut root.certificate_authorities {
            let chain =
                authority.cert_chain.certificates.iter().map(|certificate| &certificate.raw_bytes);
            authority.valid_for = narrow(chain, authority.valid_for, Some(CODE_SIGNING))
                .map_err(|problem| error(&problem))?;
        }
        for authority in &mut root.timestamp_authorities {
            let chain =
                authority.cert_chain.certificates.iter().map(|certificate| &certificate.raw_bytes);
            authority.valid_for =
                narrow(chain, authority.valid_for, None).map_err(|problem| error(&problem))?;
        }
        let log = |log: &sigstore::trust_root::TransparencyLog| {
            let key = VerificationKey::from_spki(&log.public_key.raw_bytes).ok()?;
            Some(Log {
                id: log.log_id.key_id.as_bytes().to_vec(),
                key,
                window: log.public_key.valid_for,
            })
        };
        let stampers = root.timestamp_authorities.iter().filter_map(|authority| {
            Some(authority.cert_chain.certificates.first()?.raw_bytes.as_bytes())
        });
        Ok(Self {
            name: name.to_owned(),
            verifier: Verifier::new(&root).map_err(|problem| error(&problem))?,
            logs: root.tlogs.iter().filter_map(log).collect(),
            now: None,
            keys: root.rekor_keys().map_err(|problem| error(&problem))?,
            stampers: Stampers::new(stampers).map_err(|problem| error(&problem))?,
            document: root,
        })
    }

    /// Says what time it is: what a log got later than that is not believed.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now: Some(now), ..self }
    }

    /// Returns what time it is.
    ///
    /// # Errors
    /// `internal`: nobody said.
    pub(super) fn now(&self) -> Result<Timestamp, Failure> {
        self.now.ok_or_else(|| {
            Failure::new(Class::Internal, "a trusted root that was not told what time it is")
        })
    }

    /// Returns what it was read from; authorities count there only while their certificates do.
    pub(super) fn document(&self) -> &sigstore::trust_root::TrustedRoot {
        &self.document
    }

    /// Whether a log of this name has a key that counted at a time.
    pub(super) fn has_key_at(&self, log: &[u8; 32], time: Timestamp) -> bool {
        self.keys.key_at(&Sha256Hash::from(*log), time).is_some()
    }

    /// Whether any log signed the head of a tree.
    pub(super) fn knows_signer(&self, checkpoint: &Checkpoint) -> bool {
        self.logs.iter().any(|log| log.signed(checkpoint))
    }

    /// Whether it says that its certificates are made at this address.
    #[must_use]
    pub fn names_authority(&self, url: &str) -> bool {
        let plain = |url: &str| url.trim_end_matches('/').to_owned();
        let authorities = &self.document.certificate_authorities;
        authorities.iter().any(|authority| plain(&authority.uri) == plain(url))
    }

    /// Checks of an entry of Rekor v2 what nobody signs but the head of the tree, and readers pass over:
    /// what the proof repeats of it.
    ///
    /// # Errors
    /// `tlog`: it repeats something else.
    pub fn check_head(&self, entry: &Value) -> Result<(), Rejected> {
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
        let head = text("/inclusionProof/checkpoint/envelope")
            .and_then(|text| Checkpoint::from_text(text).ok())
            .ok_or_else(|| tlog("an entry without the head of a tree that can be read"))?;
        let root = text("/inclusionProof/rootHash").and_then(|t| BASE64_STANDARD.decode(t).ok());
        let size = text("/inclusionProof/treeSize").and_then(|text| text.parse().ok());
        if root.as_deref() != Some(head.root_hash().as_bytes().as_slice())
            || size != Some(head.tree_size())
        {
            return Err(tlog("a proof for another tree than the one whose head is signed").into());
        }
        let number = |pointer: &str| text(pointer).unwrap_or("0");
        if number("/inclusionProof/logIndex") != number("/logIndex") {
            return Err(tlog("a proof of another entry than it says").into());
        }
        Ok(())
    }

    /// Returns where it comes from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks what the crate leaves open of an entry: that it is proven at all, that the log which
    /// signed the proof is the one that the entry names, and that its key counted at every time
    /// that is known.
    pub(super) fn check_log(
        &self,
        entry: &TransparencyLogEntry,
        times: &[Timestamp],
    ) -> Result<(), Failure> {
        let body = wire::json::parse(entry.canonicalized_body.as_bytes()).unwrap_or_default();
        if body.get("kind") != Some(&json!(entry.kind_version.kind()))
            || body.get("apiVersion") != Some(&json!(entry.kind_version.version()))
        {
            return Err(tlog("a log entry of another kind than it says"));
        }
        let Some(proof) = &entry.inclusion_proof else {
            return if entry.inclusion_promise.is_some() {
                Ok(())
            } else {
                Err(tlog("a log entry that nothing proves"))
            };
        };
        let checkpoint =
            proof.checkpoint.checkpoint().ok_or_else(|| tlog("a proof without a checkpoint"))?;
        // Nobody signs the name of the log in a v2 entry. It is held against the signer all the same:
        // one meaning for both kinds, as sigstore-go has it.
        self.check_signer(checkpoint, Some(entry.log_id.key_id.as_bytes()), times)
    }

    /// Checks that the head of a tree is signed by a log, by the one of this name where there is
    /// one, whose key counted then.
    pub(super) fn check_signer(
        &self,
        checkpoint: &Checkpoint,
        name: Option<&[u8]>,
        times: &[Timestamp],
    ) -> Result<(), Failure> {
        let signed_by = |log: &&Log| log.signed(checkpoint);
        // Where no time is known, a key that has an end may have been used after it.
        let dated = |window: &TimeRange| window.end.is_none() || !times.is_empty();
        let counted = |log: &Log| {
            log.window.is_none_or(|window| {
                dated(&window) && times.iter().all(|time| window.contains(*time))
            })
        };
        let named = |log: &&Log| name.is_none_or(|name| log.id == name);
        let mut signers = self.logs.iter().filter(signed_by).filter(named).peekable();
        if signers.peek().is_none() {
            return Err(tlog("a checkpoint by another log than the entry names"));
        }
        if signers.any(counted) {
            Ok(())
        } else {
            Err(tlog("a checkpoint by a key that was not valid when the signature was made"))
        }
    }

    /// Checks that a log promised to have an entry about a signature by a key, as the entry lies
    /// beside legacy signatures. Returns when, and at which position.
    ///
    /// # Errors
    /// `tlog`: it did not, or the entry is about something else. `time`: a log whose key did not
    /// count then.
    pub(super) fn check_promise(
        &self,
        entry: &LogEntry,
        claim: &Claim<'_>,
    ) -> Result<(Timestamp, u64), Rejected> {
        let time = self.check_promised(entry)?;
        claim.is_named_in(&entry.body)?;
        Ok((time, entry.log_index))
    }

    /// Checks that a log promised to have an entry, whatever it is about. Returns when.
    pub(super) fn check_promised(&self, entry: &LogEntry) -> Result<Timestamp, Rejected> {
        let time = Timestamp::from_second(entry.integrated_time)
            .map_err(|_| malformed("a log entry with a time that cannot be"))?;
        // RFC 8785 by hand: the four keys in order, and no character in them that is escaped.
        let log_id: String = entry.log_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let payload = json!({
            "body": BASE64_STANDARD.encode(&entry.body),
            "integratedTime": entry.integrated_time,
            "logID": log_id,
            "logIndex": entry.log_index,
        });
        let id = Sha256Hash::from(entry.log_id);
        if self.keys.key(&id).is_none() {
            return Err(Rejected {
                failure: tlog(format!(
                    "an entry of the log {log_id}, which the trusted root {} does not know",
                    self.name
                )),
                unknown: true,
            });
        }
        self.keys
            .verify_with_key_id_at(
                &id,
                time,
                payload.to_string(),
                &SignatureBytes::new(entry.promise.clone()),
            )
            .map_err(|error| tlog(format!("the log did not promise this entry: {error}")))?;
        Ok(time)
    }
}

/// Returns when an authority counts: only while each of its certificates does, where these are for
/// `purpose`. The crate takes those that it ends a chain at as they are, whatever their dates
/// (cosign CVE-2026-24122; docs/threats.md S12).
fn narrow<'a>(
    chain: impl Iterator<Item = &'a DerCertificate>,
    known: Option<TimeRange>,
    purpose: Option<ObjectIdentifier>,
) -> Result<Option<TimeRange>, String> {
    let mut narrowed = known;
    for certificate in chain {
        let certificate = x509_cert::Certificate::from_der(certificate.as_bytes())
            .map_err(|error| error.to_string())?;
        let tbs = &certificate.tbs_certificate;
        let time = |time: x509_cert::time::Time| {
            Timestamp::try_from(time.to_system_time()).map_err(|error| error.to_string())
        };
        let (start, end) = (time(tbs.validity.not_before)?, time(tbs.validity.not_after)?);
        let window = narrowed.unwrap_or_else(|| TimeRange::new(start, Some(end)));
        narrowed = Some(TimeRange::new(
            window.start.max(start),
            Some(window.end.map_or(end, |known| known.min(end))),
        ));
        let purposes = tbs.get::<ExtendedKeyUsage>().map_err(|error| error.to_string())?;
        if let (Some(purpose), Some((_, purposes))) = (purpose, purposes)
            && !purposes.0.iter().any(|found| [purpose, ANY_PURPOSE].contains(found))
        {
            return Err(format!(
                "an authority whose certificate `{}` is not for signing",
                tbs.subject
            ));
        }
    }
    Ok(narrowed)
}

/// Whether signed certificate timestamps by this key can be checked: the old logs have RSA keys.
fn is_known(key: &DerPublicKey) -> bool {
    VerificationKey::from_spki(key).is_ok()
        || VerificationKey::from_der(key, SigningScheme::RsaPkcs1Sha256).is_ok()
}

pub(super) fn tlog(why: impl fmt::Display) -> Failure {
    Failure::new(Class::Tlog, why)
}

pub(super) fn malformed(why: impl fmt::Display) -> Failure {
    Failure::new(Class::Malformed, why)
}

#[cfg(test)]
mod tests {
    use super::super::keyless;
    use super::*;
    use sigstore::types::KindVersion;

    /// What a bundle calls an entry is signed by nobody; the body is.
    #[test]
    fn an_entry_is_of_the_kind_and_version_that_it_says() {
        let root = json!({"mediaType": format!("{MEDIA_TYPE}+json;version=0.1"), "tlogs": [], "ctlogs": [], "certificateAuthorities": []});
        let root = TrustedRoot::parse(root.to_string().as_bytes(), "of the test").unwrap();
        let kinds = [
            ("hashedrekord", "0.0.1", KindVersion::HashedRekordV001),
            ("hashedrekord", "0.0.2", KindVersion::HashedRekordV002),
            ("dsse", "0.0.1", KindVersion::DsseV001),
            ("intoto", "0.0.2", KindVersion::IntotoV002),
        ];
        for (kind, version, own) in kinds {
            let body = json!({"kind": kind, "apiVersion": version}).to_string().into_bytes();
            let entry = LogEntry {
                body,
                integrated_time: 7,
                log_index: 9,
                log_id: [0; 32],
                promise: vec![1],
            };
            let mut entry = keyless::log_entry(&entry).unwrap();
            for (_, _, called) in kinds {
                entry.kind_version = called;
                let expected = if called == own { Ok(()) } else { Err(Class::Tlog) };
                assert_eq!(
                    root.check_log(&entry, &[]).map_err(|failure| failure.class()),
                    expected,
                    "{kind} {version}, {called:?}"
                );
            }
        }
    }
}
