//! The environment's keyless settings at the real binary: who is expected where nobody is named,
//! what is said about strangers, and `LUET_COSIGN_ANY_IDENTITY`.

use super::*;
use testkit::{Image, Plugin, Reply, TestRegistry};

const REPO: &str = "acme/packages";

/// The layer of an image.
fn files(tag: &str) -> Vec<u8> {
    testkit::layer(&[("file", tag.as_bytes())])
}

/// A registry, and a plugin for keyless signatures that knows this process's Sigstore.
pub(super) struct World {
    pub(super) registry: TestRegistry,
    pub(super) plugin: Plugin,
}

impl World {
    pub(super) fn new() -> Self {
        let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        let root =
            plugin.write("root.json", sigstore().trusted_root().to_string()).display().to_string();
        Self {
            registry: TestRegistry::start(),
            plugin: plugin.env("COSIGN_EXPERIMENTAL", "1").env("COSIGN_TRUSTED_ROOT", &root),
        }
    }

    fn any() -> Self {
        let mut world = Self::new();
        world.plugin.set("LUET_COSIGN_ANY_IDENTITY", "1");
        world
    }

    /// Pushes an image with legacy signatures by these identities.
    fn push(&self, tag: &str, signers: &[&str]) -> Image {
        let image = self.registry.push_image(REPO, tag, &[&files(tag)]);
        let sign = |identity: &&str| {
            let signature =
                sigstore().sign().identity(identity).issuer(DEV.1).legacy(&image.digest);
            testkit::Signature {
                payload: signature.payload().to_vec(),
                annotations: signature.annotations().into_iter().collect(),
            }
        };
        let signatures: Vec<_> = signers.iter().map(sign).collect();
        self.registry.push_signatures(REPO, &image.digest, &signatures);
        image
    }

    fn dest(&self) -> std::path::PathBuf {
        self.plugin
            .dest(&format!("dest{}", std::fs::read_dir(self.plugin.path("")).unwrap().count()))
    }

    pub(super) fn before(&self, tag: &str) -> Reply {
        self.plugin.pre_unpack(&self.registry.name(&format!("{REPO}:{tag}")), &self.dest())
    }

    /// Both events of an image that is unpacked as it is.
    fn install(&self, tag: &str) -> Reply {
        let name = self.registry.name(&format!("{REPO}:{tag}"));
        let dest = self.dest();
        let before = self.plugin.pre_unpack(&name, &dest);
        if !before.error.is_empty() {
            return before;
        }
        testkit::unpack(&files(tag), &dest);
        let after = self.plugin.post_unpack(&name, &dest);
        if after.error.is_empty() { before } else { after }
    }
}

#[test]
fn without_an_identity_a_signature_is_refused_with_the_two_lines_to_add() {
    let world = World::new();
    world.push("1", &[DEV.0]);
    let reply = world.before("1");
    reply.assert_refused("identity");
    for part in [
        "`environment` [COSIGN_EXPERIMENTAL]",
        DEV.0,
        DEV.1,
        "COSIGN_CERTIFICATE_IDENTITY=dev@example.com",
        "COSIGN_CERTIFICATE_OIDC_ISSUER=https://issuer.example",
    ] {
        assert!(reply.error.contains(part), "{part}: {}", reply.error);
    }
    let world = World { plugin: world.plugin.env("COSIGN_CERTIFICATE_IDENTITY", DEV.0), ..world };
    world.before("1").assert_refused("policy");
    let world =
        World { plugin: world.plugin.env("COSIGN_CERTIFICATE_OIDC_ISSUER", DEV.1), ..world };
    world.before("1").assert_silent_success();
}

#[test]
fn expressions_of_the_environment_fit_from_border_to_border() {
    let world = World::new();
    world.push("1", &[DEV.0]);
    let plugin = world
        .plugin
        .env("COSIGN_CERTIFICATE_IDENTITY_REGEXP", "^dev@")
        .env("COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP", "^https://issuer");
    let world = World { plugin, ..world };
    let reply = world.before("1");
    reply.assert_refused("identity");
    assert!(reply.error.contains("`environment` [COSIGN_CERTIFICATE_IDENTITY]"), "{}", reply.error);
    let plugin = world
        .plugin
        .env("COSIGN_CERTIFICATE_IDENTITY_REGEXP", "@example\\.com")
        .env("COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP", "issuer.example");
    let world = World { plugin, ..world };
    world.before("1").assert_silent_success();
    let printed = world.plugin.run(["policy", "from-env"]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains(r#"subject_matches: "@example\\.com""#), "{printed}");
    assert!(printed.contains(r#"issuer_matches: "issuer.example""#), "{printed}");
    // What would fit but for the borders is said to, with what to write.
    let world = World {
        plugin: world.plugin.env("COSIGN_CERTIFICATE_IDENTITY_REGEXP", "ample.com"),
        ..world
    };
    let reply = world.before("1");
    reply.assert_refused("identity");
    assert!(reply.error.contains("`^dev@example.com`"), "{}", reply.error);
}

/// The flag and the variable mean the same, and what they let in is said.
#[test]
fn expressions_with_a_wildcard_inside_of_a_name_are_warned_of_where_names_are_looked_at() {
    let world = World::new();
    world.push("1", &[DEV.0]);
    let name = world.registry.name(&format!("{REPO}:1"));
    let said = |plugin: &Plugin, arguments: &[&str]| {
        let output = plugin.run(arguments.iter().copied().chain([name.as_str()]));
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.lines().filter(|line| line.starts_with("warning:")).count()
    };
    let flags = |expression| {
        ["verify", "--certificate-identity-regexp", expression, "--certificate-oidc-issuer", DEV.1]
    };
    assert_eq!(said(&world.plugin, &flags("@exam.*")), 1);
    assert_eq!(said(&world.plugin, &flags("@example.com")), 0);
    let plugin = world
        .plugin
        .env("COSIGN_CERTIFICATE_IDENTITY_REGEXP", "@exam.*")
        .env("COSIGN_CERTIFICATE_OIDC_ISSUER", DEV.1);
    assert_eq!((said(&plugin, &["verify"]), said(&plugin, &["check"])), (1, 1));
    let lint = plugin.run(["policy", "lint"]);
    let lint = String::from_utf8_lossy(&lint.stdout).into_owned();
    assert!(lint.contains("COSIGN_CERTIFICATE_IDENTITY [open-expression]"), "{lint}");
}

/// One of the two would be the one that was meant to count.
#[test]
fn a_name_and_an_expression_for_it_are_an_error() {
    let mut world = World::new();
    world.push("1", &[DEV.0]);
    world.plugin.set("COSIGN_CERTIFICATE_OIDC_ISSUER", DEV.1);
    world.plugin.set("COSIGN_CERTIFICATE_IDENTITY", DEV.0);
    world.before("1").assert_silent_success();
    for variable in ["COSIGN_CERTIFICATE_IDENTITY_REGEXP", "COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP"]
    {
        world.plugin.set(variable, ".*");
        world.before("1").assert_refused("usage");
        world.plugin.unset(variable);
    }
}

#[test]
fn the_first_signer_is_remembered_and_named_and_nobody_else_counts() {
    let world = World::any();
    for (tag, signers) in [("1", [DEV.0]), ("2", [DEV.0]), ("3", ["eve@example.com"])] {
        world.push(tag, &signers);
    }
    // To look is not to install: nobody is remembered, and it is said whom nothing was asked of.
    let shown = world.plugin.run(["verify", &world.registry.name(&format!("{REPO}:3"))]);
    assert!(
        shown.status.success()
            && String::from_utf8_lossy(&shown.stderr).contains("eve@example.com"),
        "{shown:?}"
    );
    let first = world.install("1");
    assert_eq!((first.error.as_str(), first.state.contains(DEV.0)), ("", true), "{first:?}");
    assert!(first.state.contains("`environment` [LUET_COSIGN_ANY_IDENTITY]"), "{first:?}");
    let second = world.install("2");
    assert_eq!((second.error.as_str(), second.state.contains(DEV.0)), ("", true), "{second:?}");
    let third = world.install("3");
    third.assert_refused("identity");
    assert!(third.error.contains("seen forget --all"), "{}", third.error);
    assert!(
        world.plugin.run(["seen", "forget", "--all", &world.registry.name(REPO)]).status.success()
    );
    assert_eq!(world.install("3").error, "");
    world.install("1").assert_refused("identity");
}

#[test]
fn several_signers_at_first_are_nobody() {
    let world = World::any();
    world.push("1", &[DEV.0, "eve@example.com"]);
    world.push("2", &["eve@example.com"]);
    world.install("1").assert_refused("identity");
    assert_eq!(world.install("2").error, "");
    assert_eq!(world.install("1").error, "", "one of them is the first by now");
}

#[test]
fn where_nothing_can_be_remembered_nobody_is_the_first() {
    let world = World::any();
    world.push("1", &[DEV.0]);
    let file = world.plugin.write("no-folder", "");
    let world =
        World { plugin: world.plugin.env("LUET_COSIGN_STATE", file.to_str().unwrap()), ..world };
    world.before("1").assert_refused("state");
}

#[test]
fn a_key_beside_keyless_without_an_identity_is_the_only_signer() {
    let world = World::any();
    world.push("1", &[DEV.0]);
    let path = testkit::make_keys(&world.plugin, "acme").public.display().to_string();
    let world = World { plugin: world.plugin.env("COSIGN_PUBLIC_KEY_LOCATION", &path), ..world };
    world.before("1").assert_refused("identity");
}

#[test]
fn verifying_asks_nobody_but_the_registry() {
    let world = World::new();
    world.push("1", &[DEV.0]);
    let plugin = world
        .plugin
        .env("COSIGN_CERTIFICATE_IDENTITY", DEV.0)
        .env("COSIGN_CERTIFICATE_OIDC_ISSUER", DEV.1);
    let world = World { plugin, ..world };
    world.before("1").assert_silent_success();
    let lines = world.registry.lines();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    let name = world.registry.name(&format!("{REPO}:1"));
    let output = world.plugin.run([
        "verify",
        "--json",
        "--certificate-identity",
        DEV.0,
        "--certificate-oidc-issuer",
        DEV.1,
        &name,
    ]);
    // The root of the environment is not an option's: the public one knows nobody here.
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let signature = &document["images"][0]["signatures"][0];
    let certificate = &signature["certificate"];
    assert_eq!((&certificate["subject"], &certificate["issuer"]), (&json!(DEV.0), &json!(DEV.1)));
    assert_eq!(signature["payload"]["optional"]["Subject"], json!(DEV.0));
}
