//! Images that luet pulls to build on, with an engine that says what it was told to.

use super::support::{REPO, World, world};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use testkit::{Reply, envelope, layer};

const EVENT: &str = "image.post.pull";
const TAG: &str = "p0-test-1.0";

/// A signed image, which buildah pulled.
fn signed() -> (World, String) {
    let mut world = world();
    let image = world.registry.push_image(REPO, TAG, &[&layer(&[("a", b"a")])]);
    world.sign("acme.key", &[TAG.to_owned()]);
    world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", &world.file("acme.pub"));
    world.plugin.set("LUET_COSIGN_BUILD_INPUTS", "verify");
    world.plugin.set("LUET_COSIGN_ENGINE", "buildah");
    world.buildah_has(&image.config, &image.digest);
    (world, image.digest)
}

impl World {
    fn buildah_has(&mut self, config: &[u8], manifest: &str) {
        let config = testkit::digest(config);
        let answer = json!({"FromImageID": config, "FromImageDigest": manifest});
        let bin = self.plugin.path("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let program = self.plugin.write("bin/buildah", format!("#!/bin/sh\necho '{answer}'\n"));
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.plugin.set("PATH", &format!("{}:/usr/bin:/bin", bin.display()));
    }

    fn post_pull(&self) -> Reply {
        let data = json!({
            "ImageName": self.name(TAG), "SourcePath": "", "DockerFileName": "",
            "Destination": "", "Context": "", "BackendArgs": null,
        });
        self.plugin.send(EVENT, &envelope(EVENT, &data))
    }
}

#[test]
fn what_is_signed_is_built_on() {
    let (world, _) = signed();
    world.post_pull().assert_silent_success();
}

#[test]
fn what_is_not_signed_stops_the_build() {
    let (mut world, _) = signed();
    let image = world.registry.push_image(REPO, TAG, &[&layer(&[("a", b"EVIL")])]);
    world.buildah_has(&image.config, &image.digest);
    world.post_pull().assert_refused("unsigned");
    // Unless the policy lets it.
    world.plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", &world.repository());
    let reply = world.post_pull();
    assert_eq!(reply.error, "");
    assert!(reply.state.contains("is not signed"), "{reply:?}");
}

/// The tag names the signed image again by the time that it is asked for.
#[test]
fn what_the_engine_pulled_counts_and_not_what_the_tag_means_by_now() {
    let (mut world, good) = signed();
    let evil = world.registry.push_image("acme/evil", "1", &[&layer(&[("a", b"EVIL")])]);
    world.buildah_has(&evil.config, &evil.digest);
    let reply = world.post_pull();
    reply.assert_refused("digest");
    assert!(reply.error.contains(&evil.digest) && reply.error.contains(&good), "{reply:?}");
    // The signed image's configuration over other layers: it does not say which those are.
    let image = world.registry.push_image(REPO, TAG, &[&layer(&[("a", b"a")])]);
    assert_eq!(image.digest, good);
    world.buildah_has(&image.config, &evil.digest);
    world.post_pull().assert_refused("digest");
    world.buildah_has(&image.config, "");
    world.post_pull().assert_refused("digest");
}

#[test]
fn nobody_who_could_say_what_was_pulled_is_an_error() {
    let (mut world, _) = signed();
    world.plugin.set("LUET_COSIGN_ENGINE", "registry");
    world.post_pull().assert_refused("usage");
    world.plugin.set("LUET_COSIGN_ENGINE", "buildah");
    world.plugin.set("PATH", "/nowhere");
    world.post_pull().assert_refused("not-found");
}

#[test]
fn nothing_is_looked_at_unless_it_was_asked_for() {
    let (mut world, _) = signed();
    let before = world.registry.lines().len();
    for off in ["off", ""] {
        world.plugin.set("LUET_COSIGN_BUILD_INPUTS", off);
        world.plugin.send(EVENT, "nonsense").assert_silent_success();
    }
    assert_eq!(world.registry.lines().len(), before);
    world.plugin.set("LUET_COSIGN_BUILD_INPUTS", "yes");
    world.post_pull().assert_refused("usage");
}
