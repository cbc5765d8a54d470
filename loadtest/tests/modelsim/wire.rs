//! A client so plain that it sees exactly what the server wrote.

use loadtest::modelsim::{Handle, Settings, Stats, serve};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";

/// A server on a free port. Engine time runs fast unless the settings say otherwise.
pub(crate) async fn start(settings: Settings) -> Handle {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, settings).unwrap()
}

pub(crate) fn fast() -> Settings {
    Settings { speed: 200.0, ..Settings::default() }
}

/// Engine time all but stands still: nothing is ever answered.
pub(crate) fn frozen() -> Settings {
    Settings { speed: 0.001, ..Settings::default() }
}

pub(crate) fn ask(model: &str) -> Value {
    json!({"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": "a letter, please"}]})
}

pub(crate) fn ask_stream(model: &str) -> Value {
    let mut body = ask(model);
    body["stream"] = json!(true);
    body
}

pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &Value) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let body = body.to_string();
    format!("POST {path} HTTP/1.1\r\nhost: sim\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// What came back, up to the end of the connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) raw: String,
    /// The connection was reset, not closed.
    pub(crate) reset: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.raw.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.raw.split("\r\n\r\n").next()?;
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The body without transfer coding, and whether it ended as HTTP wants it to.
    pub(crate) fn body(&self) -> (String, bool) {
        let Some((_, mut rest)) = self.raw.split_once("\r\n\r\n") else { return (String::new(), false) };
        if let Some(length) = self.header("content-length") {
            return (rest.to_owned(), rest.len() == length.parse::<usize>().unwrap());
        }
        let mut body = String::new();
        while let Some((size, after)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                return (body, after == "\r\n");
            }
            // Slices may end inside a character; the whole body is text.
            let Some(chunk) = after.get(..size) else { break };
            body.push_str(chunk);
            rest = after.get(size + 2..).unwrap_or_default();
        }
        (body, false)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body().0).unwrap_or_else(|_| panic!("no JSON: {}", self.raw))
    }

    /// The data of every event.
    pub(crate) fn events(&self) -> Vec<String> {
        let (body, _) = self.body();
        let data =
            |event: &str| event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
        body.split("\n\n").filter_map(data).collect()
    }

    /// The text of a streamed chat answer.
    pub(crate) fn text(&self) -> String {
        let events = self.events();
        let chunks = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        chunks
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect()
    }
}

/// Sends a request on a connection of its own and reads to the end of the connection.
pub(crate) async fn send(server: &Handle, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head_end = request.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    let parts = [&request[..head_end], b"connection: close\r\n", &request[head_end..]];
    stream.write_all(&parts.concat()).await.unwrap();
    let mut bytes = Vec::new();
    let reset = stream.read_to_end(&mut bytes).await.is_err();
    Answer { raw: String::from_utf8_lossy(&bytes).into_owned(), reset }
}

pub(crate) async fn get(server: &Handle, path: &str) -> Answer {
    send(server, format!("GET {path} HTTP/1.1\r\nhost: sim\r\n\r\n").as_bytes()).await
}

/// Opens a connection, sends a request and reads until `mark` has come.
pub(crate) async fn begin(server: &Handle, request: &[u8], mark: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    read_until(&mut stream, mark).await;
    stream
}

/// Reads until `mark` has come; returns everything that came with it.
pub(crate) async fn read_until(stream: &mut TcpStream, mark: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(mark) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the connection ended before {mark:?}: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Waits until the server's books say so.
pub(crate) async fn until(server: &Handle, holds: impl Fn(&Stats) -> bool) -> Stats {
    for _ in 0..2000 {
        let stats = server.stats();
        if holds(&stats) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {:?}", server.stats());
}
