//! The first step: this machine. The environment, who called, where files of ours lie, the time.

use crate::class::Failure;
use crate::config::Environment;
use crate::luet::CommandLine;
use crate::name::Repository;
use crate::store::Locations;
use jiff::Timestamp;

/// What a flow knows without asking a policy or a network.
#[derive(Debug)]
pub struct Machine {
    environment: Environment,
    host: CommandLine,
    locations: Locations,
    now: Timestamp,
}

/// Returns the command line of whoever called: luet's, in an event.
pub(super) fn caller() -> CommandLine {
    rustix::process::getppid()
        .map(|host| CommandLine::of(host.as_raw_nonzero().get().unsigned_abs()))
        .unwrap_or_default()
}

impl Machine {
    /// Looks at the machine, once.
    ///
    /// # Errors
    /// `usage`: a variable that says where files lie makes no sense.
    pub fn open(environment: &Environment) -> Result<Self, Failure> {
        Ok(Self { host: caller(), ..Self::without_host(environment)? })
    }

    /// The same where another host than luet called.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn without_host(environment: &Environment) -> Result<Self, Failure> {
        Ok(Self {
            environment: environment.clone(),
            host: CommandLine::default(),
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
        &self.host
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
