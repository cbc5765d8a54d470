//! Is a bearer token (JSON Web Token, RFC 7519) good, and who is its bearer? Reads the token and the issuer's keys
//! (JSON Web Key Set, RFC 7517), says which key has to have signed it, and judges its claims at a time that is passed
//! in. Only whether the signature is that key's is for the gateway to say, which has the cryptography
//! (`gateway/src/path/identify/jwt/`).
//!
//! Three algorithms are taken, RS256, ES256 and EdDSA with Ed25519: what identity providers sign with. A key belongs to
//! one of them by its type, and a token's own word on its algorithm counts only as far as it agrees with the key, so
//! that `none`, and HS256 with a public key as its secret, come to nothing (RFC 8725, 2.1). Keys that a token brings
//! along or points to (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.

mod bad;
mod base64url;
mod claims;
mod jwks;
mod token;

pub use bad::Bad;
pub use claims::{Bearer, judge};
pub use jwks::{Jwk, Jwks, Material, UnreadableJwks};
pub use token::{Token, is_token};

/// Longest token that is looked into: those of identity providers that put all groups of a user into it have a few KiB.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How a token may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA (PKCS #1 v1.5) with SHA-256.
    Rs256,
    /// ECDSA on the curve P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All that are taken.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name in tokens and keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of a name. RFC 9864 names EdDSA by its curve.
    fn of(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

#[cfg(test)]
mod tests;
