//! Passwords: from the environment, from a terminal without echo, or all of standard input. Never
//! in an event.

use crate::class::{Class, Failure};
use crate::config::Environment;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use zeroize::Zeroizing;

/// A password, in bytes.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// Turns the echo back on when the question is over, however it ends.
struct Silent<'a>(&'a File, rustix::termios::Termios);

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}

/// Returns the password: `COSIGN_PASSWORD` where it is set, also empty; else asked for, twice where
/// it is a new one.
///
/// # Errors
/// `secret`: neither variable nor terminal nor input, or the two answers differ.
pub(super) fn password(
    environment: &Environment,
    new: bool,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if let Some(password) = environment.raw("COSIGN_PASSWORD") {
        return Ok(Zeroizing::new(password.as_bytes().to_vec()));
    }
    if !std::io::stdin().is_terminal() {
        let mut bytes = Zeroizing::new(Vec::new());
        std::io::stdin()
            .take(MAX_PASSWORD_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::new(Class::Secret, format!("no password: {error}")))?;
        while bytes.last().is_some_and(|last| *last == b'\n' || *last == b'\r') {
            bytes.pop();
        }
        return Ok(bytes);
    }
    let question = if new {
        "Enter password for private key: "
    } else {
        "Enter password for private key (empty for none): "
    };
    let password = ask(question)?;
    if new && *ask("Enter password for private key again: ")? != *password {
        return Err(Failure::new(Class::Secret, "the two passwords differ").hint("run it again"));
    }
    Ok(password)
}

fn ask(question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            Class::Secret,
            format!("the terminal could not be asked for a password: {error}"),
        )
    };
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|error| failed(&error))?;
    let before = tcgetattr(&terminal).map_err(|error| failed(&error))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    terminal.write_all(question.as_bytes()).map_err(|error| failed(&error))?;
    let reader = terminal.try_clone().map_err(|error| failed(&error))?;
    let mut line = Zeroizing::new(Vec::new());
    {
        let _echo = Silent(&terminal, before);
        tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| failed(&error))?;
        BufReader::new(reader.take(MAX_PASSWORD_BYTES))
            .read_until(b'\n', &mut line)
            .map_err(|error| failed(&error))?;
    }
    let _ = terminal.write_all(b"\n");
    while line.last().is_some_and(|last| *last == b'\n' || *last == b'\r') {
        line.pop();
    }
    Ok(line)
}
