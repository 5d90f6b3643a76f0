//! Signatures that real signers made: those in `src/trust/testdata/peers`, and the shared vectors
//! where they lie beside the checkout.

use super::*;
use luet_cosign::trust::{
    Authority, Checker, Held, PublicKey, Requirements, VerifiedSignature, check_bundle,
    check_message,
};
use luet_cosign::wire::{Bundle, BundleSource, Signatures};
use std::path::Path;

/// The image that every peer signed.
const PEERS_IMAGE: &str = "sha256:36909925fd20749255704b523256927a5a2da6584250575b44e1b14dc4a3275c";

fn authority(pem: &[u8]) -> [Authority; 1] {
    [Authority::of_key("peer", PublicKey::from_pem(pem).unwrap())]
}

fn check_peer(name: &str, authorities: &[Authority], image: &Digest) -> Option<VerifiedSignature> {
    let requirements = Requirements::default();
    let checker = Checker::new(authorities, &requirements);
    if name.ends_with("c3bun") {
        let bundle =
            Bundle::parse(&testdata(&format!("peers/{name}/bundle.json")), BundleSource::Registry)
                .unwrap();
        return check_bundle(&bundle, image, &checker).ok().flatten();
    }
    let signatures = Signatures::parse(&testdata(&format!("peers/{name}/manifest.json"))).unwrap();
    let candidate = signatures.candidates().next().unwrap().unwrap();
    let payload = testdata(&format!("peers/{name}/payload.json"));
    Held::check(&candidate, &checker)
        .ok()
        .and_then(|held| held.check_claims(&payload, image, &checker).ok())
}

#[test]
fn what_cosign_and_skopeo_sign_with_every_type_of_key_is_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/trust/testdata/peers");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let key = name.split_once('.').unwrap().0;
        let authorities = authority(&testdata(&format!("keys/{key}.pub")));
        let image: Digest = PEERS_IMAGE.parse().unwrap();
        assert!(check_peer(&name, &authorities, &image).is_some(), "{name}");
        assert!(check_peer(&name, &authorities, &Digest::of(b"other")).is_none(), "{name}");
        let other = if key == "p256" { "p384" } else { "p256" };
        assert!(
            check_peer(&name, &authority(&testdata(&format!("keys/{other}.pub"))), &image)
                .is_none(),
            "{name}"
        );
        count += 1;
    }
    assert_eq!(count, 25);
}

/// Serves an image of `tests/data/cosign-images` as the registry did from which it was
/// taken.
fn serve(name: &str, shape: &str) -> World {
    let world = World::with(Options { referrers: shape == "referrers", ..Options::default() });
    testkit::vectors::push(&world.registry, REPO, name, shape);
    world
}

#[test]
fn the_keyed_image_of_the_vectors_is_verified_in_both_forms_and_shapes() {
    let key = std::fs::read("tests/data/cosign-images/trust/cosign.pub").unwrap();
    for shape in ["referrers", "tagfallback"] {
        let world = serve("key2", shape);
        world.install().assert_refused("identity");
        world.plugin.write("acme.pub", &key);
        world.install().assert_silent_success();
        let (code, found) = world.verify("acme");
        assert_eq!((code, formats_of(&found)), (0, vec!["bundle", "legacy"]), "{shape} {found}");
        let image = found["signatures"][0]["digest"].as_str().unwrap().replace(':', "-");
        world.registry.remove_tag(REPO, &format!("{image}.sig"));
        let (code, found) = world.verify("acme");
        assert_eq!((code, formats_of(&found)), (0, vec!["bundle"]), "{shape} {found}");
    }
}

#[test]
fn what_is_not_by_a_key_gets_its_own_answer() {
    for shape in ["referrers", "tagfallback"] {
        // An attestation, which cosign 2 and 3 take for a signature, is nothing; a keyless
        // signature is a stranger's to a key.
        for (name, class) in [
            ("att2", "unsigned"),
            ("unsigned", "unsigned"),
            ("c3b1", "identity"),
            ("c2leg", "identity"),
            ("mix1", "identity"),
        ] {
            let world = serve(name, shape);
            let reply = world.install();
            assert_eq!((reply.exit, reply.class()), (Some(0), class), "{name} {shape}: {reply:?}");
        }
    }
}

#[test]
fn the_managed_keys_of_the_conformance_suite() {
    let folder = Path::new("tests/data/sigstore-conformance");
    let message = std::fs::read(folder.join("a.txt")).unwrap();
    let read = |case: &str, file: &str| std::fs::read(folder.join(case).join(file)).unwrap();
    let good = authority(&read("managed-key-happy-path", "key.pub"));
    let bundle = Bundle::parse(
        &read("managed-key-happy-path", "bundle.sigstore.json"),
        BundleSource::Registry,
    )
    .unwrap();
    check_message(&bundle, &good, &message).unwrap();
    assert!(check_message(&bundle, &good, b"another message").is_err());
    assert!(
        check_message(&bundle, &authority(pair("acme").public_pem.as_bytes()), &message).is_err()
    );
    // The wrong key of the suite is no point of its curve: it is refused before it is used.
    let wrong = PublicKey::from_pem(&read("managed-key-wrong-key_fail", "key.pub")).unwrap_err();
    assert_eq!(wrong.class().word(), "secret");
}
