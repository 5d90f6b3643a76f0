//! The flow of unpacking: before, is the image signed; after, is what was unpacked what was signed.
//!
//! The pre event can only say "go on": the host holds its own copy of the manifest, which it got
//! before it asked. The yes is said by the post event, about the bytes on disk.

mod archived;
mod content;
mod gather;
mod memory;
mod platform;
mod pulled;
mod report;

pub use crate::policy::Provisional;
pub use platform::child as image_for_this_machine;

pub use archived::by_archive;
pub use pulled::pulled;
pub use report::{Marks, RUN_VARIABLE, Report, is_wanted, note_installed};

use crate::class::{Class, Failure};
use crate::dest::{self, Dest, DirectoryListing};
use crate::limits;
use crate::name::{Digest, Reference};
use crate::policy::{self, Decision, Evidence, Grounds, Matched, Policy};
use crate::session::{Connections, Session};
use crate::store::{self, Handoffs, Verified};
use crate::trust::{Authority, Requirements};
use gather::ManifestSource;
use oci_distribution::manifest::OciImageIndex;
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
/// `reference`; `not-found`: there is no such image; `net`, `auth`, `registry`, `limit`: its
/// manifest could not be had.
pub async fn check(
    session: &Session,
    image: &str,
    requirements: &Requirements,
    thorough: bool,
) -> Result<Checked, Failure> {
    check_with(session, session.policy(), image, requirements, thorough).await
}

/// What a host fetches, which it resolved itself: it will take these bytes and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The name that it was asked for.
    pub reference: Reference,
    /// The digest that the name stands for.
    pub digest: Digest,
    /// How many bytes the manifest has, as the host says.
    pub size: u64,
    /// What the manifest is, as the host says.
    pub media_type: String,
}

/// Decides about what a host is going to fetch by its digest, checking all content itself. What was
/// verified is remembered, where there is a place for it.
///
/// # Errors
/// The decision, where it refuses; those of [`check`]; `digest`, `malformed`: what the host says of
/// the manifest is not so. `state`: the first signer must be remembered and cannot be.
pub async fn admit(session: &Session, resolved: &Resolved) -> Result<Provisional, Failure> {
    let policy = session.policy();
    let reference = &resolved.reference;
    let requirements = Requirements::default();
    let look = Judged {
        reference,
        source: ManifestSource::Registry(session.client()),
        given: Some(resolved),
        platform: None,
        requirements: &requirements,
        thorough: false,
    };
    let provisional = look.judge(session, policy).await?.decision.into_result()?;
    remember(session, reference, &provisional)?;
    Ok(provisional)
}

/// Looks at an image as another policy says than the one in force, and decides.
///
/// # Errors
/// As [`check`].
pub async fn check_with(
    connections: &Connections,
    policy: &Policy,
    image: &str,
    requirements: &Requirements,
    thorough: bool,
) -> Result<Checked, Failure> {
    let reference: Reference = image.parse()?;
    let source = ManifestSource::Registry(connections.client());
    Judged { reference: &reference, source, given: None, platform: None, requirements, thorough }
        .judge(connections, policy)
        .await
}

/// The same for one image of an index, which is then the one that has to be signed, or its index.
///
/// # Errors
/// As [`check`], and the decision where it refuses.
pub async fn by_platform(
    connections: &Connections,
    policy: &Policy,
    reference: &Reference,
    platform: Option<&str>,
    requirements: &Requirements,
) -> Result<Provisional, Failure> {
    let source = ManifestSource::Registry(connections.client());
    Judged { reference, source, given: None, platform, requirements, thorough: false }
        .judge(connections, policy)
        .await?
        .decision
        .into_result()
}

/// Returns the image of an index for a platform; this machine's where none is named.
///
/// # Errors
/// `malformed`: it has two. `usage`: that is not a platform.
pub fn child(index: &OciImageIndex, platform: Option<&str>) -> Result<Option<Digest>, Failure> {
    platform::chosen(index, platform)
}

/// Remembers what was verified, where there is a place for it.
///
/// # Errors
/// `state`: the first signer must be remembered and cannot be. `identity`: someone else was the
/// first meanwhile.
pub fn remember(
    session: &Session,
    reference: &Reference,
    provisional: &Provisional,
) -> Result<(), Failure> {
    match verified(provisional) {
        Some(verified) => memory::remember_admitted(session, reference, &verified),
        None => Ok(()),
    }
}

/// Looks at an image as [`check`] does, also where the policy does not: to show what there is, for
/// no decision.
///
/// # Errors
/// As [`check`].
pub async fn look(connections: &Connections, matched: &Matched) -> Result<Evidence, Failure> {
    let memory = policy::Remembered::default();
    let look = gather::Look {
        client: ManifestSource::Registry(connections.client()),
        platform: None,
        matched,
        memory: &memory,
        requirements: &Requirements::default(),
        roots: connections.roots(),
        certificate_log: connections.certificate_log(),
        thorough: true,
        budget: std::sync::Arc::default(),
    };
    look.gather(matched.reference(), None).await
}

/// What is to be judged.
struct Judged<'a> {
    reference: &'a Reference,
    source: ManifestSource<'a>,
    given: Option<&'a Resolved>,
    platform: Option<&'a str>,
    requirements: &'a Requirements,
    thorough: bool,
}

impl Judged<'_> {
    async fn judge(&self, connections: &Connections, policy: &Policy) -> Result<Checked, Failure> {
        let Self { reference, source, given, platform, requirements, thorough } = *self;
        let matched = policy.matching(reference, connections.now());
        connections.trace(|| vec![format!("`{reference}`: applies: {}", matched.applies())]);
        if !matched.looks() {
            let decision = policy::decide_without_looking(&matched);
            connections.trace(|| vec![format!("`{reference}`: {decision}")]);
            return Ok(Checked { matched, evidence: None, decision });
        }
        let memory = memory::recall(connections, &matched)?;
        let look = gather::Look {
            client: source,
            platform,
            matched: &matched,
            memory: &memory,
            requirements,
            roots: connections.roots(),
            certificate_log: connections.certificate_log(),
            thorough,
            budget: std::sync::Arc::default(),
        };
        let evidence = look.gather(reference, given).await?;
        let decision = policy::decide(&matched, &evidence);
        connections.trace(|| {
            let mut lines = evidence.lines();
            lines.push(format!("`{reference}`: {decision}"));
            lines
        });
        Ok(Checked { matched, evidence: Some(evidence), decision })
    }
}

/// `image.pre.unpack`: the image may be unpacked for now. What was verified is kept for the post
/// event, and what `dest` holds.
///
/// # Errors
/// The decision, where it refuses; those of [`check`]; `state`: nothing can be kept, so the post
/// event could not say yes.
pub async fn before(session: &Session, image: &str, dest: &Path) -> Result<Provisional, Failure> {
    let handoffs = Handoffs::open(session.locations())?;
    let checked = check(session, image, &Requirements::default(), false).await;
    let provisional = match checked.and_then(|checked| checked.decision.into_result()) {
        Ok(provisional) => provisional,
        Err(failure) => {
            // Without this mark, a rule for local files would let it pass afterwards. The refusal
            // stands all the same where it cannot be left: then nothing can be said to the post
            // event either.
            let _ = handoffs.leave(image, dest, store::HandoffVerdict::Refused);
            return Err(failure);
        }
    };
    let grounds = match verified(&provisional) {
        Some(verified) => {
            // luet makes its own directory in /tmp, and takes the one that is there. The one who made that
            // could put other files in the place of those that were compared.
            store::check_shared(dest).map_err(|why| {
                Failure::new(Class::State, format!("`{}` {why}", dest.display()))
                    .hint("remove that directory, or let luet use another one (`tmpdir_base`)")
            })?;
            keep_listing(&handoffs, dest)?;
            store::HandoffVerdict::Verified(Box::new(verified))
        }
        None => {
            // Nothing can be verified in `/`, so nothing that failed to be can be there either.
            if dest.parent().is_some() {
                clear_leftovers(&handoffs, dest)?;
            }
            store::HandoffVerdict::Allowed { rule: name_of(provisional.grounds()) }
        }
    };
    handoffs.leave(image, dest, grounds)?;
    Ok(provisional)
}

/// Stands for what nobody could list, before an image whose files nobody compares.
const UNLISTED: &[u8] = b"unlisted";

/// Returns what `dest` held at the first pre event of this run for it, of whatever image, else what
/// `list` says that it holds. None where nobody knows.
fn held_before(
    handoffs: &Handoffs,
    path: &Path,
    dest: &Dest,
    list: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<Option<DirectoryListing>, Failure> {
    let identity = dest.identity()?;
    let same = |bytes: &[u8]| bytes == UNLISTED || DirectoryListing::is_of(bytes, identity);
    let bytes = handoffs.held_before(path, same, list)?;
    if bytes == UNLISTED { Ok(None) } else { DirectoryListing::read(bytes).map(Some) }
}

fn list(dest: &Dest) -> Result<Vec<u8>, Failure> {
    dest::listing(dest, limits::LISTING_ENTRIES).map(DirectoryListing::into_bytes)
}

/// Before an image whose files are compared: keeps what `dest` holds.
fn keep_listing(handoffs: &Handoffs, path: &Path) -> Result<(), Failure> {
    let dest = Dest::open(path)?;
    held_before(handoffs, path, &dest, || list(&dest))?
        .map(|_| ())
        .ok_or_else(|| leftovers(&dest, "left by an image whose files are not compared"))
}

/// Before an image whose files nobody compares: makes sure that nothing is in `dest` that a
/// mirror left which broke off. That one may have had to be signed, and what it left would pass
/// with this image's files.
fn clear_leftovers(handoffs: &Handoffs, path: &Path) -> Result<(), Failure> {
    let dest = Dest::open(path)?;
    let unlisted = |_| Ok(UNLISTED.to_vec());
    let Some(before) = held_before(handoffs, path, &dest, || list(&dest).or_else(unlisted))? else {
        return Ok(());
    };
    if !handoffs.awaits_comparison(path)? {
        return Ok(());
    }
    match dest::listing(&dest, limits::LISTING_ENTRIES) {
        Ok(now) if now == before => Ok(()),
        _ if before.is_empty() => dest::empty(&dest),
        _ => Err(leftovers(&dest, "what an image left that was to be compared and was not")),
    }
}

fn leftovers(dest: &Dest, what: &str) -> Failure {
    Failure::new(Class::Tree, format!("`{dest}` may hold {what}"))
        .hint("unpack into an empty directory")
}

fn verified(provisional: &Provisional) -> Option<Verified> {
    let (subject, signed) = (provisional.subject()?, provisional.signed()?);
    let mut signers = provisional.signers().map(|signer| store::RememberedSigner {
        name: signer.name.to_owned(),
        key: memory::key_of(signer.signer),
        binds: signer.binds,
    });
    Some(Verified {
        image: subject.digest,
        signed: *signed,
        signers: store::Signers { first: signers.next()?, others: signers.collect() },
        pinned: provisional
            .pinned()
            .map(|pin| store::FirstSigner { key: memory::key_of(&pin.signer), name: pin.name }),
        tree: provisional.tree(),
    })
}

/// `image.post.unpack`: what is in `dest` is what a pre event of this run verified, or a rule let
/// the image pass.
///
/// # Errors
/// `tree`: it is something else; a `dest` that was empty before is emptied. `policy`: there was no
/// pre event, and no rule allows local files. `net`, `registry` and others: the layers could not be
/// had. `state`: what was kept cannot be read.
pub async fn after(session: &Session, image: &str, dest: &Path) -> Result<Unpacked, Failure> {
    let handoffs = Handoffs::open(session.locations())?;
    let Some(handoff) = handoffs.find(image, dest)? else {
        return without_event(session, image, dest);
    };
    let unpacked = match handoff.grounds() {
        store::HandoffVerdict::Refused => {
            return Err(Failure::new(
                Class::Policy,
                format!(
                    "`{image}` was refused before it was unpacked, and was unpacked nevertheless"
                ),
            ));
        }
        // The registry holds both sides of what is allowed to be unsigned: there is nothing to
        // compare with.
        store::HandoffVerdict::Allowed { rule } => {
            Unpacked { notices: Vec::new(), summary: format!("{image} is allowed by {rule}") }
        }
        store::HandoffVerdict::Verified(verified) => {
            let before = DirectoryListing::read(handoffs.listing(dest)?)?;
            let dest = Dest::open(dest)?;
            let compared = content::compare(session, image, &dest, &before, verified).await;
            let (proof, written) =
                compared.map_err(|failure| content::clear(&dest, &before, failure))?;
            let remembered = memory::remember(session, image, &dest, verified);
            let mut notices =
                remembered.map_err(|failure| content::clear(&dest, &before, failure))?;
            notices.extend(content::written_notice(&dest, &written));
            Unpacked {
                notices,
                summary: format!(
                    "{image} ({}), signed by {}, is {}",
                    verified.image,
                    verified.signers.first.name,
                    proof.text()
                ),
            }
        }
    };
    handoffs.done(dest)?;
    let verified = matches!(handoff.grounds(), store::HandoffVerdict::Verified(_));
    report::note_unpacked(session.environment(), &handoffs, image, verified)?;
    Ok(unpacked)
}

/// luet's `file://`: there was no pre event, and no registry that could be asked. The rule for
/// local files is for these alone: whatever lost its handoff would pass under it otherwise
/// (docs/threats.md E14).
fn without_event(session: &Session, image: &str, dest: &Path) -> Result<Unpacked, Failure> {
    if !image.starts_with("file://") {
        let message = format!(
            "`{image}` was unpacked into `{}` without an event before it, so nothing about it was verified",
            dest.display()
        );
        return Err(Failure::new(Class::Policy, message)
            .hint("leave out `--local`; where luet runs by a wrapper, every event must come from the same luet"));
    }
    let provisional = policy::decide_local_files(session.policy(), session.now())
        .into_result()
        .map_err(|failure| {
            failure.detail(format!(
                "`{image}` was unpacked into `{}` without an event before it",
                dest.display()
            ))
        })?;
    let notices = provisional.notices().iter().map(|notice| notice.text.clone()).collect();
    Ok(Unpacked {
        notices,
        summary: format!("{image} is allowed by {}", name_of(provisional.grounds())),
    })
}

/// Returns the name of what let an image pass without a signature.
fn name_of(grounds: &Grounds) -> String {
    match grounds {
        Grounds::LocalFiles { rule }
        | Grounds::Signature { rule, .. }
        | Grounds::Skipped { rule }
        | Grounds::Unsigned { rule } => rule.clone(),
        Grounds::Unmatched => "unmatched".to_owned(),
    }
}

/// `verify --key` and `verify --certificate-identity`: the signatures of an image by one authority,
/// wherever they lie. `option` is what was typed.
///
/// # Errors
/// As a policy that trusts this authority alone and denies what is unsigned.
pub async fn by_authority(
    connections: &Connections,
    image: &str,
    authority: &Authority,
    option: &str,
    requirements: &Requirements,
) -> Result<Provisional, Failure> {
    let policy = policy_of(connections, authority, option)?;
    check_with(connections, &policy, image, requirements, true).await?.decision.into_result()
}

/// Returns the policy that trusts one authority alone, for every image. `option` is what was typed.
///
/// # Errors
/// `reference`: `COSIGN_REPOSITORY` names no repository.
pub fn policy_of(
    connections: &Connections,
    authority: &Authority,
    option: &str,
) -> Result<Policy, Failure> {
    let signatures_from = connections.signature_repository()?;
    Ok(Policy::of_authority(authority.clone(), option, signatures_from))
}

/// `verify` without a key: the signatures that the policy asks for; none where it lets the image be
/// unsigned.
///
/// # Errors
/// As [`check`], and the decision where it refuses.
pub async fn by_policy(
    session: &Session,
    image: &str,
    requirements: &Requirements,
) -> Result<Provisional, Failure> {
    check(session, image, requirements, true).await?.decision.into_result()
}

/// Returns the failure for an image that two readers could take for two.
fn malformed(what: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Malformed, what)
}
