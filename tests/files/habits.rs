//! What scripts type that know cosign: options that narrow, that are so already, and that would
//! loosen; commands that are cosign's alone.

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use testkit::sigstore::keys::pem;

#[test]
fn what_a_run_of_a_workflow_was_narrows_who_is_asked_for() {
    let world = World::new();
    let signature = world
        .sigstore
        .sign()
        .leaf(|leaf| {
            for (number, text) in
                [(2, "push"), (3, "5ec7e7"), (4, "release"), (5, "acme/os"), (6, "refs/tags/v1")]
            {
                leaf.claim(number, text);
            }
        })
        .blob(FILE);
    world.write("f", &signature);
    let all = [
        ("trigger", "push"),
        ("sha", "5ec7e7"),
        ("name", "release"),
        ("repository", "acme/os"),
        ("ref", "refs/tags/v1"),
    ];
    let options: Vec<String> = all
        .iter()
        .map(|(name, value)| format!("--certificate-github-workflow-{name} {value}"))
        .collect();
    let files = "--certificate f.pem --signature f.sig f";
    world.verify_dev(&format!("{} {files}", options.join(" "))).assert_ok();
    for (name, _) in all {
        let said = world.verify_dev(&format!("--certificate-github-workflow-{name} other {files}"));
        said.assert_refused("identity");
        assert!(said.stderr.contains("`other`"), "{said:?}");
    }
    let alone = world.verify(&format!("--certificate-github-workflow-name release {files}"));
    alone.assert_refused("usage");
    // A certificate that does not say it is no match for those who ask.
    world.signed();
    world
        .verify_dev(&format!("--certificate-github-workflow-repository acme/os {files}"))
        .assert_refused("identity");
}

#[test]
fn authorities_that_are_named_stand_in_place_of_the_root_s() {
    let mut world = World::new();
    let signature = world.signed();
    world.plugin.write("b.json", signature.bundle().to_string());
    world.plugin.write("ca.pem", pem("CERTIFICATE", &world.sigstore.root.der()));
    world.plugin.write("intermediate.pem", pem("CERTIFICATE", &world.sigstore.fulcio.der()));
    world.plugin.write("other.pem", pem("CERTIFICATE", &Sigstore::new().root.der()));
    let words = "--ca-roots ca.pem --ca-intermediates intermediate.pem --bundle b.json f";
    // Two things that say which root counts.
    world.verify_dev(words).assert_refused("usage");
    world.plugin.set("COSIGN_TRUSTED_ROOT", "");
    for (variable, name, pem) in [
        ("SIGSTORE_REKOR_PUBLIC_KEY", "rekor.pem", world.sigstore.rekor1.key.pem()),
        ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ct.pem", world.sigstore.ct.key.pem()),
    ] {
        let path = world.plugin.write(name, pem).display().to_string();
        world.plugin.set(variable, &path);
    }
    world.plugin.set("LUET_COSIGN_OFFLINE", "1");
    world.verify_dev(words).assert_ok();
    let said =
        world.verify_dev(&words.replace("--ca-roots ca.pem --ca-intermediates", "--ca-roots"));
    assert_ne!(said.code, 0, "an intermediate is not a root: {said:?}");
    let said = world.verify_dev("--ca-roots other.pem --bundle b.json f");
    assert!(said.code != 0 && !said.stderr.contains("Verified OK"), "{said:?}");
    world.verify_dev("--ca-roots gone.pem --bundle b.json f").assert_refused("trustroot");
}

#[test]
fn what_is_so_already_is_taken_and_what_would_loosen_is_refused() {
    let world = World::new();
    world.signed();
    let files = "--certificate f.pem --signature f.sig f";
    for taken in [
        "--new-bundle-format --use-signed-timestamps=false --enforce-sct",
        "--max-workers 4 --experimental-oci11 --check-claims=true",
        "--signature-digest-algorithm sha256 -d --timeout 1m30s",
        "-t 90s",
        "--sct f.sct --private-infrastructure",
    ] {
        world.verify_dev(&format!("{taken} {files}")).assert_ok();
    }
    for refused in ["--check-claims=false", "--sk"] {
        world.verify_dev(&format!("{refused} {files}")).assert_refused("usage");
    }
    for (wrong, why) in [("--timeout 2h", "expected 1s to 1h"), ("--max-workers x", "invalid")] {
        let said = world.verify_dev(&format!("{wrong} {files}"));
        assert!(said.code == 2 && said.stderr.contains(why), "{said:?}");
    }
}

#[test]
fn a_deadline_that_is_typed_counts_before_the_variable() {
    let mut world = World::new();
    world.signed();
    world.plugin.set("LUET_COSIGN_TIMEOUT", "nonsense");
    let files = "--certificate f.pem --signature f.sig f";
    world.verify_dev(files).assert_refused("usage");
    world.verify_dev(&format!("--timeout 30s {files}")).assert_ok();
}

#[test]
fn the_answer_goes_into_the_file_that_is_named() {
    let world = World::new();
    world.signed();
    let said =
        world.verify_dev("--json --output-file out.json --certificate f.pem --signature f.sig f");
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{said:?}");
    let text = std::fs::read_to_string(world.plugin.path("out.json")).unwrap();
    assert_eq!(json_of(&text)["verified"], true);
    let said =
        world.verify_dev("--output-file no/such/folder --certificate f.pem --signature f.sig f");
    said.assert_refused("usage");
}

#[test]
fn commands_of_cosign_alone_are_one_sentence() {
    let world = World::new();
    for (words, expected) in [
        ("login -u me -p secret r.example", "docker login"),
        ("logout r.example", "docker logout"),
        ("tree a", "oras discover"),
        ("initialize --mirror m", "TUF_MIRROR"),
        ("attest --predicate p a", "cosign attest"),
        ("copy a b", "skopeo copy"),
        ("save --dir d a", "skopeo copy"),
        ("load --dir d a", "skopeo copy"),
        ("clean a", "crane delete"),
        ("attach sbom a", "cosign attach"),
    ] {
        let said = world.run(&words.split(' ').collect::<Vec<_>>());
        said.assert_refused("usage");
        assert_eq!((said.code, said.stderr.lines().count()), (2, 2), "{said:?}");
        assert!(said.stderr.contains(expected) && !said.stderr.contains("secret"), "{said:?}");
    }
    let said = world.run(&["help", "verify-blob"]);
    assert!(said.code == 0 && said.stdout.contains("--certificate-identity"), "{said:?}");
}

#[test]
fn a_mistake_is_json_where_json_is_asked_for() {
    let world = World::new();
    for words in [
        "--json verify-blob --no-such",
        "--json tree a",
        "verify-blob --json --check-claims=false f",
    ] {
        let said = world.run(&words.split(' ').collect::<Vec<_>>());
        let document = json_of(&said.stdout);
        assert_eq!(said.code, 2, "{said:?}");
        assert_eq!(document["error"]["class"], "usage", "{said:?}");
        assert_eq!(document["version"], 1);
    }
}

#[test]
fn what_was_meant_as_an_option_or_a_file_is_no_image() {
    let world = World::new();
    for (words, expected) in [
        ("verify identity f", "is the name of an option, not an image"),
        ("verify --key k.pub f", "luet-cosign verify-blob f"),
        ("verify --key k.pub --identity f", "unexpected argument '--identity'"),
    ] {
        let said = world.run(&words.split(' ').collect::<Vec<_>>());
        assert!(said.code == 2 && said.stderr.contains(expected), "{said:?}");
        assert!(!said.stderr.contains("as a value"), "{said:?}");
    }
}

#[test]
fn a_public_key_can_be_read_by_everybody_and_a_private_one_by_its_user() {
    let mut world = World::new();
    world.plugin.set("COSIGN_PASSWORD", "x");
    assert_eq!(world.run(&["generate-key-pair"]).code, 0);
    let said = world.run(&["public-key", "--key", "cosign.pub", "--outfile", "other.pub"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{said:?}");
    let mode =
        |name: &str| world.plugin.path(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("cosign.key"), mode("cosign.pub"), mode("other.pub")], [0o600, 0o644, 0o644]);
    let read = |name: &str| std::fs::read(world.plugin.path(name)).unwrap();
    assert_eq!(read("cosign.pub"), read("other.pub"));
    let again = world.run(&["public-key", "--key", "cosign.pub", "--outfile", "other.pub"]);
    again.assert_refused("usage");
}
