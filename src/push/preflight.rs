//! The preflight: before the first image is pushed, prove that it will be possible to sign.
//!
//! Opening the key costs 120 ms and 66 MiB, so what was proved is not proved again in the same run
//! of the host: a mark in the run's folder says for which key and which repositories. Without a
//! folder for the mark it is simply done each time.

use super::open_key;
use crate::class::Failure;
use crate::name::{Digest, Reference, Repository};
use crate::session::Session;
use crate::store::{Folder, Handoffs};
use std::os::unix::ffi::OsStrExt as _;

/// Proves that the key opens and that both repositories may be pushed to.
pub(super) async fn preflight(
    session: &Session,
    image: &Reference,
    signatures_in: &Repository,
) -> Result<(), Failure> {
    let environment = session.environment();
    let folder = Handoffs::open(session.locations()).ok().map(|handoffs| handoffs.folder().clone());
    // The password is left out: a run has one, and a hash of it would be a way to guess it without
    // scrypt.
    let key_mark =
        mark("key", &[environment.raw("COSIGN_KEY_LOCATION").unwrap_or_default().as_bytes()]);
    once(folder.as_ref(), &key_mark, async || open_key(session).map(|_| ())).await?;
    let mut repositories = vec![image.repository()];
    if signatures_in != image.repository() {
        repositories.push(signatures_in);
    }
    for repository in repositories {
        let mark = mark("push", &[repository.to_string().as_bytes()]);
        once(folder.as_ref(), &mark, async || session.client().may_push(repository).await).await?;
    }
    Ok(())
}

/// Does something unless the mark says that it was done in this run.
async fn once(
    folder: Option<&Folder>,
    mark: &str,
    does: impl AsyncFnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    if folder.is_some_and(|folder| folder.read(mark).is_ok_and(|found| found.is_some())) {
        return Ok(());
    }
    does().await?;
    if let Some(folder) = folder {
        // A mark that cannot be written only means that the next image is proved again.
        let _ = folder.mark(mark);
    }
    Ok(())
}

/// Returns the name of a mark.
fn mark(what: &str, parts: &[&[u8]]) -> String {
    format!("preflight-{what}-{}", Digest::of(&parts.join(&0_u8)).hex())
}
