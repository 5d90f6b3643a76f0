//! The document: a policy read and checked as far as that goes without its keys.

use super::diagnostic::{Diagnostic, Position, Problems, TOO_LARGE};
use super::fields::{self, Fields};
use super::mirrors::{self, MirrorSet};
use super::rules::{self, Rule};
use super::settings::{Downgrade, Mode, PostUnpack};
use super::skip::{self, SkipPattern};
use super::yaml::{self, Node, Value, YamlEntry};
use super::{checks, identities, registries};
use crate::class::{Class, holds_key};
use crate::limits;
use crate::name::Registry;
use crate::trust::{Allowance, Identity};
use std::time::Duration;

/// The environment variable that may feed a key: the only one.
pub const KEY_VARIABLE: &str = "COSIGN_PUBLIC_KEY_LOCATION";

/// Whether a signature by a key must have been logged.
const LOGGED: &[(&str, bool)] = &[("required", true), ("optional", false)];

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

/// What shows that a signature is a signer's: where the key comes from, or whose certificate it is
/// by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerSource {
    /// A certificate of this identity: keyless.
    Certificate(Identity),
    /// The environment variable `COSIGN_PUBLIC_KEY_LOCATION` says where.
    Environment,
    /// A file; a relative path starts at the directory of the policy file.
    File(String),
}

/// A signer and where its key is to be read from, or who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySigner {
    /// The name that rules use.
    pub name: String,
    /// The key or identity.
    pub source: SignerSource,
    /// Whether a signature by the key must have been logged; one by a certificate must be always.
    pub logged: bool,
    /// A trusted root for this signer alone; a relative path starts as a key's does.
    pub trusted_root: Option<String>,
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
    /// A file with certificates of authorities that it may use beside the system's; relative as
    /// keys are.
    pub ca: Option<String>,
    /// Other hosts that may give out tokens for it: `host`, on every port, or `host:port`.
    pub auth_hosts: Vec<String>,
    /// A file with its credentials, as docker and podman write them; relative as keys are.
    pub credentials: Option<String>,
    /// Where the entry stands.
    pub at: Position,
}

/// What may be asked of others than registries, and by what they are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Whether no request is made but to registries.
    pub offline: bool,
    /// The trusted root of every signer that names none; the public one where it is not given. A
    /// relative path starts as a key's does.
    pub trusted_root: Option<String>,
    /// The directory in which containerd's `hosts.toml` files name the mirrors of registries, for its
    /// image verifier. A relative path starts as a key's does.
    pub mirrors: Option<String>,
}

/// A policy without its keys: everything in it is valid by itself. [`super::Policy::new`] makes it
/// usable.
#[derive(Debug)]
pub struct Document {
    pub(super) defaults: Defaults,
    pub(super) signers: Vec<PolicySigner>,
    /// The names of signers that could not be read, each an error already.
    pub(super) broken_signers: Vec<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) mirrors: Vec<MirrorSet>,
    pub(super) registries: Vec<RegistrySettings>,
    pub(super) network: NetworkSettings,
    pub(super) deadline: Option<Duration>,
    pub(super) skip: Vec<SkipPattern>,
    pub(super) post_unpack: PostUnpack,
    pub(super) post_unpack_at: Option<Position>,
    pub(super) warnings: Vec<Diagnostic>,
}

impl Document {
    /// Reads a policy.
    ///
    /// # Errors
    /// All problems that can be told apart, errors first, and the warnings behind them. At least
    /// one is an error.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Problems::default();
        let document = yaml::read(text, &mut problems).and_then(|root| read(&root, &mut problems));
        let fatal = problems.fatal();
        match document {
            Some(document) if !fatal => Ok(Self { warnings: problems.finish(), ..document }),
            _ => Err(problems.finish_without_consequences()),
        }
    }

    /// Returns the signers, whose keys [`super::Policy::new`] wants, in the order of the file.
    #[must_use]
    pub fn signers(&self) -> &[PolicySigner] {
        &self.signers
    }

    /// Returns what may be asked of others than registries.
    #[must_use]
    pub fn network(&self) -> &NetworkSettings {
        &self.network
    }

    /// Returns how long the decision may take when containerd asks for it, where the policy says so.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
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
        problems.error(
            version.at,
            "version",
            format!("the version is {}; this program reads `1`", version.kind()),
        );
    }
    let defaults = fields
        .required("defaults", "the policy", problems)
        .and_then(|node| read_defaults(node, problems));
    let mut allowance = Allowance::default();
    let (signers, broken_signers) = fields
        .optional("signers")
        .map(|node| read_signers(node, &mut allowance, problems))
        .unwrap_or_default();
    let rules =
        fields.optional("repositories").map(|node| rules::read(node, problems)).unwrap_or_default();
    let mirrors =
        fields.optional("mirrors").map(|node| mirrors::read(node, problems)).unwrap_or_default();
    let registries = fields
        .optional("registries")
        .map(|node| registries::read(node, problems))
        .unwrap_or_default();
    let network =
        fields.optional("network").map(|node| read_network(node, problems)).unwrap_or_default();
    let deadline = fields.optional("deadline").and_then(|node| read_deadline(node, problems));
    let skip = fields
        .optional("skip_patterns")
        .map(|node| skip::read(node, &mut allowance, problems))
        .unwrap_or_default();
    let post_unpack = fields.optional("post_unpack");
    let document = Document {
        post_unpack: post_unpack
            .and_then(|node| read_post_unpack(node, problems))
            .unwrap_or_default(),
        post_unpack_at: post_unpack.map(|node| node.at),
        defaults: defaults?,
        signers,
        broken_signers,
        rules,
        mirrors,
        registries,
        network,
        deadline,
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
    let mode = |node: &Node, what: &str, problems: &mut Problems| {
        fields::word(node, what, Mode::WORDS, problems)
    };
    let unsigned_mode = match unsigned {
        Some(node) => mode(node, "`unsigned`", problems),
        None => Some(Mode::Deny),
    };
    Some(Defaults {
        unmatched: unmatched.and_then(|node| mode(node, "`unmatched`", problems))?,
        unmatched_at: unmatched?.at,
        unsigned: unsigned_mode?,
        unsigned_at: unsigned.map(|node| node.at),
        downgrade: downgrade
            .and_then(|node| fields::word(node, "`downgrade`", Downgrade::WORDS, problems))
            .unwrap_or_default(),
        downgrade_at: downgrade.map(|node| node.at),
    })
}

/// Reads `post_unpack`. Its problem has a code of its own, for an environment variable may be what
/// is wrong.
fn read_post_unpack(node: &Node, problems: &mut Problems) -> Option<PostUnpack> {
    let found = match &node.value {
        Value::Scalar(text, _) => {
            PostUnpack::WORDS.iter().find(|(word, _)| word == text).map(|(_, value)| *value)
        }
        _ => None,
    };
    if found.is_none() && !matches!(node.value, Value::Broken) {
        let expected = fields::words_of(PostUnpack::WORDS);
        problems.error(
            node.at,
            "post-unpack",
            format!("`post_unpack` is {}; expected {expected}", node.kind()),
        );
    }
    found
}

/// Returns the signers, and the names of those that could not be read.
fn read_signers(
    node: &Node,
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> (Vec<PolicySigner>, Vec<String>) {
    let Some(entries) = fields::mapping(node, "`signers`", problems) else {
        return Default::default();
    };
    if entries.is_empty() {
        problems
            .error(node.at, "empty-list", "`signers` is empty")
            .help("remove the key, or name a signer");
    }
    if entries.len() > limits::POLICY_SIGNERS {
        let (found, most) = (entries.len(), limits::POLICY_SIGNERS);
        let message = format!("`signers` has {found} signers; at most {most} are read");
        problems.error(node.at, TOO_LARGE, message).help(Class::Limit.hint());
        return Default::default();
    }
    let (mut signers, mut broken) = (Vec::new(), Vec::new());
    for entry in entries {
        let name = entry.key.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name == "skip" || name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
            problems
                .error(entry.at, "name", format!("`{name}` is not a valid signer name"))
                .help("a name has 1 to 128 letters, digits, `_`, `.` and `-`, and is not `skip`");
        }
        match read_signer(name, entry, allowance, problems) {
            Some(signer) => signers.push(signer),
            None => broken.push(name.to_owned()),
        }
    }
    (signers, broken)
}

fn read_signer(
    name: &str,
    entry: &YamlEntry,
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> Option<PolicySigner> {
    let (at, node) = (entry.at, &entry.value);
    let what = format!("the signer `{name}`");
    let fields = Fields::open(node, "signers.NAME.", &what, problems)?;
    let trusted_root = fields
        .optional("trusted_root")
        .and_then(|node| fields::text(node, "`trusted_root`", problems))
        .map(ToOwned::to_owned);
    let tlog = fields
        .optional("tlog")
        .and_then(|node| Some((fields::word(node, "`tlog`", LOGGED, problems)?, node.at)));
    let source = read_source(&what, &fields, allowance, problems)?;
    let is_key = !matches!(source, SignerSource::Certificate(_));
    if let Some((false, at)) = tlog
        && !is_key
    {
        problems
            .error(at, "conflict", format!("{what} is keyless, and such signatures must be logged"))
            .help("remove `tlog`");
    }
    let logged = tlog.is_some_and(|(logged, _)| logged);
    if is_key && !logged && trusted_root.is_some() {
        problems
            .error(
                at,
                "conflict",
                format!("{what} has a `trusted_root`, which nothing is checked by"),
            )
            .help("add `tlog: required`");
    }
    Some(PolicySigner { name: name.to_owned(), source, logged, trusted_root, at })
}

fn read_network(node: &Node, problems: &mut Problems) -> NetworkSettings {
    let Some(fields) = Fields::open(node, "network.", "`network`", problems) else {
        return NetworkSettings::default();
    };
    let mut path = |key: &str| {
        let node = fields.optional(key)?;
        fields::text(node, &format!("`{key}`"), problems).map(ToOwned::to_owned)
    };
    let (trusted_root, mirrors) = (path("trusted_root"), path("mirrors"));
    NetworkSettings {
        offline: fields
            .optional("offline")
            .and_then(|node| fields::boolean(node, "`offline`", problems))
            .unwrap_or(false),
        trusted_root,
        mirrors,
    }
}

/// Reads `deadline`: whole seconds, as `8s`.
fn read_deadline(node: &Node, problems: &mut Problems) -> Option<Duration> {
    let text = fields::text(node, "`deadline`", problems)?;
    let seconds = text
        .strip_suffix('s')
        .filter(|number| number.bytes().all(|c| c.is_ascii_digit()))
        .and_then(|number| number.parse().ok())
        .filter(|seconds| (1..=limits::HOST_DEADLINE_SECONDS).contains(seconds));
    if seconds.is_none() {
        let most = limits::HOST_DEADLINE_SECONDS;
        problems.error(
            node.at,
            "value",
            format!("`deadline` is `{text}`; expected `1s` to `{most}s`"),
        );
    }
    seconds.map(Duration::from_secs)
}

fn read_source(
    what: &str,
    fields: &Fields<'_>,
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> Option<SignerSource> {
    let given: Vec<(&str, &Node)> = ["key", "key_env", "keyless", "github"]
        .into_iter()
        .filter_map(|key| Some((key, fields.optional(key)?)))
        .collect();
    match given.as_slice() {
        [("key", path)] => read_key_path(path, problems),
        [("keyless", node)] => {
            identities::keyless(node, allowance, problems).map(SignerSource::Certificate)
        }
        [("github", node)] => {
            identities::github(node, allowance, problems).map(SignerSource::Certificate)
        }
        [(_, variable)] => {
            let found = fields::text(variable, "`key_env`", problems)?;
            if found != KEY_VARIABLE {
                problems.error(
                    variable.at,
                    "value",
                    format!("`key_env` is `{found}`; only `{KEY_VARIABLE}` may feed a key"),
                );
            }
            Some(SignerSource::Environment)
        }
        [] => {
            problems.error(
                fields.at,
                "missing-key",
                format!("{what} has none of `key`, `key_env`, `keyless` and `github`"),
            );
            None
        }
        [(first, _), (second, _), ..] => {
            problems
                .error(fields.at, "conflict", format!("{what} has both `{first}` and `{second}`"))
                .help("write two signers");
            None
        }
    }
}

fn read_key_path(node: &Node, problems: &mut Problems) -> Option<SignerSource> {
    let path = fields::text(node, "`key`", problems)?;
    if holds_key(path) || path.contains(char::is_control) {
        problems
            .error(node.at, "value", "`key` holds a key itself; expected the path of a file")
            .help("write the key into a file beside the policy, and its name here");
        return None;
    }
    if path.contains("://") {
        problems
            .error(node.at, "value", format!("`key` is `{path}`; expected the path of a file"))
            .help(format!(
                "an address goes into {KEY_VARIABLE}, with `key_env: {KEY_VARIABLE}` here"
            ));
        return None;
    }
    Some(SignerSource::File(path.to_owned()))
}
