//! One header of a tar archive: what its fields and the extension headers before it say together.
//!
//! Fields are read as Go's archive/tar reads them (`reader.go`, `strconv.go`); the tar crate knows
//! where they are.

use super::entry::{Xattr, shown};
use super::pax::Records;
use super::sparse::{self, Sparse};
use crate::class::{Class, Failure};

/// The largest size that a header can hold in octal digits; larger ones need a PAX record beside a
/// zero.
const OCTAL_MAX: u64 = 0o777_7777_7777;

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

/// What one block says, before any extension.
pub(super) struct Header {
    block: tar::Header,
    pub(super) name: Vec<u8>,
    link: Vec<u8>,
    pub(super) size: u64,
}

/// The data of one entry.
pub(super) struct EntryData {
    /// Bytes in the archive.
    pub(super) stored: u64,
    /// Bytes of the file, holes included.
    pub(super) logical: u64,
    pub(super) sparse: Option<Sparse>,
}

/// What extension headers said about the entry that follows.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    records: Option<Records>,
}

impl Extensions {
    pub(super) fn any(&self) -> bool {
        self.name.is_some() || self.link.is_some() || self.records.is_some()
    }

    pub(super) fn set_records(&mut self, records: Records) -> Result<(), Failure> {
        set_once(&mut self.records, records)
    }
}

pub(super) fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), Failure> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed("two extension headers of one kind describe one entry")),
    }
}

impl Header {
    pub(super) fn parse(block: tar::Header) -> Result<Self, Failure> {
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
                // The header of star is that of ustar with a shorter prefix; its last four bytes
                // tell.
                let star = bytes.ends_with(b"tar\0");
                let prefix =
                    c_string(ustar.prefix.get(..if star { 131 } else { 155 }).unwrap_or_default());
                if prefix.is_empty() { name } else { [prefix, name].join(&b'/') }
            }
            (None, Some(gnu)) => {
                // Times that are none were once read as the start of the name:
                // golang.org/issues/21005.
                for field in [&gnu.dev_major[..], &gnu.dev_minor, &gnu.atime, &gnu.ctime] {
                    check_number(field)?;
                }
                name
            }
            (None, None) if magic == b"ustar" => {
                return Err(malformed(&format!("`{}` is in no known format", shown(&name))));
            }
            (None, None) => name,
        };
        let link = c_string(&fields.linkname);
        let size = number(&fields.size)
            .map_err(|failure| failure.within(format!("`{}`", shown(&name))))?;
        Ok(Self { block, name, link, size })
    }

    /// Returns the letter of the type, as written.
    pub(super) fn letter(&self) -> u8 {
        // Not `entry_type`, which takes the zero of old archives for a plain `0`.
        let [letter] = self.block.as_old().linkflag;
        letter
    }

    /// Returns what the entry makes; in old archives, a name that ends in `/` makes a directory.
    pub(super) fn kind(&self, extensions: &Extensions) -> Result<MemberKind, Failure> {
        let letter = match (self.letter(), self.full_name(extensions)?.ends_with(b"/")) {
            (0, true) => b'5',
            (0, false) => b'0',
            (letter, _) => letter,
        };
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
                    format!(
                        "`{}` is of type `{}`, which the host cannot unpack",
                        shown(&self.name),
                        letter.escape_ascii()
                    ),
                ));
            }
        })
    }

    /// Returns how much data follows, and of what.
    pub(super) fn body(&self, extensions: &Extensions) -> Result<EntryData, Failure> {
        let Some(records) = &extensions.records else {
            return Ok(EntryData { stored: self.size, logical: self.size, sparse: None });
        };
        let stored = pax_size(self.size, records.number("size")?)
            .map_err(|failure| failure.within(format!("`{}`", shown(&self.name))))?;
        let sparse = sparse::sparse(records)?;
        let logical = match sparse {
            Some(_) => {
                records.number("GNU.sparse.size")?.or(records.number("GNU.sparse.realsize")?)
            }
            None => None,
        };
        Ok(EntryData { stored, logical: logical.unwrap_or(stored), sparse })
    }

    fn device(&self) -> Result<(u32, u32), Failure> {
        let fields = match (self.block.as_ustar(), self.block.as_gnu()) {
            (Some(ustar), _) => (ustar.dev_major, ustar.dev_minor),
            (_, Some(gnu)) => (gnu.dev_major, gnu.dev_minor),
            _ => return Ok((0, 0)),
        };
        // Linux has 12 bits for the major and 20 for the minor number; larger ones would be cut to
        // fit.
        let part = |field: &[u8], most: u32| {
            u32::try_from(number(field)?)
                .ok()
                .filter(|part| *part <= most)
                .ok_or_else(|| malformed("a device number is too large"))
        };
        Ok((part(&fields.0, 0xfff)?, part(&fields.1, 0xf_ffff)?))
    }

    /// Returns the name with what extensions say; the order is Go's, and two that disagree are
    /// refused.
    fn full_name(&self, extensions: &Extensions) -> Result<Vec<u8>, Failure> {
        let records = extensions.records.as_ref();
        let path = records.map(|records| records.name("path")).transpose()?.flatten();
        let name = agreed(path, extensions.name.as_deref(), &self.name)?;
        let holes =
            records.filter(|records| sparse::sparse(records).is_ok_and(|sparse| sparse.is_some()));
        let sparse_name =
            holes.map(|records| records.name("GNU.sparse.name")).transpose()?.flatten();
        Ok(sparse_name.map_or(name, <[u8]>::to_vec))
    }

    pub(super) fn member(
        self,
        kind: MemberKind,
        extensions: Extensions,
    ) -> Result<Member, Failure> {
        let name = self.full_name(&extensions)?;
        let records = extensions.records.unwrap_or_default();
        let link = agreed(records.name("linkpath")?, extensions.link.as_deref(), &self.link)?;
        let fields = self.block.as_old();
        let owner = |record: Option<u64>, field: &[u8]| -> Result<u32, Failure> {
            let owner = record.map_or_else(|| number(field), Ok)?;
            // The largest number means "leave it" to chown.
            u32::try_from(owner)
                .ok()
                .filter(|owner| *owner != u32::MAX)
                .ok_or_else(|| malformed("an owner is too large"))
        };
        let mode = number(&fields.mode)
            .map_err(|failure| failure.within(format!("`{}`", shown(&name))))?
            & 0o7777;
        Ok(Member {
            link,
            kind,
            mode: u16::try_from(mode).unwrap_or_default(),
            uid: owner(records.number("uid")?, &fields.uid)
                .map_err(|failure| failure.within(format!("`{}`", shown(&name))))?,
            gid: owner(records.number("gid")?, &fields.gid)
                .map_err(|failure| failure.within(format!("`{}`", shown(&name))))?,
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
        Some(size) => {
            Err(malformed(&format!("the header says {header} bytes, the PAX record {size}")))
        }
    }
}

fn check_sum(block: &tar::Header) -> Result<(), Failure> {
    let sum = |byte: fn(u8) -> i64| -> i64 {
        let field = 148..156;
        block
            .as_bytes()
            .iter()
            .enumerate()
            .map(|(at, c)| if field.contains(&at) { byte(b' ') } else { byte(*c) })
            .sum()
    };
    let said = i64::try_from(number(&block.as_old().cksum)?).unwrap_or(-1);
    // Some old writers summed signed bytes.
    if said == sum(i64::from) || said == sum(|byte| i64::from(byte.cast_signed())) {
        return Ok(());
    }
    Err(malformed("the checksum of a header is wrong"))
}

/// Reads a number as Go does: octal digits between spaces and NULs, or base 256. Negative ones are
/// refused.
fn number(field: &[u8]) -> Result<u64, Failure> {
    let bad = || malformed("a number in a header is none");
    if let Some((first, rest)) = field.split_first().filter(|(first, _)| **first & 0x80 != 0) {
        if first & 0x40 != 0 {
            return Err(malformed("a number in a header is negative"));
        }
        let start = u64::from(first & 0x3f);
        let add =
            |value: u64, byte: &u8| value.checked_mul(256).map(|value| value + u64::from(*byte));
        return rest
            .iter()
            .try_fold(start, add)
            .filter(|value| i64::try_from(*value).is_ok())
            .ok_or_else(bad);
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

/// Refuses a field that is not a number, though nothing depends on it: the host stops there. Negative
/// times are numbers.
fn check_number(field: &[u8]) -> Result<(), Failure> {
    let base_256 = field.first().is_some_and(|first| first & 0x80 != 0);
    if base_256 { Ok(()) } else { number(field).map(|_| ()) }
}

fn c_string(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// Returns a GNU long name: up to the NUL. What follows the NUL would be seen by some readers only.
pub(super) fn until_nul(data: &[u8]) -> Result<Vec<u8>, Failure> {
    let name = c_string(data);
    if data.iter().skip(name.len()).any(|byte| *byte != 0) {
        return Err(malformed(&format!("a long name goes on after a NUL: `{}`", shown(&name))));
    }
    Ok(name)
}

pub(super) fn malformed(what: &str) -> Failure {
    Failure::new(Class::Malformed, format!("in the archive of a layer: {what}"))
}
