//! An upstream that keeps what it got, byte for byte, and answers what a test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::socket::resets_on_close;

/// What the upstream got.
#[derive(Clone, Debug)]
pub struct Got {
    /// Request line and headers as they came, names in lower case.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A recording upstream on a free port.
pub struct Upstream {
    pub address: String,
    got: Arc<Mutex<Vec<Got>>>,
    connections: Arc<AtomicUsize>,
    gone: Arc<AtomicUsize>,
}

/// Answers one request on its socket. `false` closes the connection after it.
pub type Script = dyn Fn(&Got, &mut TcpStream) -> bool + Send + Sync;

impl Upstream {
    /// One that answers every request with a small chat completion.
    pub fn new() -> Self {
        Self::with(|_, socket| socket.write_all(&completion()).is_ok())
    }

    /// One that answers by a script.
    pub fn with(script: impl Fn(&Got, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// One that answers every request with a small chat completion, at an address that was dead.
    pub fn at(address: &str) -> Self {
        Self::on(TcpListener::bind(address).unwrap(), |_, socket| socket.write_all(&completion()).is_ok())
    }

    fn on(
        listener: TcpListener,
        script: impl Fn(&Got, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let upstream =
            Self { address, got: Arc::default(), connections: Arc::default(), gone: Arc::default() };
        let (got, connections, gone) =
            (upstream.got.clone(), upstream.connections.clone(), upstream.gone.clone());
        let script: Arc<Script> = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (got, gone, script) = (got.clone(), gone.clone(), script.clone());
                std::thread::spawn(move || {
                    serve(stream, &got, &*script);
                    gone.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        upstream
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything it got so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Connections made to it so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Connections that have ended.
    pub fn gone(&self) -> usize {
        self.gone.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, got: &Mutex<Vec<Got>>, script: &Script) {
    stream.set_nodelay(true).unwrap_or_default();
    let Ok(mut socket) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        got.lock().unwrap().push(request.clone());
        if !script(&request, &mut socket) {
            break;
        }
    }
    // A reset must not be preceded by a proper goodbye.
    if !resets_on_close(&socket) {
        socket.shutdown(Shutdown::Both).unwrap_or_default();
    }
}

/// The next request; `None` when there is none or it is broken off.
pub fn read_request(reader: &mut impl BufRead) -> Option<Got> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Got { line: line.trim_end().to_owned(), headers, body })
}

/// An answer's bytes.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        bytes += &format!("{name}: {value}\r\n");
    }
    bytes += &format!("content-length: {}\r\n\r\n", body.len());
    [bytes.as_bytes(), body].concat()
}

/// A small chat completion.
pub fn completion() -> Vec<u8> {
    let body = br#"{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Dear reader"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;
    answer("200 OK", &[("content-type", "application/json")], body)
}

/// The head of a chunked event stream.
pub const SSE_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk of a chunked body.
pub fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A content event of a chat stream.
pub fn delta(content: &str) -> Vec<u8> {
    let content = serde_json::Value::from(content);
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{content}}},\"finish_reason\":null}}]}}\n\n")
        .into_bytes()
}

/// The events that end a chat stream.
pub const FINISH: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\ndata: [DONE]\n\n";
