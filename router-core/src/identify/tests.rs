//! What a body may look like, and that an edit changes the model name and nothing else.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn scan_text(text: &str) -> Result<Scan<'_>, Reason> {
    scan(text.as_bytes())
}

#[test]
fn finds_the_model_wherever_it_stands() {
    let body =
        r#"{ "messages":[{"model":"inner"}], "n":12345678901234567890, "model" : "gpt-4o","stream": true}"#;
    let found = scan_text(body).unwrap();
    assert_eq!(found.model, "gpt-4o");
    assert_eq!(body.get(found.model_span), Some("\"gpt-4o\""));
    assert!(found.stream);
}

#[test]
fn resolves_escapes_in_the_key_and_the_name() {
    let found = scan_text(r#"{"mod\u0065l":"gpt\u002d4o\/x"}"#).unwrap();
    assert_eq!(found.model, "gpt-4o/x");
    assert!(!found.stream);
}

#[test]
fn refuses_what_two_readers_could_read_differently() {
    let twice = Err(Reason::DuplicateKey { key: "model" });
    assert_eq!(scan_text(r#"{"model":"a","x":1,"model":"b"}"#), twice);
    assert_eq!(scan_text(r#"{"model":"a","mod\u0065l":"a"}"#), twice);
    assert_eq!(scan_text(r#"{"model":null,"model":"b"}"#), Err(Reason::DuplicateKey { key: "model" }));
    assert_eq!(
        scan_text(r#"{"stream":false,"model":"a","stream":true}"#),
        Err(Reason::DuplicateKey { key: "stream" })
    );
    // Go's parser, which some servers use, takes these for the same key.
    assert_eq!(scan_text(r#"{"model":"a","Model":"b"}"#), twice);
    assert_eq!(scan_text(r#"{"MODEL":"b","model":"a"}"#), twice);
    assert_eq!(scan_text(r#"{"Model":"a"}"#), Err(Reason::MissingModel));
}

/// The body as it asks for token counts; as it stands if it is not changed.
fn asking(text: &str) -> String {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let edit = scan(&body).unwrap().ask_usage;
    String::from_utf8(Rope::edited(&body, [edit, None]).0.concat()).unwrap()
}

#[test]
fn a_stream_is_made_to_ask_for_its_token_counts() {
    let cases = [
        (
            r#"{"model":"a","stream":true}"#,
            r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{ "stream" : true , "model":"a"}"#,
            r#"{ "stream" : true,"stream_options":{"include_usage":true} , "model":"a"}"#,
        ),
        (
            r#"{"stream_options": null,"stream":true,"model":"a"}"#,
            r#"{"stream_options": {"include_usage":true},"stream":true,"model":"a"}"#,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{ }}"#,
            r#"{"model":"a","stream":true,"stream_options":{"include_usage":true }}"#,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"x":{"include_usage":true}, "y":1.0}}"#,
            r#"{"model":"a","stream":true,"stream_options":{"include_usage":true,"x":{"include_usage":true}, "y":1.0}}"#,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"x":1,"include\u005fusage": false}}"#,
            r#"{"model":"a","stream":true,"stream_options":{"x":1,"include\u005fusage": true}}"#,
        ),
    ];
    for (body, asks) in cases {
        assert_eq!(asking(body), asks);
    }
    for unchanged in [
        r#"{"model":"a"}"#,
        r#"{"model":"a","stream":false,"stream_options":null}"#,
        r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"model":"a","stream":true,"stream_options":{"include_usage":"odd"}}"#,
        r#"{"model":"a","stream":true,"stream_options":"odd"}"#,
    ] {
        assert_eq!(asking(unchanged), unchanged);
    }
    let twice =
        r#"{"model":"a","stream":true,"stream_options":{"include_usage":true,"include_usage":false}}"#;
    assert_eq!(scan_text(twice), Err(Reason::DuplicateKey { key: "include_usage" }));
}

#[test]
fn two_edits_stand_in_either_order() {
    for text in [r#"{"model":"a","stream":true,"x":1}"#, r#"{"stream":true,"x":1,"model":"a"}"#] {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let found = scan(&body).unwrap();
        let model = Edit { span: found.model_span, with: Bytes::from_static(b"\"b\"") };
        let joined = Rope::edited(&body, [found.ask_usage, Some(model)]).0.concat();
        let value: serde_json::Value = serde_json::from_slice(&joined).unwrap();
        let expected = serde_json::json!({
            "model": "b", "stream": true, "x": 1, "stream_options": { "include_usage": true }
        });
        assert_eq!(value, expected);
    }
}

#[test]
fn refuses_what_is_not_an_object_with_a_model() {
    for text in
        ["", "null", "[\"a\",true]", "{\"model\":\"a\"} x", "{\"model\":\"a\",}", "\u{feff}{\"model\":\"a\"}"]
    {
        assert!(matches!(scan_text(text), Err(Reason::InvalidJson { .. })), "{text}");
    }
    assert_eq!(scan_text("{}"), Err(Reason::MissingModel));
    assert_eq!(scan_text(r#"{"model":null}"#), Err(Reason::ModelNotString));
    assert_eq!(scan_text(r#"{"model":7}"#), Err(Reason::ModelNotString));
    assert_eq!(scan(b"{\"model\":\"\xff\"}"), Err(Reason::InvalidUtf8));
    assert_eq!(scan_text(r#"{"model":"\ud800"}"#), Err(Reason::ModelNotString));
}

#[test]
fn tells_deep_nesting_from_many_brackets() {
    let nested =
        |levels: usize| format!(r#"{{"model":"m","x":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(scan_text(&nested(DEPTH_MAX - 1)).is_ok());
    assert_eq!(scan_text(&nested(DEPTH_MAX)), Err(Reason::TooDeep { limit: DEPTH_MAX }));
    let wide = format!(r#"{{"model":"m","x":[{}[]],"y":"{}"}}"#, "[],".repeat(500), r#"[{\"\\"#.repeat(500));
    assert!(scan_text(&wide).is_ok());
}

#[test]
fn an_unclosed_string_of_brackets_is_invalid_not_fatal() {
    let text = format!(r#"{{"model":"{}\"#, "[".repeat(200));
    assert!(matches!(scan_text(&text), Err(Reason::InvalidJson { .. })));
}

/// What `serde_json` makes of a body, values unread: the judge of what is valid.
fn judge(body: &[u8]) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_str(std::str::from_utf8(body).ok()?).ok()
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::from),
            prop::collection::btree_map(".*", inner, 0..8)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// JSON and what is nearly JSON: small pieces, put together blindly.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"",
        "\\",
        "\\\"",
        "\\u00e9",
        "\\u12",
        "\\x",
        "\"model\"",
        "\"a\"",
        "true",
        "false",
        "null",
        "nul",
        "0",
        "-",
        "-0",
        "01",
        "1.5",
        "1.",
        ".5",
        "1e9",
        "1e",
        "1E+2",
        "\t",
        "\u{1}",
        "\u{7f}",
        "é",
        "{\"model\":\"m\"",
        "\"x\":",
        "long plain text, longer than a word",
        "[[[[",
        "]]]]",
        "{\"a\":{}}",
        "[]",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12)
        .prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    /// `scan` and `serde_json` agree on what an object is, and on the model that it names.
    #[test]
    fn agrees_with_a_parser(body in nearly_json()) {
        let found = scan(&body);
        match judge(&body) {
            None => prop_assert!(found.is_err()),
            Some(object) => match found {
                Ok(found) => {
                    let model: String = serde_json::from_str(object["model"].get()).unwrap();
                    prop_assert_eq!(model, &*found.model);
                }
                Err(reason) => prop_assert!(
                    !matches!(reason, Reason::InvalidJson { .. } | Reason::InvalidUtf8),
                    "{:?} for {}", reason, String::from_utf8_lossy(&body)
                ),
            },
        }
    }

    /// The same for bodies that were valid until one byte of them changed.
    #[test]
    fn agrees_with_a_parser_on_a_changed_byte(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = serde_json::json!({ "model": "m", "rest": value }).to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let valid = judge(&body).is_some();
        let found = scan(&body);
        let refused = matches!(found, Err(Reason::InvalidJson { .. } | Reason::InvalidUtf8));
        prop_assert_eq!(refused, !valid, "{}", String::from_utf8_lossy(&body));
    }
}

proptest! {
    #[test]
    fn never_panics(body in prop::collection::vec(any::<u8>(), 0..512)) {
        drop(scan(&body));
    }

    #[test]
    fn an_edit_changes_the_model_and_nothing_else(mut value in json(), model in ".*", other in ".*") {
        if !value.is_object() {
            value = serde_json::json!({ "rest": value });
        }
        value["model"] = model.clone().into();
        let body = Bytes::from(value.to_string());
        let found = scan(&body).unwrap();
        prop_assert_eq!(&*found.model, model.as_str());
        let written = Bytes::from(serde_json::Value::from(other.clone()).to_string());
        let rope = Rope::replace(&body, found.model_span, written);
        let joined = rope.0.concat();
        prop_assert_eq!(joined.len(), rope.len());
        value["model"] = other.into();
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&joined).unwrap(), value);
    }
}

#[test]
fn the_most_that_a_caller_wants_is_read_and_never_twice() {
    let most = |text: &str| scan_text(text).unwrap().output_tokens_max;
    assert_eq!(most(r#"{"model":"m"}"#), None);
    for key in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
        assert_eq!(most(&format!(r#"{{"{key}": 128 ,"model":"m"}}"#)), Some(128));
        // What only an upstream can judge is no refusal of ours.
        for odd in ["null", "12.5", "-1", "\"9\"", "1e3", "99999999999", "{}"] {
            assert_eq!(most(&format!(r#"{{"model":"m","{key}":{odd}}}"#)), None, "{key} {odd}");
        }
        let twice = format!(r#"{{"model":"m","{key}":1,"{key}":2}}"#);
        assert!(matches!(scan_text(&twice), Err(Reason::DuplicateKey { key: refused }) if refused == key));
    }
    assert_eq!(most(r#"{"max_tokens":5,"model":"m","max_completion_tokens":7}"#), Some(7));
    assert_eq!(most(r#"{"model":"m","x":{"max_tokens":5}}"#), None, "only the call's own");
}
