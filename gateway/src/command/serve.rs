//! A gateway's life: built, opened, run until it is told to stop, drained.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use router_core::config::{Address, Config};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Stop;
use crate::admin;
use crate::gateway::Gateway;
use crate::path::accept::{self, Doors, Listener, SocketFile};
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
    /// What an operator should know of the doors.
    warning: Option<String>,
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
    let telemetry = Telemetry::new(metrics, log, &snapshot.config.log);
    let gateway = Gateway::new(snapshot, telemetry);
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
        Some(address) => {
            let (_, listener, socket) = bind(address).await?;
            sockets.extend(socket);
            Some(listener)
        }
        None => None,
    };
    let doors = Doors::new();
    let addresses: Vec<_> = config.listen.into_iter().map(|listen| listen.address).collect();
    let opened = doors.open(&addresses).await.map_err(Stop::Failed)?;
    let warning = doors.settle(&gateway, opened);
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
    Ok(Running { gateway, doors, admin, warning, signals, _sockets: sockets })
}

async fn bind(address: &Address) -> Result<(Address, Listener, Option<SocketFile>), Stop> {
    let opened = accept::open(address).await;
    opened.map_err(|error| Stop::Failed(format!("cannot listen on {address}: {error}")))
}

/// How clients and commands name an address.
fn url(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("http://{address}"),
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
        let urls: Vec<String> = self.doors.addresses().iter().map(url).collect();
        urls.join(",")
    }

    /// Where operators are listened for.
    pub(super) fn admin(&self) -> String {
        url(&self.admin)
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
        for message in messages.iter().copied().chain(self.warning.as_deref()) {
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
