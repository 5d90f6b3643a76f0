//! The run of the host: which luet is it that called us?
//!
//! One run of luet calls the plugin many times; what one call leaves for another counts only within
//! that run. A process number comes back, and containers that share a directory have the same ones, so
//! the run is the parent's number, the moment it started, the boot that it started in, and the
//! namespace that the number is of (pid_namespaces(7)).

use crate::class::{Class, Failure};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::OnceLock;

/// One run of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    name: String,
    process: u32,
}

impl Run {
    /// Returns the run that this process belongs to: that of its parent.
    ///
    /// # Errors
    /// `state`: there is no parent in this process namespace, or no `/proc`.
    pub fn current() -> Result<Self, Failure> {
        // It does not change while this process lives, also where the parent ends first.
        static CURRENT: OnceLock<Run> = OnceLock::new();
        if let Some(run) = CURRENT.get() {
            return Ok(run.clone());
        }
        let parent = rustix::process::getppid().ok_or_else(|| {
            Failure::new(
                Class::State,
                "the host that called is not visible from here (another process namespace)",
            )
        })?;
        let run = Self::of(parent.as_raw_nonzero().get().unsigned_abs())?;
        Ok(CURRENT.get_or_init(|| run).clone())
    }

    /// Returns the run that a process is, which may have ended but must not have been waited for.
    ///
    /// # Errors
    /// `state`: there is no such process, or no `/proc`.
    pub fn of(process: u32) -> Result<Self, Failure> {
        let read = |path: &str| {
            std::fs::read_to_string(path).map_err(|error| {
                Failure::new(Class::State, format!("`{path}` could not be read: {error}"))
                    .hint("mount /proc, so that runs of the host can be told apart")
            })
        };
        let stat = read(&format!("/proc/{process}/stat"))?;
        let started = started(&stat).ok_or_else(|| {
            Failure::new(Class::State, format!("`/proc/{process}/stat` has an unexpected form"))
        })?;
        let boot: String = read("/proc/sys/kernel/random/boot_id")?
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        Ok(Self { name: format!("run-{process}-{started}-{boot}-{}", namespace()?), process })
    }

    /// Returns a name for the run, fit for a directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of the host's process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Returns whether the run that is called `name` is over: its process is gone, or is another.
    /// Nothing is known of the runs of another namespace, so those are not over before the next
    /// boot.
    #[must_use]
    pub fn is_over(&self, name: &str) -> bool {
        let fields: Vec<&str> = name.split('-').collect();
        let ours: Vec<&str> = self.name.split('-').collect();
        let (Some([boot, namespace]), ["run", process, since, ..]) =
            (fields.get(3..), fields.as_slice())
        else {
            return true;
        };
        let Ok(process) = process.parse::<u32>() else { return true };
        let gone = || match std::fs::read_to_string(format!("/proc/{process}/stat")) {
            Ok(stat) => started(&stat).is_some_and(|found| found.to_string() != **since),
            Err(_) => !Path::new(&format!("/proc/{process}")).exists(),
        };
        ours.get(3) != Some(boot) || (ours.get(4) == Some(namespace) && gone())
    }
}

/// Returns the number of the namespace that process numbers are of.
fn namespace() -> Result<u64, Failure> {
    let found = std::fs::metadata("/proc/self/ns/pid");
    found.map(|found| found.ino()).map_err(|error| {
        Failure::new(Class::State, format!("`/proc/self/ns/pid` could not be read: {error}"))
    })
}

/// Returns the start time in `/proc/PID/stat`: field 22, in clock ticks since boot (proc(5)).
///
/// Field 2 is the program's name in parentheses and may hold anything, also parentheses: fields
/// count from the last one.
fn started(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_cannot_pass_for_another_by_its_name() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(started(&format!("77 (luet) {tail}")), Some(4242));
        assert_eq!(started(&format!("77 (a) S 1 2 (b) {tail}")), Some(4242));
        assert_eq!(started("77 luet"), None);
    }

    #[test]
    fn a_run_is_over_when_its_process_is_gone_or_another() {
        let run = Run::current().unwrap();
        assert!(!run.is_over(run.name()));
        let (_, rest) =
            run.name().strip_prefix("run-").and_then(|rest| rest.split_once('-')).unwrap();
        let (_, place) = rest.split_once('-').unwrap();
        assert!(run.is_over(&format!("run-{}-1-{place}", run.process())));
        assert!(run.is_over(&format!("run-4194305-1-{place}")), "more than Linux counts to");
        assert!(!run.is_over(&format!("run-{}-1-{place}0", run.process())), "another namespace's");
        assert!(run.is_over(&format!("run-{}-1-x{place}", run.process())), "of another boot");
        for name in ["nonsense", "run-", "run-1-0-x", "run-x-1-a-b"] {
            assert!(run.is_over(name), "{name}");
        }
    }
}
