//! A TUF repository: what is asked of its mirror, and how what was fetched is held against the root that is pinned.
//!
//! The rules of The Update Framework are sigstore-tuf's; the network is the room `registry`'s, with its caps, deadline, proxies
//! and certificates. What a mirror gave is a map of names to bytes, never a path: no name in signed metadata can lead anywhere.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use crate::registry::Client;
use jiff::Timestamp;
use sigstore_tuf::{Error, MetadataStore, Repository, TrustedMetadataSet, Updater, UpdaterConfig, transport::FetchFuture};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The file that is wanted.
const TARGET: &str = "trusted_root.json";

/// Metadata and target by name, as they came.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A TUF repository.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where it is published.
    pub url: String,
    /// Its first root, which everything is held against.
    pub root: Vec<u8>,
}

impl Mirror {
    /// Returns a name for what is kept of it. Another pinned root is another repository, whatever its address.
    pub(super) fn id(&self) -> String {
        let url = self.url.trim_end_matches('/');
        Digest::of(format!("{url}\n{}", Digest::of(&self.root)).as_bytes()).hex()
    }

    /// Asks the mirror for what is newer than `known`, and returns everything that it takes to prove the newest trusted root.
    pub(super) async fn fetch(&self, client: &Client, known: Files, now: Timestamp, until: Instant) -> Result<Files, Failure> {
        let trouble = Arc::new(Mutex::new(None));
        let files = Shelf(Arc::new(Mutex::new(known)));
        let web = Web { client: client.clone(), url: self.url.clone(), until, trouble: Arc::clone(&trouble) };
        let update = async {
            let mut updater = Updater::new(web, &self.root)?.with_config(bounds()).with_store(files.clone());
            updater.refresh(now).await?;
            updater.get_target(TARGET, now).await
        };
        match update.await {
            Ok(_) => Ok(files.take().into_iter().filter(|(name, _)| is_needed(name)).collect()),
            // Why the network failed says more than that it did.
            Err(error) => Err(lock(&trouble).take().unwrap_or_else(|| self.failure(&error, now))),
        }
    }

    /// Proves the trusted root that `files` hold, as it was at the time `at`, and returns it. No request is made.
    pub(super) fn prove(&self, files: &Files, at: Timestamp) -> Result<Vec<u8>, Failure> {
        let walk = || -> Result<Vec<u8>, Error> {
            let file = |name: &str| files.get(name).ok_or_else(|| Error::Malformed(format!("there is no {name}")));
            let mut trusted = TrustedMetadataSet::from_root(&self.root)?;
            while let Some(next) = files.get(&history(trusted.root().version.saturating_add(1))) {
                trusted.update_root(next)?;
            }
            trusted.check_root_expired(at)?;
            trusted.update_timestamp(file("timestamp.json")?, at)?;
            trusted.update_snapshot(file("snapshot.json")?, at)?;
            let targets = trusted.update_targets(file("targets.json")?, at)?;
            let wanted = targets.targets.get(TARGET).ok_or_else(|| Error::TargetNotFound(TARGET.to_owned()))?;
            let found = file(&target())?;
            if u64::try_from(found.len()) != Ok(wanted.length) || wanted.hashes.get("sha256") != Some(&Digest::of(found).hex()) {
                return Err(Error::IntegrityMismatch(format!("{TARGET} is not the one that was signed")));
            }
            Ok(found.clone())
        };
        walk().map_err(|error| self.failure(&error, at))
    }

    fn failure(&self, error: &Error, now: Timestamp) -> Failure {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        let failure = Failure::new(Class::Trustroot, format!("the TUF repository `{}`: {text}", self.url));
        match error {
            Error::Expired { .. } => failure.hint(format!(
                "the clock of this machine says {}: set it where that is wrong; else the mirror is out of date, or somebody holds back what is newer",
                day(now)
            )),
            Error::Json(_) | Error::Malformed(_) => {
                failure.hint("that is no TUF metadata: a firewall or portal may answer in the mirror's place, or TUF_MIRROR is wrong")
            }
            _ => failure.hint("do not trust this mirror until whoever runs it explains that"),
        }
    }
}

/// Returns the day, for people.
pub(super) fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

fn target() -> String {
    format!("targets/{TARGET}")
}

fn history(version: u64) -> String {
    format!("root_history/{version}.root.json")
}

fn is_needed(name: &str) -> bool {
    let metadata = ["timestamp.json", "snapshot.json", "targets.json"].contains(&name);
    metadata || name == target() || name.starts_with("root_history/")
}

fn bounds() -> UpdaterConfig {
    let mut bounds = UpdaterConfig::default();
    bounds.root_max_length = limits::TUF_FILE_BYTES;
    bounds.snapshot_max_length = limits::TUF_FILE_BYTES;
    bounds.targets_max_length = limits::TUF_FILE_BYTES;
    bounds.target_max_length = limits::ROOT_BYTES;
    bounds.max_root_rotations = limits::TUF_ROOTS;
    bounds
}

/// The mirror, through the room that speaks to the network.
struct Web {
    client: Client,
    url: String,
    until: Instant,
    /// What went wrong last: the crate's errors know no class.
    trouble: Arc<Mutex<Option<Failure>>>,
}

impl Web {
    async fn get(&self, path: String, cap: u64) -> Result<Option<Vec<u8>>, Error> {
        self.client.published(&self.url, &path, cap, self.until).await.map_err(|failure| {
            let text = failure.message();
            *lock(&self.trouble) = Some(unreachable(failure));
            Error::transport(text)
        })
    }
}

impl Repository for Web {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.get(name.to_owned(), max_length))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.get(format!("targets/{path}"), max_length))
    }
}

/// Says what is in the way where a mirror cannot be reached.
fn unreachable(failure: Failure) -> Failure {
    let hint = "a firewall, a proxy or DNS is in the way: allow this host, set HTTPS_PROXY, or LUET_COSIGN_OFFLINE=1 to stop asking";
    if failure.class() == Class::Net { failure.hint(hint) } else { failure }
}

/// Where the crate keeps what it verified: in memory, until all of it is.
#[derive(Clone)]
struct Shelf(Arc<Mutex<Files>>);

impl Shelf {
    fn take(&self) -> Files {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl MetadataStore for Shelf {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(lock(&self.0).get(name).cloned())
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        lock(&self.0).insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.0).keys()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
