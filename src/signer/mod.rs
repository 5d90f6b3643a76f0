//! Whoever signs, as a value: has something by which our own checker knows it, and signs what it is
//! given, with everything that belongs beside the signature.
//!
//! The flows (`push`, `blob`) know nothing else of keys, certificates and logs.

use crate::class::{Class, Failure};
use crate::session::Connections;
use crate::trust::{
    Authority, CertificateLog, Checker, MessageDigests, Needs, PrivateKey, Requirements, Roots,
};
use crate::wire::{self, Signed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

/// The name of our own signer when our own checker is asked.
const SELF: &str = "this signer";

/// Whoever signs.
#[derive(Debug)]
pub struct Signer(Way);

#[derive(Debug)]
enum Way {
    Key(Box<Opening>),
}

/// A key that is open, or that another thread opens, which takes as long as a request or two.
#[derive(Debug)]
struct Opening {
    thread: Mutex<Option<JoinHandle<Result<PrivateKey, Failure>>>>,
    key: OnceLock<Result<PrivateKey, Failure>>,
}

impl Opening {
    /// Waits until it is open.
    fn key(&self) -> Result<&PrivateKey, Failure> {
        let opened = self.key.get_or_init(|| {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            let opened = thread.and_then(|thread| thread.join().ok());
            opened.unwrap_or_else(|| Err(Failure::new(Class::Internal, "no key was opened")))
        });
        opened.as_ref().map_err(Failure::clone)
    }
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
        let opening = Opening { thread: Mutex::new(None), key: OnceLock::from(Ok(key)) };
        Self(Way::Key(Box::new(opening)))
    }

    /// Begins to open a key, while the network works. Whether it opens shows when it is needed.
    pub fn opening(open: impl FnOnce() -> Result<PrivateKey, Failure> + Send + 'static) -> Self {
        let thread = Mutex::new(Some(std::thread::spawn(open)));
        Self(Way::Key(Box::new(Opening { thread, key: OnceLock::new() })))
    }

    /// Returns which digests of a file it signs; none where it has to be given the file whole.
    #[must_use]
    pub fn needs(&self) -> Option<Needs> {
        match &self.0 {
            // One that does not open says so when it signs.
            Way::Key(key) => key.key().ok()?.hash(),
        }
    }

    /// Returns how our own checker knows a signature by this signer.
    ///
    /// # Errors
    /// Those of signing, where it is not known before who that will be.
    pub async fn own(&self, connections: &Connections) -> Result<OwnCheck, Failure> {
        let authority = match &self.0 {
            Way::Key(key) => Authority::of_key(SELF, key.key()?.public().clone()),
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
            Way::Key(key) => signed(key.key()?, what),
        }
    }
}

fn signed(key: &PrivateKey, what: ToSign<'_>) -> Result<Signed, Failure> {
    match what {
        ToSign::Payload(bytes) | ToSign::Whole(bytes) => key.signed(bytes),
        ToSign::Statement(statement) => key.signed(&wire::statement_to_sign(statement)),
        ToSign::File(digests) => {
            Ok(Signed::by_key(key.sign_hashed(digests)?, key.public().fingerprint().bytes()))
        }
    }
}
