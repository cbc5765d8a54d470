//! Whether a file has changed, by asking, not by a watch: that works on every file system, and for files that are links
//! which are pointed elsewhere, as Kubernetes does with what it mounts.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often files are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// What identifies a version of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Where links lead.
    place: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

impl Version {
    /// The file as it is now, if it is there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let place = path.canonicalize().ok()?;
        let metadata = place.metadata().ok()?;
        Some(Self { place, bytes: metadata.len(), modified: metadata.modified().ok()? })
    }
}
