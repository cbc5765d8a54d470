//! The request body of `POST /v1/messages`.

use super::tools::{self, Tool, ToolChoice};
use super::{Ask, Prompt, read};
use crate::modelsim::problem::Problem;
use serde::Deserialize;
use serde_json::Value;

/// Reads the fields that change what the simulator does; others are ignored.
pub(super) fn parse(body: &[u8]) -> Result<Ask, Problem> {
    let request: Messages = read(body)?;
    if request.messages.is_empty() {
        return Err(Problem::invalid("messages", "messages: at least one message is required"));
    }
    let tokens_max = request.max_tokens.filter(|&max| max > 0);
    if tokens_max.is_none() {
        return Err(Problem::invalid("max_tokens", "max_tokens: a number of at least 1 is required"));
    }
    let choice = request.tool_choice.as_ref().map_or(Ok(ToolChoice::Auto), Choice::read)?;
    let tool = tools::call(&request.tools(), &choice, &request.last_user_text())?;
    Ok(Ask {
        prompt: request.prompt(),
        stream: request.stream.unwrap_or(false),
        include_usage: false,
        model: request.model,
        tokens_max,
        tool,
    })
}

#[derive(Deserialize)]
struct Messages {
    model: String,
    messages: Vec<Message>,
    system: Option<Content>,
    stream: Option<bool>,
    max_tokens: Option<u32>,
    tools: Option<Vec<ToolSpec>>,
    tool_choice: Option<Choice>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

/// A block of a message: a text, a tool's result with content of its own, or something without text.
#[derive(Deserialize)]
struct Block {
    text: Option<String>,
    content: Option<ToolResult>,
}

/// The content of a tool result.
#[derive(Deserialize)]
#[serde(untagged)]
enum ToolResult {
    Text(String),
    Blocks(Vec<TextBlock>),
}

#[derive(Deserialize)]
struct TextBlock {
    text: Option<String>,
}

#[derive(Deserialize)]
struct ToolSpec {
    name: String,
    input_schema: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    r#type: String,
    name: Option<String>,
}

impl Messages {
    fn prompt(&self) -> Prompt {
        let mut prompt = Prompt::default();
        let contents = self.system.iter().chain(self.messages.iter().map(|message| &message.content));
        for content in contents {
            content.each_text(&mut |text| prompt.add(text));
        }
        prompt
    }

    fn last_user_text(&self) -> String {
        let mut all = String::new();
        if let Some(last) = self.messages.iter().rfind(|message| message.role == "user") {
            last.content.each_text(&mut |text| all.push_str(text));
        }
        all
    }

    fn tools(&self) -> Vec<Tool<'_>> {
        let specs = self.tools.iter().flatten();
        specs.map(|spec| Tool { name: &spec.name, schema: spec.input_schema.as_ref() }).collect()
    }
}

impl Content {
    fn each_text(&self, take: &mut dyn FnMut(&str)) {
        match self {
            Self::Text(text) => take(text),
            Self::Blocks(blocks) => blocks.iter().for_each(|block| block.each_text(take)),
        }
    }
}

impl Block {
    fn each_text(&self, take: &mut dyn FnMut(&str)) {
        if let Some(text) = &self.text {
            take(text);
        }
        match &self.content {
            Some(ToolResult::Text(text)) => take(text),
            Some(ToolResult::Blocks(blocks)) => {
                blocks.iter().filter_map(|block| block.text.as_deref()).for_each(take);
            }
            None => {}
        }
    }
}

impl Choice {
    fn read(&self) -> Result<ToolChoice, Problem> {
        match (self.r#type.as_str(), &self.name) {
            ("none", _) => Ok(ToolChoice::Never),
            ("auto", _) => Ok(ToolChoice::Auto),
            ("any", _) => Ok(ToolChoice::Must),
            ("tool", Some(name)) => Ok(ToolChoice::Named(name.clone())),
            (other, _) => {
                Err(Problem::invalid("tool_choice", format!("tool_choice: cannot use type {other:?}")))
            }
        }
    }
}
