//! Certificates for ECDSA P-384 and P-521: what their signatures and log entries must be over, and
//! that nothing which sigstore-verify checks of other certificates is left out for these.

use super::events::World;
use super::*;
use jiff::SignedDuration;
use testkit::sigstore::{
    Authority as Ca, Entry, Key, Kind, Leaf, Log, Proof, Window, body::canonical,
};

fn keys() -> [(&'static str, Key); 2] {
    [("sha384", Key::p384()), ("sha512", Key::p521())]
}

/// The digest of a message by a hash, as Rekor v1 writes it.
fn hex(hash: &str, message: &[u8]) -> String {
    let algorithm = match hash {
        "sha256" => &aws_lc_rs::digest::SHA256,
        "sha384" => &aws_lc_rs::digest::SHA384,
        _ => &aws_lc_rs::digest::SHA512,
    };
    let digest = aws_lc_rs::digest::digest(algorithm, message);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same signature, with an entry that the log made of another body.
fn logged(good: &Signature, change: impl FnOnce(&mut Value)) -> Signature {
    let entry = good.entry.as_ref().unwrap();
    let mut body: Value = serde_json::from_slice(&entry.body).unwrap();
    change(&mut body);
    assert_ne!(canonical(&body).into_bytes(), entry.body, "something is changed");
    let log = if entry.promise.is_some() { &sigstore().rekor1 } else { &sigstore().rekor2 };
    let time = sigstore().now - SignedDuration::from_hours(1);
    Signature { entry: Some(log.add(entry.kind, &body, time)), ..good.clone() }
}

#[test]
fn an_entry_names_the_digest_by_the_hash_that_is_signed() {
    for (own, key) in keys() {
        // (1) hashedrekord 0.0.1, of a legacy signature.
        let good = sigstore().sign().with_key(&key).legacy(IMAGE);
        assert_eq!(class(&Form::Legacy.judge(&good, &Judge::new())), "verified", "{own}");
        let hash = |algorithm: &str, value: String| {
            let signature = logged(&good, |body| {
                body["spec"]["data"]["hash"] = json!({"algorithm": algorithm, "value": value});
            });
            class(&Form::Legacy.judge(&signature, &Judge::new()))
        };
        let right = hex(own, good.payload());
        for other in ["sha256", "sha384", "sha512"].into_iter().filter(|other| *other != own) {
            assert_eq!(hash(other, hex(other, good.payload())), "tlog", "{own} {other}");
            assert_eq!(hash(other, right.clone()), "tlog", "{own} {other}");
            assert_eq!(hash(own, hex(other, good.payload())), "tlog", "{own} {other}");
        }
        assert_eq!(hash(own, hex(own, b"other")), "tlog", "{own}");
        assert_eq!(hash(own, right[..64].to_owned()), "tlog", "{own}: truncated");
        assert_eq!(hash(own, right[..right.len() - 2].to_owned()), "tlog", "{own}: truncated");
        assert_eq!(hash(own, String::new()), "tlog", "{own}");
        assert_eq!(hash("sha1", "ab".repeat(20)), "tlog", "{own}");
        assert_eq!(hash("", right.clone()), "tlog", "{own}");
        // (2) hashedrekord 0.0.2, of a bundle.
        let good = sigstore().sign().with_key(&key).log(LogKind::V2).image(IMAGE);
        assert_eq!(class(&Judge::new().bundle(&good.bundle())), "verified", "{own}");
        let signed = good.content.message();
        let data = |algorithm: &str, digest: &[u8]| {
            let signature = logged(&good, |body| {
                body["spec"]["hashedRekordV002"]["data"] =
                    json!({"algorithm": algorithm, "digest": testkit::sigstore::b64(digest)});
            });
            class(&Judge::new().bundle(&signature.bundle()))
        };
        let digest = |hash: &str, message: &[u8]| {
            let text = hex(hash, message);
            let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            (0..text.len()).step_by(2).map(pair).collect::<Vec<u8>>()
        };
        for (other, name) in
            [("sha256", "SHA2_256"), ("sha384", "SHA2_384"), ("sha512", "SHA2_512")]
        {
            if other == own {
                assert_eq!(data(name, &digest(own, b"other")), "tlog", "{own}");
                assert_eq!(data(name, &digest(own, &signed)[..32]), "tlog", "{own}: truncated");
                assert_eq!(data(name, &digest(own, good.payload())), "tlog", "{own}: no PAE");
            } else {
                assert_eq!(data(name, &digest(other, &signed)), "tlog", "{own} {other}");
                assert_eq!(data(name, &digest(own, &signed)), "tlog", "{own} {other}");
            }
        }
        assert_eq!(data("SHA3_384", &digest("sha384", &signed)), "unsupported", "{own}");
    }
}

/// What a client of before 2025 made: SHA-256, whatever the curve is. sigstore-go takes it as well.
#[test]
fn a_long_curve_by_sha_256_is_read_and_names_sha_256() {
    let key = Key::p521_sha256();
    for form in Form::ALL {
        let signature = form.sign(form.signing(sigstore()).with_key(&key));
        let verdict = form.judge(&signature, &Judge::new());
        assert_eq!(class(&verdict), "verified", "{form:?}: {verdict:?}");
    }
    let good = sigstore().sign().with_key(&key).legacy(IMAGE);
    let other = logged(&good, |body| {
        body["spec"]["data"]["hash"] =
            json!({"algorithm": "sha512", "value": hex("sha512", good.payload())});
    });
    assert_eq!(class(&Form::Legacy.judge(&other, &Judge::new())), "tlog");
}

#[test]
fn an_entry_names_this_signature_and_this_certificate() {
    for (own, key) in keys() {
        for form in Form::ALL {
            let good = form.sign(form.signing(sigstore()).with_key(&key));
            // Of the same signer, over the same, a moment later.
            let again = form.sign(form.signing(sigstore()).with_key(&key));
            let entry = Signature { entry: again.entry.clone(), ..good.clone() };
            let verdict = form.judge(&entry, &Judge::new());
            assert_eq!(class(&verdict), "tlog", "{own} {form:?}: {verdict:?}");
            let certificate = Signature { signer: again.signer.clone(), ..good.clone() };
            let verdict = form.judge(&certificate, &Judge::new());
            assert_eq!(class(&verdict), "tlog", "{own} {form:?}: {verdict:?}");
            // Signed by the same key over something else, and logged as that.
            let mut moved = form.sign(form.signing(sigstore()).with_key(&key).annotation("a", "b"));
            moved.content = good.content.clone();
            let verdict = form.judge(&moved, &Judge::new());
            assert_eq!(class(&verdict), "signature", "{own} {form:?}: {verdict:?}");
        }
    }
}

#[test]
fn the_log_s_proof_and_promise_of_a_long_key_s_entry_must_hold() {
    for (own, key) in keys() {
        let judge = |what: &str, good: &Signature, change: &dyn Fn(&mut Entry)| {
            let mut bad = good.clone();
            change(bad.entry.as_mut().unwrap());
            let verdict = Judge::new().bundle(&bad.bundle());
            assert!(["tlog", "malformed"].contains(&class(&verdict)), "{own} {what}: {verdict:?}");
        };
        let minute = SignedDuration::from_mins(1);
        let good = sigstore().sign().with_key(&key).image(IMAGE);
        judge("a later time", &good, &|entry| {
            entry.integrated = entry.integrated.map(|time| time + minute);
        });
        judge("another index", &good, &|entry| entry.index += 1);
        judge("a foreign promise", &good, &|entry| entry.promise = Some(Key::p256().sign(b"")));
        judge("an unknown log", &good, &|entry| entry.log = [7; 32]);
        let mut unpromised = sigstore().sign().with_key(&key).tsa(true).image(IMAGE);
        unpromised.entry.as_mut().unwrap().promise = None;
        Judge::new().bundle(&unpromised.bundle()).unwrap();
        let v2 = sigstore().sign().with_key(&key).log(LogKind::V2).image(IMAGE);
        for good in [&unpromised, &v2] {
            let proof = |change: &'static dyn Fn(&mut Proof)| {
                move |entry: &mut Entry| change(entry.proof.as_mut().unwrap())
            };
            judge("another body", good, &|entry| entry.body.push(b' '));
            judge("a hash less", good, &proof(&|proof| proof.hashes.truncate(1)));
            judge("another hash", good, &proof(&|proof| proof.hashes[0] = [7; 32]));
            judge("no proof", good, &|entry| entry.proof = None);
            let old = good.entry.as_ref().unwrap().proof.clone().unwrap();
            for name in ["rekor1.test", "rekor2.test"] {
                let strangers = [Log::v1(name), Log::v2(name)];
                for stranger in strangers {
                    let checkpoint = stranger.checkpoint(old.size, &old.root);
                    judge("a stranger's checkpoint", good, &|entry| {
                        entry.proof.as_mut().unwrap().checkpoint.clone_from(&checkpoint);
                    });
                }
            }
        }
        let proof =
            |change: fn(&mut Proof)| move |entry: &mut Entry| change(entry.proof.as_mut().unwrap());
        judge("another place", &unpromised, &proof(|proof| proof.index -= 1));
        judge("another root", &unpromised, &proof(|proof| proof.root = [7; 32]));
        judge("another place of v2", &v2, &|entry| entry.index -= 1);
        // A promise without a proof is what bundles of version 0.1 have, not these.
        judge("a promise alone", &good, &|entry| entry.proof = None);
        // A time that nobody signed must at least be possible.
        let mut unsigned = unpromised.clone();
        let entry = unsigned.entry.as_mut().unwrap();
        entry.integrated = Some(sigstore().now);
        assert_eq!(class(&Judge::new().bundle(&unsigned.bundle())), "time", "{own}: no such time");
        let late = sigstore()
            .sign()
            .with_key(&key)
            .leaf(|leaf| leaf.window.until = sigstore().now + minute * 300)
            .integrated_at(sigstore().now + minute * 200)
            .image(IMAGE);
        assert_eq!(class(&Judge::new().bundle(&late.bundle())), "time", "a time to come");
    }
}

#[test]
fn a_long_key_s_certificate_is_one_of_the_authority_s() {
    let window = sigstore().window;
    // Leaves of the shared Sigstore borrow for as long as the tests run.
    let namesake = Ca::root("CN=test-fulcio-intermediate,O=sigstore.test", window);
    let namesake: &'static Ca = Box::leak(Box::new(namesake));
    let hour = SignedDuration::from_hours(1);
    for (own, key) in keys() {
        let cases: [(&str, &str, &dyn Fn(&mut Leaf<'_>)); 5] = [
            ("another of its name", "identity", &|leaf| leaf.issuer = namesake),
            ("an authority's", "identity", &|leaf| leaf.authority = true),
            ("over", "time", &|leaf| {
                leaf.window = Window { from: leaf.window.from - hour, until: leaf.window.from };
                leaf.window.until -= SignedDuration::from_secs(1);
            }),
            ("not begun", "time", &|leaf| leaf.window.from += SignedDuration::from_secs(1)),
            ("promised for another issuer", "tlog", &|leaf| leaf.scts[0].issuer = Some([7; 32])),
        ];
        for (what, expected, change) in cases {
            for form in Form::ALL {
                let signing = form.signing(sigstore()).with_key(&key).leaf(|leaf| change(leaf));
                let verdict = form.judge(&form.sign(signing), &Judge::new());
                assert_eq!(class(&verdict), expected, "{own} {what}, {form:?}: {verdict:?}");
            }
        }
        let two = |leaf: &mut Leaf<'_>| leaf.scts.push(leaf.scts[0]);
        let early = |leaf: &mut Leaf<'_>| leaf.scts[0].at = window.from - hour;
        for change in [&two as &dyn Fn(&mut Leaf<'_>), &early] {
            let signature = sigstore().sign().with_key(&key).leaf(|leaf| change(leaf)).image(IMAGE);
            assert_eq!(class(&Judge::new().bundle(&signature.bundle())), "tlog", "{own}");
        }
    }
}

/// A root that was not told the time cannot say what is yet to come.
#[test]
fn a_long_key_needs_to_know_what_time_it_is() {
    let root = sigstore().trusted_root().to_string();
    let root = TrustedRoot::parse(root.as_bytes(), "of the test").unwrap();
    let signature = sigstore().sign().with_key(&Key::p384()).image(IMAGE);
    let bundle = signature.bundle().to_string();
    let bundle = Bundle::parse(bundle.as_bytes(), BundleSource::Registry).unwrap();
    let judge = |root: &TrustedRoot| {
        root.certify_bundle(&bundle, &image().into(), CertificateLog::Required)
            .map(|_| ())
            .map_err(|rejected| rejected.failure.class().word())
    };
    assert_eq!(judge(&root), Err("internal"));
    assert_eq!(judge(&root.at(Timestamp::now())), Ok(()));
}

/// The payload has to be read, and is read last: whose certificate, proof or identity does not
/// hold causes no request.
#[test]
fn a_payload_is_fetched_only_where_all_else_holds() {
    let world = World::new();
    let plugin = world
        .plugin
        .env("COSIGN_CERTIFICATE_IDENTITY", DEV.0)
        .env("COSIGN_CERTIFICATE_OIDC_ISSUER", DEV.1);
    let world = World { plugin, ..world };
    let stranger = Sigstore::new();
    for (own, key) in keys() {
        for (who, sigstore, identity, expected) in [
            ("dev", sigstore(), DEV.0, ""),
            ("eve", sigstore(), "eve@example.com", "identity"),
            ("another authority", &stranger, DEV.0, "tlog"),
        ] {
            let tag = format!("{own}-{expected}");
            let image = world.registry.push_image("acme/packages", &tag, &[tag.as_bytes()]);
            let signature = sigstore.sign().with_key(&key).identity(identity).legacy(&image.digest);
            let payload = Digest::of(signature.payload()).to_string();
            let signature = testkit::Signature {
                payload: signature.payload().to_vec(),
                annotations: signature.annotations().into_iter().collect(),
            };
            world.registry.push_signatures("acme/packages", &image.digest, &[signature]);
            let reply = world.before(&tag);
            assert_eq!(reply.class(), expected, "{own} {who}: {reply:?}");
            let asked = world.registry.count(&payload);
            assert_eq!(asked, usize::from(expected.is_empty()), "{own} {who}");
        }
    }
}

/// An entry of another kind about the same signature, which logs do not take.
#[test]
fn entries_of_other_kinds_are_no_evidence() {
    for (own, key) in keys() {
        let message = sigstore().sign().with_key(&key).entry(Kind::Dsse).legacy(IMAGE);
        let verdict = Form::Legacy.judge(&message, &Judge::new());
        assert_eq!(class(&verdict), "tlog", "{own}: {verdict:?}");
        let envelope = sigstore().sign().with_key(&key).entry(Kind::HashedRekord).image(IMAGE);
        let verdict = Judge::new().bundle(&envelope.bundle());
        assert_eq!(class(&verdict), "tlog", "{own}: {verdict:?}");
        let intoto = sigstore().sign().with_key(&key).entry(Kind::Intoto).image(IMAGE);
        assert_eq!(class(&Judge::new().bundle(&intoto.bundle())), "verified", "{own}");
    }
}
