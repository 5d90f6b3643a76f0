//! Expressions in cosign's spellings: they match from border to border of a name.

use super::*;
use luet_cosign::limits;
use luet_cosign::trust::{Allowance, Name};

/// What kind of name Fulcio makes of a text.
fn name(text: &str) -> Name<'_> {
    if text.contains("://") {
        Name::Uri(text)
    } else if text.contains('@') {
        Name::Email(text)
    } else {
        Name::Other(text)
    }
}

fn cosign(expression: &str) -> TextMatcher {
    TextMatcher::cosign(expression, &mut Allowance::default()).unwrap()
}

fn fits(expression: &str, text: &str) -> bool {
    cosign(expression).fits(name(text))
}

const WORKFLOW: &str = "https://github.com/acme/os/.github/workflows/release.yml@refs/tags/v1";

#[test]
fn every_row_of_the_vectors_has_the_right_answer() {
    let vectors: Value =
        serde_json::from_str(include_str!("../data/identity-expressions.json")).unwrap();
    let rows = vectors["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 36);
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap();
        assert_eq!(fits(text("expression"), text("name")), row["fits"] == true, "{row}");
    }
}

#[test]
fn a_match_begins_and_ends_on_a_border_of_a_uri() {
    for (expression, text, expected) in [
        // Borders: the start, the host; its end, both sides of a slash, the ref's `@`, all behind.
        ("https://github\\.com", WORKFLOW, true),
        ("github\\.com", WORKFLOW, true),
        ("github\\.com/acme/os/", WORKFLOW, true),
        ("^https://github.com/acme/os/.github/workflows/release.yml", WORKFLOW, true),
        ("^https://github.com/acme/os/.github/workflows/release.yml@", WORKFLOW, true),
        ("^https://github.com/acme/os/.github/workflows/release.yml@ref", WORKFLOW, true),
        ("^https://github.com/acme/os/.github/workflows/release.y", WORKFLOW, false),
        ("ttps://github.com", WORKFLOW, false),
        ("://github.com", WORKFLOW, false),
        ("https://github.co", WORKFLOW, false),
        ("hub.com/acme", WORKFLOW, false),
        ("os/.github/workflows/release.yml@refs/tags/v1", WORKFLOW, false),
        // Some match is enough, not the engine's first.
        ("https://github.com/a(c|cme)", WORKFLOW, true),
        ("https://github.com/a.*?", WORKFLOW, true),
        ("https://github.com/acme|nobody", WORKFLOW, true),
        // The last `@` begins the ref: a file can have one in its name.
        (
            "^https://g.example/a/b//x\\.yml",
            "https://g.example/a/b//x.yml@refs/y.yml@refs/heads/main",
            false,
        ),
        (
            "^https://g.example/a/b//x\\.yml@refs/y",
            "https://g.example/a/b//x.yml@refs/y.yml@refs/heads/main",
            false,
        ),
        // A commit is a ref too; anything else behind an `@` is a part of the path.
        (
            "^https://ci.example/b\\.yml@0123",
            "https://ci.example/b.yml@0123456789abcdef0123456789abcdef01234567",
            true,
        ),
        ("^https://social.example/@al", "https://social.example/@alice", false),
        // What names the host is not what is in front of it, or a part of it.
        ("^https://github.com", "https://github.com@evil.example/x", false),
        ("^https://github.com/", "https://github.com@evil.example/x", false),
        ("evil.example/", "https://github.com@evil.example/x", true),
        ("^https://github.com", "https://github.com:8443/x", false),
        ("^https://github.com", "https://github.com.evil.example/x", false),
        ("^https://idp.example/realm", "https://idp.example/realm?tenant=evil", false),
        ("^https://idp.example", "https://idp.example?x=/y", false),
        ("^https://idp.example", "https://idp.example#x", false),
        ("x=", "https://idp.example?x=", false),
        ("^https://idp.example", "https://idp.example", true),
        ("^https://idp.example/$", "https://idp.example/", true),
        // No host is no border.
        ("^file://", "file:///x", false),
        ("^https://", "https://", true),
        // `^`, `$` and `\b` see the whole name.
        ("^github.com/acme", WORKFLOW, false),
        ("https://github.com/acme$", WORKFLOW, false),
        ("(?m)^https://github.com/acme$", WORKFLOW, false),
        ("https://github.com/acme\\b", WORKFLOW, true),
        ("https://github.com/acme/\\B", WORKFLOW, false),
        ("(?i)GITHUB.COM/ACME", WORKFLOW, true),
        ("GITHUB.COM/ACME", WORKFLOW, false),
        ("(?s)https://github.com/acme(?-s)", WORKFLOW, true),
    ] {
        assert_eq!(fits(expression, text), expected, "{expression} {text}");
    }
}

#[test]
fn a_match_of_another_name_is_from_its_own_borders() {
    let email = "o'k@a@x.example";
    for (expression, name, expected) in [
        ("@x.example", Name::Email(email), true),
        ("x.example", Name::Email(email), true),
        ("o'k@a@x.example", Name::Email(email), true),
        ("a@x.example", Name::Email(email), false),
        ("@x.exam", Name::Email(email), false),
        ("", Name::Email(email), false),
        // What someone could write in front of an `@` is not a URI.
        ("^https://github.com/acme/", Name::Email("https://github.com/acme/@evil.example"), false),
        ("evil", Name::Other("evil!acme"), false),
        ("evil!acme", Name::Other("evil!acme"), true),
        ("acme", Name::Uri("acme"), true),
        ("acme", Name::Uri("acme:x"), false),
        // Borders are between characters, of whatever length.
        ("ü/ß", Name::Uri("https://x.example/ü/ß"), false),
        ("x.example/ü", Name::Uri("https://x.example/ü/ß"), true),
        ("ü.example/ß", Name::Uri("https://ü.example/ß/é"), true),
        (".example/ß", Name::Uri("https://ü.example/ß/é"), false),
        ("é@x", Name::Email("é@x"), true),
        ("@x", Name::Email("é@x"), true),
    ] {
        assert_eq!(cosign(expression).fits(name), expected, "{expression} {name:?}");
    }
}

/// An expression is tried inside of a larger one, which it must not get out of.
#[test]
fn an_expression_stays_inside_of_its_group() {
    let parse = |text: &str| TextMatcher::cosign(text, &mut Allowance::default());
    for text in [
        "a)|(b",
        ")",
        "(",
        "a)(?:.*",
        "\\",
        "[",
        "(?x)a # not closed",
        "a{1,2000000}",
        "\\p{Greek}",
        &"(".repeat(33),
        &"()".repeat(33),
        &"a".repeat(1025),
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert!(parse(&"()".repeat(32)).is_ok() && parse(&"a".repeat(1024)).is_ok());
    // Flags end with the group that they are set in.
    assert!(!fits("(?i)nobody|https://github.com/acme/os/.github/workflows/RELEASE", WORKFLOW));
    assert!(fits("(?x) https://github.com/ acme", WORKFLOW));
    assert!(!fits("nobody|^", WORKFLOW) && !fits("nobody|$", WORKFLOW));
}

#[test]
fn a_name_that_no_signer_has_fits_no_expression_and_costs_little() {
    let long = |length: usize| format!("https://x.example/{}", "a".repeat(length - 18));
    let fits = |text: &str| cosign("^https://x.example/").fits(name(text));
    assert!(fits(&long(limits::NAME_BYTES)));
    assert!(!fits(&long(limits::NAME_BYTES + 1)));
    let parts = |count: usize| format!("https://x.example{}", "/a".repeat(count));
    assert!(fits(&parts(20)));
    assert!(!fits(&parts(limits::NAME_BORDERS)));
    let wide = cosign(&format!("(.|.){{{}}}", 1000));
    assert!(!wide.fits(name(&parts(60))));
}

#[test]
fn a_wildcard_inside_of_a_part_of_a_name_is_warned_of() {
    for (expression, inside) in [
        ("^https://github.com/acme.*", Some("acme-evil")),
        ("https://github\\.com/acme/os.*$", Some("os-evil")),
        ("^https://github.com/(acme|other)(.*)", Some("other-evil")),
        ("^https://github.com/acme[^/]*/", Some("acme-evil")),
        ("^https://github.com/acme\\S+", Some("acme-evil")),
        ("^https://github.com/acme[a-z-]{2,}", Some("acme-evil")),
        ("^https://github.com/acme/os/.github/workflows/release.*\\.yml@", Some("release-evil")),
        ("^https://github.com/acme-[0-9]+.*", Some("acme-_-evil")),
        ("^https://github.com.*", Some("github.com-evil")),
        ("alice@.*", Some("alice@evil.example")),
        ("@acme.*", Some("@acme-evil")),
        ("^https://github.com/acme/", None),
        ("^https://github.com/acme/.*", None),
        ("^https://github.com/acme/[^/]+/\\.github/workflows/[^/]+@refs/tags/v.*", None),
        ("^https://github.com/acme/os/r\\.yml@refs/(heads/main|tags/v.*)$", None),
        ("release-[0-9.]+$", None),
        (".*@acme\\.com", None),
        (".*", None),
        ("^https://github.com/ac.e", None),
    ] {
        let said = cosign(expression).open_end();
        assert_eq!(said.is_some(), inside.is_some(), "{expression}: {said:?}");
        let inside = inside.map(|inside| format!("`{inside}`"));
        assert!(said.iter().all(|said| said.contains(inside.as_deref().unwrap())), "{said:?}");
    }
    // The same of a policy's own expressions and patterns.
    let allowance = &mut Allowance::default();
    assert!(TextMatcher::regexp("https://x/acme.*", allowance).unwrap().open_end().is_some());
    assert!(TextMatcher::glob("https://x/acme*", allowance).unwrap().open_end().is_some());
    assert!(TextMatcher::glob("https://x/acme/*", allowance).unwrap().open_end().is_none());
    assert!(TextMatcher::Exact("https://x/acme.*".to_owned()).open_end().is_none());
}

/// Advice is copied: it names the one signer, and never widens what was written.
#[test]
fn what_only_the_borders_refuse_is_named_with_what_to_write() {
    for (expression, text, instead) in [
        ("/acme/os/", WORKFLOW, Some("`^https://github\\.com/acme/os/`")),
        ("acme", WORKFLOW, Some("`^https://github\\.com/acme`")),
        ("acme|nobody", WORKFLOW, Some("`^https://github\\.com/(?:acme|nobody)`")),
        (
            "refs/tags/v[0-9.]+$",
            WORKFLOW,
            Some(
                "`^https://github\\.com/acme/os/\\.github/workflows/release\\.yml@refs/tags/v[0-9.]+$`",
            ),
        ),
        ("^https://github.com/acm", WORKFLOW, Some("if `acme` is meant, write that to its end")),
        ("alice@gmail\\.com", "malice@gmail.com", Some("`^malice@gmail\\.com`")),
        ("^https://github.com/acme", WORKFLOW, None),
        ("nobody", WORKFLOW, None),
    ] {
        let miss = cosign(expression).near_miss(name(text));
        assert_eq!(miss.is_some(), instead.is_some(), "{expression}: {miss:?}");
        let Some((miss, instead)) = miss.zip(instead) else { continue };
        assert!(miss.instead.contains(instead), "{expression}: {miss:?}");
        assert!(miss.why.contains(&format!("`{expression}` matches inside")), "{miss:?}");
        if let Some(written) = instead.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
            assert!(fits(written, text), "{written}");
        }
    }
    let identity = |expression: &str, issuer: &str| Identity::Named {
        issuer: TextMatcher::Exact(issuer.to_owned()),
        subject: cosign(expression),
    };
    let signature = sigstore().sign().identity(WORKFLOW).issuer(DEV.1).image(IMAGE);
    let refused = |expression: &str, issuer: &str| {
        Judge::of([Authority::of_identity(identity(expression, issuer))])
            .bundle(&signature.bundle())
            .unwrap_err()
    };
    let miss = refused("/acme/os/", DEV.1);
    assert!(miss.the_hint().contains("`^https://github\\.com/acme/os/`"), "{}", miss.text());
    assert!(miss.full_line().contains("matches inside of that name"), "{}", miss.full_line());
    let by_another = refused("/acme/os/", "https://other.example");
    assert!(!by_another.full_line().contains("matches inside"), "{}", by_another.full_line());
}
