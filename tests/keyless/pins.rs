//! The first signer, at the real binary: what is remembered of them, and what does not make it
//! forgotten.

use super::*;
use testkit::sigstore::Key;
use testkit::{Image, Plugin, Reply, TestRegistry};

const REPO: &str = "acme/packages";

/// The layer of an image.
fn files(tag: &str) -> Vec<u8> {
    testkit::layer(&[("file", tag.as_bytes())])
}

/// A registry, a plugin that trusts the first signer, and a key that its policy may trust
/// beside.
struct World {
    registry: TestRegistry,
    plugin: Plugin,
    key: Key,
}

impl World {
    /// With the environment as the policy, or a file that trusts these.
    fn new(trust: Option<&str>) -> Self {
        let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        let root =
            plugin.write("root.json", sigstore().trusted_root().to_string()).display().to_string();
        let key = Key::p256();
        plugin.write("acme.pub", key.pem());
        let mut plugin = plugin
            .env("COSIGN_EXPERIMENTAL", "1")
            .env("COSIGN_TRUSTED_ROOT", &root)
            .env("LUET_COSIGN_ANY_IDENTITY", "1");
        if let Some(trust) = trust {
            let text = format!(
                "version: 1\ndefaults: {{unmatched: deny}}\nnetwork: {{trusted_root: root.json}}\nsigners:\n  acme: {{key: acme.pub}}\n  first: {{keyless: any}}\nrepositories:\n  - {{name: r, scope: '*', trust: {trust}}}\n"
            );
            let policy = plugin.write("policy.yaml", text).display().to_string();
            plugin.set("LUET_COSIGN_POLICY", &policy);
        }
        Self { registry: TestRegistry::start(), plugin, key }
    }

    /// Pushes an image that a workflow signed, run for a repository with these numbers.
    fn push_by(&self, tag: &str, callers: &[&[(u32, &str)]]) -> Image {
        let image = self.registry.push_image(REPO, tag, &[&files(tag)]);
        let sign = |claims: &&[(u32, &str)]| {
            let signing = sigstore().sign().identity(SHARED).issuer(DEV.1);
            let claim = |leaf: &mut testkit::sigstore::Leaf<'_>| {
                claims.iter().for_each(|(number, text)| leaf.claim(*number, text));
            };
            let signature = signing.leaf(claim).legacy(&image.digest);
            testkit::Signature {
                payload: signature.payload().to_vec(),
                annotations: signature.annotations().into_iter().collect(),
            }
        };
        let signatures: Vec<_> = callers.iter().map(sign).collect();
        self.registry.push_signatures(REPO, &image.digest, &signatures);
        image
    }

    /// Pushes an image with legacy signatures by these identities; `key` is the key.
    fn push(&self, tag: &str, content: &str, signers: &[&str]) -> Image {
        let image = self.registry.push_image(REPO, tag, &[&files(content)]);
        let sign = |identity: &&str| {
            let signature = if *identity == "key" {
                sigstore().sign().keyed(&self.key).legacy(&image.digest)
            } else {
                sigstore().sign().identity(identity).issuer(DEV.1).legacy(&image.digest)
            };
            testkit::Signature {
                payload: signature.payload().to_vec(),
                annotations: signature.annotations().into_iter().collect(),
            }
        };
        let signatures: Vec<_> = signers.iter().map(sign).collect();
        self.registry.push_signatures(REPO, &image.digest, &signatures);
        image
    }

    /// Both events of an image that is unpacked as it is.
    fn install(&self, tag: &str, content: &str) -> Reply {
        let name = self.registry.name(&format!("{REPO}:{tag}"));
        let dest = self
            .plugin
            .dest(&format!("dest{}", std::fs::read_dir(self.plugin.path("")).unwrap().count()));
        let before = self.plugin.pre_unpack(&name, &dest);
        if !before.error.is_empty() {
            return before;
        }
        testkit::unpack(&files(content), &dest);
        let after = self.plugin.post_unpack(&name, &dest);
        if after.error.is_empty() { before } else { after }
    }
}

const EVE: &str = "eve@example.com";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A workflow that anyone can call.
const SHARED: &str = "https://github.com/shared/builder/.github/workflows/b.yml@refs/tags/v1";
const ACME: &[(u32, &str)] = &[(12, "https://github.com/acme/os"), (15, "1"), (17, "7")];
const CALLER: &[(u32, &str)] = &[(12, "https://github.com/evil/x"), (15, "3"), (17, "9")];

/// The name in the certificate of a reusable workflow is the same for everybody who calls it.
#[test]
fn whoever_calls_the_workflow_of_the_first_signer_is_someone_else() {
    let world = World::new(None);
    world.push_by("1", &[ACME]);
    let renamed: &[(u32, &str)] = &[(12, "https://github.com/acme/linux"), (15, "1"), (17, "7")];
    let retaken: &[(u32, &str)] = &[(12, "https://github.com/acme/os"), (15, "4"), (17, "7")];
    let moved: &[(u32, &str)] = &[(12, "https://github.com/acme/os"), (15, "1"), (17, "8")];
    assert_eq!(world.install("1", "1").error, "");
    world.push_by("2", &[CALLER]);
    let refused = world.install("2", "2");
    refused.assert_refused("identity");
    for part in ["run for https://github.com/acme/os", "run for https://github.com/evil/x"] {
        assert!(refused.error.contains(part), "{part}: {}", refused.error);
    }
    for (tag, claims) in [("3", retaken), ("4", moved), ("5", &[]), ("6", &ACME[..1])] {
        world.push_by(tag, &[claims]);
        world.install(tag, tag).assert_refused("identity");
    }
    world.push_by("7", &[renamed]);
    assert_eq!(world.install("7", "7").error, "");
    // Beside the first signer's a caller's signature changes nothing.
    world.push_by("8", &[CALLER, ACME]);
    assert_eq!(world.install("8", "8").error, "");
}

/// 1.0.0-alpha.1 remembered issuer and name alone.
#[test]
fn a_first_signer_who_is_known_by_name_gains_the_repository_once() {
    let world = World::new(None);
    world.push_by("1", &[&[]]);
    let first = world.install("1", "1");
    assert_eq!((first.error.as_str(), first.state.contains("it counts only for")), ("", false));
    // Who of two callers it is, nobody can tell.
    world.push_by("2", &[CALLER, ACME]);
    world.install("2", "2").assert_refused("identity");
    world.push_by("3", &[ACME]);
    let learned = world.install("3", "3");
    assert_eq!(learned.error, "");
    let said =
        "from now on it counts only for `https://github.com/acme/os` (repository ID 1, owner ID 7)";
    assert!(learned.state.contains(said), "{}", learned.state);
    let again = world.install("3", "3");
    assert_eq!((again.error.as_str(), again.state.contains("it counts only for")), ("", false));
    world.push_by("4", &[CALLER]);
    world.install("4", "4").assert_refused("identity");
    world.install("1", "1").assert_refused("identity");
    let list = world.plugin.run(["seen", "list", "--json"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains(r#""source":"https://github.com/acme/os""#), "{list}");
}

/// The pin is the repository's, so it does not go with the tag that it came with.
#[test]
fn forgetting_a_tag_is_not_forgetting_who_signed_first() {
    let world = World::new(None);
    world.push("1", "1", &[DEV.0]);
    world.push("2", "2", &[EVE]);
    assert_eq!(world.install("1", "1").error, "");
    assert!(
        world
            .plugin
            .run(["seen", "forget", &world.registry.name(&format!("{REPO}:1"))])
            .status
            .success()
    );
    world.install("2", "2").assert_refused("identity");
}

#[test]
fn an_image_by_a_key_does_not_make_room_for_another_first_signer() {
    let world = World::new(Some("[acme, first]"));
    world.push("1", "1", &[DEV.0]);
    assert_eq!(world.install("1", "1").error, "");
    world.push("1", "1b", &["key"]);
    assert_eq!(world.install("1", "1b").error, "");
    world.push("2", "2", &[EVE]);
    world.install("2", "2").assert_refused("identity");
}

#[test]
fn whoever_signs_beside_a_key_is_remembered_where_both_are_asked_for() {
    let world = World::new(Some("{all_of: [acme, first]}"));
    world.push("1", "1", &["key", DEV.0]);
    assert_eq!(world.install("1", "1").error, "");
    world.push("2", "2", &["key", EVE]);
    world.install("2", "2").assert_refused("identity");
}

/// As long as there is no first signer every place is looked at, though one good signature was
/// found: the next may be another's.
#[test]
fn nobody_is_the_first_while_another_signed_elsewhere() {
    let world = World::new(None);
    let image = world.push("1", "1", &[DEV.0]);
    let bundle = sigstore().sign().identity(EVE).issuer(DEV.1).image(&image.digest).bundle();
    world.registry.push_referrer(REPO, &image, BUNDLE, bundle.to_string().as_bytes());
    world.install("1", "1").assert_refused("identity");
    world.push("2", "2", &[DEV.0]);
    assert_eq!(world.install("2", "2").error, "");
    assert_eq!(world.install("1", "1").error, "", "the first one's signature counts from then on");
}

/// Someone who signs beside a key that is enough does not become the first signer by that.
#[test]
fn whoever_signs_beside_a_key_that_is_enough_is_nobody() {
    let world = World::new(Some("[acme, first]"));
    for signers in [["key", EVE], [EVE, "key"]] {
        world.push("1", "1", &signers);
        let reply = world.install("1", "1");
        assert_eq!((reply.error.as_str(), reply.state.as_str()), ("", ""), "{reply:?}");
    }
    world.push("2", "2", &[DEV.0]);
    assert_eq!(world.install("2", "2").error, "");
    world.push("3", "3", &[EVE]);
    world.install("3", "3").assert_refused("identity");
}

#[test]
fn only_the_ref_of_a_workflow_is_no_part_of_a_name() {
    let fingerprint = |subject: &str| {
        let any = Judge::of([Authority::of_identity(Identity::Any)]);
        *any.bundle(&sigstore().sign().identity(subject).image(IMAGE).bundle())
            .unwrap()
            .fingerprint()
    };
    let workflow = "https://github.com/acme/pkgs/.github/workflows/release.yml";
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for on in ["refs/tags/v1", "refs/heads/a@b", "refs/heads/x@refs/y", commit] {
        assert_eq!(fingerprint(&format!("{workflow}@{on}")), fingerprint(workflow), "{on}");
    }
    for [one, other] in [
        ["https://social.example/@alice", "https://social.example/@eve"],
        ["https://social.example/@alice", "https://social.example/"],
        [
            "https://github.com/acme/a/.github/workflows/x@1.yml@refs/heads/main",
            "https://github.com/acme/a/.github/workflows/x@2.yml@refs/heads/main",
        ],
    ] {
        assert_ne!(fingerprint(one), fingerprint(other), "{one} {other}");
    }
}

#[test]
fn forgetting_an_image_by_its_digest_is_not_forgetting_all() {
    let world = World::new(None);
    let image = world.push("1", "1", &[DEV.0]);
    world.push("2", "2", &[EVE]);
    assert_eq!(world.install("1", "1").error, "");
    let name = world.registry.name(&format!("{REPO}@{}", image.digest));
    let output = world.plugin.run(["seen", "forget", &name]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--all"), "{output:?}");
    world.install("2", "2").assert_refused("identity");
}

#[test]
fn a_memory_that_is_rewritten_forgets_nothing_of_the_first_signer() {
    let world = World::new(Some("[acme, first]"));
    let file = || {
        std::fs::read_dir(world.plugin.path("state/luet-cosign/seen"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("seen-"))
            .unwrap()
    };
    let summary = |what: &str| {
        let text = std::fs::read_to_string(file()).unwrap();
        println!(
            "{what}: {} bytes, {} lines; pinned with numbers {}, without {}; first line {}",
            text.len(),
            text.lines().count(),
            text.lines().filter(|l| l.contains("\"pinned\"") && l.contains("\"source\"")).count(),
            text.lines().filter(|l| l.contains("\"pinned\"") && !l.contains("\"source\"")).count(),
            text.lines().next().unwrap().chars().take(60).collect::<String>()
        );
    };
    // (1) A package that the first version verified: it knew signers by issuer and name alone.
    world.push_by("a", &[ACME]);
    assert_eq!(world.install("a", "a").error, "");
    let mut line: Value =
        serde_json::from_str(std::fs::read_to_string(file()).unwrap().trim()).unwrap();
    println!("{line}");
    for at in ["/seen", "/seen/pinned"] {
        line.pointer_mut(at).unwrap().as_object_mut().unwrap().remove("source");
    }
    std::fs::write(file(), format!("{line}\n")).unwrap();
    // (2) This version learns for whom the workflow ran.
    world.push_by("b", &[ACME]);
    assert_eq!(world.install("b", "b").error, "");
    world.push_by("evil", &[CALLER]);
    println!("after learning: evil is {:?}", world.install("evil", "evil").class());
    // (3) Since then the publisher signs by the key.
    world.push("b", "b2", &["key"]);
    assert_eq!(world.install("b", "b2").error, "");
    println!("signed by key: evil is {:?}", world.install("evil", "evil").class());
    summary("before");
    // (4) The description of the repository is verified daily, until the file is full.
    let mut text = std::fs::read_to_string(file()).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for number in 0_u64.. {
        let mut daily = last.clone();
        daily["seen"]["tag"] = json!("repository.yaml");
        daily["seen"]["seconds"] = json!(number);
        let daily = format!("{daily}\n");
        if text.len() + daily.len() >= 1 << 20 {
            break;
        }
        text.push_str(&daily);
    }
    std::fs::write(file(), &text).unwrap();
    println!("file full: evil is {:?}", world.install("evil", "evil").class());
    world.push("c", "c", &["key"]);
    assert_eq!(world.install("c", "c").error, "");
    summary("after");
    let reply = world.install("evil", "evil");
    println!(
        "rewritten: evil is {:?} {}",
        reply.class(),
        reply.error.lines().next().unwrap_or_default()
    );
    summary("end");
    assert_eq!(reply.class(), "identity");
}
