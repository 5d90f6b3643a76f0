//! TLS for the scripted servers. The certificates in `tls/` protect nothing; `tls/make.sh` makes
//! them anew.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
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

fn server(chain: &[u8], key: &[u8]) -> Arc<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}
