//! `cosign` in place: called by that name, the program speaks what kairos-agent and elemental say,
//! `cosign [-d=true] [-key K] IMAGE`, and cosign's own commands as far as they are here.
//!
//! Those hosts read the exit code, and log all output on one line; so the first line names class and
//! image. They pull and unpack by themselves afterwards: this verifies what the name stands for now,
//! and binds nothing of what is unpacked (docs/archives.md).

use super::arguments::InstallShimArgs;
use super::{Outcome, Streams};
use crate::class::{Class, Failure, printable, shown};
use serde_json::json;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The name by which the program is called so.
const NAME: &str = "cosign";
/// Options of those hosts with a value of their own, besides `=`.
const KEY: [&str; 2] = ["-key", "--key"];

/// Returns whether the program was called as cosign.
#[must_use]
pub fn is_called(program: &OsStr) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == NAME)
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ShimCall {
    /// A command of cosign's, as it stands.
    Command(Vec<OsString>),
    /// No command: an image is to be verified.
    Image { arguments: Vec<OsString>, image: String },
}

/// Reads the arguments. What begins with no command is the call of a host.
///
/// # Errors
/// `usage`: no image, several, or an option that those hosts do not have.
pub(super) fn read(arguments: &[OsString], commands: &[&str]) -> Result<ShimCall, Failure> {
    let first = arguments.iter().find(|argument| !argument.as_bytes().starts_with(b"-"));
    let is_command = arguments.first().is_none_or(|first| {
        first.to_str().is_some_and(|word| {
            commands.contains(&word) || ["-h", "--help", "-V", "--version"].contains(&word)
        })
    });
    if is_command || first.is_none() {
        return Ok(ShimCall::Command(arguments.to_vec()));
    }
    let usage = |what: String| {
        Failure::new(Class::Usage, what).hint("without a command: `cosign [-key KEY] IMAGE`")
    };
    let (mut key, mut images) = (None, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_str().ok_or_else(|| usage("an argument is not UTF-8".to_owned()))?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (name, Some(value.to_owned())),
            _ => (text, None),
        };
        if KEY.contains(&name) {
            let value = match value {
                Some(value) => Some(value),
                None => rest.next().and_then(|value| value.to_str()).map(ToOwned::to_owned),
            };
            let value = value.filter(|value| !value.is_empty());
            if key.replace(value.ok_or_else(|| usage("-key without a key".to_owned()))?).is_some() {
                return Err(usage("-key is given twice".to_owned()));
            }
        } else if ["-d", "--verbose"].contains(&name)
            && value.as_deref().is_none_or(|value| ["true", "false"].contains(&value))
        {
            // More output is none of anyone's wishes here.
        } else if text.starts_with('-') {
            return Err(usage(format!("`{}` is not an option of those hosts", printable(name))));
        } else {
            images.push(text.to_owned());
        }
    }
    match images.as_slice() {
        [image] => {
            let mut arguments: Vec<OsString> =
                vec!["verify".into(), "--output".into(), "text".into()];
            arguments.extend(key.into_iter().flat_map(|key| ["--key".into(), key.into()]));
            arguments.push("--".into());
            arguments.push(image.into());
            Ok(ShimCall::Image { arguments, image: image.clone() })
        }
        _ => Err(usage(format!("{} images; expected one", images.len()))),
    }
}

/// Puts the image before a refusal that does not name it.
pub(super) fn named(failure: &Failure, image: &str) -> String {
    let text = failure.text();
    let image = printable(&shown(image));
    if text.lines().next().is_some_and(|line| line.contains(&image)) {
        return text;
    }
    let class = failure.class().word();
    match text.strip_prefix(class) {
        Some(rest) => format!("{class}: `{image}`{rest}"),
        None => text,
    }
}

/// `install-shim DIR`: a link called `cosign`.
pub(super) fn install(command: &InstallShimArgs, as_json: bool, streams: &mut Streams) -> Outcome {
    let link = command.folder.join(NAME);
    let failed = |error: std::io::Error| {
        Failure::new(Class::State, format!("`{}` could not be made: {error}", link.display()))
            .hint("run it as root, or choose a directory of your own")
    };
    let own = std::env::current_exe().and_then(|own| own.canonicalize()).map_err(failed)?;
    if link.symlink_metadata().is_ok() && !command.force {
        // What is ours may be recreated.
        if link.canonicalize().ok().as_ref() != Some(&own) {
            let what = format!("`{}` is another program", link.display());
            return Err(Failure::new(Class::Usage, what)
                .hint("choose another directory, or replace it with --force"));
        }
    }
    let new = command.folder.join(format!(".{NAME}-{}", std::process::id()));
    let placed = std::os::unix::fs::symlink(&own, &new).and_then(|()| std::fs::rename(&new, &link));
    placed.map_err(|error| {
        let _ = std::fs::remove_file(&new);
        failed(error)
    })?;
    let (name, program) = (link.display().to_string(), own.display().to_string());
    if as_json {
        streams.json(json!({"link": name, "program": program}))?;
    } else {
        streams.say(format!("{name} -> {program}"))?;
    }
    streams.note("kairos-agent and elemental call it where `cosign: true` is set. It verifies an image before they pull it again by its tag, so it does not bind what they unpack: use `luet-cosign pull IMAGE FILE.tar` and `--source ocifile:FILE.tar` for that.");
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> Result<String, Class> {
        let words: Vec<OsString> =
            text.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        let shown = |words: &[OsString]| {
            words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        match read(&words, &["verify", "sign"]) {
            Ok(ShimCall::Command(words)) => Ok(shown(&words)),
            Ok(ShimCall::Image { arguments, image }) => {
                assert!(shown(&arguments).ends_with(&image));
                Ok(shown(&arguments))
            }
            Err(failure) => Err(failure.class()),
        }
    }

    #[test]
    fn every_version_of_the_hosts_is_understood() {
        let verify = "verify --output text";
        let image = "quay.io/a/b:1";
        for (text, expected) in [
            ("quay.io/a/b:1", format!("{verify} -- {image}")),
            ("-d=true quay.io/a/b:1", format!("{verify} -- {image}")),
            ("-d quay.io/a/b:1", format!("{verify} -- {image}")),
            ("-d=true -key k.pub quay.io/a/b:1", format!("{verify} --key k.pub -- {image}")),
            ("-key=k.pub quay.io/a/b:1", format!("{verify} --key k.pub -- {image}")),
            (
                "-key https://a/k.pub quay.io/a/b:1",
                format!("{verify} --key https://a/k.pub -- {image}"),
            ),
            ("--key k.pub quay.io/a/b:1", format!("{verify} --key k.pub -- {image}")),
            ("verify --key k.pub x", "verify --key k.pub x".to_owned()),
            ("sign x", "sign x".to_owned()),
            ("--help", "--help".to_owned()),
            ("", String::new()),
        ] {
            assert_eq!(call(text), Ok(expected), "{text}");
        }
        for text in [
            "a b",
            "-key k.pub",
            "-key k -key l x",
            "-key= x",
            "-check-claims=false x",
            "x -insecure",
        ] {
            assert_ne!(call(text).err(), None, "{text}");
        }
    }
}
