//! TLS as operators see it: which handshakes came to nothing, when certificates end, whether the files could be read
//! again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Registry};

use super::metrics::{counters, gauge, gauges};

/// How often a handshake that was refused is logged at most: whoever can connect can be refused.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why a handshake came to nothing: the label of `weir_tls_handshakes_refused_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It took too long.
    Timeout,
    /// Something else than TLS was spoken.
    NotTls,
    /// The client showed no certificate, or one that is not trusted.
    ClientCertificate,
    /// No version, cipher or protocol in common, or not what TLS asks for.
    Protocol,
    /// The client refused: mostly, it does not trust the listener's certificate.
    Alert,
    /// The client left in the middle.
    Left,
}

impl Refusal {
    const ALL: [Self; 6] =
        [Self::Timeout, Self::NotTls, Self::ClientCertificate, Self::Protocol, Self::Alert, Self::Left];

    /// The label's value.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotTls => "not_tls",
            Self::ClientCertificate => "client_certificate",
            Self::Protocol => "protocol",
            Self::Alert => "alert",
            Self::Left => "left",
        }
    }
}

/// What is counted and shown of TLS.
#[derive(Debug)]
pub(crate) struct Handshakes {
    refused: [IntCounter; Refusal::ALL.len()],
    expiry: IntGaugeVec,
    /// 1 if the certificates that changed last could be read, or none has.
    pub(crate) renewed: IntGauge,
    log: Mutex<Pace>,
}

/// When the last line was written, and what was not since then.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    passed_over: u64,
}

impl Handshakes {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let refused = counters(
            registry,
            "tls_handshakes_refused_total",
            "TLS handshakes of callers and operators that came to nothing.",
            &["reason"],
        )?;
        Ok(Self {
            refused: Refusal::ALL.map(|refusal| refused.with_label_values(&[refusal.name()])),
            expiry: gauges(
                registry,
                "tls_certificate_expiry_timestamp_seconds",
                "When a listener's certificate ends, in Unix time.",
                &["listener"],
            )?,
            renewed: gauge(
                registry,
                "tls_certificates_last_reload_success",
                "Whether the certificates that changed last could be put into force.",
            )?,
            log: Mutex::default(),
        })
    }

    /// Counts a handshake that came to nothing. Whether it is to be logged, and how many were not since the last one.
    pub(crate) fn refuse(&self, refusal: Refusal, now: Instant) -> Option<u64> {
        self.refused[refusal as usize].inc();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.last.is_some_and(|last| now.saturating_duration_since(last) < LOG_INTERVAL) {
            log.passed_over += 1;
            return None;
        }
        log.last = Some(now);
        Some(std::mem::take(&mut log.passed_over))
    }

    /// Shows when a listener's certificate ends.
    pub(crate) fn show(&self, listener: &str, seconds: u64) {
        self.expiry.with_label_values(&[listener]).set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// Shows no certificate any more.
    pub(crate) fn forget(&self) {
        self.expiry.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_all_counted_and_logged_now_and_then() {
        let handshakes = Handshakes::new(&Registry::new()).unwrap();
        let start = Instant::now();
        assert_eq!(handshakes.refuse(Refusal::Left, start), Some(0));
        for _ in 0..100 {
            assert_eq!(handshakes.refuse(Refusal::Left, start + LOG_INTERVAL / 2), None);
        }
        assert_eq!(handshakes.refuse(Refusal::Alert, start + LOG_INTERVAL), Some(100));
        assert_eq!(handshakes.refused[Refusal::Left as usize].get(), 101);
    }
}
