//! Reloads and rolling restarts under load: is a request lost, or a stream cut?
//!
//! The callers ask for streams of a second and for whole answers in turn. First one process is told 30 times to read
//! its file again, which each time names another model; then two processes are restarted in turn, as a rolling
//! deployment does it: SIGTERM, wait for the end, start again on the same address.

mod caller;
mod options;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

pub(crate) use options::Options;

use crate::rig::{
    self, Binaries, Daemon, Machine, Proxy, RigError, Script, Verdict, Wanted, Workdir, free_address, signal,
};
use caller::{Caller, Seen};

/// Tries it, prints the table to stdout and says whether nothing was lost or cut.
///
/// # Errors
///
/// Returns why it could not be tried: also that a process ended that should not have.
pub(crate) fn run(options: &Options) -> Result<Verdict, RigError> {
    options.check()?;
    let wanted = Wanted { proxies: &[Proxy::Weir], weir: options.weir.as_deref(), envoy: None };
    let binaries = Binaries::find(&wanted)?;
    let machine = Machine::read()?;
    rig::run(async {
        let workdir = Workdir::create()?;
        let script = Script { events: EVENTS, gap: EVENT_GAP };
        let upstream = binaries.upstream(&machine, &workdir, script).await?;
        let stage = Stage { options, binaries: &binaries, workdir: &workdir, upstream: upstream.address };
        let mut rows = Vec::new();
        if options.reloads > 0 {
            rows.push((format!("{} reloads", options.reloads), stage.reloads().await?));
        }
        if options.restarts > 0 {
            rows.push((format!("{} restarts", options.restarts), stage.restarts().await?));
        }
        rig::print(&table(&rows))?;
        Ok(rows.iter().find_map(|(what, seen)| complaint(what, seen)).map_or(Verdict::Good, Verdict::Bad))
    })
}

/// What both trials stand on.
struct Stage<'a> {
    options: &'a Options,
    binaries: &'a Binaries,
    workdir: &'a Workdir,
    upstream: SocketAddr,
}

impl Stage<'_> {
    async fn reloads(&self) -> Result<Seen, RigError> {
        let address = free_address()?;
        let config = self.config("reloaded", address, MODELS[0])?;
        let mut weir = self.binaries.weir_by(&config, self.workdir).await?;
        let callers = Callers::start(self.options.callers, &[address]);
        for at in 1..=self.options.reloads {
            tokio::time::sleep(BETWEEN_RELOADS).await;
            rig::progress(&format!("reload {at} of {}", self.options.reloads))?;
            self.config("reloaded", address, MODELS[at as usize % MODELS.len()])?;
            lives(&mut weir)?;
            signal(weir.pid(), "HUP")?;
        }
        // The callers notice the last one, too; and a process that the signal ended is gone by then.
        tokio::time::sleep(AFTER_CHANGE).await;
        lives(&mut weir)?;
        let seen = callers.stop().await;
        let wanted = MODELS.map(|model| format!("live/{model}"));
        match wanted.iter().find(|target| !seen.targets.contains(*target)) {
            Some(never) => Err(RigError::Missing(format!("no reload took: nothing was answered by {never}"))),
            None => Ok(seen),
        }
    }

    async fn restarts(&self) -> Result<Seen, RigError> {
        let addresses = [free_address()?, free_address()?];
        let configs =
            [self.config("first", addresses[0], MODELS[0])?, self.config("second", addresses[1], MODELS[0])?];
        let mut weirs = Vec::new();
        for config in &configs {
            weirs.push(self.binaries.weir_by(config, self.workdir).await?);
        }
        let callers = Callers::start(self.options.callers, &addresses);
        for at in 1..=self.options.restarts {
            tokio::time::sleep(AFTER_CHANGE).await;
            rig::progress(&format!("restart {at} of {}", self.options.restarts))?;
            // The one that has run longest.
            let which = (at as usize + 1) % configs.len();
            weirs.remove(0).terminate(EXIT_MAX).await?;
            tokio::time::sleep(DOWN).await;
            weirs.push(self.binaries.weir_by(&configs[which], self.workdir).await?);
        }
        tokio::time::sleep(AFTER_CHANGE).await;
        Ok(callers.stop().await)
    }

    /// Writes a file beside and moves it into place: a reader sees the old one or the new one.
    fn config(&self, name: &str, listen: SocketAddr, model: &str) -> Result<PathBuf, RigError> {
        let upstream = self.upstream;
        let text = format!(
            "listen: [{{ address: {listen} }}]\n\
             admin: {{ address: 127.0.0.1:0 }}\n\
             pools:\n  live: {{ endpoints: [{{ url: http://{upstream} }}] }}\n\
             routes:\n  m: {{ targets: [{{ pool: live, model: {model}, weight: 1 }}] }}\n"
        );
        let (path, beside) = (self.workdir.file(&format!("{name}.yaml")), self.workdir.file("beside.tmp"));
        std::fs::write(&beside, text).map_err(RigError::io("writing a config"))?;
        std::fs::rename(&beside, &path).map_err(RigError::io("moving a config into place"))?;
        Ok(path)
    }
}

fn lives(weir: &mut Daemon) -> Result<(), RigError> {
    let ended = weir.ended().map(|status| RigError::Missing(format!("a reload ended the process: {status}")));
    ended.map_or(Ok(()), Err)
}

/// The callers while they run.
struct Callers {
    tasks: JoinSet<Seen>,
    over: Arc<AtomicBool>,
}

impl Callers {
    fn start(count: usize, addresses: &[SocketAddr]) -> Self {
        let (mut tasks, over) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for at in 0..count {
            tasks.spawn(Caller::new(addresses.to_vec(), at).run(Arc::clone(&over)));
        }
        Self { tasks, over }
    }

    async fn stop(mut self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        while let Some(one) = self.tasks.join_next().await {
            match one {
                Ok(one) => all.add(one),
                Err(error) => *all.lost.entry(error.to_string()).or_default() += 1,
            }
        }
        all
    }
}

/// The table in Markdown, and under it why requests were lost or streams cut.
fn table(rows: &[(String, Seen)]) -> String {
    let mut text = String::from(
        "| under load | whole answers | whole streams | answers with connection: close | idle closes | refused connects | lost | cut |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut reasons = String::new();
    for (what, seen) in rows {
        let (lost, cut): (u64, u64) = (seen.lost.values().sum(), seen.cut.values().sum());
        let Seen { answers, streams, asked_to_close, closed_idle, refused, .. } = seen;
        text += &format!(
            "| {what} | {answers} | {streams} | {asked_to_close} | {closed_idle} | {refused} | {lost} | {cut} |\n"
        );
        for (kind, why, count) in seen
            .lost
            .iter()
            .map(|(why, count)| ("lost", why, count))
            .chain(seen.cut.iter().map(|(why, count)| ("cut", why, count)))
        {
            reasons += &format!("{what}: {kind} {count} × {why}\n");
        }
    }
    if reasons.is_empty() { text } else { format!("{text}\n{reasons}") }
}

fn complaint(what: &str, seen: &Seen) -> Option<String> {
    let (lost, cut): (u64, u64) = (seen.lost.values().sum(), seen.cut.values().sum());
    if seen.answers == 0 || seen.streams == 0 {
        return Some(format!("{what}: nothing was answered"));
    }
    (lost + cut > 0).then(|| format!("{what}: {lost} requests lost, {cut} streams cut"))
}

/// A second of a brisk model.
const EVENTS: u64 = 100;
const EVENT_GAP: Duration = Duration::from_millis(10);
/// The model names that the reloaded file takes in turn.
const MODELS: [&str; 2] = ["tulip", "rose"];
/// Streams of a second are open across several reloads.
const BETWEEN_RELOADS: Duration = Duration::from_millis(300);
/// Callers go back to a process that is there again before the other one goes.
const AFTER_CHANGE: Duration = Duration::from_secs(2);
/// Long enough for callers to find the door closed.
const DOWN: Duration = Duration::from_millis(500);
/// Five seconds of grace, thirty of drain, and some.
const EXIT_MAX: Duration = Duration::from_secs(60);
