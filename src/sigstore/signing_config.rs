//! Which services sign: the signing configuration, and what replaces it.
//!
//! Source: sigstore protobuf-specs `sigstore_trustroot.proto` (`SigningConfig`). Of services that
//! count now the highest version wins, and of these the first; one log and one timestamp authority
//! are used.

use crate::class::{Class, Failure};
use crate::registry::Client;
use crate::wire::json;
use jiff::Timestamp;
use sigstore::trust_root::{
    SIGNING_CONFIG_MEDIA_TYPE, ServiceConfiguration, ServiceEndpoint, ServiceSelector,
    SigningConfig,
};
use std::fmt;

/// Which services sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// Who makes certificates.
    pub fulcio: Option<String>,
    /// Which log gets entries.
    pub log: Option<LogService>,
    /// Who says the time.
    pub tsa: Option<String>,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogService {
    /// Where it is.
    pub url: String,
    /// How it is spoken to.
    pub version: LogVersion,
}

/// The API of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogVersion {
    /// Rekor v1, which promises an entry and says when.
    V1,
    /// Rekor v2, which proves it and says no time.
    V2,
}

impl fmt::Display for LogService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            LogVersion::V1 => 1,
            LogVersion::V2 => 2,
        };
        write!(f, "`{}` (Rekor v{version})", self.url)
    }
}

impl Services {
    /// Reads a signing configuration, as it counts at a time.
    ///
    /// # Errors
    /// `trustroot`: no such document, or a service whose address cannot be used. `unsupported`: it
    /// wants several logs or timestamp authorities at once.
    pub fn parse(bytes: &[u8], name: &str, now: Timestamp) -> Result<Self, Failure> {
        let what = format!("the signing configuration {name}");
        let wrong = |why: &dyn fmt::Display| {
            Failure::new(Class::Trustroot, format!("{what}: {why}"))
                .hint("expected a document of the type that `cosign signing-config create` writes")
        };
        let value = json::parse(bytes).map_err(|failure| wrong(&failure.message()))?;
        let config: SigningConfig = serde_json::from_value(value).map_err(|error| wrong(&error))?;
        if config.media_type != SIGNING_CONFIG_MEDIA_TYPE {
            return Err(wrong(&format!(
                "the media type `{}`; expected `{SIGNING_CONFIG_MEDIA_TYPE}`",
                config.media_type
            )));
        }
        let logs = choose(&config.rekor_tlog_urls, &[1, 2], now);
        let stampers = choose(&config.tsa_urls, &[1], now);
        check_number("logs", &config.rekor_tlog_config, &logs)
            .and_then(|()| check_number("timestamp authorities", &config.tsa_config, &stampers))
            .map_err(|failure| failure.within(&what))?;
        let services = Self {
            fulcio: choose(&config.ca_urls, &[1], now).first().map(|found| found.url.clone()),
            log: logs.first().map(|log| LogService {
                url: log.url.clone(),
                version: if log.major_api_version == 2 { LogVersion::V2 } else { LogVersion::V1 },
            }),
            tsa: stampers.first().map(|found| found.url.clone()),
        };
        services.checked().map_err(|failure| failure.within(what).as_class(Class::Trustroot))
    }

    /// Checks that the addresses can be used.
    ///
    /// # Errors
    /// `usage`: one is not an address, or neither https nor on this machine.
    pub fn checked(self) -> Result<Self, Failure> {
        let log = self.log.as_ref().map(|log| &log.url);
        for url in [self.fulcio.as_ref(), log, self.tsa.as_ref()].into_iter().flatten() {
            Client::check_address(url)?;
        }
        Ok(self)
    }
}

/// Returns the services of the highest version that count at a time.
fn choose<'a>(
    endpoints: &'a [ServiceEndpoint],
    versions: &[u32],
    now: Timestamp,
) -> Vec<&'a ServiceEndpoint> {
    let counts = |endpoint: &&ServiceEndpoint| {
        versions.contains(&endpoint.major_api_version) && endpoint.valid_for.contains(now)
    };
    let counting: Vec<_> = endpoints.iter().filter(counts).collect();
    let highest = counting.iter().map(|endpoint| endpoint.major_api_version).max();
    counting.into_iter().filter(|found| Some(found.major_api_version) == highest).collect()
}

/// Refuses a configuration that wants more than one of a kind: a signature with less than it wants
/// might not be accepted where it counts.
fn check_number(
    what: &str,
    wanted: &ServiceConfiguration,
    found: &[&ServiceEndpoint],
) -> Result<(), Failure> {
    let operators = || {
        let mut seen: Vec<_> = found.iter().map(|endpoint| &endpoint.operator).collect();
        seen.sort();
        seen.dedup();
        seen.len()
    };
    let number = match wanted.selector {
        ServiceSelector::All => operators(),
        ServiceSelector::Exact => {
            wanted.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
        }
        _ => 1,
    };
    if number <= 1 {
        return Ok(());
    }
    Err(Failure::new(Class::Unsupported, format!("{number} {what} at once; one is used here"))
        .hint("give a signing configuration whose selectors are `ANY`: --signing-config"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use sigstore::trust_root::SIGSTORE_PRODUCTION_SIGNING_CONFIG;

    fn now() -> Timestamp {
        "2026-11-30T00:00:00Z".parse().unwrap()
    }

    fn public() -> Value {
        serde_json::from_str(SIGSTORE_PRODUCTION_SIGNING_CONFIG).unwrap()
    }

    fn read(config: &Value) -> Result<Services, Failure> {
        Services::parse(config.to_string().as_bytes(), "of the test", now())
    }

    #[test]
    fn the_public_services_are_those_that_are_documented() {
        let services = read(&public()).unwrap();
        assert_eq!(services.fulcio.as_deref(), Some("https://fulcio.sigstore.dev"));
        assert_eq!(services.log.unwrap().to_string(), "`https://rekor.sigstore.dev` (Rekor v1)");
        let tsa = "https://timestamp.sigstore.dev/api/v1/timestamp";
        assert_eq!(services.tsa.as_deref(), Some(tsa));
    }

    #[test]
    fn the_highest_version_that_counts_now_wins() {
        let log = |version: u32, start: &str| json!({"url": format!("https://v{version}.example"), "majorApiVersion": version, "validFor": {"start": start}, "operator": "x"});
        let mut config = public();
        let (past, future) = ("2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        for (logs, expected) in [
            (vec![log(1, past), log(2, past)], Some("https://v2.example")),
            (vec![log(1, past), log(2, future)], Some("https://v1.example")),
            (vec![log(1, past), log(3, past)], Some("https://v1.example")),
            (vec![log(1, future)], None),
            (vec![], None),
        ] {
            config["rekorTlogUrls"] = json!(logs);
            let found = read(&config).unwrap().log.map(|log| log.url);
            assert_eq!(found.as_deref(), expected, "{logs:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let class = |pointer: &str, value: Value| {
            let mut config = public();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            config.pointer_mut(parent).unwrap()[key] = value;
            read(&config).map(|_| ()).map_err(|failure| failure.class())
        };
        assert_eq!(class("/mediaType", json!("x")), Err(Class::Trustroot));
        assert_eq!(class("/caUrls/0/url", json!("http://fulcio.example")), Err(Class::Trustroot));
        assert_eq!(
            class("/tsaUrls/0/url", json!("https://u:p@tsa.example")),
            Err(Class::Trustroot)
        );
        assert_eq!(class("/rekorTlogConfig", json!({"selector": "SOME"})), Err(Class::Trustroot));
        let two = json!({"selector": "EXACT", "count": 2});
        assert_eq!(class("/rekorTlogConfig", two.clone()), Err(Class::Unsupported));
        assert_eq!(class("/tsaConfig", two), Err(Class::Unsupported));
        assert_eq!(class("/tsaConfig", json!({"selector": "ALL"})), Ok(()), "there is one");
        assert_eq!(class("/tsaUrls", json!([])), Ok(()));
    }
}
