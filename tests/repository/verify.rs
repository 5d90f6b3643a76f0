//! `verify-repo`.

use super::support::{REPO, World, with, world};
use testkit::{Answer, Auth, LuetRepository, Options, layer};

/// Two packages, everything signed.
fn signed() -> World {
    let world = world();
    let tags = LuetRepository::new(REPO, 2).publish(&world.registry);
    world.sign("acme.key", &tags);
    world
}

#[test]
fn everything_that_a_repository_names_is_judged() {
    let world = signed();
    let ran = world.verify(&[]);
    ran.exited(0);
    for tag in [
        "repository.yaml",
        "tree.tar.gz",
        "compilertree.tar.gz",
        "repository.meta.yaml.tar",
        "20251130120000-repository.yaml",
        "20251130120000-tree.tar.gz",
        "p0-test-1.0",
        "p0-test-1.0.metadata.yaml",
        "p1-test-1.0",
    ] {
        assert!(ran.line(tag).starts_with("verified "), "{}", ran.line(tag));
    }
    assert_eq!(ran.last(), format!("{}: 12 images: 12 verified", world.repository()));
    assert_eq!(ran.stderr(), "");
    let json = world.verify(&["--json"]).exited(0).json();
    assert_eq!((&json["counts"]["verified"], &json["index"]), (&12.into(), &"verified".into()));
    assert_eq!(json["images"].as_array().unwrap().len(), 12);
}

#[test]
fn annotations_are_required_of_every_image() {
    let world = world();
    let tags = LuetRepository::new(REPO, 1).publish(&world.registry);
    let key = world.file("acme.key");
    let names = tags.iter().map(|tag| world.name(tag));
    let words = ["sign", "--key", &key, "-a", "stage=prod"].map(str::to_owned);
    assert!(world.plugin.run(words.into_iter().chain(names)).status.success());
    world.verify(&["-a", "stage=prod"]).exited(0);
    let ran = world.verify(&["--annotations", "stage=test"]);
    ran.exited(14);
    let hint = ran.stderr();
    assert!(hint.contains("sign -a") && !hint.contains("different image"), "{hint}");
    for tag in tags {
        assert!(!ran.line(&tag).starts_with("verified "), "{}", ran.line(&tag));
    }
    world.verify(&["-a", "stage"]).exited(2);
}

#[test]
fn one_image_that_nobody_signed_is_named_and_decides_the_exit_code() {
    let world = world();
    let mut tags = LuetRepository::new(REPO, 2).publish(&world.registry);
    tags.retain(|tag| tag != "p1-test-1.0");
    world.sign("acme.key", &tags);
    let ran = world.verify(&[]);
    ran.exited(10);
    assert!(ran.line("p1-test-1.0").starts_with("unsigned "), "{}", ran.line("p1-test-1.0"));
    assert!(
        ran.last().ends_with("12 images: 11 verified, 1 refused (unsigned 1)"),
        "{}",
        ran.last()
    );
    assert!(ran.stderr().contains("hint (unsigned): "), "{}", ran.stderr());
}

/// G05 for whole repositories: a validly signed package under another's tag.
#[test]
fn a_signed_image_under_another_tag_is_no_package_of_that_name() {
    let world = signed();
    let digest = testkit::digest(&world.registry.manifest(REPO, "p0-test-1.0").unwrap().1);
    world.registry.tag(REPO, "p1-test-1.0", &digest);
    let ran = world.verify(&[]);
    ran.exited(14);
    assert!(ran.line("p1-test-1.0").starts_with("binding "), "{}", ran.line("p1-test-1.0"));
    assert!(ran.line("p0-test-1.0").starts_with("verified "));
}

#[test]
fn two_tags_of_one_image_each_need_their_own_name_in_a_signature() {
    let world = signed();
    let digest = testkit::digest(&world.registry.manifest(REPO, "p0-test-1.0").unwrap().1);
    world.registry.tag(REPO, "p1-test-1.0", &digest);
    world.sign("acme.key", &["p1-test-1.0".to_owned()]);
    world.verify(&[]).exited(0);
}

#[test]
fn an_index_that_nobody_vouches_for_is_read_and_called_so() {
    for unsigned in ["repository.yaml", "repository.meta.yaml.tar"] {
        let world = world();
        let mut tags = LuetRepository::new(REPO, 1).publish(&world.registry);
        tags.retain(|tag| tag != unsigned);
        world.sign("acme.key", &tags);
        let ran = world.verify(&[]);
        ran.exited(10);
        assert!(ran.stderr().contains("NOT verified: others may be missing"), "{}", ran.stderr());
        assert!(ran.line("p0-test-1.0").starts_with("verified "));
        let json = world.verify(&["--json"]).exited(10).json();
        assert_eq!(json["index"], "unverified");
    }
}

#[test]
fn an_index_by_a_stranger_is_no_index_of_ours() {
    let world = world();
    let tags = LuetRepository::new(REPO, 1).publish(&world.registry);
    world.sign("stranger.key", &tags);
    let ran = world.verify(&[]);
    ran.exited(12);
    assert!(
        ran.last().contains("10 images: 0 verified, 10 refused (identity 10)"),
        "{}",
        ran.last()
    );
    assert!(ran.stderr().contains("NOT verified"), "{}", ran.stderr());
}

/// A signed index of yesterday in the place of today's hides what is new.
#[test]
fn an_index_other_than_the_description_names_is_no_index() {
    let world = world();
    let mut repository = LuetRepository::new(REPO, 1);
    repository.index_digest = Some("0".repeat(64));
    let tags = repository.publish(&world.registry);
    world.sign("acme.key", &tags);
    let ran = world.verify(&[]);
    ran.exited(14);
    assert!(ran.stderr().contains("error: digest: "), "{}", ran.stderr());
    assert!(ran.stderr().contains("NOT verified"), "{}", ran.stderr());
    assert!(ran.last().contains("NOT everything could be looked at"), "{}", ran.last());
}

#[test]
fn hostile_names_in_an_index_steer_nothing() {
    for (name, word) in [
        ("a\\u001b[2J", "is not a tag"),
        ("../../../v2/other/manifests/x", "is not a tag"),
        ("a@sha256:x", "is not a tag"),
        ("a b\\nverified", "is not a tag"),
    ] {
        let world = world();
        let mut repository = LuetRepository::new(REPO, 1);
        repository.index = Some(format!(
            "index:\n- compilationspec: {{package: {{name: \"{name}\", category: c, version: \"1\"}}}}\n"
        ));
        let tags = repository.publish(&world.registry);
        world.sign("acme.key", &tags);
        let ran = world.verify(&[]);
        ran.exited(2);
        assert!(ran.stderr().contains(word), "{}", ran.stderr());
        let all = ran.stdout() + &ran.stderr();
        assert!(!all.contains('\u{1b}') && !all.lines().any(|line| line == "verified"), "{all}");
        assert_eq!(world.registry.count("other"), 0);
    }
}

#[test]
fn an_index_that_cannot_be_read_ends_the_list_and_is_no_success() {
    for index in ["index: [", "index: [{}]", "index: &a []\nb: *a"] {
        let world = world();
        let mut repository = LuetRepository::new(REPO, 1);
        repository.index = Some(index.to_owned());
        let tags = repository.publish(&world.registry);
        world.sign("acme.key", &tags);
        let ran = world.verify(&[]);
        ran.exited(14);
        assert!(ran.stderr().contains("error: malformed: "), "{}", ran.stderr());
    }
}

#[test]
fn no_repository_is_no_success() {
    let world = world();
    let ran = world.verify(&[]);
    ran.exited(11);
    assert!(ran.line("repository.yaml").starts_with("not-found "));
    world.registry.push_image(REPO, "repository.yaml", &[&layer(&[("other", b"x")])]);
    world.verify(&[]).exited(14);
}

#[test]
fn the_snapshot_of_another_state_is_not_of_this_one() {
    let world = signed();
    let mut older = LuetRepository::new(REPO, 1);
    (older.revision, older.snapshot) = (7, "20991130120000".to_owned());
    // An older state under a newer name, as after `--reset-revision`; nobody signed it.
    let world2 = &world;
    let before = world2.registry.manifest(REPO, "repository.yaml").unwrap();
    let tags =
        ["repository.yaml", "repository.meta.yaml.tar", "tree.tar.gz", "compilertree.tar.gz"];
    let kept: Vec<_> =
        tags.iter().map(|tag| (tag, world2.registry.manifest(REPO, tag).unwrap())).collect();
    older.publish(&world2.registry);
    for (tag, (_, bytes)) in &kept {
        world2.registry.tag(REPO, tag, &testkit::digest(bytes));
    }
    for tag in ["p0-test-1.0", "p0-test-1.0.metadata.yaml"] {
        world2.sign("acme.key", &[tag.to_owned()]);
    }
    assert!(!before.1.is_empty());
    let ran = world2.verify(&[]);
    ran.exited(0);
    assert!(ran.line("20251130120000-repository.yaml").starts_with("verified "));
    assert!(!ran.stdout().contains("20991130120000"));
    // Asked for by its name it is judged, and refused.
    let ran = world2.verify(&["--reference", "20991130120000-repository.yaml"]);
    ran.exited(10);
}

#[test]
fn tags_that_are_not_listed_are_said_and_no_failure() {
    let world = signed();
    world.registry.always("GET", "/v2/acme/packages/tags/list*", Answer::error(403, "DENIED"));
    let ran = world.verify(&[]);
    ran.exited(0);
    assert!(ran.stderr().contains("was not looked for"), "{}", ran.stderr());
    assert!(ran.last().contains("8 images: 8 verified"), "{}", ran.last());
}

#[test]
fn a_registry_that_fails_for_one_image_is_not_silence() {
    let world = signed();
    let digest = testkit::digest(&world.registry.manifest(REPO, "p0-test-1.0").unwrap().1);
    let tag = format!("/v2/{REPO}/manifests/{}.sig", digest.replace(':', "-"));
    world.registry.always("GET", &tag, Answer::error(403, "DENIED"));
    let ran = world.verify(&[]);
    ran.exited(20);
    assert!(ran.line("p0-test-1.0").starts_with("auth "), "{}", ran.line("p0-test-1.0"));
}

#[test]
fn what_a_policy_allows_is_counted_by_itself() {
    let world = world();
    let mut tags = LuetRepository::new(REPO, 1).publish(&world.registry);
    tags.retain(|tag| tag != "p0-test-1.0.metadata.yaml");
    world.sign("acme.key", &tags);
    let policy = format!(
        "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\nsigners:\n  acme: {{key: {}}}\nrepositories:\n- {{name: acme, scope: {repository}, trust: [acme]}}\n- {{name: metadata, scope: {repository}, tags: ['*.metadata.yaml'], trust: [acme], unsigned: allow, reason: test}}\n",
        world.file("acme.pub"),
        repository = world.repository(),
    );
    let path = world.plugin.write("policy.yaml", policy);
    let ran = world.run("verify-repo", &["--policy", path.to_str().unwrap()]);
    ran.exited(0);
    assert!(ran.line("p0-test-1.0.metadata.yaml").starts_with("allowed "));
    assert!(ran.last().contains("9 verified, 1 allowed without a signature"), "{}", ran.last());
}

#[test]
fn connections_and_tokens_are_used_again() {
    let world = with(Options { auth: Auth::anonymous(), ..Options::default() });
    let tags = LuetRepository::new(REPO, 40).publish(&world.registry);
    let world = world;
    let plugin_auth = testkit_login(&world);
    world.sign("acme.key", &tags);
    drop(plugin_auth);
    let (tokens, connections) =
        (world.registry.count("/token"), world.registry.server().connections());
    world.verify(&["--jobs", "4"]).exited(0);
    let tokens = world.registry.count("/token") - tokens;
    let connections = world.registry.server().connections() - connections;
    assert!(tokens <= 4, "{tokens} tokens");
    assert!(connections <= 4 * 3 + 2, "{connections} connections");
}

/// Lets the program log in, for as long as it pushes.
fn testkit_login(world: &World) -> std::path::PathBuf {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode("user:password");
    let config = serde_json::json!({"auths": {world.registry.host(): {"auth": auth}}});
    let folder = world.plugin.path("home/.docker");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}
