//! What is written, and that everybody here reads it.

use super::*;
use testkit::Image;

#[test]
fn a_legacy_signature_by_a_certificate_is_written_as_cosign_2_does() {
    for tsa in [false, true] {
        let world = World::new(LogKind::V1, tsa);
        let output = world.sign(&[]);
        assert_good(&output);
        let text = said(&output);
        assert!(text.contains("legacy signature, in the log `http://127.0.0.1"), "{text}");
        assert!(text.contains(" by dev@example.com (issuer https://issuer.example)"), "{text}");
        let layers = world.layers();
        let annotations = layers[0]["annotations"].as_object().unwrap();
        let mut keys: Vec<_> = annotations.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut expected = vec![
            "dev.cosignproject.cosign/signature",
            "dev.sigstore.cosign/bundle",
            "dev.sigstore.cosign/certificate",
            "dev.sigstore.cosign/chain",
        ];
        if tsa {
            expected.push("dev.sigstore.cosign/rfc3161timestamp");
        }
        assert_eq!(keys, expected);
        // The intermediate and the root: containers/image takes all but the last one.
        let chain = annotations["dev.sigstore.cosign/chain"].as_str().unwrap();
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
        assert_good(&world.verify());
        // Again: nothing more, and not even a certificate is asked for.
        let before = world.services.fulcio.requests().len();
        let again = world.sign(&[]);
        assert_good(&again);
        assert!(said(&again).contains("already signed"), "{}", said(&again));
        assert_eq!((world.layers().len(), world.logged()), (1, 1));
        let asked = world.services.fulcio.requests().len() - before;
        assert_eq!(asked, 1, "the name did not follow from the token of an unknown issuer");
    }
}

#[test]
fn claims_are_signed_by_certificates_as_by_keys() {
    let world = World::new(LogKind::V1, false);
    assert_good(&world.sign(&["-a", "team=a"]));
    let digest = world.layers()[0]["digest"].as_str().unwrap().to_owned();
    let payload: Value =
        serde_json::from_slice(&world.registry.blob(REPO, &digest).unwrap()).unwrap();
    let optional = payload["optional"].as_object().unwrap();
    assert_eq!(optional["team"], "a");
    assert!(optional.iter().any(|(_, value)| value.as_str() == Some("a")), "{optional:?}");
    for claim in ["repository", "tag", "tree"] {
        assert!(optional.keys().any(|key| key.contains(claim)), "{claim}: {optional:?}");
    }
    // Another annotation is another signature.
    assert_good(&world.sign(&["-a", "team=b"]));
    assert_eq!(world.layers().len(), 2);
}

#[test]
fn a_log_of_v2_makes_a_bundle_and_auto_says_so() {
    let world = World::new(LogKind::V2, true);
    let output = world.sign(&[]);
    assert_good(&output);
    assert!(said(&output).contains("bundle signature, in the log"), "{}", said(&output));
    assert_eq!(world.layers().len(), 0);
    assert_good(&world.verify());
    let again = world.sign(&[]);
    assert_good(&again);
    assert!(said(&again).contains("already signed"), "{}", said(&again));
    assert_eq!(world.logged(), 1);
}

#[test]
fn bundles_are_written_with_either_log_and_both_forms_with_v1() {
    for tsa in [false, true] {
        let world = World::new(LogKind::V1, tsa);
        assert_good(&world.sign(&["--format", "bundle"]));
        assert_eq!(world.layers().len(), 0);
        assert_good(&world.verify());
    }
    let world = World::new(LogKind::V1, true);
    assert_good(&world.sign(&["--format", "both"]));
    assert_eq!((world.layers().len(), world.logged()), (1, 2));
    assert_eq!(world.services.fulcio.requests().len(), 1, "one certificate for both");
    assert_good(&world.verify());
}

#[test]
fn legacy_with_a_log_of_v2_is_refused_before_anyone_is_asked() {
    for form in ["legacy", "both"] {
        let world = World::new(LogKind::V2, true);
        assert_failed(&world.sign(&["--format", form]), "usage", "cannot carry");
        world.assert_untouched();
        for service in world.services.all() {
            assert!(service.requests().is_empty());
        }
        assert!(world.registry.lines().is_empty(), "{:?}", world.registry.lines());
    }
}

#[test]
fn a_log_of_v2_without_a_timestamp_authority_is_refused_before_anyone_is_asked() {
    let world = World::new(LogKind::V2, false);
    assert_failed(&world.sign(&[]), "usage", "no timestamp authority");
    assert!(world.services.all().iter().all(|service| service.requests().is_empty()));
}

#[test]
fn an_index_is_signed_with_its_images_by_one_certificate() {
    let world = World::new(LogKind::V1, false);
    let amd: Image = world.registry.push_image(REPO, "amd", &[&layer(&[("b", b"b")])]);
    let arm: Image = world.registry.push_image(REPO, "arm", &[&layer(&[("c", b"c")])]);
    world.registry.push_index(REPO, "a", &[(&amd, "linux/amd64"), (&arm, "linux/arm64")]);
    assert_good(&world.sign(&["-r"]));
    assert_eq!(world.logged(), 3);
    assert_eq!(world.services.fulcio.requests().len(), 1);
    assert_good(&world.verify());
}

#[test]
fn the_name_in_the_payload_can_be_given() {
    let world = World::new(LogKind::V1, false);
    assert_good(&world.sign(&["--sign-container-identity", "registry.example/other"]));
    let digest = world.layers()[0]["digest"].as_str().unwrap().to_owned();
    let payload: Value =
        serde_json::from_slice(&world.registry.blob(REPO, &digest).unwrap()).unwrap();
    let name = &payload["critical"]["identity"]["docker-reference"];
    assert_eq!(name, "registry.example/other");
}

#[test]
fn another_ref_of_a_workflow_is_another_signer() {
    let github = "https://token.actions.githubusercontent.com";
    let mut world = World::new(LogKind::V1, false);
    world.services = Services::of(testkit::sigstore::Issuer::new(github));
    let config = world.services.signing_config(LogKind::V1, false);
    world.plugin.write("signing.json", config.to_string());
    world.plugin.write("root.json", world.services.sigstore.trusted_root().to_string());
    let token = |branch: &str| {
        let workflow = format!("acme/os/.github/workflows/p.yml@refs/heads/{branch}");
        world.services.token("repo:acme/os", &json!({"job_workflow_ref": workflow}))
    };
    assert_good(&world.sign_as(&token("main"), &[]));
    let asked = world.services.fulcio.requests().len();
    let again = world.sign_as(&token("main"), &[]);
    assert!(said(&again).contains("already signed"), "{}", said(&again));
    assert_eq!(world.services.fulcio.requests().len(), asked, "the name follows from the token");
    assert_good(&world.sign_as(&token("next"), &[]));
    assert_eq!(world.layers().len(), 2);
}

#[test]
fn a_key_tells_a_log_where_that_is_asked_for() {
    for (log, format) in [(LogKind::V1, "legacy"), (LogKind::V1, "bundle"), (LogKind::V2, "auto")] {
        let world = World::new(log, false);
        let keys = testkit::make_keys(&world.plugin, "acme");
        let sign = |upload: bool| {
            let mut command = world.plugin.raw();
            command.env("COSIGN_PASSWORD", testkit::PASSWORD);
            command.args(["sign", "--format", format, "--key"]).arg(&keys.private);
            command.args(["--signing-config", "signing.json", "--trusted-root", "root.json"]);
            command.arg(format!("--tlog-upload={upload}")).arg(&world.name).output().unwrap()
        };
        assert_good(&sign(false));
        assert_eq!(world.logged(), 0);
        // One that no log has is not what was asked for.
        assert_good(&sign(true));
        assert_eq!(world.logged(), 1, "{format}");
        let again = sign(true);
        assert!(said(&again).contains("already signed"), "{}", said(&again));
        assert_eq!(world.logged(), 1);
        assert!(world.services.fulcio.requests().is_empty());
    }
}

/// RSA and Ed25519 make the same signature each time, so the log knows it already: where the image has
/// lost it, it is made again and the log's entry is fetched.
#[test]
fn what_a_log_of_v1_has_already_is_taken_from_there() {
    for (file, forms) in [("rsa2048.pem", &["legacy", "bundle"][..]), ("ed25519.pem", &["bundle"])]
    {
        for form in forms {
            let world = World::new(LogKind::V1, false);
            let path = format!("{}/src/trust/testdata/keys/{file}", env!("CARGO_MANIFEST_DIR"));
            let pem = std::fs::read(path).unwrap();
            let password = testkit::PASSWORD.as_bytes();
            let pair = luet_cosign::trust::PrivateKey::import(&pem, password).unwrap();
            world.plugin.write("acme.key", pair.private_pem.as_bytes());
            let sign = |form: &str| {
                let mut command = world.plugin.raw();
                command.env("COSIGN_PASSWORD", testkit::PASSWORD);
                command.args(["sign", "--format", form, "--key", "acme.key", "--tlog-upload"]);
                command.args(["--signing-config", "signing.json", "--trusted-root", "root.json"]);
                command.arg(&world.name).output().unwrap()
            };
            assert_good(&sign(form));
            // The registry forgets it for once.
            let gone = testkit::Answer::error(404, "MANIFEST_UNKNOWN");
            world.registry.in_turn("GET", "/v2/*/manifests/sha256-*", vec![gone]);
            let none = testkit::Answer::new(200)
                .header("Content-Type", testkit::registry::INDEX)
                .body(
                json!({"schemaVersion": 2, "mediaType": testkit::registry::INDEX, "manifests": []})
                    .to_string(),
            );
            world.registry.in_turn("GET", "/v2/*/referrers/*", vec![none]);
            let again = sign(form);
            assert_good(&again);
            assert!(!said(&again).contains("already"), "{}", said(&again));
            let asked: Vec<_> = world
                .services
                .rekor1
                .requests()
                .iter()
                .map(|request| request.method.clone())
                .collect();
            assert_eq!(asked, ["POST", "POST", "GET"], "{file}, {form}");
            assert_eq!(world.services.sigstore.rekor1.entries().len(), 6, "five are others'");
        }
    }
    // What no log takes is refused before anyone is asked.
    let world = World::new(LogKind::V1, false);
    let path = format!("{}/src/trust/testdata/keys/ed25519.pem", env!("CARGO_MANIFEST_DIR"));
    let pem = std::fs::read(path).unwrap();
    let pair = luet_cosign::trust::PrivateKey::import(&pem, testkit::PASSWORD.as_bytes()).unwrap();
    world.plugin.write("acme.key", pair.private_pem.as_bytes());
    let mut command = world.plugin.raw();
    command.env("COSIGN_PASSWORD", testkit::PASSWORD);
    command.args(["sign", "--format", "legacy", "--key", "acme.key", "--tlog-upload"]);
    command.args(["--signing-config", "signing.json", "--trusted-root", "root.json", &world.name]);
    assert_failed(&command.output().unwrap(), "unsupported", "Ed25519");
    world.assert_untouched();
    assert_eq!(world.logged(), 0);
}
