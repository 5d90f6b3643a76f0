//! `verify --key K`: a policy that is one key.

use crate::support::{
    ACME, OTHER, absent, image_digest, now, reference, signature, with_signatures, word,
};
use luet_cosign::class::{Class, Failure};
use luet_cosign::policy::{
    Applies, Decision, Mode, Policy, PolicyOrigin, PostUnpack, decide, decide_local_files, explain,
};
use luet_cosign::trust::Authority;

fn policy() -> Policy {
    Policy::of_authority(
        Authority::of_key("keys/acme.pub", ACME.public().clone()),
        "--key keys/acme.pub",
        None,
    )
}

#[test]
fn the_key_is_trusted_for_everything_and_nothing_else_passes() {
    let policy = policy();
    assert_eq!(policy.origin(), &PolicyOrigin::Option { text: "--key keys/acme.pub".to_owned() });
    assert_eq!((policy.authorities().count(), policy.post_unpack()), (1, PostUnpack::Auto));
    for image in ["quay.io/a/b:c", "alpine", "localhost:5000/x/y/z:1"] {
        let matched = policy.matching(&reference(image), now());
        assert!(matched.looks());
        let Applies::Rule(effective) = matched.applies() else { panic!("{image}") };
        assert_eq!(effective.unsigned, Mode::Deny);
        let good = with_signatures(
            absent(&matched, None),
            vec![Ok(signature("keys/acme.pub", &ACME, &image_digest()))],
        );
        assert_eq!(word(&decide(&matched, &good)), "verified");
        let stranger = with_signatures(
            absent(&matched, None),
            vec![Ok(signature("keys/acme.pub", &OTHER, &image_digest()))],
        );
        assert_eq!(word(&decide(&matched, &stranger)), "identity");
        assert_eq!(word(&decide(&matched, &absent(&matched, None))), "unsigned");
    }
    assert_eq!(word(&decide_local_files(&policy, now())), "policy");
}

#[test]
fn messages_name_the_option_and_no_variable() {
    let matched = policy().matching(&reference("quay.io/a/b:c"), now());
    let Decision::Refused(unsigned) = decide(&matched, &absent(&matched, None)) else { panic!() };
    assert_eq!(
        unsigned.message(),
        "`quay.io/a/b:c`: no signature (3 of 3 places answered: not there); `--key keys/acme.pub` wants one by that key"
    );
    let strangers = with_signatures(
        absent(&matched, None),
        vec![Err(Failure::new(Class::Identity, "made up"))],
    );
    let Decision::Refused(identity) = decide(&matched, &strangers) else { panic!() };
    for failure in [unsigned, identity] {
        assert!(
            !failure.text().contains("COSIGN") && !failure.text().contains("environment"),
            "{}",
            failure.text()
        );
    }
    let explanation = explain(&policy(), &reference("quay.io/a/b:c"), now());
    assert_eq!(
        (explanation.policy.as_str(), explanation.applies.as_str()),
        ("--key keys/acme.pub", "`--key keys/acme.pub`")
    );
    assert!(!explanation.text().contains("[]"), "{}", explanation.text());
}

#[test]
fn signatures_may_lie_elsewhere() {
    let from = Some("quay.io/acme/signatures".parse().unwrap());
    let policy =
        Policy::of_authority(Authority::of_key("k", ACME.public().clone()), "--key k", from);
    let repositories = policy.matching(&reference("quay.io/a/b:c"), now()).repositories();
    assert_eq!(
        repositories.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["quay.io/acme/signatures"]
    );
}
