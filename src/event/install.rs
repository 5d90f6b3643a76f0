//! `package.install`, where `luet-cosign run` started the host: which package it was, for the
//! report at the end. Elsewhere the event is answered unread, like all that are not ours.
//!
//! luet has installed the package already, so nothing here can refuse it. What can fail is to tell
//! `run --strict` of it.

use super::Answer;
use super::PluginCall;
use super::large;
use crate::class::Failure;
use crate::unpack;
use serde::Deserialize;

/// The event's name.
pub(super) const NAME: &str = "package.install";
/// What a package is called whose payload could not be read.
const UNKNOWN: &str = "a package that the host did not name";

/// luet's `ArtifactMatch`, as far as it matters.
#[derive(Deserialize)]
struct MatchWire {
    #[serde(rename = "Package")]
    package: PackageWire,
    #[serde(rename = "Repository")]
    repository: Option<RepositoryWire>,
}

#[derive(Deserialize)]
struct PackageWire {
    name: String,
    #[serde(default)]
    category: String,
    version: String,
}

#[derive(Deserialize)]
struct RepositoryWire {
    #[serde(default)]
    urls: Vec<String>,
}

impl MatchWire {
    fn package(&self) -> String {
        let PackageWire { name, category, version } = &self.package;
        format!("{category}/{name}-{version}")
    }

    /// The names of its image: luet makes them so (`pkg/installer/client/docker.go`).
    fn images(&self) -> Vec<String> {
        let PackageWire { name, category, version } = &self.package;
        let tag = format!("{name}-{category}-{version}").replace('+', "-");
        let urls = self.repository.iter().flat_map(|repository| &repository.urls);
        urls.map(|url| format!("{url}:{tag}")).collect()
    }
}

/// Leaves a mark, where someone asked for it.
///
/// # Errors
/// `state`: it could not be left, and `run --strict` relies on it.
pub(super) fn note(call: &mut PluginCall<'_>) -> Result<Answer, Failure> {
    let environment = (call.environment)();
    if unpack::is_wanted(&environment) {
        let (package, images) = match large::read::<MatchWire>(call, &environment) {
            Some(found) => (found.package(), found.images()),
            None => (UNKNOWN.to_owned(), Vec::new()),
        };
        unpack::note_installed(&environment, package, images)?;
    }
    Ok(Answer::ignored())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_of_a_package_has_the_name_that_luet_gives_it() {
        let text = r#"{"Package":{"id":0,"name":"yip","version":"0.1+2","category":"toolchain","requires":null},"Artifact":{"path":"x"},"Repository":{"name":"acme","urls":["quay.io/acme/repo","m.example/r"],"auth":{"password":"p"},"index":[{"path":"x"}]}}"#;
        let found: MatchWire = serde_json::from_str(text).unwrap();
        assert_eq!(found.package(), "toolchain/yip-0.1+2");
        assert_eq!(
            found.images(),
            ["quay.io/acme/repo:yip-toolchain-0.1-2", "m.example/r:yip-toolchain-0.1-2"]
        );
    }
}
