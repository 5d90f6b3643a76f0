//! What signatures look like: the signed payload, the manifests that carry signatures, and our own claims.
//!
//! Pure: bytes in, values out, and back. Nothing here is trusted yet; whoever decides that is `trust`.
//! Formats: `reference/cosign.md` section 1; cosign `specs/SIGNATURE_SPEC.md`.

pub mod json;
mod payload;
mod referrer;
mod signatures;

pub use payload::{Claims, Payload};
pub use referrer::{Referrer, SIGN_PREDICATE, bundle_predicate};
pub use signatures::{LegacyCandidate, Signatures};
