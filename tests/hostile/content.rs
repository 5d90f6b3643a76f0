//! R02 to R09, R20 and R24: manifests and digests that are not what they should be.

use crate::cases::Cases;
use crate::world::{BUNDLE, LAX, Place, REPO, SIGNATURE, World, bundle, signed};
use serde_json::{Value, json};
use testkit::http::Answer;
use testkit::registry::{CONFIG, INDEX, LAYER, MANIFEST, SIMPLE_SIGNING, digest};

/// Strings that are no digest, and would be a path or a host where they were pasted into one.
const NO_DIGESTS: [(&str, &str); 9] = [
    ("empty", ""),
    ("md5", "md5:d41d8cd98f00b204e9800998ecf8427e"),
    ("too short", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"),
    ("too long", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555"),
    ("upper case", "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
    ("a path", "sha256:../../../../../../../../../../../../../../../../../../../../etc/pas"),
    ("no algorithm", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (
        "sha512 of that length",
        "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    ("a line end", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85\n"),
];

pub(crate) fn cases(cases: &mut Cases) {
    other_names(cases);
    other_bytes(cases);
    polyglots(cases);
    indexes(cases);
    digests(cases);
    shapes(cases);
    names(cases);
}

/// R02 to R04: signatures that are good, of something else.
fn other_names(cases: &mut Cases) {
    fn swapped(claims: fn(&str) -> Vec<(&'static str, String)>, rule: &str) -> String {
        let world = World::lax().rule(rule);
        let other = world.registry.push_image(REPO, "2", &[b"other"]);
        let claims = claims(&world.registry.name(REPO));
        let claims: Vec<(&str, &str)> =
            claims.iter().map(|(key, value)| (*key, value.as_str())).collect();
        world.registry.push_signatures(
            REPO,
            &other.digest,
            &[world.signature("acme", &other.digest, &claims)],
        );
        world.registry.tag(REPO, "1", &other.digest);
        world.install()
    }
    fn none(_: &str) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn both(name: &str) -> Vec<(&'static str, String)> {
        vec![("luet-cosign.repository", name.to_owned()), ("luet-cosign.tag", "2".to_owned())]
    }
    fn tag_alone(_: &str) -> Vec<(&'static str, String)> {
        vec![("luet-cosign.tag", "2".to_owned())]
    }
    // A signature by cosign names no tag, so nothing tells; README says so.
    cases.add("R02", "another package, signed without a tag", "", || swapped(none, LAX));
    cases.add(
        "R02",
        "another package, signed without a tag, where tags are required",
        "binding",
        || swapped(none, "trust: [acme], bind_tag: required"),
    );
    cases.add("R02", "another package, signed with its tag", "binding", || swapped(both, LAX));
    cases.add("R02", "another package, signed with its tag alone", "binding", || {
        swapped(tag_alone, LAX)
    });
    cases.add("R02", "another package, where bindings are off", "", || {
        swapped(both, "trust: [acme], bind_tag: off")
    });

    // `signed_name: match` is not in this version (docs/policy.md); `bind_tag` is what compares
    // names.
    fn copied(rule: &str, claims: &[(&str, &str)]) -> String {
        let world = World::lax().rule(rule);
        let signature = crate::world::signature(
            "registry.example/vendor/packages",
            "acme",
            &world.image.digest,
            claims,
        );
        world.put(&[signature]).install()
    }
    cases.add("R03", "a copy from another repository", "", || copied(LAX, &[]));
    cases.add("R03", "a copy, where names are required", "binding", || {
        copied("trust: [acme], bind_tag: required", &[])
    });
    const NAMED: [(&str, &str); 2] =
        [("luet-cosign.repository", "registry.example/vendor/packages"), ("luet-cosign.tag", "1")];
    cases.add("R03", "a copy whose signature names its repository", "binding", || {
        copied(LAX, &NAMED)
    });

    let foreign_digest = |world: &World| world.registry.push_image(REPO, "2", &[b"other"]).digest;
    cases.add("R04", "B's signatures under A's .sig tag", "binding", move || {
        let world = World::lax();
        let signature = world.signature("acme", &foreign_digest(&world), &[]);
        world.put(&[signature]).install()
    });
    cases.add("R04", "B's bundle attached to A", "binding", move || {
        let world = World::lax();
        let other = foreign_digest(&world);
        world.registry.push_referrer(REPO, &world.image, BUNDLE, &bundle("acme", &other));
        world.install()
    });
    cases.add(
        "R04",
        "B's whole signature manifest as A's fallback index",
        "malformed",
        move || {
            let world = World::lax();
            let other = foreign_digest(&world);
            let manifest = world.registry.push_signatures(
                REPO,
                &other,
                &[world.signature("acme", &other, &[])],
            );
            world.registry.tag(REPO, &world.image.digest.replace(':', "-"), &manifest);
            world.install()
        },
    );
    cases.add("R04", "a payload of B's, under A's digest in the name only", "binding", move || {
        let world = World::lax();
        let name = format!("{}@{}", world.registry.name(REPO), world.image.digest);
        let signature = crate::world::signature(&name, "acme", &foreign_digest(&world), &[]);
        world.put(&[signature]).install()
    });
}

/// R05 and R06: bytes that are not those that were asked for, or not the same twice.
fn other_bytes(cases: &mut Cases) {
    fn flipped(answer: Answer) -> Answer {
        let mut bytes = answer.bytes().to_vec();
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        answer.body(bytes)
    }
    cases.add("R05", "a payload with a flipped bit", "digest", || {
        World::signed().bend(Place::Blobs, flipped).install()
    });
    cases.add("R05", "a bundle with a flipped bit", "digest", || {
        let world = World::lax();
        world.attach("acme");
        world.bend(Place::Blobs, flipped).install()
    });
    cases.add("R05", "a referrer's manifest with a flipped bit", "digest", || {
        let world = World::lax();
        let referrer = world.attach("acme");
        world.registry.rule("GET", &format!("/v2/{REPO}/manifests/{referrer}"), |call| {
            Some(flipped(call.good()))
        });
        world.install()
    });
    cases.add("R05", "an image that was asked for by digest", "digest", || {
        let world = World::signed();
        let name = world.registry.name(&format!("{REPO}@{}", world.image.digest));
        world.registry.rule("GET", &format!("/v2/{REPO}/manifests/sha256:*"), |call| {
            Some(flipped(call.good()))
        });
        world.install_named(&name)
    });
    cases.add("R05", "an evil image under a header with the good digest", "unsigned", || {
        let world = World::strict().sign();
        let evil = world.registry.push_image(REPO, "evil", &[b"evil"]);
        let header = world.image.digest.clone();
        let answer = Answer::new(200)
            .header("Content-Type", MANIFEST)
            .header("Docker-Content-Digest", &header)
            .body(evil.manifest);
        world.serve(Place::Tag, answer).install()
    });
    cases.add("R05", "a good image under a header with another digest", "", || {
        let lie = digest(b"lie");
        World::signed()
            .bend(Place::Tag, move |answer| answer.header("Docker-Content-Digest", &lie))
            .install()
    });

    /// The first answer for the tag is one image, each later one another.
    fn alternating(first_is_signed: bool) -> World {
        let world = World::strict().sign();
        let other = world.registry.push_image(REPO, "2", &[b"other"]);
        let other = Answer::new(200).header("Content-Type", MANIFEST).body(other.manifest);
        world.registry.rule("GET", &world.pattern(Place::Tag), move |call| {
            ((call.nth == 1) != first_is_signed).then(|| other.clone())
        });
        world
    }
    cases.add("R06", "the signed image first, then another", "", || {
        let world = alternating(true);
        let class = world.install();
        assert_eq!(world.registry.count("/manifests/1"), 1, "a tag is resolved once");
        class
    });
    cases.add("R06", "another image first, then the signed one", "unsigned", || {
        alternating(false).install()
    });
    cases.add("R06", "the signed image first, and the other one is unpacked", "tree", || {
        alternating(true)
            .install_and_unpack(|dest| std::fs::write(dest.join("other"), "other").unwrap())
    });
}

pub(crate) fn descriptor(media_type: &str) -> Value {
    json!({"mediaType": media_type, "size": 2, "digest": digest(b"{}")})
}

/// R07: documents that two readers could read in two ways, as the image and under the `.sig` tag.
fn polyglots(cases: &mut Cases) {
    let image = || json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG), "layers": [descriptor(LAYER)]});
    let index =
        || json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST)]});
    let with = |mut document: Value, key: &str, value: Value| {
        document[key] = value;
        document.to_string()
    };
    let twice = |text: String, key: &str, value: &str| {
        text.replacen('{', &format!("{{\"{key}\":{value},"), 1)
    };
    let documents = [
        (
            "an image that is a list too",
            MANIFEST,
            with(image(), "manifests", json!([descriptor(MANIFEST)])),
        ),
        ("a list that is an image too", INDEX, with(index(), "layers", json!([]))),
        ("a list with a configuration", INDEX, with(index(), "config", descriptor(CONFIG))),
        ("an image that comes as a list", INDEX, image().to_string()),
        ("a list that comes as an image", MANIFEST, index().to_string()),
        ("an image that calls itself a list", MANIFEST, with(image(), "mediaType", json!(INDEX))),
        ("an image of docker's that comes as OCI's", MANIFEST, {
            with(
                image(),
                "mediaType",
                json!("application/vnd.docker.distribution.manifest.v2+json"),
            )
        }),
        (
            "a key twice",
            MANIFEST,
            twice(image().to_string(), "config", &descriptor(CONFIG).to_string()),
        ),
        (
            "a key twice, one of them escaped",
            MANIFEST,
            twice(image().to_string(), "\\u006cayers", "[]"),
        ),
        ("another schema", MANIFEST, with(image(), "schemaVersion", json!("2"))),
        ("a media type that is not text", MANIFEST, with(image(), "mediaType", json!([MANIFEST]))),
        ("two documents", MANIFEST, format!("{}{}", image(), image())),
        ("a byte order mark", MANIFEST, format!("\u{feff}{}", image())),
        (
            "a descriptor that is a list",
            MANIFEST,
            with(image(), "layers", json!([[LAYER, 2, digest(b"{}")]])),
        ),
    ];
    for (what, content_type, document) in documents {
        let answer = Answer::new(200).header("Content-Type", content_type).body(document);
        for (name, place) in [("the image", Place::Tag), ("the signatures", Place::Sig)] {
            let answer = answer.clone();
            cases.add("R07", format!("{name}: {what}"), "malformed", move || {
                World::lax().serve(place, answer.clone()).install()
            });
        }
    }
}

/// R08: signed indexes and what is in them.
fn indexes(cases: &mut Cases) {
    /// An index of our making under the tag, signed by acme.
    fn indexed(manifests: fn(&World) -> Value) -> World {
        let world = World::lax();
        let document =
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests(&world)})
                .to_string();
        let index = world.registry.push_manifest(REPO, Some("1"), INDEX, document.as_bytes());
        world.registry.push_signatures(REPO, &index, &[world.signature("acme", &index, &[])]);
        world
    }
    fn child(media_type: &str, digest: &str, size: usize) -> Value {
        json!({"mediaType": media_type, "size": size, "digest": digest, "platform": {"os": "linux", "architecture": "amd64"}})
    }
    fn own(world: &World) -> Value {
        child(MANIFEST, &world.image.digest, world.image.manifest.len())
    }
    cases.add("R08", "a signed index, and its own child", "", || {
        let world = indexed(|world| json!([own(world)]));
        world.install_and_unpack(|dest| world.unpack(dest))
    });
    cases.add("R08", "a signed index, and something that is not in it", "tree", || {
        indexed(|world| json!([own(world)]))
            .install_and_unpack(|dest| std::fs::write(dest.join("forged"), "x").unwrap())
    });
    cases.add("R08", "two images for one platform", "malformed", || {
        let world = indexed(|world| {
            let other = world.registry.push_image(REPO, "2", &[b"other"]);
            json!([own(world), child(MANIFEST, &other.digest, other.manifest.len())])
        });
        world.install()
    });
    cases.add("R08", "an index within an index", "malformed", || {
        let world = indexed(|world| {
            let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [own(world)]})
                .to_string();
            let digest = world.registry.push_manifest(REPO, None, INDEX, inner.as_bytes());
            json!([child(INDEX, &digest, inner.len())])
        });
        world.install_and_unpack(|dest| world.unpack(dest))
    });
    cases.add("R08", "an index whose child is gone", "registry", || {
        let world = indexed(|_| json!([child(MANIFEST, &digest(b"gone"), 4)]));
        world.install_and_unpack(|dest| world.unpack(dest))
    });
    cases.add("R08", "a forged child of a signed index", "digest", || {
        let world = indexed(|world| json!([own(world)]));
        let forged = world.registry.push_image(REPO, "forged", &[b"forged"]).manifest;
        let answer = Answer::new(200).header("Content-Type", MANIFEST).body(forged);
        world.registry.always(
            "GET",
            &format!("/v2/{REPO}/manifests/{}", world.image.digest),
            answer,
        );
        world.install_and_unpack(|dest| world.unpack(dest))
    });
    cases.add("R08", "an unsigned index round a signed child", "", || {
        let world = World::strict().sign();
        world.registry.push_index(REPO, "1", &[(&world.image, "linux/amd64")]);
        world.install_and_unpack(|dest| world.unpack(dest))
    });
}

/// R09: what is not a digest, in each place that has one.
fn digests(cases: &mut Cases) {
    for (what, text) in NO_DIGESTS {
        cases.add("R09", format!("the payload of a signature: {what}"), "malformed", move || {
            let layer = json!({"mediaType": SIMPLE_SIGNING, "size": 2, "digest": text, "annotations": {SIGNATURE: "AAAA"}});
            manifest_of(&[layer]).install()
        });
        cases.add("R09", format!("the image in a signed payload: {what}"), "malformed", move || {
            let payload = json!({
                "critical": {
                    "identity": {"docker-reference": "x"}, "image": {"docker-manifest-digest": text},
                    "type": "cosign container image signature",
                },
                "optional": null,
            });
            World::lax().put(&[signed("acme", payload.to_string().into_bytes())]).install()
        });
        cases.add("R09", format!("a referrer in the list: {what}"), "malformed", move || {
            let entry = json!({"mediaType": MANIFEST, "size": 2, "digest": text});
            let list =
                json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
            World::lax()
                .serve(Place::Referrers, Answer::new(200).header("Content-Type", INDEX).body(list))
                .install()
        });
        cases.add("R09", format!("a layer of the image: {what}"), "malformed", move || {
            let layer = json!({"mediaType": LAYER, "size": 2, "digest": text});
            let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG), "layers": [layer]});
            World::lax().serve(Place::Tag, Answer::new(200).header("Content-Type", MANIFEST).body(image.to_string())).install()
        });
        cases.add("R09", format!("the name that the host gives: {what}"), "reference", move || {
            let world = World::signed();
            world.install_named(&world.registry.name(&format!("{REPO}@{text}")))
        });
    }
}

/// A world whose `.sig` tag holds these layers.
pub(crate) fn manifest_of(layers: &[Value]) -> World {
    let world = World::lax();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG), "layers": layers}).to_string();
    let tag = format!("{}.sig", world.image.digest.replace(':', "-"));
    world.registry.push_manifest(REPO, Some(&tag), MANIFEST, manifest.as_bytes());
    world
}

/// R20: manifests that are no image of today.
fn shapes(cases: &mut Cases) {
    let schema1 = r#"{"schemaVersion":1,"name":"a","tag":"1","fsLayers":[{"blobSum":"sha256:aa"}],"history":[],"signatures":[]}"#;
    for (what, content_type, document) in [
        ("schema 1", "application/vnd.docker.distribution.manifest.v1+json", schema1.to_owned()),
        (
            "schema 1 with its signature",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            schema1.to_owned(),
        ),
        ("schema 1 that comes as an image", MANIFEST, schema1.to_owned()),
        (
            "keys of schema 1 in an image",
            MANIFEST,
            r#"{"schemaVersion":2,"config":{},"layers":[],"fsLayers":[]}"#.to_owned(),
        ),
        ("no configuration", MANIFEST, r#"{"schemaVersion":2,"layers":[]}"#.to_owned()),
        (
            "no layers at all",
            MANIFEST,
            json!({"schemaVersion": 2, "config": descriptor(CONFIG)}).to_string(),
        ),
    ] {
        let answer = Answer::new(200).header("Content-Type", content_type).body(document);
        cases.add("R20", what, "malformed", move || {
            World::lax().serve(Place::Tag, answer.clone()).install()
        });
    }
    // An image of no layers is one that unpacks to nothing, and signed as such it may. Anything on
    // disk is then too much.
    fn empty() -> World {
        let world = World::strict();
        let image = world.registry.push_image(REPO, "1", &[]);
        world.registry.push_signatures(
            REPO,
            &image.digest,
            &[world.signature("acme", &image.digest, &[])],
        );
        world
    }
    cases.add("R20", "an empty list of layers, and nothing on disk", "", || {
        empty().install_and_unpack(|_| {})
    });
    cases.add("R20", "an empty list of layers, and something on disk", "tree", || {
        empty().install_and_unpack(|dest| std::fs::write(dest.join("x"), "x").unwrap())
    });
}

/// R24: names with a tag and a digest.
fn names(cases: &mut Cases) {
    cases.add("R24", "a digest beside a tag that moved", "", || {
        let world = World::signed();
        world.registry.push_image(REPO, "1", &[b"moved"]);
        world.install_named(&world.registry.name(&format!("{REPO}:1@{}", world.image.digest)))
    });
    cases.add(
        "R24",
        "a tag of a signed image beside the digest of an unsigned one",
        "unsigned",
        || {
            let world = World::strict().sign();
            let other = world.registry.push_image(REPO, "2", &[b"other"]);
            world.install_named(&world.registry.name(&format!("{REPO}:1@{}", other.digest)))
        },
    );
    cases.add("R24", "a digest alone", "", || {
        let world = World::signed();
        world.install_named(&world.registry.name(&format!("{REPO}@{}", world.image.digest)))
    });
    cases.add("R24", "a digest that is not there beside a tag that is", "not-found", || {
        let world = World::signed();
        world.install_named(&world.registry.name(&format!("{REPO}:1@{}", digest(b"gone"))))
    });
}
