//! The flow of unpacking: before, is the image signed; after, is what was unpacked what was signed.
//!
//! The pre event can only say "go on": the host holds its own copy of the manifest, which it got before it asked. The yes is
//! said by the post event, about the bytes on disk.

mod content;
mod gather;
mod memory;
mod platform;

pub use crate::policy::Provisional;

use crate::class::{Class, Failure};
use crate::dest::{self, Dest, Listing};
use crate::limits;
use crate::name::{Reference, Subject};
use crate::policy::{self, Decision, Evidence, Grounds, Matched, Policy};
use crate::session::Session;
use crate::store::{self, Handoffs, Verified};
use crate::trust::{Authority, Requirements, VerifiedSignature};
use std::path::Path;

/// Proof that an image may stay where it was unpacked. Only [`after`] makes one.
#[derive(Clone, Debug)]
#[must_use]
pub struct Unpacked {
    notices: Vec<String>,
    summary: String,
}

impl Unpacked {
    /// Returns what the user should read although all is well.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Returns in one line what was found.
    #[must_use]
    pub fn summary(&self) -> String {
        self.summary.clone()
    }
}

/// What was found about one image, and what that comes to.
#[derive(Debug)]
pub struct Checked {
    /// The rule.
    pub matched: Matched,
    /// What was found; `None` where nothing was looked for.
    pub evidence: Option<Evidence>,
    /// What that comes to.
    pub decision: Decision,
}

/// Looks at an image as the policy says, and decides.
///
/// # Errors
/// `reference`; `not-found`: there is no such image; `net`, `auth`, `registry`, `limit`: its manifest could not be had.
pub async fn check(session: &Session, image: &str, requirements: &Requirements, thorough: bool) -> Result<Checked, Failure> {
    judge(session, session.policy(), image, requirements, thorough).await
}

async fn judge(session: &Session, policy: &Policy, image: &str, requirements: &Requirements, thorough: bool) -> Result<Checked, Failure> {
    let reference: Reference = image.parse()?;
    let matched = policy.matching(&reference, session.now());
    if !matched.looks() {
        let decision = policy::decide_without_looking(&matched);
        return Ok(Checked { matched, evidence: None, decision });
    }
    let memory = memory::recall(session, &reference)?;
    let look = gather::Look { client: session.client(), matched: &matched, memory: &memory, requirements, thorough };
    let evidence = look.gather(&reference).await?;
    let decision = policy::decide(&matched, &evidence, session.now());
    Ok(Checked { matched, evidence: Some(evidence), decision })
}

/// `image.pre.unpack`: the image may be unpacked for now. What was verified is kept for the post event, and what `dest` holds.
///
/// # Errors
/// The decision, where it refuses; those of [`check`]; `state`: nothing can be kept, so the post event could not say yes.
pub async fn before(session: &Session, image: &str, dest: &Path) -> Result<Provisional, Failure> {
    let handoffs = Handoffs::open(session.locations())?;
    let checked = check(session, image, &Requirements::default(), false).await;
    let provisional = match checked.and_then(|checked| checked.decision.into_result()) {
        Ok(provisional) => provisional,
        Err(failure) => {
            // Without this mark, a rule for local files would let it pass afterwards. The refusal stands all the same where it
            // cannot be left: then nothing can be said to the post event either.
            let _ = handoffs.leave(image, dest, store::Grounds::Refused);
            return Err(failure);
        }
    };
    // Of several signatures the one that claims a tree, for that saves streaming the layers.
    let signature = provisional.signatures().find(|signature| signature.claims().tree.is_some()).or(provisional.signature());
    let grounds = match (signature, provisional.subject()) {
        (Some(signature), Some(subject)) => {
            let dest_now = Dest::open(dest)?;
            let identity = dest_now.identity()?;
            let same = |text: &str| text.parse::<Listing>().is_ok_and(|listing| listing.identity() == identity);
            let list = || dest::listing(&dest_now, limits::LISTING_ENTRIES).map(|listing| listing.text());
            handoffs.held_before(dest, same, list)?;
            store::Grounds::Verified(verified(signature, subject))
        }
        _ => store::Grounds::Allowed { rule: name_of(provisional.grounds()) },
    };
    handoffs.leave(image, dest, grounds)?;
    Ok(provisional)
}

fn verified(signature: &VerifiedSignature, subject: &Subject) -> Verified {
    let claims = signature.claims();
    Verified {
        image: subject.digest,
        signed: *signature.image(),
        authority: signature.authority().to_owned(),
        fingerprint: *signature.fingerprint(),
        binds: claims.repository.is_some() && claims.tag.is_some(),
        tree: claims.tree,
    }
}

/// `image.post.unpack`: what lies in `dest` is what a pre event of this run verified, or a rule lets the image pass.
///
/// # Errors
/// `tree`: it is something else; a `dest` that was empty before is emptied. `policy`: there was no pre event, and no rule allows
/// local files. `net`, `registry` and others: the layers could not be had. `state`: what was kept cannot be read.
pub async fn after(session: &Session, image: &str, dest: &Path) -> Result<Unpacked, Failure> {
    let handoffs = Handoffs::open(session.locations())?;
    let Some(handoff) = handoffs.find(image, dest)? else { return without_event(session, image, dest) };
    let unpacked = match handoff.grounds() {
        // The registry holds both sides of what is allowed to be unsigned: there is nothing to compare with.
        store::Grounds::Refused => {
            return Err(Failure::new(
                Class::Policy,
                format!("`{image}` was refused before it was unpacked, and was unpacked nevertheless"),
            ));
        }
        store::Grounds::Allowed { rule } => Unpacked { notices: Vec::new(), summary: format!("{image} is allowed by {rule}") },
        store::Grounds::Verified(verified) => {
            let before: Listing = handoffs.listing(dest)?.parse()?;
            let dest = Dest::open(dest)?;
            let proof = content::compare(session, image, &dest, &before, verified).await;
            let proof = proof.map_err(|failure| content::clear(&dest, &before, failure))?;
            let remembered = memory::remember(session, image, &dest, verified);
            let notices = remembered.map_err(|failure| content::clear(&dest, &before, failure))?;
            Unpacked { notices, summary: format!("{image} ({}), signed by {}, is {}", verified.image, verified.authority, proof.text()) }
        }
    };
    handoffs.done(dest)?;
    Ok(unpacked)
}

/// luet's `file://` and `--local`: there was no pre event, and no registry that could be asked.
fn without_event(session: &Session, image: &str, dest: &Path) -> Result<Unpacked, Failure> {
    let provisional = policy::decide_local_files(session.policy(), session.now())
        .into_result()
        .map_err(|failure| failure.detail(format!("`{image}` was unpacked into `{}` without an event before it", dest.display())))?;
    let notices = provisional.notices().iter().map(|notice| notice.text.clone()).collect();
    Ok(Unpacked { notices, summary: format!("{image} is allowed by {}", name_of(provisional.grounds())) })
}

/// Returns the name of what let an image pass without a signature.
fn name_of(grounds: &Grounds) -> String {
    match grounds {
        Grounds::LocalFiles { rule } | Grounds::Signature { rule, .. } | Grounds::Skipped { rule } | Grounds::Unsigned { rule } => {
            rule.clone()
        }
        Grounds::Unmatched => "unmatched".to_owned(),
    }
}

/// `verify --key`: the signatures of an image by one key, wherever they lie.
///
/// # Errors
/// As a policy that trusts this key alone and denies what is unsigned.
pub async fn by_key(
    session: &Session,
    image: &str,
    authority: &Authority,
    requirements: &Requirements,
) -> Result<Vec<VerifiedSignature>, Failure> {
    let signatures_from = Session::signature_repository(session.environment())?;
    let policy = Policy::of_key(authority.key.clone(), &authority.name, signatures_from, session.now());
    signatures(judge(session, &policy, image, requirements, true).await?)
}

/// `verify` without a key: the signatures that the policy asks for; none where it lets the image be unsigned.
///
/// # Errors
/// As [`check`], and the decision where it refuses.
pub async fn by_policy(session: &Session, image: &str, requirements: &Requirements) -> Result<Vec<VerifiedSignature>, Failure> {
    signatures(check(session, image, requirements, true).await?)
}

fn signatures(checked: Checked) -> Result<Vec<VerifiedSignature>, Failure> {
    Ok(checked.decision.into_result()?.signatures().cloned().collect())
}

/// Returns the failure for an image that two readers could take for two.
fn malformed(what: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Malformed, what)
}
