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
    let address = server(answer, closes).await;
    let window = Duration::from_millis(100);
    let load = Load { address, request: b"GET / HTTP/1.1\r\n\r\n".to_vec(), connections: 2, window, streams };
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
