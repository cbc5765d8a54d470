//! Holds for any bytes as a request body: `scan` and `serde_json` agree on what is valid and on what it says, and an
//! edit of the model's name touches nothing else.

use std::fmt;

use bytes::Bytes;
use router_core::dialect::Reason;
use router_core::identify::{DEPTH_MAX, Rope, Scan, scan};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The bytes are the body.
pub(crate) fn check(body: &[u8]) {
    let parsed = parse(body);
    match scan(body) {
        Ok(found) => accepted(body, &found, &parsed.expect("what is accepted is a JSON object")),
        Err(reason) => refused(body, &reason, parsed.as_ref()),
    }
}

fn accepted(body: &[u8], found: &Scan<'_>, parsed: &Object<'_>) {
    assert!(depth(body) <= DEPTH_MAX);
    let model = parsed.only("model").expect("the model is there");
    assert_eq!(serde_json::from_str::<String>(model.get()).expect("the model is a string"), found.model);
    assert_eq!(body.get(found.model_span.clone()), Some(model.get().as_bytes()));
    assert_eq!(parsed.only("stream").is_some_and(|stream| stream.get() == "true"), found.stream);
    let reversed: String = found.model.chars().rev().collect();
    for name in ["", "gpt-4o-mini", "\"\\/\u{8}\u{1}é日\u{1F980}", &reversed] {
        edit(body, found, parsed, name);
    }
}

/// Puts another name in the model's place.
fn edit(body: &[u8], found: &Scan<'_>, parsed: &Object<'_>, name: &str) {
    let (body, written) = (Bytes::copy_from_slice(body), serde_json::Value::from(name).to_string());
    let rope = Rope::replace(&body, found.model_span.clone(), written.clone().into());
    let sent = rope.0.concat();
    assert_eq!((sent.len(), sent.is_empty()), (rope.len(), rope.is_empty()));
    assert_eq!(
        sent,
        [&body[..found.model_span.start], written.as_bytes(), &body[found.model_span.end..]].concat()
    );
    let again = scan(&sent).expect("an edit keeps a body valid");
    assert_eq!((&*again.model, again.stream), (name, found.stream));
    let edited = parse(&sent).expect("an edit keeps a body valid");
    assert_eq!(edited.0.len(), parsed.0.len());
    for ((key, value), (key_before, value_before)) in edited.0.iter().zip(&parsed.0) {
        assert_eq!(key.get(), key_before.get());
        let expected = if text(key).as_deref() == Some("model") { &written } else { value_before.get() };
        assert_eq!(value.get(), expected);
    }
}

fn refused(body: &[u8], reason: &Reason, parsed: Option<&Object<'_>>) {
    match reason {
        Reason::InvalidUtf8 => assert!(std::str::from_utf8(body).is_err()),
        Reason::InvalidJson { line, column } => {
            assert!(parsed.is_none(), "a JSON object is not refused as invalid");
            let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
            let line = lines.get(line - 1).expect("the line is one of the body's");
            assert!((1..=line.len() + 1).contains(column), "the column is one of the line's");
        }
        Reason::TooDeep { limit } => assert!(*limit == DEPTH_MAX && depth(body) > DEPTH_MAX),
        Reason::DuplicateKey { key: "include_usage" } => {
            let options = parsed.and_then(|body| body.only("stream_options")).expect("there are options");
            let options = parse(options.get().as_bytes()).expect("they are an object");
            assert!(options.all("include_usage").count() > 1);
        }
        Reason::DuplicateKey { key } => {
            let same = |name: &&RawValue| text(name).is_some_and(|name| name.eq_ignore_ascii_case(key));
            let names = parsed.expect("valid otherwise").0.iter().map(|(name, _)| *name);
            assert!(names.filter(same).count() > 1);
        }
        Reason::MissingModel => assert_eq!(parsed.expect("valid otherwise").all("model").count(), 0),
        Reason::ModelNotString => {
            let model = parsed.expect("valid otherwise").only("model").expect("there is one");
            assert_eq!(text(model), None);
        }
        other => panic!("{other:?} is nothing that a body is refused for here"),
    }
}

/// An object's keys and values as they stand, none left out.
struct Object<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Object<'a> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'a RawValue> {
        self.0.iter().filter(move |(key, _)| text(key).as_deref() == Some(name)).map(|(_, value)| *value)
    }

    fn only(&self, name: &str) -> Option<&'a RawValue> {
        let mut all = self.all(name);
        let first = all.next();
        assert!(all.next().is_none(), "`{name}` stands there twice");
        first
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// What `serde_json` makes of a body.
fn parse(body: &[u8]) -> Option<Object<'_>> {
    serde_json::from_str(std::str::from_utf8(body).ok()?).ok()
}

/// The value of a JSON string that has one: a lone surrogate has none.
fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// The most brackets of either kind that are open at once, those in strings not counted.
fn depth(body: &[u8]) -> usize {
    let (mut open, mut most, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => open += 1,
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}
