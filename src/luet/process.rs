//! The command line that luet was started with: the environment of a plugin does not tell it.

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
        Self(
            bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_luet_reads_them() {
        let line = CommandLine::parse(b"luet\0create-repo\0--backend=docker\0--backend\0buildah\0--backendx\0y\0--\0--config\0z\0");
        assert_eq!(line.flag("backend"), Some("buildah"));
        assert_eq!(line.flag("config"), None);
        assert_eq!(CommandLine::parse(b"").flag("x"), None);
    }
}
