//! Streams against servers that hold them, cut them and refuse them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
/// Long enough for the callers to see that they are open together.
const TOGETHER: Duration = Duration::from_millis(300);

/// Sends a head and one event, waits until `count` connections got as far, then sends `end` to all.
async fn server(count: usize, end: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let all = Arc::new(Barrier::new(count));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&all), end));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, all: Arc<Barrier>, end: &'static str) {
    let mut request = [0; 4096];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    stream.write_all(format!("{HEAD}a\r\ndata: {{}}\n\n\r\n").as_bytes()).await.unwrap();
    all.wait().await;
    tokio::time::sleep(TOGETHER).await;
    stream.write_all(end.as_bytes()).await.unwrap();
}

async fn outcome(address: SocketAddr, count: usize, http2: bool) -> Outcome {
    let mut running = Running::start(&Crowd { address, count, http2 });
    let mut streams = Vec::new();
    while running.left() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        while let Some(stream) = running.next_ended() {
            streams.push(stream);
        }
    }
    assert!(running.all_settled());
    Outcome::of(&streams)
}

#[tokio::test]
async fn streams_that_are_held_together_and_end_are_whole() {
    let address = server(20, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n").await;
    let outcome = outcome(address, 20, false).await;
    assert_eq!((outcome.whole, outcome.at_once), (20, 20), "{:?}", outcome.flaws);
}

#[tokio::test]
async fn a_stream_without_its_end_is_not_whole() {
    for (end, why) in [
        ("e\r\ndata: [DONE]\n\n\r\n", "in the middle: the connection ended"),
        ("0\r\n\r\n", "the stream ended without [DONE]"),
    ] {
        let outcome = outcome(server(2, end).await, 2, false).await;
        assert_eq!(outcome.whole, 0);
        let flaw = outcome.flaws.keys().next().unwrap();
        assert!(flaw.starts_with(why), "{flaw}");
    }
}

/// An answer of one event, and of `[DONE]` once `all` got that far.
async fn answer(request: Request<Incoming>, all: Arc<Barrier>) -> Result<Response<Events>, Infallible> {
    request.into_body().collect().await.unwrap();
    let events = ["data: {}\n\n", "data: [DONE]\n\n"].into_iter().enumerate();
    let frames = stream::unfold((events, all), |(mut events, all)| async move {
        let (at, event) = events.next()?;
        if at == 1 {
            all.wait().await;
            tokio::time::sleep(TOGETHER).await;
        }
        Some((Ok(Frame::data(Bytes::from_static(event.as_bytes()))), (events, all)))
    });
    Ok(Response::new(StreamBody::new(Box::pin(frames))))
}

type Events = StreamBody<Pin<Box<dyn stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

#[tokio::test]
async fn streams_by_http2_share_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (all, accepted) = (Arc::new(Barrier::new(120)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let all = Arc::clone(&all);
            let service = service_fn(move |request| answer(request, Arc::clone(&all)));
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    let outcome = outcome(address, 120, true).await;
    assert_eq!((outcome.whole, outcome.at_once), (120, 120), "{:?}", outcome.flaws);
    assert_eq!(accepted.load(Ordering::Relaxed), 2);
}
