//! What is published: packages, keys, and repositories with signatures of each kind.

use super::sign_all;
use e2e::machine::succeed;
use e2e::registry::Image;
use e2e::{Machine, Maker, World, scratch, tools};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const YIP: &str = "yip-toolchain-1.0";
pub const BEER: &str = "beer-toolchain-1.0";
/// What an install of yip puts there.
pub const BOTH: [(&str, &str); 2] =
    [("usr/bin/yip", "toolchain/yip@1.0"), ("usr/bin/beer", "toolchain/beer@1.0")];

/// The packages that a publisher has, and the keys: acme made by us, stranger by cosign 2, vendor
/// by cosign 3.
pub struct Goods {
    folder: TempDir,
}

impl Goods {
    /// `v1` and `v2`: toolchain/yip 1.0 and 1.1, which needs toolchain/beer. `cake`: hobby/cake.
    /// `pretender`: the same, and a package that pretends to be yip.
    pub fn make(world: &World) -> Self {
        let goods = Self { folder: scratch::folder() };
        let machine = Machine::new(world.plugin());
        let beer = ["--requires", "toolchain/beer"];
        goods.pack(&machine, "v1", "toolchain/beer@1.0", &[]);
        goods.pack(&machine, "v1", "toolchain/yip@1.0", &beer);
        goods.pack(&machine, "v2", "toolchain/beer@1.0", &[]);
        goods.pack(&machine, "v2", "toolchain/yip@1.1", &beer);
        goods.pack(&machine, "cake", "hobby/cake@1.0", &[]);
        goods.pack(&machine, "pretender", "hobby/cake@1.0", &[]);
        goods.pack(&machine, "pretender", "toolchain/yip@9.0", &[]);
        let makers = [
            ("acme", world.plugin().to_owned()),
            ("stranger", tools::program("cosign2")),
            ("vendor", tools::program("cosign3")),
        ];
        for (name, maker) in makers {
            let prefix = goods.folder.path().join(name);
            let mut command = machine.command(maker);
            succeed(command.args(["generate-key-pair", "--output-key-prefix"]).arg(prefix));
        }
        goods
    }

    /// Its one file has the package's name as content.
    fn pack(&self, machine: &Machine, folder: &str, package: &str, more: &[&str]) {
        let name = package.split(['/', '@']).nth(1).expect("CATEGORY/NAME@VERSION");
        let content = self.folder.path().join(format!("content/{folder}/{package}"));
        std::fs::create_dir_all(content.join("usr/bin")).expect("a directory");
        std::fs::write(content.join("usr/bin").join(name), package).expect("a file");
        let mut command = machine.command(tools::program("luet-host"));
        command.args(["pack", package]).arg(content).arg("--packages").arg(self.packages(folder));
        succeed(command.args(more));
    }

    /// A directory of packages, by its name.
    pub fn packages(&self, name: &str) -> PathBuf {
        self.folder.path().join("packages").join(name)
    }

    pub fn key(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.key"))
    }

    pub fn public(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.pub"))
    }

    /// Publishes what hosts find at a registry: `unsigned/...`, `ours/acme`, `cosign2/acme`,
    /// `cosign3/acme`, `stranger/...`; and `partly/...`, of which one package is unsigned, signed by
    /// a stranger, or has the signature of another one.
    pub fn publish_all(&self, world: &World, registry: &str) {
        let machine = Machine::new(world.plugin());
        let at = |path: &str| format!("{registry}/{path}");
        let unsigned = [
            ("v1", "unsigned/acme"),
            ("v2", "unsigned/newer"),
            ("cake", "unsigned/hobby"),
            ("pretender", "unsigned/pretender"),
        ];
        for (packages, path) in unsigned {
            let mut command = machine.command(tools::program("luet-host"));
            command.args(["create-repo", "--type", "docker", "--push-images", "--backend", "none"]);
            command.arg("--packages").arg(self.packages(packages));
            succeed(command.args(["--output", &at(path), "--name", "repo"]));
        }
        let both: &[&str] = &[YIP, BEER];
        let signed = [
            (Maker::Ours, "acme", "unsigned/acme", "ours/acme", both),
            (Maker::Cosign2, "acme", "unsigned/acme", "cosign2/acme", both),
            (Maker::Cosign3, "acme", "unsigned/acme", "cosign3/acme", both),
            (Maker::Cosign2, "stranger", "unsigned/acme", "stranger/acme", both),
            (Maker::Cosign2, "stranger", "unsigned/hobby", "stranger/hobby", &["cake-hobby-1.0"]),
            (Maker::Ours, "acme", "unsigned/acme", "partly/unsigned", &[BEER]),
            (Maker::Ours, "acme", "unsigned/acme", "partly/stranger", &[BEER]),
            (Maker::Ours, "acme", "unsigned/acme", "partly/other", &[BEER]),
        ];
        for (maker, key, from, to, packages) in signed {
            copy_all(&machine, &at(from), &at(to));
            sign_all(&machine, maker, &self.key(key), &at(to), packages);
        }
        let yip = |path: &str| Image::new(&at(&format!("{path}:{YIP}")));
        let strange = yip("partly/stranger");
        let strange = Image { reference: strange.digest(), ..strange }.to_string();
        Maker::Cosign2.sign(&machine, &self.key("stranger"), &[strange]);
        let beer = Image::new(&at(&format!("partly/other:{BEER}")));
        beer.signature_tag().copy(&yip("partly/other").signature_tag());
    }
}

/// Copies a whole repository, signatures included.
fn copy_all(machine: &Machine, from: &str, to: &str) {
    succeed(machine.command(tools::program("crane")).args(["copy", "-a", from, to]));
}

/// Copies one image, and its signature.
pub fn copy_signed(from: &str, to: &str) {
    let (from, to) = (Image::new(from), Image::new(to));
    from.copy(&to);
    from.signature_tag().copy(&to.signature_tag());
}

/// A path as a word of a command.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
