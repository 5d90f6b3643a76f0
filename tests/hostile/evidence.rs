//! R13, R14, R16 to R19 and R21 to R23: many signatures, hidden ones, repeated ones, and a registry
//! with two faces.

use crate::cases::Cases;
use crate::world::{BUNDLE, Place, REPO, SIGNATURE, World, bundle, pair, signed, untouched};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use luet_cosign::limits;
use serde_json::json;
use testkit::http::Answer;
use testkit::registry::{CONFIG, INDEX, LAYER, MANIFEST, SIMPLE_SIGNING, Signature, digest};
use testkit::{Sink, layer};

pub(crate) fn cases(cases: &mut Cases) {
    many(cases);
    others(cases);
    mixtures(cases);
    repeated(cases);
    elsewhere(cases);
    two_faces(cases);
    rollback(cases);
}

/// R13: more than anyone would sign.
fn many(cases: &mut Cases) {
    fn strangers(count: usize) -> Vec<Signature> {
        let one = signed("stranger", b"{}".to_vec());
        vec![one; count]
    }
    cases.add("R13", "as many strangers as are read", "identity", || {
        World::lax().put(&strangers(limits::LEGACY_SIGNATURES)).install()
    });
    cases.add("R13", "one more", "limit", || {
        World::lax().put(&strangers(limits::LEGACY_SIGNATURES + 1)).install()
    });
    cases.add("R13", "a thousand strangers cost no request", "identity", || {
        let world = World::lax().put(&strangers(limits::LEGACY_SIGNATURES));
        let class = world.install();
        assert_eq!(world.registry.count("/blobs/"), 0, "a stranger's payload was fetched");
        class
    });
    for (what, pages) in [
        ("the same page again", 1_usize),
        ("two pages in turn", 2),
        ("always a new page", usize::MAX),
    ] {
        cases.add("R13", format!("referrers: {what}"), "limit", move || {
            let world = World::lax();
            world.registry.rule("GET", &world.pattern(Place::Referrers), move |call| {
                Some(call.good().header(
                    "Link",
                    &format!("<{}?page={}>; rel=\"next\"", call.request.path(), call.nth % pages),
                ))
            });
            let class = world.install();
            assert!(world.registry.count("/referrers/") <= limits::REFERRERS_PAGES + 1);
            class
        });
    }
    let entries = |count: usize| {
        let list: Vec<_> = (0..count)
            .map(|n| json!({"mediaType": MANIFEST, "size": 2, "digest": digest(&n.to_be_bytes())}))
            .collect();
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": list}).to_string()
    };
    for (name, place) in
        [("the referrers API", Place::Referrers), ("the fallback tag", Place::Fallback)]
    {
        for (what, count) in
            [("one entry too many", limits::REFERRERS + 1), ("10^4 entries", 10_000)]
        {
            let answer = Answer::new(200).header("Content-Type", INDEX).body(entries(count));
            cases.add("R13", format!("{name}: {what}"), "limit", move || {
                World::lax().serve(place, answer.clone()).install()
            });
        }
    }
    for (what, link) in [
        ("a link that is none", "next"),
        ("a link to another host", "<http://localhost:1/more>; rel=\"next\""),
        ("a link with a user", "<//user:pw@127.0.0.1/more>; rel=\"next\""),
        ("a link that does not end", "</more; rel=\"next\""),
    ] {
        cases.add("R13", format!("referrers: {what}"), "registry", move || {
            World::lax().bend(Place::Referrers, move |answer| answer.header("Link", link)).install()
        });
    }
}

/// R14: what refers to the image and is not a signature of it.
fn others(cases: &mut Cases) {
    fn referring(kind: &'static str, content: &'static [u8]) -> World {
        let world = World::strict();
        world.registry.push_referrer(REPO, &world.image, kind, content);
        world
    }
    for (what, kind) in [
        ("an SBOM", "application/spdx+json"),
        ("an attestation of docker's", "application/vnd.in-toto+json"),
        ("cosign's SBOM", "application/vnd.dev.cosign.artifact.sbom.v1+json"),
        ("a picture", "image/png"),
    ] {
        cases.add("R14", format!("{what} is not a signature"), "unsigned", move || {
            referring(kind, b"{}").install()
        });
    }
    cases.add("R14", "a bundle that is an attestation", "unsigned", || {
        let world = World::strict();
        let mut statement: serde_json::Value =
            serde_json::from_slice(&luet_cosign::wire::write_statement(
                &world.image.digest.parse().unwrap(),
                &Default::default(),
            ))
            .unwrap();
        statement["predicateType"] = json!("https://slsa.dev/provenance/v1");
        let payload = statement.to_string().into_bytes();
        let key = &pair("acme").key;
        let signed = key.signed(&luet_cosign::wire::statement_to_sign(&payload)).unwrap();
        let bundle = luet_cosign::wire::write_bundle(&payload, &signed);
        world.registry.push_referrer(REPO, &world.image, BUNDLE, &bundle);
        world.install()
    });
    cases.add("R14", "a signature of Notary's is one that is not read", "unsupported", || {
        referring("application/vnd.cncf.notary.signature", b"{}").install()
    });
    for (name, place) in
        [("the referrers API", Place::Referrers), ("the fallback tag", Place::Fallback)]
    {
        for (what, subject) in [("of another image", true), ("of no image", false)] {
            cases.add("R14", format!("{name} lists a referrer {what}"), "binding", move || {
                let world = World::lax();
                let forged = if subject {
                    let other = world.registry.push_image(REPO, "2", &[b"other"]);
                    world.registry.push_referrer(REPO, &other, BUNDLE, &bundle("acme", &world.image.digest))
                } else {
                    let other = world.registry.push_image(REPO, "2", &[b"other"]);
                    other.digest
                };
                let size = world.registry.manifest(REPO, &forged).unwrap().1.len();
                let list =
                    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "size": size, "digest": forged}]});
                world.serve(place, Answer::new(200).header("Content-Type", INDEX).body(list.to_string())).install()
            });
        }
        cases.add(
            "R14",
            format!("{name} lists a referrer that is not there"),
            "registry",
            move || {
                let entry = json!({"mediaType": MANIFEST, "size": 2, "digest": digest(b"gone")});
                let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
                    .to_string();
                World::lax()
                    .serve(place, Answer::new(200).header("Content-Type", INDEX).body(list))
                    .install()
            },
        );
    }
}

/// R16 and R17: a stranger's beside a good one, alone, and before too many others.
fn mixtures(cases: &mut Cases) {
    cases.add("R16", "only an old key's signature is shown", "identity", || {
        World::lax().sign_as("stranger", &[]).install()
    });
    cases.add("R16", "only an old key's bundle is shown", "identity", || {
        let world = World::lax();
        world.attach("stranger");
        world.install()
    });
    cases.add(
        "R16",
        "a good bundle is hidden, and a stranger's signature shown",
        "identity",
        || {
            let world = World::lax().sign_as("stranger", &[]);
            world.attach("acme");
            world.serve(Place::Referrers, Answer::new(404)).install()
        },
    );
    let orders: [(&str, &[&str]); 4] = [
        ("good, bad", &["acme", "stranger"]),
        ("bad, good", &["stranger", "acme"]),
        ("bad, good, bad", &["stranger", "acme", "stranger"]),
        ("broken, good", &["broken", "acme"]),
    ];
    for (what, signers) in orders {
        cases.add("R17", format!("signatures: {what}"), "", move || {
            let world = World::strict();
            let one = |signer: &&str| match *signer {
                "broken" => Signature {
                    payload: b"{}".to_vec(),
                    annotations: vec![(SIGNATURE.to_owned(), "!".to_owned())],
                },
                signer => world.signature(signer, &world.image.digest, &[]),
            };
            let signatures: Vec<Signature> = signers.iter().map(one).collect();
            world.put(&signatures).install()
        });
        cases.add("R17", format!("bundles: {what}"), "", move || {
            let world = World::strict();
            for signer in signers {
                match *signer {
                    "broken" => {
                        world.registry.push_referrer(REPO, &world.image, BUNDLE, b"no bundle")
                    }
                    signer => world.attach(signer),
                };
            }
            world.install()
        });
    }
    cases.add("R17", "a good one beyond the cap", "limit", || {
        let world = World::lax();
        let mut signatures = vec![signed("stranger", b"{}".to_vec()); limits::LEGACY_SIGNATURES];
        signatures.push(world.signature("acme", &world.image.digest, &[]));
        world.put(&signatures).install()
    });
    cases.add("R17", "a broken bundle beside a stranger's signature", "malformed", || {
        let world = World::lax().sign_as("stranger", &[]);
        world.registry.push_referrer(REPO, &world.image, BUNDLE, b"no bundle");
        world.install()
    });
}

/// R18: one signer, again and again.
fn repeated(cases: &mut Cases) {
    fn asked_twice() -> World {
        let world = World::lax();
        let text = format!(
            "version: 1\ndefaults: {{unmatched: deny}}\nsigners:\n  acme: {{key: acme.pub}}\n  second: {{key: stranger.pub}}\nrepositories:\n  - {{name: r, scope: \"{}\", trust: {{all_of: [acme, second]}}}}\n",
            world.registry.name("**")
        );
        world.plugin.write("policy.yaml", text);
        world
    }
    cases.add("R18", "both signed", "", || {
        let world = asked_twice();
        let signatures =
            ["acme", "stranger"].map(|signer| world.signature(signer, &world.image.digest, &[]));
        world.put(&signatures).install()
    });
    cases.add("R18", "one signed twice", "identity", || {
        let world = asked_twice();
        let one = world.signature("acme", &world.image.digest, &[]);
        world.put(&[one.clone(), one]).install()
    });
    cases.add("R18", "one signed two payloads", "identity", || {
        let world = asked_twice();
        let signatures = [&[][..], &[("note", "another")]]
            .map(|claims| world.signature("acme", &world.image.digest, claims));
        world.put(&signatures).install()
    });
    cases.add("R18", "one signed in both forms", "identity", || {
        let world = asked_twice().sign();
        world.attach("acme");
        world.install()
    });
    cases.add("R18", "the same bundle, listed by the API and the fallback tag", "identity", || {
        let world = asked_twice();
        let referrer = world.attach("acme");
        let size = world.registry.manifest(REPO, &referrer).unwrap().1.len();
        world.registry.push_fallback(
            REPO,
            &world.image.digest,
            &[(&referrer, size), (&referrer, size)],
        );
        world.install()
    });
    cases.add("R18", "a signature and its mirror image (r, n - s)", "identity", || {
        let world = asked_twice();
        let one = world.signature("acme", &world.image.digest, &[]);
        let twin = Signature {
            annotations: vec![(SIGNATURE.to_owned(), malleated(&one.annotations[0].1))],
            ..one.clone()
        };
        world.put(&[one, twin]).install()
    });
}

/// Returns the other signature that every ECDSA signature has: (r, n - s), in DER and base64.
fn malleated(encoded: &str) -> String {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let der = STANDARD.decode(encoded).unwrap();
    let r_end = 4 + usize::from(der[3]);
    let s = &der[r_end + 2..];
    let s: Vec<u8> = s.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut padded = [0; 32];
    padded[32 - s.len()..].copy_from_slice(&s);
    let mut other = [0_u8; 33];
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let difference = i16::from(N[at]) - i16::from(padded[at]) - borrow;
        borrow = i16::from(difference < 0);
        other[at + 1] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let zeros = other.iter().take_while(|byte| **byte == 0).count();
    let start = if other[zeros] & 0x80 == 0 { zeros } else { zeros - 1 };
    let s = &other[start..];
    let mut twin = der[..r_end].to_vec();
    twin.extend([2, u8::try_from(s.len()).unwrap()]);
    twin.extend(s);
    twin[1] = u8::try_from(twin.len() - 2).unwrap();
    STANDARD.encode(twin)
}

/// R19: layers that lie somewhere else, or that nobody can read. They are found when the layers are
/// read, after unpacking.
fn elsewhere(cases: &mut Cases) {
    fn of_type(media_type: &'static str, with_url: bool) -> String {
        let sink = Sink::start();
        let world = World::strict();
        let mut described = json!({"mediaType": media_type, "size": world.layer.len(), "digest": digest(&world.layer)});
        if with_url {
            described["urls"] = json!([format!("{}/layer", sink.url())]);
        }
        let config = json!({"mediaType": CONFIG, "size": world.image.config.len(), "digest": digest(&world.image.config)});
        let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [described]}).to_string();
        let image = world.registry.push_manifest(REPO, Some("1"), MANIFEST, image.as_bytes());
        world.registry.push_signatures(REPO, &image, &[world.signature("acme", &image, &[])]);
        untouched(&sink, world.install_and_unpack(|dest| world.unpack(dest)))
    }
    // The matrix says `malformed`. A layer that is fetched from elsewhere is well made, and a form
    // that is not read: `unsupported`, which refuses under every setting as well.
    for (what, media_type, with_url) in [
        ("a layer with urls", LAYER, true),
        ("a foreign layer", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", true),
        (
            "a layer that must not be distributed",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            true,
        ),
        ("an encrypted layer", "application/vnd.oci.image.layer.v1.tar+encrypted", false),
        ("a layer of an unknown type", "application/vnd.example.layer", false),
    ] {
        cases.add("R19", what, "unsupported", move || of_type(media_type, with_url));
    }
    cases.add("R19", "a signature with a url beside it", "", || {
        let sink = Sink::start();
        let world = World::strict();
        let signature = world.signature("acme", &world.image.digest, &[]);
        let payload = world.registry.push_blob(REPO, &signature.payload);
        let layer = json!({
            "mediaType": SIMPLE_SIGNING, "size": signature.payload.len(), "digest": payload, "urls": [format!("{}/payload", sink.url())],
            "annotations": {SIGNATURE: signature.annotations[0].1},
        });
        let config = json!({"mediaType": CONFIG, "size": 2, "digest": digest(b"{}")});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).to_string();
        let tag = format!("{}.sig", world.image.digest.replace(':', "-"));
        world.registry.push_manifest(REPO, Some(&tag), MANIFEST, manifest.as_bytes());
        untouched(&sink, world.install())
    });
}

/// R21 and R22: what the plugin is shown, and what the host gets.
fn two_faces(cases: &mut Cases) {
    type Change = fn(&World, &std::path::Path);
    let changes: [(&str, &str, Change); 6] = [
        ("nothing is changed", "", |world, dest| world.unpack(dest)),
        ("another image", "tree", |_, dest| testkit::unpack(&layer(&[("other", b"image")]), dest)),
        ("other bytes of one file", "tree", |world, dest| {
            world.unpack(dest);
            std::fs::write(dest.join("usr/bin/tool"), "b tool").unwrap();
        }),
        ("a file more", "tree", |world, dest| {
            world.unpack(dest);
            std::fs::write(dest.join("usr/bin/more"), "x").unwrap();
        }),
        ("a file less", "tree", |world, dest| {
            world.unpack(dest);
            std::fs::remove_file(dest.join("usr/bin/tool")).unwrap();
        }),
        ("nothing at all", "tree", |_, _| {}),
    ];
    for (what, expected, change) in changes {
        cases.add("R21", format!("the host got: {what}"), expected, move || {
            let world = World::signed();
            world.install_and_unpack(|dest| change(&world, dest))
        });
    }
    for (what, expected, answer) in [
        ("other bytes of the same length", "digest", Answer::new(200).body(vec![b'x'; 3072])),
        ("less", "digest", Answer::new(200).body("short")),
        ("nothing", "registry", Answer::new(404)),
        ("an error", "registry", Answer::new(500)),
        ("a refusal", "auth", Answer::new(403)),
    ] {
        cases.add(
            "R22",
            format!("asked again for the layer, the registry gives: {what}"),
            expected,
            move || {
                let world = World::signed();
                world.registry.always(
                    "GET",
                    &format!("/v2/{REPO}/blobs/{}", digest(&world.layer)),
                    answer.clone(),
                );
                world.install_and_unpack(|dest| world.unpack(dest))
            },
        );
    }
    cases.add("R22", "the host got evil bytes, and we the good ones", "tree", || {
        World::signed().install_and_unpack(|dest| {
            testkit::unpack(&layer(&[("usr/bin/tool", b"EVIL!!")]), dest)
        })
    });
}

/// R23: an old state, signed as it may be.
fn rollback(cases: &mut Cases) {
    fn revisions(rule: &str, revisions: &[u64]) -> String {
        let world = World::with(Default::default(), rule);
        let mut last = String::new();
        for revision in revisions {
            let content = layer(&[(
                "repository.yaml",
                format!("name: acme\nrevision: {revision}\n").as_bytes(),
            )]);
            let image = world.registry.push_image(REPO, "repository.yaml", &[&content]);
            world.registry.push_signatures(
                REPO,
                &image.digest,
                &[world.signature("acme", &image.digest, &[])],
            );
            let dest = world.dest();
            let name = world.registry.name(&format!("{REPO}:repository.yaml"));
            assert_eq!(world.plugin.pre_unpack(&name, &dest).error, "");
            testkit::unpack(&content, &dest);
            last = crate::world::class_of(&world.plugin.post_unpack(&name, &dest));
        }
        last
    }
    const DENY: &str = "trust: [acme], rollback: deny";
    cases.add("R23", "revisions that go up", "", || revisions(DENY, &[1, 2, 3]));
    cases.add("R23", "a revision that goes back", "rollback", || revisions(DENY, &[1, 3, 2]));
    cases.add("R23", "a revision that goes back, where that is warned about", "", || {
        revisions("trust: [acme]", &[3, 2])
    });
    cases.add("R23", "an old package", "", || {
        let world = World::signed();
        let old = world.image.digest.clone();
        let new = world.registry.push_image(REPO, "1", &[b"new"]);
        world.registry.push_signatures(
            REPO,
            &new.digest,
            &[world.signature("acme", &new.digest, &[])],
        );
        assert_eq!(world.install(), "");
        world.registry.tag(REPO, "1", &old);
        // A documented limit: only `repository.yaml` has a revision that could go back.
        world.install()
    });
    cases.add("R23", "signed once, and unsigned now", "rollback", || {
        let world = World::signed();
        assert_eq!(world.install_and_unpack(|dest| world.unpack(dest)), "");
        world.registry.push_image(REPO, "1", &[b"unsigned"]);
        world.install()
    });
    cases.add("R23", "signed once, and its signature hidden now", "rollback", || {
        let world = World::signed();
        assert_eq!(world.install_and_unpack(|dest| world.unpack(dest)), "");
        world.serve(Place::Sig, Answer::error(404, "MANIFEST_UNKNOWN")).install()
    });
}
