//! Pools with `http2: true`: calls share a few connections, and what happens to one of them concerns no other.

mod support;

use std::time::Duration;

use h2::Reason;

use support::client::{Connection, chat, get, post, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::events::is_error_event;
use support::eventually;
use support::http2_upstream::Http2Upstream;
use support::refusal::{OPENAI, assert_refused};
use support::secure::Authority;
use support::upstream::{FINISH, delta};
use support::weir::{Folder, Weir};

fn before(upstream: &Http2Upstream) -> Weir {
    Weir::configured(&one_pool(&[upstream.url()], ", http2: true"))
}

/// A call whose answer is not awaited.
fn begin(weir: &Weir, behaviour: &str, body: &str) -> Connection {
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[("x-test", behaviour)], body.as_bytes()));
    connection
}

fn ask(weir: &Weir, behaviour: &str) -> support::client::Answer {
    post(&weir.data, OPENAI, &[("x-test", behaviour)], ASK)
}

#[test]
fn a_request_is_as_http2_has_it() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    let headers = [("connection", "x-mine"), ("x-mine", "1"), ("te", "trailers"), ("x-kept", "1")];
    let answer = post(&weir.data, OPENAI, &headers, ASK);
    assert_eq!((answer.status, answer.header("x-theirs")), (200, Some("1")), "{}", answer.text());
    assert_eq!(answer.json()["usage"]["completion_tokens"], 2);
    let got = upstream.got().remove(0);
    assert_eq!(got.uri, format!("{}{OPENAI}", upstream.url()));
    assert_eq!(got.body, ASK.as_bytes());
    assert_eq!(got.headers["x-kept"], "1");
    assert_eq!(got.headers["content-length"], ASK.len().to_string());
    for name in ["connection", "host", "x-mine", "te", "transfer-encoding"] {
        assert!(!got.headers.contains_key(name), "{name}: {:?}", got.headers);
    }
    assert_eq!(get(&weir.data, "/v1/models").status, 200);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_large_body_goes_whole() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    let body = format!(r#"{{"model":"m","messages":[{{"content":"{}"}}]}}"#, "x".repeat(1 << 20));
    assert_eq!(chat(&weir.data, &body).status, 200);
    assert_eq!(upstream.got()[0].body, body.as_bytes());
}

#[test]
fn calls_share_a_connection_up_to_what_the_upstream_allows() {
    for (streams_max, connections) in [(None, 1), (Some(2), 3)] {
        let upstream = Http2Upstream::new(streams_max);
        let weir = before(&upstream);
        let mut calls = Vec::new();
        for count in 1..=6 {
            calls.push(begin(&weir, "hold", ASK));
            eventually("the call arrives", || (upstream.got().len() == count).then_some(()));
        }
        assert_eq!(upstream.connections(), connections);
        upstream.release();
        for call in &mut calls {
            assert_eq!(call.answer().status, 200);
        }
        eventually("all have ended", || (weir.inflight() == 0).then_some(()));
        assert_eq!(ask(&weir, "").status, 200);
        assert_eq!(upstream.connections(), connections, "what had room was not used");
    }
}

#[test]
fn calls_that_come_at_once_open_no_more_than_they_need() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    let mut calls: Vec<_> = (0..20).map(|_| begin(&weir, "hold", ASK)).collect();
    eventually("all calls arrive", || (upstream.got().len() == 20).then_some(()));
    assert_eq!(upstream.connections(), 1);
    upstream.release();
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
}

#[test]
fn calls_that_need_several_connections_do_not_wait_for_one_after_the_other() {
    let upstream = Http2Upstream::slow_to_open(1, Duration::from_millis(600));
    let config = one_pool(&[upstream.url()], ", http2: true, timeouts: { connect: 2s }");
    let weir = Weir::configured(&config);
    let mut calls = vec![begin(&weir, "hold", ASK)];
    eventually("what the upstream allows is known", || (upstream.got().len() == 1).then_some(()));
    calls.extend((0..5).map(|_| begin(&weir, "hold", ASK)));
    eventually("all calls arrive", || (upstream.got().len() == 6).then_some(()));
    upstream.release();
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    assert_eq!(upstream.connections(), 6);
}

#[test]
fn a_caller_that_leaves_resets_its_stream_and_no_other() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    let mut stays = begin(&weir, "stream", ASK_STREAM);
    assert_eq!(stays.head().status, 200);
    assert_eq!(stays.chunk(), Some(delta("Dear")));
    // Before the head and in the middle of a stream.
    let before_head = begin(&weir, "hold", ASK);
    eventually("the call arrives", || (upstream.got().len() == 2).then_some(()));
    drop(before_head);
    eventually("the first reset", || (upstream.resets() == [Reason::CANCEL]).then_some(()));
    let mut within = begin(&weir, "stream", ASK_STREAM);
    assert_eq!(within.head().status, 200);
    drop(within);
    eventually("the second reset", || (upstream.resets() == [Reason::CANCEL; 2]).then_some(()));
    upstream.release();
    let mut rest = Vec::new();
    assert!(stays.chunks(&mut rest) && rest == FINISH);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_stream_that_is_reset_ends_with_an_error_event() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    let mut call = begin(&weir, "reset", ASK_STREAM);
    assert_eq!(call.head().status, 200);
    assert_eq!(call.chunk(), Some(delta("Dear")));
    upstream.release();
    let mut rest = Vec::new();
    assert!(call.chunks(&mut rest));
    assert!(is_error_event(OPENAI, &String::from_utf8_lossy(&rest)));
    assert_eq!(ask(&weir, "").status, 200);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_document_that_is_reset_is_cut_whatever_the_reset_is_called() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    let mut call = begin(&weir, "part", ASK);
    assert_eq!(call.head().status, 200);
    assert!(call.chunk().is_some());
    upstream.release();
    let mut rest = Vec::new();
    assert!(!call.chunks(&mut rest), "half a document was dressed as a whole one");
    assert_eq!(ask(&weir, "").status, 200);
}

#[test]
fn a_refused_call_is_tried_once_more() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    assert_eq!(ask(&weir, "refuse 1").status, 200);
    assert_eq!(upstream.got().len(), 1);
    assert_refused(&ask(&weir, "refuse 9"), OPENAI, 502, "bad_response");
    assert_eq!(ask(&weir, "").status, 200);
}

#[test]
fn a_connection_that_goes_away_is_followed_by_another() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    let mut stays = begin(&weir, "stream", ASK_STREAM);
    assert_eq!(stays.head().status, 200);
    assert_eq!(stays.chunk(), Some(delta("Dear")));
    assert_eq!(ask(&weir, "goaway").status, 200);
    for _ in 0..3 {
        assert_eq!(ask(&weir, "").status, 200);
    }
    assert_eq!(upstream.connections(), 2);
    upstream.release();
    let mut rest = Vec::new();
    assert!(stays.chunks(&mut rest) && rest == FINISH, "what it had begun is finished");
    eventually("it closes", || (upstream.open() == 1).then_some(()));
}

#[test]
fn a_caller_that_does_not_read_holds_back_nobody_else() {
    let upstream = Http2Upstream::new(None);
    let weir = before(&upstream);
    // As many as would use up a connection's window if theirs were all it had.
    let slow: Vec<_> = (0..40).map(|_| begin(&weir, "flood", ASK_STREAM)).collect();
    eventually("all calls arrive", || (upstream.got().len() == 40).then_some(()));
    support::pause(Duration::from_millis(500));
    for _ in 0..5 {
        assert_eq!(ask(&weir, "").status, 200);
    }
    assert_eq!(upstream.connections(), 1);
    drop(slow);
    eventually("all are given up", || (weir.inflight() == 0).then_some(()));
}

#[test]
fn over_tls_both_sides_agree_on_it() {
    let authority = Authority::new();
    let config = authority.server("localhost");
    let upstream = Http2Upstream::secure(config.clone());
    let mut without = (*config).clone();
    without.alpn_protocols = vec![b"http/1.1".to_vec()];
    let other = Http2Upstream::secure(without.into());
    let files = Folder::new();
    let ca = files.write("ca.pem", &authority.pem());
    let more = format!(", http2: true, ca: \"{}\"", ca.display());
    let weir = |port| Weir::configured(&one_pool(&[format!("https://localhost:{port}")], &more));
    let answer = chat(&weir(upstream.port).data, ASK);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.got()[0].uri, format!("https://localhost:{}{OPENAI}", upstream.port));
    assert_refused(&chat(&weir(other.port).data, ASK), OPENAI, 502, "connect_failed");
}

#[test]
fn an_upstream_that_does_not_speak_it_is_a_failed_connection() {
    let upstream = support::upstream::Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ", http2: true"));
    let answer = chat(&weir.data, ASK);
    let code = answer.json()["error"]["code"].as_str().unwrap().to_owned();
    assert!(answer.status == 502 && ["connect_failed", "connect_timeout"].contains(&&*code), "{code}");
}
