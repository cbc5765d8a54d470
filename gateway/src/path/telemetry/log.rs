//! The log: lines are handed over in memory and written by one thread, off the request path.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use prometheus::IntCounter;
use router_core::config::LogFormat;

use super::Record;
use super::line::Line as Json;

/// Lines that may wait to be written. A log that cannot keep up loses lines, counted, rather than time.
const LINES_MAX: usize = 16 * 1024;
/// How long lines may gather before they are written in one go: a wake-up for each would cost the request
/// path more than the line itself, and at full load the lines of a longer time take milliseconds to write, for
/// which calls on the same core would wait.
const GATHER: Duration = Duration::from_millis(5);

/// How long a process that ends waits for its log.
const FLUSH: Duration = Duration::from_secs(2);

/// Where log lines are handed over.
pub(crate) struct LogSink {
    lines: SyncSender<Line>,
    dropped: IntCounter,
    /// Whether lines are for humans.
    human: Arc<AtomicBool>,
}

/// A line that is not a call's.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) level: Level,
    pub(crate) message: String,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warn,
    Error,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Json,
    Human,
}

impl Style {
    /// The style that a format asks for here and now.
    pub(crate) fn of(format: LogFormat) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Human => Self::Human,
            LogFormat::Auto if std::io::stderr().is_terminal() => Self::Human,
            LogFormat::Auto => Self::Json,
        }
    }
}

enum Line {
    Call(Box<Record>, SystemTime),
    Event(Event, SystemTime),
    /// Write what is there and say so.
    Flush(SyncSender<()>),
}

impl LogSink {
    /// Starts the writing thread; `dropped` counts the lines that found no room.
    pub(crate) fn start(style: Style, dropped: IntCounter) -> std::io::Result<Self> {
        let (lines, receiver) = sync_channel(LINES_MAX);
        let human = Arc::new(AtomicBool::new(style == Style::Human));
        let shared = human.clone();
        thread::Builder::new().name("log".into()).spawn(move || write_lines(&receiver, &shared))?;
        Ok(Self { lines, dropped, human })
    }

    /// How lines look from now on.
    pub(super) fn set_style(&self, style: Style) {
        self.human.store(style == Style::Human, Ordering::Relaxed);
    }

    pub(super) fn call(&self, record: Box<Record>) {
        self.hand_over(Line::Call(record, SystemTime::now()));
    }

    pub(super) fn event(&self, event: Event) {
        self.hand_over(Line::Event(event, SystemTime::now()));
    }

    /// Waits until everything handed over so far is written: the last thing a process does. Where nobody reads
    /// the log, a process ends without it.
    pub(crate) fn flush(&self) {
        let end = Instant::now() + FLUSH;
        let (done, written) = sync_channel(1);
        let mut line = Line::Flush(done);
        while let Err(TrySendError::Full(back)) = self.lines.try_send(line) {
            if Instant::now() >= end {
                return;
            }
            line = back;
            pause();
        }
        written.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap_or_default();
    }

    fn hand_over(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            self.dropped.inc();
        }
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogSink").finish_non_exhaustive()
    }
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The writing thread: sleeps while there is nothing, then gathers lines and writes them at once.
fn write_lines(receiver: &Receiver<Line>, human: &AtomicBool) {
    while let Ok(first) = receiver.recv() {
        let mut next = Some(first);
        while let Some(line) = next {
            let style = if human.load(Ordering::Relaxed) { Style::Human } else { Style::Json };
            write_batch(receiver, line, style);
            pause();
            next = receiver.try_recv().ok();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "on the log's own thread, or when the process ends")]
fn pause() {
    thread::sleep(GATHER);
}

fn write_batch(receiver: &Receiver<Line>, first: Line, style: Style) {
    let mut text = String::new();
    let mut flushed = Vec::new();
    for line in std::iter::once(first).chain(receiver.try_iter().take(LINES_MAX)) {
        match line {
            Line::Call(record, now) if style == Style::Json => record.json(now, &mut text),
            Line::Call(record, now) => text += &record.human(now),
            Line::Event(event, now) => text += &render_event(&event, now, style),
            Line::Flush(done) => {
                flushed.push(done);
                continue;
            }
        }
        text.push('\n');
    }
    // Nobody could be told that the log itself cannot be written.
    std::io::stderr().lock().write_all(text.as_bytes()).unwrap_or_default();
    for done in flushed {
        done.send(()).unwrap_or_default();
    }
}

fn render_event(event: &Event, now: SystemTime, style: Style) -> String {
    let ts = humantime::format_rfc3339_millis(now);
    match style {
        Style::Json => {
            let mut text = String::new();
            let mut line = Json::begin(&mut text, now);
            line.word("event", Some("process"));
            line.word("level", Some(event.level.name()));
            line.text("message", Some(&event.message));
            line.end();
            text
        }
        Style::Human => format!("{ts} {:<5} {}", event.level.name(), event.message),
    }
}
