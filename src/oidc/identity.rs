//! Who would sign: the name and the issuer that Fulcio writes into the certificate for a token, as
//! its published configuration derives them (`config/identity/config.yaml`, 1.8).
//!
//! Of an issuer that is not public Fulcio's it is a guess from the shape of the claims, and says
//! so.

use super::claims::TokenClaims;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who a certificate would be for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedIdentity {
    /// The name: a URL or an e-mail address (the certificate's alternative name).
    pub name: String,
    /// Whether the name is an e-mail address.
    pub is_email: bool,
    /// Who vouches for it, as the certificate says it.
    pub issuer: String,
    /// Whether that follows from the issuer; else it is what claims of this shape usually become.
    pub certain: bool,
    /// What else the certificate would say of the job: Fulcio's extensions, by their last numbers.
    pub claims: Vec<(u32, String)>,
}

impl fmt::Display for ExpectedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by {})", self.name, self.issuer)
    }
}

/// What a token is about, and how Fulcio names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Buildkite,
    Circleci,
    Codefresh,
    Github,
    Gitlab,
    Kubernetes,
    Person,
    /// The subject is the name.
    Subject,
}

/// The e-mail is of a person who logged in elsewhere: the certificate names that place.
const DEX: &str = "https://oauth2.sigstore.dev/auth";

/// Issuers that public Fulcio takes; `*` is any run of letters, digits, `-` and `_`.
const PUBLIC: &[(&str, TokenKind)] = &[
    ("https://accounts.google.com", TokenKind::Person),
    ("https://agent.buildkite.com", TokenKind::Buildkite),
    ("https://auth.eclipse.org/auth/realms/foundation-service-accounts", TokenKind::Person),
    ("https://dev.gitlab.org", TokenKind::Gitlab),
    ("https://gitlab.archlinux.org", TokenKind::Gitlab),
    ("https://gitlab.com", TokenKind::Gitlab),
    ("https://issuer.hello.coop", TokenKind::Person),
    ("https://www.kaggle.com/api/v1/models/signing", TokenKind::Person),
    (DEX, TokenKind::Person),
    ("https://oidc.circleci.com", TokenKind::Circleci),
    ("https://oidc.circleci.com/org/*", TokenKind::Circleci),
    ("https://oidc.codefresh.io", TokenKind::Codefresh),
    ("https://ops.gitlab.net", TokenKind::Gitlab),
    ("https://sigstore.verify.ibm.com/oauth2", TokenKind::Person),
    ("https://token.actions.githubusercontent.com", TokenKind::Github),
    ("https://token.actions.githubusercontent.com/*", TokenKind::Github),
    ("https://*.oic.prod-aks.azure.com/*", TokenKind::Kubernetes),
    (
        "https://container.googleapis.com/v1/projects/*/locations/*/clusters/*",
        TokenKind::Kubernetes,
    ),
    ("https://oidc.eks.*.amazonaws.com/id/*", TokenKind::Kubernetes),
    ("https://oidc.prod-aks.azure.com/*", TokenKind::Kubernetes),
];

/// Whether public Fulcio takes tokens of an issuer, as far as is known here. Chainguard's are taken
/// too, and named in a way that is not derived here.
pub(super) fn is_public(issuer: &str) -> bool {
    known(issuer).is_some()
        || ["https://issuer.enforce.dev", "https://issuer.chainops.dev"].contains(&issuer)
}

fn known(issuer: &str) -> Option<TokenKind> {
    PUBLIC.iter().find(|(pattern, _)| fits(pattern, issuer)).map(|(_, kind)| *kind)
}

/// Compares an issuer with a pattern as Fulcio does.
pub(super) fn fits(pattern: &str, issuer: &str) -> bool {
    let any = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let Some((before, after)) = pattern.split_once('*') else { return pattern == issuer };
    let Some(rest) = issuer.strip_prefix(before) else { return false };
    let run = rest.chars().take_while(|c| any(*c)).count();
    // What is matched is ASCII, so characters are bytes. The longest first, as an expression does.
    (1..=run).rev().any(|length| rest.get(length..).is_some_and(|rest| fits(after, rest)))
}

/// The kind of a token, and whether it follows from its issuer.
pub(super) fn kind(claims: &TokenClaims) -> (TokenKind, bool) {
    if let Some(kind) = known(&claims.issuer) {
        return (kind, true);
    }
    let shapes = [
        ("job_workflow_ref", TokenKind::Github),
        ("ci_config_ref_uri", TokenKind::Gitlab),
        ("pipeline_slug", TokenKind::Buildkite),
        ("oidc.circleci.com/project-id", TokenKind::Circleci),
        ("kubernetes.io", TokenKind::Kubernetes),
        ("email", TokenKind::Person),
    ];
    let shape = shapes.into_iter().find(|(claim, _)| claims.all.contains_key(*claim));
    (shape.map_or(TokenKind::Subject, |(_, kind)| kind), false)
}

/// Derives who a certificate would be for; a claim that is missing is an error that names it.
pub(super) fn expected(claims: &TokenClaims) -> Result<ExpectedIdentity, String> {
    let (kind, certain) = kind(claims);
    let claim =
        |name: &str| claims.text(name).ok_or_else(|| format!("the token has no claim `{name}`"));
    let name = match kind {
        TokenKind::Person => claim("email")?.to_owned(),
        TokenKind::Github => {
            let url = claims.text("url").unwrap_or("https://github.com");
            format!("{url}/{}", claim("job_workflow_ref")?)
        }
        TokenKind::Gitlab => format!("https://{}", claim("ci_config_ref_uri")?),
        TokenKind::Buildkite => {
            let url = claims.text("url").unwrap_or("https://buildkite.com");
            format!("{url}/{}/{}", claim("organization_slug")?, claim("pipeline_slug")?)
        }
        TokenKind::Circleci => {
            let api = claims.text("api_url").unwrap_or("https://circleci.com/api/v2");
            format!(
                "{api}/projects/{}/pipeline-definitions/{}",
                claim("oidc.circleci.com/project-id")?,
                claim("oidc.circleci.com/pipeline-definition-id")?
            )
        }
        TokenKind::Codefresh => {
            let platform = claims.text("platform_url").unwrap_or("https://g.codefresh.io");
            format!(
                "{platform}/{}/{}:{}/{}",
                claim("account_name")?,
                claim("pipeline_name")?,
                claim("account_id")?,
                claim("pipeline_id")?
            )
        }
        TokenKind::Kubernetes => kubernetes(claims)?,
        TokenKind::Subject if claims.subject.is_empty() => {
            return Err("the token names no subject (`sub`)".to_owned());
        }
        TokenKind::Subject => claims.subject.clone(),
    };
    let issuer = if claims.issuer == DEX {
        claims
            .all
            .get("federated_claims")
            .and_then(|federated| federated.get("connector_id"))
            .and_then(serde_json::Value::as_str)
            .ok_or("the token has no claim `federated_claims.connector_id`")?
    } else {
        &claims.issuer
    };
    Ok(ExpectedIdentity {
        name,
        is_email: kind == TokenKind::Person,
        issuer: issuer.to_owned(),
        certain,
        claims: extensions(claims, kind, issuer),
    })
}

/// Derives the extensions that policies ask for: where a workflow's source lies, and what it ran
/// for. A claim that is missing leaves its extension out.
fn extensions(claims: &TokenClaims, kind: TokenKind, issuer: &str) -> Vec<(u32, String)> {
    let text = |name: &str| claims.text(name).map(ToOwned::to_owned);
    let below = |url: &str, name: &str| claims.text(name).map(|text| format!("{url}/{text}"));
    let mut found = vec![
        (1, Some(issuer.to_owned())),
        (8, Some(issuer.to_owned())),
        (24, Some(claims.subject.clone())),
    ];
    match kind {
        TokenKind::Github => {
            let url = claims.text("url").unwrap_or("https://github.com");
            found.extend([
                (2, text("event_name")),
                (3, text("sha")),
                (4, text("workflow")),
                (5, text("repository")),
                (6, text("ref")),
                (9, below(url, "job_workflow_ref")),
                (10, text("job_workflow_sha")),
                (11, text("runner_environment")),
                (12, below(url, "repository")),
                (13, text("sha")),
                (14, text("ref")),
                (15, text("repository_id")),
                (16, below(url, "repository_owner")),
                (17, text("repository_owner_id")),
                (18, below(url, "workflow_ref")),
                (19, text("workflow_sha")),
                (20, text("event_name")),
                (22, text("repository_visibility")),
            ]);
        }
        TokenKind::Gitlab => {
            let url = claims.text("url").unwrap_or("https://gitlab.com");
            let kind = if claims.text("ref_type") == Some("branch") { "heads" } else { "tags" };
            let config = claims.text("ci_config_ref_uri").map(|uri| format!("https://{uri}"));
            found.extend([
                (9, config.clone()),
                (10, text("ci_config_sha")),
                (11, text("runner_environment")),
                (12, below(url, "project_path")),
                (13, text("sha")),
                (14, claims.text("ref").map(|name| format!("refs/{kind}/{name}"))),
                (15, text("project_id")),
                (16, below(url, "namespace_path")),
                (17, text("namespace_id")),
                (18, config),
                (19, text("ci_config_sha")),
                (20, text("pipeline_source")),
                (22, text("project_visibility")),
            ]);
        }
        _ => {}
    }
    found.into_iter().filter_map(|(number, text)| Some((number, text?))).collect()
}

fn kubernetes(claims: &TokenClaims) -> Result<String, String> {
    let inside = claims.all.get("kubernetes.io");
    let text = |value: Option<&serde_json::Value>, name: &str| {
        value
            .and_then(serde_json::Value::as_str)
            .map(ToOwned::to_owned)
            .ok_or_else(|| format!("the token has no claim `kubernetes.io`.`{name}`"))
    };
    let namespace = text(inside.and_then(|it| it.get("namespace")), "namespace")?;
    let account = inside.and_then(|it| it.get("serviceaccount")).and_then(|it| it.get("name"));
    let account = text(account, "serviceaccount.name")?;
    Ok(format!("https://kubernetes.io/namespaces/{namespace}/serviceaccounts/{account}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::testing::jwt_with;
    use serde_json::{Value, json};

    fn of(claims: Value) -> Result<ExpectedIdentity, String> {
        let mut all = json!({"email": null, "email_verified": null});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        expected(&TokenClaims::of(&jwt_with(all)).unwrap())
    }

    #[test]
    fn names_are_those_that_fulcio_writes() {
        for (claims, name, issuer, certain) in [
            (
                json!({"iss": "https://token.actions.githubusercontent.com", "job_workflow_ref": "acme/ci/.github/workflows/publish.yml@refs/heads/main", "workflow_ref": "other"}),
                "https://github.com/acme/ci/.github/workflows/publish.yml@refs/heads/main",
                "https://token.actions.githubusercontent.com",
                true,
            ),
            (
                json!({"iss": "https://gitlab.com", "ci_config_ref_uri": "gitlab.com/acme/pkgs//.gitlab-ci.yml@refs/heads/main"}),
                "https://gitlab.com/acme/pkgs//.gitlab-ci.yml@refs/heads/main",
                "https://gitlab.com",
                true,
            ),
            (
                json!({"iss": "https://agent.buildkite.com", "organization_slug": "acme", "pipeline_slug": "pkgs"}),
                "https://buildkite.com/acme/pkgs",
                "https://agent.buildkite.com",
                true,
            ),
            (
                json!({"iss": "https://oidc.circleci.com/org/1-2", "oidc.circleci.com/project-id": "p", "oidc.circleci.com/pipeline-definition-id": "d"}),
                "https://circleci.com/api/v2/projects/p/pipeline-definitions/d",
                "https://oidc.circleci.com/org/1-2",
                true,
            ),
            (
                json!({"iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", "kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "builder", "uid": "x"}}}),
                "https://kubernetes.io/namespaces/ci/serviceaccounts/builder",
                "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC",
                true,
            ),
            (
                json!({"iss": "https://oauth2.sigstore.dev/auth", "email": "dev@example.com", "federated_claims": {"connector_id": "https://github.com/login/oauth"}}),
                "dev@example.com",
                "https://github.com/login/oauth",
                true,
            ),
            (
                json!({"iss": "https://own.example", "job_workflow_ref": "a/b/c.yml@refs/heads/x", "email": "dev@example.com"}),
                "https://github.com/a/b/c.yml@refs/heads/x",
                "https://own.example",
                false,
            ),
            (json!({"iss": "https://own.example"}), "1234567890", "https://own.example", false),
        ] {
            let found = of(claims.clone()).unwrap();
            assert_eq!((found.name.as_str(), found.issuer.as_str()), (name, issuer), "{claims}");
            assert_eq!(found.certain, certain, "{claims}");
        }
    }

    #[test]
    fn extensions_are_those_of_a_certificate_for_the_same_job() {
        let found = of(json!({
            "iss": "https://token.actions.githubusercontent.com", "sub": "repo:acme/pkgs:ref:refs/heads/main",
            "job_workflow_ref": "acme/ci/.github/workflows/p.yml@refs/heads/main", "repository": "acme/pkgs",
            "ref": "refs/heads/main", "repository_owner": "acme", "repository_id": "1",
        }))
        .unwrap();
        let claim = |number| {
            found.claims.iter().find(|(found, _)| *found == number).map(|(_, it)| it.as_str())
        };
        assert_eq!(claim(12), Some("https://github.com/acme/pkgs"));
        assert_eq!(claim(16), Some("https://github.com/acme"));
        assert_eq!((claim(5), claim(14)), (Some("acme/pkgs"), Some("refs/heads/main")));
        assert_eq!(
            (claim(8), claim(24)),
            (
                Some("https://token.actions.githubusercontent.com"),
                Some("repo:acme/pkgs:ref:refs/heads/main")
            )
        );
        assert_eq!(claim(17), None, "the token does not say it");
        let found = of(json!({
            "iss": "https://gitlab.com", "ci_config_ref_uri": "gitlab.com/acme/pkgs//.gitlab-ci.yml@refs/tags/v1",
            "project_path": "acme/pkgs", "ref": "v1", "ref_type": "tag",
        }))
        .unwrap();
        assert!(found.claims.contains(&(14, "refs/tags/v1".to_owned())));
        assert!(found.claims.contains(&(12, "https://gitlab.com/acme/pkgs".to_owned())));
    }

    #[test]
    fn a_claim_that_is_missing_is_named() {
        for (claims, missing) in [
            (json!({"iss": "https://token.actions.githubusercontent.com"}), "`job_workflow_ref`"),
            (json!({"iss": "https://gitlab.com"}), "`ci_config_ref_uri`"),
            (json!({"iss": "https://accounts.google.com"}), "`email`"),
            (json!({"iss": "https://oauth2.sigstore.dev/auth", "email": "a@b"}), "connector_id"),
            (json!({"iss": "https://own.example", "sub": null}), "`sub`"),
        ] {
            assert!(of(claims.clone()).unwrap_err().contains(missing), "{claims}");
        }
    }

    #[test]
    fn patterns_of_issuers_are_compared_as_fulcio_does() {
        for (pattern, issuer, expected) in [
            (
                "https://oidc.eks.*.amazonaws.com/id/*",
                "https://oidc.eks.eu-1.amazonaws.com/id/A_b",
                true,
            ),
            (
                "https://oidc.eks.*.amazonaws.com/id/*",
                "https://oidc.eks.a.b.amazonaws.com/id/A",
                false,
            ),
            (
                "https://oidc.eks.*.amazonaws.com/id/*",
                "https://oidc.eks.a.amazonaws.com/id/A/b",
                false,
            ),
            (
                "https://token.actions.githubusercontent.com/*",
                "https://token.actions.githubusercontent.com/",
                false,
            ),
            (
                "https://token.actions.githubusercontent.com/*",
                "https://token.actions.githubusercontent.com/acme",
                true,
            ),
            ("https://gitlab.com", "https://gitlab.com.evil.example", false),
            ("https://*.x", "https://ünï.x", false),
            ("*a*a", "aaaa", true),
        ] {
            assert_eq!(fits(pattern, issuer), expected, "{pattern} {issuer}");
        }
    }
}
