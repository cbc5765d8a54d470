//! The list of models: the routes' names, and behind a route `*` what its upstreams list, in the caller's API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::Write;

use support::client::{Answer, request, send};
use support::config::one_pool;
use support::refusal::{ANTHROPIC, OPENAI, assert_refused};
use support::socket::dead_address;
use support::upstream::{Upstream, answer};
use support::weir::Weir;

const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

fn list(weir: &Weir, headers: &[(&str, &str)]) -> Answer {
    send(&weir.data, request("GET", "/v1/models", headers, b""))
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json")),
        "{}",
        answer.text()
    );
    let list = answer.json();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

/// An upstream that lists these models to everyone whose key is not `bad`.
fn listing(models: &[&str]) -> Upstream {
    let models: Vec<_> =
        models.iter().map(|id| serde_json::json!({ "id": id, "object": "model", "theirs": 1.5 })).collect();
    let body = serde_json::json!({ "object": "list", "data": models }).to_string();
    Upstream::with(move |got, socket| {
        let refused = got.header("authorization") == Some("Bearer bad");
        let (status, body) = if refused {
            ("401 Unauthorized", r#"{"error":{"code":"no"}}"#)
        } else {
            ("200 OK", body.as_str())
        };
        socket.write_all(&answer(status, &[("content-type", "application/json")], body.as_bytes())).is_ok()
    })
}

/// Two named routes and one for all else, over these upstreams.
fn config(urls: &[String]) -> String {
    let mut text = "pools:\n".to_owned();
    let mut targets = String::new();
    for (number, url) in urls.iter().enumerate() {
        text += &format!("  p{number}: {{ endpoints: [{{ url: \"{url}\" }}] }}\n");
        targets += &format!(
            "{{ pool: p{number}, weight: {} }},",
            1.0 / f64::from(u32::try_from(urls.len()).unwrap())
        );
    }
    text + &format!(
        "  narrow: {{ endpoints: [{{ url: \"{}\" }}], dialects: [openai] }}\nroutes:\n  letters: {{ targets: [{{ pool: p0 }}] }}\n  \
         drafts: {{ targets: [{{ pool: narrow }}] }}\n  \"*\": {{ targets: [{targets}] }}\n",
        urls[0]
    )
}

#[test]
fn the_routes_are_listed_in_the_callers_shape() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let openai = list(&weir, &[]).json();
    assert_eq!(openai["object"], "list");
    assert_eq!(
        openai["data"],
        serde_json::json!([{ "id": "m", "object": "model", "created": 0, "owned_by": "weir" }])
    );
    let anthropic = list(&weir, &[VERSION]).json();
    let only = &anthropic["data"][0];
    assert_eq!(
        (&only["type"], &only["id"], &only["display_name"]),
        (&"model".into(), &"m".into(), &"m".into())
    );
    assert!(only["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        (&anthropic["first_id"], &anthropic["last_id"], &anthropic["has_more"]),
        (&"m".into(), &"m".into(), &false.into())
    );
    assert_eq!(upstream.connections(), 0, "without a route `*` there is nobody to ask");
}

#[test]
fn a_caller_sees_only_what_its_api_can_reach() {
    let upstream = listing(&[]);
    let weir = Weir::configured(&config(&[upstream.url()]));
    assert_eq!(ids(&list(&weir, &[])), ["letters", "drafts"]);
    assert_eq!(ids(&list(&weir, &[VERSION])), ["letters"]);
}

#[test]
fn what_upstreams_list_is_joined_and_kept_for_a_while() {
    let upstreams = [listing(&["a", "b"]), listing(&["b", "c"])];
    let weir = Weir::configured(&config(&upstreams.each_ref().map(Upstream::url)));
    let first = list(&weir, &[]);
    assert_eq!(ids(&first), ["letters", "drafts", "a", "b", "c"]);
    assert_eq!(first.json()["data"][2]["theirs"], 1.5, "a model's own fields stay");
    assert_eq!(ids(&list(&weir, &[])), ids(&first));
    for upstream in &upstreams {
        let got = upstream.got();
        assert_eq!(got.len(), 1, "asked once");
        assert_eq!(
            (got[0].line.as_str(), got[0].header("content-length")),
            ("GET /v1/models HTTP/1.1", None)
        );
    }
    // The other API has a list of its own.
    list(&weir, &[VERSION]);
    assert_eq!(upstreams.each_ref().map(|upstream| upstream.got().len()), [2, 2]);
    assert_eq!(upstreams[0].got()[1].header(VERSION.0), Some(VERSION.1));
}

#[test]
fn another_callers_list_is_asked_for_anew() {
    let upstream = listing(&["a"]);
    let weir = Weir::before(&[upstream.url()]);
    let mut asked = 0;
    for name in ["authorization", "x-api-key", "api-key", "cookie"] {
        for (key, is_new) in [("one", true), ("two", true), ("two", false), ("one", true)] {
            assert_eq!(ids(&list(&weir, &[(name, key)])), ["a"]);
            asked += usize::from(is_new);
            let got = upstream.got();
            assert_eq!((got.len(), got[asked - 1].header(name)), (asked, Some(key)));
        }
    }
}

#[test]
fn a_refusal_of_the_only_upstream_is_passed_on_and_not_kept() {
    let upstream = listing(&["a"]);
    let weir = Weir::before(&[upstream.url()]);
    for _ in 0..2 {
        let refused = list(&weir, &[("authorization", "Bearer bad")]);
        assert_eq!((refused.status, refused.text().as_str()), (401, r#"{"error":{"code":"no"}}"#));
    }
    assert_eq!(upstream.got().len(), 2);
    assert_eq!(ids(&list(&weir, &[("authorization", "Bearer good")])), ["a"]);
}

#[test]
fn an_upstream_that_is_down_hides_only_its_own_models() {
    let dead = format!("http://{}", dead_address());
    let alive = listing(&["a"]);
    let weir = Weir::configured(&config(&[dead.clone(), alive.url()]));
    assert_eq!(ids(&list(&weir, &[])), ["letters", "drafts", "a"]);

    let weir = Weir::configured(&config(std::slice::from_ref(&dead)));
    assert_eq!(ids(&list(&weir, &[])), ["letters", "drafts"]);

    let weir = Weir::before(&[dead]);
    assert_refused(&list(&weir, &[]), OPENAI, 502, "connect_failed");
    assert_refused(&list(&weir, &[VERSION]), ANTHROPIC, 502, "connect_failed");
}

#[test]
fn a_model_that_is_listed_can_be_asked_for() {
    let upstream = listing(&["a"]);
    let weir = Weir::configured(&config(&[upstream.url()]));
    for id in ids(&list(&weir, &[])) {
        let body = format!(r#"{{"model":"{id}"}}"#);
        assert_eq!(support::client::chat(&weir.data, &body).status, 200, "{id}");
        assert_eq!(upstream.got().last().unwrap().body, body.as_bytes());
    }
}

#[test]
fn asking_upstreams_for_models_is_within_the_quota() {
    let upstream = listing(&["theirs"]);
    let pools = format!("pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}] }} }}\n", upstream.url());
    let weir = Weir::configured(
        &(pools
            + "routes: { \"*\": { targets: [{ pool: p }] } }\n\
               segments: { s: { quota: { requests_per_second: 0.001, burst: 2 } } }\n"),
    );
    let one = |id: &str| send(&weir.data, request("GET", &format!("/v1/models/{id}"), &[], b"")).status;
    assert_eq!((one("a"), one("b"), one("c")), (200, 200, 429));
    assert_eq!(list(&weir, &[]).status, 429, "a list too, where an upstream has to be asked");
}
