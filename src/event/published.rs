//! `repository.post.build`, where this run signs what it pushes: what of the repository is not signed.
//!
//! luet pushes nothing that the registry has already, and sends no event for it, so such an image
//! stays as it was. The repository is published by now, so nothing here refuses.

use super::Answer;
use super::PluginCall;
use super::large;
use crate::class::counted;
use crate::push;
use crate::repository::{self, Left};
use crate::session::{Connections, SessionOptions};
use serde::Deserialize;

/// The event's name.
pub(super) const NAME: &str = "repository.post.build";
/// Where luet looks for packages, unless `--packages` names another directory.
const PACKAGES: &str = "build";

/// What luet sends, as far as it matters. A repository of another type is a directory of files.
#[derive(Deserialize)]
struct BuiltWire {
    #[serde(rename = "Repo")]
    repository: RepositoryWire,
    #[serde(rename = "Path")]
    path: String,
}

#[derive(Deserialize)]
struct RepositoryWire {
    #[serde(rename = "type", default)]
    kind: String,
}

/// Says what is left to sign, and by which command.
pub(super) fn note(call: &mut PluginCall<'_>) -> Answer {
    let environment = (call.environment)();
    if !push::signs(&environment) {
        return Answer::ignored();
    }
    let built: Option<BuiltWire> = large::read(call, &environment);
    let built = built.filter(|built| built.repository.kind == "docker");
    let Some(BuiltWire { path, .. }) = built else { return Answer::ignored() };
    let options = SessionOptions { keep_keys: true, ..SessionOptions::default() };
    let looked = Connections::run(&environment, &options, async |connections| {
        let left = repository::left(connections, &path).await?;
        Ok(left.map(|left| (left, folder(connections.host().flag("packages")))))
    });
    let by = push::signed_by(push::is_keyless(&environment).unwrap_or_default());
    match looked {
        Ok(Some((left, folder))) if !left.is_nothing() => Answer::noted(format!(
            "{}; sign them: luet-cosign sign-repo {by} --from {folder} {}",
            sentence(&left),
            left.repository
        )),
        Ok(_) => Answer::ignored(),
        Err(failure) => Answer::noted(format!(
            "whether all of it is signed could not be found out: {}; `luet-cosign verify-repo` says what is not",
            failure.line()
        )),
    }
}

fn sentence(left: &Left) -> String {
    let mut parts = Vec::new();
    if left.unsigned > 0 {
        let verb = if left.unsigned == 1 { "is" } else { "are" };
        parts.push(format!(
            "{} of {} {verb} NOT signed (luet skips what the registry has already)",
            left.unsigned,
            counted(left.images, "image")
        ));
    }
    if let Some(failure) = &left.unknown {
        parts.push(format!("not all images could be looked at: {}", failure.line()));
    }
    parts.join(", and ")
}

/// Returns the directory as it is put into a command that someone may paste into a shell.
fn folder(named: Option<&str>) -> String {
    let folder = named.unwrap_or(PACKAGES);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
    if !folder.is_empty() && !folder.starts_with('-') && folder.bytes().all(plain) {
        folder.to_owned()
    } else {
        "DIR".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{Class, Failure};

    #[test]
    fn what_could_not_be_looked_at_is_not_called_unsigned() {
        let net = Failure::new(Class::Net, "no answer");
        let repository = "quay.io/a/b".parse().unwrap();
        let left = Left { repository, images: 12, unsigned: 0, unknown: Some(net) };
        assert!(!left.is_nothing());
        let text = sentence(&left);
        assert!(text.contains("could be looked at: net: no answer"), "{text}");
        assert!(!text.contains("NOT signed"), "{text}");
    }

    #[test]
    fn nothing_that_a_shell_would_read_is_put_into_the_command() {
        assert_eq!(folder(None), "build");
        assert_eq!(folder(Some("./my-build_1.2+3")), "./my-build_1.2+3");
        for evil in ["", "-x", "a b", "$(reboot)", "a;b", "`a`", "a\nb", "é"] {
            assert_eq!(folder(Some(evil)), "DIR", "{evil}");
        }
    }
}
