//! Certificate authorities, and the certificates that Fulcio makes.
//!
//! Everything about a leaf is a public field: a test takes the good one and spoils what it is
//! about.

use super::ct::Sct;
use super::keys::Key;
use super::{Window, sha256};
use der::asn1::{Any, BitString, Ia5String, ObjectIdentifier, OctetString, UtcTime, Utf8StringRef};
use der::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::der::oid::db::rfc5280;
use x509_cert::ext::pkix::name::{GeneralName, OtherName};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{AsExtension, Extension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

/// `id-kp-codeSigning`, what a certificate by Fulcio is for.
pub const CODE_SIGNING: ObjectIdentifier = rfc5280::ID_KP_CODE_SIGNING;
/// `id-kp-timeStamping`, what a time stamping authority's certificate is for.
pub const TIME_STAMPING: ObjectIdentifier = rfc5280::ID_KP_TIME_STAMPING;
/// The arc of Fulcio's extensions: <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>.
const FULCIO: &str = "1.3.6.1.4.1.57264.1";

/// A key that signs certificates, with its own.
pub struct Authority {
    pub key: Key,
    pub certificate: Certificate,
    serial: AtomicU32,
}

impl Authority {
    /// An authority that signs itself. Names are RFC 4514: `CN=...,O=...`.
    pub fn root(name: &str, window: Window) -> Self {
        let key = Key::p384();
        let extensions = authority_extensions(&key, &key, &[]);
        let tbs = tbs(
            1,
            &key,
            name.parse().unwrap(),
            name.parse().unwrap(),
            window,
            &key.spki(),
            extensions,
        );
        Self { certificate: signed(tbs, &key), key, serial: AtomicU32::new(2) }
    }

    /// An authority under this one, for these purposes alone (all, where there are none).
    pub fn intermediate(&self, name: &str, purposes: &[ObjectIdentifier], window: Window) -> Self {
        let key = Key::p384();
        let certificate = self.certify(
            name.parse().unwrap(),
            &key.spki(),
            window,
            authority_extensions(&key, &self.key, purposes),
            |_| Vec::new(),
        );
        Self { key, certificate, serial: AtomicU32::new(1) }
    }

    /// The certificate in DER.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.to_der().unwrap()
    }

    /// A certificate as Fulcio makes it, for this public key.
    pub fn issue(&self, leaf: &Leaf<'_>, spki: &[u8]) -> Vec<u8> {
        let mut extensions = vec![
            extension(&KeyUsage(KeyUsages::DigitalSignature.into()), true),
            extension(&SubjectKeyIdentifier(key_identifier(spki)), false),
            extension(&authority_identifier(&self.key), false),
        ];
        if !leaf.purposes.is_empty() {
            extensions.insert(1, extension(&ExtendedKeyUsage(leaf.purposes.clone()), false));
        }
        if leaf.authority {
            extensions
                .push(extension(&BasicConstraints { ca: true, path_len_constraint: None }, true));
        }
        if !leaf.names.is_empty() {
            let names = leaf.names.iter().map(San::general).collect();
            // Critical, because there is no subject.
            extensions.push(extension(&SubjectAltName(names), true));
        }
        for (number, value) in &leaf.claims {
            extensions.push(Extension {
                extn_id: format!("{FULCIO}.{number}").parse().unwrap(),
                critical: false,
                extn_value: OctetString::new(value.as_slice()).unwrap(),
            });
        }
        extensions.extend(leaf.others.iter().cloned());
        let key_hash = sha256(&self.key.spki());
        // The log signs what it is shown before the certificate is made, so before its own
        // extension is there.
        let certificate = self.certify(Name::default(), spki, leaf.window, extensions, |tbs| {
            Sct::extension(&leaf.scts, tbs, key_hash).into_iter().collect()
        });
        certificate.to_der().unwrap()
    }

    /// Signs a certificate; `last` gets the encoded body as it is so far, and returns what is to be
    /// added.
    pub fn certify(
        &self,
        subject: Name,
        spki: &[u8],
        window: Window,
        extensions: Vec<Extension>,
        last: impl FnOnce(&[u8]) -> Vec<Extension>,
    ) -> Certificate {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let issuer = self.certificate.tbs_certificate.subject.clone();
        let mut tbs = tbs(serial, &self.key, issuer, subject, window, spki, extensions);
        let more = last(&tbs.to_der().unwrap());
        tbs.extensions.as_mut().unwrap().extend(more);
        signed(tbs, &self.key)
    }
}

/// A certificate that is to be made.
#[derive(Clone)]
pub struct Leaf<'a> {
    /// Who signs it: usually the intermediate.
    pub issuer: &'a Authority,
    pub names: Vec<San>,
    /// Fulcio's extensions: the last number of the OID, and the value as it is in the
    /// extension; see [`claim`].
    pub claims: BTreeMap<u32, Vec<u8>>,
    /// The extended key usages; the extension is left out where there are none.
    pub purposes: Vec<ObjectIdentifier>,
    /// Whether it says `CA:TRUE`.
    pub authority: bool,
    pub window: Window,
    /// What a CT log promised; the extension is left out where there is nothing.
    pub scts: Vec<Sct<'a>>,
    /// Any further extensions, critical ones for example.
    pub others: Vec<Extension>,
}

impl Leaf<'_> {
    /// Sets a claim in the form that Fulcio gives it.
    pub fn claim(&mut self, number: u32, text: &str) {
        self.claims.insert(number, claim(number, text));
    }
}

/// A claim as Fulcio encodes it: the bare text in `.1` to `.6`, a DER `UTF8String` from `.8` on.
pub fn claim(number: u32, text: &str) -> Vec<u8> {
    if number < 7 {
        text.as_bytes().to_vec()
    } else {
        Utf8StringRef::new(text).unwrap().to_der().unwrap()
    }
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum San {
    Email(String),
    Uri(String),
    /// Fulcio's user names: an `otherName` of the type 1.3.6.1.4.1.57264.1.7.
    Other(String),
    Dns(String),
}

impl San {
    /// What Fulcio makes of an identity: a URI where it has a scheme, an e-mail address where it
    /// has an `@`, else a user name.
    pub fn of(identity: &str) -> Self {
        if identity.contains("://") {
            Self::Uri(identity.to_owned())
        } else if identity.contains('@') {
            Self::Email(identity.to_owned())
        } else {
            Self::Other(identity.to_owned())
        }
    }

    fn general(&self) -> GeneralName {
        let ia5 = |text: &str| Ia5String::new(text).unwrap();
        match self {
            Self::Email(text) => GeneralName::Rfc822Name(ia5(text)),
            Self::Uri(text) => GeneralName::UniformResourceIdentifier(ia5(text)),
            Self::Dns(text) => GeneralName::DnsName(ia5(text)),
            Self::Other(text) => GeneralName::OtherName(OtherName {
                type_id: format!("{FULCIO}.7").parse().unwrap(),
                value: Any::encode_from(&Utf8StringRef::new(text).unwrap()).unwrap(),
            }),
        }
    }
}

/// An extension from a type that knows its OID.
pub fn extension(value: &impl AsExtension, critical: bool) -> Extension {
    Extension { critical, ..value.to_extension(&Name::default(), &[]).unwrap() }
}

fn authority_extensions(key: &Key, issuer: &Key, purposes: &[ObjectIdentifier]) -> Vec<Extension> {
    let mut extensions = vec![
        extension(&KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign), true),
        extension(
            &BasicConstraints {
                ca: true,
                path_len_constraint: Some(u8::from(purposes.is_empty())),
            },
            true,
        ),
        extension(&SubjectKeyIdentifier(key_identifier(&key.spki())), false),
        extension(&authority_identifier(issuer), false),
    ];
    if !purposes.is_empty() {
        extensions.push(extension(&ExtendedKeyUsage(purposes.to_vec()), false));
    }
    extensions
}

/// RFC 7093, method 1: a key's identifier is any short digest of it.
pub fn key_identifier(spki: &[u8]) -> OctetString {
    OctetString::new(&sha256(spki)[..20]).unwrap()
}

/// The extension that names the issuer's key.
pub fn authority_identifier(issuer: &Key) -> AuthorityKeyIdentifier {
    AuthorityKeyIdentifier {
        key_identifier: Some(key_identifier(&issuer.spki())),
        ..AuthorityKeyIdentifier::default()
    }
}

fn tbs(
    serial: u32,
    signer: &Key,
    issuer: Name,
    subject: Name,
    window: Window,
    spki: &[u8],
    extensions: Vec<Extension>,
) -> TbsCertificate {
    TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::from(serial),
        signature: signer.signature_algorithm(),
        issuer,
        validity: Validity { not_before: time(window.from), not_after: time(window.until) },
        subject,
        subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(spki).unwrap(),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    }
}

fn signed(tbs_certificate: TbsCertificate, signer: &Key) -> Certificate {
    let signature = signer.sign(&tbs_certificate.to_der().unwrap());
    let signature_algorithm = tbs_certificate.signature.clone();
    Certificate {
        tbs_certificate,
        signature_algorithm,
        signature: BitString::from_bytes(&signature).unwrap(),
    }
}

fn time(at: jiff::Timestamp) -> Time {
    let seconds = u64::try_from(at.as_second()).unwrap();
    Time::UtcTime(UtcTime::from_system_time(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap())
}
