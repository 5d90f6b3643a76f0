//! What every flow needs, put together once: the policy, the registry client, where files lie, the
//! time.
//!
//! Made after the event or command is known, for this is where everything expensive begins.

use crate::class::{Class, Failure};
use crate::config::{Environment, Location, Trusted, VARIABLES, read_file};
use crate::limits;
use crate::luet::{self, CommandLine};
use crate::name::{Digest, Reference, Registry, Repository};
use crate::policy::{
    self, Diagnostic, Document, EnvironmentFacts, Origin, Policy, SignerSource, Wanted,
};
use crate::registry::{self, Client, Credential, CredentialScope, CredentialSources, Proxies};
use crate::sigstore::Roots;
use crate::store::{Handoffs, Locations};
use crate::trust::{CertificateLog, PublicKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

mod child;
mod roots;

pub use child::run_to_end;
pub use roots::describe_root;

/// The policy of the system.
const SYSTEM_POLICY: &str = "/etc/luet/luet-cosign/policy.yaml";
/// The policy that a distribution ships.
const VENDOR_POLICY: &str = "/usr/share/luet-cosign/policy.yaml";

/// What a command adds to what the environment says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// This policy file, in place of the one in force.
    pub policy: Option<PathBuf>,
    /// Registries that may be spoken to in plain http.
    pub http: Vec<Registry>,
    /// This trusted root, in place of the default one.
    pub trusted_root: Option<PathBuf>,
    /// Whether certificates must have been logged.
    pub certificate_log: CertificateLog,
    /// Whether a key behind a URL may be the one that was fetched in this run of the host: events
    /// come by the hundred.
    pub keep_keys: bool,
}

/// A policy as found, with what is to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Its warnings.
    pub warnings: Vec<Diagnostic>,
    /// Variables that are set and that the policy file makes inert.
    pub inert: Vec<&'static str>,
}

impl Loaded {
    /// Returns what is to be said, wherever names are looked at, of expressions that let in more of
    /// them than it looks like.
    #[must_use]
    pub fn open_expressions(&self) -> Vec<String> {
        let open = |warning: &&Diagnostic| warning.code == policy::OPEN_EXPRESSION;
        let origin = self.policy.origin();
        let text = |warning: &Diagnostic| format!("warning: {}", warning.text(origin));
        self.warnings.iter().filter(open).map(text).collect()
    }
}

/// One event, or one command.
#[derive(Debug)]
pub struct Session {
    environment: Environment,
    host: CommandLine,
    client: Client,
    roots: Roots,
    certificate_log: CertificateLog,
    offline: bool,
    loaded: Loaded,
    locations: Locations,
    now: Timestamp,
}

impl Session {
    /// Runs a flow within a new session, on a runtime of its own.
    ///
    /// # Errors
    /// Those of the flow; `policy`, `secret`, `usage` where the session cannot be made.
    pub fn run<T>(
        environment: &Environment,
        options: Options,
        flow: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        harden();
        let runtime = runtime()?;
        let result = runtime.block_on(async {
            let session = Self::open(environment, options).await?;
            flow(&session).await
        });
        // A name that is still being looked up must not keep the host waiting.
        runtime.shutdown_background();
        result
    }

    async fn open(environment: &Environment, options: Options) -> Result<Self, Failure> {
        let now = Timestamp::now();
        let host = rustix::process::getppid()
            .map(|host| CommandLine::of(host.as_raw_nonzero().get().unsigned_abs()))
            .unwrap_or_default();
        let found = read_policy(environment, options.policy.as_deref())?;
        let client = Client::new(client_config(environment, &host, &found, &options.http)?);
        let locations = environment.locations()?;
        let keep_in = options.keep_keys.then_some(&locations);
        let keys = read_keys(&found, environment, &client, keep_in).await;
        let settings =
            roots::settings(environment, options.trusted_root.as_deref(), &found, &client, now)?;
        let offline = settings.offline;
        let roots = Roots::new(settings);
        let certificate_log = match options.certificate_log {
            CertificateLog::Required
                if !found.is_file() && environment.flag("COSIGN_INSECURE_IGNORE_SCT")? =>
            {
                CertificateLog::Ignored
            }
            given => given,
        };
        let inert = if found.is_file() { inert(environment) } else { Vec::new() };
        let origin = found.origin.clone();
        let (policy, warnings) = Policy::new(found.document, found.origin, keys, now)
            .map_err(|problems| policy::failure(&problems, &origin))?;
        let loaded = Loaded { policy, warnings, inert };
        Ok(Self {
            environment: environment.clone(),
            host,
            client,
            roots,
            certificate_log,
            offline,
            loaded,
            locations,
            now,
        })
    }

    /// Returns the environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the command line of the host that called.
    #[must_use]
    pub fn host(&self) -> &CommandLine {
        &self.host
    }

    /// Returns the client of registries.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the trusted roots.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Returns whether certificates must have been logged.
    #[must_use]
    pub fn certificate_log(&self) -> CertificateLog {
        self.certificate_log
    }

    /// Whether no service of Sigstore may be asked anything.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Returns the policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.loaded.policy
    }

    /// Returns the policy with what is to be said about it.
    #[must_use]
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Returns where files that we keep lie.
    #[must_use]
    pub fn locations(&self) -> &Locations {
        &self.locations
    }

    /// Returns the time at which the session began.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns `COSIGN_REPOSITORY`: it replaces registry and path of where signatures lie.
    ///
    /// # Errors
    /// `reference`: it names no repository.
    pub fn signature_repository(environment: &Environment) -> Result<Option<Repository>, Failure> {
        environment
            .text("COSIGN_REPOSITORY")?
            .map(|text| {
                text.parse().map_err(|failure: Failure| failure.within("COSIGN_REPOSITORY"))
            })
            .transpose()
    }

    /// Refuses to sign into a place where the rule for this image would not look.
    ///
    /// # Errors
    /// `policy`: the rule's `signatures_from` are other repositories.
    pub fn check_place(
        &self,
        image: &Reference,
        signatures_in: &Repository,
    ) -> Result<(), Failure> {
        let matched = self.policy().matching(image, self.now);
        let places = matched.repositories();
        if !matched.looks() || places.contains(signatures_in) {
            return Ok(());
        }
        let places: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
        Err(Failure::new(
            Class::Policy,
            format!("signatures of `{image}` would be written to `{signatures_in}`, but the policy looks in {}", places.join(", ")),
        )
        .hint("set COSIGN_REPOSITORY to that repository, or change `signatures_from`"))
    }

    /// Reads a key, from wherever it lies.
    ///
    /// # Errors
    /// `secret`: it cannot be read; `net` and others where it lies behind a URL.
    pub async fn read_key(&self, location: &Location) -> Result<Zeroizing<Vec<u8>>, Failure> {
        read_key(location, Trusted::NotOthers, &self.environment, &self.client, None).await
    }
}

/// Ends the process: a peer keeps it busy beyond the deadline, and the host waits for ever. The
/// exit code stops the host.
fn end_overdue() {
    let failure = Failure::new(Class::Net, "no answer within the deadline (LUET_COSIGN_TIMEOUT)");
    let _ = writeln!(std::io::stderr(), "{}", failure.text());
    #[expect(
        clippy::exit,
        reason = "nothing else ends a thread that is stuck; the exit code stops the host"
    )]
    std::process::exit(i32::from(failure.class().exit()));
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failure::new(Class::Internal, format!("no runtime: {error}")))
}

/// Makes this process unreadable to others of the same user, before any secret is read
/// (docs/threats.md X03).
pub fn harden() {
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// A policy document with where it comes from, its keys not read yet.
struct Found {
    document: Document,
    origin: Origin,
    folder: PathBuf,
    /// Who may be able to write the policy, and so the files that it names.
    trusted: Trusted,
}

impl Found {
    fn is_file(&self) -> bool {
        matches!(self.origin, Origin::File { .. })
    }
}

/// Reads the policy that is in force.
fn read_policy(environment: &Environment, named: Option<&Path>) -> Result<Found, Failure> {
    let (text, origin, folder, trusted) = policy_text(environment, named)?;
    let document =
        Document::parse(&text).map_err(|problems| policy::failure(&problems, &origin))?;
    Ok(Found { document, origin, folder, trusted })
}

/// Returns the text of the policy in force, where it comes from, the folder that its paths start
/// in, and who may be able to write it: the file that was named, the system's, the user's, the
/// vendor's, or what the environment amounts to.
fn policy_text(
    environment: &Environment,
    named: Option<&Path>,
) -> Result<(String, Origin, PathBuf, Trusted), Failure> {
    let Some((path, trusted)) = policy_file(environment, named)? else {
        let facts = facts(environment)?;
        return Ok((
            policy::from_env(&facts),
            Origin::Environment { experimental: facts.experimental },
            PathBuf::new(),
            Trusted::NotOthers,
        ));
    };
    let bytes = read_file(&path, limits::POLICY_BYTES, trusted, Class::Policy)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(Class::Policy, format!("`{}` is not UTF-8", path.display())))?;
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok((text, Origin::File { path: path.display().to_string() }, folder, trusted))
}

/// Returns the policy file in force, and who must have been the only one able to write it.
///
/// # Errors
/// `usage`: a variable is not UTF-8. A file that is named but missing is an error when it is read,
/// never "the next".
pub fn policy_file(
    environment: &Environment,
    named: Option<&Path>,
) -> Result<Option<(PathBuf, Trusted)>, Failure> {
    if let Some(path) = named {
        return Ok(Some((path.to_path_buf(), Trusted::NotOthers)));
    }
    if let Some(path) = environment.path("LUET_COSIGN_POLICY")? {
        return Ok(Some((path, Trusted::NotOthers)));
    }
    let mut candidates = vec![(PathBuf::from(SYSTEM_POLICY), Trusted::RootAlone)];
    if !rustix::process::geteuid().is_root() {
        let home = environment.path("HOME")?.map(|home| home.join(".config"));
        candidates.extend(
            environment
                .path("XDG_CONFIG_HOME")?
                .or(home)
                .map(|folder| (folder.join("luet-cosign/policy.yaml"), Trusted::NotOthers)),
        );
    }
    candidates.push((PathBuf::from(VENDOR_POLICY), Trusted::RootAlone));
    // Whatever is not plainly "not there" is there: a folder that cannot be entered must not loosen
    // anything.
    let there = |path: &Path| !matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
    Ok(candidates.into_iter().find(|(path, _)| there(path)))
}

/// Returns the facts that the environment's policy is made of.
///
/// # Errors
/// `usage`: a variable makes no sense.
pub fn facts(environment: &Environment) -> Result<EnvironmentFacts, Failure> {
    let text = |name: &str| Ok::<_, Failure>(environment.text(name)?.map(ToOwned::to_owned));
    let identity = wanted_identity(environment)?;
    Ok(EnvironmentFacts {
        key_location: text("COSIGN_PUBLIC_KEY_LOCATION")?,
        experimental: environment.flag("COSIGN_EXPERIMENTAL")?,
        identity: identity.subject,
        issuer: identity.issuer,
        any_identity: environment.flag("LUET_COSIGN_ANY_IDENTITY")?,
        offline: environment.flag("LUET_COSIGN_OFFLINE")?,
        repository: text("COSIGN_REPOSITORY")?,
        allow_unsigned: environment.words("LUET_COSIGN_ALLOW_UNSIGNED")?,
        skip: environment.words("COSIGN_SKIP")?,
        http_registries: environment.words("LUET_COSIGN_HTTP_REGISTRIES")?,
        post_unpack: text("LUET_COSIGN_POST_UNPACK")?,
    })
}

/// Whose certificate is asked for, as far as it is said.
#[derive(Clone, Debug, Default)]
pub struct WantedIdentity {
    /// The name.
    pub subject: Option<Wanted>,
    /// Who must have vouched for it.
    pub issuer: Option<Wanted>,
}

/// Returns whose certificate the variables ask for. Nothing else reads them.
///
/// # Errors
/// `usage`: both forms of one are set.
pub fn wanted_identity(environment: &Environment) -> Result<WantedIdentity, Failure> {
    let subject =
        wanted(environment, "COSIGN_CERTIFICATE_IDENTITY", "COSIGN_CERTIFICATE_IDENTITY_REGEXP")?;
    let issuer = wanted(
        environment,
        "COSIGN_CERTIFICATE_OIDC_ISSUER",
        "COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP",
    )?;
    Ok(WantedIdentity { subject, issuer })
}

fn wanted(
    environment: &Environment,
    exactly: &str,
    regexp: &str,
) -> Result<Option<Wanted>, Failure> {
    match (environment.text(exactly)?, environment.text(regexp)?) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Wanted::Exactly(text.to_owned()))),
        (None, Some(text)) => Ok(Some(Wanted::Regexp(text.to_owned()))),
        (Some(_), Some(_)) => {
            Err(Failure::new(Class::Usage, format!("both {exactly} and {regexp} are set"))
                .hint("unset one of them"))
        }
    }
}

/// Returns the variables that are set but that a policy file makes inert; `COSIGN_REPOSITORY` goes
/// on working for signing.
fn inert(environment: &Environment) -> Vec<&'static str> {
    let set: Vec<&str> = environment.names().collect();
    VARIABLES
        .iter()
        .filter(|variable| variable.verification && set.contains(&variable.name))
        .map(|variable| variable.name)
        .collect()
}

async fn read_keys(
    found: &Found,
    environment: &Environment,
    client: &Client,
    keep_in: Option<&Locations>,
) -> BTreeMap<String, Result<PublicKey, Failure>> {
    let mut keys = BTreeMap::new();
    for signer in found.document.signers() {
        let trusted = if signer.source == SignerSource::Environment {
            Trusted::NotOthers
        } else {
            found.trusted
        };
        let location = match &signer.source {
            SignerSource::File(path) => Location::in_folder(&found.folder, "`key`", path),
            SignerSource::Environment => match environment.text("COSIGN_PUBLIC_KEY_LOCATION") {
                Ok(Some(text)) => Location::parse("COSIGN_PUBLIC_KEY_LOCATION", text),
                Ok(None) => {
                    Err(Failure::new(Class::Policy, "COSIGN_PUBLIC_KEY_LOCATION is not set"))
                }
                Err(failure) => Err(failure),
            },
            SignerSource::Certificate(_) => continue,
        };
        let key = match location {
            Ok(location) => read_key(&location, trusted, environment, client, keep_in)
                .await
                .and_then(|pem| PublicKey::from_pem(&pem)),
            Err(failure) => Err(failure),
        };
        keys.insert(signer.name.clone(), key);
    }
    keys
}

async fn read_key(
    location: &Location,
    trusted: Trusted,
    environment: &Environment,
    client: &Client,
    keep_in: Option<&Locations>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match (location.read(environment, trusted)?, location.url()) {
        (Some(bytes), _) => Ok(bytes),
        (None, Some(url)) => {
            let name = format!("key-{}", Digest::of(url.as_bytes()).hex());
            let handoffs = keep_in.and_then(|locations| Handoffs::open(locations).ok());
            let kept = handoffs.as_ref().map(Handoffs::folder);
            if let Some(bytes) = kept.and_then(|folder| folder.read(&name).ok().flatten()) {
                return Ok(Zeroizing::new(bytes));
            }
            let bytes = client.download(url, limits::KEY_BYTES).await?;
            // Where it cannot be kept it is fetched again, which costs time and nothing else.
            let _ = kept.map(|folder| folder.replace(&name, &bytes));
            Ok(Zeroizing::new(bytes))
        }
        (None, _) => Err(Failure::new(Class::Internal, "a key that is nowhere")),
    }
}

/// Returns what the registry client has to know: rooms below read no environment.
fn client_config(
    environment: &Environment,
    host: &CommandLine,
    found: &Found,
    http: &[Registry],
) -> Result<registry::Config, Failure> {
    let mut config = registry::Config {
        http_registries: http.to_vec(),
        ca_file: environment.path("SSL_CERT_FILE")?,
        credentials: credentials(environment, host)?,
        proxies: proxies(environment)?,
        deadline: environment.deadline()?,
        overdue: Some(end_overdue),
        ..registry::Config::default()
    };
    for settings in found.document.registries() {
        if settings.http {
            config.http_registries.push(settings.host.clone());
        }
        if let Some(ca) = &settings.ca {
            let pem = read_file(
                &found.folder.join(ca),
                limits::CONFIG_BYTES,
                found.trusted,
                Class::Policy,
            )?;
            config.extra_ca.insert(settings.host.clone(), pem);
        }
        config.auth_hosts.insert(settings.host.clone(), settings.auth_hosts.clone());
    }
    Ok(config)
}

fn proxies(environment: &Environment) -> Result<Proxies, Failure> {
    let either = |upper: &str, lower: &str| {
        Ok::<_, Failure>(
            environment.text(upper)?.or(environment.text(lower)?).map(ToOwned::to_owned),
        )
    };
    Ok(Proxies {
        http: either("HTTP_PROXY", "http_proxy")?,
        https: either("HTTPS_PROXY", "https_proxy")?,
        no_proxy: either("NO_PROXY", "no_proxy")?,
    })
}

fn credentials(
    environment: &Environment,
    host: &CommandLine,
) -> Result<CredentialSources, Failure> {
    let home = environment.path("HOME")?;
    let docker = environment
        .path("DOCKER_CONFIG")?
        .or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let configuration = environment
        .path("XDG_CONFIG_HOME")?
        .or_else(|| home.as_ref().map(|home| home.join(".config")));
    let podman = [
        environment.path("REGISTRY_AUTH_FILE")?,
        environment.path("XDG_RUNTIME_DIR")?.map(|folder| folder.join("containers/auth.json")),
        configuration.map(|folder| folder.join("containers/auth.json")),
    ];
    let helper = ["HOME", "USER", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "PATH"];
    Ok(CredentialSources {
        explicit: luet::Configuration::read(host, environment)
            .repositories
            .iter()
            .flat_map(explicit)
            .collect(),
        docker_config: docker.map(|folder| folder.join("config.json")),
        podman_auth: podman.into_iter().flatten().collect(),
        helper_path: environment.raw("PATH").unwrap_or_default().to_os_string(),
        helper_env: helper
            .into_iter()
            .filter_map(|name| Some((name.into(), environment.raw(name)?.to_os_string())))
            .collect(),
    })
}

/// Returns the credentials of one of luet's repositories, for each of its addresses.
fn explicit(repository: &luet::Repository) -> Vec<(CredentialScope, Credential)> {
    let docker = repository.auth.as_ref().filter(|_| repository.kind == "docker");
    let Some(credential) = docker.and_then(credential) else { return Vec::new() };
    let scope = |url: &String| url.parse().ok().map(CredentialScope::Repository);
    repository.urls.iter().filter_map(scope).map(|scope| (scope, credential.clone())).collect()
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

/// Returns everything that is to be said about the policy in force, and where it comes from.
///
/// # Errors
/// `policy`: the file cannot be read at all; `usage`: a variable makes no sense.
pub fn lint(
    environment: &Environment,
    named: Option<&Path>,
) -> Result<(Vec<Diagnostic>, Origin), Failure> {
    let (text, origin, folder, trusted) = policy_text(environment, named)?;
    let document = match Document::parse(&text) {
        Ok(document) => document,
        Err(problems) => return Ok((problems, origin)),
    };
    let found = Found { document, origin: origin.clone(), folder, trusted };
    let host = CommandLine::default();
    let config = client_config(environment, &host, &found, &[])?;
    let runtime = runtime()?;
    let keys = runtime
        .block_on(async { read_keys(&found, environment, &Client::new(config), None).await });
    runtime.shutdown_background();
    match Policy::new(found.document, origin.clone(), keys, Timestamp::now()) {
        Ok((_, problems)) | Err(problems) => Ok((problems, origin)),
    }
}
