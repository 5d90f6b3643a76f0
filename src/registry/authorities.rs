//! Whom TLS trusts: authorities, and certificates that were named byte for byte.
//!
//! The library refuses a server certificate that is marked as an authority's (`CA:TRUE`), as most
//! that are made with one command of openssl are. luet, crane and curl accept such a one where it
//! is among those that the user named. So does this, for certificates out of `registries.ca` and
//! `SSL_CERT_FILE`, never for those of the system; name, dates and purpose count as ever.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_SERVER_AUTH};
use x509_cert::ext::pkix::ExtendedKeyUsage;

/// The library's verifier, and certificates that were named.
#[derive(Debug)]
pub(super) struct Authorities {
    pub(super) authorities: Arc<WebPkiServerVerifier>,
    pub(super) named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refused = match self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        if !self.named.iter().any(|named| named == end_entity) {
            return Err(refused);
        }
        check_own(end_entity, server_name, now, refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Judges a certificate that was named byte for byte: one that someone made for himself, for this
/// name, now, and for servers where it says what it is for.
fn check_own(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
    refused: Error,
) -> Result<(), Error> {
    let parsed = Certificate::from_der(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?
        .tbs_certificate;
    if parsed.issuer != parsed.subject {
        return Err(refused);
    }
    let seconds = |time: x509_cert::time::Time| UnixTime::since_unix_epoch(time.to_unix_duration());
    let (not_before, not_after) =
        (seconds(parsed.validity.not_before), seconds(parsed.validity.not_after));
    if now < not_before {
        let why = CertificateError::NotValidYetContext { time: now, not_before };
        return Err(Error::InvalidCertificate(why));
    }
    if now > not_after {
        return Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
            time: now,
            not_after,
        }));
    }
    let purposes = parsed
        .get::<ExtendedKeyUsage>()
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    if let Some((_, ExtendedKeyUsage(purposes))) = purposes
        && !purposes.contains(&ID_KP_SERVER_AUTH)
        && !purposes.contains(&ANY_EXTENDED_KEY_USAGE)
    {
        return Err(Error::InvalidCertificate(CertificateError::InvalidPurpose));
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
}

/// Has no certificate to show, and keeps in mind that someone asked for one.
#[derive(Debug, Default)]
pub(super) struct NoCertificate(pub(super) Arc<AtomicBool>);

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
