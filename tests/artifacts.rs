//! `upload blob` and `download signature`, at the real binary and a registry in this process. What
//! cosign makes of the same is for `crates/e2e`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::process::Output;
use testkit::{PASSWORD, Plugin, TestRegistry, make_keys};

fn world() -> (Plugin, TestRegistry) {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign")).env("COSIGN_PASSWORD", PASSWORD);
    make_keys(&plugin, "k");
    plugin.write("f", "hello\n");
    (plugin, TestRegistry::start())
}

fn run(plugin: &Plugin, words: &[&str]) -> Output {
    plugin.run(words)
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_uploaded_file_is_an_image_that_is_signed_and_verified() {
    let (plugin, registry) = world();
    let image = format!("{}/acme/tool:1", registry.host());
    let (code, place, notes) = said(&run(&plugin, &["upload", "blob", "-f", "f", &image]));
    assert_eq!(code, Some(0), "{notes}");
    assert!(place.starts_with(&format!("{}/acme/tool@sha256:", registry.host())), "{place}");
    assert!(notes.contains("with media type [text/plain]"), "{notes}");
    assert!(notes.contains("/v2/acme/tool/blobs/sha256:"), "{notes}");
    let again = said(&run(&plugin, &["upload", "blob", "-f", "f", &image]));
    assert_eq!((again.0, again.1), (Some(0), place.clone()), "the same file, the same image");
    for words in [
        &["sign", "--key", "k.key", place.trim()][..],
        &["verify", "--key", "k.pub", &image],
        &["download", "signature", &image],
    ] {
        let (code, _, notes) = said(&run(&plugin, words));
        assert_eq!(code, Some(0), "{words:?}: {notes}");
    }
    let words = ["--json", "download", "signature", &image];
    let document: serde_json::Value = serde_json::from_str(&said(&run(&plugin, &words)).1).unwrap();
    assert_eq!(document["version"], 1);
    assert!(document["signatures"][0]["Base64Signature"].is_string(), "{document}");
}

#[test]
fn what_cannot_be_uploaded_is_refused_before_anything_is_sent() {
    let (plugin, registry) = world();
    std::fs::create_dir(plugin.path("folder")).unwrap();
    let image = format!("{}/acme/tool:1", registry.host());
    let pinned = format!("{}/acme/tool@sha256:{}", registry.host(), "0a".repeat(32));
    for (words, class) in [
        (&["-f", "missing", &image][..], "not-found"),
        (&["-f", "folder", &image], "not-found"),
        (&["-f", "f", "-f", "k.pub", &image], "usage"),
        (&["-f", "f:linux", "-f", "k.pub", &image], "usage"),
        (&["-f", ":linux", &image], "usage"),
        (&["-f", "f", "-a", "x", &image], "usage"),
        (&["-f", "f", &pinned], "usage"),
    ] {
        let output = run(&plugin, &[&["upload", "blob"], words].concat());
        let (code, stdout, notes) = said(&output);
        assert!(notes.contains(&format!("error: {class}: ")), "{words:?}: {notes}");
        assert!(code != Some(0) && stdout.is_empty(), "{words:?}");
    }
    assert_eq!(registry.requests().len(), 0, "nothing was sent");
}
