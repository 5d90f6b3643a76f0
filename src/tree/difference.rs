//! How a directory differs from what it should be.

use super::acl::is_access_list;
use super::entry::{Entry, Kind, Metadata, Tree, TreePath, Xattr, shown};
use super::layer::split;
use crate::limits;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// What the host gives a directory that no layer lists (containerd 1.7.27 `mkparent`). A tighter
/// mode is as good: umoci heeds the umask.
const IMPLIED_MODE: u16 = 0o755;
const SETGID: u16 = 0o2000;

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether owners are: a host that is not root can't set them.
    pub owners: bool,
    /// Whether attributes in `user.*` are: not every file system keeps them, and the host goes on
    /// without.
    pub user_xattrs: bool,
    /// Whether access lists are: as for `user.*`.
    pub access_lists: bool,
    /// Whether the directory itself is setgid: a directory that is made in it inherits that.
    pub setgid: bool,
    /// Directories that were there before the host began: they may be there, with nothing expected
    /// of them.
    pub before: BTreeSet<TreePath>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            owners: true,
            user_xattrs: true,
            access_lists: true,
            setgid: false,
            before: BTreeSet::new(),
        }
    }
}

/// In what one path differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Differs {
    /// It should be there and is not.
    Missing,
    /// It is there and should not be.
    Extra,
    /// It is something else.
    Type {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A file of another length.
    Size {
        /// What it should be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A file of the same length with other bytes.
    Content,
    /// A symlink that leads elsewhere.
    Target {
        /// Where it should lead.
        expected: Box<[u8]>,
        /// Where it leads.
        found: Box<[u8]>,
    },
    /// Another device.
    Device,
    /// Another mode.
    Mode {
        /// What it should be.
        expected: u16,
        /// What it is.
        found: u16,
    },
    /// A directory that no layer lists, with a mode that whoever unpacks does not give it.
    Implied {
        /// What it is.
        found: u16,
    },
    /// A directory that no layer lists, which belongs to somebody.
    ImpliedOwner {
        /// Who it is.
        found: u32,
    },
    /// Another owner or group.
    Owner {
        /// Who it should be.
        expected: (u32, u32),
        /// Who it is.
        found: (u32, u32),
    },
    /// An extended attribute that is missing, extra, or has another value.
    Xattr(Box<[u8]>),
}

impl std::fmt::Display for Differs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Extra => f.write_str("extra"),
            Self::Type { expected, found } => write!(f, "a {found}, expected a {expected}"),
            Self::Size { expected, found } => write!(f, "{found} bytes, expected {expected}"),
            Self::Content => f.write_str("other content"),
            Self::Target { expected, found } => {
                write!(f, "leads to `{}`, expected `{}`", shown(found), shown(expected))
            }
            Self::Device => f.write_str("another device number"),
            Self::Mode { expected, found } => {
                write!(f, "mode {found:04o}, expected {expected:04o}")
            }
            Self::Implied { found } => {
                write!(
                    f,
                    "mode {found:04o} of a directory that no layer lists, expected at most {IMPLIED_MODE:04o}"
                )
            }
            Self::ImpliedOwner { found } => {
                write!(f, "owner {found} of a directory that no layer lists, expected 0")
            }
            Self::Owner { expected, found } => {
                write!(f, "owner {}:{}, expected {}:{}", found.0, found.1, expected.0, expected.1)
            }
            Self::Xattr(name) => write!(f, "other attribute `{}`", shown(name)),
        }
    }
}

/// All the difference: how many paths, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Paths that differ.
    pub total: usize,
    /// The first [`limits::REPORT_PATHS`] of them, in the order of paths.
    pub first: Vec<(TreePath, Vec<Differs>)>,
}

impl Difference {
    /// Returns a line for each of the first paths.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.first.iter().map(|(path, differs)| {
            let what: Vec<String> = differs.iter().map(ToString::to_string).collect();
            format!("`{path}`: {}", what.join("; "))
        })
    }

    /// Returns whether an access list is among the first differences.
    pub(super) fn has_access_list(&self) -> bool {
        let is_one =
            |differs: &Differs| matches!(differs, Differs::Xattr(name) if is_access_list(name));
        self.first.iter().any(|(_, differs)| differs.iter().any(is_one))
    }

    fn add(&mut self, path: &TreePath, differs: Vec<Differs>) {
        if differs.is_empty() {
            return;
        }
        if self.first.len() < limits::REPORT_PATHS {
            self.first.push((path.clone(), differs));
        }
        self.total += 1;
    }
}

/// Compares two trees, path by path.
#[must_use]
pub fn difference(expected: &Tree, found: &Tree, terms: &Terms) -> Difference {
    let mut difference = Difference::default();
    let tree = found;
    let mut expected = expected.entries().iter().peekable();
    let mut found = found.entries().iter().peekable();
    loop {
        let order = match (expected.peek(), found.peek()) {
            (None, None) => return difference,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(expected), Some(found)) => expected.path.cmp(&found.path),
        };
        let left = if order.is_le() { expected.next() } else { None };
        let right = if order.is_ge() { found.next() } else { None };
        match (left, right) {
            (Some(expected), Some(found)) => {
                difference.add(&found.path, compare(expected, found, tree, terms))
            }
            (Some(expected), None) => difference.add(&expected.path, vec![Differs::Missing]),
            (None, Some(found)) if !terms.before.contains(&found.path) => {
                difference.add(&found.path, vec![Differs::Extra])
            }
            _ => {}
        }
    }
}

fn compare(expected: &Entry, found: &Entry, tree: &Tree, terms: &Terms) -> Vec<Differs> {
    let mut differs = kinds(&expected.kind, &found.kind);
    if differs.iter().any(|differs| matches!(differs, Differs::Type { .. })) {
        return differs;
    }
    match (expected.metadata, found.metadata) {
        (Some(wanted), Some(got)) => differs.extend(metadata(wanted, got, terms)),
        // What was there before has the mode, owner and attributes that its owner gave it.
        (None, _) if terms.before.contains(&found.path) => return differs,
        (None, Some(got)) => {
            differs.extend(implied(got, inherits_setgid(&found.path, tree, terms), terms))
        }
        (_, None) => {}
    }
    differs.extend(xattrs(expected, found, terms));
    differs
}

/// Compares a directory that no layer lists with what an unpacker makes; other layer bytes could
/// have listed it, writable for all.
///
/// Its group is free, for a setgid parent hands it down and it may not write.
fn implied(found: Metadata, setgid: bool, terms: &Terms) -> Vec<Differs> {
    let mut differs = Vec::new();
    let may_have = if setgid { IMPLIED_MODE | SETGID } else { IMPLIED_MODE };
    if found.mode & !may_have != 0 {
        differs.push(Differs::Implied { found: found.mode });
    }
    if terms.owners && found.uid != 0 {
        differs.push(Differs::ImpliedOwner { found: found.uid });
    }
    differs
}

/// Returns whether a directory is made in one that is setgid. Whether that one may be is found out
/// where it is compared itself.
fn inherits_setgid(path: &TreePath, tree: &Tree, terms: &Terms) -> bool {
    match split(path.bytes()).0 {
        [] => terms.setgid,
        above => tree
            .get(above)
            .and_then(|entry| entry.metadata)
            .is_some_and(|metadata| metadata.mode & SETGID != 0),
    }
}

fn xattrs(expected: &Entry, found: &Entry, terms: &Terms) -> Vec<Differs> {
    let counts = |xattr: &&Xattr| {
        (terms.user_xattrs || !xattr.name.starts_with(b"user."))
            && (terms.access_lists || !is_access_list(&xattr.name))
    };
    let got: BTreeSet<&Xattr> = found.xattrs.iter().filter(counts).collect();
    // `trusted.*` may be missing, for containerd sets none of them, but not be there without a
    // layer that says so.
    let set = |xattr: &&Xattr| {
        !xattr.name.starts_with(b"trusted.") || got.iter().any(|found| found.name == xattr.name)
    };
    let wanted: BTreeSet<&Xattr> = expected.xattrs.iter().filter(counts).filter(set).collect();
    let names: BTreeSet<&[u8]> =
        wanted.symmetric_difference(&got).map(|xattr| &*xattr.name).collect();
    names.into_iter().map(|name| Differs::Xattr(name.into())).collect()
}

fn kinds(expected: &Kind, found: &Kind) -> Vec<Differs> {
    match (expected, found) {
        _ if expected == found => Vec::new(),
        (Kind::File { size: expected, .. }, Kind::File { size: found, .. })
            if expected != found =>
        {
            vec![Differs::Size { expected: *expected, found: *found }]
        }
        (Kind::File { .. }, Kind::File { .. }) => vec![Differs::Content],
        (Kind::Symlink { target: expected }, Kind::Symlink { target: found }) => {
            vec![Differs::Target { expected: expected.clone(), found: found.clone() }]
        }
        (Kind::CharDevice { .. }, Kind::CharDevice { .. })
        | (Kind::BlockDevice { .. }, Kind::BlockDevice { .. }) => {
            vec![Differs::Device]
        }
        _ => vec![Differs::Type { expected: expected.word(), found: found.word() }],
    }
}

fn metadata(expected: Metadata, found: Metadata, terms: &Terms) -> Vec<Differs> {
    let mut differs = Vec::new();
    if expected.mode != found.mode {
        differs.push(Differs::Mode { expected: expected.mode, found: found.mode });
    }
    let (wanted, got) = ((expected.uid, expected.gid), (found.uid, found.gid));
    if terms.owners && wanted != got {
        differs.push(Differs::Owner { expected: wanted, found: got });
    }
    differs
}
