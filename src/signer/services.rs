//! Which services sign: what the command line names, else the variables, else the signing
//! configuration of the TUF repository.
//!
//! Addresses replace the configuration whole: no public timestamp authority is asked beside a private
//! Fulcio. And a trusted root of the user's own goes with services of the user's own, or a name that
//! was meant for a private log becomes public by omission.

use crate::class::{Class, Failure};
use crate::config::{Trusted, read_file};
use crate::limits;
use crate::session::Connections;
use crate::sigstore::{LogService, LogVersion, Services};
use std::path::PathBuf;

/// Which services the command line names.
#[derive(Clone, Debug, Default)]
pub struct ServiceOptions {
    /// `--fulcio-url`.
    pub fulcio: Option<String>,
    /// `--rekor-url`: a log of v1.
    pub rekor: Option<String>,
    /// `--timestamp-server-url`.
    pub tsa: Option<String>,
    /// `--signing-config`.
    pub signing_config: Option<PathBuf>,
}

impl ServiceOptions {
    fn has_address(&self) -> bool {
        self.fulcio.is_some() || self.rekor.is_some() || self.tsa.is_some()
    }

    fn services(&self) -> Result<Services, Failure> {
        let log = self.rekor.clone().map(|url| LogService { url, version: LogVersion::V1 });
        Services { fulcio: self.fulcio.clone(), log, tsa: self.tsa.clone() }.checked()
    }
}

/// Finds the services.
///
/// # Errors
/// `usage`: two ways to name them at once, or an address that is none. `trustroot`: no signing
/// configuration, or one for another trusted root. `net`: it could not be had.
pub(super) async fn find(
    connections: &Connections,
    options: &ServiceOptions,
) -> Result<Services, Failure> {
    if connections.is_offline() {
        return Err(Failure::new(
            Class::Usage,
            "a log cannot be reached offline (LUET_COSIGN_OFFLINE, or the policy)",
        )
        .hint("sign with a key and without --tlog-upload, or go online"));
    }
    match (options.has_address(), &options.signing_config) {
        (true, Some(_)) => {
            return Err(Failure::new(
                Class::Usage,
                "addresses of services and --signing-config are given, which says them too",
            )
            .hint("leave one of them away"));
        }
        (true, None) => return options.services(),
        (false, Some(path)) => {
            let bytes = read_file(path, limits::ROOT_BYTES, Trusted::NotOthers, Class::Trustroot)?;
            return Services::parse(&bytes, &format!("`{}`", path.display()), connections.now());
        }
        (false, None) => {}
    }
    let text =
        |name: &str| Ok::<_, Failure>(connections.environment().text(name)?.map(ToOwned::to_owned));
    let variables = ServiceOptions {
        fulcio: text("COSIGN_FULCIO_URL")?,
        rekor: text("COSIGN_REKOR_URL")?,
        tsa: text("COSIGN_TIMESTAMP_SERVER_URL")?,
        signing_config: None,
    };
    if variables.has_address() {
        return variables.services();
    }
    let services = connections.roots().services().await?;
    check_root(connections, &services).await?;
    Ok(services)
}

/// Refuses the services of the default configuration where the trusted root is a document that does
/// not know them.
async fn check_root(connections: &Connections, services: &Services) -> Result<(), Failure> {
    let name = connections.network_root()?;
    if !connections.roots().is_document(name) {
        return Ok(());
    }
    let roots = connections.roots().load([name]).await;
    let root = roots.get(name)?;
    match &services.fulcio {
        Some(fulcio) if !root.names_authority(fulcio) => Err(Failure::new(
            Class::Usage,
            format!("the trusted root {} does not know `{fulcio}`, which would sign", root.name()),
        )
        .hint("name the services that belong to it: --signing-config FILE, or --fulcio-url, --rekor-url and --timestamp-server-url (COSIGN_FULCIO_URL, COSIGN_REKOR_URL, COSIGN_TIMESTAMP_SERVER_URL)")),
        _ => Ok(()),
    }
}

/// Returns a service that has to be there.
pub(super) fn needed<T>(
    found: Option<T>,
    what: &str,
    flag: &str,
    variable: &str,
) -> Result<T, Failure> {
    found.ok_or_else(|| {
        Failure::new(Class::Usage, format!("nothing says which {what} signs here"))
            .hint(format!("services are named together: {flag} (or {variable}) is missing"))
    })
}
