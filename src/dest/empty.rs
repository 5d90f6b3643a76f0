//! Empties a directory whose content was refused.

use super::Dest;
use super::status::{Status, changed, names, open_directory, unreadable};
use crate::class::{Class, Failure};
use crate::limits;
use crate::tree::TreePath;
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Removes everything in `dest`, not `dest` itself. No link is followed and nothing on another file
/// system is touched.
///
/// # Errors
/// `tree`: something is mounted inside or can't be removed; it is named, and what came before it is
/// gone.
pub fn empty(dest: &Dest) -> Result<(), Failure> {
    let mut directories: Vec<Option<TreePath>> = vec![None];
    let mut visits = 0;
    while let Some(directory) = directories.last().cloned() {
        visits += 1;
        if visits > 2 * limits::TREE_ENTRIES {
            return Err(changed(dest));
        }
        let name = || directory.as_ref().map_or_else(|| dest.to_string(), ToString::to_string);
        let fd = match open_directory(dest.fd.as_fd(), directory.as_ref()) {
            // Someone else was faster.
            Err(Errno::NOENT) if directory.is_some() => {
                directories.pop();
                continue;
            }
            result => result.map_err(|error| unreadable(&name(), error))?,
        };
        if directory.is_some() {
            // Where we are not root, a directory without write permission keeps its content;
            // unlinking will tell.
            let _ = rustix::fs::fchmod(&fd, Mode::RWXU);
        }
        let mut full = Vec::new();
        let listed = names(&fd, |entry| {
            let path = TreePath::join(directory.as_ref(), entry)?;
            if !remove(dest, &fd, entry, &path)? {
                full.push(Some(path));
            }
            Ok(())
        });
        listed.map_err(|error| unreadable(&name(), error))??;
        if full.is_empty() {
            directories.pop();
        }
        directories.append(&mut full);
    }
    Ok(())
}

/// Removes one object; `false` for a directory that is not empty.
fn remove(dest: &Dest, directory: &OwnedFd, name: &[u8], path: &TreePath) -> Result<bool, Failure> {
    let status = match Status::at(directory, name) {
        Err(Errno::NOENT) => return Ok(true),
        result => result.map_err(|error| unreadable(path, error))?,
    };
    status.check_mount(&dest.status, path)?;
    let flags =
        if status.kind == FileType::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => {
            Err(Failure::new(Class::Tree, format!("`{path}` cannot be removed: {error}")))
        }
    }
}
