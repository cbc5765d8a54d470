//! A gateway's life: built, opened, run until it is told to stop, drained.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use router_core::config::{Address, Config, to_json};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Stop;
use crate::admin;
use crate::audit::{Action, Audit, By, Change, SigningKey, fingerprint};
use crate::gateway::Gateway;
use crate::path::accept::{self, Doors, Listener, Scheme, SocketFile};
use crate::path::telemetry::{Level, LogSink, LogStyle, Metrics, Telemetry, panics};
use crate::reload::{Reloader, Source};
use crate::snapshot::Snapshot;

/// How long a gateway waits at its start for the keys of an issuer that does not send them: it is ready without, for
/// callers with keys of another kind.
const KEYS_WAIT: Duration = Duration::from_secs(2);

/// A gateway whose doors are open.
pub(super) struct Running {
    gateway: Arc<Gateway>,
    doors: Arc<Doors>,
    admin: Address,
    /// What an operator should know of the doors and the audit log.
    warnings: Vec<String>,
    signals: Signals,
    /// Removed in the end.
    _sockets: Vec<SocketFile>,
}

/// What ends a process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Runs a gateway's life to its end.
pub(super) fn live(life: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::Failed(format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(life);
    // Not dropped, which would wait for every host name that is still being looked up.
    runtime.shutdown_background();
    ended
}

/// Builds the tables and opens the doors. `source` is where the configuration came from, for
/// reading it again.
pub(super) async fn start(config: Config, source: Option<Source>) -> Result<Running, Stop> {
    let failed = |error: &dyn std::fmt::Display| Stop::Failed(error.to_string());
    let metrics = Metrics::new().map_err(|error| failed(&error))?;
    let log = LogSink::start(LogStyle::of(config.log.format), metrics.log_dropped.clone())
        .map_err(|error| failed(&error))?;
    let snapshot = Snapshot::build(config, &metrics, None).map_err(|error| Stop::Usage(error.to_string()))?;
    let (audit, torn) = audit(&snapshot.config)?;
    let telemetry = Telemetry::new(metrics, log, &snapshot.config.log);
    let gateway = Gateway::new(snapshot, telemetry, audit);
    std::panic::set_hook(Box::new(panics::hook(gateway.telemetry.clone())));
    let signals = Signals::heard().map_err(|error| failed(&error))?;
    let hangup = signal(SignalKind::hangup()).map_err(|error| failed(&error))?;

    let issuer = gateway.snapshot().issuer.clone();
    gateway.keeper.follow(issuer.as_ref(), &gateway.telemetry);
    if let Some(issuer) = issuer {
        issuer.ready(KEYS_WAIT).await;
    }
    let config = gateway.snapshot().config.clone();
    let (admin, admin_listener, socket) = bind(&config.admin.address).await?;
    let mut sockets = Vec::from_iter(socket);
    let metrics_listener = match &config.admin.metrics {
        Some(metrics) => {
            let (_, listener, socket) = bind(&metrics.address).await?;
            sockets.extend(socket);
            Some(listener)
        }
        None => None,
    };
    let doors = Doors::new();
    let addresses: Vec<_> = config.listen.into_iter().map(|listen| listen.address).collect();
    gateway.snapshot().identities.show(&gateway.telemetry.metrics);
    let opened = doors.open(&addresses).await.map_err(Stop::Failed)?;
    gateway.audit.record(started(&gateway)).await.map_err(|error| failed(&error))?;
    let warnings = torn.into_iter().chain(doors.settle(&gateway, opened)).collect();
    let reloader = Reloader::new(source, gateway.clone(), doors.clone());
    admin::open(admin_listener, &gateway, reloader.clone());
    if let Some(listener) = metrics_listener {
        admin::open_metrics(listener, &gateway);
    }
    tokio::spawn(gateway.line.clone().run());
    gateway.watch.follow(&gateway.snapshot(), &gateway.line, &gateway.telemetry);
    tokio::spawn(reloader.clone().obey(hangup));
    reloader.watch_keys();
    tokio::spawn(reloader.watch());
    Ok(Running { gateway, doors, admin, warnings, signals, _sockets: sockets })
}

/// The log of changes that the configuration wants, and what an operator should know of it.
fn audit(config: &Config) -> Result<(Audit, Option<String>), Stop> {
    let Some(settings) = &config.audit else { return Ok(Default::default()) };
    let key = settings.key.as_ref().map(SigningKey::read).transpose();
    let key = key.map_err(|problem| Stop::Usage(format!("audit.key: {problem}")))?;
    Audit::open(settings, key).map_err(|problem| Stop::Failed(problem.to_string()))
}

/// That the process begins with the weights of its file, whatever was in force before.
fn started(gateway: &Gateway) -> Change {
    let config = to_json(&gateway.snapshot().config).to_string();
    Change {
        by: By::process("weir"),
        action: Action::Start,
        target: "config".into(),
        before: json!({}),
        after: json!({
            "revision": gateway.weights.load().revision(),
            "config_sha256": fingerprint(config.as_bytes()),
            "version": env!("CARGO_PKG_VERSION"),
        }),
    }
}

async fn bind(address: &Address) -> Result<(Address, Listener, Option<SocketFile>), Stop> {
    let opened = accept::open(address).await;
    opened.map_err(|error| Stop::Failed(format!("cannot listen on {address}: {error}")))
}

/// How clients and commands name an address.
fn url(address: &Address, scheme: Scheme) -> String {
    match address {
        Address::Tcp(address) => format!("{}://{address}", scheme.name()),
        Address::Unix(_) => address.to_string(),
    }
}

impl Signals {
    /// From now on they do not end the process.
    fn heard() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

impl Running {
    /// Where clients are listened for.
    pub(super) fn data(&self) -> String {
        let snapshot = self.gateway.snapshot();
        let scheme = |configured: &Address| {
            let listen = snapshot.config.listen.iter().find(|listen| listen.address == *configured);
            Scheme::of(listen.and_then(|listen| listen.tls.as_ref()))
        };
        let addresses = self.doors.addresses();
        let urls: Vec<String> =
            addresses.iter().map(|(configured, bound)| url(bound, scheme(configured))).collect();
        urls.join(",")
    }

    /// Where operators are listened for.
    pub(super) fn admin(&self) -> String {
        url(&self.admin, Scheme::of(self.gateway.snapshot().config.admin.tls.as_ref()))
    }

    /// Says on one line of stderr that, and where, the gateway is ready.
    pub(super) fn announce(&self) {
        let line = format!("weir ready: data {} admin {}\n", self.data(), self.admin());
        // Without a stderr there is nobody to tell.
        std::io::stderr().lock().write_all(line.as_bytes()).unwrap_or_default();
        self.gateway.keeper.announced();
    }

    /// Logs what an operator should know from the start.
    pub(super) fn warn(&self, messages: &[&str]) {
        let snapshot = self.gateway.snapshot();
        let mut advice = snapshot.identities.advice();
        advice.extend(admin::advice(&snapshot.config.admin));
        let own = self.warnings.iter().chain(&advice).map(String::as_str);
        for message in messages.iter().copied().chain(own) {
            self.gateway.telemetry.event(Level::Warn, message);
        }
    }

    /// Runs until a signal, then drains: SIGTERM with a grace for load balancers, SIGINT at once. A second
    /// signal ends it there and then.
    pub(super) async fn until_stopped(mut self) -> Result<(), Stop> {
        let with_grace = self.until_told().await;
        self.gateway.start_draining();
        self.gateway.telemetry.event(Level::Info, "draining");
        let drained = tokio::select! {
            drained = finish(&self.gateway, &self.doors, with_grace) => drained,
            _ = self.signals.terminate.recv() => false,
            _ = self.signals.interrupt.recv() => false,
        };
        if !drained {
            self.gateway.telemetry.stop();
            self.doors.end().await;
        }
        let last = if drained { "drained" } else { "stopped before the end of the drain" };
        self.gateway.telemetry.event(Level::Info, last);
        self.gateway.telemetry.log.flush();
        Ok(())
    }

    /// Whether load balancers get time to notice.
    async fn until_told(&mut self) -> bool {
        tokio::select! {
            _ = self.signals.terminate.recv() => true,
            _ = self.signals.interrupt.recv() => false,
        }
    }
}

async fn finish(gateway: &Gateway, doors: &Doors, with_grace: bool) -> bool {
    let drain = gateway.snapshot().config.drain.clone();
    doors.leave();
    if with_grace {
        tokio::time::sleep(drain.grace).await;
    }
    doors.close(gateway, drain.requests, drain.streams).await
}
