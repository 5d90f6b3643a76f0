//! Where something lies that a setting names: a key, a signature, a certificate.
//!
//! A location is parsed once. What is not one, a key above all, is refused without being shown;
//! what is one can be shown.

use super::environment::Environment;
use super::files::{Trusted, read_file};
use crate::class::{Class, Failure, holds_key, shown};
use crate::limits;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where something lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Variable(String),
    Url(String),
}

impl Location {
    /// Parses a path, `env://VAR` or `https://...`, which `setting` (a flag or variable) is set to.
    ///
    /// # Errors
    /// `secret`: a key itself, or something else that is not a location, none of which is shown;
    /// plain http; a scheme of a key service that this program does not speak.
    pub fn parse(setting: &str, text: &str) -> Result<Self, Failure> {
        let refused = |why: &str| Failure::new(Class::Secret, format!("{setting} {why}"));
        if holds_key(text) || is_body(text) || text.contains(char::is_control) {
            return Err(refused("holds a key itself instead of its location; it is not shown here")
                .hint(format!("write the path of the file, or put the key into a variable and name that: `KEY=\"$(cat cosign.key)\"`, and `env://KEY` for {setting}")));
        }
        if text.is_empty() || text.len() > limits::LOCATION_BYTES {
            return Err(refused(&format!(
                "has {} bytes; expected the path of a file, `env://VAR` or `https://...`",
                text.len()
            )));
        }
        match text.split_once("://") {
            None => Ok(Self(Place::File(PathBuf::from(text)))),
            Some(("env", name)) if is_variable(name) => Ok(Self(Place::Variable(name.to_owned()))),
            Some(("env", _)) => {
                Err(refused("begins with `env://`, but what follows is not the name of a variable")
                    .hint("write the variable's name, not its value: `env://KEY`"))
            }
            Some(("https", _)) => Ok(Self(Place::Url(text.to_owned()))),
            Some(("http", _)) => Err(refused(&format!(
                "is `{}`, which could be replaced on its way; expected `https://`",
                shown(text)
            ))),
            Some((scheme, _)) => {
                let known = scheme.len() <= 16 && scheme.bytes().all(|c| c.is_ascii_alphanumeric());
                let scheme = if known { scheme } else { "..." };
                Err(refused(&format!("names `{scheme}://`, which is not supported"))
                    .hint("use a file, `env://VAR`, or for what is public `https://`"))
            }
        }
    }

    /// Returns a file that a policy names, relative to the directory of the policy.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn in_folder(folder: &Path, setting: &str, path: &str) -> Result<Self, Failure> {
        match Self::parse(setting, path)?.0 {
            Place::File(path) => Ok(Self(Place::File(folder.join(path)))),
            place => Ok(Self(place)),
        }
    }

    /// Reads a key where it is in a file, which only `trusted` may be able to write, or in a
    /// variable; `None` for a URL, which a network adapter reads.
    ///
    /// # Errors
    /// `secret`: it cannot be read.
    pub fn read(
        &self,
        environment: &Environment,
        trusted: Trusted,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match &self.0 {
            Place::File(path) => read_file(path, limits::KEY_BYTES, trusted, Class::Secret)
                .map(|bytes| Some(Zeroizing::new(bytes))),
            Place::Variable(name) => match environment.content(name)? {
                Some(text) => Ok(Some(Zeroizing::new(text.as_bytes().to_vec()))),
                None => Err(Failure::new(
                    Class::Secret,
                    format!("the variable {name}, which should hold a key, is not set"),
                )),
            },
            Place::Url(_) => Ok(None),
        }
    }

    /// Returns the URL to fetch, where it is one. It may hold a password, and is not to be shown.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match &self.0 {
            Place::Url(url) => Some(url),
            Place::File(_) | Place::Variable(_) => None,
        }
    }

    /// Returns the name of the variable, where it is one.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match &self.0 {
            Place::Variable(name) => Some(name),
            Place::File(_) | Place::Url(_) => None,
        }
    }
}

/// Whether a text holds the body of a key: so many symbols of base64, in either alphabet, or of
/// hexadecimal, with blanks and ends of lines between them or not. A path has a dot in it or begins
/// with a slash; one that does not can be written with `./` in front. A URL is looked at by itself.
fn is_body(text: &str) -> bool {
    let symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    if text.starts_with('/') || text.contains('.') || text.contains("://") {
        return false;
    }
    let mut run = 0;
    text.chars().filter(|c| !c.is_whitespace()).any(|c| {
        run = if symbol(c) { run + 1 } else { 0 };
        run >= 64
    })
}

/// Whether a text can be the name of a variable (POSIX.1-2024, 8.1).
fn is_variable(name: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(word)
        && !is_body(name)
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Place::File(path) => f.write_str(&shown(&path.display().to_string())),
            Place::Variable(name) => write!(f, "env://{name}"),
            Place::Url(url) => f.write_str(&shown(url)),
        }
    }
}

impl std::fmt::Debug for Place {
    /// A URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", Location(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text in pieces of ten.
    fn spaced(text: &str, between: &str) -> String {
        let pieces: Vec<&str> =
            text.as_bytes().chunks(10).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        pieces.join(between)
    }

    #[test]
    fn what_is_not_a_location_is_refused_and_not_shown() {
        let body = "c2VjcmV0".repeat(12);
        let hex = "5ec7e7".repeat(11);
        for text in [
            format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"),
            format!("-----BEGIN {body}"),
            format!("{body}\n"),
            body.clone(),
            hex.clone(),
            spaced(&body, " "),
            spaced(&hex, "  "),
            spaced(&body, "\u{a0}"),
            spaced(&body, "\u{2028}"),
            spaced(&body, "-"),
            spaced(&body, "_"),
            format!("MIGH-_{}", spaced(&body, " ")),
            format!("key: {body}"),
            format!("'{}'", spaced(&body, " ")),
            format!("env://{body}"),
            format!("env://-----BEGIN {body}"),
            format!("env://a b{hex}"),
            format!("env://9{hex}"),
            format!("https://-----BEGIN {body}"),
            format!("https://host/{body}\n"),
            format!("{body}://x"),
            format!("LS0tLS1CRUdJTiBQ{body}"),
            format!("./{}", body.repeat(100)),
        ] {
            let failure = Location::parse("--key", &text).unwrap_err();
            let shown = format!("{} {failure:?}", failure.text());
            assert_eq!(failure.class(), Class::Secret, "{text}");
            assert!(shown.contains("--key"), "{shown}");
            assert!(!shown.contains("c2Vj") && !shown.contains("5ec7"), "{shown}");
        }
    }

    #[test]
    fn what_is_a_location_is_taken_and_shown_without_secrets() {
        for (text, shown) in [
            ("cosign.key", "cosign.key"),
            ("/etc/keys/a b.key", "/etc/keys/a b.key"),
            ("env://MY_KEY", "env://MY_KEY"),
            ("https://a.example/k.pub", "https://a.example/k.pub"),
            ("https://u:p@a.example:1/k.pub?t=s#f", "https://***@a.example:1/k.pub"),
            ("https://u:p@a.example?t=s", "https://***@a.example"),
            ("https:/u:p@a.example?t=s", "https:/***@a.example"),
        ] {
            let location = Location::parse("--key", text).unwrap();
            assert_eq!(location.to_string(), shown);
            assert_eq!(format!("{location:?}"), format!("Location({shown})"));
        }
        let long = "a".repeat(63);
        assert!(Location::parse("--key", &long).is_ok());
        assert!(Location::parse("--key", &format!("./{long}a")).is_ok());
    }
}
