//! The admin listener of a running Weir, as commands reach it: by HTTP, by HTTPS, or through a Unix-domain socket.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::Stop;
use crate::admin::is_loopback;
use crate::path::send::tls::{self, Protocol};

/// Whom to trust where no flag says.
const CA: &str = "WEIR_ADMIN_CA";

/// An admin listener, as it is named on a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `host:port`.
    Tcp(String),
    /// The same with TLS.
    Tls(String),
    /// The path of a Unix-domain socket.
    Unix(String),
}

/// A connection to it.
pub(super) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Door {
    /// Reads `http://host:port`, `https://host:port`, `host:port` or `unix:/path`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Self::Unix(path.to_owned()));
        }
        let (door, authority): (fn(String) -> Self, _) = match text.strip_prefix("https://") {
            Some(authority) => (Self::Tls, authority),
            None => (Self::Tcp, text.strip_prefix("http://").unwrap_or(text)),
        };
        let authority = authority.trim_end_matches('/');
        is_authority(authority).then(|| door(authority.to_owned()))
    }

    /// Whether what is sent there can be read on its way, by the name that this was read from. Who writes `http://` is
    /// taken to know.
    pub(super) fn is_open(&self, name: &str) -> bool {
        matches!(self, Self::Tcp(authority) if !is_loopback(authority)) && !name.starts_with("http://")
    }

    pub(super) fn name(&self) -> &str {
        let (Self::Tcp(name) | Self::Tls(name) | Self::Unix(name)) = self;
        name
    }

    /// What the `host` header says.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Tcp(authority) | Self::Tls(authority) => authority,
            Self::Unix(_) => "localhost",
        }
    }

    /// Connects. For TLS, `ca` has the authorities (PEM) to trust in place of the system's.
    pub(super) fn connect(&self, ca: Option<&Path>) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            // At each of a name's addresses: `localhost` often is `::1` first, where nobody listens.
            Self::Tcp(authority) => Box::new(TcpStream::connect(authority)?),
            Self::Tls(authority) => Box::new(secure(authority, ca)?),
            Self::Unix(path) => Box::new(UnixStream::connect(path)?),
        })
    }
}

fn secure(authority: &str, ca: Option<&Path>) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = server_name(authority)?;
    let client =
        tls::client(ca, Protocol::Http1).map_err(|problem| io::Error::other(format!("ca: {problem}")))?;
    let mut session = ClientConnection::new(client, name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(authority)?;
    // Now, so that a certificate that is not trusted is told as such.
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// The authorities (PEM) to trust in place of the system's at these listeners, each with its name. Who says whom to
/// trust means TLS, so a flag for a listener without it is refused; the variable may be there for other commands.
pub(super) fn trusted(flag: Option<&Path>, doors: &[(&str, &Door)]) -> Result<Option<PathBuf>, Stop> {
    let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
    let Some(flag) = flag.map(Path::to_owned).filter(is_set) else {
        return Ok(std::env::var_os(CA).map(PathBuf::from).filter(is_set));
    };
    match doors.iter().find(|(_, door)| !matches!(door, Door::Tls(_))) {
        None => Ok(Some(flag)),
        Some((name, _)) => {
            Err(Stop::Usage(format!("--ca is for https://HOST:PORT, and --admin {name} is none")))
        }
    }
}

/// Whom a server at `host:port` has to be.
pub(super) fn server_name(authority: &str) -> io::Result<ServerName<'static>> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)
}

fn is_authority(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty() && !host.contains(['/', '?', '#', '@']) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::Door;

    #[test]
    fn listeners_as_they_are_named() {
        let tcp = |name: &str| Some(Door::Tcp(name.to_owned()));
        assert_eq!(Door::parse("http://127.0.0.1:9901/"), tcp("127.0.0.1:9901"));
        assert_eq!(Door::parse("[::1]:9901"), tcp("[::1]:9901"));
        assert_eq!(Door::parse("https://weir.example:9901"), Some(Door::Tls("weir.example:9901".to_owned())));
        for (name, open) in [
            ("weir.example:9901", true),
            ("10.0.0.1:9901", true),
            ("http://weir.example:9901", false),
            ("https://weir.example:9901", false),
            ("localhost:9901", false),
            ("[::1]:9901", false),
            ("unix:/run/a", false),
        ] {
            assert_eq!(Door::parse(name).map(|door| door.is_open(name)), Some(open), "{name}");
        }
        assert_eq!(Door::parse("unix:/run/a"), Some(Door::Unix("/run/a".to_owned())));
        for text in ["", "9901", "http://", "https://weir.example", "http://u@h:1", "unix:a", "http://h:1/x"]
        {
            assert_eq!(Door::parse(text), None, "{text}");
        }
    }
}
