//! The options of `loadtest churn`.

use std::path::PathBuf;

use clap::Args;

use crate::rig::RigError;

/// How often what is done to Weir.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Reloads of one process, by SIGHUP.
    #[arg(long, default_value_t = 30)]
    pub(crate) reloads: u32,
    /// Restarts, of two processes in turn, by SIGTERM.
    #[arg(long, default_value_t = 30)]
    pub(crate) restarts: u32,
    /// Callers, each with one request at a time: a stream and a whole answer in turn.
    #[arg(long, default_value_t = 16)]
    pub(crate) callers: usize,
    /// The Weir to try, instead of the one built beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) weir: Option<PathBuf>,
}

impl Options {
    /// Refuses what cannot be measured.
    ///
    /// # Errors
    ///
    /// Says which option does not fit.
    pub(crate) fn check(&self) -> Result<(), RigError> {
        if self.callers == 0 || self.reloads + self.restarts == 0 {
            let why = "--callers must be at least 1, and so must --reloads or --restarts";
            return Err(RigError::Usage(why.to_owned()));
        }
        Ok(())
    }
}
