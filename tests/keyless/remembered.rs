//! What is remembered: of a repository, under the name that it is signed for, and of every signer
//! who counted.

use super::authorities::{BUILD, EVE, World, with_rules};
use super::*;
use luet_cosign::wire::SignerClaims;

const REPO: &str = "acme/packages";
const MIRROR: &str = "mirror/packages";
const DESCRIPTION: &str = "repository.yaml";

/// The rules of an origin and a mirror of it.
fn mirrored(world: &World, keys: &str) -> String {
    let (origin, mirror) = (world.registry.name(REPO), world.registry.name(MIRROR));
    with_rules(&format!(
        "  - {{name: origin, scope: {origin}, {keys}}}\n  - {{name: mirror, scope: {mirror}, mirror_of: {origin}, {keys}}}\n"
    ))
}

fn description(revision: u64) -> Vec<u8> {
    let text = format!("name: acme\nrevision: {revision}\nindex: []\n");
    testkit::layer(&[(DESCRIPTION, text.as_bytes())])
}

/// Claims of the repository and this tag.
fn bound(world: &World, tag: &str) -> SignerClaims {
    SignerClaims {
        repository: Some(world.registry.name(REPO).parse().unwrap()),
        tag: Some(tag.parse().unwrap()),
        ..SignerClaims::default()
    }
}

/// A registry that serves an old state of a repository under a mirror's name, or the reverse.
#[test]
fn a_mirror_does_not_serve_what_is_older_than_its_origin() {
    for [first, second] in [[REPO, MIRROR], [MIRROR, REPO]] {
        let mut world = World::without_policy();
        world.policy(&mirrored(&world, "trust: [security], rollback: deny"));
        let claims = bound(&world, DESCRIPTION);
        world.push_to(first, DESCRIPTION, &description(12), &[("security", claims.clone())]);
        world.push_to(second, DESCRIPTION, &description(7), &[("security", claims)]);
        world.install_from(first, DESCRIPTION, &description(12)).assert_silent_success();
        let reply = world.install_from(second, DESCRIPTION, &description(7));
        reply.assert_refused("rollback");
        assert!(reply.error.contains("revision 12"), "{reply:?}");
        // A snapshot has another tag, and a revision of its own.
        let snapshot = format!("1-{DESCRIPTION}");
        let files = testkit::layer(&[(&snapshot, b"revision: 3\n")]);
        world.push_to(second, &snapshot, &files, &[("security", bound(&world, &snapshot))]);
        world.install_from(second, &snapshot, &files).assert_silent_success();
        // The way out that is printed is one.
        forget_as_told(&world, &reply.error);
        world.install_from(second, DESCRIPTION, &description(7)).assert_silent_success();
    }
}

#[test]
fn what_an_origin_signed_is_not_unsigned_at_its_mirror() {
    for downgrade in ["tag", "repo"] {
        let mut world = World::without_policy();
        let text = mirrored(&world, "trust: [security], unsigned: warn")
            .replace("unsigned: deny}", &format!("unsigned: deny, downgrade: {downgrade}}}"));
        world.policy(&text);
        let (files, tag) = (testkit::layer(&[("a", b"a")]), "a");
        world.push_to(REPO, tag, &files, &[("security", bound(&world, tag))]);
        world.registry.push_image(MIRROR, tag, &[&files]);
        world.install_from(REPO, tag, &files).assert_silent_success();
        let reply = world.install_from(MIRROR, tag, &files);
        reply.assert_refused("rollback");
        forget_as_told(&world, &reply.error);
        assert_eq!(world.install_from(MIRROR, tag, &files).error, "");
    }
}

/// Runs the command that a hint prints.
fn forget_as_told(world: &World, error: &str) {
    let command = error.rsplit_once("`luet-cosign ").unwrap().1.split('`').next().unwrap();
    let output = world.plugin.run(command.split(' '));
    assert!(output.status.success(), "{command}: {output:?}");
}

#[test]
fn a_mirror_is_listed_and_forgotten_by_the_name_that_its_images_are_signed_for() {
    let mut world = World::without_policy();
    world.policy(&mirrored(&world, "trust: {all_of: [ci, security]}"));
    let files = testkit::layer(&[("a", b"a")]);
    let signers = [(BUILD, SignerClaims::default()), ("security", bound(&world, "a"))];
    world.push_to(MIRROR, "a", &files, &signers);
    world.install_from(MIRROR, "a", &files).assert_silent_success();
    let (origin, mirror) = (world.name("a"), world.registry.name(&format!("{MIRROR}:a")));
    let run = |arguments: &[&str]| {
        let output = world.plugin.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = run(&["seen", "list"]);
    assert!(listed.starts_with(&format!("{origin}  sha256:")), "{listed}");
    assert!(listed.contains("  by ci (key ") && listed.contains(", security (key "), "{listed}");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert_eq!(run(&["seen", "forget", &mirror]), "forgot 0\n");
    assert_eq!(run(&["seen", "forget", &mirror, &origin]), "forgot 1\n");
    assert_eq!(run(&["seen", "list"]), "");
}

#[test]
fn a_mirror_has_the_first_signer_of_its_origin() {
    let mut world = World::without_policy();
    world.policy(&mirrored(&world, "trust: [first]"));
    let files = testkit::layer(&[("a", b"a")]);
    world.push_to(REPO, "a", &files, &[(DEV.0, SignerClaims::default())]);
    world.push_to(MIRROR, "b", &files, &[(EVE, SignerClaims::default())]);
    assert_eq!(world.install_from(REPO, "a", &files).error, "");
    let reply = world.install_from(MIRROR, "b", &files);
    reply.assert_refused("identity");
    forget_as_told(&world, &reply.error);
    assert_eq!(world.install_from(MIRROR, "b", &files).error, "");
}

/// Each of several signers who named repository and tag once must go on doing so.
#[test]
fn every_signer_who_counted_is_known_to_bind() {
    for (binder, other) in [(BUILD, "security"), ("security", BUILD)] {
        for order in [[binder, other], [other, binder]] {
            let world = World::new("{all_of: [ci, security]}");
            let files = testkit::layer(&[("a", b"a")]);
            let claims =
                |by| if by == binder { bound(&world, "a") } else { SignerClaims::default() };
            world.push_to(REPO, "a", &files, &order.map(|by| (by, claims(by))));
            world.install_from(REPO, "a", &files).assert_silent_success();
            world.push_to(REPO, "b", &files, &order.map(|by| (by, SignerClaims::default())));
            world.install_from(REPO, "b", &files).assert_refused("binding");
        }
    }
}

/// A later image by someone else, also under the same tag, takes nothing of that back; nor does
/// forgetting one tag.
#[test]
fn who_binds_is_known_until_all_of_the_repository_is_forgotten() {
    let world = World::new("[ci, security]");
    let files = testkit::layer(&[("a", b"a")]);
    let later = testkit::layer(&[("a", b"later")]);
    world.push_to(REPO, "a", &files, &[("security", bound(&world, "a"))]);
    world.install_from(REPO, "a", &files).assert_silent_success();
    world.push_to(REPO, "a", &later, &[(BUILD, SignerClaims::default())]);
    world.install_from(REPO, "a", &later).assert_silent_success();
    world.push_to(REPO, "b", &files, &[("security", SignerClaims::default())]);
    world.install_from(REPO, "b", &files).assert_refused("binding");
    assert!(world.plugin.run(["seen", "forget", &world.name("a")]).status.success());
    world.install_from(REPO, "b", &files).assert_refused("binding");
    let all = world.plugin.run(["seen", "forget", "--all", &world.registry.name(REPO)]);
    assert!(all.status.success());
    world.install_from(REPO, "b", &files).assert_silent_success();
}

/// The file that 1.0.0-alpha.1 left after five images: two that `security` signed and one that the
/// first signer did name repository and tag.
#[test]
fn what_the_first_version_remembered_is_still_known() {
    let mut world = World::without_policy();
    let (origin, mirror) = (world.registry.name(REPO), world.registry.name(MIRROR));
    let files = testkit::layer(&[("a", b"a")]);
    // Under its own name, which a later policy calls a mirror's; or under the one it is signed for.
    for (remembered, asked) in [(MIRROR, MIRROR), (REPO, MIRROR), (REPO, REPO)] {
        world.policy(&with_rules("  - {name: r, scope: '*', trust: [ci, first]}\n"));
        world.push_to(remembered, "1", &files, &[(BUILD, SignerClaims::default())]);
        world.install_from(remembered, "1", &files).assert_silent_success();
        let folder = world.plugin.path("state/luet-cosign/seen");
        let file = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_none())
            .unwrap();
        std::fs::write(&file, include_str!("seen-1.0.0-alpha.1.jsonl")).unwrap();
        let listed = world.plugin.run(["seen", "list", "--json"]);
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let tags: Vec<&Value> =
            listed["seen"].as_array().unwrap().iter().map(|seen| &seen["tag"]).collect();
        assert_eq!(tags, [DESCRIPTION, "a"], "{listed}");
        // The first signer, who must go on binding; nobody else; the highest revision.
        world.policy(&mirrored(&world, "trust: [ci, first], rollback: deny"));
        world.push_to(asked, "2", &files, &[(EVE, SignerClaims::default())]);
        world.install_from(asked, "2", &files).assert_refused("identity");
        world.push_to(asked, "3", &files, &[(DEV.0, SignerClaims::default())]);
        world.install_from(asked, "3", &files).assert_refused("binding");
        world.push_to(asked, "4", &files, &[(DEV.0, bound(&world, "4"))]);
        let reply = world.install_from(asked, "4", &files);
        assert_eq!(reply.error, "", "{remembered} {asked}");
        world.push_to(asked, DESCRIPTION, &description(11), &[(BUILD, SignerClaims::default())]);
        world.install_from(asked, DESCRIPTION, &description(11)).assert_refused("rollback");
        let all = world.plugin.run(["seen", "forget", "--all", &origin, &mirror]);
        assert!(all.status.success(), "{all:?}");
        world.install_from(asked, DESCRIPTION, &description(11)).assert_silent_success();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
