//! R01, R15 and F09: what each place may answer, and what that comes to where unsigned images are
//! allowed.
//!
//! `unsigned: allow` is what an attacker would profit from: every answer but a plain "not there"
//! must refuse all the same. The list of what is plain is in docs/verifying.md. One difference to
//! the matrix: its F09 names 401, 403, 404 and 5xx in one breath; a 404 with a code of absence is
//! the one answer that *does* count.

use crate::cases::Cases;
use crate::world::{Place, World};
use testkit::http::Answer;
use testkit::registry::{INDEX, MANIFEST};

/// An answer, and the class that it ends in: at the tag of the image, at a tag of signatures, at
/// the referrers API.
type Row = (&'static str, Answer, [&'static str; 3]);

const PLACES: [(&str, Place, usize); 4] = [
    ("the image's tag", Place::Tag, 0),
    ("the .sig tag", Place::Sig, 1),
    ("the fallback tag", Place::Fallback, 1),
    ("the referrers API", Place::Referrers, 2),
];

pub(crate) fn cases(cases: &mut Cases) {
    for (row, answers) in [("R01", absent()), ("R15", successes()), ("F09", refusals())] {
        for (what, answer, expected) in answers {
            for (name, place, column) in PLACES {
                let answer = answer.clone();
                let run = move || World::lax().serve(place, answer.clone()).install();
                cases.add(row, format!("{name}: {what}"), expected[column], run);
            }
        }
    }
    cases.add("R01", "nothing anywhere, and a rule that wants a signature", "unsigned", || {
        World::strict().install()
    });
    cases.add("R01", "a registry without a referrers API", "unsigned", || {
        let options = testkit::Options { referrers: false, ..Default::default() };
        World::with(options, "trust: [acme], unsigned: deny").install()
    });
    cases.add("R01", "nothing anywhere, at the second of two images", "unsigned", || {
        let world = World::strict().sign();
        assert_eq!(world.install(), "");
        world.registry.push_image(crate::world::REPO, "2", &[b"other"]);
        world.install_named(&world.registry.name("acme/packages:2"))
    });
    for (name, place, _) in &PLACES[1..] {
        let place = *place;
        // A place that cannot be asked hides nothing that was found elsewhere.
        cases.add("F09", format!("{name}: 503 beside a good bundle"), "", move || {
            let world = World::lax();
            let referrer = world.attach("acme");
            let size = world.registry.manifest(crate::world::REPO, &referrer).unwrap().1.len();
            world.registry.push_fallback(
                crate::world::REPO,
                &world.image.digest,
                &[(&referrer, size)],
            );
            world.serve(place, Answer::new(503)).install()
        });
        cases.add(
            "F09",
            format!("{name}: 503 beside a stranger's signature"),
            "registry",
            move || World::lax().sign_as("stranger", &[]).serve(place, Answer::new(503)).install(),
        );
    }
}

/// "Not there", in the words of many registries. The image itself is then `not-found`.
fn absent() -> Vec<Row> {
    let gone = ["not-found", "", ""];
    vec![
        ("404 MANIFEST_UNKNOWN", Answer::error(404, "MANIFEST_UNKNOWN"), gone),
        ("404 NOT_FOUND", Answer::error(404, "NOT_FOUND"), gone),
        (
            "404 NAME_UNKNOWN in the image's own repository",
            Answer::error(404, "NAME_UNKNOWN"),
            gone,
        ),
        ("404 with an empty body", Answer::new(404), gone),
        ("404 with an unknown code", Answer::error(404, "TAG_UNKNOWN"), gone),
        (
            "404 in plain text",
            Answer::new(404).header("Content-Type", "text/plain").body("Not found\r\n"),
            gone,
        ),
    ]
}

/// 200, and yet no answer to what was asked.
fn successes() -> Vec<Row> {
    let index = |text: &str| Answer::new(200).header("Content-Type", INDEX).body(text);
    let manifest = |text: &str| Answer::new(200).header("Content-Type", MANIFEST).body(text);
    let unread = ["registry"; 3];
    let broken = ["malformed"; 3];
    vec![
        ("200 HTML", Answer::html(200), unread),
        (
            "200 HTML that calls itself an index",
            index("<!doctype html><html>log in</html>"),
            ["registry", "registry", "malformed"],
        ),
        ("200 JSON", Answer::new(200).json("{}"), unread),
        ("200 text", Answer::new(200).header("Content-Type", "text/plain").body("ok"), unread),
        ("204", Answer::new(204), unread),
        ("206", Answer::new(206).header("Content-Type", INDEX).body("{}"), unread),
        ("200 null", index("null"), broken),
        ("200 with an empty body", index(""), broken),
        ("200 an empty object", index("{}"), broken),
        ("200 a list", index("[]"), broken),
        ("200 with an end that is missing", index("{\"schemaVersion\":2,\"manifests\":["), broken),
        (
            "200 with manifests that are none",
            index(r#"{"schemaVersion":2,"manifests":"x"}"#),
            broken,
        ),
        ("200 an error document", index(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#), broken),
        (
            "200 an image that is none",
            manifest(r#"{"schemaVersion":2,"config":{}}"#),
            ["malformed", "malformed", "registry"],
        ),
        (
            "200 in gzip",
            index(r#"{"schemaVersion":2,"manifests":[]}"#).header("Content-Encoding", "gzip"),
            broken,
        ),
    ]
}

/// Everything that decides nothing. "No such API" is an answer of the referrers API alone.
fn refusals() -> Vec<Row> {
    let same = |class: &'static str| [class; 3];
    let no_api = ["registry", "registry", ""];
    let mut rows = vec![
        ("401 without a challenge", Answer::new(401), same("auth")),
        (
            "401 that wants a password",
            Answer::new(401).header("WWW-Authenticate", "Basic realm=\"x\""),
            same("auth"),
        ),
        ("403", Answer::error(403, "DENIED"), same("auth")),
        ("403 that names absence", Answer::error(403, "MANIFEST_UNKNOWN"), same("auth")),
        ("404 that denies", Answer::error(404, "DENIED"), same("auth")),
        ("404 unauthorized", Answer::error(404, "UNAUTHORIZED"), same("auth")),
        ("404 rate limit", Answer::error(404, "TOOMANYREQUESTS"), same("registry")),
        ("404 unavailable", Answer::error(404, "UNAVAILABLE"), same("registry")),
        ("404 unsupported", Answer::error(404, "UNSUPPORTED"), no_api),
        ("404 invalid name", Answer::error(404, "NAME_INVALID"), no_api),
        ("404 HTML", Answer::html(404), no_api),
        ("300", Answer::new(300), same("registry")),
        ("302 without Location", Answer::new(302), same("registry")),
        ("303 without Location", Answer::new(303), no_api),
        ("304", Answer::new(304), same("registry")),
        ("429", Answer::error(429, "TOOMANYREQUESTS"), same("registry")),
        ("500 that names absence", Answer::error(500, "MANIFEST_UNKNOWN"), same("registry")),
        ("502 HTML", Answer::html(502), same("registry")),
        ("a reset", Answer::reset(), same("net")),
        ("a closed connection", Answer::close(), same("net")),
        ("something that is not HTTP", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"), same("net")),
        ("half an answer", Answer::new(404).body("x".repeat(100)).cut(10), same("net")),
    ];
    for (name, status) in [
        ("402", 402),
        ("408", 408),
        ("409", 409),
        ("410", 410),
        ("418", 418),
        ("451", 451),
        ("503", 503),
        ("504", 504),
    ] {
        rows.push((name, Answer::new(status), same("registry")));
    }
    for (name, status) in [("400", 400), ("405", 405), ("406", 406), ("501", 501)] {
        rows.push((name, Answer::new(status), no_api));
    }
    rows
}
