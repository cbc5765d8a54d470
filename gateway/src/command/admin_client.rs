//! Asks the admin listener of a running Weir, for the commands that operate one: a request, and the JSON that answers
//! it. Whether a change may have been made although no answer came is told apart. The operator's key, where one is
//! needed, is in the environment.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, IF_MATCH};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::door::Door;
use super::health::ADMIN;
use super::{Stop, door};
use crate::cli::RouterOperate;
use crate::path::send::tls::{self, Protocol};

/// Where a command finds its operator's key: never among its arguments, which every user of a machine can see.
const KEY: &str = "WEIR_ADMIN_KEY";
/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long an answer may take: a deployment reads secrets and certificates anew.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// More than the state of thousands of targets.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The operator's key, if there is one.
fn operators_key() -> io::Result<Option<String>> {
    let key = std::env::var(KEY).unwrap_or_default().trim().to_owned();
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(io::Error::other(format!("what {KEY} holds cannot be a key")));
    }
    Ok(Some(key).filter(|key| !key.is_empty()))
}

/// The admin listener of one Weir.
#[derive(Debug)]
pub(super) struct Admin {
    door: Door,
    /// The authorities (PEM) to trust in place of the system's.
    ca: Option<PathBuf>,
    /// As it was named.
    pub(super) name: String,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    method: Method,
    path: String,
    expected: Option<String>,
    body: Option<Value>,
}

/// No good answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Nothing was asked: there was no connection.
    Unreachable(String),
    /// Weir answered that it does not do it.
    Refused(String),
    /// It was asked, and whether it was done is not known.
    Unknown(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(formatter, "cannot be reached: {why}"),
            Self::Refused(message) => formatter.write_str(message),
            Self::Unknown(why) => write!(formatter, "no answer: {why}"),
        }
    }
}

impl Asked {
    pub(super) fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), expected: None, body: None }
    }

    pub(super) fn new(method: Method, path: String) -> Self {
        Self { method, path, expected: None, body: None }
    }

    /// Only if nothing has changed since an answer had this tag.
    pub(super) fn of(mut self, tag: Option<&str>) -> Self {
        self.expected = tag.map(|tag| format!("\"{tag}\""));
        self
    }

    pub(super) fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

impl Admin {
    /// The listeners that a command line names; the usual one if it names none.
    pub(super) fn all(asked: &RouterOperate) -> Result<Vec<Self>, Stop> {
        let names = asked.admins.iter().map(String::as_str).filter(|name| !name.is_empty());
        let mut named: Vec<&str> = names.collect();
        if named.is_empty() {
            named.push(ADMIN);
        }
        let mut doors: Vec<(&str, Door)> = Vec::new();
        for name in named {
            if doors.iter().any(|(known, _)| *known == name) {
                return Err(Stop::Usage(format!("--admin {name} is given twice")));
            }
            let wanted =
                || format!("--admin {name}: should be http://HOST:PORT, https://HOST:PORT or unix:/PATH");
            let door = Door::parse(name).ok_or_else(|| Stop::Usage(wanted()))?;
            // One that cannot be a key is told of when it is to be sent.
            if door.is_open(name) && !matches!(operators_key(), Ok(None)) {
                let message = format!(
                    "--admin {name}: the key in {KEY} is not sent in the clear: write https://{name}, or http://{name} \
                     where that may be"
                );
                return Err(Stop::Usage(message));
            }
            doors.push((name, door));
        }
        let named: Vec<_> = doors.iter().map(|(name, door)| (*name, door)).collect();
        let ca = door::trusted(asked.ca.as_deref(), &named)?;
        let admin = |(name, door): (&str, Door)| Self { door, ca: ca.clone(), name: name.to_owned() };
        Ok(doors.into_iter().map(admin).collect())
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, asked: &Asked) -> Result<Value, Failure> {
        let host = self.door.host();
        match &self.door {
            Door::Tcp(authority) => {
                exchange(connected(TcpStream::connect(authority)).await?, host, asked).await
            }
            Door::Tls(authority) => {
                exchange(connected(secure(authority, self.ca.as_deref())).await?, host, asked).await
            }
            Door::Unix(path) => exchange(connected(UnixStream::connect(path)).await?, host, asked).await,
        }
    }
}

async fn secure(authority: &str, ca: Option<&Path>) -> io::Result<TlsStream<TcpStream>> {
    let name = door::server_name(authority)?;
    let client =
        tls::client(ca, Protocol::Http1).map_err(|problem| io::Error::other(format!("ca: {problem}")))?;
    TlsConnector::from(client).connect(name, TcpStream::connect(authority).await?).await
}

/// Runs what a command asks to its end.
pub(super) fn run(command: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::Failed(format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(command);
    // Not dropped, which would wait for a host name that is still being looked up.
    runtime.shutdown_background();
    ended
}

/// A name as a part of a path.
pub(super) fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

async fn connected<T>(connecting: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
    match timeout(CONNECT_MAX, connecting).await {
        Ok(connected) => connected.map_err(|error| Failure::Unreachable(error.to_string())),
        Err(_) => Err(Failure::Unreachable(format!("no connection within {CONNECT_MAX:?}"))),
    }
}

async fn exchange<S>(stream: S, host: &str, asked: &Asked) -> Result<Value, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unknown = |error: hyper::Error| Failure::Unknown(error.to_string());
    let answering = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unknown)?;
        // How it ends shows in the answer.
        tokio::spawn(async move { connection.await.unwrap_or_default() });
        let answer = sender.send_request(request(host, asked)?).await.map_err(unknown)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| Failure::Unknown(error.to_string()))?.to_bytes();
        judge(&head, &body)
    };
    let in_time = timeout(ANSWER_MAX, answering).await;
    in_time.unwrap_or_else(|_| Err(Failure::Unknown(format!("nothing within {ANSWER_MAX:?}"))))
}

fn request(host: &str, asked: &Asked) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::builder().method(&asked.method).uri(&asked.path).header(HOST, host);
    if let Some(tag) = &asked.expected {
        request = request.header(IF_MATCH, tag);
    }
    if let Some(key) = operators_key().map_err(|problem| Failure::Unreachable(problem.to_string()))? {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    let body = match &asked.body {
        Some(body) => {
            request = request.header(CONTENT_TYPE, "application/json");
            Full::from(body.to_string())
        }
        None => Full::default(),
    };
    request.body(body).map_err(|error| Failure::Unreachable(error.to_string()))
}

fn judge(head: &http::response::Parts, body: &[u8]) -> Result<Value, Failure> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    if head.status.is_success() {
        return json.ok_or_else(|| Failure::Unknown("it is no JSON: is this an admin listener?".into()));
    }
    let message = json.as_ref().and_then(|json| json["error"]["message"].as_str()).map(str::to_owned);
    let or_else = || format!("it answers {}: is this an admin listener?", head.status);
    Err(Failure::Refused(message.unwrap_or_else(or_else)))
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn any_name_is_one_part_of_a_path() {
        assert_eq!(escape("mini/gpt-4o-mini"), "mini%2Fgpt-4o-mini");
        assert_eq!(escape("*"), "%2A");
        assert_eq!(escape(".."), "%2E%2E");
        assert_eq!(escape("é ?"), "%C3%A9%20%3F");
    }
}
