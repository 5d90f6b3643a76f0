//! Every type of key: read, imported, signed with, verified with.

use super::*;
use luet_cosign::class::Class;
use luet_cosign::trust::{KeyAlgorithm, PublicKey};

const TYPES: [(&str, KeyAlgorithm); 7] = [
    ("p256", KeyAlgorithm::EcdsaP256),
    ("p384", KeyAlgorithm::EcdsaP384),
    ("p521", KeyAlgorithm::EcdsaP521),
    ("ed25519", KeyAlgorithm::Ed25519),
    ("rsa2048", KeyAlgorithm::Rsa { bits: 2048 }),
    ("rsa3072", KeyAlgorithm::Rsa { bits: 3072 }),
    ("rsa4096", KeyAlgorithm::Rsa { bits: 4096 }),
];

/// The names in `testdata/keys` that end so.
fn names(suffix: &str) -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/trust/testdata/keys");
    let all = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut all: Vec<String> = all.filter(|name| name.ends_with(suffix)).collect();
    all.sort();
    all
}

/// The class that a name demands: `p224_unsupported.pub`.
fn expected(name: &str) -> Option<&str> {
    name.rsplit_once('.').unwrap().0.split_once('_').map(|(_, class)| class)
}

#[test]
fn public_keys_are_read_or_refused_by_name() {
    for name in names(".pub") {
        let found = PublicKey::from_pem(&testdata(&format!("keys/{name}")))
            .map_err(|failure| failure.class().word());
        assert_eq!(found.as_ref().err().copied(), expected(&name), "{name}");
    }
    for (name, algorithm) in TYPES {
        let pem = testdata(&format!("keys/{name}.pub"));
        let key = PublicKey::from_pem(&pem).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.to_pem().as_bytes(), pem, "{name}");
    }
}

#[test]
fn a_public_key_that_is_broken_is_no_key() {
    let spki =
        |name: &str| pem::parse(testdata(&format!("keys/{name}.pub"))).unwrap().into_contents();
    let class =
        |der: &[u8]| PublicKey::from_spki(der).map(|_| ()).map_err(|failure| failure.class());
    for (name, _) in TYPES {
        let der = spki(name);
        assert_eq!(
            class(&[der.as_slice(), b"\0"].concat()),
            Err(Class::Secret),
            "{name}: more behind it"
        );
        assert_eq!(class(&der[..der.len() - 1]), Err(Class::Secret), "{name}: cut");
    }
    for name in ["p256", "p384", "p521"] {
        let mut der = spki(name);
        *der.last_mut().unwrap() ^= 1;
        assert_eq!(class(&der), Err(Class::Secret), "{name}: a point off the curve");
    }
    let ed25519 = spki("ed25519");
    let with_null = [&[0x30, 0x2c, 0x30, 0x07], &ed25519[4..9], &[5, 0], &ed25519[9..]].concat();
    assert_eq!(class(&with_null), Err(Class::Secret), "Ed25519 has no parameters");
    let mut rsa = spki("rsa2048");
    let null = rsa.windows(2).position(|bytes| bytes == [5, 0]).expect("the parameters of RSA");
    rsa[null] = 0x30;
    assert_eq!(class(&rsa), Err(Class::Secret), "RSA has no parameters but the one that says so");
    let mut hybrid = spki("p256");
    hybrid[26] |= 2;
    let failure = PublicKey::from_spki(&hybrid).unwrap_err();
    assert!(
        failure.message().contains("an uncompressed point"),
        "both coordinates, in the other form: {}",
        failure.text()
    );
    let weak = |point: [u8; 32]| [&spki("ed25519")[..12], &point].concat();
    assert_eq!(class(&weak([0; 32])), Err(Class::Secret), "a point of small order");
    assert_eq!(
        class(&weak(std::array::from_fn(|at| u8::from(at == 0)))),
        Err(Class::Secret),
        "the neutral point"
    );
}

/// docs/threats.md S23.
#[test]
fn an_rsa_key_with_an_even_modulus_or_a_bad_exponent_is_no_key() {
    let good = pem::parse(testdata("keys/rsa2048.pub")).unwrap().into_contents();
    let class =
        |der: &[u8]| PublicKey::from_spki(der).map(|_| ()).map_err(|failure| failure.class());
    let by_rule = |der: &[u8]| {
        PublicKey::from_spki(der)
            .unwrap_err()
            .message()
            .contains("an even modulus, or an exponent that is even or 1")
    };
    let at = good.len() - 5;
    assert_eq!(&good[at..], [2, 3, 1, 0, 1], "the exponent is 65,537");
    for exponent in [[1, 0, 0], [1, 0, 2], [0x7f, 0xff, 0xfe]] {
        assert!(by_rule(&[&good[..at + 2], &exponent].concat()), "{exponent:?}");
    }
    let mut even = good.clone();
    even[at - 1] &= 0xfe;
    assert!(by_rule(&even), "an even modulus");
    // Two bytes more inside the sequence's sibling: behind the two numbers, within the bit string.
    let mut behind = [&good[..], &[5, 0]].concat();
    for length in [3, 22] {
        behind[length] += 2;
    }
    assert_eq!(class(&behind), Err(Class::Secret), "something behind the key");
    // An exponent of one: two bytes less in three lengths.
    let mut one = [&good[..at], &[2, 1, 1]].concat();
    for length in [3, 22, 27] {
        one[length] -= 2;
    }
    assert!(by_rule(&one), "an exponent of one");
    one.truncate(at);
    let three = [&one[..], &[2, 1, 3]].concat();
    assert_eq!(
        class(&three),
        Ok(()),
        "an exponent of three, so it is the exponent that was refused"
    );
}

#[test]
fn keys_of_other_programs_are_imported_or_refused_by_name() {
    for name in names(".pem") {
        let found = PrivateKey::import(&testdata(&format!("keys/{name}")), PASSWORD.as_bytes());
        assert_eq!(
            found.as_ref().err().map(|failure| failure.class().word()),
            expected(&name),
            "{name}"
        );
        let Ok(pair) = found else { continue };
        let public = name.split_once('.').unwrap().0;
        assert_eq!(pair.public_pem.as_bytes(), testdata(&format!("keys/{public}.pub")), "{name}");
        let opened = PrivateKey::open(pair.private_pem.as_bytes(), PASSWORD.as_bytes()).unwrap();
        assert_eq!(opened.public().to_pem(), pair.public_pem);
    }
    for name in ["p256.pbes2.pem", "ed25519.scrypt.pem"] {
        let wrong = PrivateKey::import(&testdata(&format!("keys/{name}")), b"wrong")
            .map(|_| ())
            .map_err(|failure| failure.class());
        assert_eq!(wrong, Err(Class::Secret), "{name}");
    }
    for pem in ["", "x", &pair("acme").public_pem, &pair("acme").private_pem] {
        let found = PrivateKey::import(pem.as_bytes(), PASSWORD.as_bytes())
            .map(|_| ())
            .map_err(|failure| failure.class());
        assert_eq!(found, Err(Class::Secret), "{pem}");
    }
    // A key that is plain is not signed with.
    let plain = PrivateKey::open(&testdata("keys/p256.pem"), PASSWORD.as_bytes()).unwrap_err();
    assert!(
        plain.class() == Class::Secret && plain.the_hint().contains("import-key-pair"),
        "{plain:?}"
    );
}

#[test]
fn what_a_key_signs_it_verifies_and_no_other() {
    let message = b"a message";
    for (name, _) in TYPES {
        let pair = PrivateKey::import(&testdata(&format!("keys/{name}.pem")), b"").unwrap();
        let key = PrivateKey::open(pair.private_pem.as_bytes(), b"").unwrap();
        let signature = key.sign(message).unwrap();
        key.public().verify(message, &signature).unwrap();
        assert!(key.public().verify(b"another message", &signature).is_err(), "{name}");
        for (other, _) in TYPES {
            let public = PublicKey::from_pem(&testdata(&format!("keys/{other}.pub"))).unwrap();
            assert_eq!(public.verify(message, &signature).is_ok(), other == name, "{name} {other}");
        }
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(key.public().verify(message, &changed).is_err(), "{name} byte {at}");
        }
        assert!(key.public().verify(message, &[&signature[..], b"\0"].concat()).is_err(), "{name}");
    }
}

#[test]
fn every_type_signs_and_is_verified_in_both_formats() {
    for (name, _) in TYPES {
        for with_api in [true, false] {
            let world = if with_api { World::new() } else { World::without_api() };
            let from = world.plugin.write("openssl.pem", testdata(&format!("keys/{name}.pem")));
            let imported = world.plugin.run([
                "import-key-pair",
                "--key",
                &from.display().to_string(),
                "-o",
                "own",
            ]);
            assert!(imported.status.success(), "{name} {imported:?}");
            for already in [false, true] {
                let signed = world.plugin.run([
                    "sign",
                    "--json",
                    "--key",
                    "own.key",
                    "--format",
                    "both",
                    &world.name(),
                ]);
                let document: Value = serde_json::from_slice(&signed.stdout).unwrap();
                assert_eq!(document["signed"][0]["already"], already, "{name} {document}");
                assert_eq!(document["signed"][1]["already"], already, "{name} {document}");
            }
            let (code, found) = world.verify("own");
            assert_eq!((code, formats_of(&found)), (0, vec!["bundle", "legacy"]), "{name} {found}");
            assert_eq!(world.verify("acme").0, 12, "{name}");
        }
    }
}

#[test]
fn an_import_writes_no_file_over_another() {
    let world = World::new();
    let from = world.plugin.write("openssl.pem", testdata("keys/p256.pem")).display().to_string();
    let import = || world.plugin.run(["import-key-pair", "-k", &from]);
    assert!(import().status.success());
    let (key, public) =
        (world.plugin.path("import-cosign.key"), world.plugin.path("import-cosign.pub"));
    let first = std::fs::read(&key).unwrap();
    assert_eq!(std::fs::read(public).unwrap(), testdata("keys/p256.pub"));
    assert_eq!(import().status.code(), Some(2));
    assert_eq!(std::fs::read(&key).unwrap(), first);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}
