//! `policy explain` says what happens, for every image that a policy can meet.

use crate::support::{load, load_at, now, reference, with_rules};
use luet_cosign::policy::{EnvironmentFacts, PolicyOrigin, explain, from_env};

const RULES: &str = "
  - {name: any, scope: '*', trust: [other]}
  - {name: org, scope: 'quay.io/acme/**', trust: [acme], unsigned: warn}
  - {name: metadata, scope: quay.io/acme/packages, tags: ['repository.*'], trust: [acme, other], signatures_from: [quay.io/acme/s]}
  - {name: hobby, scope: quay.io/hobby/x, unsigned: allow, reason: never signed, until: 2026-11-01}
  - {name: skipped, scope: quay.io/skip/x, trust: skip, reason: a mirror}
";

#[test]
fn the_winner_stands_first_with_the_reason_why() {
    let policy = load(&with_rules(RULES));
    let explanation = explain(&policy, &reference("QUAY.io/acme/packages:repository.yaml"), now());
    assert_eq!(explanation.image, "quay.io/acme/packages:repository.yaml");
    let rules: Vec<&str> =
        explanation.candidates.iter().map(|candidate| candidate.rule.as_str()).collect();
    assert_eq!(rules, ["metadata", "org", "any"]);
    let ranks: Vec<String> =
        explanation.candidates.iter().map(|candidate| candidate.rank.join(", ")).collect();
    assert_eq!(
        ranks,
        [
            "literal host, 2 literal segments, exact, tag pattern of 11 literal characters",
            "literal host, 1 literal segment, ends in `**`, any tag",
            "any host, 0 literal segments, ends in `**`, any tag",
        ]
    );
    assert_eq!(explanation.applies, "rule `metadata` [policy.yaml line 10]");
    let settings: Vec<(&str, &str)> =
        explanation.settings.iter().map(|setting| (setting.key, setting.from.as_str())).collect();
    assert_eq!(
        settings,
        [
            ("trust", "policy.yaml line 10"),
            ("unsigned", "defaults, policy.yaml line 2"),
            ("signatures_from", "policy.yaml line 10"),
            ("bind_tag", "built in"),
            ("rollback", "built in"),
            ("downgrade", "built in"),
            ("post_unpack", "built in"),
        ]
    );
    assert_eq!(explanation.settings[2].value, "quay.io/acme/s");
}

#[test]
fn the_outcomes_are_those_of_the_decision() {
    let policy = load(&with_rules(RULES));
    let outcomes = |image: &str| -> Vec<String> {
        explain(&policy, &reference(image), now())
            .outcomes
            .into_iter()
            .map(|row| row.outcome)
            .collect()
    };
    let refused = |word: &str, exit: u8| format!("refused: {word} (exit {exit})");
    let bad = || {
        vec![
            refused("unsupported", 15),
            refused("malformed", 14),
            refused("binding", 14),
            refused("net", 20),
        ]
    };
    let good = || {
        vec![
            "verified".to_owned(),
            "verified".to_owned(),
            refused("binding", 14),
            "verified".to_owned(),
            "verified, with a warning".to_owned(),
            refused("binding", 14),
        ]
    };
    let with = |first: &[String], strangers: String| {
        [good(), first.to_vec(), vec![strangers], bad()].concat()
    };
    let unsigned = || refused("unsigned", 10);
    assert_eq!(
        outcomes("ghcr.io/a/b:x"),
        with(&[unsigned(), unsigned(), unsigned()], refused("identity", 12))
    );
    let warned = || "allowed, with a warning".to_owned();
    assert_eq!(
        outcomes("quay.io/acme/x:x"),
        with(&[warned(), refused("rollback", 16), warned()], refused("identity", 12))
    );
    assert_eq!(outcomes("quay.io/hobby/x:x"), [refused("policy", 3)]);
    assert_eq!(outcomes("quay.io/skip/x:x"), ["allowed"]);
}

#[test]
fn names_keys_and_memory_are_explained() {
    let policy = load(
        &(with_rules(
            "
  - {name: mirror, scope: 'registry.lan:5000/vendor/**', mirror_of: ghcr.io/vendor, trust: {all_of: [acme, other]}, bind_tag: required, rollback: deny}
  - {name: any, scope: '*', trust: {at_least: 1, of: [acme, other]}, bind_tag: off, unsigned: warn}
",
        )
        .replace("unsigned: deny}\n", "unsigned: deny, downgrade: repo}\n")
            + "post_unpack: layers\n"),
    );
    let mirror = explain(&policy, &reference("registry.lan:5000/vendor/os:1"), now());
    let settings: Vec<String> = mirror
        .settings
        .iter()
        .map(|setting| format!("{}: {} [{}]", setting.key, setting.value, setting.from))
        .collect();
    assert!(settings[0].starts_with("trust: all of acme (key "), "{settings:?}");
    assert_eq!(
        settings[3..],
        [
            "mirror_of: ghcr.io/vendor: signed as `ghcr.io/vendor/os` [policy.yaml line 8]",
            "bind_tag: required [policy.yaml line 8]",
            "rollback: deny [policy.yaml line 8]",
            "downgrade: repo [defaults, policy.yaml line 2]",
            "post_unpack: layers [policy.yaml line 10]",
        ]
    );
    let row = |image: &str, found: &str| {
        let rows = explain(&policy, &reference(image), now()).outcomes;
        rows.into_iter().find(|row| row.evidence.starts_with(found)).map(|row| row.outcome)
    };
    let lan = "registry.lan:5000/vendor/os:1";
    assert_eq!(
        row(lan, "good signatures by 2 trusted keys, for this repository and tag").as_deref(),
        Some("verified")
    );
    assert_eq!(
        row(lan, "one that names no repository").as_deref(),
        Some("refused: binding (exit 14)")
    );
    let any = "quay.io/a/b:c";
    assert_eq!(row(any, "one for another repository or tag").as_deref(), Some("verified"));
    assert_eq!(row(any, "the same, by a key").as_deref(), Some("verified"));
    assert_eq!(
        row(any, "the same, and another tag").as_deref(),
        Some("refused: rollback (exit 16)")
    );
}

#[test]
fn what_a_variable_says_is_explained_by_its_name() {
    let facts = EnvironmentFacts {
        key_location: Some("k".to_owned()),
        post_unpack: Some("tree".to_owned()),
        ..EnvironmentFacts::default()
    };
    let (policy, _) =
        load_at(&from_env(&facts), PolicyOrigin::Environment { experimental: false }, now())
            .unwrap();
    let settings = explain(&policy, &reference("quay.io/a/b:c"), now()).settings;
    let from = |key: &str| {
        settings.iter().find(|setting| setting.key == key).map(|setting| setting.from.as_str())
    };
    assert_eq!(from("post_unpack"), Some("LUET_COSIGN_POST_UNPACK"));
    assert_eq!(from("trust"), Some("COSIGN_PUBLIC_KEY_LOCATION"));
}

#[test]
fn text_and_json_say_the_same() {
    let policy = load(&with_rules(RULES));
    for image in ["quay.io/acme/packages:repository.yaml", "quay.io/hobby/x:1", "quay.io/skip/x:1"]
    {
        let explanation = explain(&policy, &reference(image), now());
        let (text, json) = (explanation.text(), explanation.json());
        assert_eq!(json["version"], 1);
        assert_eq!(json["candidates"].as_array().map(Vec::len), Some(explanation.candidates.len()));
        for part in [explanation.image.as_str(), explanation.applies.as_str()] {
            assert!(
                text.contains(part) && json.to_string().contains(&part.replace('"', "\\\"")),
                "{part}\n{text}"
            );
        }
        assert!(
            explanation
                .outcomes
                .iter()
                .all(|row| text.contains(&format!("{} -> {}", row.evidence, row.outcome)))
        );
    }
    let ended = explain(&policy, &reference("quay.io/hobby/x:1"), now()).text();
    assert!(ended.contains("until: 2026-11-01 (over: it denies) [policy.yaml line 11]"), "{ended}");
}

#[test]
fn an_image_without_a_rule_is_explained_too() {
    let policy = load("version: 1\ndefaults: {unmatched: deny}\n");
    let explanation = explain(&policy, &reference("quay.io/a/b:c"), now());
    assert_eq!((explanation.candidates.len(), explanation.settings.len()), (0, 0));
    assert_eq!(explanation.applies, "no rule; `unmatched: deny` [policy.yaml line 2]");
    assert_eq!(explanation.outcomes[0].outcome, "refused: policy (exit 3)");
}
