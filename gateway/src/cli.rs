//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

/// An LLM inference gateway: a drop-in proxy in front of model servers and model APIs.
#[derive(Debug, Parser)]
#[command(name = "weir", version, arg_required_else_help = true, after_help = EXAMPLES)]
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
    /// Print what a configuration file may hold: a JSON Schema for editors, or the reference for people.
    Schema(Schema),
    /// Make keys by which callers are known.
    #[command(subcommand)]
    Key(KeyAction),
    /// Print the script by which a shell completes Weir's commands.
    #[command(after_help = COMPLETIONS)]
    Completions(Completions),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Run {
    /// Configuration file (YAML).
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
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
    /// Where clients are listened for: host:port (0 takes a free one) or unix:/path. [default: 127.0.0.1:8080]
    #[arg(long, env = "WEIR_LISTEN", value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Where operators are listened for: a loopback host:port, or unix:/path. [default: 127.0.0.1:9901]
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
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Health {
    /// The admin listener of the Weir to ask: a URL, an address, or unix:/path. [default: http://127.0.0.1:9901]
    #[arg(long, env = "WEIR_ADMIN", value_name = "URL")]
    pub(crate) admin: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Schema {
    /// What to print it as.
    #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
    pub(crate) format: SchemaFormat,
}

/// How `weir schema` describes the file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemaFormat {
    /// JSON Schema (draft 2020-12).
    Json,
    /// The reference: every key with type, default and range, and what it is for.
    Markdown,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make a key: printed once, with what a configuration knows of it.
    New(KeyNew),
}

#[derive(Args, Debug)]
pub(crate) struct KeyNew {
    /// The caller's name, as in logs. [default: made from the key's digest]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  weir demo                                          what it does, on this machine alone
  weir run --upstream http://127.0.0.1:9001          in front of one model server, without a file
  weir check weir.yaml && weir run --config weir.yaml";

const COMPLETIONS: &str = "\
Examples:
  weir completions bash > /etc/bash_completion.d/weir
  weir completions zsh > \"${fpath[1]}/_weir\"
  weir completions fish > ~/.config/fish/completions/weir.fish";
