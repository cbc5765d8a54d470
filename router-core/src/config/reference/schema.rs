//! The description as a JSON Schema (draft 2020-12), for editors and for checks without Weir.
//!
//! A schema sees values as YAML types them, so a text that may look like a number is allowed to be one, and
//! every value may be a text with a `${NAME}` in it, whatever it stands for. What a schema cannot say (ranges
//! of durations, sums of weights, names of pools) is left to `weir check`; it never refuses what that takes.

use serde_json::{Map, Value, json};

use super::markdown::{default_told, range_told};
use super::texts::Text;
use super::{Items, Key, Kind, Section, TOP, Without, default_at, defaults};

/// The JSON Schema of the file.
#[must_use]
pub fn schema() -> Value {
    let defaults = defaults();
    let mut out = mapping(&TOP, &defaults);
    let filled = |key: &str, least: &str| json!({ "required": [key], "properties": { key: { least: 1 } } });
    let own = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Weir configuration",
        "description": "What `weir run --config FILE` reads. `weir check FILE` says more about a mistake than a schema can.",
        "anyOf": [filled("routes", "minProperties"), filled("passthrough", "minItems")],
    });
    if let (Value::Object(out), Value::Object(own)) = (&mut out, own) {
        out.extend(own);
    }
    out
}

fn mapping(section: &Section, defaults: &Value) -> Value {
    let properties: Map<_, _> =
        section.keys.iter().map(|key| (key.name.to_owned(), property(section, key, defaults))).collect();
    let required: Vec<_> = section
        .keys
        .iter()
        .filter(|key| matches!(key.without, Without::Refused))
        .map(|key| key.name)
        .collect();
    let mut out = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        out["required"] = required.into();
    }
    out
}

fn property(section: &Section, key: &Key, defaults: &Value) -> Value {
    let path = section.path(key.name);
    let mut out = kind(&key.kind, defaults);
    let mut description = key.about.to_owned();
    if !matches!(key.without, Without::Refused) {
        description += &format!("\n\nDefault: {}.", default_told(key, &path, defaults));
    }
    let range = range_told(&key.kind);
    if !range.is_empty() {
        description += &format!("\n\nRange: {range}.");
    }
    out["description"] = description.into();
    if let (Without::Default, Some(default)) = (key.without, default_at(defaults, &path)) {
        out["default"] = default.clone();
    }
    out
}

fn kind(kind: &Kind, defaults: &Value) -> Value {
    match kind {
        Kind::Duration(_) => {
            // The integer 0 is the only duration without a unit.
            json!({ "type": ["string", "integer"], "pattern": whole(DURATION), "minimum": 0, "maximum": 0 })
        }
        Kind::Size((least, most)) => {
            json!({ "type": ["string", "integer"], "pattern": whole(SIZE), "minimum": least, "maximum": most })
        }
        Kind::Count((least, most)) => {
            json!({ "type": ["string", "integer"], "pattern": whole("[0-9]+"), "minimum": least, "maximum": most })
        }
        Kind::Number((least, most)) => {
            json!({ "type": ["number", "string"], "pattern": whole(NUMBER), "minimum": least, "maximum": most })
        }
        Kind::Weight => {
            json!({ "type": ["number", "string"], "pattern": whole(NUMBER), "minimum": 0, "maximum": 1 })
        }
        Kind::Switch => json!({ "type": ["boolean", "string"], "pattern": whole("true|false") }),
        Kind::Word(words) => {
            json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": format!("^{VARIABLE}$") }] })
        }
        Kind::Text(text) => text_schema(text),
        Kind::Either(kinds) => {
            json!({ "anyOf": kinds.iter().map(|one| self::kind(one, defaults)).collect::<Vec<_>>() })
        }
        Kind::List(item, items) => list(&self::kind(item, defaults), *items),
        Kind::Section(section) => mapping(section, defaults),
        Kind::Named(name, section) => json!({
            "type": "object",
            "propertyNames": text_schema(name),
            "additionalProperties": mapping(section, defaults),
        }),
        Kind::Secret(section) => {
            let mut out = mapping(section, defaults);
            out["minProperties"] = 1.into();
            out["maxProperties"] = 1.into();
            out
        }
    }
}

fn list(item: &Value, items: Items) -> Value {
    let mut out = json!({ "type": "array", "items": item });
    if items.least > 0 {
        out["minItems"] = items.least.into();
    }
    if let Some(most) = items.most {
        out["maxItems"] = most.into();
    }
    if items.unique {
        out["uniqueItems"] = true.into();
    }
    out
}

fn text_schema(text: &Text) -> Value {
    let types = if text.bare { json!(["string", "number", "boolean"]) } else { json!("string") };
    let pattern = if text.variables { whole(text.pattern) } else { format!("^(?:{})$", text.pattern) };
    let mut out = json!({ "type": types, "pattern": pattern });
    let refused = [
        (!text.never.is_empty()).then(|| json!({ "enum": text.never })),
        (!text.without.is_empty()).then(|| json!({ "type": "string", "pattern": text.without })),
    ];
    let mut refused: Vec<_> = refused.into_iter().flatten().collect();
    match (refused.len(), refused.pop()) {
        (1, Some(one)) => out["not"] = one,
        (_, Some(last)) => {
            refused.push(last);
            out["not"] = json!({ "anyOf": refused });
        }
        (_, None) => {}
    }
    out
}

/// A pattern for a whole text that is this, or has a variable in it. `$${` is no variable.
fn whole(pattern: &str) -> String {
    format!("^(?:{pattern}|{VARIABLE})$")
}

const VARIABLE: &str = r"(?:.*[^$])?\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}.*";
const DURATION: &str = r"0|[0-9]+(?:\.[0-9]{1,9})?(?:ms|s|m|h)";
const SIZE: &str = "[0-9]+(?:K|Ki|M|Mi|G|Gi)?B|[0-9]+";
const NUMBER: &str = r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.";
