//! Weir, an LLM inference gateway. The way of a request is on one page: [`path`].

mod admin;
mod audit;
mod cli;
mod command;
mod gateway;
mod path;
mod reload;
mod snapshot;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    // Two TLS libraries could serve; the first use of one without this would end the process. It fails only if
    // one is installed already.
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap_or_default();
    let outcome = match Cli::parse().command {
        Command::Run(arguments) => command::run(&arguments),
        Command::Demo(arguments) => command::demo(&arguments),
        Command::Check(arguments) => command::check(&arguments),
        Command::Health(arguments) => command::health(&arguments),
        Command::Quota(action) => command::quota(&action),
        Command::Router(arguments) => command::router(&arguments),
        Command::Audit(arguments) => command::audit(&arguments),
        Command::Schema(arguments) => command::schema(&arguments),
        Command::Key(action) => command::key(&action),
        Command::Completions(arguments) => command::completions(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            // A process that cannot even say why it ends still ends with the right status.
            writeln!(std::io::stderr(), "{stop}").unwrap_or_default();
            ExitCode::from(stop.status())
        }
    }
}
