//! Step (3) of the decision: everything that speaks against an image whose signatures are not
//! enough.

use super::evidence::{Evidence, PlaceAnswer, PlaceKind, PlaceReport, SignatureReport};
use super::matching::{Effective, Matched, Trust};
use super::refusal;
use super::signers::{Weighed, WeighedSignature};
use crate::class::{Class, Failure, counted};
use crate::name::{Digest, Repository};

/// Everything that speaks against an image.
pub(super) struct Reasons {
    /// What is refused under every setting.
    against: Vec<Failure>,
    /// Signatures by strangers, and what is missing where some that count are there.
    pub(super) strangers: Vec<Failure>,
    /// Whether a stranger's signature is as good as none.
    strangers_are_nobody: bool,
}

impl Reasons {
    pub(super) fn collect(
        matched: &Matched,
        effective: &Effective,
        evidence: &Evidence,
        weighed: &Weighed<'_>,
    ) -> Self {
        let mut against = Vec::new();
        let mut strangers: Vec<Failure> = weighed
            .shortfall()
            .map(|missing| Failure::new(Class::Identity, missing))
            .into_iter()
            .collect();
        for repository in matched.repositories() {
            for subject in evidence.subjects() {
                against.extend(
                    PlaceKind::ALL.iter().filter_map(|kind| {
                        check_place(*kind, &repository, &subject, evidence).err()
                    }),
                );
            }
        }
        // Answers of places that nobody had to ask count as well, where they are no good.
        let extra = |report: &&PlaceReport| {
            !matched.repositories().contains(&report.repository)
                || evidence.subjects().all(|subject| subject != report.subject)
        };
        against.extend(
            evidence
                .places
                .iter()
                .filter(extra)
                .filter_map(|report| check_answer(report, evidence).err()),
        );
        for failure in weighed.found().filter_map(|(report, found)| judge(report, found)) {
            if failure.class() == Class::Identity {
                strangers.push(failure)
            } else {
                against.push(failure)
            }
        }
        Self { against, strangers, strangers_are_nobody: effective.authorities == Trust::Nobody }
    }

    pub(super) fn only_absence(&self) -> bool {
        self.against.is_empty() && (self.strangers.is_empty() || self.strangers_are_nobody)
    }

    /// Returns the most telling reason: the highest rank, and of equals the first.
    pub(super) fn worst(&self) -> Option<&Failure> {
        let all = self.against.iter().chain(&self.strangers);
        all.rev().max_by_key(|failure| failure.class().rank())
    }
}

/// Whether one place is proven to hold no signature that was not judged.
fn check_place(
    kind: PlaceKind,
    repository: &Repository,
    subject: &Digest,
    evidence: &Evidence,
) -> Result<(), Failure> {
    let here = |report: &&PlaceReport| {
        report.kind == kind && report.repository == *repository && report.subject == *subject
    };
    let mut reports = evidence.places.iter().filter(here).peekable();
    if reports.peek().is_none() {
        let place = refusal::place_of(kind, repository, subject, evidence);
        return Err(Failure::new(Class::Internal, format!("the {place} was not asked")));
    }
    reports.try_for_each(|report| check_answer(report, evidence))
}

fn check_answer(report: &PlaceReport, evidence: &Evidence) -> Result<(), Failure> {
    let PlaceReport { kind, repository, subject, answer } = report;
    let place = format!("the {}", refusal::place_of(*kind, repository, subject, evidence));
    let fault = |why: String| Err(Failure::new(Class::Internal, format!("{place} {why}")));
    match answer {
        PlaceAnswer::Absent { .. } => Ok(()),
        PlaceAnswer::There { count } => {
            let judged = |signature: &&SignatureReport| {
                signature.place == *kind
                    && signature.repository == *repository
                    && signature.subject == *subject
            };
            let judged = evidence.signatures.iter().filter(judged).count();
            if judged < *count {
                fault(format!("has {}, but {judged} were judged", counted(*count, "signature")))
            } else {
                Ok(())
            }
        }
        PlaceAnswer::NoApi { .. } if *kind != PlaceKind::Referrers => {
            fault("cannot lack its interface".to_owned())
        }
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
            let message = format!(
                "{place} is not offered ({detail}), and the fallback tag did not answer for it"
            );
            Err(Failure::new(Class::Registry, message))
        }
        PlaceAnswer::Failed(failure)
            if matches!(failure.class(), Class::Unsigned | Class::Identity) =>
        {
            // These classes could be allowed; a place that failed proves neither.
            fault(format!("failed as `{}`: {}", failure.class(), failure.message()))
        }
        PlaceAnswer::Failed(failure) => Err(failure.clone().within(place)),
    }
}

/// Returns what speaks against an image because of one signature; nothing, where that one counts.
fn judge(report: &SignatureReport, found: &WeighedSignature<'_>) -> Option<Failure> {
    let what = format!("a {} signature", report.format);
    match found {
        Ok((signature, weight)) => {
            let failure = weight.refusal()?;
            let by = match signature.certificate() {
                Some(certificate) => format!("`{}`", certificate.subject()),
                None => format!("key {}", signature.fingerprint().short()),
            };
            let message =
                format!("{what} by `{}` ({by}) {}", signature.authority(), failure.message());
            Some(Failure::new(failure.class(), message))
        }
        Err(failure) if failure.class() == Class::Unsigned => Some(Failure::new(
            Class::Internal,
            format!("{what} was judged as `unsigned`: {}", failure.message()),
        )),
        Err(failure) => Some((*failure).clone().within(what)),
    }
}
