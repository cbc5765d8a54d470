//! The same in front of a real model server: llama.cpp's, on this machine.
//!
//! Nothing is known of it but its slots. What it can answer is measured first, with every slot busy; what is attainable
//! is the best of some fixed limits, each tried with the very same callers.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loadtest::overload::sim::{Call, Ending};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::caller::{Crowd, Wishes};
use super::options::{Front, Options};
use super::points::Point;
use super::report::Row;
use super::{Stage, find, finish};
use crate::rig::{self, Daemon, Launch, Ready, RigError, Verdict, Workdir, free_address};

/// Measures every load, or says why there is nothing to measure.
///
/// # Errors
///
/// Returns why nothing could be measured.
pub(super) fn run(options: &Options) -> Result<Verdict, RigError> {
    let (Some(program), Some(model)) = (&options.llama, &options.llama_model) else {
        rig::progress("skipped: --llama needs a model to serve, --llama-model FILE.gguf")?;
        return Ok(Verdict::Good);
    };
    if let Some(missing) = [program, model].into_iter().find(|path| !path.is_file()) {
        rig::progress(&format!("skipped: {} is not there", missing.display()))?;
        return Ok(Verdict::Good);
    }
    let binaries = find(options, &options.fronts())?;
    rig::run(async {
        let stage = Stage { binaries, workdir: Workdir::create()? };
        let mut command = Command::new(program);
        let listen = free_address()?;
        command.arg("-m").arg(model).args(["--host", "127.0.0.1", "--port"]).arg(listen.port().to_string());
        command.args(["--parallel", SLOTS_TEXT, "-c", CONTEXT_TOKENS]);
        let log = stage.workdir.file("llama.log");
        let server =
            Daemon::start(Launch { name: "llama-server", command, log, ready: Ready::Port(listen) }).await?;
        loaded(server.address).await?;
        let capacity = capacity(options, server.address).await?;
        rig::progress(&format!("{SLOTS} slots answer {capacity:.2}/s"))?;
        let mut rows = Vec::new();
        for &load in &options.loads {
            let mut point = Point::short_answers(options, capacity, load)?;
            point.attainable = attainable(&stage, &point, server.address).await?;
            for front in options.fronts() {
                let (drive, cpu) = stage.measure(front, &point, server.address, Wishes::Limit).await?;
                let row = Row::new(front, &point, &drive, cpu);
                rig::progress(&row.line())?;
                rows.push(row);
            }
        }
        finish(options, &rows)
    })
}

/// The best of some fixed limits, and what it reaches.
async fn attainable(stage: &Stage, point: &Point, server: SocketAddr) -> Result<(u32, f64), RigError> {
    let mut best = (0, 0.0);
    for limit in LIMITS {
        let (drive, _) = stage.measure(Front::Gate(limit), point, server, Wishes::Limit).await?;
        let goodput = drive.outcome.summary(&point.window()).goodput;
        rig::progress(&format!("fixed {limit}, {}: {goodput:.2}/s inside the objective", point.name()))?;
        if goodput > best.1 {
            best = (limit, goodput);
        }
    }
    match best {
        (_, goodput) if goodput > 0.0 => Ok(best),
        _ => Err(RigError::Missing("the server answers nothing inside the objective".to_owned())),
    }
}

/// Answers per second with every slot busy.
async fn capacity(options: &Options, server: SocketAddr) -> Result<f64, RigError> {
    let point = Point::short_answers(options, 1.0, 1.0)?;
    let crowd = Arc::new(Crowd::new(server, &point.scenario, Wishes::Limit));
    let mut tasks = JoinSet::new();
    for slot in 0..SLOTS {
        let (crowd, calls) = (Arc::clone(&crowd), point.calls.clone());
        tasks.spawn(async move { busy(&crowd, &calls, slot).await });
    }
    let answered: usize = tasks.join_all().await.into_iter().sum();
    if answered == 0 {
        let why: Vec<String> = crowd.flaws().into_keys().collect();
        return Err(RigError::Missing(format!("the server answers nothing: {}", why.join("; "))));
    }
    Ok(answered as f64 / CALIBRATION.as_secs_f64())
}

/// Keeps one slot busy and counts the answers.
async fn busy(crowd: &Crowd, calls: &[Call], slot: usize) -> usize {
    let mut answered = 0;
    for call in calls.iter().cycle().skip(slot * 7) {
        let at = crowd.start().elapsed();
        let life = crowd.call(&Call { at, ..*call }).await;
        if crowd.start().elapsed() > CALIBRATION {
            break;
        }
        answered += usize::from(matches!(life.ended, Some((_, Ending::Whole))));
    }
    answered
}

/// Waits until the server has read its model.
async fn loaded(server: SocketAddr) -> Result<(), RigError> {
    let started = Instant::now();
    while started.elapsed() < LOADING_MAX {
        let ask = async {
            let mut stream = TcpStream::connect(server).await?;
            let request = format!("GET /health HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<bool, std::io::Error>(answer.starts_with(b"HTTP/1.1 200"))
        };
        if ask.await.is_ok_and(|ready| ready) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(RigError::NotReady { name: "llama-server", said: "/health never was 200".to_owned() })
}

/// Answers that the server works on at a time.
const SLOTS: usize = 4;
const SLOTS_TEXT: &str = "4";
/// Of all slots together: the longest prompt and answer of the workload, four times.
const CONTEXT_TOKENS: &str = "24576";
/// Tried for the attainable level: the slots, and a short queue before them.
const LIMITS: [u32; 5] = [4, 6, 8, 12, 16];
const CALIBRATION: Duration = Duration::from_secs(20);
/// A model may be tens of gigabytes on a disk.
const LOADING_MAX: Duration = Duration::from_secs(300);
