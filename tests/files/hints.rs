//! Hints that accuse are for proof. What a user can mix up, or half a download, blames nobody; a
//! signature that was checked and is wrong says so.

use super::*;
use serde_json::json;
use testkit::sigstore::{self as model, Key};

/// Words that blame the publisher, the registry or the file.
const ACCUSING: &[&str] = &[
    "serves broken data",
    "serves other bytes",
    "do not use",
    "do not trust",
    "do not install",
    "signed again",
];

fn accuses(said: &Said) -> bool {
    let hint = said.stderr.rsplit("\nhint: ").next().unwrap();
    ACCUSING.iter().any(|word| hint.contains(word))
}

#[test]
fn what_was_mixed_up_or_cut_blames_nobody() {
    let world = World::new();
    let signature = world.signed();
    let bundle = signature.bundle().to_string();
    let html = "<!doctype html>\n<html><body>Sign in</body></html>\n";
    let (key, other) = (Key::p256(), Key::p256());
    let keyed = world.sigstore.sign().keyed(&key).blob(FILE);
    for (name, text) in [
        ("b.json", bundle.clone()),
        ("cut.json", bundle[..bundle.len() / 2].to_owned()),
        ("old.json", signature.blob_bundle().to_string()),
        ("keyed.json", keyed.bundle().to_string()),
        ("keyed.sig", keyed.detached().0),
        ("page", html.to_owned()),
        ("empty", String::new()),
        ("g", "another file".to_owned()),
        ("k.pub", key.pem()),
        ("other.pub", other.pem()),
    ] {
        world.plugin.write(name, text);
    }
    let attestation = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": "00".repeat(32)}}],
        "predicateType": "https://spdx.dev/Document",
    });
    let attestation = world.sigstore.sign().statement(&attestation).bundle();
    world.plugin.write("sbom.json", attestation.to_string());
    for words in [
        // Another file, an older one, a page of a portal in its place.
        "--bundle b.json g",
        "--bundle old.json g",
        "--certificate f.pem --signature f.sig g",
        "--certificate f.pem --signature f.sig page",
        "--bundle b.json empty",
        // Options swapped, or one thing in the place of another.
        "--certificate f.sig --signature f.pem f",
        "--certificate b.json --signature f.sig f",
        "--certificate f.pem --signature b.json f",
        "--certificate f.pem --signature f f",
        "--bundle f.sig f",
        "--bundle f.pem f",
        "--bundle f f",
        "--bundle sbom.json f",
        // Pages, and half of what there is.
        "--bundle page f",
        "--bundle empty f",
        "--bundle cut.json f",
        "--certificate page --signature f.sig f",
        "--certificate f.pem --signature page f",
        "--certificate f.pem --signature empty f",
    ] {
        let said = world.verify_dev(&format!("--offline {words}"));
        assert!(said.code != 0 && !accuses(&said), "{words}: {said:?}");
    }
    for words in [
        "--key other.pub --bundle keyed.json f",
        "--key other.pub --signature keyed.sig f",
        "--key k.pub --signature keyed.sig g",
        "--key k.pub --signature f.sig f",
        "--key f.pem --signature keyed.sig f",
        "--key page --signature keyed.sig f",
        "--key k.pub --bundle sbom.json f",
        "--key k.pub --bundle b.json f",
    ] {
        let said = world.verify(words);
        assert!(said.code != 0 && !accuses(&said), "{words}: {said:?}");
    }
    for words in [
        "--bundle page f",
        "--bundle cut.json f",
        "--bundle b.json f",
        "--bundle sbom.json f",
        "--bundle f.sig f",
    ] {
        let words = format!("verify-blob-attestation --type any {} {words}", DEV.join(" "));
        let said = world.run(&words.split_whitespace().collect::<Vec<_>>());
        assert!(said.code != 0 && !accuses(&said), "{words}: {said:?}");
    }
    // Someone else's name is no proof against the file either.
    world.write("f", &world.sigstore.sign().identity("eve@example.com").blob(FILE));
    let said = world.verify_dev("--certificate f.pem --signature f.sig f");
    assert!(said.class() == "identity" && !accuses(&said), "{said:?}");
}

#[test]
fn a_signature_that_was_checked_and_is_wrong_is_called_so() {
    let world = World::new();
    let (one, two) = (world.signed(), world.sigstore.sign().blob(FILE));
    let predicate = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": luet_cosign::name::Digest::of(FILE).hex()}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    });
    let mut envelope = world.sigstore.sign().statement(&predicate).bundle();
    envelope["dsseEnvelope"]["payload"] = json!(model::b64(b"{}"));
    // The bundle names this file, and brings its certificate.
    let wrong = model::Signature { signature: two.signature.clone(), ..one.clone() }.bundle();
    let mut promise = one.bundle();
    promise["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]["signedEntryTimestamp"] =
        two.bundle()["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]
            ["signedEntryTimestamp"]
            .clone();
    for (bundle, class) in [(envelope, "signature"), (wrong, "signature"), (promise, "tlog")] {
        world.plugin.write("b.json", bundle.to_string());
        let said = world.verify_dev("--bundle b.json f");
        assert_eq!(said.class(), class, "{said:?}");
        assert!(accuses(&said), "{said:?}");
    }
}
