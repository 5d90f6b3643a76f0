//! A policy as it is written: scalars, lists and mappings, each with its position. Nothing is
//! interpreted here.
//!
//! It is built from the events of serde-saphyr's parser and not through serde, because serde stops
//! at the first problem and guesses types: here `no`, `1e3` and `2027-01-01` are the characters
//! that are there. What makes documents ambiguous or large is refused: anchors, aliases, merge
//! keys, tags, directives, a byte order mark, a second document, duplicate keys.

use super::diagnostic::{Position, Problems, TOO_LARGE};
use crate::limits;
use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, options};
use std::borrow::Cow;

/// One value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// Text, and whether it is there without quotes.
    Scalar(String, bool),
    Sequence(Vec<Node>),
    Mapping(Vec<YamlEntry>),
    /// Something that was refused and reported already.
    Broken,
}

/// One entry of a mapping.
#[derive(Debug)]
pub(super) struct YamlEntry {
    pub(super) at: Position,
    pub(super) key: String,
    pub(super) value: Node,
}

impl Node {
    /// Returns what kind of value this is, for messages.
    pub(super) fn kind(&self) -> Cow<'static, str> {
        match &self.value {
            Value::Scalar(text, true) if matches!(text.as_str(), "" | "~" | "null") => {
                Cow::Borrowed("nothing")
            }
            Value::Scalar(text, _) => Cow::Owned(format!("`{text}`")),
            Value::Sequence(_) => Cow::Borrowed("a list"),
            Value::Mapping(_) => Cow::Borrowed("a mapping"),
            Value::Broken => Cow::Borrowed("something unreadable"),
        }
    }
}

/// Reads one document. `None` where it cannot be read to its end; the reason is among the problems
/// then.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    check_characters(text, problems)?;
    let options = options! { disallow_directives: true, emit_comments: false };
    let mut reader =
        Reader { parser: Parser::new_from_str_with_options(text, options), nodes: 0, problems };
    let node = reader.document();
    node.ok().flatten()
}

/// Refuses what an editor does not show, before a parser sees it.
fn check_characters(text: &str, problems: &mut Problems) -> Option<()> {
    let start = Position { line: 1, column: 1 };
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > limits::POLICY_BYTES {
        problems.error(
            start,
            TOO_LARGE,
            format!("{} bytes; at most {} are read", text.len(), limits::POLICY_BYTES),
        );
        return None;
    }
    let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    for (line, content) in text.split('\n').enumerate() {
        let content = content.strip_suffix('\r').unwrap_or(content);
        if let Some((column, c)) = content
            .chars()
            .enumerate()
            .find(|(_, c)| !allowed(*c) || matches!(c, '\r' | '\u{feff}'))
        {
            let at = Position { line: line + 1, column: column + 1 };
            problems
                .error(at, "character", format!("the character {}", c.escape_unicode()))
                .help("save the file as plain UTF-8");
            return None;
        }
    }
    Some(())
}

/// A problem after which nothing can be read; it is among the problems.
struct Stop;

struct Reader<'a, P> {
    parser: P,
    nodes: usize,
    problems: &'a mut Problems,
}

impl<'input, P> Reader<'_, P>
where
    P: Iterator<Item = Result<(Event<'input>, Span), ScanError>>,
{
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    self.problems.error(
                        at,
                        "second-document",
                        "a second document; a policy is one",
                    );
                    return Err(Stop);
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node(event, at, 1)?),
            }
        }
        if root.is_none() {
            let at = Position { line: 1, column: 1 };
            self.problems
                .error(at, "empty", "the policy is empty")
                .help("a policy starts with `version: 1`; see docs/policy.md");
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<(Event<'input>, Position), Stop> {
        match self.parser.next() {
            Some(Ok((event, span))) => {
                Ok((event, Position { line: span.start.line(), column: span.start.col() + 1 }))
            }
            Some(Err(error)) => {
                let at = Position { line: error.marker().line(), column: error.marker().col() + 1 };
                let info = error.info();
                let problem = self.problems.error(at, "syntax", &info);
                if info.contains("anchor") {
                    problem.help("quote a value that starts with `*` or `&`: `'*.example.org/**'`");
                }
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Position { line: 1, column: 1 })),
        }
    }

    fn node(&mut self, event: Event<'input>, at: Position, depth: usize) -> Result<Node, Stop> {
        self.nodes += 1;
        if self.nodes > limits::POLICY_NODES {
            self.problems.error(
                at,
                TOO_LARGE,
                format!("more than {} values", limits::POLICY_NODES),
            );
            return Err(Stop);
        }
        if depth > limits::DEPTH {
            self.problems.error(at, "too-deep", format!("nested deeper than {}", limits::DEPTH));
            return Err(Stop);
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if self.is_plain_yaml(at, anchor, tag.is_some()) {
                    Value::Scalar(text.into_owned(), plain)
                } else {
                    Value::Broken
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.is_plain_yaml(at, anchor, tag.is_some());
                self.sequence(depth)?
            }
            Event::MappingStart(_, anchor, tag) => {
                self.is_plain_yaml(at, anchor, tag.is_some());
                self.mapping(depth)?
            }
            Event::Alias(_) => {
                self.problems.error(at, "alias", "an alias; write the value out");
                Value::Broken
            }
            _ => {
                self.problems.error(at, "syntax", "a value is missing");
                return Err(Stop);
            }
        };
        Ok(Node { at, value })
    }

    fn is_plain_yaml(&mut self, at: Position, anchor: usize, tag: bool) -> bool {
        if anchor != 0 {
            self.problems.error(at, "anchor", "an anchor; write values out where they are needed");
        }
        if tag {
            self.problems.error(at, "tag", "a tag; every value here is text, a list or a mapping");
        }
        anchor == 0 && !tag
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Sequence(nodes)),
                (event, at) => nodes.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<YamlEntry> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Mapping(entries)),
                (event, at) => self.node(event, at, depth + 1)?,
            };
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            let Value::Scalar(name, plain) = key.value else {
                if !matches!(key.value, Value::Broken) {
                    self.problems.error(
                        key.at,
                        "type",
                        format!("{} as a key; expected a name", key.kind()),
                    );
                }
                continue;
            };
            if plain && name == "<<" {
                self.problems.error(key.at, "merge-key", "a merge key; write the keys out");
            } else if let Some(first) = seen.insert(name.clone(), key.at) {
                self.problems.error(
                    key.at,
                    "duplicate-key",
                    format!("`{name}` is already set on line {}", first.line),
                );
            } else {
                entries.push(YamlEntry { at: key.at, key: name, value });
            }
        }
    }
}
