//! Private keys: cosign's encrypted files, opened, written and used.
//!
//! Source: `reference/cosign.md` 1c. The file is PEM around JSON: scrypt for the password, NaCl's secretbox around PKCS#8.

use super::key::PublicKey;
use crate::class::{Class, Failure};
use crate::wire::json;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use aws_lc_rs::{encoding::AsDer as _, rand};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

/// The header that cosign writes since 2.0.1.
const HEADER: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// The header before, which skopeo still writes.
const OLD_HEADER: &str = "ENCRYPTED COSIGN PRIVATE KEY";
/// scrypt's N in what we write, as a power of two: cosign's 65,536.
const LOG_N: u8 = 16;
/// The values of N that are opened, as powers of two. Others could take any memory and time (security.md G07).
const LOG_N_KNOWN: [u8; 3] = [15, 16, 17];

/// A private key: ECDSA P-256.
pub struct PrivateKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

/// A new key, as the two files to write.
pub struct KeyPair {
    /// The encrypted private key, PEM.
    pub private_pem: Zeroizing<String>,
    /// The public key, PEM.
    pub public_pem: String,
}

#[derive(Deserialize)]
struct EncryptedWire {
    kdf: KdfWire,
    cipher: CipherWire,
    ciphertext: String,
}

#[derive(Deserialize)]
struct KdfWire {
    name: String,
    params: ParamsWire,
    salt: String,
}

#[derive(Deserialize)]
struct ParamsWire {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct CipherWire {
    name: String,
    nonce: String,
}

impl PrivateKey {
    /// Opens an encrypted key. It costs about 120 ms and 66 MiB, which is what the password's safety is made of.
    ///
    /// # Errors
    /// `secret`: not such a key, or not this password. `unsupported`: another type of key inside. `limit`: other costs of scrypt
    /// than cosign ever wrote.
    pub fn open(pem: &[u8], password: &[u8]) -> Result<Self, Failure> {
        let secret = |why: String| Failure::new(Class::Secret, format!("the private key {why}"));
        let block = pem::parse(pem).map_err(|error| secret(format!("is not PEM: {error}")))?;
        if block.tag() != HEADER && block.tag() != OLD_HEADER {
            return Err(secret(format!("is a PEM block `{}`; expected `{HEADER}`", block.tag()))
                .hint("make one with `luet-cosign generate-key-pair`"));
        }
        let wire: EncryptedWire = json::parse_as(block.contents()).map_err(|failure| secret(failure.message()))?;
        if wire.kdf.name != "scrypt" || wire.cipher.name != "nacl/secretbox" {
            return Err(secret(format!("uses `{}` and `{}`; expected `scrypt` and `nacl/secretbox`", wire.kdf.name, wire.cipher.name)));
        }
        let ParamsWire { n, r, p } = wire.kdf.params;
        let log_n = LOG_N_KNOWN.into_iter().find(|log_n| 1 << log_n == n).filter(|_| r == 8 && p == 1);
        let log_n = log_n.ok_or_else(|| {
            Failure::new(Class::Limit, format!("the private key asks for scrypt with N={n}, r={r}, p={p}"))
                .hint("cosign writes N=32768, 65536 or 131072 with r=8 and p=1; others are refused, for they can take any memory")
        })?;
        let decode =
            |name: &str, text: &str| BASE64_STANDARD.decode(text).map_err(|error| secret(format!("has no base64 in `{name}`: {error}")));
        let salt = decode("salt", &wire.kdf.salt)?;
        let nonce: [u8; 24] =
            decode("nonce", &wire.cipher.nonce)?.try_into().map_err(|_| secret("has a nonce of another length than 24".to_owned()))?;
        let ciphertext = decode("ciphertext", &wire.ciphertext)?;
        let plain = cipher(password, &salt, log_n)?.decrypt(&nonce.into(), ciphertext.as_slice()).map(Zeroizing::new).map_err(|_| {
            secret("does not open with this password".to_owned()).hint("set COSIGN_PASSWORD; an empty password is a password")
        })?;
        Self::from_pkcs8(&plain)
    }

    /// Makes a new key and encrypts it under `password`.
    ///
    /// # Errors
    /// `internal`: no randomness.
    pub fn generate(password: &[u8]) -> Result<KeyPair, Failure> {
        let internal = |what: &'static str| move |_| Failure::new(Class::Internal, format!("could not {what}"));
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).map_err(internal("make a key"))?;
        let (mut salt, mut nonce) = ([0; 32], [0; 24]);
        rand::fill(&mut salt).map_err(internal("get random bytes"))?;
        rand::fill(&mut nonce).map_err(internal("get random bytes"))?;
        let sealed = cipher(password, &salt, LOG_N)?
            .encrypt(&nonce.into(), document.as_ref())
            .map_err(|_| Failure::new(Class::Internal, "could not encrypt the key"))?;
        let body = json::to_go_bytes(&json!({
            "kdf": {"name": "scrypt", "params": {"N": 1_u64 << LOG_N, "r": 8, "p": 1}, "salt": BASE64_STANDARD.encode(salt)},
            "cipher": {"name": "nacl/secretbox", "nonce": BASE64_STANDARD.encode(nonce)},
            "ciphertext": BASE64_STANDARD.encode(sealed),
        }));
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(KeyPair {
            private_pem: Zeroizing::new(pem::encode_config(&pem::Pem::new(HEADER, body), config)),
            public_pem: Self::from_pkcs8(document.as_ref())?.public.to_pem(),
        })
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, Failure> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map_err(|_| Failure::new(Class::Unsupported, "the private key is of another type than ECDSA P-256, or not PKCS#8"))?;
        let spki = pair.public_key().as_der().map_err(|_| Failure::new(Class::Internal, "could not write the public key"))?;
        let public = PublicKey::from_spki(spki.as_ref())?;
        Ok(Self { pair, public })
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message: ECDSA over its SHA-256, ASN.1.
    ///
    /// # Errors
    /// `internal`: no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| Failure::new(Class::Internal, "could not sign"))?;
        Ok(signature.as_ref().to_vec())
    }
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

fn cipher(password: &[u8], salt: &[u8], log_n: u8) -> Result<XSalsa20Poly1305, Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure::new(Class::Internal, format!("scrypt: {error}"));
    let params = scrypt::Params::new(log_n, 8, 1, 32).map_err(|error| internal(&error))?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password, salt, &params, key.as_mut()).map_err(|error| internal(&error))?;
    Ok(XSalsa20Poly1305::new((&*key).into()))
}
