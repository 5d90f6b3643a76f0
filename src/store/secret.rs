//! A secret of one run of the host: kept in memory alone, for no longer than it is worth something.
//!
//! It is in the run's directory, in a file that only this user can read, and nowhere but on a file
//! system without a disk. Where there is none nothing is kept. What is there and is not as it was
//! left (another mode, a link, another owner) is not used. Never decides what the secret is.

use super::folder::{Folder, Lock};
use super::handoff::Handoffs;
use super::{Locations, Run};
use crate::class::{Class, Failure};
use crate::limits;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// tmpfs and ramfs (Linux `magic.h`).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
/// What the file begins with: when it was written and for how long it counts, in milliseconds.
const HEAD: usize = 16;

/// A place for one secret of the run.
#[derive(Debug)]
pub struct RunSecret {
    folder: Folder,
    name: String,
}

impl RunSecret {
    /// Finds the place for a secret of this name; `None` where no directory of the run is in memory.
    ///
    /// # Errors
    /// `state`: there is no directory for the run.
    pub fn open(locations: &Locations, name: &str) -> Result<Option<Self>, Failure> {
        for place in &locations.runs {
            let one = Locations { state: Vec::new(), runs: vec![place.clone()] };
            // The first that can be used is the run's; one in memory is as good for a secret.
            let Ok(handoffs) = Handoffs::of(&one, Run::current()?) else { continue };
            if is_in_memory(handoffs.folder().path())? {
                return Ok(Some(Self { folder: handoffs.folder().clone(), name: name.to_owned() }));
            }
        }
        Ok(None)
    }

    /// Takes the lock on the secret: only one process makes a new one.
    ///
    /// # Errors
    /// `state`: someone else makes one and does not get done.
    pub fn lock(&self, patience: Duration) -> Result<Lock, Failure> {
        self.folder.lock(&self.name, patience)
    }

    /// Returns the secret and for how long it counts, if that is `least` at least. What counts no
    /// longer, and what is not as we left it, is removed.
    #[must_use]
    pub fn read(&self, least: Duration) -> Option<(Zeroizing<Vec<u8>>, Duration)> {
        let found = self.folder.read_private(&self.name, limits::STORE_BYTES);
        let bytes = match found {
            Ok(None) => return None,
            Ok(Some(bytes)) => Some(Zeroizing::new(bytes)),
            Err(_) => None,
        };
        let held = bytes.and_then(|bytes| {
            let (head, secret) = bytes.split_at_checked(HEAD)?;
            let (since, lasts) = head.split_at_checked(HEAD / 2)?;
            let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
            let passed = uptime().ok()?.checked_sub(Duration::from_millis(number(since)?))?;
            let left = Duration::from_millis(number(lasts)?).checked_sub(passed)?;
            (left >= least).then(|| (Zeroizing::new(secret.to_vec()), left))
        });
        if held.is_none() {
            let _ = self.folder.remove(&self.name);
        }
        held
    }

    /// Keeps a secret that counts for so long from now on.
    ///
    /// # Errors
    /// `state`: it could not be written.
    pub fn write(&self, secret: &[u8], lasts: Duration) -> Result<(), Failure> {
        let number = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + secret.len()));
        bytes.extend_from_slice(&number(uptime()?).to_be_bytes());
        bytes.extend_from_slice(&number(lasts).to_be_bytes());
        bytes.extend_from_slice(secret);
        self.folder.replace(&self.name, &bytes)
    }

    /// Removes it.
    ///
    /// # Errors
    /// `state`: it is still there.
    pub fn remove(&self) -> Result<(), Failure> {
        self.folder.remove(&self.name)
    }
}

fn is_in_memory(path: &Path) -> Result<bool, Failure> {
    let found = rustix::fs::statfs(path).map_err(|error| {
        Failure::new(
            Class::State,
            format!("`{}`: its file system is not known: {error}", path.display()),
        )
    })?;
    Ok(IN_MEMORY.contains(&found.f_type))
}

/// Returns for how long this machine runs, sleep included: a clock that nobody sets.
fn uptime() -> Result<Duration, Failure> {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| Failure::new(Class::State, "`/proc/uptime` could not be read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::PathBuf;
    use tempfile::TempDir;

    const LONG: Duration = Duration::from_secs(600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn memory() -> TempDir {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    fn at(top: &Path) -> Locations {
        Locations { state: Vec::new(), runs: vec![top.join("runs")] }
    }

    fn place(top: &TempDir) -> RunSecret {
        RunSecret::open(&at(top.path()), "certificate").unwrap().expect("/dev/shm is in memory")
    }

    fn path(secret: &RunSecret) -> PathBuf {
        secret.folder.path().join(&secret.name)
    }

    fn text(found: Option<(Zeroizing<Vec<u8>>, Duration)>) -> Option<String> {
        found.map(|(bytes, _)| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn it_is_there_for_the_run_in_a_file_of_this_user_alone() {
        let top = memory();
        let secret = place(&top);
        assert_eq!(text(secret.read(MINUTE)), None);
        secret.write(b"key", LONG).unwrap();
        let found = path(&secret).metadata().unwrap();
        assert_eq!(found.mode() & 0o7777, 0o600);
        let (bytes, left) = place(&top).read(MINUTE).unwrap();
        assert_eq!(bytes.as_slice(), b"key");
        assert!(left <= LONG && left > LONG - MINUTE);
        secret.remove().unwrap();
        assert_eq!(text(secret.read(MINUTE)), None);
    }

    #[test]
    fn what_counts_for_less_than_a_minute_is_removed() {
        let top = memory();
        let secret = place(&top);
        secret.write(b"key", MINUTE / 2).unwrap();
        assert_eq!(text(secret.read(MINUTE)), None);
        assert!(!path(&secret).exists());
        secret.write(b"key", LONG).unwrap();
        // As if the machine had run for an hour since, or had been started again.
        for since in [0_u64, u64::MAX] {
            let mut bytes = std::fs::read(path(&secret)).unwrap();
            bytes[..8].copy_from_slice(&since.to_be_bytes());
            bytes[8..16].copy_from_slice(&1000_u64.to_be_bytes());
            secret.folder.replace(&secret.name, &bytes).unwrap();
            assert_eq!(text(secret.read(Duration::ZERO)), None, "{since}");
            assert!(!path(&secret).exists());
            secret.write(b"key", LONG).unwrap();
        }
    }

    #[test]
    fn no_file_that_was_changed_is_used() {
        let top = memory();
        let secret = place(&top);
        let other = top.path().join("other");
        for change in ["mode", "link", "hard link", "short", "folder"] {
            secret.write(b"key", LONG).unwrap();
            let path = path(&secret);
            match change {
                "mode" => {
                    let mode = std::fs::Permissions::from_mode(0o640);
                    std::fs::set_permissions(&path, mode).unwrap();
                }
                "link" => {
                    std::fs::rename(&path, &other).unwrap();
                    symlink(&other, &path).unwrap();
                }
                "hard link" => std::fs::hard_link(&path, top.path().join("second")).unwrap(),
                "short" => std::fs::write(&path, b"key").unwrap(),
                _ => {
                    std::fs::remove_file(&path).unwrap();
                    std::fs::create_dir(&path).unwrap();
                }
            }
            assert_eq!(text(secret.read(MINUTE)), None, "{change}");
            if change == "folder" {
                std::fs::remove_dir(&path).unwrap();
            }
            assert!(path.symlink_metadata().is_err(), "{change}");
            let _ = std::fs::remove_file(&other);
        }
    }

    #[test]
    fn a_folder_or_file_of_another_user_is_not_used() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let top = memory();
        let secret = place(&top);
        secret.write(b"key", LONG).unwrap();
        std::os::unix::fs::chown(path(&secret), Some(4242), None).unwrap();
        assert_eq!(text(secret.read(MINUTE)), None);
        std::os::unix::fs::chown(top.path().join("runs"), Some(4242), None).unwrap();
        assert!(RunSecret::open(&at(top.path()), "certificate").unwrap().is_none());
    }

    #[test]
    fn nothing_is_kept_on_a_disk() {
        // Where the disk of the tests is in memory too there is nothing to see.
        let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::fs::set_permissions(disk.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        if is_in_memory(disk.path()).unwrap() {
            return;
        }
        assert!(RunSecret::open(&at(disk.path()), "certificate").unwrap().is_none());
        let top = memory();
        let both = Locations {
            state: Vec::new(),
            runs: vec![disk.path().join("runs"), top.path().join("runs")],
        };
        let secret = RunSecret::open(&both, "certificate").unwrap().unwrap();
        assert!(secret.folder.path().starts_with(top.path()));
    }

    #[test]
    fn one_of_many_makes_it_and_one_that_dies_stops_nobody() {
        let top = memory();
        let made = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let secret = place(&top);
                    let _alone = secret.lock(MINUTE).unwrap();
                    if secret.read(MINUTE).is_none() {
                        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        secret.write(b"key", LONG).unwrap();
                    }
                });
            }
        });
        assert_eq!(made.load(std::sync::atomic::Ordering::SeqCst), 1);
        // What a kill in the middle of writing leaves beside it is not read.
        let secret = place(&top);
        std::fs::write(secret.folder.path().join(".new-x"), b"half").unwrap();
        assert_eq!(text(secret.read(MINUTE)).as_deref(), Some("key"));
    }
}
