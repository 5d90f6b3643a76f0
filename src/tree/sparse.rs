//! Sparse files in PAX archives: which parts of a file are stored, the rest being zeros.
//!
//! Formats 0.0, 0.1 and 1.0 of GNU tar ("Storing Sparse Files"), read as Go's archive/tar reads
//! them, which is how the host expands them. The older GNU format (type `S`) is refused: the host
//! cannot unpack it either (recorded in `tests/tree/`).

use super::pax::{Records, decimal};
use crate::class::{Class, Failure};

/// Where stored bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// How an entry says where its parts are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sparse {
    /// In its records.
    Mapped(Vec<Part>),
    /// In the first blocks of its data.
    InData,
}

/// Returns how the entry with these records is sparse; `None` where it is not.
pub(super) fn sparse(records: &Records) -> Result<Option<Sparse>, Failure> {
    let version = (records.bytes("GNU.sparse.major"), records.bytes("GNU.sparse.minor"));
    match version {
        (Some(b"1"), Some(b"0")) => Ok(Some(Sparse::InData)),
        (Some(b"0"), Some(b"0" | b"1")) => map_in_records(records).map(Some),
        (None, None) if records.bytes("GNU.sparse.map").is_some() => {
            map_in_records(records).map(Some)
        }
        (None, None) => Ok(None),
        _ => Err(Failure::new(
            Class::Unsupported,
            "a sparse file is in a version that the host does not read",
        )),
    }
}

fn map_in_records(records: &Records) -> Result<Sparse, Failure> {
    let count = records.number("GNU.sparse.numblocks")?.ok_or_else(malformed)?;
    let map = records.bytes("GNU.sparse.map").unwrap_or_default();
    let numbers: Vec<u64> = map
        .split(|byte| *byte == b',')
        .filter(|_| !map.is_empty())
        .map(decimal)
        .collect::<Option<_>>()
        .ok_or_else(malformed)?;
    let parts = parts(&numbers);
    if !numbers.len().is_multiple_of(2) || u64::try_from(parts.len()) != Ok(count) {
        return Err(malformed());
    }
    Ok(Sparse::Mapped(parts))
}

fn parts(numbers: &[u64]) -> Vec<Part> {
    let pairs = numbers.iter().step_by(2).zip(numbers.iter().skip(1).step_by(2));
    pairs.map(|(offset, length)| Part { offset: *offset, length: *length }).collect()
}

/// Returns how many lines a map of format 1.0 has, which its first line says; `None` while that is
/// not there.
pub(super) fn lines_in_data(text: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let count = text.get(..end).and_then(decimal).and_then(|count| usize::try_from(count).ok());
    count.and_then(|count| count.checked_mul(2)?.checked_add(1)).map(Some).ok_or_else(malformed)
}

/// Reads a map of format 1.0, of which all lines are in `text`; what follows them in their last
/// block is padding.
pub(super) fn map_in_data(text: &[u8], lines: usize) -> Result<Vec<Part>, Failure> {
    let numbers = text.split(|byte| *byte == b'\n').take(lines).skip(1);
    let numbers: Vec<u64> = numbers.map(decimal).collect::<Option<_>>().ok_or_else(malformed)?;
    Ok(parts(&numbers))
}

/// Checks that the parts are in order, apart, inside the file, and as long together as what is
/// stored.
pub(super) fn check(parts: &[Part], size: u64, stored: u64) -> Result<(), Failure> {
    let mut end = 0_u64;
    let mut total = 0_u64;
    for part in parts {
        if part.offset < end {
            return Err(malformed());
        }
        end = part
            .offset
            .checked_add(part.length)
            .filter(|end| *end <= size)
            .ok_or_else(malformed)?;
        total = total.saturating_add(part.length);
    }
    if total == stored { Ok(()) } else { Err(malformed()) }
}

fn malformed() -> Failure {
    Failure::new(Class::Malformed, "the map of a sparse file is broken")
}
