//! Lists of referrers and their pages (R13).

use luet_cosign::class::Class;
use luet_cosign::limits;
use luet_cosign::registry::{Descriptor, Referrers, Role};
use serde_json::json;
use testkit::client::*;
use testkit::{Answer, Auth, Image, Options, Sink, TestRegistry, digest};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn list(registry: &TestRegistry, image: &Image) -> Result<Vec<Descriptor>, Class> {
    let client = client_with(|config| config.credentials = logged_in(&registry.host()));
    match run(client.referrers(&subject(&registry.name("a/b"), &image.digest), Role::Image)) {
        Ok(Referrers::Listed(list)) => match list.cut() {
            Some(failure) => Err(failure.class()),
            None => Ok(list.candidates().cloned().collect()),
        },
        Ok(Referrers::NoApi(absence)) => panic!("{absence:?}"),
        Err(failure) => Err(failure.class()),
    }
}

fn with_referrers(options: Options, count: usize) -> (TestRegistry, Image) {
    let registry = TestRegistry::with(options);
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    for number in 0..count {
        registry.push_referrer("a/b", &image, BUNDLE, format!("bundle {number}").as_bytes());
    }
    (registry, image)
}

#[test]
fn referrers_are_listed_with_what_is_said_of_them() {
    let (registry, image) = with_referrers(Options::default(), 1);
    let list = list(&registry, &image).unwrap();
    let [found] = list.as_slice() else { panic!("{list:?}") };
    assert_eq!(found.artifact_type.as_deref(), Some(BUNDLE));
    let (_, bytes) = registry.manifest("a/b", &found.digest.to_string()).unwrap();
    assert_eq!(found.size, u64::try_from(bytes.len()).unwrap());
}

#[test]
fn all_pages_are_read() {
    for (count, page, requests) in [(5, 2, 3), (4, 2, 2), (100, 10, 10), (128, 100, 2)] {
        let (registry, image) = with_referrers(Options { page, ..Options::default() }, count);
        assert_eq!(list(&registry, &image).unwrap().len(), count);
        assert_eq!(registry.requests().len(), requests, "{count}/{page}");
    }
}

#[test]
fn pages_are_shown_the_pass_as_well() {
    let options =
        Options { page: 1, auth: Auth::token("user", "password-canary"), ..Options::default() };
    let (registry, image) = with_referrers(options, 2);
    assert_eq!(list(&registry, &image).unwrap().len(), 2);
    assert_eq!(registry.requests().len(), 4);
}

#[test]
fn more_than_the_limit_is_limit() {
    let (registry, image) = with_referrers(Options::default(), limits::REFERRERS + 1);
    assert_eq!(list(&registry, &image), Err(Class::Limit));
    let (registry, image) =
        with_referrers(Options { page: 1, ..Options::default() }, limits::REFERRERS_PAGES + 1);
    assert_eq!(list(&registry, &image), Err(Class::Limit));
    // And once more, to see whether the registry filters.
    assert_eq!(registry.requests().len(), limits::REFERRERS_PAGES + 1);
}

#[test]
fn a_list_that_is_cut_still_says_what_was_found() {
    let (registry, image) =
        with_referrers(Options { page: 1, ..Options::default() }, limits::REFERRERS_PAGES + 1);
    let subject = subject(&registry.name("a/b"), &image.digest);
    let Ok(Referrers::Listed(list)) = run(client().referrers(&subject, Role::Image)) else {
        panic!("no list")
    };
    assert_eq!(list.candidates().count(), limits::REFERRERS_PAGES);
    assert_eq!(list.cut().map(|failure| failure.class()), Some(Class::Limit));
}

#[test]
fn a_registry_that_filters_is_asked_by_type_where_the_list_is_too_long() {
    for filters in [true, false] {
        let options = Options { page: 2, filters, ..Options::default() };
        let (registry, image) = with_referrers(options, 3);
        for number in 0..20 * limits::REFERRERS_PAGES {
            registry.push_referrer("a/b", &image, "text/spdx+json", &number.to_be_bytes());
        }
        let subject = subject(&registry.name("a/b"), &image.digest);
        let Ok(Referrers::Listed(list)) = run(client().referrers(&subject, Role::Image)) else {
            panic!("no list")
        };
        assert_eq!(list.candidates().count() == 3, filters);
        assert_eq!(list.has_room(), filters, "{filters}");
        // What has another type, or none, was not asked for.
        assert_eq!(list.cut().map(|failure| failure.class()), Some(Class::Limit));
        assert!(registry.requests().len() <= limits::REFERRERS_PAGES + 9);
    }
}

#[test]
fn a_short_list_is_asked_for_once() {
    let options = Options { filters: true, ..Options::default() };
    let (registry, image) = with_referrers(options, 3);
    assert_eq!(list(&registry, &image).unwrap().len(), 3);
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn what_calls_itself_something_else_is_no_candidate_and_does_not_count() {
    let (registry, image) = with_referrers(Options { page: 1_000, ..Options::default() }, 1);
    for number in 0..200_u32 {
        registry.push_referrer("a/b", &image, "application/spdx+json", &number.to_be_bytes());
    }
    assert_eq!(list(&registry, &image).unwrap().len(), 1);
}

#[test]
fn what_names_itself_a_signature_comes_before_what_does_not_say() {
    let (registry, image) = with_referrers(Options { page: 1_000, ..Options::default() }, 2);
    for number in 0..u32::try_from(limits::REFERRERS).unwrap() {
        let unnamed = "application/vnd.oci.empty.v1+json";
        registry.push_referrer("a/b", &image, unnamed, &number.to_be_bytes());
    }
    let subject = subject(&registry.name("a/b"), &image.digest);
    let Ok(Referrers::Listed(list)) = run(client().referrers(&subject, Role::Image)) else {
        panic!("no list")
    };
    let types: Vec<_> = list.candidates().map(|found| found.artifact_type.clone()).collect();
    assert_eq!(types.len(), limits::REFERRERS);
    assert_eq!(types[..2], [Some(BUNDLE.to_owned()), Some(BUNDLE.to_owned())]);
    assert_eq!(list.cut().map(|failure| failure.class()), Some(Class::Limit));
}

#[test]
fn a_list_that_never_ends_ends() {
    for (name, pages) in
        [("the same page", 1), ("two in turn", 2), ("always a new one", usize::MAX)]
    {
        let registry = TestRegistry::start();
        let image = registry.push_image("a/b", "1", &[b"layer"]);
        registry.rule("GET", "/v2/a/b/referrers/*", move |call| {
            let next = format!("<{}?page={}>; rel=\"next\"", call.request.path(), call.nth % pages);
            Some(call.good().header("Link", &next))
        });
        assert_eq!(list(&registry, &image), Err(Class::Limit), "{name}");
        assert!(registry.requests().len() <= limits::REFERRERS_PAGES + 1, "{name}");
    }
}

#[test]
fn a_million_entries_are_refused_quickly() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let body = format!("{{\"schemaVersion\":2,\"manifests\":[{}0]}}", "0,".repeat(500_000));
    registry.always(
        "GET",
        "/v2/a/b/referrers/*",
        Answer::new(200).header("Content-Type", INDEX).body(body),
    );
    assert_eq!(list(&registry, &image), Err(Class::Limit));
}

#[test]
fn a_page_elsewhere_gets_nothing() {
    let sink = Sink::start();
    for link in [
        format!("<{}/more>; rel=\"next\"", sink.url()),
        format!("<//localhost:{}/more>; rel=next", sink.0.address().port()),
    ] {
        let options =
            Options { auth: Auth::token("user", "password-canary"), ..Options::default() };
        let (registry, image) = with_referrers(options, 1);
        registry.rule("GET", "/v2/a/b/referrers/*", move |call| {
            Some(call.good().header("Link", &link))
        });
        assert_eq!(list(&registry, &image), Err(Class::Registry));
        assert_eq!(sink.0.connections(), 0);
    }
}

#[test]
fn a_link_that_cannot_be_read_is_not_the_end_of_the_list() {
    for link in ["next", "/v2/a/b/referrers/x", "<http://[>; rel=\"next\"", "</more; rel=\"next\""]
    {
        let (registry, image) = with_referrers(Options::default(), 1);
        registry
            .rule("GET", "/v2/a/b/referrers/*", move |call| Some(call.good().header("Link", link)));
        assert_eq!(list(&registry, &image), Err(Class::Registry), "{link}");
    }
}

#[test]
fn a_page_that_is_missing_is_a_fault() {
    for status in [400, 404, 405, 501] {
        let (registry, image) = with_referrers(Options { page: 1, ..Options::default() }, 2);
        registry.always("GET", "*last=1", Answer::new(status));
        assert_eq!(list(&registry, &image), Err(Class::Registry), "{status}");
    }
}

#[test]
fn entries_that_make_no_sense_spoil_the_list() {
    let good = json!({"mediaType": "x", "size": 1, "digest": digest(b"x")});
    for (name, entry) in [
        (
            "md5",
            json!({"mediaType": "x", "size": 1, "digest": "md5:d41d8cd98f00b204e9800998ecf8427e"}),
        ),
        ("a path", json!({"mediaType": "x", "size": 1, "digest": "sha256:../../x"})),
        ("negative size", json!({"mediaType": "x", "size": -1, "digest": digest(b"x")})),
        ("no size", json!({"mediaType": "x", "digest": digest(b"x")})),
        ("no type", json!({"size": 1, "digest": digest(b"x")})),
        ("null", json!(null)),
    ] {
        let registry = TestRegistry::start();
        let image = registry.push_image("a/b", "1", &[b"layer"]);
        let body = json!({"schemaVersion": 2, "manifests": [good, entry]}).to_string();
        registry.always(
            "GET",
            "/v2/a/b/referrers/*",
            Answer::new(200).header("Content-Type", INDEX).body(body),
        );
        assert_eq!(list(&registry, &image), Err(Class::Malformed), "{name}");
    }
}

#[test]
fn ghcr_is_not_followed_to_its_web_page() {
    let sink = Sink::start();
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    registry.always("GET", "/v2/a/b/referrers/*", Answer::redirect(303, &sink.url()));
    let said = run(client().referrers(&subject(&registry.name("a/b"), &image.digest), Role::Image))
        .unwrap();
    assert!(matches!(said, Referrers::NoApi(absence) if absence.status == 303));
    assert_eq!(sink.0.connections(), 0);
}

#[test]
fn the_fallback_tag_is_a_tag_like_any_other() {
    let registry = TestRegistry::with(Options { referrers: false, ..Options::default() });
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let signature = registry.push_referrer("a/b", &image, BUNDLE, b"bundle");
    registry.push_fallback("a/b", &image.digest, &[(&signature, 500)]);
    let tag = luet_cosign::name::Tag::of_referrers(&hash(&image.digest));
    let said = run(client().by_tag(&repository(&registry.name("a/b")), &tag, Role::Image)).unwrap();
    let luet_cosign::registry::Presence::There(manifest) = said else { panic!("absent") };
    let luet_cosign::registry::ManifestKind::Index(index) = manifest.kind else {
        panic!("no index")
    };
    assert_eq!(index.manifests[0].digest, signature);
}
