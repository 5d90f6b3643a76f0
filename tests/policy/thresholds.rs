//! Several signers: keys count, not signatures and not names (docs/threats.md R18, S27).

use crate::support::{
    ACME, Key, OTHER, SITE, absent, errors, file, image_digest, key_of, load, malleated, now,
    reference, signature, warnings, with_signatures, word,
};
use luet_cosign::class::{Class, Failure};
use luet_cosign::name::Digest;
use luet_cosign::policy::{Decision, Document, Matched, PlaceAnswer, Policy, decide};
use luet_cosign::trust::VerifiedSignature;
use std::collections::BTreeMap;

/// `acme` and `twin` are one key.
fn text(trust: &str) -> String {
    format!(
        "version: 1\ndefaults: {{unmatched: deny}}\nsigners:\n  acme: {{key: acme.pub}}\n  other: {{key: other.pub}}\n  site: {{key: site.pub}}\n  twin: {{key: twin.pub}}\nrepositories:\n  - {{name: r, scope: quay.io/acme/packages, trust: {trust}, unsigned: warn}}\n"
    )
}

fn matched(trust: &str) -> Matched {
    load(&text(trust)).matching(&reference("quay.io/acme/packages:x"), now())
}

fn by(signer: &str) -> VerifiedSignature {
    let key: &Key = match signer {
        "other" => &OTHER,
        "site" => &SITE,
        _ => &ACME,
    };
    signature(signer, key, &image_digest())
}

fn decision(matched: &Matched, signatures: Vec<VerifiedSignature>) -> Decision {
    let evidence = absent(matched, None);
    let evidence = if signatures.is_empty() {
        evidence
    } else {
        with_signatures(evidence, signatures.into_iter().map(Ok).collect())
    };
    let decision = decide(matched, &evidence);
    assert_eq!(matched.enough(&evidence), word(&decision) == "verified", "enough and decide agree");
    decision
}

#[test]
fn so_many_different_keys_must_have_signed() {
    for (trust, signers, expected) in [
        ("[acme, other]", "acme", "verified"),
        ("[acme, other]", "", "allowed"),
        ("{all_of: [acme, other]}", "acme other", "verified"),
        ("{all_of: [acme, other]}", "other acme acme", "verified"),
        ("{all_of: [acme, other]}", "acme", "identity"),
        ("{all_of: [acme, other]}", "other", "identity"),
        ("{all_of: [acme, other]}", "acme acme", "identity"),
        ("{all_of: [acme, other]}", "acme site", "identity"),
        ("{all_of: [acme, other]}", "site", "identity"),
        ("{all_of: [acme, other]}", "", "allowed"),
        ("{all_of: [acme]}", "acme", "verified"),
        ("{at_least: 1, of: [acme, other]}", "other", "verified"),
        ("{at_least: 2, of: [acme, other, site]}", "acme site", "verified"),
        ("{at_least: 2, of: [acme, other, site]}", "acme other site", "verified"),
        ("{at_least: 2, of: [acme, other, site]}", "site", "identity"),
        ("{at_least: 2, of: [acme, other, site]}", "site site site", "identity"),
        // One key under two names is one.
        ("{at_least: 2, of: [acme, twin, other]}", "acme twin", "identity"),
        ("{at_least: 2, of: [acme, twin, other]}", "acme twin other", "verified"),
        ("{at_least: 2, of: [acme, twin, other]}", "twin other", "verified"),
    ] {
        let signatures = signers.split_whitespace().map(by).collect();
        assert_eq!(word(&decision(&matched(trust), signatures)), expected, "{trust}: {signers}");
    }
}

#[test]
fn a_signature_that_is_repeated_or_malleated_counts_once() {
    let matched = matched("{at_least: 2, of: [acme, other]}");
    let copies = vec![by("acme"); 100];
    assert_eq!(word(&decision(&matched, copies)), "identity");
    for _ in 0..8 {
        assert_eq!(
            word(&decision(&matched, malleated("acme", &ACME, &image_digest()).to_vec())),
            "identity"
        );
    }
    let [one, other] = malleated("acme", &ACME, &image_digest());
    assert_eq!(word(&decision(&matched, vec![one, other, by("other")])), "verified");
}

#[test]
fn signatures_in_several_places_and_of_the_platform_count_together() {
    let matched = matched("{all_of: [acme, other]}");
    let child = Digest::of(b"child");
    let mut evidence = with_signatures(
        absent(&matched, Some(child)),
        vec![Ok(by("acme")), Ok(signature("other", &OTHER, &child))],
    );
    assert_eq!(word(&decide(&matched, &evidence)), "verified");
    evidence.child = None;
    assert_eq!(word(&decide(&matched, &evidence)), "binding");
}

/// What is compared after unpacking is the manifest that enough vouch for.
#[test]
fn the_index_counts_before_an_image_in_it() {
    let child = Digest::of(b"child");
    for (trust, of_index, of_child, expected) in [
        ("[acme, other]", "acme", "other", image_digest()),
        ("[acme, other]", "", "other", child),
        ("{all_of: [acme, other]}", "acme other", "acme", image_digest()),
        ("{all_of: [acme, other]}", "acme", "other", child),
        ("{all_of: [acme, other]}", "", "acme other", child),
    ] {
        let matched = matched(trust);
        let signed = |signers: &'static str, image: Digest| {
            let key = |signer: &str| if signer == "other" { &*OTHER } else { &*ACME };
            signers.split_whitespace().map(move |signer| Ok(signature(signer, key(signer), &image)))
        };
        let signatures = signed(of_index, image_digest()).chain(signed(of_child, child)).collect();
        let evidence = with_signatures(absent(&matched, Some(child)), signatures);
        let provisional = decide(&matched, &evidence).into_result().unwrap();
        assert_eq!(provisional.signed(), Some(&expected), "{trust}: {of_index}, {of_child}");
    }
}

#[test]
fn what_does_not_count_is_no_help_and_what_could_not_be_asked_comes_first() {
    let matched = matched("{all_of: [acme, other]}");
    for class in [Class::Binding, Class::Malformed, Class::Unsupported, Class::Identity] {
        let evidence = with_signatures(
            absent(&matched, None),
            vec![Ok(by("acme")), Err(Failure::new(class, "made up"))],
        );
        assert_eq!(word(&decide(&matched, &evidence)), class.word());
    }
    let mut evidence = with_signatures(absent(&matched, None), vec![Ok(by("acme"))]);
    evidence.places[1].answer = PlaceAnswer::Failed(Failure::new(Class::Net, "made up"));
    let Decision::Refused(failure) = decide(&matched, &evidence) else { panic!() };
    assert_eq!(failure.class(), Class::Net);
    assert!(
        failure.details().any(|line| line.starts_with("1 of 2 signatures found")),
        "{}",
        failure.text()
    );
    // Enough is enough, whatever could not be asked.
    let evidence = luet_cosign::policy::Evidence {
        places: evidence.places.clone(),
        ..with_signatures(evidence.clone(), vec![Ok(by("other"))])
    };
    assert_eq!(word(&decide(&matched, &evidence)), "verified");
}

#[test]
fn nothing_is_ever_enough_where_nobody_is_trusted() {
    for rule in ["unsigned: warn", "trust: skip, reason: x"] {
        let text = text("[acme]").replace("trust: [acme], unsigned: warn", rule);
        let matched = load(&text).matching(&reference("quay.io/acme/packages:x"), now());
        assert!(!matched.enough(&absent(&matched, None)), "{rule}");
        assert!(
            !matched.enough(&with_signatures(absent(&matched, None), vec![Ok(by("acme"))])),
            "{rule}"
        );
    }
}

#[test]
fn a_proof_has_every_signature_that_counts() {
    let matched = matched("{all_of: [acme, other]}");
    let provisional =
        decision(&matched, vec![by("site"), by("other"), by("acme")]).into_result().unwrap();
    let names: Vec<&str> = provisional.signatures().map(VerifiedSignature::authority).collect();
    assert_eq!(names, ["other", "acme"]);
    assert_eq!(provisional.signature().map(VerifiedSignature::authority), Some("other"));
}

#[test]
fn a_refusal_says_how_many_of_how_many_and_who_is_missing() {
    for (trust, signers, found, wants) in [
        (
            "{all_of: [acme, other]}",
            "acme",
            "1 of 2 signatures found, by `acme`; missing: `other` (3 of 3 places answered)",
            "wants 2, by `acme` and `other`",
        ),
        (
            "{all_of: [acme, other, site]}",
            "site acme",
            "2 of 3 signatures found, by `acme` and `site`; missing: `other` (3 of 3 places answered)",
            "wants 3, by `acme`, `other` and `site`",
        ),
        (
            "{at_least: 2, of: [acme, other, site]}",
            "other",
            "1 of 2 signatures found, by `other`; missing: 1 of `acme` and `site` (3 of 3 places answered)",
            "wants 2, by keys of `acme`, `other` or `site`",
        ),
        (
            "{all_of: [acme, other]}",
            "site",
            "1 signature found, by a stranger (3 of 3 places answered)",
            "wants 2, by `acme` and `other`",
        ),
    ] {
        let Decision::Refused(failure) =
            decision(&matched(trust), signers.split_whitespace().map(by).collect())
        else {
            panic!()
        };
        let expected =
            format!("`quay.io/acme/packages:x`: {found}; rule `r` [policy.yaml line 9] {wants}");
        assert_eq!((failure.class(), failure.message()), (Class::Identity, expected));
    }
}

#[test]
fn a_threshold_that_cannot_be_met_or_means_nothing_is_an_error() {
    let position = |trust: &str| {
        let keys = |document: &Document| -> BTreeMap<_, _> {
            document
                .signers()
                .iter()
                .map(|signer| (signer.name.clone(), Ok(key_of(&signer.name))))
                .collect()
        };
        let problems = match Document::parse(&text(trust)) {
            Ok(document) => {
                let keys = keys(&document);
                Policy::new(document, file(), keys, now()).map(|_| ()).unwrap_err()
            }
            Err(problems) => problems,
        };
        (problems[0].code, problems[0].line, problems[0].column)
    };
    // The value of `trust` begins at column 52.
    for (trust, code, column) in [
        ("{all_of: []}", "empty-list", 61),
        ("{at_least: 1, of: []}", "empty-list", 70),
        ("{at_least: 0, of: [acme]}", "threshold", 63),
        ("{at_least: -1, of: [acme]}", "threshold", 63),
        ("{at_least: 1.0, of: [acme]}", "threshold", 63),
        ("{at_least: 01, of: [acme]}", "threshold", 63),
        ("{at_least: 0x1, of: [acme]}", "threshold", 63),
        ("{at_least: \"1\", of: [acme]}", "threshold", 63),
        ("{at_least: ~, of: [acme]}", "threshold", 63),
        ("{at_least: [1], of: [acme]}", "threshold", 63),
        ("{at_least: 99999999999999999999999, of: [acme]}", "threshold", 63),
        ("{at_least: 2, of: [acme]}", "threshold", 52),
        ("{at_least: 2, of: [acme, acme]}", "threshold", 52),
        ("{at_least: 2, of: [acme, twin]}", "threshold", 52),
        ("{at_least: 3, of: [acme, twin, other]}", "threshold", 52),
        ("{all_of: [acme, acme]}", "threshold", 52),
        ("{all_of: [acme, twin]}", "threshold", 52),
        ("{all_of: [acme, nobody]}", "unknown-signer", 52),
        ("{all_of: acme}", "type", 61),
        ("{}", "missing-key", 52),
        ("{at_least: 1}", "missing-key", 52),
        ("{of: [acme]}", "missing-key", 52),
        ("{all_of: [acme], at_least: 1}", "conflict", 52),
        ("{all_of: [acme], of: [acme]}", "conflict", 52),
        ("{any_of: [acme]}", "unknown-key", 53),
        ("{at_least: 1, of: [acme], of: [other]}", "duplicate-key", 78),
    ] {
        assert_eq!(position(trust), (code, 9, column), "{trust}");
    }
    // Names that are too few are told of before any key is read.
    assert_eq!(Document::parse(&text("{all_of: [acme, acme]}")).unwrap_err()[0].code, "threshold");
    assert!(Document::parse(&text("{all_of: [acme, twin]}")).is_ok());
    assert_eq!(errors(&text("{at_least: 2, of: [acme, twin, other]}")), []);
    let twice = warnings(&text("{at_least: 2, of: [acme, acme, other]}"));
    assert!(twice.contains(&("duplicate-signer", 9)), "{twice:?}");
}
