//! The machine: which cores there are, who gets which, and how busy the proxy's core is.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::RigError;

/// What `/proc` says about the machine, and how its cores are shared out.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Cores that this process may use, ascending; at least one.
    cores: Vec<usize>,
    model: String,
    kernel: String,
}

impl Machine {
    /// Reads `/proc`; so this measures on Linux only.
    ///
    /// # Errors
    ///
    /// Says which file could not be read.
    pub(crate) fn read() -> Result<Self, RigError> {
        let cores = value_of(&text("/proc/self/status")?, "Cpus_allowed_list").map(core_list);
        let model = value_of(&text("/proc/cpuinfo")?, "model name").unwrap_or("unknown processor").to_owned();
        let kernel = text("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let cores = cores.filter(|cores| !cores.is_empty()).unwrap_or_else(|| vec![0]);
        Ok(Self { cores, model, kernel })
    }

    /// Whether the proxy can have a core to itself.
    pub(crate) fn has_core_for_proxy(&self) -> bool {
        self.cores.len() > 1
    }

    /// A command that will run `program` on the proxy's core.
    pub(crate) fn on_proxy_core(&self, program: &Path) -> Command {
        self.pinned(program, &self.cores[..1])
    }

    /// A command that will run `program` anywhere but there.
    pub(crate) fn on_other_cores(&self, program: &Path) -> Command {
        self.pinned(program, &self.cores[1..])
    }

    fn pinned(&self, program: &Path, cores: &[usize]) -> Command {
        if !self.has_core_for_proxy() {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.arg("--cpu-list").arg(joined(cores)).arg(program);
        command
    }

    /// Moves this process, and what it starts from now on, off the proxy's core.
    ///
    /// # Errors
    ///
    /// Says what `taskset` said.
    pub(crate) fn leave_proxy_core(&self) -> Result<(), RigError> {
        if !self.has_core_for_proxy() {
            return Ok(());
        }
        let (cores, id) = (joined(&self.cores[1..]), std::process::id().to_string());
        tool("taskset", &["--all-tasks", "--pid", "--cpu-list", &cores, &id])
    }

    /// Has this process's runtime use what all others leave of its cores. Attackers have machines of their own: they
    /// are not to take the model server's time.
    ///
    /// # Errors
    ///
    /// Says what `chrt` said.
    pub(crate) fn runtime_last() -> Result<(), RigError> {
        let tasks = "/proc/self/task";
        for task in std::fs::read_dir(tasks).map_err(RigError::io(tasks))?.flatten() {
            if text(&task.path().join("comm").to_string_lossy())?.trim() == RUNTIME_THREAD {
                tool("chrt", &["--idle", "--pid", "0", &task.file_name().to_string_lossy()])?;
            }
        }
        Ok(())
    }

    /// Time since boot that the proxy's core was not idle, whoever used it.
    ///
    /// # Errors
    ///
    /// Says that `/proc/stat` could not be read.
    pub(crate) fn proxy_core_busy(&self) -> Result<Duration, RigError> {
        let ticks = busy_ticks(&text("/proc/stat")?, self.cores[0]);
        Ok(ticks.map_or(Duration::ZERO, from_ticks))
    }

    /// One line that figures cannot be read without.
    pub(crate) fn line(&self) -> String {
        let placing = if self.has_core_for_proxy() {
            format!("proxy on core {}, upstream and load on {}", self.cores[0], joined(&self.cores[1..]))
        } else {
            "one core for proxy, upstream and load together".to_owned()
        };
        format!("{} × {}, Linux {}; {placing}", self.cores.len(), self.model, self.kernel)
    }
}

/// Time out of the units of `/proc`.
pub(crate) fn from_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * TICK_MS)
}

fn text(path: &str) -> Result<String, RigError> {
    std::fs::read_to_string(path).map_err(RigError::io(format!("reading {path}")))
}

/// Runs a tool of the Debian package util-linux.
fn tool(name: &str, arguments: &[&str]) -> Result<(), RigError> {
    let output = Command::new(name).args(arguments).output();
    let output = output.map_err(RigError::io(format!("starting {name} (Debian package util-linux)")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RigError::Io { what: name.to_owned(), source: io::Error::other(said) })
}

/// The first `key : value` of a file of such lines.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

/// `0-3,8` as numbers.
fn core_list(list: &str) -> Vec<usize> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse()) {
            cores.extend(first..=last);
        }
    }
    cores
}

fn joined(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Everything of a core's line in `/proc/stat` (user nice system idle iowait irq softirq steal) but the idling.
fn busy_ticks(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(name.as_str()))?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().skip(1).take(8).flat_map(str::parse).collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Some(ticks.iter().sum::<u64>() - idle)
}

/// What tokio calls a runtime's threads.
const RUNTIME_THREAD: &str = "tokio-rt-worker";

/// `/proc` counts in hundredths of a second on every Linux, whatever the kernel's own clock does.
const TICK_MS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_lists_are_read_and_written() {
        assert_eq!(core_list("0-2,8"), [0, 1, 2, 8]);
        assert_eq!(joined(&core_list("3,5-6")), "3,5,6");
    }

    #[test]
    fn busy_leaves_out_idle_and_waiting_for_disks() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 1 2 4 1000 2000 8 16 32 64 64\n";
        assert_eq!(busy_ticks(stat, 1), Some(63));
        assert_eq!(busy_ticks(stat, 0), None);
    }
}
