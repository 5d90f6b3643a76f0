//! Transparency logs: Rekor v1, with signed entry timestamps, and v2, with nothing but its tree.

use super::body::{Kind, canonical};
use super::keys::Key;
use super::{b64, hex, merkle, sha256};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Mutex;

/// Which Rekor a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    V1,
    V2,
}

/// The tree of a v1 log; its origin and the names of its entries say it.
const TREE: u64 = 895_554_390_083_937_980;

/// A log with its key.
pub struct Log {
    pub kind: LogKind,
    pub key: Key,
    /// The host of its `baseUrl`.
    pub host: String,
    /// How many entries older shards of a v1 log hold: an entry's index counts them, its place in
    /// the tree doesn't.
    pub before: u64,
    leaves: Mutex<Vec<Leaf>>,
}

struct Leaf {
    kind: Kind,
    body: Vec<u8>,
    hash: [u8; 32],
    at: Timestamp,
}

impl Leaf {
    fn new(kind: Kind, body: &Value, at: Timestamp) -> Self {
        let body = canonical(body).into_bytes();
        Self { kind, hash: merkle::leaf(&body), body, at }
    }
}

impl Log {
    /// An empty log of Rekor v1.
    pub fn v1(host: &str) -> Self {
        Self {
            kind: LogKind::V1,
            key: Key::p256(),
            host: host.to_owned(),
            before: 1_000,
            leaves: Mutex::default(),
        }
    }

    /// An empty log of Rekor v2. Its key is Ed25519, as that of the public one.
    pub fn v2(host: &str) -> Self {
        Self {
            kind: LogKind::V2,
            key: Key::ed25519(),
            host: host.to_owned(),
            before: 0,
            leaves: Mutex::default(),
        }
    }

    /// The same as its own first shard: index and place are one.
    pub fn first_shard(self) -> Self {
        Self { before: 0, ..self }
    }

    /// The same with entries of other people, so that a proof has something to prove.
    pub fn with_strangers(self, number: usize, at: Timestamp) -> Self {
        let strangers = (0..number)
            .map(|stranger| Leaf::new(Kind::HashedRekord, &json!({"stranger": stranger}), at));
        self.leaves.lock().unwrap().extend(strangers);
        self
    }

    /// What the trusted root knows it by. v1: the digest of the key. v2: the key identifier of a
    /// signed note (<https://c2sp.org/signed-note>), in full: over the name, the type of signature
    /// (Ed25519 is 1) and the bare key.
    pub fn id(&self) -> [u8; 32] {
        match self.kind {
            LogKind::V1 => self.key.id(),
            LogKind::V2 => sha256(&[self.host.as_bytes(), b"\n\x01", &self.key.raw()].concat()),
        }
    }

    /// The first line of its checkpoints.
    pub fn origin(&self) -> String {
        match self.kind {
            LogKind::V1 => format!("{} - {TREE}", self.host),
            LogKind::V2 => self.host.clone(),
        }
    }

    /// Appends an entry and returns it with all that the log says about it at this moment.
    pub fn add(&self, kind: Kind, body: &Value, at: Timestamp) -> Entry {
        let mut leaves = self.leaves.lock().unwrap();
        leaves.push(Leaf::new(kind, body, at));
        self.entry(&leaves, leaves.len() - 1)
    }

    /// All entries, with proofs for the tree as it is now.
    pub fn entries(&self) -> Vec<Entry> {
        let leaves = self.leaves.lock().unwrap();
        (0..leaves.len()).map(|place| self.entry(&leaves, place)).collect()
    }

    fn entry(&self, leaves: &[Leaf], place: usize) -> Entry {
        let hashes: Vec<_> = leaves.iter().map(|leaf| leaf.hash).collect();
        let Leaf { kind, body, at, .. } = &leaves[place];
        let root = merkle::root(&hashes);
        let (position, size) =
            (u64::try_from(place).unwrap(), u64::try_from(leaves.len()).unwrap());
        let mut entry = Entry {
            kind: *kind,
            body: body.clone(),
            log: self.id(),
            index: self.before + position,
            integrated: None,
            promise: None,
            proof: Some(Proof {
                index: position,
                size,
                root,
                hashes: merkle::path(place, &hashes),
                checkpoint: self.checkpoint(size, &root),
            }),
        };
        if self.kind == LogKind::V1 {
            entry.integrated = Some(*at);
            entry.promise = Some(self.key.sign(canonical(&entry.payload()).as_bytes()));
        }
        entry
    }

    /// A signed note about a tree: <https://c2sp.org/tlog-checkpoint>.
    pub fn checkpoint(&self, size: u64, root: &[u8; 32]) -> String {
        let text = format!("{}\n{size}\n{}\n", self.origin(), b64(root));
        let signature = [&self.id()[..4], &self.key.sign(text.as_bytes())].concat();
        format!("{text}\n\u{2014} {} {}\n", self.host, b64(&signature))
    }
}

/// What a log says about one entry. Each field can be another's: that is what tests are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub body: Vec<u8>,
    /// The log's identifier.
    pub log: [u8; 32],
    pub index: u64,
    /// v1 only.
    pub integrated: Option<Timestamp>,
    /// The signed entry timestamp; v1 only.
    pub promise: Option<Vec<u8>>,
    pub proof: Option<Proof>,
}

/// That an entry is in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub index: u64,
    pub size: u64,
    pub root: [u8; 32],
    pub hashes: Vec<[u8; 32]>,
    pub checkpoint: String,
}

impl Entry {
    /// What a signed entry timestamp signs; also the `Payload` of cosign's bundles.
    pub fn payload(&self) -> Value {
        json!({
            "body": b64(&self.body),
            "integratedTime": self.integrated.unwrap().as_second(),
            "logIndex": self.index,
            "logID": hex(&self.log),
        })
    }

    /// The value of the annotation `dev.sigstore.cosign/bundle`. Only v1 has what it needs.
    pub fn rekor_bundle(&self) -> Value {
        json!({"SignedEntryTimestamp": b64(self.promise.as_ref().unwrap()), "Payload": self.payload()})
    }

    /// A `TransparencyLogEntry` as protojson writes it: numbers as text, and no field that has its
    /// default.
    pub fn bundle_entry(&self) -> Value {
        let mut entry = json!({});
        if self.index != 0 {
            entry["logIndex"] = json!(self.index.to_string());
        }
        entry["logId"] = json!({"keyId": b64(&self.log)});
        entry["kindVersion"] = json!({"kind": self.kind.name(), "version": self.kind.version()});
        if let Some(time) = self.integrated {
            entry["integratedTime"] = json!(time.as_second().to_string());
        }
        if let Some(promise) = &self.promise {
            entry["inclusionPromise"] = json!({"signedEntryTimestamp": b64(promise)});
        }
        if let Some(proof) = &self.proof {
            entry["inclusionProof"] = proof.bundle_proof();
        }
        entry["canonicalizedBody"] = json!(b64(&self.body));
        entry
    }

    /// What Rekor v1 calls the entry: its tree, and the hash of its leaf.
    pub fn uuid(&self) -> String {
        format!("{TREE:016x}{}", hex(&merkle::leaf(&self.body)))
    }

    /// The entry as Rekor v1's API answers it, under its name.
    pub fn answer(&self) -> Value {
        let proof = self.proof.as_ref().unwrap();
        let hashes: Vec<String> = proof.hashes.iter().map(|hash| hex(hash)).collect();
        json!({self.uuid(): {
            "body": b64(&self.body),
            "integratedTime": self.integrated.unwrap().as_second(),
            "logID": hex(&self.log),
            "logIndex": self.index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": proof.checkpoint,
                    "hashes": hashes,
                    "logIndex": proof.index,
                    "rootHash": hex(&proof.root),
                    "treeSize": proof.size,
                },
                "signedEntryTimestamp": b64(self.promise.as_ref().unwrap()),
            },
        }})
    }
}

impl Proof {
    fn bundle_proof(&self) -> Value {
        let mut proof = json!({});
        if self.index != 0 {
            proof["logIndex"] = json!(self.index.to_string());
        }
        proof["rootHash"] = json!(b64(&self.root));
        proof["treeSize"] = json!(self.size.to_string());
        if !self.hashes.is_empty() {
            proof["hashes"] = self.hashes.iter().map(|hash| json!(b64(hash))).collect();
        }
        proof["checkpoint"] = json!({"envelope": self.checkpoint});
        proof
    }
}
