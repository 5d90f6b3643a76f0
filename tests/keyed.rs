//! Key signatures in every form: what cosign 2, cosign 3 and skopeo write is read, what only looks
//! like it is refused, and what this program writes can be read. At the library where bytes are
//! mutated, else at the real binary and a registry in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::type_complexity,
    missing_docs
)]

#[path = "keyed/attacks.rs"]
mod attacks;
#[path = "keyed/crowds.rs"]
mod crowds;
#[path = "keyed/edges.rs"]
mod edges;
#[path = "keyed/formats.rs"]
mod formats;
#[path = "keyed/keys.rs"]
mod keys;
#[path = "keyed/mutation.rs"]
mod mutation;
#[path = "keyed/recursive.rs"]
mod recursive;
#[path = "keyed/vectors.rs"]
mod vectors;
#[path = "keyed/writing.rs"]
mod writing;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use luet_cosign::name::Digest;
use luet_cosign::trust::PrivateKey;
use luet_cosign::wire;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::sync::OnceLock;
use testkit::{Image, Options, PASSWORD, Plugin, Reply, TestRegistry};

const REPO: &str = "acme/packages";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A key pair as files, and opened: opening is what scrypt makes slow.
struct Pair {
    private_pem: String,
    public_pem: String,
    key: PrivateKey,
}

/// Two pairs that all tests share: `acme`, who is trusted, and `stranger`.
fn pair(name: &str) -> &'static Pair {
    static PAIRS: OnceLock<[Pair; 2]> = OnceLock::new();
    let pairs = PAIRS.get_or_init(|| {
        let pair = || {
            let pair = PrivateKey::generate(PASSWORD.as_bytes()).unwrap();
            let key = PrivateKey::open(pair.private_pem.as_bytes(), PASSWORD.as_bytes()).unwrap();
            Pair { private_pem: pair.private_pem.to_string(), public_pem: pair.public_pem, key }
        };
        [pair(), pair()]
    });
    &pairs[usize::from(name != "acme")]
}

/// A file of `src/trust/testdata`.
fn testdata(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/trust/testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A registry with one image, and a plugin that trusts `acme`.
struct World {
    registry: TestRegistry,
    plugin: Plugin,
    image: Image,
}

impl World {
    fn new() -> Self {
        Self::with(Options::default())
    }

    /// A registry without a referrers API.
    fn without_api() -> Self {
        Self::with(Options { referrers: false, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let registry = TestRegistry::with(options);
        let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        for name in ["acme", "stranger"] {
            plugin.write(&format!("{name}.key"), &pair(name).private_pem);
            plugin.write(&format!("{name}.pub"), &pair(name).public_pem);
        }
        let key = plugin.path("acme.pub").display().to_string();
        let image = registry.push_image(REPO, "1", &[b"layer"]);
        Self {
            registry,
            plugin: plugin.env("COSIGN_PUBLIC_KEY_LOCATION", &key).env("COSIGN_PASSWORD", PASSWORD),
            image,
        }
    }

    fn name(&self) -> String {
        self.registry.name(&format!("{REPO}:1"))
    }

    fn digest(&self) -> Digest {
        self.image.digest.parse().unwrap()
    }

    /// The event before unpacking, with the key of `acme`.
    fn install(&self) -> Reply {
        let number = std::fs::read_dir(self.plugin.path("")).unwrap().count();
        self.plugin.pre_unpack(&self.name(), &self.plugin.dest(&format!("dest{number}")))
    }

    /// `verify --key`, thorough: exit code, and the JSON document about the image.
    fn verify(&self, key: &str) -> (i32, Value) {
        let path = self.plugin.path(&format!("{key}.pub")).display().to_string();
        document(&self.plugin.run(["verify", "--json", "--key", &path, &self.name()]))
    }

    /// A good bundle of `signer` about this image, to be changed.
    fn bundle(&self, signer: &str) -> Value {
        bundle(&pair(signer).key, &self.statement())
    }

    fn statement(&self) -> Value {
        serde_json::from_slice(&wire::write_statement(&self.digest(), &BTreeMap::new())).unwrap()
    }

    /// Attaches bytes as a bundle; where the registry lists nothing, the fallback index gets
    /// everything that was attached.
    fn attach(&self, bundle: &[u8]) -> String {
        self.registry.push_referrer(REPO, &self.image, BUNDLE, bundle)
    }

    fn fallback(&self, manifests: &[String]) {
        let size = |digest: &String| self.registry.manifest(REPO, digest).unwrap().1.len();
        let list: Vec<(&str, usize)> =
            manifests.iter().map(|digest| (digest.as_str(), size(digest))).collect();
        self.registry.push_fallback(REPO, &self.image.digest, &list);
    }

    /// Signs in the legacy form, straight into the registry's memory.
    fn legacy(&self, signers: &[&str]) {
        let payload = wire::Payload {
            docker_reference: self.registry.name(REPO),
            manifest_digest: self.digest(),
            annotations: BTreeMap::new(),
        };
        let payload = payload.to_bytes();
        let one =
            |signer: &&str| legacy_signature(&payload, &pair(signer).key.sign(&payload).unwrap());
        let signatures: Vec<_> = signers.iter().map(one).collect();
        self.registry.push_signatures(REPO, &self.image.digest, &signatures);
    }
}

fn legacy_signature(payload: &[u8], signature: &[u8]) -> testkit::Signature {
    let annotations =
        vec![("dev.cosignproject.cosign/signature".to_owned(), STANDARD.encode(signature))];
    testkit::Signature { payload: payload.to_vec(), annotations }
}

/// Signs a statement, whatever it is.
fn bundle(key: &PrivateKey, statement: &Value) -> Value {
    bundle_of(key, statement.to_string().as_bytes())
}

fn bundle_of(key: &PrivateKey, payload: &[u8]) -> Value {
    let signed = key.signed(&wire::statement_to_sign(payload)).unwrap();
    serde_json::from_slice(&wire::write_bundle(payload, &signed)).unwrap()
}

/// The exit code of `verify --json`, and what it says of the first image.
fn document(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), document["images"][0].clone())
}

/// The forms of the signatures that `verify --json` found good, sorted.
fn formats_of(document: &Value) -> Vec<&str> {
    let signatures = document["signatures"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut formats: Vec<&str> =
        signatures.iter().filter_map(|signature| signature["format"].as_str()).collect();
    formats.sort_unstable();
    formats
}

fn set(value: &mut Value, pointer: &str, new: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = new,
        other => other[key] = new,
    }
}
