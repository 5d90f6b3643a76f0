//! R10 to R12: lengths, counts and depths that cost the reader, not the writer.

use crate::cases::Cases;
use crate::content::{descriptor, manifest_of};
use crate::world::{BUNDLE, Place, REPO, SIGNATURE, World, bundle};
use luet_cosign::limits;
use serde_json::{Value, json};
use testkit::http::Answer;
use testkit::registry::{CONFIG, INDEX, MANIFEST, SIMPLE_SIGNING, digest};

/// What kernels on both sides of a connection may hold beyond what was read.
const IN_FLIGHT: u64 = 16 << 20;

pub(crate) fn cases(cases: &mut Cases) {
    lengths(cases);
    numbers(cases);
}

/// R10 and R11: lengths.
fn lengths(cases: &mut Cases) {
    let over = usize::try_from(limits::MANIFEST_BYTES).unwrap() + 1;
    let typed = || Answer::new(200).header("Content-Type", INDEX);
    for (name, place) in [
        ("the image", Place::Tag),
        ("the .sig tag", Place::Sig),
        ("the fallback tag", Place::Fallback),
        ("referrers", Place::Referrers),
    ] {
        for (what, answer) in [
            ("one byte too many", typed().body(" ".repeat(over))),
            ("endless pieces", typed().endless(vec![b' '; 32 << 10])),
            ("no length, and too many", typed().body(" ".repeat(over)).until_close()),
            ("a length of 1 TiB", typed().header("Content-Length", "1099511627776").body("{")),
        ] {
            cases.add("R10", format!("{name}: {what}"), "limit", move || {
                let world = World::lax().serve(place, answer.clone());
                let class = world.install();
                // A list of referrers is asked for again, by type.
                let asked = if matches!(place, Place::Referrers) { 2 } else { 1 };
                assert!(
                    world.registry.server().sent() < asked * (limits::MANIFEST_BYTES + IN_FLIGHT),
                    "{} bytes",
                    world.registry.server().sent()
                );
                class
            });
        }
        cases.add("R10", format!("{name}: an endless error"), "limit", move || {
            World::lax().serve(place, Answer::new(403).endless(vec![b' '; 4 << 10])).install()
        });
        cases.add("R10", format!("{name}: less than its length says"), "net", move || {
            World::lax()
                .serve(place, typed().header("Content-Length", "100").body("{}").cut(2))
                .install()
        });
    }
    type Change = fn(i64) -> i64;
    let changes: [(&str, Change, &str); 4] = [
        ("one more", |size| size + 1, "digest"),
        ("one less", |size| size - 1, "digest"),
        ("nothing", |_| 0, "digest"),
        ("more than is read", |_| 1 << 30, "limit"),
    ];
    for (what, change, expected) in changes {
        cases.add("R11", format!("a payload: {what}"), expected, move || resized(change).install());
        cases.add("R11", format!("a bundle: {what}"), expected, move || {
            let right = i64::try_from(bundle("acme", &digest(b"any image")).len()).unwrap();
            resized_bundle(&json!(change(right))).install()
        });
    }
    for (what, size) in [
        ("-1", json!(-1)),
        ("2^63", json!(9_223_372_036_854_775_808_u64)),
        ("text", json!("2")),
        ("1.5", json!(1.5)),
    ] {
        let text = size.clone();
        cases.add("R11", format!("a payload: {what}"), "malformed", move || {
            let layer = json!({"mediaType": SIMPLE_SIGNING, "size": text, "digest": digest(b"{}"), "annotations": {SIGNATURE: "AAAA"}});
            manifest_of(&[layer]).install()
        });
        cases.add("R11", format!("a bundle: {what}"), "malformed", move || {
            resized_bundle(&size).install()
        });
    }
}

/// A good signature whose payload is announced with another size.
fn resized(change: impl Fn(i64) -> i64) -> World {
    let world = World::lax();
    let signature = world.signature("acme", &world.image.digest, &[]);
    let payload = world.registry.push_blob(REPO, &signature.payload);
    let size = change(i64::try_from(signature.payload.len()).unwrap());
    let annotations = json!({SIGNATURE: signature.annotations[0].1});
    let layer = json!({"mediaType": SIMPLE_SIGNING, "size": size, "digest": payload, "annotations": annotations});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG), "layers": [layer]}).to_string();
    let tag = format!("{}.sig", world.image.digest.replace(':', "-"));
    world.registry.push_manifest(REPO, Some(&tag), MANIFEST, manifest.as_bytes());
    world
}

/// A good bundle whose referrer announces it with another size.
fn resized_bundle(size: &Value) -> World {
    let world = World::lax();
    let blob = world.registry.push_blob(REPO, &bundle("acme", &world.image.digest));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": descriptor("application/vnd.oci.empty.v1+json"),
        "layers": [{"mediaType": BUNDLE, "size": size, "digest": blob}],
        "subject": {"mediaType": MANIFEST, "size": world.image.manifest.len(), "digest": world.image.digest},
    });
    world.registry.push_manifest(REPO, None, MANIFEST, manifest.to_string().as_bytes());
    world
}

/// R12: counts and depths that cost the reader, not the writer.
fn numbers(cases: &mut Cases) {
    let nested = |depth: usize| {
        format!("{{\"schemaVersion\":2,\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
    };
    let layers =
        |count: usize| format!("{{\"schemaVersion\":2,\"layers\":[{}0]}}", "0,".repeat(count));
    let annotations =
        format!("{{\"schemaVersion\":2,\"annotations\":{{\"x\":\"{}\"}}}}", "x".repeat(8 << 20));
    for (what, document) in [
        ("10^5 layers", layers(100_000)),
        ("10^6 layers", layers(1_000_000)),
        ("a depth of 10^4", nested(10_000)),
        ("a depth of 10^6", nested(1_000_000)),
        ("annotations of 8 MiB", annotations),
    ] {
        for (name, place) in [("the image", Place::Tag), ("the signatures", Place::Sig)] {
            let answer = Answer::new(200).header("Content-Type", MANIFEST).body(document.clone());
            cases.add("R12", format!("{name}: {what}"), "limit", move || {
                World::lax().serve(place, answer.clone()).install()
            });
        }
    }
}
