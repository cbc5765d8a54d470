//! The description as a document for people: `config/reference.md`.

use serde_json::Value;

use super::texts::Text;
use super::{Items, Key, Kind, Section, TOP, Without, default_at, defaults};
use crate::config::scalar::{render_duration, render_size};

/// Every key with its type, default and range, and what it is for, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let defaults = defaults();
    let mut out = HEAD.to_owned();
    for top in TOP.keys {
        out += &format!("\n## `{}`\n\n{}", top.name, top.about);
        if let Some(section) = top.kind.section().filter(|section| !section.about.is_empty()) {
            out += &format!(" {}", section.about);
        }
        out += "\n\n";
        if !matches!(top.without, Without::Refused) {
            out += &format!("Without it: {}.\n\n", default_told(top, top.name, &defaults));
        }
        out +=
            "| key | type | default | range | what it does, and when to change it |\n|---|---|---|---|---|\n";
        out += &top.kind.section().map(|section| rows(section, &defaults)).unwrap_or_default();
    }
    out
}

/// A row for each key, what stands in its value right behind it.
fn rows(section: &Section, defaults: &Value) -> String {
    let mut out = String::new();
    for key in section.keys {
        out += &row(section, key, defaults);
        out += &key.kind.section().map(|section| rows(section, defaults)).unwrap_or_default();
    }
    out
}

fn row(section: &Section, key: &Key, defaults: &Value) -> String {
    let path = section.path(key.name);
    let default = default_told(key, &path, defaults);
    let (kind, range) = (kind_told(&key.kind), range_told(&key.kind));
    format!("| `{path}` | {kind} | {default} | {range} | {} |\n", key.about)
}

/// What holds where the key is left out.
pub(super) fn default_told(key: &Key, path: &str, defaults: &Value) -> String {
    match key.without {
        Without::Refused => "needed".to_owned(),
        Without::Told(words) => words.to_owned(),
        Without::Default => {
            default_at(defaults, path).map(|value| format!("`{}`", written(value))).unwrap_or_default()
        }
    }
}

/// A value as it would stand in the file.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(written).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{key}: {}", written(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn kind_told(kind: &Kind) -> String {
    match kind {
        Kind::Duration(_) => "duration".to_owned(),
        Kind::Size(_) => "size".to_owned(),
        Kind::Count(_) => "count".to_owned(),
        Kind::Number(_) => "number".to_owned(),
        Kind::Weight => "weight".to_owned(),
        Kind::Switch => "switch".to_owned(),
        Kind::Word(_) => "word".to_owned(),
        Kind::Text(Text { name, .. }) => (*name).to_owned(),
        Kind::Secret(_) => "secret".to_owned(),
        Kind::Either(kinds) => kinds.iter().map(kind_told).collect::<Vec<_>>().join(" or "),
        Kind::List(item, _) => match kind_told(item).as_str() {
            "mapping" => "list".to_owned(),
            item => format!("list: {item}"),
        },
        Kind::Section(_) | Kind::Named(..) => "mapping".to_owned(),
    }
}

/// What the value may be, beyond its type.
pub(super) fn range_told(kind: &Kind) -> String {
    let span = |least: &str, most: &str| format!("`{least}` to `{most}`");
    match kind {
        Kind::Duration((least, most)) => span(&render_duration(*least), &render_duration(*most)),
        Kind::Size((least, most)) => span(&render_size(*least), &render_size(*most)),
        Kind::Count((least, most)) => span(&least.to_string(), &most.to_string()),
        Kind::Number((least, most)) => span(&least.to_string(), &most.to_string()),
        Kind::Weight => span("0", "1"),
        Kind::Switch => "`true`, `false`".to_owned(),
        Kind::Word(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Kind::Text(text) => text.range.to_owned(),
        Kind::Secret(_) => "`{ env: NAME }` or `{ file: PATH }`".to_owned(),
        Kind::Either(kinds) => kinds.iter().map(range_told).filter(|range| !range.is_empty()).collect(),
        Kind::List(item, items) => list_told(&range_told(item), *items),
        Kind::Section(_) | Kind::Named(..) => String::new(),
    }
}

fn list_told(item: &str, items: Items) -> String {
    let number = match (items.least, items.most) {
        (0, None) => return item.to_owned(),
        (least, None) => format!("at least {least}"),
        (0, Some(most)) => format!("at most {most}"),
        (least, Some(most)) => format!("{least} to {most}"),
    };
    if item.is_empty() { number } else { format!("{number}: {item}") }
}

/// How the document begins.
const HEAD: &str = "\
<!-- Written by `cargo run -q -p weir -- schema --format markdown > config/reference.md`; change the descriptions in
     router-core/src/config/reference. -->

# Every key

What each key of the configuration file takes, what holds without it, and when to change it. How values are written
(durations, sizes, `${NAME}`) is explained in [README.md](README.md#how-values-are-written); `weir check FILE` says
what is wrong with a file. `NAME` is a name of your own, `[]` an item of a list.
";
