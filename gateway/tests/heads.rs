//! A head that a server behind could read in another way goes no further.

mod support;

use std::io::Write;

use support::client::Connection;
use support::config::{ASK, one_pool};
use support::upstream::Upstream;
use support::weir::Weir;

/// A call whose head is this, `\n` standing for the end of a line.
fn call(head: &str) -> String {
    format!("{}\r\ncontent-length: {}\r\n\r\n{ASK}", head.replace('\n', "\r\n"), ASK.len())
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let path = "/v1/chat/completions";
    let cases = [
        (format!("POST {path} HTTP/1.1"), 400),
        (format!("POST {path} HTTP/1.1\nhost: a\nhost: a"), 400),
        (format!("POST {path} HTTP/1.1\nhost: a b"), 400),
        (format!("POST {path} HTTP/1.1\nhost: "), 400),
        (format!("POST {path} HTTP/1.1\nhost: user@a"), 400),
        (format!("POST {path} HTTP/1.1\nhost: a:65536"), 400),
        (format!("POST {path} HTTP/1.1\nhost: [::1]:b"), 400),
        (format!("POST http://a:65536{path} HTTP/1.1\nhost: a"), 400),
        (format!("POST {path} HTTP/1.1\nhost: a/b"), 400),
        (format!("POST ftp://a{path} HTTP/1.1\nhost: a"), 400),
        (format!("POST http://user@a{path} HTTP/1.1\nhost: a"), 400),
        (format!("POST {path} HTTP/1.1\nhost: a\nexpect: miracles"), 417),
        (format!("POST {path} HTTP/1.1\nhost: a\nexpect: 100-continue\nexpect: more"), 417),
    ];
    for (head, status) in cases {
        let mut connection = Connection::to(&weir.data);
        connection.send(call(&head));
        let answer = connection.answer();
        assert_eq!(answer.status, status, "{head}: {}", answer.text());
        assert!(answer.json()["error"]["message"].is_string() && answer.header("x-request-id").is_some());
        assert!(connection.is_closed(), "{head}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_absolute_target_says_which_host_is_asked_for() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    connection.send(call("POST http://asked.example/v1/chat/completions HTTP/1.1\nhost: other.example"));
    assert_eq!(connection.answer().status, 200);
    assert_eq!(upstream.got()[0].header("x-forwarded-host"), Some("asked.example"));
}

#[test]
fn an_encoded_transfer_is_refused() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    for coding in ["gzip, chunked", "identity", "chunked\r\ntransfer-encoding: chunked"] {
        let mut connection = Connection::to(&weir.data);
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: ";
        connection.send(format!("{head}{coding}\r\n\r\n{:x}\r\n{ASK}\r\n0\r\n\r\n", ASK.len()));
        assert_eq!(connection.head().status, 400, "{coding}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn sane_variants_are_served() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let path = "/v1/chat/completions";
    for head in [
        format!("POST {path} HTTP/1.0"),
        format!("POST {path} HTTP/1.1\nhost: [::1]:8080"),
        format!("POST http://a.example{path} HTTP/1.1\nhost: b.example"),
        format!("POST {path} HTTP/1.1\nHOST: a\nExpect: 100-Continue"),
    ] {
        let mut connection = Connection::to(&weir.data);
        connection.send(call(&head));
        if head.contains("Expect") {
            assert_eq!(connection.head().status, 100);
        }
        let answer = connection.answer();
        assert_eq!(answer.status, 200, "{head}: {}", answer.text());
    }
    assert!(upstream.got().iter().all(|got| got.line == format!("POST {path} HTTP/1.1")));
}

#[test]
fn an_answer_whose_transfer_is_encoded_is_no_answer() {
    let upstream = Upstream::with(|_, socket| {
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
        socket.write_all(format!("{head}2\r\n{{}}\r\n0\r\n\r\n").as_bytes()).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let answer = support::client::chat(&weir.data, ASK);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &"bad_response".into()));
}
