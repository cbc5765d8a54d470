//! How callers are known.

use super::Jwt;

/// How callers are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Whose bearer tokens are taken, if any are.
    pub jwt: Option<Jwt>,
}
