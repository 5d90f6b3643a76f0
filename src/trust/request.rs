//! What is asked of Fulcio and of a timestamp authority: a request for a certificate of a key that
//! lives in memory only, and one for a timestamp.
//!
//! RFC 2986: the request proves that we have the key, over nothing that a token says, so no claim of
//! the token has to be guessed; Fulcio takes the name from the token. RFC 3161 section 2.4.1.

use super::private_key::PrivateKey;
use crate::class::{Class, Failure};
use crate::name::Digest;
use aws_lc_rs::rand;
use x509_cert::der::asn1::{Any, BitString, OctetString, Uint};
use x509_cert::der::oid::db::rfc5912::{ECDSA_WITH_SHA_256, ID_SHA_256};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

/// The bytes of a nonce.
const NONCE: usize = 8;

/// Returns a request for a certificate, PEM: without a name or extensions, signed by the key, which is
/// ECDSA P-256.
///
/// # Errors
/// `internal`: it cannot be made.
pub fn certificate_request(key: &PrivateKey) -> Result<String, Failure> {
    let spki = SubjectPublicKeyInfoOwned::from_der(key.public().spki()).map_err(internal)?;
    let info = CertReqInfo {
        version: Version::V1,
        subject: x509_cert::name::Name::default(),
        public_key: spki,
        attributes: x509_cert::attr::Attributes::default(),
    };
    let signature = key.sign(&info.to_der().map_err(internal)?)?;
    let request = CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA_256, parameters: None },
        signature: BitString::from_bytes(&signature).map_err(internal)?,
    };
    let document = request.to_der().map_err(internal)?;
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Ok(pem::encode_config(&pem::Pem::new("CERTIFICATE REQUEST", document), lines))
}

/// A request for a timestamp over a signature, and what its answer has to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampRequest {
    /// The request, DER.
    pub document: Vec<u8>,
    pub(super) nonce: [u8; NONCE],
}

impl StampRequest {
    /// Makes a request for a timestamp over these bytes, with the authority's certificate in it.
    ///
    /// # Errors
    /// `internal`: no randomness.
    pub fn new(signature: &[u8]) -> Result<Self, Failure> {
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce).map_err(internal)?;
        let make = || {
            let hash = AlgorithmIdentifierOwned { oid: ID_SHA_256, parameters: Some(Any::null()) };
            let digest = OctetString::new(Digest::of(signature).bytes().to_vec())?;
            let imprint = vec![Any::encode_from(&hash)?, Any::encode_from(&digest)?];
            vec![
                Any::encode_from(&1_u8)?,
                Any::encode_from(&imprint)?,
                Any::encode_from(&Uint::new(&nonce)?)?,
                Any::encode_from(&true)?,
            ]
            .to_der()
        };
        Ok(Self { document: make().map_err(internal)?, nonce })
    }
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Internal, format!("a request cannot be made: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::key::PublicKey;
    use super::*;

    #[test]
    fn a_request_for_a_certificate_proves_the_key_and_names_nobody() {
        let key = PrivateKey::ephemeral().unwrap();
        let pem = pem::parse(certificate_request(&key).unwrap()).unwrap();
        assert_eq!(pem.tag(), "CERTIFICATE REQUEST");
        let request = CertReq::from_der(pem.contents()).unwrap();
        assert!(request.info.subject.0.is_empty() && request.info.attributes.is_empty());
        let spki = request.info.public_key.to_der().unwrap();
        assert_eq!(spki, key.public().spki());
        let signed = request.info.to_der().unwrap();
        PublicKey::from_spki(&spki)
            .unwrap()
            .verify(&signed, request.signature.raw_bytes())
            .unwrap();
    }

    #[test]
    fn a_request_for_a_timestamp_is_what_rfc_3161_says() {
        let request = StampRequest::new(b"signature").unwrap();
        let parts = Vec::<Any>::from_der(&request.document).unwrap();
        let [version, imprint, nonce, certificates] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(version.decode_as::<u8>().unwrap(), 1);
        let imprint = imprint.decode_as::<Vec<Any>>().unwrap();
        let digest = imprint[1].decode_as::<OctetString>().unwrap();
        assert_eq!(digest.as_bytes(), Digest::of(b"signature").bytes());
        assert_eq!(nonce.decode_as::<Uint>().unwrap(), Uint::new(&request.nonce).unwrap());
        assert!(certificates.decode_as::<bool>().unwrap());
        assert_ne!(StampRequest::new(b"signature").unwrap().nonce, request.nonce);
    }
}
