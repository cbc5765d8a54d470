//! Where changes that operators make are kept.

use std::path::PathBuf;

use super::Secret;

/// The log of every change that is made while Weir runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Only ever appended to.
    pub path: PathBuf,
    /// The Ed25519 key by which each line is signed.
    pub key: Option<Secret>,
}
