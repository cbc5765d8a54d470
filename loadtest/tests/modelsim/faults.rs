//! Every fault, asked for by header, by model name and for the whole server.

use crate::wire::{
    Answer, CHAT, MESSAGES, ask, ask_stream, begin, fast, frozen, get, post, send, start, until,
};
use loadtest::modelsim::{Fault, Handle, Settings};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

async fn with(server: &Handle, fault: &str, body: &Value) -> Answer {
    send(server, &post(CHAT, &[("x-sim-fault", fault)], body)).await
}

fn three() -> Value {
    ask_stream("m+tokens-3")
}

fn broken(events: &[String]) -> Vec<usize> {
    let bad = |event: &String| event != "[DONE]" && serde_json::from_str::<Value>(event).is_err();
    (1..).zip(events).filter(|(_, event)| bad(event)).map(|(nth, _)| nth).collect()
}

#[tokio::test]
async fn refuse_resets_the_connection_before_any_byte() {
    let server = start(fast()).await;
    let answer = with(&server, "refuse", &three()).await;
    assert!(answer.reset && answer.raw.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn garbage_is_not_http() {
    let server = start(fast()).await;
    let answer = with(&server, "garbage", &three()).await;
    assert!(!answer.raw.is_empty() && !answer.raw.starts_with("HTTP"), "{answer:?}");
}

#[tokio::test]
async fn hang_says_nothing_until_the_client_goes() {
    let server = start(fast()).await;
    let client = begin(&server, &post(CHAT, &[("x-sim-fault", "hang")], &three()), "").await;
    let stats = until(&server, |stats| stats.accepted == 1).await;
    assert_eq!((stats.running, stats.waiting, stats.cancelled), (0, 0, 0));
    let mut nothing = [0; 1];
    assert!(client.try_read(&mut nothing).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    drop(client);
    until(&server, |stats| stats.cancelled == 1).await;
}

#[tokio::test]
async fn hang_after_stops_between_tokens_and_stays_connected() {
    let server = start(fast()).await;
    let request =
        post(CHAT, &[("x-sim-fault", "hang-after=2"), ("x-sim-output-tokens", "3")], &ask_stream("m"));
    let client = begin(&server, &request, "data: ").await;
    until(&server, |stats| stats.output_tokens == 3).await;
    assert_eq!((server.stats().finished, server.stats().cancelled), (0, 0));
    drop(client);
    until(&server, |stats| stats.cancelled == 1).await;
}

#[tokio::test]
async fn cut_ends_the_connection_inside_the_body() {
    let server = start(fast()).await;
    for (n, words) in [(0, 0), (2, 2)] {
        let answer = with(&server, &format!("cut={n}"), &three()).await;
        assert_eq!((answer.text().split_whitespace().count(), answer.body().1), (words, false), "{answer:?}");
    }
    let whole = with(&server, "cut=1", &ask("m+tokens-3")).await;
    assert!(whole.status() == 200 && !whole.body().1 && !whole.body().0.is_empty(), "{whole:?}");
    assert_eq!(server.stats().faulted, 3);
}

#[tokio::test]
async fn fin_ends_the_body_as_if_all_had_been_said() {
    let server = start(fast()).await;
    let answer = with(&server, "fin=2", &three()).await;
    assert_eq!((answer.events().len(), answer.body().1), (1 + 2, true), "{answer:?}");
    let whole = with(&server, "fin=1", &ask("m+tokens-3")).await;
    assert!(whole.body().1 && serde_json::from_str::<Value>(&whole.body().0).is_err(), "{whole:?}");
}

#[tokio::test]
async fn malformed_breaks_one_event_and_leaves_the_others() {
    let server = start(fast()).await;
    let answer = with(&server, "malformed=3", &three()).await;
    assert_eq!((broken(&answer.events()), answer.events().len()), (vec![3], 6), "{answer:?}");
    let messages = post(MESSAGES, &[("x-sim-fault", "malformed=4")], &three());
    assert_eq!(broken(&send(&server, &messages).await.events()), [4]);
    let whole = with(&server, "malformed=1", &ask("m+tokens-3")).await;
    assert!(whole.body().1 && serde_json::from_str::<Value>(&whole.body().0).is_err(), "{whole:?}");
}

#[tokio::test]
async fn status_answers_with_that_error_and_its_retry_after() {
    let server = start(fast()).await;
    let answer = with(&server, "status=429;retry-after=2", &three()).await;
    assert_eq!((answer.status(), answer.header("retry-after")), (429, Some("2")));
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    for code in [500, 503, 529] {
        let answer = with(&server, &format!("status={code}"), &three()).await;
        assert_eq!((answer.status(), answer.header("retry-after")), (code, None));
    }
    let overloaded = send(&server, &post(MESSAGES, &[("x-sim-fault", "status=529")], &three())).await;
    assert_eq!(overloaded.json()["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn drip_cuts_events_between_writes_and_loses_nothing() {
    let server = start(fast()).await;
    let plain = send(&server, &post(CHAT, &[], &three())).await;
    let dripped = with(&server, "drip=4", &three()).await;
    assert_eq!(dripped.text(), plain.text());
    let events = plain.events().len();
    assert_eq!(dripped.raw.matches("\r\n\n\r\n").count(), events, "the last line end comes alone");
    let whole = with(&server, "drip=1", &ask("m+tokens-3")).await;
    assert_eq!(whole.json()["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn delay_only_passes_time() {
    let server = start(fast()).await;
    assert_eq!(with(&server, "delay=5", &three()).await.text().split_whitespace().count(), 3);
}

#[tokio::test]
async fn an_unknown_fault_is_refused_with_the_known_ones() {
    let server = start(fast()).await;
    for answer in [
        with(&server, "explode", &three()).await,
        send(&server, &post(CHAT, &[], &ask("m+fault-explode"))).await,
    ] {
        let message = answer.json()["error"]["message"].to_string();
        assert!(answer.status() == 400 && message.contains("hang-after=N"), "{message}");
    }
}

#[tokio::test]
async fn a_fault_in_the_model_name_is_not_part_of_the_name() {
    let server = start(Settings { models: vec!["m".into()], ..fast() }).await;
    let answer = send(&server, &post(CHAT, &[], &ask_stream("m+tokens-3+fault-fin=1"))).await;
    let events = answer.events();
    let first: Value = serde_json::from_str(&events[0]).unwrap();
    assert_eq!((events.len(), &first["model"]), (2, &json!("m")));
}

#[tokio::test]
async fn a_server_can_be_told_to_misbehave_and_to_stop_it() {
    let settings = Settings { fault: Some("status=503".parse().unwrap()), ..fast() };
    let server = start(settings).await;
    assert_eq!(get(&server, "/health").await.status(), 503);
    assert_eq!(send(&server, &post(CHAT, &[], &three())).await.status(), 503);
    assert_eq!(
        with(&server, "status=500", &three()).await.status(),
        500,
        "the request's own fault goes first"
    );
    server.set_fault(Some(Fault::Refuse));
    assert!(send(&server, &post(CHAT, &[], &three())).await.reset);
    assert_eq!(get(&server, "/sim/stats").await.status(), 200, "the observer is spared");
    let put = |body: &str| {
        format!("PUT /sim/fault HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    assert_eq!(send(&server, put("status=502").as_bytes()).await.status(), 204);
    assert_eq!(get(&server, "/health").await.status(), 502);
    assert_eq!(send(&server, put("explode").as_bytes()).await.status(), 400);
    assert_eq!(send(&server, put("").as_bytes()).await.status(), 204);
    assert_eq!(get(&server, "/health").await.status(), 200);
}

#[tokio::test]
async fn lost_replicas_cut_their_streams_and_take_no_more_until_they_are_back() {
    let server = start(Settings { replicas: 2, ..frozen() }).await;
    let put = |body: &str| {
        format!("PUT /sim/lost HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let request = post(CHAT, &[], &three());
    let open = || begin(&server, &request, "");
    let (mut first, _second) = (open().await, open().await);
    until(&server, |stats| stats.running + stats.waiting == 2).await;
    assert_eq!(send(&server, put("1").as_bytes()).await.status(), 204);
    let stats = until(&server, |stats| stats.faulted == 1).await;
    assert_eq!((stats.running + stats.waiting, stats.cancelled), (1, 0));
    let mut rest = Vec::new();
    drop(first.read_to_end(&mut rest).await);
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
    for nonsense in ["2", "-1", "both", ""] {
        assert_eq!(send(&server, put(nonsense).as_bytes()).await.status(), 400, "{nonsense:?}");
    }
    assert_eq!(send(&server, put("0").as_bytes()).await.status(), 204);
    let _third = open().await;
    until(&server, |stats| stats.running + stats.waiting == 2).await;
}
