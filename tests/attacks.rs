//! Attacks on the decision whether bytes may be trusted, found by a review that had not seen why
//! the code is as it is. Each asserts what docs/threats.md promises; each
//! succeeded once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use luet_cosign::tree::{ExpectedTree, Limits, read_layer};
use luet_cosign::trust::PrivateKey;
use rustix::process::{Pid, Signal};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::OnceLock;
use testkit::{PASSWORD, Plugin, Reply, Signature, TestRegistry, envelope, layer, unpack};

const REPO: &str = "acme/packages";

struct Pair {
    private: String,
    public: String,
}
fn pair(n: usize) -> &'static Pair {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    &PAIRS.get_or_init(|| {
        (0..2)
            .map(|_| {
                let p = PrivateKey::generate(PASSWORD.as_bytes()).unwrap();
                Pair { private: p.private_pem.to_string(), public: p.public_pem }
            })
            .collect()
    })[n]
}

fn world(policy: &dyn Fn(&TestRegistry) -> String) -> (TestRegistry, Plugin) {
    let registry = TestRegistry::start();
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    plugin.write("a.pub", &pair(0).public);
    plugin.write("b.pub", &pair(1).public);
    let path = plugin.write("policy.yaml", policy(&registry)).display().to_string();
    let plugin = plugin.env("LUET_COSIGN_POLICY", &path);
    (registry, plugin)
}

/// One rule for the repository of these tests. Both keys are declared; the rule says whom it
/// trusts.
fn policy(registry: &TestRegistry, rule: &str) -> String {
    format!(
        "version: 1\ndefaults: {{unmatched: deny}}\nsigners:\n  a: {{key: a.pub}}\n  b: {{key: b.pub}}\nrepositories:\n  - {{name: r, scope: {}, {rule}}}\n",
        registry.name(REPO)
    )
}

fn env_world() -> (TestRegistry, Plugin) {
    let registry = TestRegistry::start();
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    let public = plugin.write("a.pub", &pair(0).public).display().to_string();
    let private = plugin.write("a.key", &pair(0).private).display().to_string();
    let plugin = plugin
        .env("COSIGN_PUBLIC_KEY_LOCATION", &public)
        .env("COSIGN_KEY_LOCATION", &private)
        .env("COSIGN_PASSWORD", PASSWORD)
        .env("LUET_COSIGN_ENGINE", "registry");
    (registry, plugin)
}

fn signature(
    registry: &TestRegistry,
    repo: &str,
    digest: &str,
    key: usize,
    optional: &str,
) -> Signature {
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":{optional}}}"#,
        registry.name(repo)
    );
    let key = PrivateKey::open(pair(key).private.as_bytes(), PASSWORD.as_bytes()).unwrap();
    let encoded = BASE64_STANDARD.encode(key.sign(payload.as_bytes()).unwrap());
    Signature {
        payload: payload.into_bytes(),
        annotations: vec![("dev.cosignproject.cosign/signature".to_owned(), encoded)],
    }
}

fn tree_of(layer: &[u8]) -> String {
    ExpectedTree::of(&[read_layer(layer, Limits::default()).unwrap()]).digest().unwrap().to_string()
}

fn good() -> Vec<u8> {
    layer(&[("usr/bin/tool", b"a tool")])
}
fn evil() -> Vec<u8> {
    layer(&[("usr/bin/tool", b"EVIL!!"), ("usr/bin/backdoor", b"x")])
}

/// Two keys must have signed. `a` (stolen) lies about the tree of the honest manifest; `b` signed
/// the honest manifest. The registry gives the host other layer bytes. `b` never vouched for what
/// is on disk.
#[test]
fn threshold_is_not_met_by_one_signers_claim_of_the_tree() {
    let (registry, plugin) = world(&|r| policy(r, "trust: {all_of: [a, b]}"));
    let image = registry.push_image(REPO, "t", &[&good()]);
    let lie = format!(r#"{{"luet-cosign.tree":"v1:{}"}}"#, tree_of(&evil()));
    registry.push_signatures(
        REPO,
        &image.digest,
        &[
            signature(&registry, REPO, &image.digest, 0, &lie),
            signature(&registry, REPO, &image.digest, 1, "null"),
        ],
    );
    let dest = plugin.dest("d");
    assert_eq!(plugin.pre_unpack(&registry.name(&format!("{REPO}:t")), &dest).error, "");
    unpack(&evil(), &dest);
    let reply = plugin.post_unpack(&registry.name(&format!("{REPO}:t")), &dest);
    reply.assert_refused("tree");
}

/// As above, but both are honest about trees; the two signatures are of two subjects (index, and
/// one child).
#[test]
fn threshold_is_not_met_by_signatures_of_two_subjects() {
    let (registry, plugin) = world(&|r| policy(r, "trust: {all_of: [a, b]}"));
    let amd = registry.push_image(REPO, "amd", &[&good()]);
    let arm = registry.push_image(REPO, "arm", &[&evil()]);
    let index = registry.push_index(REPO, "t", &[(&amd, "linux/amd64"), (&arm, "linux/arm64")]);
    registry.push_signatures(REPO, &index, &[signature(&registry, REPO, &index, 0, "null")]);
    registry.push_signatures(
        REPO,
        &amd.digest,
        &[signature(&registry, REPO, &amd.digest, 1, "null")],
    );
    let dest = plugin.dest("d");
    let name = registry.name(&format!("{REPO}:t"));
    let data = serde_json::json!({"Image": name, "Dest": dest});
    let content = plugin.dest("content");
    unpack(&evil(), &content);
    // A host that was started with `--platform linux/arm64` (or an old luet, always amd64, on
    // arm64).
    let command = plugin.raw();
    let program = command.get_program().to_owned();
    let envs: Vec<_> =
        command.get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
    let script = r#""$PROG" image.pre.unpack "$PRE"; echo; cp -a "$CONTENT"/. "$DEST"/; chmod 700 "$DEST"; "$PROG" image.post.unpack "$POST"; true"#;
    let out = std::process::Command::new("bash")
        .args(["-c", script, "luet", "install", "--platform", "linux/arm64"])
        .env_clear()
        .envs(envs)
        .env("PROG", program)
        .env("PRE", envelope("image.pre.unpack", &data))
        .env("POST", envelope("image.post.unpack", &data))
        .env("CONTENT", content)
        .env("DEST", &dest)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains(r#""error":"""#), "{text}");
    assert!(
        !lines[1].contains(r#""error":"""#),
        "b never signed the arm64 image, yet it passed: {text}"
    );
}

/// The registry that must be signed leaves an evil file and breaks off; the next mirror may be
/// unsigned and is honest.
#[test]
fn leftovers_of_a_strict_mirror_do_not_pass_under_an_allowed_one() {
    let (registry, mut plugin) = env_world();
    let image = registry.push_image(REPO, "t", &[&good()]);
    registry.push_signatures(
        REPO,
        &image.digest,
        &[signature(&registry, REPO, &image.digest, 0, "null")],
    );
    registry.push_image("mirror/packages", "t", &[&good()]);
    plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", &registry.name("mirror/packages"));
    let dest = plugin.dest("d");
    assert_eq!(plugin.pre_unpack(&registry.name(&format!("{REPO}:t")), &dest).error, "");
    // Its layer bytes are evil, and end too early: luet goes on to the next URL, into the same
    // directory.
    std::fs::create_dir_all(dest.join("etc/cron.d")).unwrap();
    std::fs::write(dest.join("etc/cron.d/evil"), "* * * * * root sh").unwrap();
    let pre = plugin.pre_unpack(&registry.name("mirror/packages:t"), &dest);
    if pre.error.is_empty() {
        unpack(&good(), &dest);
        let reply = plugin.post_unpack(&registry.name("mirror/packages:t"), &dest);
        assert!(
            !reply.error.is_empty() || !dest.join("etc/cron.d/evil").exists(),
            "the strict mirror's file passed: {reply:?}"
        );
    }
}

/// The other order: what an allowed mirror left counts as "was there before" for the strict one.
#[test]
fn leftovers_of_an_allowed_mirror_are_not_what_was_there_before() {
    let (registry, mut plugin) = env_world();
    let image = registry.push_image(REPO, "t", &[&good()]);
    registry.push_signatures(
        REPO,
        &image.digest,
        &[signature(&registry, REPO, &image.digest, 0, "null")],
    );
    registry.push_image("mirror/packages", "t", &[&good()]);
    plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", &registry.name("mirror/packages"));
    let dest = plugin.dest("d");
    assert_eq!(plugin.pre_unpack(&registry.name("mirror/packages:t"), &dest).error, "");
    std::fs::write(dest.join("evil"), "x").unwrap();
    assert_eq!(plugin.pre_unpack(&registry.name(&format!("{REPO}:t")), &dest).error, "");
    unpack(&good(), &dest);
    plugin.post_unpack(&registry.name(&format!("{REPO}:t")), &dest).assert_refused("tree");
}

/// `file://**` lets local files pass; `luet util unpack --local quay.io/x` is a remote pull with a
/// post event alone.
#[test]
fn file_scope_does_not_let_a_remote_image_pass() {
    let (registry, mut plugin) = env_world();
    plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", "file://**");
    registry.push_image("stranger/evil", "t", &[&evil()]);
    let dest = plugin.dest("d");
    unpack(&evil(), &dest);
    let reply = plugin.post_unpack(&registry.name("stranger/evil:t"), &dest);
    assert!(
        !reply.error.is_empty(),
        "an unsigned remote image passed, nothing was asked ({} requests): {reply:?}",
        registry.requests().len()
    );
}

fn unpack_one(
    registry: &TestRegistry,
    plugin: &Plugin,
    dest: &str,
    content: &[u8],
    tag: &str,
) -> Reply {
    let image = registry.push_image(REPO, tag, &[content]);
    registry.push_signatures(
        REPO,
        &image.digest,
        &[signature(registry, REPO, &image.digest, 0, "null")],
    );
    let dest = plugin.dest(dest);
    let name = registry.name(&format!("{REPO}:{tag}"));
    let pre = plugin.pre_unpack(&name, &dest);
    assert_eq!(pre.error, "");
    unpack(content, &dest);
    plugin.post_unpack(&name, &dest)
}

fn rollback_policy(r: &TestRegistry, what: &str) -> String {
    policy(r, &format!("trust: [a], rollback: {what}"))
}

/// `rollback: deny`, and a description without `revision` (Go: `omitempty`, so revision 0): passes,
/// and wipes the memory.
#[test]
fn a_description_without_a_revision_is_not_a_way_round_rollback() {
    let (registry, plugin) = world(&|r| rollback_policy(r, "deny"));
    let doc = |text: &str| layer(&[("repository.yaml", text.as_bytes())]);
    assert_eq!(
        unpack_one(
            &registry,
            &plugin,
            "d1",
            &doc("name: acme\nrevision: 100\n"),
            "repository.yaml"
        )
        .error,
        ""
    );
    let none = unpack_one(&registry, &plugin, "d2", &doc("name: acme\n"), "repository.yaml");
    let old =
        unpack_one(&registry, &plugin, "d3", &doc("name: acme\nrevision: 5\n"), "repository.yaml");
    assert!(!none.error.is_empty(), "no revision passed; and then revision 5 after 100: {old:?}");
}

/// `bind_tag: required` is met by a signature that names no tag, when the registry wraps the image
/// in an index of its own.
#[test]
fn an_unsigned_index_does_not_loosen_bind_tag_required() {
    let (registry, plugin) = world(&|r| policy(r, "trust: [a], bind_tag: required"));
    let image = registry.push_image(REPO, "direct", &[&good()]);
    let claim = format!(r#"{{"luet-cosign.repository":"{}"}}"#, registry.name(REPO));
    registry.push_signatures(
        REPO,
        &image.digest,
        &[signature(&registry, REPO, &image.digest, 0, &claim)],
    );
    plugin
        .pre_unpack(&registry.name(&format!("{REPO}:direct")), &plugin.dest("d1"))
        .assert_refused("binding");
    registry.push_index(REPO, "wrapped", &[(&image, "linux/amd64")]);
    plugin
        .pre_unpack(&registry.name(&format!("{REPO}:wrapped")), &plugin.dest("d2"))
        .assert_refused("binding");
}

/// A state directory that exists and cannot be used is passed over, and with it the memory of
/// downgrades.
#[test]
fn a_memory_that_cannot_be_used_is_not_forgotten() {
    let (registry, plugin) = world(&|r| policy(r, "trust: [a], unsigned: allow, reason: x"));
    assert_eq!(unpack_one(&registry, &plugin, "d1", &good(), "t").error, "");
    registry.push_image(REPO, "t", &[&evil()]);
    let name = registry.name(&format!("{REPO}:t"));
    plugin.pre_unpack(&name, &plugin.dest("d2")).assert_refused("rollback");
    // An administrator opens the directory to look at it.
    std::fs::set_permissions(
        plugin.path("state/luet-cosign"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let reply = plugin.pre_unpack(&name, &plugin.dest("d3"));
    assert!(!reply.error.is_empty(), "the downgrade passed: {reply:?}");
}

/// A group that may write the key file of a root-only policy decides who is trusted.
#[test]
fn keys_of_a_policy_are_held_to_what_the_policy_is_held_to() {
    let (registry, plugin) = world(&|r| policy(r, "trust: [a]"));
    std::fs::set_permissions(plugin.path("a.pub"), std::fs::Permissions::from_mode(0o664)).unwrap();
    std::os::unix::fs::chown(plugin.path("a.pub"), Some(0), Some(100)).unwrap();
    let image = registry.push_image(REPO, "t", &[&good()]);
    registry.push_signatures(
        REPO,
        &image.digest,
        &[signature(&registry, REPO, &image.digest, 0, "null")],
    );
    let reply = plugin.pre_unpack(&registry.name(&format!("{REPO}:t")), &plugin.dest("d"));
    assert!(!reply.error.is_empty(), "group `users` can write the key: {reply:?}");
}

/// The password of a URL is in what is printed.
#[test]
fn the_password_of_a_key_url_is_not_shown() {
    let (registry, plugin) = env_world();
    let out = plugin.run([
        "verify",
        "--key",
        "https://user:canary-secret@127.0.0.1:1/key.pub",
        &registry.name("acme/packages:t"),
    ]);
    let text =
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!text.contains("canary-secret"), "{text}");
    let (_, mut plugin) = env_world();
    plugin.set("COSIGN_PUBLIC_KEY_LOCATION", "https://user:canary-secret@127.0.0.1:1/key.pub");
    let reply = plugin.pre_unpack("127.0.0.1:1/x/y:t", &plugin.dest("d"));
    assert!(!reply.error.contains("canary-secret"), "{}", reply.error);
    plugin.set("COSIGN_PUBLIC_KEY_LOCATION", "https://user:canary-secret@[bad/key.pub");
    let reply = plugin.pre_unpack("127.0.0.1:1/x/y:t", &plugin.dest("d2"));
    assert!(!reply.error.contains("canary-secret"), "{}", reply.error);
}

/// Whatever a URL with a password is given for, by mistake or not.
#[test]
fn no_command_shows_the_password_of_a_url_or_the_body_of_a_key() {
    let (_, plugin) = env_world();
    let plugin = plugin.env("COSIGN_PUBLIC_KEY_LOCATION", "");
    let file = plugin.write("file", "x").display().to_string();
    let signature = plugin.write("signature", "x").display().to_string();
    let public = plugin.write("k.pub", &pair(0).public).display().to_string();
    let body = "canary6snTjQWEtBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    let mut places = vec![
        body.replace('T', " "),
        body.replace('T', "_"),
        body.replace('T', "-"),
        body.replace('T', "\n"),
    ];
    for url in [
        "https://u:canary@127.0.0.1:1/s?t=canary#canary",
        "https:/u:canary@127.0.0.1:1/s?t=canary",
        "http://canary@127.0.0.1:1/s?t=canary",
    ] {
        places.push(url.to_owned());
        for command in [
            vec!["check", url],
            vec!["check", "--json", url],
            vec!["verify", "--key", &public, url],
            vec!["verify", "--key", &public, url, url],
            vec!["verify", "--json", "--key", &public, url],
            vec!["sign", "--key", &public, url],
            vec!["triangulate", url],
            vec!["verify-blob", "--key", &public, "--signature", &signature, url],
            vec!["verify-blob", "--key", &public, "--signature", &signature, "--all", url],
            vec!["verify-blob", "--key", &public, "--signature", url, &file],
            vec!["verify-blob", "--key", &public, "--bundle", url, &file],
            vec!["verify-blob-attestation", "--key", &public, "--bundle", url, &file],
            vec!["verify-blob-attestation", "--key", &public, "--bundle", &signature, url],
        ] {
            hides_canary(&plugin, &command);
        }
        hides_canary(&plugin, &["doctor", url.split('?').next().unwrap()]);
    }
    for place in &places {
        for command in [
            vec!["verify", "--key", place, "127.0.0.1:1/x/y:t"],
            vec!["sign", "--key", place, "127.0.0.1:1/x/y:t"],
            vec!["public-key", "--key", place],
            vec!["verify-blob", "--key", place, "--signature", &signature, &file],
        ] {
            hides_canary(&plugin, &command);
        }
    }
}

/// Where the namespace maps nobody, every other user's files seem to be this user's own.
#[test]
fn where_the_user_namespace_does_not_map_root_it_is_said_and_a_variable_named() {
    let (_, plugin) = env_world();
    let public = plugin.path("a.pub").display().to_string();
    let program = env!("CARGO_BIN_EXE_luet-cosign");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new("unshare")
            .args(["--user", "--", program, "public-key", "--key"])
            .args(arguments)
            .output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Where namespaces are forbidden there is nothing to see.
    let Some(text) = run(&[&public]).filter(|text| !text.contains("unshare")) else { return };
    assert!(text.contains("does not map"), "{text}");
    assert!(text.contains("env://VARIABLE"), "{text}");
    assert!(!text.contains("/etc/luet") && !text.contains("chmod"), "{text}");
}

fn hides_canary(plugin: &Plugin, command: &[&str]) {
    let output = plugin.run(command);
    assert!(!output.status.success(), "{command:?}: {output:?}");
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(text);
        assert!(!text.contains("canary"), "{command:?}: {text}");
    }
}

/// A refusal leaves the handoff of an earlier yes for the same image and directory.
#[test]
fn a_refusal_takes_back_an_earlier_yes() {
    let (registry, mut plugin) = env_world();
    registry.push_image(REPO, "t", &[&good()]);
    plugin.set("COSIGN_SKIP", ".*");
    let dest = plugin.dest("d");
    let name = registry.name(&format!("{REPO}:t"));
    assert_eq!(plugin.pre_unpack(&name, &dest).error, "");
    plugin.unset("COSIGN_SKIP");
    plugin.pre_unpack(&name, &dest).assert_refused("unsigned");
    unpack(&evil(), &dest);
    let reply = plugin.post_unpack(&name, &dest);
    assert!(
        !reply.error.is_empty(),
        "the last pre event refused, and the post event says yes: {reply:?}"
    );
}

fn lax(r: &TestRegistry) -> String {
    policy(r, "trust: [a], unsigned: allow, reason: x")
}

/// What is under `.sig` and cannot be read at all is no "absence".
#[test]
fn a_sig_tag_of_unknown_layers_is_not_unsigned() {
    let (registry, plugin) = world(&|r| lax(r));
    let image = registry.push_image(REPO, "t", &[&good()]);
    let blob = registry.push_blob(REPO, b"{}");
    let m = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"{blob}"}},"layers":[{{"mediaType":"application/vnd.dev.cosign.simplesigning.v2+json","size":2,"digest":"{blob}","annotations":{{"dev.cosignproject.cosign/signature":"AAAA"}}}}]}}"#
    );
    registry.push_manifest(
        REPO,
        Some(&format!("{}.sig", image.digest.replace(':', "-"))),
        testkit::registry::MANIFEST,
        m.as_bytes(),
    );
    let reply = plugin.pre_unpack(&registry.name(&format!("{REPO}:t")), &plugin.dest("d"));
    assert!(!reply.error.is_empty(), "{reply:?}");
}

/// A Notary v2 signature is a signature in a form that this version does not read.
#[test]
fn a_notary_signature_is_not_unsigned() {
    let (registry, plugin) = world(&|r| lax(r));
    let image = registry.push_image(REPO, "t", &[&good()]);
    registry.push_referrer(REPO, &image, "application/vnd.cncf.notary.signature", b"{}");
    let reply = plugin.pre_unpack(&registry.name(&format!("{REPO}:t")), &plugin.dest("d"));
    assert!(!reply.error.is_empty(), "{reply:?}");
}

/// The name in a payload is whatever its signer wrote. It steers no terminal, begins no line and
/// hides nothing, in no output of any command; in JSON it is the same value.
#[test]
fn a_name_that_a_signer_wrote_reaches_no_terminal_as_it_is() {
    let hostile = "evil\u{1b}]0;x\u{7}\u{1b}[2J\nVERIFIED  all\r\u{9b}31m\u{7f}\u{85}\u{202e}\u{ad}\u{3164}\u{1160}\u{e0041}\u{200b}\u{2028}\u{feff}";
    let (registry, plugin) = env_world();
    let image = registry.push_image(REPO, "t", &[&good()]);
    let payload = serde_json::json!({
        "critical": {
            "identity": {"docker-reference": hostile},
            "image": {"docker-manifest-digest": image.digest},
            "type": "cosign container image signature",
        },
        "optional": {"note": hostile},
    });
    let payload = payload.to_string().into_bytes();
    let key = PrivateKey::open(pair(0).private.as_bytes(), PASSWORD.as_bytes()).unwrap();
    let encoded = BASE64_STANDARD.encode(key.sign(&payload).unwrap());
    let annotations = vec![("dev.cosignproject.cosign/signature".to_owned(), encoded)];
    registry.push_signatures(REPO, &image.digest, &[Signature { payload, annotations }]);
    let name = registry.name(&format!("{REPO}:t"));
    let key = plugin.path("a.pub").display().to_string();
    for command in [
        &["check", &name][..],
        &["--json", "check", &name],
        &["verify", &name],
        &["verify", "--key", &key, &name],
        &["verify", "--output", "text", &name],
        &["--json", "verify", &name],
    ] {
        let output = plugin.run(command);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
        for bytes in [&output.stdout, &output.stderr] {
            let text = std::str::from_utf8(bytes).unwrap();
            let plain = |c: u8| c == b'\n' || (0x20..0x7f).contains(&c);
            assert!(text.bytes().all(plain), "{command:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("VERIFIED  all")), "{text}");
        }
        if command.contains(&"--json") || command[0] == "verify" {
            let text = std::str::from_utf8(&output.stdout).unwrap().trim();
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert!(value.to_string().contains(&serde_json::json!(hostile).to_string()), "{value}");
        } else {
            assert!(String::from_utf8_lossy(&output.stdout).contains("signed as `evil\\u{1b}]0;x"));
        }
    }
    let mut debug = plugin;
    debug.set("COSIGN_DEBUG", "1");
    let reply = debug.pre_unpack(&name, &debug.dest("d"));
    assert!(reply.error.is_empty() && !reply.state.contains(char::is_control), "{reply:?}");
}

/// A host that is a program: prints its arguments, then runs the plugin as luet finds it, once for
/// each line of the file `events`, and ends with the code in `code`.
const HOST: &str = r##"
use std::process::Command;
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("host: {}", arguments.join(" "));
    let path = std::env::var_os("PATH").unwrap();
    let named = arguments.iter().any(|word| word == "--plugin=luet-cosign");
    let plugin = std::env::split_paths(&path)
        .map(|folder| folder.join("luet-cosign"))
        .find(|path| path.symlink_metadata().is_ok());
    let events = std::fs::read_to_string("events").unwrap_or_default();
    for line in events.lines() {
        let (event, payload) = line.split_once(' ').unwrap();
        if event == "move" {
            let (from, to) = payload.split_once(' ').unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                let to = std::path::Path::new(to).join(entry.file_name());
                std::fs::rename(entry.path(), to).unwrap();
            }
            continue;
        }
        if event == "show" {
            println!("first: {}", plugin.as_ref().unwrap().display());
            continue;
        }
        if event == "wait" {
            println!("waiting");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            continue;
        }
        if event == "rename" {
            let (from, to) = payload.split_once(' ').unwrap();
            std::fs::rename(from, to).unwrap();
            continue;
        }
        let (true, Some(plugin)) = (named, &plugin) else { continue };
        let output = Command::new(plugin).args([event, payload]).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        println!("{event}: {answer}");
        if !output.status.success() || !answer.contains(r#""error":"""#) {
            std::process::exit(2);
        }
    }
    let code = std::fs::read_to_string("code").unwrap_or_default();
    std::process::exit(code.trim().parse().unwrap_or(0));
}
"##;

fn host(plugin: &Plugin) {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("host.rs"), folder.path().join("host"));
        std::fs::write(&source, HOST).unwrap();
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let built = std::process::Command::new(rustc)
            .args(["--edition", "2021", "-o"])
            .args([&program, &source])
            .status();
        assert!(built.unwrap().success());
        std::fs::read(program).unwrap()
    });
    let path = plugin.write("luet", built);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Puts the plugin itself on PATH, so that `run` needs no directory for that.
fn first_on_path(plugin: &mut Plugin) {
    let bin = plugin.dest("bin");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_luet-cosign"), bin.join("luet-cosign")).unwrap();
    plugin.set("PATH", &format!("{}:/usr/bin:/bin", bin.display()));
}

fn shown(output: &std::process::Output) -> String {
    [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat()
}

/// `sudo` drops PATH; a script in front of luet drops whatever it likes, and a package that prints
/// what luet prints is believed by its readers.
#[test]
fn run_starts_luet_itself_and_nothing_that_could_drop_the_plugin() {
    let (_registry, plugin) = env_world();
    let list = "#!/bin/sh\necho ' INFO Enabled plugins:'\necho ' INFO  luet-cosign (at /bin/luet-cosign)'\n";
    for name in ["luet", "sudo", "env"] {
        let path = plugin.write(name, list);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for words in [
        &["./luet", "install", "x"][..],
        &["./sudo", "luet", "install", "x"],
        &["sudo", "luet", "install", "x"],
        &["env", "luet", "install", "x"],
        &["sh", "-c", "luet install x"],
        &["./missing/luet", "install"],
    ] {
        let output = plugin.run(["run", "--"].iter().chain(words));
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
        assert!(text.contains("sudo luet-cosign run -- luet"), "{words:?}: {text}");
        assert!(!text.contains("Enabled"), "nothing was started: {text}");
    }
}

/// No event is not a failure: a second install, an idle upgrade and a search fire none. What a host
/// prints is passed through and means nothing.
#[test]
fn a_run_without_events_ends_well_and_says_that_nothing_was_unpacked() {
    let (_registry, plugin) = env_world();
    host(&plugin);
    for words in
        [&["run", "--", "./luet", "search"][..], &["run", "--strict", "--", "./luet", "-y"]]
    {
        let output = plugin.run(words);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("host: --plugin=luet-cosign "), "{text}");
        assert!(text.contains("luet-cosign: nothing was unpacked"), "{text}");
    }
    plugin.write("code", "7");
    assert_eq!(plugin.run(["run", "--", "./luet", "search"]).status.code(), Some(7));
}

#[test]
fn run_says_what_was_verified_and_names_what_came_from_a_cache() {
    let (registry, plugin) = env_world();
    host(&plugin);
    let tag = "yip-toolchain-1.0-1";
    let image = registry.push_image(REPO, tag, &[&good()]);
    let signed = signature(&registry, REPO, &image.digest, 0, "null");
    registry.push_signatures(REPO, &image.digest, &[signed]);
    let (dest, content) = (plugin.dest("d"), plugin.dest("content"));
    unpack(&good(), &content);
    let data = serde_json::json!({"Image": registry.name(&format!("{REPO}:{tag}")), "Dest": dest});
    let event = |name: &str| format!("{name} {}", envelope(name, &data));
    let installed = |package: &str| {
        let data = serde_json::json!({
            "Package": {"name": package, "category": "toolchain", "version": "1.0+1"},
            "Repository": {"urls": [registry.name(REPO)], "auth": {"password": "p"}},
        });
        format!("package.install {}", envelope("package.install", &data))
    };
    let run = |strict: bool, events: &[String]| {
        plugin.write("events", events.join("\n"));
        let words = ["run", if strict { "--strict" } else { "--" }];
        let output = plugin.run(words.iter().chain(&["./luet", "install"]));
        (output.status.code(), shown(&output))
    };
    let pre = event("image.pre.unpack");
    let (code, text) = run(false, &[pre.clone(), installed("yip")]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("nothing was unpacked"), "a pre event proves nothing: {text}");
    assert!(text.contains("toolchain/yip-1.0+1: installed, but not unpacked"), "{text}");
    assert_eq!(run(true, &[pre.clone(), installed("yip")]).0, Some(2));

    let moved = format!("move {} {}", content.display(), dest.display());
    let all = [pre, moved, event("image.post.unpack"), installed("yip"), installed("cached")];
    let (code, text) = run(true, &all);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("luet-cosign: 1 image verified\n"), "{text}");
    assert!(
        text.contains("toolchain/cached-1.0+1: installed") && !text.contains("yip-1.0+1:"),
        "{text}"
    );
    let (code, text) = run(true, &[event("image.post.unpack"), installed("yip")]);
    assert_eq!(code, Some(2), "what another run verified counts for nothing here: {text}");
    // Without `run`, the event is answered unread.
    plugin.send("package.install", "not JSON at all").assert_silent_success();
}

/// Anyone who can rename what is in TMPDIR puts another program into the place of the first one on
/// PATH. `sudo` may keep TMPDIR.
#[test]
fn run_puts_no_folder_on_path_that_someone_else_can_replace() {
    let (_registry, mut plugin) = env_world();
    host(&plugin);
    plugin.write("events", "show x");
    let shared = plugin.dest("shared");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    plugin.set("TMPDIR", shared.to_str().unwrap());
    let output = plugin.run(["run", "--strict", "--", "./luet", "install"]);
    let text = shown(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let state = plugin.path("state");
    assert!(text.contains(&format!("first: {}", state.display())), "{text}");
    assert!(std::fs::read_dir(&shared).unwrap().next().is_none(), "nothing was made there");
    let runs = std::fs::read_dir(state.join("luet-cosign/runs")).unwrap();
    assert_eq!(runs.count(), 0, "nothing is left");

    // Where no place is the user's own, luet is not started.
    plugin.set("LUET_COSIGN_STATE", "/proc/nope");
    for strict in ["--strict", "--"] {
        let output = plugin.run(["run", strict, "./luet", "install"]);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(!text.contains("host:"), "{text}");
    }
}

/// Nothing that was reported is not nothing that happened, where nothing can be reported.
#[test]
fn a_strict_run_starts_nothing_whose_events_could_leave_no_mark() {
    let (_registry, mut plugin) = env_world();
    host(&plugin);
    first_on_path(&mut plugin);
    let folder = plugin.dest("open");
    let runs = folder.join("runs");
    std::fs::create_dir(&runs).unwrap();
    std::fs::set_permissions(&runs, std::fs::Permissions::from_mode(0o755)).unwrap();
    for state in ["/proc/nope", folder.to_str().unwrap()] {
        plugin.set("LUET_COSIGN_STATE", state);
        let output = plugin.run(["run", "--strict", "--", "./luet", "install"]);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("state") && !text.contains("host:"), "{text}");
        let output = plugin.run(["run", "--", "./luet", "install"]);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("host:") && text.contains("cannot tell at the end"), "{text}");
        assert!(!text.contains("nothing was unpacked"), "{text}");
    }
}

#[test]
fn a_mark_that_cannot_be_left_is_not_silent_for_a_strict_run() {
    let (registry, mut plugin) = env_world();
    host(&plugin);
    first_on_path(&mut plugin);
    let data = serde_json::json!({
        "Package": {"name": "yip", "category": "toolchain", "version": "1.0+1"},
        "Repository": {"urls": [registry.name(REPO)]},
    });
    let installed = envelope("package.install", &data);
    let runs = plugin.path("state").join("luet-cosign/runs");
    let gone = format!("rename {} {}", runs.display(), plugin.path("away").display());
    let run = |events: &[&str], strict: &str| {
        let _ = std::fs::remove_dir_all(plugin.path("away"));
        plugin.write("events", events.join("\n"));
        let output = plugin.run(["run", strict, "./luet", "install"]);
        (output.status.code(), shown(&output))
    };
    let event = format!("package.install {installed}");
    let (code, text) = run(&[&event], "--strict");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("yip-1.0+1: installed, but not unpacked"), "{text}");
    let (code, text) = run(&[&event, &gone], "--strict");
    assert_eq!(code, Some(1), "marks that are gone are not none: {text}");
    let (code, text) = run(&[&gone, &event], "--strict");
    assert!(code != Some(0) && text.contains("luet-cosign run"), "{text}");
    // As luet would call it where nothing depends on the mark.
    let (code, text) = run(&[&gone, &event], "--");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("cannot tell what was verified"), "{text}");

    // An event that keeps its files elsewhere than `run` reads, or whose `run` is over.
    let other = runs.join("run-1-1-x-1");
    for place in [plugin.path("other"), other] {
        plugin.set("LUET_COSIGN_RUN", &format!("strict:{}", place.display()));
        plugin.send("package.install", &installed).assert_refused("state");
        assert!(!place.exists(), "the variable makes nothing");
        plugin.set("LUET_COSIGN_RUN", place.to_str().unwrap());
        plugin.send("package.install", &installed).assert_silent_success();
    }
}

/// What a rule lets be unsigned was decided by the policy, in an event: no cache was in between,
/// and no cleaning would change it.
#[test]
fn a_strict_run_takes_what_the_policy_allows_unsigned() {
    let rule = |registry: &TestRegistry| policy(registry, "trust: [a], unsigned: warn");
    let (registry, plugin) = world(&rule);
    host(&plugin);
    let tag = "yip-toolchain-1.0";
    registry.push_image(REPO, tag, &[&good()]);
    let (dest, content) = (plugin.dest("d"), plugin.dest("content"));
    unpack(&good(), &content);
    let data = serde_json::json!({"Image": registry.name(&format!("{REPO}:{tag}")), "Dest": dest});
    let event = |name: &str| format!("{name} {}", envelope(name, &data));
    let package = serde_json::json!({
        "Package": {"name": "yip", "category": "toolchain", "version": "1.0"},
        "Repository": {"urls": [registry.name(REPO)]},
    });
    let installed = format!("package.install {}", envelope("package.install", &package));
    let moved = format!("move {} {}", content.display(), dest.display());
    let events = [event("image.pre.unpack"), moved, event("image.post.unpack"), installed];
    plugin.write("events", events.join("\n"));
    let output = plugin.run(["run", "--strict", "--", "./luet", "install"]);
    let text = shown(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("yip-1.0: installed; the policy lets it be unsigned"), "{text}");
}

/// Who stops a service or a container signals `run` alone. luet must not go on installing, which
/// nobody would report.
#[test]
fn signals_that_would_end_a_run_end_luet() {
    let (_registry, plugin) = env_world();
    host(&plugin);
    plugin.write("events", "wait x");
    let end = |mut command: std::process::Command, signals: &[Signal]| {
        let piped = std::process::Stdio::piped;
        let mut run = command.stdin(piped()).stdout(piped()).spawn().unwrap();
        // The host ends by itself when this is dropped, whatever the test comes to.
        let held = run.stdin.take();
        let mut output = BufReader::new(run.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("waiting") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0);
        }
        for signal in signals {
            rustix::process::kill_process(Pid::from_child(&run), *signal).unwrap();
        }
        let status = run.wait().unwrap();
        assert_eq!(status.code(), Some(128 + signals.last().unwrap().as_raw()), "{status:?}");
        // Nobody holds its other end any more: luet is gone.
        output.read_to_string(&mut line).unwrap();
        drop(held);
        let runs = std::fs::read_dir(plugin.path("state").join("luet-cosign/runs")).unwrap();
        assert_eq!(runs.count(), 0, "nothing is left");
    };
    for signal in [Signal::TERM, Signal::HUP] {
        // What the tests were started with (`nohup`, a shell's `&`) may ignore these, and programs
        // inherit that.
        let mut command = plugin.raw_of("/usr/bin/env");
        command.args(["--default-signal=TERM,INT,HUP", env!("CARGO_BIN_EXE_luet-cosign")]);
        command.args(["run", "--", "./luet", "install"]);
        end(command, &[signal]);
    }
    // As `nohup` does it.
    let mut ignoring = plugin.raw_of("sh");
    let program = env!("CARGO_BIN_EXE_luet-cosign");
    ignoring.args(["-c", "trap '' HUP; exec \"$@\"", "sh", program, "run", "./luet", "install"]);
    end(ignoring, &[Signal::HUP, Signal::TERM]);
}
