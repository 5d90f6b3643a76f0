//! Step (2) of the decision: which of the signatures that hold count, and whether they are enough.
//!
//! A signature counts where it is of this image, by somebody whom the rule trusts, and made for this name. Enough keys must vouch
//! for one and the same manifest: who signed an index vouches for each image in it, who signed an image in it for that one
//! alone. What is counted are keys: the same signature twice, another one by the same key, and one key under two names are one (`reference/security.md` R18).

use super::binding::{self, Expected, Named};
use super::evidence::Evidence;
use super::matching::{Effective, Trust};
use crate::class::{Class, Failure};
use crate::name::Digest;
use crate::trust::{Authority, VerifiedSignature};
use std::collections::BTreeSet;

/// The signatures that count.
pub(super) struct Counted<'a> {
    pub(super) signatures: Vec<&'a VerifiedSignature>,
    /// The manifest that most keys vouch for, the image itself before one in it.
    pub(super) signed: &'a Digest,
    keys: BTreeSet<&'a Digest>,
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
    let signatures: Vec<_> = held.filter(|signature| weigh(signature, effective, evidence).is_ok()).collect();
    let image = &evidence.image.digest;
    let vouch_for = |subject: &Digest| -> BTreeSet<&'a Digest> {
        let about = |signature: &&&'a VerifiedSignature| signature.image() == image || signature.image() == subject;
        signatures.iter().filter(about).map(|signature| signature.fingerprint()).collect()
    };
    let (mut signed, mut keys) = (image, vouch_for(image));
    for signature in &signatures {
        let others = vouch_for(signature.image());
        if keys.len() < needed && others.len() > keys.len() {
            (signed, keys) = (signature.image(), others);
        }
    }
    // Those of another image in the index than the one that counts are not grounds.
    let signatures = signatures.into_iter().filter(|signature| signature.image() == image || signature.image() == signed).collect();
    Counted { signatures, signed, keys, needed, authorities }
}

impl Counted<'_> {
    /// Whether they verify the image. Never where nobody is trusted: "all of none" is no yes.
    pub(super) fn is_enough(&self) -> bool {
        !self.keys.is_empty() && self.keys.len() >= self.needed
    }

    /// What is still missing, where some count and more are needed: how many of how many, and whose.
    pub(super) fn shortfall(&self) -> Option<String> {
        if self.keys.is_empty() || self.is_enough() {
            return None;
        }
        let (found, needed) = (self.keys.len(), self.needed);
        let signed = |authority: &&Authority| self.keys.contains(authority.key.fingerprint());
        let by = names(self.authorities.iter().filter(signed), "and");
        let open: Vec<&Authority> = self.authorities.iter().filter(|authority| !signed(authority)).collect();
        let missing =
            if open.len() == needed - found { names(open, "and") } else { format!("{} of {}", needed - found, names(open, "and")) };
        Some(format!("{found} of {needed} signatures found, by {by}; missing: {missing}"))
    }
}

/// Returns `a`, `b` and `c`, in backticks, each name once.
pub(super) fn names<'a>(authorities: impl IntoIterator<Item = &'a Authority>, last: &str) -> String {
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
pub(super) fn weigh(signature: &VerifiedSignature, effective: &Effective, evidence: &Evidence) -> Result<(), Failure> {
    if evidence.subjects().all(|subject| subject != *signature.image()) {
        return Err(Failure::new(Class::Binding, format!("is of `{}`, another image", signature.image())));
    }
    if !is_trusted(signature, effective) {
        return Err(Failure::new(Class::Identity, "is by somebody whom the rule does not trust"));
    }
    let by_a_binder = evidence.memory.binders.contains(signature.fingerprint());
    let expected = Expected { reference: &evidence.reference, signed_as: effective.signed_as.as_ref() };
    let named = Named { repository: signature.claims().repository.as_ref(), tag: signature.claims().tag.as_ref() };
    binding::check(named, effective.bind_tag, by_a_binder, expected).map_err(|why| Failure::new(Class::Binding, why))
}

/// Whether the rule trusts the signer: by name *and* key, for names are the policy's and keys are what signed.
fn is_trusted(signature: &VerifiedSignature, effective: &Effective) -> bool {
    match &effective.authorities {
        Trust::Signers { authorities, .. } => authorities
            .iter()
            .any(|authority| authority.name == signature.authority() && authority.key.fingerprint() == signature.fingerprint()),
        Trust::Nobody | Trust::Skip => false,
    }
}
