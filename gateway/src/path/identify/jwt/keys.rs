//! The issuer's keys, parsed once so that a check costs what the arithmetic does.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use router_core::identify::jwt::{Bad, Jwk, Jwks, Material, Token, UnreadableJwks};

/// Keys to check tokens with.
#[derive(Debug)]
pub(super) struct Keys {
    /// Which ones these are: no others of the process have the same number.
    pub(super) number: u64,
    pub(super) jwks: Jwks,
    /// In their order.
    parsed: Vec<ParsedPublicKey>,
}

impl Keys {
    /// Those of a set that are what they claim to be.
    pub(super) fn read(text: &[u8]) -> Result<Self, UnreadableJwks> {
        let read = Jwks::read(text)?;
        let count = read.keys.len();
        let usable = read.keys.into_iter().filter_map(|key| parse(&key).map(|parsed| (key, parsed)));
        let (keys, parsed): (Vec<_>, Vec<_>) = usable.unzip();
        if keys.is_empty() {
            return Err(UnreadableJwks::NoneUsable(count));
        }
        Ok(Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), jwks: Jwks { keys }, parsed })
    }

    /// Whether a token is signed by the key that has to have signed it.
    pub(super) fn check(&self, token: &Token<'_>) -> Result<(), Bad> {
        let (index, _) = token.key(&self.jwks)?;
        let key = self.parsed.get(index).ok_or(Bad::Signature)?;
        key.verify_sig(token.signed(), token.signature()).map_err(|_| Bad::Signature)
    }
}

/// A key as the library has it; the algorithm is the key's own, whatever a token says.
fn parse(key: &Jwk) -> Option<ParsedPublicKey> {
    match &key.material {
        Material::Rsa { n, e } => {
            let der = RsaPublicKeyComponents { n, e }.as_der().ok()?;
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()).ok()
        }
        Material::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok(),
        Material::Ed25519(key) => ParsedPublicKey::new(&ED25519, key).ok(),
    }
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);
