//! The sections about Weir itself: listeners, limits, the end, the log.

use super::{Items, Key, Kind, Section, Without, operators, texts, tls};
use crate::config::LogFormat;
use crate::config::bounds::{
    BODY, BODY_MEMORY, BODY_RATE, CALLER_CLOCK, CONNECTIONS, DRAIN as DRAIN_RANGE, HEAD, LOG_HEADERS_MAX,
    SEND_BUFFER, URI,
};

pub(in crate::config) static LISTEN: Section = Section {
    place: "listen[]",
    about: "",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Text(&texts::ADDRESS),
            without: Without::Refused,
            about: "Where clients connect. Change it to `0.0.0.0:8080` in a container, or wherever callers are on other machines; a Unix socket serves a proxy on the same machine.",
        },
        Key {
            name: "trust_headers",
            kind: Kind::Switch,
            without: Without::Told("`false`"),
            about: "Whether callers may say in `x-weir-segment` of which segment they are. Turn it on only where nobody but your own servers can connect: whoever can names the best segment.",
        },
        Key {
            name: "tls",
            kind: Kind::Section(&tls::LISTEN_TLS),
            without: Without::Told("plain HTTP"),
            about: "Speaks TLS (1.2 or 1.3) there, with HTTP/2 or HTTP/1.1 as the client offers. Refused on a Unix socket.",
        },
    ],
    later: &[],
};

pub(in crate::config) static ADMIN: Section = Section {
    place: "admin",
    about: "",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Text(&texts::ADMIN_ADDRESS),
            without: Without::Default,
            about: "Metrics, health and run-time operation. Without `keys` it is refused anywhere but on loopback. Change the port if it is taken, or take a Unix socket to let file permissions say who may operate.",
        },
        Key {
            name: "keys",
            kind: Kind::List(
                &Kind::Section(&operators::ADMIN_KEY),
                Items { least: 1, most: None, unique: false },
            ),
            without: Without::Told("none: whoever can connect may do everything"),
            about: "By what operators are known (`authorization: Bearer KEY`). With keys the listener may stand anywhere; who shows none is a reader on this machine and nobody elsewhere. They are sent as they are: set `tls` where they cross a network.",
        },
        Key {
            name: "tls",
            kind: Kind::Section(&tls::ADMIN_TLS),
            without: Without::Told("plain HTTP"),
            about: "Speaks TLS there. With `client_ca`, every command and scraper needs a certificate.",
        },
        Key {
            name: "metrics",
            kind: Kind::Section(&METRICS),
            without: Without::Told("no such listener"),
            about: "One more listener, for `/metrics` alone.",
        },
    ],
    later: &[],
};

pub(in crate::config) static METRICS: Section = Section {
    place: "admin.metrics",
    about: "",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Text(&texts::ADDRESS),
            without: Without::Refused,
            about: "Where `/metrics` is served too, apart from clients and operators. Set it for a scraper on another machine: it shows names of routes and pools, and counts; nobody can change anything there.",
        },
        Key {
            name: "tls",
            kind: Kind::Section(&tls::METRICS_TLS),
            without: Without::Told("plain HTTP"),
            about: "Speaks TLS there. With `client_ca` nobody reads the metrics but who has a certificate.",
        },
    ],
    later: &[],
};

pub(in crate::config) static LIMITS: Section = Section {
    place: "limits",
    about: "",
    keys: &[
        Key {
            name: "head",
            kind: Kind::Size(HEAD),
            without: Without::Default,
            about: "Largest request head; a larger one is answered 431. Lower it on an open edge: each connection may take as much.",
        },
        Key {
            name: "uri",
            kind: Kind::Size(URI),
            without: Without::Default,
            about: "Longest path with its query, at most `head`; a longer one is answered 414.",
        },
        Key {
            name: "body",
            kind: Kind::Size(BODY),
            without: Without::Default,
            about: "Largest request body; a larger one is answered 413. Raise it for many or large images, lower it where callers send plain chat.",
        },
        Key {
            name: "body_memory",
            kind: Kind::Size(BODY_MEMORY),
            without: Without::Default,
            about: "What the bodies of all requests in flight may take together, at least `body`; a call for which there is no room is answered 503. Set it to what the machine can spare: it stands between many large requests and the end of the process.",
        },
        Key {
            name: "connections",
            kind: Kind::Count(CONNECTIONS),
            without: Without::Default,
            about: "Connections of clients at a time; further ones wait until one is closed. A stream is one here and one to its endpoint, so the process may need twice as many open files.",
        },
        Key {
            name: "header_read",
            kind: Kind::Duration(CALLER_CLOCK),
            without: Without::Default,
            about: "Time for a request's head; a slower one is answered 408.",
        },
        Key {
            name: "body_read",
            kind: Kind::Duration(CALLER_CLOCK),
            without: Without::Default,
            about: "How long a request's body may pause; a longer pause is answered 408.",
        },
        Key {
            name: "body_rate",
            kind: Kind::Size(BODY_RATE),
            without: Without::Default,
            about: "Slowest average of a request's body in bytes a second, after its first seconds; a slower one is answered 408. `0` turns it off, for callers on very slow links.",
        },
        Key {
            name: "idle",
            kind: Kind::Duration(CALLER_CLOCK),
            without: Without::Default,
            about: "How long a connection without a request is kept for the next one. Keep it above what callers and proxies in front keep theirs, so that it is they who close.",
        },
        Key {
            name: "client_stall",
            kind: Kind::Duration(CALLER_CLOCK),
            without: Without::Default,
            about: "How long a caller may leave an answer unread before it is given up, which frees its endpoint.",
        },
        Key {
            name: "send_buffer",
            kind: Kind::Size(SEND_BUFFER),
            without: Without::Default,
            about: "How much of an answer the system holds for a caller that does not take it, and how much is under way to one that does, so that the longest round trip times the rate it is to have fits in: raise it for large answers over long distances. The system gives no more than `net.core.wmem_max`.",
        },
    ],
    later: &[],
};

pub(in crate::config) static DRAIN: Section = Section {
    place: "drain",
    about: "",
    keys: &[
        Key {
            name: "grace",
            kind: Kind::Duration(DRAIN_RANGE),
            without: Without::Default,
            about: "Normal service while `/health/ready` already says no, for load balancers to notice. Make it longer than they take.",
        },
        Key {
            name: "requests",
            kind: Kind::Duration(DRAIN_RANGE),
            without: Without::Default,
            about: "How long calls in flight may take to finish after that.",
        },
        Key {
            name: "streams",
            kind: Kind::Duration(DRAIN_RANGE),
            without: Without::Told("as `requests`"),
            about: "The same for streams, at least `requests`; those that are open even then end with an error event. Raise it if answers stream for longer, together with the grace period of whatever stops Weir.",
        },
    ],
    later: &[],
};

pub(in crate::config) static LOG: Section = Section {
    place: "log",
    about: "",
    keys: &[
        Key {
            name: "format",
            kind: Kind::Word(&[LogFormat::ALL[0].name(), LogFormat::ALL[1].name(), LogFormat::ALL[2].name()]),
            without: Without::Default,
            about: "`auto` writes for humans on a terminal and JSON elsewhere.",
        },
        Key {
            name: "access",
            kind: Kind::Switch,
            without: Without::Default,
            about: "One line for each call. Turn it off where the load makes logs too expensive; metrics stay.",
        },
        Key {
            name: "headers",
            kind: Kind::List(
                &Kind::Text(&texts::HEADER_NAME),
                Items { least: 0, most: Some(LOG_HEADERS_MAX), unique: true },
            ),
            without: Without::Default,
            about: "Request headers that go into a call's line, such as `user-agent`. Headers that carry credentials (`authorization`, `proxy-authorization`, `x-api-key`, `api-key`, `cookie`, `set-cookie`, `x-auth-token`, `x-goog-api-key`, `x-amz-security-token`, `ocp-apim-subscription-key`) are refused.",
        },
    ],
    later: &[],
};
