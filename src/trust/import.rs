//! Private keys of other programs, in PEM: what `import-key-pair` reads.
//!
//! cosign reads the first three; openssl's encrypted PKCS#8 (RFC 5208 section 6 with PBES2 of RFC
//! 8018) is ours beside. The older form, PKCS#1 or SEC1 with `Proc-Type: 4,ENCRYPTED`, hashes the
//! password once with MD5: openssl itself can turn it.

use super::private_key::PrivateKey;
use super::sealed;
use crate::class::{Class, Failure};
use crate::limits;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;

/// Reads a private key; `password` opens it where it is encrypted.
pub(super) fn import(pem: &[u8], password: &[u8]) -> Result<PrivateKey, Failure> {
    let block = sealed::only_key(pem)?;
    if block.headers().iter().next().is_some() {
        return Err(Failure::new(
            Class::Unsupported,
            "the private key is encrypted in the old form of openssl",
        )
        .hint("convert it with `openssl pkcs8 -topk8 -in OLD -out NEW`, and import that"));
    }
    match block.tag() {
        "PRIVATE KEY" => PrivateKey::from_pkcs8(block.contents()),
        "RSA PRIVATE KEY" => PrivateKey::from_pkcs1(block.contents()),
        "EC PRIVATE KEY" => PrivateKey::from_sec1(block.contents()),
        "ENCRYPTED PRIVATE KEY" => encrypted(block.contents(), password),
        tag if sealed::is_sealed(tag) => {
            Err(secret("is already a cosign key".to_owned()).hint("use it as it is, with `--key`"))
        }
        "CERTIFICATE" => Err(secret(
            "is a `CERTIFICATE`; expected a private key of PKCS#8, PKCS#1 or SEC1".to_owned(),
        )),
        _ => Err(secret(
            "is another PEM block; expected a private key of PKCS#8, PKCS#1 or SEC1".to_owned(),
        )),
    }
}

fn encrypted(der: &[u8], password: &[u8]) -> Result<PrivateKey, Failure> {
    let unsupported = |what: &str| {
        Failure::new(Class::Unsupported, format!("the private key is encrypted with {what}"))
            .hint("re-encrypt it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in OLD -out NEW`")
    };
    let info = pkcs8::EncryptedPrivateKeyInfo::try_from(der)
        .map_err(|_| unsupported("something that this program does not read"))?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(unsupported("an outdated scheme (PBES1)"));
    };
    check_cost(&parameters.kdf)?;
    let opened = info.decrypt(password).map_err(|_| {
        secret("does not open with this password".to_owned())
            .hint("COSIGN_PASSWORD opens the file and encrypts the imported key")
    })?;
    PrivateKey::from_pkcs8(opened.as_bytes())
}

/// A file must not choose how long its opening takes (docs/threats.md G07).
fn check_cost(kdf: &Kdf<'_>) -> Result<(), Failure> {
    let over = |what: String| {
        Failure::new(Class::Limit, format!("the private key asks for {what}"))
            .hint("re-encrypt it with openssl")
    };
    match (kdf.pbkdf2(), kdf.scrypt()) {
        (Some(parameters), _) if parameters.iteration_count > limits::PBKDF2_ITERATIONS => {
            let most = limits::PBKDF2_ITERATIONS;
            Err(over(format!(
                "{} rounds of PBKDF2; at most {most} are done",
                parameters.iteration_count
            )))
        }
        (_, Some(parameters)) => {
            let memory = u64::from(parameters.block_size)
                .saturating_mul(128)
                .saturating_mul(parameters.cost_parameter);
            let work = memory.saturating_mul(u64::from(parameters.parallelization));
            if work > limits::SCRYPT_BYTES {
                Err(over(format!(
                    "{work} bytes of work by scrypt; at most {} are done",
                    limits::SCRYPT_BYTES
                )))
            } else {
                Ok(())
            }
        }
        _ => Ok(()),
    }
}

fn secret(why: String) -> Failure {
    Failure::new(Class::Secret, format!("the private key {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pkcs8::pkcs5::pbes2::{Pbkdf2Params, Pbkdf2Prf};

    #[test]
    fn rounds_of_pbkdf2_are_done_up_to_a_limit() {
        let most = limits::PBKDF2_ITERATIONS;
        for (iteration_count, expected) in [
            (1, Ok(())),
            (most, Ok(())),
            (most + 1, Err(Class::Limit)),
            (u32::MAX, Err(Class::Limit)),
        ] {
            let parameters = Pbkdf2Params {
                salt: b"salt",
                iteration_count,
                key_length: None,
                prf: Pbkdf2Prf::HmacWithSha256,
            };
            assert_eq!(
                check_cost(&parameters.into()).map_err(|failure| failure.class()),
                expected,
                "{iteration_count}"
            );
        }
    }
}
