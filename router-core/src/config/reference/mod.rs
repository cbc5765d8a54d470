//! Every key of the file, described once: where it stands, what it takes, what holds without it, what it does
//! and when to change it. The reader knows its keys from here, and the JSON Schema ([`schema()`]) and the
//! reference ([`markdown()`]) are written from here, so none of them can say something else.
//!
//! Ranges come from `bounds`, defaults from `defaults`. What only two keys together make wrong (weights that
//! do not sum to 1, a pool that is not there) is the reader's business alone.

mod audit;
mod concurrency;
mod identity;
mod jwt;
mod markdown;
mod operators;
mod pools;
mod quotas;
mod routes;
mod schema;
mod segments;
mod service;
mod texts;
pub(super) mod tls;

use std::time::Duration;

use serde_json::Value;

pub(super) use audit::AUDIT;
pub(super) use concurrency::{CONCURRENCY, LIMIT_PARAMS, MIN_RTT_PARAMS};
pub(super) use identity::{FILE_KEY, IDENTITY, SEGMENT_KEY};
pub(super) use jwt::{CLAIMS, JWT};
pub use markdown::markdown;
pub(super) use operators::ADMIN_KEY;
pub(super) use pools::{BATCH, BULKHEAD, ENDPOINT, GAUGES, KEY, POOL, POOL_TIMEOUTS};
pub(super) use quotas::{KEY_QUOTA, QUOTA};
pub(super) use routes::{CANARY, PASSTHROUGH, QUEUE, ROUTE, ROUTE_TIMEOUTS, TARGET};
pub use schema::schema;
pub(super) use segments::{OBJECTIVE, SEGMENT};
pub(super) use service::{ADMIN, DRAIN, LIMITS, LISTEN, LOG, METRICS};
use texts::Text;
pub(super) use texts::{ROUTE_NAMES_TAKEN, SEGMENT_NAMES_TAKEN};
pub(super) use tls::TlsSections;

use super::bounds::Range;
use super::{
    Admin, Config, Drain, Identity, Jwt, Limits, Listen, Log, Pool, Queue, Route, RouteTimeouts, Segment,
    WhenFull, render,
};

/// A mapping with fixed keys.
#[derive(Debug)]
pub(super) struct Section {
    /// The keys that lead there, as in `pools.NAME.endpoints[]`; empty for the top level.
    pub(super) place: &'static str,
    /// What the whole is, for the reference.
    about: &'static str,
    pub(super) keys: &'static [Key],
    /// Keys of the documented configuration that this version has no code for: refused by name, so that
    /// nobody believes in a setting that does nothing.
    pub(super) later: &'static [&'static str],
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) without: Without,
    /// What it does and when to change it, in sentences.
    pub(super) about: &'static str,
}

/// What holds where a key is left out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Without {
    /// The file is refused.
    Refused,
    /// The value that `defaults` has.
    Default,
    /// This, in words.
    Told(&'static str),
}

/// What a value may be.
#[derive(Debug)]
pub(super) enum Kind {
    Duration(Range<Duration>),
    /// Bytes.
    Size(Range<u64>),
    /// A whole number.
    Count(Range<u64>),
    /// A number, with or without a fraction.
    Number(Range<f64>),
    /// A number from 0 to 1.
    Weight,
    Switch,
    Word(&'static [&'static str]),
    Text(&'static Text),
    /// One of these.
    Either(&'static [Self]),
    List(&'static Self, Items),
    Section(&'static Section),
    /// A mapping from names of the file's own to sections, `NAME` in paths.
    Named(&'static Text, &'static Section),
    /// Where a secret is: one of the section's keys.
    Secret(&'static Section),
}

/// How many items a list may have, and whether two may be equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items {
    least: usize,
    most: Option<usize>,
    unique: bool,
}

impl Section {
    /// This section and all that stand in it, in the order of the reference.
    pub(super) fn all(&'static self) -> Vec<&'static Self> {
        let mut found = vec![self];
        found.extend(self.keys.iter().filter_map(|key| key.kind.section()).flat_map(Self::all));
        found
    }

    /// The whole path of one of its keys.
    pub(super) fn path(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }
}

impl Kind {
    /// The section that stands in such a value, however deep in lists or names.
    pub(super) fn section(&self) -> Option<&'static Section> {
        match self {
            Self::Section(section) | Self::Named(_, section) | Self::Secret(section) => Some(section),
            Self::List(items, _) => items.section(),
            Self::Either(kinds) => kinds.iter().find_map(Self::section),
            Self::Duration(_)
            | Self::Size(_)
            | Self::Count(_)
            | Self::Number(_)
            | Self::Weight
            | Self::Switch
            | Self::Word(_)
            | Self::Text(_) => None,
        }
    }
}

/// A configuration in which everything that has a default has it, as JSON.
fn defaults() -> Value {
    let route = Route {
        name: NAME.to_owned(),
        targets: Vec::new(),
        canary: Vec::new(),
        timeouts: RouteTimeouts::default(),
        when_full: WhenFull::Spill,
        queue: Queue::default(),
        allow: None,
    };
    render::to_json(&Config {
        listen: vec![Listen::default()],
        admin: Admin::default(),
        limits: Limits::default(),
        drain: Drain::default(),
        log: Log::default(),
        audit: None,
        pools: vec![Pool::new(NAME)],
        routes: vec![route],
        passthrough: Vec::new(),
        segments: vec![Segment::new(NAME)],
        anonymous: Some(0),
        identity: Identity { keys_file: None, jwt: Some(Jwt::example()) },
    })
}

/// The default of the key at a path such as `pools.NAME.timeouts.idle`.
fn default_at<'v>(defaults: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(defaults, |value, key| value.get(key))
}

/// Stands for a name of the file's own.
const NAME: &str = "NAME";

pub(super) static TOP: Section = Section {
    place: "",
    about: "",
    keys: &[
        Key {
            name: "listen",
            kind: Kind::List(&Kind::Section(&LISTEN), Items { least: 1, most: None, unique: false }),
            without: Without::Default,
            about: "Where clients come in: one listener or several.",
        },
        Key {
            name: "admin",
            kind: Kind::Section(&ADMIN),
            without: Without::Told("the defaults below"),
            about: "Where operators come in: metrics, health, what is in force.",
        },
        Key {
            name: "limits",
            kind: Kind::Section(&LIMITS),
            without: Without::Told("the defaults below"),
            about: "What a caller may send, and how long it may keep Weir waiting. `weir_limit_hits_total` counts by limit who went too far.",
        },
        Key {
            name: "drain",
            kind: Kind::Either(&[Kind::Duration(super::bounds::DRAIN), Kind::Section(&DRAIN)]),
            without: Without::Told("the defaults below"),
            about: "What happens once Weir was told to stop. A duration alone is `requests` and `streams` in one.",
        },
        Key {
            name: "log",
            kind: Kind::Section(&LOG),
            without: Without::Told("the defaults below"),
            about: "What is logged. Prompts, completions and credentials never are.",
        },
        Key {
            name: "audit",
            kind: Kind::Section(&AUDIT),
            without: Without::Told("no such log"),
            about: "A log of every change that is made while Weir runs: who, from where, what was before and what is after. `weir audit verify` finds what was edited in it.",
        },
        Key {
            name: "pools",
            kind: Kind::Named(&texts::POOL_NAME, &POOL),
            without: Without::Refused,
            about: "Groups of endpoints that serve the same thing, by name; at least one.",
        },
        Key {
            name: "routes",
            kind: Kind::Named(&texts::ROUTE_NAME, &ROUTE),
            without: Without::Told("refused, unless there is a `passthrough`"),
            about: "The model names that clients ask for, and where their calls go; at least one, unless there is a `passthrough`. \
                    `\"*\"` (in quotes) catches every name that no other route has.",
        },
        Key {
            name: "passthrough",
            kind: Kind::List(&Kind::Section(&PASSTHROUGH), Items { least: 0, most: None, unique: false }),
            without: Without::Default,
            about: "Paths that go to a pool as they are: for LangServe and whatever else speaks no API that Weir knows.",
        },
        Key {
            name: "segments",
            kind: Kind::Named(&texts::SEGMENT_NAME, &SEGMENT),
            without: Without::Told("one segment, `default`, with the defaults below"),
            about: "Classes of callers, by name: what each was promised, and who comes first when there is not enough for all. \
                    `weir_queued`, `weir_shed_total` and `weir_first_token_seconds` show them apart.",
        },
        Key {
            name: "anonymous",
            kind: Kind::Text(&texts::ANONYMOUS),
            without: Without::Told(
                "`refuse` once any key is configured; before that the only segment, and needed if there are several",
            ),
            about: "The segment of callers that come without a key, and that no listener with `trust_headers` lets name one. `refuse` answers them 401. \
                    A key that is not known is 401 in either case; before any key is configured, credentials are not looked at.",
        },
        Key {
            name: "identity",
            kind: Kind::Section(&IDENTITY),
            without: Without::Told("only the keys of the segments are known"),
            about: "Where callers are known from, besides the keys of the segments.",
        },
    ],
    later: &["quota_store", "degrade", "backpressure", "runtime", "policy", "trace"],
};
