//! One file in the place of another: it is called what it is, with the option that takes it.

use super::*;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use testkit::sigstore::Key;

#[test]
fn a_file_in_the_wrong_option_is_called_what_it_is() {
    let world = World::new();
    let signature = world.signed();
    let key = Key::p256();
    let bundle = signature.bundle().to_string();
    let utf16 = |text: &str| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let sums = format!("{}  f\n", "0a".repeat(32));
    for (name, bytes) in [
        ("b.json", bundle.clone().into_bytes()),
        ("old.json", signature.blob_bundle().to_string().into_bytes()),
        ("lines", b"{\"a\": 1}\n{\"b\": 2}\n".to_vec()),
        ("page", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n".to_vec()),
        ("empty", Vec::new()),
        ("gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec()),
        ("bom.json", format!("\u{feff}{bundle}").into_bytes()),
        ("bom.sig", format!("\u{feff}{}", signature.detached().0).into_bytes()),
        ("u16.json", utf16(&bundle)),
        ("u16.sig", utf16(&signature.detached().0)),
        ("k.pub", key.pem().into_bytes()),
        ("k.escaped", key.pem().replace('\n', "\\n").into_bytes()),
        ("k.base64", BASE64_STANDARD.encode(key.pem()).into_bytes()),
        ("SUMS", sums.into_bytes()),
    ] {
        world.plugin.write(name, bytes);
    }
    for (words, is, hint) in [
        ("--signature b.json --certificate f.pem", "a Sigstore bundle", "--bundle"),
        ("--signature old.json --certificate f.pem", "a bundle of cosign 1 or 2", "--bundle"),
        ("--signature page --certificate f.pem", "a web page", "download the file itself"),
        ("--signature gz --certificate f.pem", "compressed by gzip", "gunzip"),
        ("--signature bom.sig --certificate f.pem", "byte order mark", "tail -c +4"),
        ("--signature u16.sig --certificate f.pem", "UTF-16", "iconv"),
        ("--signature f.pem --certificate f.sig", "a certificate", "--certificate"),
        ("--signature k.pub --certificate f.pem", "a public key", "--key"),
        ("--signature empty --certificate f.pem", "an empty file", "download it again"),
        ("--signature f.sig --certificate b.json", "a Sigstore bundle", "--bundle"),
        ("--signature f.sig --certificate f.sig", "a signature in base64", "--signature"),
        ("--signature f.sig --certificate page", "a web page", "download the file itself"),
        ("--signature f.sig --certificate k.pub", "a public key", "--key"),
        ("--bundle f.sig", "a signature in base64", "--signature"),
        ("--bundle f.pem", "certificate", "--certificate"),
        ("--bundle page", "a web page", "download the file itself"),
        ("--bundle bom.json", "byte order mark", "tail -c +4"),
        ("--bundle u16.json", "UTF-16", "iconv"),
        ("--bundle gz", "compressed by gzip", "gunzip"),
        ("--bundle lines", "JSON lines", "verify-blob-attestation"),
        ("--bundle trusted_root.json", "a trusted root", "--trusted-root"),
        ("--bundle SUMS", "a list of digests", "--all"),
    ] {
        let said = world.verify_dev(&format!("{words} f"));
        said.assert_refused("malformed");
        assert!(said.stderr.contains(is), "{words}: {said:?}");
        assert!(said.stderr.rsplit("\nhint: ").next().unwrap().contains(hint), "{words}: {said:?}");
    }
    for (key, is, hint) in [
        ("b.json", "a Sigstore bundle", "--bundle"),
        ("f.sig", "a signature in base64", "--signature"),
        ("f.pem", "certificate", "--certificate"),
        ("page", "a web page", "download the file itself"),
        ("k.escaped", "ends of lines are written as `\\n`", "printf"),
        ("k.base64", "base64 of a PEM file", "base64 -d"),
        ("trusted_root.json", "a trusted root", "--trusted-root"),
    ] {
        let said = world.verify(&format!("--key {key} --signature f.sig f"));
        said.assert_refused("secret");
        assert!(said.stderr.contains(is), "{key}: {said:?}");
        assert!(said.stderr.rsplit("\nhint: ").next().unwrap().contains(hint), "{key}: {said:?}");
    }
    let said = world.verify_dev("--trusted-root b.json --bundle b.json f");
    said.assert_refused("trustroot");
    assert!(said.stderr.contains("a Sigstore bundle; expected a trusted root"), "{said:?}");
    assert_eq!(world.asked(), 0);
}

/// Bytes of a signature may be anything, so none is refused for what it looks like.
#[test]
fn a_bare_signature_holds_whatever_its_bytes_are() {
    let world = World::new();
    let key = Key::ed25519();
    world.plugin.write("k.pub", key.pem());
    world.plugin.write("raw.sig", key.sign(FILE));
    world.verify("--key k.pub --signature raw.sig f").assert_ok();
    let mut raw = key.sign(FILE);
    raw[..3].copy_from_slice(&[0x1f, 0x8b, 8]);
    world.plugin.write("raw.sig", raw);
    world.verify("--key k.pub --signature raw.sig f").assert_refused("signature");
}

#[test]
fn private_keys_that_cannot_be_read_say_why() {
    let mut world = World::new();
    world.plugin.set("COSIGN_PASSWORD", "x");
    assert_eq!(world.run(&["generate-key-pair"]).code, 0);
    let pem = std::fs::read_to_string(world.plugin.path("cosign.key")).unwrap();
    for (name, text) in [
        ("two.key", format!("{pem}{pem}")),
        ("escaped.key", pem.replace('\n', "\\n")),
        ("base64.key", BASE64_STANDARD.encode(&pem)),
        ("page.key", "<html>".to_owned()),
    ] {
        world.plugin.write(name, text);
    }
    for (key, is) in [
        ("two.key", "holds 2 private keys; expected one"),
        ("escaped.key", "ends of lines are written as `\\n`"),
        ("base64.key", "base64 of a PEM file"),
        ("page.key", "a web page"),
        ("cosign.pub", "another PEM block"),
    ] {
        for words in [vec!["sign-blob", "--key", key, "f"], vec!["import-key-pair", "--key", key]] {
            let said = world.run(&words);
            said.assert_refused("secret");
            assert!(said.stderr.contains(is), "{said:?}");
            let body = pem.lines().nth(1).unwrap();
            assert!(!said.stderr.contains(body) && !said.stdout.contains(body), "{said:?}");
        }
    }
    world.plugin.set("COSIGN_PASSWORD", "x\n");
    let said = world.run(&["sign-blob", "--key", "cosign.key", "f"]);
    said.assert_refused("secret");
    assert!(said.stderr.contains("the password ends with an end of line"), "{said:?}");
    let said = world.run(&["generate-key-pair", "--output-key-prefix", "n"]);
    assert!(said.code == 0 && said.stderr.contains("ends with an end of line"), "{said:?}");
    world.plugin.set("COSIGN_PASSWORD", "");
    let said = world.run(&["generate-key-pair", "--output-key-prefix", "e"]);
    assert!(said.code == 0 && said.stderr.contains("password of this key is empty"), "{said:?}");
    let said = world.run(&["sign-blob", "--key", "e.key", "f"]);
    assert!(said.code == 0 && said.stderr.contains("password of this key is empty"), "{said:?}");
}

/// `--offline` is one switch for everybody who is asked: keys, signatures and bundles behind URLs as
/// much as the log.
#[test]
fn offline_asks_nobody_at_all() {
    let world = World::new();
    let signature = world.signed();
    world.plugin.write("b.json", signature.bundle().to_string());
    let nobody = Server::start(|_| Answer::html(404));
    let at = |name: &str| format!("https://{}/{name}", nobody.host());
    for words in [
        format!("--key {} --signature f.sig f", at("k.pub")),
        format!("--signature {} --certificate f.pem f", at("f.sig")),
        format!("--signature f.sig --certificate {} f", at("f.pem")),
        format!("--bundle {} f", at("b.json")),
    ] {
        let said = world.verify(&format!("--offline {words}"));
        said.assert_refused("net");
        assert!(said.stderr.contains("is not contacted: offline"), "{said:?}");
        assert!(said.stderr.contains("download it on a machine with a network"), "{said:?}");
    }
    world.verify_dev("--offline --bundle b.json f").assert_ok();
    assert_eq!((nobody.connections(), world.asked()), (0, 0));
}
