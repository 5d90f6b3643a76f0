//! The policy: a document with its keys, on a given day. Everything that it can be asked is answered without asking the world.

use super::diagnostic::{Diagnostic, Problems};
use super::document::{Document, KEY_VARIABLE, KeySource, RegistrySettings, Signer};
use super::rules::{Rule, Target, TrustNames};
use crate::class::Failure;
use crate::name::Digest;
use crate::trust::{Authority, PublicKey};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use std::collections::{BTreeMap, HashMap};

/// How many days before `until` a warning is given.
const SOON_DAYS: i64 = 30;

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
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
}

impl Origin {
    /// Returns the name that stands before positions: the path, or what the environment amounts to.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Environment { .. } => "environment (as `luet-cosign policy from-env` prints it)",
            Self::File { path } => path,
        }
    }
}

/// A policy that can be asked.
#[derive(Debug)]
pub struct Policy {
    pub(super) origin: Origin,
    pub(super) document: Document,
    pub(super) keys: HashMap<String, Authority>,
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
        origin: Origin,
        keys: BTreeMap<String, Result<PublicKey, Failure>>,
        now: Timestamp,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut problems = Problems::default();
        problems.extend(document.warnings.clone());
        let keys = take_keys(&document.signers, keys, &mut problems);
        check_days(&document, day(now), &mut problems);
        if problems.fatal() {
            return Err(problems.finish());
        }
        Ok((Self { origin, document, keys }, problems.finish()))
    }

    /// Returns where the policy comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the rules, in the order of the file.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.document.rules
    }

    /// Returns how registries are reached.
    #[must_use]
    pub fn registries(&self) -> &[RegistrySettings] {
        self.document.registries()
    }

    /// Returns everybody that the policy names as a signer, in the order of the file, used or not.
    pub fn authorities(&self) -> impl Iterator<Item = &Authority> {
        self.document.signers.iter().filter_map(|signer| self.keys.get(&signer.name))
    }

    /// Returns the rule that is about images from local files, ended or not. [`super::decide_local_files`] judges it.
    #[must_use]
    pub fn local_files(&self) -> Option<&Rule> {
        self.document.rules.iter().find(|rule| rule.targets.iter().any(|(target, _)| *target == Target::LocalFiles))
    }

    /// Returns where a rule stands: file and line, or the variable that made it.
    pub(super) fn place_of(&self, rule: &Rule) -> String {
        match &self.origin {
            Origin::File { path } => format!("{path} line {}", rule.at.line),
            Origin::Environment { .. } if rule.name == super::environment::CATCH_ALL => KEY_VARIABLE.to_owned(),
            Origin::Environment { .. } => super::environment::ALLOW_UNSIGNED.to_owned(),
        }
    }

    /// Returns whom a rule trusts.
    pub(super) fn trusted(&self, names: &[String]) -> Vec<Authority> {
        names.iter().filter_map(|name| self.keys.get(name).cloned()).collect()
    }
}

/// Returns the day, in UTC.
pub(super) fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

fn take_keys(
    signers: &[Signer],
    mut keys: BTreeMap<String, Result<PublicKey, Failure>>,
    problems: &mut Problems,
) -> HashMap<String, Authority> {
    let mut taken = HashMap::new();
    let mut seen: HashMap<Digest, &Signer> = HashMap::new();
    for signer in signers {
        let what = match &signer.source {
            KeySource::Environment => format!("the key of `{}`, from {KEY_VARIABLE}", signer.name),
            KeySource::File(path) => format!("the key of `{}`, `{path}`", signer.name),
        };
        match keys.remove(&signer.name) {
            None => {
                problems.error(signer.at, "key", format!("{what}, was not read"));
            }
            Some(Err(failure)) => {
                problems.error(signer.at, "key", format!("{what}: {}", failure.message())).help(failure.the_hint());
            }
            Some(Ok(key)) => {
                if let Some(first) = seen.insert(*key.fingerprint(), signer)
                    && first.source != signer.source
                {
                    let message = format!("`{}` and `{}` on line {} are the same key", signer.name, first.name, first.at.line);
                    problems.warning(signer.at, "same-key", message).help("it counts once");
                }
                taken.insert(signer.name.clone(), Authority { name: signer.name.clone(), key });
            }
        }
    }
    taken
}

fn check_days(document: &Document, today: Date, problems: &mut Problems) {
    let soon = today.checked_add(SOON_DAYS.days()).unwrap_or(Date::MAX);
    for rule in document.rules.iter().filter(|rule| rule.is_lax(document.defaults.unsigned)) {
        let (Some(until), Some(at)) = (rule.until, rule.until_at) else { continue };
        if rule.has_ended(today) {
            let what = if rule.trust == TrustNames::Skip { "trust: skip" } else { "`unsigned`" };
            let message = format!("`{}` was laxer only until {until}: {what} counts no more, it denies", rule.name);
            problems.warning(at, "ended", message).help("have the images signed, or set another day");
        } else if until <= soon {
            problems.warning(at, "ends-soon", format!("`{}` denies after {until}", rule.name));
        }
    }
}
