//! Both formats in one check, in every place, at the price that was promised.

use super::*;
use luet_cosign::limits;

#[test]
fn one_good_signature_is_enough_wherever_it_lies() {
    // cosign 2.6 and 3 never read the legacy signature once any bundle parses; we read all.
    for (legacy, bundles, class) in [
        (&["acme"][..], &["stranger"][..], ""),
        (&["stranger"], &["acme"], ""),
        (&["acme"], &["acme"], ""),
        (&["stranger", "acme"], &[], ""),
        (&[], &["stranger", "acme"], ""),
        (&["stranger"], &["stranger"], "identity"),
        (&[], &[], "unsigned"),
    ] {
        for with_api in [true, false] {
            let world = if with_api { World::new() } else { World::without_api() };
            if !legacy.is_empty() {
                world.legacy(legacy);
            }
            let manifests: Vec<String> = bundles
                .iter()
                .map(|signer| world.attach(world.bundle(signer).to_string().as_bytes()))
                .collect();
            if !with_api && !manifests.is_empty() {
                world.fallback(&manifests);
            }
            let reply = world.install();
            assert_eq!(
                (reply.exit, reply.class()),
                (Some(0), class),
                "{legacy:?} {bundles:?} {with_api} {reply:?}"
            );
        }
    }
}

#[test]
fn a_broken_bundle_does_not_hide_a_good_legacy_signature() {
    for bundle in
        [&b"{"[..], b"", br#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#]
    {
        let world = World::new();
        world.attach(bundle);
        world.legacy(&["acme"]);
        world.install().assert_silent_success();
        world.registry.remove_tag(REPO, &format!("{}.sig", world.image.digest.replace(':', "-")));
        world.install().assert_refused("malformed");
    }
}

#[test]
fn the_api_and_the_fallback_tag_are_one_list() {
    let world = World::new();
    let stranger = world.attach(world.bundle("stranger").to_string().as_bytes());
    // A registry that got the API later: the old referrers are in the tag alone.
    world.registry.rule("GET", &format!("/v2/{REPO}/referrers/*"), |call| {
        Some(call.good().body(r#"{"schemaVersion":2,"manifests":[]}"#))
    });
    let acme = world.attach(world.bundle("acme").to_string().as_bytes());
    world.fallback(&[stranger, acme]);
    world.install().assert_silent_success();
    let (code, found) = world.verify("acme");
    assert_eq!((code, formats_of(&found)), (0, vec!["bundle"]), "{found}");
}

#[test]
fn nothing_is_left_out_because_of_its_artifact_type() {
    let world = World::without_api();
    let manifest = world.attach(world.bundle("acme").to_string().as_bytes());
    let size = world.registry.manifest(REPO, &manifest).unwrap().1.len();
    // What cosign 2.6.4 and 3.0 write there.
    let entry = json!({
        "mediaType": testkit::registry::MANIFEST, "size": size, "digest": manifest, "artifactType": "application/vnd.oci.empty.v1+json",
    });
    let index =
        json!({"schemaVersion": 2, "mediaType": testkit::registry::INDEX, "manifests": [entry]})
            .to_string();
    world.registry.push_manifest(
        REPO,
        Some(&world.image.digest.replace(':', "-")),
        testkit::registry::INDEX,
        index.as_bytes(),
    );
    world.install().assert_silent_success();
}

#[test]
fn legacy_signatures_in_a_referrer_are_read_like_those_of_the_tag() {
    let world = World::new();
    let payload = wire::Payload {
        docker_reference: "x".to_owned(),
        manifest_digest: world.digest(),
        annotations: BTreeMap::new(),
    }
    .to_bytes();
    let layer = |signer: &str| {
        json!({
            "mediaType": testkit::registry::SIMPLE_SIGNING, "size": payload.len(), "digest": world.registry.push_blob(REPO, &payload),
            "annotations": {"dev.cosignproject.cosign/signature": STANDARD.encode(pair(signer).key.sign(&payload).unwrap())},
        })
    };
    let push = |signers: &[&str]| {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": testkit::registry::MANIFEST,
            "config": {"mediaType": "application/vnd.dev.cosign.artifact.sig.v1+json", "size": 2, "digest": world.registry.push_blob(REPO, b"{}")},
            "layers": signers.iter().map(|signer| layer(signer)).collect::<Vec<_>>(),
            "subject": {"mediaType": testkit::registry::MANIFEST, "size": world.image.manifest.len(), "digest": world.image.digest},
        });
        world.registry.push_manifest(
            REPO,
            None,
            testkit::registry::MANIFEST,
            manifest.to_string().as_bytes(),
        )
    };
    push(&["stranger"]);
    world.install().assert_refused("identity");
    push(&["stranger", "acme"]);
    world.install().assert_silent_success();
    let (code, found) = world.verify("acme");
    assert_eq!((code, formats_of(&found)), (0, vec!["legacy"]), "{found}");
}

/// The requests that an event makes.
fn requests(world: &World) -> usize {
    let before = world.registry.requests().len();
    world.install();
    let lines = world.registry.lines().split_off(before);
    let distinct: std::collections::BTreeSet<&String> = lines.iter().collect();
    assert_eq!(distinct.len(), lines.len(), "no request twice: {lines:?}");
    lines.len()
}

/// The tag of the image; then three places; then a manifest and a blob for each bundle.
#[test]
fn n_bundles_cost_two_requests_each() {
    for strangers in [0, 1, 5, 20] {
        let world = World::new();
        for number in 0..strangers {
            let mut statement = world.statement();
            statement["predicate"] = json!({"number": number});
            world.attach(bundle(&pair("stranger").key, &statement).to_string().as_bytes());
        }
        let count = requests(&world);
        assert_eq!(count, 1 + 3 + 2 * strangers);
        world.attach(world.bundle("acme").to_string().as_bytes());
        assert!(requests(&world) <= 1 + 3 + 2 * (strangers + 1));
        world.install().assert_silent_success();
    }
}

#[test]
fn bundles_are_opened_eight_at_a_time_until_one_is_good() {
    for good_first in [true, false] {
        let world = World::with(Options {
            latency: std::time::Duration::from_millis(60),
            ..Options::default()
        });
        for number in 0..30 {
            let mut statement = world.statement();
            statement["predicate"] = json!({"number": number});
            world.attach(bundle(&pair("stranger").key, &statement).to_string().as_bytes());
        }
        let good = world.attach(world.bundle("acme").to_string().as_bytes());
        world.registry.rule("GET", &format!("/v2/{REPO}/referrers/*"), move |call| {
            let answer = call.good();
            let mut index: Value = serde_json::from_slice(answer.bytes()).unwrap();
            let list = index["manifests"].as_array_mut().unwrap();
            list.sort_by_key(|entry| (entry["digest"] == good.as_str()) != good_first);
            Some(answer.body(index.to_string()))
        });
        let (before, trips) = (world.registry.requests().len(), world.registry.round_trips());
        world.install().assert_silent_success();
        let (count, trips) =
            (world.registry.requests().len() - before, world.registry.round_trips() - trips);
        if good_first {
            assert!(count <= 4 + 2 * limits::PARALLEL, "{count}");
            assert_eq!(trips, 4, "tag, places, manifest, blob");
        } else {
            assert_eq!(count, 4 + 2 * 31);
            assert!(
                (2 + 31 * 2 / limits::PARALLEL..=2 + 2 * 31_usize.div_ceil(limits::PARALLEL) + 2)
                    .contains(&trips),
                "{trips}"
            );
        }
    }
}

#[test]
fn what_both_lists_name_is_opened_once() {
    let world = World::new();
    let stranger = world.attach(world.bundle("stranger").to_string().as_bytes());
    world.fallback(&[stranger]);
    assert_eq!(requests(&world), 4 + 2);
    world.install().assert_refused("identity");
}

/// Two trusted keys, of which one signs in a way that only payloads show.
#[test]
fn what_is_known_to_be_good_is_fetched_first_and_alone() {
    let mut world = World::new();
    world.plugin.write("ed.pub", testdata("keys/ed25519.pub"));
    let policy = format!(
        "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\nsigners: {{acme: {{key: acme.pub}}, ed: {{key: ed.pub}}}}\nrepositories:\n- {{name: acme, scope: {}, trust: [acme, ed]}}\n",
        world.registry.name(REPO)
    );
    let path = world.plugin.write("policy.yaml", policy).display().to_string();
    world.plugin.set("LUET_COSIGN_POLICY", &path);
    let mut signatures: Vec<_> =
        (0..20_u8).map(|number| legacy_signature(&[number], &[1; 64])).collect();
    for reference in ["x", "y"] {
        let payload = wire::Payload {
            docker_reference: reference.to_owned(),
            manifest_digest: world.digest(),
            annotations: BTreeMap::new(),
        }
        .to_bytes();
        signatures.push(legacy_signature(&payload, &pair("acme").key.sign(&payload).unwrap()));
    }
    world.registry.push_signatures(REPO, &world.image.digest, &signatures);
    assert_eq!(requests(&world), 4 + 1);
    world.install().assert_silent_success();
}

/// Where only the payload can show who signed, each is fetched once.
#[test]
fn payloads_that_must_be_read_are_read_once_and_not_without_end() {
    let world = World::new();
    world.plugin.write("acme.pub", testdata("keys/ed25519.pub"));
    let same = legacy_signature(b"one payload", &[1; 64]);
    world.registry.push_signatures(REPO, &world.image.digest, &vec![same; 50]);
    assert_eq!(requests(&world), 4 + 1);
    world.install().assert_refused("identity");
    let other = |count: usize| {
        (0..count)
            .map(|number: usize| legacy_signature(&number.to_be_bytes(), &[1; 64]))
            .collect::<Vec<_>>()
    };
    world.registry.push_signatures(REPO, &world.image.digest, &other(limits::PAYLOADS));
    assert_eq!(requests(&world), 4 + limits::PAYLOADS);
    world.install().assert_refused("identity");
    world.registry.push_signatures(REPO, &world.image.digest, &other(limits::PAYLOADS + 1));
    assert_eq!(requests(&world), 4 + limits::PAYLOADS);
    world.install().assert_refused("limit");
}

#[test]
fn a_hundred_signatures_over_one_payload_cost_one_request_where_all_are_looked_at() {
    let world = World::new();
    world.legacy(&["acme"; 100]);
    let before = world.registry.requests().len();
    let (code, found) = world.verify("acme");
    assert_eq!((code, formats_of(&found).len()), (0, 100));
    assert_eq!(world.registry.requests().len() - before, 4 + 1);
}

#[test]
fn strangers_with_other_keys_cost_a_trusted_ed25519_key_nothing() {
    let world = World::new();
    world.plugin.write("acme.pub", testdata("keys/ed25519.pub"));
    world.legacy(&["stranger"; 50]);
    assert_eq!(requests(&world), 4);
    world.install().assert_refused("identity");
}
