//! A whole Sigstore in this process: certificate authority, CT log, both Rekors, time stamping
//! authority, and the trusted root that names them. Its clock is an argument of everything.
//!
//! It makes what real services and the real cosign make (`tests/data/cosign-images`), and
//! anything that is wrong in one place: each part of a signature is a public field, so a test can
//! put the certificate of one beside the entry of another.
//!
//! ```ignore
//! let sigstore = Sigstore::new();
//! let good = sigstore.sign().identity("dev@example.com").issuer("https://issuer.example").legacy("sha256:...");
//! good.payload();              // the layer of a `.sig` manifest, and its annotations:
//! good.annotations();
//! let late = sigstore.sign().integrated_at(sigstore.now).legacy("sha256:...");
//! let mixed = Signature { entry: late.entry.clone(), ..good.clone() };
//! let other = sigstore.sign().log(LogKind::V2).leaf(|leaf| leaf.scts.clear()).image("sha256:...");
//! other.bundle();              // a bundle v0.3 with a DSSE envelope
//! ```
//!
//! `tests/sigstore.rs` holds it against the crate `sigstore-verify`: what it calls good is accepted
//! there, and what it spoils is refused.

pub mod body;
pub mod bundle;
pub mod ca;
pub mod ct;
pub mod keys;
pub mod log;
pub mod merkle;
pub mod mixing;
pub mod oidc;
pub mod served;
pub mod services;
pub mod sign;
pub mod tsa;
pub mod tuf;

pub use body::Kind;
pub use bundle::Version;
pub use ca::{Authority, CODE_SIGNING, Leaf, San, TIME_STAMPING};
pub use ct::{CtLog, Sct};
pub use keys::Key;
pub use log::{Entry, Log, LogKind, Proof};
pub use oidc::Issuer;
pub use services::Services;
pub use sign::{Content, Signature, Signer, Signing};
pub use tsa::{Stamp, Tsa};
pub use tuf::Tuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// One instance, with keys of its own.
pub struct Sigstore {
    /// When it was made. Nothing later than the machine's clock can be verified, for
    /// sigstore-verify reads that itself.
    pub now: Timestamp,
    /// While its keys and authorities are good.
    pub window: Window,
    pub root: Authority,
    /// Fulcio: who signs leaves.
    pub fulcio: Authority,
    pub ct: CtLog,
    pub rekor1: Log,
    pub rekor2: Log,
    pub tsa: Tsa,
}

impl Sigstore {
    /// An instance that has been running for a year.
    pub fn new() -> Self {
        Self::start(Timestamp::now())
    }

    /// The same, at another time.
    pub fn start(now: Timestamp) -> Self {
        // Certificates, logs and tokens count in seconds.
        let now = Timestamp::from_second(now.as_second()).unwrap();
        let year = SignedDuration::from_hours(24 * 365);
        let window = Window { from: now - year, until: now + year };
        let root = Authority::root("CN=test-fulcio-root,O=sigstore.test", window);
        let fulcio = root.intermediate(
            "CN=test-fulcio-intermediate,O=sigstore.test",
            &[CODE_SIGNING],
            window,
        );
        Self {
            now,
            window,
            fulcio,
            root,
            ct: CtLog::new(),
            rekor1: Log::v1("rekor1.test").with_strangers(5, window.from),
            rekor2: Log::v2("rekor2.test").with_strangers(2, window.from),
            tsa: Tsa::new(window),
        }
    }

    /// `trusted_root.json` of this instance, in the JSON form of protobuf-specs.
    pub fn trusted_root(&self) -> Value {
        let valid = json!({"start": self.window.from.to_string()});
        let log = |url: String, key: &Key, id: [u8; 32]| {
            let key = json!({"rawBytes": b64(&key.spki()), "keyDetails": key.details(), "validFor": valid});
            json!({"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": key, "logId": {"keyId": b64(&id)}})
        };
        let authority = |name: &str, uri: &str, chain: [Vec<u8>; 2]| {
            json!({
                "subject": {"organization": "sigstore.test", "commonName": name},
                "uri": uri,
                "certChain": {"certificates": chain.map(|der| json!({"rawBytes": b64(&der)}))},
                "validFor": valid,
            })
        };
        let rekor = |rekor: &Log| log(format!("https://{}", rekor.host), &rekor.key, rekor.id());
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [rekor(&self.rekor1), rekor(&self.rekor2)],
            "certificateAuthorities": [authority("test-fulcio-root", "https://fulcio.test", [self.fulcio.der(), self.root.der()])],
            "ctlogs": [log("https://ct.test".to_owned(), &self.ct.key, self.ct.key.id())],
            "timestampAuthorities": [
                authority("test-tsa-root", "https://tsa.test/api/v1/timestamp", [self.tsa.der(), self.tsa.root.der()]),
            ],
        })
    }

    /// Begins a signature by `dev@example.com` of an hour ago, by a fresh key, with an entry in
    /// Rekor v1.
    pub fn sign(&self) -> Signing<'_> {
        Signing::new(self)
    }
}

/// From when until when, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Timestamp,
    pub until: Timestamp,
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
