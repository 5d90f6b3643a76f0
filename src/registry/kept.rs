//! Anonymous tokens, kept in the run's directory: a host that installs a hundred packages starts us a
//! hundred times, and each time would be refused, ask the token service, and ask again.
//!
//! A kept token is shown to the origin that it was got for, for the one repository, to pull, until
//! it expires; a file that says anything else is none. None is kept or used where credentials are
//! stored for the repository: what they allow must not depend on what nobody was allowed. It proves
//! nothing: a registry that refuses it is asked as if there were none (`auth`). What cannot be read
//! or written only costs time.

use super::challenge::{Realm, realm_url};
use super::transport::shown;
use crate::limits;
use crate::name::{Digest, Repository};
use crate::store::{Folder, Handoffs, Locations, Run};
use reqwest::Url;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use zeroize::Zeroizing;

const VERSION: u32 = 1;
/// A token that is about to expire is not worth showing.
const MARGIN: Duration = Duration::from_secs(10);

/// Where the tokens of this run are kept. Opened late: most commands need none.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    locations: Option<Locations>,
    folder: OnceLock<Option<Folder>>,
}

/// A token that another process of this run got.
pub(super) struct KeptToken {
    pub(super) token: Zeroizing<String>,
    pub(super) realm: Realm,
}

/// A token, as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptWire {
    version: u32,
    /// Scheme, host and port of the registry.
    origin: String,
    repository: String,
    realm: String,
    service: Option<String>,
    scope: String,
    token: Zeroizing<String>,
    /// Seconds since boot; the directory is of one boot.
    until: u64,
}

impl Keeper {
    pub(super) fn new(locations: Option<Locations>) -> Self {
        Self { locations, folder: OnceLock::new() }
    }

    /// Returns the token to pull from `repository` at `endpoint`, where one is kept.
    pub(super) fn find(&self, endpoint: &Url, repository: &Repository) -> Option<KeptToken> {
        let origin = shown(endpoint);
        let name = name(&origin, repository);
        // Most registries give no tokens; then the directory is not even opened.
        let run = Run::current().ok()?;
        let looks = |top: &PathBuf| top.join(run.name()).join(&name).symlink_metadata().is_ok();
        if !self.locations.as_ref()?.runs.iter().any(looks) {
            return None;
        }
        let bytes = self.folder()?.read(&name).ok()??;
        let found: KeptWire = serde_json::from_slice(&Zeroizing::new(bytes)).ok()?;
        let same = found.version == VERSION
            && found.origin == origin
            && found.repository == repository.to_string()
            && found.scope == scope(repository);
        let left = found.until.checked_sub(now()?)?;
        let fresh = left > 0 && left <= limits::TOKEN_KEPT.as_secs();
        let realm = Realm { url: realm_url(&found.realm).ok()?, service: found.service };
        (same && fresh).then_some(KeptToken { token: found.token, realm })
    }

    /// Keeps a token that `realm` gave for `lifetime` to anyone who asked.
    pub(super) fn keep(
        &self,
        endpoint: &Url,
        repository: &Repository,
        realm: &Realm,
        token: &Zeroizing<String>,
        lifetime: Duration,
    ) {
        let lifetime = lifetime.min(limits::TOKEN_KEPT).saturating_sub(MARGIN);
        let (Some(folder), Some(now)) = (self.folder(), now()) else { return };
        if lifetime.is_zero() {
            return;
        }
        let origin = shown(endpoint);
        let document = KeptWire {
            version: VERSION,
            repository: repository.to_string(),
            realm: realm.url.to_string(),
            service: realm.service.clone(),
            scope: scope(repository),
            token: token.clone(),
            until: now.saturating_add(lifetime.as_secs()),
            origin,
        };
        if let Ok(bytes) = serde_json::to_vec(&document).map(Zeroizing::new) {
            let _ = folder.replace(&name(&document.origin, repository), &bytes);
        }
    }

    /// Forgets the token: the registry no longer takes it.
    pub(super) fn forget(&self, endpoint: &Url, repository: &Repository) {
        if let Some(folder) = self.folder() {
            let _ = folder.remove(&name(&shown(endpoint), repository));
        }
    }

    fn folder(&self) -> Option<&Folder> {
        let locations = self.locations.as_ref()?;
        let open = || Some(Handoffs::open(locations).ok()?.folder().clone());
        self.folder.get_or_init(open).as_ref()
    }
}

/// What is asked for, and nothing more: the challenge of a registry does not choose it.
pub(super) fn scope(repository: &Repository) -> String {
    format!("repository:{}:{}", repository.path(), super::session::Access::Pull.actions())
}

fn name(origin: &str, repository: &Repository) -> String {
    // No origin has a blank.
    format!("token-{}", Digest::of(format!("{origin} {repository}").as_bytes()).hex())
}

/// Returns the seconds since this machine was started, which nobody can set.
fn now() -> Option<u64> {
    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).ok()
}
