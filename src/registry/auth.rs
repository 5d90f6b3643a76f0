//! Passes: what a registry is shown, and how it is got. One per repository, shared by all requests
//! to it.
//!
//! A request goes out bare until the registry challenges (Docker Registry v2, "Token Authentication
//! Specification"). The scope that is asked for is ours, never the challenge's. Credentials go to
//! the registry's own host or to one that the configuration names, never elsewhere, never in the
//! clear, and never after a redirect (docs/threats.md N05 to N09).

use super::challenge::{self, Challenge, Realm};
use super::credentials::{Credential, StoredCredential};
use super::session::{Access, ClientCore};
use super::space::Space;
use super::transport::{Peer, shown};
use super::{answer::Reply, body};
use crate::class::{Class, Failure};
use crate::name::{Registry, Repository};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// The passes that were got so far.
#[derive(Debug, Default)]
pub(super) struct Passes(Mutex<BTreeMap<Repository, Arc<tokio::sync::Mutex<Slot>>>>);

#[derive(Debug, Default)]
struct Slot {
    pass: Option<Pass>,
    /// What the pass is good for.
    access: Access,
    /// The challenge that was answered with a token, so that a further token needs no refused
    /// request.
    realm: Option<Realm>,
    generation: u64,
    credential: Option<Option<StoredCredential>>,
    /// Whether a token of another process of this run was looked for.
    looked: bool,
}

/// An `Authorization` header, and which one of those that were got.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) header: HeaderValue,
    generation: u64,
    /// Whether another process of this run got it: it may have ended meanwhile.
    pub(super) kept: bool,
}

#[derive(Deserialize)]
struct Token {
    token: Option<Zeroizing<String>>,
    access_token: Option<Zeroizing<String>>,
    /// In seconds. What is no such number says nothing.
    expires_in: Option<Value>,
}

/// What a token is good for where the service does not say it (Docker Registry v2).
const LIFETIME: Duration = Duration::from_secs(60);

impl Passes {
    fn slot(&self, repository: &Repository) -> Arc<tokio::sync::Mutex<Slot>> {
        Arc::clone(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(repository.clone())
                .or_default(),
        )
    }
}

impl ClientCore {
    /// Returns the pass to show at first: the one that is there, or none.
    pub(super) async fn pass(
        &self,
        repository: &Repository,
        access: Access,
        url: &Url,
    ) -> Result<Option<Pass>, Failure> {
        let slot = self.passes.slot(repository);
        let mut slot = slot.lock().await;
        if !slot.looked {
            slot.looked = true;
            self.use_kept(&mut slot, repository, url).await;
        }
        if slot.pass.is_some() && slot.access < access {
            match slot.realm.clone() {
                Some(realm) => self.fetch(&mut slot, repository, access, &realm, url).await?,
                None => slot.access = access,
            }
        }
        Ok(slot.pass.clone())
    }

    /// Answers a challenge, made to a request that showed `used`. Of requests that wait, one asks
    /// for the token.
    pub(super) async fn renew(
        &self,
        repository: &Repository,
        access: Access,
        url: &Url,
        headers: &HeaderMap,
        used: Option<&Pass>,
    ) -> Result<Pass, Failure> {
        let slot = self.passes.slot(repository);
        let mut slot = slot.lock().await;
        if let Some(pass) = &slot.pass
            && slot.access >= access
            && used.is_none_or(|used| used.generation != pass.generation)
        {
            return Ok(pass.clone());
        }
        match challenge::of(headers, repository)? {
            Challenge::Bearer(realm) => {
                slot.realm = Some(realm.clone());
                self.fetch(&mut slot, repository, access, &realm, url).await?;
            }
            Challenge::Basic => {
                let header = self.basic(&mut slot, repository, url, used).await?;
                slot.realm = None;
                slot.put(header, access, false);
            }
        }
        slot.pass
            .clone()
            .ok_or_else(|| Failure::new(Class::Internal, "a pass was got and is not there"))
    }

    /// Takes over the token that another process of this run was given without credentials, where
    /// none are stored here either.
    async fn use_kept(&self, slot: &mut Slot, repository: &Repository, url: &Url) {
        let Some(kept) = self.keeper.find(url, repository) else { return };
        // What cannot be looked up may be there, and is for the challenge to complain about.
        let without = matches!(self.credential(slot, repository).await, Ok(None));
        if without
            && self.check_realm(repository, &kept.realm, url, false).is_ok()
            && let Ok(header) = bearer(&kept.token)
        {
            slot.realm = Some(kept.realm);
            slot.put(header, Access::Pull, true);
        }
    }

    /// Drops a token of another process, which the registry does not take any more.
    pub(super) async fn drop_kept(&self, repository: &Repository, url: &Url) {
        self.keeper.forget(url, repository);
        let slot = self.passes.slot(repository);
        let mut slot = slot.lock().await;
        if slot.pass.as_ref().is_some_and(|pass| pass.kept) {
            slot.pass = None;
        }
    }

    async fn basic(
        &self,
        slot: &mut Slot,
        repository: &Repository,
        url: &Url,
        used: Option<&Pass>,
    ) -> Result<HeaderValue, Failure> {
        let credential = self.credential(slot, repository).await?;
        let Some(held) = credential else {
            let failure = Failure::new(
                Class::Auth,
                format!(
                    "`{repository}`: the registry wants a user and a password, and none is stored"
                ),
            );
            return Err(self.looked_in(failure));
        };
        if used.is_some() {
            return Err(refused_credentials(repository, &held));
        }
        self.keep_out_of_the_clear(url)?;
        match held.credential {
            Credential::Password { username, password } => basic(&username, &password),
            Credential::RegistryToken(token) => bearer(&token),
            Credential::IdentityToken(_) => Err(Failure::new(
                Class::Auth,
                format!(
                    "`{repository}`: the registry wants a user and a password, and only an identity token is stored"
                ),
            )),
        }
    }

    async fn fetch(
        &self,
        slot: &mut Slot,
        repository: &Repository,
        access: Access,
        realm: &Realm,
        url: &Url,
    ) -> Result<(), Failure> {
        let held = self.credential(slot, repository).await?;
        let credential = held.as_ref().map(|held| &held.credential);
        let header = match credential {
            Some(Credential::RegistryToken(token))
                if slot.pass.is_none() || slot.access < access =>
            {
                bearer(token)?
            }
            Some(Credential::RegistryToken(_)) if let Some(held) = &held => {
                return Err(refused_credentials(repository, held));
            }
            _ => {
                let trusted = self.check_realm(repository, realm, url, credential.is_some())?;
                let (token, lifetime) =
                    self.token(repository, access, realm, trusted, held.as_ref()).await?;
                let header = bearer(&token)?;
                if credential.is_none() && access == Access::Pull {
                    self.keeper.keep(url, repository, realm, &token, lifetime);
                }
                header
            }
        };
        slot.put(header, access, false);
        Ok(())
    }

    async fn token(
        &self,
        repository: &Repository,
        access: Access,
        realm: &Realm,
        trusted: bool,
        held: Option<&StoredCredential>,
    ) -> Result<(Zeroizing<String>, Duration), Failure> {
        let credential = held.map(|held| &held.credential);
        if credential.is_some() {
            self.keep_out_of_the_clear(&realm.url)?;
        }
        let scope = format!("repository:{}:{}", repository.path(), access.actions());
        let by_post = matches!(credential, Some(Credential::IdentityToken(_)));
        let peer =
            if trusted { Peer::Own(repository.registry()) } else { Peer::Foreign(Space::Public) };
        let reply = self
            .persist(!by_post, async || {
                let request = token_request(realm, &scope, credential)?;
                let deadline = self.clock.deadline();
                let response = self.transport.send(request, peer, deadline).await?;
                let reply =
                    body::reply(response, body::ERROR, deadline, self.config.times.idle).await?;
                super::session::pass_on(reply, repository)
            })
            .await?;
        read_token(&reply, realm, repository.registry(), held)
    }

    /// Returns whether the realm belongs to the registry; fails where nothing may be asked of it.
    fn check_realm(
        &self,
        repository: &Repository,
        realm: &Realm,
        endpoint: &Url,
        has_credential: bool,
    ) -> Result<bool, Failure> {
        let registry = repository.registry();
        let host = realm.url.host_str().unwrap_or("");
        let own = endpoint.host_str() == Some(host);
        let plain = realm.url.scheme() == "http";
        if plain && (endpoint.scheme() == "https" || !own && !self.may_be_plain(&realm.url)) {
            return Err(Failure::new(
                Class::Auth,
                format!(
                    "`{registry}` wants a token from `{}`, over plain http; expected https",
                    shown(&realm.url)
                ),
            ));
        }
        let named = self
            .config
            .auth_hosts
            .get(registry)
            .is_some_and(|hosts| hosts.iter().any(|entry| realm.is_at(entry)));
        let known = challenge::BUILT_IN
            .iter()
            .any(|(name, host)| *name == registry.as_str() && realm.is_at(host));
        if own || named || known {
            return Ok(true);
        }
        if has_credential || plain {
            return Err(Failure::new(
                Class::Auth,
                format!("`{registry}` wants its credentials sent to `{}`; nothing was sent", shown(&realm.url)),
            )
            .hint(format!("when that host belongs to it, name it: LUET_COSIGN_AUTH_HOSTS={registry}={host}, or in a policy file `registries: [{{host: \"{registry}\", auth_hosts: [\"{host}\"]}}]`")));
        }
        Ok(false)
    }

    /// Returns the hosts (`host` or `host:port`) of token services that belong to a registry and
    /// have an address of their own.
    pub(super) fn token_services<'a>(
        &'a self,
        registry: &'a Registry,
    ) -> impl Iterator<Item = &'a str> {
        let named = self.config.auth_hosts.get(registry).into_iter().flatten();
        let built_in = challenge::BUILT_IN.iter().filter(|(name, _)| *name == registry.as_str());
        named.map(String::as_str).chain(built_in.map(|(_, host)| *host))
    }

    async fn credential(
        &self,
        slot: &mut Slot,
        repository: &Repository,
    ) -> Result<Option<StoredCredential>, Failure> {
        if let Some(known) = &slot.credential {
            return Ok(known.clone());
        }
        let config = Arc::clone(&self.config);
        let wanted = repository.clone();
        // A helper may take seconds; other requests go on.
        let found = tokio::task::spawn_blocking(move || config.credentials.find(&wanted))
            .await
            .map_err(|error| {
            Failure::new(Class::Internal, format!("looking for credentials failed: {error}"))
        })??;
        slot.credential = Some(found.clone());
        Ok(found)
    }

    /// Returns who asks at a repository, for people, and what to do where that one is refused;
    /// nothing, where nobody wanted to know.
    pub(super) async fn asker(&self, repository: &Repository) -> Option<Asker> {
        let slot = self.passes.slot(repository);
        let slot = slot.lock().await;
        Some(match slot.credential.as_ref()? {
            Some(held) => Asker {
                whom: Some(held.whom()),
                way_out: format!(
                    "have this user let in there, or another one: {}",
                    held.way_out(repository.registry())
                ),
            },
            None => Asker {
                whom: None,
                way_out: format!(
                    "not logged in at `{0}`: `docker login {0}`, or `auth` in luet's repository",
                    repository.registry()
                ),
            },
        })
    }

    /// The refusal of a pass that was just got.
    pub(super) async fn refused_pass(&self, repository: &Repository) -> Failure {
        let slot = self.passes.slot(repository);
        let slot = slot.lock().await;
        match &slot.credential {
            Some(Some(held)) => refused_credentials(repository, held),
            _ => Failure::new(
                Class::Auth,
                format!("`{repository}`: the registry refused the pass that it gave us"),
            ),
        }
    }

    /// Adds where credentials were looked for.
    fn looked_in(&self, failure: Failure) -> Failure {
        match self.config.credentials.files() {
            files if files.is_empty() => failure,
            files => failure.detail(format!("looked in {}", files.join(", "))),
        }
    }

    /// Fails where credentials would pass a proxy unencrypted (docs/threats.md N16).
    fn keep_out_of_the_clear(&self, url: &Url) -> Result<(), Failure> {
        if url.scheme() != "https" && self.transport.is_proxied(url) {
            return Err(Failure::new(
                Class::Auth,
                format!("`{}` is plain http behind a proxy, which would see the credentials; nothing was sent", shown(url)),
            )
            .hint("name this host in NO_PROXY, or give it TLS"));
        }
        Ok(())
    }
}

impl Slot {
    fn put(&mut self, header: HeaderValue, access: Access, kept: bool) {
        self.generation += 1;
        self.pass = Some(Pass { header, generation: self.generation, kept });
        self.access = access;
    }
}

/// Who asks, for people.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    /// The user, and where it is written; nobody, where no credential is stored.
    pub(super) whom: Option<String>,
    pub(super) way_out: String,
}

fn refused_credentials(repository: &Repository, held: &StoredCredential) -> Failure {
    Failure::new(Class::Auth, format!("`{repository}`: the registry refused {}", held.whom()))
        .hint(held.way_out(repository.registry()))
}

fn secret_header(text: &Zeroizing<String>) -> Result<HeaderValue, Failure> {
    let mut header = HeaderValue::from_str(text)
        .map_err(|_| Failure::new(Class::Auth, "a token has characters that no header may have"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn basic(username: &str, password: &str) -> Result<HeaderValue, Failure> {
    let pair = Zeroizing::new(format!("{username}:{password}"));
    secret_header(&Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    if token.is_empty() || !token.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::new(
            Class::Auth,
            "a token has blanks or other characters that are not printable ASCII, or is empty",
        ));
    }
    secret_header(&Zeroizing::new(format!("Bearer {token}")))
}

fn token_request(
    realm: &Realm,
    scope: &str,
    credential: Option<&Credential>,
) -> Result<Request, Failure> {
    let mut url = realm.url.clone();
    let service = realm.service.as_deref();
    let Some(Credential::IdentityToken(secret)) = credential else {
        {
            let mut query = url.query_pairs_mut();
            query
                .extend_pairs(service.map(|service| ("service", service)))
                .append_pair("scope", scope);
        }
        let mut request = Request::new(Method::GET, url);
        if let Some(Credential::Password { username, password }) = credential {
            request.headers_mut().insert(AUTHORIZATION, basic(username, password)?);
        }
        return Ok(request);
    };
    // Docker Registry v2, "Authenticate with OAuth2": the parameters travel in the body, so that no
    // log has them.
    let mut form = Url::parse("form:").map_err(|error| Failure::new(Class::Internal, error))?;
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .extend_pairs(service.map(|service| ("service", service)))
        .append_pair("client_id", "luet-cosign")
        .append_pair("scope", scope)
        .append_pair("refresh_token", secret);
    let mut request = Request::new(Method::POST, url);
    request
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    *request.body_mut() = Some(form.query().unwrap_or("").to_owned().into());
    Ok(request)
}

fn read_token(
    reply: &Reply,
    realm: &Realm,
    registry: &Registry,
    held: Option<&StoredCredential>,
) -> Result<(Zeroizing<String>, Duration), Failure> {
    let from = shown(&realm.url);
    let bad = |why: &str| Failure::new(Class::Auth, format!("the token service `{from}` {why}"));
    match reply.status {
        StatusCode::OK => {}
        status if status.is_redirection() => {
            return Err(bad(&format!(
                "answered {}; redirects are not followed there",
                status.as_u16()
            )));
        }
        status if let Some(held) = held => {
            return Err(bad(&format!("answered {} to {}", status.as_u16(), held.whom()))
                .hint(held.way_out(registry)));
        }
        status => {
            return Err(bad(&format!(
                "answered {}, and no credentials are stored for the registry",
                status.as_u16()
            )));
        }
    }
    let token: Token =
        serde_json::from_slice(&reply.body).map_err(|_| bad("did not answer with a token"))?;
    let lifetime =
        token.expires_in.as_ref().and_then(Value::as_u64).map_or(LIFETIME, Duration::from_secs);
    token
        .token
        .filter(|token| !token.is_empty())
        .or(token.access_token)
        .map(|token| (token, lifetime))
        .ok_or_else(|| bad("answered without a token"))
}
