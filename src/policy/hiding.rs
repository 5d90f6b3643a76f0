//! Whether a registry may hide signatures that are there elsewhere: mirrors and pull-through caches
//! hand out an image, and often neither its referrers nor its `.sig` tag.
//!
//! It decides nothing. A hint that would loosen the policy is not given where what is missing may
//! only be hidden, and `check` says it.

use super::evidence::{Evidence, PlaceAnswer};
use super::matching::{Applies, Matched};

/// Words in a path that mark a proxy: GitLab's dependency proxy.
const PROXIES: [&str; 1] = ["dependency_proxy"];

/// Returns why signatures of an image may be hidden by the registry that serves it; nothing, where
/// nothing says so.
#[must_use]
pub fn may_hide(matched: &Matched, evidence: &Evidence) -> Option<String> {
    let repository = matched.reference().repository();
    if let Applies::Rule(effective) = matched.applies() {
        // Where signatures lie was said: they are not looked for at the mirror.
        if !effective.signatures_from.is_empty() {
            return None;
        }
        if let Some(origin) = effective.signed_as.iter().chain(&effective.mirrors).next() {
            return Some(format!(
                "`{repository}` is a mirror of `{origin}`, where there may be signatures that it does not serve"
            ));
        }
    }
    if let Some(origin) = named_after(repository.path()) {
        return Some(format!(
            "`{repository}` looks like a cache of `{origin}`, where there may be signatures that it does not serve"
        ));
    }
    let lists_none = |report: &&super::PlaceReport| {
        report.repository == *repository && matches!(report.answer, PlaceAnswer::NoApi { .. })
    };
    evidence.places.iter().find(lists_none).map(|_| {
        format!("`{}` lists no referrers: as a cache of another registry it hides signatures that are there", repository.registry())
    })
}

/// Returns what a path names as its origin: `ghcr.io/acme/os` of `cache.lan/ghcr.io/acme/os`.
fn named_after(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').collect();
    let (_, parents) = segments.split_last()?;
    let at = parents.iter().position(|segment| is_host(segment) || PROXIES.contains(segment))?;
    let origin = segments.get(at..)?;
    match origin {
        [proxy, rest @ ..] if PROXIES.contains(proxy) => {
            Some(rest.strip_prefix(&["containers"]).unwrap_or(rest).join("/"))
        }
        origin => Some(origin.join("/")),
    }
}

/// Whether a segment looks like the name of a registry: `ghcr.io`, not `v1.2`.
fn is_host(segment: &str) -> bool {
    segment.rsplit_once('.').is_some_and(|(name, top)| {
        !name.is_empty() && top.len() >= 2 && top.bytes().all(|c| c.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_known_by_the_registry_in_its_path() {
        for (path, origin) in [
            ("ghcr.io/acme/os", Some("ghcr.io/acme/os")),
            ("cache/registry.k8s.io/pause", Some("registry.k8s.io/pause")),
            ("acme/dependency_proxy/containers/library/alpine", Some("library/alpine")),
            ("acme/os", None),
            ("acme/v1.2/os", None),
            ("acme/os.io", None),
            (".io/os", None),
        ] {
            assert_eq!(named_after(path).as_deref(), origin, "{path}");
        }
    }
}
