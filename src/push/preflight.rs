//! The preflight: before the first image is pushed, prove that it will be possible to sign.
//!
//! Opening the key costs 120 ms and 66 MiB, so what was proved is not proved again in the same run
//! of the host: a mark in the run's directory says for which key and which repositories. Without a
//! directory for the mark it is simply done each time.

use super::identify::engine_of;
use super::own_signer::{RUN_CERTIFICATE, is_keyless, open_key, own_signer};
use crate::class::{Class, Failure};
use crate::engine;
use crate::name::{Digest, Reference, Repository};
use crate::policy::Matched;
use crate::session::Connections;
use crate::signer::{Foreseen, Signer};
use crate::store::{Folder, Handoffs};
use crate::trust::{Prospect, PublicKey};
use std::os::unix::ffi::OsStrExt as _;

/// Refuses where nobody can sign, or someone whom the policy would not accept. Returns what the
/// user should read: who will sign, the first time in a run.
pub(super) async fn would_accept(
    connections: &Connections,
    matched: &Matched,
) -> Result<Vec<String>, Failure> {
    if !is_keyless(connections.environment())? {
        let key = signer(connections)?;
        matched.would_accept(&Prospect::Key { key: &key, logged: false })?;
        return Ok(Vec::new());
    }
    let signer = own_signer(connections).await?;
    let foreseen = foreseen(connections, &signer).await?;
    matched.would_accept(&Prospect::Certificate(&foreseen.certificate()))?;
    if !signer.has_shared() {
        foreseen.check_left(connections.now())?;
    }
    Ok(foreseen.notices)
}

/// Finds out who will sign, and that it is possible; once in a run.
async fn foreseen(connections: &Connections, signer: &Signer) -> Result<Foreseen, Failure> {
    let folder = folder(connections);
    let parts = signer.depends_on().unwrap_or_default();
    let mark = mark("who", &parts.each_ref().map(|part| part.as_bytes()));
    let kept = folder.as_ref().and_then(|folder| folder.read(&mark).ok().flatten());
    if let Some(kept) = kept.and_then(|bytes| serde_json::from_slice::<Foreseen>(&bytes).ok()) {
        return Ok(kept);
    }
    let mut found = signer
        .foresee(connections)
        .await?
        .ok_or_else(|| Failure::new(Class::Internal, "a key has no token that says who signs"))?;
    if let Some(folder) = folder
        && let Ok(bytes) = serde_json::to_vec(&found)
    {
        // As below: the next image is foreseen again.
        let _ = folder.replace(&mark, &bytes);
    }
    found.notices.insert(
        0,
        format!("keyless: images will be signed by {found}; that name becomes public in two logs"),
    );
    if connections.environment().flag(RUN_CERTIFICATE)? && !signer.shares() {
        found.notices.push(format!(
            "{RUN_CERTIFICATE}=1 has no effect: no directory for this run is on a file system in memory"
        ));
    }
    Ok(found)
}

/// Proves that the key opens, and returns who signs by it.
///
/// The password is left out of the mark: a run has one, and a hash of it would be a way to guess it
/// without scrypt.
pub(super) fn signer(connections: &Connections) -> Result<PublicKey, Failure> {
    let folder = folder(connections);
    let environment = connections.environment();
    let location = environment.raw("COSIGN_KEY_LOCATION").unwrap_or_default();
    let mark = mark("key", &[location.as_bytes()]);
    let kept = folder.as_ref().and_then(|folder| folder.read(&mark).ok().flatten());
    if let Some(key) = kept.and_then(|pem| PublicKey::from_pem(&pem).ok()) {
        return Ok(key);
    }
    let key = open_key(connections)?.public().clone();
    if let Some(folder) = folder {
        // A mark that cannot be written only means that the key is opened again.
        let _ = folder.replace(&mark, key.to_pem().as_bytes());
    }
    Ok(key)
}

/// Proves that the engine is there which will be asked what it pushed: after the push it is too
/// late to find out.
pub(super) fn engine(connections: &Connections) -> Result<(), Failure> {
    match engine_of(connections)? {
        Some(engine) => engine::check(engine, connections.environment()).map_err(|failure| {
            failure.within(format!("the engine `{engine}`, which has to say what was pushed"))
        }),
        None => Ok(()),
    }
}

/// Proves that both repositories may be pushed to.
pub(super) async fn may_push(
    connections: &Connections,
    image: &Reference,
    signatures_in: &Repository,
) -> Result<(), Failure> {
    let folder = folder(connections);
    let mut repositories = vec![image.repository()];
    if signatures_in != image.repository() {
        repositories.push(signatures_in);
    }
    for repository in repositories {
        let mark = mark("push", &[repository.to_string().as_bytes()]);
        if folder.as_ref().is_some_and(|folder| matches!(folder.read(&mark), Ok(Some(_)))) {
            continue;
        }
        connections.client().may_push(repository).await?;
        if let Some(folder) = &folder {
            // As above: the next image is proved again.
            let _ = folder.mark(&mark);
        }
    }
    Ok(())
}

/// Notes that this run signed what it pushed under a name.
pub(super) fn note_signed(connections: &Connections, image: &Reference) {
    if let Some(folder) = folder(connections) {
        // As above: then the registry is asked whether it is signed.
        let _ = folder.mark(&mark("signed", &[image.to_string().as_bytes()]));
    }
}

/// Returns whether this run signed what it pushed under this name.
#[must_use]
pub fn signed_in_this_run(connections: &Connections, image: &Reference) -> bool {
    is_marked(connections, &mark("signed", &[image.to_string().as_bytes()]))
}

/// Returns whether this run was going to push to this repository, as far as it is known: nobody
/// knows where a run has no directory.
#[must_use]
pub fn pushed_in_this_run(connections: &Connections, repository: &Repository) -> bool {
    folder(connections).is_none()
        || is_marked(connections, &mark("push", &[repository.to_string().as_bytes()]))
}

fn is_marked(connections: &Connections, mark: &str) -> bool {
    folder(connections).is_some_and(|folder| matches!(folder.read(mark), Ok(Some(_))))
}

/// Returns the directory of this run, for marks.
pub(super) fn folder(connections: &Connections) -> Option<Folder> {
    Handoffs::open(connections.locations()).ok().map(|handoffs| handoffs.folder().clone())
}

/// Returns the name of a mark.
pub(super) fn mark(what: &str, parts: &[&[u8]]) -> String {
    format!("preflight-{what}-{}", Digest::of(&parts.join(&0_u8)).hex())
}
