//! A private directory, and the one kind of file in it.

use super::way::{Owners, check_folder};
use crate::class::{Class, Failure};
use crate::limits;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait between two tries to get a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A directory of ours: a real directory that belongs to this user and that nobody else can enter.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    durable: bool,
}

/// A lock on one name of a directory, held until dropped; the kernel drops it with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Folder {
    /// Opens the first of `candidates` that can be used, making it where it is missing.
    ///
    /// # Errors
    /// `state`: none can be used; each says why.
    pub fn first_of(candidates: &[PathBuf]) -> Result<Self, Failure> {
        let mut reasons = Vec::new();
        for path in candidates {
            match Self::open(path) {
                Ok(folder) => return Ok(folder),
                Err(failure) => reasons.push(failure.message()),
            }
        }
        let failure = Failure::new(Class::State, "no directory to keep files in");
        Err(reasons.into_iter().fold(failure, Failure::detail))
    }

    /// Opens a directory, making it where it is missing (its parents too).
    ///
    /// # Errors
    /// `state`: a link, no directory, another owner, or open to others.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let state = |what: &str| Failure::new(Class::State, format!("`{}` {what}", path.display()));
        if !path.is_absolute() {
            return Err(state("is not absolute"));
        }
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
            return Err(state(&format!("could not be made: {error}")));
        }
        let found = path
            .symlink_metadata()
            .map_err(|error| state(&format!("could not be read: {error}")))?;
        if !found.is_dir() {
            return Err(state("is a link or no directory"));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(state(&format!("belongs to user {}, not to this one", found.uid())));
        }
        if found.mode() & 0o077 != 0 {
            return Err(state(&format!(
                "is open to others (mode {:o}); expected 700",
                found.mode() & 0o7777
            )));
        }
        if let Some(parent) = path.parent() {
            let above = parent.metadata().map_err(|error| {
                state(&format!("is in a directory that could not be read: {error}"))
            })?;
            // Whoever can write the directory above could put another in this one's place.
            check_folder(parent, &above, Owners::RootAndUser).map_err(|why| state(&why))?;
        }
        Ok(Self { path: path.to_owned(), durable: false })
    }

    /// Returns the directory as one whose files, once replaced, survive a crash of the machine.
    /// Without, they survive one of the program.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Opens a directory within this one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn within(&self, name: &str) -> Result<Self, Failure> {
        Self::open(&self.path.join(name))
    }

    /// Returns where the directory is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a file, at most [`limits::STORE_BYTES`] of it.
    ///
    /// # Errors
    /// `state`: it cannot be read, is not a plain file of ours, or is larger.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.read_up_to(name, limits::STORE_BYTES)
    }

    /// Reads a file, at most `limit` bytes of it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_up_to(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.read_where(name, limit, |found| found.mode() & 0o022 == 0)
    }

    /// Reads a secret: also nobody else may be able to read it, under any name.
    pub(super) fn read_private(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.read_where(name, limit, |found| found.mode() & 0o077 == 0 && found.nlink() == 1)
    }

    fn read_where(
        &self,
        name: &str,
        limit: u64,
        fine: impl FnOnce(&std::fs::Metadata) -> bool,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.path.join(name);
        let state =
            |what: String| Failure::new(Class::State, format!("`{}` {what}", path.display()));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(state(format!("could not be opened: {error}"))),
        };
        let found =
            file.metadata().map_err(|error| state(format!("could not be read: {error}")))?;
        if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() || !fine(&found) {
            return Err(state("is not a file that only this user can write".to_owned()));
        }
        let mut bytes =
            Vec::with_capacity(usize::try_from(found.len().min(limit)).unwrap_or_default() + 1);
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| state(format!("could not be read: {error}")))?;
        if bytes.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(state(format!("is larger than {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Replaces a file whole: a reader sees the old bytes or the new, whenever the program is
    /// killed.
    ///
    /// # Errors
    /// `state`: it could not be written; the old file is as it was.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(name);
        let state = |error: &dyn std::fmt::Display| {
            Failure::new(
                Class::State,
                format!("`{}` could not be written: {error}", path.display()),
            )
        };
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.path)
            .map_err(|error| state(&error))?;
        file.write_all(bytes).map_err(|error| state(&error))?;
        if self.durable {
            file.as_file().sync_all().map_err(|error| state(&error))?;
        }
        file.persist(&path).map_err(|error| state(&error.error))?;
        if self.durable {
            File::open(&self.path)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| state(&error))?;
        }
        Ok(())
    }

    /// Leaves an empty file, which says something by being there; [`Self::read`] finds it.
    ///
    /// # Errors
    /// `state`: it could not be made, or something else is there.
    pub fn mark(&self, name: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let made = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        made.map(drop).map_err(|error| {
            Failure::new(
                Class::State,
                format!("`{}` could not be written: {error}", path.display()),
            )
        })
    }

    /// Adds one line to a file, so that a reader sees all of it or nothing, whenever the
    /// program is killed. A line that an earlier kill left unfinished is dropped first. `synced`:
    /// it is on the disk when this returns, also where the machine loses its power next. Callers
    /// hold the lock on `name`.
    ///
    /// # Errors
    /// `state`: it could not be written.
    pub fn append(&self, name: &str, line: &str, synced: bool) -> Result<(), Failure> {
        let path = self.path.join(name);
        let state = |error: &dyn std::fmt::Display| {
            Failure::new(
                Class::State,
                format!("`{}` could not be written: {error}", path.display()),
            )
        };
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|error| state(&error))?;
        let found = file.metadata().map_err(|error| state(&error))?;
        if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(state(&"it is not a file of this user"));
        }
        let whole = whole_lines(&file, found.len()).map_err(|error| state(&error))?;
        file.set_len(whole).map_err(|error| state(&error))?;
        file.seek(std::io::SeekFrom::Start(whole)).map_err(|error| state(&error))?;
        file.write_all(format!("{line}\n").as_bytes()).map_err(|error| state(&error))?;
        if synced {
            file.sync_data().map_err(|error| state(&error))?;
        }
        Ok(())
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// `state`: it could not be removed.
    pub fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(
                Class::State,
                format!("`{}` could not be removed: {error}", path.display()),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the names in the directory, at most `most` of them; names that are not UTF-8 are none
    /// of ours.
    ///
    /// # Errors
    /// `state`: it could not be read.
    pub fn names(&self, most: usize) -> Result<Vec<String>, Failure> {
        let entries = std::fs::read_dir(&self.path).map_err(|error| {
            Failure::new(
                Class::State,
                format!("`{}` could not be read: {error}", self.path.display()),
            )
        })?;
        Ok(entries
            .take(most)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect())
    }

    /// Takes the lock on `name`, where nobody holds it.
    ///
    /// # Errors
    /// `state`: it could not be made.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, Failure> {
        let path = self.path.join(format!("{name}.lock"));
        let state =
            |what: String| Failure::new(Class::State, format!("`{}` {what}", path.display()));
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map(File::from);
        let file = file.map_err(|error| state(format!("could not be opened: {error}")))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(state(format!("could not be locked: {error}"))),
        }
    }

    /// Takes the lock on `name`, waiting at most `patience`.
    ///
    /// # Errors
    /// `state`: someone else held it all the time, or it could not be made.
    pub fn lock(&self, name: &str, patience: Duration) -> Result<Lock, Failure> {
        let since = Instant::now();
        loop {
            if let Some(lock) = self.try_lock(name)? {
                return Ok(lock);
            }
            if since.elapsed() >= patience {
                let path = self.path.join(format!("{name}.lock"));
                return Err(Failure::new(
                    Class::State,
                    format!(
                        "`{}` was held by another process for {} s",
                        path.display(),
                        patience.as_secs()
                    ),
                ));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// Removes the directory and what is in it; only plain files and empty directories of ours are.
    pub fn discard(&self) {
        for name in self.names(usize::MAX).unwrap_or_default() {
            let _ = std::fs::remove_file(self.path.join(name));
        }
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// Returns a name for a file, from what it is about: 64 hex characters, so that no name from
/// outside becomes a path.
pub(super) fn name_of(parts: &[&[u8]]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        // Lengths keep ("ab", "c") apart from ("a", "bc").
        bytes.extend_from_slice(&part.len().to_le_bytes());
        bytes.extend_from_slice(part);
    }
    crate::name::Digest::of(&bytes).hex()
}

/// Returns the names that a `OsString` may have as bytes.
pub(super) fn bytes_of(text: &OsString) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(text.as_os_str())
}

/// Returns where the last whole line of a file of `size` bytes ends. It is looked for from the end.
fn whole_lines(file: &File, size: u64) -> std::io::Result<u64> {
    let mut block = [0; 512];
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(512);
        let length = usize::try_from(end - start).unwrap_or_default();
        let bytes = block.get_mut(..length).unwrap_or_default();
        file.read_exact_at(bytes, start)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + u64::try_from(at + 1).unwrap_or_default());
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn class<T: std::fmt::Debug>(result: Result<T, Failure>) -> Option<Class> {
        result.err().map(|failure| failure.class())
    }

    #[test]
    fn a_file_reads_back_and_is_replaced_whole() {
        let top = tempfile::tempdir().unwrap();
        let folder = Folder::open(&top.path().join("a/b")).unwrap();
        assert_eq!(folder.read("x").unwrap(), None);
        folder.replace("x", b"1").unwrap();
        folder.replace("x", b"22").unwrap();
        assert_eq!(folder.read("x").unwrap(), Some(b"22".to_vec()));
        assert_eq!(folder.names(10).unwrap(), ["x"], "no temporary file is left");
        folder.remove("x").unwrap();
        folder.remove("x").unwrap();
    }

    #[test]
    fn folders_that_others_can_reach_are_refused() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("open");
        Folder::open(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(class(Folder::open(&path)), Some(Class::State));
        let link = top.path().join("link");
        symlink(top.path(), &link).unwrap();
        assert_eq!(class(Folder::open(&link)), Some(Class::State));
        std::fs::write(top.path().join("file"), "").unwrap();
        assert_eq!(class(Folder::open(&top.path().join("file"))), Some(Class::State));
        assert_eq!(class(Folder::open(Path::new("relative"))), Some(Class::State));
    }

    #[test]
    fn a_folder_lies_where_nobody_else_can_replace_it() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("ours");
        // The group is this user's own, as with umask 002.
        for (mode, is_good) in
            [(0o700, true), (0o755, true), (0o775, true), (0o777, false), (0o1777, true)]
        {
            std::fs::set_permissions(top.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Folder::open(&path).is_ok(), is_good, "{mode:o}");
        }
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(top.path(), None, Some(4242)).unwrap();
            std::fs::set_permissions(top.path(), std::fs::Permissions::from_mode(0o775)).unwrap();
            assert_eq!(class(Folder::open(&path)), Some(Class::State), "another group");
            std::os::unix::fs::chown(top.path(), Some(4242), Some(0)).unwrap();
            assert_eq!(class(Folder::open(&path)), Some(Class::State), "another user");
        }
    }

    #[test]
    fn planted_links_and_pipes_are_never_followed() {
        let top = tempfile::tempdir().unwrap();
        let folder = Folder::open(&top.path().join("f")).unwrap();
        let outside = top.path().join("outside");
        std::fs::write(&outside, "precious").unwrap();
        symlink(&outside, folder.path().join("x")).unwrap();
        assert_eq!(class(folder.read("x")), Some(Class::State));
        folder.replace("x", b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "precious");
        symlink(&outside, folder.path().join("y.lock")).unwrap();
        assert_eq!(class(folder.lock("y", Duration::ZERO)), Some(Class::State));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("z"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(class(folder.read("z")), Some(Class::State));
    }

    #[test]
    fn a_mark_is_there_once_it_was_left_and_follows_nothing() {
        let top = tempfile::tempdir().unwrap();
        let folder = Folder::open(&top.path().join("f")).unwrap();
        folder.mark("x").unwrap();
        folder.mark("x").unwrap();
        assert_eq!(folder.read("x").unwrap(), Some(Vec::new()));
        let outside = top.path().join("outside");
        symlink(&outside, folder.path().join("y")).unwrap();
        assert_eq!(class(folder.mark("y")), Some(Class::State));
        assert!(!outside.exists());
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("z"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(class(folder.mark("z")), Some(Class::State));
    }

    #[test]
    fn a_line_is_added_behind_the_last_whole_one() {
        let top = tempfile::tempdir().unwrap();
        let folder = Folder::open(&top.path().join("f")).unwrap();
        let long = "x".repeat(511);
        for (before, kept) in [
            ("", ""),
            ("unfinished", ""),
            ("a\n", "a\n"),
            ("a\nunfinished", "a\n"),
            ("\n", "\n"),
            (&format!("a\n{long}{long}{long}"), "a\n"),
            (&format!("{long}\n{long}{long}"), &format!("{long}\n")),
            (&format!("{long}{long}"), ""),
        ] {
            folder.replace("x", before.as_bytes()).unwrap();
            folder.append("x", "new", before.is_empty()).unwrap();
            let found = folder.read("x").unwrap().unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), format!("{kept}new\n"));
        }
    }

    #[test]
    fn a_file_that_grew_too_large_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let folder = Folder::open(&top.path().join("f")).unwrap();
        let limit = usize::try_from(limits::STORE_BYTES).unwrap();
        folder.replace("x", &vec![0; limit]).unwrap();
        assert_eq!(folder.read("x").unwrap().map(|bytes| bytes.len()), Some(limit));
        folder.replace("x", &vec![0; limit + 1]).unwrap();
        assert_eq!(class(folder.read("x")), Some(Class::State));
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_is_dropped() {
        let top = tempfile::tempdir().unwrap();
        let folder = Folder::open(&top.path().join("f")).unwrap();
        let held = folder.lock("x", Duration::ZERO).unwrap();
        assert_eq!(class(folder.lock("x", Duration::ZERO)), Some(Class::State));
        folder.lock("y", Duration::ZERO).unwrap();
        drop(held);
        folder.lock("x", Duration::ZERO).unwrap();
    }

    #[test]
    fn the_first_folder_that_can_be_used_is() {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("file"), "").unwrap();
        let folder = Folder::first_of(&[top.path().join("file"), top.path().join("good")]).unwrap();
        assert_eq!(folder.path(), top.path().join("good"));
        assert_eq!(class(Folder::first_of(&[top.path().join("file")])), Some(Class::State));
    }
}
