//! The first root of a TUF repository, which the user pins with `TUF_ROOT_JSON`: read, or called
//! what it is instead.

use crate::class::{Class, Failure};
use crate::wire::FileKind;
use sigstore_tuf::TrustedMetadataSet;

/// Reads a root that signed itself.
///
/// # Errors
/// `trustroot`: it is none, and what it is instead.
pub(super) fn read(bytes: &[u8]) -> Result<TrustedMetadataSet, Failure> {
    TrustedMetadataSet::from_root(bytes).map_err(|error| {
        let failure = |is: String| Failure::new(Class::Trustroot, format!("TUF_ROOT_JSON {is}"));
        match FileKind::of(bytes) {
            FileKind::TrustedRoot => failure(
                "is a trusted root; expected the first root of a TUF repository".into(),
            )
            .hint(
                "name this file with COSIGN_TRUSTED_ROOT, and unset TUF_MIRROR and TUF_ROOT_JSON",
            ),
            FileKind::Tuf(role) if role != "root" => {
                failure(format!("is TUF metadata of the role `{role}`; expected `root`"))
                    .hint("take `1.root.json` from whoever runs the repository")
            }
            FileKind::Tuf(_) => {
                failure(format!("is a root that is not signed by enough of its own keys: {error}"))
                    .hint("take the file again from whoever runs the repository, unchanged")
            }
            kind => failure(format!("is {kind}; expected the first root of a TUF repository"))
                .hint("take `1.root.json` from whoever runs the repository, as it is"),
        }
    })
}
