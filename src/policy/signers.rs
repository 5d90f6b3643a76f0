//! Step (2) of the decision: what each signature that holds comes to, and whether those that count
//! are enough.
//!
//! A signature is weighed once, against everything that was found beside it and is remembered;
//! counting, claimed trees, the first signer, the memory and the words of a refusal read that
//! value. One counts where it is of this image, by someone whom the rule trusts, and made for
//! this name. Enough parties must vouch for one and the same manifest: who signed an index vouches
//! for each image in it, who signed an image in it for that one alone.

use super::binding::{self, Bound, Misfit};
use super::counting::{self, Vote};
use super::evidence::{Evidence, SignatureReport};
use super::matching::{Effective, Trust};
use super::revision::forget_all;
use crate::class::{Class, Failure};
use crate::name::Digest;
use crate::trust::{Authority, Certificate, Identity, Recognition, VerifiedSignature};
use std::collections::BTreeSet;

/// What a signature that holds comes to.
#[derive(Clone, Debug)]
pub(super) enum Weight {
    /// It counts.
    Counts(Counts),
    /// It is of another image, or was made for another name: why, as what is behind "the
    /// signature".
    Elsewhere(Misfit, String),
    /// The first signer of this repository is trusted, and this is not by that one.
    NotFirst(Failure),
    /// It is not by a signer that the rule trusts.
    Stranger,
}

/// What a signature counts for.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// The authorities that the signer can stand for, by their place in the rule; of several that
    /// are one key or identity only the first.
    fits: Vec<usize>,
    /// Whether it counts for nothing else than that anyone's does who is the first.
    pub(super) by_the_first: bool,
    /// How well it is bound to what is asked for.
    pub(super) bound: Bound,
}

impl Weight {
    /// Returns why it does not count. The message is what is behind "the signature".
    pub(super) fn refusal(&self) -> Option<Failure> {
        match self {
            Self::Counts(_) => None,
            Self::Elsewhere(_, why) => Some(Failure::new(Class::Binding, why)),
            Self::NotFirst(failure) => Some(failure.clone()),
            Self::Stranger => {
                let why = "is not by a signer that the rule trusts";
                Some(Failure::new(Class::Identity, why))
            }
        }
    }
}

/// What was found in the place of one signature: one that holds, with its weight, or why it does
/// not hold.
pub(super) type WeighedSignature<'a> = Result<(&'a VerifiedSignature, Weight), &'a Failure>;

/// A signature that counts.
pub(super) type Counting<'w, 'a> = (&'a VerifiedSignature, &'w Counts);

/// Every signature that was found, each weighed, and what they come to together.
pub(super) struct Weighed<'a> {
    found: Vec<(&'a SignatureReport, WeighedSignature<'a>)>,
    /// The image that was asked for.
    image: Digest,
    /// The manifest that they vouch for: the image, or where too few do so the one in it.
    pub(super) signed: Digest,
    /// The authorities that are satisfied, by their place in the rule.
    satisfied: BTreeSet<usize>,
    needed: usize,
    authorities: &'a [Authority],
}

impl<'a> Weighed<'a> {
    /// Weighs everything.
    pub(super) fn of(effective: &'a Effective, evidence: &'a Evidence) -> Self {
        let (needed, authorities) = match &effective.authorities {
            Trust::Signers { needed, authorities } => (*needed, authorities.as_slice()),
            Trust::Nobody | Trust::Skip => (0, [].as_slice()),
        };
        let scales = Scales::new(authorities, effective, evidence);
        let weigh = |report: &'a SignatureReport| {
            let found = report.outcome.as_ref();
            (report, found.map(|signature| (signature, scales.weigh(signature))))
        };
        let image = evidence.image.digest;
        let mut weighed = Self {
            found: evidence.signatures.iter().map(weigh).collect(),
            image,
            signed: image,
            satisfied: BTreeSet::new(),
            needed,
            authorities,
        };
        for subject in evidence.subjects() {
            // Who vouches for the image vouches for the one in it as well.
            if weighed.satisfied.len() < needed {
                weighed.satisfied = satisfied(weighed.vouching(subject));
                weighed.signed = subject;
            }
        }
        weighed
    }

    /// Whether something is learned about the first signer: who it is, or for which repository
    /// their workflow runs.
    pub(super) fn learns(&self, evidence: &Evidence) -> bool {
        self.first_signer()
            .is_some_and(|signature| evidence.memory.recognize(signature) == Recognition::Learned)
    }

    /// Returns what was found, in the order in which it was.
    pub(super) fn found(
        &self,
    ) -> impl Iterator<Item = (&'a SignatureReport, &WeighedSignature<'a>)> {
        self.found.iter().map(|(report, found)| (*report, found))
    }

    /// Returns the signatures that count and vouch for a manifest: the image's own do in any case.
    fn vouching(&self, subject: Digest) -> impl Iterator<Item = Counting<'_, 'a>> {
        self.found.iter().filter_map(move |(_, found)| match found {
            Ok((signature, Weight::Counts(counts)))
                if [self.image, subject].contains(signature.image()) =>
            {
                Some((*signature, counts))
            }
            _ => None,
        })
    }

    /// Whether they verify the image. Never where nobody is trusted: "all of none" is not a yes.
    pub(super) fn is_enough(&self) -> bool {
        !self.satisfied.is_empty() && self.satisfied.len() >= self.needed
    }

    /// Returns the grounds for a yes. Those of another image in the index than the one that counts
    /// are none, and where it does not take the first signer to have enough, who it is by
    /// having signed beside the others is none either.
    pub(super) fn grounds(&self) -> Vec<Counting<'_, 'a>> {
        let takes_the_first = self.first_signer().is_some();
        self.vouching(self.signed)
            .filter(|(_, counts)| takes_the_first || !counts.by_the_first)
            .collect()
    }

    /// Returns the signature of the first signer, where it takes that one to have enough.
    /// Others that are there by themselves must not make someone the first who only signed beside
    /// them.
    pub(super) fn first_signer(&self) -> Option<&'a VerifiedSignature> {
        let others = self.vouching(self.signed).filter(|(_, counts)| !counts.by_the_first);
        let enough = satisfied(others).len() >= self.needed;
        let first = self.vouching(self.signed).find(|(_, counts)| counts.by_the_first);
        first.map(|(signature, _)| signature).filter(|_| !enough)
    }

    /// Returns the digest of the tree that as many parties claim as the rule asks for: of those who
    /// claim that very tree, again each stands for one authority. None where they claim more than
    /// one such.
    pub(super) fn tree(&self) -> Option<Digest> {
        let grounds = self.grounds();
        let claimed: BTreeSet<Digest> =
            grounds.iter().filter_map(|(signature, _)| signature.claims().tree).collect();
        let mut trees = claimed.into_iter().filter(|tree| {
            let claim =
                grounds.iter().filter(|(signature, _)| signature.claims().tree == Some(*tree));
            satisfied(claim.copied()).len() >= self.needed
        });
        trees.next().filter(|_| trees.next().is_none())
    }

    /// What is still missing, where some count and more are needed: how many of how many, and
    /// whose.
    pub(super) fn shortfall(&self) -> Option<String> {
        if self.satisfied.is_empty() || self.is_enough() {
            return None;
        }
        let (found, needed) = (self.satisfied.len(), self.needed);
        let fingerprints: Vec<Digest> = self
            .satisfied
            .iter()
            .filter_map(|at| self.authorities.get(*at))
            .map(Authority::fingerprint)
            .collect();
        let signed = |authority: &&Authority| fingerprints.contains(&authority.fingerprint());
        let by = names(self.authorities.iter().filter(signed), "and");
        let open: Vec<&Authority> =
            self.authorities.iter().filter(|authority| !signed(authority)).collect();
        let missing = if open.len() == needed - found {
            names(open, "and")
        } else {
            format!("{} of {}", needed - found, names(open, "and"))
        };
        Some(format!("{found} of {needed} signatures found, by {by}; missing: {missing}"))
    }
}

/// Returns which authorities are satisfied.
fn satisfied<'w>(signatures: impl Iterator<Item = Counting<'w, 'w>>) -> BTreeSet<usize> {
    let signatures: Vec<_> = signatures.collect();
    let all = || signatures.iter().map(|(signature, _)| signature.signer());
    counting::satisfied(signatures.iter().map(|(signature, counts)| Vote {
        signer: signature.signer().counted_among(all()),
        fits: &counts.fits,
    }))
}

/// Returns `a`, `b` and `c`, in backticks, each name once.
pub(super) fn names<'a>(
    authorities: impl IntoIterator<Item = &'a Authority>,
    last: &str,
) -> String {
    let mut names: Vec<String> = Vec::new();
    for authority in authorities {
        let name = format!("`{}`", authority.name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

/// Which authorities of a rule a signer can stand for, by their place.
enum Fits {
    /// These, which the rule names by key or identity. A signer that it names is not also the one who signed
    /// first: a second workflow of theirs would stand for another party.
    Named(Vec<usize>),
    /// Nothing else than that anyone's signature counts who is the first.
    First(usize),
    /// None.
    Nobody,
}

impl Fits {
    fn of(signature: &VerifiedSignature, authorities: &[Authority]) -> Self {
        let same = |authority: &Authority| {
            let fingerprint = authority.fingerprint();
            authorities.iter().position(|other| other.fingerprint() == fingerprint)
        };
        let theirs = authorities.iter().filter(|authority| signature.is_by(authority));
        let (first, named): (Vec<&Authority>, Vec<&Authority>) =
            theirs.partition(|authority| authority.identity() == Some(&Identity::Any));
        match (named.as_slice(), first.into_iter().find_map(same)) {
            ([], None) => Self::Nobody,
            ([], Some(first)) => Self::First(first),
            (named, _) => Self::Named(named.iter().copied().filter_map(same).collect()),
        }
    }
}

/// What signatures are weighed with.
struct Scales<'a> {
    authorities: &'a [Authority],
    effective: &'a Effective,
    evidence: &'a Evidence,
    /// Who is here that could be the first signer, or of whom more is known than of the one who is
    /// remembered.
    newcomers: BTreeSet<&'a Digest>,
}

impl<'a> Scales<'a> {
    fn new(authorities: &'a [Authority], effective: &'a Effective, evidence: &'a Evidence) -> Self {
        let memory = &evidence.memory;
        let held = evidence.signatures.iter().filter_map(|report| report.outcome.as_ref().ok());
        let newcomers = held
            .filter(|signature| matches!(Fits::of(signature, authorities), Fits::First(_)))
            .filter(|signature| memory.recognize(signature) == Recognition::Learned)
            .map(VerifiedSignature::fingerprint)
            .collect();
        Self { authorities, effective, evidence, newcomers }
    }

    fn weigh(&self, signature: &VerifiedSignature) -> Weight {
        if self.evidence.subjects().all(|subject| subject != *signature.image()) {
            let why = format!("is of `{}`, another image", signature.image());
            return Weight::Elsewhere(Misfit::Image, why);
        }
        let (fits, by_the_first) = match Fits::of(signature, self.authorities) {
            Fits::Nobody => return Weight::Stranger,
            Fits::Named(fits) => (fits, false),
            Fits::First(fits) => match self.check_pin(signature) {
                Ok(()) => (vec![fits], true),
                Err(failure) => return Weight::NotFirst(failure),
            },
        };
        match binding::of(signature, self.effective, self.evidence) {
            Ok(bound) => Weight::Counts(Counts { fits, by_the_first, bound }),
            Err((misfit, why)) => Weight::Elsewhere(misfit, why),
        }
    }

    /// Where the first signer is trusted, and nobody whom the rule names: whether this is the
    /// first signer of the repository.
    ///
    /// # Errors
    /// `identity`: it is another one, or several are there at first. `state`: nobody could remember
    /// the first.
    fn check_pin(&self, signature: &VerifiedSignature) -> Result<(), Failure> {
        let memory = &self.evidence.memory;
        if !memory.durable {
            return Err(Failure::new(
                Class::State,
                "needs the first signer, which this machine cannot remember",
            ));
        }
        match memory.recognize(signature) {
            Recognition::Another => {
                let first = memory.pins.iter().map(|pin| format!("`{}`", pin.name));
                let first = first.collect::<Vec<_>>().join(" and ");
                let by = signature.certificate().map(Certificate::lasting_description);
                let why = format!(
                    "is by `{}` and not by {first}, who signed this repository first",
                    by.unwrap_or_default()
                );
                Err(Failure::new(Class::Identity, why)
                    .hint(forget_all(self.effective, &self.evidence.reference)))
            }
            Recognition::Learned if self.newcomers.len() > 1 => Err(Failure::new(
                Class::Identity,
                "is one of several by different signers; first-signer trust needs exactly one",
            )),
            Recognition::Learned | Recognition::Same => Ok(()),
        }
    }
}
