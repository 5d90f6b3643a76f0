//! Whether bytes may be trusted: keys, authorities, and the checker, which alone makes a
//! [`VerifiedSignature`].
//!
//! Pure. No network, and the time is passed in. The exception is sigstore-verify: while it checks
//! a bundle it reads the clock itself, for dates that lie ahead. Cryptography is aws-lc-rs's.

mod algorithm;
mod atoms;
mod attestation;
mod authority;
mod budget;
mod certificate;
mod chain;
mod checker;
mod entry;
mod evidence;
mod expression;
mod file;
mod github;
mod identity;
mod import;
mod issued;
mod key;
mod keyless;
mod log;
mod message;
mod pieces;
mod private_key;
mod proof;
mod request;
mod root;
mod sealed;
mod signer_id;
mod signing;
mod timestamp;

pub use algorithm::KeyAlgorithm;
pub use attestation::{Attestation, AttestedFile, PredicateType, SignedAttestation};
pub use authority::{Authority, AuthorityKind, Prospect, TrustedRoots};
pub use budget::Budget;
pub use certificate::{Certificate, SubjectName};
pub use checker::{
    Checker, Format, Held, Requirements, VerifiedSignature, check_bundle, check_message,
};
pub use entry::MessageDigests;
pub use evidence::Unread;
pub use expression::{Allowance, Name, NameNearMiss, TextMatcher};
pub use file::{
    LoggedAt, SignedFile, VerifiedFile, check_claimed, check_made, needs, signed_digest,
};
pub use github::{GithubWorkflow, WorkflowName};
pub use identity::{Forge, Identity, RunClaims};
pub use issued::{ExpectedCertificate, IssuedCertificate};
pub use key::PublicKey;
pub use keyless::{CertificateLog, Certified, LegacyCertified, Rejected};
pub use log::VerifiedEntry;
pub use message::{Ed25519, Hasher, Message, Needs};
pub use pieces::Pieces;
pub use private_key::{KeyPair, PrivateKey};
pub use request::{StampRequest, certificate_request};
pub use root::TrustedRoot;
pub use signer_id::{Recognition, SignerId, SourceRepository};
pub use signing::{Purpose, Reading, SignedMessage};
