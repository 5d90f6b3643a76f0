//! Tar archives, entry by entry, framed exactly as the host frames them (Go archive/tar 1.26, `reader.go`).
//!
//! The tar crate decodes the blocks; how they follow one another is decided here, because the crate takes another path in
//! three places (PAX records with newlines, data after links and directories, old sparse files), and a difference between
//! two readers is a place to hide an entry (CVE-2025-62518, "TARmageddon"). What readers disagree on is refused.

use super::entry::{Xattr, shown};
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
/// The largest size that a header can hold in octal digits; larger ones need a PAX record beside a zero.
const OCTAL_MAX: u64 = 0o777_7777_7777;
const ZEROS: [u8; 4096] = [0; 4096];

/// One entry as the archive describes it.
pub(super) struct Member {
    /// Its name, as written.
    pub(super) name: Vec<u8>,
    /// The target of a link, as written.
    pub(super) link: Vec<u8>,
    pub(super) kind: MemberKind,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) xattrs: Vec<Xattr>,
}

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberKind {
    Directory,
    /// A regular file; its content is to be read with [`Archive::content`].
    File,
    Symlink,
    HardLink,
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// A global PAX header: no entry, but the host takes note of its name.
    Global,
}

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

/// What one block says, before any extension.
struct Header {
    block: tar::Header,
    name: Vec<u8>,
    link: Vec<u8>,
    size: u64,
}

/// What extension headers said about the entry that follows.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Option<Records>,
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
                return if extensions.any() { Err(malformed("an extension header has no entry")) } else { Ok(None) };
            };
            let header = Header::parse(block)?;
            // Not `entry_type`, which takes the zero of old archives for a plain `0`.
            match header.block.as_old().linkflag[0] {
                b'x' => extensions.set_records(Records::parse(&self.extension(&header)?)?)?,
                b'L' => set_once(&mut extensions.name, until_nul(self.extension(&header)?)?)?,
                b'K' => set_once(&mut extensions.link, until_nul(self.extension(&header)?)?)?,
                b'g' => {
                    Records::parse(&self.extension(&header)?)?.check_global()?;
                    if extensions.any() {
                        return Err(malformed("an extension header has no entry"));
                    }
                    return header.member(MemberKind::Global, Extensions::default()).map(Some);
                }
                letter => return self.member(letter, header, extensions).map(Some),
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

    /// Reads what follows the end of the archive and returns the digest of the whole stream.
    pub(super) fn finish(self) -> Result<Digest, Failure> {
        self.stream.finish()
    }

    fn member(&mut self, letter: u8, header: Header, extensions: Extensions) -> Result<Member, Failure> {
        let mut size = header.size;
        if let Some(records) = &extensions.records {
            size = pax_size(size, records.number("size")?).map_err(|failure| failure.within(format!("`{}`", shown(&header.name))))?;
            self.sparse = sparse::sparse(records)?;
        }
        let letter = match (letter, header.full_name(&extensions)?.ends_with(b"/")) {
            (0, true) => b'5',
            (0, false) => b'0',
            _ => letter,
        };
        let kind = header.kind(letter)?;
        if kind == MemberKind::File {
            let logical = match (&self.sparse, &extensions.records) {
                (Some(_), Some(records)) => records.number("GNU.sparse.size")?.or(records.number("GNU.sparse.realsize")?),
                _ => None,
            };
            self.begin(size);
            self.size = logical.unwrap_or(size);
        } else if size != 0 || self.sparse.is_some() {
            // The host ends the whole unpacking here, without an error; other readers skip the data, or read it as headers.
            return Err(malformed(&format!("`{}` is no file and has data", shown(&header.name))));
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
                format!("an extension header has {} bytes; the most is {}", header.size, limits::TAR_EXTENSION_BYTES),
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
            if self.stored < BLOCK_U64 || u64::try_from(text.len()).is_ok_and(|length| length >= limits::TAR_EXTENSION_BYTES) {
                return Err(malformed("the map of a sparse file does not end"));
            }
            let mut block = [0; BLOCK];
            if !self.block(&mut block)? {
                return Err(truncated());
            }
            self.stored -= BLOCK_U64;
            newlines += block.iter().filter(|byte| **byte == b'\n').count();
            text.extend_from_slice(&block);
            if let Some(lines) = sparse::lines_in_data(&text)?.filter(|lines| newlines >= *lines) {
                return sparse::map_in_data(&text, lines);
            }
        }
    }
}

impl Extensions {
    fn any(&self) -> bool {
        self.name.is_some() || self.link.is_some() || self.records.is_some()
    }

    fn set_records(&mut self, records: Records) -> Result<(), Failure> {
        set_once(&mut self.records, records)
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), Failure> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed("two extension headers of one kind describe one entry")),
    }
}

impl Header {
    fn parse(block: tar::Header) -> Result<Self, Failure> {
        check_sum(&block)?;
        let fields = block.as_old();
        let name = c_string(&fields.name);
        let bytes = block.as_bytes();
        let magic = bytes.get(257..262).unwrap_or_default();
        check_number(&fields.mtime)?;
        let name = match (block.as_ustar(), block.as_gnu()) {
            (Some(ustar), _) => {
                check_number(&ustar.dev_major)?;
                check_number(&ustar.dev_minor)?;
                // The header of star is that of ustar with a shorter prefix; its last four bytes tell.
                let star = bytes.ends_with(b"tar\0");
                let prefix = c_string(ustar.prefix.get(..if star { 131 } else { 155 }).unwrap_or_default());
                if prefix.is_empty() { name } else { [prefix, name].join(&b'/') }
            }
            (None, Some(gnu)) => {
                // Times that are none were once read as the start of the name: golang.org/issues/21005.
                for field in [&gnu.dev_major[..], &gnu.dev_minor, &gnu.atime, &gnu.ctime] {
                    check_number(field)?;
                }
                name
            }
            (None, None) if magic == b"ustar" => return Err(malformed(&format!("`{}` is in no known format", shown(&name)))),
            (None, None) => name,
        };
        let link = c_string(&fields.linkname);
        let size = number(&fields.size).map_err(|failure| failure.within(format!("`{}`", shown(&name))))?;
        Ok(Self { block, name, link, size })
    }

    fn kind(&self, letter: u8) -> Result<MemberKind, Failure> {
        Ok(match letter {
            b'0' => MemberKind::File,
            b'1' => MemberKind::HardLink,
            b'2' => MemberKind::Symlink,
            b'3' => {
                let (major, minor) = self.device()?;
                MemberKind::CharDevice { major, minor }
            }
            b'4' => {
                let (major, minor) = self.device()?;
                MemberKind::BlockDevice { major, minor }
            }
            b'5' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            _ => {
                return Err(Failure::new(
                    Class::Unsupported,
                    format!("`{}` is of type `{}`, which the host cannot unpack", shown(&self.name), letter.escape_ascii()),
                ));
            }
        })
    }

    fn device(&self) -> Result<(u32, u32), Failure> {
        let fields = match (self.block.as_ustar(), self.block.as_gnu()) {
            (Some(ustar), _) => (ustar.dev_major, ustar.dev_minor),
            (_, Some(gnu)) => (gnu.dev_major, gnu.dev_minor),
            _ => return Ok((0, 0)),
        };
        // Linux has 12 bits for the major and 20 for the minor number; larger ones would be cut to fit.
        let part = |field: &[u8], most: u32| {
            u32::try_from(number(field)?).ok().filter(|part| *part <= most).ok_or_else(|| malformed("a device number is too large"))
        };
        Ok((part(&fields.0, 0xfff)?, part(&fields.1, 0xf_ffff)?))
    }

    /// Returns the name with what extensions say; the order is Go's, and two that disagree are refused.
    fn full_name(&self, extensions: &Extensions) -> Result<Vec<u8>, Failure> {
        let records = extensions.records.as_ref();
        let path = records.map(|records| records.name("path")).transpose()?.flatten();
        let name = agreed(path, extensions.name.as_deref(), &self.name)?;
        let holes = records.filter(|records| sparse::sparse(records).is_ok_and(|sparse| sparse.is_some()));
        let sparse_name = holes.map(|records| records.name("GNU.sparse.name")).transpose()?.flatten();
        Ok(sparse_name.map_or(name, <[u8]>::to_vec))
    }

    fn member(self, kind: MemberKind, extensions: Extensions) -> Result<Member, Failure> {
        let name = self.full_name(&extensions)?;
        let records = extensions.records.unwrap_or_default();
        let link = agreed(records.name("linkpath")?, extensions.link.as_deref(), &self.link)?;
        let fields = self.block.as_old();
        let owner = |record: Option<u64>, field: &[u8]| -> Result<u32, Failure> {
            let owner = record.map_or_else(|| number(field), Ok)?;
            // The largest number means "leave it" to chown.
            u32::try_from(owner).ok().filter(|owner| *owner != u32::MAX).ok_or_else(|| malformed("an owner is too large"))
        };
        let mode = number(&fields.mode).map_err(|failure| failure.within(format!("`{}`", shown(&name))))? & 0o7777;
        Ok(Member {
            link,
            kind,
            mode: u16::try_from(mode).unwrap_or_default(),
            uid: owner(records.number("uid")?, &fields.uid).map_err(|failure| failure.within(format!("`{}`", shown(&name))))?,
            gid: owner(records.number("gid")?, &fields.gid).map_err(|failure| failure.within(format!("`{}`", shown(&name))))?,
            xattrs: records.xattrs(),
            name,
        })
    }
}

/// Returns what a PAX record, a GNU extension and the header say together.
fn agreed(record: Option<&[u8]>, long: Option<&[u8]>, header: &[u8]) -> Result<Vec<u8>, Failure> {
    match (record, long.filter(|long| !long.is_empty())) {
        (Some(record), Some(long)) if record != long => {
            Err(malformed(&format!("`{}` is also called `{}`", shown(record), shown(long))))
        }
        (record, long) => Ok(long.or(record).unwrap_or(header).to_vec()),
    }
}

/// Returns the size that header and PAX record agree on (CVE-2025-62518).
fn pax_size(header: u64, record: Option<u64>) -> Result<u64, Failure> {
    match record {
        None => Ok(header),
        Some(size) if size == header || (header == 0 && size > OCTAL_MAX) => Ok(size),
        Some(size) => Err(malformed(&format!("the header says {header} bytes, the PAX record {size}"))),
    }
}

fn check_sum(block: &tar::Header) -> Result<(), Failure> {
    let sum = |byte: fn(u8) -> i64| -> i64 {
        let field = 148..156;
        block.as_bytes().iter().enumerate().map(|(at, c)| if field.contains(&at) { byte(b' ') } else { byte(*c) }).sum()
    };
    let said = i64::try_from(number(&block.as_old().cksum)?).unwrap_or(-1);
    // Some old writers summed signed bytes.
    if said == sum(i64::from) || said == sum(|byte| i64::from(byte.cast_signed())) {
        return Ok(());
    }
    Err(malformed("the checksum of a header is wrong"))
}

/// Reads a number as Go does: octal digits between spaces and NULs, or base 256. Negative ones are refused.
fn number(field: &[u8]) -> Result<u64, Failure> {
    let bad = || malformed("a number in a header is none");
    if let Some((first, rest)) = field.split_first().filter(|(first, _)| **first & 0x80 != 0) {
        if first & 0x40 != 0 {
            return Err(malformed("a number in a header is negative"));
        }
        let start = u64::from(first & 0x3f);
        let add = |value: u64, byte: &u8| value.checked_mul(256).map(|value| value + u64::from(*byte));
        return rest.iter().try_fold(start, add).filter(|value| i64::try_from(*value).is_ok()).ok_or_else(bad);
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    let digits = c_string(field.get(start..end).unwrap_or_default());
    let octal = |value: u64, digit: &u8| match digit {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value + u64::from(digit - b'0')),
        _ => None,
    };
    digits.iter().try_fold(0, octal).ok_or_else(bad)
}

/// Refuses a field that is no number, though nothing depends on it: the host stops there. Negative times are numbers.
fn check_number(field: &[u8]) -> Result<(), Failure> {
    let base_256 = field.first().is_some_and(|first| first & 0x80 != 0);
    if base_256 { Ok(()) } else { number(field).map(|_| ()) }
}

fn c_string(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// Returns a GNU long name: up to the NUL. What follows the NUL would be seen by some readers only.
fn until_nul(data: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let name = c_string(&data);
    if data.iter().skip(name.len()).any(|byte| *byte != 0) {
        return Err(malformed(&format!("a long name goes on after a NUL: `{}`", shown(&name))));
    }
    Ok(name)
}

fn malformed(what: &str) -> Failure {
    Failure::new(Class::Malformed, format!("in the archive of a layer: {what}"))
}

fn truncated() -> Failure {
    malformed("it ends in the middle of an entry")
}
