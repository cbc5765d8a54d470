//! The description of the keys is what the reader does: it has every key, and its ranges and defaults hold.

use serde_json::{Value, json};

use super::overload::each_algorithm;
use super::unset;
use crate::config::reference::{Key, Kind, Section, TOP, Without};
use crate::config::scalar::{CREDENTIAL_HEADERS, render_duration, render_size};
use crate::config::{load, markdown, schema, to_json};

/// A file that has every section, as JSON.
fn full() -> Value {
    json!({
        "listen": [{ "address": "127.0.0.1:8080", "trust_headers": true, "tls": tls() }],
        "admin": {
            "keys": [{ "id": "o", "sha256": "cd".repeat(32), "role": "admin", "expires": "2027-01-31T00:00:00Z" }],
            "tls": tls(), "metrics": { "address": "0.0.0.0:9902", "tls": tls() } },
        "limits": {},
        "drain": {},
        "log": {},
        "audit": { "path": "/a", "key": { "file": "/k" } },
        "pools": { "NAME": {
            "endpoints": [{ "url": "https://h" }], "key": { "file": "/k" }, "ca": "/ca", "timeouts": {},
            "concurrency": { "gateways": 2, "base_time": "1s" },
            "bulkhead": { "connections": 1, "pending": 1, "streams": 1 }, "batch": {},
            "gauges": { "url": "http://h/metrics" },
        } },
        "routes": { "NAME": {
            "targets": [{ "pool": "NAME", "model": "m" }],
            "canary": [{ "header": "x", "equals": "y", "target": "NAME/m" }],
            "timeouts": { "headers": "1s", "first_token": "1s", "idle": "1s", "answer": "1s" },
            "queue": { "tokens": 1 },
            "allow": ["NAME"],
        } },
        "passthrough": [{ "prefix": "/x", "pool": "NAME", "timeout": "1s" }],
        "segments": { "NAME": {
            "objective": { "first_token": "1s", "inter_token": "1s" },
            "quota": { "requests_per_second": 1, "burst": 1, "tokens_per_minute": 1, "concurrent": 1, "enforce": true },
            "keys": [{ "id": "x", "sha256": "ab".repeat(32), "expires": "2027-01-31T00:00:00Z", "routes": ["NAME"],
                "quota": { "requests_per_second": 1, "burst": 1, "tokens_per_minute": 1, "concurrent": 1, "enforce": true } }],
        } },
        "identity": { "keys_file": "/keys", "jwt": {
            "issuer": "i", "audience": ["a"], "jwks": "https://h/keys", "ca": "/ca", "claims": { "segment": "s" },
        } },
    })
}

fn tls() -> Value {
    json!({ "certificate": "/c", "key": { "file": "/k" }, "client_ca": "/a" })
}

fn without_gauges_where_nothing_uses_them(file: &mut Value, window: bool) {
    if !window {
        file["pools"]["NAME"].as_object_mut().unwrap().remove("gauges");
    }
}

/// The place of a key's value in [`full`].
fn slot<'v>(file: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(file, |value, part| match part.strip_suffix("[]") {
        Some(list) => &mut value[list][0],
        None => &mut value[part],
    })
}

fn keys() -> impl Iterator<Item = (&'static Section, &'static Key, String)> {
    let sections = TOP.all().into_iter();
    sections.flat_map(|section| section.keys.iter().map(move |key| (section, key, section.path(key.name))))
}

/// What is wrong with a file in which the key has this value, as far as it concerns the key alone.
fn out_of_range(path: &str, value: &Value) -> bool {
    let mut file = full();
    *slot(&mut file, path) = value.clone();
    let place = path.replace("[]", "[0]");
    let problems = load(&file.to_string(), &unset).err().unwrap_or_default();
    problems.iter().any(|problem| problem.path == place && problem.message.contains("out of range"))
}

/// The smallest and the largest value of a kind, and what is beyond either.
fn ends(kind: &Kind) -> Option<([Value; 2], Vec<Value>)> {
    let texts = |values: [String; 2]| values.map(Value::from);
    Some(match kind {
        Kind::Duration((least, most)) => {
            let step = std::time::Duration::from_nanos(1);
            let below = least.checked_sub(step).map(render_duration);
            let beyond = below.into_iter().chain([render_duration(*most + step)]);
            (texts([render_duration(*least), render_duration(*most)]), beyond.map(Value::from).collect())
        }
        Kind::Size((least, most)) => {
            let beyond = least.checked_sub(1).into_iter().chain([most + 1]);
            (texts([render_size(*least), render_size(*most)]), beyond.map(Value::from).collect())
        }
        Kind::Count((least, most)) => {
            let beyond = least.checked_sub(1).into_iter().chain([most + 1]);
            ([least, most].map(|end| Value::from(*end)), beyond.map(Value::from).collect())
        }
        Kind::Number((least, most)) => (
            [least, most].map(|end| Value::from(*end)),
            [least - 1e-6, most + 1e-6].map(Value::from).to_vec(),
        ),
        Kind::Either(kinds) => return kinds.iter().find_map(ends),
        _ => return None,
    })
}

#[test]
fn ranges_are_the_readers() {
    let mut tried = 0;
    for (_, key, path) in keys() {
        let Some((within, beyond)) = ends(&key.kind) else { continue };
        for value in within {
            assert!(!out_of_range(&path, &value), "{path}: {value} is refused");
        }
        for value in beyond {
            assert!(out_of_range(&path, &value), "{path}: {value} is taken");
        }
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}

#[test]
fn every_word_is_one_and_every_key_is_known() {
    for (_, key, path) in keys() {
        let words = match &key.kind {
            Kind::Word(words) => words.iter().map(|word| json!(word)).collect(),
            Kind::List(Kind::Word(words), _) => vec![json!(words)],
            Kind::Switch => vec![json!(true), json!(false)],
            _ => continue,
        };
        for word in words {
            let mut file = full();
            *slot(&mut file, &path) = word.clone();
            if path == "pools.NAME.concurrency.algorithm" {
                // Settings are an algorithm's own, and one of them has to be told its limit.
                let own = if word == "fixed" { json!({ "limit": 1 }) } else { json!({}) };
                file["pools"]["NAME"]["concurrency"] = own;
                without_gauges_where_nothing_uses_them(&mut file, word == "first_token_window");
                *slot(&mut file, &path) = word;
            }
            if path == "pools.NAME.http2" {
                // Connections that calls share are not capped.
                file["pools"]["NAME"]["bulkhead"] = json!({});
            }
            // The secret's file is not looked for.
            assert!(load(&file.to_string(), &unset).is_ok(), "{path}: {file}");
        }
    }
}

#[test]
fn what_must_be_there_must_be_there() {
    for (section, key, path) in keys() {
        if slot(&mut full(), &path).is_null() || path.contains(".key.") {
            continue;
        }
        let mut file = full();
        let parent = if section.place.is_empty() { &mut file } else { slot(&mut file, section.place) };
        parent.as_object_mut().unwrap().remove(key.name);
        if path.ends_with(".quota.requests_per_second") {
            // A burst is one of a rate.
            slot(&mut file, section.place).as_object_mut().unwrap().remove("burst");
        }
        if path == "routes" {
            file["segments"]["NAME"]["keys"][0]["routes"] = json!(["passthrough:/x"]);
            // A window counts the calls of routes.
            file["pools"]["NAME"].as_object_mut().unwrap().remove("concurrency");
            without_gauges_where_nothing_uses_them(&mut file, false);
        }
        if path == "segments" {
            file["routes"]["NAME"].as_object_mut().unwrap().remove("allow");
        }
        let taken = load(&file.to_string(), &unset).is_ok();
        assert_eq!(taken, !matches!(key.without, Without::Refused), "{path}");
    }
}

/// Every path of a value that is no mapping, as the reference writes it.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, &path, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            leaves(&items[0], &format!("{path}[]"), found);
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn what_is_in_force_has_the_keys_that_are_described() {
    let mut shown = Vec::new();
    for concurrency in each_algorithm() {
        let mut file = full();
        file["pools"]["NAME"]["concurrency"] = concurrency.parse().unwrap();
        without_gauges_where_nothing_uses_them(&mut file, concurrency.contains("first_token_window"));
        leaves(&to_json(&load(&file.to_string(), &unset).unwrap().config), "", &mut shown);
    }
    shown.sort();
    shown.dedup();
    let mut described: Vec<_> = keys()
        .filter(|(_, key, _)| key.kind.section().is_none())
        .map(|(_, _, path)| path)
        // One secret is in one place.
        .filter(|path| !path.ends_with(".key.env"))
        .collect();
    described.sort();
    assert_eq!(shown, described);
}

#[test]
fn the_reference_and_the_schema_have_every_key() {
    let (reference, schema) = (markdown(), schema());
    for (section, key, path) in keys() {
        assert!(key.about.ends_with('.'), "{path} is explained in sentences");
        if section.place.is_empty() {
            assert!(reference.contains(&format!("\n## `{path}`\n\n{}", key.about)), "{path} has no heading");
            continue;
        }
        let row = reference.lines().find(|line| line.starts_with(&format!("| `{path}` |")));
        let row = row.unwrap_or_else(|| panic!("{path} is not in the reference"));
        assert_eq!(row.matches(" | ").count(), 4, "{row}");
        assert!(row.split(" | ").nth(2).is_some_and(|default| !default.is_empty()), "{row}");
    }
    for header in CREDENTIAL_HEADERS {
        assert!(reference.contains(&format!("`{header}`")), "{header} is refused and not named");
    }
    let text = schema.to_string();
    assert!(text.contains("\"default\":\"127.0.0.1:9901\"") && text.contains("\"default\":10000"), "{text}");
}
