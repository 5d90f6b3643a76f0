//! Ties: two rules that are about one image and equally specific. Neither may win by the order in
//! which they stand.
//!
//! Pairs inside one rule cannot tie, for they lead to the same
//! rule.

use super::diagnostic::{Position, Problems, TOO_LARGE};
use super::rules::{Rule, Target};
use crate::limits;
use crate::name::{Scope, ScopeRank, TagGlob, TagRank};

/// How specific a pair of scope and tag pattern is; the greater wins.
pub(super) type Rank = (ScopeRank, Option<TagRank>);

/// One pair of a rule.
struct Pair<'a> {
    rule: usize,
    at: Position,
    scope: &'a Scope,
    tag: Option<&'a TagGlob>,
    rank: Rank,
    /// The length of a tag pattern with wildcards; 0 for every other.
    wild_bytes: usize,
}

impl Pair<'_> {
    /// What comparing the tags of two pairs may cost: the product of their lengths, where both have
    /// wildcards.
    fn steps(&self, other: &Self) -> usize {
        if self.wild_bytes == 0 || other.wild_bytes == 0 {
            1
        } else {
            self.wild_bytes.saturating_mul(other.wild_bytes)
        }
    }

    fn tags_overlap(&self, other: &Self) -> bool {
        match (self.tag, other.tag) {
            // Of one rank: both have wildcards, or neither has.
            (Some(a), Some(b)) if self.wild_bytes == 0 => a == b,
            (Some(a), Some(b)) => a.overlaps(b),
            _ => true,
        }
    }

    fn text(&self) -> String {
        self.tag.map_or_else(
            || format!("`{}`", self.scope),
            |tag| format!("`{}` with tag `{tag}`", self.scope),
        )
    }
}

/// Notes every tie between two rules once, and rules that another one always beats.
pub(super) fn check(rules: &[Rule], problems: &mut Problems) {
    check_local_files(rules, problems);
    let count: usize =
        rules.iter().map(|rule| rule.targets.len().saturating_mul(rule.tags.len().max(1))).sum();
    if let Some(first) = rules.first()
        && count > limits::POLICY_PAIRS
    {
        let message =
            format!("{count} pairs of scope and tag; at most {} are read", limits::POLICY_PAIRS);
        problems.error(first.at, TOO_LARGE, message).help("use wider scopes or tag patterns");
        return;
    }
    let pairs: Vec<Pair<'_>> =
        rules.iter().enumerate().flat_map(|(index, rule)| pairs(index, rule)).collect();
    check_pairs(rules, &pairs, problems);
    check_beaten(rules, &pairs, problems);
}

fn pairs(index: usize, rule: &Rule) -> Vec<Pair<'_>> {
    let mut pairs = Vec::new();
    for (target, at) in &rule.targets {
        let Target::Scope(scope) = target else { continue };
        let tags: Vec<Option<&TagGlob>> =
            if rule.tags.is_empty() { vec![None] } else { rule.tags.iter().map(Some).collect() };
        for tag in tags {
            let text = tag.map(ToString::to_string).unwrap_or_default();
            let wild_bytes = if text.contains('*') { text.len() } else { 0 };
            pairs.push(Pair {
                rule: index,
                at: *at,
                scope,
                tag,
                rank: (scope.rank(), tag.map(TagGlob::rank)),
                wild_bytes,
            });
        }
    }
    pairs
}

fn check_pairs(rules: &[Rule], pairs: &[Pair<'_>], problems: &mut Problems) {
    let mut sorted: Vec<&Pair<'_>> = pairs.iter().collect();
    sorted.sort_by_key(|pair| pair.rank);
    let mut told = std::collections::HashSet::new();
    let mut steps = 0_usize;
    for equal in sorted.chunk_by(|a, b| a.rank == b.rank) {
        for (at, pair) in equal.iter().enumerate() {
            for other in equal.iter().skip(at + 1).filter(|other| other.rule != pair.rule) {
                if problems.full() {
                    return;
                }
                steps += 1;
                if !pair.scope.overlaps(other.scope) {
                    continue;
                }
                steps = steps.saturating_add(pair.steps(other));
                if steps > limits::POLICY_TIE_STEPS {
                    problems
                        .error(pair.at, TOO_LARGE, "too many tag patterns to compare")
                        .help("use fewer or shorter ones");
                    return;
                }
                let (first, second) =
                    if pair.at <= other.at { (pair, other) } else { (other, pair) };
                if pair.tags_overlap(other) && told.insert((first.rule, second.rule)) {
                    tell(rules, first, second, problems);
                }
            }
        }
    }
}

fn tell(rules: &[Rule], first: &Pair<'_>, second: &Pair<'_>, problems: &mut Problems) {
    let name = |pair: &Pair<'_>| rules.get(pair.rule).map_or("", |rule| rule.name.as_str());
    let message = format!(
        "{} of `{}` and {} of `{}` on line {} are about the same images and equally specific",
        second.text(),
        name(second),
        first.text(),
        name(first),
        first.at.line
    );
    problems
        .error(second.at, "tie", message)
        .help("make one of them more specific, or the two one rule");
}

/// Warns about a rule without `tags` where another one takes every tag of the same scopes.
fn check_beaten(rules: &[Rule], pairs: &[Pair<'_>], problems: &mut Problems) {
    let takes_all =
        |pair: &&Pair<'_>| pair.tag.is_some_and(|tag| tag.to_string().bytes().all(|c| c == b'*'));
    let winners: Vec<&Pair<'_>> = pairs.iter().filter(takes_all).collect();
    for (index, rule) in rules.iter().enumerate() {
        let mut own = pairs.iter().filter(|pair| pair.rule == index).peekable();
        let beater = |pair: &Pair<'_>| {
            winners.iter().find(|other| other.rule != index && other.scope == pair.scope)
        };
        if !rule.tags.is_empty() || own.peek().is_none() {
            continue;
        }
        if let Some(Some(winner)) = own.map(beater).reduce(Option::and) {
            let name = rules.get(winner.rule).map_or("", |rule| rule.name.as_str());
            let message = format!("`{}` never matches a tag: `{name}` takes them all", rule.name);
            problems
                .warning(rule.at, "never-matches", message)
                .help("it is used only for images that are named by digest");
        }
    }
}

fn check_local_files(rules: &[Rule], problems: &mut Problems) {
    let all = rules.iter().flat_map(|rule| rule.targets.iter().map(move |target| (rule, target)));
    let mut local = all.filter(|(_, (target, _))| *target == Target::LocalFiles);
    if let Some((first, _)) = local.next() {
        for (rule, (_, at)) in local.filter(|(rule, _)| rule.name != first.name) {
            let message = format!(
                "`{}` and `{}` on line {} are both about local files",
                rule.name, first.name, first.at.line
            );
            problems.error(*at, "tie", message);
        }
    }
}
