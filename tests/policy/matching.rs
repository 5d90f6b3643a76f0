//! Which rule is about which image: names that look alike, and rules that overlap (docs/threats.md
//! P06, P07).

use crate::support::{file, load, load_at, now, reference, with_rules};
use luet_cosign::class::Class;
use luet_cosign::name::{Digest, Reference};
use luet_cosign::policy::{Applies, Mode, Trust};

/// Rules that are as confusable as rules can be.
const RULES: &str = "
  - {name: any, scope: '*', trust: [acme]}
  - {name: registry, scope: 'ghcr.io/**', trust: [acme]}
  - {name: org, scope: 'ghcr.io/acme/**', trust: [acme]}
  - {name: org-one, scope: 'ghcr.io/acme/*', trust: [acme]}
  - {name: packages, scope: ghcr.io/acme/packages, trust: [acme]}
  - {name: metadata, scope: ghcr.io/acme/packages, tags: ['repository.*', 'tree.tar*'], trust: [acme]}
  - {name: index, scope: ghcr.io/acme/packages, tags: [repository.yaml], trust: [acme]}
  - {name: port, scope: 'ghcr.io:8443/**', trust: [acme]}
  - {name: partners, scope: '*.partner.example/luet/**', trust: [acme]}
  - {name: partners-east, scope: '*.east.partner.example/luet/**', trust: [acme]}
  - {name: partner-a, scope: a.partner.example/luet/x, trust: [acme]}
  - {name: middle, scope: 'quay.io/*/packages', trust: [acme]}
  - {name: alpine, scope: docker.io/alpine, trust: [acme]}
  - {name: hub-org, scope: 'index.docker.io/mudler/**', trust: [acme]}
  - {name: local, scope: 'localhost:5000/**', trust: [acme]}
  - {name: lan, scope: 'registry.lan:5000/vendor/**', trust: [acme]}
";

/// The rule that is about an image; `refused` where the name is not one.
const TABLE: &[(&str, &str)] = &[
    ("ghcr.io/acme/packages:yip-1", "packages"),
    ("ghcr.io/acme/packages", "packages"),
    ("ghcr.io/acme/packages:repository.yaml", "index"),
    ("ghcr.io/acme/packages:repository.yaml.gz", "metadata"),
    ("ghcr.io/acme/packages:repository.meta.yaml", "metadata"),
    ("ghcr.io/acme/packages:1-repository.yaml", "packages"),
    ("ghcr.io/acme/packages:REPOSITORY.yaml", "packages"),
    ("ghcr.io/acme/packages:tree.tar", "metadata"),
    ("ghcr.io/acme/packages:tree.ta", "packages"),
    ("GHCR.IO/acme/packages:x", "packages"),
    ("ghcr.io./acme/packages:x", "packages"),
    ("ghcr.io:443/acme/packages:x", "packages"),
    ("GhCr.Io.:443/acme/packages:x", "packages"),
    ("ghcr.io:8443/acme/packages:x", "port"),
    ("ghcr.io:80/acme/packages:x", "any"),
    ("ghcr.io:4430/acme/packages:x", "any"),
    ("ghcr.io/acme/packages-evil:x", "org-one"),
    ("ghcr.io/acme/packagesevil:x", "org-one"),
    ("ghcr.io/acme/packages/evil:x", "org"),
    ("ghcr.io/acme/package:x", "org-one"),
    ("ghcr.io/acme/a/b/c:x", "org"),
    ("ghcr.io/acme-evil/packages:x", "registry"),
    ("ghcr.io/acmeevil/packages:x", "registry"),
    ("ghcr.io/evil/acme/packages:x", "registry"),
    ("ghcr.io/acme:x", "registry"),
    ("ghcr.io.evil.example/acme/packages:x", "any"),
    ("ghcr.io-evil.example/acme/packages:x", "any"),
    ("evilghcr.io/acme/packages:x", "any"),
    ("evil.example/ghcr.io/acme/packages:x", "any"),
    ("xn--ghr-ezc.io/acme/packages:x", "any"),
    ("ghcr.io/ACME/packages:x", "refused"),
    ("ghcr.io/acme/Packages:x", "refused"),
    ("ghcr.io//acme/packages:x", "refused"),
    ("ghcr.io/acme//packages:x", "refused"),
    ("ghcr.io/acme/packages/:x", "refused"),
    ("ghcr.io/acme/../acme/packages:x", "refused"),
    ("ghcr.io/acme/./packages:x", "refused"),
    ("ghcr.io/acme/..packages:x", "refused"),
    ("ghcr.io/acme/packages:x\n", "refused"),
    ("ghcr.io/acme/packages\n:x", "refused"),
    ("ghcr.io/acme/packages: x", "refused"),
    (" ghcr.io/acme/packages:x", "refused"),
    ("ghcr.io/acme/packages\t:x", "refused"),
    ("ghcr.io/acme/packages%2fevil:x", "refused"),
    ("ghcr.io/acme\\packages:x", "refused"),
    ("ghcr.io/аcme/packages:x", "refused"),
    ("ghсr.io/acme/packages:x", "refused"),
    ("ghcr.io@evil.example/acme/packages:x", "refused"),
    ("https://ghcr.io/acme/packages:x", "refused"),
    ("ghcr.io..evil/acme/packages:x", "refused"),
    ("file:///acme/packages", "refused"),
    ("alpine", "alpine"),
    ("alpine:3", "alpine"),
    ("library/alpine:3", "alpine"),
    ("docker.io/alpine:3", "alpine"),
    ("docker.io/library/alpine:3", "alpine"),
    ("index.docker.io/library/alpine:3", "alpine"),
    ("registry-1.docker.io/library/alpine:3", "alpine"),
    ("docker.io/evil/alpine:3", "any"),
    ("evil.docker.io/library/alpine:3", "any"),
    ("mudler/luet:1", "hub-org"),
    ("docker.io/mudler/a/b:1", "hub-org"),
    ("mudler-evil/luet:1", "any"),
    ("a.partner.example/luet/x:1", "partner-a"),
    ("a.partner.example/luet/y:1", "partners"),
    ("b.partner.example/luet/x:1", "partners"),
    ("b.east.partner.example/luet/x:1", "partners-east"),
    ("east.partner.example/luet/x:1", "partners"),
    ("partner.example/luet/x:1", "any"),
    ("evilpartner.example/luet/x:1", "any"),
    ("a.partner.example.evil.example/luet/x:1", "any"),
    ("a.partner.example:5000/luet/x:1", "any"),
    ("a.partner.example/luet-evil/x:1", "any"),
    ("quay.io/acme/packages:1", "middle"),
    ("quay.io/evil/packages:1", "middle"),
    ("quay.io/a/b/packages:1", "any"),
    ("quay.io/packages:1", "any"),
    ("localhost:5000/x:1", "local"),
    ("localhost/x:1", "any"),
    ("127.0.0.1:5000/x:1", "any"),
    ("registry.lan:5000/vendor/x:1", "lan"),
    ("registry.lan/vendor/x:1", "any"),
    ("registry.lan:5000/vendor:1", "any"),
];

fn rule_for(policy: &luet_cosign::policy::Policy, text: &str) -> String {
    let Ok(reference) = text.parse::<Reference>() else { return "refused".to_owned() };
    match policy.matching(&reference, now()).applies() {
        Applies::Rule(effective) => effective.rule.clone(),
        Applies::Skipped { pattern, .. } => format!("skip {pattern}"),
        Applies::Unmatched { mode, .. } => format!("unmatched {}", mode.word()),
    }
}

#[test]
fn exactly_one_rule_is_about_an_image_and_look_alikes_have_another() {
    assert!(TABLE.len() >= 60);
    let policy = load(&with_rules(RULES));
    for (text, expected) in TABLE {
        assert_eq!(rule_for(&policy, text), *expected, "{text:?}");
    }
}

#[test]
fn the_order_of_rules_does_not_count() {
    let mut lines: Vec<&str> = RULES.trim_matches('\n').lines().collect();
    lines.reverse();
    let policy = load(&with_rules(&lines.join("\n")));
    for (text, expected) in TABLE {
        assert_eq!(rule_for(&policy, text), *expected, "{text:?}");
    }
}

#[test]
fn beside_a_digest_a_tag_does_not_count() {
    let policy = load(&with_rules(RULES));
    let digest = Digest::of(b"x");
    assert_eq!(
        rule_for(&policy, &format!("ghcr.io/acme/packages:repository.yaml@{digest}")),
        "packages"
    );
    assert_eq!(rule_for(&policy, &format!("ghcr.io/acme/packages@{digest}")), "packages");
    let only_tags = load(&with_rules(
        "  - {name: r, scope: quay.io/a/b, tags: [x], unsigned: allow, reason: x}\n",
    ));
    assert_eq!(rule_for(&only_tags, "quay.io/a/b:x"), "r");
    assert_eq!(rule_for(&only_tags, &format!("quay.io/a/b:x@{digest}")), "unmatched deny");
}

/// A package of the signed repository's name, offered by the unsigned one under a tag outside its
/// rule.
#[test]
fn an_unsigned_repository_is_allowed_only_under_the_tags_of_its_rule() {
    let policy = load(&with_rules(
        "  - {name: hobby, scope: quay.io/hobby/packages, tags: ['game-*', 'repository.*'], unsigned: allow, reason: x}\n",
    ));
    assert_eq!(rule_for(&policy, "quay.io/hobby/packages:game-chess-1"), "hobby");
    assert_eq!(rule_for(&policy, "quay.io/hobby/packages:system-kernel-1"), "unmatched deny");
    assert_eq!(rule_for(&policy, "quay.io/hobby/packages:xgame-1"), "unmatched deny");
    assert_eq!(rule_for(&policy, "quay.io/hobby/packages"), "unmatched deny");
}

#[test]
fn what_no_rule_is_about_is_for_the_default_to_say() {
    for (mode, word) in [(Mode::Deny, "deny"), (Mode::Warn, "warn"), (Mode::Allow, "allow")] {
        let policy = load(&format!("version: 1\ndefaults: {{unmatched: {word}}}\n"));
        let matched = policy.matching(&reference("quay.io/a/b:c"), now());
        assert_eq!(
            *matched.applies(),
            Applies::Unmatched { mode, place: "policy.yaml line 2".to_owned() }
        );
        assert!(!matched.looks());
    }
}

#[test]
fn skip_patterns_match_whole_canonical_names_and_beat_rules() {
    let head = with_rules("  - {name: any, scope: '*', trust: [acme, other]}\n");
    let policy = load(&format!(
        "{head}skip_patterns: ['quay\\.io/a/b:x-[0-9]+', 'mudler/.*', 'alpine:3', 'ghcr\\.io/x/y:1|z']\n"
    ));
    for (text, skipped) in [
        ("quay.io/a/b:x-1", true),
        ("QUAY.io:443/a/b:x-1", true),
        ("quay.io/a/b:x-1-evil", false),
        ("evil.example/quay.io/a/b:x-1", false),
        ("quay.io/a/b:xx-1", false),
        ("quayxio/a/b:x-1", false),
        ("mudler/luet:1", true),
        ("docker.io/mudler/luet:1", true),
        ("index.docker.io/mudler/luet:1", true),
        ("evil.example/mudler/luet:1", false),
        ("alpine:3", true),
        ("docker.io/library/alpine:3", true),
        ("evil/alpine:3", false),
        ("ghcr.io/x/y:1", true),
        ("ghcr.io/x/y:1x", false),
        ("ghcr.io/x/y:z", false),
    ] {
        let matched = policy.matching(&reference(text), now());
        assert_eq!(matches!(matched.applies(), Applies::Skipped { .. }), skipped, "{text}");
        assert_eq!(matched.looks(), !skipped, "{text}");
    }
    let pinned = reference(&format!("quay.io/a/b:x-1@{}", Digest::of(b"x")));
    assert!(!matches!(policy.matching(&pinned, now()).applies(), Applies::Skipped { .. }));
}

#[test]
fn a_rule_comes_with_its_settings_and_where_it_stands() {
    let policy = load(&with_rules(
        "  - {name: r, scope: [quay.io/a/b, quay.io/a/c], tags: ['x*'], trust: [other, acme], unsigned: warn, signatures_from: [quay.io/a/s, quay.io/a/t]}\n",
    ));
    let matched = policy.matching(&reference("quay.io/a/c:xy"), now());
    let Applies::Rule(effective) = matched.applies() else { panic!() };
    assert_eq!((effective.rule.as_str(), effective.place.as_str()), ("r", "policy.yaml line 7"));
    assert_eq!((effective.scope.as_str(), effective.tag.as_deref()), ("quay.io/a/c", Some("x*")));
    assert_eq!(effective.unsigned, Mode::Warn);
    let names: Vec<&str> =
        matched.authorities().iter().map(|authority| authority.name.as_str()).collect();
    assert_eq!(names, ["other", "acme"]);
    let repositories: Vec<String> =
        matched.repositories().iter().map(ToString::to_string).collect();
    assert_eq!(repositories, ["quay.io/a/s", "quay.io/a/t"]);
}

#[test]
fn after_its_day_a_rule_denies() {
    let text = with_rules(
        "  - {name: trusting, scope: quay.io/a/b, trust: [acme], unsigned: allow, reason: x, until: 2027-03-31}\n  - {name: lax, scope: quay.io/a/c, unsigned: warn, until: 2027-03-31}\n  - {name: skipping, scope: quay.io/a/d, trust: skip, reason: x, until: 2027-03-31}\n",
    );
    for (time, ended) in [
        ("2027-03-31T23:59:59Z", false),
        ("2027-04-01T00:00:00Z", true),
        ("2026-11-20T00:00:00Z", false),
    ] {
        let now = time.parse().unwrap();
        let (policy, _) = load_at(&text, file(), now).unwrap();
        let effective = |image: &str| match policy.matching(&reference(image), now).applies() {
            Applies::Rule(effective) => effective.clone(),
            other => panic!("{other:?}"),
        };
        let trusting = effective("quay.io/a/b:x");
        assert_eq!(
            (trusting.unsigned == Mode::Deny, trusting.ended.is_some()),
            (ended, ended),
            "{time}"
        );
        assert!(matches!(trusting.authorities, Trust::Signers { needed: 1, .. }), "{time}");
        assert_eq!(effective("quay.io/a/c:x").unsigned == Mode::Deny, ended, "{time}");
        assert_eq!(effective("quay.io/a/d:x").authorities == Trust::Skip, !ended, "{time}");
        let refused = luet_cosign::policy::decide_without_looking(
            &policy.matching(&reference("quay.io/a/d:x"), now),
        )
        .into_result();
        match (ended, refused) {
            (true, Err(failure)) => {
                assert_eq!(failure.class(), Class::Policy);
                assert!(failure.message().contains("until 2027-03-31"), "{failure}");
            }
            (false, Ok(_)) => {}
            (_, other) => panic!("{time}: {other:?}"),
        }
    }
}

#[test]
fn nothing_is_inherited_between_rules() {
    let policy = load(&with_rules(
        "  - {name: wide, scope: 'quay.io/a/**', trust: [acme], unsigned: allow, reason: x, signatures_from: [quay.io/a/s]}\n  - {name: narrow, scope: quay.io/a/b, trust: [other]}\n",
    ));
    let matched = policy.matching(&reference("quay.io/a/b:x"), now());
    let Applies::Rule(effective) = matched.applies() else { panic!() };
    assert_eq!((effective.unsigned, effective.signatures_from.len()), (Mode::Deny, 0));
    assert_eq!(matched.authorities().len(), 1);
}
