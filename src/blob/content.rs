//! The file itself: read once, from its beginning to its end, in flat memory.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::FileDigest;
use crate::trust::{Hasher, Message, Needs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// What a signature is to be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSubject {
    /// A file; `-` is standard input.
    File(PathBuf),
    /// A file of which only the digest is at hand.
    Digest(FileDigest),
    /// A file that was read already.
    Read(Vec<u8>),
}

/// Is told how many bytes were read since it was last told.
pub type ReadProgress<'a> = dyn Fn(u64) + Sync + 'a;

impl FromStr for FileSubject {
    type Err = Failure;

    /// Takes `sha256:HEX`, `sha384:HEX` or `sha512:HEX` where no file is called that, else a path.
    ///
    /// # Errors
    /// `malformed`: a digest that is not whole. `unsupported`: a digest by another algorithm.
    fn from_str(text: &str) -> Result<Self, Failure> {
        if FileDigest::is_meant(text) && !Path::new(text).exists() {
            text.parse().map(Self::Digest)
        } else {
            Ok(Self::File(PathBuf::from(text)))
        }
    }
}

impl FileSubject {
    /// Reads a file that has to be held whole.
    ///
    /// # Errors
    /// `not-found`: there is none. `limit`: it is longer than `cap` bytes. `state`: it cannot be
    /// read, or nothing comes for as long as `patience`.
    pub fn whole(path: &Path, cap: u64, patience: Duration) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        Source::open(path, patience)?
            .take(cap + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unread(path, &error))?;
        if u64::try_from(bytes.len()).map_or(true, |length| length > cap) {
            return Err(Failure::new(
                Class::Limit,
                format!("{} is larger than {cap} bytes", shown(path)),
            ));
        }
        Ok(bytes)
    }

    /// Reads it, for what a key needs. A pipe may be slow, but not silent for longer than
    /// `patience`.
    ///
    /// # Errors
    /// `not-found`: there is none, or it is not a file. `state`: it cannot be read.
    pub(super) fn read(
        &self,
        needs: Needs,
        progress: &ReadProgress<'_>,
        patience: Duration,
    ) -> Result<Message, Failure> {
        match self {
            Self::Digest(digest) => Ok((*digest).into()),
            Self::File(path) => read(Source::open(path, patience)?, path, needs, progress),
            Self::Read(bytes) => {
                let mut hasher = Hasher::new(needs);
                hasher.update(bytes);
                Ok(hasher.finish())
            }
        }
    }

    /// Returns it as something that can be read from its beginning as often as it takes: a file
    /// stays what it is, a pipe is read into memory.
    ///
    /// # Errors
    /// As [`Self::whole`], with [`limits::PIPED_FILE_BYTES`].
    pub(super) fn rewindable(&self, patience: Duration) -> Result<Cow<'_, Self>, Failure> {
        match self {
            Self::File(path) if !Source::open(path, patience)?.has_beginning() => {
                let bytes = Self::whole(path, limits::PIPED_FILE_BYTES, patience).map_err(
                    |failure| match failure.class() {
                        Class::Limit => failure.hint(
                            "a key of type Ed25519 reads it more than once: write it into a file, and name that",
                        ),
                        _ => failure,
                    },
                )?;
                Ok(Cow::Owned(Self::Read(bytes)))
            }
            _ => Ok(Cow::Borrowed(self)),
        }
    }

    /// Hands on every piece of it, from its beginning.
    ///
    /// # Errors
    /// As [`Self::read`]; `usage`: only a digest is at hand.
    pub(super) fn each(
        &self,
        take: &mut dyn FnMut(&[u8]),
        progress: &ReadProgress<'_>,
        patience: Duration,
    ) -> Result<(), Failure> {
        match self {
            Self::Digest(_) => Err(Failure::new(
                Class::Usage,
                "only a digest is at hand, and what is signed is a file",
            )
            .hint("name the file itself")),
            Self::File(path) => pieces(Source::open(path, patience)?, path, &mut |piece| {
                take(piece);
                progress(u64::try_from(piece.len()).unwrap_or_default());
            }),
            Self::Read(bytes) => {
                take(bytes);
                Ok(())
            }
        }
    }
}

/// Reads a file that a list names, for what is needed of it.
pub(super) fn read_plain(
    path: &Path,
    needs: Needs,
    progress: &ReadProgress<'_>,
) -> Result<Message, Failure> {
    read(Source::open_plain(path)?, path, needs, progress)
}

fn read(
    file: Source,
    path: &Path,
    needs: Needs,
    progress: &ReadProgress<'_>,
) -> Result<Message, Failure> {
    let mut hasher = Hasher::new(needs);
    pieces(file, path, &mut |piece| {
        hasher.update(piece);
        progress(u64::try_from(piece.len()).unwrap_or_default());
    })?;
    Ok(hasher.finish())
}

fn pieces(mut file: Source, path: &Path, take: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
    let mut piece = vec![0; limits::FILE_CHUNK_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => take(piece.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(path, &error)),
        }
    }
}

/// An open file, or a pipe from which something has to come now and then.
#[derive(Debug)]
struct Source {
    file: File,
    /// How long nothing may come; none where the end is known.
    patience: Option<Duration>,
    /// Standard input, which is at whatever place someone left it.
    given: bool,
}

impl Source {
    /// Opens what the user named: a file, a pipe, a disk.
    fn open(path: &Path, patience: Duration) -> Result<Self, Failure> {
        let (file, found) = open(path)?;
        let kind = found.file_type();
        // Standard input is whatever the user made it.
        if kind.is_char_device() && path != Path::new("-") {
            return Err(Failure::new(
                Class::NotFound,
                format!("{} is a device, which may have no end", shown(path)),
            )
            .hint("name the file, or `-` and pipe it in"));
        }
        let given = path == Path::new("-");
        Ok(Self { file, patience: (!kind.is_file()).then_some(patience), given })
    }

    /// Whether it can be read again from its beginning, by opening it once more.
    fn has_beginning(&self) -> bool {
        self.patience.is_none() && !self.given
    }

    /// Opens a file that a list names, which is a plain file or nothing: a list could name a pipe
    /// or a device, and reading those would never end.
    fn open_plain(path: &Path) -> Result<Self, Failure> {
        let (file, found) = open(path)?;
        if !found.is_file() {
            return Err(Failure::new(
                Class::NotFound,
                format!("{} is not a plain file", shown(path)),
            )
            .hint("download the file that the list names"));
        }
        Ok(Self { file, patience: None, given: false })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(patience) = self.patience {
            let limit =
                Timespec::try_from(patience).map_err(|_| std::io::ErrorKind::InvalidInput)?;
            if poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&limit))? == 0 {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    format!("nothing came for {} s", patience.as_secs()),
                ));
            }
        }
        match self.file.read(buffer) {
            // Someone else read what was there: it is waited for again.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Err(std::io::ErrorKind::Interrupted.into())
            }
            read => read,
        }
    }
}

fn open(path: &Path) -> Result<(File, Metadata), Failure> {
    // O_NONBLOCK: opening a pipe must not wait for those who write.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = if path == Path::new("-") {
        rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 0)
    } else {
        rustix::fs::open(path, flags, Mode::empty())
    };
    let file = opened.map(File::from).map_err(|error| unread(path, &error.into()))?;
    let found = file.metadata().map_err(|error| unread(path, &error))?;
    if found.is_dir() {
        return Err(Failure::new(Class::NotFound, format!("{} is a directory", shown(path)))
            .hint("name the file in it"));
    }
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
    Ok((file, found))
}

/// Someone may name a URL where a file is wanted.
fn shown(path: &Path) -> String {
    super::sources::shown(&path.display().to_string())
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(Class::NotFound, format!("there is no file {}", shown(path)))
                .hint("check its name")
        }
        _ => Failure::new(Class::State, format!("{} cannot be read: {error}", shown(path)))
            .hint("check its permissions, and the disk"),
    }
}
