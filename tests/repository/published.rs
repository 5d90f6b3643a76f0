//! The end of `create-repo`: what luet skipped, because the registry has it already.

use super::sign::metadata;
use super::support::{REPO, World, world};
use serde_json::json;
use testkit::{LuetRepository, Reply, envelope};

const EVENT: &str = "repository.post.build";

impl World {
    /// As luet does where the registry has all packages already: it pushes the rest.
    fn publish_around_packages(&mut self) -> LuetRepository {
        let repository = LuetRepository::new(REPO, 3);
        repository.publish(&self.registry);
        for (name, value) in [
            ("COSIGN_KEY_LOCATION", self.file("acme.key")),
            ("COSIGN_PUBLIC_KEY_LOCATION", self.file("acme.pub")),
            ("LUET_COSIGN_ENGINE", "registry".to_owned()),
        ] {
            self.plugin.set(name, &value);
        }
        for tag in metadata() {
            assert_eq!(self.plugin.pre_push(&self.name(&tag)).error, "");
            assert_eq!(self.plugin.post_push(&self.name(&tag)).error, "");
        }
        repository
    }

    fn post_build(&self, kind: &str) -> Reply {
        let data = json!({
            "Repo": {"name": "acme", "type": kind, "index": [{"path": "p0"}]},
            "Path": self.repository(),
        });
        self.plugin.send(EVENT, &envelope(EVENT, &data))
    }
}

#[test]
fn what_luet_skipped_is_named_with_the_command_that_signs_it() {
    let mut world = world();
    let repository = world.publish_around_packages();
    let reply = world.post_build("docker");
    assert_eq!(reply.error, "");
    let command = format!(
        r#": luet-cosign sign-repo --key "$COSIGN_KEY_LOCATION" --from build {}"#,
        world.repository()
    );
    assert!(reply.state.starts_with("6 of 14 images are NOT signed"), "{reply:?}");
    assert!(reply.state.ends_with(&command) && !reply.state.contains('\n'), "{reply:?}");
    // That command does it.
    repository.build(&world.plugin.path("build"));
    let (key, build) = (world.file("acme.key"), world.file("build"));
    let ran = world.run("sign-repo", &["--key", &key, "--from", &build]);
    ran.exited(0);
    assert!(ran.last().ends_with("14 images: 6 signed, 8 signed already"), "{}", ran.last());
    world.post_build("docker").assert_silent_success();
}

#[test]
fn of_what_this_run_signed_no_signature_is_asked_for_again() {
    let mut world = world();
    world.publish_around_packages();
    for (name, category, version) in LuetRepository::new(REPO, 3).packages {
        for end in ["", ".metadata.yaml"] {
            let image = world.name(&format!("{name}-{category}-{version}{end}"));
            assert_eq!(world.plugin.post_push(&image).error, "");
        }
    }
    let before = world.registry.lines().len();
    world.post_build("docker").assert_silent_success();
    let asked = world.registry.lines().split_off(before);
    assert!(!asked.is_empty(), "the list is read");
    assert!(!asked.iter().any(|line| line.contains(".sig")), "{asked:?}");
}

#[test]
fn another_s_signature_is_not_this_signer_s() {
    let mut world = world();
    world.publish_around_packages();
    world.sign("stranger.key", &["p0-test-1.0".to_owned()]);
    let reply = world.post_build("docker");
    assert!(reply.state.starts_with("6 of 14 images are NOT signed"), "{reply:?}");
}

#[test]
fn nothing_is_said_where_nothing_was_to_be_signed() {
    let mut world = world();
    // Nothing was pushed in this run.
    LuetRepository::new(REPO, 1).publish(&world.registry);
    world.plugin.set("COSIGN_KEY_LOCATION", &world.file("acme.key"));
    let before = world.registry.lines().len();
    world.post_build("docker").assert_silent_success();
    assert_eq!(world.registry.lines().len(), before);
    world.publish_around_packages();
    world.post_build("disk").assert_silent_success();
    world.plugin.set("LUET_COSIGN_SIGN", "off");
    world.post_build("docker").assert_silent_success();
    world.plugin.unset("LUET_COSIGN_SIGN");
    world.plugin.unset("COSIGN_KEY_LOCATION");
    world.post_build("docker").assert_silent_success();
    world.plugin.send(EVENT, "nonsense").assert_silent_success();
}
