//! What a class of callers may use.

/// What a class of callers, or one key, may use; at least one of the three is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// Calls over time.
    pub requests: Option<RequestRate>,
    /// Tokens of prompts and answers; as many may come at once.
    pub tokens_per_minute: Option<u32>,
    /// Calls at a time, from arrival to the end of the answer.
    pub concurrent: Option<u32>,
    /// Whether who exceeds it is refused; else it is only counted.
    pub enforce: bool,
}

/// Calls over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestRate {
    /// Above 0.
    pub per_second: f64,
    /// Most at once; at least 1.
    pub burst: u32,
}

impl RequestRate {
    /// A rate with what may come at once where nobody says how much: twice as much as a second brings.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "such casts saturate, at 0 too"
    )]
    pub fn new(per_second: f64) -> Self {
        Self { per_second, burst: ((2.0 * per_second).ceil() as u32).max(1) }
    }
}
