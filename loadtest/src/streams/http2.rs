//! The callers by HTTP/2: a hundred streams share a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::client::{Shared, Stream};

type Sender = SendRequest<Full<Bytes>>;

/// Spawns `count` callers.
pub(super) fn spawn(tasks: &mut JoinSet<Stream>, shared: &Arc<Shared>, count: usize) {
    let mut connection = Arc::new(OnceCell::new());
    for at in 0..count {
        if at % STREAMS_PER_CONNECTION == 0 {
            connection = Arc::new(OnceCell::new());
        }
        tasks.spawn(one(Arc::clone(shared), Arc::clone(&connection)));
    }
}

async fn one(shared: Arc<Shared>, connection: Arc<OnceCell<Sender>>) -> Stream {
    let mut stream = Stream::default();
    stream.flaw = read(&shared, &connection, &mut stream).await.err();
    stream.ended = Some(Instant::now());
    if stream.opened.is_none() {
        shared.settled.fetch_add(1, Ordering::Relaxed);
    }
    stream
}

async fn read(shared: &Shared, connection: &OnceCell<Sender>, stream: &mut Stream) -> Result<(), String> {
    let permit = shared.opening.acquire().await.map_err(|error| error.to_string())?;
    let mut sender = connection.get_or_try_init(|| connect(shared)).await?.clone();
    let request = request(shared)?;
    sender.ready().await.map_err(|error| format!("connection: {error}"))?;
    let answer = sender.send_request(request).await.map_err(|error| format!("asking: {error}"))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("status {}", answer.status().as_u16()));
    }
    let mut body = answer.into_body();
    let mut tail = Vec::new();
    let mut permit = Some(permit);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("in the middle: {error}"))?;
        let Some(data) = frame.data_ref() else { continue };
        if permit.take().is_some() {
            stream.opened = Some(Instant::now());
            shared.settled.fetch_add(1, Ordering::Relaxed);
        }
        tail.extend_from_slice(data);
        tail.drain(..tail.len().saturating_sub(END.len()));
    }
    if tail == END { Ok(()) } else { Err("the stream ended without [DONE]".to_owned()) }
}

async fn connect(shared: &Shared) -> Result<Sender, String> {
    let stream = TcpStream::connect(shared.address).await.map_err(|error| format!("connecting: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("connecting: {error}"))?;
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| format!("HTTP/2: {error}"))?;
    // It ends with the connection; how it ended, every stream on it says.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// The same as over HTTP/1.1, whose head ends with an empty line.
fn request(shared: &Shared) -> Result<Request<Full<Bytes>>, String> {
    let at =
        memchr::memmem::find(&shared.request, b"\r\n\r\n").ok_or("the request has no end of its head")?;
    let uri = Uri::builder().scheme("http").authority(shared.address.to_string()).path_and_query(PATH);
    let uri = uri.build().map_err(|error| error.to_string())?;
    let request = Request::builder().method(Method::POST).uri(uri).version(Version::HTTP_2);
    let request = request.header("content-type", "application/json").header("authorization", "Bearer test");
    let body = Bytes::copy_from_slice(&shared.request[at + 4..]);
    request.body(Full::new(body)).map_err(|error| error.to_string())
}

const PATH: &str = "/v1/chat/completions";
const END: &[u8] = b"data: [DONE]\n\n";
/// What servers commonly allow.
pub(super) const STREAMS_PER_CONNECTION: usize = 100;
