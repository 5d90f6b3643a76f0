//! Why TLS failed, as a fact: each cause has another way out, and only an authority that is not
//! known here is one for `SSL_CERT_FILE`.

use crate::class::{Class, Failure};
use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage};
use std::error::Error;

/// How many names of a certificate are shown.
const MAX_NAMES: usize = 5;

/// What was in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The other side does not speak TLS.
    Plain,
    /// The certificate's time is over, or has not come: its end or beginning, and the time here.
    Expired(UnixTime, UnixTime),
    NotYet(UnixTime, UnixTime),
    /// The certificate is for these names.
    Name(Vec<String>),
    /// By someone whom nothing here names.
    Authority,
    /// The other side wants a certificate of ours.
    ClientCertificate,
    /// It speaks no version of TLS, or no ciphers, that are spoken here.
    Old,
    /// Anything else.
    Other,
}

impl Cause {
    /// Finds what TLS had to say in an error of the HTTP library. `asked` says whether the other
    /// side asked for a certificate of ours on this connection, or another one of late.
    pub(super) fn of(error: &(dyn Error + 'static), asked: bool) -> Option<Self> {
        match tls_error(error) {
            Some(tls) => Some(Self::read(tls, asked)),
            // A server that wants a certificate may close the connection before its alert is read.
            None if asked && is_io(error) => Some(Self::ClientCertificate),
            None => None,
        }
    }

    fn read(error: &rustls::Error, asked: bool) -> Self {
        match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::Plain,
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::ExpiredContext { time, not_after } => {
                    Self::Expired(*not_after, *time)
                }
                CertificateError::NotValidYetContext { time, not_before } => {
                    Self::NotYet(*not_before, *time)
                }
                CertificateError::NotValidForNameContext { presented, .. } => {
                    Self::Name(presented.iter().map(|name| plain_name(name)).collect())
                }
                CertificateError::UnknownIssuer => Self::Authority,
                CertificateError::Other(other)
                    if matches!(
                        other.0.downcast_ref::<webpki::Error>(),
                        Some(webpki::Error::CaUsedAsEndEntity)
                    ) =>
                {
                    Self::Authority
                }
                _ => Self::Other,
            },
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired => Self::ClientCertificate,
                AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
                    Self::Old
                }
                AlertDescription::HandshakeFailure
                | AlertDescription::BadCertificate
                | AlertDescription::AccessDenied
                | AlertDescription::NoCertificate
                    if asked =>
                {
                    Self::ClientCertificate
                }
                AlertDescription::HandshakeFailure => Self::Old,
                _ => Self::Other,
            },
            rustls::Error::PeerIncompatible(_) => Self::Old,
            _ => Self::Other,
        }
    }

    /// Returns the failure where the other side ends the connection before it said anything in TLS.
    pub(super) fn closed(host: &str) -> Failure {
        let what = "closed the connection before it said anything in TLS";
        Failure::new(Class::Net, format!("`{host}` {what}")).hint(plain_hint(host))
    }

    /// Returns the failure, in words. `error` is what the library said.
    pub(super) fn failure(&self, host: &str, error: &dyn Error) -> Failure {
        let failure = |what: String| Failure::new(Class::Net, format!("`{host}`{what}"));
        match self {
            Self::Plain => failure(" speaks no TLS at this port; expected https".to_owned())
                .hint(plain_hint(host)),
            Self::Expired(end, now) => failure(format!(
                " has a certificate that ended on {}; the clock of this machine says {}",
                day(*end),
                day(*now)
            ))
            .hint("if that clock is right, the operator of the registry has to renew the certificate; otherwise set the clock"),
            Self::NotYet(start, now) => failure(format!(
                " has a certificate that begins on {}; the clock of this machine says {}",
                day(*start),
                day(*now)
            ))
            .hint("set the clock of this machine; if it is right, the operator of the registry has to check the certificate"),
            Self::Name(names) => {
                let more = names.len().saturating_sub(MAX_NAMES);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let names: Vec<String> =
                    names.iter().take(MAX_NAMES).map(|name| format!("`{name}`")).collect();
                let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
                failure(format!(" has a certificate for {names}{more}, not for this name")).hint(
                    "use a name that the certificate is for, or have it issued for this one",
                )
            }
            Self::Authority => failure(
                " has a certificate by an authority that is not trusted here".to_owned(),
            )
            .hint("when it should be, name a file with the authority's certificate in `ca` of the registry in the policy, or in SSL_CERT_FILE, which replaces those of the system"),
            Self::ClientCertificate => failure(
                " wants a certificate of its clients, and luet-cosign has none to show".to_owned(),
            )
            .hint("have this machine let in without one: by an address, or by user and password"),
            Self::Old => failure(
                " speaks no version of TLS, or no cipher, that is spoken here; expected TLS 1.2 or 1.3"
                    .to_owned(),
            )
            .hint("have the registry's TLS updated"),
            Self::Other => failure(format!(": TLS failed: {}", innermost(error))).hint(format!(
                "look at what it says with `openssl s_client -connect {}`",
                authority(host)
            )),
        }
    }
}

fn plain_hint(host: &str) -> String {
    format!(
        "where plain http is meant, name it in LUET_COSIGN_HTTP_REGISTRIES={}, or write `http: true` under `registries` of the policy",
        authority(host)
    )
}

/// Returns `host:port` of an origin, for a command or a variable.
fn authority(origin: &str) -> String {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    if has_port { host.to_owned() } else { format!("{host}:443") }
}

/// A name of a certificate as rustls presents it: `DnsName("a.example")`, `IpAddress(127.0.0.1)`.
fn plain_name(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"').to_owned()
}

fn day(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(
            || "a day that cannot be written".to_owned(),
            |time| time.strftime("%Y-%m-%d").to_string(),
        )
}

fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Looks through what wraps an error: an I/O error holds what it wraps, but does not call it its
/// source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    let held: Option<&(dyn Error + Send + Sync + 'static)> =
        error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    held.and_then(|held| tls_error(held)).or_else(|| error.source().and_then(tls_error))
}

fn is_io(error: &(dyn Error + 'static)) -> bool {
    error.is::<std::io::Error>() || error.source().is_some_and(is_io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_as_a_variable_takes_them() {
        for (origin, expected) in [
            ("https://registry.lan", "registry.lan:443"),
            ("https://registry.lan:5000", "registry.lan:5000"),
            ("https://[::1]", "[::1]:443"),
            ("https://[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(authority(origin), expected);
        }
    }

    #[test]
    fn names_are_shown_as_they_are_written() {
        assert_eq!(plain_name("DnsName(\"a.example\")"), "a.example");
        assert_eq!(plain_name("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(plain_name("odd"), "odd");
    }
}
