//! Names: registries, repositories, tags, digests, references, and the scopes that rules are about.
//!
//! Pure. A value of a type of this room is valid and canonical; there is no other way to make one
//! than to parse it. Grammar: OCI distribution-spec 1.1 "Pulling manifests", read as
//! go-containerregistry reads it (which luet and cosign use): a first path element is a registry
//! iff it has a `.` or `:` (`localhost` alone is none).

mod digest;
mod file_digest;
mod reference;
mod repository;
mod scope;

pub use digest::Digest;
pub(crate) use digest::hex;
pub use file_digest::FileDigest;
pub use reference::{Reference, Subject, Tag};
pub use repository::{Registry, Repository};
pub use scope::{Scope, ScopeRank, TagGlob, TagRank};
