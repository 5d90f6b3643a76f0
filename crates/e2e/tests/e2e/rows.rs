//! Holds ROWS.md to the trials: no check of the former scripts gets lost.

use libtest_mimic::Trial;
use std::collections::BTreeSet;

const ROWS: &str = include_str!("../../ROWS.md");

/// One for each group of trials in ROWS.md, so that a run of a group holds its rows.
pub fn trials(names: &[String]) -> Vec<Trial> {
    let groups: BTreeSet<&str> =
        listed().filter_map(|name| name.split_once("::")).map(|(group, _)| group).collect();
    let trial = |group: &str| {
        let prefix = format!("{group}::");
        let names: BTreeSet<String> = names.iter().cloned().collect();
        Trial::test(format!("{prefix}every-former-check-has-a-trial"), move || {
            hold(&prefix, &names);
            Ok(())
        })
    };
    groups.into_iter().map(trial).collect()
}

/// The trials of the tables, with words in capitals.
fn listed() -> impl Iterator<Item = &'static str> {
    ROWS.lines().filter(|line| line.starts_with("| ")).filter_map(|line| {
        let cell = line.trim_matches('|').rsplit('|').next()?.trim();
        cell.strip_prefix('`')?.strip_suffix('`')
    })
}

fn hold(prefix: &str, names: &BTreeSet<String>) {
    let mut found = BTreeSet::new();
    for name in listed().filter(|name| name.starts_with(prefix)) {
        for name in expanded(vec![name.to_owned()]) {
            assert!(names.contains(&name), "{name} is lost");
            assert!(found.insert(name.clone()), "{name} is listed twice");
        }
    }
}

/// What the words in capitals stand for.
const WORDS: [(&str, &[&str]); 17] = [
    ("HOST", &["luet-host"]),
    ("MAKER", &["ours", "cosign2"]),
    ("REGISTRY", &["docker-registry", "olareg"]),
    ("LOGIN", &["olareg-basic", "olareg-token"]),
    ("DIFFICULT", &["olareg-basic", "olareg-token", "olareg-limited"]),
    ("ENGINE", &["buildah", "docker"]),
    ("PLACE", &["sig", "referrers", "fallback"]),
    ("LISTING", &["referrers", "fallback"]),
    ("ANSWER", &["401", "500", "garbage"]),
    (
        "IMAGE",
        &[
            "c2_legacy",
            "c2_legacy_tsa",
            "c3_legacy",
            "c2_bundle1",
            "c2_bundle1_tsa",
            "c3_bundle1",
            "c3_bundle1_tsa",
            "c3_bundle2_tsa",
            "job_legacy",
            "job_bundle1",
            "job_bundle2_tsa",
            "both",
            "us_legacy",
            "us_legacy_tsa",
            "us_bundle1",
            "us_bundle1_tsa",
            "us_bundle2_tsa",
            "us_both",
            "us_job_legacy",
            "us_job_bundle2",
            "two",
            "strange",
            "key_beside",
            "beside_key",
            "attested",
            "unlogged",
            "c3_tuf",
            "moved",
            "unsigned",
        ],
    ),
    (
        "JUDGE",
        &[
            "cosign2-env",
            "cosign2-root",
            "cosign2-tsa",
            "cosign3-env",
            "cosign3-root",
            "ours-env",
            "ours-root",
        ],
    ),
    (
        "FILE",
        &[
            "c2_files",
            "c3_files",
            "py_files",
            "c2_old",
            "c3_old",
            "c2_new1",
            "c2_new1_tsa",
            "c2_new2_tsa",
            "c3_new1",
            "c3_new1_tsa",
            "c3_new2_tsa",
            "py_new1",
            "py_new1_tsa",
            "py_new2_tsa",
            "us_files",
            "us_old",
            "us_new1",
            "us_new1_tsa",
            "us_new2_tsa",
            "us_job_new2",
            "job_new1",
            "job_new2_tsa",
            "unlogged_files",
        ],
    ),
    (
        "GOOD",
        &[
            "c2_files",
            "c3_files",
            "py_files",
            "c2_old",
            "c3_old",
            "c2_new1",
            "c2_new1_tsa",
            "c2_new2_tsa",
            "c3_new1",
            "c3_new1_tsa",
            "c3_new2_tsa",
            "py_new1",
            "py_new1_tsa",
            "py_new2_tsa",
            "us_files",
            "us_old",
            "us_new1",
            "us_new1_tsa",
            "us_new2_tsa",
            "us_job_new2",
            "job_new1",
            "job_new2_tsa",
        ],
    ),
    (
        "BUNDLED",
        &[
            "c2_new1",
            "c2_new1_tsa",
            "c2_new2_tsa",
            "c3_new1",
            "c3_new1_tsa",
            "c3_new2_tsa",
            "py_new1",
            "py_new1_tsa",
            "py_new2_tsa",
            "us_new1",
            "us_new1_tsa",
            "us_new2_tsa",
            "us_job_new2",
            "job_new1",
            "job_new2_tsa",
        ],
    ),
    ("KEY", &["p-256", "p-384", "p-521", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096"]),
    ("EC", &["p-256", "p-384", "p-521"]),
    ("RSA", &["rsa-2048", "rsa-3072", "rsa-4096"]),
];

/// The names that a name with words in capitals stands for.
fn expanded(mut names: Vec<String>) -> Vec<String> {
    for (word, values) in WORDS {
        names = names
            .iter()
            .flat_map(|name| {
                let word = format!("::{word}");
                let found = if name.contains(&word) { values } else { &values[..1] };
                found.iter().map(move |value| name.replace(&word, &format!("::{value}")))
            })
            .collect();
    }
    names
}
