//! Signing: one builder with defaults that are good, and the signature in its parts.

use super::body::Kind;
use super::ca::{CODE_SIGNING, Leaf, San};
use super::ct::Sct;
use super::keys::Key;
use super::log::{Entry, Log, LogKind};
use super::tsa::{Stamp, Tsa};
use super::{Sigstore, Window, b64};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The numbers of Fulcio's two claims of the issuer: the old one and the one that replaced it.
const ISSUERS: [u32; 2] = [1, 8];

/// A signature that is to be made.
pub struct Signing<'a> {
    sigstore: &'a Sigstore,
    leaf: Leaf<'a>,
    key: Option<&'a Key>,
    keyed: bool,
    log: Option<&'a Log>,
    kind: Option<Kind>,
    integrated: Timestamp,
    tsa: Option<&'a Tsa>,
    stamped: Timestamp,
    certificate_in_token: bool,
    reference: String,
    annotations: BTreeMap<String, String>,
}

impl<'a> Signing<'a> {
    pub(super) fn new(sigstore: &'a Sigstore) -> Self {
        let at = sigstore.now - SignedDuration::from_hours(1);
        let leaf = Leaf {
            issuer: &sigstore.fulcio,
            names: Vec::new(),
            claims: BTreeMap::new(),
            purposes: vec![CODE_SIGNING],
            authority: false,
            window: Window { from: at, until: at },
            scts: vec![Sct { log: &sigstore.ct, at, issuer: None }],
            others: Vec::new(),
        };
        let signing = Self {
            sigstore,
            leaf,
            key: None,
            keyed: false,
            log: Some(&sigstore.rekor1),
            kind: None,
            integrated: at,
            tsa: None,
            stamped: at,
            certificate_in_token: false,
            reference: "registry.test/acme/packages".to_owned(),
            annotations: BTreeMap::new(),
        };
        signing.identity("dev@example.com").issuer("https://issuer.example").at(at)
    }

    /// Who signs: see [`San::of`].
    pub fn identity(mut self, identity: &str) -> Self {
        self.leaf.names = vec![San::of(identity)];
        self
    }

    /// Who says so, in both of Fulcio's claims.
    pub fn issuer(mut self, url: &str) -> Self {
        for number in ISSUERS {
            self.leaf.claim(number, url);
        }
        self
    }

    /// When: the certificate is made and good for ten minutes, promised, used, logged and stamped,
    /// all at this time.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.leaf.window = Window { from: time, until: time + SignedDuration::from_mins(10) };
        self.leaf.scts.iter_mut().for_each(|sct| sct.at = time);
        self.integrated = time;
        self.stamped = time;
        self
    }

    /// When the log says that it got the entry.
    pub fn integrated_at(mut self, time: Timestamp) -> Self {
        self.integrated = time;
        self
    }

    /// When the time stamping authority says that it saw the signature.
    pub fn stamped_at(mut self, time: Timestamp) -> Self {
        self.stamped = time;
        self
    }

    /// Changes the certificate in any way; after the calls above, for they set parts of it.
    pub fn leaf(mut self, change: impl FnOnce(&mut Leaf<'a>)) -> Self {
        change(&mut self.leaf);
        self
    }

    /// The certificate is for this key, not for a fresh one.
    pub fn with_key(mut self, key: &'a Key) -> Self {
        self.key = Some(key);
        self
    }

    /// No certificate: a key that its owner keeps.
    pub fn keyed(mut self, key: &'a Key) -> Self {
        self.key = Some(key);
        self.keyed = true;
        self
    }

    /// Which of the two logs gets an entry. With v2 comes a time stamp, for nothing else says the
    /// time there.
    pub fn log(self, kind: LogKind) -> Self {
        let sigstore = self.sigstore;
        match kind {
            LogKind::V1 => self.logged_in(&sigstore.rekor1),
            LogKind::V2 => self.logged_in(&sigstore.rekor2).tsa(true),
        }
    }

    /// The entry goes to this log.
    pub fn logged_in(mut self, log: &'a Log) -> Self {
        self.log = Some(log);
        self
    }

    /// No log gets an entry.
    pub fn without_log(mut self) -> Self {
        self.log = None;
        self
    }

    /// The kind of the entry, where it is not the usual one for what is signed and for the log.
    pub fn entry(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Whether there is a time stamp.
    pub fn tsa(mut self, wanted: bool) -> Self {
        self.tsa = wanted.then_some(&self.sigstore.tsa);
        self
    }

    /// The time stamp is by this authority.
    pub fn stamped_by(mut self, tsa: &'a Tsa) -> Self {
        self.tsa = Some(tsa);
        self
    }

    /// The time stamp carries its authority's certificate.
    pub fn certificate_in_token(mut self) -> Self {
        self.certificate_in_token = true;
        self
    }

    /// The name in a legacy payload.
    pub fn reference(mut self, name: &str) -> Self {
        self.reference = name.to_owned();
        self
    }

    /// An annotation of the signer (`-a`), in a legacy payload or a statement.
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Signs an image in the legacy form: the payload is the layer of a `.sig` manifest.
    pub fn legacy(self, image: &str) -> Signature {
        let optional =
            if self.annotations.is_empty() { Value::Null } else { json!(self.annotations) };
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": self.reference},
                "image": {"docker-manifest-digest": image},
                "type": "cosign container image signature",
            },
            "optional": optional,
        });
        self.content(Content::Message(payload.to_string().into_bytes()))
    }

    /// Signs an image as cosign 3 does: a statement about it in an envelope.
    pub fn image(self, image: &str) -> Signature {
        let (algorithm, hex) = image.split_once(':').unwrap();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {algorithm: hex}, "annotations": self.annotations}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        });
        self.statement(&statement)
    }

    /// Signs any statement.
    pub fn statement(self, statement: &Value) -> Signature {
        let payload = statement.to_string().into_bytes();
        self.content(Content::Envelope {
            payload_type: "application/vnd.in-toto+json".to_owned(),
            payload,
        })
    }

    /// Signs the bytes of a file.
    pub fn blob(self, bytes: &[u8]) -> Signature {
        self.content(Content::Message(bytes.to_vec()))
    }

    /// Signs anything.
    pub fn content(self, content: Content) -> Signature {
        let fresh = Key::p256();
        let key = self.key.unwrap_or(&fresh);
        let message = content.message();
        let signature = key.sign(&message);
        let signer = if self.keyed {
            Signer::Key { spki: key.spki() }
        } else {
            let chain = vec![self.sigstore.fulcio.der(), self.sigstore.root.der()];
            Signer::Certificate { leaf: self.leaf.issuer.issue(&self.leaf, &key.spki()), chain }
        };
        let entry = self.log.map(|log| {
            let kind = self.kind.unwrap_or(match (log.kind, &content) {
                (LogKind::V2, _) => Kind::HashedRekord2,
                (LogKind::V1, Content::Message(_)) => Kind::HashedRekord,
                (LogKind::V1, Content::Envelope { .. }) => Kind::Dsse,
            });
            log.add(kind, &kind.body(&content, &signature, &signer, key), self.integrated)
        });
        let timestamp = self.tsa.map(|tsa| {
            let stamp = Stamp::new(tsa, &signature, self.stamped);
            if self.certificate_in_token {
                stamp.with_certificates().encode()
            } else {
                stamp.encode()
            }
        });
        let (_, algorithm, digest) = key.digest(&message);
        Signature { content, algorithm, digest, signature, signer, entry, timestamp }
    }
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes as they are: a legacy payload, or a file.
    Message(Vec<u8>),
    /// A payload in a DSSE envelope.
    Envelope { payload_type: String, payload: Vec<u8> },
}

impl Content {
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Message(payload) | Self::Envelope { payload, .. } => payload,
        }
    }

    pub fn payload_type(&self) -> &str {
        match self {
            Self::Message(_) => "",
            Self::Envelope { payload_type, .. } => payload_type,
        }
    }

    /// The bytes that a key signs: of an envelope, its pre-authentication encoding
    /// (<https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>).
    pub fn message(&self) -> Vec<u8> {
        match self {
            Self::Message(bytes) => bytes.clone(),
            Self::Envelope { payload_type, payload } => {
                let head =
                    format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
                [head.as_bytes(), payload].concat()
            }
        }
    }

    /// The envelope with this signature.
    pub fn envelope(&self, signature: &[u8]) -> Value {
        json!({"payload": b64(self.payload()), "payloadType": self.payload_type(), "signatures": [{"sig": b64(signature)}]})
    }
}

/// Whose signature it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A certificate, and what cosign puts beside a legacy signature: the authorities above, the
    /// root last.
    Certificate { leaf: Vec<u8>, chain: Vec<Vec<u8>> },
    /// A public key, which a verifier has to know already.
    Key { spki: Vec<u8> },
}

/// A signature in its parts, each of which can be another's; `bundle.rs` writes it in all forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub content: Content,
    /// What a bundle calls the digest of a message, and the digest.
    pub algorithm: &'static str,
    pub digest: Vec<u8>,
    pub signature: Vec<u8>,
    pub signer: Signer,
    pub entry: Option<Entry>,
    /// A `TimeStampResp`, over the raw signature.
    pub timestamp: Option<Vec<u8>>,
}
