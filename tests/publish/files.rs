//! Files, signed by certificates and into logs.

use super::*;
use testkit::{PASSWORD, make_keys};

const FILE: &[u8] = b"what is released\n";

impl World {
    fn sign_file(&self, more: &[&str]) -> Output {
        self.plugin.write("f", FILE);
        let mut command = self.plugin.raw();
        command.args(["sign-blob", "-y", "--identity-token", &self.token]);
        command.args(["--signing-config", "signing.json", "--trusted-root", "root.json"]);
        command.args(more).arg("f").output().unwrap()
    }

    fn verify_file(&self, evidence: &[&str], who: &str) -> Output {
        let mut command = self.plugin.raw();
        command.args(["verify-blob", "--trusted-root", "root.json", "--certificate-identity", who]);
        let issuer = testkit::sigstore::services::ISSUER;
        command.args(["--certificate-oidc-issuer", issuer, "--offline"]);
        command.args(evidence).arg("f").output().unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.plugin.path(name).exists()
    }
}

#[test]
fn a_file_is_signed_by_a_certificate_into_either_log() {
    for (log, tsa) in [(LogKind::V1, false), (LogKind::V1, true), (LogKind::V2, true)] {
        let world = World::new(log, tsa);
        let output = world.sign_file(&["--bundle", "b.json"]);
        assert_good(&output);
        assert!(output.stdout.is_empty() && said(&output).contains("tlog entry created"));
        assert_good(&world.verify_file(&["--bundle", "b.json"], WHO));
        let other = world.verify_file(&["--bundle", "b.json"], "someone@example.com");
        assert_failed(&other, "identity", WHO);
        world.plugin.write("f", "something else");
        let mut command = world.plugin.raw();
        command.args(["verify-blob", "--bundle", "b.json", "f"]);
        assert!(!command.output().unwrap().status.success());
        assert_eq!((world.logged(), world.services.fulcio.requests().len()), (1, 1));
    }
}

#[test]
fn the_forms_of_cosign_2_hold_with_a_log_that_promises() {
    let world = World::new(LogKind::V1, false);
    let old = ["--new-bundle-format=false", "--bundle", "o.json"];
    assert_good(&world.sign_file(&old));
    assert_good(&world.verify_file(&["--bundle", "o.json"], WHO));
    let document: Value =
        serde_json::from_slice(&std::fs::read(world.plugin.path("o.json")).unwrap()).unwrap();
    let keys: Vec<_> = document.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["base64Signature", "cert", "rekorBundle"]);
    for base64 in ["--b64=true", "--b64=false"] {
        let beside = ["--output-signature", "f.sig", "--output-certificate", "f.pem", base64];
        assert_good(&world.sign_file(&beside));
        let pem = std::fs::read_to_string(world.plugin.path("f.pem")).unwrap();
        assert_eq!(pem.starts_with("-----BEGIN CERTIFICATE"), base64.ends_with("false"));
        let evidence = ["--signature", "f.sig", "--certificate", "f.pem"];
        // Nothing beside the file says when, and nobody may be asked.
        assert_failed(&world.verify_file(&evidence, WHO), "time", "");
    }
    let output = world.sign_file(&[]);
    assert_good(&output);
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
fn a_form_that_cannot_carry_what_the_log_says_is_refused_before_anyone_is_asked() {
    let world = World::new(LogKind::V2, true);
    for form in [
        &["--bundle", "b.json", "--new-bundle-format=false"][..],
        &["--output-signature", "f.sig", "--output-certificate", "f.pem"],
        &[],
    ] {
        assert_failed(&world.sign_file(form), "usage", "Rekor v2");
        assert!(world.services.all().iter().all(|service| service.requests().is_empty()));
        assert!(!["b.json", "f.sig", "f.pem"].iter().any(|name| world.has(name)));
    }
}

#[test]
fn a_key_tells_a_log_where_it_is_asked_to() {
    for (log, tsa) in [(LogKind::V1, false), (LogKind::V2, false)] {
        let mut world = World::new(log, tsa);
        world.plugin.set("COSIGN_PASSWORD", PASSWORD);
        make_keys(&world.plugin, "k");
        world.plugin.write("f", FILE);
        let sign = |more: &[&str]| {
            let mut command = world.plugin.raw();
            command.args(["sign-blob", "--key", "k.key", "--signing-config", "signing.json"]);
            command.args(["--trusted-root", "root.json", "--bundle", "b.json"]);
            command.args(more).arg("f").output().unwrap()
        };
        assert_good(&sign(&[]));
        assert_eq!(world.logged(), 0);
        let output = sign(&["--tlog-upload"]);
        assert_good(&output);
        assert!(said(&output).contains("tlog entry created with index"), "{}", said(&output));
        assert_eq!((world.logged(), world.services.fulcio.requests().len()), (1, 0));
        let bundle = std::fs::read_to_string(world.plugin.path("b.json")).unwrap();
        assert!(bundle.contains("tlogEntries"), "{bundle}");
        let verify = ["verify-blob", "--key", "k.pub", "--bundle", "b.json", "f"];
        assert_good(&world.plugin.run(verify));
    }
}

/// Without a yes, or without someone to ask, nothing is public.
#[test]
fn nothing_is_public_without_a_yes() {
    let world = World::new(LogKind::V1, false);
    world.plugin.write("f", FILE);
    let mut command = world.plugin.raw();
    command.args(["sign-blob", "--identity-token", &world.token, "--bundle", "b.json"]);
    command.args(["--signing-config", "signing.json", "--trusted-root", "root.json", "f"]);
    assert_failed(&command.output().unwrap(), "usage", "permanently");
    assert!(world.services.all().iter().all(|service| service.requests().is_empty()));
    assert!(!world.has("b.json"));
}

/// What a service answers wrongly is in no file, and a file that was there is as it was.
#[test]
fn what_does_not_hold_is_not_written() {
    let world = World::new(LogKind::V1, false);
    world.plugin.write("b.json", "of before");
    let stranger = testkit::sigstore::Sigstore::new();
    world.plugin.write("root.json", stranger.trusted_root().to_string());
    let output = world.sign_file(&["--bundle", "b.json", "--output-signature", "f.sig"]);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty() && !world.has("f.sig"));
    assert_eq!(std::fs::read_to_string(world.plugin.path("b.json")).unwrap(), "of before");
    let left: Vec<_> = std::fs::read_dir(world.plugin.path(""))
        .unwrap()
        .filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".luet-cosign")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
