//! Programs that trials run, and what brings each of them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What installs the programs that are not the project's own.
const TOOLS: &str = ".ci/tools.sh";

/// Returns the top of the repository.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/e2e is in the project")
}

/// Returns the directory of the tools that .ci/tools.sh installed.
pub fn folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = set("LUET_COSIGN_TOOLS") {
        return folder.into();
    }
    let cache = set("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(set("HOME").expect("HOME is set")).join(".cache"),
        PathBuf::from,
    );
    cache.join("luet-cosign-tools")
}

/// Returns what `PATH` is for everything that a trial runs: the tools, then the system's programs.
pub fn path() -> String {
    let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    format!("{}:{system}", folder().join("bin").display())
}

/// Returns where a program is, or what brings it.
pub fn find(name: &str) -> Result<PathBuf, String> {
    path()
        .split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("`{name}` is missing: run `{TOOLS}`"))
}

/// Returns where a program is.
///
/// # Panics
///
/// Says what brings it, where it is missing.
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|missing| panic!("{missing}"))
}

/// Returns a command without the environment of this process, which may be that of a user of cosign.
///
/// # Panics
///
/// As [`program`].
#[track_caller]
pub fn command(name: impl AsRef<Path>) -> Command {
    let name = name.as_ref();
    let path = if name.is_absolute() { name.to_owned() } else { program(&name.to_string_lossy()) };
    let mut command = Command::new(path);
    command.env_clear().env("PATH", self::path()).env("HOME", std::env::temp_dir());
    command
}

/// Returns the program under test: the static release binary, or what `BIN` names.
#[track_caller]
pub fn under_test() -> PathBuf {
    let target = "x86_64-unknown-linux-musl";
    let path = std::env::var_os("BIN").map_or_else(
        || project().join(format!("target/{target}/release/luet-cosign")),
        PathBuf::from,
    );
    // Cargo runs tests in the directory of their package; BIN is relative to the project.
    let path = project().join(path);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --locked --release --target {target}`, or set BIN=PATH",
        path.display()
    );
    path
}

/// Returns the real luet: what `LUET` names, else the one on `PATH`. No package client installs it.
pub fn real_luet() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LUET") {
        return Some(path.into());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("luet"))
        .find(|path| path.is_file())
}
