//! The decision: a pure table over what was found. docs/policy.md says it for users.
//!
//! The steps of [`decide`]:
//! 1. the evidence is about this image, else `internal`;
//! 2. good signatures by so many keys as the rule wants, mostly one, are enough, wherever they lie,
//!    whatever else is broken. Good is one that holds, is by someone whom the rule trusts, and was
//!    made for this name;
//! 3. otherwise everything that speaks against the image is collected, and the most telling reason
//!    is shown first: could not be asked (the good signature may be there), binding, other invalid
//!    ones, unsupported, by strangers;
//! 4. only where nothing speaks against it but absence - every kind of place, in every repository,
//!    for every subject, answered "not there" - is `unsigned` read. Where the rule names no signer,
//!    a stranger's signature is as good as none. What was verified here before does not pass so.
//!
//! The safe branch is the one that needs no code: what is not listed in the evidence refuses.

use super::evidence::{Evidence, Pin};
use super::matching::{Applies, Effective, Matched, Trust};
use super::reasons::Reasons;
use super::signers::Weighed;
use super::{Mode, Policy, binding, refusal};
use crate::class::{Class, Failure};
use crate::name::{Digest, Reference, Subject};
use crate::trust::{Recognition, SignerId, VerifiedSignature};
use jiff::Timestamp;
use std::fmt;

/// The decision about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody vouches for it; a rule lets it pass all the same.
    Allowed(Provisional),
    /// It must not be used.
    Refused(Failure),
    /// Someone whom the rule trusts signed it.
    Verified(Provisional),
}

impl Decision {
    /// Returns the proof, or the refusal.
    ///
    /// # Errors
    /// The refusal.
    pub fn into_result(self) -> Result<Provisional, Failure> {
        match self {
            Self::Allowed(provisional) | Self::Verified(provisional) => Ok(provisional),
            Self::Refused(failure) => Err(failure),
        }
    }
}

/// Proof that the policy lets this image be unpacked, provided that what is unpacked is this image.
/// Only this module makes one.
///
/// There is no way to write one down: `tests/forged/provisional.rs` compiles beside this type,
/// and a doctest holds that the same text does not compile outside.
#[cfg_attr(
    doctest,
    doc = concat!("```compile_fail\n", include_str!("../../tests/forged/provisional.rs"), "```")
)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Provisional {
    reference: Option<Reference>,
    subject: Option<Subject>,
    grounds: Grounds,
    notices: Vec<Notice>,
    /// The expected signer because nobody else signed before.
    pin: Option<Pin>,
}

impl Provisional {
    /// Returns the reference; none for local files.
    #[must_use]
    pub fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// Returns what was judged; none where nothing was looked at.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Returns why it may be unpacked.
    #[must_use]
    pub fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// Returns the first signature that lets the image pass, where signatures do.
    #[must_use]
    pub fn signature(&self) -> Option<&VerifiedSignature> {
        self.signatures().next()
    }

    /// Returns every signature that counts, in the order in which they were found. Also where fewer
    /// would have been enough.
    pub fn signatures(&self) -> impl Iterator<Item = &VerifiedSignature> {
        match &self.grounds {
            Grounds::Signature { signature, others, .. } => {
                Some(signature.as_ref()).into_iter().chain(others)
            }
            _ => None.into_iter().chain(&[]),
        }
    }

    /// Returns everybody whose signatures count, each once, in the order of their first ones.
    pub fn signers(&self) -> impl Iterator<Item = CountedSigner<'_>> {
        let signers = self.signatures().enumerate().filter(|(at, signature)| {
            let same = |other: &VerifiedSignature| other.fingerprint() == signature.fingerprint();
            !self.signatures().take(*at).any(same)
        });
        signers.map(|(_, signature)| {
            let theirs =
                self.signatures().filter(|other| other.fingerprint() == signature.fingerprint());
            CountedSigner {
                name: signature.authority(),
                signer: signature.signer(),
                binds: theirs.map(VerifiedSignature::claims).any(|claims| claims.names_all()),
            }
        })
    }

    /// Returns the manifest that the signatures vouch for: the image, or where that is an index an
    /// image in it.
    #[must_use]
    pub fn signed(&self) -> Option<&Digest> {
        match &self.grounds {
            Grounds::Signature { signed, .. } => Some(signed),
            _ => None,
        }
    }

    /// Returns who is the first signer of the repository from now on, where that is what was asked
    /// for.
    #[must_use]
    pub fn pinned(&self) -> Option<Pin> {
        self.pin.clone()
    }

    /// Returns the digest of the tree that as many parties claim as the rule asks for. None where
    /// they claim more than one such.
    #[must_use]
    pub fn tree(&self) -> Option<Digest> {
        match &self.grounds {
            Grounds::Signature { tree, .. } => *tree,
            _ => None,
        }
    }

    /// Returns the lines that the host is to show. None when all is well.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

/// Someone whose signatures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedSigner<'a> {
    /// Who it is, as the policy names it.
    pub name: &'a str,
    /// What stands for the signer.
    pub signer: &'a SignerId,
    /// Whether one of the signatures names repository and tag.
    pub binds: bool,
}

/// Why an image may be unpacked. Rules are given with where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// A rule lets images from local files pass.
    LocalFiles {
        /// The rule.
        rule: String,
    },
    /// Signatures, under this rule.
    Signature {
        /// The rule.
        rule: String,
        /// The first that was found.
        signature: Box<VerifiedSignature>,
        /// The others that count.
        others: Vec<VerifiedSignature>,
        /// The manifest that they vouch for: the image, or where that is an index an image in it.
        signed: Digest,
        /// The tree that as many parties claim as the rule asks for.
        tree: Option<Digest>,
    },
    /// A rule or pattern says that nothing is to be looked for.
    Skipped {
        /// The rule, or the pattern.
        rule: String,
    },
    /// No rule is about it, and `defaults.unmatched` lets it pass.
    Unmatched,
    /// It is proven to have no signature, and this rule lets it pass.
    Unsigned {
        /// The rule.
        rule: String,
    },
}

/// Which rule let it pass, and why, for people.
impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalFiles { rule } => write!(f, "{rule} lets images from files pass"),
            Self::Signature { rule, .. } => write!(f, "signed, as {rule} asks"),
            Self::Skipped { rule } => write!(f, "{rule} skips it"),
            Self::Unmatched => f.write_str("no rule is about it, and `unmatched` lets it pass"),
            Self::Unsigned { rule } => write!(f, "unsigned, which {rule} allows"),
        }
    }
}

/// A line for the host to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it is a warning, or only said.
    pub warning: bool,
    /// The text, which starts with `warning: ` where it is one. Lower case, no full stop.
    pub text: String,
}

/// Decides about an image of which the signatures were looked for.
#[must_use]
pub fn decide(matched: &Matched, evidence: &Evidence) -> Decision {
    let Applies::Rule(effective) = &matched.applies else { return decide_without_looking(matched) };
    if !matched.looks() {
        return decide_without_looking(matched);
    }
    // (1)
    if let Err(failure) = check_subject(matched, evidence) {
        return Decision::Refused(failure);
    }
    // (2)
    let weighed = Weighed::of(effective, evidence);
    if let Some(provisional) = verified(matched, effective, evidence, &weighed) {
        return Decision::Verified(provisional);
    }
    // (3)
    let reasons = Reasons::collect(matched, effective, evidence, &weighed);
    // (4)
    if let (Mode::Warn | Mode::Allow, true) = (effective.unsigned, reasons.only_absence()) {
        if let Some(seen) = evidence.memory.against(effective.downgrade) {
            return Decision::Refused(refusal::downgraded(effective, evidence, &weighed, seen));
        }
        let grounds = Grounds::Unsigned { rule: effective.title() };
        let notices = refusal::unsigned_notices(effective, evidence, &reasons.strangers);
        return Decision::Allowed(provisional(
            matched,
            Some(evidence.image.clone()),
            grounds,
            notices,
        ));
    }
    Decision::Refused(refusal::refused(matched, effective, evidence, &weighed, reasons.worst()))
}

/// Step (2): the proof, where the signatures that count are enough.
fn verified(
    matched: &Matched,
    effective: &Effective,
    evidence: &Evidence,
    weighed: &Weighed<'_>,
) -> Option<Provisional> {
    if !weighed.is_enough() {
        return None;
    }
    let counting = weighed.grounds();
    let mut notices = binding::warnings(&counting, evidence);
    let mut signatures = counting.into_iter().map(|(signature, _)| signature.clone());
    let grounds = Grounds::Signature {
        rule: effective.title(),
        signature: Box::new(signatures.next()?),
        others: signatures.collect(),
        signed: weighed.signed,
        tree: weighed.tree(),
    };
    let first = weighed.first_signer();
    notices.extend(first.into_iter().flat_map(|signature| named(signature, effective, evidence)));
    Some(Provisional {
        pin: first.and_then(pinned),
        ..provisional(matched, Some(evidence.image.clone()), grounds, notices)
    })
}

/// Decides where nothing is to be looked for: `trust: skip`, a skip pattern, no rule, a rule whose
/// day has come.
#[must_use]
pub fn decide_without_looking(matched: &Matched) -> Decision {
    let reference = &matched.reference;
    let allowed = |warning: bool, text: String, grounds: Grounds| {
        Decision::Allowed(provisional(matched, None, grounds, vec![notice(warning, text)]))
    };
    match &matched.applies {
        Applies::Skipped { pattern, place } => allowed(
            true,
            format!("`{reference}` was not checked: the pattern `{pattern}` skips it [{place}]"),
            Grounds::Skipped { rule: format!("`{pattern}` [{place}]") },
        ),
        Applies::Unmatched { mode: Mode::Deny, place } => {
            Decision::Refused(refusal::unmatched(matched, place))
        }
        Applies::Unmatched { mode, place } => allowed(
            *mode == Mode::Warn,
            format!(
                "`{reference}` was not checked: no rule is about it, and `unmatched` is `{}` [{place}]",
                mode.word()
            ),
            Grounds::Unmatched,
        ),
        Applies::Rule(effective) if effective.is_over() => {
            Decision::Refused(refusal::ended(matched, effective))
        }
        Applies::Rule(effective) if effective.authorities == Trust::Skip => {
            let rule = effective.title();
            allowed(
                false,
                format!("`{reference}` was not checked: {rule} skips it"),
                Grounds::Skipped { rule },
            )
        }
        Applies::Rule(_) => {
            let message = format!(
                "`{reference}` was to be decided without its signatures, which its rule asks for"
            );
            Decision::Refused(Failure::new(Class::Internal, message))
        }
    }
}

/// Decides about an image that the host unpacked from a file of its own disk, for which no registry
/// can answer.
#[must_use]
pub fn decide_local_files(policy: &Policy, now: Timestamp) -> Decision {
    match policy.local_files() {
        Some(rule) if !rule.has_ended(super::loaded::day(now)) => {
            let name = format!("rule `{}` [{}]", rule.name, policy.place_of(rule));
            let notices = vec![notice(
                false,
                format!("an image from a local file was not checked: {name} allows it"),
            )];
            Decision::Allowed(Provisional {
                reference: None,
                subject: None,
                grounds: Grounds::LocalFiles { rule: name },
                notices,
                pin: None,
            })
        }
        rule => Decision::Refused(refusal::local_files(policy, rule)),
    }
}

fn pinned(signature: &VerifiedSignature) -> Option<Pin> {
    let name = signature.certificate()?.lasting_description();
    Some(Pin { signer: signature.signer().clone(), name })
}

/// Names who signed first, each time: someone may see that it is nobody whom they know. Says as
/// well what is learned about someone who was remembered by less.
fn named(signature: &VerifiedSignature, effective: &Effective, evidence: &Evidence) -> Vec<Notice> {
    let Some(certificate) = signature.certificate() else { return Vec::new() };
    let (name, issuer) = (certificate.lasting_name(), certificate.issuer());
    let is_new = evidence.memory.pins.is_empty();
    let when = if is_new {
        "the first signer of this repository here"
    } else {
        "who signed this repository first"
    };
    let text = format!(
        "`{}` is signed by `{name}` (issuer `{issuer}`), {when}; {} accepts any signer",
        evidence.reference,
        effective.title()
    );
    let mut notices = vec![notice(false, text)];
    if !is_new && evidence.memory.recognize(signature) == Recognition::Learned {
        let source = signature.signer().source();
        let known = |text: &Option<String>| text.as_deref().unwrap_or("unknown").to_owned();
        let text = format!(
            "of the first signer of `{}` it was not known for which repository the workflow runs: \
             from now on it counts only for `{}` (repository ID {}, owner ID {})",
            evidence.reference.repository(),
            known(&source.uri),
            known(&source.repository),
            known(&source.owner)
        );
        notices.push(notice(false, text));
    }
    notices
}

fn provisional(
    matched: &Matched,
    subject: Option<Subject>,
    grounds: Grounds,
    notices: Vec<Notice>,
) -> Provisional {
    Provisional { reference: Some(matched.reference.clone()), subject, grounds, notices, pin: None }
}

pub(super) fn notice(warning: bool, text: String) -> Notice {
    let text = if warning { format!("warning: {text}") } else { text };
    Notice { warning, text: crate::class::printable(&text) }
}

/// Step (1). The evidence must be about what was asked for, and a digest in the reference is the
/// image's.
fn check_subject(matched: &Matched, evidence: &Evidence) -> Result<(), Failure> {
    let reference = &matched.reference;
    if evidence.reference != *reference || evidence.image.repository != *reference.repository() {
        let message = format!(
            "evidence of `{}` and `{}` was given for `{reference}`",
            evidence.reference, evidence.image
        );
        return Err(Failure::new(Class::Internal, message));
    }
    match reference.digest() {
        Some(digest) if *digest != evidence.image.digest => Err(Failure::new(
            Class::Digest,
            format!("`{reference}` was resolved to `{}`", evidence.image.digest),
        )),
        _ => Ok(()),
    }
}

/// What has to compile here, for what a doctest holds elsewhere to prove anything.
#[cfg(test)]
mod forged {
    include!("../../tests/forged/provisional.rs");
}
