//! Called as `cosign`: what kairos-agent and elemental say, and what they read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::PathBuf;
use std::process::Output;
use testkit::{PASSWORD, Plugin, TestRegistry, make_keys};

const REPO: &str = "acme/os";

struct World {
    registry: TestRegistry,
    plugin: Plugin,
    shim: PathBuf,
}

fn world() -> World {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    make_keys(&plugin, "acme");
    make_keys(&plugin, "stranger");
    let shim = plugin.path("cosign");
    let folder = plugin.path("").display().to_string();
    assert!(plugin.run(["install-shim", &folder]).status.success());
    World { registry: TestRegistry::start(), plugin, shim }
}

impl World {
    fn image(&self, tag: &str, key: Option<&str>) -> String {
        self.registry.push_image(REPO, tag, &[&testkit::layer(&[("file", tag.as_bytes())])]);
        let name = self.registry.name(&format!("{REPO}:{tag}"));
        if let Some(key) = key {
            let key = self.plugin.path(&format!("{key}.key")).display().to_string();
            let mut sign = self.plugin.raw();
            let signed = sign.env("COSIGN_PASSWORD", PASSWORD).args(["sign", "--key", &key, &name]);
            assert!(signed.output().unwrap().status.success());
        }
        name
    }

    /// As the agent calls it: by its name, with a directory for TUF that is thrown away.
    fn call(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output: Output = self
            .plugin
            .raw_of(&self.shim)
            .args(arguments)
            .env("TUF_ROOT", self.plugin.path("tuf"))
            .output()
            .unwrap();
        let all = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(all).unwrap())
    }

    fn key(&self, name: &str) -> String {
        self.plugin.path(&format!("{name}.pub")).display().to_string()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], exit: i32, class: &str, image: &str) {
        let (code, all) = self.call(arguments);
        assert_eq!(code, Some(exit), "{all}");
        let first = all.lines().next().unwrap_or_default();
        assert!(first.contains(&format!("{class}: ")) && first.contains(image), "{all}");
    }
}

#[test]
fn hosts_get_the_answer_that_they_read() {
    let world = world();
    let (acme, key) = (world.image("v1", Some("acme")), world.key("acme"));
    for arguments in [
        vec!["-key", &key, &acme],
        vec!["-d=true", "-key", &key, &acme],
        vec!["verify", "--key", &key, &acme],
    ] {
        assert_eq!(world.call(&arguments).0, Some(0), "{arguments:?}");
    }
    let unsigned = world.image("v2", None);
    world.refused(&["-key", &key, &unsigned], 10, "unsigned", &unsigned);
    let stranger = world.image("v3", Some("stranger"));
    world.refused(&["-key", &key, &stranger], 12, "identity", &stranger);
    let nowhere = world.plugin.path("nowhere.pub").display().to_string();
    world.refused(&["-key", &nowhere, &acme], 3, "secret", &acme);
    world.refused(&["-key", &key, "127.0.0.1:1/a/b:c"], 20, "net", "127.0.0.1:1/a/b");
    // A name with a dot and no slash is an image here, and no event.
    let (code, all) = world.call(&["opensuse:15.3"]);
    assert!(code != Some(0) && all.contains("opensuse"), "{all}");
}

#[test]
fn without_a_key_the_policy_decides() {
    let world = world();
    let acme = world.image("v1", Some("acme"));
    world.refused(&[&acme], 3, "policy", &acme);
    let policy = format!(
        "version: 1\ndefaults: {{unmatched: deny}}\nsigners: {{acme: {{key: acme.pub}}}}\nrepositories:\n  - {{name: os, scope: {}/**, trust: [acme]}}\n",
        world.registry.host()
    );
    let path = world.plugin.write("policy.yaml", policy).display().to_string();
    let World { registry, plugin, shim } = world;
    let world = World { registry, shim, plugin: plugin.env("LUET_COSIGN_POLICY", &path) };
    assert_eq!(world.call(&[&acme]).0, Some(0));
    let unsigned = world.image("v2", None);
    world.refused(&[&unsigned], 10, "unsigned", &unsigned);
    std::fs::write(&path, "version: 2").unwrap();
    world.refused(&[&acme], 3, "policy", &acme);
}

#[test]
fn a_program_that_is_there_is_replaced_only_by_force() {
    let world = world();
    let folder = world.plugin.dest("bin");
    let other = folder.join("cosign");
    std::fs::write(&other, "#!/bin/sh\n").unwrap();
    let install = |more: &[&str]| {
        let folder = folder.display().to_string();
        let arguments = [&["install-shim", folder.as_str()], more].concat();
        world.plugin.run(arguments).status.code()
    };
    assert_eq!(install(&[]), Some(2));
    assert_eq!(std::fs::read(&other).unwrap(), b"#!/bin/sh\n");
    assert_eq!(install(&["--force"]), Some(0));
    assert_eq!(install(&[]), Some(0), "ours may be recreated");
    assert!(other.symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}
