//! Who signs in an event: the key that the environment names, else the identity of the job where
//! keyless signing was asked for. An event never asks anyone anything.

use crate::class::{Class, Failure};
use crate::config::{Environment, Location, Trusted};
use crate::oidc::{self, TokenSource};
use crate::session::Connections;
use crate::signer::{ServiceOptions, Signer};
use crate::trust::PrivateKey;
use std::os::unix::ffi::OsStrExt as _;
use zeroize::Zeroizing;

/// The variable that names the key.
const KEY: &str = "COSIGN_KEY_LOCATION";

/// Whether the events of a run share one certificate.
pub(super) const RUN_CERTIFICATE: &str = "LUET_COSIGN_RUN_CERTIFICATE";

/// Whether events sign by a certificate: where that was asked for, and no key is named, which wins.
///
/// # Errors
/// `usage`: a variable makes no sense.
pub fn is_keyless(environment: &Environment) -> Result<bool, Failure> {
    Ok(environment.text(KEY)?.is_none() && environment.flag("COSIGN_EXPERIMENTAL")?)
}

/// Returns who signs. Nobody is asked for a certificate yet, nor for a token.
///
/// # Errors
/// `secret`: no key, or it does not open. `auth`: nothing gives a token. `usage`, `trustroot`, `net`:
/// it is not known which services sign.
pub async fn own_signer(connections: &Connections) -> Result<Signer, Failure> {
    let environment = connections.environment();
    if !is_keyless(environment)? {
        return Ok(Signer::opening(sealed_key(connections)?));
    }
    let source = TokenSource::find(environment, &oidc::TokenOptions::default())?;
    let source = source.ok_or_else(oidc::no_source)?;
    let mut signer = Signer::keyless(source, connections, &ServiceOptions::default()).await?;
    if environment.flag(RUN_CERTIFICATE)? {
        signer.share(connections);
    }
    Ok(signer)
}

/// Opens the key that events sign with.
pub(super) fn open_key(connections: &Connections) -> Result<PrivateKey, Failure> {
    sealed_key(connections)?()
}

/// Reads the key that events sign with; what is returned opens it. An event never asks for a
/// password.
fn sealed_key(
    connections: &Connections,
) -> Result<impl FnOnce() -> Result<PrivateKey, Failure> + Send + 'static + use<>, Failure> {
    let environment = connections.environment();
    let location = environment.text(KEY)?.ok_or_else(|| {
        Failure::new(Class::Secret, "no key to sign with: COSIGN_KEY_LOCATION is not set")
            .hint("set COSIGN_KEY_LOCATION and COSIGN_PASSWORD, COSIGN_EXPERIMENTAL=1 to sign as the job that this is (docs/signing.md), or LUET_COSIGN_SIGN=off to push without signing")
    })?;
    let location = Location::parse(KEY, location)?;
    let password = environment.raw("COSIGN_PASSWORD").ok_or_else(|| {
        Failure::new(Class::Secret, "COSIGN_PASSWORD is not set, and an event cannot ask for it")
            .hint("an empty password is a password: `COSIGN_PASSWORD=`")
    })?;
    let pem = location
        .read(environment, Trusted::NotOthers)?
        .ok_or_else(|| Failure::new(Class::Secret, "a private key is never fetched from a URL"))?;
    let password = Zeroizing::new(password.as_bytes().to_vec());
    Ok(move || {
        PrivateKey::open(&pem, &password).map_err(|failure| failure.within(format!("`{location}`")))
    })
}
