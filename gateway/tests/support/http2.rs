//! HTTP/2 in two ways: a proper client, and one that sends whatever frames a test wants.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// An answer as it came.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub whole: bool,
}

/// A client with one connection.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub fn to(address: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            Self::begin(stream).await
        });
        Self { runtime, sender }
    }

    /// The same over TLS, with a server that is to be `localhost`.
    pub fn over_tls(address: &str, config: Arc<ClientConfig>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            Self::begin(TlsConnector::from(config).connect(name, stream).await.unwrap()).await
        });
        Self { runtime, sender }
    }

    async fn begin(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> SendRequest<Full<Bytes>> {
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { connection.await.unwrap_or_default() });
        sender
    }

    /// Sends a request for `http://weir.test` and reads all of its answer.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("http://weir.test{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        self.runtime.block_on(async {
            let (head, mut body) = self.sender.send_request(request).await.unwrap().into_parts();
            let (mut bytes, mut whole) = (Vec::new(), true);
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                    Err(_) => whole = false,
                }
            }
            Reply { status: head.status.as_u16(), headers: head.headers, body: bytes.into(), whole }
        })
    }

    /// Whether another request can still be made.
    pub fn is_open(&mut self) -> bool {
        self.runtime.block_on(async { self.sender.ready().await.is_ok() })
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A head's fields, none compressed.
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let mut text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text");
        block.push(length);
        block.extend_from_slice(text.as_bytes());
    };
    let mut all = Vec::new();
    for (name, value) in fields {
        text(name);
        text(value);
    }
    // A literal that is not indexed begins with a zero.
    let mut rest = block.as_slice();
    while let Some((&length, _)) = rest.split_first() {
        let name = 1 + usize::from(length);
        let field = name + 1 + usize::from(rest[name]);
        all.push(0);
        all.extend_from_slice(&rest[..field]);
        rest = &rest[field..];
    }
    all
}

/// The head of a `POST` to `path`.
pub fn post_head(path: &str) -> Vec<u8> {
    fields(&[(":method", "POST"), (":scheme", "http"), (":authority", "weir.test"), (":path", path)])
}

/// A connection on which anything can be sent.
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// A connection whose settings are these, with which it has begun.
    pub fn to(address: &str, settings: &[(u16, u32)]) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &payload)).unwrap();
        Self { stream }
    }

    /// Whether the other side still took it.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next frame: kind, flags, stream, payload; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let [a, b, c, kind, flags, s @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.read(&mut payload)?;
        Some((kind, flags, u32::from_be_bytes(s), payload))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) => {
                let silent = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!silent, "nothing came in time");
                None
            }
        }
    }

    /// The next frame of this kind, whatever comes before it.
    pub fn next_of(&mut self, wanted: u8) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            let found = self.next()?;
            if found.0 == wanted {
                return Some(found);
            }
        }
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// A second handle, to read while another thread writes.
    pub fn reader(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap() }
    }
}
