use super::*;

#[test]
fn openai_callers_get_the_fields_their_sdk_reads() {
    let reason = Reason::UnknownModel { model: "gpt-\"9".into(), known: vec!["a".into(), "b".into()] };
    let refusal = reason.refuse(Dialect::OpenAi, "r1");
    assert_eq!(refusal.status, 404);
    let body: serde_json::Value = serde_json::from_str(&refusal.body).unwrap();
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert_eq!(body["error"]["code"], "model_not_found");
    assert_eq!(body["error"]["param"], "model");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("gpt-\"9") && message.contains("a, b"), "{message}");
}

#[test]
fn anthropic_callers_get_their_envelope_with_the_request_id() {
    let refusal = Reason::ConnectFailed.refuse(Dialect::Anthropic, "r2");
    assert_eq!(refusal.status, 502);
    let body: serde_json::Value = serde_json::from_str(&refusal.body).unwrap();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "api_error");
    assert_eq!(body["request_id"], "r2");
}

#[test]
fn a_shed_call_is_told_so_in_every_dialect() {
    let wait = Duration::from_millis(1900);
    let expected = [
        ("deadline_unmeetable", "deadline"),
        ("deadline_unmeetable", "deadline"),
        ("deadline_unmeetable", "deadline"),
        ("queue_full", "queue-full"),
        ("displaced", "displaced"),
        ("queue_full", "queue-full"),
    ];
    for (why, (code, weir_reason)) in Shed::ALL.into_iter().zip(expected) {
        let reason = Reason::Shed { why, retry_after: wait };
        assert_eq!((reason.code(), reason.source()), (code, Source::Internal));
        assert!(!reason.ends_connection());
        let refuse = |dialect| {
            let refusal = reason.refuse(dialect, "r3");
            assert_eq!((refusal.weir_reason, refusal.retry_after), (Some(weir_reason), Some(wait)));
            let body: serde_json::Value = serde_json::from_str(&refusal.body).unwrap();
            (refusal.status, body)
        };
        let (status, body) = refuse(Dialect::OpenAi);
        let error = &body["error"];
        assert_eq!((status, &error["type"]), (429, &"overloaded_error".into()));
        assert_eq!((&error["code"], &error["param"]), (&code.into(), &serde_json::Value::Null));
        let (status, body) = refuse(Dialect::Anthropic);
        assert_eq!((status, &body["error"]["type"]), (529, &"overloaded_error".into()));
        assert_eq!(body["request_id"], "r3");
        let (status, body) = refuse(Dialect::Passthrough);
        assert_eq!((status, body.as_object().unwrap().len()), (429, 1));
        let told = body["detail"].as_str().unwrap();
        assert_eq!(told, error["message"].as_str().unwrap());
        // Words on which a client gives up for good.
        let stops = ["billing", "credit balance", "quota", "will reset"];
        assert!(stops.iter().all(|word| !told.contains(word)), "{told}");
    }
}

#[test]
fn a_call_that_nothing_can_serve_is_not_told_that_there_are_too_many() {
    let wait = Duration::from_secs(7);
    let reason = Reason::Shed { why: Shed::NoEndpoint, retry_after: wait };
    for dialect in Dialect::ALL {
        let refusal = reason.refuse(dialect, "r5");
        assert_eq!((refusal.status, refusal.weir_reason), (503, Some("no-endpoint")));
        assert_eq!(refusal.retry_after, Some(wait), "{refusal:?}");
    }
    let body: serde_json::Value = serde_json::from_str(&reason.refuse(Dialect::OpenAi, "r5").body).unwrap();
    assert_eq!(
        (&body["error"]["type"], &body["error"]["code"]),
        (&"server_error".into(), &"no_endpoint".into())
    );
}

#[test]
fn a_header_that_is_wrong_is_named_in_every_dialect() {
    let reason = Reason::InvalidHeader { header: "x-weir-deadline-ms", wanted: "a number" };
    for dialect in Dialect::ALL {
        let refusal = reason.refuse(dialect, "r4");
        assert_eq!((refusal.status, refusal.weir_reason, refusal.retry_after), (400, None, None));
        assert!(refusal.body.contains("The header `x-weir-deadline-ms` must be a number."), "{refusal:?}");
    }
    assert!(reason.refuse(Dialect::OpenAi, "r4").body.contains(r#""param":"x-weir-deadline-ms""#));
}

#[test]
fn a_long_model_name_is_not_repeated_whole() {
    let reason = Reason::UnknownModel { model: "x".repeat(100_000), known: vec![] };
    assert!(reason.refuse(Dialect::OpenAi, "r").body.len() < 1_000);
}

#[test]
fn who_is_not_known_is_told_why_in_every_dialect() {
    for why in Unidentified::ALL {
        let reason = Reason::InvalidKey { why };
        assert_eq!((reason.code(), reason.source()), ("invalid_api_key", Source::Downstream));
        for dialect in Dialect::ALL {
            let refusal = reason.refuse(dialect, "r6");
            assert_eq!((refusal.status, refusal.challenge, refusal.weir_reason), (401, Some("Bearer"), None));
            let body: serde_json::Value = serde_json::from_str(&refusal.body).unwrap();
            let (kind, message) = match dialect {
                Dialect::OpenAi => ("invalid_request_error", &body["error"]["message"]),
                Dialect::Anthropic => ("authentication_error", &body["error"]["message"]),
                Dialect::Passthrough => ("", &body["detail"]),
            };
            assert_eq!(message, why.message());
            assert_eq!(body["error"]["type"].as_str().unwrap_or_default(), kind);
            // SDKs try 429 again three times and more, and 401 never: a retry cannot help here.
            assert_eq!(refusal.retry_after.is_some(), why == Unidentified::TooMany);
        }
    }
}

#[test]
fn what_may_not_be_used_is_named() {
    let reason = Reason::RouteForbidden { model: Some("gpt-4".into()) };
    assert_eq!((reason.code(), reason.source()), ("route_forbidden", Source::Downstream));
    for dialect in Dialect::ALL {
        let refusal = reason.refuse(dialect, "r7");
        assert_eq!((refusal.status, refusal.challenge), (403, None));
        assert!(refusal.body.contains("`gpt-4`"), "{refusal:?}");
    }
    let body: serde_json::Value = serde_json::from_str(&reason.refuse(Dialect::OpenAi, "r7").body).unwrap();
    assert_eq!(
        (&body["error"]["type"], &body["error"]["param"]),
        (&"permission_error".into(), &"model".into())
    );
    let body: serde_json::Value =
        serde_json::from_str(&reason.refuse(Dialect::Anthropic, "r7").body).unwrap();
    assert_eq!(body["error"]["type"], "permission_error");
    let long = Reason::RouteForbidden { model: Some("x".repeat(100_000)) };
    assert!(long.refuse(Dialect::OpenAi, "r7").body.len() < 1_000);
    assert!(
        Reason::RouteForbidden { model: None }.refuse(Dialect::Passthrough, "r7").body.contains("this path")
    );
}
