//! The file itself: read once, from its beginning to its end, in flat memory.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::FileDigest;
use crate::trust::{Hasher, Message, Needs};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a signature is to be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A file; `-` is standard input.
    File(PathBuf),
    /// A file of which only the digest is at hand.
    Digest(FileDigest),
    /// A file that was read already.
    Read(Vec<u8>),
}

/// Is told how many bytes were read since it was last told.
pub type Progress<'a> = dyn Fn(u64) + Sync + 'a;

impl FromStr for Subject {
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

impl Subject {
    /// Reads a file that has to be held whole.
    ///
    /// # Errors
    /// `not-found`: there is none. `limit`: it is longer than `cap` bytes.
    pub fn whole(path: &Path, cap: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        open(path)?.take(cap + 1).read_to_end(&mut bytes).map_err(|error| unread(path, &error))?;
        if u64::try_from(bytes.len()).map_or(true, |length| length > cap) {
            return Err(Failure::new(
                Class::Limit,
                format!("`{}` is larger than {cap} bytes", path.display()),
            ));
        }
        Ok(bytes)
    }

    /// Reads it, for what a key needs.
    ///
    /// # Errors
    /// `not-found`: there is none, or it is no file. `state`: it cannot be read.
    pub(super) fn read(&self, needs: Needs, progress: &Progress<'_>) -> Result<Message, Failure> {
        match self {
            Self::Digest(digest) => Ok((*digest).into()),
            Self::File(path) => read(path, needs, progress),
            Self::Read(bytes) => {
                let mut hasher = Hasher::new(needs);
                hasher.update(bytes);
                Ok(hasher.finish())
            }
        }
    }
}

/// Reads a file for what is needed of it.
pub(super) fn read(path: &Path, needs: Needs, progress: &Progress<'_>) -> Result<Message, Failure> {
    let mut file = open(path)?;
    let mut hasher = Hasher::new(needs);
    let mut piece = vec![0; limits::FILE_CHUNK_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => {
                hasher.update(piece.get(..length).unwrap_or_default());
                progress(u64::try_from(length).unwrap_or_default());
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(path, &error)),
        }
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let path = if path == Path::new("-") { Path::new("/dev/stdin") } else { path };
    let file = File::open(path).map_err(|error| unread(path, &error))?;
    if file.metadata().is_ok_and(|found| found.is_dir()) {
        return Err(Failure::new(Class::NotFound, format!("`{}` is a folder", path.display()))
            .hint("name the file in it"));
    }
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
    Ok(file)
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(Class::NotFound, format!("there is no file `{}`", path.display()))
                .hint("check its name")
        }
        _ => Failure::new(Class::State, format!("`{}` cannot be read: {error}", path.display()))
            .hint("check its permissions, and the disk"),
    }
}
