//! A client that writes bytes and reads bytes.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// Chunked framing taken off.
    pub body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// One connection.
pub struct Connection<S = TcpStream> {
    stream: BufReader<S>,
}

impl Connection {
    pub fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// The same over a socket that a test has made.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// The socket, for those who want to leave rudely.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

impl<S: Read + Write> Connection<S> {
    /// The same over anything that a test has made.
    pub fn on(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// What it goes over.
    pub fn inner(&self) -> &S {
        self.stream.get_ref()
    }

    /// The same, to write to where that may fail.
    pub fn inner_mut(&mut self) -> &mut S {
        self.stream.get_mut()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// The head of the next answer; its body is left unread.
    pub fn head(&mut self) -> Answer {
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.expect("a status line");
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Answer { status, headers, body: Vec::new(), whole: false }
    }

    /// The next answer.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let chunked = answer.header("transfer-encoding") == Some("chunked");
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        answer.whole = match length {
            _ if chunked => self.chunks(&mut answer.body),
            Some(length) => self.exactly(length, &mut answer.body),
            None => self.stream.read_to_end(&mut answer.body).is_ok(),
        };
        answer
    }

    /// Whether the other side has closed.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(data) => data.is_empty(),
            Err(error) => !is_silence(error.kind()),
        }
    }

    /// Whether the other side closes, whatever it says before.
    pub fn is_closed_in_the_end(&mut self) -> bool {
        self.stream.read_to_end(&mut Vec::new()).map_or_else(|error| !is_silence(error.kind()), |_| true)
    }

    /// The next data of a chunked body; `None` at its end, proper or not.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(self.line().trim(), 16).ok()?;
        let mut data = vec![0; length + 2];
        self.stream.read_exact(&mut data).ok()?;
        data.truncate(length);
        (length > 0).then_some(data)
    }

    /// The rest of a chunked body, added to `body`; whether it came to its proper end.
    pub fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let Ok(length) = usize::from_str_radix(self.line().trim(), 16) else { return false };
            let mut data = vec![0; length + 2];
            if self.stream.read_exact(&mut data).is_err() {
                return false;
            }
            if length == 0 {
                return true;
            }
            body.extend_from_slice(&data[..length]);
        }
    }

    fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> bool {
        body.resize(length, 0);
        self.stream.read_exact(body).is_ok()
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).map(drop).unwrap_or_default();
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }
}

/// Whether nothing came in time.
fn is_silence(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A whole request's bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        bytes += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        bytes += &format!("content-length: {}\r\n", body.len());
    }
    bytes += "\r\n";
    [bytes.as_bytes(), body].concat()
}

/// One request on a connection of its own.
pub fn send(address: &str, bytes: impl AsRef<[u8]>) -> Answer {
    let mut connection = Connection::to(address);
    connection.send(bytes);
    connection.answer()
}

pub fn get(address: &str, path: &str) -> Answer {
    send(address, request("GET", path, &[], b""))
}

pub fn post(address: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    send(address, request("POST", path, headers, body.as_ref()))
}

/// `POST /v1/chat/completions`.
pub fn chat(address: &str, body: impl AsRef<[u8]>) -> Answer {
    post(address, "/v1/chat/completions", &[("content-type", "application/json")], body)
}
