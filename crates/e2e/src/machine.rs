//! A machine that never saw any of these images: an empty root, and state of its own.

use crate::{Host, scratch, tools};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex_lite::Regex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The directories and the environment of one trial. All vanishes with the value.
pub struct Machine {
    folder: TempDir,
    environment: BTreeMap<OsString, OsString>,
    plugin: PathBuf,
    /// Where the host unpacks.
    temporary: PathBuf,
    /// How many packages it downloads at the same time.
    pub concurrency: usize,
    /// The name and the password in the configuration of each repository.
    pub login: Option<(String, String)>,
}

/// The password of all keys.
pub const PASSWORD: &str = "pw";

impl Machine {
    /// A machine on which `plugin` is the luet-cosign on `PATH`. It is in a directory of that name
    /// with nothing else.
    pub fn new(plugin: &Path) -> Self {
        let folder = scratch::folder();
        for name in ["root", "bin"] {
            std::fs::create_dir(folder.path().join(name)).expect("a directory");
        }
        let mut machine = Self {
            environment: BTreeMap::new(),
            plugin: plugin.to_owned(),
            temporary: folder.path().join("tmp/tmpluet"),
            concurrency: 2,
            login: None,
            folder,
        };
        for (name, path) in testkit::folders(machine.folder.path()) {
            machine.set(name, path);
        }
        machine.set("COSIGN_PASSWORD", PASSWORD);
        let plugins = plugin.parent().expect("a directory").display();
        // What a trial puts into `bin` comes first.
        let path = format!("{}:{plugins}:{}", machine.path("bin").display(), tools::path());
        machine.set("PATH", path);
        machine
    }

    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.environment.insert(name.into(), value.as_ref().to_owned());
    }

    pub fn unset(&mut self, name: &str) {
        self.environment.remove(OsStr::new(name));
    }

    /// Logs in at a registry as `USER:PASSWORD`, for everything that reads docker's configuration.
    pub fn log_in(&self, address: &str, login: &str) {
        let folder = self.path("home/.docker");
        std::fs::create_dir_all(&folder).expect("a directory");
        let path = folder.join("config.json");
        let mut config: Value = std::fs::read(&path)
            .map_or_else(|_| json!({}), |bytes| serde_json::from_slice(&bytes).expect("JSON"));
        config["auths"][address] = json!({"auth": STANDARD.encode(login)});
        std::fs::write(&path, config.to_string()).expect("a file");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("a mode");
    }

    /// Everything of the program and of the host is below another directory from now on, and belongs
    /// to a user that is not root.
    pub fn give_away(&mut self, user: u32) {
        let top = self.path("user");
        std::fs::create_dir(&top).expect("a directory");
        for (name, path) in testkit::folders(&top) {
            self.set(name, &path);
            // The program makes its own directory itself.
            let made = path.ancestors().find(|path| path.exists()).expect("a directory");
            std::os::unix::fs::chown(made, Some(user), Some(user)).expect("root");
        }
        std::os::unix::fs::chown(&top, Some(user), Some(user)).expect("root");
        self.temporary = top.join("tmp/tmpluet");
    }

    /// The host unpacks there from now on.
    pub fn unpack_in(&mut self, folder: &Path) {
        self.temporary = folder.to_owned();
    }

    /// A path in the machine's own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The program under test.
    pub fn plugin(&self) -> &Path {
        &self.plugin
    }

    /// Writes a program that comes first on `PATH`.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        std::fs::write(&path, script).expect("a file");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a mode");
    }

    /// Another program, in the machine's environment and nothing else.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Lets buildah work without a daemon or mounts, with a directory of images of its own; these
    /// registries are asked over http.
    pub fn use_buildah(&mut self, addresses: &[&str]) {
        let folder = self.path("buildah");
        std::fs::create_dir(&folder).expect("a directory");
        let storage = folder.join("storage.conf");
        std::fs::write(
            &storage,
            format!(
                "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/storage\"\nrunroot = \"{0}/run\"\n",
                folder.display()
            ),
        )
        .expect("a file");
        let registries = folder.join("registries.conf");
        let insecure =
            |address: &&str| format!("[[registry]]\nlocation = \"{address}\"\ninsecure = true\n");
        std::fs::write(&registries, addresses.iter().map(insecure).collect::<String>())
            .expect("a file");
        self.set("CONTAINERS_STORAGE_CONF", storage);
        self.set("CONTAINERS_REGISTRIES_CONF", registries);
        self.set("STORAGE_DRIVER", "vfs");
        self.set("BUILDAH_ISOLATION", "chroot");
    }

    /// Writes the host's configuration: one repository, at these addresses in turn, or none.
    pub fn configure(&self, repository: &str, addresses: &[&str]) {
        let one = [(repository, addresses)];
        self.repositories(if addresses.is_empty() { &[] } else { &one });
    }

    /// Writes the host's configuration: repositories by priority, each at its addresses in turn.
    pub fn repositories(&self, repositories: &[(&str, &[&str])]) {
        let described = |(priority, (name, addresses)): (usize, &(&str, &[&str]))| {
            let mut repository = json!({
                "name": name, "type": "docker", "enable": true, "priority": priority + 1,
                "urls": addresses,
            });
            if let Some((user, password)) = &self.login {
                repository["auth"] = json!({"username": user, "password": password});
            }
            repository
        };
        let configuration = json!({
            "logging": {"enable_emoji": false, "color": false},
            "general": {"concurrency": self.concurrency},
            "system": {
                "rootfs": self.root(), "database_path": "/var/cache/luet",
                "tmpdir_base": self.temporary,
            },
            "repositories": repositories.iter().enumerate().map(described).collect::<Vec<_>>(),
        });
        // JSON is YAML.
        std::fs::write(self.path("luet.yaml"), configuration.to_string()).expect("a file");
    }

    /// Runs a host with the configuration that was written.
    pub fn host(&self, host: &Host, words: &[&str]) -> Seen {
        let mut command = self.command(host.program());
        command.args(words).arg("--config").arg(self.path("luet.yaml"));
        Seen::run(&mut command, &words.join(" "))
    }

    /// Installs packages of a repository, with the plugin.
    pub fn install(&self, host: &Host, addresses: &[&str], packages: &[&str]) -> Seen {
        self.configure("acme", addresses);
        let words = ["install", "--plugin", "luet-cosign", "-y"];
        self.host(host, &[&words, packages].concat())
    }

    /// The host pushes to this registry from now on: luet with buildah, the stand-in without an
    /// engine.
    pub fn push_as(&mut self, host: &Host, registry: &str) {
        match host {
            Host::StandIn => self.set("LUET_COSIGN_ENGINE", "registry"),
            Host::Real(_) => self.use_buildah(&[registry]),
        }
    }

    /// Publishes a repository of these packages ([`Self::push_as`]); `words` end the command.
    pub fn create_repo(&self, host: &Host, packages: &Path, address: &str, words: &[&str]) -> Seen {
        self.configure("acme", &[]);
        let tree = self.path("tree");
        std::fs::create_dir_all(&tree).expect("a directory");
        let backend = if matches!(host, Host::StandIn) { "none" } else { "buildah" };
        let [packages, tree] = [packages, &tree].map(|path| path.to_str().expect("UTF-8"));
        let all = ["create-repo", "--type", "docker", "--push-images", "--name", "acme"];
        let rest = ["--from-metadata", "--packages", packages, "--tree", tree, "--output", address];
        self.host(host, &[&all[..], &rest, &["--backend", backend], words].concat())
    }

    /// Unpacks one image into a directory, with the plugin.
    pub fn unpack(&self, host: &Host, image: &str, target: &Path) -> Seen {
        self.configure("acme", &[]);
        let target = target.to_str().expect("UTF-8");
        self.host(host, &["util", "unpack", "--plugin", "luet-cosign", image, target])
    }

    /// Returns the files in the root, without the host's own database.
    pub fn installed(&self) -> Vec<String> {
        let (root, own) = (self.root(), self.root().join("var/cache/luet"));
        let mut found = walk(&root);
        found.retain(|path| !path.starts_with(&own));
        found
            .iter()
            .map(|path| path.strip_prefix(&root).expect("below").display().to_string())
            .collect()
    }

    /// Asserts that nothing is in the root or in the cache of packages.
    #[track_caller]
    pub fn assert_nothing_got_in(&self) {
        assert_eq!(self.installed(), Vec::<String>::new(), "in the root");
        for path in walk(&self.root()) {
            let cached = path.iter().any(|part| part == "packages")
                && path.file_name().is_none_or(|name| name != "README");
            assert!(!cached || !path.is_file(), "in the cache: {}", path.display());
            let evil = std::fs::read(&path)
                .is_ok_and(|bytes| bytes.windows(EVIL.len()).any(|window| window == EVIL));
            assert!(!evil, "evil content got in: {}", path.display());
        }
    }
}

/// What is in files of attacks only.
pub const EVIL: &[u8] = b"EVIL";

/// Returns everything below a directory that is not a directory.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a directory") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Runs a command that has to end well, and returns what it wrote.
#[track_caller]
pub fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// What a host said and how it ended.
#[derive(Debug)]
pub struct Seen {
    pub code: Option<i32>,
    pub output: String,
    title: String,
}

impl Seen {
    /// Runs a command, and keeps what it said under this title.
    pub fn run(command: &mut Command, title: &str) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        Self {
            code: output.status.code(),
            output: String::from_utf8_lossy(&text).into_owned(),
            title: title.to_owned(),
        }
    }

    fn evidence(&self) -> String {
        format!("\n--- {}: exit {:?}\n{}", self.title, self.code, self.output)
    }

    #[track_caller]
    pub fn exited(&self, code: i32) {
        assert_eq!(self.code, Some(code), "the exit code{}", self.evidence());
    }

    #[track_caller]
    pub fn said(&self, pattern: &str) {
        let found = Regex::new(pattern).expect("a pattern").is_match(&self.output);
        assert!(found, "it does not say: {pattern}{}", self.evidence());
    }

    /// Asserts that a host that was content had nothing to say about it.
    #[track_caller]
    pub fn said_nothing(&self) {
        let words = ["state reported", "had an error", "WARN", "ERROR", "warning"];
        let loud = words.iter().find(|word| self.output.contains(**word));
        assert_eq!(loud, None, "it should have been silent{}", self.evidence());
    }

    /// Asserts that the plugin stopped the host: exit 2, and this class leads the error, which says
    /// more.
    #[track_caller]
    pub fn was_refused(&self, class: &str, text: &str) {
        self.exited(2);
        self.said(&format!("had an error: {class}: "));
        self.said(text);
    }
}
