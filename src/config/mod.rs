//! What the user set: the environment, the policy file, keys and where files lie. The one place
//! that reads them.
//!
//! Values leave this room parsed. The list of variables is closed.

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
use crate::store::{Locations, Owners, UNMAPPED, check_way};
use std::path::PathBuf;
use std::time::Duration;

/// The name under which files of ours are in shared directories.
const OWN: &str = "luet-cosign";
/// What is kept for one run, in a directory for what is kept for longer.
const RUNS: &str = "runs";
const STATE: &str = "LUET_COSIGN_STATE";

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

    /// Returns where files that we keep may lie: in the directory that `LUET_COSIGN_STATE` names, and
    /// nowhere else, or in the usual ones.
    ///
    /// Root has no use for XDG folders: `sudo` may keep those of the user who called it, and a
    /// directory that someone else can make or replace is a memory that someone else can switch off.
    ///
    /// # Errors
    /// `usage`: a variable is not UTF-8, or `LUET_COSIGN_STATE` is not absolute. `state`: someone
    /// else can choose what is there.
    pub fn locations(&self) -> Result<Locations, Failure> {
        if let Some(folder) = self.path(STATE)? {
            return named(folder);
        }
        let absolute =
            |name: &str| Ok::<_, Failure>(self.path(name)?.filter(|path| path.is_absolute()));
        let user = rustix::process::geteuid();
        let (mut state, mut runs) = (Vec::new(), Vec::new());
        if user.is_root() {
            state.push(PathBuf::from("/var/lib"));
            runs.push(PathBuf::from("/run"));
        } else {
            state.extend(absolute("XDG_STATE_HOME")?);
            state.extend(absolute("HOME")?.map(|home| home.join(".local/state")));
            runs.extend(absolute("XDG_RUNTIME_DIR")?);
        }
        let own = |folders: Vec<PathBuf>| folders.into_iter().map(|folder| folder.join(OWN));
        let state: Vec<PathBuf> = own(state).collect();
        // In a directory that everybody shares someone else may have taken the name, so that one
        // comes last.
        let safe = |path: &PathBuf| check_way(&path.join(OWN), Owners::RootAndUser).is_ok();
        let temporary = absolute("TMPDIR")?.filter(safe).unwrap_or_else(|| PathBuf::from("/tmp"));
        let runs = own(runs)
            .chain(state.iter().map(|folder| folder.join(RUNS)))
            .chain([temporary.join(format!("{OWN}-{}", user.as_raw()))])
            .collect();
        Ok(Locations { state, runs })
    }
}

/// The places in a directory that the user named.
fn named(folder: PathBuf) -> Result<Locations, Failure> {
    let shown = folder.display();
    if !folder.is_absolute() {
        return Err(Failure::new(
            Class::Usage,
            format!("{STATE} is `{shown}`; expected an absolute path"),
        ));
    }
    // What is in it is looked at when it is opened.
    check_way(&folder.join(RUNS), Owners::RootAndUser).map_err(|why| {
        let hint = if why.contains(UNMAPPED) {
            "run it outside of this user namespace, or in one that maps root"
        } else {
            "choose a directory that belongs to this user, below directories that only this user or root can write"
        };
        Failure::new(Class::State, format!("{STATE}: `{shown}` {why}")).hint(hint)
    })?;
    Ok(Locations { runs: vec![folder.join(RUNS)], state: vec![folder] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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
    fn root_reads_no_folder_that_sudo_may_have_kept_of_someone() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let variables = ["HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"].map(|name| (name, "/home/x"));
        let Locations { state, runs } = Environment::from_pairs(variables).locations().unwrap();
        assert_eq!(state, [PathBuf::from("/var/lib/luet-cosign")]);
        let expected = ["/run/luet-cosign", "/var/lib/luet-cosign/runs", "/tmp/luet-cosign-0"];
        assert_eq!(runs, expected.map(PathBuf::from));
    }

    #[test]
    fn a_shared_folder_is_the_last_place_and_only_where_nobody_can_replace_it() {
        let top = tempfile::tempdir().unwrap();
        let last = || {
            let variables = [("TMPDIR", top.path().to_str().unwrap())];
            Environment::from_pairs(variables).locations().unwrap().runs.pop().unwrap()
        };
        assert!(last().starts_with(top.path()));
        std::fs::set_permissions(top.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(last().parent(), Some(std::path::Path::new("/tmp")));
    }

    #[test]
    fn the_folder_that_was_named_is_the_only_place_and_nobody_else_can_choose_it() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("a/state");
        let locations = |path: &std::path::Path| {
            Environment::from_pairs([("LUET_COSIGN_STATE", path.to_str().unwrap())]).locations()
        };
        let found = locations(&folder).unwrap();
        assert_eq!(found.state, std::slice::from_ref(&folder));
        assert_eq!(found.runs, [folder.join("runs")]);
        let class =
            |path: &std::path::Path| locations(path).map_err(|failure| failure.class()).err();
        assert_eq!(class(std::path::Path::new("relative")), Some(Class::Usage));
        std::fs::create_dir(top.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", top.path().join("link")).unwrap();
        let linked = top.path().join("link/state");
        assert_eq!((class(&folder), class(&linked)), (None, None));
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(top.path().join("a"), open).unwrap();
        assert_eq!((class(&folder), class(&linked)), (Some(Class::State), Some(Class::State)));
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
