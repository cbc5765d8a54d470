//! The section about quotas: what a class of callers may use.

use super::{Key, Kind, Section, Without};
use crate::config::bounds::{BURST, CONCURRENT, REQUESTS_PER_SECOND, TOKENS_PER_MINUTE};

pub(in crate::config) static QUOTA: Section = Section {
    place: "segments.NAME.quota",
    about: "Each process counts for itself. Callers see what is left in `x-ratelimit-*`, `anthropic-ratelimit-*` and `RateLimit`; \
            who exceeds it is told 429 with `x-weir-reason: quota-requests`, `quota-tokens` or `quota-concurrency`, and when to come \
            back. `weir_rate_limited_total` counts them. A call that Weir itself refuses is not counted against a quota, and one \
            that no model answers costs no tokens.",
    keys: KEYS,
    later: &[],
};

pub(in crate::config) static KEY_QUOTA: Section = Section {
    place: "segments.NAME.keys[].quota",
    about: "As of a segment, for one caller. A call has to be within both; callers are told of the one of which less is left.",
    keys: KEYS,
    later: &[],
};

const KEYS: &[Key] = &[
    Key {
        name: "requests_per_second",
        kind: Kind::Number(REQUESTS_PER_SECOND),
        without: Without::Told("no limit"),
        about: "Calls over time; 0.5 is one every two seconds. Requests for lists of models are not counted.",
    },
    Key {
        name: "burst",
        kind: Kind::Count(BURST),
        without: Without::Told("twice `requests_per_second`, at least 1"),
        about: "Most calls at once, after a pause in which nothing was used. Raise it for callers that send theirs in batches.",
    },
    Key {
        name: "tokens_per_minute",
        kind: Kind::Count(TOKENS_PER_MINUTE),
        without: Without::Told("no limit"),
        about: "Tokens of prompts and answers; what a minute brings may come at once. A call reserves its estimated prompt and as much of an answer as nine of ten of the segment's have, or the caller's own maximum if that is less; at its end it pays what its upstream counted. A stream is never cut: what it uses beyond is charged to the time that follows. Not of what goes through `passthrough`.",
    },
    Key {
        name: "concurrent",
        kind: Kind::Count(CONCURRENT),
        without: Without::Told("no limit"),
        about: "Most calls at a time, from arrival to the last byte of the answer, those that wait in line among them.",
    },
    Key {
        name: "enforce",
        kind: Kind::Switch,
        without: Without::Told("`true`"),
        about: "`false` refuses nobody and tells callers nothing, and counts in `weir_rate_limited_shadow_total` who would have been refused: to try a quota before it holds.",
    },
];
