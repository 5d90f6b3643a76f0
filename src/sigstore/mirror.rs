//! A TUF repository: what is asked of its mirror, and how what was fetched is held against the root
//! that is pinned.
//!
//! The rules of The Update Framework are sigstore-tuf's; the network is the room `registry`'s, with
//! its caps, deadline, proxies and certificates. What a mirror gave is a map of names to bytes,
//! never a path: no name in signed metadata can lead anywhere.

use super::first_root;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, hex};
use crate::registry::{Client, Published};
use jiff::Timestamp;
use sigstore::trust_root::SigstoreInstance;
use sigstore_tuf::{
    Error, Key, MetadataStore, Repository, Root, Updater, UpdaterConfig, transport::FetchFuture,
};
use spki::der::Decode as _;
use spki::der::asn1::{AnyRef, BitStringRef};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The file that is wanted.
const TARGET: &str = "trusted_root.json";
/// The file that says which services sign.
const CONFIG: &str = "signing_config.v0.2.json";

/// Metadata and target by name, as they came.
pub(super) type TufFiles = BTreeMap<String, Vec<u8>>;

/// A TUF repository.
#[derive(Clone, Debug)]
pub struct TufMirror {
    /// Where it is published.
    pub url: String,
    /// Its first root, which everything is held against.
    pub root: Vec<u8>,
}

impl TufMirror {
    /// Returns a name for what is kept of it. Another pinned root is another repository, whatever
    /// its address.
    pub(super) fn id(&self) -> String {
        let url = self.url.trim_end_matches('/');
        Digest::of(format!("{url}\n{}", Digest::of(&self.root)).as_bytes()).hex()
    }

    /// Asks the mirror for what is newer than `known`, and returns everything that it takes to
    /// prove the newest trusted root, and where `config` asks for it the newest signing configuration.
    pub(super) async fn fetch(
        &self,
        client: &Client,
        known: TufFiles,
        now: Timestamp,
        until: Instant,
        config: bool,
    ) -> Result<TufFiles, Failure> {
        let pinned = first_root::read(&self.root)?.root().version;
        let last = Arc::new(Mutex::new(Last::Found));
        let files = Shelf(Arc::new(Mutex::new(known)));
        let web =
            Web { client: client.clone(), url: self.url.clone(), until, last: Arc::clone(&last) };
        let update = async {
            let mut updater =
                Updater::new(web, &self.root)?.with_config(bounds()).with_store(files.clone());
            updater.refresh(now).await?;
            updater.get_target(TARGET, now).await?;
            if !config {
                return Ok(());
            }
            match updater.get_target(CONFIG, now).await {
                // A repository may publish none.
                Err(Error::TargetNotFound(_)) | Ok(_) => Ok(()),
                Err(error) => Err(error),
            }
        };
        match update.await {
            Ok(_) => Ok(files.take().into_iter().filter(|(name, _)| is_needed(name)).collect()),
            // Why the network failed says more than that it did.
            Err(error) => {
                let came = std::mem::take(&mut *lock(&last));
                Err(self.why(&error, came, client, (pinned, now, until)).await)
            }
        }
    }

    /// Says why nothing newer could be had.
    async fn why(
        &self,
        error: &Error,
        last: Last,
        client: &Client,
        (pinned, now, until): (u64, Timestamp, Instant),
    ) -> Failure {
        match (last, error) {
            (Last::Failed(failure), _) => self.unreachable(failure),
            (Last::Absent { path, status }, Error::Transport { .. }) => self.absent(&path, status),
            (_, Error::ThresholdNotMet { .. }) => {
                let path = format!("{pinned}.root.json");
                let served =
                    client.published(&self.url, &path, limits::TUF_FILE_BYTES, until).await;
                let failure = self.failure(error, now);
                match served {
                    Ok(Published::File(served)) if served != self.root => {
                        self.another_root(&path, &served, failure)
                    }
                    _ => failure,
                }
            }
            _ => self.failure(error, now),
        }
    }

    /// Whether it is the repository of the public Sigstore, whose first root came with the program.
    fn is_public(&self) -> bool {
        self.url == SigstoreInstance::PublicGood.tuf_url()
    }

    /// Says what is in the way where a mirror cannot be reached.
    fn unreachable(&self, failure: Failure) -> Failure {
        if failure.class() != Class::Net || failure.own_hint().is_some() {
            return failure;
        }
        let address =
            if self.is_public() { "" } else { "check the address in TUF_MIRROR; if it is right, " };
        failure.hint(format!(
            "{address}a firewall, a proxy or DNS is in the way: allow this host, set HTTPS_PROXY, or LUET_COSIGN_OFFLINE=1 to stop asking"
        ))
    }

    /// Says what a file means that the mirror does not give.
    fn absent(&self, path: &str, status: u16) -> Failure {
        let url = &self.url;
        if path != "timestamp.json" {
            let message = format!(
                "the TUF repository `{url}` answered {status} for `{path}`, which its metadata names"
            );
            return Failure::new(Class::Trustroot, message)
                .hint("the mirror is not complete: tell its operator");
        }
        let message =
            format!("there is no TUF repository at `{url}`: it answered {status} for `{path}`");
        Failure::new(Class::Trustroot, message).hint(match status {
            403 => "the mirror must let everybody read, for no credentials are sent to it; some also answer 403 for what is not there, so check the address in TUF_MIRROR",
            _ => "check the address in TUF_MIRROR: `timestamp.json` is right below it",
        })
    }

    /// Says that what is pinned is the first root of something else. Which of the two is right only
    /// whoever runs the repository can say.
    fn another_root(&self, path: &str, served: &[u8], failure: Failure) -> Failure {
        let message = format!(
            "the TUF repository `{}` has another first root than the pinned one: its `{path}` is `{}`, the pinned one `{}`",
            self.url,
            Digest::of(served),
            Digest::of(&self.root)
        );
        let pinned =
            if self.is_public() { "" } else { "TUF_ROOT_JSON may be of another repository: " };
        Failure::new(Class::Trustroot, message).detail(failure.line()).hint(format!(
            "{pinned}ask its operator for the digest of their first root, by another way than this mirror; until then do not trust it"
        ))
    }

    /// Proves the trusted root that `files` hold, as it was at the time `at`, and returns it. No
    /// request is made.
    pub(super) fn prove(&self, files: &TufFiles, at: Timestamp) -> Result<Vec<u8>, Failure> {
        self.prove_target(files, at, TARGET)?
            .ok_or_else(|| self.failure(&Error::TargetNotFound(TARGET.to_owned()), at))
    }

    /// Proves the signing configuration that `files` hold, in the same way; `None` where the repository
    /// publishes none, or it was not fetched.
    pub(super) fn prove_config(
        &self,
        files: &TufFiles,
        at: Timestamp,
    ) -> Result<Option<Vec<u8>>, Failure> {
        if files.contains_key(&target(CONFIG)) {
            self.prove_target(files, at, CONFIG)
        } else {
            Ok(None)
        }
    }

    fn prove_target(
        &self,
        files: &TufFiles,
        at: Timestamp,
        name: &str,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let pinned = first_root::read(&self.root)?;
        let walk = || -> Result<Option<Vec<u8>>, Error> {
            let file = |name: &str| {
                files.get(name).ok_or_else(|| Error::Malformed(format!("there is no {name}")))
            };
            let mut trusted = pinned;
            check_keys(trusted.root())?;
            while let Some(next) = files.get(&history(trusted.root().version.saturating_add(1))) {
                trusted.update_root(next)?;
                check_keys(trusted.root())?;
            }
            trusted.check_root_expired(at)?;
            trusted.update_timestamp(file("timestamp.json")?, at)?;
            trusted.update_snapshot(file("snapshot.json")?, at)?;
            let targets = trusted.update_targets(file("targets.json")?, at)?;
            let Some(wanted) = targets.targets.get(name) else { return Ok(None) };
            let found = file(&target(name))?;
            if u64::try_from(found.len()) != Ok(wanted.length)
                || wanted.hashes.get("sha256") != Some(&Digest::of(found).hex())
            {
                return Err(Error::IntegrityMismatch(format!(
                    "{name} is not the one that was signed"
                )));
            }
            Ok(Some(found.clone()))
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
        let failure =
            Failure::new(Class::Trustroot, format!("the TUF repository `{}`: {text}", self.url));
        match error {
            Error::TargetNotFound(name) => Failure::new(
                Class::Trustroot,
                format!("the TUF repository `{}` publishes no `{name}`", self.url),
            )
            .hint("it is one of another kind, or not finished: ask its operator, or name a document with COSIGN_TRUSTED_ROOT"),
            Error::Expired { .. } => failure.hint(format!(
                "the clock of this machine says {}: set it if that is wrong; otherwise the mirror is out of date, or newer files are being withheld",
                day(now)
            )),
            Error::Json(_) | Error::Malformed(_) => {
                failure.hint("that is not TUF metadata: a firewall or portal may be answering instead of the mirror, or TUF_MIRROR is wrong")
            }
            Error::Rollback { .. }
            | Error::IntegrityMismatch(_)
            | Error::DuplicateSignature { .. } => {
                failure.hint("do not trust this mirror until its operator explains that")
            }
            // The keys may be those of another repository.
            _ => failure.hint(
                "check that TUF_MIRROR and TUF_ROOT_JSON belong together; where they do, do not \
                 trust this mirror until its operator explains that",
            ),
        }
    }
}

/// Checks that no role has one key under two names: sigstore-tuf counts names, and one key would be
/// enough for two signatures.
fn check_keys(root: &Root) -> Result<(), Error> {
    for (role, members) in &root.roles {
        let mut seen = BTreeMap::new();
        for name in &members.keyids {
            if let Some(key) = root.keys.get(name)
                && seen.insert(material(key), name).is_some_and(|other| other != name)
            {
                return Err(Error::DuplicateSignature { role: role.clone(), key_id: name.clone() });
            }
        }
    }
    Ok(())
}

/// Returns what of a key is the same however it is written: of a point on a curve one coordinate,
/// for the other one says no more than its sign; and where the key cannot be read, so that nothing
/// is signed with it, its text.
fn material(key: &Key) -> Vec<u8> {
    let text = key.keyval.public.trim();
    let written = || text.to_ascii_lowercase().into_bytes();
    let Ok(pem) = pem::parse(text) else { return written() };
    let Ok(info) =
        spki::SubjectPublicKeyInfo::<AnyRef<'_>, BitStringRef<'_>>::from_der(pem.contents())
    else {
        return written();
    };
    let bytes = info.subject_public_key.raw_bytes();
    match (key.scheme.as_str(), bytes.split_first()) {
        // Raw keys of Ed25519 are written in hexadecimal as well.
        ("ed25519", _) => hex(bytes).into_bytes(),
        // SEC 1, section 2.3.3: both coordinates, or the first one alone.
        (_, Some((4, point))) => point.get(..point.len() / 2).unwrap_or_default().to_vec(),
        (_, Some((2 | 3, x))) => x.to_vec(),
        _ => bytes.to_vec(),
    }
}

/// Returns the day, for people.
pub(super) fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

fn target(name: &str) -> String {
    format!("targets/{name}")
}

fn history(version: u64) -> String {
    format!("root_history/{version}.root.json")
}

fn is_needed(name: &str) -> bool {
    let metadata = ["timestamp.json", "snapshot.json", "targets.json"].contains(&name);
    metadata
        || [TARGET, CONFIG].iter().any(|wanted| name == target(wanted))
        || name.starts_with("root_history/")
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
    /// What came of the last request.
    last: Arc<Mutex<Last>>,
}

/// What came of a request: the crate's errors know no class, and no status.
#[derive(Default)]
enum Last {
    #[default]
    Found,
    Absent {
        path: String,
        status: u16,
    },
    Failed(Failure),
}

impl Web {
    async fn get(&self, path: String, cap: u64) -> Result<Option<Vec<u8>>, Error> {
        let answer = self.client.published(&self.url, &path, cap, self.until).await;
        let (last, outcome) = match answer {
            Ok(Published::File(bytes)) => (Last::Found, Ok(Some(bytes))),
            Ok(Published::Absent { status }) => (Last::Absent { path, status }, Ok(None)),
            Err(failure) => {
                let error = Error::transport(failure.message());
                (Last::Failed(failure), Err(error))
            }
        };
        *lock(&self.last) = last;
        outcome
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

/// Where the crate keeps what it verified: in memory, until all of it is.
#[derive(Clone)]
struct Shelf(Arc<Mutex<TufFiles>>);

impl Shelf {
    fn take(&self) -> TufFiles {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scheme: &str, public: &str) -> Vec<u8> {
        let key =
            serde_json::json!({"keytype": "any", "scheme": scheme, "keyval": {"public": public}});
        material(&serde_json::from_value(key).unwrap())
    }

    fn pem(base64: &str) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n")
    }

    #[test]
    fn one_key_is_one_however_it_is_written() {
        let point = pem(
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOw8bC0A6RMi9/m9/b2+S7qj5XZ0G\n+AGFi3FiKVGk3bhd6QO4+e94QJGYbQF1FjrQVAO3KcHYUfs8Iwa3opC5JA==",
        );
        let compressed =
            pem("MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACOw8bC0A6RMi9/m9/b2+S7qj5XZ0G+AGFi3FiKVGk3bg=");
        assert_eq!(key("ecdsa-sha2-nistp256", &point).len(), 32);
        assert_eq!(key("ecdsa-sha2-nistp256", &point), key("ecdsa-sha2-nistp256", &compressed));
        let ed25519 = pem("MCowBQYDK2VwAyEA2/Dv45VLc9fFILizetfyCGAbZkKeC31yrol7kV72j/I=");
        let raw = "dbf0efe3954b73d7c520b8b37ad7f208601b66429e0b7d72ae897b915ef68ff2";
        assert_eq!(key("ed25519", &ed25519), key("ed25519", raw));
        assert_eq!(key("ed25519", raw), key("ed25519", &format!(" {}\n", raw.to_uppercase())));
        assert_ne!(key("ed25519", raw), key("ed25519", &raw.replace('d', "c")));
        assert_eq!(key("ed25519", "not a key"), b"not a key");
    }
}
