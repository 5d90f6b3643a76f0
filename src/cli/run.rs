//! `run -- luet ...`: luet with this very plugin.
//!
//! luet says nothing where a plugin is missing and installs everything unverified; it takes the
//! first program of the plugin's name on PATH. So luet itself is executed, by nobody in between who
//! could drop an argument or a variable, with a PATH on which this program is found first, and with
//! `--plugin`. That is what is relied on, and nothing that luet or a package prints: once hostile
//! code ran, no output proves anything. What events leave is read for a report.

use super::arguments::RunArgs;
use super::{Outcome, Streams};
use crate::class::{Class, Failure, counted};
use crate::config::Environment;
use crate::session;
use crate::store::{Folder, Locations, Owners, Run, check_way, find_program};
use crate::unpack::{Marks, RUN_VARIABLE, Report};
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of the plugin, as luet is told it.
pub(super) const PLUGIN: &str = "luet-cosign";
/// The name of the host; `luet-0.36` is one too.
const HOST: &[u8] = b"luet";
/// What a program begins with (System V ABI, "ELF Identification"); a script does not.
const ELF: [u8; 4] = *b"\x7fELF";
/// How many packages are named.
const NAMED: usize = 20;

pub(super) fn run(
    command: &RunArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let own = std::env::current_exe().map_err(|error| {
        Failure::new(Class::Internal, format!("this program's own path: {error}"))
    })?;
    let (program, arguments) = command
        .command
        .split_first()
        .ok_or_else(|| Failure::new(Class::Usage, "no command after `run --`"))?;
    let path = environment.raw("PATH").unwrap_or_default().to_os_string();
    let luet = find_luet(program, &path)?;
    // Before luet does anything: where no mark can be left, none at the end means nothing.
    let marks = match environment.locations().and_then(|locations| Marks::begin(&locations)) {
        Err(failure) if !command.strict => {
            streams.note(format!(
                "{PLUGIN}: cannot tell at the end what was verified: {}",
                failure.line()
            ));
            None
        }
        marks => Some(marks?),
    };
    // Dropped, and so removed, when luet is done.
    let (path, _link) = find_us_first(&path, &own, environment)?;
    let mut luet_itself = Command::new(&luet);
    luet_itself
        .arg0(program)
        .args(with_plugin(arguments, environment.text("LUET_PLUGIN")?.unwrap_or_default()))
        .env("PATH", path)
        .env_remove(RUN_VARIABLE);
    if let Some(marks) = &marks {
        luet_itself.env(RUN_VARIABLE, marks.value(command.strict));
    }
    let status =
        session::run_to_end(&mut luet_itself)?.map_err(|error| unstarted(&luet, &error))?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    if code != 0 {
        return Ok(u8::try_from(code).unwrap_or(1));
    }
    let report = match marks.as_ref().map(Report::read) {
        None => return Ok(0),
        Some(Err(failure)) if !command.strict => {
            streams.note(format!("{PLUGIN}: cannot tell what was verified: {}", failure.line()));
            return Ok(0);
        }
        Some(report) => report?,
    };
    lines(&report).into_iter().for_each(|line| streams.note(line));
    // Behind what luet printed, or in the file of --output-file.
    if as_json {
        streams.json(json!({
            "verified": report.verified,
            "allowed": report.allowed,
            "installed_unseen": report.unseen,
            "installed_unsigned": report.unsigned,
        }))?;
    }
    // What a rule lets be unsigned is the policy's choice, and had its event.
    let unseen = report.unseen.len();
    if command.strict && unseen > 0 {
        return Err(Failure::new(
            Class::Event,
            format!("{} not unpacked in this run", counted(unseen, "installed package")),
        )
        .hint("`luet cleanup` empties luet's cache; then install them again"));
    }
    Ok(0)
}

/// Says why luet did not start. The kernel says "no such file" of a program that is there where it
/// does not find what loads it (execve(2), ENOENT).
fn unstarted(luet: &Path, error: &std::io::Error) -> Failure {
    let shown = luet.display();
    if error.kind() == std::io::ErrorKind::NotFound && luet.is_file() {
        return Failure::new(
            Class::Usage,
            format!("`{shown}` is there and cannot be started: it is a dynamic program, and its loader (a part of libc) is not in this image"),
        )
        .hint("use a static luet, or an image with the libc that it was built for");
    }
    Failure::new(Class::Usage, format!("`{shown}` could not be run: {error}"))
}

/// Finds the program to execute: luet, as a program and by its name.
///
/// What is in front of luet could drop `--plugin`, PATH or the environment, as `sudo` does, and
/// a script may be anything.
fn find_luet(program: &OsStr, path: &OsStr) -> Result<PathBuf, Failure> {
    let refused = |why: String| {
        Failure::new(Class::Usage, why).hint(
            "`run` starts luet itself. With sudo, write `sudo luet-cosign run -- luet ...`; variables go in front of it all, or behind `sudo`",
        )
    };
    let name = Path::new(program).file_name().unwrap_or_default();
    let rest = name.as_bytes().strip_prefix(HOST);
    if name == PLUGIN || rest.is_none_or(|rest| rest.first().is_some_and(u8::is_ascii_alphanumeric))
    {
        return Err(refused(format!("`{}` is not luet", program.display())));
    }
    let found = if program.as_bytes().contains(&b'/') {
        PathBuf::from(program)
    } else {
        find_program(path, program)
            .ok_or_else(|| refused(format!("`{}` is not on PATH", program.display())))?
    };
    let mut magic = [0; 4];
    let read = found
        .metadata()
        .and_then(|it| {
            if it.is_file() {
                File::open(&found)
            } else {
                Err(std::io::ErrorKind::InvalidInput.into())
            }
        })
        .and_then(|mut file| file.read_exact(&mut magic));
    match read {
        Ok(()) if magic == ELF => Ok(found),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(refused(format!("there is no `{}`", found.display())))
        }
        _ => Err(refused(format!("`{}` is a script or no program (ELF)", found.display()))),
    }
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![match (report.verified.len(), report.allowed.len()) {
        (0, 0) => format!("{PLUGIN}: nothing was unpacked"),
        (verified, 0) => format!("{PLUGIN}: {} verified", counted(verified, "image")),
        (verified, allowed) => format!(
            "{PLUGIN}: {} verified, {allowed} allowed without a signature",
            counted(verified, "image")
        ),
    }];
    let mut name = |packages: &BTreeSet<String>, why: &str| {
        lines.extend(
            packages.iter().take(NAMED).map(|package| format!("{PLUGIN}: {package}: {why}")),
        );
        if packages.len() > NAMED {
            lines.push(format!("{PLUGIN}: and {} more: {why}", packages.len() - NAMED));
        }
    };
    name(&report.unseen, "installed, but not unpacked in this run (luet's cache?): NOT verified");
    name(&report.unsigned, "installed; the policy lets it be unsigned");
    lines
}

/// Returns the plugin that luet would run: as luet looks, the first name that is there, whatever it
/// is.
pub(super) fn first_on_path(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(PLUGIN))
        .find(|found| found.symlink_metadata().is_ok())
}

/// A directory with a link to this program, removed when dropped.
struct Link(Folder);

impl Link {
    /// Makes one where nobody else can put another in its place: what is first on PATH is executed.
    /// It is called as a run that this process is, so that it is cleared away after a crash too.
    fn make(own: &Path, environment: &Environment) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(
                Class::State,
                format!("a directory for this program could not be made: {error}"),
            )
        };
        let name = Run::of(std::process::id())?.name().to_owned();
        let Locations { runs, .. } = environment.locations()?;
        let mut last = None;
        for place in runs {
            let made = check_way(&place.join(&name), Owners::RootAndUser)
                .map_err(|why| failed(&format!("`{}` {why}", place.display())))
                .and_then(|()| Folder::open(&place)?.within(&name))
                .map(Self)
                .and_then(|link| {
                    symlink(own, link.0.path().join(PLUGIN)).map_err(|error| failed(&error))?;
                    Ok(link)
                });
            match made {
                Ok(link) => return Ok(link),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| failed(&"there is no place for it")).hint(
            "let this program be the first `luet-cosign` on PATH, or name a directory of this user's own in LUET_COSIGN_STATE",
        ))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.0.discard();
    }
}

/// Returns a PATH on which the first `luet-cosign` is this program, and the directory that was made
/// for that where one was needed.
fn find_us_first(
    path: &OsStr,
    own: &Path,
    environment: &Environment,
) -> Result<(OsString, Option<Link>), Failure> {
    let same = |found: &Path| match (found.metadata(), own.metadata()) {
        (Ok(found), Ok(own)) => (found.dev(), found.ino()) == (own.dev(), own.ino()),
        _ => false,
    };
    if first_on_path(path).is_some_and(|found| same(&found)) {
        return Ok((path.to_os_string(), None));
    }
    let link = Link::make(own, environment)?;
    let all = std::iter::once(link.0.path().to_owned()).chain(std::env::split_paths(path));
    let joined = std::env::join_paths(all)
        .map_err(|error| Failure::new(Class::Usage, format!("PATH: {error}")))?;
    Ok((joined, Some(link)))
}

/// Puts `--plugin luet-cosign` first, where no other option can take it for its value.
///
/// The flag replaces LUET_PLUGIN, so what that names comes along, unless another flag replaces it
/// anyway. luet loads a plugin once however often it is named.
fn with_plugin(arguments: &[OsString], variable: &str) -> Vec<OsString> {
    let flagged = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--plugin" || argument.starts_with("--plugin="));
    let others = variable.split_ascii_whitespace().filter(|name| !flagged && *name != PLUGIN);
    std::iter::once(PLUGIN)
        .chain(others)
        .map(|name| OsString::from(format!("--plugin={name}")))
        .chain(arguments.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn arguments(line: &str, variable: &str) -> String {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        with_plugin(&arguments, variable)
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_plugin_stands_first_whatever_else_is_given() {
        for (line, variable, expected) in [
            ("install -y x", "", "--plugin=luet-cosign install -y x"),
            (
                "install --config --plugin=luet-cosign x",
                "",
                "--plugin=luet-cosign install --config --plugin=luet-cosign x",
            ),
            ("install --plugin a x", "b", "--plugin=luet-cosign install --plugin a x"),
            ("install -- --plugin a", "", "--plugin=luet-cosign install -- --plugin a"),
            ("install x", "mtree luet-cosign", "--plugin=luet-cosign --plugin=mtree install x"),
        ] {
            assert_eq!(arguments(line, variable), expected);
        }
    }

    #[test]
    fn only_a_program_that_is_called_luet_is_executed() {
        let top = tempfile::tempdir().unwrap();
        let make = |name: &str, content: &[u8]| {
            let path = top.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let luet = make("luet", b"\x7fELF...");
        make("luet-0.36", b"\x7fELF...");
        make("luet-script", b"#!/bin/sh\n");
        make("luet-empty", b"");
        std::fs::create_dir(top.path().join("luet-folder")).unwrap();
        for name in ["sudo", "env", "luet-cosign", "luetx", "nice", "sh"] {
            make(name, b"\x7fELF...");
        }
        let find = |name: &str| find_luet(name.as_ref(), top.path().as_os_str());
        assert_eq!(find("luet").unwrap(), luet);
        assert_eq!(find(luet.to_str().unwrap()).unwrap(), luet);
        assert!(find("luet-0.36").is_ok());
        for name in [
            "sudo",
            "env",
            "luet-cosign",
            "luetx",
            "nice",
            "sh",
            "luet-script",
            "luet-empty",
            "luet-folder",
            "luet-missing",
            "",
            "./luet-missing",
        ] {
            let failure = find(name).unwrap_err();
            assert_eq!(failure.class(), Class::Usage, "{name}");
            assert!(failure.the_hint().contains("sudo luet-cosign run -- luet"), "{name}");
        }
        let relative = std::env::join_paths(["", "."]).unwrap();
        assert!(find_luet("luet".as_ref(), &relative).is_err());
    }

    /// A dynamic program in an image without its libc.
    #[test]
    fn a_program_whose_loader_is_missing_is_said_to_be_that() {
        let mut program = std::fs::read("/proc/self/exe").unwrap();
        let loader = b"/ld-linux";
        let at = program.windows(loader.len()).position(|found| found == loader).unwrap();
        program[at + 1] = b'x';
        let top = tempfile::tempdir().unwrap();
        let luet = top.path().join("luet");
        std::fs::write(&luet, program).unwrap();
        std::fs::set_permissions(&luet, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_luet(luet.as_os_str(), OsStr::new("")).unwrap(), luet);
        let error = Command::new(&luet).spawn().unwrap_err();
        let failure = unstarted(&luet, &error);
        assert!(failure.message().contains("its loader (a part of libc) is not"), "{failure:?}");
        let failure = unstarted(&top.path().join("gone"), &error);
        assert!(failure.message().contains("could not be run"), "{failure:?}");
    }

    #[test]
    fn what_was_not_verified_is_named() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(lines(&Report::default()), ["luet-cosign: nothing was unpacked"]);
        let report = Report {
            verified: set(&["a"]),
            allowed: set(&["b", "c"]),
            unseen: set(&["x/d-1"]),
            unsigned: set(&["x/b-1"]),
        };
        assert_eq!(
            lines(&report),
            [
                "luet-cosign: 1 image verified, 2 allowed without a signature",
                "luet-cosign: x/d-1: installed, but not unpacked in this run (luet's cache?): NOT verified",
                "luet-cosign: x/b-1: installed; the policy lets it be unsigned",
            ]
        );
    }
}
