//! Clients that leave, servers that end.

use crate::wire::{CHAT, ask, ask_stream, begin, fast, frozen, get, post, start, until};
use loadtest::modelsim::Settings;
use loadtest::modelsim::engine::EngineSettings;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_frees_its_place() {
    for body in [ask("m"), ask_stream("m")] {
        let engine = EngineSettings { slots: 1, ..EngineSettings::A };
        let server = start(Settings { engine, ..frozen() }).await;
        let first = begin(&server, &post(CHAT, &[], &body), "").await;
        let queued = begin(&server, &post(CHAT, &[], &body), "").await;
        let stats = until(&server, |stats| stats.running + stats.waiting == 2).await;
        assert!(stats.kv_tokens_used > 0 && stats.last_cancelled_unix_ms.is_none());
        drop(queued);
        until(&server, |stats| (stats.running, stats.waiting, stats.cancelled) == (1, 0, 1)).await;
        drop(first);
        let stats = until(&server, |stats| stats.cancelled == 2).await;
        assert_eq!((stats.running, stats.waiting, stats.kv_tokens_used), (0, 0, 0));
        assert!(stats.last_cancelled_unix_ms.is_some_and(|at| at <= stats.now_unix_ms));
        let page = get(&server, "/metrics").await.raw;
        assert!(page.contains("modelsim_requests_cancelled_total{model_name=\"modelsim\"} 2"), "{page}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_frees_its_place() {
    let server = start(Settings { speed: 1.0, ..fast() }).await;
    let client = begin(&server, &post(CHAT, &[], &ask_stream("m+tokens-400")), "content").await;
    assert_eq!(server.stats().running, 1);
    drop(client);
    let stats = until(&server, |stats| stats.cancelled == 1).await;
    assert_eq!((stats.running, stats.kv_tokens_used, stats.finished), (0, 0, 0));
}

#[tokio::test]
async fn every_accepted_request_ends_in_one_column_of_the_books() {
    let server = start(fast()).await;
    let mut clients = Vec::new();
    for (n, fault) in ["delay=0", "cut=1", "fin=1", "hang", "drip=1"].iter().cycle().take(40).enumerate() {
        let body = ask_stream(&format!("m+tokens-{}", n + 2));
        clients.push(begin(&server, &post(CHAT, &[("x-sim-fault", fault)], &body), "").await);
    }
    let stats =
        until(&server, |stats| stats.accepted == 40 && stats.finished == 16 && stats.faulted == 16).await;
    assert_eq!(stats.cancelled, 0);
    drop(clients);
    let stats = until(&server, |stats| stats.cancelled == 8).await;
    assert_eq!((stats.finished, stats.faulted, stats.running), (16, 16, 0));
}

#[tokio::test]
async fn a_stopped_server_closes_its_connections_and_its_port() {
    let server = start(frozen()).await;
    let address = server.address();
    let mut client = begin(&server, &post(CHAT, &[], &ask_stream("m")), "HTTP/1.1 200").await;
    server.stop().await;
    let mut rest = Vec::new();
    // Closed or reset: over in any case.
    drop(client.read_to_end(&mut rest).await);
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
    assert!(TcpStream::connect(address).await.is_err());
}
