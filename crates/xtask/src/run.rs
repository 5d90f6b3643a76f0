//! Running other programs, and saying what went wrong.

use std::fmt;
use std::path::Path;
use std::process::Command;

/// What went wrong, as it is printed.
pub struct Failed(pub String);

pub type Result<T> = std::result::Result<T, Failed>;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// A program on `PATH`.
pub fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}

/// Runs a command to its end; what it says is seen.
pub fn run(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", shown(command));
    let status = command.status().map_err(|error| missing(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failed(format!("{} ended with {status}", shown(command))))
}

/// Runs a command and returns its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let bytes = bytes(command)?;
    String::from_utf8(bytes).map_err(|_| Failed(format!("{}: not UTF-8", shown(command))))
}

/// Runs a command and returns its standard output, whatever is in it.
pub fn bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().map_err(|error| missing(command, &error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failed(format!("{} ended with {}:\n{said}", shown(command), output.status)))
}

pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failed(format!("{}: {error}", path.display())))
}

pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(path, text).map_err(|error| Failed(format!("{}: {error}", path.display())))
}

pub fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to)
        .map(drop)
        .map_err(|error| Failed(format!("{} to {}: {error}", from.display(), to.display())))
}

/// The command without its environment, which may hold a password.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn missing(command: &Command, error: &std::io::Error) -> Failed {
    let name = command.get_program().to_string_lossy();
    Failed(format!("`{name}` could not be started: {error}; docs/releasing.md says what is needed"))
}
