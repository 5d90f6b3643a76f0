//! Files: every spelling of release pages, what real cosigns wrote, the conformance suite, one bit
//! at a time, and the log.
//!
//! At the real binary, with a Sigstore in this process; at the library where bytes are changed by
//! the thousand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::type_complexity,
    missing_docs
)]

#[path = "files/attestations.rs"]
mod attestations;
#[path = "files/conformance.rs"]
mod conformance;
#[path = "files/habits.rs"]
mod habits;
#[path = "files/hints.rs"]
mod hints;
#[path = "files/keys.rs"]
mod keys;
#[path = "files/kubernetes.rs"]
mod kubernetes;
#[path = "files/lists.rs"]
mod lists;
#[path = "files/log.rs"]
mod log;
#[path = "files/mistaken.rs"]
mod mistaken;
#[path = "files/mutation.rs"]
mod mutation;
#[path = "files/policies.rs"]
mod policies;
#[path = "files/refusals.rs"]
mod refusals;
#[path = "files/several.rs"]
mod several;
#[path = "files/spellings.rs"]
mod spellings;
#[path = "files/vectors.rs"]
mod vectors;

use serde_json::Value;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use testkit::sigstore::{Signature, Sigstore};
use testkit::{Answer, Plugin, Server};

const FILE: &[u8] = b"what was released\n";
const DEV: [&str; 4] = [
    "--certificate-identity",
    "dev@example.com",
    "--certificate-oidc-issuer",
    "https://issuer.example",
];

/// A Sigstore with its log, and a program that trusts it. `f` is a released file.
struct World {
    plugin: Plugin,
    sigstore: Arc<Sigstore>,
    log: Server,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    /// The class of the error: the word behind `error: `.
    fn class(&self) -> &str {
        let line =
            self.stderr.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default();
        line.split(':').next().unwrap_or_default()
    }

    #[track_caller]
    fn assert_ok(&self) {
        assert_eq!(
            (self.code, self.stderr.lines().last(), self.stdout.as_str()),
            (0, Some("Verified OK"), ""),
            "{self:?}"
        );
    }

    #[track_caller]
    fn assert_refused(&self, class: &str) {
        assert_eq!(self.class(), class, "{self:?}");
        assert!(self.code != 0 && !self.stderr.contains("Verified OK"), "{self:?}");
        assert!(self.stderr.contains("\nhint: "), "{self:?}");
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.host())
}

/// Serves the log of Rekor v1.
fn serve(sigstore: &Arc<Sigstore>) -> Server {
    let sigstore = Arc::clone(sigstore);
    Server::start(move |request| {
        let (status, document) =
            sigstore.rekor1.answer(&request.method, &request.target, &request.body);
        Answer::new(status).json(&document.to_string())
    })
}

impl World {
    fn new() -> Self {
        let sigstore = Arc::new(Sigstore::new());
        let log = serve(&sigstore);
        let mut plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        plugin.write("f", FILE);
        let root = plugin.write("trusted_root.json", sigstore.trusted_root().to_string());
        plugin.set("COSIGN_TRUSTED_ROOT", root.to_str().unwrap());
        plugin.set("COSIGN_REKOR_URL", &url(&log, ""));
        Self { plugin, sigstore, log }
    }

    /// A good signature of the file by dev, and its two files `f.sig` and `f.pem`.
    fn signed(&self) -> Signature {
        let signature = self.sigstore.sign().blob(FILE);
        self.write("f", &signature);
        signature
    }

    fn write(&self, name: &str, signature: &Signature) {
        let (base64, pem) = signature.detached();
        self.plugin.write(&format!("{name}.sig"), base64);
        self.plugin.write(&format!("{name}.pem"), pem);
    }

    fn run(&self, words: &[&str]) -> Said {
        self.plugin.run(words).into()
    }

    /// `verify-blob` with words, which are one text where none has a blank.
    fn verify(&self, words: &str) -> Said {
        let words: Vec<&str> =
            std::iter::once("verify-blob").chain(words.split_whitespace()).collect();
        self.run(&words)
    }

    /// The same for the identity of dev.
    fn verify_dev(&self, words: &str) -> Said {
        self.verify(&format!("{} {words}", DEV.join(" ")))
    }

    /// How often the log was asked.
    fn asked(&self) -> usize {
        self.log.requests().len()
    }
}

fn shared(path: &str) -> std::path::PathBuf {
    Path::new("tests/data").join(path)
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
