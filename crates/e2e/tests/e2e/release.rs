//! What is released: `cargo xtask dist` with the program under test, the script that installs it, and
//! the packages in clean roots, where the program does the main job.
//!
//! Needs `.ci/tools.sh release`; the clean roots need root and a static program.

use crate::trial;
use e2e::machine::{PASSWORD, succeed};
use e2e::registry::Image;
use e2e::{Machine, Registry, layers, scratch, tools};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use testkit::{Answer, Server};

/// A release, made once. Vanishes with the value.
#[derive(Default)]
pub struct Shared(OnceLock<Release>);

struct Release {
    folder: TempDir,
    version: String,
}

impl Shared {
    fn get(&self, plugin: &Path) -> &Release {
        self.0.get_or_init(|| Release::make(plugin))
    }
}

impl Release {
    fn make(plugin: &Path) -> Self {
        let folder = scratch::folder();
        let machine = Machine::new(plugin);
        for name in ["release", "stranger"] {
            let prefix = folder.path().join(name);
            let mut command = machine.command(plugin);
            succeed(command.args(["generate-key-pair", "--output-key-prefix"]).arg(prefix));
        }
        let said = succeed(machine.command(plugin).arg("version"));
        let said = String::from_utf8(said).expect("UTF-8");
        let version = said.lines().next().and_then(|line| line.split(' ').nth(1));
        let release = Self { version: version.expect("a version").to_owned(), folder };
        release.dist(plugin, "out", &["image"]);
        release
    }

    /// Makes a release in a directory of this name, without some parts.
    fn dist(&self, plugin: &Path, name: &str, without: &[&str]) {
        let cargo = PathBuf::from(env!("CARGO"));
        let path = format!("{}:{}", cargo.parent().expect("a directory").display(), tools::path());
        let mut command = Command::new(&cargo);
        command
            .args(["xtask", "dist"])
            .args(without.iter().flat_map(|part| ["--without", part]))
            .arg("--binary")
            .arg(format!("amd64={}", plugin.display()))
            .args(["--url", "https://releases.invalid", "--key"])
            .arg(self.path("release.key"))
            .arg("--output")
            .arg(self.path(name))
            .current_dir(tools::project())
            .env("PATH", path)
            .env("COSIGN_PASSWORD", PASSWORD);
        succeed(&mut command);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("out").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn archive(&self) -> String {
        format!("luet-cosign-{}-linux-amd64.tar.gz", self.version)
    }

    /// Serves it, with some files as someone changed them; an empty one is not there.
    fn serve(&self, changed: Vec<(String, Vec<u8>)>) -> Server {
        let out = self.path("out");
        Server::start(move |request| {
            let name = request.target.trim_start_matches('/').to_owned();
            let other = changed.iter().find(|(changed, _)| *changed == name);
            let bytes = other.map(|(_, bytes)| bytes.clone());
            match bytes.unwrap_or_else(|| fs::read(out.join(&name)).unwrap_or_default()) {
                bytes if bytes.is_empty() => Answer::new(404),
                bytes => Answer::new(200).body(bytes),
            }
        })
    }
}

type Change = fn(&Release, &Machine) -> Vec<(String, Vec<u8>)>;

/// What someone with the server did, and what the script says of it.
const REFUSED: [(&str, Change, &str); 7] = [
    (
        "a-changed-archive",
        |release, _| {
            let mut bytes = release.file(&release.archive());
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            vec![(release.archive(), bytes)]
        },
        "the signed list says",
    ),
    (
        "a-changed-list",
        |release, _| {
            let list = String::from_utf8(release.file("SHA256SUMS")).expect("UTF-8");
            let (start, rest) = list.split_at(1);
            let digit = if start == "0" { "1" } else { "0" };
            vec![("SHA256SUMS".into(), format!("{digit}{rest}").into_bytes())]
        },
        "signature of SHA256SUMS does not hold",
    ),
    ("no-signature", |_, _| vec![("SHA256SUMS.sig".into(), Vec::new())], "could not download"),
    (
        "a-signature-that-is-none",
        |_, _| vec![("SHA256SUMS.sig".into(), b"<html>".to_vec())],
        "signature of SHA256SUMS does not hold",
    ),
    (
        "signed-by-a-stranger",
        |release, machine| {
            let mut command = machine.command(machine.plugin());
            command.args(["sign-blob", "--key"]).arg(release.path("stranger.key"));
            let signature = succeed(command.arg(release.path("out/SHA256SUMS")));
            vec![("SHA256SUMS.sig".into(), signature.trim_ascii().to_vec())]
        },
        "signature of SHA256SUMS does not hold",
    ),
    (
        "an-archive-that-is-not-listed",
        |release, machine| {
            // Signed well, and about something else.
            let list = format!("{}  other.tar.gz\n", "0a".repeat(32));
            fs::write(machine.path("list"), &list).expect("a file");
            let mut command = machine.command(machine.plugin());
            command.args(["sign-blob", "--key"]).arg(release.path("release.key")).arg("list");
            let signature = succeed(&mut command).trim_ascii().to_vec();
            vec![("SHA256SUMS".into(), list.into()), ("SHA256SUMS.sig".into(), signature)]
        },
        "does not list",
    ),
    ("no-archive", |release, _| vec![(release.archive(), Vec::new())], "could not download"),
];

/// By what the script checks the signature.
const CHECKERS: [&str; 4] = ["openssl", "cosign2", "cosign3", "luet-cosign"];

pub fn trials(shared: &Arc<crate::Shared>) -> Vec<Trial> {
    let mut trials = vec![
        trial("release::dist".into(), shared, dist),
        trial("release::install::a-changed-key".into(), shared, a_changed_key),
        trial("release::install::a-cut-script".into(), shared, a_cut_script),
        trial("release::install::unfilled".into(), shared, unfilled),
        trial("release::image".into(), shared, image),
        trial("release::workflow".into(), shared, workflow),
    ];
    for by in CHECKERS {
        let name = format!("release::install::by-{by}");
        trials.push(trial(name, shared, move |shared| installs(shared, by)));
        for (what, change, says) in REFUSED {
            let name = format!("release::install::by-{by}::{what}");
            trials.push(trial(name, shared, move |shared| {
                refuses(shared, by, change, says);
            }));
        }
    }
    for kind in ["deb", "rpm", "apk", "archlinux"] {
        let name = format!("release::clean-root::{kind}");
        trials.push(trial(name, shared, move |shared| clean_root(shared, kind)));
    }
    trials
}

/// All files are listed, everybody verifies the list, and what is packed twice is the same.
fn dist(shared: &crate::Shared) {
    let plugin = shared.world.plugin();
    let release = shared.release.get(plugin);
    let machine = Machine::new(plugin);
    let out = release.path("out");
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    };
    let list = String::from_utf8(release.file("SHA256SUMS")).expect("UTF-8");
    for name in names(&out) {
        let listed = list.lines().any(|line| line.ends_with(&format!("  {name}")));
        assert_ne!(listed, name.starts_with("SHA256SUMS"), "{name}");
    }
    for suffix in [
        ".cdx.json",
        ".tar.gz",
        ".deb",
        ".rpm",
        ".apk",
        ".pkg.tar.zst",
        "install.sh",
        "release.pub",
    ] {
        assert!(list.lines().any(|line| line.ends_with(suffix)), "{suffix}: {list}");
    }
    for cosign in ["cosign2", "cosign3"] {
        let mut command = machine.command(tools::program(cosign));
        command.args(["verify-blob", "--key", "release.pub", "--signature", "SHA256SUMS.sig"]);
        command.args(["--insecure-ignore-tlog", "SHA256SUMS"]);
        succeed(command.current_dir(&out));
    }
    succeed(machine.command("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&out));
    release.dist(plugin, "again", &["image"]);
    assert_eq!(names(&out), names(&release.path("again")));
    // An ECDSA signature is another one each time.
    for name in names(&out).iter().filter(|name| !name.starts_with("SHA256SUMS.")) {
        let again = fs::read(release.path("again").join(name)).expect("a file");
        assert!(release.file(name) == again, "{name} differs");
    }
    // The SBOM names what the program is made of, and nothing of this machine.
    let sbom = release.file(&format!("luet-cosign-{}.cdx.json", release.version));
    let sbom: serde_json::Value = serde_json::from_slice(&sbom).expect("JSON");
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let components = sbom["components"].as_array().expect("components");
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    assert!(has("aws-lc-rs") && has("rustls") && !has("testkit"));
    let here = tools::project().to_str().expect("UTF-8");
    assert!(!sbom.to_string().contains(here), "{here}");
    // The specs for luet name the program that is in them.
    let specs = format!("luet-specs-{}-amd64.tar.gz", release.version);
    succeed(machine.command("tar").arg("-xzf").arg(out.join(specs)));
    let definition = fs::read_to_string(machine.path("luet-cosign/definition.yaml"));
    let definition = definition.expect("a definition");
    let sum = definition.lines().find_map(|line| line.strip_prefix("sha256: \"")).expect("a sum");
    let digest = testkit::digest(&fs::read(machine.path("luet-cosign/luet-cosign")).unwrap());
    assert_eq!(format!("sha256:{}", sum.trim_end_matches('"')), digest);
    // The definition for kairos-io/packages names the archive, and where it is.
    let specs = format!("kairos-packages-{}.tar.gz", release.version);
    succeed(machine.command("tar").args(["--one-top-level=kairos", "-xzf"]).arg(out.join(specs)));
    let definition = fs::read_to_string(machine.path("kairos/luet-cosign/definition.yaml"));
    let definition = definition.expect("a definition");
    let digest = testkit::digest(&release.file(&release.archive()));
    let sum = digest.strip_prefix("sha256:").expect("a SHA-256");
    assert!(definition.contains(&format!("  amd64: \"{sum}\"\n")), "{definition}");
    assert!(definition.contains("url: \"https://releases.invalid\"\n"), "{definition}");
}

// ---- install.sh

/// A machine with the programs that the script uses, and of those that check a signature only one.
fn machine(shared: &crate::Shared, by: &str) -> Machine {
    let mut machine = Machine::new(shared.world.plugin());
    let bin = machine.path("only");
    fs::create_dir(&bin).expect("a directory");
    let link = |name: &str, path: &Path| {
        std::os::unix::fs::symlink(path, bin.join(name)).expect("a link");
    };
    let needed = ["sh", "curl", "sha256sum", "cut", "awk", "tar", "gzip", "uname", "mktemp"];
    for name in needed.into_iter().chain(["rm", "cp", "mv", "chmod", "cat", "head", "env"]) {
        link(name, &tools::program(name));
    }
    match by {
        "openssl" => link("openssl", &tools::program("openssl")),
        "luet-cosign" => link("luet-cosign", machine.plugin()),
        by => link("cosign", &tools::program(by)),
    }
    machine.set("PATH", &bin);
    fs::create_dir(machine.path("to")).expect("a directory");
    machine
}

fn install(machine: &Machine, script: &Path, server: &Server) -> (Output, String) {
    let mut command = machine.command(tools::program("sh"));
    let from = format!("http://{}", server.host());
    command.arg(script).args(["--from", &from, "--to", "to"]);
    let output = command.output().expect("it runs");
    let text = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8_lossy(&text).into_owned())
}

/// Nothing is installed, and nothing is left behind.
#[track_caller]
fn nothing_came(machine: &Machine) {
    for folder in ["to", "tmp"] {
        let left = fs::read_dir(machine.path(folder)).expect("a directory").count();
        assert_eq!(left, 0, "in {folder}");
    }
}

fn installs(shared: &crate::Shared, by: &str) {
    let release = shared.release.get(shared.world.plugin());
    let machine = machine(shared, by);
    let server = release.serve(Vec::new());
    let script = release.path("out/install.sh");
    let (output, said) = install(&machine, &script, &server);
    assert!(output.status.success(), "{said}");
    let checker = if by.starts_with("cosign") { "cosign" } else { by };
    assert!(said.contains(&format!("holds (checked with {checker})")), "{said}");
    assert!(said.contains("not who made them"), "{said}");
    // The fingerprint is the one by which everything else calls the key.
    let mut command = machine.command(machine.plugin());
    command.args(["--json", "verify-blob", "--key"]).arg(release.path("release.pub"));
    command.arg("--signature").arg(release.path("out/SHA256SUMS.sig"));
    let document = succeed(command.arg(release.path("out/SHA256SUMS")));
    let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
    let key = document["key"].as_str().expect("a key");
    assert!(said.contains(&format!("release key: {key}")), "{said}");
    let installed = fs::read(machine.path("to/luet-cosign")).expect("the program");
    assert!(installed == fs::read(machine.plugin()).expect("the program"));
    assert_eq!(fs::read_dir(machine.path("tmp")).expect("a directory").count(), 0);
}

fn refuses(shared: &crate::Shared, by: &str, change: Change, says: &str) {
    let release = shared.release.get(shared.world.plugin());
    let machine = machine(shared, by);
    let server = release.serve(change(release, &Machine::new(shared.world.plugin())));
    let (output, said) = install(&machine, &release.path("out/install.sh"), &server);
    assert!(!output.status.success() && said.contains(says), "{said}");
    assert!(said.contains("Nothing was installed."), "{said}");
    nothing_came(&machine);
}

/// A script whose key is another one than its fingerprint says.
fn a_changed_key(shared: &crate::Shared) {
    let release = shared.release.get(shared.world.plugin());
    let machine = machine(shared, "openssl");
    let text = |name: &str| fs::read_to_string(release.path(name)).expect("a file");
    let (own, other) = (text("release.pub"), text("stranger.pub"));
    let script = text("out/install.sh").replace(own.trim_end(), other.trim_end());
    let path = machine.path("install.sh");
    fs::write(&path, script).expect("a file");
    let (output, said) = install(&machine, &path, &release.serve(Vec::new()));
    assert!(!output.status.success() && said.contains("the script was changed"), "{said}");
    nothing_came(&machine);
}

/// However much of the script arrives, either all of it runs or nothing does.
fn a_cut_script(shared: &crate::Shared) {
    let release = shared.release.get(shared.world.plugin());
    let machine = machine(shared, "openssl");
    let script = release.file("install.sh");
    let server = release.serve(Vec::new());
    let path = machine.path("install.sh");
    let end = script.len() - "main \"$@\"\n".len();
    for length in (0..end).step_by(997).chain([end, end + 3]) {
        fs::write(&path, &script[..length]).expect("a file");
        install(&machine, &path, &server);
        assert_eq!(server.requests().len(), 0, "{length} bytes of it");
        nothing_came(&machine);
    }
}

/// The script as it is in the repository belongs to no release.
fn unfilled(shared: &crate::Shared) {
    let release = shared.release.get(shared.world.plugin());
    let machine = machine(shared, "openssl");
    let script = tools::project().join("packaging/install.sh");
    let (output, said) = install(&machine, &script, &release.serve(Vec::new()));
    assert!(!output.status.success() && said.contains("belongs to no release"), "{said}");
    nothing_came(&machine);
}

// ---- Packages

/// Installs a package into an empty root by the distribution's own program, and lets the program of
/// the package verify an image there, and refuse another.
fn clean_root(shared: &crate::Shared, kind: &str) {
    let plugin = shared.world.plugin();
    let release = shared.release.get(plugin);
    let machine = Machine::new(plugin);
    let root = machine.root();
    let suffix = if kind == "archlinux" { ".pkg.tar.zst" } else { &format!(".{kind}") };
    let package = fs::read_dir(release.path("out"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_str().is_some_and(|path| path.ends_with(suffix)))
        .expect("a package");
    match kind {
        "deb" => {
            let admin = root.join("var/lib/dpkg");
            for folder in ["info", "updates", "triggers"] {
                fs::create_dir_all(admin.join(folder)).expect("a directory");
            }
            fs::write(admin.join("status"), "").expect("a file");
            let mut command = machine.command(tools::program("dpkg"));
            command.arg(format!("--root={}", root.display()));
            succeed(command.args(["--force-script-chrootless", "--install"]).arg(&package));
        }
        "rpm" => {
            let mut command = machine.command(tools::program("rpm"));
            command.arg("--root").arg(&root).args(["--nosignature", "--install"]);
            succeed(command.arg(&package));
        }
        "archlinux" => {
            fs::create_dir_all(root.join("var/lib/pacman")).expect("a directory");
            let configuration = machine.path("pacman.conf");
            let text =
                "[options]\nArchitecture = auto\nSigLevel = Never\nLocalFileSigLevel = Never\n";
            fs::write(&configuration, text).expect("a file");
            let mut command = machine.command(tools::program("pacman"));
            command.arg("--root").arg(&root).arg("--config").arg(&configuration);
            command.args(["--noconfirm", "--noscriptlet", "--upgrade"]);
            succeed(command.arg(&package));
        }
        // apk is on no other distribution: what it unpacks is a tar.
        _ => {
            let mut command = machine.command(tools::program("tar"));
            command.args(["--ignore-zeros", "-xzf"]).arg(&package).arg("-C").arg(&root);
            succeed(&mut command);
            let information = fs::read_to_string(root.join(".PKGINFO")).expect("its description");
            assert!(information.contains("pkgname = luet-cosign"), "{information}");
        }
    }
    for file in [
        "usr/bin/luet-cosign",
        "usr/share/man/man1/luet-cosign.1.gz",
        "usr/share/bash-completion/completions/luet-cosign",
        "usr/share/doc/luet-cosign/policy.example.yaml",
        "usr/share/doc/luet-cosign/THIRD-PARTY.txt",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    assert!(!root.join("etc/luet/luet-cosign/policy.yaml").exists(), "no policy is in force");
    let installed = installed_version(&machine, kind);
    assert_eq!(installed, package_version(&release.version, kind));
    // The main job, by the program of the package alone.
    let registry = Registry::olareg(&[]);
    let image = |name: &str| {
        let image = Image::new(&format!("{}/acme/{name}:1", registry.address()));
        image.push(&[layers::of_file("file", b"content\n")]);
        image.to_string()
    };
    let (signed, unsigned) = (image("signed"), image("unsigned"));
    let key = release.path("release.key");
    succeed(machine.command(plugin).args(["sign", "--key"]).arg(key).arg(&signed));
    fs::copy(release.path("release.pub"), root.join("acme.pub")).expect("a file");
    let ask = |image: &str| {
        let mut command = Command::new(tools::program("chroot"));
        command.env_clear().arg(&root).args(["/usr/bin/luet-cosign", "verify"]);
        command.args(["--key", "/acme.pub", image]).output().expect("it runs")
    };
    let output = ask(&signed);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ask(&unsigned).status.code(), Some(10));
}

/// How a distribution spells a version, so that a pre-release is older than its release.
fn package_version(version: &str, kind: &str) -> String {
    let revision = if kind == "rpm" || kind == "archlinux" { "-1" } else { "" };
    let spelled = match (version.split_once('-'), kind) {
        (None, _) => version.to_owned(),
        (Some((release, before)), "apk") => format!("{release}_{}", before.replace('.', "")),
        (Some((release, before)), "archlinux") => format!("{release}{}", before.replace('.', "")),
        (Some((release, before)), _) => format!("{release}~{before}"),
    };
    format!("{spelled}{revision}")
}

/// The version that the distribution's own database has of the package.
fn installed_version(machine: &Machine, kind: &str) -> String {
    let root = machine.root();
    let mut command = match kind {
        "deb" => {
            let mut command = machine.command(tools::program("dpkg-query"));
            command.arg(format!("--admindir={}", root.join("var/lib/dpkg").display()));
            command.args(["-W", "-f", "${Version}", "luet-cosign"]);
            command
        }
        "rpm" => {
            let mut command = machine.command(tools::program("rpm"));
            command.arg("--root").arg(&root);
            command.args(["-q", "--qf", "%{VERSION}-%{RELEASE}", "luet-cosign"]);
            command
        }
        "archlinux" => {
            let mut command = machine.command(tools::program("pacman"));
            command.arg("--root").arg(&root).arg("--config").arg(machine.path("pacman.conf"));
            command.args(["-Q", "luet-cosign"]);
            command
        }
        _ => {
            let information = fs::read_to_string(root.join(".PKGINFO")).expect("its description");
            let version = information.lines().find_map(|line| line.strip_prefix("pkgver = "));
            return version.expect("a version").to_owned();
        }
    };
    let said = String::from_utf8(succeed(&mut command)).expect("UTF-8");
    said.trim().trim_start_matches("luet-cosign ").to_owned()
}

/// The image is pushed, signed by the program that is in it, verified, and does the main job.
fn image(shared: &crate::Shared) {
    let plugin = shared.world.plugin();
    let release = shared.release.get(plugin);
    release.dist(plugin, "with-image", &["packages", "sbom", "luet"]);
    let machine = Machine::new(plugin);
    let registry = Registry::olareg(&[]);
    let name = format!("{}/acme/luet-cosign:1", registry.address());
    let archive = format!("luet-cosign-{}-linux-amd64.oci.tar", release.version);
    let mut command = machine.command(tools::program("skopeo"));
    command.args(["--insecure-policy", "copy", "--dest-tls-verify=false"]);
    command.arg(format!("oci-archive:{}", release.path("with-image").join(archive).display()));
    succeed(command.arg(format!("docker://{name}")));
    let crane = || machine.command(tools::program("crane"));
    let config = succeed(crane().args(["config", &name]));
    let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/usr/bin/luet-cosign"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    succeed(crane().args(["export", &name, "image.tar"]));
    let mut command = machine.command("tar");
    succeed(command.arg("-xf").arg("image.tar").arg("-C").arg(machine.root()));
    fs::copy(release.path("release.key"), machine.root().join("k.key")).expect("a file");
    fs::copy(release.path("release.pub"), machine.root().join("k.pub")).expect("a file");
    let inside = |words: &[&str]| {
        let mut command = Command::new(tools::program("chroot"));
        command.env_clear().env("COSIGN_PASSWORD", PASSWORD).env("LUET_COSIGN_STATE", "/state");
        succeed(command.arg(machine.root()).arg("/usr/bin/luet-cosign").args(words));
    };
    inside(&["sign", "--key", "/k.key", &name]);
    inside(&["verify", "--key", "/k.pub", &name]);
    let mut command = machine.command(tools::program("cosign3"));
    command.args(["verify", "--insecure-ignore-tlog", "--allow-http-registry", "--key"]);
    succeed(command.arg(release.path("release.pub")).arg(&name));
}

// ---- The workflow

/// Each `run:` step of the release job, in order, as the forge runs it; the steps that fetch tools are
/// replaced by what is here, and the upload goes nowhere.
fn workflow(shared: &crate::Shared) {
    let release = shared.release.get(shared.world.plugin());
    let text = fs::read_to_string(tools::project().join(".github/workflows/release.yml"));
    let steps = run_steps(&text.expect("the workflow"));
    let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Tools", "Tag", "Build", "Sign", "Verify", "Publish"]);
    let machine = Machine::new(shared.world.plugin());
    let cargo = PathBuf::from(env!("CARGO"));
    let path = format!(
        "{}:{}:{}",
        machine.path("bin").display(),
        cargo.parent().expect("a directory").display(),
        tools::path()
    );
    // The forge's own client: it writes down what it was asked for.
    machine.program("gh", "#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$GH_LOG\"\n");
    let output = machine.path("out");
    let log = machine.path("gh.log");
    for (name, script) in &steps {
        if name == "Tools" {
            continue;
        }
        let mut command = Command::new(tools::program("bash"));
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(tools::project())
            .env("PATH", &path)
            .env("GH_LOG", &log)
            .env("GITHUB_REF_NAME", format!("v{}", release.version))
            .env("GITHUB_SERVER_URL", "https://forge.invalid")
            .env("GITHUB_REPOSITORY", "acme/luet-cosign")
            .env("OUTPUT", &output)
            .env(
                "EXTRA",
                format!(
                    "--binary amd64={} --without sbom --without image",
                    shared.world.plugin().display()
                ),
            )
            .env("COSIGN_PRIVATE_KEY", fs::read_to_string(release.path("release.key")).unwrap())
            .env("COSIGN_PASSWORD", PASSWORD);
        succeed(&mut command);
    }
    let asked = fs::read_to_string(log).expect("it was published");
    assert!(asked.starts_with(&format!("release create v{}", release.version)), "{asked}");
    for file in ["SHA256SUMS.sig", "SHA256SUMS.sigstore.json", "install.sh", ".deb"] {
        assert!(asked.contains(file), "{file}: {asked}");
    }
    assert!(!asked.contains(".key"), "{asked}");
    // A tag that is not the version's stops the job.
    let (_, tag) = steps.iter().find(|(name, _)| name == "Tag").expect("the step");
    let mut command = Command::new(tools::program("bash"));
    command.args(["-eo", "pipefail", "-c", tag]).current_dir(tools::project());
    command.env("GITHUB_REF_NAME", "v0.0.1");
    assert!(!command.output().expect("it runs").status.success());
}

/// The steps of a workflow that run something: name and script. The workflow is written so that this
/// can be read line by line; a linter reads it as YAML.
fn run_steps(text: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut name = String::new();
    let mut within = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(start) = within {
            if line.trim().is_empty() || indent > start {
                let script = &mut steps.last_mut().expect("a step").1;
                script.push_str(line.get(start + 2..).unwrap_or_default());
                script.push('\n');
                continue;
            }
            within = None;
        }
        if let Some(found) = line.trim().strip_prefix("- name: ") {
            name = found.to_owned();
        } else if line.trim() == "run: |" {
            within = Some(indent);
            steps.push((name.clone(), String::new()));
        }
    }
    steps
}
