//! The main job, from end to end, with nothing but what cargo brings:
//! `cargo run --example main-job`.
//!
//! Starts a registry in this process, makes keys, publishes a small repository as luet does, and
//! then drives the real plugin binary with luet's own payloads. Each step says what happens and
//! what the plugin answered; a step that goes otherwise than it should ends the program with an
//! error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::as_conversions,
    missing_docs
)]

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use testkit::{PASSWORD, Plugin, Reply, TestRegistry, make_keys};

/// What luet pushes for a repository of one package: its description, its tree, its metadata, and
/// the package.
const TAGS: [&str; 4] =
    ["repository.yaml", "tree.tar.gz", "repository.meta.yaml.tar", "yip-toolchain-1.0"];

/// Whose signatures count, for those who install.
const TRUSTED: &str = "COSIGN_PUBLIC_KEY_LOCATION";

fn main() -> ExitCode {
    let mut tour = Tour::begin();
    tour.sign();
    tour.verify();
    tour.unsigned();
    tour.stranger();
    tour.tamper();
    tour.end()
}

struct Tour {
    registry: TestRegistry,
    plugin: Plugin,
    step: usize,
    wrong: usize,
    dests: usize,
}

impl Tour {
    fn begin() -> Self {
        println!("luet-cosign: the main job, step by step\n");
        println!("building the plugin ...");
        let registry = TestRegistry::start();
        let mut plugin = Plugin::new(build().to_str().unwrap());
        println!("a registry listens on {} (in this process, gone when it ends)", registry.host());
        for name in ["acme", "stranger"] {
            make_keys(&plugin, name);
        }
        println!("two key pairs were made: acme, whom we trust, and a stranger");
        plugin.set("COSIGN_PASSWORD", PASSWORD);
        Self { registry, plugin, step: 0, wrong: 0, dests: 0 }
    }

    fn say(&mut self, text: &str) {
        self.step += 1;
        println!("\n{}. {text}", self.step);
    }

    /// Prints what was sent and answered, and holds it against what should be.
    fn expect(&mut self, what: &str, reply: &Reply, class: Option<&str>) {
        let answer = if reply.error.is_empty() {
            format!("ok {}", reply.state)
        } else {
            reply.error.clone()
        };
        println!("   {what}\n      -> {}", answer.trim_end().replace('\n', "\n         "));
        let found = (!reply.error.is_empty()).then(|| reply.class());
        if reply.exit != Some(0) || found != class {
            self.wrong += 1;
            println!("      WRONG: expected {}", class.unwrap_or("success"));
        }
    }

    /// The two events of one image that luet unpacks.
    fn unpack(&mut self, repository: &str, tag: &str, class: Option<&str>) {
        self.unpack_as(repository, tag, &content(repository, tag), class, None);
    }

    /// The same, where the host unpacks `layer`, whatever the registry told us.
    fn unpack_as(
        &mut self,
        repository: &str,
        tag: &str,
        layer: &[u8],
        before: Option<&str>,
        after: Option<&str>,
    ) {
        self.dests += 1;
        let image = self.registry.name(&format!("{repository}:{tag}"));
        let dest = self.plugin.dest(&format!("dest{}", self.dests));
        let reply = self.plugin.pre_unpack(&image, &dest);
        self.expect(&format!("image.pre.unpack  {image}"), &reply, before);
        if reply.error.is_empty() {
            testkit::unpack(layer, &dest);
            let reply = self.plugin.post_unpack(&image, &dest);
            self.expect(&format!("image.post.unpack {image}"), &reply, after);
        }
    }

    /// The two events of one image that luet pushes, with the push between them.
    fn push(&mut self, key: &str, repository: &str, tag: &str) {
        let image = self.registry.name(&format!("{repository}:{tag}"));
        let path = self.plugin.path(&format!("{key}.key")).display().to_string();
        self.plugin.set("COSIGN_KEY_LOCATION", &path);
        // No docker and no buildah here that could say what was pushed.
        self.plugin.set("LUET_COSIGN_ENGINE", "registry");
        let before = self.plugin.pre_push(&image);
        self.expect(&format!("image.pre.push    {image}"), &before, None);
        self.registry.push_image(repository, tag, &[&content(repository, tag)]);
        let after = self.plugin.post_push(&image);
        self.expect(&format!("image.post.push   {image}"), &after, None);
    }

    fn sign(&mut self) {
        self.say("acme publishes a repository: luet pushes four images, the plugin signs each (COSIGN_KEY_LOCATION)");
        for tag in TAGS {
            self.push("acme", "acme/packages", tag);
        }
        println!("   in the registry now: {}", self.registry.tags("acme/packages").join(", "));
    }

    fn trust(&mut self, key: &str) {
        let path = self.plugin.path(&format!("{key}.pub")).display().to_string();
        self.plugin.set(TRUSTED, &path);
    }

    fn verify(&mut self) {
        self.say("someone installs from it and trusts acme's key (COSIGN_PUBLIC_KEY_LOCATION): silence is success");
        self.trust("acme");
        for tag in TAGS {
            self.unpack("acme/packages", tag, None);
        }
    }

    fn unsigned(&mut self) {
        self.say("a second repository is not signed: the install stops");
        self.registry.push_image(
            "hobby/packages",
            "game-1.0",
            &[&content("hobby/packages", "game-1.0")],
        );
        self.unpack("hobby/packages", "game-1.0", Some("unsigned"));
        self.say(
            "... unless it is allowed to be (LUET_COSIGN_ALLOW_UNSIGNED, or a rule of a policy)",
        );
        self.plugin.set("LUET_COSIGN_ALLOW_UNSIGNED", &self.registry.name("hobby/**"));
        self.unpack("hobby/packages", "game-1.0", None);
        println!("   the first repository stays as strict as it was:");
        self.registry.push_image(
            "acme/packages",
            "new-1.0",
            &[&content("acme/packages", "new-1.0")],
        );
        self.unpack("acme/packages", "new-1.0", Some("unsigned"));
    }

    fn stranger(&mut self) {
        self.say("a stranger signs a package of acme's: a signature, but by nobody who is trusted");
        // With acme's key in force, the plugin would refuse to make a signature that nobody accepts.
        self.plugin.unset(TRUSTED);
        self.push("stranger", "acme/packages", "new-1.0");
        self.trust("acme");
        self.unpack("acme/packages", "new-1.0", Some("identity"));
    }

    fn tamper(&mut self) {
        self.say(
            "someone replaces a package under its tag and hangs the old signature on the new image",
        );
        let old = self.registry.push_image(
            "acme/packages",
            "yip-toolchain-1.0",
            &[&content("acme/packages", "yip-toolchain-1.0")],
        );
        let new = self.registry.push_image(
            "acme/packages",
            "yip-toolchain-1.0",
            &[&content("evil", "yip-toolchain-1.0")],
        );
        let tag = |digest: &str| format!("{}.sig", digest.replace(':', "-"));
        let (media_type, signature) =
            self.registry.manifest("acme/packages", &tag(&old.digest)).unwrap();
        self.registry.push_manifest(
            "acme/packages",
            Some(&tag(&new.digest)),
            &media_type,
            &signature,
        );
        self.unpack("acme/packages", "yip-toolchain-1.0", Some("binding"));
        self.say("the registry shows us the signed image, and gives the host another one: the files on disk are what counts");
        self.registry.tag("acme/packages", "yip-toolchain-1.0", &old.digest);
        self.unpack_as(
            "acme/packages",
            "yip-toolchain-1.0",
            &content("evil", "yip-toolchain-1.0"),
            None,
            Some("tree"),
        );
    }

    fn end(self) -> ExitCode {
        if self.wrong == 0 {
            println!("\nall {} steps went as they should", self.step);
            return ExitCode::SUCCESS;
        }
        println!("\n{} answers were wrong", self.wrong);
        ExitCode::FAILURE
    }
}

/// The one layer of an image.
fn content(repository: &str, tag: &str) -> Vec<u8> {
    testkit::layer(&[("usr/share/demo/name", format!("{repository} {tag}").as_bytes())])
}

/// Builds the plugin with the cargo that runs this example, in the same profile, and returns where
/// it is.
fn build() -> PathBuf {
    let example = std::env::current_exe().unwrap();
    let profile = example.parent().unwrap().parent().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--bin",
        "luet-cosign",
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    command.arg("--target-dir").arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        command.arg("--release");
    }
    assert!(command.status().expect("cargo runs").success(), "the plugin does not build");
    profile.join("luet-cosign")
}
