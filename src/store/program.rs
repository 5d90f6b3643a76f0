//! Finds the programs that are executed here.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Returns the first program of this name in the directories of `path`, a PATH. Looks in absolute
/// directories only: a program from the current directory, which may be a stranger's checkout, is
/// never executed.
#[must_use]
pub fn find_program(path: &OsStr, name: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| path.metadata().is_ok_and(|it| it.is_file() && it.mode() & 0o111 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_program_is_executable_and_not_from_the_current_directory() {
        let top = tempfile::tempdir().unwrap();
        let [first, second] = ["a", "b"].map(|name| {
            let folder = top.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("x"), "").unwrap();
            folder
        });
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(second.join("x"), executable).unwrap();
        let both = std::env::join_paths([&first, &second]).unwrap();
        assert_eq!(find_program(&both, "x".as_ref()), Some(second.join("x")));
        assert_eq!(find_program(&both, "y".as_ref()), None);
        let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
        let relative = format!("{up}{}", second.strip_prefix("/").unwrap().display());
        assert!(std::path::Path::new(&relative).join("x").is_file());
        assert_eq!(find_program(relative.as_ref(), "x".as_ref()), None);
    }
}
