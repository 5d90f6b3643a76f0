//! Public keys.

use crate::class::{Class, Failure};
use crate::name::Digest;
use aws_lc_rs::{digest, signature};
use spki::ObjectIdentifier;
use spki::der::asn1::BitStringRef;
use spki::der::{Decode as _, asn1::AnyRef};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// An uncompressed point of P-256, in bytes.
const P256_POINT_BYTES: usize = 65;

/// A public key: ECDSA P-256. Compared and named by the SHA-256 of its SPKI DER, which is how cosign names it too.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    point: Vec<u8>,
    fingerprint: Digest,
}

impl PublicKey {
    /// Parses one PEM block `PUBLIC KEY`.
    ///
    /// # Errors
    /// `secret`: no such block, several, or a private key. `unsupported`: another type than ECDSA P-256.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, Failure> {
        let blocks = pem::parse_many(bytes).map_err(|error| Failure::new(Class::Secret, format!("not PEM: {error}")))?;
        match blocks.as_slice() {
            [block] if block.tag() == "PUBLIC KEY" => Self::from_spki(block.contents()),
            [block] if block.tag().contains("PRIVATE KEY") => {
                Err(Failure::new(Class::Secret, "a private key where a public key is expected")
                    .hint("use the `.pub` file, or write one with `luet-cosign public-key --key FILE`"))
            }
            [block] => Err(Failure::new(Class::Secret, format!("a PEM block `{}`; expected `PUBLIC KEY`", block.tag()))),
            blocks => Err(Failure::new(Class::Secret, format!("{} PEM blocks; expected one `PUBLIC KEY`", blocks.len()))),
        }
    }

    /// Parses a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn from_spki(der: &[u8]) -> Result<Self, Failure> {
        let info = spki::SubjectPublicKeyInfo::<AnyRef<'_>, BitStringRef<'_>>::from_der(der)
            .map_err(|error| Failure::new(Class::Secret, format!("not a public key: {error}")))?;
        let curve = info.algorithm.parameters_oid().ok();
        if info.algorithm.oid != EC_PUBLIC_KEY || curve != Some(P256) {
            let found = curve.filter(|_| info.algorithm.oid == EC_PUBLIC_KEY).unwrap_or(info.algorithm.oid);
            return Err(Failure::new(Class::Unsupported, format!("a public key of type {found}; expected ECDSA P-256")));
        }
        let point = info.subject_public_key.as_bytes().filter(|point| point.len() == P256_POINT_BYTES && point.first() == Some(&4));
        let point = point.ok_or_else(|| Failure::new(Class::Secret, "not an uncompressed point of P-256"))?;
        // Parsed once here, so that a point off the curve is an error of the key and not of each signature.
        signature::ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point)
            .map_err(|_| Failure::new(Class::Secret, "not a point of P-256"))?;
        Ok(Self { spki: der.to_vec(), point: point.to_vec(), fingerprint: Digest::of(der) })
    }

    /// Returns the SHA-256 of the SPKI DER.
    #[must_use]
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// Returns the key as PEM, as cosign writes it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("PUBLIC KEY", self.spki.clone()), config)
    }

    /// Checks a signature over a message of which only the SHA-256 is known.
    ///
    /// # Errors
    /// `signature`: it does not hold.
    pub(super) fn verify_digest(&self, message: &Digest, signature: &[u8]) -> Result<(), Failure> {
        let failed = |_| Failure::new(Class::Signature, format!("not a signature by the key {}", self.fingerprint.short()));
        let message = digest::Digest::import_less_safe(message.bytes(), &digest::SHA256).map_err(failed)?;
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, &self.point)
            .verify_digest(&message, signature)
            .map_err(failed)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint)
    }
}
