//! Published advisories of other Sigstore clients, each as a test under its number
//! (docs/threats.md).

use super::*;
use jiff::SignedDuration;
use testkit::sigstore::{CODE_SIGNING, Key, Window};

/// Two signatures of one image by one key and identity, the second while the first's certificate is
/// still good.
fn two(form: Form, key: &Key) -> [Signature; 2] {
    [62, 61].map(|minutes| {
        form.sign(
            form.signing(sigstore())
                .with_key(key)
                .at(sigstore().now - SignedDuration::from_mins(minutes)),
        )
    })
}

/// cosign: the log's evidence is not compared with the signature.
#[test]
fn cve_2022_23649_evidence_of_another_signature_by_the_same_key() {
    let key = Key::p256();
    for form in Form::ALL {
        let [ours, theirs] = two(form, &key);
        let mixed = Signature { entry: theirs.entry, ..ours };
        assert_eq!(class(&form.judge(&mixed, &Judge::new())), "tlog", "{form:?}");
    }
}

/// cosign: an attestation of another type than the one that is asked for.
#[test]
fn cve_2022_35929_an_attestation_is_not_the_signature() {
    for predicate in [
        "https://spdx.dev/Document",
        "https://sigstore.dev/cosign/sign/v1 ",
        "https://SIGSTORE.dev/cosign/sign/v1",
    ] {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": image().hex()}}],
            "predicateType": predicate,
        });
        let bundle = sigstore().sign().statement(&statement).bundle();
        let bundle = Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry).unwrap();
        let found = Judge::new().with(|checker| Ok(check_bundle(&bundle, &image(), checker)?));
        assert_eq!(found, Ok(None), "{predicate}");
    }
}

/// cosign: four ways in which a bundle beside a signature was believed.
#[test]
fn cve_2022_36056_a_bundle_is_about_this_signature_this_identity_and_is_read_at_all() {
    let (ours, eve) = (
        sigstore().sign().legacy(IMAGE),
        sigstore().sign().identity("eve@example.com").legacy(IMAGE),
    );
    let mixed = |what: Signature| class(&Judge::new().legacy(&layer(&what), what.payload()));
    assert_eq!(
        mixed(Signature { entry: eve.entry.clone(), ..ours.clone() }),
        "tlog",
        "another's entry"
    );
    assert_eq!(mixed(eve), "identity", "another's signature with an entry that is its own");
    for broken in ["x", "{}", "null", "[]"] {
        let mut layer = layer(&ours);
        layer["annotations"]["dev.sigstore.cosign/bundle"] = json!(broken);
        assert_eq!(class(&Judge::new().legacy(&layer, ours.payload())), "malformed", "{broken}");
    }
}

/// cosign: the same hole on the path of old bundles with a trusted root. So: every form, by key and
/// by certificate.
#[test]
fn cve_2026_22703_evidence_is_compared_on_every_path() {
    let key = Key::p256();
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", key.spki()));
    let public = luet_cosign::trust::PublicKey::from_pem(pem.as_bytes()).unwrap();
    let signer = luet_cosign::trust::AuthorityKind::Key { key: public.clone(), logged: true };
    let keyed = Judge::of([Authority { signer, ..Authority::of_key("acme", public) }]);
    for form in Form::ALL {
        let [ours, theirs] = two(form, &key);
        for mixed in [
            Signature { entry: theirs.entry.clone(), ..ours.clone() },
            Signature { signature: theirs.signature.clone(), ..ours.clone() },
            Signature { signer: theirs.signer.clone(), ..ours.clone() },
        ] {
            assert_ne!(class(&form.judge(&mixed, &Judge::new())), "verified", "{form:?}");
        }
        let [ours, theirs] = [1, 2].map(|hour| {
            form.sign(
                form.signing(sigstore())
                    .keyed(&key)
                    .at(sigstore().now - SignedDuration::from_hours(hour)),
            )
        });
        assert_eq!(class(&form.judge(&ours, &keyed)), "verified", "{form:?}");
        assert_eq!(
            class(&form.judge(&Signature { entry: theirs.entry, ..ours }, &keyed)),
            "tlog",
            "{form:?}"
        );
    }
}

/// cosign: only the leaf was checked at the time of the signature.
#[test]
fn cve_2026_24122_an_authority_that_had_ended() {
    let mut other = Sigstore::new();
    let ended =
        Window { from: other.window.from, until: other.now - SignedDuration::from_hours(2) };
    other.fulcio = other.root.intermediate(
        "CN=test-fulcio-intermediate,O=sigstore.test",
        &[CODE_SIGNING],
        ended,
    );
    let judge = Judge { root: other.trusted_root(), ..Judge::new() };
    for form in Form::ALL {
        assert_eq!(
            class(&form.judge(&form.sign(form.signing(&other)), &judge)),
            "time",
            "{form:?}"
        );
    }
}

/// cosign: a payload that cannot be read fell through to success.
#[test]
fn cve_2026_39395_a_signature_over_something_unreadable() {
    let cut = sigstore()
        .sign()
        .content(testkit::sigstore::Content::Message(br#"{"critical":{"image"#.to_vec()));
    assert_eq!(class(&Judge::new().legacy(&layer(&cut), cut.payload())), "malformed");
    let statement = sigstore().sign().statement(&json!("no statement"));
    assert_eq!(class(&Judge::new().bundle(&statement.bundle())), "malformed");
}

/// sigstore-go: no bound on entries, timestamps and subjects.
#[test]
fn cve_2024_45395_more_evidence_than_anyone_needs() {
    let good = sigstore().sign().tsa(true).image(IMAGE).bundle();
    for pointer in [
        "/verificationMaterial/tlogEntries",
        "/verificationMaterial/timestampVerificationData/rfc3161Timestamps",
    ] {
        let mut bundle = good.clone();
        let list = bundle.pointer_mut(pointer).unwrap();
        *list = json!(vec![list[0].clone(); 33]);
        assert_eq!(class(&Judge::new().bundle(&bundle)), "limit", "{pointer}");
    }
    let subjects: Vec<Value> = (0..1025)
        .map(|number: u32| json!({"digest": {"sha256": Digest::of(&number.to_be_bytes()).hex()}}))
        .collect();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
    });
    let verdict = Judge::new().bundle(&sigstore().sign().statement(&statement).bundle());
    assert!(matches!(class(&verdict), "limit" | "binding"), "{verdict:?}");
}

/// sigstore-js: a time that no promise vouches for.
#[test]
fn cve_2026_48816_a_time_beside_a_proof_alone() {
    let mut bundle = sigstore().sign().image(IMAGE).bundle();
    let entry =
        bundle.pointer_mut("/verificationMaterial/tlogEntries/0").unwrap().as_object_mut().unwrap();
    entry.shift_remove("inclusionPromise").unwrap();
    assert_eq!(class(&Judge::new().bundle(&bundle)), "time");
}
