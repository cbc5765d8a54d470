//! A directory for configs and logs that is gone when the measurement is, however it ends.

use std::path::{Path, PathBuf};

use super::RigError;

/// Removed with everything in it on drop.
#[derive(Debug)]
pub(crate) struct Workdir(PathBuf);

impl Workdir {
    /// Makes one of this process's own under the system's directory for temporary files.
    ///
    /// # Errors
    ///
    /// Says why it could not be made.
    pub(crate) fn create() -> Result<Self, RigError> {
        let path = std::env::temp_dir().join(format!("weir-loadtest-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(RigError::io(format!("making {}", path.display())))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        // A leftover in the directory for temporary files is no reason to fail.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
