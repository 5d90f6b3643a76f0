//! Mirrors: other registries that are asked before the one that a name says, or in its place.
//!
//! A mirror is asked as a registry of its own: with its own credentials and authorities, never with
//! those of the registry that it stands for. What it answers is judged like any other answer. "Not
//! there" is only known when every place said so; where one could not be asked, it is not known.
//! Specification: containerd's page about "Registry Configuration".

use super::answer::Presence;
use super::manifest::Manifest;
use super::session::ClientCore;
use super::{Referrers, Role};
use crate::class::{Class, Failure};
use crate::name::{Digest, Reference, Registry, Repository, Subject, Tag};
use reqwest::Url;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// The mirrors of all registries.
#[derive(Clone, Debug, Default)]
pub struct RegistryMirrors {
    /// The routes to registries that have one of their own. A failure refuses what needs it, and
    /// nothing else.
    pub routes: BTreeMap<Registry, Result<Route, Failure>>,
    /// The route to all others, where there is one.
    pub others: Option<Result<Route, Failure>>,
}

/// Where a registry's content is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// In this order.
    pub mirrors: Vec<RegistryMirror>,
    /// Whether the last of them is asked in place of the registry itself.
    pub instead: bool,
}

/// One mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryMirror {
    /// Who is asked.
    pub registry: Registry,
    /// What the path begins with there; empty where it is the same.
    pub prefix: String,
    /// Whether tags may be asked for, or digests alone.
    pub resolves: bool,
}

/// What is asked for: tags are not what every mirror may be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Digest,
    Tag,
}

impl ClientCore {
    /// Returns whether others are asked before a registry, or in its place.
    pub(super) fn has_mirrors(&self, registry: &Registry) -> bool {
        let mirrors = &self.config.mirrors;
        mirrors.routes.contains_key(registry) || mirrors.others.is_some()
    }

    /// Says to a mirror which registry it stands for, as containerd does.
    pub(super) fn named(&self, repository: &Repository, mut url: Url) -> Url {
        let stand_ins = self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(registry) = stand_ins.get(repository) {
            url.query_pairs_mut().append_pair("ns", registry.as_str());
        }
        url
    }

    pub(super) async fn resolve_anywhere(
        &self,
        reference: &Reference,
    ) -> Result<Manifest, Failure> {
        let repository = reference.repository();
        let what = if reference.digest().is_some() { What::Digest } else { What::Tag };
        let mut worst: Option<Failure> = None;
        for place in self.places(repository, what)? {
            match self.resolve(&reference.at(place)).await {
                Ok(manifest) => return Ok(manifest),
                // One that could not be asked may have it.
                Err(failure)
                    if worst.as_ref().is_none_or(|worst| worst.class() == Class::NotFound) =>
                {
                    worst = Some(failure);
                }
                Err(_) => {}
            }
        }
        Err(worst.unwrap_or_else(|| nowhere(repository)))
    }

    pub(super) async fn manifest_anywhere(
        &self,
        repository: &Repository,
        digest: &Digest,
        cap: u64,
    ) -> Result<Presence<Manifest>, Failure> {
        let ask = async |place: &Repository| self.manifest(place, digest, cap).await;
        self.anywhere(repository, What::Digest, is_there, ask).await
    }

    pub(super) async fn by_tag_anywhere(
        &self,
        repository: &Repository,
        tag: &Tag,
        role: Role,
    ) -> Result<Presence<Manifest>, Failure> {
        let ask = async |place: &Repository| self.by_tag(place, tag, role).await;
        self.anywhere(repository, What::Tag, is_there, ask).await
    }

    pub(super) async fn referrers_anywhere(
        &self,
        subject: &Subject,
        role: Role,
    ) -> Result<Referrers, Failure> {
        let lists = |answer: &Referrers| matches!(answer, Referrers::Listed(listing) if listing.candidates().next().is_some() || listing.cut().is_some());
        let ask = async |place: &Repository| {
            let subject = Subject { repository: place.clone(), digest: subject.digest };
            self.referrers(&subject, role).await
        };
        self.anywhere(&subject.repository, What::Digest, lists, ask).await
    }

    pub(super) async fn blob_anywhere(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        cap: u64,
    ) -> Result<Vec<u8>, Failure> {
        let ask = async |place: &Repository| self.blob(place, digest, size, cap).await;
        self.anywhere(repository, What::Digest, |_| true, ask).await
    }

    /// Asks one place after the other, until one has it. Where none has it and one could not be
    /// asked, that is the outcome.
    async fn anywhere<T>(
        &self,
        repository: &Repository,
        what: What,
        is_there: impl Fn(&T) -> bool,
        ask: impl AsyncFn(&Repository) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (mut failed, mut absent) = (None, None);
        for place in self.places(repository, what)? {
            match ask(&place).await {
                Ok(answer) if is_there(&answer) => return Ok(answer),
                Ok(answer) => absent = Some(answer),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        match (failed, absent) {
            (Some(failure), _) => Err(failure),
            (None, Some(absent)) => Ok(absent),
            (None, None) => Err(nowhere(repository)),
        }
    }

    /// Returns where a repository's content is asked for, in order.
    fn places(&self, repository: &Repository, what: What) -> Result<Vec<Repository>, Failure> {
        let mirrors = &self.config.mirrors;
        let registry = repository.registry();
        let route = match mirrors.routes.get(registry).or(mirrors.others.as_ref()) {
            Some(Ok(route)) => route,
            Some(Err(failure)) => return Err(failure.clone()),
            None => return Ok(vec![repository.clone()]),
        };
        let mut places = Vec::new();
        for mirror in route.mirrors.iter().filter(|mirror| mirror.resolves || what != What::Tag) {
            // `server` may name the registry itself, as docker.io's does.
            let is_itself = mirror.registry.endpoint() == registry.endpoint();
            if is_itself && mirror.prefix.is_empty() {
                places.push(repository.clone());
                continue;
            }
            let place = mirror.repository(repository)?;
            let mut stand_ins = self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner);
            let known = stand_ins.entry(place.clone()).or_insert_with(|| registry.clone());
            if known != registry {
                let what = format!(
                    "`{place}` is the mirror of two registries, `{known}` and `{registry}`"
                );
                return Err(Failure::new(Class::Unsupported, what));
            }
            places.push(place);
        }
        if !route.instead {
            places.push(repository.clone());
        }
        Ok(places)
    }
}

impl RegistryMirror {
    fn repository(&self, of: &Repository) -> Result<Repository, Failure> {
        let prefix =
            if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        format!("{}/{prefix}{}", self.registry, of.path()).parse()
    }
}

fn is_there(answer: &Presence<Manifest>) -> bool {
    matches!(answer, Presence::There(_))
}

fn nowhere(repository: &Repository) -> Failure {
    let what = format!("no mirror of `{}` may be asked for this", repository.registry());
    Failure::new(Class::Net, what).hint("see `capabilities` in its hosts.toml")
}
