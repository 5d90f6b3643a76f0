//! What an identity token says, unverified: Fulcio is who checks it. What it says is enough to tell
//! who would sign, and why Fulcio refuses a token that it gives one message for.
//!
//! A JWT (RFC 7519) in the compact form of RFC 7515: three parts of base64url. Nothing here needs
//! the time or the network.

use crate::class::{Class, Failure, counted, holds_token};
use crate::limits;
use crate::wire::json;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// The claims of a token that matter here. They are no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenClaims {
    /// Who made the token (`iss`).
    pub issuer: String,
    /// Whom it is about (`sub`).
    pub subject: String,
    /// Whom it is for (`aud`).
    pub audience: Vec<String>,
    /// Until when it counts (`exp`).
    pub expires: Option<Timestamp>,
    /// From when on it counts (`nbf`).
    pub not_before: Option<Timestamp>,
    /// When it was made (`iat`).
    pub issued: Option<Timestamp>,
    /// An e-mail address.
    pub email: Option<String>,
    /// Whether the issuer checked that address; what is not said is not so.
    pub email_verified: bool,
    pub(super) all: Map<String, Value>,
}

impl TokenClaims {
    /// Reads the claims of a JWT. Errors show nothing of it.
    pub(super) fn of(token: &str) -> Result<Self, String> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else {
            return Err(format!(
                "it has {}, expected three separated by dots",
                counted(parts.len(), "part")
            ));
        };
        let header = object(header).map_err(|why| format!("its header {why}"))?;
        match header.get("alg").and_then(Value::as_str) {
            None => return Err("its header names no algorithm".to_owned()),
            Some("none") => return Err("it is not signed".to_owned()),
            Some(_) => {}
        }
        if signature.is_empty() || BASE64_URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err("its signature is not base64url".to_owned());
        }
        let all = object(claims).map_err(|why| format!("its second part {why}"))?;
        let text = |name: &str| all.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        Ok(Self {
            issuer: text("iss").filter(|it| !it.is_empty()).ok_or("it names no issuer (`iss`)")?,
            subject: text("sub").unwrap_or_default(),
            audience: audience(all.get("aud")),
            expires: instant(all.get("exp")),
            not_before: instant(all.get("nbf")),
            issued: instant(all.get("iat")),
            email: text("email").filter(|it| !it.is_empty()),
            // Some issuers write it as a text.
            email_verified: matches!(all.get("email_verified"), Some(Value::Bool(true)))
                || text("email_verified").is_some_and(|it| it == "true"),
            all,
        })
    }

    /// Returns a claim that is a text with something in it.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

fn object(part: &str) -> Result<Map<String, Value>, &'static str> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| "is not base64url")?;
    match json::parse(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err("is not a JSON object"),
    }
}

fn audience(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Reads a NumericDate, which may have a fraction.
fn instant(value: Option<&Value>) -> Option<Timestamp> {
    let number = value?.as_number()?.to_string();
    let whole = number.split('.').next()?;
    Timestamp::from_second(whole.parse().ok()?).ok()
}

/// Returns whether a text can be nothing but a token, or a piece of one: where it is in place
/// of a path it must not be shown.
#[must_use]
pub fn is_clearly_a_token(text: &str) -> bool {
    let symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=');
    let text = text.trim();
    let parts: Vec<&str> = text.split('.').collect();
    let long = |part: &&&str| part.len() >= 16 && part.chars().all(symbol);
    holds_token(text)
        || (parts.len() >= 3 && parts.iter().filter(long).count() >= 2)
        // No file has such a name.
        || text.split(['/', '.']).any(|part| part.len() > 255)
        || text.len() > limits::PATH_BYTES
        || text.contains(char::is_control)
}

/// The failure for a text that should be a token and is none.
pub(super) fn no_token(setting: &str, why: &str) -> Failure {
    Failure::new(Class::Auth, format!("{setting} is not a valid identity token: {why}"))
        .hint("expected a JWT: three parts separated by dots, as issued by the CI or `gcloud auth print-identity-token --audiences=sigstore`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::testing::{jwt, jwt_with, sealed};
    use serde_json::json;

    #[test]
    fn claims_are_read_in_every_spelling_that_issuers_use() {
        let claims = TokenClaims::of(&jwt_with(json!({
            "aud": ["x", "sigstore"], "exp": 1_700_000_600.9, "nbf": null, "email_verified": "true",
            "sub": "ütf-8",
        })))
        .unwrap();
        assert_eq!(claims.audience, ["x", "sigstore"]);
        assert_eq!(claims.expires.unwrap().as_second(), 1_700_000_600);
        assert_eq!((claims.not_before, claims.email_verified), (None, true));
        assert_eq!(claims.subject, "ütf-8");
        let bare =
            TokenClaims::of(&jwt_with(json!({"email_verified": null, "exp": "soon"}))).unwrap();
        assert_eq!((bare.email_verified, bare.expires), (false, None));
    }

    #[test]
    fn what_is_no_jwt_is_refused_without_being_shown() {
        let whole = jwt();
        let (head, claims) = (json!({"alg": "ES256"}), json!({"iss": "https://canary.example"}));
        let unsigned = sealed(&json!({"alg": "none"}), &claims);
        let twice = format!(
            "{}.{}.c2ln",
            whole.split('.').next().unwrap(),
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"https://canary","iss":"https://b"}"#)
        );
        for (text, why) in [
            ("", "1 part"),
            ("canary", "1 part"),
            ("a.b", "2 parts"),
            ("a.b.c.d", "4 parts"),
            ("canary.b.c", "its header is"),
            (unsigned.as_str(), "not signed"),
            (&sealed(&json!({}), &claims), "names no algorithm"),
            (&sealed(&head, &json!({})), "names no issuer"),
            (&sealed(&head, &json!(["canary"])), "second part is not a JSON object"),
            (&twice, "second part is not a JSON object"),
            (&format!("{whole}="), "signature is not base64url"),
            (whole.rsplit_once('.').unwrap().0, "2 parts"),
        ] {
            let found = TokenClaims::of(text).unwrap_err();
            assert!(found.contains(why) && !found.contains("canary"), "{text}: {found}");
        }
        assert!(TokenClaims::of(&sealed(&head, &claims)).is_ok());
    }
}
