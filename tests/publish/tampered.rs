//! Answers that are wrong, one by one: each is found before the registry is written, and named by the
//! class that it has in a signature that someone verifies.

use super::*;
use jiff::{SignedDuration, Timestamp};
use testkit::Answer;
use testkit::sigstore::log::Entry;
use testkit::sigstore::services::{
    another_entry, bent, certificate, certified, claims_of, requested, stamp_request, stamped,
};
use testkit::sigstore::{Authority, CODE_SIGNING, Key, Leaf, San, Sigstore, Stamp, Tsa};

/// Signs, and asserts that nothing was written, in every form.
#[track_caller]
fn refused(world: &World, class: &str, words: &str) {
    for form in ["auto", "bundle"] {
        assert_failed(&world.sign(&["--format", form]), class, words);
        world.assert_untouched();
    }
}

/// Fulcio answers with a certificate that is changed.
fn with_certificate(change: fn(&mut Leaf<'_>)) -> World {
    with_certificate_of(move |sigstore, claims, spki| certificate(sigstore, claims, spki, change))
}

fn with_certificate_of(
    make: impl Fn(&Sigstore, &Value, &[u8]) -> Vec<u8> + Send + Sync + 'static,
) -> World {
    let world = World::new(LogKind::V1, true);
    let sigstore = std::sync::Arc::clone(&world.services.sigstore);
    world.services.fulcio.always(move |request, _| {
        let token = request.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
        let document: Value = serde_json::from_slice(&request.body).unwrap();
        let spki = requested(document["certificateSigningRequest"].as_str().unwrap()).unwrap();
        certified(&make(&sigstore, &claims_of(token).unwrap(), &spki), &sigstore)
    });
    world
}

/// A wrong certificate is found before a log or timestamp authority hears of it.
#[track_caller]
fn certificate_refused(world: &World, class: &str, words: &str) {
    refused(world, class, words);
    assert_eq!(world.logged(), 0);
    assert!(world.services.tsa.requests().is_empty());
}

#[test]
fn a_certificate_for_another_key() {
    let world = with_certificate_of(|sigstore, claims, _| {
        certificate(sigstore, claims, &Key::p256().spki(), |_| {})
    });
    certificate_refused(&world, "identity", "another key");
}

#[test]
fn a_certificate_for_another_name() {
    let world = with_certificate(|leaf| {
        leaf.names = vec![San::of("eve@example.com")];
        leaf.claims.remove(&24);
    });
    certificate_refused(&world, "identity", "`eve@example.com`");
}

#[test]
fn a_certificate_for_another_subject() {
    let world = with_certificate(|leaf| leaf.claim(24, "someone else"));
    certificate_refused(&world, "identity", "`someone else`");
}

#[test]
fn a_certificate_by_the_word_of_another_issuer() {
    let world = with_certificate(|leaf| {
        leaf.claim(1, "https://other.example");
        leaf.claim(8, "https://other.example");
    });
    certificate_refused(&world, "identity", "`https://other.example`");
}

#[test]
fn a_certificate_without_the_proof_that_it_was_logged() {
    certificate_refused(&with_certificate(|leaf| leaf.scts.clear()), "tlog", "");
    let world = World::new(LogKind::V1, false);
    world.services.fulcio.tamper(|answer| {
        let issued = answer["signedCertificateEmbeddedSct"].take();
        *answer = json!({"signedCertificateDetachedSct": issued});
    });
    certificate_refused(&world, "tlog", "without the proof in it");
}

#[test]
fn a_certificate_of_an_authority_that_nobody_knows() {
    let world = with_certificate_of(|sigstore, claims, spki| {
        let root = Authority::root("CN=test-fulcio-root,O=sigstore.test", sigstore.window);
        let name = "CN=test-fulcio-intermediate,O=sigstore.test";
        let fulcio = root.intermediate(name, &[CODE_SIGNING], sigstore.window);
        let mut theirs = None;
        certificate(sigstore, claims, spki, |leaf| theirs = Some(leaf.claims.clone()));
        let at = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        let leaf = Leaf {
            issuer: &fulcio,
            names: vec![San::of(WHO)],
            claims: theirs.unwrap(),
            purposes: vec![CODE_SIGNING],
            authority: false,
            window: testkit::sigstore::Window {
                from: at,
                until: at + SignedDuration::from_mins(10),
            },
            scts: vec![testkit::sigstore::Sct { log: &sigstore.ct, at, issuer: None }],
            others: Vec::new(),
        };
        fulcio.issue(&leaf, spki)
    });
    certificate_refused(&world, "identity", "");
}

#[test]
fn a_certificate_that_has_ended() {
    // Made for us, of the right authority, and of yesterday: the log's time is outside of it.
    let world = with_certificate(|leaf| {
        leaf.window.from -= SignedDuration::from_hours(24);
        leaf.window.until -= SignedDuration::from_hours(24);
        for sct in &mut leaf.scts {
            sct.at -= SignedDuration::from_hours(24);
        }
    });
    refused(&world, "time", "");
}

#[test]
fn a_certificate_for_another_purpose() {
    let world = with_certificate(|leaf| leaf.purposes = vec![testkit::sigstore::TIME_STAMPING]);
    certificate_refused(&world, "identity", "");
}

#[test]
fn an_answer_of_fulcio_that_is_none() {
    for body in ["", "x", "{}", "[]", "{\"signedCertificateEmbeddedSct\":{}}"] {
        let world = World::new(LogKind::V1, false);
        world.services.fulcio.always(move |_, _| Answer::new(200).json(body));
        certificate_refused(&world, "malformed", "");
    }
}

/// The entry of a log of v1 is changed.
fn with_entry(change: impl Fn(&mut Value) + Clone + Send + Sync + 'static) -> World {
    let world = World::new(LogKind::V1, false);
    world.services.rekor1.tamper(move |answer| {
        change(answer.as_object_mut().unwrap().values_mut().next().unwrap());
    });
    world
}

#[test]
fn an_entry_of_v1_that_does_not_hold() {
    let bend = |entry: &mut Value, pointer: &str| {
        let value = entry.pointer_mut(pointer).unwrap();
        *value = json!(bent(value.as_str().unwrap()));
    };
    let hash = |byte: &str| json!(byte.repeat(32));
    refused(
        &with_entry(move |entry| bend(entry, "/verification/signedEntryTimestamp")),
        "tlog",
        "",
    );
    refused(&with_entry(|entry| entry["integratedTime"] = json!(1_700_000_000)), "tlog", "");
    refused(&with_entry(|entry| entry["logIndex"] = json!(1)), "tlog", "");
    refused(&with_entry(move |entry| entry["logID"] = hash("0a")), "tlog", "");
    let proof = "/verification/inclusionProof";
    let set = move |key: &'static str, value: Value| {
        with_entry(move |entry| entry.pointer_mut(proof).unwrap()[key] = value.clone())
    };
    refused(&set("rootHash", hash("0b")), "tlog", "proof");
    refused(&set("hashes", json!([])), "tlog", "proof");
    refused(&set("logIndex", json!(0)), "tlog", "proof");
    refused(&set("treeSize", json!(1_000)), "tlog", "");
    refused(&set("checkpoint", json!("x")), "tlog", "checkpoint");
    refused(
        &with_entry(move |entry| {
            let checkpoint = entry.pointer_mut("/verification/inclusionProof/checkpoint").unwrap();
            let text = checkpoint.as_str().unwrap();
            // The signature of the head.
            let (head, signature) = text.trim_end().rsplit_once(' ').unwrap();
            *checkpoint = json!(format!("{head} {}\n", bent(signature)));
        }),
        "tlog",
        "",
    );
}

#[test]
fn an_entry_of_v1_about_something_else() {
    let world = World::new(LogKind::V1, false);
    let sigstore = std::sync::Arc::clone(&world.services.sigstore);
    world.services.rekor1.always(move |_, _| {
        Answer::new(201).json(&another_entry(&sigstore.rekor1).answer().to_string())
    });
    refused(&world, "tlog", "");
}

#[test]
fn an_answer_of_a_log_that_is_none() {
    for body in ["", "x", "{}", "[]", "{\"a\":{}}"] {
        for log in [LogKind::V1, LogKind::V2] {
            let world = World::new(log, true);
            for service in [&world.services.rekor1, &world.services.rekor2] {
                service.always(move |_, _| Answer::new(201).json(body));
            }
            assert_failed(&world.sign(&[]), "tlog", "");
            world.assert_untouched();
        }
    }
}

#[test]
fn an_entry_of_v2_that_does_not_hold() {
    let with = |change: fn(&mut Value)| {
        let world = World::new(LogKind::V2, true);
        world.services.rekor2.tamper(change);
        world
    };
    let proof = |change: fn(&mut Value)| change;
    for change in [
        proof(|entry| {
            entry["inclusionProof"]["rootHash"] = json!(testkit::sigstore::b64(&[7; 32]))
        }),
        proof(|entry| entry["inclusionProof"]["treeSize"] = json!("1")),
        proof(|entry| entry["inclusionProof"]["logIndex"] = json!("1")),
        proof(|entry| entry["inclusionProof"]["hashes"] = json!([])),
        proof(|entry| entry["inclusionProof"]["checkpoint"]["envelope"] = json!("x")),
        proof(|entry| entry["inclusionProof"] = Value::Null),
        proof(|entry| entry["logIndex"] = json!("0")),
        proof(|entry| entry["logId"]["keyId"] = json!(testkit::sigstore::b64(&[7; 32]))),
        proof(|entry| entry["kindVersion"]["version"] = json!("0.0.1")),
        proof(|entry| {
            entry["canonicalizedBody"] = json!(bent(entry["canonicalizedBody"].as_str().unwrap()))
        }),
        proof(|entry| entry["unknown"] = json!(1)),
        proof(|entry| {
            let envelope = &mut entry["inclusionProof"]["checkpoint"]["envelope"];
            let (head, signature) = envelope.as_str().unwrap().trim_end().rsplit_once(' ').unwrap();
            *envelope = json!(format!("{head} {}\n", bent(signature)));
        }),
    ] {
        let world = with(change);
        let output = world.sign(&[]);
        let text = said(&output);
        assert!(!output.status.success(), "{text}");
        assert!(
            ["error: tlog: ", "error: malformed: "].iter().any(|class| text.starts_with(class)),
            "{text}"
        );
        world.assert_untouched();
    }
}

#[test]
fn an_entry_of_v2_about_something_else() {
    let world = World::new(LogKind::V2, true);
    let sigstore = std::sync::Arc::clone(&world.services.sigstore);
    world.services.rekor2.always(move |_, _| {
        let entry: Entry = another_entry(&sigstore.rekor2);
        Answer::new(201).json(&entry.bundle_entry().to_string())
    });
    assert_failed(&world.sign(&[]), "tlog", "");
    world.assert_untouched();
}

/// The timestamp authority answers with something else, which the log never hears of.
#[track_caller]
fn stamp_refused(
    change: impl for<'a> Fn(&'a Sigstore, &'a Tsa, &mut Stamp<'a>) + Send + Sync + 'static,
    words: &str,
) {
    for log in [LogKind::V1, LogKind::V2] {
        let world = World::new(log, true);
        let sigstore = std::sync::Arc::clone(&world.services.sigstore);
        let foreign = Tsa::foreign(sigstore.window);
        let change = &change;
        std::thread::scope(|_| ());
        let stamp = |body: &[u8]| {
            let (imprint, nonce) = stamp_request(body).unwrap();
            let at = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
            let mut stamp = Stamp::new(&sigstore.tsa, b"", at).with_certificates();
            (stamp.imprint, stamp.nonce) = (imprint, Some(nonce));
            change(&sigstore, &foreign, &mut stamp);
            stamped(&stamp)
        };
        // Made here, for what is borrowed: the script below only passes it on.
        let (ask, asked) = std::sync::mpsc::channel::<Vec<u8>>();
        let (give, given) = std::sync::mpsc::channel::<Answer>();
        let given = std::sync::Mutex::new((ask, given));
        world.services.tsa.always(move |request, _| {
            let channel = given.lock().unwrap();
            channel.0.send(request.body.clone()).unwrap();
            channel.1.recv().unwrap()
        });
        let output = std::thread::scope(|scope| {
            let signing = scope.spawn(|| world.sign(&[]));
            while !signing.is_finished() {
                let wait = std::time::Duration::from_millis(20);
                if let Ok(body) = asked.recv_timeout(wait) {
                    give.send(stamp(&body)).unwrap();
                }
            }
            signing.join().unwrap()
        });
        assert_failed(&output, "time", words);
        world.assert_untouched();
        assert_eq!(world.logged(), 0);
    }
}

#[test]
fn a_timestamp_of_another_signature() {
    stamp_refused(|_, _, stamp| stamp.imprint = [7; 32], "");
}

#[test]
fn a_timestamp_that_answers_another_request() {
    stamp_refused(|_, _, stamp| stamp.nonce = Some(vec![1, 2, 3]), "nonce");
    stamp_refused(|_, _, stamp| stamp.nonce = None, "nonce");
}

#[test]
fn a_timestamp_of_an_authority_that_nobody_knows() {
    stamp_refused(
        |_, foreign, stamp| {
            stamp.signers = vec![foreign];
            stamp.certificates = vec![foreign.der()];
        },
        "",
    );
}

#[test]
fn a_timestamp_outside_of_the_certificate() {
    stamp_refused(|_, _, stamp| stamp.at -= SignedDuration::from_hours(1), "");
}

#[test]
fn a_timestamp_of_two() {
    stamp_refused(|sigstore, foreign, stamp| stamp.signers = vec![&sigstore.tsa, foreign], "");
}

#[test]
fn a_timestamp_that_is_none() {
    for body in ["", "x", "0\u{3}0\u{1}\u{2}"] {
        let world = World::new(LogKind::V1, true);
        world.services.tsa.always(move |_, _| Answer::new(200).body(body));
        assert_failed(&world.sign(&[]), "time", "");
        world.assert_untouched();
        assert_eq!(world.logged(), 0);
    }
}

#[test]
fn answers_without_an_end_are_cut_off() {
    for which in 0..4 {
        let log = if which == 2 { LogKind::V2 } else { LogKind::V1 };
        let world = World::new(log, true);
        let service = world.services.all()[which];
        service.always(|_, _| Answer::new(201).endless(vec![b' '; 65_536]));
        assert_failed(&world.sign(&[]), "limit", "more than 1048576 bytes");
        world.assert_untouched();
    }
}
