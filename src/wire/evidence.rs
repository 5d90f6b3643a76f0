//! What comes with a legacy signature: certificates, the entry of the transparency log, a
//! timestamp.
//!
//! Sources: cosign `specs/SIGNATURE_SPEC.md`, `pkg/cosign/bundle`.
//! Nothing of it is looked at before it is known that it counts: a stranger's broken annotation
//! must not hide a good signature by a key.

use super::json;
use crate::class::{Class, Failure};
use crate::limits;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;

/// What comes with a legacy signature, as it is there. Texts that are empty are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegacyEvidence {
    /// The signer's certificate, PEM.
    pub certificate: Option<String>,
    /// Certificates of authorities, PEM.
    pub chain: Option<String>,
    /// The entry of a Rekor v1 log, JSON.
    pub bundle: Option<String>,
    /// A timestamp of RFC 3161, JSON.
    pub timestamp: Option<String>,
}

impl LegacyEvidence {
    /// Returns how many signature checks it can ask for at most, by what is there.
    #[must_use]
    pub fn checks(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        // A certificate and what vouches for it; each further certificate takes half a KiB at
        // least.
        let certificates = length(&self.chain) + length(&self.timestamp);
        let checks = length(&self.certificate).min(4) + certificates / 512 + 1;
        checks.min(limits::SIGNATURE_CHECKS)
    }

    /// Returns how many bytes there are to parse.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [&self.certificate, &self.chain, &self.bundle, &self.timestamp];
        texts.into_iter().flatten().map(String::len).sum()
    }
}

/// An entry of a Rekor v1 log with the log's promise to have it: cosign's `RekorBundle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// What was logged, as these bytes.
    pub body: Vec<u8>,
    /// When, in seconds since 1970.
    pub integrated_time: i64,
    /// At which position.
    pub log_index: u64,
    /// In which log: the SHA-256 of its key's SPKI DER.
    pub log_id: [u8; 32],
    /// The log's signature over the four.
    pub promise: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RekorBundle {
    signed_entry_timestamp: String,
    payload: RekorPayload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RekorPayload {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Rfc3161 {
    #[serde(rename = "SignedRFC3161Timestamp")]
    signed: String,
}

impl LogEntry {
    /// Parses cosign's `RekorBundle`.
    ///
    /// # Errors
    /// `malformed`: another shape, a number below 0, or not base64. `limit`: longer than
    /// [`limits::LOG_ENTRY_BYTES`].
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let what = "the log entry beside the signature";
        let text = within_limit(text, limits::LOG_ENTRY_BYTES, what)?;
        let bundle: RekorBundle =
            json::parse_as(text.as_bytes()).map_err(|failure| failure.within(what))?;
        let malformed = |why: &str| {
            Failure::new(Class::Malformed, format!("{what} has a `logID` that is {why}"))
        };
        let mut log_id = [0; 32];
        let id = bundle.payload.log_id.as_bytes();
        if id.len() != 64 || id.iter().any(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(malformed("not 64 hexadecimal digits"));
        }
        for (byte, digits) in log_id.iter_mut().zip(bundle.payload.log_id.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).map_err(|_| malformed("not hexadecimal"))?;
        }
        if bundle.payload.integrated_time < 0 || i64::try_from(bundle.payload.log_index).is_err() {
            return Err(Failure::new(
                Class::Malformed,
                format!("{what} has a time or position that cannot be"),
            ));
        }
        Ok(Self {
            body: decode(&bundle.payload.body, what)?,
            integrated_time: bundle.payload.integrated_time,
            log_index: bundle.payload.log_index,
            log_id,
            promise: decode(&bundle.signed_entry_timestamp, what)?,
        })
    }
}

/// Returns the DER of a `TimeStampResp` out of cosign's annotation.
///
/// # Errors
/// `malformed`: another shape, or not base64. `limit`: too long.
pub fn read_timestamp(text: &str) -> Result<Vec<u8>, Failure> {
    let what = "the timestamp beside the signature";
    let text = within_limit(text, limits::TOKEN_BYTES, what)?;
    let timestamp: Rfc3161 =
        json::parse_as(text.as_bytes()).map_err(|failure| failure.within(what))?;
    decode(&timestamp.signed, what)
}

/// Returns the DER of the certificates in a PEM text, at least one and nothing else.
///
/// # Errors
/// `malformed`: no PEM, none, or other blocks. `limit`: more than [`limits::CHAIN`].
pub fn read_certificates(text: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let malformed =
        |why: String| Failure::new(Class::Malformed, format!("certificates that are {why}"));
    let blocks = pem::parse_many(within_limit(text, limits::TOKEN_BYTES, "certificates")?)
        .map_err(|error| malformed(format!("not PEM: {error}")))?;
    if blocks.len() > limits::CHAIN {
        return Err(Failure::new(
            Class::Limit,
            format!("{} certificates; at most {} are read", blocks.len(), limits::CHAIN),
        ));
    }
    if blocks.is_empty() {
        return Err(malformed("no PEM block at all".to_owned()));
    }
    let der = |block: pem::Pem| match block.tag() {
        "CERTIFICATE" => Ok(block.into_contents()),
        other => Err(malformed(format!("a PEM block `{other}`"))),
    };
    blocks.into_iter().map(der).collect()
}

fn within_limit<'a>(text: &'a str, most: usize, what: &str) -> Result<&'a str, Failure> {
    if text.len() <= most {
        return Ok(text);
    }
    let found = text.len();
    Err(Failure::new(Class::Limit, format!("{what}: {found} bytes; at most {most} are read")))
}

fn decode(text: &str, what: &str) -> Result<Vec<u8>, Failure> {
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| Failure::new(Class::Malformed, format!("{what} is not base64: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({"SignedEntryTimestamp": "AQI=", "Payload": {"body": "e30=", "integratedTime": 7, "logIndex": 9, "logID": "0a".repeat(32)}})
    }

    #[test]
    fn an_entry_is_read_to_the_letter() {
        let entry = LogEntry::parse(&good().to_string()).unwrap();
        let expected = LogEntry {
            body: b"{}".to_vec(),
            integrated_time: 7,
            log_index: 9,
            log_id: [0x0a; 32],
            promise: vec![1, 2],
        };
        assert_eq!(entry, expected);
        let mut first = good();
        first["Payload"]["integratedTime"] = json!(0);
        first["Payload"]["logIndex"] = json!(0);
        assert_eq!(
            LogEntry::parse(&first.to_string()),
            Ok(LogEntry { integrated_time: 0, log_index: 0, ..expected })
        );
    }

    #[test]
    fn an_entry_of_another_shape_is_malformed() {
        for (pointer, value) in [
            ("/SignedEntryTimestamp", json!("AQI")),
            ("/SignedEntryTimestamp", json!(null)),
            ("/Payload", json!({})),
            ("/Payload/x", json!(1)),
            ("/Payload/body", json!("_-8=")),
            ("/Payload/integratedTime", json!(-1)),
            ("/Payload/integratedTime", json!("7")),
            ("/Payload/integratedTime", json!(7.5)),
            ("/Payload/logIndex", json!(-9)),
            ("/Payload/logIndex", json!(1_u64 << 63)),
            ("/Payload/logID", json!("0A".repeat(32))),
            ("/Payload/logID", json!("+a".repeat(32))),
            ("/Payload/logID", json!("0a".repeat(31))),
        ] {
            let mut entry = good();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            entry.pointer_mut(parent).unwrap()[key] = value;
            let found = LogEntry::parse(&entry.to_string()).map_err(|failure| failure.class());
            assert_eq!(found, Err(Class::Malformed), "{entry}");
        }
        let twice = good().to_string().replacen("\"body\"", "\"body\":\"e30=\",\"body\"", 1);
        assert_eq!(
            LogEntry::parse(&twice).map_err(|failure| failure.class()),
            Err(Class::Malformed)
        );
    }

    #[test]
    fn certificates_are_certificates() {
        let block = |tag: &str| pem::encode(&pem::Pem::new(tag, vec![1, 2, 3]));
        for count in [1, limits::CHAIN] {
            assert_eq!(
                read_certificates(&block("CERTIFICATE").repeat(count)).unwrap(),
                vec![vec![1, 2, 3]; count]
            );
        }
        // PEM may have text in front of it.
        let padded =
            |bytes: usize| "x".repeat(bytes - block("CERTIFICATE").len()) + &block("CERTIFICATE");
        assert!(read_certificates(&padded(limits::TOKEN_BYTES)).is_ok());
        for (text, class) in [
            (String::new(), Class::Malformed),
            (block("PUBLIC KEY"), Class::Malformed),
            (block("CERTIFICATE") + &block("PRIVATE KEY"), Class::Malformed),
            (block("CERTIFICATE").repeat(limits::CHAIN + 1), Class::Limit),
            (padded(limits::TOKEN_BYTES + 1), Class::Limit),
        ] {
            assert_eq!(read_certificates(&text).map_err(|failure| failure.class()), Err(class));
        }
    }
}
