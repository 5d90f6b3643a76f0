//! `skip_patterns`: regular expressions over whole names, here only so that `COSIGN_SKIP` can be
//! expressed.
//!
//! What luet-cosign did and this does not: match anywhere in the name, skip everything on an empty
//! word, ignore a pattern that cannot be read. The engine is linear, and a pattern is capped before
//! and after it is compiled.

use super::diagnostic::{Position, Problems};
use super::fields;
use super::tree::{Node, Value};
use crate::limits;
use crate::name::Reference;
use regex_lite::{Regex, RegexBuilder};

/// Names that only a pattern matches that matches nearly everything.
const HOSTILE: &[&str] = &["registry.evil.example/acme/packages:latest", "evil.example:8443/x:1"];

/// One pattern.
#[derive(Clone, Debug)]
pub(super) struct SkipPattern {
    pub(super) text: String,
    pub(super) at: Position,
    regex: Regex,
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
        self.regex.is_match(&canonical) || familiar.is_some_and(|name| self.regex.is_match(name))
    }
}

/// Reads `skip_patterns`.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<SkipPattern> {
    let nodes = fields::list(node, "`skip_patterns`", problems);
    if nodes.len() > limits::SKIP_PATTERNS {
        problems.error(
            node.at,
            "too-large",
            format!("more than {} patterns", limits::SKIP_PATTERNS),
        );
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
    nodes.iter().filter_map(|node| read_one(node, problems)).collect()
}

fn read_one(node: &Node, problems: &mut Problems) -> Option<SkipPattern> {
    let text = match &node.value {
        // Not `fields::text`: a pattern may be longer than a name.
        Value::Scalar(text, _) if text.len() > limits::SKIP_PATTERN_BYTES => {
            problems.error(
                node.at,
                "too-large",
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
    let regex = match compile(text) {
        Ok(regex) => regex,
        Err(error) => {
            let why = error
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            problems.error(node.at, "pattern", format!("`{text}` is no pattern: {why}"));
            return None;
        }
    };
    if HOSTILE.iter().any(|name| regex.is_match(name)) {
        problems
            .warning(node.at, "wide", format!("`{text}` matches images of any registry"))
            .help("start it with the registry's name");
    }
    Some(SkipPattern { text: text.to_owned(), at: node.at, regex })
}

/// Compiles a pattern so that it matches whole names only.
fn compile(text: &str) -> Result<Regex, regex_lite::Error> {
    let build = |text: &str| {
        RegexBuilder::new(text).size_limit(limits::SKIP_COMPILED_BYTES).nest_limit(32).build()
    };
    // By itself first: `a)|(.*` would close the group below and escape the anchors.
    build(text)?;
    build(&format!(r"\A(?:{text})\z"))
}
