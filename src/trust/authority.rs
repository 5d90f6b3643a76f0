//! Someone whose signatures count.

use super::certificate::Certificate;
use super::identity::Identity;
use super::key::PublicKey;
use super::root::TrustedRoot;
use super::signer_id::SignerId;
use crate::class::{Class, Failure};
use crate::name::{Digest, Repository};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Someone whose signatures count, under the name that the policy gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The name in the policy; `COSIGN_PUBLIC_KEY_LOCATION` for the environment's key.
    pub name: String,
    /// What shows that a signature is theirs.
    pub signer: AuthorityKind,
    /// Which trusted root knows the authorities and logs behind their signatures: none for the
    /// default one.
    pub root: Option<String>,
}

/// What shows that a signature is someone's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityKind {
    /// A key.
    Key {
        /// The key.
        key: PublicKey,
        /// Whether the signature must have been logged.
        logged: bool,
    },
    /// A certificate of theirs: keyless.
    Certificate(Identity),
}

impl Authority {
    /// Returns who signs by a key, logged or not.
    #[must_use]
    pub fn of_key(name: impl Into<String>, key: PublicKey) -> Self {
        Self { name: name.into(), signer: AuthorityKind::Key { key, logged: false }, root: None }
    }

    /// Returns who signs by a certificate, judged by the default trusted root.
    #[must_use]
    pub fn of_identity(identity: Identity) -> Self {
        Self {
            name: identity.to_string(),
            signer: AuthorityKind::Certificate(identity),
            root: None,
        }
    }

    /// Returns the key, where it is one.
    #[must_use]
    pub fn key(&self) -> Option<&PublicKey> {
        match &self.signer {
            AuthorityKind::Key { key, .. } => Some(key),
            AuthorityKind::Certificate(_) => None,
        }
    }

    /// Returns the identity, where it is one.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        match &self.signer {
            AuthorityKind::Key { .. } => None,
            AuthorityKind::Certificate(identity) => Some(identity),
        }
    }

    /// Returns what stands for it where authorities are counted: two with one fingerprint are one.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        match &self.signer {
            AuthorityKind::Key { key, .. } => *key.fingerprint(),
            AuthorityKind::Certificate(identity) => identity.fingerprint(),
        }
    }

    /// Whether its signatures are checked by a trusted root.
    #[must_use]
    pub fn needs_root(&self) -> bool {
        matches!(
            self.signer,
            AuthorityKind::Key { logged: true, .. } | AuthorityKind::Certificate(_)
        )
    }

    /// Whether a signature by someone, who did not sign yet, would be theirs.
    #[must_use]
    pub fn would_accept(&self, prospect: &Prospect<'_>) -> bool {
        match (&self.signer, prospect) {
            (
                AuthorityKind::Key { key, logged: must_be_logged },
                Prospect::Key { key: their_key, logged },
            ) => key.fingerprint() == their_key.fingerprint() && (*logged || !must_be_logged),
            (AuthorityKind::Certificate(identity), Prospect::Certificate(certificate)) => {
                identity.fits(certificate)
            }
            (AuthorityKind::Key { .. }, Prospect::Certificate(_))
            | (AuthorityKind::Certificate(_), Prospect::Key { .. }) => false,
        }
    }

    /// Returns the authority for an image of this repository: see [`Identity::of_image`].
    #[must_use]
    pub fn of_image(&self, repository: &Repository) -> Self {
        match &self.signer {
            AuthorityKind::Key { .. } => self.clone(),
            AuthorityKind::Certificate(identity) => Self {
                signer: AuthorityKind::Certificate(identity.of_image(repository)),
                ..self.clone()
            },
        }
    }
}

/// Someone who is going to sign: what a policy can be asked about before there is a signature. It
/// proves nothing.
#[derive(Clone, Copy, Debug)]
pub enum Prospect<'a> {
    /// By a key.
    Key {
        /// The key.
        key: &'a PublicKey,
        /// Whether the signature will be logged.
        logged: bool,
    },
    /// By a certificate that will say this: [`Certificate::expected`].
    Certificate(&'a Certificate),
}

impl fmt::Display for Prospect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { key, .. } => write!(f, "key {}", key.fingerprint().short()),
            Self::Certificate(certificate) => {
                write!(f, "`{}` (issuer `{}`)", certificate.subject(), certificate.issuer())
            }
        }
    }
}

/// What people read behind the name: which key, or whose certificate.
impl fmt::Display for AuthorityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { key, logged: false } => write!(f, "key {}", key.fingerprint().short()),
            Self::Key { key, logged: true } => {
                write!(f, "key {}, logged", key.fingerprint().short())
            }
            Self::Certificate(identity) => identity.fmt(f),
        }
    }
}

/// The trusted roots at hand, by the name that authorities use for them, or why one is not.
#[derive(Clone, Debug, Default)]
pub struct TrustedRoots(BTreeMap<Option<String>, Result<Arc<TrustedRoot>, Failure>>);

impl TrustedRoots {
    /// Puts a root in.
    pub fn insert(&mut self, name: Option<String>, root: Result<Arc<TrustedRoot>, Failure>) {
        self.0.insert(name, root);
    }

    /// Whether it is known what became of this one.
    #[must_use]
    pub fn has(&self, name: Option<&String>) -> bool {
        self.0.contains_key(&name.cloned())
    }

    /// Returns a root.
    ///
    /// # Errors
    /// Why it is not there; `internal`: nobody asked for it.
    pub fn get(&self, name: Option<&String>) -> Result<&TrustedRoot, Failure> {
        match self.0.get(&name.cloned()) {
            Some(Ok(root)) => Ok(root),
            Some(Err(failure)) => Err(failure.clone()),
            None => Err(Failure::new(
                Class::Internal,
                "a signature was checked without its trusted root",
            )),
        }
    }
}

/// Who made a signature, as it was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proven {
    Key(Digest),
    /// A certificate, and the trusted roots under which it holds: another one can know another
    /// authority, which says nothing to those who name this one.
    Certificate(Box<Certificate>, Vec<Option<String>>),
}

impl Proven {
    /// Returns what stands for the signer where signers are counted and remembered.
    pub(super) fn signer_id(&self) -> SignerId {
        match self {
            Self::Key(fingerprint) => SignerId::of_key(*fingerprint),
            Self::Certificate(certificate, _) => certificate.signer_id(),
        }
    }

    /// Returns the certificate, where one signed.
    pub(super) fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Key(_) => None,
            Self::Certificate(certificate, _) => Some(certificate),
        }
    }

    /// Returns the fingerprint of the key, where one signed.
    pub(super) fn key(&self) -> Option<&Digest> {
        match self {
            Self::Key(fingerprint) => Some(fingerprint),
            Self::Certificate(..) => None,
        }
    }

    /// Whether it is this authority.
    pub(super) fn is(&self, authority: &Authority) -> bool {
        match (self, &authority.signer) {
            (Self::Key(fingerprint), AuthorityKind::Key { key, .. }) => {
                key.fingerprint() == fingerprint
            }
            (Self::Certificate(certificate, roots), AuthorityKind::Certificate(identity)) => {
                roots.contains(&authority.root) && identity.fits(certificate)
            }
            _ => false,
        }
    }
}
