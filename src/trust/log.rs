//! An entry of a log by itself: that the log promised it and has it, and what it says, for people.
//!
//! Sources: RFC 6962 section 2.1.1; rekor
//! `cmd/rekor-cli/app/get.go`.

use super::keyless::Rejected;
use super::root::{TrustedRoot, tlog};
use crate::class::Failure;
use crate::name::Digest;
use crate::wire::{LogAnswer, json, leaf_hash};
use jiff::Timestamp;
use serde_json::{Value, json as object};
use sigstore::crypto::Checkpoint;
use sigstore::types::Sha256Hash;
use std::fmt;

/// Proof: a log that the trusted root knows promised this entry, and has it in a tree whose head it
/// signed.
#[derive(Clone, Debug)]
pub struct VerifiedEntry {
    answer: LogAnswer,
    time: Timestamp,
    /// The name of the type, as rekor-cli has it, and what the entry says.
    body: Value,
}

impl TrustedRoot {
    /// Checks an entry by itself: promise, proof and the head of the tree.
    ///
    /// # Errors
    /// `tlog`: one of the three does not hold, or is not there.
    pub fn check_answer(&self, answer: &LogAnswer) -> Result<VerifiedEntry, Rejected> {
        let entry = &answer.logged.entry;
        let time = self.check_promised(entry)?;
        let leaf = leaf_hash(&entry.body);
        if !answer.uuid.ends_with(&leaf.hex()) {
            return Err(tlog(format!(
                "an entry called `{}`, which is `{}`",
                answer.uuid,
                leaf.hex()
            ))
            .into());
        }
        let proof = answer
            .logged
            .proof
            .as_ref()
            .ok_or_else(|| tlog("an entry without a proof that the log has it"))?;
        let hashes: Vec<Sha256Hash> = proof.hashes.iter().copied().map(Sha256Hash::from).collect();
        let root = Sha256Hash::from(proof.root);
        sigstore_merkle::verify_inclusion_proof(
            &Sha256Hash::from(*leaf.bytes()),
            proof.index,
            proof.size,
            &hashes,
            &root,
        )
        .map_err(|error| tlog(format!("the proof does not hold: {error}")))?;
        let head = Checkpoint::from_text(&proof.checkpoint)
            .map_err(|error| tlog(format!("a checkpoint that cannot be read: {error}")))?;
        if head.root_hash().as_bytes() != root.as_bytes() || head.tree_size() != proof.size {
            return Err(tlog("a checkpoint of another tree than the proof").into());
        }
        self.check_signer(&head, Some(&entry.log_id), &[time])?;
        Ok(VerifiedEntry { body: body(&entry.body)?, answer: answer.clone(), time })
    }
}

/// Returns the entry as rekor-cli shows it: what it says, under the name of its Go type.
fn body(bytes: &[u8]) -> Result<Value, Failure> {
    let mut body = json::parse(bytes)?;
    let kind = body.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = match kind.as_str() {
        "alpine" => "AlpineModel",
        "cose" => "CoseObj",
        "dsse" => "DSSEObj",
        "hashedrekord" => "HashedRekordObj",
        "helm" => "HelmObj",
        "intoto" => "IntotoObj",
        "jar" => "JARModel",
        "rekord" => "RekordObj",
        "rfc3161" => "Rfc3161Obj",
        "rpm" => "RPMModel",
        "tuf" => "TufObj",
        other => return Err(tlog(format!("an entry of the kind `{other}`, which is not known"))),
    };
    let spec =
        body.get_mut("spec").map(Value::take).ok_or_else(|| tlog("an entry that says nothing"))?;
    Ok(object!({ name: spec }))
}

impl VerifiedEntry {
    /// Returns it as a document.
    #[must_use]
    pub fn json(&self) -> Value {
        let entry = &self.answer.logged.entry;
        object!({
            "log_id": Digest::from_bytes(entry.log_id).hex(),
            "log_index": entry.log_index,
            "integrated_time": self.time.to_string(),
            "uuid": self.answer.uuid,
            "body": self.body,
        })
    }

    /// Returns what the log keeps beside it, which nobody signed, where that is what the entry is
    /// about.
    fn attestation(&self) -> Option<String> {
        let bytes = self.answer.attestation.as_ref()?;
        let logged =
            self.body.pointer("/IntotoObj/content/payloadHash/value").and_then(Value::as_str)?;
        if Digest::of(bytes).hex() != logged {
            return None;
        }
        // What is shown on a terminal must not steer it.
        let text = String::from_utf8(bytes.clone()).ok()?;
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            None
        } else {
            Some(text)
        }
    }
}

/// What rekor-cli prints, to the letter.
impl fmt::Display for VerifiedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &self.answer.logged.entry;
        writeln!(f, "LogID: {}", Digest::from_bytes(entry.log_id).hex())?;
        if let Some(attestation) = self.attestation() {
            writeln!(f, "Attestation: {attestation}")?;
        }
        writeln!(f, "Index: {}", entry.log_index)?;
        writeln!(f, "IntegratedTime: {}", self.time)?;
        writeln!(f, "UUID: {}", self.answer.uuid)?;
        let body = serde_json::to_string_pretty(&self.body).unwrap_or_default();
        writeln!(
            f,
            "Body: {}\n",
            body.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
        )
    }
}
