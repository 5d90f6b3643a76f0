//! Every form that the model makes is accepted.

use super::{IMAGE, judge, sigstore};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sigstore::{SubjectAltName, VerificationPolicy};
use testkit::sigstore::{Issuer, Key, Kind, Log, LogKind, Signature, Sigstore, Version, b64};

#[test]
fn a_legacy_signature_is_accepted_with_and_without_a_time_stamp() {
    let root = sigstore().trusted_root();
    for tsa in [false, true] {
        let signature = sigstore().sign().tsa(tsa).legacy(IMAGE);
        let verdict = judge::legacy(&root, signature.payload(), &signature.annotations()).unwrap();
        assert_eq!(verdict.identity().unwrap().as_str(), "dev@example.com");
        assert_eq!(verdict.issuer(), Some("https://issuer.example"));
        assert!(
            verdict.certificate_verified() && verdict.sct_verified() && verdict.tlog_verified()
        );
        assert_eq!(verdict.verified_timestamps().len(), 1 + usize::from(tsa));
    }
}

#[test]
fn a_bundle_is_accepted_with_an_entry_of_each_kind() {
    let root = sigstore().trusted_root();
    let sign = || sigstore().sign();
    judge::keyless(&root, &sign().image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().tsa(true).image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().entry(Kind::Intoto).image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().log(LogKind::V2).image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().log(LogKind::V2).certificate_in_token().image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().blob(b"file")).unwrap();
    judge::keyless(&root, &sign().log(LogKind::V2).blob(b"file")).unwrap();
}

#[test]
fn blobs_are_accepted_in_all_versions_of_the_bundle() {
    let root = sigstore().trusted_root();
    let signature = sigstore().sign().blob(b"file");
    for version in [Version::V01, Version::V02, Version::V03] {
        judge::bundle(
            &root,
            judge::artifact(&signature.content),
            &signature.bundle_of(version),
            &VerificationPolicy::any_identity(),
        )
        .unwrap_or_else(|error| panic!("{version:?}: {error}"));
    }
}

#[test]
fn a_key_s_signature_is_accepted_with_an_entry_of_each_kind() {
    let root = sigstore().trusted_root();
    let key = Key::p256();
    let sign = || sigstore().sign().keyed(&key);
    let check = |signature| judge::keyed(&root, &signature, &key.spki()).unwrap();
    check(sign().blob(b"file"));
    check(sign().legacy(IMAGE));
    check(sign().image(IMAGE));
    check(sign().entry(Kind::Intoto).image(IMAGE));
    check(sign().log(LogKind::V2).blob(b"file"));
    check(sign().log(LogKind::V2).image(IMAGE));
}

/// protojson leaves out what is zero or empty: here the index and the hashes.
#[test]
fn the_first_entry_of_a_log_is_accepted_without_index_and_hashes() {
    let model = Sigstore {
        rekor1: Log::v1("rekor1.test").first_shard(),
        rekor2: Log::v2("rekor2.test"),
        ..Sigstore::new()
    };
    for kind in [LogKind::V1, LogKind::V2] {
        let signature = model.sign().log(kind).image(IMAGE);
        let entry = &signature.bundle()["verificationMaterial"]["tlogEntries"][0];
        assert_eq!((entry.get("logIndex"), entry["inclusionProof"].get("hashes")), (None, None));
        judge::keyless(&model.trusted_root(), &signature).unwrap();
    }
}

#[test]
fn certificates_for_keys_of_other_types_are_accepted() {
    let root = sigstore().trusted_root();
    for key in [Key::p384(), Key::ed25519()] {
        judge::keyless(&root, &sigstore().sign().with_key(&key).image(IMAGE)).unwrap();
        judge::keyed(&root, &sigstore().sign().keyed(&key).image(IMAGE), &key.spki()).unwrap();
    }
}

/// Every place in every tree of up to nine entries: the proofs are what RFC 6962 says.
#[test]
fn proofs_hold_for_trees_of_all_shapes() {
    let model = Sigstore { rekor2: Log::v2("rekor2.test"), ..Sigstore::new() };
    let verifier = judge::verifier(&model.trusted_root()).unwrap();
    let mut signatures = Vec::new();
    for size in 1..10 {
        signatures.push(model.sign().log(LogKind::V2).image(IMAGE));
        for (signature, entry) in signatures.iter().zip(model.rekor2.entries()) {
            assert_eq!(entry.proof.as_ref().unwrap().size, size);
            let signature = Signature { entry: Some(entry), ..signature.clone() };
            judge::signed(&verifier, judge::Form::Bundle, &signature).unwrap();
        }
    }
}

/// What Fulcio says about a workflow arrives, in both of its encodings.
#[test]
fn the_claims_of_a_workflow_are_read() {
    let workflow = "https://github.com/acme/pkgs/.github/workflows/release.yml@refs/heads/main";
    let sign = sigstore()
        .sign()
        .identity(workflow)
        .issuer("https://token.actions.githubusercontent.com")
        .leaf(|leaf| {
            leaf.claim(2, "push");
            leaf.claim(12, "https://github.com/acme/pkgs");
            leaf.claim(24, "repo:acme/pkgs:ref:refs/heads/main");
        });
    let verdict = judge::keyless(&sigstore().trusted_root(), &sign.image(IMAGE)).unwrap();
    assert_eq!(verdict.identity(), Some(&SubjectAltName::Uri(workflow.to_owned())));
    let claims = &verdict.certificate().unwrap().ci_claims;
    assert_eq!(claims.deprecated_github.workflow_trigger.as_deref(), Some("push"));
    assert_eq!(claims.source_repository_uri.as_deref(), Some("https://github.com/acme/pkgs"));
    assert_eq!(claims.token_subject.as_deref(), Some("repo:acme/pkgs:ref:refs/heads/main"));
}

/// The old file of `sign-blob --bundle` says the same as the bundle, and the two files beside it
/// say it without the log.
#[test]
fn cosign_s_old_files_have_the_parts_of_the_signature() {
    let signature = sigstore().sign().blob(b"file");
    let file = signature.blob_bundle();
    let bundle = signature.bundle();
    assert_eq!(file["base64Signature"], bundle["messageSignature"]["signature"]);
    let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
    assert_eq!(
        file["rekorBundle"]["SignedEntryTimestamp"],
        entry["inclusionPromise"]["signedEntryTimestamp"]
    );
    assert_eq!(file["rekorBundle"]["Payload"]["body"], entry["canonicalizedBody"]);
    let certificate = pem::parse(STANDARD.decode(file["cert"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(
        bundle["verificationMaterial"]["certificate"]["rawBytes"],
        b64(certificate.contents())
    );
    let (detached, certificate) = signature.detached();
    assert_eq!(
        (json!(detached), json!(certificate)),
        (file["base64Signature"].clone(), file["cert"].clone())
    );
}

/// cosign 1 to 1.3 had a `rekord` made. The crate does not read it, so only its shape is held.
#[test]
fn a_rekord_names_signature_key_and_digest() {
    let key = Key::p256();
    let signature = sigstore().sign().keyed(&key).entry(Kind::Rekord).legacy(IMAGE);
    let annotation: Value =
        serde_json::from_str(&signature.annotations()["dev.sigstore.cosign/bundle"]).unwrap();
    let body: Value = serde_json::from_slice(
        &STANDARD.decode(annotation["Payload"]["body"].as_str().unwrap()).unwrap(),
    )
    .unwrap();
    assert_eq!((&body["kind"], &body["apiVersion"]), (&json!("rekord"), &json!("0.0.1")));
    assert_eq!(body["spec"]["signature"]["content"], b64(&signature.signature));
    assert_eq!(body["spec"]["signature"]["publicKey"]["content"], b64(key.pem().as_bytes()));
}

/// What Rekor v1 answers about a signature without evidence can be turned into that
/// evidence.
#[test]
fn the_log_answers_for_its_entries() {
    let model = sigstore();
    let signature = model.sign().blob(b"served");
    let log = &model.rekor1;
    let entry = signature.entry.clone().unwrap();
    let ask =
        |method, target: &str, body: Value| log.answer(method, target, body.to_string().as_bytes());

    let (status, by_index) =
        ask("GET", &format!("/api/v1/log/entries?logIndex={}", entry.index), Value::Null);
    assert_eq!(status, 200);
    assert_eq!(by_index.as_object().unwrap().keys().collect::<Vec<_>>(), [&entry.uuid()]);
    let proposed: Value = serde_json::from_slice(&entry.body).unwrap();
    let digest = proposed["spec"]["data"]["hash"]["value"].as_str().unwrap();
    let named = ask("POST", "/api/v1/index/retrieve", json!({"hash": format!("sha256:{digest}")}));
    assert_eq!(named, (200, json!([entry.uuid()])));
    for query in [
        json!({"entries": [proposed]}),
        json!({"entryUUIDs": [entry.uuid()]}),
        json!({"logIndexes": [entry.index]}),
    ] {
        let (status, found) = ask("POST", "/api/v1/log/entries/retrieve", query);
        assert_eq!(
            (status, found[0][entry.uuid()]["body"].clone()),
            (200, json!(b64(&entry.body)))
        );
    }
    assert_eq!(
        ask("POST", "/api/v1/log/entries/retrieve", json!({"logIndexes": [7]})),
        (200, json!([]))
    );
    assert_eq!(ask("GET", "/api/v1/log/entries/00", Value::Null).0, 404);

    // As the crate's own client reads it: the evidence is put beside the signature, and the whole
    // is verified.
    let answer = &by_index[entry.uuid()];
    let found: sigstore::rekor::LogEntry = serde_json::from_value(answer.clone()).unwrap();
    let found = found.to_bundle_entry(sigstore::types::KindVersion::HashedRekordV001).unwrap();
    let mut bundle = Signature { entry: None, ..signature.clone() }.bundle();
    bundle["verificationMaterial"]["tlogEntries"] = json!([found]);
    let policy = VerificationPolicy::any_identity();
    judge::bundle(&model.trusted_root(), judge::artifact(&signature.content), &bundle, &policy)
        .unwrap();
}

#[test]
fn an_identity_token_is_signed_by_the_key_that_its_issuer_shows() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    let issuer = Issuer::new("https://issuer.example");
    let token = issuer.token("dev@example.com", sigstore().now, &json!({"aud": "other"}));
    let parts: Vec<&str> = token.split('.').collect();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let claims: Value = serde_json::from_slice(&decode(parts[1])).unwrap();
    assert_eq!(
        (&claims["iss"], &claims["email"], &claims["aud"]),
        (&json!(issuer.url), &json!("dev@example.com"), &json!("other"))
    );
    let keys = issuer.keys();
    let key = &keys["keys"][0];
    let point =
        [vec![4], decode(key["x"].as_str().unwrap()), decode(key["y"].as_str().unwrap())].concat();
    let signed = format!("{}.{}", parts[0], parts[1]);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decode(parts[2]))
        .unwrap();
}
