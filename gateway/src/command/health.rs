//! `weir health`: asks a running Weir whether it is ready, for a container's health check.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Stop;
use crate::cli::Health;

/// A process that takes longer to say "ok" is not.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than a status line has.
const LINE_BYTES_MAX: u64 = 256;

pub(crate) fn health(arguments: &Health) -> Result<(), Stop> {
    let admin = &arguments.admin;
    let door = Door::parse(admin)
        .ok_or_else(|| Stop::Usage(format!("--admin {admin}: should be http://HOST:PORT or unix:/PATH")))?;
    let status = door.ask().map_err(|error| Stop::Failed(format!("{}: {}", door.name(), told(&error))))?;
    match status.as_str() {
        "200" => writeln!(io::stdout(), "ready").map_err(|error| Stop::Failed(error.to_string())),
        "503" => Err(Stop::Failed("not ready".into())),
        other => Err(Stop::Failed(format!("{} answered {other}: is this the admin listener?", door.name()))),
    }
}

/// An admin listener, as it is named on a command line.
enum Door<'a> {
    /// `host:port`.
    Tcp(&'a str),
    /// The path of a Unix-domain socket.
    Unix(&'a str),
}

impl<'a> Door<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then_some(Self::Unix(path));
        }
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        is_authority(authority).then_some(Self::Tcp(authority))
    }

    fn name(&self) -> &'a str {
        let (Self::Tcp(name) | Self::Unix(name)) = self;
        name
    }

    /// The status that the readiness probe answers with.
    fn ask(&self) -> io::Result<String> {
        match self {
            Self::Tcp(authority) => {
                let no_host = || io::Error::other("no such host");
                let address = authority.to_socket_addrs()?.next().ok_or_else(no_host)?;
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                status(stream, authority)
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                status(stream, "localhost")
            }
        }
    }
}

fn is_authority(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty() && !host.contains(['/', '?', '#', '@']) && port.parse::<u16>().is_ok()
}

fn status(mut stream: impl Read + Write, host: &str) -> io::Result<String> {
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

/// What went wrong: the system calls a time that has run out "temporarily unavailable".
fn told(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {PATIENCE:?}"),
        _ => error.to_string(),
    }
}
