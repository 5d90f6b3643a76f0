//! What is unpacked is what was verified: the post event at the real binary, against a registry in
//! this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use luet_cosign::limits::UNPROVEN_ENTRIES;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use testkit::{Answer, Image, PASSWORD, Plugin, Reply, TestRegistry, layer, unpack};

const REPO: &str = "acme/packages";

fn pair() -> &'static (String, String) {
    static PAIR: OnceLock<(String, String)> = OnceLock::new();
    PAIR.get_or_init(|| {
        let pair = luet_cosign::trust::PrivateKey::generate(PASSWORD.as_bytes()).unwrap();
        (pair.private_pem.to_string(), pair.public_pem)
    })
}

struct World {
    registry: TestRegistry,
    plugin: Plugin,
    dests: std::cell::Cell<usize>,
}

fn world() -> World {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    let private = plugin.write("acme.key", &pair().0).display().to_string();
    let public = plugin.write("acme.pub", &pair().1).display().to_string();
    let plugin = plugin
        .env("COSIGN_KEY_LOCATION", &private)
        .env("COSIGN_PASSWORD", PASSWORD)
        .env("LUET_COSIGN_ENGINE", "registry")
        .env("COSIGN_PUBLIC_KEY_LOCATION", &public);
    World { registry: TestRegistry::start(), plugin, dests: std::cell::Cell::new(0) }
}

impl World {
    fn push(&self, tag: &str, layers: &[&[u8]]) -> Image {
        self.registry.push_image(REPO, tag, layers)
    }

    /// Pushes and signs as our own signer does, with its claims.
    fn signed(&self, tag: &str, layers: &[&[u8]]) -> Image {
        let image = self.push(tag, layers);
        assert_eq!(self.plugin.post_push(&self.name(tag)).error, "");
        image
    }

    /// Pushes, and signs as cosign does: no claims.
    fn signed_by_cosign(&self, tag: &str, layers: &[&[u8]]) -> Image {
        let image = self.push(tag, layers);
        let payload = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{}"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            self.registry.name(REPO),
            image.digest
        );
        let key =
            luet_cosign::trust::PrivateKey::open(pair().0.as_bytes(), PASSWORD.as_bytes()).unwrap();
        let signature = key.sign(payload.as_bytes()).unwrap();
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, signature);
        let annotations = vec![("dev.cosignproject.cosign/signature".to_owned(), encoded)];
        self.registry.push_signatures(
            REPO,
            &image.digest,
            &[testkit::Signature { payload: payload.into_bytes(), annotations }],
        );
        image
    }

    fn name(&self, tag: &str) -> String {
        self.registry.name(&format!("{REPO}:{tag}"))
    }

    fn dest(&self) -> PathBuf {
        self.dests.set(self.dests.get() + 1);
        self.plugin.dest(&format!("dest{}", self.dests.get()))
    }

    fn before(&self, tag: &str, dest: &Path) {
        assert_eq!(self.plugin.pre_unpack(&self.name(tag), dest).error, "");
    }

    fn after(&self, tag: &str, dest: &Path) -> Reply {
        self.plugin.post_unpack(&self.name(tag), dest)
    }
}

/// What luet's configuration says of one repository with these addresses.
fn luet_repository(urls: &[String]) -> String {
    format!(
        "repos_confdir: []\nrepositories: [{{name: acme, type: docker, enable: true, urls: {urls:?}}}]\n"
    )
}

/// Copies a tag with its signature to another repository of the same server.
fn mirror(world: &World, image: &Image, from: &str, to: &str) {
    let sig = format!("{}.sig", image.digest.replace(':', "-"));
    for tag in [from, sig.as_str()] {
        let (media_type, bytes) = world.registry.manifest(REPO, tag).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
        for digest in layers.map(|layer| layer["digest"].as_str().unwrap()) {
            world.registry.push_blob(to, &world.registry.blob(REPO, digest).unwrap());
        }
        world.registry.push_manifest(to, Some(tag), &media_type, &bytes);
    }
}

#[test]
fn the_addresses_of_one_repository_of_luet_are_mirrors_and_no_others() {
    let world = world();
    let image = world.signed("tool-1.0", &[&files()]);
    let (mirrored, other) = ("mirror/packages", "other/packages");
    mirror(&world, &image, "tool-1.0", mirrored);
    mirror(&world, &image, "tool-1.0", other);
    // The attack: another tag of the mirror is the same image.
    world.registry.tag(mirrored, "tool-0.9", &image.digest);
    let name = |repository: &str, tag: &str| world.registry.name(&format!("{repository}:{tag}"));
    let class = |image: &str| world.plugin.pre_unpack(image, &world.dest()).class().to_owned();
    let all = || {
        [name(mirrored, "tool-1.0"), name(mirrored, "tool-0.9"), name(other, "tool-1.0")]
            .map(|image| class(&image))
    };
    assert_eq!(all(), ["binding", "binding", "binding"], "nothing says that it is a mirror");

    let urls = [world.registry.name(REPO), world.registry.name(mirrored)];
    world.plugin.write(".luet.yaml", luet_repository(&urls));
    assert_eq!(all(), ["", "binding", "binding"], "luet's configuration names two of them");
    // The whole way, and the memory is one.
    let dest = world.dest();
    let mirrored_name = name(mirrored, "tool-1.0");
    world.plugin.pre_unpack(&mirrored_name, &dest).assert_silent_success();
    unpack(&files(), &dest);
    world.plugin.post_unpack(&mirrored_name, &dest).assert_silent_success();

    // A writer of the file must not say for which names a signature is good.
    let path = world.plugin.path(".luet.yaml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(all(), ["binding", "binding", "binding"], "others can write the configuration");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();

    // With a policy file luet's configuration says nothing, and `lint` what to write.
    let rules = format!(
        "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\nsigners: {{acme: {{key_env: COSIGN_PUBLIC_KEY_LOCATION}}}}\nrepositories:\n  - {{name: r, scope: [{:?}, {:?}], trust: [acme]}}\n",
        urls[0], urls[1]
    );
    let policy = world.plugin.write("policy.yaml", &rules);
    let mut world = world;
    world.plugin.set("LUET_COSIGN_POLICY", policy.to_str().unwrap());
    let refused = world.plugin.pre_unpack(&mirrored_name, &world.dest());
    refused.assert_refused("binding");
    let lint = world.plugin.run(["policy", "lint"]);
    let said =
        String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
    assert!(said.contains("[missing-mirror]"), "{said}");
    let pasted = said.split('`').find(|word| word.starts_with("mirrors: [[")).unwrap();
    // The refusal says the same, and followed word for word both help.
    let hint = refused.error.split('`').find(|word| word.starts_with("mirrors: [[")).unwrap();
    for line in [pasted, hint] {
        world.plugin.write("policy.yaml", format!("{rules}{line}\n"));
        let dest = world.dest();
        world.plugin.pre_unpack(&mirrored_name, &dest).assert_silent_success();
        let said = world.plugin.run(["policy", "lint"]);
        assert!(!String::from_utf8_lossy(&said.stdout).contains("missing-mirror"), "{said:?}");
        world
            .plugin
            .pre_unpack(&world.registry.name(&format!("{mirrored}:tool-0.9")), &world.dest())
            .assert_refused("binding");
    }
}

#[test]
fn a_variable_that_a_policy_reads_is_in_use() {
    let mut world = world();
    let image = world.signed("tool-1.0", &[&files()]);
    assert_eq!(image.layers.len(), 1);
    let printed = world.plugin.run(["policy", "from-env"]);
    let policy = world.plugin.write("policy.yaml", &printed.stdout);
    world.plugin.set("LUET_COSIGN_POLICY", policy.to_str().unwrap());
    world.plugin.set("COSIGN_EXPERIMENTAL", "1");
    let check = world.plugin.run(["check", &world.name("tool-1.0")]);
    assert!(check.status.success(), "{check:?}");
    let doctor = world.plugin.run(["doctor"]);
    let ignored = |text: &[u8], variable: &str| {
        let text = String::from_utf8_lossy(text).into_owned();
        text.lines().any(|line| {
            line.contains(variable) && (line.contains("no effect") || line.contains("decides"))
        })
    };
    for text in [&check.stderr, &doctor.stdout] {
        assert!(!ignored(text, "COSIGN_PUBLIC_KEY_LOCATION"), "{check:?} {doctor:?}");
        assert!(ignored(text, "COSIGN_EXPERIMENTAL"), "{check:?} {doctor:?}");
    }
    // A key in a variable of any name is in use as well.
    let key = std::fs::read_to_string(world.plugin.path("acme.pub")).unwrap();
    world.plugin.set("COSIGN_MY_KEY", &key);
    world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", "env://COSIGN_MY_KEY");
    world.plugin.set("LUET_COSIGN_POLICY", "");
    world.plugin.unset("COSIGN_EXPERIMENTAL");
    let doctor = world.plugin.run(["doctor"]);
    assert!(!String::from_utf8_lossy(&doctor.stdout).contains("COSIGN_MY_KEY"), "{doctor:?}");
}

#[test]
fn the_hint_about_a_token_service_elsewhere_works_word_for_word() {
    use testkit::{Auth, Options, Server};
    let mut world = world();
    // Tokens are handed out under another name, as by a GitLab of one's own.
    let issuer = Server::start(|request| match request.header("authorization") {
        Some(_) => Answer::new(200).json(r#"{"token":"good"}"#),
        None => Answer::error(401, "UNAUTHORIZED"),
    });
    let at = format!("localhost:{}", issuer.address().port());
    let registry = TestRegistry::with(Options { auth: Auth::None, ..Options::default() });
    registry.push_image(REPO, "tool-1.0", &[&files()]);
    let challenge = format!("Bearer realm=\"http://{at}/token\",service=\"s\"");
    registry.rule("*", "*", move |call| match call.request.header("authorization") {
        Some("Bearer good") => None,
        _ => Some(Answer::error(401, "UNAUTHORIZED").header("WWW-Authenticate", &challenge)),
    });
    std::fs::create_dir(world.plugin.path("home/.docker")).unwrap();
    let entry = serde_json::json!({"auths": {registry.host(): {"username": "u", "password": "p"}}});
    world.plugin.write("home/.docker/config.json", entry.to_string());
    let check = |world: &World| {
        let output = world.plugin.run(["check", &registry.name(&format!("{REPO}:tool-1.0"))]);
        String::from_utf8(output.stdout).unwrap()
    };
    let refused = check(&world);
    assert!(refused.contains("auth: ") && issuer.requests().is_empty(), "{refused}");
    let variable = refused.split("name it: ").nth(1).unwrap().split(',').next().unwrap();
    let (name, value) = variable.split_once('=').unwrap();
    assert_eq!(name, "LUET_COSIGN_AUTH_HOSTS");
    world.plugin.set(name, value);
    assert!(check(&world).contains("unsigned: "), "{}", check(&world));
    world.plugin.unset(name);
    // The line for a policy file.
    let printed = String::from_utf8(world.plugin.run(["policy", "from-env"]).stdout).unwrap();
    let line = refused.split('`').find(|word| word.starts_with("registries: [{")).unwrap();
    let policy = world.plugin.write("policy.yaml", format!("{printed}{line}\n"));
    world.plugin.set("LUET_COSIGN_POLICY", policy.to_str().unwrap());
    assert!(check(&world).contains("unsigned: "), "{}", check(&world));
    // What is not a pair is said at once.
    world.plugin.set("LUET_COSIGN_POLICY", "");
    world.plugin.set("LUET_COSIGN_AUTH_HOSTS", "registry.lan");
    let output = world.plugin.run(["check", "x"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_hole_in_a_fallback_index_does_not_stop_the_next_signature_and_is_fixed() {
    for strict in [false, true] {
        let mut world = world();
        world.registry = TestRegistry::with(testkit::Options {
            referrers: false,
            ..testkit::Options::default()
        });
        let image = world.push("tool-1.0", &[&files()]);
        let gone = testkit::digest(b"gone");
        let hole = [(gone.as_str(), 100)];
        world.registry.push_fallback(REPO, &image.digest, &hole);
        if strict {
            // As docker-registry: it takes no index of what it has not.
            let gone = gone.clone();
            let pattern = format!("/v2/{REPO}/manifests/{}", image.digest.replace(':', "-"));
            world.registry.rule("PUT", &pattern, move |call| {
                let sent = String::from_utf8_lossy(&call.request.body).contains(&gone);
                sent.then(|| Answer::error(404, "MANIFEST_BLOB_UNKNOWN"))
            });
        }
        let key = world.plugin.path("acme.key").display().to_string();
        let name = world.name("tool-1.0");
        let sign = world.plugin.run(["sign", "--key", &key, "--format", "bundle", &name]);
        assert!(sign.status.success(), "{strict}: {sign:?}");
        let index = world.registry.manifest(REPO, &image.digest.replace(':', "-")).unwrap().1;
        assert!(!String::from_utf8_lossy(&index).contains(&gone), "{strict}");
        let public = world.plugin.path("acme.pub").display().to_string();
        let verify = world.plugin.run(["verify", "--key", &public, &name]);
        assert!(verify.status.success(), "{strict}: {verify:?}");
    }
}

fn files() -> Vec<u8> {
    layer(&[("usr/bin/tool", b"a tool"), ("etc/tool.conf", b"x = 1"), ("usr/lib/empty", b"")])
}

#[test]
fn the_tree_that_our_signer_claims_is_checked_without_a_request() {
    let world = world();
    world.signed("a", &[&files()]);
    let dest = world.dest();
    world.before("a", &dest);
    unpack(&files(), &dest);
    let requests = world.registry.requests().len();
    world.after("a", &dest).assert_silent_success();
    assert_eq!(world.registry.requests().len(), requests);
}

#[test]
fn what_cosign_signed_is_checked_by_its_layers() {
    let world = world();
    world.signed_by_cosign("a", &[&files()]);
    let dest = world.dest();
    world.before("a", &dest);
    unpack(&files(), &dest);
    let requests = world.registry.requests().len();
    world.after("a", &dest).assert_silent_success();
    assert_eq!(world.registry.requests().len(), requests + 2, "the manifest and the layer");
}

/// Something that is done to an unpacked image, and the path that the refusal must name.
type Change = (&'static str, fn(&Path), &'static str);

const CHANGES: &[Change] = &[
    (
        "an extra file",
        |dest| std::fs::write(dest.join("usr/bin/extra"), "x").unwrap(),
        "usr/bin/extra",
    ),
    ("an extra hidden file", |dest| std::fs::write(dest.join(".x"), "x").unwrap(), ".x"),
    ("an extra directory", |dest| std::fs::create_dir(dest.join("new")).unwrap(), "new"),
    (
        "a changed file",
        |dest| std::fs::write(dest.join("usr/bin/tool"), "a t00l").unwrap(),
        "usr/bin/tool",
    ),
    (
        "a longer file",
        |dest| std::fs::write(dest.join("usr/bin/tool"), "a tool and more").unwrap(),
        "usr/bin/tool",
    ),
    (
        "a missing file",
        |dest| std::fs::remove_file(dest.join("etc/tool.conf")).unwrap(),
        "etc/tool.conf",
    ),
    (
        "a missing empty file",
        |dest| std::fs::remove_file(dest.join("usr/lib/empty")).unwrap(),
        "usr/lib/empty",
    ),
    ("another mode", |dest| mode(&dest.join("usr/bin/tool"), 0o755), "usr/bin/tool"),
    ("setuid", |dest| mode(&dest.join("usr/bin/tool"), 0o4644), "usr/bin/tool"),
    ("another mode of a directory", |dest| mode(&dest.join("etc"), 0o777), "etc"),
    ("a link for a file", |dest| link(&dest.join("usr/bin/tool"), "/bin/sh"), "usr/bin/tool"),
    (
        "a link for a directory",
        |dest| {
            std::fs::remove_dir_all(dest.join("etc")).unwrap();
            symlink("/etc", dest.join("etc")).unwrap();
        },
        "etc",
    ),
    (
        "a pipe for a file",
        |dest| {
            std::fs::remove_file(dest.join("usr/bin/tool")).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                dest.join("usr/bin/tool"),
                rustix::fs::FileType::Fifo,
                mode,
                0,
            )
            .unwrap();
        },
        "usr/bin/tool",
    ),
];

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn link(path: &Path, target: &str) {
    std::fs::remove_file(path).unwrap();
    symlink(target, path).unwrap();
}

#[test]
fn every_change_is_found_named_and_emptied_away() {
    let world = world();
    world.signed("ours", &[&files()]);
    world.signed_by_cosign("theirs", &[&files()]);
    for tag in ["ours", "theirs"] {
        for (what, change, path) in CHANGES {
            let dest = world.dest();
            world.before(tag, &dest);
            unpack(&files(), &dest);
            change(&dest);
            let reply = world.after(tag, &dest);
            reply.assert_refused("tree");
            assert!(reply.error.contains(&format!("`{path}`")), "{tag}, {what}: {reply:?}");
            assert_eq!(std::fs::read_dir(&dest).unwrap().count(), 0, "{tag}, {what}");
        }
    }
    assert!(Path::new("/etc/passwd").exists(), "no link was followed");
}

#[test]
fn what_was_there_before_is_left_out_and_left_alone() {
    let world = world();
    world.signed("a", &[&files()]);
    let dest = world.dest();
    std::fs::create_dir_all(dest.join("lost+found")).unwrap();
    std::fs::create_dir_all(dest.join("home/user")).unwrap();
    std::fs::write(dest.join("home/user/letter"), "dear").unwrap();
    world.before("a", &dest);
    unpack(&files(), &dest);
    world.after("a", &dest).assert_silent_success();
    // A second image into the same directory: what is there now was there before.
    world.signed("b", &[&layer(&[("opt/b", b"b")])]);
    world.before("b", &dest);
    unpack(&layer(&[("opt/b", b"b")]), &dest);
    std::fs::write(dest.join("opt/evil"), "x").unwrap();
    let reply = world.after("b", &dest);
    reply.assert_refused("tree");
    assert!(
        reply.error.contains("opt/evil") && reply.error.contains("was not empty before"),
        "{reply:?}"
    );
    assert_eq!(std::fs::read_to_string(dest.join("home/user/letter")).unwrap(), "dear");
}

/// Something that other layer bytes do to what was there before, and the path that the refusal must
/// name.
const INTRUSIONS: &[Change] = &[
    ("a mode", |dest| mode(&dest.join("home"), 0o777), "home"),
    ("setgid", |dest| mode(&dest.join("home"), 0o2700), "home"),
    ("a file's mode", |dest| mode(&dest.join("home/letter"), 0o666), "home/letter"),
    (
        "a file that goes away",
        |dest| std::fs::remove_file(dest.join("home/letter")).unwrap(),
        "home/letter",
    ),
    ("another file", |dest| link(&dest.join("home/letter"), "/etc/shadow"), "home/letter"),
    (
        "another name",
        |dest| std::fs::hard_link(dest.join("home/letter"), dest.join("usr/bin/x")).unwrap(),
        "home/letter",
    ),
];

#[test]
fn what_was_there_before_may_not_be_changed_by_the_image() {
    let world = world();
    world.signed("ours", &[&files()]);
    world.signed_by_cosign("theirs", &[&files()]);
    for tag in ["ours", "theirs"] {
        for (what, change, path) in INTRUSIONS {
            let dest = world.dest();
            std::fs::create_dir(dest.join("home")).unwrap();
            mode(&dest.join("home"), 0o700);
            std::fs::write(dest.join("home/letter"), "dear").unwrap();
            world.before(tag, &dest);
            unpack(&files(), &dest);
            change(&dest);
            let reply = world.after(tag, &dest);
            reply.assert_refused("tree");
            assert!(reply.error.contains(&format!("`{path}`")), "{tag}, {what}: {reply:?}");
            assert!(dest.join("home").exists(), "{tag}, {what}: it was not empty, so it is left");
        }
    }
}

#[test]
fn a_log_that_grows_meanwhile_is_reported_and_nothing_else() {
    let world = world();
    world.signed("a", &[&files()]);
    let dest = world.dest();
    std::fs::write(dest.join("log"), "1\n").unwrap();
    world.before("a", &dest);
    unpack(&files(), &dest);
    std::fs::write(dest.join("log"), "1\n2\n").unwrap();
    let reply = world.after("a", &dest);
    assert!(reply.error.is_empty(), "{reply:?}");
    assert!(reply.state.contains("another process wrote to `log`"), "{reply:?}");
}

#[test]
fn what_a_failed_mirror_left_is_not_what_was_there_before() {
    let world = world();
    world.signed("a", &[&files()]);
    let dest = world.dest();
    // The first mirror writes an evil file and breaks off; the host asks again for the second, in
    // the same directory.
    world.before("a", &dest);
    std::fs::write(dest.join("evil"), "x").unwrap();
    world.before("a", &dest);
    unpack(&files(), &dest);
    let reply = world.after("a", &dest);
    reply.assert_refused("tree");
    assert!(reply.error.contains("`evil`"), "{reply:?}");
}

#[test]
fn a_tag_that_moves_after_the_pre_event_harms_nothing() {
    let world = world();
    world.signed("a", &[&files()]);
    let dest = world.dest();
    world.before("a", &dest);
    world.push("a", &[&layer(&[("new", b"new")])]);
    unpack(&files(), &dest);
    world.after("a", &dest).assert_silent_success();
}

#[test]
fn other_layer_bytes_under_the_right_manifest_are_refused() {
    let world = world();
    let image = world.signed_by_cosign("a", &[&files()]);
    let evil =
        layer(&[("usr/bin/tool", b"evil!!"), ("etc/tool.conf", b"x = 1"), ("usr/lib/empty", b"")]);
    // To the host and to us.
    let bytes = evil.clone();
    world.registry.rule("GET", &format!("/v2/{REPO}/blobs/{}", image.layers[0]), move |_| {
        Some(Answer::new(200).body(bytes.clone()))
    });
    let dest = world.dest();
    world.before("a", &dest);
    unpack(&evil, &dest);
    world.after("a", &dest).assert_refused("digest");
    assert_eq!(std::fs::read_dir(&dest).unwrap().count(), 0);
}

#[test]
fn a_layer_without_its_directories_fits_among_directories_that_are_there() {
    let bytes = layer(&[("usr/bin/tool", b"a tool")]);
    let world = world();
    world.signed("ours", &[&bytes]);
    world.signed_by_cosign("theirs", &[&bytes]);
    for tag in ["ours", "theirs"] {
        for there in ["", "usr", "usr/bin"] {
            let dest = world.dest();
            std::fs::create_dir_all(dest.join(there)).unwrap();
            world.before(tag, &dest);
            unpack(&bytes, &dest);
            assert_eq!(world.after(tag, &dest).error, "", "{tag}, `{there}` was there");
        }
    }
}

/// V24: luet takes a directory in /tmp that is there, regardless of its owner.
#[test]
fn a_directory_that_another_user_can_replace_is_refused_before_anything_is_unpacked() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = world();
    world.signed("a", &[&files()]);
    let shared = tempfile::tempdir().unwrap();
    mode(shared.path(), 0o1777);
    let base = shared.path().join("tmpluet");
    let dest = base.join("tree1840");
    std::fs::create_dir_all(&dest).unwrap();
    world.plugin.pre_unpack(&world.name("a"), &dest).assert_silent_success();
    std::os::unix::fs::chown(&base, Some(12345), Some(12345)).unwrap();
    world.plugin.pre_unpack(&world.name("a"), &dest).assert_refused("state");
}

/// V07: until its last byte a layer may be anyone's, so it gets little room; one that was signed
/// gets what it needs.
#[test]
fn a_layer_of_very_many_entries_is_streamed_once_more() {
    let world = world();
    let names: Vec<String> = (0..=UNPROVEN_ENTRIES).map(|number| format!("f{number}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let image = world.signed("a", &[&layer(&files)]);
    let blob = format!("GET /v2/{REPO}/blobs/{}", image.layers[0]);
    assert_eq!(world.registry.lines().iter().filter(|line| **line == blob).count(), 2);
}

#[test]
fn a_registry_that_is_gone_is_a_refusal_that_says_so() {
    let world = world();
    world.signed_by_cosign("a", &[&files()]);
    let dest = world.dest();
    world.before("a", &dest);
    unpack(&files(), &dest);
    world.registry.always("GET", &format!("/v2/{REPO}/blobs/*"), Answer::new(403));
    world.after("a", &dest).assert_refused("auth");
}

#[test]
fn both_flattenings_are_accepted_and_nothing_between() {
    let world = world();
    let lower = layer(&[("d/old", b"old"), ("keep", b"k")]);
    let upper = layer(&[("d/.wh..wh..opq", b""), ("d/new", b"new")]);
    world.signed("a", &[&lower, &upper]);
    let host = layer(&[("d/old", b"old"), ("keep", b"k"), ("d/new", b"new")]);
    let oci = layer(&[("keep", b"k"), ("d/new", b"new")]);
    let neither = layer(&[("d/old", b"old"), ("keep", b"k")]);
    for (tree, refused) in [(host, None), (oci, None), (neither, Some("tree"))] {
        let dest = world.dest();
        world.before("a", &dest);
        unpack(&tree, &dest);
        let reply = world.after("a", &dest);
        match refused {
            None => assert_eq!(reply.error, ""),
            Some(class) => reply.assert_refused(class),
        }
    }
}

#[test]
fn an_image_that_is_allowed_unsigned_is_not_compared() {
    let mut world = world();
    world.push("a", &[&files()]);
    world.plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", &world.registry.name(REPO));
    let dest = world.dest();
    world.before("a", &dest);
    std::fs::write(dest.join("anything"), "x").unwrap();
    assert_eq!(world.after("a", &dest).error, "");
}

impl World {
    fn policy(&mut self, rule: &str) {
        let text = format!(
            "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\nsigners: {{acme: {{key: acme.pub}}}}\nrepositories:\n- {{name: acme, scope: {}, trust: [acme], {rule}}}\n",
            self.registry.name(REPO)
        );
        let path = self.plugin.write("policy.yaml", text).display().to_string();
        self.plugin.set("LUET_COSIGN_POLICY", &path);
    }

    /// Both events with the unpacking between them; what the first of them to speak says.
    fn install(&self, tag: &str, content: &[u8]) -> Reply {
        let dest = self.dest();
        let before = self.plugin.pre_unpack(&self.name(tag), &dest);
        if !before.error.is_empty() || !before.state.is_empty() {
            return before;
        }
        unpack(content, &dest);
        self.after(tag, &dest)
    }

    fn unsign(&self, image: &Image) {
        self.registry.remove_tag(REPO, &format!("{}.sig", image.digest.replace(':', "-")));
    }
}

#[test]
fn a_repository_that_goes_back_is_warned_about_or_denied() {
    let mut world = world();
    let description = |revision: &str| {
        layer(&[(
            "repository.yaml",
            format!("name: acme\nrevision: {revision}\nindex: []\n").as_bytes(),
        )])
    };
    let (old, new) = (description("7"), description("12"));
    let old_image = world.signed("repository.yaml", &[&old]);
    let new_image = world.signed("repository.yaml", &[&new]);
    world.install("repository.yaml", &new).assert_silent_success();
    world.registry.tag(REPO, "repository.yaml", &old_image.digest);
    let reply = world.install("repository.yaml", &old);
    assert!(
        reply.error.is_empty()
            && reply.state.contains("revision 7")
            && reply.state.contains("revision 12"),
        "{reply:?}"
    );
    // What went back and was let pass is not the measure for the next: the highest stays it.
    let reply = world.install("repository.yaml", &old);
    assert!(reply.error.is_empty() && reply.state.contains("revision 12"), "{reply:?}");
    world.registry.tag(REPO, "repository.yaml", &new_image.digest);
    world.install("repository.yaml", &new).assert_silent_success();
    world.registry.tag(REPO, "repository.yaml", &old_image.digest);
    world.policy("rollback: deny");
    world.install("repository.yaml", &old).assert_refused("rollback");
    let forgotten = world.plugin.run(["seen", "forget", &world.name("repository.yaml")]);
    assert!(forgotten.status.success());
    world.install("repository.yaml", &old).assert_silent_success();
    // A description whose revision cannot be read says nothing that could be compared.
    let broken = description("x");
    world.signed("repository.yaml", &[&broken]);
    world.install("repository.yaml", &broken).assert_refused("malformed");
}

#[test]
fn a_signed_image_under_another_tag_is_refused_where_its_signer_binds() {
    let mut world = world();
    let ours = world.signed("yip-1.0", &[&files()]);
    world.registry.tag(REPO, "other-1.0", &ours.digest);
    world.install("other-1.0", &files()).assert_refused("binding");
    world.policy("bind_tag: off");
    world.install("other-1.0", &files()).assert_silent_success();
    // cosign does not bind: such a signature counts, until the signer is known to bind or is
    // required to.
    let content = layer(&[("b", b"b")]);
    world.signed_by_cosign("cosigned", &[&content]);
    world.policy("bind_tag: required");
    world.install("cosigned", &content).assert_refused("binding");
}

#[test]
fn an_older_signature_without_claims_does_not_win_over_a_signer_that_binds() {
    let world = world();
    world.signed("yip-1.0", &[&files()]);
    let content = layer(&[("b", b"b")]);
    world.signed_by_cosign("yip-0.9", &[&content]);
    world.install("yip-0.9", &content).assert_silent_success();
    world.install("yip-1.0", &files()).assert_silent_success();
    world.install("yip-0.9", &content).assert_refused("binding");
}

#[test]
fn what_was_verified_here_before_may_not_become_unsigned() {
    let mut world = world();
    let image = world.signed("yip-1.0", &[&files()]);
    let other = world.push("never", &[&layer(&[("n", b"n")])]);
    world.policy("unsigned: allow, reason: r");
    world.install("yip-1.0", &files()).assert_silent_success();
    world.unsign(&image);
    world.install("yip-1.0", &files()).assert_refused("rollback");
    let reply = world.install("never", &layer(&[("n", b"n")]));
    assert_eq!(reply.error, "", "{other:?}");
    assert!(world.plugin.run(["seen", "forget", &world.name("yip-1.0")]).status.success());
    assert_eq!(world.install("yip-1.0", &files()).error, "");
}

#[test]
fn a_memory_that_cannot_be_read_loosens_nothing() {
    let world = world();
    world.signed("yip-1.0", &[&files()]);
    world.install("yip-1.0", &files()).assert_silent_success();
    let folder = world.plugin.path("state/luet-cosign/seen");
    let file = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_none())
        .unwrap();
    std::fs::write(&file, "not ours\n").unwrap();
    world.install("yip-1.0", &files()).assert_refused("state");
}

#[test]
fn a_dest_that_cannot_be_one_is_refused() {
    let world = world();
    world.signed("a", &[&files()]);
    let file = world.plugin.write("file", "x");
    let link = world.plugin.path("link");
    symlink(world.dest(), &link).unwrap();
    for dest in [file, link, world.plugin.path("missing"), PathBuf::from("/")] {
        let reply = world.plugin.pre_unpack(&world.name("a"), &dest);
        assert!(["event", "tree"].contains(&reply.class()), "{reply:?}");
    }
}
