//! Which tool an answer calls, and with what arguments.

use crate::modelsim::problem::Problem;
use serde_json::{Map, Value, json};

/// A tool that the caller offers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tool<'a> {
    pub(super) name: &'a str,
    /// JSON schema of its arguments.
    pub(super) schema: Option<&'a Value>,
}

/// Whether the caller wants a tool to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolChoice {
    /// No.
    Never,
    /// If the last user message says `tool:`, or `tool:NAME`.
    Auto,
    /// Any of them.
    Must,
    /// This one.
    Named(String),
}

/// The call that an answer consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modelsim) struct ToolCall {
    pub(in crate::modelsim) name: String,
    /// A JSON object.
    pub(in crate::modelsim) arguments: String,
}

/// Decides whether the answer is a call. Without tools there is none, whatever the choice.
///
/// # Errors
///
/// Refuses a named tool that is not among those offered.
pub(super) fn call(
    tools: &[Tool<'_>],
    choice: &ToolChoice,
    last_user_text: &str,
) -> Result<Option<ToolCall>, Problem> {
    let named = |name: &str| tools.iter().find(|tool| tool.name == name).copied();
    let tool = match choice {
        ToolChoice::Never => None,
        ToolChoice::Must => tools.first().copied(),
        ToolChoice::Auto => last_user_text.split_once(CUE).and_then(|(_, rest)| {
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || "_-".contains(*c)).collect();
            named(&name).or_else(|| tools.first().copied())
        }),
        ToolChoice::Named(name) => Some(named(name).ok_or_else(|| {
            Problem::invalid(
                "tool_choice",
                format!("tool_choice names {name:?}, which is not among the tools"),
            )
        })?),
    };
    Ok(tool.map(|tool| ToolCall { name: tool.name.to_owned(), arguments: arguments(tool.schema) }))
}

fn arguments(schema: Option<&Value>) -> String {
    match schema.map(|schema| example(schema, SCHEMA_DEPTH_MAX)) {
        Some(Value::Object(object)) => Value::Object(object).to_string(),
        Some(_) | None => "{}".to_owned(),
    }
}

/// A value that fits a plain schema: every property of an object, the first of an enumeration.
fn example(schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    let first = |key: &str| schema.get(key).and_then(|list| list.get(0));
    if let Some(value) = schema.get("const").or_else(|| first("enum")) {
        return value.clone();
    }
    if let Some(option) = first("anyOf").or_else(|| first("oneOf")) {
        return example(option, depth - 1);
    }
    let kind = schema.get("type");
    match kind.and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str())) {
        Some("string") => json!("a letter to the readers"),
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(3)),
        Some("number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1.5)),
        Some("boolean") => json!(true),
        Some("array") => {
            Value::Array(schema.get("items").map(|items| example(items, depth - 1)).into_iter().collect())
        }
        Some("object") | None => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fill = |(name, schema): (&String, &Value)| (name.clone(), example(schema, depth - 1));
            Value::Object(properties.into_iter().flatten().map(fill).collect::<Map<_, _>>())
        }
        Some(_) => Value::Null,
    }
}

const CUE: &str = "tool:";
/// Schemas may refer to themselves by nesting; arguments need not.
const SCHEMA_DEPTH_MAX: usize = 8;
