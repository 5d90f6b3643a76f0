//! A policy decides about images. Files are verified whatever is wrong with it.

use super::*;
use testkit::sigstore::Key;

/// What can be wrong with a policy, as variables.
fn broken(world: &World) -> [(&'static str, String); 6] {
    let no_key = world.plugin.write(
        "gone-key.yaml",
        "version: 1\ndefaults: {unmatched: deny}\nsigners: {a: {key: gone.pub}}\nregistries: [{host: r.example, ca: gone.pem}]\nrepositories: [{name: a, scope: '*', trust: [a]}]\n",
    );
    let mistyped = world.plugin.write("mistyped.yaml", "version: 1\ndefault: {unmatched: deny}\n");
    [
        ("LUET_COSIGN_POLICY", world.plugin.path("gone.yaml").display().to_string()),
        ("LUET_COSIGN_POLICY", mistyped.display().to_string()),
        ("LUET_COSIGN_POLICY", no_key.display().to_string()),
        ("COSIGN_PUBLIC_KEY_LOCATION", world.plugin.path("gone.pub").display().to_string()),
        ("COSIGN_SKIP", "[".to_owned()),
        ("LUET_COSIGN_ALLOW_UNSIGNED", "[".to_owned()),
    ]
}

#[test]
fn a_policy_that_cannot_be_used_is_nothing_to_a_file_and_a_key() {
    let mut world = World::new();
    let key = Key::p256();
    world.plugin.write("k.pub", key.pem());
    let signature = world.sigstore.sign().keyed(&key).blob(FILE);
    world.plugin.write("f.sig", signature.detached().0);
    world.plugin.write("b.json", signature.bundle().to_string());
    for (variable, value) in broken(&world) {
        world.plugin.set(variable, &value);
        for words in ["--key k.pub --signature f.sig f", "--key k.pub --bundle b.json f"] {
            let said = world.verify(words);
            said.assert_ok();
            assert!(!said.stderr.contains("policy"), "{variable}={value}: {said:?}");
        }
        let said = world.verify("--key k.pub --signature f.sig trusted_root.json");
        said.assert_refused("signature");
        world.plugin.set(variable, "");
    }
}

#[test]
fn a_policy_that_cannot_be_used_is_a_warning_to_a_file_and_a_certificate() {
    let mut world = World::new();
    world.signed();
    let root = world.plugin.path("trusted_root.json").display().to_string();
    let words = format!("--trusted-root {root} --certificate f.pem --signature f.sig f");
    for (variable, value) in broken(&world) {
        world.plugin.set(variable, &value);
        let said = world.verify_dev(&words);
        said.assert_ok();
        let unread = value.ends_with("gone.yaml") || value.ends_with("mistyped.yaml");
        assert_eq!(
            said.stderr.contains("warning: the policy file was not read"),
            unread,
            "{said:?}"
        );
        world.plugin.set(variable, "");
    }
}

/// What a policy file makes inert stays so where the file cannot be read: else anyone who can take it
/// away could choose who is trusted.
#[test]
fn a_policy_file_that_cannot_be_read_gives_no_variable_back_its_say() {
    let mut world = World::new();
    let signature = world.signed();
    world.plugin.write("b.json", signature.bundle().to_string());
    world.plugin.set("LUET_COSIGN_OFFLINE", "1");
    world.verify_dev("--bundle b.json f").assert_ok();
    world.plugin.set("LUET_COSIGN_POLICY", "/nonexistent/policy.yaml");
    world.verify_dev("--bundle b.json f").assert_refused("tlog");
}

#[test]
fn a_variable_that_is_about_networks_is_still_read() {
    let mut world = World::new();
    world.signed();
    world.plugin.set("LUET_COSIGN_HTTP_REGISTRIES", "not/a/host");
    world.verify_dev("--certificate f.pem --signature f.sig f").assert_refused("policy");
}
