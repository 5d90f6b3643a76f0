//! The conformance suite of Sigstore, as far as it is in `tests/data`: every case by the
//! file and by its digest, at the command that the suite calls, and what is refused is refused for
//! its own reason.

use super::*;
use luet_cosign::name::Digest;
use serde_json::Value;

const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// Cases that have to fail, and the class of each.
const REFUSED: &[(&str, &str)] = &[
    ("bundle-from-wrong-instance", "tlog"),
    ("bundle-invalid-base64-signature", "malformed"),
    ("bundle-malformed-json", "malformed"),
    ("bundle-negative-log-index", "malformed"),
    ("bundle-unknown-version", "unsupported"),
    ("bundle-with-root-cert", "malformed"),
    ("checkpoint-wrong-roothash", "tlog"),
    ("dsse-invalid-sig", "signature"),
    ("dsse-mismatch-envelope", "tlog"),
    ("inclusion-proof-corrupted-hash", "tlog"),
    ("intoto-expired-certificate", "time"),
    ("intoto-log-entry-mismatch", "tlog"),
    ("intoto-missing-inclusion-proof", "tlog"),
    ("intoto-tsa-timestamp-outside-cert-validity", "time"),
    ("invalid-checkpoint-signature", "tlog"),
    ("invalid-ct-key", "tlog"),
    ("invalid-inclusion-proof", "tlog"),
    // No point of the curve, and so no key at all.
    ("managed-key-wrong-key", "secret"),
    // The signature is good; the digest beside it is another's.
    ("message-digest-mismatch", "binding"),
    ("rekor2-checkpoint-missing-log-signature", "malformed"),
    ("rekor2-checkpoint-missing-root-hash", "malformed"),
    ("rekor2-checkpoint-missing-size", "malformed"),
    ("rekor2-checkpoint-no-matching-signature", "tlog"),
    ("rekor2-dsse-invalid-sig", "signature"),
    ("rekor2-dsse-mismatch-envelope", "tlog"),
    ("rekor2-dsse-mismatch-sig", "tlog"),
    ("rekor2-no-inclusion-proof", "tlog"),
    ("rekor2-no-timestamp", "time"),
    ("rekor2-timestamp-outside-trust-root-tsa-validity", "time"),
    ("rekor2-timestamp-outside-tsa-cert-validity", "time"),
    ("rekor2-timestamp-untrusted-tsa-with-embedded-cert", "time"),
    ("rekor2-timestamp-untrusted-tsa-without-embedded-cert", "time"),
    // Its base64 is broken into lines, which is another spelling: it is refused before its time is
    // read (which the next test does).
    ("rekor2-timestamp-with-incorrect-time", "malformed"),
    ("set-invalid-signature", "tlog"),
    ("signature-mismatch", "signature"),
    ("trust-root-tlog-missing-validity-start", "trustroot"),
    ("wrong-hashedrekord-artifact", "tlog"),
    ("wrong-hashedrekord-cert-and-sig", "tlog"),
    ("wrong-material", "signature"),
];

#[test]
fn every_case_of_the_suite_has_its_verdict_for_its_own_reason() {
    let suite = std::fs::canonicalize(shared("sigstore-conformance")).unwrap();
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign")).env("LUET_COSIGN_OFFLINE", "1");
    let mut names: Vec<String> = Vec::new();
    for case in std::fs::read_dir(&suite)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
    {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let text = |file: &str, default: &str| {
            std::fs::read_to_string(case.join(file))
                .map_or(default.to_owned(), |text| text.trim().to_owned())
        };
        let artifact = Some(case.join("artifact"))
            .filter(|path| path.exists())
            .unwrap_or_else(|| suite.join("a.txt"));
        let mut words = vec![
            "verify-bundle".to_owned(),
            "--bundle".to_owned(),
            case.join("bundle.sigstore.json").display().to_string(),
        ];
        if case.join("key.pub").exists() {
            words.extend(["--key".to_owned(), case.join("key.pub").display().to_string()]);
        } else {
            words.extend(["--certificate-identity".to_owned(), text("identity", BEACON)]);
            words.extend(["--certificate-oidc-issuer".to_owned(), text("issuer", GITHUB)]);
        }
        if case.join("trusted_root.json").exists() {
            words.extend([
                "--trusted-root".to_owned(),
                case.join("trusted_root.json").display().to_string(),
            ]);
        }
        let digest = Digest::of(&std::fs::read(&artifact).unwrap()).to_string();
        for subject in [artifact.display().to_string(), digest] {
            let said: Said = plugin.run(words.iter().chain([&subject])).into();
            let expected = match name.strip_suffix("_fail") {
                Some(name) => {
                    REFUSED.iter().find(|(known, _)| *known == name).map(|(_, class)| *class)
                }
                None => Some(""),
            };
            assert_eq!(
                (Some(said.class()), said.code == 0),
                (expected, expected == Some("")),
                "{name} by {subject}: {said:?}"
            );
        }
        names.push(name);
    }
    for (name, _) in REFUSED {
        assert!(names.contains(&format!("{name}_fail")), "{name} is not there");
    }
    assert_eq!(
        (names.len(), REFUSED.len()),
        (names.iter().filter(|name| !name.ends_with("_fail")).count() + REFUSED.len(), 39)
    );
}

#[test]
fn a_timestamp_of_the_wrong_time_is_that_when_it_is_spelled_right() {
    let case = std::fs::canonicalize(shared(
        "sigstore-conformance/rekor2-timestamp-with-incorrect-time_fail",
    ))
    .unwrap();
    let mut bundle: Value =
        serde_json::from_slice(&std::fs::read(case.join("bundle.sigstore.json")).unwrap()).unwrap();
    let timestamp = &mut bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
        [0]["signedTimestamp"];
    *timestamp = timestamp.as_str().unwrap().replace('\n', "").into();
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign")).env("LUET_COSIGN_OFFLINE", "1");
    let bundle = plugin.write("bundle.json", bundle.to_string()).display().to_string();
    let (root, artifact) = (case.join("trusted_root.json"), case.parent().unwrap().join("a.txt"));
    let identity = std::fs::read_to_string(case.join("identity"))
        .map_or(BEACON.to_owned(), |text| text.trim().to_owned());
    let issuer = std::fs::read_to_string(case.join("issuer"))
        .map_or(GITHUB.to_owned(), |text| text.trim().to_owned());
    let words = [
        "verify-bundle",
        "--bundle",
        &bundle,
        "--certificate-identity",
        &identity,
        "--certificate-oidc-issuer",
        &issuer,
    ];
    let root =
        ["--trusted-root".to_owned(), root.display().to_string(), artifact.display().to_string()];
    let said: Said = plugin.run(words.iter().map(|word| (*word).to_owned()).chain(root)).into();
    assert_eq!((said.class(), said.code == 0), ("time", false), "{said:?}");
}
