//! The third step: the policy in force, with its keys. Only who asks it takes this step; a policy
//! that cannot be used, or a key of it that cannot be had, ends here.

use super::connections::{Connections, SessionOptions};
use super::document::{FoundPolicy, Text};
use super::keys::read_keys;
use super::machine::{Host, Machine};
use super::{client, process, variables};
use crate::class::Failure;
use crate::config::Environment;
use crate::policy::{self, Diagnostic, Policy, PolicyOrigin};
use crate::registry::Client;
use std::ops::Deref;
use std::path::Path;

/// A policy as found, with what is to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Its warnings.
    pub warnings: Vec<Diagnostic>,
    /// Variables that are set and that the policy file makes inert.
    pub inert: Vec<&'static str>,
}

impl Loaded {
    /// Returns what is to be said, wherever names are looked at, of expressions that let in more of
    /// them than it looks like.
    #[must_use]
    pub fn open_expressions(&self) -> Vec<String> {
        let open = |warning: &&Diagnostic| warning.code == policy::OPEN_EXPRESSION;
        let origin = self.policy.origin();
        let text = |warning: &Diagnostic| format!("warning: {}", warning.text(origin));
        self.warnings.iter().filter(open).map(text).collect()
    }
}

/// One event, or one command, that the policy decides about.
#[derive(Debug)]
pub struct Session {
    connections: Connections,
    loaded: Loaded,
}

/// What the steps before know, this one knows as well.
impl Deref for Session {
    type Target = Connections;

    fn deref(&self) -> &Connections {
        &self.connections
    }
}

impl Session {
    /// Runs a flow under the policy in force, on a runtime of its own.
    ///
    /// # Errors
    /// Those of the flow; `policy`, `secret`, `usage` where the policy cannot be used.
    pub fn run<T>(
        environment: &Environment,
        options: &SessionOptions,
        flow: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        process::run(async || flow(&Self::open(environment, options).await?).await)
    }

    async fn open(environment: &Environment, options: &SessionOptions) -> Result<Self, Failure> {
        let host = options.host();
        let found = FoundPolicy::read(environment, options.policy.as_deref(), &host)?;
        let connections = Connections::of(Machine::of(environment, host)?, options, &found)?;
        let keep_in = options.keep_keys.then(|| connections.locations());
        let keys = read_keys(&found, environment, connections.client(), keep_in).await;
        let inert = if found.is_file() {
            variables::inert(environment, &found.document)
        } else {
            Vec::new()
        };
        let origin = found.origin.clone();
        let (policy, warnings) = Policy::new(found.document, found.origin, keys, connections.now())
            .map_err(|problems| policy::failure(&problems, &origin))?;
        Ok(Self { connections, loaded: Loaded { policy, warnings, inert } })
    }

    /// Returns the policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.loaded.policy
    }

    /// Returns the policy with what is to be said about it.
    #[must_use]
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }
}

/// A policy with everything that is to be said about it.
#[derive(Debug)]
pub struct Linted {
    /// What is to be said.
    pub problems: Vec<Diagnostic>,
    /// Where the policy comes from.
    pub origin: PolicyOrigin,
    /// Its text.
    pub text: String,
}

/// Returns everything that is to be said about the policy in force, and where it comes from.
///
/// # Errors
/// `policy`: the file cannot be read at all; `usage`: a variable makes no sense.
pub fn lint(environment: &Environment, named: Option<&Path>) -> Result<Linted, Failure> {
    let host = Host::caller();
    let source = Text::read(environment, named, &host)?;
    let (origin, text) = (source.origin.clone(), source.text.clone());
    let found = match source.document() {
        Ok(found) => found,
        Err(problems) => return Ok(Linted { problems, origin, text }),
    };
    let machine = Machine::of(environment, host)?;
    let config = client::client_config(&machine, &found.networks(), &SessionOptions::default())?;
    for ca in config.extra_ca.values() {
        ca.as_ref().map_err(Failure::clone)?;
    }
    let client = Client::new(config);
    let keys = process::run(async || Ok(read_keys(&found, environment, &client, None).await))?;
    let now = machine.now();
    let problems = match Policy::new(found.document, origin.clone(), keys, now) {
        Ok((policy, mut problems)) => {
            problems.extend(policy.missing_mirrors(&machine.luet().mirrors(), now));
            problems
        }
        Err(problems) => problems,
    };
    Ok(Linted { problems, origin, text })
}
