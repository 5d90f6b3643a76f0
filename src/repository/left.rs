//! What a publish left unsigned.
//!
//! luet pushes no image that the registry has already, and nobody hears of it. What this run signed
//! is known by its marks; of the rest it is looked at whether this signer signed it, under this name.

use super::contents::ImageRole;
use super::walk::{Done, Process, RepositoryWalk};
use super::{RepositoryRequest, Standing, Told, in_time};
use crate::class::{Class, Failure};
use crate::luet;
use crate::name::{Digest, Reference, Repository};
use crate::policy::{Decision, Policy};
use crate::push;
use crate::session::Connections;
use crate::trust::Requirements;
use crate::unpack;
use std::num::NonZero;
use tokio::sync::OnceCell;

/// How many images are looked at at the same time, as by `verify-repo`.
const JOBS: NonZero<usize> = NonZero::new(8).unwrap();

/// What was found.
#[derive(Clone, Debug)]
pub struct Left {
    /// Where.
    pub repository: Repository,
    /// How many images there are.
    pub images: usize,
    /// How many of them this signer did not sign.
    pub unsigned: usize,
    /// Why it is not known of others.
    pub unknown: Option<Failure>,
}

impl Left {
    /// Returns whether all of it is signed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.unsigned == 0 && self.unknown.is_none()
    }
}

/// Looks at every image that a repository names which was published in this run. Nothing where it was
/// not.
///
/// # Errors
/// `reference`: that names no repository.
pub async fn left(connections: &Connections, repository: &str) -> Result<Option<Left>, Failure> {
    let repository: Repository = repository.parse()?;
    if !push::pushed_in_this_run(connections, &repository) {
        return Ok(None);
    }
    let request = RepositoryRequest {
        repository: repository.clone(),
        description: luet::DESCRIPTION.parse()?,
        jobs: JOBS,
    };
    let process = Looker { connections, policy: OnceCell::new() };
    let walk = RepositoryWalk { connections, request: &request, process, snapshots: Vec::new() };
    let mut left = Left { repository, images: 0, unsigned: 0, unknown: None };
    let listed = walk
        .run(&mut |told| {
            if let Told::Image(signed) = told {
                left.images += 1;
                match signed {
                    Ok(true) => {}
                    Ok(false) => left.unsigned += 1,
                    Err(failure) => left.unknown = Some(failure.clone()),
                }
            }
            Ok(())
        })
        .await;
    left.unknown = left.unknown.or_else(|| listed.incomplete.into_iter().next());
    Ok(Some(left))
}

struct Looker<'a> {
    connections: &'a Connections,
    /// That this signer signed it. Made for the first image that is not known to be: it takes a key
    /// or a token.
    policy: OnceCell<Policy>,
}

impl Process for Looker<'_> {
    type Value = Result<bool, Failure>;

    async fn one(&self, image: Reference, _: ImageRole) -> Done<Self::Value> {
        let mut digest = None;
        let value = if push::signed_in_this_run(self.connections, &image) {
            Ok(true)
        } else {
            self.is_signed(&image, &mut digest).await
        };
        let standing =
            if matches!(value, Ok(true)) { Standing::Verified } else { Standing::Unverified };
        let digest = match &value {
            Err(failure) if digest.is_none() => Err(failure.class()),
            _ => Ok(digest),
        };
        Done { image, digest, standing, value }
    }
}

impl Looker<'_> {
    async fn is_signed(
        &self,
        image: &Reference,
        digest: &mut Option<Digest>,
    ) -> Result<bool, Failure> {
        let policy = self.policy.get_or_try_init(|| self.policy()).await?;
        let (name, none) = (image.to_string(), Requirements::default());
        let check = unpack::check_with(self.connections, policy, &name, &none, false);
        let checked = in_time(self.connections, check).await?;
        *digest = checked.evidence.as_ref().map(|evidence| evidence.image.digest);
        match checked.decision {
            Decision::Verified(provisional) => Ok(provisional.signers().any(|it| it.binds)),
            Decision::Refused(failure) if !failure.class().is_inconclusive() => Ok(false),
            Decision::Refused(failure) => Err(failure),
            Decision::Allowed(_) => {
                Err(Failure::new(Class::Internal, "one signer is trusted, and nothing allowed"))
            }
        }
    }

    async fn policy(&self) -> Result<Policy, Failure> {
        let own = push::own_signer(self.connections).await?.own(self.connections).await?;
        unpack::policy_of(self.connections, own.authority(), "this signer")
    }
}
