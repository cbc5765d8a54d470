//! A stream that always has more ready leaves others their turn.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tower::Service;

use super::*;
use crate::path::accept::{Arrival, Bounds, Scheme};
use crate::path::tests::gateway;

const EVENTS: usize = 400;
const EVENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
const END: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// The configuration before an upstream that writes a whole stream at once, a chunk for each event, and says so.
fn upstream() -> (String, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let written = Arc::new(Notify::new());
    let all_written = written.clone();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut got = [0; 4096];
        let read = socket.read(&mut got).unwrap();
        assert!(read > 0);
        let chunk = |event: &str| format!("{:x}\r\n{event}\r\n", event.len());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let stream = [head, &chunk(EVENT).repeat(EVENTS), &chunk(END), "0\r\n\r\n"].concat();
        socket.write_all(stream.as_bytes()).unwrap();
        all_written.notify_one();
        // Until the other side closes.
        socket.read(&mut got).map(drop).unwrap_or_default();
    });
    let pool = format!("pools: {{ p: {{ endpoints: [{{ url: \"http://{address}\" }}] }} }}");
    (format!("{pool}\nroutes: {{ m: {{ targets: [{{ pool: p }}] }} }}\n"), written)
}

/// How many events of a body come in all, and how many at most before others get their turn.
async fn run_of(mut body: AnswerBody) -> (usize, usize) {
    let (mut all, mut run, mut longest) = (0, 0, 0);
    std::future::poll_fn(|context| {
        while let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(context) {
            let Some(frame) = frame else { return Poll::Ready(()) };
            let text = frame.unwrap().into_data().unwrap();
            run += text.windows(EVENT.len()).filter(|window| *window == EVENT.as_bytes()).count();
            longest = longest.max(run);
        }
        all += std::mem::take(&mut run);
        Poll::Pending
    })
    .await;
    (all + run, longest)
}

#[tokio::test]
async fn a_stream_that_always_has_more_ready_lets_others_go_on() {
    let (config, written) = upstream();
    let gateway = gateway(&config);
    let (near, far) = tokio::io::duplex(4096);
    let bounds = Bounds::of(&gateway.snapshot().config.limits);
    let path = crate::path::build(&gateway);
    let service = hyper::service::service_fn(move |request| {
        let peer = HeaderValue::from_static("127.0.0.1");
        let answer =
            path.clone().call(Arrival { request, peer, bounds, trusted: false, scheme: Scheme::Http });
        let written = written.clone();
        async move {
            let answer = answer.await.unwrap();
            written.notified().await;
            let (all, longest) = run_of(answer.into_body()).await;
            let told = Bytes::from(format!("{all} {longest}"));
            Ok::<_, std::convert::Infallible>(Response::new(Full::new(told)))
        }
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(far), service));
    let (mut sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/v1/chat/completions").header("host", "x");
    let body = Full::new(Bytes::from(r#"{"model":"m","messages":[],"stream":true}"#));
    let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
    let told = answer.into_body().collect().await.unwrap().to_bytes();
    let told = String::from_utf8(told.to_vec()).unwrap();
    let told: Vec<usize> = told.split(' ').map(|number| number.parse().unwrap()).collect();
    assert_eq!(told[0], EVENTS);
    assert!(told[1] < EVENTS / 2, "{} in one go", told[1]);
}
