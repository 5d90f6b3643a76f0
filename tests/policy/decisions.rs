//! The whole table of decisions. What is expected is written down here, not computed by the code
//! under test.

use crate::support::{
    ACME, IMAGE, Key, OTHER, absent, image_digest, load, now, reference, signature, with_rules,
    with_signatures, word,
};
use luet_cosign::class::{Class, Failure};
use luet_cosign::name::Digest;
use luet_cosign::policy::{
    Decision, Evidence, Grounds, Matched, PlaceAnswer, PlaceKind, PlaceReport, Policy,
    SignatureReport, decide, decide_local_files, decide_without_looking,
};

/// The six rules: whom it trusts, and what it does with what is unsigned.
const SETTINGS: [(&str, &str); 6] = [
    ("acme", "deny"),
    ("acme", "warn"),
    ("acme", "allow"),
    ("nobody", "deny"),
    ("nobody", "warn"),
    ("nobody", "allow"),
];

fn policy(trust: &str, unsigned: &str) -> Policy {
    let trust = if trust == "acme" { "trust: [acme], " } else { "" };
    load(&with_rules(&format!(
        "  - {{name: r, scope: quay.io/acme/packages, {trust}unsigned: {unsigned}, reason: test}}\n"
    )))
}

fn matched(trust: &str, unsigned: &str) -> Matched {
    policy(trust, unsigned).matching(&reference(IMAGE), now())
}

/// Checks one kind of evidence against all six rules.
fn check(what: &str, evidence: impl Fn(&Matched) -> Evidence, expected: [&str; 6]) {
    for ((trust, unsigned), expected) in SETTINGS.into_iter().zip(expected) {
        let matched = matched(trust, unsigned);
        let decision = decide(&matched, &evidence(&matched));
        assert_eq!(
            word(&decision),
            expected,
            "{what}: trust {trust}, unsigned {unsigned}: {decision:#?}"
        );
    }
}

fn failing(class: Class) -> Failure {
    Failure::new(class, format!("made up as {class}"))
}

/// What a single signature of each class comes to, under the six rules.
const SIGNATURE: &[(Class, [&str; 6])] = &[
    (Class::Internal, ["internal"; 6]),
    (Class::State, ["state"; 6]),
    (Class::Usage, ["usage"; 6]),
    (Class::Event, ["event"; 6]),
    (Class::Reference, ["reference"; 6]),
    (Class::Policy, ["policy"; 6]),
    (Class::Secret, ["secret"; 6]),
    (Class::Trustroot, ["trustroot"; 6]),
    (Class::Unsigned, ["internal"; 6]),
    (Class::NotFound, ["not-found"; 6]),
    (Class::Identity, ["identity", "identity", "identity", "identity", "allowed", "allowed"]),
    (Class::Malformed, ["malformed"; 6]),
    (Class::Digest, ["digest"; 6]),
    (Class::Signature, ["signature"; 6]),
    (Class::Time, ["time"; 6]),
    (Class::Tlog, ["tlog"; 6]),
    (Class::Binding, ["binding"; 6]),
    (Class::Tree, ["tree"; 6]),
    (Class::Unsupported, ["unsupported"; 6]),
    (Class::Rollback, ["rollback"; 6]),
    (Class::Net, ["net"; 6]),
    (Class::Auth, ["auth"; 6]),
    (Class::Registry, ["registry"; 6]),
    (Class::Limit, ["limit"; 6]),
    (Class::Bug, ["bug"; 6]),
];

#[test]
fn only_a_strangers_signature_can_pass_and_only_where_nobody_is_trusted() {
    let classes: Vec<Class> = SIGNATURE.iter().map(|(class, _)| *class).collect();
    assert_eq!(classes, Class::ALL, "the table has every class");
    for (class, expected) in SIGNATURE {
        check(
            class.word(),
            |matched| with_signatures(absent(matched, None), vec![Err(failing(*class))]),
            *expected,
        );
    }
}

#[test]
fn a_place_that_failed_is_refused_under_every_setting_whatever_the_class() {
    for class in Class::ALL {
        // A place proves neither absence nor a stranger by failing.
        let expected = match class {
            Class::Unsigned | Class::Identity => "internal",
            class => class.word(),
        };
        for kind in 0..3 {
            let evidence = |matched: &Matched| {
                let mut evidence = absent(matched, None);
                evidence.places[kind].answer = PlaceAnswer::Failed(failing(*class));
                evidence
            };
            check(&format!("{class} at {kind}"), evidence, [expected; 6]);
        }
    }
}

#[test]
fn one_good_signature_is_enough_whatever_else_is_broken() {
    let good = || Ok(signature("acme", &ACME, &image_digest()));
    let verified = ["verified", "verified", "verified", "identity", "allowed", "allowed"];
    check("alone", |matched| with_signatures(absent(matched, None), vec![good()]), verified);
    for class in Class::ALL {
        for first in [true, false] {
            for failed in [true, false] {
                let evidence = |matched: &Matched| {
                    let bad = Err(failing(*class));
                    let outcomes = if first { vec![good(), bad] } else { vec![bad, good()] };
                    let mut evidence = with_signatures(absent(matched, None), outcomes);
                    if failed {
                        evidence.places[1].answer = PlaceAnswer::Failed(failing(*class));
                    }
                    evidence
                };
                for (trust, unsigned) in &SETTINGS[..3] {
                    let matched = matched(trust, unsigned);
                    assert_eq!(
                        word(&decide(&matched, &evidence(&matched))),
                        "verified",
                        "{class} {first} {failed}"
                    );
                }
            }
        }
    }
    // Even with places that nobody asked: a proof needs no complete search.
    check(
        "only the signature",
        |matched| Evidence {
            places: vec![absent(matched, None).places.remove(0)],
            ..with_signatures(absent(matched, None), vec![good()])
        },
        ["verified", "verified", "verified", "internal", "internal", "internal"],
    );
}

#[test]
fn a_signature_counts_only_by_a_trusted_key_and_of_this_image() {
    let strangers = ["identity", "identity", "identity", "identity", "allowed", "allowed"];
    let one = |signer: &'static str, key: &'static Key, image: Digest| {
        move |matched: &Matched| {
            with_signatures(absent(matched, None), vec![Ok(signature(signer, key, &image))])
        }
    };
    check("a signer of another rule", one("other", &OTHER, image_digest()), strangers);
    check("the name with another key", one("acme", &OTHER, image_digest()), strangers);
    // Names are the policy's: what counts is who signed.
    let verified = ["verified", "verified", "verified", "identity", "allowed", "allowed"];
    check("the key under another name", one("other", &ACME, image_digest()), verified);
    check("another image", one("acme", &ACME, Digest::of(b"another")), ["binding"; 6]);
    let child = Digest::of(b"child");
    let of_child = |declared: bool| {
        move |matched: &Matched| {
            with_signatures(
                absent(matched, declared.then_some(child)),
                vec![Ok(signature("acme", &ACME, &child))],
            )
        }
    };
    check(
        "this platform's manifest",
        of_child(true),
        ["verified", "verified", "verified", "identity", "allowed", "allowed"],
    );
    check("a manifest that is not this platform's", of_child(false), ["binding"; 6]);
}

/// From the most telling to the least; classes of one group are equal, and of equals the first is
/// shown.
const PRECEDENCE: &[&[Class]] = &[
    &[Class::Net, Class::Auth, Class::Registry, Class::Limit],
    &[Class::Binding],
    &[Class::Malformed, Class::Digest, Class::Signature, Class::Time, Class::Tlog],
    &[Class::Unsupported],
    &[Class::Identity],
];

#[test]
fn the_most_telling_reason_is_shown_first() {
    let all: Vec<(usize, Class)> = PRECEDENCE
        .iter()
        .enumerate()
        .flat_map(|(rank, group)| group.iter().map(move |class| (rank, *class)))
        .collect();
    for (rank_a, a) in &all {
        for (rank_b, b) in &all {
            let expected = if rank_b < rank_a { b } else { a };
            let evidence = |matched: &Matched| {
                with_signatures(absent(matched, None), vec![Err(failing(*a)), Err(failing(*b))])
            };
            for (trust, unsigned) in SETTINGS {
                let matched = matched(trust, unsigned);
                let decision = decide(&matched, &evidence(&matched));
                let strangers =
                    *expected == Class::Identity && trust == "nobody" && unsigned != "deny";
                assert_eq!(
                    word(&decision),
                    if strangers { "allowed" } else { expected.word() },
                    "{a} and {b}: {trust} {unsigned}"
                );
            }
        }
    }
    // A place that could not be asked wins over what was found, for the good signature may be
    // there.
    for class in [Class::Binding, Class::Malformed, Class::Unsupported, Class::Identity] {
        let evidence = |matched: &Matched| {
            let mut evidence = with_signatures(absent(matched, None), vec![Err(failing(class))]);
            evidence.places[2].answer = PlaceAnswer::Failed(failing(Class::Net));
            evidence
        };
        check(class.word(), evidence, ["net"; 6]);
    }
}

const ABSENT: [&str; 6] = ["unsigned", "allowed", "allowed", "unsigned", "allowed", "allowed"];

#[test]
fn unsigned_is_read_only_when_every_place_answered_that_there_is_none() {
    check("all absent", |matched| absent(matched, None), ABSENT);
    check(
        "all absent, with a child",
        |matched| absent(matched, Some(Digest::of(b"child"))),
        ABSENT,
    );
    for child in [None, Some(Digest::of(b"child"))] {
        let count = absent(&matched("acme", "deny"), child).places.len();
        for at in 0..count {
            let without = |matched: &Matched| {
                let mut evidence = absent(matched, child);
                evidence.places.remove(at);
                evidence
            };
            check(&format!("place {at} not asked"), without, ["internal"; 6]);
            let elsewhere = |matched: &Matched| {
                let mut evidence = absent(matched, child);
                evidence.places[at].repository = "quay.io/acme/elsewhere".parse().unwrap();
                evidence
            };
            check(&format!("place {at} asked elsewhere"), elsewhere, ["internal"; 6]);
            let failed = |matched: &Matched| {
                let mut evidence = absent(matched, child);
                evidence.places[at].answer = PlaceAnswer::Failed(failing(Class::Auth));
                evidence
            };
            check(&format!("place {at} failed"), failed, ["auth"; 6]);
            let both = |matched: &Matched| {
                let mut evidence = absent(matched, child);
                let report = PlaceReport {
                    answer: PlaceAnswer::Failed(failing(Class::Registry)),
                    ..evidence.places[at].clone()
                };
                evidence.places.push(report);
                evidence
            };
            check(&format!("place {at} answered twice"), both, ["registry"; 6]);
            let unjudged = |matched: &Matched| {
                let mut evidence = absent(matched, child);
                evidence.places[at].answer = PlaceAnswer::There { count: 1 };
                evidence
            };
            check(
                &format!("place {at} has a signature that was not judged"),
                unjudged,
                ["internal"; 6],
            );
            let nothing = |matched: &Matched| {
                let mut evidence = absent(matched, child);
                evidence.places[at].answer = PlaceAnswer::There { count: 0 };
                evidence
            };
            check(&format!("place {at} has no signature"), nothing, ABSENT);
        }
    }
    check(
        "nothing was asked",
        |matched| Evidence { places: Vec::new(), ..absent(matched, None) },
        ["internal"; 6],
    );
    let uninvited = |matched: &Matched| {
        let mut evidence = absent(matched, None);
        let report = PlaceReport {
            repository: "quay.io/acme/elsewhere".parse().unwrap(),
            answer: PlaceAnswer::Failed(failing(Class::Net)),
            ..evidence.places[0].clone()
        };
        evidence.places.push(report);
        evidence
    };
    check("a place that nobody had to ask failed", uninvited, ["net"; 6]);
}

#[test]
fn a_missing_referrers_api_is_no_absence_without_the_fallback_tag() {
    let no_api = |fallback: Option<PlaceAnswer>| {
        move |matched: &Matched| {
            let mut evidence = absent(matched, None);
            evidence.places[1].answer = PlaceAnswer::NoApi { detail: "404".to_owned() };
            match fallback.clone() {
                Some(answer) => evidence.places[2].answer = answer,
                None => drop(evidence.places.remove(2)),
            }
            evidence
        }
    };
    check(
        "fallback absent",
        no_api(Some(PlaceAnswer::Absent { detail: "404".to_owned() })),
        ABSENT,
    );
    check("fallback empty", no_api(Some(PlaceAnswer::There { count: 0 })), ABSENT);
    check("fallback failed", no_api(Some(PlaceAnswer::Failed(failing(Class::Net)))), ["net"; 6]);
    check(
        "fallback without API",
        no_api(Some(PlaceAnswer::NoApi { detail: "404".to_owned() })),
        ["registry"; 6],
    );
    check("fallback not asked", no_api(None), ["registry"; 6]);
    let fallback_of_another = |matched: &Matched| {
        let mut evidence = no_api(None)(matched);
        let subject = Digest::of(b"another");
        let answer = PlaceAnswer::Absent { detail: "404".to_owned() };
        evidence.places.push(PlaceReport {
            kind: PlaceKind::FallbackTag,
            subject,
            answer,
            ..evidence.places[0].clone()
        });
        evidence
    };
    check("fallback of another subject", fallback_of_another, ["registry"; 6]);
    for at in [0, 2] {
        let evidence = |matched: &Matched| {
            let mut evidence = absent(matched, None);
            evidence.places[at].answer = PlaceAnswer::NoApi { detail: "404".to_owned() };
            evidence
        };
        check("a tag without API", evidence, ["internal"; 6]);
    }
}

#[test]
fn every_repository_under_signatures_from_is_asked_and_the_images_own_is_not() {
    let policy = load(&with_rules(
        "  - {name: r, scope: quay.io/acme/packages, trust: [acme], unsigned: allow, reason: x, signatures_from: [quay.io/s/a, quay.io/s/b]}\n",
    ));
    let matched = policy.matching(&reference(IMAGE), now());
    let evidence = absent(&matched, Some(Digest::of(b"child")));
    assert_eq!(evidence.places.len(), 12);
    assert_eq!(word(&decide(&matched, &evidence)), "allowed");
    for at in 0..12 {
        let mut evidence = evidence.clone();
        evidence.places.remove(at);
        assert_eq!(word(&decide(&matched, &evidence)), "internal", "{at}");
    }
}

#[test]
fn a_thousand_strangers_are_a_stranger() {
    let outcomes = || (0..1000).map(|_| Err(failing(Class::Identity))).collect();
    check(
        "strangers",
        |matched| with_signatures(absent(matched, None), outcomes()),
        ["identity", "identity", "identity", "identity", "allowed", "allowed"],
    );
    let matched = matched("nobody", "deny");
    let Decision::Refused(failure) =
        decide(&matched, &with_signatures(absent(&matched, None), outcomes()))
    else {
        panic!()
    };
    assert!(
        failure.details().count() <= 42
            && failure.details().last().unwrap_or_default().starts_with("and 963 more")
    );
}

#[test]
fn evidence_of_another_image_decides_nothing() {
    let matched = matched("acme", "allow");
    let good = with_signatures(
        absent(&matched, None),
        vec![Ok(signature("acme", &ACME, &image_digest()))],
    );
    let other_tag =
        Evidence { reference: reference("quay.io/acme/packages:other"), ..good.clone() };
    assert_eq!(word(&decide(&matched, &other_tag)), "internal");
    let mut other_repository = good.clone();
    other_repository.image.repository = "quay.io/evil/packages".parse().unwrap();
    assert_eq!(word(&decide(&matched, &other_repository)), "internal");
    let pinned = reference(&format!("quay.io/acme/packages@{}", Digest::of(b"pinned")));
    let matched = policy("acme", "allow").matching(&pinned, now());
    assert_eq!(word(&decide(&matched, &absent(&matched, None))), "digest");
}

#[test]
fn skipping_and_no_rule_make_no_request_and_are_said_aloud() {
    let text = "  - {name: skipped, scope: quay.io/a/skip, trust: skip, reason: x}\n  - {name: looked, scope: quay.io/a/look, trust: [acme, other]}\n";
    for (mode, expected, warning) in
        [("deny", "policy", false), ("warn", "allowed", true), ("allow", "allowed", false)]
    {
        let policy =
            load(&with_rules(text).replace("unmatched: deny", &format!("unmatched: {mode}")));
        let matched = policy.matching(&reference("quay.io/a/none:x"), now());
        let decision = decide_without_looking(&matched);
        assert_eq!(word(&decision), expected, "{mode}");
        if let Ok(provisional) = decision.into_result() {
            assert_eq!(provisional.notices()[0].warning, warning);
            assert_eq!((provisional.grounds(), provisional.subject()), (&Grounds::Unmatched, None));
        }
        let skipped = policy.matching(&reference("quay.io/a/skip:x"), now());
        assert!(!skipped.looks());
        let provisional = decide_without_looking(&skipped).into_result().unwrap();
        assert_eq!(
            provisional.notices()[0].text,
            "`quay.io/a/skip:x` was not checked: rule `skipped` [policy.yaml line 7] skips it"
        );
        // A rule that wants signatures cannot be decided without.
        let looked = policy.matching(&reference("quay.io/a/look:x"), now());
        assert!(looked.looks());
        assert_eq!(word(&decide_without_looking(&looked)), "internal");
    }
}

#[test]
fn local_files_pass_only_by_a_rule_of_their_own() {
    let decide = |rules: &str| decide_local_files(&load(&with_rules(rules)), now());
    assert_eq!(word(&decide("  - {name: r, scope: '*', unsigned: allow, reason: x}\n")), "policy");
    assert_eq!(word(&decide("  - {name: r, scope: '*', trust: skip, reason: x}\n")), "policy");
    let allowed = decide("  - {name: disk, scope: 'file://**', trust: skip, reason: x}\n")
        .into_result()
        .unwrap();
    assert_eq!(
        allowed.grounds(),
        &Grounds::LocalFiles { rule: "rule `disk` [policy.yaml line 7]".to_owned() }
    );
    assert_eq!((allowed.notices().len(), allowed.subject(), allowed.reference()), (1, None, None));
    let Decision::Refused(ended) =
        decide("  - {name: disk, scope: 'file://**', trust: skip, reason: x, until: 2026-11-19}\n")
    else {
        panic!()
    };
    assert!(ended.message().contains("until 2026-11-19"), "{ended}");
    assert_eq!(
        word(&decide(
            "  - {name: disk, scope: 'file://**', trust: skip, reason: x, until: 2026-11-20}\n"
        )),
        "allowed"
    );
}

#[test]
fn a_refusal_says_what_was_found_who_wants_what_and_what_to_do() {
    let matched = matched("acme", "deny");
    let Decision::Refused(failure) = decide(&matched, &absent(&matched, None)) else { panic!() };
    let digest = image_digest();
    assert_eq!(
        failure.message(),
        format!(
            "`{IMAGE}`: no signature (3 of 3 places answered: not there); rule `r` [policy.yaml line 7] wants one by `acme`"
        )
    );
    let details: Vec<String> = failure.details().collect();
    assert_eq!(
        details,
        [
            format!("image: {digest}"),
            ".sig tag in `quay.io/acme/packages`: not there (404 MANIFEST_UNKNOWN)".to_owned(),
            "referrers API in `quay.io/acme/packages`: not there (404 MANIFEST_UNKNOWN)".to_owned(),
            "fallback tag in `quay.io/acme/packages`: not there (404 MANIFEST_UNKNOWN)".to_owned(),
        ]
    );
    assert_eq!(
        failure.the_hint(),
        format!("see what is there with `luet-cosign check {IMAGE}`; have it signed by `acme`")
    );
}

#[test]
fn a_refusal_keeps_every_reason() {
    let matched = matched("acme", "allow");
    let mut evidence = with_signatures(
        absent(&matched, None),
        vec![
            Err(failing(Class::Identity)),
            Err(failing(Class::Unsupported)),
            Ok(signature("other", &OTHER, &image_digest())),
        ],
    );
    evidence.places[1].answer = PlaceAnswer::Failed(Failure::new(Class::Auth, "401"));
    let Decision::Refused(failure) = decide(&matched, &evidence) else { panic!() };
    assert_eq!(failure.class(), Class::Auth);
    assert!(
        failure.message().contains("401")
            && failure.message().contains("(2 of 3 places answered); rule `r`"),
        "{failure}"
    );
    let text = failure.text();
    for part in [
        "identity: made up as identity",
        "unsupported: made up",
        "holds, by `other`",
        "referrers API",
        "auth: 401",
        "fallback tag",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_passes_unsigned_is_named_and_so_is_the_stranger() {
    for (unsigned, warning) in [("warn", true), ("allow", false)] {
        let matched = matched("nobody", unsigned);
        let plain = decide(&matched, &absent(&matched, None)).into_result().unwrap();
        assert_eq!((plain.notices().len(), plain.notices()[0].warning), (1, warning));
        assert_eq!(plain.notices()[0].text.starts_with("warning: "), warning);
        assert!(plain.notices()[0].text.contains(&format!(
            "`{IMAGE}` is not signed; rule `r` [policy.yaml line 7] lets it pass (test)"
        )));
        assert_eq!(plain.subject().map(|subject| subject.digest), Some(image_digest()));
        let evidence = with_signatures(
            absent(&matched, None),
            vec![Ok(signature("other", &OTHER, &image_digest()))],
        );
        let stranger = decide(&matched, &evidence).into_result().unwrap();
        assert!(
            stranger.notices()[1].warning && stranger.notices()[1].text.contains("`other`"),
            "{:?}",
            stranger.notices()
        );
        assert_eq!(stranger.signature(), None);
    }
    let matched = matched("acme", "deny");
    let evidence = with_signatures(
        absent(&matched, None),
        vec![Ok(signature("acme", &ACME, &image_digest()))],
    );
    let verified = decide(&matched, &evidence).into_result().unwrap();
    assert_eq!(verified.notices(), []);
    assert_eq!(
        verified.signature().map(|signature| signature.authority().to_owned()),
        Some("acme".to_owned())
    );
}

#[test]
fn text_of_a_registry_cannot_steer_a_terminal() {
    let matched = matched("nobody", "warn");
    let evidence = with_signatures(
        absent(&matched, None),
        vec![Err(Failure::new(Class::Identity, "\x1b[2J\u{202e}evil\n"))],
    );
    let provisional = decide(&matched, &evidence).into_result().unwrap();
    assert!(
        provisional
            .notices()
            .iter()
            .all(|notice| !notice.text.contains(['\x1b', '\n', '\u{202e}']))
    );
    let report = SignatureReport { format: "\x1b[2J".to_owned(), ..evidence.signatures[0].clone() };
    let evidence = Evidence { signatures: vec![report], ..evidence };
    let strict = self::matched("acme", "warn");
    let Decision::Refused(failure) = decide(&strict, &evidence) else { panic!() };
    assert!(!failure.text().replace("\n  ", "").replace("\nhint", "").contains(['\x1b', '\n']));
}

#[test]
fn texts_have_no_word_between_colons_for_the_host_to_eat() {
    let eaten = |text: &str| {
        let parts: Vec<&str> = text.split(':').collect();
        parts.windows(3).any(|window| matches!(window, [_, word, _] if !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-')))
    };
    assert!(eaten("a :smile: b") && !eaten("a: b: c"));
    for (trust, unsigned) in SETTINGS {
        let matched = matched(trust, unsigned);
        for evidence in [
            absent(&matched, None),
            with_signatures(absent(&matched, None), vec![Err(failing(Class::Binding))]),
        ] {
            match decide(&matched, &evidence) {
                Decision::Refused(failure) => {
                    assert!(!eaten(&failure.text()), "{}", failure.text())
                }
                Decision::Allowed(provisional) | Decision::Verified(provisional) => {
                    assert!(provisional.notices().iter().all(|notice| !eaten(&notice.text)));
                }
            }
        }
    }
}
