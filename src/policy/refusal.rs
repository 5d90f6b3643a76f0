//! The words of a decision: what a refusal says and what the host is to show when something passes
//! that nobody vouches for.
//!
//! A refusal names the image, what was found and how many places answered, the rule and what it
//! wants; below it the digest, one line per signature and per place; last one thing to do.

use super::binding::Misfit;
use super::decide::{Notice, notice};
use super::document::KEY_VARIABLE;
use super::evidence::{Evidence, PlaceAnswer, PlaceKind, PlaceReport, SeenFact, SignatureReport};
use super::matching::{Effective, Matched, RequestedBy, Trust};
use super::revision::{forget, forget_all};
use super::rules::{LOCAL_FILES, Rule};
use super::settings::{Downgrade, Mode};
use super::signers::{self, Weighed, WeighedSignature, Weight};
use super::{Policy, PolicyOrigin};
use crate::class::{Class, Failure, counted};
use crate::name::{Digest, Reference, Repository};
use crate::trust::AuthorityKind;
use jiff::Timestamp;

/// How many lines of reasons a refusal has at most.
const MAX_LINES: usize = 40;

/// Returns the name of the image: without its digest, where it has a tag, for the digest stands
/// below.
fn image_of(evidence: &Evidence) -> String {
    match evidence.reference.tag() {
        Some(tag) => format!("`{}:{tag}`", evidence.reference.repository()),
        None => format!("`{}`", evidence.reference),
    }
}

/// Returns ``.sig tag in `REPOSITORY` ``, with the subject where that is not the image.
pub(super) fn place_of(
    kind: PlaceKind,
    repository: &Repository,
    subject: &Digest,
    evidence: &Evidence,
) -> String {
    if *subject == evidence.image.digest {
        format!("{kind} in `{repository}`")
    } else {
        format!("{kind} of `{subject}` in `{repository}`")
    }
}

/// The refusal after looking. `worst` is the most telling reason; none means that all there is is
/// absence.
pub(super) fn refused(
    matched: &Matched,
    effective: &Effective,
    evidence: &Evidence,
    weighed: &Weighed<'_>,
    worst: Option<&Failure>,
) -> Failure {
    let shortfall = weighed.shortfall();
    let class = worst.map_or(Class::Unsigned, Failure::class);
    let found = match worst {
        None => no_signature(evidence),
        Some(_) if class == Class::Identity => {
            let found = shortfall.clone().unwrap_or_else(|| by_strangers(evidence));
            format!("{found} ({})", answered(evidence))
        }
        Some(worst) => format!("{} ({})", worst.message(), answered(evidence)),
    };
    let message =
        format!("{}: {found}; {} {}", image_of(evidence), effective.title(), wants(effective));
    let missing = shortfall.filter(|_| class != Class::Identity);
    let hint = hint(class, matched, effective, weighed, evidence);
    let failure = Failure::new(class, message).hint(hint);
    let before = evidence
        .memory
        .against(Downgrade::Repo)
        .filter(|_| worst.is_none())
        .map(|seen| format!("before: {}", verified(seen)));
    let near = matched.near_misses().iter().map(|near| near.text(&matched.reference));
    with_lines(failure, missing.into_iter().chain(before).chain(near), weighed, evidence)
}

/// The refusal of an image that would pass unsigned, had it not been verified before.
pub(super) fn downgraded(
    effective: &Effective,
    evidence: &Evidence,
    weighed: &Weighed<'_>,
    seen: &SeenFact,
) -> Failure {
    let found = if evidence.signatures.is_empty() {
        no_signature(evidence)
    } else {
        format!("{} ({})", by_strangers(evidence), answered(evidence))
    };
    let what = if evidence.memory.tag_verified.is_some() {
        "it"
    } else {
        "another image of this repository"
    };
    let reference = &evidence.reference;
    let way_out = match effective.downgrade {
        // Any image of the repository speaks against it.
        Downgrade::Repo => forget_all(effective, reference),
        Downgrade::Tag | Downgrade::Off => forget(effective, reference),
    };
    let message = format!(
        "{}: {found}, but {what} {}; `downgrade: {}` refuses what {} would let pass",
        image_of(evidence),
        verified(seen),
        effective.downgrade.word(),
        effective.title()
    );
    with_lines(Failure::new(Class::Rollback, message).hint(way_out), [], weighed, evidence)
}

fn verified(seen: &SeenFact) -> String {
    let day = Timestamp::from_second(seen.seconds)
        .map(|time| format!(" on {}", super::loaded::day(time)))
        .unwrap_or_default();
    format!("was verified here{day}, signed by `{}`", seen.signer)
}

/// Adds the digest and one line for each thing that was found.
fn with_lines(
    failure: Failure,
    first: impl IntoIterator<Item = String>,
    weighed: &Weighed<'_>,
    evidence: &Evidence,
) -> Failure {
    let failure = failure.detail(format!("image: {}", evidence.image.digest));
    let found = weighed.found().map(|(report, found)| signature_line(report, found, evidence));
    let places = evidence.places.iter().map(|report| place_line(report, evidence));
    let lines: Vec<String> = first.into_iter().chain(found).chain(places).collect();
    let failure = lines.iter().take(MAX_LINES).fold(failure, |failure, line| failure.detail(line));
    match lines.len().checked_sub(MAX_LINES) {
        None | Some(0) => failure,
        Some(more) => failure
            .detail(format!("and {more} more: see `luet-cosign check {}`", evidence.reference)),
    }
}

fn no_signature(evidence: &Evidence) -> String {
    format!("no signature ({}: not there)", answered(evidence))
}

fn by_strangers(evidence: &Evidence) -> String {
    match evidence.signatures.len() {
        1 => "1 signature found, by a stranger".to_owned(),
        count => format!("{} found, none by a trusted signer", counted(count, "signature")),
    }
}

fn answered(evidence: &Evidence) -> String {
    let answered = evidence
        .places
        .iter()
        .filter(|report| !matches!(report.answer, PlaceAnswer::Failed(_)))
        .count();
    format!("{answered} of {} places answered", evidence.places.len())
}

fn wants(effective: &Effective) -> String {
    let ended = effective
        .ended
        .map_or_else(String::new, |day| format!(", and was relaxed only until {day}"));
    match &effective.authorities {
        // The option names the key already.
        Trust::Signers { .. } if effective.place.is_empty() => {
            format!("wants one by {}", by_option(effective))
        }
        Trust::Signers { needed: 1, authorities } => {
            format!("wants one by {}{ended}", signers::names(authorities, "or"))
        }
        Trust::Signers { needed, authorities } if *needed == authorities.len() => {
            format!("wants {needed}, by {}{ended}", signers::names(authorities, "and"))
        }
        Trust::Signers { needed, authorities } => {
            format!("wants {needed}, by keys of {}{ended}", signers::names(authorities, "or"))
        }
        Trust::Nobody | Trust::Skip if effective.unsigned == Mode::Deny => {
            format!("trusts no signer and denies unsigned images{ended}")
        }
        Trust::Nobody | Trust::Skip => {
            format!("lets pass only what is proven to be unsigned{ended}")
        }
    }
}

/// Whom the option names: a key, or whoever a certificate names.
fn by_option(effective: &Effective) -> &'static str {
    match &effective.authorities {
        Trust::Signers { authorities, .. }
            if authorities.iter().any(|it| matches!(it.signer, AuthorityKind::Certificate(_))) =>
        {
            "that identity"
        }
        _ => "that key",
    }
}

fn hint(
    class: Class,
    matched: &Matched,
    effective: &Effective,
    weighed: &Weighed<'_>,
    evidence: &Evidence,
) -> String {
    let image = matched.reference();
    let check = format!("see what is there with `luet-cosign check {image}`");
    let rule = effective.title();
    // Who signed without a key can be told, and so can what to write to trust them.
    let strangers = weighed.found().filter_map(|(_, found)| match found {
        Ok((_, weight)) => weight.refusal(),
        Err(failure) => Some((*failure).clone()),
    });
    let mut theirs = strangers
        .filter(|failure| failure.class() == Class::Identity)
        .filter_map(|failure| failure.own_hint());
    match (class, matched.asked) {
        (Class::Unsigned, _) => {
            format!("{check}; {}", unsigned_hint(matched, effective, evidence))
        }
        (Class::Identity, _) if let Some(own) = theirs.next() => own,
        (Class::Identity, RequestedBy::ByFile) => {
            format!("{check}; trust that signer in {rule} only if this image is theirs to sign")
        }
        (Class::Identity, _) => {
            format!("{check}; trust another signer only if this image is theirs to sign")
        }
        (Class::Binding, _) if let Some(misfit) = misfit(weighed) => {
            format!("{check}; {}", binding_hint(misfit, matched, effective))
        }
        (class, _) => {
            // A signature that could not be judged may know better than its class what is in the
            // way: the clock, or a firewall.
            let failures = weighed.found().filter_map(|(_, found)| found.as_ref().err().copied());
            let own =
                failures.filter(|failure| failure.class() == class).find_map(Failure::own_hint);
            format!("{check}; {}", own.as_deref().unwrap_or(class.hint()))
        }
    }
}

/// Returns in which way the first signature that holds was made for something else.
fn misfit<'w>(weighed: &'w Weighed<'_>) -> Option<&'w Misfit> {
    weighed.found().find_map(|(_, found)| match found {
        Ok((_, Weight::Elsewhere(misfit, _))) => Some(misfit),
        _ => None,
    })
}

/// What to do where there is no signature. Nothing is loosened that memory speaks against, that may
/// only be hidden, or that a rule was written for.
fn unsigned_hint(matched: &Matched, effective: &Effective, evidence: &Evidence) -> String {
    let image = matched.reference();
    let rule = effective.title();
    if let Some(seen) = evidence.memory.against(Downgrade::Repo) {
        let what = match &evidence.memory.tag_verified {
            Some(_) => "it",
            None => "another image of this repository",
        };
        return format!(
            "{what} {}: do not accept it; ask its publisher for the signature",
            verified(seen)
        );
    }
    if let Some(place) = effective.signatures_from.first() {
        let from = match matched.asked {
            RequestedBy::ByFile => format!("`signatures_from` in {rule}"),
            RequestedBy::ByOption
            | RequestedBy::Key
            | RequestedBy::Keyless
            | RequestedBy::Nothing => "COSIGN_REPOSITORY".to_owned(),
        };
        return format!(
            "signatures were looked for in `{place}`, as {from} says: is it mistyped? else have it signed"
        );
    }
    if let Some(why) = super::may_hide(matched, evidence) {
        return format!(
            "{why}; look at the image where it comes from, and name that place in `signatures_from` of a policy; \
             if it is published here, have it signed"
        );
    }
    match (matched.asked, &effective.authorities) {
        (RequestedBy::ByOption, _) => format!("have it signed by {}", by_option(effective)),
        (RequestedBy::Key | RequestedBy::Keyless | RequestedBy::Nothing, _) => format!(
            "have it signed; if this repository is not signed at all, LUET_COSIGN_ALLOW_UNSIGNED={} accepts it",
            image.repository()
        ),
        (RequestedBy::ByFile, _) if effective.ended.is_some() => {
            format!("have it signed, or set another `until` in {rule}")
        }
        (RequestedBy::ByFile, Trust::Signers { authorities, .. }) => {
            format!("have it signed by {}", signers::names(authorities, "or"))
        }
        (RequestedBy::ByFile, Trust::Nobody | Trust::Skip) => format!(
            "name its signer under `trust` in {rule}; if it has no signer, add `unsigned: allow`, a `reason` and the `tags` concerned"
        ),
    }
}

/// What to do where a good signature was made for something else.
fn binding_hint(misfit: &Misfit, matched: &Matched, effective: &Effective) -> String {
    let image = matched.reference();
    let (own, rule) = (image.repository(), effective.title());
    let again = format!("luet-cosign sign --key cosign.key {image}");
    match (misfit, matched.asked) {
        (Misfit::Tag, _) => format!(
            "where this tag is meant to be this image, its signer signs it under this tag too: `{again}`; else do not install it"
        ),
        (Misfit::Unbound, _) => {
            format!("have its signer sign it under this name: `{again}`; else do not install it")
        }
        (Misfit::Repository(origin), RequestedBy::ByFile) => format!(
            "where the repository is a mirror of `{origin}`, add `mirrors: [[\"{origin}\", \"{own}\"]]` to the policy, or `mirror_of` in {rule}; else do not install this"
        ),
        (Misfit::Repository(origin), RequestedBy::ByOption) => {
            let tag = image.tag().map_or_else(String::new, |tag| format!(":{tag}"));
            format!(
                "where the repository is a mirror of `{origin}`, ask for `{origin}{tag}`; else do not use it"
            )
        }
        (
            Misfit::Repository(origin),
            RequestedBy::Key | RequestedBy::Keyless | RequestedBy::Nothing,
        ) => format!(
            "where the repository is a mirror of `{origin}`, name both under `urls` of one repository of luet, or write a policy file (`luet-cosign policy from-env`) with `mirrors: [[\"{origin}\", \"{own}\"]]` or `mirror_of`; else do not install this"
        ),
        (Misfit::Image | Misfit::Index, _) => {
            "it is for another image: ask its publisher; do not install this".to_owned()
        }
    }
}

fn place_line(report: &PlaceReport, evidence: &Evidence) -> String {
    let place = place_of(report.kind, &report.repository, &report.subject, evidence);
    match &report.answer {
        PlaceAnswer::There { count: 0 } => format!("{place}: there, without any signature"),
        PlaceAnswer::There { count } => {
            format!("{place}: there, with {}", counted(*count, "signature"))
        }
        PlaceAnswer::Absent { detail } => format!("{place}: not there ({detail})"),
        PlaceAnswer::NoApi { detail } => {
            format!("{place}: not offered by this registry ({detail})")
        }
        PlaceAnswer::Failed(failure) => format!("{place}: {}", failure.line()),
    }
}

fn signature_line(
    report: &SignatureReport,
    found: &WeighedSignature<'_>,
    evidence: &Evidence,
) -> String {
    let what = format!(
        "{} signature, {}",
        report.format,
        place_of(report.place, &report.repository, &report.subject, evidence)
    );
    match found {
        Ok((signature, weight)) => {
            let holds = format!(
                "{what}: holds, by `{}` (key {})",
                signature.authority(),
                signature.fingerprint().short()
            );
            match weight.refusal() {
                None => holds,
                Some(failure) => {
                    format!("{holds}, but {}: it {}", failure.class(), failure.message())
                }
            }
        }
        Err(failure) => format!("{what}: {}", failure.full_line()),
    }
}

/// What the host shows when an unsigned image passes: one line for it, one for each stranger.
pub(super) fn unsigned_notices(
    effective: &Effective,
    evidence: &Evidence,
    strangers: &[Failure],
) -> Vec<Notice> {
    let warn = effective.unsigned == Mode::Warn;
    let reason =
        effective.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let found = if strangers.is_empty() { "is not signed" } else { "is signed by strangers only" };
    let text =
        format!("{} {found}; {} lets it pass{reason}", image_of(evidence), effective.title());
    let strangers = strangers
        .iter()
        .take(MAX_LINES)
        .map(|stranger| notice(true, format!("a stranger: {}", stranger.message())));
    std::iter::once(notice(warn, text)).chain(strangers).collect()
}

/// The refusal of an image that no rule is about.
pub(super) fn unmatched(matched: &Matched, place: &str) -> Failure {
    let reference = &matched.reference;
    let repository = reference.repository();
    match matched.asked {
        // The old words: people search for them.
        RequestedBy::Nothing => Failure::new(
            Class::Policy,
            format!("`{reference}`: no trust configured: missing cosign env vars {KEY_VARIABLE}, and no policy file"),
        )
        .hint(format!("set {KEY_VARIABLE}, or write /etc/luet/luet-cosign/policy.yaml; docs/unsigned.md is about repositories that are not signed")),
        RequestedBy::ByFile | RequestedBy::ByOption | RequestedBy::Key | RequestedBy::Keyless => {
            let failure = Failure::new(
                Class::Policy,
                format!("`{reference}`: no rule is about it, and `unmatched` is `deny` [{place}]"),
            );
            let hint = match matched.near.first() {
                Some(near) if near.lax => format!(
                    "it is none of those that rule `{}` lets pass: have it signed, and name its signer under `trust` of a rule",
                    near.rule
                ),
                Some(near) => format!(
                    "where rule `{}` is meant to be about it, add `{}` to its `tags`",
                    near.rule,
                    reference.tag().map_or_else(|| "*".to_owned(), ToString::to_string)
                ),
                None => format!("add a rule about `{repository}` that names its signer under `trust`"),
            };
            matched
                .near
                .iter()
                .take(MAX_LINES)
                .fold(failure, |failure, near| failure.detail(near.text(reference)))
                .hint(format!("{hint}; see `luet-cosign policy explain {reference}`"))
        }
    }
}

/// The refusal by a rule that trusts nobody and whose day has come.
pub(super) fn ended(matched: &Matched, effective: &Effective) -> Failure {
    let reference: &Reference = &matched.reference;
    let day = effective.ended.map_or_else(String::new, |day| day.to_string());
    Failure::new(
        Class::Policy,
        format!("`{reference}`: {} let it pass until {day}; it denies now", effective.title()),
    )
    .hint("have the image signed and name the signer under `trust`, or set another `until`")
}

/// The refusal of an image from a local file.
pub(super) fn local_files(policy: &Policy, rule: Option<&Rule>) -> Failure {
    let hint = match policy.origin() {
        PolicyOrigin::Environment { .. } => {
            format!("set LUET_COSIGN_ALLOW_UNSIGNED={LOCAL_FILES} to let local files pass")
        }
        PolicyOrigin::File { .. } | PolicyOrigin::Option { .. } => {
            format!("add a rule with `scope: {LOCAL_FILES}`, `trust: skip` and a `reason`")
        }
    };
    let message = match rule.and_then(|rule| Some((rule, rule.until?))) {
        Some((rule, day)) => {
            format!(
                "an image from a local file: rule `{}` [{}] let it pass until {day}; it denies now",
                rule.name,
                policy.place_of(rule)
            )
        }
        None => {
            "an image from a local file, which nothing verifies, and no rule accepts it".to_owned()
        }
    };
    Failure::new(Class::Policy, message).hint(hint)
}
