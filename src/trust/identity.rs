//! Whose certificates count: an identity, as a policy, the environment or the command line asks for
//! it.
//!
//! Names are compared case and all; what an expression has to fit of one is said in `expression`.
//! Of GitHub and GitLab the owner is compared without case, as they do. Sources:
//! docs/threats.md S13, P05.

use super::certificate::{Certificate, claim};
use super::expression::{Name, NameNearMiss, TextMatcher};
use super::github::GithubWorkflow;
use crate::name::{Digest, Repository};
use std::fmt;

/// The issuer of GitHub's workflows.
pub(super) const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// The issuer of GitLab's jobs.
const GITLAB: &str = "https://gitlab.com";

/// Whose certificates count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Anyone's: the first one of a repository is remembered, and alone counts from then on. The
    /// policy sees to that.
    Any,
    /// A name, by the word of an issuer.
    Named {
        /// The issuer.
        issuer: TextMatcher,
        /// The name.
        subject: TextMatcher,
    },
    /// A workflow of GitHub.
    Github(Box<GithubWorkflow>),
    /// The owner of the image's name, by the word of the registry. [`Identity::of_image`] makes it
    /// one of the next.
    RegistryOwner,
    /// Everything that an owner builds at GitHub or GitLab.
    Owner {
        /// Where.
        forge: Forge,
        /// The owner.
        owner: String,
    },
    /// Another one's, where a run of GitHub's was as these claims say.
    Narrowed(Box<Self>, RunClaims),
    /// Nobody's: it was not said whose, and the registry does not say either.
    Unnamed,
}

/// What a run of GitHub's has to be, as cosign's options ask for it: what is not said may be
/// anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunClaims {
    /// What started it: `push`, `workflow_dispatch`.
    pub trigger: Option<String>,
    /// The commit.
    pub sha: Option<String>,
    /// The name of the workflow, as its file gives it.
    pub name: Option<String>,
    /// The repository, `owner/name`.
    pub repository: Option<String>,
    /// The branch or tag, `refs/heads/main`.
    pub reference: Option<String>,
}

impl RunClaims {
    /// Each with the number of its extension (fulcio `docs/oid-info.md`).
    fn all(&self) -> [(u32, &'static str, Option<&str>); 5] {
        [
            (claim::GITHUB_TRIGGER, "trigger", self.trigger.as_deref()),
            (claim::GITHUB_SHA, "commit", self.sha.as_deref()),
            (claim::GITHUB_NAME, "workflow", self.name.as_deref()),
            (claim::GITHUB_REPOSITORY, "repository", self.repository.as_deref()),
            (claim::GITHUB_REF, "ref", self.reference.as_deref()),
        ]
    }

    /// Whether a certificate says all of it.
    fn fit(&self, certificate: &Certificate) -> bool {
        self.all()
            .into_iter()
            .all(|(number, _, wanted)| wanted.is_none() || certificate.claim(number) == wanted)
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for RunClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.all().into_iter();
        let said: Vec<String> =
            said.filter_map(|(_, what, wanted)| Some(format!("{what} `{}`", wanted?))).collect();
        f.write_str(&said.join(", "))
    }
}

/// Who runs workloads for owners, and a registry whose names are the owners'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forge {
    /// GitHub, and `ghcr.io`.
    Github,
    /// GitLab, and `registry.gitlab.com`.
    Gitlab,
}

impl Forge {
    const fn issuer(self) -> &'static str {
        match self {
            Self::Github => GITHUB,
            Self::Gitlab => GITLAB,
        }
    }

    const fn home(self) -> &'static str {
        match self {
            Self::Github => "https://github.com/",
            Self::Gitlab => "https://gitlab.com/",
        }
    }
}

impl Identity {
    /// Returns the identity for an image of this repository: who owns the name, where that was
    /// asked for.
    #[must_use]
    pub fn of_image(&self, repository: &Repository) -> Self {
        match self {
            Self::RegistryOwner => {}
            Self::Narrowed(identity, claims) => {
                return Self::Narrowed(Box::new(identity.of_image(repository)), claims.clone());
            }
            _ => return self.clone(),
        }
        let forge = match repository.registry().to_string().as_str() {
            "ghcr.io" => Forge::Github,
            "registry.gitlab.com" => Forge::Gitlab,
            _ => return Self::Unnamed,
        };
        match repository.path().split('/').next() {
            Some(owner) if !owner.is_empty() => Self::Owner { forge, owner: owner.to_owned() },
            _ => Self::Unnamed,
        }
    }

    /// Whether a certificate, which must have been verified, is of this identity.
    #[must_use]
    pub fn fits(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Any => true,
            Self::RegistryOwner | Self::Unnamed => false,
            Self::Named { issuer, subject } => {
                issuer.fits(Name::Uri(certificate.issuer()))
                    && subject.fits(certificate.subject().into())
            }
            Self::Github(workflow) => workflow.fits(certificate),
            Self::Narrowed(identity, claims) => {
                identity.fits(certificate) && claims.fit(certificate)
            }
            Self::Owner { forge, owner } => {
                certificate.issuer() == forge.issuer() && is_owned(certificate, *forge, owner)
            }
        }
    }

    /// Returns why a certificate does not fit that cosign would take, where only the borders of
    /// names are against it.
    #[must_use]
    pub fn near_miss(&self, certificate: &Certificate) -> Option<NameNearMiss> {
        let (issuer, subject) = match self {
            Self::Named { issuer, subject } => (issuer, subject),
            Self::Narrowed(identity, claims) if claims.fit(certificate) => {
                return identity.near_miss(certificate);
            }
            _ => return None,
        };
        let (by, name) = (Name::Uri(certificate.issuer()), certificate.subject().into());
        let misses = [issuer.near_miss(by), subject.near_miss(name)];
        let others_fit =
            (misses[0].is_some() || issuer.fits(by)) && (misses[1].is_some() || subject.fits(name));
        misses.into_iter().flatten().next().filter(|_| others_fit)
    }

    /// Returns what is to be said of expressions that let in more than it looks like.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Named { issuer, subject } => {
                [subject, issuer].into_iter().filter_map(TextMatcher::open_end).collect()
            }
            Self::Narrowed(identity, _) => identity.warnings(),
            _ => Vec::new(),
        }
    }

    /// Returns what stands for it where identities are counted.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(format!("identity\n{self}").as_bytes())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("the first signer"),
            Self::Named { issuer, subject } => write!(f, "{subject} (issuer {issuer})"),
            Self::Github(workflow) => workflow.fmt(f),
            Self::Narrowed(identity, claims) => write!(f, "{identity}, {claims}"),
            Self::RegistryOwner => f.write_str("the owner of the name"),
            Self::Owner { forge, owner } => write!(f, "a workflow of `{}{owner}`", forge.home()),
            Self::Unnamed => f.write_str("no signer: no identity is given"),
        }
    }
}

/// From the owner's extension; of certificates before it from the repository's (GitHub alone had
/// that).
fn is_owned(certificate: &Certificate, forge: Forge, owner: &str) -> bool {
    let first =
        |path: &str| path.split('/').next().is_some_and(|found| found.eq_ignore_ascii_case(owner));
    match (
        certificate.claim(claim::SOURCE_OWNER_URI),
        certificate.claim(claim::GITHUB_REPOSITORY),
        forge,
    ) {
        // GitLab's owner can be a group in a group.
        (Some(uri), _, _) => uri.strip_prefix(forge.home()).is_some_and(first),
        (None, Some(repository), Forge::Github) => repository.contains('/') && first(repository),
        _ => false,
    }
}
