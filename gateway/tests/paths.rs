//! Every path of the dialects goes to the route that its body or its path names.

mod support;

use std::io::Write;

use support::client::{Connection, get, post, request};
use support::config::one_pool;
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, answer, chunk};
use support::weir::Weir;

/// One route `m` whose target is called `real`.
fn config(upstream: &Upstream) -> String {
    format!(
        "pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}] }} }}\nroutes: {{ m: {{ targets: [{{ pool: p, model: real }}] }} }}\n",
        upstream.url()
    )
}

#[test]
fn every_operation_goes_on_with_the_targets_model() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&config(&upstream));
    let operations = [
        ("/v1/chat/completions", "chat_completions"),
        ("/v1/completions", "completions"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/responses", "responses"),
        ("/v1/messages", "messages"),
        ("/v1/messages/count_tokens", "count_tokens"),
    ];
    for (path, operation) in operations {
        let answer = post(&weir.data, path, &[("x-request-id", operation)], r#"{"input":"x","model":"m"}"#);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let got = upstream.got().pop().unwrap();
        assert_eq!(got.line, format!("POST {path} HTTP/1.1"));
        assert_eq!(got.body, br#"{"input":"x","model":"real"}"#, "{path}");
        assert_eq!(weir.call_line(operation)["operation"], operation);
        assert_eq!(get(&weir.data, path).status, 405, "{path}");
    }
}

/// The event stream of a response, up to its last event.
fn response_events() -> Vec<u8> {
    let created = b"event: response.created\ndata: {\"type\":\"response.created\"}\n\n";
    let delta = b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Dear\"}\n\n";
    [SSE_HEAD, &chunk(created), &chunk(delta)].concat()
}

#[test]
fn a_response_stream_is_whole_with_its_last_event() {
    let last = b"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":2}}}\n\n";
    for (end, ending) in [(chunk(last), "complete"), (Vec::new(), "upstream_cut")] {
        let upstream = Upstream::with(move |_, socket| {
            socket.write_all(&[response_events(), end.clone(), LAST_CHUNK.to_vec()].concat()).is_ok()
        });
        let weir = Weir::configured(&config(&upstream));
        let mut connection = Connection::to(&weir.data);
        let headers = [("x-request-id", "stream")];
        connection.send(request("POST", "/v1/responses", &headers, br#"{"model":"m","stream":true}"#));
        let answer = connection.answer();
        assert_eq!(
            answer.text().contains("upstream_disconnected"),
            ending == "upstream_cut",
            "{}",
            answer.text()
        );
        let line = weir.call_line("stream");
        assert_eq!(line["end"], ending, "{line}");
        assert!(line["first_token_ms"].is_u64(), "{line}");
        if ending == "complete" {
            assert_eq!((&line["finish"], &line["completion_tokens"]), (&"stop".into(), &2.into()), "{line}");
        }
    }
}

#[test]
fn a_model_is_described_by_weir_or_by_the_upstream_that_knows_it() {
    let upstream = Upstream::with(|got, socket| {
        let known = got.line == "GET /v1/models/org%2Fother HTTP/1.1";
        let (status, body) =
            if known { ("200 OK", "{\"id\":\"org/other\"}") } else { ("404 Not Found", "{}") };
        socket.write_all(&answer(status, &[("content-type", "application/json")], body.as_bytes())).is_ok()
    });
    let named = Weir::configured(&config(&upstream));
    let model = get(&named.data, "/v1/models/m");
    assert_eq!((model.status, &model.json()["id"]), (200, &"m".into()));
    let unknown = get(&named.data, "/v1/models/org%2Fother");
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &"model_not_found".into()));
    assert!(unknown.text().contains("org/other") && upstream.got().is_empty(), "{}", unknown.text());

    let any = Weir::before(&[upstream.url()]);
    let passed_on = get(&any.data, "/v1/models/org%2Fother");
    assert_eq!((passed_on.status, passed_on.text().as_str()), (200, "{\"id\":\"org/other\"}"));
    assert_eq!(get(&any.data, "/v1/models/nobody").status, 404);
}

#[test]
fn a_route_of_a_pool_is_named_in_anthropics_shape_too() {
    let weir = Weir::configured(&one_pool(&["http://127.0.0.1:1".into()], ""));
    let bytes = request("GET", "/v1/models/m", &[("anthropic-version", "2023-06-01")], b"");
    let model = support::client::send(&weir.data, bytes).json();
    assert_eq!((&model["type"], &model["display_name"]), (&"model".into(), &"m".into()));
}
