//! An issuer of identity tokens: the one thing of OpenID Connect that signing needs.

use super::sha256;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

/// An issuer with its key (ES256).
pub struct Issuer {
    pub url: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    /// A token for Sigstore about this subject, good for five minutes; `more` adds claims, and
    /// replaces ours.
    pub fn token(&self, subject: &str, at: Timestamp, more: &Value) -> String {
        let mut claims = json!({
            "iss": self.url,
            "aud": "sigstore",
            "sub": subject,
            "iat": at.as_second(),
            "nbf": at.as_second(),
            "exp": at.as_second() + 300,
        });
        if subject.contains('@') {
            claims["email"] = json!(subject);
            claims["email_verified"] = json!(true);
        }
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.sign(&claims)
    }

    /// A token with exactly these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!(
            "{}.{}",
            part(&json!({"alg": "ES256", "kid": self.key_name(), "typ": "JWT"})),
            part(claims)
        );
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Whether it made a token.
    pub fn made(&self, token: &str) -> bool {
        let Some((text, signature)) = token.rsplit_once('.') else { return false };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        key.verify(text.as_bytes(), &signature).is_ok()
    }

    /// What `/.well-known/openid-configuration` answers.
    pub fn configuration(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/keys", self.url),
            "id_token_signing_alg_values_supported": ["ES256"],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
        })
    }

    /// What `jwks_uri` answers.
    pub fn keys(&self) -> Value {
        // The point: 4, then both coordinates.
        let point = self.key.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|number| URL_SAFE_NO_PAD.encode(number));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.key_name(), "x": x, "y": y}]})
    }

    fn key_name(&self) -> String {
        let spki: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        URL_SAFE_NO_PAD.encode(&sha256(spki.as_ref())[..8])
    }
}
