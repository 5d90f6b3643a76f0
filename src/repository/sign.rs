//! Signing a repository: what it names and this signer has not signed yet.
//!
//! It is no oracle. An image is signed where the push record knows that this very digest was pushed
//! to this very tag from here, or where it holds what is in the directory that luet built into;
//! everything else is left, or with `trust` listed first and then signed as it was listed. What is
//! signed already is left as it is, so that whatever was killed can be run again.

use super::contents::ImageRole;
use super::local::Artifacts;
use super::walk::{Done, Process, RepositoryWalk};
use super::{ListedImages, RepositoryRequest, Standing, Told, in_time};
use crate::class::{Class, Failure};
use crate::layers;
use crate::luet;
use crate::name::{Digest, Reference, Tag};
use crate::policy::{Decision, Policy};
use crate::push;
use crate::registry::{Manifest, ManifestKind};
use crate::session::Connections;
use crate::signer::Signer;
use crate::store::{PushRecord, Pushes};
use crate::tree::ExpectedTree;
use crate::trust::Requirements;
use crate::unpack;
use futures_util::stream::{self, StreamExt as _};
use std::collections::BTreeMap;

/// How to sign.
#[derive(Debug)]
pub struct Signing<'a> {
    /// Who signs.
    pub signer: &'a Signer,
    /// How each image is signed.
    pub wanted: push::SignOptions<'a>,
    /// What luet built.
    pub artifacts: Option<Artifacts>,
    /// Whether what nothing vouches for is signed as well.
    pub trust_registry: bool,
}

/// What vouched for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// A build engine here said that it pushed this.
    Engine,
    /// The registry served this right after a push from here, and its word was to be taken.
    Served,
    /// It holds what is in the directory.
    Folder,
    /// Nothing: the registry is trusted.
    Nothing,
}

/// What became of one image.
#[derive(Clone, Debug)]
pub enum Step {
    /// It is signed by this signer, under this name.
    Already,
    /// It was signed now.
    Signed(Voucher),
    /// Nothing vouches for it.
    Unvouched(Failure),
    /// It could not be signed, or it could not be found out whether it is.
    Failed(Failure),
}

/// One image of the repository.
#[derive(Clone, Debug)]
pub struct Worked {
    /// What it is to the repository.
    pub what: ImageRole,
    /// Its name.
    pub image: Reference,
    /// What the tag meant, as far as it was found out.
    pub digest: Option<Digest>,
    /// What became of it.
    pub step: Step,
}

/// What came of all of it.
#[derive(Clone, Debug, Default)]
pub struct SignSummary {
    /// How many were signed before.
    pub already: usize,
    /// How many were signed now.
    pub signed: usize,
    /// How many nothing vouches for.
    pub unvouched: usize,
    /// How many could not be signed, by class.
    pub failed: BTreeMap<Class, usize>,
    /// What the list of images is worth.
    pub listed: ListedImages,
}

impl SignSummary {
    /// Returns how many images are not signed.
    #[must_use]
    pub fn unsigned(&self) -> usize {
        self.unvouched + self.failed.values().sum::<usize>()
    }

    fn count(&mut self, worked: &Worked) {
        match &worked.step {
            Step::Already => self.already += 1,
            Step::Signed(_) => self.signed += 1,
            Step::Unvouched(_) => self.unvouched += 1,
            Step::Failed(failure) => *self.failed.entry(failure.class()).or_default() += 1,
        }
    }
}

/// Signs what of a repository is not signed yet.
///
/// # Errors
/// `state`: the push record cannot be read. What an image could not be signed for is told of the
/// image.
pub async fn sign(
    connections: &Connections,
    request: &RepositoryRequest,
    signing: &Signing<'_>,
    tell: &mut dyn FnMut(Told<'_, Worked>) -> Result<(), Failure>,
) -> Result<SignSummary, Failure> {
    let record = record(connections, request)?;
    let is_snapshot = |push: &&PushRecord| push.tag.ends_with(luet::SNAPSHOT);
    let snapshots = record.iter().filter(is_snapshot).filter_map(|push| push.tag.parse().ok());
    let mut snapshots: Vec<Tag> = snapshots.collect();
    snapshots.sort_unstable();
    snapshots.dedup();
    let own = signing.signer.own(connections).await?;
    let policy = unpack::policy_of(connections, own.authority(), "this signer")?;
    let process = Worker { connections, signing, policy: &policy, record: &record };
    let walk = RepositoryWalk { connections, request, process, snapshots };
    let (mut signed, mut left) = (SignSummary::default(), Vec::new());
    signed.listed = walk
        .run(&mut |told| {
            if let Told::Image(worked) = &told {
                // Those come once more, when they are signed.
                if signing.trust_registry && matches!(worked.step, Step::Unvouched(_)) {
                    left.push((worked.image.clone(), worked.what, worked.digest));
                } else {
                    signed.count(worked);
                }
            }
            tell(told)
        })
        .await;
    // All of them were listed before the first is signed, and exactly what was listed is.
    let jobs = request.jobs.get();
    let trusted =
        left.into_iter().map(|(image, what, digest)| walk.process.trusted(image, what, digest));
    let mut trusted = Box::pin(stream::iter(trusted).buffered(jobs));
    while let Some(worked) = trusted.next().await {
        signed.count(&worked);
        tell(Told::Image(&worked))?;
    }
    Ok(signed)
}

/// Returns what was pushed from here. A user without a directory to keep it in pushed nothing.
fn record(
    connections: &Connections,
    request: &RepositoryRequest,
) -> Result<Vec<PushRecord>, Failure> {
    let Ok(pushes) = Pushes::open(connections.locations()) else { return Ok(Vec::new()) };
    pushes.of(&request.repository, connections.now().as_second())
}

struct Worker<'a> {
    connections: &'a Connections,
    signing: &'a Signing<'a>,
    policy: &'a Policy,
    record: &'a [PushRecord],
}

impl Process for Worker<'_> {
    type Value = Worked;

    async fn one(&self, image: Reference, what: ImageRole) -> Done<Worked> {
        let mut digest = None;
        let step = self.step(&image, &mut digest).await;
        let step = step.unwrap_or_else(Step::Failed);
        let standing = match &step {
            Step::Already | Step::Signed(_) => Standing::Verified,
            Step::Unvouched(_) | Step::Failed(_) => Standing::Unverified,
        };
        let found = match (&step, digest) {
            (Step::Failed(failure), None) => Err(failure.class()),
            (_, digest) => Ok(digest),
        };
        let value = Worked { what, image: image.clone(), digest, step };
        Done { image, digest: found, standing, value }
    }
}

impl Worker<'_> {
    async fn step(&self, image: &Reference, digest: &mut Option<Digest>) -> Result<Step, Failure> {
        let (name, none) = (image.to_string(), Requirements::default());
        let check = unpack::check_with(self.connections, self.policy, &name, &none, false);
        let checked = in_time(self.connections, check).await?;
        *digest = checked.evidence.as_ref().map(|evidence| evidence.image.digest);
        if let Decision::Verified(provisional) = &checked.decision
            && provisional.signers().any(|signer| signer.binds)
        {
            return Ok(Step::Already);
        }
        // Where it is not known whether it is signed, it is not signed once more.
        if let Decision::Refused(failure) = &checked.decision
            && failure.class().is_inconclusive()
        {
            return Err(failure.clone());
        }
        let resolve = self.connections.client().resolve(image);
        let manifest = in_time(self.connections, resolve).await?;
        *digest = Some(manifest.digest);
        match self.vouched(image, &manifest).await? {
            Ok((source, tree)) => {
                self.sign(image, &manifest, tree).await?;
                Ok(Step::Signed(source))
            }
            Err(why) => Ok(Step::Unvouched(why)),
        }
    }

    /// Returns what vouches for an image, and the digest of its tree; or why nothing does.
    async fn vouched(
        &self,
        image: &Reference,
        manifest: &Manifest,
    ) -> Result<Result<(Voucher, Option<Digest>), Failure>, Failure> {
        let Some(tag) = image.tag() else {
            return Err(Failure::new(Class::Internal, "an image without a tag"));
        };
        self.connections.client().renew();
        // What was pushed last counts: one that was pushed before is not what the tag should mean.
        let last = self.record.iter().rfind(|push| push.tag == tag.as_str());
        let why = match last {
            None => Failure::new(
                Class::Identity,
                "nothing vouches for it: it was not pushed from here within a day",
            ),
            Some(push) => {
                match push::is_what_was_pushed(self.connections, image, manifest, push).await? {
                    Some(tree) if push.is_served() => return Ok(Ok((Voucher::Served, tree))),
                    Some(tree) => return Ok(Ok((Voucher::Engine, tree))),
                    None => Failure::new(
                        Class::Digest,
                        "nothing vouches for it: what was pushed from here last is something else",
                    ),
                }
            }
        };
        let Some(artifacts) = &self.signing.artifacts else { return Ok(Err(why)) };
        let (Some(artifact), ManifestKind::Image(oci)) = (artifacts.of(tag), &manifest.kind) else {
            return Ok(Err(why.detail("and the directory has no package of this name")));
        };
        let layers = match layers::read(self.connections.client(), image.repository(), oci).await {
            Ok(layers) => layers,
            // Nothing that luet built.
            Err(failure) if matches!(failure.class(), Class::Unsupported | Class::Malformed) => {
                return Ok(Err(why.detail(failure.line())));
            }
            Err(failure) => return Err(failure),
        };
        let artifact = artifact.clone();
        // Archives are large, and what is read of a disk stops all others meanwhile.
        let held = tokio::task::spawn_blocking(move || {
            let tree = ExpectedTree::of(&layers).digest();
            artifact.check(&layers).map(|()| tree)
        });
        let held = held
            .await
            .map_err(|_| Failure::new(Class::Bug, "the thread that read an archive panicked"))?;
        match held {
            Ok(tree) => Ok(Ok((Voucher::Folder, tree))),
            Err(failure) if failure.class() == Class::Tree => Ok(Err(failure)),
            Err(failure) => Err(failure),
        }
    }

    async fn trusted(&self, image: Reference, what: ImageRole, digest: Option<Digest>) -> Worked {
        let step = match digest {
            Some(digest) => self.trust(&image, &digest).await,
            None => Err(Failure::new(Class::Internal, "an image without a digest was listed")),
        };
        Worked { what, image, digest, step: step.map_or_else(Step::Failed, Step::Signed) }
    }

    /// Signs exactly what was listed.
    async fn trust(&self, image: &Reference, digest: &Digest) -> Result<Voucher, Failure> {
        self.connections.client().renew();
        let pinned = Reference::pinned(image.repository().clone(), *digest);
        let manifest = self.connections.client().resolve(&pinned).await?;
        let tree = push::tree_of(self.connections, image, &manifest).await?;
        self.sign(image, &manifest, tree).await?;
        Ok(Voucher::Nothing)
    }

    async fn sign(
        &self,
        image: &Reference,
        manifest: &Manifest,
        tree: Option<Digest>,
    ) -> Result<(), Failure> {
        self.connections.client().renew();
        let Signing { signer, wanted, .. } = self.signing;
        push::sign_manifest(self.connections, image, manifest, tree, signer, wanted)
            .await
            .map(|_| ())
    }
}
