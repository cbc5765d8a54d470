//! What is wrong with a configuration file, and where.

use std::fmt;

use super::{Config, Secret};

/// A configuration that holds, and what its author should know nevertheless.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// What may stop Weir from running later, such as a secret that is not there yet; by position.
    pub warnings: Vec<Problem>,
}

/// What a file that a configuration names is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileUse<'c> {
    /// It holds a secret.
    Secret,
    /// It holds certificates in PEM.
    Certificates,
    /// It holds the certificate of a listener in PEM, with what stands between it and its authority.
    Identity {
        /// The key that has to belong to it; `None` to look at the certificate alone.
        key: Option<&'c Secret>,
    },
    /// It holds the keys of callers, as digests.
    Keys,
    /// It holds an Ed25519 private key in PEM.
    SigningKey,
    /// It holds a JSON Web Key Set.
    Jwks,
}

/// One mistake of a file. Its text never holds what stands under a pool's `key`, nor a URL: either may carry
/// a secret, and problems end up in terminals, logs and tickets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// Character in that line, from 1.
    pub column: usize,
    /// The keys that lead there, as `routes.letter-writer.targets[1].weight`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that is known.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    /// `line:column: path: message; help`, to be printed after the file's name and a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

impl std::error::Error for Problem {}

/// What is wrong with a value, before it is known where that value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// `text` as a message may show it: in backticks, short, and without characters that would move a terminal's
/// cursor.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::from("`");
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN_CHARS_MAX {
            out.push('…');
            break;
        }
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out.push('`');
    out
}

/// Longest piece of a file that a message repeats: enough to recognise it, one line on a terminal.
const SHOWN_CHARS_MAX: usize = 60;
