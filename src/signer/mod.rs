//! The signer, as a value: has something by which our own checker knows it, and signs what it is
//! given, with everything that belongs beside the signature.
//!
//! The flows (`push`, `blob`) know nothing else of keys, certificates and logs. The order is fixed: a
//! certificate where one signs, signature, timestamp, log; then our own checker, on exactly what would
//! be written. What does not hold there leaves this room as an error.

mod file;
mod foresee;
mod kept;
mod keyless;
mod logged;
mod opening;
mod services;

pub use file::MadeSignature;
pub use foresee::Foreseen;
pub use keyless::Who;
pub use services::ServiceOptions;

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use crate::oidc::{ExpectedIdentity, TokenSource};
use crate::session::Connections;
use crate::sigstore::{LogService, LogVersion};
use crate::trust::{
    self, Authority, CertificateLog, Checker, Hasher, Held, Identity, MessageDigests, Needs,
    PrivateKey, Requirements, TextMatcher, TrustedRoots,
};
use crate::wire::{self, Bundle, BundleSource, Signatures, Signed, SignedBy};
use keyless::KeylessSigner;
use logged::Logs;
use opening::Opening;
use std::cell::RefCell;

/// The name of our own signer when our own checker is asked.
const SELF: &str = "this signer";
/// What to do about answers that do not hold.
const AGAIN: &str = "run it again; if it persists, ask the operator of these services, and check that the trusted root is theirs (--trusted-root)";

/// The signer.
#[derive(Debug)]
pub struct Signer {
    way: Way,
    /// Who is told of it.
    logs: Option<Logs>,
    notices: RefCell<Vec<String>>,
}

#[derive(Debug)]
enum Way {
    Key(Box<Opening>),
    Keyless(Box<KeylessSigner>),
}

/// What is to be signed, and in which form it will be there.
#[derive(Clone, Copy, Debug)]
pub enum ToSign<'a> {
    /// The payload of a legacy signature, as it is, and the image that it is about.
    Payload(&'a [u8], &'a Digest),
    /// A statement, in an envelope, and the image that it is about.
    Statement(&'a [u8], &'a Digest),
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
    roots: TrustedRoots,
    certificate_log: CertificateLog,
}

impl OwnCheck {
    /// Returns whom a policy has to trust that trusts this signer alone.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        let [authority] = &self.authorities;
        authority
    }

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
        Self::by_key(Opening::done(key))
    }

    /// Begins to open a key, while the network works. Whether it opens shows when it is needed.
    pub fn opening(open: impl FnOnce() -> Result<PrivateKey, Failure> + Send + 'static) -> Self {
        Self::by_key(Opening::begin(open))
    }

    /// Waits until the key is open, where there is one.
    ///
    /// Opening one takes 66 MiB for a moment, which the allocator gives back only if nothing else
    /// was allocated meanwhile. That matters to whoever goes on for long.
    ///
    /// # Errors
    /// `secret`: it does not open.
    pub fn wait(&self) -> Result<(), Failure> {
        match &self.way {
            Way::Key(key) => key.key().map(|_| ()),
            Way::Keyless(_) => Ok(()),
        }
    }

    fn by_key(key: Opening) -> Self {
        Self { way: Way::Key(Box::new(key)), logs: None, notices: RefCell::default() }
    }

    /// Returns the same, telling a log. Nobody is asked anything yet but, where nothing names the log,
    /// the TUF repository.
    ///
    /// # Errors
    /// `usage`, `trustroot`, `net`: it is not known which log.
    pub async fn telling_a_log(
        self,
        connections: &Connections,
        options: &ServiceOptions,
    ) -> Result<Self, Failure> {
        let services = services::find(connections, options).await?;
        // A key counts whatever the time is, so it is stamped only where that was asked for.
        let logs = Logs::new(connections, services.log, options.tsa.clone())?;
        Ok(Self { logs: Some(logs), ..self })
    }

    /// Returns who signs by certificates for tokens from `source`. Nobody is asked anything yet but,
    /// where nothing names the services, the TUF repository.
    ///
    /// # Errors
    /// `usage`, `trustroot`, `net`: it is not known which services. `usage`: a log that says no time,
    /// and nobody else who does.
    pub async fn keyless(
        source: TokenSource,
        connections: &Connections,
        options: &ServiceOptions,
    ) -> Result<Self, Failure> {
        let services = services::find(connections, options).await?;
        let keyless = KeylessSigner::new(source, &services)?;
        let logs = Logs::new(connections, services.log, services.tsa)?;
        if logs.log.version == LogVersion::V2 && logs.tsa.is_none() {
            return Err(Failure::new(
                Class::Usage,
                format!("the log {} records no time, and there is no timestamp authority", logs.log),
            )
            .hint("a certificate is valid for minutes: use a signing configuration with a timestamp authority"));
        }
        Ok(Self {
            way: Way::Keyless(Box::new(keyless)),
            logs: Some(logs),
            notices: RefCell::default(),
        })
    }

    /// Lets the events of this run share one certificate: `LUET_COSIGN_RUN_CERTIFICATE=1`. Where
    /// that is not possible each makes its own.
    pub fn share(&mut self, connections: &Connections) {
        if let Way::Keyless(keyless) = &mut self.way {
            keyless.share(connections);
        }
    }

    /// Whether the events of this run can share one.
    #[must_use]
    pub fn shares(&self) -> bool {
        self.as_keyless().is_some_and(KeylessSigner::shares)
    }

    /// Whether a certificate that the events of this run share is there, and has time left.
    #[must_use]
    pub fn has_shared(&self) -> bool {
        self.as_keyless().is_some_and(KeylessSigner::has_shared)
    }

    fn as_keyless(&self) -> Option<&KeylessSigner> {
        match &self.way {
            Way::Key(_) => None,
            Way::Keyless(keyless) => Some(keyless),
        }
    }

    /// Returns the log that is told, if one is.
    #[must_use]
    pub fn log(&self) -> Option<&LogService> {
        self.logs.as_ref().map(|logs| &logs.log)
    }

    /// Whether it signs by certificates.
    #[must_use]
    pub fn is_keyless(&self) -> bool {
        matches!(self.way, Way::Keyless(_))
    }

    /// Returns who will sign, as far as that follows from the token; `None` for a key.
    ///
    /// # Errors
    /// `auth`, `net`: no token, or one that names nobody.
    pub async fn expected(
        &self,
        connections: &Connections,
    ) -> Result<Option<ExpectedIdentity>, Failure> {
        match &self.way {
            Way::Key(_) => Ok(None),
            Way::Keyless(keyless) => keyless.expected(connections).await.map(Some),
        }
    }

    /// Whether a legacy signature can carry what the log says.
    #[must_use]
    pub fn fits_legacy(&self) -> bool {
        self.log().is_none_or(|log| log.version == LogVersion::V1)
    }

    /// Refuses a form that nothing could be written in.
    ///
    /// # Errors
    /// `usage`: a legacy signature cannot carry what the log says. `unsupported`: the log takes none of
    /// this kind of key in that form.
    pub fn check_legacy(&self) -> Result<(), Failure> {
        let Some(log) = self.log() else { return Ok(()) };
        if !self.fits_legacy() {
            return Err(Failure::new(
                Class::Usage,
                format!("a legacy signature cannot carry what the log {log} says: it promises nothing and says no time"),
            )
            .hint("use `--format bundle`, or a log of Rekor v1: --rekor-url"));
        }
        match &self.way {
            Way::Key(key) if key.key()?.hash().is_none() => Err(Failure::new(
                Class::Unsupported,
                "a log takes a legacy signature by its digest, and an Ed25519 key signs none",
            )
            .hint("use `--format bundle`, or drop --tlog-upload")),
            _ => Ok(()),
        }
    }

    /// Returns which digests of a file it signs; none where it has to be given the file whole.
    #[must_use]
    pub fn needs(&self) -> Option<Needs> {
        match &self.way {
            // One that does not open says so when it signs.
            Way::Key(key) => key.key().ok()?.hash(),
            Way::Keyless(_) => Some(Needs { sha256: true, ..Needs::default() }),
        }
    }

    /// Takes what the user should read although all is well.
    #[must_use]
    pub fn take_notices(&self) -> Vec<String> {
        self.notices.take()
    }

    fn note(&self, notice: String) {
        let mut notices = self.notices.borrow_mut();
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }

    /// Returns how our own checker knows a signature by this signer: same key, or same name and issuer,
    /// and where a log is told, told.
    ///
    /// # Errors
    /// Those of a token; of a certificate, where the name does not follow from the token.
    pub async fn own(&self, connections: &Connections) -> Result<OwnCheck, Failure> {
        let root = self.logs.as_ref().and_then(|logs| logs.root.clone());
        let signer = match &self.way {
            Way::Key(key) => {
                let key = key.key()?.public().clone();
                trust::AuthorityKind::Key { key, logged: self.logs.is_some() }
            }
            Way::Keyless(keyless) => {
                let Who { name, issuer } = keyless.who(connections).await?;
                trust::AuthorityKind::Certificate(Identity::Named {
                    issuer: TextMatcher::Exact(issuer),
                    subject: TextMatcher::Exact(name),
                })
            }
        };
        let authority = Authority { name: SELF.to_owned(), signer, root };
        Ok(OwnCheck {
            roots: if authority.needs_root() {
                connections.roots().load([authority.root.as_ref()]).await
            } else {
                TrustedRoots::default()
            },
            authorities: [authority],
            requirements: Requirements::default(),
            certificate_log: connections.certificate_log(),
        })
    }

    /// Signs. What comes back was accepted by our own checker, where anyone else had a hand in it.
    ///
    /// # Errors
    /// `auth`, `net`: a service that could not be asked, or refused. `identity`, `time`, `tlog`,
    /// `signature`, `malformed`: one that answered wrongly. `unsupported`: a key that signs no digest
    /// was given no more.
    pub async fn sign(
        &self,
        connections: &Connections,
        what: ToSign<'_>,
    ) -> Result<Signed, Failure> {
        let mut lost = None;
        for number in 0..limits::TRIES {
            let credential = match &self.way {
                Way::Key(_) => None,
                Way::Keyless(keyless) => Some(keyless.credential(connections).await?),
            };
            let (key, by) = match (&self.way, &credential) {
                (Way::Key(key), _) => {
                    let key = key.key()?;
                    (key, SignedBy::Key(*key.public().fingerprint().bytes()))
                }
                (Way::Keyless(_), Some(credential)) => (&credential.key, credential.signer()),
                (Way::Keyless(_), None) => {
                    return Err(Failure::new(Class::Internal, "no certificate to sign with"));
                }
            };
            let signed = made(key, what, by)?;
            let Some(logs) = &self.logs else { return Ok(signed) };
            let proven = logs.prove(self, connections, key, signed, what).await?;
            match proven {
                Ok(signed) => {
                    self.check(connections, &signed, what, logs).await.map_err(|failure| {
                        // What was signed is ours, so it is the entry that is about something else; and
                        // of what is signed by a certificate nothing is unknown here.
                        let entry = match failure.class() {
                            Class::Binding => true,
                            Class::Unsupported => self.is_keyless(),
                            _ => false,
                        };
                        let failure = if entry { failure.as_class(Class::Tlog) } else { failure };
                        let failure = match failure.own_hint() {
                            Some(_) if !entry => failure,
                            _ => failure.hint(AGAIN),
                        };
                        failure
                            .within("what the services answered does not hold; nothing was written")
                            .detail(logs.tells(&signed))
                    })?;
                    return Ok(signed);
                }
                Err(failure) => lost = Some(failure),
            }
            crate::sigstore::rest(number).await;
        }
        let lost = lost.unwrap_or_else(|| Failure::new(Class::Internal, "nothing was signed"));
        Err(lost.detail(format!("tried {} times, with a signature of its own each", limits::TRIES)))
    }

    /// Gives what would be written to our own checker.
    async fn check(
        &self,
        connections: &Connections,
        signed: &Signed,
        what: ToSign<'_>,
        logs: &Logs,
    ) -> Result<(), Failure> {
        connections
            .roots()
            .judge(async || {
                let own = self.own(connections).await?;
                let root = own.roots.get(logs.root.as_ref())?;
                // More than what is written needs: a log that says two things is not believed in one.
                logged::check(root, signed)?;
                let checker = own.checker();
                match what {
                    ToSign::Payload(payload, image) => {
                        let mut signatures = Signatures::default();
                        signatures.push(payload, signed)?;
                        let candidate = signatures.candidates().next().unwrap_or_else(|| {
                            Err(Failure::new(Class::Internal, "what was made is not a signature"))
                        })?;
                        Held::check(&candidate, &checker)?
                            .check_claims(payload, image, &checker)?;
                    }
                    ToSign::Statement(statement, image) => {
                        let bundle = wire::write_bundle(statement, signed);
                        let bundle = Bundle::parse(&bundle, BundleSource::Registry)?;
                        trust::check_bundle(&bundle, image, &checker)?.ok_or_else(|| {
                            Failure::new(Class::Internal, "what was made is not a signature")
                        })?;
                    }
                    ToSign::File(digests) => self.check_file(&own, root, signed, digests)?,
                    ToSign::Whole(bytes) => {
                        self.check_file(&own, root, signed, &digests_of(bytes))?;
                    }
                }
                Ok(())
            })
            .await
    }

    fn check_file(
        &self,
        own: &OwnCheck,
        root: &trust::TrustedRoot,
        signed: &Signed,
        digests: &MessageDigests,
    ) -> Result<(), trust::Rejected> {
        let digest = match &self.way {
            Way::Key(key) => key.key()?.hashed(digests)?,
            Way::Keyless(_) => digests
                .sha256
                .map(crate::name::FileDigest::Sha256)
                .ok_or_else(|| Failure::new(Class::Internal, "a digest was not computed"))?,
        };
        let bundle = wire::write_message_bundle(&digest, signed);
        let bundle = Bundle::parse(&bundle, BundleSource::File)?;
        match &self.way {
            Way::Key(key) => root.check_message_entries(&bundle, digests, key.key()?.public()),
            Way::Keyless(_) => {
                let certified = root.certify_bundle(&bundle, digests, own.certificate_log)?;
                let identity = own.authorities.iter().find_map(Authority::identity);
                match identity {
                    Some(identity) if identity.fits(&certified.certificate) => Ok(()),
                    _ => Err(Failure::new(
                        Class::Identity,
                        format!("signed by `{}`", certified.certificate.subject()),
                    )
                    .into()),
                }
            }
        }
    }
}

/// Makes the bare signature.
fn made(key: &PrivateKey, what: ToSign<'_>, by: SignedBy) -> Result<Signed, Failure> {
    let signature = match what {
        ToSign::Payload(bytes, _) | ToSign::Whole(bytes) => key.sign(bytes)?,
        ToSign::Statement(statement, _) => key.sign(&wire::statement_to_sign(statement))?,
        ToSign::File(digests) => key.sign_hashed(digests)?,
    };
    Ok(Signed { signature, by, entry: None, timestamp: None })
}

/// Returns all digests of a message.
fn digests_of(message: &[u8]) -> MessageDigests {
    let mut hasher = Hasher::new(Needs { sha256: true, sha384: true, sha512: true, ed25519: None });
    hasher.update(message);
    hasher.finish().digests().clone()
}
