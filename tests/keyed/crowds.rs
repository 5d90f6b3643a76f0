//! More referrers than anyone looks at: by accident, for scans add one a day, or because someone
//! wants that no signature is found.

use super::*;
use luet_cosign::limits;

const SBOM: &str = "application/spdx+json";
/// What cosign 2 writes into a fallback index for a bundle.
const UNNAMED: &str = "application/vnd.oci.empty.v1+json";
/// More than are looked at.
const MANY: usize = limits::REFERRERS + 72;

impl World {
    fn in_one_page() -> Self {
        Self::with(Options { page: 10_000, ..Options::default() })
    }

    /// Adds referrers of a type that are nobody's signature.
    fn crowd(&self, kind: &str, count: usize) -> Vec<String> {
        let push = |number: usize| {
            self.registry.push_referrer(REPO, &self.image, kind, &number.to_be_bytes())
        };
        (0..count).map(push).collect()
    }

    fn attach_good(&self) -> String {
        self.attach(self.bundle("acme").to_string().as_bytes())
    }

    /// Attaches a good bundle under a type, where its digest begins with `start`: the registry
    /// lists by digest.
    fn attach_good_at(&self, start: char, kind: &str) {
        let bundle = self.bundle("acme").to_string();
        let empty = self.registry.push_blob(REPO, b"{}");
        let layer = self.registry.push_blob(REPO, bundle.as_bytes());
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = (0..)
            .map(|number: u32| {
                json!({
                    "schemaVersion": 2,
                    "mediaType": manifest_type,
                    "artifactType": kind,
                    "config": {"mediaType": UNNAMED, "size": 2, "digest": empty},
                    "layers": [{"mediaType": BUNDLE, "size": bundle.len(), "digest": layer}],
                    "annotations": {"number": number.to_string()},
                    "subject": {
                        "mediaType": manifest_type,
                        "size": self.image.manifest.len(),
                        "digest": self.image.digest,
                    },
                })
                .to_string()
            })
            .find(|text| {
                Digest::of(text.as_bytes()).to_string()["sha256:".len()..].starts_with(start)
            })
            .unwrap();
        self.registry.push_manifest(REPO, None, manifest_type, manifest.as_bytes());
    }

    /// Lists referrers under the fallback tag, each with the type that the list names.
    fn list_as(&self, entries: &[(&[String], Option<&str>)]) {
        let list: Vec<Value> = entries
            .iter()
            .flat_map(|(digests, kind)| digests.iter().map(move |digest| (digest, kind)))
            .map(|(digest, kind)| {
                let mut entry = json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "size": self.registry.manifest(REPO, digest).unwrap().1.len(),
                    "digest": digest,
                });
                if let Some(kind) = kind {
                    entry["artifactType"] = json!(kind);
                }
                entry
            })
            .collect();
        let index = "application/vnd.oci.image.index.v1+json";
        let document = json!({"schemaVersion": 2, "mediaType": index, "manifests": list});
        let tag = self.image.digest.replace(':', "-");
        let bytes = document.to_string();
        self.registry.push_manifest(REPO, Some(&tag), index, bytes.as_bytes());
    }

    fn lax(self) -> Self {
        Self { plugin: self.plugin.env("LUET_COSIGN_ALLOW_UNSIGNED", "*"), ..self }
    }
}

#[test]
fn two_hundred_sboms_hide_no_signature_and_cost_no_request() {
    let few = World::in_one_page();
    few.attach_good();
    few.install().assert_silent_success();
    let world = World::in_one_page();
    world.crowd(SBOM, MANY);
    world.attach_good();
    world.install().assert_silent_success();
    assert_eq!(world.registry.requests().len(), few.registry.requests().len());
}

#[test]
fn two_hundred_sboms_do_not_make_an_unsigned_image_undecidable() {
    let world = World::in_one_page();
    world.crowd(SBOM, MANY);
    world.install().assert_refused("unsigned");
}

#[test]
fn two_hundred_sboms_do_not_keep_anyone_from_signing() {
    for world in [World::in_one_page(), World::without_api()] {
        let sboms = world.crowd(SBOM, MANY);
        if world.registry.manifest(REPO, &sboms[0]).is_some() {
            world.list_as(&[(&sboms, Some(SBOM))]);
        }
        let sign = ["sign", "--key", "acme.key", "--format", "bundle", &world.name()];
        for expected in [false, true] {
            let output = world.plugin.run(sign);
            assert!(output.status.success(), "{output:?}");
            let again = String::from_utf8_lossy(&output.stderr).contains("already signed");
            assert_eq!(again, expected, "{output:?}");
        }
        world.install().assert_silent_success();
    }
}

#[test]
fn a_good_bundle_at_the_end_of_a_fallback_index_is_found_whatever_its_type_is_said_to_be() {
    for kind in [Some(BUNDLE), Some(UNNAMED), None] {
        let world = World::without_api();
        let sboms = world.crowd(SBOM, MANY);
        let good = world.attach_good();
        world.list_as(&[(&sboms, Some(SBOM)), (&[good], kind)]);
        world.install().assert_silent_success();
    }
}

#[test]
fn a_fallback_index_is_never_filtered_by_what_it_says() {
    let world = World::without_api();
    let sboms = world.crowd(SBOM, 20);
    let good = world.attach_good();
    world.list_as(&[(&sboms, Some(SBOM)), (&[good], Some(SBOM))]);
    world.install().assert_silent_success();
}

#[test]
fn more_that_may_be_signatures_than_are_looked_at_are_a_limit_and_never_unsigned() {
    for kind in [BUNDLE, UNNAMED] {
        let world = World::in_one_page().lax();
        world.crowd(kind, MANY);
        world.install().assert_refused("limit");
    }
    let world = World::without_api().lax();
    let crowd = world.crowd(SBOM, MANY);
    world.list_as(&[(&crowd, Some(SBOM))]);
    world.install().assert_refused("limit");
}

/// With a trusted key of this type, what a signature is over shows only in its payload.
#[test]
fn more_payloads_than_are_read_are_a_limit_and_never_a_strangers() {
    for (count, class) in [(limits::PAYLOADS, "identity"), (limits::PAYLOADS + 1, "limit")] {
        let mut world = World::new();
        let key = world.plugin.write("p384.pub", testdata("keys/p384.pub"));
        world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", key.to_str().unwrap());
        let number: [u8; 48] = std::array::from_fn(|at| u8::try_from(at + 1).unwrap());
        let half = [&[2, 48], &number[..]].concat();
        let signature = [&[0x30, 100], &half[..], &half].concat();
        let payload = |number: usize| {
            let payload = wire::Payload {
                docker_reference: format!("registry.example/{number}"),
                manifest_digest: world.digest(),
                annotations: BTreeMap::new(),
            };
            legacy_signature(&payload.to_bytes(), &signature)
        };
        let signatures: Vec<_> = (0..count).map(payload).collect();
        world.registry.push_signatures(REPO, &world.image.digest, &signatures);
        world.install().assert_refused(class);
    }
}

fn with_too_many_pages(filters: bool) -> World {
    let world = World::with(Options { page: 10, filters, ..Options::default() }).lax();
    world.crowd(SBOM, MANY);
    world
}

#[test]
fn a_list_of_too_many_pages_is_a_limit_where_the_registry_does_not_filter() {
    with_too_many_pages(false).install().assert_refused("limit");
}

#[test]
fn a_list_of_too_many_pages_is_a_limit_where_the_registry_filters_too() {
    // It cannot be asked for what names no type.
    with_too_many_pages(true).install().assert_refused("limit");
    // A bundle is found all the same.
    let world = World::with(Options { page: 100, filters: true, ..Options::default() });
    world.crowd(SBOM, 1_200);
    world.attach_good();
    world.install().assert_silent_success();
}

#[test]
fn a_flood_of_sboms_makes_no_good_signature_unsigned() {
    let asked = [
        BUNDLE,
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        UNNAMED,
    ];
    let not_asked = [
        "application/vnd.dev.sigstore.bundle.v9+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
        "application/json",
    ];
    let flooded = |start, kind| {
        let world = World::with(Options { page: 10, filters: true, ..Options::default() });
        world.crowd(SBOM, MANY);
        world.attach_good_at(start, kind);
        world
    };
    for kind in asked {
        for start in ['0', 'f'] {
            flooded(start, kind).install().assert_silent_success();
        }
    }
    for kind in not_asked {
        // On a page that is read, and on one that is not.
        flooded('0', kind).install().assert_silent_success();
        flooded('f', kind).lax().install().assert_refused("limit");
    }
}

#[test]
fn a_flood_of_odd_bundles_does_not_push_aside_what_is_asked_for_by_type() {
    let world = World::with(Options { page: 100, filters: true, ..Options::default() });
    world.crowd("application/vnd.dev.sigstore.bundle.v9+json", 1_200);
    world.attach_good_at('f', BUNDLE);
    world.install().assert_silent_success();
}

#[test]
fn a_flood_of_sboms_keeps_nobody_from_signing_where_the_registry_filters() {
    for (filters, expected) in [(true, Some(0)), (false, Some(20))] {
        let world = World::with(Options { page: 10, filters, ..Options::default() });
        world.crowd(SBOM, MANY);
        let sign = ["sign", "--key", "acme.key", "--format", "bundle", &world.name()];
        assert_eq!(world.plugin.run(sign).status.code(), expected, "{filters}");
    }
}

#[test]
fn a_good_signature_among_those_that_are_looked_at_is_enough() {
    let world = World::without_api();
    let strangers = world.crowd(BUNDLE, MANY);
    let good = world.attach_good();
    let (before, after) = strangers.split_at(limits::REFERRERS - 1);
    world.list_as(&[
        (before, Some(BUNDLE)),
        (std::slice::from_ref(&good), Some(BUNDLE)),
        (after, Some(BUNDLE)),
    ]);
    world.install().assert_silent_success();
    world.list_as(&[(&strangers, Some(BUNDLE)), (&[good], Some(BUNDLE))]);
    world.install().assert_refused("limit");
}

#[test]
fn where_one_more_would_not_be_looked_at_none_is_signed() {
    let world = World::in_one_page();
    world.crowd(BUNDLE, MANY);
    let output =
        world.plugin.run(["sign", "--key", "acme.key", "--format", "bundle", &world.name()]);
    assert_eq!(output.status.code(), Some(20), "{output:?}");
}
