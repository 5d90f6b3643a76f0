//! A signature is for a repository and a tag (docs/threats.md R02, R03): `bind_tag` and
//! `mirror_of`.

use crate::support::{
    ACME, IMAGE, OTHER, absent, errors, image_digest, load, now, reference, signature_for,
    warnings, with_rules, with_signatures, word,
};
use luet_cosign::class::{Class, Failure};
use luet_cosign::name::Digest;
use luet_cosign::policy::{Decision, Evidence, Matched, PlaceAnswer, decide};
use luet_cosign::trust::{SignerId, VerifiedSignature};
use luet_cosign::wire::SignerClaims;
use std::slice::from_ref;

const HERE: &str = "quay.io/acme/packages";

/// Claims of a repository and a tag; `-` for none.
fn claims(repository: &str, tag: &str) -> SignerClaims {
    let named = |text: &str| (text != "-").then(|| text.to_owned());
    SignerClaims {
        repository: named(repository).map(|text| text.parse().unwrap()),
        tag: named(tag).map(|text| text.parse().unwrap()),
        ..SignerClaims::default()
    }
}

fn matched(keys: &str, image: &str) -> Matched {
    load(&with_rules(&format!("  - {{name: r, scope: 'quay.io/acme/**', trust: [acme]{keys}}}\n")))
        .matching(&reference(image), now())
}

fn by_acme(claims: &SignerClaims) -> VerifiedSignature {
    signature_for("acme", &ACME, &image_digest(), claims)
}

fn decision(matched: &Matched, claims: &[SignerClaims]) -> Decision {
    let mut evidence = absent(matched, None);
    if let Some(digest) = matched.reference().digest() {
        evidence.image.digest = *digest;
    }
    decide(
        matched,
        &with_signatures(evidence, claims.iter().map(|claims| Ok(by_acme(claims))).collect()),
    )
}

fn outcome(keys: &str, image: &str, claims: SignerClaims) -> &'static str {
    word(&decision(&matched(keys, image), &[claims]))
}

const OFF: &str = ", bind_tag: off";
const IF_PRESENT: &str = ", bind_tag: if-present";
const REQUIRED: &str = ", bind_tag: required";

#[test]
fn a_signature_for_another_repository_or_tag_is_binding() {
    const RIGHT: [&str; 3] = ["verified"; 3];
    const WRONG: [&str; 3] = ["verified", "binding", "binding"];
    const PARTLY: [&str; 3] = ["verified", "verified", "binding"];
    for (repository, tag, expected) in [
        (HERE, "yip-1.0", RIGHT),
        ("QUAY.io:443/acme/packages", "yip-1.0", RIGHT),
        (HERE, "yip-0.9", WRONG),
        (HERE, "Yip-1.0", WRONG),
        (HERE, "yip-1.0.0", WRONG),
        ("quay.io/acme/other", "yip-1.0", WRONG),
        ("quay.io/acme/packages-evil", "yip-1.0", WRONG),
        ("quay.io/acme", "yip-1.0", WRONG),
        ("evil.example/acme/packages", "yip-1.0", WRONG),
        ("quay.io:8443/acme/packages", "yip-1.0", WRONG),
        ("evil.example/quay.io/acme/packages", "yip-1.0", WRONG),
        // What is missing is not wrong, unless it has to be there.
        ("-", "-", PARTLY),
        (HERE, "-", PARTLY),
        ("-", "yip-1.0", PARTLY),
        // One right part does not make up for a wrong one.
        ("-", "yip-0.9", WRONG),
        ("quay.io/acme/other", "-", WRONG),
    ] {
        for (keys, expected) in [OFF, IF_PRESENT, REQUIRED].into_iter().zip(expected) {
            assert_eq!(
                outcome(keys, IMAGE, claims(repository, tag)),
                expected,
                "{repository} {tag} {keys}"
            );
        }
        assert_eq!(
            outcome("", IMAGE, claims(repository, tag)),
            expected[1],
            "the default is if-present: {repository} {tag}"
        );
    }
}

#[test]
fn what_was_made_for_something_else_does_not_pass_as_unsigned_either() {
    for unsigned in ["warn", "allow, reason: test"] {
        let keys = format!(", unsigned: {unsigned}");
        assert_eq!(outcome(&keys, IMAGE, claims(HERE, "other")), "binding", "{unsigned}");
        assert_eq!(
            outcome(&format!("{keys}{REQUIRED}"), IMAGE, claims("-", "-")),
            "binding",
            "{unsigned}"
        );
    }
}

#[test]
fn one_signature_that_is_bound_is_enough() {
    let (right, wrong, none) = (claims(HERE, "yip-1.0"), claims(HERE, "other"), claims("-", "-"));
    for keys in [IF_PRESENT, REQUIRED] {
        for order in [[&right, &wrong, &none], [&wrong, &none, &right], [&none, &right, &wrong]] {
            let decision = decision(&matched(keys, IMAGE), &order.map(Clone::clone));
            assert_eq!(word(&decision), "verified", "{keys}");
            let provisional = decision.into_result().unwrap();
            assert!(
                provisional
                    .signatures()
                    .all(|signature| signature.claims().tag.as_ref() != wrong.tag.as_ref()),
                "{keys}"
            );
            assert_eq!(provisional.signatures().count(), if keys == REQUIRED { 1 } else { 2 });
        }
    }
    // The good one may be where nobody answered.
    let matched = matched("", IMAGE);
    let mut evidence = with_signatures(absent(&matched, None), vec![Ok(by_acme(&wrong))]);
    evidence.places[1].answer = PlaceAnswer::Failed(Failure::new(Class::Net, "made up"));
    assert_eq!(word(&decide(&matched, &evidence)), "net");
}

/// What is to be remembered of a signer: one signature that names both is enough.
#[test]
fn a_signer_binds_whose_signature_names_repository_and_tag() {
    let (right, none) = (claims(HERE, "yip-1.0"), claims("-", "-"));
    let (repository, tag) = (claims(HERE, "-"), claims("-", "yip-1.0"));
    for (signatures, expected) in [
        (vec![&right], true),
        (vec![&none, &right, &none], true),
        (vec![&none], false),
        (vec![&repository, &tag], false),
    ] {
        let signatures: Vec<SignerClaims> = signatures.into_iter().cloned().collect();
        let provisional = decision(&matched(IF_PRESENT, IMAGE), &signatures).into_result().unwrap();
        let signers: Vec<_> =
            provisional.signers().map(|signer| (signer.name, signer.binds)).collect();
        assert_eq!(signers, [("acme", expected)], "{signatures:?}");
    }
}

#[test]
fn a_stranger_who_names_something_else_is_a_stranger() {
    let matched = matched("", IMAGE);
    let stranger = signature_for("other", &OTHER, &image_digest(), &claims("evil.example/x", "y"));
    assert_eq!(
        word(&decide(&matched, &with_signatures(absent(&matched, None), vec![Ok(stranger)]))),
        "identity"
    );
}

#[test]
fn by_digest_the_repository_is_compared_and_the_tag_only_where_one_is_written() {
    let by_digest = format!("{HERE}@{}", image_digest());
    let with_tag = format!("{HERE}:yip-1.0@{}", image_digest());
    for keys in [IF_PRESENT, REQUIRED] {
        for (image, repository, tag, expected) in [
            (&by_digest, HERE, "yip-1.0", "verified"),
            (&by_digest, HERE, "other", "verified"),
            (&by_digest, HERE, "-", "verified"),
            (&by_digest, "quay.io/acme/other", "yip-1.0", "binding"),
            (&by_digest, "quay.io/acme/other", "-", "binding"),
            (&with_tag, HERE, "yip-1.0", "verified"),
            (&with_tag, HERE, "other", "binding"),
        ] {
            assert_eq!(
                outcome(keys, image, claims(repository, tag)),
                expected,
                "{keys} {image} {repository} {tag}"
            );
        }
    }
    assert_eq!(outcome(REQUIRED, &by_digest, claims("-", "yip-1.0")), "binding");
    assert_eq!(outcome(REQUIRED, &by_digest, claims("-", "-")), "binding");
}

#[test]
fn the_manifest_of_a_platform_is_bound_as_the_image_is() {
    let child = Digest::of(b"child");
    let of_child = |keys: &str, claims: &SignerClaims, declared: bool| {
        let matched = matched(keys, IMAGE);
        let signature = signature_for("acme", &ACME, &child, claims);
        let evidence =
            with_signatures(absent(&matched, declared.then_some(child)), vec![Ok(signature)]);
        word(&decide(&matched, &evidence))
    };
    for (repository, tag, if_present, required) in [
        // The server of the index decides under which tag it is. The images of an index that were
        // signed before there was a claim of the index, and those that are signed by digest:
        (HERE, "-", "verified", "binding"),
        (HERE, "yip-1.0", "verified", "verified"),
        (HERE, "other", "binding", "binding"),
        ("quay.io/acme/other", "-", "binding", "binding"),
        ("-", "-", "verified", "binding"),
        ("-", "yip-1.0", "verified", "binding"),
    ] {
        assert_eq!(
            of_child(IF_PRESENT, &claims(repository, tag), true),
            if_present,
            "{repository} {tag}"
        );
        assert_eq!(
            of_child(REQUIRED, &claims(repository, tag), true),
            required,
            "{repository} {tag}"
        );
    }
    // Only of the manifest that this platform takes.
    assert_eq!(of_child(REQUIRED, &claims(HERE, "yip-1.0"), false), "binding");
    assert_eq!(of_child(OFF, &claims(HERE, "-"), false), "binding");
}

/// An old signature of the same key is shown and the new one hidden (issue 4).
#[test]
fn a_signer_that_is_known_to_bind_must_bind() {
    let outcome = |keys: &str, key: &Digest, claims: SignerClaims| {
        let matched = matched(keys, IMAGE);
        let mut evidence = with_signatures(absent(&matched, None), vec![Ok(by_acme(&claims))]);
        evidence.memory.binders.push(SignerId::of_key(*key));
        assert_eq!(matched.enough(&evidence), word(&decide(&matched, &evidence)) == "verified");
        word(&decide(&matched, &evidence))
    };
    let (acme, other) = (ACME.public().fingerprint(), OTHER.public().fingerprint());
    assert_eq!(outcome(IF_PRESENT, acme, claims(HERE, "yip-1.0")), "verified");
    assert_eq!(outcome(IF_PRESENT, acme, claims("-", "-")), "binding");
    assert_eq!(outcome(IF_PRESENT, acme, claims("-", "yip-1.0")), "binding");
    assert_eq!(outcome(REQUIRED, acme, claims(HERE, "-")), "binding");
    assert_eq!(outcome(IF_PRESENT, other, claims("-", "-")), "verified");
    assert_eq!(outcome(OFF, acme, claims("-", "-")), "verified");
    let matched = matched(REQUIRED, IMAGE);
    let Decision::Refused(failure) = decision(&matched, &[claims("-", "-")]) else { panic!() };
    assert!(
        failure
            .message()
            .contains("this signer binds its signatures, this one is an older or foreign one"),
        "{failure}"
    );
}

/// Signed by digest: the repository is right, and the registry cannot change the digest.
#[test]
fn a_binder_s_signature_by_digest_counts_under_a_tag_with_a_warning() {
    let warnings = |image: &str, known: bool, claims: &[SignerClaims]| {
        let matched = matched(IF_PRESENT, image);
        let good = claims.iter().map(|claims| Ok(by_acme(claims))).collect();
        let mut evidence = with_signatures(absent(&matched, None), good);
        if known {
            evidence.memory.binders.push(SignerId::of_key(*ACME.public().fingerprint()));
        }
        assert!(matched.enough(&evidence));
        let decision = decide(&matched, &evidence);
        assert_eq!(word(&decision), "verified");
        let provisional = decision.into_result().unwrap();
        let texts = provisional.notices().iter().map(|notice| notice.text.clone());
        texts.filter(|text| text.contains("names no tag")).count()
    };
    let by_digest = format!("{HERE}@{}", image_digest());
    let (right, loose) = (claims(HERE, "yip-1.0"), claims(HERE, "-"));
    assert_eq!(warnings(IMAGE, true, from_ref(&loose)), 1);
    assert_eq!(warnings(IMAGE, true, &[loose.clone(), loose.clone()]), 1);
    assert_eq!(warnings(IMAGE, false, from_ref(&loose)), 0);
    assert_eq!(warnings(&by_digest, true, from_ref(&loose)), 0);
    // The same signer's other signature says it all.
    assert_eq!(warnings(IMAGE, true, &[loose.clone(), right.clone()]), 0);
    assert_eq!(warnings(IMAGE, true, &[right, loose]), 0);
}

/// What `sign -r` signs: the images of an index, for it and its tag.
#[test]
fn an_image_of_an_index_is_for_that_index_or_asked_for_by_its_digest() {
    let (index, child, another) = (image_digest(), Digest::of(b"child"), Digest::of(b"another"));
    // `served` is what the name stands for; the signature is of `child`.
    let outcome = |keys: &str, image: &str, served: Digest, tag: &str, named: Digest| {
        let matched = matched(keys, image);
        let claims = SignerClaims { index: Some(named), ..claims(HERE, tag) };
        let signature = signature_for("acme", &ACME, &child, &claims);
        let mut evidence = absent(&matched, (served != child).then_some(child));
        evidence.image.digest = served;
        word(&decide(&matched, &with_signatures(evidence, vec![Ok(signature)])))
    };
    let at = |digest: &Digest| format!("{HERE}@{digest}");
    let tagged = |digest: &Digest| format!("{IMAGE}@{digest}");
    for (image, served, tag, named, expected) in [
        (IMAGE, index, "yip-1.0", index, ["verified"; 3]),
        (IMAGE, index, "yip-0.9", index, ["verified", "binding", "binding"]),
        (IMAGE, index, "-", index, ["verified", "verified", "binding"]),
        (IMAGE, index, "yip-1.0", another, ["verified", "binding", "binding"]),
        (IMAGE, index, "-", another, ["verified", "binding", "binding"]),
        // Served under the tag itself, it is not what was signed: the registry chose it.
        (IMAGE, child, "yip-1.0", index, ["verified", "binding", "binding"]),
        (IMAGE, child, "-", index, ["verified", "binding", "binding"]),
        (&at(&child), child, "yip-1.0", index, ["verified"; 3]),
        (&at(&child), child, "-", index, ["verified"; 3]),
        (&tagged(&child), child, "yip-1.0", index, ["verified"; 3]),
        (&tagged(&child), child, "yip-0.9", index, ["verified", "binding", "binding"]),
        (&at(&index), index, "yip-1.0", index, ["verified"; 3]),
        (&at(&another), another, "yip-1.0", index, ["verified", "binding", "binding"]),
    ] {
        for (keys, expected) in [OFF, IF_PRESENT, REQUIRED].into_iter().zip(expected) {
            let found = outcome(keys, image, served, tag, named);
            assert_eq!(found, expected, "{keys} {image} {served} {tag} {named}");
        }
    }
}

#[test]
fn a_mirror_serves_what_was_signed_under_another_name() {
    let outcome = |scope: &str, prefix: &str, image: &str, claims: SignerClaims| {
        let rule = format!(
            "  - {{name: r, scope: '{scope}', mirror_of: '{prefix}', trust: [acme], bind_tag: required}}\n"
        );
        let matched = load(&with_rules(&rule)).matching(&reference(image), now());
        word(&decision(&matched, &[claims]))
    };
    const LAN: &str = "registry.lan:5000/vendor/**";
    const OS: &str = "registry.lan:5000/vendor/os:1";
    for (scope, prefix, image, repository, tag, expected) in [
        (LAN, "ghcr.io/vendor", OS, "ghcr.io/vendor/os", "1", "verified"),
        (LAN, "ghcr.io/vendor", OS, "ghcr.io/vendor/os", "2", "binding"),
        (LAN, "ghcr.io/vendor", OS, "ghcr.io/vendor/other", "1", "binding"),
        (LAN, "ghcr.io/vendor", OS, "ghcr.io/vendor-evil/os", "1", "binding"),
        (LAN, "ghcr.io/vendor", OS, "ghcr.io/vendor", "1", "binding"),
        (LAN, "ghcr.io/vendor", OS, "ghcr.io/vendor/os/os", "1", "binding"),
        (LAN, "ghcr.io/vendor", OS, "quay.io/vendor/os", "1", "binding"),
        // What the site signs itself, under the mirror's own name (policy.md 4.6, D).
        (LAN, "ghcr.io/vendor", OS, "registry.lan:5000/vendor/os", "1", "verified"),
        (LAN, "ghcr.io/vendor", OS, "registry.lan:5000/vendor/other", "1", "binding"),
        (LAN, "ghcr.io", OS, "ghcr.io/os", "1", "verified"),
        ("registry.lan:5000/**", "ghcr.io", OS, "ghcr.io/vendor/os", "1", "verified"),
        (
            "registry.lan:5000/vendor/os",
            "ghcr.io/vendor/system",
            OS,
            "ghcr.io/vendor/system",
            "1",
            "verified",
        ),
        (
            "registry.lan:5000/vendor/os",
            "ghcr.io/vendor/system",
            OS,
            "ghcr.io/vendor/os",
            "1",
            "binding",
        ),
        (
            "registry.lan/hub/**",
            "docker.io",
            "registry.lan/hub/alpine:3",
            "docker.io/library/alpine",
            "3",
            "verified",
        ),
    ] {
        assert_eq!(
            outcome(scope, prefix, image, claims(repository, tag)),
            expected,
            "{scope} {prefix} {repository}:{tag}"
        );
    }
    // Each scope of a rule is a mirror by itself.
    let two = "  - {name: r, scope: ['a.lan/vendor/**', 'b.lan/x/y/**'], mirror_of: ghcr.io/vendor, trust: [acme]}\n";
    for image in ["a.lan/vendor/os:1", "b.lan/x/y/os:1"] {
        let matched = load(&with_rules(two)).matching(&reference(image), now());
        assert_eq!(
            word(&decision(&matched, &[claims("ghcr.io/vendor/os", "1")])),
            "verified",
            "{image}"
        );
        assert_eq!(
            word(&decision(&matched, &[claims("ghcr.io/vendor/y/os", "1")])),
            "binding",
            "{image}"
        );
    }
    // Without the key a mirror is refused, with a way out.
    let matched =
        load(&with_rules("  - {name: r, scope: 'registry.lan:5000/**', trust: [acme]}\n"))
            .matching(&reference(OS), now());
    let Decision::Refused(failure) = decision(&matched, &[claims("ghcr.io/vendor/os", "1")]) else {
        panic!()
    };
    assert_eq!(failure.class(), Class::Binding);
    assert!(failure.the_hint().contains("`mirror_of` in rule `r`"), "{}", failure.the_hint());
}

#[test]
fn a_mirror_that_cannot_be_mapped_is_an_error() {
    for (rule, code) in [
        ("scope: 'a.lan/**', mirror_of: vendor/os", "mirror"),
        ("scope: 'a.lan/**', mirror_of: ghcr.io/vendor/", "mirror"),
        ("scope: 'a.lan/**', mirror_of: 'ghcr.io/vendor/**'", "mirror"),
        ("scope: 'a.lan/**', mirror_of: 'ghcr.io/vendor:1'", "mirror"),
        ("scope: 'a.lan/**', mirror_of: ''", "empty"),
        ("scope: 'a.lan/**', mirror_of: [ghcr.io/vendor]", "type"),
        ("scope: '*', mirror_of: ghcr.io/vendor", "mirror"),
        ("scope: '*.lan/vendor/**', mirror_of: ghcr.io/vendor", "mirror"),
        ("scope: ['a.lan/**', '*.lan/**'], mirror_of: ghcr.io/vendor", "mirror"),
        ("scope: a.lan/os, mirror_of: ghcr.io", "mirror"),
        ("scope: a.lan/os, bind_tag: always", "value"),
        ("scope: a.lan/os, bind_tag: true", "value"),
        ("scope: a.lan/os, bind_tag: if_present", "value"),
    ] {
        assert_eq!(
            errors(&with_rules(&format!("  - {{name: r, {rule}, trust: [acme]}}\n"))),
            [(code, 7)],
            "{rule}"
        );
    }
    for rule in ["scope: a.lan/os, mirror_of: ghcr.io/os", "scope: a.lan/os, bind_tag: required"] {
        let skip = with_rules(&format!("  - {{name: r, {rule}, trust: skip, reason: x}}\n"));
        assert_eq!(errors(&skip), [("conflict", 7)], "{rule}");
        let nobody = warnings(&with_rules(&format!("  - {{name: r, {rule}}}\n")));
        assert!(nobody.contains(&("no-effect", 7)), "{rule}: {nobody:?}");
    }
    let off = warnings(&with_rules(
        "  - {name: r, scope: a.lan/os, mirror_of: ghcr.io/os, bind_tag: off, trust: [acme, other]}\n",
    ));
    assert_eq!(off, [("no-effect", 7)]);
}

#[test]
fn what_is_not_of_this_image_is_binding_whatever_it_names() {
    let matched = matched(OFF, IMAGE);
    let signature = signature_for("acme", &ACME, &Digest::of(b"another"), &claims(HERE, "yip-1.0"));
    let evidence: Evidence = with_signatures(absent(&matched, None), vec![Ok(signature)]);
    assert_eq!(word(&decide(&matched, &evidence)), "binding");
    assert!(!matched.enough(&evidence));
}
