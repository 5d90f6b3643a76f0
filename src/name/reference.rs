//! References: a repository with a tag, a digest or both; and subjects, which are content.

use super::{Digest, Repository};
use crate::class::{Class, Failure, shown};
use crate::limits;
use std::fmt;
use std::str::FromStr;

/// A tag: 1 to 128 characters of `[A-Za-z0-9_.-]`, the first neither `.` nor `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tag under which legacy signatures of `digest` lie: `sha256-HEX.sig`
    /// (cosign `specs/SIGNATURE_SPEC.md`).
    #[must_use]
    pub fn of_signatures(digest: &Digest) -> Self {
        Self(format!("sha256-{}.sig", digest.hex()))
    }

    /// Returns the tag under which the referrers of `digest` are listed where there is no referrers
    /// API: `sha256-HEX` (OCI distribution-spec 1.1, "Referrers Tag Schema").
    #[must_use]
    pub fn of_referrers(digest: &Digest) -> Self {
        Self(format!("sha256-{}", digest.hex()))
    }
}

impl FromStr for Tag {
    type Err = Failure;

    /// # Errors
    /// `reference`: empty, longer than 128 characters, or other characters.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        let ok = (1..=128).contains(&text.len())
            && text
                .bytes()
                .enumerate()
                .all(|(at, c)| word(c) || (at > 0 && (c == b'.' || c == b'-')));
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(Failure::new(
                Class::Reference,
                format!(
                    "`{text}` is not a tag: expected 1 to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
                ),
            ))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reference as a host or user wrote it, made canonical. Where a digest is given, the tag is not
/// trusted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl Reference {
    /// Makes a reference by tag.
    #[must_use]
    pub fn tagged(repository: Repository, tag: Tag) -> Self {
        Self { repository, tag: Some(tag), digest: None }
    }

    /// Makes a reference by digest.
    #[must_use]
    pub fn pinned(repository: Repository, digest: Digest) -> Self {
        Self { repository, tag: None, digest: Some(digest) }
    }

    /// Returns the repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the tag: what was written, `latest` where neither tag nor digest was, `None` beside
    /// a bare digest.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Returns the digest, where one was written.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the same tag and digest in another repository.
    #[must_use]
    pub fn at(&self, repository: Repository) -> Self {
        Self { repository, ..self.clone() }
    }

    /// Returns the subject: this repository's content with that digest.
    #[must_use]
    pub fn subject(&self, digest: Digest) -> Subject {
        Subject { repository: self.repository.clone(), digest }
    }
}

impl FromStr for Reference {
    type Err = Failure;

    /// Parses `[registry/]path[:tag][@sha256:HEX]`.
    ///
    /// # Errors
    /// `reference`: not ASCII, blanks or control characters, over 1,024 characters, or a part that
    /// is not valid.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let bad = |why: &str| {
            let text = shown(text);
            Failure::new(Class::Reference, format!("`{text}` is not the name of an image: {why}"))
        };
        if text.len() > limits::REFERENCE_BYTES {
            return Err(bad("it is longer than 1024 characters"));
        }
        if text.starts_with('-') {
            return Err(bad("it starts with `-`"));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(bad(&format!("it has the character {}", c.escape_unicode())));
        }
        if text.contains(":/") {
            return Err(bad("it has a scheme; expected only a name"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (
                name,
                Some(
                    digest
                        .parse::<Digest>()
                        .map_err(|failure| failure.as_class(Class::Reference))?,
                ),
            ),
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it belongs to the port of the
        // registry.
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let (repository, tag) = match name.get(slash..).and_then(|last| last.find(':')) {
            Some(at) => (name.get(..slash + at).unwrap_or(name), name.get(slash + at + 1..)),
            None => (name, None),
        };
        let tag = match (tag, digest) {
            (Some(tag), _) => Some(tag.parse()?),
            (None, None) => Some(Tag("latest".to_owned())),
            (None, Some(_)) => None,
        };
        Ok(Self { repository: repository.parse()?, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Content: a repository and a digest. It is what gets signed and verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Where it lies.
    pub repository: Repository,
    /// What it is.
    pub digest: Digest,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_canonical() {
        let hex = Digest::of(b"x");
        for (text, canonical) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("mudler/luet", "docker.io/mudler/luet:latest"),
            ("index.docker.io/alpine:3", "docker.io/library/alpine:3"),
            ("registry-1.docker.io/library/alpine:3", "docker.io/library/alpine:3"),
            ("Quay.IO:443/a/b:T_1.0-x", "quay.io/a/b:T_1.0-x"),
            ("quay.io./a/b:x", "quay.io/a/b:x"),
            ("quay.io:8443/a/b:x", "quay.io:8443/a/b:x"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("localhost:443/x", "localhost:443/x:latest"),
            ("localhost/x", "docker.io/localhost/x:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("a.b/c:d", "a.b/c:d"),
        ] {
            assert_eq!(
                text.parse::<Reference>().map(|reference| reference.to_string()),
                Ok(canonical.to_owned()),
                "{text}"
            );
        }
        let pinned = format!("quay.io/a/b@{hex}");
        assert_eq!(pinned.parse::<Reference>().unwrap().tag(), None);
        let both = format!("quay.io/a/b:1@{hex}");
        assert_eq!(both.parse::<Reference>().unwrap().to_string(), both);
    }

    /// The host fetches what its library makes of a name; another meaning here would check another
    /// image.
    #[test]
    fn names_mean_what_they_mean_for_the_host() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/references.json");
        let table: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let (mut both, mut all, mut stricter) = (0, 0, Vec::new());
        for row in table.as_array().unwrap() {
            all += 1;
            let text = row["name"].as_str().unwrap();
            let ours = text.parse::<Reference>();
            if row["refused"] == true {
                continue;
            }
            let Ok(ours) = ours else {
                stricter.push(text.to_owned());
                continue;
            };
            both += 1;
            let registry: super::super::Registry =
                row["registry"].as_str().unwrap().parse().unwrap();
            let identifier = match (ours.digest(), ours.tag()) {
                (Some(digest), _) => digest.to_string(),
                (None, tag) => tag.unwrap().to_string(),
            };
            assert_eq!(ours.repository().registry(), &registry, "{text}");
            assert_eq!(ours.repository().path(), row["repository"], "{text}");
            assert_eq!(identifier, row["identifier"], "{text}");
            assert_eq!(ours.to_string().parse::<Reference>().as_ref(), Ok(&ours), "{text}");
        }
        assert!(all > 75 && both > 45, "{both} of {all}");
        // Refusing is safe; each of these fails at the registry, or is a mistake.
        let expected = [
            "registry-1.docker.io/alpine",
            "::1/xx",
            "quay.io/a//bb",
            "quay.io/a/bb:-x",
            "quay.io/a/bb:.x",
            "/aa",
            "quay.io/a/../bb",
            "https://quay.io/a",
            "file:///var/x.tar",
            "quay.io:99999/aa",
            "quay.io:0/aa",
        ];
        assert_eq!(stricter, expected);
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for text in [
            "",
            "/",
            "a//b",
            "quay.io/",
            "quay.io//a",
            "quay.io/A/b",
            "quay.io/a/../b",
            "quay.io/a..b",
            "quay.io/a/",
            "quay.io/a b",
            "quay.io/a\nb",
            "quay.io/a\0",
            "quаy.io/a",
            "quay.io/a:-x",
            "quay.io/a:",
            "quay.io/a@sha256:x",
            "quay.io/a@md5:d41d8cd98f00b204e9800998ecf8427e",
            "-x",
            "https://quay.io/a",
            "file:///var/x.tar",
            "quay.io/a:$(id)",
            "quay.io/a;id",
            "quay.io:0/a",
            "quay.io:99999/a",
            "quay..io/a",
            "-quay.io/a",
            "quay.io/.a",
            "quay.io/a-",
            "[::1/a",
            "\u{202e}quay.io/a",
            "quay.io:+1/a",
        ] {
            assert_eq!(
                text.parse::<Reference>().map_err(|failure| failure.class()),
                Err(Class::Reference),
                "{text:?}"
            );
        }
        assert!(format!("quay.io/{}", "a".repeat(2000)).parse::<Reference>().is_err());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("x.localhost", false),
            ("10.0.0.1", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("quay.io", false),
        ] {
            assert_eq!(
                host.parse::<super::super::Registry>().unwrap().is_loopback(),
                expected,
                "{host}"
            );
        }
    }

    #[test]
    fn cosign_spells_docker_hub_in_its_own_way() {
        assert_eq!(
            "alpine".parse::<Repository>().unwrap().cosign_name(),
            "index.docker.io/library/alpine"
        );
        assert_eq!("quay.io/a/b".parse::<Repository>().unwrap().cosign_name(), "quay.io/a/b");
    }
}
