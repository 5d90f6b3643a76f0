//! Ties: two rules that are about one image and equally specific. Neither may win by the order in
//! which they stand.
//!
//! Pairs inside one rule cannot tie, for they lead to the same rule.

use super::diagnostic::{Position, Problems, TOO_LARGE};
use super::rules::{Rule, RuleTarget};
use crate::limits;
use crate::name::{Scope, ScopeRank, TagGlob, TagRank};
use std::collections::{HashMap, HashSet};

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
        let RuleTarget::Scope(scope) = target else { continue };
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
    let mut told = HashSet::new();
    let mut steps = 0_usize;
    for equal in sorted.chunk_by(|a, b| a.rank == b.rank) {
        let neighbours = Neighbours::of(equal);
        for (at, pair) in equal.iter().copied().enumerate() {
            for other in neighbours.after(at, pair).filter(|other| other.rule != pair.rule) {
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

/// Pairs of one rank, by what they may overlap with. Every event reads the policy, so a thousand
/// rules must not be compared each with each.
struct Neighbours<'p, 'a> {
    all: &'p [&'p Pair<'a>],
    /// Positions of pairs whose scope has no `*` for one segment. Of one rank, two such scopes are
    /// equally long and end alike: they overlap where they are equal.
    equal: HashMap<&'a Scope, Vec<usize>>,
    /// Positions of all of these.
    closed: Vec<usize>,
    /// Positions of the others, which may overlap with any.
    open: Vec<usize>,
}

impl<'p, 'a> Neighbours<'p, 'a> {
    fn of(all: &'p [&'p Pair<'a>]) -> Self {
        let mut equal = HashMap::<_, Vec<usize>>::new();
        let (mut closed, mut open) = (Vec::new(), Vec::new());
        for (at, pair) in all.iter().enumerate() {
            if pair.scope.has_open_segment() {
                open.push(at);
            } else {
                closed.push(at);
                equal.entry(pair.scope).or_default().push(at);
            }
        }
        Self { all, equal, closed, open }
    }

    /// Returns the pairs that one may overlap with, each two of them once: those with a `*` come
    /// after all others.
    fn after(&self, at: usize, pair: &Pair<'a>) -> impl Iterator<Item = &'p Pair<'a>> {
        let (mut alike, mut others) = (self.equal.get(pair.scope), None);
        if pair.scope.has_open_segment() {
            (alike, others) = (Some(&self.open), Some(&self.closed));
        }
        let later = alike.into_iter().flatten().filter(move |other| **other > at);
        later.chain(others.into_iter().flatten()).filter_map(|other| self.all.get(*other).copied())
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
    let mut winners = HashMap::<&Scope, Vec<usize>>::new();
    for pair in pairs.iter().filter(takes_all) {
        winners.entry(pair.scope).or_default().push(pair.rule);
    }
    for own in pairs.chunk_by(|a, b| a.rule == b.rule) {
        let Some((index, rule)) =
            own.first().and_then(|pair| Some((pair.rule, rules.get(pair.rule)?)))
        else {
            continue;
        };
        if !rule.tags.is_empty() {
            continue;
        }
        let beater = |pair: &Pair<'_>| {
            winners.get(pair.scope)?.iter().copied().find(|winner| *winner != index)
        };
        if let Some(Some(winner)) = own.iter().map(beater).reduce(Option::and) {
            let name = rules.get(winner).map_or("", |rule| rule.name.as_str());
            let message = format!("`{}` never matches a tag: `{name}` takes them all", rule.name);
            problems
                .warning(rule.at, "never-matches", message)
                .help("it is used only for images that are named by digest");
        }
    }
}

fn check_local_files(rules: &[Rule], problems: &mut Problems) {
    let all = rules.iter().flat_map(|rule| rule.targets.iter().map(move |target| (rule, target)));
    let mut local = all.filter(|(_, (target, _))| *target == RuleTarget::LocalFiles);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every scope of up to three segments over two hosts.
    fn scopes() -> Vec<Scope> {
        let mut paths: Vec<String> = vec![String::new()];
        let mut texts = vec!["*".to_owned()];
        for _ in 0..3 {
            paths = paths
                .iter()
                .flat_map(|path| ["a", "b", "*"].map(|segment| format!("{path}/{segment}")))
                .collect();
            for path in &paths {
                for host in ["x.example", "*.example", "*.elpmaxe"] {
                    texts.push(format!("{host}{path}"));
                    texts.push(format!("{host}{path}/**"));
                }
            }
        }
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_overlap_of_one_rank_is_among_the_neighbours() {
        let scopes = scopes();
        let mut pairs: Vec<Pair<'_>> = scopes
            .iter()
            .enumerate()
            .map(|(rule, scope)| Pair {
                rule,
                at: Position { line: 1, column: 1 },
                scope,
                tag: None,
                rank: (scope.rank(), None),
                wild_bytes: 0,
            })
            .collect();
        pairs.sort_by_key(|pair| pair.rank);
        let sorted: Vec<&Pair<'_>> = pairs.iter().collect();
        let mut compared = 0;
        for equal in sorted.chunk_by(|a, b| a.rank == b.rank) {
            let neighbours = Neighbours::of(equal);
            let mut found = HashSet::new();
            for (at, pair) in equal.iter().enumerate() {
                for other in
                    neighbours.after(at, pair).filter(|other| pair.scope.overlaps(other.scope))
                {
                    let both = (pair.rule.min(other.rule), pair.rule.max(other.rule));
                    assert!(found.insert(both), "`{}` and `{}` twice", pair.scope, other.scope);
                }
            }
            for (at, pair) in equal.iter().enumerate() {
                for other in equal.iter().skip(at + 1) {
                    let both = (pair.rule.min(other.rule), pair.rule.max(other.rule));
                    assert_eq!(
                        found.contains(&both),
                        pair.scope.overlaps(other.scope),
                        "`{}` and `{}`",
                        pair.scope,
                        other.scope
                    );
                    compared += 1;
                }
            }
        }
        assert!(compared > 1_000, "{compared}");
    }
}
