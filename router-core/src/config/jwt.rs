//! Whose bearer tokens are taken: the checked section `identity.jwt`.

use std::path::PathBuf;
use std::time::Duration;

use super::Endpoint;

/// The issuer whose bearer tokens (JSON Web Tokens) are taken, and what they say of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// The `iss` that tokens have.
    pub issuer: String,
    /// The `aud` of which tokens have one; at least one.
    pub audience: Vec<String>,
    /// Where the issuer's keys are.
    pub jwks: JwksSource,
    /// Certificate authorities (PEM) to trust for the keys' URL in place of the system's.
    pub ca: Option<PathBuf>,
    /// How far the issuer's clock may be off.
    pub skew: Duration,
    /// Which claims say what of a caller.
    pub claims: Claims,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// In a file.
    File(PathBuf),
    /// At an address, the whole path in [`Endpoint::path_prefix`].
    Url(Endpoint),
}

/// Names of claims. What stands before a dot may be the name of an object that has the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The one that names the caller's segment; `None` where there is only one segment.
    pub segment: Option<String>,
    /// The one that has the caller's id.
    pub caller: String,
}
