//! `weir key`: keys by which callers are known. A key is shown once, by this command, and kept nowhere.

use aws_lc_rs::rand;
use router_core::identify::Digest;
use serde_json::json;

use super::{Stop, print};
use crate::cli::{KeyAction, KeyNew};
use crate::snapshot::sha256;

/// As many bits of chance as a digest has: nobody finds a key by trying.
const CHANCE_BYTES: usize = 32;
/// What every key begins with, so that people and scanners of secrets know one when they see it.
const PREFIX: &str = "weir-";
/// Longest name of a caller.
const NAME_CHARS_MAX: usize = 64;

pub(crate) fn key(action: &KeyAction) -> Result<(), Stop> {
    match action {
        KeyAction::New(arguments) => new(arguments),
    }
}

fn new(arguments: &KeyNew) -> Result<(), Stop> {
    let mut chance = [0; CHANCE_BYTES];
    rand::fill(&mut chance).map_err(|_| Stop::Failed("the system gives no random numbers".into()))?;
    let key = format!("{PREFIX}{}", Digest(chance));
    let sha256 = sha256(key.as_bytes()).to_string();
    let id = match arguments.id.as_deref() {
        Some(id) if is_name(id) => id.to_owned(),
        Some(_) => {
            let message = "--id: 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first";
            return Err(Stop::Usage(message.into()));
        }
        // Another one for each key, for those who name callers later.
        None => format!("key-{}", sha256.chars().take(8).collect::<String>()),
    };
    let text = if arguments.json {
        format!("{}\n", json!({ "id": id, "key": key, "sha256": sha256 }))
    } else {
        format!(
            "The key, for its caller; it is shown this once:\n\n  {key}\n\n\
             The line for `segments.NAME.keys`, or with a `segment` for the file of keys:\n\n  \
             - {{ id: {id}, sha256: \"{sha256}\" }}\n"
        )
    };
    print(text.as_bytes())
}

fn is_name(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && id.len() <= NAME_CHARS_MAX && id.bytes().all(allowed)
}
