//! Attacks against servers of which the reaction is known.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::tally::Counts;
use super::*;

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"{}"))))
}

/// A server that speaks HTTP/2 with prior knowledge, with the library's own limits.
async fn h2c() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(hello)));
        }
    });
    address
}

async fn attack(attack: Attack, address: SocketAddr, time: Duration) -> Counts {
    let (tally, until) = (Tally::default(), Instant::now() + time);
    if attack.is_flood() {
        http2::connections(attack, address, until, tally.clone()).await;
    } else {
        slow::connections(attack, address, until, tally.clone()).await;
    }
    tally.counts()
}

/// What the library is known to cut shows that the frames are what they should be.
#[tokio::test]
async fn floods_are_understood_and_cut_by_a_common_library() {
    let address = h2c().await;
    for name in [Attack::RapidReset, Attack::Continuation, Attack::EmptyData, Attack::HpackBomb] {
        let counts = attack(name, address, Duration::from_millis(500)).await;
        assert!(counts.cuts.contains_key("GOAWAY ENHANCE_YOUR_CALM"), "{name:?}: {counts:?}");
        assert!(counts.is_contained(), "{name:?}: {counts:?}");
    }
}

/// What it takes patiently is counted as not cut.
#[tokio::test]
async fn floods_that_a_server_takes_are_not_contained() {
    let address = h2c().await;
    for name in [Attack::Settings, Attack::Ping] {
        let mut counts = attack(name, address, Duration::from_millis(200)).await;
        assert!(counts.cuts.is_empty() && counts.uncut.frames > 100, "{name:?}: {counts:?}");
        counts.uncut.frames = tally::FRAMES_MAX + 1;
        counts.uncut.bytes = tally::BYTES_MAX + 1;
        assert!(!counts.is_contained());
    }
}

/// Answers whatever it reads, then closes.
async fn http1(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

#[tokio::test]
async fn a_server_without_http2_is_said_to_be_one() {
    let address = http1("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    assert!(attack(Attack::Ping, address, Duration::from_secs(5)).await.speaks_no_http2);
}

#[tokio::test]
async fn slow_clients_hear_how_they_are_ended() {
    let address = http1("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await;
    for name in [Attack::SlowHeader, Attack::SlowBody] {
        let counts = attack(name, address, Duration::from_millis(300)).await;
        assert!(counts.cuts.contains_key("status 408"), "{name:?}: {counts:?}");
    }
}

#[tokio::test]
async fn those_who_leave_see_an_event_first_and_those_who_stay_the_last() {
    let address = http1("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n").await;
    let counts = attack(Attack::Leaving, address, Duration::from_millis(200)).await;
    assert!(counts.connections > 1 && counts.cuts.is_empty(), "{counts:?}");
    let counts = attack(Attack::Staying, address, Duration::from_millis(200)).await;
    assert!(counts.cuts.contains_key("closed too early"), "{counts:?}");
    let address = http1("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let counts = attack(Attack::Leaving, address, Duration::from_millis(200)).await;
    assert!(counts.cuts.contains_key("closed too early"), "{counts:?}");
}

#[tokio::test]
async fn the_ordinary_client_counts_what_is_not_answered() {
    let address = http1("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await;
    let ordinary = Ordinary::start(address, 1000).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let seen = ordinary.stop().await;
    assert!(seen.failures > 0 && seen.latencies.is_empty(), "{seen:?}");
}
