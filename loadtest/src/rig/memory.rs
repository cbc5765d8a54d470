//! What a process and its children hold in memory, and signals to one.

use std::collections::HashMap;
use std::process::Command;

use super::RigError;

/// Resident memory of the process and all its descendants. The kernel's buffers for their sockets are not in it.
///
/// # Errors
///
/// Says that the process is gone.
pub(crate) fn rss_bytes(pid: u32) -> Result<u64, RigError> {
    let processes = std::fs::read_dir("/proc").map_err(RigError::io("reading /proc"))?;
    let statuses = processes.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, std::fs::read_to_string(entry.path().join("status")).ok()?))
    });
    let all: HashMap<u32, (u32, u64)> =
        statuses.filter_map(|(pid, text)| Some((pid, parent_and_rss(&text)?))).collect();
    if !all.contains_key(&pid) {
        return Err(RigError::Missing(format!("process {pid} is gone")));
    }
    Ok(all.iter().filter(|(one, _)| descends(**one, pid, &all)).map(|(_, (_, rss))| rss).sum())
}

fn descends(mut pid: u32, ancestor: u32, all: &HashMap<u32, (u32, u64)>) -> bool {
    while pid != ancestor {
        match all.get(&pid) {
            // The parent of the first process is 0, which is none.
            Some((parent, _)) if *parent != pid => pid = *parent,
            _ => return false,
        }
    }
    true
}

/// Sends a signal by its name, such as `HUP`.
///
/// # Errors
///
/// Says that the process is gone, or not ours.
pub(crate) fn signal(pid: u32, name: &str) -> Result<(), RigError> {
    let kill = format!("kill -s {name} {pid}");
    let status = Command::new("sh").args(["-c", &kill]).status().map_err(RigError::io("starting sh"))?;
    if status.success() { Ok(()) } else { Err(RigError::Missing(format!("{kill} failed"))) }
}

/// Out of `/proc/PID/status`. A process that has ended and waits to be collected holds nothing.
fn parent_and_rss(status: &str) -> Option<(u32, u64)> {
    let value =
        |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.split_ascii_whitespace().next());
    let kib: u64 = value("VmRSS:").map_or(Some(0), |kib| kib.parse().ok())?;
    Some((value("PPid:")?.parse().ok()?, kib * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_gives_parent_and_memory() {
        let status = "Name:\tweir\nState:\tS (sleeping)\nPPid:\t7\nVmRSS:\t    2048 kB\n";
        assert_eq!(parent_and_rss(status), Some((7, 2_097_152)));
        assert_eq!(parent_and_rss("Name:\tgone\nPPid:\t7\n"), Some((7, 0)));
    }

    #[test]
    fn children_and_theirs_count() {
        let all = HashMap::from([(1, (0, 1)), (5, (1, 1)), (6, (5, 1)), (7, (6, 1)), (8, (1, 1))]);
        let mut of_5: Vec<u32> = all.keys().copied().filter(|pid| descends(*pid, 5, &all)).collect();
        of_5.sort_unstable();
        assert_eq!(of_5, [5, 6, 7]);
    }

    #[test]
    fn this_process_holds_something_and_a_made_up_one_is_gone() {
        assert!(rss_bytes(std::process::id()).unwrap() > 100_000);
        assert!(rss_bytes(u32::MAX).is_err());
    }
}
