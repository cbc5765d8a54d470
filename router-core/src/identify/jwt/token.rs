//! A token taken apart: what its head says of the signature, and what was signed.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::jwks::{Jwk, Jwks};
use super::{Algorithm, Bad, TOKEN_BYTES_MAX, base64url};

/// A token whose head can be read. Its claims are worth nothing before its signature has been checked.
pub struct Token<'t> {
    algorithm: Algorithm,
    kid: Option<String>,
    /// Head and claims as they stand in the token, which is what was signed.
    signed: &'t [u8],
    claims: &'t [u8],
    signature: Vec<u8>,
}

/// What is read of a head.
#[derive(Deserialize)]
struct Head {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

/// Whether a credential looks like a token: three parts in base64 with dots between them, of which the last, the
/// signature, may be empty.
#[must_use]
pub fn is_token(credential: &[u8]) -> bool {
    let mut parts = credential.split(|byte| *byte == b'.');
    let mut next = |least: usize| {
        let part = parts.next();
        part.is_some_and(|part| {
            part.len() >= least && part.iter().all(|letter| base64url::is_letter(*letter))
        })
    };
    next(1) && next(1) && next(0) && parts.next().is_none()
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// What is wrong with its form, or an algorithm that is not taken.
    pub fn read(text: &'t [u8]) -> Result<Self, Bad> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Bad::TooLong { bytes: text.len() });
        }
        let malformed = |fault| Bad::Malformed { fault };
        let mut parts = text.split(|byte| *byte == b'.');
        let (Some(head), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("it has not three parts"));
        };
        let (signed, _) = text.split_at(head.len() + 1 + claims.len());
        let head = base64url::decode(head).ok_or_else(|| malformed("its head is not in base64url"))?;
        let head: Head = serde_json::from_slice(&head)
            .map_err(|_| malformed("its head is no JSON object with an `alg`"))?;
        let algorithm = algorithm(&head.alg)?;
        if head.crit.is_some() {
            return Err(Bad::Critical);
        }
        let signature = base64url::decode(signature);
        let signature = signature.ok_or_else(|| malformed("its signature is not in base64url"))?;
        Ok(Self { algorithm, kid: head.kid, signed, claims, signature })
    }

    /// The key that has to have signed it.
    ///
    /// # Errors
    ///
    /// An unknown key id, or a key for another algorithm.
    pub fn key<'k>(&self, keys: &'k Jwks) -> Result<(usize, &'k Jwk), Bad> {
        let keys = keys.keys.iter().enumerate();
        let Some(kid) = &self.kid else {
            let mut fit = keys.filter(|(_, key)| key.algorithm() == self.algorithm);
            return match (fit.next(), fit.count()) {
                (Some(only), 0) => Ok(only),
                (first, more) => Err(Bad::NoKeyId { keys: usize::from(first.is_some()) + more }),
            };
        };
        let mut named = keys.filter(|(_, key)| key.kid.as_ref() == Some(kid)).peekable();
        let first = named.peek().map(|(_, key)| key.algorithm());
        let of_key = first.ok_or_else(|| Bad::UnknownKey { kid: shown(kid) })?;
        // Key ids may be the same for keys of different types (RFC 7517, 4.5).
        named
            .find(|(_, key)| key.algorithm() == self.algorithm)
            .ok_or_else(|| Bad::WrongKey { algorithm: self.algorithm.name(), of_key: of_key.name() })
    }

    /// What was signed.
    #[must_use]
    pub fn signed(&self) -> &'t [u8] {
        self.signed
    }

    /// The signature over it.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The claims as JSON, for a token whose signature is right.
    ///
    /// # Errors
    ///
    /// Claims that are not in base64url.
    pub(super) fn claims(&self) -> Result<Vec<u8>, Bad> {
        base64url::decode(self.claims).ok_or(Bad::Malformed { fault: "its claims are not in base64url" })
    }
}

fn algorithm(name: &str) -> Result<Algorithm, Bad> {
    if name.eq_ignore_ascii_case("none") {
        return Err(Bad::Unsigned);
    }
    Algorithm::of(name).ok_or_else(|| {
        let known = REFUSED.into_iter().find(|known| *known == name);
        Bad::Algorithm { algorithm: known.unwrap_or("an unknown algorithm") }
    })
}

/// A key id as a log may show it, with what leads to it.
fn shown(kid: &str) -> String {
    let short = !kid.is_empty() && kid.len() <= KID_SHOWN_BYTES_MAX;
    if short && kid.bytes().all(|byte| byte.is_ascii_graphic()) { format!(" {kid}") } else { String::new() }
}

/// Key ids are hashes, dates or small numbers.
const KID_SHOWN_BYTES_MAX: usize = 64;

/// The other algorithms that tokens are signed with (RFC 7518, 3.1; RFC 8812).
const REFUSED: [&str; 10] =
    ["HS256", "HS384", "HS512", "RS384", "RS512", "ES384", "ES512", "PS256", "PS384", "PS512"];

impl std::fmt::Debug for Token<'_> {
    /// Nothing of the token itself.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Token").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
