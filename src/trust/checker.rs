//! The checker: from a candidate, which anybody may claim, to a [`VerifiedSignature`], which nothing else can make.
//!
//! One authority's key must have signed exactly the payload, and the payload must name exactly this image. A legacy signature is
//! checked first, against the payload's digest in the signature manifest, so that a stranger's payload is never even fetched;
//! where a trusted key signs by another hash than SHA-256, payloads of that key's shape of signature are fetched first.

use super::Authority;
use crate::class::{Class, Failure};
use crate::name::Digest;
use crate::wire::{self, Bundle, Claims, Content, Envelope, LegacyCandidate, Material, Payload, Statement};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// In which form a signature lies at the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A Sigstore bundle in a referrer.
    Bundle,
    /// A layer of a `.sig` tag, or of a referrer that is made like one.
    Legacy,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundle => "bundle",
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

impl Requirements {
    fn check(&self, annotations: &BTreeMap<String, String>) -> Result<(), Failure> {
        for (key, expected) in &self.annotations {
            let found = annotations.get(key);
            if found != Some(expected) {
                let found = found.map_or("nothing".to_owned(), |found| format!("`{found}`"));
                return Err(Failure::new(Class::Binding, format!("the annotation `{key}` is {found}; expected `{expected}`")));
            }
        }
        Ok(())
    }
}

/// A legacy signature that is worth fetching its payload for: a known authority made it, or only the payload can show who did.
#[derive(Debug)]
pub struct Held<'a> {
    candidate: &'a LegacyCandidate,
    signers: Signers<'a>,
}

#[derive(Debug)]
enum Signers<'a> {
    /// This one made it: the digest of the payload shows it.
    Proven(&'a Authority),
    /// One of these may have made it, over another hash than SHA-256.
    Possible(Vec<&'a Authority>),
}

impl<'a> Held<'a> {
    /// Checks a legacy signature against the keys of the authorities, one after another.
    ///
    /// # Errors
    /// `identity`: no key opens it; a legacy key signature names no key, so "damaged" and "by a stranger" look the same.
    /// `unsupported`: a keyless signature, which this version does not read.
    pub fn check(candidate: &'a LegacyCandidate, authorities: &'a [Authority]) -> Result<Self, Failure> {
        let made_it = |authority: &&Authority| authority.key.verify_digest(&candidate.payload, &candidate.signature).is_ok();
        if let Some(authority) = authorities.iter().find(made_it) {
            return Ok(Self { candidate, signers: Signers::Proven(authority) });
        }
        if candidate.keyless {
            return Err(Failure::new(Class::Unsupported, "a keyless signature, which this version does not read"));
        }
        let possible: Vec<&Authority> =
            authorities.iter().filter(|authority| authority.key.may_need_message(&candidate.signature)).collect();
        if possible.is_empty() {
            return Err(stranger(authorities.len()));
        }
        Ok(Self { candidate, signers: Signers::Possible(possible) })
    }

    /// Whether the signature holds already; where not, only [`Self::check_claims`] shows that somebody trusted made it.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self.signers, Signers::Proven(_))
    }

    /// Returns the digest and the size of the payload to fetch.
    #[must_use]
    pub fn payload(&self) -> (&Digest, u64) {
        (&self.candidate.payload, self.candidate.payload_bytes)
    }

    /// Reads the payload and holds it against the image.
    ///
    /// # Errors
    /// `digest`: not the payload that was signed. `identity`: none of those who might have signed it did. `malformed`: no payload
    /// of an image signature. `binding`: it names another image, or lacks an annotation that is required.
    pub fn check_claims(self, payload: &[u8], image: &Digest, requirements: &Requirements) -> Result<VerifiedSignature, Failure> {
        // (1) The bytes are those whose digest was signed.
        let found = Digest::of(payload);
        if found != self.candidate.payload {
            return Err(Failure::new(Class::Digest, format!("the signed payload is `{found}`; expected `{}`", self.candidate.payload)));
        }
        // (2) An authority signed them, where their digest did not show it.
        let authority = match self.signers {
            Signers::Proven(authority) => authority,
            Signers::Possible(authorities) => authorities
                .iter()
                .find(|authority| authority.key.verify(payload, &self.candidate.signature).is_ok())
                .ok_or_else(|| stranger(authorities.len()))?,
        };
        // (3) They are the payload of an image signature, of this image.
        let payload = Payload::parse(payload)?;
        if payload.manifest_digest != *image {
            return Err(Failure::new(Class::Binding, format!("`{}` signed `{}`, not `{image}`", authority.name, payload.manifest_digest)));
        }
        // (4) They carry what was asked for.
        requirements.check(&payload.annotations)?;
        VerifiedSignature::new(authority, *image, payload, Format::Legacy)
    }
}

/// Checks a bundle that was found at an image: a statement by one of the authorities that this image is signed. `None`: it is an
/// attestation, true or not, and so no signature. Log entries and timestamps beside a key are not looked at.
///
/// # Errors
/// `identity`: none of the authorities signed it. `unsupported`: a keyless signature, or one of a message. `malformed`: an
/// authority signed something that is no statement. `binding`: it is about another image, or lacks an annotation that is required.
pub fn check_bundle(
    bundle: &Bundle,
    authorities: &[Authority],
    image: &Digest,
    requirements: &Requirements,
) -> Result<Option<VerifiedSignature>, Failure> {
    let Content::Envelope(envelope) = &bundle.content else {
        return Err(Failure::new(Class::Unsupported, "a bundle with the signature of a message, which no image has"));
    };
    // (1) What calls itself something else than a signature is not judged at all.
    if wire::predicate(&envelope.payload).is_some_and(|predicate| predicate != wire::SIGN_PREDICATE) {
        return Ok(None);
    }
    if bundle.material == Material::Certificate {
        return Err(Failure::new(Class::Unsupported, "a keyless signature, which this version does not read"));
    }
    // (2) An authority signed these bytes, as what they are. The hint names a key and proves nothing: every key is tried.
    let signed = envelope.signed_bytes();
    let authority = authorities.iter().find(|authority| authority.key.verify(&signed, &envelope.signature).is_ok());
    let authority = authority.ok_or_else(|| stranger(authorities.len()))?;
    // (3) They are a statement, about this image, with what was asked for.
    let annotations = annotations(envelope, image)?;
    requirements.check(&annotations)?;
    let repository = Claims::read(&annotations)?.repository;
    let payload = Payload {
        docker_reference: repository.map(|repository| repository.cosign_name()).unwrap_or_default(),
        manifest_digest: *image,
        annotations,
    };
    VerifiedSignature::new(authority, *image, payload, Format::Bundle).map(Some)
}

fn annotations(envelope: &Envelope, image: &Digest) -> Result<BTreeMap<String, String>, Failure> {
    if envelope.payload_type != wire::STATEMENT_TYPE {
        let found = &envelope.payload_type;
        return Err(Failure::new(
            Class::Malformed,
            format!("the signed payload is of type `{found}`; expected `{}`", wire::STATEMENT_TYPE),
        ));
    }
    Statement::parse(&envelope.payload)?.annotations(image).cloned()
}

/// Checks a bundle with the signature of a message, which is what blobs have.
///
/// # Errors
/// `identity`: none of the authorities signed it. `unsupported`: a keyless signature. `malformed`: it holds a statement.
pub fn check_message<'a>(bundle: &Bundle, authorities: &'a [Authority], message: &[u8]) -> Result<&'a Authority, Failure> {
    let Content::Message { signature } = &bundle.content else {
        return Err(Failure::new(Class::Malformed, "a bundle with a statement; expected the signature of a message"));
    };
    if bundle.material == Material::Certificate {
        return Err(Failure::new(Class::Unsupported, "a keyless signature, which this version does not read"));
    }
    let made_it = |authority: &&Authority| authority.key.verify(message, signature).is_ok();
    authorities.iter().find(made_it).ok_or_else(|| stranger(authorities.len()))
}

fn stranger(authorities: usize) -> Failure {
    Failure::new(Class::Identity, format!("a signature that none of the {authorities} trusted keys made"))
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
    fn new(authority: &Authority, image: Digest, payload: Payload, format: Format) -> Result<Self, Failure> {
        let claims = Claims::read(&payload.annotations)?;
        Ok(Self { authority: authority.name.clone(), fingerprint: *authority.key.fingerprint(), image, payload, claims, format })
    }

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

    /// Returns what was signed. A bundle has no `docker-reference`: it is the repository of our claims there, or empty.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Returns what `cosign verify` prints of a signature. `asked` is the name that was verified, which cosign shows for a bundle.
    #[must_use]
    pub fn document(&self, asked: &str) -> Value {
        match self.format {
            Format::Legacy => serde_json::from_slice(&self.payload.to_bytes()).unwrap_or_default(),
            Format::Bundle => json!({
                "critical": {
                    "identity": {"docker-reference": asked},
                    "image": {"docker-manifest-digest": self.image.to_string()},
                    "type": wire::SIGN_PREDICATE,
                },
                "optional": self.payload.annotations,
            }),
        }
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
