//! The words of a decision: what a refusal says and what the host is to show when something passes that nobody vouches for.
//!
//! A refusal names the image with its digest, what was found and how many places answered, the rule and where it stands; below
//! it one line per place and per signature; last one thing to do.

use super::decide::{Notice, notice};
use super::document::{KEY_VARIABLE, Mode};
use super::evidence::{Evidence, PlaceAnswer, PlaceReport, SignatureReport};
use super::matching::{Asked, Effective, Matched, Trust};
use super::rules::{LOCAL_FILES, Rule};
use super::{Origin, Policy};
use crate::class::{Class, Failure};
use crate::name::Reference;

/// How many lines of reasons a refusal has at most.
const MAX_LINES: usize = 40;

/// Returns ``rule `name` [policy.yaml line 12]``.
pub(super) fn rule_of(effective: &Effective) -> String {
    format!("rule `{}` [{}]", effective.rule, effective.place)
}

/// Returns what a signature is called in a list of reasons.
pub(super) fn signature_of(report: &SignatureReport) -> String {
    format!("a {} signature under the {} of `{}` in `{}`", report.format, report.place, report.subject, report.repository)
}

/// Returns the image as people shall see it: the reference with the digest that was judged.
fn image_of(evidence: &Evidence) -> String {
    match evidence.reference.digest() {
        Some(_) => evidence.reference.to_string(),
        None => format!("{}@{}", evidence.reference, evidence.image.digest),
    }
}

/// The refusal after looking. `worst` is the most telling reason; none means that all there is is absence.
pub(super) fn refused(matched: &Matched, effective: &Effective, evidence: &Evidence, worst: Option<&Failure>) -> Failure {
    let class = worst.map_or(Class::Unsigned, Failure::class);
    let found = match worst {
        None => format!("no signature ({} of {} places answered: not there)", evidence.places.len(), evidence.places.len()),
        Some(worst) => format!("{} ({})", worst.message(), counts(evidence)),
    };
    let message = format!("`{}`: {found}; {} {}", image_of(evidence), rule_of(effective), wants(effective));
    let failure = Failure::new(class, message).hint(hint(class, matched, effective));
    let places = evidence.places.iter().map(place_line);
    let signatures = evidence.signatures.iter().map(signature_line);
    let lines: Vec<String> = signatures.chain(places).collect();
    let failure = lines.iter().take(MAX_LINES).fold(failure, |failure, line| failure.detail(line));
    match lines.len().checked_sub(MAX_LINES) {
        None | Some(0) => failure,
        Some(more) => failure.detail(format!("and {more} more: see `luet-cosign check {}`", matched.reference())),
    }
}

fn counts(evidence: &Evidence) -> String {
    let answered = evidence.places.iter().filter(|report| !matches!(report.answer, PlaceAnswer::Failed(_))).count();
    let good = evidence.signatures.iter().filter(|report| report.outcome.is_ok()).count();
    let (places, signatures) = (evidence.places.len(), evidence.signatures.len());
    format!("{answered} of {places} places answered; {signatures} signatures found, {good} hold, 0 count")
}

fn wants(effective: &Effective) -> String {
    let ended = effective.ended.map_or_else(String::new, |day| format!(", and was laxer only until {day}"));
    match &effective.authorities {
        Trust::AnyOf(authorities) => {
            let names: Vec<String> = authorities.iter().map(|authority| format!("`{}`", authority.name)).collect();
            format!("wants one by {}{ended}", names.join(" or "))
        }
        Trust::Nobody | Trust::Skip if effective.unsigned == Mode::Deny => format!("trusts nobody and denies what is unsigned{ended}"),
        Trust::Nobody | Trust::Skip => format!("lets pass only what is proven to be unsigned{ended}"),
    }
}

fn hint(class: Class, matched: &Matched, effective: &Effective) -> String {
    let image = matched.reference();
    let check = format!("see what there is with `luet-cosign check {image}`");
    match class {
        Class::Unsigned if matched.environment.is_some() => {
            let repository = image.repository();
            format!("{check}; to let it pass unsigned, set LUET_COSIGN_ALLOW_UNSIGNED={repository}")
        }
        Class::Unsigned if effective.ended.is_some() => {
            format!("{check}; have it signed, or set another `until` in {}", rule_of(effective))
        }
        Class::Unsigned => format!("{check}; to let it pass unsigned, add `unsigned: allow` and a `reason` to {}", rule_of(effective)),
        Class::Identity => format!("{check}; then trust that signer in {}, or do not use this image", rule_of(effective)),
        class => format!("{check}; {}", class.hint()),
    }
}

fn place_line(report: &PlaceReport) -> String {
    let place = format!("{} of `{}` in `{}`", report.kind, report.subject, report.repository);
    match &report.answer {
        PlaceAnswer::There { count: 0 } => format!("{place}: there, without any signature"),
        PlaceAnswer::There { count } => format!("{place}: there, with {count} signatures"),
        PlaceAnswer::Absent { detail } => format!("{place}: not there ({detail})"),
        PlaceAnswer::NoApi { detail } => format!("{place}: not offered by this registry ({detail})"),
        PlaceAnswer::Failed(failure) => format!("{place}: {}", failure.line()),
    }
}

fn signature_line(report: &SignatureReport) -> String {
    let what = signature_of(report);
    match &report.outcome {
        Ok(signature) => {
            format!("{what}: holds, by `{}` (key {}), for `{}`", signature.authority(), signature.fingerprint().short(), signature.image())
        }
        Err(failure) => format!("{what}: {}", failure.line()),
    }
}

/// What the host shows when an unsigned image passes: one line for it, one for each stranger.
pub(super) fn unsigned_notices(effective: &Effective, evidence: &Evidence, strangers: &[Failure]) -> Vec<Notice> {
    let warn = effective.unsigned == Mode::Warn;
    let reason = effective.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let found = if strangers.is_empty() { "is not signed" } else { "is signed by strangers only" };
    let text = format!("`{}` {found}; {} lets it pass{reason}", image_of(evidence), rule_of(effective));
    let strangers = strangers.iter().take(MAX_LINES).map(|stranger| notice(true, format!("a stranger: {}", stranger.message())));
    std::iter::once(notice(warn, text)).chain(strangers).collect()
}

/// The refusal of an image that no rule is about.
pub(super) fn unmatched(matched: &Matched, place: &str) -> Failure {
    let reference = &matched.reference;
    let repository = reference.repository();
    match matched.environment {
        // The old words: people search for them.
        Some(Asked::Nothing) => Failure::new(
            Class::Policy,
            format!("`{reference}`: missing cosign env vars {KEY_VARIABLE}, and no policy file, so nobody is trusted"),
        )
        .hint(format!("set {KEY_VARIABLE}, or write /etc/luet/luet-cosign/policy.yaml; unsigned: LUET_COSIGN_ALLOW_UNSIGNED={repository}")),
        Some(Asked::Keyless) => Failure::new(
            Class::Unsupported,
            format!("`{reference}`: COSIGN_EXPERIMENTAL asks for keyless signatures, which this version does not read"),
        )
        .hint(format!("set {KEY_VARIABLE}; or let it pass unsigned with LUET_COSIGN_ALLOW_UNSIGNED={repository}")),
        Some(Asked::Key) | None => {
            Failure::new(Class::Policy, format!("`{reference}`: no rule is about it, and `unmatched` is `deny` [{place}]"))
                .hint(format!("add a rule with `scope: {repository}`; see `luet-cosign policy explain {reference}`"))
        }
    }
}

/// The refusal by a rule that trusts nobody and whose day has come.
pub(super) fn ended(matched: &Matched, effective: &Effective) -> Failure {
    let reference: &Reference = &matched.reference;
    let day = effective.ended.map_or_else(String::new, |day| day.to_string());
    Failure::new(Class::Policy, format!("`{reference}`: {} let it pass until {day}; it denies now", rule_of(effective)))
        .hint("have the image signed and name the signer under `trust`, or set another `until`")
}

/// The refusal of an image from a local file.
pub(super) fn local_files(policy: &Policy, rule: Option<&Rule>) -> Failure {
    let hint = match policy.origin() {
        Origin::Environment { .. } => format!("set LUET_COSIGN_ALLOW_UNSIGNED={LOCAL_FILES} to let local files pass"),
        Origin::File { .. } => format!("add a rule with `scope: {LOCAL_FILES}`, `trust: skip` and a `reason`"),
    };
    let message = match rule.and_then(|rule| Some((rule, rule.until?))) {
        Some((rule, day)) => {
            format!("an image from a local file: rule `{}` [{}] let it pass until {day}; it denies now", rule.name, policy.place_of(rule))
        }
        None => "an image from a local file, which nobody can vouch for, and no rule lets it pass".to_owned(),
    };
    Failure::new(Class::Policy, message).hint(hint)
}
