//! An issuer's keys. One that cannot be used (for another purpose, of another type, too short) is passed over, since
//! issuers keep keys of many kinds in one set; a set without any that can is an error.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Algorithm, base64url};

/// The keys of a set that can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks {
    /// In the set's order.
    pub keys: Vec<Jwk>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// The key id that tokens name it by.
    pub kid: Option<String>,
    /// The public key.
    pub material: Material,
}

/// A public key, numbers in big-endian order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// For RS256.
    Rsa {
        /// Modulus, without leading zeros.
        n: Vec<u8>,
        /// Exponent, without leading zeros.
        e: Vec<u8>,
    },
    /// For ES256: a point on P-256, uncompressed (SEC 1, 2.3.3).
    P256([u8; 65]),
    /// For EdDSA.
    Ed25519([u8; 32]),
}

/// Why a text is no set of keys that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableJwks {
    /// Not what RFC 7517 says.
    #[error("it is no JSON object with a list `keys`")]
    NotJwks,
    /// More keys than any issuer has.
    #[error("it has {0} keys, more than {KEYS_MAX}")]
    TooMany(usize),
    /// Nothing to check a token with.
    #[error("none of its {0} keys can be used; RSA of 2048 to 8192 bits, EC on P-256 and Ed25519 can")]
    NoneUsable(usize),
}

/// A set. Its keys are looked at one by one, so that a strange one does not spoil the others.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// A key as it stands there.
#[derive(Deserialize)]
struct Raw {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

impl Jwks {
    /// Reads a set.
    ///
    /// # Errors
    ///
    /// Text that is no set, or a set without a key that could be used.
    pub fn read(text: &[u8]) -> Result<Self, UnreadableJwks> {
        let set: Set = serde_json::from_slice(text).map_err(|_| UnreadableJwks::NotJwks)?;
        let count = set.keys.len();
        if count > KEYS_MAX {
            return Err(UnreadableJwks::TooMany(count));
        }
        let keys: Vec<Jwk> = set.keys.into_iter().filter_map(Jwk::read).collect();
        if keys.is_empty() { Err(UnreadableJwks::NoneUsable(count)) } else { Ok(Self { keys }) }
    }

    /// How long a set that came with this `cache-control`, and is so old already (`age`), may be kept: within bounds,
    /// since too short a time would load the issuer, and too long a one would keep a key that it has withdrawn.
    #[must_use]
    pub fn kept_for(cache_control: &[u8], age_s: u64) -> Duration {
        let named = |directive: &&[u8]| directive.trim_ascii().to_ascii_lowercase();
        let directives: Vec<Vec<u8>> =
            cache_control.split(|byte| *byte == b',').map(|one| named(&one)).collect();
        if directives.iter().any(|one| one == b"no-cache" || one == b"no-store") {
            return KEPT_LEAST;
        }
        let seconds = directives.iter().find_map(|one| {
            let seconds = one.strip_prefix(b"max-age=")?;
            std::str::from_utf8(seconds).ok()?.trim_matches('"').parse::<u64>().ok()
        });
        let kept = seconds.map_or(KEPT_USUALLY, |seconds| Duration::from_secs(seconds.saturating_sub(age_s)));
        kept.clamp(KEPT_LEAST, KEPT_MOST)
    }
}

impl Jwk {
    /// What tokens are signed with by its other half.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// A key that can be used.
    fn read(value: Value) -> Option<Self> {
        let raw: Raw = serde_json::from_value(value).ok()?;
        let signs = raw.usage.as_deref().is_none_or(|usage| usage == "sig")
            && raw.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let material = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", _) => rsa(&raw.n, &raw.e)?,
            ("EC", Some("P-256")) => p256(&raw.x, &raw.y)?,
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&raw.x)?),
            _ => return None,
        };
        let key = Self { kid: raw.kid, material };
        let agrees = raw.alg.is_none_or(|alg| Algorithm::of(&alg) == Some(key.algorithm()));
        (signs && agrees).then_some(key)
    }
}

fn rsa(n: &str, e: &str) -> Option<Material> {
    let number = |text: &str| {
        let bytes = base64url::decode(text.as_bytes())?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros..).map(<[u8]>::to_vec)
    };
    let (n, e) = (number(n)?, number(e)?);
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    // An exponent of more than 32 bits is nobody's, and makes every check slow.
    let sane = (RSA_BITS.0..=RSA_BITS.1).contains(&bits) && (1..=4).contains(&e.len());
    sane.then_some(Material::Rsa { n, e })
}

fn p256(x: &str, y: &str) -> Option<Material> {
    let (x, y): ([u8; 32], [u8; 32]) = (bytes(x)?, bytes(y)?);
    let mut point = [4; 65];
    point[1..33].copy_from_slice(&x);
    point[33..].copy_from_slice(&y);
    Some(Material::P256(point))
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    base64url::decode(text.as_bytes())?.try_into().ok()
}

/// RFC 7518, 3.3, asks for 2048 at least; longer keys than 8192 are nobody's, and slow.
const RSA_BITS: (usize, usize) = (2048, 8192);
/// Issuers have two to five.
const KEYS_MAX: usize = 1000;
/// How long a set is kept that says nothing of it.
const KEPT_USUALLY: Duration = Duration::from_secs(600);
/// How long one is kept at least.
const KEPT_LEAST: Duration = Duration::from_secs(60);
/// How long one is kept at most.
const KEPT_MOST: Duration = Duration::from_secs(24 * 3600);
