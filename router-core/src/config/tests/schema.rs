//! The JSON Schema takes what the reader takes and refuses the usual mistakes. A validator of the few keywords
//! that it uses stands here; `.ci/run` holds the same files against an independent one.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::{with_pool, with_route, with_top};
use crate::config::schema;
use crate::config::tree::{self, Node, is_null, parse};

/// Asserts that the schema has nothing against a file.
pub(super) fn assert_takes(text: &str) {
    let root = parse(text, &mut Vec::new()).unwrap();
    if let Err(fault) = SCHEMA.with(|schema| judge(schema, &json(&root), "")) {
        panic!("{text}\n{fault}");
    }
}

thread_local! {
    static SCHEMA: Value = schema();
    /// A pattern takes far longer to read than to look for.
    static PATTERNS: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

fn fits(pattern: &str, text: &str) -> bool {
    PATTERNS.with_borrow_mut(|known| {
        if !known.contains_key(pattern) {
            known.insert(pattern.to_owned(), Regex::new(pattern).unwrap());
        }
        known[pattern].is_match(text)
    })
}

/// A tree as editors see it: texts without quotes are typed by YAML's core schema.
fn json(node: &Node) -> Value {
    match &node.value {
        tree::Value::Scalar { text, plain: false } => Value::from(&**text),
        tree::Value::Scalar { text, plain: true } => typed(text),
        tree::Value::Sequence(items) => items.iter().map(json).collect(),
        tree::Value::Mapping(pairs) => {
            let name = |key: &Node| key.word().unwrap_or_default().to_owned();
            pairs.iter().map(|(key, value)| (name(key), json(value))).collect::<Map<_, _>>().into()
        }
    }
}

fn typed(text: &str) -> Value {
    let float = r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$";
    match text {
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ if is_null(text) => Value::Null,
        _ => match text.parse::<i64>() {
            Ok(integer) => integer.into(),
            Err(_) if fits(float, text) => Number::from_f64(text.parse().unwrap()).into(),
            Err(_) => text.into(),
        },
    }
}

/// Holds a value against a schema; the first fault, with its place.
fn judge(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "anyOf" => rule.as_array().unwrap().iter().any(|one| judge(one, value, place).is_ok()),
            "not" => judge(rule, value, place).is_err(),
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => is_type(rule, value),
            _ => match value {
                Value::Object(entries) => object(schema, keyword, entries, place)?,
                Value::Array(items) => array(keyword, rule, items, place)?,
                Value::String(text) if keyword == "pattern" => fits(rule.as_str().unwrap(), text),
                Value::Number(number) if keyword == "minimum" => number.as_f64() >= rule.as_f64(),
                Value::Number(number) if keyword == "maximum" => number.as_f64() <= rule.as_f64(),
                _ => KEYWORDS.contains(&keyword.as_str()),
            },
        };
        if !holds {
            return Err(format!("{place}: {keyword}: {rule}\n{value}"));
        }
    }
    Ok(())
}

fn object(schema: &Value, keyword: &str, entries: &Map<String, Value>, place: &str) -> Result<bool, String> {
    let rule = &schema[keyword];
    let count = rule.as_u64().map(|count| usize::try_from(count).unwrap());
    Ok(match keyword {
        "required" => rule.as_array().unwrap().iter().all(|key| entries.contains_key(key.as_str().unwrap())),
        "minProperties" => Some(entries.len()) >= count,
        "maxProperties" => Some(entries.len()) <= count,
        "propertyNames" => {
            entries
                .keys()
                .try_for_each(|key| judge(rule, &key.as_str().into(), &format!("{place}.{key}")))?;
            true
        }
        "properties" => {
            for (key, value) in entries {
                rule.get(key).map_or(Ok(()), |rule| judge(rule, value, &format!("{place}.{key}")))?;
            }
            true
        }
        "additionalProperties" => {
            let known = |key: &str| schema.get("properties").is_some_and(|known| known.get(key).is_some());
            for (key, value) in entries.iter().filter(|(key, _)| !known(key)) {
                let place = format!("{place}.{key}");
                if rule == false {
                    return Err(format!("{place}: not a known key"));
                }
                judge(rule, value, &place)?;
            }
            true
        }
        _ => KEYWORDS.contains(&keyword),
    })
}

fn array(keyword: &str, rule: &Value, items: &[Value], place: &str) -> Result<bool, String> {
    let count = rule.as_u64().map(|count| usize::try_from(count).unwrap());
    Ok(match keyword {
        "items" => {
            items.iter().try_for_each(|item| judge(rule, item, &format!("{place}[]")))?;
            true
        }
        "minItems" => Some(items.len()) >= count,
        "maxItems" => Some(items.len()) <= count,
        "uniqueItems" => items.iter().enumerate().all(|(index, item)| !items[..index].contains(item)),
        _ => KEYWORDS.contains(&keyword),
    })
}

fn is_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        other => panic!("{other} is no type"),
    };
    rule.as_array().map_or_else(|| is(rule), |names| names.iter().any(is))
}

/// Keywords that say nothing of values of other types.
const KEYWORDS: [&str; 13] = [
    "additionalProperties",
    "items",
    "maxItems",
    "maxProperties",
    "maximum",
    "minItems",
    "minProperties",
    "minimum",
    "pattern",
    "properties",
    "propertyNames",
    "required",
    "uniqueItems",
];

/// Asserts that the schema has something against each of these files.
fn assert_refuses(files: &[String]) {
    for text in files {
        let root = parse(text, &mut Vec::new()).unwrap();
        assert!(SCHEMA.with(|schema| judge(schema, &json(&root), "")).is_err(), "taken: {text}");
    }
}

#[test]
fn the_usual_mistakes_about_weir_itself_are_refused() {
    assert_refuses(&[
        with_top("lmits: {}"),
        with_top("segments: []"),
        with_top("segments: {refuse: {}}"),
        with_top("segments: {a: {share: 0}}"),
        with_top("segments: {a: {share: many}}"),
        with_top("segments: {a: {max_inflight_ratio: 1.1}}"),
        with_top("segments: {a: {order: first}}"),
        with_top("segments: {a: {objective: {first_token: 2}}}"),
        with_top("segments: {a: {quota: {requests_per_second: 0}}}"),
        with_top("segments: {a: {keys: [{id: x, sha256: secret}]}}"),
        with_top("segments: {a: {keys: [{id: x}]}}"),
        with_top("identity: {jwt: {}}"),
        with_top("listen: [{address: 'localhost:1', trust_headers: yes}]"),
        with_top("listen: []"),
        with_top("listen: [{address: 8080}]"),
        with_top("listen: [{address: unix:weir.sock}]"),
        with_top("listen: [{}]"),
        with_top("admin: {metrics: 9902}"),
        with_top("drain: 30"),
        with_top("drain: 30 s"),
        with_top("drain: {stream: 30s}"),
        with_top("limits: {body: 8 megabytes}"),
        with_top("limits: {body: 1023}"),
        with_top("limits: {connections: 0}"),
        with_top("limits: {connections: many}"),
        with_top("limits: {idle: 75}"),
        with_top("log: {format: xml}"),
        with_top("log: {access: yes}"),
        with_top("log: {access: 1}"),
        with_top("log: {headers: [authorization]}"),
        with_top("log: {headers: user-agent}"),
    ]);
}

#[test]
fn the_usual_mistakes_about_where_calls_go_are_refused() {
    let route = |fields: &str| with_top("").replace("{targets", &format!("{{{fields}, targets"));
    assert_refuses(&[
        with_pool("balance: least-request"),
        with_pool("dialects: []"),
        with_pool("dialects: [openai, openai]"),
        with_pool("key: sk-live-1234567890"),
        with_pool("key: {env: '${KEY}'}"),
        with_pool("key: {env: A, file: b}"),
        with_pool("key: {}"),
        with_pool("timeouts: {connect: 5}"),
        with_pool("http2: on"),
        with_pool("usage: sometimes"),
        with_pool("retry: {}"),
        with_pool("concurrency: {algorithm: vegas}"),
        with_pool("concurrency: {gateways: 0}"),
        with_pool("concurrency: {min_rtt_calc_params: {buffer: 0.25}}"),
        with_pool("non_streaming: streams"),
        with_pool("batch: {reserve: 2}"),
        with_pool("bulkhead: {streams: none}"),
        super::with_url("127.0.0.1:9001"),
        super::with_url("https://me:secret@h"),
        super::with_url("https://h?x=1"),
        with_top("").replace("{a: ", "{a b: "),
        with_top("").replace("{r: ", "{stream: "),
        with_top("").replace("{url: http://h:1}", ""),
        with_route("{pool: mini, wieght: 0.6}", ""),
        with_route("{pool: mini, weight: 1.2}", ""),
        with_route("{pool: mini, weight: 60%}", ""),
        with_route("{model: x}", ""),
        with_route("", ""),
        with_route("{pool: mini}", "{header: x, target: full}"),
        with_route("{pool: mini}", "{header: x y, equals: x, target: full}"),
        route("timeouts: {connect: 1s}"),
        route("retry: {attempts: 3}"),
        route("when_full: drop"),
        route("queue: {wait: 60}"),
        with_top("passthrough: [{prefix: chain, pool: a}]"),
        with_top("passthrough: [{prefix: /chain/, pool: a}]"),
        with_top("passthrough: [{prefix: /v1/x, pool: a}]"),
        with_top("passthrough: [{prefix: /a/../b, pool: a}]"),
        with_top("passthrough: [{prefix: /a%2fb, pool: a}]"),
        with_top("passthrough: [{prefix: /a}]"),
        "pools: {a: {endpoints: [{url: http://h}]}}".to_owned(),
        "routes: {r: {targets: [{pool: a}]}}".to_owned(),
    ]);
}

#[test]
fn variables_and_odd_spellings_are_taken() {
    let files = [
        with_top(
            "limits: {body: '${BODY:-8MiB}', connections: '${N}', idle: 1.5s, uri: 4096, head: '65536'}",
        ),
        with_top("log: {format: '${F:-json}', access: '${A}', headers: ['x-${H}', X-Team]}\ndrain: 0"),
        with_top(
            "listen: [{address: '${HOST:-0.0.0.0}:${PORT:-80}'}, {address: '[::1%2]:0'}, {address: unix:/a b}]",
        ),
        with_pool("key: {file: '${DIR:-/run}/key'}, balance: '${B}', http2: 'true', ca: 4"),
        with_route("{pool: '${P}', model: 4, weight: '0.5'}, {pool: full, model: '$${x}', weight: .5}", ""),
        with_route("{pool: mini, weight: 1e-1}", "{header: x-beta, equals: true, target: full/gpt/4o}"),
        with_top("passthrough: [{prefix: '/${P:-a}', pool: a}]"),
        with_top("segments: {a: {share: '${S}', max_inflight_ratio: .5}}\nanonymous: '${A}'"),
    ];
    files.iter().for_each(|text| assert_takes(text));
}
