//! Sigstore bundles, v0.3: a DSSE envelope with an in-toto statement, as cosign 3 attaches it to an
//! image. In files that the user names also v0.1 and v0.2, and the signature of a message.
//!
//! Sources: sigstore protobuf-specs `sigstore_bundle.proto`,
//! `sigstore_rekor.proto`; DSSE 1.0 `envelope.md`, `protocol.md`. The shape is checked by our own
//! code and not by the crate's: that one takes a bundle without a media type, both of a pair, and
//! unknown fields, each of which lets two readers see two bundles. What
//! is in log entries and timestamps is read by the crate, in `trust`, from the same bytes.

use super::checkpoint::{self, check_proof};
use super::json;
use super::signed::Signed;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::FileDigest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};

/// The media type of what this program writes, as cosign writes it.
pub const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The same version in the spelling of before.
pub(super) const OLD_SPELLING: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
/// The version in which a log's promise is enough.
pub(super) const OLD_BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";
/// The versions before, which bring a chain of certificates, and need less proof: never taken from
/// a registry.
pub(super) const OLD_VERSIONS: [&str; 2] =
    [OLD_BUNDLE_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.2"];
/// How the media types of bundles of any version start.
pub(super) const ANY_BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle";
/// The type of a statement in an envelope.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";

/// A bundle, of which nothing is trusted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Who is said to have signed.
    pub material: Material,
    /// What is signed, and the signature.
    pub content: Content,
    /// The document itself.
    text: String,
    /// What its evidence can ask for, in signature checks.
    checks: usize,
}

/// Where a bundle was found, which decides which versions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleSource {
    /// In a registry, which may choose the version that needs the least proof: v0.3 alone.
    Registry,
    /// In a file that the user named: v0.1 and v0.2 as well.
    File,
}

/// What a bundle names its signer by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// A certificate: a keyless signature.
    Certificate,
    /// A key, by a hint that proves nothing.
    PublicKey,
}

/// The two things that a bundle can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A statement in an envelope.
    Envelope(DsseEnvelope),
    /// A signature over a message that is elsewhere: what blobs have.
    Message {
        /// The raw signature.
        signature: Vec<u8>,
    },
}

/// A DSSE envelope with its one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsseEnvelope {
    /// What the payload is said to be; signed.
    pub payload_type: String,
    /// The payload; signed, as these bytes.
    pub payload: Vec<u8>,
    /// The raw signature over [`DsseEnvelope::signed_bytes`].
    pub signature: Vec<u8>,
}

impl DsseEnvelope {
    /// Returns the bytes that are signed: DSSE's pre-authentication encoding, with lengths in
    /// bytes.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication(&self.payload_type, &self.payload)
    }
}

/// `PAE` of DSSE 1.0 `protocol.md`.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Returns the bytes to sign for a statement.
#[must_use]
pub fn statement_to_sign(statement: &[u8]) -> Vec<u8> {
    pre_authentication(STATEMENT_TYPE, statement)
}

/// Returns a bundle with a statement, in the order in which cosign writes it.
#[must_use]
pub fn write_bundle(statement: &[u8], signed: &Signed) -> Vec<u8> {
    json::to_go_bytes(&json!({
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": signed.material(),
        "dsseEnvelope": envelope(statement, &signed.signature),
    }))
}

/// Returns a bundle with the signature of a message, by its SHA-256, in the order in which cosign
/// writes it.
#[must_use]
pub fn write_message_bundle(digest: &FileDigest, signed: &Signed) -> Vec<u8> {
    let algorithm = match digest {
        FileDigest::Sha256(_) => "SHA2_256",
        FileDigest::Sha384(_) => "SHA2_384",
        FileDigest::Sha512(_) => "SHA2_512",
    };
    json::to_go_bytes(&json!({
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": signed.material(),
        "messageSignature": {
            "messageDigest": {"algorithm": algorithm, "digest": BASE64_STANDARD.encode(digest.bytes())},
            "signature": BASE64_STANDARD.encode(&signed.signature),
        },
    }))
}

/// Returns a DSSE envelope with a statement and its one signature.
pub(super) fn envelope(statement: &[u8], signature: &[u8]) -> Value {
    json!({
        "payload": BASE64_STANDARD.encode(statement),
        "payloadType": STATEMENT_TYPE,
        "signatures": [{"sig": BASE64_STANDARD.encode(signature)}],
    })
}

impl Bundle {
    /// Parses a bundle. Fields with their default value may be absent, as protobuf writes them.
    ///
    /// # Errors
    /// `malformed`: no bundle, one without a media type or with both of a pair, another number of
    /// signatures than one, base64 of another kind. `unsupported`: a version that does not count
    /// from this source. `limit`: more log entries or timestamps than [`limits::BUNDLE_EVIDENCE`].
    pub fn parse(bytes: &[u8], source: BundleSource) -> Result<Self, Failure> {
        let value = json::parse(bytes).map_err(|failure| failure.within("a Sigstore bundle"))?;
        let keys = ["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"];
        let bundle = object(&value, "the bundle", &keys)?;
        let old = check_version(bundle.get("mediaType"), source)?;
        let material = bundle
            .get("verificationMaterial")
            .ok_or_else(|| malformed("has no `verificationMaterial`"))?;
        let material = read_material(material, old)?;
        let content = match (bundle.get("dsseEnvelope"), bundle.get("messageSignature")) {
            (Some(envelope), None) => Content::Envelope(read_envelope(envelope)?),
            (None, Some(message)) => read_message(message)?,
            (Some(_), Some(_)) => {
                return Err(malformed("has both `dsseEnvelope` and `messageSignature`"));
            }
            (None, None) => {
                return Err(malformed("has neither `dsseEnvelope` nor `messageSignature`"));
            }
        };
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| malformed("is not UTF-8"))?;
        let checks = count_checks(bundle.get("verificationMaterial").unwrap_or(&Value::Null));
        Ok(Self { material, content, text, checks })
    }

    /// Returns how many signature checks its evidence can ask for at most. What asks for more than
    /// [`limits::SIGNATURE_CHECKS`] is not looked at.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks.min(limits::SIGNATURE_CHECKS)
    }

    /// Returns how many bytes there are to parse.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Returns the document, for the reader of what is in it beside the signature: certificates,
    /// log entries and timestamps. Their shape and size are checked only now, for beside a key they
    /// decide nothing.
    ///
    /// # Errors
    /// `malformed`: a key in them that their version does not know. `limit`: they ask for more work
    /// than real ones do.
    pub fn evidence(&self) -> Result<&str, Failure> {
        if self.checks > limits::SIGNATURE_CHECKS {
            let message = format!(
                "a Sigstore bundle that asks for {} signature checks; at most {} are made",
                self.checks,
                limits::SIGNATURE_CHECKS
            );
            return Err(Failure::new(Class::Limit, message));
        }
        let value = json::parse(self.text.as_bytes())?;
        let material = value.get("verificationMaterial").unwrap_or(&Value::Null);
        for entry in counted(material.get("tlogEntries"), "tlogEntries")? {
            check_entry(entry)?;
        }
        for timestamp in counted(
            material.pointer("/timestampVerificationData/rfc3161Timestamps"),
            "rfc3161Timestamps",
        )? {
            let timestamp = object(timestamp, "a timestamp", &["signedTimestamp"])?;
            check_token(timestamp.get("signedTimestamp"))?;
        }
        check_token(material.pointer("/certificate/rawBytes"))?;
        let chain = material.pointer("/x509CertificateChain/certificates");
        for certificate in chain.and_then(Value::as_array).into_iter().flatten() {
            check_token(certificate.get("rawBytes"))?;
        }
        Ok(&self.text)
    }
}

fn malformed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Malformed, format!("a Sigstore bundle {why}"))
}

/// Returns whether the version is one of those before 0.3. A bundle without a media type would be
/// of version 0.1 to other readers, which needs less proof.
fn check_version(media_type: Option<&Value>, source: BundleSource) -> Result<bool, Failure> {
    match media_type.and_then(Value::as_str) {
        Some(BUNDLE_TYPE | OLD_SPELLING) => Ok(false),
        Some(old) if source == BundleSource::File && OLD_VERSIONS.contains(&old) => Ok(true),
        Some(other) if other.starts_with(ANY_BUNDLE_TYPE) => Err(Failure::new(
            Class::Unsupported,
            format!("a Sigstore bundle of type `{other}`; expected `{BUNDLE_TYPE}`"),
        )),
        Some(other) => {
            Err(malformed(format!("has the media type `{other}`; expected `{BUNDLE_TYPE}`")))
        }
        None => Err(malformed("has no media type")),
    }
}

fn read_material(value: &Value, old: bool) -> Result<Material, Failure> {
    let keys = [
        "publicKey",
        "certificate",
        "x509CertificateChain",
        "tlogEntries",
        "timestampVerificationData",
    ];
    let material = object(value, "`verificationMaterial`", &keys)?;
    counted(material.get("tlogEntries"), "tlogEntries")?;
    if let Some(data) = material.get("timestampVerificationData").filter(|data| !data.is_null()) {
        let data = object(data, "`timestampVerificationData`", &["rfc3161Timestamps"])?;
        counted(data.get("rfc3161Timestamps"), "rfc3161Timestamps")?;
    }
    match (
        material.get("publicKey"),
        material.get("certificate"),
        material.get("x509CertificateChain"),
    ) {
        (Some(key), None, None) => {
            let hint = object(key, "`publicKey`", &["hint"])?.get("hint");
            if hint.is_some_and(|hint| !hint.is_string()) {
                Err(malformed("has a `hint` that is not text"))
            } else {
                Ok(Material::PublicKey)
            }
        }
        (None, Some(certificate), None) => {
            object(certificate, "`certificate`", &["rawBytes"])?;
            Ok(Material::Certificate)
        }
        (None, None, Some(chain)) if old => {
            let chain = object(chain, "`x509CertificateChain`", &["certificates"])?;
            for certificate in counted(chain.get("certificates"), "certificates")? {
                object(certificate, "a certificate", &["rawBytes"])?;
            }
            Ok(Material::Certificate)
        }
        (None, None, Some(_)) => Err(malformed(
            "of version 0.3 has a certificate chain, which that version does not know",
        )),
        (None, None, None) => Err(malformed("names neither a key nor a certificate")),
        _ => Err(malformed(
            "names more than one of `publicKey`, `certificate` and `x509CertificateChain`",
        )),
    }
}

/// Checks that an entry of a log has the keys that it can have, at every level.
pub(super) fn check_entry(entry: &Value) -> Result<(), Failure> {
    let keys = [
        "logIndex",
        "logId",
        "kindVersion",
        "integratedTime",
        "inclusionPromise",
        "inclusionProof",
        "canonicalizedBody",
    ];
    let entry = object(entry, "a log entry", &keys)?;
    let parts: [(&str, &[&str]); 4] = [
        ("logId", &["keyId"]),
        ("kindVersion", &["kind", "version"]),
        ("inclusionPromise", &["signedEntryTimestamp"]),
        ("inclusionProof", &["logIndex", "rootHash", "treeSize", "hashes", "checkpoint"]),
    ];
    for (name, keys) in parts {
        let Some(part) = entry.get(name).filter(|part| !part.is_null()) else { continue };
        let part = object(part, &format!("`{name}`"), keys)?;
        if let Some(checkpoint) = part.get("checkpoint").filter(|checkpoint| !checkpoint.is_null())
        {
            object(checkpoint, "`checkpoint`", &["envelope"])?;
        }
    }
    let proof = entry.get("inclusionProof");
    let hashes = proof.and_then(|proof| proof.get("hashes")).and_then(Value::as_array);
    check_proof(hashes.map_or(0, Vec::len), checkpoint_of(proof))
}

fn checkpoint_of(proof: Option<&Value>) -> &str {
    proof
        .and_then(|proof| proof.pointer("/checkpoint/envelope"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Checks the size of a certificate or timestamp.
fn check_token(token: Option<&Value>) -> Result<(), Failure> {
    let found = token.and_then(Value::as_str).map_or(0, str::len);
    if found <= limits::TOKEN_BYTES {
        return Ok(());
    }
    let message = format!(
        "a Sigstore bundle with a certificate or timestamp of {found} bytes; at most {} are read",
        limits::TOKEN_BYTES
    );
    Err(Failure::new(Class::Limit, message))
}

/// Returns how many signature checks the evidence can ask for at most: a promise and each line of a
/// checkpoint, each certificate and what vouches for it, and in a timestamp as many certificates as
/// its bytes have room for.
fn count_checks(material: &Value) -> usize {
    let list = |at: &str| material.pointer(at).and_then(Value::as_array).into_iter().flatten();
    let entries: usize = list("/tlogEntries")
        .map(|entry| 1 + checkpoint::lines(checkpoint_of(entry.get("inclusionProof"))))
        .sum();
    let timestamps: usize = list("/timestampVerificationData/rfc3161Timestamps")
        .map(|timestamp| timestamp.get("signedTimestamp").and_then(Value::as_str))
        .map(|token| 2 + token.map_or(0, str::len) / 1024)
        .sum();
    let chain = list("/x509CertificateChain/certificates").count();
    entries + timestamps + chain + 4
}

/// Returns the elements of a list that may be absent, where they are not too many.
fn counted<'a>(list: Option<&'a Value>, name: &str) -> Result<&'a [Value], Failure> {
    match list {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) if list.len() <= limits::BUNDLE_EVIDENCE => Ok(list),
        Some(Value::Array(list)) => {
            let most = limits::BUNDLE_EVIDENCE;
            Err(Failure::new(
                Class::Limit,
                format!("a Sigstore bundle has {} `{name}`; at most {most} are read", list.len()),
            ))
        }
        Some(_) => Err(malformed(format!("has `{name}` that are no list"))),
    }
}

fn read_envelope(value: &Value) -> Result<DsseEnvelope, Failure> {
    let envelope = object(value, "`dsseEnvelope`", &["payload", "payloadType", "signatures"])?;
    let payload_type = envelope
        .get("payloadType")
        .and_then(Value::as_str)
        .ok_or_else(|| malformed("has no `payloadType`"))?;
    let signatures =
        envelope.get("signatures").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let [signature] = signatures else {
        return Err(malformed(format!(
            "has {} signatures in its envelope; expected one",
            signatures.len()
        )));
    };
    let signature = object(signature, "the signature", &["sig", "keyid"])?;
    if signature.get("keyid").is_some_and(|keyid| !keyid.is_string()) {
        return Err(malformed("has a `keyid` that is not text"));
    }
    Ok(DsseEnvelope {
        payload_type: payload_type.to_owned(),
        payload: base64(envelope.get("payload"), "payload")?,
        signature: base64(signature.get("sig"), "sig")?,
    })
}

fn read_message(value: &Value) -> Result<Content, Failure> {
    let message = object(value, "`messageSignature`", &["messageDigest", "signature"])?;
    if let Some(digest) = message.get("messageDigest").filter(|digest| !digest.is_null()) {
        object(digest, "`messageDigest`", &["algorithm", "digest"])?;
    }
    // The digest is a hint, and cosign writes an empty one with some keys: the checker has the
    // message.
    Ok(Content::Message { signature: base64(message.get("signature"), "signature")? })
}

/// Returns the object, where every key of it is one of `keys`: not even another spelling
/// (`dsse_envelope`) is passed over.
fn object<'a>(
    value: &'a Value,
    what: &str,
    keys: &[&str],
) -> Result<&'a Map<String, Value>, Failure> {
    let object = value
        .as_object()
        .ok_or_else(|| malformed(format!("is broken: {what} is not an object")))?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => {
            Err(malformed(format!("has `{key}` in {what}, which its version does not know")))
        }
        None => Ok(object),
    }
}

/// Standard base64 with padding and nothing else: what is signed must have one spelling.
fn base64(value: Option<&Value>, name: &str) -> Result<Vec<u8>, Failure> {
    let text = value.and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| malformed(format!("has no `{name}`")))?;
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| malformed(format!("has a `{name}` that is not base64: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Signed {
        Signed::by_key(b"signature".to_vec(), &[7; 32])
    }

    fn good() -> Value {
        serde_json::from_slice(&write_bundle(b"{}", &signed())).unwrap()
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expected: Class) {
        let mut bundle = good();
        change(&mut bundle);
        assert_ne!(bundle, good(), "the change changed something");
        let found = Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry)
            .map_err(|failure| failure.class());
        assert_eq!(found, Err(expected), "{bundle}");
    }

    fn set(pointer: &'static str, value: Value) -> impl FnOnce(&mut Value) {
        move |bundle| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            bundle.pointer_mut(parent).unwrap()[key] = value;
        }
    }

    fn remove(pointer: &'static str) -> impl FnOnce(&mut Value) {
        move |bundle| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            bundle.pointer_mut(parent).unwrap().as_object_mut().unwrap().shift_remove(key).unwrap();
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bundle =
            Bundle::parse(&write_bundle(b"{}", &signed()), BundleSource::Registry).unwrap();
        let Content::Envelope(envelope) = bundle.content else { panic!("an envelope") };
        assert_eq!(
            (envelope.payload.as_slice(), envelope.signature.as_slice()),
            (&b"{}"[..], &b"signature"[..])
        );
        assert_eq!(envelope.signed_bytes(), statement_to_sign(b"{}"));
        assert_eq!(bundle.material, Material::PublicKey);
    }

    #[test]
    fn lengths_in_what_is_signed_are_bytes() {
        assert_eq!(
            pre_authentication("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pre_authentication("é", "ü€".as_bytes()), "DSSEv1 2 é 5 ü€".as_bytes());
    }

    #[test]
    fn only_version_0_3_and_only_where_it_says_so() {
        check(remove("/mediaType"), Class::Malformed);
        check(
            |bundle| {
                *bundle = json!({"mediatype": BUNDLE_TYPE, "dsseEnvelope": bundle["dsseEnvelope"]})
            },
            Class::Malformed,
        );
        for (media_type, class) in [
            ("application/vnd.dev.sigstore.bundle+json;version=0.1", Class::Unsupported),
            ("application/vnd.dev.sigstore.bundle+json;version=0.2", Class::Unsupported),
            ("application/vnd.dev.sigstore.bundle.v0.4+json", Class::Unsupported),
            ("application/vnd.dev.sigstore.bundle.v0.3+json ", Class::Unsupported),
            ("", Class::Malformed),
            ("application/json", Class::Malformed),
        ] {
            check(set("/mediaType", json!(media_type)), class);
        }
        check(set("/mediaType", json!(null)), Class::Malformed);
        let mut old = good();
        old["mediaType"] = json!(OLD_SPELLING);
        assert!(Bundle::parse(old.to_string().as_bytes(), BundleSource::Registry).is_ok());
    }

    #[test]
    fn both_of_a_pair_are_refused() {
        check(set("/messageSignature", json!({"signature": "AA=="})), Class::Malformed);
        check(set("/messageSignature", json!(null)), Class::Malformed);
        check(
            set("/verificationMaterial/certificate", json!({"rawBytes": "AA=="})),
            Class::Malformed,
        );
        check(
            set("/verificationMaterial/x509CertificateChain", json!({"certificates": []})),
            Class::Malformed,
        );
        let chain = json!({"certificate": {"rawBytes": "AA=="}, "x509CertificateChain": {"certificates": []}});
        check(set("/verificationMaterial", chain), Class::Malformed);
        check(
            set("/verificationMaterial", json!({"x509CertificateChain": {"certificates": []}})),
            Class::Malformed,
        );
        check(set("/verificationMaterial", json!({})), Class::Malformed);
        check(remove("/dsseEnvelope"), Class::Malformed);
    }

    #[test]
    fn a_certificate_beside_a_signature_is_no_longer_than_real_ones_are() {
        for (length, is_read) in [(limits::TOKEN_BYTES, true), (limits::TOKEN_BYTES + 4, false)] {
            let mut bundle = good();
            let certificate = json!({"certificate": {"rawBytes": "A".repeat(length)}});
            set("/verificationMaterial", certificate)(&mut bundle);
            let bundle =
                Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry).unwrap();
            let found = bundle.evidence().map(|_| ()).map_err(|failure| failure.class());
            assert_eq!(found, if is_read { Ok(()) } else { Err(Class::Limit) }, "{length}");
        }
    }

    #[test]
    fn exactly_one_signature() {
        check(set("/dsseEnvelope/signatures", json!([])), Class::Malformed);
        check(remove("/dsseEnvelope/signatures"), Class::Malformed);
        check(
            set("/dsseEnvelope/signatures", json!([{"sig": "AA=="}, {"sig": "AA=="}])),
            Class::Malformed,
        );
        check(set("/dsseEnvelope/signatures", json!({"sig": "AA=="})), Class::Malformed);
        check(set("/dsseEnvelope/signatures", json!([{"sig": ""}])), Class::Malformed);
        check(
            set("/dsseEnvelope/signatures", json!([{"keyid": 1, "sig": "AA=="}])),
            Class::Malformed,
        );
    }

    #[test]
    fn base64_has_one_spelling() {
        for text in ["e30", "e31=", "e30=\n", " e30=", "_-8=", "e30==", "", "e3\n0="] {
            check(set("/dsseEnvelope/payload", json!(text)), Class::Malformed);
            check(set("/dsseEnvelope/signatures", json!([{"sig": text}])), Class::Malformed);
        }
    }

    #[test]
    fn unknown_fields_and_other_spellings_are_refused() {
        for pointer in [
            "/x",
            "/dsse_envelope",
            "/verificationMaterial/public_key",
            "/dsseEnvelope/payload_type",
            "/dsseEnvelope/Payload",
        ] {
            check(set(pointer, json!("x")), Class::Malformed);
        }
        check(
            set("/dsseEnvelope/signatures", json!([{"sig": "AA==", "signature": "AA=="}])),
            Class::Malformed,
        );
        let twice =
            good().to_string().replacen("\"payload\"", "\"payload\":\"e30=\",\"payload\"", 1);
        assert_eq!(
            Bundle::parse(twice.as_bytes(), BundleSource::Registry)
                .map_err(|failure| failure.class()),
            Err(Class::Malformed)
        );
    }

    #[test]
    fn evidence_of_logs_is_counted_and_may_be_absent() {
        for (count, expected) in [
            (0, None),
            (limits::BUNDLE_EVIDENCE, None),
            (limits::BUNDLE_EVIDENCE + 1, Some(Class::Limit)),
        ] {
            let mut bundle = good();
            bundle["verificationMaterial"]["tlogEntries"] = json!(vec![json!({}); count]);
            assert_eq!(
                Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry)
                    .err()
                    .map(|failure| failure.class()),
                expected,
                "{count} entries"
            );
            let mut bundle = good();
            bundle["verificationMaterial"]["timestampVerificationData"] =
                json!({"rfc3161Timestamps": vec![json!({}); count]});
            assert_eq!(
                Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry)
                    .err()
                    .map(|failure| failure.class()),
                expected,
                "{count} timestamps"
            );
        }
        check(set("/verificationMaterial/tlogEntries", json!("x")), Class::Malformed);
        let mut without = good();
        without["verificationMaterial"] =
            json!({"publicKey": {}, "tlogEntries": null, "timestampVerificationData": null});
        assert!(Bundle::parse(without.to_string().as_bytes(), BundleSource::Registry).is_ok());
    }

    /// What is missing, or too much, is called by its name.
    #[test]
    fn who_signed_is_named_once_and_as_the_version_does() {
        let message = |material: Value| {
            let mut bundle = good();
            bundle["verificationMaterial"] = material;
            Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry)
                .unwrap_err()
                .message()
        };
        let chain = json!({"certificates": []});
        assert!(
            message(json!({"x509CertificateChain": chain}))
                .contains("of version 0.3 has a certificate chain")
        );
        assert!(message(json!({})).contains("neither a key nor a certificate"));
        assert!(
            message(json!({"publicKey": {}, "x509CertificateChain": chain}))
                .contains("more than one")
        );
    }

    #[test]
    fn a_log_entry_has_no_key_that_is_not_known_at_any_level() {
        let evidence = |entry: Value| {
            let mut bundle = good();
            bundle["verificationMaterial"]["tlogEntries"] = json!([entry]);
            let bundle =
                Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry).unwrap();
            bundle.evidence().map(|_| ()).map_err(|failure| failure.class())
        };
        for part in ["logId", "kindVersion", "inclusionPromise", "inclusionProof"] {
            assert_eq!(evidence(json!({part: {}})), Ok(()), "{part}");
            assert_eq!(evidence(json!({part: null})), Ok(()), "{part} that is null");
            assert_eq!(evidence(json!({part: {"x": 1}})), Err(Class::Malformed), "{part}");
        }
        for (checkpoint, expected) in [
            (json!({"envelope": ""}), Ok(())),
            (Value::Null, Ok(())),
            (json!({"x": 1}), Err(Class::Malformed)),
            (json!("x"), Err(Class::Malformed)),
        ] {
            assert_eq!(
                evidence(json!({"inclusionProof": {"checkpoint": checkpoint}})),
                expected,
                "{checkpoint}"
            );
        }
    }
}
