//! A signed list of digests, and the files in it.

use super::*;
use luet_cosign::name::Digest;

fn list(files: &[(&str, &[u8])]) -> String {
    files.iter().map(|(name, bytes)| format!("{}  {name}\n", Digest::of(bytes).hex())).collect()
}

fn world(list: &str) -> World {
    let world = World::new();
    world.plugin.write("SUMS", list);
    world.write("SUMS", &world.sigstore.sign().blob(list.as_bytes()));
    world.plugin.write("a", "A");
    world.plugin.write("b", "B");
    world
}

const SUMS: &str = "--certificate SUMS.pem --signature SUMS.sig --all SUMS";

#[test]
fn a_list_that_holds_is_followed_to_every_file() {
    let world = world(&list(&[("a", b"A"), ("b", b"B")]));
    let said = world.verify_dev(SUMS);
    said.assert_ok();
    assert!(said.stderr.contains("\na: OK\nb: OK\n"), "{said:?}");
    let document = json_of(&world.verify_dev(&format!("--json {SUMS}")).stdout);
    assert_eq!(
        (document["verified"].as_bool(), document["files"].as_array().unwrap().len()),
        (Some(true), 2)
    );
    assert!(!said.stderr.contains('\r'), "no progress where there is no terminal: {said:?}");
}

#[test]
fn one_file_that_is_another_fails_the_whole() {
    let world = world(&list(&[("a", b"A"), ("b", b"other")]));
    let said = world.verify_dev(SUMS);
    said.assert_refused("digest");
    assert!(said.stderr.contains("a: OK\nb: FAILED"), "{said:?}");
    let said = world.verify_dev(&format!("--json {SUMS}"));
    let document = json_of(&said.stdout);
    assert_eq!(
        (
            said.code,
            document["verified"].as_bool(),
            document["files"][1]["error"]["class"].as_str()
        ),
        (14, Some(false), Some("digest"))
    );
}

#[test]
fn a_file_that_is_not_there_is_passed_over_only_when_that_is_asked() {
    let world = world(&list(&[("a", b"A"), ("c", b"C")]));
    world.verify_dev(SUMS).assert_refused("not-found");
    let said = world.verify_dev(&format!("--ignore-missing {SUMS}"));
    said.assert_ok();
    assert!(said.stderr.contains("a: OK") && !said.stderr.contains("c:"), "{said:?}");
    std::fs::remove_file(world.plugin.path("a")).unwrap();
    world.verify_dev(&format!("--ignore-missing {SUMS}")).assert_refused("not-found");
}

#[test]
fn a_list_that_was_tampered_with_is_followed_nowhere() {
    let world = world(&list(&[("a", b"A")]));
    world.plugin.write("SUMS", list(&[("a", b"A"), ("b", b"B")]));
    let said = world.verify_dev(SUMS);
    said.assert_refused("signature");
    assert!(!said.stderr.contains("a: OK"), "{said:?}");
}

#[test]
fn what_is_no_list_is_malformed() {
    world("hello\n").verify_dev(SUMS).assert_refused("malformed");
    world(&list(&[("../trusted_root.json", b"A")])).verify_dev(SUMS).assert_refused("malformed");
    let world = world(&list(&[("a", b"A")]));
    assert_eq!(
        world.verify_dev("--certificate SUMS.pem --signature SUMS.sig --all SUMS a").code,
        2,
        "one of the two"
    );
}
