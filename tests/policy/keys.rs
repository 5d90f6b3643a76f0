//! No key is ignored: for each key of the schema, two policies that differ in it alone and what
//! that changes (docs/threats.md P09).

use crate::support::{
    ACME, OTHER, absent, errors, file, image_digest, load_at, now, reference, signature,
    signature_for, with_rules, with_signatures, word,
};
use luet_cosign::policy::{
    Applies, Decision, Document, Effective, KEYS, Policy, decide, decide_without_looking,
    judge_revision,
};
use luet_cosign::trust::Authority;
use luet_cosign::wire::SignerClaims;

/// What is looked at: one number or word of what a policy does.
type Probe = fn(&Policy) -> String;

fn load(text: &str) -> Policy {
    load_at(text, file(), now()).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}")).0
}

/// An unsigned image of `quay.io/a/b`.
fn unsigned(policy: &Policy) -> String {
    outcome(policy, "quay.io/a/b:x", false)
}

/// An unsigned image of `quay.io/a/b` under another tag.
fn other_tag(policy: &Policy) -> String {
    outcome(policy, "quay.io/a/b:y", false)
}

/// An image of `quay.io/a/b`, signed by `other`.
fn by_other(policy: &Policy) -> String {
    outcome(policy, "quay.io/a/b:x", true)
}

fn outcome(policy: &Policy, image: &str, signed: bool) -> String {
    let matched = policy.matching(&reference(image), now());
    let decision = if matched.looks() {
        let evidence = absent(&matched, None);
        let signatures = vec![Ok(signature("other", &OTHER, &image_digest()))];
        decide(&matched, &if signed { with_signatures(evidence, signatures) } else { evidence })
    } else {
        decide_without_looking(&matched)
    };
    match &decision {
        Decision::Allowed(provisional) if provisional.notices()[0].warning => "warned".to_owned(),
        decision => word(decision).to_owned(),
    }
}

/// An image of `quay.io/a/b`, signed by `acme` for this name.
fn by_acme(policy: &Policy, repository: Option<&str>) -> String {
    let matched = policy.matching(&reference("quay.io/a/b:x"), now());
    let claims = SignerClaims {
        repository: repository.map(|name| name.parse().unwrap()),
        ..SignerClaims::default()
    };
    let signature = signature_for("acme", &ACME, &image_digest(), &claims);
    word(&decide(&matched, &with_signatures(absent(&matched, None), vec![Ok(signature)])))
        .to_owned()
}

fn by_acme_alone(policy: &Policy) -> String {
    by_acme(policy, None)
}

fn made_for_another_name(policy: &Policy) -> String {
    by_acme(policy, Some("ghcr.io/vendor/b"))
}

fn effective(policy: &Policy) -> Effective {
    match policy.matching(&reference("quay.io/a/b:x"), now()).applies() {
        Applies::Rule(effective) => effective.as_ref().clone(),
        other => panic!("{other:?}"),
    }
}

/// The repository goes back from revision 2 to 1.
fn goes_back(policy: &Policy) -> String {
    match judge_revision(&effective(policy), &reference("quay.io/a/b:x"), Some(2), 1) {
        Ok(notice) => notice.map_or("fine", |_| "warned").to_owned(),
        Err(failure) => failure.class().to_string(),
    }
}

fn refusal(policy: &Policy) -> String {
    let matched = policy.matching(&reference("quay.io/a/b:x"), now());
    decide(&matched, &absent(&matched, None))
        .into_result()
        .map_or_else(|failure| failure.text(), |_| String::new())
}

fn names_the_rule(policy: &Policy) -> String {
    refusal(policy).contains("rule `renamed`").to_string()
}

fn names_the_reason(policy: &Policy) -> String {
    let matched = policy.matching(&reference("quay.io/a/b:x"), now());
    let notices = decide(&matched, &absent(&matched, None))
        .into_result()
        .map(|provisional| provisional.notices().to_vec());
    notices.unwrap_or_default().iter().any(|notice| notice.text.contains("because")).to_string()
}

fn places(policy: &Policy) -> String {
    policy.matching(&reference("quay.io/a/b:x"), now()).repositories()[0].to_string()
}

fn keys(policy: &Policy) -> String {
    policy
        .authorities()
        .map(|authority| (authority.key() == Some(ACME.public())).to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

fn registries(policy: &Policy) -> String {
    let one = |entry: &luet_cosign::policy::RegistrySettings| {
        format!("{} {} {:?} {}", entry.host, entry.http, entry.ca, entry.auth_hosts.len())
    };
    policy.registries().iter().map(one).collect()
}

/// The key; what is there once without and once with it; what it changes.
struct Case(&'static str, &'static str, &'static str, Probe, &'static str, &'static str);

/// The key of `acme`, as it is in the policy.
const KEY: &str = "{key: acme.pub}";

const RULE: &str = "  - {name: r, scope: quay.io/a/b, trust: [acme]}\n";

const CASES: &[Case] = &[
    Case(
        "defaults.unmatched",
        "unmatched: deny",
        "unmatched: allow",
        |policy| outcome(policy, "quay.io/z/z:x", false),
        "policy",
        "allowed",
    ),
    Case("defaults.unsigned", "unsigned: deny", "unsigned: warn", unsigned, "unsigned", "warned"),
    Case(
        "defaults.downgrade",
        "unsigned: deny}",
        "unsigned: deny, downgrade: repo}",
        |policy| effective(policy).downgrade.word().to_owned(),
        "tag",
        "repo",
    ),
    Case("repositories.name", "name: r", "name: renamed", names_the_rule, "false", "true"),
    Case(
        "repositories.scope",
        "scope: quay.io/a/b",
        "scope: quay.io/a/c",
        unsigned,
        "unsigned",
        "policy",
    ),
    Case(
        "repositories.tags",
        "scope: quay.io/a/b",
        "scope: quay.io/a/b, tags: [x]",
        other_tag,
        "unsigned",
        "policy",
    ),
    Case("repositories.trust", "trust: [acme]", "trust: [other]", by_other, "identity", "verified"),
    Case(
        "repositories.trust",
        "trust: [acme]",
        "trust: skip, reason: because",
        unsigned,
        "unsigned",
        "allowed",
    ),
    Case(
        "repositories.trust.all_of",
        "trust: [acme]",
        "trust: {all_of: [acme, other]}",
        by_acme_alone,
        "verified",
        "identity",
    ),
    Case(
        "repositories.trust.at_least",
        "trust: [acme]",
        "trust: {at_least: 2, of: [acme, other]}",
        by_acme_alone,
        "verified",
        "identity",
    ),
    Case(
        "repositories.trust.of",
        "trust: [acme]",
        "trust: {at_least: 1, of: [other]}",
        by_other,
        "identity",
        "verified",
    ),
    Case(
        "repositories.bind_tag",
        "trust: [acme]",
        "trust: [acme], bind_tag: required",
        by_acme_alone,
        "verified",
        "binding",
    ),
    Case(
        "repositories.bind_tag",
        "trust: [acme]",
        "trust: [acme], bind_tag: off",
        made_for_another_name,
        "binding",
        "verified",
    ),
    Case(
        "repositories.mirror_of",
        "trust: [acme]",
        "trust: [acme], mirror_of: ghcr.io/vendor/b",
        made_for_another_name,
        "binding",
        "verified",
    ),
    Case(
        "repositories.rollback",
        "trust: [acme]",
        "trust: [acme], rollback: deny",
        goes_back,
        "warned",
        "rollback",
    ),
    Case(
        "repositories.unsigned",
        "trust: [acme]",
        "trust: [acme], unsigned: warn",
        unsigned,
        "unsigned",
        "warned",
    ),
    Case(
        "repositories.reason",
        "trust: [acme]",
        "trust: [acme], unsigned: allow, reason: because",
        names_the_reason,
        "false",
        "true",
    ),
    Case(
        "repositories.until",
        "trust: [acme]",
        "trust: skip, reason: because, until: 2026-11-19",
        unsigned,
        "unsigned",
        "policy",
    ),
    Case(
        "repositories.signatures_from",
        "trust: [acme]",
        "trust: [acme], signatures_from: [quay.io/a/s]",
        places,
        "quay.io/a/b",
        "quay.io/a/s",
    ),
    Case(
        "signers",
        "  other: {key: other.pub}\n",
        "  other: {key: other.pub}\n  third: {key: x.pub}\n",
        keys,
        "true false",
        "true false true",
    ),
    Case("signers.NAME.keyless", KEY, "{keyless: any}", signers, "key K -", "the first signer -"),
    Case(
        "signers.NAME.keyless.issuer",
        KEY,
        "{keyless: {issuer: I, subject: S}}",
        signers,
        "key K -",
        "`S` (issuer `I`) -",
    ),
    Case(
        "signers.NAME.keyless.issuer_matches",
        KEY,
        "{keyless: {issuer_matches: I+, subject: S}}",
        signers,
        "key K -",
        "`S` (issuer what `I+` matches) -",
    ),
    Case(
        "signers.NAME.keyless.issuer_regexp",
        KEY,
        "{keyless: {issuer_regexp: I+, subject: S}}",
        signers,
        "key K -",
        "`S` (issuer what fits `I+`) -",
    ),
    Case(
        "signers.NAME.keyless.subject",
        KEY,
        "{keyless: {issuer: I, subject: T}}",
        signers,
        "key K -",
        "`T` (issuer `I`) -",
    ),
    Case(
        "signers.NAME.keyless.subject_prefix",
        KEY,
        "{keyless: {issuer: I, subject_prefix: S/}}",
        signers,
        "key K -",
        "`S/...` (issuer `I`) -",
    ),
    Case(
        "signers.NAME.keyless.subject_pattern",
        KEY,
        "{keyless: {issuer: I, subject_pattern: 'S*'}}",
        signers,
        "key K -",
        "what fits `S*` (pattern) (issuer `I`) -",
    ),
    Case(
        "signers.NAME.keyless.subject_matches",
        KEY,
        "{keyless: {issuer: I, subject_matches: 'S+'}}",
        signers,
        "key K -",
        "what `S+` matches (issuer `I`) -",
    ),
    Case(
        "signers.NAME.keyless.subject_regexp",
        KEY,
        "{keyless: {issuer: I, subject_regexp: 'S+'}}",
        signers,
        "key K -",
        "what fits `S+` (issuer `I`) -",
    ),
    Case(
        "signers.NAME.github",
        KEY,
        "{github: {repo: a/b}}",
        signers,
        "key K -",
        "GitHub workflow `*` of `a/b` -",
    ),
    Case(
        "signers.NAME.github.repo",
        KEY,
        "{github: {repo: a/c}}",
        signers,
        "key K -",
        "GitHub workflow `*` of `a/c` -",
    ),
    Case(
        "signers.NAME.github.workflow",
        KEY,
        "{github: {repo: a/b, workflow: w.yml}}",
        signers,
        "key K -",
        "GitHub workflow `w.yml` of `a/b` -",
    ),
    Case(
        "signers.NAME.github.ref",
        KEY,
        "{github: {repo: a/b, ref: 'refs/tags/v*'}}",
        signers,
        "key K -",
        "GitHub workflow `*` of `a/b` on what fits `refs/tags/v*` (pattern) -",
    ),
    Case(
        "signers.NAME.github.workflow_repo",
        KEY,
        "{github: {repo: a/b, workflow_repo: c/d}}",
        signers,
        "key K -",
        "GitHub workflow `*` of `c/d`, run for `a/b` -",
    ),
    Case(
        "signers.NAME.github.workflow_ref",
        KEY,
        "{github: {repo: a/b, ref: 'r*', workflow_ref: 'v*'}}",
        signers,
        "key K -",
        "GitHub workflow `*` of `a/b` at what fits `v*` (pattern), run for `a/b` on what fits `r*` (pattern) -",
    ),
    Case(
        "signers.NAME.tlog",
        KEY,
        "{key: acme.pub, tlog: required}",
        signers,
        "key K -",
        "key K, logged -",
    ),
    Case(
        "signers.NAME.trusted_root",
        KEY,
        "{key: acme.pub, tlog: required, trusted_root: r.json}",
        signers,
        "key K -",
        "key K, logged r.json",
    ),
    Case("network", "", "network: {trusted_root: r.json}\n", signers, "key K -", "key K r.json"),
    Case(
        "network.offline",
        "",
        "network: {offline: true}\n",
        |policy| policy.network().offline.to_string(),
        "false",
        "true",
    ),
    Case(
        "mirrors",
        "",
        "mirrors: [[quay.io/a/b, ghcr.io/vendor/b]]\n",
        made_for_another_name,
        "binding",
        "verified",
    ),
    Case(
        "registries",
        "",
        "registries: [{host: a.example, http: true}]\n",
        registries,
        "",
        "a.example true None 0",
    ),
    Case(
        "registries.host",
        "",
        "registries: [{host: b.example, http: true}]\n",
        registries,
        "",
        "b.example true None 0",
    ),
    Case(
        "registries.http",
        "",
        "registries: [{host: a.example, http: false}]\n",
        registries,
        "",
        "a.example false None 0",
    ),
    Case(
        "registries.ca",
        "",
        "registries: [{host: a.example, ca: ca.pem}]\n",
        registries,
        "",
        "a.example false Some(\"ca.pem\") 0",
    ),
    Case(
        "registries.auth_hosts",
        "",
        "registries: [{host: a.example, auth_hosts: [b.example]}]\n",
        registries,
        "",
        "a.example false None 1",
    ),
    Case(
        "registries.credentials",
        "",
        "registries: [{host: a.example, credentials: login.json}]\n",
        |policy| policy.registries().iter().filter_map(|entry| entry.credentials.clone()).collect(),
        "",
        "login.json",
    ),
    Case(
        "network.mirrors",
        "",
        "network: {mirrors: certs.d}\n",
        |policy| format!("{:?}", policy.network().mirrors),
        "None",
        "Some(\"certs.d\")",
    ),
    Case(
        "deadline",
        "",
        "deadline: 5s\n",
        |policy| format!("{:?}", policy.deadline()),
        "None",
        "Some(5s)",
    ),
    Case(
        "post_unpack",
        "",
        "post_unpack: layers\n",
        |policy| policy.post_unpack().word().to_owned(),
        "auto",
        "layers",
    ),
    Case("skip_patterns", "", "skip_patterns: ['quay.io/a/b:x']\n", unsigned, "unsigned", "warned"),
];

/// Keys without which there is no policy, and keys whose value another room reads; each has its own
/// test below.
const ELSEWHERE: &[&str] = &[
    "version",
    "defaults",
    "signers.NAME.key",
    "signers.NAME.key_env",
    "network.trusted_root",
    "repositories",
];

/// Whom the rule trusts, and by which root.
fn signers(policy: &Policy) -> String {
    let matched = policy.matching(&reference("quay.io/a/b:x"), now());
    let one = |authority: &Authority| {
        format!("{} {}", authority.signer, authority.root.as_deref().unwrap_or("-"))
    };
    matched
        .authorities()
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join(", ")
        .replace(&ACME.public().fingerprint().short(), "K")
}

#[test]
fn every_key_changes_what_happens() {
    let base = with_rules(RULE);
    for Case(key, from, to, probe, before, after) in CASES {
        let text = if from.is_empty() { format!("{base}{to}") } else { base.replacen(from, to, 1) };
        assert_ne!(text, base, "{key}");
        assert_eq!(probe(&load(&base)), *before, "{key} before");
        assert_eq!(probe(&load(&text)), *after, "{key} after");
    }
}

#[test]
fn every_key_of_the_schema_has_its_case() {
    for key in KEYS {
        assert!(CASES.iter().any(|case| case.0 == *key) || ELSEWHERE.contains(key), "{key}");
    }
    for case in CASES {
        assert!(KEYS.contains(&case.0), "{}", case.0);
    }
}

#[test]
fn keys_that_must_be_there_must_be_there() {
    let base = with_rules(RULE);
    assert_eq!(errors(&base.replace("version: 1\n", "")), [("missing-key", 1)]);
    assert_eq!(
        errors(&base.replace("defaults: {unmatched: deny, unsigned: deny}\n", "")),
        [("missing-key", 1)]
    );
    let without_rules = base.split("repositories:").next().unwrap();
    assert_eq!(outcome(&load(without_rules), "quay.io/a/b:x", false), "policy");
}

#[test]
fn a_signer_gets_the_key_that_its_source_names() {
    let source = |text: &str| Document::parse(text).unwrap().signers()[0].source.clone();
    let base = with_rules(RULE);
    let other = base.replace("acme.pub", "elsewhere.pub");
    let environment = base.replace("key: acme.pub", "key_env: COSIGN_PUBLIC_KEY_LOCATION");
    assert_ne!(source(&base), source(&other));
    assert_eq!(source(&environment), luet_cosign::policy::SignerSource::Environment);
}

#[test]
fn the_page_for_users_has_every_key_and_every_problem() {
    let page = include_str!("../../docs/policy.md");
    for key in KEYS {
        assert!(page.contains(&format!("`{key}`")), "docs/policy.md lacks `{key}`");
    }
    let sources = [
        include_str!("../../src/policy/checks.rs"),
        include_str!("../../src/policy/document.rs"),
        include_str!("../../src/policy/fields.rs"),
        include_str!("../../src/policy/identities.rs"),
        include_str!("../../src/policy/loaded.rs"),
        include_str!("../../src/policy/mirrors.rs"),
        include_str!("../../src/policy/registries.rs"),
        include_str!("../../src/policy/rules.rs"),
        include_str!("../../src/policy/skip.rs"),
        include_str!("../../src/policy/ties.rs"),
        include_str!("../../src/policy/yaml.rs"),
    ];
    let words = sources
        .iter()
        .flat_map(|source| source.split("\n").map(str::trim))
        .filter(|line| !line.starts_with("//"));
    let mut count = 0;
    for line in words.filter(|line| {
        line.contains("error(") || line.contains("warning(") || line.contains("parsed(")
    }) {
        for code in line.split('"').skip(1).step_by(2) {
            let kebab = code.len() > 2 && code.bytes().all(|c| c.is_ascii_lowercase() || c == b'-');
            if kebab && !KEYS.iter().any(|key| key.ends_with(code)) {
                assert!(
                    page.contains(&format!("`{code}`")),
                    "docs/policy.md lacks the problem `{code}`"
                );
                count += 1;
            }
        }
    }
    assert!(count > 40, "{count}");
}
