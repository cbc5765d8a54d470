//! The commands of the command line.

mod check;
mod demo;
mod health;
pub(crate) mod load;
mod run;
mod serve;

use std::fmt;

pub(crate) use check::check;
pub(crate) use demo::demo;
pub(crate) use health::health;
pub(crate) use run::run;

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Bad usage or configuration: status 2.
    Usage(String),
    /// Something that was fine to ask failed: status 1.
    Failed(String),
}

impl Stop {
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(text) | Self::Failed(text)) = self;
        formatter.write_str(text)
    }
}
