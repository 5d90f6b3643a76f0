//! What comes with a file, wherever the user says that it does: a path, an https URL, a variable,
//! or the signature itself.

use crate::class::{self, Class, Failure};
use crate::config::{Location, Trusted, read_file};
use crate::limits;
use crate::session::Connections;
use crate::wire::{self, Detached, FileKind, FileSignature};
use std::path::Path;

/// Where signature, certificate or bundle lie, as they were named.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--signature`
    pub signature: Option<String>,
    /// `--certificate`
    pub certificate: Option<String>,
    /// `--certificate-chain`: authorities between the signer's and one of the trusted root. None of
    /// them is trusted for standing here.
    pub chain: Option<String>,
    /// `--bundle`, of either form.
    pub bundle: Option<String>,
    /// `--rfc3161-timestamp`
    pub timestamp: Option<String>,
}

impl Sources {
    /// Fetches all of it.
    ///
    /// # Errors
    /// `usage`: too little or too much is named. `not-found`: a file is not there. `malformed`: it
    /// is not what it should be. `net`: it could not be fetched.
    pub async fn load(&self, connections: &Connections) -> Result<FileSignature, Failure> {
        let mut found = match &self.bundle {
            Some(place) => {
                let bytes = fetch(connections, place, limits::BUNDLE_BYTES).await?;
                match wire::read_bundle(&bytes).map_err(|failure| failure.within(shown(place)))? {
                    FileSignature::Detached(detached) => detached,
                    bundle @ FileSignature::Bundle(_)
                        if self.signature.is_none() && self.certificate.is_none() =>
                    {
                        return Ok(bundle);
                    }
                    FileSignature::Bundle(_) => {
                        return Err(Failure::new(
                            Class::Usage,
                            "a Sigstore bundle beside --signature or --certificate",
                        )
                        .hint("the bundle holds both: leave the others out"));
                    }
                }
            }
            None if self.signature.is_none() => {
                return Err(Failure::new(Class::Usage, "no signature to check")
                    .hint("give --signature FILE, or --bundle FILE"));
            }
            None => Detached::default(),
        };
        // cosign's order: what is named by itself is taken before what the bundle has. The entry
        // must name it in any case.
        if let Some(place) = &self.signature {
            found.signature = self.read_signature(connections, place).await?;
        }
        if let Some(place) = &self.certificate {
            found.certificates = read_certificates(connections, place).await?;
        }
        if let Some(place) = &self.chain {
            found.certificates.extend(read_certificates(connections, place).await?);
        }
        if let Some(place) = &self.timestamp {
            let bytes = fetch(connections, place, limits::SIGNATURE_BYTES).await?;
            let failed = |failure: Failure| {
                FileKind::instead(&bytes, "a timestamp as cosign writes it", failure)
                    .within(shown(place))
            };
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| failed(Failure::new(Class::Malformed, "not UTF-8")))?;
            found.timestamp = Some(wire::read_timestamp(text).map_err(failed)?);
        }
        // cosign 2 writes an attestation where it writes signatures.
        match found.attestation() {
            Some(bundle) => bundle.map(FileSignature::Bundle),
            None => Ok(FileSignature::Detached(found)),
        }
    }

    async fn read_signature(
        &self,
        connections: &Connections,
        place: &str,
    ) -> Result<Vec<u8>, Failure> {
        // cosign takes the argument for the signature itself where it names no file.
        let itself = !place.contains("://") && !Path::new(place).exists();
        if itself && looks_like_base64(place) {
            return wire::read_signature(place.as_bytes());
        }
        let bytes = fetch(connections, place, limits::SIGNATURE_BYTES).await?;
        let kind = FileKind::of(&bytes);
        let read = if kind.may_be_signature(bytes.len()) {
            wire::read_signature(&bytes)
        } else {
            let failure = Failure::new(Class::Malformed, format!("{kind}; expected a signature"));
            Err(FileKind::instead(&bytes, "a signature", failure))
        };
        read.map_err(|failure| failure.within(shown(place)))
    }
}

/// A path that is mistyped must not be taken for a signature: those are longer, and base64.
fn looks_like_base64(text: &str) -> bool {
    text.len() >= 64
        && text.len().is_multiple_of(4)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

async fn read_certificates(
    connections: &Connections,
    place: &str,
) -> Result<Vec<Vec<u8>>, Failure> {
    let bytes = fetch(connections, place, limits::SIGNATURE_BYTES).await?;
    wire::read_certificate_file(&bytes).map_err(|failure| failure.within(shown(place)))
}

/// Reads a path, `https://...` or `env://VAR`, of at most `cap` bytes.
pub(super) async fn fetch(
    connections: &Connections,
    place: &str,
    cap: u64,
) -> Result<Vec<u8>, Failure> {
    match place.split_once("://") {
        Some(("env", _)) => {
            let place = Location::parse("what comes with the file", place)?;
            let name = place.variable().unwrap_or_default();
            match connections.environment().content(name)? {
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => Err(Failure::new(Class::Usage, format!("the variable {name} is not set"))),
            }
        }
        Some(_) => connections.client().download(place, cap).await,
        None if !Path::new(place).exists() => {
            Err(Failure::new(Class::NotFound, format!("there is no file {}", shown(place)))
                .hint("download it from the same place as the file"))
        }
        None if Path::new(place).metadata().is_ok_and(|found| found.len() > cap) => {
            Err(Failure::new(Class::Limit, format!("{} is larger than {cap} bytes", shown(place))))
        }
        None => {
            read_file(Path::new(place), cap, Trusted::Anyone, Class::State).map_err(|failure| {
                failure.hint("check its permissions, and that it is the file that you mean")
            })
        }
    }
}

/// Returns a place, quoted, without what may be secret in it.
pub(super) fn shown(place: &str) -> String {
    format!("`{}`", class::shown(place))
}
