//! The checker: from a candidate, which anybody may claim, to a [`VerifiedSignature`], which nothing else can make.
//!
//! One authority's key must have signed exactly the payload, and the payload must name exactly this image. The signature is
//! checked first, against the payload's digest in the signature manifest, so that a stranger's payload is never even fetched.

use super::Authority;
use crate::class::{Class, Failure};
use crate::name::Digest;
use crate::wire::{Claims, LegacyCandidate, Payload};
use std::collections::BTreeMap;
use std::fmt;

/// In which form a signature lies at the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A layer of a `.sig` tag.
    Legacy,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
        })
    }
}

/// What is asked of a signature beside that it holds: annotations that the signed payload must carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Key and value, both compared exactly.
    pub annotations: BTreeMap<String, String>,
}

/// A signature that holds, by a known authority, over a payload that was not read yet.
#[derive(Debug)]
pub struct Held<'a> {
    candidate: &'a LegacyCandidate,
    authority: &'a Authority,
}

impl<'a> Held<'a> {
    /// Checks a legacy signature against the keys of the authorities, one after another.
    ///
    /// # Errors
    /// `identity`: no key opens it; a legacy key signature names no key, so "damaged" and "by a stranger" look the same.
    /// `unsupported`: a keyless signature, which this version does not read.
    pub fn check(candidate: &'a LegacyCandidate, authorities: &'a [Authority]) -> Result<Self, Failure> {
        let held = |authority: &&Authority| authority.key.verify_digest(&candidate.payload, &candidate.signature).is_ok();
        if let Some(authority) = authorities.iter().find(held) {
            return Ok(Self { candidate, authority });
        }
        if candidate.keyless {
            return Err(Failure::new(Class::Unsupported, "a keyless signature, which this version does not read"));
        }
        Err(Failure::new(Class::Identity, format!("a signature that none of the {} trusted keys made", authorities.len())))
    }

    /// Returns the digest and the size of the payload to fetch.
    #[must_use]
    pub fn payload(&self) -> (&Digest, u64) {
        (&self.candidate.payload, self.candidate.payload_bytes)
    }

    /// Reads the payload and holds it against the image.
    ///
    /// # Errors
    /// `digest`: not the payload that was signed. `malformed`: no payload of an image signature. `binding`: it names another
    /// image, or lacks an annotation that is required.
    pub fn check_claims(self, payload: &[u8], image: &Digest, requirements: &Requirements) -> Result<VerifiedSignature, Failure> {
        // (1) The bytes are those whose digest was signed.
        let found = Digest::of(payload);
        if found != self.candidate.payload {
            return Err(Failure::new(Class::Digest, format!("the signed payload is `{found}`; expected `{}`", self.candidate.payload)));
        }
        // (2) They are the payload of an image signature, of this image.
        let payload = Payload::parse(payload)?;
        if payload.manifest_digest != *image {
            return Err(Failure::new(
                Class::Binding,
                format!("`{}` signed `{}`, not `{image}`", self.authority.name, payload.manifest_digest),
            ));
        }
        // (3) They carry what was asked for.
        for (key, expected) in &requirements.annotations {
            let found = payload.annotations.get(key);
            if found != Some(expected) {
                let found = found.map_or("nothing".to_owned(), |found| format!("`{found}`"));
                return Err(Failure::new(Class::Binding, format!("the annotation `{key}` is {found}; expected `{expected}`")));
            }
        }
        Ok(VerifiedSignature {
            authority: self.authority.name.clone(),
            fingerprint: *self.authority.key.fingerprint(),
            image: *image,
            claims: Claims::read(&payload.annotations)?,
            payload,
            format: Format::Legacy,
        })
    }
}

/// Proof: this authority signed this image. Only the checker makes one.
///
/// ```compile_fail
/// // There is no way to write one down:
/// let forged = luet_cosign::trust::VerifiedSignature { authority: "me".to_owned() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    authority: String,
    fingerprint: Digest,
    image: Digest,
    payload: Payload,
    claims: Claims,
    format: Format,
}

impl VerifiedSignature {
    /// Returns the name that the policy gives to who signed.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the fingerprint of the key: thresholds count these.
    #[must_use]
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// Returns the image's digest: an index, or a manifest.
    #[must_use]
    pub fn image(&self) -> &Digest {
        &self.image
    }

    /// Returns what was signed.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Returns the claims of our own signer.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns the form of the signature.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }
}
