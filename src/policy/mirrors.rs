//! Mirrors: repositories that serve the same images under the same tags.
//!
//! A signature that names one of them is for each of them; the tag stays bound. luet takes several
//! `urls` for one repository, and fetches from the next where one fails. Nothing follows from a
//! name: only a list makes mirrors, and it names whole repositories.

use super::diagnostic::{Diagnostic, Position, Problems};
use super::document::Document;
use super::fields;
use super::rules::{RuleTarget, TrustNames};
use super::settings::BindTag;
use super::yaml::Node;
use super::{Policy, matching::Applies};
use crate::name::{Reference, Repository};
use jiff::Timestamp;

/// Repositories that serve the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MirrorSet {
    repositories: Vec<Repository>,
    at: Position,
}

/// Reads `mirrors`: a list of lists.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<MirrorSet> {
    let lists = fields::list(node, "`mirrors`", problems);
    lists.iter().filter_map(|node| read_one(node, problems)).collect()
}

fn read_one(node: &Node, problems: &mut Problems) -> Option<MirrorSet> {
    let mut repositories: Vec<Repository> = Vec::new();
    for node in fields::list(node, "a list of `mirrors`", problems) {
        let repository = fields::parsed(node, "a mirror", "repository", problems)?;
        if !repositories.contains(&repository) {
            repositories.push(repository);
        }
    }
    if let [one] = repositories.as_slice() {
        problems
            .error(node.at, "mirror", format!("`{one}` is a mirror of nothing else"))
            .help("name at least two repositories that serve the same: `mirrors: [[A, B]]`");
        return None;
    }
    (!repositories.is_empty()).then_some(MirrorSet { repositories, at: node.at })
}

/// Returns the mirrors of a repository, itself left out. Not those of its mirrors: only what stands
/// in one list serves the same.
pub(super) fn of(mirrors: &[MirrorSet], repository: &Repository) -> Vec<Repository> {
    let mut found = Vec::new();
    for name in mirrors
        .iter()
        .filter(|mirrors| mirrors.repositories.contains(repository))
        .flat_map(|mirrors| &mirrors.repositories)
    {
        if name != repository && !found.contains(name) {
            found.push(name.clone());
        }
    }
    found
}

/// Returns where the mirrors of a repository stand.
pub(super) fn place(mirrors: &[MirrorSet], repository: &Repository) -> Option<Position> {
    mirrors.iter().find(|mirrors| mirrors.repositories.contains(repository)).map(|found| found.at)
}

/// Warns about mirrors that no rule is about which compares signatures.
pub(super) fn check(document: &Document, problems: &mut Problems) {
    for mirrors in &document.mirrors {
        let covered = |repository: &Repository| {
            document.rules.iter().any(|rule| {
                !matches!(rule.trust, TrustNames::Nobody | TrustNames::Skip)
                    && rule.binding() != BindTag::Off
                    && rule.targets.iter().any(|(target, _)| match target {
                        RuleTarget::Scope(scope) => scope.covers(repository),
                        RuleTarget::LocalFiles => false,
                    })
            })
        };
        if !mirrors.repositories.iter().any(covered) {
            let names: Vec<String> =
                mirrors.repositories.iter().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "no rule compares signatures of {}; `mirrors` changes nothing",
                names.join(", ")
            );
            problems.warning(mirrors.at, "no-effect", message);
        }
    }
}

impl Policy {
    /// Returns a warning for each of these sets of repositories, which luet takes for one, that the
    /// policy does not: what is signed under one name is refused from the next address.
    #[must_use]
    pub fn missing_mirrors(&self, sets: &[Vec<Repository>], now: Timestamp) -> Vec<Diagnostic> {
        let mut problems = Problems::default();
        for set in sets.iter().filter(|set| !self.unites(set, now)) {
            let names: Vec<String> = set.iter().map(|name| format!("`{name}`")).collect();
            let at = self.place_about(set);
            let message = format!(
                "luet treats {} as one repository, but no `mirrors` or `mirror_of` says so: our signatures name one of them, so from the others they are refused as `binding`",
                names.join(" and ")
            );
            let set: Vec<String> = set.iter().map(|name| format!("\"{name}\"")).collect();
            problems.warning(at, "missing-mirror", message).help(format!(
                "where all of them serve the same, add `mirrors: [[{}]]`",
                set.join(", ")
            ));
        }
        problems.finish()
    }

    /// Returns where the policy speaks of one of these: the rule, or `defaults`.
    fn place_about(&self, repositories: &[Repository]) -> Position {
        let about = |rule: &&super::Rule| {
            rule.targets.iter().any(|(target, _)| match target {
                RuleTarget::Scope(scope) => repositories.iter().any(|name| scope.covers(name)),
                RuleTarget::LocalFiles => false,
            })
        };
        let rule = self.document.rules.iter().find(about);
        rule.map_or(self.document.defaults.unmatched_at, |rule| rule.at)
    }

    /// Returns whether the policy takes these repositories for one, so that a signature made for
    /// one of them is accepted in each; also where it compares none.
    #[must_use]
    pub fn unites(&self, repositories: &[Repository], now: Timestamp) -> bool {
        let accepts = |at: &Repository, name: &Repository| {
            let Ok(reference) = format!("{at}:latest").parse::<Reference>() else { return true };
            let matched = self.matching(&reference, now);
            match matched.applies() {
                Applies::Rule(effective)
                    if !matched.authorities().is_empty() && effective.bind_tag != BindTag::Off =>
                {
                    matched.names().contains(&name)
                }
                // Nothing is compared, so nothing is refused for its name.
                _ => true,
            }
        };
        repositories.iter().any(|name| repositories.iter().all(|at| accepts(at, name)))
    }
}
