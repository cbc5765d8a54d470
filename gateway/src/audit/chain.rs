//! A line of the audit log: how it is written, sealed with the hash of the one before, and read again. `hash` is the
//! SHA-256 of the line without its `hash` and `sig`, which are the last fields; `sig` is made of the hash's bytes.

use std::fmt::Write as _;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Change, SigningKey};

/// What the first line has as the hash of the one before.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) seq: u64,
    pub(crate) hash: String,
}

/// A line that was read, whether or not it is right.
#[derive(Debug)]
pub(super) struct Read {
    /// What its hash is made of.
    text: String,
    pub(super) head: Head,
    pub(super) hash: String,
    pub(super) signature: Option<String>,
}

/// What of a line matters to the chain.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) prev: String,
    pub(super) action: String,
    pub(super) before: Value,
}

/// The fields in their order.
#[derive(Serialize)]
struct Fields<'a> {
    seq: u64,
    time: String,
    actor: &'a str,
    role: &'a str,
    from: &'a str,
    action: &'a str,
    target: &'a str,
    before: &'a Value,
    after: &'a Value,
    request_id: Option<&'a str>,
    prev: &'a str,
}

impl Link {
    /// Before the first line.
    pub(super) fn origin() -> Self {
        Self { seq: 0, hash: NOTHING.to_owned() }
    }

    /// The line that follows, without a newline, and the chain's end then.
    pub(super) fn line(&self, change: &Change, time: SystemTime, key: Option<&SigningKey>) -> (String, Self) {
        let seq = self.seq + 1;
        let fields = Fields {
            seq,
            time: humantime::format_rfc3339_millis(time).to_string(),
            actor: &change.by.actor,
            role: change.by.role,
            from: &change.by.from,
            action: change.action.name(),
            target: &change.target,
            before: &change.before,
            after: &change.after,
            request_id: change.by.request_id.as_deref(),
            prev: &self.hash,
        };
        // Texts and numbers: writing them cannot fail.
        let text = serde_json::to_string(&fields).unwrap_or_default();
        let hash = fingerprint(text.as_bytes());
        let mut line = text.strip_suffix('}').unwrap_or_default().to_owned();
        write!(line, ",\"hash\":\"{hash}\"").unwrap_or_default();
        if let Some(key) = key {
            write!(line, ",\"sig\":\"{}\"", hex(&key.sign(hash.as_bytes()))).unwrap_or_default();
        }
        line.push('}');
        (line, Self { seq, hash })
    }
}

impl Read {
    /// `None` if this is no line of such a log.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (body, seal) = line.rsplit_once(",\"hash\":\"")?;
        let seal = seal.strip_suffix("\"}")?;
        let (hash, signature) = match seal.split_once("\",\"sig\":\"") {
            Some((hash, signature)) => (hash, Some(signature.to_owned())),
            None => (seal, None),
        };
        let text = format!("{body}}}");
        let head = serde_json::from_str(&text).ok()?;
        Some(Self { text, head, hash: hash.to_owned(), signature })
    }

    /// Whether its text is what its hash was made of.
    pub(super) fn is_whole(&self) -> bool {
        fingerprint(self.text.as_bytes()) == self.hash
    }

    pub(super) fn link(&self) -> Link {
        Link { seq: self.head.seq, hash: self.hash.clone() }
    }

    /// Whether it marks these bytes as a line that a crash left torn.
    pub(super) fn marks(&self, torn: &[u8]) -> bool {
        self.head.action == super::Action::Recover.name() && self.head.before == torn_mark(torn)
    }
}

/// What a line says of one that a crash left torn.
pub(super) fn torn_mark(torn: &[u8]) -> Value {
    serde_json::json!({ "torn_bytes": torn.len(), "torn_sha256": fingerprint(torn) })
}

/// SHA-256, in hexadecimal digits.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(out, "{byte:02x}").unwrap_or_default();
    }
    out
}

/// The bytes of hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let digits = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        u8::from_str_radix(digits, 16).ok()
    };
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
