//! What Sigstore's services give: trusted roots. No request is made to verify a signature, but for a newer root where one is
//! missing an authority or a log.

mod cache;
mod mirror;
mod roots;

pub use mirror::Mirror;
pub use roots::{EMBEDDED, Refreshed, Roots, Settings, Source};
