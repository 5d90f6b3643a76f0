//! Holds ROWS.md to the trials: no check of the former scripts gets lost.

use libtest_mimic::Trial;
use std::collections::BTreeSet;

const ROWS: &str = include_str!("../../ROWS.md");

pub fn trials(names: Vec<String>) -> Vec<Trial> {
    vec![Trial::test("rows::every-former-check-has-a-trial", move || {
        hold(&names);
        Ok(())
    })]
}

fn hold(names: &[String]) {
    // Where a machine has luet, every trial of a host is there for it as well.
    let names: BTreeSet<&str> =
        names.iter().map(String::as_str).filter(|name| !name.contains("::luet::")).collect();
    let mut listed = BTreeSet::new();
    for line in ROWS.lines().filter(|line| line.starts_with("| ") && line.contains("::")) {
        let trial = line.trim_matches('|').rsplit('|').next().expect("a cell").trim();
        let trial = trial.trim_matches('`').replace("HOST", "luet-host");
        for maker in if trial.contains("MAKER") { &["ours", "cosign2"][..] } else { &[""] } {
            assert!(listed.insert(trial.replace("MAKER", maker)), "{trial} is listed twice");
        }
    }
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    let lost: Vec<_> = listed.difference(&names).collect();
    assert!(lost.is_empty(), "no such trials: {lost:#?}");
    let new: Vec<_> = names.difference(&listed).collect();
    assert!(new.is_empty(), "not in ROWS.md: {new:#?}");
}
