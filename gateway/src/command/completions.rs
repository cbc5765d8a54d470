//! `weir completions`: the script by which a shell completes Weir's commands.

use clap::CommandFactory;

use super::{Stop, print};
use crate::cli::{Cli, Completions};

pub(crate) fn completions(arguments: &Completions) -> Result<(), Stop> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "weir", &mut script);
    print(&script)
}
