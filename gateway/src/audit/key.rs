//! The key that signs lines of the audit log, and the public one that checks them: Ed25519, as PEM.

use std::fmt;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use router_core::config::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, 4).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signs. Its `Debug` shows nothing of it.
pub(crate) struct SigningKey(Ed25519KeyPair);

/// Checks.
#[derive(Debug)]
pub(crate) struct PublicKey(UnparsedPublicKey<Vec<u8>>);

impl SigningKey {
    /// Reads it from where the configuration says that it is.
    pub(crate) fn read(secret: &Secret) -> Result<Self, String> {
        let pem = match secret {
            Secret::Env(name) => std::env::var(name)
                .map(String::into_bytes)
                .map_err(|_| format!("the environment variable {name} is not set"))?,
            Secret::File(path) => {
                std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?
            }
        };
        let wanted = "it is no Ed25519 private key in PEM, as `openssl genpkey -algorithm ed25519` writes it";
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| wanted)?;
        Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).map(Self).map_err(|_| wanted.into())
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(***)")
    }
}

impl PublicKey {
    /// Reads it from a file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let pem = std::fs::read(path).map_err(|error| error.to_string())?;
        let wanted = "no Ed25519 public key in PEM, as `openssl pkey -pubout` writes it";
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&pem).map_err(|_| wanted)?;
        let key = der.strip_prefix(&SPKI_HEAD).filter(|key| key.len() == 32).ok_or(wanted)?;
        Ok(Self(UnparsedPublicKey::new(&ED25519, key.to_vec())))
    }

    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.0.verify(bytes, signature).is_ok()
    }
}
