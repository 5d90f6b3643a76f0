//! The decision: a pure table over what was found. `reference/policy.md` 4.2, design.md section 4.
//!
//! The steps of [`decide`]:
//! 1. the evidence is about this image, else `internal`;
//! 2. one good signature by somebody whom the rule trusts is enough, wherever it lies, whatever else is broken;
//! 3. otherwise everything that speaks against the image is collected, and the most telling reason is shown first: could not
//!    be asked (the good signature may be there), binding, other invalid ones, unsupported, by strangers;
//! 4. only where nothing speaks against it but absence - every kind of place, in every repository, for every subject, answered
//!    "not there" - is `unsigned` read. Where the rule names no signer, a stranger's signature is as good as none.
//!
//! The safe branch is the one that needs no code: what is not listed in the evidence refuses.

use super::evidence::{Evidence, PlaceAnswer, PlaceKind, PlaceReport, SignatureReport};
use super::matching::{Applies, Effective, Matched, Trust};
use super::refusal;
use super::{Mode, Policy};
use crate::class::{Class, Failure};
use crate::name::{Digest, Reference, Repository, Subject};
use crate::trust::VerifiedSignature;
use jiff::Timestamp;

/// The decision about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody vouches for it; a rule lets it pass all the same.
    Allowed(Provisional),
    /// It must not be used.
    Refused(Failure),
    /// Somebody whom the rule trusts signed it.
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

/// Proof that the policy lets this image be unpacked, provided that what is unpacked is this image. Only this module makes one.
///
/// ```compile_fail
/// use luet_cosign::policy::{Grounds, Provisional};
/// // There is no way to write one down:
/// let forged = |reference| Provisional { reference, subject: None, grounds: Grounds::LocalFiles { rule: String::new() }, notices: Vec::new() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Provisional {
    reference: Option<Reference>,
    subject: Option<Subject>,
    grounds: Grounds,
    notices: Vec<Notice>,
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

    /// Returns the signature, where it is one that lets the image pass.
    #[must_use]
    pub fn signature(&self) -> Option<&VerifiedSignature> {
        match &self.grounds {
            Grounds::Signature { signature, .. } => Some(signature),
            _ => None,
        }
    }

    /// Returns the lines that the host is to show. None when all is well.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

/// Why an image may be unpacked. Rules are given with where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// A rule lets images from local files pass.
    LocalFiles {
        /// The rule.
        rule: String,
    },
    /// A signature, under this rule.
    Signature {
        /// The rule.
        rule: String,
        /// The signature.
        signature: Box<VerifiedSignature>,
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

/// A line for the host to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it is a warning, or only said.
    pub warning: bool,
    /// The text, which starts with `warning: ` where it is one. Lower case, no full stop.
    pub text: String,
}

/// Decides about an image of which the signatures were looked for.
///
/// `now` is taken for what later versions decide by time; this one decides `until` when it matches.
#[must_use]
pub fn decide(matched: &Matched, evidence: &Evidence, now: Timestamp) -> Decision {
    let _ = now;
    let Applies::Rule(effective) = &matched.applies else { return decide_without_looking(matched) };
    if !matched.looks() {
        return decide_without_looking(matched);
    }
    // (1)
    if let Err(failure) = check_subject(matched, evidence) {
        return Decision::Refused(failure);
    }
    // (2)
    if let Some(signature) = evidence.signatures.iter().find_map(|report| good(report, effective, evidence)) {
        let grounds = Grounds::Signature { rule: refusal::rule_of(effective), signature: Box::new(signature.clone()) };
        return Decision::Verified(provisional(matched, Some(evidence.image.clone()), grounds, Vec::new()));
    }
    // (3)
    let reasons = Reasons::collect(matched, effective, evidence);
    // (4)
    if let (Mode::Warn | Mode::Allow, true) = (effective.unsigned, reasons.only_absence()) {
        let grounds = Grounds::Unsigned { rule: refusal::rule_of(effective) };
        let notices = refusal::unsigned_notices(effective, evidence, &reasons.strangers);
        return Decision::Allowed(provisional(matched, Some(evidence.image.clone()), grounds, notices));
    }
    Decision::Refused(refusal::refused(matched, effective, evidence, reasons.worst()))
}

/// Decides where nothing is to be looked for: `trust: skip`, a skip pattern, no rule, a rule whose day has come.
#[must_use]
pub fn decide_without_looking(matched: &Matched) -> Decision {
    let reference = &matched.reference;
    let allowed =
        |warning: bool, text: String, grounds: Grounds| Decision::Allowed(provisional(matched, None, grounds, vec![notice(warning, text)]));
    match &matched.applies {
        Applies::Skipped { pattern, place } => allowed(
            true,
            format!("`{reference}` was not checked: the pattern `{pattern}` skips it [{place}]"),
            Grounds::Skipped { rule: format!("`{pattern}` [{place}]") },
        ),
        Applies::Unmatched { mode: Mode::Deny, place } => Decision::Refused(refusal::unmatched(matched, place)),
        Applies::Unmatched { mode, place } => allowed(
            *mode == Mode::Warn,
            format!("`{reference}` was not checked: no rule is about it, and `unmatched` is `{}` [{place}]", mode.word()),
            Grounds::Unmatched,
        ),
        Applies::Rule(effective) if effective.is_over() => Decision::Refused(refusal::ended(matched, effective)),
        Applies::Rule(effective) if effective.authorities == Trust::Skip => {
            let rule = refusal::rule_of(effective);
            allowed(false, format!("`{reference}` was not checked: {rule} skips it"), Grounds::Skipped { rule })
        }
        Applies::Rule(_) => {
            let message = format!("`{reference}` was to be decided without its signatures, which its rule asks for");
            Decision::Refused(Failure::new(Class::Internal, message))
        }
    }
}

/// Decides about an image that the host unpacked from its own disk, for which no registry can answer.
#[must_use]
pub fn decide_local_files(policy: &Policy, now: Timestamp) -> Decision {
    match policy.local_files() {
        Some(rule) if !rule.has_ended(super::loaded::day(now)) => {
            let name = format!("rule `{}` [{}]", rule.name, policy.place_of(rule));
            let notices = vec![notice(false, format!("an image from a local file was not checked: {name} allows it"))];
            Decision::Allowed(Provisional { reference: None, subject: None, grounds: Grounds::LocalFiles { rule: name }, notices })
        }
        rule => Decision::Refused(refusal::local_files(policy, rule)),
    }
}

fn provisional(matched: &Matched, subject: Option<Subject>, grounds: Grounds, notices: Vec<Notice>) -> Provisional {
    Provisional { reference: Some(matched.reference.clone()), subject, grounds, notices }
}

pub(super) fn notice(warning: bool, text: String) -> Notice {
    let text = if warning { format!("warning: {text}") } else { text };
    Notice { warning, text: crate::class::printable(&text) }
}

/// Step (1). The evidence must be about what was asked for, and a digest in the reference is the image's.
fn check_subject(matched: &Matched, evidence: &Evidence) -> Result<(), Failure> {
    let reference = &matched.reference;
    if evidence.reference != *reference || evidence.image.repository != *reference.repository() {
        let message = format!("evidence of `{}` and `{}` was given for `{reference}`", evidence.reference, evidence.image);
        return Err(Failure::new(Class::Internal, message));
    }
    match reference.digest() {
        Some(digest) if *digest != evidence.image.digest => {
            Err(Failure::new(Class::Digest, format!("`{reference}` was resolved to `{}`", evidence.image.digest)))
        }
        _ => Ok(()),
    }
}

/// Step (2). The signature, where it counts.
fn good<'a>(report: &'a SignatureReport, effective: &Effective, evidence: &Evidence) -> Option<&'a VerifiedSignature> {
    let signature = report.outcome.as_ref().ok()?;
    (is_trusted(signature, effective) && evidence.subjects().any(|subject| subject == *signature.image())).then_some(signature)
}

/// Whether the rule trusts the signer: by name *and* key, for names are the policy's and keys are what signed.
fn is_trusted(signature: &VerifiedSignature, effective: &Effective) -> bool {
    match &effective.authorities {
        Trust::AnyOf(authorities) => authorities
            .iter()
            .any(|authority| authority.name == signature.authority() && authority.key.fingerprint() == signature.fingerprint()),
        Trust::Nobody | Trust::Skip => false,
    }
}

/// Everything that speaks against an image.
struct Reasons {
    /// What is refused under every setting.
    against: Vec<Failure>,
    /// Signatures by strangers.
    strangers: Vec<Failure>,
    /// Whether a stranger's signature is as good as none.
    strangers_are_nobody: bool,
}

impl Reasons {
    fn collect(matched: &Matched, effective: &Effective, evidence: &Evidence) -> Self {
        let (mut against, mut strangers) = (Vec::new(), Vec::new());
        for repository in matched.repositories() {
            for subject in evidence.subjects() {
                against.extend(PlaceKind::ALL.iter().filter_map(|kind| check_place(*kind, &repository, &subject, evidence).err()));
            }
        }
        // Answers of places that nobody had to ask count as well, where they are no good.
        let extra = |report: &&PlaceReport| {
            !matched.repositories().contains(&report.repository) || evidence.subjects().all(|subject| subject != report.subject)
        };
        against.extend(evidence.places.iter().filter(extra).filter_map(|report| check_answer(report, evidence).err()));
        for report in &evidence.signatures {
            let failure = judge(report, evidence);
            if failure.class() == Class::Identity { strangers.push(failure) } else { against.push(failure) }
        }
        Self { against, strangers, strangers_are_nobody: effective.authorities == Trust::Nobody }
    }

    fn only_absence(&self) -> bool {
        self.against.is_empty() && (self.strangers.is_empty() || self.strangers_are_nobody)
    }

    /// Returns the most telling reason: the highest rank, and of equals the first.
    fn worst(&self) -> Option<&Failure> {
        let all = self.against.iter().chain(&self.strangers);
        all.rev().max_by_key(|failure| failure.class().rank())
    }
}

/// Whether one place is proven to hold no signature that was not judged.
fn check_place(kind: PlaceKind, repository: &Repository, subject: &Digest, evidence: &Evidence) -> Result<(), Failure> {
    let here = |report: &&PlaceReport| report.kind == kind && report.repository == *repository && report.subject == *subject;
    let mut reports = evidence.places.iter().filter(here).peekable();
    if reports.peek().is_none() {
        let message = format!("the {kind} of `{subject}` in `{repository}` was not asked");
        return Err(Failure::new(Class::Internal, message));
    }
    reports.try_for_each(|report| check_answer(report, evidence))
}

fn check_answer(report: &PlaceReport, evidence: &Evidence) -> Result<(), Failure> {
    let PlaceReport { kind, repository, subject, answer } = report;
    let place = format!("the {kind} of `{subject}` in `{repository}`");
    let fault = |why: String| Err(Failure::new(Class::Internal, format!("{place} {why}")));
    match answer {
        PlaceAnswer::Absent { .. } => Ok(()),
        PlaceAnswer::There { count } => {
            let judged = |signature: &&SignatureReport| {
                signature.place == *kind && signature.repository == *repository && signature.subject == *subject
            };
            let judged = evidence.signatures.iter().filter(judged).count();
            if judged < *count { fault(format!("has {count} signatures, of which {judged} were judged")) } else { Ok(()) }
        }
        PlaceAnswer::NoApi { .. } if *kind != PlaceKind::Referrers => fault("cannot lack its interface".to_owned()),
        PlaceAnswer::NoApi { detail } => {
            let fallback = |other: &PlaceReport| {
                other.kind == PlaceKind::FallbackTag
                    && other.repository == *repository
                    && other.subject == *subject
                    // One that failed refuses by itself, and says more.
                    && !matches!(other.answer, PlaceAnswer::NoApi { .. })
            };
            if evidence.places.iter().any(fallback) {
                return Ok(());
            }
            let message = format!("{place} is not offered ({detail}), and the fallback tag did not answer for it");
            Err(Failure::new(Class::Registry, message))
        }
        PlaceAnswer::Failed(failure) if matches!(failure.class(), Class::Unsigned | Class::Identity) => {
            // These classes could be allowed; a place that failed proves neither.
            fault(format!("failed as `{}`: {}", failure.class(), failure.message()))
        }
        PlaceAnswer::Failed(failure) => Err(failure.clone().within(place)),
    }
}

/// Returns what speaks against an image because of one signature that is not good enough.
fn judge(report: &SignatureReport, evidence: &Evidence) -> Failure {
    let what = refusal::signature_of(report);
    match &report.outcome {
        Ok(signature) if evidence.subjects().all(|subject| subject != *signature.image()) => {
            Failure::new(Class::Binding, format!("{what} is of `{}`", signature.image()))
        }
        Ok(signature) => {
            let key = signature.fingerprint().short();
            Failure::new(Class::Identity, format!("{what} is by `{}` (key {key}), whom the rule does not trust", signature.authority()))
        }
        Err(failure) if failure.class() == Class::Unsigned => {
            Failure::new(Class::Internal, format!("{what} was judged as `unsigned`: {}", failure.message()))
        }
        Err(failure) => failure.clone().within(what),
    }
}
