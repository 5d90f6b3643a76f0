//! Every spelling that release pages print, each as it is there.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[test]
fn kairos_prints_cosign_1() {
    let mut world = World::new();
    world.signed();
    for words in [
        "--cert f.pem --signature f.sig f",
        "-cert f.pem -signature f.sig f",
        "-cert=f.pem -signature=f.sig f",
        "--enforce-sct --cert f.pem --signature f.sig f",
        "--enforce-sct=true --cert f.pem --signature f.sig f",
    ] {
        world.plugin.set("COSIGN_EXPERIMENTAL", "1");
        let said = world.verify(words);
        said.assert_ok();
        let warning = said
            .stderr
            .lines()
            .find(|line| line.starts_with("WARNING: "))
            .unwrap_or_else(|| panic!("{said:?}"));
        assert!(
            warning.contains("`dev@example.com` (issuer `https://issuer.example`)")
                && warning.contains("ANYONE"),
            "{warning}"
        );
        world.plugin.unset("COSIGN_EXPERIMENTAL");
        world.verify(words).assert_refused("identity");
        assert!(!world.verify_dev(words).stderr.contains("WARNING"), "{words}");
        world.verify_dev(words).assert_ok();
    }
}

#[test]
fn kubernetes_prints_cosign_2_with_paths_and_with_urls() {
    let mut world = World::new();
    let (sig, cert) = world.signed().detached();
    world.plugin.write("f.cert", &cert);
    world.verify("f --signature f.sig --certificate f.cert --certificate-identity dev@example.com --certificate-oidc-issuer https://issuer.example").assert_ok();
    let release =
        Server::start_tls(testkit::certificates::good(), move |request| match request.path() {
            "/f.sig" => Answer::new(200).body(sig.clone()),
            "/f.cert" => Answer::new(200).body(cert.clone()),
            _ => Answer::new(404),
        });
    let authority = world.plugin.write("ca.pem", testkit::certificates::AUTHORITY);
    world.plugin.set("SSL_CERT_FILE", authority.to_str().unwrap());
    let url = |name: &str| format!("https://{}{name}", release.host());
    world
        .verify_dev(&format!("f --signature {} --certificate {}", url("/f.sig"), url("/f.cert")))
        .assert_ok();
    world
        .verify_dev(&format!("f --signature {} --certificate {}", url("/none"), url("/f.cert")))
        .assert_refused("net");
    world
        .verify_dev("f --signature http://127.0.0.1:9/f.sig --certificate f.cert")
        .assert_refused("net");
}

#[test]
fn certificates_and_signatures_are_read_as_cosign_ever_wrote_them() {
    let world = World::new();
    let signature = world.signed();
    let (sig, cert) = signature.detached();
    let pem = signature.signer.pem();
    for (name, bytes) in [
        ("c1", cert.clone()),
        ("c2", format!("{cert}\n")),
        ("c3", pem.clone()),
        ("c4", format!("{pem}\n")),
    ] {
        world.plugin.write(name, bytes);
        world.verify_dev(&format!("--certificate {name} --signature f.sig f")).assert_ok();
    }
    for (name, bytes) in [
        ("s1", sig.clone().into_bytes()),
        ("s2", format!("{sig}\n").into_bytes()),
        ("s3", signature.signature.clone()),
    ] {
        world.plugin.write(name, bytes);
        world.verify_dev(&format!("--certificate f.pem --signature {name} f")).assert_ok();
    }
    // The argument itself, and a variable.
    world.verify_dev(&format!("--certificate f.pem --signature {sig} f")).assert_ok();
    let world = World { plugin: world.plugin.env("SIG", &sig), ..world };
    world.verify_dev("--certificate f.pem --signature env://SIG f").assert_ok();
    world.verify_dev("--certificate f.pem --signature mistyped.sig f").assert_refused("not-found");
}

#[test]
fn bundles_of_both_forms_need_no_log() {
    let world = World::new();
    let signature = world.signed();
    world.plugin.write("old.json", signature.blob_bundle().to_string());
    for version in [
        testkit::sigstore::Version::V01,
        testkit::sigstore::Version::V02,
        testkit::sigstore::Version::V03,
    ] {
        world.plugin.write(&format!("{version:?}.json"), signature.bundle_of(version).to_string());
    }
    for name in ["old", "V01", "V02", "V03"] {
        let said = world.verify_dev(&format!("--bundle {name}.json f"));
        said.assert_ok();
        let entry = signature.entry.as_ref().unwrap();
        let uuid = &entry.uuid()[16..];
        assert!(
            said.stderr.contains(&format!(
                "tlog entry verified with uuid: {uuid} index: {}\n",
                entry.index
            )),
            "{name}: {said:?}"
        );
    }
    world
        .verify_dev(
            "--bundle V03.json --new-bundle-format --offline --insecure-ignore-tlog=false f",
        )
        .assert_ok();
    // cosign 1: the two files, and the entry in a bundle.
    world.verify_dev("--bundle old.json --signature f.sig --cert f.pem f").assert_ok();
    assert_eq!(world.asked(), 0);
    let der = match &signature.signer {
        testkit::sigstore::Signer::Certificate { leaf, .. } => STANDARD.encode(leaf),
        testkit::sigstore::Signer::Key { .. } => panic!("a certificate"),
    };
    let mut with_der = signature.blob_bundle();
    with_der["cert"] = der.into();
    world.plugin.write("der.json", with_der.to_string());
    world.verify_dev("--bundle der.json f").assert_ok();
    world.verify_dev("--bundle V03.json --signature f.sig f").assert_refused("usage");
}

#[test]
fn a_log_of_the_second_kind_needs_a_timestamp_and_no_question() {
    let world = World::new();
    let signature = world.sigstore.sign().log(testkit::sigstore::LogKind::V2).blob(FILE);
    world.plugin.write("b.json", signature.bundle().to_string());
    let said = world.verify_dev("--bundle b.json f");
    said.assert_ok();
    assert!(!said.stderr.contains("tlog entry"), "such a log signs no position: {said:?}");
    assert_eq!(world.asked(), 0);
}

#[test]
fn a_digest_stands_for_a_file_that_is_elsewhere() {
    let world = World::new();
    world.signed();
    let digest = luet_cosign::name::Digest::of(FILE);
    world.verify_dev(&format!("--certificate f.pem --signature f.sig {digest}")).assert_ok();
    world
        .verify_dev(&format!("--certificate f.pem --signature f.sig sha256:{}", "0".repeat(64)))
        .assert_refused("signature");
}

#[test]
fn the_identity_may_stand_in_the_environment() {
    let mut world = World::new();
    world.signed();
    world.plugin.set("COSIGN_CERTIFICATE_IDENTITY", "dev@example.com");
    world.plugin.set("COSIGN_CERTIFICATE_OIDC_ISSUER", "https://issuer.example");
    world.verify("--certificate f.pem --signature f.sig f").assert_ok();
    world.plugin.set("COSIGN_CERTIFICATE_IDENTITY", "eve@example.com");
    world.verify("--certificate f.pem --signature f.sig f").assert_refused("identity");
}

/// With a policy file or without: one of the two would be the one that was meant to count.
#[test]
fn a_name_and_an_expression_for_it_in_the_environment_are_an_error() {
    let mut world = World::new();
    world.signed();
    let policy = world.plugin.write("policy.yaml", "version: 1\ndefaults: {unmatched: deny}\n");
    for with_policy in [false, true] {
        if with_policy {
            world.plugin.set("LUET_COSIGN_POLICY", policy.to_str().unwrap());
            let root =
                world.plugin.write("trusted_root.json", world.sigstore.trusted_root().to_string());
            let with_root = format!("--trusted-root {} ", root.display());
            world.plugin.set("COSIGN_CERTIFICATE_IDENTITY", "dev@example.com");
            world.plugin.set("COSIGN_CERTIFICATE_OIDC_ISSUER", "https://issuer.example");
            world.verify(&(with_root + "--certificate f.pem --signature f.sig f")).assert_ok();
        }
        world.plugin.set("COSIGN_CERTIFICATE_IDENTITY", "dev@example.com");
        world.plugin.set("COSIGN_CERTIFICATE_OIDC_ISSUER", "https://issuer.example");
        world.plugin.set("COSIGN_CERTIFICATE_IDENTITY_REGEXP", "@example\\.com");
        let said = world.verify("--certificate f.pem --signature f.sig f");
        said.assert_refused("usage");
        assert!(said.stderr.contains("both COSIGN_CERTIFICATE_IDENTITY and"), "{said:?}");
        world.plugin.unset("COSIGN_CERTIFICATE_IDENTITY_REGEXP");
    }
}

#[test]
fn expressions_match_from_border_to_border_and_are_warned_of() {
    let world = World::new();
    world.signed();
    let verify = |expression: &str| {
        world.verify(&format!(
            "--certificate-identity-regexp {expression} --certificate-oidc-issuer-regexp issuer.example --certificate f.pem --signature f.sig f"
        ))
    };
    let said = verify("@example");
    said.assert_refused("identity");
    assert!(said.stderr.contains("if `example.com` is meant"), "{said:?}");
    let said = verify("ample.com$");
    assert!(said.stderr.contains("`^dev@example.com$`"), "{said:?}");
    let said = verify("@example.com");
    said.assert_ok();
    assert!(!said.stderr.contains("warning: "), "{said:?}");
    let said = verify("@exam.*");
    said.assert_ok();
    assert!(said.stderr.contains("warning: `@exam.*` has a wildcard inside a name"), "{said:?}");
}

#[test]
fn json_says_who_when_and_where() {
    let world = World::new();
    let signature = world.signed();
    let said = world.verify_dev("--json --certificate f.pem --signature f.sig f");
    let document = json_of(&said.stdout);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    let entry = signature.entry.unwrap();
    for (key, expected) in [
        ("version", Value::from(1)),
        ("verified", true.into()),
        ("file", "f".into()),
        ("digest", luet_cosign::name::Digest::of(FILE).to_string().into()),
        (
            "certificate",
            serde_json::json!({
                "subject": "dev@example.com",
                "issuer": "https://issuer.example",
                "source": null,
            }),
        ),
        ("log_index", entry.index.into()),
        ("log_uuid", entry.uuid()[16..].into()),
        ("times", Value::from(vec![entry.integrated.unwrap().to_string()])),
    ] {
        assert_eq!(document[key], expected, "{key}: {document}");
    }
    world.plugin.write("f", "other");
    let said = world.verify_dev("--json --certificate f.pem --signature f.sig f");
    assert_eq!(
        (said.code, json_of(&said.stdout)["error"]["class"].as_str()),
        (14, Some("signature")),
        "{said:?}"
    );
}

#[test]
fn a_file_of_any_length_is_read_in_flat_memory() {
    let world = World::new();
    world.signed();
    let large = std::fs::File::create(world.plugin.path("large")).unwrap();
    large.set_len(3 << 30).unwrap();
    // 1 GiB of address space for everything, three of zeros to read.
    let program = env!("CARGO_BIN_EXE_luet-cosign");
    let words = format!(
        "ulimit -v 1048576 && exec {program} verify-blob {} --certificate f.pem --signature f.sig large",
        DEV.join(" ")
    );
    let said: Said = world.plugin.raw_of("sh").args(["-c", &words]).output().unwrap().into();
    said.assert_refused("signature");
}
