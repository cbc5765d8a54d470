//! A bulkhead: so many attempts at a time and no more, whatever happens.

use super::counted::Rule;

/// Attempts at a time where nobody says: what many model servers take as their own default for parallel
/// sequences.
const LIMIT: u32 = 256;

/// Settings of [`Algorithm::Fixed`](super::Algorithm::Fixed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedSettings {
    /// Attempts at a time.
    pub limit: u32,
}

impl Default for FixedSettings {
    fn default() -> Self {
        Self { limit: LIMIT }
    }
}

/// A limit that never moves.
impl Rule for FixedSettings {
    fn limit(&self) -> u32 {
        self.limit
    }
}
