//! Key pairs of the types that matter to Sigstore, recreated for each run.

use super::{b64, sha256};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use der::asn1::ObjectIdentifier;
use sha2::{Digest, Sha384, Sha512};
use x509_cert::der::oid::db::{rfc5912, rfc8410};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// A private key with its public half.
pub enum Key {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    P521(EcdsaKeyPair),
    /// The same, as old clients used it: over SHA-256.
    P521Sha256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub fn p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_ASN1_SIGNING).unwrap())
    }

    pub fn p521() -> Self {
        Self::P521(EcdsaKeyPair::generate(&signature::ECDSA_P521_SHA512_ASN1_SIGNING).unwrap())
    }

    pub fn p521_sha256() -> Self {
        let scheme = &signature::ECDSA_P521_SHA256_ASN1_SIGNING;
        Self::P521Sha256(EcdsaKeyPair::generate(scheme).unwrap())
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// Signs with the digest of the key's own size: SHA-256 for P-256, SHA-384 for P-384,
    /// SHA-512 for P-521; Ed25519 takes the message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) | Self::P384(key) | Self::P521(key) | Self::P521Sha256(key) => {
                key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// The public key as a SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::P256(key) | Self::P384(key) | Self::P521(key) | Self::P521Sha256(key) => {
                key.public_key().as_der().unwrap()
            }
            Self::Ed25519(key) => key.public_key().as_der().unwrap(),
        };
        der.as_ref().to_vec()
    }

    /// The 32 bytes of an Ed25519 key, the point of another.
    pub fn raw(&self) -> Vec<u8> {
        match self {
            Self::P256(key) | Self::P384(key) | Self::P521(key) | Self::P521Sha256(key) => {
                key.public_key().as_ref().to_vec()
            }
            Self::Ed25519(key) => key.public_key().as_ref().to_vec(),
        }
    }

    /// The public key in PEM.
    pub fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki())
    }

    /// What Rekor v1 and CT logs are called by, and what cosign hints at a key with: the digest of
    /// the SubjectPublicKeyInfo.
    pub fn id(&self) -> [u8; 32] {
        sha256(&self.spki())
    }

    /// The hint of a bundle by this key, as cosign writes it.
    pub fn hint(&self) -> String {
        b64(&self.id())
    }

    /// What protobuf-specs calls such a key.
    pub fn details(&self) -> &'static str {
        match self {
            Self::P256(_) => "PKIX_ECDSA_P256_SHA_256",
            Self::P384(_) => "PKIX_ECDSA_P384_SHA_384",
            Self::P521(_) => "PKIX_ECDSA_P521_SHA_512",
            Self::P521Sha256(_) => "PKIX_ECDSA_P521_SHA_256",
            Self::Ed25519(_) => "PKIX_ED25519",
        }
    }

    /// The digest that a log entry of a signature by this key names: Rekor v1's word, Rekor v2's
    /// word, the digest. Ed25519 has none of its own; a log takes SHA-256 for it only where it does
    /// not check the signature against the digest.
    pub fn digest(&self, message: &[u8]) -> (&'static str, &'static str, Vec<u8>) {
        match self {
            Self::P384(_) => ("sha384", "SHA2_384", Sha384::digest(message).to_vec()),
            Self::P521(_) => ("sha512", "SHA2_512", Sha512::digest(message).to_vec()),
            Self::P256(_) | Self::P521Sha256(_) | Self::Ed25519(_) => {
                ("sha256", "SHA2_256", sha256(message).to_vec())
            }
        }
    }

    /// How X.509 and CMS call a signature by this key.
    pub fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        let oid: ObjectIdentifier = match self {
            Self::P256(_) | Self::P521Sha256(_) => rfc5912::ECDSA_WITH_SHA_256,
            Self::P384(_) => rfc5912::ECDSA_WITH_SHA_384,
            Self::P521(_) => rfc5912::ECDSA_WITH_SHA_512,
            Self::Ed25519(_) => rfc8410::ID_ED_25519,
        };
        AlgorithmIdentifierOwned { oid, parameters: None }
    }
}

/// PEM as Go and openssl write it: 64 columns, a newline at the end.
pub fn pem(label: &str, der: &[u8]) -> String {
    let config = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
    ::pem::encode_config(&::pem::Pem::new(label, der), config)
}
