//! Which services sign: those that are named, all of them together, else those of the TUF repository.

use super::*;
use testkit::Answer;
use testkit::sigstore::Tuf;

/// `sign` with these words and variables, and a token.
fn sign(world: &World, variables: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = world.plugin.raw();
    command.envs(variables.iter().copied()).env("SIGSTORE_ID_TOKEN", &world.token);
    command.args(["sign", "-y"]).args(words).arg(&world.name).output().unwrap()
}

const ROOT: (&str, &str) = ("COSIGN_TRUSTED_ROOT", "root.json");

#[test]
fn addresses_replace_the_configuration_whole() {
    let world = World::new(LogKind::V1, true);
    let (fulcio, rekor) = (world.services.fulcio.url(), world.services.rekor1.url());
    let tsa = world.services.tsa_url();
    let (fulcio, rekor) = (("COSIGN_FULCIO_URL", &*fulcio), ("COSIGN_REKOR_URL", &*rekor));
    assert_good(&sign(&world, &[ROOT, fulcio, rekor], &[]));
    assert!(world.services.tsa.requests().is_empty(), "nobody named one");
    let stamped = [ROOT, fulcio, rekor, ("COSIGN_TIMESTAMP_SERVER_URL", &tsa)];
    assert_good(&sign(&world, &stamped, &["-a", "with=timestamp"]));
    assert_eq!(world.services.tsa.requests().len(), 1);
    // A configuration that is named comes before the variables.
    let elsewhere = ("COSIGN_FULCIO_URL", "http://127.0.0.1:9");
    let config = ["--signing-config", "signing.json", "-a", "with=configuration"];
    assert_good(&sign(&world, &[ROOT, elsewhere, rekor], &config));
    // And an address that is named before all.
    let flags = ["--fulcio-url", fulcio.1, "--rekor-url", rekor.1, "-a", "with=flags"];
    assert_good(&sign(&world, &[ROOT, elsewhere], &flags));
}

#[test]
fn services_that_are_named_in_part_are_refused() {
    let world = World::new(LogKind::V1, true);
    let (fulcio, rekor) = (world.services.fulcio.url(), world.services.rekor1.url());
    for (variables, words) in [
        (vec![ROOT, ("COSIGN_FULCIO_URL", fulcio.as_str())], vec![]),
        (vec![ROOT, ("COSIGN_REKOR_URL", rekor.as_str())], vec![]),
        (vec![ROOT], vec!["--timestamp-server-url", fulcio.as_str()]),
        (vec![ROOT], vec!["--fulcio-url", fulcio.as_str(), "--signing-config", "signing.json"]),
        (vec![ROOT], vec!["--fulcio-url", "http://fulcio.example", "--rekor-url", rekor.as_str()]),
        (
            vec![ROOT],
            vec!["--fulcio-url", "https://u:p@fulcio.example", "--rekor-url", rekor.as_str()],
        ),
        // A root of one's own, and the public services.
        (vec![ROOT], vec![]),
        (vec![ROOT, ("LUET_COSIGN_OFFLINE", "1")], vec!["--signing-config", "signing.json"]),
    ] {
        assert_failed(&sign(&world, &variables, &words), "usage", "");
        for service in world.services.all() {
            assert!(service.requests().is_empty());
        }
        world.assert_untouched();
    }
}

#[test]
fn a_configuration_that_is_none_is_refused() {
    let world = World::new(LogKind::V1, true);
    for text in ["", "{}", "{\"mediaType\":\"x\"}"] {
        world.plugin.write("signing.json", text);
        assert_failed(&world.sign(&[]), "trustroot", "");
    }
    world.assert_untouched();
}

/// A TUF repository with this root and configuration.
fn mirror(world: &World, config: Option<&Value>) -> (testkit::Server, Vec<u8>) {
    let mut tuf = Tuf::new(&world.services.sigstore.trusted_root());
    tuf.config = config.map(|config| config.to_string().into_bytes());
    tuf.publish();
    let (files, root) = (tuf.files, tuf.first);
    let server = testkit::Server::start(move |request| {
        let name = request.path().trim_start_matches('/').to_owned();
        files
            .lock()
            .unwrap()
            .get(&name)
            .map_or(Answer::new(404), |bytes| Answer::new(200).body(bytes.clone()))
    });
    (server, root)
}

#[test]
fn the_tuf_repository_says_who_signs_and_is_asked_once() {
    for (log, form) in [(LogKind::V1, "legacy signature"), (LogKind::V2, "bundle signature")] {
        let world = World::new(log, true);
        let config = world.services.signing_config(log, true);
        let (server, root) = mirror(&world, Some(&config));
        world.plugin.write("tuf.json", root);
        let url = format!("http://{}", server.host());
        let variables = [("TUF_MIRROR", url.as_str()), ("TUF_ROOT_JSON", "tuf.json")];
        let output = sign(&world, &variables, &[]);
        assert_good(&output);
        assert!(said(&output).contains(form), "{}", said(&output));
        let asked = server.requests().len();
        assert_good(&sign(&world, &variables, &["-a", "again=1"]));
        assert_eq!(server.requests().len(), asked, "what is kept is a week old at most");
    }
}

#[test]
fn a_tuf_repository_without_a_configuration_names_nobody() {
    let world = World::new(LogKind::V1, true);
    let (server, root) = mirror(&world, None);
    world.plugin.write("tuf.json", root);
    let url = format!("http://{}", server.host());
    let variables = [("TUF_MIRROR", url.as_str()), ("TUF_ROOT_JSON", "tuf.json")];
    assert_failed(
        &sign(&world, &variables, &[]),
        "trustroot",
        "publishes no signing configuration",
    );
    assert!(world.services.fulcio.requests().is_empty());
}

#[test]
fn a_configuration_that_nobody_signed_is_not_followed() {
    let world = World::new(LogKind::V1, true);
    let config = world.services.signing_config(LogKind::V1, true);
    let evil = config.to_string().replace("operator", "0perator").into_bytes();
    let mut tuf = Tuf::new(&world.services.sigstore.trusted_root());
    tuf.config = Some(config.to_string().into_bytes());
    tuf.publish();
    let root = tuf.first.clone();
    let server = testkit::Server::start(move |request| {
        let name = request.path().trim_start_matches('/').to_owned();
        if name.ends_with("signing_config.v0.2.json") {
            return Answer::new(200).body(evil.clone());
        }
        tuf.get(&name).map_or(Answer::new(404), |bytes| Answer::new(200).body(bytes))
    });
    world.plugin.write("tuf.json", root);
    let url = format!("http://{}", server.host());
    let variables = [("TUF_MIRROR", url.as_str()), ("TUF_ROOT_JSON", "tuf.json")];
    assert_failed(&sign(&world, &variables, &[]), "trustroot", "");
    assert!(world.services.fulcio.requests().is_empty());
}

#[test]
fn the_root_of_the_policy_judges_what_is_signed() {
    let world = World::new(LogKind::V1, false);
    let policy = "version: 1\ndefaults: {unmatched: deny, unsigned: deny}\nnetwork: {trusted_root: root.json}\n";
    let path = world.plugin.write("policy.yaml", policy);
    let variables = [("LUET_COSIGN_POLICY", path.to_str().unwrap())];
    let output = sign(&world, &variables, &["--signing-config", "signing.json"]);
    assert_good(&output);
    // Another root knows nobody of these.
    let stranger = testkit::sigstore::Sigstore::new();
    world.plugin.write("root.json", stranger.trusted_root().to_string());
    let output = sign(&world, &variables, &["--signing-config", "signing.json", "-a", "x=y"]);
    assert_failed(&output, "identity", "");
    assert_eq!(world.layers().len(), 1);
}

/// A Fulcio without a log of certificates, for those who say so here and to those who verify.
#[test]
fn a_fulcio_without_a_log_signs_only_where_that_is_said() {
    let world = World::new(LogKind::V1, false);
    let sigstore = std::sync::Arc::clone(&world.services.sigstore);
    world.services.fulcio.always(move |request, _| {
        use testkit::sigstore::services::{certificate, certified, claims_of, requested};
        let token = request.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
        let document: Value = serde_json::from_slice(&request.body).unwrap();
        let spki = requested(document["certificateSigningRequest"].as_str().unwrap()).unwrap();
        let claims = claims_of(token).unwrap();
        let answer =
            certified(&certificate(&sigstore, &claims, &spki, |leaf| leaf.scts.clear()), &sigstore);
        let embedded: Value = serde_json::from_slice(answer.bytes()).unwrap();
        let detached =
            json!({"signedCertificateDetachedSct": embedded["signedCertificateEmbeddedSct"]});
        answer.body(detached.to_string())
    });
    let config = ["--signing-config", "signing.json"];
    assert_failed(&sign(&world, &[ROOT], &config), "tlog", "without the proof in it");
    world.assert_untouched();
    assert_eq!(world.logged(), 0);
    assert_good(&sign(&world, &[ROOT, ("COSIGN_INSECURE_IGNORE_SCT", "1")], &config));
    assert!(!world.verify().status.success());
    let mut command = world.plugin.raw();
    command.args(["verify", "--trusted-root", "root.json", "--insecure-ignore-sct"]);
    command.args(["--certificate-identity", WHO, "--certificate-oidc-issuer"]);
    let issuer = testkit::sigstore::services::ISSUER;
    assert_good(&command.args([issuer, &world.name]).output().unwrap());
}
