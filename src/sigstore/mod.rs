//! What Sigstore's services give: trusted roots, and entries of logs. No request is made to verify a signature, but for a newer root
//! where one is missing an authority or a log, and for the entry of a file's signature that lies beside none.

mod rekor;
mod roots;

pub use rekor::{EntryName, Rekor};
pub use roots::{Roots, Settings, Source};
