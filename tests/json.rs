//! `--json`: what each command prints is valid against its schema, and is what
//! `examples/output` shows. `UPDATE=1 cargo test --test json` writes the examples again; docs/json.md
//! says which changes raise the version.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use luet_cosign::name::Digest;
use regex_lite::{Captures, Regex};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::sigstore::Sigstore;
use testkit::{
    Answer, LuetRepository, PASSWORD, Plugin, Server, TestRegistry, layer, make_keys, schema,
};

const REPO: &str = "acme/packages";

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs commands, and holds what they print to schemas and examples.
struct World {
    plugin: Plugin,
    registry: TestRegistry,
    shown: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let plugin =
            Plugin::new(env!("CARGO_BIN_EXE_luet-cosign")).env("COSIGN_PASSWORD", PASSWORD);
        make_keys(&plugin, "acme");
        plugin.write("f", "what was released\n");
        Self { plugin, registry: TestRegistry::start(), shown: BTreeSet::new() }
    }

    fn name(&self, tag: &str) -> String {
        self.registry.name(&format!("{REPO}:{tag}"))
    }

    /// Runs a command, whatever it comes to.
    fn run(&self, words: &str) -> Value {
        let words = words.replace("{REPO}", &self.registry.name(REPO));
        let output = self.plugin.run(words.split_whitespace().chain(["--json"]));
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{words}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr))
        })
    }

    fn shows(&mut self, name: &str, words: &str) {
        self.shows_as(name, name, words);
    }

    /// Runs a command; `name` is the schema's, `example` that of the file.
    fn shows_as(&mut self, name: &str, example: &str, words: &str) {
        let document = self.run(words);
        self.holds(name, example, words, &document);
    }

    fn holds(&mut self, name: &str, example: &str, words: &str, document: &Value) {
        let path = top().join(format!("plugin-manifest/schema/output/{name}.schema.json"));
        let problems = schema::problems(&path, document);
        assert!(problems.is_empty(), "{words}: {problems:#?}\n{document:#}");
        let text = self.lasting(document);
        let path = top().join(format!("examples/output/{example}.json"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, kept, "{words}: {} is not what is printed now", path.display());
        self.shown.insert(name.to_owned());
    }

    /// The document without what differs from run to run: addresses, keys, times, paths.
    fn lasting(&self, document: &Value) -> String {
        let mut text = format!("{document:#}\n");
        let mut seen: Vec<String> = Vec::new();
        let sha256 = Regex::new("[0-9a-f]{64}").unwrap();
        text = sha256
            .replace_all(&text, |found: &Captures<'_>| {
                let hex = &found[0];
                let at = seen.iter().position(|known| known == hex).unwrap_or_else(|| {
                    seen.push(hex.to_owned());
                    seen.len() - 1
                });
                format!("{:0>64}", at + 1)
            })
            .into_owned();
        let folder = self.plugin.path("").display().to_string();
        for (pattern, instead) in [
            (regex_lite::escape(&self.registry.host()), "registry.example"),
            (regex_lite::escape(folder.trim_end_matches('/')), "/home/user"),
            (r"127\.0\.0\.1:[0-9]+".to_owned(), "log.example"),
            (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z".to_owned(), "2026-11-30T12:00:00Z"),
            ("[0-9a-f]{16}0{60}".to_owned(), "0000"),
            (r"\b[0-9a-f]{12}\b".to_owned(), "0123456789ab"),
            ("[A-Za-z0-9+/]{60,}={0,2}".to_owned(), "BASE64"),
            (regex_lite::escape(env!("CARGO_PKG_VERSION")), "1.0.0"),
        ] {
            // Digests were made lasting above; they are no base64.
            let pattern = Regex::new(&pattern).unwrap();
            text = pattern
                .replace_all(&text, |found: &Captures<'_>| {
                    let digest = found[0].len() == 64 && found[0].starts_with("0000");
                    if digest { found[0].to_owned() } else { instead.to_owned() }
                })
                .into_owned();
        }
        text
    }
}

#[test]
fn every_command_prints_what_its_schema_and_its_example_say() {
    let mut world = World::new();
    images(&mut world);
    files(&mut world);
    policies(&mut world);
    keyless(&mut world);
    world.shows("version", "version");
    world.shows("error", "verify --key gone.pub {REPO}:1");
    // (Every schema was met, and every example is of one.)
    let stems = |folder: &str, end: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(top().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| name.strip_suffix(end).map(ToOwned::to_owned)).collect()
    };
    let mut schemas = stems("plugin-manifest/schema/output", ".schema.json");
    schemas.remove("common");
    assert_eq!(world.shown, schemas);
    for example in stems("examples/output", ".json") {
        assert!(schemas.iter().any(|name| example.starts_with(name.as_str())), "{example}");
    }
}

fn images(world: &mut World) {
    world.registry.push_image(REPO, "1", &[&layer(&[("usr/bin/tool", b"tool")])]);
    world.registry.push_image(REPO, "unsigned", &[&layer(&[("usr/bin/tool", b"other")])]);
    world.shows("sign", "sign --key acme.key {REPO}:1");
    world.shows("verify", "verify --key acme.pub {REPO}:1");
    world.shows_as("verify", "verify-refused", "verify --key acme.pub {REPO}:1 {REPO}:unsigned");
    world.shows("check", "check --key acme.pub {REPO}:1");
    world.shows_as("check", "check-unsigned", "check --key acme.pub {REPO}:unsigned");
    world.shows("pull", "pull --key acme.pub {REPO}:1 tool.tar");
    world.shows("triangulate", "triangulate {REPO}:1");
    world.shows("download-signature", "download signature {REPO}:1");
    world.shows("upload-blob", "upload blob -f f {REPO}/file:1");
    // What an event verified is remembered.
    let key = world.plugin.path("acme.pub").display().to_string();
    world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", &key);
    let (dest, image) = (world.plugin.dest("dest"), world.name("1"));
    world.plugin.pre_unpack(&image, &dest).assert_silent_success();
    testkit::unpack(&layer(&[("usr/bin/tool", b"tool")]), &dest);
    world.plugin.post_unpack(&image, &dest).assert_silent_success();
    world.plugin.unset("COSIGN_PUBLIC_KEY_LOCATION");
    world.shows("seen-list", "seen list");
    world.shows("seen-forget", "seen forget {REPO}:1");
    let tags = LuetRepository::new(REPO, 1).publish(&world.registry);
    let (signed, _) = tags.split_at(tags.len() - 1);
    for tag in signed {
        world.run(&format!("sign --key acme.key {{REPO}}:{tag}"));
    }
    world.shows("verify-repo", "verify-repo --key acme.pub {REPO}");
    world.shows("sign-repo", "sign-repo --key acme.key {REPO}");
}

fn files(world: &mut World) {
    world.shows(
        "sign-blob",
        "sign-blob --key acme.key --bundle f.sigstore.json --output-signature f.sig f",
    );
    world.shows("verify-blob", "verify-blob --key acme.pub --signature f.sig f");
    world.shows(
        "verify-blob-files",
        "verify-blob --key acme.pub --bundle-suffix .sigstore.json f gone",
    );
}

fn policies(world: &mut World) {
    let name = world.registry.host();
    world.plugin.write(
        "policy.yaml",
        format!(
            "version: 1\ndefaults: {{unmatched: deny}}\nsigners:\n  acme: {{key: acme.pub}}\n\
             repositories:\n  - {{name: packages, scope: \"{name}/{REPO}\", trust: [acme]}}\n"
        ),
    );
    world.plugin.write("broken.yaml", "version: 1\ndefault: {unmatched: deny}\n");
    world.shows("policy-explain", "policy explain --policy policy.yaml {REPO}:1");
    world.shows("policy-lint", "policy lint --policy broken.yaml");
    world.shows("policy-text", "policy init");
    // Of what doctor finds only the problems are the same on every machine.
    world.plugin.set("PATH", "");
    let mut found = world.run("doctor");
    world.plugin.set("PATH", "/usr/bin:/bin");
    let findings = found["findings"].as_array_mut().unwrap();
    findings.retain(|finding| finding["severity"] == "problem");
    world.holds("doctor", "doctor", "doctor", &found);
}

fn keyless(world: &mut World) {
    let sigstore = Arc::new(Sigstore::new());
    let rekor = Arc::clone(&sigstore);
    let log = Server::start(move |request| {
        let (status, document) =
            rekor.rekor1.answer(&request.method, &request.target, &request.body);
        Answer::new(status).json(&document.to_string())
    });
    let root = world.plugin.write("trusted_root.json", sigstore.trusted_root().to_string());
    world.plugin.set("COSIGN_TRUSTED_ROOT", root.to_str().unwrap());
    world.plugin.set("COSIGN_REKOR_URL", &format!("http://{}", log.host()));
    let file = std::fs::read(world.plugin.path("f")).unwrap();
    let signature = sigstore.sign().blob(&file);
    let (base64, pem) = signature.detached();
    world.plugin.write("f.sig", base64);
    world.plugin.write("f.pem", pem);
    let who = "--certificate-identity dev@example.com \
               --certificate-oidc-issuer https://issuer.example";
    world.shows_as(
        "verify-blob",
        "verify-blob-keyless",
        &format!("verify-blob {who} --certificate f.pem --signature f.sig f"),
    );
    let index = signature.entry.as_ref().unwrap().index;
    world.shows("tlog-get", &format!("tlog get --log-index {index}"));
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "f", "digest": {"sha256": Digest::of(&file).hex()}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {}},
    });
    let attestation = sigstore.sign().statement(&statement);
    world.plugin.write("b.json", attestation.bundle().to_string());
    world.shows(
        "verify-blob-attestation",
        &format!("verify-blob-attestation --type slsaprovenance1 {who} --bundle b.json f"),
    );
}

#[test]
fn a_mistake_in_what_is_typed_is_told_whole() {
    let world = World::new();
    for (words, expected) in [("verify", "<IMAGES>..."), ("verify --output xml a", "json, text")] {
        let message = world.run(words)["error"]["message"].to_string();
        assert!(message.contains(expected), "{words}: {message}");
    }
}

#[test]
fn a_file_that_is_missing_is_told_by_its_whole_path() {
    let world = World::new();
    let folder = world.plugin.path("").display().to_string();
    let folder = folder.trim_end_matches('/').to_owned();
    let missing = world.run("policy lint --policy gone.yaml")["error"]["hint"].to_string();
    assert!(missing.contains(&format!("{folder}/gone.yaml")), "{missing}");
    assert!(!missing.contains("policy lint"), "{missing}");
    let policy = "version: 1\ndefaults: {unmatched: deny, unsigned: deny}\n\
                  signers: {a: {key: gone.pub}}\n\
                  repositories: [{name: a, scope: quay.io/a, trust: [a]}]\n";
    world.plugin.write("lonely.yaml", policy);
    let found = world.run("policy lint --policy lonely.yaml").to_string();
    assert!(found.contains(&format!("the directory of the policy, `{folder}`")), "{found}");
}

/// The page lists the schemas and examples that there are.
#[test]
fn the_page_names_every_schema_and_every_example() {
    let page = std::fs::read_to_string(top().join("docs/json.md")).unwrap();
    for folder in ["plugin-manifest/schema/output", "examples/output"] {
        for entry in std::fs::read_dir(top().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let link = Path::new("..").join(folder).join(&name);
            assert!(page.contains(&format!("({})", link.display())), "{name}");
        }
    }
}
