//! What is not verified, and what is said of it.

use super::*;
use luet_cosign::name::Digest;
use luet_cosign::trust::check_made;
use luet_cosign::wire::{Detached, FileSignature};
use x509_cert::der::Encode as _;
use x509_cert::name::Name;

#[test]
fn a_tampered_file_has_an_invalid_signature_and_nobody_is_asked() {
    let world = World::new();
    let signature = world.signed();
    world.plugin.write("b.json", signature.bundle().to_string());
    world.plugin.write("old.json", signature.blob_bundle().to_string());
    world.plugin.write("f", b"what was released!\n");
    for words in
        ["--certificate f.pem --signature f.sig f", "--bundle b.json f", "--bundle old.json f"]
    {
        let said = world.verify_dev(words);
        said.assert_refused("signature");
        assert_eq!(said.code, 14);
        assert!(said.stderr.contains("invalid signature"), "{said:?}");
    }
    assert_eq!(world.asked(), 0, "what is here is nobody's business before the signature holds");
}

#[test]
fn without_an_identity_the_signer_is_named_with_the_whole_command() {
    let world = World::new();
    let signature = world.signed();
    world.plugin.write("a b.json", signature.bundle().to_string());
    let said = world.run(&["verify-blob", "--bundle", "a b.json", "f"]);
    said.assert_refused("identity");
    assert_eq!(said.code, 12);
    assert!(
        said.stderr.contains("signed by `dev@example.com` (issuer `https://issuer.example`)"),
        "{said:?}"
    );
    let command = "luet-cosign verify-blob --bundle 'a b.json' --certificate-identity dev@example.com --certificate-oidc-issuer https://issuer.example f";
    assert!(said.stderr.contains(command), "{said:?}");
    world
        .run(&["verify-blob", "--bundle", "a b.json", DEV[0], DEV[1], DEV[2], DEV[3], "f"])
        .assert_ok();
}

#[test]
fn cosign_1_s_anyone_is_not_for_what_cosign_1_never_wrote() {
    let mut world = World::new();
    let signature = world.signed();
    world.plugin.write("b.json", signature.bundle().to_string());
    world.plugin.set("COSIGN_EXPERIMENTAL", "1");
    world.verify("--bundle b.json f").assert_refused("identity");
    // And anyone has still to be someone: an authority, a log.
    let other = Sigstore::new();
    world.write("f", &other.sign().blob(FILE));
    world.verify("--cert f.pem --signature f.sig f").assert_refused("tlog");
    world.plugin.set("COSIGN_EXPERIMENTAL", "0");
    world.signed();
    world.verify("--cert f.pem --signature f.sig f").assert_refused("identity");
}

#[test]
fn another_s_certificate_is_not_looked_up() {
    let world = World::new();
    world.write("f", &world.sigstore.sign().identity("eve@example.com").blob(FILE));
    let said = world.verify_dev("--certificate f.pem --signature f.sig f");
    said.assert_refused("identity");
    assert!(said.stderr.contains("eve@example.com"), "{said:?}");
    assert_eq!(world.asked(), 0);
}

#[test]
fn parts_of_two_good_signatures_make_no_third() {
    let world = World::new();
    let (one, two) = (world.signed(), world.sigstore.sign().blob(FILE));
    let mixed = [
        ("certificate", Signature { signer: two.signer.clone(), ..one.clone() }, "signature"),
        ("signature", Signature { signature: two.signature.clone(), ..one.clone() }, "signature"),
        ("entry", Signature { entry: two.entry.clone(), ..one.clone() }, "tlog"),
    ];
    for (part, signature, class) in mixed {
        for (form, document) in [("old", signature.blob_bundle()), ("new", signature.bundle())] {
            world.plugin.write("m.json", document.to_string());
            let said = world.verify_dev("--bundle m.json f");
            assert_eq!(said.class(), class, "{part} of another in a {form} bundle: {said:?}");
        }
    }
}

#[test]
fn an_attestation_is_no_signature_of_a_file_but_for_the_conformance_suite() {
    let world = World::new();
    let hex = luet_cosign::name::Digest::of(FILE).hex();
    let statement = |predicate: &str| {
        serde_json::json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "f", "digest": {"sha256": hex}}],
            "predicateType": predicate,
            "predicate": {},
        })
    };
    let sbom = world.sigstore.sign().statement(&statement("https://spdx.dev/Document"));
    world.plugin.write("sbom.json", sbom.bundle().to_string());
    world.verify_dev("--bundle sbom.json f").assert_refused("identity");
    let said =
        world.run(&["verify-bundle", "--bundle", "sbom.json", DEV[0], DEV[1], DEV[2], DEV[3], "f"]);
    assert_eq!(said.code, 0, "{said:?}");
    let signed = world.sigstore.sign().statement(&statement("https://sigstore.dev/cosign/sign/v1"));
    world.plugin.write("signed.json", signed.bundle().to_string());
    world.verify_dev("--bundle signed.json f").assert_ok();
    world.plugin.write("g", "another file");
    world.verify_dev("--bundle signed.json g").assert_refused("binding");
    let said =
        world.run(&["verify-bundle", "--bundle", "sbom.json", DEV[0], DEV[1], DEV[2], DEV[3], "g"]);
    assert_eq!(said.class(), "binding", "{said:?}");
}

#[test]
fn what_is_missing_is_called_so() {
    let world = World::new();
    world.signed();
    world.verify_dev("f").assert_refused("usage");
    world.verify_dev("--certificate f.pem --signature f.sig none").assert_refused("not-found");
    world.verify_dev("--certificate f.pem --signature f.sig .").assert_refused("not-found");
    world.verify_dev("--certificate none.pem --signature f.sig f").assert_refused("not-found");
    let said = world.verify_dev("--signature f.sig f");
    said.assert_refused("identity");
    assert!(said.stderr.contains("--key"), "{said:?}");
    let said = world.verify_dev("--certificate f.pem --signature f.sig");
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn a_certificate_for_a_key_that_nobody_here_reads_is_unsupported_and_for_no_key_malformed() {
    let sigstore = Sigstore::new();
    for (name, expected) in
        [("secp256k1_unsupported", "unsupported"), ("p256.compressed_secret", "malformed")]
    {
        let spki = format!("{}/src/trust/testdata/keys/{name}.pub", env!("CARGO_MANIFEST_DIR"));
        let spki = pem::parse(std::fs::read(spki).unwrap()).unwrap().into_contents();
        let certificate =
            sigstore
                .fulcio
                .certify(Name::default(), &spki, sigstore.window, Vec::new(), |_| Vec::new());
        let detached = Detached {
            signature: vec![1],
            certificates: vec![certificate.to_der().unwrap()],
            ..Detached::default()
        };
        let made = check_made(&FileSignature::Detached(detached), &Digest::of(FILE).into());
        assert_eq!(
            made.map(|_| ()).map_err(|failure| failure.class().word()),
            Err(expected),
            "{name}"
        );
    }
}
