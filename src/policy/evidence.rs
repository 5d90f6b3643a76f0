//! Evidence: what was found when signatures of an image were looked for. Facts only; nothing here
//! decides.
//!
//! The gatherer fills it in; [`super::decide`] distrusts it where it is incomplete: a place
//! that is not listed was not asked, and what was not asked is never "not there".

use super::settings::Downgrade;
use crate::class::Failure;
use crate::name::{Digest, Reference, Repository, Subject};
use crate::trust::{Recognition, SignerId, VerifiedSignature};
use std::fmt;

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The image: what the tag was resolved to, an index or a manifest.
    pub image: Subject,
    /// Where the image is an index: the manifest of this platform, whose signatures count as well.
    pub child: Option<Digest>,
    /// The reference that was asked for.
    pub reference: Reference,
    /// One report for each kind of place, repository and subject.
    pub places: Vec<PlaceReport>,
    /// One report for each signature that was found, in whatever place.
    pub signatures: Vec<SignatureReport>,
    /// What is known from before.
    pub memory: Remembered,
}

impl Evidence {
    /// Starts without any fact.
    #[must_use]
    pub fn new(reference: Reference, digest: Digest, child: Option<Digest>) -> Self {
        let image = reference.subject(digest);
        Self {
            image,
            child: child.filter(|child| *child != digest),
            reference,
            places: Vec::new(),
            signatures: Vec::new(),
            memory: Remembered::default(),
        }
    }

    /// Returns the digests whose signatures count: the image's, and that of its manifest for this
    /// platform.
    pub fn subjects(&self) -> impl Iterator<Item = Digest> + use<> {
        std::iter::once(self.image.digest).chain(self.child)
    }
}

/// What was seen here before. A second line of defence: a fresh machine knows nothing, and nothing
/// is lost by that but this line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The last time that this tag of this repository was verified. `None` for an image that is
    /// named by digest alone.
    pub tag_verified: Option<SeenFact>,
    /// The last time that any image of this repository was verified.
    pub repository_verified: Option<SeenFact>,
    /// Those whose signatures named repository and tag in this repository.
    pub binders: Vec<SignerId>,
    /// Who signed this repository first, where the first signer alone is accepted: under each of its
    /// names, all of whom a signature has to be by.
    pub pins: Vec<Pin>,
    /// Whether something can be remembered: without that nobody is the first.
    pub durable: bool,
}

/// The first signer of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What stands for the signer.
    pub signer: SignerId,
    /// Who it is, for people.
    pub name: String,
}

impl Remembered {
    /// Returns what the first signer and the author of a signature have to do with each other. Where
    /// nobody is remembered, everything about them is new.
    pub(super) fn recognize(&self, signature: &VerifiedSignature) -> Recognition {
        let recognized = |pin: &Pin| pin.signer.recognize(signature.signer());
        let all: Vec<Recognition> = self.pins.iter().map(recognized).collect();
        if all.contains(&Recognition::Another) {
            Recognition::Another
        } else if all.is_empty() || all.contains(&Recognition::Learned) {
            Recognition::Learned
        } else {
            Recognition::Same
        }
    }

    /// Whether a signature is by someone whose signatures named repository and tag, or may be:
    /// who leaves out which repository a workflow ran for does not get around that.
    pub(super) fn is_by_a_binder(&self, signature: &VerifiedSignature) -> bool {
        self.binders.iter().any(|binder| binder.may_be(signature.signer()))
    }

    /// Returns what speaks against letting the image pass unsigned.
    pub(super) fn against(&self, downgrade: Downgrade) -> Option<&SeenFact> {
        match downgrade {
            Downgrade::Off => None,
            Downgrade::Tag => self.tag_verified.as_ref(),
            Downgrade::Repo => self.tag_verified.as_ref().or(self.repository_verified.as_ref()),
        }
    }
}

/// An image that was verified here before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFact {
    /// Who had signed it, as the policy named it then.
    pub signer: String,
    /// What was verified.
    pub digest: Digest,
    /// When, in seconds since 1970.
    pub seconds: i64,
}

/// The places where signatures of one subject can be in one repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PlaceKind {
    /// The tag `sha256-HEX.sig`.
    SigTag,
    /// The registry's list of referrers.
    Referrers,
    /// The tag `sha256-HEX`, for registries without that list.
    FallbackTag,
}

impl PlaceKind {
    /// Every kind: all three are asked.
    pub const ALL: [Self; 3] = [Self::SigTag, Self::Referrers, Self::FallbackTag];
}

impl fmt::Display for PlaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SigTag => ".sig tag",
            Self::Referrers => "referrers API",
            Self::FallbackTag => "fallback tag",
        })
    }
}

/// What one place answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceReport {
    /// Which place.
    pub kind: PlaceKind,
    /// In which repository.
    pub repository: Repository,
    /// About which subject.
    pub subject: Digest,
    /// The answer.
    pub answer: PlaceAnswer,
}

/// An answer of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceAnswer {
    /// It is there, and gave so many [`SignatureReport`]s of its own. None where all it has is no
    /// signature.
    There {
        /// How many.
        count: usize,
    },
    /// Authoritatively not there.
    Absent {
        /// The answer, for people: `404 MANIFEST_UNKNOWN`.
        detail: String,
    },
    /// The registry has no such interface. Of the referrers API only; the fallback tag must answer
    /// for itself then.
    NoApi {
        /// The answer, for people.
        detail: String,
    },
    /// It could not be asked, or answered with something that cannot be used.
    Failed(Failure),
}

/// What became of one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureReport {
    /// In which place it lies.
    pub place: PlaceKind,
    /// In which repository.
    pub repository: Repository,
    /// Under which subject it lies.
    pub subject: Digest,
    /// Its form, for people: `legacy`, `bundle`.
    pub format: String,
    /// The checker's answer. `identity` means: by a stranger.
    pub outcome: Result<VerifiedSignature, Failure>,
}
