//! TLS as operators see it: which handshakes came to nothing, when certificates end, whether the files could be read
//! again.

use std::time::Instant;

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Registry};

use super::metrics::{counters, gauge, gauges};
use super::pace::Pace;

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
    log: Pace,
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
            log: Pace::default(),
        })
    }

    /// Counts a handshake that came to nothing. The end of its line in the log, if it is to have one.
    pub(crate) fn refuse(&self, refusal: Refusal, now: Instant) -> Option<String> {
        self.refused[refusal as usize].inc();
        self.log.others(now)
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
