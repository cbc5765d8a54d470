//! Both APIs, the pages beside them, and their errors.

use crate::wire::{CHAT, MESSAGES, ask, ask_stream, fast, get, post, read_until, send, start};
use loadtest::modelsim::Settings;
use loadtest::modelsim::cluster::Caps;
use loadtest::modelsim::engine::EngineSettings;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_chat_answer_is_the_same_whole_and_streamed() {
    let server = start(fast()).await;
    let whole = send(&server, &post(CHAT, &[], &ask("m"))).await.json();
    let mut streaming = ask_stream("m");
    streaming["stream_options"] = json!({"include_usage": true});
    let stream = send(&server, &post(CHAT, &[], &streaming)).await;
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(stream.text(), text);
    let tokens = u64::try_from(text.split_whitespace().count()).unwrap();
    let usage = json!({"prompt_tokens": 4, "completion_tokens": tokens, "total_tokens": 4 + tokens});
    assert_eq!(whole["usage"], usage);
    let events = stream.events();
    let last: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!((&last["usage"], &last["choices"]), (&usage, &json!([])));
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(stream.body().1, "the body ends as it should");
}

#[tokio::test]
async fn an_answer_has_as_many_tokens_as_the_caller_wishes() {
    let server = start(fast()).await;
    let by_header = send(&server, &post(CHAT, &[("x-sim-output-tokens", "17")], &ask("m"))).await.json();
    let by_name = send(&server, &post(CHAT, &[], &ask("m+tokens-17"))).await.json();
    assert_eq!(by_header["usage"]["completion_tokens"], 17);
    assert_eq!(by_header["choices"], by_name["choices"]);
    assert_eq!(by_name["model"], "m");
    for wish in ["0", "many", "100000000"] {
        assert_eq!(
            send(&server, &post(CHAT, &[("x-sim-output-tokens", wish)], &ask("m"))).await.status(),
            400
        );
    }
}

#[tokio::test]
async fn another_server_seed_gives_another_text() {
    let (one, other) = (start(fast()).await, start(Settings { seed: 2, ..fast() }).await);
    let request = post(CHAT, &[], &ask("m+tokens-40"));
    let text = |answer: Value| answer["choices"][0]["message"]["content"].to_string();
    assert_ne!(text(send(&one, &request).await.json()), text(send(&other, &request).await.json()));
}

#[tokio::test]
async fn messages_are_answered_whole_and_streamed() {
    let server = start(fast()).await;
    let whole = send(&server, &post(MESSAGES, &[], &ask("m"))).await.json();
    let stream = send(&server, &post(MESSAGES, &[], &ask_stream("m"))).await;
    let events: Vec<Value> =
        stream.events().iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(whole["content"][0]["text"], text);
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], whole["usage"]["input_tokens"]);
    let end = &events[events.len() - 2];
    assert_eq!(end["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
    assert_eq!(end["delta"]["stop_reason"], "end_turn");
}

#[tokio::test]
async fn errors_have_the_shape_of_the_api_that_was_called() {
    let server = start(Settings { models: vec!["known".into()], ..fast() }).await;
    let openai = send(&server, &post(CHAT, &[], &ask("unknown"))).await;
    assert_eq!((openai.status(), &openai.json()["error"]["code"]), (404, &json!("model_not_found")));
    let anthropic = send(&server, &post(MESSAGES, &[], &ask("unknown"))).await;
    assert_eq!((anthropic.status(), &anthropic.json()["error"]["type"]), (404, &json!("not_found_error")));
    assert_eq!(anthropic.json()["type"], "error");
    let mut no_limit = ask("known");
    no_limit.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(send(&server, &post(MESSAGES, &[], &no_limit)).await.status(), 400);
    assert_eq!(send(&server, &post(CHAT, &[], &no_limit)).await.status(), 200);
    assert_eq!(send(&server, &post(CHAT, &[], &json!("no object"))).await.status(), 400);
    assert_eq!(get(&server, "/nowhere").await.status(), 404);
    assert_eq!(get(&server, CHAT).await.status(), 405);
    assert_eq!(server.stats().accepted, 1);
}

#[tokio::test]
async fn models_are_listed_in_both_shapes() {
    let server = start(Settings { models: vec!["one".into(), "two".into()], ..fast() }).await;
    let openai = get(&server, "/v1/models").await.json();
    assert_eq!((&openai["object"], &openai["data"][1]["id"]), (&json!("list"), &json!("two")));
    let request = b"GET /v1/models HTTP/1.1\r\nhost: sim\r\nanthropic-version: 2023-06-01\r\n\r\n";
    let anthropic = send(&server, request).await.json();
    assert_eq!((&anthropic["data"][0]["type"], &anthropic["last_id"]), (&json!("model"), &json!("two")));
}

#[tokio::test]
async fn health_metrics_and_stats_tell_of_the_work() {
    let server = start(Settings { models: vec!["letters".into()], ..fast() }).await;
    assert_eq!(get(&server, "/health").await.status(), 200);
    send(&server, &post(CHAT, &[], &ask("letters+tokens-9"))).await;
    let metrics = get(&server, "/metrics").await.body().0;
    for line in [
        "vllm:num_requests_running{model_name=\"letters\"} 0",
        "vllm:num_requests_waiting{model_name=\"letters\"} 0",
        "vllm:kv_cache_usage_perc{model_name=\"letters\"} 0",
        "vllm:gpu_cache_usage_perc{model_name=\"letters\"} 0",
        "vllm:num_preemptions_total{model_name=\"letters\"} 0",
        "vllm:prompt_tokens_total{model_name=\"letters\"} 4",
        "vllm:generation_tokens_total{model_name=\"letters\"} 9",
        "vllm:request_success_total{finished_reason=\"stop\",model_name=\"letters\"} 1",
        "vllm:time_to_first_token_seconds_count{model_name=\"letters\"} 1",
        "vllm:e2e_request_latency_seconds_bucket{le=\"+Inf\",model_name=\"letters\"} 1",
        "modelsim_requests_cancelled_total{model_name=\"letters\"} 0",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line} is not in {metrics}");
    }
    let stats = get(&server, "/sim/stats").await.json();
    assert_eq!(
        (&stats["accepted"], &stats["finished"], &stats["running"]),
        (&json!(1), &json!(1), &json!(0))
    );
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = start(fast()).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    for _ in 0..3 {
        stream.write_all(&post(CHAT, &[], &ask_stream("m+tokens-3"))).await.unwrap();
        read_until(&mut stream, "0\r\n\r\n").await;
    }
    assert_eq!(server.stats().finished, 3);
}

#[tokio::test]
async fn large_bodies_are_read_and_too_large_ones_refused() {
    let server = start(fast()).await;
    let mut body = ask("m+tokens-2");
    body["messages"][0]["content"] = json!("x".repeat(4 << 20));
    let answer = send(&server, &post(CHAT, &[], &body)).await;
    assert_eq!(answer.json()["usage"]["prompt_tokens"], 1 << 20);

    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n\r\n", 65 << 20);
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    // The server may close while the rest is on its way.
    let upload = tokio::spawn(async move { write.write_all(&vec![b' '; 65 << 20]).await.is_ok() });
    let mut answer = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut read, &mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    upload.abort();
}

#[tokio::test]
async fn above_its_cap_the_server_says_when_to_come_back() {
    let server = start(Settings { caps: Caps { inflight: Some(0), waiting: None }, ..fast() }).await;
    let answer = send(&server, &post(CHAT, &[], &ask("m"))).await;
    assert_eq!((answer.status(), answer.header("retry-after")), (429, Some("1")));
    let stats = server.stats();
    assert_eq!((stats.refused, stats.accepted, stats.cancelled), (1, 0, 0));
}

#[tokio::test]
async fn settings_without_sense_are_refused() {
    let broken = [
        Settings { speed: 0.0, ..Settings::default() },
        Settings { replicas: 0, ..Settings::default() },
        Settings { engine: EngineSettings { slots: 0, ..EngineSettings::A }, ..Settings::default() },
    ];
    for settings in broken {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(loadtest::modelsim::serve(listener, settings).is_err());
    }
}
