//! Documents that must not be read as something they are not (docs/threats.md P01 to P05).

use crate::support::{errors, file, load_at, now, problems, warnings, with_rules};
use luet_cosign::class::Class;
use luet_cosign::limits;
use luet_cosign::policy::{Document, Severity, SignerSource, failure};

const HEAD: &str = "version: 1\ndefaults: {unmatched: deny}\n";

fn codes(text: &str) -> Vec<(&'static str, usize, usize)> {
    match Document::parse(text) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            problems.iter().map(|problem| (problem.code, problem.line, problem.column)).collect()
        }
    }
}

#[test]
fn an_empty_policy_is_an_error_and_never_allows() {
    for text in ["", "\n", "# nothing\n", "---\n", "...\n"] {
        assert!(Document::parse(text).is_err(), "{text:?}");
    }
    assert_eq!(codes(""), [("empty", 1, 1)]);
    assert_eq!(codes("{}"), [("missing-key", 1, 1), ("missing-key", 1, 1)]);
    assert_eq!(codes("[]").first().map(|code| code.0), Some("type"));
    assert_eq!(codes("version: 1\ndefaults: {}\n"), [("missing-key", 2, 11)]);
    assert_eq!(codes("version: 1\ndefaults:\n"), [("type", 2, 9)]);
}

#[test]
fn every_problem_is_told_with_its_position() {
    let text = "version: 2\ndefaults: {unmatched: maybe, unsigned: frozen, unreachable: deny}\nsinger: {}\nsigners:\n  a: {key: a.pub, key: b.pub}\nrepositories:\n  - {name: r, scope: quay.io, tags: [], until: tomorrow}\n";
    assert_eq!(
        codes(text),
        [
            ("version", 1, 10),
            ("value", 2, 23),
            ("value", 2, 40),
            ("unknown-key", 2, 48),
            ("unknown-key", 3, 1),
            ("duplicate-key", 5, 19),
            ("scope", 7, 22),
            ("empty-list", 7, 37),
            ("date", 7, 48),
        ]
    );
    let problems = Document::parse(text).unwrap_err();
    let help = |line: usize, column: usize| {
        let found =
            problems.iter().find(|problem| (problem.line, problem.column) == (line, column));
        found.and_then(|problem| problem.help.clone()).unwrap_or_default()
    };
    assert_eq!(help(3, 1), "did you mean `signers`?");
    assert!(help(2, 48).starts_with("not in this version"), "{}", help(2, 48));
    assert!(help(2, 40).starts_with("not in this version"), "{}", help(2, 40));
}

#[test]
fn keys_of_other_versions_are_refused_and_named_as_such() {
    let cases = ["blocked: []", "audit: {}", "include: []", "exceptions: []", "locked: true"];
    for key in cases {
        let problems = Document::parse(&format!("{HEAD}{key}\n")).unwrap_err();
        assert_eq!((problems[0].code, problems[0].line), ("unknown-key", 3), "{key}");
        assert!(
            problems[0].help.as_deref().unwrap_or_default().starts_with("not in this version"),
            "{key}"
        );
    }
    for key in [
        "max_age: 30d",
        "mode: audit",
        "signed_name: match",
        "unsigned_lock: x",
        "attestations: []",
    ] {
        let text =
            with_rules(&format!("  - {{name: r, scope: quay.io/a/b, trust: [acme], {key}}}\n"));
        assert_eq!(errors(&text), [("unknown-key", 7)], "{key}");
    }
    for key in ["key_url: {}", "valid: {}", "fingerprint: x"] {
        let text = format!("{HEAD}signers:\n  a: {{key: a.pub, {key}}}\n");
        assert_eq!(
            codes(&text).first().map(|code| (code.0, code.1)),
            Some(("unknown-key", 4)),
            "{key}"
        );
    }
}

#[test]
fn what_makes_yaml_ambiguous_is_refused() {
    for (text, code) in [
        ("version: 1\nversion: 1\n", "duplicate-key"),
        ("version: 1\n\"version\": 1\n", "duplicate-key"),
        ("version: 1\n? version\n: 1\n", "duplicate-key"),
        ("version: &a 1\n", "anchor"),
        ("version: 1\ndefaults: &a {unmatched: deny}\nsigners: *a\n", "alias"),
        ("version: *a\n", "syntax"),
        ("version: 1\ndefaults: {<<: {unmatched: allow}, unmatched: deny}\n", "merge-key"),
        ("version: !!int 1\n", "tag"),
        ("version: ! 1\n", "tag"),
        ("!x\nversion: 1\n", "tag"),
        ("%YAML 1.1\n---\nversion: 1\n", "syntax"),
        ("%TAG ! x\n---\nversion: 1\n", "syntax"),
        ("version: 1\n---\nversion: 1\n", "second-document"),
        ("version: 1\n...\nversion: 1\n", "second-document"),
        ("\u{feff}version: 1\n", "character"),
        ("version: 1\0\n", "character"),
        ("version: 1\u{1b}\n", "character"),
        ("version: 1 # a\rb: 2\n", "character"),
        ("version: 1\n\tdefaults: x\n", "syntax"),
        ("version: [1\n", "syntax"),
        ("? [a]\n: 1\n", "type"),
        ("version: 1\n  x: 2\n", "syntax"),
    ] {
        assert!(codes(text).iter().any(|found| found.0 == code), "{text:?}: {:?}", codes(text));
    }
}

#[test]
fn words_that_yaml_once_took_for_values_are_text() {
    let rule = |name: &str| {
        with_rules(&format!("  - {{name: {name}, scope: quay.io/a/b, trust: [acme]}}\n"))
    };
    for name in [
        "no",
        "on",
        "off",
        "yes",
        "true",
        "0o17",
        "0x1F",
        "1e3",
        "1_000",
        ".inf",
        "2027-01-01",
        "12:30:45",
        "=",
        "010",
    ] {
        let document =
            Document::parse(&rule(name)).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        let policy = crate::support::load(&rule(name));
        assert_eq!(policy.rules()[0].name, name);
        drop(document);
    }
    for name in ["", "~", "null", "''", "\"\""] {
        assert_eq!(errors(&rule(name)), [("empty", 7)], "{name}");
    }
    for version in ["1.0", "01", "0x1", "\"1\"", "'1'", "+1", "one", "[1]", "~", "true"] {
        assert_eq!(
            codes(&format!("version: {version}\ndefaults: {{unmatched: deny}}\n"))[0].0,
            "version",
            "{version}"
        );
    }
    for http in ["yes", "on", "True", "TRUE", "1", "\"true\"", "~", "[true]", "y"] {
        let text = format!("{HEAD}registries: [{{host: \"a.example:5000\", http: {http}}}]\n");
        assert_eq!(codes(&text)[0].0, "value", "{http}");
    }
    for mode in ["no", "off", "false", "Deny", "DENY", "~", "[deny]"] {
        assert!(
            Document::parse(&format!("version: 1\ndefaults: {{unmatched: {mode}}}\n")).is_err(),
            "{mode}"
        );
    }
    let dates = [
        "2027-13-01",
        "2027-02-30",
        "20270331",
        "2027-3-31",
        "2027-03-31T00:00:00",
        "+002027-03-31",
        "2027-03-31 ",
        "tomorrow",
        "2027",
    ];
    for date in dates {
        let text = with_rules(&format!(
            "  - {{name: r, scope: quay.io/a/b, trust: [acme], unsigned: warn, until: \"{date}\"}}\n"
        ));
        assert_eq!(errors(&text), [("date", 7)], "{date}");
    }
}

#[test]
fn wrong_types_are_told_where_they_stand() {
    for (text, code) in [
        ("signers: [a]", "type"),
        ("signers: {}", "empty-list"),
        ("signers: {a: a.pub}", "type"),
        ("signers: {a: {}}", "missing-key"),
        ("signers: {a: {key: [x]}}", "type"),
        ("signers: {a: {key: ''}}", "empty"),
        ("signers: {a: {key: a.pub, key_env: COSIGN_PUBLIC_KEY_LOCATION}}", "conflict"),
        ("signers: {a: {key_env: HOME}}", "value"),
        ("signers: {a: {key: 'https://x.example/k.pub'}}", "value"),
        ("signers: {a: {key: 'env://K'}}", "value"),
        ("signers: {skip: {key: a.pub}}", "name"),
        ("signers: {'a b': {key: a.pub}}", "name"),
        ("signers: {\"a\\nb\": {key: a.pub}}", "name"),
        ("signers: {'': {key: a.pub}}", "name"),
        ("repositories: {}", "type"),
        ("repositories: []", "empty-list"),
        ("repositories: [x]", "type"),
        ("registries: []", "empty-list"),
        ("registries: [{http: true}]", "missing-key"),
        ("registries: [{host: 'a b', http: true}]", "host"),
        ("registries: [{host: a.example, ca: x, auth_hosts: []}]", "empty-list"),
        ("registries: [{host: a.example, http: true, ca: x}]", "conflict"),
        (
            "registries: [{host: a.example, ca: x}, {host: 'A.example:443', ca: y}]",
            "duplicate-registry",
        ),
        ("skip_patterns: []", "empty-list"),
        ("skip_patterns: x", "type"),
        ("skip_patterns: ['']", "empty"),
        ("skip_patterns: [[x]]", "type"),
    ] {
        assert_eq!(
            codes(&format!("{HEAD}{text}\n")).first().map(|found| (found.0, found.1)),
            Some((code, 3)),
            "{text}"
        );
    }
    for (rule, code) in [
        ("scope: quay.io/a/b, trust: [acme]", "missing-key"),
        ("name: r, trust: [acme]", "missing-key"),
        ("name: r, scope: [], trust: [acme]", "empty-list"),
        ("name: r, scope: {a: b}, trust: [acme]", "type"),
        ("name: r, scope: ghcr.io, trust: [acme]", "scope"),
        ("name: r, scope: ghcr.io/acme*, trust: [acme]", "scope"),
        ("name: r, scope: 'ghcr.io/**/x', trust: [acme]", "scope"),
        ("name: r, scope: 'file://x', trust: skip, reason: x", "scope"),
        ("name: r, scope: ghcr.io/a/b, tags: x, trust: [acme]", "type"),
        ("name: r, scope: ghcr.io/a/b, tags: ['a b'], trust: [acme]", "tag"),
        ("name: r, scope: ghcr.io/a/b, trust: []", "empty-list"),
        ("name: r, scope: ghcr.io/a/b, trust: acme", "value"),
        ("name: r, scope: ghcr.io/a/b, trust: ~", "type"),
        ("name: r, scope: ghcr.io/a/b, trust: [nobody]", "unknown-signer"),
        ("name: r, scope: ghcr.io/a/b, trust: [acme], signatures_from: []", "empty-list"),
        (
            "name: r, scope: ghcr.io/a/b, trust: [acme], signatures_from: ['ghcr.io/a:b']",
            "repository",
        ),
        ("name: r, scope: ghcr.io/a/b, trust: [acme], signatures_from: ghcr.io/a/s", "type"),
        ("name: r, scope: ghcr.io/a/b, trust: skip", "missing-reason"),
        ("name: r, scope: ghcr.io/a/b, trust: [acme], unsigned: allow", "missing-reason"),
        ("name: r, scope: ghcr.io/a/b, trust: skip, unsigned: deny, reason: x", "conflict"),
        ("name: r, scope: ghcr.io/a/b, trust: skip, unsigned: warn, reason: x", "conflict"),
        (
            "name: r, scope: ghcr.io/a/b, trust: skip, signatures_from: [ghcr.io/a/s], reason: x",
            "conflict",
        ),
        ("name: r, scope: 'file://**', trust: [acme]", "conflict"),
        ("name: r, scope: 'file://**', trust: skip, tags: [a], reason: x", "conflict"),
        ("name: r, scope: 'file://**', unsigned: allow, reason: x", "conflict"),
        ("name: r, scope: ghcr.io/a/b, trust: [acme], reason: \"a\\nb\"", "character"),
    ] {
        let found = errors(&with_rules(&format!("  - {{{rule}}}\n")));
        assert_eq!(found.first(), Some(&(code, 7)), "{rule}: {found:?}");
    }
}

#[test]
fn rules_that_tie_are_an_error_that_names_both_lines() {
    let tie = |first: &str, second: &str| {
        let rule =
            |name: &str, pair: &str| format!("  - {{name: {name}, trust: [acme], {pair}}}\n");
        errors(&with_rules(&(rule("one", first) + &rule("two", second))))
    };
    for (first, second, ties) in [
        ("scope: quay.io/a/b", "scope: quay.io/a/b", true),
        ("scope: quay.io/a/b", "scope: 'QUAY.IO:443/a/b'", true),
        ("scope: docker.io/alpine", "scope: index.docker.io/library/alpine", true),
        ("scope: quay.io/*/b", "scope: quay.io/a/*", true),
        ("scope: quay.io/*/b", "scope: quay.io/a/c", false),
        ("scope: quay.io/a/*", "scope: quay.io/b/*", false),
        ("scope: quay.io/a/*", "scope: quay.io/a/**", false),
        ("scope: quay.io/a/b", "scope: quay.io/a/b, tags: [x]", false),
        ("scope: quay.io/a/b, tags: [x]", "scope: quay.io/a/b, tags: [y]", false),
        ("scope: quay.io/a/b, tags: [x, y]", "scope: quay.io/a/b, tags: [z, x]", true),
        ("scope: quay.io/a/b, tags: ['a*']", "scope: quay.io/a/b, tags: ['*b']", true),
        ("scope: quay.io/a/b, tags: ['a*']", "scope: quay.io/a/b, tags: ['b*']", false),
        ("scope: quay.io/a/b, tags: ['a*']", "scope: quay.io/a/b, tags: [a]", false),
        ("scope: [quay.io/x/y, quay.io/a/b]", "scope: [quay.io/c/d, quay.io/a/b]", true),
        ("scope: '*.a.example/**'", "scope: '*.b.example/**'", false),
        ("scope: '*'", "scope: '*'", true),
    ] {
        assert_eq!(
            tie(first, second),
            if ties { vec![("tie", 8)] } else { vec![] },
            "{first} / {second}"
        );
    }
    let text = with_rules(
        "  - {name: one, scope: quay.io/a/b, trust: [acme]}\n  - {name: two, scope: quay.io/a/b, trust: [other]}\n",
    );
    let problems =
        crate::support::load_at(&text, crate::support::file(), crate::support::now()).unwrap_err();
    assert!(
        problems[0].message.contains("`two`") && problems[0].message.contains("`one` on line 7"),
        "{}",
        problems[0].message
    );
    let local = "  - {name: one, scope: 'file://**', trust: skip, reason: x}\n  - {name: two, scope: 'file://**', trust: skip, reason: x}\n";
    assert_eq!(errors(&with_rules(local)), [("tie", 8)]);
    let overlapping = "  - {name: one, scope: ['quay.io/*/b', 'quay.io/a/*'], tags: ['a*', '*b'], trust: [acme]}\n";
    assert_eq!(errors(&with_rules(overlapping)), []);
    let same_name = "  - {name: r, scope: quay.io/a/b, trust: [acme]}\n  - {name: r, scope: quay.io/a/c, trust: [acme]}\n";
    assert_eq!(errors(&with_rules(same_name)), [("duplicate-name", 8)]);
}

#[test]
fn dangerous_and_dead_rules_are_warned_about() {
    for (rule, code) in [
        ("name: r, scope: quay.io/a/b, unsigned: allow, reason: x", "replaces-others"),
        ("name: r, scope: quay.io/a/b, unsigned: warn", "replaces-others"),
        ("name: r, scope: quay.io/a/b, tags: [x, '**'], unsigned: warn", "replaces-others"),
        (
            "name: r, scope: quay.io/a/b, trust: [acme], unsigned: allow, reason: x",
            "replaces-others",
        ),
        ("name: r, scope: quay.io/a/b, trust: skip, reason: x", "replaces-others"),
        ("name: r, scope: '*', unsigned: allow, tags: [x], reason: x", "wide"),
        ("name: r, scope: 'quay.io/**', unsigned: allow, tags: [x], reason: x", "wide"),
        ("name: r, scope: 'quay.io/*/**', trust: skip, tags: [x], reason: x", "wide"),
        ("name: r, scope: '*.quay.io/*', unsigned: warn, tags: [x], reason: x", "wide"),
        ("name: r, scope: quay.io/a/b", "refuses-all"),
        ("name: r, scope: quay.io/a/b, trust: [acme], until: 2099-01-01", "useless-until"),
        ("name: r, scope: quay.io/a/b, trust: [acme], tags: ['-x*']", "never-matches"),
        ("name: r, scope: quay.io/a/b, trust: [acme, acme]", "duplicate-signer"),
        (
            "name: r, scope: quay.io/a/b, unsigned: allow, tags: [x], reason: x, until: 2026-11-19",
            "ended",
        ),
        (
            "name: r, scope: quay.io/a/b, unsigned: allow, tags: [x], reason: x, until: 2026-11-20",
            "ends-soon",
        ),
        (
            "name: r, scope: quay.io/a/b, unsigned: allow, tags: [x], reason: x, until: 2026-12-20",
            "ends-soon",
        ),
    ] {
        let found = warnings(&with_rules(&format!("  - {{{rule}}}\n")));
        assert!(found.contains(&(code, 7)), "{rule}: {found:?}");
    }
    let quiet = |rule: &str| {
        let text = with_rules(&format!(
            "  - {{{rule}}}\n  - {{name: other, scope: quay.io/z/z, trust: [acme, other]}}\n"
        ));
        assert_eq!(problems(&text), [], "{rule}");
    };
    quiet("name: r, scope: quay.io/a/b, trust: [acme]");
    quiet("name: r, scope: 'quay.io/**', trust: [acme]");
    quiet("name: r, scope: '*', trust: [acme]");
    quiet("name: r, scope: quay.io/a/b, unsigned: allow, tags: [x], reason: x, until: 2026-12-21");
    quiet("name: r, scope: 'file://**', trust: skip, reason: x");
    let beaten = "  - {name: all, scope: quay.io/a/b, trust: [acme]}\n  - {name: tags, scope: quay.io/a/b, tags: ['*'], trust: [other]}\n";
    assert_eq!(warnings(&with_rules(beaten)), [("never-matches", 7)]);
    assert_eq!(
        warnings("version: 1\ndefaults: {unmatched: warn, unsigned: allow}\n"),
        [("wide", 2), ("wide", 2)]
    );
    assert!(
        warnings(&format!("{HEAD}signers: {{a: {{key: a.pub}}}}\n"))
            .contains(&("unused-signer", 3))
    );
    assert!(
        warnings(&format!("{HEAD}registries: [{{host: a.example}}]\n"))
            .contains(&("useless-registry", 3))
    );
    assert_eq!(
        warnings(&format!("{HEAD}skip_patterns: ['quay\\.io/a/b:.*']\n")),
        [("deprecated", 3)]
    );
    assert_eq!(
        warnings(&format!("{HEAD}skip_patterns: ['.*']\n")),
        [("deprecated", 3), ("wide", 3)]
    );
}

#[test]
fn lint_explains_why_an_unsigned_repository_without_tags_is_dangerous() {
    let text = with_rules("  - {name: r, scope: quay.io/a/b, unsigned: allow, reason: x}\n");
    let (_, warnings) =
        crate::support::load_at(&text, crate::support::file(), crate::support::now()).unwrap();
    let lint = crate::support::lint_text(&warnings, &crate::support::file());
    assert!(
        lint.contains("newest version")
            && lint.contains("whatever its priority")
            && lint.contains("finalizers as root"),
        "{lint}"
    );
    assert!(lint.contains("warning: policy.yaml line 7, column 5 [replaces-others]"), "{lint}");
    assert!(lint.ends_with("policy.yaml: 0 errors, 3 warnings\n"), "{lint}");
    assert_eq!(
        crate::support::lint_text(&warnings[..1], &crate::support::file()).lines().last(),
        Some("policy.yaml: 0 errors, 1 warning")
    );
    let json = luet_cosign::policy::lint_json(&warnings, &crate::support::file());
    assert_eq!((json["version"].as_u64(), json["errors"].as_u64()), (Some(1), Some(0)));
    assert_eq!(json["problems"][0]["severity"], "warning");
}

/// The numbers here are structural. How long these take is measured by a benchmark.
#[test]
fn bombs_are_refused_by_their_size() {
    let deep = format!("{HEAD}x: {}{}\n", "[".repeat(200), "]".repeat(200));
    assert_eq!(codes(&deep)[0].0, "too-deep");
    let deep_blocks: String = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(codes(&deep_blocks)[0].0, "too-deep");
    let unclosed = format!("{HEAD}x: {}\n", "[".repeat(100_000));
    assert!(["too-deep", "syntax"].contains(&codes(&unclosed)[0].0));
    let unclosed = format!("{HEAD}x: {}\n", "{a: ".repeat(50_000));
    assert!(["too-deep", "syntax"].contains(&codes(&unclosed)[0].0));
    let wide = format!("{HEAD}x: [{}]\n", "a,".repeat(100_000));
    assert_eq!(codes(&wide)[0].0, "too-large");
    assert_eq!(
        codes(&" ".repeat(usize::try_from(limits::POLICY_BYTES).unwrap() + 1))[0].0,
        "too-large"
    );
    assert_eq!(codes(&"x".repeat(10 << 20))[0].0, "too-large");
    let laughs = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n";
    assert!(codes(laughs).iter().any(|found| found.0 == "alias"));
    let many: String = (0..2_000)
        .map(|at| format!("  - {{name: r{at}, scope: quay.io/a/r{at}, trust: [acme]}}\n"))
        .collect();
    assert_eq!(errors(&with_rules(&many)), [("too-large", 7)]);
    let star = |seed: usize| format!("'{}'", "*a*b".repeat(15) + &format!("{seed:04}"));
    let stars: String = (0..600)
        .map(|at| {
            format!(
                "  - {{name: r{at}, scope: quay.io/a/b, tags: [{}], trust: [acme]}}\n",
                star(at)
            )
        })
        .collect();
    assert!(errors(&with_rules(&stars)).iter().any(|found| found.0 == "too-large"));
    let ties: String = (0..1_000)
        .map(|at| format!("  - {{name: r{at}, scope: 'quay.io/a/*', trust: [acme]}}\n"))
        .collect();
    assert_eq!(errors(&with_rules(&ties)).len(), limits::POLICY_PROBLEMS);
    let keys: String = (0..15_000).map(|at| format!("k{at}: x\n")).collect();
    let found = Document::parse(&keys).unwrap_err();
    assert!(found.len() <= 2 * limits::POLICY_PROBLEMS, "{}", found.len());
}

/// What it costs to read a policy does not grow with what its expressions would be compiled to.
#[test]
fn signers_and_all_their_expressions_together_are_capped() {
    let read = |signers: &str| {
        let rule = "repositories: [{name: r, scope: a.example/**, trust: [s0]}]\n";
        load_at(&format!("{HEAD}signers:\n{signers}{rule}"), file(), now())
    };
    let count = |count: usize| {
        let subject = "subject: S, issuer: I";
        read(
            &(0..count)
                .map(|at| format!("  s{at}: {{keyless: {{{subject}{at}}}}}\n"))
                .collect::<String>(),
        )
    };
    assert!(count(limits::POLICY_SIGNERS).is_ok());
    let problems = count(limits::POLICY_SIGNERS + 1).unwrap_err();
    assert_eq!(
        (problems[0].code, failure(&problems, &file()).class()),
        ("too-large", Class::Limit)
    );

    // Each is counted as the next power of two: 256 KiB.
    let most = limits::EXPRESSIONS_SIZE / limits::EXPRESSION_SIZE;
    let large = |count: usize, key: &str, pattern: &str| {
        let signer = |at: usize| {
            format!(
                "  s{at}: {{keyless: {{issuer: I{at}, {key}: '{}'}}}}\n",
                pattern.replace('#', &at.to_string())
            )
        };
        read(&(0..count).map(signer).collect::<String>())
    };
    for key in ["subject_regexp", "subject_matches"] {
        assert!(large(most - 1, key, "a{5000}#").is_ok(), "{key}");
        let problems = large(most, key, "a{5000}#").unwrap_err();
        let failure = failure(&problems, &file());
        assert_eq!((problems[0].code, failure.class()), ("too-large", Class::Limit), "{key}");
        assert!(failure.the_hint().contains("docs/limits.md"), "{}", failure.the_hint());
        assert_eq!(large(1, key, "(a{1000}){1000}").unwrap_err()[0].code, "identity");
    }
    assert!(
        large(limits::POLICY_SIGNERS, "subject_matches", "^https://github\\.com/acme/r#/").is_ok()
    );
    // Patterns to skip are expressions as well.
    let skip: String = (0..most).map(|at| format!("'a{{5000}}{at}', ")).collect();
    assert_eq!(codes(&format!("{HEAD}skip_patterns: [{skip}]\n"))[0].0, "too-large");
}

#[test]
fn skip_patterns_are_capped_and_cannot_escape_their_anchors() {
    let long = "a".repeat(limits::SKIP_PATTERN_BYTES + 1);
    for (pattern, code) in [
        ("a)|(.*", "pattern"),
        ("(", "pattern"),
        ("*", "pattern"),
        ("(?x)a|.* #", "pattern"),
        ("(a{1000}){1000}", "pattern"),
        ("((((((((((a{10}){10}){10}){10}){10}){10}){10}){10}){10}){10})", "pattern"),
        (long.as_str(), "too-large"),
        ("  ", "empty"),
    ] {
        assert_eq!(codes(&format!("{HEAD}skip_patterns: ['{pattern}']\n"))[0].0, code, "{pattern}");
    }
    let nested = format!("{}a{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(codes(&format!("{HEAD}skip_patterns: ['{nested}']\n"))[0].0, "pattern");
    let many = "'x', ".repeat(limits::SKIP_PATTERNS + 1);
    assert_eq!(codes(&format!("{HEAD}skip_patterns: [{many}]\n"))[0].0, "too-large");
}

#[test]
fn a_document_lists_the_keys_and_registries_it_needs() {
    let text = format!(
        "{HEAD}signers:\n  a: {{key: keys/a.pub}}\n  e: {{key_env: COSIGN_PUBLIC_KEY_LOCATION}}\nregistries:\n  - {{host: 'Registry.LAN:5000', http: true, auth_hosts: [auth.lan]}}\n  - {{host: other.lan, ca: ca.pem}}\n"
    );
    let document = Document::parse(&text).unwrap();
    let keys: Vec<_> = document
        .signers()
        .iter()
        .map(|signer| (signer.name.as_str(), signer.source.clone(), signer.at.line))
        .collect();
    assert_eq!(
        keys,
        [
            ("a", SignerSource::File("keys/a.pub".to_owned()), 4),
            ("e", SignerSource::Environment, 5)
        ]
    );
    let [http, tls] = document.registries() else { panic!() };
    assert_eq!(
        (http.host.as_str(), http.http, http.auth_hosts.len()),
        ("registry.lan:5000", true, 1)
    );
    assert_eq!((tls.http, tls.ca.as_deref()), (false, Some("ca.pem")));
}

#[test]
fn errors_come_before_warnings() {
    let text = with_rules("  - {name: r, scope: '*', unsigned: allow}\n");
    let found = problems(&text);
    assert_eq!(found[0], (Severity::Error, "missing-reason", 7));
    assert!(
        found.iter().skip(1).all(|(severity, ..)| *severity == Severity::Warning)
            && found.len() > 2,
        "{found:?}"
    );
}

#[test]
fn a_scope_that_yaml_takes_for_an_alias_comes_with_the_way_out() {
    for scope in ["*", "*.x.example/**", "[*]"] {
        let problems = Document::parse(&with_rules(&format!(
            "  - name: r\n    scope: {scope}\n    trust: [acme]\n"
        )))
        .unwrap_err();
        assert_eq!(problems[0].code, "syntax", "{scope}");
        assert!(
            problems[0].help.as_deref().unwrap_or_default().starts_with("quote a value"),
            "{scope}: {problems:?}"
        );
    }
}

#[test]
fn a_repository_of_signatures_that_is_named_twice_is_asked_once() {
    let text = with_rules(
        "  - {name: r, scope: quay.io/a/b, trust: [acme], signatures_from: [quay.io/a/s, 'QUAY.io/a/s']}\n",
    );
    let policy = crate::support::load(&text);
    assert_eq!(
        policy
            .matching(&crate::support::reference("quay.io/a/b:x"), crate::support::now())
            .repositories()
            .len(),
        1
    );
}

#[test]
fn errors_are_never_crowded_out_by_warnings() {
    let rules: String = (0..200)
        .map(|at| format!("  - {{name: r{at}, scope: quay.io/a/r{at}, unsigned: warn}}\n"))
        .collect();
    let found = errors(&with_rules(&format!(
        "{rules}  - {{name: r0, scope: quay.io/z/z, trust: [acme]}}\n"
    )));
    assert_eq!(found, [("duplicate-name", 207)]);
}
