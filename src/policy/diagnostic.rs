//! Problems of a policy: each has a stable code, a position and, where there is one, a way out.
//!
//! The codes are the headings of docs/policy.md, "Problems". Positions are written
//! `line 7, column 5`, for the host strips `:word:` from what it prints.

use super::{PolicyOrigin, environment};
use crate::class::{Class, Failure, counted, printable};
use crate::limits;
use std::fmt;

/// The code of a policy that has more of something than it may.
pub(super) const TOO_LARGE: &str = "too-large";

/// What is warned of because something else is missing, which may be what is misspelt.
const CONSEQUENCES: &[&str] = &["no-effect", "refuses-all", "unused-signer", "useless-until"];

/// Where something is in a policy, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The policy cannot be used.
    Error,
    /// The policy can be used, and probably does not mean what its author thinks, or is dangerous.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The stable code, kebab-case.
    pub code: &'static str,
    /// What was found and what was expected.
    pub message: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, in characters, counted from 1.
    pub column: usize,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Returns where the problem stands.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }

    /// Returns the problem in one line, with the name of the policy, or of the variable that is to
    /// blame.
    #[must_use]
    pub fn text(&self, origin: &PolicyOrigin) -> String {
        let place = match (origin, environment::variable_behind(self.code)) {
            (PolicyOrigin::Environment { .. }, Some(variable)) => variable.to_owned(),
            _ => format!("{} {}", origin.name(), self.position()),
        };
        printable(&format!("{place} [{}] {}", self.code, self.message))
    }

    /// Returns the problem as `policy lint --json` prints it.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "severity": self.severity.to_string(),
            "code": self.code,
            "message": printable(&self.message),
            "line": self.line,
            "column": self.column,
            "fix": self.help.as_deref().map(printable),
        })
    }
}

/// Collects problems, up to a number of each kind that a reader can take in: finding more must not
/// cost more.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The kind of the last problem; none where it was one too many.
    last: Option<Severity>,
}

impl Problems {
    /// Notes an error.
    pub(super) fn error(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl fmt::Display,
    ) -> &mut Self {
        self.push(Severity::Error, at, code, &message)
    }

    /// Notes a warning.
    pub(super) fn warning(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl fmt::Display,
    ) -> &mut Self {
        self.push(Severity::Warning, at, code, &message)
    }

    /// Says what to do about the last problem noted.
    pub(super) fn help(&mut self, help: impl fmt::Display) {
        let list = match self.last {
            Some(Severity::Error) => &mut self.errors,
            Some(Severity::Warning) => &mut self.warnings,
            None => return,
        };
        if let Some(last) = list.last_mut() {
            last.help = Some(help.to_string());
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        at: Position,
        code: &'static str,
        message: &dyn fmt::Display,
    ) -> &mut Self {
        let list = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        self.last = (list.len() < limits::POLICY_PROBLEMS).then_some(severity);
        if self.last.is_some() {
            list.push(Diagnostic {
                severity,
                code,
                message: message.to_string(),
                line: at.line,
                column: at.column,
                help: None,
            });
        }
        self
    }

    /// Returns whether an error was noted.
    pub(super) fn fatal(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Returns whether no more errors are taken.
    pub(super) fn full(&self) -> bool {
        self.errors.len() >= limits::POLICY_PROBLEMS
    }

    /// Takes over warnings of an earlier stage.
    pub(super) fn extend(&mut self, warnings: Vec<Diagnostic>) {
        self.warnings.extend(warnings);
    }

    /// Returns the problems as [`Self::finish`], without warnings that may only follow from one of
    /// the errors.
    pub(super) fn finish_without_consequences(mut self) -> Vec<Diagnostic> {
        self.warnings.retain(|warning| !CONSEQUENCES.contains(&warning.code));
        self.finish()
    }

    /// Returns the problems: errors first, each kind in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.errors.sort_by_key(Diagnostic::position);
        self.warnings.sort_by_key(Diagnostic::position);
        self.errors.append(&mut self.warnings);
        self.errors
    }
}

/// Returns the failure that stops the host: the first error is its message, the others are its
/// details.
///
/// Its class is `policy`, or `limit` where there is too much of something; where the environment is
/// the policy and only its key is bad, it is the class of the key's failure.
#[must_use]
pub fn failure(problems: &[Diagnostic], origin: &PolicyOrigin) -> Failure {
    let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let Some(first) = errors.next() else {
        return Failure::new(Class::Policy, format!("{} cannot be used", origin.name()));
    };
    let of_the_key = first.code == "key" && matches!(origin, PolicyOrigin::Environment { .. });
    let class = match first.code {
        _ if of_the_key => Class::Secret,
        TOO_LARGE => Class::Limit,
        _ => Class::Policy,
    };
    let mut failure = Failure::new(class, first.text(origin));
    if let Some(help) = &first.help {
        failure = failure.hint(help);
    }
    errors.fold(failure, |failure, problem| failure.detail(problem.text(origin)))
}

/// A line of what `policy lint` prints, for those who colour it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LintLine {
    /// How bad a problem is, and the problem.
    Problem(Severity, String),
    /// The line of the policy that it is in.
    Source(String),
    /// The mark under the place.
    Mark(Severity, String),
    /// What to do about it.
    Help(String),
    /// How many there are.
    Count(String),
}

impl fmt::Display for LintLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(severity, text) => write!(f, "{severity}: {text}"),
            Self::Source(text) | Self::Mark(_, text) | Self::Count(text) => f.write_str(text),
            Self::Help(text) => write!(f, "  help: {text}"),
        }
    }
}

/// Returns what `policy lint` prints: every problem with its line of `source` and its help, and a
/// last line that counts. What the variables amount to has no lines that anyone wrote.
#[must_use]
pub fn lint_lines(problems: &[Diagnostic], origin: &PolicyOrigin, source: &str) -> Vec<LintLine> {
    let mut lines = Vec::new();
    for problem in problems {
        lines.push(LintLine::Problem(problem.severity, problem.text(origin)));
        if matches!(origin, PolicyOrigin::File { .. }) {
            lines.extend(excerpt(problem, source));
        }
        lines.extend(problem.help.as_deref().map(printable).map(LintLine::Help));
    }
    let (errors, warnings) = count(problems);
    lines.push(LintLine::Count(format!(
        "{}: {}, {}",
        printable(&origin.name()),
        counted(errors, "error"),
        counted(warnings, "warning")
    )));
    lines
}

/// Returns the line of a problem, and a mark under its place.
fn excerpt(problem: &Diagnostic, source: &str) -> Vec<LintLine> {
    let line = source.lines().nth(problem.line.saturating_sub(1)).unwrap_or_default();
    let before: String = line.chars().take(problem.column.saturating_sub(1)).collect();
    let behind = line.get(before.len()..).unwrap_or_default();
    if line.trim().is_empty() || line.len() > WIDEST {
        return Vec::new();
    }
    let number = problem.line.to_string();
    // As wide as it is shown, for what cannot be seen is shown by its number.
    let width = |text: &str| printable(text).chars().count();
    let (margin, indent) = (" ".repeat(number.len()), " ".repeat(width(&before)));
    let mark = "^".repeat(width(token(behind)).max(1));
    vec![
        LintLine::Source(format!("  {number} | {}", printable(line))),
        LintLine::Mark(problem.severity, format!("  {margin} | {indent}{mark}")),
    ]
}

/// The longest line that is shown, in bytes.
const WIDEST: usize = 200;

/// Returns the key or value that a text begins with.
fn token(text: &str) -> &str {
    let end = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            text.get(1..).and_then(|rest| rest.find(quote)).map(|at| at + 2)
        }
        Some('[' | '{') => Some(1),
        _ => text.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}')),
    };
    let token = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
    token.strip_suffix(':').filter(|key| !key.is_empty()).unwrap_or(token)
}

/// Returns what `policy lint --json` prints.
#[must_use]
pub fn lint_json(problems: &[Diagnostic], origin: &PolicyOrigin) -> serde_json::Value {
    let (errors, warnings) = count(problems);
    serde_json::json!({
        "version": 1,
        "policy": origin.name(),
        "errors": errors,
        "warnings": warnings,
        "problems": problems.iter().map(Diagnostic::json).collect::<Vec<_>>(),
    })
}

fn count(problems: &[Diagnostic]) -> (usize, usize) {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    (errors, problems.len() - errors)
}
