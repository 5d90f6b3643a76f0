//! What an entry of a transparency log is about. One function for every form of entry and of signature: the entry must name this
//! digest, this signature and this certificate or key. An entry that agrees on two of the three is somebody else's
//! (cosign CVE-2022-23649, CVE-2022-36056, CVE-2026-22703; `reference/security.md` S04, S05, S28).
//!
//! Formats: rekor `pkg/types/*`, rekor-tiles `hashedrekord 0.0.2`; `reference/cosign.md` 1d.

use crate::class::{Class, Failure};
use crate::name::Digest;
use crate::wire::{Envelope, json};
use aws_lc_rs::digest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

/// What a signature is over, by its digests. Those other than SHA-256 are known only where the message was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageDigests {
    /// SHA-256.
    pub sha256: Digest,
    /// SHA-384.
    pub sha384: Option<[u8; 48]>,
    /// SHA-512.
    pub sha512: Option<[u8; 64]>,
}

impl From<Digest> for MessageDigests {
    fn from(sha256: Digest) -> Self {
        Self { sha256, sha384: None, sha512: None }
    }
}

/// What a signature is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signed<'a> {
    Message(&'a MessageDigests),
    Envelope(&'a Envelope),
}

/// A signature, as an entry must name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) signed: Signed<'a>,
    pub(super) signature: &'a [u8],
    /// The certificate, or the SPKI of the key, DER.
    pub(super) verifier: &'a [u8],
}

impl Claim<'_> {
    /// Checks that the body of an entry names all three.
    ///
    /// # Errors
    /// `tlog`: it names another, or is broken. `unsupported`: an entry of another kind.
    pub(super) fn is_named_in(&self, body: &[u8]) -> Result<(), Failure> {
        let body = json::parse(body).map_err(|failure| failure.within("a log entry").as_class(Class::Tlog))?;
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match (text("/kind"), text("/apiVersion"), self.signed) {
            // One shape: `rekord` says more, which is not asked for.
            ("hashedrekord" | "rekord", "0.0.1", Signed::Message(digests)) => {
                self.digest(text("/spec/data/hash/algorithm"), text("/spec/data/hash/value"), digests)?;
                self.signature(text("/spec/signature/content"))?;
                self.pem_verifier(text("/spec/signature/publicKey/content"))
            }
            ("hashedrekord", "0.0.2", _) => self.v2(&body),
            ("dsse", "0.0.1", Signed::Envelope(envelope)) => {
                payload_digest(&body, "/spec/payloadHash", envelope)?;
                let [signature] = list(&body, "/spec/signatures") else { return Err(tlog("has another number of signatures than one")) };
                self.signature(signature.get("signature").and_then(Value::as_str).unwrap_or_default())?;
                self.pem_verifier(signature.get("verifier").and_then(Value::as_str).unwrap_or_default())
            }
            ("intoto", "0.0.2", Signed::Envelope(envelope)) => {
                payload_digest(&body, "/spec/content/payloadHash", envelope)?;
                let [signature] = list(&body, "/spec/content/envelope/signatures") else {
                    return Err(tlog("has another number of signatures than one"));
                };
                // The signature is base64 of base64 there.
                let text = decode(signature.get("sig").and_then(Value::as_str).unwrap_or_default())?;
                self.signature(std::str::from_utf8(&text).unwrap_or_default())?;
                self.pem_verifier(signature.get("publicKey").and_then(Value::as_str).unwrap_or_default())
            }
            ("hashedrekord" | "rekord" | "dsse" | "intoto", ..) | ("", ..) => {
                Err(tlog(format!("is a `{}` {}, which does not log such a signature", text("/kind"), text("/apiVersion"))))
            }
            (kind, version, _) => Err(Failure::new(Class::Unsupported, format!("a log entry of the kind `{kind}` {version}"))),
        }
    }

    fn v2(&self, body: &Value) -> Result<(), Failure> {
        let spec = body.pointer("/spec/hashedRekordV002").ok_or_else(|| tlog("has no `hashedRekordV002`"))?;
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let algorithm = match text("/data/algorithm") {
            "SHA2_256" => "sha256",
            "SHA2_384" => "sha384",
            "SHA2_512" => "sha512",
            other => return Err(Failure::new(Class::Unsupported, format!("a log entry with a digest of the type `{other}`"))),
        };
        let digest: String = decode(text("/data/digest"))?.iter().map(|byte| format!("{byte:02x}")).collect();
        match self.signed {
            Signed::Message(digests) => self.digest(algorithm, &digest, digests)?,
            Signed::Envelope(envelope) => self.digest(algorithm, &digest, &digests_of(&envelope.signed_bytes()))?,
        }
        self.signature(text("/signature/content"))?;
        let (certificate, key) = (text("/signature/verifier/x509Certificate/rawBytes"), text("/signature/verifier/publicKey/rawBytes"));
        match (certificate.is_empty(), key.is_empty()) {
            (false, true) => self.verifier(&decode(certificate)?),
            (true, false) => self.verifier(&decode(key)?),
            _ => Err(tlog("does not name one certificate or key")),
        }
    }

    fn digest(&self, algorithm: &str, hex: &str, digests: &MessageDigests) -> Result<(), Failure> {
        let unknown = || Failure::new(Class::Unsupported, format!("a log entry with a digest of the type `{algorithm}`"));
        let hex_of = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let expected = match algorithm {
            "sha256" => digests.sha256.hex(),
            "sha384" => hex_of(digests.sha384.as_ref().ok_or_else(unknown)?),
            "sha512" => hex_of(digests.sha512.as_ref().ok_or_else(unknown)?),
            _ => return Err(unknown()),
        };
        if hex == expected { Ok(()) } else { Err(tlog(format!("is about `{algorithm}:{hex}`, not `{algorithm}:{expected}`"))) }
    }

    fn signature(&self, base64: &str) -> Result<(), Failure> {
        if decode(base64)? == self.signature { Ok(()) } else { Err(tlog("is about another signature")) }
    }

    fn verifier(&self, der: &[u8]) -> Result<(), Failure> {
        if der == self.verifier { Ok(()) } else { Err(tlog("is about another certificate or key")) }
    }

    fn pem_verifier(&self, base64: &str) -> Result<(), Failure> {
        let text = decode(base64)?;
        match pem::parse_many(&text).unwrap_or_default().as_slice() {
            [block] if matches!(block.tag(), "CERTIFICATE" | "PUBLIC KEY") => self.verifier(block.contents()),
            _ => Err(tlog("does not name one certificate or key")),
        }
    }
}

/// Returns the digests of a message that is at hand.
pub(super) fn digests_of(message: &[u8]) -> MessageDigests {
    let of = |algorithm| digest::digest(algorithm, message);
    MessageDigests {
        sha256: Digest::of(message),
        sha384: of(&digest::SHA384).as_ref().try_into().ok(),
        sha512: of(&digest::SHA512).as_ref().try_into().ok(),
    }
}

fn payload_digest(body: &Value, pointer: &str, envelope: &Envelope) -> Result<(), Failure> {
    let hash = body.pointer(pointer).unwrap_or(&Value::Null);
    let text = |key: &str| hash.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("algorithm") == "sha256" && text("value") == Digest::of(&envelope.payload).hex() {
        Ok(())
    } else {
        Err(tlog("is about another statement"))
    }
}

fn list<'a>(body: &'a Value, pointer: &str) -> &'a [Value] {
    body.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    BASE64_STANDARD.decode(text).map_err(|error| tlog(format!("is not base64: {error}")))
}

fn tlog(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Tlog, format!("a log entry that {why}"))
}
