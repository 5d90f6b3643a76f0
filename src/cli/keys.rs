//! `generate-key-pair`, `public-key`.

use super::arguments::{GenerateKeyPair, PublicKey};
use super::{Outcome, Streams, prompt};
use crate::class::{Class, Failure};
use crate::config::{Environment, KeyLocation};
use crate::trust;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub(super) fn generate(command: &GenerateKeyPair, environment: &Environment, streams: &mut Streams) -> Outcome {
    let private = PathBuf::from(format!("{}.key", command.output_key_prefix));
    let public = PathBuf::from(format!("{}.pub", command.output_key_prefix));
    // Before the password is asked for: a key is never overwritten.
    if let Some(path) = [&private, &public].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(
            Failure::new(Class::Usage, format!("`{}` is there already", path.display())).hint("move it away, or use --output-key-prefix")
        );
    }
    let password = prompt::password(environment, true)?;
    let pair = trust::PrivateKey::generate(&password)?;
    write(&private, pair.private_pem.as_bytes())?;
    if let Err(failure) = write(&public, pair.public_pem.as_bytes()) {
        let _ = std::fs::remove_file(&private);
        return Err(failure);
    }
    streams.note(format!("Private key written to {}", private.display()));
    streams.note(format!("Public key written to {}", public.display()));
    Ok(0)
}

pub(super) fn public_key(command: &PublicKey, environment: &Environment, streams: &mut Streams) -> Outcome {
    let location: KeyLocation = command.key.parse()?;
    let pem = location.read(environment)?.ok_or_else(|| Failure::new(Class::Usage, "a key behind a URL is public already"))?;
    let public = match trust::PublicKey::from_pem(&pem) {
        Ok(public) => public,
        Err(_) => trust::PrivateKey::open(&pem, &prompt::password(environment, false)?)?.public().clone(),
    };
    write!(streams.output, "{}", public.to_pem()).map_err(|error| Failure::new(Class::Internal, error))?;
    Ok(0)
}

/// Writes a new file that only this user can read; one that is there is never touched.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
            let _ = std::fs::remove_file(path);
        })
    })
    .map_err(|error| Failure::new(Class::Usage, format!("`{}` could not be written: {error}", path.display())))
}
