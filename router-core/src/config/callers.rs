//! How callers are known, and what they may use.

use std::path::PathBuf;

use super::{Config, Jwt, Quota};
use crate::identify::Digest;

/// A key by which a caller is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The caller's name in logs. Several keys of one segment may have the same, so that one can follow the other.
    pub id: String,
    /// What is known of the key.
    pub sha256: Digest,
    /// When it ends, in seconds of Unix time; `None` for never.
    pub expires: Option<u64>,
    /// What it may be used for, as [`Config::topics`] names it; everything if `None`.
    pub routes: Option<Vec<String>>,
    /// What its caller may use, within what the segment may; the same for all keys of one `id`.
    pub quota: Option<Quota>,
}

/// A key of a file of keys.
#[derive(Clone, Debug, PartialEq)]
pub struct FileKey {
    /// Index into [`Config::segments`].
    pub segment: usize,
    /// The key.
    pub key: Key,
}

/// Where callers are known from, besides the keys of the segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// A file of keys, read again when it changes.
    pub keys_file: Option<PathBuf>,
    /// Whose bearer tokens are taken, if any are.
    pub jwt: Option<Jwt>,
}

impl Config {
    /// Whether callers are known by credentials of Weir's own. From then on one that is not known is refused, and
    /// none is ever passed on.
    #[must_use]
    pub fn knows_callers(&self) -> bool {
        let Identity { keys_file, jwt } = &self.identity;
        keys_file.is_some() || jwt.is_some() || self.segments.iter().any(|segment| !segment.keys.is_empty())
    }

    /// The names of everything that calls go to: of the routes, and `passthrough:` with the prefix of each passthrough.
    pub fn topics(&self) -> impl Iterator<Item = String> {
        let prefixes = self.passthrough.iter().map(|one| one.topic());
        self.routes.iter().map(|route| route.name.clone()).chain(prefixes)
    }
}

impl super::Passthrough {
    /// The name under which metrics, keys and commands know it.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("passthrough:{}", self.prefix)
    }
}
