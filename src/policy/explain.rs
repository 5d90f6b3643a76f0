//! Explaining: which rule is about an image, why that one, and what would happen.
//!
//! The table of outcomes is not written down here: each row is made by asking [`decide`] about
//! evidence of that kind, so it cannot say anything else than what happens.

use super::binding::{self, Bound, ClaimedImage, ExpectedImage};
use super::decide::{Decision, decide, decide_without_looking};
use super::diagnostic::Position;
use super::environment;
use super::evidence::{
    Evidence, PlaceAnswer, PlaceKind, PlaceReport, Remembered, SeenFact, SignatureReport,
};
use super::loaded::{Policy, PolicyOrigin};
use super::matching::{Applies, Candidate, Effective, Matched, Trust};
use super::rules::{Rule, TrustNames};
use crate::class::{Class, Failure, counted, printable};
use crate::name::{Digest, Reference};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What `policy explain IMAGE` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The policy.
    pub policy: String,
    /// The canonical name.
    pub image: String,
    /// Every pair of scope and tag pattern that is about the image, the winner first.
    pub candidates: Vec<CandidateLine>,
    /// Rules whose scope covers the repository, and whose `tags` leave the image out: each in one
    /// line.
    pub near_misses: Vec<String>,
    /// What applies, in one line.
    pub applies: String,
    /// What holds, and where each setting comes from.
    pub settings: Vec<Setting>,
    /// What happens, by what is found.
    pub outcomes: Vec<ExplainedOutcome>,
}

/// One pair that is about the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateLine {
    /// The rule.
    pub rule: String,
    /// Where it stands.
    pub place: String,
    /// The scope.
    pub scope: String,
    /// The tag pattern.
    pub tag: Option<String>,
    /// Why it ranks where it does: host, literal segments, kind, tag.
    pub rank: [String; 4],
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// Where it comes from.
    pub from: String,
}

/// What happens when this is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedOutcome {
    /// What is found.
    pub evidence: String,
    /// What happens: `verified`, `allowed`, `allowed, with a warning`, `refused: CLASS (exit N)`.
    pub outcome: String,
}

/// Explains what the policy says about an image, without asking anyone.
#[must_use]
pub fn explain(policy: &Policy, reference: &Reference, now: Timestamp) -> Explanation {
    let matched = policy.matching(reference, now);
    let candidates = policy.candidates(reference);
    let winner = candidates.first().map(|candidate| candidate.rule);
    Explanation {
        policy: policy.origin().name().into_owned(),
        image: reference.to_string(),
        candidates: candidates.iter().map(|candidate| line(policy, candidate)).collect(),
        near_misses: matched.near_misses().iter().map(|near| near.text(reference)).collect(),
        applies: applies(&matched),
        settings: match (matched.applies(), winner) {
            (Applies::Rule(effective), Some(rule)) => settings(policy, rule, effective, reference),
            _ => Vec::new(),
        },
        outcomes: outcomes(&matched),
    }
}

fn applies(matched: &Matched) -> String {
    match matched.applies() {
        Applies::Rule(effective) => effective.title(),
        Applies::Skipped { pattern, place } => format!("skip pattern `{pattern}` [{place}]"),
        Applies::Unmatched { mode, place } => {
            format!("no rule; `unmatched: {}` [{place}]", mode.word())
        }
    }
}

fn line(policy: &Policy, candidate: &Candidate<'_>) -> CandidateLine {
    let scope = candidate.scope.to_string();
    let (host, path) = scope.split_once('/').unwrap_or((&scope, "**"));
    let host_kind = match host {
        "*" => "any host".to_owned(),
        host if host.starts_with("*.") => {
            format!("host suffix of {} characters", host.len().saturating_sub(1))
        }
        _ => "literal host".to_owned(),
    };
    let literals = path.split('/').filter(|segment| !segment.starts_with('*')).count();
    let kind = match path {
        path if path.split('/').any(|segment| segment == "**") => "ends in `**`",
        path if path.split('/').any(|segment| segment == "*") => "has `*`",
        _ => "exact",
    };
    let tag = match candidate.tag.map(ToString::to_string) {
        None => "any tag".to_owned(),
        Some(tag) if tag.contains('*') => format!(
            "tag pattern of {} literal characters",
            tag.chars().filter(|c| *c != '*').count()
        ),
        Some(_) => "exact tag".to_owned(),
    };
    CandidateLine {
        rule: candidate.rule.name.clone(),
        place: policy.place_of(candidate.rule),
        rank: [host_kind, counted(literals, "literal segment"), kind.to_owned(), tag],
        tag: candidate.tag.map(ToString::to_string),
        scope,
    }
}

fn settings(
    policy: &Policy,
    rule: &Rule,
    effective: &Effective,
    reference: &Reference,
) -> Vec<Setting> {
    let at = |found: Position| match &policy.origin {
        PolicyOrigin::File { path } => format!("{path} line {}", found.line),
        PolicyOrigin::Environment { .. } => policy.place_of(rule),
        PolicyOrigin::Option { .. } => policy.origin.name().into_owned(),
    };
    let or_built_in = |found: Option<Position>| found.map_or_else(|| "built in".to_owned(), at);
    let or_defaults = |found: Option<Position>, default: Option<Position>| match (found, default) {
        (None, Some(default)) => format!("defaults, {}", at(default)),
        (found, _) => or_built_in(found),
    };
    let setting = |key, value: String, from: String| Setting { key, value, from };
    let defaults = &policy.document.defaults;
    let own = effective.signatures_from.is_empty();
    let repositories =
        effective.signatures_from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let repositories = if own { "the image's own repository".to_owned() } else { repositories };
    let mut settings = vec![
        setting(
            "trust",
            trust(rule, effective),
            rule.trust_at.map_or_else(|| "not set".to_owned(), at),
        ),
        setting(
            "unsigned",
            effective.unsigned.word().to_owned(),
            or_defaults(rule.unsigned_at, defaults.unsigned_at),
        ),
        setting("signatures_from", repositories, or_built_in(rule.signatures_from_at)),
    ];
    if let (Some((prefix, found)), Some(name)) = (&rule.mirror_of, &effective.signed_as) {
        settings.push(setting("mirror_of", format!("{prefix}: signed as `{name}`"), at(*found)));
    }
    if !effective.mirrors.is_empty() {
        let names: Vec<String> =
            effective.mirrors.iter().map(|mirror| format!("`{mirror}`")).collect();
        let from = super::mirrors::place(&policy.document.mirrors, reference.repository());
        settings.push(setting(
            "mirrors",
            names.join(", "),
            match &policy.origin {
                PolicyOrigin::Environment { .. } => environment::MIRRORS.to_owned(),
                PolicyOrigin::File { .. } | PolicyOrigin::Option { .. } => or_built_in(from),
            },
        ));
    }
    settings.push(setting(
        "bind_tag",
        effective.bind_tag.word().to_owned(),
        or_built_in(rule.bind_tag.map(|(_, found)| found)),
    ));
    settings.push(setting(
        "rollback",
        effective.rollback.word().to_owned(),
        or_built_in(rule.rollback.map(|(_, found)| found)),
    ));
    settings.push(setting(
        "downgrade",
        effective.downgrade.word().to_owned(),
        or_defaults(None, defaults.downgrade_at),
    ));
    let post_unpack_from = match (&policy.origin, policy.document.post_unpack_at) {
        (PolicyOrigin::Environment { .. }, Some(_)) => environment::POST_UNPACK.to_owned(),
        (_, found) => or_built_in(found),
    };
    settings.push(setting("post_unpack", policy.post_unpack().word().to_owned(), post_unpack_from));
    if let (Some(until), Some(found)) = (rule.until, rule.until_at) {
        let ended = if effective.ended.is_some() { " (over: it denies)" } else { "" };
        settings.push(setting("until", format!("{until}{ended}"), at(found)));
    }
    settings.extend(effective.reason.clone().map(|reason| setting("reason", reason, at(rule.at))));
    settings
}

fn trust(rule: &Rule, effective: &Effective) -> String {
    match (&effective.authorities, &rule.trust) {
        (Trust::Signers { needed, authorities }, _) => {
            let names: Vec<String> = authorities
                .iter()
                .map(|authority| format!("{} ({})", authority.name, authority.signer))
                .collect();
            let how_many = match *needed {
                1 => "any".to_owned(),
                needed if needed == authorities.len() => "all".to_owned(),
                needed => format!("at least {needed}"),
            };
            format!("{how_many} of {}", names.join(", "))
        }
        (Trust::Nobody, TrustNames::Skip) => "nobody (was `skip`)".to_owned(),
        (Trust::Nobody, _) => "nobody".to_owned(),
        (Trust::Skip, _) => "skip".to_owned(),
    }
}

fn outcomes(matched: &Matched) -> Vec<ExplainedOutcome> {
    if !matched.looks() {
        return vec![ExplainedOutcome {
            evidence: "nothing is looked for".to_owned(),
            outcome: outcome(&decide_without_looking(matched)),
        }];
    }
    let mut outcomes = Vec::new();
    if let Applies::Rule(effective) = matched.applies() {
        outcomes.extend(outcomes_of_good(effective, matched.reference()));
    }
    let signature = |class| Some(Err(Failure::new(class, "for example")));
    let net = Failure::new(Class::Net, "for example");
    let rows = [
        ("every place answers that there is none", example(matched, None, None)),
        (
            "the same, and this tag was verified here before",
            seen_before(matched, |memory| &mut memory.tag_verified),
        ),
        (
            "the same, and another tag of the repository was",
            seen_before(matched, |memory| &mut memory.repository_verified),
        ),
        ("only signatures by strangers", example(matched, signature(Class::Identity), None)),
        (
            "a signature in a form that this version does not read",
            example(matched, signature(Class::Unsupported), None),
        ),
        ("a signature that does not hold", example(matched, signature(Class::Malformed), None)),
        ("a signature of something else", example(matched, signature(Class::Binding), None)),
        ("a place that could not be queried", example(matched, None, Some(net))),
    ];
    outcomes.extend(rows.into_iter().map(|(name, evidence)| ExplainedOutcome {
        evidence: name.to_owned(),
        outcome: outcome(&decide(matched, &evidence)),
    }));
    outcomes
}

/// What comes of signatures by those whom the rule trusts. Only the checker can make such evidence;
/// what they name is judged here by the same table that step (2) of [`decide`] reads.
fn outcomes_of_good(effective: &Effective, reference: &Reference) -> Vec<ExplainedOutcome> {
    let Trust::Signers { needed, .. } = &effective.authorities else { return Vec::new() };
    let good = if *needed == 1 {
        "a good signature by a trusted signer".to_owned()
    } else {
        format!("good signatures by {needed} trusted keys")
    };
    let image = reference.digest().copied().unwrap_or_else(|| Digest::of(b""));
    let expected = ExpectedImage {
        reference,
        signed_as: effective.signed_as.as_ref(),
        mirrors: &effective.mirrors,
        image: &image,
    };
    let row = |evidence: &str, named, by_a_binder| {
        let bound = binding::check(named, effective.bind_tag, by_a_binder, expected);
        let refused = || format!("refused: {} (exit {})", Class::Binding, Class::Binding.exit());
        ExplainedOutcome {
            evidence: evidence.to_owned(),
            outcome: match bound {
                Ok(Bound::Bound) => "verified".to_owned(),
                Ok(Bound::ToRepository) => "verified, with a warning".to_owned(),
                Err(_) => refused(),
            },
        }
    };
    let nothing = ClaimedImage { repository: None, tag: None, index: None, subject: &image };
    let by_digest = ClaimedImage { repository: Some(reference.repository()), ..nothing };
    let right = ClaimedImage { tag: reference.tag(), ..by_digest };
    // A name that no reference has.
    let other = "other.invalid/other".parse().ok();
    let other = ClaimedImage { repository: other.as_ref(), ..nothing };
    vec![
        row(&format!("{good}, for this repository and tag"), right, false),
        row("one that names no repository and tag (cosign's name none)", nothing, false),
        row("the same, by a key that named them before", nothing, true),
        row("one for this repository and no tag (signed by digest)", by_digest, false),
        row("the same, by a key that named tags before", by_digest, true),
        row("one for another repository or tag", other, false),
    ]
}

/// Evidence of absence about an image of which this is remembered.
fn seen_before(
    matched: &Matched,
    fact: impl Fn(&mut Remembered) -> &mut Option<SeenFact>,
) -> Evidence {
    let mut evidence = example(matched, None, None);
    *fact(&mut evidence.memory) =
        Some(SeenFact { signer: "example".to_owned(), digest: evidence.image.digest, seconds: 0 });
    evidence
}

/// Evidence with at most one signature, and at most one place that failed; all the rest is absent.
fn example(
    matched: &Matched,
    signature: Option<Result<crate::trust::VerifiedSignature, Failure>>,
    failed: Option<Failure>,
) -> Evidence {
    let reference = matched.reference();
    let digest = reference.digest().copied().unwrap_or_else(|| Digest::of(b""));
    let mut evidence = Evidence::new(reference.clone(), digest, None);
    for repository in matched.repositories() {
        for kind in PlaceKind::ALL {
            let answer = match &failed {
                Some(failure) if kind == PlaceKind::SigTag => PlaceAnswer::Failed(failure.clone()),
                _ => PlaceAnswer::Absent { detail: String::new() },
            };
            evidence.places.push(PlaceReport {
                kind,
                repository: repository.clone(),
                subject: digest,
                answer,
            });
        }
    }
    let (place, repository) = (PlaceKind::SigTag, reference.repository().clone());
    let report = |outcome| SignatureReport {
        place,
        repository,
        subject: digest,
        format: String::new(),
        outcome,
    };
    evidence.signatures.extend(signature.map(report));
    evidence
}

fn outcome(decision: &Decision) -> String {
    match decision {
        Decision::Allowed(provisional)
            if provisional.notices().iter().any(|notice| notice.warning) =>
        {
            "allowed, with a warning".to_owned()
        }
        Decision::Allowed(_) => "allowed".to_owned(),
        Decision::Refused(failure) => {
            format!("refused: {} (exit {})", failure.class(), failure.class().exit())
        }
        Decision::Verified(_) => "verified".to_owned(),
    }
}

impl Explanation {
    /// Returns the explanation for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("image:   {}", self.image),
            format!("policy:  {}", self.policy),
            format!("applies: {}", self.applies),
        ];
        if !self.candidates.is_empty() {
            lines.push("candidates, the most specific first:".to_owned());
        }
        for (at, candidate) in self.candidates.iter().enumerate() {
            let tag =
                candidate.tag.as_ref().map_or_else(String::new, |tag| format!(" with tag `{tag}`"));
            let CandidateLine { rule, place, scope, rank, .. } = candidate;
            let place = if place.is_empty() { String::new() } else { format!(" [{place}]") };
            lines.push(format!(
                "  {}. rule `{rule}`{place}: `{scope}`{tag} ({})",
                at + 1,
                rank.join(", ")
            ));
        }
        if !self.near_misses.is_empty() {
            lines.push("not about this tag:".to_owned());
        }
        lines.extend(self.near_misses.iter().map(|near| format!("  {near}")));
        if !self.settings.is_empty() {
            lines.push("settings:".to_owned());
        }
        lines.extend(
            self.settings
                .iter()
                .map(|setting| format!("  {}: {} [{}]", setting.key, setting.value, setting.from)),
        );
        lines.push("what is found -> what happens:".to_owned());
        lines.extend(
            self.outcomes.iter().map(|row| format!("  {} -> {}", row.evidence, row.outcome)),
        );
        lines.iter().map(|line| printable(line) + "\n").collect()
    }

    /// Returns the explanation as `--json` prints it.
    #[must_use]
    pub fn json(&self) -> Value {
        let candidate = |line: &CandidateLine| json!({"rule": line.rule, "place": line.place, "scope": line.scope, "tag": line.tag, "rank": line.rank});
        let setting = |setting: &Setting| json!({"key": setting.key, "value": setting.value, "from": setting.from});
        let outcome =
            |row: &ExplainedOutcome| json!({"evidence": row.evidence, "outcome": row.outcome});
        json!({
            "version": 1,
            "image": self.image,
            "policy": self.policy,
            "applies": self.applies,
            "candidates": self.candidates.iter().map(candidate).collect::<Vec<_>>(),
            "near_misses": self.near_misses,
            "settings": self.settings.iter().map(setting).collect::<Vec<_>>(),
            "outcomes": self.outcomes.iter().map(outcome).collect::<Vec<_>>(),
        })
    }
}
