//! Binding: whether a signature was made for this repository and tag, and not merely for the same
//! content.
//!
//! Our signer signs repository and tag with the digest; cosign signs neither in a way that it would
//! check. Without this a validly signed package could be served under another's name
//! (docs/threats.md R02, R03). A mirror serves what was signed under another name:
//! `mirror_of`, mapped component by component.

use super::decide::{Notice, notice};
use super::evidence::Evidence;
use super::matching::Effective;
use super::settings::BindTag;
use super::signers::Counting;
use crate::class::{Class, Failure};
use crate::name::{Digest, Reference, Registry, Repository, Scope, Tag};
use crate::trust::VerifiedSignature;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A repository, or what the names of several start with: a registry and any number of whole
/// segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    registry: Registry,
    /// Without slashes at its ends; empty for the whole registry.
    path: String,
}

impl Prefix {
    /// Returns whether it names a registry only, and no repository on it.
    pub(super) fn is_registry(&self) -> bool {
        self.path.is_empty()
    }

    /// Returns the name under which `repository`, which `scope` covers, was signed: what `scope`
    /// says literally before its first wildcard is replaced, the rest stays. `None` where there is
    /// no such name.
    pub(super) fn name_of(&self, repository: &Repository, scope: &Scope) -> Option<Repository> {
        let literals = literals(scope)?;
        let name = repository.to_string();
        let mut rest = name.split('/').skip(literals).peekable();
        if self.is_registry() && rest.peek().is_none() {
            return None;
        }
        let own = std::iter::once(self.registry.as_str())
            .chain(self.path.split('/').filter(|segment| !segment.is_empty()));
        own.chain(rest).collect::<Vec<_>>().join("/").parse().ok()
    }
}

/// Returns how many components of a scope are before its first wildcard, the host among them;
/// `None` where the host is one.
pub(super) fn literals(scope: &Scope) -> Option<usize> {
    let count =
        scope.to_string().split('/').take_while(|component| !component.starts_with('*')).count();
    (count > 0).then_some(count)
}

impl FromStr for Prefix {
    type Err = Failure;

    /// Parses `host[:port]` or `host[:port]/segment/...`.
    ///
    /// # Errors
    /// `reference`: no registry before the first slash, a wildcard, a tag or digest, or a part that
    /// is not valid.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let registry: Registry = host.parse()?;
        if text.ends_with('/') || (host != "localhost" && !host.contains(['.', ':'])) {
            let why = format!(
                "`{text}` is not a valid repository prefix: expected `registry` or `registry/path`"
            );
            return Err(Failure::new(Class::Reference, why));
        }
        if !path.is_empty() {
            format!("{registry}/{path}").parse::<Repository>()?;
        }
        Ok(Self { registry, path: path.to_owned() })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            self.registry.fmt(f)
        } else {
            write!(f, "{}/{}", self.registry, self.path)
        }
    }
}

/// What a signature has to be for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedImage<'a> {
    /// What is asked for.
    pub(super) reference: &'a Reference,
    /// The name of the same repository where it is a mirror's.
    pub(super) signed_as: Option<&'a Repository>,
    /// Other repositories that serve the same.
    pub(super) mirrors: &'a [Repository],
    /// What the reference stands for: an index, or an image.
    pub(super) image: &'a Digest,
}

impl ExpectedImage<'_> {
    /// The name to show: where it is a mirror's, the one under which it is signed.
    fn repository(&self) -> &Repository {
        self.signed_as.unwrap_or_else(|| self.reference.repository())
    }

    /// A mirror's own name is right as well: a site may sign what it mirrors.
    fn is_repository(&self, found: &Repository) -> bool {
        found == self.reference.repository()
            || self.signed_as == Some(found)
            || self.mirrors.contains(found)
    }

    /// Whether a signature of `subject` as an image of `index` is for what is asked for: for that
    /// index, or for the image itself, where someone asks for it by its digest. Under a tag the
    /// image alone is not what was signed: the server of the tag would choose which of the images.
    fn is_index(&self, index: &Digest, subject: &Digest) -> bool {
        index == self.image || self.reference.digest() == Some(subject)
    }
}

/// What a signature names.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimedImage<'a> {
    pub(super) repository: Option<&'a Repository>,
    pub(super) tag: Option<&'a Tag>,
    /// The index that the image was signed in.
    pub(super) index: Option<&'a Digest>,
    /// What was signed.
    pub(super) subject: &'a Digest,
}

/// How well a signature that counts is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// To all that is asked for, or nobody knows better.
    Bound,
    /// To the repository alone, by a key that is known to name tags: it was made for a digest, and
    /// the server of the tag chose to serve this one.
    ToRepository,
}

/// In which way a signature was made for something else, for those who have to be told what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is of another image.
    Image,
    /// For an image of another index.
    Index,
    /// For another repository, which it names.
    Repository(Repository),
    /// For this repository, and another tag.
    Tag,
    /// It names less than it has to.
    Unbound,
}

/// Holds what a signature names against what is expected. `by_a_binder` says that its key is known
/// to name repository and tag.
///
/// There is no exception for an image in an index: the server of the index decides what is in it.
/// One that names its index is for that one.
///
/// # Errors
/// Why not, as what is behind "the signature".
pub(super) fn check(
    named: ClaimedImage<'_>,
    bind_tag: BindTag,
    by_a_binder: bool,
    expected: ExpectedImage<'_>,
) -> Result<Bound, (Misfit, String)> {
    let required = match bind_tag {
        BindTag::Off => return Ok(Bound::Bound),
        BindTag::IfPresent => false,
        BindTag::Required => true,
    };
    let tag = expected.reference.tag();
    let wrong_repository = named.repository.is_some_and(|found| !expected.is_repository(found));
    let wrong_tag = named.tag.is_some_and(|found| tag.is_some_and(|tag| tag != found));
    if wrong_repository || wrong_tag {
        let expected = name(Some(expected.repository()), tag);
        let misfit = match named.repository.filter(|_| wrong_repository) {
            Some(found) => Misfit::Repository(found.clone()),
            None => Misfit::Tag,
        };
        let made_for = name(named.repository, named.tag);
        return Err((misfit, format!("was made for {made_for}, not for {expected}")));
    }
    if let Some(index) = named.index.filter(|index| !expected.is_index(index, named.subject)) {
        let image = expected.image;
        let why = format!(
            "was made for an image of the index `{index}`, and `{image}` is not that index"
        );
        return Err((Misfit::Index, why));
    }
    let lacks_tag = named.tag.is_none() && tag.is_some();
    let missing = match (named.repository.is_none(), lacks_tag) {
        (false, false) => return Ok(Bound::Bound),
        // Signed by digest, which the registry cannot change.
        (false, true) if !required && by_a_binder => return Ok(Bound::ToRepository),
        (false, true) => "no tag",
        (true, false) => "no repository",
        (true, true) => "neither repository nor tag",
    };
    if required || by_a_binder {
        let why = format!(
            "names {missing}; this signer binds its signatures, this one is an older or foreign one"
        );
        Err((Misfit::Unbound, why))
    } else {
        Ok(Bound::Bound)
    }
}

/// Holds what a signature that holds names against what the evidence is about.
///
/// # Errors
/// As [`check`].
pub(super) fn of(
    signature: &VerifiedSignature,
    effective: &Effective,
    evidence: &Evidence,
) -> Result<Bound, (Misfit, String)> {
    let claims = signature.claims();
    let named = ClaimedImage {
        repository: claims.repository.as_ref(),
        tag: claims.tag.as_ref(),
        index: claims.index.as_ref(),
        subject: signature.image(),
    };
    let expected = ExpectedImage {
        reference: &evidence.reference,
        signed_as: effective.signed_as.as_ref(),
        mirrors: &effective.mirrors,
        image: &evidence.image.digest,
    };
    let by_a_binder = evidence.memory.is_by_a_binder(signature);
    check(named, effective.bind_tag, by_a_binder, expected)
}

/// Returns what is to be said of signatures that count: of each signer who named tags before, and
/// whose signatures here name none.
pub(super) fn warnings(signatures: &[Counting<'_, '_>], evidence: &Evidence) -> Vec<Notice> {
    let by = |bound| {
        let these = signatures.iter().filter(move |(_, counts)| counts.bound == bound);
        these.map(|(signature, _)| *signature)
    };
    let mut signers: BTreeSet<_> = by(Bound::Bound).map(VerifiedSignature::fingerprint).collect();
    let loose = by(Bound::ToRepository).filter(|signature| signers.insert(signature.fingerprint()));
    let warning = |signature: &VerifiedSignature| {
        notice(
            true,
            format!(
                "the signature of `{}` by `{}` is for its digest and names no tag, and this signer named tags before: \
                 the server of the tag chose this image, which can be an older one",
                evidence.reference,
                signature.authority()
            ),
        )
    };
    loose.map(warning).collect()
}

fn name(repository: Option<&Repository>, tag: Option<&Tag>) -> String {
    match (repository, tag) {
        (Some(repository), Some(tag)) => format!("`{repository}:{tag}`"),
        (Some(repository), None) => format!("`{repository}`"),
        (None, Some(tag)) => format!("the tag `{tag}`"),
        (None, None) => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_mapped_component_by_component() {
        for (prefix, scope, repository, expected) in [
            (
                "ghcr.io/vendor",
                "registry.lan:5000/vendor/**",
                "registry.lan:5000/vendor/os",
                Some("ghcr.io/vendor/os"),
            ),
            (
                "ghcr.io/vendor",
                "registry.lan:5000/vendor/**",
                "registry.lan:5000/vendor/os/extra",
                Some("ghcr.io/vendor/os/extra"),
            ),
            (
                "GHCR.io:443/vendor",
                "registry.lan:5000/**",
                "registry.lan:5000/vendor/os",
                Some("ghcr.io/vendor/vendor/os"),
            ),
            (
                "ghcr.io",
                "registry.lan:5000/**",
                "registry.lan:5000/vendor/os",
                Some("ghcr.io/vendor/os"),
            ),
            (
                "ghcr.io",
                "registry.lan:5000/*/os",
                "registry.lan:5000/vendor/os",
                Some("ghcr.io/vendor/os"),
            ),
            ("ghcr.io/vendor/os", "registry.lan/os", "registry.lan/os", Some("ghcr.io/vendor/os")),
            (
                "docker.io/mudler",
                "registry.lan/hub/**",
                "registry.lan/hub/luet",
                Some("docker.io/mudler/luet"),
            ),
            (
                "docker.io/alpine",
                "registry.lan/alpine",
                "registry.lan/alpine",
                Some("docker.io/library/alpine"),
            ),
            (
                "docker.io",
                "registry.lan/hub/**",
                "registry.lan/hub/alpine",
                Some("docker.io/library/alpine"),
            ),
            ("ghcr.io/library", "docker.io/library/*", "alpine", Some("ghcr.io/library/alpine")),
            ("localhost:5000/a", "registry.lan/*", "registry.lan/b", Some("localhost:5000/a/b")),
            ("ghcr.io", "registry.lan/os", "registry.lan/os", None),
            ("ghcr.io/vendor", "*", "registry.lan/vendor/os", None),
            ("ghcr.io/vendor", "*.lan/vendor/**", "registry.lan/vendor/os", None),
        ] {
            let scope: Scope = scope.parse().unwrap();
            let repository: Repository = repository.parse().unwrap();
            assert!(scope.covers(&repository), "{scope} {repository}");
            let found = prefix.parse::<Prefix>().unwrap().name_of(&repository, &scope);
            assert_eq!(
                found.map(|found| found.to_string()).as_deref(),
                expected,
                "{prefix} {scope} {repository}"
            );
        }
        let long: Repository = format!("registry.lan/v/{}", "a".repeat(250)).parse().unwrap();
        let prefix: Prefix = "ghcr.io/vendor".parse().unwrap();
        assert_eq!(prefix.name_of(&long, &"registry.lan/v/**".parse().unwrap()), None);
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        let bad = [
            "",
            "vendor",
            "vendor/os",
            "ghcr.io/",
            "ghcr.io/vendor/",
            "ghcr.io//vendor",
            "/vendor",
            "ghcr.io/vendor*",
            "ghcr.io/*",
            "*.io/x",
            "ghcr.io/vendor:tag",
            "ghcr.io/Vendor",
            "ghcr.io/../x",
            "https://ghcr.io/vendor",
            "ghcr.io/vendor\n",
        ];
        for text in bad {
            assert_eq!(
                text.parse::<Prefix>().map_err(|failure| failure.class()),
                Err(Class::Reference),
                "{text:?}"
            );
        }
    }
}
