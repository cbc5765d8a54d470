//! A mistake of Weir's own costs nobody a place: what a call held when its room panicked is free again.

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tower::Service;

use super::telemetry::{LogSink, LogStyle, Metrics, Telemetry};
use super::*;
use crate::path::accept::{Bounds, Scheme};
use crate::snapshot::Snapshot;

const ONE_PLACE: &str = "
pools: { p: { endpoints: [{ url: http://127.0.0.1:1 }], concurrency: { algorithm: fixed, limit: 1 } } }
routes: { m: { targets: [{ pool: p }] } }
";

/// A gateway with this configuration, without doors.
pub(super) fn gateway(config: &str) -> Arc<Gateway> {
    let config = router_core::config::load(config, &|_| None).unwrap().config;
    let metrics = Metrics::new().unwrap();
    let log = LogSink::start(LogStyle::Json, metrics.log_dropped.clone()).unwrap();
    let snapshot = Snapshot::build(config, &metrics, None).unwrap();
    let telemetry = Telemetry::new(metrics, log, &snapshot.config.log);
    Gateway::new(snapshot, telemetry, crate::audit::Audit::default())
}

/// The last room: takes a place, or stands in line for it, and then does what `x-test` says.
async fn stumble(line: Arc<Line>, call: Box<Call>) -> Reply {
    let how = call.head.headers.get("x-test").cloned();
    let mut admission = pin!(overload::admit(&line, &call, None));
    match how.as_ref().map(HeaderValue::as_bytes) {
        Some(b"panic in line") => {
            let starts = poll_fn(|context| Poll::Ready(admission.as_mut().poll(context).is_ready())).await;
            panic!("it {}", if starts { "starts" } else { "waits" });
        }
        Some(b"panic") => {
            let _admitted = admission.await?;
            tokio::task::yield_now().await;
            panic!("words");
        }
        Some(_) => {
            let _admitted = admission.await?;
            std::future::pending().await
        }
        None => admission.await.map(|_| Response::new(AnswerBody::full("fine".into()))),
    }
}

/// A connection to the rooms before it and to it.
async fn connect(gateway: &Arc<Gateway>) -> SendRequest<Full<Bytes>> {
    let (near, far) = tokio::io::duplex(4096);
    let line = gateway.line.clone();
    let rooms = ServiceBuilder::new()
        .layer(layer_fn(|inner| accept::Accept::new(gateway.clone(), inner)))
        .layer(layer_fn(|inner| dialect::Recognise::new(gateway.clone(), inner)))
        .layer(layer_fn(|inner| identify::Identify::new(gateway.clone(), inner)))
        .service(service_fn(move |call| stumble(line.clone(), call)));
    let bounds = Bounds::of(&gateway.snapshot().config.limits);
    let service = hyper::service::service_fn(move |request| {
        let peer = HeaderValue::from_static("127.0.0.1");
        rooms.clone().call(Arrival { request, peer, bounds, trusted: false, scheme: Scheme::Http })
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(far), service));
    let (sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(connection: &mut SendRequest<Full<Bytes>>, how: Option<&'static str>) -> u16 {
    connection.ready().await.unwrap();
    let mut request = Request::post("/v1/chat/completions").header("host", "x");
    if let Some(how) = how {
        request = request.header("x-test", how);
    }
    let request = request.body(Full::new(Bytes::from(r#"{"model":"m","messages":[]}"#))).unwrap();
    let answer = connection.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    answer.into_body().collect().await.unwrap();
    status
}

/// Unfinished calls, and those of them that wait.
fn left(gateway: &Gateway) -> (u64, u64) {
    let totals = gateway.line.topics()[0].totals;
    (totals.lag, totals.queued)
}

#[tokio::test]
async fn a_room_that_panics_gives_back_the_place_that_its_call_held() {
    let gateway = gateway(ONE_PLACE);
    let mut connection = connect(&gateway).await;
    for _ in 0..3 {
        assert_eq!(ask(&mut connection, Some("panic")).await, 500);
        assert_eq!(left(&gateway), (0, 0));
        assert_eq!(ask(&mut connection, None).await, 200, "the one place is free");
    }
    let mut holding = connect(&gateway).await;
    let mut held = Box::pin(ask(&mut holding, Some("hold")));
    poll_fn(|context| {
        assert!(held.as_mut().poll(context).is_pending());
        if left(&gateway) == (1, 0) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    assert_eq!(ask(&mut connection, Some("panic in line")).await, 500);
    assert_eq!(left(&gateway), (1, 0), "the place in line is given up");
}
