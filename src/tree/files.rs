//! A file system in memory: what an unpacker would have on disk after the entries so far. Never
//! touches a file.
//!
//! Paths are clean and relative; the root is the empty path. Names of one hard link share an inode.

use super::acl;
use super::entry::{EntryKind, EntryMetadata, Tree, TreeEntry, TreePath, Xattr, is_label, shown};
use super::layer::{held_bytes, split, too_much_metadata};
use crate::class::{Class, Failure};
use crate::limits;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The file system.
#[derive(Default)]
pub(super) struct FileSystem {
    names: BTreeMap<Vec<u8>, Name>,
    inodes: Vec<Inode>,
    /// Bytes of the paths of directories that no entry lists: one deep path makes many.
    implied: usize,
    /// The directory that was resolved last, as written and as found: entries of one directory
    /// follow one another.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

/// One name in the file system.
#[derive(Clone, Copy)]
struct Name {
    inode: usize,
    /// The number of the last layer that made this name or one below it.
    layer: usize,
}

/// What names lead to.
#[derive(Clone)]
pub(super) struct Inode {
    pub(super) kind: EntryKind,
    /// `None`: a directory that no entry listed.
    pub(super) metadata: Option<EntryMetadata>,
    pub(super) xattrs: Vec<Xattr>,
}

impl Inode {
    fn implied() -> Self {
        Self { kind: EntryKind::Directory, metadata: None, xattrs: Vec::new() }
    }

    /// Returns how many bytes its target and attributes have.
    fn bytes(&self) -> usize {
        let target = if let EntryKind::Symlink { target } = &self.kind { target.len() } else { 0 };
        target + held_bytes(&self.xattrs)
    }
}

impl FileSystem {
    pub(super) fn get(&self, path: &[u8]) -> Option<&Inode> {
        self.inodes.get(self.names.get(path)?.inode)
    }

    pub(super) fn get_mut(&mut self, path: &[u8]) -> Option<&mut Inode> {
        self.inodes.get_mut(self.names.get(path)?.inode)
    }

    pub(super) fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || self.get(path).is_some_and(|inode| inode.kind == EntryKind::Directory)
    }

    /// Resolves every link in `path`, inside the root; names that are not there stand for
    /// themselves.
    ///
    /// As containerd's `fs.RootPath` and umoci's `SecureJoin`, but what would lead out of the root
    /// is refused, not bent back.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut rest: Vec<Vec<u8>> =
            path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut done: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." if done.is_empty() => {
                    return Err(malformed(path, "leads out of the root through a symlink"));
                }
                b".." => {
                    done.truncate(split(&done).0.len());
                    continue;
                }
                _ => {}
            }
            let length = done.len();
            if !done.is_empty() {
                done.push(b'/');
            }
            done.extend_from_slice(&name);
            let Some(Inode { kind: EntryKind::Symlink { target }, .. }) = self.get(&done) else {
                continue;
            };
            links += 1;
            if links > limits::TREE_LINKS {
                return Err(malformed(path, "leads through too many symlinks"));
            }
            done.truncate(if target.starts_with(b"/") { 0 } else { length });
            rest.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
        }
        Ok(done)
    }

    /// Resolves a directory in which something is to be made or removed.
    pub(super) fn resolve_parent(&mut self, directory: &[u8]) -> Result<Vec<u8>, Failure> {
        if let Some((written, found)) =
            self.last.as_ref().filter(|(written, _)| written == directory)
        {
            debug_assert_eq!(self.resolve(written).as_ref(), Ok(found));
            return Ok(found.clone());
        }
        let found = self.resolve(directory)?;
        if self.is_directory(&found) {
            self.last = Some((directory.to_vec(), found.clone()));
        }
        Ok(found)
    }

    /// Makes a directory and those above it where they are missing, listed by no entry.
    pub(super) fn make_directories(&mut self, path: &[u8], layer: usize) -> Result<(), Failure> {
        if path.is_empty() {
            return Ok(());
        }
        match self.get(path).map(|inode| inode.kind == EntryKind::Directory) {
            Some(true) => Ok(()),
            Some(false) => Err(malformed(path, "is not a directory, but an entry is below it")),
            None => {
                self.implied = self.implied.saturating_add(path.len());
                if self.implied > limits::TREE_METADATA_BYTES {
                    return Err(too_much_metadata());
                }
                self.make_directories(split(path).0, layer)?;
                self.put(path, Inode::implied(), layer);
                Ok(())
            }
        }
    }

    /// Makes a new object where there is none.
    pub(super) fn put(&mut self, path: &[u8], inode: Inode, layer: usize) {
        self.names.insert(path.to_vec(), Name { inode: self.inodes.len(), layer });
        self.inodes.push(inode);
        self.touch(path, layer);
    }

    /// Gives an object another name. `false`: there is no such object, or it is a directory.
    pub(super) fn link(&mut self, target: &[u8], path: &[u8], layer: usize) -> bool {
        if self.is_directory(target) {
            return false;
        }
        let Some(name) = self.names.get(target).copied() else { return false };
        self.names.insert(path.to_vec(), Name { inode: name.inode, layer });
        self.touch(path, layer);
        true
    }

    /// Notes that `layer` made or changed a name, hence all above it.
    pub(super) fn touch(&mut self, path: &[u8], layer: usize) {
        if let Some(name) = self.names.get_mut(path) {
            name.layer = layer;
        }
        let mut above = split(path).0;
        while let Some(name) = self.names.get_mut(above).filter(|name| name.layer != layer) {
            name.layer = layer;
            above = split(above).0;
        }
    }

    /// Removes a name and all below it.
    pub(super) fn remove(&mut self, path: &[u8]) {
        self.remove_below(path, |_| true);
        self.names.remove(path);
    }

    /// Removes what is below a directory and was not made by `layer`, and the directory itself
    /// where `whole` and not either.
    pub(super) fn remove_lower(&mut self, path: &[u8], layer: usize, whole: bool) {
        self.remove_below(path, |name| name.layer != layer);
        if whole && self.names.get(path).is_some_and(|name| name.layer != layer) {
            self.names.remove(path);
        }
    }

    fn remove_below(&mut self, path: &[u8], gone: impl Fn(&Name) -> bool) {
        self.last = None;
        // Below `a` is what starts with `a/`, and `0` follows `/`.
        let edge = |last: u8| [path, &[last]].concat();
        let range = if path.is_empty() {
            (Bound::Unbounded, Bound::Unbounded)
        } else {
            (Bound::Excluded(edge(b'/')), Bound::Excluded(edge(b'0')))
        };
        self.names.extract_if(range, |_, name| gone(name)).for_each(drop);
    }

    /// Turns the file system into a tree.
    pub(super) fn into_tree(self) -> Result<Tree, Failure> {
        let Self { names, inodes, .. } = self;
        let mut left = limits::TREE_METADATA_BYTES;
        let entry = |(path, name): (Vec<u8>, Name)| {
            let inode = inodes
                .get(name.inode)
                .ok_or_else(|| Failure::new(Class::Internal, "a name without an inode"))?;
            // Each name of a hard link has a copy.
            left = left.checked_sub(path.len() + inode.bytes()).ok_or_else(too_much_metadata)?;
            let inode = inode.clone();
            let Inode { kind, metadata, mut xattrs } = inode;
            xattrs.retain(|xattr| kind.has_xattrs() || is_label(&xattr.name));
            let mode = metadata.map_or(0, |metadata| metadata.mode);
            let kept = |Xattr { name, value }| {
                Some(Xattr { value: acl::kept(&name, &value, mode)?, name })
            };
            let xattrs = xattrs.into_iter().filter_map(kept).collect();
            Ok(TreeEntry { path: TreePath::new(path)?, kind, metadata, xattrs })
        };
        Tree::new(names.into_iter().map(entry).collect::<Result<_, Failure>>()?)
    }
}

/// Says what is wrong with one path of the layers.
pub(super) fn malformed(path: &[u8], why: &str) -> Failure {
    Failure::new(Class::Malformed, format!("in the layers, `{}` {why}", shown(path)))
}
