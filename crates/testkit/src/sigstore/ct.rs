//! A certificate transparency log, as far as a certificate shows it: the promises (SCTs) in it. RFC
//! 6962, sections 3.2 and 3.3.

use super::keys::Key;
use der::Encode;
use der::asn1::{ObjectIdentifier, OctetString};
use jiff::Timestamp;
use x509_cert::ext::Extension;

/// The extension that holds the promises.
const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// A log's key.
pub struct CtLog {
    pub key: Key,
}

impl CtLog {
    pub fn new() -> Self {
        Self { key: Key::p256() }
    }
}

/// A promise that is to be made.
#[derive(Clone, Copy)]
pub struct Sct<'a> {
    pub log: &'a CtLog,
    pub at: Timestamp,
    /// The digest of the issuer's key that the log signs, where it is not the real issuer's.
    pub issuer: Option<[u8; 32]>,
}

impl Sct<'_> {
    /// The extension with these promises about a certificate's body; nothing where there are none.
    pub fn extension(scts: &[Self], tbs: &[u8], issuer: [u8; 32]) -> Option<Extension> {
        if scts.is_empty() {
            return None;
        }
        let list: Vec<u8> =
            scts.iter().flat_map(|sct| sized(2, &sct.encode(tbs, issuer))).collect();
        let value = OctetString::new(sized(2, &list)).unwrap().to_der().unwrap();
        Some(Extension {
            extn_id: SCT_LIST,
            critical: false,
            extn_value: OctetString::new(value).unwrap(),
        })
    }

    /// `SignedCertificateTimestamp`, over what section 3.2 calls `digitally-signed`.
    fn encode(&self, tbs: &[u8], issuer: [u8; 32]) -> Vec<u8> {
        const V1: u8 = 0;
        const CERTIFICATE_TIMESTAMP: u8 = 0;
        const PRECERT_ENTRY: [u8; 2] = [0, 1];
        const NO_EXTENSIONS: [u8; 2] = [0, 0];
        const SHA256_ECDSA: [u8; 2] = [4, 3];
        let time = u64::try_from(self.at.as_millisecond()).unwrap().to_be_bytes();
        let issuer = self.issuer.unwrap_or(issuer);
        let signed = [
            &[V1, CERTIFICATE_TIMESTAMP][..],
            &time,
            &PRECERT_ENTRY,
            &issuer,
            &sized(3, tbs),
            &NO_EXTENSIONS,
        ]
        .concat();
        let signature = sized(2, &self.log.key.sign(&signed));
        [&[V1][..], &self.log.key.id(), &time, &NO_EXTENSIONS, &SHA256_ECDSA, &signature].concat()
    }
}

/// A vector in TLS' presentation language: its length in so many bytes, then itself.
fn sized(bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - bytes..], content].concat()
}
