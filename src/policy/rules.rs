//! The rules under `repositories`, read one by one.

use super::binding::Prefix;
use super::diagnostic::{Position, Problems};
use super::fields::{self, Fields};
use super::settings::{BindTag, Mode, Rollback};
use super::yaml::{Node, Value};
use crate::class::Failure;
use crate::name::{Repository, Scope, TagGlob};
use jiff::civil::Date;
use std::fmt;
use std::str::FromStr;

/// The scope that is not a scope: images that the host unpacks from its own disk.
pub(super) const LOCAL_FILES: &str = "file://**";

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    /// Images that the host unpacks from its own disk (`file://`, `--local`), which no registry
    /// answers for.
    LocalFiles,
    /// Repositories.
    Scope(Scope),
}

impl FromStr for RuleTarget {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        if text == LOCAL_FILES { Ok(Self::LocalFiles) } else { text.parse().map(Self::Scope) }
    }
}

impl fmt::Display for RuleTarget {
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
    /// `trust` is not there: no signer counts.
    Nobody,
    /// So many of these, each by a key of its own.
    Signers {
        /// How many: one of a list, every one of `all_of`.
        needed: usize,
        /// Whose, as they are there: a name may be there twice.
        names: Vec<String>,
    },
    /// `trust: skip`: signatures are not even looked for.
    Skip,
}

impl TrustNames {
    /// Returns the names of the signers, as they are there.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Signers { names, .. } => names,
            Self::Nobody | Self::Skip => &[],
        }
    }
}

/// One rule, as it is in the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: String,
    /// Where it starts.
    pub at: Position,
    /// What it is about, each with where it stands.
    pub targets: Vec<(RuleTarget, Position)>,
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
    /// The last day, in UTC, on which it may be less strict than deny.
    pub until: Option<Date>,
    /// Where `until` stands.
    pub until_at: Option<Position>,
    /// Where signatures lie; empty for the image's own repository.
    pub signatures_from: Vec<Repository>,
    /// Where `signatures_from` stands.
    pub signatures_from_at: Option<Position>,
    /// Under which names its images are signed, where its scopes are mirrors, and where it says so.
    pub mirror_of: Option<(Prefix, Position)>,
    /// Whether signatures must be for this repository and tag, and where it says so.
    pub bind_tag: Option<(BindTag, Position)>,
    /// What happens where the repository's revision goes back, and where it says so.
    pub rollback: Option<(Rollback, Position)>,
}

impl Rule {
    /// Returns whether the rule lets an image pass that nobody vouches for, given what
    /// `defaults.unsigned` says.
    #[must_use]
    pub fn is_lax(&self, default: Mode) -> bool {
        self.trust == TrustNames::Skip || self.unsigned.unwrap_or(default) != Mode::Deny
    }

    /// Returns whether its signatures must be for this repository and tag.
    #[must_use]
    pub fn binding(&self) -> BindTag {
        self.bind_tag.map(|(bind_tag, _)| bind_tag).unwrap_or_default()
    }

    /// Returns whether the day named by `until` is over.
    #[must_use]
    pub fn has_ended(&self, today: Date) -> bool {
        self.until.is_some_and(|until| today > until)
    }
}

/// Reads `repositories`.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<Rule> {
    fields::list(node, "`repositories`", problems)
        .iter()
        .filter_map(|node| read_one(node, problems))
        .collect()
}

fn read_one(node: &Node, problems: &mut Problems) -> Option<Rule> {
    let fields = Fields::open(node, "repositories.", "a rule", problems)?;
    let name = fields
        .required("name", "a rule", problems)
        .and_then(|node| fields::text(node, "`name`", problems));
    let scope = fields.required("scope", "a rule", problems);
    let scopes =
        scope.map(|node| fields::one_or_many(node, "`scope`", problems)).unwrap_or_default();
    let targets = scopes
        .iter()
        .filter_map(|node| Some((fields::parsed(node, "a scope", "scope", problems)?, node.at)))
        .collect();
    let tags = fields
        .optional("tags")
        .map(|node| fields::list(node, "`tags`", problems))
        .unwrap_or_default();
    let tags = tags
        .iter()
        .filter_map(|node| fields::parsed(node, "a tag pattern", "tag", problems))
        .collect();
    let trust = fields.optional("trust");
    let unsigned = fields.optional("unsigned");
    let until = fields.optional("until");
    let signatures_from = fields.optional("signatures_from");
    let repositories = signatures_from
        .map(|node| fields::list(node, "`signatures_from`", problems))
        .unwrap_or_default();
    let mut distinct = Vec::new();
    for repository in repositories
        .iter()
        .filter_map(|node| fields::parsed(node, "a repository", "repository", problems))
    {
        // Named twice, it is still asked once.
        if !distinct.contains(&repository) {
            distinct.push(repository);
        }
    }
    Some(Rule {
        trust: trust.map_or(TrustNames::Nobody, |node| read_trust(node, problems)),
        trust_at: trust.map(|node| node.at),
        unsigned: unsigned.and_then(|node| fields::word(node, "`unsigned`", Mode::WORDS, problems)),
        unsigned_at: unsigned.map(|node| node.at),
        reason: fields
            .optional("reason")
            .and_then(|node| fields::text(node, "`reason`", problems))
            .map(ToOwned::to_owned),
        until: until.and_then(|node| read_date(node, problems)),
        until_at: until.map(|node| node.at),
        name: name?.to_owned(),
        at: fields.at,
        targets,
        tags,
        signatures_from: distinct,
        signatures_from_at: signatures_from.map(|node| node.at),
        mirror_of: placed(&fields, "mirror_of", |node| {
            fields::parsed(node, "`mirror_of`", "mirror", problems)
        }),
        bind_tag: placed(&fields, "bind_tag", |node| {
            fields::word(node, "`bind_tag`", BindTag::WORDS, problems)
        }),
        rollback: placed(&fields, "rollback", |node| {
            fields::word(node, "`rollback`", Rollback::WORDS, problems)
        }),
    })
}

/// Returns the value of a key with where it stands.
fn placed<T>(
    fields: &Fields<'_>,
    key: &str,
    read: impl FnOnce(&Node) -> Option<T>,
) -> Option<(T, Position)> {
    let node = fields.optional(key)?;
    Some((read(node)?, node.at))
}

fn read_trust(node: &Node, problems: &mut Problems) -> TrustNames {
    match &node.value {
        Value::Scalar(text, _) if text == "skip" => TrustNames::Skip,
        Value::Scalar(text, _) if node.kind() != "nothing" => {
            problems
                .error(
                    node.at,
                    "value",
                    format!("`trust` is `{text}`; expected a list of signers, or `skip`"),
                )
                .help(format!("write `[{text}]`"));
            TrustNames::Nobody
        }
        Value::Mapping(_) => read_threshold(node, problems).unwrap_or(TrustNames::Nobody),
        _ => TrustNames::Signers { needed: 1, names: read_names(node, "`trust`", problems) },
    }
}

/// Reads `{all_of: [..]}` or `{at_least: K, of: [..]}`. Whether there are so many keys is known
/// once they are read.
fn read_threshold(node: &Node, problems: &mut Problems) -> Option<TrustNames> {
    let fields = Fields::open(node, "repositories.trust.", "`trust`", problems)?;
    match (fields.optional("all_of"), fields.optional("at_least"), fields.optional("of")) {
        (Some(all), None, None) => {
            let names = read_names(all, "`all_of`", problems);
            (!names.is_empty()).then_some(TrustNames::Signers { needed: names.len(), names })
        }
        (None, Some(least), Some(of)) => {
            let needed = read_number(least, problems);
            let names = read_names(of, "`of`", problems);
            Some(TrustNames::Signers { needed: needed.filter(|_| !names.is_empty())?, names })
        }
        (None, ..) => {
            let message = "`trust` is a mapping without `all_of`, or `at_least` and `of`";
            problems
                .error(node.at, "missing-key", message)
                .help("write `{all_of: [a, b]}` or `{at_least: 2, of: [a, b, c]}`");
            None
        }
        (Some(_), ..) => {
            problems
                .error(node.at, "conflict", "`trust` has `all_of` and `at_least` or `of`")
                .help("remove one of them");
            None
        }
    }
}

fn read_names(node: &Node, what: &str, problems: &mut Problems) -> Vec<String> {
    let nodes = fields::list(node, what, problems);
    nodes
        .iter()
        .filter_map(|node| fields::text(node, "a signer", problems))
        .map(ToOwned::to_owned)
        .collect()
}

/// Reads how many signatures are needed: digits as they stand, at least 1.
fn read_number(node: &Node, problems: &mut Problems) -> Option<usize> {
    let number = match &node.value {
        Value::Scalar(text, true)
            if text.bytes().all(|c| c.is_ascii_digit()) && !text.starts_with('0') =>
        {
            text.parse().ok()
        }
        _ => None,
    };
    if number.is_none() && !matches!(node.value, Value::Broken) {
        problems.error(
            node.at,
            "threshold",
            format!("`at_least` is {}; expected a number from 1", node.kind()),
        );
    }
    number
}

/// Reads a date of the one form `2027-03-31`.
fn read_date(node: &Node, problems: &mut Problems) -> Option<Date> {
    let text = fields::text(node, "`until`", problems)?;
    let shape =
        |(at, c): (usize, u8)| if matches!(at, 4 | 7) { c == b'-' } else { c.is_ascii_digit() };
    let date =
        text.parse().ok().filter(|_| text.len() == 10 && text.bytes().enumerate().all(shape));
    if date.is_none() {
        problems.error(
            node.at,
            "date",
            format!("`until` is `{text}`; expected a day such as `2027-03-31`"),
        );
    }
    date
}
