//! The environment as a policy: the variables become the text that `luet-cosign policy from-env`
//! prints, and that text is read like any other policy. One matcher, one decision, one explanation.

use super::document::KEY_VARIABLE;
use super::rules::LOCAL_FILES;
use crate::class::{Failure, yaml};
use crate::name::{Registry, Scope};
use crate::trust::{Allowance, TextMatcher};
use std::fmt::Write as _;

/// The rule for everything, and the signer by its key.
pub(super) const CATCH_ALL: &str = "environment";
/// The keyless signer.
const KEYLESS: &str = "environment-keyless";
/// The variable, and the name of the rule that it makes.
pub(super) const ALLOW_UNSIGNED: &str = "LUET_COSIGN_ALLOW_UNSIGNED";
/// The variable behind `skip_patterns`.
pub(super) const SKIP: &str = "COSIGN_SKIP";
/// The variable behind `post_unpack`.
pub(super) const POST_UNPACK: &str = "LUET_COSIGN_POST_UNPACK";
/// What makes `mirrors`.
pub(super) const MIRRORS: &str = "`urls` in luet's configuration";
/// The scope that covers everything.
const EVERYTHING: &str = "*";

/// Returns the variable to blame for a problem of the policy that the environment amounts to.
pub(super) fn variable_behind(code: &str) -> Option<&'static str> {
    match code {
        "deprecated" | "pattern" => Some(SKIP),
        "host" | "duplicate-registry" => Some("LUET_COSIGN_HTTP_REGISTRIES"),
        "key" => Some(KEY_VARIABLE),
        "identity" | "open-expression" | "reusable-workflow" | "wide-identity" => {
            Some("COSIGN_CERTIFICATE_IDENTITY")
        }
        "wide-issuer" => Some("COSIGN_CERTIFICATE_OIDC_ISSUER"),
        "not-compared" | "post-unpack" => Some(POST_UNPACK),
        "replaces-others" | "scope" | "tie" => Some(ALLOW_UNSIGNED),
        "repository" => Some("COSIGN_REPOSITORY"),
        _ => None,
    }
}

/// A text that a certificate must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedText {
    /// This one.
    Exactly(String),
    /// One that this expression matches, as cosign's do.
    Regexp(String),
}

impl ExpectedText {
    /// Returns what it expects.
    ///
    /// # Errors
    /// As [`TextMatcher::cosign`].
    pub fn expected(&self, allowance: &mut Allowance) -> Result<TextMatcher, Failure> {
        match self {
            Self::Exactly(text) => Ok(TextMatcher::Exact(text.clone())),
            Self::Regexp(text) => TextMatcher::cosign(text, allowance),
        }
    }

    fn key(&self, name: &str) -> String {
        match self {
            Self::Exactly(text) => format!("{name}: {}", yaml(text)),
            Self::Regexp(text) => format!("{name}_matches: {}", yaml(text)),
        }
    }
}

/// What the environment says. Its reader splits lists at spaces, and drops empty words and
/// variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentFacts {
    /// `COSIGN_PUBLIC_KEY_LOCATION`. Only whether it is set counts here.
    pub key_location: Option<String>,
    /// `COSIGN_EXPERIMENTAL`: keyless.
    pub experimental: bool,
    /// `COSIGN_CERTIFICATE_IDENTITY`, or with `_REGEXP` behind.
    pub identity: Option<ExpectedText>,
    /// `COSIGN_CERTIFICATE_OIDC_ISSUER`, or with `_REGEXP` behind.
    pub issuer: Option<ExpectedText>,
    /// `LUET_COSIGN_ANY_IDENTITY`: the first signer.
    pub any_identity: bool,
    /// `LUET_COSIGN_OFFLINE`: nothing but registries is asked.
    pub offline: bool,
    /// `COSIGN_REPOSITORY`: where signatures lie.
    pub repository: Option<String>,
    /// `LUET_COSIGN_ALLOW_UNSIGNED`: scopes, and `file://**`.
    pub allow_unsigned: Vec<String>,
    /// `COSIGN_SKIP`: patterns.
    pub skip: Vec<String>,
    /// Repositories that serve the same: the `urls` of each of luet's repositories. The only fact
    /// that is not a variable: luet takes any of them for the others.
    pub mirrors: Vec<Vec<String>>,
    /// `LUET_COSIGN_HTTP_REGISTRIES`: hosts.
    pub http_registries: Vec<String>,
    /// `LUET_COSIGN_AUTH_HOSTS`: a registry, and a host that hands out tokens for it.
    pub auth_hosts: Vec<(String, String)>,
    /// `LUET_COSIGN_POST_UNPACK`: how what was unpacked is held against what was signed.
    pub post_unpack: Option<String>,
}

/// Returns the policy that the environment amounts to. Values are quoted, not checked:
/// [`super::Document::parse`] does that.
///
/// Everything may be unsigned (`*`) beside a key: a signature still must be by that key, for it is
/// trusted for everything. A repository that may be unsigned by its name trusts nobody; it is
/// looked at like any other, under `COSIGN_REPOSITORY` where that is set: the rule names no signer,
/// so what is there decides only whether it is proven to be unsigned, or broken.
///
/// Keyless without an identity counts only without a key beside it, which it would make worthless.
#[must_use]
pub fn from_env(facts: &EnvironmentFacts) -> String {
    let mut text = String::from(
        "# The environment as a policy, made by `luet-cosign policy from-env`.\nversion: 1\n",
    );
    text.push_str("defaults: {unmatched: deny, unsigned: deny}\n");
    let keyless = keyless(facts);
    if facts.key_location.is_some() || keyless.is_some() {
        text.push_str("signers:\n");
    }
    if facts.key_location.is_some() {
        let _ = writeln!(text, "  {CATCH_ALL}: {{key_env: {KEY_VARIABLE}}}");
    }
    if let Some(keyless) = &keyless {
        let _ = writeln!(text, "  {KEYLESS}: {{keyless: {keyless}}}");
    }
    push_rules(&mut text, facts, keyless.is_some());
    push_list(&mut text, "mirrors", &facts.mirrors, |names| {
        let names: Vec<String> = names.iter().map(|name| yaml(name)).collect();
        format!("[{}]", names.join(", "))
    });
    if facts.offline {
        text.push_str("network: {offline: true}\n");
    }
    if let Some(how) = &facts.post_unpack {
        let _ = writeln!(text, "post_unpack: {}", yaml(how));
    }
    push_list(&mut text, "registries", &registries(facts), |registry| registry.clone());
    push_list(&mut text, "skip_patterns", &facts.skip, |pattern| yaml(pattern));
    text
}

/// Returns the entries of `registries`: one for each, for what two variables say of one.
fn registries(facts: &EnvironmentFacts) -> Vec<String> {
    let canonical = |host: &str| {
        host.parse::<Registry>().map_or_else(|_| host.to_owned(), |name| name.to_string())
    };
    let mut named: Vec<(String, &str)> = Vec::new();
    let pairs = facts.auth_hosts.iter().map(|(registry, _)| registry);
    for host in pairs {
        if named.iter().all(|(known, _)| *known != canonical(host)) {
            named.push((canonical(host), host));
        }
    }
    let with_hosts = |(known, host): &(String, &str)| {
        let hosts: Vec<String> = facts
            .auth_hosts
            .iter()
            .filter(|(registry, _)| canonical(registry) == *known)
            .map(|(_, host)| yaml(host))
            .collect();
        let plain = facts.http_registries.iter().any(|plain| canonical(plain) == *known);
        let http = if plain { ", http: true" } else { "" };
        format!("{{host: {}{http}, auth_hosts: [{}]}}", yaml(host), hosts.join(", "))
    };
    let alone = |host: &&String| named.iter().all(|(known, _)| *known != canonical(host));
    let plain = facts.http_registries.iter().filter(alone);
    plain
        .map(|host| format!("{{host: {}, http: true}}", yaml(host)))
        .chain(named.iter().map(with_hosts))
        .collect()
}

/// Returns what is behind `keyless:`, where a keyless signature can count.
fn keyless(facts: &EnvironmentFacts) -> Option<String> {
    let named: Vec<String> = [("issuer", &facts.issuer), ("subject", &facts.identity)]
        .into_iter()
        .filter_map(|(name, wanted)| Some(wanted.as_ref()?.key(name)))
        .collect();
    if !named.is_empty() {
        return Some(format!("{{{}}}", named.join(", ")));
    }
    match (facts.experimental && facts.key_location.is_none(), facts.any_identity) {
        (false, _) => None,
        (true, true) => Some("any".to_owned()),
        (true, false) => Some("registry-owner".to_owned()),
    }
}

fn push_rules(text: &mut String, facts: &EnvironmentFacts, keyless: bool) {
    let signers = [(facts.key_location.is_some(), CATCH_ALL), (keyless, KEYLESS)];
    let signers: Vec<&str> =
        signers.into_iter().filter(|(given, _)| *given).map(|(_, name)| name).collect();
    let trusts_someone = !signers.is_empty();
    let from = facts.repository.as_ref().map_or_else(String::new, |repository| {
        format!("    signatures_from: [{}]\n", yaml(repository))
    });
    let (local, scopes): (Vec<&String>, Vec<&String>) =
        facts.allow_unsigned.iter().partition(|scope| *scope == LOCAL_FILES);
    let (everything, scopes): (Vec<&String>, Vec<&String>) =
        scopes.into_iter().partition(|scope| trusts_someone && *scope == EVERYTHING);
    if !trusts_someone && facts.allow_unsigned.is_empty() {
        return;
    }
    text.push_str("repositories:\n");
    if trusts_someone {
        let unsigned = if everything.is_empty() { "deny" } else { "warn" };
        let trust = signers.join(", ");
        let _ = write!(
            text,
            "  - name: {CATCH_ALL}\n    scope: '*'\n    trust: [{trust}]\n    unsigned: {unsigned}\n{from}"
        );
    }
    if !scopes.is_empty() {
        let scopes: Vec<String> = distinct(&scopes).into_iter().map(yaml).collect();
        let scopes = scopes.join(", ");
        // `warn`, so that each image that passes so is named. One rule, so that scopes that overlap
        // do not tie.
        let _ = write!(
            text,
            "  - name: {ALLOW_UNSIGNED}\n    scope: [{scopes}]\n    unsigned: warn\n{from}"
        );
    }
    if !local.is_empty() {
        let reason = format!("{ALLOW_UNSIGNED} names {LOCAL_FILES}");
        let _ = write!(
            text,
            "  - name: '{ALLOW_UNSIGNED} {LOCAL_FILES}'\n    scope: '{LOCAL_FILES}'\n    trust: skip\n    reason: '{reason}'\n"
        );
    }
}

fn push_list<T>(text: &mut String, key: &str, values: &[T], item: impl Fn(&T) -> String) {
    if !values.is_empty() {
        let _ = writeln!(text, "{key}:");
    }
    for value in values {
        let _ = writeln!(text, "  - {}", item(value));
    }
}

/// Returns the scopes without those that are written twice, in whatever spelling.
fn distinct<'a>(scopes: &[&'a String]) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    let canonical = |text: &str| {
        text.parse::<Scope>().map_or_else(|_| text.to_owned(), |scope| scope.to_string())
    };
    scopes
        .iter()
        .filter(|scope| seen.insert(canonical(scope)))
        .map(|scope| scope.as_str())
        .collect()
}
