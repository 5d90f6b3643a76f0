//! Why there is no root of a TUF repository: each cause says which it is, and what to do.

use super::*;
use luet_cosign::class::{Class, Failure};
use serde_json::json;

/// What a first use says where `answer` answers and `first` is pinned.
fn refused(
    first: impl FnOnce(&Tuf) -> Vec<u8>,
    answer: impl Fn(&Shared, &Request) -> Answer + Send + Sync + 'static,
) -> Failure {
    let mut world = World::answering(&Sigstore::new(), answer);
    world.tuf.first = first(&world.tuf);
    let failure = load(&world.roots()).get(None).unwrap_err();
    assert_eq!(failure.class(), Class::Trustroot, "{}", failure.text());
    failure
}

fn pinned(tuf: &Tuf) -> Vec<u8> {
    tuf.first.clone()
}

#[test]
fn an_address_at_which_nothing_is_published_is_called_that() {
    let failure = refused(pinned, |_, _| Answer::html(404));
    let text = failure.text();
    assert!(text.contains("there is no TUF repository at `http://127.0.0.1:"), "{text}");
    assert!(text.contains("answered 404 for `timestamp.json`"), "{text}");
    assert!(failure.the_hint().contains("check the address in TUF_MIRROR"), "{text}");
    assert!(!text.contains("do not trust"), "{text}");
}

#[test]
fn a_mirror_that_lets_nobody_read_is_called_that() {
    let failure = refused(pinned, |_, _| Answer::html(403));
    assert!(failure.text().contains("answered 403"), "{}", failure.text());
    assert!(failure.the_hint().contains("must let everybody read"), "{}", failure.text());
    let failure = refused(pinned, |_, _| Answer::html(401));
    assert!(failure.text().contains("answered 401"), "{}", failure.text());
    assert!(failure.the_hint().contains("no credentials are sent"), "{}", failure.text());
}

#[test]
fn a_repository_without_a_trusted_root_is_called_that() {
    let failure = refused(pinned, |files, request| {
        let other = request.path().contains("trusted_root.json");
        if other { Answer::html(404) } else { answer(files, request) }
    });
    assert!(failure.text().contains("which its metadata names"), "{}", failure.text());
    assert!(failure.the_hint().contains("not complete"), "{}", failure.text());

    let mut world = World::new(&Sigstore::new());
    world.tuf.name = "other.json".to_owned();
    world.tuf.update(&json!({}));
    let failure = load(&world.roots()).get(None).unwrap_err();
    assert!(failure.text().contains("publishes no `trusted_root.json`"), "{}", failure.text());
    assert!(failure.the_hint().contains("COSIGN_TRUSTED_ROOT"), "{}", failure.text());
}

#[test]
fn the_first_root_of_another_repository_is_told_by_both_digests() {
    let other = Tuf::new(&Sigstore::new().trusted_root()).first;
    let digest = testkit::digest(&other);
    let failure = refused(|_| other, answer);
    let text = failure.text();
    assert!(text.contains("another first root") && text.contains(&digest), "{text}");
    assert!(text.contains("its `1.root.json` is `sha256:"), "{text}");
    assert!(failure.the_hint().contains("by another way than this mirror"), "{text}");
    // A mirror that changed what the pinned root signs, and keeps that root, is accused of it alone.
    let mut world = World::new(&Sigstore::new());
    world.tuf.timestamp.keys = vec![testkit::sigstore::Key::p256()];
    world.tuf.publish();
    let failure = load(&world.roots()).get(None).unwrap_err();
    let text = failure.text();
    assert!(!text.contains("another first root") && text.contains("threshold not met"), "{text}");
}

#[test]
fn what_is_pinned_and_no_first_root_is_called_what_it_is() {
    let root = Sigstore::new().trusted_root().to_string();
    for (pinned, expected, hint) in [
        (root.as_bytes(), "TUF_ROOT_JSON is a trusted root", "COSIGN_TRUSTED_ROOT"),
        (b"<!doctype html><p>x", "TUF_ROOT_JSON is a web page", "1.root.json"),
        (b"", "TUF_ROOT_JSON is an empty file", "1.root.json"),
        (b"{}", "TUF_ROOT_JSON is other JSON", "1.root.json"),
        (b"\xff\xfe{\0}\0", "TUF_ROOT_JSON is text in UTF-16", "1.root.json"),
    ] {
        let failure = refused(|_| pinned.to_vec(), answer);
        assert!(failure.text().contains(expected), "{}", failure.text());
        assert!(failure.the_hint().contains(hint), "{}", failure.text());
    }
    let failure = refused(|tuf| tuf.get("timestamp.json").unwrap(), answer);
    assert!(failure.text().contains("of the role `timestamp`"), "{}", failure.text());
    let failure = refused(
        |tuf| {
            let mut first: serde_json::Value = serde_json::from_slice(&tuf.first).unwrap();
            first["signed"]["version"] = json!(7);
            first.to_string().into_bytes()
        },
        answer,
    );
    assert!(failure.text().contains("not signed by enough of its own keys"), "{}", failure.text());
}
