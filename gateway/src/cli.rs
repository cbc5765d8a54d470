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
    /// Show the routes of a running Weir, and shift their weights.
    Router(Router),
    /// Show what the segments of a running Weir may use and have left, and change it.
    #[command(subcommand)]
    Quota(QuotaAction),
    /// Check the log of changes that were made while Weir ran.
    Audit(Audit),
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
    /// Certificate authorities (PEM) to trust in place of the system's, for an https URL. [env: WEIR_ADMIN_CA=]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(after_help = ROUTER)]
pub(crate) struct Router {
    #[command(subcommand)]
    pub(crate) action: RouterAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouterAction {
    /// Show each route's targets: weights, and how they did in the last minute.
    Status(RouterOperate),
    /// Stage a weight for a target; the others of its route share the rest in proportion.
    Adjust(RouterAdjust),
    /// Forget what is staged on a route.
    Discard(RouterDiscard),
    /// Put everything that is staged into force, in one step.
    Deploy(RouterOperate),
    /// Put the weights of before the last deployment into force again.
    Rollback(RouterOperate),
}

/// Which Weirs are meant, and how they are shown.
#[derive(Args, Debug)]
pub(crate) struct RouterOperate {
    /// The admin listener of a Weir: a URL, an address, or unix:/path. It may be repeated: all of them are changed, or
    /// none. [default: http://127.0.0.1:9901]
    #[arg(long = "admin", env = "WEIR_ADMIN", value_name = "URL", value_delimiter = ',')]
    pub(crate) admins: Vec<String>,
    /// The authorities (PEM) to trust for https:// in place of the system's. [env: WEIR_ADMIN_CA=]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuotaAction {
    /// Show what each segment may use, what is left of it, and who said so.
    Show(RouterOperate),
    /// Change what a segment may use, at once. What is not named here stays as it is.
    #[command(after_help = QUOTA)]
    Set(QuotaSet),
}

#[derive(Args, Debug)]
pub(crate) struct QuotaSet {
    /// The segment.
    #[arg(long, value_name = "SEGMENT")]
    pub(crate) segment: String,
    /// Calls over time, or `none`.
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) requests_per_second: Option<String>,
    /// Most calls at once, or `none` for twice the rate.
    #[arg(long, value_name = "CALLS", allow_hyphen_values = true)]
    pub(crate) burst: Option<String>,
    /// Tokens of prompts and answers, or `none`.
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    pub(crate) tokens_per_minute: Option<String>,
    /// Most calls at a time, or `none`.
    #[arg(long, value_name = "CALLS", allow_hyphen_values = true)]
    pub(crate) concurrent: Option<String>,
    /// Whether who exceeds it is refused; else it is only counted.
    #[arg(long, value_name = "BOOL")]
    pub(crate) enforce: Option<bool>,
    /// What the configuration file says, in place of all of these.
    #[arg(long, conflicts_with_all = ["requests_per_second", "burst", "tokens_per_minute", "concurrent", "enforce"])]
    pub(crate) reset: bool,
    #[command(flatten)]
    pub(crate) operate: RouterOperate,
}

#[derive(Args, Debug)]
pub(crate) struct RouterAdjust {
    /// The target: `pool/model`, or a model or a pool alone where that is clear.
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Its share, from 0 to 1.
    #[arg(long, value_name = "WEIGHT", allow_hyphen_values = true)]
    pub(crate) weight: String,
    /// The route, where several have the target.
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: Option<String>,
    #[command(flatten)]
    pub(crate) operate: RouterOperate,
}

#[derive(Args, Debug)]
pub(crate) struct RouterDiscard {
    /// The route.
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: String,
    #[command(flatten)]
    pub(crate) operate: RouterOperate,
}

#[derive(Args, Debug)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) action: AuditAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditAction {
    /// Find every edit, gap and reorder in an audit log.
    Verify(AuditVerify),
}

#[derive(Args, Debug)]
pub(crate) struct AuditVerify {
    /// The audit log.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The public key (PEM) of the one that signs the lines.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) public_key: Option<PathBuf>,
    /// The hash of what was the last line at some time, which must still be there.
    #[arg(long, value_name = "HASH")]
    pub(crate) expect_last: Option<String>,
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

const QUOTA: &str = "\
Examples:
  weir quota set --segment b2b --requests-per-second 100 --burst 300
  weir quota set --segment b2b --tokens-per-minute none
  weir quota set --segment b2b --reset

It holds until the process ends, or until the file says something else of that quota than it did.";

const ROUTER: &str = "\
Examples:
  weir router status
  weir router adjust --model gpt-4o --weight 0.7     stages 0.7 and shows what becomes of the others
  weir router deploy                                 puts it into force, and no call notices
  weir router rollback                               as before";

const COMPLETIONS: &str = "\
Examples:
  weir completions bash > /etc/bash_completion.d/weir
  weir completions zsh > \"${fpath[1]}/_weir\"
  weir completions fish > ~/.config/fish/completions/weir.fish";
