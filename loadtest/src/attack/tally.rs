//! What an attack sent, and how the gateway ended it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Shared by the connections of one attack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<Counts>>);

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Connections that could not be opened.
    pub(crate) refused: u64,
    /// How connections were ended by the gateway.
    pub(crate) cuts: BTreeMap<String, Cuts>,
    /// Most that one connection could send without being cut.
    pub(crate) uncut: Sent,
    /// Whether the gateway answered in HTTP/1.1 to the words that begin HTTP/2.
    pub(crate) speaks_no_http2: bool,
}

/// Connections that ended alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts {
    pub(crate) count: u64,
    /// Of the connection that could send most.
    pub(crate) worst: Sent,
}

/// What one connection sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sent {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) after: Duration,
}

impl Sent {
    /// Whether that is little enough for a flood.
    pub(crate) const fn within_bar(&self) -> bool {
        self.frames <= FRAMES_MAX || self.bytes <= BYTES_MAX
    }
}

impl Tally {
    /// A connection was opened.
    pub(crate) fn opened(&self) {
        self.with(|counts| counts.connections += 1);
    }

    /// A connection could not be opened.
    pub(crate) fn refused(&self) {
        self.with(|counts| counts.refused += 1);
    }

    /// The gateway does not speak HTTP/2.
    pub(crate) fn speaks_no_http2(&self) {
        self.with(|counts| counts.speaks_no_http2 = true);
    }

    /// The gateway ended a connection, in this way.
    pub(crate) fn cut(&self, how: &str, sent: Sent) {
        self.with(|counts| {
            counts.add(sent);
            let cuts = counts.cuts.entry(how.to_owned()).or_default();
            cuts.count += 1;
            if sent.bytes >= cuts.worst.bytes {
                cuts.worst = sent;
            }
        });
    }

    /// The attack was over, or went on elsewhere, before the gateway ended a connection.
    pub(crate) fn left(&self, sent: Sent) {
        self.with(|counts| {
            counts.add(sent);
            if sent.bytes >= counts.uncut.bytes {
                counts.uncut = sent;
            }
        });
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Counts {
    fn add(&mut self, sent: Sent) {
        self.frames += sent.frames;
        self.bytes += sent.bytes;
    }

    /// Whether every connection of a flood was stopped in time.
    pub(crate) fn is_contained(&self) -> bool {
        self.uncut.within_bar() && self.cuts.values().all(|cuts| cuts.worst.within_bar())
    }
}

/// Bars for floods: cut within so many frames or bytes.
pub(super) const FRAMES_MAX: u64 = 10_000;
pub(super) const BYTES_MAX: u64 = 1 << 20;
