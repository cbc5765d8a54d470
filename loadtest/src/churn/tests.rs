//! The caller against servers that do what a restart does to it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const WHOLE: &str = "HTTP/1.1 200 OK\r\nx-weir-target: live/rose\r\ncontent-length: 2\r\n\r\n{}";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\n{}";
const STREAM: &str =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
const CUT: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n";

/// Answers `count` requests on each connection by `whole` or `stream`, as they ask, then closes it.
async fn server(count: usize, whole: &'static str, stream: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection, count, whole, stream));
        }
    });
    address
}

async fn serve(mut connection: TcpStream, count: usize, whole: &'static str, stream: &'static str) {
    let mut request = vec![0; 8192];
    for _ in 0..count {
        let read = connection.read(&mut request).await.unwrap();
        let streams = String::from_utf8_lossy(&request[..read]).contains("\"stream\":true");
        connection.write_all(if streams { stream } else { whole }.as_bytes()).await.unwrap();
    }
}

async fn seen(addresses: &[SocketAddr]) -> Seen {
    let callers = Callers::start(2, addresses);
    tokio::time::sleep(Duration::from_millis(300)).await;
    callers.stop().await
}

fn is_well(seen: &Seen) -> bool {
    complaint("a test", seen).is_none()
}

#[tokio::test]
async fn idle_closes_and_refused_connects_are_no_losses() {
    let nobody = free_address().unwrap();
    let seen = seen(&[nobody, server(2, WHOLE, STREAM).await]).await;
    assert!(is_well(&seen), "{seen:?}");
    assert!(seen.closed_idle > 0 && seen.refused > 0, "{seen:?}");
    assert_eq!(seen.targets.into_iter().collect::<Vec<_>>(), ["live/rose"]);
}

#[tokio::test]
async fn a_connection_that_the_server_wants_closed_is_not_used_again() {
    let seen = seen(&[server(usize::MAX, CLOSING, STREAM).await]).await;
    assert!(is_well(&seen) && seen.asked_to_close > 0, "{seen:?}");
    assert_eq!(seen.closed_idle, 0);
}

#[tokio::test]
async fn what_a_server_took_and_never_answered_is_lost() {
    let seen = seen(&[server(1, "", STREAM).await]).await;
    assert!(seen.lost.keys().any(|why| why.starts_with("no answer")) && seen.cut.is_empty(), "{seen:?}");
    assert!(!is_well(&seen));
}

#[tokio::test]
async fn an_error_is_a_loss_and_a_stream_without_its_end_is_cut() {
    let refused = "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}";
    let seen = seen(&[server(1, refused, CUT).await]).await;
    assert!(seen.lost.contains_key("status 503") && !seen.cut.is_empty(), "{seen:?}");
    let text = table(&[("30 restarts".to_owned(), seen)]);
    assert!(text.contains("\n30 restarts: lost ") && text.contains("\n30 restarts: cut "), "{text}");
}
