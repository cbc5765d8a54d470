//! The commands of the command line.

mod admin_client;
mod audit;
mod check;
mod completions;
mod demo;
mod door;
mod health;
mod key;
pub(crate) mod load;
mod quota;
mod router;
mod run;
mod schema;
mod serve;

use std::fmt;
use std::io::{self, ErrorKind, Write};

pub(crate) use audit::audit;
pub(crate) use check::check;
pub(crate) use completions::completions;
pub(crate) use demo::demo;
pub(crate) use health::health;
pub(crate) use key::key;
pub(crate) use quota::quota;
pub(crate) use router::router;
pub(crate) use run::run;
pub(crate) use schema::schema;

/// Writes to stdout. Whoever reads it may have had enough (`weir schema | head`), which is no failure.
fn print(text: &[u8]) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Stop::Failed(error.to_string())),
        _ => Ok(()),
    }
}

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
