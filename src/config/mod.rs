//! What the user set: the environment, the policy file, keys and where files lie. The one place
//! that reads them.
//!
//! Values leave this room parsed. Design: sections 3 and 4; the list of variables is closed.

mod environment;
mod files;
mod keys;
mod variables;

pub use environment::Environment;
pub use files::{Trusted, read_file};
pub use keys::Location;
pub use variables::{VARIABLES, Variable};

use crate::class::{Class, Failure};
use crate::limits;
use crate::store::Locations;
use std::path::PathBuf;
use std::time::Duration;

/// The name under which files of ours lie in shared folders.
const OWN: &str = "luet-cosign";

impl Environment {
    /// Returns the deadline for everything but layer bytes: `LUET_COSIGN_TIMEOUT`, seconds, or with
    /// `s` or `m` behind.
    ///
    /// # Errors
    /// `usage`: not a number from 1 s to 1 h.
    pub fn deadline(&self) -> Result<Duration, Failure> {
        let Some(text) = self.text("LUET_COSIGN_TIMEOUT")? else { return Ok(limits::DEADLINE) };
        let (number, unit) = match text.strip_suffix('m') {
            Some(number) => (number, 60),
            None => (text.strip_suffix('s').unwrap_or(text), 1),
        };
        let seconds = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .filter(|seconds| (1..=3600).contains(seconds));
        seconds.map(Duration::from_secs).ok_or_else(|| {
            Failure::new(Class::Usage, format!("LUET_COSIGN_TIMEOUT is `{text}`; expected 1 to 3600 seconds, such as `90`, `90s` or `2m`"))
        })
    }

    /// Returns where files that we keep may lie (design.md section 5, last paragraph).
    ///
    /// For root an XDG folder counts only where it is set; [`crate::store::Folder`] then refuses it
    /// unless root owns it.
    ///
    /// # Errors
    /// `usage`: a variable is not UTF-8.
    pub fn locations(&self) -> Result<Locations, Failure> {
        let root = rustix::process::geteuid().is_root();
        let folder =
            |name: &str| Ok::<_, Failure>(self.path(name)?.filter(|path| path.is_absolute()));
        let mut state: Vec<PathBuf> = folder("XDG_STATE_HOME")?.into_iter().collect();
        let mut runs: Vec<PathBuf> = folder("XDG_RUNTIME_DIR")?.into_iter().collect();
        if root {
            state.push(PathBuf::from("/var/lib"));
            runs.push(PathBuf::from("/run"));
        } else if let Some(home) = folder("HOME")? {
            state.push(home.join(".local/state"));
        }
        let temporary = folder("TMPDIR")?.unwrap_or_else(|| PathBuf::from("/tmp"));
        let user = rustix::process::geteuid().as_raw();
        let mut runs: Vec<PathBuf> = runs.into_iter().map(|path| path.join(OWN)).collect();
        runs.push(temporary.join(format!("{OWN}-{user}")));
        Ok(Locations { state: state.into_iter().map(|path| path.join(OWN)).collect(), runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_relative_names_are_passed_over() {
        let relative = ["HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"]
            .map(|name| (name, "relative/../x"));
        let locations = Environment::from_pairs(relative).locations().unwrap();
        assert!(
            locations.state.iter().chain(&locations.runs).all(|path| path.is_absolute()),
            "{locations:?}"
        );
    }

    #[test]
    fn the_deadline_is_a_sane_number_of_seconds() {
        let deadline = |text: &str| {
            Environment::from_pairs([("LUET_COSIGN_TIMEOUT", text)])
                .deadline()
                .ok()
                .map(|deadline| deadline.as_secs())
        };
        assert_eq!(deadline("90"), Some(90));
        assert_eq!(deadline("90s"), Some(90));
        assert_eq!(deadline("2m"), Some(120));
        assert_eq!(deadline(""), Some(60));
        for text in ["0", "-1", "x", "1h", "3601", "99999999999999999999", "1.5"] {
            assert_eq!(deadline(text), None, "{text}");
        }
    }
}
