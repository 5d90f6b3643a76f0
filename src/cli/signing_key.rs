//! The private key of `sign` and `sign-blob`: where it is named, and how it is opened.

use super::{Streams, prompt};
use crate::class::{Class, Failure};
use crate::config::{Environment, Location, Trusted};
use crate::trust::PrivateKey;
use std::io::IsTerminal as _;

/// The variable that names the key where no flag does.
const KEY_VARIABLE: &str = "COSIGN_KEY_LOCATION";

/// Opens the key that a flag names, or else the variable. Asks for the password where it may.
///
/// # Errors
/// `secret`: there is no key, or it does not open.
pub(super) fn open(
    flag: Option<&str>,
    input: prompt::Input,
    environment: &Environment,
    streams: &mut Streams,
) -> Result<PrivateKey, Failure> {
    let location = match (flag, environment.text(KEY_VARIABLE)?) {
        (Some(key), _) => Location::parse("--key", key)?,
        (None, Some(key)) => Location::parse(KEY_VARIABLE, key)?,
        (None, None) => {
            return Err(Failure::new(Class::Secret, "no key to sign with")
                .hint("give --key, or set COSIGN_KEY_LOCATION"));
        }
    };
    let pem = location
        .read(environment, Trusted::NotOthers)?
        .ok_or_else(|| Failure::new(Class::Secret, "a private key is never fetched from a URL"))?;
    let password = prompt::opening(environment, input)?;
    if std::io::stderr().is_terminal() {
        streams.note("Opening the key and signing ...");
    }
    let key = PrivateKey::open(&pem, &password)
        .map_err(|failure| failure.within(format!("`{location}`")))?;
    if password.is_empty() {
        streams.note(prompt::NO_PASSWORD);
    }
    Ok(key)
}
