//! `sign-blob`, at the real binary: what is written holds, and where something is wrong nothing is
//! written. What others read of it is for `crates/e2e`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use luet_cosign::trust::PrivateKey;
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use testkit::{PASSWORD, Plugin, make_keys};

const FILE: &[u8] = b"what is released\n";

/// The types of keys, by the names of their files in `src/trust/testdata/keys`.
const TYPES: [&str; 7] = ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072", "rsa4096"];

/// A program with the key `k.key`, `k.pub` and the file `f`.
fn plugin() -> Plugin {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign")).env("COSIGN_PASSWORD", PASSWORD);
    make_keys(&plugin, "k");
    plugin.write("f", FILE);
    plugin
}

fn run(plugin: &Plugin, words: &str) -> Output {
    plugin.run(words.split_whitespace())
}

#[track_caller]
fn succeed(plugin: &Plugin, words: &str) -> String {
    let output = run(plugin, words);
    assert!(output.status.success(), "{words}: {output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains(PASSWORD), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts that a command fails as this class, and that no file came to be.
#[track_caller]
fn refused(plugin: &Plugin, words: &str, class: &str) -> String {
    let before = files(plugin);
    let output = run(plugin, words);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{words}: {text}");
    assert!(text.contains(&format!("error: {class}: ")), "{words}: {text}");
    assert!(text.contains("\nhint: "), "{words}: {text}");
    assert!(output.stdout.is_empty(), "{words}: something on standard output");
    assert_eq!(files(plugin), before, "{words}");
    text
}

fn files(plugin: &Plugin) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(plugin.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

fn import(plugin: &Plugin, kind: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("src/trust/testdata/keys/{kind}.pem"));
    let pem = std::fs::read(path).unwrap();
    let pair = PrivateKey::import(&pem, PASSWORD.as_bytes()).unwrap();
    plugin.write("k.key", pair.private_pem.as_bytes());
    plugin.write("k.pub", pair.public_pem.as_bytes());
}

#[test]
fn every_type_of_key_signs_in_every_form_and_our_verifier_reads_it() {
    let plugin = plugin();
    for kind in TYPES {
        import(&plugin, kind);
        for file in ["f", "empty"] {
            plugin.write("empty", "");
            let words =
                format!("sign-blob --key k.key --bundle b.json --output-signature s.sig -y {file}");
            assert_eq!(succeed(&plugin, &words), "", "{kind}");
            succeed(&plugin, &format!("verify-blob --key k.pub --bundle b.json {file}"));
            succeed(&plugin, &format!("verify-blob --key k.pub --signature s.sig {file}"));
            let other = if file == "f" { "empty" } else { "f" };
            for evidence in ["--bundle b.json", "--signature s.sig"] {
                refused(
                    &plugin,
                    &format!("verify-blob --key k.pub {evidence} {other}"),
                    "signature",
                );
            }
        }
        let words = "sign-blob --key k.key --new-bundle-format=false --bundle o.json f";
        assert_eq!(succeed(&plugin, words), "");
        let old: Value =
            serde_json::from_slice(&std::fs::read(plugin.path("o.json")).unwrap()).unwrap();
        assert!(old.as_object().unwrap().keys().eq(["base64Signature"]), "{old}");
        succeed(&plugin, "verify-blob --key k.pub --bundle o.json f");
    }
}

#[test]
fn without_an_output_the_signature_is_printed_as_cosign_2_does() {
    let plugin = plugin();
    let line = succeed(&plugin, "sign-blob --key k.key f");
    assert_eq!((line.lines().count(), line.ends_with('\n')), (1, true), "{line:?}");
    plugin.write("s.sig", &line);
    succeed(&plugin, "verify-blob --key k.pub --signature s.sig f");
    let raw = run(&plugin, "sign-blob --key k.key --b64=false f").stdout;
    assert_eq!(raw.first(), Some(&0x30), "DER, as it is");
    plugin.write("s.raw", &raw);
    succeed(&plugin, "verify-blob --key k.pub --signature s.raw f");
    let several = succeed(&plugin, "sign-blob --key k.key f f k.pub");
    assert_eq!(several.lines().count(), 3);
    plugin.write("s.sig", several.lines().last().unwrap());
    succeed(&plugin, "verify-blob --key k.pub --signature s.sig k.pub");
}

#[test]
fn a_pipe_is_signed_too_and_the_password_does_not_come_from_it() {
    let mut plugin = plugin();
    for kind in ["p256", "ed25519"] {
        import(&plugin, kind);
        let mut child = plugin
            .raw()
            .args(["sign-blob", "--key", "k.key", "--output-signature", "s.sig", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(FILE).unwrap();
        assert!(child.wait().unwrap().success(), "{kind}");
        succeed(&plugin, "verify-blob --key k.pub --signature s.sig f");
    }
    plugin.unset("COSIGN_PASSWORD");
    // A session of its own has no terminal that could be asked.
    let output = plugin
        .raw_of("setsid")
        .args(["-w", env!("CARGO_BIN_EXE_luet-cosign"), "sign-blob", "--key", "k.key", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("the password cannot come from there"), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_written() {
    let plugin = plugin();
    plugin.write("s.sig", "of before");
    let sign = |words: &str, class: &str| {
        refused(&plugin, &format!("sign-blob --key k.key {words}"), class)
    };
    sign("--bundle b.json missing", "not-found");
    sign("--output-signature s.sig missing", "not-found");
    sign("--bundle not/there f", "usage");
    sign("--bundle f f", "usage");
    sign("--bundle x --output-signature ./x f", "usage");
    sign("--bundle x f f", "usage");
    sign("--bundle x .", "not-found");
    refused(&plugin, "sign-blob f", "secret");
    refused(&plugin, "sign-blob --key k.pub f", "secret");
    let digest = format!("sha256:{}", "0a".repeat(32));
    sign(&digest, "not-found");
}

#[test]
fn what_is_replaced_is_replaced_whole_and_for_everybody_to_read() {
    use std::os::unix::fs::MetadataExt as _;
    let plugin = plugin();
    plugin.write("s.sig", "x".repeat(10_000));
    succeed(&plugin, "sign-blob --key k.key --output-signature s.sig f");
    let found = plugin.path("s.sig").metadata().unwrap();
    assert_eq!((found.mode() & 0o444, found.len() < 100), (0o444, true));
    assert!(!files(&plugin).iter().any(|(path, _)| path.to_string_lossy().contains(".luet-")));
    let output = run(&plugin, "sign-blob --key k.key --output-signature /dev/stdout f");
    assert!(output.status.success() && output.stdout.len() > 90, "{output:?}");
    let output = run(&plugin, "sign-blob --key k.key --output-certificate c.pem f");
    assert!(String::from_utf8(output.stderr).unwrap().contains("a key has no certificate"));
    assert!(!plugin.path("c.pem").exists());
}

#[test]
fn json_says_what_was_signed() {
    let plugin = plugin();
    let text = succeed(&plugin, "--json sign-blob --key k.key --bundle b.json f");
    let document: Value = serde_json::from_str(&text).unwrap();
    let signed = &document["signed"][0];
    assert_eq!((&document["version"], &signed["file"]), (&1.into(), &"f".into()));
    assert_eq!(signed["bundle"], "b.json");
    let digest = luet_cosign::name::Digest::of(FILE).to_string();
    assert_eq!(signed["digest"], digest);
    plugin.write("s.sig", signed["signature"].as_str().unwrap());
    succeed(&plugin, "verify-blob --key k.pub --signature s.sig f");
}

#[test]
fn an_empty_password_is_remarked_on() {
    let plugin = plugin().env("COSIGN_PASSWORD", "");
    let output = run(&plugin, "generate-key-pair --output-key-prefix e");
    let made = String::from_utf8(output.stderr).unwrap();
    let output = run(&plugin, "sign-blob --key e.key f");
    let signed = String::from_utf8(output.stderr).unwrap();
    for text in [made, signed] {
        assert!(text.contains("the password of this key is empty"), "{text}");
    }
}
