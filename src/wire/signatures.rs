//! The manifest under a `.sig` tag: one layer per legacy signature.
//!
//! Source: cosign `specs/SIGNATURE_SPEC.md`. Layers
//! of other signers are kept as they are, with fields that this program does not know; the
//! configuration is recreated, as cosign does.

use super::evidence::LegacyEvidence;
use super::json;
use super::signed::Signed;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use oci_distribution::manifest::OCI_IMAGE_MEDIA_TYPE;
use serde_json::{Value, json};

const LAYER_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
pub(super) const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
pub(super) const CHAIN: &str = "dev.sigstore.cosign/chain";
pub(super) const BUNDLE: &str = "dev.sigstore.cosign/bundle";
pub(super) const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// A signature that someone claims, unchecked: the layer is the signed payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyCandidate {
    /// The digest of the payload.
    pub payload: Digest,
    /// The size of the payload, in bytes.
    pub payload_bytes: u64,
    /// The payload itself, where the manifest carries it (`data` of OCI image-spec 1.1): bytes of
    /// that digest and size.
    pub embedded: Option<Vec<u8>>,
    /// The raw signature.
    pub signature: Vec<u8>,
    /// What comes with it, unread.
    pub evidence: LegacyEvidence,
}

impl LegacyCandidate {
    /// Returns it as `cosign download signature` prints it, with the payload that it is over. What
    /// is beside it is passed on unread; of a certificate only `Raw`, the DER, for the rest is
    /// Go's own view of it.
    #[must_use]
    pub fn as_cosign_prints(&self, payload: &[u8]) -> Value {
        let certificates = |pem: &Option<String>| {
            let read = super::evidence::read_certificates(pem.as_deref()?).ok()?;
            let raw = |der: &Vec<u8>| json!({"Raw": BASE64_STANDARD.encode(der)});
            Some(read.iter().map(raw).collect::<Vec<Value>>())
        };
        let document = |text: &Option<String>| json::parse(text.as_deref()?.as_bytes()).ok();
        let certificate = certificates(&self.evidence.certificate);
        json!({
            "Base64Signature": BASE64_STANDARD.encode(&self.signature),
            "Payload": BASE64_STANDARD.encode(payload),
            "Cert": certificate.and_then(|all| all.into_iter().next()),
            "Chain": certificates(&self.evidence.chain),
            "Bundle": document(&self.evidence.bundle),
            "RFC3161Timestamp": document(&self.evidence.timestamp),
        })
    }
}

/// The signatures under one `.sig` tag.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    /// The descriptors, as they were.
    layers: Vec<Value>,
}

impl Signatures {
    /// Parses a signature manifest. Layers of another type than simple signing are kept; as
    /// candidates they are `unsupported`.
    ///
    /// # Errors
    /// `malformed`: no manifest. `limit`: more than [`limits::LEGACY_SIGNATURES`] layers.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let mut value =
            json::parse(bytes).map_err(|failure| failure.within("the signature manifest"))?;
        match value.get_mut("layers").map(Value::take) {
            Some(Value::Array(layers)) if layers.len() <= limits::LEGACY_SIGNATURES => {
                Ok(Self { layers })
            }
            Some(Value::Array(layers)) => Err(Failure::new(
                Class::Limit,
                format!(
                    "the signature manifest has {} signatures; at most {} are read",
                    layers.len(),
                    limits::LEGACY_SIGNATURES
                ),
            )),
            _ => Err(Failure::new(Class::Malformed, "the signature manifest has no `layers`")),
        }
    }

    /// Returns the candidates, each with what is wrong with it where it cannot even be read. Order
    /// as in the manifest.
    pub fn candidates(&self) -> impl Iterator<Item = Result<LegacyCandidate, Failure>> + '_ {
        self.layers.iter().map(|layer| match layer.get("mediaType").and_then(Value::as_str) {
            Some(LAYER_TYPE) => candidate(layer),
            other => {
                let message = format!(
                    "a signature of the type `{}`; expected `{LAYER_TYPE}`",
                    other.unwrap_or_default()
                );
                Err(Failure::new(Class::Unsupported, message))
            }
        })
    }

    /// Adds a signature at the end. Those that are there stay byte for byte.
    ///
    /// # Errors
    /// `limit`: there are [`limits::LEGACY_SIGNATURES`] already; with one more nobody here could
    /// read any.
    pub fn push(&mut self, payload: &[u8], signed: &Signed) -> Result<(), Failure> {
        if self.layers.len() >= limits::LEGACY_SIGNATURES {
            let message = format!(
                "there are {} signatures already, which is as many as are read",
                self.layers.len()
            );
            return Err(Failure::new(Class::Limit, message)
                .hint("remove old ones, with `cosign clean` or in the registry"));
        }
        self.layers.push(json!({
            "mediaType": LAYER_TYPE,
            "size": payload.len(),
            "digest": Digest::of(payload).to_string(),
            // Readers of the manifest need not ask for the payload, which is a round trip. It
            // is in the registry all the same.
            "data": BASE64_STANDARD.encode(payload),
            "annotations": signed.annotations(),
        }));
        Ok(())
    }

    /// Returns the configuration blob: exactly what cosign writes for these layers.
    #[must_use]
    pub fn config(&self) -> Vec<u8> {
        let epoch = "0001-01-01T00:00:00Z";
        let history: Vec<Value> = self.layers.iter().map(|_| json!({"created": epoch})).collect();
        let diff_ids: Vec<&Value> =
            self.layers.iter().filter_map(|layer| layer.get("digest")).collect();
        json::to_go_bytes(&json!({
            "architecture": "",
            "created": epoch,
            "history": history,
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "config": {},
        }))
    }

    /// Returns the manifest, with the configuration of [`Self::config`].
    #[must_use]
    pub fn manifest(&self) -> Vec<u8> {
        let config = self.config();
        json::to_go_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_MEDIA_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "size": config.len(), "digest": Digest::of(&config).to_string()},
            "layers": self.layers,
        }))
    }
}

fn candidate(layer: &Value) -> Result<LegacyCandidate, Failure> {
    let malformed = |why: String| {
        Failure::new(Class::Malformed, format!("a signature under the `.sig` tag {why}"))
    };
    let annotation = |key: &str| {
        layer
            .get("annotations")
            .and_then(|annotations| annotations.get(key))
            .and_then(Value::as_str)
    };
    let base64 = |text: &str| {
        BASE64_STANDARD.decode(text).map_err(|error| malformed(format!("is not base64: {error}")))
    };
    let digest = layer
        .get("digest")
        .and_then(Value::as_str)
        .ok_or_else(|| malformed("has no digest".to_owned()))?;
    let payload: Digest = digest.parse()?;
    let payload_bytes = layer
        .get("size")
        .and_then(Value::as_u64)
        .ok_or_else(|| malformed("has no size".to_owned()))?;
    if payload_bytes > limits::PAYLOAD_BYTES {
        return Err(Failure::new(
            Class::Limit,
            format!(
                "a signed payload of {payload_bytes} bytes; at most {} are read",
                limits::PAYLOAD_BYTES
            ),
        ));
    }
    let text = |key: &str| annotation(key).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let embedded = match layer.get("data") {
        None | Some(Value::Null) => None,
        Some(data) => Some(base64(
            data.as_str().ok_or_else(|| malformed("has `data` that is not text".to_owned()))?,
        )?),
    };
    // Of two readers one may take the embedded bytes and one those of the registry, so they are the
    // same or it is not a signature.
    if embedded.as_ref().is_some_and(|bytes| {
        u64::try_from(bytes.len()) != Ok(payload_bytes) || Digest::of(bytes) != payload
    }) {
        return Err(malformed(format!("carries other bytes than `{payload}`")));
    }
    let signature = annotation(SIGNATURE)
        .ok_or_else(|| malformed(format!("has no annotation `{SIGNATURE}`")))?;
    Ok(LegacyCandidate {
        payload,
        payload_bytes,
        embedded,
        signature: base64(signature)?,
        evidence: LegacyEvidence {
            certificate: text(CERTIFICATE),
            chain: text(CHAIN),
            bundle: text(BUNDLE),
            timestamp: text(TIMESTAMP),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_the_one_that_cosign_writes() {
        let layer = |digest: &str| json!({"mediaType": LAYER_TYPE, "size": 1, "digest": digest, "annotations": {SIGNATURE: "AA=="}});
        let golden = "sha256:3af4414d20c9e1cb76ccc72aae8b242166dabe6af531a4a790db8e2f0e5ee7c9";
        let one = Signatures { layers: vec![layer(golden)] };
        assert_eq!(one.config().len(), 233);
        assert_eq!(
            Digest::of(&one.config()).hex(),
            "6be03ee91610ddcd1b1c5b664bb2ef319a85b4ca9ebee1d64d87729c5fd83a91"
        );
        let two = Signatures { layers: vec![layer(golden), layer(golden)] };
        assert_eq!(two.config().len(), 342);
    }

    #[test]
    fn strangers_layers_survive_byte_for_byte() {
        let theirs = r#"{"size":3,"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","x-unknown":{"b":1,"a":[2]},"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","annotations":{"z":"1","dev.cosignproject.cosign/signature":"AAEC","a":"2"}}"#;
        let manifest = format!(r#"{{"schemaVersion":2,"config":{{}},"layers":[{theirs}]}}"#);
        let mut signatures = Signatures::parse(manifest.as_bytes()).unwrap();
        signatures.push(b"payload", &Signed::by_key(vec![1, 2, 3], &[0; 32])).unwrap();
        let written = String::from_utf8(signatures.manifest()).unwrap();
        assert!(written.contains(theirs), "{written}");
        let read = Signatures::parse(written.as_bytes()).unwrap();
        let candidates: Vec<_> = read.candidates().collect::<Result<_, _>>().unwrap();
        assert_eq!(candidates.len(), 2);
        assert_eq!(candidates[1].signature, [1, 2, 3]);
        assert_eq!(candidates[1].payload, Digest::of(b"payload"));
    }

    #[test]
    fn a_payload_is_read_up_to_its_limit() {
        for (size, expected) in
            [(limits::PAYLOAD_BYTES, Ok(())), (limits::PAYLOAD_BYTES + 1, Err(Class::Limit))]
        {
            let layer = json!({"size": size, "digest": Digest::of(b"payload").to_string(), "annotations": {SIGNATURE: "AA=="}});
            assert_eq!(
                candidate(&layer).map(|_| ()).map_err(|failure| failure.class()),
                expected,
                "{size} bytes"
            );
        }
    }

    #[test]
    fn a_candidate_that_cannot_be_read_says_why() {
        let base = json!({"mediaType": LAYER_TYPE, "size": 1, "digest": Digest::of(b"a").to_string(), "annotations": {SIGNATURE: "AA=="}});
        assert_eq!(candidate(&base).unwrap().embedded, None);
        for (pointer, value, class) in [
            ("/digest", json!("sha256:../x"), Class::Malformed),
            ("/digest", json!(7), Class::Malformed),
            ("/size", json!(-1), Class::Malformed),
            ("/size", json!(1 << 20), Class::Limit),
            ("/annotations", json!(null), Class::Malformed),
            ("/annotations", json!({SIGNATURE: "AA"}), Class::Malformed),
            ("/annotations", json!({SIGNATURE: "_-8="}), Class::Malformed),
            ("/data", json!(7), Class::Malformed),
            ("/data", json!("AA"), Class::Malformed),
            ("/data", json!(BASE64_STANDARD.encode("b")), Class::Malformed),
            ("/data", json!(BASE64_STANDARD.encode("ab")), Class::Malformed),
            ("/data", json!(""), Class::Malformed),
        ] {
            let mut layer = base.clone();
            layer[&pointer[1..]] = value;
            assert_eq!(candidate(&layer).map_err(|failure| failure.class()), Err(class), "{layer}");
        }
    }

    #[test]
    fn our_own_carry_their_payload() {
        let mut signatures = Signatures::default();
        signatures.push(b"payload", &Signed::by_key(vec![1, 2, 3], &[0; 32])).unwrap();
        let read = Signatures::parse(&signatures.manifest()).unwrap();
        assert_eq!(
            read.candidates().next().unwrap().unwrap().embedded.as_deref(),
            Some(b"payload".as_slice())
        );
        // The size is held too, not the digest alone.
        let mut longer = signatures.layers[0].clone();
        longer["size"] = json!(8);
        assert_eq!(candidate(&longer).map_err(|failure| failure.class()), Err(Class::Malformed));
    }

    #[test]
    fn too_many_signatures_are_a_limit_and_not_an_absence() {
        let manifest = |count: usize| json!({"layers": vec![json!({}); count]}).to_string();
        assert!(Signatures::parse(manifest(limits::LEGACY_SIGNATURES).as_bytes()).is_ok());
        let error =
            Signatures::parse(manifest(limits::LEGACY_SIGNATURES + 1).as_bytes()).map(|_| ());
        assert_eq!(error.map_err(|failure| failure.class()), Err(Class::Limit));
    }
}
