//! Keyless signatures, with a real Sigstore: images and files signed there by cosign 2, cosign 3,
//! sigstore-python and by us, in every form that these write; judged by us and by them.
//!
//! Our verdicts are held, and so are those of the others: one that changes must be looked at. A
//! trial is called `keyless::REGISTRY::IMAGE::WHO` or `keyless::files::FILE::WHO`.

mod files;
mod hosts;
mod images;
mod log;
mod others;
mod tuf;

use crate::{Shared as All, trial};
use e2e::machine::{Seen, succeed};
use e2e::sigstore::{PERSON_ISSUER, WORKLOAD_ISSUER};
use e2e::{Machine, Registry, Sigstore, scratch, tools};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;

const REGISTRIES: [&str; 2] = ["olareg", "docker-registry"];

/// The job's name in its certificates.
const WORKFLOW: &str = "https://github.com/acme/pkgs/.github/workflows/release.yml@refs/heads/main";

/// What these trials share, each part made when one of them first needs it.
#[derive(Default)]
pub struct Shared {
    registries: [OnceLock<Registry>; 2],
    folder: OnceLock<TempDir>,
    other_root: OnceLock<PathBuf>,
    /// What was made, by name.
    made: Mutex<BTreeMap<String, Arc<OnceLock<String>>>>,
}

/// Who signs: two persons, and a job of a CI system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    Dev,
    Eve,
    Job,
}

impl Signer {
    fn identity(self) -> &'static str {
        match self {
            Self::Dev => "dev@example.com",
            Self::Eve => "eve@example.com",
            Self::Job => WORKFLOW,
        }
    }

    fn issuer(self) -> &'static str {
        if self == Self::Job { WORKLOAD_ISSUER } else { PERSON_ISSUER }
    }

    fn who(self) -> Who {
        Who { subject: self.identity().to_owned(), issuer: self.issuer().to_owned() }
    }

    /// Who is not this signer, but nearly.
    fn strangers(self) -> [Who; 4] {
        let (subject, issuer) = (self.identity(), self.issuer().to_owned());
        let who = |subject: String| Who { subject, issuer: issuer.clone() };
        [
            who(format!("another-{subject}")),
            Who { issuer: format!("{issuer}/other"), ..who(subject.to_owned()) },
            who(subject[..subject.len() - 1].to_owned()),
            who(subject.to_uppercase()),
        ]
    }
}

/// Who is expected to have signed.
#[derive(Clone, Debug)]
struct Who {
    subject: String,
    issuer: String,
}

impl Who {
    fn options(&self) -> [&str; 4] {
        ["--certificate-identity", &self.subject, "--certificate-oidc-issuer", &self.issuer]
    }
}

/// A trial at work: all that is shared, and a machine that never saw any of it.
struct Case<'s> {
    all: &'s All,
    sigstore: &'s Sigstore,
    machine: Machine,
}

pub fn trials(shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = files::trials(shared);
    for at in 0..REGISTRIES.len() {
        trials.extend(images::trials(at, shared));
        trials.extend(others::trials(at, shared));
        trials.extend(tuf::trials(at, shared));
        trials.extend(hosts::trials(at, shared));
    }
    trials.extend(log::trials(shared));
    trials
}

/// A trial with a case of its own.
fn case(
    name: String,
    shared: &Arc<All>,
    run: impl FnOnce(&mut Case<'_>) + Send + 'static,
) -> Trial {
    trial(format!("keyless::{name}"), shared, |shared| run(&mut Case::new(shared)))
}

impl<'s> Case<'s> {
    fn new(all: &'s All) -> Self {
        let sigstore = all.sigstore.get_or_init(Sigstore::start);
        Self { all, sigstore, machine: Machine::new(all.world.plugin()) }
    }

    /// The same on another machine, which never saw any of this either.
    fn elsewhere(&self) -> Self {
        Self::new(self.all)
    }

    fn address(&self, at: usize) -> String {
        let registry = self.all.keyless.registries[at].get_or_init(|| match REGISTRIES[at] {
            "olareg" => Registry::olareg(&[]),
            _ => Registry::docker(),
        });
        registry.address().to_owned()
    }

    /// A path in the directory that these trials share.
    fn path(&self, name: &str) -> PathBuf {
        self.all.keyless.folder.get_or_init(scratch::folder).path().join(name)
    }

    /// What is made once for all trials that read it, by name.
    fn once(&self, name: &str, make: impl FnOnce() -> String) -> String {
        let made = &self.all.keyless.made;
        let one = Arc::clone(made.lock().expect("a list").entry(name.to_owned()).or_default());
        one.get_or_init(make).clone()
    }

    /// A file of a key beside certificates: `acme.key`, `acme.pub`.
    fn key(&self, file: &str) -> PathBuf {
        self.once("a key", || {
            let prefix = self.path("acme");
            let mut command = self.machine.command(tools::program("cosign2"));
            succeed(command.args(["generate-key-pair", "--output-key-prefix"]).arg(prefix));
            String::new()
        });
        self.path(file)
    }

    fn trusted_root(&self) -> PathBuf {
        self.sigstore.trust("trusted_root.json")
    }

    /// The same Sigstore by all names, with other keys.
    fn other_root(&self) -> PathBuf {
        let make = || self.sigstore.other_trust(&self.path("other"));
        self.all.keyless.other_root.get_or_init(make).clone()
    }

    fn token(&self, signer: Signer) -> String {
        match signer {
            Signer::Job => self.sigstore.job(""),
            person => self.sigstore.person(&format!("email={}", person.identity())),
        }
    }

    fn ours(&self, words: &[&str]) -> Command {
        let mut command = self.machine.command(self.machine.plugin());
        command.args(words);
        command
    }

    fn cosign(&self, version: &str, words: &[&str]) -> Command {
        let mut command = self.machine.command(tools::program(version));
        command.args(words);
        command
    }

    fn python(&self, config: &str, words: &[&str]) -> Command {
        let mut command = self.machine.command(tools::folder().join("python/bin/python"));
        command.args(["-m", "sigstore", "--trust-config"]);
        command.arg(self.sigstore.trust(&format!("python/{config}.json"))).args(words);
        command
    }

    /// The trust of the SIGSTORE_ variables alone.
    fn by_variables(&self, command: &mut Command) {
        let variables = [
            ("SIGSTORE_ROOT_FILE", "fulcio.pem"),
            ("SIGSTORE_REKOR_PUBLIC_KEY", "rekor1.pub"),
            ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ctlog.pub"),
            ("SIGSTORE_TSA_CERTIFICATE_FILE", "tsa.pem"),
        ];
        for (name, file) in variables {
            command.env(name, self.sigstore.trust(file));
        }
    }

    /// What we say of an image, by the root of this Sigstore.
    fn verify(&self, who: &Who, image: &str) -> String {
        let mut command = self.ours(&["verify", "--trusted-root"]);
        command.arg(self.trusted_root()).args(who.options()).arg(image);
        our_verdict(&mut command).0
    }

    /// Sets what someone sets who trusts this one.
    fn trusts(&mut self, who: &Who) {
        let root = self.trusted_root();
        self.machine.set("COSIGN_EXPERIMENTAL", "1");
        self.machine.set("COSIGN_TRUSTED_ROOT", root);
        self.machine.set("COSIGN_CERTIFICATE_IDENTITY", &who.subject);
        self.machine.set("COSIGN_CERTIFICATE_OIDC_ISSUER", &who.issuer);
    }

    /// The event before an image is unpacked: the class of the error, or `ok`; and all that is said.
    fn event(&self, image: &str) -> (String, String) {
        let destination = self.machine.path("destination");
        std::fs::create_dir_all(&destination).expect("a directory");
        let data = serde_json::json!({"Image": image, "Dest": destination});
        let mut command = self.ours(&["image.pre.unpack"]);
        command.arg(testkit::envelope("image.pre.unpack", &data));
        let output = command.output().expect("it runs");
        let answer: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("an answer in JSON");
        let error = answer["error"].as_str().expect("an error, or an empty one").to_owned();
        let class = match error.split(':').next().unwrap_or_default() {
            "" => "ok".to_owned(),
            class => class.to_owned(),
        };
        (class, error)
    }
}

const REKOR1_URL: &str = "http://127.0.0.1:3000";
const FULCIO_URL: &str = "http://127.0.0.1:5555";
const TSA_URL: &str = "http://127.0.0.1:3004/api/v1/timestamp";

/// The exit codes of our classes.
const EXITS: [(&str, i32); 12] = [
    ("usage", 2),
    ("trustroot", 3),
    ("unsigned", 10),
    ("identity", 12),
    ("malformed", 14),
    ("digest", 14),
    ("signature", 14),
    ("time", 14),
    ("tlog", 14),
    ("binding", 14),
    ("unsupported", 15),
    ("net", 20),
];

/// What we say, in one word, and all of it: the class, if the exit code is that of the class.
fn our_verdict(command: &mut Command) -> (String, Seen) {
    let seen = Seen::run(command, "luet-cosign");
    let class = seen
        .output
        .lines()
        .find_map(|line| line.strip_prefix("error: ")?.split(": ").next())
        .unwrap_or_default();
    let word = match seen.code {
        Some(0) => "ok".to_owned(),
        Some(code) if EXITS.contains(&(class, code)) => class.to_owned(),
        other => format!("exit {other:?}: {}", seen.output),
    };
    (word, seen)
}

/// What the others write, and the word for it.
const WORDS: [(&str, &str); 10] = [
    ("no-root", "trusted root is required when using new bundle format"),
    ("no-tsa", "threshold not met for verified signed timestamps"),
    ("no-time", "threshold not met for verified log entry integrated timestamps"),
    ("identity", "none of the expected identities matched"),
    ("identity", "failed to verify certificate identity"),
    ("key", "transparency log certificate does not match"),
    ("key", "expected key signature, not certificate"),
    ("binding", "invalid or missing digest in claim"),
    ("unsigned", "no signatures found"),
    ("no-log", "signature not found in transparency log"),
];

/// What another program says, in one word; what no word fits is shown with its exit code.
fn their_verdict(command: &mut Command) -> String {
    let seen = Seen::run(command, "another");
    if seen.code == Some(0) {
        return "ok".to_owned();
    }
    let word = WORDS.iter().find(|(_, text)| seen.output.contains(text));
    word.map_or_else(
        || format!("exit {:?}: {}", seen.code, seen.output),
        |(word, _)| (*word).to_owned(),
    )
}

/// Neither a success, nor "unsigned", nor a bug.
#[track_caller]
fn refused_as_signed(verdict: &str) {
    let wrong = verdict == "ok" || verdict == "unsigned" || verdict.starts_with("exit");
    assert!(!wrong, "that must be refused, as signed: {verdict}");
}
