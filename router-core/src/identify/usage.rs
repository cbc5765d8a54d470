//! Does a body ask for the token counts of its stream (`stream_options.include_usage`), and if not, which edit makes
//! it ask? For OpenAI's chat and text completions; other APIs send their counts unasked.

use std::ops::Range;

use bytes::Bytes;

use super::json::{Cursor, Fault};
use super::{Edit, name};
use crate::dialect::Reason;

const KEY: &str = "include_usage";

/// The edit that makes a body ask. `None` if it asks, or has something there that only its upstream can judge.
/// `stream` and `options` are where the values of those keys stand.
pub(super) fn edit(
    text: &str,
    stream: &Range<usize>,
    options: Option<Range<usize>>,
) -> Result<Option<Edit>, Reason> {
    let Some(options) = options else {
        let with = Bytes::from_static(br#","stream_options":{"include_usage":true}"#);
        return Ok(Some(Edit { span: stream.end..stream.end, with }));
    };
    let value = text.get(options.clone()).unwrap_or_default();
    if value == "null" {
        return Ok(Some(Edit { span: options, with: Bytes::from_static(br#"{"include_usage":true}"#) }));
    }
    if !value.starts_with('{') {
        return Ok(None);
    }
    let Some(asked) = include_usage(value)? else {
        let empty = value.get(1..).is_some_and(|rest| rest.trim_start().starts_with('}'));
        let with: &[u8] = if empty { br#""include_usage":true"# } else { br#""include_usage":true,"# };
        let at = options.start + 1;
        return Ok(Some(Edit { span: at..at, with: Bytes::from_static(with) }));
    };
    let edit = match value.get(asked.clone()) {
        Some("false" | "null") => {
            let span = options.start + asked.start..options.start + asked.end;
            Some(Edit { span, with: Bytes::from_static(b"true") })
        }
        _ => None,
    };
    Ok(edit)
}

/// Where the value of `include_usage` stands in an object.
fn include_usage(object: &str) -> Result<Option<Range<usize>>, Reason> {
    // The body has been judged: there is no fault in a part of it.
    let values = values(object).unwrap_or_default();
    let mut values = values.into_iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Reason::DuplicateKey { key: KEY }),
        (first, None) => Ok(first),
    }
}

fn values(object: &str) -> Result<Vec<Range<usize>>, Fault> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(object.as_bytes());
    cursor.expect(b'{')?;
    let mut more = !cursor.take(b'}');
    while more {
        let key = cursor.string()?;
        cursor.expect(b':')?;
        let value = cursor.value(1)?;
        if name(object, &key) == KEY {
            found.push(value);
        }
        more = cursor.take(b',');
    }
    Ok(found)
}
