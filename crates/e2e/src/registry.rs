//! Registries that others wrote, and what trials put there.

use crate::http::{self, Reply};
use crate::machine::succeed;
use crate::process::Running;
use crate::{scratch, tools};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use testkit::digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry on a free port of 127.0.0.1, with a directory of its own. Both end with the value.
pub struct Registry {
    // Dropped in this order: the process, then its directory.
    process: Running,
    folder: TempDir,
    address: String,
}

impl Registry {
    /// Debian's docker-registry: no referrers API.
    pub fn docker() -> Self {
        Self::docker_in(scratch::in_memory(), |_| Value::Null)
    }

    /// The same, with everything on the disk: for what is too large, or is measured.
    pub fn docker_on_disk() -> Self {
        Self::docker_in(scratch::folder(), |_| Value::Null)
    }

    /// The same, for one who logs in as `USER:PASSWORD`.
    pub fn docker_for(login: &str) -> Self {
        Self::docker_in(scratch::in_memory(), |folder| {
            let path = folder.join("htpasswd");
            std::fs::write(&path, htpasswd(login)).expect("a file");
            json!({"htpasswd": {"realm": "test", "path": path}})
        })
    }

    fn docker_in(folder: TempDir, auth: impl FnOnce(&Path) -> Value) -> Self {
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a directory");
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": false}},
            "storage": {"filesystem": {"rootdirectory": data}, "delete": {"enabled": true}},
            "http": {"addr": "127.0.0.1:0"},
        });
        let auth = auth(folder.path());
        if !auth.is_null() {
            config["auth"] = auth;
        }
        // JSON is YAML.
        std::fs::write(folder.path().join("config.yml"), config.to_string()).expect("a file");
        let program = tools::program("docker-registry");
        let arguments = ["serve", "config.yml"];
        Self::started(
            Running::start("docker-registry", folder.path(), &program, &arguments),
            folder,
        )
    }

    /// olareg: with a referrers API, unless one of its own options says otherwise.
    pub fn olareg(options: &[&str]) -> Self {
        let folder = scratch::in_memory();
        Self::started(Self::run_olareg(&folder, "0", options), folder)
    }

    /// The same, for users who log in with Basic: their `USER:PASSWORD`, and who may do what.
    pub fn olareg_for(users: &[&str], rules: &Value) -> Self {
        let folder = scratch::in_memory();
        Self::write_users(&folder, users, rules);
        let options = ["--auth-basic", "users.yml"];
        Self::started(Self::run_olareg(&folder, "0", &options), folder)
    }

    /// The same, for one user, who logs in at its token service.
    ///
    /// The service's address is part of the challenge, so the port has to be known before: one that
    /// the system just gave, and took back. Should someone else be quicker, another one is tried.
    pub fn olareg_with_tokens(login: &str) -> Self {
        let user = login.split(':').next().unwrap_or_default();
        for _ in 0..5 {
            let folder = scratch::in_memory();
            Self::write_users(&folder, &[login], &all_for(user));
            let options = ["--auth-token-opaque", "users.yml"];
            let address = Self::run_olareg(&folder, "0", &options).address();
            let port = address.rsplit(':').next().expect("a port");
            let url = format!("http://{address}");
            let options = [&options[..], &["--external-url", &url]].concat();
            let mut process = Self::run_olareg(&folder, port, &options);
            if let Some(address) = process.address_unless_it_ends() {
                return Self { process, folder, address };
            }
        }
        panic!("no port stayed free");
    }

    fn write_users(folder: &TempDir, users: &[&str], rules: &Value) {
        let hashes: serde_json::Map<String, Value> = users
            .iter()
            .map(|login| {
                let line = htpasswd(login);
                let (user, hash) = line.trim().split_once(':').expect("a hash");
                (user.to_owned(), json!({"cred": hash}))
            })
            .collect();
        let users = json!({"users": hashes, "acls": rules}).to_string();
        std::fs::write(folder.path().join("users.yml"), users).expect("a file");
    }

    fn run_olareg(folder: &TempDir, port: &str, options: &[&str]) -> Running {
        let program = tools::program("olareg");
        let mut arguments =
            vec!["serve", "--addr", "127.0.0.1", "--port", port, "--store-type", "mem"];
        arguments.extend(["--api-delete", "--api-blob-delete", "--api-sparse-image"]);
        arguments.extend(["--verbosity", "info"]);
        arguments.extend(options);
        Running::start("olareg", folder.path(), &program, &arguments)
    }

    fn started(mut process: Running, folder: TempDir) -> Self {
        let address = process.address();
        Self { process, folder, address }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the number of its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Returns the directory that it keeps everything in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns what it wrote so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Returns where docker-registry keeps a blob.
    pub fn stored(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("a digest");
        self.folder
            .path()
            .join("data/docker/registry/v2/blobs/sha256")
            .join(&hex[..2])
            .join(hex)
            .join("data")
    }
}

/// The rules of olareg by which one user may do everything.
pub fn all_for(user: &str) -> Value {
    json!([
        {"repo": "*", "members": [user], "access": ["read", "write", "delete"]},
        {"repo": "", "members": [user], "access": ["read"]},
    ])
}

/// A line of a file of passwords, for `USER:PASSWORD`.
fn htpasswd(login: &str) -> String {
    let (user, password) = login.split_once(':').expect("USER:PASSWORD");
    let mut command = std::process::Command::new(tools::program("htpasswd"));
    let line = succeed(command.args(["-nbB", "-C", "5", user, password]));
    String::from_utf8(line).expect("UTF-8")
}

/// An image by its name: `ADDRESS/PATH:TAG` or `ADDRESS/PATH@DIGEST`.
#[derive(Clone, Debug)]
pub struct Image {
    pub address: String,
    pub path: String,
    pub reference: String,
}

impl Image {
    pub fn new(name: &str) -> Self {
        let (address, rest) = name.split_once('/').expect("an address");
        let (path, reference) = match rest.split_once('@') {
            Some(pair) => pair,
            None => rest.rsplit_once(':').expect("a tag"),
        };
        Self { address: address.into(), path: path.into(), reference: reference.into() }
    }

    fn call(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let target = format!("/v2/{}/{target}", self.path);
        http::call(&self.address, method, &target, headers, body)
            .unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Returns its manifest and the manifest's media type.
    #[track_caller]
    pub fn manifest(&self) -> (Vec<u8>, String) {
        let accept = format!("{MANIFEST}, {DOCKER_MANIFEST}");
        let target = format!("manifests/{}", self.reference);
        let reply = self.call("GET", &target, &[("Accept", &accept)], b"");
        assert_eq!(reply.status, 200, "{self:?} has no manifest");
        let kind = reply.header("content-type").unwrap_or(MANIFEST).to_owned();
        (reply.body, kind)
    }

    /// Whether anything is there.
    pub fn exists(&self) -> bool {
        let accept = format!("{MANIFEST}, {DOCKER_MANIFEST}");
        self.call("GET", &format!("manifests/{}", self.reference), &[("Accept", &accept)], b"")
            .status
            == 200
    }

    pub fn digest(&self) -> String {
        digest(&self.manifest().0)
    }

    /// Returns where the legacy signature of what this is now lies.
    pub fn signature_tag(&self) -> Self {
        Self { reference: format!("{}.sig", self.digest().replace(':', "-")), ..self.clone() }
    }

    /// Returns the digest of its last layer.
    pub fn layer(&self) -> String {
        let manifest: Value = serde_json::from_slice(&self.manifest().0).expect("JSON");
        let layers = manifest["layers"].as_array().expect("layers");
        layers.last().expect("a layer")["digest"].as_str().expect("a digest").to_owned()
    }

    pub fn blob(&self, digest: &str) -> Vec<u8> {
        let reply = self.call("GET", &format!("blobs/{digest}"), &[], b"");
        assert_eq!(reply.status, 200, "{self:?} has no blob {digest}");
        reply.body
    }

    /// Pushes a blob, unless it is there, and returns its digest.
    pub fn push_blob(&self, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        if self.call("HEAD", &format!("blobs/{digest}"), &[], b"").status == 200 {
            return digest;
        }
        let begun = self.call("POST", "blobs/uploads/", &[], b"");
        let location = begun.header("location").expect("a place for the upload");
        let location = location
            .strip_prefix("http://")
            .map_or(location, |rest| &rest[rest.find('/').expect("a path")..]);
        let mark = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{mark}digest={digest}");
        let headers = [("Content-Type", "application/octet-stream")];
        let reply = http::call(&self.address, "PUT", &target, &headers, bytes).expect("an answer");
        assert_eq!(reply.status, 201, "the blob of {self:?}");
        digest
    }

    pub fn push_manifest(&self, kind: &str, manifest: &[u8]) {
        let target = format!("manifests/{}", self.reference);
        let reply = self.call("PUT", &target, &[("Content-Type", kind)], manifest);
        assert_eq!(reply.status, 201, "{self:?}: {}", String::from_utf8_lossy(&reply.body));
    }

    /// Pushes what this is, with other bytes for its last layer and the same configuration.
    pub fn swap(&self, tag: &str, layer: &[u8]) {
        let (manifest, kind) = self.manifest();
        let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        let digest = self.push_blob(layer);
        let last =
            manifest["layers"].as_array_mut().and_then(|all| all.last_mut()).expect("a layer");
        last["digest"] = json!(digest);
        last["size"] = json!(layer.len());
        let other = Self { reference: tag.to_owned(), ..self.clone() };
        other.push_manifest(&kind, manifest.to_string().as_bytes());
    }

    /// Pushes what this is somewhere else, without what comes with it.
    pub fn copy(&self, to: &Self) {
        let (bytes, kind) = self.manifest();
        let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
        let layers = manifest["layers"].as_array().expect("layers").iter();
        for descriptor in layers.chain([&manifest["config"]]) {
            to.push_blob(&self.blob(descriptor["digest"].as_str().expect("a digest")));
        }
        to.push_manifest(&kind, &bytes);
    }

    /// Pushes an image of these layers, each with its bytes uncompressed.
    pub fn push(&self, layers: &[PackedLayer]) {
        self.push_configured(layers, &json!({}));
    }

    /// The same, with what says how it is run.
    pub fn push_configured(&self, layers: &[PackedLayer], run: &Value) {
        let described: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let digest = self.push_blob(&layer.blob);
                json!({"mediaType": layer.kind, "digest": digest, "size": layer.blob.len()})
            })
            .collect();
        let ids: Vec<&str> = layers.iter().map(|layer| layer.id.as_str()).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": run,
            "rootfs": {"type": "layers", "diff_ids": ids},
        })
        .to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.push_blob(config.as_bytes()),
                "size": config.len(),
            },
            "layers": described,
        });
        self.push_manifest(MANIFEST, manifest.to_string().as_bytes());
    }
}

/// A layer as a registry has it.
pub struct PackedLayer {
    pub blob: Vec<u8>,
    pub kind: &'static str,
    /// The digest of what it is uncompressed.
    pub id: String,
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.reference.starts_with("sha256:") { '@' } else { ':' };
        write!(f, "{}/{}{mark}{}", self.address, self.path, self.reference)
    }
}

/// Pushes all files of an OCI layout's blobs and its manifests, each as a tag of a repository.
pub fn push_layout(address: &str, repository: &str, layout: &Path) {
    let index: Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).expect("an index"))
            .expect("JSON");
    let blob = |digest: &str| {
        std::fs::read(layout.join("blobs/sha256").join(&digest["sha256:".len()..])).expect("a blob")
    };
    for entry in index["manifests"].as_array().expect("manifests") {
        let tag =
            entry["annotations"]["org.opencontainers.image.ref.name"].as_str().expect("a tag");
        let image = Image::new(&format!("{address}/{repository}:{tag}"));
        let bytes = blob(entry["digest"].as_str().expect("a digest"));
        let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
        let layers = manifest["layers"].as_array().expect("layers").iter();
        for descriptor in layers.chain([&manifest["config"]]) {
            image.push_blob(&blob(descriptor["digest"].as_str().expect("a digest")));
        }
        image.push_manifest(MANIFEST, &bytes);
    }
}
