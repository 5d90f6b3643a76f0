//! The main job at the real binary, against a registry in this process: sign what is pushed, verify
//! what is unpacked, refuse what is not signed, and let pass what a rule allows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use serde_json::Value;
use std::sync::OnceLock;
use testkit::{
    Answer, Auth, Image, Options, PASSWORD, Plugin, Reply, Server, TestRegistry, make_keys,
};

const REPO: &str = "acme/packages";
const OTHER: &str = "hobby/packages";

/// A registry, a plugin, and two key pairs that are made once.
struct World {
    registry: TestRegistry,
    plugin: Plugin,
}

/// Opening and making keys is what scrypt makes slow, so all tests share two pairs.
fn pairs() -> &'static [(String, String); 2] {
    static PAIRS: OnceLock<[(String, String); 2]> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let pair = || {
            let pair = luet_cosign::trust::PrivateKey::generate(PASSWORD.as_bytes()).unwrap();
            (pair.private_pem.to_string(), pair.public_pem)
        };
        [pair(), pair()]
    })
}

fn world() -> World {
    with(Options::default())
}

fn with(options: Options) -> World {
    let registry = TestRegistry::with(options);
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    for (name, (private, public)) in ["acme", "stranger"].iter().zip(pairs()) {
        plugin.write(&format!("{name}.key"), private);
        plugin.write(&format!("{name}.pub"), public);
    }
    let key = plugin.path("acme.pub").display().to_string();
    World { registry, plugin: plugin.env("COSIGN_PUBLIC_KEY_LOCATION", &key) }
}

/// The tag of an image's legacy signatures.
fn signature_tag(image: &Image) -> String {
    format!("{}.sig", image.digest.replace(':', "-"))
}

/// The layer of the image of a tag.
fn content(tag: &str) -> Vec<u8> {
    testkit::layer(&[("usr/bin/tool", tag.as_bytes())])
}

impl World {
    fn image(&self, repository: &str, tag: &str) -> Image {
        self.registry.push_image(repository, tag, &[&content(tag)])
    }

    fn name(&self, repository: &str, tag: &str) -> String {
        self.registry.name(&format!("{repository}:{tag}"))
    }

    /// Signs as the host has it signed: by the post event of a push.
    fn sign(&mut self, key: &str, repository: &str, tag: &str) -> Reply {
        let path = self.plugin.path(&format!("{key}.key")).display().to_string();
        for (name, value) in [
            ("COSIGN_KEY_LOCATION", path.as_str()),
            ("COSIGN_PASSWORD", PASSWORD),
            ("LUET_COSIGN_ENGINE", "registry"),
        ] {
            self.plugin.set(name, value);
        }
        let reply = self.plugin.post_push(&self.name(repository, tag));
        for name in ["COSIGN_KEY_LOCATION", "COSIGN_PASSWORD", "LUET_COSIGN_ENGINE"] {
            self.plugin.unset(name);
        }
        reply
    }

    /// Signs content and no tag, by the command line.
    fn sign_by_digest(&self, repository: &str, image: &Image) {
        let name = self.registry.name(&format!("{repository}@{}", image.digest));
        let key = self.plugin.path("acme.key").display().to_string();
        let output = self
            .plugin
            .raw()
            .env("COSIGN_PASSWORD", PASSWORD)
            .args(["sign", "--key", &key, &name])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn signed(&mut self, key: &str, repository: &str, tag: &str) -> Image {
        let image = self.image(repository, tag);
        assert_eq!(self.sign(key, repository, tag).error, "");
        image
    }

    /// The one layer of an image's signature manifest.
    fn signature(&self, image: &Image) -> Value {
        let (_, bytes) = self.registry.manifest(REPO, &signature_tag(image)).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["layers"][0].clone()
    }

    /// Changes that layer, as anyone who may push can.
    fn change_signature(
        &self,
        image: &Image,
        change: impl FnOnce(&mut serde_json::Map<String, Value>),
    ) {
        let (media_type, bytes) = self.registry.manifest(REPO, &signature_tag(image)).unwrap();
        let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
        change(manifest["layers"][0].as_object_mut().unwrap());
        self.registry.push_manifest(
            REPO,
            Some(&signature_tag(image)),
            &media_type,
            manifest.to_string().as_bytes(),
        );
    }

    /// Both events of unpacking, with the unpacking of what `tag` holds between them, into a directory
    /// of its own.
    fn install(&self, repository: &str, tag: &str) -> Reply {
        self.install_content(repository, tag, &content(tag))
    }

    /// The pre event alone, which must refuse.
    #[track_caller]
    fn refused(&self, tag: &str, class: &str) {
        self.plugin
            .pre_unpack(&self.name(REPO, tag), &self.plugin.path("tmp"))
            .assert_refused(class);
    }

    fn install_content(&self, repository: &str, tag: &str, layer: &[u8]) -> Reply {
        let image = self.name(repository, tag);
        let number = std::fs::read_dir(self.plugin.path("")).unwrap().count();
        let dest = self.plugin.dest(&format!("dest{number}"));
        let before = self.plugin.pre_unpack(&image, &dest);
        if before.error.is_empty() {
            testkit::unpack(layer, &dest);
            assert_eq!(self.plugin.post_unpack(&image, &dest).error, "");
        } else {
            self.plugin.post_unpack(&image, &dest).assert_refused("policy");
        }
        before
    }

    fn policy(&mut self, text: &str) {
        let host = self.registry.host();
        let path = self.plugin.write("policy.yaml", text.replace("HOST", &host));
        self.plugin.set("LUET_COSIGN_POLICY", &path.display().to_string());
    }

    fn signatures(&self, repository: &str, image: &Image) -> Option<Vec<u8>> {
        let tag = signature_tag(image);
        self.registry.manifest(repository, &tag).map(|(_, bytes)| bytes)
    }
}

#[test]
fn what_is_signed_is_installed_without_a_word() {
    for options in [Options::default(), Options { referrers: false, ..Options::default() }] {
        let mut world = with(options);
        world.signed("acme", REPO, "yip-1.0");
        world.install(REPO, "yip-1.0").assert_silent_success();
    }
}

#[test]
fn what_is_not_signed_is_refused() {
    let world = world();
    world.image(REPO, "yip-1.0");
    let reply = world.install(REPO, "yip-1.0");
    reply.assert_refused("unsigned");
    assert!(reply.error.contains("3 of 3 places"), "{reply:?}");
}

#[test]
fn what_a_stranger_signed_is_refused() {
    let mut world = world();
    world.signed("stranger", REPO, "yip-1.0");
    world.install(REPO, "yip-1.0").assert_refused("identity");
}

#[test]
fn a_signature_of_other_bytes_is_refused() {
    let mut world = world();
    let signed = world.signed("acme", REPO, "yip-1.0");
    let other = world.image(REPO, "yip-1.1");
    let (media_type, bytes) = world.registry.manifest(REPO, &signature_tag(&signed)).unwrap();
    world.registry.push_manifest(REPO, Some(&signature_tag(&other)), &media_type, &bytes);
    world.install(REPO, "yip-1.1").assert_refused("binding");
}

#[test]
fn an_image_that_does_not_exist_is_not_called_unsigned() {
    let mut world = world();
    world.plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", "*");
    world.install(REPO, "none").assert_refused("not-found");
}

#[test]
fn one_good_signature_among_strangers_is_enough() {
    let mut world = world();
    let image = world.signed("stranger", REPO, "yip-1.0");
    let theirs = world.signatures(REPO, &image).unwrap();
    assert_eq!(world.sign("acme", REPO, "yip-1.0").error, "");
    world.install(REPO, "yip-1.0").assert_silent_success();
    // What the stranger wrote is still there, byte for byte.
    let layer =
        |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["layers"][0].to_string();
    let both = world.signatures(REPO, &image).unwrap();
    assert_eq!(layer(&theirs), layer(&both));
    assert!(String::from_utf8(both).unwrap().contains(&layer(&theirs)));
}

#[test]
fn signing_twice_writes_once() {
    let mut world = world();
    world.signed("acme", REPO, "yip-1.0");
    let before = world.registry.requests().len();
    assert_eq!(world.sign("acme", REPO, "yip-1.0").error, "");
    let lines = world.registry.lines();
    assert!(lines[before..].iter().all(|line| line.starts_with("GET ")), "{lines:?}");
}

#[test]
fn signatures_may_lie_in_another_repository() {
    let mut world = world();
    let elsewhere = world.registry.name("sigs/all");
    world.plugin.set("COSIGN_REPOSITORY", &elsewhere);
    let image = world.image(REPO, "yip-1.0");
    world.install(REPO, "yip-1.0").assert_refused("registry");
    assert_eq!(world.sign("acme", REPO, "yip-1.0").error, "");
    world.install(REPO, "yip-1.0").assert_silent_success();
    assert!(world.signatures(REPO, &image).is_none());
    assert!(world.signatures("sigs/all", &image).is_some());
}

#[test]
fn an_index_is_verified_by_its_own_signature_or_by_that_of_this_platform() {
    let mut world = world();
    let (mine, theirs) = (world.image(REPO, "mine"), world.image(REPO, "theirs"));
    let own = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    world.registry.push_index(REPO, "index", &[(&theirs, "linux/s390x"), (&mine, own)]);
    world.install(REPO, "index").assert_refused("unsigned");
    world.sign_by_digest(REPO, &theirs);
    world.install(REPO, "index").assert_refused("unsigned");
    // Signed under its own tag, it is still not what the tag of the index promises.
    assert_eq!(world.sign("acme", REPO, "mine").error, "");
    world.install(REPO, "index").assert_refused("binding");
    world.sign_by_digest(REPO, &mine);
    world.install_content(REPO, "index", &content("mine")).assert_silent_success();
    world.registry.push_index(REPO, "second", &[(&theirs, own)]);
    assert_eq!(world.sign("acme", REPO, "second").error, "");
    world.install_content(REPO, "second", &content("theirs")).assert_silent_success();
}

/// Every way in which a place can fail to say whether there is a signature.
fn no_answers() -> Vec<(&'static str, Answer, &'static [&'static str])> {
    vec![
        ("401", Answer::new(401), &["auth"]),
        ("403", Answer::error(403, "DENIED"), &["auth"]),
        ("404 that denies", Answer::error(404, "DENIED"), &["auth"]),
        ("429", Answer::new(429).header("Retry-After", "0"), &["registry"]),
        ("500", Answer::new(500), &["registry"]),
        ("503", Answer::new(503), &["registry"]),
        ("a web page", Answer::html(200), &["registry", "malformed"]),
        ("a web page that says 404", Answer::html(404), &["registry"]),
        (
            "garbage",
            Answer::new(200)
                .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                .body("{"),
            &["malformed", "registry"],
        ),
        ("a reset", Answer::reset(), &["net"]),
        (
            "a redirect to nowhere",
            Answer::redirect(302, "http://127.0.0.1:1/x"),
            &["net", "registry"],
        ),
    ]
}

#[test]
fn a_place_that_gives_no_answer_is_never_an_unsigned_image() {
    let mut fewer = Vec::new();
    for place in ["manifests/*.sig", "referrers/*", "manifests/sha256-*"] {
        for (what, answer, classes) in no_answers() {
            let mut world = world();
            world.image(REPO, "yip-1.0");
            world.plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", &world.registry.name(REPO));
            world.registry.always("GET", &format!("/v2/{REPO}/{place}"), answer);
            // There, any 404 says that the registry has no such interface.
            if place.starts_with("referrers") && what == "a web page that says 404" {
                continue;
            }
            let reply = world.install(REPO, "yip-1.0");
            if !classes.contains(&reply.class()) {
                fewer.push(format!("{place}, {what}: {reply:?}"));
            }
        }
    }
    assert!(fewer.is_empty(), "{}", fewer.join("\n"));
}

#[test]
fn one_good_signature_outweighs_a_place_that_gives_no_answer() {
    let mut world = world();
    world.signed("acme", REPO, "yip-1.0");
    world.registry.always("GET", &format!("/v2/{REPO}/referrers/*"), Answer::new(500));
    world.install(REPO, "yip-1.0").assert_silent_success();
}

#[test]
fn an_unsigned_repository_is_denied_warned_about_or_allowed_by_rule() {
    let mut world = world();
    world.signed("acme", REPO, "yip-1.0");
    world.image(OTHER, "game-1.0");
    let head = "version: 1\ndefaults: {unmatched: deny, unsigned: deny}\nsigners: {acme: {key: acme.pub}}\nrepositories:\n- {name: acme, scope: HOST/acme/packages, trust: [acme]}\n";
    for (rule, says) in [
        ("", Err("policy")),
        ("- {name: hobby, scope: HOST/hobby/**, trust: [acme]}", Err("unsigned")),
        (
            "- {name: hobby, scope: HOST/hobby/**, trust: [acme], unsigned: warn}",
            Ok("is not signed"),
        ),
        (
            "- {name: hobby, scope: HOST/hobby/**, trust: [acme], unsigned: allow, reason: never signed}",
            Ok(""),
        ),
        ("- {name: hobby, scope: HOST/hobby/**, unsigned: allow, reason: never signed}", Ok("")),
        ("- {name: hobby, scope: HOST/hobby/**, trust: skip, reason: never signed}", Ok("")),
        (
            "- {name: hobby, scope: HOST/hobby/**, trust: [acme], unsigned: allow, reason: old, until: 2020-01-01}",
            Err("unsigned"),
        ),
        (
            "- {name: hobby, scope: HOST/hobby/**, tags: [other-*], trust: [acme], unsigned: allow, reason: never signed}",
            Err("policy"),
        ),
    ] {
        world.policy(&format!("{head}{rule}\n"));
        let reply = world.install(OTHER, "game-1.0");
        match says {
            Ok(text) => {
                assert!(reply.error.is_empty() && reply.state.contains(text), "{rule}: {reply:?}")
            }
            Err(class) => reply.assert_refused(class),
        }
        world.install(REPO, "yip-1.0").assert_silent_success();
    }
}

#[test]
fn one_variable_lets_a_repository_be_unsigned_and_says_so() {
    let mut world = world();
    world.image(OTHER, "game-1.0");
    world.plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", &world.registry.name("hobby/**"));
    let reply = world.install(OTHER, "game-1.0");
    assert_eq!(reply.error, "");
    // The one that was not named stays closed.
    world.image(REPO, "yip-1.0");
    world.install(REPO, "yip-1.0").assert_refused("unsigned");
}

#[test]
fn a_strangers_signature_counts_only_where_no_signer_is_named() {
    let mut world = world();
    world.signed("stranger", OTHER, "game-1.0");
    let head = "version: 1\ndefaults: {unmatched: deny, unsigned: deny}\nsigners: {acme: {key: acme.pub}}\nrepositories:\n";
    world.policy(&format!(
        "{head}- {{name: hobby, scope: HOST/hobby/**, trust: [acme], unsigned: allow, reason: r}}\n"
    ));
    world.install(OTHER, "game-1.0").assert_refused("identity");
    world.policy(&format!(
        "{head}- {{name: hobby, scope: HOST/hobby/**, unsigned: allow, reason: r}}\n- {{name: a, scope: HOST/a/b, trust: [acme]}}\n"
    ));
    let reply = world.install(OTHER, "game-1.0");
    assert!(reply.error.is_empty() && reply.state.contains("stranger"), "{reply:?}");
}

#[test]
fn trust_skip_makes_no_request() {
    let mut world = world();
    world.image(OTHER, "game-1.0");
    world.policy("version: 1\ndefaults: {unmatched: deny, unsigned: deny}\nrepositories:\n- {name: hobby, scope: HOST/hobby/**, trust: skip, reason: r}\n");
    let before = world.registry.requests().len();
    assert_eq!(world.install(OTHER, "game-1.0").error, "");
    assert_eq!(world.registry.requests().len(), before);
}

#[test]
fn an_unpacked_image_without_a_pre_event_is_refused_unless_local_files_are_allowed() {
    let mut world = world();
    let dest = world.plugin.dest("dest");
    world.signed("acme", REPO, "yip-1.0");
    for image in ["file:///var/tmp/os.tar".to_owned(), world.name(REPO, "yip-1.0")] {
        world.plugin.post_unpack(&image, &dest).assert_refused("policy");
    }
    world.plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", "file://**");
    assert_eq!(world.plugin.post_unpack("file:///var/tmp/os.tar", &dest).error, "");
}

#[test]
fn a_host_that_goes_on_after_a_refusal_is_refused_again_although_local_files_are_allowed() {
    let mut world = world();
    let dest = world.plugin.dest("dest");
    world.image(REPO, "yip-1.0");
    world.plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", "file://**");
    let image = world.name(REPO, "yip-1.0");
    world.plugin.pre_unpack(&image, &dest).assert_refused("unsigned");
    world.plugin.post_unpack(&image, &dest).assert_refused("policy");
}

#[test]
fn what_one_directory_was_told_another_cannot_use() {
    let mut world = world();
    world.signed("acme", REPO, "yip-1.0");
    world.signed("acme", REPO, "yip-1.1");
    let (image, other) = (world.name(REPO, "yip-1.0"), world.name(REPO, "yip-1.1"));
    let (dest, elsewhere) = (world.plugin.dest("dest"), world.plugin.dest("elsewhere"));
    world.plugin.pre_unpack(&image, &dest).assert_silent_success();
    world.plugin.post_unpack(&image, &elsewhere).assert_refused("policy");
    world.plugin.post_unpack(&other, &dest).assert_refused("policy");
    std::fs::remove_dir(&dest).unwrap();
    std::fs::create_dir(&dest).unwrap();
    let swapped = world.plugin.post_unpack(&image, &dest);
    // A new directory may get the inode of the old one; then it cannot be told apart, and nothing
    // was in either.
    assert!(swapped.error.is_empty() || swapped.class() == "tree", "{swapped:?}");
}

#[test]
fn a_legacy_signature_costs_four_requests_and_one_of_cosign_s_five() {
    let mut world = world();
    let image = world.signed("acme", REPO, "yip-1.0");
    for (expected, what) in [(4, "tag, three places"), (5, "tag, three places, payload")] {
        let before = world.registry.requests().len();
        world.install(REPO, "yip-1.0").assert_silent_success();
        let lines: Vec<String> = world.registry.lines().split_off(before);
        assert_eq!(lines.len(), expected, "{what}: {lines:?}");
        let distinct: std::collections::BTreeSet<&String> = lines.iter().collect();
        assert_eq!(distinct.len(), lines.len(), "no request twice: {lines:?}");
        world.change_signature(&image, |layer| drop(layer.remove("data")));
    }
}

#[test]
fn a_payload_in_the_manifest_that_is_not_the_one_that_was_signed_is_malformed() {
    let mut world = world();
    let image = world.signed("acme", REPO, "yip-1.0");
    let other = world.signed("acme", REPO, "yip-1.1");
    let of_other = world.signature(&other)["data"].clone();
    world.change_signature(&image, |layer| drop(layer.insert("data".to_owned(), of_other)));
    world.refused("yip-1.0", "malformed");
}

#[test]
fn the_places_are_asked_at_the_same_time() {
    let mut world =
        with(Options { latency: std::time::Duration::from_millis(60), ..Options::default() });
    let image = world.signed("acme", REPO, "yip-1.0");
    for expected in [2, 3] {
        let before = world.registry.round_trips();
        world.install(REPO, "yip-1.0").assert_silent_success();
        assert_eq!(world.registry.round_trips() - before, expected);
        // cosign's do not carry their payload.
        world.change_signature(&image, |layer| drop(layer.remove("data")));
    }
}

#[test]
fn a_hundred_strangers_cost_no_request() {
    let mut world = world();
    let image = world.signed("acme", REPO, "yip-1.0");
    let tag = signature_tag(&image);
    let (media_type, bytes) = world.registry.manifest(REPO, &tag).unwrap();
    let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let good = manifest["layers"][0].clone();
    let mut stranger = good.clone();
    stranger["annotations"]["dev.cosignproject.cosign/signature"] =
        "MEQCIH0e1/0svxMoLzjeyhAaLFSHy5ZaYy0/2iQl2t3E0Pj4AiBsWmwjfLzrVyp9/v1sy70Q+FHE8miauOOVkAW2lTYVug==".into();
    let mut layers = vec![stranger; 100];
    layers.push(good);
    manifest["layers"] = layers.into();
    world.registry.push_manifest(REPO, Some(&tag), &media_type, manifest.to_string().as_bytes());
    let before = world.registry.requests().len();
    world.install(REPO, "yip-1.0").assert_silent_success();
    assert_eq!(world.registry.requests().len() - before, 4);
}

#[test]
fn nothing_is_pushed_that_could_not_be_signed() {
    let mut world = world();
    let image = world.name(REPO, "yip-1.0");
    world.plugin.set("LUET_COSIGN_ENGINE", "registry");
    world.plugin.pre_push(&image).assert_refused("secret");
    let key = world.plugin.path("acme.key").display().to_string();
    world.plugin.set("COSIGN_KEY_LOCATION", &key);
    world.plugin.pre_push(&image).assert_refused("secret");
    world.plugin.set("COSIGN_PASSWORD", "wrong");
    world.plugin.pre_push(&image).assert_refused("secret");
    let public = world.plugin.path("acme.pub").display().to_string();
    world.plugin.set("COSIGN_KEY_LOCATION", &public);
    world.plugin.pre_push(&image).assert_refused("secret");
    world.plugin.set("COSIGN_KEY_LOCATION", "/nowhere/cosign.key");
    world.plugin.pre_push(&image).assert_refused("secret");
    world.plugin.set("COSIGN_KEY_LOCATION", &key);
    world.plugin.set("COSIGN_PASSWORD", PASSWORD);
    world.plugin.pre_push(&image).assert_silent_success();
    // The image's repository is open, that of its signatures is not.
    world.registry.always("POST", "/v2/sigs/all/blobs/uploads/*", Answer::error(403, "DENIED"));
    world.plugin.set("COSIGN_REPOSITORY", &world.registry.name("sigs/all"));
    world.plugin.pre_push(&image).assert_refused("auth");
}

#[test]
fn an_engine_that_is_not_there_is_found_out_before_the_push() {
    let mut world = world();
    let image = world.name(REPO, "yip-1.0");
    let key = world.plugin.path("acme.key").display().to_string();
    let socket = world.plugin.path("docker.sock").display().to_string();
    world.plugin.set("COSIGN_KEY_LOCATION", &key);
    world.plugin.set("COSIGN_PASSWORD", PASSWORD);
    for (engine, class) in [("podman", "usage"), ("docker", "net"), ("buildah", "not-found")] {
        world.plugin.set("LUET_COSIGN_ENGINE", engine);
        world.plugin.set("DOCKER_HOST", &format!("unix://{socket}"));
        world.plugin.set("PATH", "/nowhere");
        let before = world.registry.requests().len();
        let reply = world.plugin.pre_push(&image);
        reply.assert_refused(class);
        assert!(reply.error.contains("LUET_COSIGN_ENGINE"), "{reply:?}");
        assert_eq!(world.registry.requests().len(), before, "an upload was begun");
    }
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    world.plugin.set("LUET_COSIGN_ENGINE", "docker");
    world.plugin.pre_push(&image).assert_silent_success();
}

#[test]
fn doctor_says_at_once_all_that_keeps_a_push_from_being_signed() {
    let mut world = world();
    let repository = world.registry.name(REPO);
    let doctor = |world: &World| {
        let output = world.plugin.run(["doctor", "--json", "--sign", &repository]);
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), found)
    };
    let problems = |found: &Value| -> Vec<String> {
        let findings = found["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["severity"] == "problem")
            .map(|finding| {
                finding["message"].as_str().unwrap().split(':').next().unwrap().to_owned()
            })
            .collect()
    };
    world.plugin.set("LUET_COSIGN_ENGINE", "podman");
    world.registry.always("POST", "/v2/sigs/all/blobs/uploads/*", Answer::error(403, "DENIED"));
    world.plugin.set("COSIGN_REPOSITORY", &world.registry.name("sigs/all"));
    let (code, found) = doctor(&world);
    assert_eq!(
        (code, problems(&found)),
        (Some(1), ["secret", "auth", "usage"].map(str::to_owned).to_vec())
    );
    let key = world.plugin.path("acme.key").display().to_string();
    world.plugin.set("COSIGN_KEY_LOCATION", &key);
    world.plugin.set("COSIGN_PASSWORD", PASSWORD);
    world.plugin.set("LUET_COSIGN_ENGINE", "registry");
    world.plugin.unset("COSIGN_REPOSITORY");
    let (code, found) = doctor(&world);
    assert_eq!((code, problems(&found)), (Some(0), Vec::new()), "{found}");
    assert!(found.to_string().contains("images will be signed by key "), "{found}");
    world.plugin.set("LUET_COSIGN_SIGN", "off");
    assert_eq!(doctor(&world).0, Some(1));
    // An upload is begun, to see whether it may be, and nothing is written.
    assert!(world.registry.requests().iter().all(|request| request.method != "PUT"));
}

#[test]
fn no_right_to_push_is_found_out_before_the_push() {
    let mut world = with(Options { auth: Auth::basic("user", "right"), ..Options::default() });
    let image = world.name(REPO, "yip-1.0");
    let key = world.plugin.path("acme.key").display().to_string();
    for (name, value) in [("COSIGN_KEY_LOCATION", key.as_str()), ("COSIGN_PASSWORD", PASSWORD)] {
        world.plugin.set(name, value);
    }
    world.plugin.pre_push(&image).assert_refused("auth");
}

#[test]
fn the_preflight_is_done_once_per_run() {
    let mut world = world();
    let key = world.plugin.path("acme.key").display().to_string();
    for (name, value) in [("COSIGN_KEY_LOCATION", key.as_str()), ("COSIGN_PASSWORD", PASSWORD)] {
        world.plugin.set(name, value);
    }
    world.plugin.pre_push(&world.name(REPO, "a")).assert_silent_success();
    let after_first = world.registry.requests().len();
    assert!(after_first > 0);
    world.plugin.pre_push(&world.name(REPO, "b")).assert_silent_success();
    assert_eq!(world.registry.requests().len(), after_first);
    // Another key is another preflight.
    let stranger = world.plugin.path("stranger.pub").display().to_string();
    world.plugin.set("COSIGN_KEY_LOCATION", &stranger);
    world.plugin.pre_push(&world.name(REPO, "c")).assert_refused("secret");
}

#[test]
fn signatures_are_not_written_where_the_policy_would_not_look() {
    let mut world = world();
    world.policy("version: 1\ndefaults: {unmatched: deny, unsigned: deny}\nsigners: {acme: {key: acme.pub}}\nrepositories:\n- {name: acme, scope: HOST/acme/packages, trust: [acme], signatures_from: [HOST/sigs/acme]}\n");
    let key = world.plugin.path("acme.key").display().to_string();
    for (name, value) in [("COSIGN_KEY_LOCATION", key.as_str()), ("COSIGN_PASSWORD", PASSWORD)] {
        world.plugin.set(name, value);
    }
    let image = world.name(REPO, "a");
    world.plugin.pre_push(&image).assert_refused("policy");
    world.plugin.set("COSIGN_REPOSITORY", &world.registry.name("sigs/acme"));
    world.plugin.pre_push(&image).assert_silent_success();
}

/// What is pushed is public, so the one thing left to do is to sign it: a policy and the keys to
/// verify by have no say in that.
#[test]
fn what_is_pushed_is_signed_whatever_is_wrong_with_the_policy() {
    let mut world = world();
    let image = world.image(REPO, "yip-1.0");
    let gone = world.plugin.path("gone").display().to_string();
    let mistyped = world.plugin.write("mistyped.yaml", "version: 1\n").display().to_string();
    for (variable, value, is_said) in [
        ("LUET_COSIGN_POLICY", gone.as_str(), true),
        ("LUET_COSIGN_POLICY", mistyped.as_str(), true),
        ("COSIGN_PUBLIC_KEY_LOCATION", gone.as_str(), false),
        ("COSIGN_PUBLIC_KEY_LOCATION", "https://localhost:1/acme.pub", false),
        ("COSIGN_SKIP", "[", false),
    ] {
        world.plugin.set(variable, value);
        let reply = world.sign("acme", REPO, "yip-1.0");
        assert_eq!(reply.error, "", "{variable}={value}");
        let said = reply.state.contains("warning: the policy file was not read");
        assert_eq!(said, is_said, "{variable}={value}: {reply:?}");
        world.plugin.set(variable, "");
    }
    assert!(world.signatures(REPO, &image).is_some());
}

#[test]
fn a_failure_after_the_push_says_that_nothing_is_signed_wherever_it_happens() {
    let mut world = world();
    world.image(REPO, "yip-1.0");
    for (variable, value) in [
        ("LUET_COSIGN_SIGN", "nonsense"),
        ("LUET_COSIGN_TIMEOUT", "nonsense"),
        ("LUET_COSIGN_HTTP_REGISTRIES", "not/a/host"),
        ("COSIGN_REPOSITORY", "Not A Name"),
        ("COSIGN_DEBUG", "nonsense"),
    ] {
        world.plugin.set(variable, value);
        let reply = world.sign("acme", REPO, "yip-1.0");
        assert!(
            reply.error.contains("is pushed and NOT signed: ")
                && reply.error.contains("luet-cosign sign "),
            "{variable}={value}: {reply:?}"
        );
        world.plugin.set(variable, "");
    }
}

/// A signature that the policy would not accept is one that nobody can install by.
#[test]
fn an_image_is_not_pushed_whose_signer_the_policy_would_not_accept() {
    let mut world = world();
    let image = world.name(REPO, "a");
    let as_signer = |world: &mut World, name: &str| {
        let key = world.plugin.path(&format!("{name}.key")).display().to_string();
        world.plugin.set("COSIGN_KEY_LOCATION", &key);
        world.plugin.set("COSIGN_PASSWORD", PASSWORD);
    };
    let policy = |trust: &str| {
        format!(
            "version: 1\ndefaults: {{unmatched: deny}}\nsigners: {{acme: {{key: acme.pub}}, logged: {{key: stranger.pub, tlog: required}}}}\nrepositories:\n- {{name: r, scope: HOST/acme/packages, trust: {trust}}}\n"
        )
    };
    // The environment names acme's key for verification.
    as_signer(&mut world, "stranger");
    let reply = world.plugin.pre_push(&image);
    reply.assert_refused("policy");
    assert!(reply.error.contains("would be signed by key "), "{reply:?}");
    world.policy(&policy("[acme]"));
    world.plugin.pre_push(&image).assert_refused("policy");
    // We write no signature by a key into a log.
    world.policy(&policy("[logged]"));
    world.plugin.pre_push(&image).assert_refused("policy");
    as_signer(&mut world, "acme");
    for accepted in ["[acme]", "{all_of: [acme, logged]}"] {
        world.policy(&policy(accepted));
        world.plugin.pre_push(&image).assert_silent_success();
        world.plugin.pre_push(&image).assert_silent_success();
    }
    for broken in [
        "{unmatched: deny}",
        "version: 1\ndefaults: {unmatched: deny}\nsigners: {acme: {key: gone.pub}}\nrepositories: [{name: r, scope: '*', trust: [acme]}]\n",
    ] {
        world.policy(broken);
        world.plugin.pre_push(&image).assert_refused("policy");
    }
}

/// What `check` says of an image.
fn checked(world: &World, words: &[&str], tag: &str) -> (i32, String) {
    let name = world.name(REPO, tag);
    let output =
        world.plugin.run(std::iter::once("check").chain(words.iter().copied()).chain([&*name]));
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

/// The author of the first policy has to see what is there. Nothing of it decides.
#[test]
fn check_shows_what_is_there_also_without_a_policy() {
    let mut world = world();
    world.signed("acme", REPO, "yip-1.0");
    world.plugin.unset("COSIGN_PUBLIC_KEY_LOCATION");
    let (code, said) = checked(&world, &[], "yip-1.0");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("DENIED") && said.contains("there, 1 signature"), "{said}");
    assert!(!said.contains("VERIFIED"), "{said}");
    world.refused("yip-1.0", "policy");
}

#[test]
fn check_takes_a_key_whatever_the_policy_says() {
    let mut world = world();
    world.signed("stranger", REPO, "yip-1.0");
    assert_eq!(checked(&world, &[], "yip-1.0").0, 12);
    let stranger = world.plugin.path("stranger.pub").display().to_string();
    let (code, said) = checked(&world, &["--key", &stranger], "yip-1.0");
    assert!(code == 0 && said.contains("VERIFIED"), "{said}");
    world.plugin.set("LUET_COSIGN_POLICY", "/nonexistent/policy.yaml");
    let (code, said) = checked(&world, &["--key", &stranger], "yip-1.0");
    assert!(code == 0 && said.contains("VERIFIED"), "{said}");
    assert_eq!(checked(&world, &[], "yip-1.0").0, 3);
}

#[test]
fn build_caches_are_not_signed_unless_asked_for() {
    let world = world();
    let image = world.name(REPO, "cache");
    let data = serde_json::json!({"ImageName": image, "DockerFileName": "x.dockerfile"});
    for event in ["image.pre.push", "image.post.push"] {
        world.plugin.send(event, &testkit::envelope(event, &data)).assert_silent_success();
    }
    assert!(world.registry.requests().is_empty());
}

#[test]
fn a_registry_that_serves_other_bytes_than_were_written_is_found_out() {
    let mut world = world();
    world.image(REPO, "yip-1.0");
    // The signature is taken, but the payload comes back as something else.
    world.registry.rule("GET", &format!("/v2/{REPO}/blobs/*"), |call| {
        let good = call.good();
        (good.status() == 200).then(|| Answer::new(200).body(vec![b'x'; good.bytes().len()]))
    });
    let reply = world.sign("acme", REPO, "yip-1.0");
    reply.assert_refused("digest");
    assert!(
        reply.error.contains("NOT signed") && reply.error.contains("luet-cosign sign "),
        "{reply:?}"
    );
}

#[test]
fn no_secret_is_ever_shown() {
    let mut world =
        with(Options { auth: Auth::token("user", "canary-registry"), ..Options::default() });
    world.plugin.set("COSIGN_DEBUG", "1");
    world.plugin.write("home/none", "");
    std::fs::create_dir(world.plugin.path("home/.docker")).unwrap();
    let auth = format!(
        r#"{{"auths":{{"{}":{{"username":"user","password":"canary-registry"}}}}}}"#,
        world.registry.host()
    );
    world.plugin.write("home/.docker/config.json", auth);
    world.image(REPO, "yip-1.0");
    let mut shown = format!("{:?}", world.sign("acme", REPO, "yip-1.0"));
    shown.push_str(&format!("{:?}", world.install(REPO, "yip-1.0")));
    let output = world.plugin.run(["check", "--json", &world.name(REPO, "yip-1.0")]);
    shown.push_str(&String::from_utf8_lossy(&output.stdout));
    shown.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("verified") && !shown.contains("canary"), "{shown}");
}

#[test]
fn the_key_may_lie_in_a_variable_or_behind_an_https_url() {
    let mut world = world();
    world.signed("acme", REPO, "yip-1.0");
    world.plugin.set("ACME_KEY", &pairs()[0].1);
    world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", "env://ACME_KEY");
    world.install(REPO, "yip-1.0").assert_silent_success();
    world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", "env://NOTHING");
    world.refused("yip-1.0", "secret");

    let server = Server::start_tls(testkit::certificates::good(), |request| match request.path() {
        "/acme.pub" => Answer::new(200).body(pairs()[0].1.clone()),
        "/large" => Answer::new(200).endless("x"),
        "/http" => Answer::redirect(302, "http://example.com/acme.pub"),
        "/inside" => Answer::redirect(302, "https://127.0.0.1:1/acme.pub"),
        _ => Answer::new(404),
    });
    let authority =
        world.plugin.write("authority.pem", testkit::certificates::AUTHORITY).display().to_string();
    let url = |path: &str| format!("https://localhost:{}{path}", server.address().port());
    // An authority that is not trusted, then what the server answers.
    world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", &url("/acme.pub"));
    world.refused("yip-1.0", "secret");
    world.plugin.set("SSL_CERT_FILE", &authority);
    let before = server.requests().len();
    world.install(REPO, "yip-1.0").assert_silent_success();
    world.install(REPO, "yip-1.0").assert_silent_success();
    assert_eq!(server.requests().len() - before, 1, "fetched once in a run of the host");
    for path in ["/none", "/large", "/http", "/inside"] {
        world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", &url(path));
        world.refused("yip-1.0", "secret");
    }
    world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", &url("/acme.pub").replace("https", "http"));
    world.refused("yip-1.0", "secret");
}

#[test]
fn an_unsigned_answer_is_kept_nowhere() {
    let world = world();
    world.image(REPO, "yip-1.0");
    world.install(REPO, "yip-1.0").assert_refused("unsigned");
    let keys = make_keys(&world.plugin, "unused");
    assert!(keys.private.exists());
    let mut world = world;
    assert_eq!(world.sign("acme", REPO, "yip-1.0").error, "");
    world.install(REPO, "yip-1.0").assert_silent_success();
}

#[test]
fn a_trace_names_each_request_and_each_decision_and_leaves_the_answer_as_it_is() {
    let world = world();
    world.registry.push_image(REPO, "1", &[&content("1")]);
    let image = world.registry.name(&format!("{REPO}:1"));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let plain = world.plugin.run(["check", &image]);
    let requests = world.registry.requests().len();
    let traced = world.plugin.run(["check", "--trace", &image]);
    assert_eq!((plain.status.code(), text(&plain.stdout)), (Some(10), text(&traced.stdout)));
    assert!(!text(&plain.stderr).contains("trace: "));
    let errors = text(&traced.stderr);
    let lines: Vec<&str> = errors.lines().filter_map(|line| line.strip_prefix("trace: ")).collect();
    let sent = lines.iter().filter(|line| line.starts_with("GET ") || line.starts_with("HEAD "));
    assert_eq!(sent.count(), world.registry.requests().len() - requests, "{errors}");
    for part in [
        format!("GET http://{}/v2/{REPO}/manifests/1: 200", world.registry.host()),
        format!("`{image}`: applies: rule `environment`"),
        ".sig tag of ".to_owned(),
        format!("`{image}`: refused: unsigned: "),
    ] {
        assert!(lines.iter().any(|line| line.contains(&part)), "{part}: {errors}");
    }
}
