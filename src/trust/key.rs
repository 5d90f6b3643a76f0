//! Public keys.

use super::algorithm::KeyAlgorithm;
use super::entry::MessageDigests;
use super::message::{Message, Needs};
use crate::class::{Class, Failure};
use crate::name::Digest;
use crate::wire::FileKind;
use aws_lc_rs::{digest, signature};
use spki::ObjectIdentifier;
use spki::der::asn1::{AnyRef, BitStringRef, UintRef};
use spki::der::{Decode as _, Header, Reader as _, SliceReader};

/// The object identifiers of keys: RFC 5480 section 2.1, RFC 8410 section 3, RFC 8017 appendix A.1.
pub(super) mod oid {
    use spki::ObjectIdentifier;

    pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    pub(crate) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
    pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
    pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
}

/// RSA keys that are read, by the length of their modulus in bits: what cosign imports and key
/// services make.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A public key. Compared and named by the SHA-256 of its SPKI DER, which is how cosign names it
/// too.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    /// What the cryptographic library takes: a point, 32 bytes, or an `RSAPublicKey`.
    key: Vec<u8>,
    algorithm: KeyAlgorithm,
    fingerprint: Digest,
}

impl PublicKey {
    /// Parses one PEM block `PUBLIC KEY`.
    ///
    /// # Errors
    /// `secret`: no such block, several, a private key, or not a valid key of its type.
    /// `unsupported`: another type than ECDSA P-256, P-384 and P-521, Ed25519, and RSA of 2,048 to
    /// 4,096 bits.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, Failure> {
        Self::from_one_block(bytes)
            .map_err(|failure| FileKind::instead(bytes, &FileKind::PublicKey.to_string(), failure))
    }

    fn from_one_block(bytes: &[u8]) -> Result<Self, Failure> {
        let blocks = pem::parse_many(bytes).map_err(|_| secret("not PEM"))?;
        match blocks.as_slice() {
            [block] if block.tag() == "PUBLIC KEY" => Self::from_spki(block.contents()),
            [_] => Err(secret("another PEM block; expected `PUBLIC KEY`")),
            blocks => {
                Err(secret(format!("{} PEM blocks; expected one `PUBLIC KEY`", blocks.len())))
            }
        }
    }

    /// Parses a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn from_spki(der: &[u8]) -> Result<Self, Failure> {
        let info = spki::SubjectPublicKeyInfo::<AnyRef<'_>, BitStringRef<'_>>::from_der(der)
            .map_err(|error| secret(format!("not a public key: {error}")))?;
        let key = info
            .subject_public_key
            .as_bytes()
            .ok_or_else(|| secret("a public key that does not end at a byte"))?;
        let parameters = info.algorithm.parameters;
        let algorithm = match info.algorithm.oid {
            oid::EC => ec(info.algorithm.parameters_oid().ok(), key)?,
            oid::ED25519 if parameters.is_none() => ed25519(key)?,
            oid::RSA if parameters.is_some_and(|parameters| parameters.is_null()) => rsa(key)?,
            oid::ED25519 | oid::RSA => {
                return Err(secret("a public key with parameters that its type does not have"));
            }
            other => return Err(unsupported(other)),
        };
        Ok(Self { spki: der.to_vec(), key: key.to_vec(), algorithm, fingerprint: Digest::of(der) })
    }

    /// Returns the type.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Returns the SPKI DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Returns what protobuf calls the kind of key and the hash that our own keys of it sign, where logs
    /// of Rekor v2 take such (protobuf-specs `PublicKeyDetails`).
    #[must_use]
    pub fn log_details(&self) -> Option<&'static str> {
        match self.algorithm() {
            KeyAlgorithm::EcdsaP256 => Some("PKIX_ECDSA_P256_SHA_256"),
            KeyAlgorithm::EcdsaP384 => Some("PKIX_ECDSA_P384_SHA_384"),
            KeyAlgorithm::Rsa { bits: 2048 } => Some("PKIX_RSA_PKCS1V15_2048_SHA256"),
            KeyAlgorithm::Rsa { bits: 3072 } => Some("PKIX_RSA_PKCS1V15_3072_SHA256"),
            KeyAlgorithm::Rsa { bits: 4096 } => Some("PKIX_RSA_PKCS1V15_4096_SHA256"),
            _ => None,
        }
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

    /// Checks a signature over a message, by every scheme that signers use with this type of key
    /// (docs/keys.md).
    ///
    /// # Errors
    /// `signature`: it does not hold.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Failure> {
        if self.algorithm.verifies(&self.key, message, signature) {
            Ok(())
        } else {
            Err(self.not_ours())
        }
    }

    /// Checks a signature over a message that was hashed: by every scheme for which enough of it is
    /// known.
    ///
    /// # Errors
    /// `signature`: it does not hold. `limit`: the key signs messages as they are, and of this one
    /// only a digest is known. `unsupported`: it may be over a hash of the message that is not
    /// known.
    pub fn verify_hashed(&self, message: &Message, signature: &[u8]) -> Result<(), Failure> {
        if self.algorithm.verifies_hashed(&self.key, message, signature) {
            return Ok(());
        }
        // What could not be tried does not show that the signature is wrong.
        let lacks = self.algorithm.lacks(&self.key, message, signature);
        if lacks.ed25519.is_some() {
            let message =
                format!("an {} signature over a file that is not at hand", self.algorithm);
            return Err(Failure::new(Class::Limit, message)
                .hint("Ed25519 signs files as they are: name the file, a digest is not enough"));
        }
        match [(lacks.sha256, "256"), (lacks.sha384, "384"), (lacks.sha512, "512")]
            .into_iter()
            .find_map(|(lacks, bits)| lacks.then_some(bits))
        {
            Some(bits) => Err(Failure::new(
                Class::Unsupported,
                format!(
                    "an {} signature that may be over the SHA-{bits} of the file, of which only \
                     the {} is at hand",
                    self.algorithm,
                    message.digest().algorithm()
                ),
            )
            .hint(format!("name the file itself, or its digest as `sha{bits}:HEX`"))),
            None => Err(self.not_ours()),
        }
    }

    /// Returns what of a message shows whether this key made a signature.
    #[must_use]
    pub fn needs(&self, signature: &[u8]) -> Needs {
        self.algorithm.needs(&self.key, signature)
    }

    /// Checks a signature over a message of which only the SHA-256 is known.
    ///
    /// # Errors
    /// `signature`: it does not hold, or it is over another hash of the message.
    pub(super) fn verify_digest(&self, message: &Digest, signature: &[u8]) -> Result<(), Failure> {
        let message = digest::Digest::import_less_safe(message.bytes(), &digest::SHA256)
            .map_err(|_| self.not_ours())?;
        if self.algorithm.verifies_digest(&self.key, &message, signature) {
            Ok(())
        } else {
            Err(self.not_ours())
        }
    }

    /// Whether this key could have made the signature in a way that only the message itself can
    /// show.
    pub(super) fn may_need_message(&self, signature: &[u8]) -> bool {
        self.algorithm.may_need_message(signature)
    }

    /// Whether it is ECDSA on a curve longer than P-256.
    pub(super) fn has_long_curve(&self) -> bool {
        matches!(self.algorithm, KeyAlgorithm::EcdsaP384 | KeyAlgorithm::EcdsaP521)
    }

    /// Returns the hash that a signature by this key is over, as log entries call it; `None` where
    /// it holds over none of these digests.
    pub(super) fn hash_of(
        &self,
        message: &MessageDigests,
        signature: &[u8],
    ) -> Option<&'static str> {
        self.algorithm.hash_of(&self.key, message, signature)
    }

    fn not_ours(&self) -> Failure {
        Failure::new(
            Class::Signature,
            format!("not a signature by the key {}", self.fingerprint.short()),
        )
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({}, {})", self.algorithm, self.fingerprint)
    }
}

fn secret(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Secret, why)
}

/// Returns the failure for a type of key that is not read.
pub(super) fn unsupported(found: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Unsupported, format!("a key of type {found}; expected ECDSA P-256, P-384, P-521, Ed25519 or RSA"))
        .hint("docs/keys.md lists who can use which key; `luet-cosign generate-key-pair` makes one that all can")
}

/// Returns the curve of an object identifier.
pub(super) fn curve(parameters: Option<ObjectIdentifier>) -> Result<KeyAlgorithm, Failure> {
    match parameters {
        Some(oid::P256) => Ok(KeyAlgorithm::EcdsaP256),
        Some(oid::P384) => Ok(KeyAlgorithm::EcdsaP384),
        Some(oid::P521) => Ok(KeyAlgorithm::EcdsaP521),
        Some(other) => Err(unsupported(format!("EC with the curve {other}"))),
        None => Err(unsupported("EC without a named curve")),
    }
}

/// Keys are judged once, here, so that a point off the curve is an error of the key and not of each
/// signature.
fn ec(parameters: Option<ObjectIdentifier>, point: &[u8]) -> Result<KeyAlgorithm, Failure> {
    let algorithm = curve(parameters)?;
    let (scheme, coordinate_bytes) = match algorithm {
        KeyAlgorithm::EcdsaP384 => (&signature::ECDSA_P384_SHA384_ASN1, 48),
        KeyAlgorithm::EcdsaP521 => (&signature::ECDSA_P521_SHA512_ASN1, 66),
        _ => (&signature::ECDSA_P256_SHA256_ASN1, 32),
    };
    if point.len() != 1 + 2 * coordinate_bytes || point.first() != Some(&4) {
        return Err(secret(format!("not an uncompressed point of {algorithm}")));
    }
    signature::ParsedPublicKey::new(scheme, point)
        .map_err(|_| secret(format!("not a point of {algorithm}")))?;
    Ok(algorithm)
}

fn ed25519(key: &[u8]) -> Result<KeyAlgorithm, Failure> {
    let bytes = <[u8; 32]>::try_from(key)
        .map_err(|_| secret("an Ed25519 key of another length than 32 bytes"))?;
    let point = ed25519_dalek::VerifyingKey::from_bytes(&bytes)
        .map_err(|_| secret("not a point of Ed25519"))?;
    // With a point of small order some signatures hold for every message.
    if point.is_weak() {
        Err(secret("a weak Ed25519 key, of small order"))
    } else {
        Ok(KeyAlgorithm::Ed25519)
    }
}

fn rsa(key: &[u8]) -> Result<KeyAlgorithm, Failure> {
    let (modulus, exponent) =
        rsa_numbers(key).map_err(|error| secret(format!("not an RSA public key: {error}")))?;
    let bits = check_modulus(modulus)?;
    // The library refuses these too; the rule stands here so that it does not hang on the library's
    // version.
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !is_odd(modulus) || !is_odd(exponent) || exponent == [1] {
        return Err(secret(
            "not an RSA public key: an even modulus, or an exponent that is even or 1",
        ));
    }
    signature::ParsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key)
        .map_err(|_| secret("not an RSA public key that signatures can be checked with"))?;
    Ok(KeyAlgorithm::Rsa { bits })
}

/// Returns the length of a modulus in bits, where it is one of those that are read.
fn check_modulus(modulus: &[u8]) -> Result<usize, Failure> {
    let bits = bits(modulus);
    if RSA_BITS.contains(&bits) {
        return Ok(bits);
    }
    Err(unsupported(format!("RSA with {bits} bits"))
        .hint("RSA keys of 2,048 to 4,096 bits are read: shorter ones can be broken, longer ones are not in use"))
}

/// Checks the size of an `RSAPrivateKey` (RFC 8017 appendix A.1.2), for the library only says that
/// it will not have it.
pub(super) fn check_private_modulus(der: &[u8]) -> Result<(), Failure> {
    let read = || {
        let mut reader = SliceReader::new(der)?;
        Header::decode(&mut reader)?;
        let _version = UintRef::decode(&mut reader)?;
        UintRef::decode(&mut reader)
    };
    let modulus = read().map_err(|error| secret(format!("not an RSA private key: {error}")))?;
    check_modulus(modulus.as_bytes()).map(|_| ())
}

/// Reads an `RSAPublicKey` (RFC 8017 appendix A.1.1): modulus and exponent, without leading zeros.
fn rsa_numbers(der: &[u8]) -> spki::der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der)?;
    let numbers = reader.sequence(|sequence| {
        let modulus = UintRef::decode(sequence)?;
        let exponent = UintRef::decode(sequence)?;
        Ok((modulus.as_bytes(), exponent.as_bytes()))
    })?;
    reader.finish(numbers)
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| {
        let unused = usize::try_from(first.leading_zeros()).unwrap_or(0);
        number.len() * 8 - unused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_long_as_from_its_highest_bit() {
        for (number, expected) in
            [(&[][..], 0), (&[1], 1), (&[0x7f], 7), (&[0x80], 8), (&[1, 0], 9), (&[0xff, 0xff], 16)]
        {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }
}
