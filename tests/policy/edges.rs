//! Where a rule of the policy begins and ends: what `cargo mutants` showed that no other test
//! looked at.

use crate::support::{
    ACME, IMAGE, OTHER, absent, errors, file, image_digest, load, load_at, now, reference,
    signature, signature_for, warnings, with_rules, with_signatures, word,
};
use luet_cosign::class::{Class, Failure};
use luet_cosign::limits;
use luet_cosign::name::Digest;
use luet_cosign::policy::{
    Decision, Document, EnvironmentFacts, Evidence, ExpectedText, Matched, PlaceAnswer, PlaceKind,
    PlaceReport, Policy, PolicyOrigin, Provisional, SignatureReport, decide,
    decide_without_looking, explain, failure, from_env, lint_json,
};
use luet_cosign::wire::SignerClaims;
use std::collections::BTreeMap;

const HEAD: &str = "version: 1\ndefaults: {unmatched: deny}\n";

fn matched(rule: &str) -> Matched {
    load(&with_rules(&format!("  - {{name: r, scope: quay.io/acme/packages, {rule}}}\n")))
        .matching(&reference(IMAGE), now())
}

fn codes(text: &str) -> Vec<&'static str> {
    errors(text).into_iter().map(|(code, _)| code).collect()
}

/// What is verified, where `acme` and `other` claim these trees.
fn verified(trust: &str, trees: [Option<&str>; 2]) -> Provisional {
    let claims = trees.map(|tree| SignerClaims {
        tree: tree.map(|tree| Digest::of(tree.as_bytes())),
        ..SignerClaims::default()
    });
    let image = image_digest();
    let signatures = [
        signature_for("acme", &ACME, &image, &claims[0]),
        signature_for("other", &OTHER, &image, &claims[1]),
    ];
    let matched = matched(&format!("trust: {trust}"));
    let decision = decide(
        &matched,
        &with_signatures(absent(&matched, None), signatures.into_iter().map(Ok).collect()),
    );
    let Decision::Verified(provisional) = decision else { panic!("{decision:?}") };
    provisional
}

#[test]
fn what_is_verified_says_of_which_image_and_which_tree() {
    let tree = |trust: &str, trees| verified(trust, trees).tree();
    let (any, all) = ("[acme, other]", "{all_of: [acme, other]}");
    assert_eq!(verified(any, [None, None]).reference(), Some(&reference(IMAGE)));
    assert_eq!(verified(any, [None, None]).signed(), Some(&image_digest()));
    assert_eq!(tree(any, [None, None]), None);
    assert_eq!(tree(any, [Some("one"), None]), Some(Digest::of(b"one")));
    assert_eq!(tree(any, [Some("one"), Some("one")]), Some(Digest::of(b"one")));
    assert_eq!(tree(any, [Some("one"), Some("two")]), None, "they contradict each other");
    assert_eq!(tree(all, [Some("one"), Some("one")]), Some(Digest::of(b"one")));
    assert_eq!(tree(all, [Some("one"), None]), None, "one key alone does not say it");
    assert_eq!(tree(all, [Some("one"), Some("two")]), None);
}

#[test]
fn an_image_that_is_not_looked_at_was_signed_by_nobody() {
    let skipped = matched("trust: skip, reason: x");
    let Decision::Allowed(provisional) = decide_without_looking(&skipped) else { panic!() };
    assert_eq!(
        (provisional.signed(), provisional.tree(), provisional.signature()),
        (None, None, None)
    );
}

/// A place that answers for an image that nobody asked about must not be passed over where it could
/// not answer.
#[test]
fn the_failure_of_a_place_that_nobody_asked_refuses() {
    let matched = matched("unsigned: allow, reason: x");
    let mut evidence = absent(&matched, None);
    assert_eq!(word(&decide(&matched, &evidence)), "allowed");
    let answer = PlaceAnswer::Failed(Failure::new(Class::Net, "reset"));
    let (repository, subject) = (evidence.places[0].repository.clone(), Digest::of(b"another"));
    evidence.places.push(PlaceReport { kind: PlaceKind::SigTag, repository, subject, answer });
    assert_eq!(word(&decide(&matched, &evidence)), "net");
}

#[test]
fn a_signature_that_was_judged_in_another_place_does_not_count_here() {
    let matched = matched("unsigned: allow, reason: x");
    let report = |place, evidence: &Evidence| SignatureReport {
        place,
        repository: evidence.places[0].repository.clone(),
        subject: evidence.image.digest,
        format: "legacy".to_owned(),
        outcome: Err(Failure::new(Class::Identity, "a stranger")),
    };
    for (place, expected) in [(PlaceKind::SigTag, "allowed"), (PlaceKind::FallbackTag, "internal")]
    {
        let mut evidence = absent(&matched, None);
        assert_eq!(evidence.places[0].kind, PlaceKind::SigTag);
        evidence.places[0].answer = PlaceAnswer::There { count: 1 };
        let report = report(place, &evidence);
        evidence.signatures.push(report);
        assert_eq!(word(&decide(&matched, &evidence)), expected, "{place:?}");
    }
}

#[test]
fn an_entry_of_a_registry_is_useless_only_where_it_says_nothing() {
    for (entry, useless) in [
        ("http: true", false),
        ("ca: ca.pem", false),
        ("auth_hosts: [auth.lan]", false),
        ("http: false", true),
    ] {
        let found = warnings(&format!("{HEAD}registries: [{{host: a.example, {entry}}}]\n"));
        assert_eq!(found.contains(&("useless-registry", 3)), useless, "{entry}: {found:?}");
    }
}

#[test]
fn problems_are_counted_by_their_kind_and_capped() {
    let rules: String = (0..2 * limits::POLICY_PROBLEMS)
        .map(|at| format!("  - {{name: r{at}, scope: quay.io/a/r{at}}}\n"))
        .collect();
    assert_eq!(warnings(&with_rules(&rules)).len(), limits::POLICY_PROBLEMS);
    let text = with_rules("  - {name: r, scope: '*', unsigned: allow}\n");
    let problems = load_at(&text, file(), now()).unwrap_err();
    let lint = lint_json(&problems, &file());
    let (errors, warnings) = (lint["errors"].as_u64().unwrap(), lint["warnings"].as_u64().unwrap());
    assert_eq!((errors, errors + warnings), (1, u64::try_from(problems.len()).unwrap()));
    assert!(warnings > 0);
}

#[test]
fn names_and_texts_may_have_their_full_length() {
    let signer = |length: usize| {
        codes(&format!("{HEAD}signers:\n  {}: {{key: a.pub}}\n", "a".repeat(length)))
    };
    assert_eq!((signer(128), signer(129)), (vec![], vec!["name"]));
    let reason = |length: usize| {
        let rule = format!(
            "  - {{name: r, scope: quay.io/a/b, trust: skip, reason: {}}}\n",
            "a".repeat(length)
        );
        codes(&with_rules(&rule)).contains(&"too-large")
    };
    assert!(!reason(limits::POLICY_TEXT) && reason(limits::POLICY_TEXT + 1));
}

/// A value that the reader of YAML refused already is not told again as one of another type.
#[test]
fn what_is_refused_once_is_not_refused_twice() {
    for text in [
        "signers: !!str x",
        "skip_patterns: !!str x",
        "signers: {a: {key: !!str a.pub}}",
        "signers: {a: {key_env: !!str HOME}}",
        "registries: [{host: a.example, http: !!bool true}]",
    ] {
        assert_eq!(codes(&format!("{HEAD}{text}\n")), ["tag"], "{text}");
    }
    assert_eq!(codes(&format!("{HEAD}signers: {{a: {{key_env: &a HOME}}}}\n")), ["anchor"]);
}

#[test]
fn a_suggestion_is_near_and_costs_little() {
    let suggested = |signers: &[String], trust: &str| {
        let entries: String =
            signers.iter().map(|name| format!("  {name}: {{key: {name}.pub}}\n")).collect();
        let text = format!(
            "{HEAD}signers:\n{entries}repositories: [{{name: r, scope: quay.io/a/b, trust: [{trust}]}}]\n"
        );
        let problems = load_at(&text, file(), now()).unwrap_err();
        problems.iter().find(|problem| problem.code == "unknown-signer").unwrap().help.is_some()
    };
    let named = |length: usize| vec!["a".repeat(length)];
    assert!(suggested(&named(32), &("b".to_owned() + &"a".repeat(31))), "32 letters");
    assert!(!suggested(&named(33), &("b".to_owned() + &"a".repeat(32))), "33 letters");
    assert!(suggested(&named(34), &"a".repeat(32)), "a known word of 34");
    let many = |count: usize| (0..count).map(|at| format!("signer{at:03}")).collect::<Vec<_>>();
    assert!(suggested(&many(limits::POLICY_SUGGESTIONS), "signer0000"));
    assert!(!suggested(&many(limits::POLICY_SUGGESTIONS + 1), "signer0000"));
    assert!(!suggested(&["ab".to_owned()], "cd"), "of two letters one may differ");
    assert!(suggested(&["ab".to_owned()], "ac"));
}

#[test]
fn a_rule_that_has_ended_says_what_counts_no_more() {
    for (lax, what) in
        [("trust: skip", "trust: skip has expired"), ("unsigned: warn", "`unsigned` has expired")]
    {
        let text = with_rules(&format!(
            "  - {{name: r, scope: quay.io/a/b, tags: [x], {lax}, reason: x, until: 2026-11-19}}\n"
        ));
        let (_, warnings) = load_at(&text, file(), now()).unwrap();
        let ended = warnings.iter().find(|problem| problem.code == "ended").unwrap();
        assert!(ended.message.contains(what), "{}", ended.message);
    }
}

#[test]
fn a_key_of_the_environment_that_cannot_be_read_is_told_by_its_variable() {
    let text = from_env(&EnvironmentFacts {
        key_location: Some("k.pub".to_owned()),
        ..EnvironmentFacts::default()
    });
    let document = Document::parse(&text).unwrap();
    let unread = |name: &str| (name.to_owned(), Err(Failure::new(Class::Secret, "not PEM")));
    let keys: BTreeMap<_, _> =
        document.signers().iter().map(|signer| unread(&signer.name)).collect();
    let origin = PolicyOrigin::Environment { experimental: false };
    let problems = Policy::new(document, origin.clone(), keys, now()).unwrap_err();
    assert!(
        failure(&problems, &origin).message().starts_with("COSIGN_PUBLIC_KEY_LOCATION [key] "),
        "{problems:?}"
    );
}

#[test]
fn an_identity_of_the_environment_that_cannot_be_read_is_told_by_its_variable() {
    let wanted = |text: &str| Some(ExpectedText::Regexp(text.to_owned()));
    let facts = EnvironmentFacts {
        experimental: true,
        identity: wanted("("),
        issuer: wanted(".+"),
        ..EnvironmentFacts::default()
    };
    let origin = PolicyOrigin::Environment { experimental: true };
    let problems = load_at(&from_env(&facts), origin.clone(), now()).unwrap_err();
    assert!(
        failure(&problems, &origin)
            .message()
            .starts_with("COSIGN_CERTIFICATE_IDENTITY [identity] "),
        "{problems:?}"
    );
    let facts = EnvironmentFacts {
        identity: wanted("a@b.example"),
        issuer: wanted(".*"),
        ..EnvironmentFacts::default()
    };
    let (_, warnings) = load_at(&from_env(&facts), origin.clone(), now()).unwrap();
    let told: Vec<String> = warnings.iter().map(|warning| warning.text(&origin)).collect();
    assert!(told.iter().any(|text| text.contains("COSIGN_CERTIFICATE_OIDC_ISSUER")), "{told:?}");
}

#[test]
fn the_rank_of_a_rule_is_told_part_by_part() {
    let rank = |pair: &str, image: &str| {
        let policy = load(&with_rules(&format!("  - {{name: r, {pair}, trust: [acme]}}\n")));
        explain(&policy, &reference(image), now()).candidates[0].rank.join(", ")
    };
    assert_eq!(
        rank("scope: '*.a.example/x/*', tags: [y]", "b.a.example/x/z:y"),
        "host suffix of 10 characters, 1 literal segment, has `*`, exact tag"
    );
    assert_eq!(
        rank("scope: a.example/x, tags: ['y*']", "a.example/x:yz").rsplit(", ").next(),
        Some("tag pattern of 1 literal characters")
    );
}

#[test]
fn how_many_must_have_signed_is_told() {
    let head = with_rules("").replace("  other:", "  third: {key: third.pub}\n  other:");
    for (trust, told) in [
        ("[acme, other]", "any of "),
        ("{all_of: [acme, other]}", "all of "),
        ("{at_least: 2, of: [acme, other, third]}", "at least 2 of "),
    ] {
        let policy = load(&format!("{head}  - {{name: r, scope: '*', trust: {trust}}}\n"));
        let settings = explain(&policy, &reference(IMAGE), now()).settings;
        assert!(settings[0].value.starts_with(told), "{trust}: {}", settings[0].value);
    }
}

#[test]
fn an_explanation_has_no_heading_above_nothing() {
    let headings = |text: &str| {
        let text = explain(&load(text), &reference(IMAGE), now()).text();
        [text.contains("candidates, the most specific first:"), text.contains("settings:")]
    };
    assert_eq!(headings(HEAD), [false, false]);
    assert_eq!(headings(&with_rules("  - {name: r, scope: '*', trust: [acme]}\n")), [true, true]);
}

#[test]
fn a_signature_by_a_trusted_key_is_the_first_of_those_that_count() {
    let matched = matched("trust: [acme, other]");
    let signatures =
        [signature("other", &OTHER, &image_digest()), signature("acme", &ACME, &image_digest())];
    let evidence =
        with_signatures(absent(&matched, None), signatures.into_iter().map(Ok).collect());
    let Decision::Verified(provisional) = decide(&matched, &evidence) else { panic!() };
    assert_eq!(
        provisional.signature().map(luet_cosign::trust::VerifiedSignature::authority),
        Some("other")
    );
}

/// An index that one signed, and the image in it that another one signed.
#[test]
fn the_index_counts_before_the_image_in_it() {
    let child = Digest::of(b"child");
    let both = |trust: &str, index: &str, image: &str| {
        let matched = matched(&format!("trust: {trust}"));
        let of = |signer: &str, digest: &Digest| {
            Ok(signature(signer, if signer == "acme" { &ACME } else { &OTHER }, digest))
        };
        let signatures = index.split_whitespace().map(|signer| of(signer, &image_digest()));
        let signatures =
            signatures.chain(image.split_whitespace().map(|signer| of(signer, &child))).collect();
        match decide(&matched, &with_signatures(absent(&matched, Some(child)), signatures)) {
            Decision::Verified(provisional) => {
                let names = provisional
                    .signatures()
                    .map(|signature| signature.authority().to_owned())
                    .collect::<Vec<_>>()
                    .join(" ");
                (provisional.signed() == Some(&child), names)
            }
            _ => (false, String::new()),
        }
    };
    let found = |child: bool, names: &str| (child, names.to_owned());
    assert_eq!(both("[acme, other]", "acme", "other"), found(false, "acme"));
    assert_eq!(both("[acme, other]", "", "other"), found(true, "other"));
    assert_eq!(both("{all_of: [acme, other]}", "acme", "other"), found(true, "acme other"));
    assert_eq!(both("{all_of: [acme, other]}", "acme other", "other"), found(false, "acme other"));
    assert_eq!(both("{all_of: [acme, other]}", "acme", "acme"), found(false, ""));
}

fn refusal(matched: &Matched, evidence: &Evidence) -> Failure {
    let Decision::Refused(failure) = decide(matched, evidence) else { panic!() };
    failure
}

#[test]
fn a_refusal_says_what_the_rule_wants() {
    let failed = |rule: &str| {
        let matched = matched(rule);
        let mut evidence = absent(&matched, None);
        evidence.places[0].answer = PlaceAnswer::Failed(Failure::new(Class::Net, "reset"));
        refusal(&matched, &evidence).message().to_owned()
    };
    assert!(failed("unsigned: deny").contains("trusts no signer and denies unsigned images"));
    assert!(
        failed("unsigned: allow, reason: x")
            .contains("lets pass only what is proven to be unsigned")
    );
}

#[test]
fn the_hint_is_one_that_helps() {
    let unsigned = |rule: &str| {
        let matched = matched(rule);
        refusal(&matched, &absent(&matched, None)).the_hint().to_owned()
    };
    assert!(
        unsigned("trust: [acme], unsigned: warn, until: 2026-11-19")
            .contains("set another `until`")
    );
    assert!(unsigned("unsigned: deny").contains("add `unsigned: allow`"));
    assert!(unsigned("trust: [acme]").contains("have it signed by `acme`"));
    // `mirror_of` helps where a good signature is for another name, and not where there is none.
    let elsewhere = SignerClaims {
        repository: Some("quay.io/other/x".parse().unwrap()),
        ..SignerClaims::default()
    };
    let held = || Ok(signature_for("acme", &ACME, &image_digest(), &elsewhere));
    let binding = || Err(Failure::new(Class::Binding, "about another image"));
    let file = matched("trust: [acme]");
    let facts =
        EnvironmentFacts { key_location: Some("k".to_owned()), ..EnvironmentFacts::default() };
    let (policy, _) =
        load_at(&from_env(&facts), PolicyOrigin::Environment { experimental: false }, now())
            .unwrap();
    let environment = policy.matching(&reference(IMAGE), now());
    let signer = environment.authorities()[0].name.clone();
    let own = || Ok(signature_for(&signer, &ACME, &image_digest(), &elsewhere));
    for (matched, outcome, helps) in [
        (&file, held(), true),
        (&file, binding(), false),
        (&environment, own(), true),
        (&environment, binding(), false),
    ] {
        let failure = refusal(matched, &with_signatures(absent(matched, None), vec![outcome]));
        assert_eq!(
            (failure.class(), failure.the_hint().contains("mirror_of")),
            (Class::Binding, helps),
            "{failure}"
        );
    }
}

#[test]
fn limits_of_lists_are_the_last_number_that_is_read() {
    let patterns =
        |count: usize| codes(&format!("{HEAD}skip_patterns: [{}]\n", "x, ".repeat(count)));
    assert_eq!(
        (patterns(limits::SKIP_PATTERNS), patterns(limits::SKIP_PATTERNS + 1)),
        (vec![], vec!["too-large"])
    );
    let pattern =
        |length: usize| codes(&format!("{HEAD}skip_patterns: ['{}']\n", "a".repeat(length)));
    assert_eq!(
        (pattern(limits::SKIP_PATTERN_BYTES), pattern(limits::SKIP_PATTERN_BYTES + 1)),
        (vec![], vec!["too-large"])
    );
    let pairs = |count: usize| {
        let rules: String = (0..count)
            .map(|at| format!("  - {{name: r{at}, scope: quay.io/a/r{at}, trust: [acme]}}\n"))
            .collect();
        codes(&with_rules(&rules))
    };
    assert_eq!(
        (pairs(limits::POLICY_PAIRS), pairs(limits::POLICY_PAIRS + 1)),
        (vec![], vec!["too-large"])
    );
}

#[test]
fn a_tie_is_told_with_both_pairs() {
    let rule = |name: &str| {
        format!("  - {{name: {name}, scope: quay.io/a/b, tags: [x], trust: [acme]}}\n")
    };
    let problems = load_at(&with_rules(&(rule("one") + &rule("two"))), file(), now()).unwrap_err();
    assert_eq!(
        problems[0].message.matches("`quay.io/a/b` with tag `x`").count(),
        2,
        "{}",
        problems[0].message
    );
}

#[test]
fn what_a_log_has_to_do_with_a_signer_fits_its_kind() {
    let keyless = "keyless: {issuer: I, subject: S}";
    for (signer, found) in [
        (format!("{keyless}, tlog: required"), vec![]),
        (format!("{keyless}, tlog: optional"), vec!["conflict"]),
        (format!("{keyless}, trusted_root: r.json"), vec![]),
        ("key: a.pub, tlog: optional".to_owned(), vec![]),
        ("key: a.pub, tlog: required, trusted_root: r.json".to_owned(), vec![]),
        ("key: a.pub, trusted_root: r.json".to_owned(), vec!["conflict"]),
    ] {
        assert_eq!(codes(&format!("{HEAD}signers: {{a: {{{signer}}}}}\n")), found, "{signer}");
    }
}

#[test]
fn an_identity_that_lets_in_nearly_everybody_is_a_warning() {
    let found = |identity: &str| {
        let text = format!(
            "{HEAD}signers: {{a: {{keyless: {{{identity}}}}}}}\nrepositories: [{{name: r, scope: a.example, trust: [a]}}]\n"
        );
        warnings(&text)
            .into_iter()
            .map(|(code, _)| code)
            .filter(|code| code.starts_with("wide-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(found("issuer: I, subject: S"), [""; 0]);
    assert_eq!(found("issuer: I, subject_regexp: '.*'"), ["wide-identity"]);
    assert_eq!(found("issuer: I, subject_regexp: '.*@acme\\.example'"), [""; 0]);
    assert_eq!(found("issuer_regexp: '.*', subject: S"), ["wide-issuer"]);
    assert_eq!(found("issuer_regexp: 'https://(a|b)\\.example', subject: S"), [""; 0]);
}

#[test]
fn a_reusable_workflow_of_someone_else_without_who_calls_it_is_a_warning() {
    let found = |identity: &str, scope: &str| {
        let text = format!(
            "{HEAD}signers: {{a: {{{identity}}}}}\nrepositories: [{{name: r, scope: {scope}, trust: [a]}}]\n"
        );
        warnings(&text).into_iter().any(|(code, _)| code == "reusable-workflow")
    };
    let subject = |key: &str, text: &str| format!("keyless: {{issuer: I, {key}: '{text}'}}");
    let shared = "https://github.com/shared/builder/.github/workflows/build.yml@refs/tags/v1";
    let ours = "https://github.com/Acme/ci/.github/workflows/build.yml@refs/tags/v1";
    let slsa = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/g.yml@v";
    for (key, text, scope, warned) in [
        ("subject", shared, "ghcr.io/acme/**", true),
        ("subject", shared, "quay.io/acme/packages", true),
        ("subject_prefix", "https://github.com/shared/", "quay.io/acme/packages", true),
        ("subject_regexp", "^https://github\\.com/shared/.*", "quay.io/acme/packages", true),
        ("subject_pattern", "https://github.com/shared/*", "quay.io/acme/packages", true),
        ("subject", ours, "ghcr.io/acme/**", false),
        ("subject_prefix", "https://github.com/acme/", "quay.io/x/acme/packages", false),
        ("subject", "dev@acme.example", "quay.io/other/packages", false),
        // Nothing says whose the images are: only what is known to be there for everybody.
        ("subject", shared, "'*'", false),
        ("subject", shared, "quay.io/**", false),
        ("subject", slsa, "'*'", true),
        ("subject", &shared.replace("build", "reusable-build"), "'*'", true),
    ] {
        assert_eq!(found(&subject(key, text), scope), warned, "{key} {text} {scope}");
    }
    let named = "github: {repo: acme/pkgs, workflow_repo: shared/builder}";
    assert!(!found(named, "quay.io/acme/packages"));
    let mirror = "registry.lan/x, mirror_of: ghcr.io/shared/y";
    assert!(!found(&subject("subject", shared), mirror));
}

#[test]
fn a_repository_of_github_is_an_owner_and_a_name() {
    let repository = |text: &str| {
        let found = codes(&format!("{HEAD}signers: {{a: {{github: {{repo: '{text}'}}}}}}\n"));
        let of_a_workflow = format!("{{repo: a/b, workflow_repo: '{text}'}}");
        let again = codes(&format!("{HEAD}signers: {{a: {{github: {of_a_workflow}}}}}\n"));
        assert_eq!(found, again, "{text}");
        found
    };
    assert_eq!(repository("acme/a_b.c-d"), [""; 0]);
    for text in ["acme", "acme/", "/a", "acme/a/b", "ac me/a", "acme/*"] {
        assert_eq!(repository(text), ["value"], "{text}");
    }
}

/// What got in the way of one signature is said only where that is why the image is refused.
#[test]
fn the_hint_of_a_signature_belongs_to_the_reason() {
    let matched = matched("trust: [acme]");
    let hint = |outcomes: Vec<Failure>| {
        let evidence =
            with_signatures(absent(&matched, None), outcomes.into_iter().map(Err).collect());
        refusal(&matched, &evidence).the_hint().to_owned()
    };
    let with_hint = |class: Class, hint: &str| Failure::new(class, "x").hint(hint);
    assert!(hint(vec![with_hint(Class::Identity, "name them")]).contains("name them"));
    assert!(hint(vec![with_hint(Class::Time, "set the clock")]).contains("set the clock"));
    let both = hint(vec![
        with_hint(Class::Identity, "name them"),
        with_hint(Class::Time, "set the clock"),
    ]);
    assert!(both.contains("set the clock") && !both.contains("name them"), "{both}");
    let strangers =
        hint(vec![with_hint(Class::Unsupported, "update"), Failure::new(Class::Malformed, "x")]);
    assert!(!strangers.contains("update"), "{strangers}");
}

#[test]
fn a_document_may_have_its_full_size_number_and_depth() {
    let padded = |length: u64| {
        format!("{HEAD}#{}", "x".repeat(usize::try_from(length).unwrap() - HEAD.len() - 1))
    };
    assert_eq!(
        (codes(&padded(limits::POLICY_BYTES)), codes(&padded(limits::POLICY_BYTES + 1))),
        (vec![], vec!["too-large"])
    );
    // Nine values stand outside of the list.
    let values = |count: usize| codes(&format!("{HEAD}x: [{}]\n", "a, ".repeat(count - 9)));
    assert_eq!(
        (values(limits::POLICY_NODES), values(limits::POLICY_NODES + 1)),
        (vec!["unknown-key"], vec!["too-large"])
    );
    // The document is the first level.
    let lists = |depth: usize| "[".repeat(depth - 1) + &"]".repeat(depth - 1);
    let value = |depth: usize| codes(&format!("{HEAD}x: {}\n", lists(depth)));
    assert_eq!(
        (value(limits::DEPTH), value(limits::DEPTH + 1)),
        (vec!["unknown-key"], vec!["too-deep"])
    );
    let key = |depth: usize| codes(&format!("{HEAD}? {}\n: x\n", lists(depth)));
    assert_eq!((key(limits::DEPTH), key(limits::DEPTH + 1)), (vec!["type"], vec!["too-deep"]));
}

#[test]
fn what_cannot_be_read_is_told_where_it_stands() {
    for (text, at) in [("version: 1\nab\u{1b}\n", (2, 3)), ("version: 1\nx: *a\n", (2, 4))] {
        let problems = Document::parse(text).unwrap_err();
        assert_eq!((problems[0].line, problems[0].column), at, "{text:?}");
    }
}

#[test]
fn a_rule_is_beaten_only_by_one_that_takes_all_of_its_own() {
    let beaten = |first: &str, second: &str| {
        let rule = |name: &str, pair: &str| {
            format!("  - {{name: {name}, trust: [acme, other], {pair}}}\n")
        };
        warnings(&with_rules(&(rule("one", first) + &rule("two", second))))
            .contains(&("never-matches", 7))
    };
    assert!(beaten("scope: quay.io/a/b", "scope: quay.io/a/b, tags: ['*']"));
    assert!(!beaten("scope: quay.io/a/b", "scope: quay.io/a/b, tags: [x]"));
    assert!(!beaten("scope: quay.io/a/b", "scope: quay.io/a/c, tags: ['*']"));
    assert!(!beaten("scope: quay.io/a/b, tags: [x]", "scope: quay.io/a/b, tags: ['*']"));
    assert!(!beaten("scope: [quay.io/a/b, quay.io/a/c]", "scope: quay.io/a/b, tags: ['*']"));
}
