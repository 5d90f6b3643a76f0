//! Signers whose name others can have: a reusable workflow of GitHub gives its own name to whatever
//! it signs, for everybody who calls it.

use super::diagnostic::Problems;
use super::document::{Document, SignerSource};
use super::rules::{Rule, RuleTarget};
use crate::trust::Identity;

const HOME: &str = "https://github.com/";
/// Workflows that are there to be called by everybody.
const SHARED: &[&str] = &["slsa-framework/slsa-github-generator/"];

/// Warns about workflows of someone else that are trusted without saying who calls them.
///
/// Only GitHub knows which workflows can be called. Someone else's is one in an account that none
/// of the signer's images is named after.
pub(super) fn check(document: &Document, problems: &mut Problems) {
    for signer in &document.signers {
        let SignerSource::Certificate(Identity::Named { subject, .. }) = &signer.source else {
            continue;
        };
        let start = subject.literal_start();
        let Some((owner, rest)) = start.strip_prefix(HOME).and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let is_shared = rest.contains("reusable")
            || SHARED.iter().any(|shared| format!("{owner}/{rest}").starts_with(shared));
        let mut rules =
            document.rules.iter().filter(|rule| rule.trust.names().contains(&signer.name));
        if is_shared || rules.any(|rule| is_of_others(rule, owner)) {
            let message = format!(
                "`{}` trusts a workflow of `{owner}` by its name: when others can call it, what \
                 it signs for them has the same name",
                signer.name
            );
            problems.warning(signer.at, "reusable-workflow", message).help(
                "name the repository that calls it: \
                 `github: {repo: OWNER/NAME, workflow_repo: OWNER/NAME, workflow: FILE}`",
            );
        }
    }
}

/// Whether the images of a rule are named after someone, and nobody of this name.
fn is_of_others(rule: &Rule, owner: &str) -> bool {
    let scopes = rule.targets.iter().filter_map(|(target, _)| match target {
        RuleTarget::Scope(scope) => Some(scope.to_string()),
        RuleTarget::LocalFiles => None,
    });
    let mirrored = rule.mirror_of.iter().map(|(prefix, _)| prefix.to_string());
    let names: Vec<String> = scopes.chain(mirrored).collect();
    let mut segments = names
        .iter()
        .flat_map(|name| name.split('/').skip(1))
        .filter(|segment| !segment.starts_with('*'))
        .peekable();
    segments.peek().is_some() && !segments.any(|segment| segment.eq_ignore_ascii_case(owner))
}
