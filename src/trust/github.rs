//! Workflows of GitHub: where the file of a workflow lies, and for which repository it ran.
//!
//! The name in a certificate is the file's. A reusable workflow is in one repository and is
//! called by others, anyone's among them, so its name says nothing about who built: only the
//! extensions do, which name the repository that the run was for. Both are always compared.
//! Source: fulcio `docs/oid-info.md`.

use super::certificate::{Certificate, SubjectName, claim, split_ref};
use super::expression::{Name, TextMatcher};
use super::identity::GITHUB;
use std::fmt;

/// How the name of a repository, or of a workflow, starts.
const HOME: &str = "https://github.com/";
/// Where in a repository workflows lie.
const FOLDER: &str = "/.github/workflows/";

/// A workflow of GitHub that ran for a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubWorkflow {
    /// The repository that it ran for, `owner/name`.
    pub source: String,
    /// The ref of that repository; any, where it is not given.
    pub source_ref: Option<TextMatcher>,
    /// The repository that the file of the workflow is in: another one, where that is reusable.
    pub repository: String,
    /// The file; any, where it is not given.
    pub file: Option<String>,
    /// The ref that the file was taken from; any, where it is not given.
    pub file_ref: Option<TextMatcher>,
}

impl GithubWorkflow {
    /// Whether a certificate, which must have been verified, is of this workflow.
    pub(super) fn fits(&self, certificate: &Certificate) -> bool {
        let fits = |expected: &Option<TextMatcher>, text: &str| {
            expected.as_ref().is_none_or(|expected| expected.fits(Name::Other(text)))
        };
        let SubjectName::Uri(uri) = certificate.subject() else { return false };
        let Some(named) = WorkflowName::parse(uri) else { return false };
        // Older certificates have one of the two alone. Where both are there, both count.
        let source = certificate
            .claim(claim::SOURCE_URI)
            .map(|uri| uri.strip_prefix(HOME).is_some_and(|repository| repository == self.source));
        let short = certificate.claim(claim::GITHUB_REPOSITORY).map(|name| name == self.source);
        let refs = [certificate.claim(claim::SOURCE_REF), certificate.claim(claim::GITHUB_REF)];
        let mut refs = refs.into_iter().flatten().peekable();
        certificate.issuer() == GITHUB
            && named.repository == self.repository
            && self.file.as_ref().is_none_or(|file| named.file == file)
            && fits(&self.file_ref, named.reference)
            && source.or(short) == Some(true)
            && short != Some(false)
            && (self.source_ref.is_none() || refs.peek().is_some())
            && refs.all(|found| fits(&self.source_ref, found))
    }
}

impl fmt::Display for GithubWorkflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |word: &str, expected: &Option<TextMatcher>| {
            expected.as_ref().map_or_else(String::new, |expected| format!(" {word} {expected}"))
        };
        let file = self.file.as_deref().unwrap_or("*");
        write!(f, "GitHub workflow `{file}` of `{}`", self.repository)?;
        if self.repository == self.source && self.file_ref == self.source_ref {
            return f.write_str(&on("on", &self.source_ref));
        }
        let (at, on) = (on("at", &self.file_ref), on("on", &self.source_ref));
        write!(f, "{at}, run for `{}`{on}", self.source)
    }
}

/// The name that GitHub gives a workflow:
/// `https://github.com/REPOSITORY/.github/workflows/FILE@REF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkflowName<'a> {
    /// The repository that the file is in, `owner/name`.
    pub repository: &'a str,
    /// The file.
    pub file: &'a str,
    /// The ref that it was taken from.
    pub reference: &'a str,
}

impl<'a> WorkflowName<'a> {
    /// Reads a name; `None` where it is not a workflow's.
    #[must_use]
    pub fn parse(uri: &'a str) -> Option<Self> {
        let (workflow, reference) = split_ref(uri)?;
        let (repository, file) = workflow.strip_prefix(HOME)?.split_once(FOLDER)?;
        let (owner, name) = repository.split_once('/')?;
        let plain = !owner.is_empty() && !name.is_empty() && !name.contains('/');
        (plain && !file.is_empty()).then_some(Self { repository, file, reference })
    }
}

impl Certificate {
    /// Returns the workflow and the repository that it ran for, where they are in different ones:
    /// everyone else who calls that workflow has a certificate with the same name.
    #[must_use]
    pub fn reused_workflow(&self) -> Option<(WorkflowName<'_>, String)> {
        let SubjectName::Uri(uri) = self.subject() else { return None };
        let named = WorkflowName::parse(uri).filter(|_| self.issuer() == GITHUB)?;
        let source = self.source().uri?;
        let repository = source.strip_prefix(HOME)?;
        (repository != named.repository).then(|| (named, repository.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_workflow_is_read_as_one() {
        let parse = |path: &str| WorkflowName::parse(&format!("{HOME}{path}")).is_some();
        assert!(parse("acme/os/.github/workflows/build.yml@refs/heads/main"));
        for path in [
            "/os/.github/workflows/build.yml@refs/heads/main",
            "acme//.github/workflows/build.yml@refs/heads/main",
            "acme/os/x/.github/workflows/build.yml@refs/heads/main",
            "acme/.github/workflows/build.yml@refs/heads/main",
            "acme/os/.github/workflows/@refs/heads/main",
            "acme/os/.github/workflows/build.yml",
        ] {
            assert!(!parse(path), "{path}");
        }
    }
}
