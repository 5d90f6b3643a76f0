//! Every example is loaded, and does what its first lines say.

use crate::support::{
    ACME, Key, SITE, absent, file, image_digest, load_at, now, reference, signature, signature_for,
    with_signatures, word,
};
use luet_cosign::policy::{
    Applies, EnvironmentFacts, Policy, PostUnpack, decide, decide_without_looking, from_env,
    judge_revision,
};
use luet_cosign::wire::SignerClaims;

fn load(text: &str) -> Policy {
    load_at(text, file(), now()).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}")).0
}

fn unsigned(policy: &Policy, image: &str) -> &'static str {
    let matched = policy.matching(&reference(image), now());
    if matched.looks() {
        word(&decide(&matched, &absent(&matched, None)))
    } else {
        word(&decide_without_looking(&matched))
    }
}

fn signed_by(policy: &Policy, image: &str, signer: &str) -> &'static str {
    let matched = policy.matching(&reference(image), now());
    word(&decide(
        &matched,
        &with_signatures(
            absent(&matched, None),
            vec![Ok(signature(signer, &ACME, &image_digest()))],
        ),
    ))
}

#[test]
fn a_single_key_with_rotation() {
    let policy = load(include_str!("../../examples/policies/single-key.yaml"));
    for signer in ["acme-2024", "acme-2026"] {
        assert_eq!(signed_by(&policy, "quay.io/acme/packages:x", signer), "verified");
    }
    assert_eq!(unsigned(&policy, "quay.io/acme/packages:x"), "unsigned");
    assert_eq!(unsigned(&policy, "quay.io/other/packages:x"), "policy");
}

#[test]
fn signed_and_unsigned_repositories_together() {
    let policy = load(include_str!("../../examples/policies/mixed.yaml"));
    assert_eq!(signed_by(&policy, "quay.io/acme/packages:kernel-6", "acme"), "verified");
    assert_eq!(unsigned(&policy, "quay.io/acme/packages:kernel-6"), "unsigned");
    assert_eq!(unsigned(&policy, "quay.io/hobby/packages:game-chess-1"), "allowed");
    assert_eq!(unsigned(&policy, "quay.io/hobby/packages:repository.yaml"), "allowed");
    assert_eq!(unsigned(&policy, "quay.io/hobby/packages:kernel-6"), "policy");
    assert_eq!(unsigned(&policy, "a.partner.example/luet/packages:tool-1"), "allowed");
    assert_eq!(unsigned(&policy, "docker.io/mudler/old:x"), "allowed");
}

#[test]
fn a_registry_without_tls() {
    let policy = load(include_str!("../../examples/policies/http-registry.yaml"));
    let [lan, tls] = policy.registries() else { panic!() };
    assert_eq!((lan.host.as_str(), lan.http), ("registry.lan:5000", true));
    assert_eq!((tls.http, tls.ca.is_some(), tls.auth_hosts.len()), (false, true, 1));
    assert_eq!(unsigned(&policy, "registry.lan:5000/acme/packages:x"), "unsigned");
}

/// Signatures for a name, by the signers and their keys.
fn signed_for(policy: &Policy, image: &str, names: &[(&str, &str)]) -> &'static str {
    let matched = policy.matching(&reference(image), now());
    let signature = |(signer, name): &(&str, &str)| {
        let name = reference(name);
        let claims = SignerClaims {
            repository: Some(name.repository().clone()),
            tag: name.tag().cloned(),
            ..SignerClaims::default()
        };
        let key: &Key = if *signer == "site" { &SITE } else { &ACME };
        Ok(signature_for(signer, key, &image_digest(), &claims))
    };
    word(&decide(
        &matched,
        &with_signatures(absent(&matched, None), names.iter().map(signature).collect()),
    ))
}

#[test]
fn a_mirror_with_a_counter_signature() {
    let policy = load(include_str!("../../examples/policies/mirror.yaml"));
    let (image, name) = ("registry.lan:5000/vendor/os:1", "ghcr.io/vendor/os:1");
    for (names, expected) in [
        ([("vendor", name), ("site", image)].as_slice(), "verified"),
        (&[("vendor", name), ("site", name)], "verified"),
        (&[("vendor", name)], "identity"),
        (&[("site", image)], "identity"),
        (&[("vendor", "ghcr.io/vendor/os:2"), ("site", image)], "binding"),
        (&[("vendor", "ghcr.io/vendor/other:1"), ("site", image)], "binding"),
    ] {
        assert_eq!(signed_for(&policy, image, names), expected, "{names:?}");
    }
    assert_eq!(unsigned(&policy, image), "unsigned");
}

#[test]
fn a_node_that_runs_signed_images_only() {
    let policy = load(include_str!("../../examples/policies/containerd.yaml"));
    assert_eq!(policy.deadline(), Some(std::time::Duration::from_secs(8)));
    assert_eq!(unsigned(&policy, "registry.k8s.io/pause:3.10"), "unsigned");
    assert_eq!(signed_by(&policy, "registry.example.com/acme/app:v1", "acme"), "verified");
    assert_eq!(unsigned(&policy, "registry.example.com/acme/app:v1"), "unsigned");
    assert_eq!(unsigned(&policy, "registry.example.com/tools/x:v1"), "allowed");
    assert_eq!(unsigned(&policy, "docker.io/library/alpine:latest"), "policy");
    let files: Vec<_> =
        policy.registries().iter().filter_map(|entry| entry.credentials.clone()).collect();
    assert_eq!(files, ["registry-login.json"]);
}

#[test]
fn as_strict_as_it_gets() {
    let policy = load(include_str!("../../examples/policies/strict.yaml"));
    assert_eq!(policy.post_unpack(), PostUnpack::Layers);
    let (metadata, package) =
        ("quay.io/acme/packages:repository.yaml", "quay.io/acme/packages:kernel-6");
    assert_eq!(signed_for(&policy, package, &[("release", package)]), "verified");
    assert_eq!(
        signed_for(&policy, package, &[("release", "quay.io/acme/packages:kernel-5")]),
        "binding"
    );
    assert_eq!(signed_by(&policy, package, "release"), "binding");
    assert_eq!(signed_for(&policy, metadata, &[("release", metadata)]), "identity");
    assert_eq!(
        signed_for(&policy, metadata, &[("release", metadata), ("site", metadata)]),
        "verified"
    );
    let Applies::Rule(effective) = policy.matching(&reference(metadata), now()).applies().clone()
    else {
        panic!()
    };
    assert!(judge_revision(&effective, &reference(metadata), Some(2), 1).is_err());
}

#[test]
fn the_environments_equivalent_is_what_from_env_prints() {
    let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect();
    let facts = EnvironmentFacts {
        key_location: Some("/etc/luet/acme.pub".to_owned()),
        repository: Some("quay.io/acme/signatures".to_owned()),
        allow_unsigned: words("quay.io/hobby/** file://**"),
        skip: words("quay\\.io/old/.*"),
        http_registries: words("registry.lan:5000"),
        ..EnvironmentFacts::default()
    };
    let text = include_str!("../../examples/policies/environment.yaml");
    assert_eq!(from_env(&facts), text);
    assert_eq!(unsigned(&load(text), "quay.io/hobby/a/b:x"), "allowed");
}

#[test]
fn no_example_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "containerd.yaml",
            "environment.yaml",
            "http-registry.yaml",
            "mirror.yaml",
            "mixed.yaml",
            "single-key.yaml",
            "strict.yaml"
        ]
    );
}
