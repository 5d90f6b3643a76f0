//! What the adapter has to be told: it never reads the environment, a home directory or a clock of day
//! by itself.

use super::credentials::CredentialSources;
use super::mirrors::RegistryMirrors;
use crate::class::Failure;
use crate::limits;
use crate::name::Registry;
use crate::store::Locations;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a [`Client`](super::Client) has to know about the world.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Registries that may be spoken to over plain http. Loopback needs no entry: http is tried
    /// there first.
    pub http_registries: Vec<Registry>,
    /// A PEM file that replaces the system's certificate authorities (`SSL_CERT_FILE`).
    pub ca_file: Option<PathBuf>,
    /// PEM of authorities that are trusted for one registry and its token service, besides the
    /// others, or why it cannot be had.
    pub extra_ca: BTreeMap<Registry, Result<Vec<u8>, Failure>>,
    /// Hosts (`host` or `host:port`) whose token service may see the credentials of a registry,
    /// besides its own host.
    pub auth_hosts: BTreeMap<Registry, Vec<String>>,
    /// Where credentials are looked for.
    pub credentials: CredentialSources,
    /// Proxies, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
    pub proxies: Proxies,
    /// Time for everything but layer bytes, from the making of the client.
    pub deadline: Duration,
    /// The shorter times. The defaults are those of [`limits`].
    pub times: Times,
    /// The version that the registry sees in `User-Agent`.
    pub version: String,
    /// Names that are not asked from DNS, as with curl's `--resolve`. A port of 0 means the port of
    /// the URL.
    pub hosts: BTreeMap<String, Vec<SocketAddr>>,
    /// Where this run of the host keeps its files, if tokens that everybody is given may be kept for
    /// its other processes. `None`: no token is kept, and none is looked for.
    pub run: Option<Locations>,
    /// Where else manifests and small blobs are asked for, before a registry or in its place. Never
    /// layers, and never what is written.
    pub mirrors: RegistryMirrors,
    /// Whether nobody but registries may be asked anything.
    pub offline: bool,
    /// Ends the process, called [`limits::OVERDUE`] after the deadline by a thread that begins with
    /// the first request. A peer can keep the HTTP library busy within one poll, where no timer is
    /// looked at (a flood of 1xx answers). `None`: nobody watches.
    pub overdue: Option<fn()>,
    /// Gets a line for each request, without headers, query or anything else that may be a secret.
    pub trace: Option<fn(&str)>,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            http_registries: Vec::new(),
            ca_file: None,
            extra_ca: BTreeMap::new(),
            auth_hosts: BTreeMap::new(),
            credentials: CredentialSources::default(),
            proxies: Proxies::default(),
            deadline: limits::DEADLINE,
            times: Times::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hosts: BTreeMap::new(),
            run: None,
            mirrors: RegistryMirrors::default(),
            offline: false,
            overdue: None,
            trace: None,
        }
    }
}

/// The shorter times, which tests make shorter still.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Time to connect.
    pub connect: Duration,
    /// Time until a host has answered for the first time, all tries together; nothing where it is
    /// waited for as for any answer.
    pub first: Option<Duration>,
    /// Time without any byte of an answer.
    pub idle: Duration,
    /// The window within which layer bytes must bring [`limits::PROGRESS_BYTES`].
    pub progress: Duration,
    /// The time after which layer bytes must have come at [`limits::AVERAGE_BYTES`] a second.
    pub grace: Duration,
    /// The wait before the second try; doubled for each further one, up to half of it added at
    /// random.
    pub backoff: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: limits::CONNECT,
            first: None,
            idle: limits::IDLE,
            progress: limits::PROGRESS_WINDOW,
            grace: limits::AVERAGE_AFTER,
            backoff: limits::BACKOFF,
        }
    }
}

/// Proxies. As in Go's clients (which the host uses), loopback is never reached through one.
#[derive(Clone)]
pub struct Proxies {
    /// The proxy for `http` URLs.
    pub http: Option<String>,
    /// The proxy for `https` URLs.
    pub https: Option<String>,
    /// Comma-separated hosts, `.suffixes`, addresses, networks (`10.0.0.0/8`) or `*` that are
    /// reached directly.
    pub no_proxy: Option<String>,
    /// The variable that names the proxy for `http` URLs.
    pub http_variable: &'static str,
    /// The variable that names the proxy for `https` URLs.
    pub https_variable: &'static str,
}

impl Default for Proxies {
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            no_proxy: None,
            http_variable: "HTTP_PROXY",
            https_variable: "HTTPS_PROXY",
        }
    }
}

impl std::fmt::Debug for Proxies {
    /// A proxy's URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}
