//! How a directory differs from what it should be.

use super::acl::{self, is_access_list};
use super::entry::{EntryKind, EntryMetadata, Tree, TreeEntry, TreePath, Xattr, is_label, shown};
use super::layer::split;
use crate::limits;
use std::collections::{BTreeMap, BTreeSet};

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
    /// What was there before the host began and was not left untouched, and every directory of it.
    pub before: BTreeMap<TreePath, Was>,
}

/// Something that was there before the host began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Was {
    /// The attributes that it had, as far as they count; labels only where it has others now.
    pub attributes: Vec<Xattr>,
    /// What became of it.
    pub now: Now,
}

/// What became of something that was there before the host began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Now {
    /// It is there, and this differs from what it was. Nothing: what is in a directory may have
    /// changed.
    There(Vec<Differs>),
    /// It is gone, or something else took its place.
    Gone,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            owners: true,
            user_xattrs: true,
            access_lists: true,
            setgid: false,
            before: BTreeMap::new(),
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
    /// A directory that no layer lists, with a mode that the unpacker does not give it.
    Implied {
        /// What it is.
        found: u16,
    },
    /// A directory that no layer lists, which belongs to someone.
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
    /// A number of names that it had not before.
    Links {
        /// How many it had.
        expected: u32,
        /// How many it has.
        found: u32,
    },
    /// It was written to.
    Written,
    /// It was there before and is gone.
    Gone,
    /// It was there before, and the image has nothing there, yet it changed.
    Changed(Vec<Self>),
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
            Self::Links { expected, found } => write!(f, "{found} names, expected {expected}"),
            Self::Written => f.write_str("written to"),
            Self::Gone => f.write_str("was there before and is gone"),
            Self::Changed(differs) => {
                let differs: Vec<String> = differs.iter().map(ToString::to_string).collect();
                write!(f, "was there before and changed: {}", differs.join("; "))
            }
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

/// Compares two trees, path by path. What was there before the host began has to be what it was, or
/// what the expected tree has there.
#[must_use]
pub fn difference(expected: &Tree, found: &Tree, terms: &Terms) -> Difference {
    let mut difference = Difference::default();
    let (wanted, got) = (expected, found);
    let mut expected = wanted.entries().iter().peekable();
    let mut found = got.entries().iter().peekable();
    let gone = |(path, was): (_, &Was)| (was.now == Now::Gone).then_some(path);
    let mut gone = terms.before.iter().filter_map(gone).peekable();
    loop {
        let paths = [
            expected.peek().map(|entry| &entry.path),
            found.peek().map(|entry| &entry.path),
            gone.peek().copied(),
        ];
        let Some(path) = paths.into_iter().flatten().min() else { return difference };
        let gone = gone.next_if_eq(&path).is_some();
        let left = expected.next_if(|entry| entry.path == *path);
        let right = found.next_if(|entry| entry.path == *path);
        let differs = match (left, right) {
            (Some(expected), Some(found)) => compare(expected, found, got, terms),
            (Some(expected), None) if expected.metadata.is_none() && was_left(path, terms) => {
                Vec::new()
            }
            (Some(_), None) => vec![Differs::Missing],
            (None, Some(_)) => unexpected(path, terms),
            (None, None) if gone && !below_other(path, wanted) => vec![Differs::Gone],
            (None, None) => Vec::new(),
        };
        difference.add(path, differs);
    }
}

/// Returns whether a directory that no layer lists was there before, and was left as it was: making
/// something further down in it does not touch it.
fn was_left(path: &TreePath, terms: &Terms) -> bool {
    let was = terms.before.get(path).map(|was| &was.now);
    matches!(was, Some(Now::There(differs)) if differs.is_empty())
}

/// Compares what no image has with what was there before.
fn unexpected(path: &TreePath, terms: &Terms) -> Vec<Differs> {
    match terms.before.get(path).map(|was| &was.now) {
        Some(Now::There(differs)) if differs.is_empty() => Vec::new(),
        Some(Now::There(differs)) => vec![Differs::Changed(differs.clone())],
        Some(Now::Gone) | None => vec![Differs::Extra],
    }
}

/// Returns whether a tree has something else than a directory above a path: whoever makes that
/// removes what is there.
fn below_other(path: &TreePath, tree: &Tree) -> bool {
    let mut above = split(path.bytes()).0;
    while !above.is_empty() {
        if tree.get(above).is_some_and(|entry| entry.kind != EntryKind::Directory) {
            return true;
        }
        above = split(above).0;
    }
    false
}

fn compare(expected: &TreeEntry, found: &TreeEntry, tree: &Tree, terms: &Terms) -> Vec<Differs> {
    let mut differs = kinds(&expected.kind, &found.kind);
    if differs.iter().any(|differs| matches!(differs, Differs::Type { .. })) {
        return differs;
    }
    let was = terms.before.get(&found.path).filter(|was| was.now != Now::Gone);
    match (expected.metadata, found.metadata) {
        (Some(wanted), Some(got)) => differs.extend(metadata(wanted, got, terms)),
        // What was there before has the mode, owner and attributes that its owner gave it.
        (None, _) if was.is_some() => return unexpected(&found.path, terms),
        (None, Some(got)) => {
            differs.extend(implied(got, inherits_setgid(&found.path, tree, terms), terms))
        }
        (_, None) => {}
    }
    differs.extend(xattrs(expected, found, was, terms));
    differs
}

/// Compares a directory that no layer lists with what an unpacker makes; other layer bytes could
/// have listed it, writable for all.
///
/// Its group is free, for a setgid parent hands it down and it may not write.
fn implied(found: EntryMetadata, setgid: bool, terms: &Terms) -> Vec<Differs> {
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

/// Compares attributes. Those that a directory had before, and that the image does not set, stay.
fn xattrs(
    expected: &TreeEntry,
    found: &TreeEntry,
    was: Option<&Was>,
    terms: &Terms,
) -> impl Iterator<Item = Differs> {
    let counts = |xattr: &&Xattr| {
        (terms.user_xattrs || !xattr.name.starts_with(b"user."))
            && (terms.access_lists || !is_access_list(&xattr.name))
    };
    let mode = expected.metadata.map_or(0, |metadata| metadata.mode);
    let kept = |Xattr { name, value }: &Xattr| {
        Some(Xattr { value: acl::kept(name, value, mode)?, name: name.clone() })
    };
    let unset = |had: &&Xattr| !expected.xattrs.iter().any(|xattr| xattr.name == had.name);
    let had = was.map(|was| was.attributes.as_slice()).unwrap_or_default();
    let stays: Vec<Xattr> = had.iter().filter(unset).filter_map(kept).collect();
    let got: BTreeSet<&Xattr> = found.xattrs.iter().filter(counts).collect();
    // `trusted.*` may be missing, for containerd sets none of them, and labels, for the machine has
    // its own; but none may be there without a layer that says so.
    let set = |xattr: &&Xattr| {
        !(xattr.name.starts_with(b"trusted.") || is_label(&xattr.name))
            || got.iter().any(|found| found.name == xattr.name)
    };
    let wanted: BTreeSet<&Xattr> =
        expected.xattrs.iter().filter(set).chain(&stays).filter(counts).collect();
    let names: BTreeSet<&[u8]> =
        wanted.symmetric_difference(&got).map(|xattr| &*xattr.name).collect();
    let names: Vec<Differs> = names.into_iter().map(|name| Differs::Xattr(name.into())).collect();
    names.into_iter()
}

fn kinds(expected: &EntryKind, found: &EntryKind) -> Vec<Differs> {
    match (expected, found) {
        _ if expected == found => Vec::new(),
        (EntryKind::File { size: expected, .. }, EntryKind::File { size: found, .. })
            if expected != found =>
        {
            vec![Differs::Size { expected: *expected, found: *found }]
        }
        (EntryKind::File { .. }, EntryKind::File { .. }) => vec![Differs::Content],
        (EntryKind::Symlink { target: expected }, EntryKind::Symlink { target: found }) => {
            vec![Differs::Target { expected: expected.clone(), found: found.clone() }]
        }
        (EntryKind::CharDevice { .. }, EntryKind::CharDevice { .. })
        | (EntryKind::BlockDevice { .. }, EntryKind::BlockDevice { .. }) => {
            vec![Differs::Device]
        }
        _ => vec![Differs::Type { expected: expected.word(), found: found.word() }],
    }
}

fn metadata(expected: EntryMetadata, found: EntryMetadata, terms: &Terms) -> Vec<Differs> {
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
