//! What is spoilt in one place is refused, for that reason: so a test that spoils it elsewhere
//! tests what it says.

use super::judge::{artifact, bundle, keyless, legacy};
use super::{IMAGE, sigstore};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sigstore::{VerificationPolicy, VerificationResult};
use testkit::sigstore::{
    Authority, CODE_SIGNING, CtLog, Entry, Key, Leaf, Log, LogKind, Proof, San, Sct, Signature,
    Signing, Sigstore, Stamp, TIME_STAMPING, Tsa, Window,
};
use x509_cert::der::asn1::OctetString;
use x509_cert::ext::Extension;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[track_caller]
fn refused(what: &str, verdict: Result<VerificationResult, String>, because: &str) {
    let reason = verdict.map(|_| ()).expect_err(what);
    assert!(reason.contains(because), "{what}: {reason}");
}

/// Refuses a signature in the two forms that images have, and a log's entry in v2.
#[track_caller]
fn refused_in_all_forms<'a>(what: &str, sign: impl Fn() -> Signing<'a>, because: &str) {
    let root = sigstore().trusted_root();
    let signature = sign().legacy(IMAGE);
    refused(what, legacy(&root, signature.payload(), &signature.annotations()), because);
    refused(what, keyless(&root, &sign().image(IMAGE)), because);
    refused(what, keyless(&root, &sign().log(LogKind::V2).image(IMAGE)), because);
}

#[test]
fn certificates_that_are_wrong_in_one_thing_are_refused() {
    let model = sigstore();
    let namesake = Authority::root("CN=test-fulcio-intermediate,O=sigstore.test", model.window);
    let namesake = &namesake;
    let value = OctetString::new([5, 0]).unwrap();
    let unknown = Extension {
        extn_id: "1.3.6.1.4.1.57264.1.99".parse().unwrap(),
        critical: true,
        extn_value: value,
    };
    let cases: [(&str, &str, &dyn Fn(&mut Leaf<'_>)); 6] = [
        ("no extended key usage", "RequiredEku", &|leaf| leaf.purposes.clear()),
        ("another extended key usage", "RequiredEku", &|leaf| leaf.purposes = vec![TIME_STAMPING]),
        ("CA:TRUE", "CaUsedAsEndEntity", &|leaf| leaf.authority = true),
        ("an unknown critical extension", "UnsupportedCriticalExtension", &|leaf| {
            leaf.others.push(unknown.clone())
        }),
        ("over before it was used", "CertExpired", &|leaf| {
            leaf.window =
                Window { from: leaf.window.from - HOUR, until: leaf.window.from - MINUTE };
        }),
        ("not yet good when it was used", "CertNotValidYet", &|leaf| leaf.window.from += MINUTE),
    ];
    for (what, because, change) in cases {
        refused_in_all_forms(what, || model.sign().leaf(|leaf| change(leaf)), because);
    }
    refused_in_all_forms(
        "an authority of the same name",
        || model.sign().leaf(|leaf| leaf.issuer = namesake),
        "InvalidSignature",
    );
}

#[test]
fn promises_of_ct_logs_that_are_wrong_are_refused() {
    let model = sigstore();
    let stranger = CtLog::new();
    let stranger = &stranger;
    let sct = |leaf: &Leaf<'_>| leaf.scts[0].at;
    refused_in_all_forms("none", || model.sign().leaf(|leaf| leaf.scts.clear()), "missing SCT");
    refused_in_all_forms(
        "two",
        || model.sign().leaf(|leaf| leaf.scts.push(leaf.scts[0])),
        "multiple SCTs",
    );
    let by_stranger = || {
        model
            .sign()
            .leaf(|leaf| leaf.scts = vec![Sct { log: stranger, at: sct(leaf), issuer: None }])
    };
    refused_in_all_forms("an unknown log", by_stranger, "key not found");
    refused_in_all_forms(
        "for another issuer",
        || model.sign().leaf(|leaf| leaf.scts[0].issuer = Some([7; 32])),
        "invalid",
    );
    refused_in_all_forms(
        "before the log began",
        || model.sign().leaf(|leaf| leaf.scts[0].at = model.window.from - MINUTE),
        "not valid at",
    );
}

#[test]
fn entries_that_are_wrong_are_refused() {
    // Logs of its own: in trees of some other sizes a proof holds as well, for a size is part of no
    // hash.
    let model = Sigstore::new();
    let root = model.trusted_root();
    let judge_entry = |what: &str, good: &Signature, because: &str, change: &dyn Fn(&mut Entry)| {
        let mut bad = good.clone();
        change(bad.entry.as_mut().unwrap());
        refused(what, keyless(&root, &bad), because);
    };
    let good = model.sign().image(IMAGE);
    judge_entry("a later time", &good, "SET", &|entry| {
        entry.integrated = entry.integrated.map(|time| time + MINUTE)
    });
    judge_entry("another index", &good, "SET", &|entry| entry.index += 1);
    judge_entry("a foreign promise", &good, "SET", &|entry| {
        entry.promise = Some(Key::p256().sign(b""))
    });
    judge_entry("an unknown log", &good, "log", &|entry| entry.log = [7; 32]);
    // Without the promise the proof alone speaks for the entry, and the time stamp for the time.
    let mut good = model.sign().tsa(true).image(IMAGE);
    good.entry.as_mut().unwrap().promise = None;
    keyless(&root, &good).unwrap();
    judge_entry("another body", &good, "inclusion proof", &|entry| entry.body.push(b' '));
    let proof =
        |change: fn(&mut Proof)| move |entry: &mut Entry| change(entry.proof.as_mut().unwrap());
    judge_entry("another place", &good, "inclusion proof", &proof(|proof| proof.index -= 1));
    judge_entry("another size", &good, "inclusion proof", &proof(|proof| proof.size += 9));
    judge_entry("another root", &good, "oot hash", &proof(|proof| proof.root = [7; 32]));
    judge_entry("a hash less", &good, "inclusion proof", &proof(|proof| proof.hashes.truncate(1)));

    let (size, tree) = good
        .entry
        .as_ref()
        .and_then(|entry| entry.proof.as_ref())
        .map(|proof| (proof.size, proof.root))
        .unwrap();
    let stranger = Log::v1("rekor1.test").checkpoint(size, &tree);
    let mut forged = good.clone();
    forged.entry.as_mut().unwrap().proof.as_mut().unwrap().checkpoint = stranger;
    refused(
        "a checkpoint by a stranger of the same name",
        keyless(&root, &forged),
        "No matching Rekor key",
    );

    let tomorrow = Timestamp::now() + HOUR;
    let early = model
        .sign()
        .leaf(|leaf| leaf.window.until = tomorrow + HOUR)
        .integrated_at(tomorrow)
        .image(IMAGE);
    refused("a time to come", keyless(&root, &early), "in the future");
    let late = model.sign().integrated_at(model.now).image(IMAGE);
    refused("a time after the certificate's", keyless(&root, &late), "CertExpired");
    refused(
        "no entry",
        keyless(&root, &model.sign().without_log().tsa(true).image(IMAGE)),
        "inclusion proof",
    );
    refused(
        "v2 without a time stamp",
        keyless(&root, &model.sign().log(LogKind::V2).tsa(false).image(IMAGE)),
        "V2 bundle requires",
    );
}

#[test]
fn time_stamps_that_are_wrong_are_refused() {
    let model = sigstore();
    let root = model.trusted_root();
    let at = model.now - HOUR;
    let good = model.sign().log(LogKind::V2).image(IMAGE);
    keyless(&root, &good).unwrap();
    let stamped =
        |token: Vec<u8>| keyless(&root, &Signature { timestamp: Some(token), ..good.clone() });
    refused("for other bytes", stamped(model.tsa.stamp(b"other", at)), "mismatch");
    refused(
        "before the certificate",
        stamped(model.tsa.stamp(&good.signature, at - MINUTE)),
        "CertNotValidYet",
    );
    refused(
        "after the certificate",
        stamped(model.tsa.stamp(&good.signature, at + HOUR)),
        "CertExpired",
    );
    let stranger = Tsa::new(model.window);
    refused(
        "by a stranger of the same name",
        stamped(stranger.stamp(&good.signature, at)),
        "invalid",
    );
    let bag = Stamp::new(&stranger, &good.signature, at).with_certificates().encode();
    refused("by a stranger who brings a certificate", stamped(bag), "invalid");
    refused("not a token", stamped(vec![0x30, 0]), "");

    let ours = |tsa: Tsa| Sigstore { tsa, ..Sigstore::start(model.now) };
    let check = |what: &str, model: &Sigstore, because: &str| {
        refused(
            what,
            keyless(&model.trusted_root(), &model.sign().log(LogKind::V2).image(IMAGE)),
            because,
        );
    };
    let root = || Authority::root("CN=test-tsa-root,O=sigstore.test", model.window);
    check(
        "by a certificate for nothing",
        &ours(Tsa::with(root(), &[], model.window)),
        "RequiredEku",
    );
    check(
        "by a certificate for code",
        &ours(Tsa::with(root(), &[CODE_SIGNING], model.window)),
        "RequiredEku",
    );
    let over = Window { from: model.window.from, until: at - MINUTE };
    check(
        "by a certificate that was over",
        &ours(Tsa::with(root(), &[TIME_STAMPING], over)),
        "CertExpired",
    );
}

/// T12: a key of before is good for what was signed then, and for nothing later.
#[test]
fn the_windows_of_the_trusted_root_are_kept() {
    let model = sigstore();
    let at = model.now - HOUR;
    let closed = |pointer: &str, end: Timestamp| {
        let mut root = model.trusted_root();
        root.pointer_mut(pointer).unwrap()["validFor"]["end"] = json!(end.to_string());
        root
    };
    let v1 = model.sign().tsa(true).image(IMAGE);
    let v2 = model.sign().log(LogKind::V2).image(IMAGE);
    for (pointer, signature, because) in [
        ("/tlogs/0/publicKey", &v1, "No log key valid"),
        ("/ctlogs/0/publicKey", &v1, "not valid at"),
        ("/certificateAuthorities/0", &v1, "authority"),
        ("/timestampAuthorities/0", &v1, "outside"),
        ("/timestampAuthorities/0", &v2, "outside"),
    ] {
        refused(pointer, keyless(&closed(pointer, at - MINUTE), signature), because);
        keyless(&closed(pointer, at + MINUTE), signature).unwrap();
    }
}

#[test]
fn the_crate_reads_the_newer_claim_of_the_issuer_and_the_first_name_that_it_knows() {
    let model = sigstore();
    let root = model.trusted_root();
    let verdict = |sign: Signing<'_>| keyless(&root, &sign.image(IMAGE));
    let both = verdict(model.sign().leaf(|leaf| leaf.claim(1, "https://old.example"))).unwrap();
    assert_eq!(both.issuer(), Some("https://issuer.example"));
    let old = verdict(model.sign().leaf(|leaf| drop(leaf.claims.remove(&8)))).unwrap();
    assert_eq!(old.issuer(), Some("https://issuer.example"));
    let none = verdict(model.sign().leaf(|leaf| leaf.claims.clear())).unwrap();
    assert_eq!(none.issuer(), None);
    refused(
        "not DER",
        verdict(
            model
                .sign()
                .leaf(|leaf| drop(leaf.claims.insert(8, b"https://issuer.example".to_vec()))),
        ),
        "malformed",
    );

    let names = |names: Vec<San>| {
        verdict(model.sign().leaf(|leaf| leaf.names = names))
            .unwrap()
            .identity()
            .map(ToString::to_string)
    };
    let email = || San::Email("dev@example.com".to_owned());
    let uri = || San::Uri("https://ci.example/job".to_owned());
    let user = || San::Other("dev!example.com".to_owned());
    assert_eq!(names(vec![email(), uri()]).as_deref(), Some("dev@example.com"));
    assert_eq!(names(vec![uri(), email()]).as_deref(), Some("https://ci.example/job"));
    assert_eq!(names(vec![user(), email()]).as_deref(), Some("dev@example.com"));
    assert_eq!(names(vec![user()]), None);
    assert_eq!(names(Vec::new()), None);
}

#[test]
fn a_bundle_says_what_version_it_is() {
    let model = sigstore();
    let signature = model.sign().image(IMAGE);
    let judge = |value: &Value| {
        bundle(
            &model.trusted_root(),
            artifact(&signature.content),
            value,
            &VerificationPolicy::any_identity(),
        )
    };
    let mut old = signature.bundle();
    old["verificationMaterial"]["tlogEntries"][0]
        .as_object_mut()
        .unwrap()
        .shift_remove("inclusionProof");
    refused("0.3 without a proof", judge(&old), "inclusion proof");
    old["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json");
    refused("0.4", judge(&old), "media type");
}
