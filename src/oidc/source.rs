//! Where an identity token comes from: what was given, else what the CI makes for the job.
//!
//! The order: `--identity-token`, SIGSTORE_ID_TOKEN, COSIGN_IDENTITY_TOKEN, cosign's file, then
//! the service of the CI that this runs in. What was given counts also in a CI whose own token
//! cannot be had. A CI that makes none because the job may not ask is an error that names the
//! permission: nobody is ever asked to log in.

use super::claims::{is_clearly_a_token, no_token};
use super::token::{AUDIENCE, IdentityToken, TokenOrigin};
use super::{circleci, service};
use crate::class::{Class, Failure};
use crate::config::{Environment, Trusted, read_file};
use crate::limits;
use crate::registry::Client;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// The flag that gives a token.
const FLAG: &str = "--identity-token";
/// Variables that give a token, in their order.
const VARIABLES: [&str; 2] = ["SIGSTORE_ID_TOKEN", "COSIGN_IDENTITY_TOKEN"];
/// Where cosign looks for a file, which Kubernetes or Tekton keep fresh.
const COSIGN_FILE: &str = "/var/run/sigstore/cosign/oidc-token";
/// The token of a pod's service account. It is for the cluster itself unless the pod says otherwise.
const SERVICE_ACCOUNT_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

const GENERAL_AUDIENCE: &str = "ask for a token with the audience `sigstore`";
const GITLAB_AUDIENCE: &str =
    "in .gitlab-ci.yml: `id_tokens: {SIGSTORE_ID_TOKEN: {aud: sigstore}}` of the job";
const KUBERNETES_AUDIENCE: &str = "project a service account token with `audience: sigstore` into the pod, at /var/run/sigstore/cosign/oidc-token";

/// One place where tokens come from, for `--oidc-provider`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// SIGSTORE_ID_TOKEN, or COSIGN_IDENTITY_TOKEN.
    Variable,
    /// cosign's token file.
    File,
    /// GitHub Actions.
    Github,
    /// GitLab CI, which puts the token into SIGSTORE_ID_TOKEN.
    Gitlab,
    /// CircleCI.
    Circleci,
    /// The agent of Buildkite.
    Buildkite,
    /// A service account of Kubernetes.
    Kubernetes,
}

impl Provider {
    /// Every provider, in the order in which they are looked for.
    pub const ALL: [Self; 7] = [
        Self::Variable,
        Self::File,
        Self::Github,
        Self::Gitlab,
        Self::Circleci,
        Self::Buildkite,
        Self::Kubernetes,
    ];

    /// Returns the word for the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Variable => "envvar",
            Self::File => "filesystem",
            Self::Github => "github-actions",
            Self::Gitlab => "gitlab",
            Self::Circleci => "circleci",
            Self::Buildkite => "buildkite-agent",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl FromStr for Provider {
    type Err = Failure;

    /// Reads the words of `--oidc-provider`: cosign's, and the plain names.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let known = Self::ALL.into_iter().find(|provider| provider.word() == text);
        known
            .or(match text {
                "github" => Some(Self::Github),
                "buildkite" => Some(Self::Buildkite),
                _ => None,
            })
            .ok_or_else(|| {
                let words: Vec<String> =
                    Self::ALL.iter().map(|provider| format!("`{}`", provider.word())).collect();
                Failure::new(
                    Class::Usage,
                    format!(
                        "no identity provider is called `{text}`; expected one of {}",
                        words.join(", ")
                    ),
                )
            })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a command says of the token.
#[derive(Clone, Default)]
pub struct TokenOptions {
    /// `--identity-token`: a token, or the path of a file with one.
    pub token: Option<Zeroizing<String>>,
    /// `--oidc-provider`: this place alone.
    pub provider: Option<Provider>,
}

impl fmt::Debug for TokenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({}, {:?})", self.token.is_some(), self.provider)
    }
}

/// A place where tokens come from, found but not asked yet.
#[derive(Clone)]
pub struct TokenSource {
    place: Place,
    origin: TokenOrigin,
}

#[derive(Clone)]
enum Place {
    Given(Zeroizing<String>),
    File(PathBuf),
    Service(service::TokenEndpoint),
    Circleci(Environment),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource({})", self.origin.name)
    }
}

impl TokenSource {
    /// Finds where a token comes from. Asks nobody. `None`: nothing was given, and this is no CI.
    ///
    /// # Errors
    /// `auth`: the CI that this is makes no token for this job; what was given is a token that is
    /// none; the provider that was chosen is not there. `usage`: a variable makes no sense.
    pub fn find(environment: &Environment, asked: &TokenOptions) -> Result<Option<Self>, Failure> {
        Finder { environment, files: Files::default() }.find(asked)
    }

    /// Returns where it comes from.
    #[must_use]
    pub fn origin(&self) -> &TokenOrigin {
        &self.origin
    }

    /// Returns what tells this source from others: its name, and of a token that was given whom it
    /// names. No secret.
    #[must_use]
    pub fn id(&self) -> String {
        let given = match &self.place {
            Place::Given(text) => IdentityToken::parse(text, self.origin.clone()).ok(),
            _ => None,
        };
        let of = given.as_ref().map(IdentityToken::claims);
        let (issuer, subject) =
            of.map_or(("", ""), |claims| (claims.issuer.as_str(), claims.subject.as_str()));
        format!("{}\0{issuer}\0{subject}", self.origin.name)
    }

    /// Gets a token: a fresh one each time, where it is a service that makes it. It was checked
    /// that it is for Sigstore and names someone.
    ///
    /// # Errors
    /// `auth`: there is none, or one that Fulcio would not take. `net`: the service did not answer.
    pub async fn token(&self, client: &Client) -> Result<IdentityToken, Failure> {
        let text = match &self.place {
            Place::Given(text) => text.clone(),
            Place::File(path) => read_token(path, &self.origin.name)?,
            Place::Service(endpoint) => endpoint.ask(client).await?,
            Place::Circleci(environment) => circleci::ask(environment)?,
        };
        let token = IdentityToken::parse(&text, self.origin.clone())?;
        token.check()?;
        Ok(token)
    }
}

/// The failure where a token is needed and there is none.
#[must_use]
pub fn no_source() -> Failure {
    Failure::new(Class::Auth, "no identity token to sign with: none was given, and no CI was detected that issues one")
        .hint("in CI, see docs/publishing.md (`sudo` needs `-E` to keep the variables); elsewhere pass --identity-token, or sign with a key: --key or COSIGN_KEY_LOCATION")
}

/// The files that are looked for, for tests to move.
struct Files {
    cosign: PathBuf,
    service_account: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self { cosign: COSIGN_FILE.into(), service_account: SERVICE_ACCOUNT_FILE.into() }
    }
}

struct Finder<'a> {
    environment: &'a Environment,
    files: Files,
}

impl Finder<'_> {
    fn find(&self, asked: &TokenOptions) -> Result<Option<TokenSource>, Failure> {
        match (&asked.token, asked.provider) {
            (Some(_), Some(provider)) => Err(Failure::new(
                Class::Usage,
                format!("both {FLAG} and --oidc-provider={provider} are given"),
            )
            .hint("drop one of them")),
            (Some(token), None) => given(token).map(Some),
            (None, Some(provider)) => self.at(provider)?.map(Some).ok_or_else(|| missing(provider)),
            (None, None) => {
                for provider in Provider::ALL {
                    if let Some(source) = self.at(provider)? {
                        return Ok(Some(source));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Looks at one place.
    fn at(&self, provider: Provider) -> Result<Option<TokenSource>, Failure> {
        let environment = self.environment;
        match provider {
            Provider::Variable => self.variable(),
            Provider::File => Ok(there(&self.files.cosign).then(|| TokenSource {
                place: Place::File(self.files.cosign.clone()),
                origin: file_origin(&self.files.cosign, KUBERNETES_AUDIENCE),
            })),
            Provider::Github => service::github(environment)
                .map(|found| found.map(|endpoint| of_service("GitHub Actions", endpoint))),
            Provider::Gitlab if self.is("GITLAB_CI")? => match self.variable()? {
                Some(source) => Ok(Some(source)),
                None => Err(Failure::new(
                    Class::Auth,
                    "GitLab issued no identity token for this job: SIGSTORE_ID_TOKEN is not set",
                )
                .hint(GITLAB_AUDIENCE)),
            },
            Provider::Circleci if self.is("CIRCLECI")? => Ok(Some(TokenSource {
                place: Place::Circleci(environment.clone()),
                origin: TokenOrigin {
                    name: "CircleCI".to_owned(),
                    audience_hint: GENERAL_AUDIENCE,
                    renewable: true,
                },
            })),
            Provider::Buildkite => service::buildkite(environment)
                .map(|found| found.map(|endpoint| of_service("Buildkite", endpoint))),
            Provider::Kubernetes => self.service_account(),
            Provider::Gitlab | Provider::Circleci => Ok(None),
        }
    }

    fn variable(&self) -> Result<Option<TokenSource>, Failure> {
        for name in VARIABLES {
            if let Some(text) = self.environment.content(name)? {
                let audience_hint =
                    if self.is("GITLAB_CI")? { GITLAB_AUDIENCE } else { GENERAL_AUDIENCE };
                let origin = TokenOrigin { name: name.to_owned(), audience_hint, renewable: false };
                // Told now, where the variable can still be named before anything happens.
                IdentityToken::parse(text, origin.clone())?;
                let place = Place::Given(Zeroizing::new(text.to_owned()));
                return Ok(Some(TokenSource { place, origin }));
            }
        }
        Ok(None)
    }

    /// A service account's token is for the cluster's own API, its holder can do there what
    /// the pod can. It is taken only where it says that it is for Sigstore.
    fn service_account(&self) -> Result<Option<TokenSource>, Failure> {
        let path = &self.files.service_account;
        if self.environment.text("KUBERNETES_SERVICE_HOST")?.is_none() || !there(path) {
            return Ok(None);
        }
        let origin = file_origin(path, KUBERNETES_AUDIENCE);
        let ours = read_token(path, &origin.name)
            .and_then(|text| IdentityToken::parse(&text, origin.clone()))
            .is_ok_and(|token| token.claims().audience.iter().any(|it| it == AUDIENCE));
        Ok(ours.then(|| TokenSource { place: Place::File(path.clone()), origin }))
    }

    fn is(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.environment.text(name)? == Some("true"))
    }
}

fn of_service(name: &str, endpoint: service::TokenEndpoint) -> TokenSource {
    TokenSource {
        place: Place::Service(endpoint),
        origin: TokenOrigin {
            name: name.to_owned(),
            audience_hint: GENERAL_AUDIENCE,
            renewable: true,
        },
    }
}

fn file_origin(path: &Path, audience_hint: &'static str) -> TokenOrigin {
    TokenOrigin { name: format!("`{}`", path.display()), audience_hint, renewable: true }
}

/// Reads `--identity-token`: a token, or the path of a file with one. What may be a token is never
/// shown, and never opened.
fn given(text: &str) -> Result<TokenSource, Failure> {
    let text = text.trim();
    let origin =
        |name: String| TokenOrigin { name, audience_hint: GENERAL_AUDIENCE, renewable: false };
    match IdentityToken::parse(text, origin(FLAG.to_owned())) {
        Ok(_) => Ok(TokenSource {
            place: Place::Given(Zeroizing::new(text.to_owned())),
            origin: origin(FLAG.to_owned()),
        }),
        Err(failure) if text.is_empty() || is_clearly_a_token(text) => Err(failure),
        Err(_) => {
            let path = PathBuf::from(text);
            let origin = TokenOrigin { renewable: true, ..file_origin(&path, GENERAL_AUDIENCE) };
            let token = read_token(&path, FLAG)?;
            IdentityToken::parse(&token, origin.clone())?;
            Ok(TokenSource { place: Place::File(path), origin })
        }
    }
}

/// Reads a token from a file. A newline behind it is forgiven.
fn read_token(path: &Path, setting: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(
        read_file(path, limits::IDENTITY_TOKEN_BYTES, Trusted::Anyone, Class::Auth).map_err(
            |failure| {
                failure.within(setting).hint(
                    "pass the path of a file that contains an identity token, or the token itself",
                )
            },
        )?,
    );
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| no_token(&format!("`{}`", path.display()), "it is not text"))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Whatever is not plainly "not there" is there, and fails when it is read.
fn there(path: &Path) -> bool {
    !matches!(path.symlink_metadata(), Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory))
}

fn missing(provider: Provider) -> Failure {
    let (what, hint) = match provider {
        Provider::Variable => (
            "neither SIGSTORE_ID_TOKEN nor COSIGN_IDENTITY_TOKEN is set",
            "set one of them to an identity token",
        ),
        Provider::File => {
            ("/var/run/sigstore/cosign/oidc-token does not exist", KUBERNETES_AUDIENCE)
        }
        Provider::Github => (
            "this is not a job of GitHub Actions: GITHUB_ACTIONS is not `true`",
            "under `sudo`, use `sudo -E` to keep the variables",
        ),
        Provider::Gitlab => (
            "this is not a job of GitLab: GITLAB_CI is not `true`",
            "under `sudo`, use `sudo -E` to keep the variables",
        ),
        Provider::Circleci => (
            "this is not a job of CircleCI: CIRCLECI is not `true`",
            "under `sudo`, use `sudo -E` to keep the variables",
        ),
        Provider::Buildkite => (
            "this is not a job of Buildkite: BUILDKITE_AGENT_ACCESS_TOKEN, BUILDKITE_AGENT_ENDPOINT or BUILDKITE_JOB_ID is not set",
            "under `sudo`, use `sudo -E` to keep the variables",
        ),
        Provider::Kubernetes => (
            "no service account token with the audience `sigstore` is in this pod",
            KUBERNETES_AUDIENCE,
        ),
    };
    Failure::new(Class::Auth, format!("no identity token from `{provider}`: {what}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::testing::{jwt, jwt_with};
    use serde_json::json;

    fn find(
        variables: &[(&str, &str)],
        asked: &TokenOptions,
        files: &Path,
    ) -> Result<Option<TokenSource>, Failure> {
        let environment = Environment::from_pairs(variables.iter().copied());
        let files = Files { cosign: files.join("cosign"), service_account: files.join("account") };
        Finder { environment: &environment, files }.find(asked)
    }

    fn name(found: Result<Option<TokenSource>, Failure>) -> String {
        match found {
            Ok(Some(source)) => source.origin().name.clone(),
            Ok(None) => "nothing".to_owned(),
            Err(failure) => format!("{}: {}", failure.class(), failure.message()),
        }
    }

    const GITHUB: [(&str, &str); 3] = [
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://actions.example/token?api-version=2.0"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret"),
    ];

    #[test]
    fn what_was_given_comes_before_what_a_ci_makes() {
        let top = tempfile::tempdir().unwrap();
        let (one, other) = (jwt(), jwt_with(json!({"email": "b@example.com"})));
        let flag = TokenOptions { token: Some(Zeroizing::new(jwt())), provider: None };
        let all = [
            ("SIGSTORE_ID_TOKEN", one.as_str()),
            ("COSIGN_IDENTITY_TOKEN", &other),
            GITHUB[0],
            GITHUB[1],
            GITHUB[2],
        ];
        assert_eq!(name(find(&all, &flag, top.path())), "--identity-token");
        let asked = TokenOptions::default();
        assert_eq!(name(find(&all, &asked, top.path())), "SIGSTORE_ID_TOKEN");
        assert_eq!(name(find(&all[1..], &asked, top.path())), "COSIGN_IDENTITY_TOKEN");
        assert_eq!(name(find(&all[2..], &asked, top.path())), "GitHub Actions");
        std::fs::write(top.path().join("cosign"), format!("{one}\n")).unwrap();
        assert!(name(find(&all[2..], &asked, top.path())).ends_with("/cosign`"));
        assert_eq!(name(find(&[], &TokenOptions::default(), &top.path().join("none"))), "nothing");
    }

    #[test]
    fn a_token_that_was_given_counts_in_a_ci_whose_own_cannot_be_had() {
        let top = tempfile::tempdir().unwrap();
        let token = jwt();
        for ci in ["GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI"] {
            let given = [(ci, "true"), ("SIGSTORE_ID_TOKEN", token.as_str())];
            assert_eq!(
                name(find(&given, &TokenOptions::default(), top.path())),
                "SIGSTORE_ID_TOKEN"
            );
        }
        let missing = find(&GITHUB[..1], &TokenOptions::default(), top.path()).unwrap_err();
        assert!(missing.text().contains("id-token: write"), "{}", missing.text());
        let missing =
            find(&[("GITLAB_CI", "true")], &TokenOptions::default(), top.path()).unwrap_err();
        assert!(missing.text().contains("id_tokens"), "{}", missing.text());
    }

    #[test]
    fn a_provider_that_was_chosen_is_the_only_one() {
        let top = tempfile::tempdir().unwrap();
        let token = jwt();
        let given = [("SIGSTORE_ID_TOKEN", token.as_str()), GITHUB[0], GITHUB[1], GITHUB[2]];
        let chosen = |word: &str, variables: &[(&str, &str)]| {
            let provider = Some(word.parse().unwrap());
            name(find(variables, &TokenOptions { token: None, provider }, top.path()))
        };
        assert_eq!(chosen("github", &given), "GitHub Actions");
        assert_eq!(chosen("envvar", &given), "SIGSTORE_ID_TOKEN");
        for word in [
            "envvar",
            "filesystem",
            "github-actions",
            "gitlab",
            "circleci",
            "buildkite",
            "kubernetes",
        ] {
            let found = chosen(word, &[]);
            assert!(found.starts_with("auth: no identity token from"), "{word}: {found}");
        }
        assert_eq!("spiffe".parse::<Provider>().unwrap_err().class(), Class::Usage);
    }

    #[test]
    fn a_file_is_a_token_with_its_newline_and_is_named_where_it_holds_none() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("token");
        let flag = |text: &str| TokenOptions {
            token: Some(Zeroizing::new(text.to_owned())),
            provider: None,
        };
        std::fs::write(&path, format!("{}\r\n", jwt())).unwrap();
        let shown = path.display().to_string();
        assert!(name(find(&[], &flag(&shown), top.path())).contains(&shown));
        std::fs::write(&path, "not one").unwrap();
        let failure = find(&[], &flag(&shown), top.path()).unwrap_err();
        assert_eq!(failure.class(), Class::Auth);
        assert!(failure.text().contains(&shown) && !failure.text().contains("not one"));
        let missing = find(&[], &flag("missing.jwt"), top.path()).unwrap_err();
        assert!(missing.text().contains("`missing.jwt`"), "{}", missing.text());
    }

    #[test]
    fn what_may_be_a_token_is_never_taken_for_a_path() {
        let top = tempfile::tempdir().unwrap();
        let whole = jwt();
        let (cut, _) = whole.rsplit_once('.').unwrap();
        let claims = whole.split('.').nth(1).unwrap();
        let quoted = format!("\"{whole}\"");
        let in_folder = format!("/tmp/{whole}x y");
        let opaque = format!("{0}.{0}.{0}", "canary_-canary_-canary");
        for text in [cut, claims, quoted.as_str(), &in_folder, &opaque, &"c".repeat(300), "a\nb"] {
            let asked =
                TokenOptions { token: Some(Zeroizing::new(text.to_owned())), provider: None };
            let failure = find(&[], &asked, top.path()).unwrap_err();
            let seen = format!("{}{:?}{}", failure.text(), failure, failure.json());
            let piece = &text[..text.len().min(12)];
            assert!(!seen.contains(piece) || piece.len() < 12, "{text}: {seen}");
            assert!(
                failure.message().starts_with("--identity-token is not a valid identity token"),
                "{seen}"
            );
        }
    }

    #[test]
    fn the_key_to_the_cluster_is_not_sent_to_sigstore() {
        let top = tempfile::tempdir().unwrap();
        let asked = TokenOptions { token: None, provider: Some(Provider::Kubernetes) };
        let pod = [("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
        let write = |token: String| std::fs::write(top.path().join("account"), token).unwrap();
        write(jwt_with(json!({"aud": ["https://kubernetes.default.svc"]})));
        assert!(name(find(&pod, &asked, top.path())).starts_with("auth: no identity token from"));
        assert_eq!(name(find(&pod, &TokenOptions::default(), top.path())), "nothing");
        write(jwt_with(json!({"aud": ["sigstore"]})));
        assert!(name(find(&pod, &asked, top.path())).ends_with("/account`"));
    }

    #[test]
    fn nothing_that_holds_a_token_shows_it() {
        let top = tempfile::tempdir().unwrap();
        let token = jwt();
        let asked = TokenOptions { token: Some(Zeroizing::new(token.clone())), provider: None };
        let source = find(&[], &asked, top.path()).unwrap().unwrap();
        let parsed = IdentityToken::parse(&token, source.origin().clone()).unwrap();
        let seen = format!("{asked:?}{source:?}{parsed:?}");
        for part in token.split('.') {
            assert!(!seen.contains(part), "{seen}");
        }
        let github = find(&GITHUB, &TokenOptions::default(), top.path()).unwrap().unwrap();
        assert!(!format!("{github:?}").contains("secret"));
    }
}
