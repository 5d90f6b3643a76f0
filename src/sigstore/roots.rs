//! The trusted roots of this process: read when the first signature needs one, and at most once
//! made newer.
//!
//! The newest verified root comes first: what a TUF repository gave before, else what came with
//! this program. It is made newer only where a signature meets an authority or a log that it does
//! not know. An older one is never a second try, for it may hold keys that were taken back. That
//! the metadata of a repository expires limits what may be fetched, not for how long it is used.

use super::cache::{Cache, LastAttempt};
use super::mirror::{TufFiles, TufMirror, day};
use super::signing_config::Services;
use crate::class::{Class, Failure};
use crate::limits;
use crate::registry::Client;
use crate::store::Locations;
use crate::trust::{self, Pieces, Rejected, TrustedRoot};
use jiff::{SignedDuration, Timestamp};
use sigstore::trust_root::{
    SIGSTORE_PRODUCTION_SIGNING_CONFIG, SIGSTORE_PRODUCTION_TRUSTED_ROOT, SigstoreInstance,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OnceCell;

/// When the embedded root was the newest: the day of the crate's release, before which nothing here
/// can have been fetched. A test pins the root's digest beside it, so that who updates one updates
/// the other.
pub const EMBEDDED: Timestamp = Timestamp::constant(1_792_713_600, 0);

/// Where a trusted root comes from.
#[derive(Clone, Debug)]
pub enum RootSource {
    /// The public one, or that of another TUF repository, with parts of it replaced.
    Repository {
        /// Whose; `None` for the public one. Or why it cannot be used.
        mirror: Result<Option<TufMirror>, Failure>,
        /// What the user gave in place of parts of it.
        pieces: Result<Pieces, Failure>,
    },
    /// A document that the user named.
    Document {
        /// Where it lies, for people.
        name: String,
        /// What is there, or why it cannot be read.
        bytes: Result<Vec<u8>, Failure>,
    },
}

/// Which trusted roots there are, and what it takes to make one newer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// That of every authority that names none.
    pub default: RootSource,
    /// Others, by the name that authorities use.
    pub named: BTreeMap<String, RootSource>,
    /// Whether nothing may be asked for.
    pub offline: bool,
    /// Who asks.
    pub client: Client,
    /// Where what was fetched is kept.
    pub locations: Locations,
    /// What this machine's clock says.
    pub now: Timestamp,
}

/// What came of asking for a newer root.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// There is one.
    Newer,
    /// There is none.
    Same,
    /// It could not be found out.
    Failed(Failure),
    /// There is nobody to ask: the root is a document of the user's.
    Fixed,
}

/// A trusted root as a document, and where it comes from.
#[derive(Clone, Debug)]
struct Base {
    bytes: Vec<u8>,
    name: String,
    /// The same read, where it had to be read to know that it can be used.
    root: Option<Arc<TrustedRoot>>,
}

/// The trusted roots of this process.
#[derive(Debug)]
pub struct ProcessRoots {
    settings: Settings,
    read: RefCell<trust::TrustedRoots>,
    /// The newest of the repository, once it is known.
    base: RefCell<Option<Base>>,
    refreshed: OnceCell<Refreshed>,
    warnings: RefCell<Vec<String>>,
}

impl ProcessRoots {
    /// Takes the settings; nothing is read yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (read, base, warnings) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { settings, read, base, refreshed: OnceCell::new(), warnings }
    }

    /// Returns the roots of these names, `None` for the default one. One that cannot be had is an
    /// error for who needs it.
    pub async fn load<'a>(
        &self,
        names: impl IntoIterator<Item = Option<&'a String>>,
    ) -> trust::TrustedRoots {
        for name in names {
            let known = self.read.borrow().has(name);
            if !known {
                let root = self.read_one(name).await;
                self.read.borrow_mut().insert(name.cloned(), root);
            }
        }
        self.read.borrow().clone()
    }

    /// Checks something, and where that met an authority or log that its trusted root does not
    /// know, once more with a newer one.
    ///
    /// # Errors
    /// Those of the check, with why there is no newer root where that is in the way.
    pub async fn judge<T>(
        &self,
        check: impl AsyncFn() -> Result<T, Rejected>,
    ) -> Result<T, Failure> {
        match check().await {
            Err(rejected) if rejected.unknown => match self.refresh().await {
                Refreshed::Newer => check().await.map_err(|rejected| match rejected.unknown {
                    true => self.explain(&Refreshed::Newer, rejected.failure),
                    false => rejected.failure,
                }),
                refreshed => Err(self.explain(&refreshed, rejected.failure)),
            },
            outcome => Ok(outcome?),
        }
    }

    /// Asks for a newer default root than the one that was loaded, once: later callers get
    /// the first one's answer.
    pub async fn refresh(&self) -> Refreshed {
        let loaded = self.read.borrow().has(None);
        if !loaded {
            return Refreshed::Fixed;
        }
        let refreshed = self.refreshed.get_or_init(|| self.ask()).await;
        if matches!(refreshed, Refreshed::Newer) {
            let root = self.read_one(None).await;
            self.read.borrow_mut().insert(None, root);
        }
        refreshed.clone()
    }

    /// Says of a signature whose authority or log is not known why there is no newer root that
    /// could know it.
    #[must_use]
    pub fn explain(&self, refreshed: &Refreshed, failure: Failure) -> Failure {
        let root = self.base.borrow().as_ref().map(|base| base.name.clone()).unwrap_or_default();
        match refreshed {
            Refreshed::Fixed => failure,
            Refreshed::Newer | Refreshed::Same => failure.detail(format!(
                "the trusted root {root} does not list it, and there is no newer one"
            )),
            Refreshed::Failed(why) => {
                let detail = format!(
                    "the trusted root {root} does not know it, and could not be made newer: {}",
                    why.line()
                );
                // The hint of a stranger's signature says who made it, which matters more.
                if failure.own_hint().is_some() {
                    failure.detail(detail)
                } else {
                    failure.detail(detail).hint(why.the_hint())
                }
            }
        }
    }

    /// Whether a root is a document that the user named.
    #[must_use]
    pub fn is_document(&self, name: Option<&String>) -> bool {
        let source =
            name.map_or(Some(&self.settings.default), |name| self.settings.named.get(name));
        matches!(source, Some(RootSource::Document { .. }))
    }

    /// Returns which services sign, by the newest signing configuration that is at hand: a new one is
    /// asked for where that is old, or names none that counts now.
    ///
    /// # Errors
    /// `trustroot`: there is none. Those of asking.
    pub async fn services(&self) -> Result<Services, Failure> {
        let mirror = match &self.settings.default {
            RootSource::Repository { mirror, .. } => mirror.clone()?,
            RootSource::Document { .. } => None,
        };
        let (public, now) = (mirror.is_none(), self.settings.now);
        let mirror = public_or(mirror);
        let kept = self.kept_services(&mirror).unwrap_or_default();
        let embedded = || {
            let bytes = SIGSTORE_PRODUCTION_SIGNING_CONFIG.as_bytes();
            Some((EMBEDDED, Services::parse(bytes, "that came with this program", now).ok()?))
        };
        // What was fetched before the program was made may name services that are gone since.
        let kept = kept.filter(|(at, _)| !public || *at >= EMBEDDED);
        let known = kept.or_else(|| public.then(embedded).flatten());
        let age = SignedDuration::try_from(limits::SIGNING_CONFIG_AGE).unwrap_or_default();
        let usable = known.as_ref().filter(|(_, services)| services.log.is_some());
        if let Some((at, services)) = usable
            && at.duration_until(now) < age
        {
            return Ok(services.clone());
        }
        match self.fetch_services(&mirror).await {
            Ok(services) => Ok(services),
            Err(failure) => match known {
                Some((at, services)) if services.log.is_some() => {
                    self.warnings.borrow_mut().push(format!(
                        "warning: the signing configuration is of {}, and there is no newer one: {}",
                        day(at),
                        failure.message()
                    ));
                    Ok(services)
                }
                _ => Err(failure),
            },
        }
    }

    fn kept_services(&self, mirror: &TufMirror) -> Result<Option<(Timestamp, Services)>, Failure> {
        let Some(kept) = self.cache(mirror).read()? else { return Ok(None) };
        let Some(bytes) = mirror.prove_config(&kept.files, kept.fetched)? else { return Ok(None) };
        let name = format!("of `{}`", mirror.url);
        Ok(Some((kept.fetched, Services::parse(&bytes, &name, self.settings.now)?)))
    }

    async fn fetch_services(&self, mirror: &TufMirror) -> Result<Services, Failure> {
        if self.settings.now < EMBEDDED {
            return Err(clock_is_behind(self.settings.now));
        }
        let cache = self.cache(mirror);
        let lock = {
            let _pause = self.settings.client.pause();
            cache.lock()
        };
        // Another process may have asked while this one waited.
        let asked = cache.asked(self.settings.now).filter(|_| lock.is_ok());
        if let Some(LastAttempt { failure: Some(why), .. }) = asked {
            return Err(why.into());
        }
        if asked.is_some()
            && let Ok(Some((_, services))) = self.kept_services(mirror)
        {
            return Ok(services);
        }
        let outcome = self.fetch(mirror, &cache, true).await;
        if lock.is_ok() {
            let failure = outcome.as_ref().err().map(Into::into);
            cache.note_asked(&LastAttempt { at: self.settings.now, failure });
        }
        let (_, files) = outcome?;
        let bytes = mirror.prove_config(&files, self.settings.now)?.ok_or_else(|| {
            Failure::new(
                Class::Trustroot,
                format!("the TUF repository `{}` publishes no signing configuration", mirror.url),
            )
            .hint("name the services: --signing-config FILE, or --fulcio-url, --rekor-url and --timestamp-server-url")
        })?;
        Services::parse(&bytes, &format!("of `{}`", mirror.url), self.settings.now)
    }

    /// Returns what is wrong with what is kept, although a root was found.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// Returns which default root is in force, and whether it can be made newer. No request is
    /// made.
    ///
    /// # Errors
    /// `trustroot`: there is none.
    pub fn describe(&self) -> Result<String, Failure> {
        let RootSource::Repository { mirror, pieces } = &self.settings.default else {
            let root = self.read_fixed(&self.settings.default)?;
            return Ok(format!("trusted root: {} (never updated automatically)", root.name()));
        };
        let (mirror, pieces) = (mirror.clone()?, pieces.clone()?);
        if pieces.is_complete() {
            return Ok(format!(
                "trusted root: {} (never updated automatically)",
                self.assemble(&pieces, None)?.name()
            ));
        }
        let base = self
            .newest(mirror.as_ref())
            .ok_or_else(|| missing(mirror.as_ref(), self.settings.offline, None))?;
        let root = self.assemble(&pieces, Some(&base))?;
        let url = public_or(mirror).url;
        Ok(if self.settings.offline {
            format!("trusted root: the one {} (offline: never updated)", root.name())
        } else {
            format!(
                "trusted root: the one {} (updated from `{url}` when a signature needs it)",
                root.name()
            )
        })
    }

    async fn read_one(&self, name: Option<&String>) -> Result<Arc<TrustedRoot>, Failure> {
        let source =
            name.map_or(Some(&self.settings.default), |name| self.settings.named.get(name));
        let source =
            source.ok_or_else(|| Failure::new(Class::Internal, "a trusted root without a name"))?;
        let RootSource::Repository { mirror, pieces } = source else {
            return self.read_fixed(source).map(Arc::new);
        };
        let (mirror, pieces) = (mirror.clone()?, pieces.clone()?);
        if pieces.is_complete() {
            return self.assemble(&pieces, None);
        }
        let base = match self.newest(mirror.as_ref()) {
            Some(base) => base,
            None => self.first(mirror.as_ref()).await?,
        };
        self.assemble(&pieces, Some(&base))
    }

    fn read_fixed(&self, source: &RootSource) -> Result<TrustedRoot, Failure> {
        match source {
            RootSource::Document { name, bytes } => {
                self.parse(&bytes.clone()?, &format!("`{name}`"))
            }
            RootSource::Repository { .. } => {
                Err(Failure::new(Class::Internal, "a repository is not a document"))
            }
        }
    }

    fn parse(&self, bytes: &[u8], name: &str) -> Result<TrustedRoot, Failure> {
        TrustedRoot::parse(bytes, name).map(|root| root.at(self.settings.now))
    }

    /// Puts the root together of what the user gave and what the repository has.
    fn assemble(&self, pieces: &Pieces, base: Option<&Base>) -> Result<Arc<TrustedRoot>, Failure> {
        let name = match (base, pieces.given().as_slice()) {
            (Some(Base { root: Some(root), .. }), []) => return Ok(Arc::clone(root)),
            (Some(base), []) => return self.parse(&base.bytes, &base.name).map(Arc::new),
            (Some(base), given) => format!("{}, with {}", base.name, given.join(", ")),
            (None, given) => format!("of {}", given.join(", ")),
        };
        self.parse(&pieces.replace(base.map(|base| base.bytes.as_slice()))?, &name).map(Arc::new)
    }

    /// Returns the newest root that this machine has of a repository.
    fn newest(&self, mirror: Option<&TufMirror>) -> Option<Base> {
        let known = self.base.borrow().clone();
        if known.is_some() {
            return known;
        }
        let public = mirror.is_none();
        let mirror = public_or(mirror.cloned());
        let kept = self.kept(&mirror).unwrap_or_else(|failure| {
            let warning = format!(
                "warning: what was fetched of `{}` is not used: {}",
                mirror.url,
                failure.message()
            );
            self.warnings.borrow_mut().push(warning);
            None
        });
        let base = choose(kept, public);
        self.base.borrow_mut().clone_from(&base);
        base
    }

    /// Reads and proves what is kept of a repository.
    fn kept(&self, mirror: &TufMirror) -> Result<Option<(Timestamp, Base)>, Failure> {
        let Some(kept) = self.cache(mirror).read()? else { return Ok(None) };
        let bytes = mirror.prove(&kept.files, kept.fetched)?;
        Ok(Some((kept.fetched, fetched(bytes, mirror, kept.fetched, self.settings.now)?)))
    }

    /// Fetches the first root of a repository of the user's: nothing of it came with this program.
    async fn first(&self, mirror: Option<&TufMirror>) -> Result<Base, Failure> {
        let refreshed = self.refreshed.get_or_init(|| self.ask()).await;
        let found = self.base.borrow().clone();
        found.ok_or_else(|| {
            let why = if let Refreshed::Failed(why) = refreshed { Some(why) } else { None };
            missing(mirror, self.settings.offline, why)
        })
    }

    async fn ask(&self) -> Refreshed {
        let RootSource::Repository { mirror: Ok(mirror), pieces: Ok(pieces) } =
            &self.settings.default
        else {
            return Refreshed::Fixed;
        };
        if pieces.is_complete() {
            return Refreshed::Fixed;
        }
        if self.settings.offline {
            return Refreshed::Failed(
                Failure::new(
                    Class::Trustroot,
                    "LUET_COSIGN_OFFLINE, or the policy, forbids queries",
                )
                .hint("let it ask once, or name a newer trusted root"),
            );
        }
        if self.settings.now < EMBEDDED {
            // Nothing would be out of date for such a clock, so a mirror could show anything that
            // is old.
            return Refreshed::Failed(clock_is_behind(self.settings.now));
        }
        let mirror = public_or(mirror.clone());
        match self.ask_mirror(&mirror).await {
            Ok(true) => Refreshed::Newer,
            Ok(false) => Refreshed::Same,
            Err(failure) => Refreshed::Failed(failure),
        }
    }

    /// Asks a mirror, or finds what another process was told. Whether there is a newer root.
    async fn ask_mirror(&self, mirror: &TufMirror) -> Result<bool, Failure> {
        let cache = self.cache(mirror);
        let lock = {
            let _pause = self.settings.client.pause();
            cache.lock()
        };
        if lock.is_ok()
            && let Some(asked) = cache.asked(self.settings.now)
        {
            return match asked.failure {
                Some(why) => Err(why.into()),
                None => Ok(self.kept(mirror)?.is_some_and(|(_, base)| self.adopt(base))),
            };
        }
        if let Err(failure) = &lock {
            // It is fetched all the same: no cache is no reason to refuse. It costs requests.
            self.warn_unkept(failure);
        }
        let outcome = self.fetch(mirror, &cache, false).await.map(|(base, _)| base);
        let failure = outcome.as_ref().err().map(Into::into);
        if lock.is_ok() {
            cache.note_asked(&LastAttempt { at: self.settings.now, failure });
        }
        outcome.map(|base| self.adopt(base))
    }

    /// Fetches, proves and keeps. Nothing is kept of what does not hold to its end.
    async fn fetch(
        &self,
        mirror: &TufMirror,
        cache: &Cache,
        config: bool,
    ) -> Result<(Base, TufFiles), Failure> {
        let now = self.settings.now;
        // Only what holds sets the versions below which nothing is taken.
        let known = match cache.read() {
            Ok(Some(kept)) if mirror.prove(&kept.files, kept.fetched).is_ok() => kept.files,
            _ => TufFiles::new(),
        };
        let files = mirror
            .fetch(&self.settings.client, known, now, Instant::now() + limits::TUF_TIME, config)
            .await?;
        let bytes = mirror.prove(&files, now)?;
        let base = fetched(bytes, mirror, now, now)?;
        if let Err(failure) = cache.write(now, &files) {
            self.warn_unkept(&failure);
        }
        Ok((base, files))
    }

    /// Takes a root as the newest. Whether it is another than the one before.
    fn adopt(&self, base: Base) -> bool {
        let before = self.base.borrow_mut().replace(base.clone());
        before.is_none_or(|before| before.bytes != base.bytes)
    }

    fn warn_unkept(&self, failure: &Failure) {
        let warning = format!(
            "warning: the trusted root cannot be kept, and is fetched again when it is needed: {}",
            failure.message()
        );
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    fn cache(&self, mirror: &TufMirror) -> Cache {
        Cache::new(&self.settings.locations, mirror.id())
    }
}

fn clock_is_behind(now: Timestamp) -> Failure {
    let message = format!(
        "the clock of this machine says {}, which is before this program was made",
        day(now)
    );
    Failure::new(Class::Trustroot, message).hint("set the clock of this machine")
}

/// Returns the newer of what was fetched and what came with the program. What was fetched before
/// the program was made may hold keys that were taken back since.
fn choose(kept: Option<(Timestamp, Base)>, public: bool) -> Option<Base> {
    let newer = kept.filter(|(fetched, _)| !public || *fetched >= EMBEDDED);
    newer.map(|(_, base)| base).or_else(|| public.then(embedded))
}

fn public_or(mirror: Option<TufMirror>) -> TufMirror {
    let public = SigstoreInstance::PublicGood;
    mirror.unwrap_or_else(|| TufMirror {
        url: public.tuf_url().to_owned(),
        root: public.tuf_root().to_vec(),
    })
}

fn embedded() -> Base {
    Base {
        bytes: SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes().to_vec(),
        name: format!("that came with this program (of {})", day(EMBEDDED)),
        root: None,
    }
}

/// Reads a root that a repository has proven. What cannot be read is not used, and not kept.
fn fetched(
    bytes: Vec<u8>,
    mirror: &TufMirror,
    at: Timestamp,
    now: Timestamp,
) -> Result<Base, Failure> {
    let days = at.duration_until(now).as_hours().div_euclid(24);
    let age = match days {
        i64::MIN..=0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    };
    let name = format!("fetched from `{}` {age}", mirror.url);
    let root = TrustedRoot::parse(&bytes, &name)?.at(now);
    Ok(Base { bytes, name, root: Some(Arc::new(root)) })
}

fn missing(mirror: Option<&TufMirror>, offline: bool, why: Option<&Failure>) -> Failure {
    let url = public_or(mirror.cloned()).url;
    let failure = Failure::new(
        Class::Trustroot,
        format!("there is no trusted root of `{url}` on this machine yet"),
    );
    match why {
        _ if offline => failure.hint("let it be fetched once without LUET_COSIGN_OFFLINE and --offline, or name a document with COSIGN_TRUSTED_ROOT"),
        Some(why) => failure.detail(why.line()).hint(why.the_hint()),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_before_the_program_was_made_does_not_count() {
        let kept =
            |at| Some((at, Base { bytes: Vec::new(), name: "fetched".to_owned(), root: None }));
        let before = EMBEDDED - jiff::SignedDuration::from_secs(1);
        let name = |kept, public| choose(kept, public).map(|base| base.name);
        assert_eq!(name(kept(EMBEDDED), true).as_deref(), Some("fetched"));
        assert_eq!(name(kept(before), true), Some(embedded().name));
        assert_eq!(name(None, true), Some(embedded().name));
        assert_eq!(name(kept(before), false).as_deref(), Some("fetched"));
        assert_eq!(name(None, false), None, "nothing of another repository came with the program");
    }
}
