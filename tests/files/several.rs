//! Several files in one command, each with a bundle of its own beside it.

use super::*;

/// Files `a`, `b` and `c` with the bundles of dev.
fn world() -> World {
    let world = World::new();
    for name in ["a", "b", "c"] {
        let bundle = world.sigstore.sign().blob(name.as_bytes()).bundle();
        world.plugin.write(name, name);
        world.plugin.write(&format!("{name}.json"), bundle.to_string());
    }
    world
}

const ALL: &str = "--bundle-suffix .json a b c";

#[test]
fn every_file_is_verified_by_the_bundle_beside_it() {
    let world = world();
    let said = world.verify_dev(ALL);
    said.assert_ok();
    assert!(said.stderr.ends_with("a: OK\nb: OK\nc: OK\nVerified OK\n"), "{said:?}");
    let document = json_of(&world.verify_dev(&format!("--json {ALL}")).stdout);
    assert_eq!(document["verified"], true);
    let bundles: Vec<_> =
        document["files"].as_array().unwrap().iter().map(|file| &file["bundle"]).collect();
    assert_eq!(bundles, ["a.json", "b.json", "c.json"]);
}

#[test]
fn the_signature_of_one_file_is_not_that_of_another() {
    let world = world();
    std::fs::rename(world.plugin.path("a.json"), world.plugin.path("b.json")).unwrap();
    let said = world.verify_dev(ALL);
    // (Of a missing bundle and a changed file the changed file is the worse.)
    said.assert_refused("signature");
    let lines: Vec<&str> = said.stderr.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("a: FAILED (not-found")), "{said:?}");
    assert!(lines.iter().any(|line| line.starts_with("b: FAILED (signature")), "{said:?}");
    assert!(lines.contains(&"c: OK") && !lines.contains(&"Verified OK"), "{said:?}");
    let said = world.verify_dev(&format!("--json {ALL}"));
    let document = json_of(&said.stdout);
    let found: Vec<_> =
        document["files"].as_array().unwrap().iter().map(|file| &file["verified"]).collect();
    assert_eq!((said.code, &document["verified"]), (14, &false.into()));
    assert_eq!(found, [false, false, true]);
    assert_eq!(document["files"][1]["digest"], Value::Null);
}

#[test]
fn a_stranger_among_them_fails_the_whole() {
    let world = world();
    let bundle = world.sigstore.sign().identity("eve@example.com").blob(b"b").bundle();
    world.plugin.write("b.json", bundle.to_string());
    world.verify_dev(ALL).assert_refused("identity");
}

#[test]
fn who_signed_them_has_to_be_said() {
    let world = world();
    let said = world.verify(ALL);
    said.assert_refused("identity");
    let advice = format!("luet-cosign verify-blob --bundle-suffix .json {} a b c", DEV.join(" "));
    assert!(said.stderr.contains(&advice), "{said:?}");
}

#[test]
fn what_has_no_bundle_beside_it_is_told_so_before_anything_is_read() {
    let world = world();
    for words in [
        "--bundle-suffix .json a -",
        "--bundle-suffix .json https://example.com/a",
        "--bundle-suffix= a b",
        "a b",
        "--bundle-suffix .json --bundle a.json a",
        "--bundle-suffix .json --all a",
    ] {
        let said = world.verify_dev(words);
        assert_eq!(said.code, 2, "{words}: {said:?}");
    }
    world.verify_dev("--bundle-suffix .json gone").assert_refused("not-found");
}
