//! What is not whole yet: `NAME.part` beside the archive. It is nobody's but ours, only one process
//! writes it, and nothing in it is believed: all of it is hashed again.

use super::plan::{PlannedBody, PlannedFile};
use crate::class::{Class, Failure};
use crate::limits;
use crate::registry::Client;
use rustix::fs::{FlockOperation, Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Returns the name of what is not whole yet.
pub(super) fn path(of: &Path) -> PathBuf {
    let mut name = of.file_name().map(OsString::from).unwrap_or_default();
    name.push(".part");
    of.with_file_name(name)
}

pub(super) fn state(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(Class::State, format!("`{}` {what}", path.display()))
        .hint("choose another path, or remove what is there")
}

pub(super) fn unwritten(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| {
        Failure::new(Class::State, format!("`{}` could not be written: {error}", path.display()))
            .hint("free some space, or choose another place")
    }
}

/// Opens or makes the file, for us alone.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    loop {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|error| unwritten(path)(error.into()))?;
        let found = file.metadata().map_err(unwritten(path))?;
        if !found.is_file() || found.uid() != own() || found.nlink() != 1 {
            return Err(state(path, "is not a file that only this user can write"));
        }
        lock(path, &file)?;
        // The one that held the lock before may have given the file its name.
        match path.symlink_metadata() {
            Ok(now) if (now.dev(), now.ino()) == (found.dev(), found.ino()) => return Ok(file),
            _ => continue,
        }
    }
}

pub(super) fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub(super) fn lock(path: &Path, file: &File) -> Result<(), Failure> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(state(path, "is being written by another process").hint("wait for it"))
        }
        Err(error) => Err(unwritten(path)(error.into())),
    }
}

pub(super) fn discard_file(path: &Path) {
    if let Ok(found) = path.symlink_metadata()
        && found.is_file()
        && found.uid() == own()
        && File::open(path).is_ok_and(|file| lock(path, &file).is_ok())
    {
        let _ = std::fs::remove_file(path);
    }
}

pub(super) fn discard_folder(path: &Path) {
    if let Ok(found) = path.symlink_metadata()
        && found.is_dir()
        && found.uid() == own()
        && File::open(path).is_ok_and(|folder| lock(path, &folder).is_ok())
    {
        let _ = std::fs::remove_dir_all(path);
    }
}

/// Bytes of a file that is being written, from `start` on: what of an entry is there.
pub(super) struct Piece<'a> {
    pub(super) path: &'a Path,
    pub(super) file: &'a mut File,
    pub(super) start: u64,
    /// How many bytes of the entry may be there already.
    pub(super) there: u64,
}

impl Piece<'_> {
    /// Writes an entry, or what of it is missing. What is there and is not what it should be is
    /// dropped, with all that follows.
    pub(super) async fn write(
        mut self,
        client: &Client,
        entry: &PlannedFile,
        progress: &dyn Fn(u64),
    ) -> Result<(), Failure> {
        match &entry.body {
            PlannedBody::Held(bytes) => self.hold(bytes),
            PlannedBody::Fetched { repository, digest } => {
                let (mut hash, mut seen) = self.hash(self.there.min(entry.size), progress)?;
                if seen == entry.size {
                    if hash.clone().finalize().as_slice() == digest.bytes() {
                        return Ok(());
                    }
                    self.cut(0)?;
                    (hash, seen) = (Sha256::new(), 0);
                }
                let resumed = seen > 0;
                let fetched = self.fetch(client, entry, hash, seen, progress).await;
                match fetched {
                    // What was there was something else.
                    Err(failure) if resumed && failure.class() == Class::Digest => {
                        self.cut(0)?;
                        self.fetch(client, entry, Sha256::new(), 0, progress).await
                    }
                    fetched => fetched,
                }
                .map_err(|failure| failure.within(format!("`{repository}`")))
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut found = vec![0; bytes.len()];
        let is_there = self.there >= u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.file.seek(SeekFrom::Start(self.start)).map_err(unwritten(self.path))?;
        if is_there && self.file.read_exact(&mut found).is_ok() && found == bytes {
            return Ok(());
        }
        self.cut(0)?;
        self.file.write_all(bytes).map_err(unwritten(self.path))
    }

    async fn fetch(
        &mut self,
        client: &Client,
        entry: &PlannedFile,
        hash: Sha256,
        seen: u64,
        progress: &dyn Fn(u64),
    ) -> Result<(), Failure> {
        let PlannedBody::Fetched { repository, digest } = &entry.body else { return Ok(()) };
        self.cut(seen)?;
        let opened = client.blob_rest(repository, digest, entry.size, seen, hash).await;
        let mut stream = match opened {
            // Not every registry gives a part.
            Err(_) if seen > 0 => {
                self.cut(0)?;
                client.blob_stream(repository, digest, entry.size).await?
            }
            opened => opened?,
        };
        while let Some(piece) = stream.next().await? {
            self.file.write_all(&piece).map_err(unwritten(self.path))?;
            progress(u64::try_from(piece.len()).unwrap_or_default());
        }
        Ok(())
    }

    /// Ends the file behind the first `bytes` of this entry.
    fn cut(&mut self, bytes: u64) -> Result<(), Failure> {
        let end = self.start.saturating_add(bytes);
        self.file.set_len(end).map_err(unwritten(self.path))?;
        self.file.seek(SeekFrom::Start(end)).map(drop).map_err(unwritten(self.path))
    }

    /// Hashes what is there of the entry.
    fn hash(&mut self, bytes: u64, progress: &dyn Fn(u64)) -> Result<(Sha256, u64), Failure> {
        self.file.seek(SeekFrom::Start(self.start)).map_err(unwritten(self.path))?;
        let (mut hash, mut seen) = (Sha256::new(), 0);
        let mut buffer = vec![0; limits::FILE_CHUNK_BYTES];
        while seen < bytes {
            let count = self.file.read(&mut buffer).map_err(unwritten(self.path))?;
            let left = usize::try_from(bytes - seen).unwrap_or(usize::MAX);
            let piece = buffer.get(..count.min(left)).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            hash.update(piece);
            let read = u64::try_from(piece.len()).unwrap_or_default();
            progress(read);
            seen = seen.saturating_add(read);
        }
        Ok((hash, seen))
    }
}
