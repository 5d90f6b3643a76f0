//! Writing, and places that we must not write to (N13, G13, F02).

use luet_cosign::class::Class;
use luet_cosign::registry::Client;
use serde_json::json;
use testkit::client::*;
use testkit::registry::{CONFIG, LAYER, MANIFEST};
use testkit::{Answer, Auth, Options, Sink, TestRegistry, digest};

fn manifest(subject: Option<&str>) -> Vec<u8> {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": 2, "digest": digest(b"{}")},
        "layers": [{"mediaType": LAYER, "size": 5, "digest": digest(b"layer")}],
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({"mediaType": MANIFEST, "size": 5, "digest": subject});
    }
    manifest.to_string().into_bytes()
}

fn put_blob(client: &Client, registry: &TestRegistry) -> Result<(), Class> {
    let pushed = run(client.put_blob(&repository(&registry.name("a/b")), b"layer"));
    pushed
        .map(|found| assert_eq!(found, hash(&digest(b"layer"))))
        .map_err(|failure| failure.class())
}

#[test]
fn a_small_blob_comes_with_the_request_that_begins_its_upload() {
    for (uploads_at_once, expected) in [(true, &["POST"][..]), (false, &["POST", "PUT"])] {
        let registry = TestRegistry::with(Options { uploads_at_once, ..Options::default() });
        assert_eq!(put_blob(&client(), &registry), Ok(()));
        assert_eq!(registry.blob("a/b", &digest(b"layer")).as_deref(), Some(b"layer".as_slice()));
        assert_eq!(methods(&registry), expected);
    }
}

#[test]
fn a_registry_that_does_not_know_this_form_is_asked_in_the_other() {
    for answer in [
        Answer::error(400, "UNSUPPORTED"),
        Answer::error(404, "PAGE_NOT_FOUND"),
        Answer::new(405),
        Answer::new(411),
        Answer::new(415),
        Answer::new(200),
        Answer::new(501),
    ] {
        let registry = TestRegistry::start();
        registry.always("POST", "*uploads/?digest=*", answer);
        assert_eq!(put_blob(&client(), &registry), Ok(()));
        assert_eq!(methods(&registry), ["POST", "POST", "PUT"]);
    }
    // What may pass is tried again, in the form that every registry knows.
    for answer in [Answer::new(500), Answer::new(503), Answer::reset()] {
        let registry = TestRegistry::start();
        registry.always("POST", "*uploads/?digest=*", answer);
        assert_eq!(put_blob(&client(), &registry), Ok(()));
        assert_eq!(methods(&registry), ["POST", "HEAD", "POST", "PUT"]);
    }
}

#[test]
fn a_blob_that_comes_at_once_and_is_stored_as_another_is_found_out() {
    let registry = TestRegistry::with(Options { uploads_at_once: true, ..Options::default() });
    registry.rule("POST", "*", |call| {
        Some(call.good().header("Docker-Content-Digest", &digest(b"other")))
    });
    assert_eq!(put_blob(&client(), &registry), Err(Class::Registry));
}

fn methods(registry: &TestRegistry) -> Vec<String> {
    registry.requests().iter().map(|request| request.method.clone()).collect()
}

/// A blob that is worth the question whether it is there.
const LARGE: &[u8] = &[1; 64 << 10 | 1];

fn put_large(client: &Client, registry: &TestRegistry) {
    run(client.put_blob(&repository(&registry.name("a/b")), LARGE)).unwrap();
}

#[test]
fn a_large_blob_is_asked_for_and_then_pushed_in_one_piece() {
    for absolute_locations in [false, true] {
        let registry = TestRegistry::with(Options { absolute_locations, ..Options::default() });
        put_large(&client(), &registry);
        assert_eq!(registry.blob("a/b", &digest(LARGE)).as_deref(), Some(LARGE));
        assert_eq!(methods(&registry), ["HEAD", "POST", "PUT"]);
    }
}

#[test]
fn a_large_blob_that_is_there_is_not_pushed_again() {
    let registry = TestRegistry::start();
    registry.push_blob("a/b", LARGE);
    put_large(&client(), &registry);
    assert_eq!(methods(&registry), ["HEAD"]);
}

#[test]
fn the_query_of_a_location_is_kept() {
    let registry = TestRegistry::start();
    assert_eq!(put_blob(&client(), &registry), Ok(()));
    let put = registry.requests().pop().unwrap();
    assert_eq!(put.query("_state").as_deref(), Some("a+b"));
    assert_eq!(put.query("digest"), Some(digest(b"layer")));
    assert!(put.target.contains("_state=a%2Bb"), "{}", put.target);
}

#[test]
fn nothing_is_sent_to_a_location_elsewhere() {
    let sink = Sink::start();
    let port = sink.0.address().port();
    for location in [
        format!("{}/upload", sink.url()),
        format!("http://127.0.0.1:{port}/upload"),
        format!("//localhost:{port}/upload"),
        format!("https://127.0.0.1:{port}/upload"),
    ] {
        let registry = TestRegistry::with(Options {
            auth: Auth::basic("user", "password-canary"),
            ..Options::default()
        });
        let elsewhere = location.clone();
        registry.rule("POST", "*", move |call| {
            (call.good().status() == 202).then(|| Answer::new(202).header("Location", &elsewhere))
        });
        let client = client_with(|config| config.credentials = logged_in(&registry.host()));
        assert_eq!(put_blob(&client, &registry), Err(Class::Auth), "{location}");
        assert_eq!(
            class(run(client.may_push(&repository(&registry.name("a/b"))))),
            Class::Auth,
            "{location}"
        );
        assert_eq!(sink.0.connections(), 0, "{location}");
    }
}

#[test]
fn a_location_with_a_user_in_it_is_elsewhere() {
    let registry = TestRegistry::start();
    let location = format!("http://user:pw@{}/v2/a/b/blobs/uploads/1", registry.host());
    registry.always("POST", "*", Answer::new(202).header("Location", &location));
    assert_eq!(put_blob(&client(), &registry), Err(Class::Auth));
}

#[test]
fn uploads_are_not_redirected() {
    for status in [301, 302, 303, 307, 308] {
        let sink = Sink::start();
        let location = format!("{}/upload", sink.url());
        for method in ["POST", "PUT"] {
            let registry = TestRegistry::start();
            registry.always(method, "*", Answer::redirect(status, &location));
            assert_eq!(put_blob(&client(), &registry), Err(Class::Registry), "{method} {status}");
            let pushed = run(client().put_manifest(
                &repository(&registry.name("a/b")),
                None,
                MANIFEST,
                &manifest(None),
            ));
            assert_eq!(
                pushed.err().map(|failure| failure.class()),
                (method == "PUT").then_some(Class::Registry)
            );
        }
        assert_eq!(sink.0.connections(), 0);
    }
}

#[test]
fn answers_to_an_upload_that_make_no_sense_are_registry() {
    for (name, answer, expected) in [
        ("no Location", Answer::new(202), Class::Registry),
        ("200", Answer::new(200), Class::Registry),
        ("201", Answer::new(201).header("Location", "/x"), Class::Registry),
        ("Location is not a URL", Answer::new(202).header("Location", "http://["), Class::Registry),
        ("401", Answer::new(401), Class::Auth),
        ("403", Answer::error(403, "DENIED"), Class::Auth),
        ("404", Answer::error(404, "NAME_UNKNOWN"), Class::Registry),
        ("405 of a mirror", Answer::error(405, "UNSUPPORTED"), Class::Registry),
        ("500", Answer::new(500), Class::Registry),
        ("507", Answer::new(507), Class::Registry),
        ("reset", Answer::reset(), Class::Net),
    ] {
        let registry = TestRegistry::start();
        registry.always("POST", "*", answer);
        assert_eq!(
            class(run(client().may_push(&repository(&registry.name("a/b"))))),
            expected,
            "{name}"
        );
        // An upload that is begun and not used expires, so to begin one again is safe; nothing else
        // would be.
        let tries = if ["500", "reset"].contains(&name) { 3 } else { 1 };
        assert_eq!(registry.requests().len(), tries, "{name}");
    }
}

#[test]
fn a_busy_registry_is_asked_again_for_an_upload() {
    let registry = TestRegistry::start();
    registry.rule("POST", "*", |call| {
        (call.nth < 3).then(|| Answer::new(429).header("Retry-After", "0"))
    });
    assert_eq!(run(client().may_push(&repository(&registry.name("a/b")))), Ok(()));
}

#[test]
fn the_right_to_push_is_tried_and_the_upload_dropped() {
    let registry = TestRegistry::start();
    assert_eq!(run(client().may_push(&repository(&registry.name("a/b")))), Ok(()));
    let lines: Vec<_> = registry
        .requests()
        .iter()
        .map(|request| format!("{} {}", request.method, request.path()))
        .collect();
    assert_eq!(lines, ["POST /v2/a/b/blobs/uploads/", "DELETE /v2/a/b/blobs/uploads/upload-1"]);
    registry.always("DELETE", "*", Answer::new(405));
    assert_eq!(run(client().may_push(&repository(&registry.name("a/b")))), Ok(()));
}

#[test]
fn who_may_only_pull_is_told_before_anything_is_pushed() {
    let registry = TestRegistry::with(Options { auth: Auth::anonymous(), ..Options::default() });
    assert_eq!(class(run(client().may_push(&repository(&registry.name("a/b"))))), Class::Auth);
    assert_eq!(registry.requests()[1].query("scope").as_deref(), Some("repository:a/b:pull,push"));
}

#[test]
fn a_push_with_a_token_works() {
    let registry = TestRegistry::with(Options {
        auth: Auth::token("user", "password-canary"),
        ..Options::default()
    });
    let client = client_with(|config| config.credentials = logged_in(&registry.host()));
    let name = repository(&registry.name("a/b"));
    run(async {
        client.may_push(&name).await.unwrap();
        client.put_blob(&name, b"layer").await.unwrap();
        client.put_manifest(&name, Some(&tag("1")), MANIFEST, &manifest(None)).await.unwrap();
    });
    assert_eq!(registry.count("/token"), 1, "{:?}", registry.lines());
    assert_eq!(registry.tags("a/b"), ["1"]);
}

#[test]
fn a_manifest_is_pushed_under_a_tag_or_its_digest() {
    let registry = TestRegistry::start();
    let bytes = manifest(None);
    let name = repository(&registry.name("a/b"));
    for (under, path) in [
        (Some(tag("1")), "/v2/a/b/manifests/1".to_owned()),
        (None, format!("/v2/a/b/manifests/{}", digest(&bytes))),
    ] {
        let pushed = run(client().put_manifest(&name, under.as_ref(), MANIFEST, &bytes)).unwrap();
        assert_eq!((pushed.digest, pushed.subject_acknowledged), (hash(&digest(&bytes)), false));
        let request = registry.requests().pop().unwrap();
        assert_eq!(
            (request.path(), request.header("content-type")),
            (path.as_str(), Some(MANIFEST))
        );
        assert_eq!(request.body, bytes);
    }
    assert_eq!(registry.manifest("a/b", "1"), Some((MANIFEST.to_owned(), bytes)));
}

#[test]
fn only_a_registry_that_says_so_lists_the_manifest_under_its_subject() {
    let subject = digest(b"subject");
    let other = digest(b"other");
    for (name, referrers, header, expected) in [
        ("with the API", true, None, true),
        ("without it", false, None, false),
        ("another subject", true, Some(other.as_str()), false),
        ("an empty header", true, Some(""), false),
    ] {
        let registry = TestRegistry::with(Options { referrers, ..Options::default() });
        if let Some(header) = header {
            let header = header.to_owned();
            registry.rule("PUT", "*", move |call| Some(call.good().header("OCI-Subject", &header)));
        }
        let pushed = run(client().put_manifest(
            &repository(&registry.name("a/b")),
            None,
            MANIFEST,
            &manifest(Some(&subject)),
        ))
        .unwrap();
        assert_eq!(pushed.subject_acknowledged, expected, "{name}");
    }
    let registry = TestRegistry::start();
    registry.rule("PUT", "*", move |call| Some(call.good().header("OCI-Subject", &subject)));
    let pushed = run(client().put_manifest(
        &repository(&registry.name("a/b")),
        None,
        MANIFEST,
        &manifest(None),
    ))
    .unwrap();
    assert!(!pushed.subject_acknowledged, "there was no subject");
}

#[test]
fn a_registry_that_stores_something_else_is_found_out() {
    let registry = TestRegistry::start();
    registry.rule("PUT", "*", |call| {
        Some(call.good().header("Docker-Content-Digest", &digest(b"other")))
    });
    let name = repository(&registry.name("a/b"));
    assert_eq!(
        class(run(client().put_manifest(&name, Some(&tag("1")), MANIFEST, &manifest(None)))),
        Class::Registry
    );
    assert_eq!(put_blob(&client(), &registry), Err(Class::Registry));
}

#[test]
fn a_manifest_is_put_again_when_that_may_help() {
    for fault in [Answer::new(503), Answer::new(429), Answer::reset(), Answer::close()] {
        let registry = TestRegistry::start();
        registry.in_turn("PUT", "/v2/a/b/manifests/*", vec![fault.clone(), fault]);
        run(client().put_manifest(
            &repository(&registry.name("a/b")),
            Some(&tag("1")),
            MANIFEST,
            &manifest(None),
        ))
        .unwrap();
        assert_eq!(registry.requests().len(), 3);
    }
}

#[test]
fn a_manifest_that_is_not_taken_is_registry_and_names_the_reason() {
    let registry = TestRegistry::start();
    registry.always("PUT", "*", Answer::error(400, "MANIFEST_INVALID"));
    let failure = run(client().put_manifest(
        &repository(&registry.name("a/b")),
        None,
        MANIFEST,
        &manifest(None),
    ))
    .unwrap_err();
    assert_eq!(failure.class(), Class::Registry);
    assert!(failure.message().contains("400 `MANIFEST_INVALID`"), "{failure}");
}

#[test]
fn an_upload_that_broke_is_begun_again_and_not_made_twice() {
    let registry = TestRegistry::start();
    registry.in_turn("PUT", "/v2/a/b/blobs/*", vec![Answer::reset()]);
    assert_eq!(put_blob(&client(), &registry), Ok(()));
    assert_eq!(methods(&registry), ["POST", "PUT", "HEAD", "POST", "PUT"]);

    // The upload was taken, and only the answer was lost.
    let registry = TestRegistry::start();
    registry.rule("PUT", "/v2/a/b/blobs/*", |call| {
        let _ = call.good();
        Some(Answer::reset())
    });
    assert_eq!(put_blob(&client(), &registry), Ok(()));
    assert_eq!(methods(&registry), ["POST", "PUT", "HEAD"]);
}

#[test]
fn a_token_that_ends_in_the_middle_of_a_push_is_renewed() {
    let registry = TestRegistry::with(Options {
        auth: Auth::token("user", "password-canary"),
        ..Options::default()
    });
    let client = client_with(|config| config.credentials = logged_in(&registry.host()));
    let name = repository(&registry.name("a/b"));
    run(async {
        client.put_blob(&name, b"layer").await.unwrap();
        registry.expire_tokens();
        client.put_manifest(&name, Some(&tag("1")), MANIFEST, &manifest(None)).await.unwrap();
    });
    assert_eq!(registry.tags("a/b"), ["1"]);
}

/// What a registry says to a manifest: status, code and sentence as these registries answer.
#[test]
fn a_write_that_is_refused_for_good_shows_the_registry_s_own_sentence_and_a_hint_that_fits() {
    let cases: [(&str, u16, &str, &str, Class, &str); 8] = [
        (
            "ECR",
            400,
            "TAG_INVALID",
            "The image tag '1' already exists in the 'a' repository and cannot be overwritten because the repository is immutable.",
            Class::Registry,
            "exempt the tags `sha256-*`",
        ),
        (
            "Harbor, immutable",
            412,
            "PRECONDITION",
            "Failed to process request due to '1' configured as immutable.",
            Class::Registry,
            "exempt the tags `sha256-*`",
        ),
        (
            "Harbor, quota",
            403,
            "DENIED",
            "adding 2.2 MiB of storage resource, which when updated to current usage of 9 MiB will exceed the configured upper limit of 10.0 MiB.",
            Class::Registry,
            "have the quota raised",
        ),
        ("Quay", 405, "UNSUPPORTED", "registry is read-only", Class::Registry, "takes no writes"),
        ("nginx", 413, "", "", Class::Registry, "limits how large"),
        (
            "rights",
            403,
            "DENIED",
            "requested access is denied",
            Class::Auth,
            "have this user let in",
        ),
        (
            "Hub",
            429,
            "TOOMANYREQUESTS",
            "You have reached your limit",
            Class::Registry,
            "limits requests",
        ),
        ("evil", 400, "X", "\u{1b}[2Jeyj`0123456789", Class::Registry, "try again later"),
    ];
    for (name, status, code, sentence, class, hint) in cases {
        let registry = TestRegistry::with(Options {
            auth: Auth::basic("user", "password-canary"),
            ..Options::default()
        });
        let body = serde_json::json!({"errors": [{"code": code, "message": sentence}]}).to_string();
        registry.rule("PUT", "*", move |call| {
            call.request
                .header("authorization")
                .map(|_| Answer::new(status).body(body.clone().into_bytes()))
        });
        let client = client_with(|config| config.credentials = logged_in(&registry.host()));
        let target = repository(&registry.name("a/b"));
        let (name_of_tag, bytes) = (tag("1"), manifest(None));
        let written = client.put_manifest(&target, Some(&name_of_tag), MANIFEST, &bytes);
        let failure = run(written).unwrap_err();
        assert_eq!(failure.class(), class, "{name}: {}", failure.text());
        assert!(failure.the_hint().contains(hint), "{name}: {}", failure.text());
        let shown = failure.details().any(|line| line.starts_with("the registry says: `"));
        assert_eq!(shown, !sentence.is_empty(), "{name}: {}", failure.text());
        assert!(!failure.text().contains(['\u{1b}']), "{name}");
        assert!(!failure.text().contains("canary"), "{name}: {}", failure.text());
        if name == "rights" {
            assert!(failure.message().contains("to user `user` from the host"), "{failure}");
        }
    }
}

#[test]
fn a_sentence_is_cut_and_shows_no_token() {
    let registry = TestRegistry::start();
    let token = "e".repeat(81);
    let message = format!("bad token {token} {}", "word ".repeat(200));
    let body = serde_json::json!({"errors": [{"code": "X", "message": message}]}).to_string();
    registry.always("PUT", "*", Answer::new(400).body(body.into_bytes()));
    let target = repository(&registry.name("a/b"));
    let failure = run(client().put_manifest(&target, None, MANIFEST, &manifest(None))).unwrap_err();
    let said = failure.details().find(|line| line.starts_with("the registry says")).unwrap();
    assert!(said.contains("bad token *** word") && said.ends_with("...`"), "{said}");
    assert!(said.len() < 350, "{said}");
}
