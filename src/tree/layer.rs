//! One layer: its entries in their order, with the digests of their contents, nothing unpacked.
//!
//! Names are cleaned as the host cleans them (Go `filepath.Clean`): `./a`, `a//b`, `a/` and
//! `x/../a` are what they say, a leading `/` stands for the root. A name that leads out of the root
//! is refused.

use super::archive::Archive;
use super::entry::{EntryKind, EntryMetadata, Xattr, is_label, shown};
use super::header::{Member, MemberKind};
use super::stream::Stream;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use std::io::Read;

/// What starts the name of a whiteout: OCI image-spec 1.1 layer.md, "Whiteouts".
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How much a layer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries that may still come, of all layers of the image together.
    pub entries: usize,
    /// Bytes of paths, targets and attributes that may still come, of all layers of the image
    /// together.
    pub metadata_bytes: usize,
    /// Bytes that a layer may unpack to.
    pub unpacked_bytes: u64,
    /// How many times its size a layer may unpack to, beyond `ratio_free_bytes`.
    pub ratio: u64,
    /// Bytes that a layer may unpack to before `ratio` counts.
    pub ratio_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: limits::TREE_ENTRIES,
            metadata_bytes: limits::TREE_METADATA_BYTES,
            unpacked_bytes: limits::UNPACKED_BYTES,
            ratio: limits::RATIO,
            ratio_free_bytes: limits::RATIO_FREE_BYTES,
        }
    }
}

/// What one layer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub(super) records: Vec<Record>,
    diff_id: Digest,
}

impl Layer {
    /// Returns the digest of the uncompressed layer, which the image's configuration lists under
    /// `diff_ids`.
    #[must_use]
    pub fn diff_id(&self) -> Digest {
        self.diff_id
    }

    /// Returns how many entries the layer has.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.records.len()
    }

    /// Returns how many bytes its paths, targets and attributes have.
    #[must_use]
    pub fn metadata_bytes(&self) -> usize {
        self.records.iter().map(Record::bytes).sum()
    }
}

/// One entry of a layer. The root itself is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Clean, relative, not empty.
    pub(super) path: Box<[u8]>,
    /// Whether the name began with `/`: the host takes `a` and `/a` for two names.
    pub(super) rooted: bool,
    pub(super) what: LayerChange,
    pub(super) metadata: EntryMetadata,
    pub(super) xattrs: Vec<Xattr>,
}

/// What an entry makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LayerChange {
    /// A new object.
    Object(EntryKind),
    /// Another name for the object at this clean relative path.
    Link(Box<[u8]>),
    /// Nothing: a global PAX header, of whose name the host takes note.
    Note,
}

/// What a whiteout removes.
pub(super) enum Whiteout<'a> {
    /// Everything that lower layers have in the directory.
    Opaque,
    /// One name.
    Name(&'a [u8]),
}

impl Record {
    /// Splits the path into the directory, empty for the root, and the name in it.
    pub(super) fn split(&self) -> (&[u8], &[u8]) {
        split(&self.path)
    }

    /// Returns how many bytes its path, target and attributes have.
    fn bytes(&self) -> usize {
        let target = match &self.what {
            LayerChange::Object(EntryKind::Symlink { target }) | LayerChange::Link(target) => {
                target.len()
            }
            LayerChange::Object(_) | LayerChange::Note => 0,
        };
        self.path.len() + target + held_bytes(&self.xattrs)
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.what, LayerChange::Object(EntryKind::Directory))
    }

    /// Returns what the entry removes, where it is a whiteout.
    pub(super) fn whiteout(&self) -> Option<Whiteout<'_>> {
        match self.split().1 {
            OPAQUE => Some(Whiteout::Opaque),
            name => name.strip_prefix(WHITEOUT).map(Whiteout::Name),
        }
    }
}

/// Splits a clean path into the directory, empty for the root, and the name in it.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => {
            (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default())
        }
        None => (&[], path),
    }
}

/// Reads one layer to its last byte: uncompressed, gzip or zstd, told by its first bytes as the
/// host tells it.
///
/// The digest of the bytes as they come is the caller's to check. An error of `reader` that holds a
/// [`Failure`] is passed on.
///
/// # Errors
/// `malformed`: not an archive, or one that two readers would read differently, or a name that
/// leads out of the root. `unsupported`: a type of entry that the host cannot unpack. `limit`: more
/// than `limits` allow.
pub fn read_layer(reader: impl Read, limits: Limits) -> Result<Layer, Failure> {
    let mut archive = Archive::new(Stream::new(reader, limits)?);
    let mut records = Vec::new();
    let mut left = limits.metadata_bytes;
    while let Some(member) = archive.next()? {
        if records.len() >= limits.entries {
            return Err(too_many_entries());
        }
        if let Some(record) = record(&mut archive, member)? {
            // Held before the digest of the layer is known: what compresses well must not fill the
            // memory.
            left = left.checked_sub(record.bytes()).ok_or_else(too_much_metadata)?;
            records.push(record);
        }
    }
    Ok(Layer { records, diff_id: archive.finish()? })
}

/// Makes the record of one member; `None` for the root.
fn record<R: Read>(archive: &mut Archive<R>, member: Member) -> Result<Option<Record>, Failure> {
    let (rooted, path) = clean(&member.name)?;
    if path.is_empty() {
        // To the host, anything but a directory in place of the root hides all that follows.
        let root = member.kind == MemberKind::Directory && !member.name.is_empty();
        return if root {
            Ok(None)
        } else {
            Err(refuse(&member.name, "is the root but not a directory"))
        };
    }
    check_length(&path)?;
    check_length(&member.link)?;
    let what = match member.kind {
        MemberKind::Directory => LayerChange::Object(EntryKind::Directory),
        MemberKind::File => {
            let (size, digest) = archive
                .content()
                .map_err(|failure| failure.within(format!("`{}`", shown(&member.name))))?;
            LayerChange::Object(EntryKind::File { size, digest })
        }
        MemberKind::Symlink if member.link.is_empty() => {
            return Err(refuse(&member.name, "is a link to nothing"));
        }
        MemberKind::Symlink => {
            LayerChange::Object(EntryKind::Symlink { target: member.link.into() })
        }
        MemberKind::HardLink => match clean(&member.link)?.1 {
            target if target.is_empty() => {
                return Err(refuse(&member.name, "is a hard link to nothing"));
            }
            target => LayerChange::Link(target.into()),
        },
        MemberKind::CharDevice { major, minor } => {
            LayerChange::Object(EntryKind::CharDevice { major, minor })
        }
        MemberKind::BlockDevice { major, minor } => {
            LayerChange::Object(EntryKind::BlockDevice { major, minor })
        }
        MemberKind::Fifo => LayerChange::Object(EntryKind::Fifo),
        MemberKind::Global => LayerChange::Note,
    };
    let mode = if matches!(what, LayerChange::Object(EntryKind::Symlink { .. })) {
        0o777
    } else {
        member.mode
    };
    let metadata = EntryMetadata { mode, uid: member.uid, gid: member.gid };
    // Those of a link are its target's, as the host sees it; of those of other kinds only labels
    // are compared.
    let mut xattrs = member.xattrs;
    match &what {
        LayerChange::Object(kind) => {
            xattrs.retain(|xattr| kind.has_xattrs() || is_label(&xattr.name))
        }
        LayerChange::Link(_) => {}
        LayerChange::Note => xattrs.clear(),
    }
    if xattr_bytes(&xattrs) > limits::XATTR_BYTES {
        let (name, cap) = (shown(&member.name), limits::XATTR_BYTES);
        return Err(Failure::new(
            Class::Limit,
            format!("`{name}` has more than {cap} bytes of attributes"),
        ));
    }
    let record = Record { path: path.into(), rooted, what, metadata, xattrs };
    if let Some(Whiteout::Name(b"" | b"." | b"..")) = record.whiteout() {
        return Err(refuse(&member.name, "is a whiteout of no name"));
    }
    Ok(Some(record))
}

/// Cleans a name: whether it was absolute, and the names that are left, joined.
pub(super) fn clean(name: &[u8]) -> Result<(bool, Vec<u8>), Failure> {
    let mut names: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                names.pop().ok_or_else(|| refuse(name, "leads out of the root"))?;
            }
            part => names.push(part),
        }
    }
    Ok((name.starts_with(b"/"), names.join(&b'/')))
}

fn xattr_bytes(xattrs: &[Xattr]) -> usize {
    xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum()
}

/// Returns what attributes take in memory: ten thousand short ones are not small.
pub(super) fn held_bytes(xattrs: &[Xattr]) -> usize {
    xattr_bytes(xattrs) + xattrs.len() * limits::XATTR_HELD_BYTES
}

/// Returns whether a clean path is a whiteout that removes `name` from the top.
pub(super) fn is_whiteout_of(path: &[u8], name: &[u8]) -> bool {
    path == OPAQUE || path.strip_prefix(WHITEOUT) == Some(name)
}

pub(super) fn too_many_entries() -> Failure {
    Failure::new(
        Class::Limit,
        format!("the layers have more than {} entries", limits::TREE_ENTRIES),
    )
}

pub(super) fn too_much_metadata() -> Failure {
    let cap = limits::TREE_METADATA_BYTES;
    Failure::new(
        Class::Limit,
        format!("the layers have more than {cap} bytes of paths, targets of links and attributes"),
    )
}

fn check_length(path: &[u8]) -> Result<(), Failure> {
    if path.len() < limits::PATH_BYTES {
        return Ok(());
    }
    let start = shown(path.get(..64).unwrap_or_default());
    Err(Failure::new(
        Class::Limit,
        format!(
            "a path of {} bytes: `{start}...`; the most is {}",
            path.len(),
            limits::PATH_BYTES - 1
        ),
    ))
}

fn refuse(name: &[u8], why: &str) -> Failure {
    Failure::new(Class::Malformed, format!("in a layer, `{}` {why}", shown(name)))
}
