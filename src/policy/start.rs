//! A policy to start from: what luet's configuration names, each repository with a signer that is
//! still to be filled in. As printed it refuses everything, which is the safe way to be unfinished.

use crate::class::yaml;
use crate::name::Repository;
use std::fmt::Write as _;

/// Returns the policy for these repositories, each with its name in luet and its addresses, of
/// which all but the first are mirrors.
#[must_use]
pub fn start(repositories: &[(String, Vec<Repository>)]) -> String {
    let named: Vec<_> = repositories.iter().filter(|(_, urls)| !urls.is_empty()).collect();
    let mut text = String::from(
        "# Trusted signers, and what happens to unsigned images.\n\
         # Put the public key of each publisher beside this file, then: luet-cosign policy lint\n\
         version: 1\n\
         defaults:\n\
        \x20 unmatched: deny     # an image that no rule is about\n\
        \x20 unsigned: deny      # an image without a signature\n",
    );
    if named.is_empty() {
        text.push_str(
            "# luet's configuration names no repository of the type `docker`. For each one:\n\
             # signers:\n\
             #   acme: {key: acme.pub}\n\
             #   # or, signed by a workflow of GitHub: acme: {github: {repo: acme/packages}}\n\
             # repositories:\n\
             #   - {name: acme, scope: quay.io/acme/packages, trust: [acme]}\n",
        );
        return text;
    }
    let names = distinct(&named);
    text.push_str("signers:\n");
    for name in &names {
        let _ = writeln!(text, "  {name}: {{key: {name}.pub}}");
        let _ = writeln!(
            text,
            "  # signed by a workflow of GitHub: {name}: {{github: {{repo: OWNER/NAME}}}}"
        );
    }
    text.push_str("repositories:\n");
    for ((_, urls), name) in named.iter().zip(&names) {
        let mut distinct: Vec<&Repository> = Vec::new();
        for url in urls {
            if !distinct.contains(&url) {
                distinct.push(url);
            }
        }
        let Some((first, mirrors)) = distinct.split_first() else { continue };
        let _ = writeln!(
            text,
            "  - name: {name}\n    scope: {}\n    trust: [{name}]",
            yaml(&first.to_string())
        );
        for (at, mirror) in mirrors.iter().enumerate() {
            let number = at + 1;
            let _ = writeln!(
                text,
                "  - name: {name}-mirror-{number}\n    scope: {}\n    mirror_of: {}\n    trust: [{name}]",
                yaml(&mirror.to_string()),
                yaml(&first.to_string())
            );
        }
    }
    text.push_str(
        "# A repository that does not sign. `tags` keeps it from replacing packages of others:\n\
         #   - name: hobby\n\
         #     scope: quay.io/hobby/packages\n\
         #     tags: [\"game-*\", \"repository.*\", \"repository.meta.*\", \"tree.tar*\", \"compilertree.tar*\"]\n\
         #     unsigned: allow\n\
         #     reason: a hobby project that does not sign\n",
    );
    text
}

/// Returns a name for each repository, as a signer can be called, none of them twice.
fn distinct(repositories: &[&(String, Vec<Repository>)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in repositories {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' }
        };
        let mut plain: String = name.chars().map(plain).take(64).collect();
        if plain.is_empty()
            || plain == "skip"
            || !plain.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            plain = format!("repository-{plain}");
        }
        let mut unique = plain.clone();
        while names.contains(&unique) {
            unique.push('x');
        }
        names.push(unique);
    }
    names
}
