//! Paths of no known API that go to a pool as they are: which prefix takes a path, and the shapes of errors on
//! them, which are FastAPI's and LangServe's, since that is what stands behind most of them.

use serde::Serialize;

use super::{Reason, json};

#[derive(Serialize)]
struct Envelope<'a> {
    detail: &'a str,
}

/// What `langserve`'s client raises as an HTTP error.
#[derive(Serialize)]
struct Event<'a> {
    status_code: u16,
    message: &'a str,
    code: &'a str,
}

/// The place in `prefixes` of the longest that `path` is or lies below.
///
/// # Errors
///
/// [`Reason::BadHead`] for a path below a prefix that servers could read in different ways, so that it might
/// leave the prefix behind Weir's back.
pub fn passthrough<'p>(prefixes: impl Iterator<Item = &'p str>, path: &str) -> Result<Option<usize>, Reason> {
    let below =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let found =
        prefixes.enumerate().filter(|(_, prefix)| below(prefix)).max_by_key(|(_, prefix)| prefix.len());
    match found {
        Some(_) if !is_plain(path) => {
            Err(Reason::BadHead { fault: "the path can be read in different ways" })
        }
        found => Ok(found.map(|(index, _)| index)),
    }
}

/// Whether every server reads `path` as the same segments: no dot segments, no escaped slash, backslash or NUL,
/// no escape that is escaped itself.
fn is_plain(path: &str) -> bool {
    let dots = |segment: &str| {
        let segment = segment.replace("%2e", ".").replace("%2E", ".");
        segment == "." || segment == ".."
    };
    let escapes = path.split('%').skip(1);
    let odd = |escape: &str| {
        let code = escape.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        matches!(code, None | Some(0 | b'/' | b'\\' | b'%'))
    };
    !path.contains(['\\', '\0']) && !path.split('/').any(dots) && !escapes.into_iter().any(odd)
}

/// The error envelope.
pub(super) fn error(message: &str) -> String {
    json(&Envelope { detail: message })
}

/// The event that ends a broken stream. `kind` is OpenAI's `type`.
pub(super) fn error_event(message: &str, kind: &str, code: &str) -> String {
    let status_code = if kind == "upstream_error" { 502 } else { 503 };
    format!("event: error\ndata: {}\n\n", json(&Event { status_code, message, code }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str) -> Result<Option<usize>, Reason> {
        passthrough(["/chain", "/chain/deep", "/a"].into_iter(), path)
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_takes_a_path() {
        assert_eq!(find("/chain"), Ok(Some(0)));
        assert_eq!(find("/chain/invoke"), Ok(Some(0)));
        assert_eq!(find("/chain/deep/stream"), Ok(Some(1)));
        assert_eq!(find("/chains"), Ok(None));
        assert_eq!(find("/"), Ok(None));
        assert_eq!(find("/chain/c/N4X%20a%C3%A9/invoke"), Ok(Some(0)));
    }

    #[test]
    fn what_could_leave_the_prefix_is_refused() {
        for path in [
            "/chain/../metrics",
            "/chain/%2e%2e/metrics",
            "/chain/.%2E/metrics",
            "/chain/./x",
            "/chain/a%2Fb",
            "/chain/a%2fb",
            "/chain/a%5cb",
            "/chain/a\\b",
            "/chain/a%00",
            "/chain/%252e%252e/x",
            "/chain/%zz",
            "/chain/%",
        ] {
            assert!(find(path).is_err(), "{path}");
        }
    }
}
