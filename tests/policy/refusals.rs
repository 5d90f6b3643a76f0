//! What a refused user reads, whole: first the verdict, then the facts, last one thing to do.

use crate::support::{
    ACME, IMAGE, OTHER, SITE, absent, image_digest, load, now, reference, signature, signature_for,
    with_rules, with_signatures,
};
use luet_cosign::class::{Class, Failure};
use luet_cosign::name::Digest;
use luet_cosign::policy::{Decision, Evidence, Matched, PlaceAnswer, decide};
use luet_cosign::wire::SignerClaims;

fn matched(keys: &str) -> Matched {
    load(&with_rules(&format!(
        "  - {{name: r, scope: quay.io/acme/packages, trust: [acme]{keys}}}\n"
    )))
    .matching(&reference(IMAGE), now())
}

/// The digest of the image and the fingerprints of keys are shown by a word each.
fn text(matched: &Matched, evidence: &Evidence) -> String {
    let Decision::Refused(failure) = decide(matched, evidence) else { panic!() };
    let text = failure.text().replace(&image_digest().to_string(), "DIGEST");
    let keys = [(&ACME, "ACME"), (&OTHER, "OTHER"), (&SITE, "SITE")];
    keys.iter()
        .fold(text, |text, (key, word)| text.replace(&key.public().fingerprint().short(), word))
}

#[test]
fn unsigned() {
    let matched = matched("");
    assert_eq!(
        text(&matched, &absent(&matched, None)),
        "unsigned: `quay.io/acme/packages:yip-1.0`: no signature (3 of 3 places answered: not there); rule `r` [policy.yaml line 7] wants one by `acme`
  image: DIGEST
  .sig tag in `quay.io/acme/packages`: not there (404 MANIFEST_UNKNOWN)
  referrers API in `quay.io/acme/packages`: not there (404 MANIFEST_UNKNOWN)
  fallback tag in `quay.io/acme/packages`: not there (404 MANIFEST_UNKNOWN)
hint: see what is there with `luet-cosign check quay.io/acme/packages:yip-1.0`; have it signed by `acme`"
    );
}

#[test]
fn by_strangers() {
    let matched = matched("");
    let strangers = vec![
        Err(Failure::new(Class::Identity, "a signature that the trusted key did not make")),
        Ok(signature("other", &OTHER, &image_digest())),
    ];
    assert_eq!(
        text(&matched, &with_signatures(absent(&matched, None), strangers)),
        "identity: `quay.io/acme/packages:yip-1.0`: 2 signatures found, none by a trusted signer (3 of 3 places answered); rule `r` [policy.yaml line 7] wants one by `acme`
  image: DIGEST
  legacy signature, .sig tag in `quay.io/acme/packages`: identity: a signature that the trusted key did not make
  legacy signature, .sig tag in `quay.io/acme/packages`: holds, by `other` (key OTHER), but identity: it is not by a signer that the rule trusts
  .sig tag in `quay.io/acme/packages`: there, with 2 signatures
  referrers API in `quay.io/acme/packages`: not there (404 MANIFEST_UNKNOWN)
  fallback tag in `quay.io/acme/packages`: not there (404 MANIFEST_UNKNOWN)
hint: see what is there with `luet-cosign check quay.io/acme/packages:yip-1.0`; trust that signer in rule `r` [policy.yaml line 7] only if this image is theirs to sign"
    );
}

#[test]
fn for_another_name() {
    let matched = matched(", bind_tag: required");
    let claims = SignerClaims {
        repository: "quay.io/acme/packages".parse().ok(),
        tag: "yip-0.9".parse().ok(),
        ..SignerClaims::default()
    };
    let evidence = with_signatures(
        absent(&matched, None),
        vec![Ok(signature_for("acme", &ACME, &image_digest(), &claims))],
    );
    let text = text(&matched, &evidence);
    assert!(
        text.starts_with(
            "binding: `quay.io/acme/packages:yip-1.0`: a legacy signature by `acme` (key ACME) was made for `quay.io/acme/packages:yip-0.9`, not for `quay.io/acme/packages:yip-1.0` (3 of 3 places answered); rule `r` [policy.yaml line 7] wants one by `acme`\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("\n  .sig tag in `quay.io/acme/packages`: there, with 1 signature\n"),
        "{text}"
    );
}

#[test]
fn could_not_be_asked() {
    let matched = matched("");
    let mut evidence = absent(&matched, None);
    evidence.places[1].answer = PlaceAnswer::Failed(Failure::new(Class::Auth, "401 UNAUTHORIZED"));
    let text = text(&matched, &evidence);
    assert!(
        text.starts_with(
            "auth: `quay.io/acme/packages:yip-1.0`: the referrers API in `quay.io/acme/packages`: 401 UNAUTHORIZED (2 of 3 places answered); rule `r` [policy.yaml line 7] wants one by `acme`\n  image: DIGEST\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("\n  referrers API in `quay.io/acme/packages`: auth: 401 UNAUTHORIZED\n"),
        "{text}"
    );
}

#[test]
fn the_digest_stands_once_and_another_subject_where_it_is_another() {
    let matched = matched("");
    let child = Digest::of(b"child");
    let text = text(&matched, &absent(&matched, Some(child)));
    assert_eq!(text.matches("DIGEST").count(), 1, "{text}");
    assert_eq!(text.matches(&child.to_string()).count(), 3, "{text}");
    assert!(text.contains("6 of 6 places"), "{text}");
    // A name by tag and digest is shown by its tag; one by digest is the name that the user gave.
    let both = reference(&format!("{IMAGE}@{}", image_digest()));
    let policy = load(&with_rules("  - {name: r, scope: quay.io/acme/packages, trust: [acme]}\n"));
    let matched = policy.matching(&both, now());
    let Decision::Refused(failure) = decide(&matched, &absent(&matched, None)) else { panic!() };
    assert!(failure.message().starts_with(&format!("`{IMAGE}`: no signature")), "{failure}");
    let pinned = reference(&format!("quay.io/acme/packages@{}", image_digest()));
    let matched = policy.matching(&pinned, now());
    let Decision::Refused(failure) = decide(&matched, &absent(&matched, None)) else { panic!() };
    assert!(failure.message().starts_with(&format!("`{pinned}`: no signature")), "{failure}");
}
