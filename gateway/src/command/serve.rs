//! A gateway's life: built, opened, run until it is told to stop, drained.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use router_core::config::{Address, Config, LogFormat};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Stop;
use crate::admin;
use crate::gateway::Gateway;
use crate::path::accept::{Doors, listen};
use crate::path::telemetry::{Level, LogSink, LogStyle, Metrics, Telemetry, panics};
use crate::snapshot::Snapshot;

/// How long a gateway that was told to stop still takes calls: until load balancers have seen it unready.
const GRACE: Duration = Duration::from_secs(5);

/// A gateway whose doors are open.
pub(super) struct Running {
    gateway: Arc<Gateway>,
    doors: Doors,
    admin: std::net::SocketAddr,
    drain: Duration,
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

/// Builds the tables and opens the doors.
pub(super) async fn start(config: Config) -> Result<Running, Stop> {
    let failed = |error: &dyn std::fmt::Display| Stop::Failed(error.to_string());
    let metrics = Metrics::new().map_err(|error| failed(&error))?;
    let log = LogSink::start(style(config.log.format), metrics.log_dropped.clone())
        .map_err(|error| failed(&error))?;
    let (listen_at, admin_at, drain) =
        (config.listen.clone(), config.admin.address.clone(), config.drain.requests);
    let snapshot = Snapshot::build(config, &metrics).map_err(|error| Stop::Usage(error.to_string()))?;
    let telemetry = Telemetry::new(metrics, log, &snapshot.config.log);
    let gateway = Gateway::new(snapshot, telemetry);
    std::panic::set_hook(Box::new(panics::hook(gateway.telemetry.clone())));

    let signals = |kind| signal(kind).map_err(|error| failed(&error));
    let (terminate, interrupt) = (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    let Address::Tcp(admin_at) = admin_at else {
        return Err(Stop::Usage("admin.address: Unix sockets are not supported by this version".into()));
    };
    let admin_listener = TcpListener::bind(admin_at)
        .await
        .map_err(|error| Stop::Failed(format!("cannot listen on {admin_at}: {error}")))?;
    let admin = admin_listener.local_addr().map_err(|error| failed(&error))?;
    let addresses: Vec<_> = listen_at.iter().map(|listen| listen.address.clone()).collect();
    let doors = listen(&gateway, &addresses).await.map_err(Stop::Failed)?;
    admin::open(admin_listener, gateway.clone());
    Ok(Running { gateway, doors, admin, drain, terminate, interrupt })
}

impl Running {
    /// Where clients are listened for.
    pub(super) fn data(&self) -> String {
        let url = |address: &Address| match address {
            Address::Tcp(address) => format!("http://{address}"),
            Address::Unix(_) => address.to_string(),
        };
        let urls: Vec<String> = self.doors.addresses().map(url).collect();
        urls.join(",")
    }

    /// Where operators are listened for.
    pub(super) fn admin(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Says on one line of stderr that, and where, the gateway is ready.
    pub(super) fn announce(&self) {
        let line = format!("weir ready: data {} admin {}\n", self.data(), self.admin());
        // Without a stderr there is nobody to tell.
        std::io::stderr().lock().write_all(line.as_bytes()).unwrap_or_default();
    }

    /// Logs what an operator should know from the start.
    pub(super) fn warn(&self, messages: &[&str]) {
        for message in messages.iter().copied().chain(self.doors.warning.as_deref()) {
            self.gateway.telemetry.event(Level::Warn, message);
        }
    }

    /// Runs until a signal, then drains: SIGTERM with a grace for load balancers, SIGINT at once. A second
    /// signal ends it there and then.
    pub(super) async fn until_stopped(mut self) -> Result<(), Stop> {
        let grace = tokio::select! {
            _ = self.terminate.recv() => GRACE,
            _ = self.interrupt.recv() => Duration::ZERO,
        };
        self.gateway.start_draining();
        self.gateway.telemetry.event(Level::Info, "draining");
        let drained = tokio::select! {
            drained = finish(&mut self.doors, grace, self.drain) => drained,
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
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
}

async fn finish(doors: &mut Doors, grace: Duration, drain: Duration) -> bool {
    tokio::time::sleep(grace).await;
    doors.close(drain).await
}

const fn by_terminal(terminal: bool) -> LogStyle {
    if terminal { LogStyle::Human } else { LogStyle::Json }
}

fn style(format: LogFormat) -> LogStyle {
    match format {
        LogFormat::Json => LogStyle::Json,
        LogFormat::Human => LogStyle::Human,
        LogFormat::Auto => by_terminal(std::io::stderr().is_terminal()),
    }
}
