//! The first step: this machine. The environment, who called, where files of ours lie, the time.

use crate::class::Failure;
use crate::config::Environment;
use crate::luet::{self, CommandLine};
use crate::name::Repository;
use crate::store::Locations;
use jiff::Timestamp;
use std::sync::OnceLock;

/// What a flow knows without asking a policy or a network.
#[derive(Debug)]
pub struct Machine {
    environment: Environment,
    host: Host,
    locations: Locations,
    now: Timestamp,
}

/// Who called, and how luet is configured there, which is read once and only where it is asked for.
/// Without a command line where another host than luet called: its own would be misread.
#[derive(Debug, Default)]
pub struct Host {
    line: CommandLine,
    luet: OnceLock<luet::Configuration>,
}

impl Host {
    /// Takes the caller: luet, in an event.
    #[must_use]
    pub fn caller() -> Self {
        let line = rustix::process::getppid()
            .map(|host| CommandLine::of(host.as_raw_nonzero().get().unsigned_abs()))
            .unwrap_or_default();
        Self { line, luet: OnceLock::new() }
    }

    pub(super) fn luet(&self, environment: &Environment) -> &luet::Configuration {
        self.luet.get_or_init(|| luet::Configuration::read(&self.line, environment))
    }
}

impl Machine {
    /// Looks at the machine, once.
    ///
    /// # Errors
    /// `usage`: a variable that says where files lie makes no sense.
    pub fn open(environment: &Environment) -> Result<Self, Failure> {
        Self::of(environment, Host::caller())
    }

    pub(super) fn of(environment: &Environment, host: Host) -> Result<Self, Failure> {
        Ok(Self {
            environment: environment.clone(),
            host,
            locations: environment.locations()?,
            now: Timestamp::now(),
        })
    }

    /// Returns the environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the command line of the host that called.
    #[must_use]
    pub fn host(&self) -> &CommandLine {
        &self.host.line
    }

    /// Returns how luet is configured.
    pub(super) fn luet(&self) -> &luet::Configuration {
        self.host.luet(&self.environment)
    }

    /// Returns where files that we keep lie.
    #[must_use]
    pub fn locations(&self) -> &Locations {
        &self.locations
    }

    /// Returns the time at which it was looked at.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns `COSIGN_REPOSITORY`: it replaces registry and path of where signatures lie.
    ///
    /// # Errors
    /// `reference`: it names no repository.
    pub fn signature_repository(&self) -> Result<Option<Repository>, Failure> {
        self.environment
            .text("COSIGN_REPOSITORY")?
            .map(|text| {
                text.parse().map_err(|failure: Failure| failure.within("COSIGN_REPOSITORY"))
            })
            .transpose()
    }
}
