//! Registries and networks that fail for a while, or for good (F01 to F06).

use luet_cosign::class::Class;
use luet_cosign::name::Repository;
use luet_cosign::registry::Client;
use std::time::{Duration, Instant};
use testkit::client::*;
use testkit::registry::MANIFEST;
use testkit::{Answer, Server, TestRegistry};

fn resolve(client: &Client, registry: &TestRegistry) -> Result<(), Class> {
    run(client.resolve(&reference(&registry.name("a/b:1"))))
        .map(drop)
        .map_err(|failure| failure.class())
}

fn failing_first(answers: Vec<Answer>) -> TestRegistry {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    registry.in_turn("GET", "/v2/a/b/manifests/1", answers);
    registry
}

#[test]
fn a_fault_that_passes_is_not_seen() {
    let cut = || {
        Answer::new(200)
            .header("Content-Type", MANIFEST)
            .body("{\"schemaVersion\":2")
            .header("Content-Length", "100")
    };
    for (name, fault) in [
        ("429", Answer::error(429, "TOOMANYREQUESTS")),
        ("500", Answer::new(500)),
        ("502", Answer::html(502)),
        ("503", Answer::new(503)),
        ("504", Answer::new(504)),
        ("truncated", cut().cut(10)),
        ("truncated by reset", cut().cut_and_reset(10)),
        (
            "half a chunk",
            Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"),
        ),
        ("half a head", Answer::raw("HTTP/1.1 200 OK\r\nContent-Le")),
        ("reset", Answer::reset()),
        ("closed", Answer::close()),
    ] {
        let registry = failing_first(vec![fault.clone(), fault]);
        assert_eq!(resolve(&client(), &registry), Ok(()), "{name}");
        assert_eq!(registry.count("manifests"), 3, "{name}");
    }
}

#[test]
fn three_tries_are_all() {
    let registry = TestRegistry::start();
    registry.always("GET", "*", Answer::new(503));
    assert_eq!(resolve(&client(), &registry), Err(Class::Registry));
    assert_eq!(registry.requests().len(), 3);
    let registry = TestRegistry::start();
    registry.always("GET", "*", Answer::error(429, "TOOMANYREQUESTS"));
    let failure = run(client().resolve(&reference(&registry.name("a/b:1")))).unwrap_err();
    assert_eq!(failure.class(), Class::Registry);
    assert!(
        failure.text().contains("429") && failure.text().contains("tried 3 times"),
        "{}",
        failure.text()
    );
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for status in [400, 401, 403, 404, 405, 410, 501, 505] {
        let registry = TestRegistry::start();
        registry.always("GET", "*", Answer::new(status));
        assert!(resolve(&client(), &registry).is_err());
        assert_eq!(registry.requests().len(), 1, "{status}");
    }
}

#[test]
fn a_wait_that_is_asked_for_is_kept() {
    let registry = failing_first(vec![Answer::new(429).header("Retry-After", "1")]);
    let start = Instant::now();
    assert_eq!(resolve(&client(), &registry), Ok(()));
    assert!(
        start.elapsed() >= Duration::from_secs(1) && start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_wait_beyond_the_deadline_is_not_begun() {
    for value in ["3", "31", "1000000000", "18446744073709551615"] {
        let registry = failing_first(vec![Answer::new(503).header("Retry-After", value); 3]);
        let client = client_with(|config| config.deadline = Duration::from_secs(2));
        let start = Instant::now();
        assert_eq!(resolve(&client, &registry), Err(Class::Registry), "{value}");
        assert!(start.elapsed() < Duration::from_millis(1900), "{value}");
        assert_eq!(registry.requests().len(), 1, "{value}");
    }
}

#[test]
fn a_wait_that_makes_no_sense_is_ignored() {
    for value in [
        "-1",
        "soon",
        "",
        "0",
        "1.5",
        "99999999999999999999999",
        "Wed, 21 Oct 2099 07:28:00 GMT",
        "١",
    ] {
        let registry = failing_first(vec![Answer::new(503).header("Retry-After", value)]);
        let start = Instant::now();
        assert_eq!(resolve(&client(), &registry), Ok(()), "{value}");
        assert!(start.elapsed() < Duration::from_millis(1900), "{value}");
    }
}

#[test]
fn a_registry_that_drips_ends_with_the_deadline() {
    for (name, answer) in [
        (
            "body",
            Answer::new(200)
                .header("Content-Type", MANIFEST)
                .body(" ".repeat(4000))
                .drip(Duration::from_millis(20)),
        ),
        ("silence", Answer::new(200).delay(Duration::from_secs(60))),
    ] {
        let registry = TestRegistry::start();
        registry.always("GET", "*", answer);
        let client = client_with(|config| config.deadline = Duration::from_millis(600));
        let start = Instant::now();
        assert_eq!(resolve(&client, &registry), Err(Class::Net), "{name}");
        let taken = start.elapsed();
        assert!(
            taken >= Duration::from_millis(500) && taken < Duration::from_secs(5),
            "{name} {taken:?}"
        );
    }
}

#[test]
fn silence_is_idle_time() {
    let registry = failing_first(vec![Answer::new(200).delay(Duration::from_secs(60))]);
    let client = client_with(|config| config.times.idle = Duration::from_millis(700));
    assert_eq!(resolve(&client, &registry), Ok(()));
    assert_eq!(registry.requests().len(), 2);
}

#[test]
fn nothing_is_sent_after_the_deadline() {
    let registry = failing_first(Vec::new());
    let client = client_with(|config| config.deadline = Duration::ZERO);
    assert_eq!(resolve(&client, &registry), Err(Class::Net));
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn a_registry_that_is_not_there_is_net() {
    let gone = Server::start(|_| Answer::new(200)).host();
    assert_eq!(class(run(client().resolve(&reference(&format!("{gone}/a/b:1"))))), Class::Net);
    let client = client();
    assert_eq!(class(run(client.resolve(&reference("no-such-host.invalid/a/b:1")))), Class::Net);
}

#[test]
fn a_wrong_length_is_told_from_a_truncation() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let repository = repository(&registry.name("a/b"));
    let blob = || class(run(client().blob(&repository, &hash(&image.layers[0]), 5, 100)));
    for (name, answer, expected) in [
        ("shorter, honestly", Answer::new(200).body("lay"), Class::Digest),
        ("longer, honestly", Answer::new(200).body("layer!"), Class::Digest),
        ("longer, chunked", Answer::new(200).body("layer!").chunked(), Class::Digest),
        ("shorter, chunked", Answer::new(200).body("lay").chunked(), Class::Digest),
        ("closed early", Answer::new(200).body("layer").cut(3), Class::Net),
        ("chunked and closed early", Answer::new(200).body("layer").chunked().cut(3), Class::Net),
        (
            "more than announced",
            Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlayer"),
            Class::Digest,
        ),
        (
            "two lengths",
            Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nlayer"),
            Class::Net,
        ),
    ] {
        registry.always("GET", "/v2/a/b/blobs/*", answer);
        assert_eq!(blob(), expected, "{name}");
    }
}

#[test]
fn no_failure_shows_what_a_terminal_would_obey() {
    let registry = TestRegistry::start();
    registry.always(
        "GET",
        "*",
        Answer::new(404)
            .json("{\"errors\":[{\"code\":\"\\u001b[31mX\",\"message\":\"\\u001b]0;x\"}]}"),
    );
    let failure = run(client().resolve(&reference(&registry.name("a/b:1")))).unwrap_err();
    assert!(
        !failure.text().contains('\u{1b}') && !failure.text().contains("[31m"),
        "{}",
        failure.text()
    );
}

/// A listener that takes connections and says nothing.
fn deaf() -> (std::net::TcpListener, Repository) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("{}/a/b", listener.local_addr().unwrap());
    (listener, repository(&name))
}

#[test]
fn a_person_does_not_wait_for_long_for_a_host_that_never_answers() {
    let first = Duration::from_millis(300);
    let client = client_with(|config| config.times.first = Some(first));
    let (_listener, silent) = deaf();
    let ask = || run(client.resolve(&reference(&format!("{silent}:1")))).unwrap_err();
    let start = Instant::now();
    let failure = ask();
    assert!(start.elapsed() < config().times.idle, "{:?}", start.elapsed());
    assert_eq!(failure.class(), Class::Net);
    let text = failure.text();
    assert!(text.contains("no answer at all for 0.3 s") && !text.contains("tried"), "{text}");
    assert!(failure.the_hint().contains("LUET_COSIGN_TIMEOUT"), "{}", failure.the_hint());
    let again = Instant::now();
    ask();
    run(client.may_push(&silent)).unwrap_err();
    assert!(again.elapsed() < first, "given up once, it is not waited for again");
}

#[test]
fn a_host_that_answered_once_is_given_its_time() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    let first = Duration::from_millis(300);
    let client = client_with(|config| config.times.first = Some(first));
    assert_eq!(resolve(&client, &registry), Ok(()));
    let slow = Answer::new(503).delay(first * 2);
    registry.in_turn("GET", "/v2/a/b/manifests/1", vec![slow]);
    assert_eq!(resolve(&client, &registry), Ok(()));
}

#[test]
fn a_dead_proxy_takes_no_longer_than_a_dead_registry() {
    let first = Duration::from_millis(300);
    let (listener, _) = deaf();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let client = client_with(|config| {
        config.times.first = Some(first);
        config.times.connect = Duration::from_millis(200);
        config.proxies.https = Some(proxy);
        config.proxies.https_variable = "HTTPS_PROXY";
    });
    let start = Instant::now();
    let failure = run(client.resolve(&reference("registry.example/a/b:1"))).unwrap_err();
    assert!(start.elapsed() < config().times.idle, "{:?}", start.elapsed());
    assert!(failure.text().contains("HTTPS_PROXY"), "{}", failure.text());
}
