//! Too much of anything: bodies, headers, announcements (R10, N17, N18).

use luet_cosign::class::Class;
use luet_cosign::registry::{Referrers, Role};
use std::time::{Duration, Instant};
use testkit::client::*;
use testkit::registry::MANIFEST;
use testkit::{Answer, TestRegistry};

/// What the kernels on both sides of a connection may hold beyond what was read.
const IN_FLIGHT: u64 = 16 << 20;

fn resolve(registry: &TestRegistry) -> Class {
    class(run(client().resolve(&reference(&registry.name("a/b:1")))))
}

#[test]
fn an_endless_manifest_is_cut_off_at_the_cap() {
    let registry = TestRegistry::start();
    registry.always(
        "GET",
        "*",
        Answer::new(200).header("Content-Type", MANIFEST).endless(vec![b' '; 32 << 10]),
    );
    assert_eq!(resolve(&registry), Class::Limit);
    assert!(registry.server().sent() < luet_cosign::limits::MANIFEST_BYTES + IN_FLIGHT);
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn an_endless_error_is_cut_off_at_its_cap() {
    for status in [404, 403, 500] {
        let registry = TestRegistry::start();
        registry.always("GET", "*", Answer::new(status).endless(vec![b' '; 4 << 10]));
        assert_eq!(resolve(&registry), Class::Limit, "{status}");
        assert!(registry.server().sent() < IN_FLIGHT);
    }
}

#[test]
fn a_manifest_may_be_as_large_as_the_cap_and_no_larger() {
    let cap = usize::try_from(luet_cosign::limits::MANIFEST_BYTES).unwrap();
    for framing in ["length", "chunked", "until close"] {
        for (size, expected) in [(cap, None), (cap + 1, Some(Class::Limit))] {
            let registry = TestRegistry::start();
            let image = registry.push_image("a/b", "1", &[b"layer"]);
            let mut bytes = image.manifest.clone();
            bytes.resize(size, b' ');
            let answer = Answer::new(200).header("Content-Type", MANIFEST).body(bytes);
            registry.always(
                "GET",
                "*",
                match framing {
                    "length" => answer,
                    "chunked" => answer.chunked(),
                    _ => answer.until_close(),
                },
            );
            let found = run(client().resolve(&reference(&registry.name("a/b:1"))))
                .err()
                .map(|failure| failure.class());
            assert_eq!(found, expected, "{framing} {size}");
        }
    }
}

#[test]
fn an_announced_length_over_the_cap_is_refused_unread() {
    let registry = TestRegistry::start();
    registry.always(
        "GET",
        "*",
        Answer::new(200)
            .header("Content-Type", MANIFEST)
            .header("Content-Length", "1099511627776")
            .body("{"),
    );
    let start = Instant::now();
    assert_eq!(resolve(&registry), Class::Limit);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_caller_may_set_a_smaller_cap() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let size = u64::try_from(image.manifest.len()).unwrap();
    let ask =
        |cap| run(client().manifest(&repository(&registry.name("a/b")), &hash(&image.digest), cap));
    assert!(ask(size).is_ok());
    assert_eq!(class(ask(size - 1)), Class::Limit);
}

#[test]
fn a_blob_over_its_cap_is_not_even_asked_for() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let blob = |cap| {
        run(client().blob(&repository(&registry.name("a/b")), &hash(&image.layers[0]), 5, cap))
    };
    assert!(blob(5).is_ok());
    assert_eq!(class(blob(4)), Class::Limit);
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn an_endless_blob_is_a_wrong_blob() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    registry.always("GET", "/v2/a/b/blobs/*", Answer::new(200).endless("layer"));
    let blob =
        run(client().blob(&repository(&registry.name("a/b")), &hash(&image.layers[0]), 5, 100));
    assert_eq!(class(blob), Class::Digest);
}

#[test]
fn an_endless_error_in_place_of_a_blob_is_no_wrong_blob() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    registry.always("GET", "/v2/a/b/blobs/*", Answer::new(404).endless("layer"));
    let blob =
        run(client().blob(&repository(&registry.name("a/b")), &hash(&image.layers[0]), 5, 100));
    assert_eq!(class(blob), Class::Limit);
}

#[test]
fn a_body_that_is_compressed_on_the_way_is_refused() {
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, identity", "x"] {
        let registry = TestRegistry::start();
        let image = registry.push_image("a/b", "1", &[b"layer"]);
        let encoding = encoding.to_owned();
        registry
            .rule("GET", "*", move |call| Some(call.good().header("Content-Encoding", &encoding)));
        assert_eq!(resolve(&registry), Class::Malformed);
        let repository = repository(&registry.name("a/b"));
        assert_eq!(
            class(run(client().blob(&repository, &hash(&image.layers[0]), 5, 9))),
            Class::Malformed
        );
        assert_eq!(
            class(run(client().blob_stream(&repository, &hash(&image.layers[0]), 5))),
            Class::Malformed
        );
    }
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    registry.rule("GET", "*", |call| Some(call.good().header("Content-Encoding", "identity")));
    assert!(run(client().resolve(&reference(&registry.name("a/b:1")))).is_ok());
}

#[test]
fn floods_of_headers_end() {
    for (name, answer) in [
        ("endless headers", Answer::raw("HTTP/1.1 200 OK\r\n").endless("X-Flood: yes\r\n")),
        (
            "an endless header",
            Answer::raw("HTTP/1.1 200 OK\r\nX-Flood: ").endless("y".repeat(1 << 10)),
        ),
        ("an endless status line", Answer::raw("HTTP/1.1 200 ").endless("K".repeat(1 << 10))),
        ("a header of 1 MiB", Answer::new(200).header("X-Flood", &"y".repeat(1 << 20))),
        (
            "1000 headers",
            (0..1000).fold(Answer::new(200), |answer, n| answer.header(&format!("X-{n}"), "y")),
        ),
    ] {
        let registry = TestRegistry::start();
        registry.always("GET", "*", answer);
        assert_eq!(resolve(&registry), Class::Net, "{name}");
        assert!(registry.server().sent() < 4 * IN_FLIGHT, "{name}");
    }
}

#[test]
fn interim_answers_do_not_outlast_the_idle_time() {
    let registry = TestRegistry::start();
    // As slow as a network: hyper reads on while there is more, and a debug build parses slower
    // than loopback sends.
    let interim =
        Answer::raw("").endless("HTTP/1.1 100 Continue\r\n\r\n").drip(Duration::from_micros(100));
    registry.always("GET", "*", interim);
    let start = Instant::now();
    let client = client_with(|config| {
        config.times.idle = Duration::from_millis(200);
        config.deadline = Duration::from_millis(900);
    });
    assert_eq!(class(run(client.resolve(&reference(&registry.name("a/b:1"))))), Class::Net);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_page_of_referrers_has_a_cap_of_its_own() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let cap = usize::try_from(luet_cosign::limits::REFERRERS_PAGE_BYTES).unwrap();
    for (size, expected) in [(cap, None), (cap + 1, Some(Class::Limit))] {
        registry.rule("GET", "/v2/a/b/referrers/*", move |call| {
            let mut body = call.good().bytes().to_vec();
            body.resize(size, b' ');
            Some(call.good().body(body))
        });
        let subject = subject(&registry.name("a/b"), &image.digest);
        let Ok(Referrers::Listed(list)) = run(client().referrers(&subject, Role::Image)) else {
            panic!("no list")
        };
        assert_eq!(list.cut().map(|failure| failure.class()), expected, "{size}");
    }
}
