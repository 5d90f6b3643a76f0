//! Credentials for one repository, from where docker, podman and luet keep them.
//!
//! A credential belongs to exactly the registry that it is stored under, compared as a whole after
//! canonicalisation (docs/threats.md N10), and within it to the longest path that covers
//! the repository. Formats: docker's `config.json` and containers-auth.json(5). Reads only the
//! files that it is told of, and never shows what is in them.

use super::{file, helper};
use crate::class::{Class, Failure};
use crate::name::{Registry, Repository};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where credentials are looked for, in this order: `files`, `explicit`, `docker_config`, each of
/// `podman_auth`.
#[derive(Clone, Debug, Default)]
pub struct CredentialSources {
    /// Files that the policy names, each for one registry.
    pub files: Vec<(Registry, PathBuf)>,
    /// What the host's configuration and command line say, by registry or repository.
    pub explicit: Vec<Explicit>,
    /// `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
    pub docker_config: Option<PathBuf>,
    /// `$REGISTRY_AUTH_FILE`, `$XDG_RUNTIME_DIR/containers/auth.json` (without that variable
    /// `/run/containers/UID/auth.json`), `$XDG_CONFIG_HOME/containers/auth.json`.
    pub podman_auth: Vec<PathBuf>,
    /// The directories, as in `PATH`, where `docker-credential-*` are looked for.
    pub helper_path: OsString,
    /// The whole environment that a helper gets; `PATH` is added. The caller leaves its secrets
    /// out.
    pub helper_env: Vec<(OsString, OsString)>,
}

/// A credential that the host names itself.
#[derive(Clone, Debug)]
pub struct Explicit {
    /// What it is for.
    pub scope: CredentialScope,
    /// The credential.
    pub credential: Credential,
    /// Where it stands, for people: a repository of a file, or an option.
    pub from: String,
}

impl From<(CredentialScope, Credential)> for Explicit {
    fn from((scope, credential): (CredentialScope, Credential)) -> Self {
        Self { scope, credential, from: "the host".to_owned() }
    }
}

/// Where a credential was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialOrigin {
    /// The host says it, there.
    Host(String),
    /// A file of docker's or podman's.
    File(PathBuf),
    /// A helper, which a file names.
    Helper {
        /// The name of the program.
        program: String,
        /// The file.
        file: PathBuf,
    },
}

impl fmt::Display for CredentialOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(from) => f.write_str(from),
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Helper { program, file } => {
                write!(f, "the helper `{program}`, which `{}` names", file.display())
            }
        }
    }
}

/// A credential, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredential {
    /// The credential.
    pub credential: Credential,
    /// Where it was found.
    pub from: CredentialOrigin,
}

impl StoredCredential {
    /// Returns who it is, for people: the user, and where that is written.
    pub(super) fn whom(&self) -> String {
        let who = match &self.credential {
            Credential::Password { username, .. } if is_secret(username) => "a user".to_owned(),
            Credential::Password { username, .. } => format!("user `{username}`"),
            Credential::IdentityToken(_) => "an identity token".to_owned(),
            Credential::RegistryToken(_) => "a token".to_owned(),
        };
        format!("{who} from {}", self.from)
    }

    /// Returns what to do where it is refused.
    pub(super) fn way_out(&self, registry: &Registry) -> String {
        match &self.from {
            CredentialOrigin::Host(from) => format!("correct what {from} says"),
            CredentialOrigin::File(path) if path.ends_with("auth.json") => {
                format!("log in again: `podman login {registry}`")
            }
            CredentialOrigin::File(_) => format!("log in again: `docker login {registry}`"),
            CredentialOrigin::Helper { program, .. } => format!(
                "log in again: `docker login {registry}`; `{program} get` shows what the helper holds"
            ),
        }
    }
}

/// Whether what is in the place of a user is a token: some registries take one there.
fn is_secret(username: &str) -> bool {
    const TOKENS: [&str; 7] = ["ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "dckr_pat_", "eyJ"];
    username.len() > 64 || TOKENS.iter().any(|start| username.starts_with(start))
}

/// What an explicit credential is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialScope {
    /// Every repository of a registry.
    Registry(Registry),
    /// A repository and those below it.
    Repository(Repository),
}

/// What proves who we are. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token that is exchanged for one of the registry's, by `grant_type=refresh_token`.
    IdentityToken(Zeroizing<String>),
    /// A user and a password, or a personal token in its place.
    Password {
        /// The user; may be anything where the password is a token.
        username: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// A token of the registry itself, sent as it is.
    RegistryToken(Zeroizing<String>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdentityToken(_) => "IdentityToken(***)",
            Self::Password { .. } => "Password(***)",
            Self::RegistryToken(_) => "RegistryToken(***)",
        })
    }
}

impl Credential {
    /// Reads what docker stores as a user and a secret, where the user `<token>` marks an identity
    /// token.
    pub(super) fn from_pair(username: &str, secret: Zeroizing<String>) -> Self {
        if username == "<token>" {
            Self::IdentityToken(secret)
        } else {
            Self::Password { username: username.to_owned(), password: secret }
        }
    }
}

impl CredentialSources {
    /// Returns the credential for `repository`, or nothing. May run a helper, so it may take
    /// [`limits::HELPER`](crate::limits::HELPER).
    ///
    /// # Errors
    /// `secret` for a file or a helper that cannot be used; its content is not shown.
    pub fn find(&self, repository: &Repository) -> Result<Option<StoredCredential>, Failure> {
        for (_, path) in self.files.iter().filter(|(host, _)| host == repository.registry()) {
            let stored = Stored::read(path)?.ok_or_else(|| bad(path, "there is no such file"))?;
            if let Some(credential) = self.within(&stored, path, repository)? {
                return Ok(Some(credential));
            }
        }
        if let Some(held) = self.explicit(repository) {
            return Ok(Some(held));
        }
        for path in self.docker_config.iter().chain(&self.podman_auth) {
            if let Some(stored) = Stored::read(path)?
                && let Some(held) = self.within(&stored, path, repository)?
            {
                return Ok(Some(held));
            }
        }
        Ok(None)
    }

    /// Returns the files that are looked into, for people.
    pub(super) fn files(&self) -> Vec<String> {
        let files = self.docker_config.iter().chain(&self.podman_auth);
        files.map(|path| format!("`{}`", path.display())).collect()
    }

    fn explicit(&self, repository: &Repository) -> Option<StoredCredential> {
        let covering = self.explicit.iter().filter_map(|explicit| {
            let length = match &explicit.scope {
                CredentialScope::Registry(registry) => {
                    (registry == repository.registry()).then_some(0)
                }
                CredentialScope::Repository(below) => (below.registry() == repository.registry())
                    .then(|| covered(below.path(), repository.path()))
                    .flatten(),
            };
            length.map(|length| (length, explicit))
        });
        // Of equals the first wins, so the later ones are seen first.
        covering.collect::<Vec<_>>().into_iter().rev().max_by_key(|(length, _)| *length).map(
            |(_, explicit)| StoredCredential {
                credential: explicit.credential.clone(),
                from: CredentialOrigin::Host(explicit.from.clone()),
            },
        )
    }

    fn within(
        &self,
        stored: &Stored,
        path: &Path,
        repository: &Repository,
    ) -> Result<Option<StoredCredential>, Failure> {
        let registry = repository.registry();
        let by_registry = stored
            .cred_helpers
            .iter()
            .find(|(key, _)| Key::read(key).is_some_and(|key| key.is_whole(registry)));
        if let Some(name) = by_registry
            .map(|(_, name)| name)
            .or(stored.creds_store.as_ref())
            .filter(|name| !name.is_empty())
        {
            let asked = helper::ask(self, name, server(registry))
                .map_err(|failure| failure.detail(format!("`{}` names it", path.display())))?;
            if let Some(credential) = asked {
                let program = helper::program(name);
                let from = CredentialOrigin::Helper { program, file: path.to_owned() };
                return Ok(Some(StoredCredential { credential, from }));
            }
        }
        let mut covering: Vec<_> = stored
            .auths
            .iter()
            .filter_map(|(key, entry)| Some((Key::read(key)?.covers(repository)?, entry)))
            .filter(|(_, entry)| !entry.is_empty())
            .collect();
        covering.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        match covering.first() {
            Some((_, entry)) => {
                let from = CredentialOrigin::File(path.to_owned());
                Ok(Some(StoredCredential { credential: entry.credential(path)?, from }))
            }
            None => Ok(None),
        }
    }
}

/// How long the part of `path` is that `prefix` covers, component by component.
fn covered(prefix: &str, path: &str) -> Option<usize> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
}

/// The name under which helpers keep the credential of a registry.
fn server(registry: &Registry) -> &str {
    if registry.as_str() == "docker.io" { "https://index.docker.io/v1/" } else { registry.as_str() }
}

/// The key of an entry: a registry, and the path below it that the entry is for.
struct Key {
    registry: Registry,
    path: String,
}

impl Key {
    /// Reads `host`, `host/path`, or the URL that old versions of docker wrote, whose path means
    /// nothing.
    fn read(text: &str) -> Option<Self> {
        let url = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let (host, path) = url.unwrap_or(text).split_once('/').unwrap_or((url.unwrap_or(text), ""));
        let path = path.trim_end_matches('/');
        let path = if url.is_some() || matches!(path, "v1" | "v2") { "" } else { path };
        Some(Self { registry: host.parse().ok()?, path: path.to_owned() })
    }

    fn is_whole(&self, registry: &Registry) -> bool {
        self.registry == *registry && self.path.is_empty()
    }

    fn covers(&self, repository: &Repository) -> Option<usize> {
        if self.registry != *repository.registry() {
            None
        } else if self.path.is_empty() {
            Some(0)
        } else {
            covered(&self.path, repository.path())
        }
    }
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Zeroizing<String>,
    username: String,
    password: Zeroizing<String>,
    identitytoken: Zeroizing<String>,
    registrytoken: Zeroizing<String>,
}

impl Stored {
    fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let Some(bytes) = file::read(path)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        // An empty file holds nothing, as some tools leave it.
        if bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(bad(path, "it is not a JSON object"));
        }
        // The position is enough to find the fault; the words of the error could quote a secret.
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            bad(
                path,
                &format!(
                    "line {}, column {} is not what a file of credentials has there",
                    error.line(),
                    error.column()
                ),
            )
        })
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.auth.is_empty()
            && self.username.is_empty()
            && self.password.is_empty()
            && self.identitytoken.is_empty()
            && self.registrytoken.is_empty()
    }

    fn credential(&self, path: &Path) -> Result<Credential, Failure> {
        if !self.registrytoken.is_empty() {
            return Ok(Credential::RegistryToken(self.registrytoken.clone()));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Credential::IdentityToken(self.identitytoken.clone()));
        }
        if self.auth.is_empty() {
            return Ok(Credential::from_pair(&self.username, self.password.clone()));
        }
        let not = || bad(path, "an `auth` is not the base64 of `user:password`");
        let decoded = Zeroizing::new(STANDARD.decode(self.auth.as_bytes()).map_err(|_| not())?);
        let pair = std::str::from_utf8(&decoded).map_err(|_| not())?;
        let (username, password) = pair.split_once(':').ok_or_else(not)?;
        // docker ends some of them with NUL.
        Ok(Credential::from_pair(
            username,
            Zeroizing::new(password.trim_end_matches('\0').to_owned()),
        ))
    }
}

fn bad(path: &Path, why: &str) -> Failure {
    Failure::new(
        Class::Secret,
        format!("the credentials in `{}` cannot be used: {why}", path.display()),
    )
    .hint("repair the file, or log in again with `docker login` or `podman login`")
}
