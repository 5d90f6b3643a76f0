//! Events of pushing, with nothing but the token of a job.

use super::*;

/// Variables of a job: a token, and the services.
fn job(log: LogKind) -> World {
    let mut world = World::new(log, true);
    let root = world.plugin.path("root.json");
    for (name, value) in [
        ("COSIGN_EXPERIMENTAL", "1".to_owned()),
        ("SIGSTORE_ID_TOKEN", world.token.clone()),
        ("COSIGN_FULCIO_URL", world.services.fulcio.url()),
        ("COSIGN_REKOR_URL", world.services.rekor1.url()),
        ("COSIGN_TIMESTAMP_SERVER_URL", world.services.tsa_url()),
        ("COSIGN_TRUSTED_ROOT", root.to_str().unwrap().to_owned()),
        ("LUET_COSIGN_ENGINE", "registry".to_owned()),
    ] {
        world.plugin.set(name, &value);
    }
    world
}

#[test]
fn an_image_is_signed_as_the_job_that_pushed_it() {
    let mut world = job(LogKind::V1);
    let ready = world.plugin.pre_push(&world.name);
    assert_eq!(ready.error, "");
    for service in world.services.all() {
        let posted = |request: &testkit::Request| request.method == "POST";
        assert!(!service.requests().iter().any(posted), "nothing is public before the push");
    }
    let signed = world.plugin.post_push(&world.name);
    assert_eq!(signed.error, "", "{signed:?}");
    assert_eq!((world.logged(), world.layers().len()), (1, 1));
    let again = world.plugin.post_push(&world.name);
    assert!(again.state.contains("was signed already"), "{again:?}");
    assert_eq!(world.layers().len(), 1);
    // Those who trust that job install it; no one else does.
    world.plugin.set("COSIGN_CERTIFICATE_IDENTITY", WHO);
    world.plugin.set("COSIGN_CERTIFICATE_OIDC_ISSUER", testkit::sigstore::services::ISSUER);
    world.plugin.pre_unpack(&world.name, &world.plugin.dest("a")).assert_silent_success();
    world.plugin.set("COSIGN_CERTIFICATE_IDENTITY", "eve@example.com");
    world.plugin.pre_unpack(&world.name, &world.plugin.dest("b")).assert_refused("identity");
}

#[test]
fn a_key_wins_in_events_too() {
    let mut world = job(LogKind::V1);
    let keys = testkit::make_keys(&world.plugin, "acme");
    world.plugin.set("COSIGN_KEY_LOCATION", keys.private.to_str().unwrap());
    world.plugin.set("COSIGN_PASSWORD", testkit::PASSWORD);
    assert_eq!(world.plugin.pre_push(&world.name).error, "");
    assert_eq!(world.plugin.post_push(&world.name).error, "");
    assert_eq!((world.logged(), world.layers().len()), (0, 1));
    assert!(world.services.fulcio.requests().is_empty());
}

#[test]
fn nothing_is_pushed_that_nobody_can_sign() {
    let mut world = job(LogKind::V1);
    world.plugin.unset("SIGSTORE_ID_TOKEN");
    world.plugin.pre_push(&world.name).assert_refused("auth");
    world.plugin.set("SIGSTORE_ID_TOKEN", &world.services.token(WHO, &json!({"aud": "x"})));
    world.plugin.pre_push(&world.name).assert_refused("auth");
    world.plugin.set("COSIGN_EXPERIMENTAL", "0");
    world.plugin.pre_push(&world.name).assert_refused("secret");
    world.plugin.set("COSIGN_EXPERIMENTAL", "1");
    world.plugin.set("SIGSTORE_ID_TOKEN", &world.token.clone());
    world.plugin.unset("COSIGN_REKOR_URL");
    world.plugin.pre_push(&world.name).assert_refused("usage");
    world.assert_untouched();
    assert_eq!(world.logged(), 0);
}

#[test]
fn what_fails_after_the_push_says_how_to_sign_and_publishes_nothing_when_pasted() {
    let world = job(LogKind::V1);
    world.services.fulcio.always(|_, _| testkit::Answer::new(503));
    let reply = world.plugin.post_push(&world.name);
    reply.assert_refused("net");
    assert!(reply.error.contains("is pushed and NOT signed"), "{reply:?}");
    let command =
        format!("luet-cosign sign --identity-token \"$SIGSTORE_ID_TOKEN\" -y {}", world.name);
    assert!(reply.error.contains(&command), "{reply:?}");
    assert!(!reply.error.contains(&world.token));
    world.assert_untouched();
}

#[test]
fn a_note_about_a_timestamp_reaches_the_host() {
    let world = job(LogKind::V1);
    world.services.tsa.always(|_, _| testkit::Answer::new(503));
    let reply = world.plugin.post_push(&world.name);
    assert_eq!(reply.error, "");
    assert!(reply.state.contains("without a timestamp"), "{reply:?}");
}
