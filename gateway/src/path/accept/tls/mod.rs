//! TLS towards callers and operators: by what a listener proves who it is, and whom it lets in. A certificate is
//! exchanged while the listener is open: handshakes that begin from then on get the new one, connections that are there
//! stay as they are. What a handshake does is in `handshake`; upstreams are `send::tls`'s concern.

mod handshake;
mod pem;
mod validity;
mod wire;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use router_core::config::{Config, Secret, Tls};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

pub(crate) use handshake::{Refused, accept};
use pem::Fault;
pub(crate) use pem::try_identity;
pub(super) use wire::Wire;

use crate::path::send::tls::authorities_in;
use crate::path::telemetry::Metrics;
use crate::watch::Version;

/// What the listeners of a configuration speak TLS with.
#[derive(Debug)]
pub(crate) struct Identities {
    /// One for each of `listen`.
    pub(crate) listen: Vec<Option<Arc<Identity>>>,
    pub(crate) admin: Option<Arc<Identity>>,
    pub(crate) metrics: Option<Arc<Identity>>,
}

/// What one listener speaks TLS with, as its files say now.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Where it stands in the file: `listen[0].tls`.
    pub(crate) place: String,
    settings: Tls,
    protocols: &'static [&'static [u8]],
    current: ArcSwap<ServerConfig>,
    /// Seconds of Unix time; 0 if that is not known.
    expires: AtomicU64,
    seen: Mutex<Seen>,
}

/// The files' versions.
#[derive(Debug)]
struct Seen {
    /// When they were read, whether they could serve or not.
    read: Versions,
    /// At the last look.
    last: Versions,
    /// Why they could not be read since.
    unread: Option<String>,
}

type Versions = Vec<Option<Version>>;

/// What callers may speak, the better first.
const CALLERS: &[&[u8]] = &[b"h2", b"http/1.1"];
/// What operators may.
const OPERATORS: &[&[u8]] = &[b"http/1.1"];

impl Identities {
    /// Reads the files of all listeners. The error says which one cannot serve, and why.
    pub(crate) fn build(config: &Config) -> Result<Self, String> {
        let mut listen = Vec::with_capacity(config.listen.len());
        for (index, one) in config.listen.iter().enumerate() {
            listen.push(Identity::build(one.tls.as_ref(), || format!("listen[{index}].tls"), CALLERS)?);
        }
        let metrics = config.admin.metrics.as_ref().and_then(|metrics| metrics.tls.as_ref());
        Ok(Self {
            listen,
            admin: Identity::build(config.admin.tls.as_ref(), || "admin.tls".into(), OPERATORS)?,
            metrics: Identity::build(metrics, || "admin.metrics.tls".into(), OPERATORS)?,
        })
    }

    /// All that there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.listen.iter().chain([&self.admin, &self.metrics]).flatten()
    }

    /// Shows operators when the certificates end.
    pub(crate) fn show(&self, metrics: &Metrics) {
        for identity in self.iter() {
            if let Some(seconds) = identity.expires() {
                metrics.handshakes.show(identity.place.trim_end_matches(".tls"), seconds);
            }
        }
    }

    /// What is no fault, and yet an operator should know.
    pub(crate) fn advice(&self) -> Vec<String> {
        self.iter().flat_map(|identity| identity.advice()).collect()
    }
}

impl Identity {
    fn build(
        settings: Option<&Tls>,
        place: impl FnOnce() -> String,
        protocols: &'static [&'static [u8]],
    ) -> Result<Option<Arc<Self>>, String> {
        let Some(settings) = settings else { return Ok(None) };
        let place = place();
        // Before the files are read, so that no change after that goes unseen.
        let read = versions(settings);
        let (server, expires) =
            server(settings, protocols).map_err(|problem| format!("{place}: {problem}"))?;
        Ok(Some(Arc::new(Self {
            place,
            settings: settings.clone(),
            protocols,
            current: ArcSwap::from_pointee(server),
            expires: AtomicU64::new(expires),
            seen: Mutex::new(Seen { last: read.clone(), read, unread: None }),
        })))
    }

    /// What the next handshake is made with.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// When the certificate ends, in seconds of Unix time, if that is known.
    pub(crate) fn expires(&self) -> Option<u64> {
        Some(self.expires.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// Whether the files have changed since they were read. A change counts once it has stood still for a moment, since
    /// certificate and key are two files.
    fn has_changed(&self) -> bool {
        let now = versions(&self.settings);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = now != seen.read && now == seen.last && now.iter().all(Option::is_some);
        if now == seen.read {
            seen.unread = None;
        }
        seen.last = now;
        changed
    }

    /// Reads the files again if they have changed. If they cannot serve, what is in force stays, and the error says
    /// why: once, also where files cannot be read, which is tried again at the next look. `None` where there is nothing
    /// to say.
    pub(crate) fn renew(&self) -> Option<Result<(), String>> {
        if !self.has_changed() {
            return None;
        }
        let renewed = self.read_again();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(Fault::Unread(why)) = renewed {
            let is_news = seen.unread.as_ref() != Some(&why);
            seen.unread = Some(why.clone());
            return is_news.then_some(Err(why));
        }
        seen.read = seen.last.clone();
        seen.unread = None;
        Some(renewed.map_err(|fault| fault.to_string()))
    }

    fn read_again(&self) -> Result<(), Fault> {
        let (server, expires) = server(&self.settings, self.protocols)?;
        self.current.store(Arc::new(server));
        self.expires.store(expires, Ordering::Relaxed);
        Ok(())
    }

    /// What is no fault of its files, and yet an operator should know.
    pub(crate) fn advice(&self) -> Vec<String> {
        let expired = self.expires().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        let expired = expired.filter(|end| *end <= SystemTime::now()).map(|end| {
            let end = humantime::format_rfc3339_seconds(end);
            format!("{}.certificate: the certificate has expired on {end}", self.place)
        });
        let open = match &self.settings.key {
            Secret::File(path) if pem::is_open_to_all(path) => Some(format!(
                "{}.key: every user of this machine can read {}; chmod o-r would do",
                self.place,
                path.display()
            )),
            Secret::File(_) | Secret::Env(_) => None,
        };
        expired.into_iter().chain(open).collect()
    }
}

/// The files of a listener as they are now.
fn versions(settings: &Tls) -> Versions {
    let key = match &settings.key {
        Secret::File(path) => Some(path),
        Secret::Env(_) => None,
    };
    let files = [Some(&settings.certificate), key, settings.client_ca.as_ref()];
    files.into_iter().flatten().map(|path| Version::of(path)).collect()
}

/// A server's side of TLS as the files say, and when its certificate ends (0 if that is not known).
fn server(settings: &Tls, protocols: &[&[u8]]) -> Result<(ServerConfig, u64), Fault> {
    let chain = pem::chain(&settings.certificate).map_err(|fault| fault.at(&"certificate"))?;
    let key = pem::key(&settings.key).map_err(|fault| fault.at(&"key"))?;
    let expires = chain.first().and_then(|certificate| validity::end(certificate)).unwrap_or(0);
    let builder = ServerConfig::builder();
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let clients = clients(path).map_err(|fault| fault.at(&"client_ca"))?;
            builder.with_client_cert_verifier(clients)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| Fault::Wrong(pem::told(&error)))?;
    server.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    if settings.client_ca.is_some() {
        // Who comes back shows its certificate again: it may have ended meanwhile.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    } else {
        // Who comes back brings what Weir has to know, so nothing is kept for it.
        server.ticketer = Ticketer::new().map_err(|error| Fault::Wrong(error.to_string()))?;
    }
    Ok((server, expires))
}

fn clients(path: &Path) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, Fault> {
    let shown = |problem: &dyn std::fmt::Display| Fault::Wrong(format!("{}: {problem}", path.display()));
    let roots = authorities_in(&pem::text(path)?).map_err(|problem| shown(&problem))?;
    WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(|error| shown(&error))
}
