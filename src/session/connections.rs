//! The second step: how others are reached. Registries, credentials, proxies, certificate
//! authorities, trusted roots.
//!
//! It takes what a policy document says of networks, and nothing of its signers, keys and rules:
//! signing, or verifying for a named signer, must not fail for a policy that decides
//! nothing there. So a policy file that cannot be used is a warning here; the variables say then
//! how registries are reached, which gives no signature more weight (docs/policy.md).

use super::document::{FoundPolicy, Networks};
use super::keys::read_key;
use super::machine::{Host, Machine};
use super::watch::Watch;
use super::{client, process, roots};
use crate::class::Failure;
use crate::config::{Environment, Location, Trusted};
use crate::name::Registry;
use crate::registry::{Client, Credential};
use crate::sigstore::ProcessRoots;
use crate::trust::CertificateLog;
use std::ops::Deref;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// What a command adds to what the environment says.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// This policy file, in place of the one in force.
    pub policy: Option<PathBuf>,
    /// Registries that may be spoken to in plain http.
    pub http: Vec<Registry>,
    /// Credentials for registries, before all others.
    pub credentials: Vec<(Registry, Credential)>,
    /// Files with certificates of authorities that registries may use.
    pub ca: Vec<(Registry, PathBuf)>,
    /// This trusted root, in place of the default one.
    pub trusted_root: Option<PathBuf>,
    /// Files with certificates of the authorities of signers, in place of the default root's.
    pub authorities: Vec<PathBuf>,
    /// A file with certificates of the timestamp authority, in place of the default root's.
    pub timestamp_authorities: Option<PathBuf>,
    /// Whether certificates must have been logged.
    pub certificate_log: CertificateLog,
    /// Whether this is one of many events of a run of the host: then a key of the policy that lies
    /// behind a URL may be the one that another event fetched, and an anonymous token the one that
    /// another was given.
    pub keep_keys: bool,
    /// Set where containerd calls, and not luet: what holds the process to its deadline.
    pub watch: Option<Watch>,
}

impl SessionOptions {
    pub(super) fn host(&self) -> Host {
        if self.watch.is_some() { Host::default() } else { Host::caller() }
    }
}

/// A machine, and how it reaches others. No request is made yet.
#[derive(Debug)]
pub struct Connections {
    machine: Machine,
    client: Client,
    roots: ProcessRoots,
    certificate_log: CertificateLog,
    offline: bool,
    network_root: Result<Option<String>, Failure>,
    unread: Option<Failure>,
}

/// What the step before knows, this one knows as well.
impl Deref for Connections {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Connections {
    /// Says what was found and decided, where a command was told to (`--trace`).
    pub fn trace(&self, lines: impl FnOnce() -> Vec<String>) {
        if self.machine.environment().is_traced() {
            lines().iter().for_each(|line| process::trace(line));
        }
    }

    /// Runs a flow that asks no policy, on a runtime of its own.
    ///
    /// # Errors
    /// Those of the flow, and of [`Self::open`].
    pub fn run<T>(
        environment: &Environment,
        options: &SessionOptions,
        flow: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        process::run(async || {
            let connections = Self::open(environment, options)?;
            let result = flow(&connections).await;
            result.map_err(|failure| match connections.warning() {
                Some(warning) if failure.class().is_inconclusive() => failure.detail(warning),
                _ => failure,
            })
        })
    }

    /// Finds out how others are reached.
    ///
    /// # Errors
    /// `usage`, `policy`: a variable that is about networks makes no sense. What a policy file, a
    /// key or a rule is wrong about is none.
    pub fn open(environment: &Environment, options: &SessionOptions) -> Result<Self, Failure> {
        let networks = Networks::read(environment, options.policy.as_deref())?;
        let machine = Machine::of(environment, options.host())?;
        Self::new(machine, options, &networks, std::iter::empty())
    }

    /// The same for a policy in force, whose signers may have trusted roots of their own.
    pub(super) fn of(
        machine: Machine,
        options: &SessionOptions,
        found: &FoundPolicy,
    ) -> Result<Self, Failure> {
        let signers = found.document.signers().iter();
        let roots = signers.filter_map(|signer| signer.trusted_root.as_ref());
        Self::new(machine, options, &found.networks(), roots)
    }

    fn new<'a>(
        machine: Machine,
        options: &SessionOptions,
        networks: &'a Networks,
        roots_of_signers: impl Iterator<Item = &'a String>,
    ) -> Result<Self, Failure> {
        let environment = machine.environment();
        let mut config = client::client_config(&machine, networks, options)?;
        if let Some(watch) = &options.watch {
            client::for_containerd(&mut config, watch, environment, networks)?;
        }
        config.run = options.keep_keys.then(|| machine.locations().clone());
        let client = Client::new(config);
        let settings = roots::settings(&machine, options, networks, roots_of_signers, &client)?;
        let certificate_log = match options.certificate_log {
            CertificateLog::Required
                if !networks.is_file && environment.flag("COSIGN_INSECURE_IGNORE_SCT")? =>
            {
                CertificateLog::Ignored
            }
            given => given,
        };
        Ok(Self {
            offline: settings.offline,
            roots: ProcessRoots::new(settings),
            machine,
            client,
            certificate_log,
            network_root: match &networks.unread {
                _ if options.trusted_root.is_some() => Ok(None),
                Some(failure) => Err(failure.clone()),
                None => Ok(networks.network.trusted_root.clone()),
            },
            unread: networks.unread.clone(),
        })
    }

    /// Returns the client of registries.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the trusted roots.
    #[must_use]
    pub fn roots(&self) -> &ProcessRoots {
        &self.roots
    }

    /// Returns the name of the trusted root by which a signature that is made here is to be judged:
    /// `network.trusted_root` of the policy, for [`ProcessRoots::load`]; none for the default, which
    /// `--trusted-root` replaces.
    ///
    /// # Errors
    /// Why the policy file was not read: it may name one.
    pub fn network_root(&self) -> Result<Option<&String>, Failure> {
        self.network_root.as_ref().map(Option::as_ref).map_err(Failure::clone)
    }

    /// Returns whether certificates must have been logged.
    #[must_use]
    pub fn certificate_log(&self) -> CertificateLog {
        self.certificate_log
    }

    /// Whether no service of Sigstore may be asked anything.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Returns what is to be said where a policy file could not be used, although it decides
    /// nothing here.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let why = self.unread.as_ref()?.line();
        Some(format!(
            "warning: the policy file was not read ({why}); how registries are reached is taken from the variables alone"
        ))
    }

    /// Reads a key, from wherever it lies.
    ///
    /// # Errors
    /// `secret`: it cannot be read; `net` and others where it is behind a URL.
    pub async fn read_key(&self, location: &Location) -> Result<Zeroizing<Vec<u8>>, Failure> {
        read_key(location, Trusted::NotOthers, self.environment(), &self.client, None).await
    }
}
