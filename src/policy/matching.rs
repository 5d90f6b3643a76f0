//! Matching: which one rule is about an image. docs/policy.md says it for users.
//!
//! Exactly one rule applies, the most specific one; nothing is merged and order does not count. The
//! reference is canonical already, for [`Reference`] is. A tag counts only where no digest stands
//! beside it: a registry goes by the digest then.

use super::evidence::Evidence;
use super::loaded::{Policy, day};
use super::rules::{Rule, RuleTarget, TrustNames};
use super::settings::{BindTag, Downgrade, Mode, Rollback};
use super::signers::Weighed;
use super::ties::Rank;
use crate::name::{Reference, Repository, Scope, Tag, TagGlob};
use crate::trust::{Authority, Identity};
use jiff::Timestamp;
use jiff::civil::Date;

/// Whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nobody's: the rule names no signer.
    Nobody,
    /// These authorities', by so many keys.
    Signers {
        /// How many keys must have signed: at least 1, at most as many as the authorities have.
        needed: usize,
        /// Whose signatures count. Never empty.
        authorities: Vec<Authority>,
    },
    /// None is looked for.
    Skip,
}

/// What a rule comes to on this day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The name of the rule.
    pub rule: String,
    /// Where it stands: `policy.yaml line 12`, or the name of a variable. Empty where the command
    /// line is the rule.
    pub place: String,
    /// The scope that matched.
    pub scope: String,
    /// The tag pattern that matched.
    pub tag: Option<String>,
    /// Whose signatures count.
    pub authorities: Trust,
    /// What happens to an image without a signature. `Deny` once `until` is over.
    pub unsigned: Mode,
    /// What was verified here before and may not be unsigned now.
    pub downgrade: Downgrade,
    /// Where signatures lie; empty for the image's own repository.
    pub signatures_from: Vec<Repository>,
    /// The name under which this repository is signed, where it is a mirror.
    pub signed_as: Option<Repository>,
    /// Other repositories that serve the same: `mirrors`.
    pub mirrors: Vec<Repository>,
    /// Whether signatures must be for this repository and tag.
    pub bind_tag: BindTag,
    /// What happens where the repository's revision goes back.
    pub rollback: Rollback,
    /// Why the rule is lax.
    pub reason: Option<String>,
    /// The day on which the rule stopped being lax.
    pub ended: Option<Date>,
}

/// What applies to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applies {
    /// A rule.
    Rule(Box<Effective>),
    /// A pattern of `skip_patterns`, with where it stands.
    Skipped {
        /// The pattern.
        pattern: String,
        /// Where it stands: `policy.yaml line 12`, or `COSIGN_SKIP`.
        place: String,
    },
    /// Nothing: `defaults.unmatched`.
    Unmatched {
        /// What it says.
        mode: Mode,
        /// Where it says so.
        place: String,
    },
}

/// The answer of a policy to a reference. Only a policy makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    pub(super) reference: Reference,
    pub(super) applies: Applies,
    pub(super) asked: RequestedBy,
    pub(super) near: Vec<RuleNearMiss>,
}

/// A rule whose scope covers the repository, and whose `tags` leave this image out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleNearMiss {
    /// The name of the rule.
    pub rule: String,
    /// Where it stands.
    pub place: String,
    /// The scope that covers the repository.
    pub scope: String,
    /// Its tag patterns.
    pub tags: Vec<String>,
    /// Whether it lets images pass that nobody vouches for.
    pub lax: bool,
}

impl RuleNearMiss {
    /// Returns how the rule is called in messages, and why it is not about the image.
    #[must_use]
    pub fn text(&self, reference: &Reference) -> String {
        let tags: Vec<String> = self.tags.iter().map(|tag| format!("`{tag}`")).collect();
        let tags = tags.join(", ");
        match reference.tag().filter(|_| reference.digest().is_none()) {
            Some(tag) => format!(
                "rule `{}` [{}] covers the repository (`{}`), but its `tags` ({tags}) do not match `{tag}`",
                self.rule, self.place, self.scope
            ),
            None => format!(
                "rule `{}` [{}] covers the repository (`{}`), but it is about `tags` ({tags}) and the image is named by its digest",
                self.rule, self.place, self.scope
            ),
        }
    }
}

/// Who asked for what, for the words of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestedBy {
    /// A policy file, for what its rules say.
    ByFile,
    /// The command line, for signatures by a key.
    ByOption,
    /// The environment, for signatures by a key.
    Key,
    /// The environment, for keyless signatures.
    Keyless,
    /// The environment, for nothing.
    Nothing,
}

impl Matched {
    /// Returns the reference that was matched.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Returns what applies.
    #[must_use]
    pub fn applies(&self) -> &Applies {
        &self.applies
    }

    /// Returns whether signatures are to be looked for. Where not,
    /// [`super::decide_without_looking`] decides, and no request is made.
    #[must_use]
    pub fn looks(&self) -> bool {
        matches!(&self.applies, Applies::Rule(effective) if effective.authorities != Trust::Skip && !effective.is_over())
    }

    /// Returns the name that the images of the repository are signed for, by which it is known:
    /// where it is a mirror, another one than its own.
    #[must_use]
    pub fn signed_as(&self) -> &Repository {
        match &self.applies {
            Applies::Rule(effective) => {
                effective.signed_as.as_ref().unwrap_or_else(|| self.reference.repository())
            }
            Applies::Skipped { .. } | Applies::Unmatched { .. } => self.reference.repository(),
        }
    }

    /// Returns every name of the repository: that one, its own where that is another, and those of
    /// its mirrors.
    #[must_use]
    pub fn names(&self) -> Vec<&Repository> {
        let mirrors = match &self.applies {
            Applies::Rule(effective) => effective.mirrors.as_slice(),
            _ => &[],
        };
        let mut names = vec![self.signed_as()];
        for name in std::iter::once(self.reference.repository()).chain(mirrors) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns the rules whose scope covers the repository, and whose `tags` leave this image out.
    #[must_use]
    pub fn near_misses(&self) -> &[RuleNearMiss] {
        &self.near
    }

    /// Returns the repositories in which signatures are to be looked for: every one of them, in
    /// every place.
    #[must_use]
    pub fn repositories(&self) -> Vec<Repository> {
        match &self.applies {
            Applies::Rule(effective) if !effective.signatures_from.is_empty() => {
                effective.signatures_from.clone()
            }
            _ => vec![self.reference.repository().clone()],
        }
    }

    /// Returns whose signatures count; empty where nobody's do.
    #[must_use]
    pub fn authorities(&self) -> &[Authority] {
        match &self.applies {
            Applies::Rule(effective) => effective.authorities(),
            Applies::Skipped { .. } | Applies::Unmatched { .. } => &[],
        }
    }

    /// Returns whether the signatures found so far verify the image, so that looking on cannot
    /// change the decision.
    ///
    /// It is step (2) of [`super::decide`], so `evidence` must have its image, its child and its
    /// memory already.
    #[must_use]
    pub fn enough(&self, evidence: &Evidence) -> bool {
        match &self.applies {
            // Whether several signed first is known when all were seen.
            Applies::Rule(_) if self.pins() && evidence.memory.pins.is_empty() => false,
            Applies::Rule(effective) => {
                let weighed = Weighed::of(effective, evidence);
                weighed.is_enough() && !weighed.learns(evidence)
            }
            _ => false,
        }
    }

    /// Returns whether the rule trusts the first signer, so that this must be remembered.
    #[must_use]
    pub fn pins(&self) -> bool {
        self.authorities().iter().any(|authority| authority.identity() == Some(&Identity::Any))
    }
}

impl Effective {
    /// Returns whose signatures count; empty where nobody's do.
    fn authorities(&self) -> &[Authority] {
        match &self.authorities {
            Trust::Signers { authorities, .. } => authorities,
            Trust::Nobody | Trust::Skip => &[],
        }
    }

    /// Whether all that the rule could say is over: it named no signer, and its day has come.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some() && !matches!(self.authorities, Trust::Signers { .. })
    }

    /// Returns how the rule is called in messages: ``rule `name` [policy.yaml line 12]``, or ``
    /// `--key K` ``.
    #[must_use]
    pub fn title(&self) -> String {
        if self.place.is_empty() {
            format!("`{}`", self.rule)
        } else {
            format!("rule `{}` [{}]", self.rule, self.place)
        }
    }
}

/// One pair of a rule that is about a reference.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) rule: &'a Rule,
    pub(super) scope: &'a Scope,
    pub(super) tag: Option<&'a TagGlob>,
    pub(super) rank: Rank,
}

impl Policy {
    /// Returns what applies to `reference`: a skip pattern, else the most specific rule, else
    /// `defaults.unmatched`.
    #[must_use]
    pub fn matching(&self, reference: &Reference, now: Timestamp) -> Matched {
        let applies = if let Some(pattern) =
            self.document.skip.iter().find(|pattern| pattern.matches(reference))
        {
            let place = match &self.origin {
                super::PolicyOrigin::File { path } => format!("{path} line {}", pattern.at.line),
                super::PolicyOrigin::Environment { .. } | super::PolicyOrigin::Option { .. } => {
                    super::environment::SKIP.to_owned()
                }
            };
            Applies::Skipped { pattern: pattern.text.clone(), place }
        } else if let Some(best) = self.candidates(reference).first() {
            Applies::Rule(Box::new(self.effective(best, reference, now)))
        } else {
            let place = match &self.origin {
                super::PolicyOrigin::Environment { .. } => "environment".to_owned(),
                super::PolicyOrigin::Option { .. } => self.origin.name().into_owned(),
                super::PolicyOrigin::File { path } => {
                    format!("{path} line {}", self.document.defaults.unmatched_at.line)
                }
            };
            Applies::Unmatched { mode: self.document.defaults.unmatched, place }
        };
        let asked = match self.origin {
            super::PolicyOrigin::File { .. } => RequestedBy::ByFile,
            super::PolicyOrigin::Option { .. } => RequestedBy::ByOption,
            super::PolicyOrigin::Environment { .. }
                if self.authorities.values().any(|authority| authority.key().is_some()) =>
            {
                RequestedBy::Key
            }
            super::PolicyOrigin::Environment { experimental: true } => RequestedBy::Keyless,
            super::PolicyOrigin::Environment { experimental: false } => RequestedBy::Nothing,
        };
        let near = self.near_misses(reference);
        Matched { reference: reference.clone(), applies, asked, near }
    }

    /// Returns the rules that would be about `reference`, were it not for its tag.
    fn near_misses(&self, reference: &Reference) -> Vec<RuleNearMiss> {
        let tag = reference.tag().filter(|_| reference.digest().is_none());
        let misses = |rule: &&Rule| {
            !rule.tags.is_empty()
                && !rule.tags.iter().any(|glob| tag.is_some_and(|tag| glob.matches(tag)))
        };
        let covering = |rule: &Rule| {
            rule.targets.iter().find_map(|(target, _)| match target {
                RuleTarget::Scope(scope) if scope.covers(reference.repository()) => {
                    Some(scope.to_string())
                }
                RuleTarget::Scope(_) | RuleTarget::LocalFiles => None,
            })
        };
        let default = self.document.defaults.unsigned;
        self.document
            .rules
            .iter()
            .filter(misses)
            .filter_map(|rule| {
                Some(RuleNearMiss {
                    rule: rule.name.clone(),
                    place: self.place_of(rule),
                    scope: covering(rule)?,
                    tags: rule.tags.iter().map(ToString::to_string).collect(),
                    lax: rule.is_lax(default),
                })
            })
            .collect()
    }

    /// Returns the pairs that are about `reference`, the most specific first.
    pub(super) fn candidates(&self, reference: &Reference) -> Vec<Candidate<'_>> {
        let tag = reference.tag().filter(|_| reference.digest().is_none());
        let mut candidates = Vec::new();
        for rule in &self.document.rules {
            for (target, _) in &rule.targets {
                if let RuleTarget::Scope(scope) = target
                    && scope.covers(reference.repository())
                {
                    push(&mut candidates, rule, scope, tag);
                }
            }
        }
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.rank));
        candidates
    }

    fn effective(
        &self,
        candidate: &Candidate<'_>,
        reference: &Reference,
        now: Timestamp,
    ) -> Effective {
        let rule = candidate.rule;
        let default = self.document.defaults.unsigned;
        let ended = rule.until.filter(|_| rule.is_lax(default) && rule.has_ended(day(now)));
        let authorities = match &rule.trust {
            TrustNames::Signers { needed, names } => Trust::Signers {
                needed: *needed,
                authorities: self.trusted(names, reference.repository()),
            },
            // What was skipped until yesterday is trusted by nobody today.
            TrustNames::Skip if ended.is_some() => Trust::Nobody,
            TrustNames::Skip => Trust::Skip,
            TrustNames::Nobody => Trust::Nobody,
        };
        Effective {
            rule: rule.name.clone(),
            place: self.place_of(rule),
            scope: candidate.scope.to_string(),
            tag: candidate.tag.map(ToString::to_string),
            authorities,
            unsigned: if ended.is_some() { Mode::Deny } else { rule.unsigned.unwrap_or(default) },
            downgrade: self.document.defaults.downgrade,
            signatures_from: rule.signatures_from.clone(),
            signed_as: rule
                .mirror_of
                .as_ref()
                .and_then(|(prefix, _)| prefix.name_of(reference.repository(), candidate.scope)),
            mirrors: super::mirrors::of(&self.document.mirrors, reference.repository()),
            bind_tag: rule.binding(),
            rollback: rule.rollback.map(|(rollback, _)| rollback).unwrap_or_default(),
            reason: rule.reason.clone(),
            ended,
        }
    }
}

fn push<'a>(
    candidates: &mut Vec<Candidate<'a>>,
    rule: &'a Rule,
    scope: &'a Scope,
    tag: Option<&Tag>,
) {
    let mut push = |glob: Option<&'a TagGlob>| {
        candidates.push(Candidate {
            rule,
            scope,
            tag: glob,
            rank: (scope.rank(), glob.map(TagGlob::rank)),
        });
    };
    if rule.tags.is_empty() {
        push(None);
    }
    for glob in rule.tags.iter().filter(|glob| tag.is_some_and(|tag| glob.matches(tag))) {
        push(Some(glob));
    }
}
