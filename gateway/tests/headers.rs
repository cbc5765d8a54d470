//! All end-to-end headers go on, both ways; what belongs to one connection, what is Weir's own to say and what a
//! caller could only have made up do not.

mod support;

use std::io::Write;

use support::client::{Connection, chat, post, request};
use support::config::{ASK, one_pool};
use support::refusal::{DIALECTS, OPENAI};
use support::upstream::{Got, Upstream, answer, completion};
use support::weir::Weir;

/// What the upstream gets of a call with these headers.
fn sent_up(path: &str, headers: &[(&str, &str)]) -> Got {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let answer = post(&weir.data, path, headers, ASK);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let got = upstream.got().remove(0);
    assert_eq!(got.header("host"), Some(upstream.address.as_str()));
    assert_eq!(got.body, ASK.as_bytes());
    got
}

fn all<'a>(got: &'a Got, name: &str) -> Vec<&'a str> {
    got.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn end_to_end_headers_go_up_as_they_are() {
    let headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("User-Agent", "OpenAI/Python 2.1.0"),
        ("OpenAI-Organization", "org-1"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "one"),
        ("anthropic-beta", "two"),
        ("x-stainless-retry-count", "0"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("Idempotency-Key", "k 1"),
        ("x-empty", ""),
        ("x-latin", "caf\u{e9}"),
        ("accept", "*/*"),
    ];
    for path in DIALECTS {
        let got = sent_up(path, &headers);
        assert_eq!(got.line, format!("POST {path} HTTP/1.1"));
        for (name, value) in headers {
            let name = name.to_lowercase();
            assert!(all(&got, &name).contains(&value), "{name}: {:?}", got.headers);
        }
        assert_eq!(all(&got, "anthropic-beta"), ["one", "two"], "repeated headers keep their order");
    }
}

#[test]
fn a_query_goes_up_too() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[format!("{}/base/v1", upstream.url())], ""));
    assert_eq!(post(&weir.data, "/v1/messages?beta=true&a=%20b", &[], ASK).status, 200);
    assert_eq!(upstream.got()[0].line, "POST /base/v1/messages?beta=true&a=%20b HTTP/1.1");
}

#[test]
fn what_belongs_to_one_connection_goes_no_further() {
    let hop_by_hop = [
        ("Connection", "X-Private, keep-alive"),
        ("connection", "x-other"),
        ("x-private", "1"),
        ("x-other", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("proxy-authenticate", "Basic"),
        ("te", "trailers"),
        ("trailer", "x-checksum"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQ"),
    ];
    let got = sent_up(OPENAI, &hop_by_hop);
    for (name, _) in hop_by_hop {
        assert_eq!(all(&got, &name.to_lowercase()), [""; 0], "{name}");
    }
}

#[test]
fn who_waits_to_be_told_to_send_a_body_is_told_by_weir() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    let bytes = request("POST", OPENAI, &[("expect", "100-continue")], ASK.as_bytes());
    let (head, body) = bytes.split_at(bytes.len() - ASK.len());
    connection.send(head);
    assert_eq!(connection.head().status, 100);
    connection.send(body);
    assert_eq!(connection.answer().status, 200);
    assert_eq!(all(&upstream.got()[0], "expect"), [""; 0]);
}

#[test]
fn what_is_weirs_to_say_is_not_the_callers() {
    let theirs = [
        ("x-weir-segment", "enterprise"),
        ("x-weir-deadline-ms", "60000"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/admin"),
        ("Forwarded", "for=10.0.0.1;host=evil.example"),
        ("x-real-ip", "10.0.0.1"),
        ("x-request-id", "mine-1"),
        ("accept-encoding", "gzip, br"),
    ];
    let got = sent_up(OPENAI, &theirs);
    let expected = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "mine-1"),
        ("accept-encoding", "identity"),
        ("content-length", "27"),
    ];
    for (name, value) in expected {
        assert_eq!(all(&got, name), [value], "{name}");
    }
    let made_up = |(name, _): &&(String, String)| {
        name.starts_with("x-weir-")
            || ["x-forwarded-prefix", "forwarded", "x-real-ip"].contains(&name.as_str())
    };
    assert_eq!(got.headers.iter().find(made_up), None);
}

#[test]
fn a_call_without_an_id_gets_one_that_the_caller_sees_too() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let ids: Vec<String> = (0..2)
        .map(|_| post(&weir.data, OPENAI, &[], ASK).header("x-request-id").expect("an id").to_owned())
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(
        upstream.got().iter().map(|got| all(got, "x-request-id")).collect::<Vec<_>>(),
        [[&ids[0]], [&ids[1]]]
    );
}

#[test]
fn nominating_what_must_go_on_does_no_harm() {
    let nominated =
        [("connection", "content-length, host, x-request-id, content-type, close"), ("x-request-id", "kept")];
    let got = sent_up(OPENAI, &nominated);
    assert_eq!((all(&got, "content-length"), all(&got, "x-request-id")), (vec!["27"], vec!["kept"]));
    assert_eq!(all(&got, "x-forwarded-host"), ["localhost"]);
    assert_eq!(
        all(&got, "connection"),
        [""; 0],
        "how the caller's connection ends is not the upstream's concern"
    );

    let nominated =
        [("connection", "x-forwarded-for, x-forwarded-proto, accept-encoding, transfer-encoding")];
    let got = sent_up(OPENAI, &nominated);
    assert_eq!(
        (all(&got, "x-forwarded-for"), all(&got, "accept-encoding")),
        (vec!["127.0.0.1"], vec!["identity"])
    );
}

#[test]
fn two_framings_of_a_request_do_not_both_go_up() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    let length = ASK.len();
    connection.send(format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{ASK}\r\n0\r\n\r\n"
    ));
    let status = connection.answer().status;
    let got = upstream.got();
    // Either is sound: what the chunks said under one framing, or a refusal.
    match got.first() {
        Some(got) => {
            assert_eq!((status, got.body.as_slice()), (200, ASK.as_bytes()));
            assert_eq!((all(got, "content-length"), all(got, "transfer-encoding")), (vec!["27"], vec![]));
        }
        None => assert_eq!(status, 400),
    }
    assert!(got.len() < 2, "a request was smuggled");
}

#[test]
fn end_to_end_headers_come_down_and_connections_stay_apart() {
    let upstream = Upstream::with(|_, socket| {
        let answer = completion();
        let split = answer.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let more = b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nx-ratelimit-remaining-requests: 9\r\nanthropic-organization-id: o\r\n\
                     connection: x-hop, close, content-length\r\nx-hop: 1\r\nkeep-alive: timeout=1\r\nupgrade: h2\r\nproxy-authenticate: Basic\r\n";
        let all = [&answer[..split], more, &answer[split..]].concat();
        socket.write_all(&all).unwrap_or_default();
        false
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    for _ in 0..3 {
        connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
        let answer = connection.answer();
        assert_eq!(answer.status, 200, "the upstream's connection ended, the caller's did not");
        let cookies =
            answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str());
        assert_eq!(cookies.collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert!(answer.header("content-length").is_some() && answer.header("transfer-encoding").is_none());
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("9"));
        assert_eq!(answer.header("anthropic-organization-id"), Some("o"));
        for name in ["connection", "x-hop", "keep-alive", "upgrade", "proxy-authenticate"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn an_upstream_cannot_speak_as_weir() {
    let upstream = Upstream::with(|_, socket| {
        let headers = [
            ("x-weir-degraded", "cta-only"),
            ("x-weir-reason", "memory"),
            ("x-forwarded-for", "9.9.9.9"),
            ("server-timing", "gpu;dur=7"),
        ];
        socket.write_all(&answer("200 OK", &headers, b"{}")).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let answer = chat(&weir.data, ASK);
    for name in ["x-weir-degraded", "x-weir-reason", "x-forwarded-for"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    let timings: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "server-timing").collect();
    assert!(timings[0].1.starts_with("weir;dur=") && timings[1].1 == "gpu;dur=7", "{timings:?}");
}
