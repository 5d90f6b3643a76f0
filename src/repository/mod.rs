//! The flows for whole repositories: verify everything that a luet repository names, and sign what
//! of it is not signed yet.
//!
//! What a repository names is read as luet reads it: the description, the files that it names, the
//! index in one of them, two images for each package (`walk`, `contents`). A name proves nothing:
//! each image is looked at by itself, and what was read from an index that nobody vouches for is
//! called so. Signing is no oracle: what is signed was pushed from here (`store::Pushes`), or holds
//! what is here (`local`), or someone said that the registry is to be trusted.

mod contents;
mod left;
mod local;
mod sign;
mod verify;
mod walk;

pub use contents::ImageRole;
pub use left::{Left, left};
pub use local::{Artifacts, read_artifacts};
pub use sign::{SignSummary, Signing, Step, Voucher, Worked, sign};
pub use verify::{ImageOutcome, Summary, Verdict, verify};

use crate::class::{Class, Failure};
use crate::name::{Reference, Repository, Tag};
use crate::session::Connections;
use std::future::Future;
use std::num::NonZero;
use std::time::{Duration, Instant};

/// What is to be gone through.
#[derive(Clone, Debug)]
pub struct RepositoryRequest {
    /// The repository.
    pub repository: Repository,
    /// The tag of its description.
    pub description: Tag,
    /// How many images are looked at at the same time.
    pub jobs: NonZero<usize>,
}

/// How far someone vouches for the list of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nobody does.
    #[default]
    Unverified,
    /// Nobody does, and a rule allows that.
    Allowed,
    /// Someone vouches for description and index.
    Verified,
}

impl Standing {
    /// Returns the word for `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Allowed => "allowed",
            Self::Verified => "verified",
        }
    }
}

/// What the list of images is worth.
#[derive(Clone, Debug, Default)]
pub struct ListedImages {
    /// How far someone vouches for it.
    pub standing: Standing,
    /// Why it may not be all of it.
    pub incomplete: Vec<Failure>,
}

/// What is told on the way.
#[derive(Debug)]
pub enum Told<'a, T> {
    /// An image was looked at.
    Image(&'a T),
    /// Something else is to be said.
    Note(String),
    /// So many images are to be looked at in all, as far as it is known.
    Total(usize),
    /// The images from here on are those that a list names for which nobody vouches.
    Unvouched {
        /// The description.
        description: &'a Reference,
        /// The image of the index.
        index: &'a Reference,
        /// How far someone vouches for both.
        standing: Standing,
    },
}

/// Does something about one image, within the time that one image has.
async fn in_time<T>(
    connections: &Connections,
    does: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    // The images of one command share a deadline that each of them renews, so each has one of its
    // own beside it.
    connections.client().renew();
    let left = connections.client().deadline().saturating_duration_since(Instant::now());
    tokio::time::timeout(left + Duration::from_secs(1), does).await.unwrap_or_else(|_| {
        Err(Failure::new(Class::Net, "no answer within the deadline (LUET_COSIGN_TIMEOUT)"))
    })
}
