//! Parts of a trusted root that are given one by one, as cosign's variables do:
//! `SIGSTORE_ROOT_FILE` and its three siblings.
//!
//! What is given is the only one of its kind, as with cosign. What is not given is the default
//! root's; but with the three that every signature needs (authority, log, log of certificates)
//! nothing of another root counts. Files give no time from which a key counts, so keys always
//! count, and authorities as long as their certificates.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use crate::wire;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The media type of what is put together.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";

/// The parts, each the bytes of a PEM file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Certificates of the authorities of signers: `SIGSTORE_ROOT_FILE`.
    pub authorities: Option<Vec<u8>>,
    /// Public keys of Rekor: `SIGSTORE_REKOR_PUBLIC_KEY`.
    pub logs: Option<Vec<u8>>,
    /// Public keys of the logs of certificates: `SIGSTORE_CT_LOG_PUBLIC_KEY_FILE`.
    pub certificate_logs: Option<Vec<u8>>,
    /// Certificates of timestamp authorities: `SIGSTORE_TSA_CERTIFICATE_FILE`.
    pub timestamp_authorities: Option<Vec<u8>>,
}

impl Pieces {
    /// Returns the names of those that are given.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        let named = [
            ("SIGSTORE_ROOT_FILE", &self.authorities),
            ("SIGSTORE_REKOR_PUBLIC_KEY", &self.logs),
            ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", &self.certificate_logs),
            ("SIGSTORE_TSA_CERTIFICATE_FILE", &self.timestamp_authorities),
        ];
        named.into_iter().filter(|(_, bytes)| bytes.is_some()).map(|(name, _)| name).collect()
    }

    /// Whether nothing of another root counts beside them.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.authorities.is_some() && self.logs.is_some() && self.certificate_logs.is_some()
    }

    /// Returns `base` with the parts that are given in place of its own, as a document.
    ///
    /// # Errors
    /// `trustroot`: a file that is not PEM of the kind that is wanted; each names its variable.
    pub fn replace(&self, base: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        let base = base
            .map(wire::json::parse)
            .transpose()
            .map_err(|failure| failure.as_class(Class::Trustroot))?;
        let mut root = match base {
            Some(Value::Object(root)) => root,
            Some(_) => {
                return Err(Failure::new(Class::Trustroot, "a trusted root that is not an object"));
            }
            None => Map::from_iter([("mediaType".to_owned(), json!(MEDIA_TYPE))]),
        };
        let parts = [
            (
                "certificateAuthorities",
                "SIGSTORE_ROOT_FILE",
                self.authorities.as_deref().map(every_chain),
            ),
            ("tlogs", "SIGSTORE_REKOR_PUBLIC_KEY", self.logs.as_deref().map(keys)),
            (
                "ctlogs",
                "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE",
                self.certificate_logs.as_deref().map(keys),
            ),
            (
                "timestampAuthorities",
                "SIGSTORE_TSA_CERTIFICATE_FILE",
                self.timestamp_authorities.as_deref().map(longest_chains),
            ),
        ];
        for (part, variable, values) in parts {
            if let Some(values) = values {
                root.insert(
                    part.to_owned(),
                    Value::Array(values.map_err(|failure| failure.within(variable))?),
                );
            }
            root.entry(part).or_insert_with(|| json!([]));
        }
        serde_json::to_vec(&Value::Object(root))
            .map_err(|error| bad(format!("cannot be put together: {error}")))
    }
}

/// Returns the entries of logs by these keys. A log is named by the digest of its key (Rekor v1,
/// RFC 6962).
fn keys(file: &[u8]) -> Result<Vec<Value>, Failure> {
    let entry = |der: Vec<u8>| {
        json!({
            "baseUrl": "",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": BASE64_STANDARD.encode(&der),
                "keyDetails": "PUBLIC_KEY_DETAILS_UNSPECIFIED",
                "validFor": {"start": Timestamp::UNIX_EPOCH.to_string()},
            },
            "logId": {"keyId": BASE64_STANDARD.encode(Digest::of(&der).bytes())},
        })
    };
    Ok(blocks(file, "PUBLIC KEY")?.into_iter().map(entry).collect())
}

/// Returns an authority for each certificate: any may have issued a signer's.
fn every_chain(file: &[u8]) -> Result<Vec<Value>, Failure> {
    let all = certificates(file)?;
    all.iter().map(|first| chain(first, &all)).collect()
}

/// Returns an authority for each certificate that issued no other: those sign the timestamps.
fn longest_chains(file: &[u8]) -> Result<Vec<Value>, Failure> {
    let all = certificates(file)?;
    let issued = |issuer: &Entry| {
        all.iter().any(|other| other.der != issuer.der && other.issuer() == issuer.subject())
    };
    all.iter().filter(|first| !issued(first)).map(|first| chain(first, &all)).collect()
}

struct Entry {
    der: Vec<u8>,
    certificate: Certificate,
}

impl Entry {
    fn subject(&self) -> String {
        self.certificate.tbs_certificate.subject.to_string()
    }

    fn issuer(&self) -> String {
        self.certificate.tbs_certificate.issuer.to_string()
    }
}

/// Returns the authority that begins with a certificate: it and its issuers up to a root, which
/// must all be there.
fn chain(first: &Entry, all: &[Entry]) -> Result<Value, Failure> {
    let mut chain = vec![first];
    let (mut start, mut end) = window(first)?;
    let mut last = first;
    while last.issuer() != last.subject() {
        let issuer = all.iter().find(|other| {
            other.subject() == last.issuer() && !chain.iter().any(|known| known.der == other.der)
        });
        last = issuer.ok_or_else(|| {
            bad(format!(
                "the certificate of `{}`, which issued `{}`, is not in the file",
                last.issuer(),
                last.subject()
            ))
        })?;
        let (from, until) = window(last)?;
        (start, end) = (start.max(from), end.min(until));
        chain.push(last);
    }
    let certificates: Vec<Value> =
        chain.iter().map(|entry| json!({"rawBytes": BASE64_STANDARD.encode(&entry.der)})).collect();
    Ok(json!({
        "uri": "",
        "certChain": {"certificates": certificates},
        "validFor": {"start": start.to_string(), "end": end.to_string()},
    }))
}

fn window(entry: &Entry) -> Result<(Timestamp, Timestamp), Failure> {
    let validity = &entry.certificate.tbs_certificate.validity;
    let time = |time: x509_cert::time::Time| {
        Timestamp::try_from(time.to_system_time()).map_err(|error| bad(error.to_string()))
    };
    Ok((time(validity.not_before)?, time(validity.not_after)?))
}

fn certificates(file: &[u8]) -> Result<Vec<Entry>, Failure> {
    let entry = |der: Vec<u8>| {
        let certificate = Certificate::from_der(&der)
            .map_err(|error| bad(format!("a certificate that cannot be read: {error}")))?;
        Ok(Entry { der, certificate })
    };
    blocks(file, "CERTIFICATE")?.into_iter().map(entry).collect()
}

/// Returns what the PEM blocks hold, all of which must be of one kind.
fn blocks(file: &[u8], kind: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let blocks = pem::parse_many(file).map_err(|error| bad(format!("not PEM: {error}")))?;
    if blocks.is_empty() || blocks.len() > limits::CHAIN {
        return Err(bad(format!("{} PEM blocks; expected 1 to {}", blocks.len(), limits::CHAIN)));
    }
    let der = |block: pem::Pem| match block.tag() {
        found if found == kind => Ok(block.into_contents()),
        other => Err(bad(format!("a PEM block `{other}`; expected `{kind}`"))),
    };
    blocks.into_iter().map(der).collect()
}

fn bad(why: String) -> Failure {
    Failure::new(Class::Trustroot, why)
        .hint("the file must hold PEM of the kind that docs/trust.md lists")
}
