//! Rows S and R of docs/threats.md for a bundle by a key: each case is served as it is, and
//! the class is exact.

use super::*;
use luet_cosign::limits;

/// Asserts what the event says of an image whose only signature is this bundle.
#[track_caller]
fn check(what: &str, world: &World, bundle: &Value, class: &str) {
    check_bytes(what, world, bundle.to_string().as_bytes(), class);
}

#[track_caller]
fn check_bytes(what: &str, world: &World, bundle: &[u8], class: &str) {
    world.attach(bundle);
    let reply = world.install();
    assert_eq!((reply.exit, reply.class()), (Some(0), class), "{what}: {reply:?}");
}

#[test]
fn a_bundle_by_a_trusted_key_is_enough_and_by_a_stranger_is_not() {
    let world = World::new();
    world.attach(world.bundle("acme").to_string().as_bytes());
    world.install().assert_silent_success();
    let world = World::new();
    check("a stranger", &world, &world.bundle("stranger"), "identity");
}

/// What is wrong with the bundle around a good signature of a good statement.
#[test]
fn a_bundle_must_be_exactly_one_signature_of_one_signer() {
    let certificate = json!({"rawBytes": "AAAA"});
    let message =
        json!({"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": "AAAA"});
    let cases: Vec<(&str, &str, Value, &str)> = vec![
        ("no signature", "/dsseEnvelope/signatures", json!([]), "malformed"),
        (
            "a key beside a certificate",
            "/verificationMaterial/certificate",
            certificate.clone(),
            "malformed",
        ),
        (
            "a key beside a chain",
            "/verificationMaterial/x509CertificateChain",
            json!({"certificates": []}),
            "malformed",
        ),
        (
            "a certificate alone",
            "/verificationMaterial",
            json!({"certificate": certificate}),
            "identity",
        ),
        ("no signer", "/verificationMaterial", json!({}), "malformed"),
        ("a message beside the envelope", "/messageSignature", message, "malformed"),
        (
            "another type of payload",
            "/dsseEnvelope/payloadType",
            json!("application/vnd.in-toto+JSON"),
            "identity",
        ),
        ("no media type", "/mediaType", json!(null), "malformed"),
        (
            "version 0.1",
            "/mediaType",
            json!("application/vnd.dev.sigstore.bundle+json;version=0.1"),
            "unsupported",
        ),
        (
            "version 0.2",
            "/mediaType",
            json!("application/vnd.dev.sigstore.bundle+json;version=0.2"),
            "unsupported",
        ),
        (
            "version 0.4",
            "/mediaType",
            json!("application/vnd.dev.sigstore.bundle.v0.4+json"),
            "unsupported",
        ),
        ("another media type", "/mediaType", json!("application/json"), "malformed"),
        ("an unknown field", "/extra", json!(1), "malformed"),
        ("a field of another spelling", "/dsse_envelope", json!({}), "malformed"),
        (
            "33 log entries",
            "/verificationMaterial/tlogEntries",
            json!(vec![json!({}); limits::BUNDLE_EVIDENCE + 1]),
            "limit",
        ),
    ];
    for (what, pointer, value, class) in cases {
        let world = World::new();
        let mut bundle = world.bundle("acme");
        set(&mut bundle, pointer, value);
        check(what, &world, &bundle, class);
    }
    let world = World::new();
    let mut bundle = world.bundle("acme");
    let again = bundle["dsseEnvelope"]["signatures"][0].clone();
    bundle["dsseEnvelope"]["signatures"].as_array_mut().unwrap().push(again);
    check("two signatures", &world, &bundle, "malformed");
    let world = World::new();
    let mut bundle = world.bundle("acme");
    bundle.as_object_mut().unwrap().remove("mediaType");
    check("a media type that is absent", &world, &bundle, "malformed");
}

#[test]
fn log_entries_and_the_hint_beside_a_key_decide_nothing() {
    let entry = json!({"logIndex": "1", "logId": {"keyId": "AAAA"}, "canonicalizedBody": "AAAA", "anything": []});
    for (pointer, value) in [
        ("/verificationMaterial/tlogEntries", json!([entry])),
        ("/verificationMaterial/tlogEntries", json!([])),
        (
            "/verificationMaterial/timestampVerificationData",
            json!({"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}),
        ),
        ("/verificationMaterial/publicKey", json!({"hint": "of someone else"})),
        ("/verificationMaterial/publicKey", json!({})),
    ] {
        let world = World::new();
        let mut bundle = world.bundle("acme");
        set(&mut bundle, pointer, value);
        world.attach(bundle.to_string().as_bytes());
        world.install().assert_silent_success();
    }
    // The hint of acme makes nobody acme.
    let world = World::new();
    let mut bundle = world.bundle("stranger");
    bundle["verificationMaterial"] = world.bundle("acme")["verificationMaterial"].clone();
    check("a stranger with the hint of acme", &world, &bundle, "identity");
}

#[test]
fn base64_and_json_have_one_spelling() {
    let good = |world: &World| {
        world.bundle("acme")["dsseEnvelope"]["payload"].as_str().unwrap().to_owned()
    };
    let changes: [(&str, fn(&str) -> String); 5] = [
        ("url-safe", |text| text.replacen('e', "_", 1)),
        ("a space", |text| format!("{text} ")),
        ("a line end", |text| format!("{text}\n")),
        ("more padding", |text| format!("{text}=")),
        ("none", |_| String::new()),
    ];
    for (what, change) in changes {
        let world = World::new();
        let mut bundle = world.bundle("acme");
        bundle["dsseEnvelope"]["payload"] = json!(change(&good(&world)));
        check(what, &world, &bundle, "malformed");
    }
    let world = World::new();
    let text = world.bundle("acme").to_string();
    let twice = text.replacen("\"payload\":", "\"payload\":\"e30=\",\"payload\":", 1);
    check_bytes("a key twice", &world, twice.as_bytes(), "malformed");
    for (what, bytes) in [
        ("nothing", b"".as_slice()),
        ("not JSON", b"{"),
        ("a list", b"[]"),
        ("two documents", b"{}{}"),
    ] {
        check_bytes(what, &World::new(), bytes, "malformed");
    }
}

/// What is wrong with the statement, which acme really signed.
#[test]
fn a_statement_by_a_trusted_key_must_be_a_signature_of_this_image() {
    let other = Digest::of(b"other").hex();
    let own = World::new().digest().hex();
    let subjects = |count: usize| {
        let mut list: Vec<Value> = (1..count)
            .map(|number| json!({"digest": {"sha256": Digest::of(&number.to_be_bytes()).hex()}}))
            .collect();
        list.push(json!({"digest": {"sha256": own}}));
        Value::Array(list)
    };
    let cases: Vec<(&str, &str, Value, &str)> = vec![
        ("another image", "/subject/0/digest/sha256", json!(other), "binding"),
        ("another algorithm", "/subject/0/digest", json!({"sha512": own.repeat(2)}), "binding"),
        ("a digest of another length", "/subject/0/digest", json!({"sha512": own}), "malformed"),
        ("no digest", "/subject/0/digest", json!({}), "binding"),
        (
            "a digest in upper case",
            "/subject/0/digest/sha256",
            json!(own.to_uppercase()),
            "malformed",
        ),
        ("a digest that is cut", "/subject/0/digest/sha256", json!(own[1..]), "malformed"),
        ("no subject", "/subject", json!([]), "malformed"),
        (
            "the image twice",
            "/subject",
            json!([{"digest": {"sha256": own}}, {"digest": {"sha256": own}}]),
            "malformed",
        ),
        ("too many subjects", "/subject", subjects(limits::SUBJECTS + 1), "limit"),
        (
            "another type of statement",
            "/_type",
            json!("https://in-toto.io/Statement/v0.1"),
            "malformed",
        ),
        ("no type of statement", "/_type", json!(null), "malformed"),
        ("no predicate type", "/predicateType", json!(null), "malformed"),
        (
            "a claim of ours that is none",
            "/subject/0/annotations",
            json!({"luet-cosign.tree": "v1:sha256:x"}),
            "malformed",
        ),
        ("provenance", "/predicateType", json!("https://slsa.dev/provenance/v1"), "unsigned"),
        ("an SBOM", "/predicateType", json!("https://spdx.dev/Document"), "unsigned"),
        (
            "another version of the predicate",
            "/predicateType",
            json!("https://sigstore.dev/cosign/sign/v2"),
            "unsigned",
        ),
    ];
    for (what, pointer, value, class) in cases {
        let world = World::new();
        let mut statement = world.statement();
        set(&mut statement, pointer, value);
        check(what, &world, &bundle(&pair("acme").key, &statement), class);
    }
    let world = World::new();
    let mut statement = world.statement();
    statement["subject"] = subjects(limits::SUBJECTS);
    check("as many subjects as may be", &world, &bundle(&pair("acme").key, &statement), "");
}

#[test]
fn what_cannot_be_parsed_is_malformed_where_a_trusted_key_signed_it_and_a_strangers_else() {
    for payload in [
        &b"not JSON"[..],
        b"{",
        b"\xff\xfe",
        b"{\"predicateType\":\"https://slsa.dev/provenance/v1\",\"predicateType\":\"x\"}",
    ] {
        let world = World::new();
        check("by acme", &world, &bundle_of(&pair("acme").key, payload), "malformed");
        let world = World::new();
        check("by a stranger", &world, &bundle_of(&pair("stranger").key, payload), "identity");
    }
}

#[test]
fn a_signature_over_the_statement_without_its_type_is_nobodys() {
    let world = World::new();
    let payload = world.statement().to_string().into_bytes();
    let mut bundle = world.bundle("acme");
    bundle["dsseEnvelope"]["signatures"][0]["sig"] =
        json!(STANDARD.encode(pair("acme").key.sign(&payload).unwrap()));
    check("the bare payload signed", &world, &bundle, "identity");
}

#[test]
fn what_a_trusted_key_signed_as_something_else_than_a_statement_is_malformed() {
    for payload_type in ["application/vnd.in-toto", "application/json", "text/plän", ""] {
        let world = World::new();
        let payload = world.statement().to_string().into_bytes();
        let envelope = wire::DsseEnvelope {
            payload_type: payload_type.to_owned(),
            payload,
            signature: Vec::new(),
        };
        let mut bundle = world.bundle("acme");
        bundle["dsseEnvelope"]["payloadType"] = json!(payload_type);
        let signature = pair("acme").key.sign(&envelope.signed_bytes()).unwrap();
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!(STANDARD.encode(signature));
        bundle["dsseEnvelope"]["payload"] = json!(STANDARD.encode(&envelope.payload));
        check(payload_type, &world, &bundle, "malformed");
    }
}

#[test]
fn a_legacy_payload_is_no_statement_and_the_reverse() {
    let world = World::new();
    let payload = wire::Payload {
        docker_reference: "x".to_owned(),
        manifest_digest: world.digest(),
        annotations: BTreeMap::new(),
    };
    check(
        "a legacy payload in an envelope",
        &world,
        &bundle_of(&pair("acme").key, &payload.to_bytes()),
        "malformed",
    );
    let world = World::new();
    let statement = world.statement().to_string().into_bytes();
    let signature = pair("acme").key.sign(&statement).unwrap();
    world.registry.push_signatures(
        REPO,
        &world.image.digest,
        &[legacy_signature(&statement, &signature)],
    );
    world.install().assert_refused("malformed");
}

#[test]
fn annotations_that_are_asked_for_are_read_from_the_statement_alone() {
    let world = World::new();
    let mut statement = world.statement();
    statement["subject"][0]["annotations"] = json!({"env": "prod", "number": 7});
    world.attach(bundle(&pair("acme").key, &statement).to_string().as_bytes());
    let key = world.plugin.path("acme.pub").display().to_string();
    let verify = |annotation: &str| {
        world.plugin.run(["verify", "--json", "--key", &key, "-a", annotation, &world.name()])
    };
    for (annotation, exit) in [
        ("env=prod", 0),
        ("number=7", 0),
        ("env=test", 14),
        ("other=1", 14),
        ("dev.sigstore.bundle.content=dsse-envelope", 14),
    ] {
        let (code, document) = document(&verify(annotation));
        assert_eq!(code, exit, "{annotation}: {document}");
    }
}

#[test]
fn annotations_that_are_asked_for_are_read_from_the_legacy_payload_alone() {
    let world = World::new();
    let annotations = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    let payload = wire::Payload {
        docker_reference: "x".to_owned(),
        manifest_digest: world.digest(),
        annotations,
    }
    .to_bytes();
    let mut signature = legacy_signature(&payload, &pair("acme").key.sign(&payload).unwrap());
    signature.annotations.push(("other".to_owned(), "1".to_owned()));
    world.registry.push_signatures(REPO, &world.image.digest, &[signature]);
    let key = world.plugin.path("acme.pub").display().to_string();
    for (annotation, exit) in [("env=prod", 0), ("env=test", 14), ("other=1", 14)] {
        let (code, document) = document(&world.plugin.run([
            "verify",
            "--json",
            "--key",
            &key,
            "-a",
            annotation,
            &world.name(),
        ]));
        assert_eq!(code, exit, "{annotation}: {document}");
    }
}

#[test]
fn a_referrer_of_another_image_is_binding_and_one_that_is_no_signature_is_nothing() {
    let world = World::new();
    let other = world.registry.push_image(REPO, "2", &[b"other"]);
    let statement: Value = serde_json::from_slice(&wire::write_statement(
        &other.digest.parse().unwrap(),
        &BTreeMap::new(),
    ))
    .unwrap();
    let manifest = world.registry.push_referrer(
        REPO,
        &other,
        BUNDLE,
        bundle(&pair("acme").key, &statement).to_string().as_bytes(),
    );
    // The registry lists it under this image all the same.
    world.fallback(&[manifest]);
    world.install().assert_refused("binding");
    for kind in [
        "text/spdx+json",
        "application/vnd.dev.cosign.artifact.sbom.v1+json",
        "application/vnd.oci.image.layer.v1.tar",
    ] {
        let world = World::new();
        world.registry.push_referrer(
            REPO,
            &world.image,
            kind,
            world.bundle("acme").to_string().as_bytes(),
        );
        world.install().assert_refused("unsigned");
    }
}

#[test]
fn a_message_signature_is_no_signature_of_an_image() {
    let world = World::new();
    let signature = pair("acme").key.sign(&world.image.manifest).unwrap();
    let bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "messageSignature": {"messageDigest": {}, "signature": STANDARD.encode(signature)},
    });
    check("a signature of the manifest's bytes", &world, &bundle, "unsupported");
}

#[test]
fn what_the_registry_serves_must_be_what_the_manifest_names() {
    let world = World::new();
    world.attach(world.bundle("acme").to_string().as_bytes());
    world.registry.rule("GET", &format!("/v2/{REPO}/blobs/*"), |call| {
        let good = call.good();
        let mut bytes = good.bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        Some(good.body(bytes))
    });
    world.install().assert_refused("digest");
}

#[test]
fn a_referrer_that_cannot_be_had_is_no_absence_and_does_not_hide_a_good_one() {
    for answer in [testkit::Answer::new(500), testkit::Answer::error(404, "MANIFEST_UNKNOWN")] {
        let world = World::new();
        let first = world.attach(world.bundle("stranger").to_string().as_bytes());
        world.registry.always("GET", &format!("/v2/{REPO}/manifests/{first}"), answer);
        world.install().assert_refused("registry");
        world.attach(world.bundle("acme").to_string().as_bytes());
        world.install().assert_silent_success();
    }
}
