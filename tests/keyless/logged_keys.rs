//! `tlog: required`: signatures by a key that must have been logged.

use super::*;
use jiff::SignedDuration;
use luet_cosign::class::Class;
use luet_cosign::trust::{AuthorityKind, PublicKey};
use testkit::sigstore::{Key, Kind, Log, Tsa};

fn authority(key: &Key, logged: bool) -> Authority {
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", key.spki()));
    let key = PublicKey::from_pem(pem.as_bytes()).unwrap();
    Authority {
        signer: AuthorityKind::Key { key: key.clone(), logged },
        ..Authority::of_key("acme", key)
    }
}

#[test]
fn a_logged_signature_counts_and_says_when() {
    let key = Key::p256();
    let judge = Judge::of([authority(&key, true)]);
    let then = sigstore().now - SignedDuration::from_hours(9);
    for form in Form::ALL {
        let signature = form.sign(form.signing(sigstore()).keyed(&key).at(then));
        let verified = form
            .judge(&signature, &judge)
            .unwrap_or_else(|failure| panic!("{form:?}: {}", failure.text()));
        if form != Form::BundleV2 {
            assert_eq!(
                verified.times().first().map(|time| time.as_second()),
                Some(then.as_second()),
                "{form:?}"
            );
        }
        assert!(verified.certificate().is_none());
    }
    // What cosign wrote until 2021.
    let old = sigstore().sign().keyed(&key).entry(Kind::Rekord).legacy(IMAGE);
    assert!(judge.legacy(&layer(&old), old.payload()).is_ok());
}

/// What nobody here can check counts as nothing beside a key as well.
#[test]
fn a_timestamp_of_an_unknown_authority_sinks_no_logged_signature() {
    let key = Key::p256();
    let judge = Judge::of([authority(&key, true)]);
    let foreign = Tsa::foreign(sigstore().window);
    for form in Form::ALL {
        let mut signature = form.sign(form.signing(sigstore()).keyed(&key));
        signature.timestamp = Some(foreign.stamp(&signature.signature, sigstore().now));
        assert_eq!(class(&form.judge(&signature, &judge)), "verified", "{form:?}");
        signature.entry = None;
        assert_eq!(class(&form.judge(&signature, &judge)), "tlog", "{form:?}");
    }
}

#[test]
fn what_was_not_logged_or_as_something_else_does_not_count() {
    let (key, other) = (Key::p256(), Log::v1("rekor.other"));
    let (strict, lax) = (Judge::of([authority(&key, true)]), Judge::of([authority(&key, false)]));
    for form in Form::ALL {
        let plain = form.sign(form.signing(sigstore()).keyed(&key).without_log());
        assert_eq!(class(&form.judge(&plain, &strict)), "tlog", "{form:?}");
        assert_eq!(class(&form.judge(&plain, &lax)), "verified", "{form:?}");
        // S04: the entry of another signature by the same key.
        let mut borrowed = form.sign(form.signing(sigstore()).keyed(&key));
        borrowed.entry = form.sign(form.signing(sigstore()).keyed(&key)).entry;
        assert_eq!(class(&form.judge(&borrowed, &strict)), "tlog", "{form:?}");
        assert_eq!(
            class(&form.judge(&borrowed, &lax)),
            "verified",
            "attached entries are ignored beside a key, {form:?}"
        );
    }
    for form in [Form::Legacy, Form::BundleV1] {
        let elsewhere = form.sign(sigstore().sign().keyed(&key).logged_in(&other));
        assert_eq!(class(&form.judge(&elsewhere, &strict)), "tlog", "{form:?}");
    }
}

/// A root may have to be fetched, which a key that needs no log asks nobody for.
#[test]
fn a_root_is_needed_for_logs_and_certificates_alone() {
    let key = Key::p256();
    let needed =
        [authority(&key, false), authority(&key, true), Authority::of_identity(named(DEV))]
            .map(|one| one.needs_root());
    assert_eq!(needed, [false, true, true]);
    let mut roots = TrustedRoots::default();
    roots.insert(None, TrustedRoot::parse(b"{}", "of the test").map(Arc::new));
    assert_eq!(
        [None, Some(&"other".to_owned())].map(|name| roots.has(name)),
        [true, false],
        "what became of it is known: it is broken"
    );
}

/// S17: a certificate is not a key, and a key no certificate.
#[test]
fn keys_and_certificates_do_not_stand_for_each_other() {
    let key = Key::p256();
    for form in Form::ALL {
        let keyed = form.sign(form.signing(sigstore()).keyed(&key));
        assert_eq!(class(&form.judge(&keyed, &Judge::new())), "identity", "{form:?}");
        let keyless = form.sign(form.signing(sigstore()));
        assert_eq!(
            class(&form.judge(&keyless, &Judge::of([authority(&key, true)]))),
            "identity",
            "{form:?}"
        );
        let both = Judge::of([authority(&key, false), Authority::of_identity(named(DEV))]);
        assert_eq!(class(&form.judge(&keyed, &both)), "verified", "{form:?}");
        assert_eq!(class(&form.judge(&keyless, &both)), "verified", "{form:?}");
    }
}

#[test]
fn a_signature_by_another_key_is_told_by_how_many_are_trusted() {
    let (key, identity) = (Key::p256(), Authority::of_identity(named(DEV)));
    let ours = || authority(&Key::p256(), false);
    for (judges, words) in [
        (vec![identity.clone()], "a signature by a key, where only keyless signers are trusted"),
        (vec![identity.clone(), ours()], "a signature that the trusted key did not make"),
        (vec![ours(), identity, ours()], "a signature that none of the 2 trusted keys made"),
    ] {
        let judge = Judge::of(judges);
        for form in Form::ALL {
            let signature = form.sign(form.signing(sigstore()).keyed(&key).without_log());
            let failure = form.judge(&signature, &judge).unwrap_err();
            assert_eq!(
                (failure.class(), failure.message().as_str()),
                (Class::Identity, words),
                "{form:?}"
            );
        }
    }
}

/// T12: the log key may have been stolen after its end, and nobody says when the signature was
/// made.
#[test]
fn a_log_that_ended_vouches_for_nothing_that_has_no_time() {
    let key = Key::p256();
    let ended = json!((sigstore().now - SignedDuration::from_hours(24 * 30)).to_string());
    for (tsa, end) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut judge = Judge::of([authority(&key, true)]);
        if end {
            judge.root["tlogs"][1]["publicKey"]["validFor"]["end"] = ended.clone();
        }
        let signature =
            sigstore().sign().keyed(&key).logged_in(&sigstore().rekor2).tsa(tsa).image(IMAGE);
        let verdict = judge.bundle(&signature.bundle());
        assert_eq!(class(&verdict), if end { "tlog" } else { "verified" }, "{tsa} {verdict:?}");
    }
}

/// One key under two names, of which one demands a log entry: either is enough, in whatever order
/// they are named.
#[test]
fn one_key_can_be_two_signers() {
    let key = Key::p256();
    let (strict, lax) = (authority(&key, true), authority(&key, false));
    for authorities in [[strict.clone(), lax.clone()], [lax, strict.clone()]] {
        let judge = Judge::of(authorities);
        for form in Form::ALL {
            let plain = form.sign(form.signing(sigstore()).keyed(&key).without_log());
            assert_eq!(class(&form.judge(&plain, &judge)), "verified", "{form:?}");
        }
    }
    let twice = Judge::of([strict.clone(), strict]);
    let plain = sigstore().sign().keyed(&key).without_log().legacy(IMAGE);
    assert_eq!(class(&twice.legacy(&layer(&plain), plain.payload())), "tlog");
}

/// A stranger who may push puts a certificate beside the signature of a key whose signatures the
/// payload alone can show.
#[test]
fn a_certificate_beside_a_key_signature_changes_nothing() {
    let read = |name: &str| {
        std::fs::read(format!("{}/src/trust/testdata/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let manifest: Value =
        serde_json::from_slice(&read("peers/ed25519.c2leg/manifest.json")).unwrap();
    let payload = read("peers/ed25519.c2leg/payload.json");
    let mut layer = manifest["layers"][0].clone();
    let stranger = sigstore().sign().identity("eve@example.com").legacy(IMAGE).annotations();
    layer["annotations"]["dev.sigstore.cosign/certificate"] =
        json!(stranger["dev.sigstore.cosign/certificate"]);
    let key = PublicKey::from_pem(&read("keys/ed25519.pub")).unwrap();
    let judge = Judge::of([Authority::of_key("acme", key), Authority::of_identity(named(DEV))]);
    assert_eq!(class(&judge.legacy(&layer, &payload)), "verified");
}
