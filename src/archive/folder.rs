//! A directory in OCI's layout. Each blob is a file that has its name only when it is whole.

use super::part::{self, Piece, state, unwritten};
use super::plan::{BLOBS, INDEX, LAYOUT, Plan, PlannedFile};
use crate::class::Failure;
use crate::registry::Client;
use rustix::fs::{CWD, RenameFlags};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

pub(super) async fn write(
    client: &Client,
    plan: &Plan,
    path: &Path,
    progress: &dyn Fn(u64),
) -> Result<(), Failure> {
    check_replaceable(path)?;
    let beside = part::path(path);
    let _lock = open(&beside)?;
    let blobs = beside.join(BLOBS);
    DirBuilder::new().recursive(true).mode(0o700).create(&blobs).map_err(unwritten(&blobs))?;
    let mut names = BTreeSet::new();
    for entry in plan.blobs() {
        add(client, &beside, entry, progress).await?;
        names.extend(entry.name.strip_prefix(BLOBS).map(ToOwned::to_owned));
    }
    for entry in plan.documents() {
        remove(&beside.join(&entry.name))?;
        add(client, &beside, &entry, progress).await?;
    }
    remove_strays(&blobs, |name| names.contains(name))?;
    remove_strays(&beside, |name| [LAYOUT, INDEX, "blobs"].contains(&name))?;
    exchange(&beside, path)
}

/// Only a layout, or nothing, may be replaced: a directory with anything else in it is someone's.
fn check_replaceable(path: &Path) -> Result<(), Failure> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(state(path, error)),
    };
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    match names.find(|name| ![LAYOUT, INDEX, "blobs"].contains(&name.as_str())) {
        Some(name) => Err(state(path, format!("is not an OCI layout only: it has `{name}`"))),
        None => Ok(()),
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(unwritten(path)(error));
        }
        _ => {}
    }
    let found = path.symlink_metadata().map_err(unwritten(path))?;
    if !found.is_dir() || found.uid() != part::own() || found.mode() & 0o022 != 0 {
        return Err(state(path, "is not a directory that only this user can write"));
    }
    let folder = File::open(path).map_err(unwritten(path))?;
    part::lock(path, &folder)?;
    Ok(folder)
}

/// Writes one file. A blob that is there is hashed, and stays where it is right.
async fn add(
    client: &Client,
    folder: &Path,
    entry: &PlannedFile,
    progress: &dyn Fn(u64),
) -> Result<(), Failure> {
    let path = folder.join(&entry.name);
    let unfinished = part::path(&path);
    if path.symlink_metadata().is_ok() {
        std::fs::rename(&path, &unfinished).map_err(unwritten(&path))?;
    }
    let mut file = part::open(&unfinished)?;
    let length = file.metadata().map_err(unwritten(&path))?.len();
    if length > entry.size {
        file.set_len(0).map_err(unwritten(&path))?;
    }
    let there = if length > entry.size { 0 } else { length };
    Piece { path: &unfinished, file: &mut file, start: 0, there }
        .write(client, entry, progress)
        .await?;
    file.sync_all().map_err(unwritten(&path))?;
    std::fs::rename(&unfinished, &path).map_err(unwritten(&path))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unwritten(path)(error)),
        _ => Ok(()),
    }
}

/// Removes what an earlier call left, of another image.
fn remove_strays(folder: &Path, keep: impl Fn(&str) -> bool) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder).map_err(unwritten(folder))? {
        let entry = entry.map_err(unwritten(folder))?;
        if entry.file_name().to_str().is_some_and(&keep) {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().map_err(unwritten(&path))?;
        let removed = if kind.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(unwritten(&path))?;
    }
    Ok(())
}

/// Gives the new directory its name; an old one of that name is gone then.
fn exchange(beside: &Path, path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() {
        return std::fs::rename(beside, path).map_err(unwritten(path));
    }
    rustix::fs::renameat_with(CWD, beside, CWD, path, RenameFlags::EXCHANGE)
        .map_err(|error| unwritten(path)(error.into()))?;
    std::fs::remove_dir_all(beside).map_err(unwritten(beside))
}
