//! `loadtest`: what Weir costs and how it holds, measured on the machine at hand.

mod cost;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The command line.
#[derive(Debug, Parser)]
#[command(about = "Measurements of Weir on this machine")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
enum Command {
    /// CPU time per request or event of Weir beside a bare hyper relay and nginx, in one run.
    Cost(cost::Options),
}

fn main() -> ExitCode {
    let Command::Cost(options) = Cli::parse().command;
    match cost::run(&options) {
        Ok(cost::Verdict::Good) => ExitCode::SUCCESS,
        Ok(cost::Verdict::Bad(why)) => failed(&why),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(why: &str) -> ExitCode {
    // With stderr gone there is nobody left to tell.
    drop(writeln!(io::stderr(), "loadtest: {why}"));
    ExitCode::FAILURE
}
