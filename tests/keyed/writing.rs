//! Bundles as this program writes them: once, beside what others wrote, and back again where
//! someone took them away.

use super::*;

impl World {
    fn sign(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["sign", "--key", "acme.key"];
        all.extend(arguments);
        let name = self.name();
        all.push(&name);
        self.plugin.run(all)
    }

    fn writes(&self) -> usize {
        self.registry.requests().iter().filter(|request| request.method == "PUT").count()
    }

    fn fallback_tag(&self) -> String {
        self.image.digest.replace(':', "-")
    }
}

fn assert_good(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_bundle_is_written_once_per_signer_and_claims() {
    for world in [World::new(), World::without_api()] {
        assert_good(&world.sign(&["--format", "bundle"]));
        let writes = world.writes();
        let again = world.sign(&["--format", "bundle"]);
        assert_good(&again);
        assert!(String::from_utf8_lossy(&again.stderr).contains("already signed"), "{again:?}");
        assert_eq!(world.writes(), writes);
        // Other claims are another signature.
        assert_good(&world.sign(&["--format", "bundle", "-a", "env=prod"]));
        assert!(world.writes() > writes);
        let (code, found) = world.verify("acme");
        assert_eq!((code, formats_of(&found)), (0, vec!["bundle", "bundle"]), "{found}");
        world.install().assert_silent_success();
    }
}

#[test]
fn the_formats_are_cosigns_to_choose() {
    for (arguments, expected) in [
        (&[][..], vec!["legacy"]),
        (&["--format", "auto"], vec!["legacy"]),
        (&["--format", "both"], vec!["bundle", "legacy"]),
        (&["--new-bundle-format"], vec!["bundle"]),
        (&["--new-bundle-format=true"], vec!["bundle"]),
        (&["--new-bundle-format=false"], vec!["legacy"]),
    ] {
        let world = World::new();
        assert_good(&world.sign(arguments));
        let (code, found) = world.verify("acme");
        assert_eq!((code, formats_of(&found)), (0, expected), "{arguments:?}");
    }
    assert_eq!(
        World::new().sign(&["--format", "both", "--new-bundle-format"]).status.code(),
        Some(2)
    );
}

#[test]
fn the_claims_of_our_signer_are_annotations_of_the_subject() {
    let world = World::new();
    assert_good(&world.sign(&["--format", "bundle", "-a", "env=prod"]));
    let (_, found) = world.verify("acme");
    let signature = &found["signatures"][0];
    assert_eq!(signature["payload"]["optional"]["env"], "prod", "{found}");
    assert_eq!(
        signature["payload"]["optional"]["luet-cosign.repository"],
        world.registry.name(REPO),
        "{found}"
    );
    assert_eq!(signature["payload"]["optional"]["luet-cosign.tag"], "1", "{found}");
}

#[test]
fn where_the_registry_lists_referrers_no_tag_is_written_and_where_not_the_index_grows() {
    let world = World::new();
    assert_good(&world.sign(&["--format", "bundle"]));
    assert_eq!(world.registry.tags(REPO), ["1"]);
    let world = World::without_api();
    let stranger = world.attach(world.bundle("stranger").to_string().as_bytes());
    world.fallback(&[stranger]);
    let before = world.registry.manifest(REPO, &world.fallback_tag()).unwrap().1;
    assert_good(&world.sign(&["--format", "bundle"]));
    let after = world.registry.manifest(REPO, &world.fallback_tag()).unwrap().1;
    let entry =
        |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["manifests"][0].to_string();
    assert_eq!(entry(&after), entry(&before), "what others wrote stays");
    assert!(after.len() > before.len());
    world.install().assert_silent_success();
}

#[test]
fn what_lies_under_the_fallback_tag_and_is_no_index_is_not_overwritten() {
    let world = World::without_api();
    let image = world.registry.push_image(REPO, &world.fallback_tag(), &[b"in the way"]);
    let output = world.sign(&["--format", "bundle"]);
    assert_eq!(output.status.code(), Some(14), "{output:?}");
    assert_eq!(world.registry.manifest(REPO, &world.fallback_tag()).unwrap().1, image.manifest);
}

#[test]
fn an_index_that_someone_replaces_is_written_again() {
    // Another machine writes after us: our line is gone although the registry took it. It is read for
    // the third time then; the first two were before we wrote.
    let replaced = |world: &World, until: usize| {
        world.registry.rule("GET", &format!("/v2/{REPO}/manifests/sha256-*"), move |call| {
            let theirs = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": testkit::registry::INDEX,
                "manifests": [],
                "annotations": {"written": call.nth.to_string()},
            });
            (3..until).contains(&call.nth).then(|| {
                testkit::Answer::new(200)
                    .header("Content-Type", testkit::registry::INDEX)
                    .body(theirs.to_string())
            })
        });
    };
    let writes = |world: &World| {
        let is_index =
            |line: &&String| line.starts_with(&format!("PUT /v2/{REPO}/manifests/sha256-"));
        world.registry.lines().iter().filter(is_index).count()
    };
    let world = World::without_api();
    replaced(&world, 5);
    assert_good(&world.sign(&["--format", "bundle"]));
    assert_eq!(writes(&world), 3);
    world.install().assert_silent_success();
    // For ever: then it says so.
    let world = World::without_api();
    replaced(&world, usize::MAX);
    let output = world.sign(&["--format", "bundle"]);
    assert_eq!(output.status.code(), Some(20), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("replaced by others"), "{output:?}");
}

#[test]
fn what_a_kill_left_behind_is_signed_again() {
    // The manifest was written, the line in the index was not.
    let world = World::without_api();
    world.attach(world.bundle("acme").to_string().as_bytes());
    world.install().assert_refused("unsigned");
    assert_good(&world.sign(&["--format", "bundle"]));
    world.install().assert_silent_success();
}

#[test]
fn a_bundle_that_comes_back_changed_is_an_error() {
    let world = World::new();
    world.registry.rule("GET", &format!("/v2/{REPO}/blobs/*"), |call| {
        let good = call.good();
        (good.status() == 200)
            .then(|| testkit::Answer::new(200).body(vec![b'x'; good.bytes().len()]))
    });
    let output = world.sign(&["--format", "bundle"]);
    assert_eq!(output.status.code(), Some(14), "{output:?}");
}

#[test]
fn processes_of_one_machine_lose_no_bundle() {
    let world = World::without_api();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let world = &world;
            scope.spawn(move || {
                assert_good(&world.sign(&["--format", "bundle", "-a", &format!("number={number}")]))
            });
        }
    });
    let (code, found) = world.verify("acme");
    assert_eq!((code, formats_of(&found).len()), (0, 6), "{found}");
}

#[test]
fn every_image_of_an_index_gets_a_bundle_with_its_own_subject() {
    let world = World::new();
    let own = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    world.registry.push_index(REPO, "all", &[(&world.image, own)]);
    let name = world.registry.name(&format!("{REPO}:all"));
    assert_good(
        &world.plugin.run(["sign", "--key", "acme.key", "--format", "bundle", "-r", &name]),
    );
    for name in [name, world.registry.name(&format!("{REPO}@{}", world.image.digest))] {
        let key = world.plugin.path("acme.pub").display().to_string();
        assert_eq!(
            document(&world.plugin.run(["verify", "--json", "--key", &key, &name])).0,
            0,
            "{name}"
        );
    }
    let subjects: Vec<Value> = world
        .registry
        .requests()
        .iter()
        .filter(|request| request.method == "PUT" && request.target.contains("/manifests/sha256:"))
        .map(|request| {
            serde_json::from_slice::<Value>(&request.body).unwrap()["subject"]["mediaType"].clone()
        })
        .collect();
    assert_eq!(subjects, [testkit::registry::INDEX, testkit::registry::MANIFEST]);
}
