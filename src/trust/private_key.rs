//! Private keys: opened, made, imported and used.
//!
//! Each type signs in the way that the most verifiers read (docs/keys.md): what cosign and skopeo
//! take without a flag, wherever the cryptographic library can make it.

use super::algorithm::KeyAlgorithm;
use super::entry::MessageDigests;
use super::key::{self, PublicKey, oid};
use super::message::Needs;
use super::{import, sealed};
use crate::class::{Class, Failure};
use crate::name::FileDigest;
use crate::wire::Signed;
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA256_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use pkcs8::PrivateKeyInfo;
use zeroize::Zeroizing;

/// A private key: ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2,048 to 4,096 bits.
pub struct PrivateKey {
    pub(super) pair: Pair,
    public: PublicKey,
}

pub(super) enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A new key, as the two files to write.
pub struct KeyPair {
    /// The encrypted private key, PEM.
    pub private_pem: Zeroizing<String>,
    /// The public key, PEM.
    pub public_pem: String,
}

impl PrivateKey {
    /// Opens cosign's encrypted key file. It costs about 120 ms and 66 MiB, which is what the
    /// password's safety is made of.
    ///
    /// # Errors
    /// `secret`: not such a key, or not this password. `unsupported`: another type of key inside.
    /// `limit`: other costs of scrypt than cosign ever wrote.
    pub fn open(pem: &[u8], password: &[u8]) -> Result<Self, Failure> {
        Self::from_pkcs8(&sealed::open(pem, password)?)
    }

    /// Makes a new key, ECDSA P-256, and encrypts it under `password`.
    ///
    /// # Errors
    /// `internal`: no randomness.
    pub fn generate(password: &[u8]) -> Result<KeyPair, Failure> {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .map_err(|_| Failure::new(Class::Internal, "could not make a key"))?;
        Self::from_pkcs8(document.as_ref())?.sealed(password)
    }

    /// Makes a key, ECDSA P-256, that lives in memory only and signs for one certificate.
    ///
    /// # Errors
    /// `internal`: no randomness.
    pub fn ephemeral() -> Result<Self, Failure> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| Failure::new(Class::Internal, "could not make a key"))
            .and_then(|pair| Self::new(Pair::Ecdsa(pair)))
    }

    /// Reads a private key that another program made, in PEM: PKCS#8, also openssl's encrypted one,
    /// PKCS#1 (RSA) or SEC1 (EC). It becomes a key as cosign keeps them, encrypted under
    /// `password`, which also opens the file where that is encrypted.
    ///
    /// # Errors
    /// `secret`: no such key, or not this password. `unsupported`: another type of key, or another
    /// encryption. `limit`: a password hash that costs too much.
    pub fn import(pem: &[u8], password: &[u8]) -> Result<KeyPair, Failure> {
        import::import(pem, password)?.sealed(password)
    }

    /// Writes it as a PKCS#8 document (RFC 5208), which is a secret: ECDSA alone, for a key that lives
    /// as long as its certificate.
    ///
    /// # Errors
    /// `unsupported`: another type of key. `internal`: it could not be written.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .to_pkcs8v1()
                .map(|document| Zeroizing::new(document.as_ref().to_vec()))
                .map_err(|_| Failure::new(Class::Internal, "could not write the private key")),
            Pair::Ed25519(_) | Pair::Rsa(_) => {
                Err(Failure::new(Class::Unsupported, "only an ECDSA key is kept for a run"))
            }
        }
    }

    /// Reads a PKCS#8 document (RFC 5208).
    ///
    /// # Errors
    /// `secret`: it is none. `unsupported`: another type of key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Failure> {
        let info = PrivateKeyInfo::try_from(der)
            .map_err(|error| secret(format!("not PKCS#8: {error}")))?;
        match info.algorithm.oid {
            oid::EC => {
                let curve = key::curve(info.algorithm.parameters_oid().ok())?;
                EcdsaKeyPair::from_pkcs8(signing(curve), der)
                    .map_err(|_| invalid(curve))
                    .and_then(|pair| Self::new(Pair::Ecdsa(pair)))
            }
            oid::ED25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| invalid("Ed25519"))?;
                Self::new(Pair::Ed25519(pair))
            }
            oid::RSA => {
                key::check_private_modulus(info.private_key)?;
                Self::new(Pair::Rsa(RsaKeyPair::from_pkcs8(der).map_err(|_| invalid("RSA"))?))
            }
            other => Err(key::unsupported(other)),
        }
    }

    /// Reads an `RSAPrivateKey` (RFC 8017 appendix A.1.2).
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, Failure> {
        key::check_private_modulus(der)?;
        Self::new(Pair::Rsa(RsaKeyPair::from_der(der).map_err(|_| invalid("RSA"))?))
    }

    /// Reads an `ECPrivateKey` (RFC 5915), which need not name its curve.
    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, Failure> {
        let curves = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::EcdsaP521];
        let pair = curves
            .into_iter()
            .find_map(|curve| EcdsaKeyPair::from_private_key_der(signing(curve), der).ok());
        pair.ok_or_else(|| key::unsupported("EC with another curve, or broken"))
            .and_then(|pair| Self::new(Pair::Ecdsa(pair)))
    }

    /// The public half goes through the reader of public keys, so one set of rules judges both
    /// halves.
    fn new(pair: Pair) -> Result<Self, Failure> {
        let spki: PublicKeyX509Der<'_> = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
        }
        .map_err(|_| Failure::new(Class::Internal, "could not write the public key"))?;
        let public = PublicKey::from_spki(spki.as_ref())?;
        Ok(Self { pair, public })
    }

    fn sealed(&self, password: &[u8]) -> Result<KeyPair, Failure> {
        let internal = |_| Failure::new(Class::Internal, "could not write the private key");
        // Version 1 of PKCS#8: Go reads no other.
        let document = match &self.pair {
            Pair::Ecdsa(pair) => {
                Zeroizing::new(pair.to_pkcs8v1().map_err(internal)?.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => {
                Zeroizing::new(pair.to_pkcs8v1().map_err(internal)?.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let document: Pkcs8V1Der<'_> = pair.as_der().map_err(internal)?;
                Zeroizing::new(document.as_ref().to_vec())
            }
        };
        Ok(KeyPair {
            private_pem: sealed::seal(&document, password)?,
            public_pem: self.public.to_pem(),
        })
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message, in the way that its type of key signs (docs/keys.md).
    ///
    /// # Errors
    /// `internal`: no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ecdsa(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => {
                pair.try_sign(message).map(|signature| signature.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        };
        signature.map_err(|_| Failure::new(Class::Internal, "could not sign"))
    }

    /// Signs a message, and says by whom.
    ///
    /// # Errors
    /// `internal`: no randomness.
    pub fn signed(&self, message: &[u8]) -> Result<Signed, Failure> {
        Ok(Signed::by_key(self.sign(message)?, self.public.fingerprint().bytes()))
    }

    /// Returns which hash it signs; none where it signs the message itself (Ed25519), which then has
    /// to be held whole.
    #[must_use]
    pub fn hash(&self) -> Option<Needs> {
        let needs = Needs { sha256: true, ..Needs::default() };
        match (&self.pair, self.public.algorithm()) {
            (Pair::Ed25519(_), _) => None,
            (_, KeyAlgorithm::EcdsaP384) => Some(Needs { sha384: true, ..needs }),
            _ => Some(needs),
        }
    }

    /// Returns the one of these digests that it signs.
    ///
    /// # Errors
    /// `unsupported`: it signs no digest. `internal`: it is not among them.
    pub fn hashed(&self, digests: &MessageDigests) -> Result<FileDigest, Failure> {
        let needs = self.hash().ok_or_else(|| {
            Failure::new(Class::Unsupported, "an Ed25519 key signs a message, not its digest")
        })?;
        let digest = if needs.sha384 {
            digests.sha384.map(FileDigest::Sha384)
        } else {
            digests.sha256.map(FileDigest::Sha256)
        };
        digest.ok_or_else(|| Failure::new(Class::Internal, "a digest was not computed"))
    }

    /// Signs a message by its digests, in the way that [`Self::sign`] signs the message: one that is
    /// too long to be held.
    ///
    /// # Errors
    /// `unsupported`: it signs no digest. `internal`: no randomness.
    pub fn sign_hashed(&self, digests: &MessageDigests) -> Result<Vec<u8>, Failure> {
        let internal = || Failure::new(Class::Internal, "could not sign");
        let digest = self.hashed(digests)?;
        let algorithm = match digest {
            FileDigest::Sha384(_) => &digest::SHA384,
            _ => &digest::SHA256,
        };
        let imported = digest::Digest::import_less_safe(digest.bytes(), algorithm);
        let imported = imported.map_err(|_| internal())?;
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign_digest(&imported)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| internal()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, &imported, &mut signature)
                    .map(|()| signature)
                    .map_err(|_| internal())
            }
            Pair::Ed25519(_) => Err(internal()),
        }
    }
}

/// SHA-256 where the library can, for that is what every verifier takes; with P-384 it can only do
/// SHA-384.
fn signing(curve: KeyAlgorithm) -> &'static EcdsaSigningAlgorithm {
    match curve {
        KeyAlgorithm::EcdsaP384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        KeyAlgorithm::EcdsaP521 => &ECDSA_P521_SHA256_ASN1_SIGNING,
        _ => &ECDSA_P256_SHA256_ASN1_SIGNING,
    }
}

fn secret(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Secret, format!("the private key is {why}"))
}

fn invalid(kind: impl std::fmt::Display) -> Failure {
    secret(format!("not a valid key of {kind}"))
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair(***)")
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey(***, {:?})", self.public)
    }
}
