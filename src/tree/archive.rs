//! Tar archives, entry by entry, framed exactly as the host frames them (Go archive/tar 1.26,
//! `reader.go`).
//!
//! The tar crate decodes the blocks; how they follow one another is decided here, because the crate
//! takes another path in three places (PAX records with newlines, data after links and directories,
//! old sparse files), and a difference between two readers is a place to hide an entry
//! (CVE-2025-62518, `TARmageddon`). What readers disagree on is refused.

use super::entry::shown;
use super::header::{
    EntryData, Extensions, Header, Member, MemberKind, malformed, set_once, until_nul,
};
use super::pax::Records;
use super::sparse::{self, Part, Sparse};
use super::stream::Stream;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use sha2::{Digest as _, Sha256};
use std::io::Read;

const BLOCK: usize = 512;
const BLOCK_U64: u64 = 512;
const ZEROS: [u8; 4096] = [0; 4096];

/// An archive being read.
pub(super) struct Archive<R: Read> {
    stream: Stream<R>,
    /// Bytes of the current entry that are stored and not read yet.
    stored: u64,
    /// Bytes after them, up to the next block.
    padding: u64,
    sparse: Option<Sparse>,
    /// What the current entry says its size is.
    size: u64,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(stream: Stream<R>) -> Self {
        Self { stream, stored: 0, padding: 0, sparse: None, size: 0 }
    }

    /// Moves to the next entry; `None` at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Failure> {
        let mut extensions = Extensions::default();
        loop {
            self.skip(self.stored)?;
            self.skip(self.padding)?;
            self.begin(0);
            let Some(block) = self.header_block()? else {
                return if extensions.any() {
                    Err(malformed("an extension header has no entry"))
                } else {
                    Ok(None)
                };
            };
            let header = Header::parse(block)?;
            match header.letter() {
                b'x' => extensions.set_records(Records::parse(&self.extension(&header)?)?)?,
                b'L' => set_once(&mut extensions.name, until_nul(&self.extension(&header)?)?)?,
                b'K' => set_once(&mut extensions.link, until_nul(&self.extension(&header)?)?)?,
                b'g' => {
                    Records::parse(&self.extension(&header)?)?.check_global()?;
                    if extensions.any() {
                        return Err(malformed("an extension header has no entry"));
                    }
                    return header.member(MemberKind::Global, Extensions::default()).map(Some);
                }
                _ => return self.member(header, extensions).map(Some),
            }
        }
    }

    /// Reads the content of the current entry, holes included, and returns its length and digest.
    pub(super) fn content(&mut self) -> Result<(u64, Digest), Failure> {
        let mut hasher = Sha256::new();
        let parts = match self.sparse.take() {
            None => vec![Part { offset: 0, length: self.size }],
            Some(Sparse::Mapped(parts)) => parts,
            Some(Sparse::InData) => self.map_in_data()?,
        };
        sparse::check(&parts, self.size, self.stored)?;
        let mut position = 0;
        for part in parts {
            self.zeros(part.offset.saturating_sub(position), &mut hasher)?;
            self.data(part.length, |chunk| hasher.update(chunk))?;
            self.stored = self.stored.saturating_sub(part.length);
            position = part.offset.saturating_add(part.length);
        }
        self.zeros(self.size.saturating_sub(position), &mut hasher)?;
        Ok((self.size, Digest::from_bytes(hasher.finalize().into())))
    }

    /// Returns whether the current entry has holes.
    pub(super) fn is_sparse(&self) -> bool {
        self.sparse.is_some()
    }

    /// Reads of the content of the current entry, as it is stored. Zero at its end.
    pub(super) fn read_stored(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let left = usize::try_from(self.stored).unwrap_or(usize::MAX).min(buffer.len());
        if left == 0 {
            return Ok(0);
        }
        let bytes = self.stream.peek()?;
        if bytes.is_empty() {
            return Err(truncated());
        }
        let count = left.min(bytes.len());
        let (to, from) = (buffer.get_mut(..count), bytes.get(..count));
        if let (Some(to), Some(from)) = (to, from) {
            to.copy_from_slice(from);
        }
        self.stream.consume(count);
        self.stored = self.stored.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }

    /// Reads what follows the end of the archive and returns the digest of the whole stream.
    pub(super) fn finish(self) -> Result<Digest, Failure> {
        self.stream.finish()
    }

    fn member(&mut self, header: Header, extensions: Extensions) -> Result<Member, Failure> {
        let kind = header.kind(&extensions)?;
        let EntryData { stored, logical, sparse } = header.body(&extensions)?;
        if kind == MemberKind::File {
            self.begin(stored);
            (self.size, self.sparse) = (logical, sparse);
        } else if stored != 0 || sparse.is_some() {
            // The host ends the whole unpacking here, without an error; other readers skip the
            // data, or read it as headers.
            return Err(malformed(&format!(
                "`{}` is not a file but has data",
                shown(&header.name)
            )));
        }
        header.member(kind, extensions)
    }

    fn begin(&mut self, stored: u64) {
        self.stored = stored;
        self.size = stored;
        self.padding = (BLOCK_U64 - stored % BLOCK_U64) % BLOCK_U64;
    }

    /// Returns the next header; `None` at the end: no bytes, or zeros.
    fn header_block(&mut self) -> Result<Option<tar::Header>, Failure> {
        let mut header = tar::Header::new_old();
        if !self.block(header.as_mut_bytes())? {
            return Ok(None);
        }
        if header.as_bytes().iter().any(|byte| *byte != 0) {
            return Ok(Some(header));
        }
        if self.block(header.as_mut_bytes())? && header.as_bytes().iter().any(|byte| *byte != 0) {
            return Err(malformed("an entry follows a block of zeros"));
        }
        Ok(None)
    }

    /// Fills a block; `false` where the stream has ended before it.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, Failure> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let bytes = self.stream.peek()?;
            if bytes.is_empty() {
                return if filled == 0 { Ok(false) } else { Err(truncated()) };
            }
            let count = rest.iter_mut().zip(bytes).map(|(to, from)| *to = *from).count();
            self.stream.consume(count);
            filled += count;
        }
        Ok(true)
    }

    /// Passes on exactly `count` bytes of the stream.
    fn data(&mut self, mut count: u64, mut take: impl FnMut(&[u8])) -> Result<(), Failure> {
        while count > 0 {
            let bytes = self.stream.peek()?;
            if bytes.is_empty() {
                return Err(truncated());
            }
            let length = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
            take(bytes.get(..length).unwrap_or_default());
            self.stream.consume(length);
            count = count.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn skip(&mut self, count: u64) -> Result<(), Failure> {
        self.data(count, |_| {})
    }

    fn zeros(&mut self, mut count: u64, hasher: &mut Sha256) -> Result<(), Failure> {
        self.stream.expand(count)?;
        while count > 0 {
            let length = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
            hasher.update(ZEROS.get(..length).unwrap_or_default());
            count = count.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    /// Reads the data of an extension header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, Failure> {
        if header.size > limits::TAR_EXTENSION_BYTES {
            return Err(Failure::new(
                Class::Limit,
                format!(
                    "an extension header has {} bytes; the most is {}",
                    header.size,
                    limits::TAR_EXTENSION_BYTES
                ),
            ));
        }
        self.begin(header.size);
        let mut data = Vec::new();
        self.data(header.size, |chunk| data.extend_from_slice(chunk))?;
        self.stored = 0;
        Ok(data)
    }

    /// Reads the map of a sparse file of format 1.0, in whole blocks, from the data of the entry.
    fn map_in_data(&mut self) -> Result<Vec<Part>, Failure> {
        let mut text = Vec::new();
        let mut newlines = 0;
        loop {
            if self.stored < BLOCK_U64
                || u64::try_from(text.len())
                    .is_ok_and(|length| length >= limits::TAR_EXTENSION_BYTES)
            {
                return Err(malformed("the map of a sparse file does not end"));
            }
            let mut block = [0; BLOCK];
            if !self.block(&mut block)? {
                return Err(truncated());
            }
            self.stored -= BLOCK_U64;
            newlines += block.split(|byte| *byte == b'\n').count() - 1;
            text.extend_from_slice(&block);
            if let Some(lines) = sparse::lines_in_data(&text)?.filter(|lines| newlines >= *lines) {
                return sparse::map_in_data(&text, lines);
            }
        }
    }
}

fn truncated() -> Failure {
    malformed("it ends in the middle of an entry")
}
