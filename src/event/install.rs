//! `package.install`, where `luet-cosign run` started the host: which package it was, for the
//! report at the end. Elsewhere the event is answered unread, like all that are not ours.
//!
//! luet has installed the package already, so nothing here can refuse it. What can fail is to tell
//! `run --strict` of it.

use super::Answer;
use super::Call;
use super::envelope::{Envelope, open_file};
use crate::class::Failure;
use crate::config::Environment;
use crate::limits;
use crate::unpack;
use crate::wire::json;
use serde::Deserialize;
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

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
pub(super) fn note(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let environment = (call.environment)();
    if unpack::is_wanted(&environment) {
        let (package, images) = match read(call, &environment) {
            Some(found) => (found.package(), found.images()),
            None => (UNKNOWN.to_owned(), Vec::new()),
        };
        unpack::note_installed(&environment, package, images)?;
    }
    Ok(Answer::ignored())
}

fn read(call: &mut Call<'_>, environment: &Environment) -> Option<MatchWire> {
    let bytes = match (call.arguments.get(1), call.input.as_mut()) {
        (Some(argument), _) => OsString::as_os_str(argument).as_bytes().to_vec(),
        (None, Some(input)) => {
            let mut bytes = Vec::new();
            input.take(limits::EVENT_BYTES).read_to_end(&mut bytes).ok()?;
            bytes
        }
        (None, None) => return None,
    };
    let envelope: Envelope = json::parse_as(&bytes).ok()?;
    if let Some(file) = envelope.file() {
        // A whole repository's index is in it, so it is read past and not kept.
        let file = open_file(Path::new(file), environment).ok()?;
        return serde_json::from_reader(BufReader::new(file.take(limits::INSTALL_BYTES))).ok();
    }
    match envelope.data()? {
        Value::String(text) => serde_json::from_str(text).ok(),
        object => serde_json::from_value(object.clone()).ok(),
    }
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
