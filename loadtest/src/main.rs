//! `loadtest`: what Weir costs and how it holds, measured on the machine at hand.

mod attack;
mod churn;
mod cost;
#[path = "overload/bench/mod.rs"]
mod overload;
mod rig;
mod streams;

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
    /// CPU time per request or event of Weir beside a bare hyper relay, nginx and Envoy, in one run.
    Cost(cost::Options),
    /// Slow, flooding, idle and leaving clients: how the gateway ends them, and who notices.
    Attack(attack::Options),
    /// Reloads and rolling restarts under load: whether a request is lost or a stream cut.
    Churn(churn::Options),
    /// More calls than the model servers can take: who is served, and how many of those that could have been.
    Overload(overload::Options),
    /// Thousands of streams open at the same moment: whether all are whole, and memory for each.
    Streams(streams::Options),
}

fn main() -> ExitCode {
    let verdict = match Cli::parse().command {
        Command::Cost(options) => cost::run(&options),
        Command::Attack(options) => attack::run(&options),
        Command::Churn(options) => churn::run(&options),
        Command::Overload(options) => overload::run(&options),
        Command::Streams(options) => streams::run(&options),
    };
    match verdict {
        Ok(rig::Verdict::Good) => ExitCode::SUCCESS,
        Ok(rig::Verdict::Bad(why)) => failed(&why),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(why: &str) -> ExitCode {
    // With stderr gone there is nobody left to tell.
    drop(writeln!(io::stderr(), "loadtest: {why}"));
    ExitCode::FAILURE
}
