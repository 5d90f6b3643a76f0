//! The manifest of a referrer: is it a signature, or something else that points at the image?
//!
//! Source: `reference/cosign.md` 1b. Annotations and types are the registry's word: they only ever decide what is looked
//! at, never what is trusted.

use super::json;
use crate::class::{Class, Failure};
use crate::name::Digest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

/// The predicate of an image signature; everything else in a bundle is an attestation.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// How the media types of bundles start: `.v0.3+json`, and `+json;version=0.1` of old.
const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle";
/// The configuration of a legacy signature that was written as a referrer (`--registry-referrers-mode=oci-1-1`).
const LEGACY_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";

/// What a referrer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referrer {
    /// A Sigstore bundle that says it is a signature, or does not say what it is.
    Bundle {
        /// The bundle's digest.
        digest: Digest,
        /// The bundle's size, in bytes.
        bytes: u64,
        /// The predicate that the manifest names, where it names one.
        predicate: Option<String>,
    },
    /// A legacy signature in the form of a referrer.
    Legacy,
    /// Something that is no signature: an attestation, an SBOM, anything.
    Other,
}

impl Referrer {
    /// Reads the manifest of a referrer of `subject`.
    ///
    /// # Errors
    /// `binding`: its own `subject` is another digest, or there is none. `malformed`: no manifest.
    pub fn parse(manifest: &[u8], subject: &Digest) -> Result<Self, Failure> {
        let value = json::parse(manifest).map_err(|failure| failure.within("the manifest of a referrer"))?;
        let digest = |value: &Value| value.get("digest").and_then(Value::as_str).map(ToOwned::to_owned);
        match value.get("subject").and_then(digest) {
            Some(theirs) if theirs == subject.to_string() => {}
            theirs => {
                let theirs = theirs.unwrap_or_else(|| "nothing".to_owned());
                return Err(Failure::new(Class::Binding, format!("a referrer of `{subject}` says that it is about `{theirs}`")));
            }
        }
        if value.pointer("/config/mediaType").and_then(Value::as_str) == Some(LEGACY_TYPE) {
            return Ok(Self::Legacy);
        }
        let Some([layer]) = value.get("layers").and_then(Value::as_array).map(Vec::as_slice) else {
            return Ok(Self::Other);
        };
        if !layer.get("mediaType").and_then(Value::as_str).is_some_and(|kind| kind.starts_with(BUNDLE_TYPE)) {
            return Ok(Self::Other);
        }
        let predicate = value.get("annotations").and_then(|all| all.get(PREDICATE)).and_then(Value::as_str).map(ToOwned::to_owned);
        if predicate.as_deref().is_some_and(|predicate| predicate != SIGN_PREDICATE) {
            return Ok(Self::Other);
        }
        let malformed = || Failure::new(Class::Malformed, "the manifest of a bundle has no digest and size of its layer");
        Ok(Self::Bundle {
            digest: digest(layer).ok_or_else(malformed)?.parse()?,
            bytes: layer.get("size").and_then(Value::as_u64).ok_or_else(malformed)?,
            predicate,
        })
    }
}

/// Returns the predicate of the statement in a bundle; `None` where it holds no statement (a signature over a message).
///
/// # Errors
/// `malformed`: no bundle, or no statement where its envelope says there is one.
pub fn bundle_predicate(bundle: &[u8]) -> Result<Option<String>, Failure> {
    let malformed = |why: &str| Failure::new(Class::Malformed, format!("a Sigstore bundle {why}"));
    let value = json::parse(bundle).map_err(|failure| failure.within("a Sigstore bundle"))?;
    let Some(envelope) = value.get("dsseEnvelope") else { return Ok(None) };
    let payload = envelope.get("payload").and_then(Value::as_str).ok_or_else(|| malformed("has an envelope without a payload"))?;
    let payload = BASE64_STANDARD.decode(payload).map_err(|_| malformed("has a payload that is not base64"))?;
    let statement = json::parse(&payload).map_err(|failure| failure.within("the statement in a Sigstore bundle"))?;
    let predicate =
        statement.get("predicateType").and_then(Value::as_str).ok_or_else(|| malformed("has a statement without a predicate"))?;
    Ok(Some(predicate.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(subject: &Digest, layer: &str, predicate: Option<&str>) -> Vec<u8> {
        let annotations = predicate.map(|predicate| json!({PREDICATE: predicate})).unwrap_or_default();
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
        let parse = |layer: &str, predicate| Referrer::parse(&manifest(&subject, layer, predicate), &subject).unwrap();
        let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
        assert!(matches!(parse(bundle, Some(SIGN_PREDICATE)), Referrer::Bundle { predicate: Some(_), bytes: 5, .. }));
        assert!(matches!(parse("application/vnd.dev.sigstore.bundle+json;version=0.1", None), Referrer::Bundle { predicate: None, .. }));
        assert_eq!(parse(bundle, Some("https://slsa.dev/provenance/v1")), Referrer::Other);
        assert_eq!(parse("text/spdx+json", None), Referrer::Other);
    }

    #[test]
    fn a_referrer_of_something_else_is_binding() {
        let other = manifest(&Digest::of(b"other"), "text/spdx+json", None);
        assert_eq!(Referrer::parse(&other, &Digest::of(b"image")).map_err(|failure| failure.class()), Err(Class::Binding));
        assert_eq!(Referrer::parse(b"{}", &Digest::of(b"image")).map_err(|failure| failure.class()), Err(Class::Binding));
    }

    #[test]
    fn the_predicate_is_read_from_the_statement() {
        let envelope = |statement: &str| json!({"dsseEnvelope": {"payload": BASE64_STANDARD.encode(statement)}}).to_string();
        assert_eq!(bundle_predicate(envelope(r#"{"predicateType":"p"}"#).as_bytes()).unwrap().as_deref(), Some("p"));
        assert_eq!(bundle_predicate(br#"{"messageSignature":{}}"#).unwrap(), None);
        for broken in [envelope("{}"), envelope("x"), r#"{"dsseEnvelope":{"payload":"%"}}"#.to_owned(), "x".to_owned()] {
            assert_eq!(bundle_predicate(broken.as_bytes()).map_err(|failure| failure.class()), Err(Class::Malformed), "{broken}");
        }
    }
}
