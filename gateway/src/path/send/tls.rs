//! TLS towards upstreams.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// What is spoken over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A client that trusts the authorities in `ca` (PEM), or the system's. The error says what is wrong with them.
pub(crate) fn client(ca: Option<&Path>, protocol: Protocol) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca {
        Some(path) => authorities(path).map_err(|problem| format!("{}: {problem}", path.display()))?,
        None => from_system()?,
    };
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // Only the one that is meant, so that nothing else can come about.
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(config))
}

/// The certificate authorities in a file (PEM).
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, String> {
    authorities_in(&fs::read(path).map_err(|error| error.to_string())?)
}

/// The certificate authorities in what a file holds (PEM).
pub(crate) fn authorities_in(text: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("holds no certificate".into()) } else { Ok(roots) }
}

fn from_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // Some of a system's certificates are often unusable; only none at all is a fault.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        Err("not set, and the system has no certificate authorities".into())
    } else {
        Ok(roots)
    }
}
