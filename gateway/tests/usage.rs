//! `usage: always`: streams are asked for their token counts, which Weir keeps from callers who did not ask; every
//! other byte is as it came. Elsewhere nobody is asked and nothing is kept.

mod support;

use std::io::Write;
use std::time::Duration;

use loadtest::modelsim;
use support::client::{Answer, post};
use support::config::{ASK, one_pool};
use support::events::is_error_event;
use support::pause;
use support::refusal::{ANTHROPIC, OPENAI};
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, chunk};
use support::weir::Weir;

const STREAM: &str = r#"{"model":"m","stream":true,"messages":[], "seed":12345678901234567890}"#;
const ASKING: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[], "seed":12345678901234567890}"#;

const BEFORE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\r\n\r\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const COUNTS: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n";
const AFTER: &str = "data: [DONE]\n\n";

/// An upstream that sends the counts to everybody, in pieces of this size.
fn upstream(piece: usize) -> Upstream {
    Upstream::with(move |_, socket| {
        socket.write_all(SSE_HEAD).unwrap_or_default();
        let stream = [BEFORE, COUNTS, AFTER].concat();
        for part in stream.as_bytes().chunks(piece) {
            socket.write_all(&chunk(part)).unwrap_or_default();
            if piece < 100 {
                pause(Duration::from_millis(1));
            }
        }
        socket.write_all(LAST_CHUNK).is_ok()
    })
}

fn weir(upstream: &Upstream, usage: &str) -> Weir {
    Weir::configured(&one_pool(&[upstream.url()], &format!(", usage: {usage}")))
}

fn ask(weir: &Weir, path: &str, body: &str) -> Answer {
    post(&weir.data, path, &[("x-request-id", "counted")], body)
}

#[test]
fn a_stream_is_asked_for_its_counts_and_its_caller_does_not_see_them() {
    for piece in [1, 7, 50, 100_000] {
        let upstream = upstream(piece);
        let weir = weir(&upstream, "always");
        for path in [OPENAI, "/v1/completions"] {
            let answer = ask(&weir, path, STREAM);
            assert!(answer.whole && answer.text() == [BEFORE, AFTER].concat(), "{}", answer.text());
            assert_eq!(String::from_utf8_lossy(&upstream.got().pop().unwrap().body), ASKING);
        }
        let line = weir.call_line("counted");
        assert_eq!((&line["prompt_tokens"], &line["completion_tokens"]), (&7.into(), &2.into()));
        assert_eq!((&line["end"], &line["finish"]), (&"complete".into(), &"stop".into()));
        assert!((weir.metric_sum("weir_tokens_total") - 18.0).abs() < 0.5);
    }
}

#[test]
fn of_a_stream_that_is_cut_within_an_event_its_caller_reads_only_the_error() {
    const HALF: &str = "data: {\"choices\":[{\"index\":0,\"de";
    let unended = COUNTS.strip_suffix("\n").unwrap();
    let cut = unended.split_at(40).0;
    for part in [HALF, cut, unended] {
        let upstream = Upstream::with(move |_, socket| {
            let bytes = [SSE_HEAD, &chunk(BEFORE.as_bytes()), &chunk(part.as_bytes())].concat();
            socket.write_all(&bytes).unwrap_or_default();
            false
        });
        let weir = weir(&upstream, "always");
        let answer = ask(&weir, OPENAI, STREAM);
        let text = answer.text();
        let rest = text.strip_prefix(BEFORE).unwrap();
        assert!(answer.whole && is_error_event(OPENAI, rest.trim_start()), "{text}");
    }
}

#[test]
fn who_asks_sees_them() {
    let upstream = upstream(100_000);
    let weir = weir(&upstream, "always");
    let answer = ask(&weir, OPENAI, ASKING);
    assert_eq!(answer.text(), [BEFORE, COUNTS, AFTER].concat());
    assert_eq!(upstream.got()[0].body, ASKING.as_bytes());
}

#[test]
fn nobody_is_asked_where_nothing_says_so() {
    for usage in ["auto", "never"] {
        let upstream = upstream(100_000);
        let weir = weir(&upstream, usage);
        let answer = ask(&weir, OPENAI, STREAM);
        assert_eq!(answer.text(), [BEFORE, COUNTS, AFTER].concat());
        assert_eq!(upstream.got()[0].body, STREAM.as_bytes());
    }
}

#[test]
fn what_is_no_such_stream_is_left_alone() {
    let upstream = upstream(100_000);
    let weir = weir(&upstream, "always");
    for (path, body) in [(OPENAI, ASK), (ANTHROPIC, STREAM), ("/v1/responses", STREAM)] {
        let answer = ask(&weir, path, body);
        assert_eq!(answer.text().matches("prompt_tokens").count(), 1, "{path}");
        assert_eq!(upstream.got().pop().unwrap().body, body.as_bytes());
    }
}

#[test]
fn the_model_is_renamed_at_the_same_time() {
    let upstream = upstream(100_000);
    let config = format!(
        "pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}], usage: always }} }}\nroutes: {{ m: {{ targets: [{{ pool: p, model: other }}] }} }}\n",
        upstream.url()
    );
    let weir = Weir::configured(&config);
    assert_eq!(ask(&weir, OPENAI, STREAM).text(), [BEFORE, AFTER].concat());
    let got = String::from_utf8(upstream.got().remove(0).body).unwrap();
    assert_eq!(got, ASKING.replace("\"model\":\"m\"", "\"model\":\"other\""));
}

#[test]
fn an_announced_length_does_not_outlive_what_is_taken_out() {
    let upstream = Upstream::with(|_, socket| {
        let stream = [BEFORE, COUNTS, AFTER].concat();
        let head = [("content-type", "text/event-stream")];
        socket.write_all(&support::upstream::answer("200 OK", &head, stream.as_bytes())).is_ok()
    });
    let weir = weir(&upstream, "always");
    let answer = ask(&weir, OPENAI, STREAM);
    assert!(answer.whole && answer.header("content-length").is_none());
    assert_eq!(answer.text(), [BEFORE, AFTER].concat());
}

/// The simulated model server sends its counts only when asked.
#[test]
fn a_model_server_that_counts_when_asked_is_counted() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        modelsim::serve(listener, modelsim::Settings::default()).unwrap()
    });
    let config = one_pool(&[server.url()], ", usage: always");
    let weir = Weir::configured(&config);
    let body = r#"{"model":"m","stream":true,"max_tokens":5,"messages":[{"role":"user","content":"Hi."}]}"#;
    let answer = ask(&weir, OPENAI, body);
    assert!(answer.whole && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert!(!answer.text().contains("prompt_tokens"), "{}", answer.text());
    assert_eq!(weir.call_line("counted")["completion_tokens"], 5);
}
