//! Registries that show late what was pushed.

use super::support::{REPO, World, world};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use testkit::{Answer, LuetRepository, Reply, layer};

impl World {
    /// Pushes as luet does, with a key that opens.
    fn pushed(&mut self, tag: &str, seconds: &str) -> Reply {
        self.plugin.set("LUET_COSIGN_ENGINE", "registry");
        self.plugin.set("LUET_COSIGN_TIMEOUT", seconds);
        self.plugin.set("COSIGN_KEY_LOCATION", &self.file("acme.key"));
        self.plugin.post_push(&self.name(tag))
    }

    /// Answers `late` instead of what is there, so many times after each write of what matches.
    fn late(&self, pattern: &str, times: usize) {
        // Of each name what was read last, and how often that is still to be shown.
        type Shown = BTreeMap<String, (Option<Answer>, usize)>;
        let shown: Arc<Mutex<Shown>> = Arc::default();
        let written = Arc::clone(&shown);
        self.registry.rule("PUT", pattern, move |call| {
            let name = call.request.target.clone();
            written.lock().unwrap().entry(name).or_default().1 = times;
            None
        });
        self.registry.rule("GET", pattern, move |call| {
            let mut shown = shown.lock().unwrap();
            let seen = shown.entry(call.request.target.clone()).or_default();
            if seen.1 > 0 {
                seen.1 -= 1;
                return seen.0.clone();
            }
            let good = call.good();
            seen.0 = Some(good.clone());
            Some(good)
        });
    }

    fn signatures_written(&self) -> usize {
        let is = |request: &&testkit::Request| {
            request.method == "PUT" && request.target.ends_with(".sig")
        };
        self.registry.requests().iter().filter(is).count()
    }
}

#[test]
fn a_tag_that_shows_a_moment_later_is_waited_for() {
    let mut world = world();
    world.registry.push_image(REPO, "new", &[&layer(&[("a", b"1")])]);
    world.registry.in_turn(
        "GET",
        "/v2/acme/packages/manifests/new",
        vec![Answer::error(404, "MANIFEST_UNKNOWN"), Answer::error(404, "MANIFEST_UNKNOWN")],
    );
    world.pushed("new", "30").assert_silent_or_notice();
    assert_eq!(world.signatures_written(), 1);
}

#[test]
fn a_tag_that_never_shows_is_said_to_be_that() {
    let mut world = world();
    let reply = world.pushed("never", "10");
    reply.assert_refused("not-found");
    assert!(reply.error.contains("some registries show late what is pushed"), "{reply:?}");
    assert!(reply.error.contains("sign-repo"), "{reply:?}");
}

#[test]
fn a_signature_that_shows_a_moment_later_is_written_once() {
    let mut world = world();
    world.registry.push_image(REPO, "x", &[&layer(&[("a", b"1")])]);
    world.late("/v2/acme/packages/manifests/*.sig", 2);
    world.pushed("x", "30").assert_silent_or_notice();
    assert_eq!(world.signatures_written(), 1, "seen before: five writes in half a second");
}

#[test]
fn a_signature_beside_another_that_shows_late_is_written_once() {
    let mut world = world();
    world.registry.push_image(REPO, "x", &[&layer(&[("a", b"1")])]);
    world.sign("stranger.key", &["x".to_owned()]);
    let before = world.signatures_written();
    world.late("/v2/acme/packages/manifests/*.sig", 2);
    world.pushed("x", "30").assert_silent_or_notice();
    assert_eq!(world.signatures_written() - before, 1);
}

#[test]
fn a_signature_that_never_shows_is_said_to_be_that() {
    let mut world = world();
    world.registry.push_image(REPO, "x", &[&layer(&[("a", b"1")])]);
    world.late("/v2/acme/packages/manifests/*.sig", 1_000);
    let reply = world.pushed("x", "10");
    reply.assert_refused("registry");
    assert!(reply.error.contains("shows what was there before"), "{reply:?}");
    assert!(!reply.error.contains("replaced by others"), "{reply:?}");
    assert_eq!(world.signatures_written(), 1);
}

#[test]
fn a_bundle_that_shows_a_moment_later_is_waited_for() {
    let world = world();
    world.registry.push_image(REPO, "x", &[&layer(&[("a", b"1")])]);
    // The bundle's own manifest is read back by its digest.
    let puts: Arc<Mutex<Vec<String>>> = Arc::default();
    let written = Arc::clone(&puts);
    world.registry.rule("PUT", "/v2/acme/packages/manifests/sha256:*", move |call| {
        written.lock().unwrap().push(call.request.target.clone());
        None
    });
    let answered: Arc<Mutex<usize>> = Arc::default();
    world.registry.rule("GET", "/v2/acme/packages/manifests/sha256:*", move |call| {
        let mut answered = answered.lock().unwrap();
        let ours = puts.lock().unwrap().contains(&call.request.target);
        (ours && *answered < 2).then(|| {
            *answered += 1;
            Answer::error(404, "MANIFEST_UNKNOWN")
        })
    });
    let output = world.plugin.run([
        "sign",
        "--format",
        "bundle",
        "--key",
        &world.file("acme.key"),
        &world.name("x"),
    ]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_repository_just_published_is_signed_whole() {
    let world = world();
    let repository = LuetRepository::new(REPO, 2);
    repository.publish(&world.registry);
    world.late("/v2/acme/packages/manifests/*.sig", 1);
    let ran = world.run("sign-repo", &["--key", &world.file("acme.key"), "--trust-registry"]);
    ran.exited(0);
    assert_eq!(world.signatures_written(), 12);
}

trait Said {
    fn assert_silent_or_notice(&self);
}

impl Said for Reply {
    /// Signed; that no engine was asked is said.
    #[track_caller]
    fn assert_silent_or_notice(&self) {
        assert_eq!((self.exit, self.error.as_str()), (Some(0), ""), "{self:?}");
        assert!(self.state.contains("signed what the registry serves"), "{self:?}");
    }
}
