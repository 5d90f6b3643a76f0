//! What `cargo mutants` showed that no other test of keys looked at.

use super::*;
use luet_cosign::class::{Class, Failure};
use luet_cosign::trust::{KeyAlgorithm, PublicKey};

#[test]
fn types_of_keys_have_names() {
    let names = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::EcdsaP521,
        KeyAlgorithm::Ed25519,
    ];
    assert_eq!(
        names.map(|name| name.to_string()),
        ["ECDSA P-256", "ECDSA P-384", "ECDSA P-521", "Ed25519"]
    );
    assert_eq!(KeyAlgorithm::Rsa { bits: 3072 }.to_string(), "RSA 3072");
}

#[test]
fn a_file_that_is_no_key_is_called_what_it_is() {
    let refused = |failure: Result<(), Failure>| failure.unwrap_err().message().to_owned();
    let block = |tag: &str| pem::encode(&pem::Pem::new(tag, b"x"));
    let public = |pem: &str| refused(PublicKey::from_pem(pem.as_bytes()).map(|_| ()));
    assert!(public(&block("CERTIFICATE")).starts_with("a certificate; expected a public key"));
    assert!(public(&block("PRIVATE KEY")).starts_with("a private key; expected a public key"));
    let import =
        |pem: &str| refused(PrivateKey::import(pem.as_bytes(), PASSWORD.as_bytes()).map(|_| ()));
    assert!(import(&block("CERTIFICATE")).contains("`CERTIFICATE`"));
    for tag in ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"] {
        assert!(import(&block(tag)).contains("already a cosign key"));
    }
}

/// docs/threats.md G07. The file asks for N = 16,384 and r = 8, which is 16 MiB, p times.
#[test]
fn the_costs_of_scrypt_in_a_file_are_bounded() {
    let file = pem::parse(testdata("keys/ed25519.scrypt.pem")).unwrap().into_contents();
    let costs = [2, 2, 0x40, 0, 2, 1, 8, 2, 1, 1];
    let at =
        file.windows(costs.len()).position(|window| window == costs).expect("N, r and p in DER")
            + costs.len()
            - 1;
    for (p, expected) in
        [(1, Ok(())), (16, Err(Class::Secret)), (17, Err(Class::Limit)), (127, Err(Class::Limit))]
    {
        let mut changed = file.clone();
        changed[at] = p;
        let pem = pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", changed));
        let found = PrivateKey::import(pem.as_bytes(), PASSWORD.as_bytes())
            .map(|_| ())
            .map_err(|failure| failure.class());
        assert_eq!(found, expected, "p = {p}");
    }
}

/// What cosign never wrote is not opened, not even where it would open.
#[test]
fn a_private_key_is_opened_by_cosign_s_ciphers_and_costs_alone() {
    let sealed = pem::parse(&pair("acme").private_pem).unwrap();
    for (pointer, value, expected) in [
        ("/kdf/name", json!("pbkdf2"), Class::Secret),
        ("/cipher/name", json!("aes-256-gcm"), Class::Secret),
        ("/kdf/params/N", json!(1 << 18), Class::Limit),
        ("/kdf/params/r", json!(16), Class::Limit),
        ("/kdf/params/p", json!(2), Class::Limit),
    ] {
        let mut body: Value = serde_json::from_slice(sealed.contents()).unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        let pem = pem::encode(&pem::Pem::new(sealed.tag(), body.to_string()));
        let failure = PrivateKey::open(pem.as_bytes(), PASSWORD.as_bytes()).unwrap_err();
        assert_eq!(failure.class(), expected, "{pointer}: {}", failure.text());
    }
}
