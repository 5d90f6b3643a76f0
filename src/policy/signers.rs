//! Step (2) of the decision: which of the signatures that hold count, and whether they are enough.
//!
//! A signature counts where it is of this image, by somebody whom the rule trusts, and made for
//! this name. Enough keys must vouch for one and the same manifest: who signed an index vouches for
//! each image in it, who signed an image in it for that one alone. What is counted are signers,
//! each for one authority that the rule names: the same signature twice, another one by the same
//! key or identity, and one key under two names are one (`reference/security.md` R18, S27); and a
//! signer who would do for two authorities stands for one of them.

use super::binding;
use super::evidence::Evidence;
use super::matching::{Effective, Trust};
use crate::class::{Class, Failure};
use crate::name::Digest;
use crate::trust::{Authority, Identity, VerifiedSignature};
use std::collections::{BTreeMap, BTreeSet};

/// The signatures that count.
pub(super) struct Counted<'a> {
    pub(super) signatures: Vec<&'a VerifiedSignature>,
    /// The manifest that most signers vouch for, the image itself before one in it.
    pub(super) signed: &'a Digest,
    /// The authorities that are satisfied, by their place in the rule.
    satisfied: BTreeSet<usize>,
    pub(super) needed: usize,
    authorities: &'a [Authority],
}

/// Counts.
pub(super) fn count<'a>(effective: &'a Effective, evidence: &'a Evidence) -> Counted<'a> {
    let (needed, authorities) = match &effective.authorities {
        Trust::Signers { needed, authorities } => (*needed, authorities.as_slice()),
        Trust::Nobody | Trust::Skip => (0, [].as_slice()),
    };
    let held = evidence.signatures.iter().filter_map(|report| report.outcome.as_ref().ok());
    let signatures: Vec<_> =
        held.filter(|signature| weigh(signature, effective, evidence).is_ok()).collect();
    let image = &evidence.image.digest;
    let vouch_for = |subject: &Digest| -> BTreeSet<usize> {
        let about = |signature: &&&'a VerifiedSignature| {
            signature.image() == image || signature.image() == subject
        };
        satisfied(signatures.iter().filter(about).copied(), authorities)
    };
    let (mut signed, mut found) = (image, vouch_for(image));
    for signature in &signatures {
        let others = vouch_for(signature.image());
        if found.len() < needed && others.len() > found.len() {
            (signed, found) = (signature.image(), others);
        }
    }
    // Those of another image in the index than the one that counts are not grounds.
    let signatures = signatures
        .into_iter()
        .filter(|signature| signature.image() == image || signature.image() == signed)
        .collect();
    Counted { signatures, signed, satisfied: found, needed, authorities }
}

/// Returns which authorities are satisfied, where each signer stands for one of them and as many as
/// possible are: a matching of the two, by augmenting paths. Two authorities that are the same key
/// or identity are one.
fn satisfied<'a>(
    signatures: impl Iterator<Item = &'a VerifiedSignature>,
    authorities: &[Authority],
) -> BTreeSet<usize> {
    let mut fits: BTreeMap<&Digest, Vec<usize>> = BTreeMap::new();
    let distinct: Vec<Digest> = authorities.iter().map(Authority::fingerprint).collect();
    for signature in signatures {
        let entry = fits.entry(signature.fingerprint()).or_default();
        for (at, authority) in authorities.iter().enumerate() {
            let first =
                distinct.iter().position(|other| distinct.get(at) == Some(other)).unwrap_or(at);
            if signature.is_by(authority) && !entry.contains(&first) {
                entry.push(first);
            }
        }
    }
    let signers: Vec<Vec<usize>> = fits.into_values().collect();
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    for signer in 0..signers.len() {
        place(signer, &signers, &mut taken, &mut BTreeSet::new());
    }
    taken.into_keys().collect()
}

/// Finds an authority for a signer, moving others to another one of theirs where they are in the
/// way.
fn place(
    signer: usize,
    signers: &[Vec<usize>],
    taken: &mut BTreeMap<usize, usize>,
    tried: &mut BTreeSet<usize>,
) -> bool {
    for authority in signers.get(signer).into_iter().flatten() {
        if !tried.insert(*authority) {
            continue;
        }
        let holder = taken.get(authority).copied();
        if holder.is_none_or(|holder| place(holder, signers, taken, tried)) {
            taken.insert(*authority, signer);
            return true;
        }
    }
    false
}

impl Counted<'_> {
    /// Whether they verify the image. Never where nobody is trusted: "all of none" is no yes.
    pub(super) fn is_enough(&self) -> bool {
        !self.satisfied.is_empty() && self.satisfied.len() >= self.needed
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

/// Decides whether a signature that holds counts.
///
/// # Errors
/// `binding`, `identity`. The message is what stands behind "the signature".
pub(super) fn weigh(
    signature: &VerifiedSignature,
    effective: &Effective,
    evidence: &Evidence,
) -> Result<(), Failure> {
    if evidence.subjects().all(|subject| subject != *signature.image()) {
        return Err(Failure::new(
            Class::Binding,
            format!("is of `{}`, another image", signature.image()),
        ));
    }
    if !is_trusted(signature, effective) {
        return Err(Failure::new(Class::Identity, "is by somebody whom the rule does not trust"));
    }
    check_pin(signature, effective, evidence)?;
    binding::of(signature, effective, evidence)
        .map(drop)
        .map_err(|why| Failure::new(Class::Binding, why))
}

/// Where whoever signs first is trusted, and nobody whom the rule names: whether this is the first
/// signer of the repository.
///
/// # Errors
/// `identity`: it is another one, or several are there at first. `state`: nobody could remember the
/// first.
fn check_pin(
    signature: &VerifiedSignature,
    effective: &Effective,
    evidence: &Evidence,
) -> Result<(), Failure> {
    if !is_by_anybody(signature, effective) {
        return Ok(());
    }
    let memory = &evidence.memory;
    if !memory.durable {
        return Err(Failure::new(
            Class::State,
            "is by whoever signed first, and this machine cannot remember who that was",
        ));
    }
    let forget =
        || format!("when this is meant: `luet-cosign seen forget --all {}`", evidence.reference);
    match &memory.pin {
        Some(pin) if pin.fingerprint == *signature.fingerprint() => Ok(()),
        Some(pin) => {
            let why = format!("is not by `{}`, who signed this repository first", pin.name);
            Err(Failure::new(Class::Identity, why).hint(forget()))
        }
        None => {
            let others =
                evidence.signatures.iter().filter_map(|report| report.outcome.as_ref().ok());
            let mut others = others.filter(|other| {
                is_by_anybody(other, effective) && other.fingerprint() != signature.fingerprint()
            });
            match others.next() {
                None => Ok(()),
                Some(_) => Err(Failure::new(
                    Class::Identity,
                    "is one of several by different signers, so nobody is the first",
                )),
            }
        }
    }
}

/// Returns the signature of whoever signed first, where it takes that one to have enough. Others
/// that are there by themselves must not make somebody the first who only signed beside them.
pub(super) fn first_signer<'a>(
    counted: &Counted<'a>,
    effective: &Effective,
) -> Option<&'a VerifiedSignature> {
    let (theirs, others): (Vec<_>, Vec<_>) = counted
        .signatures
        .iter()
        .copied()
        .partition(|signature| is_by_anybody(signature, effective));
    let enough = satisfied(others.into_iter(), counted.authorities).len() >= counted.needed;
    theirs.first().copied().filter(|_| !enough)
}

/// Whether a signature counts for nothing else than that anybody's does.
pub(super) fn is_by_anybody(signature: &VerifiedSignature, effective: &Effective) -> bool {
    let Trust::Signers { authorities, .. } = &effective.authorities else { return false };
    let mut theirs = authorities.iter().filter(|authority| signature.is_by(authority)).peekable();
    theirs.peek().is_some() && theirs.all(|authority| authority.identity() == Some(&Identity::Any))
}

/// Whether the rule trusts the signer: by key or certificate, which are what signed; names are the
/// policy's.
fn is_trusted(signature: &VerifiedSignature, effective: &Effective) -> bool {
    match &effective.authorities {
        Trust::Signers { authorities, .. } => {
            authorities.iter().any(|authority| signature.is_by(authority))
        }
        Trust::Nobody | Trust::Skip => false,
    }
}
