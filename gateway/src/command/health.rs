//! `weir health`: asks a running Weir whether it is ready, for a container's health check.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Stop;
use crate::cli::Health;

/// A process that takes longer to say "ok" is not.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than a status line has.
const ANSWER_BYTES: usize = 64;

pub(crate) fn health(arguments: &Health) -> Result<(), Stop> {
    let admin = arguments.admin.trim_end_matches('/');
    let authority = admin.strip_prefix("http://").unwrap_or(admin);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(Stop::Usage(format!("--admin {admin}: should be http://HOST:PORT")));
    }
    let status = ask(authority).map_err(|error| Stop::Failed(format!("{authority}: {error}")))?;
    match status.as_str() {
        "200" => writeln!(std::io::stdout(), "ready").map_err(|error| Stop::Failed(error.to_string())),
        "503" => Err(Stop::Failed("not ready".into())),
        other => Err(Stop::Failed(format!("{authority} answered {other}: is this the admin listener?"))),
    }
}

/// The status that the readiness probe answers with.
fn ask(authority: &str) -> std::io::Result<String> {
    let address = authority.to_socket_addrs()?.next().ok_or_else(|| std::io::Error::other("no such host"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /health/ready HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES as u64).read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer);
    Ok(line.split(' ').nth(1).unwrap_or("nothing").to_owned())
}
