//! luet's configuration, as far as it matters to us: repositories and how to log in to them,
//! plugins, caches. The events tell none of it.
//!
//! Source: luet `cmd/util/config.go`, `pkg/api/core/types/config.go`. What luet skips is skipped: a
//! repository that cannot be read is one that luet does not use.

use super::CommandLine;
use crate::class::Class;
use crate::config::{Environment, Trusted, read_file};
use crate::limits;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where repositories are described when the configuration names no other directory.
const REPOSITORIES: &str = "/etc/luet/repos.conf.d";
/// The configuration of the system.
const SYSTEM: &str = "/etc/luet/luet.yaml";
/// luet's database, when the configuration names no other.
const DATABASE: &str = "/var/cache/luet";
/// How many repositories with several addresses are taken for mirrored, and how many of their
/// addresses.
const MAX_MIRRORED: usize = 100;
const MAX_URLS: usize = 20;
/// How many files of one directory are read.
const MAX_FILES: usize = 1_000;

/// luet's configuration, read as luet reads it.
#[derive(Debug)]
pub struct Configuration {
    /// The file that was read; none where there is none.
    pub file: Option<PathBuf>,
    /// Plugins that it loads.
    pub plugins: Vec<String>,
    /// The directory of luet's database, which holds its caches.
    pub database: PathBuf,
    /// The repositories, of every type.
    pub repositories: Vec<ConfiguredRepository>,
    /// Keys and files of it that could not be read, each with why.
    pub unread: Vec<String>,
}

/// One repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredRepository {
    /// The repository's name in luet.
    pub name: String,
    /// Its addresses: `registry/path`, where it is of the type `docker`.
    pub urls: Vec<String>,
    /// Its type: `docker`, `http` or `disk`.
    pub kind: String,
    /// Whether it is in use.
    pub enabled: bool,
    /// Whether its metadata is kept for 24 hours.
    pub cached: bool,
    /// Whether `verify` is on, which luet ignores since its #387.
    pub verify: bool,
    /// What is under `auth`, where anything does.
    pub auth: Option<Auth>,
    /// Whether nobody but this user and root can write the file that describes it. Such a file may
    /// say which repositories serve the same.
    pub private: bool,
}

/// The `auth` of a repository: docker's `AuthConfig`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// base64 of `user:password`.
    pub auth: String,
    /// A token that is traded for another.
    pub identitytoken: String,
    /// A token that is sent as it is.
    pub registrytoken: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The configuration, key by key: one that is read otherwise than luet reads it must not lose the
/// others.
#[derive(Default)]
struct ConfigurationWire {
    repos_confdir: Option<Vec<PathBuf>>,
    repositories: Vec<RepositoryWire>,
    config_from_host: Option<bool>,
    system: SystemWire,
    plugin: Plugins,
}

impl ConfigurationWire {
    /// Takes the keys; adds to `unread` what is there and could not be read.
    fn read(mut keys: BTreeMap<String, Value>, unread: &mut Vec<String>) -> Self {
        Self {
            repos_confdir: take(&mut keys, "repos_confdir", unread),
            repositories: take::<Vec<Value>>(&mut keys, "repositories", unread)
                .into_iter()
                .filter_map(|one| match serde_json::from_value(one) {
                    Ok(repository) => Some(repository),
                    Err(error) => {
                        unread.push(format!("an entry of `repositories`: {error}"));
                        None
                    }
                })
                .collect(),
            config_from_host: take(&mut keys, "config_from_host", unread),
            system: take(&mut keys, "system", unread),
            plugin: take(&mut keys, "plugin", unread),
        }
    }
}

/// Takes one key; its default where it is not there, is null, or cannot be read.
fn take<T: Default + serde::de::DeserializeOwned>(
    keys: &mut BTreeMap<String, Value>,
    key: &str,
    unread: &mut Vec<String>,
) -> T {
    match keys.remove(key) {
        None | Some(Value::Null) => T::default(),
        Some(value) => serde_json::from_value(value).unwrap_or_else(|error| {
            unread.push(format!("`{key}`: {error}"));
            T::default()
        }),
    }
}

/// `plugin:` as luet takes it: a list, or one text with commas between the names.
#[derive(Default)]
struct Plugins(Vec<String>);

impl<'de> Deserialize<'de> for Plugins {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Self(text.split(',').map(ToOwned::to_owned).collect())),
            other => serde_json::from_value(other).map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SystemWire {
    rootfs: PathBuf,
    database_path: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RepositoryWire {
    name: String,
    urls: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    enable: bool,
    cached: bool,
    verify: bool,
    auth: Option<Auth>,
}

impl Configuration {
    /// Reads the configuration that a luet with this command line, in this directory, reads.
    #[must_use]
    pub fn read(line: &CommandLine, environment: &Environment) -> Self {
        let file = file(line, environment);
        let mut unread = Vec::new();
        let (keys, private) = match file.as_deref().map(|path| (path, read(path))) {
            None => (BTreeMap::new(), false),
            Some((_, Some(read))) => read,
            Some((path, None)) => {
                unread.push(format!("`{}` is not YAML that can be read", path.display()));
                (BTreeMap::new(), false)
            }
        };
        let wire = ConfigurationWire::read(keys, &mut unread);
        let root = match line.flag("system-target") {
            Some(root) => PathBuf::from(root),
            None if wire.system.rootfs.as_os_str().is_empty() => PathBuf::from("/"),
            None => wire.system.rootfs,
        };
        let own_root =
            if wire.config_from_host == Some(false) { root.as_path() } else { Path::new("/") };
        let database = line.flag("system-dbpath").map_or(wire.system.database_path, PathBuf::from);
        let database =
            if database.as_os_str().is_empty() { PathBuf::from(DATABASE) } else { database };
        let mut repositories: Vec<(RepositoryWire, bool)> =
            wire.repositories.into_iter().map(|wire| (wire, private)).collect();
        for folder in wire.repos_confdir.unwrap_or_else(|| vec![PathBuf::from(REPOSITORIES)]) {
            repositories.extend(descriptions(&below(own_root, &folder)));
        }
        Self {
            file,
            plugins: wire.plugin.0,
            database: below(&root, &database),
            repositories: repositories
                .into_iter()
                .filter(|(wire, _)| !wire.urls.is_empty())
                .map(ConfiguredRepository::from)
                .collect(),
            unread,
        }
    }

    /// Returns the repositories that serve the same, as luet takes them: the addresses of each
    /// repository of the type `docker` that is in use and has several. Only files count that nobody
    /// else can write: they say for which names a signature is good.
    #[must_use]
    pub fn mirrors(&self) -> Vec<Vec<crate::name::Repository>> {
        let serves = |repository: &&ConfiguredRepository| {
            repository.kind == "docker" && repository.enabled && repository.private
        };
        let names = |repository: &ConfiguredRepository| {
            let mut names: Vec<crate::name::Repository> = Vec::new();
            for name in repository.urls.iter().take(MAX_URLS).filter_map(|url| url.parse().ok()) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names
        };
        let all = self.repositories.iter().filter(serves).map(names);
        all.filter(|names| names.len() > 1).take(MAX_MIRRORED).collect()
    }

    /// Returns whether the file that was read hides the system's.
    #[must_use]
    pub fn hides_system(&self) -> bool {
        self.file.as_deref().is_some_and(|file| file != Path::new(SYSTEM))
            && Path::new(SYSTEM).is_file()
    }
}

impl From<(RepositoryWire, bool)> for ConfiguredRepository {
    fn from((wire, private): (RepositoryWire, bool)) -> Self {
        Self {
            name: wire.name,
            urls: wire.urls,
            kind: wire.kind,
            enabled: wire.enable,
            cached: wire.cached,
            verify: wire.verify,
            auth: wire.auth.filter(|auth| *auth != Auth::default()),
            private,
        }
    }
}

/// Joins as Go's `filepath.Join` does: an absolute path is below the root all the same.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Returns the configuration file that luet reads: `--config`, else `.luet.yaml` here, at home, or
/// /etc/luet/luet.yaml.
fn file(line: &CommandLine, environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = line.flag("config").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let home = environment.path("HOME").ok().flatten().map(|home| home.join(".luet.yaml"));
    let candidates = [Some(PathBuf::from(".luet.yaml")), home, Some(PathBuf::from(SYSTEM))];
    candidates.into_iter().flatten().find(|path| path.is_file())
}

/// Reads a file as luet does, whatever its owner and mode, and says whether no one else can write it.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<(T, bool)> {
    let read = |trusted| read_file(path, limits::CONFIG_BYTES, trusted, Class::Secret).ok();
    let (bytes, private) = match read(Trusted::NotOthers) {
        Some(bytes) => (bytes, true),
        None => (read(Trusted::Anyone)?, false),
    };
    Some((serde_yaml::from_slice(&bytes).ok()?, private))
}

fn descriptions(folder: &Path) -> Vec<(RepositoryWire, bool)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let yaml = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
    };
    entries
        .take(MAX_FILES)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(yaml)
        .filter_map(|path| read(&path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Configuration {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("luet.yaml");
        std::fs::write(&path, text).unwrap();
        let line = CommandLine::parse_for_tests(&format!("luet\0--config\0{}\0", path.display()));
        Configuration::read(&line, &Environment::default())
    }

    /// luet splits a text at commas where it wants a list.
    #[test]
    fn one_plugin_may_be_named_without_a_list() {
        for (text, expected) in [
            ("plugin: luet-cosign", &["luet-cosign"][..]),
            ("plugin: a,luet-cosign", &["a", "luet-cosign"]),
            ("plugin: [luet-cosign]", &["luet-cosign"]),
            ("plugin:", &[]),
        ] {
            let read = read_text(&format!("repos_confdir: []\n{text}\n"));
            assert_eq!((read.plugins.as_slice(), read.unread.len()), (&*owned(expected), 0));
        }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_key_that_cannot_be_read_loses_none_of_the_others() {
        let read = read_text(
            "repos_confdir: []\nplugin: {a: b}\nsystem: x\nrepositories:\n- {name: [], urls: 1}\n- {name: a, type: docker, enable: true, urls: [quay.io/a/b], auth: {username: u}}\n",
        );
        assert_eq!(read.unread.len(), 3, "{:?}", read.unread);
        assert!(read.repositories.len() == 1 && read.repositories[0].auth.is_some());
        let read = read_text("a: [\n");
        assert_eq!((read.unread.len(), read.repositories.len()), (1, 0), "{:?}", read.unread);
    }

    #[test]
    fn only_addresses_of_one_repository_in_a_file_of_ours_are_mirrors() {
        use std::os::unix::fs::PermissionsExt as _;
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("luet.yaml");
        let text = "repos_confdir: []\nrepositories:
- {name: a, type: docker, enable: true, urls: [quay.io/a/b, 'lan:5000/a/b', quay.io/a/b]}
- {name: one, type: docker, enable: true, urls: [quay.io/a/c, QUAY.io/a/c]}
- {name: off, type: docker, enable: false, urls: [quay.io/a/d, 'lan:5000/a/d']}
- {name: http, type: http, enable: true, urls: [quay.io/a/e, 'lan:5000/a/e']}
- {name: odd, type: docker, enable: true, urls: [quay.io/a/f, 'https://lan/a/f']}
";
        std::fs::write(&path, text).unwrap();
        let line = CommandLine::parse_for_tests(&format!("luet\0--config\0{}\0", path.display()));
        let mirrors = || {
            let sets = Configuration::read(&line, &Environment::default()).mirrors();
            let names = |set: Vec<crate::name::Repository>| {
                set.iter().map(ToString::to_string).collect::<Vec<_>>()
            };
            sets.into_iter().map(names).collect::<Vec<_>>()
        };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(mirrors(), [["quay.io/a/b", "lan:5000/a/b"]]);
        // Anyone who can write the file could say for which names a signature is valid.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(mirrors(), [[""; 0]; 0]);
    }

    #[test]
    fn repositories_are_found_where_luet_finds_them() {
        let top = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(top.path().join(name), text).unwrap();
        std::fs::create_dir(top.path().join("repos")).unwrap();
        write(
            "luet.yaml",
            &format!(
                "system: {{rootfs: /x, unknown: 1}}\nplugin: [luet-cosign]\nrepos_confdir: [{}]\nrepositories:\n- {{name: a, type: docker, urls: [quay.io/a/b], verify: true, auth: {{username: u, password: p}}}}\n- {{name: h, type: http, urls: [https://x], auth: {{token: t}}}}\n",
                top.path().join("repos").display()
            ),
        );
        write(
            "repos/b.yml",
            "name: b\ntype: docker\ncached: true\nurls: ['quay.io/b/c']\nauth: {identitytoken: t}\n",
        );
        write("repos/broken.yaml", "name: [");
        write("repos/d.txt", "name: d\ntype: docker\nurls: ['quay.io/d/c']\nauth: {username: u}\n");
        let line = CommandLine::parse_for_tests(&format!(
            "luet\0--config={}\0",
            top.path().join("luet.yaml").display()
        ));
        let found = Configuration::read(&line, &Environment::default());
        assert_eq!(found.plugins, ["luet-cosign"]);
        assert_eq!(found.database, Path::new("/x/var/cache/luet"));
        let names: Vec<_> =
            found.repositories.iter().map(|repository| repository.name.as_str()).collect();
        assert_eq!(names, ["a", "h", "b"]);
        let [a, h, b] = found.repositories.as_slice() else { panic!("three") };
        assert_eq!(a.auth.as_ref().map(|auth| auth.username.as_str()), Some("u"));
        assert_eq!((h.auth.as_ref(), b.cached, a.verify), (None, true, true));
        assert_eq!(format!("{:?}", a.auth), "Some(***)");
    }
}
