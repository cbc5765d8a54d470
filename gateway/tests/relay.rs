//! What goes up arrives as the caller wrote it, and what comes down as the upstream wrote it.

mod support;

use support::client::{Connection, chat, post, request};
use support::upstream::Upstream;
use support::weir::Weir;

/// One route `m` whose target is called `real` behind the upstream.
fn config(upstream: &Upstream) -> String {
    format!(
        "pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}] }} }}\nroutes: {{ m: {{ targets: [{{ pool: p, model: \"re\\u0061l/v1\" }}] }} }}\n",
        upstream.url()
    )
}

#[test]
fn a_body_arrives_unchanged_but_for_the_model() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&config(&upstream));
    let content = "caf\\u00e9 \\ud83d\\ude00 \\\"quoted\\\" ".repeat(4 * 1024 * 1024 / 34);
    let before = r#"{ "zeta" : [ 1.0, 1e400, -0, 123456789012345678901234567890 ],"unknown":{"model":"inner"},  "model"  : "#;
    let after =
        format!(r#" , "messages":[{{"content":"{content}","role":"user"}}],"temperature":0.10,"b":null }}"#);
    let sent = format!("{before}\"m\"{after}");
    assert!(sent.len() > 4 * 1024 * 1024);

    let answer = chat(&weir.data, &sent);

    assert_eq!(answer.status, 200, "{}", answer.text());
    let got = upstream.got();
    assert_eq!(got.len(), 1);
    assert!(got[0].body == format!("{before}\"real/v1\"{after}").as_bytes(), "the body was changed");
    assert_eq!(got[0].header("content-length"), Some(got[0].body.len().to_string().as_str()));
    assert_eq!(got[0].header("transfer-encoding"), None);
}

#[test]
fn a_chunked_body_arrives_with_its_length() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&config(&upstream));
    let mut connection = Connection::to(&weir.data);
    connection.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in [r#"{"mo"#, r#"del":"#, r#""m","x":1}"#] {
        connection.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    connection.send("0\r\n\r\n");
    assert_eq!(connection.answer().status, 200);
    let got = &upstream.got()[0];
    assert_eq!(got.body, br#"{"model":"real/v1","x":1}"#);
    assert_eq!(got.header("transfer-encoding"), None);
}

#[test]
fn two_models_in_a_body_are_refused_and_nothing_is_sent() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&config(&upstream));
    let answer = chat(&weir.data, r#"{"model":"m","messages":[],"model":"b"}"#);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["code"], "duplicate_key");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_connection_serves_many_calls_on_both_sides() {
    let upstream = Upstream::new();
    let weir = Weir::before(&[upstream.url()]);
    let mut connection = Connection::to(&weir.data);
    for _ in 0..50 {
        connection.send(request("POST", "/v1/chat/completions", &[], br#"{"model":"x"}"#));
        let answer = connection.answer();
        assert_eq!((answer.status, answer.whole), (200, true));
    }
    assert_eq!(upstream.got().len(), 50);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn the_answer_comes_down_as_it_was_with_what_weir_adds() {
    let upstream = Upstream::with(|_, socket| {
        use std::io::Write;
        let head = "HTTP/1.1 418 Odd\r\ncontent-type: application/json\r\nx-request-id: theirs\r\nx-odd: 1\r\n\
                    connection: keep-alive, x-hop\r\nx-hop: 1\r\ncontent-length: 15\r\n\r\n{\"a\": 1.50e+3 }";
        socket.write_all(head.as_bytes()).is_ok()
    });
    let weir = Weir::before(&[upstream.url()]);
    let answer = post(&weir.data, "/v1/messages", &[("x-request-id", "mine")], r#"{"model":"x"}"#);
    assert_eq!((answer.status, answer.text().as_str()), (418, "{\"a\": 1.50e+3 }"));
    assert_eq!(answer.header("x-odd"), Some("1"));
    assert_eq!(answer.header("x-hop"), None);
    assert_eq!(answer.header("x-request-id"), Some("mine"));
    assert_eq!(answer.header("x-weir-upstream-request-id"), Some("theirs"));
    assert_eq!(answer.header("x-weir-target"), Some("upstream"));
    assert_eq!(answer.header("x-weir-attempts"), Some("1"));
    let timing = answer.header("server-timing").unwrap();
    assert!(timing.starts_with("weir;dur=") && timing.contains(", upstream;dur="), "{timing}");
}
