//! One request to a registry, from its first byte to the last of its answer: scheme, pass,
//! redirects, tries, deadline.
//!
//! The order of things for one try: send, answer one challenge, follow redirects. Credentials stay
//! at the origin where the request started; once it has left that origin it gets none back
//! (docs/threats.md N01 to N04). Never interprets what an answer means.

use super::answer::{Reply, refusal};
use super::auth::{Pass, Passes};
use super::body::{self, Cap};
use super::cause::Cause;
use super::clock::Clock;
use super::config::RegistryConfig;
use super::kept::Keeper;
use super::proxy::literal;
use super::space::Space;
use super::transport::{Peer, Transport, shown};
use super::trouble::{Trouble, late};
use super::upload::UploadFile;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Registry, Repository};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RANGE,
};
use reqwest::{Method, Request, Response, StatusCode, Url};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a request does, and so what its token must allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    #[default]
    Pull,
    Push,
}

impl Access {
    pub(super) fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// One request that is to be made.
#[derive(Clone, Debug)]
pub(super) struct RegistryCall<'a> {
    pub(super) repository: &'a Repository,
    pub(super) access: Access,
    pub(super) method: Method,
    pub(super) target: RequestTarget,
    pub(super) accept: &'static str,
    pub(super) body: Option<RequestBody<'a>>,
    /// Where to begin, for the rest of a blob.
    pub(super) from_byte: Option<u64>,
    /// Whether `303 See Other` is an answer of its own (GHCR's to a list of referrers).
    pub(super) keep_see_other: bool,
}

/// What is sent, after its media type.
#[derive(Clone, Copy, Debug)]
pub(super) enum RequestBody<'a> {
    Bytes(&'a str, &'a [u8]),
    File(&'a str, &'a UploadFile),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) enum RequestTarget {
    /// Below `/v2/REPOSITORY/`.
    Path(String),
    /// A URL that the registry gave us and that was found to be of its own origin.
    Given(Url),
}

impl<'a> RegistryCall<'a> {
    pub(super) fn get(repository: &'a Repository, path: String, accept: &'static str) -> Self {
        Self {
            repository,
            access: Access::Pull,
            method: Method::GET,
            target: RequestTarget::Path(path),
            accept,
            body: None,
            from_byte: None,
            keep_see_other: false,
        }
    }

    pub(super) fn push(repository: &'a Repository, method: Method, target: RequestTarget) -> Self {
        Self { access: Access::Push, method, target, ..Self::get(repository, String::new(), "*/*") }
    }

    fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// What the operations of a client share.
#[derive(Debug)]
pub(super) struct ClientCore {
    pub(super) config: Arc<RegistryConfig>,
    pub(super) transport: Transport,
    pub(super) passes: Passes,
    pub(super) keeper: Keeper,
    pub(super) clock: Arc<Clock>,
    /// How many bytes of layers came.
    pub(super) streamed: Arc<AtomicU64>,
    /// Loopback registries whose scheme is known: whether it is https.
    schemes: Mutex<BTreeMap<Registry, bool>>,
    /// For which registry a repository of a mirror stands.
    pub(super) stand_ins: Mutex<BTreeMap<Repository, Registry>>,
}

impl ClientCore {
    pub(super) fn new(config: RegistryConfig) -> Self {
        let config = Arc::new(config);
        let clock = Arc::new(Clock::new(config.deadline));
        Self {
            transport: Transport::new(Arc::clone(&config), Arc::clone(&clock)),
            passes: Passes::default(),
            streamed: Arc::default(),
            keeper: Keeper::new(config.run.clone()),
            clock,
            schemes: Mutex::default(),
            stand_ins: Mutex::default(),
            config,
        }
    }

    /// Opens connections to a registry whose scheme is known, and one to the token service that is
    /// known to belong to it. What cannot be opened is opened by the request that needs it, which
    /// also says why it cannot.
    pub(super) fn ahead(&self, repository: &Repository, connections: usize) {
        let registry = repository.registry();
        let Some(https) = self.scheme(registry) else { return };
        let Ok(url) = endpoint(registry, https) else { return };
        let open = |url: &Url, number| {
            let _ = self.transport.ahead(url, Peer::Own(registry), number);
        };
        open(&url, connections);
        if self.keeper.find(&url, repository).is_some() {
            return;
        }
        for host in self.token_services(registry) {
            if let Ok(service) = Url::parse(&format!("https://{host}/"))
                && service.origin() != url.origin()
            {
                open(&service, 1);
            }
        }
    }

    /// Makes a request and reads its answer under `cap`; tries again where `again` allows and it
    /// may help.
    pub(super) async fn ask(
        &self,
        call: &RegistryCall<'_>,
        cap: Cap,
        again: bool,
    ) -> Result<Reply, Failure> {
        self.persist(again, async || self.attempt(call, cap).await).await
    }

    /// Makes a request once, and reads its answer under `cap`.
    pub(super) async fn attempt(
        &self,
        call: &RegistryCall<'_>,
        cap: Cap,
    ) -> Result<Reply, Trouble> {
        let response = self.open(call).await?;
        let cap = if response.status().is_success() { cap } else { body::ERROR };
        let answered = response.url().clone();
        let mut reply =
            body::reply(response, cap, self.clock.deadline(), self.config.times.idle).await?;
        let own = self.known_base(call.repository)?.origin();
        reply.elsewhere = (answered.origin() != own).then(|| shown(&answered));
        if matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            reply.asker = self.asker(call.repository).await;
        }
        pass_on(reply, call.repository)
    }

    /// Tries up to [`limits::TRIES`] times, with waits between, within the deadline.
    pub(super) async fn persist<T>(
        &self,
        again: bool,
        operation: impl AsyncFn() -> Result<T, Trouble>,
    ) -> Result<T, Failure> {
        let tries = if again { limits::TRIES } else { 1 };
        let mut number = 1;
        loop {
            let trouble = match operation().await {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            let Trouble::Passing { failure, after, .. } = trouble else {
                return Err(trouble.into_failure());
            };
            let wait = after
                .unwrap_or_default()
                .min(limits::RETRY_AFTER)
                .max(jittered(self.config.times.backoff, number));
            if number >= tries {
                return Err(if tries > 1 {
                    failure.detail(format!("tried {tries} times"))
                } else {
                    failure
                });
            }
            if Instant::now() + wait >= self.clock.deadline() {
                return Err(failure.detail("there is no time left to try again"));
            }
            tokio::time::sleep(wait).await;
            number += 1;
        }
    }

    /// Makes a request and returns the answer with its body unread.
    pub(super) async fn open(&self, call: &RegistryCall<'_>) -> Result<Response, Trouble> {
        let registry = call.repository.registry();
        if let Some(https) = self.scheme(registry) {
            return self.follow(call, https).await;
        }
        // A registry on loopback speaks plain http, or TLS where it does not understand that.
        let first = self.follow(call, false).await;
        let misunderstood = match &first {
            Ok(response) => response.status() == StatusCode::BAD_REQUEST,
            Err(Trouble::Passing { not_http, .. }) => *not_http,
            Err(Trouble::Final(_) | Trouble::Tls { .. }) => false,
        };
        if misunderstood {
            match self.follow(call, true).await {
                Ok(response) => {
                    self.set_scheme(registry, true);
                    return Ok(response);
                }
                // It speaks no TLS either: what it said in plain http tells more.
                Err(Trouble::Tls { cause: Cause::Plain, .. } | Trouble::Passing { .. }) => {}
                // It speaks TLS, so what is wrong with that tells more.
                Err(second) => return Err(second),
            }
        }
        if first.is_ok() {
            self.set_scheme(registry, false);
        }
        first
    }

    /// Returns the root of a repository at a registry that was spoken to before.
    pub(super) fn known_base(&self, repository: &Repository) -> Result<Url, Failure> {
        base(repository, self.scheme(repository.registry()).unwrap_or(false))
    }

    /// Returns whether plain http may be spoken to the host of `url`.
    pub(super) fn may_be_plain(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return false;
        };
        let with_port = format!("{host}:{port}");
        let named = self
            .config
            .http_registries
            .iter()
            .any(|entry| entry.as_str() == with_port || port == 80 && entry.as_str() == host);
        named || host.parse::<Registry>().is_ok_and(|registry| registry.is_loopback())
    }

    /// Returns whether a registry speaks https; nothing where that is to be found out.
    fn scheme(&self, registry: &Registry) -> Option<bool> {
        if self.config.http_registries.contains(registry) {
            return Some(false);
        }
        if !registry.is_loopback() {
            return Some(true);
        }
        self.schemes.lock().unwrap_or_else(PoisonError::into_inner).get(registry).copied()
    }

    fn set_scheme(&self, registry: &Registry, https: bool) {
        self.schemes.lock().unwrap_or_else(PoisonError::into_inner).insert(registry.clone(), https);
    }

    async fn follow(&self, call: &RegistryCall<'_>, https: bool) -> Result<Response, Trouble> {
        let base = base(call.repository, https)?;
        let url = match &call.target {
            RequestTarget::Path(path) => self.named(
                call.repository,
                base.join(path)
                    .map_err(|error| Failure::new(Class::Internal, format!("`{path}`: {error}")))?,
            ),
            RequestTarget::Given(url) => url.clone(),
        };
        let own = Peer::Own(call.repository.registry());
        let mut pass = self.pass(call.repository, call.access, &url).await?;
        let mut response = self.send(call, &url, pass.as_ref(), own).await?;
        // A token of another process may have ended, and not every registry says so by a challenge.
        if pass.as_ref().is_some_and(|pass| pass.kept)
            && matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        {
            self.drop_kept(call.repository, &url).await;
            if response.status() == StatusCode::FORBIDDEN {
                self.drain(response).await;
                pass = self.pass(call.repository, call.access, &url).await?;
                response = self.send(call, &url, pass.as_ref(), own).await?;
            }
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            let headers = response.headers().clone();
            self.drain(response).await;
            let renewed =
                self.renew(call.repository, call.access, &url, &headers, pass.as_ref()).await?;
            response = self.send(call, &url, Some(&renewed), own).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(self.refused_pass(call.repository).await.into());
            }
            pass = Some(renewed);
        }
        if call.is_read() {
            self.redirected(call, url, response, pass.as_ref()).await
        } else {
            Ok(response)
        }
    }

    /// Follows redirects, up to [`limits::REDIRECTS`]; the pass stays behind for good when the
    /// origin is left.
    async fn redirected(
        &self,
        call: &RegistryCall<'_>,
        start: Url,
        first: Response,
        pass: Option<&Pass>,
    ) -> Result<Response, Trouble> {
        let own = first
            .remote_addr()
            .filter(|_| !self.transport.is_proxied(&start))
            .map_or(Space::Public, |peer| Space::of(peer.ip()));
        let mut at = start.clone();
        let mut response = first;
        let mut hops = 0;
        let mut left = false;
        while leads_on(response.status(), call.keep_see_other) {
            hops += 1;
            if hops > limits::REDIRECTS {
                let host = shown(&start);
                return Err(Failure::new(
                    Class::Net,
                    format!("`{host}`: more than {} redirects", limits::REDIRECTS),
                )
                .into());
            }
            let next = location(&at, &response)?;
            self.check_hop(&at, &next, &start)?;
            if self.wants_tls(call.repository.registry(), &at, &next) {
                let failure = Failure::new(
                    Class::Net,
                    format!("`{}` sends us to `{}`", shown(&at), shown(&next)),
                );
                return Err(Trouble::Passing { failure, after: None, not_http: true });
            }
            left |= next.origin() != start.origin();
            self.drain(response).await;
            response = if left {
                self.send(call, &next, None, Peer::Foreign(own)).await?
            } else {
                self.send(call, &next, pass, Peer::Own(call.repository.registry())).await?
            };
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(Failure::new(
                    Class::Auth,
                    format!("`{}`, where the registry sent us, wants credentials", shown(&next)),
                )
                .into());
            }
            at = next;
        }
        Ok(response)
    }

    /// Whether a registry on loopback that was tried in plain http sends us to the same port with
    /// TLS.
    fn wants_tls(&self, registry: &Registry, at: &Url, next: &Url) -> bool {
        let port = |url: &Url| url.port_or_known_default();
        self.scheme(registry).is_none()
            && at.scheme() == "http"
            && next.scheme() == "https"
            && at.host_str() == next.host_str()
            && port(at) == port(next)
    }

    fn check_hop(&self, at: &Url, next: &Url, start: &Url) -> Result<(), Failure> {
        let refuse = |why: &str| {
            Failure::new(Class::Net, format!("`{}` sends us to `{}`{why}", shown(at), shown(next)))
        };
        match next.scheme() {
            "https" => {}
            "http" if at.scheme() == "https" || start.scheme() == "https" => {
                return Err(refuse(", from https to plain http"));
            }
            "http" if next.origin() == start.origin() || self.may_be_plain(next) => {}
            "http" => {
                return Err(refuse(", over plain http")
                    .hint("name that host in LUET_COSIGN_HTTP_REGISTRIES to allow it"));
            }
            _ => return Err(refuse("; expected https")),
        }
        if !next.username().is_empty() || next.password().is_some() {
            return Err(refuse(", with a user in the URL"));
        }
        Ok(())
    }

    async fn send(
        &self,
        call: &RegistryCall<'_>,
        url: &Url,
        pass: Option<&Pass>,
        peer: Peer<'_>,
    ) -> Result<Response, Trouble> {
        let deadline = self.clock.deadline();
        if Instant::now() >= deadline {
            return Err(late(&shown(url)).into());
        }
        let mut request = Request::new(call.method.clone(), url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(call.accept));
        if let Some(pass) = pass {
            headers.insert(AUTHORIZATION, pass.header.clone());
        }
        if let Some(from) = call.from_byte {
            headers.insert(RANGE, header(&format!("bytes={from}-"))?);
        }
        match call.body {
            Some(RequestBody::Bytes(media_type, bytes)) => {
                headers.insert(CONTENT_TYPE, header(media_type)?);
                *request.body_mut() = Some(bytes.to_vec().into());
            }
            Some(RequestBody::File(media_type, file)) => {
                headers.insert(CONTENT_TYPE, header(media_type)?);
                headers.insert(CONTENT_LENGTH, file.bytes.into());
                *request.body_mut() = Some(file.body());
            }
            None => {}
        }
        self.transport.send(request, peer, deadline).await
    }

    async fn drain(&self, response: Response) {
        body::drain(response, self.clock.deadline(), self.config.times.idle).await;
    }
}

/// Returns the root of a repository in the registry's API.
fn base(repository: &Repository, https: bool) -> Result<Url, Failure> {
    endpoint(repository.registry(), https)?
        .join(&format!("{}/", repository.path()))
        .map_err(|error| Failure::new(Class::Internal, format!("`{repository}`: {error}")))
}

/// Returns the root of a registry's API.
fn endpoint(registry: &Registry, https: bool) -> Result<Url, Failure> {
    let scheme = if https { "https" } else { "http" };
    let endpoint = registry.endpoint();
    let url = Url::parse(&format!("{scheme}://{endpoint}/v2/"));
    // A host such as `0x7f.1` is a name to us and an address to a URL: what was judged must be what
    // is asked.
    let host = endpoint
        .rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'))
        .map_or(endpoint, |(host, _)| host);
    let is_it = |url: &Url| match (url.host_str(), literal(host)) {
        (Some(found), Some(address)) => literal(found) == Some(address),
        (found, None) => found == Some(host),
        (None, Some(_)) => false,
    };
    url.ok().filter(is_it).ok_or_else(|| {
        Failure::new(Class::Reference, format!("`{registry}` is not the name of a host"))
    })
}

/// Lets an answer pass, unless it says that another try may help.
pub(super) fn pass_on(reply: Reply, repository: &Repository) -> Result<Reply, Trouble> {
    if matches!(reply.status.as_u16(), 429 | 500 | 502 | 503 | 504) {
        let after = reply.retry_after().map(Duration::from_secs);
        return Err(Trouble::Passing {
            failure: refusal(&reply, repository),
            after,
            not_http: false,
        });
    }
    Ok(reply)
}

fn leads_on(status: StatusCode, keep_see_other: bool) -> bool {
    matches!(status.as_u16(), 301 | 302 | 307 | 308)
        || status == StatusCode::SEE_OTHER && !keep_see_other
}

fn header(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text)
        .map_err(|_| Failure::new(Class::Internal, format!("`{text}` cannot be a header")))
}

/// Resolves the `Location` of an answer; its fragment is dropped.
pub(super) fn location(at: &Url, response: &Response) -> Result<Url, Failure> {
    let bad = |why: &str| {
        Failure::new(
            Class::Registry,
            format!("`{}` answered {} {why}", shown(at), response.status().as_u16()),
        )
    };
    let header = response.headers().get(LOCATION).ok_or_else(|| bad("without `Location`"))?;
    let text = header.to_str().map_err(|_| bad("with a `Location` that is not ASCII"))?;
    let mut url = at.join(text).map_err(|_| bad("with a `Location` that is not a URL"))?;
    url.set_fragment(None);
    Ok(url)
}

/// Doubles the wait for each try, and adds up to half of it, so that many clients do not come back
/// at once.
fn jittered(base: Duration, number: u32) -> Duration {
    let wait = base * 2_u32.saturating_pow(number.saturating_sub(1));
    let mut random = [0; 1];
    // Without randomness the wait is only less spread.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let [random] = random;
    wait + wait * u32::from(random) / 512
}
