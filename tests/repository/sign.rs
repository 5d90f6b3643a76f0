//! `sign-repo`: what is signed, and above all what is not.

use super::support::{REPO, Ran, World, world};
use testkit::luet::package;
use testkit::{Answer, Gate, LuetRepository, PASSWORD, digest, layer};

impl World {
    fn sign_repo(&self, words: &[&str]) -> Ran {
        let key = self.file("acme.key");
        self.run("sign-repo", &[&["--key", key.as_str()], words].concat())
    }

    /// Pushes as luet does where signing fails: the registry has the images, and the record.
    fn push_unsigned(&mut self, tags: &[&str]) {
        self.plugin.set("LUET_COSIGN_ENGINE", "registry");
        self.plugin.set("COSIGN_KEY_LOCATION", &self.file("missing.key"));
        for tag in tags {
            let reply = self.plugin.post_push(&self.name(tag));
            reply.assert_refused("secret");
            let key = "--key \"$COSIGN_KEY_LOCATION\"";
            let command = format!("luet-cosign sign-repo {key} {}", self.repository());
            assert!(reply.error.contains(&command), "{reply:?}");
        }
        self.plugin.unset("COSIGN_KEY_LOCATION");
    }

    fn digest(&self, tag: &str) -> String {
        digest(&self.registry.manifest(REPO, tag).unwrap().1)
    }

    fn is_signed(&self, tag: &str) -> bool {
        let tag = format!("{}.sig", self.digest(tag).replace(':', "-"));
        self.registry.manifest(REPO, &tag).is_some()
    }

    /// Everything of these is signed, by what `verify-repo` says.
    #[track_caller]
    fn verifies(&self, tags: &[String]) {
        let ran = self.verify(&[]);
        for tag in tags {
            assert!(ran.line(tag).starts_with("verified "), "{}", ran.line(tag));
        }
    }

    fn writes(&self) -> usize {
        self.registry.requests().iter().filter(|request| request.method == "PUT").count()
    }
}

const METADATA: [&str; 4] =
    ["tree.tar.gz", "compilertree.tar.gz", "repository.meta.yaml.tar", "repository.yaml"];

/// Everything that a repository with a snapshot has beside its packages, in luet's order.
pub fn metadata() -> Vec<String> {
    let snapshots = METADATA.iter().map(|name| format!("20251130120000-{name}"));
    METADATA.iter().map(|name| (*name).to_owned()).chain(snapshots).collect()
}

#[test]
fn nothing_is_signed_that_nothing_vouches_for() {
    let world = world();
    LuetRepository::new(REPO, 2).publish(&world.registry);
    let ran = world.sign_repo(&[]);
    ran.exited(12);
    assert!(ran.last().ends_with("12 NOT signed (nothing vouches for 12)"), "{}", ran.last());
    assert_eq!(world.writes(), 0);
    assert!(ran.stderr().contains("--from DIR"), "{}", ran.stderr());
}

/// luet skipped the packages as present; the rest was pushed now, and its signing failed.
#[test]
fn what_was_pushed_from_here_and_what_luet_built_is_signed() {
    let mut world = world();
    let repository = LuetRepository::new(REPO, 3);
    repository.publish(&world.registry);
    repository.build(&world.plugin.path("build"));
    let metadata = metadata();
    world.push_unsigned(&metadata.iter().map(String::as_str).collect::<Vec<_>>());
    let build = world.file("build");
    let ran = world.sign_repo(&["--from", &build]);
    ran.exited(0);
    assert!(ran.last().ends_with("14 images: 14 signed, 0 signed already"), "{}", ran.last());
    world.verify(&[]).exited(0);
    // Again: nothing is written.
    let writes = world.writes();
    let ran = world.sign_repo(&["--from", &build]);
    ran.exited(0);
    assert!(ran.last().ends_with("14 images: 0 signed, 14 signed already"), "{}", ran.last());
    assert_eq!(world.writes(), writes);
    let json = world.sign_repo(&["--from", &build, "--json"]).exited(0).json();
    assert_eq!((&json["counts"]["already"], &json["index"]), (&14.into(), &"verified".into()));
}

#[test]
fn an_image_planted_over_a_package_is_not_signed() {
    let mut world = world();
    let repository = LuetRepository::new(REPO, 3);
    repository.publish(&world.registry);
    repository.build(&world.plugin.path("build"));
    let metadata = metadata();
    world.push_unsigned(&metadata.iter().map(String::as_str).collect::<Vec<_>>());
    // Something else; what was built as another package; one more file; another description.
    let files: &[(&str, &[u8])] = &[("usr/bin/p0", b"p0-test-1.0"), ("etc/evil", b"EVIL")];
    let metadata = testkit::luet::metadata_of("p0", "test", "1.1");
    let planted: [(&str, Vec<u8>); 4] = [
        ("p0-test-1.0", layer(files)),
        ("p1-test-1.0", package("p0", "p0-test-1.0")),
        ("p2-test-1.0", package("p2", "EVIL")),
        ("p0-test-1.0.metadata.yaml", layer(&[("p0-test-1.0.metadata.yaml", metadata.as_bytes())])),
    ];
    for (tag, content) in &planted {
        world.registry.push_image(REPO, tag, &[content]);
    }
    let ran = world.sign_repo(&["--from", &world.file("build")]);
    ran.exited(12);
    for (tag, _) in &planted {
        assert!(ran.line_of(tag).starts_with("NOT signed "), "{}", ran.line_of(tag));
        assert!(!world.is_signed(tag), "{tag}");
    }
    assert!(world.is_signed("p1-test-1.0.metadata.yaml"));
    assert!(ran.last().contains("10 signed, 0 signed already, 4 NOT signed"), "{}", ran.last());
}

/// An image may say that it is made of the right layers, and be made of others.
#[test]
fn a_configuration_that_names_other_layers_than_there_are_vouches_for_nothing() {
    let world = world();
    let repository = LuetRepository::new(REPO, 1);
    repository.publish(&world.registry);
    repository.build(&world.plugin.path("build"));
    let honest = world.registry.manifest(REPO, "p0-test-1.0").unwrap().1;
    let mut manifest: serde_json::Value = serde_json::from_slice(&honest).unwrap();
    let evil = package("p0", "EVIL");
    manifest["layers"][0]["digest"] = world.registry.push_blob(REPO, &evil).into();
    manifest["layers"][0]["size"] = evil.len().into();
    let bytes = manifest.to_string().into_bytes();
    world.registry.push_manifest(REPO, Some("p0-test-1.0"), testkit::registry::MANIFEST, &bytes);
    world.sign_repo(&["--from", &world.file("build")]).exited(12);
    assert!(!world.is_signed("p0-test-1.0"));
}

#[test]
fn special_rights_in_the_image_of_a_description_are_not_signed() {
    let world = world();
    let repository = LuetRepository::new(REPO, 1);
    repository.publish(&world.registry);
    repository.build(&world.plugin.path("build"));
    let name = "p0-test-1.0.metadata.yaml";
    let content = testkit::luet::metadata_of("p0", "test", "1.0");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(content.len()).unwrap());
    header.set_mode(0o4755);
    builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    world.registry.push_image(REPO, name, &[&builder.into_inner().unwrap()]);
    world.sign_repo(&["--from", &world.file("build")]).exited(12);
    assert!(!world.is_signed(name));
    assert!(world.is_signed("p0-test-1.0"));
}

#[test]
fn what_was_pushed_last_counts_and_nothing_that_was_pushed_before() {
    let mut world = world();
    LuetRepository::new(REPO, 1).publish(&world.registry);
    let old = world.digest("p0-test-1.0");
    world.push_unsigned(&["p0-test-1.0"]);
    world.registry.push_image(REPO, "p0-test-1.0", &[&package("p0", "newer")]);
    world.push_unsigned(&["p0-test-1.0"]);
    // Someone moves the tag back to what was once pushed from here.
    let new = world.digest("p0-test-1.0");
    world.registry.tag(REPO, "p0-test-1.0", &old);
    let ran = world.sign_repo(&[]);
    ran.exited(12);
    assert!(ran.line_of("p0-test-1.0").contains("pushed from here last is something else"));
    assert!(!world.is_signed("p0-test-1.0"));
    world.registry.tag(REPO, "p0-test-1.0", &new);
    let ran = world.sign_repo(&[]);
    ran.exited(12);
    assert!(ran.line_of("p0-test-1.0").starts_with("signed "));
}

#[test]
fn another_user_s_or_machine_s_record_is_not_here() {
    let mut world = world();
    LuetRepository::new(REPO, 1).publish(&world.registry);
    world.push_unsigned(&["p0-test-1.0"]);
    world.plugin.set("LUET_COSIGN_STATE", &world.file("other/luet-cosign"));
    std::fs::create_dir(world.plugin.path("other")).unwrap();
    world.sign_repo(&[]).exited(12);
    assert!(!world.is_signed("p0-test-1.0"));
}

#[test]
fn the_registry_is_trusted_only_where_that_is_said_and_after_it_was_listed() {
    let world = world();
    let tags = LuetRepository::new(REPO, 1).publish(&world.registry);
    let ran = world.sign_repo(&["--trust-registry"]);
    ran.exited(0);
    let text = ran.stdout();
    let listed: Vec<usize> = text.match_indices("to sign ").map(|(at, _)| at).collect();
    let signed = text.find("\nsigned ").unwrap();
    assert_eq!(listed.len(), tags.len());
    assert!(listed.iter().all(|at| *at < signed), "{text}");
    for tag in &tags {
        let digest = world.digest(tag);
        let line = text.lines().find(|line| line.starts_with("to sign") && line.contains(&digest));
        assert!(line.is_some_and(|line| line.contains("nothing vouches for it")), "{tag}: {text}");
    }
    assert_eq!(text.matches("nothing vouched for it (--trust-registry)").count(), tags.len());
    world.verify(&[]).exited(0);
}

/// What was listed is signed, not what took its place meanwhile.
#[test]
fn exactly_the_digests_that_were_listed_are_signed() {
    let world = world();
    LuetRepository::new(REPO, 1).publish(&world.registry);
    let listed = world.digest("p0-test-1.0");
    let evil = world.registry.push_image("other", "x", &[&package("p0", "EVIL")]);
    world.registry.push_manifest(REPO, None, testkit::registry::MANIFEST, &evil.manifest);
    let moved = evil.digest.clone();
    // From the second time on, the tag is another image.
    let bytes = evil.manifest.clone();
    world.registry.rule("GET", "/v2/acme/packages/manifests/p0-test-1.0", move |call| {
        (call.nth > 2).then(|| {
            Answer::new(200).header("Content-Type", testkit::registry::MANIFEST).body(bytes.clone())
        })
    });
    world.sign_repo(&["--trust-registry"]);
    let signatures = |digest: &str| format!("{}.sig", digest.replace(':', "-"));
    assert!(world.registry.manifest(REPO, &signatures(&listed)).is_some());
    assert!(world.registry.manifest(REPO, &signatures(&moved)).is_none());
}

#[test]
fn a_signature_for_another_tag_or_by_another_is_not_enough() {
    let world = world();
    let repository = LuetRepository::new(REPO, 2);
    repository.publish(&world.registry);
    repository.build(&world.plugin.path("build"));
    world.sign("stranger.key", &["p0-test-1.0".to_owned()]);
    let output = world.plugin.run([
        "sign",
        "--key",
        &world.file("acme.key"),
        &format!("{}@{}", world.repository(), world.digest("p1-test-1.0")),
    ]);
    assert!(output.status.success());
    let ran = world.sign_repo(&["--from", &world.file("build")]);
    ran.exited(12);
    assert!(ran.line_of("p0-test-1.0").starts_with("signed "));
    assert!(ran.line_of("p1-test-1.0").starts_with("signed "), "it named no tag");
}

#[test]
fn images_of_one_content_are_signed_at_once_for_each_of_their_tags() {
    let mut world = world();
    let mut repository = LuetRepository::new(REPO, 12);
    repository.snapshot.clear();
    repository.publish(&world.registry);
    let digest = world.digest("p0-test-1.0");
    for number in 1..12 {
        world.registry.tag(REPO, &format!("p{number}-test-1.0"), &digest);
    }
    let tags: Vec<String> = (0..12).map(|number| format!("p{number}-test-1.0")).collect();
    world.push_unsigned(&tags.iter().map(String::as_str).collect::<Vec<_>>());
    let ran = world.sign_repo(&["--jobs", "8"]);
    for tag in &tags {
        assert!(ran.line_of(tag).starts_with("signed "), "{}", ran.line_of(tag));
    }
    world.verifies(&tags);
}

#[test]
fn a_run_that_was_killed_is_run_again() {
    let world = world();
    let repository = LuetRepository::new(REPO, 6);
    repository.publish(&world.registry);
    repository.build(&world.plugin.path("build"));
    // From the fourth signature on, the registry answers nothing.
    let gate = Gate::default();
    let held = gate.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    world.registry.rule("PUT", "/v2/acme/packages/manifests/*.sig", move |call| {
        (call.nth > 3).then(|| {
            // Later ones tell nobody.
            let _ = tell.lock().unwrap().send(());
            call.good().hold(&held)
        })
    });
    let mut command = world.plugin.raw();
    command.args(["sign-repo", "--jobs", "1", "--key", &world.file("acme.key"), "--from"]);
    command.arg(world.plugin.path("build")).arg(world.repository());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    told.recv().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    let ran = world.sign_repo(&["--from", &world.file("build")]);
    ran.exited(12);
    let packages: Vec<String> = (0..6)
        .flat_map(|n| [format!("p{n}-test-1.0"), format!("p{n}-test-1.0.metadata.yaml")])
        .collect();
    let already = packages.iter().filter(|tag| ran.line_of(tag).starts_with("already ")).count();
    assert!((3..=4).contains(&already), "{already}: {}", ran.stdout());
    assert!(packages.iter().all(|tag| world.is_signed(tag)));
    world.verifies(&packages);
}

#[test]
fn where_it_is_not_known_whether_it_is_signed_nothing_is_written() {
    let world = world();
    let repository = LuetRepository::new(REPO, 1);
    repository.publish(&world.registry);
    repository.build(&world.plugin.path("build"));
    world.registry.always("GET", "/v2/acme/packages/referrers/*", Answer::error(403, "DENIED"));
    let ran = world.sign_repo(&["--from", &world.file("build")]);
    ran.exited(12);
    assert!(ran.line_of("p0-test-1.0").contains("auth: "), "{}", ran.line_of("p0-test-1.0"));
    assert_eq!(world.writes(), 0);
}

#[test]
fn a_folder_that_luet_did_not_build_into_is_said() {
    let world = world();
    std::fs::create_dir(world.plugin.path("empty")).unwrap();
    for folder in ["empty", "missing"] {
        world.sign_repo(&["--from", &world.file(folder)]).exited(2);
    }
    world.sign_repo(&["--from", &world.file("empty"), "--trust-registry"]).exited(2);
}

#[test]
fn no_secret_is_shown() {
    let mut world = world();
    let repository = LuetRepository::new(REPO, 1);
    repository.publish(&world.registry);
    repository.build(&world.plugin.path("build"));
    world.push_unsigned(&["repository.yaml"]);
    let ran = world.sign_repo(&["--from", &world.file("build"), "--progress"]);
    let all = ran.stdout() + &ran.stderr();
    assert!(!all.contains(PASSWORD), "{all}");
    let mut folders = vec![world.plugin.path("state")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                assert!(!String::from_utf8_lossy(&bytes).contains(PASSWORD), "{}", path.display());
            }
        }
    }
}
