//! Certificates and keys as they stand in files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use router_core::config::Secret;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

/// More than any chain or key has: whoever names `/dev/zero` is told so while there is still memory.
const BYTES_MAX: u64 = 1024 * 1024;

/// What is wrong with a listener's certificate, or with its key where that is given.
pub(crate) fn try_identity(certificate: &Path, secret: Option<&Secret>) -> Result<(), String> {
    let chain = chain(certificate)?;
    let (Some(secret), Some(provider)) = (secret, CryptoProvider::get_default()) else { return Ok(()) };
    CertifiedKey::from_der(chain, key(secret)?, provider).map(drop).map_err(|error| told(&error))
}

/// A certificate, and those between it and its authority.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
    let text = read(path).map_err(|error| shown(&error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| shown(&format!("is not PEM: {error}")))?;
    let first = chain.first().ok_or_else(|| shown(&"holds no certificate (PEM)"))?;
    ParsedCertificate::try_from(first).map_err(|error| shown(&error))?;
    Ok(chain)
}

/// A private key. No message shows a part of it.
pub(super) fn key(secret: &Secret) -> Result<PrivateKeyDer<'static>, String> {
    let (place, text) = match secret {
        Secret::Env(name) => {
            let text = std::env::var(name);
            (
                format!("the environment variable {name}"),
                text.map(String::into_bytes).map_err(|_| "is not set".to_owned()),
            )
        }
        Secret::File(path) => (path.display().to_string(), read(path).map_err(|error| error.to_string())),
    };
    let text = text.map_err(|problem| format!("{place}: {problem}"))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&text) => {
            format!("{place}: the key is encrypted; Weir takes one without a passphrase")
        }
        pem::Error::NoItemsFound => format!("{place}: holds no private key (PEM)"),
        // What the library says of other faults may repeat a line.
        _ => format!("{place}: is not PEM"),
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).contains("BEGIN ENCRYPTED PRIVATE KEY")
}

/// What a certificate and a key have against each other.
pub(super) fn told(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key does not belong to the certificate".to_owned()
        }
        other => format!("the key cannot be used: {other}"),
    }
}

/// Whether anybody on this machine may read the file.
pub(super) fn is_open_to_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other("is larger than 1 MiB"));
    }
    Ok(bytes)
}
