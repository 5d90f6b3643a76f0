//! `mirrors`: repositories that serve the same. A signature for one is for the others, under the
//! same tag; for nobody else.

use crate::support::{
    ACME, absent, errors, image_digest, load, load_at, now, reference, signature_for, warnings,
    with_rules, with_signatures, word,
};
use luet_cosign::name::Repository;
use luet_cosign::policy::{
    Decision, EnvironmentFacts, Matched, Policy, PolicyOrigin, SeenFact, decide, from_env,
};
use luet_cosign::wire::SignerClaims;

const MIRRORS: &str = "mirrors:\n  - [quay.io/acme/os, 'lan:5000/os', evil.example/os]\n  - [quay.io/acme/os, other.example/os]\n  - [unrelated.example/os, 'lan:5000/unrelated']\n";

fn policy(mirrors: &str, keys: &str) -> Policy {
    load(&format!(
        "{}{mirrors}",
        with_rules(&format!("  - {{name: r, scope: '*', trust: [acme]{keys}}}\n"))
    ))
}

fn outcome(matched: &Matched, repository: &str, tag: Option<&str>) -> &'static str {
    let claims = SignerClaims {
        repository: Some(repository.parse().unwrap()),
        tag: tag.map(|tag| tag.parse().unwrap()),
        ..SignerClaims::default()
    };
    let signer = matched.authorities()[0].name.clone();
    let signature = signature_for(&signer, &ACME, &image_digest(), &claims);
    word(&decide(matched, &with_signatures(absent(matched, None), vec![Ok(signature)])))
}

#[test]
fn a_mirror_takes_what_was_signed_for_another_under_the_same_tag() {
    for keys in ["", ", bind_tag: required"] {
        let matched = policy(MIRRORS, keys).matching(&reference("lan:5000/os:1"), now());
        for (repository, tag, expected) in [
            ("lan:5000/os", Some("1"), "verified"),
            ("quay.io/acme/os", Some("1"), "verified"),
            ("QUAY.io:443/acme/os", Some("1"), "verified"),
            ("evil.example/os", Some("1"), "verified"),
            // The tag stays bound.
            ("quay.io/acme/os", Some("2"), "binding"),
            ("lan:5000/os", Some("2"), "binding"),
            // Whatever else is near it.
            ("quay.io/acme/os/extra", Some("1"), "binding"),
            ("quay.io/acme", Some("1"), "binding"),
            ("quay.io/acme/os-evil", Some("1"), "binding"),
            ("quay.io:8443/acme/os", Some("1"), "binding"),
            // Another list, and the mirror of a mirror.
            ("unrelated.example/os", Some("1"), "binding"),
            ("other.example/os", Some("1"), "binding"),
        ] {
            assert_eq!(outcome(&matched, repository, tag), expected, "{repository} {tag:?} {keys}");
        }
    }
    // One that is in two lists has the mirrors of both.
    let matched = policy(MIRRORS, "").matching(&reference("quay.io/acme/os:1"), now());
    for repository in ["lan:5000/os", "other.example/os"] {
        assert_eq!(outcome(&matched, repository, Some("1")), "verified", "{repository}");
    }
    // A repository below a mirror, or with its name at its start, is none.
    for image in ["lan:5000/os/x:1", "lan:5000/os-evil:1", "lan:5001/os:1"] {
        let matched = policy(MIRRORS, "").matching(&reference(image), now());
        assert_eq!(outcome(&matched, "quay.io/acme/os", Some("1")), "binding", "{image}");
    }
}

#[test]
fn what_was_seen_at_one_mirror_counts_at_the_others() {
    let matched = policy(MIRRORS, ", unsigned: warn").matching(&reference("lan:5000/os:1"), now());
    let names: Vec<String> = matched.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["lan:5000/os", "quay.io/acme/os", "evil.example/os"]);
    let mut evidence = absent(&matched, None);
    assert_eq!(word(&decide(&matched, &evidence)), "allowed");
    evidence.memory.tag_verified =
        Some(SeenFact { signer: "acme".into(), digest: image_digest(), seconds: 0 });
    let Decision::Refused(failure) = decide(&matched, &evidence) else { panic!() };
    // Followed, the hint forgets it under every name.
    assert!(
        failure.the_hint().ends_with(
            "`luet-cosign seen forget quay.io/acme/os:1 evil.example/os:1 lan:5000/os:1`"
        ),
        "{}",
        failure.the_hint()
    );
}

#[test]
fn the_environment_has_the_mirrors_of_luet_and_prints_them() {
    let facts = EnvironmentFacts {
        key_location: Some("k".into()),
        mirrors: vec![vec!["quay.io/acme/os".into(), "lan:5000/os".into()]],
        ..EnvironmentFacts::default()
    };
    let text = from_env(&facts);
    assert!(text.contains("mirrors:\n  - [\"quay.io/acme/os\", \"lan:5000/os\"]\n"), "{text}");
    let (policy, _) =
        load_at(&text, PolicyOrigin::Environment { experimental: false }, now()).unwrap();
    let matched = policy.matching(&reference("lan:5000/os:1"), now());
    assert_eq!(outcome(&matched, "quay.io/acme/os", Some("1")), "verified");
    assert_eq!(outcome(&matched, "quay.io/acme/os", Some("2")), "binding");
    assert_eq!(outcome(&matched, "quay.io/acme/other", Some("1")), "binding");
}

#[test]
fn mirrors_that_luet_takes_for_one_and_the_policy_does_not_are_a_warning_ready_to_paste() {
    let set: Vec<Repository> =
        ["quay.io/acme/os", "lan:5000/os"].map(|name| name.parse().unwrap()).to_vec();
    let missing = |text: &str| load(text).missing_mirrors(std::slice::from_ref(&set), now());
    let rules =
        with_rules("  - {name: r, scope: [quay.io/acme/os, 'lan:5000/os'], trust: [acme]}\n");
    let found = missing(&rules);
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((problem.code, problem.line), ("missing-mirror", 7));
    // Followed word for word, nothing is left to say.
    let help = problem.help.clone().unwrap();
    let pasted = help.split('`').nth(1).unwrap_or_else(|| panic!("{help}"));
    assert_eq!(missing(&format!("{rules}{pasted}\n")), []);
    // `mirror_of` says it as well, and what compares nothing needs neither.
    for rules in [
        "  - {name: r, scope: quay.io/acme/os, trust: [acme]}\n  - {name: m, scope: 'lan:5000/os', mirror_of: quay.io/acme/os, trust: [acme]}\n",
        "  - {name: r, scope: '*', trust: [acme], bind_tag: 'off'}\n",
        "  - {name: r, scope: '*', trust: skip, reason: x}\n",
    ] {
        assert_eq!(missing(&with_rules(rules)), [], "{rules}");
    }
}

#[test]
fn mirrors_that_say_nothing_are_a_problem() {
    let with = |mirrors: &str| {
        format!(
            "{}mirrors: {mirrors}\n",
            with_rules("  - {name: r, scope: quay.io/a/b, trust: [acme]}\n")
        )
    };
    for (mirrors, expected) in [
        ("[[quay.io/a/b]]", vec![("mirror", 8)]),
        ("[[quay.io/a/b, QUAY.io/a/b]]", vec![("mirror", 8)]),
        ("[]", vec![("empty-list", 8)]),
        ("[[]]", vec![("empty-list", 8)]),
        ("[quay.io/a/b, quay.io/a/c]", vec![("type", 8), ("type", 8)]),
        ("[[quay.io/a/b, 'quay.io/a/*']]", vec![("repository", 8)]),
        ("[[quay.io/a/b, 'quay.io/a/c:tag']]", vec![("repository", 8)]),
        ("[[quay.io/a/b, 'lan/a/b']]", vec![]),
    ] {
        assert_eq!(errors(&with(mirrors)), expected, "{mirrors}");
    }
    assert_eq!(
        warnings(&with("[[quay.io/x/b, lan/x/b]]")),
        [("unused-signer", 5), ("no-effect", 8)]
    );
    // A rule about one of them that compares no signatures, or not what they are bound to, is none.
    for (rest, expected) in [
        ("trust: [acme]", vec![]),
        ("trust: [acme], bind_tag: 'off'", vec![("no-effect", 8)]),
        ("trust: skip, reason: x", vec![("no-effect", 8)]),
    ] {
        let rules = with_rules(&format!("  - {{name: r, scope: quay.io/a/b, {rest}}}\n"));
        let found = warnings(&format!("{rules}mirrors: [[quay.io/a/b, lan/a/b]]\n"));
        let found: Vec<_> = found.into_iter().filter(|(code, _)| *code == "no-effect").collect();
        assert_eq!(found, expected, "{rest}");
    }
}
