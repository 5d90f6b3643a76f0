//! The OCI meaning of layers: from the lowest up, the last entry of a name wins, whiteouts remove
//! what lower layers made.
//!
//! OCI image-spec 1.1, layer.md, "Applying Changesets"; where it is silent, as umoci 0.4.7
//! (`oci/layer/tar_extract.go`), against which it is recorded in `tests/tree/`.

use super::entry::{EntryKind, Tree};
use super::files::{FileSystem, Inode, malformed};
use super::layer::{Layer, LayerChange, Record, Whiteout, split};
use crate::class::Failure;

/// Returns what the layers mean, the lowest first.
pub(super) fn flatten(layers: &[Layer]) -> Result<Tree, Failure> {
    let mut files = FileSystem::default();
    for (number, layer) in layers.iter().enumerate() {
        for record in &layer.records {
            apply(&mut files, record, number)?;
        }
    }
    files.into_tree()
}

fn apply(files: &mut FileSystem, record: &Record, layer: usize) -> Result<(), Failure> {
    if record.what == LayerChange::Note {
        return Ok(());
    }
    let (directory, name) = record.split();
    let directory = files.resolve_parent(directory)?;
    if let Some(whiteout) = record.whiteout() {
        match whiteout {
            Whiteout::Opaque => files.remove_lower(&directory, layer, false),
            Whiteout::Name(name) => files.remove_lower(&join(&directory, name), layer, true),
        }
        return Ok(());
    }
    files.make_directories(&directory, layer)?;
    let path = join(&directory, name);
    if record.is_directory() && files.is_directory(&path) {
        // Directories merge; the upper one's attributes replace the lower one's.
        if let Some(inode) = files.get_mut(&path) {
            inode.metadata = Some(record.metadata);
            inode.xattrs.clone_from(&record.xattrs);
        }
        files.touch(&path, layer);
        return Ok(());
    }
    if files.get(&path).is_some() {
        files.remove(&path);
    }
    match &record.what {
        LayerChange::Object(kind) => files.put(&path, inode(record, kind), layer),
        LayerChange::Link(target) => {
            let target = resolve_target(files, target)?;
            // A hard link has no attributes of its own: it is its target.
            if !files.link(&target, &path, layer) {
                return Err(malformed(&record.path, "is a hard link to what is not there"));
            }
        }
        LayerChange::Note => {}
    }
    Ok(())
}

/// Returns the object that an entry makes.
pub(super) fn inode(record: &Record, kind: &EntryKind) -> Inode {
    Inode { kind: kind.clone(), metadata: Some(record.metadata), xattrs: record.xattrs.clone() }
}

/// Resolves the target of a hard link: its directory, not itself.
pub(super) fn resolve_target(files: &FileSystem, target: &[u8]) -> Result<Vec<u8>, Failure> {
    let (directory, name) = split(target);
    Ok(join(&files.resolve(directory)?, name))
}

pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, name].join(&b'/') }
}
