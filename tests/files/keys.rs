//! Signatures by keys of every type, in every scheme that signers use, and no log.

use super::*;
use luet_cosign::trust::{Hasher, PublicKey};
use testkit::sigstore::{Key, LogKind};

/// Reads a message for what shows whether `key` made `signature`.
fn message(key: &PublicKey, signature: &[u8], bytes: &[u8]) -> luet_cosign::trust::Message {
    let mut hasher = Hasher::new(key.needs(signature));
    bytes.chunks(5).for_each(|piece| hasher.update(piece));
    hasher.finish()
}

#[test]
fn a_key_needs_no_log_in_any_form() {
    let world = World::new();
    let key = Key::p256();
    world.plugin.write("k.pub", key.pem());
    let signature = world.sigstore.sign().keyed(&key).blob(FILE);
    world.plugin.write("f.sig", signature.detached().0);
    world.plugin.write("b.json", signature.bundle().to_string());
    world.plugin.write("old.json", signature.blob_bundle().to_string());
    let unlogged = world.sigstore.sign().keyed(&key).without_log().blob(FILE);
    world.plugin.write("bare.json", unlogged.bundle().to_string());
    for words in [
        "--key k.pub --signature f.sig f",
        "-key k.pub -signature f.sig f",
        "--key k.pub --bundle b.json f",
        "--key k.pub --bundle old.json f",
        "--key k.pub --bundle bare.json f",
        "--key k.pub --offline --insecure-ignore-tlog --bundle bare.json f",
    ] {
        world.verify(words).assert_ok();
    }
    let document = json_of(&world.verify("--json --key k.pub --signature f.sig f").stdout);
    assert_eq!(
        document["key"].as_str(),
        Some(PublicKey::from_pem(key.pem().as_bytes()).unwrap().fingerprint().to_string().as_str())
    );
    assert_eq!(
        (document["certificate"].clone(), document["times"].clone()),
        (Value::Null, Value::Array(Vec::new()))
    );
    world.plugin.write("other.pub", Key::p256().pem());
    for words in ["--signature f.sig f", "--bundle b.json f", "--bundle old.json f"] {
        let said = world.verify(&format!("--key other.pub {words}"));
        said.assert_refused("signature");
        assert!(said.stderr.contains("invalid signature"), "{said:?}");
        world.verify(words).assert_refused("identity");
    }
    assert_eq!(world.asked(), 0);
}

#[test]
fn a_certificate_is_no_signature_by_a_key() {
    let world = World::new();
    let signature = world.signed();
    world.plugin.write("b.json", signature.bundle().to_string());
    world.plugin.write("k.pub", Key::p256().pem());
    world.verify("--key k.pub --bundle b.json f").assert_refused("identity");
    assert_eq!(world.verify("--key k.pub --certificate f.pem --signature f.sig f").code, 2);
}

/// Payloads of images that cosign 2, cosign 3 and skopeo signed, by each type of key, as files:
/// `src/trust/testdata`.
#[test]
fn what_real_signers_wrote_with_every_type_of_key_holds_on_a_stream() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/trust/testdata");
    let mut count = 0;
    for entry in std::fs::read_dir(testdata.join("peers")).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(payload) = std::fs::read(folder.join("payload.json")) else { continue };
        let manifest = json_of(&std::fs::read_to_string(folder.join("manifest.json")).unwrap());
        let signature = manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"]
            .as_str()
            .unwrap();
        let signature = luet_cosign::wire::read_signature(signature.as_bytes()).unwrap();
        let key = testdata.join("keys").join(folder.file_stem().unwrap()).with_extension("pub");
        let key = PublicKey::from_pem(&std::fs::read(key).unwrap()).unwrap();
        key.verify_hashed(&message(&key, &signature, &payload), &signature)
            .unwrap_or_else(|failure| panic!("{folder:?}: {}", failure.text()));
        assert!(
            key.verify_hashed(&message(&key, &signature, b"other"), &signature).is_err(),
            "{folder:?}"
        );
        count += 1;
    }
    assert_eq!(count, 19);
}

#[test]
fn every_scheme_of_every_key_is_checked_on_a_stream() {
    for key in [Key::p256(), Key::p384(), Key::ed25519()] {
        let public = PublicKey::from_pem(key.pem().as_bytes()).unwrap();
        let good = key.sign(FILE);
        public.verify_hashed(&message(&public, &good, FILE), &good).unwrap();
        assert!(
            public.verify_hashed(&message(&public, &good, b"other"), &good).is_err(),
            "{public:?}"
        );
        let digest = luet_cosign::name::Digest::of(FILE).into();
        let by_digest =
            public.verify_hashed(&digest, &good).map_err(|failure| failure.class().word());
        let expected = match key {
            Key::P256(_) => Ok(()),
            Key::P384(_) | Key::P521(_) | Key::P521Sha256(_) => Err("unsupported"),
            Key::Ed25519(_) => Err("limit"),
        };
        assert_eq!(by_digest, expected, "only the digest is known: {public:?}");
    }
}

/// Of the same signatures, those over a hash: its digest alone shows them, and no other's does.
#[test]
fn what_is_signed_by_a_hash_holds_by_that_digest_alone() {
    use luet_cosign::name::FileDigest;
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/trust/testdata");
    let mut held = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(testdata.join("peers")).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(payload) = std::fs::read(folder.join("payload.json")) else { continue };
        let manifest = json_of(&std::fs::read_to_string(folder.join("manifest.json")).unwrap());
        let signature = manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"]
            .as_str()
            .unwrap();
        let signature = luet_cosign::wire::read_signature(signature.as_bytes()).unwrap();
        let key = testdata.join("keys").join(folder.file_stem().unwrap()).with_extension("pub");
        let key = PublicKey::from_pem(&std::fs::read(key).unwrap()).unwrap();
        let by = |bytes: &[u8]| {
            attestations::digests_of(bytes).map(|(algorithm, hex)| {
                let digest = FileDigest::parse(algorithm, &hex).unwrap().unwrap();
                let held = key.verify_hashed(&digest.into(), &signature);
                (algorithm, held.map_err(|failure| failure.class().word()))
            })
        };
        let good: Vec<_> =
            by(&payload).into_iter().filter(|(_, held)| held.is_ok()).map(|(by, _)| by).collect();
        assert!(good.len() <= 1, "{folder:?}: {good:?}");
        *held.entry((key.algorithm().to_string(), good.first().copied())).or_insert(0) += 1;
        for (algorithm, refused) in by(b"other") {
            assert!(refused.is_err(), "{folder:?} by the {algorithm} of another");
        }
        // What the digest cannot show is not called wrong.
        for (algorithm, held) in by(&payload) {
            assert_ne!(held, Err("signature"), "{folder:?} by {algorithm}");
        }
    }
    let held: Vec<_> = held.into_iter().collect();
    let found: Vec<_> =
        held.iter().map(|((key, by), _)| (key.as_str(), by.unwrap_or("nothing"))).collect();
    assert_eq!(
        found,
        [
            ("ECDSA P-256", "sha256"),
            ("ECDSA P-384", "sha256"),
            ("ECDSA P-384", "sha384"),
            ("ECDSA P-521", "sha256"),
            ("ECDSA P-521", "sha512"),
            ("Ed25519", "nothing"),
            ("Ed25519", "sha512"),
            ("RSA 2048", "sha256"),
            ("RSA 3072", "sha256"),
            ("RSA 4096", "sha256"),
        ]
    );
}

#[test]
fn ed25519_and_p384_sign_files_at_the_program() {
    let world = World::new();
    for (name, key) in [("p384", Key::p384()), ("ed", Key::ed25519())] {
        world.plugin.write(&format!("{name}.pub"), key.pem());
        world.plugin.write(&format!("{name}.sig"), testkit::sigstore::b64(&key.sign(FILE)));
        world.verify(&format!("--key {name}.pub --signature {name}.sig f")).assert_ok();
        world
            .verify(&format!("--key {name}.pub --signature {name}.sig trusted_root.json"))
            .assert_refused("signature");
    }
    for (algorithm, hex) in attestations::digests_of(FILE) {
        let verify = |key: &str| {
            world.verify(&format!("--key {key}.pub --signature {key}.sig {algorithm}:{hex}"))
        };
        verify("ed").assert_refused("limit");
        if algorithm == "sha384" {
            verify("p384").assert_ok();
        } else {
            let said = verify("p384");
            said.assert_refused("unsupported");
            assert!(said.stderr.contains("sha384:HEX") || algorithm != "sha256", "{said:?}");
        }
    }
}

/// Certificates for keys that sign by another hash than SHA-256, in every form that files have.
#[test]
fn certificates_for_long_curves_sign_files_in_every_form() {
    let world = World::new();
    for (name, key) in [("p384", Key::p384()), ("p521", Key::p521()), ("old", Key::p521_sha256())] {
        for log in [LogKind::V1, LogKind::V2] {
            let signature = world.sigstore.sign().with_key(&key).log(log).blob(FILE);
            world.plugin.write("b.json", signature.bundle().to_string());
            world.verify_dev("--bundle b.json f").assert_ok();
            world.verify_dev("--bundle b.json trusted_root.json").assert_refused("signature");
            let (algorithm, _, digest) = key.digest(FILE);
            let digest = format!("{algorithm}:{}", testkit::sigstore::hex(&digest));
            world.verify_dev(&format!("--bundle b.json {digest}")).assert_ok();
            // Logged as something else, by the same hash.
            let mut moved = signature.clone();
            moved.entry = world.sigstore.sign().with_key(&key).log(log).blob(b"other").entry;
            world.plugin.write("moved.json", moved.bundle().to_string());
            world.verify_dev("--bundle moved.json f").assert_refused("tlog");
            // The bundle's own word for the digest is not signed, and must be right all the same.
            let mut named = signature.bundle();
            let right = named["messageSignature"]["messageDigest"]["digest"].as_str().unwrap();
            let wrong = format!("AAAA{}", &right[4..]);
            named["messageSignature"]["messageDigest"]["digest"] = wrong.into();
            world.plugin.write("named.json", named.to_string());
            world.verify_dev("--bundle named.json f").assert_refused("binding");
        }
        let signature = world.sigstore.sign().with_key(&key).blob(FILE);
        world.plugin.write("old.json", signature.blob_bundle().to_string());
        world.verify_dev("--bundle old.json f").assert_ok();
        world.verify_dev("--bundle old.json trusted_root.json").assert_refused("signature");
        let mut moved = signature.clone();
        moved.entry = world.sigstore.sign().with_key(&key).blob(b"other").entry;
        world.plugin.write("moved.json", moved.blob_bundle().to_string());
        world.verify_dev("--bundle moved.json f").assert_refused("tlog");
        // Without an entry beside it the log is asked, for one by the hash that is signed.
        let (text, certificate) = signature.detached();
        world.plugin.write(&format!("{name}.sig"), text);
        world.plugin.write(&format!("{name}.pem"), certificate);
        let words = format!("--signature {name}.sig --certificate {name}.pem");
        world.verify_dev(&format!("{words} --offline f")).assert_refused("time");
        world.verify_dev(&format!("{words} f")).assert_ok();
        world.verify_dev(&format!("{words} --offline f")).assert_ok();
        world.verify_dev(&format!("{words} trusted_root.json")).assert_refused("signature");
    }
}
