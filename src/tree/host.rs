//! What the host makes of layers: go-containerregistry 0.20.6 `mutate.Extract`, then containerd
//! 1.7.27 `archive.Apply`.
//!
//! Extract goes from the top layer down and lets the first entry of a name through, so that of two
//! in one layer the first wins and a lower directory comes after what the upper layers put in it.
//! An opaque whiteout removes nothing. Apply then unpacks the one archive that this makes. Recorded
//! from the real libraries: `tests/tree/`.

use super::entry::{EntryKind, EntryMetadata, Tree, Xattr};
use super::files::{FileSystem, Inode, malformed};
use super::layer::{Layer, LayerChange, Record, Whiteout, split};
use super::oci::{inode, join, resolve_target};
use crate::class::Failure;
use std::borrow::Cow;
use std::collections::HashMap;

/// Extract has one stream, so to Apply all entries are of one layer.
const ONE_LAYER: usize = 0;

/// Returns what the host makes of the layers, the lowest first.
pub(super) fn flatten(layers: &[Layer]) -> Result<Tree, Failure> {
    let mut seen = SeenNames::default();
    let mut files = FileSystem::default();
    let mut directories = Vec::new();
    for record in layers.iter().rev().flat_map(|layer| &layer.records) {
        if seen.lets_through(record) {
            apply(&mut files, record)?;
            if record.is_directory() {
                directories.push(&record.path);
            }
        }
    }
    for path in directories {
        // Apply sets the times of directories at the end and fails where one is gone.
        if !files.is_directory(path) && files.get(&files.resolve(path)?).is_none() {
            return Err(malformed(
                path,
                "is a directory that a later entry replaces, which the host cannot unpack",
            ));
        }
    }
    files.into_tree()
}

/// The names that Extract has handled, as written, and whether each hides what lower layers have
/// below it.
#[derive(Default)]
struct SeenNames<'a> {
    relative: HashMap<Cow<'a, [u8]>, bool>,
    /// Names that began with `/`, which Extract takes for others.
    rooted: HashMap<Cow<'a, [u8]>, bool>,
}

impl<'a> SeenNames<'a> {
    /// Returns whether Extract passes the entry on.
    fn lets_through(&mut self, record: &'a Record) -> bool {
        let names = if record.rooted { &mut self.rooted } else { &mut self.relative };
        let whiteout = record.whiteout();
        let name: Cow<'a, [u8]> = match &whiteout {
            // A directory with the name of a whiteout hides itself, not what it names.
            Some(_) if record.is_directory() => Cow::Borrowed(&record.path),
            Some(Whiteout::Name(name)) => Cow::Owned(join(record.split().0, name)),
            Some(Whiteout::Opaque) => Cow::Owned(join(record.split().0, b".wh..opq")),
            None => Cow::Borrowed(&record.path),
        };
        if names.contains_key(&name) || hidden(names, &name) {
            return false;
        }
        names.insert(name, whiteout.is_some() || !record.is_directory());
        whiteout.is_none()
    }
}

fn hidden(names: &HashMap<Cow<'_, [u8]>, bool>, name: &[u8]) -> bool {
    let mut above = split(name).0;
    while !above.is_empty() {
        if names.get(above) == Some(&true) {
            return true;
        }
        above = split(above).0;
    }
    false
}

/// Does what Apply does with one entry.
fn apply(files: &mut FileSystem, record: &Record) -> Result<(), Failure> {
    let (directory, name) = record.split();
    let directory = files.resolve_parent(directory)?;
    files.make_directories(&directory, ONE_LAYER)?;
    let path = join(&directory, name);
    let merges = record.is_directory() && files.is_directory(&path);
    if !merges && files.get(&path).is_some() {
        files.remove(&path);
    }
    match &record.what {
        LayerChange::Object(EntryKind::Directory) if merges => {}
        LayerChange::Object(kind) => {
            let mut inode = inode(record, kind);
            inode.xattrs.clear();
            files.put(&path, inode, ONE_LAYER);
        }
        LayerChange::Link(target) => {
            let target = resolve_target(files, target)?;
            if !files.link(&target, &path, ONE_LAYER) {
                return Err(malformed(
                    &record.path,
                    "is a hard link to what the host does not have yet",
                ));
            }
        }
        LayerChange::Note => return Ok(()),
    }
    if let Some(inode) = files.get_mut(&path) {
        set_attributes(inode, record);
    }
    Ok(())
}

/// Sets owner, attributes and mode in the order of Apply; a hard link's change the object that it
/// names.
fn set_attributes(inode: &mut Inode, record: &Record) {
    let mode =
        if matches!(inode.kind, EntryKind::Symlink { .. }) { 0o777 } else { record.metadata.mode };
    inode.metadata = Some(EntryMetadata { mode, ..record.metadata });
    if inode.kind != EntryKind::Directory {
        // chown(2) drops the capabilities of a file, to the same owner too.
        inode.xattrs.retain(|xattr| &*xattr.name != b"security.capability");
    }
    for Xattr { name, value } in &record.xattrs {
        inode.xattrs.retain(|xattr| xattr.name != *name);
        inode.xattrs.push(Xattr { name: name.clone(), value: value.clone() });
    }
    inode.xattrs.sort_unstable();
}
