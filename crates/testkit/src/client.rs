//! A client of registries with short times, and what its answers are.

use luet_cosign::class::{Class, Failure};
use luet_cosign::name::{Digest, Reference, Repository, Subject, Tag};
use luet_cosign::registry::{
    Client, Credential, CredentialScope, CredentialSources, RegistryConfig, Times,
};
use std::time::Duration;

/// Short times, so that nothing here waits for long.
pub fn config() -> RegistryConfig {
    let ms = Duration::from_millis;
    RegistryConfig {
        deadline: Duration::from_secs(20),
        times: Times {
            connect: ms(2000),
            idle: ms(3000),
            progress: ms(300),
            backoff: ms(1),
            ..Times::default()
        },
        ..RegistryConfig::default()
    }
}

pub fn client() -> Client {
    Client::new(config())
}

pub fn client_with(change: impl FnOnce(&mut RegistryConfig)) -> Client {
    let mut config = config();
    change(&mut config);
    Client::new(config)
}

/// A user and a password for one registry.
pub fn logged_in(host: &str) -> CredentialSources {
    with_credential(host, password("user", "password-canary"))
}

pub fn with_credential(host: &str, credential: Credential) -> CredentialSources {
    CredentialSources {
        explicit: vec![(CredentialScope::Registry(host.parse().unwrap()), credential).into()],
        ..CredentialSources::default()
    }
}

pub fn password(username: &str, password: &str) -> Credential {
    Credential::Password { username: username.into(), password: password.to_owned().into() }
}

/// Runs on a runtime as the program makes it.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub fn repository(text: &str) -> Repository {
    text.parse().unwrap()
}

pub fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

pub fn hash(text: &str) -> Digest {
    text.parse().unwrap()
}

pub fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub fn subject(name: &str, digest: &str) -> Subject {
    Subject { repository: repository(name), digest: hash(digest) }
}

/// Returns the class of a failure; panics on a success.
pub fn class<T: std::fmt::Debug>(result: Result<T, Failure>) -> Class {
    result.expect_err("expected a failure").class()
}
