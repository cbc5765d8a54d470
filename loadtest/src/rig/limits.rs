//! How many descriptors this process, and what it starts, may have open.

use std::process::Command;

use super::RigError;

/// Raises this process's limit as far as the system lets it; what it starts from now on inherits that. Refuses if
/// that is less than `needed`, for `what`.
///
/// # Errors
///
/// Says what the limit is, what it must be and who can raise it.
pub(crate) fn raise_descriptors(needed: u64, what: &str) -> Result<(), RigError> {
    let (soft, hard) = limits()?;
    // Only a privileged process can raise the hard limit: try, and live with what there is.
    let raised = needed <= hard || set(needed, needed);
    if !raised {
        return Err(RigError::Usage(format!(
            "{what} take {needed} descriptors and a process here may have {hard}: raise the hard limit \
             (ulimit -Hn, LimitNOFILE=, --ulimit nofile=) or ask for less"
        )));
    }
    if soft < needed && !set(hard.max(needed), hard.max(needed)) {
        return Err(RigError::Usage(format!(
            "prlimit (Debian package util-linux) cannot raise {soft} to {needed}"
        )));
    }
    Ok(())
}

fn set(soft: u64, hard: u64) -> bool {
    let mut command = Command::new("prlimit");
    command.arg("--pid").arg(std::process::id().to_string()).arg(format!("--nofile={soft}:{hard}"));
    command.output().is_ok_and(|output| output.status.success())
}

fn limits() -> Result<(u64, u64), RigError> {
    let path = "/proc/self/limits";
    let text = std::fs::read_to_string(path).map_err(RigError::io(format!("reading {path}")))?;
    parse(&text).ok_or_else(|| RigError::Missing(format!("{path} has no line about open files")))
}

fn parse(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut limits = line.split_ascii_whitespace().map(|limit| limit.parse().unwrap_or(u64::MAX));
    Some((limits.next()?, limits.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_numbers_or_none() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             1                    2                    processes \n\
                    Max open files            1024                 unlimited            files     \n";
        assert_eq!(parse(text), Some((1024, u64::MAX)));
        assert_eq!(parse("Max processes 1 2"), None);
    }

    #[test]
    fn more_than_there_can_be_is_refused_in_words() {
        let said = raise_descriptors(u64::MAX, "ten atoms").unwrap_err().to_string();
        assert!(said.contains("ten atoms take 18446744073709551615 descriptors"), "{said}");
    }
}
