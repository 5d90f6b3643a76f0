//! The objects of a tree and the tree itself. A [`TreePath`] is always relative and clean, a
//! [`Tree`] always sorted.

use super::acl::is_access_list;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use std::fmt;

/// A path inside a tree: names joined by `/`, none of them empty, `.` or `..`, no NUL. Bytes, for
/// names are bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Box<[u8]>);

impl TreePath {
    /// Takes a path.
    ///
    /// # Errors
    /// `malformed`: not a clean relative path. `limit`: longer than [`limits::PATH_BYTES`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, Failure> {
        if bytes.len() >= limits::PATH_BYTES {
            let start = bytes.get(..64).unwrap_or_default();
            return Err(Failure::new(
                Class::Limit,
                format!(
                    "a path of {} bytes: `{}...`; the most is {}",
                    bytes.len(),
                    shown(start),
                    limits::PATH_BYTES - 1
                ),
            ));
        }
        let bad = |name: &[u8]| matches!(name, b"" | b"." | b"..") || name.contains(&0);
        if bytes.split(|byte| *byte == b'/').any(bad) {
            return Err(Failure::new(
                Class::Malformed,
                format!("`{}` is not a path inside a tree", shown(&bytes)),
            ));
        }
        Ok(Self(bytes.into()))
    }

    /// Returns the path of `name` below this one, or at the top for `None`.
    ///
    /// # Errors
    /// As for [`TreePath::new`].
    pub fn join(parent: Option<&Self>, name: &[u8]) -> Result<Self, Failure> {
        let mut bytes = Vec::with_capacity(parent.map_or(0, |path| path.0.len() + 1) + name.len());
        if let Some(path) = parent {
            bytes.extend_from_slice(&path.0);
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self::new(bytes)
    }

    /// Returns the path of the directory that this one is in; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|byte| *byte == b'/')?;
        self.0.get(..slash).map(|above| Self(above.into()))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Returns bytes as text for a person: UTF-8 as it is, every other byte as `\xNN`. [`Failure`]
/// escapes what steers terminals.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(
            chunk
                .invalid()
                .iter()
                .flat_map(|byte| std::ascii::escape_default(*byte))
                .map(char::from),
        );
    }
    text
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file. Each name of a hard link is one.
    File {
        /// Its length, in bytes; holes count.
        size: u64,
        /// The digest of its content.
        digest: Digest,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads, as written.
        target: Box<[u8]>,
    },
    /// A character device.
    CharDevice {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket. No layer can hold one, a directory can.
    Socket,
}

impl EntryKind {
    /// Returns what it is called in a report.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File { .. } => "file",
            Self::Symlink { .. } => "symlink",
            Self::CharDevice { .. } => "character device",
            Self::BlockDevice { .. } => "block device",
            Self::Fifo => "FIFO",
            Self::Socket => "socket",
        }
    }

    /// Returns whether extended attributes of it are part of the tree: files and directories, as
    /// `user.*` allows no others.
    #[must_use]
    pub fn has_xattrs(&self) -> bool {
        matches!(self, Self::Directory | Self::File { .. })
    }
}

/// Mode and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryMetadata {
    /// The low 12 bits: permissions, setuid, setgid, sticky. 0o777 for every symlink, which has
    /// none of its own.
    pub mode: u16,
    /// The user, a number.
    pub uid: u32,
    /// The group, a number.
    pub gid: u32,
}

/// One extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Its name, with the namespace.
    pub name: Box<[u8]>,
    /// Its value.
    pub value: Box<[u8]>,
}

/// Returns whether the attribute `name` is part of a tree: `security.capability`, `user.*`, access
/// lists and `trusted.*`.
///
/// Others ([labels](is_label), what file systems add) are the machine's, not the image's. So are
/// overlayfs' own notes, and the second names that XFS gives access lists.
#[must_use]
pub fn xattr_counts(name: &[u8]) -> bool {
    match name.strip_prefix(b"trusted.") {
        Some(rest) => {
            !rest.starts_with(b"overlay.") && !matches!(rest, b"SGI_ACL_FILE" | b"SGI_ACL_DEFAULT")
        }
        None => is_access_list(name) || in_digest(name),
    }
}

/// Returns whether the attribute `name` is a label: what the security module of the machine keeps
/// about an object.
///
/// Labels are no part of a tree, for they are the machine's. That they are the machine's is found
/// out: what `dest` reads has only those that the machine would not have given, and what layers
/// say has all.
#[must_use]
pub fn is_label(name: &[u8]) -> bool {
    name.starts_with(b"security.") && name != b"security.capability"
}

/// Returns whether two attributes of one object at two times, or of two objects made alike, are the
/// same. Of a hash or signature over the content or the metadata only the presence can be.
#[must_use]
pub fn same_attribute(a: &Xattr, b: &Xattr) -> bool {
    a.name == b.name
        && (a.value == b.value || matches!(&*a.name, b"security.ima" | b"security.evm"))
}

/// Returns the names of attributes that differ between two times.
pub fn changed_attributes<'a>(
    then: &'a [Xattr],
    now: &'a [Xattr],
) -> impl Iterator<Item = &'a [u8]> {
    let without = |these: &'a [Xattr], those: &'a [Xattr]| {
        these.iter().filter(|this| !those.iter().any(|that| same_attribute(this, that)))
    };
    let names: std::collections::BTreeSet<&[u8]> =
        without(then, now).chain(without(now, then)).map(|xattr| &*xattr.name).collect();
    names.into_iter()
}

/// Returns whether the digest of a tree can say the attribute `name`.
pub(super) fn in_digest(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"user.")
}

/// One object of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Where it is.
    pub path: TreePath,
    /// What it is.
    pub kind: EntryKind,
    /// Its mode and owner. `None`: a directory that no layer lists, which has what the unpacker
    /// gives it.
    pub metadata: Option<EntryMetadata>,
    /// Those attributes that [`xattr_counts`], and labels ([`is_label`]), sorted by name.
    pub xattrs: Vec<Xattr>,
}

/// A tree: its entries sorted by the bytes of their paths, each path once. The root itself is not
/// in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(Vec<TreeEntry>);

impl Tree {
    /// Makes a tree of entries in any order.
    ///
    /// # Errors
    /// `malformed`: two entries have the same path.
    pub fn new(mut entries: Vec<TreeEntry>) -> Result<Self, Failure> {
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let twice = entries.iter().zip(entries.iter().skip(1)).find(|(a, b)| a.path == b.path);
        match twice {
            Some((entry, _)) => Err(Failure::new(
                Class::Malformed,
                format!("`{}` is twice in one tree", entry.path),
            )),
            None => Ok(Self(entries)),
        }
    }

    /// Returns the entries in the order of their paths.
    #[must_use]
    pub fn entries(&self) -> &[TreeEntry] {
        &self.0
    }

    /// Returns the entry at a path.
    pub(super) fn get(&self, path: &[u8]) -> Option<&TreeEntry> {
        let at = self.0.binary_search_by(|entry| entry.path.bytes().cmp(path)).ok()?;
        self.0.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_clean_or_refused() {
        for good in [&b"a"[..], b"a/b", b"a b/\xff\n", b".a/..b", b"\xc3\xa9"] {
            assert!(TreePath::new(good.to_vec()).is_ok(), "{}", shown(good));
        }
        for bad in [&b""[..], b"/", b"/a", b"a/", b"a//b", b".", b"a/.", b"..", b"a/../b", b"a\0b"]
        {
            assert_eq!(
                TreePath::new(bad.to_vec()).map_err(|failure| failure.class()),
                Err(Class::Malformed),
                "{}",
                shown(bad)
            );
        }
        assert!(TreePath::new(vec![b'a'; limits::PATH_BYTES - 1]).is_ok());
        assert_eq!(
            TreePath::new(vec![b'a'; limits::PATH_BYTES]).map_err(|failure| failure.class()),
            Err(Class::Limit)
        );
    }

    #[test]
    fn attributes_that_give_rights_count_and_those_of_the_machine_do_not() {
        for name in [
            "security.capability",
            "user.x",
            "system.posix_acl_access",
            "system.posix_acl_default",
            "trusted.x",
            "trusted.overlay",
        ] {
            assert!(xattr_counts(name.as_bytes()), "{name}");
        }
        for name in [
            "security.selinux",
            "system.nfs4_acl",
            "trusted.overlay.opaque",
            "trusted.SGI_ACL_FILE",
            "btrfs.compression",
        ] {
            assert!(!xattr_counts(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn hostile_names_are_shown_without_loss() {
        assert_eq!(shown(b"\xff\xc3\xa9\n"), "\\xffé\n");
    }
}
