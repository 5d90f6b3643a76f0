//! A secret, and every form in which it could leave: as it is, percent-encoded, in hexadecimal, in
//! base64 at any offset.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::fmt::Write as _;

/// A secret that must not be found anywhere. Its letters are mixed, and some of them must be
/// escaped in a URL or JSON.
pub struct Canary {
    secret: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    pub fn new(secret: &str) -> Self {
        let mut forms = vec![("as it is", secret.as_bytes().to_vec())];
        // A query and a form escape different letters (RFC 3986; WHATWG URL,
        // "application/x-www-form-urlencoded").
        let escaped = |plain: &[u8]| {
            secret.bytes().fold(String::new(), |mut text, byte| {
                if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
                    text.push(char::from(byte));
                } else {
                    write!(text, "%{byte:02X}").unwrap();
                }
                text
            })
        };
        let (mut hex, mut every) = (String::new(), String::new());
        for byte in secret.bytes() {
            write!(hex, "{byte:02x}").unwrap();
            write!(every, "%{byte:02x}").unwrap();
        }
        let debugged: String = secret.escape_unicode().to_string();
        for (name, text) in [
            ("percent-encoded", escaped(b"-._~")),
            ("percent-encoded as in a form", escaped(b"*-._")),
            ("percent-encoded as a whole", every),
            ("in hexadecimal", hex.clone()),
            ("in hexadecimal, upper case", hex.to_ascii_uppercase()),
            ("escaped for a terminal", debugged),
        ] {
            forms.push((name, text.into_bytes()));
        }
        // Where it is behind other bytes (`user:SECRET`), its base64 depends on how many they
        // are, modulo three.
        for before in 0..3 {
            let bytes = [vec![0; before], secret.as_bytes().to_vec()].concat();
            let whole = bytes.len() * 8 / 6;
            let start = (before * 8).div_ceil(6);
            for engine in [&STANDARD, &URL_SAFE] {
                forms.push(("in base64", engine.encode(&bytes).as_bytes()[start..whole].to_vec()));
            }
        }
        Self { secret: secret.to_owned(), forms }
    }

    pub fn text(&self) -> &str {
        &self.secret
    }

    /// Returns in which form it is in `bytes`, if it does.
    pub fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let hit = |form: &[u8]| bytes.windows(form.len()).any(|window| window == form);
        self.forms.iter().find(|(_, form)| hit(form)).map(|(name, _)| *name)
    }
}
