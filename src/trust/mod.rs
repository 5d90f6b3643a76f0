//! Whether bytes may be trusted: keys, authorities, and the checker, which alone makes a [`VerifiedSignature`].
//!
//! Pure. No clock, no network: what is needed is passed in. Cryptography is aws-lc-rs's.

mod algorithm;
mod checker;
mod import;
mod key;
mod private_key;
mod sealed;

pub use algorithm::KeyAlgorithm;
pub use checker::{Format, Held, Requirements, VerifiedSignature, check_bundle, check_message};
pub use key::PublicKey;
pub use private_key::{KeyPair, PrivateKey};

/// Somebody whose signatures count, under the name that the policy gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The name in the policy; `COSIGN_PUBLIC_KEY_LOCATION` for the environment's key.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}
