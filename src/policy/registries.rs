//! The part of a policy that says how registries are reached.

use super::diagnostic::{Position, Problems};
use super::document::RegistrySettings;
use super::fields::{self, Fields};
use super::yaml::Node;
use crate::name::Registry;
use std::collections::HashMap;

/// Reads `registries`.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<RegistrySettings> {
    let mut seen: HashMap<Registry, Position> = HashMap::new();
    let mut registries = Vec::new();
    for node in fields::list(node, "`registries`", problems) {
        let Some(settings) = read_one(node, problems) else { continue };
        if let Some(first) = seen.insert(settings.host.clone(), settings.at) {
            let message = format!("`{}` is already set on line {}", settings.host, first.line);
            problems.error(settings.at, "duplicate-registry", message);
        }
        registries.push(settings);
    }
    registries
}

fn read_one(node: &Node, problems: &mut Problems) -> Option<RegistrySettings> {
    let fields = Fields::open(node, "registries.", "an entry of `registries`", problems)?;
    let host = fields.required("host", "an entry of `registries`", problems);
    let host = host.and_then(|node| fields::parsed(node, "`host`", "host", problems));
    let http = fields
        .optional("http")
        .and_then(|node| fields::boolean(node, "`http`", problems))
        .unwrap_or(false);
    let ca = fields
        .optional("ca")
        .and_then(|node| fields::text(node, "`ca`", problems))
        .map(ToOwned::to_owned);
    let hosts = fields
        .optional("auth_hosts")
        .map(|node| fields::list(node, "`auth_hosts`", problems))
        .unwrap_or_default();
    // As they are written: without a port each is meant on every one, which the canonical name of a
    // registry would not say.
    let auth_hosts = hosts
        .iter()
        .filter_map(|node| {
            fields::parsed::<Registry>(node, "a host", "host", problems)?;
            fields::text(node, "a host", problems).map(str::to_ascii_lowercase)
        })
        .collect();
    let credentials = fields
        .optional("credentials")
        .and_then(|node| fields::text(node, "`credentials`", problems))
        .map(ToOwned::to_owned);
    if http && ca.is_some() {
        problems
            .error(fields.at, "conflict", "`ca` means nothing with `http: true`")
            .help("remove one of them");
    }
    Some(RegistrySettings { host: host?, http, ca, auth_hosts, credentials, at: fields.at })
}
