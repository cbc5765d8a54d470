//! The duties of a proxy towards odd and hostile requests (RFC 9110 and 9112), over raw sockets, before an upstream
//! that records what it got: what could be read in two ways is refused and ends its connection, what is served
//! goes up as exactly one request with exactly one framing. What a head may hold is in `heads` and `headers`.

mod support;

use support::client::{Connection, request};
use support::config::{ASK, one_pool};
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI};
use support::upstream::{Got, Upstream};
use support::weir::Weir;

struct Bench {
    upstream: Upstream,
    weir: Weir,
}

impl Bench {
    fn new() -> Self {
        let upstream = Upstream::new();
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        Self { upstream, weir }
    }

    fn connect(&self) -> Connection {
        Connection::to(&self.weir.data)
    }

    /// Sends `bytes` and a good request after them; `bytes` must be refused, and nothing of either go up.
    fn assert_refused(&self, what: &str, bytes: &str, statuses: &[u16]) {
        let mut connection = self.connect();
        connection.send([bytes.as_bytes(), &good()].concat());
        let answer = connection.answer();
        assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        assert!(connection.is_closed(), "{what}: the connection goes on");
        assert_eq!(self.upstream.got().len(), 0, "{what}: something went up");
    }

    /// What went up since the last time.
    fn take(&self, before: usize) -> Vec<Got> {
        self.upstream.got().split_off(before)
    }
}

fn good() -> Vec<u8> {
    request("POST", OPENAI, &[], ASK.as_bytes())
}

/// A request with this head, `\n` standing for the end of a line, and this body.
fn call(head: &str, body: &str) -> String {
    format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n"))
}

fn assert_one_framing(got: &Got) {
    let count = |name: &str| got.headers.iter().filter(|(found, _)| found == name).count();
    assert_eq!((count("content-length"), count("transfer-encoding"), count("host")), (1, 0, 1), "{got:?}");
    assert_eq!(got.header("content-length"), Some(got.body.len().to_string().as_str()));
}

#[test]
fn a_length_that_could_be_read_in_two_ways_is_refused() {
    let bench = Bench::new();
    for lengths in [
        "content-length: 27\ncontent-length: 26",
        "content-length: 26\ncontent-length: 27",
        "content-length: 27, 26",
        "content-length: +27",
        "content-length: -27",
        "content-length: 0x1b",
        "content-length: 27 27",
        "content-length: 2 7",
        "content-length: 27;",
        "content-length: ",
        "content-length: 99999999999999999999",
    ] {
        let head = format!("POST {OPENAI} HTTP/1.1\nhost: x\n{lengths}");
        bench.assert_refused(lengths, &call(&head, ASK), &[400]);
    }
}

#[test]
fn lengths_that_say_the_same_twice_go_up_once() {
    let bench = Bench::new();
    let mut connection = bench.connect();
    let head = format!("POST {OPENAI} HTTP/1.1\nhost: x\ncontent-length: 27\ncontent-length: 27");
    connection.send(call(&head, ASK));
    let status = connection.answer().status;
    let got = bench.take(0);
    assert!((status == 200 && got.len() == 1) || (status == 400 && got.is_empty()), "{status}");
    got.iter().for_each(assert_one_framing);
}

#[test]
fn a_transfer_that_could_be_read_in_two_ways_is_refused() {
    let bench = Bench::new();
    let chunks = format!("{:x}\r\n{ASK}\r\n0\r\n\r\n", ASK.len());
    for (version, coding) in [
        ("1.1", "gzip"),
        ("1.1", "chunked, gzip"),
        ("1.1", "gzip, chunked"),
        ("1.1", "chunked, chunked"),
        ("1.1", "xchunked"),
        ("1.1", "chunked;q=1"),
        ("1.1", "\"chunked\""),
        ("1.1", "chunked\nTransfer-Encoding: identity"),
        ("1.1", "identity\ntransfer-encoding: chunked"),
        ("1.0", "chunked"),
    ] {
        let head = format!("POST {OPENAI} HTTP/{version}\nhost: x\ntransfer-encoding: {coding}");
        bench.assert_refused(coding, &call(&head, &chunks), &[400]);
    }
}

#[test]
fn a_head_that_could_be_read_in_two_ways_is_refused() {
    let bench = Bench::new();
    let end = "\r\ncontent-length: 27\r\n\r\n";
    for (what, head) in [
        ("space before a colon", format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\nx-a : 1")),
        ("space before the host's colon", format!("POST {OPENAI} HTTP/1.1\r\nhost : x")),
        ("a folded field", format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n 2")),
        ("a field folded by a tab", format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n\t2")),
        ("space before the first field", format!("POST {OPENAI} HTTP/1.1\r\n host: x")),
        ("a bare CR in a value", format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\nx-a: 1\r2")),
        ("a bare CR for an end of line", format!("POST {OPENAI} HTTP/1.1\rhost: x")),
        ("NUL in a value", format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\nx-a: 1\02")),
        ("NUL in a name", format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\nx\0a: 1")),
        ("NUL in the target", format!("POST {OPENAI}\0 HTTP/1.1\r\nhost: x")),
        ("a field without a name", format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\n: 1")),
        ("a field without a colon", format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\nx-a")),
        ("a space in the target", format!("POST {OPENAI} x HTTP/1.1\r\nhost: x")),
        ("two spaces", format!("POST  {OPENAI} HTTP/1.1\r\nhost: x")),
        ("another version", format!("POST {OPENAI} HTTP/1.2\r\nhost: x")),
        ("a version in lower case", format!("POST {OPENAI} http/1.1\r\nhost: x")),
        ("no version", format!("POST {OPENAI}\r\nhost: x")),
        ("a method with a colon", format!("PO:ST {OPENAI} HTTP/1.1\r\nhost: x")),
        ("another scheme", format!("POST ftp://x{OPENAI} HTTP/1.1\r\nhost: x")),
        ("no scheme that is known", format!("POST file://{OPENAI} HTTP/1.1\r\nhost: x")),
    ] {
        bench.assert_refused(what, &format!("{head}{end}{ASK}"), &[400]);
    }
}

/// HTTP/0.9 has no head to answer with, and no answer is one too.
#[test]
fn http09_is_not_spoken() {
    let bench = Bench::new();
    let mut connection = bench.connect();
    connection.send("GET /v1/models\r\n\r\n");
    assert_eq!(connection.answer().status, 400);
    assert!(connection.is_closed());
}

#[test]
fn lines_that_end_in_a_bare_lf_are_one_request_or_none() {
    let bench = Bench::new();
    let mut connection = bench.connect();
    connection.send(format!("POST {OPENAI} HTTP/1.1\nhost: x\ncontent-length: 27\n\n{ASK}"));
    let status = connection.answer().status;
    let got = bench.take(0);
    assert!((status == 200 && got.len() == 1) || (status == 400 && got.is_empty()), "{status}");
    got.iter().for_each(assert_one_framing);
}

#[test]
fn chunks_that_could_be_read_in_two_ways_are_refused() {
    let bench = Bench::new();
    let head = format!("POST {OPENAI} HTTP/1.1\nhost: x\ntransfer-encoding: chunked");
    let smuggled = "POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n\r\n{\"model\":\"m\"}";
    for (what, body) in [
        ("a size that is none", format!("zz\r\n{ASK}\r\n0\r\n\r\n")),
        ("a negative size", format!("-1b\r\n{ASK}\r\n0\r\n\r\n")),
        ("a size with a prefix", format!("0x1b\r\n{ASK}\r\n0\r\n\r\n")),
        ("an empty size", format!("\r\n{ASK}\r\n0\r\n\r\n")),
        ("a size beyond all", format!("fffffffffffffffff\r\n{ASK}\r\n0\r\n\r\n")),
        ("a size that wraps", format!("1000000000000001b\r\n{ASK}\r\n0\r\n\r\n")),
        ("a chunk longer than its size", format!("1a\r\n{ASK}\r\n0\r\n\r\n")),
        ("a bare LF after the size", format!("1b\n{ASK}\r\n0\r\n\r\n")),
        ("a bare LF after the chunk", format!("1b\r\n{ASK}\n0\r\n\r\n")),
        ("a bare LF in an extension", format!("1b;a\nb\r\n{ASK}\r\n0\r\n\r\n{smuggled}")),
    ] {
        bench.assert_refused(what, &call(&head, &body), &[400]);
    }
}

#[test]
fn sane_chunks_go_up_as_one_body_without_extensions_or_trailers() {
    let bench = Bench::new();
    let head = format!("POST {OPENAI} HTTP/1.1\nhost: x\ntransfer-encoding: chunked");
    let (left, right) = ASK.split_at(10);
    for body in [
        format!("1B\r\n{ASK}\r\n0\r\n\r\n"),
        format!("1b;name=value\r\n{ASK}\r\n0;last\r\n\r\n"),
        format!("a\r\n{left}\r\n11\r\n{right}\r\n0\r\n\r\n"),
        format!("1b\r\n{ASK}\r\n0\r\nx-checksum: 1\r\nhost: evil\r\ncontent-length: 5\r\n\r\n"),
        format!("000000001b\r\n{ASK}\r\n0\r\n\r\n"),
    ] {
        let before = bench.upstream.got().len();
        let mut connection = bench.connect();
        connection.send(call(&head, &body));
        assert_eq!(connection.answer().status, 200, "{body}");
        connection.send(good());
        assert_eq!(connection.answer().status, 200, "after {body}");
        let got = bench.take(before);
        assert_eq!(got.len(), 2, "{body}");
        for got in got {
            assert_one_framing(&got);
            assert_eq!(got.body, ASK.as_bytes());
            assert_eq!((got.header("x-checksum"), got.header("trailer")), (None, None));
        }
    }
}

/// Other servers end a body there, and what follows would be a request of its own to them.
#[test]
fn a_bare_lf_after_a_trailer_smuggles_nothing() {
    let bench = Bench::new();
    let smuggled = request("POST", ANTHROPIC, &[], br#"{"model":"m","smuggled":true}"#);
    let head = format!("POST {OPENAI} HTTP/1.1\nhost: x\ntransfer-encoding: chunked");
    for end in ["0\r\nx-a: b\n\n", "0\n\n", "0\r\nx-a: b\n\r\n"] {
        let mut connection = bench.connect();
        connection.send([call(&head, &format!("1b\r\n{ASK}\r\n{end}")).as_bytes(), &smuggled].concat());
        assert!(connection.is_closed_in_the_end(), "{end:?}");
    }
    assert!(bench.take(0).iter().all(|got| got.body == ASK.as_bytes()), "a request was smuggled");
}

#[test]
fn requests_in_a_row_are_served_in_their_order() {
    let bench = Bench::new();
    let mut connection = bench.connect();
    let one = |number: usize| {
        let body = format!(r#"{{"model":"m","n":{number}}}"#);
        request("POST", OPENAI, &[("x-request-id", &format!("row-{number}"))], body.as_bytes())
    };
    connection.send((0..20).flat_map(one).collect::<Vec<u8>>());
    for number in 0..20 {
        let answer = connection.answer();
        assert_eq!(
            (answer.status, answer.header("x-request-id")),
            (200, Some(format!("row-{number}").as_str()))
        );
    }
    let got = bench.take(0);
    assert_eq!(got.len(), 20);
    got.iter().for_each(assert_one_framing);
}

#[test]
fn what_comes_after_a_body_is_not_a_part_of_it() {
    let bench = Bench::new();
    // A body that looks like a request, and a request behind it.
    let inner = String::from_utf8_lossy(&good()).into_owned();
    let body = serde_json::json!({ "model": "m", "text": inner }).to_string();
    let mut connection = bench.connect();
    connection.send([request("POST", ANTHROPIC, &[], body.as_bytes()), good()].concat());
    assert_eq!((connection.answer().status, connection.answer().status), (200, 200));
    let bodies: Vec<_> = bench.take(0).into_iter().map(|got| got.body).collect();
    assert_eq!(bodies, [body.as_bytes(), ASK.as_bytes()]);
}

#[test]
fn an_absolute_target_goes_up_in_origin_form_with_weirs_own_host() {
    let bench = Bench::new();
    for target in [format!("http://a.example{OPENAI}?q=1"), format!("HTTP://a.example:80{OPENAI}?q=1")] {
        let mut connection = bench.connect();
        connection.send(call(&format!("POST {target} HTTP/1.1\nhost: a.example\ncontent-length: 27"), ASK));
        assert_eq!(connection.answer().status, 200, "{target}");
    }
    for (got, host) in bench.take(0).iter().zip(["a.example", "a.example:80"]) {
        assert_eq!(got.line, format!("POST {OPENAI}?q=1 HTTP/1.1"));
        assert_eq!(got.header("host"), Some(bench.upstream.address.as_str()));
        assert_eq!(got.header("x-forwarded-host"), Some(host));
    }
}

#[test]
fn a_path_in_disguise_is_never_taken_for_the_one_it_hides() {
    let bench = Bench::new();
    for path in DIALECTS {
        for disguise in [
            path.replacen("/v1", "/v1/%2e%2e/v1", 1),
            path.replacen("/v1", "/v1/%2E./v1", 1),
            path.replacen("/v1", "/v1/../v1", 1),
            path.replacen("/v1", "/./v1", 1),
            path.replacen("/v1/", "/v1%2f", 1),
            path.replacen("/v1/", "/v1%2F", 1),
            path.replacen("/v1/", "/v1%252f", 1),
            path.replacen("/v1/", "/v1%5c", 1),
            path.replacen("/v1/", "/v1\\", 1),
            format!("{path}%00"),
            format!("{path}%00.json"),
            format!("{path}%"),
            format!("{path}%2"),
        ] {
            let mut connection = bench.connect();
            connection.send(request("POST", &disguise, &[], ASK.as_bytes()));
            assert_eq!(connection.answer().status, 400, "{disguise}");
            assert!(connection.is_closed(), "{disguise}");
        }
        // Plainly another path.
        for other in [
            path.replacen("/v1", "//v1", 1),
            path.replacen("/v1", "/%761", 1),
            format!("{path}/"),
            format!("{path};a=1"),
            path.to_uppercase(),
        ] {
            let mut connection = bench.connect();
            connection.send(request("POST", &other, &[], ASK.as_bytes()));
            assert_eq!(connection.answer().status, 404, "{other}");
        }
    }
    assert_eq!(bench.upstream.connections(), 0);
}

#[test]
fn methods_that_no_api_has_are_refused() {
    let bench = Bench::new();
    for (line, status) in [
        (format!("TRACE {OPENAI}"), 405),
        (format!("OPTIONS {OPENAI}"), 405),
        (format!("HEAD {OPENAI}"), 405),
        (format!("PUT {OPENAI}"), 405),
        (format!("BREW {OPENAI}"), 405),
        ("CONNECT upstream.example:443".into(), 405),
        ("OPTIONS *".into(), 404),
        ("TRACE /".into(), 405),
        ("HEAD /v1/models".into(), 405),
        ("POST /v1/models".into(), 405),
    ] {
        let mut connection = bench.connect();
        connection.send(format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer s3cret\r\n\r\n"));
        let answer = connection.head();
        assert_eq!(answer.status, status, "{line}");
        assert!(status != 405 || answer.header("allow").is_some(), "{line}");
    }
    assert_eq!(bench.upstream.connections(), 0);
}

#[test]
fn who_waits_to_be_told_to_send_is_refused_at_once_where_the_head_is_enough() {
    let bench = Bench::new();
    for (head, status) in [
        (format!("POST {OPENAI} HTTP/1.1\nhost: x\ncontent-length: 99999999999"), 413),
        (format!("POST {OPENAI} HTTP/1.1\nhost: x\ncontent-encoding: gzip\ncontent-length: 27"), 415),
        ("POST /nothing HTTP/1.1\nhost: x\ncontent-length: 27".into(), 404),
        (format!("PUT {OPENAI} HTTP/1.1\nhost: x\ncontent-length: 27"), 405),
        (format!("POST {OPENAI} HTTP/1.1\nhost: x\nhost: y\ncontent-length: 27"), 400),
    ] {
        let mut connection = bench.connect();
        connection.send(call(&format!("{head}\nexpect: 100-continue"), ""));
        assert_eq!(connection.answer().status, status, "{head}");
        assert!(connection.is_closed(), "{head}: the body may still come");
    }
    assert_eq!(bench.upstream.connections(), 0);
}

#[test]
fn an_offer_to_speak_something_else_is_passed_over() {
    let bench = Bench::new();
    for offer in [
        "connection: upgrade, http2-settings\nupgrade: h2c\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA",
        "connection: Upgrade\nupgrade: websocket\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\nsec-websocket-version: 13",
        "connection: upgrade\nupgrade: TLS/1.3",
    ] {
        let before = bench.upstream.got().len();
        let mut connection = bench.connect();
        let head = format!("POST {OPENAI} HTTP/1.1\nhost: x\n{offer}\ncontent-length: 27");
        for _ in 0..2 {
            connection.send(call(&head, ASK));
            let answer = connection.answer();
            assert_eq!((answer.status, answer.header("upgrade")), (200, None), "{offer}");
        }
        for got in bench.take(before) {
            assert_one_framing(&got);
            assert_eq!(
                (got.header("upgrade"), got.header("http2-settings"), got.header("connection")),
                (None, None, None)
            );
        }
    }
}

#[test]
fn what_looks_like_the_preface_of_http2_is_not_http1() {
    let bench = Bench::new();
    for bytes in ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut connection = bench.connect();
        connection.send(bytes);
        assert!(connection.is_closed_in_the_end(), "{bytes}");
    }
    // A method that begins in the same way is one of HTTP/1.
    let mut connection = bench.connect();
    for piece in ["P", "R", "INT /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"] {
        connection.send(piece);
        support::pause(std::time::Duration::from_millis(20));
    }
    assert_eq!(connection.answer().status, 405);
}
