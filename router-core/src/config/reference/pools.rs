//! The section about pools: endpoints that serve the same thing.

use super::{CONCURRENCY, Items, Key, Kind, Section, Without, texts};
use crate::config::bounds::{ANSWER, CONCURRENCY as CALLS, ENDPOINT_CLOCK, RESERVE, WAITING};
use crate::config::{Balance, NonStreaming, Usage};

pub(in crate::config) static POOL: Section = Section {
    place: "pools.NAME",
    about: "`NAME` is 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first.",
    keys: &[
        Key {
            name: "endpoints",
            kind: Kind::List(&Kind::Section(&ENDPOINT), Items { least: 1, most: None, unique: false }),
            without: Without::Refused,
            about: "Where the pool is served; at least one address, none twice.",
        },
        Key {
            name: "dialects",
            kind: Kind::List(
                &Kind::Word(&["openai", "anthropic"]),
                Items { least: 1, most: Some(2), unique: true },
            ),
            without: Without::Default,
            about: "Which APIs the endpoints speak. Name one where calls in the other would only fail there.",
        },
        Key {
            name: "key",
            kind: Kind::Secret(&KEY),
            without: Without::Told("none; the caller's credential goes on"),
            about: "Where the provider's key is found; never the key itself. It is sent in place of the caller's credentials, which then go no further.",
        },
        Key {
            name: "ca",
            kind: Kind::Text(&texts::FILE),
            without: Without::Told("the system's authorities"),
            about: "Certificate authorities (PEM) to trust instead, for upstreams with certificates of your own. Refused where no URL of the pool is https.",
        },
        Key {
            name: "balance",
            kind: Kind::Word(&[Balance::ALL[0].name(), Balance::ALL[1].name()]),
            without: Without::Default,
            about: "How an endpoint is chosen: the less busy of two drawn at random, or each in turn. Answers differ in length by orders of magnitude, so turns suit only calls that are all alike.",
        },
        Key {
            name: "timeouts",
            kind: Kind::Section(&POOL_TIMEOUTS),
            without: Without::Told("the defaults below"),
            about: "How long the endpoints may keep Weir waiting. Time in which the caller does not read is not counted.",
        },
        Key {
            name: "http2",
            kind: Kind::Switch,
            without: Without::Default,
            about: "Whether the endpoints are spoken to in HTTP/2, in which many calls share a connection. Turn it on for servers that support it, over `http://` with prior knowledge.",
        },
        Key {
            name: "usage",
            kind: Kind::Word(&[Usage::ALL[0].name(), Usage::ALL[1].name(), Usage::ALL[2].name()]),
            without: Without::Default,
            about: "Whether streams are asked for their token counts where the caller did not ask; the event that brings them is then kept from the caller. `always` makes `weir_tokens_total` complete, `never` sends every call as it came, `auto` asks where a token quota depends on it.",
        },
        Key {
            name: "concurrency",
            kind: Kind::Section(&CONCURRENCY),
            without: Without::Told("the defaults below"),
            about: "How the number of calls that an endpoint gets at a time is found; further ones wait in Weir, where they can be ordered. `weir_concurrency_limit` shows it.",
        },
        Key {
            name: "non_streaming",
            kind: Kind::Word(&[NonStreaming::ALL[0].name(), NonStreaming::ALL[1].name()]),
            without: Without::Default,
            about: "How calls that do not stream are counted, since nobody sees their first token: `estimate` takes it to be there when it is for streams. `stream` sends chat completions and messages as streams and puts their answers together, so that it is seen, an endpoint that is stuck is noticed by `timeouts.first_token` and `timeouts.idle`, and one whose caller leaves stops at once; such an answer is the endpoint's in everything but the order of its fields. Calls for several choices, probabilities or sound stay as they are.",
        },
        Key {
            name: "bulkhead",
            kind: Kind::Section(&BULKHEAD),
            without: Without::Told("no caps"),
            about: "Caps on what the pool takes, so that it cannot use up what other pools need.",
        },
        Key {
            name: "batch",
            kind: Kind::Section(&BATCH),
            without: Without::Told("the defaults below"),
            about: "What batch calls may have of the pool. They start only while no realtime call waits for it.",
        },
        Key {
            name: "gauges",
            kind: Kind::Section(&GAUGES),
            without: Without::Told("the servers are not asked"),
            about: "Has each endpoint asked for its own queue once a second, as vLLM, SGLang and llama.cpp tell it in their metrics: requests of others that wait there then count as well. Set it, as `gauges: {}`, where other gateways or users share the servers; alone Weir knows the queue by itself. What is told may only hold calls back, and a server that does not answer is one without gauges: `weir_gauges_failures_total` counts that. Only for `concurrency.algorithm: first_token_window`.",
        },
    ],
    later: &["discover", "client_certificate", "affinity", "health", "ejection", "scaling"],
};

pub(in crate::config) static ENDPOINT: Section = Section {
    place: "pools.NAME.endpoints[]",
    about: "",
    keys: &[Key {
        name: "url",
        kind: Kind::Text(&texts::URL),
        without: Without::Refused,
        about: "Where a model server or API is. Weir appends `/v1/…`, so a `/v1` at the end may be there or not.",
    }],
    later: &["weight"],
};

pub(in crate::config) static KEY: Section = Section {
    place: "pools.NAME.key",
    about: "",
    keys: &[
        Key {
            name: "env",
            kind: Kind::Text(&texts::VARIABLE),
            without: Without::Told("either this or `file`"),
            about: "The provider's key is in this environment variable.",
        },
        Key {
            name: "file",
            kind: Kind::Text(&texts::FILE),
            without: Without::Told("either this or `env`"),
            about: "It is in this file, for secrets that are mounted; a newline at its end does not count.",
        },
    ],
    later: &[],
};

pub(in crate::config) static POOL_TIMEOUTS: Section = Section {
    place: "pools.NAME.timeouts",
    about: "",
    keys: &[
        Key {
            name: "connect",
            kind: Kind::Duration(ENDPOINT_CLOCK),
            without: Without::Default,
            about: "Time for a connection to an endpoint, TLS included. Raise it for upstreams across the internet.",
        },
        Key {
            name: "headers",
            kind: Kind::Duration(ENDPOINT_CLOCK),
            without: Without::Default,
            about: "Time from the sent request to the head of the answer, where a stream was asked for.",
        },
        Key {
            name: "first_token",
            kind: Kind::Duration(ENDPOINT_CLOCK),
            without: Without::Default,
            about: "Time from the sent request to the first token of a stream. Raise it for models that think long before they write.",
        },
        Key {
            name: "idle",
            kind: Kind::Duration(ENDPOINT_CLOCK),
            without: Without::Default,
            about: "Longest pause between two pieces of an answer.",
        },
        Key {
            name: "answer",
            kind: Kind::Duration(ANSWER),
            without: Without::Default,
            about: "Time from the sent request to the end of an answer that is not a stream. Never above what the caller said it waits.",
        },
    ],
    later: &["min_rate"],
};

pub(in crate::config) static BULKHEAD: Section = Section {
    place: "pools.NAME.bulkhead",
    about: "",
    keys: &[
        Key {
            name: "connections",
            kind: Kind::Count(CALLS),
            without: Without::Told("no cap; `100` on a pool that only `passthrough` uses"),
            about: "Connections to all endpoints of the pool together. Set it to what the servers, or a proxy in front of them, take. Refused with `http2`, where calls share connections: `streams` caps them there.",
        },
        Key {
            name: "pending",
            kind: Kind::Count(WAITING),
            without: Without::Told(
                "no cap but `queue.requests` of the routes; `50` on a pool that only `passthrough` uses",
            ),
            about: "Calls that wait for the pool; a further one is refused with `queue_full`. `0` lets none wait.",
        },
        Key {
            name: "streams",
            kind: Kind::Count(CALLS),
            without: Without::Told("no cap; `100` on a pool that only `passthrough` uses"),
            about: "Calls that the pool works on at a time, streams and others; further ones wait. Set it where something else than the servers' load is the limit, such as a contract.",
        },
    ],
    later: &[],
};

pub(in crate::config) static GAUGES: Section = Section {
    place: "pools.NAME.gauges",
    about: "",
    keys: &[Key {
        name: "url",
        kind: Kind::Text(&texts::URL),
        without: Without::Told("`/metrics` at each endpoint"),
        about: "The metrics page of the pool's only server, where it is not there; without a path `/metrics`. The pool's `key` is not sent to it.",
    }],
    later: &[],
};

pub(in crate::config) static BATCH: Section = Section {
    place: "pools.NAME.batch",
    about: "",
    keys: &[
        Key {
            name: "reserve",
            kind: Kind::Number(RESERVE),
            without: Without::Default,
            about: "Part of the pool's window that batch calls leave free for realtime calls to come. Raise it if these still wait behind batch calls; `0` fills the pool with either.",
        },
        Key {
            name: "minimum",
            kind: Kind::Count(WAITING),
            without: Without::Default,
            about: "Batch calls that are let in however many realtime calls wait, so that batch work never stands still.",
        },
    ],
    later: &[],
};
