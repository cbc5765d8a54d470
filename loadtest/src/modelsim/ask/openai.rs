//! The request body of `POST /v1/chat/completions`.

use super::tools::{self, Tool, ToolChoice};
use super::{Ask, Prompt, read};
use crate::modelsim::problem::Problem;
use serde::Deserialize;
use serde_json::Value;

/// Reads the fields that change what the simulator does; others are ignored.
pub(super) fn parse(body: &[u8]) -> Result<Ask, Problem> {
    let chat: Chat = read(body)?;
    if chat.messages.is_empty() {
        return Err(Problem::invalid("messages", "messages must not be empty"));
    }
    if chat.n.is_some_and(|n| n != 1) {
        return Err(Problem::invalid("n", "only n = 1 is supported"));
    }
    let tokens_max = chat.max_completion_tokens.or(chat.max_tokens);
    if tokens_max == Some(0) {
        return Err(Problem::invalid("max_tokens", "max_tokens must be at least 1"));
    }
    let choice = chat.tool_choice.as_ref().map_or(Ok(ToolChoice::Auto), choice)?;
    let tool = tools::call(&chat.tools(), &choice, &chat.last_user_text())?;
    Ok(Ask {
        prompt: chat.prompt(),
        stream: chat.stream.unwrap_or(false),
        include_usage: chat.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
        model: chat.model,
        tokens_max,
        tool,
    })
}

#[derive(Deserialize)]
struct Chat {
    model: String,
    messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    n: Option<u64>,
    tools: Option<Vec<ToolSpec>>,
    tool_choice: Option<Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of a message; pictures and sounds have no text and count nothing.
#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
struct ToolSpec {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    parameters: Option<Value>,
}

impl Chat {
    fn prompt(&self) -> Prompt {
        let mut prompt = Prompt::default();
        for text in self.messages.iter().flat_map(Message::texts) {
            prompt.add(text);
        }
        prompt
    }

    fn last_user_text(&self) -> String {
        let last = self.messages.iter().rfind(|message| message.role == "user");
        last.map(|message| message.texts().collect()).unwrap_or_default()
    }

    fn tools(&self) -> Vec<Tool<'_>> {
        let specs = self.tools.iter().flatten().map(|spec| &spec.function);
        specs.map(|function| Tool { name: &function.name, schema: function.parameters.as_ref() }).collect()
    }
}

impl Message {
    fn texts(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.content {
            None => Box::new(std::iter::empty()),
            Some(Content::Text(text)) => Box::new(std::iter::once(text.as_str())),
            Some(Content::Parts(parts)) => Box::new(parts.iter().filter_map(|part| part.text.as_deref())),
        }
    }
}

fn choice(value: &Value) -> Result<ToolChoice, Problem> {
    match value.as_str() {
        Some("none") => Ok(ToolChoice::Never),
        Some("auto") => Ok(ToolChoice::Auto),
        Some("required") => Ok(ToolChoice::Must),
        Some(other) => Err(Problem::invalid("tool_choice", format!("unknown tool_choice {other:?}"))),
        None => {
            let name = value.pointer("/function/name").and_then(Value::as_str);
            let name =
                name.ok_or_else(|| Problem::invalid("tool_choice", "tool_choice names no function"))?;
            Ok(ToolChoice::Named(name.to_owned()))
        }
    }
}
