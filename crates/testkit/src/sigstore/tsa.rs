//! A time stamping authority: RFC 3161 tokens, which are CMS (RFC 5652).

use super::ca::{self, Authority, TIME_STAMPING};
use super::keys::Key;
use super::{Window, sha256};
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier,
    SignerInfo, SignerInfos,
};
use der::asn1::{
    Any, GeneralizedTime, Int, ObjectIdentifier, OctetString, OctetStringRef, SetOfVec, Uint,
};
use der::{Decode, Encode, Sequence};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use x509_cert::attr::Attribute;
use x509_cert::certificate::Certificate;
use x509_cert::der::oid::db::{rfc5911, rfc5912};
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;

const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
/// The policy that Sigstore's own authority names.
const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2");

/// An authority: a root, and a certificate under it that signs tokens.
pub struct Tsa {
    pub root: Authority,
    pub key: Key,
    pub certificate: Certificate,
    serial: AtomicU8,
}

impl Tsa {
    pub fn new(window: Window) -> Self {
        Self::with(
            Authority::root("CN=test-tsa-root,O=sigstore.test", window),
            &[TIME_STAMPING],
            window,
        )
    }

    /// An authority of other names.
    pub fn foreign(window: Window) -> Self {
        let root = Authority::root("CN=foreign-tsa-root,O=elsewhere.test", window);
        Self::with(root, &[TIME_STAMPING], window)
    }

    /// An authority under another root, for other purposes (none: the extension is left out), or
    /// for a shorter time.
    pub fn with(root: Authority, purposes: &[ObjectIdentifier], window: Window) -> Self {
        let key = Key::p256();
        let mut extensions = vec![
            ca::extension(&KeyUsage(KeyUsages::DigitalSignature.into()), true),
            ca::extension(&SubjectKeyIdentifier(ca::key_identifier(&key.spki())), false),
            ca::extension(&ca::authority_identifier(&root.key), false),
        ];
        if !purposes.is_empty() {
            extensions.push(ca::extension(&ExtendedKeyUsage(purposes.to_vec()), true));
        }
        let certificate = root.certify(
            "CN=test-tsa,O=sigstore.test".parse().unwrap(),
            &key.spki(),
            window,
            extensions,
            |_| Vec::new(),
        );
        Self { root, key, certificate, serial: AtomicU8::new(1) }
    }

    /// The certificate in DER.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.to_der().unwrap()
    }

    /// A token for these bytes (for Sigstore: the raw signature), without the authority's
    /// certificate.
    pub fn stamp(&self, bytes: &[u8], at: Timestamp) -> Vec<u8> {
        Stamp::new(self, bytes, at).encode()
    }
}

/// A token that is to be made.
#[derive(Clone)]
pub struct Stamp<'a> {
    /// Who sign it: usually one.
    pub signers: Vec<&'a Tsa>,
    /// The SHA-256 digest of what it is for.
    pub imprint: [u8; 32],
    pub at: Timestamp,
    /// What the request asked to be repeated.
    pub nonce: Option<Vec<u8>>,
    /// The certificates in it, in DER.
    pub certificates: Vec<Vec<u8>>,
    /// Whom the signers call themselves, where not what they are called: nobody signs that part.
    pub called: Option<&'a Tsa>,
}

impl<'a> Stamp<'a> {
    pub fn new(tsa: &'a Tsa, bytes: &[u8], at: Timestamp) -> Self {
        Self {
            signers: vec![tsa],
            imprint: sha256(bytes),
            at,
            nonce: None,
            certificates: Vec::new(),
            called: None,
        }
    }

    /// The same with the certificate of each signer in it.
    pub fn with_certificates(mut self) -> Self {
        self.certificates = self.signers.iter().map(|tsa| tsa.der()).collect();
        self
    }

    /// The answer of an authority (`TimeStampResp`), in DER.
    pub fn encode(&self) -> Vec<u8> {
        let serial =
            self.signers.first().map_or(0, |tsa| tsa.serial.fetch_add(1, Ordering::Relaxed) & 0x7f);
        let info = TstInfo {
            version: 1,
            policy: POLICY,
            message_imprint: MessageImprint {
                hash_algorithm: sha256_algorithm(),
                hashed_message: octets(&self.imprint),
            },
            serial_number: Int::new(&[serial]).unwrap(),
            gen_time: generalized(self.at),
            accuracy: Some(Accuracy { seconds: 1 }),
            nonce: self.nonce.as_ref().map(|nonce| Uint::new(nonce).unwrap()),
        };
        let info = info.to_der().unwrap();
        let certificates: Vec<_> = self
            .certificates
            .iter()
            .map(|der| CertificateChoices::Certificate(Certificate::from_der(der).unwrap()))
            .collect();
        let signed = SignedData {
            version: CmsVersion::V3,
            digest_algorithms: set(vec![sha256_algorithm()]),
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: TST_INFO,
                econtent: Some(Any::encode_from(&OctetStringRef::new(&info).unwrap()).unwrap()),
            },
            certificates: (!certificates.is_empty()).then(|| CertificateSet(set(certificates))),
            crls: None,
            signer_infos: SignerInfos(set(self
                .signers
                .iter()
                .map(|tsa| signer_info(tsa, self.called.unwrap_or(tsa), &info, self.at))
                .collect())),
        };
        let token = ContentInfo {
            content_type: rfc5911::ID_SIGNED_DATA,
            content: Any::encode_from(&signed).unwrap(),
        };
        TimeStampResp { status: PkiStatusInfo { status: 0 }, time_stamp_token: Some(token) }
            .to_der()
            .unwrap()
    }
}

/// RFC 5652, section 5.4: what is signed are the attributes, as a set of their own, one of which is
/// the digest of the content.
fn signer_info(tsa: &Tsa, called: &Tsa, info: &[u8], at: Timestamp) -> SignerInfo {
    let own = EssCertIdV2 { cert_hash: octets(&sha256(&tsa.certificate.to_der().unwrap())) };
    let attributes: SignedAttributes = set(vec![
        attribute(rfc5911::ID_CONTENT_TYPE, &TST_INFO),
        attribute(rfc5911::ID_SIGNING_TIME, &generalized(at)),
        attribute(rfc5911::ID_MESSAGE_DIGEST, &octets(&sha256(info))),
        attribute(SIGNING_CERTIFICATE_V2, &SigningCertificateV2 { certs: vec![own] }),
    ]);
    let signature = tsa.key.sign(&attributes.to_der().unwrap());
    let body = &called.certificate.tbs_certificate;
    SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: body.issuer.clone(),
            serial_number: body.serial_number.clone(),
        }),
        digest_alg: sha256_algorithm(),
        signed_attrs: Some(attributes),
        signature_algorithm: tsa.key.signature_algorithm(),
        signature: octets(&signature),
        unsigned_attrs: None,
    }
}

fn attribute(oid: ObjectIdentifier, value: &(impl Encode + der::Tagged)) -> Attribute {
    Attribute { oid, values: set(vec![Any::from_der(&value.to_der().unwrap()).unwrap()]) }
}

fn sha256_algorithm() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: rfc5912::ID_SHA_256, parameters: None }
}

fn octets(bytes: &[u8]) -> OctetString {
    OctetString::new(bytes).unwrap()
}

fn set<T: der::DerOrd>(items: Vec<T>) -> SetOfVec<T> {
    SetOfVec::try_from(items).unwrap()
}

fn generalized(at: Timestamp) -> GeneralizedTime {
    let seconds = u64::try_from(at.as_second()).unwrap();
    GeneralizedTime::from_system_time(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap()
}

#[derive(Sequence)]
struct TimeStampResp {
    status: PkiStatusInfo,
    #[asn1(optional = "true")]
    time_stamp_token: Option<ContentInfo>,
}

#[derive(Sequence)]
struct PkiStatusInfo {
    status: u8,
}

/// `ordering`, `tsa` and `extensions` have their defaults: not there.
#[derive(Sequence)]
struct TstInfo {
    version: u8,
    policy: ObjectIdentifier,
    message_imprint: MessageImprint,
    serial_number: Int,
    gen_time: GeneralizedTime,
    #[asn1(optional = "true")]
    accuracy: Option<Accuracy>,
    #[asn1(optional = "true")]
    nonce: Option<Uint>,
}

#[derive(Sequence)]
struct MessageImprint {
    hash_algorithm: AlgorithmIdentifierOwned,
    hashed_message: OctetString,
}

#[derive(Sequence)]
struct Accuracy {
    seconds: u8,
}

/// RFC 5035: which certificate is meant, so that none of the same name can take its place.
#[derive(Sequence)]
struct SigningCertificateV2 {
    certs: Vec<EssCertIdV2>,
}

/// The digest is SHA-256 by default, so nothing says it.
#[derive(Sequence)]
struct EssCertIdV2 {
    cert_hash: OctetString,
}
