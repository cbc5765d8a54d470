//! `weir health`: asks a running Weir whether it is ready, for a container's health check.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::door::{self, Door};
use super::{Stop, print};
use crate::cli::Health;

/// A process that takes longer to say "ok" is not.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than a status line has.
const LINE_BYTES_MAX: u64 = 256;
/// Where operators are listened for if nothing is said.
pub(super) const ADMIN: &str = "http://127.0.0.1:9901";

pub(crate) fn health(arguments: &Health) -> Result<(), Stop> {
    // A variable that is set to nothing is as good as not set, as for `weir run`.
    let admin = arguments.admin.as_deref().filter(|admin| !admin.is_empty()).unwrap_or(ADMIN);
    let door = Door::parse(admin).ok_or_else(|| {
        Stop::Usage(format!("--admin {admin}: should be http://HOST:PORT, https://HOST:PORT or unix:/PATH"))
    })?;
    let name = door.name().to_owned();
    let ca = door::trusted(arguments.ca.as_deref(), &[(admin, &door)])?;
    let status = in_time(move || status(&door, ca.as_deref()))
        .map_err(|error| Stop::Failed(format!("{name}: {}", told(&error))))?;
    match status.as_str() {
        "200" => print(b"ready\n"),
        "503" => Err(Stop::Failed("not ready".into())),
        other => Err(Stop::Failed(format!("{name} answered {other}: is this the admin listener?"))),
    }
}

/// Waits for an answer, whatever it is that takes its time: the name, the connection, each byte.
fn in_time(ask: impl FnOnce() -> io::Result<String> + Send + 'static) -> io::Result<String> {
    let (answer, answered) = mpsc::channel();
    // Left alone where it hangs: the process ends.
    thread::Builder::new().name("ask".into()).spawn(move || answer.send(ask()).unwrap_or_default())?;
    answered.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// The status that the readiness probe answers with.
fn status(door: &Door, ca: Option<&Path>) -> io::Result<String> {
    let (mut stream, host) = (door.connect(ca)?, door.host());
    // Without a key, which nobody needs for it.
    // In one piece: a server may answer and close before it has read the last of several.
    stream.write_all(
        format!("GET /health/ready HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut line = Vec::new();
    // No further than the status line: a server may keep the connection open behind it.
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    Ok(line.split_whitespace().nth(1).unwrap_or("nothing").to_owned())
}

/// What went wrong.
fn told(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => format!("no answer within {PATIENCE:?}"),
        _ => error.to_string(),
    }
}
