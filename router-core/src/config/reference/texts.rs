//! Values that are text: what they are called, what may stand there, and a pattern that says it to editors.
//! The patterns refuse the usual mistakes and nothing that the reader takes; the reader says the rest.

use crate::config::scalar::CREDENTIAL_HEADERS;

/// A kind of text.
#[derive(Debug)]
pub(in crate::config) struct Text {
    /// What it is, for the column "type".
    pub(super) name: &'static str,
    /// What may stand there, for the column "range".
    pub(super) range: &'static str,
    /// A regular expression for the whole text, without anchors.
    pub(super) pattern: &'static str,
    /// Whether it may look like a number or a switch, as the model `4` does.
    pub(super) bare: bool,
    /// Whether `${NAME}` is replaced in it.
    pub(super) variables: bool,
    /// Words that fit the pattern and are refused.
    pub(super) never: &'static [&'static str],
    /// A regular expression for parts that are refused; empty for none.
    pub(super) without: &'static str,
}

/// Words that stand where a route's name does in `/weir/backpressure/…`.
pub(in crate::config) const ROUTE_NAMES_TAKEN: [&str; 2] = ["stream", "pools"];

/// Words that `anonymous` gives a meaning of their own.
pub(in crate::config) const SEGMENT_NAMES_TAKEN: [&str; 1] = ["refuse"];

const PLAIN: Text =
    Text { name: "text", range: "", pattern: "", bare: false, variables: true, never: &[], without: "" };

pub(super) static ADDRESS: Text = Text {
    name: "address",
    range: "IP address or `localhost`, and a port (0 takes a free one), or `unix:/path` of at most 107 bytes",
    pattern: r"unix:/.*[^/]|localhost:[0-9]{1,5}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}:[0-9]{1,5}|\[[0-9A-Fa-f:.]+(?:%[0-9]+)?\]:[0-9]{1,5}",
    ..PLAIN
};
pub(super) static ADMIN_ADDRESS: Text = Text {
    range: "as any address, but on loopback or `unix:/path` only where there are no `keys`",
    ..ADDRESS
};
pub(super) static URL: Text = Text {
    name: "URL",
    range: "`http://` or `https://`, a host, optionally a port and a path; no user, query or fragment",
    pattern: r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+(?:/[^?#@\s]*)?",
    ..PLAIN
};
pub(super) static HEADER_NAME: Text = Text {
    name: "header",
    range: "name of a request header that carries no credential",
    pattern: r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}",
    bare: true,
    never: &CREDENTIAL_HEADERS,
    ..PLAIN
};
pub(super) static HEADER_VALUE: Text = Text {
    range: "1 to 256 printable ASCII characters, no space around them",
    pattern: r"[!-~](?:[ -~]{0,254}[!-~])?",
    bare: true,
    ..PLAIN
};
pub(super) static MODEL: Text = Text {
    name: "model",
    range: "1 to 256 characters without spaces",
    pattern: r"\S{1,256}",
    bare: true,
    ..PLAIN
};
pub(super) static POOL: Text = Text {
    name: "pool",
    range: "a pool of this file",
    pattern: r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    bare: true,
    ..PLAIN
};
pub(super) static POOL_NAME: Text = Text {
    name: "name",
    range: "1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first",
    variables: false,
    pattern: r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    ..PLAIN
};
pub(super) const SEGMENT: Text = Text {
    name: "segment",
    range: "a segment of this file",
    pattern: r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    bare: true,
    never: &SEGMENT_NAMES_TAKEN,
    ..PLAIN
};
pub(super) static ANONYMOUS: Text =
    Text { range: "a segment of this file, or `refuse`", never: &[], ..SEGMENT };
pub(super) static CALLER: Text = Text {
    name: "name",
    range: "1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first",
    pattern: r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    bare: true,
    ..PLAIN
};
pub(super) static DIGEST: Text = Text {
    name: "digest",
    range: "SHA-256 digest of a key, 64 hexadecimal digits",
    pattern: "[0-9A-Fa-f]{64}",
    bare: true,
    ..PLAIN
};
pub(super) static MOMENT: Text = Text {
    name: "moment",
    range: "date and time as RFC 3339 has them, `2027-01-31T00:00:00Z`",
    pattern: r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
    ..PLAIN
};
pub(super) static TOPIC: Text = Text {
    name: "route",
    range: "a route of this file, `*` for the route of that name, or `passthrough:` and a prefix of this file",
    pattern: r"\S{1,268}",
    bare: true,
    ..PLAIN
};
pub(super) static SEGMENT_NAME: Text = Text {
    name: "name",
    range: "1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first; not `refuse`",
    variables: false,
    pattern: r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    never: &SEGMENT_NAMES_TAKEN,
    ..PLAIN
};
pub(super) static TARGET: Text = Text {
    name: "target",
    range: "`pool` or `pool/model`, split at the first slash",
    pattern: r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:/\S{1,256})?",
    bare: true,
    ..PLAIN
};
pub(super) static ROUTE_NAME: Text = Text {
    name: "name",
    range: "1 to 256 characters without spaces; not `stream` or `pools`",
    pattern: r"\S{1,256}",
    variables: false,
    never: &ROUTE_NAMES_TAKEN,
    ..PLAIN
};
pub(super) static FILE: Text =
    Text { name: "path", range: "path of a file", pattern: r".+", bare: true, ..PLAIN };
pub(super) static SAID: Text =
    Text { range: "1 to 256 characters without spaces", pattern: r"\S{1,256}", bare: true, ..PLAIN };
pub(super) static JWKS: Text = Text {
    name: "URL or path",
    range: "`http://` or `https://` URL without user, query or fragment, or the path of a file",
    pattern: r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+(?:/[^?#@\s]*)?|[^:]+|[^:]*:[^/].*",
    bare: true,
    ..PLAIN
};
pub(super) static VARIABLE: Text = Text {
    name: "variable",
    range: "bare name of an environment variable",
    pattern: r"[A-Za-z_][A-Za-z0-9_]*",
    variables: false,
    ..PLAIN
};
pub(super) static PREFIX: Text = Text {
    name: "path",
    range: "`/` and up to 255 visible ASCII characters without `%?#;\\`, `//`, `.` or `..` segments, no slash at the end; \
            not `/v1`, `/health`, `/weir` or below",
    pattern: r#"/[!"$&-:<->@-\[\]-~]{0,255}"#,
    without: r"^/(?:v1|health|weir)(?:/|$)|/\.{0,2}(?:/|$)",
    ..PLAIN
};
