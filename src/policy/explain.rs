//! Explaining: which rule is about an image, why that one, and what would happen.
//!
//! The table of outcomes is not written down here: each row is made by asking [`decide`] about evidence of that kind, so it
//! cannot say anything else than what happens.

use super::decide::{Decision, decide, decide_without_looking};
use super::evidence::{Evidence, PlaceAnswer, PlaceKind, PlaceReport, SignatureReport};
use super::loaded::{Origin, Policy};
use super::matching::{Applies, Candidate, Effective, Matched, Trust};
use super::rules::{Rule, TrustNames};
use crate::class::{Class, Failure, printable};
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
    /// What applies, in one line.
    pub applies: String,
    /// What holds, and where each setting comes from.
    pub settings: Vec<Setting>,
    /// What happens, by what is found.
    pub outcomes: Vec<Outcome>,
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
pub struct Outcome {
    /// What is found.
    pub evidence: &'static str,
    /// What happens: `verified`, `allowed`, `allowed, with a warning`, `refused: CLASS (exit N)`.
    pub outcome: String,
}

/// Explains what the policy says about an image, without asking anybody.
#[must_use]
pub fn explain(policy: &Policy, reference: &Reference, now: Timestamp) -> Explanation {
    let matched = policy.matching(reference, now);
    let candidates = policy.candidates(reference);
    let winner = candidates.first().map(|candidate| candidate.rule);
    Explanation {
        policy: policy.origin().name().to_owned(),
        image: reference.to_string(),
        candidates: candidates.iter().map(|candidate| line(policy, candidate)).collect(),
        applies: applies(&matched),
        settings: match (matched.applies(), winner) {
            (Applies::Rule(effective), Some(rule)) => settings(policy, rule, effective),
            _ => Vec::new(),
        },
        outcomes: outcomes(&matched, now),
    }
}

fn applies(matched: &Matched) -> String {
    match matched.applies() {
        Applies::Rule(effective) => format!("rule `{}` [{}]", effective.rule, effective.place),
        Applies::Skipped { pattern, place } => format!("skip pattern `{pattern}` [{place}]"),
        Applies::Unmatched { mode, place } => format!("no rule; `unmatched: {}` [{place}]", mode.word()),
    }
}

fn line(policy: &Policy, candidate: &Candidate<'_>) -> CandidateLine {
    let scope = candidate.scope.to_string();
    let (host, path) = scope.split_once('/').unwrap_or((&scope, "**"));
    let host_kind = match host {
        "*" => "any host".to_owned(),
        host if host.starts_with("*.") => format!("host suffix of {} characters", host.len().saturating_sub(1)),
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
        Some(tag) if tag.contains('*') => format!("tag pattern of {} literal characters", tag.chars().filter(|c| *c != '*').count()),
        Some(_) => "exact tag".to_owned(),
    };
    CandidateLine {
        rule: candidate.rule.name.clone(),
        place: policy.place_of(candidate.rule),
        rank: [host_kind, format!("{literals} literal segments"), kind.to_owned(), tag],
        tag: candidate.tag.map(ToString::to_string),
        scope,
    }
}

fn settings(policy: &Policy, rule: &Rule, effective: &Effective) -> Vec<Setting> {
    let at = |line: Option<usize>| match (&policy.origin, line) {
        (Origin::File { path }, Some(line)) => format!("{path} line {line}"),
        _ => policy.place_of(rule),
    };
    let setting = |key, value: String, from: String| Setting { key, value, from };
    let trust = match (&effective.authorities, &rule.trust) {
        (Trust::AnyOf(authorities), _) => {
            let names: Vec<String> =
                authorities.iter().map(|authority| format!("{} (key {})", authority.name, authority.key.fingerprint().short())).collect();
            format!("any of {}", names.join(", "))
        }
        (Trust::Nobody, TrustNames::Skip) => "nobody (was `skip`)".to_owned(),
        (Trust::Nobody, _) => "nobody".to_owned(),
        (Trust::Skip, _) => "skip".to_owned(),
    };
    let unsigned_from = match (rule.unsigned_at, policy.document.defaults.unsigned_at) {
        (Some(at_rule), _) => at(Some(at_rule.line)),
        (None, Some(default)) => format!("defaults, {}", at(Some(default.line))),
        (None, None) => "built in".to_owned(),
    };
    let signatures_from = effective.signatures_from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let own = effective.signatures_from.is_empty();
    let mut settings = vec![
        setting("trust", trust, rule.trust_at.map_or_else(|| "not set".to_owned(), |found| at(Some(found.line)))),
        setting("unsigned", effective.unsigned.word().to_owned(), unsigned_from),
        setting(
            "signatures_from",
            if own { "the image's own repository".to_owned() } else { signatures_from },
            rule.signatures_from_at.map_or_else(|| "built in".to_owned(), |found| at(Some(found.line))),
        ),
    ];
    if let (Some(until), Some(found)) = (rule.until, rule.until_at) {
        let ended = if effective.ended.is_some() { " (over: it denies)" } else { "" };
        settings.push(setting("until", format!("{until}{ended}"), at(Some(found.line))));
    }
    settings.extend(effective.reason.clone().map(|reason| setting("reason", reason, at(Some(rule.at.line)))));
    settings
}

fn outcomes(matched: &Matched, now: Timestamp) -> Vec<Outcome> {
    if !matched.looks() {
        return vec![Outcome { evidence: "nothing is looked for", outcome: outcome(&decide_without_looking(matched)) }];
    }
    let mut outcomes = Vec::new();
    if !matched.authorities().is_empty() {
        // Only the checker can make such evidence; step (2) of `decide` says what comes of it.
        outcomes.push(Outcome { evidence: "a good signature by a trusted signer", outcome: "verified".to_owned() });
    }
    let signature = |class| Some(Err(Failure::new(class, "for example")));
    let rows = [
        ("every place answers that there is none", None, None),
        ("only signatures by strangers", signature(Class::Identity), None),
        ("a signature in a form that this version does not read", signature(Class::Unsupported), None),
        ("a signature that does not hold", signature(Class::Malformed), None),
        ("a signature of something else", signature(Class::Binding), None),
        ("a place that could not be asked", None, Some(Failure::new(Class::Net, "for example"))),
    ];
    outcomes.extend(rows.into_iter().map(|(name, signature, failed)| {
        let evidence = example(matched, signature, failed);
        Outcome { evidence: name, outcome: outcome(&decide(matched, &evidence, now)) }
    }));
    outcomes
}

/// Evidence with at most one signature, and at most one place that failed; all the rest is absent.
fn example(matched: &Matched, signature: Option<Result<crate::trust::VerifiedSignature, Failure>>, failed: Option<Failure>) -> Evidence {
    let reference = matched.reference();
    let digest = reference.digest().copied().unwrap_or_else(|| Digest::of(b""));
    let mut evidence = Evidence::new(reference.clone(), digest, None);
    for repository in matched.repositories() {
        for kind in PlaceKind::ALL {
            let answer = match &failed {
                Some(failure) if kind == PlaceKind::SigTag => PlaceAnswer::Failed(failure.clone()),
                _ => PlaceAnswer::Absent { detail: String::new() },
            };
            evidence.places.push(PlaceReport { kind, repository: repository.clone(), subject: digest, answer });
        }
    }
    let (place, repository) = (PlaceKind::SigTag, reference.repository().clone());
    let report = |outcome| SignatureReport { place, repository, subject: digest, format: String::new(), outcome };
    evidence.signatures.extend(signature.map(report));
    evidence
}

fn outcome(decision: &Decision) -> String {
    match decision {
        Decision::Allowed(provisional) if provisional.notices().iter().any(|notice| notice.warning) => "allowed, with a warning".to_owned(),
        Decision::Allowed(_) => "allowed".to_owned(),
        Decision::Refused(failure) => format!("refused: {} (exit {})", failure.class(), failure.class().exit()),
        Decision::Verified(_) => "verified".to_owned(),
    }
}

impl Explanation {
    /// Returns the explanation for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("image:   {}", self.image), format!("policy:  {}", self.policy), format!("applies: {}", self.applies)];
        if !self.candidates.is_empty() {
            lines.push("candidates, the most specific first:".to_owned());
        }
        for (at, candidate) in self.candidates.iter().enumerate() {
            let tag = candidate.tag.as_ref().map_or_else(String::new, |tag| format!(" with tag `{tag}`"));
            let CandidateLine { rule, place, scope, rank, .. } = candidate;
            lines.push(format!("  {}. rule `{rule}` [{place}]: `{scope}`{tag} ({})", at + 1, rank.join(", ")));
        }
        if !self.settings.is_empty() {
            lines.push("settings:".to_owned());
        }
        lines.extend(self.settings.iter().map(|setting| format!("  {}: {} [{}]", setting.key, setting.value, setting.from)));
        lines.push("what is found -> what happens:".to_owned());
        lines.extend(self.outcomes.iter().map(|row| format!("  {} -> {}", row.evidence, row.outcome)));
        lines.iter().map(|line| printable(line) + "\n").collect()
    }

    /// Returns the explanation as `--json` prints it.
    #[must_use]
    pub fn json(&self) -> Value {
        let candidate =
            |line: &CandidateLine| json!({"rule": line.rule, "place": line.place, "scope": line.scope, "tag": line.tag, "rank": line.rank});
        let setting = |setting: &Setting| json!({"key": setting.key, "value": setting.value, "from": setting.from});
        let outcome = |row: &Outcome| json!({"evidence": row.evidence, "outcome": row.outcome});
        json!({
            "version": 1,
            "image": self.image,
            "policy": self.policy,
            "applies": self.applies,
            "candidates": self.candidates.iter().map(candidate).collect::<Vec<_>>(),
            "settings": self.settings.iter().map(setting).collect::<Vec<_>>(),
            "outcomes": self.outcomes.iter().map(outcome).collect::<Vec<_>>(),
        })
    }
}
