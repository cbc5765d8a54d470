//! The sections about where calls go: routes, by model name, and passthrough, by path.

use super::{Items, Key, Kind, Section, Without, texts};
use crate::config::WhenFull;
use crate::config::bounds::{ANSWER, ENDPOINT_CLOCK, TARGETS_MAX, WAIT, WAITING, WAITING_TOKENS};

pub(in crate::config) static ROUTE: Section = Section {
    place: "routes.NAME",
    about: "`NAME` is what clients send as `model`: 1 to 256 characters without spaces. `stream` and `pools` are no route names.",
    keys: &[
        Key {
            name: "targets",
            kind: Kind::List(
                &Kind::Section(&TARGET),
                Items { least: 1, most: Some(TARGETS_MAX), unique: false },
            ),
            without: Without::Refused,
            about: "Where calls go, in shares; no pool and model twice.",
        },
        Key {
            name: "canary",
            kind: Kind::List(&Kind::Section(&CANARY), Items { least: 0, most: None, unique: false }),
            without: Without::Default,
            about: "Rules that come before the weights: a call that has `header` with exactly the value `equals` goes to `target`. The first rule that fits wins.",
        },
        Key {
            name: "timeouts",
            kind: Kind::Section(&ROUTE_TIMEOUTS),
            without: Without::Told("the pool's"),
            about: "Times in place of the pool's, for calls of this route.",
        },
        Key {
            name: "when_full",
            kind: Kind::Word(&[WhenFull::ALL[0].name(), WhenFull::ALL[1].name()]),
            without: Without::Default,
            about: "What becomes of a call while the target whose turn it is takes no more: `spill` gives it to another target of the route, `wait` keeps it for that one, so that weights hold under load, too.",
        },
        Key {
            name: "queue",
            kind: Kind::Section(&QUEUE),
            without: Without::Told("the defaults below"),
            about: "How much may wait while every endpoint is busy, and how long. `weir_queued` and `weir_queue_wait_seconds` show it.",
        },
        Key {
            name: "allow",
            kind: Kind::List(&Kind::Text(&texts::SEGMENT), Items { least: 1, most: None, unique: true }),
            without: Without::Told("all segments"),
            about: "The segments whose callers may use it. Others are answered 403, and it is in no list of models for them.",
        },
    ],
    later: &["fallback", "retry", "degrade", "hedge"],
};

pub(in crate::config) static QUEUE: Section = Section {
    place: "routes.NAME.queue",
    about: "",
    keys: &[
        Key {
            name: "wait",
            kind: Kind::Duration(WAIT),
            without: Without::Default,
            about: "Longest wait; a call that has waited for so long is refused with `deadline_unmeetable`. An objective or a caller's own deadline mostly ends it sooner. `0` lets nothing wait.",
        },
        Key {
            name: "requests",
            kind: Kind::Count(WAITING),
            without: Without::Default,
            about: "Most calls that wait; a further one is refused with `queue_full`, or takes the place of a lesser one. Lower it where callers should hear sooner that there is no room.",
        },
        Key {
            name: "tokens",
            kind: Kind::Count(WAITING_TOKENS),
            without: Without::Told("no bound but `limits.body_memory`"),
            about: "The same in estimated tokens of their prompts and answers, for routes on which some prompts are a thousand times as long as others.",
        },
    ],
    later: &[],
};

pub(in crate::config) static TARGET: Section = Section {
    place: "routes.NAME.targets[]",
    about: "",
    keys: &[
        Key {
            name: "pool",
            kind: Kind::Text(&texts::POOL),
            without: Without::Refused,
            about: "Where calls go.",
        },
        Key {
            name: "model",
            kind: Kind::Text(&texts::MODEL),
            without: Without::Told("the caller's"),
            about: "The model name that this pool knows. Leave it out to keep what the caller asked for, as on route `\"*\"`.",
        },
        Key {
            name: "weight",
            kind: Kind::Weight,
            without: Without::Told("1 for a single target"),
            about: "Share of the calls; 0.000001 is the smallest above 0. Several targets all need one, and a route's weights sum to 1 (give or take 0.000001). A target of weight 0 gets no calls but those of canary rules.",
        },
    ],
    later: &[],
};

pub(in crate::config) static CANARY: Section = Section {
    place: "routes.NAME.canary[]",
    about: "",
    keys: &[
        Key {
            name: "header",
            kind: Kind::Text(&texts::HEADER_NAME),
            without: Without::Refused,
            about: "The header to look at.",
        },
        Key {
            name: "equals",
            kind: Kind::Text(&texts::HEADER_VALUE),
            without: Without::Refused,
            about: "The value that it must have.",
        },
        Key {
            name: "target",
            kind: Kind::Text(&texts::TARGET),
            without: Without::Refused,
            about: "Where the call goes. It need not be one of `targets`.",
        },
    ],
    later: &["guard"],
};

pub(in crate::config) static ROUTE_TIMEOUTS: Section = Section {
    place: "routes.NAME.timeouts",
    about: "",
    keys: &[
        Key {
            name: "headers",
            kind: Kind::Duration(ENDPOINT_CLOCK),
            without: Without::Told("the pool's"),
            about: "Time from the sent request to the head of the answer, where a stream was asked for.",
        },
        Key {
            name: "first_token",
            kind: Kind::Duration(ENDPOINT_CLOCK),
            without: Without::Told("the pool's"),
            about: "Time from the sent request to the first token of a stream.",
        },
        Key {
            name: "idle",
            kind: Kind::Duration(ENDPOINT_CLOCK),
            without: Without::Told("the pool's"),
            about: "Longest pause between two pieces of an answer.",
        },
        Key {
            name: "answer",
            kind: Kind::Duration(ANSWER),
            without: Without::Told("the pool's"),
            about: "Time from the sent request to the end of an answer that is not a stream.",
        },
    ],
    later: &["min_rate"],
};

pub(in crate::config) static PASSTHROUGH: Section = Section {
    place: "passthrough[]",
    about: "",
    keys: &[
        Key {
            name: "prefix",
            kind: Kind::Text(&texts::PREFIX),
            without: Without::Refused,
            about: "Requests for this path and for everything below it go to the pool, path and query as they are. Of two prefixes that fit the longer wins; none stands twice.",
        },
        Key {
            name: "pool",
            kind: Kind::Text(&texts::POOL),
            without: Without::Refused,
            about: "Where they go.",
        },
        Key {
            name: "timeout",
            kind: Kind::Duration(ENDPOINT_CLOCK),
            without: Without::Told("the pool's timeouts"),
            about: "In place of the pool's `answer`, and for streams of `headers` and `first_token`.",
        },
    ],
    later: &["retry"],
};
