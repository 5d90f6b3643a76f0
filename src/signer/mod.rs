//! Whoever signs, as a value: has something by which our own checker knows it, and signs what it is
//! given, with everything that belongs beside the signature.
//!
//! The flows (`push`, `blob`) know nothing else of keys, certificates and logs.

use crate::class::Failure;
use crate::session::Connections;
use crate::trust::{
    Authority, CertificateLog, Checker, MessageDigests, Needs, PrivateKey, Requirements, Roots,
};
use crate::wire::{self, Signed};

/// The name of our own signer when our own checker is asked.
const SELF: &str = "this signer";

/// Whoever signs.
#[derive(Debug)]
pub struct Signer(Way);

#[derive(Debug)]
enum Way {
    Key(Box<PrivateKey>),
}

/// What is to be signed, and in which form it will lie there.
#[derive(Clone, Copy, Debug)]
pub enum ToSign<'a> {
    /// The payload of a legacy signature, as it is.
    Payload(&'a [u8]),
    /// A statement, in an envelope.
    Statement(&'a [u8]),
    /// A file, by the digests that [`Signer::needs`] asks for.
    File(&'a MessageDigests),
    /// A file that is held whole, for a signer that needs no digest but the file.
    Whole(&'a [u8]),
}

/// What our own checker holds a signature by this signer against.
#[derive(Debug)]
pub struct OwnCheck {
    authorities: [Authority; 1],
    requirements: Requirements,
    roots: Roots,
    certificate_log: CertificateLog,
}

impl OwnCheck {
    /// Returns the checker. Each has a budget of its own.
    #[must_use]
    pub fn checker(&self) -> Checker<'_> {
        Checker {
            roots: self.roots.clone(),
            certificate_log: self.certificate_log,
            ..Checker::new(&self.authorities, &self.requirements)
        }
    }
}

impl Signer {
    /// Returns who signs by a key; no log is told.
    #[must_use]
    pub fn of_key(key: PrivateKey) -> Self {
        Self(Way::Key(Box::new(key)))
    }

    /// Returns which digests of a file it signs; none where it has to be given the file whole.
    #[must_use]
    pub fn needs(&self) -> Option<Needs> {
        match &self.0 {
            Way::Key(key) => key.hash(),
        }
    }

    /// Returns how our own checker knows a signature by this signer.
    ///
    /// # Errors
    /// Those of signing, where it is not known before who that will be.
    pub async fn own(&self, connections: &Connections) -> Result<OwnCheck, Failure> {
        let authority = match &self.0 {
            Way::Key(key) => Authority::of_key(SELF, key.public().clone()),
        };
        Ok(OwnCheck {
            roots: if authority.needs_root() {
                connections.roots().load([authority.root.as_ref()]).await
            } else {
                Roots::default()
            },
            authorities: [authority],
            requirements: Requirements::default(),
            certificate_log: connections.certificate_log(),
        })
    }

    /// Signs. What comes back was accepted by our own checker.
    ///
    /// # Errors
    /// `unsupported`: a key that signs no digest was given no more. `internal`: no randomness.
    pub async fn sign(
        &self,
        _connections: &Connections,
        what: ToSign<'_>,
    ) -> Result<Signed, Failure> {
        match &self.0 {
            Way::Key(key) => match what {
                ToSign::Payload(bytes) | ToSign::Whole(bytes) => key.signed(bytes),
                ToSign::Statement(statement) => key.signed(&wire::statement_to_sign(statement)),
                ToSign::File(digests) => Ok(Signed::by_key(
                    key.sign_hashed(digests)?,
                    key.public().fingerprint().bytes(),
                )),
            },
        }
    }
}
