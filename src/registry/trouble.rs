//! Why a try failed, and whether another one may help.

use super::cause::Cause;
use super::transport::Forbidden;
use crate::class::{Class, Failure};
use std::error::Error;
use std::time::Duration;

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It will fail again.
    Final(Failure),
    /// TLS failed, and will fail again: there is no falling back.
    Tls { failure: Failure, cause: Cause },
    /// It may pass: the connection, or a registry that is busy.
    Passing {
        failure: Failure,
        /// What the registry asked to wait.
        after: Option<Duration>,
        /// The other side did not speak HTTP: over plain http, perhaps it speaks TLS.
        not_http: bool,
    },
}

const MORE_TIME: &str = "check the network, the proxy and the name of the registry; LUET_COSIGN_TIMEOUT gives more time";

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

impl Trouble {
    pub(super) fn passing(failure: Failure) -> Self {
        Self::Passing { failure, after: None, not_http: false }
    }

    /// Returns whether TLS is what failed.
    pub(super) fn is_tls(error: &reqwest::Error, asked: bool) -> bool {
        Cause::of(error, asked).is_some()
    }

    /// Reads an error of the HTTP library; the URL in it is left out, for it may hold a secret.
    /// `asked` says whether someone asked for a certificate of ours.
    pub(super) fn from_http(host: &str, error: reqwest::Error, asked: bool) -> Self {
        let connecting = error.is_connect();
        let error = error.without_url();
        let mut cause: &dyn Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
            if let Some(Forbidden(failure)) = cause.downcast_ref() {
                return Self::Final(failure.clone());
            }
        }
        if let Some(found) = Cause::of(&error, asked) {
            return Self::Tls { failure: found.failure(host, &error), cause: found };
        }
        if connecting && host.starts_with("https://") && is_end(&error) {
            return Self::passing(Cause::closed(host));
        }
        let why = if connecting && error.is_timeout() {
            "could not connect in time".to_owned()
        } else {
            cause.to_string()
        };
        let failure = Failure::new(Class::Net, format!("`{host}`: {why}"));
        Self::Passing { failure, after: None, not_http: !connecting }
    }

    /// Nothing came for as long as may be.
    pub(super) fn silent(host: &str, idle: Duration) -> Self {
        Self::passing(Failure::new(
            Class::Net,
            format!("`{host}`: no answer for {} s", idle.as_secs_f32()),
        ))
    }

    /// Nothing ever came from a host, for as long as a person waits for that.
    pub(super) fn never_answered(host: &str, first: Duration) -> Self {
        let text = format!("`{host}`: no answer at all for {} s", first.as_secs_f32());
        Self::Final(Failure::new(Class::Net, text)).wants_time()
    }

    /// Adds that more time can be had.
    pub(super) fn wants_time(mut self) -> Self {
        let (Self::Final(failure) | Self::Tls { failure, .. } | Self::Passing { failure, .. }) =
            &mut self;
        *failure = failure.clone().hint(MORE_TIME);
        self
    }

    /// The deadline passed.
    pub(super) fn late(host: &str) -> Self {
        Self::Final(late(host))
    }

    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Final(failure) | Self::Tls { failure, .. } | Self::Passing { failure, .. } => {
                failure
            }
        }
    }
}

/// The failure of a deadline that passed.
pub(super) fn late(host: &str) -> Failure {
    Failure::new(Class::Net, format!("`{host}`: not done when the time was up"))
        .hint("check the network; LUET_COSIGN_TIMEOUT gives more time")
}

/// Whether the other side ended the connection.
fn is_end(error: &(dyn Error + 'static)) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| matches!(io.kind(), ConnectionAborted | ConnectionReset | UnexpectedEof))
        || io.and_then(std::io::Error::get_ref).is_some_and(|held| is_end(held))
        || error.source().is_some_and(is_end)
}
