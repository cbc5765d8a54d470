//! The `modelsim` command: one simulated model server on one port.

use clap::{Args, Parser, ValueEnum};
use loadtest::modelsim::cluster::Caps;
use loadtest::modelsim::engine::EngineSettings;
use loadtest::modelsim::instant::{self, Burst};
use loadtest::modelsim::{Fault, Port, Settings, serve};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A model server without a model: OpenAI and Anthropic APIs with the timing of a continuous-batching engine.
#[derive(Debug, Parser)]
#[command(name = "modelsim", version)]
struct Cli {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Threads that serve.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    instant: InstantArgs,
}

/// The simulated server.
#[derive(Debug, Args)]
struct ModelArgs {
    /// Model name that is served; repeat for more. Without it any name is.
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Engine: a is limited by slots, b by KV memory, c by neither.
    #[arg(long, value_enum, default_value_t = Preset::A)]
    preset: Preset,
    /// Replicas behind the address; a request goes to the least busy one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    replicas: u16,
    /// Sequences that a replica runs at once (the preset's number without it).
    #[arg(long)]
    slots: Option<usize>,
    /// Tokens in a replica's KV cache (the preset's number without it).
    #[arg(long)]
    kv_tokens: Option<u64>,
    /// Texts and lengths follow from it and from the prompt.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Engine time per wall time: 10 answers ten times as fast.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Milliseconds of engine time between a request's arrival and its place in the queue.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    extra_delay_ms: u32,
    /// Answer 429 while this many requests run or wait.
    #[arg(long, value_name = "N")]
    cap_inflight: Option<usize>,
    /// Answer 429 while this many requests wait.
    #[arg(long, value_name = "N")]
    max_waiting: Option<usize>,
    /// Fault that every request meets unless it names its own, such as `hang` or `status=429;retry-after=2`.
    #[arg(long)]
    fault: Option<Fault>,
}

/// Answers without an engine, to measure proxies.
#[derive(Debug, Args)]
struct InstantArgs {
    /// Answer at once with prepared bytes.
    #[arg(
        long,
        conflicts_with_all = [
            "models", "preset", "replicas", "slots", "kv_tokens", "seed", "speed", "extra_delay_ms", "cap_inflight",
            "max_waiting", "fault",
        ]
    )]
    instant: bool,
    /// Content events in a streamed answer.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "instant")]
    instant_events: usize,
    /// Milliseconds between events; 0 writes all at once.
    #[arg(long, value_name = "MS", default_value_t = 0, requires = "instant")]
    instant_gap_ms: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Preset {
    A,
    B,
    C,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match runtime(cli.threads).and_then(|runtime| runtime.block_on(run(&cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("modelsim: {error}"));
            // The settings come from the command line: what is wrong with them is bad usage.
            ExitCode::from(if error.kind() == io::ErrorKind::InvalidInput { 2 } else { 1 })
        }
    }
}

async fn run(cli: &Cli) -> io::Result<()> {
    let listener = TcpListener::bind(cli.listen)
        .await
        .map_err(|error| io::Error::other(format!("cannot listen on {}: {error}", cli.listen)))?;
    if cli.instant.instant {
        let port: Port = instant::serve(listener, cli.instant.burst())?;
        return wait(&port.url()).await;
    }
    let handle = serve(listener, cli.model.settings())?;
    wait(&handle.url()).await
}

/// Says that the port is open, then leaves the work to the server until a signal ends the process.
async fn wait(url: &str) -> io::Result<()> {
    tell(&format!("modelsim ready: {url}"));
    std::future::pending().await
}

fn runtime(threads: u16) -> io::Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(usize::from(threads)).enable_all().build()
}

fn tell(line: &str) {
    // Nobody reads stderr then: no reason to stop serving.
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}

impl ModelArgs {
    fn settings(&self) -> Settings {
        let preset = match self.preset {
            Preset::A => EngineSettings::A,
            Preset::B => EngineSettings::B,
            Preset::C => EngineSettings::C,
        };
        Settings {
            models: self.models.clone(),
            engine: EngineSettings {
                slots: self.slots.unwrap_or(preset.slots),
                kv_tokens: self.kv_tokens.unwrap_or(preset.kv_tokens),
                ..preset
            },
            replicas: usize::from(self.replicas),
            caps: Caps { inflight: self.cap_inflight, waiting: self.max_waiting },
            seed: self.seed,
            speed: self.speed,
            extra_delay: Duration::from_millis(u64::from(self.extra_delay_ms)),
            fault: self.fault.clone(),
            ..Settings::default()
        }
    }
}

impl InstantArgs {
    fn burst(&self) -> Burst {
        Burst { events: self.instant_events, gap: Duration::from_millis(u64::from(self.instant_gap_ms)) }
    }
}
