//! `run -- luet ...`: luet with this very plugin, or a failure.
//!
//! luet says nothing where a plugin is missing and installs everything unverified
//! (`reference/hosts.md` 1.2); it takes the first program of the plugin's name on PATH. So PATH is
//! made to find this program first, `--plugin` is added, and luet's own output must name us as
//! enabled.

use super::arguments::Run;
use super::{Outcome, Streams};
use crate::class::{Class, Failure};
use crate::config::Environment;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The name of the plugin, as luet is told it.
pub(super) const PLUGIN: &str = "luet-cosign";
/// What luet prints before it lists the plugins that it loaded (luet `cmd/root.go`).
const ENABLED: &[u8] = b"Enabled plugins:";
/// What stands in the line of every plugin.
const AT: &[u8] = b" (at ";
/// What stands in ours.
const ENTRY: &[u8] = b" luet-cosign (at ";

pub(super) fn run(command: &Run, environment: &Environment, _streams: &mut Streams) -> Outcome {
    let own = std::env::current_exe().map_err(|error| {
        Failure::new(Class::Internal, format!("this program's own path: {error}"))
    })?;
    let (program, arguments) = command
        .command
        .split_first()
        .ok_or_else(|| Failure::new(Class::Usage, "no command after `run --`"))?;
    let path = environment.raw("PATH").unwrap_or_default().to_os_string();
    // Dropped, and so removed, when luet is done.
    let (path, _link) = find_us_first(&path, &own)?;
    let mut child = Command::new(program)
        .args(with_plugin(arguments, environment.text("LUET_PLUGIN")?.unwrap_or_default()))
        .env("PATH", path)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Failure::new(Class::Usage, format!("`{}` could not be run: {error}", program.display()))
        })?;
    let errors = child
        .stderr
        .take()
        .map(|from| std::thread::spawn(move || pass(from, &mut std::io::stderr())));
    let mut enabled = child.stdout.take().is_some_and(|from| pass(from, &mut std::io::stdout()));
    enabled |= errors.is_some_and(|thread| thread.join().unwrap_or(false));
    let status =
        child.wait().map_err(|error| Failure::new(Class::Internal, format!("luet: {error}")))?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    if code != 0 {
        return Ok(u8::try_from(code).unwrap_or(1));
    }
    if enabled {
        return Ok(0);
    }
    Err(Failure::new(Class::Event, format!("`{}` ended well but did not name {PLUGIN} among its enabled plugins: nothing was verified", program.display()))
        .hint("luet names them at log level `info`: run it without --quiet and with `logging.level: info`; a program that is not luet is not wrapped"))
}

/// Returns the plugin that luet would run: as luet looks, the first name that is there, whatever it
/// is.
pub(super) fn first_on_path(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(PLUGIN))
        .find(|found| found.symlink_metadata().is_ok())
}

/// Returns a PATH on which the first `luet-cosign` is this program, and the folder that was made
/// for that where one was needed.
fn find_us_first(
    path: &OsStr,
    own: &Path,
) -> Result<(OsString, Option<tempfile::TempDir>), Failure> {
    let same = |found: &Path| match (found.metadata(), own.metadata()) {
        (Ok(found), Ok(own)) => (found.dev(), found.ino()) == (own.dev(), own.ino()),
        _ => false,
    };
    if first_on_path(path).is_some_and(|found| same(&found)) {
        return Ok((path.to_os_string(), None));
    }
    let failed = |error: std::io::Error| {
        Failure::new(Class::State, format!("a folder for this program could not be made: {error}"))
    };
    let folder = tempfile::Builder::new().prefix("luet-cosign-run-").tempdir().map_err(failed)?;
    symlink(own, folder.path().join(PLUGIN)).map_err(failed)?;
    let all = std::iter::once(PathBuf::from(folder.path())).chain(std::env::split_paths(path));
    let joined = std::env::join_paths(all)
        .map_err(|error| Failure::new(Class::Usage, format!("PATH: {error}")))?;
    Ok((joined, Some(folder)))
}

/// Adds `--plugin luet-cosign` where neither the arguments nor LUET_PLUGIN (which an argument would
/// replace) name it.
fn with_plugin(arguments: &[OsString], variable: &str) -> Vec<OsString> {
    let lists_us = |list: &str| list.split(',').any(|name| name == PLUGIN);
    let mut texts = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .take_while(|argument| argument != "--");
    let mut named = false;
    let mut any = false;
    while let Some(text) = texts.next() {
        let value = if text == "--plugin" {
            texts.next().map(|value| value.into_owned())
        } else {
            text.strip_prefix("--plugin=").map(ToOwned::to_owned)
        };
        if let Some(value) = value {
            any = true;
            named |= lists_us(&value);
        }
    }
    let mut all: Vec<OsString> = Vec::new();
    if !named {
        all.push(OsString::from(format!("--plugin={PLUGIN}")));
        // The flag replaces the variable, so what the variable names comes along.
        if !any {
            all.extend(
                variable
                    .split_ascii_whitespace()
                    .filter(|name| *name != PLUGIN)
                    .map(|name| OsString::from(format!("--plugin={name}"))),
            );
        }
    }
    all.extend(arguments.iter().cloned());
    all
}

/// Passes everything through as it comes, and says whether the line about us was in it.
fn pass(mut from: impl Read, to: &mut dyn Write) -> bool {
    let mut watch = Watch::default();
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => return watch.seen,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                watch.feed(bytes);
                let _ = to.write_all(bytes).and_then(|()| to.flush());
            }
        }
    }
}

/// Looks for our name in a line after `Enabled plugins:`; both may come in pieces.
#[derive(Default)]
struct Watch {
    line: Vec<u8>,
    listing: bool,
    seen: bool,
}

impl Watch {
    /// Longest line that is looked at; the rest of a longer one is not.
    const MAX_LINE_BYTES: usize = 4096;

    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() < Self::MAX_LINE_BYTES {
                self.line.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = plain(&std::mem::take(&mut self.line));
        if line.windows(ENABLED.len()).any(|window| window == ENABLED) {
            self.listing = true;
        } else if self.listing {
            // One plugin a line, `NAME (at PATH)`; the list ends where a line is something else.
            self.seen |= line.windows(ENTRY.len()).any(|window| window == ENTRY);
            self.listing = line.windows(AT.len()).any(|window| window == AT);
        }
    }
}

/// Returns a line without the colours of a terminal.
fn plain(line: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    let mut escape = false;
    for byte in line {
        match (escape, byte) {
            (false, 0x1b) => escape = true,
            (false, byte) => text.push(*byte),
            (true, byte) => escape = !byte.is_ascii_alphabetic(),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str, variable: &str) -> String {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        with_plugin(&arguments, variable)
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_plugin_is_added_once() {
        assert_eq!(arguments("install -y x", ""), "--plugin=luet-cosign install -y x");
        assert_eq!(
            arguments("install --plugin luet-cosign x", ""),
            "install --plugin luet-cosign x"
        );
        assert_eq!(
            arguments("install --plugin=a,luet-cosign x", ""),
            "install --plugin=a,luet-cosign x"
        );
        assert_eq!(
            arguments("install --plugin a x", ""),
            "--plugin=luet-cosign install --plugin a x"
        );
        assert_eq!(
            arguments("install -- --plugin luet-cosign", ""),
            "--plugin=luet-cosign install -- --plugin luet-cosign"
        );
        assert_eq!(
            arguments("install x", "mtree luet-cosign"),
            "--plugin=luet-cosign --plugin=mtree install x"
        );
    }

    fn seen(output: &[u8]) -> bool {
        let whole = pass(output, &mut std::io::sink());
        let mut watch = Watch::default();
        output.iter().for_each(|byte| watch.feed(std::slice::from_ref(byte)));
        assert_eq!(watch.seen, whole, "pieces make no difference");
        whole
    }

    #[test]
    fn only_luets_own_list_counts() {
        assert!(seen(
            " INFO   🍭 Enabled plugins:\n INFO   \t➡ luet-mtree (at /bin/luet-mtree)\n INFO   \t➡ luet-cosign (at /bin/luet-cosign)\n"
                .as_bytes()
        ));
        assert!(seen(b"\x1b[36m INFO \x1b[0m Enabled plugins:\r\n \x1b[1m luet-cosign (at /x/luet-cosign)\x1b[0m\n"));
        assert!(!seen(b" INFO Enabled plugins:\n INFO  luet-mtree (at /bin/luet-mtree)\nfetching\n luet-cosign (at /x)\n"));
        assert!(!seen(b" luet-cosign (at /bin/luet-cosign)\n"));
        assert!(!seen(
            b" INFO Enabled plugins:\n INFO  not-luet-cosign (at /bin/not-luet-cosign)\n"
        ));
        assert!(!seen(b""));
    }
}
