//! containerd's image verifier at the real binary: `-name REF -digest D -stdin-media-type T`, a
//! descriptor on standard input, one line on standard output where it is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testkit::{Answer, Auth, Image, Options, PASSWORD, Plugin, TestRegistry, make_keys};

const REPO: &str = "acme/os";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";

struct World {
    registry: TestRegistry,
    plugin: Plugin,
}

/// What containerd saw.
#[derive(Debug)]
struct Seen {
    exit: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Seen {
    #[track_caller]
    fn admitted(&self) {
        assert_eq!((self.exit, self.stdout.as_str()), (Some(0), ""), "{self:?}");
    }

    /// Exit 1 and one line, which begins with the class.
    #[track_caller]
    fn refused(&self, class: &str) {
        assert_eq!(self.exit, Some(1), "{self:?}");
        let line = self.stdout.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {self:?}"));
        assert!(line.starts_with(&format!("{class}: ")), "{self:?}");
        assert!(!line.contains(char::is_control), "{self:?}");
        assert!(!self.stdout.contains(PASSWORD) && !self.stderr.contains(PASSWORD), "{self:?}");
    }
}

fn world(options: Options) -> World {
    let world = World {
        registry: TestRegistry::with(options),
        plugin: Plugin::new(env!("CARGO_BIN_EXE_luet-cosign")),
    };
    make_keys(&world.plugin, "acme");
    make_keys(&world.plugin, "stranger");
    world.policy("{name: os, scope: HOST/acme/**, trust: [acme]}", "");
    world
}

impl World {
    fn policy(&self, rule: &str, more: &str) {
        let text = format!(
            "version: 1\ndefaults: {{unmatched: deny}}\nsigners: {{acme: {{key: acme.pub}}}}\nrepositories:\n  - {rule}\n{more}\n"
        );
        self.plugin.write("policy.yaml", text.replace("HOST", &self.registry.host()));
    }

    fn push(&self, tag: &str) -> Image {
        self.registry.push_image(REPO, tag, &[&testkit::layer(&[("file", tag.as_bytes())])])
    }

    fn sign(&self, key: &str, name: &str) {
        let key = self.plugin.path(&format!("{key}.key")).display().to_string();
        let output = self
            .plugin
            .raw()
            .env("COSIGN_PASSWORD", PASSWORD)
            .args(["sign", "--key", &key, name])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn signed(&self, key: &str, tag: &str) -> Image {
        let image = self.push(tag);
        self.sign(key, &self.name(tag));
        image
    }

    fn name(&self, tag: &str) -> String {
        self.registry.name(&format!("{REPO}:{tag}"))
    }

    fn descriptor(&self, image: &Image) -> Value {
        let (media_type, bytes) = self.registry.manifest(REPO, &image.digest).unwrap();
        json!({"mediaType": media_type, "digest": image.digest, "size": bytes.len()})
    }

    /// The program as containerd starts it: no home, no path, no terminal.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luet-cosign"));
        command
            .env_clear()
            .env("LUET_COSIGN_POLICY", self.plugin.path("policy.yaml"))
            .env("LUET_COSIGN_STATE", self.plugin.path("state/luet-cosign"))
            .current_dir("/");
        command
    }

    fn call(&self, arguments: &[&str], input: &[u8]) -> Seen {
        let mut command = self.command();
        run(command.args(arguments), input)
    }

    fn ask_about(&self, name: &str, image: &Image) -> Seen {
        let arguments = ["-name", name, "-digest", &image.digest, "-stdin-media-type", DESCRIPTOR];
        self.call(&arguments, format!("{}\n", self.descriptor(image)).as_bytes())
    }

    fn ask(&self, tag: &str, image: &Image) -> Seen {
        self.ask_about(&self.name(tag), image)
    }
}

fn run(command: &mut Command, input: &[u8]) -> Seen {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that answers without reading closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Seen {
        exit: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn what_is_signed_is_admitted_in_silence_and_nothing_else_is() {
    let world = world(Options::default());
    let image = world.signed("acme", "v1");
    world.ask("v1", &image).admitted();
    world.ask("unsigned", &world.push("unsigned")).refused("unsigned");
    world.ask("stranger", &world.signed("stranger", "stranger")).refused("identity");
}

#[test]
fn the_tag_that_containerd_resolved_counts_for_the_binding_and_for_rules() {
    let world = world(Options::default());
    let image = world.signed("acme", "v1");
    world.registry.tag(REPO, "v2", &image.digest);
    let seen = world.ask("v2", &image);
    seen.refused("binding");
    assert!(seen.stdout.contains("v1") && seen.stdout.contains("v2"), "{seen:?}");
    world.policy(
        "{name: dev, scope: HOST/acme/os, tags: ['dev*'], unsigned: allow, reason: tests}\n  - {name: os, scope: HOST/acme/os, trust: [acme]}",
        "",
    );
    let unsigned = world.push("dev-1");
    assert_eq!(world.ask("dev-1", &unsigned).exit, Some(0));
    world.ask("v3", &unsigned).refused("unsigned");
    // A tag beside a digest is not what was resolved.
    let name = format!("{}@{}", world.name("dev-1"), unsigned.digest);
    world.ask_about(&name, &unsigned).refused("unsigned");
}

#[test]
fn an_index_must_be_signed_itself_for_nobody_compares_which_image_is_taken() {
    let world = world(Options::default());
    let (child, evil) = (world.push("amd64"), world.push("evil"));
    let children = [(&child, "linux/amd64"), (&evil, "linux/arm64")];
    let digest = world.registry.push_index(REPO, "multi", &children);
    let index = Image { digest, ..world.push("other") };
    world.sign("acme", &world.registry.name(&format!("{REPO}@{}", child.digest)));
    assert_eq!(world.descriptor(&index)["mediaType"], INDEX);
    world.ask("multi", &index).refused("unsigned");
    world.sign("acme", &world.name("multi"));
    world.ask("multi", &index).admitted();
}

#[test]
fn a_question_that_says_two_things_is_refused() {
    let world = world(Options::default());
    let (image, other) = (world.signed("acme", "v1"), world.signed("acme", "v2"));
    let name = world.name("v1");
    let good = world.descriptor(&image);
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        changed.to_string()
    };
    let asked = ["-name", &name, "-digest", &image.digest, "-stdin-media-type", DESCRIPTOR];
    for (input, class) in [
        (with("digest", json!(other.digest)), "digest"),
        (with("size", json!(1)), "digest"),
        (with("size", json!(-1)), "event"),
        (with("mediaType", json!(INDEX)), "malformed"),
        (with("mediaType", json!("x\u{1b}[2J\ny")), "malformed"),
        (with("digest", json!("sha256:x\n\u{202e}")), "malformed"),
        (String::new(), "event"),
        ("[]".to_owned(), "event"),
        ("{}".to_owned(), "event"),
        (format!("{good}{good}"), "event"),
        (format!("{{\"digest\":\"{}\",{}", image.digest, &good.to_string()[1..]), "event"),
        (format!("{}{good}", " ".repeat(100_000)), "event"),
    ] {
        let seen = world.call(&asked, input.as_bytes());
        assert!(seen.stdout.starts_with(class), "{input}: {seen:?}");
        seen.refused(class);
    }
    let mut more = good.clone();
    more["annotations"] = json!({"a": "b"});
    more["later"] = json!([1]);
    world.call(&asked, more.to_string().as_bytes()).admitted();
    let pinned = format!("{name}@{}", other.digest);
    let asked = ["-name", &pinned, "-digest", &image.digest, "-stdin-media-type", DESCRIPTOR];
    world.call(&asked, good.to_string().as_bytes()).refused("digest");
}

#[test]
fn options_are_read_as_go_reads_them_and_unknown_ones_are_passed_over() {
    let world = world(Options::default());
    let image = world.signed("acme", "v1");
    let input = world.descriptor(&image).to_string();
    let (name, digest) = (world.name("v1"), image.digest.as_str());
    let known = [
        format!("--name={name}"),
        format!("-digest={digest}"),
        format!("--stdin-media-type={DESCRIPTOR}"),
    ];
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let call = |more: &[&str], rest: &[&str]| world.call(&[more, rest].concat(), input.as_bytes());
    call(&["-operation", "pull", "-later=1"], &known).admitted();
    call(&["-name", "other/name:x"], &known).refused("event");
    call(&["-note", "-digest", "x"], &known).refused("event");
    call(&["-digest"], &[]).refused("event");
    call(&["-digest", digest], &["-stdin-media-type", DESCRIPTOR]).refused("event");
    let (_, rest) = known.split_first().unwrap();
    for hostile in ["", "-key", "a\n\u{1b}]0;x\u{7}b", "a:/b", "https://x/y", "../../x", "x/y:z w"]
    {
        call(&["-name", hostile], rest).refused("reference");
    }
    call(&["-stdin-media-type", "text/plain", "-name", &name, "-digest", digest], &[])
        .refused("event");
}

#[test]
fn a_registry_that_does_not_answer_is_said_in_time() {
    let world = world(Options::default());
    let image = world.signed("acme", "v1");
    let descriptor = world.descriptor(&image).to_string();
    world.policy("{name: os, scope: HOST/acme/**, trust: [acme]}", "deadline: 1s");
    world.registry.always("GET", "*manifests*", Answer::new(200).delay(Duration::from_secs(60)));
    let start = Instant::now();
    let seen = world.ask("v1", &image);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    seen.refused("net");
    let name = "127.0.0.1:1/acme/os:v1";
    world.policy("{name: os, scope: '*', trust: [acme]}", "");
    let asked = ["-name", name, "-digest", &image.digest, "-stdin-media-type", DESCRIPTOR];
    world.call(&asked, descriptor.as_bytes()).refused("net");
}

#[test]
fn a_helper_that_hangs_does_not_hide_the_reason() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world(Options { auth: Auth::basic("user", PASSWORD), ..Options::default() });
    let image = world.push("v1");
    let helper =
        world.plugin.write("docker-credential-slow", "#!/bin/sh\nread x\nexec tail -f /dev/null\n");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.plugin.write("login.json", "{\"credsStore\": \"slow\"}");
    world.policy(
        "{name: os, scope: HOST/acme/**, trust: [acme]}",
        "deadline: 1s\nregistries: [{host: HOST, credentials: login.json}]",
    );
    let start = Instant::now();
    let mut command = world.command();
    let path = format!("{}:/bin:/usr/bin", world.plugin.path("").display());
    let name = world.name("v1");
    command.env("PATH", path).args(["-name", &name, "-digest", &image.digest]);
    command.args(["-stdin-media-type", DESCRIPTOR]);
    let seen = run(&mut command, world.descriptor(&image).to_string().as_bytes());
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    seen.refused("net");
    assert!(seen.stdout.contains("deadline"), "{seen:?}");
}

#[test]
fn the_credentials_that_the_policy_names_are_for_that_host_alone() {
    let auth = || Options { auth: Auth::basic("user", PASSWORD), ..Options::default() };
    let (world, other) = (world(auth()), TestRegistry::with(auth()));
    let image = world.push("v1");
    world.ask("v1", &image).refused("auth");
    let login = json!({"auths": {
        world.registry.host(): {"username": "user", "password": PASSWORD},
        other.host(): {"username": "user", "password": PASSWORD},
    }});
    world.plugin.write("login.json", login.to_string());
    let rule = "{name: os, scope: HOST/acme/**, trust: [acme]}\n  - {name: all, scope: '*', trust: [acme]}";
    world.policy(rule, "registries: [{host: HOST, credentials: login.json}]");
    world.ask("v1", &image).refused("unsigned");
    let name = other.name(&format!("{REPO}:v1"));
    world.ask_about(&name, &image).refused("auth");
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
    world.policy(rule, "registries: [{host: HOST, credentials: nowhere.json}]");
    world.ask("v1", &image).refused("secret");
}

#[test]
fn a_policy_that_cannot_be_read_refuses_and_one_that_skips_asks_nobody() {
    let world = world(Options::default());
    let image = world.push("v1");
    world.plugin.write("policy.yaml", "version: 1\ndefaults: {unmatched: allow}\nwhat: ever\n");
    world.ask("v1", &image).refused("policy");
    std::fs::remove_file(world.plugin.path("policy.yaml")).unwrap();
    world.ask("v1", &image).refused("policy");
    world.policy("{name: pause, scope: HOST/acme/os, trust: skip, reason: it only waits}", "");
    let before = world.registry.requests().len();
    let seen = world.ask("v1", &image);
    assert_eq!((seen.exit, seen.stdout.lines().count()), (Some(0), 1), "{seen:?}");
    assert_eq!(world.registry.requests().len(), before);
    world.ask_about(&world.registry.name("other:v1"), &image).refused("policy");
}

#[test]
fn what_was_verified_here_before_is_not_let_pass_unsigned() {
    let world = world(Options::default());
    world.policy(
        "{name: os, scope: HOST/acme/**, trust: [acme], unsigned: allow, reason: tests}",
        "",
    );
    let image = world.signed("acme", "v1");
    world.ask("v1", &image).admitted();
    let moved = world.push("v1-next");
    world.ask("v1", &moved).refused("rollback");
    // Where nothing can be kept, nothing is remembered, and what is right stays right.
    let mut command = world.command();
    let name = world.name("v1");
    command.env("LUET_COSIGN_STATE", "/proc/nowhere").args(["-name", &name]);
    command.args(["-digest", &image.digest, "-stdin-media-type", DESCRIPTOR]);
    run(&mut command, world.descriptor(&image).to_string().as_bytes()).admitted();
}

#[test]
fn the_answer_of_a_hostile_registry_stays_one_line() {
    let world = world(Options::default());
    let image = world.push("v1");
    let text = "{\"errors\":[{\"code\":\"A\\nB\\u001b[2J\",\"message\":\"\\nunsigned: no\\n\"}]}";
    world.registry.always("GET", "*manifests*", Answer::new(403).json(text));
    assert_eq!(world.descriptor(&image)["mediaType"], MANIFEST);
    let seen = world.ask("v1", &image);
    assert_eq!(seen.stdout.lines().count(), 1, "{seen:?}");
    assert_eq!(seen.exit, Some(1));
}

/// A directory of `hosts.toml` files, with one for `registry`.
fn hosts(world: &World, registry: &str, text: &str) {
    let folder = world.plugin.path("certs.d").join(registry);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("hosts.toml"), text).unwrap();
}

/// A world whose images are at a mirror, and a registry that nobody can reach.
fn mirrored(more: &str) -> (World, String, Image) {
    let world = world(Options::default());
    let origin = "127.0.0.1:1".to_owned();
    let rule = format!(
        "{{name: os, scope: '{origin}/**', trust: [acme]}}\n  - {{name: hub, scope: HOST/**, trust: [acme]}}"
    );
    let image = world.signed("acme", "v1");
    world.policy(&rule, "network: {mirrors: certs.d}");
    let mirror = world.registry.host();
    hosts(&world, "127.0.0.1_1_", &format!("{more}\n[host.\"http://{mirror}\"]\n"));
    (world, format!("{origin}/{REPO}:v1"), image)
}

#[test]
fn a_mirror_stands_in_for_a_registry_as_containerd_is_told() {
    let (world, name, image) = mirrored("");
    // Our signatures name the repository that they were made for.
    world.ask_about(&name, &image).refused("net");
    let mirror = world.registry.host();
    let server = format!("server = \"http://{mirror}\"\n");
    hosts(&world, "127.0.0.1_1_", &server);
    world.ask_about(&name, &image).refused("binding");
    let requests = world.registry.requests();
    let named = requests.iter().filter(|request| request.target.contains("ns=127.0.0.1%3A1"));
    assert!(named.count() >= 4, "{:?}", world.registry.lines());
    world.policy(
        &format!("{{name: os, scope: '127.0.0.1:1/**', trust: [acme], mirror_of: {mirror}}}"),
        "network: {mirrors: certs.d}",
    );
    world.ask_about(&name, &image).admitted();
    let pushed = world.push("unsigned");
    let other = "127.0.0.1:1/acme/os:unsigned";
    world.ask_about(other, &pushed).refused("unsigned");
}

#[test]
fn what_a_mirror_does_not_have_is_not_absent_while_the_registry_is_silent() {
    let (world, _, _) = mirrored("");
    world.policy(
        "{name: os, scope: '127.0.0.1:1/**', trust: [acme], unsigned: allow, reason: tests}",
        "network: {mirrors: certs.d}",
    );
    let unsigned = world.push("unsigned");
    world.ask_about("127.0.0.1:1/acme/os:unsigned", &unsigned).refused("net");
}

#[test]
fn a_mirror_gets_no_credentials_of_the_registry() {
    let world = world(Options { auth: Auth::basic("user", PASSWORD), ..Options::default() });
    let mirror =
        TestRegistry::with(Options { auth: Auth::basic("user", PASSWORD), ..Options::default() });
    let image = world.push("v1");
    let host = world.registry.host();
    hosts(&world, &host, &format!("[host.\"http://{}\"]\n", mirror.host()));
    let login = json!({"auths": {&host: {"username": "user", "password": PASSWORD}}});
    world.plugin.write("login.json", login.to_string());
    world.policy(
        "{name: os, scope: HOST/**, trust: [acme]}",
        "network: {mirrors: certs.d}\nregistries: [{host: HOST, credentials: login.json}]",
    );
    world.ask("v1", &image).refused("auth");
    assert!(!mirror.requests().is_empty());
    assert!(mirror.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_hosts_file_that_is_not_read_refuses_its_own_registry_alone() {
    let (world, name, image) = mirrored("");
    hosts(&world, "127.0.0.1_1_", "[host.\"https://a.example/cache\"]\n");
    world.ask_about(&name, &image).refused("unsupported");
    world.ask("v1", &image).admitted();
    hosts(&world, "127.0.0.1_1_", "[host");
    world.ask_about(&name, &image).refused("policy");
}

/// `doctor --containerd`: exit code and text.
fn doctor(world: &World, config: &str) -> (Option<i32>, String) {
    let config = world.plugin.write(
        "config.toml",
        config.replace("BIN", &world.plugin.path("bin").display().to_string()),
    );
    let output = world.command().args(["doctor", "--containerd"]).arg(config).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn doctor_finds_what_makes_containerd_pull_unasked() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world(Options::default());
    let table = "[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = 'BIN'\n";
    let (code, text) = doctor(&world, table);
    assert!(code == Some(1) && text.contains("PROBLEM  there is no verifier in"), "{text}");
    let bin = world.plugin.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_luet-cosign"), bin.join("luet-cosign")).unwrap();
    let (code, text) = doctor(&world, table);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ok       containerd asks this program"), "{text}");
    for (more, found) in [
        ("max_verifiers = 0\n", "max_verifiers = 0"),
        ("per_verifier_timeout = '8s'\n", "containerd kills a verifier after 8 s"),
        (
            "[plugins.'io.containerd.cri.v1.images']\nuse_local_image_pull = true\n",
            "use_local_image_pull = true: containerd then pulls without asking",
        ),
    ] {
        let (code, text) = doctor(&world, &format!("{table}{more}"));
        assert!(code == Some(1) && text.contains(found), "{text}");
    }
    std::fs::write(bin.join("another"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(bin.join("another"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, text) = doctor(&world, table);
    assert!(
        code == Some(1) && text.contains("another is not executable: every pull fails"),
        "{text}"
    );
    assert!(text.contains("another is another verifier"), "{text}");
    world.plugin.write("policy.yaml", "version: 2");
    let (_, text) = doctor(&world, table);
    assert!(text.contains("so every image is refused"), "{text}");
}
