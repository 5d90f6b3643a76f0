//! What can be known of a keyless signature before anything is public: who will sign, whether
//! Fulcio takes the token, whether the services answer, for how long the token counts.
//!
//! Nothing here leaves a trace in a log: no certificate is asked for. What comes out can be kept
//! for a run: the name that the token gives, never the token.

use super::Signer;
use super::keyless::KeylessSigner;
use crate::class::{Class, Failure};
use crate::limits;
use crate::oidc::{ExpectedIdentity, IdentityToken, Issuers};
use crate::registry::{Client, SecretCall};
use crate::session::Connections;
use crate::sigstore::LogVersion;
use crate::trust::{Certificate, SubjectName};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// Who is going to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreseen {
    /// The name and issuer.
    pub who: ExpectedIdentity,
    /// Where the token comes from.
    pub from: String,
    /// When it ends, in seconds since 1970, where it says so and a new one cannot be had.
    ends: Option<i64>,
    /// How far Fulcio's clock is ahead of this machine's, in seconds.
    ahead: i64,
    /// What should be known although it can be signed.
    #[serde(skip)]
    pub notices: Vec<String>,
}

impl fmt::Display for Foreseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (issuer `{}`)", self.who.name, self.who.issuer)
    }
}

impl Foreseen {
    /// Returns what a certificate will say, to ask a policy about.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        let name = self.who.name.clone();
        let subject =
            if self.who.is_email { SubjectName::Email(name) } else { SubjectName::Uri(name) };
        Certificate::expected(subject, self.who.issuer.clone(), self.who.claims.iter().cloned())
    }

    /// Refuses where the token will have ended when the image is there.
    ///
    /// # Errors
    /// `auth`: there is too little time left.
    pub fn check_left(&self, now: Timestamp) -> Result<(), Failure> {
        let now = now.saturating_add(SignedDuration::from_secs(self.ahead)).unwrap_or(now);
        let ends = self.ends.and_then(|second| Timestamp::from_second(second).ok());
        match ends {
            Some(ends) if ends < now.saturating_add(limits::TOKEN_LEFT).unwrap_or(now) => {
                Err(Failure::new(
                    Class::Auth,
                    format!(
                        "the identity token from {} expires at {} and cannot be renewed: an image pushed now could not be signed",
                        self.from,
                        ends.strftime("%Y-%m-%d %H:%M:%S UTC")
                    ),
                )
                .hint("publish in a job of its own, which gets a new token, or set LUET_COSIGN_RUN_CERTIFICATE=1 (docs/publishing.md)"))
            }
            _ => Ok(()),
        }
    }
}

impl Signer {
    /// Finds out who will sign, and whether it will be possible; `None` for a key. Nothing becomes
    /// public.
    ///
    /// # Errors
    /// `auth`: no token, or one that Fulcio does not take. `net` and others: a service that is
    /// needed does not answer.
    pub async fn foresee(&self, connections: &Connections) -> Result<Option<Foreseen>, Failure> {
        match self.as_keyless() {
            Some(keyless) => self.foresee_keyless(keyless, connections).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns what a foreseen signer depends on, to keep it under; `None` for a key.
    #[must_use]
    pub fn depends_on(&self) -> Option<[String; 4]> {
        let keyless = self.as_keyless()?;
        let logs = self.logs.as_ref();
        Some([
            keyless.source_id(),
            keyless.fulcio().to_owned(),
            logs.map(|logs| logs.log.url.clone()).unwrap_or_default(),
            logs.and_then(|logs| logs.tsa.clone()).unwrap_or_default(),
        ])
    }

    async fn foresee_keyless(
        &self,
        keyless: &KeylessSigner,
        connections: &Connections,
    ) -> Result<Foreseen, Failure> {
        let (client, now) = (connections.client(), connections.now());
        // Its clock decides, not ours, and it says whose tokens it takes.
        let (issuers, theirs) = describe(client, keyless.fulcio()).await?;
        let token = keyless.new_token(connections).await?;
        let at = theirs.unwrap_or(now);
        token.check_time(at)?;
        if let Some(issuers) = &issuers {
            token.check_issuer(issuers)?;
        }
        let mut notices = Vec::new();
        notices.extend(self.ask_logs(client).await?);
        notices.extend(short(&token, at));
        let found = Foreseen {
            who: token.identity()?,
            from: token.origin().name.clone(),
            ends: token
                .claims()
                .expires
                .filter(|_| !token.origin().renewable)
                .map(Timestamp::as_second),
            ahead: at.duration_since(now).as_secs(),
            notices,
        };
        keyless.keep_token(token).await;
        Ok(found)
    }

    /// Asks log and timestamp authority whether they are there. One without which a signature can
    /// be made is said to be missing.
    async fn ask_logs(&self, client: &Client) -> Result<Option<String>, Failure> {
        let Some(logs) = &self.logs else { return Ok(None) };
        let promised = logs.log.version == LogVersion::V1;
        let path = if promised { "api/v1/log" } else { "healthz" };
        answers(client, &format!("{}/{path}", logs.log.url.trim_end_matches('/'))).await.map_err(
            |failure| {
                failure
                    .within("the transparency log")
                    .hint("check the network, and COSIGN_REKOR_URL or the signing configuration")
            },
        )?;
        let Some(tsa) = &logs.tsa else { return Ok(None) };
        match answers(client, &format!("{}/certchain", tsa.trim_end_matches('/'))).await {
            Ok(()) => Ok(None),
            Err(failure) if promised => Ok(Some(format!(
                "the timestamp authority does not answer ({}): signatures are made without it",
                failure.message()
            ))),
            Err(failure) => Err(failure.within("the timestamp authority").hint(
                "check the network, and COSIGN_TIMESTAMP_SERVER_URL or the signing configuration",
            )),
        }
    }
}

/// Says of a token that cannot be renewed for how long images can be signed with it.
fn short(token: &IdentityToken, now: Timestamp) -> Option<String> {
    if token.origin().renewable {
        return None;
    }
    let left = token.left(now)?;
    (left < limits::TOKEN_SHORT).then(|| {
        format!(
            "the identity token from {} expires in {} s and cannot be renewed: images pushed later cannot be signed",
            token.origin().name,
            left.as_secs()
        )
    })
}

/// Asks Fulcio whose tokens it takes, and what time it is there. A Fulcio that does not say is
/// there all the same.
async fn describe(
    client: &Client,
    fulcio: &str,
) -> Result<(Option<Issuers>, Option<Timestamp>), Failure> {
    let call = SecretCall {
        url: &format!("{}/api/v2/configuration", fulcio.trim_end_matches('/')),
        query: &[],
        authorization: Zeroizing::default(),
        document: None,
        cap: limits::SERVICE_BYTES,
    };
    let answer = client.secretly(&call).await.map_err(|failure| {
        failure
            .within("Fulcio")
            .hint("check the network, and COSIGN_FULCIO_URL or the signing configuration")
    })?;
    let date = answer
        .date
        .as_deref()
        .and_then(|text| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()));
    let issuers = (answer.status == 200).then(|| Issuers::read(&answer.body).ok()).flatten();
    Ok((issuers, date))
}

async fn answers(client: &Client, url: &str) -> Result<(), Failure> {
    client.question(url, None, limits::SERVICE_BYTES).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreseen(ends: Option<i64>) -> Foreseen {
        Foreseen {
            who: ExpectedIdentity {
                name: "dev@example.com".to_owned(),
                is_email: true,
                issuer: "https://accounts.google.com".to_owned(),
                certain: true,
                claims: Vec::new(),
            },
            from: "SIGSTORE_ID_TOKEN".to_owned(),
            ends,
            ahead: 100,
            notices: vec!["once".to_owned()],
        }
    }

    #[test]
    fn a_token_that_ends_while_an_image_is_pushed_is_refused_by_fulcio_s_clock() {
        let now = Timestamp::from_second(1_000).unwrap();
        assert!(foreseen(None).check_left(now).is_ok());
        assert!(foreseen(Some(1_130)).check_left(now).is_ok());
        let failure = foreseen(Some(1_129)).check_left(now).unwrap_err();
        assert_eq!(failure.class(), Class::Auth);
        assert!(failure.text().contains("SIGSTORE_ID_TOKEN expires at 1970-01-01 00:18:49 UTC"));
    }

    #[test]
    fn what_is_kept_for_the_run_says_its_notices_once() {
        let bytes = serde_json::to_vec(&foreseen(Some(1))).unwrap();
        let read: Foreseen = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read, Foreseen { notices: Vec::new(), ..foreseen(Some(1)) });
        assert!(read.to_string().contains("dev@example.com"));
    }
}
