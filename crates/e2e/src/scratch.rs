//! Directories for what trials make, in memory where a machine has that: registries wait for the disk
//! at each write.
//!
//! A directory vanishes with its value. What a process left that was killed, the next one removes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use tempfile::TempDir;

const PREFIX: &str = "luet-cosign-e2e.";

/// Makes a directory that other users may enter, on the disk. Its path is short, for sockets.
pub fn folder() -> TempDir {
    folder_in(&std::env::temp_dir())
}

/// Makes a directory in memory, or on the disk where that cannot be had.
pub fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { folder_in(memory) } else { folder() }
}

fn folder_in(parent: &Path) -> TempDir {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        [std::env::temp_dir(), PathBuf::from("/dev/shm")].iter().for_each(|it| clear(it))
    });
    let folder = tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}.", std::process::id()))
        .tempdir_in(parent)
        .expect("a temporary directory");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
        .expect("a mode");
    folder
}

/// Removes what processes left that are gone.
fn clear(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let gone = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('.').next()?.parse::<u32>().ok())
            .is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists());
        if gone {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
