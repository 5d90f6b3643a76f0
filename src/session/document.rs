//! Which policy document there is: found and read, without its keys.

use super::machine::Host;
use super::variables::{facts, network_facts};
use crate::class::{Class, Failure};
use crate::config::{Environment, Trusted, read_file};
use crate::limits;
use crate::policy::{
    self, Document, EnvironmentFacts, NetworkSettings, PolicyOrigin, RegistrySettings,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The policy of the system.
const SYSTEM_POLICY: &str = "/etc/luet/luet-cosign/policy.yaml";
/// The policy that a distribution ships.
const VENDOR_POLICY: &str = "/usr/share/luet-cosign/policy.yaml";

/// A policy document with where it comes from.
pub(super) struct FoundPolicy {
    pub(super) document: Document,
    pub(super) origin: PolicyOrigin,
    pub(super) base: Base,
}

/// What paths in a document are read by.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// Where they start.
    pub(super) folder: PathBuf,
    /// Who may be able to write the document, and so the files that it names.
    pub(super) trusted: Trusted,
}

/// What is said of networks, by a policy document or by the variables. Nothing of signers or rules.
pub(super) struct Networks {
    pub(super) registries: Vec<RegistrySettings>,
    pub(super) network: NetworkSettings,
    /// How long containerd may be kept waiting, where that is said.
    pub(super) deadline: Option<Duration>,
    pub(super) base: Base,
    /// Whether there is a policy file: it makes the variables for verification inert.
    pub(super) is_file: bool,
    /// Why the policy file that there is was not read.
    pub(super) unread: Option<Failure>,
}

impl FoundPolicy {
    /// Reads the policy that is in force.
    pub(super) fn read(
        environment: &Environment,
        named: Option<&Path>,
        host: &Host,
    ) -> Result<Self, Failure> {
        Text::read(environment, named, host)?.parse()
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.origin, PolicyOrigin::File { .. })
    }

    pub(super) fn networks(&self) -> Networks {
        Networks {
            registries: self.document.registries().to_vec(),
            network: self.document.network().clone(),
            deadline: self.document.deadline(),
            base: self.base.clone(),
            is_file: self.is_file(),
            unread: None,
        }
    }
}

impl Networks {
    /// Whether nobody but registries may be asked anything.
    ///
    /// # Errors
    /// `usage`: the variable makes no sense.
    pub(super) fn is_offline(&self, environment: &Environment) -> Result<bool, Failure> {
        Ok(self.network.offline || environment.flag("LUET_COSIGN_OFFLINE")?)
    }

    /// Reads what is said of networks, for a flow that does not ask the policy. A policy file that
    /// cannot be used stops nothing: the variables say then how registries are reached, and
    /// `unread` says why. No variable but those of networks is looked at.
    ///
    /// # Errors
    /// `usage`, `policy`: one of these variables makes no sense.
    pub(super) fn read(environment: &Environment, named: Option<&Path>) -> Result<Self, Failure> {
        let unread = match policy_file(environment, named) {
            Ok(None) => None,
            Ok(Some(file)) => match Text::of_file(&file).and_then(Text::parse) {
                Ok(found) => return Ok(found.networks()),
                Err(failure) => Some(failure),
            },
            Err(failure) => Some(failure),
        };
        let variables = Text::of_variables(&network_facts(environment)?).parse()?;
        Ok(Self { is_file: unread.is_some(), unread, ..variables.networks() })
    }
}

/// The text of a policy.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) origin: PolicyOrigin,
    base: Base,
}

impl Text {
    /// Returns the policy in force: the file that was named, the system's, the user's, the
    /// vendor's, or what the environment amounts to.
    pub(super) fn read(
        environment: &Environment,
        named: Option<&Path>,
        host: &Host,
    ) -> Result<Self, Failure> {
        match policy_file(environment, named)? {
            Some(file) => Self::of_file(&file),
            None => Ok(Self::of_variables(&facts(environment, host)?)),
        }
    }

    fn of_file((path, trusted): &(PathBuf, Trusted)) -> Result<Self, Failure> {
        let bytes =
            read_file(path, limits::POLICY_BYTES, *trusted, Class::Policy).map_err(|failure| {
                if failure.own_hint().is_some() || path.exists() {
                    return failure;
                }
                failure.hint(format!(
                    "there is no `{}`; `luet-cosign policy init` prints a policy to start from",
                    whole(path).display()
                ))
            })?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Failure::new(Class::Policy, format!("`{}` is not UTF-8", path.display()))
        })?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let origin = PolicyOrigin::File { path: path.display().to_string() };
        Ok(Self { text, origin, base: Base { folder, trusted: *trusted } })
    }

    fn of_variables(facts: &EnvironmentFacts) -> Self {
        Self {
            text: policy::from_env(facts),
            origin: PolicyOrigin::Environment { experimental: facts.experimental },
            base: Base { folder: PathBuf::new(), trusted: Trusted::NotOthers },
        }
    }

    fn parse(self) -> Result<FoundPolicy, Failure> {
        let origin = self.origin.clone();
        self.document().map_err(|problems| policy::failure(&problems, &origin))
    }

    /// Reads the document.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn document(self) -> Result<FoundPolicy, Vec<policy::Diagnostic>> {
        let document = Document::parse(&self.text)?;
        Ok(FoundPolicy { document, origin: self.origin, base: self.base })
    }
}

/// Returns the policy file in force, and who must have been the only one able to write it.
///
/// # Errors
/// `usage`: a variable is not UTF-8. A file that is named but missing is an error when it is read,
/// never "the next".
pub fn policy_file(
    environment: &Environment,
    named: Option<&Path>,
) -> Result<Option<(PathBuf, Trusted)>, Failure> {
    if let Some(path) = named {
        return Ok(Some((path.to_path_buf(), Trusted::NotOthers)));
    }
    if let Some(path) = environment.path("LUET_COSIGN_POLICY")? {
        return Ok(Some((path, Trusted::NotOthers)));
    }
    let mut candidates = vec![(PathBuf::from(SYSTEM_POLICY), Trusted::RootAlone)];
    if !rustix::process::geteuid().is_root() {
        let home = environment.path("HOME")?.map(|home| home.join(".config"));
        candidates.extend(
            environment
                .path("XDG_CONFIG_HOME")?
                .or(home)
                .map(|folder| (folder.join("luet-cosign/policy.yaml"), Trusted::NotOthers)),
        );
    }
    candidates.push((PathBuf::from(VENDOR_POLICY), Trusted::RootAlone));
    // Whatever is not plainly "not there" is there: a directory that cannot be entered must not loosen
    // anything.
    let there = |path: &Path| !matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
    Ok(candidates.into_iter().find(|(path, _)| there(path)))
}

/// Returns a path as it is found from everywhere; an empty one is the current directory's.
pub(super) fn whole(path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
