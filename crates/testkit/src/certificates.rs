//! TLS for the scripted servers. The certificates in `tls/` protect nothing; `tls/make.sh` makes
//! them again.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;

/// The authority that signed them, in PEM.
pub const AUTHORITY: &[u8] = include_bytes!("tls/authority.pem");

/// For `localhost`, `127.0.0.1`, `registry.test`, `store.test`, `inside.test`, `*.hosts.test`,
/// `registry-1.docker.io` and `auth.docker.io`.
pub fn good() -> Arc<ServerConfig> {
    server(include_bytes!("tls/good.pem"), include_bytes!("tls/good.key.pem"))
}

/// The same names, until the end of 2020.
pub fn expired() -> Arc<ServerConfig> {
    server(include_bytes!("tls/expired.pem"), include_bytes!("tls/expired.key.pem"))
}

/// For `elsewhere.example`.
pub fn misnamed() -> Arc<ServerConfig> {
    server(include_bytes!("tls/misnamed.pem"), include_bytes!("tls/misnamed.key.pem"))
}

/// The same names, from 2100.
pub fn not_yet() -> Arc<ServerConfig> {
    server(include_bytes!("tls/not-yet.pem"), include_bytes!("tls/not-yet.key.pem"))
}

/// The good one, and its clients must show one as well.
pub fn wants_client() -> Arc<ServerConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap());
    let (chain, key) = pair(include_bytes!("tls/good.pem"), include_bytes!("tls/good.key.pem"));
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// A certificate that someone made for himself, marked as an authority's.
pub struct Own {
    pub pem: &'static [u8],
    key: &'static [u8],
}

/// For the same names as the good one.
pub const OWN: Own =
    Own { pem: include_bytes!("tls/own.pem"), key: include_bytes!("tls/own.key.pem") };
/// Until the end of 2020.
pub const OWN_EXPIRED: Own = Own {
    pem: include_bytes!("tls/own-expired.pem"),
    key: include_bytes!("tls/own-expired.key.pem"),
};
/// For `elsewhere.example`.
pub const OWN_MISNAMED: Own = Own {
    pem: include_bytes!("tls/own-misnamed.pem"),
    key: include_bytes!("tls/own-misnamed.key.pem"),
};
/// For clients, not for servers.
pub const OWN_FOR_CLIENTS: Own = Own {
    pem: include_bytes!("tls/own-for-clients.pem"),
    key: include_bytes!("tls/own-for-clients.key.pem"),
};

impl Own {
    pub fn server(&self) -> Arc<ServerConfig> {
        server(self.pem, self.key)
    }
}

fn pair(chain: &[u8], key: &[u8]) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(chain).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(key).unwrap())
}

fn server(chain: &[u8], key: &[u8]) -> Arc<ServerConfig> {
    let (chain, key) = pair(chain, key);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}
