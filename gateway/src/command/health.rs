//! `weir health`: asks a running Weir whether it is ready, for a container's health check.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Stop;
use crate::cli::Health;

/// A process that takes longer to say "ok" is not.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than a status line has.
const LINE_BYTES_MAX: u64 = 256;

pub(crate) fn health(arguments: &Health) -> Result<(), Stop> {
    let admin = &arguments.admin;
    let authority = admin.strip_prefix("http://").unwrap_or(admin).trim_end_matches('/');
    if !is_authority(authority) {
        return Err(Stop::Usage(format!("--admin {admin}: should be http://HOST:PORT")));
    }
    let status = ask(authority).map_err(|error| Stop::Failed(format!("{authority}: {}", told(&error))))?;
    match status.as_str() {
        "200" => writeln!(io::stdout(), "ready").map_err(|error| Stop::Failed(error.to_string())),
        "503" => Err(Stop::Failed("not ready".into())),
        other => Err(Stop::Failed(format!("{authority} answered {other}: is this the admin listener?"))),
    }
}

fn is_authority(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty() && !host.contains(['/', '?', '#', '@']) && port.parse::<u16>().is_ok()
}

/// The status that the readiness probe answers with.
fn ask(authority: &str) -> io::Result<String> {
    let address = authority.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no such host"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /health/ready HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n")?;
    let mut line = Vec::new();
    // No further than the status line: a server may keep the connection open behind it.
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    Ok(line.split_whitespace().nth(1).unwrap_or("nothing").to_owned())
}

/// What went wrong: the system calls a time that has run out "temporarily unavailable".
fn told(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {PATIENCE:?}"),
        _ => error.to_string(),
    }
}
