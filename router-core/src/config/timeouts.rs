//! The clocks on endpoints: a pool's, and what a route sets in their place.

use std::time::Duration;

/// How long an endpoint may keep Weir waiting. Time in which Weir itself does not read is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// From the sent request to the answer's head, where the call asks for a stream.
    pub headers: Duration,
    /// From the sent request to the first token of a stream.
    pub first_token: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// From the sent request to the end of an answer that is not a stream.
    pub answer: Duration,
}

/// What a route sets in place of its pools' timeouts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// In place of [`Timeouts::headers`].
    pub headers: Option<Duration>,
    /// In place of [`Timeouts::first_token`].
    pub first_token: Option<Duration>,
    /// In place of [`Timeouts::idle`].
    pub idle: Option<Duration>,
    /// In place of [`Timeouts::answer`].
    pub answer: Option<Duration>,
}

impl RouteTimeouts {
    /// `pool`'s timeouts with this route's in their place.
    #[must_use]
    pub fn over(&self, pool: &Timeouts) -> Timeouts {
        Timeouts {
            connect: pool.connect,
            headers: self.headers.unwrap_or(pool.headers),
            first_token: self.first_token.unwrap_or(pool.first_token),
            idle: self.idle.unwrap_or(pool.idle),
            answer: self.answer.unwrap_or(pool.answer),
        }
    }
}
