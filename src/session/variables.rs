//! What the variables say where they are the policy: read here, judged by `policy`.

use super::document::{FoundPolicy, policy_file};
use super::machine::Host;
use crate::class::{Class, Failure};
use crate::config::{Environment, VARIABLES};
use crate::name::Registry;
use crate::policy::{
    Document, EnvironmentFacts, ExpectedText, KEY_VARIABLE, PolicySigner, SignerSource,
};

/// Returns the facts that the environment's policy is made of: variables, and which repositories
/// luet takes for one.
///
/// # Errors
/// `usage`: a variable makes no sense.
pub fn facts(environment: &Environment, host: &Host) -> Result<EnvironmentFacts, Failure> {
    let text = |name: &str| Ok::<_, Failure>(environment.text(name)?.map(ToOwned::to_owned));
    let identity = wanted_identity(environment)?;
    Ok(EnvironmentFacts {
        key_location: text("COSIGN_PUBLIC_KEY_LOCATION")?,
        experimental: environment.flag("COSIGN_EXPERIMENTAL")?,
        identity: identity.subject,
        issuer: identity.issuer,
        any_identity: environment.flag("LUET_COSIGN_ANY_IDENTITY")?,
        repository: text("COSIGN_REPOSITORY")?,
        allow_unsigned: environment.words("LUET_COSIGN_ALLOW_UNSIGNED")?,
        skip: environment.words("COSIGN_SKIP")?,
        mirrors: host
            .luet(environment)
            .mirrors()
            .iter()
            .map(|names| names.iter().map(ToString::to_string).collect())
            .collect(),
        post_unpack: text("LUET_COSIGN_POST_UNPACK")?,
        ..network_facts(environment)?
    })
}

/// Returns those of the facts that are about networks, and nothing of the others.
///
/// # Errors
/// `usage`: one of these variables makes no sense.
pub(super) fn network_facts(environment: &Environment) -> Result<EnvironmentFacts, Failure> {
    Ok(EnvironmentFacts {
        offline: environment.flag("LUET_COSIGN_OFFLINE")?,
        http_registries: environment.words("LUET_COSIGN_HTTP_REGISTRIES")?,
        auth_hosts: auth_hosts(environment)?,
        ..EnvironmentFacts::default()
    })
}

/// Returns which hosts hand out tokens for which registries.
///
/// # Errors
/// `usage`: a word is not a pair of them.
fn auth_hosts(environment: &Environment) -> Result<Vec<(String, String)>, Failure> {
    const NAME: &str = "LUET_COSIGN_AUTH_HOSTS";
    let pair = |word: String| {
        let bad = || {
            Failure::new(Class::Usage, format!("{NAME}: `{word}` is not `REGISTRY=HOST`"))
                .hint(format!("write {NAME}=registry.example=gitlab.example"))
        };
        let (registry, host) = word.split_once('=').ok_or_else(bad)?;
        registry.parse::<Registry>().and(host.parse::<Registry>()).map_err(|_| bad())?;
        Ok((registry.to_owned(), host.to_owned()))
    };
    environment.words(NAME)?.into_iter().map(pair).collect()
}

/// Whose certificate is asked for, as far as it is said.
#[derive(Clone, Debug, Default)]
pub struct WantedIdentity {
    /// The name.
    pub subject: Option<ExpectedText>,
    /// Who must have vouched for it.
    pub issuer: Option<ExpectedText>,
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
) -> Result<Option<ExpectedText>, Failure> {
    match (environment.text(exactly)?, environment.text(regexp)?) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(ExpectedText::Exactly(text.to_owned()))),
        (None, Some(text)) => Ok(Some(ExpectedText::Regexp(text.to_owned()))),
        (Some(_), Some(_)) => {
            Err(Failure::new(Class::Usage, format!("both {exactly} and {regexp} are set"))
                .hint("unset one of them"))
        }
    }
}

/// Returns the variables that are set but that a policy file makes inert; `COSIGN_REPOSITORY` goes
/// on working for signing. One that a signer of the policy reads is in use.
pub(super) fn inert(environment: &Environment, document: &Document) -> Vec<&'static str> {
    let set: Vec<&str> = environment.names().collect();
    let read = |signer: &PolicySigner| signer.source == SignerSource::Environment;
    let in_use = |name: &str| name == KEY_VARIABLE && document.signers().iter().any(read);
    VARIABLES
        .iter()
        .filter(|variable| variable.verification && set.contains(&variable.name))
        .map(|variable| variable.name)
        .filter(|name| !in_use(name))
        .collect()
}

/// Returns the variables that are set in vain, for a policy file decides; none where there is no
/// such file, or it cannot be read.
///
/// # Errors
/// `usage`: a variable makes no sense.
pub fn set_in_vain(environment: &Environment) -> Result<Vec<&'static str>, Failure> {
    if policy_file(environment, None)?.is_none() {
        return Ok(Vec::new());
    }
    let found = FoundPolicy::read(environment, None, &Host::default());
    Ok(found.map(|found| inert(environment, &found.document)).unwrap_or_default())
}
