//! Prefixes of paths that go to a pool as they are.

mod support;

use std::io::Write;
use std::time::Duration;

use support::client::{Connection, chat, request, send};
use support::config::ASK;
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, answer, chunk, completion};
use support::weir::Weir;
use support::{eventually, pause};

/// `/chain` and, more exactly, `/chain/deep` before upstreams of their own, beside a route.
fn weir(chain: &Upstream, deep: &Upstream, more: &str) -> Weir {
    weir_within(chain, deep, more, "")
}

/// The same with a timeout.
fn weir_within(chain: &Upstream, deep: &Upstream, more: &str, timeout: &str) -> Weir {
    Weir::configured(&format!(
        "pools:
  chain: {{ endpoints: [{{ url: \"{0}\" }}]{more} }}
  deep: {{ endpoints: [{{ url: \"{1}/base\" }}] }}
routes: {{ m: {{ targets: [{{ pool: chain }}] }} }}
passthrough:
  - {{ prefix: /chain, pool: chain{timeout} }}
  - {{ prefix: /chain/deep, pool: deep }}
",
        chain.url(),
        deep.url()
    ))
}

fn ask(
    weir: &Weir,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> support::client::Answer {
    send(&weir.data, request(method, path, headers, body))
}

#[test]
fn everything_goes_on_as_it_is() {
    let chain = Upstream::with(|_, socket| {
        let headers = [("content-type", "text/plain"), ("x-theirs", "1"), ("content-encoding", "gzip")];
        socket.write_all(&answer("418 Teapot", &headers, b"as it is")).is_ok()
    });
    let weir = weir(&chain, &Upstream::new(), "");
    let headers =
        [("content-type", "application/x-any"), ("content-encoding", "gzip"), ("accept-encoding", "br")];
    let answer = ask(&weir, "PUT", "/chain/c/N4X%20a%C3%A9/invoke?q=1&r=%2F", &headers, b"\xff{not json");
    assert_eq!((answer.status, answer.text().as_str()), (418, "as it is"));
    assert_eq!((answer.header("x-theirs"), answer.header("content-encoding")), (Some("1"), Some("gzip")));
    assert_eq!(
        (answer.header("x-weir-target"), answer.header("x-weir-attempts")),
        (Some("chain"), Some("1"))
    );
    let got = &chain.got()[0];
    assert_eq!(got.line, "PUT /chain/c/N4X%20a%C3%A9/invoke?q=1&r=%2F HTTP/1.1");
    assert_eq!(got.body, b"\xff{not json");
    assert_eq!(
        (got.header("content-type"), got.header("content-encoding"), got.header("accept-encoding")),
        (Some("application/x-any"), Some("gzip"), Some("br"))
    );
    let line = weir.call_line(answer.header("x-request-id").unwrap_or_default());
    assert_eq!(
        (&line["route"], &line["dialect"], &line["operation"]),
        (&"passthrough:/chain".into(), &"passthrough".into(), &"passthrough".into())
    );
    assert!((weir.metric_sum("weir_requests_total") - 1.0).abs() < f64::EPSILON);
}

#[test]
fn the_longest_prefix_takes_a_path_and_whole_segments_count() {
    let (chain, deep) = (Upstream::new(), Upstream::new());
    let weir = weir(&chain, &deep, "");
    for (path, taker, seen) in [
        ("/chain", &chain, "GET /chain HTTP/1.1"),
        ("/chain/", &chain, "GET /chain/ HTTP/1.1"),
        ("/chain/deep/x", &deep, "GET /base/chain/deep/x HTTP/1.1"),
    ] {
        assert_eq!(ask(&weir, "GET", path, &[], b"").status, 200, "{path}");
        let got = taker.got().pop();
        assert_eq!(got.as_ref().map(|got| got.line.as_str()), Some(seen));
        assert_eq!(got.and_then(|got| got.header("content-length").map(str::to_owned)), None, "{path}");
    }
    assert_eq!(ask(&weir, "GET", "/chained", &[], b"").status, 404);
    assert_eq!(chat(&weir.data, ASK).status, 200, "routes are beside it");
}

#[test]
fn a_head_request_and_its_answer_have_no_body() {
    let chain = Upstream::with(|_, socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n").is_ok()
    });
    let weir = weir(&chain, &Upstream::new(), "");
    let mut connection = Connection::to(&weir.data);
    for _ in 0..2 {
        connection.send(request("HEAD", "/chain/x", &[], b""));
        let head = connection.head();
        assert_eq!((head.status, head.header("content-length")), (200, Some("999")));
    }
    assert_eq!(chain.connections(), 1);
}

#[test]
fn errors_are_as_fastapi_has_them() {
    let weir = weir(&Upstream::new(), &Upstream::new(), "");
    for (method, path, status) in [
        ("GET", "/chain/../v1/models", 400),
        ("GET", "/chain/%2e%2e/metrics", 400),
        ("GET", "/chain/..;/admin", 400),
        ("GET", "/chain/a/..;x=1/..;/admin", 400),
        ("GET", "/chain/.;/admin", 400),
        ("GET", "/chain/a%2Fb", 400),
        ("GET", "/chain/%252e", 400),
        ("GET", "/chain/a%00", 400),
        ("TRACE", "/chain/x", 405),
        ("BREW", "/chain/x", 405),
    ] {
        let answer = ask(&weir, method, path, &[], b"");
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["detail"].is_string(), "{}", answer.text());
    }
    let other = ask(&weir, "GET", "/chainsaw/..", &[], b"");
    assert!(other.status == 400 && other.json()["error"].is_object(), "{}", other.text());
    let unsound = send(&weir.data, b"GET /chain/x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n");
    assert!(unsound.status == 400 && unsound.json()["detail"].is_string(), "{}", unsound.text());
}

#[test]
fn a_dead_upstream_is_told_in_the_same_shape() {
    let chain = Upstream::with(|_, _| false);
    let weir = weir(&chain, &Upstream::new(), "");
    let answer = ask(&weir, "POST", "/chain/invoke", &[], b"{}");
    assert_eq!(answer.status, 502);
    assert!(answer.json()["detail"].is_string(), "{}", answer.text());
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_event() {
    let chain = Upstream::with(|_, socket| {
        let event = chunk(b"event: data\r\ndata: \"Hel\"\r\n\r\nevent: da");
        socket.write_all(SSE_HEAD).and_then(|()| socket.write_all(&event)).is_err()
    });
    let weir = weir(&chain, &Upstream::new(), "");
    let answer = ask(&weir, "POST", "/chain/stream", &[], b"{}");
    let events = answer.text();
    let last = "\n\nevent: error\ndata: {\"status_code\":502,\"message\":\"The model server broke off its answer.\",\"code\":\"upstream_disconnected\"}\n\n";
    assert!(answer.whole && events.ends_with(last), "{events}");
    let line = weir.call_line(answer.header("x-request-id").unwrap_or_default());
    assert_eq!(line["end"], "upstream_cut");
}

#[test]
fn a_stream_without_a_terminator_ends_where_its_body_does() {
    let chain = Upstream::with(|_, socket| {
        let event = chunk(b"data: \"Hello\"\n\n");
        let parts = [SSE_HEAD, &event, LAST_CHUNK].concat();
        socket.write_all(&parts).is_ok()
    });
    let weir = weir(&chain, &Upstream::new(), "");
    let answer = ask(&weir, "POST", "/chain/stream", &[], b"{}");
    assert_eq!((answer.whole, answer.text().as_str()), (true, "data: \"Hello\"\n\n"));
    let line = weir.call_line(answer.header("x-request-id").unwrap_or_default());
    assert_eq!((&line["end"], line["first_token_ms"].is_number()), (&"complete".into(), true));
}

#[test]
fn a_pools_key_takes_the_place_of_the_callers() {
    let chain = Upstream::with(|_, socket| socket.write_all(&completion()).is_ok());
    let files = support::weir::Folder::new();
    let key = files.write("key", "ours");
    let weir = weir(&chain, &Upstream::new(), &format!(", key: {{ file: {} }}", key.display()));
    let theirs = [("authorization", "Bearer theirs"), ("cookie", "session=1")];
    assert_eq!(ask(&weir, "GET", "/chain/x", &theirs, b"").status, 200);
    let got = eventually("the request", || chain.got().pop());
    assert_eq!((got.header("authorization"), got.header("cookie")), (Some("Bearer ours"), None));
}

#[test]
fn the_timeout_is_for_a_whole_answer_and_for_the_first_event_of_a_stream() {
    let chain = Upstream::with(|got, socket| {
        let late = got.line.contains("late");
        if late {
            pause(Duration::from_secs(30));
        }
        let mut alive = socket.write_all(SSE_HEAD).is_ok();
        for _ in 0..4 {
            alive = alive && socket.write_all(&chunk(b"data: 1\n\n")).is_ok();
            pause(Duration::from_millis(400));
        }
        alive && socket.write_all(LAST_CHUNK).is_ok()
    });
    let weir = weir_within(&chain, &Upstream::new(), "", ", timeout: 800ms");
    let stream = ask(&weir, "POST", "/chain/stream", &[], b"{}");
    assert!(stream.whole && stream.text() == "data: 1\n\n".repeat(4), "{}", stream.text());
    let late = ask(&weir, "POST", "/chain/late", &[], b"{}");
    assert_eq!((late.status, late.json()["detail"].is_string()), (504, true), "{}", late.text());
}

#[test]
fn a_document_need_not_be_an_object() {
    let chain = Upstream::with(|_, socket| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[1,2]";
        // The end of the connection is the end of the answer.
        socket.write_all(head).is_err()
    });
    let weir = weir(&chain, &Upstream::new(), "");
    let answer = ask(&weir, "GET", "/chain/x", &[], b"");
    assert_eq!((answer.whole, answer.text().as_str()), (true, "[1,2]"));
}
