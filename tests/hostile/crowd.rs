//! A thousand event processes, sixty-four at a time, half of them of images that must be refused:
//! no wrong verdict (E12).
//!
//! All of them share one registry, one policy, one store and one run of the host, as luet's
//! parallel downloads do.

use crate::world::{BUNDLE, World, bundle, class_of, signature};
use serde_json::json;
use testkit::http::Answer;
use testkit::registry::{INDEX, MANIFEST, digest};

const AT_ONCE: usize = 64;

/// Puts an image of one kind into a repository of the world's registry.
type Plant = fn(&World, &str);

/// Every other one is hostile. The class is the one that every process must end in.
const KINDS: [(&str, &str, Plant); 16] = [
    ("legacy", "", |world, repo| sign(world, repo, &["acme"])),
    ("tampered", "digest", |world, repo| {
        sign(world, repo, &["acme"]);
        world.registry.rule("GET", &format!("/v2/{repo}/blobs/*"), |call| {
            let mut bytes = call.good().bytes().to_vec();
            bytes[0] ^= 1;
            Some(call.good().body(bytes))
        });
    }),
    ("bundle", "", |world, repo| attach(world, repo, "acme")),
    ("stranger", "identity", |world, repo| sign(world, repo, &["stranger"])),
    ("several", "", |world, repo| sign(world, repo, &["stranger", "acme", "stranger"])),
    ("unsigned", "unsigned", |world, repo| drop(push(world, repo))),
    ("both", "", |world, repo| {
        sign(world, repo, &["acme"]);
        attach(world, repo, "stranger");
    }),
    ("fault", "registry", |world, repo| {
        sign(world, repo, &["acme"]);
        world.registry.always("GET", &format!("/v2/{repo}/manifests/*.sig"), Answer::new(500));
    }),
    ("fallback", "", |world, repo| {
        let image = push(world, repo);
        let referrer =
            world.registry.push_referrer(repo, &image, BUNDLE, &bundle("acme", &image.digest));
        let size = world.registry.manifest(repo, &referrer).unwrap().1.len();
        world.registry.push_fallback(repo, &image.digest, &[(&referrer, size)]);
        world.registry.always("GET", &format!("/v2/{repo}/referrers/*"), Answer::new(404));
    }),
    ("truncated", "net", |world, repo| {
        sign(world, repo, &["acme"]);
        world
            .registry
            .rule("GET", &format!("/v2/{repo}/manifests/*.sig"), |call| Some(call.good().cut(20)));
    }),
    ("index", "", |world, repo| {
        let image = push(world, repo);
        let index = world.registry.push_index(repo, "1", &[(&image, "linux/amd64")]);
        put(world, repo, &index, &index, &["acme"]);
    }),
    ("swapped", "unsigned", |world, repo| {
        sign(world, repo, &["acme"]);
        world.registry.push_image(repo, "1", &[b"swapped"]);
    }),
    ("child", "", |world, repo| {
        sign(world, repo, &["acme"]);
        let image = push(world, repo);
        world.registry.push_index(repo, "1", &[(&image, "linux/amd64")]);
    }),
    ("binding", "binding", |world, repo| {
        let image = push(world, repo);
        put(world, repo, &image.digest, &digest(b"another image"), &["acme"]);
    }),
    ("redirected", "", |world, repo| {
        sign(world, repo, &["acme"]);
        world.registry.rule("GET", &format!("/v2/{repo}/blobs/sha256*"), |call| {
            call.request
                .query("moved")
                .is_none()
                .then(|| Answer::redirect(307, &format!("{}?moved=1", call.request.target)))
        });
    }),
    ("poisoned", "malformed", |world, repo| {
        let image = push(world, repo);
        let entry = json!({"mediaType": MANIFEST, "size": -1, "digest": image.digest});
        let list =
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
        world.registry.always(
            "GET",
            &format!("/v2/{repo}/referrers/*"),
            Answer::new(200).header("Content-Type", INDEX).body(list),
        );
    }),
];

fn push(world: &World, repo: &str) -> testkit::Image {
    world.registry.push_image(repo, "1", &[&world.layer])
}

fn sign(world: &World, repo: &str, signers: &[&str]) {
    let image = push(world, repo);
    put(world, repo, &image.digest, &image.digest, signers);
}

/// Puts signatures that say they are of `signed` where those of `subject` belong.
fn put(world: &World, repo: &str, subject: &str, signed: &str, signers: &[&str]) {
    let name = world.registry.name(repo);
    let signatures: Vec<_> =
        signers.iter().map(|signer| signature(&name, signer, signed, &[])).collect();
    world.registry.push_signatures(repo, subject, &signatures);
}

fn attach(world: &World, repo: &str, signer: &str) {
    let image = push(world, repo);
    world.registry.push_referrer(repo, &image, BUNDLE, &bundle(signer, &image.digest));
}

#[test]
fn of_a_thousand_processes_none_gives_a_wrong_verdict() {
    let mut world = World::strict();
    world.plugin.set("LUET_COSIGN_TIMEOUT", "60");
    for (kind, _, plant) in KINDS {
        plant(&world, &format!("crowd/{kind}"));
    }
    let count = crate::runs(1_000, 192);
    crate::in_parallel(AT_ONCE, count, |number| {
        let (kind, expected, _) = KINDS[number % KINDS.len()];
        let reply = world
            .plugin
            .pre_unpack(&world.registry.name(&format!("crowd/{kind}:1")), &world.dest());
        assert_eq!(class_of(&reply), expected, "process {number}, {kind}: {reply:?}");
    });
    println!("crowd: {count} processes, {AT_ONCE} at once, 0 wrong verdicts");
}
