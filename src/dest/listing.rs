//! What a directory held at one moment, cheaply: no file is opened. Taken before the host unpacks;
//! afterwards each of these objects is as it was, or is what was signed.
//!
//! A big directory has a hundred thousand of them, so they stay packed, one after the other, as
//! they are kept between the two events. Only our own program reads that, within one run.

use super::attributes::Buffers;
use super::status::{Status, changed, names, open_directory, unreadable};
use super::{Dest, DirectoryId};
use crate::class::{Class, Failure};
use crate::limits;
use crate::tree::{Differs, TreePath, Xattr, changed_attributes};
use rustix::fs::FileType;
use std::os::fd::AsFd;

/// How a listing begins.
const HEADER: &[u8] = b"luet-cosign-listing-v3\n";

/// What a directory held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryListing {
    identity: DirectoryId,
    bytes: Vec<u8>,
    /// Where each object begins in `bytes`, in the order of their paths.
    index: Vec<u32>,
}

/// What one object was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    kind: FileType,
    mode: u16,
    uid: u32,
    gid: u32,
    inode: u64,
    links: u32,
    size: u64,
    changed: (i64, u32),
    modified: (i64, u32),
    made: Option<(i64, u32)>,
    attributes: Vec<Xattr>,
}

/// How an object relates to a listing.
#[derive(Debug)]
pub(super) enum Before {
    /// Nothing was there.
    Absent,
    /// Something else was there: the one with this number.
    Replaced(usize),
    /// It is there untouched. What is in it, if it is a directory, may have changed.
    Untouched(usize),
    /// It is the same object, and something about it changed.
    Same(usize, Box<Mark>),
}

/// What happened to an object that is still the same.
#[derive(Debug)]
pub(super) struct Change {
    /// What the host may have done: none of it may be.
    pub(super) differs: Vec<Differs>,
    /// Whether it was written to. The host only ever replaces files, so another process did that.
    pub(super) written: bool,
}

impl Mark {
    fn new(status: &Status, attributes: Vec<Xattr>) -> Self {
        Self {
            kind: status.kind,
            mode: status.mode,
            uid: status.uid,
            gid: status.gid,
            inode: status.inode,
            links: status.links,
            size: status.size,
            changed: status.changed,
            modified: status.modified,
            made: status.made,
            attributes,
        }
    }

    /// Whether it is the same object. A number is given to a new file as soon as it is free, so it
    /// has to be as old too, or untouched. A directory that was recreated is as good as the old
    /// one: what was in it is listed.
    fn is_same(&self, now: &Self) -> bool {
        let as_old = now.made.is_some() && self.made == now.made;
        (self.kind, self.inode) == (now.kind, now.inode)
            && (self.kind == FileType::Directory || as_old || self.changed == now.changed)
    }

    /// Returns the attributes that it had.
    pub(super) fn attributes(&self) -> &[Xattr] {
        &self.attributes
    }

    /// Returns what happened to the object, which is the same and has these attributes now.
    pub(super) fn change(&self, now: &Status, attributes: &[Xattr]) -> Change {
        let mut differs = Vec::new();
        if self.mode != now.mode {
            differs.push(Differs::Mode { expected: self.mode, found: now.mode });
        }
        if (self.uid, self.gid) != (now.uid, now.gid) {
            let (expected, found) = ((self.uid, self.gid), (now.uid, now.gid));
            differs.push(Differs::Owner { expected, found });
        }
        let attributes = changed_attributes(&self.attributes, attributes);
        differs.extend(attributes.map(|name| Differs::Xattr(name.into())));
        if self.kind == FileType::Directory {
            return Change { differs, written: false };
        }
        let written = (self.size, self.modified) != (now.size, now.modified);
        if now.links > self.links {
            differs.push(Differs::Links { expected: self.links, found: now.links });
        } else if written && (self.kind != FileType::RegularFile || now.links < self.links) {
            // Fewer names: another one of this object was replaced, which changes no content.
            differs.push(Differs::Written);
        }
        Change { written: written && differs.is_empty(), differs }
    }

    fn pack(&self, path: &TreePath, to: &mut Vec<u8>) -> Option<()> {
        put_bytes(path.bytes(), to)?;
        to.push(letter(self.kind)?);
        to.extend_from_slice(&self.mode.to_le_bytes());
        for number in [self.uid, self.gid, self.links] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.inode, self.size] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        put_time(self.changed, to);
        put_time(self.modified, to);
        put_made(self.made, to);
        to.extend_from_slice(&u32::try_from(self.attributes.len()).ok()?.to_le_bytes());
        for Xattr { name, value } in &self.attributes {
            put_bytes(name, to)?;
            put_bytes(value, to)?;
        }
        Some(())
    }

    fn unpack(packed: &mut Packed<'_>) -> Option<Self> {
        let kind = match packed.array()? {
            [b'f'] => FileType::RegularFile,
            [b'd'] => FileType::Directory,
            [b'l'] => FileType::Symlink,
            [b'c'] => FileType::CharacterDevice,
            [b'b'] => FileType::BlockDevice,
            [b'p'] => FileType::Fifo,
            [b's'] => FileType::Socket,
            _ => return None,
        };
        let mode = u16::from_le_bytes(packed.array()?);
        let (uid, gid, links) = (packed.u32()?, packed.u32()?, packed.u32()?);
        let (inode, size) = (packed.u64()?, packed.u64()?);
        let (changed, modified, made) = (packed.time()?, packed.time()?, packed.made()?);
        let attributes = (0..packed.u32()?)
            .map(|_| Some(Xattr { name: packed.bytes()?.into(), value: packed.bytes()?.into() }))
            .collect::<Option<_>>()?;
        #[rustfmt::skip]
        let mark = Self {
            kind, mode, uid, gid, inode, links, size, changed, modified, made, attributes,
        };
        Some(mark)
    }
}

fn header(DirectoryId { device: (major, minor), inode, made }: DirectoryId) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    bytes.extend_from_slice(&[major.to_le_bytes(), minor.to_le_bytes()].concat());
    bytes.extend_from_slice(&inode.to_le_bytes());
    put_made(made, &mut bytes);
    bytes
}

fn letter(kind: FileType) -> Option<u8> {
    match kind {
        FileType::RegularFile => Some(b'f'),
        FileType::Directory => Some(b'd'),
        FileType::Symlink => Some(b'l'),
        FileType::CharacterDevice => Some(b'c'),
        FileType::BlockDevice => Some(b'b'),
        FileType::Fifo => Some(b'p'),
        FileType::Socket => Some(b's'),
        FileType::Unknown => None,
    }
}

fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) -> Option<()> {
    to.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
    to.extend_from_slice(bytes);
    Some(())
}

fn put_time((seconds, nanoseconds): (i64, u32), to: &mut Vec<u8>) {
    to.extend_from_slice(&seconds.to_le_bytes());
    to.extend_from_slice(&nanoseconds.to_le_bytes());
}

fn put_made(made: Option<(i64, u32)>, to: &mut Vec<u8>) {
    to.push(u8::from(made.is_some()));
    if let Some(made) = made {
        put_time(made, to);
    }
}

/// What is left to be read.
struct Packed<'a>(&'a [u8]);

impl<'a> Packed<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    fn time(&mut self) -> Option<(i64, u32)> {
        Some((self.array().map(i64::from_le_bytes)?, self.u32()?))
    }

    fn made(&mut self) -> Option<Option<(i64, u32)>> {
        match self.array()? {
            [0] => Some(None),
            [1] => self.time().map(Some),
            _ => None,
        }
    }
}

impl DirectoryListing {
    /// Returns which directory was listed.
    #[must_use]
    pub fn identity(&self) -> DirectoryId {
        self.identity
    }

    /// Returns whether it held nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the listing as it is kept until the post event; [`Self::read`] reads it.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns whether `bytes` begin as a listing of this directory does.
    #[must_use]
    pub fn is_of(bytes: &[u8], identity: DirectoryId) -> bool {
        bytes.starts_with(&header(identity))
    }

    /// Reads a listing that was kept.
    ///
    /// # Errors
    /// `state`: it is not one.
    pub fn read(bytes: Vec<u8>) -> Result<Self, Failure> {
        Self::unpack(bytes).ok_or_else(|| Failure::new(Class::State, "a kept listing is broken"))
    }

    fn unpack(bytes: Vec<u8>) -> Option<Self> {
        let mut rest = Packed(bytes.strip_prefix(HEADER)?);
        let device = (rest.u32()?, rest.u32()?);
        let identity = DirectoryId { device, inode: rest.u64()?, made: rest.made()? };
        let mut index = Vec::new();
        while !rest.0.is_empty() {
            index.push(u32::try_from(bytes.len() - rest.0.len()).ok()?);
            TreePath::new(rest.bytes()?.to_vec()).ok()?;
            Mark::unpack(&mut rest)?;
        }
        let listing = Self { identity, bytes, index }.sorted();
        let mut pairs = listing.index.iter().zip(listing.index.iter().skip(1));
        let twice = pairs.any(|(a, b)| listing.path_at(*a) == listing.path_at(*b));
        (!twice).then_some(listing)
    }

    fn sorted(mut self) -> Self {
        let mut index = std::mem::take(&mut self.index);
        index.sort_unstable_by(|a, b| self.path_at(*a).cmp(self.path_at(*b)));
        index.shrink_to_fit();
        Self { index, ..self }
    }

    fn packed(&self, at: u32) -> Packed<'_> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        Packed(self.bytes.get(at..).unwrap_or_default())
    }

    fn path_at(&self, at: u32) -> &[u8] {
        self.packed(at).bytes().unwrap_or_default()
    }

    /// Returns how many objects there were.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns the path of the object with this number.
    pub(super) fn path(&self, number: usize) -> Result<TreePath, Failure> {
        let at = self.index.get(number).copied().unwrap_or(u32::MAX);
        TreePath::new(self.path_at(at).to_vec())
    }

    /// Returns what is at `path` now, compared with what lay there.
    pub(super) fn relation(&self, path: &TreePath, status: &Status) -> Before {
        let found = self.index.binary_search_by(|at| self.path_at(*at).cmp(path.bytes()));
        let Ok(number) = found else { return Before::Absent };
        let mut packed = self.packed(self.index.get(number).copied().unwrap_or(u32::MAX));
        let then = packed.bytes().and_then(|_| Mark::unpack(&mut packed));
        let Some(mut then) = then else { return Before::Replaced(number) };
        let attributes = std::mem::take(&mut then.attributes);
        let now = Mark::new(status, Vec::new());
        if !then.is_same(&now) {
            Before::Replaced(number)
        } else if then == now {
            Before::Untouched(number)
        } else {
            Before::Same(number, Box::new(Mark { attributes, ..then }))
        }
    }
}

/// Lists what `dest` holds, at most `cap` objects.
///
/// # Errors
/// `limit`: it holds more. `tree`: it can't be read, or does not keep still.
pub fn listing(dest: &Dest, cap: usize) -> Result<DirectoryListing, Failure> {
    let identity = dest.identity()?;
    let mut bytes = header(identity);
    let mut buffers = Buffers::new();
    let mut listed = 0;
    let mut directories: Vec<Option<TreePath>> = vec![None];
    while let Some(directory) = directories.pop() {
        let name = || directory.as_ref().map_or_else(|| dest.to_string(), ToString::to_string);
        let fd = open_directory(dest.fd.as_fd(), directory.as_ref())
            .map_err(|error| unreadable(&name(), error))?;
        let found = names(&fd, |entry| {
            listed += 1;
            if listed > cap {
                return Err(too_many(dest, &format!("{cap} objects")));
            }
            let path = TreePath::join(directory.as_ref(), entry)?;
            let status = Status::at(&fd, entry).map_err(|error| unreadable(&path, error))?;
            let attributes = buffers.at(&fd, entry).map_err(|error| unreadable(&path, error))?;
            let packed = Mark::new(&status, attributes).pack(&path, &mut bytes);
            packed.ok_or_else(|| changed(&path))?;
            if u64::try_from(bytes.len()).map_or(true, |length| length > limits::LISTING_BYTES) {
                let most = limits::LISTING_BYTES >> 20;
                return Err(too_many(dest, &format!("can be listed in {most} MiB")));
            }
            if status.kind == FileType::Directory && !status.is_mount(&dest.status) {
                directories.push(Some(path));
            }
            Ok(())
        });
        found.map_err(|error| unreadable(&name(), error))??;
    }
    bytes.shrink_to_fit();
    DirectoryListing::unpack(bytes).ok_or_else(|| changed(dest))
}

fn too_many(dest: &Dest, what: &str) -> Failure {
    Failure::new(Class::Limit, format!("`{dest}` already holds more than {what}"))
}
