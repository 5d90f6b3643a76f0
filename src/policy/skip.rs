//! `skip_patterns`: regular expressions over whole names, here only so that `COSIGN_SKIP` can be
//! expressed.
//!
//! What luet-cosign did and this does not: match anywhere in the name, skip everything on an empty
//! word, ignore a pattern that cannot be read. A pattern is an expression like those for
//! identities, with the same limits.

use super::diagnostic::{Position, Problems, TOO_LARGE};
use super::fields;
use super::yaml::{Node, Value};
use crate::class::Class;
use crate::limits;
use crate::name::Reference;
use crate::trust::{Allowance, Name, TextMatcher};

/// Names that only a pattern matches that matches nearly everything.
const HOSTILE: &[&str] = &["registry.evil.example/acme/packages:latest", "evil.example:8443/x:1"];

/// One pattern.
#[derive(Clone, Debug)]
pub(super) struct SkipPattern {
    pub(super) text: String,
    pub(super) at: Position,
    expected: TextMatcher,
}

impl SkipPattern {
    /// Returns whether the pattern matches the whole of the name, in one of its two spellings.
    ///
    /// Both are made from the canonical name, so two ways to write one image never get different
    /// answers.
    pub(super) fn matches(&self, reference: &Reference) -> bool {
        let canonical = reference.to_string();
        let familiar = canonical
            .strip_prefix("docker.io/")
            .map(|name| name.strip_prefix("library/").unwrap_or(name));
        let fits = |name: &str| self.expected.fits(Name::Other(name));
        fits(&canonical) || familiar.is_some_and(fits)
    }
}

/// Reads `skip_patterns`.
pub(super) fn read(
    node: &Node,
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> Vec<SkipPattern> {
    let nodes = fields::list(node, "`skip_patterns`", problems);
    if nodes.len() > limits::SKIP_PATTERNS {
        problems.error(node.at, TOO_LARGE, format!("more than {} patterns", limits::SKIP_PATTERNS));
        return Vec::new();
    }
    if !nodes.is_empty() {
        problems
            .warning(
                node.at,
                "deprecated",
                "`skip_patterns` is deprecated: what it matches is not even looked at",
            )
            .help("write a rule with `scope`, `trust: skip` and a `reason`");
    }
    nodes.iter().filter_map(|node| read_one(node, allowance, problems)).collect()
}

fn read_one(
    node: &Node,
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> Option<SkipPattern> {
    let text = match &node.value {
        // Not `fields::text`: a pattern may be longer than a name.
        Value::Scalar(text, _) if text.len() > limits::SKIP_PATTERN_BYTES => {
            problems.error(
                node.at,
                TOO_LARGE,
                format!(
                    "a pattern of {} bytes; at most {} are read",
                    text.len(),
                    limits::SKIP_PATTERN_BYTES
                ),
            );
            return None;
        }
        Value::Scalar(text, _) if text.trim().is_empty() => {
            problems.error(node.at, "empty", "an empty pattern");
            return None;
        }
        Value::Scalar(text, _) => text,
        _ => {
            problems.error(node.at, "type", format!("a pattern is {}; expected text", node.kind()));
            return None;
        }
    };
    let expected = match TextMatcher::regexp(text, allowance) {
        Ok(expected) => expected,
        Err(failure) => {
            let code = if failure.class() == Class::Limit { TOO_LARGE } else { "pattern" };
            problems.error(node.at, code, failure.message()).help(failure.the_hint());
            return None;
        }
    };
    if HOSTILE.iter().any(|name| expected.fits(Name::Other(name))) {
        problems
            .warning(node.at, "wide", format!("`{text}` matches images of any registry"))
            .help("start it with the registry's name");
    }
    Some(SkipPattern { text: text.to_owned(), at: node.at, expected })
}
