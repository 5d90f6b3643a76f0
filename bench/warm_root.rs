//! How long the first keyless signature of a process waits for its trusted root: embedded, and
//! fetched before, proven again.
//!
//! `cargo bench --bench warm_root` prints 5th, 50th and 95th percentiles over many runs, in one
//! process, files in the page cache. The repository has the shape of the public one: five keys of
//! the root, three of which sign; and some roots that followed.

#![allow(
    clippy::as_conversions,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use jiff::Timestamp;
use luet_cosign::registry::{Client, RegistryConfig};
use luet_cosign::sigstore::{ProcessRoots, RootSource, Settings, TufMirror};
use luet_cosign::store::Locations;
use luet_cosign::trust::Pieces;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::sigstore::Tuf;

const RUNS: usize = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let state = tempfile::tempdir().unwrap();
    let settings = |mirror: Option<TufMirror>, offline| Settings {
        default: RootSource::Repository { mirror: Ok(mirror), pieces: Ok(Pieces::default()) },
        named: BTreeMap::new(),
        offline,
        client: Client::new(RegistryConfig::default()),
        locations: Locations { state: vec![state.path().join("luet-cosign")], runs: Vec::new() },
        now: Timestamp::now(),
    };
    let measure = |what: &str, settings: &Settings| {
        let mut times: Vec<Duration> = (0..RUNS)
            .map(|_| {
                let roots = ProcessRoots::new(settings.clone());
                let since = Instant::now();
                let loaded = runtime.block_on(roots.load([None]));
                let time = since.elapsed();
                assert!(
                    loaded.get(None).is_ok() && roots.warnings().is_empty(),
                    "{:?}",
                    roots.warnings()
                );
                time
            })
            .collect();
        times.sort();
        println!(
            "{what}: 5% {:?}, median {:?}, 95% {:?}",
            times[RUNS / 20],
            times[RUNS / 2],
            times[RUNS * 95 / 100]
        );
    };
    measure("embedded", &settings(None, true));
    // The public trusted root in a repository of our own, so that both read the same document.
    let public =
        serde_json::from_str(sigstore::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
    for rotations in [0, 1, 3] {
        let mut tuf = Tuf::with_root_keys(&public, 5, 3);
        for _ in 0..rotations {
            tuf.rotate();
        }
        let files = Arc::clone(&tuf.files);
        let server = testkit::Server::start(move |request| {
            let files = files.lock().unwrap();
            files.get(request.path().trim_start_matches('/')).map_or_else(
                || testkit::Answer::new(404),
                |bytes| testkit::Answer::new(200).body(bytes.clone()),
            )
        });
        let mirror =
            TufMirror { url: format!("http://{}", server.host()), root: tuf.first.clone() };
        assert!(
            runtime
                .block_on(ProcessRoots::new(settings(Some(mirror.clone()), false)).load([None]))
                .get(None)
                .is_ok()
        );
        let asked = server.requests().len();
        measure(&format!("fetched before, {rotations} roots later"), &settings(Some(mirror), true));
        assert_eq!(server.requests().len(), asked, "no request");
    }
}
