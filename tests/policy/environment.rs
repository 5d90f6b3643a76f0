//! The environment as a policy (docs/threats.md P08).

use crate::support::{
    ACME, absent, image_digest, load_at, now, reference, signature, with_signatures, word,
};
use luet_cosign::class::{Class, Failure, printable};
use luet_cosign::policy::{
    Applies, Decision, Document, EnvironmentFacts, ExpectedText, Grounds, Mode, Policy,
    PolicyOrigin, PostUnpack, Trust, decide, decide_local_files, decide_without_looking, failure,
    from_env,
};
use std::collections::BTreeMap;

fn environment(experimental: bool) -> PolicyOrigin {
    PolicyOrigin::Environment { experimental }
}

fn load(facts: &EnvironmentFacts) -> Policy {
    let text = from_env(facts);
    load_at(&text, environment(facts.experimental), now())
        .unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
        .0
}

fn key() -> EnvironmentFacts {
    EnvironmentFacts {
        key_location: Some("/etc/key.pub".to_owned()),
        ..EnvironmentFacts::default()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

#[test]
fn nothing_set_refuses_with_the_old_words() {
    let policy = load(&EnvironmentFacts::default());
    let Decision::Refused(failure) =
        decide_without_looking(&policy.matching(&reference("quay.io/a/b:c"), now()))
    else {
        panic!()
    };
    assert!(
        failure.message().contains("missing cosign env vars COSIGN_PUBLIC_KEY_LOCATION"),
        "{failure}"
    );
    // Nobody looked, so nothing is said about letting it pass.
    assert!(!failure.the_hint().contains("LUET_COSIGN_ALLOW_UNSIGNED"), "{}", failure.the_hint());
}

#[test]
fn a_key_is_trusted_for_everything_and_wants_a_signature() {
    let policy = load(&key());
    let matched = policy.matching(&reference("quay.io/a/b:c"), now());
    let Applies::Rule(effective) = matched.applies() else { panic!() };
    assert_eq!(
        (effective.rule.as_str(), effective.place.as_str()),
        ("environment", "COSIGN_PUBLIC_KEY_LOCATION")
    );
    assert_eq!((matched.authorities().len(), effective.unsigned), (1, Mode::Deny));
    let Decision::Refused(failure) = decide(&matched, &absent(&matched, None)) else { panic!() };
    assert_eq!(failure.class(), Class::Unsigned);
    assert!(
        failure.the_hint().contains("LUET_COSIGN_ALLOW_UNSIGNED=quay.io/a/b"),
        "{}",
        failure.the_hint()
    );
    assert_eq!(word(&decide_local_files(&policy, now())), "policy");
}

/// Whose certificates count for an image.
fn identities(facts: &EnvironmentFacts, image: &str) -> Vec<String> {
    let matched = load(facts).matching(&reference(image), now());
    matched
        .authorities()
        .iter()
        .filter_map(|authority| Some(authority.identity()?.to_string()))
        .collect()
}

#[test]
fn keyless_without_an_identity_is_the_owner_of_the_name_or_nobody() {
    let keyless = EnvironmentFacts { experimental: true, ..EnvironmentFacts::default() };
    assert_eq!(
        identities(&keyless, "ghcr.io/Acme/b:c".to_lowercase().as_str()),
        ["a workflow of `https://github.com/acme`"]
    );
    assert_eq!(
        identities(&keyless, "registry.gitlab.com/acme/b/c:d"),
        ["a workflow of `https://gitlab.com/acme`"]
    );
    assert_eq!(identities(&keyless, "quay.io/a/b:c"), ["no signer: no identity is given"]);
    assert_eq!(
        identities(&keyless, "ghcr.io.example/acme/b:c"),
        ["no signer: no identity is given"]
    );
    let any = EnvironmentFacts { any_identity: true, ..keyless.clone() };
    assert_eq!(identities(&any, "quay.io/a/b:c"), ["the first signer"]);
    let allowed = EnvironmentFacts { allow_unsigned: words("quay.io/a/b"), ..keyless };
    assert!(load(&allowed).matching(&reference("quay.io/a/b:c"), now()).looks());
}

#[test]
fn keyless_beside_a_key_counts_only_with_an_identity() {
    let both = EnvironmentFacts { experimental: true, any_identity: true, ..key() };
    let matched = load(&both).matching(&reference("ghcr.io/a/b:c"), now());
    assert_eq!((matched.authorities().len(), identities(&both, "ghcr.io/a/b:c").len()), (1, 0));
    let named = EnvironmentFacts {
        identity: Some(ExpectedText::Exactly("me@acme.example".to_owned())),
        issuer: Some(ExpectedText::Regexp("https://(a|b)\\.example".to_owned())),
        ..key()
    };
    assert_eq!(
        identities(&named, "quay.io/a/b:c"),
        ["`me@acme.example` (issuer what `https://(a|b)\\.example` matches)"]
    );
    assert_eq!(load(&named).matching(&reference("quay.io/a/b:c"), now()).authorities().len(), 2);
}

#[test]
fn an_identity_without_an_issuer_is_no_policy() {
    let identity = Some(ExpectedText::Exactly("me@acme.example".to_owned()));
    let facts = EnvironmentFacts { experimental: true, identity, ..EnvironmentFacts::default() };
    let problems = Document::parse(&from_env(&facts)).unwrap_err();
    assert_eq!(problems[0].code, "missing-key", "{problems:#?}");
}

#[test]
fn a_repository_of_signatures_is_for_every_rule() {
    let facts = EnvironmentFacts {
        repository: Some("quay.io/acme/signatures".to_owned()),
        allow_unsigned: words("quay.io/a/**"),
        ..key()
    };
    let policy = load(&facts);
    for image in ["quay.io/a/b:c", "quay.io/z/b:c"] {
        let repositories: Vec<String> = policy
            .matching(&reference(image), now())
            .repositories()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(repositories, ["quay.io/acme/signatures"], "{image}");
    }
}

#[test]
fn what_may_be_unsigned_trusts_nobody_warns_and_is_still_looked_at() {
    for facts in [key(), EnvironmentFacts::default()] {
        let facts = EnvironmentFacts {
            allow_unsigned: words("quay.io/hobby/** ghcr.io/x/y quay.io/hobby/**"),
            ..facts
        };
        let policy = load(&facts);
        let matched = policy.matching(&reference("quay.io/hobby/a/b:c"), now());
        let Applies::Rule(effective) = matched.applies() else { panic!() };
        assert_eq!(
            (effective.place.as_str(), &effective.authorities),
            ("LUET_COSIGN_ALLOW_UNSIGNED", &Trust::Nobody)
        );
        let provisional = decide(&matched, &absent(&matched, None)).into_result().unwrap();
        assert!(
            provisional.notices()[0].text.starts_with("warning: ")
                && provisional.notices()[0].text.contains("LUET_COSIGN_ALLOW_UNSIGNED")
        );
        let mut evidence = absent(&matched, None);
        evidence.places[0].answer =
            luet_cosign::policy::PlaceAnswer::Failed(Failure::new(Class::Auth, "401"));
        assert_eq!(word(&decide(&matched, &evidence)), "auth");
        assert_eq!(word(&decide_local_files(&policy, now())), "policy");
        assert!(
            !matches!(policy.matching(&reference("quay.io/hobby-evil/a:c"), now()).applies(), Applies::Rule(other) if other.authorities == Trust::Nobody)
        );
    }
}

#[test]
fn the_warning_about_replaced_packages_is_given_for_the_variable() {
    let facts = EnvironmentFacts { allow_unsigned: words("quay.io/hobby/**"), ..key() };
    let (_, warnings) = load_at(&from_env(&facts), environment(false), now()).unwrap();
    assert!(warnings.iter().any(|warning| warning.code == "replaces-others"), "{warnings:?}");
    let (_, warnings) = load_at(&from_env(&key()), environment(false), now()).unwrap();
    assert_eq!(warnings, []);
}

/// What a user expects of `*`: everything may be unsigned, and what is signed must still be by the
/// key.
#[test]
fn everything_may_be_unsigned_beside_a_key_but_not_signed_by_a_stranger() {
    for allow in ["*", "* quay.io/hobby/**", "quay.io/hobby/** * *"] {
        let facts = EnvironmentFacts { allow_unsigned: words(allow), ..key() };
        let policy = load(&facts);
        let matched = policy.matching(&reference("quay.io/a/b:c"), now());
        let Applies::Rule(effective) = matched.applies() else { panic!() };
        assert_eq!((effective.rule.as_str(), effective.unsigned), ("environment", Mode::Warn));
        assert_eq!(effective.place, "COSIGN_PUBLIC_KEY_LOCATION, LUET_COSIGN_ALLOW_UNSIGNED=*");
        assert_eq!(matched.authorities().len(), 1);
        let provisional = decide(&matched, &absent(&matched, None)).into_result().unwrap();
        assert!(
            provisional.notices()[0].text.starts_with("warning: "),
            "{:?}",
            provisional.notices()
        );
        let good = with_signatures(
            absent(&matched, None),
            vec![Ok(signature("environment", &ACME, &image_digest()))],
        );
        assert_eq!(word(&decide(&matched, &good)), "verified");
        for class in [Class::Identity, Class::Unsupported, Class::Malformed, Class::Net] {
            let stranger =
                with_signatures(absent(&matched, None), vec![Err(Failure::new(class, "made up"))]);
            assert_eq!(word(&decide(&matched, &stranger)), class.word());
        }
        // A repository that is named beside it trusts nobody, as without the `*`.
        let hobby = policy.matching(&reference("quay.io/hobby/a:x"), now());
        let expected = usize::from(allow == "*");
        assert_eq!(hobby.authorities().len(), expected, "{allow}");
        assert_eq!(word(&decide_local_files(&policy, now())), "policy");
        let (_, warnings) = load_at(&from_env(&facts), environment(false), now()).unwrap();
        let text = crate::support::lint_text(&warnings, &environment(false));
        assert!(
            text.contains("LUET_COSIGN_ALLOW_UNSIGNED [replaces-others]")
                && text.contains("newest version"),
            "{text}"
        );
    }
    // Without a key nobody is trusted, so strangers count for nothing.
    let policy =
        load(&EnvironmentFacts { allow_unsigned: words("*"), ..EnvironmentFacts::default() });
    let matched = policy.matching(&reference("quay.io/a/b:c"), now());
    let stranger = with_signatures(
        absent(&matched, None),
        vec![Err(Failure::new(Class::Identity, "made up"))],
    );
    assert_eq!(word(&decide(&matched, &stranger)), "allowed");
}

#[test]
fn how_the_unpacked_is_compared_is_a_word_or_an_error_that_names_the_variable() {
    assert_eq!(load(&key()).post_unpack(), PostUnpack::Auto);
    for (word, expected) in [
        ("auto", PostUnpack::Auto),
        ("tree", PostUnpack::Tree),
        ("layers", PostUnpack::Layers),
        ("off", PostUnpack::Off),
    ] {
        let facts = EnvironmentFacts { post_unpack: Some(word.to_owned()), ..key() };
        assert_eq!(load(&facts).post_unpack(), expected);
        let alone =
            EnvironmentFacts { post_unpack: Some(word.to_owned()), ..EnvironmentFacts::default() };
        assert_eq!(load(&alone).post_unpack(), expected);
    }
    let long = "x".repeat(10_000);
    for bad in [
        "",
        "Off",
        "no",
        "none",
        "false",
        " off",
        "off ",
        "off\nunmatched: allow",
        "\"",
        "auto # x",
        "\u{1b}[2J",
        long.as_str(),
    ] {
        let facts = EnvironmentFacts { post_unpack: Some(bad.to_owned()), ..key() };
        let problems = Document::parse(&from_env(&facts)).unwrap_err();
        let failure = failure(&problems, &environment(false));
        assert_eq!(failure.class(), Class::Policy);
        assert!(failure.message().starts_with("LUET_COSIGN_POST_UNPACK "), "{bad:?}: {failure}");
        assert!(!failure.message().contains('\x1b') && failure.message().len() < 5000, "{bad:?}");
    }
}

#[test]
fn local_files_are_allowed_by_their_literal_only() {
    let facts = EnvironmentFacts { allow_unsigned: words("file://**"), ..key() };
    let provisional = decide_local_files(&load(&facts), now()).into_result().unwrap();
    assert!(
        matches!(provisional.grounds(), Grounds::LocalFiles { rule } if rule.contains("LUET_COSIGN_ALLOW_UNSIGNED"))
    );
    for scope in ["file://*", "file:///**", "file://x", "FILE://**", "file:**"] {
        let facts = EnvironmentFacts { allow_unsigned: words(scope), ..key() };
        assert!(Document::parse(&from_env(&facts)).is_err(), "{scope}");
    }
}

#[test]
fn skip_words_are_whole_patterns_and_a_bad_one_is_an_error() {
    let facts = EnvironmentFacts { skip: words("quay\\.io/a/.* mudler/luet:.*"), ..key() };
    let policy = load(&facts);
    for (image, skipped) in [
        ("quay.io/a/b:c", true),
        ("mudler/luet:1", true),
        ("quay.io/ab/c:d", false),
        ("evil.example/quay.io/a/b:c", false),
    ] {
        let matched = policy.matching(&reference(image), now());
        assert_eq!(
            matches!(matched.applies(), Applies::Skipped { place, .. } if place == "COSIGN_SKIP"),
            skipped,
            "{image}"
        );
    }
    for bad in ["(", "*", ""] {
        let facts = EnvironmentFacts { skip: vec![bad.to_owned()], ..key() };
        assert!(Document::parse(&from_env(&facts)).is_err(), "{bad:?}");
    }
}

#[test]
fn http_is_spoken_only_to_the_registries_named() {
    let policy = load(&EnvironmentFacts {
        http_registries: words("registry.lan:5000 [fd00::1]:5000"),
        ..key()
    });
    let hosts: Vec<(&str, bool)> =
        policy.registries().iter().map(|entry| (entry.host.as_str(), entry.http)).collect();
    assert_eq!(hosts, [("registry.lan:5000", true), ("[fd00::1]:5000", true)]);
    assert_eq!(load(&key()).registries().len(), 0);
}

/// Values that a careless writer of YAML would turn into something else.
const NASTY: &[&str] = &[
    "quay.io/a/b",
    "no",
    "~",
    "*",
    "&a",
    "*a",
    "!x",
    "# x",
    "a # b",
    "a: b",
    "- a",
    "[a, b]",
    "{a: b}",
    "'",
    "\"",
    "''",
    "\\",
    "\\n",
    "a\"b\\c",
    "x\n  - {name: evil, scope: '*', trust: skip, reason: x}",
    "x\"]\nunmatched: allow\n#",
    "x', 'y",
    "a\tb",
    "a\0b",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "é",
    "\u{1f600}",
    "\u{202e}",
    "%YAML 1.1",
    "---",
    "...",
    "<<",
    "@x",
    "`x`",
    "|",
    ">",
    "? x",
    "${HOME}",
    "$(id)",
    " x ",
];

#[test]
fn no_value_becomes_another_value_or_a_key() {
    for value in NASTY {
        let one = || vec![(*value).to_owned()];
        let facts = EnvironmentFacts { allow_unsigned: one(), ..key() };
        match Document::parse(&from_env(&facts)) {
            Ok(document) => {
                let keys: BTreeMap<_, _> = document
                    .signers()
                    .iter()
                    .map(|signer| (signer.name.clone(), Ok(crate::support::ACME.public().clone())))
                    .collect();
                let (policy, _) = Policy::new(document, environment(false), keys, now()).unwrap();
                if *value == "*" {
                    assert_eq!(policy.rules().len(), 1);
                    continue;
                }
                let targets: Vec<String> = policy.rules()[1]
                    .targets
                    .iter()
                    .map(|(target, _)| target.to_string())
                    .collect();
                assert_eq!((policy.rules().len(), targets), (2, one()), "{value:?}");
            }
            Err(problems) => {
                let told = match problems[0].code {
                    "empty" => continue,
                    "character" => format!(
                        "the character {}",
                        value.chars().find(|c| c.is_control()).unwrap().escape_unicode()
                    ),
                    _ => printable(value),
                };
                assert_eq!(
                    problems.len()
                        - problems
                            .iter()
                            .filter(|problem| problem.severity
                                == luet_cosign::policy::Severity::Warning)
                            .count(),
                    1,
                    "{value:?}: {problems:?}"
                );
                assert!(problems[0].message.contains(&told), "{value:?}: {problems:?}");
            }
        }
        for facts in [
            EnvironmentFacts { repository: Some((*value).to_owned()), ..key() },
            EnvironmentFacts { skip: one(), ..key() },
            EnvironmentFacts { http_registries: one(), ..key() },
        ] {
            if let Err(problems) = Document::parse(&from_env(&facts)) {
                let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
                let expected = ["repository", "pattern", "host", "empty", "character"];
                assert!(
                    codes.iter().all(|code| expected.contains(code) || *code == "deprecated"),
                    "{value:?}: {codes:?}"
                );
            }
        }
        // The key's location is never written down: only the variable's name is.
        let text = from_env(&EnvironmentFacts {
            key_location: Some((*value).to_owned()),
            ..EnvironmentFacts::default()
        });
        assert_eq!(text, from_env(&key()));
    }
}

#[test]
fn a_pattern_comes_back_as_it_was_given() {
    for value in ["a\"b\\\\c", "[^:]+:é?x*", "'x'", "# x", "a b"] {
        let policy = load(&EnvironmentFacts { skip: vec![value.to_owned()], ..key() });
        assert!(policy.matching(&reference("quay.io/a/b:c"), now()).looks(), "{value}");
    }
    let policy =
        load(&EnvironmentFacts { skip: vec!["quay.io/\\x61/[b]{1}:\"?c".to_owned()], ..key() });
    let matched = policy.matching(&reference("quay.io/a/b:c"), now());
    assert!(
        matches!(matched.applies(), Applies::Skipped { pattern, .. } if pattern == "quay.io/\\x61/[b]{1}:\"?c")
    );
}

#[test]
fn a_bad_key_of_the_environment_is_a_secret_and_names_the_variable() {
    let document = Document::parse(&from_env(&key())).unwrap();
    let keys = BTreeMap::from([(
        "environment".to_owned(),
        Err(Failure::new(Class::Secret, "no such file")),
    )]);
    let problems = Policy::new(document, environment(false), keys, now()).unwrap_err();
    let failure = failure(&problems, &environment(false));
    assert_eq!(failure.class(), Class::Secret);
    assert!(
        failure.message().contains("COSIGN_PUBLIC_KEY_LOCATION")
            && failure.message().contains("no such file"),
        "{failure}"
    );
}

#[test]
fn a_bad_value_names_its_variable() {
    let one = |value: &str| vec![value.to_owned()];
    for (facts, variable) in [
        (
            EnvironmentFacts { allow_unsigned: one("quay.io"), ..key() },
            "LUET_COSIGN_ALLOW_UNSIGNED",
        ),
        (
            EnvironmentFacts { post_unpack: Some("on".to_owned()), ..key() },
            "LUET_COSIGN_POST_UNPACK",
        ),
        (
            EnvironmentFacts { repository: Some("quay.io/a:b".to_owned()), ..key() },
            "COSIGN_REPOSITORY",
        ),
        (EnvironmentFacts { skip: one("("), ..key() }, "COSIGN_SKIP"),
        (EnvironmentFacts { http_registries: one("a b"), ..key() }, "LUET_COSIGN_HTTP_REGISTRIES"),
    ] {
        let problems = Document::parse(&from_env(&facts)).unwrap_err();
        let failure = failure(&problems, &environment(false));
        assert!(failure.message().starts_with(variable), "{failure}");
    }
}

#[test]
fn what_two_variables_say_of_one_registry_is_one_entry() {
    let facts = EnvironmentFacts {
        http_registries: words("registry.lan:5000 other.lan:5000"),
        auth_hosts: vec![
            ("REGISTRY.lan:5000".to_owned(), "gitlab.lan:8443".to_owned()),
            ("registry.lan:5000".to_owned(), "second.lan".to_owned()),
            ("third.lan".to_owned(), "tokens.lan".to_owned()),
        ],
        ..key()
    };
    let policy = load(&facts);
    let registries: Vec<_> = policy
        .registries()
        .iter()
        .map(|entry| (entry.host.to_string(), entry.http, entry.auth_hosts.join(" ")))
        .collect();
    assert_eq!(
        registries,
        [
            ("other.lan:5000".to_owned(), true, String::new()),
            ("registry.lan:5000".to_owned(), true, "gitlab.lan:8443 second.lan".to_owned()),
            ("third.lan".to_owned(), false, "tokens.lan".to_owned()),
        ]
    );
}
