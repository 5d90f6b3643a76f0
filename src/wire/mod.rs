//! What signatures look like: the signed payload, the manifests that carry signatures, and our own
//! claims.
//!
//! Pure: bytes in, values out, and back. Nothing here is trusted yet; what decides that is
//! `trust`. Formats: cosign `specs/SIGNATURE_SPEC.md`.

mod attestations;
mod bundle;
mod checkpoint;
mod detached;
mod evidence;
mod fallback;
mod file_bundle;
mod file_image;
pub mod json;
mod kind;
mod payload;
mod proposed;
mod referrer;
mod rekor;
mod signatures;
mod signed;
mod sniff;
mod statement;

pub use attestations::{Attestations, read_attestations};
pub use bundle::{
    BUNDLE_TYPE, Bundle, BundleSource, Content, DsseEnvelope, Material, STATEMENT_TYPE,
    statement_to_sign, write_bundle, write_message_bundle,
};
pub use detached::{Detached, FileSignature, read_bundle, read_certificate_file, read_signature};
pub use evidence::{LegacyEvidence, LogEntry, read_certificates, read_timestamp};
pub use fallback::FallbackIndex;
pub use file_bundle::{write_certificate, write_old_bundle, write_signature};
pub use file_image::{FileLayer, FilePlatform, write_file_index};
pub use kind::FileKind;
pub use payload::{Payload, SignerClaims};
pub use proposed::{Verifier, propose_dsse, propose_hashedrekord, propose_v2, read_tlog_entry};
pub use referrer::{
    EMPTY_CONFIG, Referrer, SIGNATURE_TYPES, SubjectDescriptor, TypeHint, write_referrer,
};
pub use rekor::{LogAnswer, LogProof, LoggedEntry, hashedrekord, leaf_hash};
pub use signatures::{LegacyCandidate, Signatures};
pub use signed::{Signed, SignedBy, SignedEntry, certificate_pem};
pub use sniff::{SNIFFED_BYTES, media_type};
pub use statement::{
    About, SIGN_PREDICATE, Statement, StatementSubject, predicate, write_statement,
};
