//! Scopes: which repositories a rule is about; and globs over tags.
//!
//! `host[:port]/segment/...`: a segment is literal or `*` (one whole segment), a final `**` is one
//! or more segments, the host is literal or `*.suffix` (one or more labels, no port); a lone `*` is
//! everything. Specificity: docs/policy.md.

use super::{Registry, Repository, Tag, repository::check_segment};
use crate::class::{Class, Failure};
use std::fmt;
use std::str::FromStr;

/// A scope. Compared component by component, so `ghcr.io/org` never covers `ghcr.io/org-evil`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    host: Host,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Any,
    /// `.suffix`, with its dot.
    Suffix(String),
    Literal(Registry),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Segment {
    Literal(String),
    One,
    Rest,
}

/// How specific a scope is; the greater wins. Host first, then literal segments, then how the path
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeRank {
    /// 0 for any host, its length for a suffix, the greatest for a literal.
    host: usize,
    literals: usize,
    /// 0 with `**`, 1 with `*`, 2 where all is literal.
    kind: u8,
}

impl Scope {
    /// Returns the scope that covers everything: `*`.
    #[must_use]
    pub fn everything() -> Self {
        Self { host: Host::Any, segments: Vec::new() }
    }

    /// Returns whether the scope covers `repository`.
    #[must_use]
    pub fn covers(&self, repository: &Repository) -> bool {
        let host = match &self.host {
            Host::Any => return true,
            Host::Literal(host) => host == repository.registry(),
            Host::Suffix(suffix) => {
                repository.registry().port().is_none()
                    && repository
                        .registry()
                        .host()
                        .strip_suffix(suffix.as_str())
                        .is_some_and(|rest| !rest.is_empty())
            }
        };
        host && covers_path(&self.segments, &repository.path().split('/').collect::<Vec<_>>())
    }

    /// Returns how specific the scope is.
    #[must_use]
    pub fn rank(&self) -> ScopeRank {
        let host = match &self.host {
            Host::Any => 0,
            Host::Suffix(suffix) => suffix.len(),
            Host::Literal(_) => usize::MAX,
        };
        let ends = |segment: &Segment| match segment {
            Segment::Rest => 0,
            Segment::One => 1,
            Segment::Literal(_) => 2,
        };
        let kind = self.segments.iter().map(ends).min().unwrap_or_default();
        let literals =
            self.segments.iter().filter(|segment| matches!(segment, Segment::Literal(_))).count();
        ScopeRank { host, literals, kind }
    }

    /// Returns whether some repository is covered by both scopes.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let hosts = match (&self.host, &other.host) {
            (Host::Any, _) | (_, Host::Any) => return true,
            (Host::Literal(a), Host::Literal(b)) => a == b,
            (Host::Suffix(a), Host::Suffix(b)) => {
                a.ends_with(b.as_str()) || b.ends_with(a.as_str())
            }
            (Host::Literal(host), Host::Suffix(suffix))
            | (Host::Suffix(suffix), Host::Literal(host)) => {
                host.port().is_none()
                    && host
                        .host()
                        .strip_suffix(suffix.as_str())
                        .is_some_and(|rest| !rest.is_empty())
            }
        };
        hosts && paths_overlap(&self.segments, &other.segments)
    }

    /// Returns whether `*` stands for one of its segments.
    #[must_use]
    pub fn has_open_segment(&self) -> bool {
        self.segments.contains(&Segment::One)
    }

    /// Returns whether the scope covers more than one repository.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        !matches!(self.host, Host::Literal(_))
            || self.segments.iter().any(|segment| !matches!(segment, Segment::Literal(_)))
    }
}

fn covers_path(segments: &[Segment], path: &[&str]) -> bool {
    match (segments, path) {
        ([], []) => true,
        ([Segment::Rest], [_, ..]) => true,
        ([Segment::Literal(literal), segments @ ..], [first, path @ ..]) => {
            literal == first && covers_path(segments, path)
        }
        ([Segment::One, segments @ ..], [_, path @ ..]) => covers_path(segments, path),
        _ => false,
    }
}

fn paths_overlap(a: &[Segment], b: &[Segment]) -> bool {
    match (a, b) {
        ([], []) => true,
        ([Segment::Rest], [_, ..]) | ([_, ..], [Segment::Rest]) => true,
        ([Segment::Literal(x), a @ ..], [Segment::Literal(y), b @ ..]) => {
            x == y && paths_overlap(a, b)
        }
        ([_, a @ ..], [_, b @ ..]) => paths_overlap(a, b),
        _ => false,
    }
}

impl FromStr for Scope {
    type Err = Failure;

    /// # Errors
    /// `reference`: a bare host, a partial wildcard, `**` before the end, or a part that is not
    /// valid.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let bad =
            |why: String| Failure::new(Class::Reference, format!("`{text}` is not a scope: {why}"));
        if text == "*" {
            return Ok(Self::everything());
        }
        if let Some((_, rest)) = text.split_once("://") {
            return Err(bad(format!("it is an address; write `{rest}`")));
        }
        if let Some((name, _)) = text.split_once('@') {
            return Err(bad(format!(
                "it names one image by its digest; write `{name}`, which is about all of them"
            )));
        }
        if let Some((name, tag)) =
            text.rsplit_once(':').filter(|(name, tag)| name.contains('/') && !tag.contains('/'))
        {
            return Err(bad(format!(
                "it has a tag; write `{name}` here, and `tags: [{tag}]` beside it"
            )));
        }
        let Some((host, path)) = text.split_once('/') else {
            return Err(bad(format!("it has no path; write `{text}/**` for the whole registry")));
        };
        let host = match host.strip_prefix("*.") {
            Some(suffix) => {
                let registry: Registry = suffix.parse()?;
                if suffix.contains([':', '[']) {
                    return Err(bad("a host with `*.` takes no port".to_owned()));
                }
                Host::Suffix(format!(".{}", registry.host()))
            }
            None if host.contains('*') => {
                return Err(bad("a host is literal or starts with `*.`".to_owned()));
            }
            None if !host.contains(['.', ':']) => {
                return Err(bad(format!(
                    "`{host}` is not a registry; write `docker.io/{text}` for Docker Hub"
                )));
            }
            None => Host::Literal(host.parse()?),
        };
        let mut segments = Vec::new();
        for segment in path.split('/') {
            if matches!(segments.last(), Some(Segment::Rest)) {
                return Err(bad("`**` must be the last segment".to_owned()));
            }
            segments.push(match segment {
                "*" => Segment::One,
                "**" => Segment::Rest,
                _ if segment.contains('*') => {
                    return Err(bad(format!("segment `{segment}` is partly a wildcard; expected `*`, `**` or a whole name")));
                }
                _ => {
                    check_segment(segment).map_err(bad)?;
                    Segment::Literal(segment.to_owned())
                }
            });
        }
        if let (Host::Literal(host), [Segment::Literal(name)]) = (&host, segments.as_slice())
            && host.as_str() == "docker.io"
        {
            segments = vec![Segment::Literal("library".to_owned()), Segment::Literal(name.clone())];
        }
        Ok(Self { host, segments })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => return f.write_str("*"),
            Host::Suffix(suffix) => write!(f, "*{suffix}")?,
            Host::Literal(host) => write!(f, "{host}")?,
        }
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => write!(f, "/{literal}")?,
                Segment::One => f.write_str("/*")?,
                Segment::Rest => f.write_str("/**")?,
            }
        }
        Ok(())
    }
}

/// A glob over a whole tag: `*` stands for any run of characters, also none; everything else for
/// itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TagGlob(String);

/// How specific a glob is; the greater wins: exact, then by literal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagRank {
    exact: bool,
    literal_bytes: usize,
}

impl TagGlob {
    /// Returns whether the glob matches the whole of `tag`.
    #[must_use]
    pub fn matches(&self, tag: &Tag) -> bool {
        glob(self.0.as_bytes(), tag.as_str().as_bytes())
    }

    /// Returns how specific the glob is.
    #[must_use]
    pub fn rank(&self) -> TagRank {
        TagRank {
            exact: !self.0.contains('*'),
            literal_bytes: self.0.bytes().filter(|c| *c != b'*').count(),
        }
    }

    /// Returns whether some tag is matched by both globs.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        globs_overlap(self.0.as_bytes(), other.0.as_bytes())
    }
}

/// Matches iteratively, going back to the last `*` only: time is the product of the lengths at
/// worst.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}

/// Whether two globs share a text: reachability over pairs of positions.
fn globs_overlap(a: &[u8], b: &[u8]) -> bool {
    let mut seen = vec![false; (a.len() + 1) * (b.len() + 1)];
    let mut open = vec![(0, 0)];
    while let Some((i, j)) = open.pop() {
        if i == a.len() && j == b.len() {
            return true;
        }
        let Some(done) = seen.get_mut(i * (b.len() + 1) + j) else { continue };
        if std::mem::replace(done, true) {
            continue;
        }
        match (a.get(i), b.get(j)) {
            (Some(b'*'), right) => {
                open.push((i + 1, j));
                if right.is_some() {
                    open.push((i, j + 1));
                }
            }
            (left, Some(b'*')) => {
                open.push((i, j + 1));
                if left.is_some() {
                    open.push((i + 1, j));
                }
            }
            (Some(x), Some(y)) if x == y => open.push((i + 1, j + 1)),
            _ => {}
        }
    }
    false
}

impl FromStr for TagGlob {
    type Err = Failure;

    /// # Errors
    /// `reference`: empty, over 128 characters, or a character that no tag has.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let ok = (1..=128).contains(&text.len())
            && text
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-' | b'*'));
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(Failure::new(
                Class::Reference,
                format!(
                    "`{text}` matches no tag: expected 1 to 128 letters, digits, `_`, `.`, `-` and `*`"
                ),
            ))
        }
    }
}

impl fmt::Display for TagGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(scope: &str, repository: &str) -> bool {
        scope.parse::<Scope>().unwrap().covers(&repository.parse().unwrap())
    }

    #[test]
    fn scopes_are_compared_by_component() {
        for (scope, repository, expected) in [
            ("*", "quay.io/a/b", true),
            ("ghcr.io/org/**", "ghcr.io/org/x", true),
            ("ghcr.io/org/**", "ghcr.io/org/x/y", true),
            ("ghcr.io/org/**", "ghcr.io/org", false),
            ("ghcr.io/org/**", "ghcr.io/org-evil/x", false),
            ("ghcr.io/org/**", "ghcr.io.evil.example/org/x", false),
            ("ghcr.io/org/*", "ghcr.io/org/x/y", false),
            ("ghcr.io/*/x", "ghcr.io/org/x", true),
            ("ghcr.io/org/packages", "ghcr.io/org/packages-evil", false),
            ("GHCR.io:443/org/x", "ghcr.io/org/x", true),
            ("ghcr.io/org/x", "ghcr.io:8443/org/x", false),
            ("*.partner.example/luet/**", "a.partner.example/luet/x", true),
            ("*.partner.example/luet/**", "a.b.partner.example/luet/x", true),
            ("*.partner.example/luet/**", "partner.example/luet/x", false),
            ("*.partner.example/luet/**", "evilpartner.example/luet/x", false),
            ("*.partner.example/luet/**", "a.partner.example:5000/luet/x", false),
            ("index.docker.io/mudler/**", "mudler/luet", true),
            ("docker.io/alpine", "alpine", true),
        ] {
            assert_eq!(covers(scope, repository), expected, "{scope} {repository}");
        }
    }

    #[test]
    fn half_wildcards_and_bare_hosts_are_refused() {
        for text in [
            "ghcr.io",
            "ghcr.io/acme*",
            "ghcr.io/**/x",
            "gh*.io/x",
            "ghcr.io/",
            "acme/x",
            "",
            "*.a:5000/x",
            "ghcr.io/A",
            "**",
        ] {
            assert_eq!(
                text.parse::<Scope>().map_err(|failure| failure.class()),
                Err(Class::Reference),
                "{text}"
            );
        }
    }

    #[test]
    fn the_more_specific_scope_ranks_higher() {
        let order = [
            "*",
            "*.io/**",
            "*.ghcr.io/**",
            "ghcr.io/**",
            "ghcr.io/*",
            "ghcr.io/org/**",
            "ghcr.io/org/*",
            "ghcr.io/org/x",
        ];
        for pair in order.windows(2) {
            if let [less, more] = pair {
                let rank = |text: &str| text.parse::<Scope>().unwrap().rank();
                assert!(rank(less) < rank(more), "{less} {more}");
            }
        }
    }

    #[test]
    fn overlapping_scopes_are_seen() {
        for (a, b, expected) in [
            ("ghcr.io/*/x", "ghcr.io/org/*", true),
            ("ghcr.io/*/x", "ghcr.io/org/y", false),
            ("ghcr.io/org/**", "ghcr.io/org/x/y", true),
            ("*.a.example/**", "b.a.example/x", true),
            ("*.a.example/**", "a.example/x", false),
            ("*", "a.example/x", true),
        ] {
            let scope = |text: &str| text.parse::<Scope>().unwrap();
            assert_eq!(scope(a).overlaps(&scope(b)), expected, "{a} {b}");
            assert_eq!(scope(b).overlaps(&scope(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn tag_globs_match_whole_tags() {
        for (pattern, tag, expected) in [
            ("repository.yaml*", "repository.yaml", true),
            ("*-repository.yaml", "2021-repository.yaml", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("yip", "yip-1", false),
            ("*", "x", true),
        ] {
            assert_eq!(
                pattern.parse::<TagGlob>().unwrap().matches(&tag.parse().unwrap()),
                expected,
                "{pattern} {tag}"
            );
        }
        let overlap =
            |a: &str, b: &str| a.parse::<TagGlob>().unwrap().overlaps(&b.parse().unwrap());
        assert!(
            overlap("a*", "*b") && overlap("*", "x") && !overlap("a*", "b*") && !overlap("ab", "a")
        );
    }
}
