//! What says "not there", and what does not (docs/threats.md R01, R15, F09).

use luet_cosign::class::Class;
use luet_cosign::registry::{
    Absence, ManifestKind, Presence as Said, Referrers, ReferrersList, Role,
};
use testkit::client::*;
use testkit::{Answer, TestRegistry};

fn ask_tag(answer: Answer, role: Role) -> Result<Option<Absence>, Class> {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    registry.always("GET", "/v2/a/b/manifests/*", answer);
    run(client().by_tag(&repository(&registry.name("a/b")), &tag("1"), role))
        .map(|said| match said {
            Said::There(_) => None,
            Said::Absent(absence) => Some(absence),
        })
        .map_err(|failure| failure.class())
}

#[test]
fn a_tag_resolves_to_the_digest_of_its_bytes() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let manifest = run(client().resolve(&reference(&registry.name("a/b:1")))).unwrap();
    assert_eq!(manifest.bytes, image.manifest);
    assert_eq!(manifest.digest, hash(&image.digest));
    assert!(matches!(manifest.kind, ManifestKind::Image(image) if image.layers.len() == 1));
    assert_eq!(registry.lines(), ["GET /v2/a/b/manifests/1"]);
}

#[test]
fn a_digest_wins_over_the_tag_beside_it() {
    let registry = TestRegistry::start();
    let old = registry.push_image("a/b", "1", &[b"old"]);
    registry.push_image("a/b", "1", &[b"new"]);
    let manifest =
        run(client().resolve(&reference(&registry.name(&format!("a/b:1@{}", old.digest)))))
            .unwrap();
    assert_eq!(manifest.digest, hash(&old.digest));
    assert_eq!(registry.lines(), [format!("GET /v2/a/b/manifests/{}", old.digest)]);
}

#[test]
fn an_index_is_told_from_an_image() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let digest =
        registry.push_index("a/b", "2", &[(&image, "linux/amd64"), (&image, "linux/arm64")]);
    let manifest = run(client().resolve(&reference(&registry.name("a/b:2")))).unwrap();
    assert_eq!(manifest.digest, hash(&digest));
    assert!(matches!(manifest.kind, ManifestKind::Index(index) if index.manifests.len() == 2));
}

#[test]
fn only_answers_that_say_so_mean_that_a_tag_is_not_there() {
    for (name, answer) in [
        ("distribution", Answer::error(404, "MANIFEST_UNKNOWN")),
        ("harbor", Answer::error(404, "NOT_FOUND")),
        ("no such repository", Answer::error(404, "NAME_UNKNOWN")),
        ("registry.redhat.io", Answer::error(404, "404")),
        ("a number", Answer::new(404).json(r#"{"errors":[{"code":404,"message":"Not Found"}]}"#)),
        ("manifest blob", Answer::error(404, "MANIFEST_BLOB_UNKNOWN")),
        ("an unknown code", Answer::error(404, "SOMETHING_ELSE")),
        ("empty", Answer::new(404)),
        ("an empty object", Answer::new(404).json("{}")),
        ("no errors", Answer::new(404).json(r#"{"errors":[]}"#)),
        ("null errors", Answer::new(404).json(r#"{"errors":null}"#)),
        ("quay", Answer::new(404).json(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","detail":{},"message":"manifest unknown"}]}"#)),
        ("plain text", Answer::new(404).header("Content-Type", "text/plain").body("404 page not found\n")),
        ("broken JSON", Answer::new(404).json("{\"errors\":[")),
        ("not UTF-8", Answer::new(404).body(vec![0xff, 0xfe])),
    ] {
        let said = ask_tag(answer, Role::Image);
        assert!(matches!(said, Ok(Some(Absence { status: 404, .. }))), "{name}: {said:?}");
    }
}

#[test]
fn everything_else_decides_nothing() {
    for (name, answer, expected) in [
        ("200 HTML", Answer::html(200), Class::Registry),
        ("200 HTML as JSON", Answer::new(200).json("<html>login</html>"), Class::Registry),
        (
            "200 text",
            Answer::new(200).header("Content-Type", "text/plain").body("ok"),
            Class::Registry,
        ),
        ("200 JSON", Answer::new(200).json("{}"), Class::Registry),
        ("204", Answer::new(204), Class::Registry),
        ("206", Answer::new(206).body("x"), Class::Registry),
        ("301 without Location", Answer::new(301), Class::Registry),
        ("304", Answer::new(304), Class::Registry),
        ("300", Answer::new(300), Class::Registry),
        ("400", Answer::new(400), Class::Registry),
        ("401 without a challenge", Answer::new(401), Class::Auth),
        ("402", Answer::new(402), Class::Registry),
        ("403", Answer::error(403, "DENIED"), Class::Auth),
        ("403 empty", Answer::new(403), Class::Auth),
        ("403 that names absence", Answer::error(403, "MANIFEST_UNKNOWN"), Class::Auth),
        ("404 HTML", Answer::html(404), Class::Registry),
        (
            "404 HTML without a type",
            Answer::new(404).body("  <!doctype HTML><p>no"),
            Class::Registry,
        ),
        ("404 that denies", Answer::error(404, "DENIED"), Class::Auth),
        ("404 unauthorized", Answer::error(404, "unauthorized"), Class::Auth),
        ("404 rate limit", Answer::error(404, "TOOMANYREQUESTS"), Class::Registry),
        ("404 unsupported", Answer::error(404, "UNSUPPORTED"), Class::Registry),
        ("404 invalid name", Answer::error(404, "NAME_INVALID"), Class::Registry),
        ("405", Answer::new(405), Class::Registry),
        ("408", Answer::new(408), Class::Registry),
        ("410", Answer::new(410), Class::Registry),
        ("418", Answer::new(418), Class::Registry),
        ("429", Answer::error(429, "TOOMANYREQUESTS"), Class::Registry),
        ("451", Answer::new(451), Class::Registry),
        ("500", Answer::error(500, "MANIFEST_UNKNOWN"), Class::Registry),
        ("501", Answer::new(501), Class::Registry),
        ("502", Answer::html(502), Class::Registry),
        ("503", Answer::new(503), Class::Registry),
        ("504", Answer::new(504), Class::Registry),
        ("599", Answer::new(599), Class::Registry),
        ("reset", Answer::reset(), Class::Net),
        ("closed", Answer::close(), Class::Net),
        ("not HTTP", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"), Class::Net),
    ] {
        assert_eq!(ask_tag(answer, Role::Image), Err(expected), "{name}");
    }
}

#[test]
fn a_missing_image_is_not_found_and_names_the_answer() {
    let registry = TestRegistry::start();
    let failure = run(client().resolve(&reference(&registry.name("a/b:1")))).unwrap_err();
    assert_eq!(failure.class(), Class::NotFound);
    assert!(failure.message().contains("404 `NAME_UNKNOWN`"), "{failure}");
}

#[test]
fn a_missing_digest_is_not_found() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let other = testkit::digest(b"other");
    assert_eq!(
        class(run(client().resolve(&reference(&registry.name(&format!("a/b@{other}")))))),
        Class::NotFound
    );
    let repository = repository(&registry.name("a/b"));
    let said = run(client().manifest(&repository, &hash(&other), 1 << 20)).unwrap();
    assert!(
        matches!(said, Said::Absent(Absence { status: 404, code: Some(code) }) if code == "MANIFEST_UNKNOWN")
    );
    assert!(matches!(
        run(client().manifest(&repository, &hash(&image.digest), 1 << 20)),
        Ok(Said::There(_))
    ));
}

#[test]
fn a_signature_repository_that_does_not_exist_is_a_mistake_not_an_absence() {
    assert_eq!(ask_tag(Answer::error(404, "NAME_UNKNOWN"), Role::Signatures), Err(Class::Registry));
    assert!(matches!(
        ask_tag(Answer::error(404, "MANIFEST_UNKNOWN"), Role::Signatures),
        Ok(Some(_))
    ));
    let registry = TestRegistry::start();
    let name = registry.name("sigs");
    let failure =
        run(client().referrers(&subject(&name, &testkit::digest(b"x")), Role::Signatures))
            .unwrap_err();
    assert_eq!(failure.class(), Class::Registry);
    assert!(failure.the_hint().contains("mistyped"), "{failure}");
}

#[test]
fn a_header_is_never_believed_about_a_digest() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let lie = testkit::digest(b"lie");
    registry.rule("GET", "*", move |call| Some(call.good().header("Docker-Content-Digest", &lie)));
    let manifest = run(client().resolve(&reference(&registry.name("a/b:1")))).unwrap();
    assert_eq!(manifest.digest, hash(&image.digest));
}

#[test]
fn bytes_that_are_not_what_was_asked_for_are_refused() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let other = registry.push_image("a/b", "2", &[b"other"]);
    let bytes = other.manifest.clone();
    let right = image.digest.clone();
    registry.rule("GET", "/v2/a/b/manifests/sha256*", move |call| {
        Some(call.good().header("Docker-Content-Digest", &right).body(bytes.clone()))
    });
    assert_eq!(
        class(run(client().resolve(&reference(&registry.name(&format!("a/b@{}", image.digest)))))),
        Class::Digest
    );
}

#[test]
fn a_blob_is_checked_to_its_last_byte() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let repository = repository(&registry.name("a/b"));
    let blob = |size: u64| run(client().blob(&repository, &hash(&image.layers[0]), size, 1000));
    assert_eq!(blob(5).unwrap(), b"layer");
    assert_eq!(class(blob(4)), Class::Digest);
    assert_eq!(class(blob(6)), Class::Digest);
    assert_eq!(class(blob(0)), Class::Digest);
    registry.always("GET", "/v2/a/b/blobs/*", Answer::new(200).body("lAyer"));
    assert_eq!(class(blob(5)), Class::Digest);
}

#[test]
fn a_blob_that_is_listed_and_not_there_says_nothing_about_the_image() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    let repository = repository(&registry.name("a/b"));
    let missing = hash(&testkit::digest(b"missing"));
    assert_eq!(class(run(client().blob(&repository, &missing, 7, 100))), Class::Registry);
    assert_eq!(class(run(client().blob_stream(&repository, &missing, 7))), Class::Registry);
}

fn ask_referrers(answer: Answer) -> Result<Referrers, Class> {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    registry.always("GET", "/v2/a/b/referrers/*", answer);
    run(client().referrers(&subject(&registry.name("a/b"), &image.digest), Role::Image))
        .map_err(|failure| failure.class())
}

#[test]
fn a_registry_without_the_referrers_api_may_say_so_in_many_ways() {
    for (name, answer) in [
        ("400", Answer::new(400)),
        ("404 of a router", Answer::new(404).body("404 page not found\n")),
        ("404 empty", Answer::new(404)),
        ("404 HTML", Answer::html(404)),
        ("404 MANIFEST_UNKNOWN", Answer::error(404, "MANIFEST_UNKNOWN")),
        ("404 UNSUPPORTED", Answer::error(404, "UNSUPPORTED")),
        ("404 NAME_INVALID", Answer::error(404, "NAME_INVALID")),
        ("405", Answer::new(405)),
        ("406", Answer::new(406)),
        ("501", Answer::new(501)),
        ("GHCR", Answer::redirect(303, "https://github.example/-/v2/packages/container/package/x")),
    ] {
        let said = ask_referrers(answer);
        assert!(matches!(said, Ok(Referrers::NoApi(_))), "{name}: {said:?}");
    }
}

#[test]
fn what_decides_nothing_about_referrers_is_no_missing_api() {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let index = |text: &str| Answer::new(200).header("Content-Type", INDEX).body(text);
    for (name, answer, expected) in [
        ("401", Answer::new(401), Class::Auth),
        ("403", Answer::new(403), Class::Auth),
        ("404 that denies", Answer::error(404, "DENIED"), Class::Auth),
        ("429", Answer::new(429), Class::Registry),
        ("500", Answer::new(500), Class::Registry),
        ("502", Answer::new(502), Class::Registry),
        ("503", Answer::new(503), Class::Registry),
        ("504", Answer::new(504), Class::Registry),
        ("410", Answer::new(410), Class::Registry),
        ("302 without Location", Answer::new(302), Class::Registry),
        ("200 HTML", Answer::html(200), Class::Registry),
        (
            "200 JSON of another type",
            Answer::new(200).json(r#"{"schemaVersion":2,"manifests":[]}"#),
            Class::Registry,
        ),
        (
            "200 without a type",
            Answer::new(200).body(r#"{"schemaVersion":2,"manifests":[]}"#),
            Class::Registry,
        ),
        ("200 empty", index(""), Class::Malformed),
        ("200 null", index("null"), Class::Malformed),
        ("200 object", index("{}"), Class::Malformed),
        (
            "200 manifests as a string",
            index(r#"{"schemaVersion":2,"manifests":"x"}"#),
            Class::Malformed,
        ),
        ("200 an image", index(r#"{"schemaVersion":2,"config":{},"layers":[]}"#), Class::Malformed),
        (
            "200 called a manifest",
            index(
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#,
            ),
            Class::Malformed,
        ),
    ] {
        assert_eq!(ask_referrers(answer), Err(expected), "{name}");
    }
}

#[test]
fn an_empty_list_of_referrers_is_an_answer() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let said = run(client().referrers(&subject(&registry.name("a/b"), &image.digest), Role::Image));
    assert_eq!(said, Ok(Referrers::Listed(ReferrersList::default())));
}
