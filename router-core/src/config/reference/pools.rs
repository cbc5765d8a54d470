//! The section about pools: endpoints that serve the same thing.

use super::{Items, Key, Kind, Section, Without, texts};
use crate::config::bounds::{ANSWER, ENDPOINT_CLOCK};
use crate::config::{Balance, Usage};

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
    ],
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
