//! cosign's encrypted key files: PEM around JSON, scrypt for the password, NaCl's secretbox around
//! PKCS#8.
//!
//! Source: sigstore `pkg/cryptoutils`, go-securesystemslib `encrypted`. What is inside is not
//! looked at here.

use crate::class::{Class, Failure};
use crate::wire::{FileKind, json};
use aws_lc_rs::rand;
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
/// The values of N that are opened, as powers of two. Others could take any memory and time
/// (docs/threats.md G07).
const LOG_N_KNOWN: [u8; 3] = [15, 16, 17];

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

/// Whether a PEM block is such a file.
pub(super) fn is_sealed(tag: &str) -> bool {
    tag == HEADER || tag == OLD_HEADER
}

/// Opens a file and returns the PKCS#8 inside. It costs about 120 ms and 66 MiB, which is what the
/// password's safety is made of.
///
/// # Errors
/// `secret`: not such a file, or not this password. `limit`: other costs of scrypt than cosign ever
/// wrote.
pub(super) fn open(pem: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let block = only_key(pem)?;
    if !is_sealed(block.tag()) {
        let failure = secret(format!("is another PEM block; expected `{HEADER}`"));
        let plain = block.tag().ends_with("PRIVATE KEY");
        return Err(failure.hint(if plain {
            "encrypt it with `luet-cosign import-key-pair --key FILE`"
        } else {
            "make one with `luet-cosign generate-key-pair`"
        }));
    }
    // Nothing that a file of secrets holds is quoted, whatever is wrong with it.
    let wire: EncryptedWire = json::parse_as(block.contents()).map_err(|failure| {
        secret("does not hold the JSON that cosign writes: `kdf`, `cipher` and `ciphertext`".into())
            .as_class(match failure.class() {
                Class::Limit => Class::Limit,
                _ => Class::Secret,
            })
    })?;
    if wire.kdf.name != "scrypt" || wire.cipher.name != "nacl/secretbox" {
        return Err(secret(
            "is encrypted in another way; expected `scrypt` and `nacl/secretbox`".to_owned(),
        ));
    }
    let log_n = cost(&wire.kdf.params)?;
    let salt = decode("salt", &wire.kdf.salt)?;
    let nonce: [u8; 24] = decode("nonce", &wire.cipher.nonce)?
        .try_into()
        .map_err(|_| secret("has a nonce of another length than 24".to_owned()))?;
    let ciphertext = decode("ciphertext", &wire.ciphertext)?;
    cipher(password, &salt, log_n)?
        .decrypt(&nonce.into(), ciphertext.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| {
            secret("does not open with this password".to_owned())
                .hint(match password.last() {
                    Some(b'\n' | b'\r') => "the password ends with an end of line: `COSIGN_PASSWORD=\"$(cat FILE)\"` leaves it out",
                    Some(_) => "set COSIGN_PASSWORD; an empty password is a password",
                    None => "the password that was given is empty: set COSIGN_PASSWORD",
                })
        })
}

/// Encrypts a PKCS#8 document under `password`, as cosign does.
///
/// # Errors
/// `internal`: no randomness.
pub(super) fn seal(pkcs8: &[u8], password: &[u8]) -> Result<Zeroizing<String>, Failure> {
    let internal = |_| Failure::new(Class::Internal, "could not get random bytes");
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    rand::fill(&mut salt).map_err(internal)?;
    rand::fill(&mut nonce).map_err(internal)?;
    let sealed = cipher(password, &salt, LOG_N)?
        .encrypt(&nonce.into(), pkcs8)
        .map_err(|_| Failure::new(Class::Internal, "could not encrypt the key"))?;
    let body = json::to_go_bytes(&json!({
        "kdf": {"name": "scrypt", "params": {"N": 1_u64 << LOG_N, "r": 8, "p": 1}, "salt": BASE64_STANDARD.encode(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": BASE64_STANDARD.encode(nonce)},
        "ciphertext": BASE64_STANDARD.encode(sealed),
    }));
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Ok(Zeroizing::new(pem::encode_config(&pem::Pem::new(HEADER, body), config)))
}

/// Returns the PEM block of a file that holds one private key.
///
/// # Errors
/// `secret`: it holds none, or several, or is not PEM, and what it is instead.
pub(super) fn only_key(pem: &[u8]) -> Result<pem::Pem, Failure> {
    let blocks = match (pem::parse_many(pem), FileKind::of(pem)) {
        (_, kind @ (FileKind::EscapedPem | FileKind::EncodedPem)) => {
            let hint = kind.hint().unwrap_or_default();
            return Err(secret(format!("is {kind}")).hint(hint));
        }
        (Ok(blocks), _) if !blocks.is_empty() => blocks,
        (_, kind) => {
            let failure = secret(format!("is {kind}; expected PEM"));
            return Err(match kind {
                FileKind::WebPage | FileKind::Gzip | FileKind::Utf16 | FileKind::ByteOrderMark => {
                    failure.hint(kind.hint().unwrap_or_default())
                }
                _ => failure,
            });
        }
    };
    let keys = blocks.iter().filter(|block| block.tag().ends_with("PRIVATE KEY")).count();
    if keys > 1 {
        return Err(secret(format!("file holds {keys} private keys; expected one"))
            .hint("put each of them into a file of its own"));
    }
    // `openssl ecparam -genkey` puts the curve before the key, which names it again.
    let mut others = blocks.into_iter().filter(|block| block.tag() != "EC PARAMETERS");
    match (others.next(), others.count()) {
        (Some(block), 0) => Ok(block),
        (_, more) => Err(secret(format!("file holds {} PEM blocks; expected one", more + 1))
            .hint("put the private key into a file of its own")),
    }
}

fn secret(why: String) -> Failure {
    Failure::new(Class::Secret, format!("the private key {why}"))
}

fn decode(name: &str, text: &str) -> Result<Vec<u8>, Failure> {
    BASE64_STANDARD.decode(text).map_err(|_| secret(format!("has no base64 in `{name}`")))
}

fn cost(params: &ParamsWire) -> Result<u8, Failure> {
    let ParamsWire { n, r, p } = *params;
    let known = LOG_N_KNOWN.into_iter().find(|log_n| 1 << log_n == n).filter(|_| r == 8 && p == 1);
    known.ok_or_else(|| {
        Failure::new(Class::Limit, format!("the private key asks for scrypt with N={n}, r={r}, p={p}"))
            .hint("cosign writes N=32768, 65536 or 131072 with r=8 and p=1; others are refused, for they can take any memory")
    })
}

fn cipher(password: &[u8], salt: &[u8], log_n: u8) -> Result<XSalsa20Poly1305, Failure> {
    let internal =
        |error: &dyn std::fmt::Display| Failure::new(Class::Internal, format!("scrypt: {error}"));
    let params = scrypt::Params::new(log_n, 8, 1).map_err(|error| internal(&error))?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password, salt, &params, key.as_mut()).map_err(|error| internal(&error))?;
    Ok(XSalsa20Poly1305::new((&*key).into()))
}
