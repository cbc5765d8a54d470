//! The load against servers that answer rightly, wrongly and not at all.

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Answers every request with `answer`, then, if `closes`, ends the connection.
async fn server(answer: &'static str, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer, closes));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, answer: &'static str, closes: bool) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        stream.write_all(answer.as_bytes()).await.unwrap();
        if closes {
            return;
        }
    }
}

async fn load(answer: &'static str, closes: bool, streams: bool) -> Tally {
    paced(answer, closes, streams, None).await
}

async fn paced(answer: &'static str, closes: bool, streams: bool, rate_per_sec: Option<u32>) -> Tally {
    let address = server(answer, closes).await;
    let window = Duration::from_millis(100);
    let request = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let load = Load { address, request, connections: 2, rate_per_sec, window, streams };
    let still = || Ok(Reading { cpu: Duration::ZERO, core_busy: Duration::ZERO });
    drive(&load, still).await.unwrap().tally
}

#[tokio::test]
async fn good_answers_are_counted_with_their_latency() {
    let tally = load("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", false, false).await;
    assert!(tally.answers > 0);
    assert_eq!((tally.failures, tally.events), (0, 0));
    assert_eq!(tally.latency_us.len() as u64, tally.answers);
    assert!(tally.latency_us.is_sorted());
}

#[tokio::test]
async fn events_are_counted_apart_from_answers() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\ndata: {}\n\ndata: [DONE]\n\n";
    let tally = load(answer, false, true).await;
    assert!(tally.answers > 0 && tally.events >= tally.answers, "{tally:?}");
    assert_eq!(tally.failures, 0);
}

#[tokio::test]
async fn wrong_answers_are_failures_and_say_why() {
    for (answer, closes, why) in [
        ("HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}", false, "status 503"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", false, "not whole"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", true, "the connection ended"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}{}", false, "bytes after the end"),
        ("nonsense\r\n", false, "not an HTTP/1.1 status line"),
    ] {
        let tally = load(answer, closes, false).await;
        assert_eq!(tally.answers, 0, "{answer}");
        let said = tally.failure.unwrap();
        assert!(tally.failures > 0 && said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn a_rate_is_not_exceeded() {
    let tally = paced("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", false, false, Some(100)).await;
    // Ten in the window of 100 ms, give or take those that a busy machine moved into it.
    assert!((1..=30).contains(&tally.answers), "{tally:?}");
    assert_eq!(tally.failures, 0);
}

#[tokio::test]
async fn a_request_that_is_late_has_waited_since_it_was_due() {
    let load = Load {
        address: "127.0.0.1:1".parse().unwrap(),
        request: Vec::new(),
        connections: 4,
        rate_per_sec: Some(8),
        window: Duration::ZERO,
        streams: false,
    };
    let mut pace = Pace::new(&load, 1);
    assert_eq!(pace.every, Some(Duration::from_millis(500)));
    pace.due = Instant::now().checked_sub(Duration::from_millis(1250)).unwrap();
    let due = pace.due;
    let mut waited = Vec::new();
    for _ in 0..3 {
        waited.push(pace.next().await - due);
    }
    assert_eq!(waited, [0, 500, 1000].map(Duration::from_millis));
    assert!(pace.next().await > due + Duration::from_millis(1500), "the fourth is sent when it is due");
}
