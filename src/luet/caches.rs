//! luet's caches: what it takes from them fires no event, so nothing of it is looked at.

use super::Configuration;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many entries of a directory are looked at.
const MAX_ENTRIES: usize = 10_000;

/// What luet keeps.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cached {
    /// The directory of package archives.
    pub packages: PathBuf,
    /// How many archives were kept before `since`.
    pub old_packages: usize,
    /// Repositories whose metadata was fetched before `since` and is kept.
    pub old_repositories: Vec<String>,
}

/// Returns what is in the caches from before `since`, in seconds since 1970; `None` takes
/// everything for old.
#[must_use]
pub fn cached(configuration: &Configuration, since: Option<i64>) -> Cached {
    let packages = configuration.database.join("packages");
    let old = |path: &Path| {
        since.is_none_or(|since| modified(path).is_none_or(|modified| modified < since))
    };
    let count = |folder: &Path| -> usize {
        // Two levels: luet spreads its archives over directories.
        let files = entries(folder)
            .into_iter()
            .flat_map(|path| if path.is_dir() { entries(&path) } else { vec![path] });
        // Beside archives there is luet's README. One archive can be there under two names.
        let archive = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.contains(".package.tar") && !name.ends_with(".metadata.yaml")
        };
        let archives = files.filter(|path| archive(path) && path.is_file() && old(path));
        archives
            .filter_map(|path| Some(path.file_name()?.to_owned()))
            .collect::<BTreeSet<_>>()
            .len()
    };
    let repositories = configuration.repositories.iter().filter(|repository| repository.cached);
    let kept = |name: &str| configuration.database.join("repos").join(name).join("SYNCTIME");
    Cached {
        old_packages: count(&packages),
        old_repositories: repositories
            .map(|repository| repository.name.clone())
            .filter(|name| !name.contains('/') && kept(name).is_file() && old(&kept(name)))
            .collect(),
        packages,
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .map(|entries| {
            entries.take(MAX_ENTRIES).filter_map(|entry| Some(entry.ok()?.path())).collect()
        })
        .unwrap_or_default()
}

fn modified(path: &Path) -> Option<i64> {
    let modified = path.metadata().ok()?.modified().ok()?;
    i64::try_from(modified.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::luet::CommandLine;

    #[test]
    fn what_is_no_archive_is_not_counted_and_an_archive_is_counted_once() {
        let top = tempfile::tempdir().unwrap();
        let packages = top.path().join("packages");
        let archive = "yip-toolchain-1.0.package.tar.zst";
        for (folder, name) in [
            ("", "README.md"),
            ("", archive),
            ("ab", archive),
            ("ab", "yip-toolchain-1.0.metadata.yaml"),
            ("cd", "other-toolchain-1.0.package.tar.gz"),
        ] {
            std::fs::create_dir_all(packages.join(folder)).unwrap();
            std::fs::write(packages.join(folder).join(name), "x").unwrap();
        }
        let line = CommandLine::parse_for_tests("luet\0");
        let configuration = Configuration {
            database: top.path().to_owned(),
            ..Configuration::read(&line, &Environment::default())
        };
        assert_eq!(cached(&configuration, None).old_packages, 2);
    }
}
