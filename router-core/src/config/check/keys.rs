//! Which keys stand where: those that act now, and those that a later version gives a meaning. Whatever is
//! in neither list is a mistake, and the lists help to say which.

use crate::config::problem::{Complaint, shown};
use crate::config::suggest::nearest;

/// The keys of one kind of mapping.
pub(super) struct Section {
    /// Where such a mapping stands, for messages.
    place: &'static str,
    known: &'static [&'static str],
    /// Keys of the documented configuration that this version has no code for: refused by name, so that
    /// nobody believes in a setting that does nothing.
    later: &'static [&'static str],
}

pub(super) static TOP: Section = Section {
    place: "the top level",
    known: &["listen", "admin", "limits", "drain", "log", "pools", "routes"],
    later: &[
        "segments",
        "anonymous",
        "identity",
        "quota_store",
        "degrade",
        "backpressure",
        "audit",
        "passthrough",
        "runtime",
        "policy",
        "trace",
    ],
};
pub(super) static LISTEN: Section =
    Section { place: "`listen[]`", known: &["address"], later: &["tls", "trust_headers"] };
pub(super) static ADMIN: Section =
    Section { place: "`admin`", known: &["address"], later: &["tls", "keys", "metrics"] };
pub(super) static LIMITS: Section = Section {
    place: "`limits`",
    known: &["body"],
    later: &["head", "uri", "body_memory", "connections", "header_read", "body_read", "idle", "client_stall"],
};
pub(super) static LOG: Section =
    Section { place: "`log`", known: &["format", "access", "headers"], later: &[] };
pub(super) static POOL: Section = Section {
    place: "`pools.NAME`",
    known: &["endpoints", "dialects", "key", "ca", "balance", "timeouts", "http2", "usage"],
    later: &[
        "discover",
        "client_certificate",
        "concurrency",
        "non_streaming",
        "bulkhead",
        "batch",
        "gauges",
        "affinity",
        "health",
        "ejection",
        "scaling",
    ],
};
pub(super) static ENDPOINT: Section =
    Section { place: "`pools.NAME.endpoints[]`", known: &["url"], later: &["weight"] };
pub(super) static POOL_TIMEOUTS: Section = Section {
    place: "`pools.NAME.timeouts`",
    known: &["connect", "headers", "first_token", "idle", "answer"],
    later: &["min_rate"],
};
pub(super) static ROUTE: Section = Section {
    place: "`routes.NAME`",
    known: &["targets", "canary"],
    later: &["fallback", "retry", "degrade", "hedge", "when_full", "queue", "timeouts", "allow"],
};
pub(super) static TARGET: Section =
    Section { place: "`routes.NAME.targets[]`", known: &["pool", "model", "weight"], later: &[] };
pub(super) static CANARY: Section =
    Section { place: "`routes.NAME.canary[]`", known: &["header", "equals", "target"], later: &["guard"] };

static ALL: [&Section; 11] =
    [&TOP, &LISTEN, &ADMIN, &LIMITS, &LOG, &POOL, &ENDPOINT, &POOL_TIMEOUTS, &ROUTE, &TARGET, &CANARY];

impl Section {
    pub(super) fn knows(&self, key: &str) -> bool {
        self.known.contains(&key)
    }

    /// The key that a mistyped one was most likely meant to be.
    pub(super) fn meant(&self, key: &str) -> Option<&'static str> {
        if self.later.contains(&key) { None } else { nearest(key, self.known.iter().copied()) }
    }

    /// What to tell about a key that this mapping does not have: a later version's key, a slip of the hand,
    /// a key of another mapping, or none of these.
    pub(super) fn unknown(&self, key: &str) -> Complaint {
        let name = shown(key);
        if self.later.contains(&key) {
            return not_supported(&name);
        }
        if let Some(known) = self.meant(key) {
            return Complaint::new(format!("unknown key {name}, did you mean `{known}`?"));
        }
        let homes: Vec<_> = ALL.iter().filter(|section| section.knows(key)).map(|s| s.place).collect();
        if !homes.is_empty() {
            return Complaint::new(format!("unknown key {name} here"))
                .help(format!("it belongs to {}", homes.join(" or ")));
        }
        if ALL.iter().any(|section| section.later.contains(&key)) {
            return not_supported(&name);
        }
        Complaint::new(format!("unknown key {name}")).help(format!(
            "{} has {}",
            self.place,
            self.known.join(", ")
        ))
    }
}

/// What to tell about something that a later version may have.
pub(super) fn not_supported(name: &str) -> Complaint {
    Complaint::new(format!("{name} is not supported by this version"))
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn the_guide_explains_every_key_and_no_other() {
        let guide = include_str!("../../../../config/README.md");
        let mut keys: Vec<_> = ALL
            .iter()
            .flat_map(|section| {
                section.known.iter().map(|key| format!("{}.{key}", section.place.trim_matches('`')))
            })
            .map(|key| key.trim_start_matches("the top level.").to_owned())
            .collect();
        keys.extend(["pools.NAME.key.env", "pools.NAME.key.file"].map(str::to_owned));
        let explained: Vec<_> = guide
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
            .map(|row| row.0)
            .collect();
        for key in &explained {
            let known = keys.iter().any(|known| known == key);
            assert!(known, "`{key}` is explained but not known");
        }
        for key in &keys {
            let part = |other: &&str| {
                other.strip_prefix(&**key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            assert!(explained.iter().any(part), "`{key}` is not explained");
        }
    }
}
