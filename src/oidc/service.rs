//! Services of a CI that make a token for a job: GitHub Actions, and the agent's API of Buildkite.
//!
//! Each gets a secret of the job in one header. No redirects, https or this machine, bounded
//! answers; three tries where it says "later", none where it says "no".

use super::token::AUDIENCE;
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::limits;
use crate::registry::{Client, SecretCall};
use crate::wire::json;
use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

const GITHUB_PERMISSION: &str = "give the job `permissions: id-token: write`, and list every other permission that it needs beside it (`contents: read`, `packages: write`)";
const FORK: &str = "pull requests from forks never get a token; `sudo` without `-E` and `docker run` without `-e` drop the variables";

/// A service that is asked for a token.
#[derive(Clone)]
pub(super) struct TokenEndpoint {
    name: &'static str,
    url: String,
    query: &'static [(&'static str, &'static str)],
    authorization: Zeroizing<String>,
    document: Option<&'static str>,
    refused: &'static str,
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.name)
    }
}

/// Finds GitHub's service in the environment of a job.
///
/// # Errors
/// `auth`: this is a job that may not ask.
pub(super) fn github(environment: &Environment) -> Result<Option<TokenEndpoint>, Failure> {
    let url = environment.text("ACTIONS_ID_TOKEN_REQUEST_URL")?;
    let secret = environment.content("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?;
    match (url, secret) {
        (Some(url), Some(secret)) => Ok(Some(TokenEndpoint {
            name: "GitHub Actions",
            url: url.to_owned(),
            query: &[("audience", AUDIENCE)],
            authorization: Zeroizing::new(format!("bearer {secret}")),
            document: None,
            refused: GITHUB_PERMISSION,
        })),
        _ if environment.text("GITHUB_ACTIONS")? == Some("true") => Err(Failure::new(
            Class::Auth,
            "GitHub issues no identity token to this job: the job lacks the permission",
        )
        .detail(FORK)
        .hint(GITHUB_PERMISSION)),
        _ => Ok(None),
    }
}

/// Finds the agent's API of Buildkite in the environment of a job.
pub(super) fn buildkite(environment: &Environment) -> Result<Option<TokenEndpoint>, Failure> {
    let secret = environment.content("BUILDKITE_AGENT_ACCESS_TOKEN")?;
    let base = environment.text("BUILDKITE_AGENT_ENDPOINT")?;
    let job = environment.text("BUILDKITE_JOB_ID")?;
    let (Some(secret), Some(base), Some(job)) = (secret, base, job) else { return Ok(None) };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !job.chars().all(plain) {
        return Err(Failure::new(Class::Usage, "BUILDKITE_JOB_ID is not the id of a job"));
    }
    Ok(Some(TokenEndpoint {
        name: "Buildkite",
        url: format!("{}/jobs/{job}/oidc/tokens", base.trim_end_matches('/')),
        query: &[],
        authorization: Zeroizing::new(format!("Token {secret}")),
        document: Some(r#"{"audience":"sigstore"}"#),
        refused: "check that this step runs in the job itself, and that the agent may request OIDC tokens",
    }))
}

#[derive(Deserialize)]
struct AnswerWire {
    /// GitHub.
    value: Option<Zeroizing<String>>,
    /// Buildkite.
    token: Option<Zeroizing<String>>,
}

impl TokenEndpoint {
    /// Asks for a token.
    pub(super) async fn ask(&self, client: &Client) -> Result<Zeroizing<String>, Failure> {
        let call = SecretCall {
            url: &self.url,
            query: self.query,
            authorization: self.authorization.clone(),
            document: self.document.map(str::as_bytes),
            cap: limits::IDENTITY_TOKEN_BYTES,
        };
        let answer = client
            .secretly(&call)
            .await
            .map_err(|failure| failure.within(format!("the token service of {}", self.name)))?;
        let refused = |what: String| {
            Failure::new(Class::Auth, format!("the token service of {} {what}", self.name))
                .hint(self.refused)
        };
        match answer.status {
            200 | 201 => {}
            status => return Err(refused(format!("refused the job: status {status}"))),
        }
        // What it says instead may be anything, a piece of a token among it, and is not shown.
        let said: AnswerWire = json::parse_as(&answer.body)
            .map_err(|_| refused("did not answer with a token".to_owned()))?;
        said.value
            .or(said.token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| refused("answered without a token".to_owned()))
    }
}
