//! The command line that luet was started with: the environment of a plugin does not tell it.

use super::Auth;
use crate::limits;
use std::io::Read as _;

/// Arguments of a process, its program's name first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// Reads the command line of a process; empty where it cannot be read.
    #[must_use]
    pub fn of(process: u32) -> Self {
        let mut bytes = Vec::new();
        if let Ok(file) = std::fs::File::open(format!("/proc/{process}/cmdline")) {
            let _ = file.take(limits::CONFIG_BYTES).read_to_end(&mut bytes);
        }
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        // Each argument ends with a zero, the last one too.
        Self(
            bytes
                .strip_suffix(b"\0")
                .unwrap_or(bytes)
                .split(|byte| *byte == 0)
                .map(|argument| String::from_utf8_lossy(argument).into_owned())
                .collect(),
        )
    }

    #[cfg(test)]
    pub(super) fn parse_for_tests(text: &str) -> Self {
        Self::parse(text.as_bytes())
    }

    /// Returns the value of a flag, written `--name VALUE` or `--name=VALUE`; of several the last,
    /// as luet reads it.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&str> {
        let long = format!("--{name}");
        let mut arguments = self.0.iter().take_while(|argument| *argument != "--");
        let mut found = None;
        while let Some(argument) = arguments.next() {
            if *argument == long {
                found = arguments.next().map(String::as_str);
            } else if let Some(value) =
                argument.strip_prefix(&long).and_then(|rest| rest.strip_prefix('='))
            {
                found = Some(value);
            }
        }
        found
    }
}

impl CommandLine {
    /// Returns what `--auth-*` says, as `luet util unpack` reads it, and what the command line
    /// names beside its flags: the credential is for an image that is there, and no other.
    #[must_use]
    pub fn auth(&self) -> Option<(Auth, Vec<&str>)> {
        let text = |name: &str| self.flag(name).unwrap_or_default().to_owned();
        let auth = Auth {
            username: text("auth-username"),
            password: text("auth-password"),
            auth: String::new(),
            identitytoken: text("auth-identity-token"),
            registrytoken: text("auth-registry-token"),
        };
        let mut names = Vec::new();
        let mut arguments = self.0.iter().skip(1).take_while(|argument| *argument != "--");
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                // Its value is behind it.
                Some(flag) if !flag.contains('=') && takes_value(flag) => {
                    arguments.next();
                }
                Some(_) => {}
                None if argument.starts_with('-') => {}
                None => names.push(argument.as_str()),
            }
        }
        (auth != Auth::default()).then_some((auth, names))
    }
}

/// Whether a flag of luet has a value, of those that are before or behind an image.
fn takes_value(flag: &str) -> bool {
    flag.starts_with("auth-")
        || flag.starts_with("system-")
        || matches!(flag, "config" | "plugin" | "logfile" | "log-format" | "concurrency")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_of_the_command_line_is_for_what_stands_there() {
        let line = CommandLine::parse(
            b"luet\0util\0unpack\0--auth-username\0bob\0--auth-password=pw\0--local\0quay.io/a/b:1\0--config\0x\0dest\0",
        );
        let (auth, names) = line.auth().unwrap();
        assert_eq!((auth.username.as_str(), auth.password.as_str()), ("bob", "pw"));
        assert_eq!(names, ["util", "unpack", "quay.io/a/b:1", "dest"]);
        assert_eq!(CommandLine::parse(b"luet\0util\0unpack\0quay.io/a/b\0d\0").auth(), None);
    }

    #[test]
    fn flags_are_read_as_luet_reads_them() {
        let line = CommandLine::parse(b"luet\0create-repo\0--backend=docker\0--backend\0buildah\0--backendx\0y\0--\0--config\0z\0");
        assert_eq!(line.flag("backend"), Some("buildah"));
        assert_eq!(line.flag("config"), None);
        assert_eq!(CommandLine::parse(b"").flag("x"), None);
    }
}
