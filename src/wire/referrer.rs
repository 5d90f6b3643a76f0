//! The manifest of a referrer: is it a signature, or something else that points at the image?
//!
//! Source: `reference/cosign.md` 1b. Annotations and types are the registry's word: they only ever decide what is looked
//! at, never what is trusted.

use super::json;
use crate::class::{Class, Failure};
use crate::name::Digest;
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
