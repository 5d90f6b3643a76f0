//! What a file is that was given where another was expected, so that whoever took the wrong one can
//! be told. It names things and decides nothing.

use super::detached::is_old_bundle;
use super::sniff::media_type;
use crate::class::{Class, Failure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use std::fmt;

/// What a file looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing.
    Empty,
    /// HTML, or XML.
    WebPage,
    /// Compressed.
    Gzip,
    /// Text in UTF-16.
    Utf16,
    /// Text in UTF-8 behind a byte order mark.
    ByteOrderMark,
    /// PEM whose ends of lines are written as `\n`.
    EscapedPem,
    /// Base64 of PEM.
    EncodedPem,
    /// PEM: a certificate.
    Certificate,
    /// PEM: a public key.
    PublicKey,
    /// PEM: a private key.
    PrivateKey,
    /// A Sigstore bundle.
    Bundle,
    /// The bundle of cosign 1 and 2.
    OldBundle,
    /// A DSSE envelope.
    Envelope,
    /// A trusted root.
    TrustedRoot,
    /// Metadata of The Update Framework, of this role.
    Tuf(String),
    /// Several JSON documents, one a line.
    JsonLines,
    /// Other JSON.
    Json,
    /// A signature in base64.
    Signature,
    /// A list of digests, as `sha256sum` writes them.
    Sums,
    /// Other text.
    Text,
    /// Other bytes.
    Bytes,
}

impl FileKind {
    /// Looks at a file.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, 8, ..] => return Self::Gzip,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Self::Utf16,
            [0xef, 0xbb, 0xbf, ..] => return Self::ByteOrderMark,
            _ => {}
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Bytes };
        let text = text.trim();
        if text.is_empty() {
            return Self::Empty;
        }
        if matches!(media_type(bytes), "text/html" | "text/xml") || text.starts_with("<!") {
            return Self::WebPage;
        }
        // Before PEM, which is in JSON too.
        json(text).or_else(|| pem(text)).or_else(|| encoded(text)).unwrap_or(if is_sums(text) {
            Self::Sums
        } else {
            Self::Text
        })
    }

    /// Returns what to do with it: where it belongs, or how it becomes what was meant.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Empty => "download it again",
            Self::WebPage => {
                "download the file itself: its address may lead to a page about it, or to a login"
            }
            Self::Gzip => "decompress it first: `gunzip -c FILE > NEW`",
            Self::Utf16 => "convert it first: `iconv -f UTF-16 -t UTF-8 FILE > NEW`",
            Self::ByteOrderMark => {
                "save it as UTF-8 without a byte order mark: `tail -c +4 FILE > NEW`"
            }
            Self::EscapedPem => {
                "write real ends of lines in place of `\\n`: `printf '%b' \"$VARIABLE\" > NEW`"
            }
            Self::EncodedPem => "decode it first: `base64 -d FILE > NEW`",
            Self::Certificate => "name it with --certificate",
            Self::PublicKey => "name it with --key",
            Self::PrivateKey => "a private key signs, and is not part of verifying: use its `.pub`",
            Self::Bundle | Self::OldBundle => "name it with --bundle",
            Self::Envelope | Self::JsonLines => {
                "name it with --bundle of `luet-cosign verify-blob-attestation`"
            }
            Self::TrustedRoot => "name it with --trusted-root",
            Self::Tuf(_) => "name the first root of a TUF repository with TUF_ROOT_JSON",
            Self::Signature => "name it with --signature",
            Self::Sums => "name it with --all, and the signature of the list with --signature",
            Self::Json | Self::Text | Self::Bytes => return None,
        })
    }

    /// Returns the failure for a file that is not what was expected: what it is instead, where that
    /// says more than why it could not be read.
    #[must_use]
    pub fn instead(bytes: &[u8], expected: &str, failure: Failure) -> Failure {
        let kind = Self::of(bytes);
        match kind.hint() {
            Some(hint) if failure.class() != Class::Limit && !kind.is(expected) => {
                Failure::new(failure.class(), format!("{kind}; expected {expected}")).hint(hint)
            }
            _ => failure,
        }
    }

    /// Whether it is what was expected, so that only its reader can say what is wrong with it.
    fn is(&self, expected: &str) -> bool {
        let bundle = matches!(self, Self::OldBundle) && expected == Self::Bundle.to_string();
        bundle || self.to_string() == expected
    }

    /// Whether it can be a bare signature, of this length: any bytes can, and those of some types of
    /// key have a length of their own.
    #[must_use]
    pub fn may_be_signature(&self, length: usize) -> bool {
        match self {
            Self::Gzip | Self::Utf16 => matches!(length, 64 | 256 | 384 | 512),
            // cosign 2 writes an attestation where it writes signatures.
            Self::Signature | Self::Text | Self::Bytes | Self::Envelope => true,
            _ => false,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::WebPage => "a web page",
            Self::Gzip => "a file that is compressed by gzip",
            Self::Utf16 => "text in UTF-16",
            Self::ByteOrderMark => "text behind a byte order mark (BOM)",
            Self::EscapedPem => "PEM whose ends of lines are written as `\\n`",
            Self::EncodedPem => "base64 of a PEM file",
            Self::Certificate => "a certificate",
            Self::PublicKey => "a public key",
            Self::PrivateKey => "a private key",
            Self::Bundle => "a Sigstore bundle",
            Self::OldBundle => "a bundle of cosign 1 or 2",
            Self::Envelope => "a DSSE envelope (an attestation)",
            Self::TrustedRoot => "a trusted root",
            Self::Tuf(role) => {
                let role = crate::class::printable(role);
                return write!(f, "TUF metadata of the role `{role}`");
            }
            Self::JsonLines => "JSON lines (several attestations)",
            Self::Json => "other JSON",
            Self::Signature => "a signature in base64",
            Self::Sums => "a list of digests",
            Self::Text => "other text",
            Self::Bytes => "a binary file",
        })
    }
}

fn pem(text: &str) -> Option<FileKind> {
    let (_, behind) = text.split_once("-----BEGIN ")?;
    let (tag, body) = behind.split_once("-----")?;
    Some(if body.contains("\\n") {
        FileKind::EscapedPem
    } else if tag.ends_with("PRIVATE KEY") {
        FileKind::PrivateKey
    } else if tag == "PUBLIC KEY" {
        FileKind::PublicKey
    } else if tag == "CERTIFICATE" {
        FileKind::Certificate
    } else {
        FileKind::Text
    })
}

fn json(text: &str) -> Option<FileKind> {
    if !text.starts_with('{') && !text.starts_with('[') {
        return None;
    }
    let document = match super::json::parse(text.as_bytes()) {
        Ok(document) => document,
        Err(failure) if failure.class() == Class::Limit => return Some(FileKind::Json),
        Err(_) => {
            let mut lines = text.lines().filter(|line| !line.trim().is_empty());
            let whole = |line: &str| {
                super::json::parse(line.as_bytes()).is_ok_and(|document| document.is_object())
            };
            return Some(if lines.clone().count() > 1 && lines.all(whole) {
                FileKind::JsonLines
            } else {
                FileKind::Text
            });
        }
    };
    let has = |name: &str| document.get(name).is_some();
    let of_type = |name: &str| {
        let found = document.get("mediaType").and_then(Value::as_str);
        found.is_some_and(|found| {
            found.starts_with("application/vnd.dev.sigstore.") && found.contains(name)
        })
    };
    Some(if is_old_bundle(&document) {
        FileKind::OldBundle
    } else if of_type("trustedroot") {
        FileKind::TrustedRoot
    } else if of_type("bundle") || has("verificationMaterial") {
        FileKind::Bundle
    } else if has("payloadType") && has("signatures") {
        FileKind::Envelope
    } else if let Some(role) = document.pointer("/signed/_type").and_then(Value::as_str) {
        FileKind::Tuf(role.to_owned())
    } else {
        FileKind::Json
    })
}

fn encoded(text: &str) -> Option<FileKind> {
    let bare: String = text.split_ascii_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(bare).ok()?;
    match std::str::from_utf8(&bytes).ok().and_then(pem) {
        // So cosign writes it.
        Some(FileKind::Certificate) => Some(FileKind::Certificate),
        Some(_) => Some(FileKind::EncodedPem),
        // The shortest is of P-256, the longest of RSA with 4,096 bits.
        None => matches!(bytes.len(), 64..=512).then_some(FileKind::Signature),
    }
}

fn is_sums(text: &str) -> bool {
    text.lines().next().and_then(|line| line.split_once(' ')).is_some_and(|(digest, name)| {
        matches!(digest.len(), 64 | 96 | 128)
            && digest.bytes().all(|c| c.is_ascii_hexdigit())
            && !name.trim().is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_what_they_are() {
        let hex = "0a".repeat(32);
        let pem = |tag: &str| format!("-----BEGIN {tag}-----\nMIIB\n-----END {tag}-----\n");
        let key = pem("PUBLIC KEY");
        let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: [(Vec<u8>, FileKind); 23] = [
            (b" \n".to_vec(), FileKind::Empty),
            (b"\n<!doctype html><title>Sign in</title>".to_vec(), FileKind::WebPage),
            (b"<?xml version=\"1.0\"?><Error/>".to_vec(), FileKind::WebPage),
            (b"\x1f\x8b\x08\x00".to_vec(), FileKind::Gzip),
            (utf16, FileKind::Utf16),
            (b"\xef\xbb\xbf{}".to_vec(), FileKind::ByteOrderMark),
            (key.as_bytes().to_vec(), FileKind::PublicKey),
            (key.replace('\n', "\\n").as_bytes().to_vec(), FileKind::EscapedPem),
            (BASE64_STANDARD.encode(&key).as_bytes().to_vec(), FileKind::EncodedPem),
            (pem("CERTIFICATE").as_bytes().to_vec(), FileKind::Certificate),
            (pem("ENCRYPTED SIGSTORE PRIVATE KEY").as_bytes().to_vec(), FileKind::PrivateKey),
            (
                b"{\"mediaType\": \"application/vnd.dev.sigstore.bundle.v0.3+json\"}".to_vec(),
                FileKind::Bundle,
            ),
            (b"{\"base64Signature\": \"x\"}".to_vec(), FileKind::OldBundle),
            (
                b"{\"payloadType\": \"x\", \"payload\": \"\", \"signatures\": []}".to_vec(),
                FileKind::Envelope,
            ),
            (
                b"{\"mediaType\": \"application/vnd.dev.sigstore.trustedroot+json;version=0.1\"}"
                    .to_vec(),
                FileKind::TrustedRoot,
            ),
            (
                b"{\"signed\": {\"_type\": \"timestamp\"}}".to_vec(),
                FileKind::Tuf("timestamp".into()),
            ),
            (b"{\"a\": 1}\n\n{\"a\": 2}\n".to_vec(), FileKind::JsonLines),
            (b"{\"a\": 1}".to_vec(), FileKind::Json),
            (b"{\"a\": 1".to_vec(), FileKind::Text),
            (BASE64_STANDARD.encode([7; 71]).as_bytes().to_vec(), FileKind::Signature),
            (format!("{hex}  app\n").as_bytes().to_vec(), FileKind::Sums),
            (b"hello".to_vec(), FileKind::Text),
            (b"\x30\x45\x02\x21\x00\xff".to_vec(), FileKind::Bytes),
        ];
        for (bytes, expected) in cases {
            assert_eq!(FileKind::of(&bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn no_signature_is_taken_for_something_else() {
        let mut raw = [0x91_u8; 256];
        raw[..3].copy_from_slice(&[0x1f, 0x8b, 8]);
        assert!(FileKind::of(&raw).may_be_signature(raw.len()));
        assert!(FileKind::of(&raw[..64]).may_be_signature(64));
        assert!(!FileKind::of(&raw[..65]).may_be_signature(65));
        assert!(FileKind::of(&[0x30, 0x45, 0xff]).may_be_signature(3));
    }
}
