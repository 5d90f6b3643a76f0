//! `generate-key-pair`, `import-key-pair`, `public-key`.

use super::arguments::{GenerateKeyPairArgs, ImportKeyPairArgs, PublicKeyArgs};
use super::{Outcome, Streams, prompt};
use crate::class::{Class, Failure};
use crate::config::{Environment, Location, Trusted};
use crate::trust;
use serde_json::json;
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub(super) fn generate(
    command: &GenerateKeyPairArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let files = Files::new(&command.output_key_prefix)?;
    let password = prompt::password(environment, true)?;
    files.write(&trust::PrivateKey::generate(&password)?, as_json, streams)?;
    remark(&password, streams);
    Ok(0)
}

pub(super) fn import(
    command: &ImportKeyPairArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let files = Files::new(&command.output_key_prefix)?;
    let location = Location::parse("--key", &command.key)?;
    let pem = location
        .read(environment, Trusted::NotOthers)?
        .ok_or_else(|| Failure::new(Class::Secret, "a private key is never fetched from a URL"))?;
    let password = prompt::password(environment, true)?;
    let pair = trust::PrivateKey::import(&pem, &password)
        .map_err(|failure| failure.within(format!("`{location}`")))?;
    files.write(&pair, as_json, streams)?;
    remark(&password, streams);
    Ok(0)
}

fn remark(password: &[u8], streams: &mut Streams) {
    if password.is_empty() {
        streams.note(prompt::NO_PASSWORD);
    }
    // A file with a password mostly ends so, and not every program takes it for a part of it.
    if password.ends_with(b"\n") || password.ends_with(b"\r") {
        streams.note("warning: the password ends with an end of line, which is a part of it from now on: `COSIGN_PASSWORD=\"$(cat FILE)\"` leaves it out");
    }
}

/// The two files of a new pair.
struct Files {
    private: PathBuf,
    public: PathBuf,
}

impl Files {
    /// Refuses, before a password is asked for, where one of the two is there: a key is never
    /// overwritten.
    fn new(prefix: &str) -> Result<Self, Failure> {
        let files = Self {
            private: PathBuf::from(format!("{prefix}.key")),
            public: PathBuf::from(format!("{prefix}.pub")),
        };
        if let Some(path) =
            [&files.private, &files.public].into_iter().find(|path| path.symlink_metadata().is_ok())
        {
            return Err(Failure::new(
                Class::Usage,
                format!("`{}` is there already", path.display()),
            )
            .hint("move it away, or use --output-key-prefix"));
        }
        Ok(files)
    }

    fn write(&self, pair: &trust::KeyPair, as_json: bool, streams: &mut Streams) -> Outcome {
        write(&self.private, pair.private_pem.as_bytes(), PRIVATE)?;
        if let Err(failure) = write(&self.public, pair.public_pem.as_bytes(), PUBLIC) {
            let _ = std::fs::remove_file(&self.private);
            return Err(failure);
        }
        streams.note(format!("Private key written to {}", self.private.display()));
        streams.note(format!("Public key written to {}", self.public.display()));
        if as_json {
            let public = trust::PublicKey::from_pem(pair.public_pem.as_bytes())?;
            streams.json(json!({
                "private_key": self.private.display().to_string(),
                "public_key": self.public.display().to_string(),
                "fingerprint": public.fingerprint().to_string(),
            }))?;
        }
        Ok(0)
    }
}

pub(super) fn public_key(
    command: &PublicKeyArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let location = Location::parse("--key", &command.key)?;
    let pem = location
        .read(environment, Trusted::NotOthers)?
        .ok_or_else(|| Failure::new(Class::Usage, "a key behind a URL is public already"))?;
    let public = match trust::PublicKey::from_pem(&pem) {
        Ok(public) => public,
        Err(_) => {
            trust::PrivateKey::open(&pem, &prompt::password(environment, false)?)?.public().clone()
        }
    };
    let pem = public.to_pem();
    if let Some(path) = &command.outfile {
        write(path, pem.as_bytes(), PUBLIC)?;
        streams.note(format!("Public key written to {}", path.display()));
    }
    let fingerprint = public.fingerprint().to_string();
    if as_json {
        let algorithm = public.algorithm().to_string();
        streams
            .json(json!({"public_key": pem, "algorithm": algorithm, "fingerprint": fingerprint}))?;
    } else if command.fingerprint {
        streams.say(fingerprint)?;
    } else if command.outfile.is_none() {
        streams.own(pem.as_bytes())?;
    }
    Ok(0)
}

/// The mode of a file that only this user may read.
const PRIVATE: u32 = 0o600;
/// The mode of a file that everybody may read.
const PUBLIC: u32 = 0o644;

/// Writes a new file; one that is there is never touched.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode & PRIVATE).open(path);
    file.and_then(|mut file| {
        // Whatever the mask of this process is.
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.and_then(|()| file.set_permissions(Permissions::from_mode(mode))).inspect_err(
            |_| {
                let _ = std::fs::remove_file(path);
            },
        )
    })
    .map_err(|error| {
        Failure::new(Class::Usage, format!("`{}` could not be written: {error}", path.display()))
    })
}
