//! What an entry of a transparency log is about. One function for every form of entry and of
//! signature: the entry must name this digest, this signature and this certificate or key. An entry
//! that agrees on two of the three is someone else's (cosign CVE-2022-23649, CVE-2022-36056,
//! CVE-2026-22703; docs/threats.md S04, S05, S28).
//!
//! Formats: rekor `pkg/types/*`, rekor-tiles `hashedrekord 0.0.2`.

use crate::class::{Class, Failure};
use crate::name::{Digest, FileDigest};
use crate::wire::{DsseEnvelope, json};
use aws_lc_rs::digest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

/// What a signature is over, by its digests: all that a key can need where the message was read,
/// one where only that one was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageDigests {
    /// SHA-256.
    pub sha256: Option<Digest>,
    /// SHA-384.
    pub sha384: Option<[u8; 48]>,
    /// SHA-512.
    pub sha512: Option<[u8; 64]>,
}

impl From<Digest> for MessageDigests {
    fn from(sha256: Digest) -> Self {
        Self { sha256: Some(sha256), ..Self::default() }
    }
}

impl MessageDigests {
    /// Returns those that are known.
    #[must_use]
    pub fn known(&self) -> Vec<FileDigest> {
        let known = [
            self.sha256.map(FileDigest::Sha256),
            self.sha384.map(FileDigest::Sha384),
            self.sha512.map(FileDigest::Sha512),
        ];
        known.into_iter().flatten().collect()
    }
}

impl From<FileDigest> for MessageDigests {
    fn from(digest: FileDigest) -> Self {
        match digest {
            FileDigest::Sha256(sha256) => sha256.into(),
            FileDigest::Sha384(sha384) => Self { sha384: Some(sha384), ..Self::default() },
            FileDigest::Sha512(sha512) => Self { sha512: Some(sha512), ..Self::default() },
        }
    }
}

/// What a signature is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum SignedContent<'a> {
    Message(&'a MessageDigests),
    Envelope(&'a DsseEnvelope),
}

/// A signature, as an entry must name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) signed: SignedContent<'a>,
    pub(super) signature: &'a [u8],
    /// The certificate, or the SPKI of the key, DER.
    pub(super) verifier: &'a [u8],
    /// The hash that the signature is over, where that is known: `sha384`. The entry must name no
    /// other.
    pub(super) hash: Option<&'static str>,
}

impl Claim<'_> {
    /// Checks that the body of an entry names all three.
    ///
    /// # Errors
    /// `tlog`: it names another, or is broken. `unsupported`: an entry of another kind.
    pub(super) fn is_named_in(&self, body: &[u8]) -> Result<(), Failure> {
        let body = json::parse(body)
            .map_err(|failure| failure.within("a log entry").as_class(Class::Tlog))?;
        let text =
            |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match (text("/kind"), text("/apiVersion"), self.signed) {
            // One shape: `rekord` says more, which is not asked for.
            ("hashedrekord" | "rekord", "0.0.1", SignedContent::Message(digests)) => {
                self.digest(
                    text("/spec/data/hash/algorithm"),
                    text("/spec/data/hash/value"),
                    digests,
                )?;
                self.signature(text("/spec/signature/content"))?;
                self.pem_verifier(text("/spec/signature/publicKey/content"))
            }
            ("hashedrekord", "0.0.2", _) => self.v2(&body),
            ("dsse", "0.0.1", SignedContent::Envelope(envelope)) => {
                payload_digest(&body, "/spec/payloadHash", envelope)?;
                let [signature] = list(&body, "/spec/signatures") else {
                    return Err(tlog("has another number of signatures than one"));
                };
                self.signature(
                    signature.get("signature").and_then(Value::as_str).unwrap_or_default(),
                )?;
                self.pem_verifier(
                    signature.get("verifier").and_then(Value::as_str).unwrap_or_default(),
                )
            }
            ("intoto", "0.0.2", SignedContent::Envelope(envelope)) => {
                payload_digest(&body, "/spec/content/payloadHash", envelope)?;
                let [signature] = list(&body, "/spec/content/envelope/signatures") else {
                    return Err(tlog("has another number of signatures than one"));
                };
                // The signature is base64 of base64 there.
                let text =
                    decode(signature.get("sig").and_then(Value::as_str).unwrap_or_default())?;
                self.signature(std::str::from_utf8(&text).unwrap_or_default())?;
                self.pem_verifier(
                    signature.get("publicKey").and_then(Value::as_str).unwrap_or_default(),
                )
            }
            ("hashedrekord" | "rekord" | "dsse" | "intoto", ..) | ("", ..) => Err(tlog(format!(
                "is a `{}` {}, which does not log such a signature",
                text("/kind"),
                text("/apiVersion")
            ))),
            (kind, version, _) => Err(Failure::new(
                Class::Unsupported,
                format!("a log entry of the kind `{kind}` {version}"),
            )),
        }
    }

    fn v2(&self, body: &Value) -> Result<(), Failure> {
        let spec = body
            .pointer("/spec/hashedRekordV002")
            .ok_or_else(|| tlog("has no `hashedRekordV002`"))?;
        let text =
            |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let algorithm = match text("/data/algorithm") {
            "SHA2_256" => "sha256",
            "SHA2_384" => "sha384",
            "SHA2_512" => "sha512",
            other => {
                return Err(Failure::new(
                    Class::Unsupported,
                    format!("a log entry with a digest of the type `{other}`"),
                ));
            }
        };
        let digest: String =
            decode(text("/data/digest"))?.iter().map(|byte| format!("{byte:02x}")).collect();
        match self.signed {
            SignedContent::Message(digests) => self.digest(algorithm, &digest, digests)?,
            SignedContent::Envelope(envelope) => {
                self.digest(algorithm, &digest, &digests_of(&envelope.signed_bytes()))?
            }
        }
        self.signature(text("/signature/content"))?;
        let (certificate, key) = (
            text("/signature/verifier/x509Certificate/rawBytes"),
            text("/signature/verifier/publicKey/rawBytes"),
        );
        match (certificate.is_empty(), key.is_empty()) {
            (false, true) => self.verifier(&decode(certificate)?),
            (true, false) => self.verifier(&decode(key)?),
            _ => Err(tlog("does not name one certificate or key")),
        }
    }

    fn digest(&self, algorithm: &str, hex: &str, digests: &MessageDigests) -> Result<(), Failure> {
        let unknown = || {
            Failure::new(
                Class::Unsupported,
                format!("a log entry with a digest of the type `{algorithm}`"),
            )
        };
        if let Some(hash) = self.hash.filter(|hash| *hash != algorithm) {
            return Err(tlog(format!("names the `{algorithm}` of what is signed by its `{hash}`")));
        }
        let hex_of =
            |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let expected = match algorithm {
            "sha256" => digests.sha256.ok_or_else(unknown)?.hex(),
            "sha384" => hex_of(digests.sha384.as_ref().ok_or_else(unknown)?),
            "sha512" => hex_of(digests.sha512.as_ref().ok_or_else(unknown)?),
            _ => return Err(unknown()),
        };
        if hex == expected {
            Ok(())
        } else {
            Err(tlog(format!("is about `{algorithm}:{hex}`, not `{algorithm}:{expected}`")))
        }
    }

    fn signature(&self, base64: &str) -> Result<(), Failure> {
        if decode(base64)? == self.signature {
            Ok(())
        } else {
            Err(tlog("is about another signature"))
        }
    }

    fn verifier(&self, der: &[u8]) -> Result<(), Failure> {
        if der == self.verifier { Ok(()) } else { Err(tlog("is about another certificate or key")) }
    }

    fn pem_verifier(&self, base64: &str) -> Result<(), Failure> {
        let text = decode(base64)?;
        match pem::parse_many(&text).unwrap_or_default().as_slice() {
            [block] if matches!(block.tag(), "CERTIFICATE" | "PUBLIC KEY") => {
                self.verifier(block.contents())
            }
            _ => Err(tlog("does not name one certificate or key")),
        }
    }
}

/// Returns the digests of a message that is at hand.
pub(super) fn digests_of(message: &[u8]) -> MessageDigests {
    let of = |algorithm| digest::digest(algorithm, message);
    MessageDigests {
        sha256: Some(Digest::of(message)),
        sha384: of(&digest::SHA384).as_ref().try_into().ok(),
        sha512: of(&digest::SHA512).as_ref().try_into().ok(),
    }
}

fn payload_digest(body: &Value, pointer: &str, envelope: &DsseEnvelope) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What an entry is made of, and a claim held against it.
    #[derive(Clone, Copy)]
    struct Parts {
        message: &'static [u8],
        signature: &'static [u8],
        verifier: &'static [u8],
    }

    const GOOD: Parts =
        Parts { message: b"message", signature: b"signature", verifier: b"certificate" };

    impl Parts {
        fn envelope(self) -> DsseEnvelope {
            DsseEnvelope {
                payload_type: "type".to_owned(),
                payload: self.message.to_vec(),
                signature: self.signature.to_vec(),
            }
        }

        /// Returns an entry of every kind for the signature of a message.
        fn about_messages(self) -> Vec<Value> {
            let (hashes, v1) =
                (hashes(self.message), [("sha256", 0), ("sha384", 1), ("sha512", 2)]);
            let v1 = v1.into_iter().flat_map(|(algorithm, at)| {
                let hex: String = hashes[at].iter().map(|byte| format!("{byte:02x}")).collect();
                ["hashedrekord", "rekord"].map(|kind| {
                    json!({"kind": kind, "apiVersion": "0.0.1", "spec": {
                        "data": {"hash": {"algorithm": algorithm, "value": hex}},
                        "signature": {"content": base64(self.signature), "publicKey": {"content": pem_of("CERTIFICATE", self.verifier)}},
                    }})
                })
            });
            v1.chain(self.v2(self.message)).collect()
        }

        /// Returns an entry of every kind for the signature of an envelope.
        fn about_envelopes(self) -> Vec<Value> {
            let hash = json!({"algorithm": "sha256", "value": Digest::of(self.message).hex()});
            let pem = pem_of("PUBLIC KEY", self.verifier);
            let mut entries = vec![
                json!({"kind": "dsse", "apiVersion": "0.0.1", "spec": {
                    "payloadHash": hash,
                    "signatures": [{"signature": base64(self.signature), "verifier": pem}],
                }}),
                json!({"kind": "intoto", "apiVersion": "0.0.2", "spec": {"content": {
                    "payloadHash": hash,
                    "envelope": {"signatures": [{"sig": base64(base64(self.signature)), "publicKey": pem}]},
                }}}),
            ];
            entries.extend(self.v2(&self.envelope().signed_bytes()));
            entries
        }

        fn v2(self, signed: &[u8]) -> Vec<Value> {
            let [sha256, sha384, sha512] = hashes(signed);
            let algorithms = [("SHA2_256", sha256), ("SHA2_384", sha384), ("SHA2_512", sha512)];
            let entry = |(algorithm, hash): (&str, Vec<u8>)| {
                ["x509Certificate", "publicKey"].map(|verifier| {
                    json!({"kind": "hashedrekord", "apiVersion": "0.0.2", "spec": {"hashedRekordV002": {
                        "data": {"algorithm": algorithm, "digest": base64(&hash)},
                        "signature": {"content": base64(self.signature), "verifier": {verifier: {"rawBytes": base64(self.verifier)}}},
                    }}})
                })
            };
            algorithms.into_iter().flat_map(entry).collect()
        }
    }

    fn hashes(message: &[u8]) -> [Vec<u8>; 3] {
        [&digest::SHA256, &digest::SHA384, &digest::SHA512]
            .map(|algorithm| digest::digest(algorithm, message).as_ref().to_vec())
    }

    fn base64(bytes: impl AsRef<[u8]>) -> String {
        BASE64_STANDARD.encode(bytes)
    }

    fn pem_of(tag: &str, contents: &[u8]) -> String {
        base64(pem::encode(&pem::Pem::new(tag, contents)))
    }

    /// Holds entries against the good message and against the good envelope: each must have its
    /// verdict.
    fn verdicts(messages: &[Value], envelopes: &[Value], expected: Result<(), Class>) {
        let (digests, envelope) = (digests_of(GOOD.message), GOOD.envelope());
        for (entries, signed) in [
            (messages, SignedContent::Message(&digests)),
            (envelopes, SignedContent::Envelope(&envelope)),
        ] {
            let claim =
                Claim { signed, signature: GOOD.signature, verifier: GOOD.verifier, hash: None };
            for entry in entries {
                assert_eq!(
                    claim
                        .is_named_in(entry.to_string().as_bytes())
                        .map_err(|failure| failure.class()),
                    expected,
                    "{entry}"
                );
            }
        }
    }

    #[test]
    fn an_entry_of_any_kind_names_this_digest_this_signature_and_this_certificate() {
        verdicts(&GOOD.about_messages(), &GOOD.about_envelopes(), Ok(()));
        for other in [
            Parts { message: b"other", ..GOOD },
            Parts { signature: b"other", ..GOOD },
            Parts { verifier: b"other", ..GOOD },
        ] {
            verdicts(&other.about_messages(), &other.about_envelopes(), Err(Class::Tlog));
        }
    }

    #[test]
    fn a_digest_that_is_not_at_hand_is_not_taken_for_equal() {
        let digests = MessageDigests::from(Digest::of(GOOD.message));
        let claim = Claim {
            signed: SignedContent::Message(&digests),
            signature: GOOD.signature,
            verifier: GOOD.verifier,
            hash: None,
        };
        let verdicts = GOOD
            .about_messages()
            .into_iter()
            .map(|entry| claim.is_named_in(entry.to_string().as_bytes()));
        let found: Vec<_> =
            verdicts.map(|verdict| verdict.map_err(|failure| failure.class())).collect();
        let unread = Err(Class::Unsupported);
        assert_eq!(
            found,
            [[Ok(()); 2], [unread; 2], [unread; 2], [Ok(()); 2], [unread; 2], [unread; 2]].concat()
        );
    }

    #[test]
    fn an_entry_names_one_certificate_or_key_and_nothing_else() {
        let several = [
            pem_of("PRIVATE KEY", GOOD.verifier),
            base64(
                [GOOD.verifier; 2]
                    .map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der)))
                    .concat(),
            ),
            base64(""),
        ];
        let v1 = several.map(|pem| {
            let mut entry = GOOD.about_messages().swap_remove(0);
            entry["spec"]["signature"]["publicKey"]["content"] = json!(pem);
            entry
        });
        verdicts(&v1, &[], Err(Class::Tlog));
        let raw = json!({"rawBytes": base64(GOOD.verifier)});
        let v2 = [json!({}), json!({"x509Certificate": raw, "publicKey": raw})].map(|verifier| {
            let mut entry = GOOD.v2(GOOD.message).swap_remove(0);
            entry["spec"]["hashedRekordV002"]["signature"]["verifier"] = verifier;
            entry
        });
        verdicts(&v2, &[], Err(Class::Tlog));
    }
}
