//! `hosts.toml`: which registries stand in for one. containerd's page about "Registry Configuration".
//!
//! Not everything in it is read: certificates of our own and headers are for containerd alone, TLS is
//! always verified, and a path that is not `/v2/...` is refused, for a repository has a name there
//! too.

use crate::class::{Class, Failure};
use crate::config::{Trusted, read_file};
use crate::limits;
use crate::name::Registry;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The directory for registries that have none of their own.
const OTHERS: &str = "_default";
const FILE: &str = "hosts.toml";

/// Every route, by the directory that it is in. What cannot be read refuses what needs it.
#[derive(Clone, Debug, Default)]
pub struct HostRoutes {
    /// The routes to registries with a directory of their own.
    pub of: Vec<(Registry, Result<Hosts, Failure>)>,
    /// The route to all others.
    pub others: Option<Result<Hosts, Failure>>,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Who is asked, in order.
    pub endpoints: Vec<RegistryEndpoint>,
    /// Whether the last of them is the registry's own server.
    pub server: bool,
}

/// A registry that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryEndpoint {
    /// Its host and port.
    pub registry: Registry,
    /// What the path begins with there, without slashes at its ends.
    pub prefix: String,
    /// Whether it is spoken to without TLS.
    pub http: bool,
    /// Files with certificates of authorities.
    pub ca: Vec<PathBuf>,
    /// Whether digests may be asked for.
    pub pulls: bool,
    /// Whether tags may be asked for.
    pub resolves: bool,
}

#[derive(Deserialize)]
struct FileWire {
    server: Option<String>,
    #[serde(default)]
    host: toml::Table,
    #[serde(flatten)]
    own: EndpointWire,
}

#[derive(Deserialize)]
struct EndpointWire {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    #[serde(default)]
    override_path: bool,
}

/// One path, or several.
struct OneOrMany(Vec<PathBuf>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |value: &toml::Value| value.as_str().map(PathBuf::from);
        let value = toml::Value::deserialize(deserializer)?;
        let paths = match &value {
            toml::Value::Array(values) => values.iter().map(text).collect(),
            value => text(value).map(|path| vec![path]),
        };
        paths.map(Self).ok_or_else(|| serde::de::Error::custom("`ca` is neither a path nor paths"))
    }
}

/// Reads every `hosts.toml` below `folder`. Nothing is there where there is no such directory.
///
/// # Errors
/// `policy`: the directory cannot be read.
pub fn read_hosts(folder: &Path, trusted: Trusted) -> Result<HostRoutes, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Class::Policy, format!("`{}` could not be read: {error}", folder.display()))
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(HostRoutes::default());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut names: Vec<String> = entries
        .take(limits::MIRROR_FOLDERS)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    // containerd prefers the name in which the colon of a port is written `_PORT_`.
    names.sort_by_key(|name| !name.ends_with('_'));
    let mut routes = HostRoutes::default();
    for name in names {
        let path = folder.join(&name).join(FILE);
        if !path.exists() {
            continue;
        }
        let read = || {
            let bytes = read_file(&path, limits::CONFIG_BYTES, trusted, Class::Policy)?;
            Hosts::parse(&bytes, &folder.join(&name))
                .map_err(|failure| failure.within(format!("`{}`", path.display())))
        };
        if name == OTHERS {
            routes.others = Some(read());
        } else if let Some(registry) = registry_of(&name)
            && !routes.of.iter().any(|(known, _)| *known == registry)
        {
            routes.of.push((registry, read()));
        }
    }
    Ok(routes)
}

/// Reads the name of a directory: `HOST`, `HOST:PORT` or `HOST_PORT_`.
fn registry_of(name: &str) -> Option<Registry> {
    let port = name.strip_suffix('_').and_then(|name| name.rsplit_once('_'));
    match port {
        Some((host, port)) => format!("{host}:{port}").parse().ok(),
        None => name.parse().ok(),
    }
}

impl Hosts {
    /// Reads a file that is in `folder`.
    ///
    /// # Errors
    /// `policy`: it is no such file. `unsupported`: a path that is not read.
    pub fn parse(bytes: &[u8], folder: &Path) -> Result<Self, Failure> {
        let bad = |why: &dyn std::fmt::Display| Failure::new(Class::Policy, why.to_string());
        let text = std::str::from_utf8(bytes).map_err(|_| bad(&"it is not UTF-8"))?;
        let file: FileWire =
            toml::from_str(text).map_err(|error| bad(&error.to_string().replace('\n', " ")))?;
        let mut endpoints = Vec::new();
        for (url, value) in file.host {
            let wire: EndpointWire =
                value.try_into().map_err(|error: toml::de::Error| bad(&error.message()))?;
            endpoints.push(RegistryEndpoint::read(&url, wire, folder)?);
        }
        let server = file.server.is_some();
        if let Some(url) = &file.server {
            endpoints.push(RegistryEndpoint::read(url, file.own, folder)?);
        }
        endpoints.retain(|endpoint| endpoint.pulls);
        Ok(Self { endpoints, server })
    }
}

impl RegistryEndpoint {
    fn read(url: &str, wire: EndpointWire, folder: &Path) -> Result<Self, Failure> {
        let unsupported = |why: &str| {
            Failure::new(Class::Unsupported, format!("`{}`: {why}", crate::class::shown(url)))
                .hint("write the address as `https://HOST[:PORT]`, or with `override_path = true` as `https://HOST[:PORT]/v2/PREFIX`")
        };
        let (http, rest) = match url.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err(unsupported("neither http nor https")),
            None => (false, url),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let prefix = match (wire.override_path, path) {
            (false, "" | "v2") | (true, "v2") => "",
            (true, path) => path
                .strip_prefix("v2/")
                .ok_or_else(|| unsupported("a path that does not begin with /v2/ is not read"))?,
            (false, _) => return Err(unsupported("a path before /v2 is not read")),
        };
        let host = if http && !host.contains(':') { format!("{host}:80") } else { host.to_owned() };
        let may = |what: &str| {
            wire.capabilities.as_ref().is_none_or(|all| all.iter().any(|found| found == what))
        };
        let ca = wire.ca.map(|ca| ca.0).unwrap_or_default();
        Ok(Self {
            registry: host.parse()?,
            prefix: prefix.to_owned(),
            http,
            ca: ca.into_iter().map(|path| folder.join(path)).collect(),
            pulls: may("pull"),
            resolves: may("resolve"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Hosts, Failure> {
        Hosts::parse(text.as_bytes(), Path::new("/etc/containerd/certs.d/docker.io"))
    }

    #[test]
    fn mirrors_are_asked_in_the_order_of_the_file() {
        let hosts = parse(
            "server = \"https://registry-1.docker.io\"\n\
             [host.\"https://z.example\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"z.pem\"\n\
             [host.\"http://a.example:5000\"]\n  capabilities = [\"pull\"]\n  skip_verify = true\n\
             [host.\"https://h.example/v2/hub\"]\n  override_path = true\n\
             [host.\"https://h.example/v2/hub\".header]\n  x = \"y\"\n\
             [host.\"https://push.example\"]\n  capabilities = [\"push\"]\n",
        )
        .unwrap();
        let found: Vec<String> = hosts
            .endpoints
            .iter()
            .map(|e| format!("{} {:?} {} {}", e.registry, e.prefix, e.http, e.resolves))
            .collect();
        assert_eq!(
            found,
            [
                "z.example \"\" false true",
                "a.example:5000 \"\" true false",
                "h.example \"hub\" false true",
                "docker.io \"\" false true",
            ]
        );
        assert!(hosts.server);
        let ca = hosts.endpoints.first().map(|endpoint| endpoint.ca.clone());
        assert_eq!(ca, Some(vec![PathBuf::from("/etc/containerd/certs.d/docker.io/z.pem")]));
    }

    #[test]
    fn what_would_be_asked_in_another_place_is_refused() {
        let class = |text: &str| parse(text).map_err(|failure| failure.class()).err();
        for (text, expected) in [
            ("[host.\"https://a/x/y\"]\n", Class::Unsupported),
            ("[host.\"https://a/x\"]\noverride_path = true\n", Class::Unsupported),
            ("[host.\"ftp://a\"]\n", Class::Unsupported),
            ("[host.\"https://a b\"]\n", Class::Reference),
            ("server = 1\n", Class::Policy),
            ("[host", Class::Policy),
        ] {
            assert_eq!(class(text), Some(expected), "{text}");
        }
        assert_eq!(class(""), None);
    }

    #[test]
    fn folders_are_named_after_registries() {
        for (name, expected) in [
            ("docker.io", Some("docker.io")),
            ("a.example:5000", Some("a.example:5000")),
            ("a.example_5000_", Some("a.example:5000")),
            ("", None),
        ] {
            let found = registry_of(name).map(|registry| registry.to_string());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }
}
