//! buildah, executed directly: `buildah inspect --type image NAME`.
//!
//! `FromImageID` is the digest of the configuration, `FromImageDigest` that of the manifest that is
//! kept: the one that was pulled, but not the one that was pushed (seen on 1.28.2).

use super::EngineImage;
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::limits;
use crate::name::Digest;
use serde::Deserialize;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running program is looked at.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Deserialize)]
struct InspectWire {
    #[serde(rename = "FromImageID")]
    id: String,
    #[serde(rename = "FromImageDigest", default)]
    manifest: String,
}

/// Returns what buildah knows of `name`, or `None` where it does not hold it.
///
/// # Errors
/// `not-found`: there is no buildah. `registry`: it failed, took too long, or answered something
/// else.
pub(super) fn ask(name: &str, environment: &Environment) -> Result<Option<EngineImage>, Failure> {
    let failed = |what: String| Failure::new(Class::Registry, format!("buildah {what}"));
    // An image name never starts with `-` (it was parsed as a reference), so it cannot be read as
    // an option.
    let mut child = Command::new(program(environment)?)
        .args(["inspect", "--type", "image", name])
        .env_clear()
        .envs(environment.for_children())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Failure::new(Class::NotFound, format!("buildah could not be run: {error}"))
        })?;
    let (mut output, mut errors) = (child.stdout.take(), child.stderr.take());
    let output = std::thread::spawn(move || read(output.as_mut()));
    let errors = std::thread::spawn(move || read(errors.as_mut()));
    let since = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if since.elapsed() < limits::HELPER => std::thread::sleep(PAUSE),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!(
                    "did not answer within {} s",
                    limits::HELPER.as_secs()
                )));
            }
        }
    };
    let (output, errors) = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
    if !status.success() {
        let errors = String::from_utf8_lossy(&errors);
        // buildah's own word for an image that it does not hold; there is no exit code for it.
        return if errors.contains("image not known") {
            Ok(None)
        } else {
            Err(failed(format!("failed: {}", errors.trim())))
        };
    }
    let wire: InspectWire = serde_json::from_slice(&output)
        .map_err(|error| failed(format!("answered something unexpected: {error}")))?;
    let text = if wire.id.starts_with("sha256:") { wire.id } else { format!("sha256:{}", wire.id) };
    Ok(Some(EngineImage::Buildah {
        config: text.parse::<Digest>()?,
        manifest: wire.manifest.parse().ok(),
    }))
}

/// Finds out whether there is a buildah.
pub(super) fn check(environment: &Environment) -> Result<(), Failure> {
    program(environment).map(|_| ())
}

fn program(environment: &Environment) -> Result<PathBuf, Failure> {
    environment
        .program("buildah")
        .ok_or_else(|| Failure::new(Class::NotFound, "buildah is not on PATH"))
}

fn read(from: Option<&mut impl std::io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let _ = from.take(limits::HELPER_BYTES).read_to_end(&mut bytes);
    }
    bytes
}
