//! A hint never loosens what memory, evidence or a rule contradicts.

use crate::support::{
    ACME, IMAGE, absent, image_digest, load, load_at, now, reference, signature_for, with_rules,
    with_signatures,
};
use luet_cosign::class::Failure;
use luet_cosign::policy::{
    Decision, EnvironmentFacts, Evidence, Matched, PlaceAnswer, PlaceKind, PolicyOrigin,
    Remembered, SeenFact, decide, decide_without_looking, explain, from_env, may_hide,
};
use luet_cosign::wire::SignerClaims;

/// Words that would let something pass that nobody vouches for.
const LOOSENS: [&str; 5] =
    ["LUET_COSIGN_ALLOW_UNSIGNED", "unsigned: allow", "unsigned: warn", "skip", "seen forget"];

fn loosens(failure: &Failure) -> bool {
    LOOSENS.iter().any(|word| failure.the_hint().contains(word))
}

fn environment(facts: EnvironmentFacts, image: &str) -> Matched {
    let facts = EnvironmentFacts { key_location: Some("k".into()), ..facts };
    let origin = PolicyOrigin::Environment { experimental: false };
    load_at(&from_env(&facts), origin, now()).unwrap().0.matching(&reference(image), now())
}

fn by_file(rules: &str, image: &str) -> Matched {
    load(&with_rules(rules)).matching(&reference(image), now())
}

fn refusal(matched: &Matched, evidence: &Evidence) -> Failure {
    match decide(matched, evidence) {
        Decision::Refused(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn seen() -> Option<SeenFact> {
    Some(SeenFact { signer: "acme".into(), digest: image_digest(), seconds: 0 })
}

#[test]
fn what_was_verified_here_before_is_not_let_pass() {
    let rule = "  - {name: r, scope: '*', unsigned: deny}\n";
    for matched in [environment(EnvironmentFacts::default(), IMAGE), by_file(rule, IMAGE)] {
        let mut evidence = absent(&matched, None);
        assert!(loosens(&refusal(&matched, &evidence)), "nothing speaks against it");
        for memory in [
            Remembered { tag_verified: seen(), ..Remembered::default() },
            Remembered { repository_verified: seen(), ..Remembered::default() },
        ] {
            evidence.memory = memory;
            let failure = refusal(&matched, &evidence);
            assert!(!loosens(&failure), "{}", failure.text());
            assert!(failure.the_hint().contains("was verified here on 1970-01-01"), "{failure}");
        }
    }
}

#[test]
fn what_a_cache_may_hide_is_not_let_pass() {
    let hidden = |image: &str| {
        let matched = environment(
            EnvironmentFacts {
                mirrors: vec![vec!["quay.io/acme/os".into(), "mirror.lan/acme/os".into()]],
                ..EnvironmentFacts::default()
            },
            image,
        );
        let evidence = absent(&matched, None);
        assert!(may_hide(&matched, &evidence).is_some(), "{image}");
        refusal(&matched, &evidence)
    };
    for (image, origin) in [
        ("cache.lan/ghcr.io/acme/os:1", "`ghcr.io/acme/os`"),
        ("gitlab.lan/acme/dependency_proxy/containers/alpine:1", "`alpine`"),
        ("mirror.lan/acme/os:1", "`quay.io/acme/os`"),
    ] {
        let failure = hidden(image);
        assert!(!loosens(&failure), "{}", failure.text());
        assert!(failure.the_hint().contains(origin), "{}", failure.text());
    }
    // A registry that lists no referrers, as a cache that does not pass them on.
    let matched = environment(EnvironmentFacts::default(), IMAGE);
    let mut evidence = absent(&matched, None);
    assert_eq!(may_hide(&matched, &evidence), None);
    for report in evidence.places.iter_mut().filter(|place| place.kind == PlaceKind::Referrers) {
        report.answer = PlaceAnswer::NoApi { detail: "404".into() };
    }
    let failure = refusal(&matched, &evidence);
    assert!(!loosens(&failure) && failure.the_hint().contains("lists no referrers"), "{failure}");
}

#[test]
fn a_rule_that_names_a_signer_is_not_loosened() {
    for rules in [
        "  - {name: r, scope: '*', trust: [acme]}\n",
        "  - {name: r, scope: 'quay.io/acme/**', trust: {all_of: [acme, other]}}\n",
    ] {
        let matched = by_file(rules, IMAGE);
        let failure = refusal(&matched, &absent(&matched, None));
        assert!(!loosens(&failure), "{}", failure.text());
        assert!(failure.the_hint().contains("have it signed by `acme`"), "{}", failure.text());
    }
}

#[test]
fn a_mistyped_place_is_named_by_what_says_it() {
    let facts = || EnvironmentFacts {
        repository: Some("quay.io/acme/sigs".into()),
        ..EnvironmentFacts::default()
    };
    let matched = environment(facts(), IMAGE);
    let hint = refusal(&matched, &absent(&matched, None)).the_hint();
    assert!(
        hint.contains("looked for in `quay.io/acme/sigs`, as COSIGN_REPOSITORY says"),
        "{hint}"
    );
    let rules = "  - {name: r, scope: '*', trust: [acme], signatures_from: [quay.io/acme/sigs]}\n";
    let matched = by_file(rules, IMAGE);
    let hint = refusal(&matched, &absent(&matched, None)).the_hint();
    assert!(hint.contains("`signatures_from` in rule `r`"), "{hint}");
}

const TAGS: &str = "
  - {name: hobby, scope: quay.io/acme/packages, tags: ['a-*', tree.tar.gz], unsigned: warn}
  - {name: signed, scope: 'quay.io/acme/**', tags: ['b-*'], trust: [acme]}
";

#[test]
fn a_rule_that_misses_by_its_tags_is_named() {
    let unmatched = |image: &str| {
        let matched = by_file(TAGS, image);
        match decide_without_looking(&matched) {
            Decision::Refused(failure) => failure,
            other => panic!("{other:?}"),
        }
    };
    let failure = unmatched(IMAGE);
    let details: Vec<String> = failure.details().collect();
    assert_eq!(
        details,
        [
            "rule `hobby` [policy.yaml line 8] covers the repository (`quay.io/acme/packages`), but its `tags` (`a-*`, `tree.tar.gz`) do not match `yip-1.0`",
            "rule `signed` [policy.yaml line 9] covers the repository (`quay.io/acme/**`), but its `tags` (`b-*`) do not match `yip-1.0`",
        ]
    );
    // The first lets unsigned images pass: it is not to be widened, and no scope without tags is
    // offered.
    let hint = failure.the_hint();
    assert!(!loosens(&failure) && !hint.contains("scope:"), "{hint}");
    assert!(hint.contains("none of those that rule `hobby` lets pass"), "{hint}");
    // A rule about signers may be widened.
    let failure = unmatched("quay.io/acme/other:c-1");
    assert!(failure.the_hint().contains("add `c-1` to its `tags`"), "{}", failure.text());
    // Where nothing is near, the hint names no scope either.
    let failure = unmatched("quay.io/other/x:1");
    assert!(!failure.the_hint().contains("scope:"), "{}", failure.text());

    // `policy explain` shows the same.
    let policy = load(&with_rules(TAGS));
    let explanation = explain(&policy, &reference(IMAGE), now());
    assert_eq!(explanation.near_misses, details);
    assert!(explanation.text().contains(&format!("not about this tag:\n  {}\n", details[0])));
    assert_eq!(explanation.json()["near_misses"][0], details[0].as_str());
    assert_eq!(
        explain(&policy, &reference("quay.io/acme/packages:b-1"), now()).near_misses.len(),
        1
    );

    // A rule for the rest says it as well, below its own reasons.
    let rest = format!("{TAGS}  - {{name: rest, scope: '*', trust: [acme]}}\n");
    let matched = by_file(&rest, IMAGE);
    let failure = refusal(&matched, &absent(&matched, None));
    assert!(failure.details().any(|line| line == details[0]), "{}", failure.text());
}

#[test]
fn a_second_tag_of_one_image_is_to_be_signed() {
    let claims = |repository: &str, tag: &str| SignerClaims {
        repository: repository.parse().ok(),
        tag: tag.parse().ok(),
        ..SignerClaims::default()
    };
    let rules = "  - {name: r, scope: '*', trust: [acme]}\n";
    for matched in [environment(EnvironmentFacts::default(), IMAGE), by_file(rules, IMAGE)] {
        let hint = |claims: &SignerClaims| {
            let signer = matched.authorities()[0].name.clone();
            let signature = signature_for(&signer, &ACME, &image_digest(), claims);
            refusal(&matched, &with_signatures(absent(&matched, None), vec![Ok(signature)]))
                .the_hint()
        };
        let tag = hint(&claims("quay.io/acme/packages", "yip-0.9"));
        assert!(tag.contains(&format!("`luet-cosign sign --key cosign.key {IMAGE}`")), "{tag}");
        assert!(!tag.contains("mirror"), "{tag}");
        let repository = hint(&claims("quay.io/acme/other", "yip-1.0"));
        assert!(
            repository.contains("mirrors: [[\"quay.io/acme/other\", \"quay.io/acme/packages\"]]")
                && !repository.contains("sign --key"),
            "{repository}"
        );
    }
}
