//! A mistake of Weir's own ends one call: not its connection, and not the process.

use std::panic::{set_hook, take_hook};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use router_core::config::{UpstreamArgument, from_upstreams};
use serde_json::Value;

use super::*;
use crate::path::telemetry::{LogSink, LogStyle, Metrics, Telemetry, panics};
use crate::snapshot::Snapshot;

fn gateway() -> Arc<Gateway> {
    let upstream = UpstreamArgument::parse("http://127.0.0.1:1").unwrap();
    let metrics = Metrics::new().unwrap();
    let log = LogSink::start(LogStyle::Json, metrics.log_dropped.clone()).unwrap();
    let snapshot = Snapshot::build(from_upstreams(&[upstream], None).unwrap(), &metrics, None).unwrap();
    let telemetry = Telemetry::new(metrics, log, &snapshot.config.log);
    Gateway::new(snapshot, telemetry, crate::audit::Audit::default())
}

/// Rooms that panic: at once, or after they have waited for something.
async fn stumble(admitted: Admitted) -> Result<Response<AnswerBody>, Infallible> {
    if admitted.head.uri.path() == "/fine" {
        return Ok(Response::new(AnswerBody::full("fine".into())));
    }
    tokio::task::yield_now().await;
    panic!("words of the caller's");
}

/// Rooms that panic before there is anything to wait for.
#[derive(Clone)]
struct Trapdoor;

impl Service<Admitted> for Trapdoor {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Walk<Result<Response<AnswerBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, admitted: Admitted) -> Self::Future {
        assert_eq!(admitted.head.uri.path(), "/fine", "words of the caller's");
        Box::pin(stumble(admitted))
    }
}

/// A connection to these rooms.
async fn connect<S>(gateway: &Arc<Gateway>, inner: S) -> SendRequest<Empty<Bytes>>
where
    S: Service<Admitted, Response = Response<AnswerBody>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let (near, far) = tokio::io::duplex(4096);
    let rooms = Accept::new(gateway.clone(), inner);
    let service = hyper::service::service_fn(move |request| {
        let bounds = Bounds::of(&Limits::default());
        rooms.clone().call(Arrival {
            request,
            peer: HeaderValue::from_static("127.0.0.1"),
            bounds,
            trusted: false,
            scheme: Scheme::Http,
        })
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(far), service));
    let (sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(connection: &mut SendRequest<Empty<Bytes>>, path: &str) -> (u16, HeaderMap, Bytes) {
    connection.ready().await.expect("the connection goes on");
    let request = Request::post(path).header("host", "x").body(Empty::new()).unwrap();
    let (head, body) = connection.send_request(request).await.unwrap().into_parts();
    (head.status.as_u16(), head.headers, body.collect().await.unwrap().to_bytes())
}

/// Two panics and a good answer, on one connection.
async fn walk_on(mut connection: SendRequest<Empty<Bytes>>) {
    let (status, headers, body) = ask(&mut connection, "/v1/chat/completions").await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["error"]["code"]), (500, &"internal_error".into()));
    assert!(headers.contains_key("x-request-id") && !headers.contains_key("connection"));

    let (status, headers, body) = ask(&mut connection, "/v1/messages").await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["type"], &body["error"]["type"]), (500, &"error".into(), &"api_error".into()));
    assert_eq!(body["request_id"], headers["x-request-id"].to_str().unwrap());
    assert!(!body.to_string().contains("words"));

    let (status, _, body) = ask(&mut connection, "/fine").await;
    assert_eq!((status, &body[..]), (200, &b"fine"[..]));
}

#[tokio::test]
async fn a_panic_is_a_500_in_the_callers_dialect_and_counted() {
    let gateway = gateway();
    // The hook is the process's: other tests that fail meanwhile are still to be heard of.
    let (ours, others) = (panics::hook(gateway.telemetry.clone()), take_hook());
    set_hook(Box::new(move |panic| {
        ours(panic);
        others(panic);
    }));
    walk_on(connect(&gateway, tower::service_fn(stumble)).await).await;
    walk_on(connect(&gateway, Trapdoor).await).await;

    assert_eq!(gateway.telemetry.metrics.panics.get(), 4);
    let calls = "weir_requests_total{code=\"500\",dialect=\"none\",route=\"none\",segment=\"default\",target=\"none\"} 4";
    let metrics = gateway.telemetry.metrics.render();
    assert!(metrics.lines().any(|line| line == calls), "{metrics}");
}
