//! `config.toml`: whether containerd asks an image verifier before it pulls, and which ones.
//!
//! containerd has several ways to pull without asking anyone, and says so in a debug line at most.
//! They are named here as they are in its source (2.1 to 2.4: `pkg/imageverifier/bindir`,
//! `internal/cri/config`).

use crate::class::{Class, Failure};
use crate::limits;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// Where verifiers lie, unless the configuration says otherwise.
const BIN_DIR: &str = "/opt/containerd/image-verifier/bin";
const BINDIR: &str = "io.containerd.image-verifier.v1.bindir";
const TRANSFER: &str = "io.containerd.transfer.v1.local";
/// The tables of CRI in versions 3 and 2 of the format; the option of an inner table is the latter's.
const CRI: [&[&str]; 3] = [
    &["io.containerd.cri.v1.images"],
    &["io.containerd.grpc.v1.cri"],
    &["io.containerd.grpc.v1.cri", "containerd"],
];

/// What matters of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerdConfig {
    /// Where verifiers lie.
    pub bin_dir: PathBuf,
    /// How many of them are asked; the rest is passed over.
    pub most: Option<usize>,
    /// After how long each is killed.
    pub timeout: Duration,
    /// Where `hosts.toml` files lie, where that is said.
    pub hosts: Option<PathBuf>,
    /// Where containerd asks nobody.
    pub holes: Vec<Hole>,
}

/// A setting that makes containerd pull without asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The setting.
    pub setting: String,
    /// What to write instead.
    pub instead: String,
}

impl ContainerdConfig {
    /// Reads a configuration with what it imports. containerd's defaults are those of a file that is
    /// not there.
    ///
    /// # Errors
    /// `policy`: it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let mut table = read(path)?.unwrap_or_default();
        let imports: Vec<PathBuf> = table
            .get("imports")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .flat_map(|pattern| imported(path, pattern))
            .collect();
        for import in imports {
            if let Some(more) = read(&import)? {
                merge(&mut table, more);
            }
        }
        Ok(Self::of(&table))
    }

    fn of(table: &Table) -> Self {
        let plugin = |path: &[&str]| {
            let plugins = table.get("plugins").and_then(Value::as_table);
            path.iter().try_fold(plugins?, |table, key| table.get(*key)?.as_table())
        };
        let bindir = plugin(&[BINDIR]);
        let text = |key: &str| bindir.and_then(|bindir| bindir.get(key)?.as_str());
        let most = bindir.and_then(|bindir| bindir.get("max_verifiers")?.as_integer());
        let cri: Vec<&Table> = CRI.iter().filter_map(|path| plugin(path)).collect();
        let registry = cri.iter().filter_map(|cri| cri.get("registry")?.as_table());
        let hosts = registry
            .clone()
            .chain(plugin(&[TRANSFER]))
            .find_map(|table| table.get("config_path")?.as_str())
            .filter(|path| !path.is_empty());
        let mut holes = disabled(table);
        holes.extend(cri.iter().flat_map(|cri| local_pull(cri)));
        holes.extend(registry.flat_map(old_registry));
        Self {
            bin_dir: text("bin_dir").map_or_else(|| PathBuf::from(BIN_DIR), PathBuf::from),
            most: usize::try_from(most.unwrap_or(10)).ok(),
            timeout: text("per_verifier_timeout")
                .and_then(duration)
                .unwrap_or(Duration::from_secs(10)),
            // Several directories are one path, as in PATH; the first is looked at.
            hosts: hosts.and_then(|path| path.split(':').next()).map(PathBuf::from),
            holes,
        }
    }
}

/// Without the plugin nobody is asked.
fn disabled(table: &Table) -> Vec<Hole> {
    let names = table.get("disabled_plugins").and_then(Value::as_array).into_iter().flatten();
    names
        .filter_map(Value::as_str)
        .filter(|name| [BINDIR, "io.containerd.image-verifier.v1", TRANSFER].contains(name))
        .map(|name| Hole {
            setting: format!("disabled_plugins has `{name}`"),
            instead: "take it out".to_owned(),
        })
        .collect()
}

/// CRI then pulls as it did before 2.1: by itself, without the transfer service that asks.
fn local_pull(cri: &Table) -> Vec<Hole> {
    let boolean = |key: &str| cri.get(key).and_then(Value::as_bool);
    let mut holes = Vec::new();
    for (key, harmless) in [
        ("use_local_image_pull", false),
        ("discard_unpacked_layers", false),
        ("image_pull_with_sync_fs", false),
        ("disable_snapshot_annotations", true),
    ] {
        if boolean(key) == Some(!harmless) {
            holes.push(Hole {
                setting: format!("{key} = {}", !harmless),
                instead: format!("{key} = {harmless}"),
            });
        }
    }
    if let Some(number) = cri.get("max_concurrent_downloads").and_then(Value::as_integer)
        && number != 3
    {
        holes.push(Hole {
            setting: format!("max_concurrent_downloads = {number} of CRI"),
            instead: format!(
                "take it out, and set `max_concurrent_downloads` of [plugins.\"{TRANSFER}\"]"
            ),
        });
    }
    holes
}

fn old_registry(registry: &Table) -> Vec<Hole> {
    let is_set = |key: &&str| match registry.get(*key) {
        Some(Value::Table(table)) => !table.is_empty(),
        found => found.is_some(),
    };
    let keys = ["mirrors", "configs", "auths"];
    keys.iter()
        .filter(|key| is_set(key))
        .map(|key| Hole {
            setting: format!("registry.{key} of CRI"),
            instead: "write hosts.toml files, and name their directory by `config_path`".to_owned(),
        })
        .collect()
}

/// Reads a duration as Go writes it, as far as whole numbers of one or several units go.
fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let number: u64 = number.parse().ok()?;
        total += match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        rest = tail;
    }
    Some(total)
}

fn read(path: &Path) -> Result<Option<Table>, Failure> {
    let bad = |why: &dyn std::fmt::Display| {
        Failure::new(Class::Policy, format!("`{}` could not be read: {why}", path.display()))
    };
    let size = match path.metadata() {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(&error)),
    };
    if size > limits::CONFIG_BYTES {
        return Err(bad(&"it is too large"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    toml::from_str(&text).map(Some).map_err(|error: toml::de::Error| bad(&error.message()))
}

/// Returns the files that an import names: a path, or `FOLDER/*.toml`.
fn imported(from: &Path, pattern: &str) -> Vec<PathBuf> {
    let path = from.parent().unwrap_or(Path::new("/")).join(pattern);
    let (Some(folder), Some(name)) =
        (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let Some((before, after)) = name.split_once('*') else { return vec![path.clone()] };
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(limits::MIRROR_FOLDERS);
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(before) && name.ends_with(after))
        .map(|name| folder.join(name))
        .collect();
    files.sort();
    files
}

/// What is imported comes on top.
fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> ContainerdConfig {
        ContainerdConfig::of(&toml::from_str(text).unwrap())
    }

    #[test]
    fn nothing_said_is_what_containerd_does_by_itself() {
        let config = of("");
        assert_eq!(config.bin_dir, PathBuf::from(BIN_DIR));
        assert_eq!((config.most, config.timeout), (Some(10), Duration::from_secs(10)));
        assert_eq!((config.hosts, config.holes), (None, Vec::new()));
    }

    #[test]
    fn each_setting_that_makes_containerd_pull_unasked_is_a_hole() {
        let images = "[plugins.'io.containerd.cri.v1.images']\n";
        let old = "[plugins.'io.containerd.grpc.v1.cri'.containerd]\n";
        for (text, setting) in [
            (format!("{images}use_local_image_pull = true"), "use_local_image_pull = true"),
            (format!("{images}discard_unpacked_layers = true"), "discard_unpacked_layers = true"),
            (format!("{old}discard_unpacked_layers = true"), "discard_unpacked_layers = true"),
            (
                format!("{images}disable_snapshot_annotations = false"),
                "disable_snapshot_annotations = false",
            ),
            (
                format!("{images}max_concurrent_downloads = 10"),
                "max_concurrent_downloads = 10 of CRI",
            ),
            (format!("{images}image_pull_with_sync_fs = true"), "image_pull_with_sync_fs = true"),
            (
                "[plugins.'io.containerd.cri.v1.images'.registry.mirrors.'docker.io']\nendpoint = ['x']"
                    .to_owned(),
                "registry.mirrors of CRI",
            ),
            (
                "[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'a'.auth]\nusername = 'x'"
                    .to_owned(),
                "registry.configs of CRI",
            ),
            (
                "disabled_plugins = ['io.containerd.transfer.v1.local']".to_owned(),
                "disabled_plugins has `io.containerd.transfer.v1.local`",
            ),
        ] {
            let found: Vec<String> =
                of(&text).holes.into_iter().map(|hole| hole.setting).collect();
            assert_eq!(found, [setting], "{text}");
        }
        let fine = format!(
            "{images}max_concurrent_downloads = 3\ndisable_snapshot_annotations = true\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'"
        );
        assert_eq!(of(&fine).holes, []);
        assert_eq!(of(&fine).hosts, Some(PathBuf::from("/etc/containerd/certs.d")));
    }

    #[test]
    fn what_is_imported_comes_on_top() {
        let top = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(top.path().join(name), text).unwrap();
        let table = "[plugins.'io.containerd.image-verifier.v1.bindir']\n";
        write("config.toml", &format!("imports = ['conf/*.toml']\n{table}bin_dir = '/a'"));
        std::fs::create_dir(top.path().join("conf")).unwrap();
        write("conf/1.toml", &format!("{table}bin_dir = '/b'\nper_verifier_timeout = '1m5s'"));
        write("conf/2.txt", "not toml");
        let config = ContainerdConfig::read(&top.path().join("config.toml")).unwrap();
        assert_eq!(config.bin_dir, PathBuf::from("/b"));
        assert_eq!(config.timeout, Duration::from_secs(65));
        let nothing = ContainerdConfig::read(&top.path().join("nothing.toml")).unwrap();
        assert_eq!(nothing, ContainerdConfig::of(&Table::new()));
    }
}
