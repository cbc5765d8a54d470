//! Certificates and keys as they stand in files.

use std::fmt::Display;
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

/// Why what stands in a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It could not be read, which may pass.
    #[error("{0}")]
    Unread(String),
    /// It was read, and is wrong until it is another one.
    #[error("{0}")]
    Wrong(String),
}

impl Fault {
    /// With the place of what cannot be used in front.
    pub(super) fn at(self, place: &dyn Display) -> Self {
        match self {
            Self::Unread(why) => Self::Unread(format!("{place}: {why}")),
            Self::Wrong(why) => Self::Wrong(format!("{place}: {why}")),
        }
    }
}

/// What is wrong with a listener's certificate, or with its key where that is given.
pub(crate) fn try_identity(certificate: &Path, secret: Option<&Secret>) -> Result<(), String> {
    let told_of = |fault: Fault| fault.to_string();
    let chain = chain(certificate).map_err(told_of)?;
    let (Some(secret), Some(provider)) = (secret, CryptoProvider::get_default()) else { return Ok(()) };
    let key = key(secret).map_err(told_of)?;
    CertifiedKey::from_der(chain, key, provider).map(drop).map_err(|error| told(&error))
}

/// A certificate, and those between it and its authority.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let shown = |problem: &dyn Display| Fault::Wrong(format!("{}: {problem}", path.display()));
    let text = text(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| shown(&format!("is not PEM: {error}")))?;
    let first = chain.first().ok_or_else(|| shown(&"holds no certificate (PEM)"))?;
    ParsedCertificate::try_from(first).map_err(|error| shown(&error))?;
    Ok(chain)
}

/// A private key. No message shows a part of it.
pub(super) fn key(secret: &Secret) -> Result<PrivateKeyDer<'static>, Fault> {
    let (place, text) = match secret {
        Secret::Env(name) => {
            let text = std::env::var(name);
            let place = format!("the environment variable {name}");
            let unset = |_| Fault::Wrong(format!("{place}: is not set"));
            let text = text.map(String::into_bytes).map_err(unset)?;
            (place, text)
        }
        Secret::File(path) => (path.display().to_string(), text(path)?),
    };
    let problem = |error| match error {
        pem::Error::NoItemsFound if is_encrypted(&text) => {
            format!("{place}: the key is encrypted; Weir takes one without a passphrase")
        }
        pem::Error::NoItemsFound => format!("{place}: holds no private key (PEM)"),
        // What the library says of other faults may repeat a line.
        _ => format!("{place}: is not PEM"),
    };
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| Fault::Wrong(problem(error)))
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

/// What a file holds.
pub(super) fn text(path: &Path) -> Result<Vec<u8>, Fault> {
    read(path).map_err(|error| Fault::Unread(format!("{}: {error}", path.display())))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other("is larger than 1 MiB"));
    }
    Ok(bytes)
}
