//! What all trials share, each part made when one of them first needs it.

use crate::machine::succeed;
use crate::{Machine, Maker, scratch, tools};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Keys, packages, and the program under test. Vanishes with the value.
pub struct World {
    folder: TempDir,
    plugin: OnceLock<PathBuf>,
    keys: OnceLock<()>,
    packages: OnceLock<()>,
}

/// What an install of a package fetches, beside the package.
pub const METADATA: [&str; 3] = ["repository.yaml", "tree.tar.gz", "repository.meta.yaml.tar"];

impl Default for World {
    fn default() -> Self {
        Self {
            folder: scratch::folder(),
            plugin: OnceLock::new(),
            keys: OnceLock::new(),
            packages: OnceLock::new(),
        }
    }
}

impl World {
    /// A path in the shared directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program under test, copied: it must not change under a run.
    pub fn plugin(&self) -> &Path {
        self.plugin.get_or_init(|| {
            let folder = self.path("plugins");
            std::fs::create_dir(&folder).expect("a directory");
            let path = folder.join("luet-cosign");
            std::fs::copy(tools::under_test(), &path).expect("the program");
            path
        })
    }

    /// A new machine that trusts the key `acme`.
    pub fn machine(&self) -> Machine {
        let mut machine = Machine::new(self.plugin());
        machine.set("COSIGN_PUBLIC_KEY_LOCATION", self.key("acme.pub"));
        machine
    }

    /// A file of a key: `acme.key`, `acme.pub`, made by the program under test.
    pub fn key(&self, file: &str) -> PathBuf {
        let folder = self.path("keys");
        self.keys.get_or_init(|| {
            std::fs::create_dir(&folder).expect("a directory");
            let machine = Machine::new(self.plugin());
            let mut command = machine.command(self.plugin());
            command.args(["generate-key-pair", "--output-key-prefix"]).arg(folder.join("acme"));
            succeed(&mut command);
            // For hosts that are not root.
            let public = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(folder.join("acme.pub"), public).expect("a mode");
        });
        folder.join(file)
    }

    /// What the package `toolchain/beer` consists of.
    pub fn beer(&self) -> PathBuf {
        self.packages();
        self.path("beer")
    }

    /// The packages `toolchain/beer` and `toolchain/yip`, as the host packs them.
    pub fn packages(&self) -> PathBuf {
        let packages = self.path("packages");
        self.packages.get_or_init(|| {
            let beer = self.path("beer");
            let write = |path: PathBuf, bytes: &[u8], mode| {
                std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
                std::fs::write(&path, bytes).expect("a file");
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
                    .expect("a mode");
            };
            write(beer.join("usr/bin/beer"), b"toolchain/beer@1.0, the honest one\n", 0o755);
            write(beer.join("usr/bin/su"), b"toolchain/beer@1.0, the honest one\n", 0o4755);
            symlink("beer", beer.join("usr/bin/ale")).expect("a link");
            write(beer.join("etc/beer.conf"), b"foam: 2cm\n", 0o644);
            write(beer.join("usr/share/filling"), &noise(1, 60_000), 0o644);
            pack(self, "toolchain/beer@1.0", &beer, &packages);
            let yip = self.path("yip");
            write(yip.join("usr/bin/yip"), b"toolchain/yip@1.0\n", 0o644);
            pack(self, "toolchain/yip@1.0", &yip, &packages);
        });
        packages
    }

    /// Publishes a luet repository of these packages, and signs all that an install fetches.
    #[track_caller]
    pub fn publish(&self, packages: &Path, address: &str, tags: &[&str], maker: Maker) {
        let machine = self.machine();
        let mut command = machine.command(tools::program("luet-host"));
        command.args(["create-repo", "--type", "docker", "--push-images", "--backend", "none"]);
        command.arg("--packages").arg(packages).args(["--output", address, "--name", "acme"]);
        succeed(&mut command);
        let images: Vec<String> =
            METADATA.iter().chain(tags).map(|tag| format!("{address}:{tag}")).collect();
        maker.sign(&machine, &self.key("acme.key"), &images);
    }
}

/// Packs a directory as the host does.
pub fn pack(world: &World, package: &str, content: &Path, packages: &Path) {
    let machine = Machine::new(world.plugin());
    let mut command = machine.command(tools::program("luet-host"));
    succeed(command.args(["pack", package]).arg(content).arg("--packages").arg(packages));
}

/// Returns bytes that do not pack, the same for the same seed (xorshift).
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(count)
    .collect()
}
