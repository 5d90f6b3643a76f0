//! What goes wrong on the way: services that say "later", say nothing, or take what they are sent and
//! do not answer; registries that refuse; tokens that are none.

use super::*;
use jiff::{SignedDuration, Timestamp};
use testkit::Answer;
use testkit::sigstore::services::{certificate, certified, claims_of, requested};

fn adds(world: &World) -> usize {
    world.logged()
}

#[test]
fn fulcio_is_asked_three_times_and_its_last_status_is_told() {
    for status in [429, 500, 502, 503] {
        let world = World::new(LogKind::V1, false);
        world.services.fulcio.times(2, move |_, _| Answer::new(status));
        assert_good(&world.sign(&[]));
        assert_eq!(world.services.fulcio.requests().len(), 3);
        let world = World::new(LogKind::V1, false);
        world.services.fulcio.always(move |_, _| Answer::new(status));
        assert_failed(&world.sign(&[]), "net", &format!("answered {status}"));
        assert!(said(&world.sign(&[])).contains("tried 3 times"));
        assert_eq!(world.services.fulcio.requests().len(), 6);
        world.assert_untouched();
    }
}

#[test]
fn a_connection_to_fulcio_that_breaks_is_made_again() {
    let world = World::new(LogKind::V1, false);
    world.services.fulcio.once(|_, _| Answer::close());
    world.services.fulcio.once(|_, _| Answer::reset());
    assert_good(&world.sign(&[]));
}

#[test]
fn a_fulcio_that_drips_is_left_at_the_deadline() {
    let mut world = World::new(LogKind::V1, false);
    world.plugin.set("LUET_COSIGN_TIMEOUT", "2");
    world
        .services
        .fulcio
        .always(|request, good| good(request).drip(std::time::Duration::from_millis(200)));
    let began = std::time::Instant::now();
    assert_failed(&world.sign(&[]), "net", "");
    assert!(began.elapsed() < std::time::Duration::from_secs(15));
    world.assert_untouched();
}

#[test]
fn what_a_service_refuses_is_told_shortened_and_without_controls() {
    let long = "x".repeat(5_000);
    let message = format!("\u{1b}[31mno {long}");
    let body = json!({"code": 400, "message": message}).to_string();
    for which in [0, 1, 2] {
        let world = World::new(if which == 2 { LogKind::V2 } else { LogKind::V1 }, which == 2);
        let body = body.clone();
        world.services.all()[which].always(move |_, _| Answer::new(400).json(&body));
        let output = world.sign(&[]);
        let text = said(&output);
        assert!(!output.status.success());
        assert!(text.contains("400") && text.contains("no x"), "{text}");
        assert!(text.len() < 2_500 && !text.contains('\u{1b}'), "{} bytes: {text}", text.len());
        world.assert_untouched();
    }
}

#[test]
fn a_log_of_v1_is_asked_three_times_with_the_same_bytes() {
    let world = World::new(LogKind::V1, false);
    world.services.rekor1.times(2, |_, _| Answer::new(503));
    assert_good(&world.sign(&[]));
    let sent: Vec<_> =
        world.services.rekor1.requests().into_iter().map(|request| request.body).collect();
    assert!(sent.len() == 3 && sent[0] == sent[1] && sent[1] == sent[2]);
    let world = World::new(LogKind::V1, false);
    world.services.rekor1.always(|_, _| Answer::new(503));
    assert_failed(&world.sign(&[]), "net", "answered 503");
    assert_eq!(adds(&world), 3);
    world.assert_untouched();
}

#[test]
fn an_answer_of_a_log_of_v1_that_was_lost_is_fetched() {
    for lost in [Answer::close(), Answer::reset(), Answer::new(502)] {
        for form in ["legacy", "bundle"] {
            let world = World::new(LogKind::V1, false);
            let lost = lost.clone();
            world.services.rekor1.once(move |request, good| {
                good(request);
                lost.clone()
            });
            assert_good(&world.sign(&["--format", form]));
            assert_good(&world.verify());
            let lines: Vec<_> = world
                .services
                .rekor1
                .requests()
                .iter()
                .map(|request| request.method.clone())
                .collect();
            assert_eq!(lines, ["POST", "POST", "GET"]);
        }
    }
}

/// Only the name is taken from where the log points to; and another entry under it is none.
#[test]
fn where_a_log_points_to_is_not_gone_to() {
    let world = World::new(LogKind::V1, false);
    let sink = testkit::Sink::start();
    let elsewhere = sink.url();
    world.services.rekor1.once(move |request, good| {
        good(request);
        let answer = good(request);
        let (_, uuid) = {
            let body: Value = serde_json::from_slice(answer.bytes()).unwrap();
            let text = body["message"].as_str().unwrap().to_owned();
            let uuid = text.rsplit(' ').next().unwrap().to_owned();
            (text, uuid)
        };
        answer.header("Location", &format!("{elsewhere}/api/v1/log/entries/{uuid}"))
    });
    assert_good(&world.sign(&[]));
    assert_eq!(sink.0.connections(), 0);
    for location in ["", "/api/v1/log/entries/", "/api/v1/log/entries/../../x", "/x?y=1"] {
        let world = World::new(LogKind::V1, false);
        world.services.rekor1.always(move |_, _| Answer::new(409).header("Location", location));
        assert_failed(&world.sign(&[]), "tlog", "does not say where");
        world.assert_untouched();
    }
}

#[test]
fn a_log_of_v2_that_does_not_answer_gets_another_signature() {
    for lost in [Answer::close(), Answer::new(503), Answer::new(429)] {
        let world = World::new(LogKind::V2, true);
        let lost = lost.clone();
        world.services.rekor2.once(move |request, good| {
            good(request);
            lost.clone()
        });
        assert_good(&world.sign(&[]));
        assert_good(&world.verify());
        let sent: Vec<_> =
            world.services.rekor2.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(sent.len(), 2);
        assert_ne!(sent[0], sent[1]);
        assert_eq!(world.services.fulcio.requests().len(), 1, "the certificate is the same");
        assert_eq!(world.services.tsa.requests().len(), 2);
    }
    let world = World::new(LogKind::V2, true);
    world.services.rekor2.always(|_, _| Answer::new(503));
    assert_failed(&world.sign(&[]), "net", "tried 3 times, with a signature of its own each");
    assert_eq!(adds(&world), 3);
    world.assert_untouched();
}

#[test]
fn an_rsa_key_that_a_log_of_v2_knows_is_told_so() {
    let world = World::new(LogKind::V2, true);
    world.services.rekor2.always(|_, _| Answer::new(409).json(r#"{"code":6,"message":"exists"}"#));
    assert_failed(&world.sign(&[]), "tlog", "already has this entry");
    world.assert_untouched();
}

#[test]
fn a_silent_timestamp_authority_is_done_without_where_the_log_says_the_time() {
    for silent in [Answer::new(503), Answer::new(500), Answer::close()] {
        let world = World::new(LogKind::V1, true);
        let answer = silent.clone();
        world.services.tsa.always(move |_, _| answer.clone());
        let output = world.sign(&[]);
        assert_good(&output);
        assert!(said(&output).contains("signed without a timestamp"), "{}", said(&output));
        assert!(!world.layers()[0].to_string().contains("rfc3161timestamp"));
        assert_good(&world.verify());
        let world = World::new(LogKind::V2, true);
        world.services.tsa.always(move |_, _| silent.clone());
        assert_failed(&world.sign(&[]), "net", "nothing was told to it");
        assert_eq!(adds(&world), 0);
        world.assert_untouched();
    }
}

#[test]
fn a_timestamp_authority_that_refuses_is_a_mistake() {
    for status in [400, 404, 301] {
        let world = World::new(LogKind::V1, true);
        world.services.tsa.always(move |_, _| Answer::new(status));
        assert_failed(&world.sign(&[]), "net", &format!("answered {status}"));
        assert_eq!(adds(&world), 0);
        world.assert_untouched();
    }
}

#[test]
fn a_registry_that_refuses_the_write_leaves_an_entry_and_that_is_said() {
    for form in ["legacy", "bundle"] {
        let world = World::new(LogKind::V1, false);
        world.registry.always("PUT", "/v2/*", Answer::error(403, "DENIED"));
        let output = world.sign(&["--format", form]);
        assert_failed(&output, "auth", "is public in the log");
        assert!(said(&output).contains("as the entry 100"), "{}", said(&output));
        assert_eq!(adds(&world), 1);
    }
}

#[test]
fn a_registry_that_says_later_gets_the_signature_that_was_made() {
    let world = World::new(LogKind::V1, false);
    world.registry.in_turn("PUT", "/v2/*/manifests/*", vec![Answer::new(503), Answer::new(500)]);
    assert_good(&world.sign(&[]));
    assert_eq!((adds(&world), world.layers().len()), (1, 1));
}

/// Our signature is taken away by someone else's write: the one that was made is added again.
#[test]
fn a_signature_that_is_replaced_is_written_again_and_not_made_again() {
    let world = World::new(LogKind::V1, false);
    let theirs = json!({
        "mediaType": testkit::registry::SIMPLE_SIGNING, "size": 2,
        "digest": testkit::digest(b"{}"),
        "annotations": {"dev.cosignproject.cosign/signature": "AA=="},
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": testkit::registry::MANIFEST,
        "config": {"mediaType": testkit::registry::CONFIG, "size": 2, "digest": testkit::digest(b"{}")},
        "layers": [theirs],
    });
    world.registry.rule("GET", "/v2/*/manifests/sha256-*", move |call| {
        // Ours was written by then, and another one is there.
        (call.nth == 2).then(|| {
            testkit::Answer::new(200)
                .header("Content-Type", testkit::registry::MANIFEST)
                .body(manifest.to_string())
        })
    });
    assert_good(&world.sign(&[]));
    assert_eq!((adds(&world), world.layers().len()), (1, 2));
    assert_eq!(world.services.fulcio.requests().len(), 1);
}

#[test]
fn a_certificate_with_less_than_a_minute_left_is_not_signed_with() {
    for (lifetime, certificates) in [(50, 3), (600, 1)] {
        let world = World::new(LogKind::V1, false);
        let sigstore = std::sync::Arc::clone(&world.services.sigstore);
        world.services.fulcio.always(move |request, _| {
            let token = request.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
            let document: Value = serde_json::from_slice(&request.body).unwrap();
            let spki = requested(document["certificateSigningRequest"].as_str().unwrap()).unwrap();
            let leaf = certificate(&sigstore, &claims_of(token).unwrap(), &spki, |leaf| {
                leaf.window.until = leaf.window.from + SignedDuration::from_secs(lifetime);
            });
            certified(&leaf, &sigstore)
        });
        let other = world.registry.push_image(REPO, "b", &[&layer(&[("b", b"b")])]);
        assert_ne!(other.digest, world.image.digest);
        assert_good(&world.sign(&[&world.registry.name(&format!("{REPO}:b"))]));
        assert_eq!(adds(&world), 2);
        // With little time, one to see who signs and one for each image.
        assert_eq!(world.services.fulcio.requests().len(), certificates, "{lifetime} s");
    }
}

#[test]
fn a_token_that_is_refused_is_explained() {
    let now = Timestamp::now().as_second();
    for (claims, words) in [
        (json!({"exp": now - 10}), "expired at "),
        (json!({"nbf": now + 3_600}), "not valid before "),
        (json!({"aud": "someone"}), "wrong audience: found "),
        (
            json!({"iss": "https://other.example"}),
            "does not know the issuer `https://other.example`",
        ),
        (json!({"email_verified": false}), "is not verified"),
    ] {
        let world = World::new(LogKind::V1, false);
        let token = world.services.token(WHO, &claims);
        assert_failed(&world.sign_as(&token, &[]), "auth", words);
        world.assert_untouched();
        assert_eq!(adds(&world), 0);
    }
    // Of someone who calls himself the issuer.
    let world = World::new(LogKind::V1, false);
    let forger = testkit::sigstore::Issuer::new(testkit::sigstore::services::ISSUER);
    let token = forger.token(WHO, Timestamp::now(), &json!({}));
    assert_failed(&world.sign_as(&token, &[]), "auth", "Fulcio answered: 400");
    world.assert_untouched();
}

#[test]
fn a_wait_that_a_service_asks_for_is_kept_and_none_beyond_the_deadline_begun() {
    let later = |value: &'static str| Answer::new(429).header("Retry-After", value);
    for which in [0, 1] {
        let world = World::new(LogKind::V1, false);
        world.services.all()[which].once(move |_, _| later("1"));
        let began = std::time::Instant::now();
        assert_good(&world.sign(&[]));
        assert!(began.elapsed() >= std::time::Duration::from_secs(1), "{which}");
        let mut world = World::new(LogKind::V1, false);
        world.plugin.set("LUET_COSIGN_TIMEOUT", "10");
        world.services.all()[which].always(move |_, _| later("1000000000"));
        assert_failed(&world.sign(&[]), "net", "there is no time left to try again");
        assert_eq!(world.services.all()[which].requests().len(), 1, "{which}");
        world.assert_untouched();
    }
}

/// A token service as GitHub has it. What the token is worth Fulcio decides.
fn in_a_job(world: &mut World) -> testkit::Server {
    let token = world.token.clone();
    let service = testkit::Server::start(move |_| {
        Answer::new(200).json(&json!({"count": 1, "value": token}).to_string())
    });
    let url = format!("http://{}/idtoken?api-version=2.0", service.host());
    for (name, value) in [
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-secret"),
    ] {
        world.plugin.set(name, value);
    }
    service
}

fn sign_in_a_job(world: &World) -> Output {
    let mut command = world.plugin.raw();
    command.args(["sign", "-y", "--signing-config", "signing.json"]);
    command.args(["--trusted-root", "root.json", &world.name]).output().unwrap()
}

#[test]
fn a_token_that_ended_meanwhile_is_replaced_once_where_there_are_others() {
    let refused = || Answer::new(400).json(r#"{"code":3,"message":"processing the token"}"#);
    let certificates = |world: &World| {
        let posted = |request: &testkit::Request| request.method == "POST";
        world.services.fulcio.requests().iter().filter(|request| posted(request)).count()
    };
    let mut world = World::new(LogKind::V1, false);
    let service = in_a_job(&mut world);
    world.services.fulcio.once(move |_, _| refused());
    assert_good(&sign_in_a_job(&world));
    assert_eq!((service.requests().len(), certificates(&world)), (2, 2));
    // Once, and not for ever.
    let mut world = World::new(LogKind::V1, false);
    let service = in_a_job(&mut world);
    world.services.fulcio.always(move |_, _| refused());
    assert_failed(&sign_in_a_job(&world), "auth", "processing the token");
    assert_eq!((service.requests().len(), certificates(&world)), (2, 2));
    world.assert_untouched();
    // There is no other than the one that was given.
    let mut world = World::new(LogKind::V1, false);
    let service = in_a_job(&mut world);
    world.services.fulcio.once(move |_, _| refused());
    assert_failed(&world.sign(&[]), "auth", "processing the token");
    assert_eq!((service.requests().len(), certificates(&world)), (0, 1));
    world.assert_untouched();
}
