//! `policy export --to containers`: never looser than the policy, and no file that cannot say it.

use crate::support::{ACME, OTHER, load, now, reference};
use luet_cosign::policy::{Applies, ExportTerms, Mode, Policy, Trust};
use serde_json::Value;

/// What is required of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Required {
    Nothing,
    /// Signatures by these keys, in PEM: one of the inner ones, all of the outer ones.
    Keys(Vec<Vec<String>>),
    /// No image will do.
    Refused,
}

impl Required {
    fn is_at_least(&self, other: &Self) -> bool {
        self == other || *self == Self::Refused || *other == Self::Nothing
    }
}

fn policy(rules: &[String], unmatched: &str) -> Policy {
    let rules: Vec<String> = rules
        .iter()
        .enumerate()
        .map(|(at, rule)| format!("  - {{name: r{at}, {rule}}}\n"))
        .collect();
    let head = if rules.is_empty() { "" } else { "repositories:\n" };
    load(&format!(
        "version: 1\ndefaults: {{unmatched: {unmatched}}}\n\
         signers: {{acme: {{key: acme.pub}}, other: {{key: other.pub}}}}\n{head}{}",
        rules.concat()
    ))
}

/// What podman requires: containers-policy.json(5), as its library looks scopes up.
fn theirs(file: &Value, repository: &str) -> Required {
    let scopes = &file["transports"]["docker"];
    let mut names = vec![repository.to_owned()];
    let mut rest = repository;
    while let Some((parent, _)) = rest.rsplit_once('/') {
        names.push(parent.to_owned());
        rest = parent;
    }
    while let Some((_, domain)) = rest.split_once('.') {
        names.push(format!("*.{domain}"));
        rest = domain;
    }
    names.push(String::new());
    let found = names.iter().map(|name| &scopes[name.as_str()]).find(|found| !found.is_null());
    let mut all = Vec::new();
    for one in found.unwrap_or(&file["default"]).as_array().unwrap() {
        match one["type"].as_str().unwrap() {
            "insecureAcceptAnything" => {}
            "reject" => return Required::Refused,
            "sigstoreSigned" => {
                assert_eq!(one["signedIdentity"]["type"], "matchRepository");
                let keys = one["keyDatas"].as_array().cloned();
                let keys = keys.unwrap_or_else(|| vec![one["keyData"].clone()]);
                all.push(keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect());
            }
            other => panic!("{other}"),
        }
    }
    if all.is_empty() { Required::Nothing } else { Required::Keys(all) }
}

fn ours(policy: &Policy, repository: &str) -> Required {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    match policy.matching(&reference(&format!("{repository}:v1")), now()).applies() {
        Applies::Unmatched { mode: Mode::Deny, .. } => Required::Refused,
        Applies::Unmatched { .. } | Applies::Skipped { .. } => Required::Nothing,
        Applies::Rule(rule) => match &rule.authorities {
            Trust::Skip => Required::Nothing,
            Trust::Nobody => Required::Refused,
            Trust::Signers { needed, authorities } => {
                let keys: Vec<String> = authorities
                    .iter()
                    .map(|one| BASE64_STANDARD.encode(one.key().unwrap().to_pem()))
                    .collect();
                Required::Keys(if *needed == 1 {
                    vec![keys]
                } else {
                    keys.into_iter().map(|key| vec![key]).collect()
                })
            }
        },
    }
}

const SCOPES: &[&str] = &[
    "'*'",
    "'*.example/**'",
    "a.example/**",
    "a.example/x",
    "a.example/x/**",
    "[a.example/x, a.example/x/**]",
    "a.example/x/y",
    "[a.example/x/y, a.example/x/y/**]",
];
const NAMES: &[&str] = &[
    "a.example/x",
    "a.example/x/y",
    "a.example/x/y/z",
    "a.example/x/w",
    "a.example/w",
    "b.a.example/x",
    "b.a.example:5000/x",
    "c.example/x/y",
    "d.other/x",
];
const TRUST: &[&str] = &[
    "trust: [acme], bind_tag: off",
    "trust: [other, acme], bind_tag: off",
    "trust: {all_of: [acme, other]}, bind_tag: off",
    "unsigned: deny",
    "trust: skip, reason: tests",
];

#[test]
fn no_file_is_looser_than_its_policy() {
    let _ = (&*ACME, &*OTHER);
    let (mut exported, mut refused) = (0, 0);
    let mut hold = |rules: &[String], unmatched: &str| {
        let policy = policy(rules, unmatched);
        let Ok(files) = policy.for_containers(ExportTerms::default(), now()) else {
            refused += 1;
            return;
        };
        exported += 1;
        let file: Value = serde_json::from_str(&files.policy).unwrap();
        for name in NAMES {
            let (theirs, ours) = (theirs(&file, name), ours(&policy, name));
            assert!(
                theirs.is_at_least(&ours),
                "{name}: {theirs:?}, and here {ours:?}\n{rules:?} {unmatched}\n{}",
                files.policy
            );
        }
    };
    let rule = |scope: &str, trust: &str| format!("scope: {scope}, {trust}");
    for unmatched in ["deny", "allow"] {
        hold(&[], unmatched);
        for (at, first) in SCOPES.iter().enumerate() {
            for one in TRUST {
                hold(&[rule(first, one)], unmatched);
                for second in SCOPES.iter().skip(at + 1) {
                    // Both would be about one name.
                    if first.trim_matches(['[', ']']).contains(second.trim_matches(['[', ']']))
                        || second.trim_matches(['[', ']']).contains(first.trim_matches(['[', ']']))
                    {
                        continue;
                    }
                    for other in TRUST {
                        hold(&[rule(first, one), rule(second, other)], unmatched);
                    }
                }
            }
        }
    }
    assert!(exported > 200 && refused > 50, "{exported} {refused}");
}

#[test]
fn what_cannot_be_said_is_refused_by_the_name_of_its_rule() {
    let good = "scope: ['a.example/x', 'a.example/x/**'], trust: [acme]";
    for (rule, why) in [
        (format!("{good}, bind_tag: off, tags: ['v*']"), "`tags`"),
        (format!("{good}, bind_tag: off, unsigned: warn"), "`unsigned`"),
        (format!("{good}, bind_tag: off, unsigned: allow, reason: x"), "`unsigned`"),
        (format!("{good}, bind_tag: off, signatures_from: [b.example/s]"), "`signatures_from`"),
        (format!("{good}, bind_tag: off, mirror_of: b.example/x"), "`mirror_of`"),
        (format!("{good}, bind_tag: off, rollback: deny"), "`rollback: deny`"),
        (format!("{good}, bind_tag: required"), "`bind_tag`"),
        (good.to_owned(), "--unbound-tags"),
        ("scope: a.example/x, trust: [acme], bind_tag: off".to_owned(), "`a.example/x/**`"),
        ("scope: 'a.example/x/**', trust: [acme], bind_tag: off".to_owned(), "`a.example/x`"),
        ("scope: 'a.example/*/y', trust: [acme], bind_tag: off".to_owned(), "a wildcard"),
        ("scope: '*.example/x/**', trust: [acme], bind_tag: off".to_owned(), "a wildcard"),
        ("scope: 'a.example/**', trust: skip, reason: x, until: 2099-01-01".to_owned(), "`until`"),
    ] {
        let failure = policy(std::slice::from_ref(&rule), "deny")
            .for_containers(ExportTerms::default(), now())
            .expect_err(&rule);
        let text = failure.text();
        assert_eq!(failure.class().exit(), 3, "{text}");
        assert!(text.contains("rule `r0`") && text.contains(why), "{rule}: {text}");
    }
    let terms = ExportTerms { unbound_tags: true, local_images: true };
    let files = policy(&[good.to_owned()], "deny").for_containers(terms, now()).unwrap();
    assert!(files.registries.contains("\"a.example/x\":\n    use-sigstore-attachments: true"));
    let file: Value = serde_json::from_str(&files.policy).unwrap();
    assert_eq!(file["transports"]["dir"][""][0]["type"], "insecureAcceptAnything");
    assert_eq!(file["default"][0]["type"], "reject");
    let keyless = load(
        "version: 1\ndefaults: {unmatched: deny}\n\
         signers: {alice: {keyless: {issuer: 'https://a.example', subject: a@a.example}}}\n\
         repositories: [{name: k, scope: 'a.example/**', trust: [alice], bind_tag: off}]\n",
    );
    let failure = keyless.for_containers(ExportTerms::default(), now()).unwrap_err();
    assert!(failure.text().contains("rule `k`"), "{}", failure.text());
}
