//! Rows S of docs/threats.md on every form, each with its class.

use super::*;
use jiff::SignedDuration;
use testkit::sigstore::{
    CODE_SIGNING, Kind, Leaf, Log, San, Sct, Stamp, TIME_STAMPING, Tsa, Window, mixing,
};

type Verdict = Result<VerifiedSignature, Failure>;

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Signs in every form, and asserts the class in each.
#[track_caller]
fn check(what: &str, change: impl for<'a> Fn(Signing<'a>) -> Signing<'a>, expected: &str) {
    for form in Form::ALL {
        let verdict = form.judge(&form.sign(change(begin(form, sigstore()))), &Judge::new());
        assert_eq!(class(&verdict), expected, "{what}, {form:?}: {verdict:?}");
    }
}

/// The same, with another trusted root.
#[track_caller]
fn check_root(what: &str, change: impl Fn(&mut Value), expected: [&str; 3]) {
    let mut judge = Judge::new();
    change(&mut judge.root);
    for (form, expected) in Form::ALL.into_iter().zip(expected) {
        let verdict = form.judge(&form.sign(begin(form, sigstore())), &judge);
        assert_eq!(class(&verdict), expected, "{what}, {form:?}: {verdict:?}");
    }
}

#[test]
fn what_is_good_is_accepted_and_says_who_and_when() {
    let then = sigstore().now - hours(3);
    for form in Form::ALL {
        for tsa in [false, true] {
            let signature =
                form.sign(begin(form, sigstore()).at(then).tsa(tsa || form == Form::BundleV2));
            let verified = form
                .judge(&signature, &Judge::new())
                .unwrap_or_else(|failure| panic!("{form:?}: {}", failure.text()));
            let certificate = verified.certificate().unwrap();
            assert_eq!((certificate.subject().as_str(), certificate.issuer()), DEV);
            assert_eq!(
                verified.times().first().map(|time| time.as_second()),
                Some(then.as_second()),
                "{form:?} {:?}",
                verified.times()
            );
            assert_eq!(
                verified.log_index().is_some(),
                form != Form::BundleV2,
                "a v2 index is signed by nobody"
            );
            assert_eq!(verified.image(), &image());
        }
    }
    for kind in [Kind::Intoto, Kind::Dsse] {
        Judge::new().bundle(&sigstore().sign().entry(kind).image(IMAGE).bundle()).unwrap();
    }
}

#[test]
fn a_certificate_of_another_authority_proves_nothing() {
    let other = Sigstore::new();
    let claims = |verdict: &Result<VerifiedSignature, Failure>| {
        let claim = "it claims to be by `dev@example.com` (issuer `https://issuer.example`)";
        verdict.as_ref().unwrap_err().details().any(|line| line == claim)
    };
    for form in Form::ALL {
        let verdict = form.judge(&form.sign(begin(form, &other)), &Judge::new());
        // Whatever is looked at first is of a log or authority that nobody here knows.
        assert!(["identity", "tlog", "time"].contains(&class(&verdict)), "{form:?}: {verdict:?}");
        assert!(claims(&verdict), "{form:?}: {verdict:?}");
    }
    // S15: everything is trusted but the authority, which has the trusted one's name and another
    // key.
    let mut judge = Judge { root: other.trusted_root(), ..Judge::new() };
    judge.root["certificateAuthorities"] =
        sigstore().trusted_root()["certificateAuthorities"].clone();
    for form in Form::ALL {
        let verdict = form.judge(&form.sign(begin(form, &other)), &judge);
        assert_eq!(class(&verdict), "identity", "{form:?}: {verdict:?}");
        assert!(claims(&verdict), "{form:?}: {verdict:?}");
        // Who is named as a stranger is not named again.
        let verdict = form.judge(
            &form.sign(begin(form, sigstore())),
            &Judge::of([Authority::of_identity(named(("eve", "x")))]),
        );
        assert!(class(&verdict) == "identity" && !claims(&verdict), "{form:?}: {verdict:?}");
    }
}

#[test]
fn names_that_are_not_the_one_asked_for_are_strangers() {
    check("another name", |signing| signing.identity("eve@example.com"), "identity");
    check("another issuer", |signing| signing.issuer("https://issuer.example.evil"), "identity");
    check("another case", |signing| signing.identity("Dev@example.com"), "identity");
    check("more behind it", |signing| signing.identity("dev@example.com.evil"), "identity");
    check(
        "a URI of the same text",
        |signing| signing.leaf(|leaf| leaf.names = vec![San::Uri("dev@example.com".to_owned())]),
        "verified",
    );
    let set = |leaf: &mut Leaf<'_>, names: [&str; 2]| leaf.names = names.map(San::of).to_vec();
    check(
        "a second name",
        |signing| signing.leaf(|leaf| set(leaf, ["dev@example.com", "eve@example.com"])),
        "identity",
    );
    check(
        "a first name",
        |signing| signing.leaf(|leaf| set(leaf, ["eve@example.com", "dev@example.com"])),
        "identity",
    );
    check("no name", |signing| signing.leaf(|leaf| leaf.names.clear()), "identity");
}

#[test]
fn issuers_that_disagree_say_nothing() {
    check("v2 alone", |signing| signing.leaf(|leaf| drop(leaf.claims.remove(&1))), "verified");
    check("v1 alone", |signing| signing.leaf(|leaf| drop(leaf.claims.remove(&8))), "verified");
    check("none", |signing| signing.leaf(|leaf| leaf.claims.clear()), "identity");
    check(
        "v1 is another's",
        |signing| signing.leaf(|leaf| leaf.claim(1, "https://evil.example")),
        "identity",
    );
    check(
        "v2 is another's",
        |signing| signing.leaf(|leaf| leaf.claim(8, "https://evil.example")),
        "identity",
    );
    check(
        "v2 is broken",
        |signing| {
            signing.leaf(|leaf| drop(leaf.claims.insert(8, b"https://issuer.example".to_vec())))
        },
        "malformed",
    );
}

#[test]
fn certificates_that_are_not_for_signing_are_refused() {
    check("no purpose", |signing| signing.leaf(|leaf| leaf.purposes = Vec::new()), "identity");
    check(
        "another purpose",
        |signing| signing.leaf(|leaf| leaf.purposes = vec![TIME_STAMPING]),
        "identity",
    );
    check("an authority", |signing| signing.leaf(|leaf| leaf.authority = true), "identity");
}

#[test]
fn a_certificate_must_have_been_logged() {
    check("no timestamp", |signing| signing.leaf(|leaf| leaf.scts.clear()), "tlog");
    let other = Sigstore::new();
    for form in Form::ALL {
        let signing = form
            .signing(sigstore())
            .leaf(|leaf| leaf.scts = vec![Sct { log: &other.ct, ..leaf.scts[0] }]);
        let verdict = form.judge(&form.sign(signing), &Judge::new());
        assert_eq!(class(&verdict), "tlog", "another log, {form:?}: {verdict:?}");
        let judge = Judge { certificate_log: CertificateLog::Ignored, ..Judge::new() };
        let verdict =
            form.judge(&form.sign(begin(form, sigstore()).leaf(|leaf| leaf.scts.clear())), &judge);
        assert_eq!(class(&verdict), "verified", "not asked for, {form:?}: {verdict:?}");
    }
}

#[test]
fn times_outside_of_a_window_are_refused() {
    let window = |from: Timestamp| Window { from, until: from + SignedDuration::from_mins(10) };
    let then = sigstore().now - hours(5);
    check(
        "made after the certificate ended",
        |signing| signing.at(then).leaf(|leaf| leaf.window = window(then - hours(1))),
        "time",
    );
    check(
        "made before it began",
        |signing| signing.at(then).leaf(|leaf| leaf.window = window(then + hours(1))),
        "time",
    );
    // S09: only the log's word counts, and not for a time that is not yet.
    for form in [Form::Legacy, Form::BundleV1] {
        let verdict = form.judge(
            &form.sign(begin(form, sigstore()).at(sigstore().now + hours(1))),
            &Judge::new(),
        );
        assert_eq!(class(&verdict), "time", "{verdict:?}");
        assert!(verdict.unwrap_err().the_hint().contains("clock"));
    }
}

#[test]
fn every_time_stamp_that_is_there_must_hold() {
    let other = Tsa::new(sigstore().window);
    check("a stamp", |signing| signing.tsa(true), "verified");
    for form in Form::ALL {
        let verdict = form
            .judge(&form.sign(begin(form, sigstore()).tsa(true).stamped_by(&other)), &Judge::new());
        assert_eq!(class(&verdict), "time", "{form:?}: {verdict:?}");
        let mut moved = form.sign(begin(form, sigstore()).tsa(true));
        moved.timestamp = form.sign(begin(form, sigstore()).tsa(true)).timestamp;
        let verdict = form.judge(&moved, &Judge::new());
        assert_eq!(class(&verdict), "time", "a stamp of another signature, {form:?}: {verdict:?}");
        let verdict = form.judge(
            &form.sign(
                begin(form, sigstore()).tsa(true).stamped_at(sigstore().now - hours(24 * 30)),
            ),
            &Judge::new(),
        );
        assert_eq!(
            class(&verdict),
            "time",
            "a stamp before the certificate, {form:?}: {verdict:?}"
        );
    }
    let without =
        |root: &mut Value| drop(root.as_object_mut().unwrap().remove("timestampAuthorities"));
    let mut judge = Judge::new();
    without(&mut judge.root);
    // Nobody vouches for the stamp, and where the log says the time nobody needs it.
    for (form, expected) in Form::ALL.into_iter().zip(["verified", "verified", "time"]) {
        let verdict = form.judge(&form.sign(begin(form, sigstore()).tsa(true)), &judge);
        assert_eq!(class(&verdict), expected, "{form:?}: {verdict:?}");
    }
}

/// The stamps of a signature in a form, where it has these alone.
fn stamped(form: Form, signature: &Signature, stamps: &[Vec<u8>], judge: &Judge) -> Verdict {
    let mut signature = signature.clone();
    signature.timestamp = stamps.first().cloned();
    if form == Form::Legacy {
        return form.judge(&signature, judge);
    }
    let mut bundle = signature.bundle();
    let list = stamps
        .iter()
        .map(|stamp| json!({"signedTimestamp": testkit::sigstore::b64(stamp)}))
        .collect::<Vec<_>>();
    bundle["verificationMaterial"]["timestampVerificationData"] =
        json!({"rfc3161Timestamps": list});
    judge.bundle(&bundle)
}

/// What nobody here can check counts as nothing: where a log that is known says the time, that is
/// the time; where nothing else does, there is none, and the reason names the authority.
#[test]
fn a_time_stamp_of_an_unknown_authority_counts_as_nothing() {
    let foreign = Tsa::foreign(sigstore().window);
    let then = sigstore().now - hours(1);
    for form in Form::ALL {
        let signature = form.sign(begin(form, sigstore()));
        for at in [then, then - hours(24 * 30), sigstore().now + hours(24)] {
            let stamp = Stamp::new(&foreign, &signature.signature, at);
            for stamp in [stamp.clone(), stamp.with_certificates()] {
                let verdict = stamped(form, &signature, &[stamp.encode()], &Judge::new());
                if form != Form::BundleV2 {
                    let verified =
                        verdict.unwrap_or_else(|failure| panic!("{form:?}: {}", failure.text()));
                    assert_eq!(verified.times(), [then], "{form:?}");
                    continue;
                }
                let failure = verdict.unwrap_err();
                assert_eq!(failure.class().word(), "time");
                for text in [failure.message(), failure.the_hint()] {
                    let name = if stamp.certificates.is_empty() {
                        "CN=foreign-tsa-root,O=elsewhere.test"
                    } else {
                        "CN=test-tsa,O=sigstore.test"
                    };
                    assert!(text.contains(name) && !text.contains("clock"), "{text}");
                }
            }
        }
        // Beside one that is known it neither helps nor harms.
        if form != Form::Legacy {
            let strange = foreign.stamp(&signature.signature, then - hours(24 * 30));
            let known = |at| sigstore().tsa.stamp(&signature.signature, at);
            for (at, expected) in [(then, "verified"), (then - hours(24), "time")] {
                for stamps in [[strange.clone(), known(at)], [known(at), strange.clone()]] {
                    let verdict = stamped(form, &signature, &stamps, &Judge::new());
                    assert_eq!(class(&verdict), expected, "{form:?}: {verdict:?}");
                }
            }
        }
    }
}

/// Who signed is a part of a stamp that nobody signs. Called a stranger's, a known authority's bad
/// stamp gains what taking it away gains: the rest must do by itself.
#[test]
fn a_time_stamp_that_is_called_a_stranger_s_proves_nothing() {
    let foreign = Tsa::foreign(sigstore().window);
    let (tsa, then) = (&sigstore().tsa, sigstore().now - hours(1));
    for form in Form::ALL {
        let signature = form.sign(begin(form, sigstore()));
        let alone = class(&stamped(form, &signature, &[], &Judge::new()));
        assert_eq!(alone, if form == Form::BundleV2 { "time" } else { "verified" });
        let own = signature.signature.as_slice();
        for (what, bytes, at) in [
            ("good", own, then),
            ("of another signature", b"another".as_slice(), then),
            ("outside of the certificate's time", own, then - hours(24)),
        ] {
            let honest = Stamp::new(tsa, bytes, at);
            let dressed = Stamp { called: Some(&foreign), ..honest.clone() }.encode();
            let verdict = stamped(form, &signature, &[dressed], &Judge::new());
            assert_eq!(class(&verdict), alone, "{what}, {form:?}: {verdict:?}");
            if let Ok(verified) = verdict {
                assert_eq!(verified.times(), [then], "{what}, {form:?}: only the log's");
            }
            let verdict = stamped(form, &signature, &[honest.encode()], &Judge::new());
            let expected = if what == "good" { "verified" } else { "time" };
            assert_eq!(class(&verdict), expected, "{what}, {form:?}: {verdict:?}");
        }
        // A stranger's that calls itself the known one's, alone or beside itself, has to hold.
        let claimed = Stamp { called: Some(tsa), ..Stamp::new(&foreign, own, then) };
        let both = Stamp { signers: vec![&foreign, tsa], ..Stamp::new(tsa, own, then - hours(24)) };
        for stamp in [claimed, both] {
            let verdict = stamped(form, &signature, &[stamp.encode()], &Judge::new());
            assert_eq!(class(&verdict), "time", "{form:?}: {verdict:?}");
        }
        let verdict = stamped(form, &signature, &[b"no stamp".to_vec()], &Judge::new());
        assert_eq!(class(&verdict), "time", "{form:?}: {verdict:?}");
    }
    // Nothing of it makes up for a log whose word does not hold, or is not there.
    let stranger = |signature: &Signature| foreign.stamp(&signature.signature, then);
    let mut bad = sigstore().sign().image(IMAGE);
    bad.entry.as_mut().unwrap().promise = sigstore().sign().image(IMAGE).entry.unwrap().promise;
    let verdict = stamped(Form::BundleV1, &bad, &[stranger(&bad)], &Judge::new());
    assert_eq!(class(&verdict), "tlog", "{verdict:?}");
    bad.entry.as_mut().unwrap().promise = None;
    let verdict = stamped(Form::BundleV1, &bad, &[stranger(&bad)], &Judge::new());
    assert_eq!(class(&verdict), "time", "{verdict:?}");
    let late = sigstore().sign().integrated_at(sigstore().now).image(IMAGE);
    let verdict = stamped(Form::BundleV1, &late, &[stranger(&late)], &Judge::new());
    assert_eq!(class(&verdict), "time", "{verdict:?}");
}

#[test]
fn windows_of_authorities_and_logs_count() {
    let ended = (sigstore().now - hours(24 * 30)).to_string();
    let end = |list: &'static str, pointer: &'static str| {
        let ended = ended.clone();
        move |root: &mut Value| {
            for entry in root[list].as_array_mut().unwrap() {
                entry.pointer_mut(pointer).unwrap()["end"] = json!(ended);
            }
        }
    };
    check_root("an authority that ended", end("certificateAuthorities", "/validFor"), ["time"; 3]);
    check_root("a certificate log that ended", end("ctlogs", "/publicKey/validFor"), ["tlog"; 3]);
    // T12, and the crate's weak spot 9: also where only the checkpoint is by the key that ended.
    check_root("a log that ended", end("tlogs", "/publicKey/validFor"), ["tlog"; 3]);
}

/// T11: a key of a log counts in a time that the root names; an authority's certificate has one of
/// its own.
#[test]
fn a_root_that_does_not_say_when_a_log_counts_is_refused() {
    for list in ["tlogs", "ctlogs"] {
        for bad in [
            None,
            Some(json!({})),
            Some(json!({"start": "yesterday"})),
            Some(json!({"end": "2999-01-01T00:00:00Z"})),
        ] {
            let change = |root: &mut Value| {
                let key = root[list][0]["publicKey"].as_object_mut().unwrap();
                match &bad {
                    None => drop(key.remove("validFor")),
                    Some(bad) => drop(key.insert("validFor".to_owned(), bad.clone())),
                }
            };
            check_root(&format!("{list}: {bad:?}"), change, ["trustroot"; 3]);
        }
    }
}

/// S12 (cosign CVE-2026-24122): an intermediate that the root names, and that ended before the
/// signature was made.
#[test]
fn an_intermediate_that_ended_signs_nothing() {
    let mut other = Sigstore::new();
    let short = Window { from: other.window.from, until: other.now - hours(24) };
    other.fulcio = other.root.intermediate(
        "CN=test-fulcio-intermediate,O=sigstore.test",
        &[CODE_SIGNING],
        short,
    );
    let judge = Judge { root: other.trusted_root(), ..Judge::new() };
    for form in Form::ALL {
        let verdict = form.judge(&form.sign(begin(form, &other)), &judge);
        assert_eq!(class(&verdict), "time", "{form:?}: {verdict:?}");
    }
    other.fulcio = other.root.intermediate(
        "CN=test-fulcio-intermediate,O=sigstore.test",
        &[TIME_STAMPING],
        other.window,
    );
    let verdict = Judge { root: other.trusted_root(), ..Judge::new() }
        .bundle(&other.sign().image(IMAGE).bundle());
    assert_eq!(class(&verdict), "trustroot", "an authority that is not for signing: {verdict:?}");
}

#[test]
fn an_entry_must_be_proven_by_the_log_that_it_names() {
    check("no entry", |signing| signing.without_log(), "tlog");
    let other = Log::v1("rekor.other");
    for form in [Form::Legacy, Form::BundleV1] {
        let verdict =
            form.judge(&form.sign(begin(form, sigstore()).logged_in(&other)), &Judge::new());
        assert_eq!(class(&verdict), "tlog", "a log that nobody knows, {form:?}: {verdict:?}");
    }
    let good = sigstore().sign().image(IMAGE).bundle();
    let entry = "/verificationMaterial/tlogEntries/0";
    for (what, pointer, value, expected) in [
        ("no proof", "/inclusionProof", Value::Null, "tlog"),
        ("no promise", "/inclusionPromise", Value::Null, "time"),
        (
            "another kind",
            "/kindVersion",
            json!({"kind": "hashedrekord", "version": "0.0.1"}),
            "unsupported",
        ),
        (
            "a kind that nobody knows",
            "/kindVersion",
            json!({"kind": "rekord", "version": "0.0.1"}),
            "malformed",
        ),
        ("another time", "/integratedTime", json!("1700000000"), "tlog"),
        ("another position", "/logIndex", json!("7"), "tlog"),
        ("a position below zero", "/logIndex", json!("-1"), "malformed"),
        (
            "another root",
            "/inclusionProof/rootHash",
            json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            "tlog",
        ),
        ("an empty proof", "/inclusionProof/checkpoint/envelope", json!(""), "tlog"),
        ("an unknown field", "/x", json!(1), "malformed"),
    ] {
        let mut bundle = good.clone();
        let entry = bundle.pointer_mut(entry).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        entry.pointer_mut(parent).unwrap()[key] = value;
        let verdict = Judge::new().bundle(&bundle);
        assert_eq!(class(&verdict), expected, "{what}: {verdict:?}");
    }
    // S27: one entry twice is one.
    let mut twice = good.clone();
    let list =
        twice.pointer_mut("/verificationMaterial/tlogEntries").unwrap().as_array_mut().unwrap();
    list.push(list[0].clone());
    assert_eq!(class(&Judge::new().bundle(&twice)), "malformed");
}

/// S08: a checkpoint by a log that is trusted as well, but is not the one that the entry names.
#[test]
fn a_checkpoint_of_another_trusted_log_is_refused() {
    let mut signature = sigstore().sign().image(IMAGE);
    let entry = signature.entry.as_mut().unwrap();
    let proof = entry.proof.as_mut().unwrap();
    proof.checkpoint = sigstore().rekor2.checkpoint(proof.size, &proof.root);
    assert_eq!(class(&Judge::new().bundle(&signature.bundle())), "tlog");
    // Nobody signs the name of the log in an entry of Rekor v2; it is held to it all the same.
    let mut signature = sigstore().sign().log(LogKind::V2).image(IMAGE);
    let proof = signature.entry.as_mut().unwrap().proof.as_mut().unwrap();
    proof.checkpoint = sigstore().rekor1.checkpoint(proof.size, &proof.root);
    assert_eq!(class(&Judge::new().bundle(&signature.bundle())), "tlog");
}

/// S11: which of several signers a reader checks would be its own choice.
#[test]
fn a_time_stamp_has_one_signer() {
    let other = Tsa::new(sigstore().window);
    let at = sigstore().now - hours(1);
    for form in Form::ALL {
        for place in [0, 1] {
            let mut signature = form.sign(begin(form, sigstore()).tsa(true));
            let mut stamp = Stamp::new(&sigstore().tsa, &signature.signature, at);
            stamp.signers.insert(place, &other);
            signature.timestamp = Some(stamp.encode());
            let verdict = form.judge(&signature, &Judge::new());
            assert_eq!(class(&verdict), "time", "{form:?}: {verdict:?}");
        }
    }
}

/// S28, with S04 and S05: of three good signatures of one image, by one identity or key or not, no
/// mixture is good.
#[test]
fn parts_of_three_good_signatures_make_no_fourth() {
    for form in Form::ALL {
        let key = testkit::sigstore::Key::p256();
        for shared in [false, true] {
            let one = |hour: i64| {
                let signing = begin(form, sigstore()).at(sigstore().now - hours(hour)).tsa(true);
                let signing = if shared { signing.with_key(&key) } else { signing };
                form.sign(signing)
            };
            let three = [one(1), one(2), one(3)];
            let judge = Judge::new();
            let judge = |signature: &Signature| {
                form.judge(signature, &judge).map(|_| ()).map_err(|failure| failure.text())
            };
            assert_eq!(mixing::misjudged(&three, judge), [], "{form:?}, one key: {shared}");
        }
    }
}

/// R17, S18: an attestation by the right signer is not a signature, and a statement of another image
/// is of another image.
#[test]
fn statements_of_something_else_are_no_signatures_of_this() {
    let mut statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": image().hex()}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    });
    let parse = |statement: &Value| {
        let bundle = sigstore().sign().statement(statement).bundle();
        Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry).unwrap()
    };
    let none =
        Judge::new().with(|checker| Ok(check_bundle(&parse(&statement), &image(), checker)?));
    assert_eq!(none, Ok(None), "an attestation");
    statement["predicateType"] = json!("https://sigstore.dev/cosign/sign/v1");
    statement["subject"][0]["digest"]["sha256"] = json!(Digest::of(b"other").hex());
    let verdict = Judge::new().bundle(&sigstore().sign().statement(&statement).bundle());
    assert_eq!(class(&verdict), "binding");
    let legacy = sigstore().sign().legacy(&Digest::of(b"other").to_string());
    assert_eq!(class(&Judge::new().legacy(&layer(&legacy), legacy.payload())), "binding");
}

#[test]
fn forms_that_carry_no_keyless_signature_say_so() {
    let signature = sigstore().sign().entry(Kind::Rekord).legacy(IMAGE);
    let verdict = Judge::new().legacy(&layer(&signature), signature.payload());
    assert_eq!(class(&verdict), "unsupported", "{verdict:?}");
    for version in [testkit::sigstore::Version::V01, testkit::sigstore::Version::V02] {
        let bundle = sigstore().sign().image(IMAGE).bundle_of(version);
        assert_eq!(class(&Judge::new().bundle(&bundle)), "unsupported");
    }
    let blob = sigstore().sign().blob(b"blob").bundle();
    assert_eq!(class(&Judge::new().bundle(&blob)), "unsupported");
}

#[test]
fn what_is_written_wrong_beside_a_legacy_signature_is_malformed() {
    let signature = sigstore().sign().tsa(true).legacy(IMAGE);
    let bundle: Value =
        serde_json::from_str(&signature.annotations()["dev.sigstore.cosign/bundle"]).unwrap();
    let mut extra = bundle.clone();
    extra["Payload"]["x"] = json!(1);
    let pem = signature.annotations()["dev.sigstore.cosign/certificate"].clone();
    for (name, value, expected) in [
        ("bundle", String::new(), "tlog"),
        ("bundle", "{}".to_owned(), "malformed"),
        ("bundle", extra.to_string(), "malformed"),
        ("certificate", format!("{pem}{pem}"), "malformed"),
        ("certificate", "x".to_owned(), "malformed"),
        ("chain", "x".to_owned(), "malformed"),
        ("chain", pem.repeat(11), "limit"),
        ("rfc3161timestamp", "{}".to_owned(), "malformed"),
        ("rfc3161timestamp", r#"{"SignedRFC3161Timestamp":"AAAA"}"#.to_owned(), "time"),
    ] {
        let mut layer = layer(&signature);
        layer["annotations"][format!("dev.sigstore.cosign/{name}")] = json!(value);
        let verdict = Judge::new().legacy(&layer, signature.payload());
        assert_eq!(class(&verdict), expected, "{name} {value}: {verdict:?}");
    }
    let mut empty_chain = layer(&signature);
    empty_chain["annotations"]["dev.sigstore.cosign/chain"] = json!("");
    assert_eq!(
        class(&Judge::new().legacy(&empty_chain, signature.payload())),
        "verified",
        "cosign writes an empty one"
    );
}

#[test]
fn two_logs_may_have_the_same_entry() {
    let second = Log::v1("second.test").with_strangers(3, sigstore().window.from);
    let mut judge = Judge::new();
    let mut log = judge.root["tlogs"][0].clone();
    log["publicKey"]["rawBytes"] = json!(testkit::sigstore::b64(&second.key.spki()));
    log["logId"]["keyId"] = json!(testkit::sigstore::b64(&second.id()));
    judge.root["tlogs"].as_array_mut().unwrap().push(log);
    let signature = sigstore().sign().image(IMAGE);
    let body: Value = serde_json::from_slice(&signature.entry.as_ref().unwrap().body).unwrap();
    let entry = second.add(
        signature.entry.as_ref().unwrap().kind,
        &body,
        signature.entry.as_ref().unwrap().integrated.unwrap(),
    );
    let mut bundle = signature.bundle();
    bundle["verificationMaterial"]["tlogEntries"]
        .as_array_mut()
        .unwrap()
        .push(entry.bundle_entry());
    let verdict = judge.bundle(&bundle);
    assert_eq!(class(&verdict), "verified", "{verdict:?}");
}

/// S12 of a time stamping authority: its root ended, its own certificate and the trusted root's
/// window did not.
#[test]
fn a_time_stamp_under_a_root_that_ended_says_nothing() {
    let ended = Window { from: sigstore().window.from, until: sigstore().now - hours(24) };
    for (window, expected) in [(ended, "time"), (sigstore().window, "verified")] {
        let root = testkit::sigstore::Authority::root("CN=test-tsa-root,O=sigstore.test", window);
        let tsa = Tsa::with(root, &[TIME_STAMPING], sigstore().window);
        let mut judge = Judge::new();
        let chain = [tsa.der(), tsa.root.der()]
            .map(|der| json!({"rawBytes": testkit::sigstore::b64(&der)}));
        judge.root["timestampAuthorities"][0]["certChain"]["certificates"] = json!(chain);
        for form in Form::ALL {
            let verdict =
                form.judge(&form.sign(begin(form, sigstore()).tsa(true).stamped_by(&tsa)), &judge);
            assert_eq!(class(&verdict), expected, "{form:?}: {verdict:?}");
        }
    }
}

/// What a newer trusted root could change is asked for; what none can is not, or a stranger could
/// have it asked for at will.
#[test]
fn a_newer_root_is_wanted_only_where_it_could_know_more() {
    let ended = json!((sigstore().now - hours(24 * 30)).to_string());
    let wanted = |signature: &Signature, change: &dyn Fn(&mut Value)| {
        let mut root = sigstore().trusted_root();
        change(&mut root);
        let root = TrustedRoot::parse(root.to_string().as_bytes(), "of the test").unwrap();
        let bundle =
            Bundle::parse(signature.bundle().to_string().as_bytes(), BundleSource::Registry)
                .unwrap();
        root.certify_bundle(&bundle, &image().into(), CertificateLog::Required).unwrap_err().unknown
    };
    let (good, other) = (sigstore().sign().tsa(true).image(IMAGE), Sigstore::new().trusted_root());
    assert!(
        wanted(&good, &|root| root["tlogs"] = other["tlogs"].clone()),
        "a log that is not known"
    );
    assert!(
        wanted(&good, &|root| root["tlogs"][0]["publicKey"]["validFor"]["end"] = ended.clone()),
        "a log whose key ended"
    );
    assert!(
        wanted(&good, &|root| root["ctlogs"] = other["ctlogs"].clone()),
        "a certificate log that is not known"
    );
    assert!(
        wanted(&good, &|root| root["certificateAuthorities"] =
            other["certificateAuthorities"].clone()),
        "an authority that is not known"
    );
    assert!(
        wanted(&good, &|root| root["certificateAuthorities"][0]["validFor"]["end"] = ended.clone()),
        "an authority that ended"
    );
    let stamped = sigstore().sign().tsa(true).stamped_by(&Tsa::new(sigstore().window)).image(IMAGE);
    assert!(wanted(&stamped, &|_| ()), "an authority of time stamps whose key is not known");
    let foreign = Tsa::foreign(sigstore().window);
    let stamped = sigstore().sign().log(LogKind::V2).stamped_by(&foreign).image(IMAGE);
    assert!(wanted(&stamped, &|_| ()), "an authority of time stamps that is not known");
    let mut unpromised = good.clone();
    unpromised.entry.as_mut().unwrap().promise =
        sigstore().sign().image(IMAGE).entry.unwrap().promise;
    assert!(!wanted(&unpromised, &|_| ()), "the promise of another entry");
    let late = sigstore().sign().integrated_at(sigstore().now).image(IMAGE);
    assert!(!wanted(&late, &|_| ()), "logged after the certificate ended");
}

#[test]
fn a_trusted_root_is_read_up_to_its_limit_and_without_keys_that_nobody_here_knows() {
    let parse = |bytes: u64| {
        let mut text = sigstore().trusted_root().to_string().into_bytes();
        text.resize(usize::try_from(bytes).unwrap(), b' ');
        TrustedRoot::parse(&text, "of the test")
            .map(|root| root.name().to_owned())
            .map_err(|failure| failure.class().word())
    };
    let most = luet_cosign::limits::ROOT_BYTES;
    assert_eq!(
        [most, most + 1, most + 2].map(parse),
        [Ok("of the test".to_owned()), Err("trustroot"), Err("trustroot")]
    );
    let unknown =
        format!("{}/src/trust/testdata/keys/secp256k1_unsupported.pub", env!("CARGO_MANIFEST_DIR"));
    let unknown = pem::parse(std::fs::read(unknown).unwrap()).unwrap().into_contents();
    for list in ["tlogs", "ctlogs"] {
        let add = |change: &dyn Fn(&mut Value)| {
            let change = |root: &mut Value| {
                let mut more = root[list][0].clone();
                change(&mut more);
                root[list].as_array_mut().unwrap().push(more);
            };
            check_root(list, change, ["verified"; 3]);
        };
        add(&|_| ());
        add(&|log| {
            log["publicKey"]["rawBytes"] = json!(testkit::sigstore::b64(&unknown));
            log["logId"]["keyId"] = json!(testkit::sigstore::b64(&[7; 32]));
        });
    }
}
