//! The private key of `sign` and `sign-blob`, and how it is opened.

use super::{Streams, prompt};
use crate::class::{Class, Failure};
use crate::config::{Environment, Location, Trusted};
use crate::signer::Signer;
use crate::trust::PrivateKey;
use std::io::IsTerminal as _;

/// Begins to open the key that is there. Asks for the password where it may.
///
/// # Errors
/// `secret`: it is not a file that holds a key, or there is no password. Whether it opens shows when it
/// is needed.
pub(super) fn opening(
    location: Location,
    input: prompt::StandardInput,
    environment: &Environment,
    streams: &mut Streams,
) -> Result<Signer, Failure> {
    let pem = location
        .read(environment, Trusted::NotOthers)?
        .ok_or_else(|| Failure::new(Class::Secret, "a private key is never fetched from a URL"))?;
    let password = prompt::opening(environment, input)?;
    if std::io::stderr().is_terminal() {
        streams.note("Opening the key and signing ...");
    }
    if password.is_empty() {
        streams.note(prompt::NO_PASSWORD);
    }
    Ok(Signer::opening(move || {
        PrivateKey::open(&pem, &password).map_err(|failure| failure.within(format!("`{location}`")))
    }))
}
