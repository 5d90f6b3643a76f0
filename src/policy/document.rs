//! The document: a policy read and checked as far as that goes without its keys.

use super::diagnostic::{Diagnostic, Position, Problems};
use super::fields::{self, Fields};
use super::rules::{self, Rule};
use super::settings::{Downgrade, Mode, PostUnpack};
use super::skip::{self, SkipPattern};
use super::tree::{self, Node, Value};
use super::{checks, registries};
use crate::name::Registry;

/// The environment variable that may feed a key: the only one.
pub(super) const KEY_VARIABLE: &str = "COSIGN_PUBLIC_KEY_LOCATION";

/// What holds where a rule says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) unmatched: Mode,
    pub(super) unmatched_at: Position,
    pub(super) unsigned: Mode,
    pub(super) unsigned_at: Option<Position>,
    pub(super) downgrade: Downgrade,
    pub(super) downgrade_at: Option<Position>,
}

/// Where the key of a signer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The environment variable `COSIGN_PUBLIC_KEY_LOCATION` says where.
    Environment,
    /// A file; a relative path starts at the folder of the policy file.
    File(String),
}

/// A signer and where its key is to be read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The name that rules use.
    pub name: String,
    /// Where the key is.
    pub source: KeySource,
    /// Where the signer stands.
    pub at: Position,
}

/// How a registry is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    /// The registry.
    pub host: Registry,
    /// Whether it is spoken to without TLS.
    pub http: bool,
    /// A file with certificates of authorities that it may use beside the system's; relative as keys are.
    pub ca: Option<String>,
    /// Other hosts that may give out tokens for it.
    pub auth_hosts: Vec<Registry>,
    /// Where the entry stands.
    pub at: Position,
}

/// A policy without its keys: everything in it is valid by itself. [`super::Policy::new`] makes it usable.
#[derive(Debug)]
pub struct Document {
    pub(super) defaults: Defaults,
    pub(super) signers: Vec<Signer>,
    pub(super) rules: Vec<Rule>,
    pub(super) registries: Vec<RegistrySettings>,
    pub(super) skip: Vec<SkipPattern>,
    pub(super) post_unpack: PostUnpack,
    pub(super) post_unpack_at: Option<Position>,
    pub(super) warnings: Vec<Diagnostic>,
}

impl Document {
    /// Reads a policy.
    ///
    /// # Errors
    /// All problems that can be told apart, errors first, and the warnings behind them. At least one is an error.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Problems::default();
        let document = tree::read(text, &mut problems).and_then(|root| read(&root, &mut problems));
        let fatal = problems.fatal();
        match document {
            Some(document) if !fatal => Ok(Self { warnings: problems.finish(), ..document }),
            _ => Err(problems.finish()),
        }
    }

    /// Returns the keys that [`super::Policy::new`] wants, in the order of the file.
    #[must_use]
    pub fn key_sources(&self) -> &[Signer] {
        &self.signers
    }

    /// Returns how registries are reached, `ca` paths among it.
    #[must_use]
    pub fn registries(&self) -> &[RegistrySettings] {
        &self.registries
    }
}

fn read(root: &Node, problems: &mut Problems) -> Option<Document> {
    let fields = Fields::open(root, "", "a policy", problems)?;
    let version = fields.required("version", "the policy", problems);
    if let Some(version) = version
        && !matches!(&version.value, Value::Scalar(text, true) if text == "1")
    {
        problems.error(version.at, "version", format!("the version is {}; this program reads `1`", version.kind()));
    }
    let defaults = fields.required("defaults", "the policy", problems).and_then(|node| read_defaults(node, problems));
    let signers = fields.optional("signers").map(|node| read_signers(node, problems)).unwrap_or_default();
    let rules = fields.optional("repositories").map(|node| rules::read(node, problems)).unwrap_or_default();
    let registries = fields.optional("registries").map(|node| registries::read(node, problems)).unwrap_or_default();
    let skip = fields.optional("skip_patterns").map(|node| skip::read(node, problems)).unwrap_or_default();
    let post_unpack = fields.optional("post_unpack");
    let document = Document {
        post_unpack: post_unpack.and_then(|node| read_post_unpack(node, problems)).unwrap_or_default(),
        post_unpack_at: post_unpack.map(|node| node.at),
        defaults: defaults?,
        signers,
        rules,
        registries,
        skip,
        warnings: Vec::new(),
    };
    checks::check(&document, problems);
    Some(document)
}

fn read_defaults(node: &Node, problems: &mut Problems) -> Option<Defaults> {
    let fields = Fields::open(node, "defaults.", "`defaults`", problems)?;
    let unmatched = fields.required("unmatched", "`defaults`", problems);
    let unsigned = fields.optional("unsigned");
    let downgrade = fields.optional("downgrade");
    let mode = |node: &Node, what: &str, problems: &mut Problems| fields::word(node, what, Mode::WORDS, problems);
    let unsigned_mode = match unsigned {
        Some(node) => mode(node, "`unsigned`", problems),
        None => Some(Mode::Deny),
    };
    Some(Defaults {
        unmatched: unmatched.and_then(|node| mode(node, "`unmatched`", problems))?,
        unmatched_at: unmatched?.at,
        unsigned: unsigned_mode?,
        unsigned_at: unsigned.map(|node| node.at),
        downgrade: downgrade.and_then(|node| fields::word(node, "`downgrade`", Downgrade::WORDS, problems)).unwrap_or_default(),
        downgrade_at: downgrade.map(|node| node.at),
    })
}

/// Reads `post_unpack`. Its problem has a code of its own, for an environment variable may be what is wrong.
fn read_post_unpack(node: &Node, problems: &mut Problems) -> Option<PostUnpack> {
    let found = match &node.value {
        Value::Scalar(text, _) => PostUnpack::WORDS.iter().find(|(word, _)| word == text).map(|(_, value)| *value),
        _ => None,
    };
    if found.is_none() && !matches!(node.value, Value::Broken) {
        let expected = fields::words_of(PostUnpack::WORDS);
        problems.error(node.at, "post-unpack", format!("`post_unpack` is {}; expected {expected}", node.kind()));
    }
    found
}

fn read_signers(node: &Node, problems: &mut Problems) -> Vec<Signer> {
    let Some(entries) = fields::mapping(node, "`signers`", problems) else { return Vec::new() };
    if entries.is_empty() {
        problems.error(node.at, "empty-list", "`signers` is empty").help("remove the key, or name a signer");
    }
    let mut signers = Vec::new();
    for entry in entries {
        let name = entry.key.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name == "skip" || name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
            problems
                .error(entry.at, "name", format!("`{name}` is no name of a signer"))
                .help("a name has 1 to 128 letters, digits, `_`, `.` and `-`, and is not `skip`");
        }
        if let Some(source) = read_key(name, &entry.value, problems) {
            signers.push(Signer { name: name.to_owned(), source, at: entry.at });
        }
    }
    signers
}

fn read_key(name: &str, node: &Node, problems: &mut Problems) -> Option<KeySource> {
    let what = format!("the signer `{name}`");
    let fields = Fields::open(node, "signers.NAME.", &what, problems)?;
    match (fields.optional("key"), fields.optional("key_env")) {
        (Some(path), None) => read_key_path(path, problems),
        (None, Some(variable)) => {
            let found = fields::text(variable, "`key_env`", problems)?;
            if found != KEY_VARIABLE {
                problems.error(variable.at, "value", format!("`key_env` is `{found}`; only `{KEY_VARIABLE}` may feed a key"));
            }
            Some(KeySource::Environment)
        }
        (None, None) => {
            problems.error(fields.at, "missing-key", format!("{what} has neither `key` nor `key_env`"));
            None
        }
        (Some(_), Some(_)) => {
            problems.error(fields.at, "conflict", format!("{what} has both `key` and `key_env`")).help("write two signers");
            None
        }
    }
}

fn read_key_path(node: &Node, problems: &mut Problems) -> Option<KeySource> {
    let path = fields::text(node, "`key`", problems)?;
    if path.contains("://") {
        problems
            .error(node.at, "value", format!("`key` is `{path}`; expected the path of a file"))
            .help(format!("an address goes into {KEY_VARIABLE}, with `key_env: {KEY_VARIABLE}` here"));
        return None;
    }
    Some(KeySource::File(path.to_owned()))
}
