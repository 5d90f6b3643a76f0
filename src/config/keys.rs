//! Where a key lies, as `--key`, `COSIGN_KEY_LOCATION` and `COSIGN_PUBLIC_KEY_LOCATION` say it.

use super::environment::Environment;
use super::files::{Trusted, read_file};
use crate::class::{Class, Failure};
use crate::limits;
use std::path::PathBuf;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Where a key lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// A file.
    File(PathBuf),
    /// A variable of the environment that holds the PEM.
    Variable(String),
    /// An https URL: for public keys.
    Url(String),
}

impl FromStr for KeyLocation {
    type Err = Failure;

    /// Parses a path, `env://VAR` or `https://...`.
    ///
    /// # Errors
    /// `secret`: plain http, or a scheme of a key service that this program does not speak.
    fn from_str(text: &str) -> Result<Self, Failure> {
        match text.split_once("://") {
            None => Ok(Self::File(PathBuf::from(text))),
            Some(("env", name)) => Ok(Self::Variable(name.to_owned())),
            Some(("https", _)) => Ok(Self::Url(text.to_owned())),
            Some(("http", _)) => Err(Failure::new(
                Class::Secret,
                format!(
                    "`{}` could be replaced on its way; expected `https://`",
                    without_password(text)
                ),
            )),
            Some((scheme, _)) => Err(Failure::new(
                Class::Secret,
                format!("keys from `{scheme}://` are not supported"),
            )
            .hint("use a file, `env://VAR`, or for a public key `https://`")),
        }
    }
}

impl KeyLocation {
    /// Reads the key where it is a file, which only `trusted` may be able to write, or a variable;
    /// `None` for a URL, which a network adapter reads.
    ///
    /// # Errors
    /// `secret`: it cannot be read.
    pub fn read(
        &self,
        environment: &Environment,
        trusted: Trusted,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match self {
            Self::File(path) => read_file(path, limits::KEY_BYTES, trusted, Class::Secret)
                .map(|bytes| Some(Zeroizing::new(bytes))),
            Self::Variable(name) => match environment.text(name)? {
                Some(text) => Ok(Some(Zeroizing::new(text.as_bytes().to_vec()))),
                None => Err(Failure::new(
                    Class::Secret,
                    format!("the variable {name}, which should hold a key, is not set"),
                )),
            },
            Self::Url(_) => Ok(None),
        }
    }
}

/// Returns a URL without its user and password, for people to read.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match host.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://***{}", rest.get(user.len()..).unwrap_or_default()),
        None => url.to_owned(),
    }
}

impl std::fmt::Display for KeyLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "env://{name}"),
            Self::Url(url) => f.write_str(&without_password(url)),
        }
    }
}
