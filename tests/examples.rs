//! The examples of README.md and docs/, run as they are printed there: each command of each block,
//! against a registry in this process in the place of the ones that the pages name. Where a page
//! prints the output as well, it is compared; digests, times and fingerprints are left out.
//!
//! Every command is run, or is one of a short list with the reason; both directions are held.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;
use testkit::{LuetRepository, Options, PASSWORD, Plugin, TestRegistry, layer, make_keys};

/// The registries that the pages name.
const NAMED: &[&str] = &["registry.example", "quay.io", "ghcr.io"];

/// Commands that are not run, by what they begin with.
const NOT_RUN: &[(&str, &str)] = &[
    (".ci/", "of contributors: CONTRIBUTING.md says what they need"),
    ("COSIGN_EXPERIMENTAL=1 luet ", "needs luet and a CI's identity token"),
    ("COSIGN_EXPERIMENTAL=1 luet-cosign verify-blob", "files of a release, and the public log"),
    ("cargo ", "builds the program"),
    ("cosign ", "`cosign` is a link to the program, which tests/shim.rs calls"),
    ("curl ", "the public network"),
    ("export LUET_PLUGIN", "for luet"),
    ("export PATH", "tools of contributors"),
    ("for name in", "downloads"),
    ("kubectl ", "needs a cluster"),
    ("luet ", "needs luet"),
    (
        "luet-cosign policy export",
        "a policy that podman can hold, which tests/policy/containers.rs makes",
    ),
    ("luet-cosign pull quay.io/acme/os:v2 os.tar && kairos-agent", "needs kairos-agent"),
    ("luet-cosign run ", "needs luet"),
    ("luet-cosign seen ", "what luet's events leave, which tests/unpack.rs reads"),
    ("luet-cosign sign -y --identity-token", "needs an identity token"),
    ("luet-cosign sign --key release.key", "needs the key of a release"),
    ("luet-cosign sign-blob --identity-token", "needs an identity token"),
    ("luet-cosign sign-blob -y", "needs an identity token"),
    ("luet-cosign sign-repo -y", "needs an identity token"),
    ("luet-cosign tlog", "asks the public log"),
    ("luet-cosign verify --certificate-identity", "needs a keyless signature of a public job"),
    ("luet-cosign verify-blob --certificate", "needs a keyless signature of a public release"),
    ("luet-cosign verify-blob --key release.pub", "needs a release"),
    ("luet-cosign verify-blob kubectl", "needs a release of Kubernetes"),
    ("luet-cosign verify-blob-attestation", "needs attestations: tests/files/attestations.rs"),
    ("luet-cosign verify-repo --certificate", "needs a keyless signature of a public job"),
    ("openssl ", "needs a release"),
    ("rustup ", "installs a toolchain"),
    ("sh install.sh", "installs a release"),
    ("sha256sum --check", "needs a release"),
    ("sha256sum -c", "needs a release"),
    ("skopeo ", "needs skopeo and a release"),
    ("sudo ", "changes the machine"),
    ("tar -xzf", "needs a release"),
    ("done", "the end of a loop that is not run"),
    ("version=", "of a download"),
    ("printf ", "an event, which tests/events.rs sends"),
];

/// A block of a page.
struct Block {
    /// The file and the line: `README.md:12`.
    place: String,
    commands: Vec<Example>,
}

/// One command, with the output that the page prints; none where it prints none.
#[derive(Debug)]
struct Example {
    command: String,
    output: Option<String>,
}

/// Returns the blocks that hold commands: fenced as `sh` or `console`, or with a prompt.
fn blocks() -> Vec<Block> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    let mut all = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(root).unwrap().display().to_string();
        let mut open: Option<(usize, String, Vec<&str>)> = None;
        for (number, line) in text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (fence, &mut open) {
                (Some(kind), None) => open = Some((number + 1, kind.to_owned(), Vec::new())),
                (Some(_), Some(_)) => {
                    let (at, kind, lines) = open.take().unwrap();
                    let commands = if lines.iter().any(|line| line.starts_with("$ ")) {
                        session(&lines)
                    } else if kind == "sh" {
                        script(&lines)
                    } else {
                        continue;
                    };
                    all.push(Block { place: format!("{name}:{at}"), commands });
                }
                (None, Some((_, _, lines))) => lines.push(line),
                (None, None) => {}
            }
        }
    }
    all
}

/// Reads a session: commands behind `$ `, and what each prints.
fn session(lines: &[&str]) -> Vec<Example> {
    let mut all: Vec<Example> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => {
                all.push(Example { command: command.to_owned(), output: Some(String::new()) });
            }
            (None, Some(Example { output: Some(output), .. })) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, _) => panic!("output before a command: {line}"),
        }
    }
    all
}

/// Reads a script: commands, some of them on several lines.
fn script(lines: &[&str]) -> Vec<Example> {
    let mut all = Vec::new();
    let mut command = String::new();
    for line in lines {
        command.push_str(line.trim());
        if command.ends_with('|') || command.ends_with('\\') {
            command = format!("{} ", command.trim_end_matches('\\'));
            continue;
        }
        let whole = std::mem::take(&mut command);
        if !whole.is_empty() && !whole.starts_with('#') {
            all.push(Example { command: whole, output: None });
        }
    }
    all
}

fn why_not_run(command: &str) -> Option<usize> {
    NOT_RUN.iter().position(|(beginning, _)| command.starts_with(beginning))
}

/// A machine on which the examples can be run.
struct World {
    plugin: Plugin,
    registry: TestRegistry,
}

impl World {
    fn new() -> Self {
        // As most registries that the pages were written at: it lists no referrers.
        let registry = TestRegistry::with(Options { referrers: false, ..Options::default() });
        let mut plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        let programs = plugin.dest("programs");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_luet-cosign"), programs.join("luet-cosign"))
            .unwrap();
        plugin.set("PATH", &format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()));
        plugin.set("COSIGN_PASSWORD", PASSWORD);
        for name in ["acme", "cosign"] {
            make_keys(&plugin, name);
        }
        let mut world = Self { plugin, registry };
        let mut repository = LuetRepository::new("acme/packages", 2);
        repository.packages[0] = ("beer".into(), "toolchain".into(), "1.0".into());
        repository.publish(&world.registry);
        repository.build(&world.plugin.path("build"));
        let binary = layer(&[("usr/bin/app", b"app")]);
        world.registry.push_image("acme/app", "1", &[&binary]);
        world.registry.push_image("acme/os", "v1", &[&binary]);
        world.sign("acme", &["sign-repo", "--trust-registry", "--format", "both"], "acme/packages");
        // One package in the place of another.
        let (_, beer) = world.registry.manifest("acme/packages", "beer-toolchain-1.0").unwrap();
        world.registry.tag("acme/packages", "yip-toolchain-1.0", &testkit::digest(&beer));
        world.sign("acme", &["sign"], "acme/app:1");
        world.sign("cosign", &["sign"], "acme/os:v1");
        for name in ["app", "FILE", "release.tar.gz", "release-a", "tool", "os.iso"] {
            world.plugin.write(name, name);
        }
        for (key, file, outputs) in [
            ("acme.key", "app", ["--output-signature", "app.sig"]),
            ("cosign.key", "FILE", ["--output-signature", "FILE.sig"]),
            ("cosign.key", "FILE", ["--bundle", "FILE.bundle"]),
            ("cosign.key", "os.iso", ["--bundle", "os.iso.sigstore.json"]),
        ] {
            let said = world.plugin.run(["sign-blob", "--key", key, outputs[0], outputs[1], file]);
            assert!(said.status.success(), "{said:?}");
        }
        let policy = "version: 1
defaults: {unmatched: deny, unsigned: deny}
signers: {acme: {key: acme.pub}, os: {key: cosign.pub}}
repositories:
  - {name: os, scope: HOST/acme/os, trust: [os]}
  - {name: acme, scope: HOST/acme/**, trust: [acme]}
";
        let policy = policy.replace("HOST", &world.registry.host());
        world.plugin.write("policy.yaml", policy);
        world.plugin.set("LUET_COSIGN_POLICY", "policy.yaml");
        let openssl = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n-----END PRIVATE KEY-----\n";
        world.plugin.write("openssl.pem", openssl);
        let list =
            format!("{0}/acme/os:v1 list.tar\n{0}/acme/os:v1 oci:list\n", world.registry.host());
        world.plugin.write("images.txt", list);
        world
    }

    fn sign(&self, key: &str, words: &[&str], name: &str) {
        let (key, name) = (format!("{key}.key"), self.registry.name(name));
        let words = words.iter().copied().chain(["--key", &key, &name]);
        let said = self.plugin.run(words);
        assert!(said.status.success(), "{said:?}");
    }

    /// Runs one command in a shell, with the registry of this process in place of the named ones.
    fn run(&self, folder: &Path, before: &[String], command: &str) -> Output {
        let mut script = before.join("\n");
        script.push('\n');
        script.push_str(command);
        for name in NAMED {
            script = script.replace(&format!("{name}/"), &format!("{}/", self.registry.host()));
        }
        let script = script.replace("/usr/bin/luet-cosign", env!("CARGO_BIN_EXE_luet-cosign"));
        // What a reader puts in the place of it.
        let script = script.replace("COSIGN_PASSWORD=... ", "");
        self.plugin.raw_of("sh").args(["-ec", &script]).current_dir(folder).output().unwrap()
    }

    /// Makes a folder with what an example finds: keys and files, but not what it makes.
    fn folder(&self, place: &str, made: &str) -> PathBuf {
        let folder = self.plugin.path(&place.replace(['/', ':'], "-"));
        std::fs::create_dir(&folder).unwrap();
        for entry in std::fs::read_dir(self.plugin.path("")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && !made.contains(&format!(" {name} ")) {
                std::fs::copy(entry.path(), folder.join(&name)).unwrap();
            }
        }
        std::os::unix::fs::symlink(self.plugin.path("build"), folder.join("build")).unwrap();
        folder
    }
}

/// Leaves out what is different each time: digests and times; and puts the names of the page in the
/// place of the registry of this process.
fn comparable(text: &str, host: &str, named: &str) -> String {
    let text = text.replace(host, named).replace("...", "");
    let mut result = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(word.len());
        let (bare, behind) = word.split_at(end);
        let hex = bare.len() >= 12 && bare.bytes().all(|c| c.is_ascii_hexdigit());
        let date = bare.len() >= 10 && bare.starts_with("20") && bare.contains('-');
        result.push_str(if hex {
            "<digest>"
        } else if date {
            "<time>"
        } else {
            bare
        });
        result.push_str(behind);
    }
    result
}

#[test]
fn the_examples_of_the_documents_do_what_is_printed_there() {
    let world = World::new();
    let (mut run, mut passed_over, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for block in blocks() {
        let mut before: Vec<String> = Vec::new();
        let mut folder = None;
        for Example { command, output } in block.commands {
            if let Some(number) = why_not_run(&command) {
                passed_over.insert(number);
                continue;
            }
            if command.starts_with("export ") {
                let set = command.replace("COSIGN_PASSWORD=...", "");
                before.push(set.replace("/etc/luet/luet-cosign/", ""));
                continue;
            }
            let makes_keys = command.contains("-key-pair");
            let made = if makes_keys { " acme.key acme.pub  cosign.key cosign.pub " } else { "" };
            let folder = folder.get_or_insert_with(|| world.folder(&block.place, made));
            let said = world.run(folder, &before, &command);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let all = format!("{}{}", text(&said.stdout), text(&said.stderr));
            let shown = format!("{}: {command}\n{all}", block.place);
            match output {
                None if said.status.success() => {}
                None => wrong.push(shown),
                Some(output) => {
                    let named = NAMED.iter().find(|name| command.contains(*name)).unwrap_or(&"");
                    let found = comparable(&all, &world.registry.host(), named);
                    for part in output.split("\n...\n").flat_map(|part| part.split("  ...\n")) {
                        let part = comparable(part.trim_end().trim_end_matches("..."), "", "");
                        let part = part.trim();
                        if !found.contains(part) {
                            wrong.push(format!("{shown}\nexpected: {part}\nfound: {found}"));
                        }
                    }
                }
            }
            run += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<&str> = NOT_RUN
        .iter()
        .enumerate()
        .filter(|(number, _)| !passed_over.contains(number))
        .map(|(_, (beginning, _))| *beginning)
        .collect();
    assert!(unused.is_empty(), "no example begins so any more: {unused:?}");
    assert!(run >= 25, "only {run} examples were run");
}
