//! Whose tokens a Fulcio takes: its answer to `GET /api/v2/configuration`.

use super::identity::fits;
use crate::class::{Class, Failure};
use crate::wire::json;
use serde::Deserialize;

/// Issuers that are named where a token is of none of them.
const LISTED: usize = 8;

/// The issuers of a Fulcio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuers(Vec<String>);

#[derive(Deserialize)]
struct ConfigurationWire {
    #[serde(default)]
    issuers: Vec<IssuerWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssuerWire {
    issuer_url: Option<String>,
    wildcard_issuer_url: Option<String>,
}

impl Issuers {
    /// Reads Fulcio's answer.
    ///
    /// # Errors
    /// `malformed`: it is something else.
    pub fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let configuration: ConfigurationWire = json::parse_as(bytes).map_err(|failure| {
            failure.as_class(Class::Malformed).within("Fulcio's description of itself")
        })?;
        let named = configuration
            .issuers
            .into_iter()
            .filter_map(|issuer| issuer.issuer_url.or(issuer.wildcard_issuer_url));
        Ok(Self(named.filter(|issuer| !issuer.is_empty()).collect()))
    }

    /// Whether tokens of an issuer are taken.
    #[must_use]
    pub fn takes(&self, issuer: &str) -> bool {
        self.0.iter().any(|pattern| fits(pattern, issuer))
    }

    pub(super) fn listed(&self) -> String {
        let mut shown: Vec<String> =
            self.0.iter().take(LISTED).map(|issuer| format!("`{issuer}`")).collect();
        if self.0.len() > LISTED {
            shown.push(format!("{} more", self.0.len() - LISTED));
        }
        if shown.is_empty() { "no issuer".to_owned() } else { shown.join(", ") }
    }
}
