//! The section about segments: classes of callers.

use super::{Items, Key, Kind, SEGMENT_KEY, Section, Without};
use crate::config::bounds::{FIRST_TOKEN, INFLIGHT_RATIO, INTER_TOKEN, SHARE};
use crate::config::{Order, Priority};

pub(in crate::config) static SEGMENT: Section = Section {
    place: "segments.NAME",
    about: "`NAME` is 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first, and not `refuse`. A caller is of \
            the segment that has its key. One that comes through a listener with `trust_headers` may name another in `x-weir-segment`; one \
            that does neither is of the segment `anonymous`.",
    keys: &[
        Key {
            name: "keys",
            kind: Kind::List(&Kind::Section(&SEGMENT_KEY), Items { least: 0, most: None, unique: false }),
            without: Without::Default,
            about: "Keys by which the segment's callers are known: `authorization: Bearer KEY` or `x-api-key: KEY`. From the first key on, one that is not known is answered 401, and no credential of a caller is passed on.",
        },
        Key {
            name: "share",
            kind: Kind::Number(SHARE),
            without: Without::Default,
            about: "What the segment gets of a full pool, relative to the others: with shares of 5, 3 and 2 the first gets half of the tokens for as long as all of them want more. What one leaves over the others get.",
        },
        Key {
            name: "order",
            kind: Kind::Word(&[Order::ALL[0].name(), Order::ALL[1].name()]),
            without: Without::Default,
            about: "`strict` serves the segment before all that are `fair`, which may then get nothing at all; strict segments share by `share` among each other.",
        },
        Key {
            name: "priority",
            kind: Kind::Word(&[Priority::ALL[0].name(), Priority::ALL[1].name()]),
            without: Without::Default,
            about: "`batch` calls take what `realtime` ones leave over, as far as the pool's `batch` lets them. A caller can lower its own call with `x-weir-priority: batch`, not raise it.",
        },
        Key {
            name: "objective",
            kind: Kind::Section(&OBJECTIVE),
            without: Without::Told("none: nothing is refused because it would come late"),
            about: "What the segment was promised. A call that cannot have it any more is refused at once, so that its place goes to one that can.",
        },
        Key {
            name: "max_inflight_ratio",
            kind: Kind::Number(INFLIGHT_RATIO),
            without: Without::Default,
            about: "Most of a pool's places that the segment has at a time, even if others stand empty; its further calls wait. Lower it to keep room for segments that come in bursts.",
        },
    ],
    later: &["match", "quota", "degrade"],
};

pub(in crate::config) static OBJECTIVE: Section = Section {
    place: "segments.NAME.objective",
    about: "",
    keys: &[
        Key {
            name: "first_token",
            kind: Kind::Duration(FIRST_TOKEN),
            without: Without::Told("none; the limiter goes by 2 s"),
            about: "Time from a call's arrival to its first token. The smallest one of the segments also decides how long a queue the servers themselves may have, so state what people notice, not what is usual.",
        },
        Key {
            name: "inter_token",
            kind: Kind::Duration(INTER_TOKEN),
            without: Without::Told("none"),
            about: "Mean time for each token after the first. Endpoints that are slower get fewer calls at a time. 60 ms is faster than most people read.",
        },
    ],
    later: &["total", "availability"],
};
