//! The manifest of a referrer: is it a signature, or something else that points at the image?
//!
//! Source: cosign `specs/BUNDLE_SPEC.md`, OCI distribution-spec 1.1. Annotations and types are the
//! registry's word: they only ever decide what is looked at, never what is trusted.

use super::bundle::{ANY_BUNDLE_TYPE, BUNDLE_TYPE, OLD_SPELLING, OLD_VERSIONS};
use super::json;
use super::statement::SIGN_PREDICATE;
use crate::class::{Class, Failure};
use crate::name::Digest;
use jiff::Timestamp;
use oci_distribution::manifest::OCI_IMAGE_MEDIA_TYPE;
use serde_json::{Value, json};

/// The configuration of what is not an image: two bytes (OCI image-spec 1.1, "Guidance for an Empty
/// Descriptor").
pub const EMPTY_CONFIG: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The configuration of a legacy signature that was written as a referrer
/// (`--registry-referrers-mode=oci-1-1`).
const LEGACY_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// A signature of the Notary Project (notaryproject/specifications, signature-specification.md).
const NOTARY_TYPE: &str = "application/vnd.cncf.notary.signature";
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";

/// The types by which a registry that filters is asked for signatures: all that tools are known to
/// list signatures under, and the one that says nothing, under which cosign 2 lists bundles. Others
/// that [`TypeHint::of`] takes for a signature, or for unknown, cannot all be asked for.
pub const SIGNATURE_TYPES: [&str; 7] = {
    let [first, second] = OLD_VERSIONS;
    [BUNDLE_TYPE, LEGACY_TYPE, OLD_SPELLING, NOTARY_TYPE, EMPTY_TYPE, first, second]
};

/// What the artifact type that a list names says of a referrer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeHint {
    /// It calls itself a signature, of whatever kind.
    Signature,
    /// Nothing: registries leave types out, or write one that any manifest can have.
    Unknown,
    /// It calls itself something else.
    Other,
}

impl TypeHint {
    /// Reads the type of an entry of a list.
    #[must_use]
    pub fn of(artifact_type: Option<&str>) -> Self {
        let kind = artifact_type.unwrap_or_default();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| kind.starts_with(prefix));
        if starts(&[ANY_BUNDLE_TYPE, LEGACY_TYPE, NOTARY_TYPE]) {
            Self::Signature
        } else if kind.is_empty()
            || starts(&["application/vnd.oci.", "application/vnd.docker."])
            || starts(&["application/octet-stream", "application/json"])
        {
            Self::Unknown
        } else {
            Self::Other
        }
    }
}

/// What a referrer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referrer {
    /// A Sigstore bundle that says it is a signature, or does not say what it is.
    Bundle {
        /// The bundle's digest.
        digest: Digest,
        /// The bundle's size, in bytes.
        bytes: u64,
    },
    /// Legacy signatures in the form of a referrer: the manifest is made like that of a `.sig` tag.
    Legacy,
    /// Something that is not a signature: an attestation, an SBOM, anything.
    Other,
}

impl Referrer {
    /// Reads the manifest of a referrer of `subject`.
    ///
    /// # Errors
    /// `binding`: its own `subject` is another digest, or there is none. `malformed`: no manifest.
    /// `unsupported`: a signature that others made, which is read by nothing here and so must not
    /// count as none.
    pub fn parse(manifest: &[u8], subject: &Digest) -> Result<Self, Failure> {
        let value = json::parse(manifest)
            .map_err(|failure| failure.within("the manifest of a referrer"))?;
        let digest =
            |value: &Value| value.get("digest").and_then(Value::as_str).map(ToOwned::to_owned);
        match value.get("subject").and_then(digest) {
            Some(theirs) if theirs == subject.to_string() => {}
            theirs => {
                let theirs = theirs.unwrap_or_else(|| "nothing".to_owned());
                return Err(Failure::new(
                    Class::Binding,
                    format!("a referrer of `{subject}` says that it is about `{theirs}`"),
                ));
            }
        }
        if value.pointer("/config/mediaType").and_then(Value::as_str) == Some(LEGACY_TYPE) {
            return Ok(Self::Legacy);
        }
        let types = ["/artifactType", "/config/mediaType"]
            .into_iter()
            .filter_map(|at| value.pointer(at).and_then(Value::as_str));
        if let Some(kind) = types.into_iter().find(|kind| kind.starts_with(NOTARY_TYPE)) {
            return Err(Failure::new(
                Class::Unsupported,
                format!("a signature of the type `{kind}`: Notary's are not read"),
            ));
        }
        let Some([layer]) = value.get("layers").and_then(Value::as_array).map(Vec::as_slice) else {
            return Ok(Self::Other);
        };
        if !layer
            .get("mediaType")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.starts_with(ANY_BUNDLE_TYPE))
        {
            return Ok(Self::Other);
        }
        let predicate =
            value.get("annotations").and_then(|all| all.get(PREDICATE)).and_then(Value::as_str);
        if predicate.is_some_and(|predicate| predicate != SIGN_PREDICATE) {
            return Ok(Self::Other);
        }
        let malformed = || {
            Failure::new(
                Class::Malformed,
                "the manifest of a bundle has no digest and size of its layer",
            )
        };
        Ok(Self::Bundle {
            digest: digest(layer).ok_or_else(malformed)?.parse()?,
            bytes: layer.get("size").and_then(Value::as_u64).ok_or_else(malformed)?,
        })
    }
}

/// What is signed, as a descriptor: a registry lists referrers by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectDescriptor {
    /// The media type of the image or index.
    pub media_type: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Returns the manifest that attaches a bundle to its subject, as cosign 3 writes it.
#[must_use]
pub fn write_referrer(bundle: &[u8], subject: &SubjectDescriptor, created: Timestamp) -> Vec<u8> {
    json::to_go_bytes(&json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "config": {
            "mediaType": EMPTY_TYPE,
            "size": EMPTY_CONFIG.len(),
            "digest": Digest::of(EMPTY_CONFIG).to_string(),
            "artifactType": BUNDLE_TYPE,
        },
        "layers": [{"mediaType": BUNDLE_TYPE, "size": bundle.len(), "digest": Digest::of(bundle).to_string()}],
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            PREDICATE: SIGN_PREDICATE,
            "org.opencontainers.image.created": created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        },
        "subject": {"mediaType": subject.media_type, "size": subject.bytes, "digest": subject.digest.to_string()},
        "artifactType": BUNDLE_TYPE,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(subject: &Digest, layer: &str, predicate: Option<&str>) -> Vec<u8> {
        let annotations =
            predicate.map(|predicate| json!({PREDICATE: predicate})).unwrap_or_default();
        let digest = Digest::of(b"layer").to_string();
        json!({
            "config": {"mediaType": "application/vnd.oci.empty.v1+json"},
            "layers": [{"mediaType": layer, "digest": digest, "size": 5}],
            "subject": {"digest": subject.to_string()},
            "annotations": annotations,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn attestations_and_sboms_are_no_signatures() {
        let subject = Digest::of(b"image");
        let parse = |layer: &str, predicate| {
            Referrer::parse(&manifest(&subject, layer, predicate), &subject).unwrap()
        };
        assert!(matches!(
            parse(BUNDLE_TYPE, Some(SIGN_PREDICATE)),
            Referrer::Bundle { bytes: 5, .. }
        ));
        assert!(matches!(
            parse("application/vnd.dev.sigstore.bundle+json;version=0.1", None),
            Referrer::Bundle { .. }
        ));
        assert_eq!(parse(BUNDLE_TYPE, Some("https://slsa.dev/provenance/v1")), Referrer::Other);
        assert_eq!(parse("text/spdx+json", None), Referrer::Other);
    }

    #[test]
    fn the_type_in_a_list_only_tells_what_to_look_at_first() {
        for kind in SIGNATURE_TYPES.iter().filter(|kind| **kind != EMPTY_TYPE) {
            assert_eq!(TypeHint::of(Some(kind)), TypeHint::Signature, "{kind}");
        }
        let older = "application/vnd.dev.sigstore.bundle+json;version=0.1";
        assert_eq!(TypeHint::of(Some(older)), TypeHint::Signature);
        for kind in [None, Some(""), Some(EMPTY_TYPE), Some(OCI_IMAGE_MEDIA_TYPE)] {
            assert_eq!(TypeHint::of(kind), TypeHint::Unknown, "{kind:?}");
        }
        for kind in ["application/spdx+json", "application/vnd.dev.cosign.artifact.sbom.v1+json"] {
            assert_eq!(TypeHint::of(Some(kind)), TypeHint::Other, "{kind}");
        }
    }

    #[test]
    fn a_referrer_of_something_else_is_binding() {
        let other = manifest(&Digest::of(b"other"), "text/spdx+json", None);
        assert_eq!(
            Referrer::parse(&other, &Digest::of(b"image")).map_err(|failure| failure.class()),
            Err(Class::Binding)
        );
        assert_eq!(
            Referrer::parse(b"{}", &Digest::of(b"image")).map_err(|failure| failure.class()),
            Err(Class::Binding)
        );
    }

    #[test]
    fn a_referrer_is_written_as_cosign_writes_it() {
        // tests/data/cosign-images/images/key2/referrers/bundle0.manifest.json, with this
        // layer and subject.
        let subject = SubjectDescriptor {
            media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(),
            bytes: 401,
            digest: Digest::of(b"image"),
        };
        let written =
            write_referrer(b"bundle", &subject, "2026-11-20T21:43:35.5Z".parse().unwrap());
        let expected = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}},"layers":[{{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","size":6,"digest":"{}"}}],"annotations":{{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1","org.opencontainers.image.created":"2026-11-20T21:43:35Z"}},"subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":401,"digest":"{}"}},"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}}"#,
            Digest::of(b"bundle"),
            subject.digest
        );
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        assert_eq!(
            Referrer::parse(&written, &subject.digest),
            Ok(Referrer::Bundle { digest: Digest::of(b"bundle"), bytes: 6 })
        );
    }
}
