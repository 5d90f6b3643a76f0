//! What the registry client has to know: rooms below read no environment.

use super::connections::SessionOptions;
use super::document::Networks;
use super::machine::Machine;
use super::mirrors;
use super::process::{end_overdue, trace};
use super::watch::Watch;
use crate::class::{Class, Failure};
use crate::config::{Environment, Trusted, read_file};
use crate::limits;
use crate::luet::{self, CommandLine};
use crate::name::Reference;
use crate::registry::{self, Credential, CredentialScope, CredentialSources, Explicit, Proxies};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::path::PathBuf;
use zeroize::Zeroizing;

pub(super) fn client_config(
    machine: &Machine,
    networks: &Networks,
    options: &SessionOptions,
) -> Result<registry::RegistryConfig, Failure> {
    let environment = machine.environment();
    let mut config = registry::RegistryConfig {
        http_registries: options.http.clone(),
        ca_file: environment.path("SSL_CERT_FILE")?,
        credentials: credentials(machine)?,
        proxies: proxies(environment)?,
        deadline: environment.deadline()?,
        offline: networks.is_offline(environment)?,
        overdue: Some(end_overdue),
        trace: environment.is_traced().then_some(trace),
        ..registry::RegistryConfig::default()
    };
    // A person waits for a command; a host for an event, as long as it may take.
    if !options.keep_keys && environment.text("LUET_COSIGN_TIMEOUT")?.is_none() {
        config.times.connect = limits::COMMAND_CONNECT;
        // containerd's question has a deadline of its own, in the policy.
        config.times.first = options.watch.is_none().then_some(limits::COMMAND_FIRST);
    }
    for settings in &networks.registries {
        if settings.http {
            config.http_registries.push(settings.host.clone());
        }
        if let Some(ca) = &settings.ca {
            let (path, trusted) = (networks.base.folder.join(ca), networks.base.trusted);
            // Who never speaks to this registry does not need it.
            let pem = read_file(&path, limits::CONFIG_BYTES, trusted, Class::Policy);
            config.extra_ca.insert(settings.host.clone(), pem);
        }
        config.auth_hosts.insert(settings.host.clone(), settings.auth_hosts.clone());
        if let Some(credentials) = &settings.credentials {
            let path = networks.base.folder.join(credentials);
            config.credentials.files.push((settings.host.clone(), path));
        }
    }
    for (registry, path) in &options.ca {
        let pem = read_file(path, limits::CONFIG_BYTES, Trusted::NotOthers, Class::Usage)?;
        config.extra_ca.insert(registry.clone(), Ok(pem));
    }
    for (registry, credential) in &options.credentials {
        // What was typed counts before what luet has for a part of the registry.
        config.credentials.explicit.retain(|explicit| match &explicit.scope {
            CredentialScope::Registry(other) => other != registry,
            CredentialScope::Repository(repository) => repository.registry() != registry,
        });
        let scope = CredentialScope::Registry(registry.clone());
        config.credentials.explicit.push(Explicit {
            scope,
            credential: credential.clone(),
            from: "the command line".to_owned(),
        });
    }
    Ok(config)
}

/// Sets what is otherwise where containerd calls: the deadline is about everything, and what luet
/// keeps is none of its business.
pub(super) fn for_containerd(
    config: &mut registry::RegistryConfig,
    watch: &Watch,
    environment: &Environment,
    networks: &Networks,
) -> Result<(), Failure> {
    watch.hold_to(match (networks.deadline, environment.text("LUET_COSIGN_TIMEOUT")?) {
        (Some(limit), _) => limit,
        (None, Some(_)) => environment.deadline()?,
        (None, None) => limits::HOST_DEADLINE,
    });
    config.deadline = watch.left();
    config.overdue = None;
    config.credentials.explicit.clear();
    mirrors::add(config, networks)
}

fn proxies(environment: &Environment) -> Result<Proxies, Failure> {
    let either = |upper: &'static str, lower: &'static str| {
        let (value, name) = match environment.text(upper)? {
            Some(value) => (Some(value), upper),
            None => (environment.text(lower)?, lower),
        };
        Ok::<_, Failure>((value.map(ToOwned::to_owned), name))
    };
    let (http, http_variable) = either("HTTP_PROXY", "http_proxy")?;
    let (https, https_variable) = either("HTTPS_PROXY", "https_proxy")?;
    let (no_proxy, _) = either("NO_PROXY", "no_proxy")?;
    Ok(Proxies { http, https, no_proxy, http_variable, https_variable })
}

fn credentials(machine: &Machine) -> Result<CredentialSources, Failure> {
    let environment = machine.environment();
    let home = environment.path("HOME")?;
    let docker = environment
        .path("DOCKER_CONFIG")?
        .or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let configuration = environment
        .path("XDG_CONFIG_HOME")?
        .or_else(|| home.as_ref().map(|home| home.join(".config")));
    let podman = [
        environment.path("REGISTRY_AUTH_FILE")?,
        Some(environment.path("XDG_RUNTIME_DIR")?.map_or_else(
            // Where podman keeps it then.
            || {
                PathBuf::from(format!(
                    "/run/containers/{}/auth.json",
                    rustix::process::getuid().as_raw()
                ))
            },
            |folder| folder.join("containers/auth.json"),
        )),
        configuration.map(|folder| folder.join("containers/auth.json")),
    ];
    let helper = ["HOME", "USER", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "PATH"];
    Ok(CredentialSources {
        files: Vec::new(),
        explicit: {
            let stored = machine.luet().repositories.iter().flat_map(explicit);
            given(machine.host()).into_iter().chain(stored).collect()
        },
        docker_config: docker.map(|folder| folder.join("config.json")),
        podman_auth: podman.into_iter().flatten().collect(),
        helper_path: environment.raw("PATH").unwrap_or_default().to_os_string(),
        helper_env: helper
            .into_iter()
            .filter_map(|name| Some((name.into(), environment.raw(name)?.to_os_string())))
            .collect(),
    })
}

/// Returns the credential of luet's own command line, for the image that it names.
fn given(host: &CommandLine) -> Vec<Explicit> {
    let Some((auth, names)) = host.auth() else { return Vec::new() };
    let Some(credential) = credential(&auth) else { return Vec::new() };
    let full = names.into_iter().filter(|name| name.contains('/'));
    full.filter_map(|name| name.parse::<Reference>().ok())
        .map(|image| Explicit {
            scope: CredentialScope::Repository(image.repository().clone()),
            credential: credential.clone(),
            from: "luet's command line (`--auth-*`)".to_owned(),
        })
        .collect()
}

/// Returns the credentials of one of luet's repositories, for each of its addresses.
fn explicit(repository: &luet::ConfiguredRepository) -> Vec<Explicit> {
    let docker = repository.auth.as_ref().filter(|_| repository.kind == "docker");
    let Some(credential) = docker.and_then(credential) else { return Vec::new() };
    let scope = |url: &String| url.parse().ok().map(CredentialScope::Repository);
    let from = format!("`auth` of the repository `{}` in luet's configuration", repository.name);
    let explicit = |scope| Explicit { scope, credential: credential.clone(), from: from.clone() };
    repository.urls.iter().filter_map(scope).map(explicit).collect()
}

/// Reads docker's `AuthConfig`; the first of token, identity token, `auth` and password counts.
fn credential(auth: &luet::Auth) -> Option<Credential> {
    let token = |text: &str| Zeroizing::new(text.to_owned());
    if !auth.registrytoken.is_empty() {
        return Some(Credential::RegistryToken(token(&auth.registrytoken)));
    }
    if !auth.identitytoken.is_empty() {
        return Some(Credential::IdentityToken(token(&auth.identitytoken)));
    }
    if auth.auth.is_empty() {
        return Some(Credential::Password {
            username: auth.username.clone(),
            password: token(&auth.password),
        });
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(&auth.auth).ok()?);
    let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Credential::Password { username: username.to_owned(), password: token(password) })
}
