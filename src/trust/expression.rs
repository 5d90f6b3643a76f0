//! Expressions for names: what is expected of a text, and which texts fit.
//!
//! An expression is compiled when it is read, to be refused there, and again when a name is held
//! against it: a policy with thousands of them is text. What all of a policy's may be compiled to
//! is bounded, and so is the name. The engine is linear.
//!
//! There are two meanings. A policy's own expressions fit the whole name. In cosign's spellings
//! they fit as cosign's do, anywhere, provided that some match begins and ends on a border of the
//! name, so that `https://github.com/acme` is not `https://github.com/acme-evil`:
//!
//! - URI: it begins at the start of the name or at the host, and ends at the end of the host or of
//!   a segment of the path, or anywhere behind the `@` of a workflow's ref;
//! - e-mail address: it begins at the start, at the `@` or at the domain, and ends at the end;
//! - anything else: the whole name.

use super::atoms::{Atom, Atoms, open_name};
use super::certificate::SubjectName;
use crate::class::{Class, Failure};
use crate::limits;
use regex_lite::{Regex, RegexBuilder};
use std::fmt;

/// What a text must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextMatcher {
    /// Exactly this.
    Exact(String),
    /// This and more behind it.
    Prefix(String),
    /// A pattern, over the whole text.
    Pattern(Pattern),
    /// An expression, over the whole text.
    Whole(Expression),
    /// An expression as cosign means it, from border to border.
    Bordered(Expression),
}

/// A name, and what kind of name it is: where its borders are.
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    /// An e-mail address.
    Email(&'a str),
    /// A URI: a workload's, or an issuer's.
    Uri(&'a str),
    /// Any other.
    Other(&'a str),
}

impl<'a> Name<'a> {
    /// Returns the text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Email(text) | Self::Uri(text) | Self::Other(text) => text,
        }
    }
}

impl<'a> From<&'a SubjectName> for Name<'a> {
    fn from(name: &'a SubjectName) -> Self {
        match name {
            SubjectName::Email(text) => Self::Email(text),
            SubjectName::Uri(text) => Self::Uri(text),
            SubjectName::Username(text) => Self::Other(text),
        }
    }
}

/// How much all expressions of one policy, or of one command line, may still be compiled to.
#[derive(Debug)]
pub struct Allowance(usize);

impl Default for Allowance {
    fn default() -> Self {
        Self(limits::EXPRESSIONS_SIZE)
    }
}

impl Allowance {
    /// Compiles an expression that has to fit a whole text, to see whether it can be, and takes
    /// what that costs. The engine does not say how large the result is, only that it was not
    /// larger: it is rounded up to a power of two.
    ///
    /// # Errors
    /// `limit`: nothing is left. `policy`: it is too long, too large, or not an expression.
    fn take(&mut self, expression: &str, written: &str) -> Result<(), Failure> {
        let error =
            |why: String| Failure::new(Class::Policy, format!("the expression `{written}` {why}"));
        if written.len() > limits::EXPRESSION_BYTES {
            return Err(error(format!(
                "has {} bytes; at most {} are read",
                written.len(),
                limits::EXPRESSION_BYTES
            )));
        }
        let used_up = || {
            let (what, limit) =
                ("all expressions together are compiled to", limits::EXPRESSIONS_SIZE);
            Failure::new(Class::Limit, format!("{what} more than {limit} bytes"))
        };
        if self.0 == 0 {
            return Err(used_up());
        }
        // By itself first: `a)|(b` must not become something else inside of a group.
        let unusable = |problem| error(format!("cannot be used: {problem}"));
        let alone = build(expression, limits::EXPRESSION_SIZE).map_err(unusable)?;
        let (groups, most) = (alone.captures_len().saturating_sub(1), limits::EXPRESSION_GROUPS);
        if groups > most {
            return Err(error(format!("has {groups} groups; at most {most} are read")));
        }
        let mut size = SMALLEST;
        while let Err(problem) = build(&whole(expression), size) {
            if size >= limits::EXPRESSION_SIZE {
                return Err(unusable(problem));
            }
            size *= 2;
        }
        self.0 = self.0.saturating_sub(size);
        if self.0 == 0 { Err(used_up()) } else { Ok(()) }
    }
}

/// The least that an expression counts for, in bytes.
const SMALLEST: usize = 1 << 10;

/// An expression, which compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(String);

/// A pattern: `*` is any text without `/`, `**` any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    written: String,
    expression: String,
}

impl TextMatcher {
    /// Takes a prefix, which must end where a part of a name ends.
    ///
    /// # Errors
    /// `policy`: it ends in the middle, so that `https://github.com/acme` would let
    /// `https://github.com/acme-evil` in, or at the `@` of an address, so that `alice@` would let
    /// `alice@evil.example` in.
    pub fn prefix(text: &str, _: &mut Allowance) -> Result<Self, Failure> {
        if text.len() > 1 && (text.ends_with('/') || text.ends_with('@') && text.contains("://")) {
            return Ok(Self::Prefix(text.to_owned()));
        }
        Err(Failure::new(
            Class::Policy,
            format!(
                "the prefix `{text}` ends in the middle of a name; expected `/` at its end, or the `@` of a URI"
            ),
        ))
    }

    /// Takes a pattern: `*` is any text without `/`, `**` any text.
    ///
    /// # Errors
    /// `policy`: it is too long, or nothing but stars. `limit`: as [`Self::regexp`].
    pub fn glob(text: &str, allowance: &mut Allowance) -> Result<Self, Failure> {
        if text.chars().all(|c| c == '*') {
            return Err(Failure::new(
                Class::Policy,
                format!("the pattern `{text}` fits everybody"),
            ));
        }
        let mut expression = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (piece, length) = match c {
                '*' if rest.starts_with("**") => (".*".to_owned(), 2),
                '*' => ("[^/]*".to_owned(), 1),
                c => (regex_lite::escape(c.encode_utf8(&mut [0; 4])), c.len_utf8()),
            };
            expression.push_str(&piece);
            rest = rest.get(length..).unwrap_or_default();
        }
        allowance.take(&expression, text)?;
        Ok(Self::Pattern(Pattern { written: text.to_owned(), expression }))
    }

    /// Takes an expression, which must fit the whole text.
    ///
    /// # Errors
    /// `policy`: it is not an expression, or too long or too large. `limit`: with those before it,
    /// it is more than a policy may have.
    pub fn regexp(text: &str, allowance: &mut Allowance) -> Result<Self, Failure> {
        allowance.take(text, text).map(|()| Self::Whole(Expression(text.to_owned())))
    }

    /// Takes an expression in one of cosign's spellings, which must fit from border to border.
    ///
    /// # Errors
    /// As [`Self::regexp`].
    pub fn cosign(text: &str, allowance: &mut Allowance) -> Result<Self, Failure> {
        allowance.take(text, text).map(|()| Self::Bordered(Expression(text.to_owned())))
    }

    /// Whether it fits.
    #[must_use]
    pub fn fits(&self, name: Name<'_>) -> bool {
        let text = name.as_str();
        match self {
            Self::Exact(expected) => text == expected,
            Self::Prefix(prefix) => text.len() > prefix.len() && text.starts_with(prefix.as_str()),
            Self::Pattern(Pattern { expression, .. }) | Self::Whole(Expression(expression)) => {
                matches(&whole(expression), text)
            }
            Self::Bordered(Expression(expression)) => {
                Borders::of(name).is_some_and(|borders| matches(&borders.around(expression), text))
            }
        }
    }

    /// Returns what every text that fits starts with, as far as that is easily seen.
    #[must_use]
    pub fn literal_start(&self) -> String {
        let written = match self {
            Self::Exact(text) | Self::Prefix(text) => return text.clone(),
            Self::Pattern(pattern) => &pattern.expression,
            Self::Whole(expression) | Self::Bordered(expression) => &expression.0,
        };
        let mut start = String::new();
        for atom in Atoms(written) {
            match atom {
                Atom::Literal { character, quantifier: "" } => start.push(character),
                // Mostly a dot is meant where an expression has one.
                Atom::Class { class: ".", quantifier: "" } => start.push('.'),
                Atom::Look => {}
                _ => break,
            }
        }
        start
    }

    /// Returns what is to be said where a wildcard follows literal text inside a part of a name:
    /// more names fit than it looks like.
    #[must_use]
    pub fn open_end(&self) -> Option<String> {
        let (written, expression) = match self {
            Self::Exact(_) | Self::Prefix(_) => return None,
            Self::Pattern(pattern) => (&pattern.written, &pattern.expression),
            Self::Whole(expression) | Self::Bordered(expression) => (&expression.0, &expression.0),
        };
        let name = open_name(expression, |class| {
            ["e", "E"].iter().any(|letter| matches(&whole(class), letter))
        })?;
        let other = if name.ends_with('@') { "evil.example" } else { "-evil" };
        Some(format!(
            "`{written}` has a wildcard inside a name: `{name}{other}` or the like fits too"
        ))
    }

    /// Returns why a name does not fit that cosign would take: only the borders are against it.
    #[must_use]
    pub fn near_miss(&self, name: Name<'_>) -> Option<NameNearMiss> {
        let Self::Bordered(Expression(expression)) = self else { return None };
        if self.fits(name) {
            return None;
        }
        let text = name.as_str();
        let found = compiled(expression, text)?.find(text)?;
        let rule = match name {
            Name::Uri(_) => {
                "a match begins at the start or at the host, and ends where a part of the path ends"
            }
            Name::Email(_) => {
                "a match begins at the start, at the `@` or at the domain, and ends at the end"
            }
            Name::Other(_) => "a match is the whole name",
        };
        let why = format!("`{expression}` matches inside of that name, and here {rule}");
        let before = Borders::of(name)
            .and_then(|borders| compiled(&borders.behind(expression), text))
            .and_then(|regex| regex.find(text))
            .and_then(|found| text.get(..found.start()));
        let instead = match before {
            Some(before) => {
                let group = |text: &str| {
                    if text.contains('|') { format!("(?:{text})") } else { text.to_owned() }
                };
                format!(
                    "if that is who you mean, write what precedes it too: `^{}{}`",
                    regex_lite::escape(before),
                    group(expression)
                )
            }
            None => {
                let part = part_at(text, found.end());
                format!("if `{part}` is meant, write that to its end")
            }
        };
        Some(NameNearMiss { why, instead })
    }
}

/// A name that only the borders keep out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameNearMiss {
    /// What is wrong.
    pub why: String,
    /// What to write, where that name is meant.
    pub instead: String,
}

/// Returns the part of a name that a match ends inside of.
fn part_at(text: &str, end: usize) -> &str {
    let (before, after) = text.split_at_checked(end).unwrap_or((text, ""));
    let start = before.rfind(['/', '@']).map_or(0, |at| at + 1);
    let length = after.find(['/', '@']).unwrap_or(after.len());
    text.get(start..end + length).unwrap_or(text)
}

impl fmt::Display for TextMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "`{text}`"),
            Self::Prefix(text) => write!(f, "`{text}...`"),
            Self::Pattern(pattern) => write!(f, "what fits `{}` (pattern)", pattern.written),
            Self::Whole(expression) => write!(f, "what fits `{}`", expression.0),
            Self::Bordered(expression) => write!(f, "what `{}` matches", expression.0),
        }
    }
}

/// Where in a name a match may begin and end, in characters.
struct Borders {
    starts: Vec<usize>,
    /// How much may be left behind a match, ascending: at least these, and no others.
    rests: Vec<usize>,
    /// How much may be left at most where any end will do: of the ref of a workflow.
    free: usize,
}

impl Borders {
    /// Returns the borders of a name. None where it has more than any real name: nothing fits it.
    fn of(name: Name<'_>) -> Option<Self> {
        let text = name.as_str();
        let count = |text: Option<&str>| text.map_or(0, |text| text.chars().count());
        let (starts, ends, free) = match name {
            Name::Email(address) => {
                let at = address.rfind('@')?;
                (vec![0, at, at + 1], vec![text.len()], text.len())
            }
            Name::Uri(uri) => match Uri::read(uri) {
                Some(uri) => (vec![0, uri.host], uri.ends, uri.free),
                None => (vec![0], vec![text.len()], text.len()),
            },
            Name::Other(_) => (vec![0], vec![text.len()], text.len()),
        };
        let mut rests: Vec<usize> =
            ends.into_iter().filter(|end| *end < free).map(|end| count(text.get(end..))).collect();
        rests.sort_unstable();
        rests.dedup();
        let starts = starts.into_iter().map(|start| count(text.get(..start))).collect();
        (rests.len() <= limits::NAME_BORDERS).then(|| Self {
            starts,
            rests,
            free: count(text.get(free..)),
        })
    }

    /// Returns an expression that fits where this one does from border to border: for a start `s`
    /// and an end that leaves `rest`, `\A.{s}(?:EXPR).{rest}\z`. So `^`, `$` and `\b` see the
    /// whole name.
    fn around(&self, expression: &str) -> String {
        let starts: Vec<String> =
            self.starts.iter().map(|start| format!("(?s:.{{{start}}})")).collect();
        format!(r"\A(?:{})(?:{expression}){}\z", starts.join("|"), self.tail())
    }

    /// The same, begun anywhere.
    fn behind(&self, expression: &str) -> String {
        format!(r"(?:{expression}){}\z", self.tail())
    }

    /// Returns an expression for what may be left: up to `free`, or one of `rests`. Each is written
    /// as what it is longer than the one before, so that all are as long as the longest.
    fn tail(&self) -> String {
        let mut tail = format!("(?:(?s:.{{0,{}}})", self.free);
        let mut before = 0;
        for rest in &self.rests {
            let more = rest - before;
            let link = if before == 0 { "|" } else { "(?:" };
            tail.push_str(&format!("{link}(?s:.{{{more}}})"));
            before = *rest;
        }
        if let Some(nested) = self.rests.len().checked_sub(1) {
            tail.push_str(&")?".repeat(nested));
        }
        tail.push(')');
        tail
    }
}

/// Where the parts of a URI are, in bytes.
struct Uri {
    host: usize,
    /// Where a match may end.
    ends: Vec<usize>,
    /// From here on a match may end anywhere.
    free: usize,
}

impl Uri {
    /// Reads a URI that names a host; of any other only the whole fits.
    fn read(uri: &str) -> Option<Self> {
        let start = uri.find("://")? + 3;
        let length = |text: &str, marks: &[char]| text.find(marks).unwrap_or(text.len());
        let authority_end = start + length(uri.get(start..)?, &['/', '?', '#']);
        let authority = uri.get(start..authority_end)?;
        let host = start + authority.rfind('@').map_or(0, |at| at + 1);
        // What is behind a `?` is not a path, and may say whom the rest is about.
        let path_end = authority_end + length(uri.get(authority_end..)?, &['?', '#']);
        let path = uri.get(authority_end..path_end)?;
        let reference = last_ref(uri.get(..path_end)?);
        // A slash ends one part, and what is behind it begins another. The host ends where the
        // path begins, and the last part of the path in front of the ref.
        let slashes = path.match_indices('/').map(|(at, _)| authority_end + at);
        let ends = slashes.flat_map(|at| [at, at + 1]).chain(reference).chain([uri.len()]);
        let free = reference.map_or(uri.len(), |at| at + 1);
        (host < authority_end).then(|| Self { host, ends: ends.collect(), free })
    }
}

/// Returns where the `@` of a workflow's ref or commit is. A path may have such an `@` as well: it
/// is the last one, from which on nothing else can follow.
fn last_ref(uri: &str) -> Option<usize> {
    let commit = |text: &str| {
        matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let at = uri.rfind("@refs/");
    at.or_else(|| uri.rfind('@').filter(|at| uri.get(at + 1..).is_some_and(commit)))
}

fn whole(expression: &str) -> String {
    format!(r"\A(?:{expression})\z")
}

/// Whether an expression that was made of one that compiles matches. What cannot be compiled, for
/// the name makes it too large, does not.
fn matches(expression: &str, text: &str) -> bool {
    compiled(expression, text).is_some_and(|regex| regex.is_match(text))
}

/// Compiles what was made of an expression for this text.
fn compiled(expression: &str, text: &str) -> Option<Regex> {
    if text.len() > limits::NAME_BYTES {
        return None;
    }
    // Every character of the name can cost a few states of some 40 bytes.
    build(expression, limits::EXPRESSION_SIZE + 1024 + text.len() * 256).ok()
}

fn build(expression: &str, size: usize) -> Result<Regex, regex_lite::Error> {
    // Borders are nested: each part of a name is a group in the next.
    let nesting = u32::try_from(limits::NAME_BORDERS * 4 + 50).unwrap_or(u32::MAX);
    RegexBuilder::new(expression).size_limit(size).nest_limit(nesting).build()
}
