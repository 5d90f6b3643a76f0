//! The rules under `repositories`, read one by one.

use super::diagnostic::{Position, Problems};
use super::document::{MODES, Mode};
use super::fields::{self, Fields};
use super::tree::{Node, Value};
use crate::class::Failure;
use crate::name::{Repository, Scope, TagGlob};
use jiff::civil::Date;
use std::fmt;
use std::str::FromStr;

/// The scope that is no scope: images that the host unpacks from its own disk.
pub(super) const LOCAL_FILES: &str = "file://**";

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Images that the host unpacks from its own disk (`file://`, `--local`), which no registry answers for.
    LocalFiles,
    /// Repositories.
    Scope(Scope),
}

impl FromStr for Target {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        if text == LOCAL_FILES { Ok(Self::LocalFiles) } else { text.parse().map(Self::Scope) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalFiles => f.write_str(LOCAL_FILES),
            Self::Scope(scope) => scope.fmt(f),
        }
    }
}

/// Whom a rule names as signers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustNames {
    /// One of these.
    AnyOf(Vec<String>),
    /// `trust` is not there: no signer counts.
    Nobody,
    /// `trust: skip`: signatures are not even looked for.
    Skip,
}

/// One rule, as it stands in the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: String,
    /// Where it starts.
    pub at: Position,
    /// What it is about, each with where it stands.
    pub targets: Vec<(Target, Position)>,
    /// The tags it is about; empty for all.
    pub tags: Vec<TagGlob>,
    /// Whom it trusts.
    pub trust: TrustNames,
    /// Where `trust` stands.
    pub trust_at: Option<Position>,
    /// What it does with an image without a signature; `None` leaves it to `defaults`.
    pub unsigned: Option<Mode>,
    /// Where `unsigned` stands.
    pub unsigned_at: Option<Position>,
    /// Why it is as it is.
    pub reason: Option<String>,
    /// The last day, in UTC, on which it may be laxer than deny.
    pub until: Option<Date>,
    /// Where `until` stands.
    pub until_at: Option<Position>,
    /// Where signatures lie; empty for the image's own repository.
    pub signatures_from: Vec<Repository>,
    /// Where `signatures_from` stands.
    pub signatures_from_at: Option<Position>,
}

impl Rule {
    /// Returns whether the rule lets an image pass that nobody vouches for, given what `defaults.unsigned` says.
    #[must_use]
    pub fn is_lax(&self, default: Mode) -> bool {
        self.trust == TrustNames::Skip || self.unsigned.unwrap_or(default) != Mode::Deny
    }

    /// Returns whether the day named by `until` is over.
    #[must_use]
    pub fn has_ended(&self, today: Date) -> bool {
        self.until.is_some_and(|until| today > until)
    }
}

/// Reads `repositories`.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<Rule> {
    fields::list(node, "`repositories`", problems).iter().filter_map(|node| read_one(node, problems)).collect()
}

fn read_one(node: &Node, problems: &mut Problems) -> Option<Rule> {
    let fields = Fields::open(node, "repositories.", "a rule", problems)?;
    let name = fields.required("name", "a rule", problems).and_then(|node| fields::text(node, "`name`", problems));
    let scope = fields.required("scope", "a rule", problems);
    let scopes = scope.map(|node| fields::one_or_many(node, "`scope`", problems)).unwrap_or_default();
    let targets = scopes.iter().filter_map(|node| Some((fields::parsed(node, "a scope", "scope", problems)?, node.at))).collect();
    let tags = fields.optional("tags").map(|node| fields::list(node, "`tags`", problems)).unwrap_or_default();
    let tags = tags.iter().filter_map(|node| fields::parsed(node, "a tag pattern", "tag", problems)).collect();
    let trust = fields.optional("trust");
    let unsigned = fields.optional("unsigned");
    let until = fields.optional("until");
    let signatures_from = fields.optional("signatures_from");
    let repositories = signatures_from.map(|node| fields::list(node, "`signatures_from`", problems)).unwrap_or_default();
    let mut distinct = Vec::new();
    for repository in repositories.iter().filter_map(|node| fields::parsed(node, "a repository", "repository", problems)) {
        // Named twice, it is still asked once.
        if !distinct.contains(&repository) {
            distinct.push(repository);
        }
    }
    Some(Rule {
        trust: trust.map_or(TrustNames::Nobody, |node| read_trust(node, problems)),
        trust_at: trust.map(|node| node.at),
        unsigned: unsigned.and_then(|node| fields::word(node, "`unsigned`", MODES, problems)),
        unsigned_at: unsigned.map(|node| node.at),
        reason: fields.optional("reason").and_then(|node| fields::text(node, "`reason`", problems)).map(ToOwned::to_owned),
        until: until.and_then(|node| read_date(node, problems)),
        until_at: until.map(|node| node.at),
        name: name?.to_owned(),
        at: fields.at,
        targets,
        tags,
        signatures_from: distinct,
        signatures_from_at: signatures_from.map(|node| node.at),
    })
}

fn read_trust(node: &Node, problems: &mut Problems) -> TrustNames {
    match &node.value {
        Value::Scalar(text, _) if text == "skip" => TrustNames::Skip,
        Value::Scalar(text, _) if node.kind() != "nothing" => {
            problems
                .error(node.at, "value", format!("`trust` is `{text}`; expected a list of signers, or `skip`"))
                .help(format!("write `[{text}]`"));
            TrustNames::Nobody
        }
        Value::Mapping(_) => {
            problems
                .error(node.at, "value", "`trust` is a mapping; expected a list of signers, or `skip`")
                .help("`all_of` and `at_least` are not in this version");
            TrustNames::Nobody
        }
        _ => {
            let nodes = fields::list(node, "`trust`", problems);
            TrustNames::AnyOf(nodes.iter().filter_map(|node| fields::text(node, "a signer", problems)).map(ToOwned::to_owned).collect())
        }
    }
}

/// Reads a date of the one form `2027-03-31`.
fn read_date(node: &Node, problems: &mut Problems) -> Option<Date> {
    let text = fields::text(node, "`until`", problems)?;
    let shape = |(at, c): (usize, u8)| if matches!(at, 4 | 7) { c == b'-' } else { c.is_ascii_digit() };
    let date = text.parse().ok().filter(|_| text.len() == 10 && text.bytes().enumerate().all(shape));
    if date.is_none() {
        problems.error(node.at, "date", format!("`until` is `{text}`; expected a day such as `2027-03-31`"));
    }
    date
}
