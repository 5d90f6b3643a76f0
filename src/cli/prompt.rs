//! Passwords: from the environment, from a terminal without echo, or all of standard input. Never
//! in an event.

use crate::class::{Class, Failure};
use crate::config::Environment;
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, SpecialCodes, tcgetattr, tcsetattr,
};
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use zeroize::Zeroizing;

/// A password, in bytes.
const MAX_PASSWORD_BYTES: usize = 4096;

/// Makes the terminal as it was when the question is over, however it ends.
struct Silent<'a>(&'a File, rustix::termios::Termios);

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}

/// What came of a question.
enum Typed {
    Line(Zeroizing<Vec<u8>>),
    /// Ctrl-C.
    Interrupted,
}

/// What is said of a key that opens without a password.
pub(super) const NO_PASSWORD: &str =
    "warning: the password of this key is empty: anyone who can read the file can sign with it";

/// Whether standard input may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandardInput {
    /// Nothing else is expected there.
    Free,
    /// It is what is to be signed.
    Taken,
}

/// Returns the password that opens a key.
///
/// # Errors
/// As [`password`]; also where only standard input is left, and that is taken.
pub(super) fn opening(
    environment: &Environment,
    input: StandardInput,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match (input, environment.raw("COSIGN_PASSWORD")) {
        (StandardInput::Taken, None) => ask(EXISTING).map_err(|failure| {
            failure
                .within("standard input is the file to be signed, so the password cannot come from there")
                .hint("set COSIGN_PASSWORD (an empty password is a password: `COSIGN_PASSWORD=`), or name the file")
        }),
        _ => password(environment, false),
    }
}

const EXISTING: &str = "Enter password for private key (empty for none): ";

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
            .take(u64::try_from(MAX_PASSWORD_BYTES).unwrap_or_default())
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::new(Class::Secret, format!("no password: {error}")))?;
        while bytes.last().is_some_and(|last| *last == b'\n' || *last == b'\r') {
            bytes.pop();
        }
        return Ok(bytes);
    }
    let question = if new { "Enter password for private key: " } else { EXISTING };
    let password = ask(question)?;
    if new && *ask("Enter password for private key again: ")? != *password {
        return Err(Failure::new(Class::Secret, "the two passwords differ").hint("run it again"));
    }
    Ok(password)
}

/// Whether someone is here who can be asked.
pub(super) fn is_possible() -> bool {
    std::io::stdin().is_terminal()
        && OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok()
}

/// Shows a notice and asks; only `y` and `yes` are yes.
///
/// # Errors
/// `secret`: the terminal cannot be asked.
pub(super) fn confirm(notice: &str, question: &str) -> Result<bool, Failure> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|error| failed(&error))?;
    let shown: Vec<String> = notice.lines().map(crate::class::escaped).collect();
    let text = format!("{}\n{question}", shown.join("\n"));
    terminal.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 16 && terminal.read(&mut byte).map_err(|error| failed(&error))? == 1 {
        if byte == *b"\n" {
            break;
        }
        line.extend(byte);
    }
    Ok(matches!(line.to_ascii_lowercase().trim_ascii(), b"y" | b"yes"))
}

fn ask(question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|error| failed(&error))?;
    match ask_on(&terminal, question)? {
        Typed::Line(line) => Ok(line),
        Typed::Interrupted => {
            // The terminal is as it was: now what Ctrl-C does happens, to all that it happens to.
            let _ = kill_current_process_group(Signal::INT);
            Err(Failure::new(Class::Secret, "interrupted at the question for a password")
                .hint("run it again"))
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Class::Secret, format!("the terminal could not be asked for a password: {error}"))
}

/// Asks on a terminal, without echo. Ctrl-C is a character meanwhile and no signal, for a signal
/// would end the process before anyone could turn the echo on again.
fn ask_on(mut terminal: &File, question: &str) -> Result<Typed, Failure> {
    let before = tcgetattr(terminal).map_err(|error| failed(&error))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VMIN] = 1;
    silent.special_codes[SpecialCodeIndex::VTIME] = 0;
    let codes = before.special_codes.clone();
    terminal.write_all(question.as_bytes()).map_err(|error| failed(&error))?;
    let typed = {
        let _before = Silent(terminal, before);
        tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(|error| failed(&error))?;
        read_line(&mut terminal, &codes)
    };
    let _ = terminal.write_all(b"\n");
    typed
}

/// Reads a line as a terminal would: with the keys that end, interrupt, erase and start again.
fn read_line(from: &mut impl Read, codes: &SpecialCodes) -> Result<Typed, Failure> {
    // Never grown, which would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD_BYTES));
    let is = |byte: u8, index: SpecialCodeIndex| byte != 0 && byte == codes[index];
    loop {
        let mut byte = [0];
        match from.read(&mut byte) {
            Ok(0) => return Ok(Typed::Line(line)),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(&error)),
        }
        let [byte] = byte;
        match byte {
            b'\n' | b'\r' => return Ok(Typed::Line(line)),
            _ if is(byte, SpecialCodeIndex::VINTR) || is(byte, SpecialCodeIndex::VQUIT) => {
                return Ok(Typed::Interrupted);
            }
            _ if is(byte, SpecialCodeIndex::VEOF) => return Ok(Typed::Line(line)),
            _ if is(byte, SpecialCodeIndex::VSUSP) => {}
            _ if is(byte, SpecialCodeIndex::VKILL) => line.clear(),
            // What erases differs from terminal to terminal.
            _ if is(byte, SpecialCodeIndex::VERASE) || matches!(byte, 0x08 | 0x7f) => {
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            _ if line.len() == MAX_PASSWORD_BYTES => {
                return Err(failed(&format!("more than {MAX_PASSWORD_BYTES} bytes")));
            }
            byte => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    /// What comes of a question on a terminal where someone types this, and whether the terminal
    /// is as it was.
    fn typed(keys: &[u8]) -> (Option<Vec<u8>>, bool) {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let theirs = File::from(rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap());
        let modes = |file: &File| tcgetattr(file).unwrap().local_modes;
        let before = modes(&theirs);
        assert!(before.contains(LocalModes::ECHO | LocalModes::ISIG | LocalModes::ICANON));
        let mut ours = File::from(ours);
        let result = std::thread::scope(|scope| {
            let asked = scope.spawn(|| ask_on(&theirs, "Password? ").unwrap());
            // What is typed before the echo is off is thrown away, as by every such program.
            while modes(&theirs).contains(LocalModes::ECHO) {
                std::thread::yield_now();
            }
            ours.write_all(keys).unwrap();
            asked.join().unwrap()
        });
        let line = match result {
            Typed::Line(line) => Some(line.to_vec()),
            Typed::Interrupted => None,
        };
        (line, modes(&theirs) == before)
    }

    #[test]
    fn the_terminal_is_as_it_was_however_the_question_ends() {
        for (keys, line) in [
            (&b"secret\n"[..], Some(&b"secret"[..])),
            (b"secret\r", Some(b"secret")),
            (b"sec\x03", None),
            (b"\x1c", None),
            (b"\x04", Some(b"")),
            (b"wrong\x15secret\n", Some(b"secret")),
            (b"x\x7fsecrex\x08t\n", Some(b"secret")),
            ("é\u{7f}ß\n".as_bytes(), Some("ß".as_bytes())),
            (b"\x1asecret\n", Some(b"secret")),
        ] {
            let (found, restored) = typed(keys);
            assert_eq!(found.as_deref(), line, "{}", keys.escape_ascii());
            assert!(restored, "{}", keys.escape_ascii());
        }
    }
}
