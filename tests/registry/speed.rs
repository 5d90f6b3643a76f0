//! Requests and round trips are counted, not timed.

use luet_cosign::name::Tag;
use luet_cosign::registry::{Answer, ManifestKind, Role};
use std::time::Duration;
use testkit::client::*;
use testkit::{Auth, Options, Signature, TestRegistry};

/// What verifying one legacy signature asks for: tag; the three places at the same time; the
/// payload.
async fn look(client: &luet_cosign::registry::Client, name: &str) {
    let manifest = client.resolve(&reference(&format!("{name}:1"))).await.unwrap();
    let repository = repository(name);
    let subject =
        luet_cosign::name::Subject { repository: repository.clone(), digest: manifest.digest };
    let (signatures, fallback) =
        (Tag::of_signatures(&manifest.digest), Tag::of_referrers(&manifest.digest));
    let (legacy, listed, fallback) = tokio::join!(
        client.by_tag(&repository, &signatures, Role::Image),
        client.referrers(&subject, Role::Image),
        client.by_tag(&repository, &fallback, Role::Image)
    );
    assert!(listed.is_ok() && matches!(fallback, Ok(Answer::Absent(_))));
    let Ok(Answer::There(legacy)) = legacy else { panic!("no signatures") };
    let ManifestKind::Image(image) = legacy.kind else { panic!("an index") };
    let layer = &image.layers[0];
    let size = u64::try_from(layer.size).unwrap();
    assert_eq!(
        client.blob(&repository, &hash(&layer.digest), size, 1 << 16).await.unwrap(),
        b"payload"
    );
}

fn signed(auth: Auth) -> TestRegistry {
    let registry = TestRegistry::with(Options {
        auth,
        latency: Duration::from_millis(100),
        ..Options::default()
    });
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    registry.push_signatures(
        "a/b",
        &image.digest,
        &[Signature { payload: b"payload".to_vec(), annotations: Vec::new() }],
    );
    registry
}

#[test]
fn a_legacy_signature_takes_five_requests_in_three_round_trips() {
    let registry = signed(Auth::None);
    let client = client();
    run(look(&client, &registry.name("a/b")));
    assert_eq!(
        (registry.requests().len(), registry.round_trips()),
        (5, 3),
        "{:?}",
        registry.lines()
    );
    assert_eq!(client.requests(), 5);
}

#[test]
fn a_token_takes_two_more_and_only_once() {
    let registry = signed(Auth::anonymous());
    let client = client();
    run(look(&client, &registry.name("a/b")));
    assert_eq!(
        (registry.requests().len(), registry.round_trips()),
        (7, 5),
        "{:?}",
        registry.lines()
    );
    assert_eq!(client.requests(), 7);
}

#[test]
fn connections_are_used_again() {
    let registry = signed(Auth::anonymous());
    run(look(&client(), &registry.name("a/b")));
    assert!(registry.server().connections() <= 3, "{}", registry.server().connections());
}

#[test]
fn an_answer_that_was_refused_does_not_cost_the_connection() {
    let registry = TestRegistry::with(Options { auth: Auth::anonymous(), ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    run(client().resolve(&reference(&registry.name("a/b:1")))).unwrap();
    assert_eq!(registry.server().connections(), 1);
}

#[test]
fn a_client_that_is_made_asks_nothing() {
    let registry = TestRegistry::start();
    assert_eq!(
        client_with(|config| config.credentials = logged_in(&registry.host())).requests(),
        0
    );
    assert_eq!(registry.server().connections(), 0);
}

#[test]
fn clones_share_tokens_and_counts() {
    let registry = TestRegistry::with(Options { auth: Auth::anonymous(), ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    run(async {
        let client = client();
        client.clone().resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        assert_eq!(client.requests(), 4);
    });
}
