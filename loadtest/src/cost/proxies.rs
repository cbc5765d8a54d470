//! The programs of a measurement: where they are, and how each is started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine::Machine;
use super::options::{Options, Proxy};
use super::process::{Daemon, Launch, Ready};
use super::workdir::Workdir;
use super::{Case, CostError, nginx, progress};

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Binaries {
    modelsim: PathBuf,
    relay: PathBuf,
    weir: PathBuf,
    nginx: Option<PathBuf>,
    wanted: Vec<Proxy>,
}

impl Binaries {
    /// Finds the programs beside this one, building them first when cargo runs it.
    ///
    /// # Errors
    ///
    /// Says which program is missing.
    pub(crate) fn find(options: &Options) -> Result<Self, CostError> {
        let here = std::env::current_exe().map_err(CostError::io("finding this program"))?;
        let own = here.parent().unwrap_or_else(|| Path::new("."));
        let wants = |proxy| options.only.contains(&proxy);
        let beside = wants(Proxy::Weir) && options.weir.is_none();
        let dir = match (std::env::var_os("CARGO"), own.parent()) {
            (Some(cargo), Some(target)) => build(Path::new(&cargo), target, beside)?,
            _ => own.to_owned(),
        };
        let binaries = Self {
            modelsim: dir.join("modelsim"),
            relay: dir.join("relay"),
            weir: options.weir.clone().unwrap_or_else(|| dir.join("weir")),
            nginx: nginx::find(),
            wanted: options.only.clone(),
        };
        let needed = [
            (true, &binaries.modelsim),
            (wants(Proxy::Relay), &binaries.relay),
            (wants(Proxy::Weir), &binaries.weir),
        ];
        if let Some((_, missing)) = needed.iter().find(|(needed, path)| *needed && !path.is_file()) {
            let missing = missing.display();
            let how = "cargo build --release -p weir -p loadtest --bins";
            return Err(CostError::Missing(format!("{missing} is not there; build it: {how}")));
        }
        if wants(Proxy::Nginx) && binaries.nginx.is_none() {
            progress(
                "going on without nginx, which is not installed; on Debian: apt-get install nginx-light",
            )?;
        }
        Ok(binaries)
    }

    /// What can be measured, in the table's order.
    pub(crate) fn present(&self) -> impl Iterator<Item = Proxy> {
        let can = |proxy: &Proxy| *proxy != Proxy::Nginx || self.nginx.is_some();
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
        case: Case,
    ) -> Result<Daemon, CostError> {
        let mut command = machine.on_other_cores(&self.modelsim);
        command.args(["--instant", "--listen", "127.0.0.1:0", "--instant-events", EVENTS]);
        if let Case::Paced(gap) = case {
            command.arg("--instant-gap-ms").arg(gap.as_millis().to_string());
        }
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
    ) -> Result<Option<Daemon>, CostError> {
        let launch = match proxy {
            Proxy::Direct => return Ok(None),
            Proxy::Relay => self.relay(machine, dir, upstream),
            Proxy::Weir => self.weir(machine, dir, upstream),
            Proxy::Nginx => self.nginx(machine, dir, upstream)?,
        };
        Daemon::start(launch).await.map(Some)
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

    fn nginx(&self, machine: &Machine, dir: &Workdir, upstream: SocketAddr) -> Result<Launch, CostError> {
        let missing = || CostError::Missing("nginx is not installed".to_owned());
        let program = self.nginx.as_deref().ok_or_else(missing)?;
        let listen = nginx::free_address()?;
        let config = dir.file("nginx.conf");
        std::fs::write(&config, nginx::config(dir.path(), listen, upstream))
            .map_err(CostError::io("writing nginx.conf"))?;
        // The access log of an earlier round would only fill the disk.
        drop(std::fs::remove_file(dir.file("nginx-access.log")));
        let mut command = machine.on_proxy_core(program);
        command.arg("-e").arg(dir.file("nginx-error.log")).arg("-p").arg(dir.path()).arg("-c").arg(config);
        Ok(Launch { name: "nginx", command, log: dir.file("nginx.log"), ready: Ready::Port(listen) })
    }
}

/// Brings the programs up to date, optimised whatever this one is, and says where they are: a stale one would be
/// measured without anybody noticing.
fn build(cargo: &Path, target: &Path, weir: bool) -> Result<PathBuf, CostError> {
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--bins", "--package", "loadtest", "--target-dir"]).arg(target);
    if weir {
        command.args(["--package", "weir"]);
    }
    let status = command.status().map_err(CostError::io("starting cargo"))?;
    if status.success() {
        Ok(target.join("release"))
    } else {
        Err(CostError::Missing("the programs to measure do not build".to_owned()))
    }
}

/// Events of a streamed answer: two seconds of a brisk model when they are paced.
const EVENTS: &str = "200";
