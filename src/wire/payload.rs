//! The payload of a legacy signature: "simple signing", as cosign writes it.
//!
//! Source: containers/image `docs/containers-signature.5.md`.
//! What is signed are these bytes, so a payload is read from the bytes that were verified and is
//! never written again.

use super::json;
use crate::class::{Class, Failure};
use crate::name::{Digest, Repository, Tag};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `critical.type` of an image signature.
const TYPE: &str = "cosign container image signature";
/// Claim: the repository that our signer signed for, canonical.
const CLAIM_REPOSITORY: &str = "luet-cosign.repository";
/// Claim: the tag that our signer signed for.
const CLAIM_TAG: &str = "luet-cosign.tag";
/// Claim: the digest of the index that our signer signed the image in.
const CLAIM_INDEX: &str = "luet-cosign.index";
/// Claim: the canonical digest of the flattened tree, `v1:sha256:HEX` (docs/tree-digest.md).
const CLAIM_TREE: &str = "luet-cosign.tree";

/// What our signer claims beside cosign's claims. A signature by cosign has none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignerClaims {
    /// The repository that was signed for.
    pub repository: Option<Repository>,
    /// The tag that was signed for.
    pub tag: Option<Tag>,
    /// The index that the image was signed in, as one of its images: `sign -r`.
    pub index: Option<Digest>,
    /// The canonical digest of the flattened tree, version 1.
    pub tree: Option<Digest>,
}

impl SignerClaims {
    /// Whether they name repository and tag: whose signatures once did is expected to go on.
    #[must_use]
    pub fn names_all(&self) -> bool {
        self.repository.is_some() && self.tag.is_some()
    }

    /// Reads the claims out of annotations, and leaves the others.
    ///
    /// # Errors
    /// `malformed`: a claim of ours that is not valid.
    pub fn read(annotations: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let malformed = |key: &'static str| {
            move |failure: Failure| {
                failure.as_class(Class::Malformed).within(format!("the claim `{key}`"))
            }
        };
        let tree = match annotations.get(CLAIM_TREE) {
            None => None,
            Some(text) => match text.strip_prefix("v1:") {
                Some(digest) => Some(digest.parse().map_err(malformed(CLAIM_TREE))?),
                // A later version's digest: this version decides by the layers instead.
                None => None,
            },
        };
        Ok(Self {
            repository: annotations
                .get(CLAIM_REPOSITORY)
                .map(|text| text.parse())
                .transpose()
                .map_err(malformed(CLAIM_REPOSITORY))?,
            tag: annotations
                .get(CLAIM_TAG)
                .map(|text| text.parse())
                .transpose()
                .map_err(malformed(CLAIM_TAG))?,
            index: annotations
                .get(CLAIM_INDEX)
                .map(|text| text.parse())
                .transpose()
                .map_err(malformed(CLAIM_INDEX))?,
            tree,
        })
    }

    /// Returns the claims as annotations.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let claims = [
            (CLAIM_REPOSITORY, self.repository.as_ref().map(ToString::to_string)),
            (CLAIM_TAG, self.tag.as_ref().map(ToString::to_string)),
            (CLAIM_INDEX, self.index.map(|digest| digest.to_string())),
            (CLAIM_TREE, self.tree.map(|digest| format!("v1:{digest}"))),
        ];
        claims.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// A payload, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The name under which the image was signed; shown, not compared.
    pub docker_reference: String,
    /// The digest of the image that was signed.
    pub manifest_digest: Digest,
    /// What is in `optional` as text: annotations, ours among them. Other values are kept as
    /// their JSON.
    pub annotations: BTreeMap<String, String>,
}

impl Payload {
    /// Parses a payload. Keys are read exactly: Go's parser, and so cosign, would also take
    /// `Docker-Manifest-Digest`.
    ///
    /// # Errors
    /// `malformed`: not JSON, a key twice, an unknown or missing key under `critical`, another
    /// `type`, a digest that is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let malformed =
            |why: &str| Failure::new(Class::Malformed, format!("the signed payload {why}"));
        let value = json::parse(bytes).map_err(|failure| failure.within("the signed payload"))?;
        let top = object(&value, &["critical", "optional"])
            .ok_or_else(|| malformed("has other keys than `critical` and `optional`"))?;
        let critical = top
            .get("critical")
            .and_then(|critical| object(critical, &["identity", "image", "type"]))
            .ok_or_else(|| {
                malformed("has no `critical` with exactly `identity`, `image` and `type`")
            })?;
        let text = |outer: &str, inner: &str| {
            critical
                .get(outer)
                .and_then(|value| object(value, &[inner]))
                .and_then(|object| object.get(inner))
                .and_then(Value::as_str)
        };
        match critical.get("type").and_then(Value::as_str) {
            Some(TYPE) => {}
            Some(other) => {
                return Err(malformed(&format!("is of type `{other}`; expected `{TYPE}`")));
            }
            None => return Err(malformed("has no `critical.type`")),
        }
        let digest = text("image", "docker-manifest-digest")
            .ok_or_else(|| malformed("has no `docker-manifest-digest`"))?;
        let annotations = match top.get("optional") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(Value::Object(optional)) => {
                optional.iter().map(|(key, value)| (key.clone(), as_text(value))).collect()
            }
            Some(_) => return Err(malformed("has an `optional` that is not an object")),
        };
        Ok(Self {
            docker_reference: text("identity", "docker-reference")
                .ok_or_else(|| malformed("has no `docker-reference`"))?
                .to_owned(),
            manifest_digest: digest
                .parse()
                .map_err(|failure: Failure| failure.within("the signed payload"))?,
            annotations,
        })
    }

    /// Returns the bytes to sign, as cosign writes them: this key order, `optional` sorted, or
    /// `null` where there is none.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let optional =
            if self.annotations.is_empty() { Value::Null } else { json!(self.annotations) };
        json::to_go_bytes(&json!({
            "critical": {
                "identity": {"docker-reference": self.docker_reference},
                "image": {"docker-manifest-digest": self.manifest_digest.to_string()},
                "type": TYPE,
            },
            "optional": optional,
        }))
    }
}

/// Returns the object, where every key of it is one of `keys`.
fn object<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Map<String, Value>> {
    value.as_object().filter(|object| object.keys().all(|key| keys.contains(&key.as_str())))
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cosign 2 wrote.
    const GOLDEN: &str = r#"{"critical":{"identity":{"docker-reference":"registry-testing.svc.lan/busybox"},"image":{"docker-manifest-digest":"sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b"},"type":"cosign container image signature"},"optional":null}"#;

    #[test]
    fn a_payload_is_written_as_cosign_writes_it() {
        let payload = Payload::parse(GOLDEN.as_bytes()).unwrap();
        assert_eq!(payload.to_bytes(), GOLDEN.as_bytes());
        assert_eq!(
            Digest::of(GOLDEN.as_bytes()).hex(),
            "3af4414d20c9e1cb76ccc72aae8b242166dabe6af531a4a790db8e2f0e5ee7c9"
        );
    }

    #[test]
    fn claims_come_back_from_the_signed_bytes() {
        let claims = SignerClaims {
            repository: Some("quay.io/a/b".parse().unwrap()),
            tag: Some("x-1".parse().unwrap()),
            index: Some(Digest::of(b"index")),
            tree: Some(Digest::of(b"tree")),
        };
        let payload = Payload {
            docker_reference: "quay.io/a/b".to_owned(),
            manifest_digest: Digest::of(b"x"),
            annotations: claims.annotations(),
        };
        let read = Payload::parse(&payload.to_bytes()).unwrap();
        assert_eq!(SignerClaims::read(&read.annotations).unwrap(), claims);
        assert_eq!(SignerClaims::read(&BTreeMap::new()).unwrap(), SignerClaims::default());
    }

    #[test]
    fn what_cosign_would_read_leniently_is_malformed() {
        for (from, to) in [
            ("cosign container image signature", "atomic container signature"),
            ("docker-manifest-digest", "Docker-Manifest-Digest"),
            ("\"type\"", "\"Type\""),
            ("\"optional\":null", "\"optional\":[]"),
            ("\"optional\":null", "\"other\":null"),
            ("\"identity\":{", "\"identity\":{\"x\":1,"),
            ("\"image\":{", "\"image\":{\"docker-manifest-digest\":\"sha256:00\","),
            ("sha256:f3", "sha512:f3"),
            ("sha256:f3", "sha256:F3"),
            ("{\"critical\"", "[{\"critical\""),
        ] {
            let text = GOLDEN.replacen(from, to, 1);
            assert_ne!(text, GOLDEN);
            assert_eq!(
                Payload::parse(text.as_bytes()).map_err(|failure| failure.class()),
                Err(Class::Malformed),
                "{to}"
            );
        }
    }
}
