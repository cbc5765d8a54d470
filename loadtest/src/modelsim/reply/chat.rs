//! The shape of `POST /v1/chat/completions`, fields in the order in which real servers write them.

use super::sse::{Event, quoted};
use super::{Content, Finish, Reply};

/// The answer as one document.
pub(super) fn whole(reply: &Reply) -> String {
    let text = quoted(&reply.joined());
    let message = match &reply.content {
        Content::Text { .. } => format!(r#"{{"role":"assistant","content":{text},"refusal":null}}"#),
        Content::Tool { name, .. } => {
            let call = call(reply, name, &text);
            format!(r#"{{"role":"assistant","content":null,"refusal":null,"tool_calls":[{{{call}}}]}}"#)
        }
    };
    let finish = finish(reply);
    let choice = format!(r#"{{"index":0,"message":{message},"logprobs":null,"finish_reason":{finish}}}"#);
    document(reply, "chat.completion", &choice, &usage(reply))
}

/// The empty event that names the role.
pub(super) fn open(reply: &Reply) -> Event {
    let delta = match &reply.content {
        Content::Text { .. } => r#"{"role":"assistant","content":""}"#.to_owned(),
        Content::Tool { name, .. } => {
            let call = call(reply, name, r#""""#);
            format!(r#"{{"role":"assistant","content":null,"tool_calls":[{{"index":0,{call}}}]}}"#)
        }
    };
    chunk(reply, &delta, "null")
}

/// One token.
pub(super) fn piece(reply: &Reply, piece: &str) -> Event {
    let piece = quoted(piece);
    let delta = match &reply.content {
        Content::Text { .. } => format!(r#"{{"content":{piece}}}"#),
        Content::Tool { .. } => {
            format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":{piece}}}}}]}}"#)
        }
    };
    chunk(reply, &delta, "null")
}

/// The finish reason, the usage if it was asked for, and the terminator.
pub(super) fn close(reply: &Reply) -> Vec<Event> {
    let mut events = vec![chunk(reply, "{}", finish(reply))];
    if reply.include_usage {
        events.push(Event::data(document(reply, CHUNK, "", &usage(reply))));
    }
    events.push(Event::data("[DONE]"));
    events
}

fn chunk(reply: &Reply, delta: &str, finish: &str) -> Event {
    let choice = format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#);
    let usage = if reply.include_usage { NO_USAGE } else { "" };
    Event::data(document(reply, CHUNK, &choice, usage))
}

fn document(reply: &Reply, object: &str, choices: &str, usage: &str) -> String {
    let (serial, created, model) = (reply.serial, reply.created, quoted(&reply.model));
    format!(
        r#"{{"id":"chatcmpl-{serial:016x}","object":"{object}","created":{created},"model":{model},"choices":[{choices}]{usage}}}"#
    )
}

fn call(reply: &Reply, name: &str, arguments: &str) -> String {
    let (serial, name) = (reply.serial, quoted(name));
    format!(
        r#""id":"call_{serial:016x}","type":"function","function":{{"name":{name},"arguments":{arguments}}}"#
    )
}

fn usage(reply: &Reply) -> String {
    let (prompt, output) = (reply.prompt_tokens, reply.output_tokens);
    let total = u64::from(prompt) + u64::from(output);
    format!(r#","usage":{{"prompt_tokens":{prompt},"completion_tokens":{output},"total_tokens":{total}}}"#)
}

fn finish(reply: &Reply) -> &'static str {
    match reply.finish {
        Finish::Stop => r#""stop""#,
        Finish::Length => r#""length""#,
        Finish::Tool => r#""tool_calls""#,
    }
}

const CHUNK: &str = "chat.completion.chunk";
/// Every event but the last says this when the usage was asked for.
const NO_USAGE: &str = r#","usage":null"#;
