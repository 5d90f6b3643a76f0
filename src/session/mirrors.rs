//! The mirrors that containerd pulls from, as the client of registries knows them.

use super::document::Networks;
use crate::class::{Class, Failure};
use crate::config::read_file;
use crate::containerd::{Hosts, read_hosts};
use crate::limits;
use crate::registry::{RegistryConfig, RegistryMirror, RegistryMirrors, Route};
use std::path::PathBuf;

/// Where `hosts.toml` files lie, unless the policy says otherwise.
const FOLDER: &str = "/etc/containerd/certs.d";

/// Adds the mirrors to what the client has to know.
///
/// # Errors
/// `policy`: the directory that the policy names cannot be read.
pub(super) fn add(config: &mut RegistryConfig, networks: &Networks) -> Result<(), Failure> {
    let folder = match &networks.network.mirrors {
        Some(folder) => networks.base.folder.join(folder),
        None => PathBuf::from(FOLDER),
    };
    let routes = read_hosts(&folder, networks.base.trusted)?;
    let mut mirrors = RegistryMirrors::default();
    for (registry, hosts) in routes.of {
        let route = hosts.and_then(|hosts| route(config, hosts, networks));
        mirrors.routes.insert(registry, route);
    }
    mirrors.others =
        routes.others.map(|hosts| hosts.and_then(|hosts| route(config, hosts, networks)));
    config.mirrors = mirrors;
    Ok(())
}

fn route(config: &mut RegistryConfig, hosts: Hosts, networks: &Networks) -> Result<Route, Failure> {
    let mut mirrors = Vec::new();
    for endpoint in hosts.endpoints {
        if endpoint.http && !config.http_registries.contains(&endpoint.registry) {
            config.http_registries.push(endpoint.registry.clone());
        }
        for path in &endpoint.ca {
            let pem = read_file(path, limits::CONFIG_BYTES, networks.base.trusted, Class::Policy)?;
            let known = config.extra_ca.entry(endpoint.registry.clone()).or_insert(Ok(Vec::new()));
            if let Ok(authorities) = known {
                authorities.extend_from_slice(&pem);
                authorities.push(b'\n');
            }
        }
        let (registry, prefix) = (endpoint.registry, endpoint.prefix);
        mirrors.push(RegistryMirror { registry, prefix, resolves: endpoint.resolves });
    }
    Ok(Route { mirrors, instead: hosts.server })
}
