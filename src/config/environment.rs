//! The environment, read once when the program starts.

use crate::class::{Class, Failure, holds_key};
use crate::store::find_program;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// What the variables for signing and verifying begin with, and those that hold a CI's tokens.
const OURS: [&str; 4] = ["COSIGN_", "LUET_COSIGN_", "SIGSTORE_", "ACTIONS_ID_TOKEN_"];

/// The variables of the environment. An empty variable counts as unset, except passwords.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    traced: bool,
}

impl std::fmt::Debug for Environment {
    /// Values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}

impl Environment {
    /// Takes the environment from pairs; of two with one name the last counts, as in a shell.
    pub fn from_pairs<K: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, traced: false }
    }

    /// Returns the environment with one variable set, as an option of the command line sets it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Returns the environment of a command that says what it requests and decides (`--trace`). No
    /// variable does this: an event has one answer, and nothing beside it.
    #[must_use]
    pub fn with_trace(mut self) -> Self {
        self.traced = true;
        self
    }

    /// Returns whether requests and decisions are to be said.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.traced
    }

    /// Returns the bytes of a variable also where it is empty: for passwords.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Returns the program of this name on PATH, if there is one.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        find_program(self.raw("PATH").unwrap_or_default(), name.as_ref())
    }

    /// Returns a setting: a variable as text.
    ///
    /// # Errors
    /// `usage`: it is not UTF-8. `secret`: it holds a key, which no setting is, and which must not
    /// get any further, for messages name settings.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.content(name)? {
            Some(text) if holds_key(text) => Err(Failure::new(
                Class::Secret,
                format!("{name} holds a key itself, which is not shown here"),
            )
            .hint(format!(
                "give the location of the key: a path, or `env://KEY` with the key in the variable KEY; unset {name} otherwise"
            ))),
            text => Ok(text),
        }
    }

    /// Returns what a variable holds, which may be a key and must not be shown: for `env://NAME`.
    ///
    /// # Errors
    /// `usage`: it is not UTF-8.
    pub fn content(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.raw(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => value
                .to_str()
                .map(Some)
                .ok_or_else(|| Failure::new(Class::Usage, format!("{name} is not UTF-8"))),
        }
    }

    /// Returns a variable as a path.
    ///
    /// # Errors
    /// `usage`: it is not UTF-8; messages must be able to name it.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>, Failure> {
        Ok(self.text(name)?.map(PathBuf::from))
    }

    /// Returns a variable's words, separated by spaces; empty words are dropped.
    ///
    /// # Errors
    /// `usage`: it is not UTF-8.
    pub fn words(&self, name: &str) -> Result<Vec<String>, Failure> {
        Ok(self
            .text(name)?
            .map(|text| text.split_ascii_whitespace().map(ToOwned::to_owned).collect())
            .unwrap_or_default())
    }

    /// Returns a variable as a boolean, as Go's `strconv.ParseBool` reads it, which cosign uses.
    ///
    /// # Errors
    /// `usage`: it is something else. luet-cosign 0.x took every value for "on", also `0`.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.text(name)? {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(other) => {
                Err(Failure::new(Class::Usage, format!("{name} is `{other}`; expected `1` or `0`")))
            }
        }
    }

    /// Returns the environment for a program of someone else: without passwords, keys and tokens
    /// for signing, which are none of its business.
    ///
    /// A key can be in any variable, for `env://` names one, so what holds one is left out by its
    /// content too.
    pub fn for_children(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let named: Vec<&str> = ["COSIGN_KEY_LOCATION", "COSIGN_PUBLIC_KEY_LOCATION"]
            .into_iter()
            .filter_map(|name| self.raw(name)?.to_str()?.strip_prefix("env://"))
            .collect();
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())).filter(
            move |(name, value)| {
                let text = name.to_string_lossy();
                !OURS.iter().any(|prefix| text.starts_with(prefix))
                    && !named.contains(&text.as_ref())
                    && !holds_key(&value.to_string_lossy())
            },
        )
    }

    /// Returns the names of all variables that are set to something, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, _)| name.to_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_booleans() {
        let flag = |text: &str| Environment::from_pairs([("X", text)]).flag("X").ok();
        assert_eq!([flag("1"), flag("true"), flag("T")], [Some(true); 3]);
        assert_eq!([flag(""), flag("0"), flag("FALSE")], [Some(false); 3]);
        assert_eq!([flag("yes"), flag("2"), flag(" 1"), flag("tRUE")], [None; 4]);
    }

    #[test]
    fn children_inherit_no_key_password_or_token() {
        let environment = Environment::from_pairs([
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("XDG_RUNTIME_DIR", "/run"),
            ("COSIGN_PASSWORD", "secret"),
            ("COSIGN_KEY_LOCATION", "env://ACME"),
            ("ACME", "in another form"),
            ("OTHER", "-----BEGIN PRIVATE KEY-----"),
            ("SIGSTORE_ID_TOKEN", "secret"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret"),
        ]);
        let names: Vec<_> = environment.for_children().map(|(name, _)| name).collect();
        assert_eq!(names, ["HOME", "PATH", "XDG_RUNTIME_DIR"]);
    }

    #[test]
    fn empty_is_unset_but_an_empty_password_is_a_password() {
        let environment = Environment::from_pairs([("COSIGN_PASSWORD", ""), ("SKIP", " a  b ")]);
        assert_eq!(environment.text("COSIGN_PASSWORD").unwrap(), None);
        assert_eq!(environment.raw("COSIGN_PASSWORD"), Some(OsStr::new("")));
        assert_eq!(environment.raw("OTHER"), None);
        assert_eq!(environment.words("SKIP").unwrap(), ["a", "b"]);
    }
}
