//! The section about how many calls an endpoint gets at a time. Each algorithm has settings of its own; those of
//! another one are refused.

use super::{Key, Kind, Section, Without};
use crate::config::Concurrency;
use crate::config::bounds::{
    BACKOFF_RATIO, BASE_TIME, CONCURRENCY as CALLS, GATEWAYS, MARGIN_PERCENT, PERCENTILE, RESPONSE_TIME,
    RTT_TOLERANCE, SAMPLES, SMOOTHING, UPDATE_INTERVAL,
};

pub(in crate::config) static CONCURRENCY: Section = Section {
    place: "pools.NAME.concurrency",
    about: "",
    keys: &[
        Key {
            name: "algorithm",
            kind: Kind::Word(&Concurrency::ALGORITHMS),
            without: Without::Default,
            about: "`first_token_window` needs no number: it lets so many calls wait for their first token that the server's own queue stays short, whatever the model and the length of answers. `fixed` is for a server with a known number of slots. `gradient` (Envoy's), `gradient2` and `aimd` (Netflix') read response times, which for models are lengths of answers; they are for calls that are all alike.",
        },
        Key {
            name: "gateways",
            kind: Kind::Count(GATEWAYS),
            without: Without::Default,
            about: "`first_token_window`: how many Weirs share the pool, this one included. Set it to the number of replicas, so that each takes its part of a small pool, if need be by pauses between its calls. `weir_shared_queue_ratio` over 0.25 says that they are too many for it: then switch `gauges` on, or put one gateway in front of the pool.",
        },
        Key {
            name: "base_time",
            kind: Kind::Duration(BASE_TIME),
            without: Without::Told("no bound, but `100ms` if `gateways` share the pool"),
            about: "`first_token_window`: the longest time to a first token that an endpoint with nothing else to do is believed to take. Gateways that share a pool cannot tell each other's queue from it: set it there for models whose first token takes longer than 100 ms.",
        },
        Key {
            name: "limit",
            kind: Kind::Count(CALLS),
            without: Without::Told("needed by `fixed`"),
            about: "`fixed`: calls at a time for each endpoint.",
        },
        Key {
            name: "min",
            kind: Kind::Count(CALLS),
            without: Without::Told("`20`"),
            about: "`gradient2`, `aimd`: lowest limit.",
        },
        Key {
            name: "max",
            kind: Kind::Count(CALLS),
            without: Without::Told("`200`"),
            about: "`gradient2`, `aimd`: highest limit, at least `min`. Raise it for endpoints that take more at a time.",
        },
        Key {
            name: "initial",
            kind: Kind::Count(CALLS),
            without: Without::Told("`20`, or the nearest between `min` and `max`"),
            about: "`gradient2`, `aimd`: the limit at the start, from `min` to `max`.",
        },
        Key {
            name: "rtt_tolerance",
            kind: Kind::Number(RTT_TOLERANCE),
            without: Without::Told("`1.5`"),
            about: "`gradient2`: how many times their long-term mean response times may be before the limit falls.",
        },
        Key {
            name: "smoothing",
            kind: Kind::Number(SMOOTHING),
            without: Without::Told("`0.2`"),
            about: "`gradient2`: part of a newly computed limit in the one that is used.",
        },
        Key {
            name: "queue_size",
            kind: Kind::Count(SAMPLES),
            without: Without::Told("`4`"),
            about: "`gradient2`: by how much the limit grows while response times do not.",
        },
        Key {
            name: "long_window",
            kind: Kind::Count(SAMPLES),
            without: Without::Told("`600`"),
            about: "`gradient2`: samples that the long-term mean stretches over.",
        },
        Key {
            name: "timeout",
            kind: Kind::Duration(RESPONSE_TIME),
            without: Without::Told("`5s`"),
            about: "`aimd`: response time from which the limit falls.",
        },
        Key {
            name: "backoff_ratio",
            kind: Kind::Number(BACKOFF_RATIO),
            without: Without::Told("`0.9`"),
            about: "`aimd`: what a falling limit is multiplied with.",
        },
        Key {
            name: "sample_aggregate_percentile",
            kind: Kind::Count(PERCENTILE),
            without: Without::Told("`50`"),
            about: "`gradient`: the percentile of response times that is compared with the shortest.",
        },
        Key {
            name: "concurrency_limit_params",
            kind: Kind::Section(&LIMIT_PARAMS),
            without: Without::Told("the defaults below"),
            about: "`gradient`: how the limit moves.",
        },
        Key {
            name: "min_rtt_calc_params",
            kind: Kind::Section(&MIN_RTT_PARAMS),
            without: Without::Told("the defaults below"),
            about: "`gradient`: how the response time of an endpoint that has nothing else to do is found.",
        },
    ],
    later: &[],
};

pub(in crate::config) static LIMIT_PARAMS: Section = Section {
    place: "pools.NAME.concurrency.concurrency_limit_params",
    about: "",
    keys: &[
        Key {
            name: "max_concurrency_limit",
            kind: Kind::Count(CALLS),
            without: Without::Told("`1000`"),
            about: "Highest limit, at least `min_concurrency`.",
        },
        Key {
            name: "concurrency_update_interval",
            kind: Kind::Duration(UPDATE_INTERVAL),
            without: Without::Told("`100ms`"),
            about: "How often the limit moves.",
        },
    ],
    later: &[],
};

pub(in crate::config) static MIN_RTT_PARAMS: Section = Section {
    place: "pools.NAME.concurrency.min_rtt_calc_params",
    about: "",
    keys: &[
        Key {
            name: "interval",
            kind: Kind::Duration(RESPONSE_TIME),
            without: Without::Told("`1m`, unless there is a `fixed_value`"),
            about: "Time between two measurements, during which the limit is `min_concurrency`.",
        },
        Key {
            name: "fixed_value",
            kind: Kind::Duration(RESPONSE_TIME),
            without: Without::Told("it is measured"),
            about: "The response time itself, in place of `interval` and every measurement.",
        },
        Key {
            name: "request_count",
            kind: Kind::Count(SAMPLES),
            without: Without::Told("`50`"),
            about: "Responses that make a measurement.",
        },
        Key {
            name: "jitter",
            kind: Kind::Count(MARGIN_PERCENT),
            without: Without::Told("`15`"),
            about: "Percentage of `interval` up to which a random time is added to it.",
        },
        Key {
            name: "min_concurrency",
            kind: Kind::Count(CALLS),
            without: Without::Told("`3`"),
            about: "The limit during a measurement, and the lowest at any time.",
        },
        Key {
            name: "buffer",
            kind: Kind::Count(MARGIN_PERCENT),
            without: Without::Told("`25`"),
            about: "Percentage by which response times may exceed the shortest before the limit falls.",
        },
    ],
    later: &[],
};
