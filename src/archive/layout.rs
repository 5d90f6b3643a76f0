//! Reading an archive: files by their names, wherever they lie.
//!
//! A tar archive is read in the one form that is written here: plain files, each name once, no
//! extension, and zeros at the end. Links, long names and a second file of one name are where two
//! readers see two archives.

use super::ArchivePlace;
use super::file::BLOCK;
use super::plan::{BLOBS, DOCKER, INDEX, LAYOUT, blob_name};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// An archive that is there.
#[derive(Debug)]
pub struct Layout {
    place: ArchivePlace,
    /// Of one file: where each file in it lies, and its length. Of a directory: its length.
    files: BTreeMap<String, Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u64,
    length: u64,
}

pub(super) fn malformed(what: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Malformed, what)
}

impl Layout {
    /// Opens an archive, and lists what is in it.
    ///
    /// # Errors
    /// `not-found`: there is none. `malformed`: it can be read in two ways, or has what no image
    /// needs. `limit`: too many files. `state`: it cannot be read.
    pub fn open(place: &ArchivePlace) -> Result<Self, Failure> {
        let within = |failure: Failure| failure.within(format!("`{}`", place.path().display()));
        let files = match place {
            ArchivePlace::File(path) => members(path),
            ArchivePlace::Folder(path) => listed(path),
        };
        let layout = Self { place: place.clone(), files: files.map_err(within)? };
        let is_known = |name: &str| match name {
            LAYOUT | INDEX => true,
            DOCKER => layout.is_file(),
            name => digest_of(name).is_some(),
        };
        let strange = layout.files.keys().find(|name| !is_known(name));
        match strange {
            Some(name) => {
                Err(within(malformed(format!("has `{name}`, which is not part of an image"))))
            }
            None => Ok(layout),
        }
    }

    /// Returns whether it is one file, which docker reads as well.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.place, ArchivePlace::File(_))
    }

    /// Returns the digests of all blobs.
    pub(super) fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.files.keys().filter_map(|name| digest_of(name))
    }

    /// Reads a document, of at most `cap` bytes.
    pub(super) fn document(&self, name: &str, cap: u64) -> Result<Vec<u8>, Failure> {
        let span = self.span(name)?;
        if span.length > cap {
            let what = format!("`{name}` has {} bytes; at most {cap} are read", span.length);
            return Err(Failure::new(Class::Limit, what));
        }
        let mut bytes = Vec::new();
        self.reader(name, span)?.read_to_end(&mut bytes).map_err(|error| unread(name, &error))?;
        if u64::try_from(bytes.len()) != Ok(span.length) {
            return Err(Failure::new(Class::Digest, format!("`{name}` was cut")));
        }
        Ok(bytes)
    }

    /// Reads a blob of at most `cap` bytes, whose digest is what its name says.
    ///
    /// # Errors
    /// `digest`: it is something else, or not there. `limit`: it is too large.
    pub fn blob(&self, digest: &Digest, cap: u64) -> Result<Vec<u8>, Failure> {
        let bytes = self.document(&blob_name(digest), cap)?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(other(digest)) }
    }

    /// Reads a blob to its last byte, and holds it against its digest and size.
    ///
    /// # Errors
    /// `digest`: it is something else, or not there.
    pub(super) fn check_blob(
        &self,
        digest: &Digest,
        size: u64,
        progress: &dyn Fn(u64),
    ) -> Result<(), Failure> {
        let name = blob_name(digest);
        let span = self.span(&name)?;
        if span.length != size {
            let what = format!("`{digest}` has {} bytes; expected {size}", span.length);
            return Err(Failure::new(Class::Digest, what));
        }
        let mut reader = self.reader(&name, span)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; limits::FILE_CHUNK_BYTES];
        loop {
            let count = reader.read(&mut buffer).map_err(|error| unread(&name, &error))?;
            let piece = buffer.get(..count).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            hash.update(piece);
            progress(u64::try_from(count).unwrap_or_default());
        }
        if hash.finalize().as_slice() == digest.bytes() { Ok(()) } else { Err(other(digest)) }
    }

    fn span(&self, name: &str) -> Result<Span, Failure> {
        self.files.get(name).copied().ok_or_else(|| {
            let class = if name.starts_with(BLOBS) { Class::Digest } else { Class::Malformed };
            Failure::new(class, format!("`{}` has no `{name}`", self.place.path().display()))
                .hint("the archive is not whole: fetch it again")
        })
    }

    fn reader(&self, name: &str, span: Span) -> Result<impl Read + use<>, Failure> {
        let path = match &self.place {
            ArchivePlace::File(path) => path.clone(),
            ArchivePlace::Folder(path) => path.join(name),
        };
        let mut file = open(&path)?;
        file.seek(SeekFrom::Start(span.start)).map_err(|error| unread(name, &error))?;
        // One byte more of a directory's file shows that it grew.
        let more = u64::from(!self.is_file());
        Ok(file.take(span.length.saturating_add(more)))
    }
}

fn other(digest: &Digest) -> Failure {
    Failure::new(Class::Digest, format!("the content of `{digest}` has another digest"))
        .hint("the archive was changed: fetch it again")
}

fn unread(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(Class::State, format!("`{name}` could not be read: {error}"))
}

/// Returns the digest that a file is named after: `blobs/sha256/HEX`.
fn digest_of(name: &str) -> Option<Digest> {
    let digest: Digest = format!("sha256:{}", name.strip_prefix(BLOBS)?).parse().ok()?;
    (blob_name(&digest) == name).then_some(digest)
}

fn open(path: &Path) -> Result<File, Failure> {
    let failed =
        |class: Class, what: String| Failure::new(class, format!("`{}` {what}", path.display()));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => {
            return Err(failed(Class::NotFound, "does not exist".to_owned()));
        }
        Err(error) => return Err(failed(Class::State, format!("could not be opened: {error}"))),
    };
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(file),
        _ => Err(failed(Class::Malformed, "is not a plain file".to_owned())),
    }
}

/// Lists the files of a directory. A link may lead anywhere tomorrow, so there is none.
fn listed(top: &Path) -> Result<BTreeMap<String, Span>, Failure> {
    let mut files = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(top.join(&folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Failure::new(Class::NotFound, "there is no such directory"));
            }
            Err(error) => return Err(unread(&folder.display().to_string(), &error)),
        };
        for entry in entries {
            let name =
                folder.join(entry.map_err(|error| unread("a directory", &error))?.file_name());
            let text =
                name.to_str().ok_or_else(|| malformed("a name in it is not UTF-8"))?.to_owned();
            let found =
                top.join(&name).symlink_metadata().map_err(|error| unread(&text, &error))?;
            if files.len() + folders.len() >= limits::ARCHIVE_FILES {
                return Err(too_many());
            }
            if found.is_dir() && ["blobs", "blobs/sha256"].contains(&text.as_str()) {
                folders.push(name);
            } else if found.is_file() {
                files.insert(text, Span { start: 0, length: found.size() });
            } else {
                return Err(malformed(format!("`{text}` is not a plain file")));
            }
        }
    }
    Ok(files)
}

fn too_many() -> Failure {
    Failure::new(Class::Limit, format!("more than {} files", limits::ARCHIVE_FILES))
}

/// Lists the files of a tar archive.
fn members(path: &Path) -> Result<BTreeMap<String, Span>, Failure> {
    let file = open(path)?;
    let length = file.metadata().map_err(|error| unread("the archive", &error))?.len();
    let mut reader = BufReader::new(file);
    let mut files = BTreeMap::new();
    let mut at = 0_u64;
    loop {
        let mut header = tar::Header::new_old();
        reader
            .read_exact(header.as_mut_bytes())
            .map_err(|_| malformed("the archive ends without its end"))?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            break;
        }
        let (name, size) = member(&header)?;
        let start = at.saturating_add(BLOCK);
        let padded = size.checked_add(BLOCK - 1).ok_or_else(|| malformed("a size is too large"))?
            / BLOCK
            * BLOCK;
        at = start.saturating_add(padded);
        if at > length {
            return Err(malformed(format!("`{name}` is longer than the archive")));
        }
        if files.len() >= limits::ARCHIVE_FILES {
            return Err(too_many());
        }
        if files.insert(name.clone(), Span { start, length: size }).is_some() {
            return Err(malformed(format!("`{name}` is there twice")));
        }
        reader.seek(SeekFrom::Start(at)).map_err(|error| unread(&name, &error))?;
    }
    // Some readers go on behind the end.
    let mut rest = Vec::new();
    let most = limits::ARCHIVE_END_BYTES;
    reader.take(most + 1).read_to_end(&mut rest).map_err(|error| unread("the end", &error))?;
    if rest.iter().any(|byte| *byte != 0) || u64::try_from(rest.len()).unwrap_or(u64::MAX) > most {
        return Err(malformed("there is data after the end of the archive"));
    }
    Ok(files)
}

/// Reads a header: of a plain file with a short name, and nothing else.
fn member(header: &tar::Header) -> Result<(String, u64), Failure> {
    let bad = |_| malformed("a header of the archive cannot be read");
    let summed = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum::<u32>();
    if header.cksum().map_err(bad)? != summed {
        return Err(malformed("a header of the archive has a wrong checksum"));
    }
    let name = header.path_bytes();
    let name = std::str::from_utf8(&name).map_err(|_| malformed("a name in it is not UTF-8"))?;
    let ustar = header.as_ustar().ok_or_else(|| {
        malformed("it is in another form of tar than `pull` writes")
            .hint("verify what `luet-cosign pull` wrote, or copy it into oci:DIR")
    })?;
    if header.entry_type() != tar::EntryType::Regular || ustar.prefix.iter().any(|byte| *byte != 0)
    {
        return Err(malformed(format!("`{name}` is not a plain file with a short name")));
    }
    Ok((name.to_owned(), header.entry_size().map_err(bad)?))
}
