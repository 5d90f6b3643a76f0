//! A TUF repository: what `trusted_root.json` is published by. Signed with keys of its own;
//! anything may be published wrongly.
//!
//! Consistent snapshots, as the public repository has them. Canonical JSON is securesystemslib's:
//! keys sorted, and of strings only quotes and backslashes escaped.

use super::keys::Key;
use super::{hex, sha256};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One of the four roles.
pub struct Role {
    pub keys: Vec<Key>,
    pub threshold: u64,
    pub expires: String,
    pub version: u64,
}

impl Role {
    fn new(keys: usize, threshold: u64) -> Self {
        Self {
            keys: (0..keys).map(|_| Key::p256()).collect(),
            threshold,
            expires: "2999-01-01T00:00:00Z".to_owned(),
            version: 1,
        }
    }

    fn members(&self) -> Value {
        let ids: Vec<String> = self.keys.iter().map(id).collect();
        json!({"keyids": ids, "threshold": self.threshold})
    }
}

/// The files of a mirror by name, which a server and a test can share.
pub type Shared = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

pub struct Tuf {
    pub root: Role,
    pub timestamp: Role,
    pub snapshot: Role,
    pub targets: Role,
    /// The bytes of `trusted_root.json`.
    pub target: Vec<u8>,
    /// The bytes of `signing_config.v0.2.json`, where it is published.
    pub config: Option<Vec<u8>>,
    /// The name under which the metadata lists the target.
    pub name: String,
    /// What the signed metadata says of the target, where that is not the truth.
    pub claimed: Option<Value>,
    pub files: Shared,
    /// The root of version 1, which clients pin.
    pub first: Vec<u8>,
}

impl Tuf {
    pub fn new(target: &Value) -> Self {
        Self::with_root_keys(target, 3, 2)
    }

    /// The same with so many keys of the root, of which so many have to sign. The public repository
    /// has 5 and 3.
    pub fn with_root_keys(target: &Value, keys: usize, threshold: u64) -> Self {
        let mut tuf = Self {
            root: Role::new(keys, threshold),
            timestamp: Role::new(1, 1),
            snapshot: Role::new(1, 1),
            targets: Role::new(1, 1),
            target: target.to_string().into_bytes(),
            config: None,
            name: "trusted_root.json".to_owned(),
            claimed: None,
            files: Shared::default(),
            first: Vec::new(),
        };
        tuf.first = tuf.root_by(&tuf.root.keys.iter().collect::<Vec<_>>());
        tuf.put("1.root.json", tuf.first.clone());
        tuf.publish();
        tuf
    }

    pub fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().insert(name.to_owned(), bytes.into());
    }

    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(name).cloned()
    }

    /// Publishes another target, and all metadata again.
    pub fn update(&mut self, target: &Value) {
        self.target = target.to_string().into_bytes();
        for role in [&mut self.targets, &mut self.snapshot, &mut self.timestamp] {
            role.version += 1;
        }
        self.publish();
    }

    /// Returns what the mirror would have after [`update`](Self::update), which is not done.
    pub fn would_be(&mut self, target: &Value) -> BTreeMap<String, Vec<u8>> {
        let (before, files) = (self.target.clone(), self.files.lock().unwrap().clone());
        self.update(target);
        for role in [&mut self.targets, &mut self.snapshot, &mut self.timestamp] {
            role.version -= 1;
        }
        self.target = before;
        std::mem::replace(&mut *self.files.lock().unwrap(), files)
    }

    /// Signs and publishes targets, snapshot and timestamp as they are.
    pub fn publish(&self) {
        let truth =
            json!({"length": self.target.len(), "hashes": {"sha256": hex(&sha256(&self.target))}});
        let wanted = self.claimed.clone().unwrap_or(truth);
        let mut all = json!({(self.name.as_str()): wanted});
        if let Some(config) = &self.config {
            let hash = hex(&sha256(config));
            let name = "signing_config.v0.2.json";
            all[name] = json!({"length": config.len(), "hashes": {"sha256": hash}});
            self.put(&format!("targets/{hash}.{name}"), config.clone());
        }
        let targets = self.signed(&self.targets, json!({"_type": "targets", "targets": all}));
        let snapshot = self.signed(
            &self.snapshot,
            json!({"_type": "snapshot", "meta": {"targets.json": pin(&self.targets, &targets)}}),
        );
        let timestamp =
            self.signed(&self.timestamp, json!({"_type": "timestamp", "meta": {"snapshot.json": pin(&self.snapshot, &snapshot)}}));
        self.put(&format!("{}.targets.json", self.targets.version), targets);
        self.put(&format!("{}.snapshot.json", self.snapshot.version), snapshot);
        self.put("timestamp.json", timestamp);
        self.put(
            &format!("targets/{}.trusted_root.json", hex(&sha256(&self.target))),
            self.target.clone(),
        );
    }

    /// Publishes the next root, with new keys, signed by the old ones too.
    pub fn rotate(&mut self) {
        let next = Role::new(self.root.keys.len(), self.root.threshold);
        let before = std::mem::replace(&mut self.root, next);
        self.root.version = before.version + 1;
        self.root.expires = before.expires;
        let root = self.root_by(&before.keys.iter().chain(&self.root.keys).collect::<Vec<_>>());
        self.put(&format!("{}.root.json", self.root.version), root);
    }

    /// Signs the root as it is by these keys.
    pub fn root_by(&self, signers: &[&Key]) -> Vec<u8> {
        let mut keys = Map::new();
        for key in [&self.root, &self.timestamp, &self.snapshot, &self.targets]
            .into_iter()
            .flat_map(|role| &role.keys)
        {
            keys.insert(id(key), public(key));
        }
        let roles = json!({
            "root": self.root.members(), "timestamp": self.timestamp.members(),
            "snapshot": self.snapshot.members(), "targets": self.targets.members(),
        });
        let root =
            json!({"_type": "root", "consistent_snapshot": true, "keys": keys, "roles": roles});
        envelope(with(root, &self.root), signers)
    }

    fn signed(&self, role: &Role, signed: Value) -> Vec<u8> {
        envelope(with(signed, role), &role.keys.iter().collect::<Vec<_>>())
    }
}

/// Signs metadata.
pub fn envelope(signed: Value, signers: &[&Key]) -> Vec<u8> {
    let message = canonical(&signed);
    let signature = |key: &&Key| json!({"keyid": id(key), "sig": hex(&key.sign(&message))});
    let signatures: Vec<Value> = signers.iter().map(signature).collect();
    json!({"signed": signed, "signatures": signatures}).to_string().into_bytes()
}

fn with(mut signed: Value, role: &Role) -> Value {
    signed["spec_version"] = json!("1.0.31");
    signed["version"] = json!(role.version);
    signed["expires"] = json!(role.expires);
    signed
}

fn pin(role: &Role, bytes: &[u8]) -> Value {
    json!({"version": role.version, "length": bytes.len(), "hashes": {"sha256": hex(&sha256(bytes))}})
}

fn public(key: &Key) -> Value {
    json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": key.pem()}})
}

fn id(key: &Key) -> String {
    hex(&sha256(&canonical(&public(key))))
}

fn canonical(value: &Value) -> Vec<u8> {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                out.push('"');
                out.push_str(&text.replace('\\', "\\\\").replace('"', "\\\""));
                out.push('"');
            }
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    write(item, out);
                }
                out.push(']');
            }
            Value::Object(object) => {
                out.push('{');
                let sorted: BTreeMap<&String, &Value> = object.iter().collect();
                for (index, (key, inner)) in sorted.into_iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    write(&json!(key), out);
                    out.push(':');
                    write(inner, out);
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out.into_bytes()
}
