//! A luet repository as luet publishes it: one image for each of its files, two for each package.

use super::registry::{Image, TestRegistry};
use super::{digest, layer};

/// What is to be published. Every part can be changed before.
#[derive(Clone, Debug)]
pub struct LuetRepository {
    /// Its path at the registry.
    pub path: String,
    /// Name, category and version of its packages.
    pub packages: Vec<(String, String, String)>,
    pub revision: u32,
    pub last_update: String,
    /// The prefix of the snapshot of this state; empty for none.
    pub snapshot: String,
    /// The index, where it is not that of the packages.
    pub index: Option<String>,
    /// The digest of the index that the description names, where it is not the right one.
    pub index_digest: Option<String>,
}

impl LuetRepository {
    /// A repository of so many packages: `p0-test-1.0`, `p1-test-1.0` and so on.
    pub fn new(path: &str, packages: usize) -> Self {
        let package = |number| (format!("p{number}"), "test".to_owned(), "1.0".to_owned());
        Self {
            path: path.to_owned(),
            packages: (0..packages).map(package).collect(),
            revision: 1,
            last_update: "1764500000".to_owned(),
            snapshot: "20251130120000".to_owned(),
            index: None,
            index_digest: None,
        }
    }

    /// Leaves in a directory what `luet build` does: an archive and its description for each package.
    pub fn build(&self, folder: &std::path::Path) {
        std::fs::create_dir_all(folder).expect("a directory");
        for (name, category, version) in &self.packages {
            let fingerprint = format!("{name}-{category}-{version}");
            let write = |file: String, bytes: &[u8]| {
                std::fs::write(folder.join(file), bytes).expect("a file");
            };
            write(format!("{fingerprint}.package.tar"), &package(name, &fingerprint));
            let metadata = metadata_of(name, category, version);
            write(format!("{fingerprint}.metadata.yaml"), metadata.as_bytes());
        }
    }

    /// Publishes it. Returns the tags of everything, in the order in which luet pushes it.
    pub fn publish(&self, registry: &TestRegistry) -> Vec<String> {
        let mut tags = Vec::new();
        let mut push = |tag: &str, name: &str, content: &[u8]| -> Image {
            tags.push(tag.to_owned());
            registry.push_image(&self.path, tag, &[&layer(&[(name, content)])])
        };
        for (name, category, version) in &self.packages {
            let fingerprint = format!("{name}-{category}-{version}");
            let metadata = format!("{fingerprint}.metadata.yaml");
            push(
                &metadata.replace('+', "-"),
                &metadata,
                metadata_of(name, category, version).as_bytes(),
            );
            let tag = fingerprint.replace('+', "-");
            push(&tag, &format!("usr/bin/{name}"), fingerprint.as_bytes());
        }
        let index = self.index.clone().unwrap_or_else(|| index(&self.packages));
        let meta = layer(&[("repository.meta.yaml", index.as_bytes())]);
        let meta_digest = self
            .index_digest
            .clone()
            .unwrap_or_else(|| digest(&meta).strip_prefix("sha256:").expect("a digest").to_owned());
        let prefixes = [String::new(), format!("{}-", self.snapshot)];
        let wanted = if self.snapshot.is_empty() { 1 } else { 2 };
        for prefix in prefixes.iter().take(wanted) {
            for name in ["tree.tar.gz", "compilertree.tar.gz"] {
                let name = format!("{prefix}{name}");
                push(&name, &name, name.as_bytes());
            }
            let name = format!("{prefix}repository.meta.yaml.tar");
            push(&name, &name, &meta);
            let name = format!("{prefix}repository.yaml");
            let description = format!(
                "name: acme\nrevision: {}\nlast_update: \"{}\"\nindex: []\nrepo_files:\n  tree: {{filename: {prefix}tree.tar.gz, compressiontype: gzip}}\n  compilertree: {{filename: {prefix}compilertree.tar.gz}}\n  meta:\n    checksums:\n      sha256: {meta_digest}\n    filename: {prefix}repository.meta.yaml.tar\n",
                self.revision, self.last_update,
            );
            push(&name, &name, description.as_bytes());
        }
        tags
    }
}

/// The archive of a package.
pub fn package(name: &str, content: &str) -> Vec<u8> {
    layer(&[(format!("usr/bin/{name}").as_str(), content.as_bytes())])
}

/// The index of packages as luet writes it.
pub fn index(packages: &[(String, String, String)]) -> String {
    if packages.is_empty() {
        return "{}\n".to_owned();
    }
    let entry = |(name, category, version): &(String, String, String)| {
        format!(
            "- checksums:\n    sha256: abc\n  compilationspec:\n    image: alpine\n    package:\n      category: {category}\n      name: {name}\n      requires: null\n      version: \"{version}\"\n  files:\n  - usr/bin/{name}\n"
        )
    };
    format!("index:\n{}", packages.iter().map(entry).collect::<String>())
}

/// What `luet build` leaves beside a package.
pub fn metadata_of(name: &str, category: &str, version: &str) -> String {
    format!(
        "path: /src/build/{name}-{category}-{version}.package.tar\ncompilespec:\n    package:\n        name: {name}\n        version: \"{version}\"\n        category: {category}\nchecksums: {{}}\ncompressiontype: none\n"
    )
}
