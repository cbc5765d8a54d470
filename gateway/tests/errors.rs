//! A call that is wrong is refused in its caller's dialect, by name; nothing of it goes up, and its connection
//! serves the next call.

mod support;

use support::client::{Answer, Connection, chat, post, request};
use support::config::{ASK, one_pool};
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI, assert_refused};
use support::upstream::Upstream;
use support::weir::Weir;

/// Sends `bytes`, which must be refused, and then a call that must be served, on the same connection.
fn refuse_then_serve(connection: &mut Connection, bytes: &[u8]) -> Answer {
    connection.send(bytes);
    let refused = connection.answer();
    connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    assert_eq!(connection.answer().status, 200, "the call after {}", refused.text());
    refused
}

/// A request whose body comes in chunks of at most 1 KiB.
fn chunked(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}transfer-encoding: chunked\r\n\r\n")
        .into_bytes();
    for piece in body.chunks(1024) {
        bytes.extend(support::upstream::chunk(piece));
    }
    bytes.extend(support::upstream::LAST_CHUNK);
    bytes
}

/// An otherwise good body with arrays and objects `depth` deep.
fn nested(depth: usize) -> Vec<u8> {
    let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
    format!(r#"{{"model":"m","messages":{open}{close}}}"#).into_bytes()
}

#[test]
fn a_body_that_cannot_be_judged_is_refused_by_name() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let too_deep = nested(65);
    let cases: [(&[u8], &str); 15] = [
        (b"", "invalid_json"),
        (b"model=m", "invalid_json"),
        (br#"{"model":"m""#, "invalid_json"),
        (br#"{"model":"m"} {}"#, "invalid_json"),
        (br#"["model","m"]"#, "invalid_json"),
        (br#""m""#, "invalid_json"),
        (b"null", "invalid_json"),
        (b"{}", "missing_model"),
        (br#"{"Model":"m"}"#, "missing_model"),
        (br#"{"model":7}"#, "invalid_model"),
        (br#"{"model":null}"#, "invalid_model"),
        (br#"{"model":"m","stream":true,"stream":false}"#, "duplicate_key"),
        (br#"{"model":"m","mod\u0065l":"x"}"#, "duplicate_key"),
        (b"{\"model\":\"m\",\"user\":\"\xff\"}", "invalid_utf8"),
        (&too_deep, "nesting_too_deep"),
    ];
    for path in DIALECTS {
        let mut connection = Connection::to(&weir.data);
        for (body, code) in cases {
            let answer = refuse_then_serve(&mut connection, &request("POST", path, &[], body));
            assert_refused(&answer, path, 400, code);
            assert_eq!(answer.header("x-weir-attempts"), Some("0"));
        }
    }
    assert!(upstream.got().iter().all(|got| got.body == ASK.as_bytes()), "a refused body went up");
    assert_eq!(upstream.got().len(), DIALECTS.len() * cases.len());
}

#[test]
fn the_deepest_body_that_is_taken_goes_up() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    assert_eq!(chat(&weir.data, nested(64)).status, 200);
    assert_eq!(upstream.got()[0].body, nested(64));
}

#[test]
fn an_unknown_model_is_refused_with_the_models_that_there_are() {
    let upstream = Upstream::new();
    let config = format!(
        "pools:\n  both: {{ endpoints: [{{ url: \"{url}\" }}] }}\n  \
         only: {{ endpoints: [{{ url: \"{url}\" }}], dialects: [openai] }}\nroutes:\n  \
         letters: {{ targets: [{{ pool: both }}] }}\n  drafts: {{ targets: [{{ pool: only }}] }}\n",
        url = upstream.url()
    );
    let weir = Weir::configured(&config);
    let ask = |path, model| post(&weir.data, path, &[], format!(r#"{{"model":"{model}"}}"#));

    let message = assert_refused(&ask(OPENAI, "lettres"), OPENAI, 404, "model_not_found");
    assert!(message.contains("lettres") && message.contains("letters, drafts"), "{message}");
    // Through this API the other one is not there.
    for model in ["lettres", "drafts"] {
        let message = assert_refused(&ask(ANTHROPIC, model), ANTHROPIC, 404, "model_not_found");
        assert!(message.contains(model) && message.ends_with("Known models: letters."), "{message}");
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(ask(OPENAI, "drafts").status, 200);
}

#[test]
fn an_encoded_body_is_refused() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    for path in DIALECTS {
        let announced = request("POST", path, &[("content-encoding", "gzip")], b"\x1f\x8b and so on");
        let in_chunks = chunked(path, "content-encoding: br\r\n", &[b'x'; 3000]);
        for bytes in [announced, in_chunks] {
            let answer = refuse_then_serve(&mut connection, &bytes);
            assert_refused(&answer, path, 415, "unsupported_content_encoding");
        }
    }
    let plain = request("POST", OPENAI, &[("content-encoding", "identity")], ASK.as_bytes());
    connection.send(plain);
    assert_eq!(connection.answer().status, 200);
    assert_eq!(upstream.got().len(), 5);
}

#[test]
fn a_body_over_the_limit_is_refused_whether_or_not_its_length_is_announced() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&format!("limits: {{ body: 2KiB }}\n{}", one_pool(&[upstream.url()], "")));
    let exact = format!("{ASK:<2048}");
    let over = format!("{ASK:<2049}");
    let mut connection = Connection::to(&weir.data);
    for path in DIALECTS {
        for bytes in [request("POST", path, &[], over.as_bytes()), chunked(path, "", over.as_bytes())] {
            let answer = refuse_then_serve(&mut connection, &bytes);
            let message = assert_refused(&answer, path, 413, "body_too_large");
            assert!(message.contains("2048"), "{message}");
        }
        for bytes in [request("POST", path, &[], exact.as_bytes()), chunked(path, "", exact.as_bytes())] {
            connection.send(bytes);
            assert_eq!(connection.answer().status, 200);
        }
    }
    assert!(upstream.got().iter().all(|got| got.body.len() <= 2048), "a refused body went up");
    assert!((weir.metric("weir_limit_hits_total{limit=\"body\"}") - 4.0).abs() < 0.1);
}

#[test]
fn who_is_still_sending_a_body_that_is_too_large_can_read_why_it_was_refused() {
    const LENGTH: usize = 40_000_000;
    let upstream = Upstream::new();
    let weir = Weir::before(&[upstream.url()]);
    let mut connection = Connection::to(&weir.data);
    let mut sending = Connection::over(connection.socket().try_clone().unwrap());
    let sender = std::thread::spawn(move || {
        sending.send(format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\ncontent-length: {LENGTH}\r\n\r\n"));
        let piece = vec![b' '; 100_000];
        for _ in 0..LENGTH / piece.len() {
            sending.send(&piece);
        }
    });
    assert_refused(&connection.answer(), OPENAI, 413, "body_too_large");
    sender.join().expect("nothing may stop the sender");
    connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    assert_eq!(connection.answer().status, 200);
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn who_waits_to_be_told_to_send_a_body_that_is_too_large_is_told_not_to() {
    let upstream = Upstream::new();
    let weir = Weir::before(&[upstream.url()]);
    let mut connection = Connection::to(&weir.data);
    let head = format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 40000000\r\n\r\n"
    );
    connection.send(head);
    assert_refused(&connection.answer(), OPENAI, 413, "body_too_large");
    assert!(connection.is_closed(), "the body may still come: the connection cannot go on");
}

#[test]
fn a_path_or_method_that_no_api_has_is_refused() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    for path in [
        "/",
        "/v1/audio/speech",
        "/v1/chat/completions/",
        "/v1/messages/batches",
        "/metrics",
        "/admin/v1/pools",
    ] {
        for bytes in [request("POST", path, &[], ASK.as_bytes()), request("GET", path, &[], b"")] {
            assert_refused(&refuse_then_serve(&mut connection, &bytes), path, 404, "unknown_path");
        }
    }
    for path in DIALECTS {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let answer = refuse_then_serve(&mut connection, &request(method, path, &[], b""));
            assert_refused(&answer, path, 405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some("POST"));
        }
    }
    let answer = refuse_then_serve(&mut connection, &request("POST", "/v1/models", &[], b"{}"));
    assert_refused(&answer, "/v1/models", 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET"));
    assert!(upstream.got().iter().all(|got| got.body == ASK.as_bytes()), "a refused call went up");
}
