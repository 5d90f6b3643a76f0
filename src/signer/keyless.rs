//! Signing by a certificate that an identity token buys: a key in memory, a certificate for it, held
//! against the token and the trusted root before anything is signed.
//!
//! Key and certificate are used again while the certificate has [`limits::CERTIFICATE_LEFT`] left. The
//! clock of this machine has no part in that: what counts is for how long the certificate was made,
//! and what has passed since it was asked for.

use super::kept::KeptCertificate;
use super::services::needed;
use crate::class::{Class, Failure};
use crate::limits;
use crate::oidc::{ExpectedIdentity, IdentityToken, Issuers, TokenSource};
use crate::session::Connections;
use crate::sigstore::{self, Issued, Services};
use crate::trust::{
    CertificateLog, ExpectedCertificate, PrivateKey, SubjectName, certificate_request,
};
use crate::wire::SignedBy;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A key in memory with its certificate.
pub(super) struct SigningCertificate {
    pub(super) key: PrivateKey,
    pub(super) leaf: Vec<u8>,
    pub(super) above: Vec<Vec<u8>>,
    pub(super) name: SubjectName,
    pub(super) issuer: String,
    pub(super) asked: Instant,
    pub(super) lifetime: Duration,
}

impl SigningCertificate {
    pub(super) fn left(&self) -> Duration {
        self.lifetime.saturating_sub(self.asked.elapsed())
    }
}

/// Who signs by certificates.
pub(super) struct KeylessSigner {
    source: TokenSource,
    fulcio: String,
    state: Mutex<State>,
    /// Where the events of a run share one certificate, if they do.
    kept: Option<KeptCertificate>,
}

#[derive(Default)]
struct State {
    /// One that was asked for to see who will sign, and not used yet.
    token: Option<IdentityToken>,
    credential: Option<Rc<SigningCertificate>>,
}

impl fmt::Debug for KeylessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyless({:?}, {})", self.source, self.fulcio)
    }
}

/// Who signs, as the certificate says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The name.
    pub name: String,
    /// Who vouches for it.
    pub issuer: String,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (issuer {})", self.name, self.issuer)
    }
}

impl KeylessSigner {
    pub(super) fn new(source: TokenSource, services: &Services) -> Result<Self, Failure> {
        let fulcio = needed(
            services.fulcio.clone(),
            "Fulcio makes certificates",
            "--fulcio-url",
            "COSIGN_FULCIO_URL",
        )?;
        Ok(Self { source, fulcio, state: Mutex::default(), kept: None })
    }

    /// Shares a certificate with the other events of this run, where there is a place for it.
    pub(super) fn share(&mut self, connections: &Connections) {
        self.kept = KeptCertificate::of(connections, &[&self.source_id(), &self.fulcio]);
    }

    /// Whether it does.
    pub(super) fn shares(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether a certificate that is shared is there, and has time left.
    pub(super) fn has_shared(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.read().is_some())
    }

    /// Where certificates are made.
    pub(super) fn fulcio(&self) -> &str {
        &self.fulcio
    }

    /// What tells this source of tokens from others: its name, and of a token that was given whom
    /// it names.
    pub(super) fn source_id(&self) -> String {
        self.source.id()
    }

    /// Asks for a token.
    pub(super) async fn new_token(
        &self,
        connections: &Connections,
    ) -> Result<IdentityToken, Failure> {
        self.source.token(connections.client()).await
    }

    /// Keeps a token for the certificate that is asked for next.
    pub(super) async fn keep_token(&self, token: IdentityToken) {
        self.state.lock().await.token = Some(token);
    }

    /// Returns who will sign, as far as that follows from the token. Nothing becomes public.
    pub(super) async fn expected(
        &self,
        connections: &Connections,
    ) -> Result<ExpectedIdentity, Failure> {
        let mut state = self.state.lock().await;
        if state.token.is_none() {
            state.token = Some(self.source.token(connections.client()).await?);
        }
        let token = state.token.as_ref();
        token.ok_or_else(|| Failure::new(Class::Internal, "no token"))?.identity()
    }

    /// Returns who signs: from the token where the name follows from it, else from the certificate.
    pub(super) async fn who(&self, connections: &Connections) -> Result<Who, Failure> {
        let mut state = self.state.lock().await;
        if state.credential.is_none()
            && let Some(shared) = self.kept.as_ref().and_then(KeptCertificate::read)
        {
            state.credential = Some(Rc::new(shared));
        }
        if let Some(credential) = &state.credential {
            return Ok(credential.who());
        }
        drop(state);
        // One that is shared costs the run one token, whichever process makes it.
        if self.kept.is_some() {
            return Ok(self.credential(connections).await?.who());
        }
        let expected = self.expected(connections).await?;
        if expected.certain {
            return Ok(Who { name: expected.name, issuer: expected.issuer });
        }
        Ok(self.credential(connections).await?.who())
    }

    /// Returns key and certificate, new ones where there is too little time left.
    pub(super) async fn credential(
        &self,
        connections: &Connections,
    ) -> Result<Rc<SigningCertificate>, Failure> {
        let mut state = self.state.lock().await;
        let known = state.credential.as_ref();
        if let Some(known) = known.filter(|known| known.left() >= limits::CERTIFICATE_LEFT) {
            return Ok(Rc::clone(known));
        }
        // Of all events that need one at the same time, one makes it.
        let _alone = self.kept.as_ref().and_then(KeptCertificate::lock);
        if let Some(shared) = self.kept.as_ref().and_then(KeptCertificate::read) {
            let shared = Rc::new(shared);
            state.credential = Some(Rc::clone(&shared));
            return Ok(shared);
        }
        let token = state.token.take();
        let made = Rc::new(self.certify(connections, token).await?);
        if let Some(kept) = &self.kept {
            kept.write(&made);
        }
        state.credential = Some(Rc::clone(&made));
        Ok(made)
    }

    async fn certify(
        &self,
        connections: &Connections,
        kept: Option<IdentityToken>,
    ) -> Result<SigningCertificate, Failure> {
        let client = connections.client();
        let mut fresh = kept.is_none();
        let mut token = match kept {
            Some(token) => token,
            None => self.source.token(client).await?,
        };
        loop {
            let key = PrivateKey::ephemeral()?;
            let request = certificate_request(&key)?;
            let asked = Instant::now();
            match sigstore::issue(client, &self.fulcio, token.secret(), &request).await? {
                Issued::Certificate { detached: true, .. }
                    if connections.certificate_log() == CertificateLog::Required =>
                {
                    return Err(Failure::new(
                        Class::Tlog,
                        format!("`{}` made a certificate without the proof in it that a log has it, which no verifier would take", self.fulcio),
                    )
                    .hint("the operator of that Fulcio has to add a certificate log; for your own Sigstore without one: COSIGN_INSECURE_IGNORE_SCT=1, here and when verifying"));
                }
                Issued::Certificate { leaf, above, .. } => {
                    return self.accept(connections, key, (leaf, above), &token, asked).await;
                }
                // It may have ended while we waited, which a new one shows.
                Issued::Refused { .. } if !fresh && token.origin().renewable => {
                    token = self.source.token(client).await?;
                    fresh = true;
                }
                Issued::Refused { message, date } => {
                    let issuers = self.issuers(connections).await;
                    let now = date.unwrap_or_else(|| connections.now());
                    return Err(token.refused(now, issuers.as_ref(), &message));
                }
            }
        }
    }

    /// Asks Fulcio whose tokens it takes, to explain why it did not take this one.
    async fn issuers(&self, connections: &Connections) -> Option<Issuers> {
        let url = format!("{}/api/v2/configuration", self.fulcio.trim_end_matches('/'));
        match connections.client().question(&url, None, limits::SERVICE_BYTES).await {
            Ok((200, answer)) => Issuers::read(&answer).ok(),
            _ => None,
        }
    }

    /// Holds a certificate against the token and the trusted root.
    async fn accept(
        &self,
        connections: &Connections,
        key: PrivateKey,
        (leaf, above): (Vec<u8>, Vec<Vec<u8>>),
        token: &IdentityToken,
        asked: Instant,
    ) -> Result<SigningCertificate, Failure> {
        let expected = token.identity()?;
        let claims = token.claims();
        let names: Vec<&str> = [expected.name.as_str(), &claims.subject]
            .into_iter()
            .chain(claims.email.as_deref())
            .collect();
        let wanted = ExpectedCertificate {
            key: key.public(),
            name: expected.certain.then_some(expected.name.as_str()),
            names: &names,
            issuer: &expected.issuer,
            subject: &claims.subject,
        };
        let root = connections.network_root()?;
        let issued = connections
            .roots()
            .judge(async || {
                let roots = connections.roots().load([root]).await;
                roots.get(root)?.check_issued(&leaf, &above, &wanted, connections.certificate_log())
            })
            .await
            .map_err(|failure| failure.within(format!("what `{}` made", self.fulcio)))?;
        let (name, issuer) =
            (issued.certificate.subject().clone(), issued.certificate.issuer().to_owned());
        Ok(SigningCertificate { key, leaf, above, name, issuer, asked, lifetime: issued.lifetime })
    }
}

impl SigningCertificate {
    /// Returns what names the signer.
    pub(super) fn signer(&self) -> SignedBy {
        SignedBy::Certificate { leaf: self.leaf.clone(), above: self.above.clone() }
    }

    fn who(&self) -> Who {
        Who { name: self.name.as_str().to_owned(), issuer: self.issuer.clone() }
    }
}
