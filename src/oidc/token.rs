//! An identity token: the secret, what it says, and why Fulcio would not take it.

use super::claims::{TokenClaims, no_token};
use super::identity::{self, ExpectedIdentity};
use super::issuers::Issuers;
use crate::class::{Class, Failure};
use crate::limits;
use jiff::Timestamp;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// Whom a token for Sigstore is made for.
pub const AUDIENCE: &str = "sigstore";

/// A JWT that says who we are. Wiped when dropped; neither shown nor written anywhere.
///
/// What it claims is not verified here: Fulcio does that, and we verify the certificate that it
/// makes.
#[derive(Clone)]
pub struct IdentityToken {
    text: Zeroizing<String>,
    claims: TokenClaims,
    origin: TokenOrigin,
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityToken(..)")
    }
}

/// Where a token came from, as errors name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOrigin {
    /// The flag, variable, file or service.
    pub name: String,
    /// Where the audience is said that a token of this origin is made for.
    pub(super) audience_hint: &'static str,
    /// Whether asking again gives a fresh one.
    pub renewable: bool,
}

impl IdentityToken {
    /// Reads a token; blanks and ends of lines around it are forgiven.
    ///
    /// # Errors
    /// `auth`: it is not a JWT, or larger than one is. Nothing of it is shown.
    pub(super) fn parse(text: &str, origin: TokenOrigin) -> Result<Self, Failure> {
        let text = text.trim();
        if text.is_empty() {
            return Err(no_token(&origin.name, "it is empty"));
        }
        if u64::try_from(text.len()).is_ok_and(|bytes| bytes > limits::IDENTITY_TOKEN_BYTES) {
            let most = limits::IDENTITY_TOKEN_BYTES;
            return Err(no_token(&origin.name, &format!("it is larger than {most} bytes")));
        }
        let claims = TokenClaims::of(text).map_err(|why| no_token(&origin.name, &why))?;
        Ok(Self { text: Zeroizing::new(text.to_owned()), claims, origin })
    }

    /// Returns the secret itself: for one header, of Fulcio.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// Returns what the token claims. It is no secret, and not verified.
    #[must_use]
    pub fn claims(&self) -> &TokenClaims {
        &self.claims
    }

    /// Returns where it came from.
    #[must_use]
    pub fn origin(&self) -> &TokenOrigin {
        &self.origin
    }

    /// Returns who a certificate for this token is for.
    ///
    /// # Errors
    /// `auth`: a claim is missing that the name is made of.
    pub fn identity(&self) -> Result<ExpectedIdentity, Failure> {
        identity::expected(&self.claims).map_err(|why| {
            self.failure(why)
                .hint("use a token that the CI issues to this job, with the audience `sigstore`")
        })
    }

    /// Returns how long the token counts from `now` on; `None` where it does not say.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let left = self.claims.expires?.duration_since(now);
        Some(Duration::try_from(left).unwrap_or_default())
    }

    /// Refuses, before anyone is sent the token, what Fulcio would not take whatever the time is:
    /// one that was made for someone else must not be shown to Fulcio either.
    ///
    /// # Errors
    /// `auth`: made for another audience, no name in it, or an e-mail address that nobody verified.
    pub fn check(&self) -> Result<(), Failure> {
        let claims = &self.claims;
        if !claims.audience.iter().any(|audience| audience == AUDIENCE) {
            let found = match claims.audience.as_slice() {
                [] => "none".to_owned(),
                several => format!("`{}`", several.join("`, `")),
            };
            return Err(self
                .failure(format!("wrong audience: found {found}, expected `{AUDIENCE}`"))
                .hint(self.origin.audience_hint));
        }
        let expected = self.identity()?;
        // A Fulcio of one's own may be told to take it.
        if expected.certain { self.check_email(&expected) } else { Ok(()) }
    }

    fn check_email(&self, expected: &ExpectedIdentity) -> Result<(), Failure> {
        if expected.is_email && !self.claims.email_verified {
            return Err(self
                .failure(format!("the e-mail address `{}` is not verified", expected.name))
                .hint("verify it with your identity provider, then get a new token"));
        }
        Ok(())
    }

    /// Refuses a token that does not count at `now`, which is Fulcio's time where that is known.
    ///
    /// # Errors
    /// `auth`: expired, or not valid yet.
    pub fn check_time(&self, now: Timestamp) -> Result<(), Failure> {
        if let Some(end) = self.claims.expires
            && end <= now
        {
            let hint = if self.origin.renewable {
                "run it again: a new token is requested each time; if it happens again, check the clock of the token service"
            } else {
                "this token cannot be renewed: get a new one, or sign sooner after the job starts (docs/publishing.md)"
            };
            return Err(self
                .failure(format!("expired at {}; it is now {}", shown(end), shown(now)))
                .hint(hint));
        }
        // Fulcio's library forgives five minutes here, and nothing at the end.
        if let Some(begin) = self.claims.not_before
            && begin > now.saturating_add(limits::TOKEN_LEEWAY).unwrap_or(now)
        {
            return Err(self
                .failure(format!("not valid before {}; it is now {}", shown(begin), shown(now)))
                .hint("check the clock of the token's issuer"));
        }
        Ok(())
    }

    /// Says why Fulcio refused the token: it gives one answer for every fault. `now` is its `Date`,
    /// where it sent one, and `issuers` what it says of itself, where it was asked.
    #[must_use]
    pub fn refused(&self, now: Timestamp, issuers: Option<&Issuers>, answer: &str) -> Failure {
        let why = self
            .check()
            .and_then(|()| self.check_time(now))
            .and_then(|()| self.check_email(&self.identity()?))
            .err();
        why.or_else(|| self.check_issuer(issuers?).err())
            .unwrap_or_else(|| {
                let issuer = &self.claims.issuer;
                let failure = self.failure("Fulcio refused it");
                if issuers.is_none() && !identity::is_public(issuer) {
                    failure.hint(format!("public Fulcio does not know the issuer `{issuer}`; one of your own is named by COSIGN_FULCIO_URL"))
                } else {
                    failure.hint(format!("its audience, times and claims look right: check that `{issuer}` really signed it, and that Fulcio can reach that issuer"))
                }
            })
            .detail(format!("Fulcio answered: {answer}"))
    }

    /// Refuses a token by an issuer that a Fulcio does not take.
    ///
    /// # Errors
    /// `auth`: the issuer is unknown there.
    pub fn check_issuer(&self, issuers: &Issuers) -> Result<(), Failure> {
        let issuer = &self.claims.issuer;
        if issuers.takes(issuer) {
            return Ok(());
        }
        Err(self
            .failure(format!("this Fulcio does not know the issuer `{issuer}`"))
            .detail(format!("it accepts {}", issuers.listed()))
            .hint("sign with a key, or run Sigstore services of your own and name them: COSIGN_FULCIO_URL, COSIGN_REKOR_URL"))
    }

    fn failure(&self, why: impl fmt::Display) -> Failure {
        Failure::new(Class::Auth, format!("the identity token from {}: {why}", self.origin.name))
    }
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::testing::jwt_with;
    use serde_json::{Value, json};

    fn token(changes: Value) -> IdentityToken {
        let origin = TokenOrigin {
            name: "SIGSTORE_ID_TOKEN".to_owned(),
            audience_hint: "ask for another",
            renewable: false,
        };
        IdentityToken::parse(&format!("\n{}\r\n", jwt_with(changes)), origin).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// In the time that the test's token counts.
    const GOOD: i64 = 1_700_000_100;

    fn issuers() -> Issuers {
        Issuers::read(br#"{"issuers":[{"issuerUrl":"https://accounts.google.com","audience":"sigstore","challengeClaim":"email","issuerType":"email"},{"wildcardIssuerUrl":"https://oidc.eks.*.amazonaws.com/id/*","audience":"sigstore"}]}"#).unwrap()
    }

    #[test]
    fn fulcio_s_one_answer_is_explained_from_the_claims_and_its_clock() {
        for (changes, now, expected) in [
            (
                json!({}),
                1_700_000_600,
                "expired at 2023-11-14 22:23:20 UTC; it is now 2023-11-14 22:23:20 UTC",
            ),
            (json!({}), 1_699_999_000, "not valid before 2023-11-14 22:13:20 UTC"),
            (
                json!({"aud": "https://github.com/acme"}),
                GOOD,
                "wrong audience: found `https://github.com/acme`, expected `sigstore`",
            ),
            (json!({"aud": null}), GOOD, "wrong audience: found none"),
            (
                json!({"iss": "https://unknown.example"}),
                GOOD,
                "does not know the issuer `https://unknown.example`",
            ),
            (
                json!({"email_verified": false}),
                GOOD,
                "the e-mail address `dev@example.com` is not verified",
            ),
            (json!({"email_verified": null}), GOOD, "is not verified"),
            (json!({"email": null}), GOOD, "the token has no claim `email`"),
            (
                json!({"iss": "https://own.example", "email_verified": false}),
                GOOD,
                "is not verified",
            ),
            (json!({}), GOOD, "Fulcio refused it"),
        ] {
            let failure =
                token(changes.clone()).refused(at(now), Some(&issuers()), "There was an error");
            assert_eq!(failure.class(), Class::Auth, "{changes}");
            let text = failure.text();
            assert!(
                text.contains(expected) && text.contains("There was an error"),
                "{changes}: {text}"
            );
            assert!(text.contains("SIGSTORE_ID_TOKEN"), "{text}");
        }
        let unknown =
            token(json!({"iss": "https://unknown.example"})).refused(at(GOOD), None, "no");
        assert!(unknown.text().contains("public Fulcio does not know"), "{}", unknown.text());
    }

    #[test]
    fn times_are_judged_as_fulcio_judges_them() {
        let token = token(json!({}));
        for (now, fine) in [
            (1_699_999_699, false),
            (1_699_999_700, true),
            (1_700_000_599, true),
            (1_700_000_600, false),
        ] {
            assert_eq!(token.check_time(at(now)).is_ok(), fine, "{now}");
        }
        assert_eq!(token.left(at(GOOD)), Some(Duration::from_secs(500)));
        assert_eq!(token.left(at(1_800_000_000)), Some(Duration::ZERO));
        let timeless = self::token(json!({"exp": null, "nbf": null}));
        assert!(timeless.check_time(at(1)).is_ok() && timeless.left(at(1)).is_none());
    }

    #[test]
    fn a_workload_needs_no_e_mail_and_a_verified_one_is_no_name_of_it() {
        let workload = token(json!({
            "iss": "https://token.actions.githubusercontent.com",
            "job_workflow_ref": "a/b/.github/workflows/c.yml@refs/heads/main",
            "email": "dev@example.com", "email_verified": false,
        }));
        workload.check().unwrap();
        assert!(!workload.identity().unwrap().is_email);
    }

    #[test]
    fn a_token_is_larger_than_no_token_is() {
        let origin = token(json!({})).origin;
        let long = jwt_with(json!({"sub": "x".repeat(70_000)}));
        let failure = IdentityToken::parse(&long, origin).unwrap_err();
        assert_eq!(failure.class(), Class::Auth);
        assert!(failure.text().len() < 500);
    }
}
