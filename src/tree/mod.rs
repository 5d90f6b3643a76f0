//! The canonical tree: what the layers of an image say, what a directory holds, and how the two
//! differ.
//!
//! Pure: layers come as `impl Read`, directories as trees that `dest` walked; nothing here touches
//! a file. An image has two meanings: that of the OCI image specification ("layer.md"), and what
//! the host makes of it (go-containerregistry 0.20.6 and containerd
//! 1.7.27, read in source and recorded in `tests/tree/`). A tree equal to either is what was
//! verified. Where they agree, the tree has a digest: `docs/tree-digest.md`.

mod acl;
mod archive;
mod difference;
mod digest;
mod entry;
mod expected;
mod files;
mod header;
mod host;
mod layer;
mod oci;
mod pax;
mod single;
mod sparse;
mod stream;

pub use acl::{Writer, writers};
pub use difference::{Difference, Differs, Now, Terms, Was, difference};
pub use entry::{
    EntryKind, EntryMetadata, Tree, TreeEntry, TreePath, Xattr, changed_attributes, is_label,
    same_attribute, shown, xattr_counts,
};
pub use expected::{Accepted, ExpectedTree, Meaning, check_diff_ids, flatten};
pub use layer::{Layer, Limits, read_layer};
pub use single::{Single, failure_of, read_single};
