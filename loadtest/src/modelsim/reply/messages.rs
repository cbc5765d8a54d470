//! The shape of `POST /v1/messages`, fields in the order in which the real API writes them.

use super::sse::{Event, quoted};
use super::{Content, Finish, Reply};
use serde_json::Value;

/// The answer as one document.
pub(super) fn whole(reply: &Reply) -> String {
    let text = reply.joined();
    let block = match &reply.content {
        Content::Text { .. } => format!(r#"{{"type":"text","text":{}}}"#, quoted(&text)),
        Content::Tool { name, .. } => {
            // Arguments cut off by the token limit are no JSON; an empty input is what remains of them.
            let complete = serde_json::from_str::<Value>(&text).is_ok();
            tool(reply, name, if complete { &text } else { "{}" })
        }
    };
    message(reply, &block, stop_reason(reply), reply.output_tokens)
}

/// The events before the first token.
pub(super) fn open(reply: &Reply) -> [Event; 3] {
    let block = match &reply.content {
        Content::Text { .. } => r#"{"type":"text","text":""}"#.to_owned(),
        Content::Tool { name, .. } => tool(reply, name, "{}"),
    };
    [
        Event::named("message_start", &format!(r#""message":{}"#, message(reply, "", "null", 1))),
        Event::named("content_block_start", &format!(r#""index":0,"content_block":{block}"#)),
        Event::named("ping", ""),
    ]
}

/// One token.
pub(super) fn piece(reply: &Reply, piece: &str) -> Event {
    let piece = quoted(piece);
    let delta = match &reply.content {
        Content::Text { .. } => format!(r#"{{"type":"text_delta","text":{piece}}}"#),
        Content::Tool { .. } => format!(r#"{{"type":"input_json_delta","partial_json":{piece}}}"#),
    };
    Event::named("content_block_delta", &format!(r#""index":0,"delta":{delta}"#))
}

/// The events after the last token.
pub(super) fn close(reply: &Reply) -> [Event; 3] {
    let (reason, tokens) = (stop_reason(reply), reply.output_tokens);
    let end = format!(
        r#""delta":{{"stop_reason":{reason},"stop_sequence":null}},"usage":{{"output_tokens":{tokens}}}"#
    );
    [
        Event::named("content_block_stop", r#""index":0"#),
        Event::named("message_delta", &end),
        Event::named("message_stop", ""),
    ]
}

fn message(reply: &Reply, content: &str, stop_reason: &str, output_tokens: u32) -> String {
    let (serial, model, prompt) = (reply.serial, quoted(&reply.model), reply.prompt_tokens);
    format!(
        r#"{{"id":"msg_{serial:016x}","type":"message","role":"assistant","model":{model},"content":[{content}],"stop_reason":{stop_reason},"stop_sequence":null,"usage":{{"input_tokens":{prompt},"output_tokens":{output_tokens}}}}}"#
    )
}

fn tool(reply: &Reply, name: &str, input: &str) -> String {
    let (serial, name) = (reply.serial, quoted(name));
    format!(r#"{{"type":"tool_use","id":"toolu_{serial:016x}","name":{name},"input":{input}}}"#)
}

fn stop_reason(reply: &Reply) -> &'static str {
    match reply.finish {
        Finish::Stop => r#""end_turn""#,
        Finish::Length => r#""max_tokens""#,
        Finish::Tool => r#""tool_use""#,
    }
}
