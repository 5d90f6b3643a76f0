//! The policy: a document with its keys, on a given day. Everything that it can be asked is
//! answered without asking the world.

use super::diagnostic::{Diagnostic, Position, Problems};
use super::document::{
    Defaults, Document, KEY_VARIABLE, NetworkSettings, PolicySigner, RegistrySettings, SignerSource,
};
use super::environment;
use super::rules::{Rule, RuleTarget, TrustNames};
use super::settings::{Downgrade, Mode, PostUnpack};
use crate::class::Failure;
use crate::name::{Digest, Repository, Scope};
use crate::trust::{self, Authority, Identity, PublicKey};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// How many days before `until` a warning is given.
const SOON_DAYS: i64 = 30;

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOrigin {
    /// The environment, through [`super::from_env`].
    Environment {
        /// Whether `COSIGN_EXPERIMENTAL` is on: keyless was asked for.
        experimental: bool,
    },
    /// A file.
    File {
        /// As it is to be shown.
        path: String,
    },
    /// The command line, through [`Policy::of_authority`].
    Option {
        /// The option, as it is to be shown: `--key cosign.pub`.
        text: String,
    },
}

impl PolicyOrigin {
    /// Returns the name that is before positions: the path, what the environment amounts to, or
    /// an option.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Environment { .. } => {
                Cow::Borrowed("environment (as `luet-cosign policy from-env` prints it)")
            }
            Self::File { path } => Cow::Borrowed(path),
            Self::Option { text } => Cow::Borrowed(text),
        }
    }
}

/// A policy that can be asked.
#[derive(Debug)]
pub struct Policy {
    pub(super) origin: PolicyOrigin,
    pub(super) document: Document,
    pub(super) authorities: HashMap<String, Authority>,
}

impl Policy {
    /// Takes a document, its keys by the names of their signers, and the time.
    ///
    /// A key that is missing or cannot be read is an error now, and not "no key matched" later.
    ///
    /// # Errors
    /// All problems, errors first, the document's warnings among them. At least one is an error.
    pub fn new(
        document: Document,
        origin: PolicyOrigin,
        keys: BTreeMap<String, Result<PublicKey, Failure>>,
        now: Timestamp,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut problems = Problems::default();
        problems.extend(document.warnings.clone());
        let authorities = take_keys(&document, keys, &mut problems);
        check_thresholds(&document, &authorities, &mut problems);
        check_days(&document, day(now), &mut problems);
        if problems.fatal() {
            return Err(problems.finish());
        }
        Ok((Self { origin, document, authorities }, problems.finish()))
    }

    /// Makes the policy of an option of the command line: it trusts this authority for every image,
    /// and denies what is unsigned.
    ///
    /// `option` is what was typed, as it is to be shown: without a password. Signatures are in
    /// `signatures_from`, else in each image's own repository.
    #[must_use]
    pub fn of_authority(
        authority: Authority,
        option: &str,
        signatures_from: Option<Repository>,
    ) -> Self {
        let origin = PolicyOrigin::Option { text: option.to_owned() };
        let location = authority.name.as_str();
        let at = Position { line: 1, column: 1 };
        let rule = Rule {
            name: origin.name().into_owned(),
            at,
            targets: vec![(RuleTarget::Scope(Scope::everything()), at)],
            tags: Vec::new(),
            trust: TrustNames::Signers { needed: 1, names: vec![location.to_owned()] },
            trust_at: Some(at),
            unsigned: Some(Mode::Deny),
            unsigned_at: Some(at),
            reason: None,
            until: None,
            until_at: None,
            signatures_from_at: signatures_from.as_ref().map(|_| at),
            signatures_from: signatures_from.into_iter().collect(),
            mirror_of: None,
            bind_tag: None,
            rollback: None,
        };
        let document = Document {
            defaults: Defaults {
                unmatched: Mode::Deny,
                unmatched_at: at,
                unsigned: Mode::Deny,
                unsigned_at: None,
                downgrade: Downgrade::default(),
                downgrade_at: None,
            },
            signers: vec![PolicySigner {
                name: location.to_owned(),
                source: match authority.identity() {
                    Some(identity) => SignerSource::Certificate(identity.clone()),
                    None => SignerSource::File(location.to_owned()),
                },
                logged: false,
                trusted_root: None,
                at,
            }],
            broken_signers: Vec::new(),
            rules: vec![rule],
            mirrors: Vec::new(),
            registries: Vec::new(),
            network: NetworkSettings::default(),
            deadline: None,
            skip: Vec::new(),
            post_unpack: PostUnpack::default(),
            post_unpack_at: None,
            warnings: Vec::new(),
        };
        let authorities = HashMap::from([(authority.name.clone(), authority)]);
        Self { origin, document, authorities }
    }

    /// Returns where the policy comes from.
    #[must_use]
    pub fn origin(&self) -> &PolicyOrigin {
        &self.origin
    }

    /// Returns the rules, in the order of the file.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.document.rules
    }

    /// Returns what may be asked of others than registries.
    #[must_use]
    pub fn network(&self) -> &NetworkSettings {
        self.document.network()
    }

    /// Returns how long the decision may take when containerd asks for it, where that is said.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.document.deadline()
    }

    /// Returns how registries are reached.
    #[must_use]
    pub fn registries(&self) -> &[RegistrySettings] {
        self.document.registries()
    }

    /// Returns how what was unpacked is held against what was signed.
    #[must_use]
    pub fn post_unpack(&self) -> PostUnpack {
        self.document.post_unpack
    }

    /// Returns everybody that the policy names as a signer, in the order of the file, used or not.
    pub fn authorities(&self) -> impl Iterator<Item = &Authority> {
        self.document.signers.iter().filter_map(|signer| self.authorities.get(&signer.name))
    }

    /// Returns the rule that is about images from local files, ended or not.
    /// [`super::decide_local_files`] judges it.
    #[must_use]
    pub fn local_files(&self) -> Option<&Rule> {
        self.document
            .rules
            .iter()
            .find(|rule| rule.targets.iter().any(|(target, _)| *target == RuleTarget::LocalFiles))
    }

    /// Returns where a rule stands: file and line, or the variables that made it; nothing, where
    /// its name says it.
    pub(super) fn place_of(&self, rule: &Rule) -> String {
        match &self.origin {
            PolicyOrigin::File { path } => format!("{path} line {}", rule.at.line),
            PolicyOrigin::Option { .. } => String::new(),
            PolicyOrigin::Environment { .. } if rule.name != environment::CATCH_ALL => {
                environment::ALLOW_UNSIGNED.to_owned()
            }
            PolicyOrigin::Environment { .. } => {
                let mut variables: Vec<String> = self
                    .document
                    .signers
                    .iter()
                    .map(|signer| variable_of(signer).to_owned())
                    .collect();
                if rule.is_lax(Mode::Deny) {
                    variables.push(format!("{}=*", environment::ALLOW_UNSIGNED));
                }
                variables.join(", ")
            }
        }
    }

    /// Returns whom a rule trusts, for an image of this repository.
    pub(super) fn trusted(&self, names: &[String], repository: &Repository) -> Vec<Authority> {
        names
            .iter()
            .filter_map(|name| self.authorities.get(name))
            .map(|authority| authority.of_image(repository))
            .collect()
    }
}

/// Returns the variable that names a signer of the environment.
fn variable_of(signer: &PolicySigner) -> &'static str {
    match &signer.source {
        SignerSource::Certificate(Identity::Any) => "LUET_COSIGN_ANY_IDENTITY",
        SignerSource::Certificate(Identity::RegistryOwner) => "COSIGN_EXPERIMENTAL",
        SignerSource::Certificate(_) => "COSIGN_CERTIFICATE_IDENTITY",
        SignerSource::Environment | SignerSource::File(_) => KEY_VARIABLE,
    }
}

/// Returns the day, in UTC.
pub(super) fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

fn take_keys(
    document: &Document,
    mut keys: BTreeMap<String, Result<PublicKey, Failure>>,
    problems: &mut Problems,
) -> HashMap<String, Authority> {
    let mut taken = HashMap::new();
    let mut seen: HashMap<Digest, &PolicySigner> = HashMap::new();
    for signer in &document.signers {
        let root = signer.trusted_root.clone().or_else(|| document.network.trusted_root.clone());
        let what = match &signer.source {
            SignerSource::Certificate(identity) => {
                let authority = Authority {
                    name: signer.name.clone(),
                    signer: trust::AuthorityKind::Certificate(identity.clone()),
                    root,
                };
                taken.insert(signer.name.clone(), authority);
                continue;
            }
            SignerSource::Environment => {
                format!("the key of `{}`, from {KEY_VARIABLE}", signer.name)
            }
            SignerSource::File(path) => format!("the key of `{}`, `{path}`", signer.name),
        };
        match keys.remove(&signer.name) {
            None => {
                problems.error(signer.at, "key", format!("{what}, was not read"));
            }
            Some(Err(failure)) => {
                problems
                    .error(signer.at, "key", format!("{what}: {}", failure.message()))
                    .help(failure.the_hint());
            }
            Some(Ok(key)) => {
                if let Some(first) = seen.insert(*key.fingerprint(), signer)
                    && first.source != signer.source
                {
                    let message = format!(
                        "`{}` and `{}` on line {} are the same key",
                        signer.name, first.name, first.at.line
                    );
                    problems.warning(signer.at, "same-key", message).help("it is counted once");
                }
                let made = trust::AuthorityKind::Key { key, logged: signer.logged };
                taken.insert(
                    signer.name.clone(),
                    Authority { name: signer.name.clone(), signer: made, root },
                );
            }
        }
    }
    taken
}

/// Refuses a rule that more keys must satisfy than it names: nobody could, or, counted by names,
/// one key could alone.
fn check_thresholds(
    document: &Document,
    keys: &HashMap<String, Authority>,
    problems: &mut Problems,
) {
    for rule in &document.rules {
        let TrustNames::Signers { needed, names } = &rule.trust else { continue };
        let Some(taken) =
            names.iter().map(|name| keys.get(name)).collect::<Option<Vec<&Authority>>>()
        else {
            continue;
        };
        let distinct: HashSet<Digest> =
            taken.iter().map(|authority| authority.fingerprint()).collect();
        if *needed > distinct.len() {
            let at = rule.trust_at.unwrap_or(rule.at);
            let message = format!(
                "`{}` wants signatures by {needed} keys; its signers have {} between them",
                rule.name,
                distinct.len()
            );
            problems.error(at, "threshold", message).help("a key under two names is counted once");
        }
    }
}

fn check_days(document: &Document, today: Date, problems: &mut Problems) {
    let soon = today.checked_add(SOON_DAYS.days()).unwrap_or(Date::MAX);
    for rule in document.rules.iter().filter(|rule| rule.is_lax(document.defaults.unsigned)) {
        let (Some(until), Some(at)) = (rule.until, rule.until_at) else { continue };
        if rule.has_ended(today) {
            let what = if rule.trust == TrustNames::Skip { "trust: skip" } else { "`unsigned`" };
            let message = format!(
                "`{}` was relaxed only until {until}: {what} has expired, so it denies",
                rule.name
            );
            problems
                .warning(at, "ended", message)
                .help("have the images signed, or set another day");
        } else if until <= soon {
            problems.warning(at, "ends-soon", format!("`{}` denies after {until}", rule.name));
        }
    }
}
