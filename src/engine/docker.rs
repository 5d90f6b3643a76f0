//! docker, by its socket: `GET /images/NAME/json` (Docker Engine API v1.41, "Inspect an image").

use super::{EngineImage, digest_in};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::limits;
use crate::name::{Digest, Repository};
use serde::Deserialize;
use std::path::PathBuf;

const SOCKET: &str = "/var/run/docker.sock";

#[derive(Deserialize)]
struct InspectWire {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "RepoDigests", default)]
    repo_digests: Option<Vec<String>>,
}

/// Returns what docker knows of `name`, or `None` where it does not hold it.
///
/// # Errors
/// `net`: no answer. `registry`: an unexpected one. `usage`: `DOCKER_HOST` is not a local socket.
pub(super) async fn ask(
    repository: &Repository,
    name: &str,
    environment: &Environment,
) -> Result<Option<EngineImage>, Failure> {
    let socket = socket(environment)?;
    let net = |error: &dyn std::fmt::Display| {
        Failure::new(
            Class::Net,
            format!("docker at `{}` does not answer: {error}", socket.display()),
        )
    };
    let client = reqwest::Client::builder()
        .unix_socket(socket.as_path())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
        .timeout(limits::HELPER)
        .build()
        .map_err(|error| net(&error))?;
    let mut answer = client
        .get(format!("http://localhost/images/{name}/json"))
        .send()
        .await
        .map_err(|error| net(&error))?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| net(&error))? {
        body.extend_from_slice(&chunk);
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > limits::HELPER_BYTES {
            return Err(Failure::new(
                Class::Limit,
                format!("docker's answer is larger than {} bytes", limits::HELPER_BYTES),
            ));
        }
    }
    match status {
        200 => parse(&body, repository).map(Some),
        404 => Ok(None),
        status => Err(Failure::new(
            Class::Registry,
            format!("docker at `{}` answered {status}", socket.display()),
        )),
    }
}

/// Finds out whether docker listens.
pub(super) fn check(environment: &Environment) -> Result<(), Failure> {
    let socket = socket(environment)?;
    std::os::unix::net::UnixStream::connect(&socket).map(|_| ()).map_err(|error| {
        Failure::new(
            Class::Net,
            format!("docker at `{}` does not answer: {error}", socket.display()),
        )
    })
}

fn parse(body: &[u8], repository: &Repository) -> Result<EngineImage, Failure> {
    let wire: InspectWire = serde_json::from_slice(body).map_err(|error| {
        Failure::new(Class::Registry, format!("docker's answer has an unexpected form: {error}"))
    })?;
    let id: Digest = wire.id.parse()?;
    let pushed = wire
        .repo_digests
        .unwrap_or_default()
        .iter()
        .filter_map(|text| digest_in(text, repository))
        .collect();
    Ok(EngineImage::Docker { pushed, id })
}

fn socket(environment: &Environment) -> Result<PathBuf, Failure> {
    match environment.text("DOCKER_HOST")? {
        None => Ok(PathBuf::from(SOCKET)),
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Err(Failure::new(
                Class::Usage,
                format!("DOCKER_HOST is `{host}`; expected `unix://PATH`"),
            )
            .hint("set LUET_COSIGN_ENGINE=registry to trust the tag that the registry serves")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_of_this_repository_count() {
        let digest = Digest::of(b"x");
        let other = Digest::of(b"y");
        let body = format!(
            r#"{{"Id":"{other}","RepoDigests":["127.0.0.1:5000/a/b@{digest}","127.0.0.1:5000/a/bb@{other}","nonsense"],"More":1}}"#
        );
        let known = parse(body.as_bytes(), &"127.0.0.1:5000/a/b".parse().unwrap());
        assert_eq!(known, Ok(EngineImage::Docker { pushed: vec![digest], id: other }));
    }
}
