//! What Sigstore's services give: trusted roots, and entries of logs. No request is made to verify
//! a signature, but for a newer root where one is missing an authority or a log, and for the entry
//! of a file's signature that lies beside none.

mod cache;
mod mirror;
mod rekor;
mod roots;

pub use mirror::Mirror;
pub use rekor::{EntryName, Rekor};
pub use roots::{EMBEDDED, Refreshed, Roots, Settings, Source};
