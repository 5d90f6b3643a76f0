//! Build engines: what did docker or buildah push under this name?
//!
//! The host pushes by running its engine and tells us only the tag, which may be someone else's by
//! now. The engine still knows the image at `image.post.push`: docker the digest that it pushed,
//! buildah only the digest of the configuration.

mod buildah;
mod docker;

use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::name::{Digest, Reference, Repository};
use std::fmt;
use std::str::FromStr;

/// Who knows what was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// buildah, executed directly.
    Buildah,
    /// docker, by its socket.
    Docker,
    /// Nobody: what the registry serves under the tag is taken.
    Registry,
}

impl FromStr for Engine {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match text {
            // luet takes `img` for another name of its buildah backend.
            "buildah" | "img" => Ok(Self::Buildah),
            "docker" => Ok(Self::Docker),
            "registry" => Ok(Self::Registry),
            _ => Err(Failure::new(
                Class::Usage,
                format!(
                    "the engine `{text}` is unknown; expected `docker`, `buildah` or `registry`"
                ),
            )),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Buildah => "buildah",
            Self::Docker => "docker",
            Self::Registry => "registry",
        })
    }
}

/// What an engine knows of an image that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineImage {
    /// docker: digests under which the repository has it, the image's id, and its layers,
    /// uncompressed.
    Docker {
        /// `RepoDigests` of this repository.
        pushed: Vec<Digest>,
        /// The id: the digest of the configuration, or with the containerd store that of the
        /// manifest.
        id: Digest,
    },
    /// buildah: the digest of the configuration, and that of the manifest that it keeps. Of an
    /// image that it pulled that is the manifest which the registry served; of one that it pushed it
    /// is another than the registry has (seen on 1.28.2).
    Buildah {
        /// The configuration's.
        config: Digest,
        /// The manifest's.
        manifest: Option<Digest>,
    },
}

/// Returns the engine that was asked for, else `backend`: what the host was started with.
///
/// # Errors
/// `usage`: `LUET_COSIGN_ENGINE` names none that is known.
pub fn chosen(environment: &Environment, backend: Option<&str>) -> Result<Option<Engine>, Failure> {
    match environment.text("LUET_COSIGN_ENGINE")? {
        Some(engine) => engine
            .parse()
            .map(Some)
            .map_err(|failure: Failure| failure.within("LUET_COSIGN_ENGINE")),
        // Another backend than those two is none that we know how to ask: every engine is looked
        // at.
        None => Ok(backend.and_then(|backend| backend.parse().ok())),
    }
}

/// Asks the engines for `image`: `chosen` alone, or every one that is there.
///
/// # Errors
/// `registry`, `net`: the chosen engine does not answer. `not-found`: it does not hold the image.
pub async fn ask(
    chosen: Option<Engine>,
    image: &Reference,
    name: &str,
    environment: &Environment,
) -> Result<Vec<EngineImage>, Failure> {
    let missing = |engine: Engine| {
        Failure::new(Class::NotFound, format!("{engine} does not hold `{image}`"))
            .hint("set LUET_COSIGN_ENGINE to the engine that pushed it, or to `registry` to trust the tag")
    };
    match chosen {
        Some(Engine::Registry) => Ok(Vec::new()),
        Some(Engine::Docker) => docker::ask(image.repository(), name, environment)
            .await?
            .map(|known| vec![known])
            .ok_or_else(|| missing(Engine::Docker)),
        Some(Engine::Buildah) => buildah::ask(name, environment)?
            .map(|known| vec![known])
            .ok_or_else(|| missing(Engine::Buildah)),
        None => {
            // Whichever holds the name; one that is not installed, or not running, holds none.
            let docker = docker::ask(image.repository(), name, environment).await.ok().flatten();
            let buildah = buildah::ask(name, environment).ok().flatten();
            let known: Vec<EngineImage> = docker.into_iter().chain(buildah).collect();
            if known.is_empty() {
                return Err(Failure::new(Class::NotFound, format!("neither docker nor buildah holds `{image}`"))
                    .hint("set LUET_COSIGN_ENGINE to the engine that pushed it, or to `registry` to trust the tag"));
            }
            Ok(known)
        }
    }
}

/// Finds out whether an engine is there that can be asked after a push, before there is one.
///
/// # Errors
/// `net`: docker's socket does not answer. `not-found`: there is no buildah. `usage`: `DOCKER_HOST`
/// is not a local socket.
pub fn check(engine: Engine, environment: &Environment) -> Result<(), Failure> {
    match engine {
        Engine::Registry => Ok(()),
        Engine::Docker => docker::check(environment),
        Engine::Buildah => buildah::check(environment),
    }
    .map_err(|failure| {
        let hint = "start it, or set LUET_COSIGN_ENGINE to the engine that pushes, or to `registry` to trust the tag";
        if failure.own_hint().is_some() { failure } else { failure.hint(hint) }
    })
}

/// Reads `REPOSITORY@sha256:HEX`, where it is about `repository`.
fn digest_in(text: &str, repository: &Repository) -> Option<Digest> {
    let reference: Reference = text.parse().ok()?;
    (reference.repository() == repository).then(|| reference.digest().copied()).flatten()
}
