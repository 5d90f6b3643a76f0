//! Which trusted roots there are: what the command line names, the policy, the environment where
//! that is the policy, and else the public one.

use super::document::{Base, Networks};
use super::{Connections, Machine, SessionOptions};
use crate::class::{Class, Failure};
use crate::config::{Environment, Trusted, read_file};
use crate::limits;
use crate::registry::Client;
use crate::sigstore::{RootSource, Settings, TufMirror};
use crate::trust::Pieces;
use std::path::Path;

/// Returns the settings of the roots that may be asked for: the default one, that of the networks,
/// and those of the signers in force, by the names that they use.
pub(super) fn settings<'a>(
    machine: &Machine,
    options: &SessionOptions,
    networks: &'a Networks,
    of_signers: impl Iterator<Item = &'a String>,
    client: &Client,
) -> Result<Settings, Failure> {
    let environment = machine.environment();
    let document = |path: &Path, trusted: Trusted| RootSource::Document {
        name: path.display().to_string(),
        bytes: read_file(path, limits::ROOT_BYTES, trusted, Class::Trustroot),
    };
    let variable = if networks.is_file { None } else { environment.path("COSIGN_TRUSTED_ROOT")? };
    let given = options.trusted_root.as_deref();
    let named = pieces_of(options);
    let default = match (given, variable.as_deref()) {
        (Some(path), _) => document(path, Trusted::NotOthers),
        (None, Some(path)) if named == Ok(Pieces::default()) => document(path, Trusted::NotOthers),
        (None, Some(_)) => return Err(two_roots()),
        // A policy file makes the variables inert.
        (None, None) if networks.is_file => {
            RootSource::Repository { mirror: Ok(None), pieces: named }
        }
        (None, None) => RootSource::Repository {
            mirror: mirror(environment),
            pieces: named.and_then(|named| Ok(or(named, pieces(environment)?))),
        },
    };
    let Base { folder, trusted } = &networks.base;
    Ok(Settings {
        default,
        named: of_signers
            .chain(&networks.network.trusted_root)
            .map(|path| (path.clone(), document(&folder.join(path), *trusted)))
            .collect(),
        offline: networks.is_offline(environment)?,
        client: client.clone(),
        locations: machine.locations().clone(),
        now: machine.now(),
    })
}

/// Reads `TUF_MIRROR` and `TUF_ROOT_JSON`, which mean something together only: a mirror of one's
/// own has a root of its own, for the public one must not vouch for what it serves (cosign asks for
/// both as well).
fn mirror(environment: &Environment) -> Result<Option<TufMirror>, Failure> {
    let alone = |set: &str, missing: &str| {
        Err(Failure::new(Class::Trustroot, format!("{set} is set, and {missing} is not")).hint(
            "set both: the address of the TUF repository, and the path of its first root.json",
        ))
    };
    match (environment.text("TUF_MIRROR")?, environment.path("TUF_ROOT_JSON")?) {
        (None, None) => Ok(None),
        (Some(_), None) => alone("TUF_MIRROR", "TUF_ROOT_JSON"),
        (None, Some(_)) => alone("TUF_ROOT_JSON", "TUF_MIRROR"),
        (Some(url), Some(path)) => {
            Client::check_address(url)
                .map_err(|failure| failure.of_variable("TUF_MIRROR").as_class(Class::Trustroot))?;
            let root =
                read_file(&path, limits::TUF_FILE_BYTES, Trusted::NotOthers, Class::Trustroot)
                    .map_err(|failure| failure.of_variable("TUF_ROOT_JSON"))?;
            Ok(Some(TufMirror { url: url.to_owned(), root }))
        }
    }
}

fn two_roots() -> Failure {
    let message =
        "COSIGN_TRUSTED_ROOT is set, but options name parts of a root as well: use one of the two";
    Failure::new(Class::Usage, message)
        .hint("unset the variable, or leave out --ca-roots and --timestamp-certificate-chain")
}

/// Reads the parts that options name.
fn pieces_of(options: &SessionOptions) -> Result<Pieces, Failure> {
    let read =
        |path: &Path| read_file(path, limits::ROOT_BYTES, Trusted::NotOthers, Class::Trustroot);
    let mut authorities = None;
    for path in &options.authorities {
        let all: &mut Vec<u8> = authorities.get_or_insert_default();
        all.extend(read(path)?);
        all.push(b'\n');
    }
    let timestamp_authorities = options.timestamp_authorities.as_deref().map(read).transpose()?;
    Ok(Pieces { authorities, timestamp_authorities, ..Pieces::default() })
}

/// Returns the parts that are named, and of the others those that are not.
fn or(named: Pieces, others: Pieces) -> Pieces {
    Pieces {
        authorities: named.authorities.or(others.authorities),
        logs: named.logs.or(others.logs),
        certificate_logs: named.certificate_logs.or(others.certificate_logs),
        timestamp_authorities: named.timestamp_authorities.or(others.timestamp_authorities),
    }
}

fn pieces(environment: &Environment) -> Result<Pieces, Failure> {
    let file = |name: &str| -> Result<Option<Vec<u8>>, Failure> {
        let read = |path: std::path::PathBuf| {
            read_file(&path, limits::ROOT_BYTES, Trusted::NotOthers, Class::Trustroot)
                .map_err(|failure| failure.of_variable(name))
        };
        environment.path(name)?.map(read).transpose()
    };
    Ok(Pieces {
        authorities: file("SIGSTORE_ROOT_FILE")?,
        logs: file("SIGSTORE_REKOR_PUBLIC_KEY")?,
        certificate_logs: file("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE")?,
        timestamp_authorities: file("SIGSTORE_TSA_CERTIFICATE_FILE")?,
    })
}

/// Returns which trusted root is in force, how old it is, and whether it can be made newer. No
/// request is made.
///
/// # Errors
/// `trustroot`: there is none. Those of [`Connections::open`].
pub fn describe_root(environment: &Environment) -> Result<(String, Vec<String>), Failure> {
    let connections = Connections::open(environment, &SessionOptions::default())?;
    Ok((connections.roots().describe()?, connections.roots().warnings()))
}
