//! Whose certificates count: an identity, as a policy, the environment or the command line asks for
//! it.
//!
//! Everything is compared with the whole text, case and all: an expression that fits a part of it
//! does not fit. Of GitHub and GitLab the owner is compared without case, as they do. Sources:
//! design.md section 3; `reference/security.md` S13, P05.

use super::certificate::{Certificate, claim};
use super::github::GithubWorkflow;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository};
use regex_lite::{Regex, RegexBuilder};
use std::fmt;

/// The issuer of GitHub's workflows.
pub(super) const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// The issuer of GitLab's jobs.
const GITLAB: &str = "https://gitlab.com";

/// What a text must be.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Exactly this.
    Exact(String),
    /// This and more behind it.
    Prefix(String),
    /// A pattern, by [`Expected::glob`]; or an expression, by [`Expected::regexp`]. The text is as
    /// it was written.
    Matching(String, Regex),
}

impl Expected {
    /// Takes a prefix, which must end where a part of a name ends.
    ///
    /// # Errors
    /// `policy`: it ends in the middle, so that `https://github.com/acme` would let
    /// `https://github.com/acme-evil` in, or at the `@` of an address, so that `alice@` would let
    /// `alice@evil.example` in.
    pub fn prefix(text: &str) -> Result<Self, Failure> {
        if text.len() > 1 && (text.ends_with('/') || text.ends_with('@') && text.contains("://")) {
            return Ok(Self::Prefix(text.to_owned()));
        }
        Err(Failure::new(
            Class::Policy,
            format!(
                "the prefix `{text}` ends in the middle of a name; expected `/` at its end, or the `@` of a URI"
            ),
        ))
    }

    /// Takes a pattern: `*` is any text without `/`, `**` any text.
    ///
    /// # Errors
    /// `policy`: it is too long, or nothing but stars.
    pub fn glob(text: &str) -> Result<Self, Failure> {
        if text.chars().all(|c| c == '*') {
            return Err(Failure::new(
                Class::Policy,
                format!("the pattern `{text}` fits everybody"),
            ));
        }
        let mut expression = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (piece, length) = match c {
                '*' if rest.starts_with("**") => (".*".to_owned(), 2),
                '*' => ("[^/]*".to_owned(), 1),
                c => (regex_lite::escape(c.encode_utf8(&mut [0; 4])), c.len_utf8()),
            };
            expression.push_str(&piece);
            rest = rest.get(length..).unwrap_or_default();
        }
        whole(&expression, text).map(|regex| Self::Matching(text.to_owned(), regex))
    }

    /// Takes a regular expression, which must fit the whole text. (cosign's fits anywhere, unless
    /// it is anchored.)
    ///
    /// # Errors
    /// `policy`: it is no expression, or too long.
    pub fn regexp(text: &str) -> Result<Self, Failure> {
        whole(text, text).map(|regex| Self::Matching(text.to_owned(), regex))
    }

    /// Returns what every text that fits starts with, as far as that is easily seen.
    #[must_use]
    pub fn literal_start(&self) -> String {
        let written = match self {
            Self::Exact(text) | Self::Prefix(text) => return text.clone(),
            Self::Matching(written, _) => written.strip_prefix('^').unwrap_or(written),
        };
        let mut start = String::new();
        let mut rest = written.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => match rest.next() {
                    Some(c) if c.is_ascii_punctuation() => start.push(c),
                    _ => break,
                },
                // What stands before it need not be there.
                '?' | '*' | '{' => {
                    start.truncate(start.trim_end_matches(|c| c != '/').len());
                    break;
                }
                '+' | '(' | '[' | '|' | '$' => break,
                // Mostly a dot is meant where an expression has one.
                c => start.push(c),
            }
        }
        start
    }

    /// Whether it fits.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exact(expected) => text == expected,
            Self::Prefix(prefix) => text.len() > prefix.len() && text.starts_with(prefix.as_str()),
            Self::Matching(_, regex) => regex.is_match(text),
        }
    }
}

/// Returns an expression that must fit the whole text, by an engine whose time is linear.
fn whole(expression: &str, written: &str) -> Result<Regex, Failure> {
    let error =
        |why: String| Failure::new(Class::Policy, format!("the expression `{written}` {why}"));
    if written.len() > limits::EXPRESSION_BYTES {
        return Err(error(format!(
            "has {} bytes; at most {} are read",
            written.len(),
            limits::EXPRESSION_BYTES
        )));
    }
    // Compiled by itself first: `a)|(b` must not become something else between the anchors.
    let build = |text: &str| RegexBuilder::new(text).size_limit(limits::EXPRESSION_SIZE).build();
    build(expression)
        .and_then(|_| build(&format!(r"\A(?:{expression})\z")))
        .map_err(|problem| error(format!("cannot be used: {problem}")))
}

impl PartialEq for Expected {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Expected {}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "`{text}`"),
            Self::Prefix(text) => write!(f, "`{text}...`"),
            Self::Matching(text, regex) => {
                write!(
                    f,
                    "what fits `{text}`{}",
                    if regex.as_str().contains(text.as_str()) { "" } else { " (pattern)" }
                )
            }
        }
    }
}

/// Whose certificates count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Anybody's: the first one of a repository is remembered, and alone counts from then on. The
    /// policy sees to that.
    Any,
    /// A name, by the word of an issuer.
    Named {
        /// The issuer.
        issuer: Expected,
        /// The name.
        subject: Expected,
    },
    /// A workflow of GitHub.
    Github(Box<GithubWorkflow>),
    /// Whoever the registry says that the image's name belongs to. [`Identity::of_image`] makes it
    /// one of the next.
    RegistryOwner,
    /// Everything that an owner builds at GitHub or GitLab.
    Owner {
        /// Where.
        forge: Forge,
        /// The owner.
        owner: String,
    },
    /// Nobody's: it was not said whose, and the registry does not say either.
    Unnamed,
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
        if *self != Self::RegistryOwner {
            return self.clone();
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
                issuer.fits(certificate.issuer()) && subject.fits(certificate.subject().as_str())
            }
            Self::Github(workflow) => workflow.fits(certificate),
            Self::Owner { forge, owner } => {
                certificate.issuer() == forge.issuer() && is_owned(certificate, *forge, owner)
            }
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
            Self::Any => f.write_str("whoever signed first"),
            Self::Named { issuer, subject } => write!(f, "{subject} (issuer {issuer})"),
            Self::Github(workflow) => workflow.fmt(f),
            Self::RegistryOwner => f.write_str("the owner of the name"),
            Self::Owner { forge, owner } => write!(f, "a workflow of `{}{owner}`", forge.home()),
            Self::Unnamed => f.write_str("nobody: no identity is given"),
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
