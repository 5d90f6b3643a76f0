//! What `policy lint` shows: each problem once, where it is, and nothing that only follows.

use crate::support::{errors, file, problems, warnings};
use luet_cosign::policy::{Document, lint_lines};

/// What is printed for a policy that cannot be read.
fn printed(text: &str) -> String {
    let problems = Document::parse(text).unwrap_err();
    lint_lines(&problems, &file(), text).iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn each_problem_shows_its_line_and_a_mark_under_its_place() {
    let text = "version: 1\ndefaults: {unmatched: deny}\nsigner:\n  acme: {key: acme.pub}\nrepositories:\n  - {name: r, scope: 'https://quay.io/acme', trust: [acme]}\n";
    assert_eq!(
        printed(text),
        "\
error: policy.yaml line 3, column 1 [unknown-key] unknown key `signer` in a policy
  3 | signer:
    | ^^^^^^
  help: did you mean `signers`?
error: policy.yaml line 6, column 22 [scope] `https://quay.io/acme` is not a scope: it is an address; write `quay.io/acme`
  6 |   - {name: r, scope: 'https://quay.io/acme', trust: [acme]}
    |                      ^^^^^^^^^^^^^^^^^^^^^^
policy.yaml: 2 errors, 0 warnings
"
    );
}

#[test]
fn what_steers_a_terminal_is_shown_by_its_number_and_the_mark_stays_under_its_place() {
    let printed = printed("version: 1\ndefaults: {unmatched: deny, \u{202e}x: y}\n");
    let line = printed.lines().find(|line| line.contains("2 | ")).unwrap();
    let mark = printed.lines().find(|line| line.contains('^')).unwrap();
    assert!(!printed.contains('\u{202e}'), "{printed:?}");
    assert_eq!(line.find("\\u{202e}"), mark.find('^'), "{printed}");
}

#[test]
fn one_slip_is_one_problem() {
    for (text, expected) in [
        // A misspelt list of signers, a signer that cannot be read, a misspelt key of a rule.
        (
            "signer: {acme: {key: a.pub}}\nrepositories: [{name: r, scope: q.io/a, trust: [acme]}]",
            ("unknown-key", 3),
        ),
        (
            "signers: {acme: {kex: a.pub}}\nrepositories: [{name: r, scope: q.io/a, trust: [acme]}]",
            ("unknown-key", 3),
        ),
        (
            "signers: {acme: {key: [a.pub]}}\nrepositories: [{name: r, scope: q.io/a, trust: [acme]}]",
            ("type", 3),
        ),
        (
            "signers: {acme: {key: a.pub}}\nrepositories: [{name: r, scopes: q.io/a, trust: [acme]}]",
            ("unknown-key", 4),
        ),
        (
            "signers: {acme: {key: a.pub}}\nrepositories: [{name: r, scope: q.io/a, trus: [acme]}]",
            ("unknown-key", 4),
        ),
        (
            "signers: {acme: {key: a.pub}}\nrepositories: [{name: r, scope: q.io/a, trust: acme}]",
            ("value", 4),
        ),
    ] {
        let text = format!("version: 1\ndefaults: {{unmatched: deny}}\n{text}\n");
        assert_eq!(errors(&text), [expected], "{text}");
        assert_eq!(problems(&text).len(), 1, "{text}: {:?}", problems(&text));
    }
}

#[test]
fn a_scope_says_what_to_write() {
    for (scope, expected) in [
        ("https://quay.io/acme/x", "write `quay.io/acme/x`"),
        ("quay.io/acme/x:1.0", "write `quay.io/acme/x` here, and `tags: [1.0]` beside it"),
        ("quay.io:443/acme/x:1.0", "write `quay.io:443/acme/x` here"),
        ("quay.io/acme/x@sha256:00", "write `quay.io/acme/x`"),
    ] {
        let failure = scope.parse::<luet_cosign::name::Scope>().unwrap_err();
        assert!(failure.message().contains(expected), "{}", failure.message());
    }
}

#[test]
fn what_can_never_fit_is_warned_of() {
    let github = "issuer: 'https://token.actions.githubusercontent.com'";
    for (keyless, is_warned) in [
        ("issuer: token.actions.githubusercontent.com, subject: x".to_owned(), true),
        ("issuer: 'http://issuer.example', subject: x".to_owned(), true),
        (format!("{github}, subject: acme/os"), true),
        (format!("{github}, subject: 'https://github.com/acme/os/.github/workflows/r.yml'"), true),
        (format!("{github}, subject_regexp: 'acme/.*'"), true),
        (format!("{github}, subject_prefix: 'https://gitlab.com/'"), true),
        (
            format!(
                "{github}, subject: 'https://github.com/acme/os/.github/workflows/r.yml@refs/heads/main'"
            ),
            false,
        ),
        (format!("{github}, subject_prefix: 'https://github.com/acme/'"), false),
        (format!("{github}, subject_regexp: '^https://github.com/acme/os/.*$'"), false),
        (format!("{github}, subject_matches: 'github.com/acme/os/'"), false),
        ("issuer: 'https://accounts.google.com', subject: a@example.com".to_owned(), false),
    ] {
        let text = format!(
            "version: 1\ndefaults: {{unmatched: deny}}\nsigners: {{a: {{keyless: {{{keyless}}}}}}}\nrepositories: [{{name: r, scope: q.io/a, trust: [a]}}]\n"
        );
        let found = warnings(&text).iter().any(|(code, _)| *code == "never-fits");
        assert_eq!(found, is_warned, "{keyless}: {:?}", warnings(&text));
    }
}
