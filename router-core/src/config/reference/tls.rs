//! The section `tls`, which every kind of listener has.

use super::{Key, Kind, Section, Without, texts};

/// The section `tls` of one kind of listener, and that of its key.
#[derive(Debug)]
pub(in crate::config) struct TlsSections {
    pub(in crate::config) tls: &'static Section,
    pub(in crate::config) key: &'static Section,
}

/// The sections of the listeners at this place of the file.
macro_rules! tls_at {
    ($place:literal, $tls:ident, $key:ident) => {
        pub(in crate::config) static $tls: Section = Section {
            place: concat!($place, ".tls"),
            about: "",
            keys: &[
                Key {
                    name: "certificate",
                    kind: Kind::Text(&texts::FILE),
                    without: Without::Refused,
                    about: "The listener's certificate (PEM), followed by those between it and its authority. It is read again when the file changes: new connections get the new one, open ones stay.",
                },
                Key {
                    name: "key",
                    kind: Kind::Secret(&$key),
                    without: Without::Refused,
                    about: "Where the certificate's private key (PEM) is found. A file is read again with the certificate; nobody but Weir should be able to read it.",
                },
                Key {
                    name: "client_ca",
                    kind: Kind::Text(&texts::FILE),
                    without: Without::Told("no client is asked for a certificate"),
                    about: "Certificate authorities (PEM). With it every client has to show a certificate by one of them, or is not let in; `weir_tls_handshakes_refused_total` counts those.",
                },
            ],
            later: &[],
        };

        static $key: Section = Section {
            place: concat!($place, ".tls.key"),
            about: "",
            keys: &[
                Key {
                    name: "env",
                    kind: Kind::Text(&texts::VARIABLE),
                    without: Without::Told("either this or `file`"),
                    about: "The private key is in this environment variable, as text with its line breaks.",
                },
                Key {
                    name: "file",
                    kind: Kind::Text(&texts::FILE),
                    without: Without::Told("either this or `env`"),
                    about: "It is in this file.",
                },
            ],
            later: &[],
        };
    };
}

tls_at!("listen[]", LISTEN_TLS, LISTEN_TLS_KEY);
tls_at!("admin", ADMIN_TLS, ADMIN_TLS_KEY);
tls_at!("admin.metrics", METRICS_TLS, METRICS_TLS_KEY);

/// Where clients come in.
pub(in crate::config) const LISTEN: TlsSections = TlsSections { tls: &LISTEN_TLS, key: &LISTEN_TLS_KEY };
/// Where operators do.
pub(in crate::config) const ADMIN: TlsSections = TlsSections { tls: &ADMIN_TLS, key: &ADMIN_TLS_KEY };
/// Where scrapers do.
pub(in crate::config) const METRICS: TlsSections = TlsSections { tls: &METRICS_TLS, key: &METRICS_TLS_KEY };
