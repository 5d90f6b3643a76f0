//! What is wrong with a document as a whole: rules that contradict each other or themselves, and
//! rules that are dangerous.

use super::diagnostic::Problems;
use super::document::{Document, PolicySigner, SignerSource};
use super::rules::{Rule, RuleTarget, TrustNames};
use super::settings::{BindTag, Mode, PostUnpack};
use super::ties;
use super::{binding, callers, mirrors};
use crate::name::{Scope, TagGlob};
use std::collections::{HashMap, HashSet};

/// Why an unsigned repository without `tags` is dangerous. Seen on luet: how it picks a package,
/// whatever `priority` says.
const REPLACES: &str = "`luet upgrade`, and `luet install` on a system that has packages, take the newest version of a package, \
                        or of what it needs, from any repository, whatever its priority: this one can replace every other repository's packages, signed ones too, and \
                        run its finalizers as root; name the `tags` that may be unsigned, in a policy file";

/// Notes every such problem.
pub(super) fn check(document: &Document, problems: &mut Problems) {
    check_names(document, problems);
    check_signers(document, problems);
    for rule in &document.rules {
        check_skip(rule, problems);
        check_local_files(rule, problems);
        check_mirror(rule, problems);
        check_binding(rule, problems);
        check_reason(rule, problems);
        check_until(rule, document.defaults.unsigned, problems);
        check_reach(rule, document.defaults.unsigned, problems);
        check_tags(rule, problems);
    }
    callers::check(document, problems);
    mirrors::check(document, problems);
    check_defaults(document, problems);
    check_registries(document, problems);
    ties::check(&document.rules, problems);
}

fn check_names(document: &Document, problems: &mut Problems) {
    let mut seen = HashMap::new();
    for rule in &document.rules {
        if let Some(first) = seen.insert(rule.name.as_str(), rule.at) {
            problems.error(
                rule.at,
                "duplicate-name",
                format!("the rule on line {} is called `{}` too", first.line, rule.name),
            );
        }
    }
}

fn check_signers(document: &Document, problems: &mut Problems) {
    let all: Vec<&str> = document.signers.iter().map(|signer| signer.name.as_str()).collect();
    let broken = document.broken_signers.iter().map(String::as_str);
    let known: HashSet<&str> = all.iter().copied().chain(broken).collect();
    let mut used = HashSet::new();
    for rule in &document.rules {
        let names = rule.trust.names();
        let mut here = HashSet::new();
        for name in names {
            let at = rule.trust_at.unwrap_or(rule.at);
            if !known.contains(name.as_str()) && !problems.full() {
                let near = super::fields::nearest(name, &all);
                let problem = problems.error(
                    at,
                    "unknown-signer",
                    format!("`{}` trusts `{name}`, which is not under `signers`", rule.name),
                );
                if let Some(near) = near {
                    problem.help(format!("did you mean `{near}`?"));
                }
            }
            if !here.insert(name) {
                problems.warning(
                    at,
                    "duplicate-signer",
                    format!("`{}` names `{name}` twice", rule.name),
                );
            }
            used.insert(name.as_str());
        }
        if let TrustNames::Signers { needed, .. } = rule.trust
            && needed > here.len()
        {
            let message = format!(
                "`{}` wants signatures by {needed} keys and names {} different signers",
                rule.name,
                here.len()
            );
            problems.error(rule.trust_at.unwrap_or(rule.at), "threshold", message);
        }
    }
    for signer in document.signers.iter().filter(|signer| !used.contains(signer.name.as_str())) {
        problems.warning(signer.at, "unused-signer", format!("no rule trusts `{}`", signer.name));
    }
    for (at, signer) in document.signers.iter().enumerate() {
        let same = |other: &&PolicySigner| {
            other.source == signer.source && other.trusted_root == signer.trusted_root
        };
        if let Some(first) = document.signers.iter().take(at).rfind(same) {
            let what = if matches!(signer.source, SignerSource::Certificate(_)) {
                "identity"
            } else {
                "key"
            };
            problems.warning(
                signer.at,
                "same-key",
                format!("`{}` and `{}` are the same {what}", first.name, signer.name),
            );
        }
    }
}

/// `trust: skip` makes every key senseless that is about signatures.
fn check_skip(rule: &Rule, problems: &mut Problems) {
    if rule.trust != TrustNames::Skip {
        return;
    }
    if let (Some(mode @ (Mode::Deny | Mode::Warn)), Some(at)) = (rule.unsigned, rule.unsigned_at) {
        let message = format!(
            "`{}` says `trust: skip` and `unsigned: {}`; what is not looked for is never missed",
            rule.name,
            mode.word()
        );
        problems.error(at, "conflict", message).help("remove one of them");
    }
    let mirror_of = rule.mirror_of.as_ref().map(|(_, at)| *at);
    let bind_tag = rule.bind_tag.map(|(_, at)| at);
    for (key, at) in [
        ("signatures_from", rule.signatures_from_at),
        ("mirror_of", mirror_of),
        ("bind_tag", bind_tag),
    ] {
        if let Some(at) = at {
            problems
                .error(at, "conflict", format!("`{}` says `trust: skip` and `{key}`", rule.name))
                .help("remove one of them");
        }
    }
}

fn check_local_files(rule: &Rule, problems: &mut Problems) {
    let Some((_, at)) = rule.targets.iter().find(|(target, _)| *target == RuleTarget::LocalFiles)
    else {
        return;
    };
    if rule.trust != TrustNames::Skip {
        problems
            .error(
                *at,
                "conflict",
                format!("`{}` is about local files, which carry no signatures", rule.name),
            )
            .help("give them a rule of their own, with `trust: skip` and a `reason`");
    }
    if !rule.tags.is_empty() {
        problems.error(
            *at,
            "conflict",
            format!("`{}` is about local files, which have no tags", rule.name),
        );
    }
    if rule.rollback.is_some() {
        problems.error(
            *at,
            "conflict",
            format!("`{}` is about local files, whose revisions are not remembered", rule.name),
        );
    }
}

/// A scope is mapped from its host on, so that has to be literal; and a repository has to become a
/// repository.
fn check_mirror(rule: &Rule, problems: &mut Problems) {
    let Some((prefix, at)) = &rule.mirror_of else { return };
    for (target, _) in &rule.targets {
        let RuleTarget::Scope(scope) = target else { continue };
        if binding::literals(scope).is_none() {
            let message = format!(
                "`{}` is a mirror of `{prefix}`, but its scope `{scope}` names no host that could be one",
                rule.name
            );
            problems
                .error(*at, "mirror", message)
                .help("write the mirror's own name as the `scope`: `registry.lan:5000/vendor/**`");
        } else if prefix.is_registry() && !scope.is_wide() {
            let message = format!(
                "`{}` is the mirror of a repository, `{scope}`, and `{prefix}` is a registry",
                rule.name
            );
            problems.error(*at, "mirror", message).help("name the repository");
        }
    }
}

/// Warns about keys that are about signatures which nobody looks at.
fn check_binding(rule: &Rule, problems: &mut Problems) {
    let mirror_of = rule.mirror_of.as_ref().map(|(_, at)| *at);
    if rule.trust == TrustNames::Nobody {
        for (key, at) in [("mirror_of", mirror_of), ("bind_tag", rule.bind_tag.map(|(_, at)| at))] {
            if let Some(at) = at {
                problems.warning(
                    at,
                    "no-effect",
                    format!("`{}` trusts no signer, so `{key}` has no effect", rule.name),
                );
            }
        }
    } else if let (BindTag::Off, Some(at)) = (rule.binding(), mirror_of) {
        problems.warning(
            at,
            "no-effect",
            format!("`{}` says `bind_tag: off`; `mirror_of` changes nothing", rule.name),
        );
    }
}

fn check_reason(rule: &Rule, problems: &mut Problems) {
    let what = if rule.trust == TrustNames::Skip {
        "trust: skip"
    } else if rule.unsigned == Some(Mode::Allow) {
        "unsigned: allow"
    } else {
        return;
    };
    if rule.reason.is_none() {
        problems.error(
            rule.at,
            "missing-reason",
            format!("`{}` says `{what}` and no `reason`", rule.name),
        );
    }
}

fn check_until(rule: &Rule, default: Mode, problems: &mut Problems) {
    if let Some(at) = rule.until_at
        && !rule.is_lax(default)
    {
        problems.warning(
            at,
            "useless-until",
            format!("`{}` denies already; `until` changes nothing", rule.name),
        );
    }
}

/// Warns about rules that let too much pass, or nothing.
fn check_reach(rule: &Rule, default: Mode, problems: &mut Problems) {
    if !rule.is_lax(default) {
        if rule.trust == TrustNames::Nobody {
            let message = format!(
                "`{}` trusts no signer and denies unsigned images: it refuses every image",
                rule.name
            );
            problems.warning(rule.at, "refuses-all", message).help("name signers under `trust`");
        }
        return;
    }
    for (target, at) in &rule.targets {
        let RuleTarget::Scope(scope) = target else { continue };
        if is_whole_registry(scope) {
            let message =
                format!("`{}` lets images of a whole registry pass unsigned: `{scope}`", rule.name);
            problems.warning(*at, "wide", message).help("name the repositories");
        }
    }
    let scopes = rule.targets.iter().any(|(target, _)| matches!(target, RuleTarget::Scope(_)));
    let every_tag = rule.tags.is_empty()
        || rule.tags.iter().any(|tag| tag.to_string().bytes().all(|c| c == b'*'));
    if scopes && every_tag {
        let message = format!("`{}` lets unsigned images pass under every tag", rule.name);
        problems.warning(rule.at, "replaces-others", message).help(REPLACES);
    }
}

/// Whether a scope has no literal segment, or not even a literal host.
fn is_whole_registry(scope: &Scope) -> bool {
    let text = scope.to_string();
    text.split_once('/')
        .is_none_or(|(_, path)| path.split('/').all(|segment| segment.starts_with('*')))
}

/// Warns about patterns that no tag can match.
fn check_tags(rule: &Rule, problems: &mut Problems) {
    let dead = |glob: &&TagGlob| glob.to_string().starts_with(['.', '-']);
    for glob in rule.tags.iter().filter(dead) {
        let message = format!("`{glob}` of `{}` can never match: no tag starts so", rule.name);
        problems.warning(rule.at, "never-matches", message);
    }
}

fn check_defaults(document: &Document, problems: &mut Problems) {
    let defaults = &document.defaults;
    if defaults.unmatched != Mode::Deny {
        let message = format!(
            "`unmatched: {}` lets images of any registry pass that no rule is about",
            defaults.unmatched.word()
        );
        problems
            .warning(defaults.unmatched_at, "wide", message)
            .help("write `deny`, and rules for the repositories that you use");
    }
    if let Some(at) = defaults.unsigned_at
        && defaults.unsigned == Mode::Allow
    {
        let message = "`unsigned: allow` as a default lets unsigned images of every rule pass that does not say otherwise";
        problems.warning(at, "wide", message).help(
            "write `deny` here, and `unsigned: allow` with a `reason` in the rules that need it",
        );
    }
    if let (PostUnpack::Off, Some(at)) = (document.post_unpack, document.post_unpack_at) {
        let message = "`post_unpack: off` trusts the host to unpack what was verified, and luet does not check the bytes of layers";
        problems.warning(at, "not-compared", message).help("remove it, or write `auto`");
    }
}

fn check_registries(document: &Document, problems: &mut Problems) {
    for entry in &document.registries {
        let nothing = !entry.http && entry.ca.is_none() && entry.credentials.is_none();
        if nothing && entry.auth_hosts.is_empty() {
            problems.warning(
                entry.at,
                "useless-registry",
                format!("the entry of `{}` changes nothing", entry.host),
            );
        }
    }
}
