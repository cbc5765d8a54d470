//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An LLM inference gateway: a drop-in proxy in front of model servers and model APIs.
#[derive(Debug, Parser)]
#[command(name = "weir", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway, from a file or in front of the upstreams named here.
    Run(Run),
    /// Show Weir on one machine: three simulated model servers behind a weighted route. No key, no file, no network.
    Demo(Demo),
    /// Say everything that is wrong with configuration files.
    Check(Check),
    /// Say by the exit status whether a running Weir is ready.
    Health(Health),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Run {
    /// Configuration file.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<OsString>,
    #[command(flatten)]
    pub(crate) doors: DoorArguments,
    /// A model server or API to stand in front of, without any file; with a weight, a share of the calls.
    #[arg(long = "upstream", env = "WEIR_UPSTREAM", value_name = "URL[=WEIGHT]", value_delimiter = ',')]
    pub(crate) upstreams: Vec<String>,
    /// The environment variable that holds the provider's key for `--upstream`.
    #[arg(long, env = "WEIR_UPSTREAM_KEY_ENV", value_name = "NAME")]
    pub(crate) upstream_key_env: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DoorArguments {
    /// Where clients are listened for; port 0 takes a free one. [default: 127.0.0.1:8080]
    #[arg(long, env = "WEIR_LISTEN", value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Where operators are listened for; port 0 takes a free one. [default: 127.0.0.1:9901]
    #[arg(long, env = "WEIR_ADMIN", value_name = "ADDR")]
    pub(crate) admin: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) doors: DoorArguments,
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Configuration files.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Health {
    /// The admin listener of the Weir to ask: a URL, or an address.
    #[arg(long, env = "WEIR_ADMIN", value_name = "URL", default_value = "http://127.0.0.1:9901")]
    pub(crate) admin: String,
}
