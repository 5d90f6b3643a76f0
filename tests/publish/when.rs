//! When something is made public: only where that was asked for.

use super::*;

/// `sign` in an environment that someone forgot something in.
fn sign(world: &World, variables: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = world.plugin.raw();
    command.envs(variables.iter().copied());
    command.arg("sign").args(words);
    command.args(["--signing-config", "signing.json", "--trusted-root", "root.json"]);
    command.arg(&world.name).output().unwrap()
}

#[track_caller]
fn nobody_was_asked(world: &World) {
    for service in world.services.all() {
        assert!(service.requests().is_empty());
    }
    world.assert_untouched();
}

#[test]
fn without_a_key_a_token_and_a_yes_nothing_is_public() {
    let world = World::new(LogKind::V1, false);
    let token = world.token.as_str();
    for (variables, words, class) in [
        (&[][..], &[][..], "secret"),
        (&[("COSIGN_YES", "true")], &["-y"], "secret"),
        (&[("COSIGN_EXPERIMENTAL", "1")], &["-y"], "secret"),
        (&[], &["--identity-token", token], "usage"),
        (&[("COSIGN_YES", "true")], &["--identity-token", token], "usage"),
        (&[("COSIGN_YES", "true"), ("SIGSTORE_ID_TOKEN", token)], &[], "usage"),
        (&[("SIGSTORE_ID_TOKEN", token)], &["-y", "--tlog-upload=false"], "usage"),
        (&[("GITHUB_ACTIONS", "true")], &["-y"], "auth"),
    ] {
        assert_failed(&sign(&world, variables, words), class, "");
        nobody_was_asked(&world);
    }
    assert_good(&sign(&world, &[("SIGSTORE_ID_TOKEN", token)], &["-y"]));
    assert_eq!(world.logged(), 1);
}

#[test]
fn a_key_that_is_named_wins_and_tells_nobody() {
    let world = World::new(LogKind::V1, false);
    let keys = testkit::make_keys(&world.plugin, "acme");
    let key = keys.private.to_str().unwrap();
    let token = ("SIGSTORE_ID_TOKEN", world.token.as_str());
    let password = ("COSIGN_PASSWORD", testkit::PASSWORD);
    for (variables, words) in [
        (vec![token, password], vec!["-y", "--key", key]),
        (vec![token, password, ("COSIGN_KEY_LOCATION", key)], vec!["-y"]),
        (vec![token, password, ("COSIGN_KEY_LOCATION", key), ("COSIGN_EXPERIMENTAL", "1")], vec![]),
    ] {
        assert_good(&sign(&world, &variables, &words));
        for service in world.services.all() {
            assert!(service.requests().is_empty());
        }
    }
    assert_eq!(world.layers().len(), 1);
}

#[test]
fn a_key_and_a_token_are_not_named_together() {
    let world = World::new(LogKind::V1, false);
    let output = sign(&world, &[], &["--key", "x", "--identity-token", &world.token]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!said(&output).contains(&world.token), "{}", said(&output));
    nobody_was_asked(&world);
}
