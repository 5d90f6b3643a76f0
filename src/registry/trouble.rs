//! Why a try failed, and whether another one may help.

use super::transport::Forbidden;
use crate::class::{Class, Failure};
use std::error::Error;
use std::time::Duration;

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It will fail again.
    Final(Failure),
    /// It may pass: the connection, or a registry that is busy.
    Passing {
        failure: Failure,
        /// What the registry asked to wait.
        after: Option<Duration>,
        /// The other side did not speak HTTP: over plain http, perhaps it speaks TLS.
        not_http: bool,
    },
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

impl Trouble {
    pub(super) fn passing(failure: Failure) -> Self {
        Self::Passing { failure, after: None, not_http: false }
    }

    /// Reads an error of the HTTP library; the URL in it is left out, for it may hold a secret.
    pub(super) fn from_http(host: &str, error: reqwest::Error) -> Self {
        let connecting = error.is_connect();
        let error = error.without_url();
        let mut cause: &dyn Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
            if let Some(Forbidden(failure)) = cause.downcast_ref() {
                return Self::Final(failure.clone());
            }
        }
        let failure = Failure::new(Class::Net, format!("`{host}`: {cause}"));
        if is_tls(&error) {
            // Trying again changes nothing, and there is no falling back.
            let hint = "the certificate of this host is not trusted here: see SSL_CERT_FILE, or `ca` of the registry in the policy";
            return Self::Final(failure.hint(hint));
        }
        Self::Passing { failure, after: None, not_http: !connecting }
    }

    /// Nothing came for as long as may be.
    pub(super) fn silent(host: &str, idle: Duration) -> Self {
        Self::passing(Failure::new(
            Class::Net,
            format!("`{host}`: no answer for {} s", idle.as_secs_f32()),
        ))
    }

    /// The deadline passed.
    pub(super) fn late(host: &str) -> Self {
        Self::Final(late(host))
    }

    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Final(failure) | Self::Passing { failure, .. } => failure,
        }
    }
}

/// The failure of a deadline that passed.
pub(super) fn late(host: &str) -> Failure {
    Failure::new(Class::Net, format!("`{host}`: not done when the time was up"))
        .hint("check the network; LUET_COSIGN_TIMEOUT gives more time")
}

/// Returns whether the other side's TLS, most often its certificate, was what failed.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // An I/O error holds what it wraps, but does not call it its source.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || held.is_some_and(|held| is_tls(held))
        || error.source().is_some_and(is_tls)
}
