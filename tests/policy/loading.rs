//! Keys: missing and unreadable ones stop the policy now, and are never "no key matched" later.

use crate::support::{ACME, OTHER, file, now, with_rules};
use luet_cosign::class::{Class, Failure};
use luet_cosign::policy::{Document, Policy, Severity, failure};
use luet_cosign::trust::PublicKey;
use std::collections::BTreeMap;

const RULES: &str = "  - {name: r, scope: quay.io/a/b, trust: [acme, other]}\n";

type Keys = BTreeMap<String, Result<PublicKey, Failure>>;

fn keys(acme: Option<Result<PublicKey, Failure>>) -> Keys {
    let other = ("other".to_owned(), Ok(OTHER.public().clone()));
    acme.into_iter().map(|key| ("acme".to_owned(), key)).chain([other]).collect()
}

fn load(keys: Keys) -> Vec<(Severity, &'static str, usize, String)> {
    let document = Document::parse(&with_rules(RULES)).unwrap();
    let problems = match Policy::new(document, file(), keys, now()) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    };
    problems
        .into_iter()
        .map(|problem| (problem.severity, problem.code, problem.line, problem.message))
        .collect()
}

#[test]
fn a_key_that_cannot_be_read_is_an_error_at_load() {
    for key in [
        None,
        Some(Err(Failure::new(Class::Secret, "a private key where a public key is expected"))),
    ] {
        let problems = load(keys(key));
        let [(severity, code, line, message)] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!((*severity, *code, *line), (Severity::Error, "key", 4));
        assert!(message.contains("`acme`") && message.contains("acme.pub"), "{message}");
    }
    assert_eq!(load(keys(Some(Ok(ACME.public().clone())))), []);
    assert_eq!(load(BTreeMap::new()).len(), 2);
}

#[test]
fn one_key_under_two_names_is_a_warning() {
    let problems = load(keys(Some(Ok(OTHER.public().clone()))));
    assert_eq!(
        problems
            .iter()
            .map(|(severity, code, line, _)| (*severity, *code, *line))
            .collect::<Vec<_>>(),
        [(Severity::Warning, "same-key", 5)]
    );
    let same_path = with_rules(RULES).replace("other.pub", "acme.pub");
    let found = crate::support::warnings(&same_path);
    assert_eq!(found, [("same-key", 5)]);
}

#[test]
fn the_failure_has_the_first_error_with_its_position_and_the_others_below() {
    let problems = Document::parse("version: 2\ndefaults: {unmatched: x}\n").unwrap_err();
    let failure = failure(&problems, &file());
    assert_eq!(failure.class(), Class::Policy);
    assert_eq!(
        failure.message(),
        "policy.yaml line 1, column 10 [version] the version is `2`; this program reads `1`"
    );
    let details: Vec<String> = failure.details().collect();
    assert_eq!(
        details,
        [
            "policy.yaml line 2, column 23 [value] `unmatched` is `x`; expected `deny`, `warn` or `allow`"
        ]
    );
}
