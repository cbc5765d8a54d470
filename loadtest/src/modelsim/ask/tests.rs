use super::{Api, Ask, Suffix};
use crate::modelsim::fault::Fault;
use serde_json::{Value, json};

fn parse(api: Api, body: &Value) -> Result<Ask, String> {
    Ask::parse(api, body.to_string().as_bytes()).map_err(|problem| problem.message)
}

fn weather_tool() -> Value {
    json!({"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 2},
        "hours": {"type": "array", "items": {"type": "number"}},
        "place": {"type": "object", "properties": {"exact": {"type": ["boolean", "null"]}}},
    }})
}

#[test]
fn prompt_tokens_are_a_quarter_of_the_text_of_all_messages() {
    let text = json!({"model": "m", "messages": [
        {"role": "system", "content": "12345678"},
        {"role": "assistant", "content": null},
        {"role": "user", "content": [{"type": "text", "text": "1234"}, {"type": "image_url", "image_url": {"url": "data:…"}}]},
    ]});
    assert_eq!(parse(Api::OpenAi, &text).unwrap().prompt.tokens(), 3);
    let blocks = json!({"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "1234"}], "messages": [
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text", "text": "1234"}]},
            {"type": "text", "text": "12345"}]},
    ]});
    assert_eq!(parse(Api::Anthropic, &blocks).unwrap().prompt.tokens(), 4);
    let empty = json!({"model": "m", "messages": [{"role": "user", "content": ""}]});
    assert_eq!(parse(Api::OpenAi, &empty).unwrap().prompt.tokens(), 1);
}

#[test]
fn the_prompt_and_the_server_seed_decide_the_answer_seed() {
    let ask = |text: &str| {
        parse(Api::OpenAi, &json!({"model": "m", "messages": [{"role": "user", "content": text}]}))
            .unwrap()
            .prompt
    };
    assert_eq!(ask("a").seed(1), ask("a").seed(1));
    assert_ne!(ask("a").seed(1), ask("b").seed(1));
    assert_ne!(ask("a").seed(1), ask("a").seed(2));
}

#[test]
fn mistakes_are_refused_with_the_field_at_fault() {
    let user = json!([{"role": "user", "content": "hi"}]);
    let cases = [
        (Api::OpenAi, json!({"messages": user}), "model"),
        (Api::OpenAi, json!({"model": "m"}), "messages"),
        (Api::OpenAi, json!({"model": "m", "messages": []}), "messages"),
        (Api::OpenAi, json!({"model": "m", "messages": user, "n": 2}), "n = 1"),
        (Api::OpenAi, json!({"model": "m", "messages": user, "max_tokens": 0}), "max_tokens"),
        (Api::Anthropic, json!({"model": "m", "messages": user}), "max_tokens"),
        (Api::Anthropic, json!({"model": "m", "messages": [], "max_tokens": 1}), "messages"),
    ];
    for (api, body, word) in cases {
        let message = parse(api, &body).unwrap_err();
        assert!(message.contains(word), "{body}: {message}");
    }
}

#[test]
fn a_tool_is_called_when_the_request_says_so() {
    let ask = |text: &str, choice: Value| {
        let tools = json!([
            {"type": "function", "function": {"name": "post", "parameters": {}}},
            {"type": "function", "function": {"name": "weather", "parameters": weather_tool()}},
        ]);
        let messages = json!([{"role": "user", "content": text}]);
        let body = json!({"model": "m", "messages": messages, "tools": tools, "tool_choice": choice});
        parse(Api::OpenAi, &body).map(|ask| ask.tool.map(|tool| tool.name))
    };
    assert_eq!(ask("hello", json!("auto")), Ok(None));
    assert_eq!(ask("hello", json!("required")), Ok(Some("post".into())));
    assert_eq!(ask("use tool: please", json!("auto")), Ok(Some("post".into())));
    assert_eq!(ask("tool:weather", Value::Null), Ok(Some("weather".into())));
    assert_eq!(ask("tool:weather", json!("none")), Ok(None));
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    assert_eq!(ask("hello", named("weather")), Ok(Some("weather".into())));
    assert!(ask("hello", named("nope")).unwrap_err().contains("nope"));
}

#[test]
fn tool_arguments_fit_the_schema() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "weather", "input_schema": weather_tool()}],
        "tool_choice": {"type": "tool", "name": "weather"}});
    let call = parse(Api::Anthropic, &body).unwrap().tool.unwrap();
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
    assert_eq!(arguments["unit"], "celsius");
    assert_eq!(arguments["days"], 2);
    assert_eq!(arguments["place"]["exact"], true);
    assert!(arguments["city"].is_string() && arguments["hours"][0].is_number());
}

#[test]
fn wishes_come_off_the_end_of_a_model_name() {
    let parsed = Suffix::parse("gpt+4+tokens-50+fault-cut=10").unwrap();
    assert_eq!(parsed, Suffix { model: "gpt+4", fault: Some(Fault::Cut(10)), tokens: Some("50") });
    assert_eq!(Suffix::parse("plain").unwrap().model, "plain");
    assert!(Suffix::parse("m+fault-boom").is_err());
}
