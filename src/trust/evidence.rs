//! What comes with a signature by a certificate, for keys with which sigstore-verify cannot check
//! it: ECDSA P-384 and P-521. It knows no P-521, and holds log entries against SHA-256 alone, while
//! such keys sign by SHA-384 and SHA-512, and the logs name these.
//!
//! Each check of that crate is made here, in the same order and with the same outcome, over the
//! parts of sigstore-rust that can be called by themselves; `tests/keyless` runs every attack on
//! both. What a signature is over comes last ([`Unread`]), for of a legacy signature the message is
//! fetched only after everything else held.

use super::chain::{self, Chain};
use super::entry::{Claim, SignedContent, digests_of};
use super::file::key_of;
use super::key::PublicKey;
use super::keyless::{CertificateLog, Certified, Rejected, judge, signature_of};
use super::request::StampRequest;
use super::root::{TrustedRoot, malformed, tlog};
use super::timestamp;
use crate::class::{Class, Failure};
use crate::wire::LogEntry;
use jiff::Timestamp;
use sigstore::bundle::{ValidationOptions, validate_bundle_with_options};
use sigstore::types::bundle::{TransparencyLogEntry, VerificationMaterialContent};
use sigstore::types::{Bundle as SigstoreBundle, KindVersion, SignatureBytes, TimestampToken};
use sigstore::{Error, TimestampError, TransparencyLogError, tsa};

/// A signature of which everything holds but what it is over.
#[derive(Clone, Debug)]
pub struct Unread {
    certified: Certified,
    key: PublicKey,
    certificate: Vec<u8>,
    signature: Vec<u8>,
    /// The bodies of the log's entries.
    entries: Vec<Vec<u8>>,
}

impl AsRef<Certified> for Unread {
    /// Whose it is, if it is over the message.
    fn as_ref(&self) -> &Certified {
        &self.certified
    }
}

impl Unread {
    /// Checks that the signature is over this, and that every entry is about that.
    ///
    /// # Errors
    /// `signature`: it is over something else. `tlog`: an entry is.
    pub(super) fn read(self, signed: SignedContent<'_>) -> Result<Certified, Failure> {
        let digests = match signed {
            SignedContent::Message(digests) => digests.clone(),
            SignedContent::Envelope(envelope) => digests_of(&envelope.signed_bytes()),
        };
        // A log checks the signature against the digest that it writes down, so an entry names the
        // hash that the signature is over: of P-384 by old clients that is SHA-256. (sigstore-go
        // compares the entry with the hash that the bundle names, which is the same for whatever a
        // log took.)
        let hash = self.key.hash_of(&digests, &self.signature).ok_or_else(|| {
            Failure::new(Class::Signature, "the key of the certificate did not make the signature")
        })?;
        let claim = Claim {
            signed,
            signature: &self.signature,
            verifier: &self.certificate,
            hash: Some(hash),
        };
        for body in &self.entries {
            claim.is_named_in(body)?;
        }
        Ok(self.certified)
    }
}

/// Whether a certificate is checked here: by its key.
pub(super) fn is_ours(certificate: &[u8]) -> bool {
    key_of(certificate).is_ok_and(|key| key.has_long_curve())
}

impl TrustedRoot {
    /// Checks all that is beside a signature. `undated` is the failure where nothing says when.
    pub(super) fn check_evidence(
        &self,
        bundle: &SigstoreBundle,
        sct: CertificateLog,
        undated: impl FnOnce(Error) -> Rejected,
    ) -> Result<Unread, Rejected> {
        let entries = &bundle.verification_material.tlog_entries;
        let (leaf, above) = certificates(bundle)?;
        let signature = signature_of(&bundle.content)?;
        // (1) The form: what a bundle of its version has to have.
        let options = ValidationOptions::new()
            .with_require_inclusion_proof(true)
            .with_require_timestamp(false);
        validate_bundle_with_options(bundle, &options)
            .map_err(|error| judge(Error::Bundle(error)))?;
        // (2) When it was made, by every clock that vouches for it.
        let mut times = self.check_stamps(bundle, &signature)?;
        for entry in entries {
            times.extend(self.check_entry_promise(entry)?);
        }
        if times.is_empty() {
            return Err(undated(chain::untimed()));
        }
        // (3) The certificate counted at each of these times, and was logged.
        let issuer = chain::check_issued(self.document(), Chain { leaf, above: &above }, &times)?;
        if sct == CertificateLog::Required {
            chain::check_logged(self.document(), leaf, &issuer)?;
        }
        // (4) The log has every entry, and got it in time.
        for entry in entries {
            self.check_included(entry)?;
            if let Some(time) = entry.integrated_time.filter(|_| is_v1(entry)) {
                chain::check_window(leaf, time)?;
            }
        }
        let certified = self.check_logs(bundle, leaf, times)?;
        let bodies = entries.iter().map(|entry| entry.canonicalized_body.as_bytes().to_vec());
        Ok(Unread {
            certified,
            key: key_of(leaf)?,
            certificate: leaf.to_vec(),
            signature,
            entries: bodies.collect(),
        })
    }

    /// Checks that each timestamp is one of this signature, by an authority that counted then.
    fn check_stamps(
        &self,
        bundle: &SigstoreBundle,
        signature: &[u8],
    ) -> Result<Vec<Timestamp>, Rejected> {
        let stamps = &bundle.verification_material.timestamp_verification_data.rfc3161_timestamps;
        stamps.iter().map(|stamp| self.check_stamp(&stamp.signed_timestamp, signature)).collect()
    }

    /// Checks that a timestamp is one of this signature, by an authority that counted then.
    pub(super) fn check_stamp(
        &self,
        token: &TimestampToken,
        signature: &[u8],
    ) -> Result<Timestamp, Rejected> {
        let signature = SignatureBytes::new(signature.to_vec());
        let (mut outside, mut why) = (None, "no timestamp authority is known".to_owned());
        for authority in &self.document().tsa_authorities() {
            match tsa::verify_timestamp_for_authority(token, &signature, authority) {
                Ok(time) => return Ok(time),
                Err(tsa::Error::TimestampOutsideValidity { time }) => outside = Some(time),
                Err(error) => why = error.to_string(),
            }
        }
        Err(match outside {
            Some(time) => judge(TimestampError::OutsideAuthorityValidity { time }.into()),
            None => judge(TimestampError::Invalid(why).into()),
        })
    }

    /// Checks a timestamp that was just made for a signature: that it answers this request, and that
    /// `certificate`, where one signed, counted then.
    ///
    /// # Errors
    /// `time`: it does not hold, or is an older answer.
    pub fn check_answered(
        &self,
        stamp: &[u8],
        request: &StampRequest,
        signature: &[u8],
        certificate: Option<&[u8]>,
    ) -> Result<(), Rejected> {
        let wrong = |why: &str| Failure::new(Class::Time, format!("the new timestamp {why}"));
        if !timestamp::repeats(stamp, &request.nonce) {
            return Err(wrong("does not answer the request: its nonce is another one").into());
        }
        if timestamp::signers(stamp) != Some(1) {
            return Err(wrong("has another number of signers than one").into());
        }
        let time = self.check_stamp(&TimestampToken::new(stamp.to_vec()), signature)?;
        certificate.map_or(Ok(()), |certificate| chain::check_window(certificate, time))
    }

    /// Checks the promise of a log to have an entry, where there is one. Returns when it got it,
    /// where the promise says that: of Rekor v1.
    fn check_entry_promise(
        &self,
        entry: &TransparencyLogEntry,
    ) -> Result<Option<Timestamp>, Rejected> {
        let Some(promise) = &entry.inclusion_promise else { return Ok(None) };
        let time = entry.integrated_time.ok_or_else(|| tlog("a log's promise without a time"))?;
        let log_id = entry.log_id.key_id.as_bytes();
        let promised = LogEntry {
            body: entry.canonicalized_body.as_bytes().to_vec(),
            integrated_time: time.as_second(),
            log_index: entry.log_index.get(),
            log_id: log_id.try_into().map_err(|_| malformed("a log with another kind of name"))?,
            promise: promise.signed_entry_timestamp.as_bytes().to_vec(),
        };
        let log = TransparencyLogError::InclusionPromise;
        if !self.has_key_at(&promised.log_id, time) {
            let why = format!("No log key valid at integrated time {time}");
            return Err(judge(log(why).into()));
        }
        self.check_promised(&promised)?;
        if time > self.now()? {
            let why = format!("integrated time {time} is in the future");
            return Err(judge(TransparencyLogError::IntegratedTime(why).into()));
        }
        Ok(is_v1(entry).then_some(time))
    }

    /// Checks the proof that a tree has an entry whose head a log signed that is known. That it is
    /// the log of the entry, and counted then, `check_log` holds for every form.
    fn check_included(&self, entry: &TransparencyLogEntry) -> Result<(), Rejected> {
        let Some(proof) = &entry.inclusion_proof else { return Ok(()) };
        let head = |why: &str| judge(TransparencyLogError::Checkpoint(why.to_owned()).into());
        let checkpoint = proof.checkpoint.checkpoint().ok_or_else(|| head("there is none"))?;
        // Of a v2 entry only the checkpoint is signed; what the proof repeats of it counts nothing.
        let (index, size, root) = if entry.kind_version == KindVersion::HashedRekordV002 {
            (entry.log_index.get(), checkpoint.tree_size(), checkpoint.root_hash())
        } else {
            (proof.log_index.get(), proof.tree_size, &proof.root_hash)
        };
        sigstore_merkle::verify_inclusion_proof(
            &sigstore_merkle::hash_leaf(entry.canonicalized_body.as_bytes()),
            index,
            size,
            &proof.hashes,
            root,
        )
        .map_err(|error| judge(TransparencyLogError::InclusionProof(error.to_string()).into()))?;
        if checkpoint.root_hash() != root {
            return Err(head("it is the head of another tree than the proof's"));
        }
        if !self.knows_signer(checkpoint) {
            return Err(head("no log that is known signed it"));
        }
        Ok(())
    }
}

fn is_v1(entry: &TransparencyLogEntry) -> bool {
    matches!(
        entry.kind_version,
        KindVersion::HashedRekordV001 | KindVersion::DsseV001 | KindVersion::IntotoV002
    )
}

/// Returns the certificate of the signer, and those above it.
fn certificates(bundle: &SigstoreBundle) -> Result<(&[u8], Vec<&[u8]>), Failure> {
    let none = || malformed("no certificate");
    match &bundle.verification_material.content {
        VerificationMaterialContent::Certificate(leaf) => {
            Ok((leaf.raw_bytes.as_bytes(), Vec::new()))
        }
        VerificationMaterialContent::X509CertificateChain { certificates } => {
            let mut all = certificates.iter().map(|certificate| certificate.raw_bytes.as_bytes());
            Ok((all.next().ok_or_else(none)?, all.collect()))
        }
        _ => Err(none()),
    }
}
