//! The certificate of a run (`LUET_COSIGN_RUN_CERTIFICATE=1`): key and certificate that the first
//! event of a run made, for those that follow. Off unless asked for: anyone who can read it can sign
//! as this job until it ends, ten minutes at most.
//!
//! In memory alone, in the run's directory ([`RunSecret`]); never the token. It is read back as
//! something that anyone may have written: what it says of itself is taken from the certificate,
//! and what is signed by it goes through our own checker like everything else.

use super::keyless::SigningCertificate;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use crate::session::Connections;
use crate::store::{Lock, RunSecret};
use crate::trust::{Certificate, PrivateKey};
use crate::wire::json;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Where a run keeps its certificate.
#[derive(Debug)]
pub(super) struct KeptCertificate {
    secret: RunSecret,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptWire {
    key: Zeroizing<String>,
    leaf: String,
    above: Vec<String>,
}

impl KeptCertificate {
    /// Finds the place for certificates that this source of tokens and this Fulcio give; `None` where
    /// no directory of the run is in memory.
    pub(super) fn of(connections: &Connections, parts: &[&str]) -> Option<Self> {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let name = format!("certificate-{}", Digest::of(&parts.join(&0_u8)).hex());
        let secret = RunSecret::open(connections.locations(), &name).ok().flatten()?;
        Some(Self { secret })
    }

    /// Waits until nobody else makes one. Without the lock everybody makes their own.
    pub(super) fn lock(&self) -> Option<Lock> {
        self.secret.lock(limits::RUN_CERTIFICATE_LOCK).ok()
    }

    /// Returns the certificate, where it has time left. What has not is removed.
    pub(super) fn read(&self) -> Option<SigningCertificate> {
        let (bytes, left) = self.secret.read(limits::CERTIFICATE_LEFT)?;
        let read = read(&bytes, left);
        if read.is_none() {
            let _ = self.secret.remove();
        }
        read
    }

    /// Keeps a certificate. One that cannot be kept only means that the next event makes its own.
    pub(super) fn write(&self, credential: &SigningCertificate) {
        let written =
            written(credential).and_then(|bytes| self.secret.write(&bytes, credential.left()));
        if written.is_err() {
            let _ = self.secret.remove();
        }
    }
}

fn read(bytes: &[u8], left: Duration) -> Option<SigningCertificate> {
    let kept: KeptWire = json::parse_as(bytes).ok()?;
    let der = |text: &String| BASE64_STANDARD.decode(text).ok();
    let key = Zeroizing::new(BASE64_STANDARD.decode(kept.key.as_bytes()).ok()?);
    let leaf = der(&kept.leaf)?;
    let certificate = Certificate::parse(&leaf).ok()?;
    Some(SigningCertificate {
        key: PrivateKey::from_pkcs8(&key).ok()?,
        above: kept.above.iter().map(der).collect::<Option<_>>()?,
        name: certificate.subject().clone(),
        issuer: certificate.issuer().to_owned(),
        leaf,
        asked: Instant::now(),
        lifetime: left,
    })
}

fn written(credential: &SigningCertificate) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let text = |der: &Vec<u8>| BASE64_STANDARD.encode(der);
    let kept = KeptWire {
        key: Zeroizing::new(BASE64_STANDARD.encode(credential.key.to_pkcs8()?.as_slice())),
        leaf: text(&credential.leaf),
        above: credential.above.iter().map(text).collect(),
    };
    serde_json::to_vec(&kept)
        .map(Zeroizing::new)
        .map_err(|error| Failure::new(Class::Internal, format!("a certificate: {error}")))
}
