//! Who is going to sign, asked before there is a signature.

use crate::support::{ACME, IMAGE, OTHER, load, now, reference, with_rules};
use luet_cosign::policy::{Document, Policy, PolicyOrigin};
use luet_cosign::trust::{Certificate, Prospect, SubjectName};
use std::collections::BTreeMap;

const GITHUB: &str = "https://token.actions.githubusercontent.com";

fn certificate(owner: &str) -> Certificate {
    let workflow =
        format!("https://github.com/{owner}/os/.github/workflows/release.yml@refs/heads/main");
    Certificate::expected(
        SubjectName::Uri(workflow),
        GITHUB.to_owned(),
        [
            (8, GITHUB.to_owned()),
            (12, format!("https://github.com/{owner}/os")),
            (16, format!("https://github.com/{owner}")),
        ],
    )
}

/// Whether the policy would accept the signer for an image.
fn accepts(policy: &Policy, image: &str, prospect: &Prospect<'_>) -> bool {
    policy.matching(&reference(image), now()).would_accept(prospect).is_ok()
}

fn keyless(signer: &str) -> Policy {
    load(&format!(
        "version: 1\ndefaults: {{unmatched: deny}}\nsigners:\n  ci: {{{signer}}}\nrepositories:\n- {{name: r, scope: '*', trust: [ci]}}\n"
    ))
}

#[test]
fn a_key_is_accepted_where_the_rule_names_it() {
    let policy = load(&with_rules("- {name: r, scope: '*', trust: [acme]}"));
    let prospect = |key| Prospect::Key { key, logged: false };
    assert!(accepts(&policy, IMAGE, &prospect(ACME.public())));
    assert!(!accepts(&policy, IMAGE, &prospect(OTHER.public())));
    let refusal = policy
        .matching(&reference(IMAGE), now())
        .would_accept(&prospect(OTHER.public()))
        .unwrap_err();
    assert!(refusal.text().contains("accepted: `acme`, key "), "{}", refusal.text());
    assert!(!accepts(&policy, IMAGE, &Prospect::Certificate(&certificate("acme"))));
}

#[test]
fn a_rule_without_signers_refuses_nobody() {
    for rules in [
        "- {name: r, scope: '*', unsigned: warn, reason: x}",
        "- {name: r, scope: '*', trust: skip, reason: x}",
        "- {name: r, scope: elsewhere.example/x, trust: [acme]}",
    ] {
        let policy = load(&with_rules(rules));
        let prospect = Prospect::Key { key: OTHER.public(), logged: false };
        assert!(accepts(&policy, IMAGE, &prospect), "{rules}");
    }
}

#[test]
fn a_certificate_is_accepted_by_what_it_is_going_to_say() {
    let acme = certificate("acme");
    let prospect = Prospect::Certificate(&acme);
    for (signer, expected) in [
        ("github: {repo: acme/os}", true),
        ("github: {repo: evil/os}", false),
        ("keyless: registry-owner", true),
        ("keyless: any", true),
        ("keyless: {issuer: 'https://issuer.example', subject: a@example.com}", false),
    ] {
        let found = accepts(&keyless(signer), "ghcr.io/acme/packages:a", &prospect);
        assert_eq!(found, expected, "{signer}");
    }
    let owner = keyless("keyless: registry-owner");
    assert!(!accepts(&owner, "ghcr.io/evil/packages:a", &prospect));
    assert!(!accepts(&owner, "quay.io/acme/packages:a", &prospect));
    let key = Prospect::Key { key: ACME.public(), logged: true };
    assert!(!accepts(&keyless("github: {repo: acme/os}"), IMAGE, &key));
}

/// `COSIGN_EXPERIMENTAL=1` alone says nothing of who is to sign.
#[test]
fn keyless_variables_without_an_identity_refuse_nobody() {
    let facts = luet_cosign::policy::EnvironmentFacts {
        experimental: true,
        ..luet_cosign::policy::EnvironmentFacts::default()
    };
    let document = Document::parse(&luet_cosign::policy::from_env(&facts)).unwrap();
    let origin = PolicyOrigin::Environment { experimental: true };
    let (policy, _) = Policy::new(document, origin, BTreeMap::new(), now()).unwrap();
    for image in ["ghcr.io/evil/packages:a", "quay.io/acme/packages:a"] {
        assert!(accepts(&policy, image, &Prospect::Certificate(&certificate("acme"))), "{image}");
    }
}
