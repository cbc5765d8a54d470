//! A program that runs for the length of one measurement: started, waited for, its CPU time read, and killed with
//! all its children whatever happens.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::RigError;
use super::machine::from_ticks;
use super::memory::signal;

/// A running program. It leads a process group of its own, so that its children can be found and ended with it.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// What to start.
pub(crate) struct Launch {
    /// What its ready line starts with, and how it is called in errors.
    pub(crate) name: &'static str,
    /// With its arguments.
    pub(crate) command: Command,
    /// Gets what it writes; an access log on stderr costs it what it costs in production.
    pub(crate) log: PathBuf,
    /// How one knows that it listens.
    pub(crate) ready: Ready,
}

/// How a program says that it listens.
pub(crate) enum Ready {
    /// By a line `NAME ready: … http://ADDRESS …`.
    Line,
    /// By taking connections here.
    Port(SocketAddr),
}

impl Daemon {
    /// Starts a program and waits until it listens.
    ///
    /// # Errors
    ///
    /// Says why it could not be started, or what it wrote instead of getting ready.
    pub(crate) async fn start(mut launch: Launch) -> Result<Self, RigError> {
        let log =
            File::create(&launch.log).map_err(RigError::io(format!("making {}", launch.log.display())))?;
        let both = log.try_clone().map_err(RigError::io("sharing a log"))?;
        launch.command.stdin(Stdio::null()).stdout(log).stderr(both).process_group(0);
        let child = launch.command.spawn().map_err(RigError::io(format!("starting {}", launch.name)))?;
        // Owned from here on, so that it is killed if it never gets ready.
        let mut daemon = Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let started = Instant::now();
        while started.elapsed() < READY_MAX && matches!(daemon.child.try_wait(), Ok(None)) {
            if let Some(address) = launch.listens().await {
                daemon.address = address;
                return Ok(daemon);
            }
            tokio::time::sleep(READY_POLL).await;
        }
        let said = std::fs::read_to_string(&launch.log).unwrap_or_default();
        Err(RigError::NotReady { name: launch.name, said: said.trim().to_owned() })
    }

    /// The program's process; its children are in the same group.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the program ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks the program to end and waits until it has.
    ///
    /// # Errors
    ///
    /// Says that it did not in time, or that it ended with an error.
    pub(crate) async fn terminate(mut self, patience: Duration) -> Result<(), RigError> {
        signal(self.pid(), "TERM")?;
        let started = Instant::now();
        while started.elapsed() < patience {
            match self.ended() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(RigError::Missing(format!("a process ended badly: {status}"))),
                None => tokio::time::sleep(READY_POLL).await,
            }
        }
        Err(RigError::Missing(format!("a process did not end within {} s", patience.as_secs())))
    }

    /// CPU time of the program and its children so far, in the kernel and out of it.
    ///
    /// # Errors
    ///
    /// Says that `/proc` could not be read.
    pub(crate) fn cpu_time(&self) -> Result<Duration, RigError> {
        let processes = std::fs::read_dir("/proc").map_err(RigError::io("reading /proc"))?;
        let stats =
            processes.flatten().filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        let ours =
            stats.filter_map(|stat| group_and_ticks(&stat)).filter(|(group, _)| *group == self.child.id());
        Ok(from_ticks(ours.map(|(_, ticks)| ticks).sum()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let kill = format!("kill -s KILL -- -{}", self.child.id());
        // Nobody can be told, and one that is gone already is what was wanted.
        drop(Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Launch {
    async fn listens(&self) -> Option<SocketAddr> {
        match self.ready {
            Ready::Line => ready_address(&std::fs::read_to_string(&self.log).ok()?, self.name),
            Ready::Port(address) => tokio::net::TcpStream::connect(address).await.ok().map(|_| address),
        }
    }
}

/// The first address of the ready line, once the line is whole.
fn ready_address(log: &str, name: &str) -> Option<SocketAddr> {
    let start = format!("{name} ready:");
    let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let line = whole.map(str::trim).find(|line| line.starts_with(&start))?;
    line.split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("http://")?.trim_end_matches('/').parse().ok())
}

/// Process group and CPU time out of `/proc/PID/stat`, whose second field may hold anything, brackets too.
fn group_and_ticks(stat: &str) -> Option<(u32, u64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let group = fields.get(2)?.parse().ok()?;
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some((group, user + system))
}

/// Long enough for a machine that is busy with something else.
const READY_MAX: Duration = Duration::from_secs(10);
const READY_POLL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_line_gives_the_first_address() {
        let log = "starting\nweir ready: data http://127.0.0.1:4711 admin http://127.0.0.1:9901\n{}\n";
        assert_eq!(ready_address(log, "weir"), Some(SocketAddr::from(([127, 0, 0, 1], 4711))));
        assert_eq!(ready_address(log, "relay"), None);
        assert_eq!(ready_address("weir ready: data http://127.0.0.1:47", "weir"), None);
    }

    #[test]
    fn stat_is_read_past_a_nasty_name() {
        let stat = "42 (a) 1 (b) S 1 77 42 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(group_and_ticks(stat), Some((77, 300)));
    }

    #[tokio::test]
    async fn children_go_with_the_program_and_count_into_its_time() {
        let log = std::env::temp_dir().join(format!("weir-cost-test-{}", std::process::id()));
        let mut command = Command::new("sh");
        command
            .args(["-c", "sh -c 'while :; do :; done' & echo $!; echo 'sh ready: http://127.0.0.1:1'; wait"]);
        let launch = Launch { name: "sh", command, log: log.clone(), ready: Ready::Line };
        let daemon = Daemon::start(launch).await.unwrap();
        while daemon.cpu_time().unwrap() < Duration::from_millis(20) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let child = std::fs::read_to_string(&log).unwrap().lines().next().unwrap().to_owned();
        drop(daemon);
        std::fs::remove_file(&log).unwrap();
        // Killed it is at once; gone it is when the kernel gets to it, and a zombie until init collects it.
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
        };
        for _ in 0..1000 {
            if gone() {
                return;
            }
            tokio::time::sleep(READY_POLL).await;
        }
        panic!("process {child} outlives its parent");
    }
}
