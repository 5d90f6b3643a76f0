//! Verifying a repository: every image that it names, by the same decision as everywhere else.

use super::contents::ImageRole;
use super::walk::{Done, Process, RepositoryWalk};
use super::{ListedImages, RepositoryRequest, Standing, Told, in_time};
use crate::class::{Class, Failure};
use crate::name::{Digest, Reference};
use crate::policy::{Decision, Policy};
use crate::session::Connections;
use crate::trust::Requirements;
use crate::unpack::{self, Checked};
use std::collections::BTreeMap;

/// What came of one image.
#[derive(Clone, Debug)]
pub enum ImageOutcome {
    /// Signed by whom has to sign it.
    Verified {
        /// Who did.
        signers: Vec<String>,
    },
    /// A rule lets it pass unsigned.
    Allowed {
        /// What is to be said of that.
        notices: Vec<String>,
    },
    /// It must not be used.
    Refused(Failure),
}

/// One image of the repository, judged.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What it is to the repository.
    pub what: ImageRole,
    /// Its name.
    pub image: Reference,
    /// What was judged, as far as it was found out.
    pub digest: Option<Digest>,
    /// What came of it.
    pub outcome: ImageOutcome,
}

/// What came of all of it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many images are signed.
    pub verified: usize,
    /// How many a rule lets pass.
    pub allowed: usize,
    /// How many must not be used, by class.
    pub refused: BTreeMap<Class, usize>,
    /// What the list of images is worth.
    pub listed: ListedImages,
}

impl Summary {
    /// Returns how many images were judged.
    #[must_use]
    pub fn images(&self) -> usize {
        self.verified + self.allowed + self.refused.values().sum::<usize>()
    }

    /// Returns every class that anything was refused with.
    pub fn classes(&self) -> impl Iterator<Item = Class> + '_ {
        self.refused.keys().copied().chain(self.listed.incomplete.iter().map(Failure::class))
    }

    fn count(&mut self, verdict: &Verdict) {
        match &verdict.outcome {
            ImageOutcome::Verified { .. } => self.verified += 1,
            ImageOutcome::Allowed { .. } => self.allowed += 1,
            ImageOutcome::Refused(failure) => {
                *self.refused.entry(failure.class()).or_default() += 1
            }
        }
    }
}

/// Verifies every image of a repository, as a policy says and `requirements` demand. What an image
/// is refused for is told of the image.
pub async fn verify(
    connections: &Connections,
    request: &RepositoryRequest,
    policy: &Policy,
    requirements: &Requirements,
    tell: &mut dyn FnMut(Told<'_, Verdict>) -> Result<(), Failure>,
) -> Summary {
    let process = Judge { connections, policy, requirements };
    let walk = RepositoryWalk { connections, request, process, snapshots: Vec::new() };
    let mut summary = Summary::default();
    summary.listed = walk
        .run(&mut |told| {
            if let Told::Image(verdict) = &told {
                summary.count(verdict);
            }
            tell(told)
        })
        .await;
    summary
}

struct Judge<'a> {
    connections: &'a Connections,
    policy: &'a Policy,
    requirements: &'a Requirements,
}

impl Process for Judge<'_> {
    type Value = Verdict;

    async fn one(&self, image: Reference, what: ImageRole) -> Done<Verdict> {
        let name = image.to_string();
        let check =
            unpack::check_with(self.connections, self.policy, &name, self.requirements, false);
        let (digest, outcome) = match in_time(self.connections, check).await {
            Err(failure) => (Err(failure.class()), ImageOutcome::Refused(failure)),
            Ok(Checked { evidence, decision, .. }) => {
                let digest = evidence.map(|evidence| evidence.image.digest);
                (refusal_or(digest, &decision), outcome(decision))
            }
        };
        let standing = match outcome {
            ImageOutcome::Verified { .. } => Standing::Verified,
            ImageOutcome::Allowed { .. } => Standing::Allowed,
            ImageOutcome::Refused(_) => Standing::Unverified,
        };
        let judged = digest.ok().flatten();
        let value = Verdict { what, image: image.clone(), digest: judged, outcome };
        Done { image, digest, standing, value }
    }
}

/// What was refused without being looked at is not looked at now either.
fn refusal_or(digest: Option<Digest>, decision: &Decision) -> Result<Option<Digest>, Class> {
    match (digest, decision) {
        (None, Decision::Refused(failure)) => Err(failure.class()),
        (digest, _) => Ok(digest),
    }
}

fn outcome(decision: Decision) -> ImageOutcome {
    match decision {
        Decision::Verified(provisional) => ImageOutcome::Verified {
            signers: provisional.signers().map(|signer| signer.name.to_owned()).collect(),
        },
        Decision::Allowed(provisional) => ImageOutcome::Allowed {
            notices: provisional.notices().iter().map(|notice| notice.text.clone()).collect(),
        },
        Decision::Refused(failure) => ImageOutcome::Refused(failure),
    }
}
