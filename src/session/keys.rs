//! Keys, from wherever they lie.

use super::document::{FoundPolicy, whole};
use crate::class::{Class, Failure};
use crate::config::{Environment, Location, Trusted};
use crate::limits;
use crate::name::Digest;
use crate::policy::SignerSource;
use crate::registry::Client;
use crate::store::{Handoffs, Locations};
use crate::trust::PublicKey;
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads the keys of a document, by the names of their signers.
pub(super) async fn read_keys(
    found: &FoundPolicy,
    environment: &Environment,
    client: &Client,
    keep_in: Option<&Locations>,
) -> BTreeMap<String, Result<PublicKey, Failure>> {
    let mut keys = BTreeMap::new();
    for signer in found.document.signers() {
        let trusted = if signer.source == SignerSource::Environment {
            Trusted::NotOthers
        } else {
            found.base.trusted
        };
        let location = match &signer.source {
            SignerSource::File(path) => Location::in_folder(&found.base.folder, "`key`", path),
            SignerSource::Environment => match environment.text("COSIGN_PUBLIC_KEY_LOCATION") {
                Ok(Some(text)) => Location::parse("COSIGN_PUBLIC_KEY_LOCATION", text),
                Ok(None) => {
                    Err(Failure::new(Class::Policy, "COSIGN_PUBLIC_KEY_LOCATION is not set"))
                }
                Err(failure) => Err(failure),
            },
            SignerSource::Certificate(_) => continue,
        };
        let key = match location {
            Ok(location) => read_key(&location, trusted, environment, client, keep_in)
                .await
                .and_then(|pem| PublicKey::from_pem(&pem)),
            Err(failure) => Err(failure),
        };
        let key = key.map_err(|failure| match &signer.source {
            SignerSource::File(path) if failure.own_hint().is_none() => {
                failure.hint(hint(path, &found.base.folder))
            }
            _ => failure,
        });
        keys.insert(signer.name.clone(), key);
    }
    keys
}

/// Returns what to do about a key that a policy file names and that cannot be had.
fn hint(path: &str, folder: &Path) -> String {
    if Path::new(path).is_absolute() {
        format!("put the public key there, or change `key: {path}`")
    } else {
        let folder = whole(folder).display().to_string();
        format!(
            "`{path}` is relative to the directory of the policy, `{folder}`: put the public key there, or write its whole path"
        )
    }
}

/// Reads one key; where it is behind a URL, the one that was fetched in this run of the host does.
pub(super) async fn read_key(
    location: &Location,
    trusted: Trusted,
    environment: &Environment,
    client: &Client,
    keep_in: Option<&Locations>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match (location.read(environment, trusted)?, location.url()) {
        (Some(bytes), _) => Ok(bytes),
        (None, Some(url)) => {
            let name = format!("key-{}", Digest::of(url.as_bytes()).hex());
            let handoffs = keep_in.and_then(|locations| Handoffs::open(locations).ok());
            let kept = handoffs.as_ref().map(Handoffs::folder);
            if let Some(bytes) = kept.and_then(|folder| folder.read(&name).ok().flatten()) {
                return Ok(Zeroizing::new(bytes));
            }
            let bytes = client.download(url, limits::KEY_BYTES).await?;
            // Where it cannot be kept it is fetched again, which costs time and nothing else.
            let _ = kept.map(|folder| folder.replace(&name, &bytes));
            Ok(Zeroizing::new(bytes))
        }
        (None, _) => Err(Failure::new(Class::Internal, "a key that is nowhere")),
    }
}
