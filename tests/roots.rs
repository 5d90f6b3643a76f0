//! The trusted root: which one is in force, how it is made newer, and what is not believed. A TUF
//! repository in this process is asked over real sockets, by the library where metadata is spoilt,
//! else by the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

#[path = "roots/attacks.rs"]
mod attacks;
#[path = "roots/causes.rs"]
mod causes;
#[path = "roots/fresh.rs"]
mod fresh;
#[path = "roots/pieces.rs"]
mod pieces;
#[path = "roots/processes.rs"]
mod processes;

use jiff::{SignedDuration, Timestamp};
use luet_cosign::registry::{Client, RegistryConfig, Times};
use luet_cosign::sigstore::{ProcessRoots, Refreshed, RootSource, Settings, TufMirror};
use luet_cosign::store::Locations;
use luet_cosign::trust::{CertificateLog, Pieces, TrustedRoot};
use luet_cosign::wire::Signatures;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use testkit::sigstore::tuf::Shared;
use testkit::sigstore::{Signature, Sigstore, Tuf};
use testkit::{Answer, Request, Server};

/// An image; nothing here looks at it.
const IMAGE: &str = "sha256:36909925fd20749255704b523256927a5a2da6584250575b44e1b14dc4a3275c";

/// Answers as a mirror does that has these files.
fn answer(files: &Shared, request: &Request) -> Answer {
    let files = files.lock().unwrap();
    files
        .get(request.path().trim_start_matches('/'))
        .map_or_else(|| Answer::html(404), |bytes| Answer::new(200).body(bytes.clone()))
}

/// Whether a root believes what a Sigstore signed.
fn believes(root: &TrustedRoot, sigstore: &Sigstore) -> bool {
    certify(root, &sigstore.sign().legacy(IMAGE)).is_ok()
}

fn certify(root: &TrustedRoot, signature: &Signature) -> Result<(), luet_cosign::class::Failure> {
    let layer = json!({
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "size": signature.payload().len(),
        "digest": testkit::digest(signature.payload()),
        "annotations": signature.annotations(),
    });
    let empty = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": testkit::digest(b"{}")});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": empty, "layers": [layer],
    });
    let signatures = Signatures::parse(manifest.to_string().as_bytes()).unwrap();
    let candidate = signatures.candidates().next().unwrap().unwrap();
    root.certify_legacy(&candidate, CertificateLog::Required).map(|_| ()).map_err(Into::into)
}

/// A repository with its mirror, and a machine that asks it.
struct World {
    tuf: Tuf,
    server: Server,
    state: tempfile::TempDir,
    now: Timestamp,
    offline: bool,
}

impl World {
    fn new(sigstore: &Sigstore) -> Self {
        Self::answering(sigstore, answer)
    }

    fn answering(
        sigstore: &Sigstore,
        answer: impl Fn(&Shared, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let tuf = Tuf::new(&sigstore.trusted_root());
        let files = Arc::clone(&tuf.files);
        let server = Server::start(move |request| answer(&files, request));
        Self {
            tuf,
            server,
            state: tempfile::tempdir().unwrap(),
            now: Timestamp::now(),
            offline: false,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.host())
    }

    fn settings(&self) -> Settings {
        let mirror = TufMirror { url: self.url(), root: self.tuf.first.clone() };
        let times = Times {
            connect: Duration::from_secs(1),
            idle: Duration::from_secs(5),
            ..Times::default()
        };
        Settings {
            default: RootSource::Repository {
                mirror: Ok(Some(mirror)),
                pieces: Ok(Pieces::default()),
            },
            named: BTreeMap::new(),
            offline: self.offline,
            client: Client::new(RegistryConfig { times, ..RegistryConfig::default() }),
            locations: Locations {
                state: vec![self.state.path().join("luet-cosign")],
                runs: Vec::new(),
            },
            now: self.now,
        }
    }

    /// A process that begins now.
    fn roots(&self) -> ProcessRoots {
        ProcessRoots::new(self.settings())
    }

    /// So much later that what came of asking does not count any more.
    fn later(&mut self) {
        self.now += SignedDuration::from_mins(2);
    }

    /// Everything that is kept, by name; without the note of when the mirror was asked.
    fn kept(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.state.path().join("luet-cosign/roots")) else {
            return BTreeMap::new();
        };
        let files = entries.map(|entry| entry.unwrap().path());
        let files =
            files.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("asked-"));
        files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
    }

    /// The one file of a repository.
    fn file(&self) -> PathBuf {
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        self.kept()
            .into_keys()
            .find(|path| name(path).starts_with("tuf-") && !name(path).ends_with(".lock"))
            .unwrap()
    }

    fn asked(&self) -> usize {
        self.server.requests().len()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The roots, as a process has them that just began; the default one has no name.
fn load(roots: &ProcessRoots) -> luet_cosign::trust::TrustedRoots {
    run(roots.load([None]))
}

/// Whether the default root believes what a Sigstore signed.
fn knows(roots: &ProcessRoots, sigstore: &Sigstore) -> bool {
    load(roots).get(None).is_ok_and(|root| believes(root, sigstore))
}

fn refresh(roots: &ProcessRoots) -> Refreshed {
    run(roots.refresh())
}
