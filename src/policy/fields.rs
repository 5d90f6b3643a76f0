//! Reading mappings whose keys are known, and the list of those keys.

use super::diagnostic::{Position, Problems, TOO_LARGE};
use super::yaml::{Node, Value, YamlEntry};
use crate::limits;
use std::fmt;
use std::str::FromStr;

/// Every key of the schema, as `docs/policy.md` names it. A test holds each to a negative test
/// (docs/threats.md P09).
pub const KEYS: &[&str] = &[
    "version",
    "defaults",
    "defaults.unmatched",
    "defaults.unsigned",
    "defaults.downgrade",
    "signers",
    "signers.NAME.key",
    "signers.NAME.key_env",
    "signers.NAME.keyless",
    "signers.NAME.keyless.issuer",
    "signers.NAME.keyless.issuer_matches",
    "signers.NAME.keyless.issuer_regexp",
    "signers.NAME.keyless.subject",
    "signers.NAME.keyless.subject_prefix",
    "signers.NAME.keyless.subject_pattern",
    "signers.NAME.keyless.subject_matches",
    "signers.NAME.keyless.subject_regexp",
    "signers.NAME.github",
    "signers.NAME.github.repo",
    "signers.NAME.github.workflow",
    "signers.NAME.github.ref",
    "signers.NAME.github.workflow_repo",
    "signers.NAME.github.workflow_ref",
    "signers.NAME.tlog",
    "signers.NAME.trusted_root",
    "repositories",
    "repositories.name",
    "repositories.scope",
    "repositories.tags",
    "repositories.trust",
    "repositories.trust.all_of",
    "repositories.trust.at_least",
    "repositories.trust.of",
    "repositories.unsigned",
    "repositories.reason",
    "repositories.until",
    "repositories.signatures_from",
    "repositories.mirror_of",
    "repositories.bind_tag",
    "repositories.rollback",
    "mirrors",
    "registries",
    "registries.host",
    "registries.http",
    "registries.ca",
    "registries.auth_hosts",
    "registries.credentials",
    "network",
    "network.offline",
    "network.trusted_root",
    "network.mirrors",
    "deadline",
    "post_unpack",
    "skip_patterns",
];

/// Keys that other versions have, and that must never be ignored by this one.
const LATER: &[&str] = &[
    "attestations",
    "audit",
    "blocked",
    "exceptions",
    "fingerprint",
    "frozen",
    "include",
    "key_url",
    "locked",
    "max_age",
    "mode",
    "signed_name",
    "unreachable",
    "unsigned_lock",
    "valid",
];

/// What is said of a key or word of another version.
const NOT_YET: &str = "not in this version; see docs/policy.md for what is";

/// The entries of a mapping, of which each is taken once.
pub(super) struct Fields<'a> {
    pub(super) at: Position,
    entries: &'a [YamlEntry],
    /// Keys that are misspelt, as they are probably meant: what is there is read, so that
    /// nothing is said to be missing. Each is an error already.
    misspelt: Vec<(&'static str, &'a Node)>,
}

impl<'a> Fields<'a> {
    /// Opens a mapping and reports every key that is not one of the schema's under `prefix`.
    pub(super) fn open(
        node: &'a Node,
        prefix: &str,
        what: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let entries = mapping(node, what, problems)?;
        let known: Vec<&'static str> = KEYS
            .iter()
            .filter_map(|key| key.strip_prefix(prefix))
            .filter(|key| !key.contains('.'))
            .collect();
        let mut misspelt = Vec::new();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            if problems.full() {
                break;
            }
            let problem = problems.error(
                entry.at,
                "unknown-key",
                format!("unknown key `{}` in {what}", entry.key),
            );
            if LATER.contains(&entry.key.as_str()) {
                problem.help(NOT_YET);
            } else if let Some(near) = nearest(&entry.key, &known) {
                problem.help(format!("did you mean `{near}`?"));
                misspelt.push((near, &entry.value));
            } else {
                problem.help(format!("expected {}", listed(&known)));
            }
        }
        Some(Self { at: node.at, entries, misspelt })
    }

    /// Returns the value of a key.
    pub(super) fn optional(&self, key: &str) -> Option<&'a Node> {
        let written = self.entries.iter().find(|entry| entry.key == key);
        let meant = || self.misspelt.iter().find(|(near, _)| *near == key);
        written.map(|entry| &entry.value).or_else(|| meant().map(|(_, node)| *node))
    }

    /// Returns the value of a key that must be there.
    pub(super) fn required(
        &self,
        key: &str,
        what: &str,
        problems: &mut Problems,
    ) -> Option<&'a Node> {
        let found = self.optional(key);
        if found.is_none() {
            problems.error(self.at, "missing-key", format!("{what} has no `{key}`"));
        }
        found
    }
}

/// Returns the entries of a mapping.
pub(super) fn mapping<'a>(
    node: &'a Node,
    what: &str,
    problems: &mut Problems,
) -> Option<&'a [YamlEntry]> {
    match &node.value {
        Value::Mapping(entries) => return Some(entries),
        Value::Broken => {}
        _ => {
            problems.error(
                node.at,
                "type",
                format!("{what} is {}; expected a mapping", node.kind()),
            );
        }
    }
    None
}

/// Returns the elements of a list, which must not be empty: "for all" over nothing must not be a
/// yes.
pub(super) fn list<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> &'a [Node] {
    match &node.value {
        Value::Sequence(nodes) if !nodes.is_empty() => return nodes,
        Value::Sequence(_) => {
            problems
                .error(node.at, "empty-list", format!("{what} is an empty list"))
                .help("remove the key, or name what it is about");
        }
        Value::Broken => {}
        _ => {
            problems
                .error(node.at, "type", format!("{what} is {}; expected a list", node.kind()))
                .help("write it as `[a, b]`");
        }
    }
    &[]
}

/// Returns one value, or the elements of a list.
pub(super) fn one_or_many<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> &'a [Node] {
    match &node.value {
        Value::Scalar(..) => std::slice::from_ref(node),
        _ => list(node, what, problems),
    }
}

/// Returns a text that is not empty, of at most [`limits::POLICY_TEXT`] characters and without
/// control characters.
pub(super) fn text<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<&'a str> {
    match &node.value {
        Value::Scalar(text, plain) => {
            if node.kind() == "nothing" || (text.is_empty() && !plain) {
                problems.error(node.at, "empty", format!("{what} is empty"));
            } else if text.chars().count() > limits::POLICY_TEXT {
                problems.error(
                    node.at,
                    TOO_LARGE,
                    format!("{what} has more than {} characters", limits::POLICY_TEXT),
                );
            } else if let Some(c) = text.chars().find(|c| c.is_control()) {
                problems.error(
                    node.at,
                    "character",
                    format!("{what} has the character {}", c.escape_unicode()),
                );
            } else {
                return Some(text);
            }
        }
        Value::Broken => {}
        _ => {
            problems.error(node.at, "type", format!("{what} is {}; expected text", node.kind()));
        }
    }
    None
}

/// Returns a boolean: `true` or `false` as it stands, none of the other spellings that YAML had.
pub(super) fn boolean(node: &Node, what: &str, problems: &mut Problems) -> Option<bool> {
    match &node.value {
        Value::Scalar(text, true) if text == "true" => Some(true),
        Value::Scalar(text, true) if text == "false" => Some(false),
        Value::Broken => None,
        _ => {
            problems.error(
                node.at,
                "value",
                format!("{what} is {}; expected `true` or `false`, unquoted", node.kind()),
            );
            None
        }
    }
}

/// Returns a value of a type that reads itself from text.
pub(super) fn parsed<T>(
    node: &Node,
    what: &str,
    code: &'static str,
    problems: &mut Problems,
) -> Option<T>
where
    T: FromStr<Err = crate::class::Failure>,
{
    match text(node, what, problems)?.parse() {
        Ok(value) => Some(value),
        Err(failure) => {
            problems.error(node.at, code, failure.message());
            None
        }
    }
}

/// Returns which of `words` is there.
pub(super) fn word<T: Copy>(
    node: &Node,
    what: &str,
    words: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let text = text(node, what, problems)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let problem = problems.error(
        node.at,
        "value",
        format!("{what} is `{text}`; expected {}", words_of(words)),
    );
    if LATER.contains(&text) {
        problem.help(NOT_YET);
    }
    None
}

/// Returns the words of a table, in backticks.
pub(super) fn words_of<T>(words: &[(&str, T)]) -> String {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    listed(&known)
}

/// Returns `a`, `b` or `c`, in backticks.
fn listed(words: &[impl fmt::Display]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// Returns the known word that is at most two slips away.
pub(super) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    // The work is the product of the lengths, for each word.
    if found.len() > 32 || known.len() > limits::POLICY_SUGGESTIONS {
        return None;
    }
    let near = |word: &&str| (strsim::osa_distance(found, word), word.len());
    let best = known.iter().copied().filter(|word| word.len() <= 34).min_by_key(near)?;
    (strsim::osa_distance(found, best) <= 2.min(best.len() / 2)).then_some(best)
}
