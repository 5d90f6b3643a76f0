//! Tokens for tests: signed by nobody.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A person's token, in order in every way.
pub(crate) fn jwt() -> String {
    jwt_with(json!({}))
}

/// The same with some claims changed; null takes one away.
pub(crate) fn jwt_with(changes: Value) -> String {
    let mut claims = json!({
        "iss": "https://accounts.google.com",
        "aud": "sigstore",
        "sub": "1234567890",
        "email": "dev@example.com",
        "email_verified": true,
        "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 1_700_000_600,
    });
    let all = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            all.shift_remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    sealed(&json!({"alg": "RS256", "kid": "1", "typ": "JWT"}), &claims)
}

/// Any header and claims.
pub(crate) fn sealed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = BASE64_URL_SAFE_NO_PAD.encode([7_u8; 64]);
    format!("{}.{}.{signature}", part(header), part(claims))
}
