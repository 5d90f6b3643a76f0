//! Sockets and TLS: makes the HTTP clients, late and once each, and sends one request.
//!
//! HTTP/1.1 only; no redirects, cookies, decompression or retries by the library. A client for
//! plain http has no certificate authorities; the system's are read when the first https request is
//! made (4 ms). A host that a registry sent us to has a client of its own, whose names may not lead
//! home (`space`). Never decides about credentials.

use super::ahead::Stash;
use super::authorities::{Authorities, NoCertificate};
use super::clock::Clock;
use super::config::RegistryConfig;
use super::proxy::{self, Through, literal, proxy_for};
use super::space::Space;
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use crate::name::Registry;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Method, Proxy, Request, Response, Url};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Instant;

/// Whom a request goes to, which decides what is trusted on the way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer<'a> {
    /// The registry itself, or the token service that belongs to it.
    Own(&'a Registry),
    /// Someone that a registry in the given space sent us to.
    Foreign(Space),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ConnectionKind {
    tls: bool,
    authorities: Option<Registry>,
    guard: Option<Space>,
}

impl ConnectionKind {
    fn of(url: &Url, peer: Peer<'_>, config: &RegistryConfig) -> Self {
        Self {
            tls: url.scheme() == "https",
            authorities: match peer {
                Peer::Own(registry) if config.extra_ca.contains_key(registry) => {
                    Some(registry.clone())
                }
                Peer::Own(_) | Peer::Foreign(_) => None,
            },
            guard: match peer {
                Peer::Own(_) => None,
                Peer::Foreign(own) => Some(own),
            },
        }
    }
}

/// A client of the HTTP library, and what was opened for it.
#[derive(Clone, Debug)]
struct Sender {
    client: reqwest::Client,
    stash: Stash,
}

#[derive(Debug)]
pub(super) struct Transport {
    config: Arc<RegistryConfig>,
    clock: Arc<Clock>,
    clients: Mutex<BTreeMap<ConnectionKind, Sender>>,
    tls: Mutex<BTreeMap<Option<Registry>, ClientConfig>>,
    requests: AtomicU64,
    /// When a host that was asked is given up; nothing for one that answered.
    patience: Mutex<BTreeMap<String, Option<Instant>>>,
    /// Whether someone asked for a certificate of ours.
    asked: Arc<AtomicBool>,
    watched: Once,
}

impl Transport {
    pub(super) fn new(config: Arc<RegistryConfig>, clock: Arc<Clock>) -> Self {
        Self {
            config,
            clock,
            clients: Mutex::default(),
            tls: Mutex::default(),
            requests: AtomicU64::new(0),
            patience: Mutex::default(),
            asked: Arc::default(),
            watched: Once::new(),
        }
    }

    /// Returns how many requests were sent.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Starts the thread that ends this process when the deadline is long over; once.
    pub(super) fn watch(&self) {
        self.watched.call_once(|| {
            if let Some(end) = self.config.overdue {
                Arc::clone(&self.clock).watch(end);
            }
        });
    }

    /// Sends one request and waits for the head of its answer, until `deadline`, and no longer than
    /// idle time allows, or patience with a host that never answered.
    pub(super) async fn send(
        &self,
        request: Request,
        peer: Peer<'_>,
        deadline: Instant,
    ) -> Result<Response, Trouble> {
        let host = shown(request.url());
        if let Peer::Foreign(own) = peer {
            check_literal(request.url(), own)?;
        }
        let through = proxy_for(&self.config.proxies, request.url())?;
        let Sender { client, stash } = self.sender(request.url(), peer)?;
        let url = request.url().clone();
        // A body takes as long as it takes within the deadline; idle time is about answers.
        let sends = request.body().is_some_and(|body| body.as_bytes() != Some(&[]));
        let (limit, patience) = if sends {
            (deadline, None)
        } else {
            (deadline.min(Instant::now() + self.config.times.idle), self.patience(&host))
        };
        let limit = patience.map_or(limit, |patience| limit.min(patience));
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.watch();
        let traced = self.config.trace.map(|trace| (trace, traced(&request, peer)));
        let sent = stash.using(host.clone(), client.execute(request));
        let sent = tokio::time::timeout_at(limit.into(), sent).await;
        if let Some((trace, request)) = traced {
            trace(&match &sent {
                Ok(Ok(response)) => format!("{request}: {}", response.status().as_u16()),
                Ok(Err(_)) => format!("{request}: failed"),
                Err(_) => format!("{request}: no answer in time"),
            });
        }
        match sent {
            Ok(Ok(response)) => {
                self.answered(&host);
                match &through {
                    Some(through) if response.status().as_u16() == 407 => {
                        Err(through.refusal(&host, 407))
                    }
                    _ => Ok(response),
                }
            }
            Ok(Err(error)) => {
                let until = patience.map_or(deadline, |patience| deadline.min(patience));
                let trouble = self.trouble(&url, through.as_ref(), error, until).await;
                let over = patience.is_some_and(|patience| patience <= Instant::now());
                Err(if over { trouble.into_failure().into() } else { trouble })
            }
            Err(_) if patience == Some(limit) => {
                Err(Trouble::never_answered(&host, self.config.times.first.unwrap_or_default()))
            }
            Err(_) if limit < deadline => Err(Trouble::silent(&host, self.config.times.idle)),
            Err(_) => Err(Trouble::late(&host)),
        }
    }

    /// Returns when a host is given up that never answered, all tries and all requests together.
    fn patience(&self, host: &str) -> Option<Instant> {
        let first = self.config.times.first?;
        let mut hosts = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        *hosts.entry(host.to_owned()).or_insert_with(|| Some(Instant::now() + first))
    }

    fn answered(&self, host: &str) {
        // Events wait for the first answer as for any other.
        if self.config.times.first.is_none() {
            return;
        }
        let mut hosts = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(host.to_owned(), None);
    }

    /// Finds out what went wrong: on the way to a proxy, at the proxy, or behind it.
    async fn trouble(
        &self,
        url: &Url,
        through: Option<&Through>,
        error: reqwest::Error,
        deadline: Instant,
    ) -> Trouble {
        let asked = self.asked.load(Ordering::Relaxed);
        let unexplained = error.is_connect() && !Trouble::is_tls(&error, asked);
        if let Some(through) = through
            && unexplained
            && let Some(trouble) = proxy::explain(through, url, &self.config, deadline).await
        {
            return trouble;
        }
        let late = error.is_timeout();
        let trouble = Trouble::from_http(&shown(url), error, asked);
        if late && self.config.times.first.is_some() { trouble.wants_time() } else { trouble }
    }

    /// Returns whether a request for `url` leaves through a proxy.
    pub(super) fn is_proxied(&self, url: &Url) -> bool {
        // What is not a proxy is refused before anything is sent.
        !matches!(proxy_for(&self.config.proxies, url), Ok(None))
    }

    /// Opens connections for so many requests to the origin of `url` that will be made soon.
    pub(super) fn ahead(
        &self,
        url: &Url,
        peer: Peer<'_>,
        connections: usize,
    ) -> Result<(), Failure> {
        // What is not a proxy is refused before anything is opened.
        proxy_for(&self.config.proxies, url)?;
        let stash = self.sender(url, peer)?.stash;
        let missing = stash.missing(&shown(url), connections);
        if missing == 0 {
            return Ok(());
        }
        // Of a client that never gets an answer: what it begins finds no other connection to use.
        let opener = self.make(&ConnectionKind::of(url, peer, &self.config), &stash)?;
        self.watch();
        for _ in 0..missing {
            stash.open(shown(url), opener.execute(Request::new(Method::GET, url.clone())));
        }
        Ok(())
    }

    fn sender(&self, url: &Url, peer: Peer<'_>) -> Result<Sender, Failure> {
        let kind = ConnectionKind::of(url, peer, &self.config);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = clients.get(&kind) {
            return Ok(sender.clone());
        }
        let stash = Stash::default();
        let sender = Sender { client: self.make(&kind, &stash)?, stash };
        clients.insert(kind, sender.clone());
        Ok(sender)
    }

    fn make(&self, kind: &ConnectionKind, stash: &Stash) -> Result<reqwest::Client, Failure> {
        let internal = |error: reqwest::Error| {
            Failure::new(Class::Internal, format!("the HTTP client cannot be made: {error}"))
        };
        let tls = if kind.tls {
            self.tls_of(kind.authorities.as_ref())?
        } else {
            tls_with(RootCertStore::empty(), Vec::new(), &self.asked)?
        };
        let names = Names { fixed: self.config.hosts.clone(), guard: kind.guard };
        let proxies = self.config.proxies.clone();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .referer(false)
            .connect_timeout(self.config.times.connect)
            .no_proxy()
            .proxy(Proxy::custom(move |url| {
                proxy_for(&proxies, url).ok().flatten().map(|through| through.url)
            }))
            .dns_resolver(Arc::new(names))
            .connector_layer(stash.clone())
            .user_agent(format!("luet-cosign/{}", self.config.version))
            .build()
            .map_err(internal)
    }

    fn tls_of(&self, registry: Option<&Registry>) -> Result<ClientConfig, Failure> {
        let mut made = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tls) = made.get(&registry.cloned()) {
            return Ok(tls.clone());
        }
        let (mut roots, mut named) = self.roots()?;
        if let Some(pem) = registry.and_then(|registry| self.config.extra_ca.get(registry)) {
            let pem = pem.as_ref().map_err(Failure::clone)?;
            let what = "the extra certificate authority of a registry";
            named.extend(add_pem(&mut roots, pem, what)?);
        }
        let tls = tls_with(roots, named, &self.asked)?;
        made.insert(registry.cloned(), tls.clone());
        Ok(tls)
    }

    /// Returns the authorities, and the certificates that were named among them.
    fn roots(&self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Failure> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.config.ca_file {
            let pem = super::file::read(path)
                .and_then(|pem| {
                    pem.ok_or_else(|| {
                        Failure::new(Class::Net, format!("`{}` does not exist", path.display()))
                    })
                })
                .map_err(|failure| {
                    failure.as_class(Class::Net).hint("SSL_CERT_FILE must name a readable PEM file")
                })?;
            let named = add_pem(&mut roots, &pem, &format!("`{}`", path.display()))?;
            return Ok((roots, named));
        }
        // One unreadable certificate of a system's hundred and forty is no reason to refuse; none
        // at all shows at the handshake.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Ok((roots, Vec::new()))
    }
}

/// Adds certificates, and returns them.
fn add_pem(
    roots: &mut RootCertStore,
    pem: &[u8],
    what: &str,
) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let bad = |why: String| {
        Failure::new(Class::Net, format!("{what} cannot be used: {why}"))
            .hint("expected certificates in PEM")
    };
    let mut named = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate.clone()).map_err(|error| bad(error.to_string()))?;
        named.push(certificate);
    }
    if named.is_empty() { Err(bad("there is no certificate in it".to_owned())) } else { Ok(named) }
}

fn tls_with(
    roots: RootCertStore,
    named: Vec<CertificateDer<'static>>,
    asked: &Arc<AtomicBool>,
) -> Result<ClientConfig, Failure> {
    let bad = |error: &dyn fmt::Display| {
        Failure::new(Class::Internal, format!("TLS cannot be set up: {error}"))
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?;
    let builder = if named.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| bad(&error))?;
        let verifier = Arc::new(Authorities { authorities, named });
        builder.dangerous().with_custom_certificate_verifier(verifier)
    };
    let mut tls = builder.with_client_cert_resolver(Arc::new(NoCertificate(Arc::clone(asked))));
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

/// Returns scheme, host and port, never the path or query: those of a redirect may hold a signature
/// that is a secret.
pub(super) fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Returns a request as a trace shows it: never a query or user, and of hosts that a registry sent
/// us to no path either.
fn traced(request: &Request, peer: Peer<'_>) -> String {
    let (method, url) = (request.method(), request.url());
    match peer {
        Peer::Own(_) => format!("{method} {}{}", shown(url), url.path()),
        Peer::Foreign(_) => format!("{method} {}/...", shown(url)),
    }
}

fn check_literal(url: &Url, own: Space) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or("");
    let target = match literal(host) {
        Some(address) => Space::of(address),
        // RFC 6761: these names are this machine, whatever DNS says.
        None if host == "localhost" || host.ends_with(".localhost") => Space::Loopback,
        None => return Ok(()),
    };
    if own.may_send_to(target) { Ok(()) } else { Err(forbidden(&shown(url))) }
}

fn forbidden(host: &str) -> Failure {
    Failure::new(
        Class::Net,
        format!("the registry sends us to `{host}`, which is inside this machine or its network"),
    )
    .hint("a remote registry must not redirect there: ask its operator")
}

/// Resolves names, and refuses those that lead where a registry must not send us. What was checked
/// is what is connected to.
struct Names {
    fixed: BTreeMap<String, Vec<SocketAddr>>,
    guard: Option<Space>,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let fixed = self.fixed.get(name.as_str()).cloned();
        let guard = self.guard;
        Box::pin(async move {
            let addresses = match fixed {
                Some(addresses) => addresses,
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            if let Some(own) = guard
                && addresses.iter().any(|address| !own.may_send_to(Space::of(address.ip())))
            {
                return Err(Forbidden(forbidden(name.as_str())).into());
            }
            Ok::<Addrs, _>(Box::new(addresses.into_iter()))
        })
    }
}

/// Carries the refusal of an address through the HTTP library.
#[derive(Debug)]
pub(super) struct Forbidden(pub(super) Failure);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Forbidden {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_names_that_need_no_resolver() {
        for (url, own, expected) in [
            ("https://localhost/x", Space::Public, false),
            ("https://LOCALHOST:8443/x", Space::Public, false),
            ("https://x.localhost/x", Space::Private, false),
            ("https://localhost/x", Space::Loopback, true),
            ("https://127.0.0.1/x", Space::Public, false),
            ("https://2130706433/x", Space::Public, false),
            ("https://[::1]/x", Space::Public, false),
            ("https://localhost.example/x", Space::Public, true),
            ("https://notlocalhost/x", Space::Public, true),
        ] {
            assert_eq!(check_literal(&Url::parse(url).unwrap(), own).is_ok(), expected, "{url}");
        }
    }
}
