//! One file out of an archive, read while the archive goes by: nothing of it is kept but what the
//! reader keeps.
//!
//! The host unpacks an image and then opens this file. So that nobody can mean two things by it, it
//! may occur once, as a plain file, and no whiteout may be beside it.

use super::archive::Archive;
use super::entry::shown;
use super::header::{MemberKind, malformed};
use super::layer::{Limits, clean, is_whiteout_of};
use super::stream::Stream;
use crate::class::Failure;
use crate::name::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// What was read of a file, and the digest of all of it.
#[derive(Debug)]
pub struct Single<T> {
    /// What the reader made of it.
    pub value: T,
    /// The digest of the file.
    pub digest: Digest,
}

/// Hands the file `name` at the top of an archive (uncompressed, gzip or zstd) to `read`. `None`
/// where the archive has no such file.
///
/// # Errors
/// `malformed`: no archive, or the name occurs twice or is not a plain file. `limit`: more than
/// `limits` allow. Those of `read`, and of the reader.
pub fn read_single<T>(
    reader: impl Read,
    limits: Limits,
    name: &str,
    read: impl FnOnce(&mut dyn Read) -> Result<T, Failure>,
) -> Result<Option<Single<T>>, Failure> {
    let mut archive = Archive::new(Stream::new(reader, limits)?);
    let mut found = None;
    let mut read = Some(read);
    let mut entries = 0_usize;
    while let Some(member) = archive.next()? {
        entries += 1;
        if entries > limits.entries {
            return Err(super::layer::too_many_entries());
        }
        let (_, path) = clean(&member.name)?;
        if is_whiteout_of(&path, name.as_bytes()) {
            return Err(malformed(&format!("`{}` removes `{name}`", shown(&member.name))));
        }
        if path != name.as_bytes() {
            continue;
        }
        let Some(read) = read.take() else {
            return Err(malformed(&format!("`{name}` occurs twice")));
        };
        if member.kind != MemberKind::File || archive.is_sparse() {
            return Err(malformed(&format!("`{name}` is not a plain file")));
        }
        let mut content = Content { archive: &mut archive, hasher: Sha256::new() };
        let value = read(&mut content)?;
        // What is left of it belongs to its digest.
        io::copy(&mut content, &mut io::sink()).map_err(failure_of)?;
        let digest = Digest::from_bytes(content.hasher.finalize().into());
        found = Some(Single { value, digest });
    }
    archive.finish()?;
    Ok(found)
}

/// Returns the failure that an error of such a reader stands for.
#[must_use]
pub fn failure_of(error: io::Error) -> Failure {
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>()).cloned();
    told.unwrap_or_else(|| malformed(&error.to_string()))
}

/// The content of the current entry.
struct Content<'a, R: Read> {
    archive: &'a mut Archive<R>,
    hasher: Sha256,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.archive.read_stored(buffer).map_err(io::Error::other)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(u64::try_from(content.len()).unwrap());
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn read(bytes: &[u8], name: &str) -> Result<Option<Single<Vec<u8>>>, Failure> {
        read_single(bytes, Limits::default(), name, |content| {
            let mut all = Vec::new();
            content.read_to_end(&mut all).map_err(failure_of)?;
            Ok(all)
        })
    }

    #[test]
    fn a_file_is_found_wherever_it_stands() {
        let long = vec![b'x'; 300_000];
        let bytes = archive(&[("a", b"1"), ("b", &long), ("c", b"3")]);
        for (name, content) in [("a", b"1".as_slice()), ("b", &long), ("c", b"3")] {
            let found = read(&bytes, name).unwrap().unwrap();
            assert_eq!((found.value.as_slice(), found.digest), (content, Digest::of(content)));
        }
        assert!(read(&bytes, "d").unwrap().is_none());
        assert!(read(&archive(&[("d/a", b"1")]), "a").unwrap().is_none());
    }

    #[test]
    fn what_a_reader_leaves_still_counts_for_the_digest() {
        let bytes = archive(&[("a", b"12345"), ("b", b"6")]);
        let found = read_single(bytes.as_slice(), Limits::default(), "a", |_| Ok(())).unwrap();
        assert_eq!(found.unwrap().digest, Digest::of(b"12345"));
    }

    #[test]
    fn a_file_with_two_meanings_is_refused() {
        let link = {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, "a", "b").unwrap();
            builder.into_inner().unwrap()
        };
        for bytes in [
            archive(&[("a", b"1"), ("./a", b"2")]),
            archive(&[("a", b"1"), (".wh.a", b"")]),
            archive(&[(".wh..wh..opq", b""), ("a", b"1")]),
            link,
        ] {
            let found = read(&bytes, "a").map(|_| ());
            assert_eq!(found.map_err(|failure| failure.class()), Err(Class::Malformed));
        }
    }

    #[test]
    fn an_archive_within_an_archive_is_read_on_the_way() {
        let inner = archive(&[("x", b"0"), ("repository.meta.yaml", b"index: []\n")]);
        let outer = archive(&[("repository.meta.yaml.tar", &inner)]);
        let found =
            read_single(outer.as_slice(), Limits::default(), "repository.meta.yaml.tar", |inner| {
                read_single(inner, Limits::default(), "repository.meta.yaml", |content| {
                    let mut text = String::new();
                    content.read_to_string(&mut text).map_err(failure_of)?;
                    Ok(text)
                })
            });
        let found = found.unwrap().unwrap();
        assert_eq!(found.digest, Digest::of(&inner));
        assert_eq!(found.value.unwrap().value, "index: []\n");
    }
}
